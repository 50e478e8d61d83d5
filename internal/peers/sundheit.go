package main

import (
	"context"
	"net/http"
	"time"

	gosundheit "github.com/AppsFlyer/go-sundheit"
	"github.com/AppsFlyer/go-sundheit/checks"
	healthhttp "github.com/AppsFlyer/go-sundheit/http"
)

func sundheit() library {
	return library{
		name: "AppsFlyer/go-sundheit v0.6.0",
		start: func(list []check, interval, timeout time.Duration, spread bool) *running {
			h := gosundheit.New()
			for i, c := range list {
				must(h.RegisterCheck(
					&checks.CustomCheck{CheckName: name(i), CheckFunc: func(ctx context.Context) (any, error) { return nil, c(ctx) }},
					gosundheit.InitialDelay(delay(i, len(list), interval, spread)),
					gosundheit.ExecutionPeriod(interval), gosundheit.ExecutionTimeout(timeout),
				))
			}
			return &running{
				of: h,
				read: func() bool {
					_, healthy := h.Results()
					return healthy
				},
				status: h.IsHealthy,
				stop:   h.DeregisterAll,
			}
		},
		everything: func(of *running, _ []check) http.Handler {
			return healthhttp.HandleHealthJSON(of.of.(gosundheit.Health))
		},
		states: func(of *running, _ []check) http.Handler {
			full := healthhttp.HandleHealthJSON(of.of.(gosundheit.Health))
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				r.URL.RawQuery = "type=" + healthhttp.ReportTypeShort
				full(w, r)
			})
		},
	}
}
