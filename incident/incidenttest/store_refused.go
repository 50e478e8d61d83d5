package incidenttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

var refusedTests = []storeTest{
	{"names", func(t *testing.T, u storeUse) {
		for _, name := range []string{"", "a b", "a/b", "é", "a\n", "a\x00", "\xff", "100%d"} {
			kind, id := note("a", ""), note(name, "")
			kind.Kind = name
			u.refusesDocument(t, kind, "kind")
			u.refusesDocument(t, id, "ID")
			u.refusesDocument(t, id, fmt.Sprintf("%q", name)) // which one it is
		}
		kind, id := note("a", ""), note(strings.Repeat("i", 101), "")
		kind.Kind = strings.Repeat("k", 31)
		u.refusesDocument(t, kind, "30")
		u.refusesDocument(t, id, "100")
		longest := note(strings.Repeat("i", 100), "")
		longest.Kind = strings.Repeat("k", 30)
		u.write(t, longest)
	}},
	{"a document twice", func(t *testing.T, u storeUse) {
		err := u.refuses(t, incident.Change{Documents: []incident.Document{note("a", ""), note("b", ""), note("a", "")}})
		mentions(t, err, "twice", `"a"`)
		u.lacks(t, "note", "b")
	}},
	{"versions, keys, times", func(t *testing.T, u storeUse) {
		for word, change := range map[string]func(d *incident.Document){
			"version": func(d *incident.Document) { d.Version = -1 },
			"200":     func(d *incident.Document) { d.Key = strings.Repeat("ß", 201) },
			"text":    func(d *incident.Document) { d.Key = "\xff" },
			"valid":   func(d *incident.Document) { d.Key = "\x00" },
			"missing": func(d *incident.Document) { d.Changed = time.Time{} },
			"9999":    func(d *incident.Document) { d.Changed = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
			"year":    func(d *incident.Document) { d.Changed = time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC) },
		} {
			d := note("a", "")
			change(&d)
			u.refusesDocument(t, d, word)
		}
	}},
	{"data", func(t *testing.T, u storeUse) {
		for word, data := range map[string]string{
			"no data": "",
			"JSON":    `{"a":` + canary + `}`,
			"UTF-8":   "\"" + canary + "\xff\"",
			"1048577": `"` + strings.Repeat("x", 1<<20-1) + `"`,
			"1048576": `"` + canary + strings.Repeat("x", 1<<20) + `"`,
		} {
			d := note("a", "")
			d.Data = json.RawMessage(data)
			u.refusesDocument(t, d, word)
		}
	}},
	{"entries", func(t *testing.T, u storeUse) {
		for word, change := range map[string]func(e *incident.Entry){
			"chain":   func(e *incident.Entry) { e.Chain = "" },
			"slash":   func(e *incident.Entry) { e.Chain = "a/b/c" },
			"name":    func(e *incident.Entry) { e.Chain = "/a" },
			`"audit"`: func(e *incident.Entry) { e.Chain = "a/" },
			"a ch":    func(e *incident.Entry) { e.Chain = "a b" },
			"two":     func(e *incident.Entry) { e.Chain = "a/" + strings.Repeat("b", 101) },
			"kind":    func(e *incident.Entry) { e.Kind = "" },
			"100":     func(e *incident.Entry) { e.Kind = strings.Repeat("ß", 101) },
			"valid":   func(e *incident.Entry) { e.Kind = "\xff" },
			"200":     func(e *incident.Entry) { e.Key = strings.Repeat("ß", 201) },
			"text":    func(e *incident.Entry) { e.Key = "a\x00" },
			"missing": func(e *incident.Entry) { e.At = time.Time{} },
			"year":    func(e *incident.Entry) { e.At = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC) },
			"JSON":    func(e *incident.Entry) { e.Data = json.RawMessage(canary) },
			"UTF-8":   func(e *incident.Entry) { e.Data = json.RawMessage("\"\xff\"") },
			"65536":   func(e *incident.Entry) { e.Data = json.RawMessage(`"` + strings.Repeat("x", 64<<10) + `"`) },
		} {
			e := event("audit", canary)
			change(&e)
			err := u.refuses(t, incident.Change{Documents: []incident.Document{note("a", "")}, Entries: []incident.Entry{event("audit", "right"), e}})
			mentions(t, err, "entry 2", word)
			u.lacks(t, "note", "a")
			u.says(t, "audit")
		}
	}},
	{"all problems at once", func(t *testing.T, u storeUse) {
		d, e := note("a b", "\x00"), event("", "")
		d.Version, d.Data = -5, nil
		e.Kind, e.At = "", time.Time{}
		err := u.refuses(t, incident.Change{Documents: []incident.Document{note("fine", ""), d}, Entries: []incident.Entry{e}})
		mentions(t, err, "document 2", "letters", "-5", "key", "no data", "entry 1", "chain is", "kind must", "missing")
		if strings.Contains(err.Error(), "fine") {
			t.Errorf("error %v: nothing is wrong with the first document", err)
		}
	}},
}

