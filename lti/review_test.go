package lti_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"html"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// TestFrameAncestors: the platform's hosts, and nobody else, may show what the
// tool answers.
//
// Requirement: LTI-GOTCHA-16
func TestFrameAncestors(t *testing.T) {
	const canvas = "frame-ancestors 'self' https://canvas.test.instructure.com https://*.instructure.com https://sso.test.canvaslms.com https://school.test.instructure.com https://learn.example.org"
	f := newFlow(t, func(cfg *lti.Config) { cfg.FrameAncestors = []string{"https://learn.example.org"} })
	w := f.launch(nil)
	require.Len(t, f.accepted, 1)
	assert.Equal(t, canvas, w.Header().Get("Content-Security-Policy"), "what the host answers to a launch")
	assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))

	w = f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}}) // again
	policy := strings.Split(w.Header().Get("Content-Security-Policy"), "; ")
	assert.Equal(t, canvas, policy[len(policy)-1], "an error")
	assert.Contains(t, policy, "form-action 'none'")
	assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
	assert.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))

	odd := lti.CanvasRegistration(lti.CanvasTest, "1", "school.test.instructure.com")
	odd.Issuer, odd.TokenURL = "https://*", "https://a.example;b/token"
	assert.Equal(t, "'self' https://sso.test.canvaslms.com https://learn.example.org", f.tool.FrameAncestors(odd), "a host that is more than a host is none")
}

// TestErrorsOfManyRegistrations: a page that belongs to none of them is not made
// of all of them, at the price of each request.
func TestErrorsOfManyRegistrations(t *testing.T) {
	tool := benchTool(t, func(cfg *lti.Config) {
		for i := range 1000 {
			host := fmt.Sprintf("https://lms%d.example.edu", i)
			cfg.Registrations = append(cfg.Registrations, lti.Registration{Issuer: host, ClientID: "c", AuthURL: host + "/a", JWKSURL: host + "/j"})
		}
	})
	w := httptest.NewRecorder()
	tool.LaunchHandler(nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://qa.example.edu/lti/launch", nil))
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "frame-ancestors 'self' https:")
	assert.Less(t, len(w.Header().Get("Content-Security-Policy")), 2048+300)
}

// TestPromisedBodies: whoever says that he will send much, and does not, takes no
// memory for it.
func TestPromisedBodies(t *testing.T) {
	tool := benchTool(t, nil)
	began := make(chan struct{}, 1000)
	launch := tool.LaunchHandler(func(http.ResponseWriter, *http.Request, *lti.Launch) {})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = told{r.Body, began}
		launch.ServeHTTP(w, r)
	}))
	defer s.Close()
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	const n = 100
	for range n {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprint(c, "POST /launch HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 262144\r\n\r\n")
		require.NoError(t, err)
		<-began
	}
	assert.Less(t, (heap()-before)/n, int64(64<<10))
}

// told says when its body is being read.
type told struct {
	body  interface{ Read(p []byte) (int, error) }
	began chan struct{}
}

func (b told) Read(p []byte) (int, error) { b.began <- struct{}{}; return b.body.Read(p) }
func (told) Close() error                 { return nil }

// TestOnlyTokensAreAskedFor: what is no token is not written into the page that
// asks the platform's storage.
func TestOnlyTokensAreAskedFor(t *testing.T) {
	f := newFlow(t, nil)
	f.login.Set("lti_storage_target", "_parent")
	next, err := url.Parse(strings.ReplaceAll(between(t, f.begin().Body.String(), `"next":"`, `"`), `\u0026`, "&"))
	require.NoError(t, err)
	for name, token := range map[string]string{"quotes": strings.Repeat(`"`, 1000), "too long": strings.Repeat("A", 130<<10)} {
		w := f.postBody(url.Values{"state": {next.Query().Get("state")}, "id_token": {token}}.Encode())
		f.refused(w, lti.ReasonToken, http.StatusUnauthorized)
		assert.Less(t, w.Body.Len(), 4000, name)
	}
}

