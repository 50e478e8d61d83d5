package host_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
)

// What the doctor asks Canvas for is what the host asks of Canvas: a token with those scopes
// serves for all that an environment does with Canvas, and none of them is for nothing.
func TestCanvasScopesAreThoseOfTheHost(t *testing.T) {
	t.Parallel()
	fake := new(canvastest.Server)
	tool := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "Tool", "is_lti_key": true, "state": "on"})
	fake.Add(canvastest.Registrations, canvastest.RootAccount, canvastest.Object{"name": "Tool", "developer_key_id": tool})
	c := host.Connection{
		Name: "test", Application: "https://qa.example.edu", HTTP: &http.Client{Transport: http.NewFileTransport(http.Dir(t.TempDir()))},
		Canvas: canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client()}, Key: canvas.ID(tool).String(),
		LTI: &doctor.Config{Registration: lti.Registration{ClientID: canvas.ID(tool).String()}},
	}
	report, err := c.CanvasScopes(t.Context())
	require.NoError(t, err)
	var scopes []string
	for _, f := range report.Findings {
		scopes = append(scopes, f.Scope)
		assert.Contains(t, []canvasprobe.ScopeVerdict{canvasprobe.ScopeAllowed, canvasprobe.ScopeNoObject}, f.Verdict, "%s: %s", f.Scope, f.Message)
	}
	slices.Sort(scopes)

	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "Operations", "require_scopes": true, "scopes": scopes})
	c.Canvas.Token = runbook.NewSecret(fake.AddToken(canvastest.Token{Key: key, Scopes: scopes}))
	before := len(fake.Requests())
	e, err := c.Environment(t.Context())
	require.NoError(t, err)
	_, err = e.PlatformKeys.SetPlatformKey(t.Context(), c.Key, true)
	require.NoError(t, err)
	now := time.Now()
	a := incident.Announcement{Key: "m-1", Subject: "Maintenance", Message: "Tonight.", Start: now.Add(time.Hour), End: now.Add(2 * time.Hour)}
	for _, text := range []string{"Tonight.", "Tomorrow."} {
		a.Message = text
		_, err = e.Announcer.Announce(t.Context(), a)
		require.NoError(t, err)
	}
	require.NoError(t, e.Announcer.Withdraw(t.Context(), a.Key))
	for _, q := range []incident.AuditQuery{{}, {Actor: "self", Kinds: []incident.AuditKind{incident.AuditAuthentication, incident.AuditRequest}}} {
		q.From, q.To = now.Add(-time.Hour), now
		for _, err := range e.AuditLog.AuditEvents(t.Context(), q) {
			require.NoError(t, err)
		}
	}
	_, err = e.Doctor.Diagnose(t.Context())
	require.NoError(t, err)
	client, err := canvas.New(c.Canvas)
	require.NoError(t, err)
	_, err = client.GetUser(t.Context(), canvas.Self) // as the prober of the token does
	require.NoError(t, err)

	var called []string
	for _, r := range fake.Requests()[before:] {
		method, path, _ := strings.Cut(r.Route, " ")
		if s := "url:" + method + "|" + path; !slices.Contains(called, s) {
			called = append(called, s)
		}
		assert.Less(t, r.Status, 400, "%s", r.Route)
	}
	slices.Sort(called)
	assert.Empty(t, cmp.Diff(scopes, called))
}
