package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/slack"
)

// What the application may push, each under /ops/push/{input}/{entity}.
const (
	inputWorker = "worker"       // a heartbeat of each worker
	inputQueue  = "queue_length" // how many tasks wait
	inputTasks  = "tasks"        // tasks that ended: good and bad ones
)

// alerts judge what the application pushes, and tell people.
type alerts struct {
	engine *alert.Engine
	router *alert.Router
	push   http.Handler
}

// newAlerts returns alerts that do nothing before start. They are in memory:
// what fires is known again after a restart as soon as it is pushed, and what
// is silent only if WORKERS names it.
func newAlerts(s settings, logger *slog.Logger) (*alerts, error) {
	targets := []alert.Target{{Name: "log", Notifier: logging(logger)}}
	route := alert.Route{Name: "all", Targets: []string{"log"}, Wait: -1}
	var errs []error
	if !s.slack.IsZero() {
		notifier, err := slack.New(slack.Config{Webhook: s.slack})
		if err != nil {
			return nil, errors.New("sidecar: ALERT_SLACK_WEBHOOK must be the https address of an incoming webhook")
		}
		targets = append(targets, alert.Target{Name: "slack", Notifier: notifier, Fallback: "log"})
		route.Targets = append(route.Targets, "slack")
	}
	a := new(alerts)
	var err error
	a.router, err = alert.NewRouter(alert.RouterConfig{Targets: targets, Routes: []alert.Route{route}, Logger: logger})
	errs = append(errs, err)
	a.engine, err = alert.NewEngine(alert.EngineConfig{
		Inputs: []alert.Input{
			{Name: inputWorker, Kind: alert.Heartbeat},
			{Name: inputQueue, Kind: alert.Gauge},
			{Name: inputTasks, Kind: alert.Counter},
		},
		Rules: rules(s), Out: a.router, Logger: logger,
	})
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	for _, worker := range s.workers {
		_, err := a.engine.Feed(alert.Source{Input: inputWorker, Environment: s.environment, Entity: worker}, nil)
		errs = append(errs, err)
	}
	a.push, err = alert.NewPushHandler(alert.PushConfig{Engine: a.engine, Token: s.token, Environment: s.environment, MaxSources: 1000})
	return a, errors.Join(append(errs, err)...)
}

func rules(s settings) []alert.Rule {
	return []alert.Rule{
		{
			Name: "worker_silent", Input: inputWorker, When: alert.Silent{Period: s.silence}, Severity: alert.High,
			Summary: "worker {entity} is silent: it is dead, hangs, or cannot reach us",
		},
		{
			Name: "queue_long", Input: inputQueue, When: alert.Above{Limit: s.queue, Recover: s.queue / 2}, Severity: alert.Medium,
			Summary: "{value} tasks wait in {entity}",
		},
		{
			Name: "tasks_fail", Input: inputTasks, When: alert.Rate{Limit: 5, Window: 5 * time.Minute}, Severity: alert.High,
			Summary: "more than {limit} tasks of {entity} failed in five minutes",
		},
	}
}

// logging tells of alerts in the log, which whoever collects it can act on.
func logging(logger *slog.Logger) alert.Notifier {
	return alert.NotifierFunc(func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
		logger.WarnContext(ctx, "alert", "kind", n.Kind, "severity", n.Severity, "environment", n.Environment, "title", n.Title)
		return "", nil
	})
}

func (a *alerts) start(ctx context.Context) error {
	if err := a.router.Start(ctx); err != nil {
		return err
	}
	return a.engine.Start(ctx)
}

// stop hands over what was found, and then ends the deliveries.
func (a *alerts) stop(ctx context.Context) error {
	return errors.Join(a.engine.Stop(ctx), a.router.Stop(ctx))
}

// list answers with what fires, and who was told of it.
func (a *alerts) list(w http.ResponseWriter, _ *http.Request) {
	type told struct {
		alert.Alert
		Told []string `json:"told"`
	}
	firing := []told{}
	for _, s := range a.router.Alerts() {
		if s.State == alert.Firing {
			firing = append(firing, told{s.Alert, append([]string{}, s.Told...)})
		}
	}
	reply(w, http.StatusOK, map[string]any{"alerts": firing})
}
