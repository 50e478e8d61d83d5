package lti_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// newServiceKeys makes a ring, once, since that takes long.
var newServiceKeys = sync.OnceValues(func() (*lti.KeyRing, error) {
	key, err := lti.GenerateKey()
	if err != nil {
		return nil, err
	}
	return lti.NewKeyRing(context.Background(), lti.KeyRingConfig{Keys: []runbook.Secret{key}})
})

func serviceKeys(t testing.TB) *lti.KeyRing {
	t.Helper()
	keys, err := newServiceKeys()
	require.NoError(t, err)
	return keys
}

// A serving is a platform's token endpoint and services, as a transport. It takes
// no request without a User-Agent, and no call with another token than the last
// it gave out for the host.
type serving struct {
	t testing.TB
	// token answers a grant instead of the default; nil means that.
	token func(form url.Values) (status int, body string)
	// service answers a call; nil means 200 and "{}".
	service func(r *http.Request, body string) (status int, h http.Header, answer string)
	// err is what the transport says of calls instead of answering.
	err error

	mu     sync.Mutex
	grants []grant
	calls  []*http.Request
	latest map[string]string // by host
}

type grant struct {
	url    string
	form   url.Values
	claims jwt.MapClaims
	header map[string]any
}

func (s *serving) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	time.Sleep(time.Millisecond)
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Header.Get("User-Agent") == "" {
		return answer(r, 403, nil, ""), nil
	}
	if strings.HasSuffix(r.URL.Path, "/login/oauth2/token") {
		return s.grant(r, string(body)), nil
	}
	s.calls = append(s.calls, r)
	if s.err != nil {
		return nil, s.err
	}
	if r.Header.Get("Authorization") != "Bearer "+s.latest[r.URL.Host] {
		return answer(r, 401, http.Header{"Www-Authenticate": {"Bearer"}}, `{"errors":{"type":"unauthorized","message":"canary"}}`), nil
	}
	if s.service == nil {
		return answer(r, 200, nil, `{}`), nil
	}
	status, h, text := s.service(r, string(body))
	return answer(r, status, h, text), nil
}

func (s *serving) grant(r *http.Request, body string) *http.Response {
	form, err := url.ParseQuery(body)
	assert.NoError(s.t, err)
	assert.Equal(s.t, "POST application/x-www-form-urlencoded", r.Method+" "+r.Header.Get("Content-Type"))
	claims := jwt.MapClaims{}
	token, err := jwt.NewParser(jwt.WithExpirationRequired(), jwt.WithIssuedAt()).ParseWithClaims(form.Get("client_assertion"), claims, publishedKey)
	if assert.NoError(s.t, err) {
		s.grants = append(s.grants, grant{r.URL.String(), form, claims, token.Header})
	}
	if s.token != nil {
		if status, text := s.token(form); text != "" {
			return answer(r, status, nil, text)
		}
	}
	if s.latest == nil {
		s.latest = make(map[string]string)
	}
	s.latest[r.URL.Host] = "secret" + strconv.Itoa(len(s.grants))
	return answer(r, 200, nil, `{"access_token":"`+s.latest[r.URL.Host]+`","token_type":"Bearer","expires_in":3600,"scope":"`+form.Get("scope")+`"}`)
}

// publishedKey returns the key of a token as the ring publishes it.
func publishedKey(token *jwt.Token) (any, error) {
	keys, err := newServiceKeys()
	if err != nil {
		return nil, err
	}
	var set struct {
		Keys []struct{ Kid, N, E string } `json:"keys"`
	}
	if err := json.Unmarshal(keys.PublicSet(), &set); err != nil {
		return nil, err
	}
	for _, k := range set.Keys {
		if k.Kid != token.Header["kid"] {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, errors.Join(err, err2)
	}
	return nil, errors.New("a kid that is not published")
}

// revoke makes all tokens invalid.
func (s *serving) revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.latest)
}

func answer(r *http.Request, status int, h http.Header, body string) *http.Response {
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json")
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}
}

