package world_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
)

// set sets variables as playbooks do: a batch, and a deployment.
func (s *site) set(name, value string) {
	s.Helper()
	_, err := s.app.SetVariables(s.Context(), incident.VariableBatch{Set: map[string]runbook.Secret{name: runbook.NewSecret(value)}})
	require.NoError(s, err)
	s.redeploy()
}

func (s *site) redeploy() {
	s.Helper()
	d, err := s.app.Redeploy(s.Context())
	require.NoError(s, err)
	_, err = s.app.WaitDeployment(s.Context(), d.ID, nil)
	require.NoError(s, err)
}

func (s *site) restart() {
	s.Helper()
	_, err := s.app.Restart(s.Context())
	require.NoError(s, err)
	s.pass(time.Minute)
}

func (s *site) rollback() {
	s.Helper()
	list, err := s.app.Deployments(s.Context(), 20)
	require.NoError(s, err)
	to, ok := incident.RollbackTarget(list)
	require.True(s, ok)
	d, err := s.app.Rollback(s.Context(), to)
	require.NoError(s, err)
	_, err = s.app.WaitDeployment(s.Context(), d.ID, nil)
	require.NoError(s, err)
	s.pass(time.Minute)
}

// number reads a number of the metrics of the application.
func (s *site) number(path ...string) float64 {
	s.Helper()
	code, body := s.get("/health/metrics")
	require.Equal(s, 200, code)
	var at any = body
	for _, name := range path {
		at = at.(map[string]any)[name]
	}
	return at.(float64)
}

func (s *site) p95() float64 { return s.number("response_time_ms", "p95") / 1000 }

// limit reads a number of the rate limits.
func (s *site) limit(name string) float64 {
	s.Helper()
	code, body := s.get("/health/canvas/rate-limits")
	require.Equal(s, 200, code)
	return body["instances"].(map[string]any)["prod"].(map[string]any)[name].(float64)
}

func (s *site) status(path string) any {
	_, body := s.get(path)
	return body["status"]
}

// acted reports how often something was done.
func (s *site) acted(kind string) (n int) {
	for _, a := range s.w.Acts() {
		if a.Kind == kind {
			n++
		}
	}
	return n
}

func (s *site) logged(word string) bool {
	for _, err := range s.app.Logs(s.Context(), incident.LogQuery{Tail: 200, Any: []string{word}}) {
		require.NoError(s, err)
		return true
	}
	return false
}

func TestBadDeploy(t *testing.T) {
	for variant, code := range map[string]int{"errors": 500, "silent": 502, "database": 503} {
		t.Run(variant, func(t *testing.T) {
			rehearse(t, 1, func(s *site) {
				s.inject(world.BadDeploy, variant)
				s.pass(2 * time.Minute)
				got, _ := s.get("/health")
				assert.Equal(s, code, got)
				assert.False(s, s.w.Truth().Served)
				assert.Equal(s, health.Healthy, s.at.DatabaseServer.Probe(s.Context()).Status, "it is not the server")
				s.restart()
				assert.True(s, s.there(world.BadDeploy), "a restart does not mend a version")
				s.rollback()
				got, _ = s.get("/health")
				assert.Equal(s, 200, got)
				assert.False(s, s.there(world.BadDeploy))
				assert.True(s, s.w.Truth().Served)
				assert.Len(s, s.w.Truth().Unserved, 1)
			})
		})
	}
}

func TestCrashLoop(t *testing.T) {
	t.Run("state", func(t *testing.T) {
		rehearse(t, 1, func(s *site) {
			s.inject(world.CrashLoop, "state")
			s.pass(5 * time.Minute)
			code, _ := s.get("/health")
			assert.Equal(s, 502, code)
			list, err := s.app.Deployments(s.Context(), 5)
			require.NoError(s, err)
			assert.Equal(s, incident.DeploymentCrashed, list[0].Status)
			assert.True(s, s.logged("damaged"))
			s.restart()
			assert.Equal(s, "healthy", s.status("/health"))
			assert.False(s, s.there(world.CrashLoop))
		})
	})
	t.Run("deploy", func(t *testing.T) {
		rehearse(t, 1, func(s *site) {
			s.inject(world.CrashLoop, "deploy")
			s.pass(5 * time.Minute)
			code, _ := s.get("/health")
			assert.Equal(s, 502, code)
			s.rollback()
			assert.Equal(s, "healthy", s.status("/health"))
			assert.False(s, s.there(world.CrashLoop))
		})
	})
}

