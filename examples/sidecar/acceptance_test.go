//go:build unix

package main

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// acceptance is what a user does, against the real application.
type acceptance struct {
	address, issuer, client string
	course                  int64
}

// do makes a request as a browser with one cookie does, and returns the answer and its body.
func (a *acceptance) do(ctx context.Context, method, path, cookie, kind, body string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, a.address+path, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Cookie", cookie)
	r.Header.Set("Content-Type", kind)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return resp, string(text), err
}

// signed is an ID token with the claims, signed by the key that the platform publishes.
func signed(claims map[string]any) (string, error) {
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"one"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, ltitest.ToolKey(0), crypto.SHA256, sum[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// launch launches the tool as Canvas does, and returns the cookie of the session.
func (a *acceptance) launch(ctx context.Context) (string, error) {
	resp, _, err := a.do(ctx, http.MethodGet, "/lti/login?"+url.Values{"iss": {a.issuer}, "login_hint": {"kim"}, "client_id": {a.client}}.Encode(), "", "", "")
	if err != nil {
		return "", err
	}
	to, err := resp.Location()
	if err != nil {
		return "", fmt.Errorf("the login is answered with %d, and goes nowhere: %w", resp.StatusCode, err)
	}
	const claim = "https://purl.imsglobal.org/spec/lti/claim/"
	token, err := signed(map[string]any{
		"iss": a.issuer, "aud": a.client, "sub": "kim", "nonce": to.Query().Get("nonce"), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		claim + "version": "1.3.0", claim + "message_type": "LtiResourceLinkRequest",
	})
	if err != nil {
		return "", err
	}
	cookie, _, _ := strings.Cut(resp.Header.Get("Set-Cookie"), ";")
	form := url.Values{"state": {to.Query().Get("state")}, "id_token": {token}}.Encode()
	resp, text, err := a.do(ctx, http.MethodPost, "/lti/launch", cookie, "application/x-www-form-urlencoded", form)
	if err != nil {
		return "", err
	}
	if !strings.Contains(text, "You are signed in.") {
		return "", fmt.Errorf("the launch is answered with %d", resp.StatusCode)
	}
	for _, c := range resp.Cookies() {
		if c.Value != "" {
			return c.Name + "=" + c.Value, nil
		}
	}
	return "", fmt.Errorf("the launch gives no session")
}

// task launches the tool, checks a page of the course and a draft, and waits for the result, as
// long as a user would.
func (a *acceptance) task(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	session, err := a.launch(ctx)
	if err != nil {
		return err
	}
	new := fmt.Sprintf(`{"instance": "test", "course_id": %d, "pages": ["welcome"], "drafts": ["<img src=x>"]}`, a.course)
	resp, text, err := a.do(ctx, http.MethodPost, "/tasks", session, "application/json", new)
	if err != nil || resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("the task is not taken: %v %s", err, text)
	}
	var t struct {
		ID, Status                    string
		Total, Done, Failed, Findings int
	}
	for {
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return err
		}
		switch {
		case t.Status == "failed" || t.Failed > 0:
			return fmt.Errorf("%d of %d items of the task failed", t.Failed, t.Total)
		case t.Status != "queued" && t.Status != "running" && t.Done == t.Total && t.Findings > 0:
			return nil
		case t.Status != "queued" && t.Status != "running":
			return fmt.Errorf("the task is %s with %d of %d items and %d findings", t.Status, t.Done, t.Total, t.Findings)
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("the task is still %s, %d of %d items are done", t.Status, t.Done, t.Total)
		}
		if _, text, err = a.do(context.WithoutCancel(ctx), http.MethodGet, "/tasks/"+t.ID, session, "", ""); err != nil {
			return err
		}
	}
}

// prober makes a check of what a user does.
func prober(do func(context.Context) error) health.Prober {
	return health.ProberFunc(func(ctx context.Context) health.Result {
		if err := do(ctx); err != nil {
			return health.Result{Status: health.Unhealthy, Message: err.Error()}
		}
		return health.Result{Status: health.Healthy, Message: "it works"}
	})
}

