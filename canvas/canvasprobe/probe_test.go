package canvasprobe_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/httpprobe"
)

// What is wrong with Canvas has its own status and cause in each case, and each
// probe makes one request.
//
// Requirement: HL-CANVAS-THROTTLED
func TestFindings(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  canvastest.Fault
		status health.Status
		cause  health.Cause
		want   string
	}{
		{"well", canvastest.Fault{Times: 0, Chance: 1e-12, Skip: 99}, health.Healthy, "", ""},
		{"server error", canvastest.Fault{Status: 500}, health.Unhealthy, health.CauseStatus, "answered 500 (Internal Server Error), error report"},
		{"gateway", canvastest.Fault{Status: 502}, health.Unhealthy, health.CauseStatus, "answered 502 (Bad Gateway)"},
		{"closed", canvastest.Fault{Status: 503}, health.Unhealthy, health.CauseMaintenance, "with a page, as in maintenance, but none is announced"},
		{"throttled", canvastest.Fault{Throttled: true}, health.Degraded, health.CauseThrottled, "the cost bucket is full"},
		{"other limit", canvastest.Fault{Status: 429}, health.Degraded, health.CauseThrottled, "a rate limit that is not the bucket's"},
		{"permission", canvastest.Fault{Status: 403}, health.Unhealthy, canvasprobe.CausePermission, "the token is valid, but its user may not do this"},
		{"reset", canvastest.Fault{Reset: true}, health.Unhealthy, health.CauseConnection, "the connection broke"},
		{"HTML", canvastest.Fault{Status: 404, Body: "<html>", Header: http.Header{"Content-Type": {"text/html"}}}, health.Unhealthy, health.CauseMissing, "answered 404"},
		{"empty", canvastest.Fault{Status: 401, Empty: true}, health.Unhealthy, "", "answered 401"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &canvastest.Server{}
				c.fault.Times = -1
				if c.name != "well" {
					fake.Inject(c.fault)
				}
				i := instance(t, base(fake))
				r := i.Token().Probe(t.Context())
				assert.Equal(t, c.status, r.Status, r.Message)
				if c.cause != "" || c.status == health.Healthy {
					assert.Equal(t, c.cause, r.Cause, r.Message)
				}
				assert.Contains(t, r.Message, c.want)
				assert.Len(t, fake.Requests(), 1, "one attempt")
				assert.NotContains(t, r.Message, canvastest.AdminToken)
				fake.Wait()
			})
		})
	}
}

// A bucket that is full is Degraded with both statuses that Canvas uses, and when
// nothing is sent because of it.
//
// Requirement: HL-CANVAS-THROTTLED
func TestThrottledIsNotDown(t *testing.T) {
	for _, status := range []int{403, 429} {
		synctest.Test(t, func(t *testing.T) {
			fake := &canvastest.Server{Throttle: canvastest.Throttle{Status: status}}
			i := instance(t, base(fake))
			require.Equal(t, health.Healthy, i.Quota().Probe(t.Context()).Status)
			fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 790) // somebody else
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			for range 2 { // the second is not even sent
				r := i.Quota().Probe(ctx)
				assert.Equal(t, health.Degraded, r.Status, r.Message)
				assert.Equal(t, health.CauseThrottled, r.Cause, r.Message)
			}
			assert.Equal(t, health.Healthy, i.Up().Probe(t.Context()).Status, "the instance itself is there")
		})
	}
}

// A quota that runs low shows before anything is rejected.
//
// Requirement: HL-CANVAS-THROTTLED
func TestLowQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Throttle: canvastest.Throttle{HighWater: 700}}
		i := instance(t, base(fake))
		r := i.Quota().Probe(t.Context())
		for range 9 { // until the mark is learnt
			r = i.Quota().Probe(t.Context())
		}
		require.Equal(t, health.Healthy, r.Status, r.Message)
		limit, ok := r.Measurement("quota_limit")
		require.True(t, ok)
		assert.InDelta(t, 700, limit.Value, 1)
		fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 550)
		r = i.Quota().Probe(t.Context())
		assert.Equal(t, health.Degraded, r.Status)
		assert.Equal(t, health.CauseThreshold, r.Cause)
		assert.Contains(t, r.Message, "units of the cost bucket are left")
		left, _ := r.Measurement("quota_remaining")
		assert.InDelta(t, 150, left.Value, 5)
		rejected, _ := r.Measurement("throttled_share")
		assert.Zero(t, rejected.Value)
	})
}

