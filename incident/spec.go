package incident

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A StepSpec is a step without its funcs: what a run keeps of it, so that a playbook can
// be edited while a run is under way. See [Step] for what the fields mean; here the
// defaults are filled in.
type StepSpec struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Kind     Kind     `json:"kind"`
	About    string   `json:"about,omitempty"`
	Phase    string   `json:"phase,omitempty"`
	Timeout  Interval `json:"timeout,omitempty"`
	Attempts int      `json:"attempts,omitempty"`
	Backoff  Interval `json:"backoff,omitempty"`
	Failure  Failure  `json:"on_failure,omitempty"`
	// Conditional means that a Condition decides whether it is needed.
	Conditional bool `json:"conditional,omitempty"`
	// Repeat and Undo are those of an action.
	Repeat Repeat `json:"repeat,omitempty"`
	Undo   bool   `json:"undo,omitempty"`
	Undoes string `json:"undoes,omitempty"`
	// Within, Every and Times are those of what waits; For is how long it sleeps.
	Within Interval `json:"within,omitempty"`
	Every  Interval `json:"every,omitempty"`
	Times  int      `json:"times,omitempty"`
	For    Interval `json:"for,omitempty"`
	// Min, Roles and Bound are those of an approval.
	Min   int      `json:"min,omitempty"`
	Roles []string `json:"roles,omitempty"`
	Bound bool     `json:"bound,omitempty"`
	// Why says why a person does it.
	Why string `json:"why,omitempty"`
	// Collect and Steps are those of a group; Steps are those of a playbook within the
	// playbook as well, with Playbook as its name.
	Collect  bool       `json:"collect,omitempty"`
	Playbook string     `json:"playbook,omitempty"`
	Steps    []StepSpec `json:"steps,omitempty"`
}

// An Interval is a duration that is written as "1m30s".
type Interval time.Duration

// MarshalText returns the duration as time.Duration writes it.
func (i Interval) MarshalText() ([]byte, error) { return []byte(time.Duration(i).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (i *Interval) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("incident: %w", err)
	}
	*i = Interval(d)
	return nil
}

// String returns the duration as time.Duration writes it.
func (i Interval) String() string { return time.Duration(i).String() }

// runInput is what a run of a playbook is started with: everything that decides what it
// does, but the funcs.
type runInput struct {
	// Interpreter is the version of the interpreter that made it.
	Interpreter int               `json:"interpreter"`
	Playbook    string            `json:"playbook"`
	Title       string            `json:"title"`
	Environment string            `json:"environment"`
	Severity    alert.Severity    `json:"severity"`
	Parameters  map[string]string `json:"parameters,omitempty"`
	Incident    string            `json:"incident,omitempty"`
	// Automatic means that no person started it.
	Automatic bool `json:"automatic,omitempty"`
	// Plan is the hash of the plan that was agreed to; empty means none.
	Plan string `json:"plan,omitempty"`
	// Only are the steps to make; none means all.
	Only       []string   `json:"only,omitempty"`
	Phases     []phase    `json:"phases,omitempty"`
	Steps      []StepSpec `json:"steps"`
	Timeout    Interval   `json:"timeout"`
	Escalation string     `json:"escalation,omitempty"`
}

// phase is a [Phase] as a run keeps it.
type phase struct {
	Name   string   `json:"name"`
	Budget Interval `json:"budget,omitempty"`
}

// Specs returns the steps of the playbook without their funcs, with the defaults filled
// in. Steps of a playbook within have the id of its step before their own.
func (p Playbook) Specs() []StepSpec { return specs(p.Steps, "") }

func specs(steps []Step, prefix string) []StepSpec {
	all := make([]StepSpec, 0, len(steps))
	for _, s := range steps {
		all = append(all, s.spec(prefix))
	}
	return all
}

