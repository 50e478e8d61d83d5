package railway_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

const stable = `{"data":{"platformStatus":{"isStable":true,"incident":null,"maintenance":null}}}`

func TestProbersKeepTheRules(t *testing.T) {
	hang := func(_ int, req *http.Request) (*http.Response, error) { return coreSilent(req) }
	down := func(_ int, req *http.Request) (*http.Response, error) { return coreRefused(req) }
	for name, prober := range map[string]func(*railway.Client) health.Prober{"platform": (*railway.Client).PlatformProber, "drift": (*railway.Client).DriftProber} {
		t.Run(name, func(t *testing.T) {
			healthtest.TestProber(t, healthtest.ProberHarness{
				Healthy: func(t testing.TB) health.Prober {
					if name == "drift" {
						return prober(coreClient(t, schemaServer(t, gql.Schema), nil))
					}
					return prober(coreClient(t, coreAlways(200, stable), nil))
				},
				Down: func(t testing.TB) (health.Prober, health.Cause) {
					return prober(coreClient(t, &coreTransport{answer: down}, nil)), health.CauseRefused
				},
				Hanging: func(t testing.TB) health.Prober { return prober(coreClient(t, &coreTransport{answer: hang}, nil)) },
				Secrets: []string{coreToken},
			})
		})
	}
}

func TestPlatformProber(t *testing.T) {
	says := func(stable, incident, maintenance string) string {
		return `{"data":{"platformStatus":{"isStable":` + stable + `,"incident":` + incident + `,"maintenance":` + maintenance + `}}}`
	}
	incident := func(message, status string) string {
		return `{"id":"i","message":"` + message + `","status":"` + status + `","url":"https://status.railway.com/i"}`
	}
	for name, test := range map[string]struct {
		body    string
		want    health.Status
		cause   health.Cause
		message string
	}{
		"stable": {body: stable, want: health.Healthy},
		"incident": {
			body: says("true", incident(`Builds\u001b[2J are slow`, "IDENTIFIED"), "null"),
			want: health.Degraded, cause: health.CauseStatus, message: "Railway has an incident, identified: Builds [2J are slow (https://status.railway.com/i)",
		},
		"outage": {
			body: says("false", incident("Outage", "INVESTIGATING"), "null"),
			want: health.Unhealthy, cause: health.CauseStatus, message: "Railway says that it is not stable; Railway has an incident, investigating: Outage (https://status.railway.com/i)",
		},
		"resolved": {body: says("true", incident("x", "RESOLVED"), "null"), want: health.Healthy},
		"a new word": {
			body: says("true", incident("x", "SCHEDULED"), "null"), want: health.Degraded, cause: health.CauseStatus,
			message: "Railway has an incident, scheduled: x (https://status.railway.com/i)",
		},
		"maintenance": {
			body: says("true", "null", `{"id":"m","message":"Databases","status":"INPROGRESS","start":"2026-09-01T00:00:00Z","url":"u"}`),
			want: health.Maintenance, cause: health.CauseMaintenance, message: "Railway is under maintenance: Databases",
		},
		"gateway": {
			body: gatewayBody, want: health.Unhealthy, cause: health.CauseStatus,
			message: "railway: read the platform's status: Problem processing request (trace 4711)",
		},
		"HTML": {
			body: "<html>", want: health.Unhealthy, cause: health.CauseNotJSON,
			message: "railway: read the platform's status: unreadable: the answer is not what was asked for: no JSON at byte 1",
		},
		"unauthorized": {
			body: `{"errors":[{"message":"Not Authorized"}]}`, want: health.Unknown, cause: health.CauseUnauthorized,
			message: "railway: read the platform's status: not authorized",
		},
	} {
		t.Run(name, func(t *testing.T) {
			transport := coreAlways(200, test.body)
			r := coreClient(t, transport, nil).PlatformProber().Probe(t.Context())
			assert.Equal(t, test.want, r.Status)
			assert.Equal(t, test.cause, r.Cause)
			assert.Equal(t, test.message, r.Message)
			assert.Equal(t, 1, transport.requests(), "a probe asks once")
			assert.False(t, r.Time.IsZero())
		})
	}
}

func TestPlannedMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now().Add(2 * time.Hour).UTC().Format(time.RFC3339)
		body := `{"data":{"platformStatus":{"isStable":true,"maintenance":{"id":"m","message":"x","status":"NOTSTARTEDYET","start":"` + start + `","url":"u"}}}}`
		r := coreClient(t, coreAlways(200, body), nil).PlatformProber().Probe(t.Context())
		assert.Equal(t, health.Healthy, r.Status)
		m, ok := r.Measurement("next_maintenance")
		require.True(t, ok)
		assert.Equal(t, health.Measurement{Name: "next_maintenance", Value: 7200, Unit: health.Seconds}, m)
	})
}

// A probe is one request, whatever happens: what repeats would hide what it is for.
func TestProbesAskOnce(t *testing.T) {
	says := func(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return coreAnswer(status, body, headers...), nil }
	}
	for name, test := range map[string]struct {
		answer func(*http.Request) (*http.Response, error)
		status health.Status
		cause  health.Cause
	}{
		"502":      {says(502, "<html>"), health.Unhealthy, health.CauseStatus},
		"a limit":  {says(429, "{}", "Retry-After", "1", "X-RateLimit-Limit", "9"), health.Degraded, health.CauseThrottled},
		"the edge": {says(429, "error code: 1015"), health.Degraded, health.CauseThrottled},
		"refused":  {coreRefused, health.Unhealthy, health.CauseRefused},
		"silent":   {coreSilent, health.Unhealthy, health.CauseTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &coreTransport{answer: func(_ int, req *http.Request) (*http.Response, error) { return test.answer(req) }}
				c := coreClient(t, transport, nil)
				r := c.PlatformProber().Probe(t.Context())
				assert.Equal(t, test.status, r.Status, r.Message)
				assert.Equal(t, test.cause, r.Cause, r.Message)
				assert.Equal(t, 1, transport.requests())
				if name == "the edge" {
					r := c.PlatformProber().Probe(t.Context())
					assert.Equal(t, health.Unknown, r.Status, "the own budget let nothing out")
					assert.Equal(t, health.CauseNotAsked, r.Cause)
					assert.Equal(t, 1, transport.requests())
				}
			})
		})
	}
	auth := coreClient(t, coreAlways(200, stable), func(cfg *railway.Config) {
		cfg.Token = runbook.Secret{}
		cfg.Auth = func(context.Context) (runbook.Secret, error) { return runbook.Secret{}, assert.AnError }
	})
	r := auth.PlatformProber().Probe(t.Context())
	assert.Equal(t, health.Unknown, r.Status)
	assert.Equal(t, health.CauseNotAsked, r.Cause)
}

// Requirement: RW-G1
func TestDriftProber(t *testing.T) {
	r := coreClient(t, schemaServer(t, edited(t, "  isEphemeral: Boolean!\n", "  isEphemeral: Boolean\n")), nil).DriftProber().Probe(t.Context())
	assert.Equal(t, health.Degraded, r.Status)
	assert.Equal(t, railway.CauseDrift, r.Cause)

	server := schemaServer(t, edited(t, "  deploymentRollback(id: String!): Boolean!\n", "", "  isEphemeral: Boolean!\n", "  isEphemeral: Boolean\n"))
	r = coreClient(t, server, nil).DriftProber().Probe(t.Context())
	assert.Equal(t, health.Unhealthy, r.Status)
	assert.Equal(t, "Mutation.deploymentRollback is gone; breaks DeploymentRollback; Environment.isEphemeral was Boolean!, is Boolean; used by ProjectEnvironments", r.Message)
	assert.Equal(t, []health.Measurement{{Name: "drift", Value: 2}, {Name: "drift_breaking", Value: 1}}, r.Measurements)
}
