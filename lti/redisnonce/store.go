package redisnonce

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// Config is what a [Store] needs. Only Client is required.
type Config struct {
	// Client is the connection to Redis: a single server, Sentinel, Cluster or
	// Ring. The host makes and closes it. Required. The replicas of a tool must
	// use the same server and database. (A Ring whose shards come and go does
	// not find what it stored: do not use one.)
	Client redis.UniversalClient
	// Prefix is how the names of the keys begin. Empty means "runbook:lti:nonce:".
	// Replicas of a tool must have the same.
	Prefix string
}

const (
	defaultPrefix = "runbook:lti:nonce:"

	// slow is how long a command may take, and how much clocks may differ.
	slow = time.Minute
	// grace is for how much longer than asked for a nonce is kept.
	grace = 2 * slow
	// longest is what "for ever" is cut to: Redis refuses what it cannot add.
	longest = 100 * 365 * 24 * time.Hour
)

// A Store keeps nonces in Redis. [New] makes one. It is safe for concurrent use.
type Store struct {
	client redis.UniversalClient
	prefix string
}

var _ lti.NonceStore = (*Store)(nil)

// New returns a Store. It does not connect. The error has everything that is wrong
// with cfg.
func New(cfg Config) (*Store, error) {
	if cfg.Client == nil || isNil(cfg.Client) {
		return nil, errors.New("redisnonce: Client is required")
	}
	s := &Store{client: cfg.Client, prefix: cfg.Prefix}
	if s.prefix == "" {
		s.prefix = defaultPrefix
	}
	return s, nil
}

// isNil reports whether there is a nil pointer in the interface.
func isNil(client redis.UniversalClient) bool {
	v := reflect.ValueOf(client)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// Use implements [lti.NonceStore]. An error that is neither [lti.ErrNonceUsed] nor
// [lti.ErrNonceExpired] means that Redis could not be asked, or that its answer
// was lost also in the client's own retries: it is not known whether the nonce was
// recorded.
func (s *Store) Use(ctx context.Context, id lti.NonceID, until time.Time) error {
	if err := s.use(ctx, id, until); err != nil {
		return fmt.Errorf("redisnonce: use a nonce: %w", err)
	}
	return nil
}

func (s *Store) use(ctx context.Context, id lti.NonceID, until time.Time) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if runbook.IsReadOnly(ctx) {
		return runbook.ErrReadOnly
	}
	remaining := min(time.Until(until), longest)
	if remaining <= 0 {
		return lti.ErrNonceExpired
	}
	mine := rand.Text()
	life := (remaining + grace + time.Second - 1).Truncate(time.Second)
	held, err := s.client.SetArgs(ctx, s.prefix+id.String(), mine, redis.SetArgs{Mode: "NX", Get: true, TTL: life}).Result()
	switch {
	case err != nil && !errors.Is(err, redis.Nil):
		return explain(err)
	case err == nil && held != mine: // otherwise an earlier attempt of the client has set it
		return lti.ErrNonceUsed
	case !time.Now().Add(-slow).Before(until):
		// It took so long that an earlier record of this nonce may have expired
		// before the command ran.
		return lti.ErrNonceExpired
	}
	return nil
}

// explain adds what an old server means.
func explain(err error) error {
	if reply, ok := errors.AsType[redis.Error](err); ok && strings.HasPrefix(reply.Error(), "ERR syntax error") {
		return fmt.Errorf("%w: the server does not know SET with NX and GET; it must be Redis 7.0 or newer, or Valkey", err)
	}
	return err
}

// PurgeExpired implements [lti.NonceStore]. It does nothing and returns 0: Redis
// removes by itself what has expired.
func (s *Store) PurgeExpired(ctx context.Context) (removed int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, fmt.Errorf("redisnonce: purge expired nonces: %w", err)
	}
	return 0, nil
}
