package incidenttest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// Scale implements [incident.Scaler]. A service has no replicas until SetScale
// gives it some.
func (p *Platform) Scale(ctx context.Context) (incident.Scale, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Scale"); before != nil || after != nil {
		return incident.Scale{}, errors.Join(before, after)
	}
	return p.observedScale(), nil
}

func (p *Platform) observedScale() incident.Scale {
	s := p.scale
	s.Regions = slices.Clone(s.Regions)
	return s
}

// SetScale implements [incident.Scaler]. It has every region.
func (p *Platform) SetScale(ctx context.Context, s incident.Scale) (incident.Scale, error) {
	if err := s.Validate(); err != nil {
		return incident.Scale{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "SetScale")
	if before != nil {
		return incident.Scale{}, before
	}
	next := p.observedScale()
	for _, r := range s.Regions {
		next.Regions = slices.DeleteFunc(next.Regions, func(old incident.RegionScale) bool { return old.Region == r.Region })
		if r.Replicas > 0 {
			next.Regions = append(next.Regions, r)
		}
	}
	slices.SortFunc(next.Regions, func(a, b incident.RegionScale) int { return cmp.Compare(a.Region, b.Region) })
	next.CPU, next.Memory = cmp.Or(s.CPU, next.CPU), cmp.Or(s.Memory, next.Memory)
	if next.Replicas() == 0 && len(s.Regions) > 0 {
		return incident.Scale{}, fmt.Errorf("incidenttest: scale: no replica would be left; stop the service instead: %w", incident.ErrUnsupported)
	}
	p.scale = next
	p.effect("SetScale", fmt.Sprint(next.Replicas()))
	if after != nil {
		return incident.Scale{}, after
	}
	return p.observedScale(), nil
}

// Configure sets and seals variables as a person does: it is no call of ours, and
// nothing is deployed.
func (p *Platform) Configure(values map[string]string, seal ...string) {
	set := make(map[string]runbook.Secret)
	for name, value := range values {
		set[name] = runbook.NewSecret(value)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.write(incident.VariableBatch{Set: set, Seal: seal})
}

// Got returns the value of a variable that the current deployment got, which no
// caller can see otherwise, and whether it got one.
func (p *Platform) Got(name string) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, err := p.running()
	if err != nil {
		return "", false
	}
	value, ok := p.deployments[i].got[name]
	return value.Reveal(), ok
}

// write carries out a batch.
func (p *Platform) write(b incident.VariableBatch) {
	if p.values == nil {
		p.values, p.sealed = make(map[string]runbook.Secret), make(map[string]bool)
	}
	maps.Copy(p.values, b.Set)
	for _, name := range b.Delete {
		delete(p.values, name)
		delete(p.sealed, name)
	}
	for _, name := range b.Seal {
		p.sealed[name] = true
	}
	p.version++
}

// Variables implements [incident.Variables].
func (p *Platform) Variables(ctx context.Context) (incident.VariableSet, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "Variables"); before != nil || after != nil {
		return incident.VariableSet{}, errors.Join(before, after)
	}
	s := incident.VariableSet{Values: make(map[string]runbook.Secret), Version: p.variablesVersion()}
	for name, value := range p.values {
		if p.sealed[name] {
			s.Sealed = append(s.Sealed, name)
		} else {
			s.Values[name] = value
		}
	}
	slices.Sort(s.Sealed)
	return s, nil
}

func (p *Platform) variablesVersion() string { return "v" + strconv.Itoa(p.version) }

// SetVariables implements [incident.Variables].
func (p *Platform) SetVariables(ctx context.Context, b incident.VariableBatch) (incident.PendingVariables, error) {
	if err := b.Validate(); err != nil {
		return incident.PendingVariables{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	before, after := p.change(ctx, "SetVariables")
	if before != nil {
		return incident.PendingVariables{}, before
	}
	if b.Base != "" && b.Base != p.variablesVersion() {
		return incident.PendingVariables{}, fmt.Errorf("incidenttest: variables: based on version %q, the newest is %q: %w", b.Base, p.variablesVersion(), incident.ErrStale)
	}
	p.write(b)
	p.effect("SetVariables", strings.Join(b.Names(), ","))
	return incident.PendingVariables{Names: b.Names()}, after
}

// ProveVariables implements [incident.Variables]. It looks at what the current
// deployment got.
func (p *Platform) ProveVariables(ctx context.Context, pending incident.PendingVariables) (incident.VariableProof, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if before, after := p.begin(ctx, "ProveVariables"); before != nil || after != nil {
		return incident.VariableProof{}, errors.Join(before, after)
	}
	i, err := p.running()
	if err != nil {
		return incident.VariableProof{}, err
	}
	names := slices.Clone(pending.Names)
	if len(names) == 0 {
		names = slices.Collect(maps.Keys(p.values))
	}
	slices.Sort(names)
	proof := incident.VariableProof{Deployment: p.current}
	for _, name := range slices.Compact(names) {
		got, has := p.deployments[i].got[name]
		want, configured := p.values[name]
		switch {
		case p.sealed[name]:
			proof.Hidden = append(proof.Hidden, name)
		case has == configured && got.Equal(want):
			proof.Applied = append(proof.Applied, name)
		default:
			proof.Pending = append(proof.Pending, name)
		}
	}
	return proof, nil
}
