package statuspage_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

// The benchmarks say what they are to reach.

const many = 300 // checks

// newEstate returns a page of 300 checks with 90 days of history, as an estate that
// has its troubles: one check in ten had outages, one in twenty was slow.
func newEstate(t testing.TB, interval time.Duration, history health.History) (*health.Monitor, *statuspage.Page) {
	t.Helper()
	cfg := statuspage.Config{URL: "https://example.edu/status", Title: "QA automation", History: history, Location: sydney(t), Logger: quiet}
	checks := make([]health.Check, many)
	now := time.Now()
	for i := range checks {
		name := fmt.Sprintf("%s/service-%03d", []string{"production", "beta", "test"}[i%3], i)
		checks[i] = health.Check{Name: name, Interval: interval, Prober: health.ProberFunc(func(context.Context) health.Result {
			r := health.Result{Status: health.Healthy, Duration: time.Duration(50+i) * time.Millisecond}
			if i%60 == 7 {
				r.Status, r.Cause, r.Message = health.Unhealthy, health.CauseRefused, "connection refused"
			}
			return r
		})}
		cfg.Components = append(cfg.Components, statuspage.Component{Name: fmt.Sprintf("Service %d of the estate", i), Group: []string{"Production", "Beta", "Test"}[i%3], Checks: []string{name}})
		if real, ok := history.(*health.MemoryHistory); ok {
			var samples []health.Sample
			for hour := 90 * 24; hour >= 0; hour-- {
				at := now.Add(-time.Duration(hour) * time.Hour)
				status, latency := pastOf(i, at)
				samples = append(samples, health.Sample{Check: name, Time: at, Status: status, Valid: time.Hour, Latency: latency})
			}
			require.NoError(t, real.Append(t.Context(), samples))
		}
	}
	m, err := health.New(health.Config{Checks: checks, History: history, Logger: quiet})
	require.NoError(t, err)
	_, err = m.Check(t.Context())
	require.NoError(t, err)
	cfg.Monitor = m
	cfg.Events = func(context.Context) (statuspage.Events, error) {
		var e statuspage.Events
		for i := range 20 {
			e.Incidents = append(e.Incidents, statuspage.Incident{ID: fmt.Sprint("i", i), Title: "Something does not work", Updates: []statuspage.Update{
				{Time: now.Add(-time.Duration(i) * 24 * time.Hour), Phase: statuspage.Investigating, Text: "We look into it."},
				{Time: now.Add(-time.Duration(i) * 23 * time.Hour), Phase: statuspage.Resolved, Text: "It works again."},
			}})
		}
		return e, nil
	}
	p, err := statuspage.NewPublic(cfg)
	require.NoError(t, err)
	return m, p
}

// pastOf is how a check of an estate was in an hour.
func pastOf(check int, at time.Time) (health.Status, time.Duration) {
	hour := int(at.Unix() / 3600)
	latency := time.Duration(40+check+hour*hour%50) * time.Millisecond
	switch {
	case check%10 == 3 && hour%(311+check) == 5:
		return health.Unhealthy, latency
	case check%20 == 4 && hour%(97+check) == 6:
		return health.Degraded, latency
	}
	return health.Healthy, latency
}

// A cannedHistory is the past of an estate, made up when it is asked for: to write it
// takes seconds.
type cannedHistory struct{ health.History }

func (cannedHistory) Append(context.Context, []health.Sample) error { return nil }

func (cannedHistory) Buckets(_ context.Context, check string, r health.Resolution, from, to time.Time) ([]health.Bucket, error) {
	number, err := strconv.Atoi(check[len(check)-3:])
	if err != nil {
		return nil, err
	}
	var all []health.Bucket
	for at := from.Truncate(time.Hour); at.Before(to); at = at.Add(time.Hour) {
		if y, m, d := at.Date(); r == health.Hourly || len(all) == 0 || all[len(all)-1].Start.Day() != d {
			start := at
			if r == health.Daily {
				start = time.Date(y, m, d, 0, 0, 0, 0, at.Location())
			}
			all = append(all, health.Bucket{Start: start})
		}
		status, latency := pastOf(number, at)
		b := &all[len(all)-1]
		b.In[status] += min(time.Hour, to.Sub(at))
		b.Latencies.Add(latency)
	}
	return all, nil
}

// A blankWriter is a ResponseWriter that costs nothing and is used again.
type blankWriter struct {
	header http.Header
	code   int
	bytes  int
}

func (w *blankWriter) Header() http.Header { return w.header }

func (w *blankWriter) WriteHeader(code int) { w.code = code }

func (w *blankWriter) Write(b []byte) (int, error) {
	w.bytes = len(b)
	return len(b), nil
}

