package host_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
)

// Every rule names a playbook, and is bound to it where it can be carried out.
func TestEveryRuleIsBound(t *testing.T) {
	onStage(t, observing, func(s *stage) {
		all := host.EveryPlaybook()
		bindings := s.host.Bindings()
		bound := make(map[string]bool)
		for _, b := range bindings {
			if b.Playbook == "" {
				assert.ErrorContains(s, s.host.Lacks(), "playbook", "binding %s has no playbook", b.Name)
				continue
			}
			bound[b.Playbook] = true
			_, err := s.host.Runner().Playbook(b.Match.Environments[0], b.Playbook)
			assert.NoError(s, err, "binding %s", b.Name)
		}
		for _, r := range host.Rules() {
			assert.Contains(s, all, r.Playbook, "rule %s", r.Name)
			assert.True(s, bound[r.Playbook], "rule %s: nothing is bound to %s", r.Name, r.Playbook)
			a := alert.Alert{Rule: r.Name, Environment: "production", Entity: "production/x", Severity: r.Severity, Labels: r.Labels}
			i := slices.IndexFunc(bindings, func(b incident.Binding) bool { return b.Match.Matches(a) })
			require.GreaterOrEqual(s, i, 0, "rule %s", r.Name)
			assert.Equal(s, r.Playbook, bindings[i].Playbook, "rule %s", r.Name)
		}
	})
}

// Each rule fires on what it is for, and opens the incident that it is bound to.
func TestEachRuleFires(t *testing.T) {
	t.Parallel()
	for i, r := range host.Rules() {
		if race && i%8 != 0 {
			continue
		}
		t.Run(r.Name, func(t *testing.T) {
			change := func(cfg *host.Config) {
				observing(cfg)
				cfg.Connections = cfg.Connections[2:] // production
				if r.Name == "heartbeat" {
					cfg.Beat, cfg.Workers = 15*time.Minute, map[string][]string{"production": {"production/extra"}}
				}
			}
			onStage(t, change, func(s *stage) {
				defer s.story()
				f, err := s.host.Engine().Feed(alert.Source{Input: r.Input, Environment: "production", Entity: "production/extra"}, nil)
				require.NoError(s, err)
				for range 20 {
					switch when := r.When.(type) {
					case alert.Failures:
						f.Result(true, "it does not work")
					case alert.Above:
						f.Observe(when.Limit + 1)
					case alert.Below:
						f.Observe(when.Limit - 1)
					case alert.Silent: // it says nothing
						time.Sleep(3 * time.Minute)
					default:
						s.Fatalf("a %T is not fed here", when)
					}
					time.Sleep(15 * time.Second)
				}
				inc, ok := s.of(r.Playbook)
				require.True(s, ok, "there is no incident")
				assert.Equal(s, []string{alert.Key(r.Name, "production", "production/extra", alert.Failing)}, []string{inc.Alerts[0].Key})
				assert.Contains(s, s.timeline(inc.ID), "would start "+r.Playbook)
			})
		})
	}
}

// Faults of the world are seen, as what they are, within a quarter of an hour and what it
// takes them to show.
//
// Requirement: RB-ALERT-DATABASE, RB-ALERT-ERROR-RATE, RB-ALERT-MEMORY
func TestFaultsAreSeen(t *testing.T) {
	t.Parallel()
	for i, c := range []struct {
		fault, variant, playbook string
		within                   time.Duration
	}{
		{world.BadDeploy, "", "application-down", 2 * time.Minute},
		{world.CrashLoop, "", "application-down", 5 * time.Minute},
		{world.DatabaseDown, "", "database-issues", 4 * time.Minute},
		{world.ConnectionStorm, "", "database-issues", 30 * time.Minute},
		{world.BlockedQueries, "", "database-issues", 10 * time.Minute},
		{world.DiskFilling, "", "database-issues", 2 * time.Hour},
		{world.CanvasThrottled, "", "canvas-rate-limiting", 20 * time.Minute},
		{world.CanvasMaintenance, "", "canvas-maintenance", 20 * time.Minute},
		{world.CanvasDown, "", "canvas-maintenance", 5 * time.Minute},
		{world.KeyRevoked, "", "canvas-authentication", 6 * time.Minute},
		{world.KeysRotated, "", "canvas-authentication", 10 * time.Minute},
		{world.KeyExpired, "", "canvas-authentication", 10 * time.Minute},
		{world.ClockSkew, "", "canvas-authentication", 10 * time.Minute},
		{world.MemoryLeak, "", "high-memory", 3 * time.Hour},
		{world.SlowTasks, "batch", "slow-qa-tasks", time.Hour},
		{world.Overload, "", "performance-degradation", 30 * time.Minute},
		{world.ErrorBurst, "", "performance-degradation", 15 * time.Minute},
		{world.StaleBackup, "", "backup-verification", 30 * time.Hour},
		{world.LeakedCredential, "", "suspected-breach", 15 * time.Minute},
		{world.WebsocketProxy, "edge", "websocket-failures", 5 * time.Minute},
		{world.RedisDown, "", "comprehensive-check", 5 * time.Minute},
		{world.RailwayIncident, "", "application-down", 5 * time.Minute},
	} {
		if race && i%5 != 0 {
			continue
		}
		t.Run(c.fault, func(t *testing.T) {
			change := func(cfg *host.Config) {
				observing(cfg)
				cfg.Connections = cfg.Connections[2:] // production
			}
			onStage(t, change, func(s *stage) {
				defer s.story()
				require.Empty(s, s.incidents(), "all was well")
				began := time.Now()
				f := world.Fault{Kind: c.fault}
				if c.variant != "" {
					f.Param = map[string]string{"variant": c.variant}
				}
				require.NoError(s, s.world.Inject(f))
				for time.Since(began) < c.within {
					time.Sleep(30 * time.Second)
					if _, ok := s.of(c.playbook); ok {
						break
					}
				}
				_, ok := s.of(c.playbook)
				require.True(s, ok, "not seen within %s", c.within)
				s.Log("seen after", time.Since(began).Round(time.Second))
			})
		})
	}
}
