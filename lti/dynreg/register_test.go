package dynreg_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/dynreg"
)

func TestCanvas(t *testing.T) {
	p := &platform{document: canvasDocument(), change: map[string]any{"scope": scopeScore}}
	d := newDesk(t, p, nil)
	address := d.address(dynreg.Invitation{For: "ACU", Issuer: "https://canvas.instructure.com"}, canvasConfig)
	w := d.get(address)
	require.Equal(t, 200, w.Code)
	for _, text := range []string{"Test University", "https://canvas.instructure.com", "canvas vCloud", "ACU", scopeScore, "does not have", scopeMembers} {
		assert.Contains(t, w.Body.String(), text)
	}
	d.leakless(w)
	w = d.post(address, seal(t, w))
	require.Equal(t, 200, w.Code, "%v", d.last())
	d.leakless(w)
	assert.Contains(t, w.Body.String(), "org.imsglobal.lti.close")
	assert.Contains(t, w.Body.String(), `["https://school.instructure.com","https://canvas.instructure.com","https://sso.canvaslms.com"]`)
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "https://*.instructure.com")

	require.Len(t, d.stored, 1)
	got := d.stored[0]
	assert.Empty(t, cmp.Diff(lti.Registration{
		Issuer: "https://canvas.instructure.com", ClientID: "10000000000042",
		AuthURL: "https://sso.canvaslms.com/api/lti/authorize_redirect", JWKSURL: "https://sso.canvaslms.com/api/lti/security/jwks",
		TokenURL: "https://sso.canvaslms.com/login/oauth2/token", External: true,
		ServiceHosts: []string{"school.instructure.com", "canvas.instructure.com"},
	}, got.Registration))
	require.NoError(t, got.Registration.Validate())
	assert.Equal(t, "ACU", got.Invitation.For)
	assert.Equal(t, "guid:canvas-lms", got.Platform.AccountGUID)
	assert.Equal(t, []string{scopeScore}, got.Scopes)

	require.Len(t, p.posts, 1)
	assert.Empty(t, cmp.Diff(map[string]any{
		"application_type": "web", "grant_types": []any{"client_credentials", "implicit"}, "response_types": []any{"id_token"},
		"redirect_uris": []any{"https://qa.example.edu/lti/launch"}, "initiate_login_uri": "https://qa.example.edu/lti/login",
		"client_name": "Q&A", "jwks_uri": "https://qa.example.edu/.well-known/jwks.json", "token_endpoint_auth_method": "private_key_jwt",
		"scope": scopeScore,
		toolSpec: map[string]any{
			"domain": "qa.example.edu", "target_link_uri": "https://qa.example.edu/lti/launch", "claims": []any{"iss", "sub", "name"},
			"custom_parameters": map[string]any{"course": "$Context.id"},
			"https://canvas.instructure.com/lti/privacy_level": "name_only", "https://canvas.instructure.com/lti/tool_id": "qa",
			"https://canvas.instructure.com/lti/vendor": "ACU",
			"messages": []any{
				map[string]any{
					"type": "LtiResourceLinkRequest", "label": "Q&A", "target_link_uri": "https://qa.example.edu/lti/launch", "placements": []any{"course_navigation"},
					"https://canvas.instructure.com/lti/course_navigation/default_enabled": false, "https://canvas.instructure.com/lti/visibility": "members",
				},
				map[string]any{"type": "LtiDeepLinkingRequest", "label": "Add questions", "target_link_uri": "https://qa.example.edu/lti/pick", "placements": []any{"assignment_selection"}},
			},
		},
	}, p.posts[0]), "the platform was asked for something else")
	assert.Empty(t, p.elsewhere)
}

