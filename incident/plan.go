package incident

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Plan is what a run would do: its checks were made against the live state, and
// nothing was changed. Steps after an action are planned as if it had succeeded.
type Plan struct {
	// Run is the run as it would be, marked as simulated.
	Run Run `json:"run"`
	// Hash names what would be done: the steps, and what each would change, with the
	// parameters. Two plans with the same hash do the same. See [Request].Plan.
	Hash string `json:"hash"`
	// Made is when it was made.
	Made time.Time `json:"made"`
	// Problems are what would stop the run, or make it ask a person: checks that fail,
	// previews that cannot be made.
	Problems []string `json:"problems,omitempty"`
}

// effects returns what would be changed, in order.
func (p Plan) effects() []Effect {
	var all []Effect
	for _, s := range p.Run.Steps {
		if s.Effect != nil && s.Kind == KindAction {
			all = append(all, *s.Effect)
		}
	}
	return all
}

// makePlan carries out a run on an engine that records nothing and waits for nothing.
func makePlan(ctx context.Context, x *interpreter) (Plan, error) {
	end, err := x.carryOut(ctx)
	if err != nil {
		return Plan{}, err
	}
	plan := Plan{Run: *x.view, Made: wallTime()}
	plan.Run.Simulated, plan.Run.State, plan.Run.Reason = true, end.State, end.Reason
	for _, s := range plan.Run.Steps {
		if s.State == StepFailed || s.State == StepUnknown {
			plan.Problems = append(plan.Problems, fmt.Sprintf("%s (%s): %s", s.ID, s.Title, s.Message))
		}
	}
	plan.Hash = plan.hash()
	plan.Run.Text = plan.words()
	return plan, nil
}

// hash names what would be done. What checks found is not in it, since it is different
// each time; what follows from it is.
func (p Plan) hash() string {
	type act struct {
		StepSpec
		State  StepState `json:"state"`
		Effect *Effect   `json:"effect,omitempty"`
	}
	acts := make([]act, 0, len(p.Run.Steps))
	for _, s := range p.Run.Steps {
		acts = append(acts, act{s.StepSpec, s.State, s.Effect})
	}
	given := make(map[string]string) // and not null where there are none
	maps.Copy(given, p.Run.Parameters)
	sum := sha256.Sum256(marshal([]any{p.Run.Playbook, p.Run.Environment, given, acts}))
	return hex.EncodeToString(sum[:16])
}

// words says in a sentence what would be done.
func (p Plan) words() string {
	changes := len(p.effects())
	text := fmt.Sprintf("plan: %d changes", changes)
	switch changes {
	case 0:
		text = "plan: nothing would be changed"
	case 1:
		text = "plan: 1 change"
	}
	if p.Run.State != StateSucceeded {
		text += "; it would end there: " + p.Run.Reason
	}
	if len(p.Problems) > 0 {
		text += "; not everything is as it should be"
	}
	return text
}

// aside returns an interpreter that plans what comes after the present step, up to the
// next approval, and changes nothing of this one: the steps beside it, and then those
// after the playbooks that it is within.
func (x *interpreter) aside() *interpreter {
	part := []frame{{x.scope, x.rest}}
	for _, f := range slices.Backward(x.outer) {
		part = append(part, f)
	}
	in, outcomes := x.in, maps.Clone(x.scope.outcomes)
	in.Steps = nil
	for i, f := range part {
		part[i].scope.outcomes = outcomes
		in.Steps = append(in.Steps, f.steps...)
	}
	aside := newInterpreter(x.start, in, planEngine{}, x.host)
	aside.steps, aside.planning, aside.now, aside.part = x.steps, true, x.now, part
	return aside
}

// planEngine makes calls and records nothing.
type planEngine struct{}

func (planEngine) Steps(ctx context.Context, calls []Call) ([]Outcome, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(calls))
	var all sync.WaitGroup
	for i, call := range calls {
		all.Go(func() { outcomes[i] = call.Do(ctx, nil) })
	}
	all.Wait()
	return outcomes, nil
}

func (planEngine) Sleep(context.Context, StepID, time.Time) error { return nil }

func (planEngine) Await(_ context.Context, _ StepID, _ string, deadline time.Time) (Signal, error) {
	return Signal{Expired: true, At: deadline}, nil
}

// plan is what a step does in a plan: a check is made, an action says what it would do,
// and what would wait for its effect is not made. ctx is read only.
func (t *task) plan(ctx context.Context) (o Outcome) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(t.spec.Timeout))
	defer cancel()
	defer recoverTo(&o, Failed)
	switch do := t.step.Do.(type) {
	case Check:
		return t.outcome(do.Run(ctx, &t.scope))
	case Action:
		effect, err := do.Preview(ctx, &t.scope)
		if err != nil {
			return Outcome{Status: Failed, Code: CodeOf(err), Message: "what it would do could not be told: " + err.Error()}
		}
		return t.outcome(effect, nil)
	case Notice:
		m := do.Message(&t.scope)
		return t.outcome(Effect{Call: "tell: " + m.Title, Changes: strings.Split(m.Text, "\n")}, nil)
	}
	return Outcome{Status: Done}
}

// planned notes what a step would do.
func (x *interpreter) planned(l *leaf, o Outcome) {
	l.finished, l.out = true, o
	if o.Status != Done || l.spec.Kind == KindCheck {
		return
	}
	// As if it had been done, but with nothing that it would have returned.
	l.out.Output = nil
	if s := x.at(l.spec.ID); s != nil && (l.spec.Kind == KindAction || l.spec.Kind == KindNotice) {
		var effect Effect
		if decode(o.Output, &effect) == nil {
			s.Effect = &effect
		}
	}
}
