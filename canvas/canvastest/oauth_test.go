package canvastest_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

const progressScope = "https://canvas.instructure.com/lti/progress/scope/show"

// tool is an LTI tool with its key.
type tool struct {
	key *rsa.PrivateKey
	id  int64
}

var toolKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

func newTool(t testing.TB) *tool {
	t.Helper()
	return &tool{key: toolKey()}
}

func (o *tool) jwk() map[string]any {
	return map[string]any{
		"kty": "RSA", "kid": "key-1", "alg": "RS256", "use": "sig",
		"n": base64.RawURLEncoding.EncodeToString(o.key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(o.key.E)).Bytes()),
	}
}

func (o *tool) register(fake *canvastest.Server, id int64) {
	o.id = id
	fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"id": id, "is_lti_key": true, "public_jwk": o.jwk(), "scopes": []string{progressScope}})
}

// assertion signs a client assertion; change may spoil it.
func (o *tool) assertion(t testing.TB, change func(header, claims map[string]any)) string {
	t.Helper()
	header := map[string]any{"alg": "RS256", "typ": "JWT", "kid": "key-1"}
	now := time.Now()
	claims := map[string]any{
		"iss": "tool", "sub": strconv.FormatInt(o.id, 10), "aud": school + "/login/oauth2/token", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": strconv.FormatInt(now.UnixNano(), 36),
	}
	if change != nil {
		change(header, claims)
	}
	part := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	text := part(header) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, o.key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return text + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func assertionForm(assertion, scope string) url.Values {
	return url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {assertion}, "scope": {scope},
	}
}

func grant(t testing.TB, fake *canvastest.Server, form url.Values, headers ...string) reply {
	t.Helper()
	return send(t, fake, http.MethodPost, "/login/oauth2/token", form, append([]string{"Authorization", ""}, headers...)...)
}

func (o *tool) token(t testing.TB, fake *canvastest.Server, scope string) string {
	t.Helper()
	r := grant(t, fake, assertionForm(o.assertion(t, nil), scope))
	require.Equal(t, http.StatusOK, r.StatusCode, "%s", r.body)
	text, _ := r.json(t)["access_token"].(string)
	return text
}

func TestTokensByAuthorizationCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
		key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
		id := strconv.FormatInt(key, 10)
		secret, _ := fake.Get(canvastest.DeveloperKeys, key)["api_key"].(string)
		form := func(code string) url.Values {
			return url.Values{"grant_type": {"authorization_code"}, "client_id": {id}, "client_secret": {secret}, "code": {code}}
		}
		code := fake.Authorize(canvastest.Consent{Key: key})
		r := grant(t, fake, form(code))
		require.Equal(t, http.StatusOK, r.StatusCode, "%s", r.body)
		body := r.json(t)
		assert.Equal(t, "Bearer", body["token_type"])
		assert.Equal(t, 3600.0, body["expires_in"])
		access, refresh := body["access_token"].(string), body["refresh_token"].(string)
		assert.Equal(t, http.StatusOK, get(t, fake, "/api/v1/users/self", bearer(access)...).StatusCode)

		again := grant(t, fake, form(code))
		assert.Equal(t, http.StatusBadRequest, again.StatusCode, "a code is used once")
		assert.JSONEq(t, `{"error":"invalid_grant","error_description":"authorization_code not found"}`, string(again.body))

		old := fake.Authorize(canvastest.Consent{Key: key})
		time.Sleep(11 * time.Minute)
		assert.Equal(t, http.StatusBadRequest, grant(t, fake, form(old)).StatusCode, "a code is good for 10 minutes")

		refreshed := grant(t, fake, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}}, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(id+":"+secret)))
		require.Equal(t, http.StatusOK, refreshed.StatusCode, "%s", refreshed.body)
		assert.NotContains(t, refreshed.json(t), "refresh_token", "the old one stays")
		fresh := refreshed.json(t)["access_token"].(string)
		assert.Equal(t, http.StatusUnauthorized, get(t, fake, "/api/v1/users/self", bearer(access)...).StatusCode, "the old access token is gone")
		time.Sleep(time.Hour)
		expired := get(t, fake, "/api/v1/users/self", bearer(fresh)...)
		assert.Contains(t, string(expired.body), "Expired access token.")
		assert.Contains(t, string(expired.body), "expired_at")
	})
}

