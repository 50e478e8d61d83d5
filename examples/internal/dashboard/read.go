package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// ask asks one source, beside others, and returns how to wait for what it says. A source
// that fails, or does not answer in time, is noted: the page says so, and shows the rest.
func ask[T any](c *request, what string, f func(ctx context.Context) (T, error)) (wait func() (T, bool)) {
	type said struct {
		value T
		err   error
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.h.cfg.Timeout)
	answers := make(chan said, 1)
	go func() {
		defer cancel()
		var a said
		defer func() {
			if p := recover(); p != nil {
				a.err = fmt.Errorf("a panic: %.500v", p)
			}
			answers <- a
		}()
		a.value, a.err = f(ctx)
	}()
	return func() (T, bool) {
		var a said
		select {
		case a = <-answers:
		case <-ctx.Done():
			select {
			case a = <-answers:
			default:
				a.err = ctx.Err()
			}
		}
		if a.err != nil {
			c.trouble(what, a.err)
		}
		return a.value, a.err == nil
	}
}

// How much the first page shows of each.
const (
	mostIncidents = 50
	mostRuns      = 30
	mostCalls     = 4
	lately        = 24 * time.Hour
)

// incidents returns those that a query chooses.
func (h *Handler) incidents(ctx context.Context, q incident.IncidentQuery) ([]incident.Incident, error) {
	var all []incident.Incident
	if h.cfg.Manager == nil {
		return nil, nil
	}
	for inc, err := range h.cfg.Manager.Incidents(ctx, q) {
		if err != nil {
			return all, err
		}
		all = append(all, inc)
	}
	return all, nil
}

// runs returns those that a query chooses.
func (h *Handler) runs(ctx context.Context, q incident.RunQuery) ([]incident.Run, error) {
	var all []incident.Run
	if h.cfg.Runner == nil {
		return nil, nil
	}
	for run, err := range h.cfg.Runner.Runs(ctx, q) {
		if err != nil {
			return all, err
		}
		all = append(all, run)
	}
	return all, nil
}

// openRuns returns the runs that have not ended.
func (h *Handler) openRuns(ctx context.Context) ([]incident.Run, error) {
	return h.runs(ctx, incident.RunQuery{Statuses: []incident.RunStatus{incident.RunQueued, incident.RunRunning, incident.RunStranded}, Limit: mostRuns})
}

func (h *Handler) approvals(ctx context.Context) ([]incident.Approval, error) {
	if h.cfg.Runner == nil {
		return nil, nil
	}
	return h.cfg.Runner.Approvals(ctx)
}

func (h *Handler) killSwitch(ctx context.Context) (incident.KillSwitch, error) {
	if h.cfg.Automation == nil {
		return incident.KillSwitch{}, nil
	}
	return h.cfg.Automation.Switch(ctx)
}

func (h *Handler) replicas(ctx context.Context) ([]incident.Replica, error) {
	if h.cfg.Replicas == nil {
		return nil, nil
	}
	return h.cfg.Replicas.Replicas(ctx)
}

// A told is what an escalation did: who was called, and how that went.
type told struct {
	At     time.Time
	Text   string
	Level  int
	Called bool // it called somebody, or was to
	Who    []string
}

// callsOf returns what the timeline says about who was called.
func callsOf(entries []incident.Entry) (all []told) {
	for _, e := range entries {
		if e.Kind != "escalated" && e.Kind != "escalation" {
			continue
		}
		var data struct {
			Level int      `json:"level"`
			Told  []string `json:"told"`
		}
		_ = json.Unmarshal(e.Data, &data) // what is of another shape has none
		all = append(all, told{At: e.At, Text: e.Text, Level: data.Level, Called: e.Kind == "escalated", Who: data.Told})
	}
	return all
}

// timeline returns the timeline of an incident, and whether it is as it was written.
func (h *Handler) timeline(ctx context.Context, id string) ([]incident.Entry, error) {
	return h.entries(ctx, "incident/"+id)
}

func (h *Handler) entries(ctx context.Context, chain string) ([]incident.Entry, error) {
	var all []incident.Entry
	for e, err := range h.cfg.Store.Entries(ctx, chain, 0) {
		if err != nil {
			return all, err
		}
		all = append(all, e)
	}
	return all, nil
}

// checks are those of one environment that are not well.
type checks struct {
	Environment string
	Failing     []health.State
	Unknown     []health.State
	Maintenance []health.State
	Well        int
}

// snapshot returns the checks by environment, in the order in which they were added.
func (h *Handler) snapshot() (all []*checks, at time.Time) {
	if h.cfg.Monitor == nil {
		return nil, at
	}
	report := h.cfg.Monitor.Snapshot()
	for _, s := range report.Checks {
		i := slices.IndexFunc(all, func(g *checks) bool { return g.Environment == s.Labels["environment"] })
		if i < 0 {
			i = len(all)
			all = append(all, &checks{Environment: s.Labels["environment"]})
		}
		switch g := all[i]; s.Status {
		case health.Healthy:
			g.Well++
		case health.Maintenance:
			g.Maintenance = append(g.Maintenance, s)
		case health.Unknown:
			g.Unknown = append(g.Unknown, s)
		default:
			g.Failing = append(g.Failing, s)
		}
	}
	return all, report.Time
}
