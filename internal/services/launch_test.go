//go:build unix

package services_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestApplicationKeys publishes the keys of three instances through a rotation.
//
// Requirement: RB-VAR-CANVAS-PRIVATE-KEY
func TestApplicationKeys(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	before, after, beta := newKey(t), newKey(t), newKey(t)
	s := e.start(t, map[string]string{
		"CANVAS_PROD_PRIVATE_KEY": encoded(t, before, true), "CANVAS_BETA_PRIVATE_KEY": encoded(t, beta, false),
		"CANVAS_TEST_PRIVATE_KEY": encoded(t, beta, true), // the same key twice is published once
	})
	published := func() []any {
		a := s.get("/.well-known/jwks.json")
		assert.Equal(t, http.StatusOK, a.Status)
		assert.Equal(t, "public, max-age=300", a.Header.Get("Cache-Control"))
		return a.JSON["keys"].([]any)
	}
	assert.Empty(t, cmp.Diff([]any{jwk(beta), jwk(before)}, published()))
	s.Restart(map[string]string{
		"CANVAS_PROD_PRIVATE_KEY": encoded(t, after, false), "CANVAS_PROD_PRIVATE_KEY_PREVIOUS": encoded(t, before, true),
	})
	assert.Empty(t, cmp.Diff([]any{jwk(beta), jwk(after), jwk(before)}, published()))
	s.Restart(map[string]string{"CANVAS_PROD_PRIVATE_KEY_PREVIOUS": ""})
	assert.Empty(t, cmp.Diff([]any{jwk(beta), jwk(after)}, published()))
}

// TestApplicationLaunch signs in from Canvas, and refuses launches that are
// not what they should be.
func TestApplicationLaunch(t *testing.T) {
	t.Parallel()
	e := newEstate(t)
	platform, stranger := newKey(t), newKey(t)
	e.canvas.keys = map[string]any{"keys": []any{jwk(platform)}}
	s := e.start(t, map[string]string{
		"LTI_PLATFORM_URL_TEST": e.canvas.URL, "CANVAS_CLIENT_ID_TEST": "10000000000001",
	})

	a := s.get("/lti/login?iss=https://elsewhere.example&login_hint=x")
	assert.Equal(t, http.StatusUnauthorized, a.Status)

	a = s.do(http.MethodPost, "/lti/launch", strings.Repeat("a=1&", 51))
	assert.Equal(t, http.StatusUnauthorized, a.Status)

	good := map[string]any{
		"iss": "https://canvas.test.instructure.com", "aud": "10000000000001", "sub": "kim",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
		"https://purl.imsglobal.org/spec/lti/claim/version":      "1.3.0",
		"https://purl.imsglobal.org/spec/lti/claim/message_type": "LtiResourceLinkRequest",
	}
	cases := []struct {
		name   string
		key    *rsa.PrivateKey
		kid    *rsa.PrivateKey // the key by whose name it is signed, key itself where nil
		claims map[string]any
		status int
	}{
		{"good", platform, nil, nil, http.StatusOK},
		{"signed by another in its name", stranger, platform, nil, http.StatusUnauthorized},
		{"signed by another", stranger, nil, nil, http.StatusUnauthorized},
		{"of another platform", platform, nil, map[string]any{"iss": "https://canvas.instructure.com"}, http.StatusUnauthorized},
		{"for another tool", platform, nil, map[string]any{"aud": []string{"2"}}, http.StatusUnauthorized},
		{"for several tools", platform, nil, map[string]any{"aud": []string{"10000000000001", "2"}}, http.StatusUnauthorized},
		{"expired", platform, nil, map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, http.StatusUnauthorized},
		{"of another login", platform, nil, map[string]any{"nonce": "x"}, http.StatusUnauthorized},
		{"without a user", platform, nil, map[string]any{"sub": nil}, http.StatusUnauthorized},
		{"of another version", platform, nil, map[string]any{"https://purl.imsglobal.org/spec/lti/claim/version": "1.1"}, http.StatusUnauthorized},
	}
	refused := 2. // the two above
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			s := &site{t: t, RunningApplication: s.RunningApplication}
			claims, named := maps.Clone(good), test.kid
			if named == nil {
				named = test.key
			}
			state, stateCookie := s.loginFromCanvas(e.canvas.URL, claims)
			maps.Copy(claims, test.claims)
			form := url.Values{"state": {state}, "id_token": {signed(t, test.key, named, claims)}}.Encode()
			a := s.do(http.MethodPost, "/lti/launch", form, "Cookie", stateCookie)
			assert.Equal(t, test.status, a.Status, a.Text)
			again := s.do(http.MethodPost, "/lti/launch", form, "Cookie", stateCookie)
			assert.Equal(t, http.StatusUnauthorized, again.Status, "a launch serves once")
			elsewhere := s.do(http.MethodPost, "/lti/launch", form)
			assert.Equal(t, http.StatusUnauthorized, elsewhere.Status, "another browser")
			refused += 2
			if test.status != http.StatusOK {
				refused++
				return
			}
			session := ""
			for _, set := range a.Header.Values("Set-Cookie") {
				if strings.HasPrefix(set, "qa_session=") {
					session, _, _ = strings.Cut(set, ";")
				}
			}
			assert.Equal(t, "test:kim", s.get("/sessions/current", "Cookie", session).JSON["user"])
		})
	}
	assert.Equal(t, refused, s.ops(http.MethodGet, "/health/security-metrics").JSON["failed_launches_total"])
	assert.Contains(t, s.Log(), "launch failed: InvalidIssuerError")
}

