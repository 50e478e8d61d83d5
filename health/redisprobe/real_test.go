package redisprobe_test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/redisprobe"
	"go.acu.edu.au/runbook/internal/services"
)

// TestReal_conformance uses a server that others may use at the same time: it
// writes keys of its own, and changes nothing else.
func TestReal_conformance(t *testing.T) {
	t.Parallel()
	opt, err := redis.ParseURL(services.Need(t, services.RedisURL))
	require.NoError(t, err)
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober {
			return prober(t, "", redisprobe.Config{Client: client(t, *opt), Write: true, Queues: []redisprobe.Queue{{Key: "runbook:test:no such queue"}}})
		},
	})
}

// A process is a redis-server of one test's own, for what would disturb others.
type process struct {
	addr  string
	admin *redis.Client
	cmd   *exec.Cmd
}

// start starts redis-server with more settings, and waits until it answers.
func start(t *testing.T, password string, settings ...string) *process {
	t.Helper()
	program := services.Need(t, services.RedisServer)
	p := &process{addr: freeAddr(t)}
	_, port, err := net.SplitHostPort(p.addr)
	require.NoError(t, err)
	args := append([]string{"--port", port, "--bind", "127.0.0.1", "--save", "", "--dir", t.TempDir(), "--repl-diskless-sync-delay", "0"}, settings...)
	if password != "" {
		args = append(args, "--requirepass", password)
	}
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) //nolint:gosec // a test
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	p.admin = client(t, redis.Options{Addr: p.addr, Password: password, MaxRetries: -1})
	require.Eventually(t, func() bool {
		err := p.admin.Ping(t.Context()).Err()
		return err == nil || redis.IsLoadingError(err)
	}, 10*time.Second, 10*time.Millisecond)
	return p
}

func (p *process) config(t *testing.T, name, value string) {
	t.Helper()
	require.NoError(t, p.admin.ConfigSet(t.Context(), name, value).Err())
}

func TestReal_memory(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	probe := func() health.Result {
		return prober(t, s.addr, redisprobe.Config{Memory: limit(200, 1e9), Write: true}).Probe(t.Context())
	}
	r := probe()
	require.Equal(t, health.Healthy, r.Status, r.Message)
	_, ok := r.Measurement("memory_used")
	assert.False(t, ok, "there is no maxmemory")
	assert.Positive(t, value(t, r, "system_memory"))

	s.config(t, "maxmemory", "100kb")
	r = probe()
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, health.CauseThreshold, r.Cause)
	assert.Contains(t, r.Message, "it has used all of maxmemory and may not evict (noeviction)")
	assert.Contains(t, r.Message, "SET: it has used all of maxmemory and may not evict enough")
	assert.Greater(t, value(t, r, "memory_used"), 200.0)

	s.config(t, "maxmemory", "0")
	assert.Equal(t, health.Healthy, probe().Status)
}

func TestReal_evictions(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--maxmemory", "3mb", "--maxmemory-policy", "allkeys-lru")
	p := prober(t, s.addr, redisprobe.Config{Evictions: limit(0, 1e9)})
	require.Equal(t, health.Healthy, p.Probe(t.Context()).Status)
	for i := range 100 {
		require.NoError(t, s.admin.Set(t.Context(), fmt.Sprint("key", i), strings.Repeat("x", 100_000), 0).Err())
	}
	r := p.Probe(t.Context())
	assert.Equal(t, health.Degraded, r.Status)
	assert.Equal(t, health.CauseThreshold, r.Cause)
	assert.Greater(t, value(t, r, "evicted_keys_new"), 50.0)
	r = p.Probe(t.Context())
	assert.Equal(t, health.Healthy, r.Status, r.Message)
	assert.Greater(t, value(t, r, "evicted_keys"), 50.0)
}

func TestReal_password(t *testing.T) {
	t.Parallel()
	s := start(t, password)
	probe := func(user, pass string) health.Result {
		r := prober(t, "", redisprobe.Config{Client: client(t, redis.Options{Addr: s.addr, Username: user, Password: pass}), Write: true}).Probe(t.Context())
		assert.NotContains(t, fmt.Sprint(r), "canary")
		return r
	}
	assert.Equal(t, health.Healthy, probe("", password).Status)
	for pass, message := range map[string]string{
		"":                "it wants a password, and was given none",
		password + "-old": "it does not accept the user name and password",
	} {
		r := probe("", pass)
		assert.Equal(t, health.Unhealthy, r.Status)
		assert.Equal(t, health.CauseUnauthorized, r.Cause)
		assert.Contains(t, r.Message, message)
	}

	require.NoError(t, s.admin.Do(t.Context(), "ACL", "SETUSER", "reader", "on", ">"+password, "+ping", "+get", "~*").Err())
	r := probe("reader", password)
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, health.CauseUnauthorized, r.Cause)
	assert.Contains(t, r.Message, "SET: this user may not do that")
	assert.Contains(t, r.Message, "INFO: this user may not do that")
}