// refusesDocument makes a change of which one document is wrong.
func (u storeUse) refusesDocument(t testing.TB, d incident.Document, word string) {
	t.Helper()
	err := u.refuses(t, incident.Change{Documents: []incident.Document{note("right", ""), d}, Entries: []incident.Entry{event("audit", "a")}})
	mentions(t, err, "document 2", word)
	u.lacks(t, "note", "right")
	u.says(t, "audit")
}

// mentions checks that an error has words in it.
func mentions(t testing.TB, err error, words ...string) {
	t.Helper()
	for _, word := range words {
		if err != nil && !strings.Contains(err.Error(), word) {
			t.Errorf("error %v does not mention %q", err, word)
		}
	}
}

var storeFaultTests = []storeTest{
	{"a context that has ended", func(t *testing.T, u storeUse) {
		d := u.write(t, note("a", ""))[0]
		u.add(t, event("audit", "a"))
		ctx := ended(t)
		_, document := u.Store.Document(ctx, "note", "a")
		_, commit := u.Store.Commit(ctx, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{event("audit", canary)}})
		failures := []error{document, commit, u.Store.Delete(ctx, "note", "a", "audit")}
		n := 0
		for d, err := range u.Store.Documents(ctx, incident.DocumentQuery{Kind: "note"}) {
			n++
			failures = append(failures, err)
			if d.ID != "" {
				t.Error("a document came with the error")
			}
		}
		for e, err := range u.Store.Entries(ctx, "audit", 0) {
			n++
			failures = append(failures, err)
			if e.Seq != 0 {
				t.Error("an entry came with the error")
			}
		}
		if n != 2 {
			t.Errorf("%d results of two loops; want one error each", n)
		}
		for _, err := range failures {
			wants(t, err, context.Canceled)
			if errors.Is(err, incident.ErrNotFound) || errors.Is(err, incident.ErrStale) {
				t.Errorf("error %v says more than is known", err)
			}
			discreet(t, err)
		}
		u.has(t, d)
		u.says(t, "audit", "a")
	}},
	{"a read-only context", func(t *testing.T, u storeUse) {
		d := u.write(t, note("a", ""))[0]
		u.add(t, event("audit", "a"))
		ctx := runbook.ReadOnly(t.Context())
		made, err := u.Store.Commit(ctx, incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{event("audit", canary)}})
		isReadOnly(t, err)
		if len(made.Documents)+len(made.Entries) > 0 {
			t.Errorf("%+v came with the error", made)
		}
		isReadOnly(t, u.Store.Delete(ctx, "note", "a", "audit"))
		discreet(t, err)
		u.has(t, d)
		u.says(t, "audit", "a")
		if got, err := u.Store.Document(ctx, "note", "a"); err != nil || got.ID != "a" {
			t.Errorf("document %+v, error %v; want it to be read", got, err)
		}
	}},
	{"lost answer", func(t *testing.T, u storeUse) {
		if u.LoseAnswer == nil {
			t.Skip("declined")
		}
		e := event("audit", canary)
		e.Key = "k"
		d := note("a", "")
		d.Data = json.RawMessage(`"` + canary + `"`)
		u.LoseAnswer()
		_, err := u.Store.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}, Entries: []incident.Entry{e}})
		if runbook.SafeToRetry(err) || errors.Is(err, incident.ErrStale) || errors.Is(err, incident.ErrTaken) {
			t.Errorf("error %v claims that nothing was written", err)
		}
		discreet(t, err)
		u.via(u.fresh()).says(t, "audit", canary)
		d.Version = 1
		u.via(u.fresh()).has(t, d)
		u.LoseAnswer()
		err = u.Store.Delete(t.Context(), "note", "a", "audit")
		if runbook.SafeToRetry(err) {
			t.Errorf("error %v claims that nothing was deleted", err)
		}
		u.via(u.fresh()).lacks(t, "note", "a")
		u.via(u.fresh()).says(t, "audit")
	}},
	{"unreachable", func(t *testing.T, u storeUse) {
		if u.Break == nil {
			t.Skip("declined")
		}
		u.write(t, note("a", ""))
		u.Break()
		d := note("b", "")
		d.Data = json.RawMessage(`"` + canary + `"`)
		_, document := u.Store.Document(t.Context(), "note", "a")
		_, commit := u.Store.Commit(t.Context(), incident.Change{Documents: []incident.Document{d}})
		failures := []error{document, commit, u.Store.Delete(t.Context(), "note", "a", "")}
		for _, err := range u.Store.Documents(t.Context(), incident.DocumentQuery{Kind: "note"}) {
			failures = append(failures, err)
		}
		for _, err := range u.Store.Entries(t.Context(), "audit", 0) {
			failures = append(failures, err)
		}
		if len(failures) != 5 {
			t.Errorf("%d results; want an error of each method", len(failures))
		}
		for _, err := range failures {
			if err == nil {
				t.Error("no error")
			}
			for _, no := range append(refusals, incident.ErrTaken) {
				if errors.Is(err, no) {
					t.Errorf("error %v says no; want one that says that it could not ask", err)
				}
			}
			discreet(t, err)
		}
	}},
}

// fresh returns another store of the same, or the same.
func (u storeUse) fresh() incident.Store {
	if u.Replica == nil {
		return u.Store
	}
	return u.Replica()
}