func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Load: canvastest.Load{Latency: 2 * time.Second}}
		cfg := base(fake)
		cfg.Budget = health.Budget{Warn: time.Second, Fail: 5 * time.Second}
		r := instance(t, cfg).Latency().Probe(t.Context())
		assert.Equal(t, health.Degraded, r.Status)
		assert.Equal(t, health.CauseSlow, r.Cause)
		took, _ := r.Measurement("response_time")
		assert.InDelta(t, 2000, took.Value, 1)
		assert.Equal(t, 2*time.Second, r.Duration)
	})
}

// Requirement: CV-HOST-HEALTH, HL-CANVAS-ENDPOINTS, RB-URL-CANVAS-HOST
func TestUp(t *testing.T) {
	for _, c := range []struct {
		name      string
		endpoints []string
		fault     *canvastest.Fault
		component string
		status    health.Status
		cause     health.Cause
		requests  int
	}{
		{name: "default", status: health.Healthy, requests: 1},
		{name: "front page", endpoints: []string{"/"}, status: health.Healthy, requests: 1},
		{name: "readiness", endpoints: []string{"/readiness"}, status: health.Healthy, requests: 1},
		{name: "component", endpoints: []string{"/readiness"}, component: "postgresql", status: health.Unhealthy, cause: health.CauseStatus, requests: 1},
		{name: "not exposed", fault: &canvastest.Fault{Status: 404}, status: health.Healthy, requests: 1},
		{name: "the next", endpoints: []string{"/nowhere", "/health_check"}, status: health.Healthy, requests: 2},
		{name: "bad gateway", fault: &canvastest.Fault{Status: 502}, status: health.Unhealthy, cause: health.CauseStatus, requests: 1},
		{name: "503", fault: &canvastest.Fault{Status: 503}, status: health.Unhealthy, cause: health.CauseMaintenance, requests: 1},
		{name: "reset", fault: &canvastest.Fault{Reset: true}, status: health.Unhealthy, cause: health.CauseConnection, requests: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake := &canvastest.Server{}
			if c.fault != nil {
				fake.Inject(*c.fault)
			}
			if c.component != "" {
				fake.SetComponent(c.component, false)
			}
			cfg := base(fake)
			cfg.Endpoints = c.endpoints
			r := instance(t, cfg).Up().Probe(t.Context())
			assert.Equal(t, c.status, r.Status, r.Message)
			assert.Equal(t, c.cause, r.Cause, r.Message)
			assert.Contains(t, r.Message, c.component)
			assert.Len(t, fake.Requests(), c.requests)
		})
	}
}

// What answers in place of Canvas is not Canvas.
func TestUpIsNotFooled(t *testing.T) {
	for _, code := range []int{200, 404} {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = w.Write([]byte("<html>Welcome to the airport</html>"))
		}))
		defer s.Close()
		i := instance(t, canvasprobe.Config{Canvas: canvas.Config{BaseURL: s.URL, Token: runbook.NewSecret("x1234567")}})
		assert.False(t, i.Up().Probe(t.Context()).Status.OK(), code)
	}
}

// In an announced maintenance a closed instance is in maintenance, by window or
// by the status page; in any other it is down.
//
// Requirement: CV-HOST-MAINTENANCE
func TestMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		fake.SetMaintenance(true)
		now := time.Now()
		probe := func(cfg canvasprobe.Config) (up, token health.Result) {
			i := instance(t, cfg)
			return i.Up().Probe(t.Context()), i.Token().Probe(t.Context())
		}
		up, token := probe(base(fake))
		assert.Equal(t, health.Unhealthy, up.Status)
		assert.Equal(t, health.Unhealthy, token.Status)
		assert.Equal(t, health.CauseMaintenance, token.Cause)

		cfg := base(fake)
		cfg.Maintenance = []health.Window{{Start: now.Add(-time.Hour), End: now.Add(time.Hour)}}
		up, token = probe(cfg)
		assert.Equal(t, health.Maintenance, up.Status, up.Message)
		assert.Equal(t, health.Maintenance, token.Status)
		assert.Contains(t, up.Message, "maintenance, as published, until 2000-01-01 01:00 UTC")

		cfg = base(fake)
		cfg.StatusPage = page(t, fake, "Canvas")
		fake.StatusPage.Add(canvastest.Incident{Name: "Release", Status: "in_progress", Components: []string{"Canvas"}, ScheduledFor: now, ScheduledUntil: now.Add(2 * time.Hour)})
		up, _ = probe(cfg)
		assert.Equal(t, health.Unhealthy, up.Status, "the page was not read yet")
		assert.Equal(t, health.Maintenance, cfg.StatusPage.Probe(t.Context()).Status)
		up, _ = probe(cfg)
		assert.Equal(t, health.Maintenance, up.Status)
		time.Sleep(16 * time.Minute)
		up, _ = probe(cfg)
		assert.Equal(t, health.Unhealthy, up.Status, "what it said is too old")
	})
}

