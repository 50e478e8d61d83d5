package railway

import (
	"context"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var (
	_ incident.Deployer            = (*Service)(nil)
	_ incident.DeploymentWaiter    = (*Service)(nil)
	_ incident.SourceDeployer      = (*Service)(nil)
	_ incident.DeploymentCanceller = (*Service)(nil)
	_ incident.DeploymentApprover  = (*Service)(nil)
)

// Deployments implements [incident.Deployer]. They are sorted here, since Railway
// does not promise an order, and of any status: the last good one is REMOVED, so
// that a filter would hide it. It costs one call for each 500.
func (s *Service) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	o := s.c.op("list the deployments of %s", s)
	if limit < 1 {
		return nil, o.refuse(nil, "the limit must be at least 1")
	}
	// A few more show which one is current, and that the order is right.
	want := max(limit, newest)
	h, err := s.history(ctx, o, min(want, pageSize), nil)
	if err != nil {
		return nil, err
	}
	list := h.newest
	for after := h.nextPage; after != nil && len(list) < want; {
		page, err := s.history(ctx, o, min(want-len(list), pageSize), after)
		if err != nil {
			return nil, err
		}
		list = appendNew(list, page.newest)
		if page.nextPage != nil && *page.nextPage == *after {
			break
		}
		after = page.nextPage
	}
	sortDeployments(list)
	var out []incident.Deployment
	for _, d := range list[:min(limit, len(list))] {
		out = append(out, deploymentOf(d, h.current))
	}
	return out, nil
}

// appendNew appends a page. What a new deployment pushed from the page before is
// there already.
func appendNew(list, page []*gql.DeploymentFields) []*gql.DeploymentFields {
	known := history{newest: list}
	for _, d := range page {
		if !known.has(d.Id) {
			list = append(list, d)
		}
	}
	return list
}

// Rollback implements [incident.Deployer]. Railway makes a new deployment, with the
// image and the variables that to had, and answers with true, contrary to its
// documentation; the new deployment is observed. Images are kept for some days,
// after the plan, when a deployment has been removed
// (https://docs.railway.com/deployments/deployment-actions); then the error is an
// incident.ErrUnsupported, before anything is tried, and to deploy the commit again
// is the way. The next deployment uses today's variables and source again:
// [Service.SetDeployFreeze] keeps Railway from making one by itself. Migrations of a
// database are not undone. [Service.PlanRollback] says what applies.
//
// It costs three calls if the new deployment is listed at once.
func (s *Service) Rollback(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
	o := s.c.op("roll %s back to deployment %s", s, printable(to.ID, 60))
	target, before, err := s.rollbackTarget(ctx, o, to.ID)
	if err != nil {
		return incident.Deployment{}, err
	}
	got, err := gql.DeploymentRollback(ctx, o, target.Id)
	err = o.answered(got.DeploymentRollback, err)
	return s.made(ctx, o, before, "", err, sameVersion(target))
}

// rollbackTarget reads a deployment that can be rolled back to.
func (s *Service) rollbackTarget(ctx context.Context, o op, id string) (*gql.DeploymentFields, history, error) {
	target, before, err := s.look(ctx, o, id)
	switch {
	case err != nil:
		return nil, history{}, err
	case target.Id == before.current:
		return nil, history{}, o.refuse(incident.ErrUnsupported, "it is the current deployment")
	case !target.CanRollback:
		return nil, history{}, o.refuse(incident.ErrUnsupported, "Railway cannot roll back to it: its image is no longer kept, or it never had one; deploy its commit or image again")
	}
	return target, before, nil
}

