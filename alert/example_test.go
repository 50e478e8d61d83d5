package alert_test

import (
	"context"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
)

// An engine judges the results of checks, and a router tells of what is wrong. Here the
// recorder of alerttest is who is told; a real program has the notifiers of Slack, of mail
// and of a pager, and feeds the engine from the hooks of a health.Monitor.
func Example() {
	ctx := context.Background()
	slack, sms := &alerttest.Recorder{}, &alerttest.Recorder{}
	delivered := make(chan struct{})
	router, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "slack", Notifier: slack, Fallback: "mail"}, {Name: "mail", Notifier: &alerttest.Recorder{}}, {Name: "sms", Notifier: sms, Pages: true}},
		Routes: []alert.Route{
			{Name: "critical", Match: alert.Matcher{Severities: []alert.Severity{alert.Critical}}, Targets: []string{"slack", "sms"}},
			{Name: "all", Targets: []string{"slack"}},
		},
		Store: &alert.MemoryStore{}, // a real one is in a database: alert/sqloutbox
		Hooks: alert.RouterHooks{OnDelivery: func(alert.Attempt) { delivered <- struct{}{} }},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := alert.NewEngine(alert.EngineConfig{
		Inputs: []alert.Input{{Name: alert.InputHealth, Kind: alert.Checks, Every: 30 * time.Second}},
		Rules: []alert.Rule{{
			Name: "health_check", Input: alert.InputHealth, Severity: alert.Critical, When: alert.Failures{Fail: 3, Pass: 2},
			Summary: "{entity} has failed {value} checks in a row", Playbook: "application-down",
		}},
		Out: router,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, start := range []func(context.Context) error{router.Start, engine.Start} {
		if err := start(ctx); err != nil {
			fmt.Println(err)
			return
		}
	}
	app, err := engine.Feed(alert.Source{Input: alert.InputHealth, Environment: "production", Entity: "app"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		app.Result(true, "GET /health: status 503")
	}
	for range 2 { // slack and sms
		<-delivered
	}
	for range 2 {
		app.Result(false, "")
	}
	for range 2 {
		<-delivered
	}
	for _, stop := range []func(context.Context) error{engine.Stop, router.Stop} {
		if err := stop(ctx); err != nil {
			fmt.Println(err)
		}
	}
	for _, n := range slack.Notifications() {
		fmt.Println(n.Seq, n.Kind, n.Alerts[0].Entity, n.Alerts[0].Playbook)
	}
	fmt.Println(sms.Notifications()[0].Title)
	// Output:
	// 1 firing app application-down
	// 2 resolved app application-down
	// CRITICAL production: app has failed 3 checks in a row
}

// A silence needs who wants it, why, and until when. What it keeps from people is listed
// with the reason, and told if it still fires when the silence is over.
func ExampleRouter_Silence() {
	ctx := context.Background()
	router, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "slack", Notifier: &alerttest.Recorder{}}},
		Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := router.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}
	match := alert.Matcher{Environments: []string{"beta"}, Labels: map[string]string{"entity": "app"}}
	_, err = router.Silence(ctx, alert.Silence{Match: match})
	fmt.Println(err)
	silence, err := router.Silence(ctx, alert.Silence{Match: match, By: "Ana Silva", Comment: "load test", Ends: time.Now().Add(2 * time.Hour)})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = router.Handle(ctx, alert.Alert{
		Key: alert.Key("health_check", "beta", "app", alert.Failing), Rule: "health_check", Environment: "beta", Entity: "app",
		Severity: alert.High, Summary: "app has failed 3 checks in a row", State: alert.Firing, Began: time.Now(), Fired: time.Now(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, a := range router.Alerts() {
		fmt.Println(a.Severity, a.Environment, a.Entity, len(a.Muted["slack"]) > 0)
	}
	fmt.Println(router.EndSilence(ctx, silence.ID, "Ana Silva"))
	fmt.Println(router.Stop(ctx))
	// Output:
	// alert: silence: who wants it or why is missing
	// alert: silence: it must end in the future, after it begins, and after 30 days at most
	// high beta app true
	// <nil>
	// <nil>
}
