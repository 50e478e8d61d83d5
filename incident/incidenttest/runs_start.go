package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

func startCases() []runsCase {
	return []runsCase{
		{name: "a run is given what it was started with", test: testRunStart},
		{name: "a run without input, labels and lock", test: testRunStartLittle},
		{name: "starting again does nothing", test: testStartAgain},
		{name: "starting again with something else is refused", test: testStartOther},
		{name: "starting at the same time begins one run", test: testStartRace},
		{name: "what is invalid is not started", test: testStartInvalid},
		{name: "a program that is not there does not run", test: testStartUnknown},
		{name: "start with a context that has ended", test: testStartEnded},
		{name: "the result of a program", test: testProgramResult},
		{name: "the error of a program fails the run", test: testProgramError},
		{name: "a panic of a program fails the run", test: testProgramPanics},
	}
}

func testRunStart(x *runsTest) {
	want := x.locked("a", "lock")
	want.Labels["environment"], want.Labels["Über"] = "production", "é 1=2"
	want.Refuse = true
	given := make(chan incident.RunStart, 1)
	x.does(func(_ context.Context, _ incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		given <- run
		return nil, nil
	})
	before := time.Now()
	started, err := x.runs.Start(x.ctx, want)
	x.must(err)
	if !sameRun(started.RunStart, want) || started.At.Before(before.Add(-time.Millisecond)) || started.At.After(time.Now().Add(time.Millisecond)) || started.Revision < 0 {
		x.t.Errorf("started is %s; want %+v, now", describeRun(started), want)
	}
	if s := started.Status; s != incident.RunQueued && s != incident.RunRunning && s != incident.RunFinished {
		x.t.Errorf("started is %q", s)
	}
	r := x.ends(want.ID, incident.RunFinished)
	if got := <-given; !sameRun(got, want) || !sameRun(r.RunStart, want) || !sameTime(got.At, started.At) || !sameTime(r.At, started.At) {
		x.t.Errorf("the program was given %+v, and %+v is recorded; want %+v", got, r.RunStart, started.RunStart)
	}
	if r.Process == "" || r.Began.Before(before.Add(-time.Millisecond)) || r.Ended.Before(r.Began) || r.Held != nil || r.Cancelled != nil || r.Attention != "" {
		x.t.Errorf("record %s; want a process, and from when to when it was under way", describeRun(r))
	}
}

func testRunStartLittle(x *runsTest) {
	x.does(func(_ context.Context, _ incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if len(run.Input) > 0 || run.Lock != "" || run.Refuse || run.By != "" {
			x.t.Errorf("the program was given %+v; want an ID and a label", run)
		}
		return nil, nil
	})
	run := incident.RunStart{ID: x.id("a_Z-9"), Program: runsProgram, Labels: map[string]string{caseLabel: x.key}}
	r := x.ends(x.start(run), incident.RunFinished)
	if len(r.Input) > 0 || len(r.Result) > 0 || len(r.Entries) > 0 || r.Error != "" {
		x.t.Errorf("record %s; want nothing in it", describeRun(r))
	}
	long := run
	long.ID = x.id(strings.Repeat("x", 99-len(x.key)))
	x.ends(x.start(long), incident.RunFinished)
}

func testStartAgain(x *runsTest) {
	x.doesSteps(x.gated("a"))
	run := x.locked("a", "lock")
	run.Refuse = true
	first, err := x.runs.Start(x.ctx, run)
	x.must(err)
	x.makes("a", 1)
	again, err := x.runs.Start(x.ctx, run)
	if err != nil || again.ID != run.ID || !sameTime(again.At, first.At) || again.Status != incident.RunRunning {
		x.t.Errorf("started again it is %s, error %v; want the run as it is", describeRun(again), err)
	}
	x.open("a")
	ended := x.ends(run.ID, incident.RunFinished)
	again, err = x.runs.Start(x.ctx, run)
	if err != nil || again.Status != incident.RunFinished || !sameTime(again.At, first.At) {
		x.t.Errorf("started again it is %s, error %v; want the run that has ended", describeRun(again), err)
	}
	x.nothing()
	if r := x.record(run.ID); r.Revision != ended.Revision {
		x.t.Errorf("record %s; want revision %d, as nothing is new", describeRun(r), ended.Revision)
	}
	x.wantCalls("a")
}

func testStartOther(x *runsTest) {
	x.doesSteps(x.done("a"))
	run := x.locked("a", "lock")
	run.Labels["environment"] = "production"
	x.ends(x.start(run), incident.RunFinished)
	for name, change := range map[string]func(r *incident.RunStart){
		"program":    func(r *incident.RunStart) { r.Program = otherRunsProgram },
		"input":      func(r *incident.RunStart) { r.Input = json.RawMessage(`{}`) },
		"no input":   func(r *incident.RunStart) { r.Input = nil },
		"lock":       func(r *incident.RunStart) { r.Lock += "2" },
		"no lock":    func(r *incident.RunStart) { r.Lock = "" },
		"refuse":     func(r *incident.RunStart) { r.Refuse = true },
		"label":      func(r *incident.RunStart) { r.Labels["environment"] = "test" },
		"more label": func(r *incident.RunStart) { r.Labels["incident"] = "1" },
		"less label": func(r *incident.RunStart) { delete(r.Labels, "environment") },
		"by":         func(r *incident.RunStart) { r.By = "grace" },
	} {
		other := run
		other.Labels = maps.Clone(run.Labels)
		change(&other)
		if r, err := x.runs.Start(x.ctx, other); !errors.Is(err, incident.ErrStale) {
			x.t.Errorf("another %s: run %s, error %v; want ErrStale", name, describeRun(r), err)
		}
	}
	if r := x.record(run.ID); !sameRun(r.RunStart, run) {
		x.t.Errorf("record %+v; want %+v, as it was", r.RunStart, run)
	}
	x.wantCalls("a")
}

