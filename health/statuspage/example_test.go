package statuspage_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/statuspage"
)

// A host serves a page for everybody under /status/, and one with details for the
// people who operate it, behind whatever guards its other tools.
func Example() {
	ctx := context.Background()
	monitor, err := health.New(health.Config{Checks: []health.Check{
		{Name: "production/application", Prober: &healthtest.Prober{}},
		{Name: "production/database", Prober: &healthtest.Prober{Results: []health.Result{
			{Status: health.Unhealthy, Cause: health.CauseRefused, Message: "db-7.internal:5432 refused the connection"},
		}}},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := monitor.Check(ctx); err != nil { // a real host starts it instead
		fmt.Println(err)
		return
	}
	cfg := statuspage.Config{
		Monitor: monitor,
		URL:     "https://qa.example.edu/status",
		Title:   "QA automation",
		Components: []statuspage.Component{
			{Name: "Website", Checks: []string{"production/application"}},
			{Name: "Results", Checks: []string{"production/database"}},
		},
	}
	public, err := statuspage.NewPublic(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	private, err := statuspage.NewPrivate(cfg)
	if err != nil {
		fmt.Println(err)
		return
	}
	signedIn := func(next http.Handler) http.Handler { return next } // the host's own
	mux := http.NewServeMux()
	mux.Handle("/status/", http.StripPrefix("/status", public))
	mux.Handle("/ops/status/", signedIn(http.StripPrefix("/ops/status", private)))

	ask := func(path string) {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
		var status struct {
			Status struct{ Indicator, Description string }
		}
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(path, status.Status.Indicator, status.Status.Description)
	}
	ask("/status/api/v2/status.json")
	ask("/ops/status/status.json")
	// Output:
	// /status/api/v2/status.json major Partial outage
	// /ops/status/status.json major Partial outage
}

// What is announced comes from a func of the host, which keeps it: in a database, say,
// where its people wrote it.
func ExampleConfig_events() {
	monitor, err := health.New(health.Config{Checks: []health.Check{{Name: "website", Prober: &healthtest.Prober{}}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := monitor.Check(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	began := time.Date(2026, 11, 12, 3, 15, 0, 0, time.UTC)
	page, err := statuspage.NewPublic(statuspage.Config{
		Monitor: monitor, URL: "https://qa.example.edu/status", Title: "QA automation",
		Components: []statuspage.Component{{Name: "Website", Checks: []string{"website"}}},
		Events: func(context.Context) (statuspage.Events, error) {
			return statuspage.Events{Incidents: []statuspage.Incident{{
				ID: "INC-2026-0042", Title: "Some people cannot sign in",
				Components: map[string]statuspage.Condition{"website": statuspage.PartialOutage},
				Updates: []statuspage.Update{
					{Time: began, Phase: statuspage.Investigating, Text: "We look into it."},
					{Time: began.Add(time.Hour), Phase: statuspage.Identified, Text: "A certificate has expired."},
				},
			}}}, nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/summary.json", nil))
	var summary struct {
		Status     struct{ Description string }
		Components []struct{ Name, Status string }
		Incidents  []struct{ Name, Status, Impact, Shortlink string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &summary); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(summary.Status.Description)
	fmt.Println(summary.Components[0].Name, summary.Components[0].Status)
	fmt.Println(summary.Incidents[0].Name, summary.Incidents[0].Status, summary.Incidents[0].Impact)
	fmt.Println(summary.Incidents[0].Shortlink)
	// Output:
	// Partial outage
	// Website partial_outage
	// Some people cannot sign in identified major
	// https://qa.example.edu/status/incidents/INC-2026-0042
}
