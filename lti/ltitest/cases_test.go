package ltitest_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

const (
	loginURL  = "https://qa.example.edu/lti/login"
	launchURL = "https://qa.example.edu/lti/launch"
	targetURL = "https://qa.example.edu/lti/course"
)

// register makes a tool of package lti at a platform, and says what it accepted.
func register(t testing.TB, p *ltitest.Platform) *[]*lti.Launch {
	t.Helper()
	mux := http.NewServeMux()
	own := p.AddTool(ltitest.Tool{LoginURL: loginURL, RedirectURIs: []string{launchURL}, TargetLinkURI: targetURL, Handler: mux})
	e := p.Endpoints()
	tool, err := lti.New(lti.Config{
		LaunchURL: launchURL, HTTP: p.Client(), StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		Registrations: []lti.Registration{{
			Issuer: e.Issuer, ClientID: own.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, TokenURL: e.TokenURL,
			Deployments: own.Deployments, TrustedAudiences: []string{ltitest.TrustedAudience},
		}},
	})
	require.NoError(t, err)
	accepted := new([]*lti.Launch)
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
		*accepted = append(*accepted, l)
		http.Redirect(w, r, l.TargetLinkURI, http.StatusSeeOther)
	}))
	return accepted
}

// TestCases shows that the cases are what they say, to a tool that is strict:
// each bad one is refused for the reason that it is made for.
//
// Requirement: LTI-CERT-B1, LTI-CERT-B2, LTI-CERT-B3, LTI-CERT-B4, LTI-CERT-B5, LTI-CERT-B6, LTI-CERT-B7, LTI-CERT-B8, LTI-CERT-B9, LTI-CERT-B10, LTI-CERT-B11, LTI-CERT-B12
// Requirement: LTI-CERT-I1, LTI-CERT-I2, LTI-CERT-I3, LTI-CERT-I4, LTI-CERT-I5, LTI-CERT-I6, LTI-CERT-I7, LTI-CERT-I8, LTI-CERT-I9
// Requirement: LTI-CERT-S1, LTI-CERT-S2, LTI-CERT-S3, LTI-CERT-S4, LTI-CERT-S5, LTI-CERT-S6, LTI-CERT-S7, LTI-CERT-S8, LTI-CERT-S9
// Requirement: LTI-BEYOND-AUD-OTHER, LTI-BEYOND-AUD-MISSING, LTI-BEYOND-AUD-EXTRA, LTI-BEYOND-AUD-TRUSTED, LTI-BEYOND-AZP, LTI-BEYOND-ALG-NONE, LTI-BEYOND-ALG-HS256, LTI-BEYOND-ALG-EC, LTI-BEYOND-TAMPERED, LTI-BEYOND-CRIT
// Requirement: LTI-BEYOND-DUPLICATE-KEYS, LTI-BEYOND-DEPTH, LTI-BEYOND-SIZE, LTI-BEYOND-NONCE-STATE, LTI-BEYOND-STATE-MISSING, LTI-BEYOND-STATE-MISMATCH, LTI-BEYOND-EXP-MISSING, LTI-BEYOND-EXP-STRING, LTI-BEYOND-EXP-HUGE, LTI-BEYOND-EXP-FRACTION
// Requirement: LTI-BEYOND-IAT-FUTURE, LTI-BEYOND-DEPLOYMENT, LTI-BEYOND-SHARED-KEYS, LTI-BEYOND-TARGET, LTI-BEYOND-ERROR-POST
func TestCases(t *testing.T) {
	for name, p := range map[string]*ltitest.Platform{"neutral": {OddKeys: true}, "Canvas": {OddKeys: true, Canvas: true}} {
		tool := register(t, p)
		for _, c := range ltitest.Cases() {
			t.Run(name+"/"+c.ID, func(t *testing.T) {
				resp, err := p.LaunchCase(t.Context(), p.Browser(), ltitest.Message{}, c)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				_, rest, _ := strings.Cut(string(body), "Code: <code>")
				reason, _, _ := strings.Cut(rest, "<")
				assert.Equal(t, c.Accept, resp.StatusCode == http.StatusSeeOther, reason)
				assert.Equal(t, reasons[c.ID], reason)
			})
		}
		assert.NotZero(t, *tool)
	}
}

