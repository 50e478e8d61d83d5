package drill

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// The measures of a timeline, in units of its view box.
const (
	chartWidth  = 960.0
	chartLeft   = 100.0 // where the time axis begins; the names of the lanes are left of it
	chartRight  = 944.0
	rowHeight   = 22.0
	laneGap     = 8.0
	chartTop    = 26.0
	letterWidth = 6.3 // of a label, about
	maxRows     = 8   // of a lane; what does not fit has no label
)

// A chart is a timeline, ready to be drawn.
type chart struct {
	Width, Height float64
	Left, Right   float64
	Lanes         []lane
	Ticks         []tick
	// Text says the same in a sentence, for those who do not see it.
	Text string
}

// A lane is one line of a timeline, with a name. It has as many rows as it needs.
type lane struct {
	Name   string
	Y, End float64
	Bars   []bar
	Marks  []mark
}

// A bar is something that took a while, a mark something that happened. Title is what is shown
// when one points at it.
type bar struct {
	X, Y, W, H     float64
	Class, Title   string
	Label          string
	LabelX, LabelY float64
	Anchor         string
}

type mark struct {
	X, Y           float64
	Class, Title   string
	Label, Anchor  string
	LabelX, LabelY float64
}

// A tick is a time on the axis, after the first fault.
type tick struct {
	X     float64
	Label string
}

// A plotter lays out one timeline.
type plotter struct {
	h        *history
	from, to time.Time
	y        float64
	lanes    []lane
}

// chartOf makes the timeline of an exercise.
func chartOf(h *history) chart {
	p := &plotter{h: h, y: chartTop}
	p.from, p.to = h.Began, h.Ended
	if last := lastOf(h); last.Before(p.to) {
		p.to = last
	}
	width := p.to.Sub(p.from)
	if width < 10*time.Minute {
		width = 10 * time.Minute
	}
	p.from, p.to = p.from.Add(-width/25), p.from.Add(width+width/12)
	p.users()
	p.spans("faults", "fault", h.Faults)
	p.incidents()
	p.runs()
	p.acts("changes", "change", act.changing)
	p.acts("people", "person", func(a act) bool {
		return slices.Contains([]string{"incident-acknowledged", "approved", "denied", "decided", "done-by-hand", "reported", "mended", "host-killed", "host-started"}, a.Kind)
	})
	p.messages()
	return chart{Width: chartWidth, Height: p.y + 6, Left: chartLeft, Right: chartRight, Lanes: p.lanes, Ticks: p.ticks(), Text: sentence(h)}
}

// lastOf is when the last thing happened that the timeline is about.
func lastOf(h *history) (last time.Time) {
	later := func(t time.Time) {
		if t.After(last) {
			last = t
		}
	}
	later(h.Began)
	for _, a := range h.Acts {
		if a.changing() || strings.HasPrefix(a.Kind, "incident-") {
			later(a.At)
		}
	}
	for _, s := range slices.Concat(h.Faults, h.Unserved) {
		if later(s.To); s.To.IsZero() {
			later(h.Ended)
		}
	}
	for _, r := range h.Runs {
		later(r.Ended)
	}
	return last
}

// x is where a time is on the axis.
func (p *plotter) x(t time.Time) float64 {
	part := float64(t.Sub(p.from)) / float64(p.to.Sub(p.from))
	return chartLeft + min(max(part, 0), 1)*(chartRight-chartLeft)
}

// seen reports whether a time is on the axis.
func (p *plotter) seen(t time.Time) bool { return !t.Before(p.from) && !t.After(p.to) }

// add appends a lane of so many rows.
func (p *plotter) add(l lane, rows int) {
	l.Y, l.End = p.y, p.y+float64(max(rows, 1))*rowHeight
	p.y = l.End + laneGap
	p.lanes = append(p.lanes, l)
}

