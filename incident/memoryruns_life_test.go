package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// emptyProgram is a program that does nothing.
func emptyProgram(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) {
	return nil, nil
}

// callProgram is a program that makes one call.
func callProgram(do func(ctx context.Context) incident.Outcome) incident.Program {
	return func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		o, err := e.Steps(ctx, []incident.Call{{ID: "a", Intent: true, Do: func(ctx context.Context, _ []incident.Attempt) incident.Outcome { return do(ctx) }}})
		if err != nil {
			return nil, err
		}
		return json.Marshal(o[0].Status)
	}
}

// waitProgram is a program that waits for ever.
func waitProgram(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
	_, err := e.Await(ctx, "wait", "answer", time.Time{})
	return nil, err
}

// launchMemory returns runs of one program.
func launchMemory(t *testing.T, cfg incident.MemoryRunsConfig, p incident.Program) *incident.MemoryRuns {
	t.Helper()
	cfg.Logger = discardLogs
	runs := incident.NewMemoryRuns(cfg)
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{"p": p}))
	return runs
}

func beginRun(t *testing.T, runs *incident.MemoryRuns, run incident.RunStart) {
	t.Helper()
	if run.Program == "" {
		run.Program = "p"
	}
	_, err := runs.Start(t.Context(), run)
	require.NoError(t, err)
}

func TestMemoryRunsLaunch(t *testing.T) {
	t.Parallel()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	err := runs.Launch(t.Context(), map[string]incident.Program{"": emptyProgram, "b": nil, "c": emptyProgram})
	require.ErrorContains(t, err, `program ""`)
	require.ErrorContains(t, err, `program "b"`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, runs.Launch(ctx, nil), context.Canceled)
	require.NoError(t, runs.Launch(t.Context(), nil))
	require.ErrorContains(t, runs.Launch(t.Context(), nil), "launched or closed before")
	_, err = runs.Start(t.Context(), incident.RunStart{ID: "a", Program: "p"})
	require.ErrorContains(t, err, `no program "p"`)
	assert.True(t, runbook.SafeToRetry(err))
	_, err = runs.Start(t.Context(), incident.RunStart{ID: "a/b", Input: json.RawMessage(`{`)})
	for _, problem := range []string{"its ID", "names no program", "its input"} {
		require.ErrorContains(t, err, problem)
	}
	_, err = runs.Start(t.Context(), incident.RunStart{ID: "a", Program: "p", Fork: "b"})
	require.ErrorContains(t, err, "use Fork")
	require.NoError(t, runs.Close(t.Context()))
	closed := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	require.NoError(t, closed.Close(t.Context()))
	require.Error(t, closed.Launch(t.Context(), nil))
}

func TestMemoryRunsBeforeLaunch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{Process: "laptop"})
		beginRun(t, runs, incident.RunStart{ID: "unknown", Program: "q", Lock: "lock"})
		beginRun(t, runs, incident.RunStart{ID: "behind", Lock: "lock"})
		beginRun(t, runs, incident.RunStart{ID: "free"})
		type key struct{}
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
		var value any
		require.NoError(t, runs.Launch(ctx, map[string]incident.Program{"p": func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			value = ctx.Value(key{})
			return nil, e.Sleep(ctx, "nap", time.Now().Add(time.Hour))
		}}))
		cancel() // this does not end the runs
		assert.Equal(t, "laptop", untilEnded(t, runs, "free").Process)
		assert.Equal(t, "value", value)
		r, err := runs.Record(t.Context(), "unknown", -1)
		require.NoError(t, err)
		assert.Equal(t, incident.RunStranded, r.Status)
		assert.Contains(t, r.Attention, `no program "q"`)
		r, err = runs.Record(t.Context(), "behind", -1)
		require.NoError(t, err)
		assert.Equal(t, incident.RunQueued, r.Status, "the lock is that of the stranded run")
		_, err = runs.Fork(t.Context(), "unknown", "nap", incident.RunFork{ID: "fork"})
		require.ErrorIs(t, err, incident.ErrBusy)
		require.NoError(t, runs.Cancel(t.Context(), "unknown", incident.Control{By: "ada"}))
		assert.Equal(t, incident.RunFinished, untilEnded(t, runs, "behind").Status)
		require.NoError(t, runs.Close(t.Context()))
	})
}

