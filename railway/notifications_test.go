package railway_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

const hookAddress = "https://ops.example.edu/hooks/canary-0a1b2c3d4e5f6071"

func rulesHost(t testing.TB) *opsHost {
	t.Helper()
	h := newOps(t, railwaytest.Service{Image: "web:1"})
	h.connect(t, "workspace")
	return h
}

func (h *opsHost) rule() railway.NotificationRule {
	return railway.NotificationRule{
		Workspace: h.workspace, Project: h.project, Events: []string{"Deployment.failed", "Deployment.crashed"},
		Severities: []string{"CRITICAL", "WARNING"}, Webhooks: []runbook.Secret{runbook.NewSecret(hookAddress)},
	}
}

func TestNotificationRules(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := rulesHost(t)
		made, err := h.client.CreateNotificationRule(t.Context(), h.rule())
		require.NoError(t, err)
		assert.NotEmpty(t, made.ID)
		assert.Equal(t, h.project, made.Project)
		assert.ElementsMatch(t, h.rule().Events, made.Events)
		require.Len(t, made.Webhooks, 1)
		assert.True(t, made.Webhooks[0].Equal(runbook.NewSecret(hookAddress)), "it is read back")
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", made, made, made), "canary")

		made.Events = []string{"Deployment.crashed"}
		made.Ephemeral = true
		made.Webhooks = nil
		changed, err := h.client.UpdateNotificationRule(t.Context(), made)
		require.NoError(t, err)
		assert.Equal(t, []string{"Deployment.crashed"}, changed.Events)
		assert.True(t, changed.Ephemeral)
		require.Len(t, changed.Webhooks, 1, "it stays")
		assert.ElementsMatch(t, h.rule().Severities, changed.Severities)

		all, err := h.client.NotificationRules(t.Context(), h.workspace, h.project)
		require.NoError(t, err)
		require.Len(t, all, 1)
		assert.Equal(t, made.ID, all[0].ID)

		require.NoError(t, h.client.DeleteNotificationRule(t.Context(), made))
		require.ErrorIs(t, h.client.DeleteNotificationRule(t.Context(), made), incident.ErrNotFound)
		assert.Len(t, h.did("notificationRuleDelete"), 1)
		_, err = h.client.UpdateNotificationRule(t.Context(), made)
		require.ErrorIs(t, err, incident.ErrNotFound)
	})
}

// Rules belong to a workspace, and a project token is told so before it is tried.
//
// Requirement: RW-ASK-TOKENS
func TestNotificationRulesNeedAWorkspace(t *testing.T) {
	h := newOps(t, railwaytest.Service{Image: "web:1"})
	h.connect(t, "project")
	calls := len(h.Calls())
	_, err := h.client.NotificationRules(t.Context(), h.workspace, "")
	require.ErrorIs(t, err, incident.ErrNotPermitted)
	require.ErrorContains(t, err, "workspace")
	_, err = h.client.CreateNotificationRule(t.Context(), h.rule())
	require.ErrorIs(t, err, incident.ErrNotPermitted)
	_, err = h.client.UpdateNotificationRule(t.Context(), h.rule())
	require.ErrorIs(t, err, incident.ErrNotPermitted)
	require.ErrorIs(t, h.client.DeleteNotificationRule(t.Context(), h.rule()), incident.ErrNotPermitted)
	assert.Len(t, h.Calls(), calls)
}

