package httpapi_test

import (
	"context"
	"iter"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

func TestAConfigIsRefusedWithAllThatIsWrong(t *testing.T) {
	t.Parallel()
	_, err := httpapi.New(httpapi.Config{Timeout: -1, Plans: -1, Origins: []string{"no origin"}, Roles: map[string][]httpapi.Verb{"operator": {"opperate"}}})
	for _, want := range []string{"Authenticate is missing", "Store is missing", "is negative", "Followers or Plans is negative", `"opperate" of role "operator"`, "Origins"} {
		assert.ErrorContains(t, err, want)
	}
}

func TestARunFromPlanToEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		var plan incident.Plan
		w.post("jane", "/v1/plans", `{"environment":"production","playbook":"restart","parameters":{"replicas":"3"}}`).ok(http.StatusOK, &plan)
		assert.True(t, plan.Run.Simulated)
		assert.Equal(t, "restart web", plan.Run.Step("act").Effect.Call)
		assert.Empty(t, w.audit("run started"), "a plan is no command")

		run := w.start(`{"environment":"production","playbook":"restart","parameters":{"replicas":"3"},"plan":"` + plan.Hash + `"}`)
		assert.Equal(t, incident.StateWaiting, run.State)
		assert.Equal(t, "Jane", run.By)
		w.approve("kim").ok(http.StatusNoContent, nil)
		run = w.run(run.ID)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		assert.Equal(t, []string{"restarted"}, w.noted())
		assert.Len(t, w.audit("run started"), 1)
		assert.Equal(t, []string{"Kim: run " + run.ID + ": May it be restarted?: approve"}, texts(w.audit("answered")))
	})
}

func TestAQuestionThatIsNoApproval(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(`{"environment":"test","playbook":"tidy"}`)
		require.NotNil(t, run.Question)
		at := "/v1/runs/" + run.ID + "/answer"
		w.post("jane", at, `{"question":"other","answer":"done"}`).problem(http.StatusConflict, "stale")
		p := w.post("jane", at, `{"question":"`+run.Question.ID+`","answer":"retry"}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, []httpapi.FieldProblem{{Pointer: "#/answer", Detail: "is none of those that the question has"}}, p.Errors)
		p = w.post("jane", at, `{"question":"`+run.Question.ID+`","answer":"deny"}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, []httpapi.FieldProblem{{Pointer: "#/comment", Detail: "a comment that says why is required"}}, p.Errors)
		p = w.post("jane", at, `{"question":"`+run.Question.ID+`","answer":"done","output":"`+strings.Repeat("x", 64<<10)+`"}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, []httpapi.FieldProblem{{Pointer: "#/output", Detail: "has at most 64 KiB"}}, p.Errors)
		w.post("jane", at, `{"question":"`+run.Question.ID+`","answer":"done","output":{"n":1}}`).ok(http.StatusNoContent, nil)
		assert.Equal(t, incident.StateSucceeded, w.run(run.ID).State)
		w.post("jane", at, `{"question":"`+run.Question.ID+`","answer":"done"}`).problem(http.StatusConflict, "stale")
	})
}

func TestARunGoesBackFromAnApprovalAndAfterAFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		w.errs = []error{incident.ErrOutcomeUnknown}
		run := w.start(restart)
		a := w.waiting()
		p := w.post("kim", "/v1/approvals/"+a.ID+"/back", `{"to":"act","comment":"look"}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, "#/to", p.Errors[0].Pointer)
		w.post("kim", "/v1/approvals/"+a.ID+"/back", `{"to":"look","comment":"look again"}`).ok(http.StatusNoContent, nil)
		synctest.Wait()
		assert.Equal(t, 2, w.run(run.ID).Step("look").Visits)
		w.approve("kim").ok(http.StatusNoContent, nil)
		run = w.run(run.ID)
		require.NotNil(t, run.Question)
		assert.Equal(t, "decide", run.Question.Kind)
		w.post("jane", "/v1/runs/"+run.ID+"/answer", `{"question":"`+run.Question.ID+`","answer":"back","comment":"x","to":"nothing"}`).problem(http.StatusUnprocessableEntity, "invalid")
		w.post("jane", "/v1/runs/"+run.ID+"/answer", `{"question":"`+run.Question.ID+`","answer":"abort","comment":"enough"}`).ok(http.StatusNoContent, nil)
		run = w.run(run.ID)
		assert.Equal(t, incident.StateFailed, run.State)

		var forked incident.Run
		answered := w.post("jane", "/v1/runs/"+run.ID+"/fork", `{"step":"act","reason":"it is back"}`).ok(http.StatusCreated, &forked)
		assert.Equal(t, "../../runs/"+forked.ID, answered.Header().Get("Location"))
		assert.Equal(t, incident.StateSucceeded, w.run(forked.ID).State)
		w.post("jane", "/v1/runs/"+run.ID+"/fork", `{"step":"nothing","reason":"x"}`).problem(http.StatusNotFound, "not-found")
	})
}