func TestDatabaseDown(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.DatabaseDown, "")
		s.pass(2 * time.Minute)
		assert.Equal(s, "unhealthy", s.status("/health/database"))
		assert.Equal(s, health.CauseRefused, s.at.DatabaseServer.Probe(s.Context()).Cause)
		s.restart()
		assert.Equal(s, "unhealthy", s.status("/health/database"), "a restart of the application does not start the server")
		_, err := s.service(s.at.Database).Restart(s.Context())
		require.NoError(s, err)
		s.pass(time.Minute)
		assert.Equal(s, "healthy", s.status("/health/database"))
		assert.False(s, s.there(world.DatabaseDown))
		assert.Equal(s, 1, s.acted("restart-database"))
		assert.Equal(s, 1, s.acted("restart"))
	})
}

func TestConnectionStorm(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.ConnectionStorm, "")
		s.pass(5 * time.Minute)
		assert.Equal(s, "unhealthy", s.status("/health/database"))
		assert.Equal(s, health.Cause("too_many_connections"), s.at.DatabaseServer.Probe(s.Context()).Cause)
		s.restart()
		s.pass(2 * time.Minute)
		assert.Equal(s, "healthy", s.status("/health/database"))
		assert.False(s, s.there(world.ConnectionStorm))
		assert.True(s, s.w.Truth().Served)
	})
}

func TestBlockedQueries(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.BlockedQueries, "")
		s.pass(4 * time.Minute)
		r := s.at.DatabaseServer.Probe(s.Context())
		assert.Equal(s, health.Degraded, r.Status)
		m, _ := r.Measurement("longest_blocked")
		assert.Greater(s, m.Value, 60.0)
		assert.Greater(s, s.p95(), 0.4)
		s.restart()
		r = s.at.DatabaseServer.Probe(s.Context())
		assert.Equal(s, health.Healthy, r.Status)
		m, measured := r.Measurement("longest_blocked")
		assert.True(s, measured, "that none waits is measured too")
		assert.Zero(s, m.Value)
		assert.False(s, s.there(world.BlockedQueries))
	})
}

func TestDiskFilling(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.DiskFilling, "")
		s.pass(time.Hour)
		assert.Equal(s, health.Cause("disk_full"), s.at.DatabaseServer.Probe(s.Context()).Cause)
		assert.Equal(s, "unhealthy", s.status("/health/database"))
		s.restart()
		assert.True(s, s.there(world.DiskFilling))
		require.NoError(s, s.w.Mend(world.DiskFilling))
		s.pass(time.Minute)
		assert.Equal(s, "healthy", s.status("/health/database"))
		assert.Equal(s, 1, s.acted("mended"))
	})
}

// A commit that is bad is bad again when it is deployed again.
func TestBadCommitComesBack(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.BadDeploy, "errors")
		s.pass(2 * time.Minute)
		s.rollback()
		assert.False(s, s.there(world.BadDeploy))
		list, err := s.app.Deployments(s.Context(), 10)
		require.NoError(s, err)
		_, err = s.app.Rollback(s.Context(), list[1]) // to the bad one
		require.NoError(s, err)
		s.pass(2 * time.Minute)
		assert.True(s, s.there(world.BadDeploy))
		code, _ := s.get("/health")
		assert.Equal(s, 500, code)
		require.NoError(s, s.w.Mend(world.BadDeploy))
		assert.Equal(s, "healthy", s.status("/health"))
	})
}

// Two faults that both are of Canvas do not end each other.
func TestTwoOfCanvas(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		require.NoError(s, s.w.Inject(world.Fault{Kind: world.CanvasMaintenance, For: time.Hour}))
		s.pass(10 * time.Minute)
		require.NoError(s, s.w.Inject(world.Fault{Kind: world.CanvasDown, For: 20 * time.Minute}))
		s.pass(30 * time.Minute)
		assert.False(s, s.there(world.CanvasDown))
		assert.Equal(s, health.Maintenance, s.at.StatusPage.Probe(s.Context()).Status)
		assert.Equal(s, "maintenance", s.status("/health/canvas?instance=prod"))
		s.pass(30 * time.Minute)
		assert.Equal(s, health.Healthy, s.at.StatusPage.Probe(s.Context()).Status)
		assert.Equal(s, "healthy", s.status("/health/canvas?instance=prod"))
	})
}