// users is the lane of what users have of it.
func (p *plotter) users() {
	l := lane{Name: "users"}
	served := func(from, to time.Time) {
		if b := p.bar(from, to, 0, "served", "users are served"); to.After(from) {
			b.Y, b.H = p.y+8, 4
			l.Bars = append(l.Bars, b)
		}
	}
	since := p.from
	for _, s := range p.h.Unserved { // what is drawn first is below
		served(since, s.From)
		since = or(s.To, p.to)
	}
	served(since, p.to)
	for _, s := range p.h.Unserved {
		to := or(s.To, p.to)
		b := p.bar(s.From, to, 0, "unserved", fmt.Sprintf("not served for %s: %s", short(to.Sub(s.From)), s.What))
		b.Label = "not served, " + short(to.Sub(s.From))
		if p.name(&b); b.Anchor != "in" && len(p.h.Unserved) > 1 {
			b.Label = "" // it would be in the way of the next one
		}
		l.Bars = append(l.Bars, b)
	}
	p.add(l, 1)
}

// bar makes a bar in a row of the lane that is laid out.
func (p *plotter) bar(from, to time.Time, row int, class, title string) bar {
	x := p.x(from)
	return bar{X: x, Y: p.y + float64(row)*rowHeight + 2, W: max(p.x(to)-x, 3), H: rowHeight - 5, Class: class, Title: title}
}

// name places the label of a bar: in it if there is room, else after it, else before it.
func (p *plotter) name(b *bar) {
	width := float64(len([]rune(b.Label))) * letterWidth
	b.LabelY = b.Y + b.H - 4.5
	switch {
	case width+8 < b.W:
		b.LabelX, b.Anchor = b.X+5, "in"
	case b.X+b.W+5+width < chartRight+12:
		b.LabelX, b.Anchor = b.X+b.W+5, "after"
	default:
		b.LabelX, b.Anchor = b.X-5, "before"
	}
}

// spans is a lane of bars, a row each.
func (p *plotter) spans(name, class string, spans []span) {
	if len(spans) == 0 {
		return
	}
	l := lane{Name: name}
	for i, s := range spans[:min(len(spans), maxRows)] {
		to, end := s.To, "until the end"
		if to.IsZero() {
			to = p.to
		} else {
			end = "for " + short(s.To.Sub(s.From))
		}
		b := p.bar(s.From, to, i, class, s.What+", "+end)
		b.Label = s.What
		p.name(&b)
		l.Bars = append(l.Bars, b)
	}
	p.add(l, min(len(spans), maxRows))
}

// incidents is the lane of incidents: darker until somebody took it, a line where it was mitigated.
func (p *plotter) incidents() {
	list := p.h.Incidents[:min(len(p.h.Incidents), maxRows)]
	if len(list) == 0 {
		return
	}
	l := lane{Name: "incidents"}
	for i, o := range list {
		to := o.Resolved
		if to.IsZero() {
			to = p.to
		}
		b := p.bar(o.Opened, to, i, "incident", fmt.Sprintf("%s, %s: %s", o.ID, o.Severity, o.Title))
		b.Label = o.Severity.String() + ": " + shorten(o.Title, 60)
		p.name(&b)
		l.Bars = append(l.Bars, b)
		until := or(o.Acknowledged, to)
		waiting := p.bar(o.Opened, until, i, "waiting", "nobody had taken it for "+short(until.Sub(o.Opened)))
		waiting.H = 3
		l.Bars = append(l.Bars, waiting)
	}
	p.add(l, len(list))
}

// runs is the lane of playbooks.
func (p *plotter) runs() {
	list := slices.DeleteFunc(slices.Clone(p.h.Runs), func(r ran) bool { return !p.seen(r.Started) })
	list = list[:min(len(list), maxRows)]
	if len(list) == 0 {
		return
	}
	l := lane{Name: "playbooks"}
	for i, r := range list {
		to := r.Ended
		if to.IsZero() {
			to = p.to
		}
		class := "run"
		if r.State != "succeeded" {
			class = "run unfinished"
		}
		b := p.bar(r.Started, to, i, class, strings.TrimSuffix(fmt.Sprintf("%s %s in %s, %s: %s", r.Playbook, r.State, short(to.Sub(r.Started)), count(r.Steps, "step"), r.Reason), ": "))
		b.Label = r.Playbook + ", " + r.State
		p.name(&b)
		l.Bars = append(l.Bars, b)
	}
	p.add(l, len(list))
}

