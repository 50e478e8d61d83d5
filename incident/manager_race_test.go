package incident_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// Two processes that share a store are told of the same alerts at the same time: there is
// one incident for each, and each has an ID of its own.
func TestTwoManagersOpenOneIncident(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	managers := []*incident.Manager{c.manager, c.another(t)}
	now := time.Now()
	receipts := make([][]alert.Receipt, 12)
	var all sync.WaitGroup
	for i := range receipts {
		receipts[i] = make([]alert.Receipt, 4)
		for j := range receipts[i] {
			all.Go(func() {
				n := alert.Notification{
					Key: fmt.Sprint("c", i), Seq: 1, Kind: alert.KindFiring, At: now, Alerts: []alert.Alert{firing(fmt.Sprint("rule-", i), alert.High, now)},
				}
				r, err := managers[j%2].Notify(t.Context(), n)
				if err != nil {
					t.Error(err)
				}
				receipts[i][j] = r
			})
		}
	}
	all.Wait()
	incidents := c.all(t)
	require.Len(t, incidents, len(receipts))
	ids := make(map[string]bool)
	for _, inc := range incidents {
		ids[inc.ID] = true
		assert.Len(t, inc.Alerts, 1)
		assert.Equal(t, []string{"opened", "alert fired", "escalation"}, c.kinds(t, inc.ID), "each thing is told once")
	}
	for n := range len(receipts) {
		assert.Contains(t, ids, fmt.Sprintf("INC-%d-%04d", now.UTC().Year(), n+1), "there is no hole in the numbers")
	}
	for _, r := range receipts {
		assert.Len(t, slices.Compact(r), 1, "all are told the same: %v", r)
	}
}

// Many change one incident at the same time: none of the changes is lost.
func TestNoChangeIsLost(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	managers := []*incident.Manager{c.manager, c.another(t)}
	inc := c.open(t, alert.High)
	const writers, each = 8, 6
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range each {
				m, name := managers[w%2], fmt.Sprintf("%d-%d", w, i)
				var err error
				switch i % 3 {
				case 0:
					_, err = m.AttachRun(t.Context(), inc.ID, name, "ana")
				case 1:
					_, err = m.AttachDeployment(t.Context(), inc.ID, name, "ana")
				case 2:
					_, err = m.SetRole(t.Context(), inc.ID, "role "+name, "eve", "ana")
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got := c.read(t, inc.ID)
	assert.Len(t, got.Runs, writers*2)
	assert.Len(t, got.Deployments, writers*2)
	assert.Len(t, got.Roles, writers*2)
	assert.Len(t, c.timeline(t, inc.ID), 2+writers*each)
	assert.Len(t, c.chain(t, "audit"), 1+writers*each)
}

// Several take care at the same time, and several end it: one of them does, and the others
// are told that it is so already.
func TestOneOfSeveralEndsIt(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{})
	managers := []*incident.Manager{c.manager, c.another(t)}
	inc := c.open(t, alert.High)
	var all sync.WaitGroup
	errs := make([]error, 10)
	for i := range errs {
		all.Go(func() {
			_, errs[i] = managers[i%2].Resolve(t.Context(), inc.ID, incident.Resolution{By: fmt.Sprint("person ", i)})
		})
	}
	all.Wait()
	refused := 0
	for _, err := range errs {
		if errors.Is(err, incident.ErrState) {
			refused++
		} else {
			assert.NoError(t, err)
		}
	}
	assert.Equal(t, len(errs)-1, refused)
}

// While alerts come and go in two processes, people merge, resolve and reopen: nothing is
// lost, no error is unexpected, and every timeline is whole.
func TestAlertsAndPeopleAtTheSameTime(t *testing.T) {
	t.Parallel()
	c := newCase(t, incident.ManagerConfig{AutoResolve: true})
	managers := []*incident.Manager{c.manager, c.another(t)}
	base := time.Now().Add(-time.Hour)
	var all sync.WaitGroup
	for r := range 4 {
		all.Go(func() {
			talk := conversation{key: fmt.Sprint("c", r)}
			for i := range 15 {
				a := firing(fmt.Sprint("rule-", r), alert.High, base.Add(time.Duration(i)*time.Minute))
				talk.say(t, managers[i%2], alert.KindFiring, a)
				talk.say(t, managers[(i+r)%2], alert.KindResolved, over(a, base.Add(time.Duration(i)*time.Minute+time.Second)))
			}
		})
	}
	all.Go(func() {
		for range 20 {
			for inc, err := range managers[0].Incidents(t.Context(), incident.IncidentQuery{}) {
				if err != nil {
					t.Error(err)
				}
				_, ackErr := managers[1].Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
				_, openErr := managers[0].Reopen(t.Context(), inc.ID, "eve", "again")
				for _, err := range []error{ackErr, openErr} {
					if err != nil && !errors.Is(err, incident.ErrState) && !errors.Is(err, incident.ErrTaken) {
						t.Error(err)
					}
				}
			}
			if err := managers[1].Tick(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	open := make(map[string]int)
	for _, inc := range c.all(t) {
		c.timeline(t, inc.ID) // is whole
		if inc.State.Open() {
			open[inc.Key]++
		}
		for _, l := range inc.Alerts {
			assert.False(t, l.Ended.IsZero(), "%s: every alert has ended", inc.ID)
		}
	}
	for key, n := range open {
		assert.Equal(t, 1, n, "open incidents of %s", key)
	}
}
