package incident_test

import (
	"encoding/json"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/calendar"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// Requirement: INC-FEATURE-METRICS, INC-METRIC-WAIT
func TestFigures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{SLAs: times})
		ctx, m := t.Context(), c.manager
		began := time.Now()
		// Ten incidents that take 1 to 10 minutes to acknowledge, twice that to mitigate, and
		// three times that to resolve.
		for i := 1; i <= 10; i++ {
			step := time.Duration(i) * time.Minute
			inc := c.open(t, alert.Critical)
			time.Sleep(step)
			_, err := m.Acknowledge(ctx, inc.ID, incident.Ack{By: "ben"})
			require.NoError(t, err)
			time.Sleep(step)
			_, err = m.Mitigate(ctx, inc.ID, "ben", "")
			require.NoError(t, err)
			time.Sleep(step)
			_, err = m.Resolve(ctx, inc.ID, incident.Resolution{By: "ben"})
			require.NoError(t, err)
		}
		// One that is late, called two levels, waited for approval, and was reopened.
		late := c.open(t, alert.Critical)
		require.NoError(t, m.Escalated(ctx, late.ID, 1, []string{"ben"}, ""))
		require.NoError(t, m.Escalated(ctx, late.ID, 2, []string{"eve"}, ""))
		time.Sleep(20 * time.Minute)
		_, err := m.Acknowledge(ctx, late.ID, incident.Ack{By: "eve"})
		require.NoError(t, err)
		waited(t, c.store, late.ID, 90*time.Second)
		waited(t, c.store, late.ID, 30*time.Second)
		_, err = m.Resolve(ctx, late.ID, incident.Resolution{By: "eve"})
		require.NoError(t, err)
		time.Sleep(40 * time.Minute)
		_, err = m.Reopen(ctx, late.ID, "eve", "again")
		require.NoError(t, err)
		time.Sleep(20 * time.Minute)
		_, err = m.Resolve(ctx, late.ID, incident.Resolution{By: "eve"})
		require.NoError(t, err)
		// One of another severity, whose times are its own.
		high := c.open(t, alert.High)
		time.Sleep(3 * time.Minute)
		_, err = m.Acknowledge(ctx, high.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		time.Sleep(4 * time.Minute)
		_, err = m.Resolve(ctx, high.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		// One that goes on, one that was none, and an exercise.
		c.open(t, alert.Critical)
		none := c.open(t, alert.Critical)
		_, err = m.Cancel(ctx, none.ID, "ben", "a test")
		require.NoError(t, err)
		drill, err := m.Open(ctx, incident.Opening{By: "ana", Title: "a drill", Severity: alert.Critical, Simulated: true})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		_, err = m.Acknowledge(ctx, drill.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)

		got, err := m.Figures(ctx, incident.FigureQuery{From: began})
		require.NoError(t, err)
		minutes := func(n float64) time.Duration { return time.Duration(n * float64(time.Minute)) }
		require.Len(t, got.Severities, 2)
		f, second := got.Severities[0], got.Severities[1]
		assert.Equal(t, []alert.Severity{alert.Critical, alert.High}, []alert.Severity{f.Severity, second.Severity})
		assert.Equal(t, 1, second.Incidents)
		assert.Equal(t, incident.Spread{Count: 1, Mean: minutes(3), P50: minutes(3), P90: minutes(3)}, second.Times.Acknowledge)
		assert.Equal(t, incident.Spread{Count: 1, Mean: minutes(7), P50: minutes(7), P90: minutes(7)}, second.Times.Resolve)
		assert.Equal(t, incident.Attainment{Kept: 1}, second.Attainment[incident.ClockAcknowledge])
		assert.Equal(t, 12, f.Incidents)
		assert.Equal(t, 1, f.Open)
		assert.Equal(t, 1, f.Cancelled)
		assert.Equal(t, 1, f.Reopened)
		assert.Equal(t, incident.Spread{Count: 11, Mean: (minutes(75) / 11).Round(time.Second), P50: minutes(6), P90: minutes(10)}, f.Times.Acknowledge)
		assert.Equal(t, incident.Spread{Count: 11, Mean: (minutes(110+80) / 11).Round(time.Second), P50: minutes(12), P90: minutes(20)}, f.Times.Mitigate, "until it was so for good")
		assert.Equal(t, incident.Spread{Count: 11, Mean: (minutes(165+80) / 11).Round(time.Second), P50: minutes(18), P90: minutes(30)}, f.Times.Resolve)
		assert.Nil(t, f.Business, "the times run around the clock")
		assert.Equal(t, incident.Spread{Count: 1, Mean: minutes(2), P50: minutes(2), P90: minutes(2)}, f.Waited, "apart from the others, in which it is contained")
		assert.Equal(t, 1, f.Escalated)
		assert.Equal(t, 2, f.Escalations)
		ack := f.Attainment[incident.ClockAcknowledge]
		assert.Equal(t, incident.Attainment{Kept: 10, Missed: 1, Running: 1, Breaches: 2}, ack, "after it was reopened nobody said that they took care, until it was over; before it was late too")
		assert.InDelta(t, 10.0/11, ack.Share(), 1e-9)
		assert.Equal(t, 1.0, incident.Attainment{Running: 3}.Share())

		require.Len(t, got.Exercises, 1, "exercises are counted apart")
		assert.Equal(t, 1, got.Exercises[0].Incidents)
		assert.Equal(t, minutes(1), got.Exercises[0].Times.Acknowledge.Mean)

		text, err := json.Marshal(got)
		require.NoError(t, err)
		assert.Contains(t, string(text), `"acknowledge":{"count":11,"mean":"6m49s","p50":"6m0s","p90":"10m0s"}`)

		// What was triggered before or after is not counted, nor that of other environments.
		for _, q := range []incident.FigureQuery{{From: time.Now()}, {From: began.Add(-time.Hour), To: began}, {From: began, Environment: "test"}} {
			time.Sleep(time.Second)
			got, err := m.Figures(ctx, q)
			require.NoError(t, err)
			assert.Empty(t, got.Severities)
		}
		_, err = m.Figures(ctx, incident.FigureQuery{})
		assert.Error(t, err)
	})
}

