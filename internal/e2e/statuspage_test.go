package e2e_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/statuspage"
	"go.acu.edu.au/runbook/internal/services"
)

const (
	// shots names a folder in which the tests leave pictures of pages, for people to
	// look at.
	shots = "RUNBOOK_E2E_SHOTS"
	// axe names the file axe.min.js of the npm package axe-core.
	axe = "RUNBOOK_AXE"

	patience = 30 * time.Second
	limit    = 5 * time.Minute
)

// A site serves status pages: one on which everything works, one with trouble, and
// the private one of that.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	requests []string
	console  []string
}

// taken returns the requests and the lines of the console since it was asked last.
func (s *site) taken() (requests, console []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, console = s.requests, s.console
	s.requests, s.console = nil, nil
	return requests, console
}

// newSite starts the server.
func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{}
	mux := http.NewServeMux()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.URL.String())
		s.mu.Unlock()
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	well, trouble := estate(t, s.URL, false), estate(t, s.URL, true)
	for prefix, made := range map[string]func() (*statuspage.Page, error){
		"/well":    func() (*statuspage.Page, error) { return statuspage.NewPublic(well) },
		"/trouble": func() (*statuspage.Page, error) { return statuspage.NewPublic(trouble) },
		"/private": func() (*statuspage.Page, error) { return statuspage.NewPrivate(trouble) },
	} {
		page, err := made()
		require.NoError(t, err)
		mux.Handle(prefix+"/", http.StripPrefix(prefix, page))
	}
	return s
}

// estate returns the configuration of a page with 90 days of history.
func estate(t *testing.T, address string, trouble bool) statuspage.Config {
	t.Helper()
	zone, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	quiet := slog.New(slog.DiscardHandler)
	history := &health.MemoryHistory{Location: zone}
	now := time.Now()
	cfg := statuspage.Config{
		URL: address, Title: "QA automation", Description: "Tests of courses in Canvas.", Location: zone, History: history, Logger: quiet,
		Links: []statuspage.Link{{Text: "Service desk", URL: "https://desk.example.edu/"}},
	}
	states := map[string]health.Status{"website": health.Healthy, "results": health.Unhealthy, "search": health.Degraded, "beta": health.Unknown, "canvas": health.Maintenance, "opening-from-a-course": health.Healthy}
	var checks []health.Check
	for _, name := range []string{"Website", "Results", "Search", "Beta", "Canvas", "Opening from a course"} {
		id := strings.ReplaceAll(strings.ToLower(name), " ", "-")
		r := health.Result{Status: health.Healthy, Duration: 120 * time.Millisecond}
		if trouble && states[id] != health.Healthy {
			r.Status, r.Cause, r.Message = states[id], health.CauseRefused, "dial tcp db-7.internal:5432: connection refused by the server that should have answered"
		}
		checks = append(checks, health.Check{Name: id, Prober: health.ProberFunc(func(context.Context) health.Result { return r })})
		cfg.Components = append(cfg.Components, statuspage.Component{Name: name, Group: map[bool]string{true: "Production", false: "Others"}[len(checks) < 4], Checks: []string{id}})
		var samples []health.Sample
		for hour := 90 * 24; hour >= 0; hour-- {
			s := health.Sample{Check: id, Time: now.Add(-time.Duration(hour) * time.Hour), Status: health.Healthy, Valid: time.Hour, Latency: time.Duration(90+hour*hour%60) * time.Millisecond}
			if trouble {
				switch {
				case id == "results" && (hour == 5 || hour/24 == 40):
					s.Status = health.Unhealthy
				case id == "search" && hour/24%30 == 7:
					s.Status = health.Degraded
				case id == "canvas" && hour/24%14 == 3:
					s.Status = health.Maintenance
				case id == "beta" && (hour > 60*24 || hour/24 == 20 && hour%24 < 9):
					s.Status = health.Unknown
				}
			}
			samples = append(samples, s)
		}
		require.NoError(t, history.Append(t.Context(), samples))
	}
	cfg.Monitor, err = health.New(health.Config{Checks: checks, Logger: quiet})
	require.NoError(t, err)
	_, err = cfg.Monitor.Check(t.Context())
	require.NoError(t, err)
	cfg.Events = func(context.Context) (statuspage.Events, error) {
		if !trouble {
			return statuspage.Events{}, nil
		}
		return statuspage.Events{
			Incidents: []statuspage.Incident{{ID: "INC-2026-0042", Title: "Results are not shown", Components: map[string]statuspage.Condition{"results": statuspage.MajorOutage}, Updates: []statuspage.Update{
				{Time: now.Add(-2 * time.Hour), Phase: statuspage.Investigating, Text: "We look into it."},
				{Time: now.Add(-time.Hour), Phase: statuspage.Identified, Text: "A disk is full. We make room.\n<b>Results that were saved are safe.</b> " + strings.Repeat("W", 100)},
			}}},
			Maintenance: []statuspage.Maintenance{
				{ID: "MNT-7", Title: "Canvas is upgraded", From: now.Add(-time.Hour), Until: now.Add(time.Hour), Components: []string{"canvas"}},
				{ID: "MNT-6", Title: "Certificates", From: now.Add(-60 * time.Hour), Until: now.Add(-59 * time.Hour)},
			},
		}, nil
	}
	return cfg
}