// Where Canvas is the bottleneck, fewer requests help, and more workers make it worse.
func TestCanvasThrottled(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.CanvasThrottled, "")
		s.pass(10 * time.Minute)
		slow, rejected := s.p95(), s.limit("throttled_last_minute")
		assert.Positive(s, rejected)
		assert.Less(s, s.limit("canvas_remaining"), 50.0)
		assert.Equal(s, "degraded", s.status("/health/canvas?instance=prod"))
		client, err := canvas.New(s.at.Canvas)
		require.NoError(s, err)
		instance, err := canvasprobe.New(canvasprobe.Config{Canvas: s.at.Canvas})
		require.NoError(s, err)
		assert.Equal(s, health.Degraded, instance.Quota().Probe(s.Context()).Status, "the token is the same")
		_ = client
		s.set("ASYNC_WORKERS", "8")
		s.pass(5 * time.Minute)
		assert.Greater(s, s.p95(), 1.5*slow, "more workers press Canvas harder")
		assert.Greater(s, s.limit("throttled_last_minute"), rejected)
		s.set("ASYNC_WORKERS", "4")
		s.set("CANVAS_RATE_LIMIT_PER_MINUTE", "120")
		s.pass(10 * time.Minute)
		assert.Zero(s, s.limit("throttled_last_minute"))
		assert.Less(s, s.p95(), slow)
		assert.True(s, s.there(world.CanvasThrottled), "its cause is still there")
		s.pass(90 * time.Minute)
		assert.False(s, s.there(world.CanvasThrottled))
	})
}

// Where workers are short, more of them help.
func TestOverload(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.Overload, "")
		s.pass(15 * time.Minute)
		slow := s.p95()
		assert.Greater(s, slow, 5.0)
		assert.Zero(s, s.limit("throttled_last_minute"))
		s.restart()
		s.pass(3 * time.Minute)
		assert.Greater(s, s.p95(), 0.8*slow, "a restart gives no workers")
		_, err := s.app.SetVariables(s.Context(), incident.VariableBatch{Set: map[string]runbook.Secret{"ASYNC_WORKERS": runbook.NewSecret("8")}})
		require.NoError(s, err)
		s.restart()
		s.pass(3 * time.Minute)
		assert.Greater(s, s.p95(), 0.8*slow, "a restart applies no variable")
		s.redeploy()
		s.pass(3 * time.Minute)
		assert.Less(s, s.p95(), 2.0)
		assert.True(s, s.there(world.Overload))
	})
}

func TestCanvasAway(t *testing.T) {
	for kind, status := range map[string]string{world.CanvasDown: "unhealthy", world.CanvasMaintenance: "maintenance"} {
		t.Run(kind, func(t *testing.T) {
			rehearse(t, 2, func(s *site) {
				s.inject(kind, "")
				s.pass(12 * time.Minute)
				assert.Equal(s, status, s.status("/health/canvas?instance=prod"))
				assert.Equal(s, "healthy", s.status("/health"), "the application itself is well")
				instance, err := canvasprobe.New(canvasprobe.Config{Canvas: s.at.Canvas, StatusPage: s.at.StatusPage})
				require.NoError(s, err)
				assert.False(s, instance.Up().Probe(s.Context()).Status.OK())
				assert.NotEqual(s, health.Healthy, s.at.StatusPage.Probe(s.Context()).Status, "its makers say so")
				assert.False(s, s.at.Login.Probe(s.Context()).Status.OK())
				s.restart()
				assert.True(s, s.there(kind), "a restart of ours does not mend Canvas")
				assert.False(s, s.w.Truth().Served)
				s.set("CANVAS_MAINTENANCE_MODE", "true")
				s.pass(time.Minute)
				assert.Equal(s, "maintenance", s.status("/health"))
				assert.True(s, s.w.Truth().Served, "users are told")
				s.set("CANVAS_MAINTENANCE_MODE", "false")
				s.pass(90 * time.Minute)
				assert.False(s, s.there(kind))
				assert.Equal(s, health.Healthy, instance.Up().Probe(s.Context()).Status)
				assert.True(s, s.at.Login.Probe(s.Context()).Status.OK())
			})
		})
	}
}

