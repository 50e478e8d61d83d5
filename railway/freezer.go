package railway

import (
	"context"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var _ incident.DeployFreezer = (*Service)(nil)

// DeployFreeze implements [incident.DeployFreezer]: whether Railway deploys the
// service in this environment by itself when its branch moves.
func (s *Service) DeployFreeze(ctx context.Context) (incident.FreezeState, error) {
	return s.freeze(ctx, s.c.op("read whether %s is deployed automatically", s))
}

func (s *Service) freeze(ctx context.Context, o op) (incident.FreezeState, error) {
	got, err := gql.AutoDeploy(ctx, o, s.project, s.environment, s.id)
	if err != nil {
		return incident.FreezeState{}, err
	}
	now := got.ServiceInstanceAutoDeployStatus
	state := incident.FreezeState{Frozen: !now.Enabled}
	if state.Frozen && !now.CanEnable {
		if state.Reason = printable(gql.Text(now.Reason), 200); state.Reason == "" {
			state.Reason = "there is nothing that Railway could deploy by itself"
		}
	}
	return state, nil
}

// SetDeployFreeze implements [incident.DeployFreezer]. It switches automatic
// deployments of the service off or on, in this environment.
func (s *Service) SetDeployFreeze(ctx context.Context, frozen bool) (incident.FreezeState, error) {
	o := s.c.op("switch automatic deployments of %s on", s)
	if frozen {
		o = s.c.op("switch automatic deployments of %s off", s)
	}
	state, err := s.freeze(ctx, o)
	if err != nil || state.Frozen == frozen || state.Reason != "" {
		return state, err
	}
	_, err = gql.AutoDeployUpdate(ctx, o, s.project, s.environment, s.id, !frozen)
	if err != nil && !maybeRun(err) {
		return incident.FreezeState{}, err
	}
	shown := watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		now, err := s.freeze(ctx, o)
		if err == nil {
			state = now
		}
		return now.Frozen == frozen, err
	})
	if !shown {
		return state, o.unknown(err, "it does not show; asking again is safe")
	}
	return state, nil
}
