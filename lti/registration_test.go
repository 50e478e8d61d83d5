package lti_test

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// TestTheStateSaysWhichRegistration: a token that is good for another
// registration of the same platform does not fit a login of this one, whatever
// its audiences are.
//
// Requirement: LTI-GOTCHA-3, LTI-PEER-OAT-AUDIENCE
func TestTheStateSaysWhichRegistration(t *testing.T) {
	const other = "10000000000099"
	two := func(cfg *lti.Config) {
		r := cfg.Registrations[0]
		r.ClientID = other
		cfg.Registrations = append(cfg.Registrations, r)
		cfg.Registrations[0].TrustedAudiences = []string{other}
	}
	for name, test := range map[string]struct {
		client  string // of the login
		changes map[string]any
		want    string // client of the launch; empty means refused
	}{
		"of the other":              {"10000000000042", map[string]any{"aud": other, "azp": other}, ""},
		"for both, login of one":    {"10000000000042", map[string]any{"aud": []string{"10000000000042", other}, "azp": "10000000000042"}, "10000000000042"},
		"for both, the other first": {"10000000000042", map[string]any{"aud": []string{other, "10000000000042"}, "azp": "10000000000042"}, "10000000000042"},
		"for both, login of other":  {other, map[string]any{"aud": []string{"10000000000042", other}, "azp": other}, ""}, // it does not trust the first
		"login and token of other":  {other, map[string]any{"aud": other, "azp": other}, other},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, two)
			f.login.Set("client_id", test.client)
			f.launch(test.changes)
			l, err := f.result()
			if test.want == "" {
				require.ErrorIs(t, err, lti.ReasonAudience)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, l.ClientID)
		})
	}
}

// TestCopiesOfAPlatformAreApart: Canvas test and beta have the client and
// deployment ids of production, and may even have its keys. A nonce, a login and
// a token of one are nothing to the other.
//
// Requirement: LTI-GOTCHA-8, LTI-CANVAS-SELF-HOSTED
func TestCopiesOfAPlatformAreApart(t *testing.T) {
	production := lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com")
	production.Deployments = []string{"106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb"}
	f := newFlow(t, func(cfg *lti.Config) { cfg.Registrations = append(cfg.Registrations, production) })
	f.begin()
	assert.Equal(t, "sso.test.canvaslms.com", f.location.Host)
	f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(map[string]any{"iss": production.Issuer}))}})
	_, err := f.result()
	require.ErrorIs(t, err, lti.ReasonIssuer)
	f.refusals = nil
	f.login.Set("iss", production.Issuer)
	f.begin()
	assert.Equal(t, "sso.canvaslms.com", f.location.Host)
	f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(map[string]any{"iss": production.Issuer}))}})
	l, err := f.result()
	require.NoError(t, err)
	assert.Equal(t, production.Issuer, l.Issuer)
	assert.NotEqual(t, lti.NewNonceID(production.Issuer, "c", "n"), lti.NewNonceID(f.login.Get("iss")+"x", "c", "n"))
	assert.NotEqual(t, lti.NewNonceID("ab", "c", "n"), lti.NewNonceID("a", "bc", "n"))

	// A Canvas of one's own has the issuer of the hosted one, unless somebody
	// changed it, and other addresses.
	own := newFlow(t, func(cfg *lti.Config) {
		cfg.Registrations[0].AuthURL = "https://canvas.school.example.edu/api/lti/authorize_redirect"
		cfg.Registrations[0].JWKSURL = "https://canvas.school.example.edu/api/lti/security/jwks"
		cfg.Registrations[0].TokenURL = "https://canvas.school.example.edu/login/oauth2/token"
	})
	own.launch(nil)
	_, err = own.result()
	require.NoError(t, err)
	assert.Equal(t, "canvas.school.example.edu", own.location.Host)
}

// TestALoginCostsNothing: neither the store, nor the platform, nor the host's
// keys have anything to do with it.
//
// Requirement: LTI-PEER-MARCGABE-COST, LTI-GOTCHA-10
func TestALoginCostsNothing(t *testing.T) {
	counting := new(countingNonces)
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.Nonces = counting
		cfg.HTTP = &http.Client{Transport: noNetwork{t}}
		cfg.Keys = nil // there is nothing to sign with
	})
	for range 100 {
		require.Equal(t, http.StatusFound, f.begin().Code)
	}
	assert.Zero(t, counting.uses)
}

