package statuspage_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		p := w.public(t)
		golden(t, "trouble.html", text(t, p, "/"))
		golden(t, "component.html", text(t, p, "/components/results"))
		golden(t, "incident.html", text(t, p, "/incidents/INC-2026-0042"))
		golden(t, "history.html", text(t, p, "/history"))
		golden(t, "feed.atom", text(t, p, "/feed.atom"))
		golden(t, "summary.json", indented(t, text(t, p, "/summary.json")))
		golden(t, "badge.svg", text(t, p, "/badge.svg"))
		golden(t, "health.json", indented(t, get(p, "/health+json").Body.String()))
		golden(t, "lost.html", get(p, "/no/such/page").Body.String())
		q := w.private(t)
		golden(t, "private.html", text(t, q, "/"))
		golden(t, "private-component.html", text(t, q, "/components/results"))
	})
}

func TestGoldenHealthy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		golden(t, "healthy.html", text(t, healthy(t).public(t), "/"))
	})
}

// TestUnderAnyPrefix follows all links of all pages from where a host mounted them,
// however deep.
func TestUnderAnyPrefix(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "/status", "/ops/ä/status"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := trouble(t)
				mux := http.NewServeMux()
				mux.Handle(prefix+"/", http.StripPrefix(prefix, w.public(t)))
				start := &url.URL{Path: prefix + "/"} // escaped where it has to be
				seen, queue := map[string]bool{start.String(): true}, []*url.URL{start}
				for len(queue) > 0 {
					at := queue[0]
					queue = queue[1:]
					answer := get(mux, at.String())
					require.Equal(t, http.StatusOK, answer.Code, at)
					if !strings.HasPrefix(answer.Header().Get("Content-Type"), "text/html") {
						continue
					}
					for _, e := range elements(t, answer.Body.String()) {
						if href := e.attrs["href"]; href != "" && (e.name == "a" || e.name == "link") {
							to, err := at.Parse(href)
							require.NoError(t, err)
							to.Fragment = ""
							if to.Host == "" && to.Scheme == "" && !seen[to.String()] {
								seen[to.String()] = true
								queue = append(queue, to)
							}
						}
					}
				}
				assert.Greater(t, len(seen), 15, "components, events, feed and more were found")
			})
		})
	}
}

func TestWithoutItsSlash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answer := get(http.StripPrefix("/status", newWorld(t).public(t)), "/status")
		assert.Equal(t, http.StatusTemporaryRedirect, answer.Code)
		assert.Equal(t, "https://status.example.edu/qa/", answer.Header().Get("Location"))
	})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := healthy(t).public(t)
		for _, path := range []string{"/", "/summary.json", "/badge.svg", "/components/beta"} {
			full, head := get(p, path), ask(p, http.MethodHead, path)
			assert.Equal(t, full.Code, head.Code)
			assert.Equal(t, full.Header(), head.Header(), path)
			assert.Empty(t, head.Body.String())
			assert.Equal(t, fmt.Sprint(full.Body.Len()), full.Header().Get("Content-Length"))
		}
		for _, method := range []string{http.MethodPost, http.MethodDelete, "BREW"} {
			answer := ask(p, method, "/")
			assert.Equal(t, http.StatusMethodNotAllowed, answer.Code)
			assert.Equal(t, "GET, HEAD", answer.Header().Get("Allow"))
		}
		assert.Equal(t, http.StatusNotFound, get(p, "/components/nobody").Code)
		assert.Equal(t, http.StatusNotFound, get(p, "/api/v2/badge.svg").Code)
	})
}

