package lti_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

const openedBefore = "This page was opened before"

// TestAgain: a token is used more than once, by people who mean no harm.
//
// Requirement: LTI-ASK-2, LTI-GOTCHA-15
func TestAgain(t *testing.T) {
	w := in(t, partitioned)
	t.Run("a double click", func(t *testing.T) {
		tab := w.tab(t, "status of 401")
		w.tool.delay(time.Second)
		w.open(t, tab, scenario{Frames: 1, Post: "twice"})
		frame(t, tab, openedBefore)
		assert.Len(t, w.tool.arrived(), 2)
		assert.Equal(t, 1, w.tool.accepted())
		assert.Equal(t, []lti.Reason{lti.ReasonReplay}, w.tool.reasons())
		shot(t, tab, "replay")
	})
	t.Run("a reload", func(t *testing.T) {
		tab := w.tab(t)
		w.open(t, tab, scenario{Frames: 1})
		f := frame(t, tab, "Opened by cookie for Alex Example")
		do(t, f, chromedp.Evaluate[chromedp.Void]("document.title = 'old'; location.reload()"))
		eventually(t, "a page that was loaded again", func() bool {
			return value[string](t, f, "document.title + (document.body ? document.body.innerText : '')") == "Questions"+"Questions\n\nOpened by cookie for Alex Example"
		})
		assert.Len(t, w.tool.arrived(), 1, "the address of the launch was left")
		assert.Equal(t, 1, w.tool.accepted())
		assert.Empty(t, w.tool.reasons())
	})
	t.Run("the same answer again", func(t *testing.T) {
		tab := w.tab(t, "status of 401")
		w.open(t, tab, scenario{Frames: 1})
		frame(t, tab, "Opened by cookie for Alex Example")
		w.repost(t, tab)
		frame(t, tab, openedBefore)
		assert.Equal(t, []lti.Reason{lti.ReasonReplay}, w.tool.reasons())
	})
}

// repost has the course page post the last answer to the tool once more, in
// another frame.
func (w *world) repost(t *testing.T, tab context.Context) {
	answers := w.lms.answers()
	require.NotEmpty(t, answers)
	last := answers[len(answers)-1]
	var script strings.Builder
	fmt.Fprintf(&script, `{const i = document.createElement("iframe"), f = document.createElement("form");
		i.name = "again"; i.className = "tool"; f.target = "again"; f.method = "post"; f.action = %q;`, last.RedirectURI)
	for name := range last.Form {
		fmt.Fprintf(&script, `{const x = document.createElement("input"); x.type = "hidden"; x.name = %q; x.value = %q; f.append(x);}`, name, last.Form.Get(name))
	}
	script.WriteString(`document.body.append(i, f); f.submit();}`)
	do(t, tab, chromedp.Evaluate[chromedp.Void](script.String()))
}

// TestAnotherBrowser: what one browser was given serves no other.
//
// Requirement: LTI-BEYOND-STATE-BROWSER, LTI-PEER-MARCGABE-BROWSER
func TestAnotherBrowser(t *testing.T) {
	w := in(t, partitioned)
	tab := w.tab(t, "status of 401")
	w.open(t, tab, scenario{Frames: 1, Post: "held"})
	eventually(t, "an answer", func() bool { return len(w.lms.answers()) == 1 })
	_, err := chromedp.Call(tab, network.ClearBrowserCookies, cdp.Empty{}) // as another browser has none
	require.NoError(t, err)
	w.lms.release()
	frame(t, tab, "Your browser did not keep what the tool needs")
	assert.Zero(t, w.tool.accepted())
	assert.Equal(t, []lti.Reason{lti.ReasonBrowser}, w.tool.reasons())
}

// TestSeveral opens the tool several times on one page.
//
// Requirement: LTI-GOTCHA-11
func TestSeveral(t *testing.T) {
	w := in(t, partitioned)
	t.Run("three at once", func(t *testing.T) {
		tab := w.tab(t)
		w.open(t, tab, scenario{Frames: 3, Post: "held"})
		eventually(t, "three answers", func() bool { return len(w.lms.answers()) == 3 })
		w.lms.release()
		eventually(t, "three launches", func() bool { return len(w.tool.arrived()) == 3 })
		assert.Equal(t, 3, w.tool.accepted())
		assert.Empty(t, w.tool.reasons())
		for _, p := range w.tool.arrived() {
			assert.Equal(t, 3, p.cookies, "one for each")
		}
		frame(t, tab, "Opened by cookie for Alex Example")
		shot(t, tab, "three")
	})
	t.Run("more than a browser may have in flight", func(t *testing.T) {
		const begun, most = 12, 8
		tab := w.tab(t, "status of 401")
		w.open(t, tab, scenario{Frames: 0, Post: "held"})
		for n := range begun {
			do(t, tab, chromedp.Evaluate[chromedp.Void]("add()"))
			eventually(t, "an answer", func() bool { return len(w.lms.answers()) == n+1 })
		}
		w.lms.release()
		eventually(t, "all launches", func() bool { return len(w.tool.arrived()) == begun })
		var want []string
		for _, answer := range w.lms.answers()[begun-most:] {
			want = append(want, nonceOf(t, answer.Form.Get("id_token")))
		}
		var got []string
		for _, l := range locked(w.tool, func() []*lti.Launch { return w.tool.launches }) {
			var nonce string
			require.True(t, l.Claim("nonce", &nonce))
			got = append(got, nonce)
		}
		assert.ElementsMatch(t, want, got, "the newest")
		assert.Equal(t, []lti.Reason{lti.ReasonBrowser, lti.ReasonBrowser, lti.ReasonBrowser, lti.ReasonBrowser}, w.tool.reasons())
		for _, p := range w.tool.arrived() {
			assert.LessOrEqual(t, p.cookies, most)
		}
	})
}

// nonceOf reads the nonce of a token.
func nonceOf(t *testing.T, token string) string {
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	require.NoError(t, err)
	var claims struct{ Nonce string }
	require.NoError(t, json.Unmarshal(payload, &claims))
	return claims.Nonce
}