func canvasServices() lti.Registration {
	r := lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "unused")
	r.TokenURL = "https://{host}/login/oauth2/token"
	r.ServiceHosts = []string{"*.instructure.com", "canvas.school.test"}
	return r
}

func newService(t testing.TB, s *serving, change func(*lti.ServiceConfig)) *lti.Service {
	t.Helper()
	s.t = t
	cfg := lti.ServiceConfig{Registration: canvasServices(), Keys: serviceKeys(t), HTTP: &http.Client{Transport: s}}
	if change != nil {
		change(&cfg)
	}
	service, err := lti.NewService(cfg)
	require.NoError(t, err)
	return service
}

const account = "https://school.instructure.com/api/lti/courses/1"

// Requirement: LTI-GOTCHA-25, LTI-CANVAS-TOKEN-HOST, LTI-CANVAS-USER-AGENT
func TestServiceToken(t *testing.T) {
	serviceKeys(t)
	synctest.Test(t, func(t *testing.T) {
		p := &serving{}
		s := newService(t, p, nil)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				scopes := []string{"a", "b"}
				if i%2 == 0 {
					scopes = []string{"b", "a", "b"}
				}
				token, err := s.Token(t.Context(), account+"/line_items?x=1", scopes...)
				assert.NoError(t, err)
				assert.Equal(t, "secret1", token.Access.Reveal())
				assert.Equal(t, []string{"a", "b"}, token.Scopes)
			})
		}
		wg.Wait()
		require.Len(t, p.grants, 1, "one grant serves all")
		g := p.grants[0]
		const endpoint = "https://school.instructure.com/login/oauth2/token"
		assert.Equal(t, endpoint, g.url)
		assert.Equal(t, "client_credentials a b urn:ietf:params:oauth:client-assertion-type:jwt-bearer", g.form.Get("grant_type")+" "+g.form.Get("scope")+" "+g.form.Get("client_assertion_type"))
		assert.Equal(t, "RS256 JWT", fmt.Sprint(g.header["alg"], " ", g.header["typ"]))
		assert.NotEmpty(t, g.header["kid"])
		assert.Equal(t, []any{"10000000000042", "10000000000042", endpoint}, []any{g.claims["iss"], g.claims["sub"], g.claims["aud"]})
		now := float64(time.Now().Unix())
		assert.InDelta(t, now-5, g.claims["iat"], 1)
		for _, skew := range []float64{-30, 0, 30} {
			theirs := now + skew
			assert.LessOrEqual(t, g.claims["iat"], theirs+30, "not in the future")
			assert.Less(t, theirs, g.claims["exp"], "not expired")
			assert.LessOrEqual(t, g.claims["exp"], theirs+300, "not further away than five minutes")
		}

		time.Sleep(54 * time.Minute)
		_, err := s.Token(t.Context(), account, "a", "b")
		require.NoError(t, err)
		assert.Len(t, p.grants, 1, "kept")
		time.Sleep(2 * time.Minute)
		_, err = s.Token(t.Context(), account, "a", "b")
		require.NoError(t, err)
		assert.Len(t, p.grants, 2, "replaced before it expires")
		assert.NotEqual(t, p.grants[0].claims["jti"], p.grants[1].claims["jti"])
		_, err = s.Token(t.Context(), account, "a")
		require.NoError(t, err)
		assert.Len(t, p.grants, 3, "other scopes are another token")
		_, err = s.Token(t.Context(), "https://other.instructure.com/x", "a")
		require.NoError(t, err)
		require.Len(t, p.grants, 4, "another host is another token")
		assert.Equal(t, "https://other.instructure.com/login/oauth2/token", p.grants[3].url)
		assert.Equal(t, p.grants[3].url, p.grants[3].claims["aud"])
	})
}