func TestRailwayIncident(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.RailwayIncident, "")
		s.pass(2 * time.Minute)
		code, _ := s.get("/health")
		assert.Contains(s, []int{0, 502}, code)
		client, err := railway.New(s.at.Railway)
		require.NoError(s, err)
		assert.Equal(s, health.Unhealthy, client.PlatformProber().Probe(s.Context()).Status)
		s.restart()
		assert.True(s, s.there(world.RailwayIncident))
		s.pass(45 * time.Minute)
		assert.Equal(s, "healthy", s.status("/health"))
		assert.Equal(s, health.Healthy, client.PlatformProber().Probe(s.Context()).Status)
	})
}

func TestLaunchesRefused(t *testing.T) {
	for _, tt := range []struct {
		kind    string
		launch  bool // works
		restart bool // mends it
	}{{world.KeyRevoked, false, false}, {world.KeysRotated, false, true}, {world.KeyExpired, true, false}, {world.ClockSkew, false, false}} {
		t.Run(tt.kind, func(t *testing.T) {
			rehearse(t, 1, func(s *site) {
				require.True(s, s.at.Login.Probe(s.Context()).Status.OK())
				s.inject(tt.kind, "")
				s.pass(time.Minute)
				assert.Equal(s, tt.launch, s.at.Login.Probe(s.Context()).Status.OK())
				assert.Equal(s, "healthy", s.status("/health"))
				s.restart()
				assert.Equal(s, !tt.restart, s.there(tt.kind))
				switch tt.kind {
				case world.KeyRevoked:
					client, err := canvas.New(s.at.Canvas)
					require.NoError(s, err)
					keys, err := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: client, Production: true})
					require.NoError(s, err)
					k, err := keys.PlatformKey(s.Context(), s.at.Key)
					require.NoError(s, err)
					assert.False(s, k.On)
					_, err = keys.SetPlatformKey(s.Context(), s.at.Key, true)
					require.NoError(s, err)
					assert.Equal(s, 1, s.acted("key-on"))
				case world.KeyExpired:
					assert.Equal(s, "unhealthy", s.status("/health/canvas?instance=prod"))
					r := s.at.Rotations[0]
					require.NoError(s, r.Begin(s.Context()))
					require.Error(s, r.Prove(s.Context()), "it is not deployed")
					s.redeploy()
					s.pass(time.Minute)
					require.NoError(s, r.Prove(s.Context()))
					require.NoError(s, r.End(s.Context()))
				case world.ClockSkew:
					s.redeploy() // on another machine
				}
				s.pass(time.Minute)
				assert.False(s, s.there(tt.kind))
				assert.True(s, s.at.Login.Probe(s.Context()).Status.OK(), "%v", s.at.Login.Probe(s.Context()))
				assert.Equal(s, "healthy", s.status("/health/canvas?instance=prod"))
			})
		})
	}
}

// A leak comes back after a restart; the commit before has none.
func TestMemoryLeak(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.MemoryLeak, "")
		s.pass(30 * time.Minute)
		high := s.number("memory_usage_percent")
		assert.Greater(s, high, 70.0)
		s.restart()
		assert.Less(s, s.number("memory_usage_percent"), 50.0)
		assert.True(s, s.there(world.MemoryLeak))
		s.pass(30 * time.Minute)
		assert.Greater(s, s.number("memory_usage_percent"), 70.0, "it comes back")
		s.set("MEMORY_LIMIT_MB", "1024")
		s.pass(10 * time.Minute)
		assert.Less(s, s.number("memory_usage_percent"), 40.0)
		s.set("MEMORY_LIMIT_MB", "512")
		s.pass(2 * time.Hour)
		assert.True(s, s.logged("Out of memory"))
		assert.NotEmpty(s, s.w.Truth().Unserved)
		s.rollback()
		s.pass(time.Hour)
		assert.False(s, s.there(world.MemoryLeak))
		assert.Less(s, s.number("memory_usage_percent"), 50.0)
	})
}

