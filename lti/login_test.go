package lti_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/pns"
)

// TestLogin is a login initiation as Canvas makes it, by both methods.
//
// Requirement: LTI-GOTCHA-4, LTI-GOTCHA-5, LTI-GOTCHA-6, LTI-CANVAS-PROMPT, LTI-PEER-VIZDOS-CANVAS
func TestLogin(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		t.Run(method, func(t *testing.T) {
			tool := benchTool(t, nil)
			w := httptest.NewRecorder()
			r := httptest.NewRequest(http.MethodGet, "https://qa.example.edu/lti/login?"+canvasLogin, nil)
			if method == http.MethodPost {
				r = httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/login?iss=https://evil.example", strings.NewReader(canvasLogin))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
			}
			r.Header.Set("Origin", "https://evil.example")
			tool.LoginHandler().ServeHTTP(w, r)

			require.Equal(t, http.StatusFound, w.Code)
			location, err := url.Parse(w.Header().Get("Location"))
			require.NoError(t, err)
			assert.Equal(t, "https://sso.test.canvaslms.com/api/lti/authorize_redirect", "https://"+location.Host+location.Path)
			login, err := url.ParseQuery(canvasLogin)
			require.NoError(t, err)
			query := location.Query()
			for name, want := range map[string]string{
				"scope": "openid", "response_type": "id_token", "response_mode": "form_post", "prompt": "none", "client_id": "10000000000042",
				"redirect_uri": "https://qa.example.edu/lti/launch", "login_hint": login.Get("login_hint"), "lti_message_hint": login.Get("lti_message_hint"),
			} {
				assert.Equal(t, []string{want}, query[name], name)
			}
			assert.Len(t, query, 10, "these, and state and nonce")
			assert.Len(t, query.Get("nonce"), 43)
			assert.Equal(t, "no-store", w.Header().Get("Cache-Control"))
			assert.Equal(t, "no-referrer", w.Header().Get("Referrer-Policy"))
			assert.Empty(t, w.Header().Get("Access-Control-Allow-Origin"))
			set := w.Header().Values("Set-Cookie")
			require.Len(t, set, 1)
			assert.Regexp(t, `^__Host-lti_[\w-]{12}=[\w-]{43}\.[0-9a-z]+; Path=/; Max-Age=600; HttpOnly; Secure; SameSite=None; Partitioned$`, set[0])
			assert.NotContains(t, w.Header().Get("Location"), strings.Split(strings.Split(set[0], "=")[1], ".")[0], "the secret is in no address")
		})
	}
}

// TestHintsComeBackAsTheyWere with every character that an address changes.
//
// Requirement: LTI-PEER-ROBERTJNDW-QUERY
func TestHintsComeBackAsTheyWere(t *testing.T) {
	f := newFlow(t, func(cfg *lti.Config) {
		cfg.Registrations[0].AuthURL = "https://sso.test.canvaslms.com/auth?tenant=x%20y&scope=evil&state=old&tenant=z"
	})
	hint := "a b+c%20d&e=f/é\x00\"<>#?"
	f.login.Set("login_hint", hint)
	f.login.Set("lti_message_hint", hint+"=")
	w := f.begin()
	require.Equal(t, http.StatusFound, w.Code)
	query := f.location.Query()
	assert.Equal(t, []string{hint}, query["login_hint"])
	assert.Equal(t, []string{hint + "="}, query["lti_message_hint"])
	assert.Equal(t, []string{"x y", "z"}, query["tenant"])
	assert.Equal(t, []string{"openid"}, query["scope"])
	assert.Len(t, query["state"], 1)
	assert.NotEqual(t, "old", query.Get("state"))

	f.login.Del("lti_message_hint")
	f.begin()
	assert.NotContains(t, f.location.Query(), "lti_message_hint", "it comes back only if it came")
}

