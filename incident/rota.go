package incident

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/health"
)

// RotaConfig is what a [Rota] is made of.
type RotaConfig struct {
	// Teams are those that have a rota. At least one.
	Teams []RotaTeam
	// Overrides are what is other than planned, see [Rota.SetOverrides].
	Overrides []RotaOverride
}

// A RotaTeam is people who take turns.
type RotaTeam struct {
	// Name names the team: "operations". Letters, digits, - and _. Required.
	Name string
	// People are those who take turns, in their order. At least one, each with a contact.
	People []Person
	// Every says how long a turn is: a day, which is what empty means, or a week.
	Every Turn
	// Start is the day on which the first of the people first takes over, "2026-11-30".
	// Weeks begin on its day of the week. Turns before it are counted backwards. Required.
	Start string
	// Handover is the time of day at which the next one takes over, in Zone.
	//
	// It is the time on the clock on the wall, also on the days on which clocks change:
	// one that the clock skips is the instant of the change, and of one that comes twice
	// it is the first. A turn of a day is 23 or 25 hours long then.
	Handover health.TimeOfDay
	// Zone is that of Start and Handover. Required.
	Zone *time.Location
}

// Turn is how long somebody is on call before the next one is.
type Turn string

// The turns.
const (
	Daily  Turn = "daily"
	Weekly Turn = "weekly"
)

// A RotaOverride changes who is on call for a while: it adds somebody, or removes
// somebody, or, with both, puts one in the place of another.
type RotaOverride struct {
	// Team is whose rota it changes. Required.
	Team string
	// Remove is the name of somebody in the rota who is not called meanwhile. They are not
	// replaced by the next in turn.
	Remove string
	// Add is somebody who is called in addition; with Remove it is whenever the other one
	// would be, and only then. Of somebody in the rota the name is enough.
	Add Person
	// From is when it begins, To the first instant at which it is over. Required.
	From, To time.Time
	// Reason is for people: "swapped with Ana". Optional.
	Reason string
}

// Rota is an [OnCall] of people who take turns. Make one with [NewRota]. It is safe for
// concurrent use, and keeps nothing: a host that lets people swap their turns stores the
// overrides, and hands all of them to [Rota.SetOverrides] when it starts and at each
// change.
type Rota struct {
	teams map[string]RotaTeam
	first map[string]time.Time // the date of Start, as noon in UTC

	mu        sync.RWMutex
	overrides []RotaOverride
}

var _ OnCall = (*Rota)(nil)

// NewRota returns a Rota, or everything that is wrong with cfg.
func NewRota(cfg RotaConfig) (*Rota, error) {
	r := &Rota{teams: make(map[string]RotaTeam, len(cfg.Teams)), first: make(map[string]time.Time, len(cfg.Teams))}
	var problems []error
	if len(cfg.Teams) == 0 {
		problems = append(problems, errors.New("incident: rota: there is no team"))
	}
	for _, t := range cfg.Teams {
		if t.Every == "" {
			t.Every = Daily
		}
		t.People = clonePeople(t.People)
		first, errs := checkTeam(t)
		if _, twice := r.teams[t.Name]; twice {
			errs = append(errs, fmt.Errorf("incident: rota: team %q is there twice", t.Name))
		}
		problems = append(problems, errs...)
		r.teams[t.Name], r.first[t.Name] = t, first
	}
	overrides, errs := r.check(cfg.Overrides)
	problems = append(problems, errs...)
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	r.overrides = overrides
	return r, nil
}

// checkTeam returns the first day of a rota, and everything that is wrong with it.
func checkTeam(t RotaTeam) (first time.Time, problems []error) {
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("incident: rota: team %q: "+format, append([]any{t.Name}, args...)...))
		}
	}
	bad(!isName.MatchString(t.Name), "its name is not made of 1 to 60 letters, digits, - and _")
	bad(len(t.People) == 0, "there is nobody in it")
	bad(t.Every != Daily && t.Every != Weekly, "Every is %q, and must be daily or weekly", t.Every)
	bad(t.Handover < 0 || t.Handover >= health.At(24, 0), "Handover %v is not a time of day", t.Handover)
	if t.Zone == nil {
		bad(true, "Zone is missing")
	} else {
		_, err := health.LoadZone(t.Zone.String())
		bad(err != nil, "Zone: %w", err)
	}
	first, err := time.Parse(time.DateOnly, t.Start)
	bad(err != nil, "Start %q is not a date such as 2026-11-30", t.Start)
	for i, p := range t.People {
		for _, problem := range checkPerson(p) {
			bad(true, "%w", problem)
		}
		bad(slices.ContainsFunc(t.People[:i], func(other Person) bool { return other.Name == p.Name }), "%q is in it twice; give one person one turn", p.Name)
	}
	return first.Add(12 * time.Hour), problems
}

// checkPerson returns what is wrong with somebody who is to be called.
func checkPerson(p Person) (problems []error) {
	if p.Name == "" || len(p.Name) > 100 {
		problems = append(problems, fmt.Errorf("the name %.120q is empty, or longer than 100 characters", p.Name))
	}
	if len(p.Contacts) == 0 {
		problems = append(problems, fmt.Errorf("%q has no contact", p.Name))
	}
	for i, c := range p.Contacts {
		if !isName.MatchString(c) || slices.Contains(p.Contacts[:i], c) {
			problems = append(problems, fmt.Errorf("%q: the contact %.120q is not the name of a channel, or is there twice", p.Name, c))
		}
	}
	return problems
}

