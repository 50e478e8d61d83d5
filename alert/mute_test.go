package alert_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

func sydney(t testing.TB) *time.Location {
	t.Helper()
	zone, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	return zone
}

// Quiet hours and maintenance are civil times in Sydney, also on the two days on which its
// clocks change: an alert of each quarter of an hour is told at once, or when it is over.
//
// Requirement: AL-AM-DST
func TestMutesOnTheDaysOnWhichClocksChange(t *testing.T) {
	for day, c := range map[string]struct {
		begin, end [2]string // of quiet hours from 22:00 to 07:00 and of maintenance from 01:30 to 04:00
	}{
		// 03:00 at +11:00 is 02:00 at +10:00.
		"2026-04-05": {[2]string{"2026-04-04T22:00:00+11:00", "2026-04-05T07:00:00+10:00"}, [2]string{"2026-04-05T01:30:00+11:00", "2026-04-05T04:00:00+10:00"}},
		// 02:00 at +10:00 is 03:00 at +11:00.
		"2026-10-04": {[2]string{"2026-10-03T22:00:00+10:00", "2026-10-04T07:00:00+11:00"}, [2]string{"2026-10-04T01:30:00+10:00", "2026-10-04T04:00:00+11:00"}},
	} {
		for name, times := range map[string][2]string{"quiet": c.begin, "maintenance": c.end} {
			t.Run(day+" "+name, func(t *testing.T) {
				begin, err := time.Parse(time.RFC3339, times[0])
				require.NoError(t, err)
				end, err := time.Parse(time.RFC3339, times[1])
				require.NoError(t, err)
				bubble(t, func(t *testing.T) { mutedBetween(t, name, begin, end) })
			})
		}
	}
}

func mutedBetween(t *testing.T, name string, begin, end time.Time) {
	in := &inbox{}
	cfg := one(in)
	cfg.Zone = sydney(t)
	cfg.Routes[0].GroupBy, cfg.Routes[0].Wait = []string{"entity"}, -1
	cfg.Targets[0].Storm, cfg.Targets[0].PerSecond, cfg.Targets[0].RemindAfter = 1000, 1000, -1
	if name == "quiet" {
		cfg.Targets[0].Quiet = []health.Window{{From: health.At(22, 0), For: 9 * time.Hour, Zone: sydney(t)}}
	} else {
		cfg.Maintenance = []alert.Maintenance{{Window: health.Window{From: health.At(1, 30), For: 150 * time.Minute, Zone: sydney(t)}}}
	}
	until(t, begin.Add(-time.Hour))
	r := router(t, cfg)
	want := make(map[string]time.Time)
	for at := begin.Add(-time.Hour); at.Before(end.Add(time.Hour)); at = at.Add(15 * time.Minute) {
		until(t, at)
		a := firing(alert.High, "production", at.In(sydney(t)).Format(time.RFC3339))
		handle(t, r, a)
		want[a.Entity] = at
		if !at.Before(begin) && at.Before(end) {
			want[a.Entity] = end
		}
	}
	pass(2 * time.Minute)
	got := make(map[string]time.Time)
	for _, n := range in.told() {
		got[n.Alerts[0].Entity] = n.At
	}
	require.Len(t, got, len(want))
	for entity, at := range want {
		assert.WithinRange(t, got[entity], at, at.Add(time.Minute), entity)
	}
}

