package incident_test

import (
	"fmt"
	"testing"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// A reminder of what is known already must cost next to nothing, since routers repeat:
// the target is 100 µs on one core, with a hundred incidents in the store, and no write.
func BenchmarkNotifyDuplicate(b *testing.B) {
	c := newCase(b, incident.ManagerConfig{})
	now := time.Now()
	var n alert.Notification
	for i := range 100 {
		n = alert.Notification{Key: fmt.Sprint("c", i), Seq: 1, Kind: alert.KindFiring, At: now, Alerts: []alert.Alert{firing(fmt.Sprint("rule-", i), alert.High, now)}}
		n.Prior = c.notify(b, n)
	}
	n.Kind = alert.KindReminder
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.manager.Notify(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
}

// To open an incident and end it must leave room for storms: the target is 2 ms on one
// core with a store in memory that holds some thousands, so that a database is what limits it.
func BenchmarkOpenAndResolve(b *testing.B) {
	c := newCase(b, incident.ManagerConfig{AutoResolve: true, ReopenWithin: -1})
	at := time.Now().Add(-time.Hour)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		a := firing(fmt.Sprint("rule-", i), alert.High, at)
		n := alert.Notification{Key: fmt.Sprint("c", i), Seq: 1, Kind: alert.KindFiring, At: at, Alerts: []alert.Alert{a}}
		n.Prior = c.notify(b, n)
		n.Kind, n.Alerts = alert.KindResolved, []alert.Alert{over(a, at.Add(time.Minute))}
		c.notify(b, n)
	}
}
