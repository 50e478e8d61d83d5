package incidenttest_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

var storeMistakes = map[string]mistake{
	"names regardless of case": memoryMistake("documents/there is none", func(m *incident.MemoryStore, w *mistakenStore) {
		w.document = func(ctx context.Context, kind, id string) (incident.Document, error) {
			return m.Document(ctx, kind, strings.ToLower(id))
		}
	}),
	"keeps data as a database keeps JSON": committing("documents/as it was written", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			c.Documents[i].Data = compact(d.Data)
		}
	}),
	"keeps the data of entries as a database keeps JSON": committing("entries/as they were written", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i, e := range c.Entries {
			c.Entries[i].Data = compact(e.Data)
		}
	}),
	"times in the zone of the machine": memoryMistake("documents/times have microseconds", func(m *incident.MemoryStore, w *mistakenStore) {
		w.document = func(ctx context.Context, kind, id string) (incident.Document, error) {
			d, err := m.Document(ctx, kind, id)
			d.Changed = d.Changed.In(time.FixedZone("here", 3600))
			return d, err
		}
	}),
	"milliseconds": committing("documents/times have microseconds", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			c.Documents[i].Changed = d.Changed.Truncate(time.Millisecond)
		}
	}),
	"rounds times": committing("documents/times have microseconds", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			c.Documents[i].Changed = d.Changed.Round(time.Microsecond)
		}
	}),
	"returns what was written and not what is stored": returning("documents/versions count from 1", func(c, made *incident.Change, err *error) {
		if *err == nil {
			made.Documents = c.Documents
		}
	}),
	"the last writer wins": committing("documents/a version that is not the newest is stale", func(ctx context.Context, m *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			now, _ := m.Document(ctx, d.Kind, d.ID)
			c.Documents[i].Version = now.Version
		}
	}),
	"one that is gone is not stale": committing("delete/a document", func(ctx context.Context, m *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			if _, err := m.Document(ctx, d.Kind, d.ID); errors.Is(err, incident.ErrNotFound) {
				c.Documents[i].Version = 0
			}
		}
	}),
	"shares what it keeps": memoryMistake("documents/what is written and read is a copy", func(m *incident.MemoryStore, w *mistakenStore) {
		cache := make(map[string]incident.Document)
		w.document = func(ctx context.Context, kind, id string) (incident.Document, error) {
			d, err := m.Document(ctx, kind, id)
			if c, ok := cache[kind+" "+id]; ok && c.Version == d.Version {
				return c, err
			}
			cache[kind+" "+id] = d
			return d, err
		}
	}),
	"keeps less than it promises": memoryMistake("documents/as much data as is kept", func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			for _, d := range c.Documents {
				if len(d.Data) > 1_000_000 {
					return incident.Change{}, errors.New("too large")
				}
			}
			return m.Commit(ctx, c)
		}
	}),

	"oldest first":                   listing("queries/the one that was changed last is first", slices.Reverse[[]incident.Document]),
	"in the order of their IDs":      listing("queries/the one that was changed last is first", byID),
	"those of a time as they come":   listing("queries/of the same time the greater ID is first", sameTimeReversed),
	"IDs as people sort them":        listing("queries/of the same time the greater ID is first", asPeopleSort),
	"takes no heed of the limit":     querying("queries/at most so many", func(q *incident.DocumentQuery) { q.Limit = 0 }),
	"never more than a page":         querying("queries/at most so many", func(q *incident.DocumentQuery) { q.Limit = min(max(q.Limit, 1), 100) }),
	"takes no heed of the key":       querying("queries/by key", func(q *incident.DocumentQuery) { q.Key = "" }),
	"returns closed ones":            querying("queries/open ones", func(q *incident.DocumentQuery) { q.Open = false }),
	"since means after":              querying("queries/since a time", func(q *incident.DocumentQuery) { q.Since = q.Since.Add(time.Microsecond) }),
	"since a second":                 querying("queries/since a time", func(q *incident.DocumentQuery) { q.Since = q.Since.Truncate(time.Second) }),
	"a wrong query finds everything": querying("queries/what is wrong with a query is an error", func(q *incident.DocumentQuery) { q.Kind, q.Limit = cmp.Or(q.Kind, "note"), max(q.Limit, 0) }),
	"asks once": memoryMistake("queries/a loop may end early, and begin again", func(m *incident.MemoryStore, w *mistakenStore) {
		w.documents = func(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
			var list []incident.Document
			for d := range m.Documents(ctx, q) {
				list = append(list, d)
			}
			return func(yield func(incident.Document, error) bool) {
				for _, d := range list {
					if !yield(d, nil) {
						return
					}
				}
			}
		}
	}),
	"pages by what is there now": memoryMistake("queries/who reads may write", func(m *incident.MemoryStore, w *mistakenStore) {
		w.documents = func(ctx context.Context, q incident.DocumentQuery) iter.Seq2[incident.Document, error] {
			return func(yield func(incident.Document, error) bool) {
				for skip := 0; ; skip++ {
					n := 0
					for d, err := range m.Documents(ctx, q) {
						if n++; n <= skip {
							continue
						}
						if !yield(d, err) {
							return
						}
						break
					}
					if n <= skip {
						return
					}
				}
			}
		}
	}),

	"closed ones keep their key": memoryMistake("open keys/one open document has it", func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			for _, d := range c.Documents {
				for other := range m.Documents(ctx, incident.DocumentQuery{Kind: d.Kind, Key: cmp.Or(d.Key, "none")}) {
					if other.ID != d.ID {
						return incident.Change{}, incident.ErrTaken
					}
				}
			}
			return m.Commit(ctx, c)
		}
	}),
	"all kinds share keys": memoryMistake("open keys/one open document has it", func(m *incident.MemoryStore, w *mistakenStore) {
		keys := make(map[string]string)
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			for _, d := range c.Documents {
				if kind, ok := keys[d.Key]; ok && d.Key != "" && kind != d.Kind {
					return incident.Change{}, incident.ErrTaken
				}
				keys[d.Key] = d.Kind
			}
			return m.Commit(ctx, c)
		}
	}),
	"the empty key is one": committing("open keys/the empty one is none", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			c.Documents[i].Key = cmp.Or(d.Key, " ")
		}
	}),
	"keys keep nobody out": committing("open keys/not two in one change", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i := range c.Documents {
			c.Documents[i].Key = ""
		}
	}),
	"writes one document after the other":                   memoryMistake("open keys/goes over within a change", oneByOne),
	"exchanges no keys":                                     memoryMistake("open keys/two can be exchanged", oneByOne),
	"makes the first documents of a change that it refuses": memoryMistake("a change is made whole/whose last document is stale", oneByOne),
	"frees a key though the change is refused":              memoryMistake("a change is made whole/a key that was given up is had again", oneByOne),
	"taken comes before stale": returning("open keys/stale comes before taken", func(_, _ *incident.Change, err *error) {
		if errors.Is(*err, incident.ErrStale) {
			*err = fmt.Errorf("%w, %w", incident.ErrTaken, *err)
		}
	}),
	"adds entries of a change that it refuses": memoryMistake("a change is made whole/whose last key is taken", func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			if err := c.Validate(); err != nil {
				return incident.Change{}, err
			}
			entries, err := m.Commit(ctx, incident.Change{Entries: c.Entries})
			if err != nil {
				return incident.Change{}, err
			}
			made, err := m.Commit(ctx, incident.Change{Documents: c.Documents})
			if err == nil {
				made.Entries = entries.Entries
			}
			return made, err
		}
	}),

	"adds what it has": committing("entries/one key is one entry", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i := range c.Entries {
			c.Entries[i].Key = ""
		}
	}),
	"returns the repetition and not what is there": returning("entries/one key is one entry", func(c, made *incident.Change, err *error) {
		for i := range made.Entries {
			made.Entries[i].Text = c.Entries[i].Text
		}
	}),
	"takes what a store gives from the writer": returning("entries/what a store gives is not taken from the writer", func(c, made *incident.Change, err *error) {
		if len(c.Entries) > 0 && c.Entries[0].Hash != "" {
			*err = errors.New("it has a hash already")
		}
	}),
	"numbers from zero":   reading("entries/in order, each after the one before", renumbered),
	"newest first":        reading("entries/in order, each after the one before", func(_ int64, all []incident.Entry) []incident.Entry { slices.Reverse(all); return all }),
	"those from a number": reading("entries/those after a number", func(after int64, all []incident.Entry) []incident.Entry { return afterEntry(after-1, all) }),
	"never more than a page more": reading("entries/more than are read at once", func(after int64, all []incident.Entry) []incident.Entry {
		some := afterEntry(after, all)
		return some[:min(1000, len(some))]
	}),
	"chains regardless of case": memoryMistake("entries/chains are apart", func(m *incident.MemoryStore, w *mistakenStore) {
		w.entries = func(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
			return m.Entries(ctx, strings.ToLower(chain), after)
		}
	}),
	"refuses what is no text": memoryMistake("entries/what is no text does not keep it from being written", func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			for _, e := range c.Entries {
				if strings.Contains(e.Text, "\x00") {
					return incident.Change{}, errors.New("invalid byte sequence")
				}
			}
			return m.Commit(ctx, c)
		}
	}),
	"follows who writes for ever": memoryMistake("entries/who reads may write", func(m *incident.MemoryStore, w *mistakenStore) {
		w.entries = func(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
			return func(yield func(incident.Entry, error) bool) {
				for more := true; more; {
					more = false
					for e, err := range m.Entries(ctx, chain, after) {
						if more = true; !yield(e, err) {
							return
						}
						after = e.Seq
					}
				}
			}
		}
	}),
	"an error for a chain that is not there": memoryMistake("entries/a chain that nobody wrote to is empty", func(m *incident.MemoryStore, w *mistakenStore) {
		w.entries = func(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
			return func(yield func(incident.Entry, error) bool) {
				n := 0
				for e, err := range m.Entries(ctx, chain, after) {
					if n++; !yield(e, err) {
						return
					}
				}
				if n == 0 {
					yield(incident.Entry{}, incident.ErrNotFound)
				}
			}
		}
	}),

	"names the first problem": returning("what is refused/all problems at once", func(_, _ *incident.Change, err *error) {
		if *err != nil {
			first, _, _ := strings.Cut((*err).Error(), "\n")
			*err = errors.New(first)
		}
	}),
	"tells what is in it": returning("what is refused/data", func(c, _ *incident.Change, err *error) {
		if *err != nil && len(c.Documents) > 1 {
			*err = fmt.Errorf("%s: %w", c.Documents[1].Data, *err)
		}
	}),
	"any name": committing("what is refused/names", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i := range c.Documents {
			c.Documents[i].Kind, c.Documents[i].ID = "note", fmt.Sprint(i)
		}
	}),
	"any chain": committing("what is refused/entries", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i := range c.Entries {
			c.Entries[i].Chain = "audit"
		}
	}),
	"cuts what is too long": committing("what is refused/versions, keys, times", func(_ context.Context, _ *incident.MemoryStore, c *incident.Change) {
		for i, d := range c.Documents {
			c.Documents[i].Key = string([]rune(d.Key)[:min(200, len([]rune(d.Key)))])
		}
	}),

	"writes with a read-only context": memoryMistake("faults/a read-only context", func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			if err := ctx.Err(); err != nil {
				return incident.Change{}, err
			}
			return m.Commit(context.Background(), c)
		}
	}),
	"deletes with a read-only context": deleting("faults/a read-only context", func(ctx context.Context, m *incident.MemoryStore, kind, id, chain string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return m.Delete(context.Background(), kind, id, chain)
	}),

	"an error if there is nothing to delete": deleting("delete/there is nothing", func(ctx context.Context, m *incident.MemoryStore, kind, id, chain string) error {
		if _, err := m.Document(ctx, kind, id); err != nil {
			return err
		}
		return m.Delete(ctx, kind, id, chain)
	}),
	"deletes no chain": deleting("delete/a chain", func(ctx context.Context, m *incident.MemoryStore, kind, id, _ string) error {
		return m.Delete(ctx, kind, id, "")
	}),
	"deletes a document or chain": deleting("delete/both", func(ctx context.Context, m *incident.MemoryStore, kind, id, chain string) error {
		if id != "" {
			chain = ""
		}
		return m.Delete(ctx, kind, id, chain)
	}),
	"deletes by hiding": deleting("delete/a document", func(ctx context.Context, m *incident.MemoryStore, kind, id, chain string) error {
		d, err := m.Document(ctx, kind, id)
		if errors.Is(err, incident.ErrNotFound) {
			return m.Delete(ctx, "", "", chain)
		}
		d.Open = false
		_, err = m.Commit(ctx, incident.Change{Documents: []incident.Document{d}})
		return err
	}),

	"commits though the context has ended": memoryMistake("faults/a context that has ended", func(m *incident.MemoryStore, w *mistakenStore) {
		w.commit = func(ctx context.Context, c incident.Change) (incident.Change, error) {
			made, err := m.Commit(context.WithoutCancel(ctx), c)
			return made, cmp.Or(ctx.Err(), err)
		}
	}),
	"reads nothing when the context has ended": memoryMistake("faults/a context that has ended", func(m *incident.MemoryStore, w *mistakenStore) {
		w.entries = func(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
			if ctx.Err() != nil {
				return func(func(incident.Entry, error) bool) {}
			}
			return m.Entries(ctx, chain, after)
		}
	}),
	"claims that a lost answer is safe":     losing(func(err error) error { return unsent{err} }),
	"tries again and says that it is stale": losing(func(error) error { return incident.ErrStale }),
	"says not found when it cannot ask": storeCaseMistake("faults/unreachable", func() incidenttest.StoreCase {
		m, broken := new(incident.MemoryStore), false
		w := &mistakenStore{MemoryStore: m}
		w.document = func(ctx context.Context, kind, id string) (incident.Document, error) {
			if broken {
				return incident.Document{}, incident.ErrNotFound
			}
			return m.Document(ctx, kind, id)
		}
		return incidenttest.StoreCase{Store: w, Break: func() { broken = true }}
	}),

	"reads the version, and then writes":        racing("at the same time/of writers of one version one wins", "version"),
	"looks whether there is one, and makes it":  racing("at the same time/one makes a document", "version"),
	"looks whether a key is free, and takes it": racing("at the same time/one gets an open key", "key"),
	"gives a key to two":                        racing("at the same time/a key that is given up has one owner", "key"),
	"looks for an entry, and adds it":           racing("at the same time/one entry of a key", "entry key"),
	"reads the end of a chain, and adds to it":  racing("at the same time/chains have no holes and no forks", "chain"),
	"shows half of a change":                    racing("at the same time/a chain is read while it grows", "half"),
}

// The suite accepts no store that makes one of these mistakes.
func TestStoreSuiteNotices(t *testing.T) {
	if name := os.Getenv("STORE_MISTAKE"); name != "" {
		storeMistakes[name].suite(t)
		return
	}
	for name, m := range storeMistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			group, test, _ := strings.Cut(strings.ReplaceAll(m.notices, " ", "_"), "/")
			run := fmt.Sprintf("^TestStoreSuiteNotices$/^%s$/^%s$", group, regexp.QuoteMeta(test))
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+run, "-test.v")
			cmd.Env = append(os.Environ(), "STORE_MISTAKE="+name)
			out, err := cmd.CombinedOutput()
			require.Error(t, err, "the suite accepts it: %s", out)
			assert.Contains(t, string(out), "--- FAIL: TestStoreSuiteNotices/"+group+"/"+test+" (")
		})
	}
}
