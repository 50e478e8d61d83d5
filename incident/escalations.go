package incident

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// EscalationProgram is the name under which a host registers [Escalations.Program].
const EscalationProgram = "escalation"

// EscalationsConfig is what [Escalations] are made of.
type EscalationsConfig struct {
	// Runs keeps the escalations and makes them go on. Required.
	Runs Runs
	// Policies say who is called; of those that fit an incident the first is taken. At
	// least one. See [DefaultEscalation].
	Policies []EscalationPolicy
	// Channels are the ways to tell somebody, by the names that policies and people use.
	// One that is an [alert.Escalator] calls one after the other by itself: once it has
	// taken the message, nobody else is woken by that level, and no further level is
	// called, unless by hand. If it refuses the message everything goes on as if there were
	// none.
	Channels map[string]alert.Notifier
	// OnCall knows who is on call. Required if a policy names a team.
	OnCall OnCall
	// Calendars are working hours, by the names that policies use.
	Calendars map[string]Calendar
	// Hooks are those of who keeps the incidents.
	Hooks EscalationHooks
	// Acknowledge says how to acknowledge, to somebody who was asleep a minute ago: "Reply
	// ACK, or press the button at https://ops.example.edu/incidents/{incident}". {incident}
	// stands for the ID of the incident. Empty names the incident only.
	Acknowledge string
	// Timeout limits one attempt to tell somebody. Zero means 30 s.
	Timeout time.Duration
	// Grace is how late something may be before [Escalations.Audit] reports it. Zero means 2
	// minutes.
	Grace time.Duration
	// Logger is told when nobody could be reached, and when a hook fails. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// Escalations call people about incidents, one level after the other, until somebody takes
// care. Each escalation is a run of [Escalations.Program], so that it survives a crash and
// calls nobody twice because of one; where it cannot be known whether somebody was called,
// they are called again with a message that says that it may be a repetition.
//
//	escalations, err := incident.NewEscalations(incident.EscalationsConfig{Runs: runs, …})
//	…
//	err = runs.Launch(ctx, map[string]incident.Program{incident.EscalationProgram: escalations.Program()})
//	…
//	run, err := escalations.Begin(ctx, inc)
//	…
//	err = escalations.Acknowledged(ctx, run, "Ana Silva")
//
// A [Manager] calls Begin and what follows; it changes an incident first, and tells the
// escalation after. Make them with [NewEscalations]. They are safe for concurrent use.
type Escalations struct {
	cfg EscalationsConfig
}

var _ IncidentEscalator = (*Escalations)(nil)

// NewEscalations returns Escalations, or everything that is wrong with cfg.
func NewEscalations(cfg EscalationsConfig) (*Escalations, error) {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("incident: escalations: "+format, args...))
		}
	}
	bad(cfg.Runs == nil, "Runs is missing")
	bad(len(cfg.Policies) == 0, "there is no policy")
	bad(cfg.Timeout < 0 || cfg.Grace < 0, "Timeout or Grace is negative")
	for _, name := range sortedNames(cfg.Channels) {
		bad(cfg.Channels[name] == nil || !isName.MatchString(name), "channel %q has no notifier, or its name is not made of 1 to 60 letters, digits, - and _", name)
	}
	for _, name := range sortedNames(cfg.Calendars) {
		bad(cfg.Calendars[name] == nil, "calendar %q is nil", name)
	}
	cfg.Policies = slices.Clone(cfg.Policies)
	for i, p := range cfg.Policies {
		problems = append(problems, p.Validate())
		bad(slices.ContainsFunc(cfg.Policies[:i], func(other EscalationPolicy) bool { return other.Name == p.Name }), "policy %q is there twice", p.Name)
		for _, missing := range cfg.missing(p) {
			bad(true, "policy %q: %s", p.Name, missing)
		}
		cfg.Policies[i] = p.defaults()
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	cfg.Channels, cfg.Calendars = maps.Clone(cfg.Channels), maps.Clone(cfg.Calendars)
	cfg.Timeout = cmp.Or(cfg.Timeout, 30*time.Second)
	cfg.Grace = cmp.Or(cfg.Grace, 2*time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.Default())
	return &Escalations{cfg: cfg}, nil
}

// missing returns what a policy names and the host does not have.
func (cfg EscalationsConfig) missing(p EscalationPolicy) (missing []string) {
	add := func(when bool, format string, args ...any) {
		if text := fmt.Sprintf(format, args...); when && !slices.Contains(missing, text) {
			missing = append(missing, text)
		}
	}
	channel := func(name string) {
		add(name != "" && cfg.Channels[name] == nil, "there is no channel %q", name)
	}
	calendar := func(h EscalationHours) {
		add(h.Calendar != "" && cfg.Calendars[h.Calendar] == nil, "there is no calendar %q", h.Calendar)
	}
	for _, name := range p.Paging.Channels {
		channel(name)
	}
	for _, l := range p.Levels {
		calendar(l.Hours)
		for _, t := range l.Targets {
			channel(t.Channel)
			calendar(t.Hours)
			add(t.OnCall != "" && cfg.OnCall == nil, "a level calls a team, and OnCall is missing")
		}
	}
	return missing
}

