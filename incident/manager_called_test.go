package incident_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// The escalation is told of everybody who acknowledges: of each once, and after it could
// not be told, or the process has ended, of all of them.
func TestEveryAcknowledgementReachesTheEscalation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{})
		inc := c.open(t, alert.Critical)
		run := c.read(t, inc.ID).Escalation
		ack := func(by string) {
			_, err := c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: by})
			require.NoError(t, err)
		}
		c.escalator.take()
		ack("ana")
		ack("ben")
		ack("ana")
		assert.Equal(t, []string{"acknowledged " + run + " by ana", "acknowledged " + run + " by ben", "acknowledged " + run + " by ana"}, c.escalator.take())
		c.escalator.errs = []error{errDown, errDown}
		ack("eve")
		ack("dan")
		assert.Empty(t, c.escalator.take())
		time.Sleep(2 * time.Minute)
		require.NoError(t, c.another(t).Tick(t.Context()))
		assert.Equal(t, []string{"acknowledged " + run + " by eve", "acknowledged " + run + " by dan"}, c.escalator.take())
		time.Sleep(2 * time.Minute)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Empty(t, c.escalator.take())
		assert.Empty(t, c.read(t, inc.ID).Told.AcksOwed)
	})
}

// What was not told before it was over is not told after.
func TestAcknowledgementThatIsOwedNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AckFor: time.Hour})
		inc := c.open(t, alert.Critical)
		c.escalator.errs = []error{errDown}
		c.escalator.take()
		_, err := c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ana"})
		require.NoError(t, err)
		time.Sleep(2 * time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Empty(t, c.escalator.take())
		got := c.read(t, inc.ID)
		assert.Equal(t, incident.Triggered, got.State)
		assert.Empty(t, got.Told.AcksOwed)
	})
}

// An escalation that could not begin before somebody took care, or before it was over, is
// not begun for that, and is no error. It begins when nobody takes care any more.
func TestEscalationThatNeverBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{AckFor: time.Hour})
		c.escalator.errs = []error{errDown, errDown}
		one, two := c.open(t, alert.Critical), c.open(t, alert.Critical)
		_, err := c.manager.Acknowledge(t.Context(), one.ID, incident.Ack{By: "ana"})
		require.NoError(t, err)
		_, err = c.manager.Resolve(t.Context(), two.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		for range 3 {
			time.Sleep(time.Minute)
			require.NoError(t, c.another(t).Tick(t.Context()))
		}
		assert.Empty(t, c.escalator.take())
		got := c.read(t, two.ID)
		assert.Equal(t, incident.Resolved, got.Told.Escalation, "it is not asked about again")
		assert.Empty(t, got.Escalation)
		time.Sleep(time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, []string{"begin escalation-" + one.ID + "-0"}, c.escalator.take())
	})
}

// beginning is an escalator of which something happens before it has begun, or ended.
type beginning struct {
	*fakeEscalator
	begins, ends func()
}

func (b *beginning) Begin(ctx context.Context, i incident.Incident) (string, error) {
	run, err := b.fakeEscalator.Begin(ctx, i)
	if do := b.begins; do != nil {
		b.begins = nil
		do()
	}
	return run, err
}

func (b *beginning) Ended(ctx context.Context, run string) error {
	err := b.fakeEscalator.Ended(ctx, run)
	if do := b.ends; do != nil {
		b.ends = nil
		do()
	}
	return err
}

// An incident that is reopened has an escalation of its own, whatever the one before knows
// by then, and that one ends.
func TestReopenWhileTheEscalationIsTold(t *testing.T) {
	t.Parallel()
	resolve := func(t *testing.T, m *incident.Manager, id string) {
		_, err := m.Resolve(t.Context(), id, incident.Resolution{By: "ben"})
		assert.NoError(t, err)
	}
	reopen := func(t *testing.T, m *incident.Manager, id string) {
		_, err := m.Reopen(t.Context(), id, "eve", "it is not")
		assert.NoError(t, err)
	}
	for _, test := range []struct {
		name string
		do   func(t *testing.T, b *beginning, m, other *incident.Manager) (id string)
	}{
		{"it begins", func(t *testing.T, b *beginning, m, other *incident.Manager) string {
			b.begins = func() {
				resolve(t, other, "INC-2000-0001")
				reopen(t, other, "INC-2000-0001")
			}
			inc, err := m.Open(t.Context(), incident.Opening{By: "ana", Title: "slow", Severity: alert.Critical})
			require.NoError(t, err)
			return inc.ID
		}},
		{"it ends", func(t *testing.T, b *beginning, m, other *incident.Manager) string {
			inc, err := m.Open(t.Context(), incident.Opening{By: "ana", Title: "slow", Severity: alert.Critical})
			require.NoError(t, err)
			b.ends = func() { reopen(t, other, inc.ID) }
			resolve(t, m, inc.ID)
			return inc.ID
		}},
		{"it cannot be told that it ends", func(t *testing.T, b *beginning, m, _ *incident.Manager) string {
			inc, err := m.Open(t.Context(), incident.Opening{By: "ana", Title: "slow", Severity: alert.Critical})
			require.NoError(t, err)
			b.errs = []error{errDown, errDown}
			resolve(t, m, inc.ID)
			reopen(t, m, inc.ID)
			return inc.ID
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &beginning{fakeEscalator: &fakeEscalator{}}
				c := newCase(t, incident.ManagerConfig{Escalator: b})
				id := test.do(t, b, c.manager, c.another(t))
				for range 2 {
					time.Sleep(2 * time.Minute)
					require.NoError(t, c.manager.Tick(t.Context()))
				}
				said := b.take()
				assert.Contains(t, said, "begin escalation-"+id+"-1")
				assert.Contains(t, said, "ended escalation-"+id+"-0")
				assert.NotContains(t, said, "ended escalation-"+id+"-1")
				got := c.read(t, id)
				assert.Equal(t, "escalation-"+id+"-1", got.Escalation)
				assert.Equal(t, incident.Triggered, got.Told.Escalation)
				assert.Empty(t, got.Told.EndsOwed)
			})
		})
	}
}

// The clock of whoever says that an alert is over may be behind that of who said that it
// fires.
func TestAlertThatEndsBeforeItFired(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{AutoResolve: true})
	talk := conversation{key: "c1"}
	a := firing("health_check", alert.High, time.Now())
	talk.say(t, c.manager, alert.KindFiring, a)
	n := over(a, a.Fired.Add(-time.Second))
	_, err := c.manager.Notify(t.Context(), alert.Notification{Key: "c1", Seq: 2, Kind: alert.KindResolved, At: n.Ended, Alerts: []alert.Alert{n}, Prior: talk.prior})
	require.NoError(t, err)
	got := c.all(t)[0]
	assert.Equal(t, incident.Resolved, got.State)
	assert.False(t, got.Alerts[0].Ended.Before(got.Alerts[0].Fired))
}
