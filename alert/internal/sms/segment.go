// Package sms is what the notifiers that send text messages to phones have in common: how
// long a message is, how it is made shorter, and what number may be written to.
package sms

import (
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Encoding is the alphabet in which a message travels.
type Encoding string

// The encodings.
const (
	// GSM7 is the default alphabet of 3GPP TS 23.038: 160 characters, or 153 in each part
	// of a message that has several.
	GSM7 Encoding = "GSM-7"
	// UCS2 is used for the whole message if one character is not in that alphabet: 70 units
	// of UTF-16, or 67 in each part.
	UCS2 Encoding = "UCS-2"
)

// The default alphabet and its extension table, whose characters take two septets
// (3GPP TS 23.038, sections 6.2.1 and 6.2.1.1).
const (
	basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?" +
		"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	extension = "\f^{}\\[~]|€"
)

// septets is how many septets a character takes; 0 means that the alphabet has none.
func septets(r rune) int {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == ' ':
		return 1
	case strings.ContainsRune(extension, r):
		return 2
	case strings.ContainsRune(basic, r):
		return 1
	}
	return 0
}

// EncodingOf returns the encoding that a text needs.
func EncodingOf(text string) Encoding {
	for _, r := range text {
		if septets(r) == 0 {
			return UCS2
		}
	}
	return GSM7
}

// Segments returns in how many parts a text travels, each of which is billed. A character
// that takes two septets or two units is not divided between parts.
func Segments(text string) int {
	n, _ := measure(text, EncodingOf(text), 0)
	return n
}

// measure counts the parts of a text, and returns where the text must end so that most
// parts hold it; 0 means any number.
func measure(text string, e Encoding, most int) (segments, end int) {
	single, part, width := 160, 153, septets
	if e == UCS2 {
		single, part, width = 70, 67, func(r rune) int { return max(1, utf16.RuneLen(r)) }
	}
	total := 0
	for _, r := range text {
		total += width(r)
	}
	if total <= single {
		return 1, len(text)
	}
	// Of a message that must not have several parts the only one is a full one.
	if most == 1 {
		part = single
	}
	segments, used := 1, 0
	for i, r := range text {
		w := width(r)
		if used+w > part {
			if segments == most {
				return segments, i
			}
			segments, used = segments+1, 0
		}
		used += w
	}
	return segments, len(text)
}

// Fit shortens a text so that it takes at most so many parts, and says so by three dots.
func Fit(text string, segments int) string {
	e := EncodingOf(text)
	_, end := measure(text, e, segments)
	if end == len(text) {
		return text
	}
	// The dots take three places in either alphabet. What is cut off may have been what
	// needed UCS-2, which only makes the message shorter.
	for end > 0 {
		_, size := utf8.DecodeLastRuneInString(text[:end])
		end -= size
		short := strings.TrimRight(text[:end], " \n") + "..."
		if _, all := measure(short, e, segments); all == len(short) {
			return short
		}
	}
	return "..."
}

// folds are characters that messages about computers have, and what stands for them.
var folds = strings.NewReplacer(
	"‘", "'", "’", "'", "‚", "'", "‛", "'", "′", "'", "“", `"`, "”", `"`, "„", `"`, "″", `"`, "«", `"`, "»", `"`, "`", "'", "´", "'",
	"‐", "-", "‑", "-", "‒", "-", "–", "-", "—", "-", "−", "-", "…", "...", "•", "-", "·", ".", "×", "x", "÷", "/", "→", "->", "←", "<-",
	"≤", "<=", "≥", ">=", "≠", "!=", "±", "+-", "µ", "u", "°", " deg", "™", "(TM)", "©", "(c)", "®", "(R)", "½", "1/2", "✓", "ok", "✔", "ok",
	"Œ", "OE", "œ", "oe", "Þ", "Th", "þ", "th", "Ð", "D", "ð", "d", "Ł", "L", "ł", "l", "ı", "i", "\r\n", "\n",
)

// accents are letters of the default alphabet and those that look like them.
var accents = [...][2]string{
	{"a", "áâãāăą"}, {"A", "ÀÁÂÃĀĂĄ"}, {"c", "çćĉċč"}, {"C", "ĆĈĊČ"}, {"d", "ďđ"}, {"D", "ĎĐ"}, {"e", "êëēĕėęě"}, {"E", "ÈÊËĒĔĖĘĚ"},
	{"g", "ĝğġģ"}, {"G", "ĜĞĠĢ"}, {"h", "ĥħ"}, {"H", "ĤĦ"}, {"i", "íîïĩīĭį"}, {"I", "ÌÍÎÏĨĪĬĮİ"}, {"j", "ĵ"}, {"J", "Ĵ"}, {"k", "ķ"}, {"K", "Ķ"},
	{"l", "ĺļľŀ"}, {"L", "ĹĻĽĿ"}, {"n", "ńņň"}, {"N", "ŃŅŇ"}, {"o", "óôõōŏő"}, {"O", "ÒÓÔÕŌŎŐ"}, {"r", "ŕŗř"}, {"R", "ŔŖŘ"},
	{"s", "śŝşšș"}, {"S", "ŚŜŞŠȘ"}, {"t", "ţťŧț"}, {"T", "ŢŤŦȚ"}, {"u", "úûũūŭůűų"}, {"U", "ÙÚÛŨŪŬŮŰŲ"}, {"w", "ŵ"}, {"W", "Ŵ"},
	{"y", "ýÿŷ"}, {"Y", "ÝŶŸ"}, {"z", "źżž"}, {"Z", "ŹŻŽ"},
}

// Fold writes a text in the default alphabet: letters without their accents where it does
// not have them, plain quotation marks and dashes, and a question mark for each run of
// what has no likeness.
func Fold(text string) string {
	var b strings.Builder
	unknown := false
	for _, r := range folds.Replace(strings.ToValidUTF8(text, "?")) {
		s := fold(r)
		if s == "?" && r != '?' {
			if !unknown {
				b.WriteString(s)
			}
			unknown = true
			continue
		}
		unknown = false
		b.WriteString(s)
	}
	return b.String()
}

func fold(r rune) string {
	switch {
	case r == '\n' || r >= ' ' && septets(r) > 0:
		return string(r)
	case unicode.IsSpace(r):
		return " "
	case unicode.In(r, unicode.Mn, unicode.Cf): // accents that follow their letter, and marks that cannot be seen
		return ""
	}
	for _, pair := range accents {
		if strings.ContainsRune(pair[1], r) {
			return pair[0]
		}
	}
	return "?"
}
