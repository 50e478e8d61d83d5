package httpapi

import (
	"net/http"
	"time"

	"go.acu.edu.au/runbook/incident"
)

type deadlineBody struct {
	Name string    `json:"name" api:"required,line" about:"A verb that is read before by, in lower case: notify."`
	What string    `json:"what" api:"required,line" about:"What is due, in a line."`
	Tell string    `json:"tell" api:"line" about:"Who is to be told of it, in words."`
	From time.Time `json:"from" about:"When it began to count. Left out, now."`
	Due  time.Time `json:"due" api:"required" about:"Until when there is time."`
}

type settleBody struct {
	Reason string `json:"reason" api:"required,words" about:"What was done, or found."`
	Void   bool   `json:"void" about:"It was found not to apply."`
}

// deadlineOperations are those on what is due by a day.
func (a *api) deadlineOperations() []*operation {
	return []*operation{
		ofManager(operation{
			path: "/incidents/{incident}/deadlines", id: "setDeadline", summary: "set a deadline of an incident",
			about:   "Once: while one of this name is open it is brought forward by an earlier time, and never moved later. It stays open when the incident is over, until a person settles it, and people are reminded of it.",
			example: `{"name":"notify","what":"settle whether the breach must be notified","due":"2030-02-03T09:00:00+11:00"}`,
			endpoint: take(http.StatusOK, func(c *call, b deadlineBody) (incident.Incident, error) {
				if b.From.IsZero() && !b.Due.IsZero() && !b.Due.After(time.Now()) {
					return incident.Incident{}, invalid(FieldProblem{Pointer: "#/due", Detail: "must not be over already, unless from says since when it counts"})
				}
				o := incident.Obligation{By: c.actor.Name, Name: b.Name, What: b.What, Tell: b.Tell, From: b.From, Due: b.Due}
				if err := o.Validate(); err != nil {
					return incident.Incident{}, invalid(FieldProblem{Pointer: "#", Detail: err.Error()})
				}
				inc, _, err := c.a.cfg.Manager.SetDeadline(c.ctx, c.incident(), o)
				return inc, err
			}),
		}),
		ofManager(operation{
			path: "/incidents/{incident}/deadlines/{deadline}/settle", id: "settleDeadline", summary: "say that what was due by a deadline was done",
			about:   "Or that it does not apply. In every state of the incident, and also when it is too late, which stays visible. What was said is not rewritten.",
			example: `{"reason":"assessed: no personal data was concerned"}`,
			endpoint: take(http.StatusOK, func(c *call, b settleBody) (incident.Incident, error) {
				return c.a.cfg.Manager.SettleDeadline(c.ctx, c.incident(), c.r.PathValue("deadline"), incident.Settlement{By: c.actor.Name, Reason: b.Reason, Void: b.Void})
			}),
		}),
	}
}
