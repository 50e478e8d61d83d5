package incident_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// However much comes to one incident, it can be stored, and it ends.
func TestIncidentThatIsFull(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{AutoResolve: true})
	long := strings.Repeat("é", 2000)
	at := time.Now()
	for i := range 32 {
		talk := conversation{key: fmt.Sprint("c", i)}
		var alerts []alert.Alert
		for j := range 10 {
			a := firing("health_check", alert.High, at)
			a.Entity, a.Summary = fmt.Sprint(i, "-", j, long), long
			a.Key = alert.Key("health_check", "production", a.Entity, alert.Failing)
			alerts = append(alerts, a)
		}
		talk.say(t, c.manager, alert.KindFiring, alerts...)
	}
	require.Len(t, c.all(t), 1)
	id := c.all(t)[0].ID
	assert.Len(t, c.read(t, id).Alerts, 300)
	ctx, m := t.Context(), c.manager
	var full int
	for i := range 120 {
		name := fmt.Sprint(i, long)
		_, run := m.AttachRun(ctx, id, name, "ana")
		_, deployment := m.AttachDeployment(ctx, id, name, "ana")
		_, ticket := m.AttachTicket(ctx, id, name, "ana")
		_, role := m.SetRole(ctx, id, name, long, "ana")
		_, followUp := m.AddFollowUp(ctx, id, "ana", incident.FollowUp{Text: name, Owner: long, Ticket: long})
		for _, err := range []error{run, deployment, ticket, role, followUp} {
			if err != nil {
				require.ErrorIs(t, err, incident.ErrState)
				full++
			}
		}
	}
	assert.Equal(t, 3*20+70+70, full)
	_, err := m.LinkAlert(ctx, id, firing("other", alert.High, at), "ana")
	require.ErrorIs(t, err, incident.ErrState)
	for i := range 32 {
		talk := conversation{key: fmt.Sprint("c", i), prior: alert.Receipt(id)}
		talk.say(t, m, alert.KindResolved)
	}
	assert.Equal(t, incident.Resolved, c.read(t, id).State)
}

func TestRolesAndSeverityThatStay(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	ctx, m := t.Context(), c.manager
	for _, who := range []string{"eve", "eve", "", ""} {
		_, err := m.SetRole(ctx, inc.ID, "scribe", who, "ben")
		require.NoError(t, err)
	}
	assert.Equal(t, []string{"eve is scribe", "nobody is scribe any more"}, c.texts(t, inc.ID)[2:], "again changes nothing")
	before := c.read(t, inc.ID).Clocks
	got, err := m.SetSeverity(ctx, inc.ID, alert.High, "ben", "as I said")
	require.NoError(t, err)
	assert.Equal(t, before, got.Clocks)
	assert.Equal(t, "ben", got.SeverityBy)
	contains(t, c.texts(t, inc.ID), "the severity stays high: as I said")
	_, err = m.Cancel(ctx, inc.ID, "ben", "a test")
	require.NoError(t, err)
	for _, err := range []error{
		second(m.SetSeverity(ctx, inc.ID, alert.Low, "ben", "")), second(m.SetRole(ctx, inc.ID, "scribe", "eve", "ben")),
		second(m.LinkAlert(ctx, inc.ID, firing("x", alert.High, time.Now()), "ben")),
	} {
		assert.ErrorIs(t, err, incident.ErrState)
	}
	other := c.open(t, alert.High)
	_, err = m.Merge(ctx, other.ID, inc.ID, "ben", "")
	require.ErrorIs(t, err, incident.ErrState, "into what is closed")
	drill, err := m.Open(ctx, incident.Opening{By: "ana", Title: "a drill", Severity: alert.High, Simulated: true})
	require.NoError(t, err)
	_, err = m.Merge(ctx, drill.ID, other.ID, "ben", "")
	require.ErrorIs(t, err, incident.ErrState, "an exercise into what is none")
}

func second(_ incident.Incident, err error) error { return err }

// A document that cannot be read is an error, and keeps nothing else from working.
func TestDocumentThatCannotBeRead(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.Critical)
	_, err := c.store.Commit(t.Context(), incident.Change{Documents: []incident.Document{
		{Kind: "incident", ID: "INC-1", Open: true, Key: "any|production|health_check", Changed: time.Now(), Data: json.RawMessage(`{"severity":"odd"}`)},
	}})
	require.NoError(t, err)
	_, err = c.manager.Incident(t.Context(), "INC-1")
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "odd", "no content in errors")
	require.Error(t, c.manager.Tick(t.Context()))
	_, err = c.manager.Notify(t.Context(), alert.Notification{Key: "c1", Kind: alert.KindFiring, Alerts: []alert.Alert{firing("health_check", alert.High, time.Now())}})
	require.Error(t, err)
	_, ok := errors.AsType[*alert.Error](err)
	assert.True(t, ok, "as notifiers return it")
	_, err = c.manager.Note(t.Context(), inc.ID, "ben", "a note")
	require.NoError(t, err)
	last := 0
	for _, err := range c.manager.Incidents(t.Context(), incident.IncidentQuery{Limit: 5}) {
		if err != nil {
			last++
		}
	}
	assert.Equal(t, 1, last)
}