func TestSlowTasks(t *testing.T) {
	for variant, helps := range map[string][2]string{"batch": {"BATCH_SIZE", "25"}, "parallel": {"PARALLEL_PROCESSING_LIMIT", "3"}, "progress": {"PROGRESS_UPDATE_INTERVAL", "5"}, "content": {}} {
		t.Run(variant, func(t *testing.T) {
			rehearse(t, 1, func(s *site) {
				s.inject(world.SlowTasks, variant)
				s.pass(15 * time.Minute)
				assert.Greater(s, s.number("task_duration_seconds", "p95"), 300.0)
				assert.True(s, s.w.Truth().Served)
				for name, value := range map[string]string{"BATCH_SIZE": "25", "PARALLEL_PROCESSING_LIMIT": "3", "PROGRESS_UPDATE_INTERVAL": "5"} {
					before := s.w.Truth().Variables[name]
					s.set(name, value)
					s.pass(10 * time.Minute)
					assert.Equal(s, name == helps[0], s.number("task_duration_seconds", "p95") < 150, "%s: %f", name, s.number("task_duration_seconds", "p95"))
					s.set(name, before)
					s.pass(10 * time.Minute)
				}
			})
		})
	}
}

func TestErrorBurst(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.ErrorBurst, "")
		s.pass(5 * time.Minute)
		assert.Greater(s, s.number("recent_errors")/s.number("recent_requests"), 0.05)
		assert.True(s, s.logged("ERROR"))
		s.pass(25 * time.Minute)
		assert.False(s, s.there(world.ErrorBurst))
		assert.Less(s, s.number("recent_errors"), 5.0)
	})
}

func TestStaleBackup(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		db := s.service(s.at.Database)
		list, err := db.Backups(s.Context())
		require.NoError(s, err)
		assert.Less(s, time.Since(list[0].Created), 26*time.Hour)
		s.inject(world.StaleBackup, "")
		s.pass(time.Minute)
		list, err = db.Backups(s.Context())
		require.NoError(s, err)
		require.NotEmpty(s, list)
		assert.Greater(s, time.Since(list[0].Created), 26*time.Hour)
		assert.Empty(s, s.w.Acts(), "who is rehearsed did not do that")
		_, err = db.CreateBackup(s.Context(), "now")
		require.NoError(s, err)
		assert.False(s, s.there(world.StaleBackup))
		assert.Equal(s, 1, s.acted("backup"))
	})
}

// What leaked works until nothing takes it any more.
func TestLeakedCredential(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.LeakedCredential, "")
		s.pass(time.Minute)
		_, body := s.get("/health/security-metrics")
		assert.Greater(s, body["failed_logins_last_hour"], 50.0)
		assert.True(s, s.logged("suspicious"))
		vars, err := s.app.Variables(s.Context())
		require.NoError(s, err)
		_, err = s.app.SetVariables(s.Context(), incident.VariableBatch{Set: map[string]runbook.Secret{"SECRET_KEY": runbook.NewSecret("another"), "SECRET_KEY_PREVIOUS": vars.Values["SECRET_KEY"]}})
		require.NoError(s, err)
		s.redeploy()
		s.pass(time.Minute)
		assert.True(s, s.w.Truth().SecretValid, "the old one is still taken")
		assert.Equal(s, 1, s.acted("begin"))
		assert.Zero(s, s.acted("prove"))
		proof, err := s.app.ProveVariables(s.Context(), incident.PendingVariables{Names: []string{"SECRET_KEY", "SECRET_KEY_PREVIOUS"}})
		require.NoError(s, err)
		assert.True(s, proof.Proven())
		assert.Equal(s, 1, s.acted("prove"))
		assert.Greater(s, s.number("active_sessions"), 30.0, "sessions go on")
		_, err = s.app.SetVariables(s.Context(), incident.VariableBatch{Delete: []string{"SECRET_KEY_PREVIOUS"}})
		require.NoError(s, err)
		assert.True(s, s.w.Truth().SecretValid, "what runs has it still")
		s.redeploy()
		s.pass(time.Minute)
		assert.False(s, s.w.Truth().SecretValid)
		assert.False(s, s.there(world.LeakedCredential))
		assert.Equal(s, 1, s.acted("end"))
		for _, a := range s.w.Acts() {
			assert.NotContains(s, a.Detail, "another")
		}
	})
}

