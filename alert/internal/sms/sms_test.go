package sms_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/sms"
)

// Requirement: AL-SMS-SEGMENTS
func TestSegments(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		encoding sms.Encoding
		segments int
	}{
		"empty":                              {"", sms.GSM7, 1},
		"160":                                {strings.Repeat("a", 160), sms.GSM7, 1},
		"161":                                {strings.Repeat("a", 161), sms.GSM7, 2},
		"306":                                {strings.Repeat("a", 306), sms.GSM7, 2},
		"307":                                {strings.Repeat("a", 307), sms.GSM7, 3},
		"80 of two septets":                  {strings.Repeat("€", 80), sms.GSM7, 1},
		"81 of two septets":                  {strings.Repeat("€", 81), sms.GSM7, 2},
		"153 septets hold 76 of two":         {strings.Repeat("[", 152), sms.GSM7, 2},
		"one more needs a third":             {strings.Repeat("[", 153), sms.GSM7, 3},
		"two septets at the end of a part":   {strings.Repeat("a", 152) + "€" + strings.Repeat("b", 151), sms.GSM7, 2},
		"and what follows does not fit":      {strings.Repeat("a", 152) + "€" + strings.Repeat("b", 152), sms.GSM7, 3},
		"letters of the alphabet":            {strings.Repeat("éüñÅß@_¿", 20), sms.GSM7, 1},
		"70 in UCS-2":                        {strings.Repeat("ē", 70), sms.UCS2, 1},
		"71 in UCS-2":                        {strings.Repeat("ē", 71), sms.UCS2, 2},
		"134 in UCS-2":                       {strings.Repeat("ē", 134), sms.UCS2, 2},
		"135 in UCS-2":                       {strings.Repeat("ē", 135), sms.UCS2, 3},
		"one quotation mark makes it UCS-2":  {strings.Repeat("a", 70) + "’", sms.UCS2, 2},
		"35 pairs of surrogates":             {strings.Repeat("🔥", 35), sms.UCS2, 1},
		"67 units hold 33 pairs":             {strings.Repeat("🔥", 66), sms.UCS2, 2},
		"a pair is not divided":              {strings.Repeat("🔥", 67), sms.UCS2, 3},
		"backtick is in neither table":       {"`", sms.UCS2, 1},
		"line feeds take one septet":         {strings.Repeat("\n", 160), sms.GSM7, 1},
		"broken UTF-8 counts as a character": {"\xff", sms.UCS2, 1},
	} {
		assert.Equal(t, c.encoding, sms.EncodingOf(c.text), name)
		assert.Equal(t, c.segments, sms.Segments(c.text), name)
	}
}

// Requirement: AL-SMS-SEGMENTS
func TestFit(t *testing.T) {
	for name, c := range map[string]struct {
		text     string
		segments int
		want     string
	}{
		"short":            {"it is down", 1, "it is down"},
		"full":             {strings.Repeat("a", 160), 1, strings.Repeat("a", 160)},
		"one too many":     {strings.Repeat("a", 161), 1, strings.Repeat("a", 157) + "..."},
		"two parts":        {strings.Repeat("a", 400), 2, strings.Repeat("a", 303) + "..."},
		"UCS-2":            {strings.Repeat("ē", 100), 1, strings.Repeat("ē", 67) + "..."},
		"surrogates":       {strings.Repeat("🔥", 100), 1, strings.Repeat("🔥", 33) + "..."},
		"space at the end": {strings.Repeat("a", 156) + " bbbbbbb", 1, strings.Repeat("a", 156) + "..."},
	} {
		assert.Equal(t, c.want, sms.Fit(c.text, c.segments), name)
	}
}

