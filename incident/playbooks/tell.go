package playbooks

import (
	"cmp"
	"context"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// tell is a notice for everyone: the status channel, the stakeholders, the status page.
// status is that of an incident as status pages have it. All notices of a run are one
// thread. If the environment tells nobody, the step is left out and says so.
func (e Environment) tell(id, status string, message func(s *incident.Scope) incident.Message) incident.Step {
	last := status == "resolved" || status == "completed"
	return incident.Step{
		ID: id, Title: "Tell everyone: " + status, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Tell != nil, "this environment tells nobody" },
		Do: incident.Notice{Message: message, Send: func(ctx context.Context, s *incident.Scope, m incident.Message) error {
			return e.Tell(ctx, alert.Post{ID: cmp.Or(s.Incident, s.Run), Title: m.Title, Body: m.Text, Status: status, By: by(s), Last: last})
		}},
	}
}

// inform is a notice for the operators.
func (e Environment) inform(id string, message func(s *incident.Scope) incident.Message) incident.Step {
	return incident.Step{
		ID: id, Title: "Tell the operators", OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Inform != nil, "this environment informs no operators" },
		Do:   incident.Notice{Message: message, Send: func(ctx context.Context, _ *incident.Scope, m incident.Message) error { return e.Inform(ctx, m) }},
	}
}

// warn is a notice for the operators of what one of them has to do.
func (e Environment) warn(id string, message func(s *incident.Scope) incident.Message) incident.Step {
	return e.inform(id, func(s *incident.Scope) incident.Message {
		m := message(s)
		m.Urgent = true
		return m
	})
}

// draft is a mail to a vendor that is drafted; a person approves it before it is sent.
func (e Environment) draft(id, vendor string, message func(s *incident.Scope) incident.Message) incident.Step {
	return incident.Step{
		ID: id, Title: "Draft a mail to " + vendor, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) { return e.Draft != nil, "this environment drafts no mails" },
		Do:   incident.Notice{Message: message, Send: func(ctx context.Context, _ *incident.Scope, m incident.Message) error { return e.Draft(ctx, vendor, m) }},
	}
}

// defect is a notice for the development team.
func (e Environment) defect(id string, message func(s *incident.Scope) incident.Message) incident.Step {
	return incident.Step{
		ID: id, Title: "Tell the development team", OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.Defect != nil, "this environment does not reach the development team"
		},
		Do: incident.Notice{Message: message, Send: func(ctx context.Context, _ *incident.Scope, m incident.Message) error { return e.Defect(ctx, m) }},
	}
}

// by returns who answers for what a run says.
func by(s *incident.Scope) string {
	if s.Automatic {
		return "runbook"
	}
	return s.By
}
