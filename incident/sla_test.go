package incident_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/calendar"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

var _ incident.Calendar = (*calendar.Calendar)(nil)

// officeHours returns the business days of New South Wales, from nine to five.
func officeHours(t testing.TB, days ...calendar.Day) *calendar.Calendar {
	t.Helper()
	c, err := calendar.New(calendar.Config{Region: calendar.NSW, Days: days})
	require.NoError(t, err)
	return c
}

// in returns a time in Sydney.
func in(t testing.TB, text string) time.Time {
	t.Helper()
	zone, err := health.LoadZone("Australia/Sydney")
	require.NoError(t, err)
	at, err := time.ParseInLocation("2006-01-02 15:04", text, zone)
	require.NoError(t, err)
	return at
}

func TestDefaultSLAs(t *testing.T) {
	t.Parallel()
	business := officeHours(t)
	slas := incident.DefaultSLAs(business)
	assert.Equal(t, incident.SLA{Acknowledge: 15 * time.Minute}, slas[alert.Critical], "at any hour: no calendar")
	assert.Equal(t, incident.SLA{Acknowledge: 30 * time.Minute}, slas[alert.High])
	assert.Equal(t, incident.SLA{Acknowledge: 2 * time.Hour}, slas[alert.Medium])
	assert.Equal(t, incident.SLA{Acknowledge: incident.NextBusinessDay, Calendar: business}, slas[alert.Low])
	for s, sla := range slas {
		assert.NoError(t, sla.Validate(), s)
	}
	assert.Error(t, incident.SLA{Resolve: -2}.Validate())
}

// Requirement: RB-SEV-LEVELS, RB-SEV1, RB-SEV2, RB-SEV3, RB-SEV4
func TestSeverityGuides(t *testing.T) {
	t.Parallel()
	guides := incident.SeverityGuides()
	slas := incident.DefaultSLAs(nil)
	require.Len(t, guides, 4)
	for i, g := range guides {
		assert.Equal(t, alert.Severity(i+1), g.Severity)
		assert.NotEmpty(t, g.Description)
		assert.NotEmpty(t, g.Response)
		assert.GreaterOrEqual(t, len(g.Examples), 3, "examples from which an incident gets its severity")
		assert.NotZero(t, slas[g.Severity].Acknowledge)
	}
	triggered := time.Date(2026, 3, 7, 2, 0, 0, 0, time.UTC) // a Saturday, at night
	for severity, want := range map[alert.Severity]time.Duration{alert.Critical: 15 * time.Minute, alert.High: 30 * time.Minute, alert.Medium: 2 * time.Hour} {
		assert.Equal(t, triggered.Add(want), acknowledgeBy(t, slas[severity], triggered), severity)
	}
}

// Requirement: INC-SLA-UNSURE
func TestWorseSeverity(t *testing.T) {
	t.Parallel()
	assert.Equal(t, alert.High, incident.WorseSeverity(alert.Medium, alert.High, alert.Low))
	assert.Equal(t, alert.Low, incident.WorseSeverity(0, alert.Low, 9))
	assert.Equal(t, alert.Critical, incident.WorseSeverity(), "who knows nothing takes the worst")

	// That it was not so bad is known later, and an entry of the timeline.
	in := newCase(t, incident.ManagerConfig{})
	inc := in.open(t, incident.WorseSeverity(alert.High, alert.Low))
	_, err := in.manager.SetSeverity(t.Context(), inc.ID, alert.Low, "ana", "one user only")
	require.NoError(t, err)
	assert.Contains(t, in.texts(t, inc.ID), "the severity is low, and was high: one user only")
}

// acknowledgeBy returns when an incident has to be acknowledged.
func acknowledgeBy(t testing.TB, sla incident.SLA, triggered time.Time) time.Time {
	t.Helper()
	due, err := sla.AcknowledgeBy(triggered)
	require.NoError(t, err)
	return due
}

