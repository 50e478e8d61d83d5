package alertmanager_test

import (
	"context"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alertmanager"
)

// startReal starts a real Alertmanager that tells a receiver, or skips.
func startReal(t *testing.T, receiver string) (address string) {
	t.Helper()
	program, err := exec.LookPath("alertmanager")
	if err != nil {
		if program, err = exec.LookPath("prometheus-alertmanager"); err != nil {
			t.Skip("no alertmanager is installed: go install github.com/prometheus/alertmanager/cmd/alertmanager@v0.31.1")
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address = listener.Addr().String()
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	config := filepath.Join(dir, "alertmanager.yml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `
route: {receiver: runbook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}
receivers:
  - name: runbook
    webhook_configs:
      - url: %s
        http_config: {authorization: {credentials: %s}}
`, receiver, token), 0o600))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, program, "--config.file="+config, "--storage.path="+dir, "--web.listen-address="+address, "--cluster.listen-address=")
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, 20*time.Second, 50*time.Millisecond)
	return address
}

// TestRealAlertmanager tells a real Alertmanager, which tells us.
func TestRealAlertmanager(t *testing.T) {
	k := &taker{}
	server := httptest.NewServer(receiver(t, k, nil))
	defer server.Close()
	n, err := alertmanager.New(alertmanager.Config{URL: "http://" + startReal(t, server.URL)})
	require.NoError(t, err)
	a := firing()
	prior, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "", a))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(k.taken()) == 1 }, 20*time.Second, 20*time.Millisecond)
	got := k.taken()[0]
	assert.Equal(t, alert.Firing, got.State)
	assert.Equal(t, a.Entity, got.Entity)
	assert.Equal(t, a.Severity, got.Severity)
	assert.WithinDuration(t, a.Fired, got.Began, time.Millisecond)

	require.NoError(t, n.Resend(t.Context(), []alert.Alert{a}))
	a.Severity = alert.Critical
	prior, err = n.Notify(t.Context(), note(alert.KindUpdate, 2, prior, a))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(k.taken()) >= 3 }, 20*time.Second, 20*time.Millisecond)
	a.State, a.Ended = alert.Resolved, time.Now()
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 3, prior, a))
	require.NoError(t, err)
	require.NoError(t, n.Resend(t.Context(), nil))
	require.Eventually(t, func() bool { return len(k.taken()) >= 4 }, 20*time.Second, 20*time.Millisecond)
	open := make(map[string]bool)
	for _, a := range k.taken() {
		open[a.Key] = a.State == alert.Firing
	}
	assert.Len(t, open, 2)
	for key, fires := range open {
		assert.False(t, fires, key)
	}
	_, err = n.Notify(t.Context(), alert.Notification{Key: "t", Seq: 1, Kind: alert.KindTest, Title: "Test message", Text: "Nothing is wrong.\n"})
	require.NoError(t, err)
}