// Target: under 5 µs and at most 5 allocations.
func BenchmarkCachedRequest(b *testing.B) {
	_, p := newEstate(b, time.Hour, cannedHistory{})
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Accept-Encoding", "gzip, deflate, br")
	known := r.Clone(b.Context())
	known.Header.Set("If-None-Match", get(p, "/", "Accept-Encoding", "gzip").Header().Get("Etag"))
	for name, r := range map[string]*http.Request{"page": r, "not modified": known} {
		b.Run(name, func(b *testing.B) {
			w := &blankWriter{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				p.ServeHTTP(w, r)
			}
			if w.code == http.StatusOK {
				b.ReportMetric(float64(w.bytes), "bytes")
			}
		})
	}
}

// What it costs to make the page anew, which happens at most once a second: 300
// components. No target is stated; a second of one core is 1e9 ns.
func BenchmarkMakeAnew(b *testing.B) {
	m, _ := newEstate(b, time.Hour, cannedHistory{})
	var cfg statuspage.Config
	cfg.Monitor, cfg.URL, cfg.Title, cfg.Logger = m, "https://example.edu", "T", quiet
	for _, s := range m.Snapshot().Checks {
		cfg.Components = append(cfg.Components, statuspage.Component{Name: s.Name, Checks: []string{s.Name}})
	}
	b.ReportAllocs()
	for b.Loop() {
		p, err := statuspage.NewPublic(cfg)
		require.NoError(b, err)
		get(p, "/")
	}
}

// Target: 500 requests a second while 300 checks run, 99 % of them within 10 ms. The
// requests come over loopback, from 16 connections of the same process, and each
// check runs every second. Beside it is what a handler takes that only writes the
// same bytes, under the same load: on a busy machine that is most of it.
func BenchmarkUnderLoad(b *testing.B) {
	m, p := newEstate(b, time.Second, &health.MemoryHistory{Location: sydney(b)})
	require.NoError(b, m.Start(b.Context()))
	b.Cleanup(func() { _ = m.Stop(context.WithoutCancel(b.Context())) })
	document := get(p, "/", "Accept-Encoding", "gzip").Body.Bytes() // reads the past
	for name, h := range map[string]http.Handler{
		"page":  p,
		"floor": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }),
	} {
		b.Run(name, func(b *testing.B) {
			server := httptest.NewServer(h)
			defer server.Close()
			for b.Loop() {
				took := load(b, server.URL+"/", 500, 3*time.Second)
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
				b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
			}
		})
	}
}

// load asks at a rate, and returns how long answers took from when they were due,
// sorted.
func load(b *testing.B, target string, rate int, lasting time.Duration) []time.Duration {
	b.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	defer client.CloseIdleConnections()
	began := time.Now()
	took := make([]time.Duration, int(lasting.Seconds())*rate)
	due := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / time.Duration(rate)) }
	next := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range next {
				resp, err := client.Get(target)
				if assert.NoError(b, err) {
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
				}
				took[i] = time.Since(due(i))
			}
		})
	}
	for i := range took {
		time.Sleep(time.Until(due(i)))
		next <- i
	}
	close(next)
	wg.Wait()
	slices.Sort(took)
	return took
}

// Target: under 80 MB resident with 300 checks and 90 days of history, the page and
// one page for each component made.
func BenchmarkMemory(b *testing.B) {
	for b.Loop() {
		m, p := newEstate(b, time.Hour, &health.MemoryHistory{Location: sydney(b)})
		get(p, "/", "Accept-Encoding", "gzip")
		for i := range many {
			get(p, fmt.Sprintf("/components/service-%d-of-the-estate", i))
		}
		debug.FreeOSMemory() // what the benchmark itself needed to write 90 days at once
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		b.ReportMetric(float64(stats.HeapAlloc)/1e6, "heap-MB")
		if resident := residentMB(); resident > 0 {
			b.ReportMetric(resident, "resident-MB")
		}
		runtime.KeepAlive(m)
		runtime.KeepAlive(p)
	}
}

// residentMB is the resident memory of the process, where Linux says so.
func residentMB() float64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ := strconv.ParseFloat(strings.Fields(text)[0], 64)
			return kB / 1024
		}
	}
	return 0
}

// TestThePageIsSmall: under 40 KB compressed with 300 checks and their past, all in
// one document.
func TestThePageIsSmall(t *testing.T) {
	_, p := newEstate(t, time.Hour, cannedHistory{})
	answer := get(p, "/", "Accept-Encoding", "gzip")
	assert.Equal(t, "gzip", answer.Header().Get("Content-Encoding"))
	assert.Less(t, answer.Body.Len(), 40_000)
	t.Logf("%d bytes, %d compressed", get(p, "/").Body.Len(), answer.Body.Len())
	w, r := &blankWriter{header: make(http.Header)}, httptest.NewRequest(http.MethodGet, "/", nil)
	assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { p.ServeHTTP(w, r) }), 5.0)
}
