package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// world is a host with everything that the API serves, in memory.
type world struct {
	t           testing.TB
	api         http.Handler
	cfg         httpapi.Config
	runner      *incident.Runner
	runs        *incident.MemoryRuns
	store       *faultyStore
	escalations *incident.Escalations
	replicas    *replicas
	log         *bytes.Buffer

	mu   sync.Mutex
	did  []string
	errs []error // of the action, one for each attempt
	says string  // what the action would do
}

// people are who can make requests, by their tokens.
var people = map[string]httpapi.Actor{
	"val":    {Name: "Val", Roles: []string{"viewer"}},
	"jane":   {Name: "Jane", Roles: []string{"operator"}},
	"omar":   {Name: "Omar", Roles: []string{"operator"}},
	"kim":    {Name: "Kim", Roles: []string{"approver"}},
	"ada":    {Name: "Ada", Roles: []string{"administrator"}},
	"guest":  {Name: "Guest", Roles: []string{"visitor"}},
	"page":   {Name: "Page", Roles: []string{"administrator"}, Cookie: true},
	"nobody": {Roles: []string{"administrator"}},
	"robot":  {Name: "runbook", Roles: []string{"administrator"}},
	"split":  {Name: "Jane\r\nX-Evil: 1", Roles: []string{"administrator"}},
	"double": {Name: "Jane  Doe", Roles: []string{"administrator"}},
	"case":   {Name: "RunBook", Roles: []string{"administrator"}},
	"long":   {Name: strings.Repeat("x", 101), Roles: []string{"administrator"}},
	"hidden": {Name: "Jane\u200b", Roles: []string{"administrator"}},
	"widest": {Name: strings.Repeat("é", 100), Roles: []string{"administrator"}},
}

func authenticate(r *http.Request) (httpapi.Actor, error) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if token == "down" {
		return httpapi.Actor{}, errors.New("the directory at ldap://secret@10.0.0.1 does not answer")
	}
	actor, ok := people[token]
	if !ok {
		return actor, fmt.Errorf("token %q: %w", token, httpapi.ErrUnauthenticated)
	}
	return actor, nil
}

// note notes that the world was changed.
func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.did = append(w.did, what)
}

func (w *world) noted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string{}, w.did...)
}

func (w *world) would(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.says = what
}

// restart is the playbook of the tests: it looks, asks, and acts.
func (w *world) restart() incident.Playbook {
	act := incident.Action{
		Run: func(context.Context, *incident.Scope) (any, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			if len(w.errs) > 0 {
				err := w.errs[0]
				w.errs = w.errs[1:]
				return nil, err
			}
			w.did = append(w.did, "restarted")
			return map[string]string{"deployment": "7f3a"}, nil
		},
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return incident.Effect{Call: w.says, Changes: []string{"every instance is new"}, Destroys: []string{"what is in memory"}, Undo: "there is none"}, nil
		},
		Undo: func(context.Context, *incident.Scope) (any, error) { return nil, nil }, Undoes: "starts the old one",
	}
	return incident.Playbook{
		Name: "restart", Environment: "production", Title: "Restart the application", About: "When it hangs.", Source: "Application down",
		Severity: alert.Critical, Escalation: "call the operations manager",
		Parameters: []incident.Parameter{
			{Name: "replicas", About: "how many", Type: incident.Whole, Default: "2", Min: "1", Max: "8"},
			{Name: "mode", About: "how", Choices: []string{"rolling", "all"}, Optional: true},
		},
		Needs:  []incident.Need{{Name: "Deployer", Met: true}},
		Phases: []incident.Phase{{Name: "Immediate", Budget: 10 * time.Minute}},
		Steps: []incident.Step{
			{ID: "look", Title: "Look at it", About: "It should hang.", Phase: "Immediate", Replaces: []string{"curl /health"}, Needs: []incident.Need{{Name: "Prober", Met: true}}, Do: incident.Check{
				Run: func(context.Context, *incident.Scope) (any, error) { return map[string]int{"failures": 3}, nil },
			}},
			{ID: "gate", Title: "May it be restarted?", Do: incident.Approve{Question: func(*incident.Scope) string { return "It hangs." }, Roles: []string{"approver", "administrator"}, Bound: true}},
			{ID: "act", Title: "Restart it", Do: act},
		},
	}
}

// tidy is a playbook that a person carries out.
func tidy() incident.Playbook {
	return incident.Playbook{
		Name: "tidy", Environment: "test", Title: "Tidy up", Severity: alert.Low,
		Steps: []incident.Step{{ID: "by-hand", Title: "Tidy up", Do: incident.Manual{Why: "there is no API", Instruction: func(*incident.Scope) string { return "Tidy up." }}}},
	}
}

