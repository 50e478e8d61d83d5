package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// VariablesCase is a service whose current deployment got the variables A, B and S,
// with the values "a", "b" and "s", which are configured. S is sealed, if the
// platform can seal.
type VariablesCase struct {
	Faults
	// Variables is the implementation, and Deployer that of the same service.
	Variables incident.Variables
	Deployer  incident.Deployer
	// Got returns what the current deployment got, as the platform knows it.
	Got func(name string) (value string, ok bool)
	// Seals says that the platform can seal, Versions that it can compare versions.
	Seals, Versions bool
}

// VariablesHarness is what [TestVariables] needs of an implementation.
type VariablesHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) VariablesCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// canary is a value that no error may have in it.
const canary = "canary-5e4f1b"

// TestVariables checks what [incident.Variables] asks of an implementation.
func TestVariables(t *testing.T, h VariablesHarness) {
	h.Run.sub(t, "read", func(t *testing.T) { testReadVariables(t, h.New(t)) })
	t.Run("set", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c VariablesCase) error {
			pending, err := c.Variables.SetVariables(ctx, batch("A", canary, "B", canary, "C", canary))
			if err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), canary) {
				t.Error("the error has a value in it")
			}
			if err == nil && !slices.Equal(pending.Names, []string{"A", "B", "C"}) {
				t.Errorf("pending %q; want what was written, in order", pending.Names)
			}
			return err
		})
	})
	h.Run.sub(t, "a restart applies nothing, a redeployment does", func(t *testing.T) { testApply(t, h.New(t)) })
	h.Run.sub(t, "delete", func(t *testing.T) {
		c := h.New(t)
		pending, err := c.Variables.SetVariables(t.Context(), incident.VariableBatch{Delete: []string{"B", "NONE"}})
		if err != nil {
			t.Fatal(err)
		}
		effects(t, c.Faults, 1)
		c.prove(t, pending, []string{"NONE"}, []string{"B"})
		c.redeploy(t)
		c.prove(t, pending, []string{"B", "NONE"}, nil)
	})
	h.Run.sub(t, "sealed", func(t *testing.T) { testSealed(t, h.New(t)) })
	h.Run.sub(t, "versions", func(t *testing.T) { testVersions(t, h.New(t)) })
	h.Run.sub(t, "invalid", func(t *testing.T) {
		c := h.New(t)
		for _, b := range []incident.VariableBatch{{}, batch("", "x"), batch("A=B", "x"), {Set: batch("A", "x").Set, Delete: []string{"A"}}, {Seal: []string{"A"}}} {
			if _, err := c.Variables.SetVariables(t.Context(), b); err == nil {
				t.Errorf("the batch of %q was taken", b.Names())
			}
		}
		effects(t, c.Faults, 0)
	})
}

// batch returns a batch that sets names to values.
func batch(pairs ...string) incident.VariableBatch {
	b := incident.VariableBatch{Set: make(map[string]runbook.Secret)}
	for i := 0; i < len(pairs); i += 2 {
		b.Set[pairs[i]] = runbook.NewSecret(pairs[i+1])
	}
	return b
}

