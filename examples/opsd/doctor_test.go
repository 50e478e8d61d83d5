package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/railway"
)

// found is what a diagnosis found, a line for each.
func (d *diagnosis) found() string {
	var b strings.Builder
	for _, f := range d.findings {
		fmt.Fprintf(&b, "%s %s: %s\n", f.State, f.About, f.Finding)
	}
	return b.String()
}

// The ways to tell people are asked who they take opsd for, and nothing is sent to anybody.
func TestTheDoctorAsksTheChannels(t *testing.T) {
	t.Parallel()
	secret := runbook.NewSecret("xoxb-secret-of-the-tests")
	all := channels{
		Slack: &slackSettings{Token: secret}, Mail: &mailSettings{Host: "smtp.example.edu"},
		Phone:   &phoneSettings{Account: runbook.NewSecret("AC1"), Token: secret},
		Tickets: &ticketSettings{Jira: &jiraSettings{Email: "ops@example.edu", Token: secret}},
	}
	for name, tt := range map[string]struct {
		slack, scopes  string
		status         int
		phone, greets  string
		want, wantNone []string
	}{
		"all is well": {
			slack: `{"ok":true,"team":"ACU","user":"opsd"}`, scopes: "chat:write", phone: `{"status":"active"}`, greets: "220 smtp.example.edu ESMTP\r\n",
			want:     []string{"ok slack: the token is that of opsd in ACU, and may post", "ok mail: smtp.example.edu:587 greets", "ok phone: the account of Twilio is accepted", "ok tickets: the user of Jira is accepted"},
			wantNone: []string{"problem", "note"},
		},
		"a scope is missing, and others are there": {
			slack: `{"ok":true,"team":"ACU","user":"opsd"}`, scopes: "chat:write.public,users:read, admin", greets: "220 hello\r\n",
			want: []string{"problem slack: the token of opsd lacks the scope chat:write: add it to the app", "note slack: the token has more scopes than opsd needs: users:read, admin"},
		},
		"tokens are refused": {
			slack: `{"ok":false,"error":"invalid_auth"}`, status: http.StatusUnauthorized, greets: "554 no\r\n",
			want: []string{"problem slack: the token is refused: invalid_auth", "problem phone: the account of Twilio is not accepted (status 401)", "problem mail: smtp.example.edu:587 refuses: 554 no"},
		},
		"a permission is missing": {
			slack: `{"ok":true,"team":"ACU","user":"opsd"}`, status: http.StatusForbidden, greets: "220 hello\r\n",
			want: []string{"note slack: the token is that of opsd in ACU; Slack does not say which scopes it has", "problem tickets: the user of Jira is known, and may not even read (status 403)"},
		},
		"an outage is no refusal": {
			slack: `<html>down</html>`, status: http.StatusBadGateway,
			want:     []string{"note slack: could not be asked", "note phone: the account of Twilio could not be asked: status 502", "problem mail: smtp.example.edu:587 cannot be reached: no route"},
			wantNone: []string{"problem slack", "problem phone", "problem tickets"},
		},
		"an account that is suspended": {slack: `{"ok":true}`, phone: `{"status":"suspended"}`, greets: "220 hello\r\n", want: []string{"problem phone: the account of Twilio: the account is suspended, and cannot call"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				assert.Empty(t, body, "nothing is sent")
				switch {
				case r.URL.Path == "/auth.test":
					assert.Equal(t, "Bearer "+secret.Reveal(), r.Header.Get("Authorization"))
					if tt.scopes != "" {
						w.Header().Set("X-Oauth-Scopes", tt.scopes)
					}
					_, _ = io.WriteString(w, tt.slack)
					return
				case r.Method != http.MethodGet:
					assert.Fail(t, "it is changed", "%s %s", r.Method, r.URL.Path)
				}
				if tt.status != 0 {
					w.WriteHeader(tt.status)
				}
				_, _ = io.WriteString(w, tt.phone)
			}))
			t.Cleanup(server.Close)
			c := all
			c.Tickets = &ticketSettings{Jira: &jiraSettings{URL: server.URL, Email: "ops@example.edu", Token: secret}}
			d := &diagnosis{}
			d.channels(t.Context(), c, services{slack: server.URL, twilio: server.URL, http: direct(), dial: func(context.Context, string, string) (net.Conn, error) {
				if tt.greets == "" {
					return nil, errors.New("no route")
				}
				ours, theirs := net.Pipe()
				go func() { _, _ = io.WriteString(theirs, tt.greets); _ = theirs.Close() }()
				return ours, nil
			}})
			for _, w := range tt.want {
				assert.Contains(t, d.found(), w)
			}
			for _, w := range tt.wantNone {
				assert.NotContains(t, d.found(), w)
			}
			assert.NotContains(t, d.found(), secret.Reveal())
		})
	}
}

