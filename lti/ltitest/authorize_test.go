package ltitest_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// TestLogin is what tools get: Canvas names the deployment otherwise.
func TestLogin(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{Canvas: true})
	form := w.p.Login(ltitest.Message{StorageTarget: "post_message_forwarding"})
	assert.Equal(t, "https://canvas.test.instructure.com", form.Get("iss"))
	assert.Equal(t, "10000000000042", form.Get("client_id"))
	assert.Regexp(t, `^106:[0-9a-f]{40}$`, form.Get("deployment_id"))
	assert.Equal(t, "test", form.Get("canvas_environment"))
	assert.Equal(t, "not_configured", form.Get("canvas_region"))
	assert.Equal(t, "post_message_forwarding", form.Get("lti_storage_target"))
	assert.Equal(t, targetURL, form.Get("target_link_uri"))
	assert.NotContains(t, form, "lti_deployment_id")
	assert.Contains(t, claimsOf(t, form.Get("lti_message_hint")), "verifier")

	w = newWorld(t, &ltitest.Platform{})
	form = w.p.Login(ltitest.Message{})
	assert.Equal(t, "106", form.Get("lti_deployment_id"))
	assert.NotContains(t, form, "deployment_id")
	assert.NotContains(t, form, "canvas_environment")
	assert.NotEqual(t, form.Get("lti_message_hint"), url.QueryEscape(form.Get("lti_message_hint")), "needs escaping")
	assert.Contains(t, w.p.Endpoints().AuthURL, "?")
}

// TestAuthorizeRefuses: what Canvas refuses is refused, with Canvas' codes.
func TestAuthorizeRefuses(t *testing.T) {
	tests := map[string]struct {
		changes    map[string]string
		code, text string
	}{
		"good":                   {},
		"no state":               {changes: map[string]string{"state": ""}},
		"no scope":               {map[string]string{"scope": ""}, "invalid_request_object", "missing: scope"},
		"other scope":            {map[string]string{"scope": "openid email"}, "invalid_request_object", "scope"},
		"other response type":    {map[string]string{"response_type": "code"}, "invalid_request_object", "response_type"},
		"other response mode":    {map[string]string{"response_mode": "query"}, "invalid_request_object", "response_mode"},
		"no prompt":              {map[string]string{"prompt": ""}, "invalid_request_object", "prompt"},
		"other prompt":           {map[string]string{"prompt": "login"}, "invalid_request_object", "prompt"},
		"no nonce":               {map[string]string{"nonce": ""}, "invalid_request_object", "nonce"},
		"no login hint":          {map[string]string{"login_hint": ""}, "invalid_request_object", "login_hint"},
		"another user":           {map[string]string{"login_hint": "someone"}, "login_required", "active user session"},
		"no message hint":        {map[string]string{"lti_message_hint": ""}, "invalid_request_object", "lti_message_hint"},
		"a forged message hint":  {map[string]string{"lti_message_hint": "eyJhbGciOiJub25lIn0.eyJ2ZXJpZmllciI6IngifQ."}, "launch_no_longer_valid", "expired"},
		"an unescaped hint":      {map[string]string{"lti_message_hint": "m-"}, "launch_no_longer_valid", "expired"},
		"another tool's client":  {map[string]string{"client_id": "other"}, "unauthorized_client", "not authorized"},
		"a client switched off":  {map[string]string{"client_id": "off"}, "unauthorized_client", "not authorized"},
		"unknown client":         {changes: map[string]string{"client_id": "nobody"}, text: "no tool has the client_id"},
		"another redirect":       {changes: map[string]string{"redirect_uri": launchURL + "/x"}, text: "is not registered"},
		"a redirect with more":   {changes: map[string]string{"redirect_uri": launchURL + "?x=1"}, text: "is not registered"},
		"no redirect":            {changes: map[string]string{"redirect_uri": ""}, text: "is not registered"},
		"a query that is there":  {changes: map[string]string{"redirect_uri": launchURL + "2?a=1&b=2"}},
		"a query that is absent": {changes: map[string]string{"redirect_uri": launchURL + "2?b=2"}, text: "is not registered"},
	}
	each(t, func(t *testing.T, w *world) {
		w.p.AddTool(ltitest.Tool{ClientID: "other", RedirectURIs: []string{launchURL}})
		w.p.AddTool(ltitest.Tool{ClientID: "off", RedirectURIs: []string{launchURL}, Disabled: true})
		own := w.p.AddTool(ltitest.Tool{LoginURL: loginURL, RedirectURIs: []string{launchURL, launchURL + "2?a=1"}, TargetLinkURI: targetURL})
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				login := w.p.Login(ltitest.Message{ClientID: own.ClientID})
				answer, err := w.p.Authorize(w.p.AuthRequest(login, launchURL, "the state", "the nonce", test.changes))
				if test.code == "" && test.text != "" {
					require.ErrorIs(t, err, ltitest.ErrAuthorize)
					assert.ErrorContains(t, err, test.text)
					return
				}
				require.NoError(t, err)
				assert.Equal(t, test.code, answer.Form.Get("error"))
				assert.Contains(t, answer.Form.Get("error_description"), test.text)
				_, sent := test.changes["state"]
				assert.Equal(t, !sent, answer.Form.Get("state") == "the state")
				if test.code == "" {
					assert.Equal(t, "the nonce", claimsOf(t, answer.Form.Get("id_token"))["nonce"])
				} else {
					assert.Empty(t, answer.Form.Get("id_token"))
				}
			})
		}
	})
}