// TestTheHostMayRedirect: browsers apply form-action to redirects as well, so the
// page that posts a launch says nothing of where the host leads.
func TestTheHostMayRedirect(t *testing.T) {
	f := newFlow(t, nil)
	f.login.Set("lti_storage_target", "_parent")
	next, err := url.Parse(strings.ReplaceAll(between(t, f.begin().Body.String(), `"next":"`, `"`), `\u0026`, "&"))
	require.NoError(t, err)
	w := f.postBody(url.Values{"state": {next.Query().Get("state")}, "id_token": {"e30.e30.e30"}}.Encode())
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "form-action https://qa.example.edu https:;")
	assert.Equal(t, "https://qa.example.edu/lti/launch", between(t, w.Body.String(), `action="`, `"`))
}

// TestReturnAddress is posted to letter by letter, and is in a header too.
//
// Requirement: LTI-GOTCHA-28
func TestReturnAddress(t *testing.T) {
	const odd = "https://school.test.instructure.com/x('a')?d=(a)|{b}'\"c<&e=%41é"
	f, request := deepLink(t, map[string]any{"deep_link_return_url": odd})
	_, w := respond(t, f, request, lti.DeepLinkingReply{})
	assert.Equal(t, odd, html.UnescapeString(between(t, w.Body.String(), `action="`, `"`)))
	assert.Contains(t, w.Header().Get("Content-Security-Policy"),
		"form-action https://school.test.instructure.com https://canvas.test.instructure.com https://*.instructure.com https://sso.test.canvaslms.com https://school.test.instructure.com;")
	for _, bad := range []string{
		"https://evil.example;frame-ancestors,x/y", "https://a'b.example/", "https://*/", "https://bücher.example/", "https://a.example:/", "https://u@a.example/", "https://[fe80::1%25eth0]/",
	} {
		request.Settings.ReturnURL = bad
		w := httptest.NewRecorder()
		require.Error(t, f.tool.RespondDeepLinking(w, httptest.NewRequest(http.MethodPost, "https://qa.example.edu/", nil), request, lti.DeepLinkingReply{}), bad)
		assert.Empty(t, w.Header(), bad)
	}
}

// TestOrigin: the secret of a login comes from the origin that browsers write for
// the launch address.
//
// Requirement: LTI-STORAGE-SERVER
func TestOrigin(t *testing.T) {
	for launch, origin := range map[string]string{
		"https://qa.example.edu:443/l": "https://qa.example.edu", "https://qa.example.edu:8443/l": "https://qa.example.edu:8443",
		"https://QA.example.edu/l": "https://qa.example.edu", "https://[2001:db8::1]/l": "https://[2001:db8::1]", "http://127.0.0.1:80/l": "http://127.0.0.1",
	} {
		f := newFlow(t, func(cfg *lti.Config) { cfg.LaunchURL = launch })
		f.login.Set("lti_storage_target", "_parent")
		f.login.Set("target_link_uri", origin+"/x")
		page := f.begin().Body.String()
		next, err := url.Parse(strings.ReplaceAll(between(t, page, `"next":"`, `"`), `\u0026`, "&"))
		require.NoError(t, err)
		f.state, f.nonce = next.Query().Get("state"), next.Query().Get("nonce")
		form := url.Values{
			"state": {f.state}, "id_token": {signRS256(f.claims(map[string]any{claim + "target_link_uri": origin + "/x"}))},
			"runbook_asked": {"1"}, "runbook_binding": {between(t, page, `"value":"`, `"`)},
		}
		f.postBody(form.Encode(), "Origin", origin)
		_, err = f.result()
		assert.NoError(t, err, launch)
	}
	for _, odd := range []string{"https://qa.example.edu:/l", "https://bücher.example/l"} {
		_, err := lti.New(lti.Config{LaunchURL: odd, StateKeys: otherKeys(), Registrations: []lti.Registration{lti.CanvasRegistration(lti.CanvasTest, "1", "a.instructure.com")}})
		require.ErrorContains(t, err, "LaunchURL: must have a host name", odd)
	}
}

