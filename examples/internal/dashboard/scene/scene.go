// Package scene is a night in which something is wrong, in memory: what the tests of the
// dashboard, and the program that shows it, look at. Nothing of it needs a network, and it
// works in a bubble of testing/synctest.
package scene

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A Scene is a host in memory.
type Scene struct {
	Platform    *incidenttest.Platform
	Store       *incidenttest.FailingStore
	Runs        *incident.MemoryRuns
	Runner      *incident.Runner
	Manager     *incident.Manager
	Automation  *incident.Automation
	Escalations *incident.Escalations
	Monitor     *health.Monitor
	Replicas    *Replicas

	mu     sync.Mutex
	target string
	called []string
}

// New makes a scene, and launches its runs. Pace is how long each slow step takes.
func New(ctx context.Context, pace time.Duration, logger *slog.Logger) (*Scene, error) {
	s := &Scene{
		Platform: new(incidenttest.Platform), Store: new(incidenttest.FailingStore), Runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}),
		Replicas: new(Replicas), target: "d1",
	}
	page := alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.called = append(s.called, n.Key)
		return "1", nil
	})
	var e1, e2, e3, e4, e5 error
	s.Escalations, e1 = incident.NewEscalations(incident.EscalationsConfig{
		Runs: s.Runs, Channels: map[string]alert.Notifier{"operations-phone": page, "manager-phone": page}, Logger: logger,
		Policies: []incident.EscalationPolicy{{Name: "all", Levels: []incident.EscalationLevel{
			{Name: "Operations", Targets: []incident.EscalationTarget{{Channel: "operations-phone"}}},
			{Name: "Management", After: 15 * time.Minute, Targets: []incident.EscalationTarget{{Channel: "manager-phone"}}},
		}}},
		Hooks: incident.EscalationHooksOf(func() *incident.Manager { return s.Manager }),
	})
	s.Manager, e2 = incident.NewManager(incident.ManagerConfig{Store: s.Store, Escalator: s.Escalations, SLAs: incident.DefaultSLAs(nil), Logger: logger})
	s.Automation, e3 = incident.NewAutomation(incident.AutomationConfig{Store: s.Store, Policies: []incident.AutomationPolicy{{Environment: "production", Mode: incident.Act}}})
	if err := errors.Join(e1, e2, e3); err != nil {
		return nil, err
	}
	s.Runner, e4 = incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{s.rollback(), s.look(pace), s.byHand(), s.fails()}, Runs: s.Runs, Store: s.Store, Logger: logger,
		Permit: s.Automation.Permit,
	})
	s.Monitor, e5 = health.New(health.Config{Checks: checks(), Logger: logger})
	if err := errors.Join(e4, e5); err != nil {
		return nil, err
	}
	return s, s.Runs.Launch(ctx, map[string]incident.Program{
		incident.PlaybookProgram: s.Runner.Program(), incident.EscalationProgram: s.Escalations.Program(),
	})
}

// Close ends the runs and the checks.
func (s *Scene) Close(ctx context.Context) error {
	return errors.Join(s.Runs.Close(ctx), s.Monitor.Stop(ctx))
}

// Target makes the rollback go to another deployment, so that its plan is another one.
func (s *Scene) Target(deployment string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.target = deployment
}

func (s *Scene) to() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.target
}

// Called returns who was called, by the keys of the messages.
func (s *Scene) Called() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.called...)
}

func check(f func(ctx context.Context, s *incident.Scope) (any, error)) incident.Check {
	return incident.Check{Run: f}
}