// The doctor names the scope that the token for Canvas lacks, what it is needed for, and where
// it is to be added; and what the developer key has beyond.
func TestTheDoctorNamesScopes(t *testing.T) {
	t.Parallel()
	const read, keys, token, courses = "url:GET|/api/v1/users/:id", "url:GET|/api/v1/accounts/:account_id/developer_keys", "url:GET|/api/v1/users/:user_id/tokens/:id", "url:GET|/api/v1/courses"
	fake := new(canvastest.Server)
	has := []string{read, keys, token, courses}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "Operations", "require_scopes": true, "scopes": has})
	c := host.Connection{Name: "test", Key: canvas.ID(key).String(), Canvas: canvas.Config{
		BaseURL: "https://school.example.com", HTTP: fake.Client(), Token: runbook.NewSecret(fake.AddToken(canvastest.Token{Key: key, Scopes: has})),
	}}
	d := &diagnosis{}
	d.canvas(t.Context(), c)
	for _, want := range []string{
		"problem test canvas: to announce maintenance: the token lacks the scope url:POST|/api/v1/accounts/:account_id/account_notifications: add it to developer key " + canvas.ID(key).String() + " (Operations)",
		"problem test canvas: to look for unusual use, and for evidence: the token lacks the scope url:GET|/api/v1/audit/course/accounts/:account_id",
		"note test canvas: developer key " + canvas.ID(key).String() + " (Operations) has more than opsd needs; if nothing else uses it, take away " + courses,
	} {
		assert.Contains(t, d.found(), want)
	}
	assert.NotContains(t, d.found(), "lacks the scope "+keys)

	fake.SetMaintenance(true)
	d = &diagnosis{}
	d.canvasScopes(t.Context(), c)
	assert.NotContains(t, d.found(), "problem", "an outage says nothing of scopes")
	assert.Contains(t, d.found(), "could not be asked")
	require.Empty(t, fake.Problems())
}

// A token of Railway that sees more, or another thing, than is needed is told.
func TestTheDoctorSaysWhatATokenSees(t *testing.T) {
	t.Parallel()
	c := host.Connection{Name: "test", Project: "p1", RailwayEnvironment: "e1"}
	for want, token := range map[string]railway.TokenInfo{
		"ok railway: the token sees what is needed and no more: environment test of project qa": {Kind: railway.ProjectToken, Project: railway.Named{ID: "p1", Name: "qa"}, Environment: railway.Named{ID: "e1", Name: "test"}},
		"problem railway: the token is for environment e2 of project p1":                        {Kind: railway.ProjectToken, Project: railway.Named{ID: "p1", Name: "qa"}, Environment: railway.Named{ID: "e2", Name: "production"}},
		"note railway: the token sees more than this environment, all of ACU;":                  {Kind: railway.WorkspaceToken, Workspaces: []railway.Named{{ID: "w1", Name: "ACU"}}},
		"note railway: the token sees more than this environment, all of its account;":          {Kind: railway.AccountToken},
	} {
		d := &diagnosis{}
		d.sees("railway", c, token)
		assert.Contains(t, d.found(), want)
	}
}
