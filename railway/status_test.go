package railway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// Everything of an environment with ten services is one call.
//
// Requirement: RW-STATUS-REPLICAS
// Requirement: RB-CMD-RAILWAY-STATUS
func TestStatusIsOneCall(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		for i := range 8 {
			st.server.AddService(st.environment, railwaytest.Service{Name: fmt.Sprintf("svc-%d", i), Image: "nginx:1"})
		}
		web := st.server.AddService(st.environment, railwaytest.Service{
			Name: "web", Repo: "acu/web", HTTPPort: 8080, Regions: map[string]int{"us-west2": 2, "europe-west4-drams3a": 3},
		})
		instance := st.server.AddVolume(st.environment, web, railwaytest.Volume{Name: "data", MountPath: "/data", SizeMB: 500, UsedMB: 12.5})
		st.server.Stage(st.environment, `{"services":{"`+web+`":{"variables":{"A":{"value":"b"}}}}}`)

		before := len(st.server.Calls())
		status, err := st.service.Environment().Status(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"EnvironmentStatus"}, st.calls(before))

		assert.Equal(t, []string{"production", st.environment}, []string{status.Name, status.ID})
		require.Len(t, status.Services, 10)
		assert.Equal(t, 1, status.UnmergedChanges)
		api, got := status.Services[0], status.Services[9]
		assert.Equal(t, []string{"api", "acu/dc", st.current, st.current}, []string{api.Name, api.Repo, api.Current.ID, api.Latest.ID})
		assert.True(t, api.Current.Current)
		assert.Equal(t, 1, api.Running)
		assert.Equal(t, "web", got.Name)
		assert.Equal(t, map[string]int{"us-west2": 2, "europe-west4-drams3a": 3}, got.Replicas)
		assert.Equal(t, 5, got.Running)
		assert.Len(t, got.Domains, 1)
		require.Len(t, status.Volumes, 1)
		v := status.Volumes[0]
		assert.Equal(t, []string{instance, "data", web, "/data", "READY"}, []string{v.ID, v.Name, v.Service, v.MountPath, v.State})
		assert.InDelta(t, 500, v.SizeMB, 0)
		assert.InDelta(t, 12.5, v.UsedMB, 0.001)
	})
}

// While a new deployment is on its way, what runs is the one before.
func TestStatusDuringADeployment(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		d, err := st.service.Redeploy(t.Context())
		require.NoError(t, err)
		read := func() railway.ServiceStatus {
			status, err := st.service.Environment().Status(t.Context())
			require.NoError(t, err)
			return status.Services[0]
		}
		s := read()
		assert.Equal(t, []string{d.ID, st.current}, []string{s.Latest.ID, s.Current.ID})
		assert.False(t, s.Latest.Current)
		_, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
		require.NoError(t, err)
		s = read()
		assert.Equal(t, []string{d.ID, d.ID}, []string{s.Latest.ID, s.Current.ID})

		_, err = st.service.Stop(t.Context())
		require.NoError(t, err)
		s = read()
		assert.True(t, s.Stopped)
		assert.Equal(t, d.ID, s.Current.ID, "it would run again")
		assert.Zero(t, s.Running)
	})
}

// That a deployment succeeded says that it was deployed: its processes may have
// ended since, and nobody asks them how they are.
//
// Requirement: RW-G16
func TestSuccessIsNotHealth(t *testing.T) {
	service := deployAnswering(t, `{"data":{"environment":{"id":"e","name":"production","projectId":"p","canAccess":true,"deletedAt":null,"unmergedChangesCount":null,
	"serviceInstances":{"edges":[{"node":{"id":"i","serviceId":"s","serviceName":"api","deletedAt":null,"numReplicas":2,"healthcheckPath":"/health","cronSchedule":null,"nextCronRunAt":null,"source":null,"domains":{"serviceDomains":[],"customDomains":[]},
	"latestDeployment":null,"activeDeployments":[{"id":"d","status":"SUCCESS","createdAt":"2026-08-01T10:00:00Z","projectId":"p","environmentId":"e","serviceId":"s","canRedeploy":true,"canRollback":false,"deploymentStopped":false,"meta":null,
	"instances":[{"id":"1","status":"CRASHED"},{"id":"2","status":"RESTARTING"},{"id":"3","status":"SOMETHING_NEW"}]}]}}],"pageInfo":{"hasNextPage":false,"endCursor":null}},"volumeInstances":{"edges":[]}}}}`)
	status, err := service.Environment().Status(t.Context())
	require.NoError(t, err)
	require.Len(t, status.Services, 1)
	s := status.Services[0]
	assert.True(t, s.Current.Status.Deployed(), "it was deployed")
	assert.Zero(t, s.Running, "and nothing of it is up")
	assert.Equal(t, map[string]int{"": 2}, s.Replicas)
}

// Requirement: RW-G12
func TestStatusOfManyServices(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		for i := range 499 {
			st.server.AddService(st.environment, railwaytest.Service{Name: fmt.Sprintf("svc-%03d", i), Undeployed: true})
		}
		for want := 1; want <= 2; want++ {
			before := len(st.server.Calls())
			status, err := st.service.Environment().Status(t.Context())
			require.NoError(t, err)
			assert.Len(t, st.calls(before), want)
			assert.Len(t, status.Services, 499+want)
			st.server.AddService(st.environment, railwaytest.Service{Name: "one more", Undeployed: true})
		}
	})
}

// Requirement: RW-LOOKUP-DELETED
func TestStatusOfRestrictedEnvironment(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		st.server.Restrict(st.environment)
		_, err := st.service.Environment().Status(t.Context())
		require.ErrorIs(t, err, incident.ErrNotPermitted)
	})
}

