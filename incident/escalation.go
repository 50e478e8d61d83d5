package incident

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// An EscalationPolicy says who is called about an incident, one level after the other,
// until somebody takes care of it. It is a value; an escalation that runs keeps the one
// with which it began, whatever becomes of the host's.
type EscalationPolicy struct {
	// Name names it, for people and for finding its escalations. Letters, digits, - and _.
	// Required.
	Name string `json:"name"`
	// Environments and Severities are those of the incidents that it is for. None means
	// all. Of several policies the first that fits is taken, by the severity with which the
	// incident begins.
	Environments []string         `json:"environments,omitempty"`
	Severities   []alert.Severity `json:"severities,omitempty"`
	// Levels are who is called, in order. At least one.
	Levels []EscalationLevel `json:"levels"`
	// Repeat is how often all of it is done again when the last level was called and nobody
	// has answered, at most 20. Zero means not at all. Its end is an event, and people can
	// still be called by hand.
	Repeat int `json:"repeat,omitempty"`
	// RepeatAfter is how long after the last level it begins again, or is over. Zero means
	// 15 minutes.
	RepeatAfter time.Duration `json:"repeat_after,omitempty"`
	// AckTimeout is how long an acknowledgement counts if nothing is heard from anybody: the
	// level that was reached is called again then, and so on from there. An acknowledgement,
	// also one that only the incident knows of, and [Escalations.Progress] begin it anew.
	// Zero means that it does not expire here; those of a [Manager] may.
	AckTimeout time.Duration `json:"ack_timeout,omitempty"`
	// Paging are the channels that wake people.
	Paging EscalationPaging `json:"paging,omitzero"`
	// Helpdesk is the number of the emergency line, which stands in every message of a
	// critical incident. Optional; see [CheckPhone].
	Helpdesk string `json:"helpdesk,omitempty"`
	// Zone is the name of the zone of times in messages to those of whom no other is known:
	// "Australia/Sydney". Empty means UTC.
	Zone string `json:"zone,omitempty"`
}

// EscalationPaging says for what people are woken.
type EscalationPaging struct {
	// Channels are the names of the channels that wake people: phones, pagers. They are not
	// used for anything else than what follows.
	Channels []string `json:"channels,omitempty"`
	// From is the severity from which on they are used. Zero means critical only.
	From alert.Severity `json:"from,omitempty"`
	// Environments are those for which they are used. None means production only. Of an
	// incident whose environment is not known they are used.
	Environments []string `json:"environments,omitempty"`
}

// An EscalationLevel is who is called at the same time.
type EscalationLevel struct {
	// Name is who they are: "Operations". Required; one line.
	Name string `json:"name"`
	// After is how long after the level before was called; of the first level, after the
	// incident was triggered. Zero means at once. Any duration is possible.
	After time.Duration `json:"after,omitempty"`
	// AfterFor is how long instead for certain severities.
	AfterFor map[alert.Severity]time.Duration `json:"after_for,omitempty"`
	// Severities are those for which it is called. None means all.
	Severities []alert.Severity `json:"severities,omitempty"`
	// Targets are who is called. At least one. Who they are is found out when the level is
	// reached, and not before.
	Targets []EscalationTarget `json:"targets"`
	// MultiAck means that it takes acknowledgements by as many different people as were
	// called at this level. Else the first one stops the escalation.
	MultiAck bool `json:"multi_ack,omitempty"`
	// Hours are when it is called. The zero value means always.
	//
	// What counts is the moment at which the level is reached, for each level on its own.
	// An incident that is triggered a minute before closing calls its first level in that
	// minute, and that call is not taken back; a level that is reached at closing or later
	// waits, or is left out. Nothing that waits is lost: it is called in the first instant of
	// the next hours, unless somebody has acknowledged by then, and it is called earlier by
	// hand, or if the incident becomes so bad that hours do not matter.
	Hours EscalationHours `json:"hours,omitzero"`
	// Else is what is done when the level is reached outside its hours. Empty means Hold.
	Else EscalationElse `json:"else,omitempty"`
	// Note is what those who are called should know: whom they can call in turn. Optional.
	Note string `json:"note,omitempty"`
}

// EscalationElse is what is done with a level outside its hours.
type EscalationElse string

// What can be done with a level outside its hours.
const (
	// Hold waits for the hours to start, and calls the level then. The levels after it
	// wait as well.
	Hold EscalationElse = "hold"
	// LeaveOut calls the next level in its place, at once.
	LeaveOut EscalationElse = "leave out"
)

