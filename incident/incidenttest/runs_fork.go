package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func forkCases() []runsCase {
	return []runsCase{
		{name: "fork takes over what was before a step, and makes the rest anew", test: testFork},
		{name: "fork from the first step", test: testForkFirst},
		{name: "fork from within a group", test: testForkGroup},
		{name: "fork takes over signals and sleeps", test: testForkWaits},
		{name: "fork from a wait", test: testForkFromWait},
		{name: "fork of a run that was cancelled in a call", test: testForkOpen},
		{name: "fork of a run that was cancelled in a wait", test: testForkWaiting},
		{name: "fork is the same but for what it is given", test: testForkStart},
		{name: "fork of a fork", test: testForkFork},
		{name: "fork of a run that has not ended is refused", test: testForkBusy},
		{name: "fork from a step that there is none of", test: testForkUnknown},
		{name: "fork with an ID that there is already", test: testForkAgain},
		{name: "fork waits for the lock", test: testForkLock},
	}
}

// forks forks a run that must be forked, and returns the ID of the new one.
func (x *runsTest) forks(id string, from incident.StepID, name string) string {
	x.t.Helper()
	r, err := x.runs.Fork(x.ctx, id, from, incident.RunFork{ID: x.id(name), By: "grace", Reason: "a test"})
	if err != nil {
		x.t.Fatalf("fork from %q: %v", from, err)
	}
	return r.ID
}

func testFork(x *runsTest) {
	calls := []incident.Call{x.done("a"), x.done("b"), x.done("c"), x.done("d")}
	calls[1].Intent = true
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		var all []string
		for _, c := range calls {
			o, err := e.Steps(ctx, []incident.Call{c})
			if err != nil {
				return nil, err
			}
			all = append(all, string(o[0].Output))
		}
		return json.Marshal(all)
	})
	old := x.ends(x.begin("a"), incident.RunFinished)
	r := x.ends(x.forks(old.ID, "c", "fork"), incident.RunFinished)
	x.wantCalls("a", "b", "c", "d", "c", "d")
	x.wantEntries(r, "a", "b", "c", "d")
	for i, e := range r.Entries {
		was := old.Entries[i].Outcome
		if !sameOutcome(*e.Outcome, *was) || i < 2 && (!sameTime(e.Outcome.Began, was.Began) || !sameTime(e.Outcome.Ended, was.Ended)) {
			x.t.Errorf("outcome %+v; want as it was, %+v", e.Outcome, was)
		}
	}
	if !sameJSON(r.Result, old.Result) {
		x.t.Errorf("result %s; want %s", r.Result, old.Result)
	}
	if now := x.record(old.ID); now.Revision != old.Revision || len(now.Entries) != 4 {
		x.t.Errorf("the other run is now %s; want that it is as it was", describeRun(now))
	}
}

func testForkFirst(x *runsTest) {
	x.doesSteps(x.done("a"), x.done("b"))
	old := x.ends(x.begin("a"), incident.RunFinished)
	x.wantEntries(x.ends(x.forks(old.ID, "a", "fork"), incident.RunFinished), "a", "b")
	x.wantCalls("a", "b", "a", "b")
}

func testForkGroup(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		for _, calls := range [][]incident.Call{{x.done("a")}, {x.done("b"), x.done("c"), x.done("d")}} {
			if o, err := e.Steps(ctx, calls); err != nil || len(o) != len(calls) || !sameJSON(o[0].Output, json.RawMessage(`"`+string(calls[0].ID)+`"`)) {
				return nil, errors.Join(err, errors.New("the outcomes are not those of the calls"))
			}
		}
		return result(e.Steps(ctx, []incident.Call{x.done("e")}))
	})
	old := x.ends(x.begin("a"), incident.RunFinished)
	r := x.ends(x.forks(old.ID, "c", "fork"), incident.RunFinished)
	x.wantEntries(r, "a", "b", "c", "d", "e")
	for step, want := range map[incident.StepID]int{"a": 1, "b": 1, "c": 2, "d": 2, "e": 2} {
		if got := x.count(step); got != want {
			x.t.Errorf("call %q was made %d times; want %d", step, got, want)
		}
	}
}

