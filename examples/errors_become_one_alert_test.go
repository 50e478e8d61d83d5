package examples_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// broken is a Canvas that fails every request.
type broken struct{}

func (broken) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusBadGateway, Header: make(http.Header), Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}

// Canvas fails, as the hooks of its client tell, and so does one request in ten of the
// application, as its platform counts. Each becomes one alert, and each alert one message.
func Example_errorsBecomeOneAlert() {
	messages := make(chan alert.Notification, 10)
	channel := alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
		messages <- n
		return "", nil
	})
	router, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "alerts", Notifier: channel}},
		Routes:  []alert.Route{{Name: "all", Targets: []string{"alerts"}, Wait: time.Millisecond}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	// What is not fed here is left out: a rule that nothing feeds is an error.
	rules, inputs := alert.LeaveOut(alert.CriticalRules(alert.CriticalLimits{CanvasErrors: 2}), alert.CriticalInputs(),
		alert.InputHealth, alert.InputResponseTime, alert.InputCanvasThrottled, alert.InputCanvasQuota, alert.InputMemory,
		alert.InputDatabase, alert.InputRecentErrors, alert.InputTaskDuration)
	engine, err := alert.NewEngine(alert.EngineConfig{Rules: rules, Inputs: inputs, Out: router})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := router.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	if err := engine.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer router.Stop(ctx)
	defer engine.Stop(ctx)

	if err := askCanvas(engine); err != nil {
		fmt.Println("canvas:", strings.SplitN(err.Error(), "\n", 2)[0])
	}
	fmt.Println((<-messages).Title)
	if err := countRequests(engine); err != nil {
		fmt.Println(err)
	}
	fmt.Println((<-messages).Title)
	// Output:
	// canvas: canvas: get user: status 502
	// HIGH production: Canvas failed 3 requests of qa-automation in a minute
	// HIGH production: 10 % of the requests of app fail
}

// askCanvas makes a client whose hooks feed the engine, and asks.
func askCanvas(engine *alert.Engine) error {
	feed, err := engine.Feed(alert.Source{Input: alert.InputCanvasErrors, Environment: "production", Entity: "qa-automation"}, nil)
	if err != nil {
		return err
	}
	client, err := canvas.New(canvas.Config{
		BaseURL: "https://aculeo.instructure.com", Token: runbook.NewSecret("token"), HTTP: &http.Client{Transport: broken{}},
		Hooks: canvas.Hooks{OnAttempt: func(_ context.Context, a canvas.Attempt) {
			if a.Status == 0 || a.Status >= 500 {
				feed.Count(0, 1, a.Route)
				return
			}
			feed.Count(1, 0, "")
		}},
	})
	if err != nil {
		return err
	}
	_, err = client.GetUser(ctx, canvas.Self)
	return err
}

// countRequests reads from Railway how many requests failed, and feeds the engine.
func countRequests(engine *alert.Engine) error {
	platform := &railwaytest.Server{}
	project := platform.AddProject(platform.AddWorkspace("ACU"), "qa-automation")
	production := platform.AddEnvironment(project, "production")
	id := platform.AddService(production, railwaytest.Service{Name: "app", Image: "registry.example/app:1"})
	for i := range 100 {
		status := http.StatusOK
		if i%10 == 0 {
			status = http.StatusInternalServerError
		}
		platform.Serve(platform.Newest(production, id), railwaytest.HTTPRequest{Method: "GET", Path: "/", Status: status, Duration: 20 * time.Millisecond})
	}
	token := platform.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: production})
	client, err := railway.New(railway.Config{Kind: railway.ProjectToken, Token: runbook.NewSecret(token), HTTP: platform.Client()})
	if err != nil {
		return err
	}
	app, err := client.Service(ctx, railway.Target{Service: "app"})
	if err != nil {
		return err
	}
	feed, err := engine.Feed(alert.Source{Input: alert.InputRequests, Environment: "production", Entity: "app"}, nil)
	if err != nil {
		return err
	}
	series, err := app.Metrics(ctx, incident.MetricQuery{Metrics: []incident.Metric{incident.MetricRequests, incident.MetricErrors}, From: time.Now().Add(-5 * time.Minute)})
	if err != nil {
		return err
	}
	var counts [2]uint64
	for i, s := range series {
		for _, p := range s.Points {
			counts[i] += uint64(p.Value)
		}
	}
	feed.Count(counts[0]-counts[1], counts[1], "")
	return nil
}
