package incidenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// StoreCase is a store with nothing in it, for one test.
type StoreCase struct {
	// Store is the implementation.
	Store incident.Store
	// Replica returns another store of the same documents and chains, as another process
	// has it. Nil declines: the store lives in one process.
	Replica func() incident.Store
	// LoseAnswer makes the store carry out the next change and lose the answer. Nil
	// declines.
	LoseAnswer func()
	// Break makes the store unreachable from now on. Nil declines.
	Break func()
}

// StoreHarness is what [TestStore] needs of an implementation.
type StoreHarness struct {
	// New returns a fresh store.
	New func(t testing.TB) StoreCase
	// Writers is how many write at the same time where that matters. Zero means 8.
	Writers int
	// Rounds is how often each of them writes. Zero means 20.
	Rounds int
	// Run runs each test. Nil means directly.
	Run Runner
}

// TestStore checks what [incident.Store] asks of an implementation.
func TestStore(t *testing.T, h StoreHarness) {
	if h.Writers == 0 {
		h.Writers = 8
	}
	if h.Rounds == 0 {
		h.Rounds = 20
	}
	for _, group := range []struct {
		name  string
		tests []storeTest
	}{
		{"documents", documentTests},
		{"queries", queryTests},
		{"open keys", openKeyTests},
		{"entries", entryTests},
		{"a change is made whole", wholeTests},
		{"what is refused", refusedTests},
		{"delete", deleteTests},
		{"faults", storeFaultTests},
		{"at the same time", storeRaceTests},
	} {
		t.Run(group.name, func(t *testing.T) {
			for _, test := range group.tests {
				h.Run.sub(t, test.name, func(t *testing.T) { test.run(t, storeUse{h.New(t), h}) })
			}
		})
	}
}

// A storeTest is one sentence of the contract.
type storeTest struct {
	name string
	run  func(t *testing.T, u storeUse)
}

// storeUse is a store in use by a test.
type storeUse struct {
	StoreCase
	h StoreHarness
}

// stores returns the store, and another one of the same if there can be one: what is
// written through one is read through the other.
func (u storeUse) stores() []incident.Store {
	if u.Replica == nil {
		return []incident.Store{u.Store}
	}
	return []incident.Store{u.Store, u.Replica()}
}

// via returns the use of another store of the same.
func (u storeUse) via(s incident.Store) storeUse { u.Store = s; return u }

// storeTime is on no whole microsecond, and not in UTC.
var storeTime = time.Date(2026, time.October, 5, 3, 12, 7, 123456789, time.FixedZone("AEDT", 11*3600))

