package incidenttest_test

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// restarting is a playbook that looks at what runs, and starts it again.
func restarting(p *incidenttest.Platform) incident.Playbook {
	return incident.Playbook{
		Name: "restart", Environment: "production", Title: "Start it again", Severity: alert.High,
		Steps: []incident.Step{
			{ID: "look", Title: "Look at what runs", Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return p.Deployments(ctx, 1) }}},
			{ID: "act", Title: "Start it again", Do: incident.Action{
				Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return p.Restart(ctx) },
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{Call: "start it again"}, nil
				},
			}},
			{ID: "see", Title: "See that it runs", Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) { return p.Deployments(ctx, 1) }}},
		},
	}
}

// playbookHarness is that of a playbook, which is made anew for what goes on after a crash.
func playbookHarness(playbook func(p *incidenttest.Platform) incident.Playbook) incidenttest.PlaybookHarness {
	return incidenttest.PlaybookHarness{New: func(testing.TB) incidenttest.PlaybookCase {
		p := new(incidenttest.Platform)
		p.Deploy(incident.Deployment{Commit: "1111111", Status: incident.DeploymentSucceeded})
		before := len(p.Effects())
		return incidenttest.PlaybookCase{
			Playbook: playbook(p), Again: func() incident.Playbook { return playbook(p) },
			Effects: func() []string { return slices.Clone(p.Effects()[before:]) }, Refused: p.Refused,
		}
	}}
}

func TestPlaybookSuite(t *testing.T) {
	t.Parallel()
	h := playbookHarness(restarting)
	made := make(map[string]int)
	h.Whole = func(run incident.Run) {
		for _, s := range run.Steps {
			made[s.ID] += s.Visits
		}
	}
	incidenttest.TestPlaybook(t, h)
	if want := map[string]int{"look": 1, "act": 1, "see": 1}; !maps.Equal(want, made) {
		t.Errorf("the whole run made %v, and that is told once", made)
	}
}

// What people can say no to, in each way in which a playbook may take that: with an
// approval that goes on, what it is about has a condition; a group and a playbook within say
// what comes of what is in them.
func TestPlaybookSuiteOfWhatPeopleDo(t *testing.T) {
	t.Parallel()
	question := func(*incident.Scope) string { return "Start it again?" }
	manual := func(id string, within time.Duration, f incident.Failure) incident.Step {
		return incident.Step{ID: id, Title: "Look at it", OnFailure: f, Do: incident.Manual{Instruction: question, Why: "it is a judgement", Within: within}}
	}
	incidenttest.TestPlaybook(t, playbookHarness(func(p *incidenttest.Platform) incident.Playbook {
		b := restarting(p)
		b.Steps[1].When = func(s *incident.Scope) (bool, string) { return s.Planning || s.Did("ask"), "nobody wants it" }
		within := b
		within.Steps = []incident.Step{{ID: "ask-within", Title: "Go on?", Do: incident.Approve{Question: question}}, manual("limited", time.Hour, incident.Pause)}
		undone := b
		undone.Steps = []incident.Step{{ID: "ask-last", Title: "Keep it?", OnFailure: incident.UndoAll, Do: incident.Approve{Question: question}}}
		b.Steps = slices.Concat([]incident.Step{
			manual("unlimited", 0, incident.GoOn), manual("needed", 0, incident.Abort),
			{ID: "ask", Title: "Start it again?", OnFailure: incident.GoOn, Do: incident.Approve{Question: question}},
			{ID: "may-fail", Title: "Ask within", OnFailure: incident.GoOn, Do: incident.Sub{Playbook: within}},
			{ID: "asks", Title: "Ask within", OnFailure: incident.Pause, Do: incident.Sub{Playbook: within}},
			{ID: "group", Title: "Look twice", OnFailure: incident.Abort, Do: incident.Parallel{Collect: true, Steps: []incident.Step{b.Steps[0]}}},
		}, b.Steps[1:], []incident.Step{{ID: "last", Title: "Ask last", OnFailure: incident.Abort, Do: incident.Sub{Playbook: undone}}})
		return b
	}))
}

// playbookMistake makes a mistake in a playbook.
func playbookMistake(notices string, change func(p *incidenttest.Platform, b *incident.Playbook)) mistake {
	return mistake{notices, func(t *testing.T) {
		incidenttest.TestPlaybook(t, playbookHarness(func(p *incidenttest.Platform) incident.Playbook {
			b := restarting(p)
			change(p, &b)
			return b
		}))
	}}
}

// act changes the action of the playbook.
func act(b *incident.Playbook, change func(a *incident.Action)) {
	a, _ := b.Steps[1].Do.(incident.Action)
	change(&a)
	b.Steps[1].Do = a
}

// playbookMistakes are those that the suite of playbooks notices.
var playbookMistakes = map[string]mistake{
	"a check that changes something, and does not say that it could not": playbookMistake("a plan changes nothing", func(p *incidenttest.Platform, b *incident.Playbook) {
		b.Steps[0].Do = incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			_, _ = p.Restart(ctx)
			return nil, nil
		}}
	}),
	"an action of which a plan does not say what it does": playbookMistake("a plan changes nothing", func(_ *incidenttest.Platform, b *incident.Playbook) {
		act(b, func(a *incident.Action) {
			a.Preview = func(context.Context, *incident.Scope) (incident.Effect, error) { return incident.Effect{}, nil }
		})
	}),
	"an action that is made again": playbookMistake("killed after any call", func(_ *incidenttest.Platform, b *incident.Playbook) {
		act(b, func(a *incident.Action) { a.Repeat = incident.Idempotent })
	}),
	"what it knows is lost with the process": playbookMistake("killed before any call", func(_ *incidenttest.Platform, b *incident.Playbook) {
		looked := false
		look, _ := b.Steps[0].Do.(incident.Check)
		run := look.Run
		look.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
			looked = true
			return run(ctx, s)
		}
		b.Steps[0].Do = look
		b.Steps[1].When = func(s *incident.Scope) (bool, string) { return looked || s.Planning, "nobody looked" }
	}),
	"what needs an approval is done without one": playbookMistake("each step fails", func(_ *incidenttest.Platform, b *incident.Playbook) {
		ask := incident.Approve{Question: func(*incident.Scope) string { return "Start it again?" }}
		b.Steps = slices.Insert(b.Steps, 1, incident.Step{ID: "ask", Title: "Start it again?", OnFailure: incident.GoOn, Do: ask})
	}),
	"it does not end as it should": playbookMistake("runs to its end", func(_ *incidenttest.Platform, b *incident.Playbook) {
		b.Steps[2].Do = incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { return nil, incident.Final(context.Canceled) }}
		b.Steps[2].OnFailure = incident.Abort
	}),
}
