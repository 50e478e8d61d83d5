package incidenttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// exactly is data that a database which knows JSON would change.
var exactly = json.RawMessage("{ \"b\" : 1.50e+10,\n\t\"a\":\"\\u0041\\u0000 <é> 日本語 🚨 \\/\", \"a\" : null , \"big\":12345678901234567890123 }\n")

var documentTests = []storeTest{
	{"there is none", func(t *testing.T, u storeUse) {
		u.lacks(t, "note", "a")
		u.write(t, note("a", ""))
		u.lacks(t, "note", "A") // names are taken as they are
		u.lacks(t, "other", "a")
		for _, name := range []string{"", "a b", "a\x00", "\xff", strings.Repeat("x", 101)} {
			u.lacks(t, "note", name)
			u.lacks(t, name, "a")
		}
	}},
	{"as it was written", func(t *testing.T, u storeUse) {
		d := incident.Document{Kind: "Kind_1-x.y", ID: "INC-2026-0042_a.b", Key: "ключ 鍵 🔑 '; --", Open: true, Changed: storeTime, Data: exactly}
		closed := incident.Document{Kind: "other", ID: d.ID, Changed: storeTime.Add(time.Hour), Data: json.RawMessage("null")}
		u.write(t, d, closed)
		d.Version, closed.Version = 1, 1
		for _, s := range u.stores() {
			u.via(s).has(t, d)
			u.via(s).has(t, closed)
			for got, err := range s.Documents(t.Context(), incident.DocumentQuery{Kind: d.Kind}) {
				if err != nil {
					t.Fatal(err)
				}
				sameDocument(t, got, d)
			}
		}
	}},
	{"versions count from 1", func(t *testing.T, u storeUse) {
		d := note("a", "k")
		for i := range 5 {
			d.Data, d.Open, d.Changed = json.RawMessage(fmt.Sprint(i)), i%2 == 0, d.Changed.Add(-time.Minute)
			d = u.write(t, d)[0]
			if d.Version != int64(i+1) {
				t.Errorf("version %d after change %d", d.Version, i+1)
			}
			for _, s := range u.stores() {
				u.via(s).has(t, d)
			}
		}
	}},
	{"a version that is not the newest is stale", func(t *testing.T, u storeUse) {
		stale := func(d incident.Document) {
			t.Helper()
			wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{d}}), incident.ErrStale)
		}
		first := note("a", "")
		first.Version = 1
		stale(first) // there is none yet
		u.lacks(t, "note", "a")
		u.write(t, note("a", ""))
		stale(note("a", "")) // there is one already
		second := u.write(t, first)[0]
		stale(first)
		stale(note("a", ""))
		ahead := second
		ahead.Version = 3
		stale(ahead)
		u.has(t, second)
	}},
	{"times have microseconds", func(t *testing.T, u storeUse) {
		for i, at := range []time.Time{
			storeTime, storeTime.Add(999), time.Unix(0, 1), time.Unix(-1, 999_999_999), time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
			time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), time.Date(2026, 4, 5, 2, 30, 0, 999_500, time.FixedZone("", -3600)),
		} {
			d := note(fmt.Sprint(i), "")
			d.Changed = at
			u.write(t, d)
			d.Version = 1
			for _, s := range u.stores() {
				u.via(s).has(t, d)
			}
		}
	}},
	{"what is written and read is a copy", func(t *testing.T, u storeUse) {
		d, e := note("a", ""), event("audit", "a")
		d.Data, e.Data = json.RawMessage(`"data"`), json.RawMessage(`"data"`)
		made := u.commit(t, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{e}})
		for _, data := range []json.RawMessage{d.Data, e.Data, made.Documents[0].Data, made.Entries[0].Data} {
			copy(data, `"DATA"`)
		}
		got, err := u.Store.Document(t.Context(), "note", "a")
		if err != nil || string(got.Data) != `"data"` {
			t.Fatalf("data %s, error %v", got.Data, err)
		}
		copy(got.Data, `"DATA"`)
		for d, err := range u.Store.Documents(t.Context(), incident.DocumentQuery{Kind: "note"}) {
			if err != nil || string(d.Data) != `"data"` {
				t.Fatalf("data %s, error %v", d.Data, err)
			}
			copy(d.Data, `"DATA"`)
		}
		for _, e := range u.sound(t, "audit", 1) {
			copy(e.Data, `"DATA"`)
		}
		d.Version, d.Data = 1, json.RawMessage(`"data"`)
		u.has(t, d)
		u.sound(t, "audit", 1)
	}},
	{"as much data as is kept", func(t *testing.T, u storeUse) {
		d, e := note("a", strings.Repeat("ß", 200)), event("audit", "a")
		d.Data = json.RawMessage(`"` + strings.Repeat("x", 1<<20-2) + `"`)
		e.Data, e.Key, e.Kind = d.Data[:64<<10:64<<10], strings.Repeat("🔑", 200), strings.Repeat("ß", 100)
		e.Data = append(slices.Clone(e.Data[:64<<10-1]), '"')
		made := u.commit(t, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{e}})
		d.Version = 1
		u.has(t, d)
		if got := u.sound(t, "audit", 1); len(got) != 1 || !bytes.Equal(got[0].Data, e.Data) || got[0].Key != e.Key || got[0].Hash != made.Entries[0].Hash {
			t.Error("the entry is not as it was written")
		}
	}},
}

