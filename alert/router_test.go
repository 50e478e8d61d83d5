package alert_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// inbox is a target that keeps what it was told, and fails as it is told to.
type inbox struct {
	mu   sync.Mutex
	got  []alert.Notification
	errs []error                                               // of the next calls; nil lets one pass
	do   func(ctx context.Context, n alert.Notification) error // called before, without the lock
	down error                                                 // of all calls
	all  []alert.Notification                                  // also those that failed
}

func (i *inbox) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	i.mu.Lock()
	do := i.do
	i.all = append(i.all, n)
	i.mu.Unlock()
	if do != nil {
		if err := do(ctx, n); err != nil {
			return "", err
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down != nil {
		return "", i.down
	}
	if len(i.errs) > 0 {
		err := i.errs[0]
		i.errs = i.errs[1:]
		if err != nil {
			return "", err
		}
	}
	i.got = append(i.got, n)
	if n.Prior != "" {
		return n.Prior, nil
	}
	return alert.Receipt(fmt.Sprintf("r%d", len(i.got))), nil
}

func (i *inbox) fails(err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.down = err
}

func (i *inbox) told() []alert.Notification {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]alert.Notification(nil), i.got...)
}

func (i *inbox) attempts() []alert.Notification {
	i.mu.Lock()
	defer i.mu.Unlock()
	return append([]alert.Notification(nil), i.all...)
}

func (i *inbox) kinds() (kinds []alert.Kind) {
	for _, n := range i.told() {
		kinds = append(kinds, n.Kind)
	}
	return kinds
}

func (i *inbox) titles() (titles []string) {
	for _, n := range i.told() {
		titles = append(titles, n.Title)
	}
	return titles
}

func slow(state alert.State) alert.Alert {
	return alert.Alert{
		Key: alert.Key("response_time", "production", "app", alert.Failing), Rule: "response_time", Environment: "production", Entity: "app",
		Severity: alert.High, Summary: "Response time of app is 7.2 s", Playbook: "performance-degradation",
		State: state, Value: 7.2, Limit: 5, Peak: 9.1, Unit: health.Seconds, Began: time.Now().Add(-4 * time.Minute), Fired: time.Now(),
	}
}

// firing is an alert that fires from now on.
func firing(severity alert.Severity, environment, entity string) alert.Alert {
	return alert.Alert{
		Key: alert.Key("health_check", environment, entity, alert.Failing), Rule: "health_check", Environment: environment, Entity: entity,
		Severity: severity, Summary: entity + " has failed 3 checks in a row", Playbook: "application-down", State: alert.Firing,
		Value: 3, Limit: 3, Peak: 3, Began: time.Now().Add(-90 * time.Second), Fired: time.Now(),
	}
}

func over(a alert.Alert) alert.Alert {
	a.State, a.Ended = alert.Resolved, time.Now()
	return a
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func start(t testing.TB, cfg alert.RouterConfig) *alert.Router {
	t.Helper()
	if cfg.Logger == nil {
		cfg.Logger = quiet
	}
	r, err := alert.NewRouter(cfg)
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context()))
	return r
}

func stop(t testing.TB, r *alert.Router) {
	t.Helper()
	assert.NoError(t, r.Stop(context.WithoutCancel(t.Context())))
}

// router starts a router that is stopped when the test ends.
func router(t testing.TB, cfg alert.RouterConfig) *alert.Router {
	t.Helper()
	r := start(t, cfg)
	t.Cleanup(func() { stop(t, r) })
	return r
}

func one(in alert.Notifier) alert.RouterConfig {
	return alert.RouterConfig{
		Targets: []alert.Target{{Name: "slack", Notifier: in}}, Routes: []alert.Route{{Name: "all", Targets: []string{"slack"}}},
		Store: &alert.MemoryStore{},
	}
}

