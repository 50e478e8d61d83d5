package incidenttest

import (
	"context"
	"encoding/json"
	"slices"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func controlCases() []runsCase {
	return []runsCase{
		{name: "hold begins nothing new, and what is under way ends", test: testHold},
		{name: "hold of a run that waits for a signal", test: testHoldWait},
		{name: "hold of a run that sleeps", test: testHoldSleep},
		{name: "hold of a queued run", test: testHoldQueued},
		{name: "the first hold counts", test: testHoldTwice},
		{name: "hold and release of what is not to be", test: testHoldEnded},
		{name: "cancel reaches a call that is under way", test: testCancelCall},
		{name: "cancel does not wait for the outcome", test: testCancelStubborn},
		{name: "cancel of a run that waits", test: testCancelWait},
		{name: "cancel of a run that is held", test: testCancelHeld},
		{name: "cancel of a queued run", test: testCancelQueued},
		{name: "cancelled stays cancelled", test: testCancelTwice},
		{name: "cancel of a run that has ended is refused", test: testCancelEnded},
		{name: "nothing begins after cancel", test: testCancelNothing},
		{name: "a read-only context changes nothing", test: testReadOnly},
	}
}

func testHold(x *runsTest) {
	x.doesSteps(x.gated("a"), x.done("b"))
	id := x.begin("a")
	x.makes("a", 1)
	before := time.Now()
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	held := x.until(id, "it is held", func(r incident.RunRecord) bool { return r.Held != nil }).Held
	if held.By != "grace" || held.Reason != "a test" || held.At.Before(before.Add(-time.Millisecond)) || held.At.After(time.Now().Add(time.Millisecond)) {
		x.t.Errorf("held is %+v; want by whom, why and when", held)
	}
	x.open("a")
	x.has(id, "a")
	x.nothing()
	x.wantCalls("a")
	if r := x.record(id); r.Status != incident.RunRunning || r.Held == nil {
		x.t.Errorf("run %s; want one that is running and held", describeRun(r))
	}
	x.must(x.runs.Release(x.ctx, id, by("ada")))
	if r := x.ends(id, incident.RunFinished); r.Held != nil {
		x.t.Errorf("held is %+v after it was released", r.Held)
	}
	x.wantCalls("a", "b")
}

func testHoldWait(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Await(ctx, "ask", "answer", time.Time{}); err != nil {
			return nil, err
		}
		return result(e.Steps(ctx, []incident.Call{x.done("a")}))
	})
	id := x.begin("a")
	x.waits(id, "ask")
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.sends(id, "answer", incident.Signal{ID: "1"})
	if e := x.has(id, "ask"); e.Signal.ID != "1" {
		x.t.Errorf("entry %+v; want the signal", e)
	}
	x.nothing()
	x.wantCalls()
	x.must(x.runs.Release(x.ctx, id, by("grace")))
	x.ends(id, incident.RunFinished)
	x.wantCalls("a")
}

func testHoldSleep(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		until, err := x.appointed(ctx)
		if err != nil {
			return nil, err
		}
		if err := e.Sleep(ctx, "nap", until); err != nil {
			return nil, err
		}
		if err := e.Sleep(ctx, "again", time.Now()); err != nil {
			return nil, err
		}
		return result(e.Steps(ctx, []incident.Call{x.done("a")}))
	})
	id := x.begin("a")
	x.appoint(id, 3*x.quiet)
	x.waits(id, "nap")
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.has(id, "nap")
	x.nothing()
	x.wantEntries(x.record(id), "nap")
	x.must(x.runs.Release(x.ctx, id, by("grace")))
	x.wantEntries(x.ends(id, incident.RunFinished), "nap", "again", "a")
}

func testHoldQueued(x *runsTest) {
	x.doesSteps(x.gated("first"))
	first := x.start(x.locked("first", "lock"))
	x.makes("first", 1)
	second := x.start(x.locked("second", "lock"))
	x.must(x.runs.Hold(x.ctx, second, by("grace")))
	if r := x.record(second); r.Status != incident.RunQueued || r.Held == nil {
		x.t.Errorf("run %s; want one that is queued and held", describeRun(r))
	}
	x.doesSteps(x.done("second"))
	x.open("first")
	x.ends(first, incident.RunFinished)
	x.nothing()
	x.wantCalls("first")
	x.must(x.runs.Release(x.ctx, second, by("grace")))
	x.ends(second, incident.RunFinished)
	x.wantCalls("first", "second")
}

func testHoldTwice(x *runsTest) {
	x.doesSteps(x.gated("a"))
	id := x.begin("a")
	x.makes("a", 1)
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.must(x.runs.Hold(x.ctx, id, by("ada")))
	if r := x.record(id); r.Held == nil || r.Held.By != "grace" {
		x.t.Errorf("held is %+v; want by the first one", r.Held)
	}
	x.must(x.runs.Release(x.ctx, id, by("ada"))) // one release is enough
	if r := x.record(id); r.Held != nil {
		x.t.Errorf("held is %+v; want that it is not", r.Held)
	}
	x.must(x.runs.Hold(x.ctx, id, by("ada")))
	if r := x.record(id); r.Held == nil || r.Held.By != "ada" {
		x.t.Errorf("held is %+v; want by who held it again", r.Held)
	}
	x.must(x.runs.Release(x.ctx, id, by("ada")))
	x.open("a")
	x.ends(id, incident.RunFinished)
}

