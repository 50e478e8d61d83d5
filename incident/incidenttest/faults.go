package incidenttest

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// Faults are what the tests of a port make a platform do, and what it tells them.
// A func that is nil declines the cases that need it, but for Effects.
type Faults struct {
	// Effects returns how many changes took effect on the platform since the case
	// was made, whatever it answered: as the platform knows it, and not as the
	// implementation believes. Required.
	Effects func() int
	// LoseAnswer makes the platform carry out the next change and lose the answer.
	// What is read afterwards is answered. Of a change in several parts it may be
	// any of them.
	LoseAnswer func()
	// Forbid makes the platform refuse everything from now on, as not permitted.
	Forbid func()
	// Break makes the platform unreachable from now on.
	Break func()
}

// A Runner runs a test, directly or in something around it.
type Runner func(t *testing.T, test func(t *testing.T))

// sub runs a test within a test.
func (r Runner) sub(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		if r == nil {
			test(t)
			return
		}
		r(t, test)
	})
}

func (f Faults) faults() Faults { return f }

// refusals are the errors by which a platform says no.
var refusals = []error{
	incident.ErrNotPermitted, incident.ErrNotFound, incident.ErrUnsupported, incident.ErrStale, incident.ErrBusy, incident.ErrSealed,
}

// testChange checks what holds for every change of every port. do makes the change,
// which must be one that succeeds, and if there is no error checks that its result
// is true.
func testChange[C interface{ faults() Faults }](t *testing.T, run Runner, newCase func(t testing.TB) C, do func(t testing.TB, ctx context.Context, c C) error) {
	run.sub(t, "takes effect once", func(t *testing.T) {
		c := newCase(t)
		if err := do(t, t.Context(), c); err != nil {
			t.Fatal(err)
		}
		effects(t, c.faults(), 1)
	})
	run.sub(t, "ended context", func(t *testing.T) {
		c := newCase(t)
		if err := do(t, ended(t), c); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v; want that of the context", err)
		}
		effects(t, c.faults(), 0)
	})
	run.sub(t, "read-only context", func(t *testing.T) {
		c := newCase(t)
		isReadOnly(t, do(t, runbook.ReadOnly(t.Context()), c))
		effects(t, c.faults(), 0)
	})
	run.sub(t, "refused", func(t *testing.T) {
		c := newCase(t)
		if c.faults().Forbid == nil {
			t.Skip("declined")
		}
		c.faults().Forbid()
		wants(t, do(t, t.Context(), c), incident.ErrNotPermitted)
		effects(t, c.faults(), 0)
	})
	run.sub(t, "unreachable", func(t *testing.T) {
		c := newCase(t)
		if c.faults().Break == nil {
			t.Skip("declined")
		}
		c.faults().Break()
		notRefused(t, do(t, t.Context(), c))
		effects(t, c.faults(), 0)
	})
	run.sub(t, "lost answer", func(t *testing.T) {
		c := newCase(t)
		if c.faults().LoseAnswer == nil {
			t.Skip("declined")
		}
		c.faults().LoseAnswer()
		err := do(t, t.Context(), c)
		took := c.faults().Effects() // 0 where the answer to a first part was lost
		if took > 1 || err == nil && took != 1 {
			t.Errorf("%d changes took effect, error %v; want one at most", took, err)
		}
		if took > 0 && err != nil && !isUnknown(err) {
			t.Errorf("error %v; want none, or ErrOutcomeUnknown", err)
		}
		if took > 0 && runbook.SafeToRetry(err) {
			t.Errorf("error %v claims that nothing happened", err)
		}
	})
}

// await waits until something is so, for up to a minute.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for wait := time.Millisecond; !is(); wait = min(2*wait, time.Second) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			t.Fatalf("%s: not after a minute", what)
		}
	}
}

// settled waits until a deployment is settled.
func settled(t testing.TB, d incident.Deployer, id string) {
	t.Helper()
	await(t, "deployment "+id+" is settled", func() bool {
		list, err := d.Deployments(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(list, func(d incident.Deployment) bool { return d.ID == id && d.Status.Settled() })
	})
}

func effects(t testing.TB, f Faults, want int) {
	t.Helper()
	if got := f.Effects(); got != want {
		t.Errorf("%d changes took effect; want %d", got, want)
	}
}

func wants(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v; want one that is %q", err, want)
	}
}

// isReadOnly checks that a change was refused because nothing may be changed.
func isReadOnly(t testing.TB, err error) {
	t.Helper()
	wants(t, err, runbook.ErrReadOnly)
	if !runbook.SafeToRetry(err) {
		t.Errorf("error %v does not say that nothing happened", err)
	}
}

// notRefused checks that an error does not say that the platform said no.
func notRefused(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Error("no error")
	}
	for _, refusal := range refusals {
		if errors.Is(err, refusal) {
			t.Errorf("error %v is %q, of a platform that did not answer", err, refusal)
		}
	}
}
