package dashboard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
)

// progress is a run, and how far it is.
type progress struct {
	incident.Run
	Doing       string // what it does now
	Done, Total int
	Tree        []*node
	// Key names what of the run somebody may act on.
	Key string
	// Say is what is read out when it changes.
	Say  string
	Root string
}

// A node is a step, with the steps within it.
type node struct {
	incident.StepRun
	Number    int
	Beginning string // the phase that begins with it
	Within    []*node
	Open      bool // what it found is shown: somebody decides by it
}

// open shows what a step found, and the steps within it.
func (n *node) open() {
	n.Open = true
	for _, one := range n.Within {
		one.open()
	}
}

// progressOf returns how far a run is.
func (h *Handler) progressOf(run *incident.Run) *progress {
	p := &progress{Run: *run, Doing: run.Text}
	for i := range run.Steps {
		s := &run.Steps[i]
		if s.Kind == incident.KindParallel || s.Kind == incident.KindSub {
			continue // their steps count
		}
		p.Total++
		if run.Question != nil && run.Question.Step == s.ID {
			continue // it is not over
		}
		switch s.State {
		case incident.StepDone, incident.StepSkipped, incident.StepFailed, incident.StepUndone, incident.StepUnknown:
			p.Done++
		}
		if s.State == incident.StepRunning && s.Progress != "" {
			p.Doing = s.Title + ": " + s.Progress
		}
	}
	question := ""
	if run.Question != nil {
		question = fmt.Sprint(run.Question.ID, run.Question.Plan, len(run.Question.Votes))
	}
	p.Key = fmt.Sprint(run.State == incident.StateHeld, run.Ended.IsZero(), question, run.State == incident.StateStranded)
	p.Say = fmt.Sprintf("%s: %s. %d of %d steps.", run.Title, stateWords(run.State), p.Done, p.Total)
	for i := range run.Steps {
		if s := &run.Steps[i]; s.State == incident.StepRunning && s.Kind != incident.KindParallel && s.Kind != incident.KindSub {
			p.Say = fmt.Sprintf("Step %d of %d: %s.", min(p.Done+1, p.Total), p.Total, s.Title)
		}
	}
	p.Tree = tree(run.Steps, h.parents(run))
	return p
}

// parents returns, for each step that is within another one, that one: a run has its steps
// one after another. What the program has is what it was made of, unless it was edited since.
func (h *Handler) parents(run *incident.Run) map[string]string {
	all := make(map[string]string)
	p, err := h.cfg.Runner.Playbook(run.Environment, run.Playbook)
	if err != nil {
		return all
	}
	var add func(specs []incident.StepSpec, parent string)
	add = func(specs []incident.StepSpec, parent string) {
		for _, s := range specs {
			if parent != "" {
				all[s.ID] = parent
			}
			add(s.Steps, s.ID)
		}
	}
	add(p.Specs(), "")
	return all
}

// tree puts steps within those that they belong to.
func tree(steps []incident.StepRun, parents map[string]string) (roots []*node) {
	by := make(map[string]*node)
	number, phase := 0, ""
	for _, s := range steps {
		n := &node{StepRun: s}
		by[s.ID] = n
		if parent := by[parents[s.ID]]; parent != nil {
			n.Number = len(parent.Within) + 1
			parent.Within = append(parent.Within, n)
			continue
		}
		number++
		n.Number = number
		if s.Phase != "" && s.Phase != phase {
			phase = s.Phase
			n.Beginning = phase
		}
		roots = append(roots, n)
	}
	return roots
}

// stateWords says how far a run is.
func stateWords(s incident.RunState) string {
	said := map[incident.RunState]string{
		incident.StateQueued: "waits for its turn", incident.StateRunning: "running", incident.StateWaiting: "needs a person", incident.StateHeld: "paused",
		incident.StateSucceeded: "succeeded", incident.StateFailed: "failed", incident.StateUndone: "taken back", incident.StateCancelled: "cancelled",
		incident.StateStranded: "nothing goes on with it",
	}[s]
	if said == "" {
		return string(s)
	}
	return said
}

// stepWords says how far a step is.
func stepWords(s incident.StepState) string {
	said := map[incident.StepState]string{
		incident.StepPending: "to do", incident.StepWaiting: "needs a person", incident.StepUnknown: "not known whether it was done",
		incident.StepSkipped: "left out", incident.StepUndone: "taken back", incident.StepPlanned: "would be made",
	}[s]
	if said == "" {
		return string(s)
	}
	return said
}

// runPage is the page of a run.
type runPage struct {
	*progress
	Decision *decision // what it asks, if it does
	Again    bool      // it asks again what this person has approved: what it would do has changed
	Forks    []choice  // from where it can be gone on with
	Form     form
}

