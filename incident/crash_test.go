package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

var errDied = errors.New("the process was killed")

// tape is an engine that records, and whose process is killed in the middle of a call.
type tape struct {
	record  incident.RunRecord
	intents map[incident.StepID][]incident.Attempt
	clock   time.Time
	answers map[string][]incident.Signal
	// awaited are the deadlines by topic.
	awaited map[string]time.Time
	// calls are the ids in the order in which this process made them.
	calls []incident.StepID
	// killAt counts down to the kill; negative means never. afterEffect kills when the
	// call was made and its outcome is not recorded.
	killAt      int
	afterEffect bool
}

func (e *tape) entry(id incident.StepID) (incident.RunEntry, bool) {
	e.calls = append(e.calls, id)
	i := slices.IndexFunc(e.record.Entries, func(r incident.RunEntry) bool { return r.ID == id })
	if i < 0 {
		return incident.RunEntry{}, false
	}
	return e.record.Entries[i], true
}

// now moves the clock of the tape, so that a run takes as long each time.
func (e *tape) now() time.Time {
	e.clock = e.clock.Add(time.Second)
	return e.clock
}

func (e *tape) Steps(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	outcomes := make([]incident.Outcome, len(calls))
	for i, call := range calls {
		if old, ok := e.entry(call.ID); ok {
			outcomes[i] = *old.Outcome
			continue
		}
		kill := e.killAt == 0
		e.killAt--
		if kill && !e.afterEffect {
			return nil, errDied
		}
		prior := e.intents[call.ID]
		if call.Intent {
			e.intents[call.ID] = append(slices.Clone(prior), incident.Attempt{Step: call.ID, Process: "a", At: e.clock})
		}
		o := call.Do(ctx, prior)
		if kill {
			return nil, errDied
		}
		delete(e.intents, call.ID)
		o.Began, o.Ended = e.now(), e.now()
		e.record.Entries = append(e.record.Entries, incident.RunEntry{ID: call.ID, Outcome: &o})
		outcomes[i] = o
	}
	return outcomes, nil
}

func (e *tape) Sleep(_ context.Context, id incident.StepID, until time.Time) error {
	if _, ok := e.entry(id); ok {
		return nil
	}
	if e.killAt--; e.killAt == -1 {
		return errDied
	}
	if until.After(e.clock) {
		e.clock = until
	}
	e.record.Entries = append(e.record.Entries, incident.RunEntry{ID: id, Slept: until})
	return nil
}

func (e *tape) Await(_ context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
	if e.awaited == nil {
		e.awaited = make(map[string]time.Time)
	}
	e.awaited[topic] = deadline
	if old, ok := e.entry(id); ok {
		return *old.Signal, nil
	}
	if e.killAt--; e.killAt == -1 {
		return incident.Signal{}, errDied
	}
	s := incident.Signal{Expired: true, At: deadline}
	switch {
	case len(e.answers[topic]) > 0:
		s = e.answers[topic][0]
		e.answers[topic] = e.answers[topic][1:]
		s.At = e.now()
	case e.answers[topic] == nil:
		// Nobody says more than that it goes on.
		s = incident.Signal{ID: topic, Kind: incident.AnswerApprove, Actor: "kim", At: e.now()}
		if e.question(topic).Kind != "approve" {
			s.Kind = incident.AnswerDone
		}
		e.answers[topic] = []incident.Signal{}
	}
	e.record.Entries = append(e.record.Entries, incident.RunEntry{ID: id, Signal: &s})
	return s, nil
}

func (e *tape) question(topic string) (q incident.Question) {
	for _, entry := range e.record.Entries {
		if string(entry.ID) == topic && entry.Outcome != nil {
			if json.Unmarshal(entry.Outcome.Output, &q) == nil {
				return q
			}
		}
	}
	return q
}

// started returns what a run of a playbook is started with.
func started(t *testing.T, p incident.Playbook) (*incident.Runner, incident.RunStart) {
	t.Helper()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore)})
	require.NoError(t, err)
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) { return nil, nil }}))
	run, err := r.Start(t.Context(), incident.Request{ID: "run-1", Environment: p.Environment, Playbook: p.Name, By: "jane"})
	require.NoError(t, err)
	record, err := runs.Record(t.Context(), run.ID, -1)
	require.NoError(t, err)
	require.NoError(t, runs.Close(t.Context()))
	record.RunStart.At = time.Now().UTC().Truncate(time.Microsecond)
	return r, record.RunStart
}

