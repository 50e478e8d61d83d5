package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

func recordCases() []runsCase {
	return []runsCase{
		{name: "a run that is not there is not found", test: testNotFound},
		{name: "reading waits for something newer", test: testRecordWaits},
		{name: "reading stops to wait when its context ends", test: testRecordEnded},
		{name: "revisions grow with each change", test: testRevisions},
		{name: "calls with an intent are open while they are under way", test: testOpen},
		{name: "a signal to a run that has ended is refused", test: testSignalEnded},
		{name: "a signal that is invalid is refused", test: testSignalInvalid},
		{name: "everything at the same time", test: testEverything},
	}
}

func testNotFound(x *runsTest) {
	x.doesSteps(x.done("a"))
	x.ends(x.begin("there"), incident.RunFinished)
	id := x.id("missing")
	_, record := x.runs.Record(x.ctx, id, -1)
	_, waiting := x.runs.Record(x.ctx, id, 0)
	_, fork := x.runs.Fork(x.ctx, id, "a", incident.RunFork{ID: x.id("fork")})
	_, step := x.runs.Fork(x.ctx, x.id("there"), "b", incident.RunFork{ID: x.id("fork")})
	for call, err := range map[string]error{
		"Record": record, "Record with a revision": waiting, "Fork": fork, "Fork from a step": step,
		"Signal":  x.runs.Signal(x.ctx, id, "answer", incident.Signal{ID: "1"}),
		"Hold":    x.runs.Hold(x.ctx, id, by("ada")),
		"Release": x.runs.Release(x.ctx, id, by("ada")),
		"Cancel":  x.runs.Cancel(x.ctx, id, by("ada")),
	} {
		if !errors.Is(err, incident.ErrNotFound) || errors.Is(err, incident.ErrStale) || errors.Is(err, incident.ErrBusy) {
			x.t.Errorf("%s: error %v; want one that is %q", call, err, incident.ErrNotFound)
		}
	}
	if _, err := x.runs.Record(x.ctx, x.id("fork"), -1); !errors.Is(err, incident.ErrNotFound) {
		x.t.Errorf("error %v; want that nothing was forked", err)
	}
}

func testRecordWaits(x *runsTest) {
	x.doesSteps(x.gated("a"), x.gated("b"))
	id := x.begin("a")
	x.makes("a", 1)
	x.pause(100 * time.Millisecond) // all that is recorded of the beginning
	r := x.record(id)
	if old, err := x.runs.Record(x.ctx, id, r.Revision-1); err != nil || old.Revision < r.Revision {
		x.t.Errorf("revision %d, error %v; want %d at once", old.Revision, err, r.Revision)
	}
	came := make(chan incident.RunRecord, 1)
	go func() {
		next, err := x.runs.Record(x.ctx, id, r.Revision)
		if err != nil {
			x.t.Error(err)
		}
		came <- next
	}()
	x.nothing()
	select {
	case next := <-came:
		x.t.Errorf("record %s; want none newer than revision %d yet", describeRun(next), r.Revision)
		came <- next
	default:
	}
	x.open("a")
	if next := <-came; next.Revision <= r.Revision || next.ID != id {
		x.t.Errorf("record %s; want one that is newer than revision %d", describeRun(next), r.Revision)
	}
	x.open("b")
	x.ends(id, incident.RunFinished)
}

func testRecordEnded(x *runsTest) {
	x.doesSteps(x.gated("a"))
	id := x.begin("a")
	x.makes("a", 1)
	x.pause(100 * time.Millisecond)
	r := x.record(id)
	ctx, cancel := context.WithTimeout(x.ctx, 50*time.Millisecond)
	defer cancel()
	for rev := r.Revision; ; { // what was recorded meanwhile is something newer
		next, err := x.runs.Record(ctx, id, rev)
		if err == nil && next.Revision > rev {
			rev = next.Revision
			continue
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			x.t.Errorf("record %s, error %v; want that of the context", describeRun(next), err)
		}
		break
	}
	x.open("a")
	x.ends(id, incident.RunFinished)
}

func testRevisions(x *runsTest) {
	calls := []incident.Call{x.gated("a"), x.gated("b"), x.gated("c")}
	calls[0].Intent = true
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, calls); err != nil {
			return nil, err
		}
		s, err := e.Await(ctx, "ask", "answer", time.Time{})
		return result(s.ID, err)
	})
	id := x.begin("a")
	x.until(id, "a is open", func(r incident.RunRecord) bool { return len(r.Open) == 1 })
	last := x.record(id).Revision
	grows := func(what string, is func(r incident.RunRecord) bool) {
		x.t.Helper()
		r := x.until(id, what, is)
		if r.Revision <= last {
			x.t.Errorf("%s: revision %d after %d", what, r.Revision, last)
		}
		last = r.Revision
	}
	for i, c := range calls {
		x.open(c.ID)
		grows("another outcome, and after the last a wait", func(r incident.RunRecord) bool {
			return len(r.Entries) == i+1 && len(r.Waits) == i/2
		})
	}
	x.must(x.runs.Hold(x.ctx, id, by("ada")))
	grows("hold", func(r incident.RunRecord) bool { return r.Held != nil })
	x.must(x.runs.Release(x.ctx, id, by("ada")))
	grows("release", func(r incident.RunRecord) bool { return r.Held == nil })
	x.sends(id, "answer", incident.Signal{ID: "1"})
	grows("the end", func(r incident.RunRecord) bool { return r.Status.Ended() })
	x.nothing()
	if r := x.record(id); r.Revision != last {
		x.t.Errorf("revision %d of a run that had ended at %d", r.Revision, last)
	}
}

