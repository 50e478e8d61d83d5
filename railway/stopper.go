package railway

import (
	"context"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var _ incident.Stopper = (*Service)(nil)

// Stopped implements [incident.Stopper].
func (s *Service) Stopped(ctx context.Context) (incident.StopState, error) {
	is, err := s.stopState(ctx, s.c.op("read whether %s is stopped", s))
	return is.state, err
}

// stopping is what is known of a service that may be stopped.
type stopping struct {
	state   incident.StopState
	asked   bool // the current deployment was stopped, though its processes may still end
	coming  bool // a deployment under way will start it
	current *gql.DeploymentFields
	history history
}

func (s *Service) stopState(ctx context.Context, o op) (stopping, error) {
	d, h, err := s.current(ctx, o)
	if err != nil {
		return stopping{}, err
	}
	is := stopping{state: incident.StopState{Deployment: d.Id}, asked: d.DeploymentStopped, current: d, history: h}
	running := live(d)
	for _, other := range h.newest {
		if other.Id == d.Id {
			continue
		}
		running += live(other)
		if status := deploymentOf(other, "").Status; other.CreatedAt.After(d.CreatedAt) && !status.Settled() && status != incident.DeploymentRemoving {
			is.coming = true
		}
	}
	is.state.Stopped = is.asked && running == 0
	return is, nil
}

// Stop implements [incident.Stopper]. It stops the current deployment. One that is
// under way starts the service again, which the Reason says:
// [Service.CancelDeployment] ends it.
func (s *Service) Stop(ctx context.Context) (incident.StopState, error) {
	o := s.c.op("stop %s", s)
	is, err := s.stopState(ctx, o)
	if err != nil || is.asked {
		return is.state, err
	}
	got, err := gql.DeploymentStop(ctx, o, is.current.Id)
	err = o.answered(got.DeploymentStop, err)
	if err != nil && !maybeRun(err) {
		return incident.StopState{}, err
	}
	shown := watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		now, err := s.stopState(ctx, o)
		if err == nil {
			is = now
		}
		return now.asked, err
	})
	if !shown {
		return is.state, o.unknown(err, "it does not show; asking again is safe")
	}
	if is.coming {
		is.state.Reason = "a deployment is under way and will start it again"
	}
	return is.state, nil
}

// Start implements [incident.Stopper]. Railway does not start what is stopped; it is
// deployed again, with the variables as they are now. If a deployment is under way
// it is left to that.
func (s *Service) Start(ctx context.Context) (incident.StopState, error) {
	o := s.c.op("start %s", s)
	is, err := s.stopState(ctx, o)
	if err != nil || !is.asked {
		return is.state, err
	}
	if is.coming {
		is.state.Reason = "a deployment is under way and will start it"
		return is.state, nil
	}
	d, err := s.redeploy(ctx, o, is.current, is.history)
	if err != nil {
		return incident.StopState{}, err
	}
	if d.Status.Deployed() {
		return incident.StopState{Deployment: d.ID}, nil
	}
	is.state.Reason = "deployment " + d.ID + " is under way and will start it"
	return is.state, nil
}
