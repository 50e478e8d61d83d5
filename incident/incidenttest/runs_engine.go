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

func engineCases() []runsCase {
	return []runsCase{
		{name: "outcomes are returned and recorded as they are", test: testOutcome},
		{name: "an outcome says who made it and when", test: testOutcomeTimes},
		{name: "the largest input and output are kept", test: testLargest},
		{name: "a group is made at the same time", test: testGroupParallel},
		{name: "the outcomes of a group are in the order of its calls", test: testGroupOrder},
		{name: "an outcome of a group is recorded when its call has ended", test: testGroupRecorded},
		{name: "an ID that is used twice is refused", test: testIDTwice},
		{name: "an ID that occurs twice in a group is refused", test: testIDTwiceInGroup},
		{name: "a panic in a call is an unknown outcome", test: testCallPanics},
		{name: "calls that nobody interrupted", test: testNotInterrupted},
		{name: "the context of a call is that of its program", test: testCallContext},
	}
}

func testOutcome(x *runsTest) {
	want := []incident.Outcome{
		{Status: incident.Done, Output: json.RawMessage(`{"deployment":"d1","n":[1,2,3],"text":"é \u0000 <&>"}`), Message: "rolled back"},
		{Status: incident.Failed, Code: "refused", Message: "it said no", Unsent: true},
		{Status: incident.Unknown, Code: "unknown", Message: "the answer was lost"},
		{Status: incident.Skipped, Message: "not needed"},
	}
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		for i, o := range want {
			call := x.call(stepN(i), func(context.Context, []incident.Attempt) incident.Outcome { return o })
			got, err := e.Steps(ctx, []incident.Call{call})
			if err != nil {
				return nil, err
			}
			if len(got) != 1 || !sameOutcome(got[0], o) {
				x.t.Errorf("outcomes %+v were returned; want %+v", got, o)
			}
		}
		return nil, nil
	})
	r := x.ends(x.begin("a"), incident.RunFinished)
	x.wantCalls("s0", "s1", "s2", "s3") // each once, however it ended
	x.wantEntries(r, "s0", "s1", "s2", "s3")
	for i, e := range r.Entries {
		if e.Outcome == nil || !sameOutcome(*e.Outcome, want[i]) || e.Signal != nil || !e.Slept.IsZero() {
			x.t.Errorf("entry %+v; want the outcome %+v", e, want[i])
		}
	}
}

func stepN(i int) incident.StepID { return incident.StepID(fmt.Sprint("s", i)) }

// sameOutcome compares outcomes but for who made them and when.
func sameOutcome(a, b incident.Outcome) bool {
	return a.Status == b.Status && sameJSON(a.Output, b.Output) && a.Code == b.Code && a.Message == b.Message && a.Unsent == b.Unsent
}

func testOutcomeTimes(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		return result(e.Steps(ctx, []incident.Call{x.call("slow", func(context.Context, []incident.Attempt) incident.Outcome {
			x.pause(20 * time.Millisecond)
			return incident.Outcome{Status: incident.Done}
		})}))
	})
	r := x.ends(x.begin("a"), incident.RunFinished)
	o := r.Entries[0].Outcome
	if took := o.Ended.Sub(o.Began); o.Process == "" || o.Process != r.Process || took < 19*time.Millisecond || took > time.Minute {
		x.t.Errorf("outcome %+v of process %q; want who made it, and 20 ms or more from its beginning to its end", o, r.Process)
	}
	if r.Began.IsZero() || o.Began.Before(r.Began.Add(-time.Millisecond)) || o.Ended.After(r.Ended.Add(time.Millisecond)) {
		x.t.Errorf("outcome %+v of a run from %v to %v", o, r.Began, r.Ended)
	}
	var returned []incident.Outcome
	if err := json.Unmarshal(r.Result, &returned); err != nil || !sameTime(returned[0].Began, o.Began) || !sameTime(returned[0].Ended, o.Ended) {
		x.t.Errorf("%s was returned, and %+v recorded", r.Result, o)
	}
}