// Close waits for what is under way, and begins nothing more.
func TestMemoryRunsClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		next := false
		runs := launchMemory(t, incident.MemoryRunsConfig{}, func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			if run.ID == "waits" {
				return waitProgram(ctx, e, run)
			}
			_, err := callProgram(func(context.Context) incident.Outcome {
				time.Sleep(time.Hour)
				return incident.Outcome{Status: incident.Done}
			})(ctx, e, run)
			if err != nil || run.ID == "last" {
				return nil, err
			}
			_, err = e.Steps(ctx, []incident.Call{{ID: "next", Do: func(context.Context, []incident.Attempt) incident.Outcome {
				next = true
				return incident.Outcome{Status: incident.Done}
			}}})
			return nil, err
		})
		for _, id := range []string{"works", "waits", "last"} {
			beginRun(t, runs, incident.RunStart{ID: id, Lock: "lock of " + id})
		}
		beginRun(t, runs, incident.RunStart{ID: "queued", Lock: "lock of works"})
		synctest.Wait()
		began := time.Now()
		require.NoError(t, runs.Close(t.Context()))
		require.NoError(t, runs.Close(t.Context()))
		assert.Equal(t, time.Hour, time.Since(began))
		assert.False(t, next)
		assert.Equal(t, incident.RunFinished, untilEnded(t, runs, "last").Status)
		for id, recorded := range map[string]int{"works": 1, "waits": 0, "queued": 0} {
			r, err := runs.Record(t.Context(), id, -1)
			require.NoError(t, err)
			assert.Equal(t, incident.RunStranded, r.Status, id)
			assert.NotEmpty(t, r.Attention, id)
			assert.Len(t, r.Entries, recorded, id)
			assert.Empty(t, r.Waits, id)
		}
		_, err := runs.Start(t.Context(), incident.RunStart{ID: "new", Program: "p"})
		require.ErrorContains(t, err, "its process is to end")
		assert.True(t, runbook.SafeToRetry(err))
	})
}

// A context that ends cancels the calls that Close waits for, also those that do not
// heed it.
func TestMemoryRunsCloseCancels(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told error
		hang := make(chan struct{})
		runs := launchMemory(t, incident.MemoryRunsConfig{}, func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			return callProgram(func(ctx context.Context) incident.Outcome {
				if run.ID == "hangs" {
					<-hang
					return incident.Outcome{Status: incident.Done}
				}
				<-ctx.Done()
				told = context.Cause(ctx)
				return incident.Outcome{Status: incident.Unknown}
			})(ctx, e, run)
		})
		beginRun(t, runs, incident.RunStart{ID: "hangs"})
		beginRun(t, runs, incident.RunStart{ID: "heeds"})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := runs.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "2 runs")
		synctest.Wait()
		require.ErrorContains(t, told, "process is to end")
		r, err := runs.Record(t.Context(), "heeds", -1)
		require.NoError(t, err)
		assert.Equal(t, incident.RunFinished, r.Status, "its program ended by itself")
		close(hang)
		synctest.Wait()
		require.NoError(t, runs.Close(t.Context()))
	})
}

