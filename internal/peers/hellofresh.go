package main

import (
	"context"
	"net/http"
	"time"

	"github.com/hellofresh/health-go/v5"
)

// hellofresh has no schedule and keeps no results: its handler runs the checks,
// and shows those that fail.
func hellofresh() library {
	return library{
		name: "hellofresh/health-go v5.5.4",
		round: func(checks []check, concurrency int) func() bool {
			h := helloHealth(checks, concurrency)
			return func() bool { return h.Measure(context.Background()).Status == health.StatusOK }
		},
		overall: func(_ *running, checks []check) http.Handler { return helloHealth(checks, 0).Handler() },
	}
}

func helloHealth(checks []check, concurrency int) *health.Health {
	var options []health.Option
	for i, c := range checks {
		options = append(options, health.WithChecks(health.Config{Name: name(i), Check: health.CheckFunc(c), Timeout: time.Minute}))
	}
	if concurrency > 0 {
		options = append(options, health.WithMaxConcurrent(concurrency))
	}
	h, err := health.New(options...)
	must(err)
	return h
}
