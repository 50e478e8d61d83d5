package redisnonce_test

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/redisnonce"
)

func TestJudge(t *testing.T) {
	for name, test := range map[string]struct {
		info string
		want []string // in the problems, in order
	}{
		"no limit":          {"redis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:allkeys-lru\r\n", nil},
		"no eviction":       {"redis_version:8.2.0\r\nmaxmemory:1048576\r\nmaxmemory_policy:noeviction\r\n", nil},
		"policy only":       {"maxmemory_policy:noeviction\r\n", nil},
		"all keys":          {"redis_version:7.2.4\r\nmaxmemory:1048576\r\nmaxmemory_policy:allkeys-lru\r\n", []string{"maxmemory 1048576, maxmemory-policy allkeys-lru"}},
		"keys that expire":  {"maxmemory:1048576\r\nmaxmemory_policy:volatile-ttl\r\n", []string{"may evict nonces"}},
		"a policy to come":  {"maxmemory:1\nmaxmemory_policy:something-new\n", []string{"set maxmemory-policy to noeviction"}},
		"old":               {"redis_version:6.2.14\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n", []string{"Redis 6.2.14"}},
		"old and evicting":  {"redis_version:5.0.3\r\nmaxmemory:9\r\nmaxmemory_policy:allkeys-random\r\n", []string{"Redis 5.0.3", "may evict"}},
		"tells nothing":     {"# Server\r\nuptime:5\r\n", []string{"does not tell"}},
		"tells no limit":    {"maxmemory_policy:allkeys-lru\r\n", []string{"does not tell"}},
		"tells no policy":   {"maxmemory:5\r\n", []string{"does not tell"}},
		"empty":             {"", []string{"does not tell"}},
		"text for nobody":   {"maxmemory:1\nmaxmemory_policy:\x1b[31m" + strings.Repeat("x", 500) + "\n", []string{`\x1b[31mxxx`}},
		"version for fun":   {"redis_version:seven\nmaxmemory:0\nmaxmemory_policy:noeviction", nil},
		"version as number": {"redis_version:99999999999\nmaxmemory:0\nmaxmemory_policy:noeviction", nil},
	} {
		t.Run(name, func(t *testing.T) {
			problems := redisnonce.Judge(test.info)
			require.Len(t, problems, len(test.want))
			for i, want := range test.want {
				assert.Contains(t, problems[i], want)
				assert.Less(t, len(problems[i]), 400)
			}
		})
	}
}

func FuzzJudge(f *testing.F) {
	f.Add("redis_version:7.0.15\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n")
	f.Add("maxmemory:1\nmaxmemory_policy:allkeys-lru")
	f.Add("maxmemory_policy:\x1b[31m\nmaxmemory:\xff")
	f.Fuzz(func(t *testing.T, info string) {
		problems := redisnonce.Judge(info)
		evicts := len(problems) > 0 && strings.Contains(strings.Join(problems, ";"), "evict")
		if !evicts && !strings.Contains(info, "noeviction") && !strings.Contains(info, "maxmemory:0") {
			t.Errorf("%q is taken to be safe", info)
		}
		for _, problem := range problems {
			for _, r := range problem {
				if r < ' ' || r > '~' {
					t.Errorf("%q has %q", problem, r)
				}
			}
			if len(problem) > 700 {
				t.Errorf("%d bytes", len(problem))
			}
		}
	})
}

func TestCheck(t *testing.T) {
	s := miniredis.RunT(t)
	store := newStore(t, newClient(t, redis.Options{Addr: s.Addr(), MaxRetries: -1}), "")
	require.ErrorContains(t, store.Check(t.Context()), "does not tell its maxmemory")

	answer := "redis_version:7.2.4\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"
	s.Server().SetPreHook(func(peer *server.Peer, cmd string, _ ...string) bool {
		switch {
		case cmd != "INFO":
			return false
		case strings.HasPrefix(answer, "-"):
			peer.WriteError(answer[1:])
		default:
			peer.WriteBulk(answer)
		}
		return true
	})
	require.NoError(t, store.Check(t.Context()))
	answer = "redis_version:7.2.4\r\nmaxmemory:1000\r\nmaxmemory_policy:allkeys-lru\r\n"
	require.EqualError(t, store.Check(t.Context()), "redisnonce: check: the server may evict nonces that are live "+
		"(maxmemory 1000, maxmemory-policy allkeys-lru), which would let their tokens be used again: "+
		"set maxmemory-policy to noeviction, or give nonces a server of their own")
	answer = "-NOPERM this user has no permissions to run the 'info' command"
	err := store.Check(t.Context())
	require.ErrorContains(t, err, "does not answer INFO")
	require.ErrorContains(t, err, "allow its user to run INFO")
	s.Close()
	require.ErrorContains(t, store.Check(t.Context()), "could not be asked")
}

// A server of the past does not know the command: that is said, and nothing is
// accepted.
func TestUseOnAnOldServer(t *testing.T) {
	s := miniredis.RunT(t)
	s.Server().SetPreHook(func(peer *server.Peer, cmd string, _ ...string) bool {
		if cmd == "SET" {
			peer.WriteError("ERR syntax error")
		}
		return cmd == "SET"
	})
	store := newStore(t, newClient(t, redis.Options{Addr: s.Addr()}), "")
	err := store.Use(t.Context(), lti.NonceID{1}, inAnHour())
	require.ErrorContains(t, err, "must be Redis 7.0 or newer")
	assert.NotErrorIs(t, err, lti.ErrNonceUsed)
}

// TestCheck_real starts a server, gives it a limit, and changes its policy.
func TestCheck_real(t *testing.T) {
	services.Need(t, services.RedisServer)
	s := services.StartRedis(t)
	opt, err := redis.ParseURL(s.URL())
	require.NoError(t, err)
	client := newClient(t, *opt)
	store := newStore(t, client, "")
	require.NoError(t, store.Check(t.Context()))
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru").Err())
	require.NoError(t, store.Check(t.Context()), "there is no limit")
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "5mb").Err())
	require.ErrorContains(t, store.Check(t.Context()), "maxmemory 5242880, maxmemory-policy volatile-lru")
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory-policy", "noeviction").Err())
	require.NoError(t, store.Check(t.Context()))

	// Full, it refuses new nonces, and still knows the old ones.
	require.NoError(t, store.Use(t.Context(), lti.NonceID{1}, inAnHour()))
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	err = store.Use(t.Context(), lti.NonceID{2}, inAnHour())
	require.ErrorContains(t, err, "OOM")
	assert.NotErrorIs(t, err, lti.ErrNonceUsed)
	require.NoError(t, client.ConfigSet(t.Context(), "maxmemory", "0").Err())
	require.ErrorIs(t, store.Use(t.Context(), lti.NonceID{1}, inAnHour()), lti.ErrNonceUsed)
	require.NoError(t, store.Use(t.Context(), lti.NonceID{2}, inAnHour()))
}
