package incident_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// A run that belongs to no incident is offered as the policy lets it be, and once however
// often it is offered.
func TestOffer(t *testing.T) {
	for _, c := range []struct {
		mode incident.Mode
		want incident.Offered
		did  []string
		asks int
	}{
		{incident.Act, incident.OfferStarted, []string{"act"}, 0},
		{incident.Suggest, incident.OfferSuggested, nil, 1},
		{incident.Observe, incident.OfferLeft, nil, 0},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			w := new(world)
			automated(t, incident.AutomationPolicy{Mode: c.mode}, "", func(b *bench, a *incident.Automation) {
				q := incident.Request{ID: "window-1", Environment: "production", Playbook: "restart"}
				for range 3 {
					did, err := a.Offer(b.t.Context(), b.Runner, q, time.Hour)
					require.NoError(b.t, err)
					assert.Equal(b.t, c.want, did)
					synctest.Wait()
				}
				assert.Equal(b.t, len(c.did), len(w.did()), "%v", w.did())
				open, err := b.Approvals(b.t.Context())
				require.NoError(b.t, err)
				assert.Len(b.t, open, c.asks)
				_, err = a.Offer(b.t.Context(), b.Runner, incident.Request{Environment: "production", Playbook: "restart"}, 0)
				assert.ErrorContains(b.t, err, "an ID is required")
			}, w.action("act"))
		})
	}
}
