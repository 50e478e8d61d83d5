package canvastest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestExternalTools(t *testing.T) {
	var fake canvastest.Server
	registration := sendJSON(t, &fake, "POST", "/api/v1/accounts/1/lti_registrations", registrationExample).json(t)
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	installed := send(t, &fake, "POST", "/api/v1/accounts/1/external_tools", url.Values{"client_id": {fmt.Sprintf("%.0f", registration["developer_key_id"])}}).json(t)
	assert.Equal(t, "1.3", installed["version"])
	navigation := installed["course_navigation"].(map[string]any)
	assert.Equal(t, "LtiResourceLinkRequest", navigation["message_type"])
	assert.Nil(t, installed["editor_button"])
	assert.Regexp(t, `^\d+:[0-9a-f]{40}$`, installed["deployment_id"])
	old := sendJSON(t, &fake, "POST", fmt.Sprintf("/api/v1/courses/%d/external_tools", course),
		`{"name":"Old","consumer_key":"key","shared_secret":"s3cret","url":"https://old.example.com/launch","privacy_level":"public","editor_button":{"enabled":true,"text":"Insert"}}`)
	assert.Equal(t, "ContentItemSelectionRequest", old.json(t)["editor_button"].(map[string]any)["message_type"])
	assert.NotContains(t, string(old.body), "s3cret")
	assert.Equal(t, http.StatusBadRequest, send(t, &fake, "POST", fmt.Sprintf("/api/v1/courses/%d/external_tools", course), url.Values{"name": {"x"}}).StatusCode)

	tools := fmt.Sprintf("/api/v1/courses/%d/external_tools", course)
	assert.Len(t, get(t, &fake, tools).list(t), 1)
	assert.Len(t, get(t, &fake, tools+"?include_parents=true").list(t), 2)
	assert.Len(t, get(t, &fake, tools+"?include_parents=true&placement=course_navigation").list(t), 1)
	put := sendJSON(t, &fake, "PUT", fmt.Sprintf("%s/%v", tools, old.json(t)["id"]), `{"editor_button":{"enabled":false}}`)
	button := put.json(t)["editor_button"].(map[string]any)
	assert.Equal(t, []any{false, "Insert"}, []any{button["enabled"], button["text"]})

	launch := get(t, &fake, fmt.Sprintf("%s/sessionless_launch?id=%v&launch_type=course_navigation", tools, installed["id"])).json(t)
	assert.Equal(t, installed["id"], launch["id"])
	assert.Contains(t, launch["url"], "session_token=")
	assert.Equal(t, http.StatusBadRequest, get(t, &fake, tools+"/sessionless_launch").StatusCode)
	assert.Equal(t, http.StatusNotFound, get(t, &fake, tools+"/sessionless_launch?url=https://x.example.org").StatusCode)
	definitions := fmt.Sprintf("/api/v1/courses/%d/lti_apps/launch_definitions", course)
	assert.Len(t, get(t, &fake, definitions).list(t), 1, "a tool without enabled placements has no definition")
	send(t, &fake, "DELETE", fmt.Sprintf("/api/v1/accounts/1/external_tools/%v", installed["id"]), nil)
	assert.Len(t, get(t, &fake, definitions).list(t), 1, "kept for 10 minutes")
	assert.Empty(t, fake.Problems())
}

func TestLaunchesByAssignmentAndItem(t *testing.T) {
	var fake canvastest.Server
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	tool := fake.Add(canvastest.ExternalTools, canvastest.RootAccount, canvastest.Object{"name": "Lab", "domain": "lab.example.com", "version": "1.1"})
	assignment := fake.Add(canvastest.Assignments, course, canvastest.Object{"external_tool_tag_attributes": canvastest.Object{"url": "https://lab.example.com/1"}})
	item := fake.Add(canvastest.ModuleItems, fake.Add(canvastest.Modules, course, nil), canvastest.Object{"type": "ExternalTool", "external_url": "https://lab.example.com/2"})
	for _, q := range []string{fmt.Sprintf("launch_type=assessment&assignment_id=%d", assignment), fmt.Sprintf("launch_type=module_item&module_item_id=%d", item), "url=https://lab.example.com/3"} {
		r := get(t, &fake, fmt.Sprintf("/api/v1/courses/%d/external_tools/sessionless_launch?%s", course, q)).json(t)
		assert.InDelta(t, tool, r["id"], 0, q)
		assert.Contains(t, r["url"], "verifier=")
	}
	assert.Equal(t, "Lab", get(t, &fake, fmt.Sprintf("/api/v1/accounts/1/external_tools/%d", tool)).json(t)["name"])
	assert.Equal(t, http.StatusNotFound, get(t, &fake, fmt.Sprintf("/api/v1/courses/%d/external_tools/%d", course, tool)).StatusCode, "of the account, not of the course")
}
