package railway_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

const hookSecret = "canary-5f2d8c1e9b7a4063"

// hook is a Webhook and what came of it.
type hook struct {
	*railway.Webhook
	events []railway.Event
	failed []error
}

func newHook(t testing.TB, h *opsHost, change func(*railway.WebhookConfig)) *hook {
	t.Helper()
	k := &hook{}
	cfg := railway.WebhookConfig{
		Environment: h.env, Secret: runbook.NewSecret(hookSecret),
		Handle: func(_ context.Context, e railway.Event) error { k.events = append(k.events, e); return nil },
		Failed: func(_ context.Context, _ railway.Event, err error) { k.failed = append(k.failed, err) },
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	k.Webhook, err = railway.NewWebhook(cfg)
	require.NoError(t, err)
	return k
}

// post sends a body to the right address and returns the status.
func (k *hook) post(body string) int { return k.call(http.MethodPost, "/hooks/"+hookSecret, body) }

func (k *hook) call(method, path, body string) int {
	w := httptest.NewRecorder()
	k.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code
}

// work lets Run handle what waits.
func (k *hook) work(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.ErrorIs(t, k.Run(ctx), context.DeadlineExceeded)
}

// Requirement: RW-G17, RW-WEBHOOK-SECRET
func TestWebhookUnderstandsBothForms(t *testing.T) {
	for file, want := range map[string]railway.Event{
		"webhook_documented.json":    {Type: "deployment.failed", Severity: "WARNING", Time: time.Date(2025, 11, 21, 23, 48, 42, 311e6, time.UTC), Verified: true},
		"webhook_legacy.json":        {Type: "deployment.changed", Time: time.Date(2025, 2, 1, 0, 0, 0, 0, time.UTC), Verified: true},
		"webhook_legacy_status.json": {Type: "deployment.crashed", Time: time.Date(2024, 12, 13, 17, 29, 30, 12e6, time.UTC), Verified: true},
		"webhook_volume.json":        {Type: "volumealert.triggered", Severity: "INFO", Time: time.Date(2026, 10, 8, 12, 20, 52, 677e6, time.UTC)},
	} {
		t.Run(file, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				h := newOps(t, railwaytest.Service{Image: "web:1"})
				d := h.AddDeployment(h.environment, h.service, railwaytest.Deployment{Status: "CRASHED", Image: "web:2"})
				k := newHook(t, h, nil)
				require.Equal(t, http.StatusOK, k.post(h.opsFixture(t, file, d)))
				assert.Empty(t, k.events, "nothing is believed before a read")
				k.work(t)
				require.Empty(t, k.failed)
				require.Len(t, k.events, 1)
				got := k.events[0]
				if want.Verified {
					// The type is what Railway says, the state is what was read.
					assert.Equal(t, incident.DeploymentCrashed, got.Deployment.Status)
					assert.Equal(t, d, got.Deployment.ID)
					assert.Equal(t, "web:2", got.Deployment.Image)
					want.Deployment, want.Service = got.Deployment, h.service
				}
				assert.Equal(t, want, got)
			})
		})
	}
}

// The type decides, in whatever case and with or without "_"; the status beside it,
// which is "SUCCESS" in the documented failure, does not.
//
// Requirement: RW-G17
func TestWebhookTypeDecides(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		k := newHook(t, h, nil)
		body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))
		for i, kind := range []string{"Deployment.oomKilled", "Deployment.oom_killed", "DEPLOYMENT.OOM_KILLED"} {
			other := strings.Replace(body, "Deployment.failed", kind, 1)
			require.Equal(t, http.StatusOK, k.post(strings.Replace(other, "23:48", fmt.Sprintf("23:4%d", i), 1)))
		}
		k.work(t)
		require.Len(t, k.events, 3)
		for _, e := range k.events {
			assert.Equal(t, "deployment.oomkilled", e.Type)
		}
	})
}