func TestServiceTokenAudience(t *testing.T) {
	p := &serving{}
	s := newService(t, p, func(cfg *lti.ServiceConfig) {
		cfg.Registration.TokenURL = "https://auth.school.test/login/oauth2/token"
		cfg.Registration.TokenAudience = "https://auth.school.test"
		cfg.UserAgent = "quiz/3 (it@school.test)"
	})
	_, err := s.Do(t.Context(), lti.ServiceCall{Op: "read", URL: account, Scopes: []string{"a"}})
	require.ErrorIs(t, err, lti.ErrUnauthenticated, "the token of another host")
	require.NotEmpty(t, p.grants)
	assert.Equal(t, "https://auth.school.test", p.grants[0].claims["aud"])
	assert.Equal(t, "https://auth.school.test/login/oauth2/token", p.grants[0].url)
	assert.Equal(t, "quiz/3 (it@school.test)", p.calls[0].Header.Get("User-Agent"))
}

// Requirement: LTI-SERVICE-SCOPES, LTI-PEER-ROBERTJNDW-SCOPES
func TestServiceGrantedScopes(t *testing.T) {
	for name, tc := range map[string]struct {
		scope            string
		granted, missing []string
		do               map[string]bool // by AnyOf, whether the call is made
	}{
		"all":      {`,"scope":"a b"`, []string{"a", "b"}, nil, map[string]bool{"": true, "a": true, "b c": true}},
		"not said": {``, []string{"a", "b"}, nil, map[string]bool{"": true, "a": true}},
		"fewer":    {`,"scope":"b"`, []string{"b"}, []string{"a"}, map[string]bool{"": false, "a": false, "b": true, "a b": true, "c": false}},
		"others":   {`,"scope":"x"`, []string{"x"}, []string{"a", "b"}, map[string]bool{"": false, "a": false}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &serving{latest: map[string]string{"school.instructure.com": "k"}}
			p.token = func(url.Values) (int, string) {
				return 200, `{"access_token":"k","token_type":"Bearer","expires_in":3600` + tc.scope + `}`
			}
			s := newService(t, p, nil)
			token, err := s.Token(t.Context(), account, "a", "b")
			require.NoError(t, err)
			assert.Equal(t, tc.granted, token.Scopes)
			assert.Equal(t, tc.missing, token.Missing)
			for need, made := range tc.do {
				p.calls = nil
				_, err := s.Do(t.Context(), lti.ServiceCall{Op: "read", URL: account, Scopes: []string{"a", "b"}, AnyOf: strings.Fields(need)})
				if made {
					assert.NoError(t, err, need)
					continue
				}
				assert.ErrorIs(t, err, lti.ErrScope, need)
				assert.True(t, runbook.SafeToRetry(err))
				assert.Empty(t, p.calls, "%q: not sent", need)
			}
			assert.Len(t, p.grants, 1)
		})
	}
}

// A token goes to the hosts of the registration only, whoever gave the address; of
// another host not even a token is asked.
//
// Requirement: LTI-GOTCHA-27
func TestServiceHosts(t *testing.T) {
	for address, want := range map[string]error{
		account:                                      nil,
		"https://SCHOOL.Instructure.com/x":           nil,
		"https://canvas.school.test/x":               nil,
		"https://evil.test/x":                        lti.ErrHost,
		"https://instructure.com/x":                  lti.ErrHost,
		"https://instructure.com.evil.test/x":        lti.ErrHost,
		"https://evilinstructure.com/x":              lti.ErrHost,
		"https://canvas.school.test.evil.test/x":     lti.ErrHost,
		"https://a.canvas.school.test/x":             lti.ErrHost,
		"https://school.instructure.com./x":          lti.ErrHost,
		"https://evil.test,.instructure.com/x":       lti.ErrHost,
		"https://evil.test<.instructure.com/x":       lti.ErrHost,
		"https://127.0.0.1/x":                        lti.ErrHost,
		"https://[::1]:8443/x":                       lti.ErrHost,
		"https://{host}/x":                           lti.ErrInvalid,
		"http://school.instructure.com/x":            lti.ErrInvalid,
		"ftp://school.instructure.com/x":             lti.ErrInvalid,
		"https://me@school.instructure.com/x":        lti.ErrInvalid,
		"https://school.instructure.com@evil.test/":  lti.ErrInvalid,
		"https://school.instructure.com/x#y":         lti.ErrInvalid,
		"https://school.instructure.com\\@evil.test": lti.ErrInvalid,
		"https:school.instructure.com/x":             lti.ErrInvalid,
		"https://%73chool.instructure.com%2f.x/":     lti.ErrInvalid,
		"//school.instructure.com/x":                 lti.ErrInvalid,
		"/api/lti":                                   lti.ErrInvalid,
		"":                                           lti.ErrInvalid,
	} {
		t.Run(address, func(t *testing.T) {
			p := &serving{}
			s := newService(t, p, nil)
			_, err := s.Do(t.Context(), lti.ServiceCall{Op: "read", URL: address, Scopes: []string{"a"}})
			_, tokenErr := s.Token(t.Context(), address, "a")
			if want == nil {
				require.NoError(t, err)
				require.NoError(t, tokenErr)
				return
			}
			require.ErrorIs(t, err, want)
			require.ErrorIs(t, tokenErr, want)
			assert.True(t, runbook.SafeToRetry(err))
			assert.Empty(t, p.grants)
			assert.Empty(t, p.calls)
		})
	}
}

