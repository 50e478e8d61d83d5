package incidenttest

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// DisposerCase is a platform with an environment, for one test.
type DisposerCase struct {
	Faults
	// Provisioner makes services, and Disposer removes them: they are often one.
	Provisioner incident.Provisioner
	Disposer    incident.Disposer
	// Project and Environment are the IDs of where the services are made.
	Project, Environment string
	// Image is one that can be run.
	Image string
	// Live is a service that users need, as one would describe it who believes that it may
	// be removed: its ID, name and time are right, and its mark is a guess.
	Live incident.Disposable
	// There reports whether a service is there, by its ID, as the platform knows it.
	There func(id string) bool
	// Need makes something need a service: users reach it, or another service does. Nil
	// declines.
	Need func(id string)
	// Copy gives the live service all variables, labels or whatever else another one has its
	// mark in, as somebody does who copies them by hand. Nil declines.
	Copy func(from string)
}

// DisposerHarness is what [TestDisposer] needs of an implementation.
type DisposerHarness struct {
	// New returns a fresh platform. What it did to make it does not count as an effect.
	New func(t testing.TB) DisposerCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// disposerMark is that of the services of the suite.
const disposerMark = "rehearsal/production/run-1"

// TestDisposer checks what [incident.Disposer] asks of an implementation: it removes what
// was made to be removed, once, and nothing else whatever it is told.
func TestDisposer(t *testing.T, h DisposerHarness) {
	t.Run("remove", func(t *testing.T) {
		made := func(t testing.TB) preparedDisposer {
			c := h.New(t)
			d := c.make(t, "rehearsal-a")
			return preparedDisposer{c, d, c.Effects()}
		}
		testChange(t, h.Run, made, func(t testing.TB, ctx context.Context, c preparedDisposer) error {
			err := c.Disposer.Dispose(ctx, c.made)
			if err == nil && c.There(c.made.ID) {
				t.Error("it is still there, and there is no error")
			}
			return err
		})
	})
	h.Run.sub(t, "what was made is listed", func(t *testing.T) {
		c := h.New(t)
		first, second := c.make(t, "rehearsal-a"), c.make(t, "rehearsal-b")
		list, err := c.Disposer.Disposables(t.Context(), c.Project, c.Environment)
		if err != nil || len(list) != 2 || !list[0].Same(first) || !list[1].Same(second) {
			t.Errorf("listed %+v, error %v; want the two that have a mark, the oldest first", list, err)
		}
		if err := first.Validate(); err != nil {
			t.Errorf("what is listed cannot be removed: %v", err)
		}
	})
	h.Run.sub(t, "again", func(t *testing.T) {
		c := h.New(t)
		d := c.make(t, "rehearsal-a")
		if err := c.Disposer.Dispose(t.Context(), d); err != nil {
			t.Fatal(err)
		}
		before := c.Effects()
		wants(t, c.Disposer.Dispose(t.Context(), d), incident.ErrNotFound)
		effects(t, c.Faults, before)
	})
	h.Run.sub(t, "again after a lost answer", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer == nil {
			t.Skip("declined")
		}
		d, before := c.make(t, "rehearsal-a"), c.Effects()
		c.LoseAnswer()
		if err := c.Disposer.Dispose(t.Context(), d); err != nil && !isUnknown(err) {
			t.Errorf("error %v; want none, or ErrOutcomeUnknown", err)
		}
		wants(t, c.Disposer.Dispose(t.Context(), d), incident.ErrNotFound)
		effects(t, c.Faults, before+1)
	})
	h.Run.sub(t, "the service of users", func(t *testing.T) {
		c := h.New(t)
		d, before := c.make(t, "rehearsal-a"), c.Effects()
		unmarked, mistaken := c.Live, d
		unmarked.Mark = ""
		mistaken.ID = c.Live.ID // all else is that of one that may be removed
		for _, wrong := range []incident.Disposable{c.Live, unmarked, mistaken} {
			notGone(t, c, wrong, c.Live.ID)
		}
		effects(t, c.Faults, before)
	})
	h.Run.sub(t, "a mark that was copied", func(t *testing.T) {
		c := h.New(t)
		if c.Copy == nil {
			t.Skip("declined")
		}
		d := c.make(t, "rehearsal-a")
		c.Copy(d.ID)
		before := c.Effects()
		list, err := c.Disposer.Disposables(t.Context(), c.Project, c.Environment)
		if err != nil || len(list) != 1 || !list[0].Same(d) {
			t.Errorf("listed %+v, error %v; want only the one that was made with the mark", list, err)
		}
		believed := c.Live
		believed.Mark = d.Mark
		notGone(t, c, believed, c.Live.ID)
		effects(t, c.Faults, before)
	})
	h.Run.sub(t, "somebody else's", func(t *testing.T) {
		c := h.New(t)
		other, err := c.Provisioner.EnsureService(t.Context(), incident.ServiceSpec{Project: c.Project, Environment: c.Environment, Name: "rehearsal-c", Image: c.Image})
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Provisioner.EnsureService(t.Context(), c.spec("rehearsal-c"))
		if err != nil || again.Created {
			t.Fatalf("%+v, error %v; want the one that is there", again, err)
		}
		if list, err := c.Disposer.Disposables(t.Context(), c.Project, c.Environment); err != nil || len(list) > 0 {
			t.Errorf("listed %+v, error %v; want none: a mark is not put on what is there", list, err)
		}
		before := c.Effects()
		notGone(t, c, incident.Disposable{Project: c.Project, Environment: c.Environment, ID: other.ID, Name: other.Name, Mark: disposerMark, Made: time.Now()}, other.ID)
		effects(t, c.Faults, before)
	})
	testDescriptions(t, h)
}

