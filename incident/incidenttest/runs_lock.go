package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/incident"
)

func lockCases() []runsCase {
	return []runsCase{
		{name: "a run waits for its lock, in turn", test: testLockQueue},
		{name: "runs of one lock never overlap", test: testLockOverlap},
		{name: "runs of two locks do not wait for each other", test: testLocksApart},
		{name: "runs without a lock do not wait for each other", test: testNoLock},
		{name: "a run that refuses to wait is refused", test: testRefuse},
		{name: "of those that refuse, one begins", test: testRefuseRace},
		{name: "a run has its lock while it waits for a person", test: testLockWhileWaiting},
		{name: "a run that ends frees its lock, however it ends", test: testLockFreed},
	}
}

// doesNamed makes one call that is named as the run is, and waits for its gate.
func (x *runsTest) doesNamed() {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		return result(e.Steps(ctx, []incident.Call{x.gated(incident.StepID(strings.TrimPrefix(run.ID, x.key+"-")))}))
	})
}

func testLockQueue(x *runsTest) {
	x.doesNamed()
	names := []incident.StepID{"1", "2", "3", "4"}
	for i, name := range names {
		id := x.start(x.locked(string(name), "lock"))
		if i == 0 {
			x.makes(name, 1)
			continue
		}
		if r := x.record(id); r.Status != incident.RunQueued || !r.Began.IsZero() || r.Process != "" {
			x.t.Errorf("run %s; want that it is queued", describeRun(r))
		}
	}
	for i, name := range names {
		x.makes(name, 1)
		if i == 0 {
			x.nothing()
		}
		x.wantCalls(names[:i+1]...)
		x.open(name)
		x.ends(x.id(string(name)), incident.RunFinished)
	}
}

func testLockOverlap(x *runsTest) {
	var inside, most atomic.Int64
	x.doesSteps(x.call("a", func(context.Context, []incident.Attempt) incident.Outcome {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		x.pause(3 * time.Millisecond)
		inside.Add(-1)
		return incident.Outcome{Status: incident.Done}
	}))
	const runs = 12
	each(runs, func(i int) {
		if _, err := x.runs.Start(x.ctx, x.locked(fmt.Sprint(i), "lock")); err != nil {
			x.t.Error(err)
		}
	})
	for i := range runs {
		x.ends(x.id(fmt.Sprint(i)), incident.RunFinished)
	}
	if x.count("a") != runs || most.Load() != 1 {
		x.t.Errorf("%d calls of %d runs were made, %d at the same time; want each, one at a time", x.count("a"), runs, most.Load())
	}
}

func testLocksApart(x *runsTest) {
	x.doesNamed()
	x.start(x.locked("1", "test"))
	x.start(x.locked("2", "production"))
	x.makes("1", 1)
	x.makes("2", 1) // both are under way
	x.open("1")
	x.open("2")
	x.ends(x.id("1"), incident.RunFinished)
	x.ends(x.id("2"), incident.RunFinished)
}

func testNoLock(x *runsTest) {
	x.doesNamed()
	refuses := x.run("2")
	refuses.Refuse = true // there is nothing to wait for
	x.begin("1")
	x.start(refuses)
	x.makes("1", 1)
	x.makes("2", 1)
	x.open("1")
	x.open("2")
	x.ends(x.id("1"), incident.RunFinished)
	x.ends(x.id("2"), incident.RunFinished)
}

func testRefuse(x *runsTest) {
	x.doesNamed()
	refuses := x.locked("refuses", "lock")
	refuses.Refuse = true
	refused := func(why string) {
		x.t.Helper()
		if r, err := x.runs.Start(x.ctx, refuses); !errors.Is(err, incident.ErrBusy) || errors.Is(err, incident.ErrStale) {
			x.t.Errorf("%s: run %s, error %v; want ErrBusy", why, describeRun(r), err)
		}
		if _, err := x.runs.Record(x.ctx, refuses.ID, -1); !errors.Is(err, incident.ErrNotFound) {
			x.t.Errorf("%s: error %v; want that there is no such run", why, err)
		}
	}
	first := x.start(x.locked("1", "lock"))
	refused("another run was started")
	x.makes("1", 1)
	refused("another run has the lock")
	second := x.start(x.locked("2", "lock"))
	other := x.locked("other", "other lock")
	other.Refuse = true
	x.start(other) // it is another lock
	x.open("1")
	x.ends(first, incident.RunFinished)
	refused("another run waited for the lock")
	x.open("2")
	x.ends(second, incident.RunFinished)
	x.start(refuses)
	x.start(refuses) // it has the lock itself
	behind := x.start(x.locked("behind", "lock"))
	for _, step := range []incident.StepID{"refuses", "behind", "other"} {
		x.open(step)
	}
	x.ends(refuses.ID, incident.RunFinished)
	x.ends(behind, incident.RunFinished)
	x.ends(other.ID, incident.RunFinished)
	if n := x.count("refuses"); n != 1 {
		x.t.Errorf("%d calls were made; want one", n)
	}
}

func testRefuseRace(x *runsTest) {
	x.doesSteps(x.gated("a"))
	var began, busy atomic.Int64
	each(8, func(i int) {
		run := x.locked(fmt.Sprint(i), "lock")
		run.Refuse = true
		switch _, err := x.runs.Start(x.ctx, run); {
		case err == nil:
			began.Add(1)
		case errors.Is(err, incident.ErrBusy):
			busy.Add(1)
		default:
			x.t.Errorf("error %v; want none, or ErrBusy", err)
		}
	})
	if began.Load() != 1 || busy.Load() != 7 {
		x.t.Errorf("%d runs began and %d were refused; want 1 and 7", began.Load(), busy.Load())
	}
	x.open("a")
	for _, name := range x.lists(x.mine()) {
		x.ends(x.id(name), incident.RunFinished)
	}
	x.wantCalls("a")
}

func testLockWhileWaiting(x *runsTest) {
	x.doesAwait("answer")
	first := x.start(x.locked("1", "lock"))
	x.waits(first, "s0")
	second := x.start(x.locked("2", "lock"))
	x.nothing()
	if r := x.record(second); r.Status != incident.RunQueued {
		x.t.Errorf("run %s; want that it is queued", describeRun(r))
	}
	x.sends(second, "answer", incident.Signal{ID: "2"}) // it need not run for this
	x.sends(first, "answer", incident.Signal{ID: "1"})
	x.wantSignals(x.ends(first, incident.RunFinished), "1")
	x.wantSignals(x.ends(second, incident.RunFinished), "2")
}

func testLockFreed(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		switch strings.TrimPrefix(run.ID, x.key+"-") {
		case "fails":
			return nil, errors.New("it failed")
		case "cancelled":
			return nil, e.Sleep(ctx, "nap", time.Now().Add(time.Hour))
		}
		return nil, nil
	})
	names := []string{"finishes", "fails", "cancelled", "last"}
	ended := []incident.RunStatus{incident.RunFinished, incident.RunFailed, incident.RunCancelled, incident.RunFinished}
	for _, name := range names {
		x.start(x.locked(name, "lock"))
	}
	x.waits(x.id("cancelled"), "nap")
	x.must(x.runs.Cancel(x.ctx, x.id("cancelled"), by("grace")))
	for i, name := range names {
		x.ends(x.id(name), ended[i])
	}
}
