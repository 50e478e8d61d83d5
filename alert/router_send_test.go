package alert_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// A test message goes to one target, at once, says that it is one, and changes nothing.
//
// Requirement: AL-SEND-TEST
func TestTestMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slack, status := &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: slack}, {Name: "status", Notifier: status, Audience: alert.Everyone}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}}},
		})
		require.ErrorContains(t, r.Test(t.Context(), "other", "ana"), `there is no target "other"`)
		require.NoError(t, r.Test(t.Context(), "slack", "Ana Silva"))
		require.NoError(t, r.Test(t.Context(), "status", "Ana Silva"))
		assert.Empty(t, r.Deliveries())
		assert.Empty(t, r.Alerts())
		n := slack.told()[0]
		assert.Equal(t, alert.KindTest, n.Kind)
		assert.Contains(t, n.Title, "TEST")
		assert.Contains(t, n.Text, "Ana Silva sent it at 00:00 UTC")
		assert.Nil(t, n.Post)
		assert.NotNil(t, status.told()[0].Post, "everyone gets posts only")
		pass(time.Second)
		require.NoError(t, r.Test(t.Context(), "slack", "Ana Silva"))
		assert.NotEqual(t, n.Key, slack.told()[1].Key, "two tests are two conversations")

		slack.fails(&alert.Error{Service: "slack", Op: "post message", Kind: alert.ErrRefused, Code: "channel_not_found"})
		assert.ErrorIs(t, r.Test(t.Context(), "slack", "ana"), alert.ErrRefused)
		slack.do = func(context.Context, alert.Notification) error { panic("broken") }
		assert.ErrorContains(t, r.Test(t.Context(), "slack", "ana"), "panicked")
		slack.do = func(ctx context.Context, _ alert.Notification) error { <-ctx.Done(); return ctx.Err() }
		assert.ErrorIs(t, r.Test(t.Context(), "slack", "ana"), context.DeadlineExceeded)
	})
}

// Each target is paced by itself; the worst alerts go first.
//
// Requirement: AL-SEND-LIMIT
func TestPace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow, fast := &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{
				{Name: "slow", Notifier: slow, PerSecond: 0.5, Burst: 2, Storm: 1000}, {Name: "fast", Notifier: fast, PerSecond: 1000, Burst: 1000, Storm: 1000},
			},
			Routes: []alert.Route{{Name: "all", Targets: []string{"slow", "fast"}, GroupBy: []string{"entity"}, Wait: -1}},
		})
		for i := range 30 {
			handle(t, r, firing(alert.Low, "production", fmt.Sprint(i)))
		}
		pass(time.Second)
		assert.Len(t, fast.told(), 30)
		assert.Len(t, slow.told(), 2)
		handle(t, r, firing(alert.Critical, "production", "late and worst"))
		pass(20 * time.Second)
		got := slow.told()
		require.Len(t, got, 12)
		assert.Equal(t, alert.Critical, got[2].Severity)
		for i := 3; i < len(got); i++ {
			assert.Equal(t, alert.Low, got[i].Severity)
		}
		pass(time.Minute)
		assert.Len(t, slow.told(), 31)
	})
}

