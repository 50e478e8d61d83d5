package railway

import (
	"context"
	"maps"
	"slices"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/scalar"
)

// A VariableDiff says by their names alone how two sets of variables differ. It has
// no values in it and may be kept. The names are in order, and none is in two.
type VariableDiff struct {
	// Added are only in the second set, Removed only in the first, and Changed in
	// both with different values.
	Added, Removed, Changed []string
	// Hidden are in both and cannot be compared, since they are sealed.
	Hidden []string
}

// IsEmpty reports that the sets do not differ, as far as that can be seen.
func (d VariableDiff) IsEmpty() bool { return len(d.Added)+len(d.Removed)+len(d.Changed) == 0 }

// DiffVariables compares two sets, those of two services or of one at two times.
// Raw values are compared as they are written: a reference is not what it stands
// for.
func DiffVariables(from, to incident.VariableSet) VariableDiff {
	return diff(valuesOf(from), valuesOf(to))
}

// DiffDeployment compares what a deployment got with what one that is made now would
// get: what a redeployment changes, or, from the other side, what a rollback to it
// does. References are compared by what they stand for. The empty ID means the
// current deployment. The error is an incident.ErrUnsupported if Railway no longer
// keeps what it got.
func (s *Service) DiffDeployment(ctx context.Context, deployment string) (VariableDiff, error) {
	_, got, next, err := s.gotAndNext(ctx, s.c.hiding("compare the variables of service %s", s), deployment)
	if err != nil {
		return VariableDiff{}, err
	}
	return diff(got, next), nil
}

func valuesOf(s incident.VariableSet) scalar.Values {
	values := make(scalar.Values, len(s.Values)+len(s.Sealed))
	for name, secret := range s.Values {
		text := secret.Reveal()
		values[name] = &text
	}
	for _, name := range s.Sealed {
		values[name] = nil
	}
	return values
}

func diff(from, to scalar.Values) (d VariableDiff) {
	names := slices.AppendSeq(slices.Collect(maps.Keys(from)), maps.Keys(to))
	slices.Sort(names)
	for _, name := range slices.Compact(names) {
		switch compare(from, to, name) {
		case varAdded:
			d.Added = append(d.Added, name)
		case varRemoved:
			d.Removed = append(d.Removed, name)
		case varChanged:
			d.Changed = append(d.Changed, name)
		case varHidden:
			d.Hidden = append(d.Hidden, name)
		case varSame, varAbsent:
		}
	}
	return d
}

// A comparison says how one variable differs in two sets.
type comparison int

const (
	varAbsent comparison = iota
	varSame
	varAdded
	varRemoved
	varChanged
	varHidden
)

func compare(from, to scalar.Values, name string) comparison {
	a, inFrom := from[name]
	b, inTo := to[name]
	switch {
	case !inFrom && !inTo:
		return varAbsent
	case !inFrom:
		return varAdded
	case !inTo:
		return varRemoved
	case a == nil || b == nil:
		return varHidden
	case *a == *b:
		return varSame
	}
	return varChanged
}
