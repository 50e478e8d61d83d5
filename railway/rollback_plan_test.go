package railway_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// The plan names what the rollback changes and what it leaves, and has no value of a
// variable in it.
//
// Requirement: RW-G6, RW-DEPLOY-FREEZE
func TestPlanRollback(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		target := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{
			Commit: deployCommit3, CanRollback: true, Created: time.Now().Add(-time.Hour),
			Variables: map[string]string{"LOG_LEVEL": "canary-old", "OLD_FLAG": "canary-flag", "SAME": "x"},
		})
		st.server.SetVariable(st.environment, st.id, "LOG_LEVEL", "canary-new", false)
		st.server.SetVariable(st.environment, st.id, "SAME", "x", false)
		st.server.SetVariable(st.environment, st.id, "NEW_KEY", "canary-key", false)
		st.server.AddVolume(st.environment, st.id, railwaytest.Volume{Name: "data", MountPath: "/data", SizeMB: 500})
		before := len(st.server.Effects())

		plan, err := st.service.PlanRollback(t.Context(), incident.Deployment{ID: target})
		require.NoError(t, err)
		assert.Equal(t, target, plan.Target.ID)
		assert.Equal(t, st.current, plan.Current.ID)
		assert.True(t, plan.AutoDeploy)
		assert.Equal(t, railway.VariableDiff{Added: []string{"OLD_FLAG"}, Removed: []string{"NEW_KEY"}, Changed: []string{"LOG_LEVEL"}}, plan.Variables)
		text := strings.Join(plan.Warnings, "\n")
		for _, want := range []string{"freeze automatic deployments", "OLD_FLAG, NEW_KEY, LOG_LEVEL", "today's settings again", "migrations of the database", "it is down while it is deployed"} {
			assert.Contains(t, text, want)
		}
		assert.NotContains(t, fmt.Sprintf("%+v", plan), "canary")
		assert.Len(t, st.server.Effects(), before)

		_, err = st.service.SetDeployFreeze(t.Context(), true)
		require.NoError(t, err)
		plan, err = st.service.PlanRollback(t.Context(), incident.Deployment{ID: target})
		require.NoError(t, err)
		assert.False(t, plan.AutoDeploy)
		assert.NotContains(t, strings.Join(plan.Warnings, "\n"), "freeze")
	})
}

// Requirement: RW-G6
func TestPlanRollbackOfTheSameVersion(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		same := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{
			Commit: deployCommit4, CanRollback: true, Created: time.Now().Add(-time.Hour), Variables: map[string]string{"LOG_LEVEL": "info"},
		})
		plan, err := st.service.PlanRollback(t.Context(), incident.Deployment{ID: same})
		require.NoError(t, err)
		assert.True(t, plan.Variables.IsEmpty())
		assert.Contains(t, plan.Warnings[0], "of the same version")
		assert.NotContains(t, strings.Join(plan.Warnings, "\n"), "volume")
	})
}

// What cannot be rolled back to has no plan, and no error quotes what Railway says of
// variables.
//
// Requirement: RW-DEPLOY-RETENTION
func TestPlanRollbackIsRefused(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		for _, id := range []string{st.dead, st.current} {
			_, err := st.service.PlanRollback(t.Context(), incident.Deployment{ID: id})
			require.ErrorIs(t, err, incident.ErrUnsupported)
		}
		st.server.Fail(railwaytest.Fault{Op: "variablesForServiceDeployment", Kind: railwaytest.Refuse, Message: "canary in a message"})
		_, err := st.service.PlanRollback(t.Context(), incident.Deployment{ID: st.target})
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "canary")
	})
}
