package alert_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/pagerduty"
	"go.acu.edu.au/runbook/health"
)

// The end of an alert that could not be delivered is kept until it can, over a restart too.
//
// Requirement: AL-GATUS-RESOLVE
func TestEndThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		r := start(t, cfg)
		a := firing(alert.Critical, "production", "app")
		handle(t, r, a)
		pass(time.Second)
		in.fails(&alert.Error{Service: "slack", Op: "post message", Status: 503})
		handle(t, r, over(a))
		pass(6 * time.Hour)
		assert.Equal(t, []alert.Kind{alert.KindFiring}, in.kinds())
		require.Len(t, r.Deliveries(), 1)
		assert.Equal(t, alert.KindResolved, r.Deliveries()[0].Notification.Kind)
		require.Len(t, r.Alerts(), 1, "it is listed until its end was told")
		assert.Equal(t, alert.Resolved, r.Alerts()[0].State)
		stop(t, r)
		r = router(t, cfg)
		pass(time.Hour)
		in.fails(nil)
		pass(2 * time.Minute)
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
		assert.True(t, in.told()[1].PossibleRepeat)
		assert.Contains(t, in.told()[1].Text, "This message is late: it says what was known at 00:00 UTC.")
		assert.Empty(t, r.Alerts())
		assert.Empty(t, r.Deliveries())
	})
}

// Requirement: AL-GATUS-CONTEXT
func TestEveryDeliveryHasADeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		left := make(chan time.Duration, 100)
		in := &inbox{do: func(ctx context.Context, _ alert.Notification) error {
			deadline, ok := ctx.Deadline()
			assert.True(t, ok)
			left <- time.Until(deadline)
			<-ctx.Done()
			return ctx.Err()
		}}
		cfg := one(in)
		cfg.Targets[0].Timeout = 7 * time.Second
		r := router(t, cfg)
		handle(t, r, firing(alert.Critical, "production", "app"))
		pass(time.Second)
		assert.Error(t, r.Test(t.Context(), "slack", "ana"))
		pass(time.Minute)
		require.Greater(t, len(left), 3)
		for len(left) > 0 {
			assert.Equal(t, 7*time.Second, <-left)
		}
	})
}

// Maintenance stops that people are told, and not that rules are evaluated: what began in
// it, and goes on, is told when it is over, with the time at which it began.
//
// Requirement: AL-GATUS-FROZEN
func TestMaintenanceStopsNoEvaluation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Maintenance = []alert.Maintenance{{
			Match: alert.Matcher{Environments: []string{"production"}}, Window: health.Window{Name: "release", Start: time.Now(), End: time.Now().Add(time.Hour)},
		}}
		e, r := engineAndRouter(t, cfg, alert.Rule{Name: "check", Input: "health", Severity: alert.Critical, When: alert.Failures{Fail: 3}})
		feed := func(entity string) *alert.Feed {
			f, err := e.Feed(alert.Source{Input: "health", Environment: "production", Entity: entity}, nil)
			require.NoError(t, err)
			return f
		}
		short, long := feed("short"), feed("long")
		for i := range 58 {
			short.Result(i >= 5 && i < 20, "status 503")
			long.Result(i >= 30, "status 503")
			pass(time.Minute)
		}
		require.Empty(t, in.told())
		require.Len(t, r.Alerts(), 1)
		assert.Equal(t, alert.Firing, r.Alerts()[0].State, "it is evaluated")
		assert.Equal(t, map[string]string{"slack": "maintenance release"}, r.Alerts()[0].Muted)
		pass(3 * time.Minute)
		require.Equal(t, []string{"CRITICAL production: check long"}, in.titles())
		assert.Contains(t, in.told()[0].Text, "since 00:32 UTC")
	})
}

// The key of an incident is chosen by the sender, before anything is sent: an answer that
// is lost opens no second one, and neither does a restart.
//
// Requirement: AL-GATUS-DEDUP-KEY
func TestKeyIsChosenByTheSender(t *testing.T) {
	bubble(t, func(t *testing.T) {
		service := &alerttest.PagerDuty{RoutingKey: "0123456789abcdef0123456789abcdef"}
		n, err := pagerduty.New(pagerduty.Config{RoutingKey: runbook.NewSecret(service.RoutingKey), HTTP: service.Client()})
		require.NoError(t, err)
		in := &inbox{do: func(ctx context.Context, what alert.Notification) error {
			_, err := n.Notify(ctx, what)
			return err
		}}
		cfg := one(in)
		r := start(t, cfg)
		service.Fail(alerttest.Lost, alerttest.LateError, alerttest.ServerError)
		a := firing(alert.Critical, "production", "app")
		handle(t, r, a)
		pass(500 * time.Millisecond)
		stop(t, r)
		r = router(t, cfg)
		pass(time.Minute)
		require.Len(t, service.Alerts(), 1)
		attempts := in.attempts()
		require.Len(t, attempts, 4)
		for i, n := range attempts {
			assert.Equal(t, attempts[0].Key, n.Key)
			assert.Equal(t, 1, n.Seq)
			assert.Equal(t, i > 0, n.PossibleRepeat)
		}
		handle(t, r, over(a))
		pass(time.Second)
		assert.Equal(t, "resolved", service.Alerts()[0].Status)
	})
}

