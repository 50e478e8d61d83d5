package otelrunbook_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

func TestDeliveries(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err    error
		result string
		status string
	}{
		"arrived": {nil, "delivered", ""},
		"limited": {&alert.Error{Service: "slack", Status: 429, Kind: alert.ErrLimited, Code: secret}, "limited", "429"},
		"refused": {&alert.Error{Service: "slack", Status: 200, Kind: alert.ErrRefused, Code: secret}, "refused", "200"},
		"unsent":  {&alert.Error{Service: "slack", Unsent: true, Err: errors.New(secret)}, "unsent", ""},
		"unknown": {errors.New("the token " + secret + " broke"), "unknown", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, otelrunbook.Config{})
			var inner trace.SpanContext
			n := w.Notifier("slack-alerts", alert.NotifierFunc(func(ctx context.Context, _ alert.Notification) (alert.Receipt, error) {
				inner = trace.SpanContextFromContext(ctx)
				return "receipt", c.err
			}))
			receipt, err := n.Notify(t.Context(), alert.Notification{Key: "c1", Seq: 2, Kind: alert.KindFiring, Environment: "production", Title: secret, Text: secret, PossibleRepeat: true})
			assert.Equal(t, alert.Receipt("receipt"), receipt)
			assert.Equal(t, c.err, err)
			s := w.span(t, "deliver slack-alerts")
			assert.Equal(t, s.SpanContext.SpanID(), inner.SpanID(), "what a notifier calls is its child")
			want := map[string]string{
				"runbook.target": "slack-alerts", "runbook.kind": "firing", "runbook.environment": "production", "runbook.result": c.result,
				"runbook.notification.key": "c1", "runbook.notification.seq": "2", "runbook.notification.possible_repeat": "true",
			}
			if c.status != "" {
				want["http.response.status_code"] = c.status
			}
			if c.err != nil {
				want["error.type"] = c.result
				assert.Equal(t, codes.Error, s.Status.Code)
			}
			assert.Equal(t, want, attributes(s))
			assertNoSecret(t, w)
			assert.Equal(t, map[string]float64{"runbook.kind=firing,runbook.result=" + c.result + ",runbook.target=slack-alerts": 1}, w.values(t, "runbook.delivery.duration"))
		})
	}
}

func TestAPanicOfANotifierIsADeliveryOfUnknownOutcome(t *testing.T) {
	t.Parallel()
	w := newWorld(t, otelrunbook.Config{})
	n := w.Notifier("x", alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) { panic(secret) }))
	assert.PanicsWithValue(t, secret, func() { _, _ = n.Notify(t.Context(), alert.Notification{Kind: "made up by " + secret}) })
	assert.Equal(t, "unknown", w.span(t, "deliver x").Status.Description)
	assert.Equal(t, map[string]float64{"runbook.kind=other,runbook.result=unknown,runbook.target=x": 1}, w.values(t, "runbook.delivery.duration"))
}

// pager is a service that escalates by itself.
type pager struct{ alert.NotifierFunc }

func (pager) Escalates() bool { return true }

func TestWhatEscalatesStillDoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, otelrunbook.Config{})
	f := alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) { return "", nil })
	e, ok := w.Notifier("pagerduty", pager{f}).(alert.Escalator)
	require.True(t, ok)
	assert.True(t, e.Escalates())
	_, ok = w.Notifier("slack", f).(alert.Escalator)
	assert.False(t, ok)
	assert.Nil(t, w.Notifier("none", nil))
}
