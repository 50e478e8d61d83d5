package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/examples/internal/config"
)

// An issuer is a provider of OpenID Connect: discovery, the authorization endpoint with PKCE,
// the token endpoint with the client's secret, and its keys. Who signs in there is set by the
// test, and so is what it gets wrong.
type issuer struct {
	*httptest.Server
	t   *testing.T
	key jwk.Key

	mu     sync.Mutex
	codes  map[string]url.Values // by code, the request
	claims map[string]any        // of who signs in
	forge  bool                  // sign with another key than the published one
	refuse bool                  // take no code, and repeat what was sent
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, codes: make(map[string]url.Values), key: newKey(t)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": i.URL, "authorization_endpoint": i.URL + "/authorize", "token_endpoint": i.URL + "/token", "jwks_uri": i.URL + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}, "id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		public, err := i.key.PublicKey()
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"keys": []any{public}})
	})
	mux.HandleFunc("GET /authorize", i.authorize)
	mux.HandleFunc("POST /token", i.token)
	i.Server = httptest.NewServer(mux)
	t.Cleanup(i.Close)
	return i
}

func newKey(t *testing.T) jwk.Key {
	raw, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	key, err := jwk.Import(raw)
	require.NoError(t, err)
	require.NoError(t, key.Set(jwk.KeyIDKey, "k1"))
	require.NoError(t, key.Set(jwk.AlgorithmKey, jwa.ES256()))
	return key
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the test is over
}

func (i *issuer) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("client_id") != "opsd" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || !strings.Contains(q.Get("scope"), "openid") {
		http.Error(w, "invalid_request", http.StatusBadRequest)
		return
	}
	code := rand.Text()
	i.mu.Lock()
	i.codes[code] = q
	i.mu.Unlock()
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+url.Values{"code": {code}, "state": {q.Get("state")}}.Encode(), http.StatusSeeOther)
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.refuse {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"error": "invalid_grant", "error_description": r.PostFormValue("code") + r.PostForm.Encode()})
		return
	}
	q := i.codes[r.PostFormValue("code")]
	delete(i.codes, r.PostFormValue("code")) // good for once
	id, secret, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if q == nil || id != "opsd" || secret != "client-secret" || base64.RawURLEncoding.EncodeToString(sum[:]) != q.Get("code_challenge") || r.PostFormValue("redirect_uri") != q.Get("redirect_uri") {
		w.WriteHeader(http.StatusBadRequest)
		answer(w, map[string]string{"error": "invalid_grant"})
		return
	}
	b := jwt.NewBuilder().Issuer(i.URL).Subject("u1").Audience([]string{"opsd"}).IssuedAt(time.Now()).Expiration(time.Now().Add(time.Minute)).Claim("nonce", q.Get("nonce"))
	for name, value := range i.claims {
		b = b.Claim(name, value)
	}
	tok, err := b.Build()
	if err != nil {
		i.t.Error(err)
	}
	key := i.key
	if i.forge {
		key = newKey(i.t)
	}
	signed, err := jwt.Sign(tok, jwt.WithKey(jwa.ES256(), key))
	if err != nil {
		i.t.Error(err)
	}
	answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": string(signed)})
}

// site is opsd with an issuer, and a browser in front of it.
type site struct {
	*testing.T
	issuer  *issuer
	server  *httptest.Server
	service *service
	browser *http.Client
	log     *lockedBuffer
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{T: t, issuer: newIssuer(t), log: new(lockedBuffer)}
	var handler http.Handler
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
	t.Cleanup(s.server.Close)
	cfg := embedded(estateSettings{Seed: 1})
	cfg.Server = server{Listen: "127.0.0.1:0", URL: s.server.URL}
	cfg.People[0].Login, cfg.People[1].Login = "ana@example.edu", "ben@example.edu"
	cfg.SignIn = &signIn{Issuer: s.issuer.URL, ClientID: "opsd", ClientSecret: runbook.NewSecret("client-secret")}
	cfg.complete()
	cfg.State = stateSettings{}
	v, err := newService(t.Context(), cfg, &journal{w: s.log, json: true})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, v.close(t.Context())) })
	s.service, handler = v, v.server
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	s.browser = &http.Client{Jar: jar}
	return s
}

