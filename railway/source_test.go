package railway_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// deployImage2 is what the tests deploy.
var deployImage2 = incident.DeploymentSource{Image: "ghcr.io/acu/dc:2"}

// A new image is made the source and deployed by a deployment; a redeployment would
// run the old one again.
//
// Requirement: RW-DEPLOY-STALE-IMAGE, RW-ASK-VERDICT
func TestDeployImage(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newImageStage(t, &railwaytest.Server{}, nil)
		d, err := st.service.DeploySource(t.Context(), deployImage2)
		require.NoError(t, err)
		assert.Equal(t, "ghcr.io/acu/dc:2", d.Image)
		assert.Empty(t, d.Reason)
		d, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
		require.NoError(t, err)
		assert.Equal(t, incident.DeploymentSucceeded, d.Status)
		assert.True(t, d.Current)
		assert.NotContains(t, st.server.Calls(), "DeploymentRedeploy")
		assert.Len(t, st.server.Effects(), 2)

		_, err = st.service.DeploySource(t.Context(), deployImage2)
		require.NoError(t, err)
		assert.Len(t, st.server.Effects(), 3, "what is configured already is not configured again")
	})
}

// Railway deploys another image than the one that was asked for, since somebody
// changed it in between: the deployment says so.
//
// Requirement: RW-DEPLOY-STALE-IMAGE
func TestTheRunningImageIsVerified(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newImageStage(t, &railwaytest.Server{}, nil)
		first := true
		d, err := st.between(t, "mutation ServiceDeploy", func() string {
			if first {
				first = false
				_, err := st.service.DeploySource(t.Context(), incident.DeploymentSource{Image: "ghcr.io/acu/dc:theirs"})
				assert.NoError(t, err)
			}
			return ""
		}).DeploySource(t.Context(), deployImage2)
		require.NoError(t, err)
		assert.Equal(t, "ghcr.io/acu/dc:theirs", d.Image, "what it deploys, and not what was asked for")
		assert.Contains(t, d.Reason, "ghcr.io/acu/dc:2")
	})
}

// The image changes in one environment, and no other setting is sent, not even as
// null.
//
// Requirement: RW-PEER-TF-ENVIRONMENTS, RW-PEER-TF-NULL, RW-G8
func TestDeployImageChangesOneEnvironment(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newImageStage(t, &railwaytest.Server{}, nil)
		beta := st
		beta.environment = st.server.AddEnvironment(st.project, "beta")
		require.Equal(t, st.id, st.server.AddService(beta.environment, railwaytest.Service{Name: "worker", Image: "ghcr.io/acu/dc:1"}))
		beta.service = beta.as(t, nil)

		var sent []byte
		service := st.as(t, func(cfg *railway.Config) {
			next := cfg.HTTP.Transport
			cfg.HTTP = &http.Client{Transport: deployTransport(func(req *http.Request) (*http.Response, error) {
				if body := deployBody(req); bytes.Contains(body, []byte("mutation ServiceSetImage")) {
					sent = body
				}
				return next.RoundTrip(req)
			})}
		})
		_, err := service.DeploySource(t.Context(), deployImage2)
		require.NoError(t, err)
		var got struct{ Variables map[string]any }
		require.NoError(t, json.Unmarshal(sent, &got))
		assert.Equal(t, map[string]any{"environmentId": st.environment, "serviceId": st.id, "image": "ghcr.io/acu/dc:2"}, got.Variables)

		status, err := beta.service.Environment().Status(t.Context())
		require.NoError(t, err)
		require.Len(t, status.Services, 1)
		assert.Equal(t, "ghcr.io/acu/dc:1", status.Services[0].Image)
		assert.Equal(t, beta.server.Newest(beta.environment, st.id), status.Services[0].Latest.ID, "nothing was deployed there")
	})
}