// TestRefusedLogins
//
// Requirement: LTI-CANVAS-ISSUER, LTI-ASK-6
func TestRefusedLogins(t *testing.T) {
	second := func(cfg *lti.Config) {
		r := cfg.Registrations[0]
		r.ClientID = "10000000000099"
		cfg.Registrations = append(cfg.Registrations, r)
	}
	tests := map[string]struct {
		config func(*lti.Config)
		change url.Values
		reason lti.Reason // empty means accepted
	}{
		"no iss":                     {nil, url.Values{"iss": nil}, lti.ReasonParameter},
		"no login_hint":              {nil, url.Values{"login_hint": nil}, lti.ReasonParameter},
		"no target":                  {nil, url.Values{"target_link_uri": nil}, lti.ReasonParameter},
		"iss twice":                  {nil, url.Values{"iss": {"https://canvas.test.instructure.com", "https://evil.example"}}, lti.ReasonRequest},
		"endless hint":               {nil, url.Values{"login_hint": {strings.Repeat("x", 5000)}}, lti.ReasonParameter},
		"endless target":             {nil, url.Values{"target_link_uri": {"https://qa.example.edu/" + strings.Repeat("x", 2000)}}, lti.ReasonParameter},
		"huge":                       {nil, url.Values{"x": {strings.Repeat("x", 40000)}}, lti.ReasonRequest},
		"many":                       {nil, url.Values{"x": make([]string, 120)}, lti.ReasonRequest},
		"issuer unknown":             {nil, url.Values{"iss": {"https://canvas.instructure.com"}}, lti.ReasonRegistration},
		"issuer with a slash":        {nil, url.Values{"iss": {"https://canvas.test.instructure.com/"}}, lti.ReasonRegistration},
		"client unknown":             {nil, url.Values{"client_id": {"1"}}, lti.ReasonRegistration},
		"no client, one known":       {nil, url.Values{"client_id": nil}, ""},
		"no client, two known":       {second, url.Values{"client_id": nil}, lti.ReasonRegistration},
		"client of two":              {second, url.Values{"client_id": {"10000000000099"}}, ""},
		"lti_deployment_id":          {nil, url.Values{"deployment_id": nil, "lti_deployment_id": {"x"}}, ""},
		"target elsewhere":           {nil, url.Values{"target_link_uri": {"https://evil.example/"}}, lti.ReasonTarget},
		"target on a longer host":    {nil, url.Values{"target_link_uri": {"https://qa.example.edu.evil.example/"}}, lti.ReasonTarget},
		"target with a user":         {nil, url.Values{"target_link_uri": {"https://qa.example.edu@evil.example/"}}, lti.ReasonTarget},
		"target with another port":   {nil, url.Values{"target_link_uri": {"https://qa.example.edu:8443/"}}, lti.ReasonTarget},
		"target by http":             {nil, url.Values{"target_link_uri": {"http://qa.example.edu/"}}, lti.ReasonTarget},
		"target without a path":      {nil, url.Values{"target_link_uri": {"https://qa.example.edu?x=1"}}, ""},
		"target that is allowed too": {func(c *lti.Config) { c.Targets = []string{"https://old.example.edu"} }, url.Values{"target_link_uri": {"https://old.example.edu/x"}}, ""},
		"endless frame":              {nil, url.Values{"lti_storage_target": {strings.Repeat("x", 65)}}, ""}, // the cookie has to do
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t, test.config)
			for name, values := range test.change {
				if f.login[name] = values; values == nil {
					f.login.Del(name)
				}
			}
			w := f.begin()
			if test.reason == "" {
				require.Equal(t, http.StatusFound, w.Code, f.refusals)
				return
			}
			f.refused(w, test.reason, http.StatusBadRequest)
			assert.Empty(t, w.Header().Get("Set-Cookie"))
			assert.Empty(t, w.Header().Get("Location"))
		})
	}
	t.Run("other methods", func(t *testing.T) {
		f := newFlow(t, nil)
		for _, h := range []http.Handler{f.tool.LoginHandler(), f.tool.LaunchHandler(nil)} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, "https://qa.example.edu/", nil))
			assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
			assert.Contains(t, w.Header().Get("Allow"), "POST")
		}
	})
	t.Run("not a form", func(t *testing.T) {
		f := newFlow(t, nil)
		w := f.postBody(`{"id_token":"x"}`, "Content-Type", "application/json")
		f.refused(w, lti.ReasonRequest, http.StatusBadRequest)
	})
}

