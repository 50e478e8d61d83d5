package dashboard_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
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

func TestTheFirstPageSaysWhatIsWrongAndWhoKnows(t *testing.T) {
	atNight(t, func(n *night) {
		assert.Contains(n, n.get("ana", "/").ok(), "No incident is open, and 2 checks fail")
		inc, approval := n.begin()
		a := n.get("ana", "/")
		text := a.ok()
		for _, want := range []string{
			"The application does not answer", "Critical · production · nobody takes care of it · 12 min", "Nobody takes care of it yet",
			"level 1: operations-phone", "1 decision waits for you", "Roll production back?", "Destroys: QA tasks that run now",
			"2 of 5 steps", "Stop all automation", "Signed in as Ana Silva",
		} {
			assert.Contains(n, text, want)
		}
		assert.Regexp(n, "To acknowledge [23] min left", text, "3 minutes, and a moment has passed or not")
		assert.Contains(n, a.Body.String(), `href="./approvals`+strings.TrimPrefix(approval, "/approvals")+`"`)
		_, err := n.Manager.Acknowledge(n.Context(), inc.ID, incident.Ack{By: "Ben Okafor", Comment: "on it"})
		require.NoError(n, err)
		text = n.get("ana", "/").ok()
		assert.Contains(n, text, "Ben Okafor takes care of it")
		assert.Contains(n, text, "Ben Okafor takes care since 00:00: on it")
		assert.NotContains(n, a.text(), "could not be read")
	})
}

func TestEveryPageIsWhole(t *testing.T) {
	atNight(t, func(n *night) {
		inc, approval := n.begin()
		n.Replicas.Hang()
		require.NoError(n, n.Automation.Stop(n.Context(), "Ben Okafor", "it turns in circles"))
		ids := regexp.MustCompile(` id="([^"]*)"`)
		for path, wants := range map[string][]string{
			"/":                                   {"All automation is stopped by Ben Okafor", "A process hangs: opsd-2"},
			"/incidents":                          {inc.ID},
			"/incidents/" + inc.ID:                {"What you can do", "Timeline", "Call the next level", "Level 1 was called last"},
			"/runs":                               {"Application down"},
			"/runs/run-rollback":                  {"Immediate assessment", "Ask for its health", "status: 502", "Pause it", "Cancel it for good"},
			approval:                              {"The application answers with 502", "What would be done", "ASYNC_WORKERS: 16 becomes 8", "To go back: deploy commit 9f1c2e7 again", "status: 502", "Approve", "Deny"},
			"/playbooks":                          {"Comprehensive check"},
			"/playbooks/test/comprehensive-check": {"See what it would do"},
			"/automation":                         {"Allow automation again", "Take over its runs"},
			"/record":                             {"Stops automation: it turns in circles", "each as it was written"},
		} {
			a := n.get("ana", path)
			text := a.ok()
			for _, want := range wants {
				assert.Contains(n, text, want, path)
			}
			page := a.Body.String()
			assert.NotContains(n, page, "<no value>", path)
			assert.NotRegexp(n, ` style="| on[a-z]+="`, page, path)
			assert.NotRegexp(n, `(href|action|src|formaction)="/(ops|[^s])`, page, "%s: only the links of the host are absolute", path)
			assert.Equal(n, 1, strings.Count(page, "<h1"), path)
			assert.Equal(n, 1, strings.Count(page, "<main "), path)
			seen := make(map[string]bool)
			for _, m := range ids.FindAllStringSubmatch(page, -1) {
				assert.False(n, seen[m[1]], "%s: the id %s is there twice", path, m[1])
				seen[m[1]] = true
			}
			for _, m := range regexp.MustCompile(`<label for="([^"]*)"`).FindAllStringSubmatch(page, -1) {
				assert.True(n, seen[m[1]], "%s: the label of %s is of nothing", path, m[1])
			}
			style := regexp.MustCompile(`(?s)<style>(.*?)</style>`).FindStringSubmatch(page)
			require.NotNil(n, style)
			sum := sha256.Sum256([]byte(style[1]))
			policy := a.Header().Get("Content-Security-Policy")
			assert.Contains(n, policy, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"'")
			assert.Contains(n, policy, "default-src 'none'; script-src 'self'")
			assert.NotContains(n, policy, "unsafe")
			assert.Equal(n, 1, strings.Count(page, "<script "), path)
			assert.Equal(n, "no-store", a.Header().Get("Cache-Control"))
		}
		script := n.get("val", "/follow.js")
		assert.Equal(n, "text/javascript; charset=utf-8", script.Header().Get("Content-Type"))
		assert.Contains(n, script.Body.String(), "EventSource")
		assert.Equal(n, "30", n.get("val", "/?refresh=30").Header().Get("Refresh"))
		assert.Empty(n, n.get("val", "/?refresh=1").Header().Get("Refresh"))
	})
}

