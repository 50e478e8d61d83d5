package incident

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Deadline is a day by which an incident asks something of people that is not over when
// the incident is: what a law or a contract says. It is not one of the [Clock]s: it goes on
// when the incident is resolved, cancelled or reopened, the incident that goes on for a
// merged one takes it over, and no rule of retention removes an incident that has an open
// one. A person settles it: see [Manager.SettleDeadline].
//
// The one that this package was given it for is that of a suspected data breach. Under the
// Privacy Act 1988 (Cth), s 26WH(2), an entity that becomes aware of reasonable grounds to
// suspect an eligible data breach assesses that expeditiously, and takes all reasonable steps
// to complete the assessment within 30 calendar days after it became aware. Once it is aware of
// reasonable grounds to believe that there was one, it prepares a statement and gives it to the
// Commissioner as soon as practicable (s 26WK), and notifies those concerned (s 26WL): for that
// there is no number of days, and waiting for the end of the 30 is not keeping it.
type Deadline struct {
	// Name names it in its incident, by a verb, as it is read before "by": "notify". A
	// second one of the same name, after the first was settled, is "notify-2".
	Name string `json:"name"`
	// What is what is due, in a line, and Tell who is to be told of it, in words.
	What string `json:"what"`
	Tell string `json:"tell,omitempty"`
	// From is when it began to count, Due until when there is time.
	From time.Time `json:"from"`
	Due  time.Time `json:"due"`
	// SetBy is who set it, Set when, and Run the run that did, if one did.
	SetBy string    `json:"set_by"`
	Set   time.Time `json:"set"`
	Run   string    `json:"run,omitempty"`
	// Settled is when that was done which was due, as SettledBy said with Reason; zero
	// while it is open. Void means that it was found not to apply.
	Settled   time.Time `json:"settled,omitzero"`
	SettledBy string    `json:"settled_by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Void      bool      `json:"void,omitempty"`
	// MovedTo is the incident that has taken it over, where it goes on.
	MovedTo string `json:"moved_to,omitempty"`
	// Told is the last mark that was put on the timeline. Owed means that people were not
	// told of it yet, and Telling is when a process began to tell them; both are for
	// [Manager].
	Told    DeadlineMark `json:"told,omitempty"`
	Owed    bool         `json:"owed,omitempty"`
	Telling time.Time    `json:"telling,omitzero"`
}

// DeadlineMark is how much of the time of a [Deadline] has passed, when that is told.
type DeadlineMark string

// The marks, in their order. The first two are those of clocks: after half of 30 days there
// is time to do it well, and after four fifths there are six days left, in which there are
// always some on which people work; after nine tenths it would be three, and a long weekend
// is as long. The last day is told apart from a deadline of five days on; of a shorter one
// the second mark is in its last day, or next to it.
const (
	DeadlineHalf    DeadlineMark = "half"        // half of the time has passed
	DeadlineMost    DeadlineMark = "four fifths" // four fifths have
	DeadlineLastDay DeadlineMark = "last day"    // 24 hours are left
	DeadlineOver    DeadlineMark = "over"        // it was missed
)

var deadlineMarks = []DeadlineMark{DeadlineHalf, DeadlineMost, DeadlineLastDay, DeadlineOver}

// Open reports whether it is still to be settled, in this incident.
func (d Deadline) Open() bool { return d.Settled.IsZero() && d.MovedTo == "" }

// Missed reports whether it was settled too late, or is not settled although its time is
// over. One that is void was not, nor one that goes on in another incident.
func (d Deadline) Missed(now time.Time) bool {
	if !d.Settled.IsZero() {
		now = d.Settled
	}
	return !d.Void && d.MovedTo == "" && now.After(d.Due)
}

// Left returns how much time is left, negative if it is over; zero if it is not open.
func (d Deadline) Left(now time.Time) time.Duration {
	if !d.Open() {
		return 0
	}
	return d.Due.Sub(now)
}

// Line says how it stands, in a line: "notify by Mon 28 Dec 2026 09:00 AEDT, in 29 days". A
// nil zone is UTC.
func (d Deadline) Line(now time.Time, zone *time.Location) string {
	if zone == nil {
		zone = time.UTC
	}
	at := func(t time.Time) string { return t.In(zone).Format(deadlineTime) }
	by := d.Name + " by " + at(d.Due)
	switch {
	case d.MovedTo != "":
		return by + ": it goes on in " + d.MovedTo
	case d.Void:
		return by + ": void, said " + d.SettledBy + " on " + at(d.Settled) + ": " + d.Reason
	case !d.Settled.IsZero() && d.Missed(now):
		return by + ": settled TOO LATE by " + d.SettledBy + " on " + at(d.Settled) + ", " + deadlineSpan(d.Settled.Sub(d.Due)) + " after it: " + d.Reason
	case !d.Settled.IsZero():
		return by + ": settled by " + d.SettledBy + " on " + at(d.Settled) + ": " + d.Reason
	case d.Missed(now):
		return by + ", MISSED " + deadlineSpan(now.Sub(d.Due)) + " ago and still open"
	}
	return by + ", in " + deadlineSpan(d.Due.Sub(now))
}

const deadlineTime = "Mon 2 Jan 2006 15:04 MST"

// deadlineSpan says how long something is, rounded down, so that nobody counts on more.
func deadlineSpan(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%d days", int(d.Hours())/24)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d hours", int(d.Hours()))
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	}
	return "less than 2 minutes"
}

// reaches returns when a mark is reached; zero if this deadline does not have it.
func (d Deadline) reaches(mark DeadlineMark) time.Time {
	lasts := d.Due.Sub(d.From)
	most := d.From.Add(lasts / 5 * 4).Truncate(time.Microsecond)
	switch mark {
	case DeadlineHalf:
		return d.From.Add(lasts / 2).Truncate(time.Microsecond)
	case DeadlineMost:
		return most
	case DeadlineLastDay:
		if last := d.Due.Add(-24 * time.Hour); last.After(most) {
			return last
		}
		return time.Time{}
	}
	return d.Due
}

// due returns the marks that are reached and were not told, in their order. What happens at
// the very moment at which it is due is in time.
func (d Deadline) due(now time.Time) (marks []DeadlineMark) {
	for i, mark := range deadlineMarks {
		at := d.reaches(mark)
		reached := now.After(at) || mark != DeadlineOver && now.Equal(at)
		if !at.IsZero() && reached && i > slices.Index(deadlineMarks, d.Told) {
			marks = append(marks, mark)
		}
	}
	return marks
}

// An Obligation is a [Deadline] that is to be set: see [Manager.SetDeadline].
type Obligation struct {
	// By is who sets it. Required.
	By string
	// Name names it: lower-case letters, digits and dashes, at most 40, a verb that is read
	// before "by". It does not end in a dash and a number: those are given. Required.
	Name string
	// What is what is due, in a line. Required. Tell is who is to be told of it, in words.
	What, Tell string
	// From is when it began to count: for a breach, when somebody became aware. Zero means
	// now. Due is until when there is time. Required.
	From, Due time.Time
	// Run is the run that sets it, if one does. A run sets a deadline once, also if the step
	// is made again after it was settled.
	Run string
}

var isDeadlineName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// deadlineNumber is the end of a name that was given to a second deadline of a name.
var deadlineNumber = regexp.MustCompile(`-[0-9]+$`)

// Validate returns everything that is wrong with the obligation, or nil.
func (o Obligation) Validate() error {
	var problems []error
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, errors.New("incident: deadline: "+text))
		}
	}
	bad(cleanLine(o.By) == "", "who sets it is missing")
	bad(!isDeadlineName.MatchString(o.Name) || len(o.Name) > 40, "the name must be lower-case letters, digits and dashes, at most 40, beginning with a letter: a verb, such as notify")
	bad(deadlineNumber.MatchString(o.Name), "the name must not end in a dash and a number, which are given to a second one of a name")
	bad(cleanLine(o.What) == "", "what is due is missing")
	bad(time.Until(o.From) > time.Minute, "it began to count in the future")
	bad(o.Due.IsZero(), "until when there is time is missing")
	bad(!o.Due.IsZero() && !o.From.IsZero() && !o.Due.After(o.From), "it would be over before it began")
	return errors.Join(problems...)
}

// Deadline returns a deadline of the incident by its name.
func (i Incident) Deadline(name string) (Deadline, bool) {
	if at := i.deadline(name); at >= 0 {
		return i.Deadlines[at], true
	}
	return Deadline{}, false
}

// OpenDeadlines returns the deadlines that are still to be settled, the one that is due first
// first.
func (i Incident) OpenDeadlines() (open []Deadline) {
	for _, d := range i.Deadlines {
		if d.Open() {
			open = append(open, d)
		}
	}
	slices.SortStableFunc(open, func(a, b Deadline) int { return a.Due.Compare(b.Due) })
	return open
}

// deadline returns the place of a deadline, -1 if it is not there.
func (i Incident) deadline(name string) int {
	return slices.IndexFunc(i.Deadlines, func(d Deadline) bool { return d.Name == name })
}

// owesDeadline reports whether a deadline is open.
func (i Incident) owesDeadline() bool { return slices.ContainsFunc(i.Deadlines, Deadline.Open) }

// owesReminder reports whether people are to be told of a deadline.
func (i Incident) owesReminder() bool {
	return slices.ContainsFunc(i.Deadlines, func(d Deadline) bool { return d.Open() && d.Owed })
}

// namesakes returns the places of the deadlines that were set by a name, also by a number
// after it, in the order in which they were set.
func (i Incident) namesakes(name string) (places []int) {
	for at, d := range i.Deadlines {
		if d.Name == name || deadlineNumber.MatchString(d.Name) && deadlineNumber.ReplaceAllString(d.Name, "") == name {
			places = append(places, at)
		}
	}
	return places
}

// freeName returns the name that the next deadline of a name has.
func (i Incident) freeName(name string) string {
	for n, next := 2, name; ; n++ {
		if i.deadline(next) < 0 {
			return next
		}
		next = name + "-" + strconv.Itoa(n)
	}
}

// baseName is the name without the number that was given to it.
func (d Deadline) baseName() string {
	return strings.TrimSuffix(d.Name, deadlineNumber.FindString(d.Name))
}
