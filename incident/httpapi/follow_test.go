package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// event is a server-sent event.
type event struct{ id, name, data, comment string }

// stream is an answer that is written as it comes, and can be read meanwhile.
type stream struct {
	t      testing.TB
	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	header http.Header
	code   int
	text   strings.Builder
	block  chan struct{} // writes wait for it, if there is one
	fail   error
	ends   []time.Time
}

func (s *stream) Header() http.Header { return s.header }

func (s *stream) WriteHeader(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = code
}

func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	block, fail := s.block, s.fail
	s.mu.Unlock()
	if block != nil {
		<-block
	}
	if fail != nil {
		return 0, fail
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *stream) FlushError() error { return nil }

// SetWriteDeadline notes what the handler wants.
func (s *stream) SetWriteDeadline(at time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ends = append(s.ends, at)
	return nil
}

// events returns what came so far.
func (s *stream) events() (list []event) {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return parse(s.text.String())
}

func parse(text string) (list []event) {
	for block := range strings.SplitSeq(text, "\n\n") {
		var e event
		for line := range strings.Lines(block) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				e.comment = value
			}
		}
		if e != (event{}) {
			list = append(list, e)
		}
	}
	return list
}

// states returns the states of the runs in events.
func states(t testing.TB, events []event) (list []incident.RunState) {
	t.Helper()
	for _, e := range events {
		if e.name != "run" {
			continue
		}
		var run incident.Run
		require.NoError(t, json.Unmarshal([]byte(e.data), &run))
		assert.Equal(t, fmt.Sprint(run.Revision), e.id)
		list = append(list, run.State)
	}
	return list
}

// follow follows a run.
func (w *world) follow(who, path string, change ...func(*http.Request, *stream)) *stream {
	ctx, cancel := context.WithCancel(w.t.Context())
	s := &stream{t: w.t, cancel: cancel, done: make(chan struct{}), header: make(http.Header)}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Header.Set("Authorization", "Bearer "+who)
	for _, c := range change {
		c(r, s)
	}
	go func() {
		defer close(s.done)
		w.api.ServeHTTP(s, r)
	}()
	return s
}

// over reports whether the handler has returned.
func (s *stream) over() bool {
	synctest.Wait()
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Requirement: INC-FEATURE-PROGRESS
func TestARunIsFollowedToItsEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		s := w.follow("val", "/v1/runs/"+run.ID+"/events")
		first := s.events()
		assert.Equal(t, "text/event-stream", s.header.Get("Content-Type"))
		assert.Equal(t, "no-store", s.header.Get("Cache-Control"))
		assert.Equal(t, []incident.RunState{incident.StateWaiting}, states(t, first))

		time.Sleep(46 * time.Second)
		beats := s.events()[len(first):]
		assert.Len(t, beats, 3)
		assert.Equal(t, "still here", beats[0].comment)

		w.post("jane", "/v1/runs/"+run.ID+"/pause", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
		w.post("jane", "/v1/runs/"+run.ID+"/resume", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
		w.approve("kim").ok(http.StatusNoContent, nil)
		assert.True(t, s.over())
		events := s.events()
		end := events[len(events)-1]
		assert.Equal(t, event{name: "end", data: `"succeeded"`}, end)
		seen := states(t, events)
		assert.Equal(t, incident.StateSucceeded, seen[len(seen)-1])
		last := events[len(events)-2]

		t.Run("who heard all hears no more", func(t *testing.T) {
			again := w.follow("val", "/v1/runs/"+run.ID+"/events", func(r *http.Request, _ *stream) { r.Header.Set("Last-Event-ID", last.id) })
			assert.True(t, again.over())
			assert.Equal(t, http.StatusNoContent, again.code)
			assert.Empty(t, again.events())
		})
		t.Run("who missed the end hears it", func(t *testing.T) {
			again := w.follow("val", "/v1/runs/"+run.ID+"/events?revision="+first[0].id)
			assert.True(t, again.over())
			assert.Equal(t, []incident.RunState{incident.StateSucceeded}, states(t, again.events()))
		})
	})
}

func TestWhoComesBackHearsWhatIsNew(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		s := w.follow("val", "/v1/runs/"+run.ID+"/events")
		id := s.events()[0].id
		s.cancel()
		assert.True(t, s.over())
		back := func(r *http.Request, _ *stream) { r.Header.Set("Last-Event-ID", id) }
		s = w.follow("val", "/v1/runs/"+run.ID+"/events", back)
		assert.Empty(t, states(t, s.events()), "nothing is new")
		w.post("jane", "/v1/runs/"+run.ID+"/cancel", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
		assert.True(t, s.over())
		assert.Equal(t, []incident.RunState{incident.StateCancelled}, states(t, s.events()))
		s = w.follow("val", "/v1/runs/"+run.ID+"/events", func(r *http.Request, _ *stream) { r.Header.Set("Last-Event-ID", "1; DROP") })
		assert.True(t, s.over())
		assert.Equal(t, http.StatusUnprocessableEntity, s.code)
		s = w.follow("val", "/v1/runs/nothing/events")
		assert.True(t, s.over())
		assert.Equal(t, http.StatusNotFound, s.code)
	})
}

