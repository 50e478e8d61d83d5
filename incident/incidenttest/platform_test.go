package incidenttest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A port makes an implementation of something that a platform does: the platform
// itself, or what wraps it and is wrong.
type port[T any] func(p *incidenttest.Platform) T

// faults are those of a platform on which these methods make changes.
func faults(p *incidenttest.Platform, methods ...string) incidenttest.Faults {
	before := len(p.Effects())
	fail := func(times int, err error) func() {
		return func() {
			for _, method := range methods {
				p.Fail(method, slices.Repeat([]error{err}, times)...)
			}
		}
	}
	return incidenttest.Faults{
		Effects: func() int {
			n := 0
			for _, e := range p.Effects()[before:] { // also others, which prepare
				if method, _, _ := strings.Cut(e, " "); slices.Contains(methods, method) {
					n++
				}
			}
			return n
		},
		LoseAnswer: fail(1, incident.ErrOutcomeUnknown), Forbid: fail(8, incident.ErrNotPermitted), Break: fail(8, errors.New("connection refused")),
	}
}

func testDeployer(t *testing.T, make port[incident.Deployer]) {
	incidenttest.TestDeployer(t, incidenttest.DeployerHarness{
		Run: synctest.Test,
		New: func(t testing.TB) incidenttest.DeployerCase {
			p := &incidenttest.Platform{}
			dead := p.Deploy(incident.Deployment{Commit: "0000001"})
			p.Deploy(incident.Deployment{Commit: "0000002"})
			target := p.Deploy(incident.Deployment{Commit: "0000003", Message: "Works"})
			p.Deploy(incident.Deployment{Commit: "0000004"})
			p.Forget(dead.ID)
			d := make(p)
			return incidenttest.DeployerCase{
				Faults: faults(p, "Rollback", "Restart", "Redeploy", "DeploySource", "CancelDeployment", "ApproveDeployment"), Deployer: d,
				Target: target.ID, Dead: dead.ID, Missing: "d99", Source: incident.DeploymentSource{Commit: "0000005"},
				Newest: func() string {
					list, err := p.Deployments(context.Background(), 1)
					require.NoError(t, err)
					return list[0].ID
				},
				Begin: func(s incident.DeploymentStatus) (string, func(incident.DeploymentStatus)) {
					p.StartAs(s)
					d := p.Deploy(incident.Deployment{Commit: "0000006"})
					p.StartAs("")
					return d.ID, func(s incident.DeploymentStatus) { p.SetStatus(d.ID, s, "moved") }
				},
			}
		},
		Never: func(testing.TB) incident.Deployer { return make(&incidenttest.Platform{}) },
	})
}

func deployed() *incidenttest.Platform {
	p := &incidenttest.Platform{}
	p.Deploy(incident.Deployment{Commit: "0000001"})
	return p
}

func testStopper(t *testing.T, make port[incident.Stopper]) {
	incidenttest.TestStopper(t, incidenttest.StopperHarness{Run: synctest.Test, New: func(t testing.TB) incidenttest.StopperCase {
		p := deployed()
		return incidenttest.StopperCase{Faults: faults(p, "Stop", "Start"), Stopper: make(p), Running: func() int {
			if s, err := p.Stopped(context.Background()); err != nil || s.Stopped {
				return 0
			}
			return 1
		}}
	}})
}

func testFreezer(t *testing.T, make port[incident.DeployFreezer]) {
	incidenttest.TestDeployFreezer(t, incidenttest.DeployFreezerHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.DeployFreezerCase {
		p := &incidenttest.Platform{}
		return incidenttest.DeployFreezerCase{Faults: faults(p, "SetDeployFreeze"), Freezer: make(p)}
	}})
}

func testScaler(t *testing.T, make port[incident.Scaler]) {
	incidenttest.TestScaler(t, incidenttest.ScalerHarness{Run: synctest.Test, New: func(t testing.TB) incidenttest.ScalerCase {
		p := &incidenttest.Platform{}
		_, err := p.SetScale(context.Background(), incident.Scale{
			Regions: []incident.RegionScale{{Region: "west", Replicas: 1}, {Region: "east", Replicas: 2}}, CPU: 2, Memory: 1 << 30,
		})
		require.NoError(t, err)
		return incidenttest.ScalerCase{Faults: faults(p, "SetScale"), Scaler: make(p), Region: "west", Other: "east", Replicas: func(region string) int {
			s, err := p.Scale(context.Background())
			require.NoError(t, err)
			for _, r := range s.Regions {
				if r.Region == region {
					return r.Replicas
				}
			}
			return 0
		}}
	}})
}

