package incident

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// lookUpSuffix ends the ids of the calls that find out who is called.
const lookUpSuffix = "/who"

// call calls the level at next: it finds out who that is, and tells them.
func (s *escalation) call(ctx context.Context) error {
	s.calls++
	id := fmt.Sprintf("call-%d", s.calls)
	found, err := s.lookUp(ctx, StepID(id+lookUpSuffix))
	if err != nil {
		return err
	}
	// What was sent while nothing ran, or since the time came, counts before anybody is
	// woken.
	sig, err := s.engine.Await(ctx, StepID(id+"/last"), escalationTopic, found.At)
	if err != nil {
		return err
	}
	if !sig.Expired {
		return s.on(ctx, sig)
	}
	s.inc = found.Incident
	s.severity = min(s.severity, s.inc.Severity)
	s.inc.Severity = s.severity
	switch {
	case found.Over:
		return s.finish(ctx, found.At)
	case found.TakenBy != "":
		return s.take(ctx, found.TakenBy, found.At)
	case found.Closed:
		return s.closed(ctx, found)
	}
	return s.reach(ctx, id, found)
}

// lookUp finds out what is to be known when a level is reached, and not before.
func (s *escalation) lookUp(ctx context.Context, id StepID) (found lookedUp, err error) {
	q := lookUpQuery{
		incident: s.inc, level: s.levelAt(s.next), policy: s.in.Policy, severity: s.severity, forced: s.why.kind == signalForce,
		// A Manager knows of one acknowledgement, and need not know that it is not enough here.
		believe: s.needed() == 1 && (s.why.kind == "" || s.why.kind == reasonExpired), since: s.doubted,
	}
	outcomes, err := s.engine.Steps(ctx, []Call{{ID: id, Do: func(ctx context.Context, _ []Attempt) Outcome { return s.host.lookUp(ctx, q) }}})
	if err != nil {
		return found, err
	}
	if err := json.Unmarshal(outcomes[0].Output, &found); err != nil || found.At.IsZero() {
		found = lookedUp{At: outcomes[0].Ended, Incident: s.inc, Problems: []string{"it could not be found out who is called: " + outcomes[0].Message}}
	}
	return found, nil
}

// closed holds a level that is outside its hours, or leaves it out.
func (s *escalation) closed(ctx context.Context, found lookedUp) error {
	level := s.levelAt(s.next)
	e := EscalationEvent{At: found.At, Level: s.next.level + 1, Name: level.Name, Round: s.next.round + 1}
	if level.Else == Hold {
		s.due = found.Opens // for the reason for which it was to be called
		e.Kind = EscalationHeld
		e.Text = fmt.Sprintf("Level %d, %s, is outside its hours: it waits until %s.", e.Level, e.Name, s.clock(found.Opens, found.At, ""))
	} else {
		s.schedule(s.next, found.At, true)
		e.Kind = EscalationLeftOut
		e.Text = fmt.Sprintf("Level %d, %s, is outside its hours and is left out.", e.Level, e.Name)
	}
	e.Next = s.due
	return s.note(ctx, e)
}

// reach tells those of a level.
func (s *escalation) reach(ctx context.Context, id string, found lookedUp) error {
	place, why, kept := s.next, s.why, s.taken
	told, handed, err := s.tell(ctx, id, found)
	if err != nil {
		return err
	}
	level := s.levelAt(place)
	s.at, s.called = place, len(reachedPeople(told, found.Tell))
	s.history = append(s.history, escalationCall{found.At, place.level + 1, level.Name, told})
	if !kept {
		s.acks = nil
	}
	e := EscalationEvent{
		Key: s.run.ID + "/" + id, Kind: EscalationCalled, At: found.At, Level: place.level + 1, Name: level.Name, Round: place.round + 1, Told: told,
	}
	reached := slices.ContainsFunc(told, EscalationTold.reached)
	s.schedule(place, found.At, !reached)
	switch {
	case handed != "":
		s.plan, s.due = planNothing, time.Time{}
		e.Kind = EscalationHanded
	case !reached:
		e.Kind = EscalationNobody
	}
	if kept { // by hand, while somebody takes care
		s.waitForExpiry()
	}
	e.Next = s.due
	e.Text = s.reachedText(e, handed, why, found.Problems)
	return s.report(ctx, StepID(id+"/report"), e)
}