func TestMemoryRunsKeep(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := launchMemory(t, incident.MemoryRunsConfig{Keep: 2}, func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			if run.ID == "lives" {
				return waitProgram(ctx, e, run)
			}
			return nil, e.Sleep(ctx, "nap", time.Now().Add(time.Second))
		})
		beginRun(t, runs, incident.RunStart{ID: "lives"})
		beginRun(t, runs, incident.RunStart{ID: "0"})
		first := untilEnded(t, runs, "0")
		var waiting error
		go func() { _, waiting = runs.Record(t.Context(), "0", first.Revision) }()
		for i := range 3 {
			id := fmt.Sprint(i + 1)
			beginRun(t, runs, incident.RunStart{ID: id})
			untilEnded(t, runs, id)
		}
		require.ErrorIs(t, waiting, incident.ErrNotFound)
		var ids []string
		for r, err := range runs.List(t.Context(), incident.RunQuery{}) {
			require.NoError(t, err)
			ids = append(ids, r.ID)
		}
		assert.Equal(t, []string{"3", "2", "lives"}, ids)
		beginRun(t, runs, incident.RunStart{ID: "0", By: "somebody else"}) // nobody knows the first one
		untilEnded(t, runs, "0")
		require.NoError(t, runs.Close(t.Context()))

		none := launchMemory(t, incident.MemoryRunsConfig{Keep: -1}, emptyProgram)
		beginRun(t, none, incident.RunStart{ID: "a"})
		synctest.Wait()
		_, err := none.Record(t.Context(), "a", -1)
		require.ErrorIs(t, err, incident.ErrNotFound)
		require.NoError(t, none.Close(t.Context()))
	})
}

// What is given and returned is nobody else's.
func TestMemoryRunsCopies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		output := []byte(`"output"`)
		runs := launchMemory(t, incident.MemoryRunsConfig{}, func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			copy(run.Input, `"XXXXX"`)
			run.Labels["a"] = "changed"
			s, err := e.Await(ctx, "ask", "answer", time.Time{})
			copy(s.Data, `"XXXX"`)
			o, err2 := e.Steps(ctx, []incident.Call{{ID: "a", Do: func(context.Context, []incident.Attempt) incident.Outcome {
				return incident.Outcome{Status: incident.Done, Output: output}
			}}})
			copy(o[0].Output, `"XXXXXX"`)
			return output, errors.Join(err, err2)
		})
		run := incident.RunStart{ID: "a", Input: json.RawMessage(`"input"`), Labels: map[string]string{"a": "b"}}
		beginRun(t, runs, run)
		run.Input[1], run.Labels["a"] = 'Y', "c"
		data := json.RawMessage(`"data"`)
		require.NoError(t, runs.Signal(t.Context(), "a", "answer", incident.Signal{ID: "1", Data: data}))
		copy(data, `"YYYY"`)
		for range 2 {
			r := untilEnded(t, runs, "a")
			assert.JSONEq(t, `"input"`, string(r.Input))
			assert.Equal(t, map[string]string{"a": "b"}, r.Labels)
			assert.JSONEq(t, `"data"`, string(r.Entries[0].Signal.Data))
			assert.JSONEq(t, `"output"`, string(r.Entries[1].Outcome.Output))
			copy(output, `"ZZZZZZ"`)
			assert.JSONEq(t, `"XXXXXX"`, string(r.Result), "as it was returned")
			r.Input[1], r.Labels["a"], r.Entries[0].Signal.Data[1], r.Entries[1].Outcome.Output[1] = 'Z', "d", 'Z', 'Z'
			r.Entries[0].Signal.ID, r.Entries[1].Outcome.Status, r.Result[1] = "2", incident.Failed, 'Z'
		}
		require.NoError(t, runs.Close(t.Context()))
	})
}

func TestMemoryRunsOutputs(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		outcome incident.Outcome
		code    string
		message string
		status  incident.OutcomeStatus
	}{
		"too large": {incident.Outcome{Status: incident.Done, Output: json.RawMessage(`"` + strings.Repeat("x", 64<<10) + `"`)}, "too large", "it has 65538 bytes, and may have 65536", incident.Done},
		"not JSON":  {incident.Outcome{Status: incident.Failed, Output: json.RawMessage(`{`), Code: "failed", Message: "it failed"}, "failed", "it failed; its output was dropped: it is not JSON", incident.Failed},
		"no status": {incident.Outcome{Message: "hm", Output: json.RawMessage{}}, "", "hm", incident.Unknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runs := launchMemory(t, incident.MemoryRunsConfig{}, callProgram(func(context.Context) incident.Outcome { return test.outcome }))
				beginRun(t, runs, incident.RunStart{ID: "a"})
				r := untilEnded(t, runs, "a")
				o := r.Entries[0].Outcome
				assert.Empty(t, o.Output)
				assert.Equal(t, test.code, o.Code)
				assert.Contains(t, o.Message, test.message)
				assert.Equal(t, test.status, o.Status)
				assert.JSONEq(t, fmt.Sprintf("%q", test.status), string(r.Result), "the program is told the same")
				require.NoError(t, runs.Close(t.Context()))
			})
		})
	}
}