func testVariables(t *testing.T, make port[incident.Variables], deployer port[incident.Deployer]) {
	incidenttest.TestVariables(t, incidenttest.VariablesHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.VariablesCase {
		p := &incidenttest.Platform{}
		p.Configure(map[string]string{"A": "a", "B": "b", "S": "s"}, "S")
		p.Deploy(incident.Deployment{Commit: "0000001"})
		return incidenttest.VariablesCase{
			Faults: faults(p, "SetVariables"), Variables: make(p), Deployer: deployer(p), Got: p.Got, Seals: true, Versions: true,
		}
	}})
}

func testBackups(t *testing.T, make port[incident.Backups]) {
	incidenttest.TestBackups(t, incidenttest.BackupsHarness{Run: synctest.Test, New: func(t testing.TB) incidenttest.BackupsCase {
		p := &incidenttest.Platform{}
		var three [3]string
		for i, name := range []string{"daily 1", "daily 2", "daily 3"} {
			p.Write(name)
			b, err := p.CreateBackup(context.Background(), name)
			require.NoError(t, err)
			three[2-i] = b.ID
		}
		p.Write("the data of now")
		held := map[string]string{three[0]: "daily 3", three[1]: "daily 2", three[2]: "daily 1"}
		return incidenttest.BackupsCase{
			Faults: faults(p, "CreateBackup", "RestoreBackup"), Backups: make(p), Three: three, Missing: "b99", Data: p.Data, DeletesNewer: true, Holds: func(id string) string {
				if data, old := held[id]; old {
					return data
				}
				return p.Data()
			},
		}
	}})
}

func testDumper(t *testing.T, make port[incident.Dumper]) {
	incidenttest.TestDumper(t, incidenttest.DumperHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.DumperCase {
		p := &incidenttest.Platform{}
		p.Write("users\ntasks\n")
		p.SetTarget("empty", "")
		p.SetTarget("full", "old\n")
		return incidenttest.DumperCase{
			Faults: faults(p, "Load"), Dumper: make(p), Tables: 2, Empty: "empty", Full: "full", Missing: "none",
			Data: p.Target, Source: p.Data, Spoil: func(target string) { p.SetTarget(target, "other\nmore\n") },
		}
	}})
}

func testMigrator(t *testing.T, make port[incident.Migrator]) {
	incidenttest.TestMigrator(t, incidenttest.MigratorHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.MigratorCase {
		p := &incidenttest.Platform{}
		return incidenttest.MigratorCase{Faults: faults(p, "Migrate"), Migrator: make(p), Schema: p.Schema, Spoil: func() { p.BreakMigrations("relation exists") }}
	}})
}

func testSessions(t *testing.T, make port[incident.Sessions]) {
	incidenttest.TestSessions(t, incidenttest.SessionsHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.SessionsCase {
		p := &incidenttest.Platform{}
		p.SetSessions(7)
		return incidenttest.SessionsCase{Faults: faults(p, "EndSessions"), Sessions: make(p), Live: p.LiveSessions}
	}})
}

func testLogs(t *testing.T, make port[incident.Logs]) {
	incidenttest.TestLogs(t, incidenttest.LogsHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.LogsCase {
		p := deployed()
		older, from := p.Deploy(incident.Deployment{Commit: "0000002"}), time.Now().Add(-time.Hour)
		p.Print(incident.LogLine{Message: "of the one before", Time: from})
		current := p.Deploy(incident.Deployment{Commit: "0000003"})
		var lines []incident.LogLine
		for i, message := range []string{"started", "login Failed", "memory at 80 %", "login failed again"} {
			lines = append(lines, incident.LogLine{Message: message, Time: from.Add(time.Duration(i) * time.Minute), Deployment: current.ID})
		}
		p.Print(lines...)
		return incidenttest.LogsCase{
			Logs: make(p), Lines: lines, From: from, Older: older.ID, Missing: "d99",
			Print: func(message string) { p.Print(incident.LogLine{Message: message}) }, Forbid: func() { p.Fail("", incident.ErrNotPermitted) },
		}
	}})
}

func testMetrics(t *testing.T, make port[incident.Metrics]) {
	incidenttest.TestMetrics(t, incidenttest.MetricsHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.MetricsCase {
		p, now := &incidenttest.Platform{}, time.Now()
		points := []incident.Point{{Time: now.Add(-2 * time.Hour), Value: 1}, {Time: now.Add(-2 * time.Minute), Value: 2}, {Time: now.Add(-time.Minute), Value: 3}}
		p.Measure(
			incident.Series{Metric: incident.MetricMemory, Labels: map[string]string{"instance": "1"}, Points: points},
			incident.Series{Metric: incident.MetricCPU, Points: points}, incident.Series{Metric: incident.MetricDisk},
			incident.Series{Metric: incident.MetricMemory, Labels: map[string]string{"instance": "2"}, Points: points},
		)
		return incidenttest.MetricsCase{
			Metrics: make(p), Has: []incident.Metric{incident.MetricCPU, incident.MetricMemory}, From: now.Add(-time.Hour), To: now,
			Silent: incident.MetricDisk, Missing: incident.MetricErrors, Forbid: func() { p.Fail("", incident.ErrNotPermitted) },
		}
	}})
}

