package dashboard

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// A decision is something that people are asked, with what they need to decide it.
type decision struct {
	Q                     incident.Question
	Playbook, Environment string
	Incident, RunID, ID   string
	Start                 *incident.Request
	Status                string
	Run                   *progress // what was found so far
	Link                  string    // of the page about it, from the first one
	WhyNot                string    // why this person cannot decide it
	Approved              int
	Backs                 []choice
	Others                []string // further answers, but for those that have forms of their own
	Form                  form
	Root                  string
	Unlisted              bool
	StartPlaybook         string
	Text                  string            // that of the question, but for what answers mean
	Means                 map[string]string // what answers mean, by answer
}

// Open reports whether it can be decided still.
func (d *decision) Open() bool { return d.Status == "open" }

// Title says what is asked, in the fewest words: that of an approval is that of its step.
func (d *decision) Title() string { return d.Q.Title }

// decisionsOf returns everything that people are asked: approvals, and questions of runs
// that are no approvals. Those that this person can decide come first, the worst before
// others.
func (c *request) decisionsOf(approvals []incident.Approval, runs []incident.Run) (all []*decision) {
	for i := range approvals {
		a := &approvals[i]
		d := c.decisionOf(a, nil)
		if j := slices.IndexFunc(runs, func(r incident.Run) bool { return r.ID == a.Question.Run }); j >= 0 {
			if q := runs[j].Question; q == nil || q.ID != a.Question.ID {
				continue // the run does not ask that any more
			}
			d.with(c, &runs[j])
		}
		all = append(all, d)
	}
	for i := range runs {
		run := &runs[i]
		q := run.Question
		if q == nil || slices.ContainsFunc(all, func(d *decision) bool { return d.Q.Run == run.ID && d.Q.ID == q.ID }) {
			continue
		}
		d := &decision{
			Q: *q, Playbook: run.Playbook, Environment: run.Environment, Incident: run.Incident, RunID: run.ID, Status: "open",
			Link: "runs/" + run.ID, Root: c.root, Unlisted: q.Kind == "approve",
		}
		d.with(c, run)
		d.WhyNot = c.whyNot(d)
		d.split()
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b *decision) int {
		if x := compareBool(a.WhyNot != "", b.WhyNot != ""); x != 0 {
			return x
		}
		return cmp.Or(cmp.Compare(c.severityOf(a), c.severityOf(b)), a.Q.Asked.Compare(b.Q.Asked))
	})
	return all
}

// severityOf returns how bad that is which the playbook of a decision is for.
func (c *request) severityOf(d *decision) alert.Severity {
	p, err := c.h.cfg.Runner.Playbook(d.Environment, d.Playbook)
	if err != nil {
		return alert.Critical // who is unsure takes the worse
	}
	return p.Severity
}

// decisionOf returns an approval as a decision.
func (c *request) decisionOf(a *incident.Approval, run *incident.Run) *decision {
	d := &decision{
		Q: a.Question, Playbook: a.Playbook, Environment: a.Environment, Incident: a.Incident, RunID: a.Question.Run, ID: a.ID, Start: a.Start,
		Status: a.Status, Link: "approvals/" + a.ID, Root: c.root,
	}
	if a.Status == "open" && !a.Question.Deadline.IsZero() && !c.now.Before(a.Question.Deadline) {
		d.Status = "expired"
	}
	if run != nil {
		d.with(c, run)
	}
	for _, v := range a.Question.Votes {
		if v.Kind == incident.AnswerApprove {
			d.Approved++
		}
	}
	d.WhyNot = c.whyNot(d)
	d.split()
	return d
}

// split takes what the answers mean out of the text of a question, where each stands in a
// line of its own, so that it can stand beside the button.
func (d *decision) split() {
	d.Means = make(map[string]string)
	var rest []string
	for line := range strings.SplitSeq(d.Q.Text, "\n") {
		answer, means, ok := strings.Cut(line, ": ")
		if ok && d.Q.Kind == "decide" && slices.Contains(d.Q.Answers, answer) && d.Means[answer] == "" {
			d.Means[answer] = means
			continue
		}
		rest = append(rest, line)
	}
	d.Text = strings.TrimSpace(strings.Join(rest, "\n"))
}

