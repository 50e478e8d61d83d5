package dashboard

import (
	"context"
	"net/http"
	"slices"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// automationPage is the page of the switch, and of what carries out runs.
type automationPage struct {
	Root        string
	Switch      incident.KillSwitch
	KnowsSwitch bool
	Stamp       string
	Replicas    []incident.Replica
	Turns       []incident.Entry // who turned the switch, the newest first
	Monitor     *health.Self
	Form        form
}

func (c *request) showAutomation() {
	h := c.h
	turned := ask(c, "Whether automation is stopped", h.killSwitch)
	replicas := ask(c, "The processes that carry out runs", h.replicas)
	record := ask(c, "The record", func(ctx context.Context) ([]incident.Entry, error) { return h.entries(ctx, "audit") })
	p := &automationPage{Root: c.root, Form: c.sent()}
	p.Switch, p.KnowsSwitch = turned()
	p.Stamp = stamp(p.Switch)
	p.Replicas, _ = replicas()
	entries, _ := record()
	for _, e := range slices.Backward(entries) {
		if (e.Kind == "automation" || e.Kind == "automatic action" || e.Kind == "replica taken over") && len(p.Turns) < 20 {
			p.Turns = append(p.Turns, e)
		}
	}
	if h.cfg.Monitor != nil {
		self := h.cfg.Monitor.Self()
		p.Monitor = &self
	}
	c.show(http.StatusOK, "automation", "Automation", p)
}

// recordPage is the page of the audit record.
type recordPage struct {
	Root    string
	Entries []incident.Entry // the newest first
	Count   int
	Broken  string
}

func (c *request) showRecord() {
	const limit = 200
	entries, ok := ask(c, "The record", func(ctx context.Context) ([]incident.Entry, error) { return c.h.entries(ctx, "audit") })()
	p := &recordPage{Root: c.root, Count: len(entries)}
	if _, err := incident.VerifyChain(func(yield func(incident.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}); err != nil && ok {
		p.Broken = err.Error()
	}
	p.Entries = slices.Clone(entries[max(0, len(entries)-limit):])
	slices.Reverse(p.Entries)
	c.show(http.StatusOK, "record", "Record", p)
}