// What is refused for good is not sent again. The fallback gets it, and is told of the end;
// the target that refused is tried with what is new, and with the end.
//
// Requirement: AL-SEND-PERMANENT
func TestRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slack, mail := &inbox{}, &inbox{}
		cfg := alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: slack, Fallback: "mail"}, {Name: "mail", Notifier: mail}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}, Wait: -1, Update: time.Minute}},
			Store:   &alert.MemoryStore{},
		}
		r := start(t, cfg)
		refused := &alert.Error{Service: "slack", Op: "post message", Status: 200, Code: "channel_not_found", Kind: alert.ErrRefused}
		slack.fails(refused)
		a := firing(alert.Medium, "production", "a")
		handle(t, r, a)
		pass(time.Hour)
		assert.Len(t, slack.attempts(), 1, "it is not sent again")
		require.Equal(t, []alert.Kind{alert.KindFiring}, mail.kinds()[:1])
		assert.Contains(t, mail.told()[0].Text, "You are told because slack does not take its messages.")
		assert.Equal(t, []string{"mail"}, r.Alerts()[0].Told)
		assert.Equal(t, map[string]string{"slack": "the target refused the message"}, r.Alerts()[0].Muted)
		require.Len(t, r.Deliveries(), 1)
		assert.True(t, r.Deliveries()[0].Refused)
		assert.Contains(t, r.Deliveries()[0].Error, "channel_not_found")

		// Something new is tried.
		slack.fails(nil)
		b := firing(alert.Medium, "production", "b")
		handle(t, r, b)
		pass(2 * time.Minute)
		require.Len(t, slack.told(), 1)
		assert.NotEqual(t, slack.attempts()[0].Key, slack.told()[0].Key, "it is another conversation")
		assert.Len(t, slack.told()[0].Alerts, 1, "of what it refused it is not told")

		// So is an alert that comes again.
		handle(t, r, over(a))
		pass(2 * time.Minute)
		a.Fired = time.Now()
		handle(t, r, a)
		pass(10 * time.Minute)
		require.Len(t, slack.told(), 2)
		assert.Len(t, slack.told()[1].Alerts, 2)

		// The end is told to both.
		handle(t, r, over(a), over(b))
		pass(time.Minute)
		assert.Equal(t, alert.KindResolved, slack.told()[len(slack.told())-1].Kind)
		assert.Equal(t, alert.KindResolved, mail.told()[len(mail.told())-1].Kind)
		assert.Empty(t, r.Alerts())
		stop(t, r)

		// After a restart it is listed still.
		r = router(t, cfg)
		assert.Len(t, r.Deliveries(), 1)
	})
}

// The end of what was told, if it is refused, is a notice to the fallback.
func TestRefusedEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slack, mail := &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "slack", Notifier: slack, Fallback: "mail"}, {Name: "mail", Notifier: mail, Fallback: "slack"}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slack"}, Wait: -1}},
		})
		a := firing(alert.Medium, "production", "a")
		handle(t, r, a)
		pass(time.Minute)
		slack.fails(&alert.Error{Kind: alert.ErrRefused})
		mail.errs = []error{&alert.Error{Kind: alert.ErrRefused}}
		handle(t, r, over(a))
		pass(time.Hour)
		assert.Empty(t, mail.told())
		assert.Len(t, r.Deliveries(), 2, "two that refuse do not hand it to and fro")
		handle(t, r, a)
		pass(time.Minute)
		handle(t, r, over(a))
		pass(time.Minute)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, mail.kinds())
		slack.fails(nil)
		handle(t, r, a)
		pass(time.Minute)
		slack.fails(&alert.Error{Kind: alert.ErrRefused})
		handle(t, r, over(a))
		pass(time.Minute)
		require.Len(t, mail.told(), 3)
		assert.Equal(t, alert.KindNotice, mail.told()[2].Kind)
		assert.Contains(t, mail.told()[2].Title, "Not taken by slack: RESOLVED after ")
		assert.Empty(t, r.Alerts())
	})
}

// A message that may have arrived and is then refused counts as told: its end is told.
func TestRefusedAfterAnUnknownOutcome(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{errs: []error{errors.New("reset"), &alert.Error{Kind: alert.ErrRefused}}}
		r := router(t, one(in))
		a := firing(alert.Critical, "production", "a")
		handle(t, r, a)
		pass(time.Minute)
		assert.Equal(t, []string{"slack"}, r.Alerts()[0].Told)
		handle(t, r, over(a))
		pass(time.Second)
		assert.Equal(t, []alert.Kind{alert.KindResolved}, in.kinds())
	})
}