// User acceptance launches the real application as Canvas does, and runs a task on the course
// for tests from its beginning to its end. It does not pass when Canvas gives no pages, when
// nobody works at the queue, and when nobody can launch.
//
// Requirement: RB-SCRIPT-UAT-VALIDATION
func TestUserAcceptanceOfTheRealApplication(t *testing.T) {
	redis, postgres := services.StartRedis(t), services.StartPostgres(t)
	canvas := &canvastest.Server{}
	course := canvas.Add(canvastest.Courses, 1, canvastest.Object{"name": "For tests"})
	canvas.Add(canvastest.Pages, course, canvastest.Object{"title": "Welcome", "body": `<h1>Welcome</h1><a href="x">click here</a>`, "published": true})
	var pagesAway, keysAway atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if pagesAway.Load() && strings.Contains(r.URL.Path, "/pages/") {
			http.Error(w, "{}", http.StatusInternalServerError)
			return
		}
		canvas.ServeHTTP(w, r)
	})
	mux.HandleFunc("/api/lti/security/jwks", func(w http.ResponseWriter, _ *http.Request) {
		key := 0
		if keysAway.Load() {
			key = 1
		}
		reply(w, http.StatusOK, map[string]any{"keys": []any{ltitest.PublicJWK(&ltitest.ToolKey(key).PublicKey, "one")}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	application := services.StartApplication(t, services.Application{Env: map[string]string{
		"DATABASE_URL": postgres.URL(), "REDIS_URL": redis.URL(), "CANVAS_URL_TEST": server.URL, "CANVAS_TOKEN_TEST": canvastest.AdminToken,
		"CANVAS_CLIENT_ID_TEST": "10000000000001", "LTI_PLATFORM_URL_TEST": server.URL, "ENVIRONMENT": "test", "CANVAS_RATE_LIMIT_PER_MINUTE": "100000",
	}})
	user := &acceptance{address: application.URL(), issuer: "https://canvas.test.instructure.com", client: "10000000000001", course: course}
	alive, err := httpprobe.New(httpprobe.Config{URL: application.URL() + "/health"})
	require.NoError(t, err)
	environment := playbooks.Environment{Name: "test", Probes: playbooks.Probes{
		Application: alive, Task: prober(user.task),
		Login: prober(func(ctx context.Context) error {
			_, err := user.launch(ctx)
			return err
		}),
	}, Defaults: playbooks.Defaults{SlowTask: 3 * time.Second, Security: "security@example.edu"}}
	accepted := func() incident.Run {
		t.Helper()
		require.Eventually(t, func() bool { return alive.Probe(t.Context()).Status == health.Healthy }, 30*time.Second, 100*time.Millisecond)
		return carriedOut(t, playbooks.UserAcceptance(environment))
	}

	run := accepted()
	require.Equal(t, incident.StateSucceeded, run.State, run.Markdown())
	for _, r := range canvas.Requests() {
		assert.Equal(t, http.MethodGet, r.Method, "%s: nothing is changed in Canvas", r.Path)
	}

	pagesAway.Store(true)
	run = accepted()
	assert.Equal(t, incident.StateFailed, run.State)
	assert.Contains(t, run.Markdown(), "1 of 2 items of the task failed")
	pagesAway.Store(false)

	keysAway.Store(true)
	run = accepted()
	assert.Equal(t, incident.StateFailed, run.State)
	assert.Contains(t, run.Markdown(), "the launch is answered with 401")
	keysAway.Store(false)

	db, err := sql.Open("pgx", postgres.URL())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), `DELETE FROM qa_tasks WHERE status = 'running'; ALTER TABLE qa_tasks ADD CONSTRAINT nobody_works CHECK (status <> 'running')`)
	require.NoError(t, err)
	run = accepted()
	assert.Equal(t, incident.StateFailed, run.State)
	assert.Contains(t, run.Markdown(), "the task is still queued, 0 of 2 items are done")
}

// carriedOut is a run of a playbook that has ended.
func carriedOut(t *testing.T, p incident.Playbook) incident.Run {
	t.Helper()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	runner, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore)})
	require.NoError(t, err)
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: runner.Program()}))
	t.Cleanup(func() { assert.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) })
	run, err := runner.Start(t.Context(), incident.Request{Environment: p.Environment, Playbook: p.Name, By: "kim"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		run, err = runner.Run(t.Context(), run.ID)
		return err == nil && !run.Ended.IsZero()
	}, time.Minute, 50*time.Millisecond)
	return run
}
