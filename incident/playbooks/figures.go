package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// A Figure is a number of a report, with what it was made of. One of which that is not
// said is not reported as a number.
type Figure struct {
	// Name says what it is: "uptime of the application".
	Name string `json:"name"`
	// Value is the number, Unit what it is in: "%", "s"; empty means that it is a count.
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	// Source is where what it was made of is stored: "history of check app, by the day".
	// Samples is how many stored samples it was made of, and Of what they are: "samples",
	// which is what empty means, "days". First and Last are the times of the first and the
	// last of them.
	Source  string    `json:"source"`
	Samples int       `json:"samples"`
	Of      string    `json:"of,omitempty"`
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
}

// traced returns what keeps the figure from being reported, or nil.
func (f Figure) traced() error {
	switch {
	case math.IsNaN(f.Value) || math.IsInf(f.Value, 0):
		return errors.New("it is no number")
	case f.Source == "" || f.First.IsZero() || f.Last.Before(f.First):
		return errors.New("it is not said of which stored samples it was made")
	case f.Samples <= 0:
		return errors.New("there are no samples of it")
	}
	return nil
}

// A FigureSource returns the figures of a span of time, from the first moment to the first
// one after it, of samples that are stored: see [HistoryFigures], and
// incident.Manager.Figures for those of incidents. It may be called concurrently.
type FigureSource func(ctx context.Context, from, to time.Time) ([]Figure, error)

// HistoryFigures are the figures of checks, from the history that a health.Monitor keeps:
// the uptime, the response time and how often each was down.
func HistoryFigures(history health.History, checks ...string) FigureSource {
	return func(ctx context.Context, from, to time.Time) (all []Figure, err error) {
		for _, check := range checks {
			buckets, err := history.Buckets(ctx, check, health.Daily, from, to)
			if err != nil {
				return nil, err
			}
			spells, err := history.Spells(ctx, check, from, to)
			if err != nil {
				return nil, err
			}
			all = append(all, checkFigures(check, buckets, spells)...)
		}
		return all, nil
	}
}

// checkFigures are those of one check.
func checkFigures(check string, buckets []health.Bucket, spells []health.Spell) []Figure {
	base := Figure{Source: "history of check " + check + ", by the day", Samples: len(buckets), Of: "days"}
	var sum health.Bucket
	for i := range buckets {
		if i == 0 {
			base.First = buckets[i].Start
		}
		base.Last = buckets[i].Start
		sum.Merge(&buckets[i])
	}
	figure := func(name string, value float64, unit string) Figure {
		f := base
		f.Name, f.Value, f.Unit = name, value, unit
		return f
	}
	uptime, counted := sum.Uptime()
	if !counted {
		base.Samples = 0
	}
	all := []Figure{figure("uptime of "+check, 100*uptime, "%"), figure("times that "+check+" was down", float64(len(spells)), "")}
	if p95 := sum.Latencies.Quantile(0.95); p95 > 0 {
		all = append(all, figure("response time of "+check+", 95 of 100", p95.Seconds(), "s"))
	}
	return all
}

// summed says how the points of metrics of the platform become figures.
var summed = []struct {
	metric incident.Metric
	name   string
	unit   string
	scale  float64
	total  bool // the sum of the points, else the largest
}{
	{incident.MetricRequests, "requests", "", 1, true},
	{incident.MetricErrors, "answers of 500 and above", "", 1, true},
	{incident.MetricLatencyP95, "highest response time, 95 of 100", "s", 1, false},
	{incident.MetricCPU, "highest use of processors", "cores", 1, false},
	{incident.MetricMemory, "highest use of memory", "MB", 1e-6, false},
}