func FuzzFit(f *testing.F) {
	for _, s := range []string{"", "it is down", strings.Repeat("a€", 200), strings.Repeat("🔥", 80), "\xff\xfe", "a\u0301\r\n\x00"} {
		f.Add(s, uint8(2))
	}
	f.Fuzz(func(t *testing.T, text string, n uint8) {
		segments := int(n%10) + 1
		if got := sms.Fit(text, segments); sms.Segments(got) > segments {
			t.Errorf("%q takes %d parts; want at most %d", got, sms.Segments(got), segments)
		}
		folded := sms.Fold(text)
		if sms.EncodingOf(folded) != sms.GSM7 || !utf8.ValidString(folded) {
			t.Errorf("%q is not in the default alphabet", folded)
		}
		if again := sms.Fold(folded); again != folded {
			t.Errorf("%q is folded again to %q", folded, again)
		}
	})
}

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"plain text_1 [ok] {x}":        "plain text_1 [ok] {x}",
		"“can’t” – wait…":              `"can't" - wait...`,
		"Zoë Peña, Łukasz Čapek":       "Zoe Peña, Lukasz Capek",
		"5 × 3 → 15 µs ≥ 2":            "5 x 3 -> 15 us >= 2",
		"🔥🔥 down 日本 €5":                "? down ? €5",
		"e\u0301 zero\u200bwidth":      "e zerowidth",
		"a\u00a0b\tc\r\nd\x07\x1b\x00": "a b c\nd?",
		"\xff\xfe":                     "?",
	} {
		assert.Equal(t, want, sms.Fold(text))
	}
}

func TestCheckNumber(t *testing.T) {
	for _, good := range []string{"+61400111222", "+61299998888", "+14152342671", "+442079460958", "+6421123456"} {
		assert.NoError(t, sms.CheckNumber(good), good)
	}
	for _, bad := range []string{
		"", "+1-XXX-XXX-XXXX", "+61-x-xxxx-xxxx", "+61-xxx-xxx-xxx", "+61XXXXXXXXX", "0400111222", "61400111222", "+61 400 111 222", "+0400111222",
		"+15551234567", "+12125550123", "+14155552671", "+15005550006", "+61255501234", "+61370101234", "+61491570006", "+61491579760", "+611800160401",
		"+61400000000", "+61412345678", "+1234567890", "+61123456789", "+610400111222", "+6140011122", "+1415234267", "+61400111222\n", "+٦١٤٠٠١١١٢٢٢",
	} {
		err := sms.CheckNumber(bad)
		if assert.Error(t, err, bad) && bad != "" {
			assert.NotContains(t, err.Error(), bad)
		}
	}
}

// Requirement: AL-SMS-SEGMENTS
func TestTextIsCapped(t *testing.T) {
	at := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
	a := alert.Alert{
		Summary: "app is down", Playbook: "application-down", State: alert.Firing, Began: at.Add(-2 * time.Minute),
		Detail: strings.Repeat("GET /health: status 503 – “no connection” 🔥 ", 5000), Affected: []string{"grade sync"},
	}
	n := alert.Notification{Kind: alert.KindFiring, Title: "CRITICAL production: app is down", At: at, Alerts: []alert.Alert{a}}
	for _, unicode := range []bool{false, true} {
		style := sms.Style{Segments: 2, Unicode: unicode, Zone: time.UTC}
		text := style.Text(n)
		require.LessOrEqual(t, sms.Segments(text), 2)
		assert.Contains(t, text, "CRITICAL production: app is down\nPlaybook: application-down. Nobody has it yet.\nSince 03:10 UTC; affects grade sync")
	}
	n.PossibleRepeat = true
	assert.True(t, strings.HasPrefix(sms.Style{Segments: 1, Zone: time.UTC}.Text(n), "(possible repeat) CRITICAL"))
	assert.Equal(t, "firing", sms.Style{Segments: 1, Zone: time.UTC}.Text(alert.Notification{Kind: alert.KindFiring}))
}

// BenchmarkText makes a message of a large notification: under 1 ms, so that it costs
// nothing beside the request.
func BenchmarkText(b *testing.B) {
	at := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
	n := alert.Notification{Kind: alert.KindFiring, Title: "CRITICAL production: app is down", At: at, Alerts: []alert.Alert{
		{State: alert.Firing, Playbook: "application-down", Began: at, Detail: strings.Repeat("status 503 – no connection ", 40)},
	}}
	style := sms.Style{Segments: 2, Zone: time.UTC}
	b.ReportAllocs()
	for b.Loop() {
		style.Text(n)
	}
}

// A text says its title once, though the text of a notification begins with it.
func TestTitleIsSaidOnce(t *testing.T) {
	style := sms.Style{Segments: 2, Zone: time.UTC}
	assert.Equal(t, "TEST, nothing is wrong\nana sent it.", style.Text(alert.Notification{
		Kind: alert.KindTest, Title: "TEST, nothing is wrong", Text: "TEST, nothing is wrong\n\nana sent it.\n",
	}))
}