// The change has two parts. Whatever happens to either, the image is deployed once,
// or the error says that it is not known, and asking again completes it.
//
// Requirement: RW-G4
func TestDeployImageFailures(t *testing.T) {
	for _, part := range []string{"serviceInstanceUpdate", "serviceInstanceDeployV2"} {
		for name, k := range map[string]struct {
			kind railwaytest.FaultKind
			want error
		}{
			"lost answer": {railwaytest.LoseAnswer, nil}, "502 after": {railwaytest.BadGatewayAfter, nil},
			"gateway after": {railwaytest.GatewayAfter, nil}, "hang": {railwaytest.Hang, nil},
			"502": {railwaytest.BadGateway, incident.ErrOutcomeUnknown}, "gateway": {railwaytest.Gateway, incident.ErrOutcomeUnknown},
		} {
			t.Run(part+"/"+name, func(t *testing.T) {
				deployBubble(t, func(t *testing.T) {
					st := newImageStage(t, &railwaytest.Server{}, nil)
					st.server.Fail(railwaytest.Fault{Op: part, Kind: k.kind})
					d, err := st.service.DeploySource(t.Context(), deployImage2)
					if k.want != nil {
						require.ErrorIs(t, err, k.want)
						assert.False(t, runbook.SafeToRetry(err))
						assert.Zero(t, st.effects())
						d, err = st.service.DeploySource(t.Context(), deployImage2)
					}
					require.NoError(t, err)
					assert.Equal(t, "ghcr.io/acu/dc:2", d.Image)
					assert.Equal(t, 1, st.effects())
				})
			})
		}
	}
	t.Run("the second part is refused", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newImageStage(t, &railwaytest.Server{}, nil)
			st.server.Fail(railwaytest.Fault{Op: "serviceInstanceDeployV2", Kind: railwaytest.NotAuthorized})
			_, err := st.service.DeploySource(t.Context(), deployImage2)
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			require.ErrorContains(t, err, "is configured now and is not deployed")
			assert.False(t, runbook.SafeToRetry(err), "the first part was done")
		})
	})
}

// Requirement: RW-ASK-VERDICT
func TestDeployCommit(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		d, err := st.service.DeploySource(t.Context(), incident.DeploymentSource{Commit: deployOther})
		require.NoError(t, err)
		assert.Equal(t, deployOther, d.Commit)
		d, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
		require.NoError(t, err)
		assert.Equal(t, incident.DeploymentSucceeded, d.Status)

		_, err = st.service.DeploySource(t.Context(), incident.DeploymentSource{Commit: "0000000000000000000000000000000000000000"})
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.Equal(t, 1, st.effects())
	})
}

// Requirement: RW-ASK-VERDICT
func TestDeployNewest(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		_, err := st.service.SetDeployFreeze(t.Context(), true)
		require.NoError(t, err)
		st.server.Push(st.environment, st.id, deployOther, "not deployed yet")
		d, err := st.service.DeploySource(t.Context(), incident.DeploymentSource{})
		require.NoError(t, err)
		assert.Equal(t, deployOther, d.Commit)
		assert.Equal(t, st.server.Newest(st.environment, st.id), d.ID)
	})
}

// The answer is lost, nothing was done, and somebody else rolls back meanwhile: that
// is not the newest version.
//
// Requirement: RW-G4
func TestDeployNewestIsNotARollbackOfOthers(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		_, err := st.between(t, "mutation ServiceDeployLatest", func() string {
			_, err := st.service.Rollback(t.Context(), incident.Deployment{ID: st.target})
			assert.NoError(t, err)
			return `{"data":null,"errors":[{"message":"Problem processing request"}]}`
		}).DeploySource(t.Context(), incident.DeploymentSource{})
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
	})
}

func TestSourcesThatCannotBeDeployed(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		repo := newDeployStage(t, &railwaytest.Server{}, nil)
		image := newImageStage(t, &railwaytest.Server{}, nil)
		empty := newDeployStage(t, &railwaytest.Server{}, nil)
		empty.id = empty.server.AddService(empty.environment, railwaytest.Service{Name: "empty", Undeployed: true})
		for _, c := range []struct {
			service *railway.Service
			source  incident.DeploymentSource
			text    string
		}{
			{repo.service, incident.DeploymentSource{Image: "nginx"}, "an image would disconnect it"},
			{image.service, incident.DeploymentSource{Commit: deployOther}, "not connected to a repository"},
			{empty.as(t, nil), incident.DeploymentSource{}, "connected to nothing"},
		} {
			_, err := c.service.DeploySource(t.Context(), c.source)
			require.ErrorIs(t, err, incident.ErrUnsupported)
			require.ErrorContains(t, err, c.text)
		}
		for _, st := range []deployStage{repo, image, empty} {
			assert.Empty(t, st.server.Effects())
		}
	})
}

// A deployment that Railway names is returned by its ID even if it is not listed.
//
// Requirement: RW-G4
func TestDeploymentThatIsNotListed(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{Lag: time.Hour}, nil)
		d, err := st.service.DeploySource(t.Context(), incident.DeploymentSource{Commit: deployOther})
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.Equal(t, st.server.Newest(st.environment, st.id), d.ID)
		assert.ErrorContains(t, err, d.ID)
	})
}
