package drill

import (
	"cmp"
	"context"
	"slices"
	"time"

	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
)

// collect makes the history of what happened, for the oracle.
func (st *stage) collect(ctx context.Context) (*history, error) {
	truth := st.world.Truth()
	h := &history{
		Began: or(st.began, time.Now()), Ended: time.Now(), Whole: truth.Whole, SecretValid: truth.SecretValid,
		Variables: truth.Variables, Started: st.variables, Frozen: truth.Frozen, Stopped: truth.Stopped,
		Unserved: spansOf(truth.Unserved),
	}
	for _, f := range truth.Faults {
		h.Faults = append(h.Faults, span{From: f.From, To: f.To, What: f.Kind, Variant: f.Variant})
	}
	for _, a := range st.world.Acts() {
		h.Acts = append(h.Acts, act{At: a.At, Environment: a.Environment, Kind: a.Kind, Detail: a.Detail, Text: a.Text})
	}
	h.Acts = slices.Concat(h.Acts, st.done, st.crew.Acts, st.evidence.acts)
	if st.host != nil {
		if err := st.collectIncidents(ctx, h); err != nil {
			return h, err
		}
		if err := st.collectRuns(ctx, h); err != nil {
			return h, err
		}
	}
	slices.SortStableFunc(h.Acts, func(a, b act) int { return a.At.Compare(b.At) })
	return h, nil
}

// collectIncidents takes the incidents, the oldest first, and what is on their timelines.
func (st *stage) collectIncidents(ctx context.Context, h *history) error {
	for i, err := range st.host.Manager().Incidents(ctx, incident.IncidentQuery{}) {
		if err != nil {
			return err
		}
		if i.State == incident.Merged {
			continue
		}
		if i.Environment == production {
			h.Incidents = append(h.Incidents, opened{
				ID: i.ID, Title: i.Title, Playbook: i.Playbook, By: i.OpenedBy, Severity: min(i.Severity, i.First),
				Opened: i.Opened, Acknowledged: i.Acknowledged, Mitigated: i.Mitigated, Resolved: i.Resolved,
			})
		}
		for e, err := range st.host.Manager().Timeline(ctx, i.ID, 0) {
			if err != nil {
				return err
			}
			switch e.Kind {
			case "acknowledged": // the incident knows since when it was reopened only
				if k := len(h.Incidents) - 1; i.Environment == production && (h.Incidents[k].Acknowledged.IsZero() || e.At.Before(h.Incidents[k].Acknowledged)) {
					h.Incidents[k].Acknowledged = e.At
				}
				fallthrough
			case "opened", "mitigated", "resolved", "reopened", "deadline":
				h.Acts = append(h.Acts, act{At: e.At, Environment: i.Environment, Kind: "incident-" + e.Kind, Detail: i.ID + " " + i.Title, Text: e.Text})
			}
		}
	}
	slices.SortFunc(h.Incidents, func(a, b opened) int { return cmp.Or(a.Opened.Compare(b.Opened), cmp.Compare(a.ID, b.ID)) })
	return nil
}

// collectRuns takes the runs of playbooks, the oldest first.
func (st *stage) collectRuns(ctx context.Context, h *history) error {
	for run, err := range st.host.Runner().Runs(ctx, incident.RunQuery{Program: incident.PlaybookProgram, Limit: 10000}) {
		if err != nil {
			return err
		}
		if run, err = st.host.Runner().Run(ctx, run.ID); err != nil {
			return err
		}
		r := ran{
			ID: run.ID, Playbook: run.Playbook, State: string(run.State), Reason: run.Reason, Incident: run.Incident, Environment: run.Environment,
			Started: run.Started, Ended: run.Ended, Automatic: run.Automatic, By: run.By,
		}
		for _, s := range run.Steps {
			if s.Tries > 0 {
				r.Steps++
			}
			if s.State != incident.StepPending {
				text := cmp.Or(s.Message, string(s.Output))
				r.Done = append(r.Done, step{ID: s.ID, State: string(s.State), Text: shorten(text, 300), Began: s.Began, Ended: s.Ended})
			}
		}
		h.Runs = append(h.Runs, r)
	}
	slices.SortFunc(h.Runs, func(a, b ran) int { return cmp.Or(a.Started.Compare(b.Started), cmp.Compare(a.ID, b.ID)) })
	return nil
}

func spansOf(list []world.Span) (spans []span) {
	for _, s := range list {
		spans = append(spans, span{From: s.From, To: s.To, What: "users are not served"})
	}
	return spans
}