// acts is a lane of marks with labels, in as many rows as the labels need.
func (p *plotter) acts(name, class string, which func(act) bool) {
	l, ends := lane{Name: name}, []float64(nil)
	for _, a := range p.h.Acts {
		if !which(a) || !p.seen(a.At) {
			continue
		}
		m := mark{X: p.x(a.At), Class: class, Title: after(a.At.Sub(p.h.Began)) + " " + a.String(), Label: shorten(labelOf(a), 48)}
		width := float64(len([]rune(m.Label)))*letterWidth + 22
		from, to := m.X-8, m.X+width
		if m.LabelX, m.Anchor = m.X+9, "after"; to > chartRight+12 {
			from, to = m.X-width, m.X+8
			m.LabelX, m.Anchor = m.X-9, "before"
		}
		row := slices.IndexFunc(ends, func(end float64) bool { return end < from })
		if row < 0 && len(ends) < maxRows {
			row, ends = len(ends), append(ends, 0)
		}
		if row < 0 { // no room: the mark alone, where another one is
			row, m.Label = len(ends)-1, ""
		}
		ends[row] = max(ends[row], to)
		m.Y = p.y + float64(row)*rowHeight + rowHeight/2 - 1
		m.LabelY = m.Y + 4
		l.Marks = append(l.Marks, m)
	}
	if len(l.Marks) > 0 {
		p.add(l, len(ends))
	}
}

// labelOf is what stands beside a mark: an incident by its number alone.
func labelOf(a act) string {
	if what, is := strings.CutPrefix(a.Kind, "incident-"); is {
		id, _, _ := strings.Cut(a.Detail, " ")
		return what + " " + id
	}
	return a.String()
}

// messages are lanes of what people were told, one for each way.
func (p *plotter) messages() {
	lanes := make(map[string]*lane)
	var ways []string
	for _, a := range p.h.Acts {
		if !isMessage(a) || !p.seen(a.At) {
			continue
		}
		way := a.Kind
		if a.Kind == "slack" {
			way = strings.Replace(a.Detail, "#qa-automation-", "# ", 1)
		}
		if lanes[way] == nil {
			lanes[way], ways = &lane{Name: shorten(way, 14)}, append(ways, way)
		}
		lanes[way].Marks = append(lanes[way].Marks, mark{
			X: p.x(a.At), Class: "message", Title: after(a.At.Sub(p.h.Began)) + " " + a.String() + ": " + shorten(a.Text, 200),
		})
	}
	for _, way := range ways[:min(len(ways), maxRows)] {
		for i := range lanes[way].Marks {
			lanes[way].Marks[i].Y = p.y + rowHeight/2 - 1
		}
		p.add(*lanes[way], 1)
		p.y -= laneGap - 1
	}
}

// ticks are the times on the axis: about eight, at round times.
func (p *plotter) ticks() (list []tick) {
	width := p.to.Sub(p.from)
	each := time.Minute
	for _, d := range []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour} {
		if each = d; width/d <= 9 {
			break
		}
	}
	for t := p.h.Began; t.Before(p.to); t = t.Add(each) {
		label := "+" + strings.TrimSuffix(strings.TrimSuffix(short(t.Sub(p.h.Began)), "00s"), "00m")
		if t.Equal(p.h.Began) {
			label = "0"
		}
		list = append(list, tick{X: p.x(t), Label: label})
	}
	return list
}

// sentence says in words what the timeline shows.
func sentence(h *history) string {
	at := timesOf(h)
	return fmt.Sprintf("Timeline of %s: detected %s, mitigated %s, resolved %s after the first fault; %s, %s.", short(h.Ended.Sub(h.Began)),
		took(at.Detected), took(at.Mitigated), took(at.Resolved), count(len(h.Incidents), "incident"), count(len(h.Runs), "run"))
}

// shorten cuts a text to so many letters, and makes it one line.
func shorten(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// or is the first time unless it is zero.
func or(t, other time.Time) time.Time {
	if t.IsZero() {
		return other
	}
	return t
}

// TextY is where the name of a lane stands.
func (l lane) TextY() float64 { return l.Y + rowHeight/2 + 3 }

// Path is the shape of a mark: a diamond for a change, a triangle for a person, a stroke for a
// message, so that it is not the colour alone that tells them apart.
func (m mark) Path() string {
	switch m.Class {
	case "change":
		return fmt.Sprintf("M%.1f %.1fl5 5l-5 5l-5 -5z", m.X, m.Y-5)
	case "person":
		return fmt.Sprintf("M%.1f %.1fl5.5 9h-11z", m.X, m.Y-5)
	}
	return fmt.Sprintf("M%.1f %.1fv12", m.X, m.Y-6)
}
