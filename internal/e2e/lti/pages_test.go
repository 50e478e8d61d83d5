package lti_test

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// TestSignedOut: the platform itself does not know the user, often because its own
// cookie is blocked in a frame.
//
// Requirement: LTI-CANVAS-1900, LTI-GOTCHA-14
func TestSignedOut(t *testing.T) {
	for name, test := range map[string]struct {
		policy  policy
		storage string
	}{
		"with cookies":    {partitioned, ""},
		"without cookies": {nothing, "good"},
	} {
		t.Run(name, func(t *testing.T) {
			w := in(t, test.policy)
			tab := w.tab(t, "status of 401")
			w.open(t, tab, scenario{Frames: 1, SignedOut: true, Storage: test.storage})
			f := frame(t, tab, "Your learning platform does not see that you are signed in")
			assert.Contains(t, value[string](t, f, innerText), "login_required")
			assert.Equal(t, []lti.Reason{lti.ReasonPlatform}, w.tool.reasons())
			shot(t, tab, "signed-out")
		})
	}
}

// TestFraming: others cannot show the tool in a frame.
//
// Requirement: LTI-GOTCHA-16
func TestFraming(t *testing.T) {
	w := in(t, everything)
	const violation = "frame-ancestors"
	tab := w.tab(t, violation, "status of 400")
	w.other.show(`<iframe src="https://` + toolHost + `/lti/login"></iframe>`)
	do(t, tab, chromedp.Navigate("https://"+otherHost+"/"))
	eventually(t, "a violation of frame-ancestors", func() bool { return w.console.has(violation) })
}

// TestPages looks at pages that people see when something went wrong: in a narrow
// window, by day and by night.
//
// Requirement: LTI-GOTCHA-14
func TestPages(t *testing.T) {
	w := in(t, partitioned)
	const (
		denied = "status of 401"
		bad    = "status of 400"
	)
	answer := func(script string) func(*testing.T, context.Context) {
		return func(t *testing.T, tab context.Context) {
			w.lms.plan(scenario{Post: "held"})
			w.top(t, tab, ltitest.Message{})
			do(t, tab, chromedp.Evaluate[chromedp.Void](`{const f = document.forms[0]; const set = (name, value) => {
				let x = f.elements[name]; if (!x) { x = document.createElement("input"); x.type = "hidden"; x.name = name; f.append(x); } x.value = value; };`+script+`; f.submit(); }`))
		}
	}
	for _, test := range []struct {
		name     string
		expected string
		open     func(t *testing.T, tab context.Context)
		says     []string
		not      string
	}{
		{"no-parameters", bad, func(t *testing.T, tab context.Context) {
			do(t, tab, chromedp.Navigate("https://"+toolHost+"/lti/login"))
		}, []string{"The tool could not be opened", "Code: parameter"}, ""},
		{"unknown-platform", bad, func(t *testing.T, tab context.Context) {
			do(t, tab, chromedp.Navigate("https://"+toolHost+"/lti/login?login_hint=1&target_link_uri=1&iss=https://"+strings.Repeat("a", 500)))
		}, []string{"The tool is not set up for this place", "Code: registration"}, ""},
		{"platform-error", denied, answer(`set("error", "e".repeat(300)); set("error_description", "<b>x</b> " + "W".repeat(600))`),
			[]string{"Your learning platform could not open the tool", "The platform says: <b>x</b> WWW"}, ""},
		{"no-longer-valid", denied, answer(`set("error", "launch_no_longer_valid")`), []string{"Opening the tool took too long"}, "The platform says"},
		{"changed-token", denied, answer(`set("id_token", f.elements.id_token.value.slice(0, -8) + "AAAAAAAA")`), []string{"The tool could not be opened", "Code: signature"}, ""},
		{"no-state", denied, answer(`set("state", "")`), []string{"Opening the tool took too long", "Code: state"}, ""},
		{"wrong-method", "status of 405", func(t *testing.T, tab context.Context) {
			do(t, tab, chromedp.Navigate("https://"+toolHost+"/lti/launch"))
		}, []string{"The tool could not be opened", "Code: method"}, ""},
		{"unknown-deployment", "status of 403", func(t *testing.T, tab context.Context) {
			w.top(t, tab, ltitest.Message{Deployment: "999:" + strings.Repeat("f", 40)})
		}, []string{"The tool is not set up for this place", "Code: deployment"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			tab := w.tab(t, test.expected)
			do(t, tab, chromedp.EmulateViewport(320, 480))
			test.open(t, tab)
			for _, text := range test.says {
				shows(t, tab, text)
			}
			if test.not != "" {
				assert.NotContains(t, value[string](t, tab, innerText), test.not)
			}
			assert.Equal(t, 320, value[int](t, tab, "document.documentElement.scrollWidth"), "nothing is wider than the window")
			for _, scheme := range []string{"light", "dark"} {
				prefer(t, scheme, tab)
				assert.GreaterOrEqual(t, contrast(t, tab), 4.5, "all text can be read (WCAG 2.2, 1.4.3), %s", scheme)
				shot(t, tab, "error-"+test.name+"-"+scheme)
			}
		})
	}
	t.Run("without scripts the login can go on", func(t *testing.T) {
		tab := w.tab(t)
		w.lms.plan(scenario{Post: "held"})
		do(t, tab, chromedp.Navigate("https://"+courseHost+"/courses/1")) // signs in
		allowScripts(t, tab, false)
		do(t, tab, chromedp.Navigate(w.login(ltitest.Message{StorageTarget: forwarding})))
		shows(t, tab, "Continue")
		shot(t, tab, "store-without-scripts")
		do(t, tab, chromedp.Click(chromedp.CSS("noscript a")))
		shows(t, tab, "One moment")
		assert.Len(t, w.lms.answers(), 1)
	})
}

// login is the address of a login initiation.
func (w *world) login(m ltitest.Message) string {
	return "https://" + toolHost + "/lti/login?" + w.lms.Login(m).Encode()
}

// top opens a message in a whole tab.
func (w *world) top(t *testing.T, tab context.Context, m ltitest.Message) {
	t.Helper()
	do(t, tab, chromedp.Navigate("https://"+courseHost+"/courses/1"), chromedp.Navigate(w.login(m)))
}

// contrast returns the least contrast of a text with the background of the page.
func contrast(t *testing.T, tab context.Context) float64 {
	t.Helper()
	return value[float64](t, tab, `(() => {
		const light = (c) => { const f = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; return .2126 * f(c[0]) + .7152 * f(c[1]) + .0722 * f(c[2]); };
		const probe = document.createElement("i"); document.body.append(probe);
		const rgb = (text) => { probe.style.color = text; return getComputedStyle(probe).color.match(/[\d.]+/g).map(Number); };
		const back = rgb("Canvas");
		let least = 21;
		for (const e of document.querySelectorAll("h1, p, code, a")) {
			let opacity = 1;
			for (let x = e; x; x = x.parentElement) opacity *= getComputedStyle(x).opacity;
			const own = rgb(getComputedStyle(e).color);
			const seen = own.slice(0, 3).map((v, i) => v * opacity * (own[3] ?? 1) + back[i] * (1 - opacity * (own[3] ?? 1)));
			const a = light(seen), b = light(back);
			least = Math.min(least, (Math.max(a, b) + .05) / (Math.min(a, b) + .05));
		}
		probe.remove();
		return least;
	})()`)
}
