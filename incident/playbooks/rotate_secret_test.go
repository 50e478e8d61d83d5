package playbooks_test

import (
	"encoding/base64"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// Requirement: RB-CREDENTIAL-SECRET-KEY, RB-CREDENTIAL-APPLY
// Requirement: INC-ROTATE-OVERLAP
func TestRotateSecret(t *testing.T) {
	const name, previous = "SECRET_KEY", "SECRET_KEY_PREVIOUS"
	for test, c := range map[string]struct {
		world func(h *securityHouse)
		want  incident.RunState
		does  []string
		// kept says that the former secret is still what the application has.
		kept bool
	}{
		"a secret": {does: []string{
			"SetVariables SECRET_KEY,SECRET_KEY_PREVIOUS", "Redeploy d4", "SetVariables SECRET_KEY_PREVIOUS", "Redeploy d5", "EndSessions 12",
		}},
		"one that nobody can read is not lost": {
			world: func(h *securityHouse) { h.platform.Configure(map[string]string{name: "0ld-value"}, name) },
			want:  incident.StateFailed, does: []string{}, kept: true,
		},
		"one that somebody changes meanwhile is read again": {
			world: func(h *securityHouse) { h.platform.Fail("SetVariables", incident.ErrStale) },
			does: []string{
				"SetVariables SECRET_KEY,SECRET_KEY_PREVIOUS", "Redeploy d4", "SetVariables SECRET_KEY_PREVIOUS", "Redeploy d5", "EndSessions 12",
			},
		},
		"a deployment that fails leaves both": {
			world: func(h *securityHouse) { h.platform.StartAs(incident.DeploymentFailed) },
			want:  incident.StateFailed, does: []string{"SetVariables SECRET_KEY,SECRET_KEY_PREVIOUS", "Redeploy d4"}, kept: true,
		},
	} {
		t.Run(test, func(t *testing.T) {
			testPlaybook(t, incidenttest.PlaybookHarness{
				Want: c.want,
				New: func(t testing.TB) incidenttest.PlaybookCase {
					h := newSecurityHouse(t)
					h.platform.Configure(map[string]string{name: "0ld-value"})
					h.platform.Deploy(incident.Deployment{Commit: "3333333"})
					h.Rotations = []playbooks.Rotation{h.RotateSecret(name, previous)}
					if c.world != nil {
						c.world(h)
					}
					desk := h.desk()
					desk.Preserve = nil
					return incidenttest.PlaybookCase{
						Playbook: playbooks.CredentialCompromise(h.Environment, desk), Effects: h.effects, Refused: h.platform.Refused,
						Check: func(t testing.TB, run incident.Run) {
							assert.Equal(t, c.does, h.effects(), stepsOf(run))
							got, _ := h.platform.Got(name)
							if c.kept {
								assert.Equal(t, "0ld-value", got)
								return
							}
							random, err := base64.StdEncoding.DecodeString(got)
							require.NoError(t, err)
							assert.Len(t, random, 32)
							_, still := h.platform.Got(previous)
							assert.False(t, still)
							all, err := json.Marshal(run)
							require.NoError(t, err)
							assert.NotContains(t, string(all), got)
							assert.NotContains(t, string(all), "0ld-value")
						},
					}
				},
				// A new secret that no deployment has yet may be written again, and the former one
				// removed again; nothing is deployed twice for that.
				Repeatable: repeatable("SetVariables SECRET_KEY,SECRET_KEY_PREVIOUS", "SetVariables SECRET_KEY_PREVIOUS", "EndSessions 0"),
			})
		})
	}
}

// A deployment whose answer was lost is followed, and not made again.
func TestRotateSecretDeploysOnceToForget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newSecurityHouse(t)
		h.platform.Configure(map[string]string{"SECRET_KEY": "new", "SECRET_KEY_PREVIOUS": "old"})
		h.platform.Deploy(incident.Deployment{Commit: "3333333"})
		h.from = len(h.platform.Effects())
		end := h.RotateSecret("SECRET_KEY", "SECRET_KEY_PREVIOUS").End
		h.platform.StartAs(incident.DeploymentBuilding)
		h.platform.Fail("Redeploy", incident.ErrOutcomeUnknown)
		require.ErrorIs(t, end(t.Context()), incident.ErrOutcomeUnknown)
		time.AfterFunc(time.Minute, func() { h.platform.SetStatus("d4", incident.DeploymentSucceeded, "") })
		require.NoError(t, end(t.Context()))
		assert.Equal(t, []string{"SetVariables SECRET_KEY_PREVIOUS", "Redeploy d4"}, h.effects())
		require.NoError(t, end(t.Context()), "nothing is left to do")
		assert.Len(t, h.effects(), 2)

		// Whether it was deployed without it already could not be read: nothing is deployed.
		h.platform.Fail("ProveVariables", incident.ErrNotPermitted)
		require.ErrorIs(t, end(t.Context()), incident.ErrNotPermitted)
		assert.Len(t, h.effects(), 2)
	})
}
