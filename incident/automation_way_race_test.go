package incident_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// meddled are runs in which something else happens between two commands, once.
type meddled struct {
	incident.Runs
	beforeHold, afterHold, beforeStart, afterRelease func()
	holdErr                                          error
}

func once(f *func()) {
	if g := *f; g != nil {
		*f = nil
		g()
	}
}

func (m *meddled) Hold(ctx context.Context, id string, c incident.Control) error {
	once(&m.beforeHold)
	if m.holdErr != nil {
		return m.holdErr
	}
	err := m.Runs.Hold(ctx, id, c)
	once(&m.afterHold)
	return err
}

func (m *meddled) Start(ctx context.Context, s incident.RunStart) (incident.RunRecord, error) {
	once(&m.beforeStart)
	return m.Runs.Start(ctx, s)
}

func (m *meddled) Release(ctx context.Context, id string, c incident.Control) error {
	err := m.Runs.Release(ctx, id, c)
	once(&m.afterRelease)
	return err
}

// between has two processes with the same runs: tidy, which is low, asks something, and
// rescue waits for the lock.
type between struct {
	*world
	first, second *meddled
	one, two      *incident.Runner
}

func inBetween(t *testing.T, steps func(w *world) []incident.Step, test func(t *testing.T, b *between)) {
	t.Helper()
	w := new(world)
	low, high := playbook(steps(w)...), playbook(w.action("rescue"))
	low.Name, low.Severity, high.Name = "tidy", alert.Low, "rescue"
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		memory := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		b := &between{world: w, first: &meddled{Runs: memory}, second: &meddled{Runs: memory}}
		store := new(incident.MemoryStore)
		for _, of := range []struct {
			runs incident.Runs
			is   **incident.Runner
		}{{b.first, &b.one}, {b.second, &b.two}} {
			var err error
			*of.is, err = incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{low, high}, Runs: of.runs, Store: store})
			require.NoError(t, err)
		}
		require.NoError(t, memory.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: b.one.Program()}))
		defer func() { require.NoError(t, memory.Close(context.WithoutCancel(ctx))) }()
		for _, name := range []string{"tidy", "rescue"} {
			_, err := b.one.Start(ctx, incident.Request{ID: name, Environment: "production", Playbook: name, By: "jane"})
			require.NoError(t, err)
			synctest.Wait()
			time.Sleep(time.Second)
		}
		test(t, b)
	})
}

func (b *between) answer(t *testing.T, run string, a incident.Answer) error {
	t.Helper()
	r, err := b.two.Run(t.Context(), run)
	require.NoError(t, err)
	require.NotNil(t, r.Question, "%s", r.Text)
	a.Actor, a.Plan = "kim", r.Question.Plan
	err = b.two.Answer(t.Context(), run, r.Question.ID, a)
	synctest.Wait()
	return err
}

func gateAndTidy(w *world) []incident.Step { return []incident.Step{gate(), w.action("tidy")} }

// What a call has begun is not taken by another one for what a crash has left.
func TestTwoMakeWayAtOnce(t *testing.T) {
	t.Run("while it holds", func(t *testing.T) {
		inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
			b.second.holdErr = errors.New("away")
			b.first.afterHold = func() { _, _ = b.two.MakeWay(t.Context(), "production") }
			way, err := b.one.MakeWay(t.Context(), "production")
			require.NoError(t, err)
			assert.Equal(t, []string{"tidy"}, ids(way.Aside))
			synctest.Wait()
			assert.Equal(t, []string{"rescue"}, b.did())
		})
	})
	t.Run("before it starts the run again", func(t *testing.T) {
		inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
			b.second.afterRelease = func() { _ = b.answer(t, "tidy", incident.Answer{Kind: "approve"}) }
			b.first.beforeStart = func() { _, _ = b.two.MakeWay(t.Context(), "production") }
			way, err := b.one.MakeWay(t.Context(), "production")
			require.NoError(t, err)
			require.Len(t, way.Again, 1)
			synctest.Wait()
			require.NoError(t, b.answer(t, way.Again[0].ID, incident.Answer{Kind: "approve"}))
			assert.Equal(t, []string{"rescue", "tidy"}, b.did(), "it is done once")
		})
	})
}

// A person who pauses a run meanwhile keeps it paused.
func TestMakingWayLeavesWhatAPersonHasPaused(t *testing.T) {
	inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
		b.first.beforeHold = func() { require.NoError(t, b.two.Pause(t.Context(), "tidy", "kim", "do not touch")) }
		way, err := b.one.MakeWay(t.Context(), "production")
		require.NoError(t, err)
		assert.Empty(t, way.Aside)
		assert.Equal(t, "tidy", way.Holder.ID)
		run, err := b.two.Run(t.Context(), "tidy")
		require.NoError(t, err)
		require.NotNil(t, run.Held)
		assert.Equal(t, "kim", run.Held.By)
	})
}

// A run that is just put aside is not let go on by a person, who would have it twice.
func TestWhatIsJustPutAsideIsNotResumed(t *testing.T) {
	inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
		b.first.beforeStart = func() {
			err := b.two.Resume(t.Context(), "tidy", "kim", "why is it paused?")
			require.ErrorIs(t, err, incident.ErrStale)
		}
		way, err := b.one.MakeWay(t.Context(), "production")
		require.NoError(t, err)
		assert.Equal(t, []string{"tidy"}, ids(way.Aside))
	})
}

// What a person has said of a step is not thrown away.
func TestMakingWayKeepsWhatAPersonHasDecided(t *testing.T) {
	look := incident.Step{ID: "look", Title: "Look", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) {
		return nil, incident.Final(errors.New("cannot see"))
	}}}
	inBetween(t, func(w *world) []incident.Step { return append([]incident.Step{look}, gateAndTidy(w)...) }, func(t *testing.T, b *between) {
		require.NoError(t, b.answer(t, "tidy", incident.Answer{Kind: "done"}))
		way, err := b.one.MakeWay(t.Context(), "production")
		require.NoError(t, err)
		assert.Empty(t, way.Aside)
		assert.Equal(t, "a person has decided about its step look", way.Why)
	})
}