// TestReal_frozen stops the server's process, so that the kernel still accepts
// connections and nobody answers.
func TestReal_frozen(t *testing.T) {
	t.Parallel()
	s := start(t, "")
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	r := prober(t, s.addr, redisprobe.Config{}).Probe(ctx)
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, health.CauseTimeout, r.Cause)
	assert.Contains(t, r.Message, "during login")
	assert.Less(t, r.Duration, 5*time.Second)

	require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
	assert.Equal(t, health.Healthy, prober(t, s.addr, redisprobe.Config{}).Probe(t.Context()).Status)

	// Paused, it still lets clients connect and log in, and answers no write.
	require.NoError(t, s.admin.Do(t.Context(), "CLIENT", "PAUSE", "60000", "WRITE").Err())
	ctx, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	r = prober(t, s.addr, redisprobe.Config{Write: true}).Probe(ctx)
	assert.Equal(t, health.CauseTimeout, r.Cause)
	assert.Contains(t, r.Message, "during SET")
	require.NoError(t, s.admin.ClientUnpause(t.Context()).Err())
}

func TestReal_maxClients(t *testing.T) {
	t.Parallel()
	for name, pass := range map[string]string{"without password": "", "with password": password} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, pass)
			s.config(t, "maxclients", "1") // the admin's own connection
			r := prober(t, "", redisprobe.Config{Client: client(t, redis.Options{Addr: s.addr, Password: pass})}).Probe(t.Context())
			assert.Equal(t, health.Unhealthy, r.Status)
			assert.Equal(t, redisprobe.CauseConnections, r.Cause, r.Message)
		})
	}
}

func TestReal_replica(t *testing.T) {
	t.Parallel()
	master := start(t, "")
	host, port, err := net.SplitHostPort(master.addr)
	require.NoError(t, err)
	replica := start(t, "", "--replicaof", host+" "+port)
	require.NoError(t, master.admin.Set(t.Context(), "a", "b", 0).Err())
	require.Eventually(t, func() bool {
		r := prober(t, master.addr, redisprobe.Config{Replicas: health.Limit{Fail: new(1.0), Below: true}}).Probe(t.Context())
		return r.Status == health.Healthy
	}, 20*time.Second, 50*time.Millisecond)

	r := prober(t, replica.addr, redisprobe.Config{Role: redisprobe.Replica, Lag: limit(1e6, 1e9)}).Probe(t.Context())
	assert.Equal(t, health.Healthy, r.Status, r.Message)
	r = prober(t, replica.addr, redisprobe.Config{Write: true}).Probe(t.Context())
	assert.Equal(t, redisprobe.CauseReadOnly, r.Cause)
	assert.Equal(t, health.Unhealthy, r.Status)

	require.NoError(t, master.cmd.Process.Kill())
	require.Eventually(t, func() bool {
		r = prober(t, replica.addr, redisprobe.Config{}).Probe(t.Context())
		return r.Status == health.Degraded && r.Cause == redisprobe.CauseReplication
	}, 10*time.Second, 50*time.Millisecond)
	replica.config(t, "replica-serve-stale-data", "no")
	r = prober(t, replica.addr, redisprobe.Config{}).Probe(t.Context())
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, redisprobe.CauseReplication, r.Cause, r.Message)
}

// TestReal_busy lets a script run for too long.
func TestReal_busy(t *testing.T) {
	t.Parallel()
	s := start(t, "", "--busy-reply-threshold", "1")
	done := make(chan error, 1)
	go func() { done <- s.admin.Eval(t.Context(), "while true do end", nil).Err() }()
	other := client(t, redis.Options{Addr: s.addr})
	p := prober(t, s.addr, redisprobe.Config{})
	require.Eventually(t, func() bool {
		r := p.Probe(t.Context())
		return r.Status == health.Unhealthy && r.Cause == redisprobe.CauseBusy
	}, 10*time.Second, 10*time.Millisecond)
	require.NoError(t, other.ScriptKill(t.Context()).Err())
	require.Error(t, <-done)
	assert.Equal(t, health.Healthy, p.Probe(t.Context()).Status)
}
