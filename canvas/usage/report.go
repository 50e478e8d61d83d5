package usage

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// A Report is the use of a Canvas in a span of time. Encoded as JSON it has the
// names of the tags.
type Report struct {
	// From and To bound the span; To is when the report was made.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Calls counts requests that were sent, each attempt for itself. Errors are
	// those with no answer or a status from 400, but for those that the bucket
	// rejected, which are Throttled.
	Calls     int64 `json:"calls"`
	Errors    int64 `json:"errors"`
	Throttled int64 `json:"throttled"`
	// CallsPerMinute and ErrorsPerMinute are averages over the span.
	CallsPerMinute  float64 `json:"calls_per_minute"`
	ErrorsPerMinute float64 `json:"errors_per_minute"`
	// ThrottledShare is the part of the calls that was rejected, from 0 to 1.
	ThrottledShare float64 `json:"throttled_share"`
	// Cost is what they cost, in units of the bucket.
	Cost float64 `json:"cost"`
	// WaitedSeconds is how long requests waited for the bucket, all together.
	WaitedSeconds float64 `json:"waited_seconds"`
	// Remaining is what was left of the bucket by the last answer, Lowest the least
	// that an answer said in the span. Nil means that none did.
	Remaining *float64 `json:"remaining"`
	Lowest    *float64 `json:"lowest_remaining"`
	// Statuses counts answers by the class of their status: "2xx", "no answer".
	Statuses map[string]int64 `json:"statuses"`
	// Routes are the routes that were called, the most expensive first.
	Routes []Route `json:"routes"`
	// Minutes are the minutes in which there were calls, the oldest first.
	Minutes []Minute `json:"minutes"`
}

// A Route is the use of one route.
type Route struct {
	// Route is method and path with ids replaced: "GET /api/v1/courses/:id".
	Route string `json:"route"`
	// Calls, Errors and Throttled are as in [Report].
	Calls     int64 `json:"calls"`
	Errors    int64 `json:"errors"`
	Throttled int64 `json:"throttled"`
	// Cost is what the calls cost, Share the part of all cost, from 0 to 1.
	Cost  float64 `json:"cost"`
	Share float64 `json:"cost_share"`
	// MeanMilliseconds and SlowestMilliseconds are how long Canvas took.
	MeanMilliseconds    float64 `json:"mean_ms"`
	SlowestMilliseconds float64 `json:"slowest_ms"`
}

// A Minute is the use in one minute.
type Minute struct {
	// Start is its begin.
	Start time.Time `json:"start"`
	// Calls, Errors, Throttled and Cost are as in [Report].
	Calls     int64   `json:"calls"`
	Errors    int64   `json:"errors"`
	Throttled int64   `json:"throttled"`
	Cost      float64 `json:"cost"`
}

func (m *minute) report() Minute {
	return Minute{Start: time.Unix(m.number*60, 0).UTC(), Calls: m.calls, Errors: m.errors, Throttled: m.throttled, Cost: m.cost}
}

func (t *tally) route(name string, all float64) Route {
	r := Route{Route: name, Calls: t.calls, Errors: t.errors, Throttled: t.throttled, Cost: t.cost, SlowestMilliseconds: milliseconds(t.slowest)}
	if t.calls > 0 {
		r.MeanMilliseconds = milliseconds(t.took) / float64(t.calls)
	}
	if all > 0 {
		r.Share = t.cost / all
	}
	return r
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (r *Report) total(all tally, last reading) {
	r.Calls, r.Errors, r.Throttled, r.Cost, r.WaitedSeconds = all.calls, all.errors, all.throttled, all.cost, all.waited.Seconds()
	if span := r.To.Sub(r.From).Minutes(); span > 0 {
		r.CallsPerMinute, r.ErrorsPerMinute = float64(r.Calls)/span, float64(r.Errors)/span
	}
	if r.Calls > 0 {
		r.ThrottledShare = float64(r.Throttled) / float64(r.Calls)
	}
	if !last.at.IsZero() {
		r.Remaining = new(last.remaining)
	}
}

// WriteText writes the report for people: the totals, and the ten most expensive
// routes.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Canvas API usage, %s to %s\n", r.From.Format("2006-01-02 15:04"), r.To.Format("15:04 MST"))
	fmt.Fprintf(&b, "calls      %d (%.1f a minute)\n", r.Calls, r.CallsPerMinute)
	fmt.Fprintf(&b, "errors     %d (%.1f a minute)", r.Errors, r.ErrorsPerMinute)
	for _, name := range slices.Sorted(maps.Keys(r.Statuses)) {
		fmt.Fprintf(&b, ", %s: %d", name, r.Statuses[name])
	}
	fmt.Fprintf(&b, "\nthrottled  %d (%.1f %% of the calls)\n", r.Throttled, r.ThrottledShare*100)
	fmt.Fprintf(&b, "cost       %.1f units, %.1f s waited for the bucket\n", r.Cost, r.WaitedSeconds)
	if r.Remaining != nil {
		fmt.Fprintf(&b, "remaining  %.0f units", *r.Remaining)
		if r.Lowest != nil {
			fmt.Fprintf(&b, ", %.0f at the lowest", *r.Lowest)
		}
		b.WriteByte('\n')
	}
	if len(r.Routes) > 0 {
		table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprint(table, "cost\tshare\tcalls\terrors\tthrottled\tmean\t  route\n")
		for _, t := range r.Routes[:min(10, len(r.Routes))] {
			fmt.Fprintf(table, "%.1f\t%.0f %%\t%d\t%d\t%d\t%.0f ms\t  %s\n", t.Cost, t.Share*100, t.Calls, t.Errors, t.Throttled, t.MeanMilliseconds, t.Route)
		}
		if err := table.Flush(); err != nil {
			return err
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
