package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// A painter colours words, where that is wanted. What a colour says a word always says too.
type painter bool

const (
	green, yellow, red, blue, dim, bold = "32", "33", "31", "34", "2", "1"
)

// paint says whether to colour. NO_COLOR counts when it is not empty (no-color.org), and
// -color outranks it.
func (p *program) paint(c *cli.Command) painter {
	switch c.String("color") {
	case "always":
		return true
	case "never":
		return false
	}
	return painter(p.terminal && p.getenv("NO_COLOR") == "")
}

func (p painter) in(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (p painter) bad(text string) string  { return p.in(red, text) }
func (p painter) weak(text string) string { return p.in(dim, text) }

func (p painter) status(s health.Status) string {
	switch s {
	case health.Healthy:
		return p.in(green, s.String())
	case health.Degraded, health.Unknown:
		return p.in(yellow, s.String())
	case health.Unhealthy:
		return p.in(red, s.String())
	}
	return p.in(blue, s.String())
}

func (p painter) severity(s alert.Severity) string {
	if s <= alert.High {
		return p.in(red, s.String())
	}
	return p.in(yellow, s.String())
}

func (p painter) run(s incident.RunState) string {
	switch s {
	case incident.StateSucceeded:
		return p.in(green, string(s))
	case incident.StateFailed, incident.StateStranded:
		return p.in(red, string(s))
	case incident.StateWaiting, incident.StateHeld, incident.StateUndone, incident.StateCancelled:
		return p.in(yellow, string(s))
	}
	return p.in(blue, string(s))
}

// A table is rows whose columns are under each other. The last column is cut to what fits.
type table struct {
	p    *program
	rows [][]string
}

func (p *program) table() *table { return &table{p: p} }

func (t *table) row(cells ...string) {
	for i := range cells {
		cells[i] = paintable(cells[i])
	}
	t.rows = append(t.rows, cells)
}

// paintable is oneLine, with the colours that a painter made.
func paintable(s string) string {
	var b strings.Builder
	for part := range strings.SplitAfterSeq(s, "m") {
		before, code, ok := strings.Cut(part, "\x1b[")
		b.WriteString(oneLine(before))
		if ok && strings.Trim(code, "0123456789m") == "" {
			b.WriteString("\x1b[" + code)
		} else if ok {
			b.WriteString(oneLine(code))
		}
	}
	return b.String()
}

func (t *table) flush() {
	var widths []int
	for _, r := range t.rows {
		for i, cell := range r {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], visible(cell))
		}
	}
	for _, r := range t.rows {
		var b strings.Builder
		used := 0
		for i, cell := range r {
			if i == len(r)-1 {
				b.WriteString(t.p.cut(cell, t.p.width-used))
				break
			}
			b.WriteString(cell + strings.Repeat(" ", widths[i]-visible(cell)+2))
			used += widths[i] + 2
		}
		fmt.Fprintln(t.p.stdout, strings.TrimRight(b.String(), " "))
	}
	t.rows = nil
}

// cut shortens a text to what fits on a terminal. Where there is none it stays whole: a
// script, or a log, wants all of it.
func (p *program) cut(s string, width int) string {
	if !p.terminal || width < 20 {
		return s
	}
	return shorten(s, width)
}
