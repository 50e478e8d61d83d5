package alert

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
)

// A Store keeps what must survive a crash: the alerts and their states, the groups
// and what each target was told, the messages that are still to be sent, silences
// and acknowledgements. It knows nothing of their meaning: it keeps records.
//
// One program owns a store at a time, by a Store value of its own. Methods may be
// called concurrently, but for Open, which comes first.
type Store interface {
	// Open takes the store over and returns what is in it, in any order. From then on
	// writes by other Store values of the same records are refused, with an error
	// that wraps [ErrNotOwner]: of two programs that both believe they are the one,
	// only the newest writes.
	Open(ctx context.Context) iter.Seq2[Record, error]
	// Write makes all changes or none. When it returns without an error they survive
	// a crash of the program and of the machine. After an error it is not known
	// whether they were made, unless it wraps ErrNotOwner or runbook.SafeToRetry says
	// so; making the same changes again is harmless.
	Write(ctx context.Context, changes []Record) error
}

// ErrNotOwner means that another program has taken over the store. Nothing was
// written. Whoever gets it stops.
var ErrNotOwner = errors.New("another program has taken over")

// A Record is one thing in a [Store].
type Record struct {
	// Kind and ID name it. Kind is one word; an ID has at most 200 characters.
	Kind, ID string
	// Data is the record, as JSON: some KB, or some MB for a conversation about thousands of
	// alerts. Nil in a change removes it.
	Data []byte
}

// MemoryStore is a [Store] that lives as long as the program. The zero value is
// ready to use. It must not be copied after first use.
type MemoryStore struct {
	mu      sync.Mutex
	records map[[2]string][]byte
}

var _ Store = (*MemoryStore)(nil)

// Open implements [Store].
func (m *MemoryStore) Open(ctx context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(Record{}, err)
			return
		}
		m.mu.Lock()
		all := maps.Clone(m.records)
		m.mu.Unlock()
		for name, data := range all {
			if !yield(Record{Kind: name[0], ID: name[1], Data: slices.Clone(data)}, nil) {
				return
			}
		}
	}
}

// Write implements [Store].
func (m *MemoryStore) Write(ctx context.Context, changes []Record) error {
	if err := ctx.Err(); err != nil {
		return &notDone{err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.records == nil {
		m.records = make(map[[2]string][]byte)
	}
	for _, r := range changes {
		if r.Data == nil {
			delete(m.records, [2]string{r.Kind, r.ID})
			continue
		}
		m.records[[2]string{r.Kind, r.ID}] = slices.Clone(r.Data)
	}
	return nil
}

// notDone marks an error of a write that certainly did nothing.
type notDone struct{ error }

func (e *notDone) Unwrap() error     { return e.error }
func (e *notDone) SafeToRetry() bool { return true }
