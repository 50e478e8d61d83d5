package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// PlaybookCase is a playbook in a world of its own, for one run of it.
type PlaybookCase struct {
	// Playbook is the playbook, Parameters its parameters. Incident is the incident to which
	// the run belongs; empty if to none.
	Playbook   incident.Playbook
	Parameters map[string]string
	Incident   string
	// Again makes the playbook anew, of the same world, as the process does that goes on
	// after one that died: with nothing of what that had in its memory. Nil means that the
	// funcs of Playbook keep nothing.
	Again func() incident.Playbook
	// Answer says what people answer to a question; an empty Kind means that nobody does.
	// Nil approves, says of what is to be done by hand that it is done, and ends the run
	// when a step has failed.
	Answer func(q incident.Question) incident.Answer
	// Effects returns what was changed in the world until now, in order. A fault that the
	// world has must not go away by being asked for again: what is tried again after a crash
	// would have effects that it has not without one.
	Effects func() []string
	// Refused returns the changes that the world refused because nothing may be changed in
	// the context, see [Platform.Refused]: a plan that tries one is a mistake, also if the
	// playbook does not let it be seen. Optional.
	Refused func() []string
	// Check looks at the world, and at the run, when it has come to its end without an
	// interruption. Optional.
	Check func(t testing.TB, run incident.Run)
}

// PlaybookHarness is what [TestPlaybook] needs of a playbook.
type PlaybookHarness struct {
	// New makes the world in which the playbook is needed, in a bubble of virtual time.
	New func(t testing.TB) PlaybookCase
	// Want is how the run ends; empty means succeeded.
	Want incident.RunState
	// Repeatable reports whether an effect may come once more after a process died in the
	// middle of it: since twice is the same as once. Nil means that none may.
	Repeatable func(effect string) bool
	// Whole is told the run that came to its end without an interruption. At each of its
	// calls the playbook is killed, and each of its steps is made to fail: with the steps of
	// all such runs you know of which step of your playbooks no case shows anything. Optional.
	Whole func(run incident.Run)
}

// TestPlaybook checks what every playbook promises: it is valid; a plan of it changes
// nothing; it comes to its end; it does the same if its process is killed before any
// call, and nothing beyond that if it is killed right after one, and ends in the same way
// or asks a person; and each step may fail, people may say no to each approval and to each
// thing that they are to do, and may not answer it, which is what the run then says of it.
// What comes of that is what the step says: the run goes on, asks a person, or ends. Use
// it in a test of your own playbooks.
func TestPlaybook(t *testing.T, h PlaybookHarness) {
	want := h.Want
	if want == "" {
		want = incident.StateSucceeded
	}
	whole := playbookRun{kill: -1}
	t.Run("runs to its end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c := h.New(t)
			whole.carryOut(t, c)
			if whole.run.State != want {
				t.Fatalf("the run %s: %s; want %s\n%s", whole.run.State, whole.run.Reason, want, stepsOf(whole.run))
			}
			if c.Check != nil {
				c.Check(t, whole.run)
			}
			if h.Whole != nil {
				h.Whole(whole.run)
			}
		})
	})
	t.Run("a plan changes nothing", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { testPlanOf(t, h.New(t)) })
	})
	if t.Failed() {
		return
	}
	t.Run("killed before any call", func(t *testing.T) {
		for kill := range whole.calls {
			synctest.Test(t, func(t *testing.T) {
				r := playbookRun{kill: kill}
				r.carryOut(t, h.New(t))
				if r.run.State != want || !slices.Equal(r.effects, whole.effects) {
					t.Errorf("killed before call %d (%s): it %s: %s, with the effects\n%q\nwant\n%q", kill, r.killed, r.run.State, r.run.Reason, r.effects, whole.effects)
				}
			})
		}
	})
	t.Run("killed after any call", func(t *testing.T) {
		for kill := range whole.calls {
			synctest.Test(t, func(t *testing.T) {
				r := playbookRun{kill: kill, after: true}
				r.carryOut(t, h.New(t))
				for _, effect := range beyond(r.effects, whole.effects) {
					if h.Repeatable == nil || !h.Repeatable(effect) {
						t.Errorf("killed after call %d (%s): it did beyond what it should: %s; all effects are\n%q\nwant\n%q", kill, r.killed, effect, r.effects, whole.effects)
					}
				}
				if r.run.State != want && len(r.decided) == 0 {
					t.Errorf("killed after call %d (%s): it %s, and asked nobody: %s", kill, r.killed, r.run.State, r.run.Reason)
				}
			})
		}
	})
	t.Run("each step fails", func(t *testing.T) { testEachStepFails(t, h, whole.run) })
}

