package dashboard_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

func TestApprove(t *testing.T) {
	atNight(t, func(n *night) {
		_, approval := n.begin()
		plan := n.get("ana", approval).field("plan")
		text := n.post("ana", approval+"/approve", "plan", plan, "comment", "go").leads("ana", "/runs/run-rollback")
		assert.Contains(n, text, "Your approval is recorded")
		time.Sleep(time.Minute)
		run := n.run("run-rollback")
		assert.Equal(n, incident.StateSucceeded, run.State)
		assert.Equal(n, []string{"SetScale 2"}, n.Platform.Effects())
		assert.Equal(n, 1, n.count("audit", "answered"))
		text = n.get("val", "/runs/run-rollback").ok()
		assert.Contains(n, text, "Succeeded")
		assert.Contains(n, text, "Approved by Ana Silva")
		assert.Contains(n, n.get("ana", approval).ok(), "This is approved")
	})
}

func TestDenyNeedsAReason(t *testing.T) {
	atNight(t, func(n *night) {
		_, approval := n.begin()
		page := n.post("ana", approval+"/deny", "comment", "  ")
		page.refused(http.StatusUnprocessableEntity, "Comment is required")
		assert.Contains(n, page.Body.String(), `autofocus`)
		assert.Equal(n, incident.StateWaiting, n.run("run-rollback").State)
		text := n.post("chloe", approval+"/deny", "comment", "exams <b>today</b>").leads("chloe", "/runs/run-rollback")
		assert.Contains(n, text, "Your denial is recorded")
		run := n.run("run-rollback")
		assert.Equal(n, incident.StateFailed, run.State)
		assert.Contains(n, n.get("val", "/runs/run-rollback").ok(), "denied by Chloe Nguyen: exams <b>today</b>")
		assert.Empty(n, n.Platform.Effects())
		n.post("ana", approval+"/approve", "plan", "x").refused(http.StatusConflict, "")
	})
}

func TestWhatWasWrittenIsKeptWhenItIsRefused(t *testing.T) {
	atNight(t, func(n *night) {
		_, approval := n.begin()
		page := n.post("ana", approval+"/approve", "plan", "another", "comment", "typed with a thumb")
		page.refused(http.StatusConflict, "what would be done has changed")
		page = n.post("ana", approval+"/back", "to", "nowhere", "comment", "typed with a thumb")
		page.refused(http.StatusUnprocessableEntity, "the run has not come to such a step")
		assert.Contains(n, page.Body.String(), "typed with a thumb")
	})
}

func TestAPlanThatChangedIsNotApproved(t *testing.T) {
	atNight(t, func(n *night) {
		_, approval := n.begin()
		old := n.get("ana", approval)
		n.Target("d0") // somebody deployed meanwhile
		n.post("ana", approval+"/approve", "plan", old.field("plan")).leads("ana", "/runs/run-rollback")
		next := n.approval()
		require.NotEqual(n, approval, next, "what was approved is void, and it is asked again")
		assert.Empty(n, n.Platform.Effects())
		assert.Contains(n, n.get("ana", "/runs/run-rollback?step=gate&did=approved").ok(), "It asks again, since what it would do has changed")
		// Somebody who still has the old page in front of them is shown the new plan.
		page := n.post("chloe", approval+"/approve", "plan", old.field("plan"))
		text := page.refused(http.StatusConflict, "what would be done has changed")
		assert.Contains(n, text, "deployment d0")
		assert.NotContains(n, text, "deployment d1")
		assert.NotEqual(n, old.field("plan"), page.field("plan"))
		assert.Contains(n, page.Body.String(), next+"/approve")
		n.post("chloe", next+"/approve", "plan", page.field("plan")).leads("chloe", "/runs/run-rollback")
		time.Sleep(time.Minute)
		assert.Equal(n, incident.StateSucceeded, n.run("run-rollback").State)
	})
}

func TestWhoMayNotDecideIsToldSo(t *testing.T) {
	atNight(t, func(n *night) {
		_, approval := n.begin()
		for who, why := range map[string]string{"ben": "do not let you approve", "val": "do not let you approve"} {
			page := n.get(who, approval)
			assert.Contains(n, page.ok(), why)
			assert.NotContains(n, page.Body.String(), ">Approve<")
			n.post(who, approval+"/approve", "plan", "x").refused(http.StatusForbidden, "needs the right to approve")
		}
		n.post("val", "/incidents/INC-2000-0001/acknowledge").refused(http.StatusForbidden, "needs the right to operate")
		n.post("val", "/automation/stop", "reason", "x").refused(http.StatusForbidden, "operate")
		n.post("ben", "/automation/resume", "reason", "x").refused(http.StatusForbidden, "administer")
		assert.NotContains(n, n.get("val", "/incidents/INC-2000-0001").Body.String(), "<form")
		// Who started it does not approve it.
		_, err := n.Runner.Start(n.Context(), incident.Request{ID: "mine", Environment: "production", Playbook: "application-down", By: "Ana Silva"})
		require.NoError(n, err)
		assert.NotZero(n, n.count("audit", "refused"))
	})
}

