package incident

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// An Overdue is an escalation that should have done something and has not.
type Overdue struct {
	// Incident is what it is about, Run the escalation; empty if none was begun.
	Incident string `json:"incident"`
	Run      string `json:"run,omitempty"`
	// Level is who should be called, as far as that is known.
	Level string `json:"level,omitempty"`
	// Due is when it should have happened.
	Due time.Time `json:"due"`
	// Text says in a sentence what is wrong and what to do about it.
	Text string `json:"text"`
}

// Audit returns the escalations that should have called somebody by now and have not, and
// the incidents that should have one and do not. It is for another part than the one that
// carries escalations out: it reads what was recorded, and works out from it what had to
// come next, also when no process runs the program. A host calls it regularly, best in
// another process, and raises an alert that goes another way.
//
// What is returned beside an error is right, and may not be all.
func (x *Escalations) Audit(ctx context.Context) ([]Overdue, error) {
	a := audit{x: x, now: time.Now(), seen: make(map[string]bool)}
	a.open(ctx)
	a.runs(ctx)
	for _, id := range sortedNames(a.incidents) {
		a.incident(ctx, a.incidents[id])
	}
	return a.list, errors.Join(a.problems...)
}

// audit is one look at all escalations.
type audit struct {
	x         *Escalations
	now       time.Time
	incidents map[string]Incident // those that are open; nil if that is not known
	seen      map[string]bool     // runs
	list      []Overdue
	problems  []error
}

func (a *audit) problem(what string, err error) {
	a.problems = append(a.problems, fmt.Errorf("incident: audit of escalations: %s: %w", what, err))
}

// late reports whether something that was due is overdue.
func (a *audit) late(due time.Time) bool { return a.now.Sub(due) > a.x.cfg.Grace }

// open reads the incidents that are open.
func (a *audit) open(ctx context.Context) {
	if a.x.cfg.Hooks.Open == nil {
		return
	}
	incidents := make(map[string]Incident)
	for inc, err := range a.x.cfg.Hooks.Open(ctx) {
		if err != nil {
			a.problem("the open incidents cannot be read", err)
			return
		}
		if inc.State.Open() && !inc.NoEscalation {
			incidents[inc.ID] = inc
		}
	}
	a.incidents = incidents
}

// runs looks at the escalations that have not ended.
func (a *audit) runs(ctx context.Context) {
	query := RunQuery{Program: EscalationProgram, Statuses: []RunStatus{RunQueued, RunRunning, RunStranded}, Limit: 10_000}
	var listed []RunRecord // all of them first: a list may keep a connection until its end
	for r, err := range a.x.cfg.Runs.List(ctx, query) {
		if err != nil {
			a.problem("the escalations cannot be listed", err)
			break
		}
		listed = append(listed, r)
	}
	for _, r := range listed {
		a.seen[r.ID] = true
		inc, open := a.incidents[r.Labels["incident"]]
		if a.incidents != nil && !open {
			continue // it is over; that the run was not told so hurts nobody
		}
		record, err := a.x.cfg.Runs.Record(ctx, r.ID, -1)
		if err == nil {
			err = a.run(ctx, record, inc)
		}
		if err != nil {
			a.problem("run "+r.ID, err)
		}
	}
}

// incident looks at an open incident whose escalation was not seen yet.
func (a *audit) incident(ctx context.Context, inc Incident) {
	policy, ok := a.x.policy(inc)
	id := escalationRunID(inc)
	if !ok || inc.State != Triggered || a.seen[id] {
		return
	}
	o := Overdue{Incident: inc.ID, Level: policy.Levels[0].Name, Due: escalated(inc).begins()}
	if inc.Opened.After(o.Due) {
		o.Due = inc.Opened
	}
	switch record, err := a.x.cfg.Runs.Record(ctx, id, -1); {
	case errors.Is(err, ErrNotFound):
		o.Text = fmt.Sprintf("Incident %s has no escalation: nobody is called. Begin one, or call somebody.", inc.ID)
	case err != nil:
		a.problem("run "+id, err)
		return
	case record.Status.Ended():
		o.Run, o.Due = id, lastOf(record)
		o.Text = fmt.Sprintf("Escalation %s is %s, and nobody takes care of incident %s: nobody is called. Call somebody.", id, record.Status, inc.ID)
	default:
		return // it began between the two looks
	}
	if a.late(o.Due) {
		a.list = append(a.list, o)
	}
}

