package lti_test

import (
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// TestLaunchInFrame opens the tool in a frame of the platform, in browsers that
// treat cookies in different ways.
//
// Requirement: LTI-GOTCHA-11, LTI-GOTCHA-16, LTI-GOTCHA-17
// Requirement: LTI-STORAGE-SERVER, LTI-STORAGE-FALLBACK
func TestLaunchInFrame(t *testing.T) {
	for _, test := range []struct {
		policy  policy
		cookies []string // that come back
		how     string   // how the page of the tool gets its session
	}{
		{everything, []string{"partitioned", "plain"}, "cookie"},
		{partitioned, []string{"partitioned"}, "cookie"},
		{nothing, []string{}, "code"},
	} {
		t.Run(string(test.policy), func(t *testing.T) {
			w := in(t, test.policy)
			cookies := len(test.cookies) > 0

			t.Run("the browser is what it is said to be", func(t *testing.T) {
				tab := w.tab(t)
				w.open(t, tab, scenario{})
				do(t, tab, chromedp.Evaluate[chromedp.Void](`document.getElementById("frames").innerHTML = '<iframe src="https://`+toolHost+`/probe/set">'`))
				frame(t, tab, "cookies:")
				assert.Equal(t, test.cookies, locked(w.tool, func() []string { return w.tool.probes }))
				do(t, tab, chromedp.Navigate("https://"+toolHost+"/probe/set"))
				assert.Equal(t, []string{"partitioned", "plain"}, locked(w.tool, func() []string { return w.tool.probes }), "on its own page")
			})
			t.Run("the platform has no storage", func(t *testing.T) {
				if !cookies {
					tab := w.tab(t, "status of 401")
					w.open(t, tab, scenario{Frames: 1})
					frame(t, tab, "Your browser did not keep what the tool needs")
					assert.Equal(t, []lti.Reason{lti.ReasonBrowser}, w.tool.reasons())
					shot(t, tab, "no-cookie")
					return
				}
				tab := w.tab(t)
				w.open(t, tab, scenario{Frames: 1})
				frame(t, tab, "Opened by "+test.how+" for Alex Example")
				assert.Equal(t, []post{{cookies: 1}}, w.tool.arrived())
				assert.Empty(t, w.tool.reasons())
				shot(t, tab, "launched-"+test.how)
			})
			t.Run("the platform has a storage", func(t *testing.T) {
				tab := w.tab(t)
				w.open(t, tab, scenario{Frames: 1, Storage: "good"})
				frame(t, tab, "Opened by "+test.how+" for Alex Example")
				messages := value[[]string](t, tab, "messages")
				if cookies {
					assert.Equal(t, []post{{cookies: 1}}, w.tool.arrived())
					assert.Equal(t, []string{"lti.put_data of https://" + toolHost}, messages)
				} else {
					assert.Equal(t, []post{{}, {asked: true, stored: true}}, w.tool.arrived(), "once without, and once with what the storage had")
					assert.Equal(t, []string{"lti.put_data of https://" + toolHost, "lti.get_data of https://" + toolHost}, messages)
				}
				assert.Empty(t, w.tool.reasons())
				require.Equal(t, 1, w.tool.accepted())
				shot(t, tab, "launched-storage-"+test.how)
			})
			if !cookies {
				return // what is left then is in TestNewTab
			}
			t.Run("the storage does not answer", func(t *testing.T) {
				tab := w.tab(t)
				w.open(t, tab, scenario{Frames: 1, Storage: "silent"})
				frame(t, tab, "Opened by cookie for Alex Example")
				assert.Empty(t, w.tool.reasons())
			})
		})
	}
}
