package incident_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// The host is told once that an alert has opened an incident, however many processes are
// told of the alert, and also if the one that opened it ended before it could say so.
func TestOnOpenedIsCalledOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls []string
		store := &faultyStore{Store: &incident.MemoryStore{}}
		c := newCase(t, incident.ManagerConfig{Store: store, Hooks: incident.ManagerHooks{
			OnOpened: func(_ context.Context, i incident.Incident, b incident.Binding) {
				calls = append(calls, i.ID+" "+b.Name)
			},
		}})
		other := c.another(t)
		talk := conversation{key: "c1"}
		a := firing("health_check", alert.High, time.Now())
		n := talk.say(t, c.manager, alert.KindFiring, a)
		_, err := other.Notify(t.Context(), n)
		require.NoError(t, err)
		assert.Equal(t, []string{"INC-2000-0001 any"}, calls)

		store.after = []error{errDown} // the process ends when it has opened the next one
		b := firing("memory", alert.High, time.Now())
		_, err = c.manager.Notify(t.Context(), alert.Notification{Key: "c2", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{b}})
		require.Error(t, err)
		require.NoError(t, other.Tick(t.Context()))
		assert.Len(t, calls, 1, "for a minute that is left to the other process")
		time.Sleep(time.Minute)
		require.NoError(t, other.Tick(t.Context()))
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, []string{"INC-2000-0001 any", "INC-2000-0002 any"}, calls)

		// What is over when it could be told is not told any more.
		store.after = []error{errDown}
		d := firing("disk", alert.High, time.Now())
		_, err = c.manager.Notify(t.Context(), alert.Notification{Key: "c3", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{d}})
		require.Error(t, err)
		_, err = other.Resolve(t.Context(), "INC-2000-0003", incident.Resolution{By: "ben"})
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.NoError(t, other.Tick(t.Context()))
		assert.Len(t, calls, 2)
	})
}

// The process that opened an incident has ended, and several others notice that at the same
// time: one of them tells the host. If that one ends too, another one does, a minute later.
func TestOnOpenedIsCalledByOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		store := &faultyStore{Store: &incident.MemoryStore{}, after: []error{errDown}, slow: time.Second}
		c := newCase(t, incident.ManagerConfig{Store: store, Hooks: incident.ManagerHooks{
			OnOpened: func(context.Context, incident.Incident, incident.Binding) {
				calls.Add(1)
				time.Sleep(5 * time.Second)
			},
		}})
		tick := func() {
			for range 3 {
				m := c.another(t)
				go func() { assert.NoError(t, m.Tick(t.Context())) }()
			}
			time.Sleep(30 * time.Second)
		}
		_, err := c.manager.Notify(t.Context(), alert.Notification{Key: "c1", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{firing("memory", alert.High, time.Now())}})
		require.Error(t, err)
		time.Sleep(time.Minute)
		// Whether it is the one that tells is not known to it: it does not tell.
		store.after = []error{errDown}
		require.Error(t, c.manager.Tick(t.Context()))
		assert.Zero(t, calls.Load())
		tick()
		assert.Zero(t, calls.Load(), "for a minute that is left to the other process")
		time.Sleep(time.Minute)
		tick()
		assert.EqualValues(t, 1, calls.Load())
		tick()
		time.Sleep(time.Minute)
		tick()
		assert.EqualValues(t, 1, calls.Load())
		assert.True(t, c.read(t, "INC-2000-0001").Told.Opened)
	})
}

// slowTickets are tickets of a system that takes its time, and notes what it is asked.
type slowTickets struct {
	incidenttest.Tickets
	mu    sync.Mutex
	asked []alert.Notification
}

func (s *slowTickets) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	s.mu.Lock()
	s.asked = append(s.asked, n)
	s.mu.Unlock()
	time.Sleep(5 * time.Second)
	return s.Tickets.Notify(ctx, n)
}

// Several processes open the ticket of an incident, or close it, at the same time: one
// does. What a process may have done before it ended is said to be a repetition.
func TestTicketIsToldByOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tickets := &slowTickets{}
		c := newCase(t, incident.ManagerConfig{Store: &faultyStore{Store: &incident.MemoryStore{}, slow: time.Second}, Ticketer: tickets})
		inc := c.open(t, alert.High)
		errs := make([]error, 3)
		for i := range errs {
			m := c.another(t)
			go func() { _, errs[i] = m.OpenTicket(t.Context(), inc.ID, "ben") }()
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		busy := slices.DeleteFunc(errs, func(err error) bool { return err == nil })
		require.Len(t, busy, 2)
		for _, err := range busy {
			require.ErrorIs(t, err, incident.ErrBusy)
			assert.True(t, runbook.SafeToRetry(err))
		}
		require.Len(t, tickets.asked, 1)
		assert.True(t, c.read(t, inc.ID).Told.Ticketing.IsZero())

		tickets.Fail(errDown)
		_, err := c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		require.Len(t, tickets.asked, 2)
		assert.False(t, tickets.asked[1].PossibleRepeat)
		time.Sleep(time.Minute)
		for range 3 {
			m := c.another(t)
			go func() { assert.NoError(t, m.Tick(t.Context())) }()
		}
		time.Sleep(time.Minute)
		require.NoError(t, c.manager.Tick(t.Context()))
		require.Len(t, tickets.asked, 3)
		assert.True(t, tickets.asked[2].PossibleRepeat, "it is not known whether it was told before")
		assert.True(t, c.read(t, inc.ID).Told.TicketDone)
	})
}

func TestReopenWhileAnotherIsOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		open := func() (incident.Incident, error) {
			return c.manager.Open(t.Context(), incident.Opening{By: "ana", Title: "mail is slow", Severity: alert.Low, Key: "mail"})
		}
		first, err := open()
		require.NoError(t, err)
		_, err = open()
		require.ErrorIs(t, err, incident.ErrTaken)
		assert.ErrorContains(t, err, first.ID)
		_, err = c.manager.Resolve(t.Context(), first.ID, incident.Resolution{By: "ana"})
		require.NoError(t, err)
		second, err := open()
		require.NoError(t, err)
		_, err = c.manager.Reopen(t.Context(), first.ID, "ana", "again")
		require.ErrorIs(t, err, incident.ErrTaken)
		assert.ErrorContains(t, err, second.ID+" is open about the same")
	})
}

// A part of the program may give commands too; they are not those of a person.
func TestCommandsOfTheProgram(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	got, err := c.manager.Mitigate(t.Context(), inc.ID, "runbook", "rolled back")
	require.NoError(t, err)
	assert.Empty(t, got.AcknowledgedBy, "no person takes care because of it")
	assert.Len(t, c.chain(t, "audit"), 1)
	r, err := c.manager.Report(t.Context(), inc.ID, incident.ReportConfig{})
	require.NoError(t, err)
	assert.Empty(t, r.Decisions)
}

// limitedCalendar is a calendar that knows no holidays any more, or no working time.
type limitedCalendar struct {
	incident.Calendar
	none bool
}

var errBeyond = errors.New("holidays are not known")

func (l limitedCalendar) AddBusinessTime(t time.Time, d time.Duration) (time.Time, error) {
	if l.none {
		return time.Time{}, errBeyond
	}
	at, err := l.Calendar.AddBusinessTime(t, d)
	return at, errors.Join(err, errBeyond)
}

func (l limitedCalendar) NextBusinessDay(t time.Time) (time.Time, error) {
	if l.none {
		return time.Time{}, errBeyond
	}
	return l.Calendar.NextBusinessDay(t)
}

// There is a clock also where the calendar does not know.
func TestCalendarThatEnds(t *testing.T) {
	t.Parallel()
	at := in(t, "2026-02-10 10:00")
	four := incident.SLA{Acknowledge: 4 * time.Hour, Calendar: limitedCalendar{Calendar: officeHours(t)}}
	due, err := four.AcknowledgeBy(at)
	assert.ErrorIs(t, err, errBeyond)
	assert.Equal(t, in(t, "2026-02-10 14:00").UTC(), due, "an instant that comes with an error is used")
	four.Calendar = limitedCalendar{none: true}
	due, err = four.AcknowledgeBy(at)
	assert.ErrorIs(t, err, errBeyond)
	assert.Equal(t, in(t, "2026-02-10 14:00").UTC(), due, "without one the time runs around the clock")
	day := incident.SLA{Acknowledge: incident.NextBusinessDay, Calendar: limitedCalendar{none: true}}
	due, _ = day.AcknowledgeBy(at)
	assert.Equal(t, time.Date(2026, 2, 11, 0, 0, 0, 0, time.UTC), due, "the end of the next day of UTC")
}

// FuzzNotify feeds a manager what a store or a provider might hand over. Whatever it is,
// it is taken, the same again changes nothing, and the timelines are whole.
func FuzzNotify(f *testing.F) {
	f.Add("INC-2026-0001,x", "health_check", "production", "app", "it is down", "firing", int64(1_700_000_000), uint8(1))
	f.Add("", "", "", "\xff\x00", "|%#", "resolved", int64(0), uint8(0))
	f.Add(",,,", "a|b", "\u202e", "c", "", "pending", int64(-1), uint8(9))
	f.Fuzz(func(t *testing.T, prior, rule, environment, entity, summary, state string, fired int64, severity uint8) {
		c := newCase(t, incident.ManagerConfig{Bindings: []incident.Binding{{Name: "any", GroupBy: []string{"rule", "entity"}}}})
		a := alert.Alert{
			Key: alert.Key(rule, environment, entity, ""), Rule: rule, Environment: environment, Entity: entity, Severity: alert.Severity(severity),
			Summary: summary, Detail: summary, State: alert.State(state), Fired: time.Unix(fired%1e10, 0),
			Acknowledged: &alert.Acknowledgement{By: entity, Comment: summary, At: time.Unix(fired%1e10, 1)},
		}
		n := alert.Notification{Key: "c1", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{a}, Prior: alert.Receipt(prior)}
		first, err := c.manager.Notify(t.Context(), n)
		require.NoError(t, err)
		before := c.all(t)
		again, err := c.manager.Notify(t.Context(), n)
		require.NoError(t, err)
		assert.Equal(t, first, again)
		assert.Equal(t, before, c.all(t))
		for _, inc := range before {
			c.timeline(t, inc.ID)
		}
	})
}
