package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

func TestDiagnoser(t *testing.T) {
	of := func(t testing.TB, s *stage, want ...string) incidenttest.DiagnoserCase {
		secret := s.cfg.PrivateKey.Reveal()
		return incidenttest.DiagnoserCase{
			Diagnoser: s.doctor(t), Findings: want, Secrets: []string{secret[40:80]},
			State: func() string {
				return fmt.Sprint(s.ring.Keys(), s.platform.Tools()[0].Disabled, s.platform.DeepLinkingResponses())
			},
		}
	}
	incidenttest.TestDiagnoser(t, incidenttest.DiagnoserHarness{
		Well: func(t testing.TB) incidenttest.DiagnoserCase { return of(t, newStage(t)) },
		Sick: func(t testing.TB) incidenttest.DiagnoserCase {
			s := newStage(t)
			s.there.Off = true
			s.at["/.well-known/jwks.json"] = published(jwk(&ltitest.ToolKey(1).PublicKey, "x", "d", "AAAA", "alg", nil))
			s.cfg.TryToken = false
			return of(t, s, "private_key_published", "key_not_published", "tool_off", "jwk_fields")
		},
		Silent: func(t testing.TB) incidenttest.DiagnoserCase {
			s := newStage(t)
			s.cfg.HTTP = broken(syscall.EHOSTUNREACH)
			s.cfg.PlatformTool = func(context.Context) (doctor.PlatformTool, error) {
				return doctor.PlatformTool{}, errors.New("no route")
			}
			s.keys.Fail(incident.ErrNotPermitted)
			return of(t, s)
		},
	})
}

// The runbook's "clear nonce cache" is a purge of what expired: a store of package
// lti passes the tests of the port.
//
// Requirement: RB-LTI-NONCE-CACHE
func TestNonces(t *testing.T) {
	incidenttest.TestNonces(t, incidenttest.NoncesHarness{New: func(t testing.TB) incidenttest.NoncesCase {
		m := new(lti.MemoryNonces)
		live := make([]lti.NonceID, 3)
		for i := range live {
			live[i] = lti.NewNonceID("iss", "client", fmt.Sprint("live", i))
			require.NoError(t, m.Use(t.Context(), live[i], time.Now().Add(time.Hour)))
		}
		for i := range 2 {
			require.NoError(t, m.Use(t.Context(), lti.NewNonceID("iss", "client", fmt.Sprint("old", i)), time.Now().Add(20*time.Millisecond)))
		}
		time.Sleep(1500 * time.Millisecond)
		return incidenttest.NoncesCase{Nonces: m, Expired: 2, Live: func() (n int) {
			for _, id := range live {
				if errors.Is(m.Use(t.Context(), id, time.Now().Add(time.Hour)), lti.ErrNonceUsed) {
					n++
				}
			}
			return n
		}}
	}})
}

func broken(err error) *http.Client {
	return &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
	})}
}

// What does not answer is a finding if others do, or if it says so itself, and
// else something that could not be looked at.
func TestSilence(t *testing.T) {
	one := func(path string, err error) func(s *stage) {
		return func(s *stage) {
			inner := s.cfg.HTTP.Transport
			s.cfg.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == path || path == "" {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err}
				}
				return inner.RoundTrip(r)
			})}
			s.cfg.TryToken = false
		}
	}
	runFaults(t, []fault{
		{"key set, others answer", one("/.well-known/jwks.json", syscall.EHOSTUNREACH), []string{"jwks_unreachable likely"}, []string{"other addresses did answer"}},
		{"login, others answer", one("/lti/login", syscall.ECONNREFUSED), []string{"login_unreachable likely"}, nil},
		{"launch, others answer", one("/lti/launch", syscall.ECONNRESET), []string{"launch_unreachable likely"}, nil},
		{"platform, others answer", one("/api/lti/security/jwks", syscall.EHOSTUNREACH), []string{"platform_jwks likely"}, []string{"Not looked at: the clocks"}},
		{"refused by all", func(s *stage) {
			one("", syscall.ECONNREFUSED)(s)
			s.cfg.Keys, s.cfg.PlatformTool = nil, nil
			s.cfg.LoginURL, s.cfg.LaunchURL, s.cfg.Registration.JWKSURL = "", "", ""
		}, []string{"jwks_unreachable likely"}, []string{"refused the connection"}},
		{"no route to any", func(s *stage) {
			one("", syscall.EHOSTUNREACH)(s)
			s.cfg.Keys, s.cfg.PlatformTool = nil, nil
		}, nil, []string{"nothing else answered either, so it may be the network of this machine"}},
		{"too many open files here", func(s *stage) { one("/.well-known/jwks.json", syscall.EMFILE)(s) }, nil, []string{"this machine has too many open files"}},
	})
}

