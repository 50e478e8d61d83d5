package railway_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// A logStage is a service that prints, on a Railway in memory.
type logStage struct {
	*railwaytest.Server
	project, environment, service string
	current, older                string // deployments
	client                        *railway.Client
	svc                           *railway.Service
	// socket is where the WebSockets of an intercepted client end. Nil is the server.
	socket http.RoundTripper
}

// inLogStage runs a test with a fresh one, by package time of its own.
func inLogStage(t *testing.T, test func(t *testing.T, st *logStage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { test(t, newLogStage(t)) })
}

func newLogStage(t testing.TB) *logStage {
	st := &logStage{Server: &railwaytest.Server{}}
	workspace := st.AddWorkspace("School")
	st.project = st.AddProject(workspace, "lessons")
	st.environment = st.AddEnvironment(st.project, "production")
	st.service = st.AddService(st.environment, railwaytest.Service{Name: "web", Image: "registry.example/web:1"})
	st.current = st.Newest(st.environment, st.service)
	st.older = st.AddDeployment(st.environment, st.service, railwaytest.Deployment{Status: "FAILED", Created: time.Now().Add(-2 * time.Hour)})
	st.connect(t, nil)
	return st
}

// connect makes the client anew, with a project token, which change may change.
func (st *logStage) connect(t testing.TB, change func(*railway.Config)) {
	t.Helper()
	cfg := railway.Config{
		Kind: railway.ProjectToken, HTTP: st.Client(), Budget: &railway.Budget{PerSecond: 40},
		Token: runbook.NewSecret(st.AddToken(railwaytest.Token{Kind: "project", Project: st.project, Environment: st.environment})),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	st.client, err = railway.New(cfg)
	require.NoError(t, err)
	st.svc = st.again(t)
}

// again returns the service, after it was changed.
func (st *logStage) again(t testing.TB) *railway.Service {
	t.Helper()
	svc, err := st.client.Service(t.Context(), railway.Target{Project: st.project, Environment: st.environment, Service: st.service})
	require.NoError(t, err)
	return svc
}

// intercept makes the client get other answers to an operation: those that are not
// empty.
func (st *logStage) intercept(t testing.TB, operation string, change func(*railway.Config), answer func(*http.Request) string) {
	t.Helper()
	next := st.Client().Transport
	st.connect(t, func(cfg *railway.Config) {
		if change != nil {
			change(cfg)
		}
		cfg.HTTP = &http.Client{Transport: logTransport(func(r *http.Request) (*http.Response, error) {
			switch {
			case r.Body == nil && st.socket != nil:
				return st.socket.RoundTrip(r)
			case r.Body == nil:
				return next.RoundTrip(r)
			}
			body, err := io.ReadAll(r.Body)
			if err != nil {
				return nil, err
			}
			r = r.Clone(r.Context())
			r.Body = io.NopCloser(bytes.NewReader(body))
			if bytes.Contains(body, []byte(`"`+operation+`"`)) {
				if text := answer(r); text != "" {
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), Request: r}, nil
				}
			}
			return next.RoundTrip(r)
		})}
	})
}

// called returns how often operations were called.
func (st *logStage) called(names ...string) (n int) {
	for _, call := range st.Calls() {
		for _, name := range names {
			if call == name {
				n++
			}
		}
	}
	return n
}

// logMessages reads a sequence to its end.
func logMessages(seq iter.Seq2[incident.LogLine, error]) (messages []string, err error) {
	for l, err := range seq {
		if err != nil {
			return messages, err
		}
		messages = append(messages, l.Message)
	}
	return messages, nil
}

// logFollow follows until it has n lines, or for an hour.
func logFollow(t testing.TB, st *logStage, q incident.LogQuery, n int, each func(i int)) []string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	var got []string
	for l, err := range st.svc.FollowLogs(ctx, q) {
		require.NoError(t, err, "after %d lines", len(got))
		if got = append(got, l.Message); each != nil {
			each(len(got))
		}
		if len(got) == n {
			break
		}
	}
	return got
}

// logTransport is a transport made of a func.
type logTransport func(*http.Request) (*http.Response, error)

func (f logTransport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
