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

// again is the incident, reopened so many times.
func again(reopens int) incident.Incident {
	i := opened()
	i.Reopens, i.Reopened = reopens, time.Now()
	return i
}

// What was done about an incident that is reopened has not lasted: its playbook is
// considered anew each time, within the budget of the hour, and then people are asked.
//
// Requirement: INC-POLICY-BUDGET
func TestAPlaybookBeginsAgainWhenItsIncidentIsReopened(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Act, PerHour: 3}, "", func(b *bench, a *incident.Automation) {
		ctx := b.t.Context()
		consider := func(i incident.Incident) string {
			did, err := a.Consider(ctx, b.Runner, i, true)
			require.NoError(t, err)
			synctest.Wait()
			return did
		}
		assert.Equal(t, "started restart", consider(opened()))
		time.Sleep(time.Minute)
		first := again(1)
		assert.Equal(t, "started restart again, since the incident was reopened", consider(first))
		assert.Equal(t, "started restart", consider(first), "the same one again is the same")
		assert.Equal(t, []string{"act", "act"}, w.did())
		time.Sleep(time.Minute)
		const over = "3 automatic actions were made in production within an hour, which is the limit; a person decides"
		assert.Equal(t, "suggested restart again, since the incident was reopened; "+over, consider(again(2)))
		time.Sleep(time.Minute)
		assert.Equal(t, "people are still asked whether to start restart", consider(again(3)))
		time.Sleep(2 * time.Hour)
		assert.Equal(t, "started restart again, since the incident was reopened", consider(again(4)))
		assert.Equal(t, []string{"act", "act", "act"}, w.did())
	}, w.action("act"))
}

func TestAPlaybookDoesNotBeginBesideItself(t *testing.T) {
	w := new(world)
	automated(t, incident.AutomationPolicy{Mode: incident.Act}, "", func(b *bench, a *incident.Automation) {
		i := opened()
		_, err := a.Consider(b.t.Context(), b.Runner, i, true)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		did, err := a.Consider(b.t.Context(), b.Runner, again(1), true)
		require.NoError(t, err)
		assert.Contains(t, did, "restart is still under way, as run auto-inc-2026-0001-")
		var n int
		for _, err := range b.Runs(b.t.Context(), incident.RunQuery{}) {
			require.NoError(t, err)
			n++
		}
		assert.Equal(t, 1, n)
	}, gate(), w.action("act"))
}

// The host is told once each time that an alert reopens an incident, however many
// processes are told of the alert, and also if the one that reopened it ended before it
// could say so; and not when a person does.
func TestOnReopenedIsCalledOnceEachTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls []int
		store := &faultyStore{Store: &incident.MemoryStore{}}
		c := newCase(t, incident.ManagerConfig{Store: store, AutoResolve: true, Hooks: incident.ManagerHooks{
			OnReopened: func(_ context.Context, i incident.Incident, b incident.Binding) {
				assert.Equal(t, "any", b.Name)
				calls = append(calls, i.Reopens)
			},
		}})
		other := c.another(t)
		talk := conversation{key: "c1"}
		fire := func() alert.Notification {
			time.Sleep(time.Minute)
			return talk.say(t, c.manager, alert.KindFiring, firing("memory", alert.High, time.Now()))
		}
		over := func() {
			time.Sleep(time.Minute)
			talk.say(t, c.manager, alert.KindResolved)
		}
		fire()
		over()
		assert.Empty(t, calls, "it was opened")
		n := fire()
		_, err := other.Notify(t.Context(), n)
		require.NoError(t, err)
		assert.Equal(t, []int{1}, calls)
		over()
		_, err = c.manager.Reopen(t.Context(), "INC-2000-0001", "ben", "it is not over")
		require.NoError(t, err)
		_, err = c.manager.Resolve(t.Context(), "INC-2000-0001", incident.Resolution{By: "ben"})
		require.NoError(t, err)
		assert.Equal(t, []int{1}, calls, "a person knows")

		time.Sleep(time.Minute)
		store.after = []error{errDown} // the process ends when it has reopened it
		_, err = c.manager.Notify(t.Context(), alert.Notification{Key: "c9", Seq: 1, Kind: alert.KindFiring, At: time.Now(), Alerts: []alert.Alert{firing("memory", alert.High, time.Now())}})
		require.Error(t, err)
		require.NoError(t, other.Tick(t.Context()))
		assert.Len(t, calls, 1, "for a minute that is left to the other process")
		time.Sleep(time.Minute)
		require.NoError(t, other.Tick(t.Context()))
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Equal(t, []int{1, 3}, calls)
	})
}
