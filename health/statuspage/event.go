package statuspage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Events are what a host announces. What cannot be shown as it is given is shown as
// well as it can be, logged, and told on the private page: an announcement with a
// mistake in it is better than none.
type Events struct {
	// Incidents are those that are open and those that were, in any order. The
	// newest 50 are shown.
	Incidents []Incident
	// Maintenance is what is planned, under way and over, in any order. The latest
	// 50 are shown.
	Maintenance []Maintenance
}

// An Incident is something that went wrong, as the host tells people.
type Incident struct {
	// ID stands in its address; see [Component.ID]. Required, unique among all
	// events, and never given to another.
	ID string
	// Title is one line. Required.
	Title string
	// Impact is how bad it is. Empty means what the worst of Components says, or
	// ImpactMinor if none says anything.
	Impact Impact
	// Components has, by their IDs, the components that are affected. While the
	// incident is open, each is shown at least as bad as is said here.
	Components map[string]Condition
	// Updates are what was said about it, in any order. At least one is required:
	// the latest says how far it is.
	Updates []Update
}

// A Maintenance is work that is announced.
type Maintenance struct {
	// ID stands in its address; see [Incident.ID]. Required.
	ID string
	// Title is one line. Required.
	Title string
	// From and Until are when it is planned for. Required.
	From, Until time.Time
	// Components are the IDs of the components that are affected. While it is under
	// way, they are shown in maintenance, whatever was measured.
	Components []string
	// Updates are what was said about it, in any order, or none. As long as the
	// latest does not say more than Scheduled, it begins and ends by the clock.
	Updates []Update
}

// An Update is what was said at one time.
type Update struct {
	// Time is when it was said. Required.
	Time time.Time
	// Phase is how far it was then.
	Phase Phase
	// Text is a plain text; line breaks are kept.
	Text string
}

// A Phase is how far an incident or a maintenance is, in the words of Statuspage.
type Phase string

// The phases of an incident.
const (
	Investigating Phase = "investigating"
	Identified    Phase = "identified"
	Monitoring    Phase = "monitoring"
	Resolved      Phase = "resolved"
	Postmortem    Phase = "postmortem" // a report on an incident that is resolved
)

// The phases of a maintenance.
const (
	Scheduled  Phase = "scheduled"
	InProgress Phase = "in_progress"
	Verifying  Phase = "verifying"
	Completed  Phase = "completed"
)

// Words returns the phase for people.
func (p Phase) Words() string {
	switch p {
	case Investigating:
		return "Investigating"
	case Identified:
		return "Cause identified"
	case Monitoring:
		return "Repaired, being watched"
	case Resolved:
		return "Resolved"
	case Postmortem:
		return "Report"
	case Scheduled:
		return "Planned"
	case InProgress:
		return "Under way"
	case Verifying:
		return "Being verified"
	case Completed:
		return "Completed"
	default:
		return "Update"
	}
}

// of reports whether p is a phase of a maintenance, or of an incident.
func (p Phase) of(planned bool) bool {
	if planned {
		return p == Scheduled || p == InProgress || p == Verifying || p == Completed
	}
	return p == Investigating || p == Identified || p == Monitoring || p == Resolved || p == Postmortem
}

// over reports whether nothing more is to come.
func (p Phase) over() bool { return p == Resolved || p == Postmortem || p == Completed }

// What is shown of events.
const (
	eventsKept  = 50 // of incidents and of maintenance, as Statuspage does
	updatesKept = 50 // of one event
	pastDays    = 14 // on the page itself
)

// An event is an Incident or a Maintenance, ready to be shown.
type event struct {
	ID, Title  string
	Planned    bool
	Phase      Phase
	Impact     Impact
	From       time.Time // planned
	Until      time.Time // planned
	Began      time.Time
	Ended      time.Time // zero while it is open
	Changed    time.Time
	Components []affected
	Updates    []update // newest first
}

// An affected is a component that an event names.
type affected struct {
	ID, Name  string
	Condition Condition
}

type update struct {
	ID    string
	Time  time.Time
	Phase Phase
	Text  string
}

// open reports whether it is not over.
func (e event) open() bool { return !e.Phase.over() }

// active reports whether it is going on.
func (e event) active() bool { return e.open() && e.Phase != Scheduled }

// last returns when it was last going on: where it stands in a list.
func (e event) last() time.Time {
	if e.Planned {
		return e.From
	}
	return e.Began
}

// A schedule turns what a host announces into events.
type schedule struct {
	now      time.Time
	zone     *time.Location
	names    map[string]string // of components, by ID
	seen     map[string]bool
	problems []string
}

// arrange returns the events, the latest first, and what is wrong with them.
func arrange(all Events, names map[string]string, now time.Time, zone *time.Location) ([]event, []string) {
	s := schedule{now: now, zone: zone, names: names, seen: make(map[string]bool)}
	incidents := make([]event, 0, len(all.Incidents))
	for i, in := range all.Incidents {
		if e, ok := s.incident(i, in); ok {
			incidents = append(incidents, e)
		}
	}
	planned := make([]event, 0, len(all.Maintenance))
	for i, m := range all.Maintenance {
		if e, ok := s.maintenance(i, m); ok {
			planned = append(planned, e)
		}
	}
	events := append(latest(incidents), latest(planned)...)
	slices.SortStableFunc(events, later)
	return events, s.problems
}