func TestNotificationRulesUnclear(t *testing.T) {
	for op, do := range map[string]func(t testing.TB, ctx context.Context, h *opsHost, made railway.NotificationRule) error{
		"notificationRuleCreate": func(t testing.TB, ctx context.Context, h *opsHost, _ railway.NotificationRule) error {
			r := h.rule()
			r.Events = []string{"Monitor.triggered"} // unlike the one that is there
			got, err := h.client.CreateNotificationRule(ctx, r)
			if err == nil {
				assert.Equal(t, r.Events, got.Events)
			}
			return err
		},
		"notificationRuleUpdate": func(t testing.TB, ctx context.Context, h *opsHost, made railway.NotificationRule) error {
			made.Events = []string{"Deployment.slept"}
			got, err := h.client.UpdateNotificationRule(ctx, made)
			if err == nil {
				assert.Equal(t, made.Events, got.Events)
			}
			return err
		},
		"notificationRuleDelete": func(t testing.TB, ctx context.Context, h *opsHost, made railway.NotificationRule) error {
			return h.client.DeleteNotificationRule(ctx, made)
		},
	} {
		t.Run(op, func(t *testing.T) {
			var made railway.NotificationRule
			newHost := func(t testing.TB) *opsHost {
				h := rulesHost(t)
				var err error
				made, err = h.client.CreateNotificationRule(t.Context(), h.rule())
				require.NoError(t, err)
				return h
			}
			opsChange(t, op, op, newHost, func(t testing.TB, ctx context.Context, h *opsHost) error {
				err := do(t, ctx, h, made)
				if err != nil {
					assert.NotContains(t, err.Error(), "canary")
				}
				return err
			})
		})
	}
}

// Railway's message may quote what was sent, and the address is a secret.
func TestNotificationRulesShowNoAddress(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := rulesHost(t)
		h.Fail(railwaytest.Fault{Op: "notificationRuleCreate", Kind: railwaytest.Refuse, Message: "Cannot reach " + hookAddress, Code: "BAD_USER_INPUT"})
		_, err := h.client.CreateNotificationRule(t.Context(), h.rule())
		require.Error(t, err)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "canary")
	})
}

// A rule that also writes emails would lose them, since channels are set together.
func TestNotificationRulesKeepOtherChannels(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		h := rulesHost(t)
		made, err := h.client.CreateNotificationRule(t.Context(), h.rule())
		require.NoError(t, err)
		h.answers("notificationRules(", `{"data":{"notificationRules":[{
			"id":"`+made.ID+`","workspaceId":"`+h.workspace+`","eventTypes":["Deployment.failed","Deployment.crashed"],"severities":["CRITICAL","WARNING"],
			"channels":[{"id":"1","config":{"type":"WEBHOOK","webhookUrl":"`+hookAddress+`"}},{"id":"2","config":{"type":"EMAIL"}}, {"id":"3","config":7}]}]}}`)
		list, err := h.client.NotificationRules(t.Context(), h.workspace, h.project)
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, 2, list[0].Others)
		require.Len(t, list[0].Webhooks, 1, "the other form of a webhook is understood")
		updates := len(h.did("notificationRuleUpdate"))
		made.Webhooks = []runbook.Secret{runbook.NewSecret("https://ops.example.edu/another")}
		_, err = h.client.UpdateNotificationRule(t.Context(), made)
		require.ErrorContains(t, err, "would be lost")
		assert.Len(t, h.did("notificationRuleUpdate"), updates)
		made.Webhooks = list[0].Webhooks // as they are
		_, err = h.client.UpdateNotificationRule(t.Context(), made)
		require.NoError(t, err)
	})
}

func TestNotificationRulesInvalid(t *testing.T) {
	h := rulesHost(t)
	calls := len(h.Calls())
	for name, change := range map[string]func(r *railway.NotificationRule){
		"no workspace":     func(r *railway.NotificationRule) { r.Workspace = "" },
		"no project":       func(r *railway.NotificationRule) { r.Project = "" },
		"no events":        func(r *railway.NotificationRule) { r.Events = nil },
		"empty event":      func(r *railway.NotificationRule) { r.Events = []string{""} },
		"unknown severity": func(r *railway.NotificationRule) { r.Severities = []string{"BAD"} },
		"no webhook":       func(r *railway.NotificationRule) { r.Webhooks = nil },
		"plain http": func(r *railway.NotificationRule) {
			r.Webhooks = []runbook.Secret{runbook.NewSecret("http://canary.example/x")}
		},
	} {
		r := h.rule()
		change(&r)
		_, err := h.client.CreateNotificationRule(t.Context(), r)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "canary")
	}
	assert.Len(t, h.Calls(), calls)
}