// TestAuthorizeOnce: a message is delivered once, within five minutes, and in
// Canvas it is as old as the login.
func TestAuthorizeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, canvas := range []bool{false, true} {
			w := newWorld(t, &ltitest.Platform{Canvas: canvas})
			login := w.p.Login(ltitest.Message{})
			began := time.Now()
			time.Sleep(4 * time.Minute)
			request := w.p.AuthRequest(login, launchURL, "s", "n", nil)
			answer, err := w.p.Authorize(request)
			require.NoError(t, err)
			claims := claimsOf(t, answer.Form.Get("id_token"))
			age := time.Since(began)
			if !canvas {
				age = 0
			}
			assert.InDelta(t, time.Now().Add(-age).Unix(), claims["iat"], 0)

			answer, err = w.p.Authorize(request)
			require.NoError(t, err)
			assert.Equal(t, "launch_no_longer_valid", answer.Form.Get("error"), "the second time")

			login = w.p.Login(ltitest.Message{})
			time.Sleep(5*time.Minute + time.Second)
			answer, err = w.p.Authorize(w.p.AuthRequest(login, launchURL, "s", "n", nil))
			require.NoError(t, err)
			assert.Equal(t, "launch_no_longer_valid", answer.Form.Get("error"), "too late")

			w.p.SetLoggedIn(false)
			answer, err = w.p.Authorize(w.p.AuthRequest(w.p.Login(ltitest.Message{}), launchURL, "s", "n", nil))
			require.NoError(t, err)
			assert.Equal(t, "login_required", answer.Form.Get("error"))
			w.p.SetLoggedIn(true)
		}
	})
}

// TestAuthorizeAddress: the query of the registered endpoint must be kept, and
// nothing may come twice.
func TestAuthorizeAddress(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	good := func() string { return w.p.AuthRequest(w.p.Login(ltitest.Message{}), launchURL, "s", "n", nil) }
	_, err := w.p.Authorize(good())
	require.NoError(t, err)
	for name, change := range map[string]func(string) string{
		"query lost":    func(s string) string { return strings.Replace(s, "tenant=main", "tenant=", 1) },
		"nonce twice":   func(s string) string { return s + "&nonce=2" },
		"other host":    func(s string) string { return strings.Replace(s, "platform.example", "evil.example", 1) },
		"other path":    func(s string) string { return strings.Replace(s, "authorize_redirect", "authorize", 1) },
		"not a query":   func(s string) string { return s + "&%zz" },
		"not a address": func(string) string { return "://" },
	} {
		_, err := w.p.Authorize(change(good()))
		require.ErrorIs(t, err, ltitest.ErrAuthorize, name)
	}
}

