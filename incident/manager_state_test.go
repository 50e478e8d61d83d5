package incident_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// commands are what can be done to an incident, by the state to which it leads.
var commands = map[string]func(ctx context.Context, m *incident.Manager, id, other string) (incident.Incident, error){
	"acknowledge": func(ctx context.Context, m *incident.Manager, id, _ string) (incident.Incident, error) {
		return m.Acknowledge(ctx, id, incident.Ack{By: "ben"})
	},
	"mitigate": func(ctx context.Context, m *incident.Manager, id, _ string) (incident.Incident, error) {
		return m.Mitigate(ctx, id, "ben", "rolled back")
	},
	"resolve": func(ctx context.Context, m *incident.Manager, id, _ string) (incident.Incident, error) {
		return m.Resolve(ctx, id, incident.Resolution{By: "ben", Cause: "a bad deployment", Resolution: "rolled back"})
	},
	"review": func(ctx context.Context, m *incident.Manager, id, _ string) (incident.Incident, error) {
		return m.Review(ctx, id, "ben", "")
	},
	"reopen": func(ctx context.Context, m *incident.Manager, id, _ string) (incident.Incident, error) {
		return m.Reopen(ctx, id, "ben", "it is slow again")
	},
	"cancel": func(ctx context.Context, m *incident.Manager, id, _ string) (incident.Incident, error) {
		return m.Cancel(ctx, id, "ben", "a test")
	},
	"merge": func(ctx context.Context, m *incident.Manager, id, other string) (incident.Incident, error) {
		if _, err := m.Merge(ctx, id, other, "ben", "the same"); err != nil {
			return incident.Incident{}, err
		}
		return m.Incident(ctx, id)
	},
}

// paths are how an incident comes to a state.
var paths = map[incident.State][]string{
	incident.Triggered:    {},
	incident.Acknowledged: {"acknowledge"},
	incident.Mitigated:    {"acknowledge", "mitigate"},
	incident.Resolved:     {"resolve"},
	incident.Reviewed:     {"resolve", "review"},
	incident.Cancelled:    {"cancel"},
	incident.Merged:       {"merge"},
}

// Requirement: INC-STATE-MACHINE
func TestStateMachine(t *testing.T) {
	t.Parallel()
	// What each command leads to, from each state; nothing means that it is refused.
	want := map[incident.State]map[string]incident.State{
		incident.Triggered: {
			"acknowledge": incident.Acknowledged, "mitigate": incident.Mitigated, "resolve": incident.Resolved, "cancel": incident.Cancelled, "merge": incident.Merged,
		},
		incident.Acknowledged: {
			"acknowledge": incident.Acknowledged, "mitigate": incident.Mitigated, "resolve": incident.Resolved, "cancel": incident.Cancelled, "merge": incident.Merged,
		},
		incident.Mitigated: {
			"acknowledge": incident.Mitigated, "resolve": incident.Resolved, "reopen": incident.Acknowledged, "cancel": incident.Cancelled, "merge": incident.Merged,
		},
		incident.Resolved:  {"review": incident.Reviewed, "reopen": incident.Triggered},
		incident.Reviewed:  {"reopen": incident.Triggered},
		incident.Cancelled: {"reopen": incident.Triggered},
		incident.Merged:    {},
	}
	for state, path := range paths {
		for name, command := range commands {
			t.Run(string(state)+" "+name, func(t *testing.T) {
				c := newCase(t, incident.ManagerConfig{})
				other := c.open(t, alert.High).ID
				inc := c.open(t, alert.High)
				for _, step := range path {
					var err error
					inc, err = commands[step](t.Context(), c.manager, inc.ID, other)
					require.NoError(t, err)
				}
				require.Equal(t, state, inc.State)
				before := len(c.timeline(t, inc.ID))
				after, err := command(t.Context(), c.manager, inc.ID, other)
				leads, possible := want[state][name]
				if !possible {
					require.ErrorIs(t, err, incident.ErrState)
					assert.True(t, runbook.SafeToRetry(err), "nothing was changed")
					assert.Contains(t, err.Error(), string(state), "the error says how it is")
					for _, next := range state.Next() {
						assert.Contains(t, err.Error(), string(next), "and what is possible")
					}
					assert.Equal(t, state, c.read(t, inc.ID).State)
					assert.Len(t, c.timeline(t, inc.ID), before, "nothing was recorded")
					return
				}
				require.NoError(t, err)
				assert.Equal(t, leads, after.State)
				if leads != state {
					assert.Contains(t, state.Next(), leads)
				}
				assert.Greater(t, len(c.timeline(t, inc.ID)), before)
			})
		}
	}
}