func TestARunIsPausedResumedAndCancelled(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		for _, c := range []struct {
			verb  string
			state incident.RunState
		}{{"pause", incident.StateHeld}, {"resume", incident.StateWaiting}, {"cancel", incident.StateCancelled}} {
			p := w.post("jane", "/v1/runs/"+run.ID+"/"+c.verb, `{}`).problem(http.StatusUnprocessableEntity, "invalid")
			assert.Equal(t, []httpapi.FieldProblem{{Pointer: "#/reason", Detail: "is required"}}, p.Errors)
			w.post("jane", "/v1/runs/"+run.ID+"/"+c.verb, `{"reason":"we look"}`).ok(http.StatusNoContent, nil)
			assert.Equal(t, c.state, w.run(run.ID).State)
		}
		w.post("jane", "/v1/runs/"+run.ID+"/pause", `{"reason":"we look"}`).problem(http.StatusConflict, "stale")
		assert.Len(t, w.audit("run cancelled"), 1)
	})
}

// Who may be an actor may give every command: the core takes the same names.
func TestALongNameIsOne(t *testing.T) {
	inWorld(t, func(w *world) {
		w.post("widest", "/v1/runs", restart).ok(http.StatusCreated, nil)
		w.post("widest", "/v1/automation/stop", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
		synctest.Wait()
	})
}

// many lists one run as if it were ever so many.
type many struct{ incident.Runs }

func (m many) List(ctx context.Context, query incident.RunQuery) iter.Seq2[incident.RunRecord, error] {
	return func(yield func(incident.RunRecord, error) bool) {
		for record, err := range m.Runs.List(ctx, query) {
			for range query.Limit {
				if !yield(record, err) {
					return
				}
			}
		}
	}
}

// A list that ends because so much was looked at does not say that this is all.
func TestALongListSaysThatThereMayBeMore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start(`{"environment":"test","playbook":"tidy"}`)
		r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{tidy()}, Runs: many{w.runs}, Store: w.store})
		require.NoError(t, err)
		w.cfg.Runner = r
		w.api, err = httpapi.New(w.cfg)
		require.NoError(t, err)
		var list struct {
			Runs []incident.Run
			More bool
		}
		w.get("val", "/v1/runs?state=running").ok(http.StatusOK, &list)
		assert.Empty(t, list.Runs, "the one that there is waits")
		assert.True(t, list.More)
	})
}

func TestRunsAreFiltered(t *testing.T) {
	inWorld(t, func(w *world) {
		first := w.start(restart)
		time.Sleep(time.Minute)
		second := w.start(`{"environment":"test","playbook":"tidy"}`)
		w.post("jane", "/v1/runs/"+first.ID+"/cancel", `{"reason":"x"}`).ok(http.StatusNoContent, nil)
		synctest.Wait()
		for query, want := range map[string][]string{
			"":                            {second.ID, first.ID},
			"?limit=1":                    {second.ID},
			"?environment=test":           {second.ID},
			"?playbook=restart":           {first.ID},
			"?state=waiting":              {second.ID},
			"?state=cancelled":            {first.ID},
			"?state=queued":               {},
			"?incident=INC-1":             {},
			"?since=2000-01-01T00:01:00Z": {second.ID},
		} {
			var list struct {
				Runs []incident.Run `json:"runs"`
				More bool           `json:"more"`
			}
			w.get("val", "/v1/runs"+query).ok(http.StatusOK, &list)
			ids := []string{}
			for _, r := range list.Runs {
				ids = append(ids, r.ID)
				assert.Empty(t, r.Steps)
			}
			assert.Equal(t, want, ids, query)
			assert.Equal(t, query == "?limit=1", list.More)
		}
		p := w.get("val", "/v1/runs?limit=0&state=odd&since=now&colour=red&playbook=a&playbook=b").problem(http.StatusUnprocessableEntity, "invalid")
		var names []string
		for _, e := range p.Errors {
			names = append(names, e.Parameter)
		}
		assert.ElementsMatch(t, []string{"limit", "state", "since", "colour", "playbook"}, names, "all at once")
	})
}

