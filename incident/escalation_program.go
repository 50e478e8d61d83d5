package incident

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// An escalation is one run of the program. What it does depends on its input and on what
// the engine returned: it reads no clock, and goes over no map. It runs in one goroutine;
// the funcs of calls do not touch it.
type escalation struct {
	host   *Escalations // its funcs are not called when a record is read
	engine Engine
	run    RunStart
	in     escalationInput

	// inc is what is known of the incident, severity the worst that it had.
	inc      escalatedIncident
	severity alert.Severity
	// waits, calls and notes count the calls of the engine of each sort, for their ids.
	waits, calls, notes int

	// plan is what is done when it is due, for the level at next; a zero due is never. why is
	// the reason, if it is not that nobody has answered.
	plan escalationPlan
	due  time.Time
	next escalationPlace
	why  callReason
	// at is the level that was called last, called how many people were reached in it.
	at      escalationPlace
	called  int
	history []escalationCall

	// acks are who has acknowledged since a level was called last.
	acks []string
	// taken means that the acknowledgements are enough, by whom and when it was heard of
	// last; it expires at ackDue. doubted is when one expired, or was not enough, although
	// the incident may say that somebody takes care.
	taken         bool
	takenBy       string
	ackAt, ackDue time.Time
	doubted       time.Time

	over          bool
	conversations map[string]*conversation
	told          []*conversation // in the order in which they began
}

// escalationPlan is what an escalation does when it is due.
type escalationPlan uint8

const (
	planNothing escalationPlan = iota // it waits for signals
	planCall                          // call the level at next
	planExpire                        // the acknowledgement expires
	planEnd                           // nobody has answered, and there is nobody left
)

// escalationPlace is a level of a round; both count from 0. No level is -1.
type escalationPlace struct{ round, level int }

// callReason is why a level is called, if it is not that its time has come.
type callReason struct {
	// kind is that of a signal, or "expired"; empty if the time has come.
	kind string
	// by is who wants it.
	by string
}

const reasonExpired = "expired"

// escalationCall is a level that was called, for those who are called after it.
type escalationCall struct {
	at    time.Time
	level int // from 1
	name  string
	told  []EscalationTold
}

// run is the program.
func (x *Escalations) run(ctx context.Context, e Engine, run RunStart) (json.RawMessage, error) {
	s, err := newEscalation(x, e, run)
	if err != nil {
		return nil, err
	}
	return s.carryOut(ctx)
}

func newEscalation(x *Escalations, e Engine, run RunStart) (*escalation, error) {
	nowhere := escalationPlace{0, -1}
	s := &escalation{host: x, engine: e, run: run, at: nowhere, next: nowhere, conversations: make(map[string]*conversation)}
	if err := decode(run.Input, &s.in); err != nil {
		return nil, err
	}
	if s.in.Version != escalationVersion {
		return nil, fmt.Errorf("incident: the escalation is of version %d, and this program carries out %d", s.in.Version, escalationVersion)
	}
	if len(s.in.Policy.Levels) == 0 || !isSeverity(s.in.Incident.Severity) {
		return nil, errors.New("incident: the input of the escalation has no level, or no severity")
	}
	s.inc, s.severity = s.in.Incident, s.in.Incident.Severity
	return s, nil
}

// escalationResult is what a run returns.
type escalationResult struct {
	Calls int `json:"calls"` // levels that were called
	Level int `json:"level"` // the last one, from 1
}

func (s *escalation) carryOut(ctx context.Context) (json.RawMessage, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	for !s.over {
		s.waits++
		sig, err := s.engine.Await(ctx, StepID(fmt.Sprintf("wait-%d", s.waits)), escalationTopic, s.due)
		if err == nil && sig.Expired {
			err = s.act(ctx, sig.At)
		} else if err == nil {
			err = s.on(ctx, sig)
		}
		if err != nil {
			return nil, err
		}
	}
	return json.Marshal(escalationResult{Calls: len(s.history), Level: s.at.level + 1})
}

// begin plans the first level.
func (s *escalation) begin(ctx context.Context) error {
	first := s.following(escalationPlace{0, -1})
	if first.level < 0 {
		return s.note(ctx, EscalationEvent{Kind: EscalationNobody, Text: fmt.Sprintf("No level of the policy is for severity %s: nobody is called.", s.severity)})
	}
	s.plan, s.next, s.why = planCall, first, callReason{}
	s.due = s.inc.begins().Add(s.levelAt(first).after(s.severity))
	return nil
}

func (s *escalation) levelAt(p escalationPlace) EscalationLevel { return s.in.Policy.Levels[p.level] }

