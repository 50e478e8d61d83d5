package incidenttest

import (
	"context"
	"errors"
	"fmt"

	"go.acu.edu.au/runbook/incident"
)

// WaitDeployment implements [incident.DeploymentWaiter].
func (p *Platform) WaitDeployment(ctx context.Context, id string, progress func(incident.Deployment)) (incident.Deployment, error) {
	var last incident.Deployment
	for {
		d, next, err := p.look(ctx, id, last.ID == "")
		if err != nil {
			return last, err
		}
		if d != last && progress != nil {
			progress(d)
		}
		last = d
		if d.Status.Settled() {
			return d, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return last, fmt.Errorf("incidenttest: wait for deployment %s: %w", id, ctx.Err())
		}
	}
}

// look returns a deployment, and what is closed when it may have changed.
func (p *Platform) look(ctx context.Context, id string, first bool) (incident.Deployment, <-chan struct{}, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if first {
		if before, after := p.begin(ctx, "WaitDeployment"); before != nil || after != nil {
			return incident.Deployment{}, nil, errors.Join(before, after)
		}
	}
	i := p.find(id)
	if i < 0 {
		return incident.Deployment{}, nil, noSuch("deployment", id)
	}
	return p.shown(i), p.nextChange(), nil
}

// Stopped implements [incident.Stopper].
func (p *Platform) Stopped(ctx context.Context) (incident.StopState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Stopped"); before != nil || after != nil {
		return incident.StopState{}, errors.Join(before, after)
	}
	_, err := p.running()
	return incident.StopState{Stopped: p.stopped, Deployment: p.current}, err
}

// Stop implements [incident.Stopper].
func (p *Platform) Stop(ctx context.Context) (incident.StopState, error) {
	return p.stop(ctx, "Stop", true)
}

// Start implements [incident.Stopper].
func (p *Platform) Start(ctx context.Context) (incident.StopState, error) {
	return p.stop(ctx, "Start", false)
}

func (p *Platform) stop(ctx context.Context, method string, stopped bool) (incident.StopState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, method)
	if before != nil {
		return incident.StopState{}, before
	}
	if _, err := p.running(); err != nil {
		return incident.StopState{}, err
	}
	if p.stopped != stopped {
		p.stopped = stopped
		p.effect(method, p.current)
	}
	if after != nil {
		return incident.StopState{}, after
	}
	return incident.StopState{Stopped: p.stopped, Deployment: p.current}, nil
}

// DeployFreeze implements [incident.DeployFreezer].
func (p *Platform) DeployFreeze(ctx context.Context) (incident.FreezeState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "DeployFreeze"); before != nil || after != nil {
		return incident.FreezeState{}, errors.Join(before, after)
	}
	return incident.FreezeState{Frozen: p.frozen}, nil
}

// SetDeployFreeze implements [incident.DeployFreezer]. Deploy deploys all the same:
// it is a person's doing, too.
func (p *Platform) SetDeployFreeze(ctx context.Context, frozen bool) (incident.FreezeState, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "SetDeployFreeze")
	if before != nil {
		return incident.FreezeState{}, before
	}
	if p.frozen != frozen {
		p.frozen = frozen
		p.effect("SetDeployFreeze", fmt.Sprint(frozen))
	}
	if after != nil {
		return incident.FreezeState{}, after
	}
	return incident.FreezeState{Frozen: p.frozen}, nil
}
