package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestLibraries shows that what is measured is what it is called: every check
// runs, a failing one shows, and bodies name what they are said to name.
func TestLibraries(t *testing.T) {
	for _, l := range []library{ours(), alexliesenfeld(), sundheit(), hellofresh(), floor()} {
		t.Run(l.name, func(t *testing.T) {
			for _, fails := range []bool{false, true} {
				var runs atomic.Int64
				checks := trivial(3, &runs)
				if fails {
					checks[1] = func(context.Context) error { runs.Add(1); return errors.New("down") }
				}
				if l.round != nil {
					for _, concurrency := range []int{0, 10} {
						runs.Store(0)
						if passed := l.round(checks, concurrency)(); passed == fails || runs.Load() != 3 {
							t.Errorf("a round with a failure (%v) reports %v after %d runs", fails, passed, runs.Load())
						}
					}
				}
				if l.start == nil {
					continue
				}
				var each [3]atomic.Int64
				counted := make([]check, len(each))
				for i := range counted {
					counted[i] = func(ctx context.Context) error { each[i].Add(1); return checks[i](ctx) }
				}
				r := l.start(counted, 20*time.Millisecond, time.Second, false)
				for i := range each {
					for each[i].Load() < 2 { // then the first result is in
						time.Sleep(time.Millisecond)
					}
				}
				if r.read() == fails || (r.status != nil && r.status() == fails) {
					t.Errorf("a schedule with a failure (%v) reports the opposite", fails)
				}
				if l.name != floor().name {
					testBodies(t, l, r, checks, fails)
				}
				r.stop()
			}
		})
	}
}

func testBodies(t *testing.T, l library, r *running, checks []check, fails bool) {
	t.Helper()
	for _, handler := range []func(*running, []check) http.Handler{l.everything, l.states} {
		if handler == nil {
			continue
		}
		w := httptest.NewRecorder()
		handler(r, checks).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		if (w.Code == http.StatusOK) == fails {
			t.Errorf("answers %d", w.Code)
		}
		for i := range checks {
			if !strings.Contains(w.Body.String(), name(i)) {
				t.Errorf("the answer does not name %s: %s", name(i), w.Body)
			}
		}
	}
}
