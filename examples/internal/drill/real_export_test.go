package drill

import (
	"cmp"
	"context"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// Crew plays the people of a scenario at the speed of the clock on the wall.
type Crew struct{ crew }

// NewCrew returns people who take the times of the scenario to the letter. The first of the
// names is on call; did tells whether something was seen to happen.
func NewCrew(s Scenario, m *incident.Manager, r *incident.Runner, names []string, did func(since time.Time, kinds ...string) bool) *Crew {
	c := &Crew{crew{
		draw: draw{Ack: s.People.Ack, Answer: s.People.Answer}, script: s.People, manager: m, runner: r, names: names, happened: did,
	}}
	c.mend = func(string) error { return nil } // what is broken here is mended by the exercise
	return c
}

// Turn does what is due now.
func (c *Crew) Turn(ctx context.Context) error { return c.turn(ctx) }

// CollectRuns takes the runs of playbooks into a history, the oldest first.
func CollectRuns(ctx context.Context, r *incident.Runner, h *History) error {
	for run, err := range r.Runs(ctx, incident.RunQuery{Program: incident.PlaybookProgram}) {
		if err != nil {
			return err
		}
		if run, err = r.Run(ctx, run.ID); err != nil {
			return err
		}
		taken := ran{
			ID: run.ID, Playbook: run.Playbook, State: string(run.State), Reason: run.Reason, Incident: run.Incident, Environment: run.Environment,
			Started: run.Started, Ended: run.Ended, Automatic: run.Automatic, By: run.By,
		}
		for _, s := range run.Steps {
			taken.Done = append(taken.Done, step{ID: s.ID, State: string(s.State), Text: cmp.Or(s.Message, string(s.Output)), Began: s.Began, Ended: s.Ended})
		}
		h.Runs = append(h.Runs, taken)
	}
	return nil
}

// Transcript lists the runs of a history with their steps, and its incidents.
func (h *history) Transcript() []string { return h.transcript() }