// with adds what the run has found so far.
func (d *decision) with(c *request, run *incident.Run) {
	d.Run = c.h.progressOf(run)
	d.Run.Root = c.root
	for _, n := range d.Run.Tree {
		n.open()
	}
	d.RunID = run.ID
	d.Others = slices.DeleteFunc(slices.Clone(d.Q.Answers), func(a string) bool { return a == incident.AnswerBack })
	if !slices.Contains(d.Q.Answers, incident.AnswerBack) {
		return
	}
	for _, s := range run.Steps {
		if s.State != incident.StepPending && s.ID != d.Q.Step {
			d.Backs = append(d.Backs, choice{s.ID, s.Title})
		}
	}
}

// whyNot says why the actor cannot decide something, or nothing.
func (c *request) whyNot(d *decision) string {
	verb := httpapi.Operate
	if d.Q.Kind == "approve" {
		verb = httpapi.Approve
	}
	if !c.may(verb) {
		return fmt.Sprintf("Your roles (%s) do not let you %s. Somebody else has to.", strings.Join(c.actor.Roles, ", "), verb)
	}
	if d.Q.Kind != "approve" {
		return ""
	}
	if same(d.Q.Starter, c.actor.Name) {
		return "You started it, so that somebody else decides."
	}
	for _, v := range d.Q.Votes {
		if same(v.Actor, c.actor.Name) {
			return fmt.Sprintf("You have said %s at %s; it needs %d, and has %d.", v.Kind, c.clock(v.At), max(d.Q.Min, 1), len(d.Q.Votes))
		}
	}
	if d.Unlisted {
		return "It is not listed among the approvals yet, so that it cannot be answered here. Load the page again in a minute."
	}
	return ""
}

// same reports whether two names are of one person, as the core has it.
func same(a, b string) bool {
	plain := func(name string) string { return strings.ToLower(strings.Join(strings.Fields(name), " ")) }
	return plain(a) == plain(b)
}

// showApproval shows what is asked, with plan and evidence beside the buttons.
func (c *request) showApproval() {
	d, p := c.theDecision()
	if p != nil {
		if p.Status == http.StatusNotFound {
			c.lost("decision")
			return
		}
		c.refuse(p)
		return
	}
	d.Form = c.sent()
	c.show(http.StatusOK, "decision", d.Title(), d)
}

// theDecision reads what the path names.
func (c *request) theDecision() (*decision, *problem) {
	if c.h.cfg.Runner == nil {
		return nil, &problem{Status: http.StatusNotFound}
	}
	a, p := c.theApproval()
	if p != nil {
		return nil, p
	}
	var run *incident.Run
	if a.Question.Run != "" {
		r, err := c.h.cfg.Runner.Run(c.ctx, a.Question.Run)
		switch {
		case err == nil:
			run = &r
		case !errors.Is(err, incident.ErrNotFound):
			c.trouble("The run that asks this", err)
		}
	}
	d := c.decisionOf(&a, run)
	if a.Start != nil {
		d.StartPlaybook = a.Start.Playbook
	}
	return d, nil
}

// showDecision shows a decision after an answer was refused. If the run asks again, since
// what it would do has changed, that is what is shown: what was answered is void.
func (c *request) showDecision() {
	why := c.problem
	d, p := c.theDecision()
	if p != nil {
		c.refuse(why)
		return
	}
	if why.Code == "stale" && d.Q.Run != "" && d.Run != nil && d.Run.Question != nil && d.Run.Question.ID != d.Q.ID {
		open, _ := ask(c, "What waits for approval", c.h.approvals)()
		for _, next := range c.decisionsOf(open, []incident.Run{d.Run.Run}) {
			if next.Q.Run == d.Q.Run && next.Q.ID == d.Run.Question.ID {
				why.Title, why.Detail = "Your answer was not taken: what would be done has changed", "Below is what it would do now. Look at it again before you decide."
				d = next
			}
		}
	} else if why.Code == "stale" && d.Open() {
		why.Title, why.Detail = "Your answer was not taken: what would be done has changed", "Below is what it would do now. Look at it again before you decide."
	} else {
		d.Form = c.sent()
	}
	c.show(why.Status, "decision", d.Title(), d)
}
