package railway

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// An EnvironmentStatus is what is in an environment and how it is, at the moment it
// was read.
type EnvironmentStatus struct {
	// ID and Name are those of the environment.
	ID, Name string
	// Services are in order of name.
	Services []ServiceStatus
	// Volumes are in order of name.
	Volumes []VolumeStatus
	// UnmergedChanges is how many changes are staged and not committed.
	UnmergedChanges int
}

// A ServiceStatus is how one service is.
type ServiceStatus struct {
	// ID and Name are those of the service.
	ID, Name string
	// Image or Repo is what it is connected to. What runs is in Current.
	Image, Repo string
	// Latest is the newest deployment, and Current the one that the service runs, or
	// would if it were not stopped. Their ID is empty if there is none.
	Latest, Current incident.Deployment
	// Stopped says that Current was stopped.
	Stopped bool
	// Replicas is how many there should be, by region. The region is empty if
	// Railway does not say which.
	Replicas map[string]int
	// Running is how many processes of Current are up. That they are up, and that a
	// deployment succeeded, does not say that the service is well: Railway checks
	// that during a deployment only.
	Running int
	// Domains are its public names, Railway's own first.
	Domains []string
	// HealthcheckPath is what Railway asks for during a deployment; empty if it does
	// not check.
	HealthcheckPath string
	// CronSchedule is when it runs, if it does not run all the time, and NextRun is
	// the next time.
	CronSchedule string
	NextRun      time.Time
}

// A VolumeStatus is how one volume is.
type VolumeStatus struct {
	// ID is that of the volume's instance in this environment, and Name what people
	// call it.
	ID, Name string
	// Service is the ID of the service it is mounted in; empty if it is in none.
	Service string
	// MountPath is where, and Region where the data is.
	MountPath, Region string
	// State is Railway's word: READY, RESTORING and so on; empty if it does not say.
	State string
	// SizeMB is how large it may become, UsedMB how much is used, in megabytes.
	SizeMB, UsedMB float64
}

// Status returns how everything in the environment is. It costs one call for each
// 500 services.
func (e *Environment) Status(ctx context.Context) (EnvironmentStatus, error) {
	o := e.c.op("read the status of environment %s", e)
	var status EnvironmentStatus
	all := pages(o, func(after *string) (list []*instance, _ *string, _ error) {
		got, err := gql.EnvironmentStatus(ctx, o, e.id, &e.project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		env := got.Environment
		switch {
		case isDeleted(env.DeletedAt):
			return nil, nil, o.refuse(incident.ErrNotFound, "the environment is deleted")
		case !env.CanAccess:
			return nil, nil, o.refuse(incident.ErrNotPermitted, "the environment is restricted")
		case after == nil:
			status = environmentStatusOf(env)
		}
		for _, edge := range env.ServiceInstances.Edges {
			list = append(list, edge.Node)
		}
		return list, next(env.ServiceInstances.PageInfo.HasNextPage, env.ServiceInstances.PageInfo.EndCursor), nil
	})
	for i, err := range all {
		if err != nil {
			return EnvironmentStatus{}, err
		}
		if !isDeleted(i.DeletedAt) {
			status.Services = append(status.Services, serviceStatusOf(i))
		}
	}
	slices.SortFunc(status.Services, func(a, b ServiceStatus) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return status, nil
}

// environmentStatusOf translates all but the services.
func environmentStatusOf(env *gql.EnvironmentStatusEnvironment) EnvironmentStatus {
	status := EnvironmentStatus{ID: env.Id, Name: env.Name}
	if env.UnmergedChangesCount != nil {
		status.UnmergedChanges = *env.UnmergedChangesCount
	}
	for _, edge := range env.VolumeInstances.Edges {
		v := edge.Node
		if isDeleted(v.DeletedAt) || v.IsPendingDeletion {
			continue
		}
		volume := VolumeStatus{
			ID: v.Id, Service: gql.Text(v.ServiceId), MountPath: v.MountPath, Region: gql.Text(v.Region),
			SizeMB: float64(v.SizeMB), UsedMB: v.CurrentSizeMB,
		}
		if v.Volume != nil {
			volume.Name = v.Volume.Name
		}
		if v.State != nil {
			volume.State = string(*v.State)
		}
		status.Volumes = append(status.Volumes, volume)
	}
	slices.SortFunc(status.Volumes, func(a, b VolumeStatus) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID)) })
	return status
}

// instance is a service of the answer.
type instance = gql.EnvironmentStatusEnvironmentServiceInstancesEnvironmentServiceInstancesConnectionEdgesEnvironmentServiceInstancesConnectionEdgeNodeServiceInstance