// Restart implements [incident.Deployer]. The deployment keeps its ID, and its
// status may read SUCCESS right away, of before; so it returns when a change was
// seen, or after 15 s without one. [Service.WaitDeployment] gives the verdict. What
// is stopped is not restarted, an incident.ErrUnsupported: [Service.Start] starts it.
func (s *Service) Restart(ctx context.Context) (incident.Deployment, error) {
	o := s.c.op("restart %s", s)
	was, _, err := s.current(ctx, o)
	if err != nil {
		return incident.Deployment{}, err
	}
	if was.DeploymentStopped {
		return incident.Deployment{}, o.refuse(incident.ErrUnsupported, "it is stopped, and has to be started")
	}
	got, cause := gql.DeploymentRestart(ctx, o, was.Id)
	cause = o.answered(got.DeploymentRestart, cause)
	if cause != nil && !maybeRun(cause) {
		return incident.Deployment{}, cause
	}
	var last *gql.DeploymentFields
	moved := watch(ctx, settleLimit, func(ctx context.Context) (bool, error) {
		now, err := gql.Deployment(ctx, o, was.Id)
		if err != nil {
			return false, err
		}
		last = now.Deployment
		return hasMoved(was, last) && (cause == nil || isRestart(last)), nil
	})
	switch {
	case cause != nil && !moved:
		return incident.Deployment{}, o.unknown(cause, "no restart was seen; look at the deployment and its logs before asking again")
	case last == nil:
		return incident.Deployment{}, o.unknown(nil, "Railway accepted it, and the deployment could not be read afterwards")
	}
	d := deploymentOf(last, was.Id)
	d.Current = d.Status != incident.DeploymentRemoving && d.Status != incident.DeploymentRemoved
	return d, nil
}

// isRestart reports whether a deployment that moved may have been restarted, and not
// only crashed or replaced.
func isRestart(d *gql.DeploymentFields) bool {
	switch d.Status {
	case gql.DeploymentStatusCrashed, gql.DeploymentStatusFailed, gql.DeploymentStatusRemoving, gql.DeploymentStatusRemoved, gql.DeploymentStatusSleeping:
		return false
	}
	return true
}

// Redeploy implements [incident.Deployer]. It runs the image or builds the commit of
// the current deployment again, whatever the source is by now; for that there is
// [Service.DeploySource].
func (s *Service) Redeploy(ctx context.Context) (incident.Deployment, error) {
	o := s.c.op("redeploy %s", s)
	was, before, err := s.current(ctx, o)
	if err != nil {
		return incident.Deployment{}, err
	}
	return s.redeploy(ctx, o, was, before)
}

func (s *Service) redeploy(ctx context.Context, o op, was *gql.DeploymentFields, before history) (incident.Deployment, error) {
	if !was.CanRedeploy {
		return incident.Deployment{}, o.refuse(incident.ErrUnsupported, "Railway cannot redeploy it; deploy its commit or image again")
	}
	got, err := gql.DeploymentRedeploy(ctx, o, was.Id)
	id := ""
	if made := got.DeploymentRedeploy; made != nil {
		id = made.Id
	}
	return s.made(ctx, o, before, id, err, sameVersion(was))
}

// CancelDeployment implements [incident.DeploymentCanceller].
func (s *Service) CancelDeployment(ctx context.Context, id string) (incident.Deployment, error) {
	o := s.c.op("cancel deployment %s of %s", printable(id, 60), s)
	return s.move(ctx, o, id, func(s incident.DeploymentStatus) bool { return !s.Settled() && s != incident.DeploymentRemoving }, func() error {
		got, err := gql.DeploymentCancel(ctx, o, id)
		return o.answered(got.DeploymentCancel, err)
	})
}

// ApproveDeployment implements [incident.DeploymentApprover].
func (s *Service) ApproveDeployment(ctx context.Context, id string) (incident.Deployment, error) {
	o := s.c.op("approve deployment %s of %s", printable(id, 60), s)
	return s.move(ctx, o, id, func(s incident.DeploymentStatus) bool { return s == incident.DeploymentNeedsApproval }, func() error {
		got, err := gql.DeploymentApprove(ctx, o, id)
		return o.answered(got.DeploymentApprove, err)
	})
}

// move changes a deployment while it has a status that may be left, and looks until
// it has been left.
func (s *Service) move(ctx context.Context, o op, id string, may func(incident.DeploymentStatus) bool, change func() error) (incident.Deployment, error) {
	d, h, err := s.look(ctx, o, id)
	if err != nil {
		return incident.Deployment{}, err
	}
	seen := deploymentOf(d, h.current)
	if !may(seen.Status) {
		return seen, nil
	}
	err = change()
	if err != nil && !maybeRun(err) {
		return incident.Deployment{}, err
	}
	moved := watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		d, h, err := s.look(ctx, o, id)
		if err != nil {
			return false, err
		}
		seen = deploymentOf(d, h.current)
		return !may(seen.Status), nil
	})
	if !moved {
		return seen, o.unknown(err, "it did not show; asking again is safe")
	}
	return seen, nil
}
