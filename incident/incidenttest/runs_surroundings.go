package incidenttest

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// runsTest is what one test of an engine has around it.
type runsTest struct {
	t       *testing.T
	ctx     context.Context // ends after a minute, so that what hangs is noticed
	runs    incident.Runs
	records RunsRecords
	key     string
	quiet   time.Duration
	end     <-chan struct{} // closed when the test has ended
	finish  func()          // ends the test

	mu      sync.Mutex
	program incident.Program
	made    []incident.StepID // the calls that were made, as they began
	gates   map[incident.StepID]chan struct{}
	time    time.Time // see appoint
}

// launch begins a process, which the test talks to from now on.
func (x *runsTest) launch() RunsProcess {
	x.t.Helper()
	p := x.records.Start(x.t)
	x.t.Cleanup(x.finish) // before the process is ended, for what hangs
	x.runs = p
	return p
}

// client talks to the records from now on, without a process that carries out anything.
func (x *runsTest) client() {
	x.t.Helper()
	x.runs = x.records.Client(x.t)
}

// does says what the runs of the test do.
func (x *runsTest) does(p incident.Program) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.program = p
}

// doesSteps makes calls one after the other.
func (x *runsTest) doesSteps(calls ...incident.Call) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		for _, c := range calls {
			if _, err := e.Steps(ctx, []incident.Call{c}); err != nil {
				return nil, err
			}
		}
		return json.RawMessage(`"done"`), nil
	})
}

// result is what a program returns of its last call.
func result(v any, err error) (json.RawMessage, error) {
	if err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// id is the ID of a run of the test.
func (x *runsTest) id(name string) string { return x.key + "-" + name }

// run is a run of the test.
func (x *runsTest) run(name string) incident.RunStart {
	return incident.RunStart{
		ID: x.id(name), Program: runsProgram, By: "ada", Input: json.RawMessage(`{"run":"` + name + `"}`), Labels: map[string]string{caseLabel: x.key},
	}
}

// locked is a run with a lock.
func (x *runsTest) locked(name, lock string) incident.RunStart {
	run := x.run(name)
	run.Lock = x.key + "-" + lock
	return run
}

// start starts a run, and returns its ID.
func (x *runsTest) start(run incident.RunStart) string {
	x.t.Helper()
	if _, err := x.runs.Start(x.ctx, run); err != nil {
		x.t.Fatalf("start %q: %v", run.ID, err)
	}
	return run.ID
}

// begin starts the run of that name, without more.
func (x *runsTest) begin(name string) string {
	x.t.Helper()
	return x.start(x.run(name))
}

// record reads a run.
func (x *runsTest) record(id string) incident.RunRecord {
	x.t.Helper()
	r, err := x.runs.Record(x.ctx, id, -1)
	if err != nil {
		x.t.Fatalf("read %q: %v", id, err)
	}
	return r
}

// until follows a run until something is so.
func (x *runsTest) until(id, what string, is func(r incident.RunRecord) bool) incident.RunRecord {
	x.t.Helper()
	for r := x.record(id); ; {
		if is(r) {
			return r
		}
		if r.Status.Ended() {
			x.t.Fatalf("%s: not of the run %s, which has ended", what, describeRun(r))
		}
		next, err := x.runs.Record(x.ctx, id, r.Revision)
		if err != nil {
			x.t.Fatalf("%s: not of the run %s: %v", what, describeRun(r), err)
		}
		if next.Revision <= r.Revision {
			x.t.Fatalf("revision %d was waited for, and %d came", r.Revision+1, next.Revision)
		}
		r = next
	}
}

// describeRun says how far a run is.
func describeRun(r incident.RunRecord) string {
	if len(r.Input) > 1000 {
		r.Input = json.RawMessage(`"(much)"`)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// ends waits for the end of a run, and checks how it ended.
func (x *runsTest) ends(id string, want incident.RunStatus) incident.RunRecord {
	x.t.Helper()
	r := x.until(id, "it has ended", func(r incident.RunRecord) bool { return r.Status.Ended() })
	if r.Status != want || r.Ended.IsZero() {
		x.t.Fatalf("the run ended as %s: want %q, and when", describeRun(r), want)
	}
	return r
}

// has waits until a call is recorded.
func (x *runsTest) has(id string, step incident.StepID) incident.RunEntry {
	x.t.Helper()
	var found incident.RunEntry
	x.until(id, "it has recorded "+string(step), func(r incident.RunRecord) bool {
		i := slices.IndexFunc(r.Entries, func(e incident.RunEntry) bool { return e.ID == step })
		if i >= 0 {
			found = r.Entries[i]
		}
		return i >= 0
	})
	return found
}

// waits waits until a run waits in a call.
func (x *runsTest) waits(id string, step incident.StepID) incident.RunWait {
	x.t.Helper()
	r := x.until(id, "it waits in "+string(step), func(r incident.RunRecord) bool { return len(r.Waits) == 1 && r.Waits[0].ID == step })
	return r.Waits[0]
}

// call makes a call that the test counts.
func (x *runsTest) call(id incident.StepID, do func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome) incident.Call {
	return incident.Call{ID: id, Do: func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
		x.mu.Lock()
		x.made = append(x.made, id)
		x.mu.Unlock()
		return do(ctx, interrupted)
	}}
}

// done is a call that does what it is to do.
func (x *runsTest) done(id incident.StepID) incident.Call {
	return x.call(id, func(context.Context, []incident.Attempt) incident.Outcome {
		return incident.Outcome{Status: incident.Done, Output: json.RawMessage(`"` + string(id) + `"`)}
	})
}

// gated is one that ends when its gate is opened, or its context has ended.
func (x *runsTest) gated(id incident.StepID) incident.Call {
	return x.call(id, func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
		select {
		case <-x.gate(id):
			return incident.Outcome{Status: incident.Done}
		case <-x.end:
			return incident.Outcome{Status: incident.Unknown, Message: "the test is over"}
		case <-ctx.Done():
			return incident.Outcome{Status: incident.Unknown, Message: "the context ended"}
		}
	})
}

// stubborn is one that ends when its gate is opened, and does not look at its context.
func (x *runsTest) stubborn(id incident.StepID) incident.Call {
	return x.call(id, func(context.Context, []incident.Attempt) incident.Outcome {
		select {
		case <-x.gate(id):
		case <-x.end:
		}
		return incident.Outcome{Status: incident.Done}
	})
}

// gate returns what is closed when the gate of a call is open.
func (x *runsTest) gate(id incident.StepID) chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gates[id] == nil {
		x.gates[id] = make(chan struct{})
	}
	return x.gates[id]
}