func TestCommandsAreRecordedWithWhoAndWhy(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	ctx, m := t.Context(), c.manager
	for _, do := range []func() error{
		func() error {
			_, err := m.Acknowledge(ctx, inc.ID, incident.Ack{By: "ben", Comment: "on it"})
			return err
		},
		func() error { _, err := m.SetRole(ctx, inc.ID, "commander", "eve", "ben"); return err },
		func() error { _, err := m.Note(ctx, inc.ID, "eve", "it began after the deployment"); return err },
		func() error { _, err := m.AttachDeployment(ctx, inc.ID, "d-42", "eve"); return err },
		func() error { _, err := m.Mitigate(ctx, inc.ID, "ben", "rolled back"); return err },
		func() error {
			_, err := m.AddFollowUp(ctx, inc.ID, "eve", incident.FollowUp{Text: "a test for it", Owner: "ben"})
			return err
		},
		func() error {
			_, err := m.Resolve(ctx, inc.ID, incident.Resolution{By: "ben", Cause: "a query without an index"})
			return err
		},
		func() error { _, err := m.FinishFollowUp(ctx, inc.ID, "ben", 1); return err },
		func() error { _, err := m.Review(ctx, inc.ID, "eve", ""); return err },
	} {
		require.NoError(t, do())
	}
	want := []struct{ actor, text string }{
		{"ana", "opened as high: the application is slow"},
		{"ben", "ben takes care of it: on it"},
		{"ben", "eve is commander"},
		{"eve", "it began after the deployment"},
		{"eve", "deployment d-42 is about this"},
		{"ben", "users are no longer hurt: rolled back"},
		{"eve", "to be done: a test for it"},
		{"ben", "resolved; the cause: a query without an index"},
		{"ben", "done: a test for it"},
		{"eve", "reviewed"},
	}
	timeline := slices.DeleteFunc(c.timeline(t, inc.ID), func(e incident.Entry) bool { return e.Actor == "runbook" })
	audit := c.chain(t, "audit")
	require.Len(t, timeline, len(want))
	require.Len(t, audit, len(want), "what people do is on the audit record too")
	for i, w := range want {
		assert.Equal(t, w.actor, timeline[i].Actor)
		assert.Equal(t, w.text, timeline[i].Text)
		assert.Equal(t, w.actor, audit[i].Actor)
		assert.Equal(t, inc.ID+": "+w.text, audit[i].Text)
		assert.Equal(t, inc.ID, dataOf(t, audit[i])["incident"])
	}
	got := c.read(t, inc.ID)
	assert.Equal(t, map[string]string{"commander": "eve"}, got.Roles)
	assert.Equal(t, "ben", got.AcknowledgedBy)
	assert.Equal(t, "a query without an index", got.Cause)
	assert.Equal(t, []string{"d-42"}, got.Deployments)
	assert.Equal(t, "ben", got.FollowUps[0].DoneBy)
}

func TestCommandsThatAreIncomplete(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.High)
	ctx, m := t.Context(), c.manager
	for name, do := range map[string]func() error{
		"acknowledge": func() error { _, err := m.Acknowledge(ctx, inc.ID, incident.Ack{By: " \n"}); return err },
		"mitigate":    func() error { _, err := m.Mitigate(ctx, inc.ID, "", ""); return err },
		"reopen":      func() error { _, err := m.Reopen(ctx, inc.ID, "ben", " "); return err },
		"cancel":      func() error { _, err := m.Cancel(ctx, inc.ID, "ben", ""); return err },
		"merge":       func() error { _, err := m.Merge(ctx, inc.ID, inc.ID, "ben", ""); return err },
		"severity":    func() error { _, err := m.SetSeverity(ctx, inc.ID, 5, "ben", ""); return err },
		"role":        func() error { _, err := m.SetRole(ctx, inc.ID, "", "eve", "ben"); return err },
		"note":        func() error { _, err := m.Note(ctx, inc.ID, "ben", "\t"); return err },
		"run":         func() error { _, err := m.AttachRun(ctx, inc.ID, "", "ben"); return err },
		"alert":       func() error { _, err := m.LinkAlert(ctx, inc.ID, alert.Alert{}, "ben"); return err },
		"follow-up":   func() error { _, err := m.AddFollowUp(ctx, inc.ID, "ben", incident.FollowUp{}); return err },
		"finished":    func() error { _, err := m.FinishFollowUp(ctx, inc.ID, "ben", 1); return err },
		"update": func() error {
			_, err := m.Update(ctx, inc.ID, incident.StatusUpdate{By: "ben", Text: "x", Status: "bad"})
			return err
		},
		"ticket": func() error { _, err := m.OpenTicket(ctx, inc.ID, "ben"); return err },
		"open":   func() error { _, err := m.Open(ctx, incident.Opening{By: "ben", Title: "x"}); return err },
	} {
		assert.Error(t, do(), name)
	}
	assert.Len(t, c.chain(t, "audit"), 1, "nothing but the opening was recorded")
	_, err := m.Resolve(ctx, "INC-2026-9999", incident.Resolution{By: "ben"})
	assert.ErrorIs(t, err, incident.ErrNotFound)
	_, err = m.Incident(ctx, "../x y")
	assert.ErrorIs(t, err, incident.ErrNotFound)
}

