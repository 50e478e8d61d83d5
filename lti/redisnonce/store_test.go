package redisnonce_test

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
	"go.acu.edu.au/runbook/lti/redisnonce"
)

// keepsLonger is what the package comment says, and a second for rounding.
const keepsLonger = 2*time.Minute + time.Second

func newClient(t testing.TB, opt redis.Options) *redis.Client {
	t.Helper()
	client := redis.NewClient(&opt)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newStore(t testing.TB, client redis.UniversalClient, prefix string) *redisnonce.Store {
	t.Helper()
	store, err := redisnonce.New(redisnonce.Config{Client: client, Prefix: prefix})
	require.NoError(t, err)
	return store
}

// realOptions returns those of the server that is set up for tests, and a prefix
// that no other test has.
func realOptions(t testing.TB) (opt redis.Options, prefix string) {
	t.Helper()
	parsed, err := redis.ParseURL(services.Need(t, services.RedisURL))
	require.NoError(t, err)
	return *parsed, "test:" + rand.Text() + ":"
}

// Requirement: LTI-PEER-LTIJS-RACE, LTI-PEER-LTIJS-MEMORY
// Requirement: RB-LTI-NONCE-CACHE, LTI-ASK-5
func TestNonceStore(t *testing.T) {
	ltitest.TestNonceStore(t, ltitest.NonceStoreHarness{
		New: func(t testing.TB) ltitest.NonceStoreCase {
			server := miniredis.RunT(t)
			opt := redis.Options{Addr: server.Addr(), MaxRetries: 1}
			return ltitest.NonceStoreCase{
				Store:       newStore(t, newClient(t, opt), ""),
				Replica:     func() lti.NonceStore { return newStore(t, newClient(t, opt), "") },
				Pass:        server.FastForward,
				KeepsLonger: keepsLonger,
				Break:       server.Close,
			}
		},
		Races: 1_000,
	})
}

// Requirement: LTI-PEER-LTIJS-RACE, LTI-PEER-LTIJS-MEMORY
func TestNonceStore_real(t *testing.T) {
	ltitest.TestNonceStore(t, ltitest.NonceStoreHarness{
		New: func(t testing.TB) ltitest.NonceStoreCase {
			opt, prefix := realOptions(t)
			client := newClient(t, opt)
			admin := newClient(t, opt)
			t.Cleanup(func() { age(t, admin, prefix, 200*365*24*time.Hour) }) // leave nothing behind
			return ltitest.NonceStoreCase{
				Store:       newStore(t, client, prefix),
				Replica:     func() lti.NonceStore { return newStore(t, newClient(t, opt), prefix) },
				Pass:        func(d time.Duration) { age(t, admin, prefix, d) },
				KeepsLonger: keepsLonger,
				Break:       func() { require.NoError(t, client.Close()) },
			}
		},
		Races: 10_000,
	})
}

// age makes the keys of a test older.
func age(t testing.TB, client *redis.Client, prefix string, d time.Duration) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also while the test is cleaned up
	keys := client.Scan(ctx, 0, prefix+"*", 1_000).Iterator()
	for keys.Next(ctx) {
		left, err := client.PTTL(ctx, keys.Val()).Result()
		require.NoError(t, err)
		require.Greater(t, left, time.Duration(0), "a key lives for ever")
		require.NoError(t, client.PExpire(ctx, keys.Val(), max(left-d, 0)).Err())
	}
	require.NoError(t, keys.Err())
}

func TestNewNeedsAClient(t *testing.T) {
	for _, client := range []redis.UniversalClient{nil, (*redis.Client)(nil), (*redis.ClusterClient)(nil)} {
		_, err := redisnonce.New(redisnonce.Config{Client: client})
		require.ErrorContains(t, err, "Client is required")
	}
}