// A token that was made in test only is gone after the refresh from production,
// which is told apart from one that was revoked, and from an outage.
//
// Requirement: CV-HOST-WIPED-KEY, CV-HOST-REFRESH, CV-GOTCHA-14, CV-HOST-ENVIRONMENTS
func TestGoneAfterRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		production, fake := &canvastest.Server{}, &canvastest.Server{TestCluster: true}
		make := func() canvasprobe.Config {
			cfg := base(fake)
			cfg.Canvas.BaseURL = "https://school.test.example.com"
			cfg.Environment = canvasprobe.Test
			cfg.Canvas.Token = runbook.NewSecret(fake.AddToken(canvastest.Token{Purpose: "probe"}))
			// The third Saturday of a month; time begins on Saturday, 2000-01-01.
			cfg.Refresh = []health.Window{{From: health.At(2, 0), For: 8 * time.Hour, Zone: time.UTC, Days: []time.Weekday{time.Saturday}, MonthDays: []int{15, 16, 17, 18, 19, 20, 21}}}
			return cfg
		}
		cfg := make()
		i := instance(t, cfg)
		require.Equal(t, health.Healthy, i.Token().Probe(t.Context()).Status)
		time.Sleep(7 * 24 * time.Hour)
		fake.Revoke(cfg.Canvas.Token.Reveal())
		r := i.Token().Probe(t.Context())
		assert.Equal(t, health.CauseUnauthorized, r.Cause)
		assert.Contains(t, r.Message, "no refresh was due since: it was revoked, deleted or has expired")

		cfg = make()
		i = instance(t, cfg)
		require.Equal(t, health.Healthy, i.Token().Probe(t.Context()).Status)
		key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "QA in test"})
		keyProbe := i.Key(canvas.Self, canvas.ID(key))
		require.Equal(t, health.Healthy, keyProbe.Probe(t.Context()).Status)
		time.Sleep(8 * 24 * time.Hour) // past 15 January
		fake.Refresh(production)
		r = i.Token().Probe(t.Context())
		assert.Equal(t, health.Unhealthy, r.Status)
		assert.Equal(t, canvasprobe.CauseKeyGone, r.Cause, r.Message)
		assert.Contains(t, r.Message, "overwritten from production since, at 2000-01-15 02:00 UTC")
		assert.Equal(t, health.Healthy, i.Up().Probe(t.Context()).Status, "no outage")

		// The same with a token of production, which a refresh brings along.
		cfg.Canvas.Token = runbook.NewSecret(canvastest.AdminToken)
		cfg.LastWorked = time.Date(2000, 1, 9, 0, 0, 0, 0, time.UTC)
		i = instance(t, cfg)
		r = i.Key(canvas.Self, canvas.ID(key)).Probe(t.Context())
		assert.Equal(t, canvasprobe.CauseKeyGone, r.Cause, r.Message)
		fake.SetNetworkError(errors.New("cut"))
		r = i.Key(canvas.Self, canvas.ID(key)).Probe(t.Context())
		assert.NotEqual(t, canvasprobe.CauseKeyGone, r.Cause, "an outage is no lost key")
	})
}

// Requirement: CV-HOST-MASS-REVOCATION
func TestRevokedEverywhere(t *testing.T) {
	var fakes []*canvastest.Server
	var all []*canvasprobe.Instance
	for range 3 {
		fake := &canvastest.Server{}
		fakes = append(fakes, fake)
		all = append(all, instance(t, base(fake)))
	}
	look := func() health.Result {
		for _, i := range all {
			i.Token().Probe(t.Context())
		}
		return canvasprobe.RevokedEverywhere(all...).Probe(t.Context())
	}
	assert.Equal(t, health.Healthy, look().Status)
	fakes[0].Revoke(canvastest.AdminToken)
	fakes[1].Revoke(canvastest.AdminToken)
	assert.Equal(t, health.Healthy, look().Status, "two of three")
	fakes[2].SetMaintenance(true)
	assert.Equal(t, health.Healthy, look().Status, "an outage is no revocation")
	fakes[2].SetMaintenance(false)
	fakes[2].Revoke(canvastest.AdminToken)
	r := look()
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, canvasprobe.CauseRevoked, r.Cause)
}