// SetOverrides replaces all overrides by others, or returns everything that is wrong with
// them and changes nothing. Overrides that are over may stay. Where several are in effect,
// they act one after the other in their order.
func (r *Rota) SetOverrides(overrides []RotaOverride) error {
	checked, problems := r.check(overrides)
	if err := errors.Join(problems...); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.overrides = checked
	return nil
}

// check returns overrides with the contacts of those whom they add.
func (r *Rota) check(overrides []RotaOverride) (checked []RotaOverride, problems []error) {
	for i, o := range overrides {
		bad := func(when bool, format string, args ...any) {
			if when {
				problems = append(problems, fmt.Errorf("incident: rota: override %d of team %q: "+format, append([]any{i + 1, o.Team}, args...)...))
			}
		}
		team, ok := r.teams[o.Team]
		bad(!ok, "there is no such team")
		bad(o.From.IsZero() || !o.From.Before(o.To), "it ends (%v) before it begins (%v)", o.To, o.From)
		bad(o.Remove == "" && o.Add.Name == "", "it neither adds nor removes anybody")
		bad(o.Remove != "" && o.Remove == o.Add.Name, "it puts %q in their own place", o.Remove)
		bad(ok && o.Remove != "" && indexOf(team.People, o.Remove) < 0 && !added(overrides[:i], o), "%q, who is to be removed, is not in the rota", o.Remove)
		if at := indexOf(team.People, o.Add.Name); at >= 0 && len(o.Add.Contacts) == 0 {
			o.Add = team.People[at]
		}
		o.Add = clonePerson(o.Add)
		if o.Add.Name != "" || len(o.Add.Contacts) > 0 {
			for _, problem := range checkPerson(o.Add) {
				bad(true, "%w", problem)
			}
		}
		checked = append(checked, o)
	}
	return checked, problems
}

// added reports whether an earlier override adds the person whom o removes.
func added(earlier []RotaOverride, o RotaOverride) bool {
	return slices.ContainsFunc(earlier, func(e RotaOverride) bool { return e.Team == o.Team && e.Add.Name == o.Remove })
}

// OnCall implements [OnCall].
func (r *Rota) OnCall(ctx context.Context, team string, at time.Time) ([]Person, error) {
	t, ok := r.teams[team]
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("incident: rota: team %.80q: %w; the rota has others", team, ErrNotFound)
	}
	people := []Person{t.People[r.turn(t, at)]}
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, o := range r.overrides {
		if o.Team == team && !at.Before(o.From) && at.Before(o.To) {
			people = o.apply(people)
		}
	}
	return clonePeople(people), nil
}

// apply changes who is on call while the override is in effect.
func (o RotaOverride) apply(people []Person) []Person {
	if o.Remove == "" {
		if indexOf(people, o.Add.Name) < 0 {
			people = append(people, o.Add)
		}
		return people
	}
	at := indexOf(people, o.Remove)
	if at < 0 {
		return people
	}
	if o.Add.Name == "" || indexOf(people, o.Add.Name) >= 0 {
		return slices.Delete(people, at, at+1)
	}
	people[at] = o.Add
	return people
}

// turn returns whose turn it is, as an index of the people.
func (r *Rota) turn(t RotaTeam, at time.Time) int {
	year, month, day := at.In(t.Zone).Date()
	date := time.Date(year, month, day, 12, 0, 0, 0, time.UTC)
	if at.Before(t.handover(date)) {
		date = date.AddDate(0, 0, -1)
	}
	turns := int(date.Sub(r.first[t.Name]) / (24 * time.Hour)) // both are noon in UTC
	if t.Every == Weekly {
		turns = floorDiv(turns, 7)
	}
	return turns - len(t.People)*floorDiv(turns, len(t.People))
}

// handover returns when the turn that begins on a civil date begins.
func (t RotaTeam) handover(date time.Time) time.Time {
	year, month, day := date.Date()
	// Go does not say which of two instants this is, or how far from one that is skipped;
	// half a day before it is between two handovers in any case. The window is longer than
	// what clocks skip, of which nothing would be left, and has ended by then.
	near := time.Date(year, month, day, 0, int(t.Handover), 0, 0, t.Zone)
	next, _ := health.Window{From: t.Handover, For: 4 * time.Hour, Zone: t.Zone}.Next(near.Add(-12 * time.Hour))
	return next.Start
}

func floorDiv(a, b int) int {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// indexOf returns the index of somebody by name, or -1.
func indexOf(people []Person, name string) int {
	return slices.IndexFunc(people, func(p Person) bool { return p.Name == name })
}

func clonePerson(p Person) Person {
	p.Contacts = slices.Clone(p.Contacts)
	return p
}

func clonePeople(people []Person) []Person {
	out := make([]Person, 0, len(people))
	for _, p := range people {
		out = append(out, clonePerson(p))
	}
	return out
}