// In quiet hours what can wait waits, with reminders; what is critical does not, and neither
// does the end of anything.
func TestQuietHours(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Targets[0].Quiet = []health.Window{{From: health.At(22, 0), For: 8 * time.Hour, Zone: time.UTC}}
		cfg.Targets[0].QuietUnless = alert.High
		cfg.Routes[0].GroupBy = []string{"entity"}
		r := router(t, cfg)
		until(t, time.Date(2000, 1, 1, 21, 30, 0, 0, time.UTC))
		evening := firing(alert.Medium, "production", "evening")
		handle(t, r, evening)
		until(t, time.Date(2000, 1, 1, 23, 0, 0, 0, time.UTC))
		handle(t, r, firing(alert.Medium, "production", "medium"), firing(alert.Low, "production", "short"), firing(alert.High, "production", "high"))
		pass(time.Hour)
		handle(t, r, over(firing(alert.Low, "production", "short")))
		pass(4 * time.Hour)
		assert.Equal(t, []string{
			"MEDIUM production: evening has failed 3 checks in a row", "HIGH production: high has failed 3 checks in a row",
			"STILL HIGH after 1 h 2 min, production: high has failed 3 checks in a row", "STILL HIGH after 3 h 2 min, production: high has failed 3 checks in a row",
		}, in.titles(), "of what waits nobody is reminded")
		until(t, time.Date(2000, 1, 2, 6, 1, 0, 0, time.UTC))
		titles := in.titles()[4:]
		slices.Sort(titles)
		assert.Equal(t, []string{
			"MEDIUM production: medium has failed 3 checks in a row", "STILL HIGH after 7 h 2 min, production: high has failed 3 checks in a row", "STILL MEDIUM after 8 h 32 min, production: evening has failed 3 checks in a row",
		}, titles)
		until(t, time.Date(2000, 1, 2, 23, 0, 0, 0, time.UTC))
		before := len(in.told())
		handle(t, r, over(evening))
		pass(time.Second)
		assert.Equal(t, alert.KindResolved, in.told()[before].Kind)
	})
}

// Test and beta never page, and neither does what is not critical, whatever way it takes:
// routes, fallbacks, digests, notices.
func TestOnlyCriticalAlertsOfProductionPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		refuses, pager, everybody := &inbox{down: &alert.Error{Kind: alert.ErrRefused}}, &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{
				{Name: "slack", Notifier: refuses, Fallback: "pager", Storm: 3, PerSecond: 100}, {Name: "pager", Notifier: pager, Pages: true, Storm: 3, PerSecond: 100},
				{Name: "status", Notifier: everybody, Audience: alert.Everyone},
			},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack", "pager"}, GroupBy: []string{"entity"}, Wait: -1}},
			Notices: []string{"slack"},
		})
		_, err := r.Silence(t.Context(), alert.Silence{Match: alert.Matcher{Environments: []string{"x"}}, By: "ana", Comment: "x", Ends: time.Now().Add(time.Minute)})
		require.NoError(t, err)
		for _, environment := range []string{"test", "beta", "", "prod-like", "Production", "PROD", "production"} {
			for severity := alert.Critical; severity <= alert.Low; severity++ {
				for i := range 5 {
					handle(t, r, firing(severity, environment, fmt.Sprintf("%s %s %d", environment, severity, i)))
				}
			}
		}
		pass(time.Hour)
		paged := make(map[string]bool)
		for _, n := range pager.told() {
			assert.Equal(t, alert.Critical, n.Severity)
			for _, a := range n.Alerts {
				assert.Equal(t, alert.Critical, a.Severity)
				paged[a.Environment] = true
			}
		}
		assert.Equal(t, map[string]bool{"Production": true, "PROD": true, "production": true}, paged)
		assert.NotEmpty(t, refuses.attempts())
		assert.Empty(t, everybody.told(), "the audiences do not mix")
	})
}

// Alerts go to operators and posts to everyone, and no configuration and no failure mixes
// the two.
func TestAudiencesDoNotMix(t *testing.T) {
	bubble(t, func(t *testing.T) {
		alerts, mail, status, page := &inbox{}, &inbox{}, &inbox{}, &inbox{}
		cfg := alert.RouterConfig{
			Targets: []alert.Target{
				{Name: "slack", Notifier: alerts, Fallback: "mail"}, {Name: "mail", Notifier: mail},
				{Name: "status", Notifier: status, Audience: alert.Everyone, Fallback: "page"}, {Name: "page", Notifier: page, Audience: alert.Everyone},
			},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}, Wait: -1}},
			Notices: []string{"mail"},
			Store:   &alert.MemoryStore{},
		}
		r := start(t, cfg)
		alerts.fails(&alert.Error{Kind: alert.ErrRefused})
		status.fails(&alert.Error{Kind: alert.ErrRefused})
		handle(t, r, firing(alert.Critical, "production", "app"))
		require.NoError(t, r.Post(t.Context(), alert.Post{ID: "incident-1", Title: "We look into it"}, "status"))
		assert.ErrorContains(t, r.Post(t.Context(), alert.Post{ID: "x", Title: "x"}, "slack"), `"slack" is no target for everyone`)
		pass(time.Hour)
		stop(t, r)
		r = router(t, cfg)
		handle(t, r, over(firing(alert.Critical, "production", "app")))
		pass(time.Hour)
		for _, in := range []*inbox{alerts, mail} {
			for _, n := range in.attempts() {
				assert.NotEqual(t, alert.KindPost, n.Kind)
			}
		}
		for _, in := range []*inbox{status, page} {
			for _, n := range in.attempts() {
				assert.Equal(t, alert.KindPost, n.Kind)
				assert.Empty(t, n.Alerts)
			}
		}
		assert.Len(t, page.told(), 1, "the fallback for everyone has the post")
		assert.Contains(t, mail.kinds(), alert.KindFiring)

		// A target that changes its audience is told nothing that was meant for the other.
		stop(t, r)
		cfg.Targets[2], cfg.Targets[3] = alert.Target{Name: "status", Notifier: status}, alert.Target{Name: "page", Notifier: page}
		_, err := alert.NewRouter(cfg)
		require.NoError(t, err)
	})
}