func TestMoodle(t *testing.T) {
	document := with(moodleDocument(), map[string]any{"id_token_signing_alg_values_supported": []string{"ES256", "RS384"}, "authorization_server": moodle + "/as"})
	p := &platform{document: document, change: map[string]any{
		toolSpec: map[string]any{"deployment_id": 7}, "registration_client_uri": moodle + "/manage", "registration_access_token": "manage-secret",
	}}
	d := newDesk(t, p, nil)
	w := d.run(d.address(dynreg.Invitation{}, moodleConfig))
	require.Equal(t, 200, w.Code, "%v", d.last())
	got := d.stored[0]
	assert.Empty(t, cmp.Diff(lti.Registration{
		Issuer: moodle, ClientID: "10000000000042", AuthURL: moodle + "/mod/lti/auth.php", JWKSURL: moodle + "/mod/lti/certs.php",
		TokenURL: moodle + "/mod/lti/token.php", TokenAudience: moodle + "/as", Deployments: []string{"7"}, Algorithms: []string{"RS384"}, External: true,
	}, got.Registration))
	assert.Equal(t, "manage-secret", got.ManagementToken.Reveal())
	assert.Equal(t, moodle+"/manage", got.ManagementURL)
	assert.Contains(t, got.Answer.Reveal(), `"client_id"`)
	body := p.posts[0][toolSpec].(map[string]any)
	assert.NotContains(t, body, "https://canvas.instructure.com/lti/vendor", "Canvas' extensions are for Canvas")
	assert.Equal(t, scopeScore+" "+scopeMembers, p.posts[0]["scope"], "a platform that lists no scopes is asked for all")
}

func TestNoRegistrationToken(t *testing.T) {
	p := &platform{document: moodleDocument(), noAuth: true}
	d := newDesk(t, p, nil)
	address, err := d.registrar.Invite(dynreg.Invitation{})
	require.NoError(t, err)
	require.Equal(t, 200, d.run(address+"&openid_configuration="+moodleConfig).Code, "%v", d.last())
	assert.Empty(t, p.fetches[0].Header["Authorization"])
}

// What the platform answers, and what the operator is told: they said no, we could
// not ask, and nobody knows, are three things.
func TestAnswers(t *testing.T) {
	unsent := &httpx.Refusal{Err: errors.New("connection refused"), After: -1}
	for _, c := range []struct {
		name           string
		change         map[string]any
		register       func(*http.Request) (*http.Response, error)
		reason         dynreg.Reason
		detail, client string
		status         int
		safe           bool
	}{
		{name: "another redirect URI", change: map[string]any{"redirect_uris": []string{"https://qa.example.edu/lti/launch", "https://evil.example/l"}}, reason: dynreg.ReasonAnswer, detail: "evil.example", client: "10000000000042", status: 200},
		{name: "no redirect URI", change: map[string]any{"redirect_uris": []string{}}, reason: dynreg.ReasonAnswer, detail: "lacks", client: "10000000000042", status: 200},
		{name: "another key set", change: map[string]any{"jwks_uri": "https://evil.example/jwks"}, reason: dynreg.ReasonAnswer, detail: "jwks_uri", client: "10000000000042", status: 200},
		{name: "another login", change: map[string]any{"initiate_login_uri": ""}, reason: dynreg.ReasonAnswer, detail: "initiate_login_uri", client: "10000000000042", status: 200},
		{name: "a secret for authentication", change: map[string]any{"token_endpoint_auth_method": "client_secret_basic"}, reason: dynreg.ReasonAnswer, detail: "client_secret_basic", client: "10000000000042", status: 200},
		{name: "a long deployment", change: map[string]any{toolSpec: map[string]any{"deployment_id": strings.Repeat("d", 256)}}, reason: dynreg.ReasonAnswer, detail: "deployment_id", client: "10000000000042", status: 200},
		{name: "no client", change: map[string]any{"client_id": nil}, reason: dynreg.ReasonAnswer, detail: "Q&A", status: 200},
		{name: "a client that is no text", change: map[string]any{"client_id": "a\nb"}, reason: dynreg.ReasonAnswer, detail: "client_id", status: 200},
		{name: "no JSON", register: reply(201, "<html>"), reason: dynreg.ReasonAnswer, detail: "cannot be read", status: 201},
		{name: "they said no", register: reply(422, `{"error":"invalid_redirect_uri","error_description":"not with `+canary+`"}`), reason: dynreg.ReasonRefused, status: 422},
		{name: "an error behind the door", register: reply(502, ""), reason: dynreg.ReasonUnknown, detail: "Q&A", status: 502},
		{name: "a redirect", register: reply(307, "", "Location", "https://evil.example/r"), reason: dynreg.ReasonUnknown, status: 307},
		{name: "the answer is lost", register: func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }, reason: dynreg.ReasonUnknown, detail: "Q&A"},
		{name: "too large", register: reply(200, strings.Repeat(" ", 1<<20+1)), reason: dynreg.ReasonUnknown},
		{name: "not sent", register: func(*http.Request) (*http.Response, error) { return nil, unsent }, reason: dynreg.ReasonUnsent, safe: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &platform{document: moodleDocument(), change: c.change, register: c.register}
			d := newDesk(t, p, nil)
			address := d.address(dynreg.Invitation{For: "ACU"}, moodleConfig)
			w := d.run(address)
			d.leakless(w)
			e := d.last()
			require.ErrorIs(t, e, c.reason, "%v", e)
			assert.Contains(t, e.Error(), c.detail)
			assert.Equal(t, c.client, e.ClientID)
			assert.Equal(t, c.status, e.Status)
			assert.Equal(t, c.safe, runbook.SafeToRetry(e))
			assert.Equal(t, moodle, e.Issuer)
			assert.Equal(t, "ACU", e.For)
			assert.Empty(t, d.stored)
			assert.NotContains(t, w.Body.String(), "lti.close", "the platform is told that it is done")
			assert.Contains(t, w.Body.String(), string(c.reason))
			if c.client != "" {
				assert.Contains(t, w.Body.String(), c.client)
			}
			w = d.run(address)
			require.ErrorIs(t, d.last(), dynreg.ReasonUsed)
			assert.Equal(t, 403, w.Code)
			_, posts := p.counts()
			assert.Equal(t, 1, posts, "a registration is sent once")
		})
	}
}

