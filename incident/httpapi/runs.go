package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"

	"go.acu.edu.au/runbook/incident"
)

type runList struct {
	Runs []incident.Run `json:"runs" api:"never null" about:"Without their steps, the newest first."`
	More bool           `json:"more" about:"There are more than the limit, or so many were looked at that there may be."`
}

type reasonBody struct {
	Reason string `json:"reason" api:"required,words,max=500" about:"Why."`
}

type forkBody struct {
	Step   string `json:"step" api:"required,line" about:"The id of the step from which everything is made anew."`
	Reason string `json:"reason" api:"required,words,max=500" about:"Why."`
}

type answerBody struct {
	Question string          `json:"question" api:"required,line" about:"The id of the question."`
	Answer   string          `json:"answer" api:"required,enum=retry|skip|done|back|undo|abort|deny" about:"One of the answers that the question has."`
	Comment  string          `json:"comment" api:"words,max=500" about:"Why. Required for all but retry and done."`
	To       string          `json:"to" api:"line" about:"The step to go back to, for back."`
	Output   json.RawMessage `json:"output" about:"What the step would have returned, for done: any JSON of at most 64 KiB."`
}

func (a *api) runOperations() []*operation {
	const tag = "runs"
	states := enums[reflect.TypeFor[incident.RunState]()]
	return []*operation{
		{
			method: http.MethodPost, path: "/plans", id: "makePlan", tag: tag, verb: Operate, part: partRunner, dry: true,
			summary: "plan a run", about: "What a run would do now: its checks are made, and nothing is changed or recorded. The hash of the plan can be given to startRun.",
			example: `{"environment":"production","playbook":"restart","parameters":{"replicas":"2"}}`,
			codes:   []string{codeTooMany},
			endpoint: take(http.StatusOK, func(c *call, b planBody) (incident.Plan, error) {
				q, err := c.request(b, "", "")
				if err != nil {
					return incident.Plan{}, err
				}
				free, err := c.enter(c.a.plans, "plans are made")
				if err != nil {
					return incident.Plan{}, err
				}
				defer free()
				return c.a.cfg.Runner.Plan(c.ctx, q)
			}),
		},
		{
			method: http.MethodGet, path: "/runs", id: "listRuns", tag: tag, verb: Read, part: partRunner,
			summary: "list runs", about: "The runs of playbooks, the newest first.",
			parameters: []parameter{
				textParameter("playbook", "The name of the playbook."), textParameter("environment", "The environment."), textParameter("incident", "The incident."),
				{name: "state", in: "query", about: "How far they are.", schema: schema{Type: typeString, Enum: states}},
				sinceParameter, limitParameter,
			},
			endpoint: show((*call).listRuns),
		},
		{
			method: http.MethodPost, path: "/runs", id: "startRun", tag: tag, verb: Operate, part: partRunner,
			summary: "start a run", about: "Starts a run, or queues it behind the one that works on the same environment. With an id, or an Idempotency-Key, asking again starts nothing: it returns the run that there is.",
			parameters: []parameter{{name: "Idempotency-Key", in: "header", about: "Names the request, for one person: the same one again starts the run once.", schema: schema{Type: typeString, MaxLength: 255}}},
			example:    `{"id":"run-1","environment":"production","playbook":"restart","parameters":{"replicas":"2"},"incident":"INC-2000-0001"}`,
			codes:      []string{codeStale, codeBusy, codeOutcomeUnknown},
			endpoint:   take(http.StatusCreated, (*call).startRun),
		},
	}
}

