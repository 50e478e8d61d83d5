package canvastest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestLoggingOut(t *testing.T) {
	var fake canvastest.Server
	token := fake.AddToken(canvastest.Token{})
	cookie := []string{"Authorization", "", "Cookie", "canvas_session=" + fake.LogIn(2)}
	require.Equal(t, http.StatusOK, get(t, &fake, self, cookie...).StatusCode)
	r := send(t, &fake, "DELETE", "/api/v1/users/2/sessions", nil)
	assert.Equal(t, "ok", string(r.body), "not JSON, whatever it says")
	assert.Equal(t, http.StatusUnauthorized, get(t, &fake, self, cookie...).StatusCode)
	assert.Contains(t, get(t, &fake, "/login/session_token", bearer(token)...).json(t)["session_url"], "session_token=")
	assert.Equal(t, http.StatusOK, send(t, &fake, "DELETE", "/login/oauth2/token", nil, bearer(token)...).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, get(t, &fake, self, bearer(token)...).StatusCode)
	assert.Equal(t, http.StatusBadRequest, send(t, &fake, "DELETE", "/login/oauth2/token", nil, "Authorization", "").StatusCode)
}

func TestTheBrowsersPartOfOAuth(t *testing.T) {
	var fake canvastest.Server
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"redirect_uris": "https://app.example.com/cb\nhttps://app.example.com/cb2", "require_scopes": true, "scopes": []string{"url:GET|/api/v1/courses"}})
	auth := func(q ...string) (int, string) {
		values := url.Values{"client_id": {strconv.FormatInt(key, 10)}, "redirect_uri": {"https://app.example.com/cb"}, "response_type": {"code"}, "state": {"s1"}, "scope": {"url:GET|/api/v1/courses"}}
		for i := 0; i < len(q); i += 2 {
			values.Set(q[i], q[i+1])
		}
		r := get(t, &fake, "/login/oauth2/auth?"+values.Encode(), "Authorization", "")
		return r.StatusCode, r.Header.Get("Location")
	}
	_, to := auth()
	assert.Equal(t, school+"/login", to)
	for param, value := range map[string]string{"response_type": "token", "scope": "url:GET|/api/v1/users/:id", "prompt": "none"} {
		status, to := auth(param, value)
		assert.Equal(t, http.StatusFound, status)
		assert.Contains(t, to, "https://app.example.com/cb?error=")
		assert.Contains(t, to, "state=s1")
	}
	status, _ := auth("redirect_uri", "https://evil.example.com")
	assert.Equal(t, http.StatusBadRequest, status)
	status, _ = auth("client_id", "99")
	assert.Equal(t, http.StatusUnauthorized, status)
}

func TestPublicClientsRotateTheirRefreshToken(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"client_type": "public"})
	sum := sha256.Sum256([]byte("verifier"))
	code := func() string {
		return fake.Authorize(canvastest.Consent{Key: key, Challenge: base64.RawURLEncoding.EncodeToString(sum[:])})
	}
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {strconv.FormatInt(key, 10)}, "code": {code()}, "code_verifier": {"wrong"}}
	assert.Equal(t, http.StatusBadRequest, grant(t, fake, form).StatusCode)
	form.Set("code_verifier", "verifier")
	first := grant(t, fake, form).json(t)["refresh_token"].(string)
	refresh := func(token string) reply {
		return grant(t, fake, url.Values{"grant_type": {"refresh_token"}, "client_id": {strconv.FormatInt(key, 10)}, "refresh_token": {token}})
	}
	second := refresh(first).json(t)["refresh_token"].(string)
	assert.NotEqual(t, first, second)
	assert.Equal(t, "refresh_token not found", refresh(first).json(t)["error_description"])
	assert.Equal(t, http.StatusOK, refresh(second).StatusCode)
}

func TestTokensOfKeysThatAreOff(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
	token := fake.AddToken(canvastest.Token{Key: key})
	self := func() reply { return get(t, fake, "/api/v1/users/self", bearer(token)...) }
	require.Equal(t, http.StatusOK, self().StatusCode)
	path := "/api/v1/accounts/1/developer_keys/" + strconv.FormatInt(key, 10) + "/developer_key_account_bindings"
	r := sendJSON(t, fake, "POST", path, `{"workflow_state":"off"}`)
	assert.Equal(t, "off", r.json(t)["workflow_state"])
	assert.Contains(t, string(self().body), "Invalid access token.")
	send(t, fake, "POST", path, url.Values{"developer_key_account_binding[workflow_state]": {"on"}})
	assert.Equal(t, http.StatusOK, self().StatusCode)
	fake.Set(canvastest.DeveloperKeys, key, canvastest.Object{"workflow_state": "inactive"})
	assert.Equal(t, http.StatusUnauthorized, self().StatusCode)
}

func TestAToolReplacesItsKey(t *testing.T) {
	const scope = "https://canvas.instructure.com/lti/public_jwk/scope/update"
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
	o := newTool(t)
	o.id = fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"is_lti_key": true, "public_jwk": o.jwk(), "scopes": []string{scope, progressScope}})
	token := bearer(o.token(t, fake, scope))
	jwk := o.jwk()
	jwk["kid"] = "key-2"
	raw, err := json.Marshal(map[string]any{"public_jwk": jwk})
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, sendJSON(t, fake, "PUT", "/api/lti/developer_key/update_public_jwk", string(raw), token...).StatusCode)
	assert.Equal(t, http.StatusBadRequest, sendJSON(t, fake, "PUT", "/api/lti/developer_key/update_public_jwk", `{"public_jwk":{"kty":"EC"}}`, token...).StatusCode)
	assert.Equal(t, http.StatusUnauthorized, sendJSON(t, fake, "PUT", "/api/lti/developer_key/update_public_jwk", string(raw), bearer(o.token(t, fake, progressScope))...).StatusCode)
	config := fmt.Sprintf("/api/lti/developer_keys/%d/tool_configuration", o.id)
	put := sendJSON(t, fake, "PUT", config, `{"tool_configuration":{"settings":{"title":"New"}}}`)
	assert.Equal(t, "New", put.json(t)["tool_configuration"].(map[string]any)["settings"].(map[string]any)["title"])
}