// The bubble fails if a goroutine is left.
func TestWhoGoesAwayLeavesNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		for range 5 { // of two places
			one, two := w.follow("val", "/v1/runs/"+run.ID+"/events"), w.follow("kim", "/v1/runs/"+run.ID+"/events")
			assert.Len(t, states(t, one.events()), 1)
			assert.Len(t, states(t, two.events()), 1)
			three := w.follow("val", "/v1/runs/"+run.ID+"/events")
			assert.True(t, three.over())
			assert.Equal(t, http.StatusTooManyRequests, three.code)
			one.cancel()
			assert.True(t, one.over())
			two.mu.Lock()
			two.fail = net.ErrClosed
			two.mu.Unlock()
			time.Sleep(16 * time.Second) // it is noticed with the next heartbeat
			assert.True(t, two.over())
		}
		a := w.ask("val", http.MethodHead, "/v1/runs/"+run.ID+"/events", "")
		assert.Equal(t, http.StatusOK, a.Code)
	}, func(cfg *httpapi.Config) { cfg.Followers = 2 })
}

func TestWhoReadsSlowlyHoldsNothing(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		block := make(chan struct{})
		slow := w.follow("val", "/v1/runs/"+run.ID+"/events", func(_ *http.Request, s *stream) { s.block = block })
		fast := w.follow("val", "/v1/runs/"+run.ID+"/events")
		for range 20 {
			w.post("jane", "/v1/runs/"+run.ID+"/pause", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
			synctest.Wait()
			w.post("jane", "/v1/runs/"+run.ID+"/resume", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
			synctest.Wait()
		}
		w.approve("kim").ok(http.StatusNoContent, nil)
		assert.Equal(t, incident.StateSucceeded, w.run(run.ID).State, "the run does not wait for who reads")
		assert.True(t, fast.over())
		assert.Greater(t, len(states(t, fast.events())), 40)
		assert.False(t, slow.over())
		close(block)
		assert.True(t, slow.over())
		seen := states(t, slow.events())
		assert.LessOrEqual(t, len(seen), 3, "what it missed is left out")
		assert.Equal(t, incident.StateSucceeded, seen[len(seen)-1])
		for _, at := range slow.ends[:len(slow.ends)-1] {
			assert.False(t, at.IsZero(), "each event has a deadline")
		}
		assert.True(t, slow.ends[len(slow.ends)-1].IsZero(), "the connection is left as it was")
	})
}

func TestFollowingEndsSoThatPeopleSayAgainWhoTheyAre(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		s := w.follow("val", "/v1/runs/"+run.ID+"/events")
		time.Sleep(15*time.Minute + time.Second)
		assert.True(t, s.over())
		for _, e := range s.events() {
			assert.NotEqual(t, "end", e.name, "the run goes on")
		}
	})
}

// brokenRuns cannot be read after a while.
type brokenRuns struct {
	incident.Runs
	mu  sync.Mutex
	err error
}

func (b *brokenRuns) Record(ctx context.Context, id string, revision int64) (incident.RunRecord, error) {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil && revision >= 0 {
		return incident.RunRecord{}, err
	}
	return b.Runs.Record(ctx, id, revision)
}

func TestAProblemInTheMiddleIsAnEvent(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		broken := &brokenRuns{Runs: w.runs}
		broken.err = errors.New("postgres://user:password@db is gone")
		r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{w.restart()}, Runs: broken, Store: w.store})
		require.NoError(t, err)
		w.cfg.Runner = r
		w.api, err = httpapi.New(w.cfg)
		require.NoError(t, err)
		s := w.follow("val", "/v1/runs/"+run.ID+"/events")
		assert.True(t, s.over())
		events := s.events()
		last := events[len(events)-1]
		assert.Equal(t, "problem", last.name)
		var p httpapi.Problem
		require.NoError(t, json.Unmarshal([]byte(last.data), &p))
		assert.Equal(t, "could-not-ask", p.Code)
		assert.NotContains(t, last.data, "password")
	})
}

// On a real server, whose time limits for whole requests are shorter than a run.
func TestFollowingOutlivesTheTimeLimitsOfAServer(t *testing.T) {
	w := newWorld(t, func(cfg *httpapi.Config) { cfg.Heartbeat = 20 * time.Millisecond })
	defer w.close()
	server := httptest.NewUnstartedServer(http.StripPrefix("/ops", w.api))
	server.Config.ReadTimeout, server.Config.WriteTimeout = 100*time.Millisecond, 100*time.Millisecond
	server.Start()
	defer server.Close()
	ask := func(who, method, path, body string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer "+who)
		r.Header.Set("Content-Type", "application/json")
		resp, err := server.Client().Do(r)
		require.NoError(t, err)
		return resp
	}
	started := ask("jane", http.MethodPost, "/ops/v1/runs", restart)
	at, err := started.Location()
	require.NoError(t, err, "the link is right below any prefix")
	require.NoError(t, started.Body.Close())
	assert.True(t, strings.HasPrefix(at.Path, "/ops/v1/runs/run-"), at.Path)

	followed := ask("val", http.MethodGet, at.Path+"/events", "")
	defer followed.Body.Close()
	lines := bufio.NewReader(followed.Body)
	for beats := 0; beats < 15; { // about three times as long as the server allows
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if strings.HasPrefix(line, ": still") {
			beats++
		}
	}
	require.NoError(t, ask("jane", http.MethodPost, at.Path+"/cancel", `{"reason":"enough"}`).Body.Close())
	rest, err := io.ReadAll(lines)
	require.NoError(t, err)
	assert.Contains(t, string(rest), "event: end\ndata: \"cancelled\"")
}
