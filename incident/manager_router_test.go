package incident_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

var (
	_ incident.Acknowledger = (*alert.Router)(nil)
	_ incident.Poster       = (*alert.Router)(nil)
)

// A router, a manager and people: alerts become an incident, an acknowledgement at either
// side is one at the other, once, and updates arrive where people read them.
func TestManagerBehindARouter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var manager *incident.Manager
		told := 0
		chat, status := &alerttest.Recorder{}, &alerttest.Recorder{}
		router, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{
				{Name: "incidents", RemindAfter: -1, Notifier: alert.NotifierFunc(func(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
					told++
					return manager.Notify(ctx, n)
				})},
				{Name: "chat", Notifier: chat},
				{Name: "status", Notifier: status, Audience: alert.Everyone},
			},
			Routes: []alert.Route{{Name: "all", Targets: []string{"incidents", "chat"}}},
		})
		require.NoError(t, err)
		c := newCase(t, incident.ManagerConfig{Acknowledger: router, Poster: router, AutoResolve: true})
		manager = c.manager
		require.NoError(t, router.Start(t.Context()))
		settle := func() { time.Sleep(time.Minute); synctest.Wait() }

		a := firing("health_check", alert.Critical, time.Now())
		require.NoError(t, router.Handle(t.Context(), a))
		settle()
		require.Len(t, c.all(t), 1)
		id := c.all(t)[0].ID

		_, err = manager.Acknowledge(t.Context(), id, incident.Ack{By: "ben", Comment: "on it"})
		require.NoError(t, err)
		settle()
		assert.Equal(t, "ben", router.Alerts()[0].Acknowledged.By, "the alert is acknowledged")
		assert.Equal(t, 2, told, "the manager is told of its own acknowledgement, and that is the end of it")
		assert.Contains(t, chat.Notifications()[1].Title, "TAKEN by ben")

		require.NoError(t, router.Acknowledge(t.Context(), a.Key, alert.Acknowledgement{By: "eve"}))
		settle()
		assert.Equal(t, "eve", c.read(t, id).AcknowledgedBy, "somebody takes over in the chat")
		assert.Equal(t, 3, told)

		_, err = manager.Update(t.Context(), id, incident.StatusUpdate{By: "eve", Text: "We look into it."})
		require.NoError(t, err)
		settle()
		require.Len(t, status.Notifications(), 1)
		assert.Equal(t, id, status.Notifications()[0].Post.ID)

		require.NoError(t, router.Handle(t.Context(), over(a, time.Now())))
		settle()
		assert.Equal(t, incident.Resolved, c.read(t, id).State)
		assert.Len(t, c.all(t), 1)
		require.NoError(t, router.Stop(t.Context()))
	})
}

// A storm: more alerts than a notification names, told by a digest, end all the same.
func TestStormBehindARouter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AutoResolve: true})
		router, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "incidents", Notifier: c.manager, RemindAfter: -1, Storm: 5}},
			Routes:  []alert.Route{{Name: "all", Targets: []string{"incidents"}, GroupBy: []string{"rule", "entity"}}},
		})
		require.NoError(t, err)
		require.NoError(t, router.Start(t.Context()))
		var alerts []alert.Alert
		for i := range 45 {
			a := firing(fmt.Sprintf("rule-%d", i), alert.High, time.Now())
			alerts = append(alerts, a)
			require.NoError(t, router.Handle(t.Context(), a))
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		opened := len(c.all(t))
		assert.GreaterOrEqual(t, opened, 30, "those that are named are incidents")
		for _, a := range alerts {
			require.NoError(t, router.Handle(t.Context(), over(a, time.Now())))
		}
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		for _, inc := range c.all(t) {
			assert.Equal(t, incident.Resolved, inc.State, inc.ID)
		}
		require.NoError(t, router.Stop(t.Context()))
	})
}

func TestTickets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tickets := &incidenttest.Tickets{}
		c := newCase(t, incident.ManagerConfig{Ticketer: tickets})
		inc := c.open(t, alert.High)
		_, err := c.manager.Ticket(t.Context(), inc.ID)
		require.ErrorIs(t, err, incident.ErrNotFound)

		tickets.LoseAnswer()
		_, err = c.manager.OpenTicket(t.Context(), inc.ID, "ben")
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		for range 2 { // there is one, however often it is asked for
			ticket, err := c.manager.OpenTicket(t.Context(), inc.ID, "ben")
			require.NoError(t, err)
			assert.Equal(t, "TICKET-1", ticket.ID)
		}
		require.Len(t, tickets.Tickets(), 1)
		assert.Equal(t, []string{"TICKET-1"}, c.read(t, inc.ID).Tickets)

		_, err = c.manager.Update(t.Context(), inc.ID, incident.StatusUpdate{By: "eve", Text: "We look into it."})
		require.NoError(t, err)
		tickets.Fail(errDown)
		_, err = c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben", Cause: "a bad deployment"})
		require.NoError(t, err, "the incident is resolved although the ticket could not be closed")
		ticket, err := c.manager.Ticket(t.Context(), inc.ID)
		require.NoError(t, err)
		assert.False(t, ticket.Done)
		time.Sleep(time.Minute)
		require.NoError(t, c.another(t).Tick(t.Context()))
		ticket, err = c.manager.Ticket(t.Context(), inc.ID)
		require.NoError(t, err)
		assert.True(t, ticket.Done)
		require.NoError(t, c.manager.Tick(t.Context()))

		_, err = c.manager.Reopen(t.Context(), inc.ID, "eve", "again")
		require.NoError(t, err)
		said := tickets.Tickets()[0].Said
		require.Len(t, said, 4)
		assert.Contains(t, said[1], "We look into it.")
		assert.Contains(t, said[2], "Cause: a bad deployment")
		assert.Contains(t, said[3], "goes on: it was reopened")
	})
}