func TestAcknowledge(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		path := "/incidents/" + inc.ID
		text := n.post("ana", path+"/acknowledge", "taken", "", "comment", "on it").leads("ana", path)
		assert.Contains(n, text, "It is noted that somebody takes care of this")
		assert.Contains(n, text, "Ana Silva takes care since 00:00: on it")
		n.post("ana", path+"/acknowledge", "taken", "", "comment", "on it").leads("ana", path)
		assert.Equal(n, 1, n.count("incident/"+inc.ID, "acknowledged"), "once")
		// Ben has had the page open since before.
		n.post("ben", path+"/acknowledge", "taken", "").refused(http.StatusConflict, "Ana Silva has taken care of it since 00:00")
		n.post("ben", path+"/acknowledge", "taken", "Ana Silva").leads("ben", path)
		now, err := n.Manager.Incident(n.Context(), inc.ID)
		require.NoError(n, err)
		assert.Equal(n, "Ben Okafor", now.AcknowledgedBy)
	})
}

func TestTheCourseOfAnIncident(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		path := "/incidents/" + inc.ID
		for _, step := range []struct {
			verb   string
			fields []string
			says   string
			state  incident.State
		}{
			{"severity", []string{"severity", "high", "reason", "half of the users"}, "The severity was changed", incident.Triggered},
			{"note", []string{"text", "the queue grows", "version", "1"}, "The note is on the timeline", incident.Triggered},
			{"mitigate", []string{"comment", "rolled back"}, "users are no longer hurt", incident.Mitigated},
			{"reopen", []string{"reason", "it is back"}, "The incident goes on", incident.Acknowledged},
			{"resolve", []string{"cause", "a bad deployment"}, "The incident is resolved", incident.Resolved},
			{"reopen", []string{"reason", "again"}, "The incident goes on", incident.Triggered},
			{"cancel", []string{"reason", "a test"}, "this was no incident", incident.Cancelled},
		} {
			for range 2 { // twice does nothing twice
				assert.Contains(n, n.post("ana", path+"/"+step.verb, step.fields...).leads("ana", path), step.says)
			}
			now, err := n.Manager.Incident(n.Context(), inc.ID)
			require.NoError(n, err)
			assert.Equal(n, step.state, now.State, step.verb)
		}
		for kind, count := range map[string]int{"note": 1, "mitigated": 1, "resolved": 1, "cancelled": 1} {
			assert.Equal(n, count, n.count("incident/"+inc.ID, kind), kind)
		}
		page := n.post("ana", path+"/reopen")
		page.refused(http.StatusUnprocessableEntity, "Reason is required")
		n.post("ana", path+"/severity", "severity", "dreadful").refused(http.StatusUnprocessableEntity, "must be one of critical")
	})
}

func TestTheNextLevelIsCalledOnce(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		path := "/incidents/" + inc.ID
		before := len(n.Called())
		level := n.get("ana", path).field("level")
		assert.Contains(n, n.post("ana", path+"/escalate", "level", level).leads("ana", path), "The next level")
		assert.Len(n, n.Called(), before+1)
		n.post("ana", path+"/escalate", "level", level).refused(http.StatusConflict, "Level 2 of the escalation was called meanwhile")
		assert.Len(n, n.Called(), before+1)
	})
}

