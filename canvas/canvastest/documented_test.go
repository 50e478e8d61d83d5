package canvastest_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// Resources have the fields that Canvas' documentation lists; the names are in
// testdata, with their source.
func TestResourcesHaveTheDocumentedFields(t *testing.T) {
	raw, err := os.ReadFile("testdata/documented_fields.json")
	require.NoError(t, err)
	var documented struct {
		Resources map[string]struct{ Fields []string }
	}
	require.NoError(t, json.Unmarshal(raw, &documented))

	var fake canvastest.Server
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	module := fake.Add(canvastest.Modules, course, nil)
	item := fake.Add(canvastest.ModuleItems, module, canvastest.Object{"type": "Assignment"})
	file := fake.Add(canvastest.Files, course, nil)
	tool := fake.Add(canvastest.ExternalTools, canvastest.RootAccount, nil)
	registration := fake.Add(canvastest.Registrations, canvastest.RootAccount, nil)
	fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, nil)
	fake.Add(canvastest.AccountNotifications, canvastest.RootAccount, nil)
	fake.Add(canvastest.PageViews, 2, nil)
	fake.Add(canvastest.GradeChanges, course, nil)
	job := fake.Add(canvastest.Progresses, 0, nil)
	one := func(format string, args ...any) map[string]any {
		return get(t, &fake, fmt.Sprintf(format, args...)).json(t)
	}
	first := func(format string, args ...any) map[string]any {
		return get(t, &fake, fmt.Sprintf(format, args...)).list(t)[0]
	}
	base := fmt.Sprintf("/api/v1/accounts/1/lti_registrations/%d", registration)
	sendJSON(t, &fake, "PUT", base, `{"overlay":{"title":"Ours"}}`)
	answers := map[string]map[string]any{
		"Account":                    one("/api/v1/accounts/1"),
		"DeveloperKey":               first("/api/v1/accounts/1/developer_keys"),
		"Token":                      first("/api/v1/users/self/user_generated_tokens"),
		"Registration":               one("%s", base),
		"RegistrationAccountBinding": one("%s", base)["account_binding"].(map[string]any),
		"OverlayVersion":             first("%s/overlay_history", base),
		"ContextExternalTool":        one("/api/v1/accounts/1/external_tools/%d", tool),
		"AccountNotification":        first("/api/v1/accounts/1/account_notifications?include_all=1"),
		"PageView":                   first("/api/v1/users/self/page_views"),
		"GradeChangeEvent":           one("/api/v1/audit/grade_change/courses/%d", course)["events"].([]any)[0].(map[string]any),
		"Module":                     one("/api/v1/courses/%d/modules/%d", course, module),
		"ModuleItem":                 one("/api/v1/courses/%d/modules/%d/items/%d", course, module, item),
		"File":                       one("/api/v1/files/%d", file),
		"Folder":                     one("/api/v1/courses/%d/folders/root", course),
		"Progress":                   one("/api/v1/progress/%d", job),
	}
	require.Len(t, answers, len(documented.Resources))
	for name, resource := range documented.Resources {
		for _, field := range resource.Fields {
			assert.Contains(t, answers[name], field, name)
		}
	}
}
