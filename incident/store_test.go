package incident_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

var storedAt = time.Date(2026, time.October, 5, 3, 12, 7, 123456789, time.FixedZone("AEDT", 11*3600))

// stored returns a chain of n entries.
func stored(n int) []incident.Entry {
	var all []incident.Entry
	var last incident.Entry
	for i := range n {
		last = incident.Entry{
			Chain: "audit", Key: fmt.Sprint("k", i), At: storedAt, Kind: "said", Actor: "ana", Text: fmt.Sprint("line ", i), Data: json.RawMessage(`{"a": 1}`),
		}.Follow(last)
		all = append(all, last)
	}
	return all
}

func sequence(all []incident.Entry) iter.Seq2[incident.Entry, error] {
	return func(yield func(incident.Entry, error) bool) {
		for _, e := range all {
			if !yield(e, nil) {
				return
			}
		}
	}
}

func TestFollow(t *testing.T) {
	t.Parallel()
	all := stored(3)
	for i, e := range all {
		assert.Equal(t, int64(i+1), e.Seq)
		assert.Equal(t, "2026-10-04T16:12:07.123456Z", e.At.Format(time.RFC3339Nano), "UTC, and microseconds")
		assert.Len(t, e.Hash, 64)
		if i > 0 {
			assert.Equal(t, all[i-1].Hash, e.Prior)
		}
	}
	assert.Empty(t, all[0].Prior)
	assert.Empty(t, cmp.Diff(all[1], all[1].Follow(all[0])), "an entry stands where it stands")

	long := incident.Entry{Actor: strings.Repeat("ß", 201) + "\xff", Text: "a\x00b\xc3" + strings.Repeat("ß", 4000)}.Follow(incident.Entry{})
	assert.Equal(t, 200, utf8.RuneCountInString(long.Actor))
	assert.Equal(t, 4000, utf8.RuneCountInString(long.Text))
	assert.True(t, strings.HasPrefix(long.Text, "a\uFFFDb\uFFFDß") && strings.HasSuffix(long.Text, "ß…"), "%.20q", long.Text)
}

// The hash of what is stored already must not change with a new version.
func TestHashIsTheSameForEver(t *testing.T) {
	t.Parallel()
	first := incident.Entry{
		Chain: "incident/INC-2026-0042", Key: "step/restart", At: storedAt, Kind: "step ended", Actor: "Ana", Text: "restarted <app> & waited é",
		Data: json.RawMessage("{ \"b\": [1.50, \"<\\u0041>\"],\n \"a\": null }"), Salt: "MFRGGZDFMZTWQ2LKNNWG23TPOB",
	}.Follow(incident.Entry{})
	second := incident.Entry{Chain: first.Chain, At: storedAt.Add(time.Hour), Kind: "resolved"}.Follow(first)
	assert.Equal(t, "faa292018dd11dc00fc628de7f712562513f4cc7f49fd19e6e26860ebe8c1ff5", first.Hash)
	assert.Equal(t, "7e1a247445a2aac0ee722a3523b576ce711f22bdc6e1733f506f31166a7026bd", second.Hash)

	// Those of before there were salts.
	first.Salt, first.Hash = "", "9bbb7ef30f4810626d5e01b9c2ef7ba974a03ae41f6c550e05dc4ff75bf92c85"
	second.Prior, second.Hash = first.Hash, "9cf252de3a5b36dd85f30c400820b89d425e5fd1a014faf430298f7ef1573902"
	_, err := incident.VerifyChain(sequence([]incident.Entry{first, second}))
	require.NoError(t, err)
	assert.True(t, second.Follows(first), "as who reads a part of a chain asks")
	assert.Equal(t, first, first.Redacted(), "they cannot be redacted")
}

