package incident_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// nineToFive is from 9 to 17 on working days in a zone.
func nineToFive(z *time.Location) incident.EscalationHours {
	return incident.EscalationHours{Windows: []health.Window{{From: health.At(9, 0), For: 8 * time.Hour, Zone: z, Days: health.Weekdays()}}}
}

// heldWithin returns three levels of which the first two are called within hours only.
func heldWithin(hours incident.EscalationHours, otherwise incident.EscalationElse) incident.EscalationPolicy {
	policy := threeLevels()
	policy.Zone = "Australia/Sydney"
	for i := range policy.Levels[:2] {
		policy.Levels[i].Hours, policy.Levels[i].Else = hours, otherwise
	}
	return policy
}

// onClock is when messages arrived on the clock of Sydney: "Mon 09:00 AEDT ana".
func (w *escalationWorld) onClock() (lines []string) {
	z := loadZone(w.t, "Australia/Sydney")
	for _, m := range w.messages() {
		lines = append(lines, w.start.Add(m.at).In(z).Format("Mon 15:04 MST")+" "+m.channel)
	}
	return lines
}

// On Friday 4 December 2026 work ends at 17:00 in Sydney, and begins again on Monday.
//
// Requirement: INC-ESC-HOLD, INC-ESC-ZONE, INC-ASK-HOURS
func TestHoursAreWaitedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, at string
		want     []string
	}{
		{"within hours", "2026-12-04 10:00", []string{"Fri 10:00 AEDT ana", "Fri 10:15 AEDT bo", "Fri 10:30 AEDT infra"}},
		{"at the opening", "2026-12-04 09:00", []string{"Fri 09:00 AEDT ana", "Fri 09:15 AEDT bo", "Fri 09:30 AEDT infra"}},
		{"a minute before the opening", "2026-12-04 08:59", []string{"Fri 09:00 AEDT ana", "Fri 09:15 AEDT bo", "Fri 09:30 AEDT infra"}},
		// The guarantee about what is triggered just before closing: a level that is reached
		// within its hours is called then, however soon they end; one that is reached later
		// waits for the next ones.
		{"a minute before closing", "2026-12-04 16:59", []string{"Fri 16:59 AEDT ana", "Mon 09:00 AEDT bo", "Mon 09:15 AEDT infra"}},
		{"a quarter of an hour before closing", "2026-12-04 16:45", []string{"Fri 16:45 AEDT ana", "Mon 09:00 AEDT bo", "Mon 09:15 AEDT infra"}},
		{"a minute more than that", "2026-12-04 16:44", []string{"Fri 16:44 AEDT ana", "Fri 16:59 AEDT bo", "Fri 17:14 AEDT infra"}},
		{"at closing", "2026-12-04 17:00", []string{"Mon 09:00 AEDT ana", "Mon 09:15 AEDT bo", "Mon 09:30 AEDT infra"}},
		{"at the weekend", "2026-12-05 03:00", []string{"Mon 09:00 AEDT ana", "Mon 09:15 AEDT bo", "Mon 09:30 AEDT infra"}},
		{"in the morning of UTC", "2026-12-04 20:00", []string{"Mon 09:00 AEDT ana", "Mon 09:15 AEDT bo", "Mon 09:30 AEDT infra"}},
		// Clocks change in the night to Sunday, 5 April and 4 October.
		{"before the long weekend", "2026-04-03 18:00", []string{"Mon 09:00 AEST ana", "Mon 09:15 AEST bo", "Mon 09:30 AEST infra"}},
		{"before the short weekend", "2026-10-02 18:00", []string{"Mon 09:00 AEDT ana", "Mon 09:15 AEDT bo", "Mon 09:30 AEDT infra"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			escalate(t, heldWithin(nineToFive(loadZone(t, "Australia/Sydney")), incident.Hold), func(t *testing.T, w *escalationWorld) {
				w.wait(untilSydney(t, c.at))
				w.begin(criticalOutage())
				w.wait(5 * 24 * time.Hour)
				assert.Equal(t, c.want, w.onClock())
			})
		})
	}
}

