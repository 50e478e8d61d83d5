package dashboard

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// now is the first page: what is wrong, since when, who knows, what is running, and what
// needs a decision.
type now struct {
	Root      string
	Head      headline
	Decisions []*decision
	Incidents []*trouble
	Owed      []incident.Incident // that are over, with a deadline that is not
	Runs      []*progress
	Checks    []*checks
	Checked   time.Time
	Hung      []incident.Replica
	Switch    incident.KillSwitch
	Closed    []incident.Incident
	Ended     []incident.Run

	KnowsIncidents, KnowsDeadlines, KnowsRuns, KnowsDecisions, KnowsSwitch bool
	// Key names what is on the page that somebody may act on: while it is the same, the
	// page need not be loaded again.
	Key string
}

// A headline says in words how things are.
type headline struct {
	Tone, Words string // "bad", "warn", "good" or "unknown"
	More        string // about what is worst
	Since       time.Time
	Counts      []choice // with where that is on the page
	At          time.Time
}

// A trouble is an open incident, with who knows of it.
type trouble struct {
	incident.Incident
	Calls      []told // the last ones
	KnowsCalls bool
	Runs       []*progress
	Clock      *incident.Clock // the one that runs out first
	Mine       bool            // the actor takes care of it
}

// Taken reports whether somebody takes care of it.
func (t *trouble) Taken() bool { return t.State != incident.Triggered && t.AcknowledgedBy != "" }

// look reads everything that the first page shows.
func (c *request) look() *now {
	h := c.h
	openIncidents := ask(c, "Incidents", func(ctx context.Context) ([]incident.Incident, error) {
		return h.incidents(ctx, incident.IncidentQuery{Open: true, Limit: mostIncidents})
	})
	lateIncidents := ask(c, "Incidents of the last day", func(ctx context.Context) ([]incident.Incident, error) {
		return h.incidents(ctx, incident.IncidentQuery{Since: c.now.Add(-lately), Limit: mostIncidents})
	})
	withDeadline := ask(c, "Deadlines", func(ctx context.Context) ([]incident.Incident, error) {
		return h.incidents(ctx, incident.IncidentQuery{Deadlines: true, Limit: mostIncidents})
	})
	openRuns := ask(c, "Runs", h.openRuns)
	lateRuns := ask(c, "Runs of the last day", func(ctx context.Context) ([]incident.Run, error) {
		return h.runs(ctx, incident.RunQuery{Since: c.now.Add(-lately), Limit: mostRuns})
	})
	approvals := ask(c, "What waits for approval", h.approvals)
	turned := ask(c, "Whether automation is stopped", h.killSwitch)
	replicas := ask(c, "The processes that carry out runs", h.replicas)

	n := &now{Root: c.root}
	n.Checks, n.Checked = h.snapshot()
	incidents, ok := openIncidents()
	n.KnowsIncidents = ok
	owing, ok := withDeadline()
	n.KnowsDeadlines = ok
	n.Owed = slices.DeleteFunc(owing, func(i incident.Incident) bool { return i.State.Open() })
	slices.SortStableFunc(n.Owed, func(a, b incident.Incident) int { return firstDue(a).Compare(firstDue(b)) })
	runs, ok := openRuns()
	n.KnowsRuns = ok
	asked, ok := approvals()
	n.KnowsDecisions = ok && n.KnowsRuns
	n.Switch, n.KnowsSwitch = turned()
	all, _ := replicas()
	n.Hung = slices.DeleteFunc(all, func(r incident.Replica) bool { return r.State != "hung" })
	late, _ := lateIncidents()
	n.Closed = slices.DeleteFunc(late, func(i incident.Incident) bool { return i.Closed.IsZero() || c.now.Sub(i.Closed) > lately })
	lateR, _ := lateRuns()
	n.Ended = slices.DeleteFunc(lateR, func(r incident.Run) bool { return r.Ended.IsZero() })

	for i := range runs {
		n.Runs = append(n.Runs, h.progressOf(&runs[i]))
	}
	n.Incidents = c.troublesOf(incidents, n.Runs)
	n.Decisions = c.decisionsOf(asked, runs)
	n.Head = n.headline(c.now)
	n.Key = n.digest(c.actor.Name)
	return n
}

// troublesOf returns open incidents, the worst that nobody takes care of first.
func (c *request) troublesOf(incidents []incident.Incident, runs []*progress) (all []*trouble) {
	waits := make([]func() ([]incident.Entry, bool), len(incidents))
	for i, inc := range incidents {
		if i < 10 { // the rest is on their own pages
			waits[i] = ask(c, "Who was called about "+inc.ID, func(ctx context.Context) ([]incident.Entry, error) { return c.h.timeline(ctx, inc.ID) })
		}
	}
	for i, inc := range incidents {
		t := &trouble{Incident: inc, Clock: nextClock(inc), Mine: inc.AcknowledgedBy == c.actor.Name}
		if waits[i] != nil {
			entries, ok := waits[i]()
			t.KnowsCalls = ok
			t.Calls = slices.DeleteFunc(callsOf(entries), func(one told) bool { return !one.Called })
			t.Calls = t.Calls[max(0, len(t.Calls)-mostCalls):]
		}
		for _, r := range runs {
			if r.Incident == inc.ID {
				t.Runs = append(t.Runs, r)
			}
		}
		all = append(all, t)
	}
	slices.SortStableFunc(all, func(a, b *trouble) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), compareBool(a.Taken(), b.Taken()), a.Triggered.Compare(b.Triggered))
	})
	return all
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// nextClock returns the clock of an incident that runs out first, nil if none runs.
func nextClock(inc incident.Incident) (next *incident.Clock) {
	for i := range inc.Clocks {
		c := &inc.Clocks[i]
		if c.Due.IsZero() || !c.Stopped.IsZero() {
			continue
		}
		if next == nil || c.Due.Before(next.Due) {
			next = c
		}
	}
	return next
}

