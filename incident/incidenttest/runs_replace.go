package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func replaceCases() []runsCase {
	return []runsCase{
		{name: "replace cancels runs and starts others in their place", test: testReplace},
		{name: "replace of a run that has gone on changes nothing", test: testReplaceStale},
		{name: "replace of a run that was told something is refused", test: testReplaceTold},
		{name: "replace of what is not to be", test: testReplaceWrong},
		{name: "of those that replace a run at once, one does", test: testReplaceRace},
		{name: "a signal and a replace at once: one of them counts", test: testReplaceSignal},
	}
}

// doesReplaced awaits a signal in runs with a question, and makes a call in the others, of
// the name that they have for it.
func (x *runsTest) doesReplaced() {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if run.Labels["asks"] != "" {
			if _, err := e.Await(ctx, "ask", "answer", time.Time{}); err != nil {
				return nil, err
			}
		}
		return result(e.Steps(ctx, []incident.Call{x.done(incident.StepID(run.Labels["calls"]))}))
	})
}

// replaced is a run of a test with doesReplaced.
func (x *runsTest) replaced(name string, asks bool) incident.RunStart {
	run := x.locked(name, "lock")
	run.Labels["calls"] = name
	if asks {
		run.Labels["asks"] = "yes"
	}
	return run
}

// looked is the replacement of a run as it is now.
func (x *runsTest) looked(id string, by incident.RunStart) incident.Replacement {
	x.t.Helper()
	r := x.record(id)
	return incident.Replacement{ID: id, Revision: r.Revision, Control: incident.Control{By: "grace", Reason: "a test"}, Start: by}
}

// stale checks that a replacement is refused, and that nothing of it was done.
func (x *runsTest) stale(what string, err error, others ...string) {
	x.t.Helper()
	if !errors.Is(err, incident.ErrStale) {
		x.t.Errorf("%s: error %v; want one that is %q", what, err, incident.ErrStale)
	}
	for _, id := range others {
		if r := x.record(id); r.Cancelled != nil {
			x.t.Errorf("%s: run %s; want that it is not cancelled", what, describeRun(r))
		}
	}
	if _, err := x.runs.Record(x.ctx, x.id("never"), -1); !errors.Is(err, incident.ErrNotFound) {
		x.t.Errorf("%s: error %v for the new run; want that it was not started", what, err)
	}
}

func testReplace(x *runsTest) {
	x.doesReplaced()
	first := x.start(x.replaced("first", true))
	x.waits(first, "ask")
	second := x.start(x.replaced("second", false))
	x.must(x.runs.Hold(x.ctx, second, by("grace"))) // held or not
	urgent := x.start(x.replaced("urgent", false))
	records, err := x.runs.Replace(x.ctx, []incident.Replacement{x.looked(first, x.replaced("third", false)), x.looked(second, x.replaced("fourth", false))})
	x.must(err)
	if len(records) != 2 || !sameRun(records[0].RunStart, x.replaced("third", false)) || !sameRun(records[1].RunStart, x.replaced("fourth", false)) {
		x.t.Fatalf("the runs %+v; want those that were started, in their order", records)
	}
	for _, id := range []string{first, second} {
		r := x.ends(id, incident.RunCancelled)
		if c := r.Cancelled; c == nil || c.By != "grace" || c.Reason != "a test" || c.At.IsZero() || r.Held != nil || len(r.Waits) != 0 {
			x.t.Errorf("run %s; want by whom it was cancelled, why and when, and that it waits for nothing", describeRun(r))
		}
		wants(x.t, x.runs.Signal(x.ctx, id, "answer", incident.Signal{ID: "1"}), incident.ErrStale)
	}
	x.ends(urgent, incident.RunFinished)
	for _, r := range records {
		if end := x.ends(r.ID, incident.RunFinished); end.Cancelled != nil || len(end.Entries) != 1 {
			x.t.Errorf("run %s; want one that began anew", describeRun(end))
		}
	}
	x.nothing()
	if made := x.calls(); len(made) > 1 && made[1] == "fourth" {
		x.wantCalls("urgent", "fourth", "third")
		return
	}
	x.wantCalls("urgent", "third", "fourth")
}

func testReplaceStale(x *runsTest) {
	x.doesReplaced()
	other := x.run("other")
	other.Labels["asks"] = "yes"
	x.start(other)
	x.waits(other.ID, "ask")
	refused := func(what, id string, change func()) {
		seen := []incident.Replacement{x.looked(other.ID, x.run("never")), x.looked(id, x.run("never-2"))}
		change()
		_, err := x.runs.Replace(x.ctx, seen)
		x.stale(what, err, other.ID)
	}
	id := x.start(x.replaced("a", true))
	x.waits(id, "ask")
	refused("held", id, func() { x.must(x.runs.Hold(x.ctx, id, by("ada"))) })
	refused("released", id, func() { x.must(x.runs.Release(x.ctx, id, by("ada"))) })
	refused("answered", id, func() {
		x.sends(id, "answer", incident.Signal{ID: "1"})
		x.ends(id, incident.RunFinished)
	})
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Await(ctx, "ask", "answer", time.Time{}); err != nil {
			return nil, err
		}
		for _, c := range []incident.Call{x.done("look"), x.gated("act"), x.gated("end")} {
			c.Intent = c.ID == "act"
			if _, err := e.Steps(ctx, []incident.Call{c}); err != nil {
				return nil, err
			}
		}
		return nil, nil
	})
	id = x.begin("b")
	x.waits(id, "ask")
	refused("an act is under way", id, func() {
		x.sends(id, "answer", incident.Signal{ID: "1"})
		x.makes("act", 1)
	})
	refused("an act was made", id, func() {
		x.open("act")
		x.has(id, "act")
	})
	refused("ended", id, func() {
		x.open("end")
		x.ends(id, incident.RunFinished)
	})
	x.must(x.runs.Cancel(x.ctx, other.ID, by("grace")))
	x.wantList("nothing was started", x.mine(), "b", "a", "other")
	x.wantCalls("a", "look", "act", "end")
}

