package alert

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.acu.edu.au/runbook/health"
)

// What a message shows at most; the rest is counted or left out.
const (
	maxShown   = 10           // alerts of each sort
	maxDetail  = 6            // lines of what was found
	mostAlerts = 3 * maxShown // alerts of a notification
)

// A view is the moment at which a message is made, and the zone of its times.
type view struct {
	now  time.Time
	zone *time.Location
}

// render makes the notification of a thread. The texts are for somebody who was
// asleep a minute ago: what is wrong, where, since when, who knows, what to do next.
func (v view) render(kind Kind, c *changes, th *thread) Notification {
	firing := slices.Concat(c.news, c.firing)
	slices.SortFunc(firing, worstFirst)
	shown := firing
	if kind == KindResolved {
		shown = c.over
	}
	n := Notification{Kind: kind, At: v.now}
	about := slices.Concat(firing, c.over)
	about = about[:min(len(about), mostAlerts)]
	n.Alerts = slices.Grow(n.Alerts, len(about))
	for _, a := range about {
		n.Alerts = append(n.Alerts, a.clone())
	}
	if len(shown) > 0 {
		n.Severity = shown[0].Severity
		n.Environment = commonEnvironment(shown)
	}
	n.Title = cut(title(kind, c, shown, v.now), 200)
	n.Text = v.text(kind, c, firing, th, n.Title)
	return n
}

func commonEnvironment(alerts []*Alert) string {
	for _, a := range alerts {
		if a.Environment != alerts[0].Environment {
			return ""
		}
	}
	return alerts[0].Environment
}

