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

const (
	west = "us-west2"
	east = "us-east4-eqdc4a"
	eu   = "europe-west4-drams3a"
	// leaving is one that Railway starts nothing more in.
	leaving = "us-west1"
)

// twoRegions is a service in two regions.
func twoRegions() railwaytest.Service {
	return railwaytest.Service{Name: "app", Image: "app:1", Regions: map[string]int{west: 1, eu: 2}}
}

func regions(pairs ...any) (s incident.Scale) {
	for i := 0; i < len(pairs); i += 2 {
		s.Regions = append(s.Regions, incident.RegionScale{Region: pairs[i].(string), Replicas: pairs[i+1].(int)})
	}
	return s
}

// A scaled is a stage that knows how many replicas there are while it tells nobody.
type scaled struct {
	*stage
	forbidden, broken bool
}

func (s *scaled) forbid() { s.forbidden = true; s.Forbid(true) }
func (s *scaled) down()   { s.broken = true; s.Break(true) }

// replicas returns how many replicas there are in a region.
func (s *scaled) replicas(t testing.TB, region string) int {
	t.Helper()
	s.Forbid(false)
	s.Break(false)
	defer s.Forbid(s.forbidden)
	defer s.Break(s.broken)
	scale, err := s.on(t, s.connect(t, railwaytest.Token{Kind: "account"})).Scale(t.Context())
	require.NoError(t, err)
	for _, r := range scale.Regions {
		if r.Region == region {
			return r.Replicas
		}
	}
	return 0
}

// Requirement: RW-SCALE-REGIONS
func TestScaler(t *testing.T) {
	incidenttest.TestScaler(t, incidenttest.ScalerHarness{
		Run: func(t *testing.T, test func(*testing.T)) { synctest.Test(t, test) },
		New: func(t testing.TB) incidenttest.ScalerCase {
			s := &scaled{stage: newStage(t, twoRegions())}
			return incidenttest.ScalerCase{
				Faults: incidenttest.Faults{
					Effects:    func() int { return len(s.Effects()) },
					LoseAnswer: func() { s.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
					Forbid:     s.forbid,
					Break:      s.down,
				},
				Scaler: s.on(t, s.client), Region: west, Other: eu, Most: 51,
				Replicas: func(region string) int { return s.replicas(t, region) },
			}
		},
	})
}

// A region that was asked for is verified: the answer is what is there.
//
// Requirement: RW-ASK-REGIONS, RW-SCALE-REGIONS
func TestScaleVerifiesRegions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		app := s.on(t, s.client)
		got, err := app.SetScale(t.Context(), regions(east, 3))
		require.NoError(t, err)
		assert.Equal(t, regions(eu, 2, east, 3, west, 1).Regions, got.Regions)
		assert.Equal(t, []string{"environmentPatchCommit " + s.environment}, s.Effects())

		// Nothing is sent for what is so already.
		_, err = app.SetScale(t.Context(), regions(east, 3))
		require.NoError(t, err)
		assert.Len(t, s.Effects(), 1)
	})
}

// What Railway does not do is refused before it is tried.
//
// Requirement: RW-SCALE-REGIONS
func TestScaleRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		app := s.on(t, s.client)
		for name, c := range map[string]struct {
			change incident.Scale
			kind   error
			says   string
		}{
			"no such region":     {regions("moon-1", 1), incident.ErrNotFound, west},
			"a region that goes": {regions(leaving, 1), incident.ErrUnsupported, "leaving"},
			"too many":           {regions(west, 49), incident.ErrUnsupported, "51"},
			"none":               {regions(west, 0, eu, 0), incident.ErrUnsupported, "stop"},
		} {
			_, err := app.SetScale(t.Context(), c.change)
			require.ErrorIs(t, err, c.kind, name)
			assert.ErrorContains(t, err, c.says, name)
			assert.True(t, runbook.SafeToRetry(err), name)
		}
		assert.NotContains(t, s.Calls(), "CommitPatch")

		s.AddVolume(s.environment, s.service, railwaytest.Volume{Name: "data"})
		_, err := app.SetScale(t.Context(), regions(west, 2))
		require.ErrorIs(t, err, incident.ErrUnsupported)
		assert.ErrorContains(t, err, "volume")
		assert.Empty(t, s.Effects())
	})
}

