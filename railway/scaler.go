package railway

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

var _ incident.Scaler = (*Service)(nil)

// maxReplicas is how many replicas a service may have in all regions
// (https://docs.railway.com/deployments/scaling).
const maxReplicas = 50

// bytesOfGB is a gigabyte of Railway's: a limit of 2 GB is configured as 2000000000
// bytes.
const bytesOfGB = 1_000_000_000

// Scale returns the replicas of the service by region, as they are configured, or
// else as the newest deployment has them, and the limits of each replica. Regions
// are Railway's IDs: "europe-west4-drams3a".
func (s *Service) Scale(ctx context.Context) (incident.Scale, error) {
	o := s.c.op("read the scale of service %s", s)
	now, err := s.scale(ctx, o)
	return now.scale(), err
}

// A scaling is a scale as Railway keeps it: what it knows of each region is kept.
type scaling struct {
	regions map[string]map[string]json.RawMessage
	cpu     float64
	memory  int64
	volumes int
}

func (r scaling) replicas(region string) (n int) {
	_ = json.Unmarshal(r.regions[region]["numReplicas"], &n) // what is no number is none
	return n
}

func (r scaling) scale() incident.Scale {
	s := incident.Scale{CPU: r.cpu, Memory: r.memory}
	for region := range r.regions {
		if n := r.replicas(region); n > 0 {
			s.Regions = append(s.Regions, incident.RegionScale{Region: region, Replicas: n})
		}
	}
	slices.SortFunc(s.Regions, func(a, b incident.RegionScale) int { return strings.Compare(a.Region, b.Region) })
	return s
}

func (s *Service) scale(ctx context.Context, o op) (scaling, error) {
	services, err := s.env.configServices(ctx, false)
	if err != nil {
		return scaling{}, err
	}
	config, ok := services[s.id]
	if !ok {
		return scaling{}, o.refuse(incident.ErrNotFound, "the environment has no such service")
	}
	now := scaling{regions: config.deploy.Regions, volumes: config.volumes}
	if len(now.regions) == 0 {
		// Nobody has chosen a region: what was deployed has Railway's choice. The
		// field numReplicas would be 1 for a service in several regions.
		if now.regions, err = s.deployedRegions(ctx, o); err != nil {
			return scaling{}, err
		}
	}
	limits, err := gql.Limits(ctx, o, s.environment, s.id)
	if err != nil {
		return scaling{}, err
	}
	now.cpu, now.memory = limitsOf(limits)
	return now, nil
}

// deployedRegions reads the regions of the newest deployment, of which Railway
// promises no form.
func (s *Service) deployedRegions(ctx context.Context, o op) (map[string]map[string]json.RawMessage, error) {
	h, err := s.history(ctx, o, 20, nil)
	if err != nil {
		return nil, err
	}
	for _, d := range h.newest {
		var meta struct {
			ServiceManifest struct {
				Deploy configDeploy `json:"deploy"`
			} `json:"serviceManifest"`
		}
		if d.Meta != nil && json.Unmarshal(*d.Meta, &meta) == nil && len(meta.ServiceManifest.Deploy.Regions) > 0 {
			return meta.ServiceManifest.Deploy.Regions, nil
		}
	}
	return nil, nil
}

// limitsOf reads the limits of a replica: those that were set, or else those of the
// plan. Railway promises no form of them.
func limitsOf(l *gql.LimitsResponse) (cpu float64, memory int64) {
	type limits struct {
		Containers struct {
			CPU         float64 `json:"cpu"`
			MemoryBytes float64 `json:"memoryBytes"`
		} `json:"containers"`
	}
	var set, plan limits
	if l.ServiceInstanceLimitOverride != nil {
		_ = json.Unmarshal(*l.ServiceInstanceLimitOverride, &set) // another form is not known
	}
	_ = json.Unmarshal(l.ServiceInstanceLimits, &plan)
	cpu = cmp.Or(set.Containers.CPU, plan.Containers.CPU)
	return cpu, int64(cmp.Or(set.Containers.MemoryBytes, plan.Containers.MemoryBytes))
}

// SetScale changes replicas by one commit of the service's regions, past what
// others have staged, and limits by another call, and verifies both. It restarts no
// replica that stays.
//
// Memory is given to Railway in GB of 1,000,000,000 bytes. Regions are those of
// Railway: one that there is not is an incident.ErrNotFound that lists those there
// are, and more replicas in one that Railway is leaving an incident.ErrUnsupported.
// So are no replicas at all, more than 50, and more than one of a service with a
// volume (https://docs.railway.com/volumes/reference). If the limits were changed
// and the replicas were not, the error is an incident.ErrOutcomeUnknown that says so.
func (s *Service) SetScale(ctx context.Context, change incident.Scale) (incident.Scale, error) {
	o := s.c.op("scale service %s", s)
	if err := change.Validate(); err != nil {
		return incident.Scale{}, o.refuse(nil, "%v", err)
	}
	now, err := s.scale(ctx, o)
	if err != nil {
		return incident.Scale{}, err
	}
	want, patch, err := s.scaleTo(ctx, o, now, change)
	if err != nil {
		return incident.Scale{}, err
	}
	limits := change.CPU > 0 && change.CPU != now.cpu || change.Memory > 0 && !about(change.Memory, now.memory)
	if limits {
		if err := s.setLimits(ctx, o, change); err != nil {
			return incident.Scale{}, err
		}
	}
	if patch != nil {
		err := s.env.commitPatch(ctx, o, patch, "Scale "+s.String())
		if err != nil && !maybeRun(err) {
			if limits {
				err = o.unknown(err, "the limits were changed, and the replicas were not")
			}
			return incident.Scale{}, err
		}
		if err := s.awaitScale(ctx, o, err, want); err != nil {
			return incident.Scale{}, err
		}
	}
	after, cancel := watching(ctx, outliving)
	defer cancel()
	seen, err := s.scale(after, o)
	if err != nil {
		return incident.Scale{}, o.unknown(err, "it was changed, and cannot be read; look at the scale")
	}
	return seen.scale(), nil
}

