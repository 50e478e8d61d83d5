package httpprobe_test

import (
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
)

const canary = "c4n4ry-s3cret"

func TestNewReportsAllProblems(t *testing.T) {
	secret := runbook.NewSecret(canary)
	ok := map[string]health.Status{"ok": health.Healthy}
	limit := 1.0
	for _, c := range []struct {
		name string
		cfg  httpprobe.Config
		want []string
	}{
		{"nothing", httpprobe.Config{}, []string{"URL is required"}},
		{"relative", httpprobe.Config{URL: "/health"}, []string{"URL must be absolute"}},
		{"other scheme", httpprobe.Config{URL: "ftp://a.test/"}, []string{"URL must be absolute, with http or https"}},
		{"no host", httpprobe.Config{URL: "https://:443/"}, []string{"URL must be absolute"}},
		{"not a URL", httpprobe.Config{URL: "https://" + canary + "\x00/"}, []string{"URL cannot be parsed"}},
		{"password", httpprobe.Config{URL: "https://user:" + canary + "@a.test/"}, []string{"URL must not hold a user name or password"}},
		{"port", httpprobe.Config{URL: "https://a.test:70000/"}, []string{"the port must be"}},
		{"empty port", httpprobe.Config{URL: "https://a.test:/"}, []string{"the port must be"}},
		{"method", httpprobe.Config{URL: "https://a.test", Method: "GE T"}, []string{`Method "GE T" cannot be used`}},
		{"connect", httpprobe.Config{URL: "https://a.test", Method: "CONNECT"}, []string{"cannot be used"}},
		{"headers", httpprobe.Config{URL: "https://a.test", Header: http.Header{
			"accept-encoding": {"br"}, "Authorization": {canary}, "Bad Name": {"x"}, "X-Line": {canary + "\n"},
		}}, []string{"Accept-Encoding", "Authorization: use Auth", `"Bad Name"`, `"X-Line"`}},
		{"two kinds of auth", httpprobe.Config{URL: "https://a.test", Auth: httpprobe.Auth{Bearer: secret, Username: "u"}}, []string{"only one of"}},
		{"header without value", httpprobe.Config{URL: "https://a.test", Auth: httpprobe.Auth{Header: "X-Api-Key"}}, []string{"belong together"}},
		{"value without header", httpprobe.Config{URL: "https://a.test", Auth: httpprobe.Auth{Value: secret}}, []string{"belong together"}},
		{"header twice", httpprobe.Config{URL: "https://a.test", Header: http.Header{"X-Api-Key": {"x"}}, Auth: httpprobe.Auth{Header: "x-api-key", Value: secret}}, []string{"is set in Header too"}},
		{"secret with a line break", httpprobe.Config{URL: "https://a.test", Auth: httpprobe.Auth{Bearer: runbook.NewSecret(canary + "\n")}}, []string{"a character that a header cannot carry"}},
		{"user name with a colon", httpprobe.Config{URL: "https://a.test", Auth: httpprobe.Auth{Username: "a:b"}}, []string{"must not hold a colon"}},
		{"codes", httpprobe.Config{URL: "https://a.test", Status: []int{200, 99, 503}, Maintenance: []int{503}}, []string{"status code 99", "503 cannot be good and mean maintenance"}},
		{"body of a HEAD", httpprobe.Config{URL: "https://a.test", Method: "HEAD", Contains: "x"}, []string{"HEAD has no body"}},
		{"numbers", httpprobe.Config{URL: "https://a.test", MaxBody: -1, Redirects: -1, Latency: health.Budget{Warn: 2, Fail: 1}, CertificateWarn: time.Hour, CertificateFail: 2 * time.Hour},
			[]string{"MaxBody", "Redirects", "Latency: latency budget", "CertificateWarn: 1h0m0s must be more than CertificateFail (2h0m0s)"}},
		{"assertions", httpprobe.Config{URL: "https://a.test", Assert: []httpprobe.Assertion{{Path: "status", Want: ok}, {Path: ".status"}, {Path: ".s", Want: map[string]health.Status{"x": 99}}}},
			[]string{`Assert[0]: path "status"`, "Assert[1]: Want is required", "Assert[2]: Want \"x\""}},
		{"fields", httpprobe.Config{URL: "https://a.test", Extract: []httpprobe.Field{
			{Path: "."}, {Path: ".a"}, {Path: ".b.a"}, {Path: ".dns"}, {Path: ".c", Of: "d"}, {Path: ".e", Of: ".f", Scale: 2}, {Path: ".g", Scale: math.NaN()},
			{Path: ".h", Limit: health.Limit{Warn: &limit, Fail: new(float64)}},
		}}, []string{"Extract[0]: Name is required", "Extract[2]: Name \"a\" is taken", "Extract[3]: Name \"dns\" is taken", "Extract[4]: Of: path", "Extract[5]: with Of", "Extract[6]: Scale", "Extract[7]: limit"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := httpprobe.New(c.cfg)
			require.Error(t, err)
			assert.Nil(t, p)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Len(t, strings.Split(err.Error(), "\n"), len(c.want), "%v", err)
			assert.NotContains(t, err.Error(), canary)
			for line := range strings.SplitSeq(err.Error(), "\n") {
				assert.True(t, strings.HasPrefix(line, "httpprobe: "), line)
			}
		})
	}
}