// watchOperations are those by which people look at a run.
func (a *api) watchOperations() []*operation {
	const tag = "runs"
	return []*operation{
		{
			method: http.MethodGet, path: "/runs/{run}", id: "getRun", tag: tag, verb: Read, part: partRunner,
			summary: "show a run", about: "A run as it is now: its steps, and what it needs from a person.",
			endpoint: show(func(c *call) (incident.Run, error) { return c.a.cfg.Runner.Run(c.ctx, c.r.PathValue("run")) }),
		},
		{
			method: http.MethodGet, path: "/runs/{run}/document", id: "getRunDocument", tag: tag, verb: Read, part: partRunner,
			summary: "read a run as a document", about: "The same in Markdown.",
			endpoint: document(func(c *call) (string, error) {
				run, err := c.a.cfg.Runner.Run(c.ctx, c.r.PathValue("run"))
				if err != nil {
					return "", err
				}
				return run.Markdown(), nil
			}),
		},
		{
			method: http.MethodGet, path: "/runs/{run}/events", id: "followRun", tag: tag, verb: Read, part: partRunner,
			summary: "follow a run",
			about: "Server-sent events. Each event run has the run as it is then, with its revision as the id; what changes faster than a client reads is left out. " +
				"The event end is the last: the run has ended. An event problem says why it does not go on. A comment comes when nothing else does. " +
				"Whoever comes back with Last-Event-ID hears what is newer; of a run that has ended, and of which they have heard all, the answer is 204, after which browsers do not come back.",
			parameters: []parameter{
				{name: "Last-Event-ID", in: "header", about: "The revision that was heard last.", schema: schema{Type: typeString}},
				{name: "revision", in: "query", about: "The same, for who cannot set the header.", schema: schema{Type: typeInteger, Minimum: new(int64(0))}},
			},
			codes: []string{codeTooMany},
			endpoint: endpoint{
				results: map[string]reflect.Type{mediaEvents: reflect.TypeFor[string]()}, status: http.StatusOK, serve: (*call).follow,
			},
		},
	}
}

// interfereOperations are those by which people interfere with a run.
func (a *api) interfereOperations() []*operation {
	const tag = "runs"
	return []*operation{
		{
			method: http.MethodPost, path: "/runs/{run}/answer", id: "answerRun", tag: tag, verb: Operate, part: partRunner,
			summary: "answer the question of a run", about: "Decides what happens after a failure, or says that what a person does is done. What waits for approval is answered by the operations of approvals.",
			example: `{"question":"act/ask","answer":"retry","comment":"the network is back"}`,
			codes:   []string{codeStale, codeUnsupported, codeOutcomeUnknown},
			endpoint: tell(func(c *call, b answerBody) error {
				return c.answerRun(b)
			}),
		},
		control("pause", "pauseRun", "pause a run", "Keeps it from beginning anything new; what it does now ends.", (*incident.Runner).Pause),
		control("resume", "resumeRun", "let a paused run go on", "It may not be paused at all.", (*incident.Runner).Resume),
		control("cancel", "cancelRun", "cancel a run", "Ends it for good, also in the middle of a step. What was done stays as it is; of an action that was under way nobody knows whether it was done.", (*incident.Runner).Cancel),
		{
			method: http.MethodPost, path: "/runs/{run}/fork", id: "forkRun", tag: tag, verb: Operate, part: partRunner,
			summary: "start a run from a step of one that has ended", about: "What was recorded before the step is taken over, and it and all after are made anew. Asking twice makes two runs, of which one waits for the other.",
			example:  `{"step":"act","reason":"the network is back"}`,
			codes:    []string{codeStale, codeBusy, codeOutcomeUnknown},
			endpoint: take(http.StatusCreated, (*call).fork),
		},
	}
}

// control is an operation by which people interfere with a run.
func control(verb, id, summary, about string, do func(r *incident.Runner, ctx context.Context, id, by, reason string) error) *operation {
	return &operation{
		method: http.MethodPost, path: "/runs/{run}/" + verb, id: id, tag: "runs", verb: Operate, part: partRunner, summary: summary, about: about,
		example: `{"reason":"we look first"}`, codes: []string{codeStale, codeOutcomeUnknown},
		endpoint: tell(func(c *call, b reasonBody) error {
			run, err := c.run() // and not that of another program
			if err != nil {
				return err
			}
			return do(c.a.cfg.Runner, c.ctx, run.ID, c.actor.Name, b.Reason)
		}),
	}
}

// run reads the run that the path names, before a command: that it cannot be read leaves
// nothing open.
func (c *call) run() (incident.Run, error) {
	run, err := c.a.cfg.Runner.Run(c.ctx, c.r.PathValue("run"))
	return run, unchanged(err)
}

func (c *call) listRuns() (runList, error) {
	q := c.query()
	query := incident.RunQuery{Labels: make(map[string]string), Since: q.time("since")}
	for _, label := range []string{"playbook", "environment", "incident"} {
		if value := q.text(label); value != "" {
			query.Labels[label] = value
		}
	}
	state := incident.RunState(q.one("state", enums[reflect.TypeFor[incident.RunState]()]))
	limit := int(q.number("limit", 100, 1, 1000))
	if err := q.err(); err != nil {
		return runList{}, err
	}
	query.Limit = limit + 1
	if state != "" {
		// The states of the record are fewer: what has such a one is looked at.
		query.Statuses, query.Limit = statuses[state], 10_000
	}
	list, looked := runList{Runs: []incident.Run{}}, 0
	for run, err := range c.a.cfg.Runner.Runs(c.ctx, query) {
		if err != nil {
			return runList{}, err
		}
		looked++
		if state != "" && run.State != state {
			continue
		}
		if len(list.Runs) == limit {
			list.More = true
			break
		}
		list.Runs = append(list.Runs, withoutSteps(run))
	}
	list.More = list.More || looked == query.Limit
	return list, nil
}

