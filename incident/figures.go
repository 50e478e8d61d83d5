package incident

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A FigureQuery chooses the incidents that figures are about: those that were triggered in
// a period.
type FigureQuery struct {
	// From is the first moment, To the first one after the period. Zero To means now.
	// From is required.
	From, To time.Time
	// Environment is that of the incidents, if it is not empty.
	Environment string
}

// Figures say how incidents of a period went.
type Figures struct {
	// From and To are the period in which the incidents were triggered.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Severities are the figures for each severity that there was, the worst first, by the
	// severity that an incident has now. Exercises are the same for exercises, which are
	// counted nowhere else.
	Severities []SeverityFigures `json:"severities"`
	Exercises  []SeverityFigures `json:"exercises,omitempty"`
}

// SeverityFigures are those of the incidents of one severity.
type SeverityFigures struct {
	// Severity is the severity.
	Severity alert.Severity `json:"severity"`
	// Incidents is how many there were, without those that were merged into another one
	// or cancelled, which are counted in Merged and Cancelled and in nothing else. Open is
	// how many of them go on. Reopened is how many were reopened.
	Incidents int `json:"incidents"`
	Open      int `json:"open"`
	Merged    int `json:"merged"`
	Cancelled int `json:"cancelled"`
	Reopened  int `json:"reopened"`
	// Times are how long it took, by the clock on the wall. Business are the same in
	// working time; nil for a severity whose SLA has no calendar.
	Times    CourseTimes  `json:"times"`
	Business *CourseTimes `json:"business,omitempty"`
	// Waited is how long runs of playbooks waited for people, of the incidents in which
	// they did: approvals above all. That time is contained in Times; it says how much of
	// them nothing was done but waiting for a person.
	Waited Spread `json:"waited"`
	// Attainment is how the promised times were kept, by kind of clock.
	Attainment map[ClockKind]Attainment `json:"attainment"`
	// Escalated is how many incidents had a level called after the first, and Escalations
	// how many levels were called in all.
	Escalated   int `json:"escalated"`
	Escalations int `json:"escalations"`
}

// CourseTimes are how long things took from the first trigger on.
type CourseTimes struct {
	// Acknowledge is until somebody first took care, of those incidents in which somebody
	// said so. Mitigate is until users were no longer hurt for good; where nobody said so
	// before the end it is that. Resolve is until it was over for good.
	Acknowledge Spread `json:"acknowledge"`
	Mitigate    Spread `json:"mitigate"`
	Resolve     Spread `json:"resolve"`
}

// A Spread is a number of durations. In JSON they are written as "1m30s".
type Spread struct {
	// Count is how many there are. Without any the others are zero.
	Count int
	// Mean is the mean, to the second. P50 and P90 are the durations that a half, and nine of ten, do not
	// exceed: each is one of the durations.
	Mean, P50, P90 time.Duration
}

// MarshalJSON writes the durations in words.
func (s Spread) MarshalJSON() ([]byte, error) {
	return marshalData(struct {
		Count int      `json:"count"`
		Mean  Interval `json:"mean"`
		P50   Interval `json:"p50"`
		P90   Interval `json:"p90"`
	}{s.Count, Interval(s.Mean), Interval(s.P50), Interval(s.P90)}), nil
}

// Attainment is how a promised time was kept.
type Attainment struct {
	// Kept is in how many incidents it was in time, Missed in how many it was not, or is
	// not by now. Running is in how many the time still runs.
	Kept    int `json:"kept"`
	Missed  int `json:"missed"`
	Running int `json:"running"`
	// Breaches is how often a time was over, as the timelines say: also a time that was
	// set by another severity at that moment, and each time that people were not told
	// anything for too long.
	Breaches int `json:"breaches"`
}

// Share returns the part in which the time was kept, from 0 to 1, of those that are
// decided; 1 if none is.
func (a Attainment) Share() float64 {
	if a.Kept+a.Missed == 0 {
		return 1
	}
	return float64(a.Kept) / float64(a.Kept+a.Missed)
}

// spreadOf returns the spread of durations, by the nearest rank. It sorts them.
func spreadOf(list []time.Duration) Spread {
	if len(list) == 0 {
		return Spread{}
	}
	slices.Sort(list)
	var sum float64
	for _, d := range list {
		sum += float64(d)
	}
	rank := func(percent int) time.Duration { return list[max(0, (len(list)*percent+99)/100-1)] }
	mean := time.Duration(sum / float64(len(list))).Round(time.Second)
	return Spread{Count: len(list), Mean: mean, P50: rank(50), P90: rank(90)}
}

