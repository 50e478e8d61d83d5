package canvas_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// aTool registers a tool with one placement and returns its registration.
func aTool(fake *canvastest.Server) canvas.ID {
	return canvas.ID(fake.Add(canvastest.Registrations, canvastest.RootAccount, canvastest.Object{
		"name": "QA Tool", "vendor": "Maker",
		"configuration": canvastest.Object{
			"title": "QA Tool", "target_link_uri": "https://tool.example.com/launch", "domain": "tool.example.com", "oidc_initiation_url": "https://tool.example.com/login",
			"public_jwk_url": "https://tool.example.com/jwks", "privacy_level": "public", "scopes": []string{"https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"},
			"redirect_uris": []string{"https://tool.example.com/launch"},
			"placements":    []any{canvastest.Object{"placement": "course_navigation", "enabled": true, "message_type": "LtiResourceLinkRequest", "text": "QA"}},
		},
	}))
}

func TestTools(t *testing.T) {
	c, fake := campus(t)
	registration := aTool(fake)
	r, err := c.GetRegistration(t.Context(), canvas.Self, registration)
	require.NoError(t, err)
	client, ok := r.DeveloperKeyID.Get()
	require.True(t, ok)
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)

	account, in := canvas.Place{Account: canvas.Self}, canvas.Place{Course: ref(course)}
	tool, err := c.CreateTool(t.Context(), account, client)
	require.NoError(t, err)
	is(t, registration, tool.RegistrationID, "registration")
	is(t, client, tool.DeveloperKeyID, "key")
	assert.False(t, tool.DeploymentID.IsZero())
	nav, shown := tool.Placement("course_navigation")
	assert.True(t, shown)
	assert.Equal(t, canvas.ResourceLinkRequest, nav.MessageType)

	assert.Empty(t, all(t, c.Tools(t.Context(), in, nil)))
	assert.Len(t, all(t, c.Tools(t.Context(), in, &canvas.ToolsOptions{IncludeParents: true, Placement: "course_navigation", Search: "qa"})), 1)
	got, err := c.GetTool(t.Context(), account, tool.ID)
	require.NoError(t, err)
	assert.Equal(t, "1.3", got.Version)

	launch, err := c.SessionlessLaunch(t.Context(), in, canvas.LaunchOptions{Tool: tool.ID, Placement: "course_navigation"})
	require.NoError(t, err)
	assert.Equal(t, tool.ID, launch.ID)
	assert.Contains(t, launch.URL.Reveal(), "session_token=")
	assert.NotContains(t, fmt.Sprintf("%+v", launch), "session_token=")
	_, err = c.SessionlessLaunch(t.Context(), in, canvas.LaunchOptions{URL: "https://elsewhere.example.com"})
	require.ErrorIs(t, err, canvas.ErrNotFound)
	for _, wrong := range []canvas.LaunchOptions{{}, {AssignmentID: 1, ModuleItemID: 2}, {AssignmentID: 1, Placement: "course_navigation"}} {
		_, err = c.SessionlessLaunch(t.Context(), in, wrong)
		require.Error(t, err)
		assert.True(t, runbook.SafeToRetry(err), "nothing was asked")
	}
	require.NoError(t, c.DeleteTool(t.Context(), account, tool.ID))
	_, err = c.GetTool(t.Context(), account, tool.ID)
	require.ErrorIs(t, err, canvas.ErrNotFound)
	for _, none := range []canvas.Place{{}, {Account: "1", Course: "2"}} {
		for _, err := range c.Tools(t.Context(), none, nil) {
			require.Error(t, err)
			assert.True(t, runbook.SafeToRetry(err), "nothing was asked")
		}
	}
}

func TestLaunchOfAnAssignmentAndAnItem(t *testing.T) {
	c, fake := campus(t)
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	tool := fake.Add(canvastest.ExternalTools, course, canvastest.Object{"name": "QA", "domain": "tool.example.com", "url": "https://tool.example.com/launch"})
	assignment := fake.Add(canvastest.Assignments, course, canvastest.Object{"external_tool_tag_attributes": canvastest.Object{"url": "https://tool.example.com/a/1"}})
	module := fake.Add(canvastest.Modules, course, nil)
	item := fake.Add(canvastest.ModuleItems, module, canvastest.Object{"type": "ExternalTool", "external_url": "https://tool.example.com/launch"})
	for _, o := range []canvas.LaunchOptions{{AssignmentID: canvas.ID(assignment)}, {ModuleItemID: canvas.ID(item)}, {URL: "https://tool.example.com/launch"}} {
		launch, err := c.SessionlessLaunch(t.Context(), canvas.Place{Course: ref(course)}, o)
		require.NoError(t, err)
		assert.Equal(t, canvas.ID(tool), launch.ID)
	}
}

