package ltitest_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

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

// register makes a tool of package lti at a platform.
func register(t testing.TB, p *ltitest.Platform) (*lti.Tool, *http.ServeMux) {
	t.Helper()
	own := p.AddTool(ltitest.Tool{LoginURL: loginURL, RedirectURIs: []string{launchURL}, TargetLinkURI: targetURL})
	e := p.Endpoints()
	tool, err := lti.New(lti.Config{
		LaunchURL: launchURL, HTTP: p.Client(), StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 32))},
		Registrations: []lti.Registration{{
			Issuer: e.Issuer, ClientID: own.ClientID, AuthURL: e.AuthURL, JWKSURL: e.JWKSURL, TokenURL: e.TokenURL,
			Deployments: own.Deployments, TrustedAudiences: []string{ltitest.TrustedAudience},
		}},
	})
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/lti/login", tool.LoginHandler())
	mux.Handle("/lti/launch", tool.LaunchHandler(func(w http.ResponseWriter, _ *http.Request, _ *lti.Launch) { w.WriteHeader(http.StatusNoContent) }))
	return tool, mux
}

// begin sends a login initiation, and returns where it leads and the cookie.
func begin(t testing.TB, tool http.Handler, form string) (location, cookie string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, loginURL, strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	tool.ServeHTTP(w, r)
	require.Equal(t, http.StatusFound, w.Code, w.Body)
	require.Len(t, w.Result().Cookies(), 1)
	c := w.Result().Cookies()[0]
	return w.Header().Get("Location"), c.Name + "=" + c.Value
}

// TestCases shows that the cases are what they say, to a tool that is strict.
func TestCases(t *testing.T) {
	for name, p := range map[string]*ltitest.Platform{"neutral": {OddKeys: true}, "Canvas": {OddKeys: true, Canvas: true}} {
		_, tool := register(t, p)
		for _, c := range ltitest.Cases() {
			t.Run(name+"/"+c.ID, func(t *testing.T) {
				location, cookie := begin(t, tool, p.Login(ltitest.Message{}).Encode())
				answer, err := p.AuthorizeCase(location, c)
				require.NoError(t, err)
				r, err := answer.Request(t.Context())
				require.NoError(t, err)
				r.Header.Set("Cookie", cookie)
				w := httptest.NewRecorder()
				tool.ServeHTTP(w, r)
				if c.Accept {
					assert.Equal(t, http.StatusNoContent, w.Code, w.Body)
				} else {
					assert.GreaterOrEqual(t, w.Code, 400, c.Name)
					_, rest, _ := strings.Cut(w.Body.String(), "Code: <code>")
					reason, _, _ := strings.Cut(rest, "<")
					t.Log("REASON", c.ID, reason)
				}
			})
		}
	}
	_ = time.Now
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
