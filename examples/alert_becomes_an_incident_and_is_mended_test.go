package examples_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// An alert that production is down opens an incident; the playbook that is bound to it
// starts by itself, since the policy of production lets it, finds that the last
// deployment is the cause, and rolls it back. When the alert is over the incident is too.
//
// Requirement: RB-PLAYBOOK-1-SYMPTOMS
func Example_alertBecomesAnIncidentAndIsMended() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	platform := new(incidenttest.Platform)
	platform.Deploy(incident.Deployment{Commit: "1111111", Status: incident.DeploymentSucceeded, CanRollback: true})
	platform.Deploy(incident.Deployment{Commit: "bad0bad", Status: incident.DeploymentSucceeded, CanRollback: true})
	production := playbooks.Environment{
		Name: "production", Deployer: platform, Freezer: platform, Defaults: playbooks.Defaults{Times: 1, Settle: time.Millisecond},
		Probes: playbooks.Probes{Application: health.ProberFunc(func(ctx context.Context) health.Result {
			list, err := platform.Deployments(ctx, 1)
			if err != nil || list[0].Commit == "bad0bad" {
				return health.Result{Status: health.Unhealthy, Message: "it answers 502"}
			}
			return health.Result{Status: health.Healthy}
		})},
	}
	host, err := newHost(ctx, production)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer host.stop(context.WithoutCancel(ctx))

	down := alert.Alert{
		Rule: "health_check", Environment: "production", Entity: "app", Severity: alert.Critical, State: alert.Firing,
		Key:     alert.Key("health_check", "production", "app", alert.Failing),
		Summary: "app has failed 3 checks in a row", Began: time.Now(), Fired: time.Now(),
	}
	if err := host.router.Handle(ctx, down); err != nil {
		fmt.Println(err)
		return
	}
	opened := <-host.opened
	for run, err := range host.runner.Runs(ctx, incident.RunQuery{Labels: map[string]string{"incident": opened.ID}}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for run, err := range host.runner.Follow(ctx, run.ID) {
			if run.State == incident.StateSucceeded || err != nil {
				fmt.Println(run.Text, err, string(run.Step("decide").Output))
			}
		}
	}
	fmt.Println(platform.Effects())
	down.State, down.Ended = alert.Resolved, time.Now()
	if err := host.router.Handle(ctx, down); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println((<-host.closed).State)
	// Output:
	// succeeded <nil> {"action":"roll back","why":"commit bad0bad was deployed less than 4h0m0s ago, and commit 1111111 worked before it"}
	// [SetDeployFreeze true Rollback d3]
	// resolved
}

// host is what a program has to construct for this.
type host struct {
	router         *alert.Router
	runner         *incident.Runner
	runs           *incident.MemoryRuns
	opened, closed chan incident.Incident
}

func newHost(ctx context.Context, production playbooks.Environment) (*host, error) {
	h := &host{runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), opened: make(chan incident.Incident, 1), closed: make(chan incident.Incident, 1)}
	store := new(incident.MemoryStore)
	automation, err := incident.NewAutomation(incident.AutomationConfig{Store: store, Policies: []incident.AutomationPolicy{{Environment: "production", Mode: incident.Act}}})
	if err != nil {
		return nil, err
	}
	h.runner, err = incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{playbooks.ApplicationDown(production)}, Runs: h.runs, Store: store, Permit: automation.Permit,
	})
	if err != nil {
		return nil, err
	}
	manager, err := incident.NewManager(incident.ManagerConfig{
		Store: store, AutoResolve: true,
		Bindings: []incident.Binding{{Name: "down", Match: alert.Matcher{Labels: map[string]string{"rule": "health_check"}}, Playbook: "application-down", Automatic: true}},
		Hooks: incident.ManagerHooks{
			OnOpened: func(ctx context.Context, i incident.Incident, b incident.Binding) {
				if _, err := automation.Consider(ctx, h.runner, i, b.Automatic); err != nil {
					fmt.Println(err)
				}
				h.opened <- i
			},
			OnChanged: func(_ context.Context, i incident.Incident, _ []incident.Entry) {
				if i.State == incident.Resolved {
					h.closed <- i
				}
			},
		},
	})
	if err != nil {
		return nil, err
	}
	h.router, err = alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "incidents", Notifier: manager, RemindAfter: -1}},
		Routes:  []alert.Route{{Name: "all", Targets: []string{"incidents"}, Wait: -1}},
	})
	if err != nil {
		return nil, err
	}
	if err := h.runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: h.runner.Program()}); err != nil {
		return nil, err
	}
	return h, h.router.Start(ctx)
}

func (h *host) stop(ctx context.Context) {
	if err := h.router.Stop(ctx); err != nil {
		fmt.Println(err)
	}
	if err := h.runs.Close(ctx); err != nil {
		fmt.Println(err)
	}
}
