package lti_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// TestDeepLinking chooses something for the course, and sees it arrive.
//
// Requirement: LTI-CERT-D1, LTI-CERT-D2, LTI-CERT-D3, LTI-CERT-D4, LTI-CERT-D5, LTI-CERT-D6, LTI-CERT-D7
// Requirement: LTI-GOTCHA-28, LTI-CANVAS-RETURN-QUERY
func TestDeepLinking(t *testing.T) {
	for _, test := range []struct {
		name    string
		policy  policy
		storage string
		scripts bool
	}{
		{"with cookies", partitioned, "", true},
		{"without cookies", nothing, "good", true},
		{"without scripts on the way back", partitioned, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := in(t, test.policy)
			tab := w.tab(t)
			before := len(w.lms.DeepLinkingResponses())
			w.open(t, tab, scenario{Frames: 1, Storage: test.storage, Message: ltitest.Message{Type: ltitest.DeepLinkingRequest}})
			f := frame(t, tab, "Choose practical 1")
			if !test.scripts {
				allowScripts(t, f, false)
			}
			click(t, tab, f, "#choose")
			if !test.scripts {
				f = frame(t, tab, "Return to the platform")
				shot(t, tab, "return-without-scripts")
				click(t, tab, f, "button")
			}
			eventually(t, "a response", func() bool { return len(w.lms.DeepLinkingResponses()) > before })
			response := w.lms.DeepLinkingResponses()[before]
			assert.Empty(t, response.Problems, "signed with the published key, fresh, and for this request")
			require.Len(t, response.Items, 1)
			assert.Equal(t, lti.ItemResourceLink, response.Items[0]["type"])
			assert.Equal(t, `Practical 1 "cells" <&>`, response.Items[0]["title"])
			launch := locked(w.tool, func() *lti.Launch { return w.tool.launches[0] })
			asked := launch.DeepLinking.ReturnURL
			assert.Contains(t, asked, "?")
			assert.Contains(t, w.lms.posted(), asked, "with its query, letter by letter")
			eventually(t, "the platform's own page in the frame", func() bool {
				return value[bool](t, tab, `(() => { try { return document.querySelector("iframe.tool").contentDocument.body.innerText.includes("Retrieving Content"); } catch { return false; } })()`)
			})
			shot(t, tab, "returned")
		})
	}
}
