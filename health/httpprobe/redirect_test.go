package httpprobe_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/internal/netcheck/certtest"
)

// estate answers for several hosts in memory and remembers what each was sent.
type estate struct {
	routes map[string]string // from URL without query to Location, or "" for an end
	code   int               // of redirects
	sent   []*http.Request
	bodies []string
}

func (e *estate) RoundTrip(req *http.Request) (*http.Response, error) {
	var body string
	if req.Body != nil {
		b, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		body = string(b)
	}
	e.sent, e.bodies = append(e.sent, req), append(e.bodies, body)
	at := *req.URL
	at.RawQuery = ""
	resp := &http.Response{Request: req, StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok")), ContentLength: 2}
	if location := e.routes[at.String()]; location != "" {
		resp.StatusCode = e.code
		resp.Header.Set("Location", location)
	}
	return resp, nil
}

// TestRedirects shows which redirects are followed.
func TestRedirects(t *testing.T) {
	const start = "https://a.test/"
	for _, c := range []struct {
		name   string
		follow int
		method string
		code   int
		routes map[string]string
		hops   int
		cause  health.Cause
		want   string
	}{
		{"none followed", 0, "", 302, map[string]string{start: "/login?next=" + canary}, 1, health.CauseStatus, "GET https://a.test/: answered 302 (Found), a redirect to https://a.test/login that is not followed, want 200 to 299"},
		{"one", 1, "", 302, map[string]string{start: "/health"}, 2, "", ""},
		{"one too many", 1, "", 302, map[string]string{start: "/1", start + "1": "/2?" + canary}, 2, health.CauseStatus, "GET https://a.test/ (redirected to https://a.test/1): answered 302 (Found), a redirect to https://a.test/2 that is not followed, want 200 to 299"},
		{"in circles", 5, "", 302, map[string]string{start: "/1", start + "1": "/"}, 6, health.CauseStatus, "GET https://a.test/ (redirected to https://a.test/1): answered 302 (Found), a redirect to https://a.test/ that is not followed, want 200 to 299"},
		{"to plain HTTP", 5, "", 302, map[string]string{start: "http://a.test/"}, 1, health.CauseStatus, "GET https://a.test/: answered 302 (Found), a redirect to http://a.test/ that is not followed, want 200 to 299"},
		{"to another scheme", 5, "", 302, map[string]string{start: "javascript:alert(1)"}, 1, health.CauseStatus, "GET https://a.test/: answered 302 (Found), a redirect to javascript:// that is not followed, want 200 to 299"},
		{"to a password", 0, "", 302, map[string]string{start: "https://u:" + canary + "@b.test/"}, 1, health.CauseStatus, "GET https://a.test/: answered 302 (Found), a redirect to https://b.test/ that is not followed, want 200 to 299"},
		{"to nowhere", 1, "", 302, map[string]string{start: "https://a.test:x/" + canary}, 1, health.CauseProtocol, "GET https://a.test/: redirects to an address that cannot be parsed"},
		{"body to the same host", 1, "POST", 307, map[string]string{start: "/2"}, 2, "", ""},
		{"body to another host", 1, "POST", 307, map[string]string{start: "https://b.test/"}, 1, health.CauseStatus, "POST https://a.test/: answered 307 (Temporary Redirect), a redirect to https://b.test/ that is not followed, want 200 to 299"},
		{"body that becomes a GET", 1, "POST", 303, map[string]string{start: "https://b.test/"}, 2, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &estate{routes: c.routes, code: c.code}
			cfg := httpprobe.Config{URL: start, Method: c.method, Redirects: c.follow, HTTP: &http.Client{Transport: e}}
			if c.method == "POST" {
				cfg.Body = "payload"
			}
			r := must(t, cfg).Probe(t.Context())
			assert.Equal(t, c.cause, r.Cause, r.Message)
			assert.Equal(t, c.want, r.Message)
			assert.Len(t, e.sent, c.hops)
			assert.NotContains(t, r.Message, canary)
		})
	}
	t.Run("accepted", func(t *testing.T) {
		e := &estate{routes: map[string]string{start: "/login"}, code: 302}
		r := must(t, httpprobe.Config{URL: start, Status: []int{302}, HTTP: &http.Client{Transport: e}}).Probe(t.Context())
		assert.Equal(t, health.Healthy, r.Status, r.Message)
	})
	t.Run("policy of the host's client", func(t *testing.T) {
		e := &estate{routes: map[string]string{start: "/1"}, code: 302}
		client := &http.Client{Transport: e, CheckRedirect: func(*http.Request, []*http.Request) error { return fmt.Errorf("host says no") }}
		r := must(t, httpprobe.Config{URL: start, Redirects: 1, HTTP: client}).Probe(t.Context())
		assert.Equal(t, health.Healthy, r.Status, r.Message)
		assert.EqualError(t, client.CheckRedirect(nil, nil), "host says no", "the host's client is not changed")
	})
}