func testProvisioner(t *testing.T, make port[incident.Provisioner]) {
	incidenttest.TestProvisioner(t, incidenttest.ProvisionerHarness{Run: synctest.Test, New: func(testing.TB) incidenttest.ProvisionerCase {
		p := &incidenttest.Platform{}
		return incidenttest.ProvisionerCase{Faults: faults(p, "EnsureProject", "EnsureEnvironment", "EnsureService"), Provisioner: make(p), Missing: "p99", Image: "example/app:1"}
	}})
}

// disposing is a platform with services that may be removed.
type disposing interface {
	incident.Provisioner
	incident.Disposer
}

func testDisposer(t *testing.T, make port[disposing]) {
	incidenttest.TestDisposer(t, incidenttest.DisposerHarness{Run: synctest.Test, New: func(t testing.TB) incidenttest.DisposerCase {
		p := &incidenttest.Platform{}
		project, err := p.EnsureProject(t.Context(), incident.ProjectSpec{Name: "qa"})
		require.NoError(t, err)
		environment, err := p.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: project.ID, Name: "production"})
		require.NoError(t, err)
		live, err := p.EnsureService(t.Context(), incident.ServiceSpec{Project: project.ID, Environment: environment.ID, Name: "postgres", Template: "postgres"})
		require.NoError(t, err)
		made := time.Now()
		time.Sleep(time.Hour)
		of := make(p)
		return incidenttest.DisposerCase{
			Faults: faults(p, "Dispose"), Provisioner: of, Disposer: of, Project: project.ID, Environment: environment.ID, Image: "example/app:1",
			Live:  incident.Disposable{Project: project.ID, Environment: environment.ID, ID: live.ID, Name: live.Name, Mark: "rehearsal/production/run-1", Made: made},
			There: func(id string) bool { return p.Has(id) }, Need: func(id string) { p.Need(id, "domain db.example.edu") },
		}
	}})
}

func testCredentials(t *testing.T, make func() runbook.CredentialStore) {
	incidenttest.TestCredentialStore(t, incidenttest.CredentialStoreHarness{New: func(testing.TB) incidenttest.CredentialStoreCase {
		store := make()
		return incidenttest.CredentialStoreCase{Store: store, Replica: func() runbook.CredentialStore { return store }}
	}})
}

// As the platform implements them, each port passes. That a migration is run through
// a port is all that is shown of `railway run`: what runs it is the host's.
//
// Requirement: RB-CMD-RAILWAY-RUN
func TestPlatform(t *testing.T) {
	t.Run("Deployer", func(t *testing.T) { testDeployer(t, func(p *incidenttest.Platform) incident.Deployer { return p }) })
	t.Run("Stopper", func(t *testing.T) { testStopper(t, func(p *incidenttest.Platform) incident.Stopper { return p }) })
	t.Run("DeployFreezer", func(t *testing.T) {
		testFreezer(t, func(p *incidenttest.Platform) incident.DeployFreezer { return p })
	})
	t.Run("Scaler", func(t *testing.T) { testScaler(t, func(p *incidenttest.Platform) incident.Scaler { return p }) })
	t.Run("Variables", func(t *testing.T) {
		testVariables(t, func(p *incidenttest.Platform) incident.Variables { return p }, func(p *incidenttest.Platform) incident.Deployer { return p })
	})
	t.Run("Backups", func(t *testing.T) { testBackups(t, func(p *incidenttest.Platform) incident.Backups { return p }) })
	t.Run("Dumper", func(t *testing.T) { testDumper(t, func(p *incidenttest.Platform) incident.Dumper { return p }) })
	t.Run("Migrator", func(t *testing.T) {
		testMigrator(t, func(p *incidenttest.Platform) incident.Migrator { return incident.MigratorFunc(p.Migrate) })
	})
	t.Run("Sessions", func(t *testing.T) {
		testSessions(t, func(p *incidenttest.Platform) incident.Sessions { return incident.SessionsFunc(p.EndSessions) })
	})
	t.Run("Logs", func(t *testing.T) { testLogs(t, func(p *incidenttest.Platform) incident.Logs { return p }) })
	t.Run("Metrics", func(t *testing.T) { testMetrics(t, func(p *incidenttest.Platform) incident.Metrics { return p }) })
	t.Run("Provisioner", func(t *testing.T) {
		testProvisioner(t, func(p *incidenttest.Platform) incident.Provisioner { return p })
	})
	t.Run("Disposer", func(t *testing.T) { testDisposer(t, func(p *incidenttest.Platform) disposing { return p }) })
}

