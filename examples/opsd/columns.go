package main

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/width"
)

// A cell is what a terminal shows in one place: a character with the marks that are put on it.
type cell struct {
	text string
	cols int    // columns that it takes, 2 at most
	code string // its colour, without the escape; empty for none
}

// cells splits a text with the colours of a painter into what a terminal shows. What would
// turn the order of characters round is left out: it makes one command look like another.
func cells(s string) (all []cell) {
	code := ""
	for s != "" {
		if sequence, rest, ok := colour(s); ok {
			code, s = sequence, rest
			continue
		}
		r, n := utf8.DecodeRuneInString(s)
		s = s[n:]
		cols := columns(r)
		switch last := len(all) - 1; {
		case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r):
		case cols > 0 || last < 0:
			all = append(all, cell{string(r), cols, code})
		case len(all[last].text) < 32: // a tower of marks is no text
			all[last].text += string(r)
			if r == 0xfe0f && all[last].cols == 1 {
				all[last].cols = 2 // as a picture, which some terminals draw wider
			}
		}
	}
	return all
}

// colour takes a colour of a painter from the beginning of a text.
func colour(s string) (code, rest string, ok bool) {
	rest, ok = strings.CutPrefix(s, "\x1b[")
	if !ok {
		return "", s, false
	}
	code, rest, ok = strings.Cut(rest, "m")
	if !ok || strings.Trim(code, "0123456789") != "" {
		return "", s, false
	}
	if code == "0" {
		code = ""
	}
	return code, rest, true
}

// columns is how many columns of a terminal a character takes: two if it is wide, none if it
// is a mark on the one before. Where terminals disagree it is the most that one takes.
func columns(r rune) int {
	switch k := width.LookupRune(r).Kind(); {
	case r == 0xad: // a soft hyphen is shown
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf), r >= 0x1160 && r < 0x1200: // the latter are parts of Korean syllables
		return 0
	case k == width.EastAsianWide || k == width.EastAsianFullwidth:
		return 2
	}
	return 1
}

// join is the reverse of cells.
func join(all []cell) string {
	var b strings.Builder
	code := ""
	for _, c := range all {
		if c.code != code {
			if code != "" {
				b.WriteString("\x1b[0m")
			}
			if c.code != "" {
				b.WriteString("\x1b[" + c.code + "m")
			}
			code = c.code
		}
		b.WriteString(c.text)
	}
	if code != "" {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

// total is how many columns cells take.
func total(all []cell) (n int) {
	for _, c := range all {
		n += c.cols
	}
	return n
}

// visible is how many columns a text takes on a terminal.
func visible(s string) int { return total(cells(s)) }

// shorten cuts a text to a number of columns, and says so with its last one.
func shorten(s string, most int) string {
	all := cells(s)
	if total(all) <= most {
		return join(all)
	}
	return join(append(all[:within(all, most-1)], cell{"…", 1, ""}))
}

// within is how many of the cells fit into a number of columns.
func within(all []cell, most int) int {
	n := 0
	for i, c := range all {
		if n += c.cols; n > most {
			return i
		}
	}
	return len(all)
}

// wrap makes rows of a text that fit into a number of columns, broken between words where
// that is possible. The rows after the first begin as the text does, and two columns further.
func wrap(s string, most int) (rows []string) {
	rest := cells(s)
	var indent []cell
	for len(indent) < len(rest) && rest[len(indent)].text == " " && len(indent) < most/4 {
		indent = append(indent, rest[len(indent)])
	}
	further := append(indent[:len(indent):len(indent)], cell{" ", 1, ""}, cell{" ", 1, ""})
	for most = max(most, 8); total(rest) > most; {
		n := max(within(rest, most), 1)
		at := n
		for at > 0 && rest[at].text != " " {
			at--
		}
		if at < n/2 || at <= len(further) {
			at = n // a word that is longer than half of the row
		}
		rows = append(rows, join(rest[:at]))
		for at < len(rest) && rest[at].text == " " {
			at++
		}
		rest = append(further[:len(further):len(further)], rest[at:]...)
	}
	return append(rows, join(rest))
}