// start starts a browser, and returns a tab of it.
func start(t *testing.T, s *site) context.Context {
	t.Helper()
	output, w := io.Pipe()
	go func() {
		lines := bufio.NewScanner(output)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if _, text, ok := strings.Cut(lines.Text(), ":CONSOLE:"); ok {
				s.mu.Lock()
				s.console = append(s.console, text)
				s.mu.Unlock()
			}
		}
	}()
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(services.Need(t, services.Chromium)), chromedp.UserDataDir(t.TempDir()), chromedp.Headless, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.WindowSize(1000, 800), chromedp.CombinedOutput(w), chromedp.Flag("enable-logging", "stderr"), chromedp.Flag("force-color-profile", "srgb"),
	}
	for _, flag := range []string{"disable-gpu", "disable-background-networking", "disable-component-update", "disable-sync", "disable-dev-shm-usage", "disable-extensions", "disable-default-apps", "disable-breakpad"} {
		options = append(options, chromedp.Flag(flag, true))
	}
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // it refuses to be root otherwise
	}
	limited, end := context.WithTimeout(context.Background(), limit)
	allocator, stop := chromedp.NewExecAllocator(limited, options...)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(func() { cancel(); stop(); end(); _ = w.Close() })
	require.NoError(t, chromedp.Do(ctx), "start the browser")
	return ctx
}

// do runs actions in a tab.
func do(t testing.TB, tab context.Context, actions ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	limited, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	require.NoError(t, chromedp.Do(limited, actions...))
}

// value evaluates an expression in a tab. The policy of the page does not bind the
// protocol.
func value[T any](t testing.TB, tab context.Context, expression string) T {
	t.Helper()
	limited, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	v, err := chromedp.Run(limited, chromedp.Evaluate[T](expression))
	require.NoError(t, err)
	return v
}

// media sets what a page is shown on.
func media(t testing.TB, tab context.Context, kind, scheme string) {
	t.Helper()
	_, err := chromedp.Call(tab, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Media: kind, Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	require.NoError(t, err)
}

// shot saves a picture of the whole page, if somebody wants to see it.
func shot(t testing.TB, tab context.Context, name string) {
	t.Helper()
	dir := os.Getenv(shots)
	if dir == "" {
		return
	}
	limited, cancel := context.WithTimeout(tab, patience)
	defer cancel()
	png, err := chromedp.Run(limited, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600))
}

// documents are those that people see.
var documents = []string{
	"/well/", "/trouble/", "/private/", "/trouble/components/results", "/private/components/results", "/trouble/components/beta", "/well/history", "/trouble/history", "/trouble/incidents/INC-2026-0042", "/trouble/lost",
}

