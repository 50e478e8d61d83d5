package ltitest_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// TestTokenRefuses: an assertion that Canvas refuses is refused.
func TestTokenRefuses(t *testing.T) {
	now := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	tests := map[string]struct {
		claims, header map[string]any
		form           map[string]string
		text           string // empty: a token is granted
	}{
		"good":                     {},
		"iat five minutes old":     {claims: map[string]any{"iat": now(-295 * time.Second)}},
		"iat 20 seconds ahead":     {claims: map[string]any{"iat": now(20 * time.Second)}},
		"aud as a list":            {claims: map[string]any{"aud": []string{"https://x.example", "AUD"}}},
		"iat too old":              {claims: map[string]any{"iat": now(-310 * time.Second)}, text: "300 seconds old"},
		"iat in the future":        {claims: map[string]any{"iat": now(40 * time.Second)}, text: "must not be in the future"},
		"iat as a text":            {claims: map[string]any{"iat": "1"}, text: "'iat' must be a number"},
		"expired":                  {claims: map[string]any{"exp": now(-10 * time.Second)}, text: "has expired"},
		"exp as a text":            {claims: map[string]any{"exp": "9999999999"}, text: "'exp' must be a number"},
		"no jti":                   {claims: map[string]any{"jti": gone{}}, text: "missing: jti"},
		"no iss, no exp":           {claims: map[string]any{"iss": gone{}, "exp": gone{}}, text: "missing: exp,iss"},
		"another iss":              {claims: map[string]any{"iss": "somebody"}, text: "'iss'"},
		"aud is the issuer":        {claims: map[string]any{"aud": "https://platform.example"}, text: "'aud' is invalid"},
		"aud with a slash":         {claims: map[string]any{"aud": "AUD/"}, text: "'aud' is invalid"},
		"unknown client":           {claims: map[string]any{"sub": "nobody", "iss": "nobody"}, text: "JWS signature invalid"},
		"algorithm none":           {header: map[string]any{"alg": "none"}, text: "JWS signature invalid"},
		"another algorithm":        {header: map[string]any{"alg": "RS512"}, text: "JWS signature invalid"},
		"no JWT":                   {form: map[string]string{"client_assertion": "x.y"}, text: "JWS signature invalid"},
		"another grant":            {form: map[string]string{"grant_type": "password"}, text: "grant_type"},
		"another kind of client":   {form: map[string]string{"client_assertion_type": "urn:x"}, text: "assertion method not supported"},
		"a scope that nobody has":  {form: map[string]string{"scope": ltitest.ScopeScore + " https://x.example/scope"}, text: "https://x.example/scope"},
		"no scope":                 {form: map[string]string{"scope": ""}, text: "scope"},
		"one of the scopes of AGS": {form: map[string]string{"scope": ltitest.ScopeScore}},
	}
	each(t, func(t *testing.T, w *world) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				raw, err := json.Marshal(test.claims)
				require.NoError(t, err)
				claims := test.claims
				if strings.Contains(string(raw), "AUD") {
					claims = nil // not the one of the table
					require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(string(raw), "AUD", w.p.Endpoints().TokenURL)), &claims))
				}
				r := w.grant(claims, test.header, test.form)
				body := r.json(t)
				if test.text == "" {
					require.Equal(t, http.StatusOK, r.status, body)
					assert.Equal(t, "Bearer", body["token_type"])
					assert.InDelta(t, 3600, body["expires_in"], 0)
					return
				}
				assert.Contains(t, []int{http.StatusBadRequest, http.StatusUnauthorized}, r.status)
				assert.NotEmpty(t, body["error"])
				assert.Contains(t, body["error_description"], test.text)
			})
		}
	})
}

