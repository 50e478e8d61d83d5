package alert_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// reconfigured starts a router over the same store with other targets and routes.
type reconfigured struct {
	store alert.MemoryStore
	boxes map[string]*inbox
}

func (c *reconfigured) start(t *testing.T, targets []string, routes ...alert.Route) *alert.Router {
	t.Helper()
	cfg := alert.RouterConfig{Store: &c.store, Routes: routes}
	if c.boxes == nil {
		c.boxes = make(map[string]*inbox)
	}
	for _, name := range targets {
		if c.boxes[name] == nil {
			c.boxes[name] = &inbox{}
		}
		cfg.Targets = append(cfg.Targets, alert.Target{Name: name, Notifier: c.boxes[name]})
	}
	return start(t, cfg)
}

// A target that is no longer configured is told nothing. What it should have been told is
// listed; if it comes back in time it is told the end.
func TestOrphanedTarget(t *testing.T) {
	for _, back := range []bool{true, false} {
		t.Run(fmt.Sprint(back), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var c reconfigured
				both, one := alert.Route{Name: "all", Targets: []string{"old", "new"}, Wait: -1}, alert.Route{Name: "all", Targets: []string{"new"}, Wait: -1}
				r := c.start(t, []string{"old", "new"}, both)
				a := firing(alert.High, "production", "a")
				handle(t, r, a)
				pass(time.Minute)
				stop(t, r)
				for range 3 { // restarts
					r = c.start(t, []string{"new"}, one)
					pass(time.Hour)
					assert.Equal(t, []string{"new", "old"}, r.Alerts()[0].Told)
					assert.Empty(t, r.Deliveries())
					stop(t, r)
				}
				if back {
					r = c.start(t, []string{"old", "new"}, both)
				} else {
					r = c.start(t, []string{"new"}, one)
				}
				handle(t, r, over(a))
				pass(time.Minute)
				assert.Equal(t, 1, count(c.boxes["new"].kinds(), alert.KindResolved))
				assert.Empty(t, r.Alerts())
				if back {
					// It is due to be reminded, which may come before the end is handed over.
					told := slices.DeleteFunc(c.boxes["old"].kinds(), func(k alert.Kind) bool { return k == alert.KindReminder })
					assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, told)
					assert.Empty(t, r.Deliveries())
				} else {
					assert.Equal(t, []alert.Kind{alert.KindFiring}, c.boxes["old"].kinds())
					require.Len(t, r.Deliveries(), 1)
					assert.Equal(t, alert.KindResolved, r.Deliveries()[0].Notification.Kind)
					assert.Contains(t, r.Deliveries()[0].Error, "no longer configured")
				}
				stop(t, r)
			})
		})
	}
}

// A message that waits for a target that is no longer configured is listed as not taken.
func TestOrphanedMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c reconfigured
		r := c.start(t, []string{"old", "new"}, alert.Route{Name: "all", Targets: []string{"old"}, Wait: -1})
		c.boxes["old"].fails(&alert.Error{Unsent: true})
		handle(t, r, firing(alert.High, "production", "a"))
		pass(time.Minute)
		stop(t, r)
		r = c.start(t, []string{"new"}, alert.Route{Name: "all", Targets: []string{"new"}, Wait: -1})
		pass(2 * time.Minute)
		require.Len(t, r.Deliveries(), 1)
		assert.Equal(t, "old", r.Deliveries()[0].Target)
		assert.Equal(t, []alert.Kind{alert.KindFiring}, c.boxes["new"].kinds(), "the new target is told")
		stop(t, r)
		r = c.start(t, []string{"new"}, alert.Route{Name: "all", Targets: []string{"new"}, Wait: -1})
		pass(time.Minute)
		assert.Len(t, r.Deliveries(), 1, "it is listed once")
		stop(t, r)
	})
}

// Routes that are renamed, or group otherwise, tell nobody again; conversations go on where
// they were, with reminders and ends.
func TestChangedRoutes(t *testing.T) {
	for name, route := range map[string]alert.Route{
		"renamed":       {Name: "everything", Targets: []string{"slack"}, Wait: -1},
		"grouped":       {Name: "all", Targets: []string{"slack"}, GroupBy: []string{"entity"}, Wait: -1},
		"other targets": {Name: "all", Targets: []string{"mail"}, Wait: -1},
		"none":          {Name: "all", Match: alert.Matcher{Environments: []string{"beta"}}, Targets: []string{"mail"}, Wait: -1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var c reconfigured
				r := c.start(t, []string{"slack", "mail"}, alert.Route{Name: "all", Targets: []string{"slack"}, Wait: -1})
				a, b := firing(alert.High, "production", "a"), firing(alert.High, "production", "b")
				handle(t, r, a, b)
				pass(10 * time.Minute)
				slack, mail := c.boxes["slack"], c.boxes["mail"]
				before := len(slack.told())
				stop(t, r)
				r = c.start(t, []string{"slack", "mail"}, route)
				pass(30 * time.Minute)
				assert.Len(t, slack.told(), before, "nobody is told again")
				pass(30 * time.Minute)
				if name == "renamed" || name == "grouped" {
					assert.Equal(t, 1, count(slack.kinds(), alert.KindReminder))
					assert.Empty(t, mail.told())
				} else {
					assert.Len(t, slack.told(), before, "nobody is reminded where no route leads any more")
					assert.Equal(t, name == "other targets", len(mail.told()) > 0)
				}
				handle(t, r, over(a), over(b))
				pass(time.Minute)
				assert.Equal(t, 1, count(slack.kinds(), alert.KindResolved))
				assert.Equal(t, 1, count(slack.kinds(), alert.KindFiring))
				assert.Empty(t, r.Alerts())
				stop(t, r)
			})
		})
	}
}

// Fallbacks, digests and acknowledgements go on after a restart, and a target that refused
// is tried again, since the configuration may have been mended.
func TestRestartAfterAFallback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slack, mail := &inbox{down: &alert.Error{Kind: alert.ErrRefused, Code: "invalid_auth"}}, &inbox{}
		cfg := alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: slack, Fallback: "mail"}, {Name: "mail", Notifier: mail}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}, Wait: -1}}, Store: &alert.MemoryStore{},
		}
		r := start(t, cfg)
		a := firing(alert.High, "production", "a")
		handle(t, r, a)
		pass(time.Minute)
		require.Len(t, mail.told(), 1)
		stop(t, r)
		slack.fails(nil)
		r = start(t, cfg)
		pass(time.Minute)
		assert.Equal(t, []alert.Kind{alert.KindFiring}, slack.kinds())
		assert.Len(t, mail.told(), 1)
		pass(time.Hour)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindReminder}, mail.kinds(), "the fallback goes on")
		handle(t, r, over(a))
		pass(time.Minute)
		assert.Equal(t, alert.KindResolved, slack.told()[len(slack.told())-1].Kind)
		assert.Equal(t, alert.KindResolved, mail.told()[len(mail.told())-1].Kind)
		stop(t, r)
	})
}

// Label values that look like other groups make no group with them.
func TestGroupsWithBarsInTheirNames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy, cfg.Routes[0].Wait = []string{"a", "b"}, -1
		r := router(t, cfg)
		for i, labels := range []map[string]string{{"a": "x|y", "b": "z"}, {"a": "x", "b": "y|z"}, {"a": "x%7Cy", "b": "z"}, {"a": "digest:slack"}} {
			a := firing(alert.High, "production", fmt.Sprint(i))
			a.Labels = labels
			handle(t, r, a)
		}
		pass(10 * time.Second)
		assert.Len(t, in.told(), 4)
	})
}