func TestAnswerLost(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.BadDeploy, "")
		s.inject(world.AnswerLost, "")
		s.pass(2 * time.Minute)
		s.rollback() // the client finds out that it was done
		assert.Equal(s, 1, s.acted("rollback"))
		assert.Empty(s, s.w.Truth().Causes)
	})
}

func TestWebsocketProxy(t *testing.T) {
	for _, variant := range []string{"edge", "hub"} {
		t.Run(variant, func(t *testing.T) {
			rehearse(t, 1, func(s *site) {
				assert.Equal(s, "hello", s.echo("hello"))
				s.inject(world.WebsocketProxy, variant)
				assert.Empty(s, s.echo("hello"))
				assert.Equal(s, "healthy", s.status("/health"))
				s.restart()
				assert.Equal(s, variant == "edge", s.there(world.WebsocketProxy))
				s.pass(time.Hour)
				assert.Equal(s, "hello", s.echo("hello"))
			})
		})
	}
}

func TestRedisDown(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		s.inject(world.RedisDown, "")
		s.pass(time.Minute)
		assert.Equal(s, "degraded", s.status("/health"))
		assert.Equal(s, health.Unhealthy, s.at.Redis.Probe(s.Context()).Status)
		s.pass(30 * time.Minute)
		assert.Equal(s, "healthy", s.status("/health"))
	})
}

// The same seed gives the same world, whoever looks when; another seed gives another one.
func TestSeed(t *testing.T) {
	figures := func(seed uint64, look time.Duration) (out []float64) {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(82 * time.Hour)
			w, err := world.New(world.Config{Seed: seed})
			require.NoError(t, err)
			defer w.Close()
			s := &site{T: t, w: w, at: w.Connections()[2]}
			require.NoError(t, w.Inject(world.Fault{Kind: world.MemoryLeak}))
			for range 3 {
				for range time.Hour / look {
					time.Sleep(look)
					w.Truth()
				}
				out = append(out, s.number("memory_usage_mb"), s.number("requests_total"))
			}
		})
		return out
	}
	first := figures(1, 10*time.Minute)
	assert.Equal(t, first, figures(1, 10*time.Minute))
	assert.InDeltaSlice(t, first, figures(1, time.Minute), 0.2)
	assert.NotEqual(t, first, figures(2, 10*time.Minute))
}

func TestMistakes(t *testing.T) {
	rehearse(t, 1, func(s *site) {
		assert.ErrorContains(s, s.w.Inject(world.Fault{Kind: "flood"}), `there is no kind of fault "flood"`)
		assert.ErrorContains(s, s.w.Inject(world.Fault{Kind: world.BadDeploy, Param: map[string]string{"variant": "x"}}), "has no parameter variant=x")
		assert.ErrorContains(s, s.w.Mend(world.BadDeploy), "there is no bad-deploy to be mended")
		s.inject(world.Overload, "")
		assert.ErrorContains(s, s.w.Inject(world.Fault{Kind: world.Overload}), "is there already")
		assert.Empty(s, s.w.Acts())
	})
}

// Every kind begins, is over when it is mended, and then all is well.
func TestEveryKindIsMended(t *testing.T) {
	for _, kind := range world.Kinds() {
		t.Run(kind, func(t *testing.T) {
			rehearse(t, 5, func(s *site) {
				s.inject(kind, "")
				s.pass(3 * time.Minute)
				require.True(s, s.there(kind))
				require.NoError(s, s.w.Mend(kind))
				s.pass(15 * time.Minute)
				assert.Empty(s, s.w.Truth().Causes)
				assert.True(s, s.w.Truth().Served, "%+v", s.w.Truth())
				assert.Equal(s, "healthy", s.status("/health"))
				assert.Equal(s, "healthy", s.status("/health/canvas?instance=prod"))
				assert.True(s, s.at.Login.Probe(s.Context()).Status.OK())
				assert.Equal(s, health.Healthy, s.at.DatabaseServer.Probe(s.Context()).Status)
			})
		})
	}
}
