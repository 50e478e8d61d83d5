package incidenttest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

var entryTests = []storeTest{
	{"a chain that nobody wrote to is empty", func(t *testing.T, u storeUse) {
		for _, chain := range []string{"audit", "incident/none", "", "a/b/c", "\x00", "\xff"} {
			if all := u.entries(t, chain, 0); len(all) != 0 {
				t.Errorf("chain %q has %d entries", chain, len(all))
			}
		}
	}},
	{"in order, each after the one before", func(t *testing.T, u storeUse) {
		var last incident.Entry
		var want []string
		for i := range 5 {
			made := u.add(t, event("audit", fmt.Sprint(i, "a")), event("audit", fmt.Sprint(i, "b")))
			for _, e := range made {
				if e.Seq != last.Seq+1 || e.Prior != last.Hash || e.Hash == "" || e.Hash == last.Hash {
					t.Errorf("entry %+v after %+v", e, last)
				}
				last = e
				want = append(want, e.Text)
			}
		}
		for _, s := range u.stores() {
			all := u.via(s).says(t, "audit", want...)
			sameEntry(t, all[len(all)-1], last)
		}
	}},
	{"as they were written", func(t *testing.T, u storeUse) {
		full := incident.Entry{
			Chain: "incident/INC-2026-0042", Key: "ключ 鍵 🔑 '; --", At: storeTime, Kind: "step ended ✓", Actor: "Ana Ünïcödé",
			Text: "line\n\"two\" <é> 日本語 🚨 \u202e \u2028", Data: exactly,
		}
		bare := incident.Entry{Chain: full.Chain, At: storeTime, Kind: "x"}
		made := u.add(t, full, bare)
		full.Salt = made[0].Salt
		full, bare = full.Follow(incident.Entry{}), bare.Follow(made[0])
		for _, s := range u.stores() {
			all := u.via(s).sound(t, full.Chain, 2)
			for i, want := range []incident.Entry{full, bare} {
				sameEntry(t, made[i], want)
				sameEntry(t, all[i], want)
			}
		}
	}},
	{"redacted", func(t *testing.T, u storeUse) {
		redactor, can := u.Store.(incident.EntryRedactor)
		if !can {
			t.Skip("the store redacts no entries")
		}
		full := incident.Entry{Chain: "incident/a", Key: "k", At: storeTime, Kind: "step ended", Actor: "ana", Text: "from 203.0.113.9", Data: exactly}
		made := u.add(t, event("incident/a", "before"), full, incident.Entry{Chain: "incident/a", At: storeTime, Kind: "bare"}, event("incident/a", "after"), event("audit", "other"))
		if _, err := redactor.RedactEntries(runbook.ReadOnly(t.Context()), "incident/a", 2); !errors.Is(err, runbook.ErrReadOnly) {
			t.Errorf("with a read-only context the error is %v", err)
		}
		for i, want := range []int{1, 0} { // the second time there is nothing left
			if n, err := redactor.RedactEntries(t.Context(), "incident/a", 2, 3, 99, 0); n != want || err != nil {
				t.Errorf("call %d changed %d entries, and its error is %v; want %d", i+1, n, err, want)
			}
		}
		if n, err := redactor.RedactEntries(t.Context(), "incident/none", 1); n != 0 || err != nil {
			t.Errorf("of a chain that there is not %d entries were changed, and the error is %v", n, err)
		}
		for _, s := range u.stores() {
			all := u.via(s).sound(t, "incident/a", 4)
			for i, want := range []incident.Entry{made[0], made[1].Redacted(), made[2], made[3]} {
				sameEntry(t, all[i], want)
			}
			u.via(s).says(t, "audit", "other")
		}
		if again := u.add(t, full); again[0].Text != "" || again[0].Seq != 2 {
			t.Errorf("one of the same key is added, or says it again: %+v", again[0])
		}
		u.add(t, event("incident/a", "later"))
		u.sound(t, "incident/a", 5)
	}},
	{"what a store gives is not taken from the writer", func(t *testing.T, u storeUse) {
		e := event("audit", "a")
		e.Seq, e.Prior, e.Hash = 7, "prior", "hash"
		u.add(t, e)
		u.says(t, "audit", "a")
	}},
	{"those after a number", func(t *testing.T, u storeUse) {
		for i := range 5 {
			u.add(t, event("audit", fmt.Sprint(i+1)))
		}
		for after, want := range map[int64]int{-1: 5, 0: 5, 1: 4, 4: 1, 5: 0, 6: 0, 1 << 40: 0} {
			all := u.entries(t, "audit", after)
			if len(all) != want || len(all) > 0 && all[0].Seq != max(after, 0)+1 {
				t.Errorf("%d entries after %d; want %d", len(all), after, want)
			}
		}
	}},
	{"more than are read at once", func(t *testing.T, u storeUse) {
		const n = 1200
		var some []incident.Entry
		for i := range n {
			some = append(some, event("audit", fmt.Sprint(i)))
		}
		u.add(t, some...)
		u.sound(t, "audit", n)
		if all := u.entries(t, "audit", n-750); len(all) != 750 {
			t.Errorf("%d entries after %d", len(all), n-750)
		}
	}},
	{"chains are apart", func(t *testing.T, u storeUse) {
		u.add(t, event("audit", "1"), event("incident/a", "2"), event("Audit", "3"), event("incident/A", "4"), event("audit", "5"))
		u.says(t, "audit", "1", "5")
		u.says(t, "Audit", "3")
		u.says(t, "incident/a", "2")
		u.says(t, "incident/A", "4")
	}},
	{"one key is one entry", func(t *testing.T, u storeUse) {
		keyed := func(chain, key, text string) incident.Entry {
			e := event(chain, text)
			e.Key = key
			return e
		}
		first := u.add(t, keyed("audit", "k", "first"), event("audit", "second"))
		again := u.add(t, keyed("audit", "k", "other"), keyed("audit", "K", "third"), keyed("incident/a", "k", "there"), keyed("audit", "K", "no"))
		sameEntry(t, again[0], first[0])
		sameEntry(t, again[3], again[1])
		for _, s := range u.stores() {
			sameEntry(t, u.via(s).add(t, keyed("audit", "k", "again"))[0], first[0])
			u.via(s).says(t, "audit", "first", "second", "third")
			u.via(s).says(t, "incident/a", "there")
		}
	}},
	{"without a key each is one", func(t *testing.T, u storeUse) {
		u.add(t, event("audit", "same"), event("audit", "same"))
		u.add(t, event("audit", "same"))
		u.says(t, "audit", "same", "same", "same")
	}},
	{"what is no text does not keep it from being written", func(t *testing.T, u storeUse) {
		e := event("audit", "cut in a r\xc3 and \x00 zero")
		e.Actor = "\xffana" + strings.Repeat("ß", 300)
		long := event("audit", strings.Repeat("ß", 5000))
		made := u.add(t, e, long)
		all := u.sound(t, "audit", 2)
		for i := range all {
			sameEntry(t, all[i], made[i])
			if !utf8.ValidString(all[i].Text+all[i].Actor) || strings.ContainsRune(all[i].Text, 0) {
				t.Errorf("actor %q, text %q: not valid", all[i].Actor, all[i].Text)
			}
		}
		if !strings.HasPrefix(all[0].Text, "cut in a r") || !strings.HasSuffix(all[0].Text, " zero") || utf8.RuneCountInString(all[1].Text) != 4000 {
			t.Errorf("texts %q and %.20q", all[0].Text, all[1].Text)
		}
	}},
	{"who reads may write", testAddWhileReading},
	{"an entry that was exported has its hash", func(t *testing.T, u storeUse) {
		for range 3 {
			e := event("audit", "<script> & \u2028")
			e.Data = exactly
			u.add(t, e)
		}
		var lines []byte
		for _, e := range u.entries(t, "audit", 0) {
			line, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, line...)
		}
		decoder := json.NewDecoder(strings.NewReader(string(lines)))
		last, err := incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
			for decoder.More() {
				var e incident.Entry
				if err := decoder.Decode(&e); !yield(e, err) || err != nil {
					return
				}
			}
		})
		if err != nil || last.Seq != 3 {
			t.Errorf("last entry %d, error %v", last.Seq, err)
		}
	}},
}