// places names the environments of alerts, for a title.
func places(alerts []*Alert) string {
	var names []string
	for _, a := range alerts {
		if name := cut(line(a.Environment), 40); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch slices.Sort(names); {
	case len(names) == 0:
		return ""
	case len(names) > 3:
		return fmt.Sprintf(" in %d environments", len(names))
	}
	return " " + strings.Join(names, ", ")
}

func (v view) clock(t time.Time) string {
	t = t.In(v.zone)
	y, m, d := t.Date()
	if ny, nm, nd := v.now.In(v.zone).Date(); y != ny || m != nm || d != nd {
		return t.Format("Mon 2 Jan 15:04 MST")
	}
	return t.Format("15:04 MST")
}

// title says in a line what happened, how bad it is, where, and what.
func title(kind Kind, c *changes, shown []*Alert, now time.Time) string {
	if len(shown) == 0 {
		return string(kind)
	}
	worst := shown[0]
	level, place := strings.ToUpper(worst.Severity.String()), places(shown)
	what := cut(line(worst.Summary), 140)
	switch more := len(shown) - 1; {
	case kind == KindDigest:
		what = fmt.Sprintf("%d alerts, the worst: %s", len(shown), what)
	case more > 0:
		what += fmt.Sprintf(", and %d more", more)
	}
	after := "after " + span(longest(shown, now)) + prefixed(",", place)
	switch kind {
	case KindResolved:
		return "RESOLVED " + after + ": " + what
	case KindReminder:
		return "STILL " + level + " " + after + ": " + what
	case KindFlapping:
		return "COMES AND GOES, " + level + place + ": " + what
	case KindUpdate, KindDigest:
		if by := c.takenBy(); by != "" {
			return "TAKEN by " + by + ", " + level + place + ": " + what
		}
		switch {
		case len(c.news) == 0 && len(c.over) > 0:
			return "PARTLY OVER, still " + level + place + ": " + what
		case len(c.news) == 0 && slices.ContainsFunc(c.worse, func(a *Alert) bool { return a.Severity < c.was[a.Key].Severity }):
			return "WORSE, " + level + place + ": " + what
		case kind == KindDigest:
			return "ALERT STORM, " + level + place + ": " + what
		}
		return "UPDATE, " + level + place + ": " + what
	}
	return level + place + ": " + what
}

// takenBy returns who takes care, if that is all there is to tell, and nothing is left that
// nobody takes care of.
func (c *changes) takenBy() string {
	if !c.acked || len(c.news)+len(c.over) > 0 || len(c.worse) == 0 {
		return ""
	}
	for _, a := range c.worse {
		if was := c.was[a.Key]; a.Severity < was.Severity || a.Flapping && !was.Flapping {
			return ""
		}
	}
	return cut(line(ackedBy(c.worse[0])), 60)
}

func longest(alerts []*Alert, now time.Time) (d time.Duration) {
	for _, a := range alerts {
		d = max(d, a.Duration(now))
	}
	return d
}

func (v view) text(kind Kind, c *changes, firing []*Alert, th *thread, title string) string {
	var b strings.Builder
	b.Grow(400) // what most take
	fmt.Fprintln(&b, title)
	if th.Instead != "" {
		fmt.Fprintf(&b, "You are told because %s does not take its messages.\n", th.Instead)
	}
	if kind == KindDigest {
		fmt.Fprintf(&b, "Too much began at once to be told one by one. %s.\n", tally(firing))
	}
	section := func(heading string, alerts []*Alert) {
		if len(alerts) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s\n", heading)
		for _, a := range alerts[:min(len(alerts), maxShown)] {
			v.alert(&b, a, c.was[a.Key])
		}
		if more := len(alerts) - maxShown; more > 0 {
			fmt.Fprintf(&b, "and %d more%s\n", more, counts(alerts[maxShown:]))
		}
	}
	switch kind {
	case KindResolved:
		section("It was:", c.over)
	case KindUpdate, KindFlapping, KindDigest:
		section("New:", c.news)
		section("Changed:", c.worse)
		section("Over:", c.over)
		section("Still firing:", without(c.firing, c.worse))
	default:
		section("What is wrong:", firing)
	}
	v.next(&b, kind, c, firing)
	return b.String()
}

func without(alerts, others []*Alert) (rest []*Alert) {
	skip := make(map[string]bool, len(others))
	for _, a := range others {
		skip[a.Key] = true
	}
	for _, a := range alerts {
		if !skip[a.Key] {
			rest = append(rest, a)
		}
	}
	return rest
}

// alert writes what is known of an alert, a line for each sort of thing.
func (v view) alert(b *strings.Builder, a *Alert, was told) {
	fmt.Fprintf(b, "- %s\n", name(a))
	write := func(format string, args ...any) { fmt.Fprintf(b, "  "+format+"\n", args...) }
	over := a.State == Resolved
	if over {
		end := a.Ended
		if end.IsZero() {
			end = v.now
		}
		write("from %s to %s, for %s%s", v.clock(a.Began), v.clock(end), span(a.Duration(end)), values(a))
	} else {
		write("since %s, for %s%s", v.clock(a.Began), span(a.Duration(v.now)), values(a))
	}
	if was.Severity > a.Severity {
		write("it was %s before", was.Severity)
	}
	switch {
	case a.Reason == NoData && over:
		write("nothing was measured meanwhile")
	case a.Reason == NoData:
		write("whether it works is not known: nothing is measured")
	case a.Reason == Broken && over:
		write("it could not be judged meanwhile")
	case a.Reason == Broken:
		write("whether it works is not known: the fault is in the monitoring")
	}
	if a.Flapping && !over {
		write("it comes and goes; it is over when it has been quiet for a while")
	}
	if a.Reason != NoData {
		details(write, a.Detail)
	}
	if len(a.Affected) > 0 && !over {
		more := ""
		if n := len(a.Affected) - maxShown; n > 0 {
			more = fmt.Sprintf(" and %d more", n)
		}
		write("fails because of it: %s%s", cut(line(strings.Join(a.Affected[:min(len(a.Affected), maxShown)], ", ")), 500), more)
	}
	switch ack := a.Acknowledged; {
	case ack == nil:
	case over:
		write("%s took care of it%s", cut(line(ack.By), 60), prefixed(": ", cut(line(ack.Comment), 300)))
	default:
		write("%s takes care of it since %s%s", cut(line(ack.By), 60), v.clock(ack.At), prefixed(": ", cut(line(ack.Comment), 300)))
	}
}

// name says in a line what an alert is about.
func name(a *Alert) string {
	text := strings.ToUpper(a.Severity.String())
	for _, part := range [...]string{cut(line(a.Environment), 40), cut(line(a.Entity), 100)} {
		text += prefixed(" ", part)
	}
	return text + ": " + cut(line(a.Summary), 300)
}

// details writes the first lines of what was found.
func details(write func(string, ...any), text string) {
	n := 0
	for detail := range strings.Lines(text) {
		if detail = line(detail); detail == "" {
			continue
		}
		if n++; n > maxDetail {
			write("…")
			return
		}
		write("%s", cut(detail, 300))
	}
}

func values(a *Alert) string {
	if a.Reason != Failing || a.Value == 0 && a.Limit == 0 {
		return ""
	}
	limit := ", limit " + number(a.Limit, a.Unit)
	switch {
	case a.State == Resolved:
		return "; at worst " + number(a.Peak, a.Unit) + limit
	case a.Peak != a.Value:
		return "; now " + number(a.Value, a.Unit) + limit + ", at worst " + number(a.Peak, a.Unit)
	}
	return "; now " + number(a.Value, a.Unit) + limit
}

// next says what to do, and who knows.
func (v view) next(b *strings.Builder, kind Kind, c *changes, firing []*Alert) {
	over := kind == KindResolved
	about := firing
	if over {
		about = c.over
	}
	var playbooks []string
	open := 0
	for _, a := range about {
		if p := cut(line(a.Playbook), 500); p != "" && !slices.Contains(playbooks, p) && len(playbooks) < maxShown {
			playbooks = append(playbooks, p)
		}
		if a.Acknowledged == nil {
			open++
		}
	}
	b.WriteString("\n")
	if over {
		b.WriteString("All that was told here is over.\n")
		if len(playbooks) > 0 {
			fmt.Fprintf(b, "For what comes after: playbook %s\n", strings.Join(playbooks, ", "))
		}
		return
	}
	if len(playbooks) > 0 {
		fmt.Fprintf(b, "What to do: playbook %s\n", strings.Join(playbooks, ", "))
	}
	switch {
	case open == 0:
	case len(firing) == 1:
		b.WriteString("Nobody has acknowledged it yet.\n")
	case open == len(firing):
		b.WriteString("Nobody has acknowledged any of them yet.\n")
	default:
		fmt.Fprintf(b, "Not acknowledged yet: %d of %d.\n", open, len(firing))
	}
}

// post is all that a post says.
func (v view) post(p *Post) string {
	var about []string
	if p.Status != "" {
		about = append(about, "Status: "+line(strings.ReplaceAll(p.Status, "_", " ")))
	}
	if !p.From.IsZero() {
		const form = "Mon 2 Jan 2006 15:04 MST"
		planned := "Planned: from " + p.From.In(v.zone).Format(form)
		if !p.To.IsZero() {
			planned += " to " + p.To.In(v.zone).Format(form)
		}
		about = append(about, planned)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Components)) {
		about = append(about, line(name)+": "+line(strings.ReplaceAll(p.Components[name], "_", " ")))
	}
	if p.By != "" {
		about = append(about, "Posted by "+line(p.By))
	}
	parts := []string{line(p.Title), strings.TrimSpace(p.Body), strings.Join(about, "\n")}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), "\n\n") + "\n"
}