// TestTokenKeys: the tool's key set is fetched each time, and searched by kid.
func TestTokenKeys(t *testing.T) {
	p := &ltitest.Platform{}
	w := newWorld(t, p)
	set := map[string]any{"keys": []any{ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1")}}
	mux := http.NewServeMux()
	mux.HandleFunc("/jwks", func(rw http.ResponseWriter, _ *http.Request) {
		if set == nil {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_ = json.NewEncoder(rw).Encode(set)
	})
	w.tool = p.AddTool(ltitest.Tool{JWKSURL: "https://qa.example.edu/jwks", Handler: mux})
	for range 3 {
		assert.Equal(t, http.StatusOK, w.grant(nil, nil, nil).status)
	}
	assert.Equal(t, 3, p.Count(ltitest.TheTool))

	for name, change := range map[string]func(){
		"no kid": func() {},
		"another kid": func() {
			set = map[string]any{"keys": []any{ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-2")}}
		},
		"another key": func() {
			set = map[string]any{"keys": []any{ltitest.PublicJWK(&ltitest.ToolKey(1).PublicKey, "tool-1")}}
		},
		"a private field": func() {
			k := ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1")
			k["d"] = "AA"
			set = map[string]any{"keys": []any{k}}
		},
		"no alg": func() {
			k := ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1")
			delete(k, "alg")
			set = map[string]any{"keys": []any{k}}
		},
		"no use": func() {
			k := ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1")
			delete(k, "use")
			set = map[string]any{"keys": []any{k}}
		},
		"no set":       func() { set = map[string]any{"keys": "none"} },
		"tool is down": func() { set = nil },
	} {
		change()
		header := map[string]any{}
		if name == "no kid" {
			header["kid"] = gone{}
		}
		r := w.grant(nil, header, nil)
		assert.Equal(t, http.StatusUnauthorized, r.status, name)
		assert.NotContains(t, string(r.body), "access_token", name)
	}
}

// TestTokenOptions: fewer scopes, one use of a jti, and what a tool that is
// switched off gets.
func TestTokenOptions(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{RequireUniqueJTI: true, GrantOnly: []string{ltitest.ScopeScore}, TokenLife: time.Minute})
	jti := map[string]any{"jti": "once"}
	r := w.grant(jti, nil, nil)
	assert.Equal(t, ltitest.ScopeScore, r.json(t)["scope"])
	assert.InDelta(t, 60, r.json(t)["expires_in"], 0)
	assert.Contains(t, string(w.grant(jti, nil, nil).body), "'jti' was used before")
	w.p.EnableTool(w.tool.ClientID, false)
	assert.Equal(t, http.StatusUnauthorized, w.grant(nil, nil, nil).status)
}

// TestBearer: services refuse tokens that are missing, unknown, expired, revoked
// or for something else.
func TestBearer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, canvas := range []bool{false, true} {
			w := newWorld(t, &ltitest.Platform{Canvas: canvas})
			address := text(object(w.claims(ltitest.Message{}), nrpsClaim), "context_memberships_url")
			ask := func(authorization string) int {
				return w.do(http.MethodGet, address, nil, "Authorization", authorization, "Accept", "application/vnd.ims.lti-nrps.v2.membershipcontainer+json").status
			}
			token := w.bearer()
			assert.Equal(t, http.StatusOK, ask(token))
			assert.Equal(t, http.StatusUnauthorized, ask(""))
			assert.Equal(t, http.StatusUnauthorized, ask("Bearer x"))
			assert.Equal(t, http.StatusUnauthorized, ask(strings.Replace(token, "Bearer", "Basic", 1)))
			denied := http.StatusForbidden
			if canvas {
				denied = http.StatusUnauthorized
			}
			assert.Equal(t, denied, ask(w.bearer(ltitest.ScopeScore)))
			time.Sleep(time.Hour)
			assert.Equal(t, http.StatusUnauthorized, ask(token), "expired")
			token = w.bearer()
			w.p.RevokeTokens()
			assert.Equal(t, http.StatusUnauthorized, ask(token), "revoked")
		}
	})
}

// TestUserAgent: Canvas wants one.
func TestUserAgent(t *testing.T) {
	for want, p := range map[int]*ltitest.Platform{http.StatusForbidden: {Canvas: true}, http.StatusOK: {}} {
		w := newWorld(t, p)
		assert.Equal(t, want, w.do(http.MethodGet, p.Endpoints().JWKSURL, nil, "User-Agent", "").status)
	}
	w := newWorld(t, &ltitest.Platform{Canvas: true, AllowNoUserAgent: true})
	assert.Equal(t, http.StatusOK, w.do(http.MethodGet, w.p.Endpoints().JWKSURL, nil, "User-Agent", "").status)
}