// TestProberPrintsNoSecret prints a prober in the ways in which a host may.
func TestProberPrintsNoSecret(t *testing.T) {
	p, err := httpprobe.New(httpprobe.Config{
		URL:  "https://a.test/health?token=" + canary + "#" + canary,
		Auth: httpprobe.Auth{Username: "u", Password: runbook.NewSecret(canary)},
	})
	require.NoError(t, err)
	assert.Equal(t, "GET https://a.test/health", p.String())
	for _, verb := range []string{"%v", "%+v", "%s", "%q"} {
		assert.NotContains(t, fmt.Sprintf(verb, p), canary)
	}
}

// TestResultShowsNoSecret lets a server send back the credential that it was
// given: in a value that is asserted, one that is measured, and a header, whole
// and cut off.
func TestResultShowsNoSecret(t *testing.T) {
	said := strings.Repeat("x", 95) + canary
	s := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", canary)
		w.WriteHeader(http.StatusTooManyRequests)
		fmt.Fprintf(w, `{"status":%q,"said":%q,"more":%q}`, canary, said, canary)
	}))
	cfg := httpprobe.Config{
		URL: s.URL, Auth: httpprobe.Auth{Bearer: runbook.NewSecret(canary)},
		Assert:  []httpprobe.Assertion{{Path: ".status", Want: map[string]health.Status{"ok": health.Healthy}}},
		Extract: []httpprobe.Field{{Path: ".said"}, {Path: ".more"}},
	}
	for _, status := range [][]int{nil, {http.StatusTooManyRequests}} {
		cfg.Status = status
		r := must(t, cfg).Probe(t.Context())
		assert.Contains(t, r.Message, "[redacted]")
		assert.NotContains(t, fmt.Sprintf("%+v", r), canary)
		assert.NotContains(t, fmt.Sprintf("%+v", r), "x"+canary[:4])
	}
}

// TestConfigIsCopied changes a configuration after New.
func TestConfigIsCopied(t *testing.T) {
	s := serve(t, answer(200, "application/json", `{"status":"ok"}`))
	cfg := httpprobe.Config{
		URL: s.URL, Status: []int{200}, Header: http.Header{"X-Test": {"1"}},
		Assert: []httpprobe.Assertion{{Path: ".status", Want: map[string]health.Status{"ok": health.Healthy}}},
	}
	p := must(t, cfg)
	cfg.Status[0] = 500
	cfg.Header["X-Test"][0] = "a\nb"
	cfg.Assert[0].Want["ok"] = health.Unhealthy
	r := p.Probe(t.Context())
	assert.Equal(t, health.Healthy, r.Status, r.Message)
}
