package netcheck

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the number of characters of a foreign text that is shown.
const MaxText = 100

// Clean makes a text that someone else wrote fit for one line of a message: no
// control characters or other invisible ones, runs of white space as one space,
// and at most MaxText characters.
func Clean(text string) string { return Shorten(text, MaxText) }

// Shorten is Clean for another number of characters.
func Shorten(text string, most int) string {
	var b strings.Builder
	count, space := 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
			continue
		case !unicode.IsPrint(r) || r == utf8.RuneError:
			continue
		}
		if space {
			count++
		}
		if count >= most {
			b.WriteString("…")
			break
		}
		if space {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
		count++
	}
	return b.String()
}

// Quote returns Clean's text in quotation marks.
func Quote(text string) string { return `"` + Clean(text) + `"` }
