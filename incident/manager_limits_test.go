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
	ctx, m, at, long := t.Context(), c.manager, time.Now(), strings.Repeat("\U0001f525", 2000)
	inc, err := m.Open(ctx, incident.Opening{By: long, Title: long, Summary: long + long, Environment: long, Severity: alert.High})
	require.NoError(t, err)
	// What one command leaves of long texts, as often as there is room for it but once.
	_, err = m.LinkAlert(ctx, inc.ID, alert.Alert{Key: "k", Rule: long, Entity: long, Summary: long, State: alert.Firing, Fired: at, Severity: alert.High}, "ana")
	require.NoError(t, err)
	_, err = m.AttachRun(ctx, inc.ID, long, "ana")
	require.NoError(t, err)
	_, err = m.SetRole(ctx, inc.ID, long, long, "ana")
	require.NoError(t, err)
	full, err := m.AddFollowUp(ctx, inc.ID, "ana", incident.FollowUp{Text: long, Owner: long, Ticket: long})
	require.NoError(t, err)
	for i := range 298 {
		l := full.Alerts[0]
		l.Key, l.Conversation = fmt.Sprintf("%064d", i), strings.Repeat("c", 64)
		full.Alerts = append(full.Alerts, l)
	}
	for i := range 98 {
		name := fmt.Sprint(i, full.Runs[0])
		full.Runs, full.Deployments, full.Tickets = append(full.Runs, name), append(full.Deployments, name), append(full.Tickets, name)
		if i < 48 {
			full.Roles[name] = full.Roles[full.Runs[0]]
			full.FollowUps = append(full.FollowUps, full.FollowUps[0])
		}
	}
	data, err := json.Marshal(full)
	require.NoError(t, err)
	_, err = c.store.Commit(ctx, incident.Change{Documents: []incident.Document{{Kind: "incident", ID: full.ID, Version: full.Version, Open: true, Changed: at, Data: data}}})
	require.NoError(t, err)

	add := func(name string) []error {
		a := alert.Alert{Key: name, Rule: long, Entity: long, Summary: long, State: alert.Firing, Fired: at, Severity: alert.High}
		return []error{
			second(m.LinkAlert(ctx, full.ID, a, "ana")), second(m.AttachRun(ctx, full.ID, name+long, "ana")), second(m.SetRole(ctx, full.ID, name+long, long, "ana")),
			second(m.AddFollowUp(ctx, full.ID, "ana", incident.FollowUp{Text: name + long, Owner: long, Ticket: long})),
		}
	}
	for _, err := range add("one more") {
		assert.NoError(t, err, "there is room for it")
	}
	for _, err := range add("too many") {
		assert.ErrorIs(t, err, incident.ErrState)
	}
	doc, err := c.store.Document(ctx, "incident", full.ID)
	require.NoError(t, err)
	assert.Greater(t, len(doc.Data), 700<<10, "the worst case was tried")
	for _, conversation := range []string{"", strings.Repeat("c", 64)} {
		_, err = m.Notify(ctx, alert.Notification{Key: conversation, Kind: alert.KindResolved, At: time.Now(), Prior: alert.Receipt(full.ID)})
		require.NoError(t, err)
	}
	assert.Equal(t, incident.Resolved, c.read(t, full.ID).State)
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