var queryTests = []storeTest{
	{"the one that was changed last is first", func(t *testing.T, u storeUse) {
		query := incident.DocumentQuery{Kind: "note"}
		u.finds(t, query)
		for i, id := range []string{"b", "c", "a", "d"} { // b is the newest
			d := note(id, "")
			d.Changed = storeTime.Add(-time.Duration(i) * time.Microsecond)
			u.write(t, d)
		}
		other := note("x", "")
		other.Kind = "other"
		u.write(t, other)
		for _, s := range u.stores() {
			u.via(s).finds(t, query, "b", "c", "a", "d")
			u.via(s).finds(t, incident.DocumentQuery{Kind: "other"}, "x")
			u.via(s).finds(t, incident.DocumentQuery{Kind: "no such"})
			u.via(s).finds(t, incident.DocumentQuery{Kind: "\x00\xff"})
		}
		d := note("d", "")
		d.Version, d.Changed = 1, storeTime.Add(time.Second)
		u.write(t, d)
		u.finds(t, query, "d", "b", "c", "a")
	}},
	{"of the same time the greater ID is first", func(t *testing.T, u storeUse) {
		for _, id := range []string{"b", "B", "a", "_", "10", "9", "a.b", "a-b"} {
			u.write(t, note(id, ""))
		}
		u.finds(t, incident.DocumentQuery{Kind: "note"}, "b", "a.b", "a-b", "a", "_", "B", "9", "10")
	}},
	{"by key", func(t *testing.T, u storeUse) {
		closed, open, other, none := note("1", "k"), note("2", "k"), note("3", "K"), note("4", "")
		closed.Open = false
		u.write(t, closed, open, other, none)
		u.finds(t, incident.DocumentQuery{Kind: "note", Key: "k"}, "2", "1")
		u.finds(t, incident.DocumentQuery{Kind: "note", Key: "k", Open: true}, "2")
		u.finds(t, incident.DocumentQuery{Kind: "note", Key: "k%"})
		u.finds(t, incident.DocumentQuery{Kind: "note", Key: "\x00"})
		u.finds(t, incident.DocumentQuery{Kind: "other", Key: "k"})
	}},
	{"open ones", func(t *testing.T, u storeUse) {
		closed, open := note("1", ""), note("2", "")
		closed.Open = false
		u.write(t, closed, open)
		u.finds(t, incident.DocumentQuery{Kind: "note", Open: true}, "2")
		open.Version, open.Open = 1, false
		closed.Version, closed.Open = 1, true
		u.write(t, closed, open)
		u.finds(t, incident.DocumentQuery{Kind: "note", Open: true}, "1")
		u.finds(t, incident.DocumentQuery{Kind: "note"}, "2", "1")
	}},
	{"since a time", func(t *testing.T, u storeUse) {
		d, later := note("1", ""), note("2", "")
		later.Changed = storeTime.Add(time.Microsecond)
		u.write(t, d, later)
		since := func(at time.Time) incident.DocumentQuery { return incident.DocumentQuery{Kind: "note", Since: at} }
		u.finds(t, since(storeTime), "2", "1") // what is less than a microsecond does not count
		u.finds(t, since(storeTime.UTC()), "2", "1")
		u.finds(t, since(later.Changed), "2")
		u.finds(t, since(later.Changed.Add(time.Microsecond)))
	}},
	{"at most so many", func(t *testing.T, u storeUse) {
		var all []incident.Document
		var want []string
		for i := range 250 { // more than are read at once, perhaps
			d := note(fmt.Sprintf("%03d", i), "")
			d.Open = i%2 == 0
			all, want = append(all, d), append(want, d.ID)
		}
		u.write(t, all...)
		slices.Reverse(want)
		u.finds(t, incident.DocumentQuery{Kind: "note"}, want...)
		u.finds(t, incident.DocumentQuery{Kind: "note", Limit: 1}, want[0])
		u.finds(t, incident.DocumentQuery{Kind: "note", Limit: 230}, want[:230]...)
		u.finds(t, incident.DocumentQuery{Kind: "note", Limit: 1000}, want...)
		u.finds(t, incident.DocumentQuery{Kind: "note", Limit: 2, Open: true}, "248", "246")
	}},
	{"what is wrong with a query is an error", func(t *testing.T, u storeUse) {
		u.write(t, note("1", ""))
		n := 0
		for d, err := range u.Store.Documents(t.Context(), incident.DocumentQuery{Limit: -1}) {
			n++
			if err == nil || !strings.Contains(err.Error(), "Kind") || !strings.Contains(err.Error(), "Limit") || d.ID != "" {
				t.Errorf("document %q, error %v; want one that names Kind and Limit", d.ID, err)
			}
		}
		if n != 1 {
			t.Errorf("%d results; want one error", n)
		}
	}},
	{"a loop may end early, and begin again", func(t *testing.T, u storeUse) {
		u.write(t, note("1", ""), note("2", ""))
		all := u.Store.Documents(t.Context(), incident.DocumentQuery{Kind: "note"})
		for range 3 {
			for d, err := range all {
				if err != nil || d.ID != "2" {
					t.Errorf("document %s, error %v; want the newest", d.ID, err)
				}
				break
			}
		}
		d := note("3", "")
		u.write(t, d)
		n := 0
		for _, err := range all {
			if err != nil {
				t.Fatal(err)
			}
			n++
		}
		if n != 3 {
			t.Errorf("%d documents; want 3: each loop asks anew", n)
		}
	}},
	{"who reads may write", testWriteWhileReading},
}

