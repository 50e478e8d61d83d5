package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// survivalCases are those in which a process ends in order and another one begins.
func survivalCases() []runsCase {
	return []runsCase{
		{name: "restart: what was recorded is returned without a call", test: testRestart, survives: true},
		{name: "restart: a stop waits for the call that is under way", test: testStopWaits, survives: true},
		{name: "restart: a program is told that its process ends", test: testStopTells, survives: true},
		{name: "restart: a sleep keeps its original end", test: testRestartSleep, survives: true},
		{name: "restart: what has ended does not run again", test: testRestartEnded, survives: true},
		{name: "restart: the queue of a lock is kept", test: testRestartQueue, survives: true},
		{name: "restart: a hold is kept", test: testRestartHold, survives: true},
		{name: "nobody runs: an approval counts, and once though it was sent twice", test: testDownSignal, survives: true},
		{name: "nobody runs: a deadline that passes expires the wait", test: testDownExpires, survives: true},
		{name: "nobody runs: a signal after the deadline does not count", test: testDownTooLate, survives: true},
		{name: "nobody runs: a signal before the deadline counts", test: testDownInTime, survives: true},
		{name: "nobody runs: a run that is started waits for a process", test: testDownStart, survives: true},
		{name: "nobody runs: hold and release", test: testDownHold, survives: true},
		{name: "nobody runs: cancel", test: testDownCancel, survives: true},
		{name: "nobody runs: fork", test: testDownFork, survives: true},
	}
}

// doesAsk makes two calls, asks, and makes another one. Its result is what was answered.
func (x *runsTest) doesAsk() {
	first := x.done("a")
	first.Intent = true
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		for _, c := range []incident.Call{first, x.done("b")} {
			o, err := e.Steps(ctx, []incident.Call{c})
			if err != nil {
				return nil, err
			}
			if !sameJSON(o[0].Output, json.RawMessage(`"`+string(c.ID)+`"`)) || o[0].Status != incident.Done {
				return nil, errors.New("another outcome was returned than was recorded")
			}
		}
		s, err := e.Await(ctx, "ask", "answer", time.Time{})
		if err != nil {
			return nil, err
		}
		_, err = e.Steps(ctx, []incident.Call{x.done("c")})
		return result(s.ID, err)
	})
}

func testRestart(x *runsTest) {
	p := x.launch()
	x.doesAsk()
	id := x.begin("a")
	x.waits(id, "ask")
	before := x.record(id)
	p.Stop()
	x.client()
	if r := x.record(id); r.Status.Ended() || !slices.Equal(entryIDs(r), []incident.StepID{"a", "b"}) {
		x.t.Errorf("run %s; want that it has not ended, though its process has", describeRun(r))
	}
	x.launch()
	x.waits(id, "ask")
	x.sends(id, "answer", incident.Signal{ID: "1"})
	r := x.ends(id, incident.RunFinished)
	x.wantEntries(r, "a", "b", "ask", "c")
	x.wantCalls("a", "b", "c")
	for i, e := range before.Entries {
		if now := r.Entries[i].Outcome; !sameOutcome(*now, *e.Outcome) || now.Process != e.Outcome.Process || !sameTime(now.Ended, e.Outcome.Ended) {
			x.t.Errorf("outcome %+v; want as it was, %+v", now, e.Outcome)
		}
	}
	if last := r.Entries[3].Outcome; last.Process != r.Process || last.Process == r.Entries[0].Outcome.Process {
		x.t.Errorf("the last call was made by %q, and the run is of %q; want another process than %q", last.Process, r.Process, r.Entries[0].Outcome.Process)
	}
	if !sameTime(r.Began, before.Began) || !sameTime(r.At, before.At) {
		x.t.Errorf("the run began at %v; want that this stays, %v", r.Began, before.Began)
	}
}

