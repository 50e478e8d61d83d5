package incidenttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// EvidenceStore keeps bundles of evidence in memory. The zero value is ready to use. It is
// safe for concurrent use.
type EvidenceStore struct {
	// OnDelete is asked before something is deleted: its error is that of Delete, and
	// nothing is. Nil means that everything can be deleted. It is set before use.
	OnDelete func(name string) error

	mu   sync.Mutex
	kept map[string][]byte
}

var _ incident.EvidenceStore = (*EvidenceStore)(nil)

// Keep implements [incident.EvidenceStore].
func (s *EvidenceStore) Keep(ctx context.Context, name string, write func(w io.Writer) error) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("incidenttest: keep evidence: %w", runbook.ErrReadOnly)
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = make(map[string][]byte)
	}
	s.kept[name] = b.Bytes()
	return nil
}

// Kept implements [incident.EvidenceStore], in the order of the names.
func (s *EvidenceStore) Kept(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		if err := ctx.Err(); err != nil {
			yield("", err)
			return
		}
		for _, name := range s.Names() {
			if !yield(name, nil) {
				return
			}
		}
	}
}

// Delete implements [incident.EvidenceStore].
func (s *EvidenceStore) Delete(ctx context.Context, name string) error {
	if runbook.IsReadOnly(ctx) {
		return fmt.Errorf("incidenttest: delete evidence: %w", runbook.ErrReadOnly)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.OnDelete != nil {
		if err := s.OnDelete(name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.kept, name)
	return nil
}

// Names returns the names of what is kept, in order.
func (s *EvidenceStore) Names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.kept))
}

// Bundle returns what is kept under a name; nil if there is nothing.
func (s *EvidenceStore) Bundle(name string) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.kept[name])
}
