package statuspage

import (
	"context"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

const (
	daysShown  = 90
	hoursShown = 72 // as long as a History has to keep them
)

// spent is how long something was in each state, by health.Status.
type spent = [health.Maintenance + 1]time.Duration

// A past is what the History says of all components. It is never changed.
type past struct {
	read, whole time.Time         // when it was read, and when the last time in full
	days, hours [][]health.Bucket // of each component, oldest first
	bars        [][]day           // of each component, the last 90 days
}

// readPast reads the History: the newest days and hours, and all of them now and
// then and at first.
func (p *Page) readPast(ctx context.Context, last *past) (*past, error) {
	now := time.Now()
	n := len(p.cfg.Components)
	next := &past{read: now, days: make([][]health.Bucket, n), hours: make([][]health.Bucket, n), bars: make([][]day, n)}
	midnights := p.midnights(now)
	firstHour := now.Add(-hoursShown * time.Hour).Truncate(time.Hour)
	fromDay, fromHour := midnights[0], firstHour
	if last != nil && now.Sub(last.whole) < time.Hour {
		next.whole = last.whole
		fromDay = p.midnight(last.read.Add(-time.Hour), 0)
		fromHour = last.read.Add(-time.Hour).Truncate(time.Hour)
	} else {
		next.whole, last = now, nil
	}
	intervals := make(map[string]time.Duration)
	for _, s := range p.cfg.Monitor.Snapshot().Checks {
		intervals[s.Name] = s.Interval
	}
	for i, c := range p.cfg.Components {
		days, err := p.buckets(ctx, c.Checks, health.Daily, fromDay, now)
		if err != nil {
			return nil, err
		}
		hours, err := p.buckets(ctx, c.Checks, health.Hourly, fromHour, now)
		if err != nil {
			return nil, err
		}
		if last != nil {
			days, hours = replaced(last.days[i], days), replaced(last.hours[i], hours)
		}
		next.days[i], next.hours[i] = after(days, midnights[0]), after(hours, firstHour)
		slack := 15 * time.Minute // what the newest sample may lag
		for _, check := range c.Checks {
			slack = max(slack, 2*intervals[check])
		}
		next.bars[i] = bars(next.days[i], len(c.Checks), midnights, now, slack)
	}
	return next, nil
}

// midnight returns the first instant of a day, some days after that of t.
func (p *Page) midnight(t time.Time, days int) time.Time {
	year, month, day := t.In(p.cfg.Location).Date()
	return time.Date(year, month, day+days, 0, 0, 0, 0, p.cfg.Location)
}

// midnights returns where the last 90 days begin, and where the last of them ends.
func (p *Page) midnights(now time.Time) []time.Time {
	all := make([]time.Time, daysShown+1)
	for i := range all {
		all[i] = p.midnight(now, i+1-daysShown)
	}
	return all
}

// buckets returns days or hours of some checks together.
func (p *Page) buckets(ctx context.Context, checks []string, r health.Resolution, from, to time.Time) ([]health.Bucket, error) {
	var sums []health.Bucket
	for _, check := range checks {
		found, err := p.cfg.History.Buckets(ctx, check, r, from, to)
		if err != nil {
			return nil, err
		}
		for _, b := range found {
			b.Start = p.start(b.Start, r)
			if i, found := search(sums, b.Start); found {
				sums[i].Merge(&b)
			} else {
				sums = slices.Insert(sums, i, b)
			}
		}
	}
	return sums, nil
}

// start returns the day or hour that a bucket is of. A day is known by its noon, so
// that a History in another zone is not a day off.
func (p *Page) start(t time.Time, r health.Resolution) time.Time {
	if r == health.Daily {
		return p.midnight(t.Add(12*time.Hour), 0)
	}
	return t.In(p.cfg.Location)
}

// search returns the place of a time among buckets.
func search(all []health.Bucket, t time.Time) (int, bool) {
	return slices.BinarySearchFunc(all, t, func(b health.Bucket, t time.Time) int { return b.Start.Compare(t) })
}

// replaced returns old buckets with newer ones from where these begin.
func replaced(old, newer []health.Bucket) []health.Bucket {
	if len(newer) == 0 {
		return old
	}
	i, _ := search(old, newer[0].Start)
	return append(slices.Clone(old[:i]), newer...)
}

// after returns the buckets that do not begin before t.
func after(all []health.Bucket, t time.Time) []health.Bucket {
	i, _ := search(all, t)
	return all[i:]
}

// A kind is what a day was like.
type kind uint8

// The kinds of days.
const (
	noData     kind = iota // nothing is known
	incomplete             // it worked as far as is known, and for more than 1 % nothing is
	upDay
	maintained
	degradedDay
	outageDay
)

// Words returns the kind for people.
func (k kind) Words() string {
	return [...]string{"No data", "Operational, data incomplete", "Operational", "Maintenance", "Degraded", "Outage"}[k]
}

// A day is one bar.
type day struct {
	Date    time.Time
	Kind    kind
	In      spent
	Missing time.Duration // of which nothing is known
}

// Uptime returns the share of the time in which it worked, as health has it.
func (d day) Uptime() (float64, bool) { return uptime(d.In) }

func uptime(in spent) (float64, bool) {
	b := health.Bucket{In: in}
	return b.Uptime()
}

// bars returns the last 90 days up to now, oldest first. checks is how many checks
// the buckets are of: their times are averaged.
func bars(buckets []health.Bucket, checks int, midnights []time.Time, now time.Time, slack time.Duration) []day {
	days := make([]day, daysShown)
	for i := range days {
		start, end := midnights[i], midnights[i+1]
		today := end.After(now)
		if today {
			end = now
		}
		d := day{Date: start}
		var known time.Duration
		if at, found := search(buckets, start); found {
			for s, in := range buckets[at].In {
				d.In[s] = in / time.Duration(checks)
				if health.Status(s) != health.Unknown {
					known += d.In[s]
				}
			}
		}
		d.Missing = max(0, end.Sub(start)-known)
		if today && d.Missing <= slack {
			d.Missing = 0
		}
		d.Kind = kindOf(d.In, known, d.Missing)
		days[i] = d
	}
	return days
}

func kindOf(in spent, known, missing time.Duration) kind {
	much := known / 100
	switch {
	case known <= 0:
		return noData
	case in[health.Unhealthy] > 0:
		return outageDay
	case in[health.Degraded] > much:
		return degradedDay
	case in[health.Maintenance] > much:
		return maintained
	case missing > (known+missing)/100:
		return incomplete
	}
	return upDay
}

// A record sums up 90 days.
type record struct {
	Share      float64 // of the time in which it worked
	Counted    bool    // whether any time counts
	Measured   int     // days of which something is known
	Outages    int     // days with an outage
	Last       day     // the last of these
	Incomplete int     // days that worked as far as is known
}

func recordOf(days []day) record {
	var r record
	var sum spent
	for _, d := range days {
		for s := range sum {
			sum[s] += d.In[s]
		}
		if d.Kind != noData {
			r.Measured++
		}
		if d.Kind == outageDay {
			r.Outages++
			r.Last = d
		}
		if d.Kind == incomplete {
			r.Incomplete++
		}
	}
	r.Share, r.Counted = uptime(sum)
	return r
}

// responses returns the response times of the last day: the median, and that within
// which 95 % lie.
func responses(hours []health.Bucket, now time.Time) (median, p95 time.Duration) {
	var sum health.Latencies
	for _, h := range after(hours, now.Add(-25*time.Hour)) {
		sum.Merge(&h.Latencies)
	}
	return sum.Quantile(0.5), sum.Quantile(0.95)
}