func reply(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
	return func(req *http.Request) (*http.Response, error) { return answer(req, status, body, header...), nil }
}

func TestStoreFails(t *testing.T) {
	d := newDesk(t, &platform{document: moodleDocument()}, nil)
	d.broken = errors.New("database is down")
	w := d.run(d.address(dynreg.Invitation{}, moodleConfig))
	assert.Equal(t, 500, w.Code)
	assert.Contains(t, w.Body.String(), "10000000000042", "an operator needs the client id")
	assert.NotContains(t, w.Body.String(), "database")
	e := d.last()
	require.ErrorIs(t, e, dynreg.ReasonStore)
	require.ErrorIs(t, e, d.broken)
	assert.Equal(t, "10000000000042", e.ClientID)
	assert.Contains(t, e.Error(), "10000000000042")
	assert.False(t, runbook.SafeToRetry(e))
}

// Access tokens are what a platform could be after: it names another's token
// endpoint, or has the tool sign an assertion for it.
func TestTokensOfOthers(t *testing.T) {
	const victim = "https://school.brightspace.example.com/token"
	for _, c := range []struct {
		name   string
		change map[string]any
		trust  []string
		reason dynreg.Reason // empty means registered
		serves bool          // tokens may go to the platform's own host
		aud    string
	}{
		{name: "another's token endpoint", change: map[string]any{"token_endpoint": victim}},
		{name: "another's audience", change: map[string]any{"authorization_server": victim}, reason: dynreg.ReasonIssuer},
		{name: "another's audience, as a host", change: map[string]any{"authorization_server": "school.brightspace.example.com"}, reason: dynreg.ReasonIssuer},
		{name: "another's audience, as Canvas has one", change: map[string]any{"authorization_server": victim, platformSpec: map[string]any{"product_family_code": "canvas"}}, serves: true},
		{name: "both known to belong", change: map[string]any{"token_endpoint": victim, "authorization_server": "https://api.brightspace.example.com/aud"}, trust: []string{"*.brightspace.example.com"}, serves: true, aud: "https://api.brightspace.example.com/aud"},
		{name: "the token endpoint's own", change: map[string]any{"token_endpoint": victim, "authorization_server": "https://school.brightspace.example.com/aud"}, aud: "https://school.brightspace.example.com/aud"},
		{name: "the issuer's own", change: map[string]any{"authorization_server": moodle}, serves: true, aud: moodle},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := &platform{document: with(moodleDocument(), c.change)}
			d := newDesk(t, p, func(cfg *dynreg.Config) { cfg.Trusted = []dynreg.Trust{{Issuer: moodle, Hosts: c.trust}} })
			w := d.run(d.address(dynreg.Invitation{}, moodleConfig))
			if c.reason != "" {
				require.ErrorIs(t, d.last(), c.reason)
				assert.Empty(t, p.posts)
				return
			}
			require.Equal(t, 200, w.Code, "%v", d.last())
			assert.Equal(t, c.serves, d.stored[0].Registration.ServesHost("learn.example.edu"))
			assert.Equal(t, c.aud, d.stored[0].Registration.TokenAudience)
		})
	}
}
