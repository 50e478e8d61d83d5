package incident_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// escalateManaged is a world in which a Manager keeps the incidents.
func escalateManaged(t *testing.T, policy incident.EscalationPolicy, change func(cfg *incident.ManagerConfig), test func(t *testing.T, w *escalationWorld, m *incident.Manager)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newEscalationWorld(t, policy)
		var m *incident.Manager
		w.cfg.Hooks = incident.EscalationHooksOf(func() *incident.Manager { return m })
		w.launch()
		cfg := incident.ManagerConfig{Store: &incident.MemoryStore{}, Escalator: w.x, Logger: quietLogger()}
		change(&cfg)
		var err error
		m, err = incident.NewManager(cfg)
		require.NoError(t, err)
		require.NoError(t, m.Start(w.ctx))
		test(t, w, m)
		require.NoError(t, m.Stop(w.ctx))
		require.NoError(t, w.runs.Close(w.ctx))
	})
}

// escalationLines returns what an escalation put on a timeline.
func escalationLines(w *escalationWorld, m *incident.Manager, id string) (lines []string) {
	for e, err := range m.Timeline(w.ctx, id, 0) {
		require.NoError(w.t, err)
		if e.Kind == "escalated" || e.Kind == "escalation" {
			lines = append(lines, e.Text)
		}
	}
	return lines
}

// An incident of a Manager, from the first call to the review: what it says stops the
// calls, and what the escalation does stands on its timeline.
//
// Requirement: AL-GATUS-ESCALATION
func TestEscalationOfAManager(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[1].AfterFor = map[alert.Severity]time.Duration{alert.Medium: 2 * time.Hour}
	escalateManaged(t, policy, func(*incident.ManagerConfig) {}, func(t *testing.T, w *escalationWorld, m *incident.Manager) {
		ctx := w.ctx
		inc, err := m.Open(ctx, incident.Opening{By: "Dee", Title: "Canvas does not answer", Environment: "production", Severity: alert.Medium})
		require.NoError(t, err)
		w.wait(30 * time.Minute)
		assert.Equal(t, []string{"0s ana firing"}, w.told())
		_, err = m.SetSeverity(ctx, inc.ID, alert.Critical, "Dee", "nobody can log in")
		require.NoError(t, err)
		w.wait(16 * time.Minute)
		assert.Equal(t, []string{"30m0s ana update", "45m0s bo firing"}, w.told()[1:])
		inc, err = m.Incident(ctx, inc.ID)
		require.NoError(t, err)
		assert.Equal(t, 2, inc.Level)
		_, err = m.Acknowledge(ctx, inc.ID, incident.Ack{By: "Bo"})
		require.NoError(t, err)
		w.wait(time.Hour)
		assert.Equal(t, []string{"46m0s ana update"}, w.told()[3:])
		_, err = m.Resolve(ctx, inc.ID, incident.Resolution{By: "Bo", Cause: "a full disk", Resolution: "made room"})
		require.NoError(t, err)
		w.wait(time.Minute)
		assert.Equal(t, []string{"1h46m0s ana resolved", "1h46m0s bo resolved"}, w.told()[4:])
		w.ended(inc.Escalation)
		lines := escalationLines(w, m, inc.ID)
		for _, want := range []string{
			"Level 1, Operations, was called: Ana (ana).", "It is critical now, and was medium: the level that was reached is called again.",
			"Level 2, Development, was called: Bo (bo).", "Bo takes care: nobody is called any more.", "It is over: the escalation ends.",
		} {
			assert.Contains(t, lines, want)
		}
		list, err := w.x.Audit(ctx)
		require.NoError(t, err)
		assert.Empty(t, list)
	})
}

// An acknowledgement of a Manager that expires begins the calls again, and a reopened
// incident has an escalation of its own.
//
// Requirement: INC-ASK-ACK-EXPIRES
func TestEscalationWhenTheManagerSaysThatNobodyTakesCare(t *testing.T) {
	t.Parallel()
	escalateManaged(t, threeLevels(), func(cfg *incident.ManagerConfig) { cfg.AckFor = time.Hour }, func(t *testing.T, w *escalationWorld, m *incident.Manager) {
		ctx := w.ctx
		inc, err := m.Open(ctx, incident.Opening{By: "Dee", Title: "Canvas does not answer", Severity: alert.Critical})
		require.NoError(t, err)
		w.wait(time.Minute)
		_, err = m.Acknowledge(ctx, inc.ID, incident.Ack{By: "Ana"})
		require.NoError(t, err)
		w.wait(62 * time.Minute)
		require.Len(t, w.told(), 2)
		assert.Equal(t, alert.KindReminder, w.last("ana").Kind)
		assert.Contains(t, w.last("ana").Text, "Ana had acknowledged, and no longer takes care.")
		_, err = m.Resolve(ctx, inc.ID, incident.Resolution{By: "Ana", Resolution: "it was nothing"})
		require.NoError(t, err)
		w.wait(time.Minute)
		first, err := m.Incident(ctx, inc.ID)
		require.NoError(t, err)
		reopened, err := m.Reopen(ctx, inc.ID, "Dee", "it was something")
		require.NoError(t, err)
		w.wait(time.Minute)
		assert.NotEqual(t, first.Escalation, reopened.Escalation)
		assert.Equal(t, alert.KindFiring, w.last("ana").Kind)
	})
}