// TestState is what a launch without its own login gets.
//
// Requirement: LTI-BEYOND-STATE-MISSING, LTI-BEYOND-STATE-MISMATCH, LTI-BEYOND-STATE-BROWSER, LTI-GOTCHA-11, LTI-PEER-MARCGABE-BROWSER
// Requirement: LTI-PEER-LTITOOL-BROWSER, LTI-CVE-2022-31158, LTI-BEYOND-ERROR-POST, LTI-GOTCHA-14, LTI-PEER-ROBERTJNDW-STATE, LTI-CANVAS-1900
func TestState(t *testing.T) {
	f := newFlow(t, nil)
	f.begin()
	victim := *f
	f.begin() // the attacker, in another browser
	token := func(f *flow) string { return signRS256(f.claims(nil)) }
	damaged := []byte(f.state)
	damaged[20] ^= 1
	tests := map[string]struct {
		form   url.Values
		cookie string
		reason lti.Reason
	}{
		"missing":                   {url.Values{"id_token": {token(f)}}, f.cookie, lti.ReasonState},
		"damaged":                   {url.Values{"state": {string(damaged)}, "id_token": {token(f)}}, f.cookie, lti.ReasonState},
		"nonsense":                  {url.Values{"state": {"x"}, "id_token": {token(f)}}, f.cookie, lti.ReasonState},
		"endless":                   {url.Values{"state": {strings.Repeat("A", 5000)}, "id_token": {token(f)}}, f.cookie, lti.ReasonState},
		"twice":                     {url.Values{"state": {f.state, victim.state}, "id_token": {token(f)}}, f.cookie, lti.ReasonRequest},
		"no cookie":                 {url.Values{"state": {f.state}, "id_token": {token(f)}}, "", lti.ReasonBrowser},
		"login of another browser":  {url.Values{"state": {f.state}, "id_token": {token(f)}}, victim.cookie, lti.ReasonBrowser},
		"cookie renamed":            {url.Values{"state": {f.state}, "id_token": {token(f)}}, strings.Split(f.cookie, "=")[0] + "=" + strings.Split(victim.cookie, "=")[1], lti.ReasonBrowser},
		"secret posted":             {url.Values{"state": {f.state}, "id_token": {token(f)}, "runbook_asked": {"1"}, "runbook_binding": {strings.Split(strings.Split(f.cookie, "=")[1], ".")[0]}}, "", lti.ReasonBrowser},
		"token of another login":    {url.Values{"state": {f.state}, "id_token": {token(&victim)}}, f.cookie, lti.ReasonNonce},
		"error without state":       {url.Values{"error": {"login_required"}}, f.cookie, lti.ReasonState},
		"error for another browser": {url.Values{"state": {f.state}, "error": {"login_required"}}, victim.cookie, lti.ReasonBrowser},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			f.refusals = nil
			w := f.postBody(test.form.Encode(), "Cookie", test.cookie)
			f.refused(w, test.reason, (&lti.Refusal{Reason: test.reason}).Status())
			assert.NotContains(t, w.Body.String(), "login_required")
		})
	}
	t.Run("error", func(t *testing.T) {
		f.refusals = nil
		w := f.post(url.Values{"state": {f.state}, "error": {"login_required"}, "error_description": {"<script>alert(1)</script>Must have an active user session"}})
		_, err := f.result()
		require.ErrorIs(t, err, lti.ReasonPlatform)
		assert.Equal(t, "login_required", f.refusals[0].PlatformError)
		assert.Contains(t, w.Body.String(), "does not see that you are signed in")
		assert.Contains(t, w.Body.String(), "&lt;script&gt;alert(1)")
		assert.NotContains(t, w.Body.String(), "<script>alert")
		assert.Equal(t, http.StatusUnauthorized, w.Code)
	})
	t.Run("a tool with other keys", func(t *testing.T) {
		f.refusals = nil
		other := newFlow(t, func(cfg *lti.Config) { cfg.StateKeys = []runbook.Secret{runbook.NewSecret(strings.Repeat("x", 32))} })
		w := other.postBody(url.Values{"state": {f.state}, "id_token": {token(f)}}.Encode(), "Cookie", f.cookie)
		other.refused(w, lti.ReasonState, http.StatusUnauthorized)
	})
}