// A registration that came from outside reaches no private address.
func TestServiceExternal(t *testing.T) {
	for _, host := range []string{"10.0.0.1", "169.254.169.254", "metadata.internal", "school.instructure.com"} {
		p := &serving{}
		s := newService(t, p, func(cfg *lti.ServiceConfig) {
			cfg.Registration.External = true
			cfg.Registration.ServiceHosts = []string{host}
		})
		_, err := s.Do(t.Context(), lti.ServiceCall{Op: "read", URL: "https://" + host + "/x", Scopes: []string{"a"}})
		if host == "school.instructure.com" {
			require.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "not public")
		assert.True(t, runbook.SafeToRetry(err))
		assert.Empty(t, p.grants)
	}
}

func post(op string) lti.ServiceCall {
	return lti.ServiceCall{Op: op, Method: http.MethodPost, URL: account, Scopes: []string{"a"}, ContentType: "x/y", Body: []byte("canary")}
}

// 401 proves that a call was not run: it is made once more with another token. A
// token that is new, and refused all the same, is not replaced each time.
func TestServiceRenews(t *testing.T) {
	serviceKeys(t)
	synctest.Test(t, func(t *testing.T) {
		p := &serving{}
		s := newService(t, p, nil)
		_, err := s.Do(t.Context(), post("first"))
		require.NoError(t, err)
		p.revoke()
		_, err = s.Do(t.Context(), post("second"))
		require.NoError(t, err)
		assert.Len(t, p.grants, 2)
		assert.Len(t, p.calls, 3)

		p.token = func(url.Values) (int, string) { // tokens that are never accepted
			return 200, `{"access_token":"bad` + strconv.Itoa(len(p.grants)) + `","token_type":"Bearer","expires_in":3600}`
		}
		p.revoke()
		for range 5 {
			_, err = s.Do(t.Context(), post("third"))
			require.ErrorIs(t, err, lti.ErrUnauthenticated)
			assert.True(t, runbook.SafeToRetry(err))
			e, _ := errors.AsType[*lti.Error](err)
			assert.Equal(t, "401 unauthorized canary", fmt.Sprint(e.Status, " ", e.Code, " ", e.Message))
		}
		assert.Len(t, p.grants, 3, "no grant for each call")
		assert.Len(t, p.calls, 3+2+4)
		time.Sleep(2 * time.Minute)
		_, err = s.Do(t.Context(), post("fourth"))
		require.ErrorIs(t, err, lti.ErrUnauthenticated)
		assert.Len(t, p.grants, 4, "after a while it may help")
	})
}

func TestServiceErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		h      http.Header
		body   string
		want   error // of a read
		change error // of a change
		code   string
	}{
		"forbidden":     {403, nil, `{"errors":{"type":"forbidden","message":"canary"}}`, lti.ErrForbidden, lti.ErrForbidden, "forbidden"},
		"scope":         {403, http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope"`}}, ``, lti.ErrScope, lti.ErrScope, ""},
		"not found":     {404, nil, `<html>canary`, lti.ErrNotFound, lti.ErrNotFound, ""},
		"gone":          {410, nil, ``, lti.ErrNotFound, lti.ErrNotFound, ""},
		"invalid":       {400, nil, `{"error":"bad","error_description":"canary"}`, lti.ErrInvalid, lti.ErrInvalid, "bad"},
		"unprocessable": {422, nil, `{"errors":["canary"]}`, lti.ErrInvalid, lti.ErrInvalid, ""},
		"too many":      {429, nil, ``, lti.ErrUnavailable, lti.ErrUnavailable, ""},
		"server error":  {501, nil, `{"error":{"x":1},"errors":7}`, lti.ErrUnavailable, lti.ErrUnknownOutcome, ""},
		"redirect":      {302, http.Header{"Location": {"https://evil.test/x"}}, ``, nil, nil, "redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				p := &serving{service: func(*http.Request, string) (int, http.Header, string) {
					h := tc.h.Clone()
					if h == nil {
						h = http.Header{}
					}
					h.Set("X-Request-Context-Id", "abc\n1")
					return tc.status, h, tc.body
				}}
				call := post("do it")
				call.Method = method
				_, err := newService(t, p, nil).Do(t.Context(), call)
				e, ok := errors.AsType[*lti.Error](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, tc.status, e.Status)
				assert.Equal(t, tc.code, e.Code)
				assert.Equal(t, "abc 1", e.RequestID)
				assert.NotContains(t, err.Error(), "canary")
				assert.NotContains(t, err.Error(), "secret1")
				assert.Contains(t, err.Error(), "lti: do it: school.instructure.com: status "+strconv.Itoa(tc.status))
				want := tc.want
				if method == http.MethodPost {
					want = tc.change
				}
				for _, kind := range []error{lti.ErrForbidden, lti.ErrScope, lti.ErrNotFound, lti.ErrInvalid, lti.ErrUnavailable, lti.ErrUnknownOutcome, lti.ErrUnauthenticated, lti.ErrHost} {
					assert.Equal(t, kind == want, errors.Is(err, kind), "%s: %v", method, kind)
				}
				assert.False(t, runbook.SafeToRetry(err), "an answer proves nothing")
				require.Len(t, p.calls, 1)
				assert.Equal(t, "school.instructure.com", p.calls[0].URL.Host)
			}
		})
	}
}

// What changes something is sent once, unless it is proven that it was not run.
func TestServiceRepeats(t *testing.T) {
	serviceKeys(t)
	broken := errors.New("connection reset")
	for name, tc := range map[string]struct {
		call   func(*lti.ServiceCall)
		status int
		body   string
		err    error
		calls  int
		want   error
		safe   bool
	}{
		"a read, 503":              {func(c *lti.ServiceCall) { c.Method = "" }, 503, "", nil, 4, lti.ErrUnavailable, false},
		"a read, no answer":        {func(c *lti.ServiceCall) { c.Method = "GET" }, 0, "", broken, 4, lti.ErrUnavailable, false},
		"a change, 503":            {func(*lti.ServiceCall) {}, 503, "", nil, 1, lti.ErrUnknownOutcome, false},
		"a change, no answer":      {func(*lti.ServiceCall) {}, 0, "", broken, 1, lti.ErrUnknownOutcome, false},
		"idempotent, 503":          {func(c *lti.ServiceCall) { c.Method, c.Idempotent = "PUT", true }, 503, "", nil, 4, lti.ErrUnavailable, false},
		"a change, Canvas is full": {func(*lti.ServiceCall) {}, 403, "403 Forbidden (Rate Limit Exceeded)", nil, 6, lti.ErrUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &serving{err: tc.err, service: func(*http.Request, string) (int, http.Header, string) { return tc.status, nil, tc.body }}
				call := post("do it")
				tc.call(&call)
				_, err := newService(t, p, nil).Do(t.Context(), call)
				require.ErrorIs(t, err, tc.want)
				assert.Len(t, p.calls, tc.calls)
				assert.Equal(t, tc.safe, runbook.SafeToRetry(err))
				e, _ := errors.AsType[*lti.Error](err)
				assert.Equal(t, tc.status, e.Status)
				if tc.err != nil {
					assert.ErrorIs(t, err, broken)
				}
			})
		})
	}
}

