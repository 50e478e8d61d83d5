package lti_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// FuzzToken: whatever a token is made of, it is taken apart without harm, and
// not verified.
func FuzzToken(f *testing.F) {
	f.Add(header(nil), payload(canvasClaims("n", time.Now())))
	f.Add(header(map[string]any{"crit": []string{"b64"}, "kid": 1}), `{"iss":1,"aud":[[]],"exp":1e400,"nonce":{}}`)
	f.Add(`{"alg":"none"}`, `{"https://purl.imsglobal.org/spec/lti/claim/custom":{"a":[{}],"b":"\ud800"},"aud":{}}`)
	f.Add(`{}`, strings.Repeat("[", 200))
	keys, err := lti.NewKeySets(lti.KeySetsConfig{HTTP: &http.Client{Transport: platformKeys{}}})
	require.NoError(f, err)
	r := lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "school.test.instructure.com")
	f.Fuzz(func(t *testing.T, header, payload string) {
		token := strings.TrimSuffix(rawToken(header, payload), "A") // the signature is damaged if it can be
		for _, text := range []string{token[:len(token)-4] + "AAAA", header + "." + payload + ".", header} {
			e := lti.Examine(t.Context(), text, r, lti.ExamineConfig{KeySets: keys})
			assert.False(t, e.Verified)
			require.NotEmpty(t, e.Problems)
			for _, p := range e.Problems {
				assert.Less(t, len(p.Error()), 4000)
			}
		}
	})
}

// FuzzClaims: a payload that the platform signed is decoded without harm, and a
// launch that is accepted has what it must have.
func FuzzClaims(f *testing.F) {
	f.Add(payload(canvasClaims("n", time.Now())))
	f.Add(`{"iss":"https://canvas.test.instructure.com","aud":["10000000000042"],"exp":-1e999,"iat":1E5,"sub":null}`)
	f.Add(`{"https://purl.imsglobal.org/spec/lti/claim/launch_presentation":{"width":"1e9","height":[]}}`)
	r := lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "school.test.instructure.com")
	f.Fuzz(func(t *testing.T, payload string) {
		e := lti.Examine(t.Context(), rawToken(header(nil), payload), r, lti.ExamineConfig{})
		if len(e.Problems) == 0 {
			assert.Equal(t, r.Issuer, e.Issuer)
			assert.Contains(t, e.Audience, r.ClientID)
			assert.NotEmpty(t, e.DeploymentID)
			assert.True(t, e.Expires.After(time.Now().Add(-2*time.Minute)))
		}
	})
}

// FuzzLogin: a login initiation leads to the platform of a registration, or
// nowhere.
func FuzzLogin(f *testing.F) {
	f.Add(canvasLogin)
	f.Add("iss=%zz&iss=a&target_link_uri=https://qa.example.edu/%0d%0aSet-Cookie:x&login_hint=%00")
	f.Add("iss=https%3A%2F%2Fcanvas.test.instructure.com&login_hint=a%26b&target_link_uri=https%3A%2F%2Fqa.example.edu&lti_storage_target=_parent")
	handler := benchTool(f, nil).LoginHandler()
	f.Fuzz(func(t *testing.T, form string) {
		r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/login", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusFound {
			assert.Empty(t, w.Header().Get("Location"))
			return
		}
		location, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		assert.Equal(t, "sso.test.canvaslms.com", location.Host)
		// What is echoed is what a form parser reads.
		if in, err := url.ParseQuery(form); err == nil {
			assert.Equal(t, in.Get("login_hint"), location.Query().Get("login_hint"))
			assert.Equal(t, in.Get("lti_message_hint"), location.Query().Get("lti_message_hint"))
		}
	})
}

// FuzzLaunch: whatever is posted without a login of this tool is refused.
func FuzzLaunch(f *testing.F) {
	f.Add("state=x&id_token=y", "__Host-lti_aaaaaaaaaaaa=b.c")
	state, _, cookie := begin(benchTool(f, func(cfg *lti.Config) { cfg.StateKeys = otherKeys() }).LoginHandler())
	f.Add("state="+state+"&id_token=a.b.c&runbook_asked=1&runbook_binding=x", cookie)
	f.Add("error=%3Cscript%3E&state="+state[:40], strings.Repeat("=;", 50))
	handler := benchTool(f, nil).LaunchHandler(func(http.ResponseWriter, *http.Request, *lti.Launch) { panic("accepted") })
	f.Fuzz(func(t *testing.T, form, cookie string) {
		r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/launch", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Cookie", cookie)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		assert.GreaterOrEqual(t, w.Code, 400)
		assert.NotContains(t, w.Body.String(), "<script>")
	})
}
