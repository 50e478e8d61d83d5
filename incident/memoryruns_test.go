package incident_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

var discardLogs = slog.New(slog.DiscardHandler)

// declined are the cases that the engine in memory cannot pass.
var declined = func() map[string]string {
	list := make(map[string]string)
	for _, name := range []string{
		"restart: what was recorded is returned without a call",
		"restart: a stop waits for the call that is under way",
		"restart: a program is told that its process ends",
		"restart: a sleep keeps its original end",
		"restart: what has ended does not run again",
		"restart: the queue of a lock is kept",
		"restart: a hold is kept",
		"nobody runs: an approval counts, and once though it was sent twice",
		"nobody runs: a deadline that passes expires the wait",
		"nobody runs: a signal after the deadline does not count",
		"nobody runs: a signal before the deadline counts",
		"nobody runs: a run that is started waits for a process",
		"nobody runs: hold and release",
		"nobody runs: cancel",
		"nobody runs: fork",
		"crash: a call with an intent is told of the attempts that were interrupted",
		"crash: a call without an intent is made again",
		"crash: what a killed process returns later is refused",
		"crash: of a group only what has no outcome is made again",
		"crash: what was interrupted can be cancelled and forked",
		"crash: signals and sleeps are kept",
		"two processes: each sees and signals the runs of the other",
		"two processes: hold and cancel reach a run of the other",
		"two processes: a run is replaced once, whoever has it",
		"two processes: a run that is started in both begins once",
		"two processes: runs of one lock never overlap",
		"two processes: of those that refuse, one begins",
		"two processes: the one that lives takes over",
	} {
		list[name] = "needs survival of the process"
	}
	return list
}()

// Requirement: INC-CRASH-CONFORMANCE
func TestMemoryRuns(t *testing.T) {
	incidenttest.TestRuns(t, incidenttest.RunsHarness{
		Run: synctest.Test, Parallel: 4, Declines: declined,
		New: func(t testing.TB, programs map[string]incident.Program) incident.Runs {
			runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{Logger: discardLogs})
			require.NoError(t, runs.Launch(t.Context(), programs))
			t.Cleanup(func() { assert.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) })
			return runs
		},
	})
}

// TestSurvivor shows the cases that need survival on the same engine, with records that
// are handed from one to the next.
func TestSurvivor(t *testing.T) {
	incidenttest.TestRuns(t, survivorHarness(runsMistake{}))
}

// survivorHarness is that of an engine that survives, with a mistake.
func survivorHarness(wrong runsMistake) incidenttest.RunsHarness {
	records := func(t testing.TB, programs map[string]incident.Program) incidenttest.RunsRecords {
		s := &incident.Survivor{
			Programs: wrong.programs(programs), Config: incident.MemoryRunsConfig{Logger: discardLogs}, Change: wrong.change, Zombies: wrong.zombies,
		}
		return incidenttest.RunsRecords{
			Client: func(testing.TB) incident.Runs { return wrong.wrap(s.Runs()) },
			Start: func(t testing.TB) incidenttest.RunsProcess {
				runs, err := s.Launch(t.Context())
				require.NoError(t, err)
				closed := func() { assert.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) }
				t.Cleanup(closed)
				stop := func() {
					if !wrong.hasty {
						closed()
					}
					s.Abandon()
				}
				return incidenttest.RunsProcess{Runs: wrong.wrap(runs), Kill: s.Abandon, Stop: stop}
			},
		}
	}
	return incidenttest.RunsHarness{
		Run: synctest.Test, Parallel: 4, Records: records,
		New: func(t testing.TB, programs map[string]incident.Program) incident.Runs {
			return records(t, programs).Start(t).Runs
		},
		Declines: map[string]string{
			"two processes: the one that lives takes over": "needs two processes that are really two",
		},
	}
}
