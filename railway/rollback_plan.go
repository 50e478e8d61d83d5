package railway

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// A RollbackPlan says what a rollback does and what it does not, before it is done.
type RollbackPlan struct {
	// Target is the deployment to roll back to, Current the one that runs; its ID is
	// empty if none does.
	Target, Current incident.Deployment
	// AutoDeploy says that Railway deploys the next push by itself, which undoes the
	// rollback: [Service.SetDeployFreeze] keeps it from that.
	AutoDeploy bool
	// Variables are what the rollback changes, from those that are configured now to
	// those that the target got, by their names.
	Variables VariableDiff
	// Warnings are what a person should know, each a sentence.
	Warnings []string
}

// PlanRollback returns what [Service.Rollback] would do. It changes nothing. Errors
// are those of Rollback for what cannot be rolled back to.
func (s *Service) PlanRollback(ctx context.Context, to incident.Deployment) (RollbackPlan, error) {
	o := s.c.hiding("plan the rollback of %s to deployment %s", s, printable(to.ID, 60))
	target, before, err := s.rollbackTarget(ctx, o, to.ID)
	if err != nil {
		return RollbackPlan{}, err
	}
	plan := RollbackPlan{Target: deploymentOf(target, before.current)}
	for _, d := range before.newest {
		if d.Id == before.current {
			plan.Current = deploymentOf(d, d.Id)
			if sameVersion(target)(d) {
				plan.warn("The target is of the same version as the current deployment, so that only variables change.")
			}
		}
	}
	if err := s.planFreeze(ctx, o, &plan); err != nil {
		return RollbackPlan{}, err
	}
	if err := s.planVariables(ctx, o, &plan); err != nil {
		return RollbackPlan{}, err
	}
	plan.warn("A rollback does not undo migrations of the database: the older version meets today's schema.")
	if err := s.planVolumes(ctx, o, &plan); err != nil {
		return RollbackPlan{}, err
	}
	return plan, nil
}

func (p *RollbackPlan) warn(format string, args ...any) {
	p.Warnings = append(p.Warnings, fmt.Sprintf(format, args...))
}

func (s *Service) planFreeze(ctx context.Context, o op, plan *RollbackPlan) error {
	freeze, err := s.freeze(ctx, o)
	if err != nil {
		return err
	}
	plan.AutoDeploy = !freeze.Frozen
	if plan.AutoDeploy {
		plan.warn("The next push to the branch is deployed automatically and brings the newer version back: freeze automatic deployments first.")
	}
	return nil
}

// planVariables compares what a deployment would get now with what the target got.
func (s *Service) planVariables(ctx context.Context, o op, plan *RollbackPlan) error {
	_, got, now, err := s.gotAndNext(ctx, o, plan.Target.ID)
	if errors.Is(err, incident.ErrNotFound) || errors.Is(err, incident.ErrUnsupported) {
		plan.warn("Railway no longer tells which variables the target had; the rollback brings them back, and the next deployment has today's.")
		return nil
	}
	if err != nil {
		return err
	}
	plan.Variables = diff(now, got)
	if v := plan.Variables; v.IsEmpty() {
		plan.warn("The next deployment after the rollback has today's settings again.")
	} else {
		plan.warn("The target had other variables (%s), which the rollback brings back; the next deployment has today's settings again.",
			list(slices.Concat(v.Added, v.Removed, v.Changed)))
	}
	if hidden := plan.Variables.Hidden; len(hidden) > 0 {
		plan.warn("Variables that are sealed cannot be compared: %s.", list(hidden))
	}
	return nil
}

func (s *Service) planVolumes(ctx context.Context, o op, plan *RollbackPlan) error {
	all, err := s.env.volumeInstances(ctx, o)
	if slices.ContainsFunc(all, func(v *gql.VolumeInstanceFields) bool { return gql.Text(v.ServiceId) == s.id }) {
		plan.warn("The service has a volume, so that it is down while it is deployed; data in it stays as it is.")
	}
	return err
}