// Each acknowledgement begins the time of the policy anew, also one of somebody who takes
// it over. When it is over the incident is triggered again.
//
// Requirement: INC-ESC-ACK-TIMEOUT, INC-ASK-ACK-EXPIRES
func TestEscalationWhoseOwnTimeIsOver(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.AckTimeout = time.Hour
	escalateManaged(t, policy, func(*incident.ManagerConfig) {}, func(t *testing.T, w *escalationWorld, m *incident.Manager) {
		inc, err := m.Open(w.ctx, incident.Opening{By: "Dee", Title: "Canvas does not answer", Severity: alert.Critical})
		require.NoError(t, err)
		ack := func(by string) {
			_, err := m.Acknowledge(w.ctx, inc.ID, incident.Ack{By: by})
			require.NoError(t, err)
		}
		w.wait(time.Second)
		ack("Ana")
		w.wait(50 * time.Minute)
		ack("Bo") // takes it over
		w.wait(59 * time.Minute)
		require.Equal(t, []string{"0s ana firing"}, w.told())
		w.wait(2 * time.Minute)
		assert.Equal(t, []string{"1h50m1s ana reminder"}, w.told()[1:])
		assert.Contains(t, w.last("ana").Text, "Bo acknowledged, and nothing was heard since.")
		got, err := m.Incident(w.ctx, inc.ID)
		require.NoError(t, err)
		assert.Equal(t, incident.Triggered, got.State)
		assert.Empty(t, got.AcknowledgedBy)
		assert.Equal(t, incident.Triggered, got.Told.Escalation, "it need not be told what it said")
		w.wait(time.Minute)
		ack("Cy")
		w.wait(59 * time.Minute)
		assert.Empty(t, w.channels["bo"].Notifications(), "the next level is not called")
		assert.Contains(t, escalationLines(w, m, inc.ID), "Cy takes care: nobody is called any more.")
	})
}

// A level that takes several acknowledgements gets each that the Manager is given; until
// then the next level is called, and what was not enough does not become enough later.
func TestEscalationOfAManagerThatNeedsSeveral(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[0].MultiAck = true
	policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{Channel: "cy"})
	run := func(name string, test func(t *testing.T, w *escalationWorld, ack func(by string))) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			escalateManaged(t, policy, func(*incident.ManagerConfig) {}, func(t *testing.T, w *escalationWorld, m *incident.Manager) {
				inc, err := m.Open(w.ctx, incident.Opening{By: "Eve", Title: "Canvas does not answer", Severity: alert.Critical})
				require.NoError(t, err)
				w.wait(time.Second)
				test(t, w, func(by string) {
					_, err := m.Acknowledge(w.ctx, inc.ID, incident.Ack{By: by})
					require.NoError(t, err)
					w.wait(time.Second)
				})
			})
		})
	}
	run("both", func(t *testing.T, w *escalationWorld, ack func(by string)) {
		ack("Ana")
		ack("Cy")
		w.wait(3 * time.Hour)
		assert.Empty(t, w.channels["bo"].Notifications())
	})
	run("one", func(t *testing.T, w *escalationWorld, ack func(by string)) {
		ack("Ana")
		ack("Ana")
		w.wait(3 * time.Hour)
		assert.NotEmpty(t, w.channels["bo"].Notifications())
		assert.NotEmpty(t, w.channels["infra"].Notifications(), "nobody of the second level has acknowledged")
	})
}

// forgetful is a store that does not record that escalations have begun: the process ends
// before.
type forgetful struct {
	incident.Store
	ends atomic.Bool
}

func (f *forgetful) Commit(ctx context.Context, c incident.Change) (incident.Change, error) {
	begun := func(e incident.Entry) bool { return e.Key == "escalation/0" }
	if f.ends.Load() && slices.ContainsFunc(c.Entries, begun) {
		return incident.Change{}, errDown
	}
	return f.Store.Commit(ctx, c)
}