// The old form has one type for all, and a status.
//
// Requirement: RW-G17
func TestWebhookLegacyStatus(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		body := h.opsFixture(t, "webhook_legacy_status.json", h.Newest(h.environment, h.service))
		for status, want := range map[string]string{
			"SUCCESS": "deployment.deployed", "FAILED": "deployment.failed", "CRASHED": "deployment.crashed", "SLEEPING": "deployment.slept",
			"NEEDS_APPROVAL": "deployment.needsapproval", "REMOVED": "deployment.removed", "BUILDING": "deployment.building",
		} {
			k := newHook(t, h, nil)
			require.Equal(t, http.StatusOK, k.post(strings.Replace(body, "CRASHED", status, 1)))
			k.work(t)
			require.Len(t, k.events, 1)
			assert.Equal(t, want, k.events[0].Type)
		}
	})
}

// Requirement: RW-G17
func TestWebhookRepeats(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		k := newHook(t, h, nil)
		body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))
		for _, repeat := range []string{
			body, body,
			strings.Replace(body, "GitHub", "Docker", 1), // the rest of the body does not matter
			strings.Replace(body, "Deployment.failed", "Deployment.Failed", 1),
		} {
			assert.Equal(t, http.StatusOK, k.post(repeat))
		}
		later := strings.Replace(body, "23:48:42", "23:48:43", 1)
		assert.Equal(t, http.StatusOK, k.post(later))
		k.work(t)
		assert.Len(t, k.events, 2)
		assert.Equal(t, http.StatusOK, k.post(later), "it is remembered after it was handled")
		k.work(t)
		assert.Len(t, k.events, 2)
		// Alerts have no deployment: they are told apart by all that they say.
		alert := h.opsFixture(t, "webhook_volume.json", "")
		for _, body := range []string{alert, alert, strings.Replace(alert, `"details": {}`, `"details": {"id":"v2"}`, 1)} {
			assert.Equal(t, http.StatusOK, k.post(body))
		}
		k.work(t)
		assert.Len(t, k.events, 4)
	})
}

// The memory of repeats has a bound: the oldest are forgotten.
//
// Requirement: RW-G17
func TestWebhookMemoryIsBounded(t *testing.T) {
	h := newOps(t, railwaytest.Service{Image: "web:1"})
	k := newHook(t, h, func(cfg *railway.WebhookConfig) { cfg.Waiting = 10000 })
	body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))
	at := func(i int) string { return strings.Replace(body, "2025-11-21T23:48:42.311Z", fmt.Sprint("t", i), 1) }
	for i := range 5000 {
		require.Equal(t, http.StatusOK, k.post(at(i)))
	}
	assert.Equal(t, 5000, railway.Waiting(k.Webhook))
	k.post(at(4999))
	assert.Equal(t, 5000, railway.Waiting(k.Webhook), "a late one is remembered")
	k.post(at(0))
	assert.Equal(t, 5001, railway.Waiting(k.Webhook), "the first one no longer")
}

// Requirement: RW-WEBHOOK-ENVIRONMENT
func TestWebhookOfOtherEnvironments(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		k := newHook(t, h, nil)
		body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.other, h.service))
		assert.Equal(t, http.StatusOK, k.post(strings.ReplaceAll(body, h.environment, h.other)))
		assert.Equal(t, http.StatusOK, k.post(strings.ReplaceAll(body, h.environment, "")))
		assert.Zero(t, railway.Waiting(k.Webhook), "what is of another environment, or of none, is ignored")
		calls := len(h.Calls())
		k.work(t)
		assert.Len(t, h.Calls(), calls, "and costs no call")

		// One that claims ours, of a deployment that is elsewhere, is a lie.
		assert.Equal(t, http.StatusOK, k.post(body))
		k.work(t)
		assert.Empty(t, k.events)
		require.Len(t, k.failed, 1)
		assert.ErrorContains(t, k.failed[0], "another environment")
	})
}

