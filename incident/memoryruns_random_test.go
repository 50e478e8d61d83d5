package incident_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// A randomProgram makes the same calls each time, of which nobody would have thought.
type randomProgram struct {
	ops []randomOp

	mu   sync.Mutex
	made map[incident.StepID]int
}

// A randomOp is one call of the engine: a group, a sleep or a wait.
type randomOp struct {
	calls []randomCall
	id    incident.StepID
	topic string        // of a wait; empty for a sleep
	after time.Duration // of a sleep, or the deadline of a wait; zero is none
}

// A randomCall takes a while and ends somehow.
type randomCall struct {
	id      incident.StepID
	takes   time.Duration
	outcome incident.Outcome
	intent  bool
	panics  bool
}

func newRandomProgram(r *rand.Rand) *randomProgram {
	p := &randomProgram{made: make(map[incident.StepID]int)}
	for i := range 1 + r.IntN(12) {
		id := incident.StepID(fmt.Sprint("op-", i))
		op := randomOp{id: id, after: time.Duration(r.IntN(2000)-200) * time.Millisecond}
		switch r.IntN(4) {
		case 0:
			op.topic = fmt.Sprint("topic-", r.IntN(3))
		case 1:
		default:
			for j := range 1 + r.IntN(4) {
				op.calls = append(op.calls, randomCall{
					id: id + incident.StepID(fmt.Sprint("/", j)), takes: time.Duration(r.IntN(500)) * time.Millisecond, intent: r.IntN(2) == 0, panics: r.IntN(10) == 0,
					outcome: incident.Outcome{Status: []incident.OutcomeStatus{incident.Done, incident.Failed, incident.Unknown, incident.Skipped}[r.IntN(4)], Output: json.RawMessage(fmt.Sprint(r.IntN(1000)))},
				})
			}
		}
		p.ops = append(p.ops, op)
	}
	return p
}

// ids returns the calls in their order.
func (p *randomProgram) ids() (ids []incident.StepID) {
	for _, op := range p.ops {
		for _, c := range op.calls {
			ids = append(ids, c.id)
		}
		if op.calls == nil {
			ids = append(ids, op.id)
		}
	}
	return ids
}

// run carries the program out. Its result is what the engine returned.
func (p *randomProgram) run(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
	var seen []incident.RunEntry
	for _, op := range p.ops {
		var err error
		switch {
		case op.calls != nil:
			var calls []incident.Call
			for _, c := range op.calls {
				calls = append(calls, incident.Call{ID: c.id, Intent: c.intent, Do: p.do(c)})
			}
			var outcomes []incident.Outcome
			outcomes, err = e.Steps(ctx, calls)
			for i := range outcomes {
				seen = append(seen, incident.RunEntry{ID: calls[i].ID, Outcome: &outcomes[i]})
			}
		case op.topic != "":
			var s incident.Signal
			s, err = e.Await(ctx, op.id, op.topic, run.At.Add(op.after))
			seen = append(seen, incident.RunEntry{ID: op.id, Signal: &s})
		default:
			err = e.Sleep(ctx, op.id, run.At.Add(op.after))
			seen = append(seen, incident.RunEntry{ID: op.id, Slept: run.At.Add(op.after)})
		}
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(seen)
}

func (p *randomProgram) do(c randomCall) func(context.Context, []incident.Attempt) incident.Outcome {
	return func(ctx context.Context, _ []incident.Attempt) incident.Outcome {
		p.mu.Lock()
		p.made[c.id]++
		p.mu.Unlock()
		select {
		case <-time.After(c.takes):
		case <-ctx.Done():
		}
		if c.panics {
			panic("random")
		}
		return c.outcome
	}
}

// TestMemoryRunsRandom carries out random programs while people interfere, and forks them.
func TestMemoryRunsRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		synctest.Test(t, func(t *testing.T) { testRandom(t, rand.New(rand.NewPCG(seed, 1)), fmt.Sprint("seed ", seed)) })
	}
}

func testRandom(t *testing.T, r *rand.Rand, seed string) {
	p := newRandomProgram(r)
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{Logger: discardLogs})
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{"random": p.run}))
	_, err := runs.Start(t.Context(), incident.RunStart{ID: "run", Program: "random", Lock: "lock"})
	require.NoError(t, err)
	sent := interfere(t, r, runs)
	record := untilEnded(t, runs, "run")
	if record.Status == incident.RunFinished {
		checkRandom(t, p, record, sent, seed)
		var seen []incident.RunEntry
		require.NoError(t, json.Unmarshal(record.Result, &seen))
		assert.Empty(t, cmp.Diff(entriesJSON(t, record.Entries), entriesJSON(t, seen)), seed)
	}
	for id, n := range p.made {
		assert.Equal(t, 1, n, "%s: %s", seed, id)
	}
	assert.True(t, slices.IsSortedFunc(record.Entries, func(a, b incident.RunEntry) int {
		return slices.Index(p.ids(), a.ID) - slices.Index(p.ids(), b.ID)
	}), "%s: %v", seed, record.Entries)
	if len(record.Entries) > 0 {
		testRandomFork(t, r, runs, p, record, seed)
	}
	require.NoError(t, runs.Close(t.Context()))
}

