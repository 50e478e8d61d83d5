package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// processCases are those in which there are two processes at the same time.
func processCases() []runsCase {
	return []runsCase{
		{name: "two processes: each sees and signals the runs of the other", test: testOtherProcess, survives: true},
		{name: "two processes: hold and cancel reach a run of the other", test: testOtherControl, survives: true},
		{name: "two processes: a run is replaced once, whoever has it", test: testOtherReplace, survives: true},
		{name: "two processes: a run that is started in both begins once", test: testOtherStart, survives: true},
		{name: "two processes: runs of one lock never overlap", test: testOtherLock, survives: true},
		{name: "two processes: of those that refuse, one begins", test: testOtherRefuse, survives: true},
		{name: "two processes: the one that lives takes over", test: testTakenOver, survives: true},
	}
}

func testOtherProcess(x *runsTest) {
	x.doesAwait("answer", "answer")
	first := x.launch()
	id := x.begin("a")
	x.launch()
	x.waits(id, "s0")
	x.wantList("of the other process", x.mine(), "a")
	x.sends(id, "answer", incident.Signal{ID: "1"})
	x.waits(id, "s1") // told of it
	x.runs = first
	x.sends(id, "answer", incident.Signal{ID: "1"})
	x.sends(id, "answer", incident.Signal{ID: "2"})
	x.wantSignals(x.ends(id, incident.RunFinished), "1", "2")
}

func testOtherControl(x *runsTest) {
	x.doesSteps(x.gated("a"), x.gated("b"), x.done("c"))
	x.launch()
	id := x.begin("a")
	x.makes("a", 1)
	x.client()
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.open("a")
	x.has(id, "a")
	x.nothing()
	x.wantCalls("a")
	x.must(x.runs.Release(x.ctx, id, by("grace")))
	x.makes("b", 1)
	x.must(x.runs.Cancel(x.ctx, id, by("grace"))) // the gate of b stays closed: its context ends
	if r := x.ends(id, incident.RunCancelled); r.Cancelled == nil || r.Cancelled.By != "grace" {
		x.t.Errorf("run %s; want by whom it was cancelled", describeRun(r))
	}
	x.nothing()
	x.wantCalls("a", "b")
}

func testOtherStart(x *runsTest) {
	x.doesSteps(x.gated("a"))
	processes := []incident.Runs{x.launch(), x.launch()}
	each(6, func(i int) {
		if _, err := processes[i%2].Start(x.ctx, x.run("a")); err != nil {
			x.t.Error(err)
		}
	})
	x.makes("a", 1)
	x.nothing()
	x.open("a")
	x.ends(x.id("a"), incident.RunFinished)
	x.wantCalls("a")
}

func testOtherLock(x *runsTest) {
	var inside, most atomic.Int64
	x.doesSteps(x.call("a", func(context.Context, []incident.Attempt) incident.Outcome {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		x.pause(3 * time.Millisecond)
		inside.Add(-1)
		return incident.Outcome{Status: incident.Done}
	}))
	processes := []incident.Runs{x.launch(), x.launch()}
	const runs = 6
	each(runs, func(i int) {
		if _, err := processes[i%2].Start(x.ctx, x.locked(fmt.Sprint(i), "lock")); err != nil {
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

func testOtherRefuse(x *runsTest) {
	x.doesSteps(x.gated("a"))
	processes := []incident.Runs{x.launch(), x.launch()}
	var began atomic.Int64
	each(6, func(i int) {
		run := x.locked(fmt.Sprint(i), "lock")
		run.Refuse = true
		switch _, err := processes[i%2].Start(x.ctx, run); {
		case err == nil:
			began.Add(1)
		case !errors.Is(err, incident.ErrBusy):
			x.t.Errorf("error %v; want none, or ErrBusy", err)
		}
	})
	if began.Load() != 1 {
		x.t.Errorf("%d runs began; want one", began.Load())
	}
	x.open("a")
	for _, name := range x.lists(x.mine()) {
		x.ends(x.id(name), incident.RunFinished)
	}
	x.wantCalls("a")
}

func testTakenOver(x *runsTest) {
	var told attempts
	call := x.hangs("b", 1, &told)
	call.Intent = true
	x.doesSteps(x.done("a"), call, x.done("c"))
	first := x.launch()
	id := x.begin("a")
	x.makes("b", 1)
	owner := x.record(id).Process
	x.launch()
	x.nothing()
	x.wantCalls("a", "b") // it has its run still
	first.Kill()
	r := x.ends(id, incident.RunFinished)
	if x.wantEntries(r, "a", "b", "c"); r.Process == owner {
		x.t.Errorf("run %s; want that another process than %q has it", describeRun(r), owner)
	}
	x.wantCalls("a", "b", "b", "c")
	told.mu.Lock()
	defer told.mu.Unlock()
	if got := told.told[1]; len(got) != 1 || got[0].Process != owner {
		x.t.Errorf("the call was told of %+v; want of the attempt of %q", got, owner)
	}
}
