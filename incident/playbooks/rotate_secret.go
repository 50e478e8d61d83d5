package playbooks

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// RotateSecret returns the rotation of a secret that is a variable of the application and
// that nobody but the application knows, as SECRET_KEY is: 32 random bytes in base64, which
// nobody is shown. While it is under way the former secret is in the variable previous,
// which the application accepts beside the first. The environment needs Variables and a
// Deployer; a variable that is sealed cannot be rotated so.
func (e Environment) RotateSecret(name, previous string) Rotation {
	both := []string{name, previous}
	slices.Sort(both)
	return Rotation{
		Name: name, About: "32 random bytes that only the application knows; the former ones are in " + previous + " meanwhile.", Redeploys: true,
		Begin: func(ctx context.Context) error { return e.newSecret(ctx, name, previous) },
		Prove: func(ctx context.Context) error { return e.proven(ctx, both) },
		End:   func(ctx context.Context) error { return e.forget(ctx, previous) },
	}
}

// newSecret writes a new secret, unless one was written that no deployment has yet.
func (e Environment) newSecret(ctx context.Context, name, previous string) error {
	now, err := e.Variables.Variables(ctx)
	if err != nil {
		return err
	}
	for _, sealed := range []string{name, previous} {
		if slices.Contains(now.Sealed, sealed) {
			return fmt.Errorf("variable %s: the former secret could not be kept beside the new one: %w", sealed, incident.ErrSealed)
		}
	}
	if _, underWay := now.Values[previous]; underWay {
		proof, err := e.Variables.ProveVariables(ctx, incident.PendingVariables{Names: []string{name}})
		if err != nil {
			return err
		}
		if !proof.Proven() {
			return nil // written by an attempt before this one
		}
	}
	var random [32]byte
	if _, err := rand.Read(random[:]); err != nil {
		return fmt.Errorf("there are no random numbers: %w", err)
	}
	b := incident.VariableBatch{Base: now.Version, Set: map[string]runbook.Secret{name: runbook.NewSecret(base64.StdEncoding.EncodeToString(random[:]))}}
	if former, ok := now.Values[name]; ok {
		b.Set[previous] = former
	}
	_, err = e.Variables.SetVariables(ctx, b)
	return err
}

// forget removes the former secret, and deploys, so that the application does too.
func (e Environment) forget(ctx context.Context, previous string) error {
	now, err := e.Variables.Variables(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(now.Names(), previous) {
		if _, err := e.Variables.SetVariables(ctx, incident.VariableBatch{Delete: []string{previous}}); err != nil {
			return err
		}
	}
	proof, err := e.Variables.ProveVariables(ctx, incident.PendingVariables{Names: []string{previous}})
	if err != nil || proof.Proven() {
		return err // deployed without it already
	}
	if _, err := e.settled(ctx, new(incident.Scope), func() (incident.Deployment, error) { return e.underWay(ctx) }); err != nil {
		return err
	}
	return e.proven(ctx, []string{previous})
}

// underWay returns the deployment that is under way, which may be that of an attempt before
// this one, or else deploys again.
func (e Environment) underWay(ctx context.Context) (incident.Deployment, error) {
	list, err := e.Deployer.Deployments(ctx, 1)
	if err != nil {
		return incident.Deployment{}, err
	}
	if len(list) > 0 && !list[0].Status.Settled() {
		return list[0], nil
	}
	return e.Deployer.Redeploy(ctx)
}
