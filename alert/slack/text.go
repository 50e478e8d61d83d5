package slack

import (
	"net/url"
	"strings"
	"unicode"
)

// Limits of Slack's, in characters
// (https://docs.slack.dev/reference/block-kit/blocks,
// https://docs.slack.dev/reference/methods/chat.postMessage). They are applied to escaped
// text, counted as UTF-16: the strictest of the ways to count.
const (
	maxHeader  = 150
	maxSection = 3000
	maxText    = 4000  // longer ones are discouraged, more than 40,000 are cut
	maxBody    = 12000 // ours: nobody reads more, and the sum has limits that are not documented
	maxValue   = 2000
)

// plain removes what does not belong into a text for people: control characters, and those
// that turn the direction of text around.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t':
			return r
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, text)
}

// escaped returns a rune as Slack wants it: its three control characters would otherwise
// mention people and channels.
func escaped(r rune) string {
	switch r {
	case '&':
		return "&amp;"
	case '<':
		return "&lt;"
	case '>':
		return "&gt;"
	}
	return string(r)
}

// units is how long a rune counts.
func units(r rune) int {
	switch {
	case r == '&':
		return 5
	case r == '<', r == '>':
		return 4
	case r > 0xffff:
		return 2
	}
	return 1
}

// fit escapes a text, and cuts it so that it has at most n characters.
func fit(text string, n int) string {
	text = plain(text)
	length, end := 0, 0 // end is where to cut, if that is needed
	for i, r := range text {
		if length <= n-1 {
			end = i
		}
		if length += units(r); length > n {
			return escape(strings.TrimRight(text[:end], " \n")) + "…"
		}
	}
	return escape(text)
}

func escape(text string) string {
	var b strings.Builder
	for _, r := range text {
		b.WriteString(escaped(r))
	}
	return b.String()
}

// sections escapes a text and divides it at ends of lines into parts of at most maxSection
// characters, together at most maxBody.
func sections(text string) (parts []string) {
	text = strings.Trim(plain(text), "\n ")
	var part strings.Builder
	length, total := 0, 0
	flush := func() {
		if s := strings.Trim(part.String(), "\n"); strings.TrimSpace(s) != "" {
			parts = append(parts, s)
		}
		part.Reset()
		length = 0
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		shown := fit(line, 1000)
		size := 1
		for _, r := range line {
			size += units(r)
		}
		size = min(size, 1001)
		if total += size; total > maxBody-100 {
			flush()
			return append(parts, "… the rest is too long for Slack.")
		}
		if length+size > maxSection {
			flush()
		}
		part.WriteString(shown)
		part.WriteByte('\n')
		length += size
	}
	flush()
	return parts
}

// address returns a link to an address, or nothing if the text is not one.
func address(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
		return ""
	}
	link := u.String()
	if len(link) > 1000 || strings.ContainsAny(link, "<>| \"") || plain(link) != link {
		return ""
	}
	return "<" + strings.ReplaceAll(link, "&", "&amp;") + ">"
}