// reasons are why package lti refuses the bad cases.
var reasons = map[string]string{
	"B1":                       "key",
	"B2":                       "key",
	"B3":                       "version",
	"B4":                       "version",
	"B5":                       "issuer",
	"B5-TEXT":                  "token",
	"B6":                       "version",
	"B7":                       "expired",
	"B7-FUTURE":                "lifetime",
	"B8":                       "message_type",
	"B9":                       "missing_claim",
	"B10":                      "missing_claim",
	"B11":                      "missing_claim",
	"B11-CLAIM":                "missing_claim",
	"B12":                      "anonymous",
	"BEYOND-AUD-OTHER":         "audience",
	"BEYOND-AUD-OTHER-AZP":     "audience",
	"BEYOND-AUD-MISSING":       "audience",
	"BEYOND-AUD-EMPTY":         "audience",
	"BEYOND-AUD-NUMBER":        "claims",
	"BEYOND-AUD-PREFIX":        "audience",
	"BEYOND-AUD-EXTRA":         "audience",
	"BEYOND-AUD-EXTRA-AZP":     "audience",
	"BEYOND-AUD-TRUSTED":       "party",
	"BEYOND-AZP":               "party",
	"BEYOND-SHARED-KEYS":       "audience",
	"BEYOND-ISS":               "issuer",
	"BEYOND-ISS-SLASH":         "issuer",
	"BEYOND-ALG-NONE":          "algorithm",
	"BEYOND-ALG-NONE-CASE":     "algorithm",
	"BEYOND-ALG-HS256":         "algorithm",
	"BEYOND-ALG-EC":            "key",
	"BEYOND-ALG-ES256":         "algorithm",
	"BEYOND-ALG-PS256":         "algorithm",
	"BEYOND-KEY-SMALL":         "key",
	"BEYOND-KEY-ENCRYPTION":    "key",
	"BEYOND-KEY-MISNAMED":      "signature",
	"BEYOND-FORGED":            "signature",
	"BEYOND-SIGNATURE-MISSING": "signature",
	"BEYOND-TAMPERED":          "signature",
	"BEYOND-CRIT":              "token",
	"BEYOND-CRIT-EMPTY":        "token",
	"BEYOND-JWK":               "key",
	"BEYOND-JKU":               "key",
	"BEYOND-X5U":               "key",
	"BEYOND-JWK-KID":           "signature",
	"BEYOND-KID-TYPE":          "token",
	"BEYOND-KID-PATH":          "key",
	"BEYOND-KID-LONG":          "token",
	"BEYOND-DUPLICATE-KEYS":    "claims",
	"BEYOND-DUPLICATE-LAST":    "claims",
	"BEYOND-DUPLICATE-DEEP":    "claims",
	"BEYOND-DUPLICATE-CASE":    "issuer",
	"BEYOND-AUD-CASE":          "audience",
	"BEYOND-DEPTH":             "claims",
	"BEYOND-SIZE":              "request",
	"BEYOND-UTF8":              "claims",
	"BEYOND-PAYLOAD-TEXT":      "claims",
	"BEYOND-PAYLOAD-LIST":      "claims",
	"BEYOND-PAYLOAD-NULL":      "issuer",
	"BEYOND-NONCE-STATE":       "nonce",
	"BEYOND-NONCE-MISSING":     "nonce",
	"BEYOND-NONCE-EMPTY":       "nonce",
	"BEYOND-NONCE-TYPE":        "claims",
	"BEYOND-NONCE-OBJECT":      "claims",
	"BEYOND-DEPLOYMENT":        "deployment",
	"BEYOND-DEPLOYMENT-LONG":   "missing_claim",
	"BEYOND-SUB-LONG":          "missing_claim",
	"BEYOND-LINK-LONG":         "missing_claim",
	"BEYOND-TARGET":            "target",
	"BEYOND-TARGET-MISSING":    "missing_claim",
	"BEYOND-ROLES-NULL":        "missing_claim",
	"BEYOND-ROLES-STRING":      "claims",
	"BEYOND-VERSION-NUMBER":    "claims",
	"BEYOND-TYPE-UNKNOWN":      "message_type",
	"BEYOND-EXPIRED":           "expired",
	"BEYOND-EXP-MISSING":       "expired",
	"BEYOND-EXP-STRING":        "claims",
	"BEYOND-EXP-NULL":          "expired",
	"BEYOND-EXP-HUGE":          "lifetime",
	"BEYOND-EXP-OVERFLOW":      "lifetime",
	"BEYOND-EXP-NEGATIVE":      "expired",
	"BEYOND-IAT-FUTURE":        "issued_at",
	"BEYOND-IAT-MISSING":       "issued_at",
	"BEYOND-STATE-MISSING":     "state",
	"BEYOND-STATE-MISMATCH":    "state",
	"BEYOND-STATE-TWICE":       "request",
	"BEYOND-TOKEN-MISSING":     "token",
	"BEYOND-TOKEN-TWICE":       "request",
	"BEYOND-ERROR-POST":        "platform / login_required",
	"BEYOND-ERROR-STATE":       "state",
}

// TestCaseIDs: each case has an ID of its own, and those of the certification
// are all there.
func TestCaseIDs(t *testing.T) {
	var ids []string
	for _, c := range ltitest.Cases() {
		assert.NotContains(t, ids, c.ID)
		assert.NotEmpty(t, c.Name, c.ID)
		ids = append(ids, c.ID)
	}
	for prefix, n := range map[string]int{"B": 12, "I": 9, "S": 9} {
		for i := range n {
			assert.True(t, slices.Contains(ids, prefix+string(rune('1'+i))) || i >= 9 && slices.Contains(ids, prefix+"1"+string(rune('0'+i-9))), "%s%d", prefix, i+1)
		}
	}
}
