package main

import (
	"testing"
	"time"
)

// TestAlerters shows that what is measured is what it is called: each alert is in its
// group once, however often it is handed over, and each group is told once.
func TestAlerters(t *testing.T) {
	const n = 50
	for _, a := range alerters() {
		if !a.groups {
			r := a.start(n, byEntity, time.Hour)
			for i := range 2 * n {
				r.put(i % n)
			}
			if r.grouped() != n {
				t.Errorf("%s has %d alerts, and not %d", a.name, r.grouped(), n)
			}
			r.stop()
			continue
		}
		for by, messages := range map[string]int{byRule: 1, byEntity: n} {
			t.Run(a.name+" by "+by, func(t *testing.T) {
				r := a.start(n, by, time.Second)
				defer r.stop()
				for range 3 {
					for i := range n {
						r.put(i)
					}
				}
				for begun := time.Now(); r.grouped() < n || r.told() < messages; time.Sleep(time.Millisecond) {
					if time.Since(begun) > 20*time.Second {
						t.Fatalf("%d alerts are in groups, and %d messages were sent", r.grouped(), r.told())
					}
				}
				for i := range n {
					r.put(i)
				}
				time.Sleep(100 * time.Millisecond)
				if r.grouped() != n || r.told() != messages {
					t.Errorf("%d alerts are in groups, and not %d; %d messages were sent, and not %d", r.grouped(), n, r.told(), messages)
				}
			})
		}
	}
}
