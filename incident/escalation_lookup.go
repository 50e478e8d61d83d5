package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

const (
	maxTellings   = 60               // of one level
	maxReaders    = 20               // of one channel, who are named
	maxLookedUp   = 60 << 10         // bytes; an engine keeps a little more
	lookUpTimeout = 15 * time.Second // of one question
)

// lookUpQuery is what is to be found out when a level is reached.
type lookUpQuery struct {
	incident escalatedIncident
	policy   EscalationPolicy
	level    EscalationLevel
	severity alert.Severity
	// forced ignores the hours of the level. believe stops the call if the incident says
	// that somebody takes care, and has said so after since, if that is not zero.
	forced, believe bool
	since           time.Time
}

// lookedUp is what was found out, as it is recorded.
type lookedUp struct {
	// At is when.
	At time.Time `json:"at"`
	// Incident is the incident as it is now, or as it was known.
	Incident escalatedIncident `json:"incident"`
	// Over means that it is over, TakenBy who takes care of it.
	Over    bool   `json:"over,omitempty"`
	TakenBy string `json:"taken_by,omitempty"`
	// Closed means that the level is outside its hours; Opens is when they start.
	Closed bool      `json:"closed,omitempty"`
	Opens  time.Time `json:"opens,omitzero"`
	// Tell is who is to be told.
	Tell []telling `json:"tell,omitempty"`
	// Problems are what could not be found out.
	Problems []string `json:"problems,omitempty"`
}

// telling is a channel that is to be told.
type telling struct {
	// Channel is the channel, People who read it, Zone that of their times.
	Channel string   `json:"channel"`
	People  []string `json:"people"`
	Zone    string   `json:"zone,omitempty"`
	// Draft is that of the target. Escalates means that the channel calls people by itself.
	Draft     bool `json:"draft,omitempty"`
	Escalates bool `json:"escalates,omitempty"`
}

// lookUp finds out who is called, now.
func (x *Escalations) lookUp(ctx context.Context, q lookUpQuery) Outcome {
	found := &lookedUp{At: time.Now(), Incident: q.incident}
	x.lookUpIncident(ctx, q, found)
	severity := min(q.severity, found.Incident.Severity)
	if !q.forced && q.level.Hours.matters(severity) {
		open, opens, err := x.open(q.level.Hours, found.At, nil)
		found.problem("hours", err)
		found.Closed, found.Opens = !open && err == nil, opens
		if q.level.Else == Hold && !found.Opens.After(found.At) {
			found.Closed = false // rather call than wait for what never comes
		}
	}
	if !found.Over && found.TakenBy == "" && !found.Closed {
		for _, t := range q.level.Targets {
			x.lookUpTarget(ctx, q, t, severity, found)
		}
	}
	output, err := json.Marshal(found)
	for err == nil && len(output) > maxLookedUp && len(found.Tell) > 1 {
		found.Tell = found.Tell[:len(found.Tell)/2]
		found.problem("the level", fmt.Errorf("it is too large: only %d channels are told", len(found.Tell)))
		output, err = json.Marshal(found)
	}
	if err != nil {
		return Outcome{Status: Failed, Code: CodeOf(err), Message: err.Error()}
	}
	return Outcome{Status: Done, Output: output}
}

// problem notes what could not be found out.
func (f *lookedUp) problem(what string, err error) {
	if err != nil && len(f.Problems) < 20 {
		f.Problems = append(f.Problems, what+": "+cleanWords(err.Error(), maxLine))
	}
}

// lookUpIncident reads the incident as it is now.
func (x *Escalations) lookUpIncident(ctx context.Context, q lookUpQuery, found *lookedUp) {
	if x.cfg.Hooks.Incident == nil {
		return
	}
	inc, err := ask(ctx, func(ctx context.Context) (Incident, error) { return x.cfg.Hooks.Incident(ctx, q.incident.ID) })
	if err != nil {
		found.problem("the incident could not be read", err)
		return
	}
	if now := escalated(inc); now.ID == q.incident.ID && isSeverity(now.Severity) {
		found.Incident = now
	}
	found.Over = inc.State != "" && !inc.State.Open()
	if q.believe && isTaken(inc, found.At) && (q.since.IsZero() || inc.AckAt.After(q.since)) {
		found.TakenBy = cmp.Or(cleanLine(inc.AcknowledgedBy), "somebody")
	}
}

// isTaken reports whether an incident says that somebody takes care of it.
func isTaken(inc Incident, now time.Time) bool {
	return inc.State == Mitigated || inc.State == Acknowledged && (inc.AckExpires.IsZero() || inc.AckExpires.After(now))
}

// lookedUpAck is when an incident was acknowledged last, and by whom, if that counts; of
// one that is mitigated it is the present.
type lookedUpAck struct {
	AckAt time.Time `json:"ack_at,omitzero"`
	By    string    `json:"by,omitempty"`
}