// Requirement: INC-SLA-BUSINESS-DAY
func TestNextBusinessDay(t *testing.T) {
	t.Parallel()
	business := officeHours(t,
		calendar.Day{Date: "2026-02-12", Name: "Lunch for all", From: health.At(12, 0), To: health.At(14, 0)},
		calendar.Day{Date: "2026-02-20", Name: "Early close", From: health.At(13, 0), To: health.At(17, 0)},
		calendar.Day{Date: "2026-02-21", Name: "Saturday work", Working: true},
	)
	for name, c := range map[string]struct {
		triggered, due string
		early          string // with EarlyIsToday; empty means the same
	}{
		"while people work":                {triggered: "2026-02-10 10:00", due: "2026-02-11 17:00"},
		"at the opening":                   {triggered: "2026-02-10 09:00", due: "2026-02-11 17:00"},
		"before the opening":               {triggered: "2026-02-10 07:00", due: "2026-02-10 17:00", early: "2026-02-11 17:00"},
		"after midnight":                   {triggered: "2026-02-10 00:30", due: "2026-02-10 17:00", early: "2026-02-11 17:00"},
		"before midnight":                  {triggered: "2026-02-09 23:30", due: "2026-02-10 17:00"},
		"at the close":                     {triggered: "2026-02-10 17:00", due: "2026-02-11 17:00"},
		"Friday afternoon":                 {triggered: "2026-02-06 16:59", due: "2026-02-09 17:00"},
		"Saturday":                         {triggered: "2026-02-07 12:00", due: "2026-02-09 17:00"},
		"Monday before the opening":        {triggered: "2026-02-09 08:59", due: "2026-02-09 17:00", early: "2026-02-10 17:00"},
		"a holiday":                        {triggered: "2026-01-26 12:00", due: "2026-01-27 17:00"},
		"before a holiday":                 {triggered: "2026-01-23 12:00", due: "2026-01-27 17:00"},
		"Easter":                           {triggered: "2026-04-02 18:00", due: "2026-04-07 17:00"},
		"while it is closed for lunch":     {triggered: "2026-02-12 13:00", due: "2026-02-13 17:00"},
		"the next one closes early":        {triggered: "2026-02-19 12:00", due: "2026-02-20 13:00"},
		"a Saturday on which people work":  {triggered: "2026-02-20 14:00", due: "2026-02-21 17:00"},
		"before the opening of that day":   {triggered: "2026-02-21 06:00", due: "2026-02-21 17:00", early: "2026-02-23 17:00"},
		"the night when clocks are put on": {triggered: "2026-10-04 04:00", due: "2026-10-06 17:00"}, // Monday is Labour Day
	} {
		t.Run(name, func(t *testing.T) {
			sla := incident.SLA{Acknowledge: incident.NextBusinessDay, Calendar: business}
			assert.Equal(t, in(t, c.due).UTC(), acknowledgeBy(t, sla, in(t, c.triggered)))
			sla.EarlyIsToday = true
			if c.early == "" {
				c.early = c.due
			}
			assert.Equal(t, in(t, c.early).UTC(), acknowledgeBy(t, sla, in(t, c.triggered)), "an incident before the opening counts as one of that day")
		})
	}
	t.Run("without a calendar", func(t *testing.T) {
		sla := incident.SLA{Acknowledge: incident.NextBusinessDay}
		assert.Equal(t, time.Date(2026, 3, 9, 0, 0, 0, 0, time.UTC), acknowledgeBy(t, sla, time.Date(2026, 3, 7, 15, 0, 0, 0, time.UTC)), "every day is one, of UTC")
	})
}

// Requirement: INC-SLA-DST
func TestSLADaylightSaving(t *testing.T) {
	t.Parallel()
	around, err := calendar.New(calendar.Config{
		Region: calendar.NSW, Open: health.At(0, 0), Close: health.At(24, 0),
		Weekdays: []time.Weekday{time.Sunday, time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday, time.Saturday},
	})
	require.NoError(t, err)
	office := officeHours(t)
	for name, c := range map[string]struct {
		calendar       incident.Calendar
		limit          time.Duration
		triggered, due string
	}{
		"office hours before and after clocks are put on":   {office, 8 * time.Hour, "2026-10-02 13:00", "2026-10-06 13:00"},
		"office hours before and after clocks are put back": {office, 8 * time.Hour, "2027-04-02 13:00", "2027-04-05 13:00"},
		"a day of 23 hours":   {around, 24 * time.Hour, "2026-10-04 00:00", "2026-10-06 01:00"}, // Monday is a holiday
		"a day of 25 hours":   {around, 25 * time.Hour, "2027-04-04 00:00", "2027-04-05 00:00"},
		"by the clock itself": {nil, 24 * time.Hour, "2026-10-03 12:00", "2026-10-04 13:00"},
	} {
		t.Run(name, func(t *testing.T) {
			got := acknowledgeBy(t, incident.SLA{Acknowledge: c.limit, Calendar: c.calendar}, in(t, c.triggered))
			assert.Equal(t, in(t, c.due).UTC(), got)
		})
	}
}

// Requirement: INC-SLA-PROPERTIES
func TestSLAProperties(t *testing.T) {
	t.Parallel()
	office := officeHours(t, calendar.Day{Date: "2026-02-12", Name: "Lunch for all", From: health.At(12, 0), To: health.At(14, 0)})
	random := rand.New(rand.NewPCG(1, 2))
	start := in(t, "2026-01-01 00:00")
	sla := func(limit time.Duration) incident.SLA { return incident.SLA{Acknowledge: limit, Calendar: office} }
	isWork := func(at time.Time) bool { return office.IsOpen(at) || office.IsOpen(at.Add(-time.Nanosecond)) }
	minutes := func(n int) time.Duration { return time.Duration(1+random.IntN(n)) * time.Minute }
	for range 120 {
		at := start.Add(minutes(500 * 24 * 60))
		a, b := minutes(40*60), minutes(40*60)
		first, both := acknowledgeBy(t, sla(a), at), acknowledgeBy(t, sla(a+b), at)
		require.True(t, first.After(at), "%v and %v is %v: it goes forward", at, a, first)
		require.True(t, isWork(first), "%v and %v is %v: not in closed hours", at, a, first)
		require.True(t, both.After(first), "more time is later: %v, %v and %v", at, a, b)
		require.Equal(t, both, acknowledgeBy(t, sla(b), first), "in parts: %v, %v and %v", at, a, b)
		later := at.Add(minutes(7 * 24 * 60))
		require.False(t, acknowledgeBy(t, sla(a), later).Before(first), "%v is not due before %v", later, at)

		day := acknowledgeBy(t, sla(incident.NextBusinessDay), at)
		require.True(t, day.After(at) && isWork(day) && !office.IsOpen(day), "%v is due at %v, the end of a business day", at, day)
		require.False(t, acknowledgeBy(t, sla(incident.NextBusinessDay), later).Before(day), "%v is not due before %v", later, at)
		require.LessOrEqual(t, office.BusinessTime(at, day), 16*time.Hour, "%v is due at %v, with one business day between at most", at, day)
	}
}