// metricFigures returns the figures of what the platform measures of the service. A metric
// that it does not measure is left out; another error is one of them all.
func (e Environment) metricFigures(ctx context.Context, from, to time.Time) (all []Figure, err error) {
	counts := make(map[incident.Metric]Figure)
	for _, m := range summed {
		// One metric in each call: of several, one that is not measured fails them all.
		series, err := e.Metrics.Metrics(ctx, incident.MetricQuery{Metrics: []incident.Metric{m.metric}, From: from, To: to})
		if errors.Is(err, incident.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		f := Figure{Name: m.name, Unit: m.unit, Source: "metrics of the platform, " + string(m.metric)}
		for _, s := range series {
			for _, p := range s.Points {
				f.count(p, m.total, m.scale)
			}
		}
		counts[m.metric] = f
		all = append(all, f)
	}
	requests, failed := counts[incident.MetricRequests], counts[incident.MetricErrors]
	if requests.Value > 0 && failed.Samples > 0 {
		share := requests
		share.Name, share.Unit, share.Value = "share of answers of 500 and above", "%", 100*failed.Value/requests.Value
		share.Source = "metrics of the platform, errors and requests"
		all = append(all, share)
	}
	return all, nil
}

// count adds a point.
func (f *Figure) count(p incident.Point, total bool, scale float64) {
	if total {
		f.Value += scale * p.Value
	} else if v := scale * p.Value; f.Samples == 0 || v > f.Value {
		f.Value = v
	}
	f.Samples++
	if f.First.IsZero() || p.Time.Before(f.First) {
		f.First = p.Time
	}
	if p.Time.After(f.Last) {
		f.Last = p.Time
	}
}

// Period is a span of time that is reported, and the one that it is compared with.
type Period struct {
	// From is the first moment of it, To the first one after it.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// BeforeFrom and BeforeTo are those of the other one.
	BeforeFrom time.Time `json:"before_from"`
	BeforeTo   time.Time `json:"before_to"`
}

// Reckoned are the figures of a period.
type Reckoned struct {
	// Now are the figures of the period, Before those of the one before.
	Now    []Figure `json:"now,omitempty"`
	Before []Figure `json:"before,omitempty"`
	// NotTold says which figures there are not, and why.
	NotTold []string `json:"not_told,omitempty"`
}

// mostFigures is how many figures a step keeps of a period.
const mostFigures = 60

// reckon is a step that gets the figures of the period that another step found, from the
// metrics of the platform and from sources.
func (e Environment) reckon(id, period string, sources []FigureSource) incident.Step {
	return incident.Step{
		ID: id, Title: "Get the figures, with the samples that they were made of", Timeout: 3 * time.Minute, OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			p, ok := incident.Result[Period](s, period)
			if !ok {
				return nil, incident.Final(errors.New("the period is not known"))
			}
			var r Reckoned
			r.Now = r.gather(ctx, e, sources, p.From, p.To)
			told := len(r.NotTold)
			r.Before = r.gather(ctx, e, sources, p.BeforeFrom, p.BeforeTo)
			r.NotTold = r.NotTold[:told] // what cannot be compared shows where it is missing
			return r, ctx.Err()
		}},
	}
}

// gather returns the figures of a span that are traced to samples.
func (r *Reckoned) gather(ctx context.Context, e Environment, sources []FigureSource, from, to time.Time) (traced []Figure) {
	if e.Metrics != nil {
		sources = append([]FigureSource{e.metricFigures}, sources...)
	}
	for i, source := range sources {
		all, err := source(ctx, from, to)
		if err != nil {
			r.NotTold = append(r.NotTold, cut(fmt.Sprintf("source %d of figures: %v", i+1, err), 300))
			continue
		}
		for _, f := range all {
			switch err := f.traced(); {
			case err != nil:
				r.NotTold = append(r.NotTold, cut(f.Name, 120)+": "+err.Error())
			case len(traced) < mostFigures:
				f.Name, f.Source, f.Of = cut(f.Name, 120), cut(f.Source, 160), cut(f.Of, 40)
				traced = append(traced, f)
			}
		}
	}
	r.NotTold = r.NotTold[:min(len(r.NotTold), mostFigures)]
	return traced
}

// lines returns the figures for people, each with what it was made of.
func (r Reckoned) lines(e Environment) (all []string) {
	for _, f := range r.Now {
		before := "there is nothing to compare it with"
		if i := slices.IndexFunc(r.Before, func(b Figure) bool { return b.Name == f.Name && b.Source == f.Source }); i >= 0 {
			before = "before: " + r.Before[i].number()
		}
		all = append(all, fmt.Sprintf("%s: %s (%s), of %d %s from %s to %s: %s",
			f.Name, f.number(), before, f.Samples, cmp.Or(f.Of, "samples"), e.stamp(f.First), e.stamp(f.Last), f.Source))
	}
	for _, n := range r.NotTold {
		all = append(all, "not told: "+n)
	}
	if len(all) == 0 {
		all = append(all, "there are no figures")
	}
	return all
}

// number writes the value with its unit.
func (f Figure) number() string {
	text := strings.TrimSuffix(fmt.Sprintf("%.2f", f.Value), ".00")
	if f.Unit != "" {
		text += " " + f.Unit
	}
	return text
}

// figuresOf returns the figures that a step got.
func figuresOf(s *incident.Scope, step string) Reckoned {
	r, ok := incident.Result[Reckoned](s, step)
	if !ok {
		o, _ := s.Outcome(step)
		r.NotTold = []string{"the figures could not be got: " + o.Message}
	}
	return r
}

// needsFigures is the need of something that figures come from.
func (e Environment) needsFigures(sources []FigureSource) incident.Need {
	return incident.Need{Name: "Metrics, or a source of figures", Met: e.Metrics != nil || len(sources) > 0}
}

// midnight returns the beginning of a day, days after that of a time, in the zone of the
// people: on a day on which the clocks change it is 23 or 25 hours from the next.
func (e Environment) midnight(of time.Time, days int) time.Time {
	zone := e.Zone
	if zone == nil {
		zone = time.UTC
	}
	y, m, d := of.In(zone).Date()
	return time.Date(y, m, d+days, 0, 0, 0, 0, zone)
}
