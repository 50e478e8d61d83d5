package main

import (
	"context"
	"net/url"
	"strings"

	"github.com/urfave/cli/v3"

	"go.acu.edu.au/runbook/incident"
)

func (p *program) decideCommands() []*cli.Command {
	const category = "Deciding"
	return []*cli.Command{
		{
			Name: "approvals", Category: category, Usage: "all that waits for a person: approvals, suggestions, questions, manual steps", Action: p.approvals,
			Description: running + waitingShape,
		},
		{
			Name: "approve", Category: category, Usage: "approve what waits", ArgsUsage: "RUN|APPROVAL", Description: running + " Nobody approves what they started. What is approved is shown first; with -plan it is approved only if it is still that.",
			Flags: []cli.Flag{&cli.StringFlag{Name: "comment", Aliases: []string{"m"}, Usage: "`WHY`"}, &cli.StringFlag{Name: "plan", Usage: "the `HASH` of what was looked at"}}, Action: p.approve,
		},
		{Name: "deny", Category: category, Usage: "deny what waits", ArgsUsage: "RUN|APPROVAL", Description: running, Flags: []cli.Flag{reasonFlag()}, Action: p.deny},
		{
			Name: "answer", Category: category, Usage: "answer what a run asks after a failure, or of what a person does", ArgsUsage: "RUN retry|skip|done|back|undo|abort", Description: running,
			Flags: []cli.Flag{&cli.StringFlag{Name: "comment", Aliases: []string{"m", "reason"}, Usage: "`WHY`; required for all but retry and done"}, &cli.StringFlag{Name: "to", Usage: "for back: the `STEP` to go back to"}}, Action: p.answer,
		},
		{Name: "automation", Category: category, Usage: "the switch that stops everything automatic", Description: running, Action: p.automation, Commands: []*cli.Command{
			{Name: "stop", Usage: "stop all automatic actions, everywhere", Flags: []cli.Flag{reasonFlag()}, Action: p.switchTo("stop", "Nothing is done without a person any more. Runs that people started go on.")},
			{Name: "resume", Usage: "allow them again", Flags: []cli.Flag{reasonFlag()}, Action: p.switchTo("resume", "Automation is allowed again.")},
		}},
	}
}

// open returns what waits for approval.
func open(ctx context.Context, api *client) ([]incident.Approval, error) {
	var list struct{ Approvals []incident.Approval }
	err := api.get(ctx, "/api/v1/approvals", &list)
	return list.Approvals, err
}

// waitingShape says what -json writes.
const waitingShape = `

With -json each line is one thing that waits, with these fields:
  kind         "approval" of a step of a run, "suggestion" of a run that has not begun,
               "question" of a run after something failed, "manual" for what a person does
  id           what to name: opsd approve ID, opsd deny ID, or opsd answer ID ANSWER
  environment, playbook, incident (if it is about one)
  question     all that is asked: id, run, step, title, text (of several lines), answers,
               asked, deadline, who may answer (min, roles, starter), plan (the hash), effects
  start        of a suggestion: the run that would begin`

// A waitingView is something that waits for a person, whole.
type waitingView struct {
	Kind        string            `json:"kind"`
	ID          string            `json:"id"`
	Environment string            `json:"environment"`
	Playbook    string            `json:"playbook"`
	Incident    string            `json:"incident,omitempty"`
	Question    incident.Question `json:"question"`
	Start       *incident.Request `json:"start,omitempty"`
}

// waits returns all that waits for a person: what waits for approval, and what runs ask.
func waits(ctx context.Context, api *client) (all []waitingView, err error) {
	list, err := open(ctx, api)
	if err != nil {
		return nil, err
	}
	for _, a := range list {
		v := waitingView{"approval", a.Question.Run, a.Environment, a.Playbook, a.Incident, a.Question, a.Start}
		if v.ID == "" {
			v.ID = a.ID
		}
		if a.Start != nil {
			v.Kind = "suggestion"
		}
		all = append(all, v)
	}
	var asking struct{ Runs []incident.Run }
	if err := api.get(ctx, "/api/v1/runs?state=waiting&limit=1000", &asking); err != nil {
		return nil, err
	}
	for _, r := range asking.Runs {
		if q := r.Question; q != nil && q.Kind != "approve" {
			v := waitingView{Kind: "question", ID: r.ID, Environment: r.Environment, Playbook: r.Playbook, Incident: r.Incident, Question: *q}
			if q.Kind == "manual" {
				v.Kind = "manual"
			}
			all = append(all, v)
		}
	}
	return all, nil
}

func (p *program) approvals(ctx context.Context, c *cli.Command) error {
	if err := none(c); err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	all, err := waits(ctx, api)
	if err != nil {
		return err
	}
	paint := p.paint(c)
	for _, v := range all {
		switch {
		case c.Bool("json"):
			if err := p.json(v); err != nil {
				return err
			}
		case v.Kind == "approval" || v.Kind == "suggestion":
			p.approval(incident.Approval{ID: v.ID, Question: v.Question, Playbook: v.Playbook, Environment: v.Environment, Incident: v.Incident, Start: v.Start}, paint)
			p.printf("  opsd approve %s, or opsd deny %s -m WHY\n\n", v.ID, v.ID)
		default:
			q := v.Question
			p.printf("%s  %s %s: %s\n", paint.in(yellow, v.ID), v.Environment, v.Playbook, oneLine(q.Title))
			p.indented(q.Text)
			p.printf("  opsd answer %s %s\n\n", v.ID, strings.Join(q.Answers, "|"))
		}
	}
	if len(all) == 0 && !c.Bool("json") {
		p.printf("Nothing waits for a person.\n")
	}
	return nil
}