func TestConditionalRequestsAndCompression(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := healthy(t).public(t)
		plain := get(p, "/")
		zipped := get(p, "/", "Accept-Encoding", "br, gzip;q=0.5")
		assert.Empty(t, plain.Header().Get("Content-Encoding"))
		assert.Equal(t, "gzip", zipped.Header().Get("Content-Encoding"))
		assert.Equal(t, "Accept-Encoding", plain.Header().Get("Vary"))
		assert.Equal(t, "public, max-age=10", plain.Header().Get("Cache-Control"))
		assert.Equal(t, "nosniff", plain.Header().Get("X-Content-Type-Options"))
		assert.Equal(t, "no-referrer", plain.Header().Get("Referrer-Policy"))
		r, err := gzip.NewReader(zipped.Body)
		require.NoError(t, err)
		unpacked, err := io.ReadAll(r)
		require.NoError(t, err)
		assert.Equal(t, plain.Body.String(), string(unpacked))

		tag, zippedTag := plain.Header().Get("Etag"), zipped.Header().Get("Etag")
		assert.NotEqual(t, tag, zippedTag, "they are two representations")
		for field, want := range map[string]int{
			tag: 304, "W/" + tag: 304, `"x", ` + tag: 304, "*": 304, `"x"`: 200, zippedTag: 200, "": 200,
		} {
			answer := get(p, "/", "If-None-Match", field)
			assert.Equal(t, want, answer.Code, field)
			assert.Equal(t, tag, answer.Header().Get("Etag"))
			assert.Equal(t, want == 200, answer.Body.Len() > 0)
			assert.Equal(t, want == 200, answer.Header().Get("Content-Length") != "")
			assert.Equal(t, want, ask(p, http.MethodHead, "/", "If-None-Match", field).Code)
		}
		assert.Equal(t, 304, get(p, "/", "If-None-Match", zippedTag, "Accept-Encoding", "gzip").Code)
		assert.Equal(t, 404, get(p, "/nothing", "If-None-Match", "*").Code)
		for field, want := range map[string]bool{
			"gzip": true, "GZIP": true, "x-gzip": true, "*": true, "gzip;q=1.0": true, "deflate, *;q=0.1": true,
			"": false, "identity": false, "gzip;q=0": false, "gzip; q=0.000": false, "*;q=0": false, "gzip;q=0, *": false, "gzipped": false,
		} {
			assert.Equal(t, want, get(p, "/", "Accept-Encoding", field).Header().Get("Content-Encoding") == "gzip", field)
		}
	})
}

// TestThePageReloadsOnlyIfAsked: neither header nor page reloads, unless a visitor
// asks by the address.
//
// Requirement: AL-PAGE-TIMELESS
func TestThePageReloadsOnlyIfAsked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := healthy(t).public(t)
		assert.NotContains(t, strings.ToLower(text(t, p, "/")), "http-equiv")
		for query, want := range map[string]string{
			"": "", "?": "", "?refresh=60": "60", "?a=b&refresh=10": "10", "?refresh=3600": "3600", "?refresh=9": "", "?refresh=3601": "", "?refresh=-60": "",
			"?refresh=1;url=https://evil.example": "", "?refresh=": "", "?refresh=0x20": "", "?REFRESH=60": "", "?refresh=99999999999999999999": "", "?refresh=%0d%0a60": "",
		} {
			assert.Equal(t, want, get(p, "/"+query).Header().Get("Refresh"), query)
		}
	})
}

// TestOneSnapshot: the page for people and all others come from the same snapshot of
// the Monitor, at most a second old, and requests probe nothing.
//
// Requirement: AL-PAGE-SNAPSHOT, HL-PEER-ASPNET-RERUN
func TestOneSnapshot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var probes atomic.Int64
		state := health.Healthy
		m, err := health.New(health.Config{Logger: quiet, Checks: []health.Check{{Name: "a", Prober: health.ProberFunc(func(context.Context) health.Result {
			probes.Add(1)
			return health.Result{Status: state}
		})}}})
		require.NoError(t, err)
		p, err := statuspage.NewPublic(statuspage.Config{Monitor: m, URL: "https://example.edu", Title: "T", Logger: quiet, Components: []statuspage.Component{{Name: "A", Checks: []string{"a"}}}})
		require.NoError(t, err)
		assert.Contains(t, text(t, p, "/"), "State not known", "nothing was checked yet")
		for _, step := range []struct {
			state health.Status
			words string
		}{{health.Healthy, "All systems operational"}, {health.Unhealthy, "Major outage"}, {health.Degraded, "Degraded service"}, {health.Unknown, "State not known"}, {health.Maintenance, "Maintenance in progress"}} {
			state = step.state
			_, err := m.Check(t.Context())
			require.NoError(t, err)
			before := probes.Load()
			time.Sleep(4 * time.Second)
			var monitor string
			for _, path := range []string{"/", "/status.json", "/badge.svg", "/health+json"} {
				document := get(p, path).Body.String()
				assert.Contains(t, document, step.words, path)
				monitor = m.Snapshot().Status.String()
			}
			assert.Equal(t, step.state.String(), monitor)
			assert.Equal(t, before, probes.Load(), "a request probes nothing")
		}
	})
}

