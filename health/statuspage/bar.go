package statuspage

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// tipped is how many days of a bar say what they were when pointed at: the newest
// that were not as they should be. All of them are in the words beside the bar, and
// in the table.
const tipped = 8

// classes are the style classes of the kinds, and where their strokes lie.
var classes = [...]struct {
	name string
	at   []string // vertical positions
}{
	noData:      {"no", []string{"22.5"}},
	incomplete:  {"in", []string{"8.5"}}, // and noData's below it
	upDay:       {"up", []string{"14"}},
	maintained:  {"ma", []string{"19"}},
	degradedDay: {"de", []string{"8", "20"}},
	outageDay:   {"ou", []string{"16"}},
}

// bar draws days: a stroke for each run of days of one kind, cut into days by its
// dashes. Kinds differ in height as well as in colour. What it says is said in words
// beside it, so it is hidden from screen readers.
func bar(days []day) template.HTML {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg class="bar" viewBox="0 0 %d 32" preserveAspectRatio="none" aria-hidden="true">`, 4*len(days))
	var paths [len(classes)]strings.Builder
	draw := func(k kind, from, n int) {
		for _, y := range classes[k].at {
			fmt.Fprintf(&paths[k], "M%d %sh%d", 4*from, y, 4*n)
		}
	}
	for i := 0; i < len(days); {
		n := 1
		for i+n < len(days) && days[i+n].Kind == days[i].Kind {
			n++
		}
		draw(days[i].Kind, i, n)
		if days[i].Kind == incomplete {
			draw(noData, i, n)
		}
		i += n
	}
	for k := range paths {
		if paths[k].Len() > 0 {
			fmt.Fprintf(&b, `<path class="%s" d="%s"/>`, classes[k].name, paths[k].String())
		}
	}
	left := tipped
	for i := len(days) - 1; i >= 0 && left > 0; i-- {
		if d := days[i]; d.Kind >= maintained {
			// Drawn again, so that there is something to point at.
			fmt.Fprintf(&b, `<path class="%s" d="`, classes[d.Kind].name)
			for _, y := range classes[d.Kind].at {
				fmt.Fprintf(&b, "M%d %sh4", 4*i, y)
			}
			fmt.Fprintf(&b, `"><title>%s: %s</title></path>`, d.Date.Format("2 Jan"), template.HTMLEscapeString(d.Words()))
			left--
		}
	}
	b.WriteString("</svg>")
	return template.HTML(b.String()) //nolint:gosec // numbers and words of this package
}

// Words says what a day was like.
func (d day) Words() string {
	parts := []string{d.Kind.Words()}
	add := func(name string, in time.Duration) {
		if in > 0 {
			parts = append(parts, name+" "+lasting(in))
		}
	}
	if d.Kind == outageDay {
		parts[0] += " " + lasting(d.In[health.Unhealthy])
	}
	if d.Kind == degradedDay {
		parts[0] += " " + lasting(d.In[health.Degraded])
	} else {
		add("degraded", d.In[health.Degraded])
	}
	if d.Kind == maintained {
		parts[0] += " " + lasting(d.In[health.Maintenance])
	} else {
		add("maintenance", d.In[health.Maintenance])
	}
	if d.Kind != noData && d.Missing >= time.Minute {
		add("no data", d.Missing)
	}
	return strings.Join(parts, ", ")
}

// Story says in words what the bar of a component shows.
func (c component) Story() string {
	r := c.Record
	if r.Measured == 0 {
		return "No data in 90 days"
	}
	var parts []string
	switch {
	case !r.Counted:
		parts = append(parts, "No uptime, for want of data")
	case r.Measured < daysShown:
		parts = append(parts, fmt.Sprintf("%s uptime, of %s with data", percent(r.Share), count(r.Measured, "day")))
	default:
		parts = append(parts, percent(r.Share)+" uptime")
	}
	if r.Outages > 0 {
		parts = append(parts, fmt.Sprintf("outage on %s, last on %s for %s", count(r.Outages, "day"), r.Last.Date.Format("2 January"), lasting(r.Last.In[health.Unhealthy])))
	}
	if r.Incomplete > 0 {
		parts = append(parts, "data incomplete on "+count(r.Incomplete, "day"))
	}
	if c.Median > 0 {
		parts = append(parts, "answers in "+answered(c.Median))
	}
	return strings.Join(parts, " · ")
}