// Requirement: INC-FEATURE-ATTACH
func TestIncidentWithoutPlaybook(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	inc := c.open(t, alert.Medium)
	assert.Empty(t, inc.Playbook)
	assert.Empty(t, inc.Binding)
	for range 2 { // again changes nothing
		after, err := c.manager.AttachRun(t.Context(), inc.ID, "run-1", "runbook")
		require.NoError(t, err)
		assert.Equal(t, []string{"run-1"}, after.Runs)
	}
	runs := slices.DeleteFunc(c.kinds(t, inc.ID), func(kind string) bool { return kind != "run" })
	assert.Len(t, runs, 1)
	after, err := c.manager.AttachTicket(t.Context(), inc.ID, "OPS-42", "ana")
	require.NoError(t, err)
	assert.Equal(t, []string{"OPS-42"}, after.Tickets)
}

// Requirement: INC-ASK-ACK-EXPIRES
func TestIncidentAcknowledgementExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AckFor: time.Hour})
		inc := c.open(t, alert.Critical)
		run := inc.Escalation
		require.NotEmpty(t, run)
		_, err := c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben", For: 30 * time.Minute})
		require.NoError(t, err)
		expires := time.Now().Add(30 * time.Minute).UTC()

		time.Sleep(29 * time.Minute)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, incident.Acknowledged, c.read(t, inc.ID).State)
		// Who still works on it says so.
		_, err = c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		time.Sleep(59 * time.Minute)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, incident.Acknowledged, c.read(t, inc.ID).State)
		assert.Equal(t, []string{"begin " + run, "acknowledged " + run + " by ben", "acknowledged " + run + " by ben"}, c.escalator.take())

		time.Sleep(2 * time.Minute)
		require.NoError(t, c.manager.Tick(t.Context()))
		got := c.read(t, inc.ID)
		assert.Equal(t, incident.Triggered, got.State)
		assert.Empty(t, got.AcknowledgedBy)
		assert.NotZero(t, got.Acknowledged, "when it first was stays known")
		assert.False(t, clock(t, got, incident.ClockAcknowledge).Stopped.IsZero(), "and that that was in time")
		assert.Equal(t, []string{"unacknowledged " + run}, c.escalator.take(), "people are called again")
		last := c.timeline(t, inc.ID)[len(c.timeline(t, inc.ID))-1]
		assert.Equal(t, "acknowledgement expired", last.Kind)
		assert.Equal(t, expires.Add(59*time.Minute), last.At, "the time is that at which it expired")
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Empty(t, c.escalator.take(), "once")

		// What was mitigated does not become triggered because of it.
		_, err = c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		_, err = c.manager.Mitigate(t.Context(), inc.ID, "ben", "")
		require.NoError(t, err)
		time.Sleep(3 * time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, incident.Mitigated, c.read(t, inc.ID).State)
	})
}

// What a person does after an acknowledgement has expired, and before anybody noticed, is
// done to what the incident is by then.
func TestExpiredAcknowledgementIsNoticedByCommands(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AckFor: time.Minute})
		inc := c.open(t, alert.Critical)
		_, err := c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		got, err := c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "eve"})
		require.NoError(t, err)
		assert.Equal(t, "eve", got.AcknowledgedBy)
		kinds := c.kinds(t, inc.ID)
		assert.Equal(t, []string{"acknowledgement expired", "resolved"}, kinds[len(kinds)-2:])
	})
}

func TestReopen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{SLAs: map[alert.Severity]incident.SLA{
			alert.High: {Acknowledge: 30 * time.Minute, Mitigate: time.Hour, Resolve: 4 * time.Hour, Update: time.Hour},
		}})
		inc := c.open(t, alert.High)
		time.Sleep(time.Minute)
		_, err := c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		time.Sleep(24 * time.Hour)
		got, err := c.manager.Reopen(t.Context(), inc.ID, "eve", "it is slow again")
		require.NoError(t, err)
		now := time.Now().UTC()
		assert.Equal(t, now, got.Reopened)
		assert.Equal(t, 1, got.Reopens)
		assert.Zero(t, got.Resolved)
		assert.Zero(t, got.Closed)
		for _, k := range got.Clocks {
			assert.Equal(t, now, k.From, "clocks begin anew: the time in which it was closed does not count")
			assert.Zero(t, k.Stopped)
			assert.Zero(t, k.Told)
		}
		assert.Equal(t, inc.Triggered, got.Triggered)
		assert.Equal(t, []string{
			"begin escalation-" + inc.ID + "-0", "ended escalation-" + inc.ID + "-0", "begin escalation-" + inc.ID + "-1",
		}, c.escalator.take(), "another escalation")
	})
}
