package ltitest_test

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// gone in changes takes a claim away.
type gone struct{}

func changed(claims, changes map[string]any) map[string]any {
	claims = maps.Clone(claims)
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == gone{} })
	return claims
}

// sign signs as a tool does.
func sign(t testing.TB, claims, header map[string]any, key *rsa.PrivateKey) string {
	t.Helper()
	part := func(v any) string {
		raw, err := json.Marshal(v)
		require.NoError(t, err)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	signed := part(changed(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "tool-1"}, header)) + "." + part(claims)
	sum := sha256.Sum256([]byte(signed))
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:])
	require.NoError(t, err)
	return signed + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// world is a platform with a tool that is made of texts.
type world struct {
	t    testing.TB
	p    *ltitest.Platform
	tool ltitest.Tool
	http *http.Client
	jti  int
}

func newWorld(t testing.TB, p *ltitest.Platform) *world {
	tool := p.AddTool(ltitest.Tool{
		LoginURL: loginURL, RedirectURIs: []string{launchURL}, TargetLinkURI: targetURL, PublicJWK: ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1"),
	})
	return &world{t: t, p: p, tool: tool, http: p.Client()}
}

// each runs a test for both kinds of platform.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	for name, canvas := range map[string]bool{"neutral": false, "Canvas": true} {
		t.Run(name, func(t *testing.T) { test(t, newWorld(t, &ltitest.Platform{Canvas: canvas})) })
	}
}

type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r *reply) json(t testing.TB) map[string]any {
	t.Helper()
	var o map[string]any
	require.NoError(t, json.Unmarshal(r.body, &o), "%s", r.body)
	return o
}

func (r *reply) list(t testing.TB) []map[string]any {
	t.Helper()
	var o []map[string]any
	require.NoError(t, json.Unmarshal(r.body, &o), "%s", r.body)
	return o
}

// do makes a request; header are names and values.
func (w *world) do(method, address string, body []byte, header ...string) *reply {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, address, bytes.NewReader(body))
	require.NoError(w.t, err)
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := w.http.Do(req)
	require.NoError(w.t, err)
	raw, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	return &reply{resp.StatusCode, resp.Header, raw}
}

func (w *world) assertion() map[string]any {
	w.jti++
	return map[string]any{
		"iss": w.tool.ClientID, "sub": w.tool.ClientID, "aud": w.p.Endpoints().TokenURL, "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix(), "jti": w.jti,
	}
}

// grant asks for a token with changed claims and a changed form.
func (w *world) grant(claims, header map[string]any, form map[string]string) *reply {
	w.t.Helper()
	v := url.Values{
		"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		"client_assertion": {sign(w.t, changed(w.assertion(), claims), header, ltitest.ToolKey(0))}, "scope": {strings.Join(ltitest.Scopes(), " ")},
	}
	for name, value := range form {
		v.Set(name, value)
	}
	return w.do(http.MethodPost, w.p.Endpoints().TokenURL, []byte(v.Encode()), "Content-Type", "application/x-www-form-urlencoded")
}

// bearer returns the header with a new token.
func (w *world) bearer(scopes ...string) string {
	w.t.Helper()
	form := map[string]string{}
	if len(scopes) > 0 {
		form["scope"] = strings.Join(scopes, " ")
	}
	r := w.grant(nil, nil, form)
	require.Equal(w.t, http.StatusOK, r.status, string(r.body))
	token, _ := r.json(w.t)["access_token"].(string)
	return "Bearer " + token
}

// claims opens a message and returns its claims.
func (w *world) claims(m ltitest.Message) map[string]any {
	w.t.Helper()
	form := w.p.Login(m)
	answer, err := w.p.Authorize(w.p.AuthRequest(form, launchURL, "s", "n", nil))
	require.NoError(w.t, err)
	require.Empty(w.t, answer.Form.Get("error"), answer.Form.Get("error_description"))
	return claimsOf(w.t, answer.Form.Get("id_token"))
}

func claimsOf(t testing.TB, token string) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	require.NoError(t, err)
	var claims map[string]any
	require.NoError(t, json.Unmarshal(raw, &claims))
	return claims
}

func object(claims map[string]any, name string) map[string]any {
	o, _ := claims[name].(map[string]any)
	return o
}

func text(o map[string]any, name string) string {
	s, _ := o[name].(string)
	return s
}

const (
	agsClaim  = "https://purl.imsglobal.org/spec/lti-ags/claim/endpoint"
	nrpsClaim = "https://purl.imsglobal.org/spec/lti-nrps/claim/namesroleservice"
	dlClaim   = "https://purl.imsglobal.org/spec/lti-dl/claim/"
	ltiClaim  = "https://purl.imsglobal.org/spec/lti/claim/"
)
