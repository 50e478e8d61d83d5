package incidenttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// writers runs f for each writer at the same time, each with one of the stores.
func (u storeUse) writers(f func(w int, s incident.Store)) {
	stores := u.stores()
	each(u.h.Writers, func(w int) { f(w, stores[w%len(stores)]) })
}

var storeRaceTests = []storeTest{
	{"of writers of one version one wins", testCompareAndSet},
	{"one makes a document", func(t *testing.T, u storeUse) {
		for round := range u.h.Rounds {
			id := fmt.Sprint(round)
			won := u.one(t, incident.ErrStale, func(int) incident.Change {
				return incident.Change{Documents: []incident.Document{note(id, "")}, Entries: []incident.Entry{event("audit", id)}}
			})
			if won != 1 {
				t.Fatalf("%d made document %s; want one", won, id)
			}
		}
		u.sound(t, "audit", u.h.Rounds)
	}},
	{"one gets an open key", func(t *testing.T, u storeUse) {
		for round := range u.h.Rounds {
			key := fmt.Sprint("key ", round)
			won := u.one(t, incident.ErrTaken, func(w int) incident.Change {
				d := note(fmt.Sprintf("%d-%d", round, w), key)
				return incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{event("incident/"+d.ID, key)}}
			})
			if won != 1 {
				t.Fatalf("%d got the key; want one", won)
			}
			n := 0
			for d, err := range u.Store.Documents(t.Context(), incident.DocumentQuery{Kind: "note", Key: key}) {
				if err != nil {
					t.Fatal(err)
				}
				n++
				u.says(t, "incident/"+d.ID, key)
			}
			if n != 1 {
				t.Errorf("%d documents have the key; want one", n)
			}
		}
	}},
	{"a key that is given up has one owner", testKeyPassedOn},
	{"one entry of a key", func(t *testing.T, u storeUse) {
		for round := range u.h.Rounds {
			var mu sync.Mutex
			hashes := make(map[string]bool)
			u.writers(func(w int, s incident.Store) {
				e := event("audit", fmt.Sprintf("%d by %d", round, w))
				e.Key = fmt.Sprint("key ", round)
				made, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{e}})
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				hashes[made.Entries[0].Hash] = true
			})
			if len(hashes) != 1 {
				t.Fatalf("%d entries came back; want everybody to see the same", len(hashes))
			}
		}
		u.sound(t, "audit", u.h.Rounds)
	}},
	{"chains have no holes and no forks", testChains},
	{"changes that cross each other", testCrossed},
	{"a chain is read while it grows", testReadWhileGrowing},
	{"a chain is deleted while it grows", func(t *testing.T, u storeUse) {
		u.writers(func(w int, s incident.Store) {
			for i := range u.h.Rounds {
				if w == 0 {
					if err := s.Delete(t.Context(), "note", "a", "incident/a"); err != nil {
						t.Error(err)
					}
					continue
				}
				if _, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{event("incident/a", fmt.Sprint(w, i))}}); err != nil {
					t.Error(err)
				}
			}
		})
		if _, err := incident.VerifyChain(u.Store.Entries(t.Context(), "incident/a", 0)); err != nil {
			t.Error(err)
		}
	}},
	{"a document is deleted while it is made", testDeletedWhileMade},
}

// testDeletedWhileMade makes and deletes a document that has a key: when it is gone, so is
// what it had.
func testDeletedWhileMade(t *testing.T, u storeUse) {
	u.writers(func(w int, s incident.Store) {
		for range u.h.Rounds {
			if w == 0 {
				if err := s.Delete(t.Context(), "note", "a", ""); err != nil {
					t.Error(err)
				}
				continue
			}
			d := note("a", "k")
			_, err := s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}})
			if err != nil && !errors.Is(err, incident.ErrStale) {
				t.Errorf("error %v; want that it is made, or that it is there", err)
			}
		}
	})
	if err := u.Store.Delete(t.Context(), "note", "a", ""); err != nil {
		t.Fatal(err)
	}
	u.write(t, note("b", "k"))
}

// one lets all writers make a change at the same time, and returns how many could. The
// others must get an error.
func (u storeUse) one(t *testing.T, want error, change func(w int) incident.Change) int {
	var won atomic.Int64
	u.writers(func(w int, s incident.Store) {
		switch _, err := s.Commit(t.Context(), change(w)); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, want):
			t.Errorf("error %v; want %v", err, want)
		}
	})
	return int(won.Load())
}

// testCompareAndSet counts in a document: no count is lost, and each is in the chain.
func testCompareAndSet(t *testing.T, u storeUse) {
	count := note("count", "k")
	count.Data = json.RawMessage("0")
	u.write(t, count)
	u.writers(func(w int, s incident.Store) {
		for made := 0; made < u.h.Rounds; {
			d, err := s.Document(t.Context(), "note", "count")
			if err != nil {
				t.Error(err)
				return
			}
			n, err := strconv.Atoi(string(d.Data))
			if err != nil || int64(n) != d.Version-1 {
				t.Errorf("it counts %s at version %d, error %v", d.Data, d.Version, err)
				return
			}
			d.Data = json.RawMessage(strconv.Itoa(n + 1))
			_, err = s.Commit(t.Context(), incident.Change{
				Documents: []incident.Document{d}, Entries: []incident.Entry{event("audit", fmt.Sprint(n+1))},
			})
			switch {
			case err == nil:
				made++
			case !errors.Is(err, incident.ErrStale):
				t.Errorf("writer %d: %v; want ErrStale", w, err)
				return
			}
		}
	})
	total := u.h.Writers * u.h.Rounds
	for i, e := range u.sound(t, "audit", total) {
		if e.Text != fmt.Sprint(i+1) {
			t.Errorf("entry %d says %s", i+1, e.Text)
		}
	}
	count.Version, count.Data = int64(total+1), json.RawMessage(strconv.Itoa(total))
	u.has(t, count)
}

