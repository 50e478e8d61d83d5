package statuspage_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

// smallPage returns a page with an event, outside a bubble.
func smallPage(t testing.TB, events statuspage.Events) *statuspage.Page {
	t.Helper()
	m, err := health.New(health.Config{Logger: quiet, Checks: []health.Check{{Name: secretCheck, Prober: finding{secretCheck: health.Unhealthy}.prober(secretCheck)}}})
	require.NoError(t, err)
	_, err = m.Check(t.Context())
	require.NoError(t, err)
	p, err := statuspage.NewPublic(statuspage.Config{
		Monitor: m, URL: "https://example.edu/status", Title: "T", Logger: quiet, Components: []statuspage.Component{{Name: "A", Checks: []string{secretCheck}}},
		Events: func(context.Context) (statuspage.Events, error) { return events, nil },
	})
	require.NoError(t, err)
	return p
}

// FuzzRequest asks for whatever path, query and fields there may be: an answer is
// one of those that there are, and tells nothing that is not public.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][4]string{
		{"/", "", "gzip", ""}, {"/components/a", "refresh=60", "gzip;q=0, *", `"x"`}, {"/incidents/i", "refresh=60;url=x", "br;q=1, GZIP ; q=0.5", "*"}, {"", "", "", ""},
		{"/api/v2/summary.json", "refresh=%0d%0a", "*;q=0", `W/"a",`}, {"/badge/a.svg", "&&&=", ";;;,,,", ",,,"}, {"/../health+json", "refresh=9999999999999999999", "gzip;q=", `"`},
	} {
		f.Add(seed[0], seed[1], seed[2], seed[3])
	}
	p := smallPage(f, statuspage.Events{Incidents: []statuspage.Incident{{ID: "i", Title: "I", Updates: []statuspage.Update{{Time: time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC), Phase: statuspage.Investigating}}}}})
	f.Fuzz(func(t *testing.T, path, query, encoding, tags string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL = &url.URL{Path: path, RawQuery: query}
		r.Header["Accept-Encoding"], r.Header["If-None-Match"] = []string{encoding}, []string{tags}
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		assert.Contains(t, []int{200, 304, 307, 404, 503}, w.Code)
		body := w.Body.Bytes()
		if w.Code == http.StatusNotModified || w.Code == http.StatusTemporaryRedirect {
			return
		}
		assert.Equal(t, strconv.Itoa(len(body)), w.Header().Get("Content-Length"))
		if w.Header().Get("Content-Encoding") == "gzip" {
			assert.Regexp(t, `(?i)gzip|\*`, encoding)
			z, err := gzip.NewReader(bytes.NewReader(body))
			require.NoError(t, err)
			body, err = io.ReadAll(z)
			require.NoError(t, err)
		}
		for _, secret := range secrets[:8] {
			assert.NotContains(t, string(body), secret)
		}
		if refresh := w.Header().Get("Refresh"); refresh != "" {
			n, err := strconv.Atoi(refresh)
			require.NoError(t, err)
			assert.True(t, n >= 10 && n <= 3600)
			assert.Contains(t, query, "refresh=")
		}
		if w.Code == http.StatusNotFound { // nothing of the request comes back
			assert.Equal(t, get(p, "/nothing").Body.String(), string(body))
		}
	})
}

// FuzzText puts whatever text there may be into an event: it adds no element and no
// attribute, in HTML and XML alike.
//
// Requirement: AL-PAGE-ESCAPE
func FuzzText(f *testing.F) {
	for _, text := range hostile {
		f.Add(text, "i1")
	}
	at := time.Date(2026, 11, 12, 0, 0, 0, 0, time.UTC)
	events := func(text, id string) statuspage.Events {
		return statuspage.Events{Incidents: []statuspage.Incident{{ID: id, Title: "T" + text, Updates: []statuspage.Update{{Time: at, Phase: statuspage.Phase(text), Text: "U" + text}}}}}
	}
	p := smallPage(f, statuspage.Events{})
	tame, err := p.Documents(events("tame", "i1"))
	require.NoError(f, err)
	want := map[string][]string{}
	for name, document := range tame {
		want[name] = shape(elements(f, string(document)))
	}
	f.Fuzz(func(t *testing.T, text, id string) {
		got, err := p.Documents(events(text, id))
		require.NoError(t, err)
		if got["event"] == nil { // what cannot be an ID is not shown
			assert.NotRegexp(t, `^[A-Za-z0-9_-]{1,64}$`, id)
			got, err = p.Documents(events(text, "i1"))
			require.NoError(t, err)
		}
		require.Len(t, got, len(want))
		for name, document := range got {
			assert.Equal(t, want[name], shape(elements(t, string(document))), name)
		}
	})
}
