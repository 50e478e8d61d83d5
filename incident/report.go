package incident

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"
)

// ReportConfig says what is in a report. The zero value is a report in UTC without the
// steps of runs.
type ReportConfig struct {
	// Zone is the zone of the times in the document. Nil means that of the manager.
	Zone *time.Location
	// Run returns a run that is attached to the incident: the method Run of a [Runner].
	// Nil leaves out what runs did beyond what is on the timeline.
	Run func(ctx context.Context, id string) (Run, error)
}

// A Report is what is left of an incident for those who look back at it. It is made of
// what was recorded: nobody has to write it, and it says the same each time. As JSON it is
// for programs; see [Report.Markdown] for people.
type Report struct {
	// Incident is the incident as it is now. Final means that it was reviewed.
	Incident Incident `json:"incident"`
	Final    bool     `json:"final"`
	// Zone is the zone of the times in the document, Made when it was made.
	Zone string    `json:"zone"`
	Made time.Time `json:"made"`
	// Impact is when users were hurt, and what was affected.
	Impact ReportImpact `json:"impact"`
	// Times are how long it took, and what was promised.
	Times ReportTimes `json:"times"`
	// Timeline is all that happened, in the order of time.
	Timeline []Entry `json:"timeline"`
	// Decisions are what people decided. Automatic is what was done without a person.
	Decisions []ReportDecision `json:"decisions,omitempty"`
	Automatic []string         `json:"automatic,omitempty"`
	// Runs are the runs that were attached. Missing are those that could not be read, and
	// why.
	Runs    []Run    `json:"runs,omitempty"`
	Missing []string `json:"missing,omitempty"`
	// Open is what is still to be done: follow-ups that were not finished, and what the
	// record shows to be unfinished.
	Open []string `json:"open,omitempty"`
	// Record says whether the timeline is what was written.
	Record ReportRecord `json:"record"`

	zone *time.Location
}

// ReportImpact is when users were hurt, and what was affected.
type ReportImpact struct {
	// From is the first trigger. To is when users were no longer hurt for good; zero if
	// they may be still. Lasted is the time between, or until the report was made.
	From   time.Time `json:"from"`
	To     time.Time `json:"to,omitzero"`
	Lasted Interval  `json:"lasted"`
	// Affected is what the alerts were about.
	Affected []string `json:"affected,omitempty"`
}

// ReportTimes are how long an incident took.
type ReportTimes struct {
	// Acknowledge, Mitigate and Resolve are since the first trigger; zero if it was not.
	Acknowledge Interval `json:"acknowledge,omitempty"`
	Mitigate    Interval `json:"mitigate,omitempty"`
	Resolve     Interval `json:"resolve,omitempty"`
	// Waited is how much of that runs waited for a person.
	Waited Interval `json:"waited,omitempty"`
	// Clocks are what was promised, and Missed which of it was not kept.
	Clocks []Clock     `json:"clocks,omitempty"`
	Missed []ClockKind `json:"missed,omitempty"`
	// Deadlines are those of the incident, and MissedDeadlines the names of those that were
	// not kept. One that went over to another incident is judged there.
	Deadlines       []Deadline `json:"deadlines,omitempty"`
	MissedDeadlines []string   `json:"missed_deadlines,omitempty"`
}

// A ReportDecision is what somebody decided.
type ReportDecision struct {
	// At is when, Actor who. What is the decision, Why what they said about it.
	At    time.Time `json:"at"`
	Actor string    `json:"actor"`
	What  string    `json:"what"`
	Why   string    `json:"why,omitempty"`
}

// ReportRecord says whether a timeline is what was written.
type ReportRecord struct {
	// Entries is how many entries were read, and Head the hash of the last. Whoever kept
	// it can prove later that nothing was changed before it, but for what was redacted.
	Entries int64  `json:"entries"`
	Head    string `json:"head"`
	// Verified means that each entry is as it was written, and none is missing between
	// them. Problem says what is wrong otherwise; what comes after it is not in the report.
	Verified bool   `json:"verified"`
	Problem  string `json:"problem,omitempty"`
}

// Report returns the report of an incident. A record that was changed is no error: it is
// in the report.
func (m *Manager) Report(ctx context.Context, id string, cfg ReportConfig) (Report, error) {
	inc, err := m.Incident(ctx, id)
	if err != nil {
		return Report{}, err
	}
	if cfg.Zone == nil {
		cfg.Zone = m.cfg.Zone
	}
	r := Report{Incident: inc, Final: inc.State == Reviewed, Zone: cfg.Zone.String(), Made: m.now(), zone: cfg.Zone}
	if err := r.readTimeline(m.Timeline(ctx, id, 0)); err != nil {
		return Report{}, fmt.Errorf("incident: report %s: read the timeline: %w", id, err)
	}
	c, err := followCourse(entriesOf(r.Timeline))
	if err != nil {
		return Report{}, err
	}
	r.measure(c)
	r.decided()
	for _, run := range inc.Runs {
		if cfg.Run == nil {
			continue
		}
		view, err := cfg.Run(ctx, run)
		if err != nil {
			r.Missing = append(r.Missing, fmt.Sprintf("run %s: %v", run, err))
			continue
		}
		r.Runs = append(r.Runs, view)
	}
	r.automatic()
	r.open()
	return r, nil
}