// rollback looks, asks with a bound plan, acts, and verifies.
func (s *Scene) rollback() incident.Playbook {
	return incident.Playbook{
		Name: "application-down", Environment: "production", Title: "Application down", About: "Roll back the last deployment when the application is down since.",
		Severity: alert.Critical, Escalation: "call the operations manager",
		Phases:     []incident.Phase{{Name: "Immediate assessment", Budget: 10 * time.Minute}, {Name: "Recovery", Budget: 20 * time.Minute}},
		Parameters: []incident.Parameter{{Name: "why", About: "what was seen", Optional: true}},
		Steps: []incident.Step{
			{ID: "look", Title: "Look at the application", Phase: "Immediate assessment", Do: incident.Parallel{Steps: []incident.Step{
				{ID: "health", Title: "Ask for its health", Do: check(func(context.Context, *incident.Scope) (any, error) {
					return map[string]any{"status": 502, "failures_in_a_row": 6, "first": "02:51"}, nil
				})},
				{ID: "deployments", Title: "Read the deployments", Do: check(func(ctx context.Context, _ *incident.Scope) (any, error) {
					return map[string]any{"current": "d2", "commit": "9f1c2e7 Use more workers", "deployed": "02:49", "by": "push to main"}, nil
				})},
			}}},
			{ID: "gate", Title: "Roll production back?", Phase: "Recovery", Do: incident.Approve{
				Question: func(*incident.Scope) string {
					return "The application answers with 502 since 02:51, two minutes after deployment d2 (9f1c2e7 “Use more workers”). Database and Canvas are well."
				},
				Bound: true,
			}},
			{ID: "act", Title: "Roll back", Phase: "Recovery", Do: incident.Action{
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{
						Call:     "roll back service app in production to deployment " + s.to() + " (commit 4b7d0aa “Faster reports”)",
						Changes:  []string{"the commit that runs: 9f1c2e7 becomes 4b7d0aa", "the variable ASYNC_WORKERS: 16 becomes 8"},
						Destroys: []string{"QA tasks that run now: 3 of them begin again"},
						Undo:     "deploy commit 9f1c2e7 again",
					}, nil
				},
				Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
					if _, err := s.Platform.SetScale(ctx, incident.Scale{Regions: []incident.RegionScale{{Region: "sydney", Replicas: 2}}}); err != nil {
						return nil, err
					}
					return map[string]string{"deployment": s.to()}, nil
				},
			}},
			{ID: "verify", Title: "Verify that it answers", Phase: "Recovery", Do: incident.Verify{Every: time.Second, Within: time.Minute, Run: func(context.Context, *incident.Scope) (any, error) {
				return map[string]int{"status": 200}, nil
			}}},
		},
	}
}

// look is a run that takes its time, for following.
func (s *Scene) look(pace time.Duration) incident.Playbook {
	slow := func(found any) incident.Check {
		return check(func(ctx context.Context, scope *incident.Scope) (any, error) {
			for i := range 4 {
				scope.Progress("looked at %d of 4", i)
				select {
				case <-time.After(pace / 4):
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			}
			return found, nil
		})
	}
	steps := []incident.Step{}
	for i, name := range []string{"Application", "Database", "Canvas", "Signing in", "A QA task", "Backups"} {
		steps = append(steps, incident.Step{ID: fmt.Sprintf("s%d", i+1), Title: name, Do: slow(map[string]string{"found": "well"})})
	}
	return incident.Playbook{Name: "comprehensive-check", Environment: "test", Title: "Comprehensive check", Severity: alert.Low, Steps: steps}
}

// byHand is a run of which a person does a step.
func (s *Scene) byHand() incident.Playbook {
	return incident.Playbook{
		Name: "canvas-maintenance", Environment: "beta", Title: "Canvas maintenance", Severity: alert.Medium,
		Steps: []incident.Step{{ID: "by-hand", Title: "Ask the Canvas administrator", Do: incident.Manual{
			Why: "there is no API for it", Instruction: func(*incident.Scope) string { return "Ask whether the maintenance window is still on." },
		}}},
	}
}

// fails is a run whose action fails, so that a person is asked what to do.
func (s *Scene) fails() incident.Playbook {
	return incident.Playbook{
		Name: "restart", Environment: "beta", Title: "Restart the application", Severity: alert.Medium,
		Steps: []incident.Step{
			{ID: "look", Title: "Look at it", Do: check(func(context.Context, *incident.Scope) (any, error) { return "it hangs", nil })},
			{ID: "act", Title: "Restart it", Do: incident.Action{
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{Call: "restart service app in beta"}, nil
				},
				Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
					if _, err := s.Platform.SetScale(ctx, incident.Scale{Regions: []incident.RegionScale{{Region: "sydney", Replicas: 1}}}); err != nil {
						return nil, err
					}
					return "restarted", nil
				},
			}},
		},
	}
}

