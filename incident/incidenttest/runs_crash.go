package incidenttest

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// crashCases are those in which a process is killed in a call.
func crashCases() []runsCase {
	return []runsCase{
		{name: "crash: a call with an intent is told of the attempts that were interrupted", test: testInterrupted, survives: true},
		{name: "crash: a call without an intent is made again", test: testInterruptedNoIntent, survives: true},
		{name: "crash: what a killed process returns later is refused", test: testFence, survives: true},
		{name: "crash: of a group only what has no outcome is made again", test: testInterruptedGroup, survives: true},
		{name: "crash: what was interrupted can be cancelled and forked", test: testInterruptedFork, survives: true},
		{name: "crash: signals and sleeps are kept", test: testKilledWaits, survives: true},
	}
}

// An attempts records of what attempts the calls of a test were told.
type attempts struct {
	mu   sync.Mutex
	told [][]incident.Attempt
}

// hangs is a call that hangs until its gate is opened, the first n times, and says how
// often it was made.
func (x *runsTest) hangs(id incident.StepID, n int, told *attempts) incident.Call {
	return x.call(id, func(_ context.Context, interrupted []incident.Attempt) incident.Outcome {
		told.mu.Lock()
		told.told = append(told.told, interrupted)
		times := len(told.told)
		told.mu.Unlock()
		if times <= n {
			select {
			case <-x.gate(id):
			case <-x.end:
			}
			return incident.Outcome{Status: incident.Done, Message: "by one that was killed"}
		}
		return incident.Outcome{Status: incident.Done, Message: "by one that lives"}
	})
}

func testInterrupted(x *runsTest) {
	var told attempts
	call := x.hangs("a", 2, &told)
	call.Intent = true
	x.doesSteps(call, x.done("b"))
	var processes []string
	before := time.Now()
	id := ""
	for i := range 2 {
		p := x.launch()
		if i == 0 {
			id = x.begin("a")
		}
		x.makes("a", i+1)
		r := x.until(id, "the attempt is open", func(r incident.RunRecord) bool { return len(r.Open) == i+1 })
		processes = append(processes, r.Process)
		p.Kill()
	}
	x.launch()
	r := x.ends(id, incident.RunFinished)
	if x.wantEntries(r, "a", "b"); r.Entries[0].Outcome.Message != "by one that lives" || len(r.Open) != 0 {
		x.t.Errorf("run %s; want the outcome of the last attempt, and nothing open", describeRun(r))
	}
	told.mu.Lock()
	defer told.mu.Unlock()
	for i, got := range told.told {
		if len(got) != i {
			x.t.Fatalf("attempt %d was told of %+v; want of %d before it", i, got, i)
		}
		for j, a := range got {
			if a.Step != "a" || a.Process != processes[j] || a.At.Before(before.Add(-time.Millisecond)) || a.At.After(time.Now()) {
				x.t.Errorf("attempt %d was told of %+v; want step a by %q, the oldest first", i, a, processes[j])
			}
		}
	}
	if len(told.told) != 3 {
		x.t.Errorf("the call was made %d times; want 3", len(told.told))
	}
}

func testInterruptedNoIntent(x *runsTest) {
	var told attempts
	x.doesSteps(x.done("first"), x.hangs("a", 1, &told), x.done("b"))
	p := x.launch()
	id := x.begin("a")
	x.makes("a", 1)
	p.Kill()
	x.launch()
	x.wantEntries(x.ends(id, incident.RunFinished), "first", "a", "b")
	x.wantCalls("first", "a", "a", "b")
	told.mu.Lock()
	defer told.mu.Unlock()
	for _, got := range told.told {
		if len(got) != 0 {
			x.t.Errorf("a call without an intent was told of %+v", got)
		}
	}
}

func testFence(x *runsTest) {
	var told attempts
	call := x.hangs("a", 1, &told)
	call.Intent = true
	x.doesSteps(call, x.gated("b"), x.done("c"))
	p := x.launch()
	id := x.begin("a")
	x.makes("a", 1)
	p.Kill()
	x.launch()
	x.makes("b", 1) // the new process is beyond the call
	x.open("a")     // the old one returns
	x.nothing()
	x.open("b")
	r := x.ends(id, incident.RunFinished)
	if x.wantEntries(r, "a", "b", "c"); r.Entries[0].Outcome.Message != "by one that lives" {
		x.t.Errorf("outcome %+v; want that of the process that lives", r.Entries[0].Outcome)
	}
	x.wantCalls("a", "a", "b", "c") // the old one made nothing more
}

func testInterruptedGroup(x *runsTest) {
	var told attempts
	hangs := x.hangs("b", 1, &told)
	hangs.Intent = true
	x.doesGroup(x.done("a"), hangs, x.done("c"))
	p := x.launch()
	id := x.begin("a")
	x.makes("b", 1)
	x.has(id, "a")
	x.has(id, "c")
	p.Kill()
	x.launch()
	x.wantEntries(x.ends(id, incident.RunFinished), "a", "b", "c")
	for step, want := range map[incident.StepID]int{"a": 1, "b": 2, "c": 1} {
		if got := x.count(step); got != want {
			x.t.Errorf("call %q was made %d times; want %d", step, got, want)
		}
	}
}

func testInterruptedFork(x *runsTest) {
	var told attempts
	hangs := x.hangs("b", 1, &told)
	hangs.Intent = true
	x.doesSteps(x.done("a"), hangs)
	p := x.launch()
	id := x.begin("a")
	x.makes("b", 1)
	p.Kill()
	x.client()
	if r := x.record(id); r.Status.Ended() || len(r.Open) != 1 || r.Open[0].Step != "b" {
		x.t.Errorf("run %s; want one with b open", describeRun(r))
	}
	_, err := x.runs.Fork(x.ctx, id, "b", incident.RunFork{ID: x.id("fork")})
	if !errors.Is(err, incident.ErrBusy) {
		x.t.Errorf("error %v; want that it has not ended", err)
	}
	x.must(x.runs.Cancel(x.ctx, id, by("grace")))
	fork := x.forks(id, "b", "fork")
	x.launch()
	x.wantEntries(x.ends(fork, incident.RunFinished), "a", "b")
	if r := x.record(id); r.Status != incident.RunCancelled {
		x.t.Errorf("run %s; want that it stays cancelled", describeRun(r))
	}
	x.wantCalls("a", "b", "b")
}

func testKilledWaits(x *runsTest) {
	var told attempts
	x.doesWaits(x.hangs("a", 1, &told))
	p := x.launch()
	id := x.begin("a")
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	x.makes("a", 1)
	p.Kill()
	x.launch()
	r := x.ends(id, incident.RunFinished)
	x.wantEntries(r, "nap", "ask", "late", "a")
	if s := r.Entries[1].Signal; s == nil || s.ID != "1" || !sameJSON(r.Result, []byte(`"approve"`)) {
		x.t.Errorf("run %s; want the signal that was recorded", describeRun(r))
	}
}
