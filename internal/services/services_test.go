//go:build unix

package services_test

import (
	"bufio"
	"context"
	"net"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
)

func TestFreePort(t *testing.T) {
	port := services.FreePort(t)
	assert.Less(t, port, 32768, "below the ports of outgoing connections")
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	require.NoError(t, err)
	require.NoError(t, listener.Close())
}

func TestPostgres(t *testing.T) {
	services.Need(t, services.PostgresBin)
	var address string
	t.Run("server", func(t *testing.T) {
		p := services.StartPostgres(t)
		address = p.URL()
		ask := func(within time.Duration, query string) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			connection, err := pgx.Connect(ctx, p.URL())
			if err != nil {
				return err
			}
			defer connection.Close(ctx)
			_, err = connection.Exec(ctx, query)
			return err
		}
		require.NoError(t, ask(10*time.Second, "CREATE TABLE kept AS SELECT 1"))
		p.Stop()
		require.Error(t, ask(10*time.Second, "SELECT 1"))
		p.Start()
		require.NoError(t, ask(10*time.Second, "TABLE kept"))
		p.Freeze()
		require.ErrorIs(t, ask(200*time.Millisecond, "SELECT 1"), context.DeadlineExceeded)
		p.Thaw()
		require.NoError(t, ask(10*time.Second, "TABLE kept"))
		p.Freeze() // the end of the test must cope
	})
	assertGone(t, address)
}

func TestRedis(t *testing.T) {
	services.Need(t, services.RedisServer)
	var address string
	t.Run("server", func(t *testing.T) {
		r := services.StartRedis(t)
		address = r.URL()
		options, err := redis.ParseURL(r.URL())
		require.NoError(t, err)
		options.ContextTimeoutEnabled = true
		client := redis.NewClient(options)
		defer client.Close()
		ask := func(within time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			return client.Set(ctx, "key", "value", 0).Err()
		}
		require.NoError(t, ask(10*time.Second))
		r.Stop()
		require.Error(t, ask(10*time.Second))
		r.Start()
		require.NoError(t, ask(10*time.Second))
		r.Freeze()
		require.Error(t, ask(200*time.Millisecond))
		r.Thaw()
		require.NoError(t, ask(10*time.Second))
		r.Freeze()
	})
	assertGone(t, address)
}

// TestAbandonedServers lets a process that has started servers die without
// any cleanup.
func TestAbandonedServers(t *testing.T) {
	const child = "RUNBOOK_TEST_ABANDONS"
	if os.Getenv(child) != "" {
		os.Stdout.WriteString("\n" + services.StartRedis(t).URL() + "\n" + services.StartPostgres(t).URL() + "\n")
		os.Exit(3)
	}
	if runtime.GOOS != "linux" {
		t.Skip("only Linux ends a process with its parent")
	}
	services.Need(t, services.PostgresBin)
	services.Need(t, services.RedisServer)
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o755))
	require.NoError(t, os.Chmod(folder+"/..", 0o755)) // the user postgres goes through
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestAbandonedServers$")
	command.Env = append(os.Environ(), child+"=1", "TMPDIR="+folder)
	out, err := command.Output()
	require.Error(t, err)
	var servers int
	for lines := bufio.NewScanner(strings.NewReader(string(out))); lines.Scan(); {
		if strings.Contains(lines.Text(), "://") {
			servers++
			assertGone(t, lines.Text())
		}
	}
	assert.Equal(t, 2, servers, string(out))
}

// assertGone waits until nothing listens at the host of a URL.
func assertGone(t *testing.T, address string) {
	t.Helper()
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	assert.Eventually(t, func() bool {
		connection, err := net.DialTimeout("tcp4", parsed.Host, time.Second)
		if err == nil {
			connection.Close()
		}
		return err != nil
	}, 10*time.Second, 50*time.Millisecond, "a server is left over at %s", parsed.Host)
}
