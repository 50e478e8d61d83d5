package railway_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// hush is a value that nobody may see.
const hush = "canary-5d21-value"

// secrets makes variables of pairs.
func secrets(pairs ...string) map[string]runbook.Secret {
	m := make(map[string]runbook.Secret)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = runbook.NewSecret(pairs[i+1])
	}
	return m
}

// emptyStage is one with a workspace and nothing in it.
func emptyStage(t testing.TB) *stage {
	t.Helper()
	s := &stage{Server: &railwaytest.Server{}}
	s.workspace = s.AddWorkspace("acu")
	s.client = s.connect(t, railwaytest.Token{Kind: "account"})
	return s
}

// Requirement: RW-ENV-CREATE-ASYNC
// Requirement: RB-CMD-RAILWAY-INIT, RB-CMD-RAILWAY-ENVIRONMENT-CREATE
func TestProvisioner(t *testing.T) {
	incidenttest.TestProvisioner(t, incidenttest.ProvisionerHarness{
		Run: func(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) },
		New: func(t testing.TB) incidenttest.ProvisionerCase {
			s := emptyStage(t)
			return incidenttest.ProvisionerCase{
				Faults: incidenttest.Faults{
					Effects:    func() int { return len(s.Effects()) },
					LoseAnswer: func() { s.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
					Forbid:     func() { s.Forbid(true) },
					Break:      func() { s.Break(true) },
				},
				Provisioner: s.client, Owner: s.workspace, Missing: nobody, Image: "app:1",
				Got: func(service, name string) string { return s.got(t, service)[name] },
			}
		},
	})
}

// got returns what the first deployment of a service of the suite got.
func (s *stage) got(t testing.TB, service string) map[string]string {
	t.Helper()
	env, err := s.client.Environment(t.Context(), railway.Target{Project: "recovered", Environment: "rehearsal"})
	require.NoError(t, err)
	return s.Got(s.Newest(env.ID(), service))
}

// Requirement: RW-PROJECT-WORKSPACE
func TestProjectInAWorkspace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emptyStage(t)
		one, err := s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "only"})
		require.NoError(t, err) // there is one workspace
		other := s.AddWorkspace("another")

		_, err = s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "shop"})
		require.Error(t, err)
		assert.ErrorContains(t, err, s.workspace)
		assert.ErrorContains(t, err, other)
		assert.True(t, runbook.SafeToRetry(err))
		_, err = s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "shop", Owner: nobody})
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.Equal(t, 1, s.count("projectCreate"))

		// The same name in another workspace is another project.
		two, err := s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "only", Owner: "another"})
		require.NoError(t, err)
		assert.True(t, two.Created)
		assert.NotEqual(t, one.ID, two.ID)
		again, err := s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "ONLY", Owner: other})
		require.NoError(t, err)
		assert.Equal(t, incident.Provisioned{ID: two.ID, Name: "only"}, again)
	})
}

// Several of a name are an error that lists them.
//
// Requirement: RW-G13
func TestProvisionAmbiguousNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := emptyStage(t)
		first, second := s.AddProject(s.workspace, "shop"), s.AddProject(s.workspace, "shop")
		_, err := s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "shop"})
		require.Error(t, err)
		assert.ErrorContains(t, err, first)
		assert.ErrorContains(t, err, second)
		assert.Empty(t, s.Effects())
	})
}

// Nothing is made twice, whatever becomes of the answer.
//
// Requirement: RW-G4
func TestProvisionOnce(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := emptyStage(t)
				s.Fail(fault)
				p, err := s.client.EnsureProject(t.Context(), incident.ProjectSpec{Name: "shop"})
				require.NoError(t, err)
				assert.True(t, p.Created)
				s.Fail(fault)
				e, err := s.client.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: p.ID, Name: "rehearsal"})
				require.NoError(t, err)
				assert.True(t, e.Created)
				s.Fail(fault)
				v, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{
					Project: p.ID, Environment: e.ID, Name: "app", Image: "app:1", Variables: secrets("A", "a"),
				})
				require.NoError(t, err)
				assert.True(t, v.Created)
				assert.Equal(t, "a", s.Variables(e.ID, v.ID)["A"])
				s.Fail(fault)
				d, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{Project: p.ID, Environment: e.ID, Name: "db", Template: "postgres"})
				require.NoError(t, err)
				assert.True(t, d.Created)
				assert.Len(t, s.Effects(), 4)
			})
		})
	}
}