// TestManyCookies: what a browser says does not make the answer's header large.
func TestManyCookies(t *testing.T) {
	f := newFlow(t, nil)
	var cookies strings.Builder
	for i := range 500 {
		fmt.Fprintf(&cookies, "__Host-lti_%d=;", i)
	}
	r := httptest.NewRequest(http.MethodGet, "https://qa.example.edu/lti/login?"+canvasLogin, nil)
	r.Header.Set("Cookie", cookies.String())
	w := httptest.NewRecorder()
	f.tool.LoginHandler().ServeHTTP(w, r)
	assert.Len(t, w.Header().Values("Set-Cookie"), 17)
}

// TestFormsThatWereRead by something else are said to be that.
func TestFormsThatWereRead(t *testing.T) {
	f := newFlow(t, nil)
	f.begin()
	r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/launch", strings.NewReader("state="+f.state))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	_ = r.FormValue("_method")
	f.tool.LaunchHandler(nil).ServeHTTP(httptest.NewRecorder(), r)
	_, err := f.result()
	require.ErrorIs(t, err, lti.ReasonRequest)
	require.ErrorContains(t, err, "has read the form already")
}

// TestExpiryToTheSecond: a token is good until its exp and the leeway, and not
// longer.
//
// Requirement: LTI-VALIDATE-7
func TestExpiryToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for late, reason := range map[time.Duration]lti.Reason{59 * time.Second: "", time.Minute: lti.ReasonExpired, 61 * time.Second: lti.ReasonExpired} {
			f := newFlow(t, nil)
			f.launch(map[string]any{"exp": seconds(-late)})
			_, err := f.result()
			if reason == "" {
				assert.NoError(t, err, late)
			} else {
				assert.ErrorIs(t, err, reason, late)
			}
		}
	})
}

// TestFormerStateKeysEnd: a key that was replaced opens nothing for longer than a
// login can take.
//
// Requirement: LTI-GOTCHA-13
func TestFormerStateKeysEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, nil)
		require.NoError(t, f.tool.SetStateKeys(otherKeys(), false))
		time.Sleep(lti.StateLife + 2*time.Minute)
		// Somebody who has the former key goes on using it.
		thief := newFlow(t, nil)
		thief.begin()
		f.postBody(url.Values{"state": {thief.state}, "id_token": {signRS256(thief.claims(nil))}}.Encode(), "Cookie", thief.cookie)
		_, err := f.result()
		require.ErrorIs(t, err, lti.ReasonState)
	})
}

// TestStateKeysWhileLaunching: keys are replaced while logins and launches go on,
// and none fails.
//
// Requirement: LTI-GOTCHA-13
func TestStateKeysWhileLaunching(t *testing.T) {
	tool := benchTool(t, nil)
	login := tool.LoginHandler()
	var mu sync.Mutex
	served := 0
	launch := tool.LaunchHandler(func(http.ResponseWriter, *http.Request, *lti.Launch) {
		mu.Lock()
		defer mu.Unlock()
		served++
	})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 20 {
				state, nonce, cookie := begin(login)
				body := url.Values{"state": {state}, "id_token": {signRS256(canvasClaims(nonce, time.Now()))}}.Encode()
				r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/launch", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				r.Header.Set("Cookie", cookie)
				launch.ServeHTTP(newBlank(), r)
			}
		})
	}
	all.Go(func() {
		for i := range 100 {
			assert.NoError(t, tool.SetStateKeys([]runbook.Secret{runbook.NewSecret(strings.Repeat("kz"[i%2:i%2+1], 32))}, false))
		}
	})
	all.Wait()
	assert.Equal(t, 80, served)
}

// TestHandoverEnds after a minute.
func TestHandoverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tool := benchTool(t, nil)
		code, err := tool.Handover("x")
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = tool.Redeem(t.Context(), code)
		require.ErrorIs(t, err, lti.ErrCode)
		require.ErrorContains(t, err, "older than 1m0s")
	})
}