// Programs that are wrong end as failed, and hurt nobody else.
func TestMemoryRunsWrongPrograms(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		program incident.Program
		message string
	}{
		"no call": {func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			_, err := e.Steps(ctx, []incident.Call{{ID: "a"}})
			return nil, err
		}, `call "a" has nothing to do`},
		"no ID": {func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			return nil, e.Sleep(ctx, "", time.Now())
		}, "each call needs an ID of its own"},
		"no topic": {func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			_, err := e.Await(ctx, "a", "", time.Time{})
			return nil, err
		}, "no topic"},
		"result": {func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) {
			return json.RawMessage(`{`), nil
		}, "not JSON"},
		"its goroutine": {func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) {
			runtime.Goexit()
			return nil, nil
		}, "ended its goroutine"},
		"the goroutine of a call": {callProgram(func(context.Context) incident.Outcome {
			runtime.Goexit()
			return incident.Outcome{}
		}), "ended its goroutine"},
		"its own limit": {func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return waitProgram(ctx, e, run)
		}, "deadline exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				runs := launchMemory(t, incident.MemoryRunsConfig{}, test.program)
				beginRun(t, runs, incident.RunStart{ID: "a"})
				r := untilEnded(t, runs, "a")
				assert.Equal(t, incident.RunFailed, r.Status)
				assert.Contains(t, r.Error, test.message)
				assert.Empty(t, r.Waits)
				assert.Empty(t, r.Open)
				require.NoError(t, runs.Close(t.Context()))
			})
		})
	}
}

// A program that is not the one that made the record is told so.
func TestMemoryRunsChangedProgram(t *testing.T) {
	t.Parallel()
	do := func(context.Context, []incident.Attempt) incident.Outcome {
		return incident.Outcome{Status: incident.Done}
	}
	kinds := []func(ctx context.Context, e incident.Engine) error{
		func(ctx context.Context, e incident.Engine) error {
			_, err := e.Steps(ctx, []incident.Call{{ID: "a", Do: do}})
			return err
		},
		func(ctx context.Context, e incident.Engine) error { return e.Sleep(ctx, "a", time.Now()) },
		func(ctx context.Context, e incident.Engine) error {
			_, err := e.Await(ctx, "a", "answer", time.Now())
			return err
		},
	}
	synctest.Test(t, func(t *testing.T) {
		kind := 0
		runs := launchMemory(t, incident.MemoryRunsConfig{}, func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			if err := kinds[kind](ctx, e); err != nil {
				return nil, err
			}
			return nil, e.Sleep(ctx, "b", time.Now())
		})
		for kind = range kinds {
			old := fmt.Sprint("kind-", kind)
			beginRun(t, runs, incident.RunStart{ID: old})
			untilEnded(t, runs, old)
			was := kind
			for kind = range kinds {
				fork := fmt.Sprintf("fork-%d-%d", was, kind)
				_, err := runs.Fork(t.Context(), old, "b", incident.RunFork{ID: fork})
				require.NoError(t, err)
				if r := untilEnded(t, runs, fork); kind != was {
					assert.Contains(t, r.Error, "a call of another kind", fork)
				} else {
					assert.Equal(t, incident.RunFinished, r.Status, fork)
				}
			}
			kind = was
		}
		require.NoError(t, runs.Close(t.Context()))
	})
}

// An engine that is used after its run has ended does nothing.
func TestMemoryRunsEngineAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var engine incident.Engine
		runs := launchMemory(t, incident.MemoryRunsConfig{}, func(_ context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
			engine = e
			return nil, nil
		})
		beginRun(t, runs, incident.RunStart{ID: "a"})
		before := untilEnded(t, runs, "a")
		require.ErrorContains(t, engine.Sleep(t.Context(), "late", time.Now()), "still in use")
		assert.Equal(t, before.Revision, untilEnded(t, runs, "a").Revision)
		require.NoError(t, runs.Close(t.Context()))
	})
}

