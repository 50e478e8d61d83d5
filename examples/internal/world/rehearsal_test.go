package world_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
)

// A database for a rehearsal is made at the platform, takes a dump, and goes again; that of
// the application is another one, and stays.
//
// Requirement: RB-RESTORE-REHEARSED
func TestRehearsal(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		client, err := railway.New(s.at.Railway)
		require.NoError(s, err)
		const name = "rehearsal-2026-11-28-3f2a"
		spec := incident.ServiceSpec{Project: s.at.Project, Environment: s.at.RailwayEnvironment, Name: name, Template: "postgres", Mark: "rehearsal/production/run-1"}
		made, err := client.EnsureService(s.Context(), spec)
		require.NoError(s, err)
		require.True(s, made.Created)

		at := func() (incident.DumpLoader, error) {
			variables, err := s.service(made.ID).RenderedVariables(s.Context())
			require.NoError(s, err)
			return s.at.Rehearsal.Load(s.Context(), name, variables)
		}
		_, err = at()
		require.Error(s, err, "it is still being deployed")
		require.Error(s, s.at.Rehearsal.Check(s.Context(), name))
		time.Sleep(10 * time.Minute)
		loader, err := at()
		require.NoError(s, err)
		list, err := s.at.Dumps.List(s.Context())
		require.NoError(s, err)
		plan, err := loader.PlanLoad(s.Context(), list[0].Receipt, name)
		require.NoError(s, err)
		assert.Empty(s, plan.Destroys, "it is new")
		from, err := s.at.Dumps.Open(s.Context(), list[0].Name)
		require.NoError(s, err)
		_, err = loader.Load(s.Context(), plan, from)
		require.NoError(s, err)
		require.NoError(s, from.Close())
		require.NoError(s, s.at.Rehearsal.Check(s.Context(), name))

		disposables, err := client.Disposables(s.Context(), s.at.Project, s.at.RailwayEnvironment)
		require.NoError(s, err)
		require.Len(s, disposables, 1)
		live := disposables[0]
		live.ID = s.at.Database
		require.ErrorIs(s, client.Dispose(s.Context(), live), incident.ErrStale)
		require.NoError(s, client.Dispose(s.Context(), disposables[0]))
		s.pass(time.Minute)
		for _, kind := range []string{"make-service", "dump-rehearsed", "remove-service"} {
			assert.Equal(s, 1, s.acted(kind), kind)
		}
		assert.Zero(s, s.acted("lose-service")+s.acted("dump-restored"))
		assert.True(s, s.w.Truth().Whole)
		code, _ := s.get("/health/database")
		assert.Equal(s, 200, code)
	})
}