// Without a token the call was certainly not made.
func TestServiceWithoutToken(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   error
		text   string
	}{
		"client":      {400, `{"error":"invalid_client","error_description":"canary"}`, lti.ErrUnauthenticated, "status 400: not authenticated: invalid_client: from the token endpoint"},
		"scope":       {400, `{"error":"invalid_scope"}`, lti.ErrScope, "invalid_scope"},
		"HTML":        {403, `<html>canary`, lti.ErrUnauthenticated, "status 403"},
		"down":        {503, `canary`, lti.ErrUnavailable, "status 503"},
		"not a token": {200, `{"canary":1}`, lti.ErrUnavailable, "the answer is not a token"},
		"redirect":    {307, `x`, nil, "redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &serving{token: func(url.Values) (int, string) { return tc.status, tc.body }}
			s := newService(t, p, nil)
			_, err := s.Do(t.Context(), post("do it"))
			require.Error(t, err)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
			require.ErrorContains(t, err, "lti: do it: school.instructure.com")
			require.ErrorContains(t, err, tc.text)
			assert.NotContains(t, err.Error(), "canary")
			assert.True(t, runbook.SafeToRetry(err))
			assert.Empty(t, p.calls)
			assert.Len(t, p.grants, 1, "a grant is not repeated blindly")
			_, err = s.Token(t.Context(), account, "a")
			require.Error(t, err)
			assert.False(t, runbook.SafeToRetry(err), "a token may have been made")
		})
	}
	t.Run("gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newService(t, &serving{}, nil).Do(ctx, post("do it"))
		require.ErrorIs(t, err, context.Canceled)
		assert.NotErrorIs(t, err, lti.ErrUnavailable)
	})
}

func TestServicePages(t *testing.T) {
	const first = "/api/lti/courses/1?x=1"
	next := func(address string) string { return "<" + address + `>; rel="next"` }
	for name, tc := range map[string]struct {
		links map[string]string // by request URI
		want  int               // pages
		err   string
		kind  error
	}{
		"one":                 {map[string]string{first: ""}, 1, "", nil},
		"followed as it is":   {map[string]string{first: next("https://school.instructure.com/z?b=%7e&a"), "/z?b=%7e&a": ""}, 2, "", nil},
		"relative":            {map[string]string{first: next("/z"), "/z": ""}, 2, "", nil},
		"other case, no rest": {map[string]string{first: next("HTTPS://School.Instructure.COM/z#f"), "/z": ""}, 2, "", nil},
		"other host":          {map[string]string{first: next("https://other.instructure.com/z")}, 1, "another origin", lti.ErrHost},
		"foreign host":        {map[string]string{first: next("//evil.test/z")}, 1, "another origin", lti.ErrHost},
		"plain http":          {map[string]string{first: next("http://school.instructure.com/z")}, 1, "another origin", lti.ErrHost},
		"other port":          {map[string]string{first: next("https://school.instructure.com:8443/z")}, 1, "another origin", lti.ErrHost},
		"with a user":         {map[string]string{first: next("https://a@school.instructure.com/z")}, 1, "another origin", lti.ErrHost},
		"opaque":              {map[string]string{first: next("https:z")}, 1, "not a URL", nil},
		"not a URL":           {map[string]string{first: next("https://school.instructure.com/%zz")}, 1, "not a URL", nil},
		"itself":              {map[string]string{first: next("https://school.instructure.com" + first)}, 1, "comes back", nil},
		"a loop":              {map[string]string{first: next("/a"), "/a": next("/b"), "/b": next("/a")}, 3, "comes back", nil},
		"gone":                {map[string]string{first: next("/gone")}, 1, "not found", lti.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			p := &serving{service: func(r *http.Request, _ string) (int, http.Header, string) {
				link, ok := tc.links[r.URL.RequestURI()]
				if !ok {
					return 404, nil, ""
				}
				return 200, http.Header{"Link": {link}}, "[]"
			}}
			s := newService(t, p, nil)
			pages := 0
			var last error
			for resp, err := range s.Pages(t.Context(), lti.ServiceCall{Op: "list", URL: account + "?x=1", Scopes: []string{"a"}}) {
				if last = err; err != nil {
					assert.Nil(t, resp)
					continue
				}
				pages++
			}
			assert.Equal(t, tc.want, pages)
			for _, r := range p.calls {
				assert.Equal(t, "https://school.instructure.com", r.URL.Scheme+"://"+strings.ToLower(r.URL.Host))
			}
			if tc.err == "" {
				require.NoError(t, last)
				return
			}
			require.ErrorContains(t, last, tc.err)
			if tc.kind != nil {
				require.ErrorIs(t, last, tc.kind)
			}
		})
	}
}