func TestDeveloperKeys(t *testing.T) {
	c, fake := campus(t)
	own := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "Reports", "test_cluster_only": true})
	inherited := fake.Add(canvastest.DeveloperKeys, 0, canvastest.Object{"name": "Instructure's"})
	keys := all(t, c.DeveloperKeys(t.Context(), canvas.Self, false))
	require.Len(t, keys, 1)
	secret := fake.Get(canvastest.DeveloperKeys, own)["api_key"].(string)
	assert.Equal(t, secret, keys[0].APIKey.Reveal())
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", keys, keys, keys[0]), secret)
	is(t, true, keys[0].TestClusterOnly, "test only")

	for _, id := range []int64{own, inherited} {
		k, err := c.GetDeveloperKey(t.Context(), canvas.Self, canvas.ID(id))
		require.NoError(t, err)
		assert.Equal(t, canvas.ID(id), k.ID)
	}
	_, err := c.GetDeveloperKey(t.Context(), canvas.Self, 424242)
	require.ErrorIs(t, err, canvas.ErrNotFound)

	b, err := c.BindDeveloperKey(t.Context(), canvas.Self, canvas.ID(own), canvas.BindingOff)
	require.NoError(t, err)
	assert.Equal(t, canvas.BindingOff, b.State)
	k, err := c.GetDeveloperKey(t.Context(), canvas.Self, canvas.ID(own))
	require.NoError(t, err)
	now, ok := k.Binding.Get()
	require.True(t, ok)
	assert.Equal(t, canvas.BindingOff, now.State)
	_, err = c.BindDeveloperKey(t.Context(), canvas.Self, canvas.ID(own), "sideways")
	require.ErrorIs(t, err, canvas.ErrInvalid)
}

// Canvas answers a change of an unknown state, or one that it may not make, with
// what is: that is no success.
//
// Requirement: CV-GOTCHA-12
func TestABindingThatDidNotMoveIsAnError(t *testing.T) {
	c := newClient(t, answering(http.StatusOK, `{"id":1,"account_id":1,"developer_key_id":"2","workflow_state":"on","account_owns_binding":false}`))
	b, err := c.BindDeveloperKey(t.Context(), canvas.Self, 2, canvas.BindingOff)
	require.ErrorContains(t, err, `the state is "on" and not "off"`)
	assert.Equal(t, canvas.BindingOn, b.State)
}

