package incidenttest

import (
	"context"
	"errors"
	"iter"
	"sync"

	"go.acu.edu.au/runbook/incident"
)

// FailingStore is an [incident.Store] that fails when it is told to, and is another one
// otherwise: for tests of what a host does while its store is away. It is safe for
// concurrent use.
type FailingStore struct {
	// Store is the other one. Nil means one in memory.
	Store incident.Store

	mu   sync.Mutex
	errs map[string][]error
	lose int
}

var _ incident.Store = (*FailingStore)(nil)

// Fail makes the next calls of a method fail, one with each error, without doing
// anything; nil lets one pass. The method is named as the port names it: "Commit".
func (s *FailingStore) Fail(method string, errs ...error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.errs == nil {
		s.errs = make(map[string][]error)
	}
	s.errs[method] = append(s.errs[method], errs...)
}

// LoseAnswer makes the next Commit take effect, and its answer be lost.
func (s *FailingStore) LoseAnswer() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose++
}

// next returns the store, and the error with which a call is to fail, nil if it is not.
func (s *FailingStore) next(method string) (incident.Store, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Store == nil {
		s.Store = new(incident.MemoryStore)
	}
	errs := s.errs[method]
	if len(errs) == 0 {
		return s.Store, nil
	}
	s.errs[method] = errs[1:]
	return s.Store, errs[0]
}

// Document implements [incident.Store].
func (s *FailingStore) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	store, err := s.next("Document")
	if err != nil {
		return incident.Document{}, err
	}
	return store.Document(ctx, kind, id)
}

// Documents implements [incident.Store].
func (s *FailingStore) Documents(ctx context.Context, query incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	store, err := s.next("Documents")
	if err != nil {
		return func(yield func(incident.Document, error) bool) { yield(incident.Document{}, err) }
	}
	return store.Documents(ctx, query)
}

// Commit implements [incident.Store].
func (s *FailingStore) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	store, err := s.next("Commit")
	if err != nil {
		return incident.Change{}, err
	}
	done, err := store.Commit(ctx, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.lose > 0 {
		s.lose--
		return incident.Change{}, errors.New("the connection broke while the answer was awaited")
	}
	return done, err
}

// Entries implements [incident.Store].
func (s *FailingStore) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	store, err := s.next("Entries")
	if err != nil {
		return func(yield func(incident.Entry, error) bool) { yield(incident.Entry{}, err) }
	}
	return store.Entries(ctx, chain, after)
}

// Delete implements [incident.Store].
func (s *FailingStore) Delete(ctx context.Context, kind, id, chain string) error {
	store, err := s.next("Delete")
	if err != nil {
		return err
	}
	return store.Delete(ctx, kind, id, chain)
}