func TestMemoryRunsListLimit(t *testing.T) {
	t.Parallel()
	runs := launchMemory(t, incident.MemoryRunsConfig{}, emptyProgram)
	for _, err := range runs.List(t.Context(), incident.RunQuery{Limit: -1}) {
		require.ErrorContains(t, err, "limit is -1")
	}
	require.NoError(t, runs.Close(t.Context()))
}

// Everything at the same time, for the race detector.
func TestMemoryRunsConcurrently(t *testing.T) {
	t.Parallel()
	runs := launchMemory(t, incident.MemoryRunsConfig{Keep: 5}, func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		call := func(id incident.StepID) incident.Call {
			return incident.Call{ID: id, Intent: true, Do: func(context.Context, []incident.Attempt) incident.Outcome {
				return incident.Outcome{Status: incident.Done}
			}}
		}
		if _, err := e.Steps(ctx, []incident.Call{call("a"), call("b"), call("c")}); err != nil {
			return nil, err
		}
		_, err := e.Await(ctx, "d", "answer", time.Now().Add(time.Millisecond))
		return nil, err
	})
	control, ctx := incident.Control{By: "ada"}, t.Context()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 50 {
				id, lock := fmt.Sprint(i%4, "-", j), fmt.Sprint(j%3)
				_, _ = runs.Start(ctx, incident.RunStart{ID: id, Program: "p", Lock: lock, Refuse: i == 0})
				_ = runs.Signal(ctx, id, "answer", incident.Signal{ID: "1"})
				_ = runs.Hold(ctx, id, control)
				for range runs.List(ctx, incident.RunQuery{Lock: lock}) {
				}
				_ = runs.Release(ctx, id, control)
				if j%5 == 0 {
					_ = runs.Cancel(ctx, id, control)
				}
				_, _ = runs.Fork(ctx, id, "b", incident.RunFork{ID: "fork-" + id})
				_, _ = runs.Record(ctx, id, -1)
			}
		})
	}
	all.Wait()
	require.NoError(t, runs.Close(ctx))
	left := 0
	for r, err := range runs.List(ctx, incident.RunQuery{Limit: 1000}) {
		require.NoError(t, err)
		if r.Status.Ended() {
			left++
		} else {
			assert.Equal(t, incident.RunStranded, r.Status)
		}
	}
	assert.LessOrEqual(t, left, 5)
}

// A run asks a person, who answers.
func ExampleMemoryRuns() {
	ctx := context.Background()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	restart := func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		answer, err := e.Await(ctx, "ask", "answer", time.Now().Add(time.Hour))
		if err != nil {
			return nil, err
		}
		if answer.Expired || answer.Kind != "approve" {
			return nil, errors.New("nobody approved")
		}
		outcomes, err := e.Steps(ctx, []incident.Call{{ID: "restart", Intent: true, Do: func(context.Context, []incident.Attempt) incident.Outcome {
			return incident.Outcome{Status: incident.Done, Message: "restarted"}
		}}})
		if err != nil {
			return nil, err
		}
		return json.Marshal(outcomes[0].Message + ", approved by " + answer.Actor)
	}
	if err := runs.Launch(ctx, map[string]incident.Program{"restart": restart}); err != nil {
		fmt.Println(err)
		return
	}
	run, err := runs.Start(ctx, incident.RunStart{ID: "restart-1", Program: "restart", Lock: "production"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := runs.Signal(ctx, run.ID, "answer", incident.Signal{ID: "1", Kind: "approve", Actor: "grace"}); err != nil {
		fmt.Println(err)
		return
	}
	for !run.Status.Ended() {
		if run, err = runs.Record(ctx, run.ID, run.Revision); err != nil {
			fmt.Println(err)
			return
		}
	}
	for _, entry := range run.Entries {
		fmt.Println(entry.ID)
	}
	fmt.Println(run.Status, string(run.Result), runs.Close(ctx))
	// Output:
	// ask
	// restart
	// finished "restarted, approved by grace" <nil>
}