func TestPlaybooksAreListedAndShown(t *testing.T) {
	inWorld(t, func(w *world) {
		var list struct {
			Playbooks []struct {
				Name  string `json:"name"`
				Steps []any  `json:"steps"`
			} `json:"playbooks"`
		}
		w.get("val", "/v1/playbooks").ok(http.StatusOK, &list)
		require.Len(t, list.Playbooks, 2)
		assert.Empty(t, list.Playbooks[0].Steps)
		one := w.get("val", "/v1/playbooks/production/restart").ok(http.StatusOK, nil).Body.String()
		for _, want := range []string{`"timeout":"24h0m0s"`, `"lock":"production"`, `"choices":["rolling","all"]`, `"budget":"10m0s"`, `"replaces":["curl /health"]`, `"name":"Deployer"`, `"on_failure":"pause"`} {
			assert.Contains(t, one, want)
		}
		w.get("val", "/v1/playbooks/production/nothing").problem(http.StatusNotFound, "not-found")
	})
}

func TestWhatAHostDoesNotHaveIsSaidSo(t *testing.T) {
	inWorld(t, func(w *world) {
		for path, what := range map[string]string{
			"/v1/runs": "playbooks and runs", "/v1/incidents": "incidents", "/v1/automation": "automation", "/v1/replicas": "replicas",
		} {
			p := w.get("val", path).problem(http.StatusNotFound, "no-such-part")
			assert.Equal(t, "this host has no "+what, p.Detail)
		}
		w.post("jane", "/v1/incidents/INC-1/escalate", `{}`).problem(http.StatusNotFound, "no-such-part")
		w.get("val", "/v1/audit").ok(http.StatusOK, nil)
		assert.NotContains(t, w.get("val", "/v1/openapi.json").Body.String(), `"/runs"`)
	}, func(cfg *httpapi.Config) {
		*cfg = httpapi.Config{Authenticate: cfg.Authenticate, Store: cfg.Store, Logger: cfg.Logger}
	})
}

