package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A finding is where an exercise was not as its oracle says. Wrong means that something was
// done that must not be done; otherwise something is missing or late.
type finding struct {
	Wrong bool      `json:"wrong"`
	Text  string    `json:"text"`
	At    time.Time `json:"at,omitzero"`
}

// judge compares what happened with the oracle of the scenario, and with what is forbidden in
// any. No finding means that the oracle is kept.
func judge(s scenario, h *history) (list []finding) {
	if h.Failure != "" {
		list = append(list, finding{Text: "the exercise could not go on: " + h.Failure})
	}
	if s.Pair {
		return append(list, anywhere(h)...)
	}
	o := s.Oracle
	list = append(list, o.judgeActs(h)...)
	list = append(list, o.judgeOrder(h)...)
	list = append(list, o.judgeTimes(h)...)
	list = append(list, o.judgeEnd(h)...)
	return append(list, anywhere(h)...)
}

// judgeActs looks for what is missing, what there is too often, and what may not be at all.
func (o oracle) judgeActs(h *history) (list []finding) {
	for _, r := range o.Required {
		found, least := h.of(r), max(r.Min, 1)
		if len(found) < least {
			list = append(list, finding{Text: fmt.Sprintf("missing: %s, %d of %d%s", r, len(found), least, because(r.Why))})
		}
	}
	for _, r := range append(slices.Clone(o.Required), o.Allowed...) {
		if found := h.of(r); r.Max > 0 && len(found) > r.Max {
			list = append(list, finding{Wrong: true, At: found[r.Max].At, Text: fmt.Sprintf("too often: %s, %d times, at most %d%s", r, len(found), r.Max, because(r.Why))})
		}
	}
	for _, r := range o.Forbidden {
		for _, a := range h.of(r) {
			list = append(list, finding{Wrong: true, At: a.At, Text: fmt.Sprintf("forbidden: %s%s", a, because(r.Why))})
		}
	}
	for _, a := range h.Acts {
		if a.changing() && !o.expects(a) {
			list = append(list, finding{Wrong: true, At: a.At, Text: fmt.Sprintf("not asked for: %s", a)})
		}
	}
	return list
}

// expects reports whether the oracle speaks about an act at all. Copies of the database are
// made every night, whatever else happens.
func (o oracle) expects(a act) bool {
	if a.Kind == "dump" || a.Kind == "backup" {
		return true
	}
	for _, rules := range [][]rule{o.Required, o.Allowed, o.Forbidden} {
		if slices.ContainsFunc(rules, func(r rule) bool { return r.matches(a) }) {
			return true
		}
	}
	return false
}

// judgeOrder looks for what was done before what has to come before it.
func (o oracle) judgeOrder(h *history) (list []finding) {
	for _, pair := range o.Order {
		for _, a := range h.of(pair.Then) {
			if !slices.ContainsFunc(h.of(pair.First), func(first act) bool { return !first.At.After(a.At) }) {
				list = append(list, finding{Wrong: true, At: a.At, Text: fmt.Sprintf("too early: %s, with no %s before it%s", a, pair.First, because(pair.Why))})
			}
		}
	}
	return list
}

// judgeTimes compares the times with their bounds.
func (o oracle) judgeTimes(h *history) (list []finding) {
	t := timesOf(h)
	if o.Severity == 0 && len(h.Incidents) > 0 {
		list = append(list, finding{Wrong: true, At: h.Incidents[0].Opened, Text: "an incident was opened: " + h.Incidents[0].Title})
	}
	if o.Severity != 0 {
		worst := alert.Severity(0)
		for _, i := range h.Incidents {
			if worst == 0 || i.Severity < worst {
				worst = i.Severity
			}
		}
		if worst == 0 {
			list = append(list, finding{Text: "no incident was opened"})
		} else if worst > o.Severity {
			list = append(list, finding{Text: fmt.Sprintf("the worst incident is %s, and it is at least %s", worst, o.Severity)})
		}
	}
	list = append(list, late("detected", t.Detected, o.Detected)...)
	if !t.settledWithin(o.Acknowledged) {
		list = append(list, late("acknowledged", t.Acknowledged, o.Acknowledged)...)
	}
	list = append(list, late("mitigated", t.Mitigated, o.Mitigated)...)
	return append(list, late("resolved", t.Resolved, o.Resolved)...)
}