// signIn goes through the issuer, and returns where it ends.
func (s *site) signIn(claims map[string]any) *http.Response {
	s.Helper()
	s.issuer.mu.Lock()
	s.issuer.claims = claims
	s.issuer.mu.Unlock()
	resp, err := s.browser.Get(s.server.URL + "/sign-in/issuer?next=/ops/status/")
	require.NoError(s, err)
	s.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// who asks the API with the browser's cookies.
func (s *site) who() int {
	s.Helper()
	resp, err := s.browser.Get(s.server.URL + "/api/host/status")
	require.NoError(s, err)
	defer resp.Body.Close()
	return resp.StatusCode
}

// Somebody signs in at the issuer of the organisation, and is the person of the
// configuration with that login.
func TestSigningInAtTheIssuer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	assert.Equal(t, http.StatusUnauthorized, s.who())
	resp := s.signIn(map[string]any{"email": "Ana@example.edu", "email_verified": true})
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "/ops/status/", resp.Request.URL.Path)
	assert.Equal(t, http.StatusOK, s.who())
	resp, err := s.browser.Post(s.server.URL+"/sign-out", "application/x-www-form-urlencoded", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusUnauthorized, s.who())
}

// Some issuers write what is true or false as a text.
func TestSigningInWithVerifiedAsText(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	assert.Equal(t, http.StatusOK, s.signIn(map[string]any{"email": "ana@example.edu", "email_verified": "true"}).StatusCode)
	assert.Equal(t, http.StatusOK, s.who())
}

// Why somebody was not signed in is in the log, for whoever keeps opsd: without codes and
// tokens, whatever the issuer repeats of them.
func TestWhySomebodyIsNotSignedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Equal(t, http.StatusUnauthorized, s.signIn(map[string]any{"email": "ana@example.edu", "email_verified": false}).StatusCode)
	assert.Contains(t, s.log.String(), "the issuer does not say that it has verified the mail address")
	require.Equal(t, http.StatusUnauthorized, s.signIn(map[string]any{"name": "Ana Silva"}).StatusCode)
	assert.Contains(t, s.log.String(), "there is no claim email")
	assert.NotContains(t, s.log.String(), "ana@example.edu")
	s.issuer.mu.Lock()
	s.issuer.refuse = true
	s.issuer.mu.Unlock()
	require.Equal(t, http.StatusUnauthorized, s.signIn(nil).StatusCode)
	assert.Contains(t, s.log.String(), "the code was not taken")
	assert.Contains(t, s.log.String(), "invalid_grant")
	s.issuer.mu.Lock()
	defer s.issuer.mu.Unlock()
	require.Len(t, s.issuer.codes, 1, "the code that was refused")
	for code := range s.issuer.codes {
		assert.NotContains(t, s.log.String(), code)
	}
	assert.NotContains(t, s.log.String(), "code_verifier")
}

// An issuer that does not answer holds nobody up who has gone, and is asked once at a time.
// Afterwards it is asked again.
func TestAnIssuerThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, 8), make(chan int)
	i := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case status := <-release:
			w.WriteHeader(status)
		case <-r.Context().Done():
		case <-time.After(5 * time.Second): // so that the test ends if it fails
		}
	}))
	t.Cleanup(i.Close)
	in := &signer{settings: &settings{SignIn: &signIn{Issuer: i.URL, ClientID: "opsd"}}, logger: slog.New(slog.DiscardHandler)}
	var waiting sync.WaitGroup
	ask := func() {
		waiting.Go(func() {
			_, _, err := in.issuer(t.Context())
			assert.ErrorContains(t, err, "503")
		})
	}
	ask()
	<-asked
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err := in.issuer(gone)
	require.ErrorIs(t, err, context.Canceled, "nothing of the issuer was awaited")
	assert.Empty(t, asked, "it is asked already")
	release <- http.StatusServiceUnavailable
	waiting.Wait()
	ask()
	<-asked
	release <- http.StatusServiceUnavailable
	waiting.Wait()
}

// Whoever the issuer does not vouch for is not let in.
func TestNotSignedIn(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for name, claims := range map[string]map[string]any{
		"nobody of opsd":         {"email": "eve@example.edu", "email_verified": true},
		"address not verified":   {"email": "ana@example.edu", "email_verified": false},
		"not verified, in text":  {"email": "ana@example.edu", "email_verified": "false"},
		"nothing of verified":    {"email": "ana@example.edu", "email_verified": nil},
		"not said at all":        {"email": "ana@example.edu"},
		"verified is a number":   {"email": "ana@example.edu", "email_verified": 1},
		"no address":             {"name": "Ana Silva"},
		"for another client":     {"email": "ana@example.edu", "aud": []string{"other"}},
		"of another issuer":      {"email": "ana@example.edu", "iss": "https://evil.example"},
		"over":                   {"email": "ana@example.edu", "exp": time.Now().Add(-time.Hour).Unix()},
		"for another sign-in":    {"email": "ana@example.edu", "nonce": "other"},
		"address that is a list": {"email": []string{"ana@example.edu"}},
	} {
		resp := s.signIn(claims)
		assert.GreaterOrEqual(t, resp.StatusCode, 400, name)
		assert.Equal(t, http.StatusUnauthorized, s.who(), name)
	}
	s.issuer.forge = true
	assert.Equal(t, http.StatusUnauthorized, s.signIn(map[string]any{"email": "ana@example.edu", "email_verified": true}).StatusCode, "signed by another key")
	s.issuer.forge = false
	// What comes back was not begun in this browser.
	resp, err := s.browser.Get(s.server.URL + "/sign-in/callback?code=x&state=y")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
}