// deployReplicas are metas of deployments, as railwayapp/cli reads them in
// src/commands/output/service_summary.rs, and ones that nobody has seen.
var deployReplicas = map[string]map[string]int{
	`{"serviceManifest":{"deploy":{"multiRegionConfig":{"us-west2":{"numReplicas":2},"europe-west4-drams3a":{"numReplicas":1}}}}}`: {"us-west2": 2, "europe-west4-drams3a": 1},
	`{"serviceManifest":{"deploy":{"multiRegionConfig":{"us-west2":{"numReplicas":3},"us-east4":null,"asia":{"numReplicas":0}}}}}`: {"us-west2": 3},
	`{"serviceManifest":{"deploy":{"multiRegionConfig":{"us-west2":{"numReplicas":"three"},"us-east4":7}}}}`:                       nil,
	`{"serviceManifest":{"deploy":{"multiRegionConfig":[1]}}}`:                                                                     nil,
	`{"serviceManifest":null}`: nil,
	`{}`:                       nil,
	`[]`:                       nil,
	`null`:                     nil,
}

// Requirement: RW-STATUS-REPLICAS
func TestReplicas(t *testing.T) {
	for meta, want := range deployReplicas {
		assert.Equal(t, want, railway.StatusReplicas([]byte(meta)), meta)
	}
	assert.Nil(t, railway.StatusReplicas(nil))
}

// The meta of a deployment is not documented, and each part may be of any type.
func FuzzDeploymentMeta(f *testing.F) {
	for meta := range deployReplicas {
		f.Add([]byte(meta))
	}
	f.Add([]byte(`{"commitHash":"abc","commitMessage":"a\nb","image":"nginx"}`))
	f.Add([]byte(`{"commitHash":17,"commitMessage":{},"image":[]}`))
	f.Fuzz(func(t *testing.T, meta []byte) {
		for region, n := range railway.StatusReplicas(meta) {
			if n < 1 {
				t.Errorf("%d replicas in %q", n, region)
			}
		}
		d := railway.DeploymentOf(meta)
		if d.Status != incident.DeploymentSucceeded || d.ID == "" || strings.ContainsAny(d.Message, "\x00\x07\x1b\n\r") {
			t.Errorf("%+v", d)
		}
	})
}

func TestPlatformStatus(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		client := st.client(t, nil)
		status, err := client.PlatformStatus(t.Context())
		require.NoError(t, err)
		assert.Equal(t, railway.PlatformStatus{Stable: true}, status)
		st.server.SetPlatformStatus(false, "Deployments are \x1b[31mslow")
		status, err = client.PlatformStatus(t.Context())
		require.NoError(t, err)
		assert.False(t, status.Stable)
		require.NotNil(t, status.Incident)
		assert.Equal(t, "Deployments are  [31mslow", status.Incident.Message)
		assert.NotEmpty(t, status.Incident.Status)

		status, err = st.clientAnswering(t, `{"data":{"platformStatus":{"isStable":true,"incident":null,"maintenance":{"id":"m","message":"Moving","start":"2026-08-01T10:00:00Z","status":"NOTSTARTEDYET","url":"https://status.railway.com/m"}}}}`).PlatformStatus(t.Context())
		require.NoError(t, err)
		require.NotNil(t, status.Maintenance)
		assert.Equal(t, "NOTSTARTEDYET", status.Maintenance.Status)
		assert.Equal(t, 2026, status.Maintenance.Began.Year())
	})
}

// BenchmarkStatus reads the status of 10 services, an answer of 15 KB; it should take
// less than 1 ms beside the network.
func BenchmarkStatus(b *testing.B) {
	var nodes []string
	for i := range 10 {
		d := fmt.Sprintf(`{"id":"d%d","status":"SUCCESS","statusUpdatedAt":"2026-08-01T10:00:00.000Z","createdAt":"2026-08-01T10:00:00.000Z","projectId":"p","environmentId":"e","serviceId":"s","url":null,"staticUrl":"a.up.railway.app","canRedeploy":true,"canRollback":false,"deploymentStopped":false,"meta":{"commitHash":"4444","commitMessage":"a message","serviceManifest":{"deploy":{"multiRegionConfig":{"us-west2":{"numReplicas":2}}}}},"instances":[{"id":"1","status":"RUNNING"},{"id":"2","status":"RUNNING"}]}`, i)
		nodes = append(nodes, fmt.Sprintf(`{"node":{"id":"i%d","serviceId":"s%d","serviceName":"svc-%d","deletedAt":null,"numReplicas":1,"healthcheckPath":"/health","cronSchedule":null,"nextCronRunAt":null,"source":{"image":null,"repo":"acu/dc"},"latestDeployment":%s,"activeDeployments":[%s],"domains":{"serviceDomains":[{"domain":"a.up.railway.app","targetPort":8080}],"customDomains":[]}}}`, i, i, i, d, d))
	}
	body := `{"data":{"environment":{"id":"e","name":"production","projectId":"p","canAccess":true,"deletedAt":null,"unmergedChangesCount":0,"serviceInstances":{"edges":[` + strings.Join(nodes, ",") + `],"pageInfo":{"hasNextPage":false,"endCursor":null}},"volumeInstances":{"edges":[]}}}}`
	env := deployAnswering(b, body).Environment()
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		status, err := env.Status(b.Context())
		if err != nil || len(status.Services) != 10 {
			b.Fatal(status, err)
		}
	}
}