func serviceStatusOf(i *instance) ServiceStatus {
	status := ServiceStatus{ID: i.ServiceId, Name: i.ServiceName, HealthcheckPath: gql.Text(i.HealthcheckPath), CronSchedule: gql.Text(i.CronSchedule)}
	if i.Source != nil {
		status.Image, status.Repo = gql.Text(i.Source.Image), gql.Text(i.Source.Repo)
	}
	if i.NextCronRunAt != nil {
		status.NextRun = *i.NextCronRunAt
	}
	if i.Domains != nil {
		for _, d := range i.Domains.ServiceDomains {
			status.Domains = append(status.Domains, d.Domain)
		}
		for _, d := range i.Domains.CustomDomains {
			status.Domains = append(status.Domains, d.Domain)
		}
	}
	status.takeDeployments(i)
	if len(status.Replicas) == 0 && i.NumReplicas != nil {
		status.Replicas = map[string]int{"": *i.NumReplicas}
	}
	return status
}

// takeDeployments takes what the deployments of a service say.
func (s *ServiceStatus) takeDeployments(i *instance) {
	all := slices.Clone(i.ActiveDeployments)
	var active []string
	for _, d := range all {
		active = append(active, d.Id)
	}
	latest := i.LatestDeployment
	if latest != nil && !slices.Contains(active, latest.Id) {
		all = append(all, latest)
	}
	sortDeployments(all)
	current := currentOf(active, all)
	if latest != nil {
		s.Latest, s.Replicas = deploymentOf(latest, current), replicasOf(latest.Meta)
	}
	for _, d := range all {
		if d.Id != current {
			continue
		}
		s.Current, s.Stopped, s.Running = deploymentOf(d, current), d.DeploymentStopped, running(d)
		if replicas := replicasOf(d.Meta); replicas != nil {
			s.Replicas = replicas
		}
	}
}

func running(d *gql.DeploymentFields) (n int) {
	for _, i := range d.Instances {
		if i.Status == gql.DeploymentInstanceStatusRunning {
			n++
		}
	}
	return n
}

// replicasOf reads the number of replicas by region from a deployment's meta; nil if
// it is not there. What the service says of itself is 1 if it runs in several
// regions (https://github.com/railwayapp/cli, its summary of services).
func replicasOf(meta *json.RawMessage) map[string]int {
	if meta == nil {
		return nil
	}
	var m struct {
		ServiceManifest struct {
			Deploy struct {
				Regions map[string]json.RawMessage `json:"multiRegionConfig"`
			} `json:"deploy"`
		} `json:"serviceManifest"`
	}
	if json.Unmarshal(*meta, &m) != nil {
		return nil
	}
	var replicas map[string]int
	for region, raw := range m.ServiceManifest.Deploy.Regions {
		var config struct {
			Replicas int `json:"numReplicas"`
		}
		if json.Unmarshal(raw, &config) != nil || config.Replicas < 1 {
			continue
		}
		if replicas == nil {
			replicas = make(map[string]int)
		}
		replicas[region] = config.Replicas
	}
	return replicas
}

// A PlatformStatus is what Railway says of itself.
type PlatformStatus struct {
	// Stable says that Railway knows of no trouble.
	Stable bool
	// Incident and Maintenance are those of now; nil if there is none.
	Incident, Maintenance *PlatformNotice
}

// A PlatformNotice is an incident or a maintenance of Railway.
type PlatformNotice struct {
	// ID is what Railway calls it.
	ID string
	// Message says what it is, in Railway's words.
	Message string
	// Status is Railway's word for how far it is: INVESTIGATING, INPROGRESS.
	Status string
	// URL is the page about it.
	URL string
	// Began is when it began or begins; zero if it is not said.
	Began time.Time
}

// PlatformStatus returns whether Railway itself has trouble. Deployments that do not
// move are often queued during one.
func (c *Client) PlatformStatus(ctx context.Context) (PlatformStatus, error) {
	got, err := gql.PlatformStatus(ctx, c.op("read the status of Railway"))
	if err != nil {
		return PlatformStatus{}, err
	}
	p := got.PlatformStatus
	status := PlatformStatus{Stable: p.IsStable}
	if i := p.Incident; i != nil {
		status.Incident = &PlatformNotice{ID: i.Id, Message: printable(i.Message, maxText), Status: string(i.Status), URL: printable(i.Url, 300)}
		if i.CreatedAt != nil {
			status.Incident.Began = *i.CreatedAt
		}
	}
	if m := p.Maintenance; m != nil {
		status.Maintenance = &PlatformNotice{ID: m.Id, Message: printable(m.Message, maxText), Status: string(m.Status), URL: printable(m.Url, 300), Began: m.Start}
	}
	return status, nil
}