// A change is never made twice, whatever becomes of the answer, and is seen.
func TestScaleOnce(t *testing.T) {
	for name, fault := range mishaps {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t, twoRegions())
				s.Fail(fault)
				got, err := s.on(t, s.client).SetScale(t.Context(), regions(west, 4))
				require.NoError(t, err)
				assert.Equal(t, regions(eu, 2, west, 4).Regions, got.Regions)
				s.Fail(fault)
				got, err = s.on(t, s.client).SetScale(t.Context(), incident.Scale{CPU: 2})
				require.NoError(t, err)
				assert.Equal(t, 2.0, got.CPU)
				assert.Len(t, s.Effects(), 2)
			})
		})
	}
	t.Run("not run", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, twoRegions())
			s.Fail(railwaytest.Fault{Kind: railwaytest.Gateway})
			_, err := s.on(t, s.client).SetScale(t.Context(), regions(west, 4))
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.Empty(t, s.Effects())
		})
	})
}

// A commit that Railway rejects later is no success, and leaves nothing staged that
// somebody would commit unnoticed.
//
// Requirement: RW-ASK-REGIONS, RW-COMMIT-ASYNC
func TestScaleThatIsRejectedLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, railwaytest.Service{Name: "app", Image: "app:1", Regions: map[string]int{leaving: 1, eu: 1}})
		_, err := s.on(t, s.client).SetScale(t.Context(), regions(eu, 2)) // it no longer takes the other one
		require.Error(t, err)
		assert.ErrorContains(t, err, leaving)
		assert.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.Equal(t, "{}", s.Staged(s.environment))
		got, err := s.on(t, s.client).Scale(t.Context())
		require.NoError(t, err)
		assert.Equal(t, regions(eu, 1, leaving, 1).Regions, got.Regions)
	})
}

// Limits are in bytes here and in GB of a thousand million at Railway's.
func TestScaleLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		app := s.on(t, s.client)
		before, err := app.Scale(t.Context())
		require.NoError(t, err)
		assert.NotZero(t, before.CPU)
		got, err := app.SetScale(t.Context(), incident.Scale{CPU: 1.5, Memory: 1_500_000_000})
		require.NoError(t, err)
		assert.Equal(t, incident.Scale{CPU: 1.5, Memory: 1_500_000_000, Regions: before.Regions}, got)
		got, err = app.SetScale(t.Context(), incident.Scale{Memory: 1 << 30})
		require.NoError(t, err)
		assert.Equal(t, 1.5, got.CPU)
		assert.InDelta(t, 1<<30, got.Memory, 1000)
		_, err = app.SetScale(t.Context(), incident.Scale{CPU: 1000})
		require.Error(t, err)
		assert.True(t, runbook.SafeToRetry(err))
		assert.Equal(t, 2, s.count("serviceInstanceLimitsUpdate"))
		assert.Len(t, s.Effects(), 2)
	})
}

// If the second of two changes is refused the error does not say that nothing was
// changed.
func TestScaleHalfWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		s.Fail(railwaytest.Fault{Op: "environmentPatchCommit", Kind: railwaytest.NotAuthorized})
		change := regions(west, 4)
		change.CPU = 2
		_, err := s.on(t, s.client).SetScale(t.Context(), change)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.ErrorContains(t, err, "limits were changed")
		assert.False(t, runbook.SafeToRetry(err))
	})
}

// Scaling in one environment leaves the others alone.
//
// Requirement: RW-PEER-TF-ENVIRONMENTS, RW-G8
func TestScaleInOneEnvironment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		staging := s.AddEnvironment(s.project, "staging")
		require.Equal(t, s.service, s.AddService(staging, twoRegions())) // the same service
		change := regions(west, 4)
		change.CPU = 2
		_, err := s.on(t, s.client).SetScale(t.Context(), change)
		require.NoError(t, err)
		there, err := s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: staging, Service: s.service})
		require.NoError(t, err)
		got, err := there.Scale(t.Context())
		require.NoError(t, err)
		assert.Equal(t, regions(eu, 2, west, 1).Regions, got.Regions)
		assert.NotEqual(t, 2.0, got.CPU)
	})
}

// Other people's staged changes are not committed along, nor a reason not to scale.
//
// Requirement: RW-G9
func TestScaleLeavesStagedChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		s.Stage(s.environment, `{"sharedVariables":{"A":{"value":"b"}}}`)
		_, err := s.on(t, s.client).SetScale(t.Context(), regions(west, 4))
		require.NoError(t, err)
		assert.JSONEq(t, `{"sharedVariables":{"A":{"value":"b"}}}`, s.Staged(s.environment))
		assert.Empty(t, s.Variables(s.environment, ""))
	})
}