func testStartRace(x *runsTest) {
	x.doesSteps(x.done("a"))
	var began atomic.Int64
	each(8, func(i int) {
		run := x.run("a")
		if i%2 == 1 {
			run.By = "grace"
		}
		switch _, err := x.runs.Start(x.ctx, run); {
		case err == nil:
			began.Add(1)
		case !errors.Is(err, incident.ErrStale):
			x.t.Errorf("error %v; want none, or ErrStale", err)
		}
	})
	x.ends(x.id("a"), incident.RunFinished)
	if x.wantCalls("a"); began.Load() != 4 {
		x.t.Errorf("%d of 8 starts succeeded; want the 4 that are the same", began.Load())
	}
}

func testStartInvalid(x *runsTest) {
	x.doesSteps(x.done("a"))
	for name, change := range map[string]func(r *incident.RunStart){
		"no ID":               func(r *incident.RunStart) { r.ID = "" },
		"space in the ID":     func(r *incident.RunStart) { r.ID += " 1" },
		"slash in the ID":     func(r *incident.RunStart) { r.ID += "/1" },
		"dot in the ID":       func(r *incident.RunStart) { r.ID += ".1" },
		"long ID":             func(r *incident.RunStart) { r.ID = strings.Repeat("x", 101) },
		"no program":          func(r *incident.RunStart) { r.Program = "" },
		"input is no JSON":    func(r *incident.RunStart) { r.Input = json.RawMessage(`{"a"`) },
		"input is over 1 MiB": func(r *incident.RunStart) { r.Input = json.RawMessage(`"` + strings.Repeat("x", 1<<20-1) + `"`) },
	} {
		run := x.run("a")
		change(&run)
		if _, err := x.runs.Start(x.ctx, run); err == nil || !runbook.SafeToRetry(err) || errors.Is(err, incident.ErrStale) || errors.Is(err, incident.ErrBusy) {
			x.t.Errorf("%s: error %v; want one that says that nothing was begun", name, err)
		}
		if _, err := x.runs.Record(x.ctx, run.ID, -1); !errors.Is(err, incident.ErrNotFound) {
			x.t.Errorf("%s: error %v; want that there is no such run", name, err)
		}
	}
	x.wantCalls()
}

func testStartUnknown(x *runsTest) {
	x.doesSteps(x.done("a"))
	run := x.run("a")
	run.Program = "conformance-nobody-has-it"
	if _, err := x.runs.Start(x.ctx, run); err != nil {
		return // it says so at once
	}
	x.nothing()
	r := x.record(run.ID)
	if r.Status != incident.RunQueued && (r.Status != incident.RunStranded || r.Attention == "") {
		x.t.Errorf("run %s; want that it is queued, or stranded with what somebody should look at", describeRun(r))
	}
	x.must(x.runs.Cancel(x.ctx, run.ID, by("ada")))
	x.ends(run.ID, incident.RunCancelled)
	x.wantCalls()
}

func testStartEnded(x *runsTest) {
	x.doesSteps(x.done("a"))
	run := x.run("a")
	if _, err := x.runs.Start(ended(x.t), run); !errors.Is(err, context.Canceled) {
		x.t.Errorf("error %v; want that of the context", err)
	} else if _, found := x.runs.Record(x.ctx, run.ID, -1); runbook.SafeToRetry(err) && !errors.Is(found, incident.ErrNotFound) {
		x.t.Errorf("error %v claims that nothing began, and reading the run returns %v", err, found)
	}
	x.ends(x.start(run), incident.RunFinished)
	x.wantCalls("a")
}

func testProgramResult(x *runsTest) {
	want := json.RawMessage(`{"steps":3,"list":[1,"é",null]}`)
	x.does(func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) { return want, nil })
	if r := x.ends(x.begin("a"), incident.RunFinished); !sameJSON(r.Result, want) || r.Error != "" {
		x.t.Errorf("result %s, error %q; want %s", r.Result, r.Error, want)
	}
}

func testProgramError(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		_, err := e.Steps(ctx, []incident.Call{x.done("a")})
		return json.RawMessage(`1`), errors.Join(err, errors.New("there is nothing to roll back to"))
	})
	r := x.ends(x.begin("a"), incident.RunFailed)
	if r.Error != "there is nothing to roll back to" || r.Cancelled != nil || !slices.Equal(entryIDs(r), []incident.StepID{"a"}) {
		x.t.Errorf("run %s; want the error of its program, and what it did", describeRun(r))
	}
	x.nothing() // it is not tried again
	x.wantCalls("a")
}

func testProgramPanics(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{x.done("a")}); err != nil {
			return nil, err
		}
		panic("the program is broken")
	})
	run := x.locked("a", "lock")
	if r := x.ends(x.start(run), incident.RunFailed); !strings.Contains(r.Error, "panic") {
		x.t.Errorf("error %q; want that it panicked", r.Error)
	}
	x.nothing()
	x.wantCalls("a")
	x.doesSteps(x.done("b"))
	x.ends(x.start(x.locked("b", "lock")), incident.RunFinished) // it lost its lock
}