// counted counts how often each action was made.
type counted map[string]int

// anyPlaybook returns a playbook of random steps, with actions that may be repeated by
// rules of all sorts and fail as a seed says, each time alike.
func anyPlaybook(seed uint64, made counted) incident.Playbook {
	random := rand.New(rand.NewPCG(seed, 7))
	var steps []incident.Step
	action := func(id string) incident.Step {
		repeat := []incident.Repeat{incident.AtMostOnce, incident.CheckFirst, incident.Idempotent}[random.IntN(3)]
		fails := random.IntN(4) == 0
		return incident.Step{ID: id, Title: id, Attempts: 1 + random.IntN(2), OnFailure: []incident.Failure{"", incident.GoOn, incident.UndoAll}[random.IntN(3)], Do: incident.Action{
			Repeat: repeat,
			Run: func(context.Context, *incident.Scope) (any, error) {
				if fails {
					return nil, notSent{}
				}
				made[id]++
				return made[id] > 0, nil
			},
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) { return incident.Effect{Call: id}, nil },
			Done:    func(context.Context, *incident.Scope) (any, bool, error) { return made[id] > 0, made[id] > 0, nil },
			Undo:    func(context.Context, *incident.Scope) (any, error) { made["undo "+id]++; return nil, nil },
		}}
	}
	for i := range 3 + random.IntN(8) {
		id := fmt.Sprintf("s%d", i)
		s := incident.Step{ID: id, Title: id}
		switch random.IntN(8) {
		case 0:
			s.Do = incident.Approve{Question: func(*incident.Scope) string { return "?" }, Bound: random.IntN(2) == 0}
		case 1:
			s.Do = incident.Sleep{For: time.Minute}
		case 2:
			s.Do = incident.Manual{Why: "w", Instruction: func(*incident.Scope) string { return "i" }}
		case 3:
			n := 0
			s.OnFailure, s.Do = incident.GoOn, incident.Verify{Within: time.Minute, Run: func(context.Context, *incident.Scope) (any, error) {
				if n++; n < 3 {
					return nil, errors.New("not yet")
				}
				return nil, nil
			}}
		case 4:
			s.Do = incident.Parallel{Collect: random.IntN(2) == 0, Steps: []incident.Step{action(id + "a"), action(id + "b")}}
		case 5:
			inner := playbook(action("x"), action("y"))
			s.Do = incident.Sub{Playbook: inner}
			// Their ids are those of the step before a dot; what they count is their own.
		default:
			s = action(id)
		}
		if random.IntN(5) == 0 {
			needed := random.IntN(2) == 0
			s.When = func(*incident.Scope) (bool, string) { return needed, "not needed" }
		}
		steps = append(steps, s)
	}
	return playbook(steps...)
}

// carryOut carries a run out, with a kill at the n-th new call, and again from its record
// until it has ended.
func carryOut(t *testing.T, r *incident.Runner, start incident.RunStart, kill int, afterEffect bool) *tape {
	t.Helper()
	e := &tape{record: incident.RunRecord{RunStart: start, Status: incident.RunRunning}, intents: make(map[incident.StepID][]incident.Attempt), clock: start.At, answers: make(map[string][]incident.Signal), killAt: kill, afterEffect: afterEffect}
	var before []incident.StepID
	for range 3 {
		result, err := r.Program()(t.Context(), e, start)
		require.Equal(t, fmt.Sprint(before), fmt.Sprint(e.calls[:min(len(before), len(e.calls))]), "a run that goes on makes the same calls in the same order")
		if err == nil {
			e.record.Status, e.record.Result = incident.RunFinished, result
			return e
		}
		require.ErrorIs(t, err, errDied)
		before, e.calls = e.calls[:len(e.calls)-1], nil
		e.killAt = -1
	}
	t.Fatal("it does not end")
	return nil
}