func TestServicePagesStop(t *testing.T) {
	p := &serving{service: func(r *http.Request, _ string) (int, http.Header, string) {
		n, _ := strconv.Atoi(r.URL.Query().Get("p"))
		return 200, http.Header{"Link": {fmt.Sprintf(`<?p=%d>; rel=next`, n+1)}}, "[]"
	}}
	s := newService(t, p, nil)
	list := s.Pages(t.Context(), lti.ServiceCall{Op: "list", URL: account, Scopes: []string{"a"}})
	for range 2 {
		p.calls = nil
		n := 0
		for range list {
			if n++; n == 3 {
				break
			}
		}
		assert.Len(t, p.calls, 3)
		assert.Equal(t, account, p.calls[0].URL.String(), "ranging again begins anew")
	}
}

func TestServiceConfig(t *testing.T) {
	_, err := lti.NewService(lti.ServiceConfig{UserAgent: "a\nb"})
	for _, text := range []string{"Issuer and ClientID are required", "no TokenURL", "Keys is not set", "UserAgent"} {
		require.ErrorContains(t, err, text)
	}
	s := newService(t, &serving{}, nil)
	for name, call := range map[string]lti.ServiceCall{"no scope": {Op: "x", URL: account}, "scope that is not asked for": {Op: "x", URL: account, Scopes: []string{"a"}, AnyOf: []string{"b"}}} {
		_, err := s.Do(t.Context(), call)
		require.Error(t, err, name)
		assert.True(t, runbook.SafeToRetry(err))
	}
	_, err = s.Token(t.Context(), account)
	require.ErrorIs(t, err, lti.ErrInvalid)
	r := s.Registration()
	r.ServiceHosts[0] = "*.evil.test"
	_, err = s.Token(t.Context(), "https://a.evil.test/x", "a")
	require.ErrorIs(t, err, lti.ErrHost, "what is given out changes nothing")
}

func TestServiceDecode(t *testing.T) {
	p := &serving{service: func(*http.Request, string) (int, http.Header, string) {
		return 200, nil, `{"a":1,"a":2,"b":"` + "\xff" + `","c":"canary"}`
	}}
	resp, err := newService(t, p, nil).Do(t.Context(), lti.ServiceCall{Op: "read", URL: account, Scopes: []string{"a"}})
	require.NoError(t, err)
	var out struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	require.NoError(t, resp.Decode(&out), "what does no harm is read")
	var wrong struct {
		C int `json:"c"`
	}
	err = resp.Decode(&wrong)
	require.ErrorContains(t, err, `lti: read: school.instructure.com: status 200: unreadable: the answer has something else than expected at "/c"`)
	assert.NotContains(t, err.Error(), "canary")
	assert.False(t, runbook.SafeToRetry(err))
}