// testAddWhileReading adds to a chain while it is read: a page for each page, so that who
// goes on while there is something never ends.
func testAddWhileReading(t *testing.T, u storeUse) {
	some := make([]incident.Entry, 600) // more than are read at once, perhaps
	for i := range some {
		some[i] = event("audit", fmt.Sprint(i))
	}
	u.add(t, some...)
	last, total := int64(0), len(some)
	for e, err := range u.Store.Entries(t.Context(), "audit", 0) {
		if err != nil || e.Seq != last+1 {
			t.Fatalf("entry %d after %d, error %v", e.Seq, last, err)
		}
		if last = e.Seq; last > 3000 {
			t.Fatal("it does not end")
		}
		if last%200 == 1 {
			u.add(t, some[:200]...)
			total += 200
		}
	}
	if last < int64(len(some)) {
		t.Errorf("%d entries; want those that were there at the beginning at least", last)
	}
	u.sound(t, "audit", total)
}

var wholeTests = []storeTest{
	{"documents and entries together", func(t *testing.T, u storeUse) {
		made := u.commit(t, incident.Change{
			Documents: []incident.Document{note("a", ""), note("b", "k")},
			Entries:   []incident.Entry{event("incident/a", "opened"), event("audit", "opened a"), event("incident/a", "told")},
		})
		for _, s := range u.stores() {
			u.via(s).has(t, made.Documents[0])
			u.via(s).has(t, made.Documents[1])
			u.via(s).says(t, "incident/a", "opened", "told")
			u.via(s).says(t, "audit", "opened a")
		}
	}},
	{"nothing to do", func(t *testing.T, u storeUse) {
		u.commit(t, incident.Change{})
	}},
	{"whose last document is stale", func(t *testing.T, u storeUse) {
		stale := note("z", "")
		stale.Version = 1
		unchanged(t, u, incident.ErrStale, stale)
	}},
	{"whose last key is taken", func(t *testing.T, u storeUse) {
		u.write(t, note("owner", "taken"))
		unchanged(t, u, incident.ErrTaken, note("z", "taken"))
	}},
	{"whose last document is refused", func(t *testing.T, u storeUse) {
		unchanged(t, u, nil, note("z z", ""))
	}},
	{"a key that was given up is had again", func(t *testing.T, u storeUse) {
		a := u.write(t, note("a", "k"))[0]
		gone, stale := a, note("z", "")
		gone.Open, stale.Version = false, 1
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{gone, stale}}), incident.ErrStale)
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{note("b", "k")}}), incident.ErrTaken)
		u.has(t, a)
	}},
}

