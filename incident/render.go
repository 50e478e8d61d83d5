package incident

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Markdown returns the playbook as a document for people: when to use it, what it does
// step by step, what each step replaces of what was done by hand, who approves, what
// happens when something fails, and how to go back. It is made of the playbook itself, so
// that document and program cannot differ; what the funcs of its steps decide in the
// middle of a run, it names and cannot show.
//
// It is GitHub's Markdown, with a picture (see [Playbook.Mermaid]) at its end. Texts of
// the playbook are escaped: they stay text, whatever they contain. The document of a
// playbook that is not valid says what it can.
func (p Playbook) Markdown() string {
	d := &playbookDoc{p: p, numbers: make(map[string]string), titles: make(map[string]string)}
	d.number(p.Steps, "", "")
	d.head()
	d.parameters()
	d.needs()
	d.line("\n## Steps")
	d.steps(p.Steps, spot{level: 3})
	d.ending()
	d.line("\n## Picture\n\n```mermaid\n%s```", p.Mermaid())
	return d.b.String()
}

// mdDoc is a document that is written line by line.
type mdDoc struct{ b strings.Builder }

func (d *mdDoc) line(format string, args ...any) { fmt.Fprintf(&d.b, format+"\n", args...) }

// row writes a row of a table of names and values, if there is a value.
func (d *mdDoc) row(name, value string) {
	if value != "" {
		d.line("| %s | %s |", name, value)
	}
}

// playbookDoc writes the document of a playbook.
type playbookDoc struct {
	mdDoc
	p Playbook
	// numbers are those of the steps, "3" or "3.1", and titles their titles, by id.
	numbers, titles map[string]string
	// automatic, approved and manual count the steps.
	automatic, approved, manual int
}

// number numbers steps, and those within them.
func (d *playbookDoc) number(steps []Step, prefix, within string) {
	for i, s := range steps {
		id := prefix + s.ID
		d.numbers[id], d.titles[id] = fmt.Sprintf("%s%d", within, i+1), s.Title
		inner, innerPrefix := s.inner(prefix, strings.Count(within, "."))
		d.number(inner, innerPrefix, d.numbers[id]+".")
	}
}

func (d *playbookDoc) head() {
	p := d.p
	d.line("# %s\n", mdText(cmp.Or(p.Title, p.Name)))
	d.line("| | |\n|---|---|")
	d.row("Environment", mdText(p.Environment))
	d.row("Severity", p.Severity.String())
	d.row("Playbook", mdText(p.Name))
	d.row("Procedure", mdText(p.Source))
	d.row("Ends at the latest after", inTime(cmp.Or(p.Timeout, 24*time.Hour)))
	d.row("One at a time", "runs for "+mdText(p.lock())+" wait for each other, or are refused")
	d.row("Escalation", mdText(p.Escalation))
	if p.About != "" {
		d.line("\n## When to use it\n\n%s", mdParagraphs(p.About))
	}
}

func (d *playbookDoc) parameters() {
	if len(d.p.Parameters) == 0 {
		return
	}
	d.line("\n## Parameters\n\n| Name | What it is | Values | If none is given |\n|---|---|---|---|")
	for _, p := range d.p.Parameters {
		d.line("| %s | %s | %s | %s |", mdText(p.Name), mdText(p.About), mdText(p.values()), mdText(p.otherwise()))
	}
}

// values says what the values of a parameter look like.
func (p Parameter) values() string {
	text := map[ParameterType]string{Text: "text", Whole: "a whole number", Duration: `a duration, such as "90s"`, YesNo: "yes or no"}[p.Type]
	text = cmp.Or(text, string(p.Type))
	if len(p.Choices) > 0 {
		text = "one of " + strings.Join(p.Choices, ", ")
	}
	switch {
	case p.Min != "" && p.Max != "":
		text += ", from " + p.Min + " to " + p.Max
	case p.Min != "":
		text += ", at least " + p.Min
	case p.Max != "":
		text += ", at most " + p.Max
	}
	return text
}

// otherwise says what a parameter is if no value is given.
func (p Parameter) otherwise() string {
	switch {
	case p.Default != "":
		return p.Default
	case p.Optional:
		return "empty"
	}
	return "a value is required"
}

