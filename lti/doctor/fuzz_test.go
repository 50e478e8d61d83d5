package doctor_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

func plainDoctor(t testing.TB) *doctor.Doctor {
	t.Helper()
	d, err := doctor.New(doctor.Config{
		Registration: lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com"),
		JWKSURL:      toolKeys, LoginURL: toolLogin, LaunchURL: toolLaunch, PrivateKey: keyText(ltitest.ToolKey(0)),
	})
	require.NoError(t, err)
	return d
}

// Whatever a tool publishes, a diagnosis has one line for each fact.
func FuzzKeySet(f *testing.F) {
	own := &ltitest.ToolKey(0).PublicKey
	for _, seed := range []string{
		string(mustSet(jwk(own, "a"), jwk(own, "a", "d", "x"))), `{"keys":[{"kty":"RSA","n":"","e":"AQAB"}]}`, `{"keys":[1,null,"x",{}]}`, `{"keys":{}}`, `[]`, ``,
		`{"keys":[{"kty":"RSA","kid":"a\nb\u2028","n":"AQAB","e":"____________"},{"kty":"oct","k":"c"}]}`, "-----BEGIN PRIVATE KEY-----",
		`{"keys":[{"kty":"RSA","kty":"EC","kid":"é"}],"keys":[]}`,
	} {
		f.Add([]byte(seed))
	}
	d := plainDoctor(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		require.NoError(t, d.JudgeKeySet(body))
		if all, err := doctor.Thumbprints(body); err == nil {
			for _, thumbprint := range all {
				assert.Len(t, thumbprint, 43)
			}
		}
	})
}

// Whatever a login answers, a diagnosis has one line for each fact.
func FuzzLogin(f *testing.F) {
	f.Add("https://sso.canvaslms.com/api/lti/authorize_redirect?scope=openid&nonce=a&nonce=b&state=%0a", "__Host-x=1; Secure; SameSite=None; Path=/; Partitioned; HttpOnly")
	f.Add("//x", "=; Path")
	f.Add("https://[::1]:bad/", "a=b; Max-Age=-99999999999999999999; SameSite=Strict; Domain=x")
	f.Add("https://sso.canvaslms.com/%zz?%zz", "__Secure-x\x00=\xff")
	d := plainDoctor(f)
	f.Fuzz(func(t *testing.T, location, cookie string) {
		require.NoError(t, d.JudgeLocation(location, cookie))
	})
}

// The framing rules do not panic, and forbid no frame of the page's own origin
// that 'self' allows.
func FuzzFrame(f *testing.F) {
	f.Add("frame-ancestors 'self' https://*.instructure.com:443/x", "DENY", "https://school.instructure.com")
	f.Add("frame-ancestors ://:;,*:*", "ALLOW-FROM x, SAMEORIGIN", "::")
	f.Add("frame-ancestors [::1]:80", "", "http://[::1]")
	f.Fuzz(func(t *testing.T, policy, option, parent string) {
		why := doctor.ForbidsFrame(http.Header{"Content-Security-Policy": {policy}, "X-Frame-Options": {option}}, toolLaunch, parent)
		assert.NotContains(t, why, "\n")
		if !strings.ContainsAny(policy, ",;") {
			assert.Empty(t, doctor.ForbidsFrame(http.Header{"Content-Security-Policy": {"frame-ancestors 'self' " + policy}}, toolLaunch, toolLaunch))
		}
	})
}

// What a token endpoint says is read, or not, without harm.
func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":"invalid_client","error_description":"no"}`))
	f.Add([]byte(`{"error":{"a":1},"error_description":[]}`))
	f.Add([]byte(`{"error":"\ud800"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if r, ok := doctor.ReadRefusal(body); ok {
			assert.NotEmpty(t, r)
		}
	})
}

func TestCookies(t *testing.T) {
	const good = "__Host-lti=1; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None; Partitioned"
	for line, want := range map[string][3]int{
		good:                        {0, 0, 0},
		"lti=1":                     {2, 2, 1},
		"not a cookie":              {1, 0, 0},
		good + "; Domain=x.example": {1, 0, 0},
	} {
		dropped, exposed, blocked, ok := doctor.InspectCookie(line)
		assert.True(t, ok)
		got := [3]int{dropped, exposed, 0}
		if blocked {
			got[2] = 1
		}
		assert.Equal(t, want, got, line)
	}
	_, _, _, ok := doctor.InspectCookie("__Host-lti=; Path=/; Max-Age=0")
	assert.False(t, ok, "a cookie that is removed")
}

func TestFrameSources(t *testing.T) {
	for source, allowed := range map[string]bool{
		"https://school.instructure.com": true, "https://school.instructure.com/": true, "school.instructure.com": true, "http://school.instructure.com": true,
		"https://school.instructure.com:443": true, "https://school.instructure.com:*": true, "https://*.instructure.com": true, "*": true, "https:": true,
		"https://school.instructure.com:8443": false, "https://*.school.instructure.com": false, "https://instructure.com": false, "https://*instructure.com": false,
		"http:": false, "'none'": false, "'self'": false, "": false, "https://SCHOOL.instructure.com": true,
	} {
		why := doctor.ForbidsFrame(http.Header{"Content-Security-Policy": {"frame-ancestors " + source}}, toolLaunch, "https://school.instructure.com")
		assert.Equal(t, allowed, why == "", "%q: %s", source, why)
	}
}

// A redirect URI is compared letter by letter, but for the query of the registered
// one, whose parameters must be there.
func TestRegistered(t *testing.T) {
	for address, want := range map[string]bool{
		"https://a.example/l": true, "https://a.example/l/": false, "https://A.example/l": false, "https://a.example/l?x=1": false,
		"https://a.example/q?x=1": true, "https://a.example/q?x=1&y=2": true, "https://a.example/q?y=2": false, "https://a.example/q": false, "%": false,
	} {
		assert.Equal(t, want, doctor.Registered([]string{"https://a.example/l", "https://a.example/q?x=1", "%"}, address), address)
	}
}