// Requirement: RW-WEBHOOK-SECRET
func TestWebhookRefuses(t *testing.T) {
	h := newOps(t, railwaytest.Service{Image: "web:1"})
	k := newHook(t, h, nil)
	body := h.opsFixture(t, "webhook_documented.json", nobodyDeployed)
	for name, c := range map[string]struct {
		method, path, body string
		want               int
	}{
		"wrong secret":      {"POST", "/hooks/canary-5f2d8c1e9b7a4064", body, 404},
		"no secret":         {"POST", "/hooks/", body, 404},
		"part of it":        {"POST", "/hooks/" + hookSecret[:20], body, 404},
		"secret in front":   {"POST", "/" + hookSecret + "/hooks", body, 404},
		"secret as a query": {"POST", "/hooks?x=/" + hookSecret, body, 404},
		"GET":               {"GET", "/hooks/" + hookSecret, "", 405},
		"GET without":       {"GET", "/hooks/x", "", 404},
		"too large":         {"POST", "/hooks/" + hookSecret, `{"type":"x","y":"` + strings.Repeat("x", 300<<10) + `"}`, 413},
		"no JSON":           {"POST", "/hooks/" + hookSecret, "type=DEPLOY", 400},
		"no type":           {"POST", "/hooks/" + hookSecret, "{}", 400},
		"null":              {"POST", "/hooks/" + hookSecret, "null", 400},
		"another type":      {"POST", "/hooks/" + hookSecret, `{"type":7}`, 400},
		"no such ID":        {"POST", "/hooks/" + hookSecret, strings.Replace(body, nobodyDeployed, "x", 1), 400},
		"only the secret":   {"POST", "/" + hookSecret, body, 200},
	} {
		assert.Equal(t, c.want, k.call(c.method, c.path, c.body), name)
	}
	assert.Equal(t, 1, railway.Waiting(k.Webhook))
}

// What cannot be verified is not handled, and a repeat is.
//
// Requirement: RW-G17, RW-WEBHOOK-SECRET
func TestWebhookUnverified(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		k := newHook(t, h, nil)
		require.Equal(t, http.StatusOK, k.post(h.opsFixture(t, "webhook_documented.json", nobodyDeployed)))
		k.work(t)
		assert.Empty(t, k.events)
		require.Len(t, k.failed, 1)
		require.ErrorIs(t, k.failed[0], incident.ErrNotFound)

		body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))
		h.Break(true)
		require.Equal(t, http.StatusOK, k.post(body))
		k.work(t)
		require.Len(t, k.failed, 2)
		require.NotErrorIs(t, k.failed[1], incident.ErrNotFound)
		h.Break(false)
		require.Equal(t, http.StatusOK, k.post(body), "Railway repeats it")
		k.work(t)
		assert.Len(t, k.events, 1)
	})
}

// A deployment that is not listed yet, when the event comes, is waited for.
//
// Requirement: RW-G17
func TestWebhookComesEarly(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		h.Fail(railwaytest.Fault{Op: "deployment", Kind: railwaytest.Refuse, Message: "Deployment not found", Times: 2})
		k := newHook(t, h, nil)
		require.Equal(t, http.StatusOK, k.post(h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))))
		k.work(t)
		assert.Len(t, k.events, 1)
		assert.Empty(t, k.failed)
	})
}

func TestWebhookHandleFails(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		tries := 0
		k := newHook(t, h, func(cfg *railway.WebhookConfig) {
			cfg.Handle = func(context.Context, railway.Event) error {
				switch tries++; tries {
				case 1:
					return io.ErrUnexpectedEOF
				case 2:
					panic("no")
				}
				return nil
			}
		})
		body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))
		for range 4 {
			require.Equal(t, http.StatusOK, k.post(body))
			k.work(t)
		}
		assert.Equal(t, 3, tries, "after an error it is handled again, and after none no more")
		require.Len(t, k.failed, 2)
		require.ErrorIs(t, k.failed[0], io.ErrUnexpectedEOF)
		assert.ErrorContains(t, k.failed[1], "panicked")
	})
}

func TestWebhookIsFull(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := newOps(t, railwaytest.Service{Image: "web:1"})
		k := newHook(t, h, func(cfg *railway.WebhookConfig) { cfg.Waiting = 1 })
		body := h.opsFixture(t, "webhook_documented.json", h.Newest(h.environment, h.service))
		second := strings.Replace(body, "23:48", "23:49", 1)
		assert.Equal(t, http.StatusOK, k.post(body))
		assert.Equal(t, http.StatusServiceUnavailable, k.post(second))
		k.work(t)
		assert.Equal(t, http.StatusOK, k.post(second), "it was not remembered")
		k.work(t)
		assert.Len(t, k.events, 2)
	})
}

