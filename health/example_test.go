package health_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A host checks what it depends on, and serves the answer to its orchestrator.
func Example() {
	ping := func(context.Context) error { return nil } // (*sql.DB).PingContext, say
	m, err := health.New(health.Config{
		Checks: []health.Check{
			{Name: "database", Prober: health.ErrorFunc(ping), Interval: time.Minute, FailureThreshold: 3},
			{Name: "cache", Optional: true, Prober: health.ProberFunc(func(context.Context) health.Result {
				return health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "redis:6379 refused the connection"}
			})},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := m.Start(ctx); err != nil { // probe on schedule from now on
		fmt.Println(err)
		return
	}
	defer m.Stop(ctx)

	report, err := m.Check(ctx) // and once more, now
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("all together:", report.Status)
	for _, s := range report.Checks {
		fmt.Printf("%s is %v: %q\n", s.Name, s.Status, s.Last.Message)
	}

	server := httptest.NewServer(health.NewProbeHandler(m))
	defer server.Close()
	resp, err := http.Get(server.URL + "/readyz?verbose")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	fmt.Printf("%d\n%s", resp.StatusCode, body)
	// Output:
	// all together: degraded
	// database is healthy: ""
	// cache is unhealthy: "redis:6379 refused the connection"
	// 200
	// [+] database healthy
	// [-] cache unhealthy
	// ok
}

// Checks that depend on a failing one name it, so that one alarm is raised and
// not two.
func ExampleCheck_dependsOn() {
	down := health.ProberFunc(func(context.Context) health.Result {
		return health.Result{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "connection refused"}
	})
	m, err := health.New(health.Config{Checks: []health.Check{
		{Name: "database", Prober: down},
		{Name: "application", Prober: down, DependsOn: []string{"database"}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	report, err := m.Check(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, s := range report.Checks {
		fmt.Printf("%s is %v, blocked by %q\n", s.Name, s.Status, s.BlockedBy)
	}
	// Output:
	// database is unhealthy, blocked by ""
	// application is unhealthy, blocked by "database"
}