// TestRedirectsCarryNoSecrets follows redirects to other hosts, ports and
// schemes, and looks at what each was sent.
func TestRedirectsCarryNoSecrets(t *testing.T) {
	secret := runbook.NewSecret(canary)
	auths := map[string]httpprobe.Auth{
		"bearer": {Bearer: secret},
		"basic":  {Username: canary, Password: secret},
		"header": {Header: "X-Api-Key", Value: secret},
	}
	for _, c := range []struct {
		name  string
		start string
		way   []string
		kept  []bool // whether the hop is sent the credential
	}{
		{"same host", "https://a.test/", []string{"https://a.test/2"}, []bool{true}},
		{"same host, port written", "https://a.test/", []string{"https://A.test:443/2"}, []bool{true}},
		{"from http to https", "http://a.test/", []string{"https://a.test/"}, []bool{true}},
		{"another port", "https://a.test/", []string{"https://a.test:8443/"}, []bool{false}},
		{"a sub-domain", "https://a.test/", []string{"https://x.a.test/"}, []bool{false}},
		{"another host", "https://a.test/", []string{"https://b.test/"}, []bool{false}},
		{"there and back", "https://a.test/", []string{"https://b.test/", "https://a.test/2"}, []bool{false, false}},
		{"another port and back to https", "http://a.test:8080/", []string{"https://a.test/"}, []bool{false}},
	} {
		for kind, auth := range auths {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				e := &estate{routes: map[string]string{}, code: 302}
				from := c.start
				for _, to := range c.way {
					e.routes[from] = to
					from = to
				}
				r := must(t, httpprobe.Config{
					URL: c.start + "?key=" + canary, Auth: auth, Redirects: len(c.way), HTTP: &http.Client{Transport: e},
					Header: http.Header{"X-Tenant": {canary}, "Accept": {"text/plain"}, "Host": {"virtual.test"}},
				}).Probe(t.Context())
				assert.Equal(t, health.Healthy, r.Status, r.Message)
				if !assert.Len(t, e.sent, 1+len(c.way)) {
					return
				}
				for i, req := range e.sent[1:] {
					all := fmt.Sprint(req.Header)
					assert.Equal(t, c.kept[i], strings.Contains(all, canary), "hop %d: %s", i+1, all)
					assert.Empty(t, req.Header.Get("Referer"))
					assert.Equal(t, "text/plain", req.Header.Get("Accept"))
					assert.Nil(t, req.URL.User)
					if !c.kept[i] {
						assert.NotContains(t, req.Host, "virtual")
					}
				}
			})
		}
	}
}

// TestRedirectedPhases shows that phases are summed over all hops.
func TestRedirectedPhases(t *testing.T) {
	to, err := url.Parse(serve(t, answer(200, "", "ok")).URL)
	require.NoError(t, err)
	s := serve(t, http.RedirectHandler("http://localhost:"+to.Port()+"/x", http.StatusFound))
	r := must(t, httpprobe.Config{URL: s.URL, Redirects: 1}).Probe(t.Context())
	assert.Equal(t, health.Healthy, r.Status, r.Message)
	dns, ok := r.Measurement("dns")
	assert.True(t, ok)
	assert.Positive(t, dns.Value, "localhost was resolved on the second hop")
}

// TestRedirectedCertificate shows that the certificates of all hops count.
func TestRedirectedCertificate(t *testing.T) {
	root := certtest.NewAuthority(t, "test root", 1000*certtest.Day)
	to := serveTLS(t, root.Leaf(t, -certtest.Day, 60*certtest.Day, "127.0.0.1"), http.NotFoundHandler())
	from := serveTLS(t, root.Leaf(t, -certtest.Day, 10*certtest.Day, "127.0.0.1"), http.RedirectHandler(to, http.StatusFound))
	r := must(t, httpprobe.Config{URL: from, Status: []int{404}, Redirects: 1, HTTP: trusting(root.Pool())}).Probe(t.Context())
	assert.Equal(t, health.Degraded, r.Status)
	assert.Equal(t, health.CauseCertificate, r.Cause)
	left, _ := r.Measurement("certificate_expiry")
	assert.InDelta(t, 10, left.Value, 0.01)
}
