package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/incident"
)

// soakFor is how long the soak takes: 10 seconds, or what RUNBOOK_SOAK says.
func soakFor(t *testing.T) time.Duration {
	text := os.Getenv("RUNBOOK_SOAK")
	if text == "" {
		return 10 * time.Second
	}
	d, err := time.ParseDuration(text)
	require.NoError(t, err, "RUNBOOK_SOAK")
	return d
}

// soakChecks is how many checks run.
const soakChecks = 300

// Under the faults of the drill one after the other, with 300 checks, people who look at the
// pages and leave, who follow runs, and who take care of incidents, serve needs as much in the
// end as after a fifth of the time: goroutines, descriptors, and memory.
//
// It is not parallel: it measures the whole process.
func TestSoak(t *testing.T) {
	s := newSoak(t)
	lasts := soakFor(t)
	s.work(lasts / 5)
	first := s.measure("after a fifth")
	s.work(lasts * 4 / 5)
	last := s.measure("in the end")
	t.Logf("%d faults, %d checks made, %d pages, %d events followed", s.faults.Load(), s.service.host.Monitor().Self().Runs, s.pages.Load(), s.events.Load())
	assert.LessOrEqual(t, last.goroutines, first.goroutines+15)
	if first.descriptors > 0 {
		assert.LessOrEqual(t, last.descriptors, first.descriptors+8)
		assert.LessOrEqual(t, last.state, 128, "descriptors of the state: SQLite keeps as many as were open at once")
	}
	assert.LessOrEqual(t, last.heap, first.heap*1.25+12, "megabytes of heap after garbage collection")
}

// A soak is an opsd that serves, and those who use it.
type soak struct {
	*testing.T
	service *service
	world   *world.World
	api     *client
	faults  atomic.Int64
	pages   atomic.Int64
	events  atomic.Int64
}

func newSoak(t *testing.T) *soak {
	t.Helper()
	cfg := embedded(estateSettings{Seed: 5})
	cfg.Server.Listen = "127.0.0.1:0"
	noon(t, cfg)
	cfg.State.Folder = filepath.Join(t.TempDir(), "state")
	cfg.Intervals = intervals{Application: 2 * time.Second, Canvas: 5 * time.Second, Database: 5 * time.Second, Performance: 10 * time.Second}
	v, err := newService(t.Context(), cfg, &journal{w: io.Discard})
	require.NoError(t, err)
	s := &soak{T: t, service: v, world: v.estate.rehearsal.world}
	s.watchMore()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() { ended <- v.serve(ctx, func(address string) { ready <- address }) }()
	t.Cleanup(func() {
		stop()
		assert.NoError(t, <-ended)
	})
	s.api = &client{base: <-ready, token: runbook.NewSecret(rehearsalToken("Ana Silva")), http: &http.Client{Transport: new(http.Transport)}}
	require.Eventually(t, v.leading.Load, time.Minute, 10*time.Millisecond)
	return s
}

// watchMore adds checks of the application until there are enough.
func (s *soak) watchMore() {
	at := s.service.estate.connections
	m := s.service.host.Monitor()
	for n := len(m.Snapshot().Checks); n < soakChecks; n++ {
		c := at[n%len(at)]
		p, err := httpprobe.New(httpprobe.Config{URL: c.Application + "/health/database", HTTP: c.HTTP, Auth: httpprobe.Auth{Bearer: c.Token}})
		require.NoError(s, err)
		require.NoError(s, m.Add(health.Check{Name: fmt.Sprintf("%s/more-%03d", c.Name, n), Prober: p, Interval: 10 * time.Second}))
	}
}

// work lets faults come and go, and people do what they do, for so long.
func (s *soak) work(lasting time.Duration) {
	ctx, stop := context.WithTimeout(s.Context(), lasting)
	defer stop()
	var people sync.WaitGroup
	defer people.Wait()
	for _, path := range []string{"/status/", "/status/feed.atom", "/ops/", "/ops/status/", "/api/host/checks", "/api/v1/incidents", "/api/v1/runs", "/livez"} {
		people.Go(func() { s.reader(ctx, path) })
	}
	people.Go(func() { s.follower(ctx) })
	people.Go(func() { s.operator(ctx) })
	kinds := world.Kinds()
	for ; ctx.Err() == nil; s.faults.Add(1) {
		kind := kinds[s.faults.Load()%int64(len(kinds))]
		_ = s.world.Inject(world.Fault{Kind: kind}) // one that is there already, is
		select {
		case <-time.After(4 * time.Second):
		case <-ctx.Done():
		}
		_ = s.world.Mend(kind) // it may be over
	}
}