func testStopWaits(x *runsTest) {
	p := x.launch()
	call := x.gated("a")
	call.Intent = true
	x.doesSteps(call, x.done("b"))
	id := x.begin("a")
	x.makes("a", 1)
	var stopped atomic.Bool
	all := make(chan struct{})
	go func() {
		p.Stop()
		stopped.Store(true)
		close(all)
	}()
	x.nothing()
	if stopped.Load() {
		x.t.Error("the process ended though a call was under way")
	}
	x.open("a")
	select {
	case <-all:
	case <-x.ctx.Done():
		x.t.Fatal("the process does not end")
	}
	x.launch()
	r := x.ends(id, incident.RunFinished)
	x.wantEntries(r, "a", "b")
	x.wantCalls("a", "b")
}

func testStopTells(x *runsTest) {
	p := x.launch()
	var began, told atomic.Int64
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		began.Add(1)
		var err error
		switch run.Labels["waits"] {
		case "sleep":
			err = e.Sleep(ctx, "wait", run.At.Add(24*time.Hour))
		case "hold":
			_, err = e.Steps(ctx, []incident.Call{x.done("held")})
		default:
			_, err = e.Await(ctx, "wait", "answer", time.Time{})
		}
		if err != nil || run.Labels["waits"] == "" {
			told.Add(1)
		}
		return nil, err
	})
	start := func(waits string) string {
		run := x.run(waits)
		run.Labels["waits"] = waits
		if waits == "hold" {
			run.Lock = x.key + "-lock"
		}
		return x.start(run)
	}
	first := x.run("first")
	first.Lock = x.key + "-lock"
	x.start(first)
	held := start("hold")
	x.must(x.runs.Hold(x.ctx, held, by("grace"))) // while it is queued
	x.sends(first.ID, "answer", incident.Signal{ID: "1"})
	x.ends(first.ID, incident.RunFinished)
	runs := []string{start("sleep"), start("signal"), held}
	x.waits(runs[0], "wait")
	x.waits(runs[1], "wait")
	x.until(held, "it is taken", func(r incident.RunRecord) bool { return r.Status == incident.RunRunning })
	p.Stop()
	// That of the run that is held need not have begun.
	x.soon("each program that began gets an error", func() bool { return told.Load() == began.Load() })
	if began.Load() < 3 {
		x.t.Errorf("%d programs began; want those that sleep and wait", began.Load()-1)
	}
	x.client()
	for _, id := range runs {
		if r := x.record(id); r.Status.Ended() || r.Error != "" {
			x.t.Errorf("run %s; want that it goes on in another process", describeRun(r))
		}
	}
	x.wantCalls()
}

func testRestartSleep(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if run.Labels["short"] != "" {
			return nil, e.Sleep(ctx, "nap", time.Now().Add(3*x.quiet))
		}
		until, err := x.appointed(ctx)
		if err != nil {
			return nil, err
		}
		return nil, e.Sleep(ctx, "nap", until)
	})
	p := x.launch()
	id := x.begin("a")
	x.appoint(id, 6*x.quiet)
	until := x.waits(id, "nap").Until
	p.Stop()
	x.pause(time.Until(until)) // its time passes while nobody runs
	x.launch()
	short := x.run("short")
	short.Labels["short"] = "yes"
	x.start(short) // sleeps for half of the time, and ends before one that sleeps anew
	r, other := x.ends(id, incident.RunFinished), x.ends(short.ID, incident.RunFinished)
	if !r.Ended.Before(other.Ended) {
		x.t.Errorf("it slept until %v, and ended at %v; want at once after the restart, before %v", until, r.Ended, other.Ended)
	}
	if x.wantEntries(r, "nap"); !sameTime(r.Entries[0].Slept, until) {
		x.t.Errorf("entry %+v; want %v", r.Entries[0], until)
	}
}

func testRestartEnded(x *runsTest) {
	p := x.launch()
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{x.done("a")}); err != nil || run.Labels["fails"] == "" {
			return json.RawMessage(`"finished"`), err
		}
		return nil, errors.New("it failed")
	})
	run := x.run("fails")
	run.Labels["fails"] = "yes"
	finished, failed := x.ends(x.begin("finishes"), incident.RunFinished), x.ends(x.start(run), incident.RunFailed)
	p.Stop()
	x.launch()
	x.nothing()
	for _, before := range []incident.RunRecord{finished, failed} {
		if r := x.record(before.ID); r.Status != before.Status || r.Error != before.Error || !sameJSON(r.Result, before.Result) || len(r.Entries) != 1 {
			x.t.Errorf("run %s; want as it was, %s", describeRun(r), describeRun(before))
		}
	}
	x.start(run) // it is known still
	x.nothing()
	x.wantCalls("a", "a")
}

