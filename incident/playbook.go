package incident

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook/alert"
)

// A Playbook is a procedure as a program: what to look at, what to do about it, whom to
// ask, and how to see that it helped. It is a value: it can be validated, printed as a
// document, planned and run, and is not changed once a [Runner] has it.
type Playbook struct {
	// Name names it: "application-down". Letters, digits and -. Required.
	Name string
	// Environment is the one that it acts on: "production". A playbook for three
	// environments is three values. Required.
	Environment string
	// Title is one line, About says when to use it: the symptoms. Source names the
	// section of the written procedure that it carries out.
	Title, About, Source string
	// Severity is that of the incidents it is for.
	Severity alert.Severity
	// Parameters are what it can be told.
	Parameters []Parameter
	// Needs are what it cannot do without. A playbook with a need that is not met is
	// not valid.
	Needs []Need
	// Phases are the stretches of it that have a time budget, in order. A step says to
	// which it belongs.
	Phases []Phase
	// Steps are what it does, in order.
	Steps []Step
	// Timeout ends a run that has not ended by itself, also one that waits for a person.
	// Zero means 24 h.
	Timeout time.Duration
	// Lock names what no two runs may work on at the same time. Empty means the
	// environment.
	Lock string
	// Escalation says whom to call when it does not help.
	Escalation string
}

// A Phase is a stretch of a playbook with a time budget.
type Phase struct {
	// Name is one line: "Immediate assessment".
	Name string
	// Budget is how long it should take at most. Taking longer ends nothing: it is put on
	// the timeline, at the moment at which the time is over. Zero means that there is no
	// limit.
	Budget time.Duration
}

// A Need is something that a playbook calls: a port, and whether the host has it.
type Need struct {
	// Name is that of the port: "Deployer".
	Name string
	// Met says that it is there.
	Met bool
}

// Needs returns the need of a port, which is met unless value is nil.
func Needs(name string, value any) Need {
	if value == nil {
		return Need{Name: name}
	}
	switch v := reflect.ValueOf(value); v.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan, reflect.Interface:
		return Need{Name: name, Met: !v.IsNil()}
	}
	return Need{Name: name, Met: true}
}

// A Parameter is something that a playbook can be told when it is started. Its value is
// kept in the record of the run and shown to whoever may read that: it is never a secret.
type Parameter struct {
	// Name names it: letters, digits, - and _. Required.
	Name string
	// About says in a line what it is.
	About string
	// Type is what its values look like. Empty means text.
	Type ParameterType
	// Default is its value if none is given. A parameter without one is required unless
	// Optional is set; an optional one without a default is empty.
	Default  string
	Optional bool
	// Min and Max bound a whole number or a duration, both inclusive. Empty means that
	// there is no bound.
	Min, Max string
	// Choices are all values that a text may have. None means any.
	Choices []string
}

// ParameterType is what the values of a parameter look like.
type ParameterType string

// The types of parameters.
const (
	Text     ParameterType = ""         // a text of at most 1,000 characters
	Whole    ParameterType = "whole"    // a whole number: "8"
	Duration ParameterType = "duration" // as time.ParseDuration reads it: "90s"
	YesNo    ParameterType = "yes-no"   // "yes" or "no"
)

// check returns what is wrong with a value.
func (p Parameter) check(value string) error {
	if value == "" {
		if p.Optional {
			return nil
		}
		return fmt.Errorf("parameter %s: a value is required", p.Name)
	}
	if utf8.RuneCountInString(value) > 1000 {
		return fmt.Errorf("parameter %s: longer than 1,000 characters", p.Name)
	}
	if len(p.Choices) > 0 && !slices.Contains(p.Choices, value) {
		return fmt.Errorf("parameter %s: %.60q is none of %s", p.Name, value, strings.Join(p.Choices, ", "))
	}
	v, err := p.measure(value)
	if err != nil {
		return fmt.Errorf("parameter %s: %.60q %w", p.Name, value, err)
	}
	// The bounds were validated with the playbook.
	if low, err := p.measure(p.Min); p.Min != "" && err == nil && v < low {
		return fmt.Errorf("parameter %s: %s is less than %s", p.Name, value, p.Min)
	}
	if high, err := p.measure(p.Max); p.Max != "" && err == nil && v > high {
		return fmt.Errorf("parameter %s: %s is more than %s", p.Name, value, p.Max)
	}
	return nil
}

// measure reads a value as a number that can be compared; zero for what is none.
func (p Parameter) measure(value string) (int64, error) {
	switch p.Type {
	case Whole:
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return 0, errors.New("is not a whole number")
		}
		return n, nil
	case Duration:
		d, err := time.ParseDuration(value)
		if err != nil {
			return 0, errors.New("is not a duration (such as 90s or 5m)")
		}
		return int64(d), nil
	case YesNo:
		if value != "yes" && value != "no" {
			return 0, errors.New("is neither yes nor no")
		}
	}
	return 0, nil
}

