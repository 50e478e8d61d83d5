package railway

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// statuses are Railway's states of a deployment in the words of package incident.
// One that is not here is kept as it is, in lower case.
var statuses = map[gql.DeploymentStatus]incident.DeploymentStatus{
	gql.DeploymentStatusQueued:        incident.DeploymentQueued,
	gql.DeploymentStatusWaiting:       incident.DeploymentWaiting,
	gql.DeploymentStatusNeedsApproval: incident.DeploymentNeedsApproval,
	gql.DeploymentStatusInitializing:  incident.DeploymentInitializing,
	gql.DeploymentStatusBuilding:      incident.DeploymentBuilding,
	gql.DeploymentStatusDeploying:     incident.DeploymentDeploying,
	gql.DeploymentStatusSuccess:       incident.DeploymentSucceeded,
	gql.DeploymentStatusSleeping:      incident.DeploymentSleeping,
	gql.DeploymentStatusFailed:        incident.DeploymentFailed,
	gql.DeploymentStatusCrashed:       incident.DeploymentCrashed,
	gql.DeploymentStatusSkipped:       incident.DeploymentSkipped,
	gql.DeploymentStatusRemoving:      incident.DeploymentRemoving,
	gql.DeploymentStatusRemoved:       incident.DeploymentRemoved,
}

// deploymentMeta is what is read of a deployment's meta. It is not documented: each
// key may be missing, and may have another type.
type deploymentMeta struct {
	CommitHash    string `json:"commitHash"`
	CommitMessage string `json:"commitMessage"`
	Image         string `json:"image"`
}

func metaOf(raw *json.RawMessage) (m deploymentMeta) {
	if raw == nil {
		return m
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(*raw, &fields) != nil {
		return m
	}
	for name, to := range map[string]*string{"commitHash": &m.CommitHash, "commitMessage": &m.CommitMessage, "image": &m.Image} {
		_ = json.Unmarshal(fields[name], to) // another type is no text
	}
	return m
}

// deploymentOf translates a deployment. current is the ID of the one that is.
func deploymentOf(d *gql.DeploymentFields, current string) incident.Deployment {
	meta := metaOf(d.Meta)
	message, _, _ := strings.Cut(meta.CommitMessage, "\n")
	status, known := statuses[d.Status]
	if !known {
		status = incident.DeploymentStatus(strings.ToLower(string(d.Status)))
	}
	return incident.Deployment{
		ID: d.Id, Status: status, Reason: reasonOf(d.Status), Created: d.CreatedAt,
		Commit: meta.CommitHash, Image: meta.Image, Message: printable(message, 200),
		Current: d.Id == current, CanRollback: d.CanRollback,
	}
}

// reasonOf is what a state means by itself, where that is not plain.
func reasonOf(s gql.DeploymentStatus) string {
	switch s {
	case gql.DeploymentStatusNeedsApproval:
		return "somebody has to approve it, here or in the dashboard"
	case gql.DeploymentStatusSkipped:
		return "no changed file matches the watch patterns of the service"
	case gql.DeploymentStatusSleeping:
		return "it sleeps, and wakes with the next request"
	case gql.DeploymentStatusQueued:
		return "it waits for its turn; Railway pauses deployments during incidents of its own"
	}
	return ""
}

// A history is what one call says of the deployments of a service.
type history struct {
	name     string // of the service
	image    string // that is configured
	repo     string
	newest   []*gql.DeploymentFields // the newest first
	current  string                  // the ID of the current one; empty if none is
	nextPage *string
}

// history reads deployments, the newest or those after a cursor, and which one is
// current, in one call.
func (s *Service) history(ctx context.Context, o op, first int, after *string) (history, error) {
	got, err := gql.Deployments(ctx, o, s.project, s.environment, s.id, first, after)
	if err != nil {
		return history{}, err
	}
	var list []*gql.DeploymentFields
	for _, e := range got.Deployments.Edges {
		list = append(list, e.Node)
	}
	h := historyOf(got.ServiceInstance, list)
	h.nextPage = next(got.Deployments.PageInfo.HasNextPage, got.Deployments.PageInfo.EndCursor)
	return h, nil
}

// look reads one deployment, and the newest ones, in one call. One of another
// service is not found: what is done to it would be done elsewhere.
func (s *Service) look(ctx context.Context, o op, id string) (*gql.DeploymentFields, history, error) {
	if id == "" {
		return nil, history{}, o.refuse(incident.ErrNotFound, "the deployment has no ID")
	}
	got, err := gql.DeploymentAndNewest(ctx, o, id, s.project, s.environment, s.id, newest)
	if err != nil {
		return nil, history{}, err
	}
	d := got.Deployment
	if !s.has(d) {
		return nil, history{}, o.refuse(incident.ErrNotFound, "the deployment is one of another service or environment")
	}
	var list []*gql.DeploymentFields
	for _, e := range got.Deployments.Edges {
		list = append(list, e.Node)
	}
	return d, historyOf(got.ServiceInstance, list), nil
}

// has reports whether a deployment is one of the service in its environment.
func (s *Service) has(d *gql.DeploymentFields) bool {
	return d.EnvironmentId == s.environment && gql.Text(d.ServiceId) == s.id
}

// newest is how many deployments are read to see what is new, and what is current.
const newest = 20

// historyOf sorts deployments, which Railway does not promise to, and finds the
// current one.
func historyOf(instance *gql.InstanceFields, list []*gql.DeploymentFields) history {
	sortDeployments(list)
	h := history{name: instance.ServiceName, newest: list}
	if source := instance.Source; source != nil {
		h.image, h.repo = gql.Text(source.Image), gql.Text(source.Repo)
	}
	var active []string
	for _, d := range instance.ActiveDeployments {
		active = append(active, d.Id)
	}
	h.current = currentOf(active, list)
	return h
}

func sortDeployments(list []*gql.DeploymentFields) {
	slices.SortStableFunc(list, func(a, b *gql.DeploymentFields) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.Id, a.Id))
	})
}