// following returns the next level of the same round that is for the severity, or no
// level.
func (s *escalation) following(p escalationPlace) escalationPlace {
	for i := p.level + 1; i < len(s.in.Policy.Levels); i++ {
		if isOneOf(s.in.Policy.Levels[i].Severities, s.severity) {
			return escalationPlace{p.round, i}
		}
	}
	return escalationPlace{p.round, -1}
}

// act does what is due.
func (s *escalation) act(ctx context.Context, at time.Time) error {
	switch s.plan {
	case planCall:
		return s.call(ctx)
	case planExpire:
		return s.expire(ctx, at)
	case planEnd:
		s.plan, s.due = planNothing, time.Time{}
		return s.note(ctx, EscalationEvent{Kind: EscalationExhausted, Text: s.exhausted()})
	}
	return nil
}

// expire ends an acknowledgement, unless the incident was acknowledged again since.
func (s *escalation) expire(ctx context.Context, at time.Time) error {
	s.notes++
	id := s.inc.ID
	outcomes, err := s.engine.Steps(ctx, []Call{{
		ID: StepID(fmt.Sprintf("note-%d/ack", s.notes)), Do: func(ctx context.Context, _ []Attempt) Outcome { return s.host.lookUpAck(ctx, id) },
	}})
	if err != nil {
		return err
	}
	var found lookedUpAck
	if json.Unmarshal(outcomes[0].Output, &found) == nil && found.AckAt.After(s.ackAt) {
		s.takenBy = found.By
		s.renew(found.AckAt)
		return nil
	}
	by := s.takenBy
	s.release(reasonExpired, by, at)
	s.doubted = at
	return s.note(ctx, EscalationEvent{
		Kind: EscalationExpired, At: at, Next: at,
		Text: fmt.Sprintf("Nothing was heard for %s since %s acknowledged: calls begin again.", inSpan(s.in.Policy.AckTimeout), by),
	})
}

// exhausted says that nobody is left.
func (s *escalation) exhausted() string {
	text := "Every level was called, and nobody has acknowledged"
	if s.in.Policy.Repeat > 0 {
		text = fmt.Sprintf("Every level was called, %d times over, and nobody has acknowledged", s.in.Policy.Repeat+1)
	}
	if len(s.history) == 0 {
		text = "Every level was left out because of its hours, and nobody was called"
	}
	return text + ": nobody is called any more by itself. Call somebody, or escalate by hand."
}

// on takes a signal. One that comes at the wrong time changes nothing.
func (s *escalation) on(ctx context.Context, sig Signal) error {
	switch sig.Kind {
	case signalAcknowledged:
		return s.acknowledged(ctx, sig)
	case signalProgress:
		s.renew(sig.At)
	case signalUnacknowledged:
		if !s.taken {
			return nil
		}
		by := s.takenBy
		s.release(signalUnacknowledged, by, sig.At)
		return s.note(ctx, EscalationEvent{Kind: EscalationWithdrawn, At: sig.At, Actor: sig.Actor, Next: sig.At, Text: fmt.Sprintf("The acknowledgement of %s no longer counts: calls begin again.", by)})
	case signalWorse:
		return s.worse(ctx, sig)
	case signalForce:
		s.plan, s.next, s.due, s.why = planCall, s.forced(), sig.At, callReason{signalForce, sig.Actor}
		return s.note(ctx, EscalationEvent{
			Kind: EscalationForced, At: sig.At, Actor: sig.Actor, Next: sig.At, Level: s.next.level + 1, Name: s.levelAt(s.next).Name,
			Text: fmt.Sprintf("%s calls level %d, %s, by hand.", sig.Actor, s.next.level+1, s.levelAt(s.next).Name),
		})
	case signalEnded:
		return s.finish(ctx, sig.At)
	}
	return nil
}

// acknowledged takes an acknowledgement.
func (s *escalation) acknowledged(ctx context.Context, sig Signal) error {
	if s.taken {
		if !slices.Contains(s.acks, sig.Actor) {
			s.takenBy = sig.Actor
		}
		s.renew(sig.At)
		return nil
	}
	if !slices.Contains(s.acks, sig.Actor) {
		s.acks = append(s.acks, sig.Actor)
	}
	if missing := s.needed() - len(s.acks); missing > 0 {
		s.doubted = sig.At
		return s.note(ctx, EscalationEvent{
			Kind: EscalationPart, At: sig.At, Actor: sig.Actor, Next: s.due,
			Text: fmt.Sprintf("%s has acknowledged; %d more of level %d, %s, have to.", sig.Actor, missing, s.at.level+1, s.levelAt(s.at).Name),
		})
	}
	return s.take(ctx, inList(s.acks), sig.At)
}

// needed is how many people have to acknowledge.
func (s *escalation) needed() int {
	if s.at.level < 0 || !s.levelAt(s.at).MultiAck {
		return 1
	}
	return max(1, s.called)
}

