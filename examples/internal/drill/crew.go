package drill

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// A crew plays the people of a scenario: it acknowledges, answers questions, and does by hand
// what it is asked to, each after the time that it takes them. It looks where people look: at
// the incidents and at what waits for an answer.
type crew struct {
	draw    draw
	script  people
	manager *incident.Manager
	runner  *incident.Runner
	// names are who they are: those on call, and those who may approve.
	names []string
	// mend removes the cause of what is wrong, as somebody outside does.
	mend func(kind string) error
	// makes is what people make by hand, by the step that asks them to, with what they say
	// of it then.
	makes map[string]func() map[string]string
	// happened tells whether an act of a kind was seen since a time, as people see it on the
	// page of a platform.
	happened func(since time.Time, kinds ...string) bool

	seen  map[string]time.Time // questions, incidents: since when
	tries map[string]int       // how often a step was tried again
	done  map[string]bool
	Acts  []act
}

// turn does what is due now.
func (c *crew) turn(ctx context.Context) error {
	if c.seen == nil {
		c.seen, c.tries, c.done = make(map[string]time.Time), make(map[string]int), make(map[string]bool)
	}
	if err := c.acknowledge(ctx); err != nil {
		return err
	}
	return c.answer(ctx)
}

// due reports whether so much time has passed since the crew first saw something.
func (c *crew) due(what string, after time.Duration) bool {
	now := time.Now()
	if _, ok := c.seen[what]; !ok {
		c.seen[what] = now
	}
	return after >= 0 && now.Sub(c.seen[what]) >= after && !c.done[what]
}

// did notes what a person did.
func (c *crew) did(kind, detail, run string) {
	c.Acts = append(c.Acts, act{At: time.Now(), Kind: kind, Detail: detail, Run: run})
}

// acknowledge takes incidents that nobody has taken.
func (c *crew) acknowledge(ctx context.Context) error {
	for i, err := range c.manager.Incidents(ctx, incident.IncidentQuery{Open: true}) {
		if err != nil {
			return err
		}
		key := fmt.Sprintf("%s %d", i.ID, i.Reopens) // who is called again looks again
		if i.State != incident.Triggered || !c.due(key, c.draw.Ack) {
			continue
		}
		c.done[key] = true
		if _, err := c.manager.Acknowledge(ctx, i.ID, incident.Ack{By: c.names[0], Comment: "I look at it."}); err != nil {
			return fmt.Errorf("acknowledge %s: %w", i.ID, err)
		}
	}
	return nil
}

// answer answers what runs ask, and what automation suggests.
func (c *crew) answer(ctx context.Context) error {
	suggested, err := c.runner.Approvals(ctx)
	if err != nil {
		return err
	}
	for _, a := range suggested {
		if a.Start == nil || a.Question.Run != "" || !c.due(a.ID, c.draw.Answer) {
			continue
		}
		c.done[a.ID] = true
		answer, kind := c.reply(a.Question, a.Playbook)
		if err := c.try(a.Question, func(name string) error {
			answer.Actor = name
			_, err := c.runner.AnswerSuggestion(ctx, a.ID, answer)
			return err
		}); err != nil {
			return fmt.Errorf("answer the suggestion of %s: %w", a.Playbook, err)
		}
		c.did(kind, "the run of "+a.Playbook, a.Start.ID)
	}
	running := []incident.RunStatus{incident.RunRunning, incident.RunStranded}
	for run, err := range c.runner.Runs(ctx, incident.RunQuery{Program: incident.PlaybookProgram, Statuses: running}) {
		if err != nil {
			return err
		}
		if q := run.Question; q != nil && c.due(run.ID+" "+q.ID, c.draw.Answer) {
			if err := c.answerRun(ctx, run, *q); err != nil {
				return err
			}
		}
	}
	return nil
}