// A service gets its variables before its first build, from an image, a repository,
// a template, or with nothing to run.
//
// Requirement: RW-SERVICE-VARIABLES
func TestServiceWithItsVariables(t *testing.T) {
	for name, spec := range map[string]incident.ServiceSpec{
		"image":      {Image: "app:1"},
		"repository": {Repository: "acu/app", Branch: "main"},
		"template":   {Template: "postgres"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "other", Image: "x"})
				spec.Project, spec.Environment, spec.Name, spec.Variables = s.project, s.environment, "made", secrets("A", hush)
				v, err := s.client.EnsureService(t.Context(), spec)
				require.NoError(t, err)
				assert.Equal(t, "made", v.Name)
				first := s.Newest(s.environment, v.ID)
				assert.Equal(t, hush, s.Got(first)["A"])
				if spec.Template != "" {
					assert.Equal(t, "postgres", s.Got(first)["POSTGRES_USER"]) // its own stay
					assert.Equal(t, 1, s.count("templateDeployV2"))
				}
				again, err := s.client.EnsureService(t.Context(), spec)
				require.NoError(t, err)
				assert.Equal(t, incident.Provisioned{ID: v.ID, Name: "made"}, again)
				assert.Len(t, s.Effects(), 1)
			})
		})
	}
	t.Run("nothing to run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "other", Image: "x"})
			v, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{Project: s.project, Environment: s.environment, Name: "made", Variables: secrets("A", "a")})
			require.NoError(t, err)
			assert.Equal(t, map[string]string{"A": "a"}, s.Variables(s.environment, v.ID))
			assert.Empty(t, s.Newest(s.environment, v.ID))
		})
	})
}

// Variables are sealed after the service was made, and nobody else's staged changes
// are committed along.
//
// Requirement: RW-G9
func TestServiceWithSealedVariables(t *testing.T) {
	spec := func(s *stage) incident.ServiceSpec {
		return incident.ServiceSpec{
			Project: s.project, Environment: s.environment, Name: "made", Image: "app:1", Variables: secrets("A", hush, "B", "b"), Seal: []string{"A"},
		}
	}
	t.Run("sealed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "other", Image: "x"})
			v, err := s.client.EnsureService(t.Context(), spec(s))
			require.NoError(t, err)
			svc, err := s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: s.environment, Service: v.ID})
			require.NoError(t, err)
			set, err := svc.Variables(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"A"}, set.Sealed)
			assert.Equal(t, hush, s.Got(s.Newest(s.environment, v.ID))["A"])
			assert.Equal(t, "{}", s.Staged(s.environment))
		})
	})
	t.Run("somebody has staged changes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "other", Image: "x"})
			s.Stage(s.environment, `{"sharedVariables":{"X":{"value":"y"}}}`)
			_, err := s.client.EnsureService(t.Context(), spec(s))
			require.ErrorIs(t, err, incident.ErrBusy)
			assert.Empty(t, s.Effects())
		})
	})
	t.Run("the seal is refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, railwaytest.Service{Name: "other", Image: "x"})
			s.Fail(railwaytest.Fault{Op: "environmentStageChanges", Kind: railwaytest.Refuse, Message: "no to " + hush})
			_, err := s.client.EnsureService(t.Context(), spec(s))
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.ErrorContains(t, err, "not sealed")
			assert.NotContains(t, err.Error(), hush)
			assert.Equal(t, 1, s.count("serviceCreate"))
		})
	})
}

// A service that the project has in other environments is added to this one, and is
// the same service there.
//
// Requirement: RW-PEER-TF-ENVIRONMENTS
func TestServiceOfOtherEnvironments(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1", Variables: map[string]string{"A": "production"}})
				before := s.Newest(s.environment, s.service)
				staging := s.AddEnvironment(s.project, "staging")
				s.Fail(fault)
				v, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{
					Project: s.project, Environment: staging, Name: "app", Image: "app:2", Variables: secrets("A", "staging"),
				})
				require.NoError(t, err)
				assert.Equal(t, incident.Provisioned{ID: s.service, Name: "app", Created: true}, v)
				assert.Equal(t, "staging", s.Got(s.Newest(staging, v.ID))["A"])
				assert.Equal(t, "production", s.Variables(s.environment, s.service)["A"])
				assert.Equal(t, before, s.Newest(s.environment, s.service))
				assert.Len(t, s.Effects(), 1)
				_, err = s.client.EnsureService(t.Context(), incident.ServiceSpec{
					Project: s.project, Environment: s.AddEnvironment(s.project, "third"), Name: "app", Template: "postgres",
				})
				require.ErrorIs(t, err, incident.ErrUnsupported)
			})
		})
	}
}

// What Railway says of a service that it refuses may quote values, and is not shown.
func TestRefusedServiceShowsNoValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "other", Image: "x"})
		for _, spec := range []incident.ServiceSpec{{Image: "app:1"}, {Template: "postgres"}, {}} {
			spec.Project, spec.Environment, spec.Name, spec.Variables = s.project, s.environment, "made", secrets("A", hush)
			s.Fail(railwaytest.Fault{Kind: railwaytest.Refuse, Message: "bad value " + hush, Code: "BAD_USER_INPUT"})
			_, err := s.client.EnsureService(t.Context(), spec)
			require.Error(t, err)
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), hush)
			assert.True(t, runbook.SafeToRetry(err))
		}
		_, err := s.client.EnsureService(t.Context(), incident.ServiceSpec{Project: s.project, Environment: s.environment, Name: "made", Template: "mongo"})
		require.ErrorIs(t, err, incident.ErrNotFound)
		_, err = s.client.EnsureService(t.Context(), incident.ServiceSpec{Project: s.project, Environment: nobody, Name: "made"})
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.Empty(t, s.Effects())
	})
}

