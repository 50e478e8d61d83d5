package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// Deploy does what a push to the branch does, or a person who deploys: it begins a
// deployment of d's Commit, Image and Message, with the variables as they are
// configured now. It is no call of ours: it is not in Effects, and no error is
// taken from a script.
func (p *Platform) Deploy(d incident.Deployment) incident.Deployment {
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.wake()
	return p.deploy(d, p.values)
}

// StartAs sets the status in which deployments begin from now on, for SetStatus to
// move on from. Empty means "succeeded".
func (p *Platform) StartAs(s incident.DeploymentStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.startAs = s
}

// SetStatus moves a deployment on. One that was deployed becomes the current one.
// It panics if there is no such deployment.
func (p *Platform) SetStatus(id string, s incident.DeploymentStatus, reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := p.find(id)
	if i < 0 {
		panic("incidenttest: there is no deployment " + id)
	}
	p.set(i, s, reason)
	p.wake()
}

// Forget makes the platform no longer keep what it takes to roll back to a
// deployment.
func (p *Platform) Forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(id); i >= 0 {
		p.deployments[i].CanRollback = false
	}
}

// deploy adds a deployment that gets these variables.
func (p *Platform) deploy(d incident.Deployment, got map[string]runbook.Secret) incident.Deployment {
	var last time.Time
	if n := len(p.deployments); n > 0 {
		last = p.deployments[n-1].Created
	}
	status := p.startAs
	if status == "" {
		status = incident.DeploymentSucceeded
	}
	p.deployments = append(p.deployments, deployment{incident.Deployment{
		ID: p.id("d"), Created: now(last), Commit: d.Commit, Image: d.Image, Message: d.Message,
	}, maps.Clone(got)})
	i := len(p.deployments) - 1
	p.set(i, status, "")
	return p.shown(i)
}

func (p *Platform) set(i int, s incident.DeploymentStatus, reason string) {
	d := &p.deployments[i]
	d.Status, d.Reason = s, reason
	if !s.Deployed() {
		return
	}
	d.CanRollback = true
	if before := p.find(p.current); before >= 0 && before != i {
		p.deployments[before].Status = incident.DeploymentRemoved
	}
	p.current, p.stopped = d.ID, false
}

func (p *Platform) find(id string) int {
	return slices.IndexFunc(p.deployments, func(d deployment) bool { return d.ID == id })
}

// shown returns a deployment as callers see it.
func (p *Platform) shown(i int) incident.Deployment {
	d := p.deployments[i].Deployment
	d.Current = d.ID == p.current
	return d
}

// running returns the index of the current deployment.
func (p *Platform) running() (int, error) {
	if i := p.find(p.current); i >= 0 {
		return i, nil
	}
	return 0, fmt.Errorf("incidenttest: nothing is deployed: %w", incident.ErrNotFound)
}

// Deployments implements [incident.Deployer].
func (p *Platform) Deployments(ctx context.Context, limit int) ([]incident.Deployment, error) {
	if limit < 1 {
		return nil, errors.New("incidenttest: deployments: the limit must be at least 1")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Deployments"); before != nil || after != nil {
		return nil, errors.Join(before, after)
	}
	var out []incident.Deployment
	for i := len(p.deployments) - 1; i >= 0 && len(out) < limit; i-- {
		out = append(out, p.shown(i))
	}
	return out, nil
}

// Rollback implements [incident.Deployer]. The new deployment gets the variables
// that to had.
func (p *Platform) Rollback(ctx context.Context, to incident.Deployment) (incident.Deployment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "Rollback")
	if before != nil {
		return incident.Deployment{}, before
	}
	i := p.find(to.ID)
	switch {
	case i < 0:
		return incident.Deployment{}, noSuch("deployment", to.ID)
	case to.ID == p.current:
		return incident.Deployment{}, fmt.Errorf("incidenttest: deployment %q is the current one: %w", to.ID, incident.ErrUnsupported)
	case !p.deployments[i].CanRollback:
		return incident.Deployment{}, fmt.Errorf("incidenttest: deployment %q cannot be rolled back to: %w", to.ID, incident.ErrUnsupported)
	}
	d := p.deploy(p.deployments[i].Deployment, p.deployments[i].got)
	return p.changedDeployment("Rollback", d, after)
}

// changedDeployment is the end of a call that changed a deployment.
func (p *Platform) changedDeployment(method string, d incident.Deployment, after error) (incident.Deployment, error) {
	p.effect(method, d.ID)
	if after != nil {
		return incident.Deployment{}, after
	}
	return d, nil
}

// Restart implements [incident.Deployer]. It applies no variable.
func (p *Platform) Restart(ctx context.Context) (incident.Deployment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "Restart")
	if before != nil {
		return incident.Deployment{}, before
	}
	i, err := p.running()
	if err != nil {
		return incident.Deployment{}, err
	}
	p.stopped = false
	return p.changedDeployment("Restart", p.shown(i), after)
}

// Redeploy implements [incident.Deployer].
func (p *Platform) Redeploy(ctx context.Context) (incident.Deployment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "Redeploy")
	if before != nil {
		return incident.Deployment{}, before
	}
	i, err := p.running()
	if err != nil {
		return incident.Deployment{}, err
	}
	return p.changedDeployment("Redeploy", p.deploy(p.deployments[i].Deployment, p.values), after)
}

// DeploySource implements [incident.SourceDeployer]. The zero source is the commit
// or image of the newest deployment.
func (p *Platform) DeploySource(ctx context.Context, from incident.DeploymentSource) (incident.Deployment, error) {
	if err := from.Validate(); err != nil {
		return incident.Deployment{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "DeploySource")
	if before != nil {
		return incident.Deployment{}, before
	}
	d := incident.Deployment{Commit: from.Commit, Image: from.Image}
	if from == (incident.DeploymentSource{}) {
		if len(p.deployments) == 0 {
			return incident.Deployment{}, fmt.Errorf("incidenttest: there is nothing to deploy: %w", incident.ErrNotFound)
		}
		d = p.deployments[len(p.deployments)-1].Deployment
	}
	return p.changedDeployment("DeploySource", p.deploy(d, p.values), after)
}

// CancelDeployment implements [incident.DeploymentCanceller].
func (p *Platform) CancelDeployment(ctx context.Context, id string) (incident.Deployment, error) {
	return p.move(ctx, "CancelDeployment", id, incident.DeploymentRemoved, func(s incident.DeploymentStatus) bool { return !s.Settled() })
}

// ApproveDeployment implements [incident.DeploymentApprover].
func (p *Platform) ApproveDeployment(ctx context.Context, id string) (incident.Deployment, error) {
	return p.move(ctx, "ApproveDeployment", id, incident.DeploymentQueued, func(s incident.DeploymentStatus) bool { return s == incident.DeploymentNeedsApproval })
}

// move gives a deployment another status if it has one that may be left.
func (p *Platform) move(ctx context.Context, method, id string, to incident.DeploymentStatus, may func(incident.DeploymentStatus) bool) (incident.Deployment, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, method)
	if before != nil {
		return incident.Deployment{}, before
	}
	i := p.find(id)
	if i < 0 {
		return incident.Deployment{}, noSuch("deployment", id)
	}
	if !may(p.deployments[i].Status) {
		return p.shown(i), after
	}
	p.set(i, to, "")
	return p.changedDeployment(method, p.shown(i), after)
}
