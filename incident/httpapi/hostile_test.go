package httpapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

func TestNothingWorksWithoutANamedActor(t *testing.T) {
	inWorld(t, func(w *world) {
		for who, status := range map[string]int{
			"": 401, "unknown": 401, "nobody": 401, "robot": 401, "split": 401, "double": 401, "case": 401, "long": 401, "hidden": 401, "down": 503, "guest": 403,
		} {
			code := map[int]string{401: "unauthenticated", 503: "could-not-ask", 403: "not-permitted"}[status]
			for _, path := range []string{"/v1/runs", "/v1/openapi.json", "/v1/audit", "/v1/playbooks/production/restart"} {
				a := w.get(who, path)
				p := a.problem(status, code)
				assert.NotContains(t, p.Detail, "secret")
				assert.Equal(t, status == 401, a.Header().Get("WWW-Authenticate") == "Bearer")
			}
			w.post(who, "/v1/runs", restart).problem(status, code)
		}
		for _, path := range []string{"/", "/v1", "/v1/nothing", "/v2/runs"} { // and what there is not is not said
			w.get("", path).problem(http.StatusUnauthorized, "unauthenticated")
			w.get("val", path).problem(http.StatusNotFound, "not-found")
		}
		assert.Empty(t, w.audit("run started"))
	})
}

func TestRolesGiveVerbs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start(restart)
		approval := "/v1/approvals/" + w.waiting().ID + "/deny"
		may := map[string][]string{
			"val": {}, "jane": {"operate"}, "kim": {"approve"}, "ada": {"operate", "approve", "administer"},
		}
		for who, verbs := range may {
			w.get(who, "/v1/runs").ok(http.StatusOK, nil)
			for verb, path := range map[string]string{"operate": "/v1/automation/stop", "approve": approval, "administer": "/v1/automation/resume"} {
				a := w.post(who, path, `{}`) // and then it lacks a reason
				if slices.Contains(verbs, verb) {
					a.problem(http.StatusUnprocessableEntity, "invalid")
					continue
				}
				p := a.problem(http.StatusForbidden, "not-permitted")
				assert.Contains(t, p.Detail, verb)
			}
		}
	})
}

func TestCommandsOfOtherSitesAreRefused(t *testing.T) {
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) {
			for i := 0; i < len(values); i += 2 {
				r.Header.Set(values[i], values[i+1])
			}
		}
	}
	for name, c := range map[string]struct {
		who    string
		header []string
		status int
	}{
		"a program with a token":              {"jane", nil, 204},
		"a page with a token":                 {"jane", []string{"Sec-Fetch-Site", "same-origin"}, 204},
		"another site with a token":           {"jane", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		"a sibling with a token":              {"jane", []string{"Sec-Fetch-Site", "same-site"}, 403},
		"another origin":                      {"jane", []string{"Origin", "https://evil.example"}, 403},
		"an origin that is null":              {"jane", []string{"Origin", "null"}, 403},
		"a page with a cookie":                {"page", []string{"Sec-Fetch-Site", "same-origin"}, 204},
		"a page with a cookie, by its origin": {"page", []string{"Origin", "https://example.com"}, 204},
		"a page that the host trusts":         {"page", []string{"Origin", "https://ops.example.edu"}, 204},
		"a cookie that says nothing":          {"page", nil, 403},
		"another site with a cookie":          {"page", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				a := w.ask(c.who, http.MethodPost, "/v1/automation/stop", `{"reason":"x"}`, header(c.header...))
				if c.status == 403 {
					a.problem(403, "cross-site")
					assert.Len(t, w.audit("refused"), 1)
					assert.Empty(t, w.audit("automation"))
					return
				}
				a.ok(c.status, nil)
			}, func(cfg *httpapi.Config) { cfg.Origins = []string{"https://ops.example.edu"} })
		})
	}
	t.Run("forms cannot send JSON", func(t *testing.T) {
		inWorld(t, func(w *world) {
			for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/json; charset=latin1", "text/plain; application/json", "application/jsonp"} {
				w.ask("jane", http.MethodPost, "/v1/automation/stop", `{"reason":"x"}`, header("Content-Type", media)).problem(415, "media-type")
			}
			w.ask("jane", http.MethodPost, "/v1/automation/stop", `{"reason":"x"}`, header("Content-Encoding", "gzip")).problem(415, "media-type")
			w.ask("jane", http.MethodPost, "/v1/automation/stop", `{"reason":"x"}`, header("Content-Type", "application/json; charset=UTF-8")).ok(204, nil)
		})
	})
	t.Run("no answer allows another origin", func(t *testing.T) {
		inWorld(t, func(w *world) {
			a := w.ask("page", http.MethodOptions, "/v1/automation/stop", "", header("Origin", "https://evil.example", "Access-Control-Request-Method", "POST"))
			a.problem(http.StatusMethodNotAllowed, "method-not-allowed")
			assert.Equal(t, "POST", a.Header().Get("Allow"))
			assert.Equal(t, "same-origin", a.Header().Get("Cross-Origin-Resource-Policy"))
		})
	})
}

