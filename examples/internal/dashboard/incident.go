package dashboard

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"go.acu.edu.au/runbook/incident"
)

// incidentPage is the page of an incident.
type incidentPage struct {
	*trouble
	Timeline []incident.Entry // the newest first
	Broken   string           // what is wrong with the record of it
	Past     []*progress      // the runs that have ended
	Next     []incident.State
	// CanStart says that its playbook can be planned here.
	CanStart  bool
	Decisions []*decision
	Form      form
	Root      string
}

// Can reports whether the incident can come to a state.
func (p *incidentPage) Can(state string) bool { return slices.Contains(p.Next, incident.State(state)) }

func (c *request) showIncident() {
	h := c.h
	if h.cfg.Manager == nil {
		c.lost("page")
		return
	}
	inc, err := h.cfg.Manager.Incident(c.ctx, c.r.PathValue("id"))
	if errors.Is(err, incident.ErrNotFound) {
		c.lost("incident")
		return
	}
	if err != nil {
		c.cannotRead("This incident", err)
		return
	}
	entries := ask(c, "The timeline", func(ctx context.Context) ([]incident.Entry, error) { return h.timeline(ctx, inc.ID) })
	ofIt := ask(c, "The runs about it", func(ctx context.Context) ([]incident.Run, error) {
		return h.runs(ctx, incident.RunQuery{Labels: map[string]string{"incident": inc.ID}, Limit: mostRuns})
	})
	approvals := ask(c, "What waits for approval", h.approvals)

	p := &incidentPage{
		trouble: &trouble{Incident: inc, Clock: nextClock(inc), Mine: inc.AcknowledgedBy == c.actor.Name},
		Next:    inc.State.Next(), Form: c.sent(), Root: c.root,
	}
	p.Timeline, p.KnowsCalls = entries()
	p.Calls = slices.DeleteFunc(callsOf(p.Timeline), func(one told) bool { return !one.Called })
	if _, err := incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
		for _, e := range p.Timeline {
			if !yield(e, nil) {
				return
			}
		}
	}); err != nil && p.KnowsCalls {
		p.Broken = err.Error()
	}
	slices.Reverse(p.Timeline)
	runs, _ := ofIt()
	for i := range runs {
		if r := h.progressOf(&runs[i]); r.Ended.IsZero() {
			p.Runs = append(p.Runs, r)
		} else {
			p.Past = append(p.Past, r)
		}
	}
	open, _ := approvals()
	open = slices.DeleteFunc(open, func(a incident.Approval) bool { return a.Incident != inc.ID })
	p.Decisions = c.decisionsOf(open, runs)
	if h.cfg.Runner != nil && inc.Playbook != "" {
		_, err := h.cfg.Runner.Playbook(inc.Environment, inc.Playbook)
		p.CanStart = err == nil
	}
	c.show(http.StatusOK, "incident", inc.Title, p)
}

// incidentList is the page of incidents.
type incidentList struct {
	Root      string
	Incidents []incident.Incident
	Some      bool // there may be more
}

func (c *request) showIncidents() {
	const limit = 100
	all, _ := ask(c, "Incidents", func(ctx context.Context) ([]incident.Incident, error) {
		return c.h.incidents(ctx, incident.IncidentQuery{Limit: limit})
	})()
	c.show(http.StatusOK, "incidents", "Incidents", incidentList{c.root, all, len(all) == limit})
}

// toneOfIncident says how an incident is shown.
func toneOfIncident(i incident.Incident) string {
	switch {
	case !i.State.Open():
		return "good"
	case i.Severity.String() == "critical", i.Severity.String() == "high":
		return "bad"
	}
	return "warn"
}

// incidentWords says how far an incident is.
func incidentWords(s incident.State) string {
	if s == incident.Triggered {
		return "nobody takes care of it"
	}
	return string(s)
}
