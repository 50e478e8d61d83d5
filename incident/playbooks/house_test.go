package playbooks_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// house is an environment in memory: an application on a platform, whose probes say what
// the test says of it.
type house struct {
	playbooks.Environment
	platform *incidenttest.Platform
	mu       sync.Mutex
	// is says how the things are that probes look at; what is not in it is healthy.
	is    map[string]func() health.Result
	posts []alert.Post
	mails []string
}

// newHouse returns a house in which everything is well, with two deployments of which
// the second runs.
func newHouse(t testing.TB) *house {
	t.Helper()
	h := &house{platform: new(incidenttest.Platform), is: make(map[string]func() health.Result)}
	h.platform.Deploy(incident.Deployment{Commit: "1111111", Message: "good", Status: incident.DeploymentSucceeded, CanRollback: true})
	time.Sleep(48 * time.Hour)
	h.platform.Deploy(incident.Deployment{Commit: "2222222", Message: "new", Status: incident.DeploymentSucceeded, CanRollback: true})
	time.Sleep(24 * time.Hour)
	p := h.platform
	h.Environment = playbooks.Environment{
		Name: "production", Deployer: p, Stopper: p, Freezer: p, Scaler: p, Variables: p, Logs: p, Metrics: p, Sessions: p,
		Probes: playbooks.Probes{
			Application: h.probe("application"), Performance: h.probe("performance"), Activity: h.probe("activity"), Database: h.probe("database"),
			DatabaseServer: h.probe("database server"), Redis: h.probe("redis"), Canvas: h.probe("canvas"), CanvasHost: h.probe("canvas host"),
			CanvasStatus: h.probe("canvas status"), RateLimits: h.probe("rate limits"), Platform: h.probe("platform"), LTI: h.probe("lti"),
			Login: h.probe("login"), Task: h.probe("task"), WebSocket: h.probe("websocket"), Security: h.probe("security"),
		},
		Tell: func(_ context.Context, p alert.Post) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.posts = append(h.posts, p)
			return nil
		},
		Inform: func(_ context.Context, m incident.Message) error { return h.mail("operators: " + m.Title) },
		Draft: func(_ context.Context, vendor string, m incident.Message) error {
			return h.mail("draft to " + vendor + ": " + m.Title)
		},
	}
	require.NoError(t, h.Validate())
	return h
}

func (h *house) mail(text string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mails = append(h.mails, text)
	return nil
}

// probe looks at what is said of a thing.
func (h *house) probe(name string) health.Prober {
	return health.ProberFunc(func(context.Context) health.Result {
		h.mu.Lock()
		is := h.is[name]
		h.mu.Unlock()
		if is == nil {
			return health.Result{Status: health.Healthy}
		}
		return is()
	})
}

// say says how a thing is from now on.
func (h *house) say(name string, is func() health.Result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.is[name] = is
}

func down(message string) func() health.Result {
	return func() health.Result {
		return health.Result{Status: health.Unhealthy, Cause: health.CauseStatus, Message: message}
	}
}

// runs reports whether a commit is what the platform runs.
func (h *house) runs(commit string) bool {
	list, err := h.platform.Deployments(context.Background(), 20)
	for _, d := range list {
		if d.Current && err == nil {
			return d.Commit == commit
		}
	}
	return false
}

// People are told at once, and not when it was looked at everything, which takes time just
// when much is wrong.
//
// Requirement: RB-PLAYBOOK-1-STEP-3
func TestPeopleAreToldBeforeItIsKnownWhatItIs(t *testing.T) {
	t.Parallel()
	for name, playbook := range map[string]func(e playbooks.Environment) incident.Playbook{
		"application-down": playbooks.ApplicationDown, "canvas-authentication": playbooks.CanvasAuthentication,
		"canvas-rate-limiting": playbooks.CanvasRateLimiting, "database-issues": playbooks.DatabaseIssues,
		"performance-degradation": playbooks.PerformanceDegradation,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := newCanvasHouse(t)
				for _, name := range []string{"application", "performance", "activity", "database", "database server", "redis", "canvas", "canvas host", "canvas status", "rate limits", "platform"} {
					c.say(name, func() health.Result {
						time.Sleep(20 * time.Second)
						return down("timeout")()
					})
				}
				told := make(chan time.Time, 100)
				c.Tell = func(context.Context, alert.Post) error { told <- time.Now(); return nil }
				p := playbook(c.Environment)
				r, runs := c.runner(t, p)
				require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
				defer func() { require.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) }()
				began := time.Now()
				_, err := r.Start(t.Context(), incident.Request{Environment: p.Environment, Playbook: p.Name, By: "jane"})
				require.NoError(t, err)
				assert.Equal(t, time.Duration(0), (<-told).Sub(began))
			})
		})
	}
}
