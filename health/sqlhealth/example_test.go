package sqlhealth_test

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/sqlhealth"
)

// Two samples of a check, and what the database knows of the day. A real
// program opens a file or a PostgreSQL server, and lets a Monitor append.
func Example() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = db.Close() }()
	db.SetMaxOpenConns(1) // a database in memory is its connection

	store, err := sqlhealth.New(ctx, sqlhealth.Config{DB: db, Holder: "replica-1"})
	if err != nil {
		fmt.Println(err)
		return
	}
	nine := time.Date(2026, 3, 10, 9, 0, 0, 0, time.UTC)
	err = store.Append(ctx, []health.Sample{
		{Check: "api", Time: nine, Status: health.Healthy, Valid: time.Hour},
		{Check: "api", Time: nine.Add(54 * time.Minute), Status: health.Unhealthy, Valid: time.Hour},
		{Check: "api", Time: nine.Add(60 * time.Minute), Status: health.Healthy, Valid: time.Hour},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	days, err := store.Buckets(ctx, "api", health.Daily, nine, nine.Add(time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, day := range days {
		share, _ := day.Uptime()
		fmt.Printf("%s: up %.1f %%\n", day.Start.Format(time.DateOnly), 100*share)
	}
	spells, err := store.Spells(ctx, "api", nine, nine.Add(2*time.Hour))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, spell := range spells {
		fmt.Println("down for", spell.End.Sub(spell.Start))
	}
	// Output:
	// 2026-03-10: up 90.0 %
	// down for 6m0s
}