func testHoldEnded(x *runsTest) {
	x.doesSteps(x.gated("a"))
	id := x.begin("a")
	x.must(x.runs.Release(x.ctx, id, by("ada"))) // it is not held
	x.open("a")
	x.ends(id, incident.RunFinished)
	wants(x.t, x.runs.Hold(x.ctx, id, by("ada")), incident.ErrStale)
	if r := x.record(id); r.Held != nil {
		x.t.Errorf("held is %+v; want that it is not", r.Held)
	}
}

func testCancelCall(x *runsTest) {
	var told atomic.Int64
	until := func(id incident.StepID) incident.Call {
		return x.call(id, func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
			select {
			case <-ctx.Done():
				told.Add(1)
			case <-x.end:
			}
			return incident.Outcome{Status: incident.Unknown}
		})
	}
	x.doesGroup(until("a"), until("b"))
	id := x.begin("a")
	x.makes("a", 1)
	x.makes("b", 1)
	before := time.Now()
	x.must(x.runs.Cancel(x.ctx, id, by("grace")))
	x.soon("the contexts of both calls end", func() bool { return told.Load() == 2 })
	r := x.ends(id, incident.RunCancelled)
	if c := r.Cancelled; c == nil || c.By != "grace" || c.Reason != "a test" || c.At.Before(before.Add(-time.Millisecond)) || c.At.After(time.Now().Add(time.Millisecond)) {
		x.t.Errorf("cancelled is %+v; want by whom, why and when", c)
	}
}

func testCancelStubborn(x *runsTest) {
	x.doesSteps(x.stubborn("a"), x.done("b"))
	run := x.locked("a", "lock")
	x.start(run)
	x.makes("a", 1)
	x.must(x.runs.Cancel(x.ctx, run.ID, by("grace")))
	x.ends(run.ID, incident.RunCancelled)
	x.doesSteps(x.done("c"))
	x.ends(x.start(x.locked("b", "lock")), incident.RunFinished) // its lock is free
	x.open("a")
	x.nothing()
	if r := x.record(run.ID); r.Status != incident.RunCancelled || slices.Contains(entryIDs(r), "b") {
		x.t.Errorf("run %s; want that it stays cancelled", describeRun(r))
	}
	x.wantCalls("a", "c")
}

func testCancelWait(x *runsTest) {
	var told atomic.Int64
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		var err error
		if run.Labels["waits"] == "sleep" {
			err = e.Sleep(ctx, "wait", time.Now().Add(24*time.Hour))
		} else {
			_, err = e.Await(ctx, "wait", "answer", time.Now().Add(24*time.Hour))
		}
		if err != nil {
			told.Add(1)
			return nil, err
		}
		return result(e.Steps(ctx, []incident.Call{x.done("a")}))
	})
	for i, kind := range []string{"sleep", "signal"} {
		run := x.run(kind)
		run.Labels["waits"] = kind
		x.start(run)
		x.waits(run.ID, "wait")
		x.must(x.runs.Cancel(x.ctx, run.ID, by("grace")))
		if r := x.ends(run.ID, incident.RunCancelled); len(r.Waits) != 0 || r.Cancelled == nil {
			x.t.Errorf("run %s; want that it was cancelled and waits for nothing", describeRun(r))
		}
		x.soon("the program gets an error", func() bool { return told.Load() == int64(i+1) })
		wants(x.t, x.runs.Signal(x.ctx, run.ID, "answer", incident.Signal{ID: "1"}), incident.ErrStale)
	}
	x.wantCalls()
}

func testCancelHeld(x *runsTest) {
	x.doesSteps(x.gated("a"), x.done("b"))
	id := x.begin("a")
	x.makes("a", 1)
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.open("a")
	x.has(id, "a")
	x.must(x.runs.Cancel(x.ctx, id, by("ada")))
	x.ends(id, incident.RunCancelled)
	x.must(x.runs.Release(x.ctx, id, by("ada")))
	x.nothing()
	x.wantCalls("a")
}

func testCancelQueued(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		return result(e.Steps(ctx, []incident.Call{x.gated(incident.StepID(run.Labels["step"]))}))
	})
	start := func(name string) string {
		run := x.locked(name, "lock")
		run.Labels["step"] = name
		return x.start(run)
	}
	first := start("1")
	x.makes("1", 1)
	second, third := start("2"), start("3")
	x.must(x.runs.Cancel(x.ctx, second, by("grace")))
	if r := x.ends(second, incident.RunCancelled); r.Cancelled == nil || !r.Began.IsZero() {
		x.t.Errorf("run %s; want that it was cancelled and never began", describeRun(r))
	}
	if r := x.record(third); r.Status != incident.RunQueued {
		x.t.Errorf("the third is %s; want that it is queued behind the first", describeRun(r))
	}
	x.open("1")
	x.ends(first, incident.RunFinished)
	x.open("3")
	x.ends(third, incident.RunFinished)
	x.wantCalls("1", "3")
}