// An EscalationTarget is somebody who is called at a level. It has either a team or a
// channel.
type EscalationTarget struct {
	// OnCall is the name of a team: whoever is on call for it is called, see [OnCall].
	OnCall string `json:"on_call,omitempty"`
	// Channel is the name of a channel that is told whoever is on call: the mailbox of a
	// team, the phone of a manager.
	Channel string `json:"channel,omitempty"`
	// Who says in words who reads the channel: "IT director". Empty means its name.
	Who string `json:"who,omitempty"`
	// Draft means that the channel does not tell anybody, but drafts a message that a person
	// has to approve: to a vendor, see [DraftChannel]. It does not count as somebody who
	// was reached.
	Draft bool `json:"draft,omitempty"`
	// Severities are those for which it is called. None means all.
	Severities []alert.Severity `json:"severities,omitempty"`
	// Hours are when it is called; outside them it is left out. Windows without a zone are
	// in that of each person: with OnCall, those people are called for whom it is their
	// hours.
	Hours EscalationHours `json:"hours,omitzero"`
}

// EscalationHours are when somebody is called. The zero value means always.
type EscalationHours struct {
	// Windows are the hours; they are civil times in the zone of each, see [health.Window].
	Windows []health.Window
	// Calendar is the name of the calendar whose working hours they are, instead of
	// windows. See [EscalationsConfig].
	Calendar string
	// Outside turns them round: called when the windows or the calendar are closed.
	Outside bool
	// Unless is the severity from which on hours do not matter: High means that they do for
	// medium and low only. Zero means that they always matter.
	Unless alert.Severity
}

// always reports whether there are no hours.
func (h EscalationHours) always() bool { return len(h.Windows) == 0 && h.Calendar == "" }

// matters reports whether the hours matter for a severity.
func (h EscalationHours) matters(s alert.Severity) bool {
	return !h.always() && (h.Unless == 0 || s > h.Unless)
}

// IsZero reports whether there are no hours, for encoding/json.
func (h EscalationHours) IsZero() bool { return h.always() && !h.Outside && h.Unless == 0 }

// hoursForm is EscalationHours in JSON, which knows no zones.
type hoursForm struct {
	Windows  []windowForm   `json:"windows,omitempty"`
	Calendar string         `json:"calendar,omitempty"`
	Outside  bool           `json:"outside,omitempty"`
	Unless   alert.Severity `json:"unless,omitempty"`
}

type windowForm struct {
	Name      string           `json:"name,omitempty"`
	Start     time.Time        `json:"start,omitzero"`
	End       time.Time        `json:"end,omitzero"`
	From      health.TimeOfDay `json:"from,omitempty"`
	For       time.Duration    `json:"for,omitempty"`
	Zone      string           `json:"zone,omitempty"`
	Days      []time.Weekday   `json:"days,omitempty"`
	MonthDays []int            `json:"month_days,omitempty"`
}