// What a project token cannot do is told before it is tried; what is there is found.
//
// Requirement: RW-ASK-TOKENS
func TestProvisionWithAProjectToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "app", Image: "x"})
		c := s.connect(t, railwaytest.Token{Kind: "project", Project: s.project, Environment: s.environment})
		p, err := c.EnsureProject(t.Context(), incident.ProjectSpec{Name: "shop"})
		require.NoError(t, err)
		assert.Equal(t, incident.Provisioned{ID: s.project, Name: "shop"}, p)
		_, err = c.EnsureProject(t.Context(), incident.ProjectSpec{Name: "new"})
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		e, err := c.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: s.project, Name: "production"})
		require.NoError(t, err)
		assert.Equal(t, incident.Provisioned{ID: s.environment, Name: "production"}, e)
		_, err = c.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: s.project, Name: "new"})
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		v, err := c.EnsureService(t.Context(), incident.ServiceSpec{Project: s.project, Environment: s.environment, Name: "new", Image: "x"})
		require.NoError(t, err)
		assert.True(t, v.Created)

		env := s.on(t, c).Environment()
		_, err = env.Copy(t.Context(), "copy")
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		require.ErrorIs(t, env.Rename(t.Context(), "other"), incident.ErrNotPermitted)
		require.ErrorIs(t, env.Delete(t.Context()), incident.ErrNotPermitted)
		assert.Equal(t, []string{"serviceCreate " + v.ID}, s.Effects())
		for _, call := range s.Calls() {
			assert.NotContains(t, []string{"ProjectCreate", "EnvironmentCreate", "EnvironmentRename", "EnvironmentDelete"}, call)
		}
	})
}

// A template keeps what is not known here, gets a name and variables, and says what
// it needs.
func TestFillTemplate(t *testing.T) {
	const template = `{"services":{"1":{"name":"Postgres","clusterRole":"root","variables":{
		"USER":{"defaultValue":"postgres"},"URL":{"defaultValue":"pg://${{Postgres.USER}}"},"MAYBE":{"isOptional":true},"DROPPED":null,
		"MADE":{"generator":{"length":32}},"NEEDED":{"description":"what it needs"}}}},"buckets":{"b":{"region":"x"}}}`
	got, err := railway.FillTemplate(json.RawMessage(template), incident.ServiceSpec{Name: "db", Variables: secrets("NEEDED", "n", "EXTRA", "e")})
	require.NoError(t, err)
	assert.JSONEq(t, `{"services":{"1":{"name":"db","clusterRole":"root","variables":{
		"USER":{"defaultValue":"postgres","value":"postgres"},"URL":{"defaultValue":"pg://${{db.USER}}","value":"pg://${{db.USER}}"},"MAYBE":{"isOptional":true},"DROPPED":null,
		"MADE":{"generator":{"length":32}},"NEEDED":{"description":"what it needs","value":"n"},"EXTRA":{"value":"e"}}}},"buckets":{"b":{"region":"x"}}}`, string(got))

	_, err = railway.FillTemplate(json.RawMessage(template), incident.ServiceSpec{Name: "db", Variables: secrets("EXTRA", hush)})
	require.ErrorContains(t, err, "NEEDED")
	assert.NotContains(t, err.Error(), hush)

	const two = `{"services":{"1":{"name":"web","variables":{"A":{"defaultValue":"${{db.B}}"}}},"2":{"name":"db","variables":{"B":{"defaultValue":"b"}}}}}`
	got, err = railway.FillTemplate(json.RawMessage(two), incident.ServiceSpec{Name: "db", Variables: secrets("B", "other")})
	require.NoError(t, err)
	assert.JSONEq(t, `{"services":{"1":{"name":"web","variables":{"A":{"defaultValue":"${{db.B}}","value":"${{db.B}}"}}},"2":{"name":"db","variables":{"B":{"defaultValue":"b","value":"other"}}}}}`, string(got))
	_, err = railway.FillTemplate(json.RawMessage(two), incident.ServiceSpec{Name: "cache"})
	require.ErrorContains(t, err, "db, web")
	for _, odd := range []string{`[]`, `{}`, `{"services":[]}`, `{"services":{"1":3}}`, `nothing`} {
		_, err := railway.FillTemplate(json.RawMessage(odd), incident.ServiceSpec{Name: "x"})
		assert.Error(t, err, odd)
	}
}

func FuzzFillTemplate(f *testing.F) {
	f.Add(`{"services":{"1":{"name":"Postgres","variables":{"A":{"defaultValue":"a"},"B":null}}}}`)
	f.Add(`{"services":{"1":{"variables":[]}}}`)
	f.Add(`{"services":{"1":{"name":{}}}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, config string) {
		got, err := railway.FillTemplate(json.RawMessage(config), incident.ServiceSpec{Name: "db", Variables: secrets("A", hush)})
		if err != nil {
			assert.NotContains(t, err.Error(), hush)
			return
		}
		assert.True(t, json.Valid(got))
	})
}