// waited puts on a timeline what a run of a playbook does when it was answered.
func waited(t testing.TB, store incident.Store, id string, d time.Duration) {
	t.Helper()
	for _, e := range []incident.Entry{
		{Kind: string(incident.EventAsked), Text: "May it go on?"},
		{Kind: string(incident.EventDecided), Actor: "eve", Text: "May it go on?: approve by eve", Data: json.RawMessage(`{"answer":"approve","waited":` + mustJSON(t, d.Seconds()) + `}`)},
	} {
		e.Chain, e.At = "incident/"+id, time.Now()
		_, err := store.Commit(t.Context(), incident.Change{Entries: []incident.Entry{e}})
		require.NoError(t, err)
	}
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// The times of low incidents are counted in working time as well.
func TestFiguresInBusinessTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		office, err := calendar.New(calendar.Config{Region: calendar.NSW, Open: health.At(9, 0), Close: health.At(17, 0)})
		require.NoError(t, err)
		friday := in(t, "2000-01-07 16:00")
		time.Sleep(time.Until(friday))
		c := newCase(t, incident.ManagerConfig{SLAs: incident.DefaultSLAs(office)})
		inc := c.open(t, alert.Low)
		assert.Equal(t, in(t, "2000-01-10 17:00").UTC(), clock(t, inc, incident.ClockAcknowledge).Due)
		time.Sleep(time.Until(in(t, "2000-01-10 11:00")))
		_, err = c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		var marks []string
		for _, e := range c.timeline(t, inc.ID) {
			if e.Kind == "clock" {
				marks = append(marks, e.At.In(friday.Location()).Format("Mon 15:04"))
			}
		}
		assert.Empty(t, marks, "three hours of nine have passed")
		got, err := c.manager.Figures(t.Context(), incident.FigureQuery{From: friday})
		require.NoError(t, err)
		i := slices.IndexFunc(got.Severities, func(f incident.SeverityFigures) bool { return f.Severity == alert.Low })
		require.GreaterOrEqual(t, i, 0)
		want := incident.Spread{Count: 1, Mean: 3 * time.Hour, P50: 3 * time.Hour, P90: 3 * time.Hour}
		assert.Empty(t, cmp.Diff(want, got.Severities[i].Business.Acknowledge))
		assert.Equal(t, 67*time.Hour, got.Severities[i].Times.Acknowledge.Mean, "by the clock on the wall")
	})
}

// Half of a time in working hours passes in working hours.
func TestMarksOfBusinessTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		office := officeHours(t)
		friday := in(t, "2000-01-07 16:00")
		time.Sleep(time.Until(friday))
		c := newCase(t, incident.ManagerConfig{SLAs: map[alert.Severity]incident.SLA{alert.Low: {Resolve: 10 * time.Hour, Calendar: office}}})
		inc := c.open(t, alert.Low)
		time.Sleep(7 * 24 * time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		var marks []string
		for _, e := range c.timeline(t, inc.ID) {
			if e.Kind == "clock" {
				marks = append(marks, e.At.In(friday.Location()).Format("Mon 15:04"))
			}
		}
		assert.Equal(t, []string{"Mon 13:00", "Mon 16:00", "Tue 10:00"}, marks)
	})
}