func handle(t testing.TB, r *alert.Router, alerts ...alert.Alert) {
	t.Helper()
	for _, a := range alerts {
		require.NoError(t, r.Handle(t.Context(), a))
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func until(t testing.TB, at time.Time) {
	t.Helper()
	require.False(t, at.Before(time.Now()), "the clock is at %s already", time.Now())
	pass(time.Until(at))
}

// bubble runs a test in a bubble.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

func TestFiringAndResolved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		a := slow(alert.Firing)
		handle(t, r, a)
		pass(29 * time.Second)
		assert.Empty(t, in.kinds())
		pass(2 * time.Second)
		assert.Equal(t, []alert.Kind{alert.KindFiring}, in.kinds())
		pass(4 * time.Hour)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindReminder, alert.KindReminder}, in.kinds())
		handle(t, r, over(a))
		pass(time.Second)
		got := in.told()
		require.Len(t, got, 4)
		for i, n := range got {
			assert.Equal(t, i+1, n.Seq)
			assert.Equal(t, got[0].Key, n.Key)
			if i > 0 {
				assert.Equal(t, alert.Receipt("r1"), n.Prior)
			}
		}
		assert.Equal(t, alert.KindResolved, got[3].Kind)
		assert.Empty(t, r.Alerts())
		assert.Empty(t, r.Deliveries())

		// When it comes again it is another conversation.
		handle(t, r, a)
		pass(time.Minute)
		again := in.told()[4]
		assert.NotEqual(t, got[0].Key, again.Key)
		assert.Equal(t, 1, again.Seq)
		assert.Empty(t, again.Prior)
	})
}

func TestOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{errs: []error{errors.New("reset"), &alert.Error{Unsent: true}, &alert.Error{Kind: alert.ErrLimited, RetryAfter: time.Minute}}}
		r := router(t, one(in))
		a := slow(alert.Firing)
		a.Severity = alert.Critical
		handle(t, r, a)
		pass(time.Second)
		handle(t, r, over(a))
		pass(5 * time.Minute)
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
		assert.True(t, in.told()[0].PossibleRepeat)
		assert.False(t, in.told()[1].PossibleRepeat)
	})
}

// Nothing is accepted before Start and after Stop, and what was is not forgotten.
func TestRouterLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Logger = quiet
		r, err := alert.NewRouter(cfg)
		require.NoError(t, err)
		require.NoError(t, r.Stop(t.Context()), "a router that was not started is stopped")
		calls := func() []error {
			_, silence := r.Silence(t.Context(), alert.Silence{Match: alert.Matcher{Environments: []string{"beta"}}, By: "ana", Comment: "x", Ends: time.Now().Add(time.Hour)})
			return []error{
				r.Handle(t.Context(), slow(alert.Firing)), silence, r.EndSilence(t.Context(), "x", "ana"),
				r.Acknowledge(t.Context(), slow(alert.Firing).Key, alert.Acknowledgement{By: "ana"}), r.Post(t.Context(), alert.Post{ID: "x", Title: "x"}),
			}
		}
		for _, err := range calls() {
			assert.ErrorIs(t, err, alert.ErrStopped)
		}
		require.NoError(t, r.Start(t.Context()))
		require.ErrorContains(t, r.Start(t.Context()), "started before")
		handle(t, r, slow(alert.Firing))
		require.NoError(t, r.Stop(t.Context()))
		require.NoError(t, r.Stop(t.Context()))
		for _, err := range calls() {
			assert.ErrorIs(t, err, alert.ErrStopped)
		}
		assert.Empty(t, in.told())

		r = router(t, cfg)
		pass(time.Minute)
		assert.Equal(t, []alert.Kind{alert.KindFiring}, in.kinds())
		assert.Empty(t, r.Deliveries())
	})
}

// Stop waits for what is on its way as long as its context lasts, and then cuts it off.
func TestStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{do: func(ctx context.Context, _ alert.Notification) error {
			select {
			case <-time.After(10 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}}
		cfg := one(in)
		a := firing(alert.Critical, "production", "app")
		r := start(t, cfg)
		handle(t, r, a)
		pass(time.Second)
		began := time.Now()
		stop(t, r)
		assert.Equal(t, 9*time.Second, time.Since(began))
		assert.Equal(t, []alert.Kind{alert.KindFiring}, in.kinds())

		// That it arrived is stored, although it did so during the stop.
		r = start(t, cfg)
		pass(time.Minute)
		assert.Len(t, in.told(), 1)
		assert.Equal(t, []string{"slack"}, r.Alerts()[0].Told)

		// Cut off it is not known whether it arrived.
		handle(t, r, over(a))
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		began = time.Now()
		assert.ErrorIs(t, r.Stop(ctx), context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(began))
		r = router(t, cfg)
		pass(time.Minute)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
		assert.True(t, in.told()[1].PossibleRepeat)
		assert.Empty(t, r.Alerts())
	})
}