// lookUpAck finds out whether somebody takes care, as far as the incident knows.
func (x *Escalations) lookUpAck(ctx context.Context, id string) Outcome {
	if x.cfg.Hooks.Incident == nil {
		return Outcome{Status: Done}
	}
	inc, err := ask(ctx, func(ctx context.Context) (Incident, error) { return x.cfg.Hooks.Incident(ctx, id) })
	if err != nil {
		return Outcome{Status: Failed, Code: CodeOf(err), Message: cleanWords(err.Error(), maxLine)}
	}
	var found lookedUpAck
	if isTaken(inc, time.Now()) {
		found = lookedUpAck{inc.AckAt, cmp.Or(cleanLine(inc.AcknowledgedBy), "somebody")}
	}
	if inc.State == Mitigated { // it does not expire then
		found.AckAt = time.Now()
	}
	output, err := json.Marshal(found)
	if err != nil {
		return Outcome{Status: Failed, Code: CodeOf(err), Message: err.Error()}
	}
	return Outcome{Status: Done, Output: output}
}

// ask asks a collaborator something: for a limited time, and a panic is an error.
func ask[T any](ctx context.Context, question func(ctx context.Context) (T, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookUpTimeout)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it panicked: %v", p)
		}
	}()
	return question(ctx)
}

// lookUpTarget adds those whom a target stands for.
func (x *Escalations) lookUpTarget(ctx context.Context, q lookUpQuery, t EscalationTarget, severity alert.Severity, found *lookedUp) {
	if !isOneOf(t.Severities, severity) {
		return
	}
	within := func(zone *time.Location) bool {
		if !t.Hours.matters(severity) {
			return true
		}
		open, _, err := x.open(t.Hours, found.At, zone)
		found.problem("hours", err)
		return open || err != nil
	}
	if t.Channel != "" {
		if within(nil) {
			x.add(found, telling{Channel: t.Channel, People: []string{cmp.Or(t.Who, t.Channel)}, Draft: t.Draft})
		}
		return
	}
	people, err := x.onCall(ctx, t.OnCall, found.At)
	if err != nil {
		found.problem("it is not known who is on call for "+t.OnCall, err)
		return
	}
	if len(people) == 0 {
		found.problem("on call for "+t.OnCall, errors.New("nobody is"))
	}
	for _, p := range people {
		zone := p.Zone
		if zone == nil {
			zone = policyZone(q.policy)
		}
		if !within(zone) {
			continue
		}
		name := cmp.Or(cleanWords(cleanLine(p.Name), 100), t.OnCall)
		if len(p.Contacts) == 0 {
			found.problem(name, errors.New("there is no contact"))
		}
		for _, channel := range p.Contacts {
			if !isName.MatchString(channel) {
				found.problem(name, fmt.Errorf("the contact %.80q is not the name of a channel", channel))
				continue
			}
			x.add(found, telling{Channel: channel, People: []string{name}, Zone: zone.String()})
		}
	}
}

// onCall asks who is on call, twice if it could not be asked.
func (x *Escalations) onCall(ctx context.Context, team string, at time.Time) ([]Person, error) {
	if x.cfg.OnCall == nil {
		return nil, errors.New("this process has no rota: give it one as OnCall")
	}
	question := func(ctx context.Context) ([]Person, error) { return x.cfg.OnCall.OnCall(ctx, team, at) }
	people, err := ask(ctx, question)
	if err != nil && !errors.Is(err, ErrNotFound) && ctx.Err() == nil {
		people, err = ask(ctx, question)
	}
	return people, err
}

// add adds a channel, once for all who read it.
func (x *Escalations) add(found *lookedUp, t telling) {
	if i := slices.IndexFunc(found.Tell, func(other telling) bool { return other.Channel == t.Channel }); i >= 0 {
		if people := found.Tell[i].People; len(people) < maxReaders && !slices.Contains(people, t.People[0]) {
			found.Tell[i].People = append(found.Tell[i].People, t.People[0])
		}
		return
	}
	if len(found.Tell) == maxTellings {
		found.problem("the level", fmt.Errorf("it has more than %d channels; the others are not told", maxTellings))
		return
	}
	e, ok := x.cfg.Channels[t.Channel].(alert.Escalator)
	t.Escalates = ok && !t.Draft && e.Escalates()
	found.Tell = append(found.Tell, t)
}

// open reports whether hours are open at a moment, and if not, when they open. Zone is
// that of windows without one.
func (x *Escalations) open(h EscalationHours, at time.Time, zone *time.Location) (open bool, opens time.Time, err error) {
	if h.Calendar != "" {
		c := x.cfg.Calendars[h.Calendar]
		if c == nil {
			return false, time.Time{}, fmt.Errorf("there is no calendar %q here", h.Calendar)
		}
		if open = c.IsOpen(at); open || h.Outside {
			return open != h.Outside, time.Time{}, nil
		}
		opens, err = c.AddBusinessTime(at, 0)
		if !opens.IsZero() {
			err = nil // it is right but for holidays that are not known yet
		}
		return false, opens, err
	}
	for _, w := range h.Windows {
		if w.Zone == nil && w.For != 0 {
			w.Zone = zone
		}
		if w.Contains(at) {
			open = true
		} else if next, ok := w.Next(at); ok && (opens.IsZero() || next.Start.Before(opens)) {
			opens = next.Start
		}
	}
	if h.Outside {
		return !open, time.Time{}, nil
	}
	return open, opens, nil
}

// policyZone returns the zone of a policy, which was validated when it began.
func policyZone(p EscalationPolicy) *time.Location { return zoneOf(p.Zone) }

// zoneOf returns a zone by its name, or UTC.
func zoneOf(name string) *time.Location {
	if zone, err := health.LoadZone(name); err == nil {
		return zone
	}
	return time.UTC
}