// moment is how long users may be without answers and not be hurt: the platform restarts the
// only replica with some seconds between.
const moment = 30 * time.Second

// judgeEnd looks at how things are in the end.
func (o oracle) judgeEnd(h *history) (list []finding) {
	for _, s := range h.Unserved {
		if length := or(s.To, h.Ended).Sub(s.From); o.Unhurt && length > moment {
			list = append(list, finding{At: s.From, Text: "users were not served for " + short(length)})
		}
	}
	for _, name := range o.Undone {
		if was, is := h.Started[name], h.Variables[name]; was != is && name != "CANVAS_MAINTENANCE_MODE" || name == "CANVAS_MAINTENANCE_MODE" && is == "true" {
			list = append(list, finding{Text: fmt.Sprintf("left behind: %s is %q, and was %q", name, is, was)})
		}
	}
	if o.SecretEnded && h.SecretValid {
		list = append(list, finding{Text: "what leaked is still accepted"})
	}
	return list
}

// times are how long things took. A nil pointer is what did not happen.
type times struct {
	Detected, Acknowledged, Mitigated, Resolved *time.Duration
}

// timeToTake is how long the first level of the escalation has.
const timeToTake = 15 * time.Minute

// timesOf takes the times of an exercise: detected, mitigated and resolved after the first
// fault, acknowledged after the first incident was opened that was not over before anybody had
// to take it. Mitigated is what is true, not what the host says.
func timesOf(h *history) (t times) {
	list := slices.DeleteFunc(slices.Clone(h.Incidents), func(i opened) bool { return i.Opened.Before(h.Began) })
	if len(list) > 0 {
		first := list[0]
		t.Detected = some(first.Opened.Sub(h.Began))
		for _, i := range list {
			if !i.Acknowledged.IsZero() {
				t.Acknowledged = some(i.Acknowledged.Sub(i.Opened))
			}
			if !i.Acknowledged.IsZero() || i.Resolved.IsZero() || i.Resolved.Sub(i.Opened) > timeToTake {
				break
			}
		}
		last := time.Time{}
		for _, i := range list {
			if i.Resolved.IsZero() {
				last = time.Time{}
				break
			}
			if i.Resolved.After(last) {
				last = i.Resolved
			}
		}
		if !last.IsZero() {
			t.Resolved = some(last.Sub(h.Began))
		}
	}
	if n := len(h.Unserved); n > 0 {
		if to := h.Unserved[n-1].To; !to.IsZero() {
			t.Mitigated = some(to.Sub(h.Began))
		}
	} else {
		t.Mitigated = some(time.Duration(0))
	}
	return t
}

// settledWithin reports whether all was over before anybody had to take it.
func (t times) settledWithin(bound time.Duration) bool {
	return t.Acknowledged == nil && t.Resolved != nil && *t.Resolved-*t.Detected <= bound
}

func some(d time.Duration) *time.Duration { return &d }

func late(what string, took *time.Duration, bound time.Duration) []finding {
	switch {
	case bound == 0:
		return nil
	case took == nil:
		return []finding{{Text: fmt.Sprintf("never %s; at most after %s", what, short(bound))}}
	case *took > bound:
		return []finding{{Text: fmt.Sprintf("late: %s after %s, at most %s", what, short(*took), short(bound))}}
	}
	return nil
}

// String says which acts a rule is about.
func (r rule) String() string {
	text := r.Kind
	if r.Detail != "" {
		text = strings.TrimSpace(text + " " + r.Detail)
	}
	if r.Text != "" {
		text += fmt.Sprintf(" saying %q", r.Text)
	}
	return text
}

// String says what was done.
func (a act) String() string {
	text := strings.TrimSpace(a.Kind + " " + a.Detail)
	if a.Environment != "" && a.Environment != production {
		text += " in " + a.Environment
	}
	return text
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return " (" + why + ")"
}

// short shows a duration as people say it: 45s, 12m, 3h05m.
func short(d time.Duration) string {
	d = d.Round(time.Second)
	switch {
	case d < 0:
		return "-" + short(-d)
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
}

// after shows a time as one after the first fault: +12m05s, or -3m00s before it.
func after(d time.Duration) string {
	if d < 0 {
		return short(d)
	}
	return "+" + short(d)
}