func testOpen(x *runsTest) {
	before := time.Now()
	calls := []incident.Call{x.gated("a"), x.gated("b"), x.gated("c")}
	calls[0].Intent, calls[2].Intent = true, true
	gated := calls[0].Do
	calls[0].Do = func(ctx context.Context, interrupted []incident.Attempt) incident.Outcome {
		r, err := x.runs.Record(x.ctx, x.id("a"), -1)
		if err != nil || !slices.ContainsFunc(r.Open, func(a incident.Attempt) bool { return a.Step == "a" }) {
			x.t.Errorf("run %s, error %v; want that the intent is recorded before the call is made", describeRun(r), err)
		}
		return gated(ctx, interrupted)
	}
	x.doesGroup(calls...)
	id := x.begin("a")
	x.makes("b", 1)
	x.makes("c", 1)
	x.makes("a", 1)
	r := x.record(id)
	if len(r.Open) != 2 || r.Open[0].Step != "a" || r.Open[1].Step != "c" || len(r.Entries) != 0 {
		x.t.Fatalf("run %s; want a and c open", describeRun(r))
	}
	for _, a := range r.Open {
		if a.Process == "" || a.Process != r.Process || a.At.Before(before.Add(-time.Millisecond)) || a.At.After(time.Now().Add(time.Millisecond)) {
			x.t.Errorf("attempt %+v; want of process %q, just now", a, r.Process)
		}
	}
	x.open("a")
	x.has(id, "a")
	if r := x.record(id); len(r.Open) != 1 || r.Open[0].Step != "c" {
		x.t.Errorf("run %s; want c open", describeRun(r))
	}
	x.open("b")
	x.open("c")
	if r := x.ends(id, incident.RunFinished); len(r.Open) != 0 {
		x.t.Errorf("the calls %+v are open; want none", r.Open)
	}
}

func testSignalEnded(x *runsTest) {
	x.does(func(_ context.Context, _ incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if strings.Contains(string(run.Input), "fails") {
			return nil, errors.New("it failed")
		}
		return nil, nil
	})
	finished, failed := x.begin("finishes"), x.begin("fails")
	x.ends(finished, incident.RunFinished)
	x.ends(failed, incident.RunFailed)
	for _, id := range []string{finished, failed} {
		wants(x.t, x.runs.Signal(x.ctx, id, "answer", incident.Signal{ID: "1"}), incident.ErrStale)
	}
}

func testSignalInvalid(x *runsTest) {
	x.doesAwait("answer")
	id := x.begin("a")
	for name, s := range map[string]incident.Signal{
		"no ID":          {Kind: "approve"},
		"data over size": {ID: "1", Data: json.RawMessage(`"` + strings.Repeat("x", 64<<10) + `"`)},
		"data not JSON":  {ID: "2", Data: json.RawMessage(`{`)},
	} {
		if err := x.runs.Signal(x.ctx, id, "answer", s); err == nil {
			x.t.Errorf("%s: it is taken", name)
		}
	}
	x.sends(id, "answer", incident.Signal{ID: "3", Data: json.RawMessage(`"` + strings.Repeat("x", 64<<10-2) + `"`)})
	r := x.ends(id, incident.RunFinished)
	if x.wantSignals(r, "3"); len(r.Entries[0].Signal.Data) != 64<<10 {
		x.t.Errorf("%d bytes of data arrived; want all", len(r.Entries[0].Signal.Data))
	}
}

func testEverything(x *runsTest) {
	const people = 5
	topics := make([]string, people+1)
	for i := range topics {
		topics[i] = "answer"
	}
	x.doesAwait(topics...)
	id := x.begin("a")
	each(people, func(i int) {
		own, shared := incident.Signal{ID: fmt.Sprint(i)}, incident.Signal{ID: "shared"}
		_, read := x.runs.Record(x.ctx, id, -1)
		_, again := x.runs.Start(x.ctx, x.run("a"))
		for _, err := range []error{
			x.runs.Hold(x.ctx, id, by("ada")), x.runs.Signal(x.ctx, id, "answer", shared), x.runs.Signal(x.ctx, id, "answer", own),
			x.runs.Release(x.ctx, id, by("ada")), read, again,
		} {
			if err != nil && !errors.Is(err, incident.ErrStale) { // the others were faster, and it has ended
				x.t.Error(err)
			}
		}
		x.lists(x.mine())
	})
	r := x.ends(id, incident.RunFinished)
	got := make(map[string]int)
	for _, e := range r.Entries {
		got[e.Signal.ID]++
	}
	if len(got) != people+1 {
		x.t.Errorf("the signals %v were returned; want each of %d once", got, people+1)
	}
}