// TestAgreedAlgorithms: what was agreed on is verified as what it is, and nothing
// else is taken.
//
// Requirement: LTI-VALIDATE-6
func TestAgreedAlgorithms(t *testing.T) {
	sign := func(alg string, hash crypto.Hash, sum func([]byte) []byte, claims map[string]any) string {
		enc := base64.RawURLEncoding
		signed := enc.EncodeToString([]byte(header(map[string]any{"alg": alg}))) + "." + enc.EncodeToString([]byte(payload(claims)))
		signature, err := rsa.SignPKCS1v15(rand.Reader, benchKey(), hash, sum([]byte(signed)))
		require.NoError(t, err)
		return signed + "." + enc.EncodeToString(signature)
	}
	tokens := map[string]func(claims map[string]any) string{
		"RS256": signRS256,
		"RS384": func(c map[string]any) string {
			return sign("RS384", crypto.SHA384, func(b []byte) []byte { s := sha512.Sum384(b); return s[:] }, c)
		},
		"RS512": func(c map[string]any) string {
			return sign("RS512", crypto.SHA512, func(b []byte) []byte { s := sha512.Sum512(b); return s[:] }, c)
		},
	}
	for agreed := range tokens {
		for alg, token := range tokens {
			f := newFlow(t, func(cfg *lti.Config) { cfg.Registrations[0].Algorithms = []string{agreed} })
			f.begin()
			f.post(url.Values{"state": {f.state}, "id_token": {token(f.claims(nil))}})
			_, err := f.result()
			if alg == agreed {
				assert.NoError(t, err, alg)
			} else {
				assert.ErrorIs(t, err, lti.ReasonAlgorithm, "%s where %s was agreed", alg, agreed)
			}
		}
	}
}

// TestAuthURLWithOwnParameters: none of what the tool sets comes twice.
//
// Requirement: LTI-GOTCHA-31
func TestAuthURLWithOwnParameters(t *testing.T) {
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.Registrations[0].AuthURL += "?nonce=n&state=s&login_hint=l&lti_message_hint=m&prompt=login&redirect_uri=https://evil.example&client_id=1&tenant=t"
	})
	f.begin()
	for name, values := range f.location.Query() {
		assert.Len(t, values, 1, name)
	}
	assert.NotEqual(t, "n", f.nonce)
	assert.Equal(t, "t", f.location.Query().Get("tenant"))
	assert.Equal(t, "https://qa.example.edu/lti/launch", f.location.Query().Get("redirect_uri"))
}

// TestLookupIsNotBelieved: it changes no registration that is known from the
// start, and answers for no other issuer.
func TestLookupIsNotBelieved(t *testing.T) {
	var answer []lti.Registration
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.Lookup = func(context.Context, string, string) ([]lti.Registration, error) { return answer, nil }
	})
	evil := lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "evil.instructure.com")
	evil.AuthURL = "https://evil.example/auth"
	answer = []lti.Registration{evil}
	f.login.Del("client_id")
	require.Equal(t, http.StatusFound, f.begin().Code)
	assert.Equal(t, "sso.test.canvaslms.com", f.location.Host)

	other := lti.CanvasRegistration(lti.CanvasBeta, "7", "evil.instructure.com")
	answer = []lti.Registration{other}
	f.login.Set("client_id", "7")
	f.refused(f.begin(), lti.ReasonRegistration, http.StatusBadRequest)

	f.login.Set("iss", other.Issuer)
	answer = []lti.Registration{other, other}
	require.Equal(t, http.StatusFound, f.begin().Code, "one that comes twice is one")
	assert.Equal(t, "sso.beta.canvaslms.com", f.location.Host)
}