// After an unknown outcome the same message comes again, under the same key and number, and
// says so; after one that is proven not to have been sent it does not.
//
// Requirement: AL-SEND-TWICE
func TestUnknownOutcome(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		repeat bool
	}{
		"reset":       {errors.New("connection reset"), true},
		"500":         {&alert.Error{Status: 500}, true},
		"deadline":    {context.DeadlineExceeded, true},
		"unsent":      {&alert.Error{Unsent: true, Err: errors.New("refused")}, false},
		"limited":     {&alert.Error{Kind: alert.ErrLimited}, false},
		"wrapped":     {fmt.Errorf("x: %w", &alert.Error{Unsent: true}), false},
		"wrapped 500": {fmt.Errorf("x: %w", &alert.Error{Status: 500}), true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := &inbox{errs: []error{c.err}}
				r := router(t, one(in))
				handle(t, r, firing(alert.Critical, "production", "a"))
				pass(time.Minute)
				all := in.attempts()
				require.Len(t, all, 2)
				assert.Equal(t, c.repeat, all[1].PossibleRepeat)
				all[1].PossibleRepeat = false
				assert.Equal(t, all[0], all[1])
			})
		})
	}
}

// A target that fails, hangs or panics delays no other, and is tried less and less often.
//
// Requirement: AL-SEND-CIRCUIT
func TestFailingTargetDelaysNoOther(t *testing.T) {
	release := make(chan struct{})
	for name, do := range map[string]func(context.Context, alert.Notification) error{
		"fails":    func(context.Context, alert.Notification) error { return errors.New("no") },
		"hangs":    func(ctx context.Context, _ alert.Notification) error { <-ctx.Done(); return ctx.Err() },
		"panics":   func(context.Context, alert.Notification) error { panic("no") },
		"for ever": func(context.Context, alert.Notification) error { <-release; return nil },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release = make(chan struct{})
				bad, good, fallback := &inbox{do: do}, &inbox{}, &inbox{}
				r := start(t, alert.RouterConfig{
					Targets: []alert.Target{
						{Name: "bad", Notifier: bad, Fallback: "fallback", Storm: 1000}, {Name: "good", Notifier: good, Storm: 1000, PerSecond: 1000},
						{Name: "fallback", Notifier: fallback, Storm: 1000, PerSecond: 1000},
					},
					Routes: []alert.Route{{Name: "all", Targets: []string{"bad", "good"}, GroupBy: []string{"entity"}, Wait: -1}},
				})
				for i := range 50 {
					handle(t, r, firing(alert.Medium, "production", fmt.Sprint(i)))
				}
				pass(time.Second)
				assert.Len(t, good.told(), 50)
				pass(10 * time.Minute)
				assert.Len(t, fallback.told(), 50, "what waits for its turn is told to the fallback too")
				before := len(bad.attempts())
				pass(10 * time.Minute)
				assert.LessOrEqual(t, len(bad.attempts())-before, 25, "it rests")

				// When it works again it is told everything.
				bad.mu.Lock()
				bad.do = nil
				bad.mu.Unlock()
				close(release)
				pass(3 * time.Minute)
				assert.Len(t, bad.told(), 50)
				assert.Empty(t, r.Deliveries())
				stop(t, r)
			})
		})
	}
}

// One message that never succeeds is tried less and less often although others arrive.
func TestPoisonedMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		in.do = func(_ context.Context, n alert.Notification) error {
			if n.Alerts[0].Entity == "poison" {
				return &alert.Error{Status: 500}
			}
			return nil
		}
		cfg := one(in)
		cfg.Routes[0].GroupBy, cfg.Targets[0].RemindAfter = []string{"entity"}, -1
		r := router(t, cfg)
		handle(t, r, firing(alert.Critical, "production", "poison"))
		for i := range 60 {
			handle(t, r, firing(alert.Critical, "production", fmt.Sprint(i)))
			pass(time.Minute)
		}
		assert.Len(t, in.told(), 60)
		assert.Less(t, len(in.attempts())-len(in.told()), 100)
	})
}

// A message that is only late because the target is paced stays with the target.
func TestPacedIsNotFailing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in, fallback := &inbox{}, &inbox{}
		r := router(t, alert.RouterConfig{
			Targets: []alert.Target{{Name: "slow", Notifier: in, PerSecond: 0.1, Storm: 100, Fallback: "fallback"}, {Name: "fallback", Notifier: fallback}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"slow"}, GroupBy: []string{"entity"}, Wait: -1}},
		})
		for i := range 40 {
			handle(t, r, firing(alert.Medium, "production", fmt.Sprint(i)))
		}
		pass(10 * time.Minute)
		assert.Len(t, in.told(), 40)
		assert.Empty(t, fallback.told())
	})
}
