package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"go.acu.edu.au/runbook/incident"
)

// A failure is a way in which a step does not come to what it is for.
type failure struct {
	// name says it in a few words.
	name string
	// err is what the step fails with. Nil is one of people: no is then what they say, an
	// empty Kind that nobody says anything until it is too late.
	err error
	no  incident.Answer
}

// failuresOf returns the ways in which a step of a kind fails.
func failuresOf(kind incident.Kind) []failure {
	if kind == incident.KindApprove || kind == incident.KindManual {
		return []failure{
			{name: "somebody said no", no: incident.Answer{Kind: incident.AnswerDeny, Actor: "sam", Comment: "not in this test"}},
			{name: "nobody answered"},
		}
	}
	var all []failure
	for _, err := range []error{errors.New("it fails in this test"), fmt.Errorf("in this test: %w", incident.ErrOutcomeUnknown)} {
		all = append(all, failure{name: err.Error(), err: err})
	}
	return all
}

// brings makes a step of a case fail.
func (f failure) brings(c *PlaybookCase, id string) {
	if f.err != nil {
		c.Playbook.Steps = failing(c.Playbook.Steps, "", id, f.err)
		return
	}
	answer := c.Answer
	if answer == nil {
		answer = agree
	}
	c.Answer = func(q incident.Question) incident.Answer {
		if q.Step == id && (q.Kind == "approve" || q.Kind == "manual") {
			return f.no
		}
		return answer(q)
	}
}

// testEachStepFails makes one step after another fail, of those that were made: to one
// that was not, it makes no difference.
func testEachStepFails(t *testing.T, h PlaybookHarness, whole incident.Run) {
	var paths [][]incident.StepSpec
	synctest.Test(t, func(t *testing.T) { paths = pathsOf(h.New(t).Playbook.Specs(), nil) })
	for _, path := range paths {
		spec := path[len(path)-1]
		before := whole.Step(spec.ID)
		asks := spec.Kind == incident.KindApprove || spec.Kind == incident.KindManual
		if before == nil || before.Tries == 0 && !(asks && before.Visits > 0) {
			continue
		}
		for _, f := range failuresOf(spec.Kind) {
			synctest.Test(t, func(t *testing.T) {
				c := h.New(t)
				f.brings(&c, spec.ID)
				c.Again = nil
				r := playbookRun{kill: -1}
				r.carryOut(t, c)
				s := r.run.Step(spec.ID)
				asked := slices.Contains(r.decided, spec.ID)
				switch said := s.State == incident.StepFailed || s.State == incident.StepUnknown; {
				case s.State == incident.StepDone && s.Message != "" && s.Message == before.Message && f.err != nil: // it needed nothing to be done
				case !said && !asked:
					t.Errorf("step %s failed (%s), and the run says that it is %s: %s", spec.ID, f.name, s.State, s.Message)
				case s.State == incident.StepUnknown && !asked:
					t.Errorf("whether step %s was done is not known, and nobody was asked", spec.ID)
				case s.State == incident.StepUnknown || errors.Is(f.err, incident.ErrOutcomeUnknown) && asked: // and that is what it says
				default:
					c := consequenceOf(path, f)
					if wrong := c.wrong(r); wrong != "" {
						t.Errorf("step %s failed (%s): %s\n%s", spec.ID, f.name, wrong, stepsOf(r.run))
					}
					if c.does == goesOn && c.at == spec.ID && spec.Kind == incident.KindApprove && before.State == incident.StepDone && !matters(whole, r.run, spec.ID) {
						t.Errorf("step %s: %s, and the run went on and did everything that it does when people approve: what needs the approval must have a condition, see Scope.Did", spec.ID, f.name)
					}
				}
			})
		}
	}
}

// pathsOf returns all steps but those that only have others in them, each with what it is
// within before it.
func pathsOf(list, around []incident.StepSpec) (paths [][]incident.StepSpec) {
	for _, s := range list {
		path := append(slices.Clone(around), s)
		if len(s.Steps) == 0 {
			paths = append(paths, path)
			continue
		}
		paths = append(paths, pathsOf(s.Steps, path)...)
	}
	return paths
}

