package wsprobe_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/wsprobe"
)

// piped returns a client whose only connection is answered like that of raw,
// in memory, so that time can be virtual. The rest of the conversation is
// talk's.
func piped(answer string, talk func(net.Conn)) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			shake(server, answer, true)
			talk(server)
		}()
		return client, nil
	}}}
}

// TestProbe_closeIsBounded shows that a server that does not join in the closing
// handshake holds a probe for a second at most, and not past its context.
func TestProbe_closeIsBounded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		talk    func(net.Conn)
		allowed time.Duration
		want    time.Duration
	}{
		"reads on":           {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, time.Minute, time.Second},
		"reads no more":      {func(net.Conn) {}, time.Minute, time.Second},
		"sends without end":  {func(c net.Conn) { go func() { _, _ = io.Copy(io.Discard, c) }(); babble(c) }, time.Minute, time.Second},
		"the time ends soon": {func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, 200 * time.Millisecond, 200 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tc.allowed)
				defer cancel()
				start := time.Now()
				r := prober(t, wsprobe.Config{URL: "ws://app.test/", HTTP: piped(accepted, tc.talk)}).Probe(ctx)
				assert.Equal(t, health.Healthy, r.Status, r.Message)
				assert.Equal(t, tc.want, time.Since(start))
				assert.Zero(t, r.Duration, "what the close took is not the server's latency")
				time.Sleep(time.Second) // for the server to notice
			})
		})
	}
}

// babble sends small messages for ever, ten a second.
func babble(c net.Conn) {
	for {
		if _, err := io.WriteString(c, "\x81\x01x"); err != nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TestProbe_latency shows what is measured, and the budget on it.
func TestProbe_latency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		talk := func(c net.Conn) {
			go func() { _, _ = io.Copy(io.Discard, c) }()
			time.Sleep(700 * time.Millisecond)
			_, _ = io.WriteString(c, "\x81\x04pong\x88\x02\x03\xe8")
		}
		r := prober(t, wsprobe.Config{
			URL: "ws://app.test/", HTTP: piped(accepted, talk), Send: "ping", Want: &wsprobe.Want{Equal: "pong"},
			Latency: health.Budget{Warn: 500 * time.Millisecond},
		}).Probe(t.Context())
		assert.Equal(t, health.Degraded, r.Status)
		assert.Equal(t, health.CauseSlow, r.Cause)
		assert.Equal(t, 700*time.Millisecond, r.Duration)
		assert.Empty(t, cmp.Diff([]health.Measurement{
			{Name: "dns", Unit: health.Milliseconds},
			{Name: "connect", Unit: health.Milliseconds},
			{Name: "first_byte", Unit: health.Milliseconds},
			{Name: "handshake", Value: 0, Unit: health.Milliseconds},
			{Name: "round_trip", Value: 700, Unit: health.Milliseconds},
		}, r.Measurements))
	})
}

// TestProbe_endsWithItsContext shows for every point at which a server can hang
// that the probe ends exactly with its context, and says which point it was.
func TestProbe_endsWithItsContext(t *testing.T) {
	t.Parallel()
	read := func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }
	for name, tc := range map[string]struct {
		answer  string
		talk    func(net.Conn)
		message string
	}{
		"handshake": {"", read, "while waiting for the answer"},
		"sending":   {accepted, func(net.Conn) {}, "while sending the message"},
		"waiting":   {accepted, read, "while waiting for the message"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := prober(t, wsprobe.Config{URL: "ws://app.test/", HTTP: piped(tc.answer, tc.talk), Send: "ping"})
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				r := p.Probe(ctx)
				assert.Equal(t, 10*time.Second, time.Since(start))
				assert.Equal(t, health.CauseTimeout, r.Cause)
				assert.Equal(t, "ws://app.test/: timed out after 10s "+tc.message, r.Message)

				ctx, cancel = context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				r = p.Probe(ctx)
				assert.Equal(t, 11*time.Second, time.Since(start))
				assert.Equal(t, health.Unknown, r.Status)
				assert.Equal(t, health.CauseNotAsked, r.Cause)
				assert.Equal(t, "ws://app.test/: the probe was cancelled "+tc.message, r.Message)
			})
		})
	}
}

func TestProbe_hostsTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := piped("", func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
		client.Timeout = 3 * time.Second
		r := prober(t, wsprobe.Config{URL: "ws://app.test/", HTTP: client}).Probe(t.Context())
		assert.Equal(t, 3*time.Second, r.Duration)
		assert.Equal(t, health.CauseTimeout, r.Cause)
		assert.Nil(t, client.CheckRedirect, "the host's client is not changed")
	})
}