// answerRun answers the question of a run.
func (c *crew) answerRun(ctx context.Context, run incident.Run, q incident.Question) error {
	answer, kind := c.reply(q, run.Playbook)
	if q.Kind == "decide" && answer.Kind != incident.AnswerAbort {
		answer = c.decide(run, q, answer)
	}
	if q.Kind == "manual" && answer.Kind == incident.AnswerDone {
		for _, what := range c.script.Mends {
			if err := c.mend(what); err != nil {
				return fmt.Errorf("mend %s: %w", what, err)
			}
		}
	}
	if made := c.makes[q.Step]; made != nil && q.Kind == "manual" && answer.Kind == incident.AnswerDone {
		output, err := json.Marshal(made())
		if err != nil {
			return err
		}
		answer.Output = output
	}
	voted := len(q.Votes)
	for range max(q.Min-voted, 1) {
		if err := c.try(q, func(name string) error {
			answer.Actor = name
			err := c.runner.Answer(ctx, run.ID, q.ID, answer)
			if err == nil {
				q.Votes = append(q.Votes, incident.Signal{Actor: name})
			}
			return err
		}); err != nil {
			return fmt.Errorf("answer %s of %s: %w", q.Step, run.Playbook, err)
		}
		c.did(kind, fmt.Sprintf("%s of %s: %s", q.Step, run.Playbook, answer.Kind), run.ID)
		if kind == "denied" {
			break
		}
	}
	c.done[run.ID+" "+q.ID] = true
	return nil
}

// reply is what the script says to a question, and what kind of act that is.
func (c *crew) reply(q incident.Question, playbook string) (incident.Answer, string) {
	no := slices.ContainsFunc(c.script.Deny, func(what string) bool { return what == "all" || what == playbook || what == q.Step })
	switch {
	case q.Kind == "approve" && no:
		return incident.Answer{Kind: incident.AnswerDeny, Comment: "Not now."}, "denied"
	case q.Kind == "approve":
		return incident.Answer{Kind: incident.AnswerApprove, Plan: q.Plan}, "approved"
	case q.Kind == "manual" && no:
		return incident.Answer{Kind: incident.AnswerDeny, Comment: "It cannot be done now."}, "denied"
	case q.Kind == "manual":
		return incident.Answer{Kind: incident.AnswerDone, Comment: "It is done."}, "done-by-hand"
	case no:
		return incident.Answer{Kind: incident.AnswerAbort, Comment: "Leave it."}, "denied"
	}
	return incident.Answer{Kind: incident.AnswerRetry}, "decided"
}

// decide is what a person does about a step that failed, or of which nobody knows: they look
// at the platform whether it happened, try once more if it did not, and then end the run.
func (c *crew) decide(run incident.Run, q incident.Question, retry incident.Answer) incident.Answer {
	can := func(kind string) bool { return slices.Contains(q.Answers, kind) }
	step := run.Step(q.Step)
	unknown := step != nil && step.State == incident.StepUnknown
	if unknown && can(incident.AnswerDone) && c.happened(or(step.Began, q.Asked).Add(-time.Minute), acts(q.Step)...) {
		return incident.Answer{Kind: incident.AnswerDone, Comment: "I see it on the page of the platform."}
	}
	key := run.ID + " " + q.Step
	if c.tries[key]++; c.tries[key] == 1 && can(incident.AnswerRetry) {
		return retry
	}
	if can(incident.AnswerAbort) {
		return incident.Answer{Kind: incident.AnswerAbort, Comment: "It has failed twice: I look at it myself."}
	}
	return incident.Answer{Kind: q.Answers[0], Comment: "There is nothing better."}
}

// acts are the kinds of acts that a step may be: those whose words are in its name.
func acts(step string) (kinds []string) {
	for _, kind := range changes() {
		if strings.Contains(strings.ReplaceAll(step, "-", ""), strings.ReplaceAll(kind, "-", "")) {
			kinds = append(kinds, kind)
		}
	}
	if strings.Contains(step, "roll") {
		kinds = append(kinds, "rollback")
	}
	return kinds
}

// try lets one person after the other do something, until one may.
func (c *crew) try(q incident.Question, do func(name string) error) (err error) {
	for _, name := range c.names {
		voted := slices.ContainsFunc(q.Votes, func(s incident.Signal) bool { return s.Actor == name })
		if name == q.Starter || voted {
			continue
		}
		if err = do(name); err == nil {
			return nil
		}
	}
	if err == nil {
		err = fmt.Errorf("nobody of %s may", strings.Join(c.names, ", "))
	}
	return err
}
