package canvastest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

const challenge = `Bearer realm="canvas-lms"`

// The shapes are those of application_controller.rb, authentication_methods.rb
// and lib/api/errors.rb.
func TestShapesOfErrors(t *testing.T) {
	fake := &canvastest.Server{}
	student := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
	weak := fake.AddToken(canvastest.Token{User: student})
	old := fake.AddToken(canvastest.Token{ExpiresAt: time.Now().Add(-time.Hour)})
	gone := fake.AddToken(canvastest.Token{})
	fake.Revoke(gone)
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"require_scopes": true, "scopes": []string{"url:GET|/api/v1/courses"}})
	scoped := fake.AddToken(canvastest.Token{Key: key, Scopes: []string{"url:GET|/api/v1/courses"}})
	course := fmt.Sprintf("/api/v1/courses/%d", fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	for _, c := range []struct {
		name      string
		r         reply
		status    int
		challenge bool
		body      string // JSON; "…" at the end compares the beginning
	}{
		{"invalid token", get(t, fake, "/api/v1/users/self", bearer("x")...), 401, true, `{"errors":[{"message":"Invalid access token."}]}`},
		{"revoked token", get(t, fake, "/api/v1/users/self", bearer(gone)...), 401, true, `{"errors":[{"message":"Revoked access token."}]}`},
		{"expired token", get(t, fake, "/api/v1/users/self", bearer(old)...), 401, true, `{"errors":[{"expired_at":"…`},
		{"no token", get(t, fake, "/api/v1/users/self", "Authorization", ""), 401, true, `{"status":"unauthenticated","errors":[{"message":"user authorization required"}]}`},
		{"no permission", get(t, fake, course, bearer(weak)...), 401, false, `{"status":"unauthorized","errors":[{"message":"user not authorized to perform that action"}]}`},
		{"no scope", get(t, fake, course, bearer(scoped)...), 401, false, `{"errors":[{"message":"Insufficient scopes on access token."}]}`},
		{"masquerade", get(t, fake, "/api/v1/users/self?as_user_id=99", bearer(weak)...), 401, false, `{"errors":"Invalid as_user_id"}`},
		{"not found", get(t, fake, "/api/v1/courses/99"), 404, false, `{"errors":[{"message":"The specified resource does not exist."}]}`},
		{"unknown route", get(t, fake, "/api/v1/nonsense"), 404, false, `{"errors":[{"message":"The specified resource does not exist."}]}`},
		{"no user agent", get(t, fake, "/api/v1/users/self", "User-Agent", ""), 403, false, `{"error":"Forbidden","message":"The request has been blocked because you have not provided a valid user agent."}`},
		{"missing", send(t, fake, "POST", course+"/modules", nil), 400, false, `{"errors":[{"message":"module[name] is missing"}]}`},
		{"object", send(t, fake, "POST", course+"/pages", nil), 400, false, `{"errors":{"title":[{"attribute":"title","type":"blank","message":"can't be blank"}]}}`},
		{"array", send(t, fake, "POST", fmt.Sprintf("/api/v1/accounts/1/developer_keys/%d/developer_key_account_bindings", key), url.Values{"workflow_state": {"maybe"}}), 400, false,
			`{"errors":[{"field":"workflow_state","message":"is not included in the list","error_code":"inclusion"}]}`},
		{"strings", send(t, fake, "POST", "/api/v1/users/self/page_views/query", url.Values{"start_date": {"2020-01-02"}, "end_date": {"2020-01-01"}, "results_format": {"csv"}}), 400, false,
			`{"errors":["start_date and end_date must be the first day of the month","end_date must be after start_date","The requested data cannot be older than 12 months"]}`},
		{"error alone", get(t, fake, "/api/v1/users/self/page_views?start_time=2999-01-01"), 400, false, `{"error":"start_time cannot be in the future"}`},
		{"bad JSON", sendJSON(t, fake, "POST", course+"/pages", `{"wiki`), 400, false, ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.status, c.r.StatusCode)
			if c.challenge {
				assert.Equal(t, challenge, c.r.Header.Get("WWW-Authenticate"))
			} else {
				assert.Empty(t, c.r.Header.Get("WWW-Authenticate"))
			}
			if head, cut := strings.CutSuffix(c.body, "…"); cut {
				assert.True(t, strings.HasPrefix(string(c.r.body), head), "%s", c.r.body)
			} else if c.body != "" {
				assert.JSONEq(t, c.body, string(c.r.body))
			} else {
				assert.Empty(t, c.r.body)
			}
			assert.NotEmpty(t, c.r.Header.Get("X-Request-Context-Id"))
		})
	}
}

func TestWithTheFlagPermissionIs403(t *testing.T) {
	fake := &canvastest.Server{AuthErrorUpdates: true}
	weak := fake.AddToken(canvastest.Token{User: fake.Add(canvastest.Users, canvastest.RootAccount, nil)})
	r := get(t, fake, "/api/v1/accounts/1/settings", bearer(weak)...)
	assert.Equal(t, http.StatusForbidden, r.StatusCode)
	assert.Equal(t, http.StatusUnauthorized, get(t, fake, "/api/v1/users/self", bearer("x")...).StatusCode)
}

func TestBrowsersAreSentToLogIn(t *testing.T) {
	var fake canvastest.Server
	r := get(t, &fake, "/", "Authorization", "", "Accept", "text/html")
	assert.Equal(t, http.StatusFound, r.StatusCode)
	assert.Equal(t, school+"/login", r.Header.Get("Location"))
	r = get(t, &fake, "/api/v1/courses", "Authorization", "", "Accept", "text/html")
	assert.Equal(t, school+"/login", r.Header.Get("Location"))
}

