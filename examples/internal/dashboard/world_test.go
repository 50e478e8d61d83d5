package dashboard_test

import (
	"bytes"
	"context"
	"errors"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/examples/internal/dashboard"
	"go.acu.edu.au/runbook/examples/internal/dashboard/scene"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// night is the dashboard over a scene, in a bubble of virtual time.
type night struct {
	*testing.T
	*scene.Scene
	board http.Handler
	log   *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
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

// who says who makes a request of a test: by a header.
func who(r *http.Request) (httpapi.Actor, error) {
	name := r.Header.Get("X-Test-Who")
	if name == "down" {
		return httpapi.Actor{}, errors.New("ldap://secret@10.0.0.1 does not answer")
	}
	if name == "robot" {
		return httpapi.Actor{Name: "runbook", Roles: []string{"administrator"}}, nil
	}
	if name == "guest" {
		return httpapi.Actor{Name: "Guest"}, nil
	}
	actor, ok := scene.People()[name]
	if !ok {
		return actor, httpapi.ErrUnauthenticated
	}
	return actor, nil
}

func atNight(t *testing.T, test func(n *night), change ...func(*dashboard.Config)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := &night{T: t, log: new(lockedBuffer)}
		logger := slog.New(slog.NewTextHandler(n.log, nil))
		var err error
		n.Scene, err = scene.New(t.Context(), 4*time.Second, logger)
		require.NoError(t, err)
		cfg := dashboard.Config{
			Title: "QA automation", Actor: who, Store: n.Store, Runner: n.Runner, Manager: n.Manager, Automation: n.Automation, Escalations: n.Escalations,
			Replicas: n.Replicas, Monitor: n.Monitor, SignIn: "/sign-in", Links: []dashboard.Link{{Text: "Status", URL: "/status/"}}, Logger: logger,
		}
		for _, c := range change {
			c(&cfg)
		}
		require.NoError(t, n.Monitor.Start(t.Context()))
		time.Sleep(time.Second) // every check has been made
		n.board, err = dashboard.New(cfg)
		require.NoError(t, err)
		defer func() {
			ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
			cancel()
			_ = n.Close(ctx)
			synctest.Wait()
		}()
		test(n)
	})
}

// answer is what the dashboard answered.
type answer struct {
	*httptest.ResponseRecorder
	n    *night
	path string
}

// ask makes a request as somebody, as a browser does for a page of this host.
func (n *night) ask(who, method, path string, form url.Values, change ...func(r *http.Request)) *answer {
	n.Helper()
	r := httptest.NewRequestWithContext(n.Context(), method, path, strings.NewReader(form.Encode()))
	r.Header.Set("X-Test-Who", who)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, c := range change {
		c(r)
	}
	a := &answer{httptest.NewRecorder(), n, path}
	n.board.ServeHTTP(a, r)
	synctest.Wait()
	return a
}

func (n *night) get(who, path string) *answer {
	n.Helper()
	return n.ask(who, http.MethodGet, path, nil)
}

func (n *night) post(who, path string, pairs ...string) *answer {
	n.Helper()
	form := make(url.Values)
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return n.ask(who, http.MethodPost, path, form)
}

// ok requires a page, and returns it as text.
func (a *answer) ok() string {
	a.n.Helper()
	require.Equal(a.n, http.StatusOK, a.Code, a.Body.String())
	return a.text()
}

// leads requires a redirect, and returns the page to which it leads.
func (a *answer) leads(who, to string) string {
	a.n.Helper()
	require.Equal(a.n, http.StatusSeeOther, a.Code, a.text())
	location := a.Header().Get("Location")
	assert.False(a.n, strings.HasPrefix(location, "/"), "it works under any prefix: %s", location)
	base, err := url.Parse("http://host" + a.path)
	require.NoError(a.n, err)
	next, err := base.Parse(location)
	require.NoError(a.n, err)
	assert.Regexp(a.n, "^"+to+"$", next.Path)
	return a.n.get(who, next.RequestURI()).ok()
}