func testCancelTwice(x *runsTest) {
	x.doesSteps(x.gated("a"))
	id := x.begin("a")
	x.makes("a", 1)
	x.must(x.runs.Cancel(x.ctx, id, by("grace")))
	x.must(x.runs.Cancel(x.ctx, id, by("ada")))
	if r := x.ends(id, incident.RunCancelled); r.Cancelled == nil || r.Cancelled.By != "grace" {
		x.t.Errorf("cancelled is %+v; want by the first one", r.Cancelled)
	}
	x.must(x.runs.Cancel(x.ctx, id, by("ada")))
	wants(x.t, x.runs.Hold(x.ctx, id, by("ada")), incident.ErrStale)
}

func testCancelEnded(x *runsTest) {
	x.doesSteps(x.done("a"))
	id := x.begin("a")
	x.ends(id, incident.RunFinished)
	wants(x.t, x.runs.Cancel(x.ctx, id, by("ada")), incident.ErrStale)
	if r := x.record(id); r.Status != incident.RunFinished || r.Cancelled != nil {
		x.t.Errorf("run %s; want that it has finished", describeRun(r))
	}
}

func testCancelNothing(x *runsTest) {
	// A program that does not heed the error of its engine.
	var refused atomic.Int64
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		for _, c := range []incident.Call{x.gated("a"), x.done("b"), x.done("c")} {
			if _, err := e.Steps(ctx, []incident.Call{c}); err != nil {
				refused.Add(1)
			}
		}
		if err := e.Sleep(ctx, "nap", time.Now().Add(time.Hour)); err != nil {
			refused.Add(1)
		}
		if _, err := e.Await(ctx, "ask", "answer", time.Now().Add(time.Hour)); err != nil {
			refused.Add(1)
		}
		return json.RawMessage(`"done"`), nil
	})
	id := x.begin("a")
	x.makes("a", 1)
	x.must(x.runs.Cancel(x.ctx, id, by("grace")))
	x.soon("each call is refused", func() bool { return refused.Load() == 5 })
	if r := x.ends(id, incident.RunCancelled); len(r.Result) != 0 {
		x.t.Errorf("run %s; want no result", describeRun(r))
	}
	x.nothing()
	if r := x.record(id); r.Status != incident.RunCancelled {
		x.t.Errorf("run %s; want that it stays cancelled", describeRun(r))
	}
	x.wantCalls("a")
}

func testReadOnly(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		s, err := e.Await(ctx, "wait", "answer", time.Time{})
		if err != nil {
			return nil, err
		}
		return result(e.Steps(ctx, []incident.Call{x.done(incident.StepID("a-" + s.ID))}))
	})
	id := x.begin("a")
	x.waits(id, "wait")
	ctx := runbook.ReadOnly(x.ctx)
	started, err := x.runs.Start(ctx, x.run("b"))
	isReadOnly(x.t, err)
	if started.ID != "" {
		x.t.Errorf("run %s came with the error", describeRun(started))
	}
	_, err = x.runs.Start(ctx, incident.RunStart{}) // that comes before everything else
	isReadOnly(x.t, err)
	isReadOnly(x.t, x.runs.Signal(ctx, id, "", incident.Signal{}))
	isReadOnly(x.t, x.runs.Hold(ctx, x.id("missing"), by("grace")))
	_, err = x.runs.Fork(ctx, x.id("missing"), "a", incident.RunFork{})
	isReadOnly(x.t, err)
	isReadOnly(x.t, x.runs.Signal(ctx, id, "answer", incident.Signal{ID: "never", Actor: "ada"}))
	isReadOnly(x.t, x.runs.Hold(ctx, id, by("grace")))
	isReadOnly(x.t, x.runs.Cancel(ctx, id, by("grace")))
	_, err = x.runs.Replace(ctx, []incident.Replacement{x.looked(id, x.run("b"))})
	isReadOnly(x.t, err)
	x.nothing()
	if r, err := x.runs.Record(ctx, id, -1); err != nil || r.Status != incident.RunRunning || r.Held != nil || r.Cancelled != nil || len(r.Waits) != 1 {
		x.t.Errorf("run %s, error %v; want one that waits as before", describeRun(r), err)
	}
	x.wantList("nothing was started", x.mine(), "a")
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	isReadOnly(x.t, x.runs.Release(ctx, id, by("grace")))
	if r := x.record(id); r.Held == nil {
		x.t.Errorf("run %s; want one that is held still", describeRun(r))
	}
	x.must(x.runs.Release(x.ctx, id, by("grace")))
	x.sends(id, "answer", incident.Signal{ID: "1", Actor: "ada"})
	x.ends(id, incident.RunFinished)
	x.wantCalls("a-1")
	_, err = x.runs.Fork(ctx, id, "a-1", incident.RunFork{ID: x.id("fork"), By: "ada"})
	isReadOnly(x.t, err)
	x.wantList("nothing was forked", x.mine(), "a")
}