// Requirement: CV-HOST-TEST-KEY
func TestKey(t *testing.T) {
	fake := &canvastest.Server{}
	i := instance(t, base(fake))
	key := canvas.ID(fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "QA"}))
	probe := func(i *canvasprobe.Instance, key canvas.ID) health.Result {
		return i.Key(canvas.Self, key).Probe(t.Context())
	}
	assert.Equal(t, health.Healthy, probe(i, key).Status)
	fake.Set(canvastest.DeveloperKeys, int64(key), canvastest.Object{"state": "off"})
	r := probe(i, key)
	assert.Equal(t, canvasprobe.CauseOff, r.Cause, r.Message)
	fake.Set(canvastest.DeveloperKeys, int64(key), canvastest.Object{"state": "on", "workflow_state": "inactive"})
	assert.Equal(t, canvasprobe.CauseOff, probe(i, key).Cause)
	assert.Equal(t, health.CauseMissing, probe(i, 424242).Cause)

	only := canvas.ID(fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "QA", "test_cluster_only": true}))
	r = probe(i, only)
	assert.Equal(t, canvasprobe.CauseOff, r.Cause)
	assert.Contains(t, r.Message, "for test and beta only, and this is production")
	cfg := base(fake)
	cfg.Environment = canvasprobe.Beta
	r = probe(instance(t, cfg), only)
	assert.Equal(t, health.Healthy, r.Status)
	m, _ := r.Measurement("test_cluster_only")
	assert.Equal(t, 1.0, m.Value)
	clean(t, fake)
}

func TestConfig(t *testing.T) {
	_, err := canvasprobe.New(canvasprobe.Config{
		Canvas: canvas.Config{BaseURL: "school.example.com"}, Endpoints: []string{"health_check", "//evil"}, QuotaWarn: 2,
		Budget: health.Budget{Warn: -1}, Refresh: []health.Window{{}},
	})
	for _, want := range []string{"Canvas", "begin with one slash", "QuotaWarn", "Budget", "window"} {
		require.ErrorContains(t, err, want)
	}
	_, err = canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{URL: "https://user:pass@status.example.com/x?y"})
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "pass@")
	_, err = canvasprobe.NewKeys(canvasprobe.KeysConfig{})
	require.Error(t, err)
	_, err = canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{})
	require.Error(t, err)
}

// The probers keep the rules of package health.
func TestConformance(t *testing.T) {
	for name, prober := range map[string]func(*canvasprobe.Instance) health.Prober{
		"up": (*canvasprobe.Instance).Up, "token": (*canvasprobe.Instance).Token, "latency": (*canvasprobe.Instance).Latency,
		"key": func(i *canvasprobe.Instance) health.Prober { return i.Key(canvas.Self, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			down := httptest.NewServer(http.NotFoundHandler())
			down.Close()
			hung := make(chan struct{})
			hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				select {
				case <-hung:
				case <-r.Context().Done():
				}
			}))
			defer hanging.Close()
			defer close(hung)
			at := func(url string) canvasprobe.Config {
				return canvasprobe.Config{Canvas: canvas.Config{BaseURL: url, Token: runbook.NewSecret(canvastest.AdminToken)}}
			}
			h := healthtest.ProberHarness{
				Down: func(t testing.TB) (health.Prober, health.Cause) {
					return prober(instance(t, at(down.URL))), health.CauseRefused
				},
				Hanging: func(t testing.TB) health.Prober { return prober(instance(t, at(hanging.URL))) },
				Secrets: []string{canvastest.AdminToken},
			}
			if name != "key" {
				h.Healthy = func(t testing.TB) health.Prober { return prober(instance(t, base(&canvastest.Server{}))) }
			}
			healthtest.TestProber(t, h)
		})
	}
	t.Run("status page", func(t *testing.T) {
		healthtest.TestProber(t, healthtest.ProberHarness{
			Healthy: func(t testing.TB) health.Prober { return page(t, &canvastest.Server{}, "Canvas") },
		})
	})
}

