package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

func listCases() []runsCase {
	return []runsCase{
		{name: "list chooses", test: testListChooses},
		{name: "list has the newest first, up to the limit", test: testListOrder},
		{name: "list has a hundred unless it is told", test: testListHundred},
		{name: "list has everything but the entries", test: testListContent},
		{name: "list with a context that has ended", test: testListEnded},
	}
}

// mine chooses the runs of the test.
func (x *runsTest) mine() incident.RunQuery {
	return incident.RunQuery{Labels: map[string]string{caseLabel: x.key}}
}

// lists returns the names of the runs that a query chooses.
func (x *runsTest) lists(q incident.RunQuery) []string {
	x.t.Helper()
	names := []string{}
	for r, err := range x.runs.List(x.ctx, q) {
		if err != nil {
			x.t.Fatal(err)
		}
		names = append(names, strings.TrimPrefix(r.ID, x.key+"-"))
	}
	return names
}

// wantList checks what a query chooses.
func (x *runsTest) wantList(what string, q incident.RunQuery, want ...string) {
	x.t.Helper()
	if got := x.lists(q); !slices.Equal(got, want) {
		x.t.Errorf("%s: the runs %q; want %q", what, got, want)
	}
}

func testListChooses(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		switch run.Labels["ends"] {
		case "failed":
			return nil, errors.New("it failed")
		case "never":
			return result(e.Steps(ctx, []incident.Call{x.gated("a")}))
		}
		return nil, nil
	})
	start := func(name, ends string, change func(r *incident.RunStart)) time.Time {
		run := x.run(name)
		run.Labels["ends"] = ends
		change(&run)
		x.start(run)
		x.pause(5 * time.Millisecond)
		return x.record(run.ID).At
	}
	lock := x.key + "-lock"
	start("finishes", "finished", func(r *incident.RunStart) { r.Labels["environment"] = "test" })
	second := start("fails", "failed", func(r *incident.RunStart) { r.Labels["environment"], r.Program = "production", otherRunsProgram })
	start("runs", "never", func(r *incident.RunStart) { r.Labels["environment"], r.Lock = "production", lock })
	start("waits", "finished", func(r *incident.RunStart) { r.Lock = lock })
	x.ends(x.id("finishes"), incident.RunFinished)
	x.ends(x.id("fails"), incident.RunFailed)
	x.makes("a", 1)

	choose := func(change func(q *incident.RunQuery)) incident.RunQuery {
		q := x.mine()
		change(&q)
		return q
	}
	x.wantList("all", x.mine(), "waits", "runs", "fails", "finishes")
	x.wantList("program", choose(func(q *incident.RunQuery) { q.Program = otherRunsProgram }), "fails")
	x.wantList("label", choose(func(q *incident.RunQuery) { q.Labels["environment"] = "production" }), "runs", "fails")
	x.wantList("labels", choose(func(q *incident.RunQuery) {
		maps.Copy(q.Labels, map[string]string{"environment": "production", "ends": "never"})
	}), "runs")
	x.wantList("missing label", choose(func(q *incident.RunQuery) { q.Labels["incident"] = "" }))
	x.wantList("lock", incident.RunQuery{Lock: lock}, "waits", "runs")
	x.wantList("status", choose(func(q *incident.RunQuery) { q.Statuses = []incident.RunStatus{incident.RunFailed} }), "fails")
	x.wantList("statuses", choose(func(q *incident.RunQuery) {
		q.Statuses = []incident.RunStatus{incident.RunQueued, incident.RunRunning, incident.RunStranded}
	}), "waits", "runs")
	x.wantList("queued", choose(func(q *incident.RunQuery) { q.Statuses = []incident.RunStatus{incident.RunQueued} }), "waits")
	x.wantList("since", choose(func(q *incident.RunQuery) { q.Since = second }), "waits", "runs", "fails")
	x.wantList("future", choose(func(q *incident.RunQuery) { q.Since = time.Now().Add(time.Hour) }))
	x.wantList("all together", incident.RunQuery{
		Program: runsProgram, Labels: map[string]string{"environment": "production", caseLabel: x.key}, Lock: lock,
		Statuses: []incident.RunStatus{incident.RunRunning}, Since: second, Limit: 5,
	}, "runs")
	x.open("a")
	x.ends(x.id("waits"), incident.RunFinished)
}

