package incidenttest

import (
	"context"
	"slices"
	"testing"

	"go.acu.edu.au/runbook/incident"
)

// BackupsCase is a service with data and backups, for one test.
type BackupsCase struct {
	Faults
	// Backups is the implementation. If it implements BackupRestorer, that is
	// tested too.
	Backups incident.Backups
	// Three are the IDs of the backups that there are, the newest first; each has
	// other data in it.
	Three [3]string
	// Missing is one that there is none of.
	Missing string
	// Data returns what the data is now, and Holds what a backup has in it, as the
	// platform knows it.
	Data  func() string
	Holds func(id string) string
	// DeletesNewer says that a restore deletes the newer backups.
	DeletesNewer bool
}

// BackupsHarness is what [TestBackups] needs of an implementation.
type BackupsHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) BackupsCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestBackups checks what [incident.Backups] and [incident.BackupRestorer] ask of an
// implementation.
func TestBackups(t *testing.T, h BackupsHarness) {
	h.Run.sub(t, "list", func(t *testing.T) {
		c := h.New(t)
		list := c.list(t)
		if !slices.Equal(ids(list), c.Three[:]) {
			t.Errorf("backups %+v; want %q, the newest first", list, c.Three)
		}
		for _, b := range list {
			if b.Created.IsZero() {
				t.Errorf("backup %+v has no time", b)
			}
		}
	})
	t.Run("create", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c BackupsCase) error {
			b, err := c.Backups.CreateBackup(ctx, "before the work")
			if err != nil {
				return err
			}
			if list := c.list(t); len(list) != 4 || b != list[0] || b.Name != "before the work" || c.Holds(b.ID) != c.Data() {
				t.Errorf("backup %+v; want the newest of the list, with the data of now: %+v", b, list)
			}
			return nil
		})
	})
	h.Run.sub(t, "create again", func(t *testing.T) {
		c := h.New(t)
		first, err := c.Backups.CreateBackup(t.Context(), "once")
		if err != nil {
			t.Fatal(err)
		}
		if again, err := c.Backups.CreateBackup(t.Context(), "once"); err != nil || again.ID != first.ID {
			t.Errorf("backup %+v, error %v; want the one of that name, %+v", again, err, first)
		}
		if _, err := c.Backups.CreateBackup(t.Context(), ""); err == nil {
			t.Error("a backup without a name was made")
		}
		effects(t, c.Faults, 1)
	})
	h.Run.sub(t, "plan", func(t *testing.T) { testPlanRestore(t, h.New(t)) })
	t.Run("restore", func(t *testing.T) { testChange(t, h.Run, h.New, restoreBackup) })
	h.Run.sub(t, "stale plans", func(t *testing.T) { testStaleRestore(t, h.New(t)) })
}

// restorer returns the implementation as a BackupRestorer, or skips the test.
func (c BackupsCase) restorer(t testing.TB) incident.BackupRestorer {
	t.Helper()
	r, ok := c.Backups.(incident.BackupRestorer)
	if !ok {
		t.Skip("declined")
	}
	return r
}

func ids(list []incident.Backup) (ids []string) {
	for _, b := range list {
		ids = append(ids, b.ID)
	}
	return ids
}

func (c BackupsCase) list(t testing.TB) []incident.Backup {
	t.Helper()
	list, err := c.Backups.Backups(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func (c BackupsCase) plan(t testing.TB, id string) incident.RestorePlan {
	t.Helper()
	p, err := c.restorer(t).PlanRestore(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func testPlanRestore(t *testing.T, c BackupsCase) {
	before := c.Data()
	for i, id := range c.Three {
		p := c.plan(t, id)
		if p.Backup.ID != id || p.Target == "" || len(p.Destroys) == 0 {
			t.Errorf("plan %+v; want the backup, what is overwritten, and what is lost", p)
		}
		if want := c.Three[:i]; c.DeletesNewer && !slices.Equal(ids(p.Deletes), want) {
			t.Errorf("the plan deletes %q; want %q, which are newer", ids(p.Deletes), want)
		}
		if again := c.plan(t, id); !p.Same(again) {
			t.Errorf("the plan is %+v, then %+v, and nothing was changed", p, again)
		}
	}
	_, err := c.restorer(t).PlanRestore(t.Context(), c.Missing)
	wants(t, err, incident.ErrNotFound)
	if c.Data() != before {
		t.Error("planning changed the data")
	}
	effects(t, c.Faults, 0)
}

// restoreBackup restores the oldest backup.
func restoreBackup(t testing.TB, ctx context.Context, c BackupsCase) error {
	// Planned by another context, and while the platform still answers, if it does.
	r := c.restorer(t)
	want := c.Holds(c.Three[2])
	p, err := r.PlanRestore(context.WithoutCancel(ctx), c.Three[2])
	if err != nil {
		return err
	}
	got, err := r.RestoreBackup(ctx, p)
	if err != nil {
		return err
	}
	if got.Backup.ID != c.Three[2] || c.Data() != want {
		t.Errorf("restored %+v, the data is %q; want that of %q", got, c.Data(), c.Three[2])
	}
	var left []string
	for _, id := range c.Three {
		if !slices.Contains(ids(got.Deleted), id) {
			left = append(left, id)
		}
	}
	if list := ids(c.list(t)); !slices.Equal(list, left) {
		t.Errorf("backups %q are left; the answer says %q", list, left)
	}
	return nil
}

func testStaleRestore(t *testing.T, c BackupsCase) {
	r := c.restorer(t)
	p := c.plan(t, c.Three[1])
	missing := p
	missing.Backup.ID = c.Missing
	_, err := r.RestoreBackup(t.Context(), missing)
	wants(t, err, incident.ErrNotFound)
	hidden := p
	hidden.Deletes, hidden.Destroys = nil, nil
	_, err = r.RestoreBackup(t.Context(), hidden) // nobody has approved what it destroys
	wants(t, err, incident.ErrStale)
	effects(t, c.Faults, 0)
	if !c.DeletesNewer {
		return
	}
	if _, err := c.Backups.CreateBackup(t.Context(), "one more to lose"); err != nil {
		t.Fatal(err)
	}
	before := c.Data()
	_, err = r.RestoreBackup(t.Context(), p)
	wants(t, err, incident.ErrStale)
	if c.Data() != before || len(c.list(t)) != 4 {
		t.Error("a stale plan was carried out")
	}
	effects(t, c.Faults, 1) // the backup
}
