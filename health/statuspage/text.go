package statuspage

import (
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxText is how many bytes of a text are shown.
const maxText = 25_000

// clean returns a text from outside without what could change how the text around
// it is shown: control characters, invisible ones that turn the direction of
// writing, and bytes that are not UTF-8. Line breaks stay. All outputs escape it
// after that.
func clean(s string) string {
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\r\n", "\n")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case unicode.IsControl(r), unicode.In(r, unicode.Bidi_Control, unicode.Noncharacter_Code_Point), r == '\uFEFF':
			return -1
		case r == '\u2028' || r == '\u2029':
			return '\n'
		}
		return r
	}, s))
}

// line returns a cleaned text as one line of at most maxTitle characters.
func line(s string) string {
	s = strings.Join(strings.Fields(clean(s)), " ")
	if utf8.RuneCountInString(s) > maxTitle {
		s = string([]rune(s)[:maxTitle-1]) + "…"
	}
	return s
}

// lasting returns a duration in words, rounded down to minutes: "2 h 5 min".
func lasting(d time.Duration) string {
	minutes := int(d / time.Minute)
	days, hours := minutes/(24*60), minutes/60%24
	switch {
	case d < time.Minute:
		return "less than a minute"
	case days >= 2 && hours == 0:
		return fmt.Sprintf("%d days", days)
	case days > 0:
		return fmt.Sprintf("%s %d\u00a0h", count(days, "day"), hours)
	case minutes%60 == 0:
		return fmt.Sprintf("%d\u00a0h", hours)
	case hours > 0:
		return fmt.Sprintf("%d\u00a0h %d\u00a0min", hours, minutes%60)
	}
	return fmt.Sprintf("%d\u00a0min", minutes)
}

// count returns a number with its noun: "1 day", "2 days".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// answered returns a response time in words: "120 ms", "1.4 s".
func answered(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%d\u00a0ms", max(1, d.Round(time.Millisecond).Milliseconds()))
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f\u00a0s", d.Seconds())
	}
	return fmt.Sprintf("%.0f\u00a0s", d.Seconds())
}

// percent returns a share in words, rounded down, so that 100 % means all of it.
func percent(share float64) string {
	hundredths := int64(share*10_000 + 1e-9)
	switch {
	case hundredths%100 == 0:
		return fmt.Sprintf("%d\u00a0%%", hundredths/100)
	case hundredths%10 == 0:
		return fmt.Sprintf("%d.%d\u00a0%%", hundredths/100, hundredths%100/10)
	}
	return fmt.Sprintf("%d.%02d\u00a0%%", hundredths/100, hundredths%100)
}
