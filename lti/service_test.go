package lti_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

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
