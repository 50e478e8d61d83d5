package railway

import (
	"context"
	"maps"
	"slices"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/internal/scalar"
)

var (
	_ incident.Variables = (*Service)(nil)
	_ incident.Variables = (*SharedVariables)(nil)
)

// Variables implements [incident.Variables], in one call. The values are raw, with
// their references such as ${{Postgres.DATABASE_URL}}. What is sealed, which Railway
// shows as null, is listed as sealed and is in no way unset.
//
// Variables that Railway makes itself, RAILWAY_SERVICE_ID for example, are not
// listed and cannot be written. Those by which a user configures Railway, such as
// RAILWAY_RUN_UID, are
// (https://docs.railway.com/variables/reference).
func (s *Service) Variables(ctx context.Context) (incident.VariableSet, error) {
	return s.variableScope().variables(ctx)
}

// SetVariables implements [incident.Variables]. It deploys nothing, and a restart
// brings nothing of it to the application: redeploy once, whatever the number of
// batches, and prove it.
//
// A batch that only sets variables that are not sealed is one write beside what
// other people have staged. One that deletes, seals, or sets what is sealed has to
// go through the staged changes of the environment, because Railway deletes and
// seals quietly in no other way: if others have staged something, the error is an
// incident.ErrBusy, because it would be committed along.
//
// A Base is an incident.ErrUnsupported: Railway compares versions only where it
// also deploys. [Credentials] do that.
func (s *Service) SetVariables(ctx context.Context, b incident.VariableBatch) (incident.PendingVariables, error) {
	return s.variableScope().set(ctx, b)
}

// ProveVariables implements [incident.Variables], in three calls: which deployment
// is current, what it got, and what one made now would get. Sealed ones are hidden
// in both and so are proven by nothing here.
func (s *Service) ProveVariables(ctx context.Context, p incident.PendingVariables) (incident.VariableProof, error) {
	o := s.c.hiding("prove the variables of service %s", s)
	id, got, next, err := s.gotAndNext(ctx, o, "")
	if err != nil {
		return incident.VariableProof{}, err
	}
	names := slices.Compact(slices.Sorted(slices.Values(p.Names)))
	if len(names) == 0 {
		names = slices.Sorted(maps.Keys(next))
	}
	proof := incident.VariableProof{Deployment: id}
	for _, name := range names {
		switch compare(got, next, name) {
		case varSame, varAbsent:
			proof.Applied = append(proof.Applied, name)
		case varHidden:
			proof.Hidden = append(proof.Hidden, name)
		case varAdded, varRemoved, varChanged:
			proof.Pending = append(proof.Pending, name)
		}
	}
	return proof, nil
}

// gotAndNext returns what a deployment got, and what one that is made now would get,
// both with their references replaced. The empty ID is that of the current one.
func (s *Service) gotAndNext(ctx context.Context, o op, deployment string) (id string, got, next scalar.Values, err error) {
	if deployment == "" {
		deployment, err = s.currentDeployment(ctx, o)
	} else {
		_, _, err = s.look(ctx, o, deployment) // it must be of this service
	}
	if err != nil {
		return "", nil, nil, err
	}
	snapshot, err := gql.DeploymentSnapshot(ctx, o, deployment)
	if err != nil {
		return "", nil, nil, err
	}
	if snapshot.DeploymentSnapshot == nil {
		return "", nil, nil, o.refuse(incident.ErrUnsupported, "Railway does not keep what deployment %s got", printable(deployment, 60))
	}
	rendered, err := gql.RenderedVariables(ctx, o, s.project, s.environment, s.id)
	if err != nil {
		return "", nil, nil, err
	}
	return deployment, withoutOwn(snapshot.DeploymentSnapshot.Variables), withoutOwn(rendered.VariablesForServiceDeployment), nil
}

// SharedVariables are the variables that an environment has for all of its services,
// which refer to them as ${{shared.NAME}}. They are safe for concurrent use.
type SharedVariables struct{ at variableScope }

// SharedVariables returns the shared variables of the environment.
func (e *Environment) SharedVariables() *SharedVariables {
	return &SharedVariables{at: variableScope{env: e, what: "shared variables of environment " + e.String()}}
}

// Variables implements [incident.Variables], as [Service.Variables] does.
func (v *SharedVariables) Variables(ctx context.Context) (incident.VariableSet, error) {
	return v.at.variables(ctx)
}

// SetVariables implements [incident.Variables], as [Service.SetVariables] does. Each
// service that refers to them has to be redeployed.
func (v *SharedVariables) SetVariables(ctx context.Context, b incident.VariableBatch) (incident.PendingVariables, error) {
	return v.at.set(ctx, b)
}

// ProveVariables returns an incident.ErrUnsupported: shared variables get to a
// deployment only through the variables of its service, where they are proven.
func (v *SharedVariables) ProveVariables(ctx context.Context, _ incident.PendingVariables) (incident.VariableProof, error) {
	o := v.at.env.c.op("prove the %s", v.at.what)
	if err := ctx.Err(); err != nil {
		return incident.VariableProof{}, &Error{Op: o.name, unrun: true, cause: err}
	}
	return incident.VariableProof{}, o.refuse(incident.ErrUnsupported, "shared variables are not deployed by themselves; prove the variables of the services that refer to them")
}

// A variableScope is where variables are: in a service, or shared.
type variableScope struct {
	env     *Environment
	service *string // nil: shared
	what    string
}

func (s *Service) variableScope() variableScope {
	return variableScope{env: s.env, service: &s.id, what: "variables of service " + s.String()}
}

// read returns what is configured, raw.
func (v variableScope) read(ctx context.Context, o op) (scalar.Values, error) {
	got, err := gql.Variables(ctx, o, v.env.project, v.env.id, v.service)
	if err != nil {
		return nil, err
	}
	return withoutOwn(got.Variables), nil
}

func (v variableScope) variables(ctx context.Context) (incident.VariableSet, error) {
	values, err := v.read(ctx, v.env.c.hiding("read the %s", v.what))
	if err != nil {
		return incident.VariableSet{}, err
	}
	set := incident.VariableSet{Values: make(map[string]runbook.Secret, len(values))}
	for name, value := range values {
		if value == nil {
			set.Sealed = append(set.Sealed, name)
			continue
		}
		set.Values[name] = runbook.NewSecret(*value)
	}
	slices.Sort(set.Sealed)
	return set, nil
}

// isOwn reports whether a variable is made by Railway itself. Some that begin like
// those are the settings of users.
func isOwn(name string) bool {
	switch name {
	case "RAILWAY_DEPLOYMENT_OVERLAP_SECONDS", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS", "RAILWAY_DOCKERFILE_PATH",
		"RAILWAY_HEALTHCHECK_TIMEOUT_SEC", "RAILWAY_RUN_UID", "RAILWAY_SHM_SIZE_BYTES":
		return false
	}
	return strings.HasPrefix(name, "RAILWAY_")
}

func withoutOwn(values scalar.Values) scalar.Values {
	maps.DeleteFunc(values, func(name string, _ *string) bool { return isOwn(name) })
	return values
}