// Program returns the program of escalations, for [Runs] to carry out.
func (x *Escalations) Program() Program { return x.run }

// escalationInput is the input of a run: everything that it depends on.
type escalationInput struct {
	// Version is that of the program's calls.
	Version     int               `json:"version"`
	Policy      EscalationPolicy  `json:"policy"`
	Incident    escalatedIncident `json:"incident"`
	Acknowledge string            `json:"acknowledge,omitempty"`
}

// escalationVersion is that of what a run records.
const escalationVersion = 1

// escalatedIncident is what those who are called are told of an incident.
type escalatedIncident struct {
	ID          string         `json:"id"`
	Title       string         `json:"title"`
	Summary     string         `json:"summary,omitempty"`
	Environment string         `json:"environment,omitempty"`
	Severity    alert.Severity `json:"severity"`
	Playbook    string         `json:"playbook,omitempty"`
	Simulated   bool           `json:"simulated,omitempty"`
	Triggered   time.Time      `json:"triggered"`
	// Reopened is when it was reopened last; levels are counted from there then.
	Reopened time.Time `json:"reopened,omitzero"`
}

// begins is when its levels are counted from.
func (i escalatedIncident) begins() time.Time {
	if i.Reopened.IsZero() {
		return i.Triggered
	}
	return i.Reopened
}

func escalated(inc Incident) escalatedIncident {
	return escalatedIncident{
		ID: inc.ID, Title: cleanLine(inc.Title), Summary: cleanWords(inc.Summary, maxWords), Environment: inc.Environment,
		Severity: inc.Severity, Playbook: inc.Playbook, Simulated: inc.Simulated,
		Triggered: inc.Triggered, Reopened: inc.Reopened,
	}
}

// Begin starts the escalation of an incident and returns the ID of its run. However often
// it is called, there is one for each time that the incident was opened or reopened; it
// goes on with what was known of the incident when it was first called. The ID is empty if
// no policy is for such incidents, so that nobody is called. The error is ErrStale if the
// incident is not open.
func (x *Escalations) Begin(ctx context.Context, inc Incident) (runID string, err error) {
	fail := func(err error) (string, error) { return "", fmt.Errorf("incident: escalate %.100q: %w", inc.ID, err) }
	policy, ok := x.policy(inc)
	switch {
	case runbook.IsReadOnly(ctx):
		return fail(runbook.ErrReadOnly)
	case inc.ID == "" || inc.Triggered.IsZero() || !isSeverity(inc.Severity):
		return fail(errors.New("its ID, its severity or the time at which it was triggered is missing"))
	case inc.State != "" && !inc.State.Open():
		return fail(fmt.Errorf("%w: it is %s; reopen it first", ErrStale, inc.State))
	case !ok:
		x.cfg.Logger.InfoContext(ctx, "incident: no escalation policy is for this incident: nobody is called", "incident", inc.ID, "severity", inc.Severity.String(), "environment", inc.Environment)
		return "", nil
	}
	input, err := json.Marshal(escalationInput{Version: escalationVersion, Policy: policy, Incident: escalated(inc), Acknowledge: x.cfg.Acknowledge})
	if err != nil {
		return fail(err)
	}
	run := RunStart{
		ID: escalationRunID(inc), Program: EscalationProgram, Input: input, By: program, At: escalated(inc).begins(),
		Labels: map[string]string{"incident": inc.ID, "environment": inc.Environment, "policy": policy.Name},
	}
	_, err = x.cfg.Runs.Start(ctx, run)
	if errors.Is(err, ErrStale) { // it began before, with another title or another policy
		_, err = x.cfg.Runs.Record(ctx, run.ID, -1)
	}
	if err != nil {
		return fail(err)
	}
	return run.ID, nil
}

// RunOf returns the ID of the run of an incident, whether it has begun or not, and whether
// or not a policy is for it.
func (x *Escalations) RunOf(inc Incident) string { return escalationRunID(inc) }

// escalationRunID returns the ID of the escalation of an incident since it was opened or
// reopened last.
func escalationRunID(inc Incident) string {
	name := inc.ID
	if !validRunID(name) || len(name) > 60 {
		sum := sha256.Sum256([]byte(inc.ID))
		name = hex.EncodeToString(sum[:12])
	}
	return fmt.Sprintf("escalation-%s-%d", name, inc.Reopens)
}

func (x *Escalations) policy(inc Incident) (EscalationPolicy, bool) {
	i := slices.IndexFunc(x.cfg.Policies, func(p EscalationPolicy) bool { return p.fits(inc) })
	if i < 0 {
		return EscalationPolicy{}, false
	}
	return x.cfg.Policies[i], true
}

// The kinds of signals of an escalation, and their topic.
const (
	escalationTopic      = "escalation"
	signalAcknowledged   = "acknowledged"
	signalProgress       = "progress"
	signalUnacknowledged = "unacknowledged"
	signalWorse          = "worse"
	signalForce          = "force"
	signalEnded          = "ended"
)