// testPlanOf plans, and looks whether anything was changed.
func testPlanOf(t *testing.T, c PlaybookCase) {
	r, runs := runnerOf(t, c)
	defer closeRuns(t, runs)
	before := c.Effects()
	plan, err := r.Plan(t.Context(), incident.Request{Environment: c.Playbook.Environment, Playbook: c.Playbook.Name, Parameters: c.Parameters, By: "planner"})
	if err != nil {
		t.Fatal(err)
	}
	if after := c.Effects(); !slices.Equal(before, after) {
		t.Errorf("the plan changed something: %q", after[len(before):])
	}
	if c.Refused != nil && len(c.Refused()) > 0 {
		t.Errorf("the plan tried to change something: %q", c.Refused())
	}
	if plan.Hash == "" || !plan.Run.Simulated {
		t.Errorf("the plan has the hash %q and is simulated: %v", plan.Hash, plan.Run.Simulated)
	}
	for _, s := range plan.Run.Steps {
		if s.Kind == incident.KindAction && s.State == incident.StepDone && (s.Effect == nil || s.Effect.Call == "") {
			t.Errorf("step %s would be made, and the plan does not say what it does", s.ID)
		}
	}
}

// beyond returns the effects that there are beyond those that there should be, each as
// often as there are more of it: a deployment that is made twice has another id each time.
func beyond(effects, want []string) (more []string) {
	want = slices.Clone(want)
	for _, effect := range effects {
		if i := slices.Index(want, effect); i >= 0 {
			want = slices.Delete(want, i, i+1)
			continue
		}
		more = append(more, effect)
	}
	return more
}

// stepsOf says how far the steps of a run are.
func stepsOf(run incident.Run) (text string) {
	for _, s := range run.Steps {
		text += fmt.Sprintf("  %-20s %-8s %s\n", s.ID, s.State, s.Message)
	}
	return text
}

// runnerOf returns a runner of the playbook of a case, whose runs are never carried out.
func runnerOf(t testing.TB, c PlaybookCase) (*incident.Runner, *incident.MemoryRuns) {
	t.Helper()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{c.Playbook}, Runs: runs, Store: new(incident.MemoryStore)})
	if err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) { return nil, nil }
	if err := runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: nothing}); err != nil {
		t.Fatal(err)
	}
	return r, runs
}

func closeRuns(t testing.TB, runs *incident.MemoryRuns) {
	if err := runs.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Error(err)
	}
}

var errKilled = errors.New("the process was killed in this test")

// playbookRun is an engine that keeps its record over the death of its process.
type playbookRun struct {
	// kill counts down the new calls to the death; negative means never. With after, the
	// process dies after the call was made and before it is recorded.
	kill  int
	after bool

	answer func(q incident.Question) incident.Answer
	record incident.RunRecord
	// decided are the steps of which people were asked what to do about them.
	decided []string
	intents map[incident.StepID][]incident.Attempt
	asked   map[string]int
	calls   int
	killed  incident.StepID
	run     incident.Run
	effects []string
}

