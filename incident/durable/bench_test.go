package durable_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/internal/services"
	"go.acu.edu.au/runbook/internal/sqlmigrate/sqltest"

	"github.com/jackc/pgx/v5/pgxpool"
)

func databases(b *testing.B, bench func(b *testing.B, p place)) {
	b.Run("sqlite", func(b *testing.B) { bench(b, newFile(b)) })
	b.Run("postgres", func(b *testing.B) { bench(b, newPostgres(b)) })
}

// A check must cost at most 1.3 times, and an action with an intent at most 1.8 times
// what a step of DBOS costs by itself, in the same database.
func BenchmarkStep(b *testing.B) {
	databases(b, func(b *testing.B, p place) {
		b.Run("dbos", func(b *testing.B) { bareSteps(b, p) })
		b.Run("check", func(b *testing.B) { steps(b, p, false) })
		b.Run("action", func(b *testing.B) { steps(b, p, true) })
	})
}

func steps(b *testing.B, p place, intent bool) {
	call := done("")
	call.Intent = intent
	over := make(chan struct{})
	runs := p.launch(b, program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
		defer close(over)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			call.ID = incident.StepID(fmt.Sprint(i))
			if _, err := e.Steps(ctx, []incident.Call{call}); err != nil {
				b.Error(err)
				break
			}
		}
		b.StopTimer()
		return nil, nil
	}))
	id := fmt.Sprintf("%v-%d-%d", intent, b.N, time.Now().UnixNano())
	start(b, runs, incident.RunStart{ID: id})
	<-over
	ends(b, runs, id)
	closeRuns(b, runs)
}

// bareSteps is DBOS as it comes, with our handle of SQLite.
func bareSteps(b *testing.B, p place) {
	cfg := dbos.Config{AppName: "bench", ApplicationVersion: "1", ExecutorID: "1", Logger: slog.New(slog.DiscardHandler)}
	if p.file != "" {
		db, err := sqlitefile.Open(b.Context(), p.file+".bare")
		require.NoError(b, err)
		cfg.SQLiteSystemDB = db
	} else {
		pool, err := pgxpool.New(b.Context(), p.url)
		require.NoError(b, err)
		cfg.SystemDBPool, cfg.DatabaseSchema = pool, "bare"
	}
	ctx, err := dbos.NewContext(b.Context(), cfg)
	require.NoError(b, err)
	over := make(chan struct{})
	work := func(ctx dbos.Context, n int) (string, error) {
		defer close(over)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range n {
			_, err := dbos.RunAsStep(ctx, func(context.Context) (incident.RunEntry, error) {
				return incident.RunEntry{Outcome: &incident.Outcome{Status: incident.Done, Process: "process", Began: time.Now(), Ended: time.Now()}}, nil
			}, dbos.WithStepName(fmt.Sprint(i)))
			if err != nil {
				b.Error(err)
				break
			}
		}
		b.StopTimer()
		return "", nil
	}
	dbos.RegisterWorkflow(ctx, work)
	require.NoError(b, dbos.Launch(ctx))
	_, err = dbos.RunWorkflow(ctx, work, b.N)
	require.NoError(b, err)
	<-over
	require.NoError(b, dbos.Shutdown(ctx, 5*time.Second))
}

// A run that waits should cost less than 50 kB and no measurable CPU: 1,000 of them less
// than a tenth of a core.
func BenchmarkWaiting(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			databases(b, func(b *testing.B, p place) {
				for range b.N {
					wait(b, p, n)
				}
			})
		})
	}
}

func wait(b *testing.B, p place, n int) {
	runs := p.launch(b, awaits())
	before := memory()
	prefix := fmt.Sprintf("r%d-", time.Now().UnixNano())
	for i := range n {
		start(b, runs, incident.RunStart{ID: fmt.Sprint(prefix, i)})
	}
	for i := range n {
		until(b, runs, fmt.Sprint(prefix, i), waiting)
	}
	b.ReportMetric(float64(memory()-before)/float64(n), "B/run")
	cpu, began := used(), time.Now()
	time.Sleep(5 * time.Second)
	b.ReportMetric(float64(used()-cpu)/float64(time.Since(began))*100, "%core")
	closeRuns(b, runs)
}

func memory() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// From an approval to the next call: less than 100 ms on PostgreSQL, where it comes from
// another process, and less than 1.2 s on SQLite.
func BenchmarkApproval(b *testing.B) {
	databases(b, func(b *testing.B, p place) {
		next := make(chan struct{})
		programs := program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (any, error) {
			for i := range b.N {
				if _, err := e.Await(ctx, incident.StepID(fmt.Sprint(i)), "approval", time.Time{}); err != nil {
					return nil, err
				}
				next <- struct{}{}
			}
			return nil, nil
		})
		runs := p.launch(b, programs)
		sender := runs
		if p.url != "" {
			sender = p.open(b)
		}
		id := fmt.Sprintf("r%d", time.Now().UnixNano())
		start(b, runs, incident.RunStart{ID: id})
		b.ResetTimer()
		for i := range b.N {
			b.StopTimer()
			until(b, sender, id, func(r incident.RunRecord) bool { return len(r.Waits) == 1 && len(r.Entries) == i })
			b.StartTimer()
			require.NoError(b, sender.Signal(b.Context(), id, "approval", incident.Signal{ID: fmt.Sprint(i)}))
			<-next
		}
		b.StopTimer()
		ends(b, sender, id)
		closeRuns(b, sender)
		closeRuns(b, runs)
	})
}

// From kill -9 of a process to the first call of its run in another, which is the one that
// was under way: less than 5 s.
func BenchmarkTakeover(b *testing.B) {
	p := place{url: sqltest.PostgresDatabase(b, services.Need(b, services.PostgresURL))}
	k := p.task(b)
	k.Steps, k.Slow = 3, time.Minute
	runs, err := durable.Open(b.Context(), p.config(b))
	require.NoError(b, err)
	called := make(chan string, 10)
	require.NoError(b, runs.Launch(b.Context(), map[string]incident.Program{"work": func(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
		_, err := e.Steps(ctx, []incident.Call{{ID: "000", Intent: true, Do: func(context.Context, []incident.Attempt) incident.Outcome {
			called <- run.ID
			return incident.Outcome{Status: incident.Done}
		}}})
		return nil, err
	}}))
	b.StopTimer()
	b.ResetTimer()
	for i := range b.N {
		k.Start = nil
		other := k.begin(b).wait()
		// The other has the run, if we did not take it from the queue first.
		id := fmt.Sprintf("work-%d", i)
		for try := 0; ; try++ {
			run := (&killed{task: k}).start(fmt.Sprintf("%s-%d", id, try))
			_, err := runs.Start(b.Context(), run)
			require.NoError(b, err)
			r := until(b, runs, run.ID, func(r incident.RunRecord) bool { return len(r.Open) > 0 || r.Status.Ended() })
			if r.Process == other.name {
				id = run.ID
				break
			}
			<-called
		}
		b.StartTimer()
		require.NoError(b, other.cmd.Process.Kill())
		require.Equal(b, id, <-called)
		b.StopTimer()
		other.died()
	}
	closeRuns(b, runs)
}
