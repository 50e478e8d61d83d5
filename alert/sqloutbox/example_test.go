package sqloutbox_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/sqloutbox"
)

// A router takes an alert while its only target is down. The next one, after a restart, has
// what is to be told, and tells it. A real program opens a file or a PostgreSQL server.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // a database in memory is its connection

	slack := &alerttest.Recorder{}
	tried := make(chan struct{}, 1)
	start := func() (*alert.Router, error) {
		store, err := sqloutbox.New(ctx, sqloutbox.Config{DB: db, Name: "opsd"})
		if err != nil {
			return nil, err
		}
		router, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: slack}}, Routes: []alert.Route{{Name: "all", Targets: []string{"slack"}}}, Store: store,
			Hooks: alert.RouterHooks{OnDelivery: func(alert.Attempt) { tried <- struct{}{} }},
		})
		if err != nil {
			return nil, err
		}
		return router, router.Start(ctx)
	}

	slack.Fail(&alert.Error{Service: "slack", Op: "post message", Unsent: true})
	router, err := start()
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Now()
	err = router.Handle(ctx, alert.Alert{
		Key: alert.Key("health_check", "production", "app", alert.Failing), Rule: "health_check", Environment: "production", Entity: "app",
		Severity: alert.Critical, Summary: "app has failed 3 checks in a row", State: alert.Firing, Began: now, Fired: now,
	})
	fmt.Println("stored:", err)
	<-tried
	fmt.Println("stopped:", router.Stop(ctx), "told:", len(slack.Notifications()))

	router, err = start()
	if err != nil {
		fmt.Println(err)
		return
	}
	<-tried
	for _, n := range slack.Notifications() {
		fmt.Println(n.Title)
	}
	fmt.Println("stopped:", router.Stop(ctx))
	// Output:
	// stored: <nil>
	// stopped: <nil> told: 0
	// CRITICAL production: app has failed 3 checks in a row
	// stopped: <nil>
}