// What is stored: a hash in the name, no nonce, and a life that is two minutes
// longer than asked for.
func TestWhatIsStored(t *testing.T) {
	server := miniredis.RunT(t)
	store := newStore(t, newClient(t, redis.Options{Addr: server.Addr()}), "")
	id := lti.NewNonceID("https://platform.example.com", "client", "the-nonce")
	require.NoError(t, store.Use(t.Context(), id, time.Now().Add(time.Hour)))
	key := "runbook:lti:nonce:" + id.String()
	assert.Equal(t, []string{key}, server.Keys())
	assert.InDelta(t, (time.Hour + 2*time.Minute).Seconds(), server.TTL(key).Seconds(), 5)

	require.NoError(t, newStore(t, newClient(t, redis.Options{Addr: server.Addr()}), "beta:").Use(t.Context(), id, time.Now().Add(time.Hour)))
	assert.True(t, server.Exists("beta:"+id.String()))

	_, err := store.PurgeExpired(t.Context())
	require.NoError(t, err)
	assert.Len(t, server.Keys(), 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = store.PurgeExpired(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

// lossy is a connection whose server's next answers get lost: the command is
// carried out.
type lossy struct {
	net.Conn
	lose *atomic.Int64
	sent bool
}

func (l *lossy) Write(b []byte) (int, error) {
	l.sent = true
	return l.Conn.Write(b)
}

func (l *lossy) Read(b []byte) (int, error) {
	n, err := l.Conn.Read(b)
	if l.sent && err == nil && l.lose.Add(-1) >= 0 {
		_ = l.Conn.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// newLossy returns a client, and a func that makes it lose so many answers.
func newLossy(t testing.TB, opt redis.Options) (*redis.Client, func(answers int64)) {
	t.Helper()
	var lose atomic.Int64
	opt.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return &lossy{Conn: conn, lose: &lose}, err
	}
	opt.PoolSize = 1
	opt.DisableIdentity = true
	client := newClient(t, opt)
	require.NoError(t, client.Ping(t.Context()).Err()) // the connection is ready
	return client, func(answers int64) { lose.Store(answers) }
}

// The answer to SET is lost, and go-redis sends it again: the caller has won, as
// the first time, and nobody else does.
//
// Requirement: LTI-GOTCHA-12
func TestUseWhoseAnswerIsLost(t *testing.T) {
	test := func(t *testing.T, opt redis.Options, prefix string) {
		until := time.Now().Add(time.Hour)
		client, lose := newLossy(t, opt)
		store, other := newStore(t, client, prefix), newStore(t, newClient(t, opt), prefix)

		lose(1)
		require.NoError(t, store.Use(t.Context(), lti.NonceID{1}, until))
		require.ErrorIs(t, other.Use(t.Context(), lti.NonceID{1}, until), lti.ErrNonceUsed)
		require.ErrorIs(t, store.Use(t.Context(), lti.NonceID{1}, until), lti.ErrNonceUsed)

		// The answer that somebody else was first gets lost too.
		require.NoError(t, other.Use(t.Context(), lti.NonceID{2}, until))
		lose(1)
		require.ErrorIs(t, store.Use(t.Context(), lti.NonceID{2}, until), lti.ErrNonceUsed)

		// All answers are lost: nobody knows, and the launch is refused.
		lose(1_000)
		err := store.Use(t.Context(), lti.NonceID{3}, until)
		require.Error(t, err)
		assert.NotErrorIs(t, err, lti.ErrNonceUsed)
		assert.False(t, runbook.SafeToRetry(err))
		lose(0)
		require.ErrorIs(t, other.Use(t.Context(), lti.NonceID{3}, until), lti.ErrNonceUsed, "it was carried out")
	}
	t.Run("miniredis", func(t *testing.T) {
		test(t, redis.Options{Addr: miniredis.RunT(t).Addr()}, "")
	})
	t.Run("real", func(t *testing.T) {
		opt, prefix := realOptions(t)
		t.Cleanup(func() { age(t, newClient(t, opt), prefix, 24*time.Hour) })
		test(t, opt, prefix)
	})
}