// reader looks at a page again and again.
func (s *soak) reader(ctx context.Context, path string) {
	for ctx.Err() == nil {
		resp, err := s.api.send(ctx, http.MethodGet, path, nil)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body) // it may go away in the middle
			_ = resp.Body.Close()
			s.pages.Add(1)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// follower follows a run after the other, and leaves in the middle.
func (s *soak) follower(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("soak-%d-%d", s.faults.Load(), n)
		if s.api.post(ctx, "/api/v1/runs", map[string]any{"id": id, "environment": "test", "playbook": "comprehensive-check"}, nil) == nil {
			brief, stop := context.WithTimeout(ctx, time.Second)
			_ = s.api.follow(brief, id, func(incident.Run) bool { s.events.Add(1); return true }) // it leaves
			stop()
		}
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
		}
	}
}

// operator takes care of each incident, and ends what waits for an answer.
func (s *soak) operator(ctx context.Context) {
	for ctx.Err() == nil {
		s.takeCare(ctx)
		select {
		case <-time.After(2 * time.Second):
		case <-ctx.Done():
		}
	}
}

func (s *soak) takeCare(ctx context.Context) {
	var list struct{ Incidents []incident.Incident }
	if s.api.get(ctx, "/api/v1/incidents?open=true&limit=1000", &list) != nil {
		return
	}
	for _, i := range list.Incidents {
		if i.State == incident.Triggered {
			_ = s.api.post(ctx, "/api/v1/incidents/"+i.ID+"/acknowledge", nil, nil) // it may be over
		}
	}
}

// needed is what the process needs.
type needed struct {
	goroutines, descriptors int     // but for those of the state
	state                   int     // descriptors of its files
	heap, resident          float64 // megabytes
}

// measure lets everything come to rest and measures it: what was wrong is mended, what runs is
// cancelled, and nobody asks.
func (s *soak) measure(when string) (n needed) {
	s.Helper()
	for _, kind := range s.world.Truth().Causes {
		_ = s.world.Mend(kind)
	}
	var runs struct{ Runs []incident.Run }
	for range 20 {
		require.NoError(s, s.api.get(s.Context(), "/api/v1/runs?limit=1000", &runs))
		runs.Runs = slices.DeleteFunc(runs.Runs, func(r incident.Run) bool { return !r.Ended.IsZero() })
		if len(runs.Runs) == 0 {
			break
		}
		for _, r := range runs.Runs {
			_ = s.api.post(s.Context(), "/api/v1/runs/"+r.ID+"/cancel", map[string]string{"reason": "it is measured"}, nil) // it may have ended
		}
		time.Sleep(200 * time.Millisecond)
	}
	s.takeCare(s.Context())
	s.api.http.CloseIdleConnections()
	// The least of some moments: checks run all the time.
	n = needed{goroutines: math.MaxInt, descriptors: math.MaxInt, heap: math.MaxFloat64}
	for range 10 {
		time.Sleep(200 * time.Millisecond)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		n.goroutines = min(n.goroutines, runtime.NumGoroutine())
		other, state := descriptors()
		n.descriptors, n.state = min(n.descriptors, other), max(n.state, state)
		n.heap = min(n.heap, float64(m.HeapAlloc)/1e6)
	}
	n.resident = resident()
	s.Logf("%s: %d goroutines, %d descriptors and %d of the state, %.1f MB of heap, %.1f MB resident; %d runs go on, %d checks", when, n.goroutines, n.descriptors, n.state, n.heap, n.resident, len(runs.Runs), len(s.service.host.Monitor().Snapshot().Checks))
	return n
}

// descriptors are the files that are open, where Linux says so; else 0. Those of the databases
// of the state are counted apart.
func descriptors() (other, state int) {
	list, _ := os.ReadDir("/proc/self/fd") // elsewhere there is none
	for _, d := range list {
		to, _ := os.Readlink("/proc/self/fd/" + d.Name()) // it may be closed by now
		if strings.Contains(filepath.Base(to), ".db") {
			state++
		} else {
			other++
		}
	}
	return other, state
}

// resident is the resident memory in megabytes, where Linux says so; else 0.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kB / 1024
		}
	}
	return 0
}
