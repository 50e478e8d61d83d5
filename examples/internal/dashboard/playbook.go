package dashboard

import (
	"crypto/rand"
	"errors"
	"net/http"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// playbookList is the page of playbooks.
type playbookList struct {
	Root         string
	Environments []playbooksOf
}

// playbooksOf are those of one environment.
type playbooksOf struct {
	Environment string
	Playbooks   []incident.Playbook
}

func (c *request) showPlaybooks() {
	if c.h.cfg.Runner == nil {
		c.lost("page")
		return
	}
	p := playbookList{Root: c.root}
	for _, one := range c.h.cfg.Runner.Playbooks() {
		n := len(p.Environments)
		if n == 0 || p.Environments[n-1].Environment != one.Environment {
			p.Environments = append(p.Environments, playbooksOf{Environment: one.Environment})
			n++
		}
		p.Environments[n-1].Playbooks = append(p.Environments[n-1].Playbooks, one)
	}
	c.show(http.StatusOK, "playbooks", "Playbooks", p)
}

// playbookPage is the page of a playbook: its parameters, and then its plan with the button
// that starts it.
type playbookPage struct {
	incident.Playbook
	Root     string
	Incident string
	Values   map[string]string
	Plan     *incident.Plan
	Steps    []*node
	Effects  []incident.Effect
	RunID    string // that of the run that the button starts: once, however often it is pressed
	Form     form
}

// parameterPrefix is that of the names of parameters in forms.
const parameterPrefix = "p."

// values returns the parameters of a form.
func values(get func(string) string, p incident.Playbook) map[string]string {
	all := make(map[string]string)
	for _, one := range p.Parameters {
		if value := strings.TrimSpace(get(parameterPrefix + one.Name)); value != "" {
			all[one.Name] = value
		}
	}
	return all
}

func (c *request) showPlaybook() {
	q := c.r.URL.Query()
	c.playbook(c.r.PathValue("environment"), c.r.PathValue("playbook"), q.Get, q.Get("plan") != "")
}

// playbook shows a playbook, and its plan as it is now.
func (c *request) playbook(environment, name string, get func(string) string, plan bool) {
	if c.h.cfg.Runner == nil {
		c.lost("page")
		return
	}
	book, err := c.h.cfg.Runner.Playbook(environment, name)
	if errors.Is(err, incident.ErrNotFound) {
		c.lost("playbook")
		return
	}
	if err != nil {
		c.cannotRead("This playbook", err)
		return
	}
	p := &playbookPage{Playbook: book, Root: c.root, Incident: get("incident"), Values: values(get, book), Form: c.sent()}
	for _, one := range book.Parameters {
		if p.Values[one.Name] == "" && one.Default != "" && !plan {
			p.Values[one.Name] = one.Default
		}
	}
	if plan {
		body := map[string]any{"environment": environment, "playbook": name, "parameters": p.Values}
		if p.Incident != "" {
			body["incident"] = p.Incident
		}
		var made incident.Plan
		if problem := c.h.call(c.ctx, c.r, http.MethodPost, "/plans", body, &made); problem != nil {
			if c.problem == nil {
				c.problem = problem
			}
		} else {
			p.Plan, p.RunID = &made, "web-"+strings.ToLower(rand.Text()[:20])
			p.Steps = tree(made.Run.Steps, c.h.parents(&made.Run))
			for _, s := range made.Run.Steps {
				if s.Effect != nil && s.Kind == incident.KindAction {
					p.Effects = append(p.Effects, *s.Effect)
				}
			}
		}
	}
	c.show(http.StatusOK, "playbook", book.Title+", "+environment, p)
}

// startAction starts a run. Its plan is the one that was looked at; its id is that of the
// form, so that pressing twice starts it once.
func startAction() action {
	return action{
		path: "/runs", said: "started", back: backOfRun,
		make: func(c *request) any {
			f := c.r.PostForm
			parameters := make(map[string]string)
			for name := range f {
				if one, ok := strings.CutPrefix(name, parameterPrefix); ok && f.Get(name) != "" {
					parameters[one] = f.Get(name)
				}
			}
			body := map[string]any{"environment": f.Get("environment"), "playbook": f.Get("playbook"), "parameters": parameters, "id": f.Get("run"), "plan": f.Get("plan")}
			if f.Get("incident") != "" {
				body["incident"] = f.Get("incident")
			}
			return body
		},
		guard: func(c *request) (bool, *problem) {
			if c.may(httpapi.Operate) && (c.r.PostForm.Get("plan") == "" || c.r.PostForm.Get("run") == "") {
				return false, &problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Title: "Nothing was started", Detail: "Look at the plan first: a run is started from there."}
			}
			return false, c.otherPlan()
		},
		show: func(c *request) {
			f := c.r.PostForm
			if c.problem.Code == "stale" {
				c.problem.Title, c.problem.Detail = "Nothing was started: what it would do has changed", "Below is the plan as it is now. Look at it again before you start it."
			}
			c.playbook(f.Get("environment"), f.Get("playbook"), f.Get, c.may(httpapi.Operate))
		},
	}
}

// otherPlan looks whether a run that is to be started would do something else by now than
// what was looked at. The run itself looks once more when it begins, and ends if so.
func (c *request) otherPlan() *problem {
	f := c.r.PostForm
	if c.h.cfg.Runner == nil || !c.may(httpapi.Operate) {
		return nil // the API says so
	}
	if _, err := c.h.cfg.Runner.Run(c.ctx, f.Get("run")); err == nil {
		return nil // it was started before
	}
	book, err := c.h.cfg.Runner.Playbook(f.Get("environment"), f.Get("playbook"))
	if err != nil {
		return nil // likewise
	}
	body := map[string]any{"environment": book.Environment, "playbook": book.Name, "parameters": values(f.Get, book)}
	if f.Get("incident") != "" {
		body["incident"] = f.Get("incident")
	}
	var plan incident.Plan
	if p := c.h.call(c.ctx, c.r, http.MethodPost, "/plans", body, &plan); p != nil {
		return p
	}
	if plan.Hash != f.Get("plan") {
		return changed("")
	}
	return nil
}