func testReplaceTold(x *runsTest) {
	x.doesAwait("first", "later")
	id := x.begin("a")
	x.waits(id, "s0")
	seen := x.looked(id, x.run("never"))
	x.sends(id, "later", incident.Signal{ID: "2"})
	_, err := x.runs.Replace(x.ctx, []incident.Replacement{seen})
	x.stale("told since it was looked at", err, id)
	_, err = x.runs.Replace(x.ctx, []incident.Replacement{x.looked(id, x.run("never"))})
	x.stale("told before, and it has not taken it", err, id)
	x.sends(id, "first", incident.Signal{ID: "1"})
	x.wantSignals(x.ends(id, incident.RunFinished), "1", "2")
}

func testReplaceWrong(x *runsTest) {
	x.doesReplaced()
	id := x.start(x.replaced("a", true))
	x.waits(id, "ask")
	good := x.looked(id, x.replaced("never", false))
	for what, change := range map[string]func(r *incident.Replacement){
		"it has no ID":       func(r *incident.Replacement) { r.Start.ID = "" },
		"it refuses to wait": func(r *incident.Replacement) { r.Start.Refuse = true },
		"it is a fork":       func(r *incident.Replacement) { r.Start.Fork = id },
	} {
		bad := good
		change(&bad)
		if _, err := x.runs.Replace(x.ctx, []incident.Replacement{bad}); err == nil || !runbook.SafeToRetry(err) {
			x.t.Errorf("%s: error %v; want one that says that nothing was done", what, err)
		}
	}
	twice := good
	twice.Start = x.replaced("never-2", false)
	if _, err := x.runs.Replace(x.ctx, []incident.Replacement{good, twice}); err == nil || !runbook.SafeToRetry(err) {
		x.t.Errorf("a run that is named twice: error %v; want one that says that nothing was done", err)
	}
	there := good
	there.Start = x.replaced("a", true)
	_, err := x.runs.Replace(x.ctx, []incident.Replacement{there})
	x.stale("there is such a run", err, id)
	missing := good
	missing.ID, missing.Start = x.id("missing"), x.replaced("never-2", false)
	_, err = x.runs.Replace(x.ctx, []incident.Replacement{good, missing})
	wants(x.t, err, incident.ErrNotFound)
	if r := x.record(id); r.Cancelled != nil {
		x.t.Errorf("run %s; want that it is not cancelled", describeRun(r))
	}
	x.wantList("nothing was started", x.mine(), "a")
	x.sends(id, "answer", incident.Signal{ID: "1"})
	x.ends(id, incident.RunFinished)
	x.wantCalls("a")
}

func testReplaceRace(x *runsTest) {
	x.doesReplaced()
	id := x.start(x.replaced("a", true))
	x.waits(id, "ask")
	x.replacedOnce(id, x.runs, x.runs)
}

// replacedOnce has a run replaced by several at once.
func (x *runsTest) replacedOnce(id string, processes ...incident.Runs) {
	x.t.Helper()
	look := x.looked(id, incident.RunStart{})
	var done atomic.Int64
	var winner atomic.Pointer[string]
	each(6, func(i int) {
		mine, name := look, fmt.Sprint("again-", i)
		mine.Start = x.replaced(name, false)
		switch _, err := processes[i%len(processes)].Replace(x.ctx, []incident.Replacement{mine}); {
		case err == nil:
			done.Add(1)
			winner.Store(&name)
		case !errors.Is(err, incident.ErrStale):
			x.t.Errorf("error %v; want none, or ErrStale", err)
		}
	})
	if done.Load() != 1 {
		x.t.Fatalf("%d replaced the run; want one", done.Load())
	}
	x.ends(id, incident.RunCancelled)
	x.ends(x.id(*winner.Load()), incident.RunFinished)
	x.nothing()
	x.wantCalls(incident.StepID(*winner.Load()))
	x.wantList("one was started", x.mine(), *winner.Load(), "a")
}

func testReplaceSignal(x *runsTest) {
	x.doesReplaced()
	var want []incident.StepID
	for i := range 8 {
		old, added := fmt.Sprint("a-", i), fmt.Sprint("b-", i)
		id := x.start(x.replaced(old, true))
		x.waits(id, "ask")
		move := x.looked(id, x.replaced(added, false))
		var told, moved error
		each(2, func(which int) {
			if which == i%2 {
				told = x.runs.Signal(x.ctx, id, "answer", incident.Signal{ID: "1"})
			} else {
				_, moved = x.runs.Replace(x.ctx, []incident.Replacement{move})
			}
		})
		switch {
		case told == nil && errors.Is(moved, incident.ErrStale):
			x.ends(id, incident.RunFinished)
			want = append(want, incident.StepID(old))
		case moved == nil && errors.Is(told, incident.ErrStale):
			x.ends(id, incident.RunCancelled)
			x.ends(x.id(added), incident.RunFinished)
			want = append(want, incident.StepID(added))
		default:
			x.t.Fatalf("the signal: %v; the replacement: %v; want that one of them is ErrStale", told, moved)
		}
	}
	x.wantCalls(want...)
}

func testOtherReplace(x *runsTest) {
	x.doesReplaced()
	first := x.launch()
	id := x.start(x.replaced("a", true))
	x.waits(id, "ask")
	second := x.launch()
	x.replacedOnce(id, first, second)
}