// checks are those of three environments, of which some fail.
func checks() []health.Check {
	var all []health.Check
	add := func(environment, name string, r health.Result) {
		all = append(all, health.Check{
			Name: environment + "/" + name, Labels: map[string]string{"environment": environment}, Interval: 30 * time.Second,
			Prober: health.ProberFunc(func(context.Context) health.Result { return r }),
		})
	}
	for _, environment := range []string{"production", "beta", "test"} {
		for _, name := range []string{"application", "database", "canvas", "launch", "keys"} {
			r := health.Result{Status: health.Healthy}
			if environment == "production" && name == "application" {
				r = health.Result{Status: health.Unhealthy, Cause: health.CauseStatus, Message: "GET https://qa-automation.example.edu/health answered 502, and not 200"}
			}
			if environment == "beta" && name == "canvas" {
				r = health.Result{Status: health.Degraded, Cause: health.CauseSlow, Message: "it took 4.1 s, and not less than 3 s"}
			}
			add(environment, name, r)
		}
	}
	return all
}

// Replicas are two processes, of which one hangs when it is told to.
type Replicas struct {
	mu    sync.Mutex
	hangs bool
	taken []string
	err   error
}

// Hang makes one of the processes hang.
func (r *Replicas) Hang() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hangs = true
}

// Fail makes the list fail from now on.
func (r *Replicas) Fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

// Taken returns the processes whose runs were taken over, with who did it.
func (r *Replicas) Taken() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.taken...)
}

// Replicas implements [incident.Replicas].
func (r *Replicas) Replicas(context.Context) ([]incident.Replica, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	state, seen := "alive", time.Now()
	if r.hangs {
		state, seen = "hung", time.Now().Add(-2*time.Minute)
	}
	return []incident.Replica{
		{Process: "opsd-1", Host: "one", Version: "1", State: "alive", Started: time.Now().Add(-time.Hour), Seen: time.Now()},
		{Process: "opsd-2", Host: "two", Version: "1", State: state, Started: time.Now().Add(-time.Hour), Seen: seen, Runs: []string{"run-7"}},
	}, nil
}

// TakeOver implements [incident.Replicas].
func (r *Replicas) TakeOver(_ context.Context, process string, c incident.Control) ([]incident.RunRecord, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if process != "opsd-2" || !r.hangs {
		return nil, fmt.Errorf("it lives: %w", incident.ErrStale)
	}
	r.hangs, r.taken = false, append(r.taken, process+" by "+c.By)
	return nil, nil
}

// People are who works with the host in tests, by what they are called there.
func People() map[string]httpapi.Actor {
	return map[string]httpapi.Actor{
		"ana":   {Name: "Ana Silva", Roles: []string{"administrator"}, Cookie: true},
		"ben":   {Name: "Ben Okafor", Roles: []string{"operator"}, Cookie: true},
		"chloe": {Name: "Chloe Nguyen", Roles: []string{"approver"}, Cookie: true},
		"val":   {Name: "Val", Roles: []string{"viewer"}, Cookie: true},
	}
}

// Begin opens incidents and starts runs as in a bad night: the rollback waits for approval.
func (s *Scene) Begin(ctx context.Context) (inc incident.Incident, run incident.Run, err error) {
	inc, e1 := s.Manager.Open(ctx, incident.Opening{
		By: "alerts", Title: "The application does not answer", Summary: "GET /health answered 502 six times in a row.", Environment: "production",
		Severity: alert.Critical, Triggered: time.Now().Add(-12 * time.Minute), Playbook: "application-down",
	})
	run, e2 := s.Runner.Start(ctx, incident.Request{ID: "run-rollback", Environment: "production", Playbook: "application-down", Incident: inc.ID, By: "Ben Okafor"})
	_, e3 := s.Manager.AttachRun(ctx, inc.ID, run.ID, "Ben Okafor")
	return inc, run, errors.Join(e1, e2, e3)
}
