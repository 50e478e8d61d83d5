package railway

import (
	"context"
	"encoding/json"

	"go.acu.edu.au/runbook/railway/internal/gql"
)

// configService is what is read of a service in the configuration of an environment.
// Railway promises no form: what has another one is as if it were not there.
type configService struct {
	parent, role string
	patroni      string // the variable PATRONI_ENABLED
	volumes      int    // how many are mounted
	deploy       configDeploy
}

// configDeploy is how a service is deployed. A region that was removed may be null.
type configDeploy struct {
	Regions map[string]map[string]json.RawMessage `json:"multiRegionConfig"`
}

// configServices returns the configuration of the environment's services by ID, with
// the values of variables or without.
func (e *Environment) configServices(ctx context.Context, values bool) (map[string]configService, error) {
	got, err := gql.EnvironmentConfig(ctx, e.c.hiding("read the configuration of environment %s", e), e.id, values)
	if err != nil {
		return nil, err
	}
	return parseServices(got.Environment.Config), nil
}

// parseServices reads the services of a configuration, each for itself.
func parseServices(config json.RawMessage) map[string]configService {
	var tree struct {
		Services map[string]json.RawMessage `json:"services"`
	}
	_ = json.Unmarshal(config, &tree) // another form has no services
	services := make(map[string]configService, len(tree.Services))
	for id, raw := range tree.Services {
		var parts *struct {
			Parent    json.RawMessage `json:"parentServiceId"`
			Role      json.RawMessage `json:"clusterRole"`
			Variables json.RawMessage `json:"variables"`
			Mounts    json.RawMessage `json:"volumeMounts"`
			Deploy    json.RawMessage `json:"deploy"`
		}
		if json.Unmarshal(raw, &parts) != nil || parts == nil {
			continue // null is a service that is deleted
		}
		var s configService
		var variables struct {
			Patroni struct {
				Value string `json:"value"`
			} `json:"PATRONI_ENABLED"`
		}
		var mounts map[string]json.RawMessage
		for _, part := range []struct {
			raw json.RawMessage
			to  any
		}{{parts.Parent, &s.parent}, {parts.Role, &s.role}, {parts.Variables, &variables}, {parts.Mounts, &mounts}, {parts.Deploy, &s.deploy}} {
			_ = json.Unmarshal(part.raw, part.to)
		}
		s.patroni, s.volumes = variables.Patroni.Value, len(mounts)
		services[id] = s
	}
	return services
}

// isCluster reports whether a service is part of a cluster with replicas, as
// Railway's own template makes it: its root has the variable PATRONI_ENABLED, and
// replicas name it as their parent.
func isCluster(services map[string]configService, id string) bool {
	root := rootOf(services, id)
	if services[root].patroni == "true" {
		return true
	}
	for other, s := range services {
		if s.role == "replica" && rootOf(services, other) == root {
			return true
		}
	}
	return false
}

// rootOf goes up to the service that has no parent.
func rootOf(services map[string]configService, id string) string {
	for range services { // no more often, should they go in a circle
		parent := services[id].parent
		if _, there := services[parent]; !there {
			break
		}
		id = parent
	}
	return id
}