// Hours within a day on which clocks change: 01:00 to 05:00 on Sunday has five hours when
// they are set back, and three when they are set forward.
//
// Requirement: INC-ESC-ZONE
func TestHoursOnDaysOnWhichClocksChange(t *testing.T) {
	t.Parallel()
	night := incident.EscalationHours{Windows: []health.Window{{From: health.At(1, 0), For: 4 * time.Hour, Zone: loadZone(t, "Australia/Sydney")}}}
	for _, c := range []struct {
		name, at string
		steps    time.Duration // between levels
		want     []string
	}{
		{"set back, open for five hours", "2026-04-05 00:30", 270 * time.Minute, []string{"Sun 01:00 AEDT ana", "Sun 04:30 AEST bo", "Sun 09:00 AEST infra"}},
		{"set back, closed after five", "2026-04-05 00:30", 5 * time.Hour, []string{"Sun 01:00 AEDT ana", "Mon 01:00 AEST bo", "Mon 06:00 AEST infra"}},
		{"set forward, open for three hours", "2026-10-04 00:30", 170 * time.Minute, []string{"Sun 01:00 AEST ana", "Sun 04:50 AEDT bo", "Sun 07:40 AEDT infra"}},
		{"set forward, closed after three", "2026-10-04 00:30", 3 * time.Hour, []string{"Sun 01:00 AEST ana", "Mon 01:00 AEDT bo", "Mon 04:00 AEDT infra"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			policy := heldWithin(night, incident.Hold)
			policy.Levels[1].After, policy.Levels[2].After = c.steps, c.steps
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				w.wait(untilSydney(t, c.at))
				w.begin(criticalOutage())
				w.wait(5 * 24 * time.Hour)
				assert.Equal(t, c.want, w.onClock())
			})
		})
	}
}

func TestWhileALevelWaitsForItsHours(t *testing.T) {
	t.Parallel()
	start := func(t *testing.T, test func(w *escalationWorld, run string)) {
		policy := heldWithin(nineToFive(loadZone(t, "Australia/Sydney")), incident.Hold)
		for i := range policy.Levels {
			policy.Levels[i].Hours.Unless = alert.Critical
			if policy.Levels[i].Hours.Windows == nil {
				policy.Levels[i].Hours.Unless = 0
			}
		}
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			w.wait(untilSydney(t, "2026-12-04 22:00"))
			w.start = time.Now()
			inc := criticalOutage()
			inc.Severity = alert.High
			run := w.begin(inc)
			e := w.event(incident.EscalationHeld)
			require.Equal(t, "Level 1, Operations, is outside its hours: it waits until Mon 7 Dec 2026 09:00 AEDT.", e.Text)
			require.Equal(t, 59*time.Hour, e.Next.Sub(w.start))
			w.wait(time.Hour)
			require.Empty(t, w.told())
			test(w, run)
		})
	}
	t.Run("somebody acknowledges", func(t *testing.T) {
		t.Parallel()
		start(t, func(w *escalationWorld, run string) {
			w.do(w.x.Acknowledged(w.ctx, run, "Ana"))
			w.wait(5 * 24 * time.Hour)
			assert.Empty(t, w.told())
		})
	})
	t.Run("somebody calls it by hand", func(t *testing.T) {
		t.Parallel()
		start(t, func(w *escalationWorld, run string) {
			w.do(w.x.Force(w.ctx, run, "Dee"))
			assert.Equal(t, []string{"1h0m0s ana firing"}, w.told(), "the one that waits, and not the one after it")
		})
	})
	t.Run("it becomes so bad that hours do not matter", func(t *testing.T) {
		t.Parallel()
		start(t, func(w *escalationWorld, run string) {
			w.do(w.x.Worse(w.ctx, run, alert.Critical, "Dee"))
			w.wait(15 * time.Minute)
			assert.Equal(t, []string{"1h0m0s ana firing", "1h15m0s bo firing"}, w.told())
		})
	})
	t.Run("the incident ends", func(t *testing.T) {
		t.Parallel()
		start(t, func(w *escalationWorld, run string) {
			w.do(w.x.Ended(w.ctx, run))
			w.wait(5 * 24 * time.Hour)
			assert.Empty(t, w.told())
			w.ended(run)
		})
	})
}

// Requirement: INC-ESC-HOLD
func TestLevelsOutsideTheirHoursAreLeftOut(t *testing.T) {
	t.Parallel()
	escalate(t, heldWithin(nineToFive(loadZone(t, "Australia/Sydney")), incident.LeaveOut), func(t *testing.T, w *escalationWorld) {
		w.wait(untilSydney(t, "2026-12-04 16:59"))
		w.start = time.Now()
		w.begin(criticalOutage())
		w.wait(time.Hour)
		assert.Equal(t, []string{"0s called 1", "15m0s left out 2", "15m0s called 3", "30m0s exhausted 3"}, w.happened())
	})
	t.Run("all of them", func(t *testing.T) {
		t.Parallel()
		policy := heldWithin(nineToFive(loadZone(t, "Australia/Sydney")), incident.LeaveOut)
		policy.Levels, policy.Repeat = policy.Levels[:2], 1
		escalate(t, policy, func(t *testing.T, w *escalationWorld) {
			w.wait(untilSydney(t, "2026-12-04 18:00"))
			w.start = time.Now()
			w.begin(criticalOutage())
			w.wait(time.Hour)
			assert.Empty(t, w.told())
			assert.Equal(t, []string{"0s left out 1", "0s left out 2", "15m0s left out 1", "15m0s left out 2", "30m0s exhausted 0"}, w.happened())
			assert.Contains(t, w.event(incident.EscalationExhausted).Text, "nobody was called")
		})
	})
}