// TestAuthorizePage is the endpoint as browsers see it, over a port.
func TestAuthorizePage(t *testing.T) {
	p := &ltitest.Platform{}
	server := httptest.NewServer(p)
	defer server.Close()
	p.BaseURL = server.URL
	w := newWorld(t, p)
	w.http = server.Client()

	request := p.AuthRequest(p.Login(ltitest.Message{StorageTarget: "_parent"}), launchURL, `"><script>`, "n", nil)
	require.True(t, strings.HasPrefix(request, server.URL))
	r := w.do(http.MethodGet, request, nil)
	require.Equal(t, http.StatusOK, r.status)
	page := string(r.body)
	assert.Contains(t, page, `<form method="post" action="`+launchURL+`">`)
	assert.Contains(t, page, `name="id_token" value="ey`)
	assert.Contains(t, page, `name="lti_storage_target" value="_parent"`)
	assert.NotContains(t, page, "<script>")

	u, err := url.Parse(p.AuthRequest(p.Login(ltitest.Message{}), launchURL, "s", "n", map[string]string{"prompt": ""}))
	require.NoError(t, err)
	query := u.RawQuery
	u.RawQuery = "tenant=main"
	r = w.do(http.MethodPost, u.String(), []byte(query), "Content-Type", "application/x-www-form-urlencoded")
	require.Equal(t, http.StatusOK, r.status)
	assert.Contains(t, string(r.body), "invalid_request_object")

	r = w.do(http.MethodGet, p.AuthRequest(p.Login(ltitest.Message{}), "https://evil.example/", "s", "n", nil), nil)
	assert.Equal(t, http.StatusBadRequest, r.status)
	assert.NotContains(t, string(r.body), "<form")
}

// TestLaunch opens messages in a tool of package lti, from beginning to end.
//
// Requirement: LTI-GOTCHA-5, LTI-GOTCHA-31, LTI-PEER-ROBERTJNDW-QUERY, LTI-CANVAS-PROMPT, LTI-CERT-D1
func TestLaunch(t *testing.T) {
	messages := map[string]ltitest.Message{
		"plain":             {},
		"student":           {User: ltitest.Student},
		"deep linking":      {Type: ltitest.DeepLinkingRequest},
		"asset processor":   {Type: ltitest.AssetProcessorRequest},
		"report review":     {Type: ltitest.ReportReviewRequest},
		"EULA":              {Type: ltitest.EULARequest},
		"without a context": {NoContext: true},
		"custom":            {Custom: map[string]any{"a": "b"}},
	}
	for name, p := range map[string]*ltitest.Platform{"neutral": {}, "Canvas": {Canvas: true}, "Canvas beta": {Canvas: true, Environment: "beta"}, "Canvas prod": {Canvas: true, Environment: "prod"}} {
		accepted := register(t, p)
		item := p.AddLineItem("", "", ltitest.LineItem{Label: "Practical", ScoreMaximum: 10})
		messages["submission review"] = ltitest.Message{Type: ltitest.SubmissionReviewRequest, LineItem: item.ID}
		for what, m := range messages {
			t.Run(name+"/"+what, func(t *testing.T) {
				*accepted = nil
				resp, err := p.Launch(t.Context(), nil, m)
				require.NoError(t, err)
				require.Equal(t, http.StatusSeeOther, resp.StatusCode)
				require.Len(t, *accepted, 1)
				l := (*accepted)[0]
				assert.Equal(t, p.Endpoints().Issuer, l.Issuer)
				assert.Equal(t, m.NoContext, l.Context == nil)
				assert.Equal(t, m.NoContext, l.AGS == nil)
				assert.Equal(t, m.Type == ltitest.DeepLinkingRequest, l.DeepLinking != nil)
				assert.Equal(t, m.User != ltitest.Student, l.HasRole("Instructor"))
			})
		}
	}
}