// TestStateLife
//
// Requirement: LTI-BEYOND-STATE-EXPIRED, LTI-GOTCHA-13
func TestStateLife(t *testing.T) {
	launch := func(f *flow) error {
		f.refusals, f.accepted = nil, nil
		f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}})
		_, err := f.result()
		return err
	}
	t.Run("ten minutes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFlow(t, nil)
			f.begin()
			time.Sleep(lti.StateLife)
			require.ErrorIs(t, launch(f), lti.ReasonStateExpired)
			f.begin()
			time.Sleep(lti.StateLife - 2*time.Second)
			require.NoError(t, launch(f))
		})
	})
	fresh := runbook.NewSecret(strings.Repeat("n", 40))
	t.Run("former key", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := newFlow(t, nil)
			f.begin()
			require.NoError(t, f.tool.SetStateKeys([]runbook.Secret{fresh}, false))
			time.Sleep(lti.StateLife - 2*time.Second)
			require.NoError(t, launch(f), "logins in flight end well")
			f.begin()
			require.NoError(t, launch(f))
		})
	})
	t.Run("compromised key", func(t *testing.T) {
		f := newFlow(t, nil)
		f.begin()
		require.NoError(t, f.tool.SetStateKeys([]runbook.Secret{fresh}, true))
		require.ErrorIs(t, launch(f), lti.ReasonState)
		f.begin()
		require.NoError(t, launch(f))
	})
	t.Run("key compromised later", func(t *testing.T) {
		f := newFlow(t, nil)
		f.begin()
		require.NoError(t, f.tool.SetStateKeys([]runbook.Secret{fresh}, false))
		require.NoError(t, f.tool.SetStateKeys([]runbook.Secret{fresh}, true))
		require.ErrorIs(t, launch(f), lti.ReasonState)
	})
	t.Run("bad keys change nothing", func(t *testing.T) {
		f := newFlow(t, nil)
		f.begin()
		require.Error(t, f.tool.SetStateKeys([]runbook.Secret{runbook.NewSecret("short")}, true))
		require.Error(t, f.tool.SetStateKeys(nil, true))
		require.NoError(t, launch(f))
	})
	t.Run("another replica", func(t *testing.T) {
		nonces := new(lti.MemoryNonces)
		shared := func(cfg *lti.Config) { cfg.Nonces = nonces }
		f, g := newFlow(t, shared), newFlow(t, shared)
		f.begin()
		g.state, g.nonce, g.cookie = f.state, f.nonce, f.cookie
		require.NoError(t, launch(g))
		require.ErrorIs(t, launch(f), lti.ReasonReplay)
	})
}