// take stops the calls, since somebody takes care.
func (s *escalation) take(ctx context.Context, by string, at time.Time) error {
	s.taken, s.takenBy, s.doubted, s.why = true, by, time.Time{}, callReason{}
	s.renew(at)
	told, err := s.tellAll(ctx, alert.KindUpdate, at)
	if err != nil {
		return err
	}
	return s.note(ctx, EscalationEvent{Kind: EscalationAcknowledged, At: at, Actor: by, Told: told, Next: s.due, Text: by + " takes care: nobody is called any more."})
}

// renew makes an acknowledgement count from a moment on.
func (s *escalation) renew(at time.Time) {
	if !s.taken {
		return
	}
	s.ackAt = at
	if timeout := s.in.Policy.AckTimeout; timeout > 0 {
		s.ackDue = at.Add(timeout)
	}
	s.waitForExpiry()
}

// waitForExpiry plans for the end of the acknowledgement.
func (s *escalation) waitForExpiry() {
	s.plan, s.due = planExpire, s.ackDue
	if s.ackDue.IsZero() {
		s.plan = planNothing
	}
}

// release takes an acknowledgement back, and plans to call the level that was reached
// again at once, or the first one.
func (s *escalation) release(kind, by string, at time.Time) {
	s.taken, s.takenBy, s.acks, s.ackDue = false, "", nil, time.Time{}
	s.plan, s.due, s.why = planCall, at, callReason{kind, by}
	s.next = s.reached()
}

// reached returns the level that was called last, or the first one.
func (s *escalation) reached() escalationPlace {
	if s.at.level < 0 {
		return s.firstOf(0)
	}
	return s.at
}

// upcoming returns the level that is called next, or no level.
func (s *escalation) upcoming() escalationPlace {
	switch s.plan {
	case planCall:
		return s.next
	case planExpire:
		return s.reached()
	}
	return escalationPlace{0, -1}
}

// firstOf returns the first level of a round, which need not be for the severity if none
// is.
func (s *escalation) firstOf(round int) escalationPlace {
	if p := s.following(escalationPlace{round, -1}); p.level >= 0 {
		return p
	}
	return escalationPlace{round, 0}
}

// forced returns the level that is called by hand.
func (s *escalation) forced() escalationPlace {
	if s.plan == planCall && s.why.kind == "" {
		return s.next
	}
	p := s.following(s.at)
	switch {
	case p.level >= 0:
		return p
	case s.at.level < 0:
		return s.firstOf(0)
	}
	return s.firstOf(min(s.at.round+1, s.in.Policy.Repeat))
}

// worse takes a severity that is worse.
func (s *escalation) worse(ctx context.Context, sig Signal) error {
	var severity alert.Severity
	if err := json.Unmarshal(sig.Data, &severity); err != nil || severity >= s.severity {
		return nil
	}
	text := fmt.Sprintf("It is %s now, and was %s", severity, s.severity)
	s.severity, s.inc.Severity = severity, severity
	switch {
	case s.taken:
		text += ": somebody has acknowledged, and nobody is called because of it."
	case s.at.level < 0:
		if err := s.begin(ctx); err != nil {
			return err
		}
		text += ": what comes next is as fast as that wants it."
	default:
		s.plan, s.next, s.due, s.why = planCall, s.at, sig.At, callReason{signalWorse, sig.Actor}
		text += ": the level that was reached is called again."
	}
	return s.note(ctx, EscalationEvent{Kind: EscalationWorse, At: sig.At, Actor: sig.Actor, Next: s.due, Text: text})
}

// schedule plans what follows a level that was called, or left out, at a moment: the next
// one of the round, after its time or at once; the next round; or the end.
func (s *escalation) schedule(p escalationPlace, at time.Time, atOnce bool) {
	s.plan, s.why = planCall, callReason{}
	if s.next = s.following(p); s.next.level >= 0 {
		s.due = at
		if !atOnce {
			s.due = at.Add(s.levelAt(s.next).after(s.severity))
		}
		return
	}
	s.due = at.Add(s.in.Policy.RepeatAfter)
	if p.round < s.in.Policy.Repeat {
		s.next = s.firstOf(p.round + 1)
		return
	}
	s.plan = planEnd
}

// finish tells those who were called that it is over.
func (s *escalation) finish(ctx context.Context, at time.Time) error {
	s.over, s.plan, s.due = true, planNothing, time.Time{}
	told, err := s.tellAll(ctx, alert.KindResolved, at)
	if err != nil {
		return err
	}
	return s.note(ctx, EscalationEvent{Kind: EscalationOver, At: at, Told: told, Text: "It is over: the escalation ends."})
}
