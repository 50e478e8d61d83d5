package statuspage

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"unicode/utf8"
)

// badge returns a picture with a name and a state, for pages elsewhere. It has no
// style sheet, so that it looks the same under any policy.
func badge(name, words string, c Condition) []byte {
	const longest = 60 // characters of the name
	if utf8.RuneCountInString(name) > longest {
		name = string([]rune(name)[:longest-1]) + "…"
	}
	left, right := width(name), width(words)
	all := left + right
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="20" role="img" aria-label="%s: %s">`, all, escaped(name), escaped(words))
	fmt.Fprintf(&b, `<title>%s: %s</title>`, escaped(name), escaped(words))
	fmt.Fprintf(&b, `<rect width="%d" height="20" rx="3" fill="#24292f"/><path fill="%s" d="M%d 0h%da3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-%dz"/>`, all, shade(c), left, right-3, right-3)
	fmt.Fprintf(&b, `<g fill="#fff" font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11"><text x="6" y="14" textLength="%d">%s</text><text x="%d" y="14" textLength="%d">%s</text></g></svg>`,
		left-12, escaped(name), left+6, right-12, escaped(words))
	b.WriteByte('\n')
	return b.Bytes()
}

// shade returns the colour of a condition. White has a contrast of at least 4.5 on
// each.
func shade(c Condition) string {
	switch c {
	case Operational:
		return "#1a7f37"
	case UnderMaintenance:
		return "#0969da"
	case Degraded:
		return "#8a5a00"
	case PartialOutage:
		return "#b54708"
	case MajorOutage:
		return "#cf222e"
	default:
		return "#59636e"
	}
}

// width returns about how wide a text is, in pixels, with its margins. The picture
// stretches the text to it.
func width(text string) int {
	w := 0.0
	for _, r := range text {
		switch {
		case r > 0x2e7f: // as wide as high
			w += 11
		case r == 'i' || r == 'l' || r == 'j' || r == 'I' || r == '.' || r == ',' || r == ' ' || r == '\'' || r == '|' || r == '1':
			w += 4
		case r >= 'A' && r <= 'Z' || r == 'm' || r == 'w':
			w += 8.2
		default:
			w += 6.8
		}
	}
	return int(w) + 12
}

// escaped returns a text for an element or attribute of XML.
func escaped(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}