// A form is what somebody wrote into a form that was refused.
type form map[string]string

// sent returns what was sent with a form.
func (c *request) sent() form {
	f := make(form)
	if c.r.Method != http.MethodPost || c.problem == nil {
		return f
	}
	for name, values := range c.r.PostForm {
		if name != "once" && len(values) > 0 {
			f[name] = values[0]
		}
	}
	return f
}

func (c *request) showRun() {
	if c.h.cfg.Runner == nil {
		c.lost("page")
		return
	}
	id := c.r.PathValue("id")
	run, err := c.h.cfg.Runner.Run(c.ctx, id)
	if errors.Is(err, incident.ErrNotFound) {
		c.lost("run")
		return
	}
	if err != nil {
		c.cannotRead("This run", err)
		return
	}
	p := &runPage{progress: c.h.progressOf(&run), Form: c.sent()}
	p.Root = c.root
	if run.Question != nil {
		var open []incident.Approval
		if run.Question.Kind == "approve" {
			open, _ = ask(c, "What waits for approval", c.h.approvals)()
		}
		if asked := c.decisionsOf(open, []incident.Run{run}); len(asked) > 0 {
			i := slices.IndexFunc(asked, func(d *decision) bool { return d.Q.Run == run.ID || d.RunID == run.ID })
			if i >= 0 {
				p.Decision = asked[i]
				p.Decision.Form = p.Form
				p.Tree = asked[i].Run.Tree
				p.Again = c.r.URL.Query().Get("step") == run.Question.Step && c.r.URL.Query().Get("did") == "approved" && asked[i].WhyNot == ""
			}
		}
	}
	if run.State == incident.StateFailed || run.State == incident.StateCancelled || run.State == incident.StateStranded {
		p.Forks = forks(run)
	}
	c.show(http.StatusOK, "run", run.Title+", "+run.Environment, p)
}

// cannotRead says that what a page is about cannot be read.
func (c *request) cannotRead(what string, err error) {
	reference := c.log(what+" could not be read", err)
	c.refuse(&problem{
		Status: http.StatusServiceUnavailable, Code: "could-not-ask", Title: what + " could not be read",
		Detail: "That says nothing about how it is. Try again in a moment.", Reference: reference,
	})
}

// A choice is one of those in a list.
type choice struct{ Value, Text string }

// forks returns the steps from which a run can be gone on with: those that it came to, the
// one that failed first.
func forks(run incident.Run) (all []choice) {
	for _, s := range run.Steps {
		if s.State == incident.StepPending || s.Visits == 0 && s.Began.IsZero() {
			continue
		}
		c := choice{s.ID, s.Title}
		if s.State == incident.StepFailed || s.State == incident.StepUnknown {
			all = append([]choice{c}, all...)
			continue
		}
		all = append(all, c)
	}
	return all
}

// runList is the page of runs.
type runList struct {
	Root string
	Runs []incident.Run
	Some bool // there may be more
}

func (c *request) showRuns() {
	const limit = 100
	runs, _ := ask(c, "Runs", func(ctx context.Context) ([]incident.Run, error) {
		return c.h.runs(ctx, incident.RunQuery{Limit: limit})
	})()
	c.show(http.StatusOK, "runs", "Runs", runList{c.root, runs, len(runs) == limit})
}

// toneOfRun says how a run is shown.
func toneOfRun(s incident.RunState) string {
	switch s {
	case incident.StateSucceeded:
		return "good"
	case incident.StateFailed, incident.StateStranded:
		return "bad"
	case incident.StateWaiting, incident.StateHeld:
		return "warn"
	case incident.StateRunning:
		return "info"
	}
	return "unknown"
}

// toneOfStep says how a step is shown, and with which picture.
func toneOfStep(s incident.StepState) string {
	switch s {
	case incident.StepDone:
		return "good"
	case incident.StepFailed:
		return "bad"
	case incident.StepUnknown, incident.StepWaiting:
		return "warn"
	case incident.StepRunning:
		return "info"
	}
	return "unknown"
}

// said is what there is to say about a step beyond its state.
func said(s incident.StepRun) string {
	var parts []string
	if s.Message != "" {
		parts = append(parts, s.Message)
	}
	if s.By != "" && s.By != "runbook" {
		parts = append(parts, strings.TrimSuffix("decided by "+s.By+": "+s.Decided, ": "))
	}
	if s.Undone != "" {
		parts = append(parts, "taken back: "+s.Undone)
	}
	return strings.Join(parts, "; ")
}
