package railway_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

const rehearsalMark = "rehearsal/production/run-1"

// hasService reports whether the environment has a service, as Railway knows it.
func (s *stage) hasService(t testing.TB, environment, id string) bool {
	t.Helper()
	status, err := s.envOf(t, environment).Status(t.Context())
	require.NoError(t, err)
	return slices.ContainsFunc(status.Services, func(v railway.ServiceStatus) bool { return v.ID == id })
}

func (s *stage) envOf(t testing.TB, id string) *railway.Environment {
	t.Helper()
	e, err := s.client.Environment(t.Context(), railway.Target{Project: s.project, Environment: id})
	require.NoError(t, err)
	return e
}

// live describes the live service as one who believes that it may be removed.
func (s *stage) live() incident.Disposable {
	return incident.Disposable{Project: s.project, Environment: s.environment, ID: s.service, Name: "db", Mark: rehearsalMark, Made: time.Now()}
}

// rehearsal makes a service that may be removed.
func (s *stage) rehearsal(t testing.TB, name string) incident.Disposable {
	t.Helper()
	made, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{Project: s.project, Environment: s.environment, Name: name, Template: "postgres", Mark: rehearsalMark})
	require.NoError(t, err)
	list, err := s.client.Disposables(t.Context(), s.project, s.environment)
	require.NoError(t, err)
	i := slices.IndexFunc(list, func(d incident.Disposable) bool { return d.ID == made.ID })
	require.GreaterOrEqual(t, i, 0)
	return list[i]
}

// Requirement: RB-RESTORE-REHEARSED
func TestDisposer(t *testing.T) {
	incidenttest.TestDisposer(t, incidenttest.DisposerHarness{
		Run: func(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) },
		New: func(t testing.TB) incidenttest.DisposerCase {
			s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
			live := s.live()
			time.Sleep(time.Hour)
			before := len(s.Effects())
			return incidenttest.DisposerCase{
				Faults: incidenttest.Faults{
					Effects:    func() int { return len(s.Effects()) - before },
					LoseAnswer: func() { s.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
					Forbid:     func() { s.Forbid(true) },
					Break:      func() { s.Break(true) },
				},
				Provisioner: s.client, Disposer: s.client, Project: s.project, Environment: s.environment, Image: "app:1", Live: live,
				There: func(id string) bool { return s.hasService(t, s.environment, id) },
				Need: func(string) {
					s.SetVariable(s.environment, "", "REPORTS_URL", "postgres://u:p@rehearsal-a.railway.internal/qa", false)
				},
				Copy: func(from string) {
					for name, value := range s.Variables(s.environment, from) {
						s.SetVariable(s.environment, s.service, name, value, false)
					}
				},
			}
		},
	})
}

// Whatever becomes of the answer, a service is deleted once, and that it is gone is seen.
//
// Requirement: RW-G4
func TestDisposeOnce(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
				d := s.rehearsal(t, "rehearsal-2026-11-28-3f2a")
				fault.Op = "serviceDelete"
				s.Fail(fault)
				require.NoError(t, s.client.Dispose(t.Context(), d))
				assert.False(t, s.hasService(t, s.environment, d.ID))
				assert.True(t, s.hasService(t, s.environment, s.service))
				assert.Equal(t, 1, s.count("serviceDelete"))
				require.ErrorIs(t, s.client.Dispose(t.Context(), d), incident.ErrNotFound)
			})
		})
	}
	t.Run("it is not seen to be gone", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
			d := s.rehearsal(t, "rehearsal-a")
			s.Server.Lag = time.Hour
			s.Fail(railwaytest.Fault{Op: "serviceDelete", Kind: railwaytest.LoseAnswer})
			err := s.client.Dispose(t.Context(), d)
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.ErrorContains(t, err, d.ID)
			assert.False(t, runbook.SafeToRetry(err))
			assert.Equal(t, 1, s.count("serviceDelete"))
		})
	})
	t.Run("they said no", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
			d := s.rehearsal(t, "rehearsal-a")
			s.Fail(railwaytest.Fault{Op: "serviceDelete", Kind: railwaytest.NotAuthorized})
			require.ErrorIs(t, s.client.Dispose(t.Context(), d), incident.ErrNotPermitted)
			assert.True(t, s.hasService(t, s.environment, d.ID))
		})
	})
}