func TestTheKillSwitch(t *testing.T) {
	atNight(t, func(n *night) {
		n.begin()
		n.post("ana", "/automation/stop").refused(http.StatusUnprocessableEntity, "Reason is required")
		text := n.post("ben", "/automation/stop", "reason", "it turns in circles").leads("ben", "/automation")
		assert.Contains(n, text, "All automation is stopped")
		assert.Contains(n, text, "By Ben Okafor since 00:00: it turns in circles")
		n.post("ana", "/automation/stop", "reason", "me too").leads("ana", "/automation")
		assert.Equal(n, 1, n.count("audit", "automation"), "it was stopped already")
		assert.Error(n, n.Automation.Permit(n.Context(), incident.AutomaticAction{Environment: "production", Playbook: "x", Run: "r", Step: "s"}))
		stamp := n.get("ana", "/automation").field("at")
		time.Sleep(time.Minute)
		require.NoError(n, n.Automation.Stop(n.Context(), "Chloe Nguyen", "a worse reason"))
		n.post("ana", "/automation/resume", "reason", "fixed", "at", stamp).refused(http.StatusConflict, "Automation was stopped by Chloe Nguyen since you looked: a worse reason")
		stamp = n.get("ana", "/automation").field("at")
		assert.Contains(n, n.post("ana", "/automation/resume", "reason", "fixed", "at", stamp).leads("ana", "/automation"), "Automation is allowed")
		n.post("ana", "/automation/resume", "reason", "fixed", "at", stamp).leads("ana", "/automation")
		s, err := n.Automation.Switch(n.Context())
		require.NoError(n, err)
		assert.False(n, s.Stopped)
	})
}

func TestTheKillSwitchWorksWhenItCannotBeRead(t *testing.T) {
	atNight(t, func(n *night) {
		n.Store.Fail("Document", errors.New("away"))
		n.post("ana", "/automation/stop", "reason", "now").leads("ana", "/automation")
		s, err := n.Automation.Switch(n.Context())
		require.NoError(n, err)
		assert.True(n, s.Stopped)
	})
}

func TestARunIsPausedResumedCancelledAndGoneOnWith(t *testing.T) {
	atNight(t, func(n *night) {
		n.begin()
		const path = "/runs/run-rollback"
		n.post("ana", path+"/pause").refused(http.StatusUnprocessableEntity, "Reason is required")
		for range 2 {
			assert.Contains(n, n.post("ana", path+"/pause", "reason", "we look first").leads("ana", path), "The run is paused")
		}
		assert.Equal(n, 1, n.count("audit", "run paused"))
		assert.Contains(n, n.get("ana", path).ok(), "Paused by Ana Silva: we look first")
		for range 2 {
			n.post("ana", path+"/resume", "reason", "go").leads("ana", path)
		}
		assert.Equal(n, 1, n.count("audit", "run resumed"))
		for range 2 {
			assert.Contains(n, n.post("ana", path+"/cancel", "reason", "wrong one").leads("ana", path), "Cancelled")
		}
		assert.Equal(n, 1, n.count("audit", "run cancelled"))
		text := n.post("ana", path+"/fork", "step", "look", "reason", "look again").leads("ana", "/runs/[a-z0-9-]+")
		assert.Contains(n, text, "This run goes on from where")
		assert.Contains(n, text, "Goes on from run-rollback")
	})
}

func TestQuestionsThatAreNoApprovals(t *testing.T) {
	atNight(t, func(n *night) {
		n.Platform.Fail("SetScale", errors.New("503"), errors.New("503"), errors.New("503"), errors.New("503"))
		for _, q := range []incident.Request{{ID: "hand", Environment: "beta", Playbook: "canvas-maintenance", By: "Ben Okafor"}, {ID: "again", Environment: "production", Playbook: "application-down", By: "Ben Okafor"}} {
			_, err := n.Runner.Start(n.Context(), q)
			require.NoError(n, err)
		}
		synctest.Wait()
		assert.Contains(n, n.get("ben", "/").ok(), "To do: Ask the Canvas administrator")
		page := n.get("ben", "/runs/hand")
		text := page.ok()
		assert.Contains(n, text, "Why a person does this: there is no API for it")
		assert.Contains(n, text, "It cannot be done")
		n.post("ben", "/runs/hand/answer", "question", page.field("question"), "answer", "skip").refused(http.StatusUnprocessableEntity, "a comment that says why is required")
		n.post("chloe", "/runs/hand/answer", "question", page.field("question"), "answer", "done").refused(http.StatusForbidden, "operate")
		n.post("ben", "/runs/hand/answer", "question", page.field("question"), "answer", "done").leads("ben", "/runs/hand")
		assert.Equal(n, incident.StateSucceeded, n.run("hand").State)
		n.post("ben", "/runs/hand/answer", "question", page.field("question"), "answer", "done").refused(http.StatusConflict, "does not ask that any more")
		assert.Contains(n, n.get("chloe", "/runs/again").ok(), "Approve")
	})
}