// Every change of a chain shows, and where.
//
// Requirement: INC-FEATURE-AUDIT
func TestVerifyChain(t *testing.T) {
	t.Parallel()
	all := stored(4)
	last, err := incident.VerifyChain(sequence(all))
	require.NoError(t, err)
	assert.Empty(t, cmp.Diff(all[3], last))
	last, err = incident.VerifyChain(sequence(nil))
	require.NoError(t, err)
	assert.Zero(t, last.Seq)

	for name, change := range map[string]func(all []incident.Entry) []incident.Entry{
		"chain":      func(all []incident.Entry) []incident.Entry { all[2].Chain = "incident/1"; return all },
		"number":     func(all []incident.Entry) []incident.Entry { all[2].Seq = 4; return all },
		"key":        func(all []incident.Entry) []incident.Entry { all[2].Key = ""; return all },
		"time":       func(all []incident.Entry) []incident.Entry { all[2].At = all[2].At.Add(time.Microsecond); return all },
		"kind":       func(all []incident.Entry) []incident.Entry { all[2].Kind = "Said"; return all },
		"actor":      func(all []incident.Entry) []incident.Entry { all[2].Actor = "bob"; return all },
		"text":       func(all []incident.Entry) []incident.Entry { all[2].Text += " "; return all },
		"data":       func(all []incident.Entry) []incident.Entry { all[2].Data = json.RawMessage(`{"a": 2}`); return all },
		"no data":    func(all []incident.Entry) []incident.Entry { all[2].Data = nil; return all },
		"moved text": func(all []incident.Entry) []incident.Entry { all[2].Actor, all[2].Text = "anal", "ine 2"; return all },
		"prior":      func(all []incident.Entry) []incident.Entry { all[2].Prior = all[0].Hash; return all },
		"hash":       func(all []incident.Entry) []incident.Entry { all[2].Hash = strings.ToUpper(all[2].Hash); return all },
		"rehashed": func(all []incident.Entry) []incident.Entry {
			all[2].Text = "x"
			all[2] = all[2].Follow(all[1])
			return all
		},
		"hole":                 func(all []incident.Entry) []incident.Entry { return slices.Delete(all, 2, 3) },
		"hole, renumbered":     func(all []incident.Entry) []incident.Entry { all[3].Seq = 3; return slices.Delete(all, 2, 3) },
		"twice":                func(all []incident.Entry) []incident.Entry { return slices.Insert(all, 2, all[1]) },
		"exchanged":            func(all []incident.Entry) []incident.Entry { all[2], all[3] = all[3], all[2]; return all },
		"beginning is cut off": func(all []incident.Entry) []incident.Entry { return all[2:] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			last, err := incident.VerifyChain(sequence(change(stored(4))))
			require.ErrorIs(t, err, incident.ErrBroken)
			if name != "beginning is cut off" {
				assert.GreaterOrEqual(t, last.Seq, int64(2), "what is before it is right")
				assert.ErrorContains(t, err, fmt.Sprintf("after entry %d", last.Seq))
			}
		})
	}
	down := errors.New("database is down")
	_, err = incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
		if yield(all[0], nil) {
			yield(incident.Entry{}, down)
		}
	})
	require.ErrorIs(t, err, down)
	require.NotErrorIs(t, err, incident.ErrBroken, "could not be read is not changed")
}

// What a store keeps and what is exported as JSON has one hash, whatever is in it.
func FuzzEntryIsExported(f *testing.F) {
	f.Add("key", "said", "ana", "line", []byte(`{"a": "<&>", "b":[ 1e5, "\u2028" ] }`), int64(0))
	f.Add("", "x", "\xff", "\x00\u2028é", []byte(" null\n"), int64(-1))
	f.Add("k", "kind", "", "", []byte("\"\u2028\u2029\""), int64(1)<<60)
	f.Fuzz(func(t *testing.T, key, kind, actor, text string, data []byte, nanos int64) {
		e := incident.Entry{Chain: "audit", Key: key, At: time.Unix(0, nanos), Kind: kind, Actor: actor, Text: text, Data: data}
		s := new(incident.MemoryStore)
		made, err := s.Commit(t.Context(), incident.Change{Entries: []incident.Entry{e, {Chain: "audit", At: e.At, Kind: "end"}}})
		if err != nil {
			if !runbook.SafeToRetry(err) {
				t.Errorf("refused with %v, which is not known to have done nothing", err)
			}
			return
		}
		if string(made.Entries[0].Data) != string(data) {
			t.Errorf("data %q became %q", data, made.Entries[0].Data)
		}
		for _, indent := range []string{"", "\t"} {
			var lines []incident.Entry
			for e := range s.Entries(t.Context(), "audit", 0) {
				line, err := json.MarshalIndent(e, "", indent)
				if err != nil {
					t.Fatal(err)
				}
				var read incident.Entry
				if err := json.Unmarshal(line, &read); err != nil {
					t.Fatalf("%v: %s", err, line)
				}
				lines = append(lines, read)
			}
			if last, err := incident.VerifyChain(sequence(lines)); err != nil || last.Seq != 2 {
				t.Errorf("entry %d, error %v", last.Seq, err)
			}
		}
	})
}