func TestRegistrations(t *testing.T) {
	c, fake := campus(t)
	id := aTool(fake)
	for i := range 40 {
		fake.Add(canvastest.Registrations, canvastest.RootAccount, canvastest.Object{"name": fmt.Sprint("Other ", i)})
	}
	found := all(t, c.Registrations(t.Context(), canvas.Self, "configuration", "overlay"))
	require.Len(t, found, 41)
	last := found[40]
	assert.Equal(t, id, last.ID)
	config, ok := last.Configuration.Get()
	require.True(t, ok)
	assert.Equal(t, "tool.example.com", config.Domain)
	assert.True(t, last.Overlay.IsNull(), "asked for, and there is none")
	assert.True(t, all(t, c.Registrations(t.Context(), canvas.Self))[0].Configuration.IsZero())

	client, _ := last.DeveloperKeyID.Get()
	same, err := c.GetRegistrationByClientID(t.Context(), canvas.Self, client)
	require.NoError(t, err)
	assert.Equal(t, id, same.ID)

	b, err := c.BindRegistration(t.Context(), canvas.Self, id, canvas.BindingOff)
	require.NoError(t, err)
	assert.Equal(t, id, b.RegistrationID)
	assert.Equal(t, canvas.BindingOff, b.State)
	_, err = c.BindRegistration(t.Context(), canvas.Self, id, canvas.BindingAllow)
	require.ErrorIs(t, err, canvas.ErrInvalid, "in Instructure's own account only")

	_, err = c.Do(t.Context(), canvas.Request{
		Method: http.MethodPut, Path: canvas.Path("accounts", "1", "lti_registrations", id.String()),
		JSON: map[string]any{"overlay": map[string]any{"title": "Ours", "disabled_placements": []string{"course_navigation"}}, "comment": "for the exam"},
	}, nil)
	require.NoError(t, err)
	r, err := c.GetRegistration(t.Context(), canvas.Self, id, "overlaid_configuration", "overlay")
	require.NoError(t, err)
	before, _ := r.Configuration.Get()
	after, _ := r.OverlaidConfiguration.Get()
	assert.Equal(t, "QA Tool", before.Title)
	assert.Equal(t, "Ours", after.Title)
	is(t, false, after.Placements[0].Enabled, "switched off by the overlay")
	overlay, ok := r.Overlay.Get()
	require.True(t, ok)
	assert.Contains(t, string(overlay), `"Ours"`)

	r, err = c.ResetRegistration(t.Context(), canvas.Self, id)
	require.NoError(t, err)
	assert.Equal(t, id, r.ID)
	versions := all(t, c.OverlayHistory(t.Context(), canvas.Self, id, 100))
	require.Len(t, versions, 2)
	is(t, true, versions[0].CausedByReset, "reset")
	by, _ := versions[1].CreatedBy.Get()
	assert.Equal(t, "QA Administrator", by.Name)
	assert.Contains(t, string(versions[1].Diff), "disabled_placements")
	history := all(t, c.RegistrationHistory(t.Context(), canvas.Self, id))
	require.Len(t, history, 2)
	is(t, "for the exam", history[1].Comment, "comment")
}

func TestNotifications(t *testing.T) {
	c, fake := campus(t)
	now := time.Now()
	n := canvas.NotificationChange{
		Subject: canvas.Value("Maintenance"), Message: canvas.Value("<p>Tonight</p>"), Icon: canvas.Value("calendar"),
		StartAt: canvas.Value(canvas.Time{Time: now.Add(-time.Hour)}), EndAt: canvas.Value(canvas.Time{Time: now.Add(time.Hour)}),
		Roles: canvas.Value([]string{"StudentEnrollment"}),
	}
	made, err := c.CreateNotification(t.Context(), canvas.Self, n)
	require.NoError(t, err)
	assert.Equal(t, "calendar", made.Icon)
	assert.Equal(t, []string{"StudentEnrollment"}, made.Roles)
	_, err = c.UpdateNotification(t.Context(), canvas.Self, made.ID, canvas.NotificationChange{Subject: canvas.Value("Later")})
	require.ErrorContains(t, err, "roles")
	changed, err := c.UpdateNotification(t.Context(), canvas.Self, made.ID, canvas.NotificationChange{Subject: canvas.Value("Later"), Roles: n.Roles})
	require.NoError(t, err)
	assert.Equal(t, "Later", changed.Subject)
	assert.Equal(t, []string{"StudentEnrollment"}, changed.Roles)
	assert.Equal(t, "<p>Tonight</p>", changed.Message, "what was not said stays")

	assert.Len(t, all(t, c.OwnNotifications(t.Context(), canvas.Self, false)), 1)
	require.NoError(t, c.CloseNotification(t.Context(), canvas.Self, made.ID))
	assert.Empty(t, all(t, c.OwnNotifications(t.Context(), canvas.Self, false)))
	assert.Len(t, all(t, c.Notifications(t.Context(), canvas.Self)), 1)
	assert.Len(t, all(t, c.OwnNotifications(t.Context(), canvas.Self, true)), 1)
	_, err = c.GetNotification(t.Context(), canvas.Self, made.ID)
	require.ErrorIs(t, err, canvas.ErrForbidden, "Canvas shows only what is open")
	require.NoError(t, c.RemoveNotification(t.Context(), canvas.Self, made.ID))
	assert.Nil(t, fake.Get(canvastest.AccountNotifications, int64(made.ID)))
	n.EndAt = n.StartAt
	_, err = c.CreateNotification(t.Context(), canvas.Self, n)
	require.ErrorIs(t, err, canvas.ErrInvalid)
}
