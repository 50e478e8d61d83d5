package incident

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Markdown returns the report as a document for people. Texts from outside (what alerts,
// runs and people said) are escaped: they stay text, whatever they contain, and make no
// headings, links, mentions, pictures or HTML.
func (r Report) Markdown() string {
	d := &reportDoc{r: r, zone: r.zone}
	if d.zone == nil { // it was read from JSON
		d.zone = time.UTC
		if zone, err := time.LoadLocation(r.Zone); err == nil {
			d.zone = zone
		}
	}
	d.head()
	d.summary()
	d.impact()
	d.times()
	d.deadlines()
	d.timeline()
	d.decisions()
	d.list("What was automatic", r.Automatic, "Nothing was done without a person.")
	d.runs()
	d.list("Open follow-ups", r.Open, "Nothing is left to do.")
	d.record()
	return d.b.String()
}

// reportDoc writes a report.
type reportDoc struct {
	mdDoc
	r    Report
	zone *time.Location
}

func (d *reportDoc) section(title string) { d.line("\n## %s\n", title) }

// at shows a time.
func (d *reportDoc) at(t time.Time) string {
	if t.IsZero() {
		return "not yet"
	}
	return t.In(d.zone).Format("2006-01-02 15:04:05 MST")
}

func (d *reportDoc) head() {
	i := d.r.Incident
	d.line("# %s: %s\n", mdText(i.ID), mdText(i.Title))
	if i.Simulated {
		d.line("**This was an exercise.**\n")
	}
	if !d.r.Final {
		d.line("*Draft: the incident was not reviewed yet.*\n")
	}
	d.line("| | |\n|---|---|")
	severity := i.Severity.String()
	if i.First != i.Severity && isSeverity(i.First) {
		severity += ", opened as " + i.First.String()
	}
	d.row("Severity", severity)
	state := string(i.State)
	if i.MergedInto != "" {
		state += " into " + mdText(i.MergedInto)
	}
	d.row("State", state)
	d.row("Environment", mdText(i.Environment))
	d.row("Triggered", d.at(i.Triggered))
	d.row("Opened", d.at(i.Opened)+" by "+mdText(i.OpenedBy))
	if i.Reopens > 0 {
		d.row("Reopened", fmt.Sprintf("%s, %d in all", d.at(i.Reopened), i.Reopens))
	}
	d.row("Taken care of by", mdText(i.AcknowledgedBy))
	for _, role := range sortedNames(i.Roles) {
		first, size := utf8.DecodeRuneInString(role)
		if size > 0 {
			d.row(mdText(string(unicode.ToUpper(first))+role[size:]), mdText(i.Roles[role]))
		}
	}
	d.row("Playbook", mdText(i.Playbook))
	d.row("Deployments", mdList(i.Deployments))
	d.row("Tickets", mdList(i.Tickets))
	d.row("Merged into this", mdList(i.Merged))
}

func (d *reportDoc) summary() {
	i := d.r.Incident
	d.section("Summary")
	text := i.Summary
	if text == "" {
		text = i.Title
	}
	d.line("%s", mdBlock(text))
	for _, more := range []struct{ what, text string }{{"Cause", i.Cause}, {"Resolution", i.Resolution}} {
		if more.text == "" {
			more.text = "not recorded"
		}
		d.line("\n%s:\n\n%s", more.what, mdBlock(more.text))
	}
}

func (d *reportDoc) impact() {
	im := d.r.Impact
	d.section("Impact")
	if im.To.IsZero() {
		d.line("From %s; not over when this was written, after %s.", d.at(im.From), im.Lasted)
	} else {
		d.line("From %s to %s: %s.", d.at(im.From), d.at(im.To), im.Lasted)
	}
	if len(im.Affected) > 0 {
		d.line("\nWhat the alerts were about:\n")
	}
	for _, what := range im.Affected {
		d.line("- %s", mdText(what))
	}
}

func (d *reportDoc) times() {
	t := d.r.Times
	d.section("Times")
	d.line("| From the first trigger until | Took | Due | Kept |\n|---|---|---|---|")
	for _, row := range []struct {
		what string
		kind ClockKind
		took Interval
	}{{"somebody took care", ClockAcknowledge, t.Acknowledge}, {"users were no longer hurt", ClockMitigate, t.Mitigate}, {"it was over", ClockResolve, t.Resolve}} {
		took, due, kept := "not yet", "no limit", ""
		if row.took > 0 {
			took = row.took.String()
		}
		if i := slices.IndexFunc(t.Clocks, func(c Clock) bool { return c.Kind == row.kind }); i >= 0 {
			due, kept = d.at(t.Clocks[i].Due), "yes"
			if t.Clocks[i].Stopped.IsZero() {
				kept = "not yet"
			}
			if slices.Contains(t.Missed, row.kind) {
				kept = "**no**"
			}
		}
		d.line("| %s | %s | %s | %s |", row.what, took, due, kept)
	}
	if t.Waited > 0 {
		d.line("\nRuns waited for a person for %s of that.", t.Waited)
	}
}

// deadlines says of each deadline whether it was kept.
func (d *reportDoc) deadlines() {
	t := d.r.Times
	if len(t.Deadlines) == 0 {
		return
	}
	d.section("Deadlines")
	d.line("| What was due | Counted from | Due | Settled | Kept |\n|---|---|---|---|---|")
	for _, l := range t.Deadlines {
		settled, kept := "not yet", "not yet"
		if !l.Settled.IsZero() {
			settled, kept = d.at(l.Settled)+" by "+mdText(l.SettledBy)+": "+mdText(l.Reason), "yes"
		}
		switch {
		case l.MovedTo != "":
			settled, kept = "", "goes on in "+mdText(l.MovedTo)
		case l.Void:
			kept = "did not apply"
		case slices.Contains(t.MissedDeadlines, l.Name):
			kept = "**no**"
		}
		d.line("| %s: %s | %s | %s | %s | %s |", mdText(l.Name), mdText(l.What), d.at(l.From), d.at(l.Due), settled, kept)
	}
}

func (d *reportDoc) timeline() {
	d.section("Timeline")
	d.line("Times are those of %s.\n", mdText(d.r.Zone))
	d.line("| When | Who | What |\n|---|---|---|")
	for _, e := range d.r.Timeline {
		d.line("| %s | %s | %s |", d.at(e.At), mdText(e.Actor), mdText(e.Text))
	}
}

func (d *reportDoc) decisions() {
	d.section("Decisions")
	if len(d.r.Decisions) == 0 {
		d.line("Nobody decided anything that is recorded.")
		return
	}
	for _, c := range d.r.Decisions {
		d.line("- %s, %s: %s", d.at(c.At), mdText(c.Actor), mdText(c.What))
	}
}

// list writes a section that is a list.
func (d *reportDoc) list(title string, texts []string, none string) {
	d.section(title)
	if len(texts) == 0 {
		d.line("%s", none)
	}
	for _, text := range texts {
		d.line("- %s", mdText(text))
	}
}

func (d *reportDoc) runs() {
	i := d.r.Incident
	if len(i.Runs) == 0 {
		return
	}
	d.section("Runs")
	for i, run := range d.r.Runs {
		if i > 0 {
			d.line("")
		}
		by := mdText(run.By)
		if run.Automatic {
			by = "nobody: automatic"
		}
		d.line("### %s\n", mdText(run.ID))
		d.line("Playbook %s of %s, begun %s by %s: %s.\n", mdText(run.Playbook), mdText(run.Environment), d.at(run.Started), by, mdText(strings.TrimSuffix(string(run.State)+": "+run.Reason, ": ")))
		d.line("| Step | State | From | To | |\n|---|---|---|---|---|")
		for _, s := range run.Steps {
			said := s.Message
			if s.Decided != "" {
				said = strings.TrimSpace(said + " " + s.By + ": " + s.Decided)
			}
			d.line("| %s | %s | %s | %s | %s |", mdText(s.Title), mdText(string(s.State)), d.stepTime(s.Began), d.stepTime(s.Ended), mdText(said))
		}
	}
	if len(d.r.Runs) == 0 {
		d.line("Attached: %s.", mdList(i.Runs))
	}
	for _, missing := range d.r.Missing {
		d.line("- not read: %s", mdText(missing))
	}
}

func (d *reportDoc) stepTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return d.at(t)
}

