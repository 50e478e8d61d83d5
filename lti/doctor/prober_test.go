package doctor_test

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

func TestProbers(t *testing.T) {
	jwks := func(d *doctor.Doctor) health.Prober { return d.JWKS() }
	platform := func(d *doctor.Doctor) health.Prober { return d.PlatformKeySet() }
	login := func(d *doctor.Doctor) health.Prober { return d.Login() }
	token := func(d *doctor.Doctor) health.Prober { return d.TokenEndpoint() }
	set := func(h http.Handler) func(*stage) { return func(s *stage) { s.at["/.well-known/jwks.json"] = h } }
	fault := func(f ltitest.Fault) func(*stage) { return func(s *stage) { s.platform.Inject(f) } }
	well := func(*stage) {}
	own := &ltitest.ToolKey(0).PublicKey
	for name, tc := range map[string]struct {
		sicken func(*stage)
		prober func(*doctor.Doctor) health.Prober
		status health.Status
		cause  health.Cause
		says   string
	}{
		"key set":                 {well, jwks, health.Healthy, "", ""},
		"key set, another key":    {set(published(jwk(&ltitest.ToolKey(1).PublicKey, "x"))), jwks, health.Unhealthy, doctor.CauseKey, "not in its published set"},
		"key set, a leak":         {set(published(jwk(own, "x", "d", "AA"))), jwks, health.Unhealthy, doctor.CauseLeak, "publishes a private key"},
		"key set, another type":   {set(text(200, "text/html", string(mustSet(jwk(own, "x"))))), jwks, health.Degraded, health.CauseAssertion, "Content-Type"},
		"key set, fails":          {set(text(503, "text/html", "")), jwks, health.Unhealthy, health.CauseStatus, "503"},
		"key set, limited":        {set(text(429, "text/html", "")), jwks, health.Degraded, health.CauseThrottled, "429"},
		"key set, no address":     {func(s *stage) { s.cfg.JWKSURL = "" }, jwks, health.Unknown, health.CauseNotAsked, "JWKSURL was not given"},
		"key set, no host":        {func(s *stage) { s.cfg.JWKSURL = "https://gone.example.edu/" }, jwks, health.Unhealthy, health.CauseDNS, "has no address"},
		"platform":                {well, platform, health.Healthy, "", ""},
		"platform, fails":         {fault(ltitest.Fault{Endpoint: ltitest.KeySet, Status: 502}), platform, health.Unhealthy, health.CauseStatus, "502"},
		"platform, no key set":    {fault(ltitest.Fault{Endpoint: ltitest.KeySet, Status: 404}), platform, health.Unhealthy, health.CauseStatus, "404"},
		"platform, connection":    {fault(ltitest.Fault{Endpoint: ltitest.KeySet, Reset: true}), platform, health.Unhealthy, health.CauseConnection, "broke"},
		"platform, another clock": {func(s *stage) { s.platform.SetClockSkew(10 * time.Minute) }, platform, health.Degraded, health.CauseThreshold, "behind the platform's"},
		"login":                   {well, login, health.Healthy, "", ""},
		"login, cookie":           {func(s *stage) { s.at["/lti/login"] = s.changed(cookies("SameSite=None", "SameSite=Lax")) }, login, health.Unhealthy, health.CauseAssertion, "SameSite is Lax"},
		"login, refused":          {func(s *stage) { s.at["/lti/login"] = text(400, "text/html", "") }, login, health.Unhealthy, health.CauseStatus, "refuses a login"},
		"login, no address":       {func(s *stage) { s.cfg.LoginURL = "" }, login, health.Unknown, health.CauseNotAsked, ""},
		"token":                   {well, token, health.Healthy, "", ""},
		"token, a page":           {fault(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 404}), token, health.Unhealthy, health.CauseStatus, "not what a token endpoint says"},
		"token, gives them away":  {fault(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 200, Body: []byte(`{}`)}), token, health.Unhealthy, health.CauseProtocol, "without any proof"},
		"token, fails":            {fault(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Status: 500}), token, health.Unhealthy, health.CauseStatus, "500"},
		"token, no address":       {func(s *stage) { s.cfg.Registration.TokenURL = "" }, token, health.Unknown, health.CauseNotAsked, "TokenURL"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			tc.sicken(s)
			r := tc.prober(s.doctor(t)).Probe(t.Context())
			assert.Equal(t, tc.status, r.Status, "%+v", r)
			assert.Equal(t, tc.cause, r.Cause, "%+v", r)
			assert.Contains(t, r.Message, tc.says)
			assert.False(t, r.Time.IsZero())
		})
	}
}

func TestProberConformance(t *testing.T) {
	for name, of := range map[string]func(*doctor.Doctor) health.Prober{
		"JWKS": (*doctor.Doctor).JWKS, "PlatformKeySet": (*doctor.Doctor).PlatformKeySet, "Login": (*doctor.Doctor).Login, "TokenEndpoint": (*doctor.Doctor).TokenEndpoint,
	} {
		t.Run(name, func(t *testing.T) { conform(t, of) })
	}
}

func conform(t *testing.T, of func(*doctor.Doctor) health.Prober) {
	t.Helper()
	everywhere := func(h http.Handler) func(s *stage) {
		return func(s *stage) {
			s.cfg.HTTP = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if h == nil {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
			})}
		}
	}
	secret := keyText(ltitest.ToolKey(0)).Reveal()
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober { return of(newStage(t).doctor(t)) },
		Down: func(t testing.TB) (health.Prober, health.Cause) {
			s := newStage(t)
			everywhere(http.NotFoundHandler())(s)
			return of(s.doctor(t)), health.CauseRefused
		},
		Hanging: func(t testing.TB) health.Prober {
			s := newStage(t)
			everywhere(nil)(s)
			return of(s.doctor(t))
		},
		Secrets: []string{secret[40:80]},
	})
}

// The age of the key that signs is measured, and limited.
func TestKeyAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Store: new(runbook.MemoryCredentials), Name: "keys", Lead: -1})
		require.NoError(t, err)
		p := doctor.KeyAge(ring, 0)
		r := p.Probe(t.Context())
		assert.Equal(t, health.Healthy, r.Status, "%+v", r)
		time.Sleep(91 * 24 * time.Hour)
		r = p.Probe(t.Context())
		assert.Equal(t, health.Degraded, r.Status)
		assert.Equal(t, doctor.CauseOld, r.Cause)
		m, ok := r.Measurement("key_age")
		assert.True(t, ok)
		assert.InDelta(t, 91, m.Value, 0.01)
	})
	ring, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Keys: []runbook.Secret{keyText(ltitest.ToolKey(0))}})
	require.NoError(t, err)
	r := doctor.KeyAge(ring, time.Hour).Probe(t.Context())
	assert.Equal(t, health.Unknown, r.Status, "nobody knows the age of a fixed key: %+v", r)
}