// A service that somebody needs is not removed, and the error says who.
func TestDisposeWhatIsNeeded(t *testing.T) {
	for name, c := range map[string]struct {
		need func(t *testing.T, s *stage, d incident.Disposable)
		says string
	}{
		"a domain": {func(t *testing.T, s *stage, d incident.Disposable) {
			v, err := s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: s.environment, Service: d.ID})
			require.NoError(t, err)
			_, err = v.CreateDomain(t.Context(), railway.Domain{Kind: railway.CustomDomain, Name: "db.example.edu"})
			require.NoError(t, err)
		}, "db.example.edu"},
		"a reference of another service": {func(_ *testing.T, s *stage, d incident.Disposable) {
			s.SetVariable(s.environment, s.service, "DATABASE_URL", "${{"+strings.ToUpper(d.Name)+".DATABASE_URL}}", false)
		}, "variable DATABASE_URL of service db"},
		"a shared variable with its address": {func(_ *testing.T, s *stage, d incident.Disposable) {
			s.SetVariable(s.environment, "", "DATABASE_URL", "postgres://u:"+hush+"@"+d.Name+".railway.internal:5432/qa", false)
		}, "variable DATABASE_URL of the environment"},
		"a TCP proxy by which another service reaches it": {func(t *testing.T, s *stage, d incident.Disposable) {
			v, err := s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: s.environment, Service: d.ID})
			require.NoError(t, err)
			proxy, err := v.CreateDomain(t.Context(), railway.Domain{Kind: railway.TCPProxy, Port: 5432})
			require.NoError(t, err)
			s.SetVariable(s.environment, s.service, "DATABASE_URL", "postgres://u:"+hush+"@"+proxy.Name+":"+strconv.Itoa(proxy.PublicPort)+"/qa", false)
		}, "variable DATABASE_URL of service db"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
				d := s.rehearsal(t, "rehearsal-a")
				c.need(t, s, d)
				err := s.client.Dispose(t.Context(), d)
				require.ErrorIs(t, err, incident.ErrBusy)
				assert.ErrorContains(t, err, c.says)
				assert.NotContains(t, err.Error(), hush)
				assert.True(t, runbook.SafeToRetry(err))
				assert.Zero(t, s.count("serviceDelete"))
			})
		})
	}
	t.Run("a TCP proxy alone is how a rehearsal is reached", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
			d := s.rehearsal(t, "rehearsal-a")
			v, err := s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: s.environment, Service: d.ID})
			require.NoError(t, err)
			_, err = v.CreateDomain(t.Context(), railway.Domain{Kind: railway.TCPProxy, Port: 5432})
			require.NoError(t, err)
			require.NoError(t, s.client.Dispose(t.Context(), d))
		})
	})
}

// Railway deletes a service in all environments that are no forks. One that was deployed in
// another one is therefore not removed, and a mark is not put on one that is there.
//
// Requirement: RW-G8
func TestDisposeWhereItIsElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
		rehearsals := s.AddEnvironment(s.project, "rehearsals")
		spec := incident.ServiceSpec{Project: s.project, Environment: rehearsals, Name: "db", Image: "postgres:17", Mark: rehearsalMark}
		_, err := s.client.EnsureService(t.Context(), spec)
		require.ErrorIs(t, err, incident.ErrUnsupported, "it would be the live one, in another environment")
		assert.True(t, runbook.SafeToRetry(err))

		// Somebody made it by hand there, mark and all.
		spec.Mark, spec.Variables = "", nil
		made, err := s.client.EnsureService(t.Context(), spec)
		require.NoError(t, err)
		require.Equal(t, s.service, made.ID)
		s.SetVariable(rehearsals, made.ID, "RUNBOOK_MADE", rehearsalMark+" as db", false)
		list, err := s.client.Disposables(t.Context(), s.project, rehearsals)
		require.NoError(t, err)
		require.Len(t, list, 1)
		err = s.client.Dispose(t.Context(), list[0])
		require.ErrorIs(t, err, incident.ErrBusy)
		assert.ErrorContains(t, err, `environment "production"`)
		assert.Zero(t, s.count("serviceDelete"))
		assert.True(t, s.hasService(t, s.environment, s.service))
	})
}

// A project token sees its own environment alone, and removes what was made there. It makes
// no environment.
func TestDisposeWithAProjectToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
		s.AddEnvironment(s.project, "staging")
		s.client = s.connect(t, railwaytest.Token{Kind: "project", Project: s.project, Environment: s.environment})
		d := s.rehearsal(t, "rehearsal-a")
		require.ErrorIs(t, s.client.Dispose(t.Context(), s.live()), incident.ErrStale)
		require.NoError(t, s.client.Dispose(t.Context(), d))
		assert.Equal(t, 1, s.count("serviceDelete"))
	})
}

// A mark is one of ours only.
func TestMarkIsNoVariableOfTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "db", Image: "postgres:17"})
		_, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{
			Project: s.project, Environment: s.environment, Name: "made", Image: "x", Variables: secrets("RUNBOOK_MADE", "rehearsal as made"),
		})
		require.ErrorContains(t, err, "give it as that")
		for _, mark := range []string{"two\nlines", " padded", "${{db.DATABASE_URL}}", strings.Repeat("m", 201)} {
			_, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{Project: s.project, Environment: s.environment, Name: "made", Image: "x", Mark: mark})
			require.Error(t, err, mark)
		}
		assert.Empty(t, s.Effects())
	})
}
