package incident

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Markdown returns the plan as a document for those who decide about it: what would be
// changed, call by call, what that destroys, and how to go back; then what the steps
// would do, and what stands in the way. Texts from outside are escaped.
func (p Plan) Markdown() string {
	d := &runDoc{run: p.Run}
	d.line("# Plan: %s\n", mdText(p.Run.Title))
	d.line("**Nothing was changed.** %s.\n", mdText(sentence(strings.TrimPrefix(p.Run.Text, "plan: "))))
	d.line("| | |\n|---|---|")
	d.row("Environment", mdText(p.Run.Environment))
	d.row("Severity", p.Run.Severity.String())
	d.row("Playbook", mdText(p.Run.Playbook))
	d.row("Incident", mdText(p.Run.Incident))
	d.row("For", mdText(d.who()))
	d.row("Parameters", d.parameters())
	d.row("Made", docTime(p.Made))
	d.row("Hash", mdText(p.Hash))
	if len(p.Problems) > 0 {
		d.line("\n## What stands in the way\n")
		for _, problem := range p.Problems {
			d.line("- %s", mdText(problem))
		}
	}
	d.line("\n## What would be changed")
	if len(p.effects()) == 0 {
		d.line("\nNothing.")
	}
	n := 0
	for _, s := range p.Run.Steps {
		if s.Effect != nil && s.Kind == KindAction {
			n++
			d.line("\n### %d. %s\n", n, mdText(s.Title))
			d.effect(*s.Effect)
		}
	}
	d.line("\n## Steps\n\n| # | Step | What it is | In the plan | |\n|---|---|---|---|---|")
	for i, s := range p.Run.Steps {
		said := s.Message
		if s.Effect != nil && s.Kind != KindAction {
			said = s.Effect.Call
		}
		d.line("| %d | %s | %s | %s | %s |", i+1, mdText(s.Title), mdText(string(s.Kind)), mdText(planned(s)), mdText(said))
	}
	return d.b.String()
}

// planned says what a plan shows of a step.
func planned(s StepRun) string {
	switch {
	case s.State == StepDone && s.Kind == KindCheck:
		return "was made"
	case s.State == StepDone || s.State == StepPlanned:
		return "would be made"
	case s.State == StepSkipped:
		return "would be left out"
	case s.State == StepPending:
		return "would not be come to"
	case s.State == StepFailed && s.Kind == KindCheck:
		return "failed"
	}
	return string(s.State)
}

// Markdown returns the run as a document: how far it is, or how it ended, each step with
// how it went, and what people decided. Texts from outside are escaped. What steps
// returned is not in it: it is data, and for programs.
func (r Run) Markdown() string {
	d := &runDoc{run: r}
	d.line("# %s: %s\n", mdText(r.Title), mdText(string(r.State)))
	if r.Simulated {
		d.line("**This is a plan: nothing was changed.**\n")
	}
	d.line("%s.\n", mdText(sentence(cmp.Or(r.Text, string(r.State)))))
	d.line("| | |\n|---|---|")
	d.row("Run", mdText(r.ID))
	d.row("Environment", mdText(r.Environment))
	d.row("Severity", r.Severity.String())
	d.row("Playbook", mdText(r.Playbook))
	d.row("Incident", mdText(r.Incident))
	d.row("Started by", mdText(d.who()))
	d.row("Parameters", d.parameters())
	d.row("Asked for", docTime(r.Started))
	d.row("Began", docTime(r.Began))
	d.row("Ended", docTime(r.Ended))
	if !r.Began.IsZero() && !r.Ended.IsZero() {
		d.row("Took", inTime(r.Ended.Sub(r.Began).Round(time.Second)))
	}
	if r.Fork != "" {
		d.row("Goes on from", mdText(fmt.Sprintf("run %s, step %s", r.Fork, r.ForkStep)))
	}
	if r.Cancelled != nil {
		d.row("Cancelled by", mdText(r.Cancelled.By+because(r.Cancelled.Reason)))
	}
	if r.Held != nil {
		d.row("Paused by", mdText(r.Held.By+because(r.Held.Reason)))
	}
	d.row("Attention", mdText(r.Attention))
	d.row("Escalation", mdText(r.Escalation))
	d.question()
	d.line("\n## Steps\n\n| # | Step | State | Began | Took | Tries | |\n|---|---|---|---|---|---|---|")
	for i, s := range r.Steps {
		took, tries := "", ""
		if !s.Began.IsZero() && !s.Ended.Before(s.Began) {
			took = inTime(s.Ended.Sub(s.Began).Round(100 * time.Millisecond))
		}
		if s.Tries > 0 {
			tries = fmt.Sprint(s.Tries)
		}
		d.line("| %d | %s | %s | %s | %s | %s | %s |", i+1, mdText(s.Title), mdText(string(s.State)), docTime(s.Began), took, tries, mdText(saidOf(s)))
	}
	return d.b.String()
}