// All is asked at the same time, each once, and a diagnosis ends in time whatever
// does not answer: also a func of the host that does not look at its context.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		release := make(chan struct{})
		slow := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		s.at["/lti/launch"], s.at["/.well-known/jwks.json"], s.at["/lti/login"] = slow, slow, slow
		s.cfg.PlatformTool = func(context.Context) (doctor.PlatformTool, error) { <-release; return doctor.PlatformTool{}, nil }
		s.cfg.TryToken = false
		began := time.Now()
		d := s.diagnose(t)
		assert.LessOrEqual(t, time.Since(began), 6*time.Second)
		assert.Contains(t, d.String(), "The tool's key set cannot be reached")
		assert.Contains(t, d.String(), "Not looked at: the tool's registration at the platform: it did not answer in time")
		close(release)
		s.platform.Wait()
		synctest.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.at["/lti/launch"] = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		d, err := s.doctor(t).Diagnose(ctx)
		require.NoError(t, err)
		assert.LessOrEqual(t, time.Since(began), 2*time.Second)
		assert.NotEmpty(t, d.Checked, "what was looked at until then")
		s.platform.Wait()
	})
}

// One diagnosis costs the tool six requests: its key set, three logins, the launch
// address, and the key set once more for the platform, which looks for a key.
func TestCost(t *testing.T) {
	s := newStage(t)
	s.diagnose(t)
	assert.EqualValues(t, 6, s.requests.Load())
	assert.Equal(t, 1, s.platform.Count(ltitest.KeySet))
	assert.Equal(t, 1, s.platform.Count(ltitest.TokenEndpoint))
	assert.Zero(t, s.platform.Count(ltitest.Authorization), "no launch is begun at the platform")
}

// Over real connections: a platform from outside is not asked at a private address,
// and a server that does not speak TLS is said to.
func TestPrivateAddresses(t *testing.T) {
	server := httptest.NewServer(text(200, "application/json", `{"keys":[]}`))
	defer server.Close()
	cfg := doctor.Config{Registration: lti.Registration{Issuer: "https://platform.example", ClientID: "1", AuthURL: server.URL, JWKSURL: server.URL, External: true}}
	d, err := doctor.New(cfg)
	require.NoError(t, err)
	got, err := d.Diagnose(t.Context())
	require.NoError(t, err)
	assert.Contains(t, got.String(), "the registration came from outside, and the address is not a public one")
	cfg.Registration.External = false
	d, err = doctor.New(cfg)
	require.NoError(t, err)
	got, err = d.Diagnose(t.Context())
	require.NoError(t, err)
	_, found := got.Finding("platform_jwks")
	assert.True(t, found, "%v", got)
	cfg = doctor.Config{JWKSURL: "https" + server.URL[4:]}
	d, err = doctor.New(cfg)
	require.NoError(t, err)
	got, err = d.Diagnose(t.Context())
	require.NoError(t, err)
	f, found := got.Finding("jwks_unreachable")
	require.True(t, found, "%v", got)
	assert.Contains(t, f.Evidence[0], "plain HTTP")
}

// Whoever has little still gets a diagnosis.
func TestPartialConfig(t *testing.T) {
	for name, cfg := range map[string]doctor.Config{
		"key":       {PrivateKey: keyText(ltitest.ToolKey(0))},
		"nonces":    {NonceLife: time.Minute},
		"issuer":    {Registration: lti.Registration{Issuer: "https://canvas.instructure.com"}},
		"addresses": {LoginURL: "x", LaunchURL: "y", JWKSURL: "z"},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := doctor.New(cfg)
			require.NoError(t, err)
			got, err := d.Diagnose(t.Context())
			require.NoError(t, err)
			require.NoError(t, got.Validate())
			assert.NotEmpty(t, got.NotChecked)
		})
	}
}
