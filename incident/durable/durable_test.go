package durable_test

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"
)

// A place is where runs are kept, for as long as a test.
type place struct {
	file, url string
}

func (p place) config(t testing.TB) durable.Config {
	t.Helper()
	cfg := durable.Config{Host: "test", Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if p.url != "" {
		cfg.URL = runbook.NewSecret(p.url)
		return cfg
	}
	db, err := sqlitefile.Open(t.Context(), p.file)
	require.NoError(t, err)
	cfg.DB = db
	return cfg
}

func (p place) open(t testing.TB) *durable.Runs {
	t.Helper()
	runs, err := durable.Open(t.Context(), p.config(t))
	require.NoError(t, err)
	t.Cleanup(func() { closeRuns(t, runs) })
	return runs
}

func closeRuns(t testing.TB, runs *durable.Runs) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	if err := runs.Close(ctx); err != nil {
		t.Log(err)
	}
}

func (p place) launch(t testing.TB, programs map[string]incident.Program) *durable.Runs {
	t.Helper()
	runs := p.open(t)
	require.NoError(t, runs.Launch(t.Context(), programs))
	return runs
}

func newFile(t testing.TB) place { return place{file: filepath.Join(t.TempDir(), "runs.db")} }

func newPostgres(t testing.TB) place {
	return place{url: sqltest.PostgresDatabase(t, services.Need(t, services.PostgresURL))}
}

// places runs a test on both databases.
func places(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); test(t, newFile(t)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); test(t, newPostgres(t)) })
}

// Every engine passes the same suite. A file has one process at a time, so that the cases
// of two cannot be had with it.
//
// Requirement: INC-CRASH-CONFORMANCE, INC-CRASH-SLEEP, INC-CRASH-APPROVAL
func TestRuns(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		var mu sync.Mutex
		var runs *durable.Runs
		h := incidenttest.RunsHarness{
			New: func(_ testing.TB, programs map[string]incident.Program) incident.Runs {
				mu.Lock()
				defer mu.Unlock()
				if runs == nil {
					runs = p.launch(t, programs)
				}
				return runs
			},
			Records: func(t testing.TB, programs map[string]incident.Program) incidenttest.RunsRecords {
				if p.url != "" {
					return postgresRecords(t, programs)
				}
				return fileRecords(t, programs)
			},
			Parallel: 8,
		}
		if p.url != "" {
			h.Parallel = 3 // a server has about 100 connections
		}
		if p.file != "" {
			h.Declines = make(map[string]string)
			for _, name := range []string{
				"each sees and signals the runs of the other", "hold and cancel reach a run of the other", "a run is replaced once, whoever has it",
				"a run that is started in both begins once", "runs of one lock never overlap",
				"of those that refuse, one begins", "the one that lives takes over",
			} {
				h.Declines["two processes: "+name] = "a file has one process at a time"
			}
		}
		incidenttest.TestRuns(t, h)
	})
}

func postgresRecords(t testing.TB, programs map[string]incident.Program) incidenttest.RunsRecords {
	p := newPostgres(t)
	return incidenttest.RunsRecords{
		Start: func(t testing.TB) incidenttest.RunsProcess {
			cfg := p.config(t)
			cfg.DeadAfter = 300 * time.Millisecond
			runs, err := durable.Open(t.Context(), cfg)
			require.NoError(t, err)
			require.NoError(t, runs.Launch(t.Context(), programs))
			return living(t, runs, func() {})
		},
		Client: func(t testing.TB) incident.Runs { return p.open(t) },
	}
}

func fileRecords(t testing.TB, programs map[string]incident.Program) incidenttest.RunsRecords {
	p := newFile(t)
	var current *durable.Runs // nil if nobody has the file
	return incidenttest.RunsRecords{
		Start: func(t testing.TB) incidenttest.RunsProcess {
			if current == nil {
				current = p.open(t)
			}
			runs := current
			require.NoError(t, runs.Launch(t.Context(), programs))
			return living(t, runs, func() { current = nil })
		},
		Client: func(t testing.TB) incident.Runs {
			if current == nil {
				current = p.open(t)
			}
			return current
		},
	}
}

// living stands for a process.
func living(t testing.TB, runs *durable.Runs, gone func()) incidenttest.RunsProcess {
	var once sync.Once
	end := func(how func()) func() { return func() { once.Do(func() { how(); gone() }) } }
	p := incidenttest.RunsProcess{Runs: runs, Stop: end(func() { closeRuns(t, runs) }), Kill: end(runs.Die)}
	t.Cleanup(p.Stop)
	return p
}