func TestWhatAnswersMeanStandsBesideTheirButtons(t *testing.T) {
	atNight(t, func(n *night) {
		n.Platform.Fail("SetScale", errors.New("503"), errors.New("503"), errors.New("503"), errors.New("503"))
		_, err := n.Runner.Start(n.Context(), incident.Request{ID: "restart", Environment: "beta", Playbook: "restart", By: "Ben Okafor"})
		require.NoError(n, err)
		time.Sleep(time.Minute)
		text := n.get("ana", "/runs/restart").ok()
		assert.Contains(n, text, "Try again Make it again")
		assert.Contains(n, text, "End the run End the run, and leave things as they are")
		assert.NotContains(n, text, "retry:")
		page := n.get("ana", "/runs/restart")
		n.post("ana", "/runs/restart/answer", "question", page.field("question"), "answer", "abort", "comment", "enough").leads("ana", "/runs/restart")
		assert.Equal(n, incident.StateFailed, n.run("restart").State)
	})
}

func TestASuggestionIsDecided(t *testing.T) {
	atNight(t, func(n *night) {
		a, err := n.Runner.Suggest(n.Context(), incident.Request{ID: "auto-1", Environment: "test", Playbook: "comprehensive-check", Automatic: true}, 1, 0)
		require.NoError(n, err)
		page := n.get("ana", "/approvals/"+a.ID)
		assert.Contains(n, page.ok(), "It would start comprehensive-check in test")
		n.post("ana", "/approvals/"+a.ID+"/approve", "plan", page.field("plan")).leads("ana", "/runs/auto-1")
		n.post("ana", "/approvals/"+a.ID+"/approve", "plan", page.field("plan")).leads("ana", "/runs/auto-1")
		assert.Equal(n, 1, n.count("audit", "answered"))
		time.Sleep(time.Minute)
		assert.Equal(n, incident.StateSucceeded, n.run("auto-1").State)
	})
}

func TestAPlaybookIsPlannedAndStartedOnce(t *testing.T) {
	atNight(t, func(n *night) {
		inc, err := n.Manager.Open(n.Context(), incident.Opening{By: "x", Title: "down", Environment: "production", Severity: alert.High, Playbook: "application-down"})
		require.NoError(n, err)
		page := n.get("ana", "/playbooks/production/application-down?plan=yes&incident="+inc.ID+"&p.why=seen")
		text := page.ok()
		assert.Contains(n, text, "Nothing was changed yet")
		assert.Contains(n, text, "roll back service app in production to deployment d1")
		form := []string{"environment", "production", "playbook", "application-down", "incident", inc.ID, "run", page.field("run"), "plan", page.field("plan"), "p.why", page.field("p.why")}
		for range 2 {
			assert.Contains(n, n.post("ana", "/runs", form...).leads("ana", "/runs/web-[a-z0-9]+"), "The run is started")
		}
		assert.Equal(n, 1, n.count("audit", "run started"))
		run := n.run(page.field("run"))
		assert.Equal(n, "seen", run.Parameters["why"])
		assert.Equal(n, "Ana Silva", run.By)
		assert.Contains(n, n.get("ana", "/incidents/"+inc.ID).ok(), "Application down")
		// A plan that changed is refused, and shown anew.
		require.NoError(n, n.Runner.Cancel(n.Context(), run.ID, "Ana Silva", "enough")) // else the next one waits for its turn
		synctest.Wait()
		page = n.get("ana", "/playbooks/production/application-down?plan=yes")
		n.Target("d0")
		next := n.post("ana", "/runs", "environment", "production", "playbook", "application-down", "run", page.field("run"), "plan", page.field("plan"))
		text = next.refused(http.StatusConflict, "Nothing was started: what it would do has changed")
		assert.Contains(n, text, "deployment d0")
		assert.NotEqual(n, page.field("plan"), next.field("plan"))
		n.post("ana", "/runs", "environment", "production", "playbook", "application-down").refused(http.StatusUnprocessableEntity, "Look at the plan first")
		n.get("val", "/playbooks/production/application-down?plan=yes").refused(http.StatusForbidden, "operate")
	})
}

func TestAProcessThatHangsIsTakenOver(t *testing.T) {
	atNight(t, func(n *night) {
		n.Replicas.Hang()
		n.post("ana", "/replicas/take-over", "process", "opsd-2").refused(http.StatusUnprocessableEntity, "Reason is required")
		n.post("ben", "/replicas/take-over", "process", "opsd-2", "reason", "x").refused(http.StatusForbidden, "administer")
		assert.Contains(n, n.post("ana", "/replicas/take-over", "process", "opsd-2", "reason", "its machine is gone").leads("ana", "/automation"), "taken over")
		assert.Equal(n, []string{"opsd-2 by Ana Silva"}, n.Replicas.Taken())
		n.post("ana", "/replicas/take-over", "process", "opsd-2", "reason", "again").refused(http.StatusConflict, "it lives")
	})
}