func later(a, b event) int {
	return cmp.Or(b.last().Compare(a.last()), cmp.Compare(b.ID, a.ID))
}

// latest returns those that are shown: what is open comes first.
func latest(events []event) []event {
	slices.SortStableFunc(events, func(a, b event) int {
		if a.open() != b.open() {
			if a.open() {
				return -1
			}
			return 1
		}
		return later(a, b)
	})
	return events[:min(len(events), eventsKept)]
}

func (s *schedule) wrong(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

// head checks what all events have. Without an ID of its own an event cannot be
// shown.
func (s *schedule) head(kind string, i int, id, title string) (event, bool) {
	switch {
	case !validID(id):
		s.wrong("%s %d is not shown: its ID must be at most %d letters, digits, dots, dashes and underscores", kind, i+1, maxID)
		return event{}, false
	case s.seen[id]:
		s.wrong("%s %d is not shown: another event has the ID %q", kind, i+1, id)
		return event{}, false
	}
	s.seen[id] = true
	title = line(title)
	if title == "" {
		title = "No title"
		s.wrong("%s %q has no title", kind, id)
	}
	return event{ID: id, Title: title}, true
}

func (s *schedule) incident(i int, in Incident) (event, bool) {
	e, ok := s.head("incident", i, in.ID, in.Title)
	if !ok {
		return e, false
	}
	if len(in.Updates) == 0 {
		s.wrong("incident %q is not shown: it has no updates", in.ID)
		return e, false
	}
	e.Updates = s.updates("incident", in.ID, in.Updates, false)
	e.Phase = e.Updates[0].Phase
	e.Began, e.Changed = e.Updates[len(e.Updates)-1].Time, e.Updates[0].Time
	for _, u := range e.Updates { // the first resolution after it was open last
		if !u.Phase.over() {
			break
		}
		e.Ended = u.Time
	}
	worst := Operational
	for _, id := range slices.Sorted(maps.Keys(in.Components)) {
		c := in.Components[id]
		if !c.valid() {
			s.wrong("incident %q: %q is not the condition of a component", in.ID, line(string(c)))
			c = Degraded
		}
		if s.affects("incident", &e, id, c) {
			worst = worse(worst, c)
		}
	}
	switch {
	case in.Impact.valid():
		e.Impact = in.Impact
	case in.Impact != "":
		s.wrong("incident %q: %q is not an impact", in.ID, line(string(in.Impact)))
		e.Impact = ImpactMinor
	case len(e.Components) == 0 || worst == UnderMaintenance:
		e.Impact = ImpactMinor
	default:
		e.Impact = impactOf(worst)
	}
	return e, true
}

func (s *schedule) maintenance(i int, m Maintenance) (event, bool) {
	e, ok := s.head("maintenance", i, m.ID, m.Title)
	if !ok {
		return e, false
	}
	if m.From.IsZero() || !m.From.Before(m.Until) {
		s.wrong("maintenance %q is not shown: it needs a begin, and an end after it", m.ID)
		return e, false
	}
	e.Planned, e.Impact = true, impactMaintenance
	e.From, e.Until = s.minute(m.From), s.minute(m.Until)
	e.Began, e.Changed, e.Phase = e.From, e.From, Scheduled
	if len(m.Updates) > 0 {
		e.Updates = s.updates("maintenance", m.ID, m.Updates, true)
		e.Phase, e.Changed = e.Updates[0].Phase, e.Updates[0].Time
	}
	if e.Phase == Scheduled { // nobody says more: the clock decides
		switch {
		case !s.now.Before(m.Until):
			e.Phase, e.Ended = Completed, e.Until
		case !s.now.Before(m.From):
			e.Phase = InProgress
		}
	} else if e.Phase == Completed {
		e.Ended = e.Changed
	}
	for _, id := range m.Components {
		s.affects("maintenance", &e, id, UnderMaintenance)
	}
	return e, true
}

// affects adds a component to an event.
func (s *schedule) affects(kind string, e *event, id string, c Condition) bool {
	name, ok := s.names[id]
	if !ok {
		s.wrong("%s %q: there is no component %q", kind, e.ID, line(id))
		return false
	}
	e.Components = append(e.Components, affected{ID: id, Name: name, Condition: c})
	return true
}

// updates returns updates, newest first. Each is numbered from the oldest, so that
// its identifier stays.
func (s *schedule) updates(kind, id string, given []Update, planned bool) []update {
	all := make([]update, 0, len(given))
	for _, u := range given {
		if u.Time.IsZero() {
			s.wrong("%s %q has an update without a time", kind, id)
		}
		phase := u.Phase
		if !phase.of(planned) {
			s.wrong("%s %q: %q is not a phase of it", kind, id, line(string(phase)))
			phase = ""
		}
		all = append(all, update{Time: s.minute(u.Time), Phase: phase, Text: clean(u.Text)})
	}
	slices.SortStableFunc(all, func(a, b update) int { return a.Time.Compare(b.Time) })
	known := Investigating
	if planned {
		known = Scheduled
	}
	for i := range all {
		all[i].ID = fmt.Sprintf("%s-%d", id, i+1)
		if all[i].Phase == "" {
			all[i].Phase = known // it goes on as it was
		}
		known = all[i].Phase
	}
	slices.Reverse(all)
	return all[:min(len(all), updatesKept)]
}

// minute returns a time as it is shown.
func (s *schedule) minute(t time.Time) time.Time {
	return t.In(s.zone).Truncate(time.Second)
}
