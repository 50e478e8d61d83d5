package main

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.acu.edu.au/runbook/health"
)

// table writes a report for people.
type table struct {
	colour bool
	width  int // of a line, in characters
	out    strings.Builder
}

// Colours, as ANSI escape sequences.
const (
	bold   = "\x1b[1m"
	dim    = "\x1b[2m"
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
)

// marks are symbol and colour of a status. The word stands beside it always: a
// colour or a symbol alone tells nothing to somebody who cannot see it.
func marks(s health.Status) (symbol, colour string) {
	switch s {
	case health.Healthy:
		return "✓", green
	case health.Degraded:
		return "!", yellow
	case health.Unhealthy:
		return "✗", red
	case health.Maintenance:
		return "~", blue
	}
	return "?", yellow
}

// writeText writes the table.
func (r *report) writeText(w io.Writer, colour bool, width int, heading string, notify bool) error {
	t := &table{colour: colour, width: width}
	t.out.WriteString(t.in(bold, "Morning health check") + "  " + r.Time.Format("Mon 2 Jan 2006 15:04:05 MST") + "\n")
	t.wrapped("", heading)
	title := 0
	for _, env := range r.Environments {
		for _, c := range env.Checks {
			title = max(title, utf8.RuneCountInString(clean(c.Title)))
		}
	}
	for _, env := range r.Environments {
		_, col := marks(env.Status)
		t.out.WriteString("\n" + t.in(bold, env.Name) + "  " + t.in(bold+col, strings.ToUpper(statusWord(env.Status))) + "\n")
		for _, c := range env.Checks {
			t.check(c, title, env.Checks)
		}
	}
	t.alerts(r, notify)
	t.out.WriteString("\n")
	_, col := marks(r.Status)
	word := strings.ToUpper(r.Verdict)
	t.line(word+": ", t.in(bold+col, word)+": ", r.Summary+".")
	t.wrapped("", fmt.Sprintf("%d checks in %s, exit code %d.", r.count(), duration(r.DurationMS), r.ExitCode))
	_, err := io.WriteString(w, t.out.String())
	return err
}

func (r *report) count() int {
	n := 0
	for _, env := range r.Environments {
		n += len(env.Checks)
	}
	return n
}

// check writes the lines of one check.
func (t *table) check(c checkReport, title int, siblings []checkReport) {
	symbol, col := marks(c.Status)
	name := clean(c.Title)
	head := fmt.Sprintf("  %s %-11s  %s", symbol, c.Status, name+strings.Repeat(" ", title-utf8.RuneCountInString(name)))
	shown := c.shown
	if c.BlockedBy != "" {
		shown = string(c.Cause) + ", because of " + titleOf(siblings, c.BlockedBy)
		if c.shown != "" && (saidItself(c.Cause) || c.Cause == health.CauseMaintenance) {
			shown += " (" + c.shown + ")"
		}
	}
	if c.Cause == health.CausePending {
		shown = c.Message
	}
	coloured := strings.Replace(head, symbol+" "+c.Status.String(), t.in(col, symbol+" "+c.Status.String()), 1)
	t.line(head+"  ", coloured+"  ", shown)
	if c.Status == health.Healthy || c.BlockedBy != "" || c.Cause == health.CausePending {
		return
	}
	t.line("      why   ", t.in(dim, "      why   "), string(c.Cause)+": "+c.Message)
	t.next(c, siblings)
}

// next writes what to do: text, and commands on lines of their own that can be
// copied. The same advice is not given twice in an environment.
func (t *table) next(c checkReport, siblings []checkReport) {
	const label, indent = "      next  ", "            "
	if c.Next == "" {
		return
	}
	for _, other := range siblings {
		if other.Name == c.Name {
			break
		}
		if other.Next == c.Next {
			t.line(label, t.in(dim, label), "as for "+other.Title)
			return
		}
	}
	prefix, text := label, ""
	flush := func() {
		if text != "" {
			t.line(prefix, t.in(dim, prefix), text)
			prefix, text = indent, ""
		}
	}
	for l := range strings.Lines(c.Next) {
		l = strings.TrimRight(l, "\n")
		if strings.HasPrefix(l, "$ ") {
			flush()
			t.out.WriteString(t.in(dim, prefix) + clean(l) + "\n")
			prefix = indent
			continue
		}
		text += " " + l
	}
	flush()
}

func titleOf(checks []checkReport, name string) string {
	for _, c := range checks {
		if c.Name == name {
			return c.Title
		}
	}
	return name
}

func (t *table) in(colour, text string) string {
	if !t.colour {
		return text
	}
	return colour + text + "\x1b[0m"
}

func (t *table) wrapped(prefix, text string) { t.line(prefix, prefix, text) }

// line writes text after prefix, broken between words so that it stays within
// the width and below itself. coloured is the prefix as it is written.
func (t *table) line(prefix, coloured, text string) {
	indent := utf8.RuneCountInString(prefix)
	column := indent
	words := strings.Fields(clean(text))
	if len(words) == 0 {
		coloured = strings.TrimRight(coloured, " ")
	}
	t.out.WriteString(coloured)
	for i, word := range words {
		n := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+n > t.width:
			t.out.WriteString("\n" + strings.Repeat(" ", indent))
			column = indent
		default:
			t.out.WriteString(" ")
			column++
		}
		t.out.WriteString(word)
		column += n
	}
	t.out.WriteString("\n")
}

// clean makes text harmless to a terminal: what cannot be printed, such as the
// escape sequences that an answer may hold, becomes a dot.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return '·'
	}, text)
}

// show fills in what the table shows of a check. A part between commas is left
// out when a measurement that it needs was not made.
func show(c *check, r health.Result) string {
	values := make(map[string]string, len(r.Measurements))
	for _, m := range r.Measurements {
		values[m.Name] = format(m)
	}
	var parts []string
	for part := range strings.SplitSeq(c.Show, ", ") {
		complete := true
		part = fill(part, values, func(string) string { complete = false; return "" })
		if complete {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

// format writes a measurement for people: "311.5 MB", "6.2 s".
func format(m health.Measurement) string {
	switch {
	case m.Text != "":
		return m.Text
	case m.Unit == health.Milliseconds:
		return duration(m.Value)
	case m.Unit == health.Seconds:
		return duration(m.Value * 1000)
	case m.Unit == health.Days:
		return days(m.Value)
	case m.Unit == "":
		return number(m.Value)
	}
	return number(m.Value) + " " + string(m.Unit)
}

// days writes the time that is left, such as that of a certificate.
func days(v float64) string {
	switch n := math.Ceil(-v); {
	case v < 0 && n == 1:
		return "expired within the last day"
	case v < 0:
		return "expired " + number(n) + " days ago"
	}
	return number(math.Floor(v)) + " days"
}

// number writes a number with at most one decimal.
func number(v float64) string {
	return strings.TrimSuffix(strconv.FormatFloat(v, 'f', 1, 64), ".0")
}

// duration writes milliseconds in the unit that fits.
func duration(ms float64) string {
	switch {
	case ms < 10:
		return number(ms) + " ms"
	case ms < 1000:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	}
	return number(ms/1000) + " s"
}
