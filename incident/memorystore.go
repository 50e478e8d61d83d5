package incident

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
)

// MemoryStore is a [Store] that lives as long as the process: for tests, exercises, and
// hosts that keep nothing. The zero value is ready to use. It is safe for concurrent use,
// and must not be copied after first use.
type MemoryStore struct {
	mu        sync.RWMutex
	documents map[documentName]Document
	keys      map[documentKey]string // the ID of the open document that has the key
	chains    map[string]*memoryChain
}

type (
	documentName struct{ kind, id string }
	documentKey  struct{ kind, key string }
)

// A memoryChain only grows: a part of entries that was taken stays as it is.
type memoryChain struct {
	entries []Entry
	keys    map[string]int // the place of the entry that has the key
}

var (
	_ Store         = (*MemoryStore)(nil)
	_ EntryRedactor = (*MemoryStore)(nil)
)

// unmade marks the error of something that certainly was not done.
type unmade struct{ error }

func (e *unmade) Unwrap() error     { return e.error }
func (e *unmade) SafeToRetry() bool { return true }

// mayWrite returns why nothing may be changed: the context has ended, or is read-only.
func mayWrite(ctx context.Context) error {
	if runbook.IsReadOnly(ctx) {
		return runbook.ErrReadOnly
	}
	return ctx.Err()
}

// Document implements [Store].
func (m *MemoryStore) Document(ctx context.Context, kind, id string) (Document, error) {
	if err := ctx.Err(); err != nil {
		return Document{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	d, ok := m.documents[documentName{kind, id}]
	if !ok {
		return Document{}, fmt.Errorf("incident: document %.30q %.100q: %w", kind, id, ErrNotFound)
	}
	return d.clone(), nil
}

// Documents implements [Store]. It returns what there was when the loop began.
func (m *MemoryStore) Documents(ctx context.Context, query DocumentQuery) iter.Seq2[Document, error] {
	return func(yield func(Document, error) bool) {
		if err := cmp.Or(ctx.Err(), query.Validate()); err != nil {
			yield(Document{}, err)
			return
		}
		for _, d := range m.query(query) {
			if !yield(d.clone(), nil) {
				return
			}
		}
	}
}

func (m *MemoryStore) query(query DocumentQuery) []Document {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var found []Document
	for _, d := range m.documents {
		if query.Matches(d) {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b Document) int {
		return cmp.Or(b.Changed.Compare(a.Changed), strings.Compare(b.ID, a.ID))
	})
	if query.Limit > 0 && len(found) > query.Limit {
		found = found[:query.Limit]
	}
	return found
}

// Commit implements [Store]. All its errors are safe to retry.
func (m *MemoryStore) Commit(ctx context.Context, c Change) (Change, error) {
	if err := cmp.Or(mayWrite(ctx), c.Validate()); err != nil {
		return Change{}, &unmade{fmt.Errorf("incident: commit: %w", err)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.check(c.Documents); err != nil {
		return Change{}, &unmade{fmt.Errorf("incident: commit: %w", err)}
	}
	if m.documents == nil {
		m.documents = make(map[documentName]Document)
		m.keys = make(map[documentKey]string)
		m.chains = make(map[string]*memoryChain)
	}
	var made Change
	for _, d := range c.Documents {
		m.releaseKey(documentName{d.Kind, d.ID})
	}
	for _, d := range c.Documents {
		d = d.clone()
		d.Version++
		d.Changed = d.Changed.UTC().Truncate(time.Microsecond)
		m.documents[documentName{d.Kind, d.ID}] = d
		if d.Open && d.Key != "" {
			m.keys[documentKey{d.Kind, d.Key}] = d.ID
		}
		made.Documents = append(made.Documents, d.clone())
	}
	for _, e := range c.Entries {
		made.Entries = append(made.Entries, m.add(e))
	}
	return made, nil
}

// check returns why documents cannot be written.
func (m *MemoryStore) check(documents []Document) error {
	changed := make(map[documentName]bool)
	for _, d := range documents {
		name := documentName{d.Kind, d.ID}
		if now := m.documents[name].Version; now != d.Version {
			return fmt.Errorf("document %s %s: %w: version %d was read, and it is at %d", d.Kind, d.ID, ErrStale, d.Version, now)
		}
		changed[name] = true
	}
	claimed := make(map[documentKey]bool)
	for _, d := range documents {
		if !d.Open || d.Key == "" {
			continue
		}
		key := documentKey{d.Kind, d.Key}
		owner, taken := m.keys[key]
		if claimed[key] || taken && !changed[documentName{d.Kind, owner}] {
			return fmt.Errorf("document %s %s: %w: another open one has its key", d.Kind, d.ID, ErrTaken)
		}
		claimed[key] = true
	}
	return nil
}

// releaseKey frees the key that a document has, if it has one.
func (m *MemoryStore) releaseKey(name documentName) {
	if d := m.documents[name]; d.Open && d.Key != "" {
		delete(m.keys, documentKey{d.Kind, d.Key})
	}
}

// add adds an entry to its chain, or finds it there, and returns it.
func (m *MemoryStore) add(e Entry) Entry {
	c := m.chains[e.Chain]
	if c == nil {
		c = &memoryChain{keys: make(map[string]int)}
		m.chains[e.Chain] = c
	}
	if i, ok := c.keys[e.Key]; ok && e.Key != "" {
		return c.entries[i].clone()
	}
	var last Entry
	if n := len(c.entries); n > 0 {
		last = c.entries[n-1]
	}
	e.Salt, e.Content = "", "" // those of a writer do not count
	e = e.clone().Follow(last)
	if e.Key != "" {
		c.keys[e.Key] = len(c.entries)
	}
	c.entries = append(c.entries, e)
	return e.clone()
}

// Entries implements [Store]. It returns what there was when the loop began.
func (m *MemoryStore) Entries(ctx context.Context, chain string, after int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(Entry{}, err)
			return
		}
		m.mu.RLock()
		var entries []Entry
		if c := m.chains[chain]; c != nil {
			entries = c.entries[min(max(after, 0), int64(len(c.entries))):]
		}
		m.mu.RUnlock()
		for _, e := range entries {
			if !yield(e.clone(), nil) {
				return
			}
		}
	}
}

// Delete implements [Store].
func (m *MemoryStore) Delete(ctx context.Context, kind, id, chain string) error {
	if err := mayWrite(ctx); err != nil {
		return &unmade{fmt.Errorf("incident: delete: %w", err)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	name := documentName{kind, id}
	m.releaseKey(name)
	delete(m.documents, name)
	delete(m.chains, chain)
	return nil
}

// RedactEntries implements [EntryRedactor].
func (m *MemoryStore) RedactEntries(ctx context.Context, chain string, numbers ...int64) (int, error) {
	if err := mayWrite(ctx); err != nil {
		return 0, &unmade{fmt.Errorf("incident: redact: %w", err)}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.chains[chain]
	if c == nil {
		return 0, nil
	}
	entries, n := slices.Clone(c.entries), 0 // who reads has a part of the former ones
	for _, i := range numbers {
		if i < 1 || i > int64(len(entries)) || entries[i-1].Salt == "" {
			continue
		}
		entries[i-1] = entries[i-1].Redacted()
		n++
	}
	c.entries = entries
	return n, nil
}

func (d Document) clone() Document { d.Data = slices.Clone(d.Data); return d }

func (e Entry) clone() Entry { e.Data = slices.Clone(e.Data); return e }
