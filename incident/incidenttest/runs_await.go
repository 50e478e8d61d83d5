package incidenttest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/incident"
)

func awaitCases() []runsCase {
	return []runsCase{
		{name: "sleep ends at its time", test: testSleep},
		{name: "sleep until a time that has been ends at once", test: testSleepPast},
		{name: "a signal wakes the run that awaits it", test: testAwait},
		{name: "signals wait until they are awaited", test: testSignalsWait},
		{name: "signals are returned in order, each once", test: testSignalOrder},
		{name: "topics are apart", test: testTopics},
		{name: "a signal that is sent twice arrives once", test: testSignalTwice},
		{name: "a signal is returned and recorded as it is", test: testSignalFields},
		{name: "a wait expires at its deadline", test: testExpires},
		{name: "a wait without a deadline does not expire", test: testNoDeadline},
		{name: "a signal after the deadline does not count", test: testSignalTooLate},
		{name: "a signal before a deadline counts though nobody looked", test: testSignalInTime},
	}
}

func testSleep(x *runsTest) {
	began := time.Now()
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		until, err := x.appointed(ctx)
		if err != nil {
			return nil, err
		}
		if err := e.Sleep(ctx, "nap", until); err != nil {
			return nil, err
		}
		if now := time.Now(); now.Before(until) {
			x.t.Errorf("it woke %v early", until.Sub(now))
		}
		return result(until, nil)
	})
	id := x.begin("a")
	x.appoint(id, 3*x.quiet)
	w := x.waits(id, "nap")
	r := x.ends(id, incident.RunFinished)
	var until time.Time
	if err := json.Unmarshal(r.Result, &until); err != nil {
		x.t.Fatal(err)
	}
	if w.Topic != "" || !sameTime(w.Until, until) || w.Since.Before(began.Add(-time.Millisecond)) || w.Since.After(until) {
		x.t.Errorf("it waited as %+v; want without a topic until %v, since it began", w, until)
	}
	x.wantEntries(r, "nap")
	if e := r.Entries[0]; !sameTime(e.Slept, until) || e.Outcome != nil || e.Signal != nil {
		x.t.Errorf("entry %+v; want that it slept until %v", e, until)
	}
	if len(r.Waits) != 0 {
		x.t.Errorf("it still waits: %+v", r.Waits)
	}
}

func testSleepPast(x *runsTest) {
	past := time.Now().Add(-24 * time.Hour)
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		return nil, e.Sleep(ctx, "nap", past)
	})
	r := x.ends(x.begin("a"), incident.RunFinished)
	if x.wantEntries(r, "nap"); !sameTime(r.Entries[0].Slept, past) {
		x.t.Errorf("entry %+v; want that it slept until %v", r.Entries[0], past)
	}
}

// doesAwait awaits signals of topics, one after the other, for ever.
func (x *runsTest) doesAwait(topics ...string) {
	x.doesAwaitUntil(func(context.Context) (deadline time.Time, err error) { return deadline, nil }, topics...)
}

// doesAwaitUntil awaits signals of topics, one after the other, all until a deadline.
func (x *runsTest) doesAwaitUntil(when func(context.Context) (time.Time, error), topics ...string) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		deadline, err := when(ctx)
		if err != nil {
			return nil, err
		}
		var got []incident.Signal
		for i, topic := range topics {
			s, err := e.Await(ctx, stepN(i), topic, deadline)
			if err != nil {
				return nil, err
			}
			got = append(got, s)
		}
		return json.Marshal(got)
	})
}

// wantSignals checks which signals a run was given, by what was returned and by what is
// recorded.
func (x *runsTest) wantSignals(r incident.RunRecord, want ...string) {
	x.t.Helper()
	var returned []incident.Signal
	if err := json.Unmarshal(r.Result, &returned); err != nil {
		x.t.Fatal(err)
	}
	var got, recorded []string
	for i, s := range returned {
		got = append(got, s.ID)
		if e := r.Entries[i]; e.ID != stepN(i) || e.Signal == nil || e.Outcome != nil || !e.Slept.IsZero() {
			x.t.Fatalf("entry %+v; want the signal of %s", e, stepN(i))
		}
		recorded = append(recorded, r.Entries[i].Signal.ID)
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || fmt.Sprint(recorded) != fmt.Sprint(want) {
		x.t.Errorf("the signals %q were returned and %q recorded; want %q", got, recorded, want)
	}
}

func testAwait(x *runsTest) {
	began := time.Now()
	x.doesAwait("answer")
	id := x.begin("a")
	w := x.waits(id, "s0")
	if w.Topic != "answer" || !w.Until.IsZero() || w.Since.Before(began.Add(-time.Millisecond)) {
		x.t.Errorf("it waits as %+v; want for an answer, without an end, since it began", w)
	}
	if r := x.record(id); r.Status != incident.RunRunning {
		x.t.Errorf("it is %s while it waits; want running", r.Status)
	}
	x.sends(id, "answer", incident.Signal{ID: "1"})
	r := x.ends(id, incident.RunFinished)
	if x.wantSignals(r, "1"); len(r.Waits) != 0 {
		x.t.Errorf("it still waits: %+v", r.Waits)
	}
}

func testSignalsWait(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{x.gated("a")}); err != nil {
			return nil, err
		}
		s, err := e.Await(ctx, "b", "answer", time.Now().Add(time.Hour))
		return result(s.ID, err)
	})
	id := x.begin("a")
	x.makes("a", 1)
	x.sends(id, "answer", incident.Signal{ID: "early"})
	x.open("a")
	if r := x.ends(id, incident.RunFinished); !sameJSON(r.Result, json.RawMessage(`"early"`)) {
		x.t.Errorf("result %s; want the signal that was sent early", r.Result)
	}
}

