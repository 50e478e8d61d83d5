package canvastest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestUsersAndTokens(t *testing.T) {
	var fake canvastest.Server
	me := get(t, &fake, self).json(t)
	assert.Equal(t, "qa-admin@example.edu", me["email"])
	assert.Contains(t, me, "permissions")
	assert.Equal(t, "qa-admin@example.edu", get(t, &fake, "/api/v1/users/self/profile").json(t)["primary_email"])
	fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Ada Lovelace"})
	assert.Equal(t, "Lovelace, Ada", get(t, &fake, "/api/v1/accounts/1/users?search_term=ada").list(t)[0]["sortable_name"])
	as := get(t, &fake, fmt.Sprintf("%s?as_user_id=%v", self, fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Grace Hopper"})))
	assert.Equal(t, "Grace Hopper", as.json(t)["name"])

	const tokens = "/api/v1/users/self/tokens"
	assert.Equal(t, http.StatusBadRequest, send(t, &fake, "POST", tokens, nil).StatusCode, "a purpose is needed")
	made := send(t, &fake, "POST", tokens, url.Values{"token[purpose]": {"nightly report"}, "token[expires_at]": {"2999-01-01"}}).json(t)
	text := made["token"].(string)
	assert.Equal(t, http.StatusOK, get(t, &fake, self, bearer(text)...).StatusCode)
	hint := tokens + "/" + made["token_hint"].(string)
	assert.NotContains(t, get(t, &fake, hint).json(t), "token", "shown once")
	fresh := send(t, &fake, "PUT", fmt.Sprintf("%s/%v", tokens, made["id"]), url.Values{"token[regenerate]": {"1"}}).json(t)["token"].(string)
	assert.Equal(t, http.StatusUnauthorized, get(t, &fake, self, bearer(text)...).StatusCode)
	assert.Equal(t, http.StatusOK, get(t, &fake, self, bearer(fresh)...).StatusCode)
	assert.Len(t, get(t, &fake, "/api/v1/users/self/user_generated_tokens").list(t), 2)
	send(t, &fake, "DELETE", fmt.Sprintf("%s/%v", tokens, made["id"]), nil)
	assert.Contains(t, string(get(t, &fake, self, bearer(fresh)...).body), "Revoked access token.")
	assert.Empty(t, fake.Problems())
}

func TestAccounts(t *testing.T) {
	var fake canvastest.Server
	sub := fake.Add(canvastest.Accounts, canvastest.RootAccount, canvastest.Object{"name": "Science"})
	assert.Len(t, get(t, &fake, "/api/v1/accounts").list(t), 2)
	assert.Equal(t, "Example University", get(t, &fake, "/api/v1/accounts/self").json(t)["name"])
	assert.Equal(t, "Science", get(t, &fake, "/api/v1/accounts/1/sub_accounts").list(t)[0]["name"])
	assert.Equal(t, "Arts", send(t, &fake, "PUT", fmt.Sprintf("/api/v1/accounts/%d", sub), url.Values{"account[name]": {"Arts"}}).json(t)["name"])
	fake.SetAccountSettings(canvastest.RootAccount, canvastest.Object{"sis_source_of_truth": true})
	assert.Equal(t, true, get(t, &fake, "/api/v1/accounts/1/settings").json(t)["sis_source_of_truth"])
	assert.Equal(t, map[string]any{"manage_developer_keys": true}, get(t, &fake, "/api/v1/accounts/self/permissions?permissions[]=manage_developer_keys").json(t))
	assert.Equal(t, http.StatusOK, get(t, &fake, "/api/v1/settings/environment").StatusCode)
	assert.Empty(t, fake.Problems())
}

func TestDeveloperKeys(t *testing.T) {
	var fake canvastest.Server
	foreign := fake.Add(canvastest.DeveloperKeys, 0, canvastest.Object{"name": "Instructure's"})
	r := sendJSON(t, &fake, "POST", "/api/v1/accounts/1/developer_keys", `{"developer_key":{"name":"Report","redirect_uris":"https://report.example.com/cb","scopes":["url:GET|/api/v1/courses"],"require_scopes":true}}`)
	key := r.json(t)
	id := key["id"].(string)
	assert.NotEmpty(t, key["api_key"])
	assert.Equal(t, "off", key["developer_key_account_binding"].(map[string]any)["workflow_state"])
	keys := get(t, &fake, "/api/v1/accounts/1/developer_keys")
	assert.Len(t, keys.list(t), 1)
	assert.NotContains(t, links(t, keys), "last")
	inherited := get(t, &fake, "/api/v1/accounts/1/developer_keys?inherited=true").list(t)
	require.Len(t, inherited, 1)
	assert.NotContains(t, inherited[0], "api_key")
	assert.Equal(t, "Weekly", send(t, &fake, "PUT", "/api/v1/developer_keys/"+id, url.Values{"developer_key[name]": {"Weekly"}}).json(t)["name"])
	wrong := send(t, &fake, "PUT", fmt.Sprintf("/api/v1/developer_keys/%d", foreign), url.Values{"developer_key[name]": {"x"}})
	assert.Equal(t, http.StatusForbidden, wrong.StatusCode)
	assert.Contains(t, string(wrong.body), "Developer keys may only be managed from their account's domain")
	assert.Equal(t, http.StatusUnauthorized, send(t, &fake, "POST", "/api/v1/developer_keys/"+id+"/regenerate_secret", nil).StatusCode, "not with a manual token")
	assert.Equal(t, http.StatusOK, send(t, &fake, "DELETE", "/api/v1/developer_keys/"+id, nil).StatusCode)
	assert.Empty(t, get(t, &fake, "/api/v1/accounts/1/developer_keys").list(t))
	assert.Empty(t, fake.Problems())
}

// The configuration is that of the documentation's example (page "LTI
// Registrations", as published on 2026-02-15).
const registrationExample = `{"vendor":"Example","name":"An Example Tool","admin_nickname":"A Great LTI Tool","workflow_state":"on","configuration":{"title":"Sample Tool","description":"A sample LTI tool",
"target_link_uri":"https://example.com/launch","oidc_initiation_url":"https://example.com/oidc","redirect_uris":["https://example.com/redirect"],"scopes":["https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"],
"placements":[{"placement":"course_navigation","enabled":true}],"launch_settings":{}}}`

func TestRegistrations(t *testing.T) {
	var fake canvastest.Server
	const base = "/api/v1/accounts/1/lti_registrations"
	assert.Equal(t, http.StatusBadRequest, sendJSON(t, &fake, "POST", base, `{"name":"x"}`).StatusCode)
	assert.Equal(t, http.StatusUnprocessableEntity, sendJSON(t, &fake, "POST", base, `{"configuration":{"title":"x"}}`).StatusCode)
	made := sendJSON(t, &fake, "POST", base, registrationExample)
	require.Equal(t, http.StatusCreated, made.StatusCode, "%s", made.body)
	one := fmt.Sprintf("%s/%v", base, made.json(t)["id"])
	for range 15 {
		fake.Add(canvastest.Registrations, canvastest.RootAccount, nil)
	}
	list := get(t, &fake, base).json(t)
	assert.Equal(t, 16.0, list["total"])
	assert.Len(t, list["data"], 15)
	assert.NotContains(t, list["data"].([]any)[0], "configuration")

	overlaid := sendJSON(t, &fake, "PUT", one+"?include[]=overlaid_configuration", `{"overlay":{"disabled_placements":["course_navigation"],"title":"Ours"},"comment":"too loud"}`)
	assert.Equal(t, http.StatusOK, overlaid.StatusCode)
	o := get(t, &fake, one+"?include[]=overlaid_configuration&include[]=overlay&include[]=overlay_versions").json(t)
	placement := o["overlaid_configuration"].(map[string]any)["placements"].([]any)[0].(map[string]any)
	assert.Equal(t, false, placement["enabled"])
	assert.Equal(t, "Ours", o["overlaid_configuration"].(map[string]any)["title"])
	assert.Equal(t, "Sample Tool", o["configuration"].(map[string]any)["title"])
	versions := get(t, &fake, one+"/overlay_history?limit=5").list(t)
	require.Len(t, versions, 1)
	assert.Equal(t, []any{[]any{"+", "disabled_placements[0]", "course_navigation"}, []any{"+", "title", "Ours"}}, versions[0]["diff"])
	history := get(t, &fake, one+"/history").list(t)
	require.Len(t, history, 1)
	assert.Equal(t, "too loud", history[0]["comment"])
	assert.Equal(t, "Sample Tool", history[0]["old_configuration"].(map[string]any)["overlaid_internal_config"].(map[string]any)["title"])

	assert.Equal(t, "off", sendJSON(t, &fake, "POST", one+"/bind", `{"workflow_state":"off"}`).json(t)["workflow_state"])
	assert.Equal(t, http.StatusBadRequest, sendJSON(t, &fake, "POST", one+"/bind", `{"workflow_state":"perhaps"}`).StatusCode)
	key := made.json(t)["developer_key_id"]
	byClient := get(t, &fake, fmt.Sprintf("/api/v1/accounts/1/lti_registration_by_client_id/%.0f", key))
	assert.Equal(t, "off", byClient.json(t)["account_binding"].(map[string]any)["workflow_state"])
	reset := send(t, &fake, "PUT", one+"/reset", nil)
	assert.Equal(t, http.StatusOK, reset.StatusCode)
	assert.Equal(t, true, get(t, &fake, one+"/overlay_history").list(t)[0]["caused_by_reset"])
	config := get(t, &fake, fmt.Sprintf("/api/lti/developer_keys/%.0f/tool_configuration", key)).json(t)
	assert.Equal(t, "https://example.com/launch", config["tool_configuration"].(map[string]any)["settings"].(map[string]any)["target_link_uri"])
	assert.Equal(t, http.StatusOK, send(t, &fake, "DELETE", one, nil).StatusCode)
	assert.Equal(t, http.StatusNotFound, get(t, &fake, one).StatusCode)
}

func TestNotifications(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		const notices = "/api/v1/accounts/1/account_notifications"
		form := url.Values{
			"account_notification[subject]": {"Maintenance"}, "account_notification[message]": {"Canvas is away"}, "account_notification[icon]": {"calendar"},
			"account_notification[start_at]": {time.Now().Add(time.Hour).Format(time.RFC3339)}, "account_notification[end_at]": {time.Now().Add(2 * time.Hour).Format(time.RFC3339)},
			"account_notification_roles[]": {"StudentEnrollment", "TeacherEnrollment"},
		}
		made := send(t, &fake, "POST", notices, form).json(t)
		one := fmt.Sprintf("%s/%v", notices, made["id"])
		assert.Empty(t, get(t, &fake, notices).list(t), "not yet shown")
		assert.Equal(t, http.StatusUnauthorized, get(t, &fake, one).StatusCode)
		all := get(t, &fake, notices+"?include_all=true").list(t)
		require.Len(t, all, 1)
		assert.Equal(t, "QA Administrator", all[0]["author"].(map[string]any)["name"])
		time.Sleep(90 * time.Minute)
		assert.Len(t, get(t, &fake, notices).list(t), 1)
		changed := send(t, &fake, "PUT", one, url.Values{"account_notification[subject]": {"Longer"}}).json(t)
		assert.Empty(t, changed["roles"], "an update without roles takes them away")
		send(t, &fake, "DELETE", one, nil)
		assert.Empty(t, get(t, &fake, notices).list(t), "closed for the caller")
		assert.Len(t, get(t, &fake, notices+"?include_all=true").list(t), 1)
		send(t, &fake, "DELETE", one+"?remove=true", nil)
		assert.Empty(t, get(t, &fake, notices+"?include_all=true").list(t))
		form.Set("account_notification[end_at]", form.Get("account_notification[start_at]"))
		assert.Equal(t, http.StatusBadRequest, send(t, &fake, "POST", notices, form).StatusCode)
		assert.Empty(t, fake.Problems())
	})
}

func TestAuditLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fake canvastest.Server
		user := fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Eve"})
		course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
		start := time.Now()
		for i := range 12 {
			time.Sleep(time.Hour)
			fake.Add(canvastest.AuthenticationEvents, user, canvastest.Object{"event_type": []string{"login", "logout"}[i%2]})
		}
		fake.Add(canvastest.CourseEvents, course, canvastest.Object{"event_type": "concluded", "event_data": canvastest.Object{"name": []string{"a", "b"}}})
		fake.Add(canvastest.GradeChanges, course, canvastest.Object{"grade_before": "5", "grade_after": "9", "links": canvastest.Object{"course": course, "student": user, "grader": user, "assignment": nil, "page_view": nil}})

		path := fmt.Sprintf("/api/v1/audit/authentication/users/%d", user)
		r := get(t, &fake, path)
		events := r.json(t)["events"].([]any)
		require.Len(t, events, 10)
		assert.Equal(t, "logout", events[0].(map[string]any)["event_type"], "newest first")
		assert.Equal(t, "Eve", r.json(t)["linked"].(map[string]any)["users"].([]any)[0].(map[string]any)["name"])
		assert.Len(t, get(t, &fake, links(t, r)["next"]).json(t)["events"], 2)
		q := "?start_time=" + url.QueryEscape(start.Add(90*time.Minute).Format(time.RFC3339)) + "&end_time=" + url.QueryEscape(start.Add(210*time.Minute).Format(time.RFC3339))
		assert.Len(t, get(t, &fake, "/api/v1/audit/authentication/accounts/1"+q).json(t)["events"], 2)
		assert.Len(t, get(t, &fake, fmt.Sprintf("/api/v1/audit/course/courses/%d", course)).json(t)["events"], 1)
		assert.Len(t, get(t, &fake, fmt.Sprintf("/api/v1/audit/grade_change?course_id=%d&student_id=%d", course, user)).json(t)["events"], 1)
		assert.Equal(t, http.StatusNotFound, get(t, &fake, "/api/v1/audit/course/courses/999").StatusCode)
		row := fake.Add(canvastest.PageViews, user, canvastest.Object{"remote_ip": "203.0.113.66"})
		view := fake.Get(canvastest.PageViews, row)["id"]
		fake.Add(canvastest.AuthenticationEvents, user, canvastest.Object{"links": canvastest.Object{"login": nil, "account": canvastest.RootAccount, "user": user, "page_view": view}})
		linked := get(t, &fake, path).json(t)["linked"].(map[string]any)["page_views"].([]any)
		if assert.Len(t, linked, 1, "the request of an event is in the answer, once") {
			assert.Equal(t, "203.0.113.66", linked[0].(map[string]any)["remote_ip"])
		}
		time.Sleep(366 * 24 * time.Hour)
		assert.Empty(t, get(t, &fake, path).json(t)["events"], "kept for a year")
		without := &canvastest.Server{NoAudit: true}
		assert.Equal(t, http.StatusNotFound, get(t, without, "/api/v1/audit/authentication/accounts/1").StatusCode)
		assert.Empty(t, fake.Problems())
	})
}
