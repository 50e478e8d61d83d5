package incidenttest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func TestMemory(t *testing.T) {
	incidenttest.TestQuota(t, incidenttest.QuotaHarness{
		New: func(testing.TB) incident.Quota {
			q := &incidenttest.Quota{}
			q.Set(incident.QuotaState{Remaining: 400, Limit: 700, Users: []incident.QuotaUse{{Name: "sync", Requests: 2, Used: 3}}})
			return q
		},
		Throttled: func(testing.TB) incident.Quota {
			q := &incidenttest.Quota{}
			q.Set(incident.QuotaState{Throttled: true})
			return q
		},
	})
	incidenttest.TestPlatformKeys(t, incidenttest.PlatformKeysHarness{New: func(testing.TB) incidenttest.PlatformKeysCase {
		p := &incidenttest.PlatformKeys{}
		p.Add(incident.PlatformKey{ID: "1", On: true})
		return incidenttest.PlatformKeysCase{
			Keys: p, ID: "1", Missing: "2", LoseAnswer: func() { p.Fail(incident.ErrOutcomeUnknown) },
			Forbid: func() { p.Fail(incident.ErrNotPermitted, incident.ErrNotPermitted) },
		}
	}})
	incidenttest.TestAnnouncer(t, incidenttest.AnnouncerHarness{New: func(testing.TB) incidenttest.AnnouncerCase {
		n := &incidenttest.Announcer{}
		return incidenttest.AnnouncerCase{
			Announcer: n, LoseAnswer: func() { n.Fail(incident.ErrOutcomeUnknown) }, Forbid: func() { n.Fail(incident.ErrNotPermitted, incident.ErrNotPermitted) },
			Shown: func() (subjects []string) {
				for _, a := range n.Announcements() {
					subjects = append(subjects, a.Subject)
				}
				return subjects
			},
		}
	}})
	incidenttest.TestAuditLog(t, incidenttest.AuditLogHarness{New: func(testing.TB) incidenttest.AuditLogCase {
		l, now := &incidenttest.AuditLog{}, time.Now()
		events := []incident.AuditEvent{
			{ID: "c", Time: now.Add(-1 * time.Minute), Kind: incident.AuditAuthentication, Actor: "7"},
			{ID: "b", Time: now.Add(-2 * time.Minute), Kind: incident.AuditChange, Actor: "8"},
			{ID: "a", Time: now.Add(-3 * time.Minute), Kind: incident.AuditAuthentication, Actor: "8"},
		}
		l.Add(events[1], events[0], events[2], incident.AuditEvent{ID: "0", Time: now.Add(-2 * time.Hour), Kind: incident.AuditChange})
		return incidenttest.AuditLogCase{
			Log: l, Events: events, From: now.Add(-time.Hour), To: now,
			Missing: func() { l.Fail(incident.ErrNotFound) }, Forbid: func() { l.Fail(incident.ErrNotPermitted) },
		}
	}})
}

// The answer to an announcement is lost; announcing it again is safe.
func ExampleAnnouncer() {
	platform := &incidenttest.Announcer{}
	platform.Fail(incident.ErrOutcomeUnknown)
	notice := incident.Announcement{
		Key: "maintenance-2026-12-05", Subject: "Maintenance on Saturday", Message: "The QA tool is not available from 22:00 to 23:00.",
		Start: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 12, 5, 23, 0, 0, 0, time.UTC),
	}
	_, err := platform.Announce(context.Background(), notice)
	fmt.Println(errors.Is(err, incident.ErrOutcomeUnknown))
	placed, err := platform.Announce(context.Background(), notice)
	fmt.Println(placed.Created, err)
	fmt.Println(len(platform.Announcements()))
	// Output:
	// true
	// false <nil>
	// 1
}