// openingCalendar is a calendar that opens once, and says what it is told to.
type openingCalendar struct {
	incident.Calendar
	at  time.Time // never if zero
	err error
}

func (o openingCalendar) IsOpen(t time.Time) bool {
	return !t.Before(o.at) && (o.err == nil || !o.at.IsZero())
}

func (o openingCalendar) AddBusinessTime(time.Time, time.Duration) (time.Time, error) {
	return o.at, o.err
}

func TestHoursOfACalendar(t *testing.T) {
	t.Parallel()
	beyond := errors.New("the holidays of that year are not all known")
	next := time.Date(2000, 1, 3, 9, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		calendar openingCalendar
		want     string
	}{
		"open":                         {openingCalendar{}, "0s ana firing"},
		"closed":                       {openingCalendar{at: next}, "57h0m0s ana firing"},
		"closed, beyond what it knows": {openingCalendar{at: next, err: beyond}, "57h0m0s ana firing"},
		// Who cannot say when people work keeps nobody from being called.
		"it never opens": {openingCalendar{err: beyond}, "0s ana firing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policy := heldWithin(incident.EscalationHours{Calendar: "business"}, incident.Hold)
			policy.Levels = policy.Levels[:1]
			prepare := func(w *escalationWorld) { w.cfg.Calendars = map[string]incident.Calendar{"business": c.calendar} }
			escalateIn(t, policy, prepare, func(t *testing.T, w *escalationWorld) {
				w.begin(criticalOutage())
				w.wait(58 * time.Hour)
				assert.Equal(t, []string{c.want}, w.told())
			})
		})
	}
}

// Those are called for whom it is working time where they live.
//
// Requirement: INC-ESC-ZONE
func TestHoursOfThePeople(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels = policy.Levels[:1]
	policy.Levels[0].Targets[0].Hours = incident.EscalationHours{Windows: []health.Window{{From: health.At(9, 0), For: 8 * time.Hour}}}
	for _, c := range []struct {
		at   string // on the clock of Sydney
		want []string
	}{
		{"2026-12-04 10:00", []string{"Fri 10:00 AEDT ana"}},
		{"2026-12-04 21:00", []string{"Fri 21:00 AEDT bo"}},                      // 10:00 in London
		{"2026-12-05 03:59", []string{"Sat 03:59 AEDT bo", "Sat 03:59 AEDT cy"}}, // 16:59 in London, 11:59 in New York
		{"2026-12-05 05:00", []string{"Sat 05:00 AEDT cy"}},
		{"2026-12-05 17:30", nil},
	} {
		t.Run(c.at, func(t *testing.T) {
			t.Parallel()
			escalate(t, policy, func(t *testing.T, w *escalationWorld) {
				w.wait(untilSydney(t, c.at))
				people := peopleOf("Ana", "Bo", "Cy")
				for i, name := range []string{"Australia/Sydney", "Europe/London", "America/New_York"} {
					people[i].Zone = loadZone(t, name)
				}
				w.onCall.Set("operations", people...)
				w.begin(criticalOutage())
				assert.Equal(t, c.want, w.onClock())
			})
		})
	}
}

// The hours of a running escalation are in its input, zones and all.
func TestHoursAsJSON(t *testing.T) {
	t.Parallel()
	sydney := loadZone(t, "Australia/Sydney")
	want := incident.EscalationHours{
		Windows: []health.Window{
			{Name: "office", From: health.At(9, 0), For: 8 * time.Hour, Zone: sydney, Days: health.Weekdays(), MonthDays: []int{-1}},
			{Start: time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC), End: time.Date(2026, 12, 27, 0, 0, 0, 0, time.UTC)},
			{From: health.At(22, 0), For: time.Hour},
		},
		Outside: true, Unless: alert.High,
	}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	var got incident.EscalationHours
	require.NoError(t, json.Unmarshal(data, &got))
	zones := cmp.Comparer(func(a, b *time.Location) bool { return a.String() == b.String() })
	assert.Empty(t, cmp.Diff(want, got, zones, cmpopts.EquateEmpty()))
	require.Error(t, json.Unmarshal([]byte(`{"windows":[{"zone":"Mars/Olympus"}]}`), &got))
	require.Error(t, json.Unmarshal([]byte(`[]`), &got))
	data, err = json.Marshal(incident.EscalationLevel{Name: "a"})
	require.NoError(t, err)
	assert.NotContains(t, string(data), "hours")
}