func TestAFormIsCarriedOutOnceHoweverFastItIsPressed(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		path := "/incidents/" + inc.ID
		once := n.get("ana", path).field("once")
		form := url.Values{"once": {once}, "text": {"the queue grows"}, "version": {"999"}}
		var group sync.WaitGroup
		codes := make([]int, 8)
		for i := range codes {
			group.Go(func() {
				codes[i] = n.quiet("ana", path+"/note", form)
			})
		}
		group.Wait()
		for _, code := range codes {
			assert.Equal(n, http.StatusSeeOther, code)
		}
		assert.Equal(n, 1, n.count("incident/"+inc.ID, "note"))
		// What was refused can be sent again.
		form = url.Values{"once": {"again"}}
		n.ask("ana", http.MethodPost, path+"/cancel", form).refused(http.StatusUnprocessableEntity, "Reason is required")
		form.Set("reason", "a test")
		n.ask("ana", http.MethodPost, path+"/cancel", form).leads("ana", path)
	})
}

func TestCommandsOfOtherSitesAreRefused(t *testing.T) {
	atNight(t, func(n *night) {
		inc, approval := n.begin()
		plan := n.get("ana", approval).field("plan")
		for name, change := range map[string]func(r *http.Request){
			"another site":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
			"another host":   func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") },
			"another origin": func(r *http.Request) { r.Header.Del("Sec-Fetch-Site"); r.Header.Set("Origin", "https://evil.example") },
			"nothing said":   func(r *http.Request) { r.Header.Del("Sec-Fetch-Site") },
		} {
			for _, path := range []string{approval + "/approve", "/incidents/" + inc.ID + "/acknowledge", "/automation/stop"} {
				a := n.ask("ana", http.MethodPost, path, url.Values{"plan": {plan}, "reason": {"x"}}, change)
				a.refused(http.StatusForbidden, "This came from another site")
				assert.NotEmpty(n, name)
			}
		}
		assert.Equal(n, incident.StateWaiting, n.run("run-rollback").State)
		now, err := n.Manager.Incident(n.Context(), inc.ID)
		require.NoError(n, err)
		assert.Equal(n, incident.Triggered, now.State)
		a := n.ask("ana", http.MethodPost, "/incidents/"+inc.ID+"/note", url.Values{"text": {strings.Repeat("x", 100<<10)}})
		a.refused(http.StatusBadRequest, "The form cannot be read")
	})
}

func TestNobodySeesAnythingWithoutAName(t *testing.T) {
	atNight(t, func(n *night) {
		_, approval := n.begin()
		for _, path := range []string{"/", approval, "/runs/run-rollback/events", "/events", "/follow.js", "/nothing"} {
			a := n.get("", path)
			text := a.refused(http.StatusUnauthorized, "Say who you are")
			assert.NotContains(n, text, "application")
			assert.Contains(n, a.Body.String(), `href="/sign-in?next=`+url.QueryEscape(path)+`"`)
		}
		n.post("", "/automation/stop", "reason", "x").refused(http.StatusUnauthorized, "Nothing was done")
		a := n.get("down", "/")
		a.refused(http.StatusServiceUnavailable, "could not be found out")
		assert.NotContains(n, a.Body.String(), "ldap")
		n.get("robot", "/").refused(http.StatusUnauthorized, "a name that the program has for itself")
		n.get("guest", "/").refused(http.StatusForbidden, "your roles do not give")
	})
}

func TestAStoreThatFailsDuringACommand(t *testing.T) {
	atNight(t, func(n *night) {
		inc, _ := n.begin()
		path := "/incidents/" + inc.ID
		n.Store.Fail("Document", errors.New("postgres://admin:hunter2@10.0.0.1 is away"))
		a := n.post("ana", path+"/acknowledge", "taken", "")
		a.refused(http.StatusServiceUnavailable, "Nothing was done")
		assert.NotContains(n, a.Body.String(), "hunter2")
		n.Store.LoseAnswer()
		a = n.post("ana", path+"/mitigate", "comment", "x")
		a.refused(http.StatusBadGateway, "It is not known whether it happened")
		assert.Contains(n, a.text(), "look before doing it again")
		assert.Contains(n, a.text(), "mitigated", "it is shown as it is")
	})
}
