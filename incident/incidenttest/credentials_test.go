package incidenttest_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

func TestMemoryCredentials(t *testing.T) {
	testCredentials(t, func() runbook.CredentialStore { return new(runbook.MemoryCredentials) })
}

// faultyStore is right, and its server fails.
type faultyStore struct {
	runbook.MemoryCredentials

	mu     sync.Mutex
	lose   bool
	broken bool
	sealed map[string]bool
	// mistaken changes the errors.
	mistaken func(err error) error
}

var errDown = errors.New("connection refused")

func (s *faultyStore) fails(name string, reads bool) (before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.broken:
		return errDown, nil
	case reads && s.sealed[name]:
		return incident.ErrSealed, nil
	case s.lose && !reads:
		s.lose = false
		return nil, incident.ErrOutcomeUnknown
	}
	return nil, nil
}

func (s *faultyStore) Get(ctx context.Context, name string) (runbook.Credential, error) {
	if before, _ := s.fails(name, true); before != nil {
		return runbook.Credential{}, s.mistaken(before)
	}
	return s.MemoryCredentials.Get(ctx, name)
}

func (s *faultyStore) Put(ctx context.Context, name string, secret runbook.Secret, last runbook.Version) (runbook.Version, error) {
	before, after := s.fails(name, false)
	if before != nil {
		return "", s.mistaken(before)
	}
	v, err := s.MemoryCredentials.Put(ctx, name, secret, last)
	if after != nil {
		return "", s.mistaken(after)
	}
	return v, err
}

func (s *faultyStore) Delete(ctx context.Context, name string) error {
	before, after := s.fails(name, false)
	if before != nil {
		return s.mistaken(before)
	}
	if err := s.MemoryCredentials.Delete(ctx, name); err != nil {
		return err
	}
	if after != nil {
		return s.mistaken(after)
	}
	return nil
}

func testFaultyCredentials(t *testing.T, mistaken func(err error) error) {
	incidenttest.TestCredentialStore(t, incidenttest.CredentialStoreHarness{Races: 5, New: func(t testing.TB) incidenttest.CredentialStoreCase {
		s := &faultyStore{mistaken: mistaken, sealed: make(map[string]bool)}
		set := func(f func()) func() {
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				f()
			}
		}
		return incidenttest.CredentialStoreCase{
			Store: s, LoseAnswer: set(func() { s.lose = true }), Break: set(func() { s.broken = true }),
			Seal: func(name string) {
				if _, err := s.MemoryCredentials.Put(context.Background(), name, runbook.NewSecret("hidden"), ""); err != nil {
					t.Fatal(err)
				}
				set(func() { s.sealed[name] = true })()
			},
		}
	}})
}

func TestFaultyCredentials(t *testing.T) {
	testFaultyCredentials(t, func(err error) error { return fmt.Errorf("store: %w", err) })
}

// faultMistake makes a mistake about one error of a store.
func faultMistake(notices string, about, says error) mistake {
	return mistake{notices, func(t *testing.T) {
		testFaultyCredentials(t, func(err error) error {
			if errors.Is(err, about) {
				return says
			}
			return err
		})
	}}
}