// kept is a time as a store keeps it.
func kept(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// note returns a document of kind "note" that is open.
func note(id, key string) incident.Document {
	return incident.Document{Kind: "note", ID: id, Key: key, Open: true, Changed: storeTime, Data: json.RawMessage(`{"n": 1}`)}
}

// event returns an entry without a key.
func event(chain, text string) incident.Entry {
	return incident.Entry{Chain: chain, At: storeTime, Kind: "said", Actor: "ana", Text: text}
}

// commit makes a change that must succeed, and checks what comes back.
func (u storeUse) commit(t testing.TB, c incident.Change) incident.Change {
	t.Helper()
	made, err := u.Store.Commit(t.Context(), c)
	if err != nil {
		t.Fatalf("commit: %v", err)
	}
	if len(made.Documents) != len(c.Documents) || len(made.Entries) != len(c.Entries) {
		t.Fatalf("%d documents and %d entries came back; want %d and %d", len(made.Documents), len(made.Entries), len(c.Documents), len(c.Entries))
	}
	for i, d := range c.Documents {
		d.Version++
		d.Changed = kept(d.Changed)
		sameDocument(t, made.Documents[i], d)
	}
	return made
}

// write writes documents.
func (u storeUse) write(t testing.TB, documents ...incident.Document) []incident.Document {
	t.Helper()
	return u.commit(t, incident.Change{Documents: documents}).Documents
}

// add adds entries.
func (u storeUse) add(t testing.TB, entries ...incident.Entry) []incident.Entry {
	t.Helper()
	return u.commit(t, incident.Change{Entries: entries}).Entries
}

// refuses makes a change that must be refused, and returns the error.
func (u storeUse) refuses(t testing.TB, c incident.Change) error {
	t.Helper()
	made, err := u.Store.Commit(t.Context(), c)
	switch {
	case err == nil:
		t.Fatal("it was committed")
	case len(made.Documents)+len(made.Entries) > 0:
		t.Errorf("%d documents and %d entries came back with the error %v", len(made.Documents), len(made.Entries), err)
	}
	discreet(t, err)
	return err
}

// has checks that a document is as it was written.
func (u storeUse) has(t testing.TB, want incident.Document) {
	t.Helper()
	got, err := u.Store.Document(t.Context(), want.Kind, want.ID)
	if err != nil {
		t.Errorf("document %s %s: %v", want.Kind, want.ID, err)
		return
	}
	sameDocument(t, got, want)
}

// lacks checks that there is no such document.
func (u storeUse) lacks(t testing.TB, kind, id string) {
	t.Helper()
	d, err := u.Store.Document(t.Context(), kind, id)
	if !errors.Is(err, incident.ErrNotFound) || d.ID != "" {
		t.Errorf("document %.40q %.40q is %+v, error %v; want ErrNotFound", kind, id, d, err)
	}
}

// finds checks which documents a query chooses, in order.
func (u storeUse) finds(t testing.TB, query incident.DocumentQuery, want ...string) {
	t.Helper()
	var got []string
	for d, err := range u.Store.Documents(t.Context(), query) {
		if err != nil {
			t.Errorf("query %+v: %v", query, err)
			return
		}
		got = append(got, d.ID)
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("query %+v: documents %q; want %q", query, got, want)
	}
}

// entries reads a chain.
func (u storeUse) entries(t testing.TB, chain string, after int64) []incident.Entry {
	t.Helper()
	var all []incident.Entry
	for e, err := range u.Store.Entries(t.Context(), chain, after) {
		if err != nil {
			t.Errorf("chain %s: %v", chain, err)
			return all
		}
		all = append(all, e)
	}
	return all
}

// sound checks that a chain is whole and has n entries, and returns them.
func (u storeUse) sound(t testing.TB, chain string, n int) []incident.Entry {
	t.Helper()
	last, err := incident.VerifyChain(u.Store.Entries(t.Context(), chain, 0))
	if err != nil || last.Seq != int64(n) {
		t.Errorf("chain %s: the last entry is %d, error %v; want %d", chain, last.Seq, err, n)
	}
	return u.entries(t, chain, 0)
}

// says checks the texts of a chain, in order.
func (u storeUse) says(t testing.TB, chain string, texts ...string) []incident.Entry {
	t.Helper()
	all := u.sound(t, chain, len(texts))
	for i, e := range all {
		if i < len(texts) && (e.Text != texts[i] || e.Chain != chain) {
			t.Errorf("chain %s: entry %d is of %s and says %.60q; want %.60q", chain, i+1, e.Chain, e.Text, texts[i])
		}
	}
	return all
}

// sameDocument compares everything.
func sameDocument(t testing.TB, got, want incident.Document) {
	t.Helper()
	for _, field := range []struct {
		name      string
		got, want any
	}{
		{"kind", got.Kind, want.Kind},
		{"ID", got.ID, want.ID},
		{"version", got.Version, want.Version},
		{"key", got.Key, want.Key},
		{"open", got.Open, want.Open},
		{"changed", got.Changed.Format(time.RFC3339Nano), kept(want.Changed).Format(time.RFC3339Nano)},
	} {
		if field.got != field.want {
			t.Errorf("document %s %s: its %s is %v; want %v", want.Kind, want.ID, field.name, field.got, field.want)
		}
	}
	if !bytes.Equal(got.Data, want.Data) {
		t.Errorf("document %s %s: %d bytes of data are not the %d that were written", want.Kind, want.ID, len(got.Data), len(want.Data))
	}
}

// sameEntry compares everything.
func sameEntry(t testing.TB, got, want incident.Entry) {
	t.Helper()
	a, b := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want)
	if a != b || !bytes.Equal(got.Data, want.Data) {
		t.Errorf("the entry is %.300s; want %.300s", a, b)
	}
}

// discreet checks that an error shows no content.
func discreet(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
		t.Error("the error has the content of a document in it")
	}
}