func TestWebSessionsHaveAPrefix(t *testing.T) {
	var fake canvastest.Server
	user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
	r := get(t, &fake, "/api/v1/users/self", "Authorization", "", "Cookie", "canvas_session="+fake.LogIn(user))
	assert.True(t, strings.HasPrefix(string(r.body), "while(1);{"), "%s", r.body)
}

func TestMaintenance(t *testing.T) {
	var fake canvastest.Server
	fake.SetMaintenance(true)
	for _, path := range []string{"/api/v1/users/self", "/health_check", "/nonsense"} {
		r := get(t, &fake, path)
		assert.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
		assert.Contains(t, r.Header.Get("Content-Type"), "text/html")
		assert.Empty(t, r.Header.Get("X-Rate-Limit-Remaining"))
	}
	fake.SetMaintenance(false)
	assert.Equal(t, http.StatusOK, get(t, &fake, "/api/v1/users/self").StatusCode)
	assert.Equal(t, "canvas ok", string(get(t, &fake, "/health_check").body))
	assert.Equal(t, "canvas ok", get(t, &fake, "/health_check.json").json(t)["status"])
}

func TestReadiness(t *testing.T) {
	var fake canvastest.Server
	assert.Equal(t, http.StatusOK, get(t, &fake, "/readiness", "Authorization", "").StatusCode)
	fake.SetComponent("postgresql", false)
	r := get(t, &fake, "/internal/readiness")
	assert.Equal(t, http.StatusServiceUnavailable, r.StatusCode)
	assert.Equal(t, 503.0, r.json(t)["status"])
	assert.Equal(t, http.StatusServiceUnavailable, get(t, &fake, "/deep").StatusCode)
}

func TestProblems(t *testing.T) {
	var fake canvastest.Server
	course := fmt.Sprintf("/api/v1/courses/%d", fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	require.Equal(t, http.StatusOK, get(t, &fake, course+"?include[]=term").StatusCode)
	require.Equal(t, http.StatusOK, sendJSON(t, &fake, "PUT", course, `{"course":{"name":"New"}}`).StatusCode)
	assert.Empty(t, fake.Problems())
	for range 2 {
		get(t, &fake, course+"?include=term&include[]=trem")
		send(t, &fake, "PUT", course, url.Values{"name": {"New"}})
		get(t, &fake, "/api/v1/nonsense")
		sendJSON(t, &fake, "PUT", course, `{"course":{"name":"New"}}`, "X", "")
	}
	assert.ElementsMatch(t, []string{
		`GET /api/v1/courses/:id: parameter "include" is not known`, `GET /api/v1/courses/:id: include[]=trem is not known`,
		`PUT /api/v1/courses/:id: parameter "name" is not known`, `GET /api/v1/nonsense: no such route`,
	}, fake.Problems())
	fake.ResetLog()
	assert.Empty(t, fake.Problems())
}

func TestScopesAndIncludes(t *testing.T) {
	fake := &canvastest.Server{}
	name := "url:GET|/api/v1/courses/:id"
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"require_scopes": true, "scopes": []string{name}})
	token := fake.AddToken(canvastest.Token{Key: key, Scopes: []string{name}})
	course := fmt.Sprintf("/api/v1/courses/%d?include[]=term", fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	assert.NotContains(t, get(t, fake, course, bearer(token)...).json(t), "term", "ignored in silence")
	fake.Set(canvastest.DeveloperKeys, key, canvastest.Object{"allow_includes": true})
	assert.Contains(t, get(t, fake, course, bearer(token)...).json(t), "term")
	head := do(t, fake.Client(), request(t, http.MethodHead, course, nil, bearer(token)...))
	assert.Equal(t, http.StatusOK, head.StatusCode, "HEAD counts as GET")
	assert.Empty(t, head.body)

	scopes := get(t, fake, "/api/v1/accounts/1/scopes?per_page=100").list(t)
	assert.Len(t, scopes, 100)
	assert.Contains(t, scopes[0], "scope")
}

func TestWrongUsePanics(t *testing.T) {
	var fake canvastest.Server
	assert.PanicsWithValue(t, `canvastest: a course has no field "title"`, func() { fake.Add(canvastest.Courses, 1, canvastest.Object{"title": "x"}) })
	assert.Panics(t, func() { fake.Add(canvastest.Courses, 99, nil) })
	assert.Panics(t, func() { fake.Add(canvastest.Courses, 1, canvastest.Object{"id": int64(2)}) })
	assert.Panics(t, func() { fake.SetLoad("GET /api/v1/nonsense", canvastest.Load{}) })
	assert.Panics(t, func() { fake.Inject(canvastest.Fault{Route: "GET /nonsense"}) })
	assert.Panics(t, func() { fake.Set(canvastest.Courses, 99, nil) })
}

func TestTextsOfErrorsMayBeTranslated(t *testing.T) {
	fake := &canvastest.Server{Translate: strings.ToUpper}
	r := get(t, fake, self, "Authorization", "")
	assert.JSONEq(t, `{"status":"UNAUTHENTICATED","errors":[{"message":"USER AUTHORIZATION REQUIRED"}]}`, string(r.body))
	fake.Spend(adminBucket, 590)
	assert.Equal(t, "429 Forbidden (Rate Limit Exceeded)\n", string(get(t, fake, self).body), "this one is not")
}
