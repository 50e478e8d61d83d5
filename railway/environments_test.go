package railway_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A copy is returned when its services are there, and has their variables.
//
// Requirement: RW-ENV-CREATE-ASYNC
func TestCopyEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1", Variables: map[string]string{"A": "a"}, Sealed: map[string]string{"S": hush}})
		s.AddService(s.environment, railwaytest.Service{Name: "worker", Image: "worker:1"})
		made, err := s.env(t).Copy(t.Context(), "rehearsal")
		require.NoError(t, err)
		assert.NotEqual(t, s.environment, made.ID())
		assert.Equal(t, s.project, made.ProjectID())
		assert.Equal(t, map[string]string{"A": "a"}, s.Variables(made.ID(), s.service))
		assert.Equal(t, 1, s.count("environmentCreate"))

		_, err = s.env(t).Copy(t.Context(), "Rehearsal")
		assert.ErrorContains(t, err, made.ID())
		_, err = s.env(t).Copy(t.Context(), " ")
		require.Error(t, err)
		assert.Equal(t, 1, s.count("environmentCreate"))
	})
}

// A large environment is copied in the background: what takes longer than a call may
// is waited for, and a call that timed out is decided by reading.
//
// Requirement: RW-PEER-CLI-TIMEOUT
func TestCopyOfALargeEnvironment(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1"})
				s.Working = 3 * time.Minute
				for i := range 40 {
					s.AddService(s.environment, railwaytest.Service{Name: fmt.Sprint("service-", i), Image: "x"})
				}
				s.Fail(fault)
				made, err := s.env(t).Copy(t.Context(), "rehearsal")
				require.NoError(t, err)
				_, err = s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: made.ID(), Service: "service-39"})
				require.NoError(t, err)
				assert.Equal(t, 1, s.count("environmentCreate"))
			})
		})
	}
}

// A copy that does not end is not known, and the error names what is missing.
//
// Requirement: RW-ENV-CREATE-ASYNC
func TestCopyThatDoesNotEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1"})
		s.Working = time.Hour
		_, err := s.env(t).Copy(t.Context(), "rehearsal")
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.ErrorContains(t, err, s.service)
	})
}

// A name that is taken by what nobody can see gives an error that says so.
//
// Requirement: RW-ENV-RESERVED
func TestReservedName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1"})
		s.Fail(railwaytest.Fault{
			Op: "environmentCreate", Kind: railwaytest.Refuse, Message: "An environment with that name already exists", Code: "BAD_USER_INPUT", Times: 2,
		})
		_, err := s.client.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: s.project, Name: "rehearsal"})
		require.Error(t, err)
		assert.ErrorContains(t, err, "a failed copy left")
		assert.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.True(t, runbook.SafeToRetry(err)) // nothing was made
		_, err = s.env(t).Copy(t.Context(), "rehearsal")
		require.Error(t, err)
		assert.ErrorContains(t, err, "a failed copy left")
		assert.Empty(t, s.Effects())

		// One that is restricted is listed and cannot be used.
		s.Restrict(s.AddEnvironment(s.project, "secret"))
		_, err = s.client.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: s.project, Name: "secret"})
		assert.ErrorContains(t, err, "a restricted one")
		assert.NotContains(t, s.Calls()[len(s.Calls())-1:], "EnvironmentCreate")
		assert.Empty(t, s.Effects())
	})
}

// Requirement: RW-DOCS-RENAME
func TestRenameEnvironment(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1"})
				staging := s.AddEnvironment(s.project, "staging")
				require.NoError(t, s.env(t).Rename(t.Context(), "main"))
				s.Fail(fault)
				require.NoError(t, s.env(t).Rename(t.Context(), "live"))
				assert.Equal(t, 2, s.count("environmentRename"))
				found, err := s.client.Environment(t.Context(), railway.Target{Project: s.project, Environment: "live"})
				require.NoError(t, err)
				assert.Equal(t, s.environment, found.ID())
				assert.ErrorContains(t, s.env(t).Rename(t.Context(), "staging"), staging)
				require.Error(t, s.env(t).Rename(t.Context(), ""))
				assert.Equal(t, 2, s.count("environmentRename"))
			})
		})
	}
}

// A program with a token deletes an environment of an account with a second factor;
// where it is demanded, that is an error of its own, and nothing is deleted.
//
// Requirement: RW-ASK-2FA, RW-ERROR-2FA
func TestDeleteEnvironment(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1"})
				s.RequireTwoFactor()
				login := s.connect(t, railwaytest.Token{Kind: "session"}) // of somebody who is logged in
				err := s.on(t, login).Environment().Delete(t.Context())
				require.ErrorIs(t, err, railway.ErrTwoFactor)
				require.ErrorIs(t, err, incident.ErrNotPermitted)
				assert.True(t, runbook.SafeToRetry(err))
				assert.Empty(t, s.Effects())

				s.Fail(fault)
				require.NoError(t, s.env(t).Delete(t.Context()))
				assert.Equal(t, []string{"environmentDelete " + s.environment}, s.Effects())
				require.ErrorIs(t, s.env(t).Delete(t.Context()), incident.ErrNotFound)
				assert.Len(t, s.Effects(), 1)
			})
		})
	}
}