// plain is a platform that neither seals nor compares versions, and has nothing that
// it could deploy by itself.
type plain struct{ *incidenttest.Platform }

func (p plain) Variables(ctx context.Context) (incident.VariableSet, error) {
	s, err := p.Platform.Variables(ctx)
	s.Version = ""
	return s, err
}

func (p plain) SetVariables(ctx context.Context, b incident.VariableBatch) (incident.PendingVariables, error) {
	if b.Base != "" || len(b.Seal) > 0 {
		return incident.PendingVariables{}, incident.ErrUnsupported
	}
	return p.Platform.SetVariables(ctx, b)
}

func (p plain) SetDeployFreeze(ctx context.Context, _ bool) (incident.FreezeState, error) {
	return incident.FreezeState{Frozen: true, Reason: "it follows no branch"}, ctx.Err()
}

// What a platform cannot do it says, and the tests are content.
func TestPlainPlatform(t *testing.T) {
	incidenttest.TestVariables(t, incidenttest.VariablesHarness{New: func(testing.TB) incidenttest.VariablesCase {
		p := &incidenttest.Platform{}
		p.Configure(map[string]string{"A": "a", "B": "b", "S": "s"})
		p.Deploy(incident.Deployment{Commit: "0000001"})
		return incidenttest.VariablesCase{Faults: faults(p, "SetVariables"), Variables: plain{p}, Deployer: p, Got: p.Got}
	}})
	incidenttest.TestDeployFreezer(t, incidenttest.DeployFreezerHarness{
		New: func(testing.TB) incidenttest.DeployFreezerCase {
			p := &incidenttest.Platform{}
			return incidenttest.DeployFreezerCase{Faults: faults(p, "SetDeployFreeze"), Freezer: p}
		},
		Never: func(testing.TB) incident.DeployFreezer { return plain{} },
	})
}

// A rollback brings back the variables of its deployment, and leaves those that are
// configured, which the next deployment gets.
func TestPlatformRollbackVariables(t *testing.T) {
	p := &incidenttest.Platform{}
	p.Configure(map[string]string{"WORKERS": "4"})
	old := p.Deploy(incident.Deployment{Commit: "a"})
	p.Configure(map[string]string{"WORKERS": "8"})
	p.Deploy(incident.Deployment{Commit: "b"})
	got := func() string { value, _ := p.Got("WORKERS"); return value }
	require.Equal(t, "8", got())
	d, err := p.Rollback(t.Context(), old)
	require.NoError(t, err)
	assert.True(t, d.Current)
	assert.Equal(t, "4", got())
	proof, err := p.ProveVariables(t.Context(), incident.PendingVariables{})
	require.NoError(t, err)
	assert.Equal(t, []string{"WORKERS"}, proof.Pending)
	_, err = p.Redeploy(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "8", got())
	assert.Equal(t, []string{"Rollback " + d.ID, "Redeploy d4"}, p.Effects())
}

// What is scripted for a method comes there, and the rest wherever it comes first.
func TestPlatformFail(t *testing.T) {
	p := deployed()
	first, second := errors.New("first"), errors.New("second")
	p.Fail("Restart", nil, second)
	p.Fail("", first)
	_, err := p.Restart(t.Context())
	require.NoError(t, err)
	_, err = p.Stopped(t.Context())
	require.ErrorIs(t, err, first)
	_, err = p.Restart(t.Context())
	require.ErrorIs(t, err, second)
	_, err = p.Restart(t.Context())
	require.NoError(t, err)
	assert.Len(t, p.Effects(), 2)
}

// The current deployment stays until the new one was deployed, and if it fails.
func TestPlatformDeploymentOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := deployed()
		p.StartAs(incident.DeploymentBuilding)
		d, err := p.Redeploy(t.Context())
		require.NoError(t, err)
		require.False(t, d.Current)
		go func() {
			time.Sleep(3 * time.Minute)
			p.SetStatus(d.ID, incident.DeploymentFailed, "health check: 503")
		}()
		began := time.Now()
		d, err = p.WaitDeployment(t.Context(), d.ID, nil)
		require.NoError(t, err)
		assert.Equal(t, 3*time.Minute, time.Since(began))
		assert.Equal(t, "health check: 503", d.Reason)
		list, err := p.Deployments(t.Context(), 5)
		require.NoError(t, err)
		assert.True(t, list[1].Current && !list[0].Current)
	})
}