func testSignalOrder(x *runsTest) {
	x.doesAwait("answer", "answer", "answer", "answer")
	id := x.begin("a")
	for _, s := range []string{"3", "1", "2"} {
		x.sends(id, "answer", incident.Signal{ID: s})
	}
	x.waits(id, "s3")
	x.sends(id, "answer", incident.Signal{ID: "0"})
	x.wantSignals(x.ends(id, incident.RunFinished), "3", "1", "2", "0")
}

func testTopics(x *runsTest) {
	x.doesAwait("one", "two", "one")
	id := x.begin("a")
	x.sends(id, "two", incident.Signal{ID: "2a"})
	x.sends(id, "three", incident.Signal{ID: "3a"})
	x.sends(id, "one", incident.Signal{ID: "1a"})
	x.sends(id, "one", incident.Signal{ID: "1b"})
	x.wantSignals(x.ends(id, incident.RunFinished), "1a", "2a", "1b")
}

func testSignalTwice(x *runsTest) {
	x.doesAwait("answer", "answer", "other")
	id := x.begin("a")
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "approve"})
	x.waits(id, "s1") // the first was taken
	x.sends(id, "answer", incident.Signal{ID: "1", Kind: "deny"})
	x.sends(id, "other", incident.Signal{ID: "1", Kind: "deny"})
	x.nothing()
	x.sends(id, "answer", incident.Signal{ID: "2", Kind: "approve"})
	x.sends(id, "other", incident.Signal{ID: "3", Kind: "approve"})
	r := x.ends(id, incident.RunFinished)
	if x.wantSignals(r, "1", "2", "3"); r.Entries[0].Signal.Kind != "approve" {
		x.t.Errorf("signal %+v; want the one that was sent first", r.Entries[0].Signal)
	}
}

func testSignalFields(x *runsTest) {
	x.doesAwait("answer", "answer")
	id := x.begin("a")
	want := incident.Signal{ID: "1", Kind: "approve", Actor: "grace", Comment: "looks right, é", Data: json.RawMessage(`{"plan":"abc"}`), At: time.Now().Add(-time.Hour).Truncate(time.Millisecond)}
	sent := time.Now()
	x.sends(id, "answer", want)
	x.sends(id, "answer", incident.Signal{ID: "2"})
	r := x.ends(id, incident.RunFinished)
	x.wantSignals(r, "1", "2")
	s := r.Entries[0].Signal
	if s.ID != want.ID || s.Kind != want.Kind || s.Actor != want.Actor || s.Comment != want.Comment || !sameJSON(s.Data, want.Data) || !sameTime(s.At, want.At) || s.Expired {
		x.t.Errorf("signal %+v; want %+v", s, want)
	}
	if at := r.Entries[1].Signal.At; at.Before(sent.Add(-time.Millisecond)) || at.After(time.Now().Add(time.Millisecond)) {
		x.t.Errorf("a signal without a time was sent at %v; want now, %v", at, sent)
	}
}

func testExpires(x *runsTest) {
	x.doesAwaitUntil(x.appointed, "answer", "answer")
	id := x.begin("a")
	x.appoint(id, 3*x.quiet)
	deadline := x.waits(id, "s0").Until
	r := x.ends(id, incident.RunFinished) // the second deadline has passed already
	if now := time.Now(); deadline.IsZero() || now.Before(deadline.Add(-time.Millisecond)) {
		x.t.Errorf("it expired at %v; want at its deadline %v", now, deadline)
	}
	x.wantSignals(r, "", "")
	for _, e := range r.Entries {
		if !e.Signal.Expired || !sameTime(e.Signal.At, deadline) {
			x.t.Errorf("signal %+v; want an expired one of %v", e.Signal, deadline)
		}
	}
}

func testNoDeadline(x *runsTest) {
	x.doesAwait("answer")
	id := x.begin("a")
	x.waits(id, "s0")
	x.nothing()
	x.waits(id, "s0")
	x.sends(id, "answer", incident.Signal{ID: "1"})
	x.wantSignals(x.ends(id, incident.RunFinished), "1")
}

// awaitsLate comes to await a signal when its deadline has passed. send sends it, and
// says what its deadline was.
func (x *runsTest) awaitsLate(send func(id string) (deadline time.Time)) incident.RunRecord {
	var deadline time.Time
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{x.gated("busy")}); err != nil {
			return nil, err
		}
		first, err := e.Await(ctx, "first", "answer", deadline)
		if err != nil || !first.Expired {
			return result(first.ID+" in time", err)
		}
		second, err := e.Await(ctx, "second", "answer", time.Time{})
		return result(second.ID+" too late", err)
	})
	id := x.begin("a")
	x.makes("busy", 1)
	deadline = send(id)
	x.pause(time.Until(deadline) + 20*time.Millisecond)
	x.open("busy")
	return x.ends(id, incident.RunFinished)
}

func testSignalTooLate(x *runsTest) {
	r := x.awaitsLate(func(id string) time.Time {
		deadline := time.Now()
		x.pause(20 * time.Millisecond)
		x.sends(id, "answer", incident.Signal{ID: "1"})
		return deadline
	})
	if !sameJSON(r.Result, json.RawMessage(`"1 too late"`)) {
		x.t.Errorf("result %s; want that the signal was too late, and was kept for the next wait", r.Result)
	}
}

func testSignalInTime(x *runsTest) {
	r := x.awaitsLate(func(id string) time.Time {
		x.sends(id, "answer", incident.Signal{ID: "1"})
		return time.Now().Add(20 * time.Millisecond)
	})
	if !sameJSON(r.Result, json.RawMessage(`"1 in time"`)) {
		x.t.Errorf("result %s; want the signal, which was in time", r.Result)
	}
}
