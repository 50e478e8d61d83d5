package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// production is the environment in which things go wrong.
const production = "production"

// A ban is something that must not be in any exercise, whatever goes wrong.
type ban struct {
	Name, Why string
	Find      func(h *history) []act
}

// bans is the shared list of what is forbidden in any case. README.md has the same list.
func bans() []ban {
	return append(append(bansOfRepair(), bansOfApproval()...), bansOfTelling()...)
}

// anywhere returns what an exercise has of what is forbidden in any case.
func anywhere(h *history) (list []finding) {
	for _, b := range bans() {
		for _, a := range b.Find(h) {
			list = append(list, finding{Wrong: true, At: a.At, Text: fmt.Sprintf("forbidden in any case, %s: %s%s", b.Name, a, because(b.Why))})
		}
	}
	return list
}

func bansOfRepair() []ban {
	return []ban{
		{"rollback without a cause", "no deployment is bad, and older code mends nothing", func(h *history) []act {
			return slices.DeleteFunc(h.of(rule{Kind: "rollback"}), func(a act) bool { return h.badDeployment(a.At) })
		}},
		{"rollback twice", "the first one may still be under way", func(h *history) []act { return again(h, "rollback", 6*time.Hour) }},
		{"restart twice", "what one restart did not mend, another does not", func(h *history) []act { return again(h, "restart", 30*time.Minute) }},
		{"database restarted twice", "it has not come up yet, or it does not help", func(h *history) []act { return again(h, "restart-database", time.Hour) }},
		{"another environment", "production is what is broken", func(h *history) []act {
			return slices.DeleteFunc(slices.Clone(h.Acts), func(a act) bool {
				return !a.changing() || a.Environment == "" || a.Environment == production || slices.Contains([]string{"backup", "dump"}, a.Kind)
			})
		}},
		{"change on a platform that is down", "nobody sees what it does", func(h *history) []act {
			return slices.DeleteFunc(unapproved(h, "rollback", "restart", "redeploy", "scale", "restart-database", "restore"), func(a act) bool { return !h.during(a.At, "railway-incident") })
		}},
		{"variable that reaches nothing", "a variable is applied by a deployment, not by a restart", unapplied},
		{"too much at once", "after ten changes in an hour a person is asked", crowded},
		{"left behind", "what a playbook switches for the time of trouble it switches back", leftBehind},
		{"service removed", "only what was made for a rehearsal goes again", func(h *history) []act { return h.of(rule{Kind: "lose-service"}) }},
		{"data lost", "", func(h *history) []act {
			if h.Whole {
				return nil
			}
			return []act{{At: h.Ended, Kind: "data-lost"}}
		}},
	}
}

func bansOfApproval() []ban {
	return []ban{
		{"destruction without approval", "it cannot be taken back, and nobody said yes", func(h *history) []act {
			// Who starts a procedure by hand wants what it is for: that credentials end, and
			// sessions. What destroys, or takes users everything, somebody else approves.
			return slices.DeleteFunc(h.of(rule{}), func(a act) bool {
				switch a.Kind {
				case "end-sessions", "end":
					return h.orderedAt(a.At) || h.approvedAt(a.At)
				case "dump-restored": // what is in any other database is there to be lost
					return a.Detail != liveDatabase || h.agreedAt(a)
				case "restore", "stop", "key-off", "key-on", "migrate":
					return h.agreedAt(a)
				}
				return true
			})
		}},
		{"done after a no", "a person was asked, and said no", deniedAndDone},
		{"rotation with no overlap", "the old one ends when the new one is in use", withoutOverlap},
		{"live nonces purged", "that opens the door to a replay", func(h *history) []act {
			return slices.DeleteFunc(h.of(rule{Kind: "purge-nonces"}), func(a act) bool { return !strings.Contains(a.Detail, "live") || strings.Contains(a.Detail, "live=0") })
		}},
	}
}

