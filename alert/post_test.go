package alert_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
)

// Whoever only looks tells nobody anything.
func TestPostOfWhoMayOnlyRead(t *testing.T) {
	t.Parallel()
	people, page := &alerttest.Recorder{}, &alerttest.Recorder{}
	r, err := alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{
			{Name: "alerts", Notifier: &alerttest.Recorder{}},
			{Name: "people", Notifier: people, Audience: alert.Everyone},
			{Name: "page", Notifier: page, Audience: alert.Everyone, NeedsApproval: true},
		},
		Routes: []alert.Route{{Name: "all", Targets: []string{"alerts"}}},
	})
	require.NoError(t, err)
	ctx := runbook.ReadOnly(t.Context())
	for _, err := range []error{
		r.Handle(ctx, firing(alert.High, "production", "app")),
		r.Acknowledge(ctx, "x", alert.Acknowledgement{By: "ana"}), r.AcknowledgeConversation(ctx, "x", alert.Acknowledgement{By: "ana"}),
		r.EndSilence(ctx, "x", "ana"), r.Approve(ctx, "x", "ana"), r.Discard(ctx, "x", "ana"),
		r.Post(ctx, alert.Post{ID: "1", Title: "all is well"}), r.Post(ctx, alert.Post{ID: "1", Title: "all is well"}, "page"), r.Test(ctx, "people", "ana"),
	} {
		require.ErrorIs(t, err, runbook.ErrReadOnly)
		assert.True(t, runbook.SafeToRetry(err))
	}
	_, err = r.Silence(ctx, alert.Silence{Match: alert.Matcher{Environments: []string{"test"}}, By: "ana", Comment: "x", Ends: time.Now().Add(time.Hour)})
	require.ErrorIs(t, err, runbook.ErrReadOnly)
	assert.Empty(t, r.Alerts())
	assert.Empty(t, r.Drafts())
	assert.Empty(t, people.Notifications())
	require.NoError(t, r.Test(t.Context(), "people", "ana"))
	assert.Len(t, people.Notifications(), 1)
}
