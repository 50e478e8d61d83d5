package playbooks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Promotion says over which environments an update goes, and when the last of them may be
// changed.
type Promotion struct {
	// Before are the environments before the last, in order: test, beta. At least one.
	Before []Environment
	// Windows are when the last one may be changed. None means that it may at any time
	// that people approve.
	Windows []health.Window
}

// DependencyUpdate is the playbook for an update of what the application depends on. One
// commit goes from the first environment to the last: it is deployed and everything is
// checked there, the tests of security run after the first, and the last, e, is changed in
// a window, after people have approved what the others have shown. What is not well
// anywhere goes no further.
func DependencyUpdate(e Environment, p Promotion, tools Toolchain) incident.Playbook {
	d := e.Defaults.WithDefaults()
	steps := []incident.Step{
		tools.audit("audit"),
		{ID: "update", Title: "Update what the application depends on", Replaces: []string{"pip install --upgrade package-name"},
			When: func(s *incident.Scope) (bool, string) { return s.Text("commit") == "", "the commit is given" },
			Do: incident.Manual{
				Why: "which versions fit together, and what changes with them, is for a developer to judge", Instruction: updateInstruction,
			}},
		{ID: "commit", Title: "Note what is deployed", Do: checkOf(func(s *incident.Scope) (any, error) {
			if commit := commitOf(s); len(commit) >= 7 {
				return commit, nil
			}
			return nil, errors.New("the commit was not said, or is less than 7 characters; go back to the step update, and give it as the output")
		})},
	}
	needs := []incident.Need{{Name: "Promotion.Before", Met: len(p.Before) > 0}}
	for i, stage := range p.Before {
		if i > 0 {
			steps = append(steps, stage.promote(stage.name())...)
			continue
		}
		steps = append(steps, stage.promote(stage.name(), "./scripts/deploy-test.sh")...)
		steps = append(steps, tools.tests("security-tests", commitOf))
	}
	steps = append(steps,
		p.window("window"),
		incident.Step{ID: "approve", Title: "Deploy the update to " + e.name() + "?", Do: incident.Approve{
			Bound: true, Within: d.Approve, Question: func(s *incident.Scope) string { return p.evidence(s) },
		}},
		p.stillOpen("window-open", "window"),
	)
	steps = append(steps, e.promote(e.name(), "./scripts/deploy-production.sh")...)
	steps = append(steps, tools.audit("audit-again"), e.inform("tell-operators", func(s *incident.Scope) incident.Message {
		return incident.Message{Title: "The update is in " + e.name(), Text: p.evidence(s)}
	}))
	return incident.Playbook{
		Name: "dependency-update", Environment: e.name(), Title: "Update dependencies", Severity: alert.Low, Lock: e.name() + "-dependencies", Timeout: 15 * 24 * time.Hour,
		About:      "What the application depends on has a known weakness, or is old.",
		Source:     "Maintenance Procedures, Dependency Updates",
		Parameters: []incident.Parameter{{Name: "commit", About: "The commit with the update; none means that a developer is asked for it", Optional: true}},
		Needs:      needs, Steps: steps, Escalation: "level 2, the development team",
	}
}

func updateInstruction(s *incident.Scope) string {
	found, _ := incident.Result[Report](s, "audit")
	return "Known weaknesses: " + found.String() + "\n1. Update what they name, and what is old.\n2. Have it reviewed, and merged into the branch that is deployed.\n3. Say that it is done with the output {\"commit\": \"4f2a9c1\"}."
}

// commitOf returns the commit that is promoted.
func commitOf(s *incident.Scope) string {
	if given := s.Text("commit"); given != "" {
		return given
	}
	said, _ := incident.Result[map[string]json.RawMessage](s, "update")
	if commit := strings.Trim(string(said["commit"]), `" `); commit != "" || !s.Planning {
		return commit
	}
	return "(that of the update)"
}

// promote are the steps that deploy the commit to an environment, and check everything
// there. If that is not well a person decides, who may have all of it undone.
func (e Environment) promote(name string, replaces ...string) []incident.Step {
	return []incident.Step{
		e.deploy(name+"-deploy", "Deploy the update to "+name, commitOf, replaces...),
		{ID: name + "-settle", Title: "Let it start", Do: incident.Sleep{For: e.Defaults.WithDefaults().Settle}},
		e.everything(name + "-checked"),
	}
}

// window is a step that waits until the last environment may be changed.
func (p Promotion) window(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Wait for a maintenance window",
		When: func(*incident.Scope) (bool, string) { return len(p.Windows) > 0, "no windows are agreed" },
		Do: incident.Wait{Within: 14 * 24 * time.Hour, Every: 15 * time.Minute, Until: func(context.Context, *incident.Scope) (any, bool, error) {
			return nil, p.open(time.Now()), nil
		}},
	}
}

// open reports whether the last environment may be changed at a time.
func (p Promotion) open(at time.Time) bool {
	return len(p.Windows) == 0 || slices.ContainsFunc(p.Windows, func(w health.Window) bool { return w.Contains(at) })
}

// stillOpen is a step that sees that the window was not over before people approved. If it
// was, the next one is waited for, and they are asked again.
func (p Promotion) stillOpen(id, wait string) incident.Step {
	return incident.Step{
		ID: id, Title: "See that the window is still open", OnFailure: incident.GoTo(wait), Attempts: 1,
		When: func(*incident.Scope) (bool, string) { return len(p.Windows) > 0, "no windows are agreed" },
		Do: incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) {
			if !s.Planning && !p.open(time.Now()) {
				return nil, incident.Final(errors.New("it was over before people had approved"))
			}
			return nil, nil
		}},
	}
}

// evidence says what the environments before have shown.
func (p Promotion) evidence(s *incident.Scope) string {
	lines := []string{"Commit " + commitOf(s) + "."}
	for _, stage := range p.Before {
		deployed, _ := incident.Result[incident.Deployment](s, stage.name()+"-deploy")
		checks, ok := incident.Result[map[string]string](s, stage.name()+"-checked")
		state := "not checked"
		if ok {
			state = fmt.Sprintf("%d checks are well", len(checks))
		}
		lines = append(lines, fmt.Sprintf("%s: deployment %s, %s.", stage.name(), cmp.Or(deployed.ID, "unknown"), state))
	}
	if s.Did("security-tests") {
		lines = append(lines, "The tests of security pass.")
	} else {
		lines = append(lines, "The tests of security did NOT pass.")
	}
	for _, id := range []string{"audit", "audit-again"} {
		if found, ok := incident.Result[Report](s, id); ok {
			lines = append(lines, map[string]string{"audit": "Known weaknesses before: ", "audit-again": "Now: "}[id]+found.String())
		}
	}
	return strings.Join(lines, "\n")
}