func (d *reportDoc) record() {
	rec := d.r.Record
	d.section("Record")
	if rec.Verified {
		d.line("The record was verified: %d entries, each as it was written.", rec.Entries)
	} else {
		d.line("**The record was changed after it was written**: %s. Only the %d entries before that are shown.", mdText(rec.Problem), rec.Entries)
	}
	d.line("\nHash of the last entry: `%s`. Made at %s.", rec.Head, d.at(d.r.Made))
}

// mdList escapes texts, and puts commas between them.
func mdList(texts []string) string {
	escaped := make([]string, len(texts))
	for i, text := range texts {
		escaped[i] = mdText(text)
	}
	return strings.Join(escaped, ", ")
}

// mdBlock makes a text a quotation, line by line.
func mdBlock(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace("> " + mdText(line))
		if i > 0 && lines[i] != ">" && lines[i-1] != ">" {
			lines[i-1] += `\` // a line break
		}
	}
	return strings.Join(lines, "\n")
}

// mdText makes a text from outside one line of Markdown that shows it, and nothing else.
func mdText(text string) string {
	text = strings.Join(strings.Fields(cleanWords(text, maxEntryText)), " ")
	text = mdAddress.ReplaceAllString(mdEscaper.Replace(text), "$1&#46;")
	// What is special at the beginning of a line only.
	digits := strings.TrimLeft(text, "0123456789")
	switch {
	case text == "":
	case strings.ContainsRune("-+=", rune(text[0])):
		text = `\` + text
	case digits != text && (digits != "" && (digits[0] == '.' || digits[0] == ')')):
		text = text[:len(text)-len(digits)] + `\` + digits
	}
	return text
}

// mdEscaper takes their meaning from characters, and from what renderers make links and
// mentions of by themselves.
var mdEscaper = strings.NewReplacer(
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "&", "&amp;",
	"|", `\|`, "~", `\~`, "#", `\#`, "!", `\!`, "$", `\$`, "@", "&#64;", "://", "&#58;//",
)

// mdAddress is what renderers take for the beginning of an address.
var mdAddress = regexp.MustCompile(`(?i)(www)\.`)
