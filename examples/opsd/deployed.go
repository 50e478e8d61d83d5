package main

import (
	"context"
	"fmt"
	"net/http"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// A deployedView is what runs in an environment: the deployment that requests come to, and
// that was deployed well.
type deployedView struct {
	Environment string              `json:"environment"`
	Deployment  incident.Deployment `json:"deployment"`
}

// deployed says what runs in an environment of the running opsd.
func (h *hostAPI) deployed(c *command) (any, error) {
	name := c.r.PathValue("environment")
	for _, e := range h.service.host.Environments() {
		if e.Name == name {
			d, err := inUse(c.ctx, e)
			if err != nil {
				return nil, err
			}
			return deployedView{e.Name, d}, nil
		}
	}
	return nil, &httpapi.Problem{Status: http.StatusNotFound, Code: "not-found", Title: "There is no such thing", Detail: fmt.Sprintf("this opsd has no environment %q", name)}
}

// inUse asks the platform what runs in an environment.
func inUse(ctx context.Context, e playbooks.Environment) (incident.Deployment, error) {
	if e.Deployer == nil {
		return incident.Deployment{}, invalid(fmt.Errorf("what runs in %s cannot be read: it has no railway in the configuration", e.Name))
	}
	list, err := e.Deployer.Deployments(runbook.ReadOnly(ctx), 20)
	if err != nil {
		return incident.Deployment{}, fmt.Errorf("what runs in %s: %w", e.Name, err)
	}
	for _, d := range list {
		if d.Current && d.Status == incident.DeploymentSucceeded && d.Commit != "" {
			return d, nil
		}
	}
	return incident.Deployment{}, invalid(fmt.Errorf("in %s no commit runs that was deployed well: there is nothing to promote", e.Name))
}