func TestWhoStartedItDoesNotApproveIt(t *testing.T) {
	inWorld(t, func(w *world) {
		var run incident.Run
		w.post("ada", "/v1/runs", restart).ok(http.StatusCreated, &run)
		synctest.Wait()
		w.approve("ada").problem(http.StatusForbidden, "not-permitted")
		assert.Equal(t, []string{`Ada: refused: approve, approval ` + w.waiting().ID + `: answer run ` + run.ID + `: who started the run does not decide about it: not permitted`}, texts(w.audit("refused")))
		w.approve("jane").problem(http.StatusForbidden, "not-permitted")
		w.approve("kim").ok(http.StatusNoContent, nil)
		assert.Equal(t, incident.StateSucceeded, w.run(run.ID).State)
	})
}

func TestTheRolesThatAStepNames(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start(restart)
		p := w.approve("stranger").problem(http.StatusForbidden, "not-permitted")
		assert.Contains(t, p.Detail, "it is for approver, administrator")
		w.approve("kim").ok(http.StatusNoContent, nil)
	}, func(cfg *httpapi.Config) {
		cfg.Roles = map[string][]httpapi.Verb{"operator": {httpapi.Operate}, "viewer": {httpapi.Read}, "approver": {httpapi.Approve}, "second-line": {httpapi.Approve}}
		cfg.Authenticate = httpapi.AuthenticatorFunc(func(r *http.Request) (httpapi.Actor, error) {
			if r.Header.Get("Authorization") == "Bearer stranger" {
				return httpapi.Actor{Name: "Stranger", Roles: []string{"second-line"}}, nil
			}
			return authenticate(r)
		})
	})
}

// forAnother asks whether somebody else may approve than who makes the request.
type forAnother struct{}

func (forAnother) MayApprove(ctx context.Context, _ string, a incident.Approval) error {
	return httpapi.ApproveByRole{}.MayApprove(ctx, "Another", a)
}

func TestTheRolesOfAPersonAreNotThoseOfAnother(t *testing.T) {
	a := incident.Approval{Question: incident.Question{Roles: []string{"approver"}}}
	require.ErrorIs(t, httpapi.ApproveByRole{}.MayApprove(t.Context(), "Kim", a), incident.ErrNotPermitted, "nobody makes a request here")
	require.NoError(t, httpapi.ApproveByRole{}.MayApprove(t.Context(), "Kim", incident.Approval{}))
	inWorld(t, func(w *world) {
		w.start(restart)
		r, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{w.restart()}, Runs: w.runs, Store: w.store, Approvals: forAnother{}})
		require.NoError(t, err)
		w.cfg.Runner = r
		w.api, err = httpapi.New(w.cfg)
		require.NoError(t, err)
		w.approve("kim").problem(http.StatusForbidden, "not-permitted")
	})
}

