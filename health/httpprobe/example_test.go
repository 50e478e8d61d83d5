package httpprobe_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
)

// A service says that it is well, and near the limit of its memory.
func ExampleProber() {
	service := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"status":"healthy","active_sessions":42,"memory_usage_mb":700}`)
	}))
	defer service.Close()

	warn, fail := 600.0, 1000.0
	probe, err := httpprobe.New(httpprobe.Config{
		URL:  "https://qa.example.com/health/metrics",
		Auth: httpprobe.Auth{Bearer: runbook.NewSecret("t0ken")},
		Assert: []httpprobe.Assertion{
			{Path: ".status", Want: map[string]health.Status{"healthy": health.Healthy}},
		},
		Extract: []httpprobe.Field{
			{Path: ".active_sessions"},
			{Path: ".memory_usage_mb", Unit: health.Megabytes, Limit: health.Limit{Warn: &warn, Fail: &fail}},
		},
		HTTP: service.Client(), // leads *.example.com to the service; leave it out for the real one
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := probe.Probe(context.Background())
	fmt.Println(result.Status, result.Cause)
	fmt.Println(result.Message)
	sessions, _ := result.Measurement("active_sessions")
	fmt.Println(sessions)
	// Output:
	// degraded threshold
	// GET https://qa.example.com/health/metrics: memory_usage_mb 700 MB, more than 600
	// active_sessions 42
}

// Canvas tells with a text that it is well, and with 503 that it is in
// maintenance.
func ExampleProber_maintenance() {
	canvas := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Canvas is being updated", http.StatusServiceUnavailable)
	}))
	defer canvas.Close()

	probe, err := httpprobe.New(httpprobe.Config{
		URL:         "https://canvas.example.com/health_check",
		Contains:    "canvas ok",
		Maintenance: []int{http.StatusServiceUnavailable},
		HTTP:        canvas.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := probe.Probe(context.Background())
	fmt.Println(result.Status)
	fmt.Println(result.Message)
	// Output:
	// maintenance
	// GET https://canvas.example.com/health_check: answered 503 (Service Unavailable), which means maintenance
}