// TestReplay
//
// Requirement: LTI-BEYOND-REPLAY, LTI-BEYOND-REPLAY-CONCURRENT, LTI-PEER-PYLTI-REPLAY, LTI-PEER-1EDTECH-NONCE, LTI-ASK-2
func TestReplay(t *testing.T) {
	f := newFlow(t, nil)
	w := f.launch(nil)
	require.Equal(t, http.StatusSeeOther, w.Code, "the token leaves the address bar's page")
	form := url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}} // another token with the same nonce
	f.accepted = nil
	w = f.post(form)
	f.refused(w, lti.ReasonReplay, http.StatusUnauthorized)
	assert.Contains(t, w.Body.String(), "This page was opened before")

	t.Run("at once", func(t *testing.T) {
		for range 20 {
			f := newFlow(t, func(cfg *lti.Config) { cfg.Hooks = lti.Hooks{} })
			f.begin()
			body := url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}}.Encode()
			var mu sync.Mutex
			var all sync.WaitGroup
			won := 0
			handler := f.tool.LaunchHandler(func(http.ResponseWriter, *http.Request, *lti.Launch) {
				mu.Lock()
				defer mu.Unlock()
				won++
			})
			for range 50 {
				all.Go(func() {
					r := httptest.NewRequest(http.MethodPost, "https://qa.example.edu/lti/launch", strings.NewReader(body))
					r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
					r.Header.Set("Cookie", f.cookie)
					handler.ServeHTTP(&blank{header: http.Header{}}, r)
				})
			}
			all.Wait()
			require.Equal(t, 1, won)
		}
	})
}

// TestConcurrentLogins: each redirect has the hints of its own user.
//
// Requirement: LTI-GOTCHA-30, LTI-PEER-MACEWAN-RACE
func TestConcurrentLogins(t *testing.T) {
	tool := benchTool(t, nil)
	handler := tool.LoginHandler()
	var mu sync.Mutex
	seen := make(map[string]bool)
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 200 {
				hint := fmt.Sprintf("user-%d-%d", g, i)
				query := url.Values{"iss": {"https://canvas.test.instructure.com"}, "login_hint": {hint}, "lti_message_hint": {"m" + hint}, "target_link_uri": {"https://qa.example.edu/" + hint}}
				w := newBlank()
				handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "https://qa.example.edu/lti/login?"+query.Encode(), nil))
				location, err := url.Parse(w.header.Get("Location"))
				if !assert.NoError(t, err) {
					return
				}
				got := location.Query()
				assert.Equal(t, []string{hint, "m" + hint}, []string{got.Get("login_hint"), got.Get("lti_message_hint")})
				raw, err := base64.RawURLEncoding.DecodeString(got.Get("state"))
				assert.NoError(t, err)
				assert.Contains(t, string(raw), "https://qa.example.edu/"+hint, "the state is that of this login")
				mu.Lock()
				assert.False(t, seen[got.Get("nonce")])
				seen[got.Get("nonce")] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
}

// TestCookiesAreBounded: each launch in flight has one, and there are eight at
// most.
//
// Requirement: LTI-GOTCHA-11
func TestCookiesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFlow(t, nil)
		jar := make(map[string]string)
		var order []string
		for range 12 {
			r := httptest.NewRequest(http.MethodGet, "https://qa.example.edu/lti/login?"+canvasLogin, nil)
			for name, value := range jar {
				r.AddCookie(&http.Cookie{Name: name, Value: value})
			}
			r.AddCookie(&http.Cookie{Name: "session", Value: "x"})
			w := httptest.NewRecorder()
			f.tool.LoginHandler().ServeHTTP(w, r)
			for _, c := range w.Result().Cookies() {
				if c.MaxAge < 0 {
					delete(jar, c.Name)
					continue
				}
				jar[c.Name] = c.Value
				order = append(order, c.Name)
			}
			time.Sleep(time.Second)
		}
		require.Len(t, jar, 8)
		for _, name := range order[4:] {
			assert.Contains(t, jar, name, "the newest stay")
		}
	})
}