// MarshalJSON writes the hours, zones by their names.
func (h EscalationHours) MarshalJSON() ([]byte, error) {
	f := hoursForm{Calendar: h.Calendar, Outside: h.Outside, Unless: h.Unless}
	for _, w := range h.Windows {
		form := windowForm{Name: w.Name, Start: w.Start, End: w.End, From: w.From, For: w.For, Days: w.Days, MonthDays: w.MonthDays}
		if w.Zone != nil {
			form.Zone = w.Zone.String()
		}
		f.Windows = append(f.Windows, form)
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads hours as MarshalJSON writes them.
func (h *EscalationHours) UnmarshalJSON(data []byte) error {
	var f hoursForm
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	out := EscalationHours{Calendar: f.Calendar, Outside: f.Outside, Unless: f.Unless}
	for _, w := range f.Windows {
		window := health.Window{Name: w.Name, Start: w.Start, End: w.End, From: w.From, For: w.For, Days: w.Days, MonthDays: w.MonthDays}
		if w.Zone != "" {
			zone, err := health.LoadZone(w.Zone)
			if err != nil {
				return err
			}
			window.Zone = zone
		}
		out.Windows = append(out.Windows, window)
	}
	*h = out
	return nil
}

// fits reports whether the policy is for an incident.
func (p EscalationPolicy) fits(inc Incident) bool {
	return isOneOf(p.Environments, inc.Environment) && isOneOf(p.Severities, inc.Severity)
}

// isOneOf reports whether there is no list, or v is in it.
func isOneOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// pages reports whether a channel may be used although it wakes people.
func (p EscalationPaging) pages(severity alert.Severity, environment string) bool {
	from, environments := p.From, p.Environments
	if from == 0 {
		from = alert.Critical
	}
	if len(environments) == 0 {
		environments = []string{"production"}
	}
	return severity <= from && (environment == "" || slices.Contains(environments, environment))
}

// after is how long after the one before the level is called.
func (l EscalationLevel) after(s alert.Severity) time.Duration {
	if d, ok := l.AfterFor[s]; ok {
		return d
	}
	return l.After
}

// defaults returns the policy with what its zero values mean.
func (p EscalationPolicy) defaults() EscalationPolicy {
	if p.RepeatAfter == 0 {
		p.RepeatAfter = 15 * time.Minute
	}
	if p.Zone == "" {
		p.Zone = "UTC"
	}
	p.Levels = slices.Clone(p.Levels)
	for i := range p.Levels {
		if p.Levels[i].Else == "" {
			p.Levels[i].Else = Hold
		}
	}
	return p
}

// Validate returns everything that is wrong with the policy by itself. Whether there are
// such channels, teams and calendars is for [NewEscalations] to say.
func (p EscalationPolicy) Validate() error {
	c := &policyCheck{about: fmt.Sprintf("policy %q", p.Name)}
	c.bad(!isName.MatchString(p.Name), "its name is not made of 1 to 60 letters, digits, - and _")
	c.bad(len(p.Levels) == 0, "it has no level")
	c.bad(p.Repeat < 0 || p.Repeat > 20, "Repeat %d is not a number from 0 to 20", p.Repeat)
	c.bad(p.RepeatAfter < 0 || p.AckTimeout < 0, "RepeatAfter or AckTimeout is negative")
	if p.Zone != "" {
		_, err := health.LoadZone(p.Zone)
		c.bad(err != nil, "Zone: %w", err)
	}
	if p.Helpdesk != "" {
		err := CheckPhone(p.Helpdesk)
		c.bad(err != nil, "Helpdesk: %w", err)
	}
	c.severities(p.Severities...)
	if p.Paging.From != 0 {
		c.severities(p.Paging.From)
	}
	for _, name := range p.Paging.Channels {
		c.bad(!isName.MatchString(name), "Paging: %q is not the name of a channel", name)
	}
	for i, l := range p.Levels {
		c.about = fmt.Sprintf("policy %q: level %d, %q", p.Name, i+1, l.Name)
		c.level(l)
	}
	return errors.Join(c.problems...)
}

// policyCheck collects what is wrong with a policy.
type policyCheck struct {
	about    string
	problems []error
}

func (c *policyCheck) bad(when bool, format string, args ...any) {
	if when {
		c.problems = append(c.problems, fmt.Errorf("incident: escalation: "+c.about+": "+format, args...))
	}
}

func (c *policyCheck) severities(list ...alert.Severity) {
	for _, s := range list {
		c.bad(!isSeverity(s), "severity %d is not one from 1, critical, to 4, low", uint8(s))
	}
}

func (c *policyCheck) level(l EscalationLevel) {
	c.bad(l.Name == "" || cleanLine(l.Name) != l.Name || len(l.Name) > 100, "its name is not one line of at most 100 characters")
	c.bad(l.After < 0, "After is negative")
	for _, s := range slices.Sorted(maps.Keys(l.AfterFor)) {
		c.severities(s)
		c.bad(l.AfterFor[s] < 0, "AfterFor is negative for severity %d", uint8(s))
	}
	c.severities(l.Severities...)
	c.bad(l.Else != "" && l.Else != Hold && l.Else != LeaveOut, "Else is %q, and must be hold or leave out", l.Else)
	c.bad(l.Else != LeaveOut && l.Hours.Outside, "what is called outside of hours cannot be held: Else must be LeaveOut")
	c.hours(l.Hours, false)
	c.bad(len(l.Targets) == 0, "it has no target")
	for i, t := range l.Targets {
		about := c.about
		c.about += fmt.Sprintf(": target %d", i+1)
		c.bad((t.OnCall == "") == (t.Channel == ""), "it must have a team or a channel, and not both")
		c.bad(t.OnCall != "" && !isName.MatchString(t.OnCall), "%q is not the name of a team", t.OnCall)
		c.bad(t.Channel != "" && !isName.MatchString(t.Channel), "%q is not the name of a channel", t.Channel)
		c.bad(t.Draft && t.Channel == "", "only a channel can be a draft")
		c.bad(cleanLine(t.Who) != t.Who || len(t.Who) > 100, "Who is not one line of at most 100 characters")
		c.severities(t.Severities...)
		c.hours(t.Hours, t.OnCall != "")
		c.about = about
	}
}

// hours checks hours; local says that windows may be in the zone of each person.
func (c *policyCheck) hours(h EscalationHours, local bool) {
	c.bad(len(h.Windows) > 0 && h.Calendar != "", "hours are those of windows or of a calendar, and not of both")
	c.bad(h.always() && (h.Outside || h.Unless != 0), "hours have neither windows nor a calendar")
	if h.Unless != 0 {
		c.severities(h.Unless)
	}
	for _, w := range h.Windows {
		if local && w.Zone == nil && w.For != 0 {
			w.Zone = time.UTC // any will do
		}
		err := w.Validate()
		c.bad(err != nil, "hours: %w", err)
		if w.Zone != nil {
			_, err := health.LoadZone(w.Zone.String())
			c.bad(err != nil, "hours: window %q: %w", w.Name, err)
		}
	}
}