func testLargest(x *runsTest) {
	text := func(n int) json.RawMessage { return json.RawMessage(`"` + strings.Repeat("x", n-2) + `"`) }
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if len(run.Input) != 1<<20 {
			return nil, fmt.Errorf("the input has %d bytes", len(run.Input))
		}
		o, err := e.Steps(ctx, []incident.Call{x.call("large", func(context.Context, []incident.Attempt) incident.Outcome {
			return incident.Outcome{Status: incident.Done, Output: text(64 << 10)}
		})})
		if err == nil && len(o[0].Output) != 64<<10 {
			err = fmt.Errorf("the output has %d bytes", len(o[0].Output))
		}
		if err == nil {
			_, err = e.Steps(ctx, []incident.Call{x.call("larger", func(context.Context, []incident.Attempt) incident.Outcome {
				return incident.Outcome{Status: incident.Done, Output: text(64<<10 + 1)}
			})})
		}
		return nil, err
	})
	run := x.run("a")
	run.Input = text(1 << 20)
	r := x.ends(x.start(run), incident.RunFinished)
	if len(r.Input) != 1<<20 || len(r.Entries) != 2 || len(r.Entries[0].Outcome.Output) != 64<<10 {
		x.t.Fatal("input or output are not recorded whole")
	}
	if o := r.Entries[1].Outcome; o.Status != incident.Done || o.Code != "too large" || o.Message == "" || len(o.Output) != 0 {
		x.t.Errorf("outcome %+v; want what the call returned, with a code and words instead of its output", o)
	}
}

// doesGroup makes calls as one group.
func (x *runsTest) doesGroup(calls ...incident.Call) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		return result(e.Steps(ctx, calls))
	})
}

func testGroupParallel(x *runsTest) {
	x.doesGroup(x.gated("a"), x.gated("b"), x.gated("c"))
	id := x.begin("a")
	for _, step := range []incident.StepID{"a", "b", "c"} {
		x.makes(step, 1)
	}
	for _, step := range []incident.StepID{"a", "b", "c"} {
		x.open(step)
	}
	x.wantEntries(x.ends(id, incident.RunFinished), "a", "b", "c")
}

func testGroupOrder(x *runsTest) {
	// The first ends last, and the second fails: that is waited for all the same.
	first := x.call("a", func(context.Context, []incident.Attempt) incident.Outcome {
		select {
		case <-x.gate("c"):
		case <-x.end:
		}
		x.pause(50 * time.Millisecond)
		return incident.Outcome{Status: incident.Done, Message: "a"}
	})
	second := x.call("b", func(context.Context, []incident.Attempt) incident.Outcome {
		return incident.Outcome{Status: incident.Failed, Message: "b"}
	})
	third := x.call("c", func(context.Context, []incident.Attempt) incident.Outcome {
		x.open("c")
		return incident.Outcome{Status: incident.Done, Message: "c"}
	})
	x.doesGroup(first, second, third)
	r := x.ends(x.begin("a"), incident.RunFinished)
	x.wantEntries(r, "a", "b", "c")
	var got []incident.Outcome
	if err := json.Unmarshal(r.Result, &got); err != nil || len(got) != 3 || got[0].Message != "a" || got[1].Message != "b" || got[2].Message != "c" {
		x.t.Errorf("outcomes %s, error %v; want those of a, b and c", r.Result, err)
	}
}

func testGroupRecorded(x *runsTest) {
	x.doesGroup(x.gated("a"), x.done("b"), x.gated("c"))
	id := x.begin("a")
	x.has(id, "b")
	x.makes("a", 1)
	x.makes("c", 1)
	if r := x.record(id); r.Status != incident.RunRunning || !slices.Equal(entryIDs(r), []incident.StepID{"b"}) {
		x.t.Errorf("run %s; want one that is running and has recorded b", describeRun(r))
	}
	x.open("c")
	x.has(id, "c")
	x.wantEntries(x.record(id), "b", "c")
	x.open("a")
	x.wantEntries(x.ends(id, incident.RunFinished), "a", "b", "c")
}

