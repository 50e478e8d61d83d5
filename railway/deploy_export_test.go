package railway

import (
	"encoding/json"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// Pace is pace.
var Pace = pace

// StatusReplicas is replicasOf.
func StatusReplicas(meta []byte) map[string]int {
	if meta == nil {
		return replicasOf(nil)
	}
	raw := json.RawMessage(meta)
	return replicasOf(&raw)
}

// DeploymentOf is deploymentOf of a deployment with this meta.
func DeploymentOf(meta []byte) incident.Deployment {
	raw := json.RawMessage(meta)
	return deploymentOf(&gql.DeploymentFields{Id: "d", Status: gql.DeploymentStatusSuccess, Meta: &raw}, "")
}
