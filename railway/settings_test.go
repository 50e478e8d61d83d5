package railway_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

func settingsHost(t testing.TB) *opsHost { return newOps(t, railwaytest.Service{Image: "web:1"}) }

// What is not given is not sent, not even as null, and stays; and only the one
// environment is changed.
//
// Requirement: RW-PEER-TF-NULL, RW-PEER-TF-ENVIRONMENTS
func TestUpdateSettingsKeepsTheRest(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := settingsHost(t)
		all := railway.Settings{
			HealthcheckPath: new("/healthz"), HealthcheckTimeout: new(2 * time.Minute), Draining: new(30 * time.Second), Overlap: new(5 * time.Second),
			PreDeployCommand: []string{"bin/migrate", "--all"}, RestartPolicy: "ALWAYS", RestartRetries: new(3),
		}
		got, err := h.svc.UpdateSettings(t.Context(), all)
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(all, got))

		h.bodies = nil
		got, err = h.svc.UpdateSettings(t.Context(), railway.Settings{Draining: new(10 * time.Second)})
		require.NoError(t, err)
		all.Draining = new(10 * time.Second)
		assert.Empty(t, cmp.Diff(all, got))
		variables := h.bodies[0][strings.Index(h.bodies[0], `"variables"`):]
		assert.NotContains(t, variables, "null")
		for _, name := range []string{"healthcheck", "overlap", "preDeploy", "restart", "startCommand"} {
			assert.NotContains(t, variables, name)
		}
		assert.Contains(t, variables, h.environment)

		elsewhere, err := h.client.Service(t.Context(), railway.Target{Project: h.project, Environment: h.other, Service: h.service})
		require.NoError(t, err)
		beta, err := elsewhere.Settings(t.Context())
		require.NoError(t, err)
		assert.Nil(t, beta.HealthcheckPath)
		assert.Empty(t, beta.PreDeployCommand)
		assert.Empty(t, h.did("serviceInstanceDeploy"), "nothing is deployed")
	})
}

// Requirement: RW-PEER-TF-NULL
func TestUpdateSettingsRemoves(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := settingsHost(t)
		_, err := h.svc.UpdateSettings(t.Context(), railway.Settings{HealthcheckPath: new("/healthz"), PreDeployCommand: []string{"bin/migrate"}})
		require.NoError(t, err)
		got, err := h.svc.UpdateSettings(t.Context(), railway.Settings{PreDeployCommand: []string{}})
		require.NoError(t, err)
		assert.Empty(t, got.PreDeployCommand)
		assert.Equal(t, "/healthz", *got.HealthcheckPath)
		got, err = h.svc.UpdateSettings(t.Context(), railway.Settings{HealthcheckPath: new("")})
		require.NoError(t, err)
		assert.True(t, got.HealthcheckPath == nil || *got.HealthcheckPath == "")
	})
}

func TestUpdateSettingsUnclear(t *testing.T) {
	opsChange(t, "serviceInstanceUpdate", "serviceInstanceUpdate", settingsHost, func(t testing.TB, ctx context.Context, h *opsHost) error {
		got, err := h.svc.UpdateSettings(ctx, railway.Settings{HealthcheckPath: new("/healthz")})
		if err == nil {
			assert.Equal(t, "/healthz", *got.HealthcheckPath)
		}
		return err
	})
}

// That Railway answers with true does not mean that it did it: what is returned is
// what was read.
func TestUpdateSettingsWithoutEffect(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := settingsHost(t)
		h.answers("serviceInstanceUpdate(", `{"data":{"serviceInstanceUpdate":true}}`)
		_, err := h.svc.UpdateSettings(t.Context(), railway.Settings{HealthcheckPath: new("/healthz")})
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.ErrorContains(t, err, "does not show it")
	})
}

// The form of a command is not documented: it is a list in one place and a text in
// another.
func TestSettingsCommandForms(t *testing.T) {
	for raw, want := range map[string][]string{
		`null`: nil, `[]`: nil, `""`: nil, `"bin/migrate"`: {"bin/migrate"}, `["a","b"]`: {"a", "b"}, `{"x":1}`: {`{"x":1}`},
	} {
		opsBubble(t, func(t *testing.T) {
			h := settingsHost(t)
			h.answers("serviceInstance(", `{"data":{"serviceInstance":{"id":"x","serviceName":"web","preDeployCommand":`+raw+`,
				"restartPolicyType":"NEW_POLICY","restartPolicyMaxRetries":10,"keyOfTomorrow":1}}}`)
			got, err := h.svc.Settings(t.Context())
			require.NoError(t, err)
			assert.ElementsMatch(t, want, got.PreDeployCommand, raw)
			assert.Equal(t, "NEW_POLICY", got.RestartPolicy)
			assert.Nil(t, got.HealthcheckPath)
		})
	}
}

func TestUpdateSettingsInvalid(t *testing.T) {
	h := settingsHost(t)
	calls := len(h.Calls())
	for name, change := range map[string]railway.Settings{
		"nothing":        {},
		"path":           {HealthcheckPath: new("healthz")},
		"half a second":  {Draining: new(500 * time.Millisecond)},
		"negative":       {HealthcheckTimeout: new(-time.Second)},
		"unknown policy": {RestartPolicy: "always"},
		"retries":        {RestartRetries: new(-1)},
	} {
		_, err := h.svc.UpdateSettings(t.Context(), change)
		assert.Error(t, err, name)
	}
	assert.Len(t, h.Calls(), calls)
}

// An application that accepts certain hosts only fails Railway's check if nobody
// knows which host it uses.
//
// Requirement: RW-HEALTHCHECK-HOST
func TestHealthcheckHostIsDocumented(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "settings.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var text string
	ast.Inspect(file, func(n ast.Node) bool {
		if f, ok := n.(*ast.Field); ok && len(f.Names) == 1 && f.Names[0].Name == "HealthcheckPath" {
			text = f.Doc.Text()
		}
		return true
	})
	for _, said := range []string{"healthcheck.railway.app", "TrustedHostMiddleware", "deployment only"} {
		assert.Contains(t, text, said)
	}
}
