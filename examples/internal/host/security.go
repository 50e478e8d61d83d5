package host

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/canvas/usage"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// dumpTime is how long a dump may take.
const dumpTime = time.Hour

// baseline is how much time before a suspicion is compared with it.
const baseline = 30 * 24 * time.Hour

// desk is what the playbooks about security need.
func (h *Host) desk(r *reached) playbooks.SecurityDesk {
	desk := playbooks.SecurityDesk{
		Notify: func(ctx context.Context, _ string, m incident.Message) error { // the target has the address of the contact
			return h.router.Post(ctx, alert.Post{ID: alert.Key("security", r.Name, m.Title, ""), Title: m.Title, Body: m.Text, By: "runbook"}, targetSecurity)
		},
	}
	desk.Deadline = func(ctx context.Context, id string, o incident.Obligation) (incident.Incident, incident.Deadline, error) {
		return h.manager.SetDeadline(ctx, id, o) // which is made after the playbooks
	}
	if h.cfg.Evidence != nil {
		desk.Preserve = h.preserve
	}
	if r.audit != nil {
		desk.Unusual = func(ctx context.Context, since time.Time) ([]string, error) { return unusual(ctx, r.audit, since) }
	}
	return desk
}

// remind tells those who answer for security of a deadline, and the operators, who have to find
// somebody, when it is about to be missed or was: they are told no more than that there is one.
func (h *Host) remind(ctx context.Context, r incident.Reminder) error {
	id, l := r.Incident.ID, r.Deadline
	if l.Told == incident.DeadlineLastDay || l.Told == incident.DeadlineOver {
		h.tryUrge(ctx, id, incident.Message{Title: fmt.Sprintf("%s: %s", id, l.Line(time.Now(), h.cfg.Zone)), Text: "Those who answer for security know what it is about. A person settles it, with a reason."})
	}
	return h.router.Post(ctx, alert.Post{
		ID: alert.Key("deadline", id, l.Name, ""), Title: fmt.Sprintf("%s: %s", id, l.Line(time.Now(), h.cfg.Zone)), By: "runbook",
		Body: r.Text + "\n\nTo be told: " + cmp.Or(l.Tell, "those who answer for security") + ". It goes on until a person settles it with a reason, also when the incident is over.",
	}, targetSecurity)
}

// preserve takes evidence, with the timeline and the decisions, and keeps it.
func (h *Host) preserve(ctx context.Context, e incident.Evidence) (receipt incident.EvidenceReceipt, err error) {
	if strings.HasPrefix(e.Incident, "INC-") {
		e.Sources = append(e.Sources, incident.TimelineEvidence(h.cfg.Store, e.Incident))
	}
	e.Sources, e.Seal = append(e.Sources, incident.DecisionEvidence(h.cfg.Store)), h.cfg.Seal
	e.Pseudonyms = h.cfg.Pseudonyms
	name := incident.NewEvidenceName(e)
	whole := func(collect func(w io.Writer) error) error { return h.cfg.Evidence.Keep(ctx, name.String(), collect) }
	if e.Pseudonyms.IsZero() {
		err = whole(func(w io.Writer) error {
			receipt, err = e.Collect(ctx, w)
			return err
		})
		return receipt, err
	}
	err = h.cfg.Evidence.Keep(ctx, name.Copy().String(), func(copied io.Writer) error {
		return whole(func(w io.Writer) error {
			receipt, _, err = e.CollectRedacted(ctx, w, copied)
			return err
		})
	})
	return receipt, err
}

// unusual looks for unusual use of Canvas since a time, compared with the month before it.
func unusual(ctx context.Context, log *usage.AuditLog, since time.Time) ([]string, error) {
	events := log.AuditEvents(ctx, incident.AuditQuery{From: since.Add(-baseline)})
	found, err := usage.Analyze(usage.Rules{From: since}, usage.FromAudit(events))
	if err != nil {
		return nil, fmt.Errorf("host: unusual use of Canvas: %w", err)
	}
	var lines []string
	for _, f := range found.Findings {
		lines = append(lines, f.String())
	}
	if found.Truncated {
		lines = append(lines, "there were more events than could be looked at")
	}
	return lines, nil
}

// incidentFigures are the figures of the incidents of a span of time.
func (h *Host) incidentFigures(ctx context.Context, from, to time.Time) ([]playbooks.Figure, error) {
	figures, err := h.manager.Figures(ctx, incident.FigureQuery{From: from, To: to, Environment: h.users.Name})
	if err != nil {
		return nil, err
	}
	var all []playbooks.Figure
	for _, s := range figures.Severities {
		all = append(all, playbooks.Figure{
			Name: s.Severity.String() + " incidents", Value: float64(s.Incidents), Source: "the incidents of " + h.users.Name, Samples: s.Incidents, Of: "incidents", First: from, Last: to,
		})
	}
	return all, nil
}