func TestWebhookConfig(t *testing.T) {
	_, err := railway.NewWebhook(railway.WebhookConfig{Secret: runbook.NewSecret("canary-short"), Waiting: -1})
	for _, problem := range []string{"Environment", "Secret", "Handle", "Waiting"} {
		require.ErrorContains(t, err, problem)
	}
	assert.NotContains(t, err.Error(), "canary")
}

func FuzzWebhook(f *testing.F) {
	files, err := filepath.Glob("testdata/webhook_*.json")
	require.NoError(f, err)
	h := newOps(f, railwaytest.Service{Image: "web:1"})
	for _, file := range files {
		f.Add(h.opsFixture(f, filepath.Base(file), h.Newest(h.environment, h.service)))
		raw, err := os.ReadFile(file)
		require.NoError(f, err)
		f.Add(string(raw))
	}
	f.Fuzz(func(t *testing.T, body string) {
		k := newHook(t, h, nil)
		first := k.post(body)
		waiting := railway.Waiting(k.Webhook)
		switch first {
		case http.StatusOK, http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		default:
			t.Fatalf("status %d", first)
		}
		if first != http.StatusOK && waiting != 0 {
			t.Fatalf("status %d, and %d events wait", first, waiting)
		}
		if again := k.post(body); again != first || railway.Waiting(k.Webhook) != waiting {
			t.Fatalf("a repeat is answered with %d, and %d events wait", again, railway.Waiting(k.Webhook))
		}
	})
}

// The target is 50 µs for an event, of which Railway sends a handful a minute: the
// handler must not be what a host's other requests wait for.
func BenchmarkWebhook(b *testing.B) {
	h := newOps(b, railwaytest.Service{Image: "web:1"})
	body := h.opsFixture(b, "webhook_documented.json", h.Newest(h.environment, h.service))
	for name, text := range map[string]string{
		"repeat":            body,
		"other environment": strings.ReplaceAll(body, h.environment, h.other),
		"wrong secret":      "",
	} {
		b.Run(name, func(b *testing.B) {
			k := newHook(b, h, nil)
			path := "/hooks/" + hookSecret
			if text == "" {
				path = "/hooks/" + strings.ToUpper(hookSecret)
			}
			r := httptest.NewRequest(http.MethodPost, path, nil)
			reader := strings.NewReader(text)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(text)
				r.Body = io.NopCloser(reader)
				k.ServeHTTP(w, r)
			}
		})
	}
}

func ExampleWebhook() {
	fake := &railwaytest.Server{}
	project := fake.AddProject(fake.AddWorkspace("acu"), "runbook")
	environment := fake.AddEnvironment(project, "production")
	service := fake.AddService(environment, railwaytest.Service{Name: "web", Image: "web:1"})
	token := fake.AddToken(railwaytest.Token{Kind: "project", Project: project, Environment: environment})

	client, err := railway.New(railway.Config{
		Kind: railway.ProjectToken, Token: runbook.NewSecret(token),
		HTTP: fake.Client(), // leave this out for the real Railway
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	env, err := client.Environment(context.Background(), railway.Target{Project: project, Environment: environment})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	webhook, err := railway.NewWebhook(railway.WebhookConfig{
		Environment: env,
		Secret:      runbook.NewSecret("0f1e2d3c4b5a69788796a5b4c3d2e1f0"),
		Handle: func(_ context.Context, e railway.Event) error {
			fmt.Println(e.Type, "and now it is", e.Deployment.Status)
			stop()
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks/railway/", webhook)

	body := fmt.Sprintf(`{"type":"Deployment.crashed","timestamp":"2026-11-23T08:00:00Z",
		"resource":{"environment":{"id":%q},"deployment":{"id":%q}}}`, environment, fake.Newest(environment, service))
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("POST", "/hooks/railway/0f1e2d3c4b5a69788796a5b4c3d2e1f0", strings.NewReader(body)))
	fmt.Println(w.Code)
	if err := webhook.Run(ctx); !errors.Is(err, context.Canceled) {
		fmt.Println(err)
	}
	// Output:
	// 200
	// deployment.crashed and now it is succeeded
}