// testKeyPassedOn has each writer open a document of its own with the one key, and close
// it again.
func testKeyPassedOn(t *testing.T, u storeUse) {
	var owners atomic.Int64
	u.writers(func(w int, s incident.Store) {
		d := note(fmt.Sprint(w), "k")
		for held := 0; held < max(1, u.h.Rounds/4); {
			if err := u.via(s).free(t, "k"); err != nil {
				t.Error(err)
				return
			}
			made, err := s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}})
			if errors.Is(err, incident.ErrTaken) {
				continue
			}
			if err != nil {
				t.Error(err)
				return
			}
			held++
			if n := owners.Add(1); n != 1 {
				t.Errorf("%d have the key", n)
			}
			for other, err := range s.Documents(t.Context(), incident.DocumentQuery{Kind: "note", Key: "k", Open: true}) {
				if err != nil || other.ID != d.ID {
					t.Errorf("document %s has the key of %s too, error %v", other.ID, d.ID, err)
				}
			}
			d = made.Documents[0]
			d.Open = false
			owners.Add(-1) // before it is given up, so that the next may have it at once
			made, err = s.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}})
			if err != nil {
				t.Error(err)
				return
			}
			d = made.Documents[0]
			d.Open = true
		}
	})
}

// testChains has everybody write to a chain of their own and to one that they share.
func testChains(t *testing.T, u storeUse) {
	u.writers(func(w int, s incident.Store) {
		own := fmt.Sprintf("incident/%d", w)
		var last incident.Entry
		for i := range u.h.Rounds {
			made, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{
				event(own, fmt.Sprint(i)), event("audit", fmt.Sprintf("%d %d", w, i)), event("audit", fmt.Sprintf("%d %d again", w, i)),
			}})
			if err != nil {
				t.Error(err)
				return
			}
			mine, first, second := made.Entries[0], made.Entries[1], made.Entries[2]
			if mine.Seq != last.Seq+1 || mine.Prior != last.Hash || second.Seq != first.Seq+1 || second.Prior != first.Hash {
				t.Errorf("entries %+v after %+v: they do not follow one another", made.Entries, last)
			}
			last = mine
		}
	})
	for _, s := range u.stores() {
		seen := make(map[string]bool)
		for _, e := range u.via(s).sound(t, "audit", 2*u.h.Writers*u.h.Rounds) {
			seen[e.Text] = true
		}
		if len(seen) != 2*u.h.Writers*u.h.Rounds {
			t.Errorf("%d entries of %d are there", len(seen), 2*u.h.Writers*u.h.Rounds)
		}
		for w := range u.h.Writers {
			u.via(s).sound(t, fmt.Sprintf("incident/%d", w), u.h.Rounds)
		}
	}
}

// testCrossed makes changes that want the same documents, keys and chains in opposite
// orders.
func testCrossed(t *testing.T, u storeUse) {
	u.write(t, note("a", "1"), note("b", "2"))
	u.writers(func(w int, s incident.Store) {
		for made := 0; made < u.h.Rounds; {
			a, errA := s.Document(t.Context(), "note", "a")
			b, errB := s.Document(t.Context(), "note", "b")
			if err := errors.Join(errA, errB); err != nil {
				t.Error(err)
				return
			}
			a.Key, b.Key = b.Key, a.Key
			c := incident.Change{Documents: []incident.Document{a, b}, Entries: []incident.Entry{event("incident/a", "x"), event("incident/b", "x")}}
			if w%2 == 1 {
				c.Documents[0], c.Documents[1] = b, a
				c.Entries[0], c.Entries[1] = c.Entries[1], c.Entries[0]
			}
			switch _, err := s.Commit(t.Context(), c); {
			case err == nil:
				made++
			case a.Key == b.Key && errors.Is(err, incident.ErrTaken): // read between two changes
			case !errors.Is(err, incident.ErrStale):
				t.Error(err)
				return
			}
		}
	})
	u.sound(t, "incident/a", u.h.Writers*u.h.Rounds)
	u.sound(t, "incident/b", u.h.Writers*u.h.Rounds)
}

// testReadWhileGrowing reads a chain again and again, until it has grown: what is read is
// always the chain as it was at a moment, and never gets shorter.
func testReadWhileGrowing(t *testing.T, u storeUse) {
	total := int64(2 * u.h.Rounds * ((u.h.Writers + 1) / 2))
	u.writers(func(w int, s incident.Store) {
		if w%2 == 0 {
			for i := range u.h.Rounds {
				if _, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{event("audit", fmt.Sprint(w, i)), event("audit", "x")}}); err != nil {
					t.Error(err)
				}
			}
			return
		}
		for before := int64(0); before < total && !t.Failed(); {
			last, err := incident.VerifyChain(s.Entries(t.Context(), "audit", 0))
			if err != nil || last.Seq < before || last.Seq%2 != 0 {
				t.Errorf("last entry %d after %d, error %v; want whole changes", last.Seq, before, err)
			}
			before = last.Seq
		}
	})
}

// free returns when no document has a key, or with an error.
func (u storeUse) free(t testing.TB, key string) error {
	for taken := true; taken; {
		taken = false
		for _, err := range u.Store.Documents(t.Context(), incident.DocumentQuery{Kind: "note", Key: key, Open: true}) {
			if taken = true; err != nil {
				return err
			}
		}
	}
	return nil
}