// A token that is not accepted and one that may not do something are told apart,
// whatever the status and the language of Canvas.
func TestTokenOrPermission(t *testing.T) {
	for _, updates := range []bool{false, true} {
		fake := &canvastest.Server{AuthErrorUpdates: updates, Translate: func(string) string { return "non" }}
		student := fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Student"})
		cfg := base(fake)
		token := fake.AddToken(canvastest.Token{User: student})
		cfg.Canvas.Token = runbook.NewSecret(token)
		i := instance(t, cfg)
		assert.Equal(t, health.Healthy, i.Token().Probe(t.Context()).Status)
		r := i.Key(canvas.Self, 1).Probe(t.Context())
		assert.Equal(t, canvasprobe.CausePermission, r.Cause, r.Message)
		fake.Revoke(token)
		r = i.Token().Probe(t.Context())
		assert.Equal(t, health.CauseUnauthorized, r.Cause, r.Message)
		r = i.Key(canvas.Self, 1).Probe(t.Context())
		assert.Equal(t, health.CauseUnauthorized, r.Cause, r.Message)
		clean(t, fake)
	}
}

// A developer key that is gone refuses to issue tokens: Canvas is up. A token
// endpoint that cannot be reached is an outage.
//
// Requirement: CV-GOTCHA-14
func TestKeyOfTheTokenIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{TestCluster: true}
		source, err := canvas.NewClientCredentials(canvas.ClientCredentialsConfig{
			BaseURL: "https://school.test.example.com", HTTP: fake.Client(), Scopes: []string{lineItems},
			Assertion: func(context.Context, string) (runbook.Secret, error) {
				return runbook.NewSecret("eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiI0MjQyNDIiLCJzdWIiOiI0MjQyNDIifQ.AAAA"), nil
			},
		})
		require.NoError(t, err)
		cfg := base(fake)
		cfg.Canvas.BaseURL, cfg.Canvas.Token, cfg.Canvas.Auth = "https://school.test.example.com", runbook.Secret{}, source
		cfg.Environment = canvasprobe.Test
		cfg.LastWorked = time.Now().Add(-time.Hour)
		cfg.Refresh = []health.Window{{Start: time.Now().Add(-30 * time.Minute), End: time.Now()}}
		i := instance(t, cfg)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r := i.Token().Probe(ctx)
		assert.Equal(t, canvasprobe.CauseKeyGone, r.Cause, r.Message)
		assert.NotContains(t, r.Message, "eyJ")
		fake.SetMaintenance(true)
		r = i.Token().Probe(ctx)
		assert.Equal(t, health.CauseMaintenance, r.Cause, r.Message)
		fake.Wait()
	})
}

// One list of checks tells which part of Canvas is not well.
//
// Requirement: HL-WANT-6, HL-CANVAS-ENDPOINTS
func TestWhatIsProbed(t *testing.T) {
	fake := &canvastest.Server{}
	i, status := instance(t, base(fake)), page(t, fake, "Canvas")
	keys := `{"keys":[{"kty":"RSA","kid":"1"}]}`
	keySet := func(body string) health.Prober {
		p, err := httpprobe.New(httpprobe.Config{URL: "https://qa.example.com/jwks", HTTP: &http.Client{Transport: answering(200, body)}, Contains: `"kid"`})
		require.NoError(t, err)
		return p
	}
	look := func(body string) (bad []string) {
		for _, c := range []struct {
			name   string
			prober health.Prober
		}{{"up", i.Up()}, {"token", i.Token()}, {"quota", i.Quota()}, {"key set", keySet(body)}, {"status page", status}} {
			if c.prober.Probe(t.Context()).Status != health.Healthy {
				bad = append(bad, c.name)
			}
		}
		return bad
	}
	assert.Empty(t, look(keys))
	assert.Equal(t, []string{"key set"}, look(`{"keys":[]}`))
	fake.StatusPage.SetComponent(canvastest.Component{Name: "Canvas", Status: "degraded_performance"})
	assert.Equal(t, []string{"status page"}, look(keys))
	fake.StatusPage.SetComponent(canvastest.Component{Name: "Canvas"})
	fake.Revoke(canvastest.AdminToken)
	assert.Equal(t, []string{"token", "quota"}, look(keys))
	fake.SetMaintenance(true)
	assert.Equal(t, []string{"up", "token", "quota"}, look(keys))
}
