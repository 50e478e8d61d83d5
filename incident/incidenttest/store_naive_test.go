package incidenttest_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// A naiveStore does one thing after the other. Where its gap is, others come between.
// Without one it is right.
type naiveStore struct {
	gap string

	mu        sync.Mutex
	documents map[[2]string]incident.Document
	chains    map[string][]incident.Entry
}

// pass lets others come between, if this is where the gap is.
func (n *naiveStore) pass(here string) {
	if here == n.gap {
		n.mu.Unlock()
		time.Sleep(100 * time.Microsecond)
		n.mu.Lock()
	}
}

func (n *naiveStore) Commit(ctx context.Context, c incident.Change) (made incident.Change, err error) {
	if runbook.IsReadOnly(ctx) {
		return incident.Change{}, runbook.ErrReadOnly
	}
	if err := cmp.Or(ctx.Err(), c.Validate()); err != nil {
		return made, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := make(map[[2]string]bool)
	for _, d := range c.Documents {
		if n.documents[[2]string{d.Kind, d.ID}].Version != d.Version {
			return made, fmt.Errorf("document %s %s: %w", d.Kind, d.ID, incident.ErrStale)
		}
		changed[[2]string{d.Kind, d.ID}] = true
	}
	n.pass("version")
	for i, d := range c.Documents {
		if d.Open && d.Key != "" && (n.taken(d, changed) || n.twice(d, c.Documents[:i])) {
			return made, fmt.Errorf("document %s %s: %w", d.Kind, d.ID, incident.ErrTaken)
		}
	}
	n.pass("key")
	for _, d := range c.Documents {
		d.Version++
		d.Changed, d.Data = d.Changed.UTC().Truncate(time.Microsecond), slices.Clone(d.Data)
		n.documents[[2]string{d.Kind, d.ID}] = d
		d.Data = slices.Clone(d.Data)
		made.Documents = append(made.Documents, d)
	}
	for _, e := range c.Entries {
		made.Entries = append(made.Entries, n.add(e))
		n.pass("half")
	}
	return made, nil
}

func (n *naiveStore) taken(d incident.Document, changed map[[2]string]bool) bool {
	for name, other := range n.documents {
		if other.Kind == d.Kind && other.Key == d.Key && other.Open && !changed[name] {
			return true
		}
	}
	return false
}

func (n *naiveStore) twice(d incident.Document, before []incident.Document) bool {
	return slices.ContainsFunc(before, func(b incident.Document) bool { return b.Open && b.Kind == d.Kind && b.Key == d.Key })
}

func (n *naiveStore) add(e incident.Entry) incident.Entry {
	e.Data = slices.Clone(e.Data)
	for _, there := range n.chains[e.Chain] {
		if e.Key != "" && e.Key == there.Key {
			return there
		}
	}
	n.pass("entry key")
	var last incident.Entry
	if all := n.chains[e.Chain]; len(all) > 0 {
		last = all[len(all)-1]
	}
	n.pass("chain")
	e = e.Follow(last)
	n.chains[e.Chain] = append(n.chains[e.Chain], e)
	e.Data = slices.Clone(e.Data)
	return e
}

func (n *naiveStore) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	d, ok := n.documents[[2]string{kind, id}]
	if !ok {
		return d, cmp.Or(ctx.Err(), incident.ErrNotFound)
	}
	d.Data = slices.Clone(d.Data)
	return d, ctx.Err()
}

func (n *naiveStore) Documents(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return func(yield func(incident.Document, error) bool) {
		if err := cmp.Or(ctx.Err(), q.Validate()); err != nil {
			yield(incident.Document{}, err)
			return
		}
		n.mu.Lock()
		var list []incident.Document
		for _, d := range n.documents {
			if q.Matches(d) {
				d.Data = slices.Clone(d.Data)
				list = append(list, d)
			}
		}
		n.mu.Unlock()
		slices.SortFunc(list, func(a, b incident.Document) int {
			return cmp.Or(b.Changed.Compare(a.Changed), strings.Compare(b.ID, a.ID))
		})
		if q.Limit > 0 {
			list = list[:min(q.Limit, len(list))]
		}
		for _, d := range list {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (n *naiveStore) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	return func(yield func(incident.Entry, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(incident.Entry{}, err)
			return
		}
		n.mu.Lock()
		all := afterEntry(after, n.chains[chain])
		n.mu.Unlock()
		for _, e := range all {
			e.Data = slices.Clone(e.Data)
			if !yield(e, nil) {
				return
			}
		}
	}
}

func (n *naiveStore) Delete(ctx context.Context, kind, id, chain string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if runbook.IsReadOnly(ctx) {
		return runbook.ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(n.documents, [2]string{kind, id})
	delete(n.chains, chain)
	return nil
}

// The store whose gaps are noticed is right without them: it is the gaps that are.
func TestNaiveStore(t *testing.T) {
	t.Parallel()
	incidenttest.TestStore(t, incidenttest.StoreHarness{New: func(testing.TB) incidenttest.StoreCase {
		return incidenttest.StoreCase{Store: &naiveStore{documents: make(map[[2]string]incident.Document), chains: make(map[string][]incident.Entry)}}
	}})
}
