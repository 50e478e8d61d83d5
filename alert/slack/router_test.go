package slack_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
)

// newRouter returns a router with one target, and its hooks.
func newRouter(t testing.TB, target alert.Target, onDelivery func(alert.Attempt)) *alert.Router {
	t.Helper()
	target.Name = "slack"
	r, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{target}, Store: &alert.MemoryStore{}, Logger: slog.New(slog.DiscardHandler),
		Routes: []alert.Route{{Name: "all", Targets: []string{"slack"}, GroupBy: []string{"entity"}, Wait: -1}},
		Hooks:  alert.RouterHooks{OnDelivery: onDelivery},
	})
	require.NoError(t, err)
	require.NoError(t, r.Start(t.Context()))
	t.Cleanup(func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) })
	return r
}

func entity(i int) alert.Alert {
	a := firing()
	a.Entity = fmt.Sprintf("service-%d", i)
	a.Key = alert.Key(a.Rule, a.Environment, a.Entity, a.Reason)
	return a
}

// TestRate has a router tell Slack of more than Slack takes at once: nothing is limited, and
// everything arrives. When Slack asks to wait nevertheless, that is waited for.
//
// Requirement: AL-SLACK-RATE
func TestRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newSlack(t, nil)
		var limited atomic.Int64
		r := newRouter(t, alert.Target{Notifier: n, Storm: 1000}, func(a alert.Attempt) {
			if a.Err != nil {
				limited.Add(1)
			}
		})
		for i := range 40 {
			require.NoError(t, r.Handle(t.Context(), entity(i)))
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		assert.Len(t, s.Messages(), 40)
		assert.Zero(t, limited.Load(), "one message a second is kept")

		s.Fail(alerttest.Limit)
		require.NoError(t, r.Handle(t.Context(), entity(99)))
		time.Sleep(alerttest.RetryAfter - time.Second)
		synctest.Wait()
		assert.Len(t, s.Messages(), 40)
		assert.EqualValues(t, 1, limited.Load())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Len(t, s.Messages(), 41)
	})
}

// TestFromFiringToResolved goes through a real router: a person presses the button, the first
// message says so, and the end goes to the thread.
//
// Requirement: AL-SLACK-THREAD, AL-AM-THREADS
func TestFromFiringToResolved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, n := newSlack(t, buttons)
		r := newRouter(t, alert.Target{Notifier: n}, nil)
		actions, err := slack.NewActionsHandler(slack.ActionsConfig{
			SigningSecret: runbook.NewSecret(s.SigningSecret),
			OnAction: func(ctx context.Context, a slack.Action) error {
				return r.Acknowledge(ctx, a.Alert, alert.Acknowledgement{By: a.UserName})
			},
		})
		require.NoError(t, err)
		a := entity(1)
		require.NoError(t, r.Handle(t.Context(), a))
		time.Sleep(time.Second)
		synctest.Wait()
		root := s.Messages()[0]
		require.Len(t, root.Buttons, 1)
		require.Equal(t, http.StatusOK, s.Press(actions, root, root.Buttons[0], "U1", "ana"))
		time.Sleep(time.Second)
		synctest.Wait()
		root = s.Messages()[0]
		assert.Contains(t, root.Body, "State: acknowledged by ana")
		assert.Empty(t, root.Buttons)
		a.State, a.Ended = alert.Resolved, time.Now()
		require.NoError(t, r.Handle(t.Context(), a))
		time.Sleep(time.Second)
		synctest.Wait()
		all := s.Messages()
		require.Len(t, all, 3)
		assert.Equal(t, all[0].TS, all[2].ThreadTS)
		assert.Contains(t, all[0].Header, "RESOLVED")
		assert.Contains(t, all[2].Header, "RESOLVED")
		assert.Empty(t, r.Deliveries())
	})
}

// BenchmarkFiringToSlack measures from an alert that fires, through a router with a store in
// memory, to the request that Slack has received over TLS on the loopback. The target is 5 ms;
// the alert waits for no grouping.
func BenchmarkFiringToSlack(b *testing.B) {
	s := &alerttest.Slack{Burst: 1 << 30}
	arrived := make(chan struct{})
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		s.ServeHTTP(w, r)
	}))
	defer server.Close()
	n, err := slack.New(slack.Config{
		Token: runbook.NewSecret(token), Channel: "#alerts", Buttons: true, BaseURL: server.URL + "/api/", HTTP: server.Client(),
	})
	require.NoError(b, err)
	done := make(chan error, 1)
	r := newRouter(b, alert.Target{Notifier: n, PerSecond: 1e6, Burst: 1 << 30, Storm: 1 << 30}, func(a alert.Attempt) { done <- a.Err })
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		if err := r.Handle(b.Context(), entity(i)); err != nil {
			b.Fatal(err)
		}
		<-arrived
		b.StopTimer()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkForgedAction measures how much it costs to refuse a request that is not Slack's,
// which anybody can send. The target is 50 µs for one of usual size.
func BenchmarkForgedAction(b *testing.B) {
	s, n := newSlack(b, buttons)
	_, err := n.Notify(b.Context(), note(alert.KindFiring, 1, "app", "", firing()))
	require.NoError(b, err)
	m := s.Messages()[0]
	h := (&taker{}).handler(b, "another secret")
	r := s.PressRequest(m, m.Buttons[0], "U1", "ana")
	b.ReportAllocs()
	for b.Loop() {
		r.Body, err = r.GetBody()
		if err != nil {
			b.Fatal(err)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
}