// A consequence is what comes of a step that has failed for good, as its playbook says.
type consequence struct {
	// does is what the run does: it goes on, asks a person, or ends.
	does string
	// at is the step at which it does so: the failed one, or one that it is within.
	at string
	// failure is what that step says.
	failure incident.Failure
	// late means that the time of the run is over by then.
	late bool
}

// The consequences of a failure.
const (
	goesOn = "go on"
	asks   = "ask a person"
	ends   = "end"
)

// consequenceOf reads the consequence of a failure from the step, and from what it is within:
// a group fails if a step of it does, unless that says that it goes on; a playbook within
// fails if it ends.
func consequenceOf(path []incident.StepSpec, f failure) consequence {
	step := path[len(path)-1]
	// What has no limit of its own has that of the run, and nothing comes after that.
	late := f.err == nil && f.no.Kind == "" && step.Kind == incident.KindManual && step.Within == 0
	for i, s := range slices.Backward(path) {
		grouped := i > 0 && path[i-1].Kind == incident.KindParallel
		switch {
		case s.Failure == incident.GoOn || !grouped && strings.HasPrefix(string(s.Failure), "goto "):
			return consequence{does: goesOn, at: s.ID, failure: s.Failure, late: late}
		case !grouped && s.Failure != incident.Abort && s.Failure != incident.UndoAll:
			return consequence{does: asks, at: s.ID, failure: s.Failure, late: late}
		}
	}
	return consequence{does: ends, at: path[0].ID, failure: path[0].Failure, late: late}
}

// matters reports whether something that a run does after an approval is not done in one in
// which people said no.
func matters(approved, refused incident.Run, approval string) bool {
	after := slices.IndexFunc(approved.Steps, func(s incident.StepRun) bool { return s.ID == approval })
	did, left := 0, 0
	for _, s := range approved.Steps[after+1:] {
		if s.Kind != incident.KindAction || s.Visits == 0 {
			continue
		}
		did++
		if other := refused.Step(s.ID); other == nil || other.Visits == 0 {
			left++
		}
	}
	return did == 0 || left > 0
}

// reasonStep finds the step at which a run ended in what it says of that.
var reasonStep = regexp.MustCompile(`step (\S+) \(`)

// wrong says what a run did instead; empty if it did this.
func (c consequence) wrong(r playbookRun) string {
	endedAt := ""
	if m := reasonStep.FindStringSubmatch(r.run.Reason); m != nil {
		endedAt = m[1]
	}
	failed := r.run.State == incident.StateFailed || r.run.State == incident.StateUndone
	asked := slices.Contains(r.decided, c.at)
	right := false
	switch {
	case c.late:
		right = failed
	case c.does == goesOn:
		right = endedAt != c.at && !asked
	case c.does == asks:
		right = asked
	default:
		right = failed && endedAt == c.at && !asked
		if c.failure == incident.UndoAll && r.run.State != incident.StateUndone {
			right = right && strings.Contains(r.run.Reason, "not everything could be taken back")
		}
	}
	if right {
		return ""
	}
	return fmt.Sprintf("the run is to %s at step %s (%q), and it asked about %q and %s: %s", c.does, c.at, c.failure, r.decided, r.run.State, r.run.Reason)
}

// failing returns steps of which one fails.
func failing(steps []incident.Step, prefix, id string, err error) []incident.Step {
	steps = slices.Clone(steps)
	fails := func(context.Context, *incident.Scope) (any, error) { return nil, err }
	for i, s := range steps {
		switch do := s.Do.(type) {
		case incident.Parallel:
			do.Steps = failing(do.Steps, prefix, id, err)
			steps[i].Do = do
			continue
		case incident.Sub:
			do.Playbook.Steps = failing(do.Playbook.Steps, prefix+s.ID+".", id, err)
			steps[i].Do = do
			continue
		}
		if prefix+s.ID != id {
			continue
		}
		switch do := s.Do.(type) {
		case incident.Check:
			do.Run = fails
			steps[i].Do = do
		case incident.Action:
			do.Run = fails
			steps[i].Do = do
		case incident.Verify:
			do.Run = fails
			steps[i].Do = do
		case incident.Wait:
			do.Until = func(context.Context, *incident.Scope) (any, bool, error) { return nil, false, err }
			steps[i].Do = do
		case incident.Notice:
			do.Send = func(context.Context, *incident.Scope, incident.Message) error { return err }
			steps[i].Do = do
		}
	}
	return steps
}
