package alert_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// A first critical alert does not wait for more, also in a group that waits; further ones
// come Wait after the last message, and what is less severe after Update.
func TestWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		began := time.Now()
		at := func(want time.Duration, n int) {
			t.Helper()
			pass(time.Until(began.Add(want - time.Second)))
			assert.Len(t, in.told(), n-1, "too early")
			pass(time.Second)
			assert.Len(t, in.told(), n, "too late")
		}
		handle(t, r, firing(alert.High, "production", "a"))
		pass(5 * time.Second)
		assert.Empty(t, in.told())
		handle(t, r, firing(alert.Critical, "production", "b"))
		pass(0)
		require.Equal(t, []string{"CRITICAL production: b has failed 3 checks in a row, and 1 more"}, in.titles())
		handle(t, r, firing(alert.High, "production", "c"))
		pass(time.Second)
		handle(t, r, firing(alert.Critical, "production", "d"))
		at(35*time.Second, 2)
		assert.Contains(t, in.told()[1].Title, "and 3 more")
		handle(t, r, firing(alert.Low, "production", "e"))
		at(335*time.Second, 3)
		pass(5 * time.Minute)
		handle(t, r, firing(alert.Critical, "production", "f"))
		pass(0)
		assert.Len(t, in.told(), 4, "nothing was told for long")
	})
}

// What was told and gets worse while it is muted is not told; that somebody takes care of it
// is, since a service may wait for that.
func TestMutedAlertThatGetsWorse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		r := router(t, one(in))
		a := firing(alert.High, "production", "a")
		handle(t, r, a)
		pass(time.Minute)
		s, err := r.Silence(t.Context(), alert.Silence{Match: alert.Matcher{Labels: map[string]string{"entity": "a"}}, By: "ana", Comment: "known", Ends: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		a.Severity = alert.Critical
		handle(t, r, a)
		pass(10 * time.Minute)
		assert.Len(t, in.told(), 1)
		require.NoError(t, r.EndSilence(t.Context(), s.ID, "ana"))
		pass(time.Second)
		require.Len(t, in.told(), 2)
		assert.Contains(t, in.told()[1].Title, "WORSE, CRITICAL production")
		_, err = r.Silence(t.Context(), alert.Silence{Match: s.Match, By: "ana", Comment: "known", Ends: time.Now().Add(time.Hour)})
		require.NoError(t, err)
		require.NoError(t, r.Acknowledge(t.Context(), a.Key, alert.Acknowledgement{By: "ana"}))
		pass(time.Second)
		require.Len(t, in.told(), 3)
		assert.Contains(t, in.told()[2].Title, "TAKEN by ana")
	})
}

// What an alert explained is told as soon as that one is over, also if nobody was told of it.
func TestExplanationThatEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Store, cfg.Routes[0].Match = nil, alert.Matcher{Environments: []string{"production"}}
		r := router(t, cfg)
		parent, child := firing(alert.Critical, "elsewhere", "network"), firing(alert.Critical, "production", "app")
		child.Parents = []string{parent.Key}
		handle(t, r, parent, child)
		pass(10 * time.Second)
		assert.Empty(t, in.told())
		handle(t, r, over(parent))
		pass(0)
		assert.Len(t, in.told(), 1)
	})
}

// Times that a wrong clock has left in the store hold nothing up.
func TestClockThatWasWrong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].GroupBy = []string{"entity"}
		r := start(t, cfg)
		handle(t, r, firing(alert.Critical, "production", "told"))
		pass(time.Second)
		in.fails(&alert.Error{Unsent: true})
		handle(t, r, firing(alert.High, "production", "waits"), firing(alert.Critical, "production", "tried"))
		pass(time.Second)
		stop(t, r)
		var changes []alert.Record
		for record, err := range cfg.Store.Open(t.Context()) {
			require.NoError(t, err)
			if record.Kind != "thread" {
				continue
			}
			var th map[string]any
			require.NoError(t, json.Unmarshal(record.Data, &th))
			for _, name := range []string{"waiting", "remind_at"} {
				if th[name] != nil {
					th[name] = "2099-01-01T00:00:00Z"
				}
			}
			if m, ok := th["message"].(map[string]any); ok {
				m["after"] = "2099-01-01T00:00:00Z"
			}
			record.Data, _ = json.Marshal(th)
			changes = append(changes, record)
		}
		require.Len(t, changes, 3)
		require.NoError(t, cfg.Store.Write(t.Context(), changes))
		in.fails(nil)
		r = start(t, cfg)
		pass(time.Minute)
		assert.Len(t, in.told(), 2, "what waited has been told")
		pass(time.Hour)
		assert.Len(t, slicesWithout(in.kinds(), alert.KindReminder), 3, "what was tried is told within an hour")
		pass(8 * time.Hour)
		assert.Contains(t, in.kinds(), alert.KindReminder)
		stop(t, r)
	})
}

func slicesWithout(kinds []alert.Kind, kind alert.Kind) (rest []alert.Kind) {
	for _, k := range kinds {
		if k != kind {
			rest = append(rest, k)
		}
	}
	return rest
}