// Pages of other sites can give no commands with somebody's session, whatever they send; and a
// token needs no page.
func TestOtherSites(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.Equal(t, http.StatusOK, s.signIn(map[string]any{"email": "ana@example.edu", "email_verified": true}).StatusCode)
	post := func(path, contentType, body string, header map[string]string, c *http.Client) int {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", contentType)
		for name, value := range header {
			r.Header.Set(name, value)
		}
		resp, err := c.Do(r)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	const command = `{"environment":"test","until":"2099-01-01T00:00:00Z","comment":"x"}`
	for name, header := range map[string]map[string]string{
		"another site": {"Sec-Fetch-Site": "cross-site"}, "the same site": {"Sec-Fetch-Site": "same-site"}, "an old browser": {"Origin": "https://evil.example"}, "no origin": {"Origin": "null"},
	} {
		for _, path := range []string{"/api/host/silences", "/api/v1/automation/stop", "/ops/automation/stop", "/sign-out"} {
			assert.Equal(t, http.StatusForbidden, post(path, "application/json", command, header, s.browser), "%s, %s", name, path)
		}
	}
	assert.Equal(t, http.StatusUnsupportedMediaType, post("/api/host/silences", "text/plain", command, map[string]string{"Sec-Fetch-Site": "same-origin"}, s.browser))
	token := map[string]string{"Authorization": "Bearer " + rehearsalToken("Ana Silva")}
	assert.Equal(t, http.StatusNoContent, post("/api/v1/automation/stop", "application/json", `{"reason":"test"}`, token, http.DefaultClient))
	token["Authorization"] = "Bearer wrong"
	assert.Equal(t, http.StatusUnauthorized, post("/api/v1/automation/stop", "application/json", `{"reason":"test"}`, token, s.browser), "the session does not help a wrong token")
}

// A session cannot be made up, or used for something else, and ends.
func TestSessions(t *testing.T) {
	t.Parallel()
	s := embedded(estateSettings{})
	a, err := newAuth(s)
	require.NoError(t, err)
	other, err := newAuth(s)
	require.NoError(t, err)
	ask := func(a *auth, value string) error {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.AddCookie(&http.Cookie{Name: cookieSession, Value: value})
		_, err := a.Actor(r)
		return err
	}
	good, err := a.seal(session{"Ana Silva", time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.NoError(t, ask(a, good))
	require.Error(t, ask(other, good), "of another opsd")
	require.Error(t, ask(a, good+"x"))
	require.Error(t, ask(a, strings.Replace(good, good[:4], "AAAA", 1)))
	require.Error(t, ask(a, ""))
	late, err := a.seal(session{"Ana Silva", time.Now().Add(-time.Second)})
	require.NoError(t, err)
	require.Error(t, ask(a, late))
	gone, err := a.seal(session{"Eve", time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Error(t, ask(a, gone), "nobody of the configuration")
	away, err := a.seal(flow{State: "s", Until: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	require.Error(t, ask(a, away), "a sign-in that has begun is no session")
	for next, want := range map[string]string{"/ops/runs/1": "/ops/runs/1", "//evil.example": "/ops/", "https://evil.example": "/ops/", `/\evil.example`: "/ops/", "": "/ops/", "/a\nb": "/ops/"} {
		assert.Equal(t, want, local(next), next)
	}
}

// FuzzSettings: whatever is in a configuration, reading it ends, and shows no value.
func FuzzSettings(f *testing.F) {
	f.Add(sample)
	f.Add([]byte("people: [{name: x}]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s := load(config.Source{Name: "opsd.yaml", Text: text, Getenv: func(string) string { return "hunter2-canary" }})
		if err := s.problems(); err != nil {
			assert.NotContains(t, err.Error(), "canary")
		}
	})
}
