package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A history is all that an oracle is shown of one exercise: what was done and said, by
// whoever, and what was true. It is made after the exercise, so that nothing in it can have
// helped the host.
type history struct {
	// Began is when the first fault did, or would have; Ended when watching ended.
	Began, Ended time.Time
	// Acts are all that was done, in order of time: those of the world, and those of the
	// timeline of the host (incident-opened, question, approved, denied, person).
	Acts []act
	// Faults are what was wrong, and until when.
	Faults []span
	// Unserved are the times at which users of production were not served.
	Unserved []span
	// Incidents are those of production that the host opened.
	Incidents []opened
	// Runs are the runs of playbooks.
	Runs []ran
	// Whole means that no data was lost, SecretValid that what leaked is still accepted.
	Whole, SecretValid bool
	// Variables are those of the application at the end, Started those at the beginning.
	Variables, Started map[string]string
	// Frozen and Stopped are the state of the service at the end.
	Frozen, Stopped bool
	// Failure is why the exercise itself could not go on. Empty if it could.
	Failure string
}

// An act is something that was done or said. See package world for the kinds.
type act struct {
	At          time.Time
	Environment string
	Kind        string
	Detail      string
	// Text is what a message said.
	Text string
	// Run is the run of a playbook about which a person decided.
	Run string
}

// A span is a time during which something was so. A zero To means until the end.
type span struct {
	From, To time.Time
	What     string
	// Variant is which of the causes that such a fault can have it is, if there are several.
	Variant string
}

// opened is an incident of the host. What did not happen is zero.
type opened struct {
	ID, Title, Playbook, By                   string
	Severity                                  alert.Severity
	Opened, Acknowledged, Mitigated, Resolved time.Time
}

// ran is a run of a playbook.
type ran struct {
	ID, Playbook, State, Reason, Incident string
	Environment                           string
	Started, Ended                        time.Time
	// Automatic means that no person started it, By is who did.
	Automatic bool
	By        string
	// Steps is how many steps were made; Done says what they came to, one line each.
	Steps int
	Done  []step
}

// A step is one of a run.
type step struct {
	ID, State, Text string
	Began, Ended    time.Time
}

// holds reports whether the time is in the span.
func (s span) holds(t time.Time) bool {
	return !t.Before(s.From) && (s.To.IsZero() || t.Before(s.To))
}

// during reports whether something of one of the kinds was wrong at a time.
func (h *history) during(t time.Time, kinds ...string) bool {
	return slices.ContainsFunc(h.Faults, func(s span) bool { return s.holds(t) && slices.Contains(kinds, s.What) })
}

// beganIn reports whether a fault began after from, and not after to.
func (h *history) beganIn(from, to time.Time) bool {
	return slices.ContainsFunc(h.Faults, func(s span) bool { return s.From.After(from) && !s.From.After(to) })
}

// wasServed reports whether users were served at a time.
func (h *history) wasServed(t time.Time) bool {
	return !slices.ContainsFunc(h.Unserved, func(s span) bool { return s.holds(t) })
}

// of returns the acts that the rule matches.
func (h *history) of(r rule) (list []act) {
	for _, a := range h.Acts {
		if r.matches(a) {
			list = append(list, a)
		}
	}
	return list
}

// matches reports whether the rule is about the act.
func (r rule) matches(a act) bool {
	return (r.Kind == "" || r.Kind == a.Kind) && contains(a.Detail, r.Detail) && contains(a.Text, r.Text)
}

func contains(text, part string) bool {
	return part == "" || strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// changes are the kinds of acts that change something, of the application, of a platform, of
// data or of a credential. The others say something.
func changes() []string {
	return []string{
		"rollback", "restart", "redeploy", "stop", "freeze", "unfreeze", "scale", "set-variable", "delete-variable", "restore", "backup",
		"restart-database", "redeploy-database", "scale-database", "key-on", "key-off", "announce", "end-sessions", "purge-nonces",
		"canvas-refresh", "dump", "dump-restored", "dump-rehearsed", "canvas", "make-service", "remove-service", "lose-service", "withdraw", "terminate-query", "migrate", "begin", "prove", "end",
	}
}

// says are the kinds of acts by which people are told something.
func says() []string { return []string{"slack", "mail", "page", "draft", "announce", "status-page"} }

// tells are the kinds of what the host did and people said, which are no acts on the estate.
func tells() []string {
	return []string{
		"incident-opened", "incident-acknowledged", "incident-mitigated", "incident-resolved", "incident-reopened", "incident-deadline",
		"question", "approved", "denied", "decided", "done-by-hand", "reported", "host-killed", "host-started", "mended", "key-made", "evidence",
		"canvas-announces", "canvas-moves", "canvas-calls-off", "canvas-away", "canvas-overdue", "canvas-back",
	}
}

// changing reports whether an act changes something. An act of an unknown kind does: a new
// kind of change must not pass unseen.
func (a act) changing() bool {
	return !slices.Contains(says(), a.Kind) && !slices.Contains(tells(), a.Kind) && a.Kind != "secret-told"
}

// isMessage reports whether an act tells people something.
func isMessage(a act) bool { return slices.Contains(says(), a.Kind) }

// transcript lists the runs of playbooks with their steps, for who follows.
func (h *history) transcript() (list []string) {
	for _, r := range h.Runs {
		list = append(list, fmt.Sprintf("run %s in %s %s from %s to %s: %s", r.Playbook, r.Environment, r.State, after(r.Started.Sub(h.Began)), after(or(r.Ended, h.Ended).Sub(h.Began)), r.Reason))
		for _, s := range r.Done {
			list = append(list, fmt.Sprintf("    %-30s %-8s %s", s.ID, s.State, s.Text))
		}
	}
	for _, i := range h.Incidents {
		list = append(list, fmt.Sprintf("incident %s %s: %s, opened %s, playbook %s", i.ID, i.Severity, i.Title, after(i.Opened.Sub(h.Began)), i.Playbook))
	}
	return list
}