// Requirement: INC-DET-1, INC-DET-3, INC-DET-4, INC-DET-9, INC-ROLLBACK-ONCE
func TestARunThatIsKilledAnywhereGoesOnAndDoesNothingTwice(t *testing.T) {
	for seed := range uint64(40) {
		made := make(counted)
		r, start := started(t, anyPlaybook(seed, made))
		whole := carryOut(t, r, start, -1, false)
		want := view(t, whole)
		for kill := range whole.calls {
			for _, afterEffect := range []bool{false, true} {
				made := make(counted)
				r, start := started(t, anyPlaybook(seed, made))
				e := carryOut(t, r, start, kill, afterEffect)
				got := view(t, e)
				require.Contains(t, []incident.RunState{incident.StateSucceeded, incident.StateFailed, incident.StateUndone}, got.State)
				if !afterEffect {
					require.Empty(t, cmp.Diff(want.State, got.State), "seed %d kill %d", seed, kill)
					require.Equal(t, states(want), states(got), "seed %d kill %d", seed, kill)
				}
				onlyOnce(t, made, got, fmt.Sprintf("seed %d kill %d after the effect %v", seed, kill, afterEffect))
			}
		}
	}
}

// onlyOnce shows that no action was made twice that may be made once.
func onlyOnce(t *testing.T, made counted, run incident.Run, where string) {
	t.Helper()
	for _, s := range run.Steps {
		if s.Kind == incident.KindAction && s.Repeat != incident.Idempotent && s.Visits == 1 {
			require.LessOrEqual(t, made[s.ID], 1, "%s: %s", where, s.ID)
			require.LessOrEqual(t, made["undo "+s.ID], 1, "%s: undo of %s", where, s.ID)
		}
	}
}

func view(t *testing.T, e *tape) incident.Run {
	t.Helper()
	run, err := incident.ViewRun(t.Context(), e.record, e.clock)
	require.NoError(t, err)
	return run
}

// interrupted is an action whose process is killed after its effect.
type interrupted struct {
	repeat incident.Repeat
	done   func(context.Context, *incident.Scope) (any, bool, error)
	state  incident.StepState
	made   int
}

// looks returns Done of the action: before the first attempt it was not done.
func (c interrupted) looks(made *int) func(context.Context, *incident.Scope) (any, bool, error) {
	if c.done == nil {
		return nil
	}
	return func(ctx context.Context, s *incident.Scope) (any, bool, error) {
		if *made == 0 {
			return nil, false, nil
		}
		return c.done(ctx, s)
	}
}

// Requirement: INC-DET-10, INC-TRAP-6
func TestAnActionThatWasInterrupted(t *testing.T) {
	done := func(is bool, err error) func(context.Context, *incident.Scope) (any, bool, error) {
		return func(context.Context, *incident.Scope) (any, bool, error) { return "found", is, err }
	}
	for name, c := range map[string]interrupted{
		"at most once asks":                 {incident.AtMostOnce, nil, incident.StepDone, 1}, // done, says a person
		"at most once, and seen to be done": {incident.AtMostOnce, done(true, nil), incident.StepDone, 1},
		"at most once, and not seen, asks":  {incident.AtMostOnce, done(false, nil), incident.StepDone, 1},
		"checked, and done":                 {incident.CheckFirst, done(true, nil), incident.StepDone, 1},
		"checked, and not done, is made":    {incident.CheckFirst, done(false, nil), incident.StepDone, 2},
		"cannot be checked, asks":           {incident.CheckFirst, done(false, errors.New("unreachable")), incident.StepDone, 1},
		"idempotent is made again":          {incident.Idempotent, nil, incident.StepDone, 2},
	} {
		t.Run(name, func(t *testing.T) {
			made := 0
			r, start := started(t, playbook(incident.Step{ID: "act", Title: "Act", Do: incident.Action{
				Repeat: c.repeat, Done: c.looks(&made),
				Run:     func(context.Context, *incident.Scope) (any, error) { made++; return nil, nil },
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) { return incident.Effect{}, nil },
			}}))
			e := carryOut(t, r, start, 1, true) // the call after run/begin
			run := view(t, e)
			assert.Equal(t, c.state, run.Step("act").State)
			assert.Equal(t, c.made, made)
		})
	}
}
