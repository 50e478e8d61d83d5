package railway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// Commits of the history that a deployStage has, the newest first.
const (
	deployCommit4 = "4444444444444444444444444444444444444444"
	deployCommit3 = "3333333333333333333333333333333333333333"
	deployCommit2 = "2222222222222222222222222222222222222222"
	deployCommit1 = "1111111111111111111111111111111111111111"
	deployOther   = "abcdefabcdefabcdefabcdefabcdefabcdefabcd"
)

// A deployStage is a service with a history on a Railway in memory.
type deployStage struct {
	server               *railwaytest.Server
	service              *railway.Service
	project, environment string
	id                   string
	current              string // of commit 4
	target               string // of commit 3; removed, and can be rolled back to
	failed               string // of commit 2
	dead                 string // of commit 1; its image is no longer kept
}

// newDeployStage makes a service that is built from a repository.
func newDeployStage(t testing.TB, server *railwaytest.Server, change func(*railway.Config)) deployStage {
	t.Helper()
	st := deployStage{server: server}
	st.project = server.AddProject(server.AddWorkspace("ACU"), "dc")
	st.environment = server.AddEnvironment(st.project, "production")
	st.id = server.AddService(st.environment, railwaytest.Service{
		Name: "api", Repo: "acu/dc", Commit: deployCommit4, Variables: map[string]string{"LOG_LEVEL": "info"},
	})
	st.current = server.Newest(st.environment, st.id)
	add := func(age time.Duration, d railwaytest.Deployment) string {
		d.Created = time.Now().Add(-age)
		return server.AddDeployment(st.environment, st.id, d)
	}
	st.dead = add(300*time.Hour, railwaytest.Deployment{Commit: deployCommit1, Message: "one"})
	st.target = add(2*time.Hour, railwaytest.Deployment{Commit: deployCommit3, Message: "three\n\nmore", CanRollback: true, Variables: map[string]string{"LOG_LEVEL": "debug"}})
	st.failed = add(3*time.Hour, railwaytest.Deployment{Commit: deployCommit2, Message: "two", Status: "FAILED"})
	st.service = st.as(t, change)
	return st
}

// newImageStage is a deployStage whose service runs images.
func newImageStage(t testing.TB, server *railwaytest.Server, change func(*railway.Config)) deployStage {
	t.Helper()
	st := newDeployStage(t, server, nil)
	st.id = server.AddService(st.environment, railwaytest.Service{Name: "worker", Image: "ghcr.io/acu/dc:1"})
	st.current = server.Newest(st.environment, st.id)
	for i, d := range []*string{&st.dead, &st.failed, &st.target} {
		*d = server.AddDeployment(st.environment, st.id, railwaytest.Deployment{
			Image: fmt.Sprintf("ghcr.io/acu/dc:0.%d", i), CanRollback: d == &st.target, Created: time.Now().Add(time.Duration(i-9) * time.Hour),
		})
	}
	st.service = st.as(t, change)
	return st
}

// as returns the service by another client.
func (st deployStage) as(t testing.TB, change func(*railway.Config)) *railway.Service {
	t.Helper()
	s, err := st.client(t, change).Service(t.Context(), railway.Target{Project: st.project, Environment: st.environment, Service: st.id})
	require.NoError(t, err)
	return s
}

// client makes a client of an account.
func (st deployStage) client(t testing.TB, change func(*railway.Config)) *railway.Client {
	t.Helper()
	cfg := railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(st.server.AddToken(railwaytest.Token{Kind: "account"})),
		HTTP: st.server.Client(), Budget: &railway.Budget{PerSecond: 1000},
	}
	if change != nil {
		change(&cfg)
	}
	c, err := railway.New(cfg)
	require.NoError(t, err)
	return c
}

// between returns the service by a client that does something before requests with a
// text. What before returns, if it is not empty, is the answer.
func (st deployStage) between(t testing.TB, text string, before func() (answer string)) *railway.Service {
	t.Helper()
	return st.as(t, func(cfg *railway.Config) {
		next := st.server.Client().Transport
		cfg.HTTP = &http.Client{Transport: deployTransport(func(req *http.Request) (*http.Response, error) {
			if bytes.Contains(deployBody(req), []byte(text)) {
				if answer := before(); answer != "" {
					return deployAnswer(answer), nil
				}
			}
			return next.RoundTrip(req)
		})}
	})
}

// clientAnswering is a client whose every call has the same answer.
func (st deployStage) clientAnswering(t testing.TB, body string) *railway.Client {
	t.Helper()
	return st.client(t, func(cfg *railway.Config) {
		cfg.HTTP = &http.Client{Transport: deployTransport(func(*http.Request) (*http.Response, error) { return deployAnswer(body), nil })}
	})
}

// calls returns what was asked for since n calls.
func (st deployStage) calls(n int) []string { return st.server.Calls()[n:] }

// effects returns how many changes took effect, but for those of settings.
func (st deployStage) effects() (n int) {
	for _, e := range st.server.Effects() {
		if !strings.HasPrefix(e, "serviceInstanceUpdate") {
			n++
		}
	}
	return n
}

func deployPolling(cfg *railway.Config) { cfg.Polling = true }

// deployTransport is a transport that is a func.
type deployTransport func(*http.Request) (*http.Response, error)

func (f deployTransport) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// deployBody reads the body of a request, and puts it back.
func deployBody(req *http.Request) []byte {
	if req.Body == nil {
		return nil
	}
	body, _ := io.ReadAll(req.Body) // it is in memory
	_ = req.Body.Close()
	req.Body = io.NopCloser(bytes.NewReader(body))
	return body
}

// deployAnswer is an answer of a GraphQL server.
func deployAnswer(body string) *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// deployAnswering returns a service whose every call has the same answer.
func deployAnswering(t testing.TB, body string) *railway.Service {
	t.Helper()
	const id = "11111111-1111-4111-8111-111111111111"
	c, err := railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret("token"), Budget: &railway.Budget{PerSecond: 1e9},
		HTTP: &http.Client{Transport: deployTransport(func(*http.Request) (*http.Response, error) { return deployAnswer(body), nil })},
	})
	require.NoError(t, err)
	s, err := c.Service(t.Context(), railway.Target{Project: id, Environment: id, Service: id})
	require.NoError(t, err)
	return s
}

// deployBubble runs a test inside a bubble, with the time of package testing/synctest.
func deployBubble(t *testing.T, f func(t *testing.T)) { synctest.Test(t, f) }
