package doctor_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

const (
	toolLogin    = "https://qa.example.edu/lti/login"
	toolLaunch   = "https://qa.example.edu/lti/launch"
	toolKeys     = "https://qa.example.edu/.well-known/jwks.json"
	toolDeepLink = "https://qa.example.edu/lti/choose"
)

// A stage is a healthy tool of package lti and a Canvas, in memory, of which a
// test breaks one thing.
type stage struct {
	platform *ltitest.Platform
	tool     *lti.Tool
	ring     *lti.KeyRing
	mux      *http.ServeMux
	at       map[string]http.Handler // instead of the tool, by path
	requests atomic.Int64            // that came to the tool
	keys     *incidenttest.PlatformKeys
	there    doctor.PlatformTool // as the platform has the tool
	cfg      doctor.Config
}

func keyText(key *rsa.PrivateKey) runbook.Secret {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return runbook.NewSecret(base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func newStage(t testing.TB) *stage {
	return newStageAt(t, &ltitest.Platform{Canvas: true, Environment: "prod"})
}

func newStageAt(t testing.TB, p *ltitest.Platform) *stage {
	t.Helper()
	s := &stage{platform: p, mux: http.NewServeMux(), at: map[string]http.Handler{}, keys: &incidenttest.PlatformKeys{}}
	entry := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		if h := s.at[r.URL.Path]; h != nil {
			h.ServeHTTP(w, r)
			return
		}
		s.mux.ServeHTTP(w, r)
	})
	registered := p.AddTool(ltitest.Tool{
		LoginURL: toolLogin, RedirectURIs: []string{toolLaunch}, TargetLinkURI: toolLaunch, JWKSURL: toolKeys, Handler: entry,
	})
	e := p.Endpoints()
	reg := lti.Registration{
		Issuer: e.Issuer, ClientID: registered.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, TokenURL: e.TokenURL, Deployments: registered.Deployments,
	}
	private := keyText(ltitest.ToolKey(0))
	var err error
	s.ring, err = lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Keys: []runbook.Secret{private}})
	require.NoError(t, err)
	s.tool, err = lti.New(lti.Config{
		LaunchURL: toolLaunch, StateKeys: []runbook.Secret{runbook.NewSecret(rand.Text() + rand.Text())}, Registrations: []lti.Registration{reg}, Keys: s.ring, HTTP: p.Client(),
	})
	require.NoError(t, err)
	s.mux.Handle("/lti/login", s.tool.LoginHandler())
	s.mux.Handle("/lti/launch", s.tool.LaunchHandler(func(w http.ResponseWriter, _ *http.Request, _ *lti.Launch) {}))
	s.mux.Handle("/.well-known/jwks.json", s.ring.Handler())
	s.keys.Add(incident.PlatformKey{ID: reg.ClientID, Name: "QA", On: true})
	s.there = doctor.PlatformTool{
		ClientID: reg.ClientID, RedirectURIs: []string{toolLaunch}, LoginURL: toolLogin, TargetLinkURI: toolLaunch, JWKSURL: toolKeys,
		Scopes: []string{ltitest.ScopeMembership}, Deployments: registered.Deployments,
		Placements: []doctor.Placement{
			{Name: "course_navigation", MessageType: lti.MessageResourceLink, Enabled: true},
			{Name: "assignment_selection", MessageType: lti.MessageDeepLinking, TargetLinkURI: toolDeepLink, Enabled: true},
		},
	}
	s.cfg = doctor.Config{
		Environment: doctor.Production, Registration: reg, PrivateKey: private,
		JWKSURL: toolKeys, LoginURL: toolLogin, LaunchURL: toolLaunch, DeepLinkURL: toolDeepLink,
		NonceLife: 2 * time.Hour, TryToken: true, Keys: s.keys, HTTP: p.Client(),
		PlatformTool: func(context.Context) (doctor.PlatformTool, error) { return s.there, nil },
	}
	return s
}

func (s *stage) doctor(t testing.TB) *doctor.Doctor {
	t.Helper()
	d, err := doctor.New(s.cfg)
	require.NoError(t, err)
	return d
}

func (s *stage) diagnose(t testing.TB) incident.Diagnosis {
	t.Helper()
	d, err := s.doctor(t).Diagnose(t.Context())
	require.NoError(t, err)
	require.NoError(t, d.Validate(), "%v", d)
	for name, secret := range map[string]runbook.Secret{"private key": s.cfg.PrivateKey, "token": s.cfg.Token} {
		if text := secret.Reveal(); len(text) > 20 {
			assert.NotContains(t, d.String(), text[:20], name)
			assert.NotContains(t, d.String(), text[len(text)-20:], name)
		}
	}
	return d
}

// login returns an authentication request of the tool, and a token for it.
func (s *stage) token(t testing.TB, m ltitest.Message) string {
	t.Helper()
	location, err := s.platform.BeginLaunch(t.Context(), s.platform.Browser(), m)
	require.NoError(t, err)
	resp, err := s.platform.Authorize(location)
	require.NoError(t, err)
	return resp.Form.Get("id_token")
}

// text answers with a body.
func text(status int, contentType, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	})
}

// published answers with a key set of JWKs that were changed.
func published(keys ...map[string]any) http.Handler {
	body, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return text(http.StatusOK, "application/json", string(body))
}

// jwk returns that of a key, with changes: nil removes a member.
func jwk(key *rsa.PublicKey, kid string, changes ...any) map[string]any {
	k := ltitest.PublicJWK(key, kid)
	for i := 0; i < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if k[name] = changes[i+1]; changes[i+1] == nil {
			delete(k, name)
		}
	}
	return k
}

// redirected answers logins as the tool does, after changing where they lead.
func (s *stage) redirected(change func(*url.URL, url.Values)) http.Handler {
	return s.changed(func(h http.Header) {
		u, err := url.Parse(h.Get("Location"))
		if err != nil {
			panic(err)
		}
		q := u.Query()
		change(u, q)
		u.RawQuery = q.Encode()
		h.Set("Location", u.String())
	})
}

// changed answers as the tool does, after changing the header.
func (s *stage) changed(change func(http.Header)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mux.ServeHTTP(&changer{ResponseWriter: w, change: change}, r)
	})
}

type changer struct {
	http.ResponseWriter
	change func(http.Header)
	done   bool
}

func (c *changer) WriteHeader(status int) {
	if !c.done {
		c.done = true
		c.change(c.Header())
	}
	c.ResponseWriter.WriteHeader(status)
}

func (c *changer) Write(b []byte) (int, error) {
	if !c.done {
		c.WriteHeader(http.StatusOK)
	}
	return c.ResponseWriter.Write(b)
}

// cookies changes the cookies of the login.
func cookies(old, replaced string) func(http.Header) {
	return func(h http.Header) {
		for i, c := range h["Set-Cookie"] {
			h["Set-Cookie"][i] = strings.ReplaceAll(c, old, replaced)
		}
	}
}

func asSecret(text string) runbook.Secret { return runbook.NewSecret(text) }
