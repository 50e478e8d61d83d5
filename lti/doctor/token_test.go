package doctor_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// Every bad token of the certification and beyond is refused with a finding, and
// every good one is not. None is accepted in the sense that anything happens.
//
// Requirement: RB-LTI-SIGNATURE-ALGORITHM, RB-LTI-SIGNATURE-CLIENT-ID
func TestTokenCases(t *testing.T) {
	s := newStageAt(t, &ltitest.Platform{Canvas: true, Environment: "prod", OddKeys: true})
	s.cfg = doctor.Config{Registration: s.cfg.Registration, HTTP: s.cfg.HTTP, LaunchURL: toolLaunch, DeepLinkURL: toolLaunch}
	s.cfg.Registration.TrustedAudiences = []string{ltitest.TrustedAudience}
	s.cfg.Registration.AllowAnonymous = false
	for _, c := range ltitest.Cases() {
		t.Run(c.ID, func(t *testing.T) {
			token := s.platform.Token(c, s.cfg.Registration.ClientID, "0123456789abcdefghijkl")
			s.cfg.Token, s.cfg.TokenTime = asSecret(token), time.Now()
			d := s.diagnose(t)
			var found []string
			for _, f := range d.Findings {
				if strings.HasPrefix(f.ID, "token_") {
					found = append(found, f.ID)
				}
			}
			stateful := strings.Contains(c.ID, "REPLAY") || strings.Contains(c.ID, "NONCE") || strings.Contains(c.ID, "STATE") || strings.Contains(c.ID, "TARGET")
			switch {
			case c.Choice || stateful: // the login decides, or the tool
			case token == "" || strings.HasSuffix(c.ID, "TWICE"): // the form is wrong, not the token
			case c.Accept:
				assert.Empty(t, found, "%v", d)
			default:
				assert.NotEmpty(t, found, "%v", d)
			}
		})
	}
}

// A token says more beside the configuration.
func TestToken(t *testing.T) {
	with := func(change func(s *stage, claims map[string]any)) func(*stage) {
		return func(s *stage) {
			s.cfg.TokenTime, s.cfg.TryToken = time.Now(), false
			s.cfg.Token = asSecret(s.platform.SignIDToken(s.claims(func(c map[string]any) { change(s, c) }), ltitest.Signing{}))
		}
	}
	const claim = "https://purl.imsglobal.org/spec/lti/claim/"
	runFaults(t, []fault{
		{"expired, and nobody knows when it came", func(s *stage) {
			with(func(_ *stage, c map[string]any) {
				c["iat"], c["exp"] = time.Now().Add(-3*time.Hour).Unix(), time.Now().Add(-2*time.Hour).Unix()
			})(s)
			s.cfg.TokenTime = time.Time{}
		}, []string{"token_expired possible"}, []string{"by now it has to have expired"}},
		{"expired when it came", with(func(_ *stage, c map[string]any) {
			c["iat"], c["exp"] = time.Now().Add(-3*time.Hour).Unix(), time.Now().Add(-2*time.Hour).Unix()
		}), []string{"token_expired certain"}, nil},
		{"of beta", with(func(_ *stage, c map[string]any) { c["iss"] = "https://canvas.beta.instructure.com" }), []string{"token_issuer certain"}, []string{"it comes from Canvas beta, and the tool is registered for production"}},
		{"of another client", with(func(_ *stage, c map[string]any) { c["aud"], c["azp"] = "10000000000099", nil }), []string{"token_audience certain"}, []string{`without client id`, "Set the client id of the tool"}},
		{"for another host", with(func(_ *stage, c map[string]any) { c[claim+"target_link_uri"] = "https://qa-test.example.edu/x" }), []string{"target_link_uri likely"}, []string{"it launches https://qa-test.example.edu/x"}},
		{"of a deployment that is gone", with(func(_ *stage, c map[string]any) { c[claim+"deployment_id"] = "7:gone" }), []string{"deployment_gone certain", "token_deployment likely"}, []string{`not there: "7:gone"`}},
		{"deep linking at another address", with(func(_ *stage, c map[string]any) {
			c[claim+"message_type"] = lti.MessageDeepLinking
			c["https://purl.imsglobal.org/spec/lti-dl/claim/deep_linking_settings"] = map[string]any{
				"deep_link_return_url": "https://school.instructure.com/r", "accept_types": []string{"link"}, "accept_presentation_document_targets": []string{"iframe"},
			}
		}), []string{"deep_link_url likely"}, []string{"the deep linking address of the tool is " + toolDeepLink}},
		{"longer than nonces are remembered", with(func(_ *stage, c map[string]any) { c["exp"] = time.Now().Add(5 * time.Hour).Unix() }), []string{"nonce_life likely"}, []string{"the token lives 5h"}},
		{"no token", func(s *stage) { s.cfg.Token, s.cfg.TryToken = asSecret("<html>"), false }, []string{"token_token certain"}, nil},
		{"platform's keys cannot be had", func(s *stage) {
			with(func(*stage, map[string]any) {})(s)
			s.platform.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Status: 503, Times: -1})
		}, nil, []string{"Not looked at: the signature of the token", "Not looked at: the platform's key set"}},
	})
}

