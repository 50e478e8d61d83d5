package dashboard_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/dashboard"
	"go.acu.edu.au/runbook/incident"
)

func TestARunIsFollowed(t *testing.T) {
	atNight(t, func(n *night) {
		_, err := n.Runner.Start(n.Context(), incident.Request{ID: "look", Environment: "test", Playbook: "comprehensive-check", By: "Ben Okafor"})
		require.NoError(n, err)
		all := n.stream("val", "/runs/look/events", 10*time.Minute, nil)
		for _, want := range []string{"Step 1 of 6: Application.", "looked at 2 of 4", "Step 6 of 6: Backups.", "event: end\n", `id="state"`, "Succeeded", "retry: 2000"} {
			assert.Contains(n, all, want)
		}
		for line := range strings.Lines(all) {
			assert.Regexp(n, `^(id: \d+|event: \w+|data: ?.*|retry: \d+|: .*|)\n$`, line)
		}
		ids := regexp.MustCompile(`id: (\d+)`).FindAllStringSubmatch(all, -1)
		require.NotEmpty(n, ids)
		a := n.ask("val", http.MethodGet, "/runs/look/events", nil, func(r *http.Request) { r.Header.Set("Last-Event-ID", ids[len(ids)-1][1]) })
		assert.Equal(n, http.StatusNoContent, a.Code, "who has heard all does not come back")
	})
}

func TestFollowersAreNotHeldForever(t *testing.T) {
	atNight(t, func(n *night) {
		n.begin()
		began := time.Now()
		all := n.stream("val", "/runs/run-rollback/events", time.Hour, func() {
			a := n.get("val", "/events")
			assert.Equal(n, http.StatusTooManyRequests, a.Code)
		})
		assert.Equal(n, 15*time.Minute, time.Since(began))
		assert.Contains(n, all, ": still here")
	}, func(cfg *dashboard.Config) { cfg.Followers = 1 })
}

func TestTheFirstPageIsFollowed(t *testing.T) {
	atNight(t, func(n *night) {
		key := regexp.MustCompile(`data-key="(\w+)"`)
		all := n.stream("ana", "/events", time.Minute, func() {
			time.Sleep(10 * time.Second)
			_, err := n.Manager.Open(n.Context(), incident.Opening{By: "x", Title: "It is slow <now>", Environment: "production", Severity: alert.Medium})
			require.NoError(n, err)
			synctest.Wait()
		})
		keys := key.FindAllStringSubmatch(all, -1)
		require.GreaterOrEqual(n, len(keys), 2)
		assert.NotEqual(n, keys[0][1], keys[len(keys)-1][1], "the page is to be loaded again")
		assert.Contains(n, all, "It is slow &lt;now&gt;")
		assert.NotContains(n, all, "<form", "no button moves by itself")
		assert.Equal(n, keys[len(keys)-1][1], key.FindStringSubmatch(n.get("ana", "/").Body.String())[1], "the page that is loaded then has that key")
	})
}