func testListOrder(x *runsTest) {
	x.does(func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) { return nil, nil })
	for _, name := range []string{"b", "a", "d", "c"} {
		x.begin(name)
		x.pause(5 * time.Millisecond)
	}
	q := x.mine()
	list := x.runs.List(x.ctx, q)
	q.Labels[caseLabel] = "another" // it was given before
	for range 2 {
		var got []string
		for r, err := range list {
			x.must(err)
			got = append(got, r.ID)
		}
		if want := []string{x.id("c"), x.id("d"), x.id("a"), x.id("b")}; !slices.Equal(got, want) {
			x.t.Errorf("the runs %q; want %q", got, want)
		}
	}
	limited := x.mine()
	limited.Limit = 2
	x.wantList("limit", limited, "c", "d")
	for range x.runs.List(x.ctx, x.mine()) {
		break // is enough
	}
}

func testListHundred(x *runsTest) {
	x.does(func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) { return nil, nil })
	const runs = 103
	each(runs, func(i int) {
		if _, err := x.runs.Start(x.ctx, x.run(fmt.Sprint(i))); err != nil {
			x.t.Error(err)
		}
	})
	if got := x.lists(x.mine()); len(got) != 100 {
		x.t.Errorf("%d runs of %d; want a hundred", len(got), runs)
	}
	q := x.mine()
	q.Limit = 102
	if got := x.lists(q); len(got) != q.Limit {
		x.t.Errorf("%d runs of %d; want %d", len(got), runs, q.Limit)
	}
	if q.Limit = 200; len(x.lists(q)) != runs {
		x.t.Errorf("%d runs; want all %d", len(x.lists(q)), runs)
	}
	for i := range runs {
		x.ends(x.id(fmt.Sprint(i)), incident.RunFinished)
	}
}

func testListContent(x *runsTest) {
	intended := x.gated("b")
	intended.Intent = true
	x.doesSteps(x.done("a"), intended)
	run := x.locked("a", "lock")
	x.start(run)
	x.makes("b", 1)
	x.must(x.runs.Hold(x.ctx, run.ID, by("grace")))
	for r, err := range x.runs.List(x.ctx, x.mine()) {
		x.must(err)
		full := x.record(run.ID)
		if !sameRun(r.RunStart, run) || r.Status != incident.RunRunning || r.Process != full.Process || r.Revision != full.Revision || r.Held == nil || r.Held.By != "grace" {
			x.t.Errorf("run %s; want all of %s but its entries", describeRun(r), describeRun(full))
		}
		if len(r.Entries) != 0 || len(full.Entries) != 1 {
			x.t.Errorf("%d entries are listed and %d recorded; want 0 and 1", len(r.Entries), len(full.Entries))
		}
	}
	x.must(x.runs.Release(x.ctx, run.ID, by("grace")))
	x.open("b")
	ended := x.ends(run.ID, incident.RunFinished)
	for r, err := range x.runs.List(x.ctx, x.mine()) {
		if x.must(err); r.Status != incident.RunFinished || !sameJSON(r.Result, json.RawMessage(`"done"`)) || r.Ended.IsZero() || len(r.Open) != 0 || r.Revision != ended.Revision {
			x.t.Errorf("run %s; want how it ended, at revision %d", describeRun(r), ended.Revision)
		}
	}
}

func testListEnded(x *runsTest) {
	for r, err := range x.runs.List(ended(x.t), x.mine()) {
		if !errors.Is(err, context.Canceled) {
			x.t.Errorf("run %s, error %v; want that of the context", describeRun(r), err)
		}
	}
}
