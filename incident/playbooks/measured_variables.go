package playbooks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"go.acu.edu.au/runbook/incident"
)

// Settings are variables of the application that are numbers and switches, as they are
// configured. What is not set is not in it: the application has a default of its own.
type Settings struct {
	// Values are those that can be read, Sealed the names of those that cannot.
	Values map[string]string `json:"values"`
	Sealed []string          `json:"sealed,omitempty"`
}

// settings is a step that looks at some variables. Their values are kept in the record
// of the run: it is for numbers and switches, never for secrets.
func (e Environment) settings(id string, names ...string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look at the settings", Needs: []incident.Need{incident.Needs("Variables", e.Variables)}, OnFailure: incident.GoOn,
		Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			now, err := e.Variables.Variables(ctx)
			if err != nil {
				return nil, err
			}
			found := Settings{Values: make(map[string]string)}
			for _, name := range names {
				if err := recordable(name); err != nil {
					return nil, err
				}
				if value, ok := now.Values[name]; ok {
					found.Values[name] = value.Reveal()
				}
				if slices.Contains(now.Sealed, name) {
					found.Sealed = append(found.Sealed, name)
				}
			}
			return found, nil
		}},
	}
}

// way is in which direction a variable is changed.
type way int

const (
	lower way = iota
	raise
	either
)

// changes is the condition that setting a variable to a number changes it, and in the
// right direction: what is lower already is not "lowered" to more. looked is the step
// that looked at the settings.
func changes(looked, name string, to func(s *incident.Scope) string, direction way) incident.Condition {
	return func(s *incident.Scope) (bool, string) {
		found, ok := incident.Result[Settings](s, looked)
		if !ok {
			return false, name + " could not be read, so that it could not be put back"
		}
		if slices.Contains(found.Sealed, name) {
			return false, name + " is sealed, so that it could not be put back"
		}
		now, err := strconv.Atoi(found.Values[name])
		wanted, bad := strconv.Atoi(to(s))
		switch {
		case bad != nil:
			return false, fmt.Sprintf("%.60q is not a number", to(s))
		case err != nil: // not set, or no number: the default of the application is not known
			return true, ""
		case direction == lower && now <= wanted:
			return false, fmt.Sprintf("%s is %d already, which is no more than %d", name, now, wanted)
		case direction == raise && now >= wanted:
			return false, fmt.Sprintf("%s is %d already, which is no less than %d", name, now, wanted)
		case now == wanted:
			return false, fmt.Sprintf("%s is %d already", name, now)
		}
		return true, ""
	}
}

// parameter gives the value of a parameter of the playbook.
func parameter(name string) func(s *incident.Scope) string {
	return func(s *incident.Scope) string { return s.Text(name) }
}

// tryVariable is a trial of one variable.
func (e Environment) tryVariable(t trial, name string, replaces ...string) trial {
	t.forward = e.change("set", t.title, func(s *incident.Scope) map[string]string { return map[string]string{name: s.Text("value")} }, replaces...)
	t.back = e.putBackSteps("back", "Put "+name+" back to what it was", func(s *incident.Scope) (Changed, bool) { return incident.Result[Changed](s, "set-before") })
	return t
}

// putBackSteps are the steps that set variables to what they were before a change, deploy,
// and prove it. They are steps of their own, so that a crash in between repeats no
// deployment.
func (e Environment) putBackSteps(id, title string, of func(s *incident.Scope) (Changed, bool)) []incident.Step {
	needs := []incident.Need{incident.Needs("Variables", e.Variables), incident.Needs("Deployer", e.Deployer)}
	wasSet := func(s *incident.Scope) (bool, string) { return s.Did(id), "nothing was put back" }
	return []incident.Step{
		{
			ID: id, Title: title, Needs: needs, Attempts: 3,
			Do: incident.Action{
				Repeat: incident.Idempotent,
				Run: func(ctx context.Context, s *incident.Scope) (any, error) {
					changed, ok := of(s)
					if !ok {
						return nil, incident.Final(errors.New("what was there before is not known"))
					}
					return e.wrote(ctx, changed, changed.back())
				},
				Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
					changed, _ := of(s)
					return incident.Effect{
						Call:    fmt.Sprintf("set %s of %s to what was there before, without deploying", namesOf(changed), e.name()),
						Changes: []string{"as it was before: " + cmp.Or(assignments(changed.Before), "not set")},
					}, nil
				},
			},
		},
		withWhen(e.redeployAfter(id, "Deploy with what was there before"), wasSet),
		{
			ID: id + "-prove", Title: "See that the application got it", Needs: needs, When: wasSet,
			Do: incident.Verify{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				changed, _ := incident.Result[Changed](s, id)
				return nil, e.proven(ctx, slices.Sorted(maps.Keys(changed.After)))
			}},
		},
	}
}

// back is the batch that sets what was there before.
func (c Changed) back() incident.VariableBatch {
	b := batch(c.Before)
	for _, name := range slices.Sorted(maps.Keys(c.After)) {
		if _, was := c.Before[name]; !was {
			b.Delete = append(b.Delete, name)
		}
	}
	return b
}

func namesOf(c Changed) string {
	if len(c.After) == 0 {
		return "the variables"
	}
	return fmt.Sprint(slices.Sorted(maps.Keys(c.After)))
}

// restoredVariable is a step that puts a variable back that a trial has changed.
func (e Environment) restoredVariable(trial, title string, g gauge, when incident.Condition) incident.Step {
	again := func(s *incident.Scope) (Changed, bool) {
		changed, ok := told[Changed](s)
		return Changed{Before: changed.After, After: changed.After}, ok
	}
	return restoration{
		trial: trial, title: title, gauge: g, when: when,
		back:    e.putBackSteps("back", title, told[Changed]),
		again:   e.putBackSteps("again", "Set it again: it does not stay well without it", again),
		changed: func(s *incident.Scope) any { c, _ := incident.Result[Changed](s, trial+".set-before"); return c },
	}.step(e)
}