// deaf is an escalator that cannot be told that it begins or ends.
type deaf struct{ incident.IncidentEscalator }

func (deaf) Begin(context.Context, incident.Incident) (string, error) { return "", errDown }

func (deaf) Ended(context.Context, string) error { return errDown }

// A process has begun an escalation and ended before it could record that. Whatever happens
// to the incident before the next tick, the escalation is told.
func TestEscalationThatBeganUnrecorded(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.Levels[0].MultiAck = true
	policy.Levels[0].Targets = append(policy.Levels[0].Targets, incident.EscalationTarget{Channel: "cy"})
	run := func(name string, test func(t *testing.T, w *escalationWorld, m *incident.Manager, inc incident.Incident, store incident.Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := &forgetful{Store: &incident.MemoryStore{}}
			store.ends.Store(true)
			escalateManaged(t, policy, func(cfg *incident.ManagerConfig) { cfg.Store = store }, func(t *testing.T, w *escalationWorld, m *incident.Manager) {
				inc, err := m.Open(w.ctx, incident.Opening{By: "Eve", Title: "Canvas does not answer", Severity: alert.Critical})
				require.NoError(t, err)
				w.wait(time.Second)
				inc, err = m.Incident(w.ctx, inc.ID)
				require.NoError(t, err)
				require.Empty(t, inc.Escalation)
				require.Equal(t, []string{"0s ana firing", "0s cy firing"}, w.told())
				store.ends.Store(false)
				test(t, w, m, inc, store)
			})
		})
	}
	run("acknowledged by all who have to", func(t *testing.T, w *escalationWorld, m *incident.Manager, inc incident.Incident, _ incident.Store) {
		for _, by := range []string{"Ana", "Cy"} {
			_, err := m.Acknowledge(w.ctx, inc.ID, incident.Ack{By: by})
			require.NoError(t, err)
		}
		w.wait(3 * time.Hour)
		assert.Empty(t, w.channels["bo"].Notifications())
		got, err := m.Incident(w.ctx, inc.ID)
		require.NoError(t, err)
		assert.Equal(t, w.x.RunOf(inc), got.Escalation)
		assert.Contains(t, escalationLines(w, m, inc.ID), "people are called until somebody takes care")
	})
	run("resolved", func(t *testing.T, w *escalationWorld, m *incident.Manager, inc incident.Incident, _ incident.Store) {
		_, err := m.Resolve(w.ctx, inc.ID, incident.Resolution{By: "Ana"})
		require.NoError(t, err)
		w.wait(time.Second)
		w.ended(w.x.RunOf(inc))
		assert.Contains(t, w.told(), "1s ana resolved")
	})
	run("resolved and reopened by processes that ended too", func(t *testing.T, w *escalationWorld, _ *incident.Manager, inc incident.Incident, store incident.Store) {
		other, err := incident.NewManager(incident.ManagerConfig{Store: store, Escalator: deaf{w.x}, Logger: quietLogger()})
		require.NoError(t, err)
		_, err = other.Resolve(w.ctx, inc.ID, incident.Resolution{By: "Ana"})
		require.NoError(t, err)
		_, err = other.Reopen(w.ctx, inc.ID, "Bo", "it is not")
		require.NoError(t, err)
		w.wait(3 * time.Minute)
		w.ended(w.x.RunOf(inc))
	})
}

// Users are no longer hurt: nobody is woken because nothing was heard.
func TestEscalationOfWhatIsMitigated(t *testing.T) {
	t.Parallel()
	policy := threeLevels()
	policy.AckTimeout = time.Hour
	escalateManaged(t, policy, func(*incident.ManagerConfig) {}, func(t *testing.T, w *escalationWorld, m *incident.Manager) {
		inc, err := m.Open(w.ctx, incident.Opening{By: "Dee", Title: "Canvas does not answer", Severity: alert.Critical})
		require.NoError(t, err)
		w.wait(time.Second)
		_, err = m.Acknowledge(w.ctx, inc.ID, incident.Ack{By: "Ana"})
		require.NoError(t, err)
		w.wait(time.Minute)
		_, err = m.Mitigate(w.ctx, inc.ID, "Ana", "the old version works")
		require.NoError(t, err)
		w.wait(5 * time.Hour)
		assert.Equal(t, []string{"0s ana firing"}, w.told())
		got, err := m.Reopen(w.ctx, inc.ID, "Bo", "it is back")
		require.NoError(t, err)
		require.Equal(t, incident.Acknowledged, got.State)
		w.wait(2 * time.Hour)
		assert.Contains(t, w.told(), "6h0m1s ana reminder", "an hour after it was seen to be mitigated last")
	})
}
