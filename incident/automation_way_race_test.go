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

// meddled are runs in which something else happens before the one command, once.
type meddled struct {
	incident.Runs
	before func()
}

func (m *meddled) Replace(ctx context.Context, all []incident.Replacement) ([]incident.RunRecord, error) {
	if before := m.before; before != nil {
		m.before = nil
		before()
	}
	return m.Runs.Replace(ctx, all)
}

// between has two processes with the same runs: tidy, which is low, asks something, and
// rescue waits for the lock.
type between struct {
	*world
	first    *meddled
	one, two *incident.Runner
}

func inBetween(t *testing.T, steps func(w *world) []incident.Step, test func(t *testing.T, b *between)) {
	t.Helper()
	w := new(world)
	low, high := playbook(steps(w)...), playbook(w.action("rescue"))
	low.Name, low.Severity, high.Name = "tidy", alert.Low, "rescue"
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		memory := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
		b := &between{world: w, first: &meddled{Runs: memory}}
		store := new(incident.MemoryStore)
		for _, of := range []struct {
			runs incident.Runs
			is   **incident.Runner
		}{{b.first, &b.one}, {memory, &b.two}} {
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

// Of two that make way at once, one puts the run aside.
func TestTwoMakeWayAtOnce(t *testing.T) {
	inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
		var second incident.Way
		b.first.before = func() {
			var err error
			second, err = b.two.MakeWay(t.Context(), "production")
			require.NoError(t, err)
			synctest.Wait()
		}
		way, err := b.one.MakeWay(t.Context(), "production")
		require.NoError(t, err)
		assert.Empty(t, way.Aside, "nobody waits any more")
		require.Len(t, second.Again, 1)
		assert.Equal(t, []string{"rescue"}, b.did())
		require.NoError(t, b.answer(t, second.Again[0].ID, incident.Answer{Kind: "approve"}))
		assert.Equal(t, []string{"rescue", "tidy"}, b.did(), "it is done once")
	})
}

// A run that a person answers meanwhile goes on, and one that a person pauses stays paused.
func TestMakingWayLeavesWhatAPersonTookMeanwhile(t *testing.T) {
	t.Run("answered", func(t *testing.T) {
		inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
			b.first.before = func() { require.NoError(t, b.answer(t, "tidy", incident.Answer{Kind: "approve"})) }
			way, err := b.one.MakeWay(t.Context(), "production")
			require.NoError(t, err)
			assert.Empty(t, way.Aside)
			synctest.Wait()
			assert.Equal(t, []string{"tidy", "rescue"}, b.did())
		})
	})
	t.Run("paused", func(t *testing.T) {
		inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
			b.first.before = func() { require.NoError(t, b.two.Pause(t.Context(), "tidy", "kim", "do not touch")) }
			way, err := b.one.MakeWay(t.Context(), "production")
			require.NoError(t, err)
			assert.Empty(t, way.Aside)
			assert.Equal(t, "tidy", way.Holder.ID)
			assert.Equal(t, "kim has paused it", way.Why)
		})
	})
}

// A run that changes each time that it is looked at is left alone, and that is said.
func TestMakingWayDoesNotTryForEver(t *testing.T) {
	inBetween(t, gateAndTidy, func(t *testing.T, b *between) {
		tries := 0
		var again func()
		again = func() {
			tries++
			for _, do := range []func(context.Context, string, string, string) error{b.two.Pause, b.two.Resume} {
				require.NoError(t, do(t.Context(), "tidy", "kim", "a moment"))
			}
			b.first.before = again
		}
		b.first.before = again
		_, err := b.one.MakeWay(t.Context(), "production")
		require.ErrorIs(t, err, incident.ErrStale)
		assert.Equal(t, 3, tries)
		b.first.before = nil
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