// Acknowledged says that somebody takes care: nobody is called any more, as long as that
// counts. Saying it again makes it count from now. Id is that of the run or of the
// incident, here and in the other methods. Without a name it was somebody. It is no error
// if the escalation has ended.
func (x *Escalations) Acknowledged(ctx context.Context, id, by string) error {
	by = cmp.Or(by, "somebody")
	return x.signal(ctx, id, Signal{ID: signalAcknowledged + "-" + rand.Text(), Kind: signalAcknowledged, Actor: by})
}

// Progress says that somebody does something about the incident: what was acknowledged
// stays so from now.
func (x *Escalations) Progress(ctx context.Context, id, by string) error {
	return x.signal(ctx, id, Signal{ID: signalProgress + "-" + rand.Text(), Kind: signalProgress, Actor: by})
}

// Unacknowledged says that nobody takes care any more: the level that was reached is called
// again at once. The error is ErrStale if the escalation has ended.
func (x *Escalations) Unacknowledged(ctx context.Context, id string) error {
	return x.signal(ctx, id, Signal{ID: signalUnacknowledged + "-" + rand.Text(), Kind: signalUnacknowledged, Actor: program})
}

// Worse says that the incident is worse than it was: who was called is told so at once, and
// what comes after is as fast as the policy wants it for the new severity. One that is not
// as bad as before changes nothing: calls do not become slower while nobody answers. The
// error is ErrStale if the escalation has ended.
func (x *Escalations) Worse(ctx context.Context, id string, severity alert.Severity, by string) error {
	data, err := json.Marshal(severity)
	if err != nil {
		return fmt.Errorf("incident: escalation %.100q: %w", id, err)
	}
	return x.signal(ctx, id, Signal{ID: signalWorse + "-" + severity.String(), Kind: signalWorse, Actor: by, Data: data})
}

// Ended says that the incident is over. Those who were called are told. It is no error if
// the escalation has ended.
func (x *Escalations) Ended(ctx context.Context, id string) error {
	return x.signal(ctx, id, Signal{ID: signalEnded, Kind: signalEnded, Actor: program})
}

// Force calls the next level at once, as a person wants: whatever its hours are, also if
// somebody has acknowledged, also if a service was calling people by itself, and from the
// beginning if all levels were called. Pressed twice before the level is called, it calls
// one. The error is ErrStale if the escalation has ended.
func (x *Escalations) Force(ctx context.Context, id, by string) error {
	return x.signal(ctx, id, Signal{Kind: signalForce, Actor: by})
}

// signal sends a signal to the escalation of a run or of an incident.
func (x *Escalations) signal(ctx context.Context, id string, s Signal) error {
	fail := func(err error) error { return fmt.Errorf("incident: escalation %.100q: %s: %w", id, s.Kind, err) }
	if runbook.IsReadOnly(ctx) {
		return fail(runbook.ErrReadOnly)
	}
	if s.Actor = cleanLine(s.Actor); s.Actor == "" {
		return fail(errors.New("who says so is missing"))
	}
	record, err := x.find(ctx, id)
	if err != nil {
		return fail(err)
	}
	s.At = time.Now()
	if s.Kind == signalForce {
		s.ID = fmt.Sprintf("%s-%d", signalForce, levelsCalled(record))
	}
	err = x.cfg.Runs.Signal(ctx, record.ID, escalationTopic, s)
	if errors.Is(err, ErrStale) && (s.Kind == signalAcknowledged || s.Kind == signalProgress || s.Kind == signalEnded) {
		return nil // there is nothing left to stop
	}
	if err != nil {
		return fail(err)
	}
	return nil
}

// find returns the run of that ID, or the newest of the incident of that ID, one that has
// not ended if there is one.
func (x *Escalations) find(ctx context.Context, id string) (RunRecord, error) {
	record, err := x.cfg.Runs.Record(ctx, id, -1)
	if err == nil && record.Program == EscalationProgram {
		return record, nil
	}
	if err != nil && !errors.Is(err, ErrNotFound) {
		return RunRecord{}, err
	}
	found := ""
	for r, err := range x.cfg.Runs.List(ctx, RunQuery{Program: EscalationProgram, Labels: map[string]string{"incident": id}}) {
		if err != nil {
			return RunRecord{}, err
		}
		if found == "" {
			found = r.ID
		}
		if !r.Status.Ended() {
			found = r.ID
			break
		}
	}
	if found == "" {
		return RunRecord{}, fmt.Errorf("%w: there is no escalation of that run or incident; begin one", ErrNotFound)
	}
	return x.cfg.Runs.Record(ctx, found, -1)
}

// levelsCalled returns how often a level was looked up in a run.
func levelsCalled(record RunRecord) (n int) {
	for _, e := range record.Entries {
		if strings.HasSuffix(string(e.ID), lookUpSuffix) {
			n++
		}
	}
	return n
}