// saidOf is what there is to say about a step beyond its state.
func saidOf(s StepRun) string {
	var parts []string
	add := func(format, text string) {
		if text != "" {
			parts = append(parts, fmt.Sprintf(format, text))
		}
	}
	add("%s", s.Message)
	if s.By != "" {
		add("%s", strings.TrimSuffix(s.By+": "+s.Decided, ": "))
	}
	if s.Visits > 1 {
		add("come to %s times", fmt.Sprint(s.Visits))
	}
	add("now: %s", s.Progress)
	add("taken back: %s", s.Undone)
	return strings.Join(parts, "; ")
}

// runDoc writes the document of a run.
type runDoc struct {
	mdDoc
	run Run
}

func (d *runDoc) who() string {
	if d.run.Automatic {
		return "nobody: automatic"
	}
	return d.run.By
}

func (d *runDoc) parameters() string {
	var all []string
	for _, name := range sortedNames(d.run.Parameters) {
		if value := d.run.Parameters[name]; value != "" {
			all = append(all, mdText(name+" = "+value))
		}
	}
	return strings.Join(all, "; ")
}

// effect writes what a call would do.
func (d *runDoc) effect(e Effect) {
	d.line("- Call: %s", mdText(e.Call))
	for _, change := range e.Changes {
		d.line("- Changes: %s", mdText(change))
	}
	for _, loss := range e.Destroys {
		d.line("- **Destroys**: %s", mdText(loss))
	}
	if e.Undo != "" {
		d.line("- To go back: %s", mdText(e.Undo))
	}
}

// question writes what the run needs from a person.
func (d *runDoc) question() {
	q := d.run.Question
	if q == nil {
		return
	}
	d.line("\n## It needs a person: %s\n", mdText(q.Title))
	if q.Text != "" {
		d.line("%s\n", mdBlock(q.Text))
	}
	d.line("- Answers: %s.", mdList(q.Answers))
	if q.Min > 0 {
		d.line("- Approvals: %d of %d.", d.approvals(), q.Min)
	}
	if len(q.Roles) > 0 {
		d.line("- From: %s.", mdList(q.Roles))
	}
	if !q.Deadline.IsZero() {
		d.line("- Until %s.", docTime(q.Deadline))
	}
	for i, e := range q.Effects {
		d.line("\n### What is approved: %d of %d\n", i+1, len(q.Effects))
		d.effect(e)
	}
}

func (d *runDoc) approvals() (n int) {
	for _, v := range d.run.Question.Votes {
		if v.Kind == AnswerApprove {
			n++
		}
	}
	return n
}

// docTime shows a time in a document, empty if there is none.
func docTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 MST")
}

// sentence makes a text the beginning of a sentence.
func sentence(text string) string {
	text = strings.TrimSuffix(text, ".")
	if text == "" || text[0] < 'a' || text[0] > 'z' {
		return text
	}
	return strings.ToUpper(text[:1]) + text[1:]
}
