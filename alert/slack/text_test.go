package slack_test

import (
	"html"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/slack"
)

func units(s string) int { return len(utf16.Encode([]rune(s))) }

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text string
		n    int
		want string
	}{
		{"short", 10, "short"},
		{"0123456789", 10, "0123456789"},
		{"0123456789x", 10, "012345678…"},
		{"<b>", 9, "&lt;b&gt;"},
		{"<b>", 8, "&lt;b…"},
		{"&&&", 10, "&amp;…"},
		{"ünïcode über alles", 8, "ünïcode…"},
		{"😀😀😀", 5, "😀😀…"},
		{"a\x00b\x1bc\u202ed", 10, "abcd"},
	} {
		assert.Equal(t, c.want, slack.Fit(c.text, c.n))
	}
}

// FuzzTexts checks that no text gets past the escaping or the limits, and that a text cut to
// fit is the beginning of what was said.
//
// Requirement: AL-SLACK-ESCAPE
func FuzzTexts(f *testing.F) {
	f.Add(hostile)
	f.Add(strings.Repeat("a line <!here>\n", 1000))
	f.Add(strings.Repeat("&", 5000))
	f.Add("\xff\xfe\u202e😀\x00")
	f.Fuzz(func(t *testing.T, text string) {
		for _, part := range append(slack.Sections(text), slack.Fit(text, 150)) {
			if strings.ContainsAny(part, "<>") || strings.Contains(strings.NewReplacer("&amp;", "", "&lt;", "", "&gt;", "").Replace(part), "&") {
				t.Errorf("not escaped: %q", part)
			}
			if units(part) > 3000 {
				t.Errorf("%d characters in a section", units(part))
			}
		}
		short := slack.Fit(text, 150)
		if units(short) > 150 {
			t.Errorf("%d characters in a header", units(short))
		}
		if !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > 0x7e }) {
			return
		}
		if cut, ok := strings.CutSuffix(short, "…"); ok && !strings.HasPrefix(text, html.UnescapeString(cut)) || !ok && html.UnescapeString(short) != text {
			t.Errorf("%q became %q", text, short)
		}
		s, n := newSlack(t, buttons)
		a := firing()
		a.Summary = text
		what := note(alert.KindFiring, 1, "app "+text, text, a)
		if _, err := n.Notify(t.Context(), what); err != nil {
			t.Fatal(err)
		}
		if m := s.Messages()[0]; len(m.Mentions) > 0 {
			t.Errorf("it mentions %q", m.Mentions)
		}
	})
}