// unchanged makes a change that is right but for its last document, and checks that
// nothing of it was made.
func unchanged(t *testing.T, u storeUse, want error, last incident.Document) {
	before := u.write(t, note("a", "1"), note("b", "2"))
	u.add(t, event("audit", "before"))
	a, b := before[0], before[1]
	a.Data, b.Open = json.RawMessage(`"changed"`), false
	keyed := event("audit", "after")
	keyed.Key = "k"
	err := u.refuses(t, incident.Change{
		Documents: []incident.Document{a, b, note("new", "3"), last},
		Entries:   []incident.Entry{keyed, event("incident/a", "after")},
	})
	if want != nil {
		wants(t, err, want)
	}
	for _, s := range u.stores() {
		u := u.via(s)
		u.has(t, before[0])
		u.has(t, before[1])
		u.lacks(t, "note", "new")
		u.lacks(t, "note", last.ID)
		u.says(t, "audit", "before")
		u.says(t, "incident/a")
	}
	u.write(t, note("new", "3")) // the key was not taken
	sameEntry(t, u.add(t, keyed)[0], u.says(t, "audit", "before", "after")[1])
}

var deleteTests = []storeTest{
	{"there is nothing", func(t *testing.T, u storeUse) {
		for _, names := range [][3]string{{"", "", ""}, {"note", "a", "audit"}, {"note", "", ""}, {"", "a", ""}, {"\x00", "\xff", "a/b/c"}} {
			if err := u.Store.Delete(t.Context(), names[0], names[1], names[2]); err != nil {
				t.Errorf("delete %q: %v", names, err)
			}
		}
	}},
	{"a document", func(t *testing.T, u storeUse) {
		made := u.write(t, note("a", "k"), note("b", ""))
		u.add(t, event("audit", "a"))
		if err := u.Store.Delete(t.Context(), "note", "a", ""); err != nil {
			t.Fatal(err)
		}
		for _, s := range u.stores() {
			u.via(s).lacks(t, "note", "a")
			u.via(s).has(t, made[1])
			u.via(s).says(t, "audit", "a")
			u.via(s).finds(t, incident.DocumentQuery{Kind: "note"}, "b")
		}
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{made[0]}}), incident.ErrStale)
		u.write(t, note("c", "k")) // its key is free
		again := u.write(t, note("a", ""))[0]
		u.has(t, again)
	}},
	{"a chain", func(t *testing.T, u storeUse) {
		keyed := event("incident/a", "1")
		keyed.Key = "k"
		u.commit(t, incident.Change{Documents: []incident.Document{note("a", "")}, Entries: []incident.Entry{keyed, event("incident/a", "2"), event("audit", "3")}})
		if err := u.Store.Delete(t.Context(), "", "", "incident/a"); err != nil {
			t.Fatal(err)
		}
		for _, s := range u.stores() {
			u.via(s).says(t, "incident/a")
			u.via(s).says(t, "audit", "3")
			u.via(s).finds(t, incident.DocumentQuery{Kind: "note"}, "a")
		}
		u.add(t, keyed) // it begins anew
		u.says(t, "incident/a", "1")
	}},
	{"both", func(t *testing.T, u storeUse) {
		u.commit(t, incident.Change{Documents: []incident.Document{note("a", "k"), note("b", "")}, Entries: []incident.Entry{event("incident/a", "1"), event("incident/b", "2")}})
		for range 2 {
			if err := u.Store.Delete(t.Context(), "note", "a", "incident/a"); err != nil {
				t.Fatal(err)
			}
		}
		u.lacks(t, "note", "a")
		u.says(t, "incident/a")
		u.says(t, "incident/b", "2")
		u.finds(t, incident.DocumentQuery{Kind: "note"}, "b")
	}},
}