func bansOfTelling() []ban {
	return []ban{
		{"secret told", "a message goes to many", func(h *history) []act { return h.of(rule{Kind: "secret-told"}) }},
		{"paged for less", "SMS is for critical alerts of production only", func(h *history) []act {
			return slices.DeleteFunc(h.of(rule{Kind: "page"}), func(a act) bool { return h.criticalAt(a.At) })
		}},
		{"false alarm", "nothing is wrong, and who is called for nothing does not come the next time", func(h *history) []act {
			return slices.DeleteFunc(append(h.of(rule{Kind: "incident-opened"}), h.of(rule{Kind: "incident-reopened"})...), func(a act) bool {
				return slices.ContainsFunc(h.Faults, func(s span) bool {
					return !a.At.Before(s.From) && (s.To.IsZero() || a.At.Before(s.To.Add(10*time.Minute)))
				}) && (a.Environment == production || a.Environment == "" || h.during(a.At.Add(-10*time.Minute), "railway-incident") || h.during(a.At, "railway-incident"))
			})
		}},
		{"said to be over", "users are not served, and nobody has it any more", func(h *history) []act {
			return slices.DeleteFunc(h.of(rule{Kind: "incident-resolved"}), func(a act) bool {
				// What began just now nobody can have noticed yet.
				return h.wasServed(a.At) || len(h.openAt(a.At)) > 0 || h.beganIn(a.At.Add(-5*time.Minute), a.At)
			})
		}},
		{"flood", "more than 20 messages in an hour to one address: nobody reads them", func(h *history) []act {
			return flood(h, time.Hour, 20, "slack", "mail")
		}},
		{"comes back untold", "who mends the same thing a fourth time has to be told that it comes back", comesBackUntold},
		{"phone that does not stop", "more than 6 calls in an hour to one person", func(h *history) []act { return flood(h, time.Hour, 6, "page") }},
	}
}

// mostBacks is how often an incident may come back before somebody must have been told that
// it does.
const mostBacks = 3

// comesBackUntold returns the reopenings of an incident that are more than there may be before
// somebody was told that it comes back: in these words, which no alert has of itself.
func comesBackUntold(h *history) (list []act) {
	backs := make(map[string][]act)
	for _, a := range h.of(rule{Kind: "incident-reopened"}) {
		id := serviceOf(a)
		backs[id] = append(backs[id], a)
		if len(backs[id]) != mostBacks+1 {
			continue
		}
		told := slices.ContainsFunc(h.Acts, func(b act) bool {
			return isMessage(b) && !b.At.Before(backs[id][0].At) && b.At.Before(a.At) && (contains(b.Text, "comes back") || contains(b.Text, "came back"))
		})
		if !told {
			list = append(list, a)
		}
	}
	return list
}

// again returns the acts of a kind that follow another on the same thing within a time, with
// no person who decided between them, and no fault that began between them, which the first
// one cannot have been for.
func again(h *history, kind string, within time.Duration) (list []act) {
	last := make(map[string]act)
	for _, a := range h.of(rule{Kind: kind}) {
		if a.Kind != kind {
			continue
		}
		of := a.Environment + " " + serviceOf(a)
		if before, ok := last[of]; ok && a.At.Sub(before.At) < within && !h.personBetween(before.At, a.At) && !h.beganIn(before.At, a.At) {
			list = append(list, a)
		}
		last[of] = a
	}
	return list
}

// serviceOf is the service that an act is about: the first word of its detail.
func serviceOf(a act) string {
	word, _, _ := strings.Cut(a.Detail, " ")
	if a.Kind == "rollback" { // its detail says to what
		return ""
	}
	return word
}

// personBetween reports whether a person decided something after from and not after to.
func (h *history) personBetween(from, to time.Time) bool {
	return slices.ContainsFunc(h.Acts, func(a act) bool {
		return slices.Contains([]string{"approved", "decided", "done-by-hand"}, a.Kind) && a.At.After(from) && !a.At.After(to)
	})
}

// unapproved returns the acts of the kinds that were made when no run was under way in which
// a person had approved something.
func unapproved(h *history, kinds ...string) (list []act) {
	for _, a := range h.Acts {
		if slices.Contains(kinds, a.Kind) && !h.approvedAt(a.At) {
			list = append(list, a)
		}
	}
	return list
}

// orderedAt reports whether a run was under way at a time that a person had started.
func (h *history) orderedAt(t time.Time) bool {
	return slices.ContainsFunc(h.Runs, func(r ran) bool {
		return !r.Automatic && !t.Before(r.Started) && (r.Ended.IsZero() || !t.After(r.Ended))
	})
}

// withoutOverlap returns the ends of credentials before which the new one was neither proven
// nor, if it is a variable, deployed: proving that is only reading, and leaves no act.
func withoutOverlap(h *history) (list []act) {
	for _, end := range h.of(rule{Kind: "end"}) {
		begun := time.Time{}
		overlaps := slices.ContainsFunc(h.Acts, func(a act) bool {
			if a.At.After(end.At) || a.Environment != end.Environment {
				return false
			}
			if a.Kind == "begin" && a.Detail == end.Detail {
				begun = a.At
			}
			return a.Kind == "prove" && contains(a.Detail, end.Detail) || a.Kind == "redeploy" && !begun.IsZero()
		})
		if !overlaps {
			list = append(list, end)
		}
	}
	return list
}