func testIDTwice(x *runsTest) {
	kinds := map[string]func(ctx context.Context, e incident.Engine) error{
		"step": func(ctx context.Context, e incident.Engine) error {
			_, err := e.Steps(ctx, []incident.Call{x.done("a")})
			return err
		},
		"sleep": func(ctx context.Context, e incident.Engine) error { return e.Sleep(ctx, "a", time.Now()) },
		"wait": func(ctx context.Context, e incident.Engine) error {
			_, err := e.Await(ctx, "a", "topic", time.Now())
			return err
		},
	}
	x.does(func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{x.done("a")}); err != nil {
			return nil, err
		}
		var again string
		if err := json.Unmarshal(run.Input, &again); err != nil {
			return nil, err
		}
		if err := kinds[again](ctx, e); err != nil {
			return nil, fmt.Errorf("refused: %w", err)
		}
		return nil, nil
	})
	for again := range kinds {
		run := x.run(again)
		run.Input = json.RawMessage(`"` + again + `"`)
		if r := x.ends(x.start(run), incident.RunFailed); !strings.HasPrefix(r.Error, "refused") {
			x.t.Errorf("error %q; want that of a %s with an ID that was there already", r.Error, again)
		}
	}
	if n := x.count("a"); n != len(kinds) {
		x.t.Errorf("%d calls were made by %d runs; want one in each", n, len(kinds))
	}
}

func testIDTwiceInGroup(x *runsTest) {
	x.doesGroup(x.done("a"), x.done("b"), x.done("a"))
	x.ends(x.begin("a"), incident.RunFailed)
	x.wantCalls()
}

func testCallPanics(x *runsTest) {
	panics := x.call("a", func(context.Context, []incident.Attempt) incident.Outcome { panic("the call is broken") })
	panics.Intent = true
	other := x.call("b", func(context.Context, []incident.Attempt) incident.Outcome { panic(errors.New("this one too")) })
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		if _, err := e.Steps(ctx, []incident.Call{panics}); err != nil {
			return nil, err
		}
		return result(e.Steps(ctx, []incident.Call{other, x.done("c")}))
	})
	r := x.ends(x.begin("a"), incident.RunFinished)
	x.wantEntries(r, "a", "b", "c")
	for _, e := range r.Entries[:2] {
		if e.Outcome.Status != incident.Unknown || e.Outcome.Code != "panic" || e.Outcome.Message == "" {
			x.t.Errorf("outcome %+v; want an unknown one that says why, with a code", e.Outcome)
		}
	}
	if len(r.Open) != 0 {
		x.t.Errorf("the calls %+v are open; want none, as the outcome is recorded", r.Open)
	}
}

func testNotInterrupted(x *runsTest) {
	look := func(id incident.StepID, intent bool) incident.Call {
		c := x.call(id, func(_ context.Context, interrupted []incident.Attempt) incident.Outcome {
			if len(interrupted) > 0 {
				x.t.Errorf("call %q is told of the attempts %+v; want none", id, interrupted)
			}
			return incident.Outcome{Status: incident.Done}
		})
		c.Intent = intent
		return c
	}
	x.doesSteps(look("a", false), look("b", true), look("c", true))
	x.ends(x.begin("a"), incident.RunFinished)
	x.wantCalls("a", "b", "c")
}

type runsKey struct{}

func testCallContext(x *runsTest) {
	x.does(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		limited, cancel := context.WithTimeout(context.WithValue(ctx, runsKey{}, "value"), 50*time.Millisecond)
		defer cancel()
		return result(e.Steps(limited, []incident.Call{x.call("a", func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
			select {
			case <-ctx.Done():
			case <-x.end:
			}
			return incident.Outcome{Status: incident.Failed, Message: fmt.Sprint(ctx.Value(runsKey{}))}
		}), x.done("b")}))
	})
	id := x.begin("a")
	// The program limited this call, and it is recorded all the same.
	if e := x.has(id, "a"); e.Outcome.Status != incident.Failed || e.Outcome.Message != "value" {
		x.t.Errorf("outcome %+v; want that of a call with the context that the program gave", e.Outcome)
	}
}