// claims returns those of a good launch, changed.
func (s *stage) claims(change func(map[string]any)) map[string]any {
	now := time.Now()
	c := map[string]any{
		"iss": s.cfg.Registration.Issuer, "aud": s.cfg.Registration.ClientID, "sub": "a-user", "nonce": "0123456789abcdefghijkl",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"https://purl.imsglobal.org/spec/lti/claim/message_type":    lti.MessageResourceLink,
		"https://purl.imsglobal.org/spec/lti/claim/version":         "1.3.0",
		"https://purl.imsglobal.org/spec/lti/claim/deployment_id":   s.cfg.Registration.Deployments[0],
		"https://purl.imsglobal.org/spec/lti/claim/target_link_uri": toolLaunch,
		"https://purl.imsglobal.org/spec/lti/claim/roles":           []string{},
		"https://purl.imsglobal.org/spec/lti/claim/resource_link":   map[string]any{"id": "r1"},
		"name": "Ada Lovelace", "email": "ada@example.edu",
	}
	change(c)
	for name, v := range c {
		if v == nil {
			delete(c, name)
		}
	}
	return c
}

// A token leads nowhere: whatever addresses it names, nobody is asked but those of
// the configuration. And nobody learns who it is about.
func TestTokenLeadsNowhere(t *testing.T) {
	s := newStage(t)
	var mu sync.Mutex
	var asked []string
	s.cfg.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		mu.Lock()
		asked = append(asked, r.URL.Host)
		mu.Unlock()
		return s.platform.Client().Transport.RoundTrip(r)
	})}
	s.cfg.LoginURL, s.cfg.LaunchURL, s.cfg.JWKSURL, s.cfg.DeepLinkURL, s.cfg.TryToken = "", "", "", "", false
	s.cfg.Token = asSecret(s.platform.SignIDToken(s.claims(func(c map[string]any) {
		c["iss"] = "https://evil.example"
		c["https://purl.imsglobal.org/spec/lti/claim/target_link_uri"] = "https://evil.example/x?user=ada@example.edu"
	}), ltitest.Signing{Header: map[string]any{"jku": "https://evil.example/jwks", "x5u": "https://evil.example/cert"}}))
	s.cfg.Timeout = 2 * time.Second
	d := s.diagnose(t)
	assert.NotContains(t, d.String(), "ada@example.edu")
	assert.NotContains(t, d.String(), "Lovelace")
	require.NotEmpty(t, d.Findings)
	for _, host := range asked {
		assert.Equal(t, "sso.canvaslms.com", host)
	}
	require.NotEmpty(t, asked)
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A token that is unknown says what is wrong without a key set, too.
func TestTokenWithoutKeys(t *testing.T) {
	s := newStage(t)
	s.cfg = doctor.Config{Registration: lti.Registration{Issuer: s.cfg.Registration.Issuer, ClientID: "other", Deployments: s.cfg.Registration.Deployments}, TokenTime: time.Now(), HTTP: s.cfg.HTTP}
	client := s.there.ClientID
	s.cfg.Token = asSecret(s.platform.SignIDToken(s.claims(func(c map[string]any) { c["aud"] = client }), ltitest.Signing{}))
	d := s.diagnose(t)
	require.Len(t, d.Findings, 1, "%v", d)
	assert.Equal(t, "token_audience", d.Findings[0].ID)
	assert.Contains(t, d.String(), "its signature was not verified")
	s.cfg.Registration.Issuer = ""
	d, err := s.doctor(t).Diagnose(t.Context())
	require.Error(t, err, "%v", d)
	assert.NotEmpty(t, d.NotChecked)
}