// values returns the value of each parameter, from what is given and the defaults, or
// everything that is wrong with it.
func (p Playbook) values(given map[string]string) (map[string]string, error) {
	var errs []error
	all := make(map[string]string, len(p.Parameters))
	for _, parameter := range p.Parameters {
		value, ok := given[parameter.Name]
		if !ok {
			value = parameter.Default
		}
		errs = append(errs, parameter.check(value))
		all[parameter.Name] = value
	}
	for _, name := range sortedNames(given) {
		if _, ok := all[name]; !ok {
			errs = append(errs, fmt.Errorf("there is no parameter %q", name))
		}
	}
	return all, errors.Join(errs...)
}

// only returns the steps to make of those that somebody wants. Approvals that stand
// before one that changes something are among them: whoever leaves out a step does not
// leave out the question whether the next may be made.
func (p Playbook) only(wanted []string) ([]string, error) {
	if len(wanted) == 0 {
		return nil, nil
	}
	var errs []error
	for _, id := range wanted {
		if !slices.ContainsFunc(p.Steps, func(s Step) bool { return s.ID == id }) {
			errs = append(errs, fmt.Errorf("there is no step %q", id))
		}
	}
	var all []string
	changing := "" // the last step that is wanted and changes something
	for _, s := range slices.Backward(p.Steps) {
		chosen, approves := slices.Contains(wanted, s.ID), s.has(KindApprove)
		if !chosen && changing != "" && approves && s.Do.kind() == KindSub {
			errs = append(errs, fmt.Errorf("step %s is made with the approvals within step %s only; choose that too", changing, s.ID))
		}
		if chosen || changing != "" && approves && s.Do.kind() == KindApprove {
			all = append(all, s.ID)
		}
		if chosen && s.has(KindAction) {
			changing = s.ID
		}
	}
	slices.Reverse(all)
	return all, errors.Join(errs...)
}

// sortedNames returns the keys of a map in order.
func sortedNames[V any](m map[string]V) []string {
	return slices.Sorted(maps.Keys(m))
}

// lock returns what no two runs may work on at the same time.
func (p Playbook) lock() string {
	if p.Lock != "" {
		return p.Lock
	}
	return p.Environment
}

var isName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,59}$`)

// Validate returns everything that is wrong with the playbook, or nil: also each port
// that it needs and that the host does not have.
func (p Playbook) Validate() error {
	v := validator{phases: make(map[string]bool)}
	if !isName.MatchString(p.Name) {
		v.fail("its name %q is not one of letters, digits, - and _, up to 60", p.Name)
	}
	if !isName.MatchString(p.Environment) {
		v.fail("an environment is required, of letters, digits, - and _, up to 60")
	}
	if p.Title == "" {
		v.fail("a title is required")
	}
	if p.Severity < alert.Critical || p.Severity > alert.Low {
		v.fail("severity %d is not one from 1 to 4", p.Severity)
	}
	if p.Timeout < 0 {
		v.fail("its timeout %v is negative", p.Timeout)
	}
	if len(p.Steps) == 0 {
		v.fail("it has no steps")
	}
	v.needs("", p.Needs)
	v.parameters(p.Parameters)
	for _, phase := range p.Phases {
		if phase.Name == "" || v.phases[phase.Name] || phase.Budget < 0 {
			v.fail("phase %q: a name that no other phase has is required, and no negative budget", phase.Name)
		}
		v.phases[phase.Name] = true
	}
	v.steps(p.Steps, "", place{})
	if len(v.errs) == 0 {
		return nil
	}
	return fmt.Errorf("playbook %s of %s: %w", p.Name, p.Environment, errors.Join(v.errs...))
}

// validator collects what is wrong with a playbook.
type validator struct {
	errs   []error
	phases map[string]bool
	ids    map[string]bool
}

func (v *validator) fail(format string, args ...any) {
	v.errs = append(v.errs, fmt.Errorf(format, args...))
}

func (v *validator) needs(step string, needs []Need) {
	for _, need := range needs {
		if !need.Met {
			if step != "" {
				v.fail("step %s needs a %s, which this environment does not have", step, need.Name)
				continue
			}
			v.fail("it needs a %s, which this environment does not have", need.Name)
		}
	}
}

func (v *validator) parameters(parameters []Parameter) {
	seen := make(map[string]bool)
	for _, p := range parameters {
		if !isName.MatchString(p.Name) || seen[p.Name] {
			v.fail("parameter %q: a name that no other parameter has is required, of letters, digits, - and _", p.Name)
		}
		seen[p.Name] = true
		if !oneOf(p.Type, Text, Whole, Duration, YesNo) {
			v.fail("parameter %s: there is no type %q", p.Name, p.Type)
		}
		for _, bound := range []string{p.Min, p.Max} {
			if _, err := p.measure(bound); bound != "" && err != nil {
				v.fail("parameter %s: its bound %q %w", p.Name, bound, err)
			}
		}
		if p.Default != "" {
			if err := p.check(p.Default); err != nil {
				v.fail("its default: %w", err)
			}
		}
	}
}