// Figures returns how the incidents went that were triggered in a period. They come from
// the timelines, and so does what is past of an incident that was reopened.
func (m *Manager) Figures(ctx context.Context, q FigureQuery) (Figures, error) {
	now := m.now()
	if q.To.IsZero() {
		q.To = now
	}
	if q.From.IsZero() || !q.From.Before(q.To) {
		return Figures{}, fmt.Errorf("incident: figures: From is required, and must be before To")
	}
	real, exercises := make(map[alert.Severity]*tally), make(map[alert.Severity]*tally)
	// What was triggered in the period was recorded, and so changed, after it began.
	for inc, err := range m.Incidents(ctx, IncidentQuery{Environment: q.Environment, Since: q.From}) {
		if err != nil {
			return Figures{}, fmt.Errorf("incident: figures: %w", err)
		}
		if inc.Triggered.Before(q.From) || !inc.Triggered.Before(q.To) {
			continue
		}
		tallies := real
		if inc.Simulated {
			tallies = exercises
		}
		t := tallies[inc.Severity]
		if t == nil {
			t = newTally(inc.Severity, m.sla(inc.Severity).Calendar)
			tallies[inc.Severity] = t
		}
		course, err := followCourse(m.Timeline(ctx, inc.ID, 0))
		if err != nil {
			return Figures{}, fmt.Errorf("incident: figures: %s: %w", inc.ID, err)
		}
		t.add(inc, course, now)
	}
	return Figures{From: q.From, To: q.To, Severities: figuresOf(real), Exercises: figuresOf(exercises)}, nil
}

func figuresOf(tallies map[alert.Severity]*tally) []SeverityFigures {
	list := make([]SeverityFigures, 0, len(tallies))
	for _, s := range slices.Sorted(maps.Keys(tallies)) {
		list = append(list, tallies[s].figures())
	}
	return list
}

// A course is what the timeline of an incident says of how it went.
type course struct {
	acknowledged time.Time // first
	mitigated    time.Time // last, and not taken back
	resolved     time.Time // last, and not taken back
	waited       time.Duration
	breaches     map[ClockKind]int
	levels       int // that were called
	highest      int
}

// followCourse reads a timeline.
func followCourse(entries iter.Seq2[Entry, error]) (course, error) {
	c := course{breaches: make(map[ClockKind]int)}
	for e, err := range entries {
		if err != nil {
			return c, err
		}
		data := readEntryData(e)
		switch e.Kind {
		case entryAcknowledged:
			if c.acknowledged.IsZero() {
				c.acknowledged = e.At
			}
		case entryMitigated:
			c.mitigated = e.At
		case entryUnmitigated:
			c.mitigated = time.Time{}
		case entryResolved:
			c.resolved = e.At
			if c.mitigated.IsZero() {
				c.mitigated = e.At
			}
		case entryReopened:
			c.mitigated, c.resolved = time.Time{}, time.Time{}
		case entryClock:
			if data.Clock != nil && data.Percent >= 100 {
				c.breaches[data.Clock.Kind]++
			}
		case entryEscalated:
			if data.Level > 0 {
				c.levels++
				c.highest = max(c.highest, data.Level)
			}
		case string(EventAsked), string(EventDecided):
			if data.Waited > 0 && data.Waited < math.MaxInt32 {
				c.waited += time.Duration(data.Waited * float64(time.Second))
			}
		}
	}
	return c, nil
}

// A tally counts the incidents of a severity.
type tally struct {
	out            SeverityFigures
	calendar       Calendar
	wall, business [3][]time.Duration // acknowledge, mitigate, resolve
	waited         []time.Duration
}

func newTally(s alert.Severity, calendar Calendar) *tally {
	return &tally{out: SeverityFigures{Severity: s, Attainment: make(map[ClockKind]Attainment)}, calendar: calendar}
}

// add counts an incident.
func (t *tally) add(inc Incident, c course, now time.Time) {
	switch inc.State {
	case Merged:
		t.out.Merged++
		return
	case Cancelled:
		t.out.Cancelled++
		return
	}
	t.out.Incidents++
	if inc.State.Open() {
		t.out.Open++
	}
	if inc.Reopens > 0 {
		t.out.Reopened++
	}
	for i, at := range []time.Time{c.acknowledged, c.mitigated, c.resolved} {
		if at.IsZero() {
			continue
		}
		t.wall[i] = append(t.wall[i], max(0, at.Sub(inc.Triggered)))
		if t.calendar != nil {
			t.business[i] = append(t.business[i], t.calendar.BusinessTime(inc.Triggered, at))
		}
	}
	if c.waited > 0 {
		t.waited = append(t.waited, c.waited)
	}
	t.out.Escalations += c.levels
	if c.highest > 1 {
		t.out.Escalated++
	}
	for _, clock := range inc.Clocks {
		a := t.out.Attainment[clock.Kind]
		switch {
		case clock.Missed(now):
			a.Missed++
		case !clock.Stopped.IsZero():
			a.Kept++
		default:
			a.Running++
		}
		t.out.Attainment[clock.Kind] = a
	}
	for kind, n := range c.breaches {
		a := t.out.Attainment[kind]
		a.Breaches += n
		t.out.Attainment[kind] = a
	}
}

func (t *tally) figures() SeverityFigures {
	times := func(list [3][]time.Duration) CourseTimes {
		return CourseTimes{Acknowledge: spreadOf(list[0]), Mitigate: spreadOf(list[1]), Resolve: spreadOf(list[2])}
	}
	t.out.Times, t.out.Waited = times(t.wall), spreadOf(t.waited)
	if t.calendar != nil {
		business := times(t.business)
		t.out.Business = &business
	}
	return t.out
}