// late is a message as it is sent: one that is late says so.
func (v view) late(m *outgoing) Notification {
	n := m.Notification
	if m.Queued == nil && v.now.Sub(m.Made) >= 5*time.Minute {
		n.Text += fmt.Sprintf("\nThis message is late: it says what was known at %s.\n", v.clock(m.Made))
	}
	return n
}

// silence says what happens to a silence, and what it is about at that moment.
func (v view) silence(s Silence, what silenceEvent, why string, firing []*Alert) (title, text string) {
	about := cut(line(s.Match.String()), 120)
	var first, mutes string
	switch what {
	case silenceBegins:
		title = "SILENCED until " + v.clock(s.Ends) + ": " + about
		first = "Nobody is told any more that such an alert begins. Ends of what was told are told."
		mutes = "It begins with these, which fire:"
	case silenceEnds:
		title = "SILENCE ENDS at " + v.clock(s.Ends) + ": " + about
		first = "What still fires then is told."
		mutes = "These fire now:"
	case silenceOver:
		title = "SILENCE OVER: " + about
		first = upperFirst(why) + "."
		mutes = "These fire and are told now, unless something else mutes them:"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\nBy %s, from %s to %s: %s\n", title, first, line(s.By), v.clock(s.Begins), v.clock(s.Ends), line(s.Comment))
	if len(firing) == 0 {
		b.WriteString("Nothing of it fires now.\n")
		return cut(title, 200), b.String()
	}
	fmt.Fprintf(&b, "\n%s\n", mutes)
	for _, a := range firing[:min(len(firing), maxShown)] {
		fmt.Fprintf(&b, "- %s\n", name(a))
	}
	if more := len(firing) - maxShown; more > 0 {
		fmt.Fprintf(&b, "and %d more%s\n", more, counts(firing[maxShown:]))
	}
	return cut(title, 200), b.String()
}

// tally says how many alerts there are, and of which rules most are.
func tally(alerts []*Alert) string {
	rules := make(map[string]int)
	for _, a := range alerts {
		rules[cut(line(a.Rule), 60)]++
	}
	names := slices.SortedFunc(maps.Keys(rules), func(a, b string) int { return cmp.Or(rules[b]-rules[a], strings.Compare(a, b)) })
	var parts []string
	others := 0
	for i, name := range names {
		if i < 4 {
			parts = append(parts, fmt.Sprintf("%d %s", rules[name], name))
		} else {
			others += rules[name]
		}
	}
	if others > 0 {
		parts = append(parts, fmt.Sprintf("%d of other rules", others))
	}
	return fmt.Sprintf("%d fire%s (%s)", len(alerts), counts(alerts), strings.Join(parts, ", "))
}

// counts says how many there are of each severity.
func counts(alerts []*Alert) string {
	var n [Low + 1]int
	for _, a := range alerts {
		n[min(a.Severity, Low)]++
	}
	var parts []string
	for s := Critical; s <= Low; s++ {
		if n[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[s], s))
		}
	}
	return prefixed(": ", strings.Join(parts, ", "))
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// number shows a value with its unit.
func number(value float64, unit health.Unit) string {
	return strings.TrimSpace(health.Measurement{Value: value, Unit: unit}.String())
}