// doesWaits sleeps and asks, and then makes a call.
func (x *runsTest) doesWaits(last incident.Call) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if err := e.Sleep(ctx, "nap", time.Now()); err != nil {
			return nil, err
		}
		s, err := e.Await(ctx, "ask", "answer", time.Time{})
		if err != nil {
			return nil, err
		}
		late, err := e.Await(ctx, "late", "answer", time.Now())
		if err != nil || !late.Expired {
			return nil, errors.Join(err, errors.New("a signal came that nobody sent"))
		}
		_, err = e.Steps(ctx, []incident.Call{last})
		return result(s.Kind, err)
	})
}

func testForkWaits(x *runsTest) {
	x.doesWaits(x.done("a"))
	id := x.begin("a")
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	old := x.ends(id, incident.RunFinished)
	r := x.ends(x.forks(id, "a", "fork"), incident.RunFinished)
	x.wantEntries(r, "nap", "ask", "late", "a")
	if s := r.Entries[1].Signal; !sameJSON(r.Result, json.RawMessage(`"approve"`)) || s == nil || s.ID != "1" || !sameTime(r.Entries[0].Slept, old.Entries[0].Slept) {
		x.t.Errorf("run %s; want the signal and the sleep of the other one", describeRun(r))
	}
}

func testForkFromWait(x *runsTest) {
	x.doesWaits(x.done("a"))
	id := x.begin("a")
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	x.ends(id, incident.RunFinished)
	fork := x.forks(id, "ask", "fork")
	x.waits(fork, "ask") // the signal was for the other one
	x.sends(fork, "answer", incident.Signal{ID: "1", Kind: "deny"})
	r := x.ends(fork, incident.RunFinished)
	if x.wantEntries(r, "nap", "ask", "late", "a"); !sameJSON(r.Result, json.RawMessage(`"deny"`)) {
		x.t.Errorf("result %s; want the new signal", r.Result)
	}
}

func testForkOpen(x *runsTest) {
	hangs := x.stubborn("b")
	hangs.Intent = true
	x.doesSteps(x.done("a"), hangs, x.done("c"))
	id := x.begin("a")
	x.makes("b", 1)
	x.must(x.runs.Cancel(x.ctx, id, by("grace")))
	if r := x.ends(id, incident.RunCancelled); len(r.Open) != 1 || r.Open[0].Step != "b" {
		x.t.Errorf("run %s; want b open, as nobody knows how it ended", describeRun(r))
	}
	x.open("b")
	x.wantEntries(x.ends(x.forks(id, "b", "fork"), incident.RunFinished), "a", "b", "c")
	x.wantCalls("a", "b", "b", "c")
}

func testForkWaiting(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{x.done("a")}); err != nil {
			return nil, err
		}
		s, err := e.Await(ctx, "ask", "answer", time.Time{})
		return result(s.ID, err)
	})
	id := x.begin("a")
	x.waits(id, "ask")
	x.must(x.runs.Cancel(x.ctx, id, by("grace")))
	x.ends(id, incident.RunCancelled)
	fork := x.forks(id, "ask", "fork")
	x.sends(fork, "answer", incident.Signal{ID: "1"})
	x.wantEntries(x.ends(fork, incident.RunFinished), "a", "ask")
	x.wantCalls("a")
}

func testForkStart(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		_, err := e.Steps(ctx, []incident.Call{x.done("a")})
		return run.Input, err
	})
	run := x.locked("a", "lock")
	run.Labels["environment"], run.Program = "production", otherRunsProgram
	x.ends(x.start(run), incident.RunFinished)
	want := run
	want.ID, want.By, want.Fork, want.ForkStep = x.id("same"), "grace", run.ID, "a"
	r := x.ends(x.forks(run.ID, "a", "same"), incident.RunFinished)
	if !sameRun(r.RunStart, want) || !sameJSON(r.Result, run.Input) || r.At.Before(x.record(run.ID).At) {
		x.t.Errorf("run %s; want %+v, started now", describeRun(r), want)
	}
	input := json.RawMessage(`{"another":true}`)
	_, err := x.runs.Fork(x.ctx, run.ID, "a", incident.RunFork{ID: x.id("other"), Input: input, By: "ada"})
	x.must(err)
	want.ID, want.By, want.Input = x.id("other"), "ada", input
	if r := x.ends(want.ID, incident.RunFinished); !sameRun(r.RunStart, want) || !sameJSON(r.Result, input) {
		x.t.Errorf("run %s; want %+v", describeRun(r), want)
	}
	large := incident.RunFork{ID: x.id("invalid"), Input: json.RawMessage(`{`)}
	if _, err := x.runs.Fork(x.ctx, run.ID, "a", large); err == nil || !runbook.SafeToRetry(err) {
		x.t.Errorf("error %v; want one that says that nothing was begun", err)
	}
}

