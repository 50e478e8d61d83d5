package alert_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// escalator is an inbox whose service escalates by itself.
type escalator struct{ inbox }

func (*escalator) Escalates() bool { return true }

func TestAcknowledgeConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		a, other := slow(alert.Firing), slow(alert.Firing)
		other.Key, other.Entity = alert.Key("response_time", "production", "api", alert.Failing), "api"
		require.NoError(t, r.Handle(t.Context(), a))
		require.NoError(t, r.Handle(t.Context(), other))
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, in.told(), 1)
		key, ack := in.told()[0].Key, alert.Acknowledgement{By: "ana"}
		require.NoError(t, r.AcknowledgeConversation(t.Context(), key, ack))
		for _, s := range r.Alerts() {
			require.NotNil(t, s.Acknowledged, s.Entity)
			assert.Equal(t, "ana", s.Acknowledged.By)
			assert.Equal(t, time.Now(), s.Acknowledged.At)
		}
		assert.ErrorIs(t, r.AcknowledgeConversation(t.Context(), "of another", ack), alert.ErrNoAlert)
		assert.ErrorIs(t, r.AcknowledgeConversation(t.Context(), "", ack), alert.ErrNoAlert)
		assert.Error(t, r.AcknowledgeConversation(t.Context(), key, alert.Acknowledgement{}))
		time.Sleep(time.Minute)
		a.State, other.State = alert.Resolved, alert.Resolved
		require.NoError(t, r.Handle(t.Context(), a))
		require.NoError(t, r.Handle(t.Context(), other))
		time.Sleep(time.Minute)
		assert.ErrorIs(t, r.AcknowledgeConversation(t.Context(), key, ack), alert.ErrNoAlert, "it is over")
	})
}

// While a service escalates, no other target pages; when it does not take the message,
// its fallback does.
func TestEscalator(t *testing.T) {
	for name, c := range map[string]struct {
		errs  []error
		wait  time.Duration
		pages int
	}{
		"taken":   {nil, time.Minute, 0},
		"refused": {[]error{&alert.Error{Kind: alert.ErrRefused}}, time.Minute, 1},
		"late": {[]error{
			&alert.Error{Kind: alert.ErrLimited, RetryAfter: 3 * time.Minute}, &alert.Error{Kind: alert.ErrLimited, RetryAfter: 10 * time.Minute},
		}, 5 * time.Minute, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				duty, sms := &escalator{inbox{errs: c.errs}}, &inbox{}
				r, err := alert.NewRouter(alert.RouterConfig{
					Targets: []alert.Target{{Name: "duty", Notifier: duty, Pages: true, Fallback: "sms"}, {Name: "sms", Notifier: sms, Pages: true}},
					Routes:  []alert.Route{{Name: "all", Targets: []string{"duty", "sms"}}},
				})
				require.NoError(t, err)
				require.NoError(t, r.Start(t.Context()))
				defer func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) }()
				a := slow(alert.Firing)
				a.Severity = alert.Critical
				require.NoError(t, r.Handle(t.Context(), a))
				time.Sleep(c.wait)
				assert.Len(t, sms.kinds(), c.pages)
				if c.pages == 0 {
					assert.Contains(t, r.Alerts()[0].Muted["sms"], "target duty pages")
				}
			})
		})
	}
}