// statuses are those that the record of a run in a state may have.
var statuses = map[incident.RunState][]incident.RunStatus{
	incident.StateQueued:    {incident.RunQueued},
	incident.StateRunning:   {incident.RunRunning},
	incident.StateWaiting:   {incident.RunRunning},
	incident.StateHeld:      {incident.RunRunning},
	incident.StateSucceeded: {incident.RunFinished},
	incident.StateFailed:    {incident.RunFinished, incident.RunFailed},
	incident.StateUndone:    {incident.RunFinished},
	incident.StateCancelled: {incident.RunCancelled},
	incident.StateStranded:  {incident.RunStranded},
}

func (c *call) startRun(b startBody) (incident.Run, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return incident.Run{}, err
	}
	if key != "" && b.ID != "" {
		return incident.Run{}, invalid(FieldProblem{Pointer: "#/id", Detail: "there is an Idempotency-Key too; one of them is enough"})
	}
	q, err := c.request(b.planBody, b.ID+key, b.Plan)
	if err != nil {
		return incident.Run{}, unchanged(err)
	}
	q.Refuse = b.Refuse
	run, err := c.a.cfg.Runner.Start(c.ctx, q)
	if err != nil {
		return incident.Run{}, err
	}
	if run.Incident != "" && c.a.cfg.Manager != nil {
		if _, err := c.a.cfg.Manager.AttachRun(c.ctx, run.Incident, run.ID, c.actor.Name); err != nil {
			c.a.cfg.Logger.WarnContext(c.ctx, "httpapi: a run was started, and is not attached to its incident", "run", run.ID, "incident", run.Incident, "error", err)
		}
	}
	c.w.Header().Set("Location", "runs/"+run.ID)
	return run, nil
}

func (c *call) fork(b forkBody) (incident.Run, error) {
	old, err := c.run()
	if err != nil {
		return incident.Run{}, err
	}
	run, err := c.a.cfg.Runner.Fork(c.ctx, old.ID, b.Step, c.actor.Name, b.Reason)
	if err != nil {
		return incident.Run{}, err
	}
	c.w.Header().Set("Location", "../../runs/"+run.ID)
	return run, nil
}

func (c *call) answerRun(b answerBody) error {
	run, err := c.run()
	if err != nil {
		return err
	}
	q := run.Question
	if q == nil || q.ID != b.Question {
		return newProblem(codeStale, "the run does not ask that any more: it %s", run.Text)
	}
	if q.Kind == "approve" {
		return newProblem(codeUnsupported, "this waits for approval: see approvals")
	}
	var errs []FieldProblem
	fail := func(when bool, at, detail string) {
		if when {
			errs = append(errs, FieldProblem{Pointer: at, Detail: detail})
		}
	}
	fail(!slices.Contains(q.Answers, b.Answer), "#/answer", "is none of those that the question has")
	fail(b.Comment == "" && b.Answer != incident.AnswerRetry && b.Answer != incident.AnswerDone, "#/comment", "a comment that says why is required")
	fail(b.Answer == incident.AnswerBack && !canGoBack(run, b.To), "#/to", "the run has not come to such a step")
	fail(len(b.Output) > 64<<10, "#/output", "has at most 64 KiB")
	if len(errs) > 0 {
		return invalid(errs...)
	}
	return c.a.cfg.Runner.Answer(c.ctx, run.ID, q.ID, incident.Answer{Kind: b.Answer, Actor: c.actor.Name, Comment: b.Comment, To: b.To, Output: b.Output})
}

// canGoBack reports whether a run has come to a step.
func canGoBack(run incident.Run, step string) bool {
	s := run.Step(step)
	return s != nil && s.State != incident.StepPending
}

// enter takes one of a number of places, and returns how to give it back.
func (c *call) enter(places chan struct{}, what string) (leave func(), err error) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, nil
	default:
		return nil, newProblem(codeTooMany, "as many %s as this host does at a time; try again in a moment", what)
	}
}