// currentOf returns the ID of the current one of some deployments, the newest first,
// of which these are active.
func currentOf(active []string, list []*gql.DeploymentFields) string {
	for _, d := range list {
		if slices.Contains(active, d.Id) {
			return d.Id
		}
	}
	if len(active) > 0 {
		return active[0] // older than the list
	}
	// One that is stopped or has crashed is no longer active, and is still the one
	// that the service would run.
	for _, d := range list {
		switch d.Status {
		case gql.DeploymentStatusSuccess, gql.DeploymentStatusSleeping, gql.DeploymentStatusCrashed:
			return d.Id
		}
		if d.DeploymentStopped {
			return d.Id
		}
	}
	return ""
}

// current reads the current deployment, and the history. The error is an
// incident.ErrNotFound if nothing is deployed.
func (s *Service) current(ctx context.Context, o op) (*gql.DeploymentFields, history, error) {
	h, err := s.history(ctx, o, newest, nil)
	if err != nil {
		return nil, history{}, err
	}
	if h.current == "" {
		return nil, history{}, o.refuse(incident.ErrNotFound, "nothing is deployed")
	}
	for _, d := range h.newest {
		if d.Id == h.current {
			return d, h, nil
		}
	}
	got, err := gql.Deployment(ctx, o, h.current)
	if err != nil {
		return nil, history{}, err
	}
	return got.Deployment, h, nil
}

// currentDeployment returns the ID of the current deployment of the service. The
// error is an incident.ErrNotFound if nothing is deployed.
func (s *Service) currentDeployment(ctx context.Context, o op) (string, error) {
	h, err := s.history(ctx, o, newest, nil)
	if err != nil {
		return "", err
	}
	if h.current == "" {
		return "", o.refuse(incident.ErrNotFound, "nothing is deployed")
	}
	return h.current, nil
}