// The texts are those of lib/canvas/oauth/request_error.rb.
func TestErrorsOfTheTokenEndpoint(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
	other := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
	testOnly := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"test_cluster_only": true})
	secret := func(id int64) string { s, _ := fake.Get(canvastest.DeveloperKeys, id)["api_key"].(string); return s }
	client := func(id int64, more ...string) url.Values {
		form := url.Values{"client_id": {strconv.FormatInt(id, 10)}, "client_secret": {secret(id)}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return form
	}
	for _, c := range []struct {
		name              string
		form              url.Values
		status            int
		code, description string
	}{
		{"no such client", url.Values{"grant_type": {"refresh_token"}, "client_id": {"999"}}, 401, "invalid_client", "unknown client"},
		{"a key for test instances", client(testOnly, "grant_type", "refresh_token"), 401, "invalid_client", "unknown client"},
		{"wrong secret", client(key, "grant_type", "refresh_token", "client_secret", "x"), 401, "invalid_client", "invalid client"},
		{"no code", client(key, "grant_type", "authorization_code"), 400, "invalid_request", "You must provide the code parameter when using the authorization_code grant type"},
		{"unknown code", client(key, "code", "x"), 400, "invalid_grant", "authorization_code not found"},
		{"code of another", client(other, "code", fake.Authorize(canvastest.Consent{Key: key})), 400, "invalid_grant", "incorrect client"},
		{"no refresh token", client(key, "grant_type", "refresh_token"), 400, "invalid_request", "You must provide the refresh_token parameter when using the refresh_token grant type"},
		{"unknown refresh token", client(key, "grant_type", "refresh_token", "refresh_token", "x"), 400, "invalid_request", "refresh_token not found"},
		{"other grant", client(key, "grant_type", "password"), 400, "unsupported_grant_type", "The grant_type you requested is not currently supported"},
		{"no assertion", client(key, "grant_type", "client_credentials"), 400, "invalid_request", "assertion method not supported for this grant_type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := grant(t, fake, c.form)
			assert.Equal(t, c.status, r.StatusCode)
			assert.Equal(t, map[string]any{"error": c.code, "error_description": c.description}, r.json(t))
			if c.status == http.StatusUnauthorized {
				assert.Equal(t, "Canvas OAuth 2.0", r.Header.Get("WWW-Authenticate"))
			}
		})
	}
}

func TestClientAssertions(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
	o := newTool(t)
	o.register(fake, 170000000000003)
	now := time.Now()
	for _, c := range []struct {
		name    string
		change  func(header, claims map[string]any)
		problem string
	}{
		{"another kid, one stored key", func(h, _ map[string]any) { h["kid"] = "other" }, ""},
		{"audience of the sso host, in a list", func(_, c map[string]any) { c["aud"] = []string{"https://sso.canvaslms.com/login/oauth2/token"} }, ""},
		{"iat 20 s ahead", func(_, c map[string]any) { c["iat"] = now.Add(20 * time.Second).Unix() }, ""},
		{"wrong algorithm", func(h, _ map[string]any) { h["alg"] = "none" }, "JWS signature invalid."},
		{"unknown client", func(_, c map[string]any) { c["sub"] = "12" }, "JWS signature invalid."},
		{"wrong audience", func(_, c map[string]any) { c["aud"] = "https://other.example.com/login/oauth2/token" }, "the 'aud' is invalid"},
		{"expired, and old", func(_, c map[string]any) {
			c["exp"], c["iat"] = now.Add(-time.Minute).Unix(), now.Add(-time.Hour).Unix()
		}, "the JWT has expired | the 'iat' must be less than 300 seconds old"},
		{"from the future", func(_, c map[string]any) { c["iat"] = now.Add(2 * time.Minute).Unix() }, "the 'iat' must not be in the future"},
		{"without jti and iss", func(_, c map[string]any) { delete(c, "jti"); delete(c, "iss") }, "the following assertions are missing: jti,iss"},
		{"exp as text", func(_, c map[string]any) { c["exp"] = "soon" }, "the 'exp' must be a number"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := grant(t, fake, assertionForm(o.assertion(t, c.change), progressScope))
			if c.problem == "" {
				assert.Equal(t, http.StatusOK, r.StatusCode, "%s", r.body)
				return
			}
			assert.Equal(t, http.StatusBadRequest, r.StatusCode)
			assert.Equal(t, map[string]any{"error": "invalid_request", "error_description": c.problem}, r.json(t))
		})
	}
	spoilt := o.assertion(t, nil)
	r := grant(t, fake, assertionForm(spoilt[:len(spoilt)-8]+"AAAAAAAA", progressScope))
	assert.Equal(t, "JWS signature invalid.", r.json(t)["error_description"])
	r = grant(t, fake, assertionForm("rubbish", progressScope))
	assert.Equal(t, http.StatusBadRequest, r.StatusCode)

	r = grant(t, fake, assertionForm(o.assertion(t, nil), progressScope+" b c"))
	assert.Equal(t, "invalid_scope", r.json(t)["error"])
	assert.Contains(t, r.json(t)["error_description"], "not granted: b and c")

	ok := grant(t, fake, assertionForm(o.assertion(t, nil), progressScope)).json(t)
	assert.Equal(t, progressScope, ok["scope"])
	assert.Equal(t, 3600.0, ok["expires_in"])
}

// Keys that a tool publishes are looked up by kid.
func TestClientAssertionsWithAKeySet(t *testing.T) {
	o := newTool(t)
	set := `{"keys":[]}`
	var broken error
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}, KeySet: func(url string) ([]byte, error) {
		assert.Equal(t, "https://tool.example.com/jwks", url)
		return []byte(set), broken
	}}
	o.id = fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"is_lti_key": true, "public_jwk_url": "https://tool.example.com/jwks", "scopes": []string{progressScope}})
	problem := func() any {
		return grant(t, fake, assertionForm(o.assertion(t, nil), progressScope)).json(t)["error_description"]
	}
	assert.Equal(t, "JWK Error: JSON::JWK::Set::KidNotFound", problem())
	set = "<html>"
	assert.Equal(t, "JWK Error: Invalid JSON", problem())
	broken = errors.New("connection refused")
	assert.Equal(t, "JWK Error: connection refused", problem())
	raw, err := json.Marshal(map[string]any{"keys": []any{o.jwk()}})
	require.NoError(t, err)
	set, broken = string(raw), nil
	assert.Nil(t, problem())
}
