package lti_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

const blocked = "Your browser blocks what the tool needs in this frame"

// TestNewTab opens the tool where it can keep neither cookies nor anything else in
// the frame: it offers a tab of its own.
//
// Requirement: LTI-STORAGE-FALLBACK, LTI-STORAGE-LIMITS, LTI-STORAGE-ORIGIN
func TestNewTab(t *testing.T) {
	w := in(t, nothing)
	for _, test := range []struct {
		name, storage string
		expected      []string
	}{
		{"the storage does not answer", "silent", nil},
		{"the storage is full", "exhausted", nil},
		{"others answer, and other questions are answered", "noisy", nil},
		{"the frame is that of another origin", "stolen", []string{"target origin provided"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tab := w.tab(t, test.expected...)
			w.other.show(`<script>addEventListener("message", (e) => fetch("/", {method: "POST", body: JSON.stringify(e.data)}))</script>`)
			w.open(t, tab, scenario{Frames: 1, Storage: test.storage})
			f := frame(t, tab, blocked)
			assert.Empty(t, w.lms.answers(), "the launch goes no further")
			switch test.storage {
			case "silent":
				shot(t, tab, "blocked")
				narrow(t, tab, f, "blocked")
			case "exhausted":
			default:
				return
			}
			click(t, tab, f, "a.button")
			opened := page(t, tab, "Opened by cookie for Alex Example")
			assert.Equal(t, 1, w.tool.accepted())
			assert.Empty(t, w.tool.reasons())
			assert.False(t, value[bool](t, opened, "opener !== null"), "it cannot reach the platform's page")
			assert.Contains(t, value[string](t, f, innerText), blocked, "the frame stays")
		})
	}
}

// narrow looks at a page in a frame of 320 pixels, by day and by night.
func narrow(t *testing.T, tab, f context.Context, name string) {
	do(t, tab, chromedp.Evaluate[chromedp.Void](`document.querySelector("iframe.tool").style.width = "320px"`))
	eventually(t, "narrow", func() bool { return value[int](t, f, "innerWidth") <= 320 })
	assert.LessOrEqual(t, value[int](t, f, "document.documentElement.scrollWidth"), 320)
	for _, scheme := range []string{"light", "dark"} {
		prefer(t, scheme, tab, f)
		shot(t, tab, name+"-320-"+scheme)
	}
}

// TestStorageLies: what the storage says is compared on the server.
//
// Requirement: LTI-STORAGE-SERVER, LTI-STORAGE-FALLBACK
func TestStorageLies(t *testing.T) {
	w := in(t, nothing)
	for name, test := range map[string]struct {
		storage string
		detail  string
	}{
		"it has another value":        {"lying", "another secret"},
		"it has an error":             {"forgetful", "neither the cookie"},
		"it does not answer any more": {"deaf", "neither the cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			tab := w.tab(t, "status of 401")
			w.open(t, tab, scenario{Frames: 1, Storage: test.storage})
			frame(t, tab, "Your browser did not keep what the tool needs")
			assert.Zero(t, w.tool.accepted())
			require.Equal(t, []lti.Reason{lti.ReasonBrowser}, w.tool.reasons())
			assert.Contains(t, w.tool.refusals[0].Detail, test.detail)
		})
	}
}

// TestLoginOfAnother: somebody begins a login, and has another person's browser
// finish it, who would then work in his account. He knows the secret of the
// login, and can post it from a page of his own; but not as the tool's page.
//
// Requirement: LTI-BEYOND-STATE-BROWSER, LTI-PEER-LTITOOL-BROWSER
func TestLoginOfAnother(t *testing.T) {
	w := in(t, everything)
	for name, test := range map[string]struct {
		head   string
		fields []string
		detail string
	}{
		"with the secret":              {"", []string{"runbook_asked", "runbook_binding"}, "https://" + otherHost},
		"with the secret, anonymously": {`<meta name="referrer" content="no-referrer">`, []string{"runbook_asked", "runbook_binding"}, "null"},
		"without":                      {"", nil, "neither the cookie"},
	} {
		t.Run(name, func(t *testing.T) {
			tab := w.tab(t, "status of 401")
			form := w.attack(t)
			for _, field := range []string{"runbook_asked", "runbook_binding"} {
				if test.fields == nil {
					form.Del(field)
				}
			}
			var fields strings.Builder
			for name := range form {
				fmt.Fprintf(&fields, "<input type=hidden name=%s value=%q>", name, form.Get(name))
			}
			w.other.show(test.head + "<form method=post action=https://" + toolHost + "/lti/launch>" + fields.String() +
				"</form><script>document.forms[0].submit()</script>")
			do(t, tab, chromedp.Navigate("https://"+otherHost+"/"))
			shows(t, tab, "Your browser did not keep what the tool needs")
			assert.Zero(t, w.tool.accepted())
			require.Equal(t, []lti.Reason{lti.ReasonBrowser}, w.tool.reasons())
			assert.Contains(t, w.tool.refusals[0].Detail, test.detail)
		})
	}
}

// attack begins a login, and returns what would finish it.
func (w *world) attack(t *testing.T) url.Values {
	login := w.lms.Login(ltitest.Message{User: ltitest.Student, StorageTarget: forwarding})
	answer := httptest.NewRecorder()
	w.tool.handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "https://"+toolHost+"/lti/login?"+login.Encode(), nil))
	secret := regexp.MustCompile(`"value":"([^"]+)".*"next":"([^"]+)"`).FindStringSubmatch(answer.Body.String())
	require.NotNil(t, secret, answer.Body.String())
	response, err := w.lms.Authorize(strings.ReplaceAll(secret[2], `\u0026`, "&"))
	require.NoError(t, err)
	response.Form.Set("runbook_asked", "1")
	response.Form.Set("runbook_binding", secret[1])
	return response.Form
}