// carryOut carries the playbook of a case out to its end.
func (r *playbookRun) carryOut(t testing.TB, c PlaybookCase) {
	t.Helper()
	runner, runs := runnerOf(t, c)
	defer closeRuns(t, runs)
	started, err := runner.Start(t.Context(), incident.Request{ID: "run-1", Environment: c.Playbook.Environment, Playbook: c.Playbook.Name, Parameters: c.Parameters, Incident: c.Incident, By: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	r.record, err = runs.Record(t.Context(), started.ID, -1)
	if err != nil {
		t.Fatal(err)
	}
	r.record.Entries, r.record.Result, r.record.Status, r.record.Ended = nil, nil, incident.RunRunning, time.Time{}
	r.intents, r.asked, r.answer = make(map[incident.StepID][]incident.Attempt), make(map[string]int), c.Answer
	if r.answer == nil {
		r.answer = agree
	}
	result, err := runner.Program()(t.Context(), r, r.record.RunStart)
	if errors.Is(err, errKilled) {
		if c.Again != nil {
			c.Playbook = c.Again()
		}
		next, others := runnerOf(t, c)
		defer closeRuns(t, others)
		result, err = next.Program()(t.Context(), r, r.record.RunStart)
	}
	if err != nil {
		t.Fatalf("the run does not come to its end: %v", err)
	}
	r.record.Result, r.record.Status = result, incident.RunFinished
	if r.run, err = incident.ViewRun(t.Context(), r.record, time.Now()); err != nil {
		t.Fatal(err)
	}
	r.effects = c.Effects()
}

// agree approves, and ends what has failed.
func agree(q incident.Question) incident.Answer {
	switch q.Kind {
	case "approve":
		return incident.Answer{Kind: incident.AnswerApprove, Actor: "kim"}
	case "manual":
		return incident.Answer{Kind: incident.AnswerDone, Actor: "kim"}
	}
	if slices.Contains(q.Answers, incident.AnswerAbort) {
		return incident.Answer{Kind: incident.AnswerAbort, Actor: "kim", Comment: "it has failed"}
	}
	return incident.Answer{Kind: incident.AnswerSkip, Actor: "kim", Comment: "it has failed"}
}

func (r *playbookRun) recorded(id incident.StepID) (incident.RunEntry, bool) {
	i := slices.IndexFunc(r.record.Entries, func(e incident.RunEntry) bool { return e.ID == id })
	if i < 0 {
		return incident.RunEntry{}, false
	}
	return r.record.Entries[i], true
}

// dies counts a new call, and reports whether the process dies at it.
func (r *playbookRun) dies(id incident.StepID) bool {
	r.calls++
	r.kill--
	if r.kill == -1 {
		r.killed = id
	}
	return r.kill == -1
}

// Steps implements [incident.Engine].
func (r *playbookRun) Steps(ctx context.Context, calls []incident.Call) ([]incident.Outcome, error) {
	outcomes := make([]incident.Outcome, len(calls))
	for i, call := range calls {
		if old, ok := r.recorded(call.ID); ok {
			outcomes[i] = *old.Outcome
			continue
		}
		dies := r.dies(call.ID)
		if dies && !r.after {
			return nil, errKilled
		}
		prior := r.intents[call.ID]
		if call.Intent {
			r.intents[call.ID] = append(slices.Clone(prior), incident.Attempt{Step: call.ID, Process: "a", At: time.Now()})
		}
		o := call.Do(ctx, prior)
		if dies {
			return nil, errKilled
		}
		r.record.Entries = append(r.record.Entries, incident.RunEntry{ID: call.ID, Outcome: &o})
		outcomes[i] = o
	}
	return outcomes, nil
}

// Sleep implements [incident.Engine].
func (r *playbookRun) Sleep(_ context.Context, id incident.StepID, until time.Time) error {
	if _, ok := r.recorded(id); ok {
		return nil
	}
	if r.dies(id) {
		return errKilled
	}
	time.Sleep(time.Until(until))
	r.record.Entries = append(r.record.Entries, incident.RunEntry{ID: id, Slept: until})
	return nil
}

// Await implements [incident.Engine].
func (r *playbookRun) Await(_ context.Context, id incident.StepID, topic string, deadline time.Time) (incident.Signal, error) {
	if old, ok := r.recorded(id); ok {
		return *old.Signal, nil
	}
	if r.dies(id) {
		return incident.Signal{}, errKilled
	}
	var q incident.Question
	if asked, ok := r.recorded(incident.StepID(topic)); ok {
		if err := json.Unmarshal(asked.Outcome.Output, &q); err != nil {
			return incident.Signal{}, err
		}
	}
	if q.Kind == "decide" {
		r.decided = append(r.decided, q.Step)
	}
	a := r.answer(q)
	if r.asked[topic]++; a.Kind == "" || r.asked[topic] > 20 {
		time.Sleep(time.Until(deadline))
		a = incident.Answer{}
	}
	s := incident.Signal{ID: topic + "/" + a.Actor, Kind: a.Kind, Actor: a.Actor, Comment: a.Comment, Data: a.Output, At: time.Now(), Expired: a.Kind == ""}
	if a.To != "" {
		s.Data = json.RawMessage(fmt.Sprintf(`{"to":%q}`, a.To))
	}
	r.record.Entries = append(r.record.Entries, incident.RunEntry{ID: id, Signal: &s})
	return s, nil
}