// In a context in which nothing may be changed nothing is.
func TestReadOnlyManager(t *testing.T) {
	t.Parallel()
	tickets := &incidenttest.Tickets{}
	c := newCase(t, incident.ManagerConfig{Ticketer: tickets})
	inc := c.open(t, alert.High)
	ctx := runbook.ReadOnly(t.Context())
	_, note := c.manager.Note(ctx, inc.ID, "ben", "x")
	_, open := c.manager.Open(ctx, incident.Opening{By: "ben", Title: "x", Severity: alert.Low})
	_, ticket := c.manager.OpenTicket(ctx, inc.ID, "ben")
	_, notify := c.manager.Notify(ctx, alert.Notification{Key: "c1", Kind: alert.KindFiring, Alerts: []alert.Alert{firing("health_check", alert.High, time.Now())}})
	for name, err := range map[string]error{"note": note, "open": open, "ticket": ticket, "notify": notify} {
		assert.ErrorIs(t, err, runbook.ErrReadOnly, name)
		assert.True(t, runbook.SafeToRetry(err), name)
	}
	assert.Empty(t, tickets.Tickets())
	_, err := c.manager.Incident(ctx, inc.ID)
	assert.NoError(t, err, "reading works")
}

// With the escalations of this package: people are called until one takes care, at
// whichever side, and what was done is on the timeline.
func TestManagerWithEscalations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var manager *incident.Manager
		operations, development := &alerttest.Recorder{}, &alerttest.Recorder{}
		logger := slog.New(slog.NewTextHandler(io.Discard, nil))
		runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{Logger: logger})
		escalations, err := incident.NewEscalations(incident.EscalationsConfig{
			Runs: runs, Channels: map[string]alert.Notifier{"operations": operations, "development": development}, Logger: logger,
			Policies: []incident.EscalationPolicy{{Name: "all", Levels: []incident.EscalationLevel{
				{Name: "Operations", Targets: []incident.EscalationTarget{{Channel: "operations"}}},
				{Name: "Development", After: 15 * time.Minute, Targets: []incident.EscalationTarget{{Channel: "development"}}},
			}}},
			Hooks: incident.EscalationHooksOf(func() *incident.Manager { return manager }),
		})
		require.NoError(t, err)
		require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.EscalationProgram: escalations.Program()}))
		c := newCase(t, incident.ManagerConfig{Escalator: escalations, AckFor: time.Hour})
		manager = c.manager
		settle := func(d time.Duration) { time.Sleep(d); synctest.Wait() }

		talk := conversation{key: "c1"}
		talk.say(t, manager, alert.KindFiring, firing("health_check", alert.Critical, time.Now()))
		id := string(talk.prior)
		settle(time.Second)
		assert.Len(t, operations.Notifications(), 1, "somebody is called at once")
		assert.Empty(t, development.Notifications())
		assert.Equal(t, 1, c.read(t, id).Level)
		settle(15 * time.Minute)
		assert.Len(t, development.Notifications(), 1)
		assert.Equal(t, 2, c.read(t, id).Level)

		_, err = manager.Acknowledge(t.Context(), id, incident.Ack{By: "ben"})
		require.NoError(t, err)
		settle(30 * time.Minute)
		called := len(operations.Notifications()) + len(development.Notifications())
		settle(20 * time.Minute)
		assert.Equal(t, called, len(operations.Notifications())+len(development.Notifications()), "nobody else is called")

		settle(15 * time.Minute) // the acknowledgement expires
		require.NoError(t, manager.Tick(t.Context()))
		settle(time.Second)
		assert.Greater(t, len(operations.Notifications())+len(development.Notifications()), called, "people are called again")

		_, err = manager.Resolve(t.Context(), id, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		settle(time.Hour)
		kinds := c.kinds(t, id)
		for _, want := range []string{"escalation", "escalated", "acknowledged", "acknowledgement expired", "resolved"} {
			assert.Contains(t, kinds, want)
		}
		got, err := manager.Figures(t.Context(), incident.FigureQuery{From: time.Now().Add(-24 * time.Hour)})
		require.NoError(t, err)
		assert.Equal(t, 1, got.Severities[0].Escalated)
		overdue, err := escalations.Audit(t.Context())
		require.NoError(t, err)
		assert.Empty(t, overdue)
		require.NoError(t, runs.Close(t.Context()))
	})
}