// TestStatusPage looks at all documents, by day, by night, on paper, on a desk and on
// a phone: each is one request, writes nothing to the console, which is where
// violations of the policy show, is nowhere wider than the window, and looks right
// without scripts.
//
// Requirement: AL-PAGE-NO-SCRIPT
func TestStatusPage(t *testing.T) {
	s := newSite(t)
	tab := start(t, s)
	_, err := chromedp.Call(tab, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	require.NoError(t, err)
	for _, path := range documents {
		for _, kind := range []struct {
			name, media, scheme string
			width               int64
		}{{"light", "screen", "light", 1000}, {"dark", "screen", "dark", 1000}, {"phone", "screen", "light", 320}, {"phone-dark", "screen", "dark", 320}, {"print", "print", "dark", 794}} {
			media(t, tab, kind.media, kind.scheme)
			do(t, tab, chromedp.EmulateViewport(kind.width, 800))
			s.taken()
			target := path + "?on=" + kind.name // another address, so that it is not answered from the browser's cache
			do(t, tab, chromedp.Navigate(s.URL+target))
			requests, console := s.taken()
			where := fmt.Sprint(path, " ", kind.name)
			assert.Equal(t, []string{target}, requests, "%s: it is one request", where)
			if path != "/trouble/lost" { // whose status the console notes
				assert.Empty(t, console, where)
			}
			assert.EqualValues(t, kind.width, value[int](t, tab, "document.documentElement.scrollWidth"), "%s: nothing is wider than the window", where)
			back := value[string](t, tab, "getComputedStyle(document.body).backgroundColor")
			want := map[string]string{"light": "rgb(255, 255, 255)", "dark": "rgb(13, 17, 23)"}[kind.scheme]
			if kind.media == "print" {
				want = "rgb(255, 255, 255)"
			}
			assert.Equal(t, want, back, where)
			shot(t, tab, "status"+strings.ReplaceAll(path, "/", "-")+"-"+kind.name)
		}
	}
}

// violation is one that axe found.
type violation struct {
	ID, Impact, Help string
	Nodes            []struct{ HTML, FailureSummary string }
}

// TestStatusPageIsAccessible asks axe, by day and by night, on a desk and on a phone,
// with everything unfolded.
//
// Requirement: AL-PAGE-CONTRAST, AL-PAGE-WORDS
func TestStatusPageIsAccessible(t *testing.T) {
	library, err := os.ReadFile(services.Need(t, axe))
	require.NoError(t, err)
	s := newSite(t)
	tab := start(t, s)
	for _, path := range documents {
		for _, kind := range []struct {
			scheme string
			width  int64
		}{{"light", 1000}, {"dark", 1000}, {"dark", 320}} {
			media(t, tab, "screen", kind.scheme)
			do(t, tab, chromedp.EmulateViewport(kind.width, 800), chromedp.Navigate(s.URL+path))
			value[bool](t, tab, string(library)+"; document.querySelectorAll('details').forEach(d => d.open = true); true")
			limited, cancel := context.WithTimeout(tab, patience)
			text, err := chromedp.Run(limited, chromedp.Evaluate[string]("axe.run(document).then(r => JSON.stringify({violations: r.violations, passes: r.passes.length}))", chromedp.EvalAwaitPromise))
			cancel()
			require.NoError(t, err)
			var found struct {
				Violations []violation
				Passes     int
			}
			require.NoError(t, json.Unmarshal([]byte(text), &found))
			assert.Greater(t, found.Passes, 10, "axe has looked at it")
			for _, v := range found.Violations {
				assert.Fail(t, v.Help, "%s, %+v: %s (%s): %+v", path, kind, v.ID, v.Impact, v.Nodes)
			}
		}
	}
}

// TestStatusPageByKeyboard: everything that can be followed or unfolded is reached by
// the tabulator, in the order of the page, and shows where the focus is.
func TestStatusPageByKeyboard(t *testing.T) {
	s := newSite(t)
	tab := start(t, s)
	for _, path := range []string{"/trouble/", "/trouble/components/results"} {
		do(t, tab, chromedp.Navigate(s.URL+path))
		all := value[int](t, tab, "document.querySelectorAll('a, summary').length")
		require.Greater(t, all, 5)
		for i := range all {
			do(t, tab, chromedp.KeyEvent("\t"))
			at := value[int](t, tab, "[...document.querySelectorAll('a, summary')].indexOf(document.activeElement)")
			assert.Equal(t, i, at, path)
			assert.Equal(t, "solid 3px", value[string](t, tab, "(s => s.outlineStyle + ' ' + s.outlineWidth)(getComputedStyle(document.activeElement))"), path)
		}
	}
	assert.Equal(t, 0, value[int](t, tab, "document.querySelectorAll('details[open]').length"))
	do(t, tab, chromedp.Navigate(s.URL+"/trouble/components/results"))
	value[bool](t, tab, "document.querySelector('summary').focus(), true")
	do(t, tab, chromedp.KeyEvent(" "))
	assert.Equal(t, 1, value[int](t, tab, "document.querySelectorAll('details[open]').length"))
}
