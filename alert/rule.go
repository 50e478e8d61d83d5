package alert

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A Rule says when something is wrong, and what to tell of it. It is applied to every
// source of its input by itself: each check, each service has an alert of its own.
type Rule struct {
	// Name names the rule: letters, digits, - and _. Required.
	Name string
	// Input is the name of the input that it judges, one of [EngineConfig.Inputs]. Empty
	// only for a [Combined].
	Input string
	// When is the condition. Required.
	When Condition
	// Severity is how bad it is. Required.
	Severity Severity
	// Summary says in a line what is wrong. {entity}, {environment}, {value}, {limit}
	// and {text} stand for what they say; an alert without an entity has the name of its
	// input instead. Empty means the name of the rule and the entity.
	Summary string
	// Playbook names what to do.
	Playbook string
	// Labels are added to those of the source.
	Labels map[string]string

	// For is how long the condition must hold before it fires; zero means at once.
	// Tolerance is how many good evaluations in a row are passed over meanwhile. An
	// evaluation is a sample, or for a Counter all samples of a second, and what depends
	// on time is evaluated by time as well. The count begins anew after a pause of more
	// than two and a half intervals of the input, after a time in which the machine was
	// suspended, and when the clock was set.
	For       time.Duration
	Tolerance int
	// Recover is how many good evaluations in a row resolve it. Zero means 1.
	Recover int
	// Hold is how long it goes on firing after the condition held last. Zero means not
	// at all.
	Hold time.Duration
	// NoData is what happens when nothing is measured for NoDataAfter; zero means three
	// times the interval of the input, if it has one, and else never. It says nothing to
	// a [Silent], whose condition is just that; and what is [Due] or [Aged] goes on being
	// judged by the moment that is known, unless the policy says bad or good.
	NoData      Policy
	NoDataAfter time.Duration
	// OnError is what happens while it cannot be evaluated. An alert of its own has to
	// last for For, and for two intervals of the input.
	OnError Policy
	// Flap says when it comes and goes too often.
	Flap Flap
	// Parents are the names of rules whose alerts explain those of this one, in the same
	// environment, for the same entity or for those that the source names. They explain
	// missing data too.
	Parents []string
}

// Policy is what happens without data, or without a judgement. Missing data, a failed
// evaluation and a condition that holds are three things.
type Policy string

// The policies.
const (
	// Separate keeps the alert as it is and raises one of its own, which is less
	// severe; its end resolves nothing else. It is what the empty policy means.
	Separate Policy = "separate"
	// Keep keeps the alert as it is, and says nothing.
	Keep Policy = "keep"
	// AsBad takes it as if the condition held.
	AsBad Policy = "bad"
	// AsGood takes it as if it did not.
	AsGood Policy = "good"
)

func (p Policy) valid() bool {
	return p == "" || p == Separate || p == Keep || p == AsBad || p == AsGood
}

// Flap says when an alert comes and goes too often. It is then held open, with one
// message that says so, until the condition has not held for Quiet.
type Flap struct {
	// Changes is how many times it begins or ends Within a time: at least 3. Zero means
	// 6, and an hour; a negative number switches it off.
	Changes int
	Within  time.Duration
	// Quiet is how long the condition must not hold. Zero means half of Within.
	Quiet time.Duration
}

// problems returns everything that is wrong with a rule.
func (r *Rule) problems(inputs map[string]Input, rules map[string]*Rule) (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: rule %q: "+format, append([]any{r.Name}, args...)...))
	}
	if !isName(r.Name) {
		bad("the name must be of letters, digits, - and _, at most %d characters", maxName)
	}
	if err := r.Severity.validate(); err != nil {
		bad("%w", err)
	}
	if r.For < 0 || r.Tolerance < 0 || r.Recover < 0 || r.Hold < 0 || r.NoDataAfter < 0 {
		bad("For, Tolerance, Recover, Hold or NoDataAfter is negative")
	}
	if !r.NoData.valid() || !r.OnError.valid() {
		bad("a policy is not known; it is separate, keep, bad or good")
	}
	if f := r.Flap; f.Within < 0 || f.Quiet < 0 || f.Changes == 1 || f.Changes == 2 {
		bad("flap: Changes must be at least 3, and Within and Quiet not negative")
	}
	for _, word := range placeholder.FindAllString(r.Summary, -1) {
		if !slices.Contains(placeholders[:], word) {
			bad("summary: %s is not known; it is one of %s", word, strings.Join(placeholders[:], ", "))
		}
	}
	for _, name := range r.Parents {
		if rules[name] == nil || name == r.Name {
			bad("the parent %q is no other rule", name)
		}
	}
	if leadsTo(r.Name, r.Name, rules, func(r *Rule) []string { return r.Parents }) {
		bad("its parents lead back to it: each would keep the others from being told")
	}
	return append(problems, r.conditionProblems(inputs, rules)...)
}

func (r *Rule) conditionProblems(inputs map[string]Input, rules map[string]*Rule) (problems []error) {
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alert: rule %q: "+format, append([]any{r.Name}, args...)...))
	}
	switch r.When.(type) {
	case nil:
		bad("has no condition")
		return problems
	case Above, Below, Failures, NofM, Rate, Ratio, BurnRate, Silent, Due, Aged, Changed, Unequal, Combined:
	default:
		bad("its condition is a %T; give it by value", r.When)
		return problems
	}
	if err := r.When.validate(); err != nil {
		bad("%w", err)
	}
	if c, ok := r.When.(Combined); ok {
		for _, name := range c.rules() {
			if rules[name] == nil || name == r.Name {
				bad("combined: %q is no other rule", name)
			}
		}
		if leadsTo(r.Name, r.Name, rules, (*Rule).combines) {
			bad("combined: it is made of itself")
		}
		if r.Input != "" {
			bad("a combined rule has no input of its own")
		}
		return problems
	}
	switch in, ok := inputs[r.Input]; {
	case !ok:
		bad("nothing feeds its input %q: wire it, or leave the rule out", r.Input)
	case in.Kind != r.When.kind():
		bad("its condition judges an input of kind %s, and %q is of kind %s", r.When.kind(), r.Input, in.Kind)
	}
	return problems
}

// combines are the names of the rules of which a rule is made.
func (r *Rule) combines() []string {
	c, _ := r.When.(Combined)
	return c.rules()
}

// leadsTo reports whether one can go from a rule to another one.
func leadsTo(from, to string, rules map[string]*Rule, next func(*Rule) []string) bool {
	seen := make(map[string]bool)
	var visit func(name string) bool
	visit = func(name string) bool {
		r := rules[name]
		if r == nil || seen[name] {
			return false
		}
		seen[name] = true
		return slices.ContainsFunc(next(r), func(name string) bool { return name == to || visit(name) })
	}
	return visit(from)
}

var (
	placeholder  = regexp.MustCompile(`\{[^{}]*\}`)
	placeholders = [...]string{"{entity}", "{environment}", "{value}", "{limit}", "{text}"}
)

// summary fills in the summary of a rule.
func (r *Rule) summary(s *source, v verdict) string {
	text := r.Summary
	if text == "" {
		text = r.Name + " {entity}"
	}
	if !strings.Contains(text, "{") {
		return text
	}
	entity, unit := s.Entity, r.When.unit(s.unit)
	if entity == "" {
		entity = r.Input
	}
	return strings.TrimSpace(strings.NewReplacer(
		"{entity}", entity, "{environment}", s.Environment, "{value}", number(v.value, unit), "{limit}", number(v.limit, unit), "{text}", cut(v.text, 200),
	).Replace(text))
}
