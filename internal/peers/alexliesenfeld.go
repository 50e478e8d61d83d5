package main

import (
	"context"
	"net/http"
	"time"

	"github.com/alexliesenfeld/health"
)

func alexliesenfeld() library {
	return library{
		name: "alexliesenfeld/health v0.8.0",
		round: func(checks []check, _ int) func() bool { // always all at the same time
			options := []health.CheckerOption{health.WithDisabledAutostart(), health.WithDisabledCache()}
			for i, c := range checks {
				options = append(options, health.WithCheck(health.Check{Name: name(i), Check: c}))
			}
			checker := health.NewChecker(options...)
			return func() bool { return checker.Check(context.Background()).Status == health.StatusUp }
		},
		start: func(checks []check, interval, timeout time.Duration, spread bool) *running {
			checker := alexChecker(checks, interval, timeout, spread)
			read := func() bool { return checker.Check(context.Background()).Status == health.StatusUp }
			return &running{of: checker, read: read, stop: checker.Stop}
		},
		everything: func(of *running, _ []check) http.Handler {
			return health.NewHandler(of.of.(health.Checker))
		},
		overall: func(_ *running, checks []check) http.Handler {
			return health.NewHandler(alexChecker(checks, time.Hour, time.Minute, false, health.WithDisabledDetails()))
		},
	}
}

func alexChecker(checks []check, interval, timeout time.Duration, spread bool, options ...health.CheckerOption) health.Checker {
	for i, c := range checks {
		options = append(options, health.WithPeriodicCheck(interval, delay(i, len(checks), interval, spread),
			health.Check{Name: name(i), Check: c, Timeout: timeout}))
	}
	return health.NewChecker(options...)
}
