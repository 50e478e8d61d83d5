package ltitest_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// Races is 10,000 here: in memory they take a moment.
//
// Requirement: LTI-PEER-LTIJS-RACE, LTI-PEER-LTIJS-MEMORY, RB-LTI-NONCE-CACHE
func TestNonceStore_memory(t *testing.T) {
	ltitest.TestNonceStore(t, ltitest.NonceStoreHarness{
		New: func(testing.TB) ltitest.NonceStoreCase {
			store := new(lti.MemoryNonces)
			return ltitest.NonceStoreCase{
				Store:       store,
				Replica:     func() lti.NonceStore { return store },
				Pass:        time.Sleep,
				KeepsLonger: time.Second,
			}
		},
		Run:   synctest.Test,
		Races: 10_000,
	})
}

// A mistake is a way of getting it wrong, and the case that must notice.
var mistakes = map[string]struct {
	notices string
	use     func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error
}{
	"looks, then writes": {"one winner", func(s *wrongStore, _ context.Context, id lti.NonceID, until time.Time) error {
		s.mu.Lock()
		_, known := s.ends[id]
		s.mu.Unlock()
		time.Sleep(time.Millisecond) // the round trip to a database
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ends[id] = until
		if known {
			return lti.ErrNonceUsed
		}
		return nil
	}},
	"remembers for ten seconds": {"live ones are kept", func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error {
		if err := s.right(ctx, id, until); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ends[id] = time.Now().Add(10 * time.Second)
		return nil
	}},
	"says used when it does not know": {"ended context", func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error {
		if ctx.Err() != nil {
			return lti.ErrNonceUsed
		}
		return s.right(ctx, id, until)
	}},
	"records where nothing may be changed": {"read-only context", func(s *wrongStore, _ context.Context, id lti.NonceID, until time.Time) error {
		return s.right(context.Background(), id, until)
	}},
	"lets through when it is down": {"down", func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error {
		if s.down {
			return nil
		}
		return s.right(ctx, id, until)
	}},
	"tells the id": {"once", func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error {
		if err := s.right(ctx, id, until); err != nil {
			return fmt.Errorf("%v: %w", id, err)
		}
		return nil
	}},
	"never forgets": {"expired ones are forgotten", func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error {
		err := s.right(ctx, id, until)
		if err == nil {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.ends[id] = until.AddDate(1, 0, 0)
		}
		return err
	}},
	"purges everything": {"once", func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error {
		s.purgesAll = true
		return s.right(ctx, id, until)
	}},
}

// TestNonceStore_notices runs the suite on stores that are wrong, each in a
// process of its own, which must fail.
func TestNonceStore_notices(t *testing.T) {
	if name := os.Getenv("NONCE_MISTAKE"); name != "" {
		ltitest.TestNonceStore(t, ltitest.NonceStoreHarness{
			New: func(testing.TB) ltitest.NonceStoreCase {
				s := &wrongStore{ends: make(map[lti.NonceID]time.Time), wrong: mistakes[name].use}
				return ltitest.NonceStoreCase{Store: s, Pass: time.Sleep, Break: func() { s.down = true }}
			},
			Run: synctest.Test,
		})
		return
	}
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNonceStore_notices$", "-test.v")
			cmd.Env = append(os.Environ(), "NONCE_MISTAKE="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite accepts it")
			failed := slices.Collect(strings.Lines(string(out)))
			assert.True(t, slices.ContainsFunc(failed, func(line string) bool {
				return strings.Contains(line, "--- FAIL: TestNonceStore_notices/"+strings.ReplaceAll(mistake.notices, " ", "_")+" (")
			}), string(out))
		})
	}
}

// wrongStore would be right if it called right.
type wrongStore struct {
	mu   sync.Mutex
	ends map[lti.NonceID]time.Time
	down bool

	purgesAll bool
	wrong     func(s *wrongStore, ctx context.Context, id lti.NonceID, until time.Time) error
}

func (s *wrongStore) Use(ctx context.Context, id lti.NonceID, until time.Time) error {
	return s.wrong(s, ctx, id, until)
}

func (s *wrongStore) right(ctx context.Context, id lti.NonceID, until time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch now := time.Now(); {
	case s.down:
		return errors.New("down")
	case ctx.Err() != nil:
		return ctx.Err()
	case runbook.IsReadOnly(ctx):
		return runbook.ErrReadOnly
	case !now.Before(until):
		return lti.ErrNonceExpired
	case now.Before(s.ends[id]):
		return lti.ErrNonceUsed
	}
	s.ends[id] = until
	return nil
}

func (s *wrongStore) PurgeExpired(context.Context) (removed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, end := range s.ends {
		if s.purgesAll || !time.Now().Before(end) {
			delete(s.ends, id)
			removed++
		}
	}
	return removed, nil
}
