package incidenttest

import (
	"context"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// ProvisionerCase is a platform with nothing on it, for one test.
type ProvisionerCase struct {
	Faults
	// Provisioner is the implementation.
	Provisioner incident.Provisioner
	// Owner is who pays; empty if the platform does not ask.
	Owner string
	// Missing is the ID of a project that there is none of.
	Missing string
	// Image is one that can be run.
	Image string
	// Got returns the value of a variable that a service was made with, by the ID of
	// the service. Nil declines.
	Got func(service, name string) string
}

// ProvisionerHarness is what [TestProvisioner] needs of an implementation.
type ProvisionerHarness struct {
	// New returns a fresh platform.
	New func(t testing.TB) ProvisionerCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestProvisioner checks what [incident.Provisioner] asks of an implementation.
func TestProvisioner(t *testing.T, h ProvisionerHarness) {
	h.Run.sub(t, "from nothing, twice", func(t *testing.T) {
		c := h.New(t)
		first := c.all(t, true)
		effects(t, c.Faults, 3)
		if again := c.all(t, false); first != again {
			t.Errorf("made %q, then %q; want the same", first, again)
		}
		effects(t, c.Faults, 3)
		if c.Got != nil && c.Got(first[2], "A") != "a" {
			t.Errorf("the service has A = %q; want it from the start", c.Got(first[2], "A"))
		}
	})
	t.Run("project", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c ProvisionerCase) error {
			p, err := c.Provisioner.EnsureProject(ctx, incident.ProjectSpec{Name: "recovered", Owner: c.Owner})
			if err == nil && (p.ID == "" || p.Name != "recovered") {
				t.Errorf("project %+v; want it with an ID", p)
			}
			return err
		})
	})
	h.Run.sub(t, "again after a lost answer", func(t *testing.T) {
		c := h.New(t)
		if c.LoseAnswer == nil {
			t.Skip("declined")
		}
		c.LoseAnswer()
		if _, err := c.Provisioner.EnsureProject(t.Context(), incident.ProjectSpec{Name: "recovered", Owner: c.Owner}); err != nil && !isUnknown(err) {
			t.Errorf("error %v; want none, or ErrOutcomeUnknown", err)
		}
		if p, err := c.Provisioner.EnsureProject(t.Context(), incident.ProjectSpec{Name: "recovered", Owner: c.Owner}); err != nil || p.Created {
			t.Errorf("project %+v, error %v; want the one that is there", p, err)
		}
		effects(t, c.Faults, 1)
	})
	h.Run.sub(t, "in nothing", func(t *testing.T) {
		c := h.New(t)
		_, err := c.Provisioner.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: c.Missing, Name: "production"})
		wants(t, err, incident.ErrNotFound)
		effects(t, c.Faults, 0)
	})
	h.Run.sub(t, "invalid", func(t *testing.T) {
		c := h.New(t)
		_, project := c.Provisioner.EnsureProject(t.Context(), incident.ProjectSpec{})
		_, environment := c.Provisioner.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: c.Missing})
		_, service := c.Provisioner.EnsureService(t.Context(), incident.ServiceSpec{Project: "p", Environment: "e", Name: "s", Image: "i", Template: "t"})
		for _, err := range []error{project, environment, service} {
			if err == nil {
				t.Error("an invalid specification was taken")
			}
		}
		effects(t, c.Faults, 0)
	})
}

// all makes a project, an environment and a service, and returns their IDs.
func (c ProvisionerCase) all(t testing.TB, created bool) [3]string {
	t.Helper()
	var made [3]string
	take := func(i int, p incident.Provisioned, err error) {
		if err != nil || p.ID == "" || p.Created != created {
			t.Fatalf("%d: %+v, error %v; want it with created = %v", i, p, err, created)
		}
		made[i] = p.ID
	}
	project, err := c.Provisioner.EnsureProject(t.Context(), incident.ProjectSpec{Name: "recovered", Owner: c.Owner})
	take(0, project, err)
	// Not "production": with some platforms a project has one from the start.
	environment, err := c.Provisioner.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: project.ID, Name: "rehearsal"})
	take(1, environment, err)
	service, err := c.Provisioner.EnsureService(t.Context(), incident.ServiceSpec{
		Project: project.ID, Environment: environment.ID, Name: "app", Image: c.Image, Variables: batch("A", "a").Set,
	})
	take(2, service, err)
	return made
}
