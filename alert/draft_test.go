package alert_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
)

// A mail to a vendor is drafted, survives a restart, and is sent once, when somebody has
// approved it.
func TestDrafts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, vendor := &alerttest.Recorder{}, &alerttest.Recorder{}
		cfg := alert.RouterConfig{
			Store: &alert.MemoryStore{},
			Targets: []alert.Target{
				{Name: "alerts", Notifier: &alerttest.Recorder{}},
				{Name: "status", Notifier: status, Audience: alert.Everyone},
				{Name: "canvas-support", Notifier: vendor, Audience: alert.Everyone, NeedsApproval: true},
			},
			Routes: []alert.Route{{Name: "all", Targets: []string{"alerts"}}},
		}
		start := func() *alert.Router {
			r, err := alert.NewRouter(cfg)
			require.NoError(t, err)
			require.NoError(t, r.Start(t.Context()))
			return r
		}
		r := start()
		post := alert.Post{ID: "incident-7", Title: "Canvas answers 500 since 03:12", Body: "Request IDs: ..."}
		require.NoError(t, r.Post(t.Context(), post))
		assert.Empty(t, r.Drafts(), "a vendor is written to by name only")
		require.NoError(t, r.Post(t.Context(), post, "canvas-support"))
		time.Sleep(time.Second)
		require.NoError(t, r.Post(t.Context(), alert.Post{ID: "incident-8", Title: "never mind"}, "canvas-support"))
		require.NoError(t, r.Stop(t.Context()))

		r = start()
		time.Sleep(time.Hour)
		synctest.Wait()
		assert.Len(t, status.Notifications(), 1)
		assert.Empty(t, vendor.Notifications())
		drafts := r.Drafts()
		require.Len(t, drafts, 2)
		require.Error(t, r.Approve(t.Context(), drafts[0].ID, ""))
		require.NoError(t, r.Approve(t.Context(), drafts[0].ID, "ana"))
		require.ErrorIs(t, r.Approve(t.Context(), drafts[0].ID, "ben"), alert.ErrNoDraft)
		require.NoError(t, r.Discard(t.Context(), drafts[1].ID, "ana"))
		time.Sleep(time.Minute)
		synctest.Wait()
		sent := vendor.Notifications()
		require.Len(t, sent, 1)
		assert.Equal(t, "Canvas answers 500 since 03:12", sent[0].Title)
		assert.Equal(t, "ana", sent[0].Post.By)
		assert.Empty(t, r.Drafts())
		require.NoError(t, r.Stop(t.Context()))
	})
}

// Alerts do not wait for anybody.
func TestOperatorsNeedNoApproval(t *testing.T) {
	_, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{{Name: "a", Notifier: &alerttest.Recorder{}, NeedsApproval: true}},
		Routes:  []alert.Route{{Name: "all", Targets: []string{"a"}}},
	})
	assert.ErrorContains(t, err, "alerts do not wait for approval")
}

// What was approved for a vendor is not told to others when the vendor cannot be reached.
func TestApprovedForOneIsForOne(t *testing.T) {
	_, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{
			{Name: "alerts", Notifier: &alerttest.Recorder{}},
			{Name: "status", Notifier: &alerttest.Recorder{}, Audience: alert.Everyone},
			{Name: "vendor", Notifier: &alerttest.Recorder{}, Audience: alert.Everyone, NeedsApproval: true, Fallback: "status"},
		},
		Routes: []alert.Route{{Name: "all", Targets: []string{"alerts"}}},
	})
	assert.ErrorContains(t, err, "for it alone")
}