// Requirement: AL-GATUS-SEND-RESOLVED
func TestEndsAreToldByDefault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: in}}, Routes: []alert.Route{{Name: "all", Targets: []string{"slack"}}},
		})
		a := firing(alert.Low, "beta", "app")
		handle(t, r, a)
		pass(time.Minute)
		handle(t, r, over(a))
		pass(time.Second)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
	})
}

// One cause is one message, which names what fails because of it.
//
// Requirement: AL-GATUS-GROUPING
func TestGrouping(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		for i := range 25 {
			handle(t, r, firing(alert.High, "production", fmt.Sprintf("check-%02d", i)))
		}
		handle(t, r, firing(alert.High, "beta", "check-00"))
		pass(time.Minute)
		assert.ElementsMatch(t, []string{
			"HIGH production: check-00 has failed 3 checks in a row, and 24 more", "HIGH beta: check-00 has failed 3 checks in a row",
		}, titlesWithout(in, "check-"))
		pass(time.Minute)
		assert.Len(t, in.told(), 2)
	})
}

// titlesWithout are the titles; which of equal alerts is the first is not said.
func titlesWithout(in *inbox, prefix string) (titles []string) {
	for _, title := range in.titles() {
		if i := indexOf(title, prefix); i >= 0 {
			title = title[:i] + prefix + "00" + title[i+len(prefix)+2:]
		}
		titles = append(titles, title)
	}
	return titles
}

// Requirement: AL-GATUS-SILENCE
func TestSilence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy, cfg.Targets[0].RemindAfter = []string{"entity"}, -1
		r := start(t, cfg)
		match := alert.Matcher{Labels: map[string]string{"entity": "app"}}
		later := time.Now().Add(time.Hour)
		for text, s := range map[string]alert.Silence{
			"match everything": {By: "ana", Comment: "x", Ends: later},
			"who wants it":     {Match: match, Comment: "x", Ends: later},
			"or why":           {Match: match, By: "ana", Ends: later},
			"must end":         {Match: match, By: "ana", Comment: "x"},
			"after 30 days":    {Match: match, By: "ana", Comment: "x", Ends: time.Now().Add(31 * 24 * time.Hour)},
			"severity 9":       {Match: alert.Matcher{Severities: []alert.Severity{9}}, By: "ana", Comment: "x", Ends: later},
		} {
			_, err := r.Silence(t.Context(), s)
			assert.ErrorContains(t, err, text)
		}
		s, err := r.Silence(t.Context(), alert.Silence{Match: match, By: "ana", Comment: "load test", Ends: later})
		require.NoError(t, err)
		a, other := firing(alert.Critical, "production", "app"), firing(alert.Critical, "production", "other")
		handle(t, r, a, other)
		pass(30 * time.Minute)
		assert.Equal(t, []string{"CRITICAL production: other has failed 3 checks in a row"}, in.titles())
		stop(t, r)
		r = router(t, cfg)
		require.Len(t, r.Silences(), 1)
		pass(31 * time.Minute)
		require.Len(t, in.told(), 2, "its time is over")

		// One that ends with the alert.
		handle(t, r, over(a))
		_, err = r.Silence(t.Context(), alert.Silence{Match: match, By: "ana", Comment: "known", Ends: time.Now().Add(24 * time.Hour), UntilResolved: true})
		require.NoError(t, err)
		handle(t, r, a)
		pass(time.Hour)
		assert.Len(t, in.told(), 3)
		handle(t, r, over(a))
		assert.Empty(t, r.Silences())
		a.Fired = time.Now()
		handle(t, r, a)
		pass(time.Second)
		assert.Len(t, in.told(), 4)
		assert.ErrorIs(t, r.EndSilence(t.Context(), s.ID, "ana"), alert.ErrNoSilence)
	})
}

// What is to be sent survives a crash of the sender at any moment: before it was sent,
// while it was on its way, and after.
//
// Requirement: AL-GATUS-OUTBOX
func TestCrash(t *testing.T) {
	for name, when := range map[string]time.Duration{"before": 0, "on its way": 31 * time.Second, "after": 45 * time.Second} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store := &mortal{MemoryStore: &alert.MemoryStore{}}
				in := &inbox{do: func(context.Context, alert.Notification) error { time.Sleep(5 * time.Second); return nil }}
				cfg := one(in)
				cfg.Store = store
				r := start(t, cfg)
				handle(t, r, slow(alert.Firing))
				pass(when)
				store.kill()
				stop(t, r)
				known := len(in.told())

				cfg.Store = store.MemoryStore
				router(t, cfg)
				pass(time.Minute)
				got := in.told()
				switch name {
				case "before":
					require.Len(t, got, 1)
					assert.False(t, got[0].PossibleRepeat)
				case "on its way":
					require.Len(t, got, 2)
					assert.Equal(t, 1, known)
					assert.True(t, got[1].PossibleRepeat)
					assert.Equal(t, got[0].Key, got[1].Key)
					assert.Equal(t, got[0].Text, got[1].Text)
				case "after":
					require.Len(t, got, 1)
				}
			})
		})
	}
}