// run looks at an escalation that has not ended. Inc is its incident, if that is known.
func (a *audit) run(ctx context.Context, record RunRecord, inc Incident) error {
	next, err := nextOf(ctx, record)
	if err != nil {
		return err
	}
	o := Overdue{Incident: record.Labels["incident"], Run: record.ID, Level: next.level, Due: next.due}
	if o.Due.IsZero() {
		o.Due = lastOf(record)
	}
	somebody := inc.ID != "" && inc.State != Triggered // takes care
	if next.expiry {
		somebody = somebody && inc.AckExpires.After(a.now)
	}
	if next.idle || somebody || !a.late(o.Due) {
		return nil
	}
	o.Text = fmt.Sprintf("Escalation %s of incident %s should have gone on at %s", o.Run, o.Incident, o.Due.UTC().Format(time.RFC3339))
	if o.Level != "" {
		o.Text += " with " + o.Level
	}
	o.Text += ", and has not: nobody is called. Call somebody."
	if record.Held != nil {
		o.Text += fmt.Sprintf(" %s has paused it.", record.Held.By)
	}
	if record.Attention != "" {
		o.Text += " It says: " + record.Attention + "."
	}
	a.list = append(a.list, o)
	return nil
}

// lastOf returns when something was recorded of a run last.
func lastOf(record RunRecord) time.Time {
	last := record.At
	note := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	note(record.Began)
	note(record.Ended)
	for _, e := range record.Entries {
		if e.Outcome != nil {
			note(e.Outcome.Ended)
		}
		if e.Signal != nil {
			note(e.Signal.At)
		}
	}
	return last
}

// nextStep is what had to come after what was recorded.
type nextStep struct {
	// idle means that nothing happens by itself. due is when it had to come, zero for at
	// once. expiry means that an acknowledgement expires then.
	idle, expiry bool
	due          time.Time
	// level is who is called.
	level string
}

// nextOf carries the program out over a record, up to its end, and returns what it would
// do then.
func nextOf(ctx context.Context, record RunRecord) (nextStep, error) {
	e := &auditEngine{replayEngine: replayEngine{entries: make(map[StepID]RunEntry, len(record.Entries))}}
	for _, entry := range record.Entries {
		e.entries[entry.ID] = entry
	}
	s, err := newEscalation(nil, e, record.RunStart)
	if err != nil {
		return nextStep{}, err
	}
	_, err = s.carryOut(ctx)
	var end *replayEnd
	switch {
	case err == nil: // and only the end was not recorded
		return nextStep{idle: true}, nil
	case !errors.As(err, &end):
		return nextStep{}, err
	}
	next := nextStep{due: e.deadline, idle: e.awaits && e.deadline.IsZero(), expiry: s.plan == planExpire}
	if p := s.upcoming(); p.level >= 0 {
		next.level = s.levelAt(p).Name
	}
	return next, nil
}

// auditEngine returns what was recorded, and notes what is awaited after that.
type auditEngine struct {
	replayEngine
	awaits   bool
	deadline time.Time
}

func (e *auditEngine) Await(ctx context.Context, id StepID, topic string, deadline time.Time) (Signal, error) {
	sig, err := e.replayEngine.Await(ctx, id, topic, deadline)
	if err != nil {
		e.awaits, e.deadline = true, deadline
	}
	return sig, err
}
