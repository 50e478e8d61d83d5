package redisprobe_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
)

// TestProbe_hostFails shows that a failure of the host's own functions is told
// from one of the server, and that their words, which may hold a secret, are not
// shown.
func TestProbe_hostFails(t *testing.T) {
	t.Parallel()
	s := serve(t, nil)
	failure := errors.New("vault: 403 for " + password)
	for name, tc := range map[string]struct {
		opt     redis.Options
		status  health.Status
		cause   health.Cause
		message string
	}{
		"credentials": {
			redis.Options{CredentialsProviderContext: func(context.Context) (string, string, error) { return "", "", failure }},
			health.Unknown, health.CauseNotAsked, "the probe could not be made: the client's CredentialsProviderContext failed",
		},
		"OnConnect": {
			redis.Options{OnConnect: func(context.Context, *redis.Conn) error { return failure }},
			health.Unhealthy, health.CauseFailed, "login: the client's OnConnect failed",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.opt.Addr = s.addr
			r := prober(t, "", redisprobe.Config{Client: client(t, tc.opt)}).Probe(t.Context())
			assert.Equal(t, tc.status, r.Status)
			assert.Equal(t, tc.cause, r.Cause)
			assert.Equal(t, "Redis "+s.addr+": "+tc.message, r.Message)
		})
	}
}

// TestProbe_leavesTheHostAlone shows that a probe neither uses nor changes the
// client it was given: its pool, hooks, settings or being closed.
func TestProbe_leavesTheHostAlone(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]string{"INFO": bulk(infoText(t, "master"))})
	c := client(t, redis.Options{Addr: s.addr, MaxRetries: 7, PoolSize: 1})
	c.AddHook(forbidden{t})
	before := *c.Options()
	p := prober(t, "", redisprobe.Config{Client: c})
	require.Equal(t, health.Healthy, p.Probe(t.Context()).Status)
	assert.Zero(t, c.PoolStats().TotalConns)
	assert.Equal(t, before.MaxRetries, c.Options().MaxRetries)
	assert.Equal(t, before.ContextTimeoutEnabled, c.Options().ContextTimeoutEnabled)
	assert.Same(t, before.MaintNotificationsConfig, c.Options().MaintNotificationsConfig)
	require.NoError(t, c.Close())
	assert.Equal(t, health.Healthy, p.Probe(t.Context()).Status)
}

type forbidden struct{ t *testing.T }

func (f forbidden) DialHook(next redis.DialHook) redis.DialHook { return next }
func (f forbidden) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (f forbidden) ProcessHook(redis.ProcessHook) redis.ProcessHook {
	return func(_ context.Context, cmd redis.Cmder) error {
		f.t.Errorf("%s went through the host's client", cmd.Name())
		return nil
	}
}

// TestProbe_endsWithItsContext shows that neither a dialer nor a server that
// takes no notice of time can hold a probe, and that nothing is left of it.
func TestProbe_endsWithItsContext(t *testing.T) { //nolint:paralleltest // counts goroutines
	release := make(chan struct{})
	silent := serve(t, map[string]string{"PING": hang})
	late := serve(t, nil)
	for name, tc := range map[string]struct {
		opt   redis.Options
		ended func() (context.Context, context.CancelFunc)

		status health.Status
		cause  health.Cause
	}{
		"server, deadline": {
			redis.Options{Addr: silent.addr},
			func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 30*time.Millisecond)
			}, health.Unhealthy, health.CauseTimeout,
		},
		"server, cancelled": {
			redis.Options{Addr: silent.addr}, func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(30*time.Millisecond, cancel)
				return ctx, cancel
			}, health.Unknown, health.CauseNotAsked,
		},
		"dialer": {
			redis.Options{Addr: late.addr, Dialer: func(context.Context, string, string) (net.Conn, error) {
				<-release
				return net.Dial("tcp", late.addr)
			}},
			func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(t.Context(), 30*time.Millisecond)
			}, health.Unhealthy, health.CauseTimeout,
		},
	} {
		t.Run(name, func(t *testing.T) { //nolint:paralleltest // counts goroutines
			p := prober(t, "", redisprobe.Config{Client: client(t, tc.opt)})
			before := runtime.NumGoroutine()
			ctx, cancel := tc.ended()
			defer cancel()
			r := p.Probe(ctx)
			assert.Equal(t, tc.status, r.Status)
			assert.Equal(t, tc.cause, r.Cause, r.Message)
			if name == "dialer" {
				close(release)
			}
			settle(t, before+1) // one may be the silent server's, which waits for the end of the test
		})
	}
}

func TestProbe_leavesNoGoroutine(t *testing.T) { //nolint:paralleltest // counts goroutines
	s := serve(t, map[string]string{"INFO": bulk(infoText(t, "master"))})
	p := prober(t, s.addr, redisprobe.Config{})
	before := runtime.NumGoroutine()
	for range 50 {
		require.Equal(t, health.Healthy, p.Probe(t.Context()).Status)
	}
	settle(t, before)
}

// settle waits until there are no more goroutines than before.
func settle(t *testing.T, before int) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