// firstDue is when the deadline of an incident is due that is due first, of those that are open.
func firstDue(inc incident.Incident) time.Time {
	for _, l := range inc.OpenDeadlines() {
		return l.Due
	}
	return time.Time{}
}

// headline says how things are.
func (n *now) headline(at time.Time) headline {
	h := headline{Tone: "good", Words: "Nothing is wrong that is known", At: at}
	failing, unknown := 0, 0
	for _, g := range n.Checks {
		failing += len(g.Failing)
		unknown += len(g.Unknown)
	}
	switch {
	case len(n.Incidents) > 0:
		h.worst(n.Incidents)
	case !n.KnowsIncidents:
		h.Tone, h.Words = "unknown", "Whether something is wrong is not known"
	case len(n.Owed) > 0 && at.After(firstDue(n.Owed[0])):
		h.Tone, h.Words, h.Since = "bad", "A deadline was missed: "+n.Owed[0].Title, firstDue(n.Owed[0])
	case failing > 0:
		h.Tone, h.Words = "warn", "No incident is open, and "+counted(failing, "check fails", "checks fail")
	case unknown > 0:
		h.Tone, h.Words = "unknown", "No incident is open, and "+counted(unknown, "check knows nothing", "checks know nothing")
	case len(n.Hung) > 0:
		h.Tone, h.Words = "warn", "A process hangs"
	}
	add := func(count int, where, one, many string) {
		if count > 0 {
			h.Counts = append(h.Counts, choice{where, counted(count, one, many)})
		}
	}
	mine := 0
	for _, d := range n.Decisions {
		if d.WhyNot == "" {
			mine++
		}
	}
	add(mine, "decide", "decision waits for you", "decisions wait for you")
	add(len(n.Decisions)-mine, "decide", "decision waits for somebody else", "decisions wait for others")
	add(len(n.Owed), "deadlines", "deadline of what is over", "deadlines of what is over")
	add(len(n.Runs), "runs", "run under way", "runs under way")
	add(failing, "checks", "check fails", "checks fail")
	add(unknown, "checks", "check knows nothing", "checks know nothing")
	add(len(n.Hung), "wrong", "process hangs", "processes hang")
	return h
}

// worst says what is worst of the open incidents: that is the first.
func (h *headline) worst(all []*trouble) {
	first := all[0]
	h.Tone, h.Words, h.Since = "bad", first.Title, first.Triggered
	if first.Severity > alert.High {
		h.Tone = "warn"
	}
	if len(all) > 1 {
		h.Words += fmt.Sprintf(" (and %d more)", len(all)-1)
	}
	parts := []string{begin(first.Severity.String()), first.Environment, "nobody takes care of it"}
	if first.Taken() {
		parts[2] = first.AcknowledgedBy + " takes care of it"
	}
	if first.Simulated {
		parts = append(parts, "an exercise")
	}
	h.More = strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), " · ")
}

// counted says how many there are.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// digest names what somebody may act on.
func (n *now) digest(who string) string {
	var b strings.Builder
	add := func(parts ...any) { fmt.Fprintln(&b, parts...) }
	add(who, n.KnowsIncidents, n.KnowsDeadlines, n.KnowsRuns, n.KnowsDecisions, n.KnowsSwitch)
	for _, i := range n.Incidents {
		add(i.ID, i.Version, len(i.Calls))
	}
	for _, i := range n.Owed {
		add(i.ID, i.Version)
	}
	for _, d := range n.Decisions {
		add(d.Link, d.Q.ID, d.Q.Plan, len(d.Q.Votes), d.WhyNot)
	}
	add(n.Switch.Stopped, n.Switch.At.UnixMicro())
	for _, r := range n.Hung {
		add(r.Process)
	}
	sum := sha256.Sum256([]byte(b.String()))
	return hex.EncodeToString(sum[:8])
}

// changes names everything that the live part of the page shows.
func (n *now) changes() string {
	var b strings.Builder
	fmt.Fprintln(&b, n.Key, n.Head.Words)
	for _, r := range n.Runs {
		fmt.Fprintln(&b, r.ID, r.Revision, r.State, r.Doing)
	}
	for _, g := range n.Checks {
		for _, s := range slices.Concat(g.Failing, g.Unknown) {
			fmt.Fprintln(&b, s.Name, s.Status, s.Since.Unix())
		}
	}
	return b.String()
}

func (c *request) showNow() {
	n := c.look()
	c.show(http.StatusOK, "now", n.Head.Words, n)
}

// toneOf says how a check is shown.
func toneOf(s health.State) string {
	switch s.Status {
	case health.Unhealthy:
		return "bad"
	case health.Degraded:
		return "warn"
	}
	return "unknown"
}