func TestIncidentsGoTheirCourse(t *testing.T) {
	inWorld(t, func(w *world) {
		inc := w.open()
		at := "/v1/incidents/" + inc.ID
		do := func(path, body string) {
			t.Helper()
			w.post("jane", at+path, body).ok(http.StatusOK, &inc)
		}
		do("/acknowledge", `{"comment":"on it","for":"1h"}`)
		assert.Equal(t, "Jane", inc.AcknowledgedBy)
		assert.Equal(t, time.Hour, inc.AckExpires.Sub(inc.AckAt))
		do("/severity", `{"severity":"critical","reason":"everyone"}`)
		do("/roles", `{"role":"commander","who":"Kim"}`)
		assert.Equal(t, map[string]string{"commander": "Kim"}, inc.Roles)
		do("/notes", `{"text":"the queue\ngrows"}`)
		do("/deadlines", `{"name":"notify","what":"tell the Commissioner","tell":"the privacy officer","due":"2000-01-31T00:00:00Z"}`)
		do("/deadlines", `{"name":"notify","what":"tell the Commissioner","due":"2000-02-20T00:00:00Z"}`)
		require.Len(t, inc.OpenDeadlines(), 1)
		assert.Equal(t, time.Date(2000, 1, 31, 0, 0, 0, 0, time.UTC), inc.Deadlines[0].Due, "never later")
		for body, detail := range map[string]string{
			`{"name":"Tell them","what":"x","due":"2000-01-31T00:00:00Z"}`: "lower-case", `{"name":"file","what":"x","due":"1999-12-31T00:00:00Z"}`: "over already", `{"name":"file","what":"x"}`: "required",
		} {
			p := w.post("jane", at+"/deadlines", body).problem(http.StatusUnprocessableEntity, "invalid")
			assert.Contains(t, p.Errors[0].Detail, detail)
		}
		w.post("jane", at+"/deadlines/pay/settle", `{"reason":"done"}`).problem(http.StatusNotFound, "not-found")
		w.post("val", at+"/deadlines/notify/settle", `{"reason":"done"}`).problem(http.StatusForbidden, "not-permitted")
		w.post("jane", at+"/deadlines/notify/settle", `{}`).problem(http.StatusUnprocessableEntity, "invalid")
		var owing struct{ Incidents []incident.Incident }
		w.get("val", "/v1/incidents?deadlines=true").ok(http.StatusOK, &owing)
		assert.Len(t, owing.Incidents, 1)
		do("/deadlines/notify/settle", `{"reason":"told, NDB-1"}`)
		assert.Equal(t, "Jane", inc.Deadlines[0].SettledBy)
		w.post("jane", at+"/deadlines/notify/settle", `{"reason":"another","void":true}`).problem(http.StatusConflict, "state")
		w.get("val", "/v1/incidents?deadlines=true").ok(http.StatusOK, &owing)
		assert.Empty(t, owing.Incidents)
		do("/updates", `{"text":"we are on it","components":{"web":"down"}}`)
		p := w.post("jane", at+"/updates", `{"text":"this is lost"}`).problem(http.StatusBadGateway, "not-told")
		assert.NotContains(t, p.Detail, "status page")
		do("/mitigate", `{"comment":"rolled back"}`)
		do("/resolve", `{"cause":"a bad deployment"}`)
		do("/follow-ups", `{"text":"raise the limit","owner":"Kim"}`)
		do("/follow-ups/finish", `{"number":1}`)
		assert.Equal(t, "Jane", inc.FollowUps[0].DoneBy)
		do("/review", `{}`)
		assert.Equal(t, incident.Reviewed, inc.State)
		w.post("jane", at+"/mitigate", `{}`).problem(http.StatusConflict, "state")
		do("/reopen", `{"reason":"it is back"}`)
		do("/cancel", `{"reason":"it is not"}`)
		assert.Equal(t, incident.Cancelled, inc.State)
		assert.Equal(t, []string{"posted we are on it"}, w.noted())
		for _, e := range w.audit("acknowledged") {
			assert.Equal(t, "Jane", e.Actor)
		}

		var r incident.Report
		w.get("val", at+"/report").ok(http.StatusOK, &r)
		assert.True(t, r.Record.Verified)
		doc := w.get("val", at+"/report/document").ok(http.StatusOK, nil)
		assert.Equal(t, "text/markdown; charset=utf-8", doc.Header().Get("Content-Type"))
		assert.Contains(t, doc.Body.String(), inc.ID)
		w.get("val", "/v1/figures").ok(http.StatusOK, nil)
		w.get("val", "/v1/figures?from=2001-01-01T00:00:00Z&to=2000-01-01T00:00:00Z").problem(http.StatusUnprocessableEntity, "invalid")
	})
}

func TestIncidentsAreMergedAndListed(t *testing.T) {
	inWorld(t, func(w *world) {
		first, second := w.open(), w.open()
		var stays incident.Incident
		w.post("jane", "/v1/incidents/"+first.ID+"/merge", `{"into":"`+second.ID+`","reason":"same"}`).ok(http.StatusOK, &stays)
		assert.Equal(t, []string{first.ID}, stays.Merged)
		w.post("jane", "/v1/incidents/"+second.ID+"/merge", `{"into":"`+second.ID+`"}`).problem(http.StatusConflict, "state")
		var list struct {
			Incidents []incident.Incident `json:"incidents"`
		}
		w.get("val", "/v1/incidents?open=true&environment=production").ok(http.StatusOK, &list)
		require.Len(t, list.Incidents, 1)
		assert.Equal(t, second.ID, list.Incidents[0].ID)

		w.post("jane", "/v1/incidents", `{"title":"a","severity":"low","key":"k"}`).ok(http.StatusCreated, nil)
		p := w.post("omar", "/v1/incidents", `{"title":"b","severity":"low","key":"k"}`).problem(http.StatusConflict, "taken")
		assert.Contains(t, p.Detail, "INC-2000-0003")
	})
}

