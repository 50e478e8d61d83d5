package lti_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

const claim = "https://purl.imsglobal.org/spec/lti/claim/"

// gone in a map of changes removes a claim.
type gone struct{}

// changed returns claims with changes.
func changed(claims, changes map[string]any) map[string]any {
	claims = maps.Clone(claims)
	for name, value := range changes {
		if _, ok := value.(gone); ok {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	return claims
}

// flow is a launch by a browser, step by step.
type flow struct {
	t    testing.TB
	tool *lti.Tool
	// login are the parameters of the login initiation.
	login url.Values
	// refusals are what the host was told.
	refusals []*lti.Refusal
	accepted []*lti.Launch

	state, nonce, cookie string
	location             *url.URL
}

func newFlow(t testing.TB, change func(*lti.Config)) *flow {
	f := &flow{t: t}
	login, err := url.ParseQuery(canvasLogin)
	require.NoError(t, err)
	f.login = login
	f.tool = benchTool(t, func(cfg *lti.Config) {
		cfg.Hooks.OnRefusal = func(_ context.Context, r *lti.Refusal) { f.refusals = append(f.refusals, r) }
		if change != nil {
			change(cfg)
		}
	})
	return f
}

// begin makes the login initiation.
func (f *flow) begin() *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/login", strings.NewReader(f.login.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	f.tool.LoginHandler().ServeHTTP(w, r)
	if location, err := url.Parse(w.Header().Get("Location")); err == nil && w.Code == http.StatusFound {
		f.location = location
		f.state, f.nonce = location.Query().Get("state"), location.Query().Get("nonce")
	}
	if cookies := w.Result().Cookies(); len(cookies) > 0 {
		f.cookie = cookies[0].Name + "=" + cookies[0].Value
	}
	return w
}

// claims are those of a good launch.
func (f *flow) claims(changes map[string]any) map[string]any {
	return changed(canvasClaims(f.nonce, time.Now()), changes)
}

// post sends a launch with the browser's cookie.
func (f *flow) post(form url.Values, header ...string) *httptest.ResponseRecorder {
	return f.postBody(form.Encode(), append([]string{"Cookie", f.cookie}, header...)...)
}

func (f *flow) postBody(body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/launch", strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.tool.LaunchHandler(func(w http.ResponseWriter, r *http.Request, l *lti.Launch) {
		f.accepted = append(f.accepted, l)
		http.Redirect(w, r, "/session", http.StatusSeeOther)
	}).ServeHTTP(w, r)
	return w
}

// launch logs in and launches with changed claims.
func (f *flow) launch(changes map[string]any) *httptest.ResponseRecorder {
	f.begin()
	return f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(changes))}})
}

// result returns the launch that was accepted last, or why it was not.
func (f *flow) result() (*lti.Launch, error) {
	switch {
	case len(f.refusals) > 0:
		return nil, f.refusals[len(f.refusals)-1]
	case len(f.accepted) > 0:
		return f.accepted[len(f.accepted)-1], nil
	}
	return nil, errors.New("nothing happened")
}

// refused wants the last request to be refused for a reason, with a page that
// says no more than it should.
func (f *flow) refused(w *httptest.ResponseRecorder, reason lti.Reason, status int) {
	f.t.Helper()
	_, err := f.result()
	require.ErrorIs(f.t, err, reason)
	require.Empty(f.t, f.accepted)
	require.Equal(f.t, status, w.Code, err)
	require.Contains(f.t, w.Body.String(), "Code: <code>"+string(reason))
	require.NotContains(f.t, w.Body.String(), "alex.example")
	require.NotContains(f.t, err.Error(), "alex.example")
	require.Equal(f.t, "no-store", w.Header().Get("Cache-Control"))
	require.Empty(f.t, w.Header().Get("X-Frame-Options"))
	require.Contains(f.t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'self'")
}

// rawToken makes a token of texts, signed by the platform.
func rawToken(header, payload string) string {
	enc := base64.RawURLEncoding
	signed := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	return signed + "." + enc.EncodeToString(rs256(signed))
}

func header(changes map[string]any) string {
	text, err := json.Marshal(changed(map[string]any{"alg": "RS256", "typ": "JWT", "kid": benchKid}, changes))
	if err != nil {
		panic(err)
	}
	return string(text)
}

func payload(claims map[string]any) string {
	text, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// seconds is a time as tokens have it, with a difference to now.
func seconds(d time.Duration) json.Number {
	return json.Number(fmt.Sprint(time.Now().Add(d).Unix()))
}
