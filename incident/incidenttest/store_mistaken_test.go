package incidenttest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A mistakenStore is right where nothing else is said.
type mistakenStore struct {
	*incident.MemoryStore
	document  func(ctx context.Context, kind, id string) (incident.Document, error)
	documents func(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error]
	commit    func(ctx context.Context, c incident.Change) (incident.Change, error)
	entries   func(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error]
	remove    func(ctx context.Context, kind, id, chain string) error
}

func (w *mistakenStore) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	if w.document == nil {
		return w.MemoryStore.Document(ctx, kind, id)
	}
	return w.document(ctx, kind, id)
}

func (w *mistakenStore) Documents(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	if w.documents == nil {
		return w.MemoryStore.Documents(ctx, q)
	}
	return w.documents(ctx, q)
}

func (w *mistakenStore) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	if w.commit == nil {
		return w.MemoryStore.Commit(ctx, c)
	}
	return w.commit(ctx, c)
}

func (w *mistakenStore) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	if w.entries == nil {
		return w.MemoryStore.Entries(ctx, chain, after)
	}
	return w.entries(ctx, chain, after)
}

func (w *mistakenStore) Delete(ctx context.Context, kind, id, chain string) error {
	if w.remove == nil {
		return w.MemoryStore.Delete(ctx, kind, id, chain)
	}
	return w.remove(ctx, kind, id, chain)
}

// memoryMistake makes a mistake in the memory store.
func memoryMistake(notices string, change func(m *incident.MemoryStore, w *mistakenStore)) mistake {
	return storeCaseMistake(notices, func() incidenttest.StoreCase {
		w := &mistakenStore{MemoryStore: new(incident.MemoryStore)}
		change(w.MemoryStore, w)
		return incidenttest.StoreCase{Store: w}
	})
}

func storeCaseMistake(notices string, newCase func() incidenttest.StoreCase) mistake {
	return mistake{notices, func(t *testing.T) {
		incidenttest.TestStore(t, incidenttest.StoreHarness{New: func(testing.TB) incidenttest.StoreCase { return newCase() }})
	}}
}

// querying is a mistake in what a query is understood to be.
func querying(notices string, change func(q *incident.DocumentQuery)) mistake {
	return memoryMistake(notices, func(m *incident.MemoryStore, w *mistakenStore) {
		w.documents = func(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
			change(&q)
			return m.Documents(ctx, q)
		}
	})
}

// listing is a mistake in the order of what is found.
func listing(notices string, order func(list []incident.Document)) mistake {
	return memoryMistake(notices, func(m *incident.MemoryStore, w *mistakenStore) {
		w.documents = func(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
			return func(yield func(incident.Document, error) bool) {
				var list []incident.Document
				for d, err := range m.Documents(ctx, q) {
					if err != nil {
						yield(d, err)
						return
					}
					list = append(list, d)
				}
				order(list)
				for _, d := range list {
					if !yield(d, nil) {
						return
					}
				}
			}
		}
	})
}

// committing is a mistake in what is made of a change before it is committed.
func committing(notices string, change func(ctx context.Context, m *incident.MemoryStore, c *incident.Change)) mistake {
	return memoryMistake(notices, func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			c.Documents, c.Entries = slices.Clone(c.Documents), slices.Clone(c.Entries)
			change(ctx, m, &c)
			return m.Commit(ctx, c)
		}
	})
}

// returning is a mistake in what comes back from a commit.
func returning(notices string, change func(c, made *incident.Change, err *error)) mistake {
	return memoryMistake(notices, func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			made, err := m.Commit(ctx, c)
			change(&c, &made, &err)
			return made, err
		}
	})
}

// reading is a mistake in a chain that is read.
func reading(notices string, change func(after int64, all []incident.Entry) []incident.Entry) mistake {
	return memoryMistake(notices, func(m *incident.MemoryStore, w *mistakenStore) {
		w.entries = func(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
			return func(yield func(incident.Entry, error) bool) {
				var all []incident.Entry
				for e, err := range m.Entries(ctx, chain, 0) {
					if err != nil {
						yield(e, err)
						return
					}
					all = append(all, e)
				}
				for _, e := range change(after, all) {
					if !yield(e, nil) {
						return
					}
				}
			}
		}
	})
}

// deleting is a mistake in what is deleted.
func deleting(notices string, remove func(ctx context.Context, m *incident.MemoryStore, kind, id, chain string) error) mistake {
	return memoryMistake(notices, func(m *incident.MemoryStore, w *mistakenStore) {
		w.remove = func(ctx context.Context, kind, id, chain string) error { return remove(ctx, m, kind, id, chain) }
	})
}

// racing is a store that does several things one after the other that have to be one.
func racing(notices, gap string) mistake {
	return storeCaseMistake(notices, func() incidenttest.StoreCase {
		return incidenttest.StoreCase{Store: &naiveStore{gap: gap, documents: make(map[[2]string]incident.Document), chains: make(map[string][]incident.Entry)}}
	})
}

func afterEntry(after int64, all []incident.Entry) []incident.Entry {
	return all[min(max(after, 0), int64(len(all))):]
}

func compact(data json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}

// losing is a store that makes something else of an answer that was lost.
func losing(wrong func(error) error) mistake {
	return storeCaseMistake("faults/lost answer", func() incidenttest.StoreCase {
		m, lose := new(incident.MemoryStore), false
		w := &mistakenStore{MemoryStore: m}
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			made, err := m.Commit(ctx, c)
			if lose {
				lose = false
				return incident.Change{}, wrong(errors.New("connection reset"))
			}
			return made, err
		}
		return incidenttest.StoreCase{Store: w, LoseAnswer: func() { lose = true }}
	})
}

// oneByOne makes a change of each document.
func oneByOne(m *incident.MemoryStore, w *mistakenStore) {
	w.commit = func(ctx context.Context, c incident.Change) (made incident.Change, err error) {
		if err := c.Validate(); err != nil {
			return made, err
		}
		for _, d := range c.Documents {
			one, err := m.Commit(ctx, incident.Change{Documents: []incident.Document{d}})
			if err != nil {
				return incident.Change{}, err
			}
			made.Documents = append(made.Documents, one.Documents...)
		}
		rest, err := m.Commit(ctx, incident.Change{Entries: c.Entries})
		made.Entries = rest.Entries
		return made, err
	}
}

func byID(list []incident.Document) {
	slices.SortFunc(list, func(a, b incident.Document) int { return strings.Compare(b.ID, a.ID) })
}

func sameTimeReversed(list []incident.Document) {
	slices.SortFunc(list, func(a, b incident.Document) int {
		return cmp.Or(b.Changed.Compare(a.Changed), strings.Compare(a.ID, b.ID))
	})
}

func asPeopleSort(list []incident.Document) {
	slices.SortStableFunc(list, func(a, b incident.Document) int {
		return cmp.Or(b.Changed.Compare(a.Changed), strings.Compare(strings.ToLower(b.ID), strings.ToLower(a.ID)))
	})
}

func renumbered(_ int64, all []incident.Entry) []incident.Entry {
	for i := range all {
		all[i].Seq--
	}
	return all
}