// TestNoticesAreRefusedToo: the host hears of it, and decides on deployments.
//
// Requirement: LTI-GOTCHA-29
func TestNoticesAreRefusedToo(t *testing.T) {
	notice := func(nonce string, changes map[string]any) string {
		return signRS256(changed(map[string]any{
			"iss": "https://canvas.test.instructure.com", "aud": "10000000000042", "azp": "10000000000042", "nonce": nonce,
			"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), claim + "version": "1.3.0", claim + "deployment_id": "107:x",
			claim + "notice": map[string]any{"id": "n", "timestamp": "2026-11-01T02:03:04Z", "type": "LtiHelloWorldNotice"},
		}, changes))
	}
	var decide error
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.Deployment = func(_ context.Context, _ lti.Registration, l *lti.Launch) error {
			assert.Empty(t, l.MessageType)
			return decide
		}
		other := cfg.Registrations[0]
		other.ClientID = "99"
		cfg.Registrations[0].TrustedAudiences = []string{"99"}
		cfg.Registrations = append(cfg.Registrations, other)
	})
	decide = fmt.Errorf("not ours")
	_, err := f.tool.VerifyNotice(t.Context(), notice("a", nil))
	require.ErrorIs(t, err, lti.ReasonDeployment)
	require.ErrorIs(t, err, decide)
	require.Len(t, f.refusals, 1)
	assert.Equal(t, "10000000000042", f.refusals[0].ClientID)

	decide = nil
	n, err := f.tool.VerifyNotice(t.Context(), notice("a", map[string]any{"aud": []string{"99", "10000000000042"}}))
	require.NoError(t, err, "the nonce was not used up; azp says which registration")
	assert.Equal(t, "10000000000042", n.ClientID)
	_, err = f.tool.VerifyNotice(t.Context(), notice("a", nil))
	require.ErrorIs(t, err, lti.ReasonReplay)
}

// TestExamineSaysItOnce, and tells a bad signature from a bad payload.
func TestExamineSaysItOnce(t *testing.T) {
	keys, err := lti.NewKeySets(lti.KeySetsConfig{HTTP: &http.Client{Transport: platformKeys{}}})
	require.NoError(t, err)
	head, _, _ := strings.Cut(rawToken(header(nil), "{}"), ".")
	signed := head + ".!!!"
	e := lti.Examine(t.Context(), signed+"."+base64.RawURLEncoding.EncodeToString(rs256(signed)),
		lti.CanvasRegistration(lti.CanvasTest, "10000000000042", "school.test.instructure.com"), lti.ExamineConfig{KeySets: keys})
	assert.True(t, e.Verified)
	require.Len(t, e.Problems, 1)
	assert.ErrorIs(t, e.Problems[0], lti.ReasonClaims)
}

// TestErrorPage of the host gets the refusal, and the headers of a frame.
func TestErrorPage(t *testing.T) {
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.ErrorPage = func(w http.ResponseWriter, _ *http.Request, refusal *lti.Refusal) {
			w.WriteHeader(refusal.Status())
			_, _ = fmt.Fprint(w, "ours: ", refusal.Reason)
		}
	})
	w := f.launch(map[string]any{"nonce": "x"})
	assert.Equal(t, http.StatusUnauthorized, w.Code)
	assert.Equal(t, "ours: nonce", w.Body.String())
	assert.Contains(t, w.Header().Get("Content-Security-Policy"), "https://*.instructure.com")
	assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
}

// TestLimitsToTheSecond are the limits that a host sets, or leaves as they are.
//
// Requirement: LTI-VALIDATE-8
func TestLimitsToTheSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		age := func(cfg *lti.Config) { cfg.MaxTokenAge = 10 * time.Minute }
		for name, test := range map[string]struct {
			config  func(*lti.Config)
			changes map[string]any
			reason  lti.Reason // empty means accepted
		}{
			"as old as may be, and the leeway": {age, map[string]any{"iat": seconds(-11 * time.Minute)}, ""},
			"older":                            {age, map[string]any{"iat": seconds(-11*time.Minute - time.Second)}, lti.ReasonIssuedAt},
			"for a day":                        {nil, map[string]any{"exp": seconds(24 * time.Hour)}, ""},
			"for longer":                       {nil, map[string]any{"exp": seconds(24*time.Hour + time.Second)}, lti.ReasonLifetime},
		} {
			f := newFlow(t, test.config)
			f.launch(test.changes)
			_, err := f.result()
			if test.reason == "" {
				assert.NoError(t, err, name)
			} else {
				assert.ErrorIs(t, err, test.reason, name)
			}
		}
	})
	_, err := lti.New(lti.Config{LaunchURL: "https://a.example", StateKeys: []runbook.Secret{runbook.NewSecret(strings.Repeat("k", 31))}, Lookup: func(context.Context, string, string) ([]lti.Registration, error) { return nil, nil }})
	require.ErrorContains(t, err, "state key 1 is shorter than 32 bytes")
}

