package incident_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A freeze stops a process at one of its calls of the runs or of the store, before it has its
// effect or after, and lets something else happen. If the process dies there, that call and
// all after it fail.
type freeze struct {
	at    int // of the calls, from 0
	after bool
	dies  bool
	then  func()

	calls int
	where string
	dead  bool
}

var errDead = errors.New("the process is dead")

// call counts a call, and makes it.
func (f *freeze) call(what string, do func() error) error {
	if f.dead {
		return errDead
	}
	mine := f.calls == f.at
	f.calls++
	if !mine {
		return do()
	}
	f.where = what
	stop := func() {
		f.dead = f.dies
		f.then()
	}
	if f.after {
		err := do()
		if stop(); f.dead {
			return errDead
		}
		return err
	}
	if stop(); f.dead {
		return errDead
	}
	return do()
}

// icyRuns and icyStore are those of the process that stops. It has sent the call when it
// stops, so that what it waits for no more does not matter.
type icyRuns struct {
	incident.Runs
	*freeze
}

func (r icyRuns) List(ctx context.Context, q incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	return func(yield func(incident.RunRecord, error) bool) {
		var all []incident.RunRecord
		err := r.call("list", func() error {
			for record, err := range r.Runs.List(context.WithoutCancel(ctx), q) {
				if err != nil {
					return err
				}
				all = append(all, record)
			}
			return nil
		})
		if err != nil {
			yield(incident.RunRecord{}, err)
			return
		}
		for _, record := range all {
			if !yield(record, nil) {
				return
			}
		}
	}
}

func (r icyRuns) Record(ctx context.Context, id string, revision int64) (record incident.RunRecord, err error) {
	err = r.call("record", func() error { record, err = r.Runs.Record(context.WithoutCancel(ctx), id, revision); return err })
	return record, err
}

func (r icyRuns) Hold(ctx context.Context, id string, c incident.Control) error {
	return r.call("hold", func() error { return r.Runs.Hold(context.WithoutCancel(ctx), id, c) })
}

func (r icyRuns) Release(ctx context.Context, id string, c incident.Control) error {
	return r.call("release", func() error { return r.Runs.Release(context.WithoutCancel(ctx), id, c) })
}

func (r icyRuns) Cancel(ctx context.Context, id string, c incident.Control) error {
	return r.call("cancel", func() error { return r.Runs.Cancel(context.WithoutCancel(ctx), id, c) })
}

func (r icyRuns) Start(ctx context.Context, s incident.RunStart) (record incident.RunRecord, err error) {
	err = r.call("start", func() error { record, err = r.Runs.Start(context.WithoutCancel(ctx), s); return err })
	return record, err
}

func (r icyRuns) Replace(ctx context.Context, all []incident.Replacement) (records []incident.RunRecord, err error) {
	err = r.call("replace", func() error { records, err = r.Runs.Replace(context.WithoutCancel(ctx), all); return err })
	return records, err
}

type icyStore struct {
	incident.Store
	*freeze
}

func (s icyStore) Document(ctx context.Context, kind, id string) (doc incident.Document, err error) {
	err = s.call("document", func() error { doc, err = s.Store.Document(context.WithoutCancel(ctx), kind, id); return err })
	return doc, err
}

func (s icyStore) Commit(ctx context.Context, c incident.Change) (done incident.Change, err error) {
	err = s.call("commit", func() error { done, err = s.Store.Commit(context.WithoutCancel(ctx), c); return err })
	return done, err
}

// A thaw is the world in which one process stops, and another goes on.
type thaw struct {
	*world
	t        *testing.T
	cfg      incident.RunnerConfig
	ice, two *incident.Runner
}

// process returns one that stops.
func (h *thaw) process(f *freeze) *incident.Runner {
	cfg := h.cfg
	cfg.Runs, cfg.Store = icyRuns{cfg.Runs, f}, icyStore{cfg.Store, f}
	r, err := incident.NewRunner(cfg)
	require.NoError(h.t, err)
	return r
}

func (h *thaw) settles() {
	h.t.Helper()
	synctest.Wait()
	_, err := h.two.MakeWay(h.t.Context(), "production")
	require.NoError(h.t, err)
	require.NoError(h.t, h.two.Reconcile(h.t.Context()))
	synctest.Wait()
}

// answers approves all that is asked.
func (h *thaw) answers() {
	h.t.Helper()
	synctest.Wait()
	open, err := h.two.Approvals(h.t.Context())
	require.NoError(h.t, err)
	for _, a := range open {
		run, err := h.two.Run(h.t.Context(), a.Question.Run)
		require.NoError(h.t, err)
		if run.Question == nil || run.Question.ID != a.Question.ID || run.Held != nil {
			continue
		}
		err = h.two.Answer(h.t.Context(), run.ID, run.Question.ID, incident.Answer{Kind: "approve", Actor: "kim", Plan: run.Question.Plan})
		if err != nil {
			require.ErrorIs(h.t, err, incident.ErrStale)
		}
		synctest.Wait()
	}
}

