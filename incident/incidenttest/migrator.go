package incidenttest

import (
	"context"
	"strings"
	"testing"
	"unicode"

	"go.acu.edu.au/runbook/incident"
)

// MigratorCase is a database whose schema is older than the application, for one
// test.
type MigratorCase struct {
	Faults
	// Migrator is the implementation.
	Migrator incident.Migrator
	// Schema returns the version of the schema, as the database knows it.
	Schema func() string
	// Spoil makes migrations fail from now on. Nil declines.
	Spoil func()
}

// MigratorHarness is what [TestMigrator] needs of an implementation.
type MigratorHarness struct {
	// New returns a fresh database.
	New func(t testing.TB) MigratorCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestMigrator checks what [incident.Migrator] asks of an implementation.
func TestMigrator(t *testing.T, h MigratorHarness) {
	t.Run("migrate", func(t *testing.T) {
		testChange(t, h.Run, h.New, func(t testing.TB, ctx context.Context, c MigratorCase) error {
			from := c.Schema()
			m, err := c.Migrator.Migrate(ctx)
			if err != nil {
				return err
			}
			if !m.Succeeded || c.Schema() == from || m.From != "" && m.From != from || m.To != "" && m.To != c.Schema() {
				t.Errorf("migration %+v; want it from %q to %q", m, from, c.Schema())
			}
			printed(t, m)
			return nil
		})
	})
	h.Run.sub(t, "a failure is a result", func(t *testing.T) {
		c := h.New(t)
		if c.Spoil == nil {
			t.Skip("declined")
		}
		c.Spoil()
		m, err := c.Migrator.Migrate(t.Context())
		if err != nil || m.Succeeded {
			t.Errorf("migration %+v, error %v; want one that failed", m, err)
		}
		printed(t, m)
	})
}

func printed(t testing.TB, m incident.Migration) {
	t.Helper()
	if len(m.Output) > 100 || strings.ContainsFunc(strings.Join(m.Output, ""), unicode.IsControl) {
		t.Errorf("%d lines of output, %q; want at most 100, without control characters", len(m.Output), m.Output)
	}
}