// about compares numbers of bytes that went through a number of GB with a fraction.
func about(a, b int64) bool { return math.Abs(float64(a-b)) < 1000 }

// awaitScale waits until the regions are what was asked for: regions that were not
// possible used to be ignored.
func (s *Service) awaitScale(ctx context.Context, o op, cause error, want []incident.RegionScale) error {
	return o.confirm(ctx, cause, fmt.Sprintf("wanted are %v; look at the scale, and set it again", want), func(ctx context.Context) (bool, error) {
		services, err := s.env.configServices(ctx, false)
		if err != nil {
			return false, err
		}
		return slices.Equal(scaling{regions: services[s.id].deploy.Regions}.scale().Regions, want), nil
	})
}

func (s *Service) setLimits(ctx context.Context, o op, change incident.Scale) error {
	var cpu, memory *float64
	if change.CPU > 0 {
		cpu = &change.CPU
	}
	if change.Memory > 0 {
		gb := float64(change.Memory) / bytesOfGB
		memory = &gb
	}
	_, err := gql.LimitsUpdate(ctx, o, s.environment, s.id, memory, cpu)
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the limits, and set them again", func(ctx context.Context) (bool, error) {
		got, err := gql.Limits(ctx, o, s.environment, s.id)
		if err != nil {
			return false, err
		}
		c, m := limitsOf(got)
		return (cpu == nil || c == *cpu) && (memory == nil || about(m, change.Memory)), nil
	})
}

// scaleTo returns the regions that a change comes to, and the patch that makes them;
// it is nil if they are so.
func (s *Service) scaleTo(ctx context.Context, o op, now scaling, change incident.Scale) ([]incident.RegionScale, any, error) {
	if err := s.knownRegions(ctx, o, now, change); err != nil {
		return nil, nil, err
	}
	// All regions are sent, so that the others stay whether Railway merges the patch
	// or replaces with it. It refuses a region with 0 replicas: it has to be null.
	regions, after := make(map[string]any), scaling{regions: make(map[string]map[string]json.RawMessage)}
	for region, config := range now.regions {
		regions[region], after.regions[region] = config, config
	}
	for _, r := range change.Regions {
		if r.Replicas == 0 {
			delete(after.regions, r.Region)
			if _, there := regions[r.Region]; there {
				regions[r.Region] = nil
			}
			continue
		}
		config := make(map[string]json.RawMessage)
		for key, value := range now.regions[r.Region] {
			config[key] = value
		}
		config["numReplicas"] = json.RawMessage(fmt.Sprint(r.Replicas))
		regions[r.Region], after.regions[r.Region] = config, config
	}
	want := after.scale()
	switch total := want.Replicas(); {
	case len(change.Regions) == 0 || slices.Equal(want.Regions, now.scale().Regions):
		return want.Regions, nil, nil
	case total == 0:
		return nil, nil, o.refuse(incident.ErrUnsupported, "Railway has no service with 0 replicas; stop the service instead")
	case total > maxReplicas:
		return nil, nil, o.refuse(incident.ErrUnsupported, "%d replicas are too many: Railway has at most %d of a service, in all regions", total, maxReplicas)
	case total > 1 && now.volumes > 0:
		return nil, nil, o.refuse(incident.ErrUnsupported, "the service has a volume, and Railway runs only one replica of it")
	}
	return want.Regions, inService(s.id, map[string]any{"deploy": map[string]any{"multiRegionConfig": regions}}), nil
}

// inService is the patch of one service.
func inService(id string, change any) any {
	return map[string]any{"services": map[string]any{id: change}}
}

// knownRegions refuses regions that Railway does not have, or is leaving. Fewer
// replicas where there are some are possible everywhere.
func (s *Service) knownRegions(ctx context.Context, o op, now scaling, change incident.Scale) error {
	asked := slices.DeleteFunc(slices.Clone(change.Regions), func(r incident.RegionScale) bool {
		return now.replicas(r.Region) > 0 && r.Replicas <= now.replicas(r.Region)
	})
	if len(asked) == 0 {
		return nil
	}
	got, err := gql.Regions(ctx, o, &s.project)
	if err != nil {
		return err
	}
	deprecated, names := make(map[string]bool), []string(nil)
	for _, r := range got.Regions {
		limits := r.DeploymentConstraints
		deprecated[r.Name] = limits != nil && limits.DeprecationInfo != nil && limits.DeprecationInfo.IsDeprecated
		if !deprecated[r.Name] {
			names = append(names, r.Name)
		}
	}
	slices.Sort(names)
	for _, r := range asked {
		leaving, known := deprecated[r.Region]
		switch {
		case !known:
			return o.refuse(incident.ErrNotFound, "Railway has no region %q; it has %s", r.Region, list(names))
		case leaving && r.Replicas > 0:
			return o.refuse(incident.ErrUnsupported, "Railway is leaving region %q and starts nothing more there; it has %s", r.Region, list(names))
		}
	}
	return nil
}
