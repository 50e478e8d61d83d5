package railway

import (
	"encoding/json"

	"go.acu.edu.au/runbook/incident"
)

// IsCluster reads a configuration as isCluster does.
func IsCluster(config json.RawMessage, service string) bool {
	return isCluster(parseServices(config), service)
}

// ReplicasOf reads the replicas of a service in a region from a configuration.
func ReplicasOf(config json.RawMessage, service, region string) int {
	return scaling{regions: parseServices(config)[service].deploy.Regions}.replicas(region)
}

// FillTemplate is fillTemplate.
func FillTemplate(config json.RawMessage, spec incident.ServiceSpec) (json.RawMessage, error) {
	return fillTemplate(config, spec)
}

// ForeignPaths is foreignPaths.
var ForeignPaths = foreignPaths