// TestFreshness: those who ask all the time get what is at
// most about a second old, and those who come after a pause wait for what is new.
func TestFreshness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.check(t)
		p := w.public(t)
		first := get(p, "/").Header().Get("Etag")
		w.found["canvas/up"] = health.Unhealthy
		w.check(t)
		assert.Equal(t, first, get(p, "/").Header().Get("Etag"), "within a second nothing is made anew")
		time.Sleep(1100 * time.Millisecond)
		get(p, "/") // makes it be made
		synctest.Wait()
		assert.Contains(t, text(t, p, "/"), "Partial outage")
		w.found["canvas/up"] = health.Healthy
		w.check(t)
		time.Sleep(4 * time.Minute)
		assert.Contains(t, text(t, p, "/"), "All systems operational", "after a pause at once")
		time.Sleep(time.Hour)
		assert.Contains(t, text(t, p, "/"), "State not known", "what was found an hour ago says nothing")
		w.check(t)
		time.Sleep(5 * time.Second)
		tag := get(p, "/").Header().Get("Etag")
		w.check(t)
		for range 20 {
			time.Sleep(time.Second)
			assert.Equal(t, tag, get(p, "/").Header().Get("Etag"), "as long as nothing changes, nothing does")
		}
	})
}

// TestEventsThatFail: errors, panics and calls that hang leave what was said last,
// cost no visitor more than a moment, and end when the host's func works again.
func TestEventsThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.check(t)
		now := until(t, "2026-11-12 14:00")
		var mode atomic.Value
		mode.Store("well")
		release := make(chan struct{})
		var calls, most, running atomic.Int64
		w.config.Events = func(ctx context.Context) (statuspage.Events, error) {
			calls.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			_, limited := ctx.Deadline()
			assert.True(t, limited)
			switch mode.Load() {
			case "error":
				return statuspage.Events{}, errors.New("no such table")
			case "panic":
				panic("nil map")
			case "hang":
				<-release
			case "slow":
				<-ctx.Done()
				return statuspage.Events{}, ctx.Err()
			}
			return statuspage.Events{Incidents: []statuspage.Incident{{ID: "i", Title: fmt.Sprint("Said at ", mode.Load()), Updates: []statuspage.Update{{Time: now, Phase: statuspage.Investigating}}}}}, nil
		}
		var logged lockedBuffer
		w.config.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		p := w.public(t)
		assert.Contains(t, text(t, p, "/"), "Said at well")
		for _, trouble := range []string{"error", "panic", "slow", "hang"} {
			mode.Store(trouble)
			time.Sleep(10 * time.Minute)
			asked := time.Now()
			text(t, p, "/")
			assert.LessOrEqual(t, time.Since(asked), 5*time.Second, trouble)
			time.Sleep(6 * time.Second)
			for range 10 {
				asked = time.Now()
				page := text(t, p, "/")
				assert.LessOrEqual(t, time.Since(asked), 200*time.Millisecond, "%s: what is known does not wait", trouble)
				time.Sleep(6 * time.Second)
				assert.Contains(t, page, "Said at well", trouble)
			}
			page := text(t, p, "/")
			assert.Contains(t, page, "Announcements cannot be read at present", trouble)
			assert.NotContains(t, page, "such table")
		}
		mode.Store("recovery")
		close(release)
		time.Sleep(10 * time.Minute)
		page := text(t, p, "/")
		assert.Contains(t, page, "Said at recovery")
		assert.NotContains(t, page, "cannot be read")
		assert.EqualValues(t, 1, most.Load(), "never twice at the same time")
		assert.Contains(t, logged.String(), "no such table")
		assert.Contains(t, logged.String(), "it works again")
		assert.Less(t, strings.Count(logged.String(), "\n"), 20, "changes are logged, and not every request")
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestWhoGoesAwayChangesNothing: a request that ends before the page is there is
// answered as well as can be, and the page is made all the same.
func TestWhoGoesAwayChangesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.check(t)
		w.config.Events = func(ctx context.Context) (statuspage.Events, error) {
			select {
			case <-time.After(2 * time.Second):
				return statuspage.Events{}, nil
			case <-ctx.Done():
				return statuspage.Events{}, ctx.Err()
			}
		}
		p := w.public(t)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		answer := httptest.NewRecorder()
		p.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
		assert.Equal(t, http.StatusServiceUnavailable, answer.Code)
		assert.Equal(t, "5", answer.Header().Get("Retry-After"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.NotContains(t, text(t, p, "/"), "cannot be read")
	})
}

// TestManyAtOnce asks from many goroutines while checks change.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := trouble(t)
		public, private := w.public(t), w.private(t)
		paths := w.paths()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 100 {
					p := public
					if j%7 == 0 {
						p = private
					}
					answer := get(p, paths[(i+j)%len(paths)], "Accept-Encoding", "gzip")
					assert.Contains(t, []int{200, 404, 503}, answer.Code)
					time.Sleep(100 * time.Millisecond)
				}
			})
		}
		wg.Go(func() {
			for range 10 {
				w.check(t)
				time.Sleep(time.Second)
			}
		})
		wg.Wait()
	})
}
