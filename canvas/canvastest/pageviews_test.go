package canvastest_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestQueriesOfPageViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{ProgressTime: 40 * time.Second, Throttle: canvastest.Throttle{Disabled: true}}
		time.Sleep(15 * 24 * time.Hour)
		user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
		base := fmt.Sprintf("/api/v1/users/%d/page_views/query", user)
		fake.Add(canvastest.PageViews, user, canvastest.Object{"url": "https://school.example.com/courses/1"})
		fake.Add(canvastest.PageViews, user, nil)
		time.Sleep(30 * 24 * time.Hour)
		start := func(format, from, to string) reply {
			return send(t, fake, "POST", base, url.Values{"start_date": {from}, "end_date": {to}, "results_format": {format}})
		}
		r := start("jsonl", "2000-01-01", "2000-02-01")
		require.Equal(t, http.StatusCreated, r.StatusCode, "%s", r.body)
		poll := r.json(t)["poll_url"].(string)
		assert.True(t, poll[0] == '/', "the address is relative")
		state := func() any { return get(t, fake, poll).json(t)["status"] }
		assert.Equal(t, "queued", state())
		time.Sleep(20 * time.Second)
		assert.Equal(t, "processing", state())
		assert.Nil(t, get(t, fake, poll).json(t)["results_url"])
		assert.Equal(t, http.StatusBadRequest, get(t, fake, poll+"/results").StatusCode)
		time.Sleep(20 * time.Second)
		assert.Equal(t, "finished", state())
		results := get(t, fake, get(t, fake, poll).json(t)["results_url"].(string))
		assert.True(t, results.Uncompressed, "the transport did it")
		lines := bufio.NewScanner(bytes.NewReader(results.body))
		n := 0
		for lines.Scan() {
			n++
		}
		assert.Equal(t, 2, n)
		raw := get(t, fake, poll+"/results", "Accept-Encoding", "gzip")
		assert.Equal(t, "gzip", raw.Header.Get("Content-Encoding"))
		z, err := gzip.NewReader(bytes.NewReader(raw.body))
		require.NoError(t, err)
		plain, err := io.ReadAll(z)
		require.NoError(t, err)
		assert.Equal(t, results.body, plain)

		empty := start("csv", "1999-12-01", "2000-01-01").json(t)["poll_url"].(string)
		time.Sleep(time.Minute)
		assert.Equal(t, http.StatusNoContent, get(t, fake, empty+"/results").StatusCode)
		fake.SetJobsFail(true)
		failed := start("csv", "2000-01-01", "2000-02-01").json(t)["poll_url"].(string)
		time.Sleep(time.Minute)
		assert.Equal(t, "failed", get(t, fake, failed).json(t)["status"])
		assert.Equal(t, "Invalid query ID", get(t, fake, base+"/12").json(t)["error"])
		assert.Equal(t, "The query was not found.", get(t, fake, base+"/550e8400-e29b-41d4-a716-446655440000").json(t)["error"])
		assert.Equal(t, `{"errors":["end_date cannot be in a future month"]}`, string(start("csv", "2000-02-01", "2000-04-01").body))
		assert.Equal(t, "Parameter end_date is missing.", start("csv", "2000-02-01", "").json(t)["error"])
		assert.Equal(t, "Page Views received an invalid or malformed request.", start("xml", "2000-01-01", "2000-02-01").json(t)["error"])
	})
}

func TestPageViewsAsCSV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{ProgressTime: time.Second}
		user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
		fake.Add(canvastest.PageViews, user, nil)
		time.Sleep(40 * 24 * time.Hour)
		base := fmt.Sprintf("/api/v1/users/%d/page_views/query", user)
		poll := send(t, fake, "POST", base, url.Values{"start_date": {"2000-01-01"}, "end_date": {"2000-02-01"}, "results_format": {"csv"}}).json(t)["poll_url"].(string)
		time.Sleep(time.Second)
		r := get(t, fake, poll+"/results")
		assert.Equal(t, "text/csv", r.Header.Get("Content-Type"))
		lines := strings.Split(strings.TrimSpace(string(r.body)), "\n")
		require.Len(t, lines, 2)
		assert.True(t, strings.HasPrefix(lines[0], "id,created_at,url,"))
	})
}

// The numbers are those of page_views_controller_spec.rb.
//
// Requirement: CV-COST-PAGE-VIEWS
func TestPageViewsCostByTheSizeOfThePage(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}, Load: canvastest.Load{Cost: -1}}
	for per, cost := range map[string]string{"10": "5.0", "25": "10.0", "50": "20.0", "75": "30.0", "100": "40.0", "150": "55.0", "200": "75.0", "1000": "75.0", "": "5.0"} {
		r := get(t, fake, "/api/v1/users/self/page_views?per_page="+per)
		assert.Equal(t, cost, r.Header.Get("X-Request-Cost"), "per_page=%s", per)
	}
}