// interfere does what people do to a run. It returns the signals by topic.
func interfere(t *testing.T, r *rand.Rand, runs *incident.MemoryRuns) map[string][]string {
	sent := make(map[string][]string)
	for i := range r.IntN(30) {
		time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
		var err error
		switch r.IntN(5) {
		case 0:
			err = runs.Hold(t.Context(), "run", incident.Control{By: "ada"})
		case 1:
			err = runs.Release(t.Context(), "run", incident.Control{By: "ada"})
		case 2, 3:
			topic, id := fmt.Sprint("topic-", r.IntN(3)), fmt.Sprint(i)
			if err = runs.Signal(t.Context(), "run", topic, incident.Signal{ID: id}); err == nil {
				sent[topic] = append(sent[topic], id)
				assert.NoError(t, runs.Signal(t.Context(), "run", topic, incident.Signal{ID: id}))
			}
		case 4:
			if r.IntN(10) == 0 {
				err = runs.Cancel(t.Context(), "run", incident.Control{By: "ada"})
			}
		}
		if err != nil {
			assert.ErrorIs(t, err, incident.ErrStale)
		}
	}
	assert.NoError(t, runs.Release(t.Context(), "run", incident.Control{By: "ada"}))
	return sent
}

// checkRandom checks that everything was recorded, and that signals came in order.
func checkRandom(t *testing.T, p *randomProgram, record incident.RunRecord, sent map[string][]string, seed string) {
	t.Helper()
	var ids []incident.StepID
	for _, e := range record.Entries {
		ids = append(ids, e.ID)
	}
	assert.Equal(t, p.ids(), ids, seed)
	assert.Empty(t, record.Open, seed)
	assert.Empty(t, record.Waits, seed)
	for _, op := range p.ops {
		i := slices.Index(ids, op.id)
		if op.topic == "" || i < 0 {
			continue
		}
		s := record.Entries[i].Signal
		if s.Expired {
			assert.WithinDuration(t, record.At.Add(op.after), s.At, 0, seed)
			continue
		}
		require.NotEmpty(t, sent[op.topic], seed)
		assert.Equal(t, sent[op.topic][0], s.ID, seed)
		sent[op.topic] = sent[op.topic][1:]
	}
}

// testRandomFork forks the run from one of its calls.
func testRandomFork(t *testing.T, r *rand.Rand, runs *incident.MemoryRuns, p *randomProgram, record incident.RunRecord, seed string) {
	clear(p.made)
	at := r.IntN(len(record.Entries))
	_, err := runs.Fork(t.Context(), "run", record.Entries[at].ID, incident.RunFork{ID: "fork"})
	require.NoError(t, err)
	fork := untilEnded(t, runs, "fork")
	require.Equal(t, incident.RunFinished, fork.Status, seed)
	require.Len(t, fork.Entries, len(p.ids()), seed)
	kept := make(map[incident.StepID]bool)
	for _, e := range record.Entries[:at] {
		kept[e.ID] = true
	}
	taken := slices.DeleteFunc(slices.Clone(fork.Entries), func(e incident.RunEntry) bool { return !kept[e.ID] })
	assert.Empty(t, cmp.Diff(entriesJSON(t, record.Entries[:at]), entriesJSON(t, taken)), seed)
	for i, e := range fork.Entries {
		assert.Equal(t, p.ids()[i], e.ID, seed)
		want := 0
		if e.Outcome != nil && !kept[e.ID] {
			want = 1
		}
		assert.Equal(t, want, p.made[e.ID], "%s: %s", seed, e.ID)
	}
}

func untilEnded(t *testing.T, runs *incident.MemoryRuns, id string) incident.RunRecord {
	t.Helper()
	r, err := runs.Record(t.Context(), id, -1)
	for err == nil && !r.Status.Ended() {
		r, err = runs.Record(t.Context(), id, r.Revision)
	}
	require.NoError(t, err)
	synctest.Wait() // for calls of a run that was cancelled
	return r
}

func entriesJSON(t *testing.T, entries []incident.RunEntry) string {
	t.Helper()
	text, err := json.MarshalIndent(append([]incident.RunEntry{}, entries...), "", " ")
	require.NoError(t, err)
	return string(text)
}