// Posts of one ID arrive in the order in which they were posted, in one thread, also when
// the target fails in between.
func TestPostsInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := alert.RouterConfig{
			Targets: []alert.Target{{Name: "status", Notifier: in, Audience: alert.Everyone}, {Name: "slack", Notifier: &inbox{}}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}}}, Store: &alert.MemoryStore{},
		}
		r := start(t, cfg)
		for text, p := range map[string]alert.Post{"the ID": {Title: "x"}, "the title": {ID: "x", Title: " \n"}, "printable": {ID: "a\x00", Title: "x"}} {
			assert.ErrorContains(t, r.Post(t.Context(), p), text)
		}
		assert.ErrorContains(t, r.Post(t.Context(), alert.Post{ID: "x", Title: "x", From: time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC)}), "cannot be stored")
		in.fails(&alert.Error{Unsent: true})
		for i := range 10 {
			require.NoError(t, r.Post(t.Context(), alert.Post{ID: "incident-7", Title: fmt.Sprintf("Update %d", i), Last: i == 8}))
			if i == 4 {
				pass(time.Minute)
				stop(t, r)
				r = start(t, cfg)
			}
		}
		in.fails(nil)
		pass(5 * time.Minute)
		got := in.told()
		require.Len(t, got, 10)
		for i, n := range got {
			assert.Equal(t, fmt.Sprintf("Update %d", i), n.Title)
			if i < 9 {
				assert.Equal(t, got[0].Key, n.Key)
				assert.Equal(t, i+1, n.Seq)
			}
		}
		assert.Equal(t, alert.Receipt("r1"), got[8].Prior)
		assert.NotEqual(t, got[0].Key, got[9].Key, "what follows the last post is another thread")
		assert.Empty(t, got[9].Prior)
		stop(t, r)
	})
}

// A silence that begins or ends in the middle is heeded at once.
func TestSilenceIsHeededAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		a := slow(alert.Firing)
		handle(t, r, a)
		pass(20 * time.Second)
		s, err := r.Silence(context.WithoutCancel(t.Context()), alert.Silence{
			Match: alert.Matcher{Severities: []alert.Severity{alert.High}, Environments: []string{"production"}}, By: "ana", Comment: "known", Ends: time.Now().Add(time.Hour),
		})
		require.NoError(t, err)
		pass(20 * time.Minute)
		assert.Empty(t, in.told())
		a.Severity = alert.Critical // which is not silenced
		handle(t, r, a)
		pass(time.Second)
		require.Len(t, in.told(), 1)
		b := firing(alert.High, "production", "b")
		handle(t, r, b)
		pass(time.Minute)
		require.Len(t, in.told(), 1)
		require.NoError(t, r.EndSilence(t.Context(), s.ID, "ana"))
		pass(31 * time.Second)
		assert.Len(t, in.told(), 2)
	})
}

func TestASilenceOfAnotherCalendarIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c reconfigured
		r := c.start(t, []string{"new"}, alert.Route{Name: "all", Targets: []string{"new"}})
		at := time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
		_, err := r.Silence(t.Context(), alert.Silence{Match: alert.Matcher{Environments: []string{"test"}}, By: "kim", Comment: "x", Begins: at, Ends: at.Add(time.Hour)})
		require.ErrorContains(t, err, "years 0 to 9999", "it could not be stored")
		stop(t, r)
	})
}