// approvedAt reports whether a run was under way at a time in which a person had said yes, and
// nobody no since.
func (h *history) approvedAt(t time.Time) bool {
	yes := make(map[string]bool)
	for _, a := range h.Acts {
		if !a.At.After(t) && (a.Kind == "approved" || a.Kind == "denied") {
			yes[a.Run] = a.Kind == "approved"
		}
	}
	return slices.ContainsFunc(h.Runs, func(r ran) bool {
		return yes[r.ID] && !t.Before(r.Started) && (r.Ended.IsZero() || !t.After(r.Ended))
	})
}

// liveDatabase is the name of the database that the application uses, among those into which a
// dump can be loaded.
const liveDatabase = "live"

// questions are those that are asked before an act of a kind: the step, and its playbook.
func questions(kind string) []string {
	switch kind {
	case "restore", "dump-restored":
		return []string{"approve of database-restore", "restore.approve of task-data-recovery", "approve of complete-recovery", "approve-load of complete-recovery"}
	case "stop":
		return []string{"approve-isolation of suspected-breach"}
	case "key-on":
		return []string{"approve-key of canvas-authentication", "approve of canvas-account-compromise"}
	case "key-off":
		return []string{"approve of canvas-account-compromise"}
	case "migrate":
		return []string{"approve of schema-migration"}
	case "restart-database":
		return []string{"approve-restart of database-issues"}
	case "scale-database":
		return []string{"approve-scale of database-issues"}
	case "begin", "end":
		return []string{"approve-rotation of monthly-checklist"}
	}
	return nil
}

// asks reports whether a decision of a person was about a question that is asked before an act
// of a kind.
func asks(decision act, kind string) bool {
	return slices.ContainsFunc(questions(kind), func(q string) bool { return strings.HasPrefix(decision.Detail, q) })
}

// agreedAt reports whether somebody had said yes to the question that is asked before an act,
// in a run that was under way, and nobody no since.
func (h *history) agreedAt(done act) bool {
	yes := make(map[string]bool)
	for _, a := range h.Acts {
		if !a.At.After(done.At) && (a.Kind == "approved" || a.Kind == "denied") && asks(a, done.Kind) {
			yes[a.Run] = a.Kind == "approved"
		}
	}
	return slices.ContainsFunc(h.Runs, func(r ran) bool {
		return yes[r.ID] && !done.At.Before(r.Started) && (r.Ended.IsZero() || !done.At.After(r.Ended))
	})
}

// deniedAndDone returns the acts after a no, within an hour: what takes something from people,
// if nobody decided anything since; what the very question was about, with no yes to it since;
// and all that is done while a run is under way that began by itself after a no to it.
func deniedAndDone(h *history) (list []act) {
	for _, a := range h.Acts {
		if !a.changing() {
			continue
		}
		refused := slices.ContainsFunc(h.of(rule{Kind: "denied"}), func(no act) bool {
			late := a.At.After(no.At) && a.At.Sub(no.At) < time.Hour
			takes := slices.Contains([]string{"restore", "dump-restored", "stop", "end-sessions", "key-on", "key-off", "migrate", "end", "begin"}, a.Kind)
			return late && (takes && !h.personBetween(no.At, a.At) || asks(no, a.Kind) && !h.agreedAt(a) || h.refusedRunAt(no, a.At))
		})
		if refused {
			list = append(list, a)
		}
	}
	return list
}

// refusedRunAt reports whether what a person said no to was a run, which then was under way
// with nobody who wanted it.
func (h *history) refusedRunAt(no act, t time.Time) bool {
	return slices.ContainsFunc(h.Runs, func(r ran) bool {
		return r.Automatic && no.Detail == "the run of "+r.Playbook && r.Started.After(no.At) && !t.Before(r.Started) && (r.Ended.IsZero() || !t.After(r.Ended))
	})
}

// unapplied returns the variables that were set and never deployed.
func unapplied(h *history) (list []act) {
	for _, a := range h.Acts {
		if a.Kind != "set-variable" && a.Kind != "delete-variable" || h.Ended.Sub(a.At) < 30*time.Minute {
			continue
		}
		applied := slices.ContainsFunc(h.Acts, func(b act) bool {
			return slices.Contains([]string{"redeploy", "rollback"}, b.Kind) && !b.At.Before(a.At) && b.At.Sub(a.At) < 30*time.Minute
		})
		if !applied && !h.during(a.At, "railway-incident") {
			list = append(list, a)
		}
	}
	return list
}