type noNetwork struct{ t testing.TB }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was asked", r.URL.Host)
	return nil, errors.New("no network")
}

// TestLookup is a host that keeps its registrations elsewhere.
func TestLookup(t *testing.T) {
	known := lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "school.test.instructure.com")
	known.Deployments = []string{"106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb"}
	other := known
	other.ClientID = "7"
	broken := known
	broken.JWKSURL = "http://evil.example"
	tests := map[string]struct {
		answer []lti.Registration
		err    error
		reason lti.Reason
	}{
		"found":              {[]lti.Registration{known}, nil, ""},
		"none":               {nil, nil, lti.ReasonRegistration},
		"not what was asked": {[]lti.Registration{other}, nil, lti.ReasonRegistration},
		"it and another":     {[]lti.Registration{other, known}, nil, ""},
		"invalid":            {[]lti.Registration{broken}, nil, lti.ReasonRegistration},
		"down":               {nil, errors.New("database is gone"), lti.ReasonStore},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, func(cfg *lti.Config) {
				cfg.Registrations = nil
				cfg.Lookup = func(_ context.Context, issuer, client string) ([]lti.Registration, error) {
					assert.Equal(t, known.Issuer, issuer)
					assert.Equal(t, known.ClientID, client)
					return test.answer, test.err
				}
			})
			w := f.begin()
			if test.reason != "" {
				f.refused(w, test.reason, (&lti.Refusal{Reason: test.reason}).Status())
				return
			}
			f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}})
			_, err := f.result()
			require.NoError(t, err)
		})
	}
}

// TestNewReportsEverything that is wrong, at once.
func TestNewReportsEverything(t *testing.T) {
	_, err := lti.New(lti.Config{
		LaunchURL: "http://qa.example.edu/launch", Targets: []string{"https://x.example/path"}, FrameAncestors: []string{"a; b"},
		Leeway: -1, MaxTokenAge: 1, MaxTokenLife: -1,
		Registrations: []lti.Registration{
			{Issuer: "i", AuthURL: "https:auth", JWKSURL: "https://u:p@h.example/jwks", TokenURL: "https://{host}/token", Algorithms: []string{"none"}, ServiceHosts: []string{"*"}},
			{Issuer: "j", ClientID: "c", AuthURL: "https://a.example", JWKSURL: "ftp://a.example", ServiceHosts: []string{"https://a.example"}},
		},
	})
	require.Error(t, err)
	for _, want := range []string{
		"LaunchURL: must be https", "target \"https://x.example/path\"", "frame ancestor", "Leeway", "MaxTokenAge", "MaxTokenLife", "StateKeys is empty",
		"ClientID are required", "AuthURL: must have the form", "JWKSURL: must have neither a user", "algorithm \"none\"", "service host \"*\"", "JWKSURL: must be https", "service host \"https://a.example\"",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "u:p")
	r := lti.CanvasRegistration(lti.CanvasBeta, "c", "school.beta.instructure.com")
	require.NoError(t, r.Validate())
	assert.Equal(t, "https://canvas.beta.instructure.com", r.Issuer)
	assert.Equal(t, "https://sso.beta.canvaslms.com/api/lti/security/jwks", r.JWKSURL)
	_, err = lti.New(lti.Config{LaunchURL: "https://a.example", StateKeys: otherKeys(), Registrations: []lti.Registration{r, r}})
	require.ErrorContains(t, err, "comes twice")
	_, err = lti.New(lti.Config{LaunchURL: "https://a.example", StateKeys: otherKeys()})
	require.ErrorContains(t, err, "neither a registration nor a Lookup")
}

func TestServesHost(t *testing.T) {
	r := lti.Registration{TokenURL: "https://school.instructure.com/login/oauth2/token", ServiceHosts: []string{"*.example.edu", "one.example"}}
	for host, want := range map[string]bool{
		"school.instructure.com": true, "SCHOOL.instructure.com": true, "a.example.edu": true, "a.b.example.edu": true, "one.example": true,
		"example.edu": false, "evilexample.edu": false, "one.example.evil": false, "": false, "instructure.com": false,
	} {
		assert.Equal(t, want, r.ServesHost(host), host)
	}
	assert.False(t, strings.Contains(r.TokenURL, "{"))
}
