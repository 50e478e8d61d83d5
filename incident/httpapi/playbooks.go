package httpapi

import (
	"cmp"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// playbook is an incident.Playbook as it is answered.
type playbook struct {
	Name        string            `json:"name"`
	Environment string            `json:"environment"`
	Title       string            `json:"title"`
	About       string            `json:"about,omitempty"`
	Source      string            `json:"source,omitempty" about:"The section of the written procedure that it carries out."`
	Severity    alert.Severity    `json:"severity" about:"That of the incidents it is for."`
	Parameters  []playbookInput   `json:"parameters" api:"never null"`
	Needs       []playbookNeed    `json:"needs" api:"never null" about:"The ports that it cannot do without."`
	Phases      []playbookPhase   `json:"phases" api:"never null"`
	Steps       []playbookStep    `json:"steps" api:"never null" about:"Empty in a list."`
	Timeout     incident.Interval `json:"timeout" about:"What ends a run that has not ended by itself."`
	Lock        string            `json:"lock" about:"What no two runs may work on at the same time."`
	Escalation  string            `json:"escalation,omitempty" about:"Whom to call when it does not help."`
}

// playbookInput is an incident.Parameter.
type playbookInput struct {
	Name     string                 `json:"name"`
	About    string                 `json:"about,omitempty"`
	Type     incident.ParameterType `json:"type" about:"Empty means text."`
	Default  string                 `json:"default,omitempty"`
	Optional bool                   `json:"optional,omitempty"`
	Min      string                 `json:"min,omitempty"`
	Max      string                 `json:"max,omitempty"`
	Choices  []string               `json:"choices,omitempty"`
}

// playbookNeed is an incident.Need.
type playbookNeed struct {
	Name string `json:"name"`
	Met  bool   `json:"met"`
}

// playbookPhase is an incident.Phase.
type playbookPhase struct {
	Name   string            `json:"name"`
	Budget incident.Interval `json:"budget" about:"0s means that there is no limit."`
}

// playbookStep is a step with what only the document has.
type playbookStep struct {
	incident.StepSpec
	Replaces []string       `json:"replaces,omitempty" about:"The commands of the written procedure that it carries out."`
	Needs    []playbookNeed `json:"needs,omitempty"`
}

type playbookList struct {
	Playbooks []playbook `json:"playbooks" api:"never null"`
}

func viewPlaybook(p incident.Playbook, steps bool) playbook {
	view := playbook{
		Name: p.Name, Environment: p.Environment, Title: p.Title, About: p.About, Source: p.Source, Severity: p.Severity,
		Parameters: []playbookInput{}, Needs: ifAny(viewNeeds(p.Needs)), Phases: []playbookPhase{}, Steps: []playbookStep{},
		Timeout: incident.Interval(cmp.Or(p.Timeout, 24*time.Hour)), Lock: cmp.Or(p.Lock, p.Environment), Escalation: p.Escalation,
	}
	for _, q := range p.Parameters {
		view.Parameters = append(view.Parameters, playbookInput{q.Name, q.About, q.Type, q.Default, q.Optional, q.Min, q.Max, q.Choices})
	}
	for _, phase := range p.Phases {
		view.Phases = append(view.Phases, playbookPhase{phase.Name, incident.Interval(phase.Budget)})
	}
	if steps {
		for i, spec := range p.Specs() {
			view.Steps = append(view.Steps, playbookStep{StepSpec: spec, Replaces: p.Steps[i].Replaces, Needs: viewNeeds(p.Steps[i].Needs)})
		}
	}
	return view
}

func viewNeeds(needs []incident.Need) (list []playbookNeed) {
	for _, n := range needs {
		list = append(list, playbookNeed{n.Name, n.Met})
	}
	return list
}

func (a *api) playbookOperations() []*operation {
	const tag = "playbooks"
	return []*operation{
		{
			method: http.MethodGet, path: "/playbooks", id: "listPlaybooks", tag: tag, verb: Read, part: partRunner,
			summary: "list playbooks", about: "All playbooks of all environments, without their steps, by environment and name.",
			endpoint: show(func(c *call) (playbookList, error) {
				list := playbookList{Playbooks: []playbook{}}
				for _, p := range c.a.cfg.Runner.Playbooks() {
					list.Playbooks = append(list.Playbooks, viewPlaybook(p, false))
				}
				return list, nil
			}),
		},
		{
			method: http.MethodGet, path: "/playbooks/{environment}/{playbook}", id: "getPlaybook", tag: tag, verb: Read, part: partRunner,
			summary: "show a playbook", about: "What it does, step by step, with all defaults filled in.",
			endpoint: show(func(c *call) (playbook, error) {
				p, err := c.playbook()
				if err != nil {
					return playbook{}, err
				}
				return viewPlaybook(p, true), nil
			}),
		},
		{
			method: http.MethodGet, path: "/playbooks/{environment}/{playbook}/document", id: "getPlaybookDocument", tag: tag, verb: Read, part: partRunner,
			summary: "read a playbook as a document", about: "The written procedure that is generated from the playbook, in Markdown.",
			endpoint: document(func(c *call) (string, error) {
				p, err := c.playbook()
				if err != nil {
					return "", err
				}
				return p.Markdown(), nil
			}),
		},
	}
}

// playbook returns the playbook that the path names.
func (c *call) playbook() (incident.Playbook, error) {
	return c.a.cfg.Runner.Playbook(c.r.PathValue("environment"), c.r.PathValue("playbook"))
}