// testDescriptions checks that a service is only removed if all is as it was described, and
// nothing needs it.
func testDescriptions(t *testing.T, h DisposerHarness) {
	for what, change := range map[string]func(d *incident.Disposable){
		"name": func(d *incident.Disposable) { d.Name = "rehearsal-z" },
		"mark": func(d *incident.Disposable) { d.Mark = "rehearsal/production/run-2" },
		"time": func(d *incident.Disposable) { d.Made = d.Made.Add(-time.Hour) },
	} {
		h.Run.sub(t, "another "+what, func(t *testing.T) {
			c := h.New(t)
			d := c.make(t, "rehearsal-a")
			before, id := c.Effects(), d.ID
			change(&d)
			wants(t, c.Disposer.Dispose(t.Context(), d), incident.ErrStale)
			if !c.There(id) {
				t.Error("it is gone")
			}
			effects(t, c.Faults, before)
		})
	}
	h.Run.sub(t, "needed", func(t *testing.T) {
		c := h.New(t)
		if c.Need == nil {
			t.Skip("declined")
		}
		d := c.make(t, "rehearsal-a")
		c.Need(d.ID)
		before := c.Effects()
		wants(t, c.Disposer.Dispose(t.Context(), d), incident.ErrBusy)
		if !c.There(d.ID) {
			t.Error("it is gone")
		}
		effects(t, c.Faults, before)
	})
}

// preparedDisposer is a case with a service that may be removed.
type preparedDisposer struct {
	DisposerCase
	made   incident.Disposable
	before int
}

func (c preparedDisposer) faults() Faults {
	f := c.Faults
	f.Effects = func() int { return c.Effects() - c.before }
	return f
}

func (c DisposerCase) spec(name string) incident.ServiceSpec {
	return incident.ServiceSpec{Project: c.Project, Environment: c.Environment, Name: name, Image: c.Image, Mark: disposerMark}
}

// make makes a service with a mark, and returns it as it is listed.
func (c DisposerCase) make(t testing.TB, name string) incident.Disposable {
	t.Helper()
	made, err := c.Provisioner.EnsureService(t.Context(), c.spec(name))
	if err != nil || !made.Created {
		t.Fatalf("%+v, error %v; want it made", made, err)
	}
	list, err := c.Disposer.Disposables(t.Context(), c.Project, c.Environment)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		if d.ID == made.ID && d.Name == name && d.Mark == disposerMark {
			return d
		}
	}
	t.Fatalf("listed %+v; want %s among them", list, name)
	return incident.Disposable{}
}

// notGone checks that a service is not removed by a description that is wrong.
func notGone(t testing.TB, c DisposerCase, d incident.Disposable, id string) {
	t.Helper()
	err := c.Disposer.Dispose(t.Context(), d)
	if err == nil || isUnknown(err) || d.Validate() == nil && !errors.Is(err, incident.ErrStale) && !errors.Is(err, incident.ErrNotFound) {
		t.Errorf("error %v for %+v; want that nothing was removed", err, d)
	}
	if !c.There(id) {
		t.Fatalf("%s is gone", id)
	}
}