func (c VariablesCase) read(t testing.TB) incident.VariableSet {
	t.Helper()
	s, err := c.Variables.Variables(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (c VariablesCase) redeploy(t testing.TB) {
	t.Helper()
	d, err := c.Deployer.Redeploy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	settled(t, c.Deployer, d.ID)
}

// prove checks what is proven, and that it is true.
func (c VariablesCase) prove(t testing.TB, p incident.PendingVariables, applied, pending []string) {
	t.Helper()
	proof, err := c.Variables.ProveVariables(t.Context(), p)
	if err != nil || proof.Deployment == "" || !slices.Equal(proof.Applied, applied) || !slices.Equal(proof.Pending, pending) {
		t.Errorf("proof %+v, error %v; want applied %q and pending %q", proof, err, applied, pending)
	}
	if proof.Proven() != (len(pending) == 0) {
		t.Errorf("proven is %v with pending %q", proof.Proven(), pending)
	}
}

func testReadVariables(t *testing.T, c VariablesCase) {
	s := c.read(t)
	if s.Values["A"].Reveal() != "a" || s.Values["B"].Reveal() != "b" {
		t.Errorf("variables %q; want A and B with their values", s.Names())
	}
	if c.Seals {
		if _, readable := s.Values["S"]; readable || !slices.Contains(s.Sealed, "S") {
			t.Errorf("readable %q, sealed %q; want S among the sealed only", slices.Sorted(maps.Keys(s.Values)), s.Sealed)
		}
	}
	s.Values["A"] = runbook.NewSecret("spoiled")
	if again := c.read(t); again.Values["A"].Reveal() != "a" || again.Version != s.Version {
		t.Error("what was read is shared, or reading changes the version")
	}
	if _, err := c.Variables.Variables(ended(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want that of the context", err)
	}
	c.prove(t, incident.PendingVariables{Names: []string{"B", "A"}}, []string{"A", "B"}, nil)
	effects(t, c.Faults, 0)
}

func testApply(t *testing.T, c VariablesCase) {
	pending, err := c.Variables.SetVariables(t.Context(), batch("A", "a", "B", "new", "C", ""))
	if err != nil {
		t.Fatal(err)
	}
	effects(t, c.Faults, 1) // one batch, and no deployment
	if s := c.read(t); s.Values["B"].Reveal() != "new" || s.Values["A"].Reveal() != "a" {
		t.Errorf("variables %q; want what was written", s.Names())
	}
	c.prove(t, pending, []string{"A"}, []string{"B", "C"})
	if _, err := c.Deployer.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.prove(t, pending, []string{"A"}, []string{"B", "C"})
	if got, _ := c.Got("B"); got != "b" {
		t.Errorf("a restart brought %q", got)
	}
	c.redeploy(t)
	c.prove(t, pending, []string{"A", "B", "C"}, nil)
	if got, _ := c.Got("B"); got != "new" {
		t.Errorf("the redeployment got %q; want the new value", got)
	}
}

func testSealed(t *testing.T, c VariablesCase) {
	if !c.Seals {
		b := batch("C", "x")
		b.Seal = []string{"C"}
		_, err := c.Variables.SetVariables(t.Context(), b)
		wants(t, err, incident.ErrUnsupported)
		effects(t, c.Faults, 0)
		return
	}
	// What was read is written back, as a snapshot is: the sealed one is kept.
	b := incident.VariableBatch{Set: c.read(t).Values}
	b.Set["C"], b.Seal = runbook.NewSecret("x"), []string{"C"}
	pending, err := c.Variables.SetVariables(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	c.redeploy(t)
	if got, _ := c.Got("S"); got != "s" {
		t.Error("the sealed variable was lost")
	}
	if s := c.read(t); !slices.Contains(s.Sealed, "C") || !slices.Contains(s.Sealed, "S") {
		t.Errorf("sealed %q; want C and S", s.Sealed)
	}
	proof, err := c.Variables.ProveVariables(t.Context(), pending)
	if err != nil || slices.Contains(proof.Pending, "C") || slices.Contains(proof.Applied, "C") == slices.Contains(proof.Hidden, "C") {
		t.Errorf("proof %+v, error %v; want C hidden, or applied if the platform can tell", proof, err)
	}
	if proof.Proven() && len(proof.Hidden) > 0 {
		t.Error("what is hidden is proven")
	}
}

func testVersions(t *testing.T, c VariablesCase) {
	s := c.read(t)
	b := batch("A", "x")
	if !c.Versions {
		b.Base = "some version"
		_, err := c.Variables.SetVariables(t.Context(), b)
		wants(t, err, incident.ErrUnsupported)
		effects(t, c.Faults, 0)
		return
	}
	var won atomic.Int64
	each(4, func(i int) {
		b := batch("A", fmt.Sprint(i))
		b.Base = s.Version
		switch _, err := c.Variables.SetVariables(t.Context(), b); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, incident.ErrStale) && !errors.Is(err, incident.ErrBusy):
			t.Errorf("error %v; want ErrStale", err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("%d batches on the same version were written; want one", won.Load())
	}
	effects(t, c.Faults, 1)
}