// A chart shows response times.
type chart struct {
	ID, Title, Unit, Words string
	Top, Half              string // the scale
	From, To               string
	SVG                    template.HTML
	Rows                   []chartRow // newest first
}

type chartRow struct{ When, Median, P95 string }

// A point is what a chart shows of an hour or a day.
type point struct {
	when        string
	median, p95 time.Duration
}

// hourly returns the chart of the last 72 hours.
func hourly(hours []health.Bucket, now time.Time) chart {
	points := make([]point, hoursShown)
	first := now.Truncate(time.Hour).Add((1 - hoursShown) * time.Hour)
	for i := range points {
		at := first.Add(time.Duration(i) * time.Hour)
		points[i] = pointOf(hours, at, at.Format("2 Jan, 15:04"))
	}
	return draw(chart{ID: "hours", Title: "Response times of 72 hours", Unit: "Hour from", From: "72 hours ago", To: "now"}, points)
}

// daily returns that of the last 90 days.
func daily(buckets []health.Bucket, days []day) chart {
	points := make([]point, len(days))
	for i, d := range days {
		points[i] = pointOf(buckets, d.Date, d.Date.Format("2 Jan 2006"))
	}
	return draw(chart{ID: "ninety", Title: "Response times of 90 days", Unit: "Day", From: "90 days ago", To: "today"}, points)
}

func pointOf(buckets []health.Bucket, at time.Time, when string) point {
	p := point{when: when}
	if i, found := search(buckets, at); found {
		p.median, p.p95 = buckets[i].Latencies.Quantile(0.5), buckets[i].Latencies.Quantile(0.95)
	}
	return p
}

// draw completes a chart: lines, scale, table and a sentence.
func draw(c chart, points []point) chart {
	var highest point
	for i := len(points) - 1; i >= 0; i-- {
		p := points[i]
		if p.median <= 0 {
			continue
		}
		if p.p95 > highest.p95 {
			highest = p
		}
		c.Rows = append(c.Rows, chartRow{p.when, answered(p.median), answered(p.p95)})
	}
	if len(c.Rows) == 0 {
		return c
	}
	top := roundUp(highest.p95)
	c.Top, c.Half = answered(top), answered(top/2)
	c.Words = fmt.Sprintf("Latest: %s and %s. Slowest: %s, 95\u00a0%% within %s.", c.Rows[0].Median, c.Rows[0].P95, highest.when, answered(highest.p95))
	const width, height = 720, 160
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" preserveAspectRatio="none" role="img" aria-label="%s: %s">`, width, height, c.Title, template.HTMLEscapeString(c.Words))
	fmt.Fprintf(&b, `<path class="grid" d="M0 1h%d M0 %dh%d"/>`, width, height/2, width)
	line := func(class string, of func(point) time.Duration) {
		fmt.Fprintf(&b, `<path class="%s" d="`, class)
		pen := "M"
		for i, p := range points {
			v := of(p)
			if v <= 0 {
				pen = "M"
				continue
			}
			x := (float64(i) + 0.5) * width / float64(len(points))
			y := height - float64(v)/float64(top)*(height-1)
			b.WriteString(pen + decimal(x) + " " + decimal(y))
			if pen == "M" {
				b.WriteString("h.1") // so that one that stands alone is a dot
			}
			pen = "L"
		}
		b.WriteString(`"/>`)
	}
	line("p95", func(p point) time.Duration { return p.p95 })
	line("p50", func(p point) time.Duration { return p.median })
	b.WriteString("</svg>")
	c.SVG = template.HTML(b.String()) //nolint:gosec // numbers and words of this package
	return c
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', 1, 64) }

// roundUp returns the next of 1, 2, 4 times a power of ten.
func roundUp(d time.Duration) time.Duration {
	for unit := time.Millisecond; ; unit *= 10 {
		for _, n := range []time.Duration{1, 2, 4} {
			if n*unit >= d {
				return n * unit
			}
		}
	}
}