// A service for which nobody has chosen a region has those of its deployment.
func TestScaleFromTheDeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, twoRegions())
		app := s.on(t, s.client)
		s.Stage(s.environment, fmt.Sprintf(`{"services":{%q:{"deploy":{"multiRegionConfig":null}}}}`, s.service))
		staged, err := s.env(t).StagedChanges(t.Context())
		require.NoError(t, err)
		require.NoError(t, s.env(t).CommitStaged(t.Context(), staged, "no regions", true))
		got, err := app.Scale(t.Context())
		require.NoError(t, err)
		assert.Equal(t, regions(eu, 2, west, 1).Regions, got.Regions)
		got, err = app.SetScale(t.Context(), regions(west, 2))
		require.NoError(t, err)
		assert.Equal(t, regions(eu, 2, west, 2).Regions, got.Regions)

		gone, err := s.client.Service(t.Context(), railway.Target{Project: s.project, Environment: s.environment, Service: nobody})
		require.NoError(t, err)
		_, err = gone.Scale(t.Context())
		require.ErrorIs(t, err, incident.ErrNotFound)
	})
}

// What Railway says of regions and clusters is read whatever its form.
func FuzzConfiguration(f *testing.F) {
	f.Add(`{"services":{"s":{"deploy":{"multiRegionConfig":{"us-west2":{"numReplicas":2},"gone":null}}}}}`)
	f.Add(`{"services":{"s":{"variables":{"PATRONI_ENABLED":{"value":"true"}}},"r":{"parentServiceId":"s","clusterRole":"replica"}}}`)
	f.Add(`{"services":{"s":{"parentServiceId":"t"},"t":{"parentServiceId":"s"}}}`)
	f.Add(`{"services":{"s":null,"t":[]}}`)
	f.Add(`[1]`)
	f.Fuzz(func(t *testing.T, config string) {
		railway.IsCluster(json.RawMessage(config), "s")
		railway.ReplicasOf(json.RawMessage(config), "s", "us-west2")
	})
}

// Replicas and clusters are found in a configuration that has parts of other forms.
func TestConfiguration(t *testing.T) {
	config := json.RawMessage(`{"services":{
		"s":{"deploy":{"multiRegionConfig":{"us-west2":{"numReplicas":2},"gone":null}},"variables":{"A":"odd"},"volumeMounts":[]},
		"root":{"variables":{"PATRONI_ENABLED":{"value":"true"}}},
		"replica":{"parentServiceId":"root","clusterRole":"replica"},
		"alone":{"variables":{"PATRONI_ENABLED":{"value":"false"}}},
		"other":{}, "kin":{"parentServiceId":"other","clusterRole":"replica"},
		"a":{"parentServiceId":"b"}, "b":{"parentServiceId":"a"}, "null":null}}`)
	assert.Equal(t, 2, railway.ReplicasOf(config, "s", "us-west2"))
	assert.Zero(t, railway.ReplicasOf(config, "s", "gone"))
	assert.Zero(t, railway.ReplicasOf(config, "nobody", "us-west2"))
	for id, want := range map[string]bool{"s": false, "root": true, "replica": true, "alone": false, "other": true, "kin": true, "a": false, "null": false, "nobody": false} {
		assert.Equal(t, want, railway.IsCluster(config, id), id)
	}
}

// The configuration of an environment with 100 services of 30 variables, about 200 kB,
// is read in less than 10 ms of a processor and 5000 allocations, little beside the call
// that it comes from.
func BenchmarkConfiguration(b *testing.B) {
	services := make(map[string]any)
	for i := range 100 {
		variables := make(map[string]any)
		for n := range 30 {
			variables[fmt.Sprint("VARIABLE_", n)] = map[string]any{"value": "https://example.com/some/where"}
		}
		services[fmt.Sprint("service-", i)] = map[string]any{
			"variables": variables, "deploy": map[string]any{"multiRegionConfig": map[string]any{west: map[string]any{"numReplicas": 2}}},
		}
	}
	config, err := json.Marshal(map[string]any{"services": services})
	require.NoError(b, err)
	b.SetBytes(int64(len(config)))
	b.ReportAllocs()
	for b.Loop() {
		if railway.ReplicasOf(config, "service-99", west) != 2 {
			b.Fatal("not found")
		}
	}
}