func TestAnApprovalIsForThePlanThatWasLookedAt(t *testing.T) {
	inWorld(t, func(w *world) {
		run := w.start(restart)
		a := w.waiting()
		at := "/v1/approvals/" + a.ID + "/approve"
		w.post("ada", "/v1/runs/"+run.ID+"/answer", `{"question":"`+a.Question.ID+`","answer":"deny","comment":"x"}`).problem(http.StatusUnprocessableEntity, "unsupported")
		w.post("kim", at, `{"plan":"another"}`).problem(http.StatusConflict, "stale")
		w.post("kim", at, `{}`).problem(http.StatusConflict, "stale")
		w.would("restart web and forget everything") // after people were asked
		w.approve("kim").ok(http.StatusNoContent, nil)
		assert.Equal(t, incident.StateWaiting, w.run(run.ID).State, "they are asked again")
		assert.Empty(t, w.noted())
		w.post("kim", at, fmt.Sprintf(`{"plan":%q}`, a.Question.Plan)).problem(http.StatusConflict, "stale")
		w.approve("kim").ok(http.StatusNoContent, nil)
		assert.Equal(t, incident.StateSucceeded, w.run(run.ID).State)
	})
}

func TestASuggestionStartsWhenItIsApproved(t *testing.T) {
	inWorld(t, func(w *world) {
		body := `{"id":"run-9","environment":"production","playbook":"restart","parameters":{"replicas":"3"},"within":"1h"}`
		var a incident.Approval
		for range 2 {
			w.post("jane", "/v1/approvals", body).ok(http.StatusCreated, &a)
		}
		assert.Equal(t, "restart web", a.Question.Effects[0].Call)
		w.post("kim", "/v1/approvals/"+a.ID+"/back", `{"to":"look","comment":"x"}`).problem(http.StatusUnprocessableEntity, "unsupported")
		w.get("val", "/v1/runs/run-9").problem(http.StatusNotFound, "not-found")
		w.approve("kim").ok(http.StatusNoContent, nil)
		assert.Equal(t, "Kim", w.run("run-9").By)
		w.get("val", "/v1/approvals/"+a.ID).ok(http.StatusOK, &a)
		assert.Equal(t, "approved", a.Status)
		w.post("kim", "/v1/approvals/"+a.ID+"/deny", `{"comment":"too late"}`).problem(http.StatusConflict, "stale")
	})
}

func TestWhatIsSubmittedTwiceStartsOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		key := func(value string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set("Idempotency-Key", value) }
		}
		ids := make(map[string]bool)
		for _, value := range []string{`"3f2a"`, `3f2a`, `"3f2a"`} {
			var run incident.Run
			a := w.ask("jane", http.MethodPost, "/v1/runs", restart, key(value)).ok(http.StatusCreated, &run)
			ids[run.ID] = true
			assert.Equal(t, "runs/"+run.ID, a.Header().Get("Location"))
		}
		assert.Len(t, ids, 1)
		w.approve("kim").ok(http.StatusNoContent, nil)
		w.ask("jane", http.MethodPost, "/v1/runs", restart, key("3f2a")).ok(http.StatusCreated, nil)
		synctest.Wait()
		assert.Equal(t, []string{"restarted"}, w.noted(), "once, and also after it has ended")

		w.ask("jane", http.MethodPost, "/v1/runs", `{"environment":"production","playbook":"restart","parameters":{"replicas":"3"}}`, key("3f2a")).problem(http.StatusConflict, "stale")
		var other incident.Run
		w.ask("omar", http.MethodPost, "/v1/runs", restart, key("3f2a")).ok(http.StatusCreated, &other)
		assert.False(t, ids[other.ID], "the key of another person is another key")
		w.ask("jane", http.MethodPost, "/v1/runs", `{"id":"run-1","environment":"production","playbook":"restart"}`, key("x")).problem(http.StatusUnprocessableEntity, "invalid")
		for _, bad := range []string{`""`, "ä", strings.Repeat("x", 256)} {
			p := w.ask("jane", http.MethodPost, "/v1/runs", restart, key(bad)).problem(http.StatusUnprocessableEntity, "invalid")
			assert.Equal(t, "Idempotency-Key", p.Errors[0].Parameter)
		}
		w.post("jane", "/v1/runs", `{"id":"run-1","environment":"production","playbook":"restart","refuse":true}`).problem(http.StatusConflict, "busy")
	})
}