// spec returns the step without its funcs.
func (s Step) spec(prefix string) StepSpec {
	spec := StepSpec{
		ID: prefix + s.ID, Title: s.Title, Kind: s.Do.kind(), About: s.About, Phase: s.Phase,
		Timeout: Interval(or(s.Timeout, time.Minute)), Attempts: or(s.Attempts, 3), Backoff: Interval(or(s.Backoff, 2*time.Second)),
		Failure: or(s.OnFailure, Pause), Conditional: s.When != nil,
	}
	if prefix != "" {
		spec.Phase = "" // the phases of a playbook within do not matter
	}
	if target, ok := strings.CutPrefix(string(spec.Failure), "goto "); ok {
		spec.Failure = GoTo(prefix + target)
	}
	switch do := s.Do.(type) {
	case Action:
		spec.Timeout, spec.Attempts = Interval(or(s.Timeout, 5*time.Minute)), or(s.Attempts, 1)
		spec.Repeat, spec.Undo, spec.Undoes = do.Repeat, do.Undo != nil, do.Undoes
	case Verify:
		spec.Within, spec.Every, spec.Times = Interval(or(do.Within, 5*time.Minute)), Interval(or(do.Every, 15*time.Second)), or(do.Times, 1)
	case Wait:
		spec.Within, spec.Every = Interval(do.Within), Interval(or(do.Every, 15*time.Second))
	case Sleep:
		spec.For = Interval(do.For)
	case Approve:
		spec.Failure = or(s.OnFailure, Abort)
		spec.Min, spec.Roles, spec.Bound, spec.Within = or(do.Min, 1), do.Roles, do.Bound, Interval(or(do.Within, 30*time.Minute))
	case Notice:
		spec.Failure = or(s.OnFailure, GoOn)
	case Manual:
		spec.Why, spec.Within = do.Why, Interval(do.Within)
	case Parallel:
		spec.Collect, spec.Steps = do.Collect, specs(do.Steps, prefix)
	case Sub:
		spec.Playbook, spec.Steps = do.Playbook.Name, specs(do.Playbook.Steps, prefix+s.ID+".")
	}
	return spec
}

// has reports whether the step is of a kind, or one within it.
func (s Step) has(kind Kind) bool {
	is := func(within Step) bool { return within.has(kind) }
	switch do := s.Do.(type) {
	case Parallel:
		return slices.ContainsFunc(do.Steps, is)
	case Sub:
		return slices.ContainsFunc(do.Playbook.Steps, is)
	}
	return s.Do.kind() == kind
}

// or returns the first value, or the second if that is zero.
func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// index returns the steps by the ids of their specs.
func (p Playbook) index() map[string]Step {
	all := make(map[string]Step)
	var add func(steps []Step, prefix string)
	add = func(steps []Step, prefix string) {
		for _, s := range steps {
			all[prefix+s.ID] = s
			switch do := s.Do.(type) {
			case Parallel:
				add(do.Steps, prefix)
			case Sub:
				add(do.Playbook.Steps, prefix+s.ID+".")
			}
		}
	}
	add(p.Steps, "")
	return all
}

// place is where steps stand that are validated.
type place struct {
	parallel bool
	depth    int
}

// steps validates steps, and those within them.
func (v *validator) steps(steps []Step, prefix string, at place) {
	if v.ids == nil {
		v.ids = make(map[string]bool)
	}
	for _, s := range steps {
		id := prefix + s.ID
		switch {
		case !isName.MatchString(s.ID):
			v.fail("step %q: its id is not one of letters, digits, - and _, up to 60", id)
		case v.ids[id]:
			v.fail("step %s: there is another one with this id", id)
		case oneOf(id, "run", "phase"):
			v.fail("step %s: the record of a run has its own things under this id; take another one", id)
		case len(id) > 150:
			v.fail("step %s: its id is longer than 150 with those of the steps that it is within", id)
		}
		v.ids[id] = true
		v.step(s, id, at)
	}
	for _, s := range steps {
		target, jumps := strings.CutPrefix(string(s.OnFailure), "goto ")
		known := func(t Step) bool { return t.ID == target && t.ID != s.ID }
		switch {
		case jumps && (at.parallel || !slices.ContainsFunc(steps, known)):
			v.fail("step %s: on failure it goes to %q, which is no other step beside it", prefix+s.ID, target)
		case !jumps && !oneOf(s.OnFailure, "", Pause, Abort, UndoAll, GoOn):
			v.fail("step %s: %q is nothing that can happen after a failure", prefix+s.ID, s.OnFailure)
		}
	}
}

