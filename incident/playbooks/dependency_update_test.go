package playbooks_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// promoted are three houses, of which the last is production.
type promoted struct {
	test, beta, production *house
}

func newPromoted(t testing.TB) *promoted {
	p := &promoted{test: newHouse(t), beta: newHouse(t), production: newHouse(t)}
	p.test.Name, p.beta.Name = "test", "beta"
	for _, h := range []*house{p.test, p.beta, p.production} {
		h.Defaults.Times, h.Defaults.Recover = 1, time.Minute
	}
	return p
}

func (p *promoted) effects() []string {
	all := []string{}
	for _, h := range []*house{p.test, p.beta, p.production} {
		for _, e := range h.platform.Effects() {
			all = append(all, h.Name+": "+e)
		}
	}
	return all
}

// Requirement: RB-DEPENDENCY-UPDATES, RB-SCRIPT-DEPLOY-TEST, RB-CMD-PIP-AUDIT, RB-CMD-PIP-UPGRADE, RB-CMD-PYTEST-SECURITY
func TestDependencyUpdate(t *testing.T) {
	const test, beta, production = "test: DeploySource d3", "beta: DeploySource d3", "production: DeploySource d3"
	given := map[string]string{"commit": "5555555"}
	for name, c := range map[string]struct {
		world      func(p *promoted)
		failing    []string
		parameters map[string]string
		windows    []health.Window
		answer     func(q incident.Question) incident.Answer
		want       incident.RunState
		does       []string
		asked      []string
	}{
		"from test over beta to production": {
			parameters: given, does: []string{test, beta, production},
			asked: []string{"Commit 5555555.", "test: deployment d3, 12 checks are well.", "beta: deployment d3, 12 checks are well.", "The tests of security pass.", "Known weaknesses before: 1: requests 2.31"},
		},
		"a developer is asked for the commit": {
			answer: saying("update", incident.AnswerDone, map[string]string{"commit": "6666666"}), does: []string{test, beta, production}, asked: []string{"Commit 6666666."},
		},
		"without a commit nothing is deployed": {want: incident.StateFailed},
		"what is not well in test goes no further": {
			parameters: given, world: func(p *promoted) { p.test.say("task", down("no result")) }, want: incident.StateFailed, does: []string{test},
		},
		"what is not well in beta is taken back everywhere": {
			parameters: given, world: func(p *promoted) { p.beta.say("task", down("no result")) }, answer: saying("beta-checked", incident.AnswerUndo, nil),
			want: incident.StateUndone, does: []string{test, "test: Rollback d4", beta, "beta: Rollback d4"},
		},
		"tests of security decide": {
			parameters: given, failing: []string{"test_csrf"}, want: incident.StateFailed, does: []string{test},
		},
		"production waits for its window": {
			parameters: given, windows: []health.Window{{From: health.At(2, 0), For: 2 * time.Hour, Zone: time.UTC}}, does: []string{test, beta, production},
		},
		"a window that is over before people approve": {
			parameters: given, windows: []health.Window{{From: health.At(2, 0), For: 2 * time.Hour, Zone: time.UTC}}, does: []string{test, beta, production},
			answer: func(q incident.Question) incident.Answer {
				if q.Step == "approve" && q.Asked.Hour() < 3 { // of the first night
					time.Sleep(28 * time.Minute)
				}
				return agreeing(q)
			},
		},
		"somebody says no to production": {
			parameters: given, answer: saying("approve", incident.AnswerDeny, nil), want: incident.StateFailed, does: []string{test, beta},
		},
		"nobody answers": {
			parameters: given, answer: func(incident.Question) incident.Answer { return incident.Answer{} }, want: incident.StateFailed, does: []string{test, beta},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var asked string
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					p := newPromoted(t)
					if c.world != nil {
						c.world(p)
					}
					tools := playbooks.Toolchain{
						Audit:         func(context.Context) ([]string, error) { return []string{"requests 2.31"}, nil },
						SecurityTests: func(context.Context, string) ([]string, error) { return c.failing, nil },
					}
					answer := c.answer
					if answer == nil {
						answer = agreeing
					}
					promotion := playbooks.Promotion{Before: []playbooks.Environment{p.test.Environment, p.beta.Environment}, Windows: c.windows}
					return incidenttest.PlaybookCase{
						Playbook: playbooks.DependencyUpdate(p.production.Environment, promotion, tools), Effects: p.effects, Refused: p.production.platform.Refused, Parameters: c.parameters,
						Answer: func(q incident.Question) incident.Answer {
							if q.Step == "approve" {
								asked = q.Text
							}
							return answer(q)
						},
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, append([]string{}, c.does...), p.effects(), stepsOf(run))
							for _, text := range c.asked {
								assert.Contains(t, asked, text)
							}
							if len(c.windows) > 0 {
								assert.True(t, c.windows[0].Contains(run.Step("production-deploy").Began))
							}
						},
					}
				},
			})
		})
	}
}

func TestDependencyUpdateNeedsAnEnvironmentBefore(t *testing.T) {
	err := playbooks.DependencyUpdate(playbooks.Environment{Name: "production"}, playbooks.Promotion{}, playbooks.Toolchain{}).Validate()
	assert.ErrorContains(t, err, "needs a Promotion.Before")
}