// meanwhile is what others do while a process stands still.
func meanwhile() map[string]func(h *thaw) {
	return map[string]func(h *thaw){
		"nobody does anything":    func(*thaw) {},
		"another one makes way":   (*thaw).settles,
		"it is answered":          (*thaw).answers,
		"answered, and then way":  func(h *thaw) { h.answers(); h.settles() },
		"way, and then answered":  func(h *thaw) { h.settles(); h.answers(); h.settles(); h.answers() },
		"a person lets it go on":  func(h *thaw) { _ = h.two.Resume(h.t.Context(), "tidy", "kim", "why is it held?"); h.answers() },
		"it is paused for a time": func(h *thaw) { h.pausedForATime() },
		"the urgent one is cancelled": func(h *thaw) {
			if err := h.two.Cancel(h.t.Context(), "rescue", "kim", "it is over"); err != nil {
				require.ErrorIs(h.t, err, incident.ErrStale)
			}
			h.answers()
		},
	}
}

// dies lets another process make way, which dies after a call, and then answers.
func (h *thaw) dies(at int) {
	f := &freeze{at: at, after: true, dies: true, then: func() {}}
	if _, err := h.process(f).MakeWay(h.t.Context(), "production"); err != nil {
		require.ErrorIs(h.t, err, errDead)
	}
	h.answers()
}

func (h *thaw) pausedForATime() {
	for _, do := range []func(context.Context, string, string, string) error{h.two.Pause, h.two.Resume} {
		if err := do(h.t.Context(), "tidy", "kim", "a moment"); err != nil {
			require.ErrorIs(h.t, err, incident.ErrStale)
		}
	}
}

// At whatever call a process stands still that makes way, for however long, or dies, and
// whatever others do meanwhile: what the run does is done, and done once.
//
// Requirement: INC-CRASH-PUT-ASIDE
func TestMakingWayWhileItStandsStill(t *testing.T) {
	t.Parallel()
	all := meanwhile()
	for at := range 16 {
		all[fmt.Sprintf("another one dies after call %d, and it is answered", at)] = func(h *thaw) { h.dies(at) }
	}
	for name, then := range all {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, dies %t", name, dies), func(t *testing.T) {
				t.Parallel()
				points := 0
				for _, after := range []bool{false, true} {
					for at, more := 0, true; more; at++ {
						f := &freeze{at: at, after: after, dies: dies}
						synctest.Test(t, func(t *testing.T) { f.test(t, then) })
						if more = f.where != ""; more {
							points++
						}
					}
				}
				assert.Greater(t, points, 10, "points at which it stood still")
			})
		}
	}
}

func (f *freeze) test(t *testing.T, then func(h *thaw)) {
	ctx := t.Context()
	h := &thaw{world: new(world), t: t}
	low, high := playbook(gate(func(a *incident.Approve, _ *incident.Step) { a.Within = 20 * time.Hour }), h.action("tidy")), playbook(h.action("rescue"))
	low.Name, low.Severity, high.Name = "tidy", alert.Low, "rescue"
	memory := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	h.cfg = incident.RunnerConfig{Playbooks: []incident.Playbook{low, high}, Runs: memory, Store: new(incident.MemoryStore), Logger: discardLogs}
	var err error
	h.two, err = incident.NewRunner(h.cfg)
	require.NoError(t, err)
	h.ice = h.process(f)
	require.NoError(t, memory.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: h.two.Program()}))
	defer func() { require.NoError(t, memory.Close(context.WithoutCancel(ctx))) }()
	for _, name := range []string{"tidy", "rescue"} {
		_, err := h.two.Start(ctx, incident.Request{ID: name, Environment: "production", Playbook: name, By: "jane"})
		require.NoError(t, err)
		synctest.Wait()
		time.Sleep(time.Second)
	}
	f.then = func() {
		time.Sleep(2 * time.Hour)
		then(h)
		time.Sleep(2 * time.Hour)
	}
	if _, err := h.ice.MakeWay(ctx, "production"); !f.dead {
		require.NoError(t, err, "it stood still at %s", f.where)
	}
	for range 3 {
		time.Sleep(2 * time.Minute)
		h.settles()
		h.answers()
	}
	want := map[string]int{"tidy": 1, "rescue": 1}
	if run, err := h.two.Run(ctx, "rescue"); assert.NoError(t, err) && run.State == incident.StateCancelled {
		want["rescue"] = 0
	}
	did := h.did()
	for what, times := range want {
		n := len(slices.DeleteFunc(slices.Clone(did), func(d string) bool { return d != what }))
		assert.Equal(t, times, n, "%s, at call %d (%s, after %t): what was done is %v", what, f.at, f.where, f.after, did)
	}
	for run, err := range h.two.Runs(ctx, incident.RunQuery{}) {
		require.NoError(t, err)
		assert.Contains(t, []incident.RunState{incident.StateSucceeded, incident.StateCancelled}, run.State, "%s: %s, at call %d (%s, after %t)", run.ID, run.Text, f.at, f.where, f.after)
	}
}
