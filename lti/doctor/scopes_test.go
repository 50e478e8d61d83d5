package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// limited is a stage whose tool has only some of the scopes at the platform.
func limited(t testing.TB, p *ltitest.Platform, has ...string) *stage {
	t.Helper()
	s := newStageAt(t, p)
	registered := p.AddTool(ltitest.Tool{
		LoginURL: toolLogin, RedirectURIs: []string{toolLaunch}, TargetLinkURI: toolLaunch, JWKSURL: toolKeys, Handler: s.mux, Scopes: has,
	})
	s.cfg.Registration.ClientID, s.cfg.TryToken = registered.ClientID, false
	return s
}

// What the token endpoint grants is compared with what the tool needs, with as few grants as
// possible, for Canvas charges each of them dearly.
//
// Requirement: LTI-SERVICE-SCOPES
func TestScopesOfServices(t *testing.T) {
	t.Parallel()
	all := ltitest.Scopes()
	some := []string{ltitest.ScopeMembership, ltitest.ScopeLineItemReadOnly}
	for name, tt := range map[string]struct {
		has, only, ask  []string
		silent          bool // the refusal does not name the scopes
		granted, denied []string
		grants          int
	}{
		"all":                     {has: all, ask: all, granted: all, grants: 1},
		"some are missing":        {has: some, ask: append(slices.Clone(some), ltitest.ScopeScore, ltitest.ScopeLineItem), granted: some, denied: []string{ltitest.ScopeLineItem, ltitest.ScopeScore}, grants: 2},
		"some are left out":       {has: all, only: some, ask: append(slices.Clone(some), ltitest.ScopeScore), granted: some, denied: []string{ltitest.ScopeScore}, grants: 1},
		"none":                    {has: some, ask: []string{ltitest.ScopeScore}, denied: []string{ltitest.ScopeScore}, grants: 1},
		"all of several":          {has: some, ask: []string{ltitest.ScopeScore, ltitest.ScopeLineItem}, denied: []string{ltitest.ScopeLineItem, ltitest.ScopeScore}, grants: 1},
		"it does not say which":   {has: some, silent: true, ask: append(slices.Clone(some), ltitest.ScopeScore), granted: some, denied: []string{ltitest.ScopeScore}, grants: 4},
		"those that the tool has": {has: []string{ltitest.ScopeMembership}, granted: []string{ltitest.ScopeMembership}, grants: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := limited(t, &ltitest.Platform{Canvas: true, Environment: "prod", GrantOnly: tt.only}, tt.has...)
			grants := 0
			s.cfg.HTTP = &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
				resp, err := s.platform.Client().Transport.RoundTrip(r)
				if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/token") {
					if grants++; tt.silent && err == nil && resp.StatusCode == http.StatusBadRequest {
						return said(r, http.StatusBadRequest, `{"error":"invalid_scope","error_description":"no"}`), nil
					}
				}
				return resp, err
			})}
			got, err := s.doctor(t).Scopes(t.Context(), tt.ask...)
			require.NoError(t, err)
			assert.ElementsMatch(t, tt.granted, got.Granted)
			assert.ElementsMatch(t, tt.denied, got.Denied)
			assert.Empty(t, got.NotAsked)
			assert.Equal(t, tt.grants, grants)
		})
	}
}

// That the tool is refused, and that it could not be asked, say nothing about scopes.
func TestScopesOfServicesThatCannotBeKnown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change  func(s *stage)
		refused bool
		says    string
	}{
		"another client": {func(s *stage) { s.cfg.Registration.ClientID = "10000000000999" }, true, "refuses the tool"},
		"another key":    {func(s *stage) { s.cfg.PrivateKey = keyText(ltitest.ToolKey(1)) }, true, "refuses the tool"},
		"no key":         {func(s *stage) { s.cfg.PrivateKey = runbook.Secret{} }, false, "a private key that can be read"},
		"no network": {func(s *stage) {
			s.cfg.HTTP = &http.Client{Transport: tripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("no route") })}
		}, false, "could not be asked"},
		"the rate is limited": {func(s *stage) { answers(s, http.StatusTooManyRequests, "429 Forbidden (Rate Limit Exceeded)\n") }, false, "limits the rate"},
		"an error":            {func(s *stage) { answers(s, http.StatusBadGateway, "<html>bad gateway</html>") }, false, "answered 502"},
		"no token":            {func(s *stage) { answers(s, http.StatusOK, "<html>welcome</html>") }, false, "not a token endpoint"},
		"nothing to ask for":  {func(s *stage) { s.cfg.PlatformTool = nil }, false, "none are given"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			tt.change(s)
			got, err := s.doctor(t).Scopes(t.Context())
			require.ErrorContains(t, err, tt.says)
			assert.Equal(t, tt.refused, errors.Is(err, doctor.ErrTokenRefused))
			assert.Empty(t, got.Granted)
			assert.Empty(t, got.Denied)
		})
	}
}

// Once the platform limits the rate, what was not asked for is not taken for denied.
func TestScopesOfServicesUntilTheLimit(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	grants := 0
	s.cfg.HTTP = &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodPost {
			return s.platform.Client().Transport.RoundTrip(r)
		}
		switch grants++; grants {
		case 1:
			return said(r, http.StatusBadRequest, `{"error":"invalid_scope"}`), nil
		case 2:
			return said(r, http.StatusOK, `{"access_token":"t","token_type":"Bearer"}`), nil
		}
		return said(r, http.StatusTooManyRequests, "429 Forbidden (Rate Limit Exceeded)\n"), nil
	})}
	got, err := s.doctor(t).Scopes(t.Context(), "a", "b", "c")
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, got.Granted, "an answer without scope has all that was asked for")
	assert.Empty(t, got.Denied)
	require.Len(t, got.NotAsked, 2)
	assert.Contains(t, got.NotAsked[0].Why, "limits the rate")
	assert.Equal(t, 3, grants, "it asks no further")
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// said is an answer.
func said(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r,
	}
}

// answers is what every POST to the platform is answered.
func answers(s *stage, status int, body string) {
	s.cfg.HTTP = &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		if r.Method != http.MethodPost {
			return s.platform.Client().Transport.RoundTrip(r)
		}
		return said(r, status, body), nil
	})}
}

func ExampleDoctor_Scopes() {
	platform := &ltitest.Platform{Canvas: true, Environment: "prod"}
	tool := platform.AddTool(ltitest.Tool{
		LoginURL: "https://qa.example.edu/lti/login", RedirectURIs: []string{"https://qa.example.edu/lti/launch"}, PublicJWK: ltitest.PublicJWK(&ltitest.ToolKey(0).PublicKey, "k1"),
		Scopes: []string{ltitest.ScopeMembership},
	})
	e := platform.Endpoints()
	d, err := doctor.New(doctor.Config{
		Registration: lti.Registration{Issuer: e.Issuer, ClientID: tool.ClientID, TokenURL: e.TokenURL}, PrivateKey: keyText(ltitest.ToolKey(0)), KeyID: "k1", HTTP: platform.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	got, err := d.Scopes(context.Background(), ltitest.ScopeMembership, ltitest.ScopeScore)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("granted:", got.Granted)
	fmt.Println("denied: ", got.Denied)
	// Output:
	// granted: [https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly]
	// denied:  [https://purl.imsglobal.org/spec/lti-ags/scope/score]
}