// needs lists the ports that the playbook and its steps call.
func (d *playbookDoc) needs() {
	var all []Need
	add := func(needs []Need) {
		for _, n := range needs {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	add(d.p.Needs)
	eachStep(d.p.Steps, 0, func(s Step) {
		add(s.Needs)
		if sub, ok := s.Do.(Sub); ok {
			add(sub.Playbook.Needs)
		}
	})
	if len(all) == 0 {
		return
	}
	d.line("\n## What it needs\n")
	for _, n := range all {
		missing := ""
		if !n.Met {
			missing = ": **this environment does not have it**"
		}
		d.line("- %s%s", mdText(n.Name), missing)
	}
}

// eachStep calls f with all steps in order, those within others after them.
func eachStep(steps []Step, depth int, f func(s Step)) {
	for _, s := range steps {
		f(s)
		inner, _ := s.inner("", depth)
		eachStep(inner, depth+1, f)
	}
}

// mostNested is how deep steps are shown that are within others. A playbook that is valid
// has none deeper; one that is not may have itself in it.
const mostNested = 8

// inner returns the steps within a step, and what their ids begin with.
func (s Step) inner(prefix string, depth int) ([]Step, string) {
	if depth >= mostNested {
		return nil, prefix
	}
	switch do := s.Do.(type) {
	case Parallel:
		return do.Steps, prefix
	case Sub:
		return do.Playbook.Steps, prefix + s.ID + "."
	}
	return nil, prefix
}

// alone returns the step without the steps within it, some of which may not be valid.
func (s Step) alone() Step {
	switch do := s.Do.(type) {
	case Parallel:
		do.Steps = nil
		s.Do = do
	case Sub:
		do.Playbook.Steps = nil
		s.Do = do
	}
	return s
}

// ending says who does what, and whom to call.
func (d *playbookDoc) ending() {
	d.line("\n## Who does what\n")
	d.line("- %s made by the program.", countOf(d.automatic, "step is", "steps are"))
	d.line("- %s approved by people.", countOf(d.approved, "step is", "steps are"))
	d.line("- %s done by people.", countOf(d.manual, "step is", "steps are"))
	if d.p.Escalation != "" {
		d.line("\n## If it does not help\n\n%s", mdParagraphs(d.p.Escalation))
	}
}

func countOf(n int, one, many string) string {
	switch n {
	case 0:
		return "No " + one
	case 1:
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// inTime says how long something is: "1 h 30 min".
func inTime(t time.Duration) string {
	var parts []string
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}} {
		if unit.name == "d" && t < 48*time.Hour {
			continue
		}
		if n := t / unit.size; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, unit.name))
			t -= n * unit.size
		}
	}
	if t > 0 {
		parts = append(parts, t.String())
	}
	if len(parts) == 0 {
		return "0 s"
	}
	return strings.Join(parts, " ")
}

// mdParagraphs escapes a text of several lines. An empty line is the end of a paragraph.
func mdParagraphs(text string) string {
	var b strings.Builder
	pending := "" // what is between this line and the one before
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = mdText(line)
		if line == "" {
			if b.Len() > 0 {
				pending = "\n\n"
			}
			continue
		}
		b.WriteString(pending + line)
		pending = "\\\n" // a line break
	}
	return b.String()
}

// mdCommands makes commands a block of code that nothing in them can end.
func mdCommands(commands []string) string {
	text := cleanWords(strings.Join(commands, "\n"), maxEntryText)
	fence := strings.Repeat("`", max(3, longestRun(text, '`')+1))
	return fence + "\n" + text + "\n" + fence
}

// mdCode makes a text of one line code.
func mdCode(text string) string {
	text = strings.Join(strings.Fields(cleanWords(text, maxLine)), " ")
	if text == "" {
		return ""
	}
	fence := strings.Repeat("`", longestRun(text, '`')+1)
	if len(fence) > 1 {
		text = " " + text + " "
	}
	return fence + text + fence
}

// longestRun returns how often a character is repeated at most.
func longestRun(text string, of rune) (longest int) {
	run := 0
	for _, r := range text {
		run++
		if r != of {
			run = 0
		}
		longest = max(longest, run)
	}
	return longest
}