// TestAttackersFillNothing: whoever has no token of the platform leaves nothing
// in the nonce store.
//
// Requirement: LTI-CVE-2026-34052, LTI-GOTCHA-12
func TestAttackersFillNothing(t *testing.T) {
	counting := new(countingNonces)
	f := newFlow(t, func(cfg *lti.Config) { cfg.Nonces = counting })
	for range 20 {
		f.begin()
		f.post(url.Values{"state": {f.state}, "id_token": {"x.y.z"}})
		f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(map[string]any{claim + "deployment_id": "other"}))}})
		f.post(url.Values{"state": {"x"}, "id_token": {signRS256(f.claims(nil))}})
	}
	assert.Zero(t, counting.uses)
	claims := f.claims(nil)
	f.post(url.Values{"state": {f.state}, "id_token": {signRS256(claims)}})
	assert.Equal(t, 1, counting.uses)
	assert.WithinDuration(t, time.Now().Add(58*time.Minute), counting.until, 5*time.Second, "until the token has expired, and the leeway")
}

type countingNonces struct {
	uses  int
	until time.Time
}

func (c *countingNonces) Use(_ context.Context, _ lti.NonceID, until time.Time) error {
	c.uses++
	c.until = until
	return nil
}
func (*countingNonces) PurgeExpired(context.Context) (int, error) { return 0, nil }

func otherKeys() []runbook.Secret {
	return []runbook.Secret{runbook.NewSecret(strings.Repeat("o", 32))}
}

// TestNoncesAreRandom: 32 bytes from the cryptographic source, and from nowhere
// else.
//
// Requirement: LTI-PEER-LTIJS-RANDOM, LTI-CVE-2022-31157
func TestNoncesAreRandom(t *testing.T) {
	handler := benchTool(t, nil).LoginHandler()
	nonces := func(seed uint64) []string {
		cryptotest.SetGlobalRandom(t, seed)
		var all []string
		for range 3 {
			_, nonce, cookie := begin(handler)
			raw, err := base64.RawURLEncoding.DecodeString(nonce)
			require.NoError(t, err)
			assert.Len(t, raw, 32)
			all = append(all, nonce, strings.Split(cookie, ".")[0])
		}
		return all
	}
	assert.Equal(t, nonces(1), nonces(1))
	assert.NotEqual(t, nonces(1), nonces(2))
}

// TestNoHandlerIsSharedWithOrigins
//
// Requirement: LTI-PEER-LTIJS-CORS
func TestNoHandlerIsSharedWithOrigins(t *testing.T) {
	tool := benchTool(t, nil)
	receiver, err := pns.NewReceiver(pns.ReceiverConfig{
		Verify: tool.VerifyNotice, Handle: func(context.Context, lti.Notice) error { return nil },
	})
	require.NoError(t, err)
	for name, h := range map[string]http.Handler{
		"login": tool.LoginHandler(), "launch": tool.LaunchHandler(func(http.ResponseWriter, *http.Request, *lti.Launch) {}),
		"keys": toolKeys(t).Handler(), "notices": receiver,
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodOptions} {
			r := httptest.NewRequest(method, "https://qa.example.edu/?"+canvasLogin, nil)
			r.Header.Set("Origin", "https://evil.example")
			r.Header.Set("Access-Control-Request-Method", "POST")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			for field := range w.Header() {
				assert.NotContains(t, field, "Access-Control", "%s %s", method, name)
			}
		}
	}
}

// TestCanvasEnvironmentIsOpaque
//
// Requirement: LTI-CANVAS-ENVIRONMENT
func TestCanvasEnvironmentIsOpaque(t *testing.T) {
	for _, text := range []string{"prod", "production", "test", "", "ünknown \"x\"", strings.Repeat("x", 3000)} {
		f := newFlow(t, nil)
		f.login.Set("canvas_environment", text)
		f.login.Set("canvas_region", text)
		require.Equal(t, http.StatusFound, f.begin().Code, text)
		assert.NotContains(t, f.location.String(), "canvas_")
	}
}