// open opens a gate, for good.
func (x *runsTest) open(id incident.StepID) { close(x.gate(id)) }

// makes waits until a call was begun so many times.
func (x *runsTest) makes(id incident.StepID, times int) {
	x.t.Helper()
	x.soon("call "+string(id)+" begins", func() bool { return x.count(id) >= times })
}

// soon waits until something is so.
func (x *runsTest) soon(what string, is func() bool) {
	x.t.Helper()
	for !is() {
		select {
		case <-time.After(2 * time.Millisecond):
		case <-x.ctx.Done():
			x.t.Fatalf("%s: not after a minute", what)
		}
	}
}

// appoint tells the programs of the test a time when a run is under way, so that it does
// not matter how long that took on a machine that has much to do.
func (x *runsTest) appoint(id string, in time.Duration) {
	x.t.Helper()
	x.until(id, "it is under way", func(r incident.RunRecord) bool { return r.Status == incident.RunRunning })
	x.mu.Lock()
	x.time = time.Now().Add(in)
	x.mu.Unlock()
	x.open("appointed")
}

// appointed waits for the time in a program. One that begins anew has it again.
func (x *runsTest) appointed(ctx context.Context) (time.Time, error) {
	select {
	case <-x.gate("appointed"):
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.time, nil
}

// count returns how often a call was begun.
func (x *runsTest) count(id incident.StepID) (n int) {
	for _, made := range x.calls() {
		if made == id {
			n++
		}
	}
	return n
}

// calls returns the calls that were begun.
func (x *runsTest) calls() []incident.StepID {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.made)
}

// wantCalls checks which calls were begun, in order.
func (x *runsTest) wantCalls(want ...incident.StepID) {
	x.t.Helper()
	if got := x.calls(); !slices.Equal(got, want) {
		x.t.Errorf("the calls %q were made; want %q", got, want)
	}
}

// nothing waits for a while, in which nothing is to happen.
func (x *runsTest) nothing() { x.pause(x.quiet) }

func (x *runsTest) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-x.ctx.Done():
	}
}

// sends sends a signal that must be taken.
func (x *runsTest) sends(id, topic string, s incident.Signal) {
	x.t.Helper()
	if err := x.runs.Signal(x.ctx, id, topic, s); err != nil {
		x.t.Fatalf("send signal %q: %v", s.ID, err)
	}
}

// must checks that something worked.
func (x *runsTest) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

// by is what somebody does to a run.
func by(name string) incident.Control { return incident.Control{By: name, Reason: "a test"} }

// entryIDs returns the calls that a run has recorded.
func entryIDs(r incident.RunRecord) (list []incident.StepID) {
	for _, e := range r.Entries {
		list = append(list, e.ID)
	}
	return list
}

// wantEntries checks which calls a run has recorded, in order.
func (x *runsTest) wantEntries(r incident.RunRecord, want ...incident.StepID) {
	x.t.Helper()
	if got := entryIDs(r); !slices.Equal(got, want) {
		x.t.Errorf("run %q has recorded %q; want %q", r.ID, got, want)
	}
}

// sameJSON compares what JSON says.
func sameJSON(a, b json.RawMessage) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(a) == len(b)
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return bytes.Equal(a, b)
	}
	return reflect.DeepEqual(x, y)
}

// sameTime compares times to the millisecond.
func sameTime(a, b time.Time) bool {
	return a.IsZero() == b.IsZero() && a.Sub(b).Abs() <= time.Millisecond
}

// sameRun compares what runs were started with, but for when.
func sameRun(a, b incident.RunStart) bool {
	return a.ID == b.ID && a.Program == b.Program && sameJSON(a.Input, b.Input) && a.Lock == b.Lock && a.Refuse == b.Refuse &&
		maps.Equal(a.Labels, b.Labels) && a.By == b.By && a.Fork == b.Fork && a.ForkStep == b.ForkStep
}
