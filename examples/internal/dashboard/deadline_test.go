package dashboard_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// The first page and that of the incident say until when a breach has to be settled, also when
// the incident is over; and a button without a script settles it.
func TestADeadlineIsShownUntilAPersonSettlesIt(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		_, _, err := n.Manager.SetDeadline(n.Context(), inc.ID, incident.Obligation{
			By: "runbook", Name: "notify", What: "settle whether <b>it</b> must be notified", Tell: "the privacy officer", Due: time.Now().Add(30*24*time.Hour + time.Minute),
		})
		require.NoError(n, err)
		text := n.get("val", "/").ok()
		assert.Contains(n, text, "Notify by")
		assert.Contains(n, text, "30 d")
		assert.Contains(n, text, "settle whether <b>it</b> must be notified")
		_, err = n.Manager.Resolve(n.Context(), inc.ID, incident.Resolution{By: "Ben Okafor"})
		require.NoError(n, err)
		_, _, err = n.Manager.SetDeadline(n.Context(), inc.ID, incident.Obligation{By: "Ben Okafor", Name: "notify", What: "sooner", Due: time.Now().Add(6 * time.Hour)})
		require.NoError(n, err)
		time.Sleep(2 * time.Hour)
		text = n.get("ana", "/").ok()
		assert.Contains(n, text, "Deadlines of what is over")
		assert.Contains(n, text, "1 deadline of what is over")

		page := "/incidents/" + inc.ID
		assert.NotContains(n, n.get("val", page).ok(), "Settle it", "who may only read has no button")
		text = n.get("ana", page).ok()
		assert.Contains(n, text, "Settle it")
		assert.Contains(n, text, "To be told: the privacy officer.")
		n.post("val", page+"/deadlines/notify/settle", "reason", "done").refused(http.StatusForbidden, "")
		refused := n.post("ana", page+"/deadlines/notify/settle", "reason", " ", "open", "settle-notify")
		refused.refused(http.StatusUnprocessableEntity, "Reason must not be empty")
		n.post("ana", page+"/deadlines/pay/settle", "reason", "done").refused(http.StatusNotFound, "")

		time.Sleep(5 * time.Hour)
		require.NoError(n, n.Manager.Tick(n.Context()))
		assert.Contains(n, n.get("ana", "/").ok(), "A deadline was missed")
		text = n.post("ana", page+"/deadlines/notify/settle", "reason", "the Commissioner <i>knows</i>").leads("ana", page)
		assert.Contains(n, text, "The deadline is settled")
		assert.Contains(n, text, "settled TOO LATE by Ana Silva")
		assert.Contains(n, text, "the Commissioner <i>knows</i>")
		n.post("ana", page+"/deadlines/notify/settle", "reason", "the Commissioner <i>knows</i>").leads("ana", page)
		n.post("ben", page+"/deadlines/notify/settle", "reason", "no", "void", "yes").refused(http.StatusConflict, "Ana Silva has settled it")
		assert.NotContains(n, n.get("ana", "/").ok(), "deadline of what is over")
	})
}

func TestADeadlineThatDoesNotApply(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		_, _, err := n.Manager.SetDeadline(n.Context(), inc.ID, incident.Obligation{By: "runbook", Name: "notify", What: "settle it", Due: time.Now().Add(30 * 24 * time.Hour)})
		require.NoError(n, err)
		text := n.post("ana", "/incidents/"+inc.ID+"/deadlines/notify/settle", "reason", "no personal data", "void", "yes").leads("ana", "/incidents/"+inc.ID)
		assert.Contains(n, text, "did not apply, said Ana Silva")
		got, err := n.Manager.Incident(n.Context(), inc.ID)
		require.NoError(n, err)
		assert.True(n, got.Deadlines[0].Void)
	})
}
