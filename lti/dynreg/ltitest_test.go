package dynreg_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/dynreg"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// A tool is registered at a platform that does not know it, and is launched from
// there: nothing was entered by hand.
func TestFromInvitationToLaunch(t *testing.T) {
	for _, c := range []struct {
		name   string
		canvas bool
	}{{"canvas", true}, {"another", false}} {
		t.Run(c.name, func(t *testing.T) {
			p := &ltitest.Platform{Canvas: c.canvas}
			d := newDesk(t, nil, func(cfg *dynreg.Config) { cfg.HTTP = p.Client() })
			invitation, err := d.registrar.Invite(dynreg.Invitation{For: "ACU", Issuer: p.Endpoints().Issuer})
			require.NoError(t, err)
			address, err := p.RegistrationURL(invitation)
			require.NoError(t, err)
			w := d.run(address)
			require.Equal(t, 200, w.Code, "%v", d.last())
			require.Len(t, p.Tools(), 1)
			require.Len(t, d.stored, 1)
			reg := d.stored[0].Registration
			assert.Equal(t, p.Tools()[0].ClientID, reg.ClientID)
			assert.True(t, reg.ServesHost(p.Endpoints().ServiceHost), "the tool's tokens may not go to the platform's services")
			if c.canvas {
				assert.Empty(t, reg.Deployments)
				p.EnableTool(reg.ClientID, true)
			} else {
				assert.Equal(t, p.Tools()[0].Deployments, reg.Deployments)
			}
			assert.Equal(t, reg.ClientID, launch(t, p, d.stored).ClientID)

			assert.NotEqual(t, 200, d.run(address).Code, "a platform's token and an invitation serve once")
			assert.Len(t, p.Tools(), 1)
		})
	}
}

// launch opens the tool, which knows nothing but what was stored.
func launch(t *testing.T, p *ltitest.Platform, stored []dynreg.Registered) *lti.Launch {
	t.Helper()
	tool, err := lti.New(lti.Config{
		LaunchURL: "https://qa.example.edu/lti/launch", StateKeys: []runbook.Secret{key("s")}, HTTP: p.Client(),
		Lookup: func(_ context.Context, issuer, client string) (all []lti.Registration, _ error) {
			for _, r := range stored {
				if r.Registration.Issuer == issuer && (client == "" || client == r.Registration.ClientID) {
					all = append(all, r.Registration)
				}
			}
			return all, nil
		},
		Deployment: func(context.Context, lti.Registration, *lti.Launch) error { return nil },
		Hooks:      lti.Hooks{OnRefusal: func(_ context.Context, r *lti.Refusal) { t.Errorf("%v", r) }},
	})
	require.NoError(t, err)
	var out *lti.Launch
	mux := http.NewServeMux()
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(_ http.ResponseWriter, _ *http.Request, l *lti.Launch) { out = l }))

	login := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/login", strings.NewReader(p.Login(ltitest.Message{}).Encode()))
	login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, login)
	require.Equal(t, http.StatusFound, w.Code)
	resp, err := p.Authorize(w.Header().Get("Location"))
	require.NoError(t, err)
	post, err := resp.Request(t.Context())
	require.NoError(t, err)
	for _, cookie := range w.Result().Cookies() {
		post.AddCookie(cookie)
	}
	mux.ServeHTTP(httptest.NewRecorder(), post)
	require.NotNil(t, out, "no launch")
	return out
}

// The platform registers the tool, and its answer is lost.
func TestAnswerLostByPlatform(t *testing.T) {
	p := new(ltitest.Platform)
	d := newDesk(t, nil, func(cfg *dynreg.Config) { cfg.HTTP = p.Client() })
	invitation, err := d.registrar.Invite(dynreg.Invitation{})
	require.NoError(t, err)
	address, err := p.RegistrationURL(invitation)
	require.NoError(t, err)
	token, err := url.Parse(address)
	require.NoError(t, err)
	p.Inject(ltitest.Fault{Endpoint: ltitest.Registrations, Reset: true, Effect: true})
	w := d.run(address)
	require.ErrorIs(t, d.last(), dynreg.ReasonUnknown)
	assert.False(t, runbook.SafeToRetry(d.last()))
	assert.Len(t, p.Tools(), 1, "it was registered")
	assert.Equal(t, 1, p.Count(ltitest.Registrations), "and it was sent once")
	assert.Empty(t, d.stored)
	assert.NotContains(t, w.Body.String()+d.last().Error(), token.Query().Get("registration_token"))
}