// TestCanvasClaims compares the claims with what Canvas sends.
func TestCanvasClaims(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{Canvas: true})
	c := w.claims(ltitest.Message{})
	assert.Equal(t, w.tool.ClientID, c["aud"])
	assert.Equal(t, w.tool.ClientID, c["azp"])
	assert.InDelta(t, 3600, c["exp"].(float64)-c["iat"].(float64), 0)
	assert.Equal(t, "canvas", object(c, ltiClaim+"tool_platform")["product_family_code"])
	assert.Equal(t, object(c, ltiClaim+"context")["id"], object(c, ltiClaim+"resource_link")["id"], "course navigation has no link of its own")
	assert.Contains(t, object(c, ltiClaim+"context"), "validation_context")
	assert.Contains(t, c, "errors")
	assert.IsType(t, 1.0, object(c, ltiClaim+"custom")["canvas_course_id"])
	assert.Equal(t, "course_navigation", c["https://www.instructure.com/placement"])
	assert.Contains(t, c, "https://www.instructure.com/lti_student_id")
	assert.Contains(t, c, ltiClaim+"lti11_legacy_user_id")
	assert.Equal(t, "https://school.test.instructure.com/api/lti/courses/1234/line_items", object(c, agsClaim)["lineitems"])
	keys := w.p.KeyIDs()
	for _, kid := range keys {
		assert.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ_[0-9a-f-]{36}$`, kid)
	}
	assert.NotEqual(t, object(w.claims(ltitest.Message{Placement: "assignment_selection"}), ltiClaim+"resource_link")["id"], object(c, ltiClaim+"context")["id"])

	c = w.claims(ltitest.Message{Anonymous: true})
	assert.NotContains(t, c, "sub")
	assert.NotContains(t, c, "email")

	for privacy, names := range map[ltitest.Privacy][]string{
		ltitest.PrivacyAnonymous: {}, ltitest.PrivacyNameOnly: {"name", "given_name", "family_name"}, ltitest.PrivacyEmailOnly: {"email"},
		ltitest.PrivacyPublic: {"name", "given_name", "family_name", "email", "picture", "locale"},
	} {
		tool := w.p.AddTool(ltitest.Tool{RedirectURIs: []string{launchURL}, Privacy: privacy})
		c := w.claims(ltitest.Message{ClientID: tool.ClientID})
		for _, name := range []string{"name", "given_name", "family_name", "email", "picture", "locale"} {
			_, there := c[name]
			assert.Equal(t, contains(names, name), there, "%s: %s", privacy, name)
		}
	}
}

func contains(list []string, s string) bool {
	return strings.Contains(" "+strings.Join(list, " ")+" ", " "+s+" ")
}

// TestMutate: a message can be changed, and its signature.
func TestMutate(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	c := w.claims(ltitest.Message{Mutate: func(c map[string]any) { c["iss"] = "https://evil.example" }})
	assert.Equal(t, "https://evil.example", c["iss"])
	token := w.p.Token(ltitest.FindCase("BEYOND-ALG-NONE"), "", "n")
	assert.True(t, strings.HasSuffix(token, "."))
	assert.Panics(t, func() { ltitest.FindCase("no such case") })
	assert.Panics(t, func() { w.p.Login(ltitest.Message{ClientID: "nobody"}) })
	assert.Panics(t, func() { w.p.AddTool(ltitest.Tool{ClientID: w.tool.ClientID}) })
	_, err := w.p.AuthorizeCase(w.p.AuthRequest(w.p.Login(ltitest.Message{}), launchURL, "s", "n", nil), ltitest.FindCase("BEYOND-ALG-EC"))
	assert.ErrorContains(t, err, "OddKeys")
}