func TestEverythingThatIsWrongIsSaidAtOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.post("jane", "/v1/runs", `{"environment":"production","playbook":"restart","parameters":{"replicas":"9","mode":"odd","colour":"red"},"only":["look","nothing"],"by":"Ada"}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, "#/by", p.Errors[0].Pointer, "nobody says who they are in the body")
		p = w.post("jane", "/v1/runs", `{"environment":"production","playbook":"restart","parameters":{"replicas":"9","mode":"odd","colour":"red"},"only":["look","nothing"]}`).problem(http.StatusUnprocessableEntity, "invalid")
		assert.Equal(t, []httpapi.FieldProblem{
			{Pointer: "#/parameters/replicas", Detail: "9 is more than 8"},
			{Pointer: "#/parameters/mode", Detail: `"odd" is none of rolling, all`},
			{Pointer: "#/parameters/colour", Detail: "there is no such parameter"},
			{Pointer: "#/only/1", Detail: "there is no such step"},
		}, p.Errors)
		p = w.post("jane", "/v1/incidents", `{"title":" ","severity":"awful","triggered":"yesterday","simulated":"no","key":7,"title/~ ":1,"severity":"low","summary":null,"environment":"a\u202eb"}`).problem(http.StatusUnprocessableEntity, "invalid")
		got := make(map[string]string)
		for _, e := range p.Errors {
			got[e.Pointer] = e.Detail
		}
		assert.Contains(t, got["#/title~1~0%20"], "there is no such field; there are environment, key")
		delete(got, "#/title~1~0%20")
		assert.Equal(t, map[string]string{
			"#/severity": "it is there twice", "#/title": "must not be empty", "#/triggered": "must be a time such as 2026-03-01T09:30:00Z",
			"#/simulated": "must be true or false", "#/key": "must be a text", "#/summary": "must be a text", "#/environment": "has a character that is none of a text, at byte 1",
		}, got)
		assert.Empty(t, w.audit("opened"))
		w.post("jane", "/v1/incidents", `{"title":"a","severity":"low","triggered":"2010-01-01T00:00:00Z"}`).problem(http.StatusUnprocessableEntity, "invalid")
		w.post("jane", "/v1/incidents/INC-1/acknowledge", `{"for":"1h","forever":true}`).problem(http.StatusUnprocessableEntity, "invalid")
	})
}

func TestBodiesThatAreNoJSONObject(t *testing.T) {
	inWorld(t, func(w *world) {
		for name, c := range map[string]struct{ body, code, detail string }{
			"cut off":         {`{"reason":"x`, "malformed", "ends in the middle"},
			"more":            {`{"reason":"x"} {}`, "malformed", "more after its end"},
			"no UTF-8":        {"{\"reason\":\"\xff\"}", "malformed", "UTF-8"},
			"deep":            {`{"reason":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "malformed", "levels deep"},
			"very deep":       {strings.Repeat(`{"a":`, 100_000), "malformed", "levels deep"},
			"a list":          {`[]`, "invalid", "one thing"},
			"nothing":         {`null`, "invalid", "one thing"},
			"another case":    {`{"Reason":"x"}`, "invalid", "2 things"},
			"only blanks":     {`{"reason":" \n "}`, "invalid", "one thing"},
			"a control":       {`{"reason":"\u0000"}`, "invalid", "one thing"},
			"too long":        {`{"reason":"` + strings.Repeat("x", 501) + `"}`, "invalid", "one thing"},
			"a syntax error":  {`{reason:"x"}`, "malformed", "invalid character"},
			"many wrong keys": {`{` + strings.Repeat(`"x":1,`, 2000) + `"y":1}`, "invalid", "50 things"},
			"a very long key": {`{"` + strings.Repeat("k", 100_000) + `":1,"reason":"x"}`, "invalid", "one thing"},
		} {
			a := w.post("jane", "/v1/automation/stop", c.body)
			p := a.problem(map[string]int{"malformed": 400, "invalid": 422}[c.code], c.code)
			assert.Contains(t, p.Detail, c.detail, name)
			assert.Less(t, a.Body.Len(), 20_000, name)
		}
		w.post("jane", "/v1/automation/stop", ``).problem(http.StatusUnprocessableEntity, "invalid")
		w.post("jane", "/v1/automation/stop", `{"reason":"`+strings.Repeat("x", 1<<20)+`"}`).problem(http.StatusRequestEntityTooLarge, "too-large")
		assert.Empty(t, w.audit("automation"))
	})
}

// endless is a body that does not end, and counts how much of it was read.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte(" "), len(p))), nil
}

func TestABodyThatDoesNotEndIsNotRead(t *testing.T) {
	inWorld(t, func(w *world) {
		body := new(endless)
		with := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(body), -1 }
		w.ask("", http.MethodPost, "/v1/runs", "", with).problem(http.StatusUnauthorized, "unauthenticated")
		w.ask("val", http.MethodPost, "/v1/runs", "", with).problem(http.StatusForbidden, "not-permitted")
		assert.Zero(t, body.read, "nothing of it is read for who may not")
		w.ask("jane", http.MethodPost, "/v1/runs", "", with).problem(http.StatusRequestEntityTooLarge, "too-large")
		assert.Less(t, body.read, 4<<20)
	})
}

func TestPathsThatAreNone(t *testing.T) {
	inWorld(t, func(w *world) {
		w.start(`{"id":"run-1","environment":"test","playbook":"tidy"}`)
		for _, path := range []string{
			"/v1/runs/", "//v1/runs", "/v1//runs", "/v1/./runs", "/v1/incidents/../runs", "/v1/runs/%2e%2e/audit", "/v1/runs/%2e%2e",
			"/v1/runs/run-1%2fevents", "/v1/runs/run-1%00", "/v1/runs/run-1%0d%0aX-Evil:%201", "/v1/runs/run-2", "/v1/runs/" + strings.Repeat("x", 200),
			"/v1/incidents/INC-1", "/v1/incidents/audit", "/v1/incidents/INC-1/timeline", "/v1/incidents/%2e%2e%2faudit/timeline", "/v1/approvals/approval-1",
			"/v1/playbooks/production/%2e%2e%2frestart", "/v1/playbooks/production%2frestart", "/V1/runs", "/v1/runs/run-1/pause/", "/v1/runs;x",
		} {
			a := w.get("val", path)
			assert.Equal(t, http.StatusNotFound, a.Code, path+a.Body.String())
			assert.Equal(t, "application/problem+json", a.Header().Get("Content-Type"), path)
			assert.Empty(t, a.Header().Get("X-Evil"))
			assert.Empty(t, a.Header().Get("Location"), "nobody is sent elsewhere")
		}
		for _, method := range []string{http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodPost, "TRACE", "BREW"} {
			a := w.ask("ada", method, "/v1/runs/run-1", `{}`)
			a.problem(http.StatusMethodNotAllowed, "method-not-allowed")
			assert.Equal(t, "GET, HEAD", a.Header().Get("Allow"))
		}
		assert.Equal(t, http.StatusNotFound, w.ask("ada", http.MethodConnect, "/v1/runs", "").Code)
		assert.Equal(t, http.StatusNotFound, w.ask("ada", http.MethodOptions, "/v1/runs", "", func(r *http.Request) { r.RequestURI = "*" }).Code)
	})
}

// An escalation is a run too, and none of a playbook.
func TestARunOfAnotherProgramIsNotTouched(t *testing.T) {
	inWorld(t, func(w *world) {
		inc := w.open()
		synctest.Wait()
		id := "escalation-" + inc.ID + "-0"
		before, err := w.runs.Record(t.Context(), id, -1)
		require.NoError(t, err)
		for _, verb := range []string{"cancel", "pause", "resume"} {
			a := w.post("jane", "/v1/runs/"+id+"/"+verb, `{"reason":"x"}`)
			assert.Contains(t, []int{http.StatusNotFound, http.StatusServiceUnavailable}, a.Code)
		}
		after, err := w.runs.Record(t.Context(), id, -1)
		require.NoError(t, err)
		assert.Equal(t, before.Revision, after.Revision)
		assert.Empty(t, w.audit("run cancelled"))
	})
}

func TestTextsOfPeopleStayTexts(t *testing.T) {
	inWorld(t, func(w *world) {
		title := `<script>alert(1)</script> "quoted" ](javascript:x)`
		a := w.post("jane", "/v1/incidents", `{"title":"<script>alert(1)</script> \"quoted\" ](javascript:x)","severity":"low"}`)
		var inc incident.Incident
		a.ok(http.StatusCreated, &inc)
		assert.Equal(t, title, inc.Title)
		assert.NotContains(t, a.Body.String(), "<script>", "it is escaped, should a browser take it for a page")
		assert.Equal(t, "default-src 'none'; frame-ancestors 'none'", a.Header().Get("Content-Security-Policy"))
		assert.Contains(t, w.get("val", "/v1/incidents/"+inc.ID+"/report/document").Body.String(), `\](javascript:x)`)
		w.post("jane", "/v1/incidents", `{"title":"a\r\nX-Evil: 1","severity":"low"}`).problem(http.StatusUnprocessableEntity, "invalid")
	})
}

func TestWhatIsNotKnownIsNotCalledAFailure(t *testing.T) {
	inWorld(t, func(w *world) {
		inc := w.open()
		w.store.read(errors.New("connection reset"))
		w.post("jane", "/v1/incidents/"+inc.ID+"/escalate", `{}`).problem(http.StatusServiceUnavailable, "could-not-ask")
		w.store.read(nil)
		assert.Empty(t, w.audit("escalated by hand"))
		w.store.fail(errors.New("dial tcp secret.internal:5432: connection reset"))
		p := w.post("jane", "/v1/incidents/"+inc.ID+"/notes", `{"text":"x"}`).problem(http.StatusBadGateway, "outcome-unknown")
		assert.Equal(t, "it is not known whether it happened: look before doing it again", p.Detail)
		require.NotEmpty(t, p.Reference)
		assert.Contains(t, w.log.String(), p.Reference, "the log has more")
		assert.Contains(t, w.log.String(), "connection reset")
		w.store.fail(notSent{})
		a := w.post("jane", "/v1/incidents/"+inc.ID+"/notes", `{"text":"x"}`)
		p = a.problem(http.StatusServiceUnavailable, "could-not-ask")
		assert.Contains(t, p.Detail, "nothing was changed")
		assert.Equal(t, "5", a.Header().Get("Retry-After"))
		p = w.post("jane", "/v1/incidents/"+inc.ID+"/escalate", `{}`).problem(http.StatusServiceUnavailable, "could-not-ask")
		assert.Contains(t, p.Detail, "nothing was done, because it could not be recorded")
		w.post("ada", "/v1/replicas/take-over", `{"process":"b","reason":"x"}`).problem(http.StatusServiceUnavailable, "could-not-ask")
		assert.Empty(t, w.replicas.taken, "what cannot be recorded is not done")
	})
}

// notSent is an error after which nothing has happened.
type notSent struct{}

func (notSent) Error() string     { return "no connection" }
func (notSent) SafeToRetry() bool { return true }

func TestAPanicIsAFaultAndNothingElseEnds(t *testing.T) {
	inWorld(t, func(w *world) {
		p := w.get("bomb", "/v1/runs").problem(http.StatusInternalServerError, "internal")
		assert.NotContains(t, p.Detail, "secret")
		assert.Contains(t, w.log.String(), p.Reference)
		w.get("val", "/v1/runs").ok(http.StatusOK, nil)
	}, func(cfg *httpapi.Config) {
		cfg.Authenticate = httpapi.AuthenticatorFunc(func(r *http.Request) (httpapi.Actor, error) {
			if r.Header.Get("Authorization") == "Bearer bomb" {
				panic("a secret")
			}
			return authenticate(r)
		})
	})
}

func TestACommandIsCarriedOutThoughItsClientHasGoneAway(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.t.Context())
		cancel()
		gone := func(r *http.Request) { *r = *r.WithContext(ctx) }
		w.ask("jane", http.MethodPost, "/v1/automation/stop", `{"reason":"x"}`, gone).ok(http.StatusNoContent, nil)
		assert.Len(t, w.audit("automation"), 1)
		w.ask("val", http.MethodGet, "/v1/runs", "", gone).problem(http.StatusServiceUnavailable, "could-not-ask")
	})
}

func TestWhatIsRefusedIsRecordedAndDoesNotFillTheStore(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 1000 {
			w.post("val", "/v1/automation/stop", `{"reason":"x"}`).problem(http.StatusForbidden, "not-permitted")
			w.post("unknown", "/v1/automation/stop", `{"reason":"x"}`).problem(http.StatusUnauthorized, "unauthenticated")
			w.get("guest", "/v1/runs").problem(http.StatusForbidden, "not-permitted") // no command
		}
		assert.Len(t, w.audit("refused"), 10)
		time.Sleep(time.Minute)
		synctest.Wait()
		refused := texts(w.audit("refused"))
		assert.Len(t, refused, 12)
		assert.Equal(t, "Val: refused: stop all automatic actions: this needs the right to operate, which your roles do not give", refused[0])
		assert.Equal(t, "unauthenticated: refused: stop all automatic actions: say who you are", refused[1])
		assert.ElementsMatch(t, []string{"Val: refused: 995 more commands within a minute", "unauthenticated: refused: 995 more commands within a minute"}, refused[10:])
		w.post("val", "/v1/automation/stop", `{"reason":"x"}`)
		assert.Len(t, w.audit("refused"), 13, "a minute later it is recorded again")
		w.post("jane", "/v1/incidents/INC-1/mitigate", `{}`).problem(http.StatusNotFound, "not-found")
		assert.Len(t, w.audit("refused"), 13, "what there is not is no refusal")
	})
}

func TestManyActorsDoNotFillTheStoreEither(t *testing.T) {
	inWorld(t, func(w *world) {
		for i := range 1500 {
			w.post(fmt.Sprint("visitor", i), "/v1/automation/stop", `{"reason":"x"}`).problem(http.StatusForbidden, "not-permitted")
		}
		assert.Len(t, w.audit("refused"), 1005)
		time.Sleep(61 * time.Second)
		w.post("visitor0", "/v1/automation/stop", `{"reason":"x"}`)
		assert.Equal(t, "visitor0", w.audit("refused")[1006].Actor, "and after the summary of the others, everybody is told apart again")
	}, func(cfg *httpapi.Config) {
		cfg.Authenticate = httpapi.AuthenticatorFunc(func(r *http.Request) (httpapi.Actor, error) {
			return httpapi.Actor{Name: strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), Roles: []string{"viewer"}}, nil
		})
	})
}

func TestAStoreThatFailsDoesNotHideARefusal(t *testing.T) {
	inWorld(t, func(w *world) {
		w.store.fail(errors.New("full"))
		w.post("val", "/v1/automation/stop", `{"reason":"x"}`).problem(http.StatusForbidden, "not-permitted")
		assert.Contains(t, w.log.String(), "a command that was refused is not in the audit record")
	})
}

func TestPlansAreMadeByAFewAtATime(t *testing.T) {
	inWorld(t, func(w *world) {
		hold := make(chan struct{})
		w.cfg.Runner = slow(t, w, hold)
		w.cfg.Plans = 1
		api, err := httpapi.New(w.cfg)
		require.NoError(t, err)
		w.api = api
		done := make(chan int)
		go func() { done <- w.post("jane", "/v1/plans", restart).Code }()
		synctest.Wait()
		a := w.post("jane", "/v1/plans", restart)
		a.problem(http.StatusTooManyRequests, "too-many")
		assert.Equal(t, "5", a.Header().Get("Retry-After"))
		close(hold)
		assert.Equal(t, http.StatusOK, <-done)
		w.post("jane", "/v1/plans", restart).ok(http.StatusOK, nil)
	})
}