// newWorld returns a host. It is closed when the test ends.
func newWorld(t testing.TB, change ...func(*httpapi.Config)) *world {
	w := &world{t: t, store: &faultyStore{Store: new(incident.MemoryStore)}, runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), replicas: new(replicas), log: new(bytes.Buffer), says: "restart web"}
	logger := slog.New(slog.NewTextHandler(&lockedWriter{w: w.log}, nil))
	var manager *incident.Manager
	called := alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
		w.note("called " + n.Key)
		return "1", nil
	})
	var err error
	w.escalations, err = incident.NewEscalations(incident.EscalationsConfig{
		Runs: w.runs, Channels: map[string]alert.Notifier{"ops": called}, Logger: logger,
		Policies: []incident.EscalationPolicy{{Name: "all", Levels: []incident.EscalationLevel{
			{Name: "Operations", After: time.Hour, Targets: []incident.EscalationTarget{{Channel: "ops"}}},
			{Name: "Management", After: time.Hour, Targets: []incident.EscalationTarget{{Channel: "ops"}}},
		}}},
		Hooks: incident.EscalationHooksOf(func() *incident.Manager { return manager }),
	})
	require.NoError(t, err)
	manager, err = incident.NewManager(incident.ManagerConfig{Store: w.store, Escalator: w.escalations, Ticketer: &tickets{}, Poster: poster(w.posted), Logger: logger})
	require.NoError(t, err)
	w.runner, err = incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{w.restart(), tidy()}, Runs: w.runs, Store: w.store, Approvals: httpapi.ApproveByRole{}, Logger: logger})
	require.NoError(t, err)
	automation, err := incident.NewAutomation(incident.AutomationConfig{Store: w.store})
	require.NoError(t, err)
	w.cfg = httpapi.Config{
		Authenticate: httpapi.AuthenticatorFunc(authenticate), Store: w.store, Runner: w.runner, Manager: manager, Automation: automation,
		Replicas: w.replicas, Escalations: w.escalations, Logger: logger,
	}
	for _, c := range change {
		c(&w.cfg)
	}
	w.api, err = httpapi.New(w.cfg)
	require.NoError(t, err)
	require.NoError(t, w.runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: w.runner.Program(), incident.EscalationProgram: w.escalations.Program()}))
	return w
}

func (w *world) posted(p alert.Post) error {
	if strings.Contains(p.Body, "lost") {
		return errors.New("the status page does not answer")
	}
	w.note("posted " + p.Body)
	return nil
}

func (w *world) close() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(w.t.Context()))
	cancel()
	_ = w.runs.Close(ctx) // what waits for a person ends with it
}

// inWorld calls a test with a host, in virtual time.
func inWorld(t *testing.T, test func(w *world), change ...func(*httpapi.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, change...)
		defer func() {
			w.close()
			synctest.Wait()
		}()
		test(w)
	})
}

// answer is what the API answered.
type answer struct {
	*httptest.ResponseRecorder
	t testing.TB
}

// ask makes a request in the name of somebody. change changes it before it is sent.
func (w *world) ask(who, method, path, body string, change ...func(r *http.Request)) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	if method != http.MethodGet {
		r.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for _, c := range change {
		c(r)
	}
	a := answer{httptest.NewRecorder(), w.t}
	w.api.ServeHTTP(a, r)
	assert.Equal(w.t, "no-store", a.Header().Get("Cache-Control"))
	assert.Equal(w.t, "nosniff", a.Header().Get("X-Content-Type-Options"))
	assert.Empty(w.t, a.Header().Get("Access-Control-Allow-Origin"))
	return a
}

func (w *world) get(who, path string) answer {
	w.t.Helper()
	return w.ask(who, http.MethodGet, path, "")
}

func (w *world) post(who, path, body string) answer {
	w.t.Helper()
	return w.ask(who, http.MethodPost, path, body)
}

// ok requires a status, and reads the answer.
func (a answer) ok(status int, into any) answer {
	a.t.Helper()
	require.Equal(a.t, status, a.Code, a.Body.String())
	if into != nil {
		require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), into))
	}
	return a
}

// problem requires a problem, and returns it.
func (a answer) problem(status int, code string) httpapi.Problem {
	a.t.Helper()
	require.Equal(a.t, status, a.Code, a.Body.String())
	assert.Equal(a.t, "application/problem+json", a.Header().Get("Content-Type"))
	var p httpapi.Problem
	require.NoError(a.t, json.Unmarshal(a.Body.Bytes(), &p))
	assert.Equal(a.t, code, p.Code, a.Body.String())
	assert.Equal(a.t, status, p.Status)
	assert.Equal(a.t, "tag:acu.edu.au,2026:runbook:"+code, p.Type)
	assert.NotEmpty(a.t, p.Title)
	assert.NotEmpty(a.t, p.Detail)
	return p
}