// refused requires a page with a status that says why.
func (a *answer) refused(status int, says string) string {
	a.n.Helper()
	text := a.text()
	require.Equal(a.n, status, a.Code, text)
	assert.Contains(a.n, text, says)
	return text
}

var (
	styles = regexp.MustCompile(`(?s)<style>.*?</style>|<svg class="sprite".*?</svg>`)
	tags   = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
)

// text is what a person reads.
func (a *answer) text() string {
	plain := tags.ReplaceAllString(styles.ReplaceAllString(a.Body.String(), ""), " ")
	return regexp.MustCompile(` ([.,:;)])`).ReplaceAllString(spaces.ReplaceAllString(html.UnescapeString(plain), " "), "$1")
}

// field returns the value of a hidden field of a form.
func (a *answer) field(name string) string {
	a.n.Helper()
	m := regexp.MustCompile(`<input type="hidden" name="` + name + `" value="([^"]*)"`).FindStringSubmatch(a.Body.String())
	require.NotNil(a.n, m, "no field %s in %s", name, a.Body.String())
	return html.UnescapeString(m[1])
}

// begin makes the night begin, and returns the incident and the path of what waits.
func (n *night) begin() (inc incident.Incident, approval string) {
	n.Helper()
	inc, _, err := n.Begin(n.Context())
	require.NoError(n, err)
	synctest.Wait()
	return inc, n.approval()
}

func (n *night) approval() string {
	n.Helper()
	all, err := n.Runner.Approvals(n.Context())
	require.NoError(n, err)
	require.Len(n, all, 1)
	return "/approvals/" + all[0].ID
}

func (n *night) run(id string) incident.Run {
	n.Helper()
	synctest.Wait()
	run, err := n.Runner.Run(n.Context(), id)
	require.NoError(n, err)
	return run
}

// count counts the entries of a kind in a chain.
func (n *night) count(chain, kind string) (count int) {
	n.Helper()
	for e, err := range n.Store.Entries(n.Context(), chain, 0) {
		require.NoError(n, err)
		if e.Kind == kind {
			count++
		}
	}
	return count
}

// stream follows a path, and returns what came when it has ended or after a time.
func (n *night) stream(who, path string, d time.Duration, meanwhile func()) string {
	n.Helper()
	ctx, cancel := context.WithTimeout(n.Context(), d)
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, path, nil)
	r.Header.Set("X-Test-Who", who)
	w := httptest.NewRecorder()
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.board.ServeHTTP(w, r)
	}()
	synctest.Wait()
	if meanwhile != nil {
		meanwhile()
	}
	<-done
	assert.Equal(n, "text/event-stream", w.Header().Get("Content-Type"))
	all, err := io.ReadAll(w.Body)
	require.NoError(n, err)
	return string(all)
}

func TestConfigIsRefusedAsAWhole(t *testing.T) {
	_, err := dashboard.New(dashboard.Config{Timeout: -1, Followers: -1, SignIn: "javascript:alert(1)", Links: []dashboard.Link{{Text: "x"}}, Origins: []string{"no"}})
	for _, want := range []string{"Actor", "Store", "Timeout", "Followers", "SignIn", "link 1", "Origins"} {
		assert.ErrorContains(t, err, want)
	}
	_, err = dashboard.New(dashboard.Config{Actor: who, Store: new(incident.MemoryStore), Roles: map[string][]httpapi.Verb{"x": {"fly"}}})
	assert.ErrorContains(t, err, "fly")
}

// quiet sends a form, and returns the status. It waits for nothing, so that several can be
// sent at a time.
func (n *night) quiet(who, path string, form url.Values) int {
	r := httptest.NewRequestWithContext(n.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("X-Test-Who", who)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	n.board.ServeHTTP(w, r)
	return w.Code
}
