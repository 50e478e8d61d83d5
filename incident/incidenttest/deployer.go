package incidenttest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// DeployerCase is a service with a history, for one test: it has a current
// deployment that succeeded, which is the newest, and at least three before it, all
// settled, each of another version.
type DeployerCase struct {
	Faults
	// Deployer is the implementation. The optional interfaces that it implements
	// are tested too.
	Deployer incident.Deployer
	// Newest returns the ID of the newest deployment, as the platform knows it.
	Newest func() string
	// Target is the ID of a deployment that can be rolled back to, Dead of one that
	// cannot, and Missing one that there is none of.
	Target, Dead, Missing string
	// Begin begins a deployment with that status, and returns its ID, and what moves
	// it on to another status. Nil declines.
	Begin func(s incident.DeploymentStatus) (id string, move func(incident.DeploymentStatus))
	// Source is something else that can be deployed: a commit or an image. The zero
	// value declines.
	Source incident.DeploymentSource
}

// DeployerHarness is what [TestDeployer] needs of an implementation.
type DeployerHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) DeployerCase
	// Never returns a service that was never deployed. Nil declines.
	Never func(t testing.TB) incident.Deployer
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestDeployer checks what [incident.Deployer] and its optional interfaces ask of an
// implementation.
func TestDeployer(t *testing.T, h DeployerHarness) {
	run := func(name string, test func(t *testing.T, c DeployerCase)) {
		h.Run.sub(t, name, func(t *testing.T) { test(t, h.New(t)) })
	}
	run("list", testDeployments)
	run("what cannot be rolled back to", testRollbackRefused)
	run("restarts at the same time", testRestarts)
	t.Run("rollback", func(t *testing.T) { testChange(t, h.Run, h.New, rollback) })
	t.Run("restart", func(t *testing.T) { testChange(t, h.Run, h.New, restart) })
	t.Run("redeploy", func(t *testing.T) { testChange(t, h.Run, h.New, redeploy) })
	h.Run.sub(t, "never deployed", func(t *testing.T) {
		if h.Never == nil {
			t.Skip("declined")
		}
		d := h.Never(t)
		if list, err := d.Deployments(t.Context(), 5); err != nil || len(list) != 0 {
			t.Errorf("deployments %+v, error %v; want none", list, err)
		}
		_, err := d.Restart(t.Context())
		wants(t, err, incident.ErrNotFound)
		_, err = d.Redeploy(t.Context())
		wants(t, err, incident.ErrNotFound)
	})
	run("wait", testWait)
	run("cancel", testCancel)
	run("approve", testApprove)
	run("source that is invalid", func(t *testing.T, c DeployerCase) {
		d, ok := c.Deployer.(incident.SourceDeployer)
		if !ok {
			t.Skip("declined")
		}
		if _, err := d.DeploySource(t.Context(), incident.DeploymentSource{Commit: "a", Image: "b"}); err == nil {
			t.Error("a commit and an image were deployed")
		}
		effects(t, c.Faults, 0)
	})
	t.Run("source", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c DeployerCase) error {
			d, ok := c.Deployer.(incident.SourceDeployer)
			if !ok || c.Source == (incident.DeploymentSource{}) {
				t.Skip("declined")
			}
			return deploySource(t, ctx, c, d)
		})
	})
}

