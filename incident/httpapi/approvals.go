package httpapi

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"go.acu.edu.au/runbook/incident"
)

type approvalList struct {
	Approvals []incident.Approval `json:"approvals" api:"never null" about:"Those that are open, the oldest first."`
}

type approveBody struct {
	Plan    string `json:"plan" api:"line" about:"The hash of the plan that is approved, as the question has it. Required if it has one."`
	Comment string `json:"comment" api:"words,max=500"`
}

type denyBody struct {
	Comment string `json:"comment" api:"required,words,max=500" about:"Why."`
}

type backBody struct {
	To      string `json:"to" api:"required,line" about:"The step to go back to."`
	Comment string `json:"comment" api:"required,words,max=500" about:"Why."`
}

func (a *api) approvalOperations() []*operation {
	const tag = "approvals"
	return []*operation{
		{
			method: http.MethodGet, path: "/approvals", id: "listApprovals", tag: tag, verb: Read, part: partRunner,
			summary: "list what waits for approval", about: "Steps of runs, and runs that were suggested, with what they would do.",
			endpoint: show(func(c *call) (approvalList, error) {
				open, err := c.a.cfg.Runner.Approvals(c.ctx)
				return approvalList{Approvals: ifAny(open)}, err
			}),
		},
		{
			method: http.MethodPost, path: "/approvals", id: "suggestRun", tag: tag, verb: Operate, part: partRunner,
			summary: "ask people whether to start a run", about: "Makes a plan and shows it to those who approve; the run starts when enough have. Who suggests it cannot approve it.",
			example: `{"id":"run-2","environment":"production","playbook":"restart","parameters":{"replicas":"2"},"approvers":1,"within":"30m"}`,
			codes:   []string{codeOutcomeUnknown},
			endpoint: take(http.StatusCreated, func(c *call, b suggestBody) (incident.Approval, error) {
				q, err := c.request(b.planBody, b.ID, "")
				if err != nil {
					return incident.Approval{}, unchanged(err)
				}
				a, err := c.a.cfg.Runner.Suggest(c.ctx, q, b.Approvers, time.Duration(b.Within))
				if err == nil {
					c.w.Header().Set("Location", "approvals/"+a.ID)
				}
				return a, err
			}),
		},
		{
			method: http.MethodGet, path: "/approvals/{approval}", id: "getApproval", tag: tag, verb: Read, part: partRunner,
			summary: "show what waited for approval", about: "Also when it is decided.",
			endpoint: show(func(c *call) (incident.Approval, error) { return c.approval(c.r.PathValue("approval")) }),
		},
		{
			method: http.MethodPost, path: "/approvals/{approval}/approve", id: "approve", tag: tag, verb: Approve, part: partRunner,
			summary: "approve", about: "Who started or suggested it cannot, and nobody counts twice. The plan is the one that was looked at: if it is another one now, the answer is stale.",
			example: `{"plan":"","comment":"looks right"}`, codes: []string{codeStale, codeOutcomeUnknown},
			endpoint: tell(func(c *call, b approveBody) error {
				return c.decide(incident.Answer{Kind: incident.AnswerApprove, Plan: b.Plan, Comment: b.Comment})
			}),
		},
		{
			method: http.MethodPost, path: "/approvals/{approval}/deny", id: "deny", tag: tag, verb: Approve, part: partRunner,
			summary: "deny", about: "One who denies is enough.",
			example: `{"comment":"not during the exam"}`, codes: []string{codeStale, codeOutcomeUnknown},
			endpoint: tell(func(c *call, b denyBody) error {
				return c.decide(incident.Answer{Kind: incident.AnswerDeny, Comment: b.Comment})
			}),
		},
		{
			method: http.MethodPost, path: "/approvals/{approval}/back", id: "sendBack", tag: tag, verb: Approve, part: partRunner,
			summary: "send a run back to a step", about: "Instead of approving: the run goes back to a step that it has come to already. Not for a run that was only suggested.",
			example: `{"to":"look","comment":"look again"}`, codes: []string{codeStale, codeUnsupported, codeOutcomeUnknown},
			endpoint: tell(func(c *call, b backBody) error {
				return c.decide(incident.Answer{Kind: incident.AnswerBack, To: b.To, Comment: b.Comment})
			}),
		},
	}
}

// decide answers an approval: a question of a run, or a suggestion.
func (c *call) decide(answer incident.Answer) error {
	answer.Actor = c.actor.Name
	id := c.r.PathValue("approval")
	approval, err := c.approval(id)
	if err != nil {
		return unchanged(err)
	}
	q := approval.Question
	if !slices.Contains(q.Answers, answer.Kind) {
		return newProblem(codeUnsupported, "this cannot be answered by %q", answer.Kind)
	}
	if approval.Start != nil {
		_, err := c.a.cfg.Runner.AnswerSuggestion(c.ctx, id, answer)
		return err
	}
	if answer.Kind == incident.AnswerBack {
		run, err := c.a.cfg.Runner.Run(c.ctx, q.Run)
		if err != nil {
			return unchanged(err)
		}
		if !canGoBack(run, answer.To) {
			return invalid(FieldProblem{Pointer: "#/to", Detail: "the run has not come to such a step"})
		}
	}
	return c.a.cfg.Runner.Answer(c.ctx, q.Run, q.ID, answer)
}

// approval returns an approval, as the core keeps it.
func (c *call) approval(id string) (a incident.Approval, err error) {
	doc, err := c.a.cfg.Store.Document(c.ctx, "approval", id)
	if err != nil {
		return a, err
	}
	err = json.Unmarshal(doc.Data, &a)
	return a, err
}