func TestARunBelongsToItsIncident(t *testing.T) {
	inWorld(t, func(w *world) {
		inc := w.open()
		run := w.start(`{"environment":"production","playbook":"restart","incident":"` + inc.ID + `"}`)
		w.get("val", "/v1/incidents/"+inc.ID).ok(http.StatusOK, &inc)
		assert.Equal(t, []string{run.ID}, inc.Runs)
		p := w.post("jane", "/v1/runs", `{"environment":"production","playbook":"restart","incident":"INC-1"}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, "#/incident", p.Errors[0].Pointer)
	})
}

// Requirement: INC-ESC-FORCE
func TestAPersonCallsTheNextLevel(t *testing.T) {
	inWorld(t, func(w *world) {
		inc := w.open()
		synctest.Wait()
		w.post("jane", "/v1/incidents/"+inc.ID+"/escalate", `{"comment":"nobody answers"}`).ok(http.StatusNoContent, nil)
		synctest.Wait()
		assert.Len(t, w.noted(), 1)
		assert.Equal(t, []string{"Jane: calls the next level of the escalation of " + inc.ID + ": nobody answers"}, texts(w.audit("escalated by hand")))
		w.post("jane", "/v1/incidents/INC-1/escalate", `{}`).problem(http.StatusNotFound, "not-found")
	})
}

func TestATicketIsOpenedOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		inc := w.open()
		at := "/v1/incidents/" + inc.ID
		w.get("val", at+"/ticket").problem(http.StatusNotFound, "not-found")
		for range 2 {
			assert.Contains(t, w.post("jane", at+"/ticket", `{}`).ok(http.StatusOK, nil).Body.String(), "OPS-42")
		}
		w.post("jane", at+"/deployments", `{"id":"7f3a"}`).ok(http.StatusOK, &inc)
		assert.Equal(t, []string{"7f3a"}, inc.Deployments)
		assert.Equal(t, []string{"OPS-42"}, inc.Tickets)
	})
}

func TestAnOperatorStopsAutomationAndAnAdministratorAllowsIt(t *testing.T) {
	inWorld(t, func(w *world) {
		state := func() (s incident.KillSwitch) {
			w.get("val", "/v1/automation").ok(http.StatusOK, &s)
			return s
		}
		assert.False(t, state().Stopped)
		w.post("jane", "/v1/automation/stop", `{"reason":"in circles"}`).ok(http.StatusNoContent, nil)
		assert.Equal(t, "Jane", state().By)
		w.post("jane", "/v1/automation/resume", `{"reason":"fixed"}`).problem(http.StatusForbidden, "not-permitted")
		assert.True(t, state().Stopped)
		w.post("ada", "/v1/automation/resume", `{"reason":"fixed"}`).ok(http.StatusNoContent, nil)
		assert.False(t, state().Stopped)
	})
}

func TestAnAdministratorTakesOverAProcessThatHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		assert.Contains(t, w.get("val", "/v1/replicas").ok(http.StatusOK, nil).Body.String(), `"hung"`)
		body := `{"process":"b","reason":"its machine is gone"}`
		w.post("jane", "/v1/replicas/take-over", body).problem(http.StatusForbidden, "not-permitted")
		w.post("ada", "/v1/replicas/take-over", `{"process":"a","reason":"x"}`).problem(http.StatusConflict, "stale")
		w.post("ada", "/v1/replicas/take-over", `{"process":"c","reason":"x"}`).problem(http.StatusNotFound, "not-found")
		assert.JSONEq(t, `{"runs":["run-7"]}`, w.post("ada", "/v1/replicas/take-over", body).ok(http.StatusOK, nil).Body.String())
		assert.Equal(t, []string{"Ada: its machine is gone"}, w.replicas.taken)
		assert.Contains(t, texts(w.audit("replica taken over")), "Ada: takes over the runs of process b: its machine is gone")
	})
}