// oneOf reports whether a value is one of some.
func oneOf[T comparable](value T, all ...T) bool { return slices.Contains(all, value) }

// step validates what all steps have in common, and then what it does.
func (v *validator) step(s Step, id string, at place) {
	v.needs(id, s.Needs)
	if s.Title == "" {
		v.fail("step %s: a title is required", id)
	}
	if s.Phase != "" && !v.phases[s.Phase] && at.depth == 0 {
		v.fail("step %s: there is no phase %q", id, s.Phase)
	}
	if s.Timeout < 0 || s.Backoff < 0 || s.Attempts < 0 {
		v.fail("step %s: its timeout, its backoff and its attempts must not be negative", id)
	}
	if s.Do == nil {
		v.fail("step %s: it does nothing", id)
		return
	}
	switch s.Do.(type) {
	case Check, Action, Verify, Approve, Wait, Sleep, Notice, Manual, Parallel, Sub:
	default:
		v.fail("step %s: what it does is a %T; it has to be one of the kinds of this package, and no pointer to one", id, s.Do)
		return
	}
	if at.parallel && !oneOf(s.Do.kind(), KindCheck, KindAction, KindVerify, KindWait, KindNotice) {
		v.fail("step %s: a %s cannot be one of a group", id, s.Do.kind())
	}
	for _, problem := range s.problems() {
		v.fail("step %s: %w", id, problem)
	}
	switch do := s.Do.(type) {
	case Parallel:
		v.steps(do.Steps, strings.TrimSuffix(id, s.ID), place{parallel: true, depth: at.depth})
	case Sub:
		if at.depth == 5 {
			v.fail("step %s: playbooks within playbooks are five deep here", id)
			return
		}
		v.parameters(do.Playbook.Parameters)
		v.needs(id, do.Playbook.Needs)
		v.steps(do.Playbook.Steps, id+".", place{depth: at.depth + 1})
	}
}

// problems returns what is wrong with what the step does.
func (s Step) problems() (errs []error) {
	must := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New(what))
		}
	}
	switch do := s.Do.(type) {
	case Check:
		must(do.Run != nil, "a check needs Run")
	case Action:
		must(do.Run != nil && do.Preview != nil, "an action needs Run and Preview")
		must(oneOf(do.Repeat, AtMostOnce, CheckFirst, Idempotent), "its Repeat is none")
		must(do.Repeat != CheckFirst || do.Done != nil, "an action that checks first needs Done")
	case Verify:
		must(do.Run != nil, "a verify needs Run")
		must(do.Within >= 0 && do.Every >= 0 && do.Times >= 0, "Within, Every and Times must not be negative")
	case Approve:
		must(do.Question != nil, "an approval needs a Question")
		must(do.Min >= 0 && do.Min <= 20 && do.Within >= 0, "Min must be from 1 to 20, and Within not negative")
	case Wait:
		must(do.Until != nil && do.Within > 0 && do.Every >= 0, "a wait needs Until, and how long Within")
	case Sleep:
		must(do.For > 0, "a sleep needs how long For")
	case Notice:
		must(do.Message != nil && do.Send != nil, "a notice needs Message and Send")
	case Manual:
		must(do.Instruction != nil && do.Why != "", "a manual step needs an Instruction, and Why no program does it")
		must(do.Within >= 0, "Within must not be negative")
	case Parallel:
		must(len(do.Steps) > 0, "a group needs steps")
	case Sub:
		must(len(do.Playbook.Steps) > 0, "a playbook within needs steps")
	}
	return errs
}