// span shows how long something took, as people say it.
func span(d time.Duration) string {
	switch {
	case d < time.Minute:
		return strconv.Itoa(int(d.Seconds())) + " s"
	case d < time.Hour:
		return strconv.Itoa(int(d.Minutes())) + " min"
	case d < 48*time.Hour:
		h, m := int(d.Hours()), int(d.Minutes())%60
		if m == 0 {
			return fmt.Sprintf("%d h", h)
		}
		return fmt.Sprintf("%d h %d min", h, m)
	}
	return fmt.Sprintf("%d days", int(d.Hours())/24)
}

func testText(name, by string, v view) string {
	return fmt.Sprintf("TEST, nothing is wrong: a message to %s\n\n%s sent it at %s, to see whether messages arrive.\nThis one did. Nothing is to be done.\n", name, line(by), v.clock(v.now))
}

// line makes a text one line without control characters, and without those that turn the
// direction of what follows around.
func line(text string) string {
	breaks := func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r) || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
	}
	if !strings.ContainsFunc(text, func(r rune) bool { return r != ' ' && breaks(r) }) {
		return strings.TrimSpace(text)
	}
	return strings.Join(strings.FieldsFunc(text, breaks), " ")
}

func upperFirst(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:]
}

// cut shortens a text to at most n characters, and says so.
func cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	return string([]rune(text)[:n-1]) + "…"
}
