// Package health finds out how things are, on a schedule and on demand, and
// tells: to orchestrators, to people, to whoever subscribes.
//
// A [Prober] looks at one thing once. A [Check] says how often, how patiently,
// and how much it matters. A [Monitor] runs checks and keeps a snapshot:
//
//	m, err := health.New(health.Config{Checks: []health.Check{
//		{Name: "database", Prober: health.ErrorFunc(db.PingContext), Interval: time.Minute},
//		{Name: "cache", Prober: cache, Optional: true},
//	}})
//	if err != nil {
//		return err
//	}
//	if err := m.Start(ctx); err != nil {
//		return err
//	}
//	mux.Handle("/ops/", health.NewProbeHandler(m)) // /ops/livez, /ops/readyz, /ops/startupz
//	mux.Handle("/health", health.NewPublicHandler(m, health.Info{ServiceID: "qa"}))
//
// Probers for common things are in sub-packages: httpprobe (HTTP and JSON, TLS
// certificates), netprobe (TCP, DNS), wsprobe (WebSocket), sqlprobe
// (database/sql, PostgreSQL), redisprobe. Package sqlhealth keeps history and
// shares checks between replicas; promhealth exports metrics; healthtest helps
// to test.
//
// # What it does not do
//
// It sends no alerts and opens no incidents: it tells hooks and subscribers of
// each [Transition]. It repeats no probe: one attempt is one result, and
// thresholds decide what several mean. It logs no results.
//
// # Rules
//
// A request never probes: handlers answer from the snapshot, however many ask.
// Somebody who asked and went away changes no state. A prober that panics is
// unhealthy; one that ignores its context is given up a second after its
// timeout, holds up no other check, and is not called again before it returns.
// Recording a result takes constant time, however many checks there are.
//
// Everything is safe for concurrent use unless it says otherwise. Importing
// this package compiles nothing but the standard library.
package health