// testWriteWhileReading changes every document that it reads: which makes it the newest,
// or the oldest, or closes it.
func testWriteWhileReading(t *testing.T, u storeUse) {
	const n = 60 // more than are read at once, perhaps
	for kind, change := range map[string]func(d *incident.Document){
		"newer":  func(d *incident.Document) { d.Changed = d.Changed.Add(time.Hour) },
		"older":  func(d *incident.Document) { d.Changed = d.Changed.Add(-time.Hour) },
		"closed": func(d *incident.Document) { d.Open = false },
	} {
		var all []incident.Document
		for i := range n {
			d := note(fmt.Sprintf("%03d", i), "")
			d.Kind = kind
			all = append(all, d)
		}
		u.write(t, all...)
		seen := make(map[string]int)
		for d, err := range u.Store.Documents(t.Context(), incident.DocumentQuery{Kind: kind, Open: true}) {
			if err != nil {
				t.Fatal(err)
			}
			if seen[d.ID]++; seen[d.ID] > 2 {
				t.Fatal("it does not end")
			}
			change(&d)
			u.write(t, d)
		}
		for _, d := range all {
			if seen[d.ID] != 1 {
				t.Errorf("%s: document %s came %d times; want once", kind, d.ID, seen[d.ID])
			}
		}
	}
}

var openKeyTests = []storeTest{
	{"one open document has it", func(t *testing.T, u storeUse) {
		a := u.write(t, note("a", "k"))[0]
		for _, s := range u.stores() {
			wants(t, u.via(s).refuses(t, incident.Change{Documents: []incident.Document{note("b", "k")}}), incident.ErrTaken)
		}
		u.lacks(t, "note", "b")
		other, upper, closed := note("c", "k"), note("d", "K"), note("e", "k")
		other.Kind, closed.Open = "other", false
		u.write(t, other, upper, closed)
		a = u.write(t, a)[0] // it has its key already
		a.Open = false
		a = u.write(t, a)[0]
		u.write(t, note("b", "k"))
		a.Open = true
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{a}}), incident.ErrTaken)
		a.Key = "another"
		u.write(t, a)
	}},
	{"the empty one is none", func(t *testing.T, u storeUse) {
		u.write(t, note("a", ""), note("b", ""))
		u.write(t, note("c", ""))
	}},
	{"one that is changed frees the former", func(t *testing.T, u storeUse) {
		a := u.write(t, note("a", "k"))[0]
		a.Key = "new"
		u.write(t, a)
		u.write(t, note("b", "k"))
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{note("c", "new")}}), incident.ErrTaken)
	}},
	{"goes over within a change", func(t *testing.T, u storeUse) {
		a := u.write(t, note("a", "k"))[0]
		a.Open = false
		made := u.write(t, note("b", "k"), a) // whichever is first
		b := made[0]
		b.Open, a = false, made[1]
		a.Open = true
		u.write(t, b, a)
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{note("c", "k")}}), incident.ErrTaken)
	}},
	{"two can be exchanged", func(t *testing.T, u storeUse) {
		made := u.write(t, note("a", "1"), note("b", "2"))
		made[0].Key, made[1].Key = "2", "1"
		for _, d := range u.write(t, made...) {
			u.has(t, d)
		}
		for _, key := range []string{"1", "2"} {
			wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{note("c", key)}}), incident.ErrTaken)
		}
	}},
	{"not two in one change", func(t *testing.T, u storeUse) {
		wants(t, u.refuses(t, incident.Change{Documents: []incident.Document{note("a", "k"), note("b", "k")}}), incident.ErrTaken)
		u.lacks(t, "note", "a")
	}},
	{"stale comes before taken", func(t *testing.T, u storeUse) {
		u.write(t, note("a", "k"))
		stale := note("x", "")
		stale.Version = 7
		err := u.refuses(t, incident.Change{Documents: []incident.Document{note("b", "k"), stale}})
		if wants(t, err, incident.ErrStale); errors.Is(err, incident.ErrTaken) {
			t.Errorf("error %v is both", err)
		}
	}},
}
