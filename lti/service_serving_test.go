package lti_test

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
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