// readTimeline reads a timeline as far as it is as it was written.
func (r *Report) readTimeline(entries iter.Seq2[Entry, error]) error {
	var failed error
	last, err := VerifyChain(func(yield func(Entry, error) bool) {
		for e, err := range entries {
			if err != nil {
				failed = err
				return
			}
			r.Timeline = append(r.Timeline, e)
			if !yield(e, nil) {
				return
			}
		}
	})
	if failed != nil {
		return failed
	}
	r.Record = ReportRecord{Entries: last.Seq, Head: last.Hash, Verified: err == nil}
	if err != nil {
		r.Record.Problem = err.Error()
		r.Timeline = r.Timeline[:len(r.Timeline)-1]
	}
	slices.SortStableFunc(r.Timeline, func(a, b Entry) int { return a.At.Compare(b.At) })
	return nil
}

func entriesOf(list []Entry) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// measure fills in how long it took.
func (r *Report) measure(c course) {
	i := r.Incident
	since := func(t time.Time) Interval {
		if t.IsZero() {
			return 0
		}
		return Interval(max(0, t.Sub(i.Triggered)).Round(time.Second))
	}
	r.Times = ReportTimes{
		Acknowledge: since(c.acknowledged), Mitigate: since(c.mitigated), Resolve: since(c.resolved),
		Waited: Interval(c.waited.Round(time.Second)), Clocks: i.Clocks, Deadlines: i.Deadlines,
	}
	for _, l := range i.Deadlines {
		if l.Missed(r.Made) {
			r.Times.MissedDeadlines = append(r.Times.MissedDeadlines, l.Name)
		}
	}
	for _, clock := range i.Clocks {
		if clock.Missed(r.Made) {
			r.Times.Missed = append(r.Times.Missed, clock.Kind)
		}
	}
	r.Impact = ReportImpact{From: i.Triggered, To: c.mitigated, Lasted: since(r.Made)}
	if i.State == Merged || i.State == Cancelled {
		r.Impact.To = i.Closed
	}
	if !r.Impact.To.IsZero() {
		r.Impact.Lasted = since(r.Impact.To)
	}
	for _, l := range i.Alerts {
		if what := l.about(); !slices.Contains(r.Impact.Affected, what) {
			r.Impact.Affected = append(r.Impact.Affected, what)
		}
	}
}

// decisions are the kinds of entries by which people decide something.
var decisions = []string{
	entrySeverity, entryMitigated, entryResolved, entryReviewed, entryReopened, entryCancelled, entryMerged, entryTookOver, entryDeadlineSettled,
	string(EventDecided), string(EventControl),
}

// decided collects what people decided.
func (r *Report) decided() {
	for _, e := range r.Timeline {
		if e.Actor != "" && e.Actor != ours.name && slices.Contains(decisions, e.Kind) {
			r.Decisions = append(r.Decisions, ReportDecision{At: e.At, Actor: e.Actor, What: e.Text, Why: readEntryData(e).Comment})
		}
	}
}

// byThemselves are the kinds of entries that say what was done without a person, if it
// was.
var byThemselves = []string{
	entryOpened, entryReopened, entryResolved, entrySeverity, entryExpired, entryUnmitigated, entryEscalated,
}

// automatic collects what was done without a person.
func (r *Report) automatic() {
	for _, e := range r.Timeline {
		if e.Actor == ours.name && slices.Contains(byThemselves, e.Kind) {
			r.Automatic = append(r.Automatic, e.Text)
		}
	}
	for _, run := range r.Runs {
		if !run.Automatic {
			continue
		}
		var did []string
		for _, s := range run.Steps {
			if s.Kind == KindAction && s.State != StepPending && s.State != StepSkipped {
				did = append(did, fmt.Sprintf("%s (%s)", s.Title, s.State))
			}
		}
		text := fmt.Sprintf("playbook %s was begun, run %s", run.Playbook, run.ID)
		if len(did) > 0 {
			text += ": " + strings.Join(did, ", ")
		}
		r.Automatic = append(r.Automatic, text)
	}
}

// open collects what is still to be done.
func (r *Report) open() {
	i := r.Incident
	add := func(when bool, format string, args ...any) {
		if when {
			r.Open = append(r.Open, fmt.Sprintf(format, args...))
		}
	}
	add(i.State.Open(), "the incident is %s, and not over", i.State)
	for _, l := range i.OpenDeadlines() {
		add(true, "a deadline is open: %s: %s", l.Line(r.Made, r.zone), l.What)
	}
	for _, l := range i.Alerts {
		add(l.Ended.IsZero() && i.State != Merged, "an alert still fires: %s", l.about())
	}
	add(i.State == Resolved, "it was not reviewed")
	add(i.Cause == "" && (i.State == Resolved || i.State == Reviewed), "the cause is not known")
	for _, run := range r.Runs {
		over := slices.Contains([]RunState{StateSucceeded, StateFailed, StateUndone, StateCancelled}, run.State)
		add(!over, "run %s of playbook %s is %s", run.ID, run.Playbook, run.State)
		add(run.Attention != "", "run %s of playbook %s: %s", run.ID, run.Playbook, run.Attention)
	}
	for _, missing := range r.Missing {
		add(true, "it could not be read for this report: %s", missing)
	}
	add(!r.Record.Verified, "the record was changed: %s", r.Record.Problem)
	for _, f := range i.FollowUps {
		if !f.Done.IsZero() {
			continue
		}
		text := f.Text
		for _, more := range []struct{ what, value string }{{"by ", f.Owner}, {"ticket ", f.Ticket}} {
			if more.value != "" {
				text += ", " + more.what + more.value
			}
		}
		if !f.Due.IsZero() {
			text += ", until " + f.Due.In(r.zone).Format("2 Jan 2006")
		}
		add(true, "%s", text)
	}
}
