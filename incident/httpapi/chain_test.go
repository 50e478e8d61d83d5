package httpapi_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// tampered is a store whose entries somebody has changed.
type tampered struct {
	incident.Store
	change func(e *incident.Entry) (keep bool)
	err    error
}

func (s *tampered) Entries(ctx context.Context, chain string, after int64) iter.Seq2[incident.Entry, error] {
	return func(yield func(incident.Entry, error) bool) {
		if s.err != nil {
			yield(incident.Entry{}, s.err)
			return
		}
		for e, err := range s.Store.Entries(ctx, chain, after) {
			if err == nil && s.change != nil && !s.change(&e) {
				continue
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

type page struct {
	Entries []incident.Entry      `json:"entries"`
	Record  incident.ReportRecord `json:"record"`
	More    bool                  `json:"more"`
}

// Requirement: INC-FEATURE-AUDIT
func TestTheAuditRecordIsReadAndVerified(t *testing.T) {
	t.Parallel()
	store := &tampered{Store: new(incident.MemoryStore)}
	for i := range 250 {
		entry := incident.Entry{Chain: "audit", At: time.Unix(int64(i), 0), Kind: "test", Actor: "Jane", Text: fmt.Sprint("entry ", i+1)}
		_, err := store.Commit(t.Context(), incident.Change{Entries: []incident.Entry{entry}})
		require.NoError(t, err)
	}
	api, err := httpapi.New(httpapi.Config{Authenticate: httpapi.AuthenticatorFunc(authenticate), Store: store})
	require.NoError(t, err)
	w := &world{t: t, api: api}
	read := func(query string) (p page) {
		t.Helper()
		w.get("val", "/v1/audit"+query).ok(http.StatusOK, &p)
		return p
	}
	span := func(p page) [2]int64 {
		if len(p.Entries) == 0 {
			return [2]int64{}
		}
		return [2]int64{p.Entries[0].Seq, p.Entries[len(p.Entries)-1].Seq}
	}
	whole := read("")
	for query, want := range map[string]struct {
		span [2]int64
		more bool
	}{
		"":                        {[2]int64{151, 250}, false},
		"?limit=10":               {[2]int64{241, 250}, false},
		"?limit=1000":             {[2]int64{1, 250}, false},
		"?after=0":                {[2]int64{1, 100}, true},
		"?after=0&limit=250":      {[2]int64{1, 250}, false},
		"?after=100&limit=20":     {[2]int64{101, 120}, true},
		"?after=240":              {[2]int64{241, 250}, false},
		"?after=250":              {[2]int64{}, false},
		"?after=9007199254740991": {[2]int64{}, false},
	} {
		p := read(query)
		assert.Equal(t, want.span, span(p), query)
		assert.Equal(t, want.more, p.More, query)
		assert.True(t, p.Record.Verified, query)
		if want.span[1] == 250 {
			assert.Equal(t, whole.Record, p.Record)
		}
	}

	for name, change := range map[string]func(e *incident.Entry) bool{
		"a text": func(e *incident.Entry) bool {
			if e.Seq == 120 {
				e.Text = "nothing"
			}
			return true
		},
		"a time": func(e *incident.Entry) bool {
			if e.Seq == 120 {
				e.At = e.At.Add(time.Nanosecond)
			}
			return true
		},
		"an actor": func(e *incident.Entry) bool {
			if e.Seq == 120 {
				e.Actor = "Omar"
			}
			return true
		},
		"a hash": func(e *incident.Entry) bool {
			if e.Seq == 120 {
				e.Hash = "00"
			}
			return true
		},
		"one is gone": func(e *incident.Entry) bool { return e.Seq != 120 },
		"all are new": func(e *incident.Entry) bool {
			if e.Seq == 120 {
				*e = e.Follow(incident.Entry{Seq: 119})
			}
			return true
		},
	} {
		store.change = change
		p := read("?limit=10")
		assert.False(t, p.Record.Verified, name)
		assert.Contains(t, p.Record.Problem, "the record was changed", name)
		assert.Equal(t, int64(119), p.Record.Entries, name)
		assert.Equal(t, [2]int64{110, 119}, span(p), "what comes after it is not shown")
		assert.False(t, read("?after=119").Record.Verified, name)
		assert.False(t, read("?after=100").Record.Verified, name)
		assert.True(t, read("?after=0&limit=50").Record.Verified, "what is before it can be read: %s", name)
	}
	store.change, store.err = nil, errors.New("disk")
	w.get("val", "/v1/audit").problem(http.StatusServiceUnavailable, "could-not-ask")
}

func TestATimelineIsThatOfItsIncident(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := w.open(), w.open()
		w.post("jane", "/v1/incidents/"+second.ID+"/notes", `{"text":"of the second"}`).ok(http.StatusOK, nil)
		var p page
		body := w.get("val", "/v1/incidents/"+first.ID+"/timeline").ok(http.StatusOK, &p).Body.String()
		assert.NotContains(t, body, "of the second")
		assert.Equal(t, "incident/"+first.ID, p.Entries[0].Chain)
		assert.True(t, p.Record.Verified)
		p = page{}
		w.get("val", "/v1/incidents/"+first.ID+"/timeline?after="+fmt.Sprint(len(p.Entries)+1)).ok(http.StatusOK, &p)
		assert.NotNil(t, p.Entries)
	})
}