// reachedPeople returns the names of those who were told.
func reachedPeople(told []EscalationTold, tell []telling) (names []string) {
	for i, t := range told {
		for _, name := range tell[i].People {
			if t.reached() && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// tell tells those who are to be called: first a service that calls people by itself, and
// after it the others, of whom nobody is woken if it has taken it.
func (s *escalation) tell(ctx context.Context, id string, found lookedUp) (told []EscalationTold, handed string, err error) {
	told = make([]EscalationTold, len(found.Tell))
	paging := s.in.Policy.Paging
	var first, rest []int
	for i, t := range found.Tell {
		told[i] = EscalationTold{Person: inList(t.People), Channel: t.Channel, Draft: t.Draft, Status: Skipped, At: found.At}
		switch wakes := slices.Contains(paging.Channels, t.Channel); {
		case wakes && !paging.pages(s.severity, s.inc.Environment):
			told[i].Reason = fmt.Sprintf("nobody is woken for severity %s in %s", s.severity, cmp.Or(s.inc.Environment, "this environment"))
		case t.Escalates:
			first = append(first, i)
		default:
			rest = append(rest, i)
		}
	}
	if err := s.tellSome(ctx, id, found, told, first); err != nil {
		return nil, "", err
	}
	for _, i := range first {
		if told[i].Status == Done && handed == "" {
			handed = told[i].Channel
		}
	}
	if handed != "" {
		rest = slices.DeleteFunc(rest, func(i int) bool {
			if !slices.Contains(paging.Channels, told[i].Channel) {
				return false
			}
			told[i].Reason = handed + " calls people by itself"
			return true
		})
	}
	return told, handed, s.tellSome(ctx, id, found, told, rest)
}

// tellSome tells some of those who are to be called, at the same time.
func (s *escalation) tellSome(ctx context.Context, id string, found lookedUp, told []EscalationTold, which []int) error {
	var calls []Call
	var conversations []*conversation
	for _, i := range which {
		c := s.conversation(found.Tell[i])
		conversations = append(conversations, c)
		calls = append(calls, s.telling(StepID(fmt.Sprintf("%s/tell-%d", id, i+1)), c, s.compose(c, found, i)))
	}
	outcomes, err := s.tellCalls(ctx, calls, conversations)
	for i, o := range outcomes {
		told[which[i]] = o
	}
	return err
}

// tellAll tells everybody who was called how it stands, but for those of whom a person had
// to approve what they are told, and for who has just acknowledged.
func (s *escalation) tellAll(ctx context.Context, kind alert.Kind, at time.Time) ([]EscalationTold, error) {
	s.notes++
	var calls []Call
	var conversations []*conversation
	for _, c := range s.told {
		if c.draft || !c.told || kind == alert.KindUpdate && c.person == s.takenBy {
			continue
		}
		conversations = append(conversations, c)
		calls = append(calls, s.telling(StepID(fmt.Sprintf("note-%d/tell-%d", s.notes, len(calls)+1)), c, s.inform(c, kind, at)))
	}
	return s.tellCalls(ctx, calls, conversations)
}

// A conversation is what is told to one person through one channel.
type conversation struct {
	key, channel, person, zone string
	draft                      bool
	seq                        int
	prior                      alert.Receipt
	told                       bool // a message has arrived, or may have
}

// conversation returns the conversation in which somebody is told. A service that calls
// people by itself has one for the incident.
func (s *escalation) conversation(t telling) *conversation {
	parts := append([]string{s.run.ID, t.Channel, fmt.Sprint(s.next.level + 1)}, t.People...)
	if t.Escalates {
		parts = parts[:2]
	}
	key := conversationKey(parts...)
	c := s.conversations[key]
	if c == nil {
		c = &conversation{key: key, channel: t.Channel, person: inList(t.People), draft: t.Draft}
		s.conversations[key] = c
		s.told = append(s.told, c)
	}
	c.zone = t.Zone
	return c
}

// telling is the call that tells somebody something.
func (s *escalation) telling(id StepID, c *conversation, n alert.Notification) Call {
	c.seq++
	n.Key, n.Seq, n.Prior = c.key, c.seq, c.prior
	channel := c.channel
	return Call{ID: id, Intent: true, Do: func(ctx context.Context, interrupted []Attempt) Outcome {
		n.PossibleRepeat = len(interrupted) > 0
		return s.host.tell(ctx, channel, n)
	}}
}

// tellCalls makes calls that tell people, and returns how each went.
func (s *escalation) tellCalls(ctx context.Context, calls []Call, conversations []*conversation) ([]EscalationTold, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	outcomes, err := s.engine.Steps(ctx, calls)
	if err != nil {
		return nil, err
	}
	told := make([]EscalationTold, len(outcomes))
	for i, o := range outcomes {
		c := conversations[i]
		var out toldOutput
		if json.Unmarshal(o.Output, &out) == nil && out.Receipt != "" {
			c.prior = out.Receipt
		}
		c.told = c.told || o.Status == Done || o.Status == Unknown
		told[i] = EscalationTold{Person: c.person, Channel: c.channel, Draft: c.draft, Status: o.Status, Reason: o.Message, Repeat: out.Repeat, At: o.Ended}
	}
	return told, nil
}

// note reports an event that is not that of a call.
func (s *escalation) note(ctx context.Context, e EscalationEvent) error {
	s.notes++
	id := fmt.Sprintf("note-%d", s.notes)
	e.Key = s.run.ID + "/" + id
	return s.report(ctx, StepID(id), e)
}

// report hands an event to whoever keeps the incidents.
func (s *escalation) report(ctx context.Context, id StepID, e EscalationEvent) error {
	e.Run, e.Incident, e.Policy = s.run.ID, s.inc.ID, s.in.Policy.Name
	if e.Level == 0 && s.at.level >= 0 {
		e.Level, e.Name = s.at.level+1, s.levelAt(s.at).Name
	}
	if e.Round == 0 {
		e.Round = s.at.round + 1
	}
	e.Actor = cmp.Or(e.Actor, program)
	_, err := s.engine.Steps(ctx, []Call{{ID: id, Do: func(ctx context.Context, _ []Attempt) Outcome { return s.host.report(ctx, e) }}})
	return err
}