func TestScoreTime(t *testing.T) {
	serviceKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, &serving{}, nil)
		var last time.Time
		next := func(user string, at time.Time) (time.Time, func(), error) {
			return s.ScoreTime("https://a.test/1", user, at)
		}
		for range 50 { // the clock stands still
			at, _, err := next("u", time.Time{})
			require.NoError(t, err)
			assert.True(t, at.After(last))
			assert.Equal(t, at, at.Truncate(time.Millisecond))
			last = at
		}
		for _, at := range []time.Time{last, last.Add(-time.Hour), last.Add(999 * time.Microsecond)} {
			_, _, err := next("u", at)
			require.ErrorIs(t, err, lti.ErrInvalid)
			assert.True(t, runbook.SafeToRetry(err))
		}
		later := last.Add(time.Hour)
		_, undo, err := next("u", later)
		require.NoError(t, err)
		_, _, err = next("v", later)
		require.NoError(t, err, "another user")
		undo()
		_, undo, err = next("u", later)
		require.NoError(t, err, "it was not sent")
		at, _, err := next("u", time.Time{})
		require.NoError(t, err)
		assert.Equal(t, later.Add(time.Millisecond), at, "after one in the future")
		undo()
		_, _, err = next("u", later)
		require.ErrorIs(t, err, lti.ErrInvalid, "one that came later counts")
		for i := range 50_000 {
			_, _, err := next("many"+strconv.Itoa(i), time.Time{})
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, s.ScoreTimes(), 40_000, "memory is bounded")
	})
}

func FuzzServiceAnswer(f *testing.F) {
	f.Add(200, `<https://school.instructure.com/a>; rel=next`, `{"errors":{"type":"x"}}`)
	f.Add(400, `<//evil.test>;rel="next"`, `{"error":"x","error_description":7}`)
	f.Add(302, `<\\evil.test>;rel="next"`, `[[[`)
	f.Fuzz(func(t *testing.T, status int, link, body string) {
		p := &serving{latest: map[string]string{}}
		n := 0
		p.service = func(r *http.Request, _ string) (int, http.Header, string) {
			if n++; n > 1 || status < 200 || status > 499 || status == 401 || status == 429 {
				return 200, nil, body
			}
			return status, http.Header{"Link": {link}}, body
		}
		for resp, err := range newService(t, p, nil).Pages(t.Context(), lti.ServiceCall{Op: "list", URL: account, Scopes: []string{"a"}}) {
			if err == nil {
				var out any
				_ = resp.Decode(&out)
				_ = resp.Link("differences")
				continue
			}
			e, ok := errors.AsType[*lti.Error](err)
			require.True(t, ok)
			assert.LessOrEqual(t, len(e.Code), 60)
			assert.NotContains(t, err.Error(), "\n")
		}
		for _, r := range p.calls {
			assert.Equal(t, "https school.instructure.com", r.URL.Scheme+" "+strings.ToLower(r.URL.Host))
		}
	})
}

// A service of a platform that no package of ours knows.
func ExampleService() {
	platform := &serving{service: func(r *http.Request, _ string) (int, http.Header, string) {
		return 200, nil, `{"title":"Chemistry"}`
	}}
	keys, err := newServiceKeys() // a *lti.KeyRing
	if err != nil {
		fmt.Println(err)
		return
	}
	registration := lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com")
	service, err := lti.NewService(lti.ServiceConfig{
		Registration: registration, Keys: keys,
		HTTP: &http.Client{Transport: platform}, // a real program leaves it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	call := lti.ServiceCall{
		Op: "get a course", URL: "https://school.instructure.com/api/lti/courses/1",
		Scopes: []string{"https://canvas.instructure.com/lti/public_courses"},
	}
	for range 2 {
		resp, err := service.Do(context.Background(), call)
		if err != nil {
			fmt.Println(err)
			return
		}
		var course struct {
			Title string `json:"title"`
		}
		if err := resp.Decode(&course); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(course.Title)
	}
	fmt.Println(len(platform.grants), "token")

	call.URL = "https://school.instructure.com.example.net/api/lti/courses/1"
	_, err = service.Do(context.Background(), call)
	fmt.Println(errors.Is(err, lti.ErrHost), runbook.SafeToRetry(err))
	// Output:
	// Chemistry
	// Chemistry
	// 1 token
	// true true
}
