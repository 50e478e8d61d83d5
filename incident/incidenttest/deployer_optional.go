package incidenttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

func testWait(t *testing.T, c DeployerCase) {
	w, ok := c.Deployer.(incident.DeploymentWaiter)
	if !ok || c.Begin == nil {
		t.Skip("declined")
	}
	if d, err := w.WaitDeployment(t.Context(), c.Target, nil); err != nil || d.ID != c.Target {
		t.Errorf("deployment %+v, error %v; want the one that is settled, at once", d, err)
	}
	_, err := w.WaitDeployment(t.Context(), c.Missing, nil)
	wants(t, err, incident.ErrNotFound)
	for _, end := range []incident.DeploymentStatus{incident.DeploymentSucceeded, incident.DeploymentFailed, incident.DeploymentNeedsApproval, incident.DeploymentRemoved} {
		id, move := c.Begin(incident.DeploymentBuilding)
		var seen []incident.DeploymentStatus
		d, err := w.WaitDeployment(t.Context(), id, func(d incident.Deployment) {
			if seen = append(seen, d.Status); len(seen) == 1 {
				move(end)
			}
		})
		if err != nil || d.ID != id || d.Status != end {
			t.Errorf("deployment %+v, error %v; want %q as %q", d, err, id, end)
		}
		if !slices.Equal(seen, []incident.DeploymentStatus{incident.DeploymentBuilding, end}) {
			t.Errorf("progress was %q; want building, then %q", seen, end)
		}
	}
	id, _ := c.Begin(incident.DeploymentBuilding)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if d, err := w.WaitDeployment(ctx, id, nil); !errors.Is(err, context.DeadlineExceeded) || isUnknown(err) || d.ID != id {
		t.Errorf("deployment %+v, error %v; want what was seen last, and the error of the context", d, err)
	}
	effects(t, c.Faults, 0)
}

func testCancel(t *testing.T, c DeployerCase) {
	d, ok := c.Deployer.(incident.DeploymentCanceller)
	if !ok || c.Begin == nil {
		t.Skip("declined")
	}
	testMove(t, c, d.CancelDeployment, incident.DeploymentBuilding, func(s incident.DeploymentStatus) bool {
		return s == incident.DeploymentRemoving || s == incident.DeploymentRemoved
	})
}

func testApprove(t *testing.T, c DeployerCase) {
	d, ok := c.Deployer.(incident.DeploymentApprover)
	if !ok || c.Begin == nil {
		t.Skip("declined")
	}
	testMove(t, c, d.ApproveDeployment, incident.DeploymentNeedsApproval, func(s incident.DeploymentStatus) bool {
		return s != incident.DeploymentNeedsApproval && s != incident.DeploymentRemoved && s != incident.DeploymentFailed
	})
}

// testMove checks a change of a deployment that has a status that may be left.
func testMove(t *testing.T, c DeployerCase, move func(context.Context, string) (incident.Deployment, error), from incident.DeploymentStatus, moved func(incident.DeploymentStatus) bool) {
	_, err := move(t.Context(), c.Missing)
	wants(t, err, incident.ErrNotFound)
	if d, err := move(t.Context(), c.Newest()); err != nil || d != c.current(t) {
		t.Errorf("deployment %+v, error %v; want the current one, left alone", d, err)
	}
	effects(t, c.Faults, 0)
	id, _ := c.Begin(from)
	if d, err := move(t.Context(), id); err != nil || d.ID != id || !moved(d.Status) {
		t.Errorf("deployment %+v, error %v; want %q, no longer %q", d, err, id, from)
	}
	effects(t, c.Faults, 1)
}
