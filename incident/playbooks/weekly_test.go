package playbooks_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// weekHistory is a history in which a check was down for two hours of Tuesday 4 January
// 2000. The bubbles of the tests begin on Saturday 1 January 2000, and the house stands
// three days later.
func weekHistory(t testing.TB) *health.MemoryHistory {
	var history health.MemoryHistory
	for hour := range 14 * 24 {
		at := time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC).Add(time.Duration(hour) * time.Hour)
		s := health.Sample{Check: "app", Time: at, Status: health.Healthy, Latency: 200 * time.Millisecond, Valid: time.Hour}
		if at.Day() == 4 && at.Hour() >= 10 && at.Hour() < 12 {
			s.Status = health.Unhealthy
		}
		require.NoError(t, history.Append(t.Context(), []health.Sample{s}))
	}
	return &history
}

// Requirement: RB-REPORT-WEEKLY
func TestWeekly(t *testing.T) {
	const report = "Performance of production in the week from"
	// From Tuesday the 4th to Wednesday the 12th: the last whole week is that from the 3rd.
	nextWeek := func(then func(h *deskHouse)) func(h *deskHouse) {
		return func(h *deskHouse) {
			time.Sleep(8 * 24 * time.Hour)
			then(h)
		}
	}
	var sources []playbooks.FigureSource
	playbook := func(h *deskHouse) incident.Playbook {
		return playbooks.Weekly(h.Environment, append(sources, playbooks.HistoryFigures(weekHistory(t), "app"))...)
	}
	routines(t, "as-it-should-be", playbook, map[string]routineCase{
		"the last whole week, traced to samples": {
			world: nextWeek(func(h *deskHouse) { h.measuresRequests(24 * 20) }), letter: report + " Mon 3 Jan 2000 00:00 UTC", says: []string{
				"Until Mon 10 Jan 2000 00:00 UTC",
				"uptime of app: 98.81 % (there is nothing to compare it with), of 7 days from Mon 3 Jan 2000 00:00 UTC to Sun 9 Jan 2000 00:00 UTC: history of check app, by the day",
				"times that app was down: 1 (", "response time of app, 95 of 100: 0.2",
				"requests: 16800 (before: 16800), of 168 samples from Mon 3 Jan 2000", "metrics of the platform, requests",
			},
		},
		"a week before": {
			world: nextWeek(func(h *deskHouse) { time.Sleep(7 * 24 * time.Hour) }), with: map[string]string{"back": "2"}, letter: report + " Mon 3 Jan 2000",
			says: []string{"uptime of app: 98.81 %"},
		},
		"the week after is compared with it": {
			world: nextWeek(func(h *deskHouse) { time.Sleep(7 * 24 * time.Hour) }), letter: report + " Mon 10 Jan 2000",
			says: []string{"uptime of app: 100 % (before: 98.81 %)", "times that app was down: 0 (before: 1)"},
		},
		"the weeks of the people": {
			world: nextWeek(func(h *deskHouse) {
				h.Zone = time.FixedZone("AEDT", 11*60*60)
				h.measuresRequests(24 * 20)
			}), letter: report + " Mon 3 Jan 2000 00:00 AEDT", says: []string{"of 168 samples from Mon 3 Jan 2000 00:00 AEDT"},
		},
		"metrics that cannot be read are named, and the rest is told": {
			world: nextWeek(func(h *deskHouse) { h.platform.Fail("Metrics", errors.New("gateway")) }), letter: report,
			says: []string{"not told: source 1 of figures: gateway", "uptime of app"},
		},
		"without any figure it is a failure": {
			world: func(h *deskHouse) { h.Environment.Metrics = nil }, want: incident.StateFailed, letter: report,
			says: []string{"not told: uptime of app: "}, omits: []string{"uptime of app: 0"}, ends: "no figure can be told of this week",
		},
		"a report that reaches nobody is a failure": {
			world: nextWeek(func(h *deskHouse) { h.deaf = errDeaf }), want: incident.StateFailed,
		},
	})
}

func TestWeeklyNeeds(t *testing.T) {
	t.Parallel()
	isInvalid(t, playbooks.Weekly(playbooks.Environment{Name: "production"}), "Inform", "Metrics, or a source of figures")
}

// A number is reported only if it is said of which samples it was made.
func TestFiguresAreTraced(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	whole := playbooks.Figure{Name: "tasks", Value: 42, Source: "table tasks", Samples: 42, Of: "rows", First: now.Add(-48 * time.Hour), Last: now}
	for name, c := range map[string]struct {
		change func(f *playbooks.Figure)
		says   string
	}{
		"traced":      {func(*playbooks.Figure) {}, "tasks: 42 (before: 42), of 42 rows from"},
		"no source":   {func(f *playbooks.Figure) { f.Source = "" }, "not told: tasks: it is not said of which"},
		"no times":    {func(f *playbooks.Figure) { f.First = time.Time{} }, "not told: tasks: it is not said of which"},
		"no samples":  {func(f *playbooks.Figure) { f.Samples = 0 }, "not told: tasks: there are no samples of it"},
		"not a value": {func(f *playbooks.Figure) { f.Value = math.NaN() }, "not told: tasks: it is no number"},
		"wrong order": {func(f *playbooks.Figure) { f.Last = f.First.Add(-1) }, "not told: tasks: it is not said of which"},
	} {
		t.Run(name, func(t *testing.T) {
			f := whole
			c.change(&f)
			synctest.Test(t, func(t *testing.T) {
				h := newDeskHouse(t)
				h.Environment.Metrics = nil
				run := planned(t, playbooks.Weekly(h.Environment, func(context.Context, time.Time, time.Time) ([]playbooks.Figure, error) {
					return []playbooks.Figure{f}, nil
				}))
				assert.Contains(t, run.Step("report").Effect.Changes[1], c.says)
			})
		})
	}
}

// planned returns the run of a plan.
func planned(t testing.TB, p incident.Playbook) incident.Run {
	t.Helper()
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	defer func() { require.NoError(t, runs.Close(context.WithoutCancel(t.Context()))) }()
	r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore)})
	require.NoError(t, err)
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
	plan, err := r.Plan(t.Context(), incident.Request{Environment: p.Environment, Playbook: p.Name, By: "jane"})
	require.NoError(t, err)
	return plan.Run
}