// loginFromCanvas begins a launch and puts its nonce into the claims.
func (s *site) loginFromCanvas(platform string, claims map[string]any) (state, cookie string) {
	s.t.Helper()
	query := url.Values{"iss": {"https://canvas.test.instructure.com"}, "login_hint": {"hint"}, "lti_message_hint": {"message"}}
	a := s.get("/lti/login?" + query.Encode())
	require.Equal(s.t, http.StatusFound, a.Status, a.Text)
	location, err := url.Parse(a.Header.Get("Location"))
	require.NoError(s.t, err)
	assert.Equal(s.t, platform+"/api/lti/authorize_redirect", location.Scheme+"://"+location.Host+location.Path)
	asked := location.Query()
	claims["nonce"], state = asked.Get("nonce"), asked.Get("state")
	for _, own := range []string{"nonce", "state"} {
		asked.Del(own)
	}
	assert.Empty(s.t, cmp.Diff(url.Values{
		"scope": {"openid"}, "response_type": {"id_token"}, "response_mode": {"form_post"}, "prompt": {"none"},
		"client_id": {"10000000000001"}, "redirect_uri": {s.URL() + "/lti/launch"},
		"login_hint": {"hint"}, "lti_message_hint": {"message"},
	}, asked))
	cookie, _, _ = strings.Cut(a.Header.Get("Set-Cookie"), ";")
	return state, cookie
}

func newKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

// encoded is the key as a variable holds it: PEM, PKCS #8 or #1, in base64.
func encoded(t *testing.T, key *rsa.PrivateKey, pkcs8 bool) string {
	t.Helper()
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if pkcs8 {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		block = &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(block))
}

// jwk is the public key as it is published, all members of it. The name is its
// thumbprint by RFC 7638.
func jwk(key *rsa.PrivateKey) map[string]any {
	n := base64.RawURLEncoding.EncodeToString(key.N.Bytes())
	thumbprint := sha256.Sum256([]byte(`{"e":"AQAB","kty":"RSA","n":"` + n + `"}`))
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "n": n, "e": "AQAB",
		"kid": base64.RawURLEncoding.EncodeToString(thumbprint[:]),
	}
}

// signed is a JSON Web Token of the claims, which says that it is signed by the
// key named.
func signed(t *testing.T, key, named *rsa.PrivateKey, claims map[string]any) string {
	t.Helper()
	var parts []string
	for _, part := range []any{map[string]any{"alg": "RS256", "typ": "JWT", "kid": jwk(named)["kid"]}, claims} {
		text, err := json.Marshal(part)
		require.NoError(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	digest := sha256.Sum256([]byte(strings.Join(parts, ".")))
	signature, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, digest[:])
	require.NoError(t, err)
	return strings.Join(append(parts, base64.RawURLEncoding.EncodeToString(signature)), ".")
}