func testRestartQueue(x *runsTest) {
	p := x.launch()
	x.doesAwait("answer")
	var runs []string
	for _, name := range []string{"1", "2", "3"} {
		runs = append(runs, x.start(x.locked(name, "lock")))
	}
	x.waits(runs[0], "s0")
	p.Stop()
	x.client()
	refuses := x.locked("refuses", "lock")
	refuses.Refuse = true
	_, err := x.runs.Start(x.ctx, refuses)
	wants(x.t, err, incident.ErrBusy) // also while nobody runs
	x.launch()
	_, err = x.runs.Start(x.ctx, refuses)
	wants(x.t, err, incident.ErrBusy)
	for i, id := range runs {
		x.waits(id, "s0")
		for _, behind := range runs[i+1:] {
			if r := x.record(behind); r.Status != incident.RunQueued {
				x.t.Errorf("run %s; want that it is queued behind %q", describeRun(r), id)
			}
		}
		x.sends(id, "answer", incident.Signal{ID: "1"})
		x.ends(id, incident.RunFinished)
	}
}

func testRestartHold(x *runsTest) {
	p := x.launch()
	x.doesSteps(x.gated("a"), x.done("b"))
	id := x.begin("a")
	x.makes("a", 1)
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.open("a")
	x.has(id, "a")
	p.Stop()
	x.launch()
	x.nothing()
	if r := x.record(id); r.Held == nil || r.Held.By != "grace" || r.Status.Ended() {
		x.t.Errorf("run %s; want that it is held", describeRun(r))
	}
	x.wantCalls("a")
	x.must(x.runs.Release(x.ctx, id, by("ada")))
	x.ends(id, incident.RunFinished)
	x.wantCalls("a", "b")
}

// down starts a run, appoints a time, waits until it waits in s0, and ends its process.
func (x *runsTest) down(in time.Duration) (id string, wait incident.RunWait) {
	p := x.launch()
	id = x.begin("a")
	x.appoint(id, in)
	wait = x.waits(id, "s0")
	p.Stop()
	x.client()
	return id, wait
}

func testDownSignal(x *runsTest) {
	x.doesAwait("answer", "answer")
	id, _ := x.down(0)
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve", Actor: "grace"})
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve", Actor: "grace"})
	x.launch()
	x.waits(id, "s1")
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve", Actor: "grace"})
	x.nothing()
	x.sends(id, "answer", incident.Signal{ID: "2"})
	r := x.ends(id, incident.RunFinished)
	if x.wantSignals(r, "1", "2"); r.Entries[0].Signal.Actor != "grace" {
		x.t.Errorf("signal %+v; want what was sent", r.Entries[0].Signal)
	}
}

// doesAskUntil awaits an answer until a time that is appointed, and then for ever.
func (x *runsTest) doesAskUntil() {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		deadline, err := x.appointed(ctx)
		if err != nil {
			return nil, err
		}
		first, err := e.Await(ctx, "s0", "answer", deadline)
		if err != nil {
			return nil, err
		}
		if !first.Expired {
			return json.Marshal([]incident.Signal{first})
		}
		second, err := e.Await(ctx, "s1", "answer", time.Time{})
		return result([]incident.Signal{first, second}, err)
	})
}

func testDownExpires(x *runsTest) {
	x.doesAskUntil()
	id, wait := x.down(3 * x.quiet)
	x.pause(time.Until(wait.Until) + 20*time.Millisecond)
	x.launch()
	x.waits(id, "s1")
	x.sends(id, "answer", incident.Signal{ID: "1"})
	r := x.ends(id, incident.RunFinished)
	x.wantSignals(r, "", "1")
	if s := r.Entries[0].Signal; !s.Expired || !sameTime(s.At, wait.Until) {
		x.t.Errorf("signal %+v; want one that expired at %v", s, wait.Until)
	}
}

