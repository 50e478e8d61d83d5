package httpapi

import (
	"context"
	"net/http"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

type ackBody struct {
	Comment string            `json:"comment" api:"words"`
	For     incident.Interval `json:"for" about:"How long it counts: after that the incident is triggered again. Left out, what the host has."`
	Forever bool              `json:"forever" about:"It does not expire."`
}

type commentBody struct {
	Comment string `json:"comment" api:"words"`
}

type resolveBody struct {
	Cause      string `json:"cause" api:"words,max=1500" about:"What was found to be the cause. Left out, it is kept as it is."`
	Resolution string `json:"resolution" api:"words,max=1500" about:"What put it right. Left out, it is kept as it is."`
}

type mergeBody struct {
	Into   string `json:"into" api:"required,id" about:"The incident that goes on in its place."`
	Reason string `json:"reason" api:"words"`
}

type incidentReasonBody struct {
	Reason string `json:"reason" api:"required,words" about:"Why."`
}

// courseOperations are those by which an incident goes its course.
func (a *api) courseOperations() []*operation {
	move := func(verb, id, summary, about, example string, e endpoint) *operation {
		return ofManager(operation{
			path: "/incidents/{incident}/" + verb, id: id, summary: summary, about: about, example: example, codes: []string{codeTaken}, endpoint: e,
		})
	}
	type said = func(m *incident.Manager, ctx context.Context, id, by, text string) (incident.Incident, error)
	comment := func(do said) endpoint {
		return take(http.StatusOK, func(c *call, b commentBody) (incident.Incident, error) {
			return do(c.a.cfg.Manager, c.ctx, c.incident(), c.actor.Name, b.Comment)
		})
	}
	reason := func(do said) endpoint {
		return take(http.StatusOK, func(c *call, b incidentReasonBody) (incident.Incident, error) {
			return do(c.a.cfg.Manager, c.ctx, c.incident(), c.actor.Name, b.Reason)
		})
	}
	return []*operation{
		move("acknowledge", "acknowledgeIncident", "say that you take care of an incident", "Nobody else is called, and its alerts are acknowledged.", `{"comment":"on it","for":"1h"}`,
			take(http.StatusOK, func(c *call, b ackBody) (incident.Incident, error) {
				ack := incident.Ack{By: c.actor.Name, Comment: b.Comment, For: time.Duration(b.For)}
				if b.Forever && b.For != 0 {
					return incident.Incident{}, invalid(FieldProblem{Pointer: "#/forever", Detail: "for says how long it counts"})
				}
				if b.Forever {
					ack.For = -1
				}
				return c.a.cfg.Manager.Acknowledge(c.ctx, c.incident(), ack)
			})),
		move("mitigate", "mitigateIncident", "say that users are no longer hurt", "The cause may still be there.", `{"comment":"the old version works"}`, comment((*incident.Manager).Mitigate)),
		move("resolve", "resolveIncident", "say that an incident is over", "", `{"cause":"a bad deployment","resolution":"rolled back"}`,
			take(http.StatusOK, func(c *call, b resolveBody) (incident.Incident, error) {
				return c.a.cfg.Manager.Resolve(c.ctx, c.incident(), incident.Resolution{By: c.actor.Name, Cause: b.Cause, Resolution: b.Resolution})
			})),
		move("review", "reviewIncident", "say that a resolved incident was looked back at", "Its report is final.", `{"comment":"with the team"}`, comment((*incident.Manager).Review)),
		move("reopen", "reopenIncident", "let an incident go on that was closed", "Its clocks begin anew.", `{"reason":"it is back"}`, reason((*incident.Manager).Reopen)),
		move("cancel", "cancelIncident", "say that an incident was none", "", `{"reason":"a test of the alerts"}`, reason((*incident.Manager).Cancel)),
		move("merge", "mergeIncident", "end an incident since another one goes on in its place", "The other one takes over its alerts, and is what is answered.", `{"into":"INC-2000-0002","reason":"the same cause"}`,
			take(http.StatusOK, func(c *call, b mergeBody) (incident.Incident, error) {
				return c.a.cfg.Manager.Merge(c.ctx, c.incident(), b.Into, c.actor.Name, b.Reason)
			})),
		{
			method: http.MethodPost, path: "/incidents/{incident}/escalate", id: "escalateIncident", tag: "incidents", verb: Operate, part: partEscalations,
			summary: "call the next level at once", about: "Whatever its hours are, and also if somebody has acknowledged. Asked twice before the level is called, it calls one.",
			example: `{"comment":"nobody answers"}`, codes: []string{codeStale, codeOutcomeUnknown},
			endpoint: tell((*call).escalate),
		},
	}
}

// escalate calls the next level. The core puts who wanted it on the timeline, and not on
// the audit record, so that is done here.
func (c *call) escalate(b commentBody) error {
	id := c.incident()
	if c.a.cfg.Manager != nil {
		if _, err := c.a.cfg.Manager.Incident(c.ctx, id); err != nil {
			return unchanged(err)
		}
	}
	text := "calls the next level of the escalation of " + id
	if b.Comment != "" {
		text += ": " + b.Comment
	}
	if err := c.audit("escalated by hand", text, map[string]string{"incident": id, "comment": b.Comment}); err != nil {
		return err
	}
	return c.a.cfg.Escalations.Force(c.ctx, id, c.actor.Name)
}

type followUpBody struct {
	Text   string    `json:"text" api:"required,words,max=500" about:"What is to be done."`
	Owner  string    `json:"owner" api:"line" about:"Who does it."`
	Ticket string    `json:"ticket" api:"line" about:"Where it is kept."`
	Due    time.Time `json:"due" about:"By when."`
}

type finishBody struct {
	Number int `json:"number" api:"required,min=1,max=100" about:"Counts them from 1, in the order of follow_ups."`
}

type attachBody struct {
	ID string `json:"id" api:"required,line" about:"What it is called where it is."`
}

type emptyBody struct{}

// attachmentOperations are those that put something to an incident.
func (a *api) attachmentOperations() []*operation {
	add := func(path, id, summary, about, example string, e endpoint) *operation {
		return ofManager(operation{
			path: "/incidents/{incident}/" + path, id: id, summary: summary, about: about, example: example,
			codes: []string{codeUnsupported, codeRefused}, endpoint: e,
		})
	}
	attach := func(do func(m *incident.Manager, ctx context.Context, id, what, by string) (incident.Incident, error)) endpoint {
		return take(http.StatusOK, func(c *call, b attachBody) (incident.Incident, error) {
			return do(c.a.cfg.Manager, c.ctx, c.incident(), b.ID, c.actor.Name)
		})
	}
	return []*operation{
		add("follow-ups", "addFollowUp", "note what is still to be done", "", `{"text":"raise the limit of the queue","owner":"Kim Lee"}`,
			take(http.StatusOK, func(c *call, b followUpBody) (incident.Incident, error) {
				return c.a.cfg.Manager.AddFollowUp(c.ctx, c.incident(), c.actor.Name, incident.FollowUp{Text: b.Text, Owner: b.Owner, Ticket: b.Ticket, Due: b.Due})
			})),
		add("follow-ups/finish", "finishFollowUp", "note that a follow-up was done", "", `{"number":1}`,
			take(http.StatusOK, func(c *call, b finishBody) (incident.Incident, error) {
				return c.a.cfg.Manager.FinishFollowUp(c.ctx, c.incident(), c.actor.Name, b.Number)
			})),
		add("runs", "attachRun", "say that a run is about an incident", "Again changes nothing.", `{"id":"run-1"}`, attach((*incident.Manager).AttachRun)),
		add("deployments", "attachDeployment", "say that a deployment is about an incident", "Again changes nothing.", `{"id":"7f3a"}`, attach((*incident.Manager).AttachDeployment)),
		add("tickets", "attachTicket", "say that there is a ticket about an incident", "Again changes nothing.", `{"id":"OPS-41"}`, attach((*incident.Manager).AttachTicket)),
		add("ticket", "openTicket", "open a ticket for an incident", "Once: if there is one, it is that.", `{}`,
			take(http.StatusOK, func(c *call, _ emptyBody) (alert.Ticket, error) {
				return c.a.cfg.Manager.OpenTicket(c.ctx, c.incident(), c.actor.Name)
			})),
		ofManager(operation{
			method: http.MethodGet, path: "/incidents/{incident}/ticket", id: "getTicket", verb: Read, summary: "show how far the ticket of an incident is",
			about: "It is asked for where it is kept.", codes: []string{codeUnsupported, codeRefused},
			endpoint: show(func(c *call) (alert.Ticket, error) { return c.a.cfg.Manager.Ticket(c.ctx, c.incident()) }),
		}),
	}
}
