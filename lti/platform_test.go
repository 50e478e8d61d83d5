package lti_test

import (
	"context"
	"crypto/rsa"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// school is a platform in memory and a tool that is registered there.
type school struct {
	t        testing.TB
	platform *ltitest.Platform
	tool     *lti.Tool
	mu       sync.Mutex
	launches []*lti.Launch
	refusals []*lti.Refusal
}

func newSchool(t testing.TB, platform *ltitest.Platform, change func(*lti.Config)) *school {
	s := &school{t: t, platform: platform}
	registered := platform.AddTool(ltitest.Tool{
		LoginURL: "https://qa.example.edu/lti/login", RedirectURIs: []string{"https://qa.example.edu/lti/launch"},
		TargetLinkURI: "https://qa.example.edu/lti/course", PublicJWK: ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "tool-1"),
	})
	e := platform.Endpoints()
	cfg := lti.Config{
		LaunchURL: "https://qa.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		HTTP: platform.Client(),
		Registrations: []lti.Registration{{
			Issuer: e.Issuer, ClientID: registered.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, TokenURL: e.TokenURL,
			Deployments: registered.Deployments, TrustedAudiences: []string{ltitest.TrustedAudience},
		}},
		Hooks: lti.Hooks{OnRefusal: func(_ context.Context, r *lti.Refusal) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.refusals = append(s.refusals, r)
		}},
	}
	if change != nil {
		change(&cfg)
	}
	tool, err := lti.New(cfg)
	require.NoError(t, err)
	s.tool = tool
	return s
}

// begin makes a login, and returns where it leads and the browser's cookie.
func (s *school) begin(m ltitest.Message) (location, cookie string) {
	r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/login", strings.NewReader(s.platform.Login(m).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	s.tool.LoginHandler().ServeHTTP(w, r)
	require.Equal(s.t, http.StatusFound, w.Code, w.Body)
	cookie, _, _ = strings.Cut(w.Header().Get("Set-Cookie"), ";")
	return w.Header().Get("Location"), cookie
}

// post brings the platform's answer to the tool, and returns what it said.
func (s *school) post(answer ltitest.Response, cookie string) (*lti.Launch, error) {
	r, err := answer.Request(s.t.Context())
	require.NoError(s.t, err)
	r.Header.Set("Cookie", cookie)
	var launch *lti.Launch
	w := httptest.NewRecorder()
	s.tool.LaunchHandler(func(_ http.ResponseWriter, _ *http.Request, l *lti.Launch) { launch = l }).ServeHTTP(w, r)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case launch != nil:
		s.launches = append(s.launches, launch)
		return launch, nil
	case len(s.refusals) == 0:
		return nil, errors.New("neither accepted nor refused: " + w.Body.String())
	}
	return nil, s.refusals[len(s.refusals)-1]
}

func (s *school) launch(m ltitest.Message) (*lti.Launch, error) {
	location, cookie := s.begin(m)
	answer, err := s.platform.Authorize(location)
	require.NoError(s.t, err)
	return s.post(answer, cookie)
}

// TestCertification runs every case of the platform's table, the certification's
// and others, as Canvas makes them and as another platform does.
//
// Requirement: LTI-BEYOND-SHARED-KEYS, LTI-BEYOND-ALG-EC, LTI-GOTCHA-20, LTI-CERT-D1
func TestCertification(t *testing.T) {
	for name, platform := range map[string]*ltitest.Platform{
		"Canvas":  {Canvas: true, OddKeys: true},
		"another": {OddKeys: true},
	} {
		s := newSchool(t, platform, nil)
		for _, c := range ltitest.Cases() {
			t.Run(name+"/"+c.ID, func(t *testing.T) {
				location, cookie := s.begin(ltitest.Message{})
				answer, err := platform.AuthorizeCase(location, c)
				require.NoError(t, err)
				l, err := s.post(answer, cookie)
				if c.Accept {
					require.NoError(t, err, c.Name)
					assert.NotEmpty(t, l.MessageType)
					return
				}
				require.Error(t, err, c.Name)
				_, ok := errors.AsType[*lti.Refusal](err)
				assert.True(t, ok)
			})
		}
		assert.Zero(t, platform.Count(ltitest.Elsewhere), "no address in a token is followed")
	}
}

