package lti_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// between returns what a page has between two texts.
func between(t testing.TB, text, before, after string) string {
	t.Helper()
	m := regexp.MustCompile(regexp.QuoteMeta(before) + "(.*?)" + regexp.QuoteMeta(after)).FindStringSubmatch(text)
	require.NotNil(t, m, "no %q in %s", before, text)
	return m[1]
}

// TestPlatformStorage is a launch in a browser that keeps no cookies in frames;
// what scripts do there is tested in a browser.
//
// Requirement: LTI-STORAGE-ORIGIN, LTI-STORAGE-SERVER
func TestPlatformStorage(t *testing.T) {
	begin := func(t *testing.T) (f *flow, key, value string) {
		f = newFlow(t, nil)
		f.login.Set("lti_storage_target", "post_message_forwarding")
		w := f.begin()
		require.Equal(t, http.StatusOK, w.Code)
		page := w.Body.String()
		assert.Contains(t, page, `"origin":"https://sso.test.canvaslms.com"`, "the registered one, and no other")
		assert.Contains(t, page, `"target":"post_message_forwarding"`)
		assert.NotContains(t, page, `postMessage(message, "*")`)
		assert.Contains(t, w.Header().Get("Content-Security-Policy"), "script-src 'nonce-")
		key, value = between(t, page, `"key":"`, `"`), between(t, page, `"value":"`, `"`)
		assert.Less(t, len(value), 4096)
		next, err := url.Parse(strings.ReplaceAll(between(t, page, `"next":"`, `"`), `\u0026`, "&"))
		require.NoError(t, err)
		f.state, f.nonce = next.Query().Get("state"), next.Query().Get("nonce")
		require.NotEmpty(t, f.state)
		assert.Less(t, len(f.state), 4096)
		again := between(t, page, `rel="noopener" href="`, `"`)
		assert.NotContains(t, again, "lti_storage_target", "the window of its own has cookies")
		assert.Contains(t, again, "login_hint=")
		return f, key, value
	}
	ask := func(t *testing.T, f *flow, form url.Values) (*httptest.ResponseRecorder, string) {
		w := f.postBody(form.Encode())
		require.Equal(t, http.StatusOK, w.Code)
		assert.Empty(t, f.refusals)
		assert.Equal(t, "same-origin", w.Header().Get("Referrer-Policy"))
		return w, w.Body.String()
	}
	t.Run("without a cookie the storage is asked", func(t *testing.T) {
		f, key, value := begin(t)
		token := signRS256(f.claims(nil))
		_, page := ask(t, f, url.Values{"state": {f.state}, "id_token": {token}, "lti_storage_target": {"post_message_forwarding"}})
		assert.Equal(t, key, between(t, page, `"key":"`, `"`))
		assert.NotContains(t, page, value, "the secret is not told to whoever asks")
		assert.Contains(t, page, `value="`+token+`"`)
		answer := url.Values{"state": {f.state}, "id_token": {token}, "runbook_asked": {"1"}, "runbook_binding": {value}}
		f.postBody(answer.Encode(), "Origin", "https://qa.example.edu")
		_, err := f.result()
		require.NoError(t, err)
	})
	t.Run("with the cookie it is not", func(t *testing.T) {
		f, _, _ := begin(t)
		f.post(url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}})
		_, err := f.result()
		require.NoError(t, err)
	})
	refused := map[string]struct{ value, origin string }{
		"another secret":        {strings.Repeat("A", 43), "https://qa.example.edu"},
		"nothing":               {"", "https://qa.example.edu"},
		"nonsense":              {"x", "https://qa.example.edu"},
		"posted by a stranger":  {"", "https://evil.example"},
		"posted by nobody":      {"", ""},
		"posted from a sandbox": {"", "null"},
	}
	for name, test := range refused {
		t.Run(name, func(t *testing.T) {
			f, _, value := begin(t)
			if test.origin != "https://qa.example.edu" {
				test.value = value // he began the login, and knows it
			}
			answer := url.Values{"state": {f.state}, "id_token": {signRS256(f.claims(nil))}, "runbook_asked": {"1"}, "runbook_binding": {test.value}}
			w := f.postBody(answer.Encode(), "Origin", test.origin)
			f.refused(w, lti.ReasonBrowser, http.StatusUnauthorized)
		})
	}
	t.Run("an error is bound as well", func(t *testing.T) {
		f, _, value := begin(t)
		_, page := ask(t, f, url.Values{"state": {f.state}, "error": {"login_required"}, "error_description": {`"><script>`}})
		assert.NotContains(t, page, `"><script>`)
		answer := url.Values{"state": {f.state}, "error": {"login_required"}, "runbook_asked": {"1"}, "runbook_binding": {value}}
		w := f.postBody(answer.Encode(), "Origin", "https://qa.example.edu")
		f.refused(w, lti.ReasonPlatform, http.StatusUnauthorized)
	})
}

// TestHandover
//
// Requirement: LTI-GOTCHA-17
func TestHandover(t *testing.T) {
	tool := benchTool(t, nil)
	code, err := tool.Handover("session-1")
	require.NoError(t, err)
	data, err := tool.Redeem(t.Context(), code)
	require.NoError(t, err)
	assert.Equal(t, "session-1", data)
	_, err = tool.Redeem(t.Context(), code)
	require.ErrorIs(t, err, lti.ErrCode, "once")

	f := newFlow(t, nil)
	f.begin()
	for name, text := range map[string]string{"empty": "", "nonsense": "x", "of another tool": code[:20] + "A" + code[21:], "a state": f.state, "endless": strings.Repeat("A", 9000)} {
		_, err = f.tool.Redeem(t.Context(), text)
		require.ErrorIs(t, err, lti.ErrCode, name)
	}
	code, err = f.tool.Handover("x")
	require.NoError(t, err)
	w := f.postBody(url.Values{"state": {code}}.Encode())
	f.refused(w, lti.ReasonState, http.StatusUnauthorized)
	_, err = tool.Handover(strings.Repeat("x", 1001))
	require.Error(t, err)
	down := benchTool(t, func(cfg *lti.Config) { cfg.Nonces = brokenNonces{} })
	code, err = down.Handover("x")
	require.NoError(t, err)
	_, err = down.Redeem(t.Context(), code)
	require.Error(t, err)
	require.NotErrorIs(t, err, lti.ErrCode, "nobody said no")
}