func testDownTooLate(x *runsTest) {
	x.doesAskUntil()
	id, wait := x.down(3 * x.quiet)
	x.pause(time.Until(wait.Until) + 20*time.Millisecond)
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	x.launch()
	r := x.ends(id, incident.RunFinished)
	if x.wantSignals(r, "", "1"); !r.Entries[0].Signal.Expired {
		x.t.Errorf("signal %+v; want an expired one", r.Entries[0].Signal)
	}
}

func testDownInTime(x *runsTest) {
	x.doesAskUntil()
	id, wait := x.down(15 * x.quiet) // so that the process has ended, and the signal come, before that on any machine
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	x.pause(time.Until(wait.Until) + 20*time.Millisecond)
	x.launch()
	x.wantSignals(x.ends(id, incident.RunFinished), "1")
}

func testDownStart(x *runsTest) {
	x.client()
	x.doesSteps(x.done("a"))
	run := x.locked("a", "lock")
	first, err := x.runs.Start(x.ctx, run)
	x.must(err)
	if first.Status != incident.RunQueued {
		x.t.Errorf("run %s; want that it is queued", describeRun(first))
	}
	behind := x.start(x.locked("b", "lock"))
	x.start(run)
	x.nothing()
	x.wantCalls()
	x.wantList("while nobody runs", incident.RunQuery{Lock: run.Lock, Statuses: []incident.RunStatus{incident.RunRunning}})
	x.launch()
	if again, err := x.runs.Start(x.ctx, run); err != nil || !sameTime(again.At, first.At) {
		x.t.Errorf("run %s, error %v; want the run that was started", describeRun(again), err)
	}
	x.ends(run.ID, incident.RunFinished)
	x.ends(behind, incident.RunFinished)
	x.wantCalls("a", "a")
}

func testDownHold(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Await(ctx, "s0", "answer", time.Time{}); err != nil {
			return nil, err
		}
		return result(e.Steps(ctx, []incident.Call{x.done("a")}))
	})
	id, _ := x.down(0)
	x.must(x.runs.Hold(x.ctx, id, by("grace")))
	x.sends(id, "answer", incident.Signal{ID: "1"})
	p := x.launch()
	x.nothing()
	x.wantCalls()
	p.Stop()
	x.client()
	x.must(x.runs.Release(x.ctx, id, by("grace")))
	x.launch()
	x.ends(id, incident.RunFinished)
	x.wantCalls("a")
}

func testDownCancel(x *runsTest) {
	p := x.launch()
	x.doesAwait("answer")
	first, second := x.start(x.locked("1", "lock")), x.start(x.locked("2", "lock"))
	third := x.start(x.locked("3", "lock"))
	x.waits(first, "s0")
	p.Stop()
	x.client()
	for _, id := range []string{first, second} {
		x.must(x.runs.Cancel(x.ctx, id, by("grace")))
		if r := x.ends(id, incident.RunCancelled); r.Cancelled == nil || r.Cancelled.By != "grace" || len(r.Waits) != 0 {
			x.t.Errorf("run %s; want that it was cancelled", describeRun(r))
		}
		wants(x.t, x.runs.Signal(x.ctx, id, "answer", incident.Signal{ID: "1"}), incident.ErrStale)
	}
	x.launch()
	x.waits(third, "s0") // the lock is free
	x.sends(third, "answer", incident.Signal{ID: "1"})
	x.wantSignals(x.ends(third, incident.RunFinished), "1")
	for _, id := range []string{first, second} {
		if r := x.record(id); r.Status != incident.RunCancelled || len(r.Entries) != 0 {
			x.t.Errorf("run %s; want that it stays cancelled", describeRun(r))
		}
	}
}

func testDownFork(x *runsTest) {
	p := x.launch()
	x.doesSteps(x.done("a"), x.done("b"))
	id := x.begin("a")
	x.ends(id, incident.RunFinished)
	p.Stop()
	x.client()
	fork := x.forks(id, "b", "fork")
	x.nothing()
	x.wantCalls("a", "b")
	x.launch()
	x.wantEntries(x.ends(fork, incident.RunFinished), "a", "b")
	x.wantCalls("a", "b", "b")
}