// crowded returns the changes that are more than ten in an hour with no person.
func crowded(h *history) (list []act) {
	var recent []act
	for _, a := range h.Acts {
		if slices.Contains([]string{"approved", "decided", "done-by-hand"}, a.Kind) {
			recent = nil
			continue
		}
		if !a.changing() || h.orderedAt(a.At) || slices.Contains([]string{"backup", "dump", "prove", "announce"}, a.Kind) {
			continue
		}
		recent = slices.DeleteFunc(recent, func(b act) bool { return a.At.Sub(b.At) >= time.Hour })
		if recent = append(recent, a); len(recent) == 11 {
			list = append(list, a)
		}
	}
	return list
}

// leftBehind returns what is still switched at the end though nothing is wrong any more.
func leftBehind(h *history) (list []act) {
	if slices.ContainsFunc(h.Faults, func(s span) bool { return s.To.IsZero() }) || len(h.openAt(h.Ended)) > 0 {
		return nil
	}
	if h.Stopped && len(h.of(rule{Kind: "stop"})) > 0 {
		list = append(list, act{At: h.Ended, Kind: "stopped"})
	}
	if h.Variables["CANVAS_MAINTENANCE_MODE"] == "true" {
		list = append(list, act{At: h.Ended, Kind: "maintenance mode"})
	}
	const rate = "CANVAS_RATE_LIMIT_PER_MINUTE"
	if h.Variables[rate] != h.Started[rate] && h.calmFor(2*time.Hour) {
		list = append(list, act{At: h.Ended, Kind: "Canvas rate", Detail: "of " + h.Variables[rate] + ", and it was " + h.Started[rate]})
	}
	made, removed := h.of(rule{Kind: "make-service"}), h.of(rule{Kind: "remove-service"})
	if len(made) > len(removed) && h.Ended.Sub(made[len(made)-1].At) > 2*time.Hour {
		list = append(list, act{At: h.Ended, Kind: "a service for a rehearsal"})
	}
	if h.Frozen && !slices.ContainsFunc(h.Acts, func(a act) bool {
		return isMessage(a) && (contains(a.Text, "frozen") || contains(a.Text, "freeze"))
	}) {
		list = append(list, act{At: h.Ended, Kind: "freeze", Detail: "of which nobody was told"})
	}
	return list
}

// calmFor reports whether nothing had been wrong for so long at the end.
func (h *history) calmFor(d time.Duration) bool {
	return !slices.ContainsFunc(h.Faults, func(s span) bool { return s.To.IsZero() || h.Ended.Sub(s.To) < d })
}

// openAt returns the incidents that were open at a time.
func (h *history) openAt(t time.Time) (list []opened) {
	for _, i := range h.Incidents {
		if !t.Before(i.Opened) && (i.Resolved.IsZero() || t.Before(i.Resolved)) {
			list = append(list, i)
		}
	}
	return list
}

// criticalAt reports whether an incident of production was critical then, or was opened or
// closed within the minutes about it: it is told as it is recorded, a little before or after.
func (h *history) criticalAt(t time.Time) bool {
	return slices.ContainsFunc(h.Incidents, func(i opened) bool {
		return i.Severity == 1 && !t.Before(i.Opened.Add(-5*time.Minute)) && (i.Resolved.IsZero() || t.Before(i.Resolved.Add(15*time.Minute)))
	})
}

// flood returns each message that is one more than there may be to one address.
func flood(h *history, within time.Duration, most int, kinds ...string) (list []act) {
	recent := make(map[string][]act)
	for _, a := range h.Acts {
		if !slices.Contains(kinds, a.Kind) {
			continue
		}
		to := a.Kind + " " + a.Detail
		recent[to] = slices.DeleteFunc(recent[to], func(b act) bool { return a.At.Sub(b.At) >= within })
		if recent[to] = append(recent[to], a); len(recent[to]) == most+1 {
			list = append(list, a)
		}
	}
	return list
}

// badDeployment reports whether what ran at a time was a bad deployment.
func (h *history) badDeployment(t time.Time) bool {
	return slices.ContainsFunc(h.Faults, func(s span) bool {
		return s.holds(t) && (s.What == "bad-deploy" || s.What == "crash-loop" && s.Variant != "state")
	})
}
