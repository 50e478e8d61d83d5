package main

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/health"
)

func ours() library {
	return library{
		name: "runbook/health",
		round: func(checks []check, concurrency int) func() bool {
			m := ourMonitor(checks, time.Hour, time.Minute, concurrency)
			return func() bool {
				report, err := m.Check(context.Background())
				return err == nil && report.Status == health.Healthy
			}
		},
		start: func(checks []check, interval, timeout time.Duration, _ bool) *running {
			m := ourMonitor(checks, interval, timeout, 0)
			must(m.Start(context.Background()))
			return &running{
				of:     m,
				read:   func() bool { return m.Snapshot().Status == health.Healthy },
				status: func() bool { return m.Status() == health.Healthy },
				stop:   func() { must(m.Stop(context.Background())) },
			}
		},
		everything: func(of *running, _ []check) http.Handler {
			return health.NewDetailHandler(of.of.(*health.Monitor), health.Info{})
		},
		states: func(of *running, _ []check) http.Handler {
			return health.NewPublicHandler(of.of.(*health.Monitor), health.Info{})
		},
		overall: func(of *running, _ []check) http.Handler {
			return health.NewProbeHandler(of.of.(*health.Monitor))
		},
	}
}

func ourMonitor(checks []check, interval, timeout time.Duration, workers int) *health.Monitor {
	cfg := health.Config{Checks: make([]health.Check, len(checks)), Workers: workers, Logger: slog.New(slog.DiscardHandler)}
	for i, c := range checks {
		cfg.Checks[i] = health.Check{Name: name(i), Prober: health.ErrorFunc(c), Interval: interval, Timeout: timeout}
	}
	m, err := health.New(cfg)
	must(err)
	return m
}