func TestDocumentQuery(t *testing.T) {
	t.Parallel()
	d := incident.Document{Kind: "incident", ID: "a", Key: "k", Open: true, Changed: storedAt.UTC().Truncate(time.Microsecond)}
	for name, query := range map[string]incident.DocumentQuery{
		"kind": {Kind: "incident"}, "key": {Kind: "incident", Key: "k"}, "open": {Kind: "incident", Open: true},
		"since the time that was written": {Kind: "incident", Since: storedAt}, "limit": {Kind: "incident", Limit: 1},
	} {
		assert.True(t, query.Matches(d), name)
		require.NoError(t, query.Validate(), name)
	}
	for name, query := range map[string]incident.DocumentQuery{
		"kind": {Kind: "approval"}, "key": {Kind: "incident", Key: "K"}, "since": {Kind: "incident", Since: storedAt.Add(time.Microsecond)},
	} {
		assert.False(t, query.Matches(d), name)
	}
	d.Open = false
	assert.False(t, incident.DocumentQuery{Kind: "incident", Open: true}.Matches(d))
	err := incident.DocumentQuery{Limit: -1}.Validate()
	require.ErrorContains(t, err, "Kind is missing")
	require.ErrorContains(t, err, "Limit is -1")
}

// pruned is a store with incidents that are old and closed, open, young, and of another kind.
func pruned(t *testing.T) *incident.MemoryStore {
	t.Helper()
	s := new(incident.MemoryStore)
	add := func(kind, id string, open bool, age time.Duration) {
		_, err := s.Commit(t.Context(), incident.Change{
			Documents: []incident.Document{{Kind: kind, ID: id, Open: open, Changed: storedAt.Add(-age), Data: json.RawMessage(`{}`)}},
			Entries: []incident.Entry{
				{Chain: kind + "/" + id, At: storedAt, Kind: "opened"}, {Chain: "audit", At: storedAt, Kind: "opened"},
			},
		})
		require.NoError(t, err)
	}
	add("incident", "old", false, 48*time.Hour)
	add("incident", "older", false, 72*time.Hour)
	add("incident", "open", true, 48*time.Hour)
	add("incident", "young", false, time.Hour)
	add("approval", "old", false, 48*time.Hour)
	return s
}

func length(t *testing.T, s incident.Store, chain string) int {
	t.Helper()
	last, err := incident.VerifyChain(s.Entries(t.Context(), chain, 0))
	require.NoError(t, err)
	return int(last.Seq)
}

func TestPrune(t *testing.T) {
	t.Parallel()
	s := pruned(t)
	for _, want := range []int{2, 0} {
		n, err := incident.Prune(t.Context(), s, "incident", storedAt.Add(-24*time.Hour))
		require.NoError(t, err)
		assert.Equal(t, want, n)
	}
	for name, there := range map[string]bool{"incident/old": false, "incident/older": false, "incident/open": true, "incident/young": true, "approval/old": true} {
		kind, id, _ := strings.Cut(name, "/")
		_, err := s.Document(t.Context(), kind, id)
		assert.Equal(t, there, err == nil, name)
		assert.Equal(t, there, length(t, s, name) == 1, name)
	}
	assert.Equal(t, 5, length(t, s, "audit"))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := incident.Prune(ctx, s, "incident", storedAt)
	require.ErrorIs(t, err, context.Canceled)
}

// reopening is a store in which an incident is reopened after it was listed.
type reopening struct{ *incident.MemoryStore }

func (r reopening) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	d, err := r.MemoryStore.Document(ctx, kind, id)
	if err != nil || id != "old" {
		return d, err
	}
	d.Open = true
	made, err := r.Commit(ctx, incident.Change{Documents: []incident.Document{d}})
	if err != nil {
		return d, err
	}
	return made.Documents[0], nil
}

func TestPruneLeavesWhatWasReopened(t *testing.T) {
	t.Parallel()
	s := reopening{pruned(t)}
	n, err := incident.Prune(t.Context(), s, "incident", storedAt.Add(-24*time.Hour))
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, 1, length(t, s, "incident/old"))
}