// start starts a run of a playbook as Jane, and waits until nothing moves.
func (w *world) start(body string) incident.Run {
	w.t.Helper()
	var run incident.Run
	w.post("jane", "/v1/runs", body).ok(http.StatusCreated, &run)
	synctest.Wait()
	return w.run(run.ID)
}

const restart = `{"environment":"production","playbook":"restart"}`

func (w *world) run(id string) (run incident.Run) {
	w.t.Helper()
	synctest.Wait()
	w.get("val", "/v1/runs/"+id).ok(http.StatusOK, &run)
	return run
}

// waiting returns the only approval that is open when nothing moves.
func (w *world) waiting() incident.Approval {
	w.t.Helper()
	synctest.Wait()
	var list struct {
		Approvals []incident.Approval `json:"approvals"`
	}
	w.get("val", "/v1/approvals").ok(http.StatusOK, &list)
	require.Len(w.t, list.Approvals, 1)
	return list.Approvals[0]
}

// approve approves what waits, as it is.
func (w *world) approve(who string) answer {
	w.t.Helper()
	a := w.waiting()
	return w.post(who, "/v1/approvals/"+a.ID+"/approve", fmt.Sprintf(`{"plan":%q}`, a.Question.Plan))
}

// open opens an incident as Jane.
func (w *world) open() incident.Incident {
	w.t.Helper()
	var inc incident.Incident
	w.post("jane", "/v1/incidents", `{"title":"it hangs","severity":"high","environment":"production"}`).ok(http.StatusCreated, &inc)
	return inc
}

// audited returns the audit record.
func (w *world) audited() (list []incident.Entry) {
	w.t.Helper()
	for e, err := range w.store.Entries(w.t.Context(), "audit", 0) {
		require.NoError(w.t, err)
		list = append(list, e)
	}
	return list
}

// audit returns the entries of a kind in the audit record.
func (w *world) audit(kind string) (list []incident.Entry) {
	w.t.Helper()
	for _, e := range w.audited() {
		if e.Kind == kind {
			list = append(list, e)
		}
	}
	return list
}

func texts(entries []incident.Entry) []string {
	list := []string{}
	for _, e := range entries {
		list = append(list, e.Actor+": "+e.Text)
	}
	return list
}

// faultyStore is a store that fails when it is told to.
type faultyStore struct {
	incident.Store
	mu    sync.Mutex
	err   error // of writing
	noDoc error // of reading
}

// read makes documents unreadable.
func (s *faultyStore) read(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noDoc = err
}

func (s *faultyStore) Document(ctx context.Context, kind, id string) (incident.Document, error) {
	s.mu.Lock()
	err := s.noDoc
	s.mu.Unlock()
	if err != nil {
		return incident.Document{}, err
	}
	return s.Store.Document(ctx, kind, id)
}

func (s *faultyStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *faultyStore) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return incident.Change{}, err
	}
	return s.Store.Commit(ctx, c)
}

// replicas are two processes, one of which hangs.
type replicas struct{ taken []string }

func (*replicas) Replicas(context.Context) ([]incident.Replica, error) {
	return []incident.Replica{
		{Process: "a", Host: "one", Version: "1", State: "alive", Runs: []string{"run-1"}},
		{Process: "b", Host: "two", Version: "1", State: "hung", Runs: []string{"run-7"}},
	}, nil
}

func (r *replicas) TakeOver(_ context.Context, process string, c incident.Control) ([]incident.RunRecord, error) {
	switch process {
	case "a":
		return nil, fmt.Errorf("it lives: %w", incident.ErrStale)
	case "b":
		r.taken = append(r.taken, c.By+": "+c.Reason)
		return []incident.RunRecord{{RunStart: incident.RunStart{ID: "run-7"}}}, nil
	}
	return nil, incident.ErrNotFound
}

type poster func(p alert.Post) error

func (f poster) Post(_ context.Context, p alert.Post, _ ...string) error { return f(p) }

type tickets struct{}

func (*tickets) Notify(context.Context, alert.Notification) (alert.Receipt, error) {
	return "receipt", nil
}

func (*tickets) State(context.Context, alert.Receipt) (alert.Ticket, error) {
	return alert.Ticket{ID: "OPS-42", URL: "https://tickets.example.edu/OPS-42", State: "Open"}, nil
}

// lockedWriter lets goroutines write to a buffer.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}
