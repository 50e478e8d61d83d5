package incident

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// refused returns the error of what cannot be done to an incident as it is.
func (i Incident) refused(what string) error {
	possible := "nothing else can be done to it"
	if states := i.State.Next(); len(states) > 0 {
		names := make([]string, 0, len(states))
		for _, s := range states {
			names = append(names, string(s))
		}
		possible = "it can become " + strings.Join(names, ", ")
	}
	if i.MergedInto != "" {
		possible += "; it goes on as " + i.MergedInto
	}
	return fmt.Errorf("incident: %s is %s and cannot be %s; %s: %w", i.ID, i.State, what, possible, ErrState)
}

// to moves the incident to another state, if that may follow.
func (d *draft) to(state State, what string) (was State, err error) {
	was = d.inc.State
	if !slices.Contains(next[was], state) {
		return was, d.inc.refused(what)
	}
	d.inc.State = state
	return was, nil
}

// acknowledgement is that somebody takes care of an incident.
type acknowledgement struct {
	by, comment string
	at          time.Time
	expires     time.Time
}

// acknowledge notes that somebody takes care. Of an incident that somebody takes care of
// already it is taken over, and what is mitigated stays so.
func (d *draft) acknowledge(a acknowledgement) error {
	was := d.inc.State
	if was != Acknowledged && was != Mitigated {
		if _, err := d.to(Acknowledged, "acknowledged"); err != nil {
			return err
		}
	}
	before := d.inc.AcknowledgedBy
	d.inc.AcknowledgedBy, d.inc.AckAt, d.inc.AckComment, d.inc.AckExpires = a.by, a.at, a.comment, a.expires
	if d.inc.Acknowledged.IsZero() && was == Triggered {
		d.inc.Acknowledged = a.at
	}
	d.stopClocks(a.at, ClockAcknowledge)
	d.owesAck(a.by)
	text := a.by + " takes care of it"
	switch {
	case before == a.by:
		text = a.by + " still takes care of it"
	case before != "":
		text += ", and no longer " + before
	}
	if !a.expires.IsZero() {
		text += ", until " + d.m.at(a.expires)
	}
	d.add(entryAcknowledged, withComment(text, a.comment), entryData{State: d.inc.State, Was: was, Expires: a.expires, Comment: a.comment})
	return nil
}

// mitigate notes that users are no longer hurt.
func (d *draft) mitigate(comment string) error {
	was, err := d.to(Mitigated, "mitigated")
	if err != nil {
		return err
	}
	d.inc.Mitigated = d.now
	d.takeCare()
	d.stopClocks(d.now, ClockAcknowledge, ClockMitigate)
	d.add(entryMitigated, withComment("users are no longer hurt", comment), entryData{State: Mitigated, Was: was, Comment: comment})
	return nil
}

// takeCare makes the person who does something to an incident the one who takes care of
// it, if nobody does.
func (d *draft) takeCare() {
	if d.person && d.inc.AcknowledgedBy == "" {
		d.inc.AcknowledgedBy, d.inc.AckAt = d.by, d.now
	}
}

// unmitigate notes that users are hurt again.
func (d *draft) unmitigate(why string) {
	state := Triggered
	if d.inc.AcknowledgedBy != "" && (d.inc.AckExpires.IsZero() || d.now.Before(d.inc.AckExpires)) {
		state = Acknowledged
	} else {
		d.nobody()
	}
	d.inc.State, d.inc.Mitigated = state, time.Time{}
	for i := range d.inc.Clocks {
		if c := &d.inc.Clocks[i]; c.Kind == ClockMitigate {
			c.Stopped = time.Time{}
		}
	}
	d.add(entryUnmitigated, withComment("it is no longer mitigated", why), entryData{State: state, Was: Mitigated, Comment: why})
}

// resolve notes that it is over.
func (d *draft) resolve(cause, resolution, text string) error {
	was, err := d.to(Resolved, "resolved")
	if err != nil {
		return err
	}
	if cause != "" {
		d.inc.Cause = cause
	}
	if resolution != "" {
		d.inc.Resolution = resolution
	}
	d.inc.Resolved = d.now
	d.takeCare()
	d.close()
	d.add(entryResolved, text, entryData{State: Resolved, Was: was, Comment: cause})
	return nil
}

// close ends what goes on while an incident is open.
func (d *draft) close() {
	d.inc.Closed = d.now
	d.stopClocks(d.now, ClockAcknowledge, ClockMitigate, ClockResolve, ClockUpdate)
	d.owesNoAck()
}

// reopen makes a closed incident one that goes on. Its clocks begin anew.
func (d *draft) reopen(reason string) error {
	if d.inc.State == Mitigated {
		d.unmitigate(reason)
		return nil
	}
	if d.inc.State.Open() {
		return d.inc.refused("reopened")
	}
	was, err := d.to(Triggered, "reopened")
	if err != nil {
		return err
	}
	i := &d.inc
	if i.Told.Escalation != Resolved {
		d.owesEnd(d.m.escalationRun(*i))
	}
	i.Reopened = d.now
	i.Reopens++
	i.Acknowledged, i.Mitigated, i.Resolved, i.Reviewed, i.Closed = time.Time{}, time.Time{}, time.Time{}, time.Time{}, time.Time{}
	i.AcknowledgedBy, i.AckAt, i.AckComment, i.AckExpires = "", time.Time{}, "", time.Time{}
	i.Escalation, i.Level, i.Told.Escalation = "", 0, ""
	for j := range i.Alerts {
		i.Alerts[j].StillTold = false
	}
	d.startClocks(d.now)
	d.add(entryReopened, withComment("reopened", reason), entryData{State: Triggered, Was: was, Clocks: i.Clocks, Comment: reason})
	return nil
}

// setSeverity changes the severity, and computes the clocks anew.
func (d *draft) setSeverity(s alert.Severity, reason string) {
	was := d.inc.Severity
	d.inc.Severity = s
	if s == was {
		d.add(entrySeverity, withComment(fmt.Sprintf("the severity stays %s", s), reason), entryData{Severity: s, WasSeverity: was, Comment: reason})
		return
	}
	wasClocks := d.recomputeClocks()
	text := fmt.Sprintf("the severity is %s, and was %s", s, was)
	d.add(entrySeverity, withComment(text, reason), entryData{
		Severity: s, WasSeverity: was, Clocks: d.inc.Clocks, WasClocks: wasClocks, Comment: reason,
	})
	if d.inc.State.Open() {
		d.tellPassed()
	}
}