// TestExternalRegistrations: for one that came from outside nothing is fetched
// from private addresses, and that is no answer of the platform.
func TestExternalRegistrations(t *testing.T) {
	for external, status := range map[bool]int{false: http.StatusSeeOther, true: http.StatusServiceUnavailable} {
		f := newFlow(t, func(cfg *lti.Config) {
			cfg.Registrations[0].JWKSURL, cfg.Registrations[0].External = "https://10.0.0.1/jwks", external
		})
		w := f.launch(nil)
		assert.Equal(t, status, w.Code)
		if _, err := f.result(); external {
			assert.ErrorIs(t, err, lti.ReasonKeySet)
		}
	}
}

// TestForeignTextIsShort wherever it is shown.
func TestForeignTextIsShort(t *testing.T) {
	f := newFlow(t, nil)
	f.begin()
	w := f.post(url.Values{"state": {f.state}, "error": {strings.Repeat("e", 4000)}, "error_description": {strings.Repeat("d", 8000)}})
	f.refused(w, lti.ReasonPlatform, http.StatusUnauthorized)
	assert.Less(t, len(f.refusals[0].Error()), 500)
	assert.Len(t, f.refusals[0].PlatformDescription, 500)
	assert.Len(t, f.refusals[0].PlatformError, 100)
}

// TestKnownDeployments are not put to the host.
//
// Requirement: LTI-GOTCHA-9
func TestKnownDeployments(t *testing.T) {
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.Deployment = func(_ context.Context, _ lti.Registration, l *lti.Launch) error {
			return fmt.Errorf("asked about %s", l.DeploymentID)
		}
	})
	f.launch(nil)
	_, err := f.result()
	require.NoError(t, err)
}

// TestStorageKeys: two logins do not share a place in the platform's storage.
//
// Requirement: LTI-GOTCHA-11
func TestStorageKeys(t *testing.T) {
	f := newFlow(t, nil)
	f.login.Set("lti_storage_target", "_parent")
	one, two := f.begin().Body.String(), f.begin().Body.String()
	assert.NotEqual(t, between(t, one, `"key":"`, `"`), between(t, two, `"key":"`, `"`))
	assert.NotEqual(t, between(t, one, `"value":"`, `"`), between(t, two, `"value":"`, `"`))
}

// TestTargetsThatBrowsersReadOtherwise: a backslash is a slash for them.
//
// Requirement: LTI-GOTCHA-6
func TestTargetsThatBrowsersReadOtherwise(t *testing.T) {
	for _, target := range []string{`https://qa.example.edu\@evil.example/`, "https://qa.example.edu\t.evil.example/", "https://qa.example.edu%2eevil.example/", "https://qa.example.edu#@evil.example/"} {
		f := newFlow(t, nil)
		f.login.Set("target_link_uri", target)
		f.refused(f.begin(), lti.ReasonTarget, http.StatusBadRequest)
	}
}

// TestStatus of each reason, as its documentation says.
//
// Requirement: LTI-VALIDATE-3
func TestStatus(t *testing.T) {
	for reason, want := range map[lti.Reason]int{
		lti.ReasonMethod: 405, lti.ReasonRequest: 400, lti.ReasonParameter: 400, lti.ReasonRegistration: 400, lti.ReasonTarget: 400,
		lti.ReasonState: 401, lti.ReasonBrowser: 401, lti.ReasonPlatform: 401, lti.ReasonSignature: 401, lti.ReasonAudience: 401, lti.ReasonReplay: 401,
		lti.ReasonDeployment: 403, lti.ReasonHost: 403, lti.ReasonKeySet: 503, lti.ReasonStore: 503,
	} {
		assert.Equal(t, want, (&lti.Refusal{Reason: reason}).Status(), reason)
	}
}