// indented writes a text of several lines, whole.
func (p *program) indented(text string) {
	if text = strings.TrimSpace(text); text != "" {
		for l := range strings.Lines(text) {
			p.printf("  %s\n", oneLine(strings.TrimRight(l, "\r\n")))
		}
	}
}

// approval shows what is to be approved.
func (p *program) approval(a incident.Approval, paint painter) {
	q := a.Question
	name := a.ID
	if q.Run != "" {
		name = q.Run
	}
	title := oneLine(q.Title)
	if a.Start != nil {
		title += " (a suggestion: the run has not begun)"
	}
	p.printf("%s  %s %s: %s\n", paint.in(yellow, name), a.Environment, a.Playbook, title)
	p.indented(q.Text)
	for _, e := range q.Effects {
		p.printf("  would: %s\n", oneLine(e.Call))
		for _, d := range e.Destroys {
			p.printf("    %s\n", paint.bad("destroys "+oneLine(d)))
		}
	}
	who := "anybody but " + q.Starter
	if q.Starter == "" {
		who = "anybody who may"
	}
	if len(q.Roles) > 0 {
		who += " with the role " + strings.Join(q.Roles, " or ")
	}
	if q.Min > 1 {
		who += ", " + count(q.Min, "person")
	}
	p.printf("  may be approved by %s", who)
	if !q.Deadline.IsZero() {
		p.printf(", until %s", q.Deadline.Local().Format("2006-01-02 15:04:05"))
	}
	p.printf("\n")
}

// waiting returns the approval that is named: by its own ID, or that of its run or incident.
func waiting(ctx context.Context, api *client, name string) (incident.Approval, error) {
	list, err := open(ctx, api)
	if err != nil {
		return incident.Approval{}, err
	}
	var found []incident.Approval
	for _, a := range list {
		if a.ID == name || a.Question.Run == name || a.Incident == name || a.Start != nil && a.Start.ID == name {
			found = append(found, a)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return incident.Approval{}, usage("nothing of %q waits for approval; opsd approvals lists what does", name)
	}
	return incident.Approval{}, usage("several things of %q wait; opsd approvals lists them", name)
}

func (p *program) approve(ctx context.Context, c *cli.Command) error {
	name, err := argument(c, "the run that waits")
	if err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	a, err := waiting(ctx, api, name)
	if err != nil {
		return err
	}
	plan := c.String("plan")
	if plan == "" {
		plan = a.Question.Plan
	}
	if !c.Bool("json") {
		p.approval(a, p.paint(c))
		p.printf("\n")
	}
	return p.command(ctx, c, "/api/v1/approvals/"+url.PathEscape(a.ID)+"/approve", map[string]any{"plan": plan, "comment": c.String("comment")}, "Approved.")
}

func (p *program) deny(ctx context.Context, c *cli.Command) error {
	name, err := argument(c, "the run that waits")
	if err != nil {
		return err
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	a, err := waiting(ctx, api, name)
	if err != nil {
		return err
	}
	return p.command(ctx, c, "/api/v1/approvals/"+url.PathEscape(a.ID)+"/deny", map[string]any{"comment": c.String("reason")}, "Denied: it is not done.")
}

func (p *program) answer(ctx context.Context, c *cli.Command) error {
	if c.Args().Len() != 2 {
		return usage("a run and an answer are wanted; opsd answer -h tells how")
	}
	id, answer := c.Args().Get(0), c.Args().Get(1)
	api, err := p.client(c)
	if err != nil {
		return err
	}
	var run incident.Run
	if err := api.get(ctx, "/api/v1/runs/"+url.PathEscape(id), &run); err != nil {
		return err
	}
	if run.Question == nil {
		return usage("run %s asks nothing: it is %s", id, run.State)
	}
	body := map[string]any{"question": run.Question.ID, "answer": answer}
	for name, value := range map[string]string{"comment": c.String("comment"), "to": c.String("to")} {
		if value != "" {
			body[name] = value
		}
	}
	return p.command(ctx, c, "/api/v1/runs/"+url.PathEscape(id)+"/answer", body, "Answered: "+answer+".")
}

func (p *program) automation(ctx context.Context, c *cli.Command) error {
	if c.Args().Present() {
		return group(ctx, c)
	}
	api, err := p.client(c)
	if err != nil {
		return err
	}
	var k incident.KillSwitch
	if err := api.get(ctx, "/api/v1/automation", &k); err != nil {
		return err
	}
	if c.Bool("json") {
		return p.json(k)
	}
	switch {
	case k.Stopped:
		p.printf("Automation is stopped, by %s, %s: %s\n", k.By, ago(k.At), oneLine(k.Reason))
	default:
		p.printf("Automation is allowed, within the policies of the environments.\n")
	}
	return nil
}

// switchTo returns the action of a command that stops or allows automation.
func (p *program) switchTo(verb, done string) cli.ActionFunc {
	return func(ctx context.Context, c *cli.Command) error {
		if err := none(c); err != nil {
			return err
		}
		return p.command(ctx, c, "/api/v1/automation/"+verb, map[string]any{"reason": c.String("reason")}, done)
	}
}