func TestWhatThereIsNot(t *testing.T) {
	atNight(t, func(n *night) {
		for _, path := range []string{"/nothing", "/incidents/INC-2000-9", "/incidents/../runs", "/runs/none", "/runs/none/events", "/approvals/none", "/playbooks/test/none", "/incidents/", "//", "/incidents/%2e%2e"} {
			n.get("ana", path).refused(http.StatusNotFound, "There is no such")
		}
		n.post("ana", "/incidents/INC-2000-9/acknowledge").refused(http.StatusNotFound, "There is no such incident")
		n.post("ana", "/approvals/none/approve").refused(http.StatusNotFound, "no such")
		assert.Equal(n, http.StatusMethodNotAllowed, n.ask("ana", http.MethodPut, "/", nil).Code)
		assert.NotEqual(n, http.StatusOK, n.get("ana", "/automation/stop").Code)
	})
}

func TestPartsThatTheHostDoesNotHave(t *testing.T) {
	atNight(t, func(n *night) {
		text := n.get("ana", "/").ok()
		assert.NotContains(n, text, "Stop all automation")
		n.get("ana", "/runs/x").refused(http.StatusNotFound, "There is no such")
		n.get("ana", "/incidents/x").refused(http.StatusNotFound, "There is no such")
		n.get("ana", "/playbooks").refused(http.StatusNotFound, "There is no such")
		n.post("ana", "/automation/stop", "reason", "x").refused(http.StatusNotFound, "This host has no automation")
		n.get("ana", "/automation").ok()
		n.get("ana", "/record").ok()
	}, func(cfg *dashboard.Config) {
		cfg.Runner, cfg.Manager, cfg.Automation, cfg.Escalations, cfg.Replicas, cfg.Monitor = nil, nil, nil, nil, nil, nil
	})
}

func TestWhatCannotBeReadIsSaidAndTheRestIsShown(t *testing.T) {
	atNight(t, func(n *night) {
		n.begin()
		down := errors.New("dial postgres://admin:hunter2@10.0.0.1: refused")
		n.Replicas.Fail(down)
		for range 50 {
			n.Store.Fail("Documents", down)
		}
		a := n.get("ana", "/")
		text := a.ok()
		for _, want := range []string{
			"This page is not complete", "Incidents could not be read. What is there is not known, and not nothing.", "What waits for approval could not be read",
			"The processes that carry out runs could not be read", "Whether something is wrong is not known", "Which incidents are open could not be read",
			"Roll production back?", "Application down", "Stop all automation",
		} {
			assert.Contains(n, text, want)
		}
		assert.NotContains(n, text, "Nothing is wrong")
		assert.NotContains(n, a.Body.String(), "hunter2")
		assert.Contains(n, n.log.String(), "hunter2", "the log has it, under the reference")
	})
}

func TestAStoreThatHangsDoesNotHoldThePage(t *testing.T) {
	atNight(t, func(n *night) {
		n.begin()
		release := make(chan struct{})
		n.Store.Store = &slow{Store: n.Store.Store, until: release}
		began := time.Now()
		text := n.get("ana", "/").ok()
		assert.Contains(n, text, "Incidents could not be read")
		assert.Contains(n, text, "Application down")
		assert.LessOrEqual(n, time.Since(began), 15*time.Second)
		close(release)
		synctest.Wait()
	})
}

func TestTextsFromOutsideAreText(t *testing.T) {
	atNight(t, func(n *night) {
		const evil = "</title><script>alert(1)</script><img src=x onerror=alert(2)>\" onmouseover=\"x {{.}} \u202egnp.exe"
		inc, err := n.Manager.Open(n.Context(), incident.Opening{By: "x", Title: evil, Summary: evil, Environment: evil, Severity: alert.High, Playbook: evil})
		require.NoError(n, err)
		_, err = n.Manager.Note(n.Context(), inc.ID, "Eve <b>", evil)
		require.NoError(n, err)
		_, err = n.Runner.Start(n.Context(), incident.Request{ID: "evil", Environment: "production", Playbook: "application-down", By: "Eve <b>", Parameters: map[string]string{"why": evil}})
		require.NoError(n, err)
		synctest.Wait()
		for _, path := range []string{"/", "/incidents", "/incidents/" + inc.ID, "/runs", "/runs/evil", "/record", "/playbooks/production/application-down?p.why=" + "%3Cscript%3E&incident=%22%3E%3Cscript%3E", "/?did=%3Cscript%3E"} {
			page := n.get("ana", path).Body.String()
			assert.Equal(n, 1, strings.Count(page, "<script"), path)
			assert.NotContains(n, page, "<img", path)
			assert.NotContains(n, page, "<b>", path)
			assert.NotContains(n, page, "\u202e", path)
		}
	})
}