// list returns all deployments.
func (c DeployerCase) list(t testing.TB) []incident.Deployment {
	t.Helper()
	list, err := c.Deployer.Deployments(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// get returns a deployment as it is listed.
func (c DeployerCase) get(t testing.TB, id string) incident.Deployment {
	t.Helper()
	list := c.list(t)
	i := slices.IndexFunc(list, func(d incident.Deployment) bool { return d.ID == id })
	if i < 0 {
		t.Fatalf("deployment %q is not listed among %d", id, len(list))
	}
	return list[i]
}

// current returns the current deployment.
func (c DeployerCase) current(t testing.TB) incident.Deployment {
	t.Helper()
	for _, d := range c.list(t) {
		if d.Current {
			return d
		}
	}
	t.Fatal("no deployment is current")
	return incident.Deployment{}
}

func testDeployments(t *testing.T, c DeployerCase) {
	list := c.list(t)
	if len(list) < 4 {
		t.Fatalf("%d deployments are listed; want at least 4, in whatever status", len(list))
	}
	if list[0].ID != c.Newest() {
		t.Errorf("the first is %+v; want %q, the newest", list[0], c.Newest())
	}
	seen, current := make(map[string]bool), 0
	for i, d := range list {
		if d.ID == "" || d.Status == "" || d.Created.IsZero() || seen[d.ID] {
			t.Errorf("deployment %d is %+v; want an ID of its own, a status and a time", i, d)
		}
		if i > 0 && d.Created.After(list[i-1].Created) {
			t.Errorf("deployment %d is newer than the one before it", i)
		}
		if seen[d.ID] = true; d.Current {
			current++
		}
	}
	if current != 1 {
		t.Errorf("%d deployments are current; want one", current)
	}
	if target := c.get(t, c.Target); !target.CanRollback || target.Current {
		t.Errorf("the target is %+v; want one that can be rolled back to", target)
	}
	for _, limit := range []int{1, 2, 3} {
		got, err := c.Deployer.Deployments(t.Context(), limit)
		if err != nil || !slices.Equal(got, list[:limit]) {
			t.Errorf("limit %d: %+v, error %v; want the newest %d", limit, got, err, limit)
		}
	}
	for _, limit := range []int{0, -1} {
		if _, err := c.Deployer.Deployments(t.Context(), limit); err == nil {
			t.Errorf("limit %d is taken", limit)
		}
	}
	if _, err := c.Deployer.Deployments(ended(t), 1); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v; want that of the context", err)
	}
	effects(t, c.Faults, 0)
}

// rollback names the target by its ID alone, so that what is returned must have
// been observed.
func rollback(t testing.TB, ctx context.Context, c DeployerCase) error {
	got, err := c.Deployer.Rollback(ctx, incident.Deployment{ID: c.Target})
	if err != nil {
		return err
	}
	if got.ID != c.Newest() {
		t.Errorf("deployment %+v; want %q, which the platform made", got, c.Newest())
	}
	if want := c.get(t, c.Target); got.Commit != want.Commit || got.Image != want.Image && want.Commit == "" {
		t.Errorf("deployment %+v; want the version of %+v", got, want)
	}
	return nil
}

func testRollbackRefused(t *testing.T, c DeployerCase) {
	for id, want := range map[string]error{
		c.Missing: incident.ErrNotFound, c.Dead: incident.ErrUnsupported, c.current(t).ID: incident.ErrUnsupported,
	} {
		got, err := c.Deployer.Rollback(t.Context(), incident.Deployment{ID: id, CanRollback: true})
		if !errors.Is(err, want) {
			t.Errorf("to %q: deployment %+v, error %v; want one that is %q", id, got, err, want)
		}
	}
	effects(t, c.Faults, 0)
}

func restart(t testing.TB, ctx context.Context, c DeployerCase) error {
	got, err := c.Deployer.Restart(ctx)
	if err == nil && (got.ID != c.Newest() || !got.Current) {
		t.Errorf("deployment %+v; want %q, the current one", got, c.Newest())
	}
	return err
}

func testRestarts(t *testing.T, c DeployerCase) {
	const calls = 4
	var done atomic.Int64
	each(calls, func(int) {
		switch _, err := c.Deployer.Restart(t.Context()); {
		case err == nil:
			done.Add(1)
		case !isUnknown(err) && !errors.Is(err, incident.ErrBusy):
			t.Errorf("error %v; want none, ErrBusy or ErrOutcomeUnknown", err)
		}
	})
	if took := c.Effects(); took < int(done.Load()) || took > calls {
		t.Errorf("%d restarts took effect; %d of %d calls succeeded", took, done.Load(), calls)
	}
}

func redeploy(t testing.TB, ctx context.Context, c DeployerCase) error {
	before := c.Newest()
	got, err := c.Deployer.Redeploy(ctx)
	if err != nil {
		return err
	}
	if want := c.get(t, before).Commit; got.ID != c.Newest() || got.ID == before || got.Commit != want {
		t.Errorf("deployment %+v; want a new one, %q, of commit %q", got, c.Newest(), want)
	}
	return nil
}

func deploySource(t testing.TB, ctx context.Context, c DeployerCase, d incident.SourceDeployer) error {
	got, err := d.DeploySource(ctx, c.Source)
	if err != nil {
		return err
	}
	listed := c.get(t, got.ID)
	if got.ID != c.Newest() || got.Commit != listed.Commit || got.Image != listed.Image {
		t.Errorf("deployment %+v; want %q as it is listed, %+v", got, c.Newest(), listed)
	}
	if got.Commit != c.Source.Commit && c.Source.Commit != "" || got.Image != c.Source.Image && c.Source.Image != "" {
		t.Errorf("deployment %+v; want of %+v", got, c.Source)
	}
	return nil
}