func testForkFork(x *runsTest) {
	x.doesSteps(x.done("a"), x.done("b"), x.done("c"))
	id := x.begin("a")
	x.ends(id, incident.RunFinished)
	first := x.forks(id, "c", "first")
	x.ends(first, incident.RunFinished)
	second := x.forks(first, "b", "second")
	r := x.ends(second, incident.RunFinished)
	if x.wantEntries(r, "a", "b", "c"); r.Fork != first || r.ForkStep != "b" {
		x.t.Errorf("run %s; want one that was forked from %q", describeRun(r), first)
	}
	x.wantCalls("a", "b", "c", "c", "b", "c")
}

func testForkBusy(x *runsTest) {
	x.doesSteps(x.done("a"), x.gated("b"))
	run := x.locked("a", "lock")
	x.start(run)
	x.makes("b", 1)
	queued := x.start(x.locked("queued", "lock"))
	for _, id := range []string{run.ID, queued} {
		_, err := x.runs.Fork(x.ctx, id, "a", incident.RunFork{ID: x.id("fork")})
		wants(x.t, err, incident.ErrBusy)
	}
	if _, err := x.runs.Record(x.ctx, x.id("fork"), -1); !errors.Is(err, incident.ErrNotFound) {
		x.t.Errorf("error %v; want that nothing was forked", err)
	}
	x.open("b")
	x.ends(queued, incident.RunFinished)
}

func testForkUnknown(x *runsTest) {
	x.doesSteps(x.done("a"), x.done("b"))
	id := x.begin("a")
	x.ends(id, incident.RunFinished)
	for _, from := range []incident.StepID{"c", "", "A", "a@2"} {
		_, err := x.runs.Fork(x.ctx, id, from, incident.RunFork{ID: x.id("fork")})
		wants(x.t, err, incident.ErrNotFound)
	}
	x.nothing()
	x.wantCalls("a", "b")
	x.wantList("nothing was forked", x.mine(), "a")
}

func testForkAgain(x *runsTest) {
	x.doesSteps(x.done("a"), x.done("b"))
	id := x.begin("a")
	x.ends(id, incident.RunFinished)
	fork := x.forks(id, "b", "fork")
	x.ends(fork, incident.RunFinished)
	if again := x.forks(id, "b", "fork"); again != fork { // as if the answer had been lost
		x.t.Errorf("forked again it is %q; want %q", again, fork)
	}
	for _, ids := range [][2]string{{"a", "b"}, {"fork", "a"}} {
		_, err := x.runs.Fork(x.ctx, id, incident.StepID(ids[1]), incident.RunFork{ID: x.id(ids[0]), By: "grace", Reason: "a test"})
		wants(x.t, err, incident.ErrStale)
	}
	x.wantCalls("a", "b", "b")
}

func testForkLock(x *runsTest) {
	x.doesSteps(x.gated("a"))
	x.open("a")
	old := x.start(x.locked("old", "lock"))
	x.ends(old, incident.RunFinished)
	x.doesSteps(x.gated("other"))
	other := x.start(x.locked("other", "lock"))
	x.makes("other", 1)
	x.doesSteps(x.done("b"))
	fork := x.forks(old, "a", "fork")
	x.nothing()
	if r := x.record(fork); r.Status != incident.RunQueued || r.Lock != x.key+"-lock" {
		x.t.Errorf("run %s; want that it waits for the lock", describeRun(r))
	}
	x.open("other")
	x.ends(other, incident.RunFinished)
	x.ends(fork, incident.RunFinished)
	x.wantCalls("a", "other", "b")
}