// A notifier that does not heed its context does not keep Stop from returning.
func TestStopWithANotifierThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		in := &inbox{do: func(context.Context, alert.Notification) error { <-release; return nil }}
		r := start(t, one(in))
		handle(t, r, firing(alert.Critical, "production", "app"))
		pass(time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		assert.ErrorIs(t, r.Stop(ctx), context.DeadlineExceeded)
		assert.Equal(t, 2*time.Second, time.Since(began))
		close(release)
		synctest.Wait()
	})
}

// Texts from outside may be anything: they are stored, and told.
func TestHostileAlert(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		r := start(t, cfg)
		a := firing(alert.Critical, "production", "app\x00\xff")
		a.Summary, a.Detail = "down\r\nBcc: all@example.com\x1b[31m\xff", strings.Repeat("a very long line ", 1000)+"\n"+strings.Repeat("line\n", 1000)
		a.Labels = map[string]string{"pod\xff": "x\xff"}
		inf := 1e308
		a.Value, a.Limit, a.Peak = inf*10, -inf*10, (inf*10)-(inf*10)
		handle(t, r, a)
		pass(time.Second)
		n := in.told()[0]
		assert.NotContains(t, n.Title, "\n")
		assert.True(t, utf8.ValidString(n.Title+n.Text))
		assert.NotContains(t, n.Text, "\x1b")
		assert.NotContains(t, n.Text, "\nBcc")
		assert.Less(t, len(n.Text), 2000)
		stop(t, r)

		// Nothing of it is told again after a restart.
		r = router(t, cfg)
		pass(time.Minute)
		assert.Len(t, in.told(), 1)
		require.Len(t, r.Alerts(), 1)
		handle(t, r, over(a))
		pass(time.Second)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
		assert.Empty(t, r.Alerts())
	})
}

func TestHandleRefuses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := router(t, one(&inbox{}))
		for text, change := range map[string]func(*alert.Alert){
			"the key":      func(a *alert.Alert) { a.Key = "" },
			"1 to 64":      func(a *alert.Alert) { a.Key = strings.Repeat("x", 65) },
			"printable":    func(a *alert.Alert) { a.Key = "a\x00" },
			"the rule":     func(a *alert.Alert) { a.Rule = "" },
			"severity 0":   func(a *alert.Alert) { a.Severity = 0 },
			`state "gone"`: func(a *alert.Alert) { a.State = "gone" },
			"a time":       func(a *alert.Alert) { a.Began = time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC) },
		} {
			a := slow(alert.Firing)
			change(&a)
			assert.ErrorContains(t, r.Handle(t.Context(), a), text)
		}
		assert.Empty(t, r.Alerts())
	})
}

// What a caller changes after it handed it over changes nothing.
func TestNothingIsShared(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		everyone := &inbox{}
		cfg := one(in)
		cfg.Targets = append(cfg.Targets, alert.Target{Name: "status", Notifier: everyone, Audience: alert.Everyone})
		r := router(t, cfg)
		a := slow(alert.Firing)
		a.Labels = map[string]string{"team": "qa"}
		handle(t, r, a)
		a.Labels["team"] = "changed"
		assert.Equal(t, "qa", r.Alerts()[0].Labels["team"])
		r.Alerts()[0].Labels["team"] = "changed"
		assert.Equal(t, "qa", r.Alerts()[0].Labels["team"])

		s, err := r.Silence(t.Context(), alert.Silence{
			Match: alert.Matcher{Environments: []string{"beta"}}, By: "ana", Comment: "load test", Ends: time.Now().Add(time.Hour),
		})
		require.NoError(t, err)
		s.Match.Environments[0] = "production"
		r.Silences()[0].Match.Environments[0] = "production"
		pass(time.Minute)
		assert.Len(t, in.told(), 1, "it is not silenced")

		p := alert.Post{ID: "incident-1", Title: "Slow", Components: map[string]string{"app": "degraded_performance"}}
		require.NoError(t, r.Post(t.Context(), p))
		p.Components["app"] = "operational"
		pass(time.Second)
		assert.Equal(t, "degraded_performance", everyone.told()[0].Post.Components["app"])
	})
}