// TestKeysOfThePlatform: launches go on through rotations, without a fetch each.
//
// Requirement: LTI-CERT-B2, LTI-PEER-MACEWAN-FETCH, LTI-PEER-VIZDOS-FETCH, LTI-PEER-ROBERTJNDW-REFETCH
func TestKeysOfThePlatform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &ltitest.Platform{Canvas: true}
		s := newSchool(t, p, func(cfg *lti.Config) { cfg.HTTP = &http.Client{Transport: limited{t, p.Client().Transport}} })
		_, err := s.launch(ltitest.Message{})
		require.NoError(t, err)
		before := runtime.NumGoroutine()
		for range 100 {
			_, err := s.launch(ltitest.Message{})
			require.NoError(t, err)
		}
		assert.Equal(t, 1, p.Count(ltitest.KeySet))
		assert.Less(t, runtime.NumGoroutine()-before, 50, "a launch leaves no goroutine")
		p.RotateKeys() // the next key was published beforehand
		_, err = s.launch(ltitest.Message{})
		require.NoError(t, err)
		assert.Equal(t, 1, p.Count(ltitest.KeySet))

		for range 5 { // a bad signature is no reason to ask
			location, cookie := s.begin(ltitest.Message{})
			answer, err := p.AuthorizeCase(location, ltitest.FindCase("BEYOND-TAMPERED"))
			require.NoError(t, err)
			_, err = s.post(answer, cookie)
			require.ErrorIs(t, err, lti.ReasonSignature)
		}
		assert.Equal(t, 1, p.Count(ltitest.KeySet))

		time.Sleep(time.Hour)
		for range 5 { // an unknown key is one, once
			location, cookie := s.begin(ltitest.Message{})
			answer, err := p.AuthorizeCase(location, ltitest.FindCase("B2"))
			require.NoError(t, err)
			_, err = s.post(answer, cookie)
			require.ErrorIs(t, err, lti.ReasonKey)
		}
		assert.Equal(t, 2, p.Count(ltitest.KeySet))

		time.Sleep(time.Hour)
		p.ReplaceKeys() // after a leak, nothing is as it was
		_, err = s.launch(ltitest.Message{})
		require.NoError(t, err, "an unknown key is looked for at once")
		assert.Equal(t, 3, p.Count(ltitest.KeySet))

		time.Sleep(time.Hour)
		p.SetNetworkError(errors.New("no route to host"))
		_, err = s.launch(ltitest.Message{})
		require.NoError(t, err, "known keys need no platform")
		p.ReplaceKeys()
		_, err = s.launch(ltitest.Message{})
		require.Error(t, err)
		p.Wait()
	})
}

// limited wants each request to have a deadline.
type limited struct {
	t    testing.TB
	next http.RoundTripper
}

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	_, ok := r.Context().Deadline()
	assert.True(l.t, ok, "%s without a deadline", r.URL.Path)
	return l.next.RoundTrip(r)
}

// TestRotationUnderLoad: the tool's own key is replaced while it signs. No
// platform refuses what it signs, and launches go on.
func TestRotationUnderLoad(t *testing.T) {
	store := new(runbook.MemoryCredentials)
	keys, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Store: store, Name: "lti", Lead: -1})
	require.NoError(t, err)
	p := &ltitest.Platform{Canvas: true}
	var tool *lti.Tool
	mux := http.NewServeMux()
	mux.Handle("GET /jwks", keys.Handler())
	registered := p.AddTool(ltitest.Tool{
		LoginURL: "https://qa.example.edu/lti/login", RedirectURIs: []string{"https://qa.example.edu/lti/launch"},
		TargetLinkURI: "https://qa.example.edu/lti/course", JWKSURL: "https://qa.example.edu/jwks", Handler: mux,
	})
	e := p.Endpoints()
	r := lti.Registration{Issuer: e.Issuer, ClientID: registered.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, TokenURL: e.TokenURL, Deployments: registered.Deployments}
	tool, err = lti.New(lti.Config{
		LaunchURL: "https://qa.example.edu/lti/launch", StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		HTTP: p.Client(), Registrations: []lti.Registration{r}, Keys: keys,
	})
	require.NoError(t, err)

	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	var mu sync.Mutex
	tokens, replies := 0, 0
	for range 3 {
		all.Go(func() {
			for ctx.Err() == nil {
				// A new Service each time, so that each token is asked for.
				service, err := lti.NewService(lti.ServiceConfig{Registration: r, Keys: keys, HTTP: p.Client()})
				if !assert.NoError(t, err) {
					return
				}
				if _, err = service.Token(t.Context(), e.TokenURL, ltitest.ScopeScore); !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				tokens++
				mu.Unlock()
			}
		})
		all.Go(func() {
			for ctx.Err() == nil {
				request := lti.DeepLinkingRequest{Issuer: r.Issuer, ClientID: r.ClientID, DeploymentID: r.Deployments[0], Settings: lti.DeepLinkingSettings{
					ReturnURL: "https://" + e.ServiceHost + "/courses/1/deep_linking_response", AcceptTypes: []string{"link"}, AcceptTargets: []string{"iframe"},
				}}
				token, err := tool.SignDeepLinking(t.Context(), request, lti.DeepLinkingReply{})
				if !assert.NoError(t, err) || !assert.NoError(t, verifiedBy(mux, token)) {
					return
				}
				mu.Lock()
				replies++
				mu.Unlock()
			}
		})
	}
	kids := map[string]bool{keys.KeyID(): true}
	for range 2 {
		info, err := keys.Rotate(t.Context())
		require.NoError(t, err)
		kids[info.Kid] = true
		time.Sleep(50 * time.Millisecond) // so that the load meets each key; nothing is asserted of the time
	}
	stop()
	all.Wait()
	assert.Len(t, kids, 3)
	assert.NotZero(t, tokens)
	assert.NotZero(t, replies)
	t.Logf("%d tokens and %d deep linking responses over 2 rotations, none refused", tokens, replies)
}

// verifiedBy checks a token as Canvas does, with the set that is published at
// that moment.
func verifiedBy(tool http.Handler, token string) error {
	_, err := jwt.Parse(token, func(t *jwt.Token) (any, error) {
		w := httptest.NewRecorder()
		tool.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://qa.example.edu/jwks", nil))
		set, err := jwk.Parse(w.Body.Bytes())
		if err != nil {
			return nil, err
		}
		kid, _ := t.Header["kid"].(string)
		key, ok := set.LookupKeyID(kid)
		if !ok {
			return nil, errors.New("the key is not published")
		}
		var public rsa.PublicKey
		return &public, jwk.Export(key, &public)
	}, jwt.WithValidMethods([]string{"RS256"}))
	return err
}
