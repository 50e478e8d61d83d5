package railway_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// deployStatuses are the words of incident in those of Railway.
var deployStatuses = map[incident.DeploymentStatus]string{
	incident.DeploymentBuilding: "BUILDING", incident.DeploymentSucceeded: "SUCCESS", incident.DeploymentFailed: "FAILED",
	incident.DeploymentNeedsApproval: "NEEDS_APPROVAL", incident.DeploymentRemoved: "REMOVED",
}

// deployerCase is a case of the suite.
func deployerCase(st deployStage, source incident.DeploymentSource) incidenttest.DeployerCase {
	return incidenttest.DeployerCase{
		Faults: incidenttest.Faults{
			Effects:    st.effects,
			LoseAnswer: func() { st.server.Fail(railwaytest.Fault{Kind: railwaytest.LoseAnswer}) },
			Forbid:     func() { st.server.Forbid(true) },
			Break:      func() { st.server.Break(true) },
		},
		Deployer: st.service,
		Newest:   func() string { return st.server.Newest(st.environment, st.id) },
		Target:   st.target, Dead: st.dead, Missing: "00000000-0000-4000-8000-000000000000",
		Begin: func(s incident.DeploymentStatus) (string, func(incident.DeploymentStatus)) {
			id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: deployStatuses[s], Commit: deployOther})
			return id, func(to incident.DeploymentStatus) { st.server.SetStatus(id, deployStatuses[to]) }
		},
		Source: source,
	}
}

// Requirement: RW-G4, RW-G5, RW-ASK-VERDICT
// Requirement: RB-CMD-RAILWAY-DEPLOYMENTS
func TestDeployer(t *testing.T) {
	commit := incident.DeploymentSource{Commit: deployOther}
	for name, c := range map[string]struct {
		make   func(testing.TB, *railwaytest.Server, func(*railway.Config)) deployStage
		change func(*railway.Config)
		source incident.DeploymentSource
	}{
		"subscriptions": {newDeployStage, nil, commit},
		"polling":       {newDeployStage, deployPolling, commit},
		"image":         {newImageStage, nil, incident.DeploymentSource{Image: "ghcr.io/acu/dc:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			incidenttest.TestDeployer(t, incidenttest.DeployerHarness{
				New: func(t testing.TB) incidenttest.DeployerCase {
					return deployerCase(c.make(t, &railwaytest.Server{}, c.change), c.source)
				},
				Never: func(t testing.TB) incident.Deployer {
					st := newDeployStage(t, &railwaytest.Server{}, nil)
					st.id = st.server.AddService(st.environment, railwaytest.Service{Name: "new", Repo: "acu/new", Undeployed: true})
					return st.as(t, c.change)
				},
				Run: deployBubble,
			})
		})
	}
}

// Requirement: RW-G4
func TestStopper(t *testing.T) {
	incidenttest.TestStopper(t, incidenttest.StopperHarness{
		New: func(t testing.TB) incidenttest.StopperCase {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			return incidenttest.StopperCase{
				Faults: deployerCase(st, incident.DeploymentSource{}).Faults, Stopper: st.service,
				Running: func() (n int) {
					for _, m := range st.server.Running(st.environment, st.id) {
						n += m
					}
					return n
				},
			}
		},
		Run: deployBubble,
	})
}

// Requirement: RW-DEPLOY-FREEZE, RW-G4
func TestDeployFreezer(t *testing.T) {
	incidenttest.TestDeployFreezer(t, incidenttest.DeployFreezerHarness{
		New: func(t testing.TB) incidenttest.DeployFreezerCase {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			return incidenttest.DeployFreezerCase{Faults: deployerCase(st, incident.DeploymentSource{}).Faults, Freezer: st.service}
		},
		Never: func(t testing.TB) incident.DeployFreezer {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			st.id = st.server.AddService(st.environment, railwaytest.Service{Name: "empty"})
			return st.as(t, nil)
		},
		Run: deployBubble,
	})
}

// A rollback sends the ID of the old deployment, gets true and no deployment, and
// returns the new one, which it found by itself.
//
// Requirement: RW-DEPLOY-NEW-ID, RW-DOCS-ROLLBACK, RW-G5, RW-ASK-ROLLBACK
// Requirement: RB-CMD-RAILWAY-ROLLBACK
func TestRollbackIsObserved(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		before := len(st.server.Calls())
		d, err := st.service.Rollback(t.Context(), incident.Deployment{ID: st.target})
		require.NoError(t, err)
		assert.Equal(t, []string{"DeploymentAndNewest", "DeploymentRollback", "Deployments"}, st.calls(before), "the target is 4 calls")
		assert.Equal(t, []string{"deploymentRollback " + st.target}, st.server.Effects())
		assert.Equal(t, st.server.Newest(st.environment, st.id), d.ID)
		assert.NotContains(t, []string{st.current, st.target}, d.ID)
		assert.Equal(t, deployCommit3, d.Commit)
		assert.False(t, d.Current, "it is on its way")

		d, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
		require.NoError(t, err)
		assert.Equal(t, incident.DeploymentSucceeded, d.Status)
		assert.True(t, d.Current)
		assert.Equal(t, "debug", st.server.Got(d.ID)["LOG_LEVEL"], "it has the variables of its target")
	})
}

// While we roll back somebody else pushes, before us or after. Theirs is not taken
// for ours.
//
// Requirement: RW-DEPLOY-NEW-ID, RW-G5
func TestRollbackWhileOthersPush(t *testing.T) {
	for name, at := range map[string]string{"before the rollback": "mutation DeploymentRollback", "after the rollback": "query Deployments"} {
		t.Run(name, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{}, nil)
				d, err := st.between(t, at, func() string {
					st.server.Push(st.environment, st.id, deployOther, "somebody else's")
					return ""
				}).Rollback(t.Context(), incident.Deployment{ID: st.target})
				require.NoError(t, err)
				assert.Equal(t, deployCommit3, d.Commit)
			})
		})
	}
	t.Run("and ours is not run", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			st.server.Fail(railwaytest.Fault{Kind: railwaytest.BadGateway})
			_, err := st.between(t, "mutation DeploymentRollback", func() string {
				st.server.Push(st.environment, st.id, deployOther, "somebody else's")
				return ""
			}).Rollback(t.Context(), incident.Deployment{ID: st.target})
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
			assert.Empty(t, st.server.Effects())
		})
	})
}

// Old deployments of the version that is rolled back to come into sight when newer
// ones are deleted. None is taken for the new one.
//
// Requirement: RW-DEPLOY-NEW-ID
func TestRollbackIsNotAnOldDeployment(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		for i := range 30 {
			st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Commit: deployCommit3, Created: time.Now().Add(-time.Duration(10+i) * time.Hour)})
		}
		st.server.Fail(railwaytest.Fault{Kind: railwaytest.Gateway})
		service := st.as(t, func(cfg *railway.Config) {
			next := cfg.HTTP.Transport
			cfg.HTTP = &http.Client{Transport: deployTransport(func(req *http.Request) (*http.Response, error) {
				if body := deployBody(req); bytes.Contains(body, []byte("query Deployments ")) {
					body = bytes.Replace(body, []byte(`"first":20`), []byte(`"first":30`), 1)
					req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
				}
				return next.RoundTrip(req)
			})}
		})
		_, err := service.Rollback(t.Context(), incident.Deployment{ID: st.target})
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
	})
}

// A restart keeps its deployment, whose status reads SUCCESS, of before, while
// nothing has happened yet.
//
// Requirement: RW-G5, RW-ASK-VERDICT
// Requirement: RB-CMD-RAILWAY-RESTART
func TestRestartWaitsForAChange(t *testing.T) {
	t.Run("a change is seen", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{Lag: 4 * time.Second}, nil)
			began := time.Now()
			d, err := st.service.Restart(t.Context())
			require.NoError(t, err)
			assert.Equal(t, st.current, d.ID)
			assert.True(t, d.Current)
			assert.Equal(t, incident.DeploymentDeploying, d.Status)
			assert.GreaterOrEqual(t, time.Since(began), 4*time.Second)
			d, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
			require.NoError(t, err)
			assert.Equal(t, incident.DeploymentSucceeded, d.Status)
			assert.True(t, d.Current)
		})
	})
	t.Run("no change shows", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			service := st.between(t, "mutation DeploymentRestart", func() string { return `{"data":{"deploymentRestart":true}}` })
			began := time.Now()
			d, err := service.Restart(t.Context())
			require.NoError(t, err)
			assert.Equal(t, incident.DeploymentSucceeded, d.Status)
			assert.Equal(t, 15*time.Second, time.Since(began))
		})
	})
	t.Run("it crashes", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			st.server.NextDeployments("CRASHED")
			d, err := st.service.Restart(t.Context())
			require.NoError(t, err)
			d, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
			require.NoError(t, err)
			assert.Equal(t, incident.DeploymentCrashed, d.Status)
		})
	})
	t.Run("it crashes by itself, and ours is not run", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			_, err := st.between(t, "mutation DeploymentRestart", func() string {
				st.server.SetStatus(st.current, "CRASHED")
				return `{"data":null,"errors":[{"message":"Problem processing request"}]}`
			}).Restart(t.Context())
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		})
	})
}

// Requirement: RW-DEPLOY-RETENTION, RW-G6
func TestRollbackIsRefusedBefore(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		other := st.server.AddService(st.environment, railwaytest.Service{Name: "other", Repo: "acu/other"})
		foreign := st.server.AddDeployment(st.environment, other, railwaytest.Deployment{Commit: deployCommit1, CanRollback: true, Created: time.Now().Add(-time.Hour)})
		for _, c := range []struct {
			id   string
			want error
			text string
		}{
			{st.dead, incident.ErrUnsupported, "no longer kept"},
			{st.current, incident.ErrUnsupported, "the current deployment"},
			{foreign, incident.ErrNotFound, "of another service"},
			{"", incident.ErrNotFound, "no ID"},
		} {
			_, err := st.service.Rollback(t.Context(), incident.Deployment{ID: c.id, CanRollback: true})
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
			assert.True(t, runbook.SafeToRetry(err), "nothing happened")
		}
		assert.NotContains(t, st.server.Calls(), "DeploymentRollback")
		_, err := st.service.WaitDeployment(t.Context(), foreign, nil)
		require.ErrorIs(t, err, incident.ErrNotFound)
		_, err = st.service.CancelDeployment(t.Context(), foreign)
		require.ErrorIs(t, err, incident.ErrNotFound)
	})
}

// The last good deployment is REMOVED, so that its status must not be asked for. The
// one to roll back to is of another commit than the current one, and a second
// rollback goes further back.
//
// Requirement: RW-G6, RW-DOCS-STATUS-FILTER
func TestRollbackTarget(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		older := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Commit: deployCommit2, CanRollback: true, Created: time.Now().Add(-4 * time.Hour)})
		st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Commit: deployCommit4, CanRollback: true, Created: time.Now().Add(-time.Hour)})
		for _, want := range []string{st.target, older} {
			list, err := st.service.Deployments(t.Context(), 20)
			require.NoError(t, err)
			target, ok := incident.RollbackTarget(list)
			require.True(t, ok)
			assert.Equal(t, want, target.ID)
			assert.Equal(t, incident.DeploymentRemoved, target.Status)
			d, err := st.service.Rollback(t.Context(), target)
			require.NoError(t, err)
			_, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
			require.NoError(t, err)
		}
	})
}

// The filter of the documentation does not exist.
//
// Requirement: RW-DOCS-STATUS-FILTER
func TestStatusFilterOfTheDocumentation(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		token := st.server.AddToken(railwaytest.Token{Kind: "account"})
		ask := func(filter string) string {
			query := fmt.Sprintf(`{"query":"{ deployments(input:{environmentId:\"%s\",serviceId:\"%s\",status:{%s}}, first:5) { edges { node { id status } } } }"}`, st.environment, st.id, filter)
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, railway.DefaultEndpoint+"?source=test", strings.NewReader(query))
			require.NoError(t, err)
			req.Header.Set("Authorization", "Bearer "+token)
			req.Header.Set("Content-Type", "application/json")
			resp, err := st.server.Client().Do(req)
			require.NoError(t, err)
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			return string(body)
		}
		assert.Contains(t, ask("successfulOnly:true"), "GRAPHQL_VALIDATION_FAILED")
		assert.Contains(t, ask("in:[SUCCESS]"), st.current)
		assert.NotContains(t, ask("notIn:[SUCCESS]"), st.current)
		list, err := st.service.Deployments(t.Context(), 4)
		require.NoError(t, err)
		var ids []string
		for _, d := range list {
			ids = append(ids, d.ID)
		}
		assert.Equal(t, []string{st.current, st.target, st.failed, st.dead}, ids, "whatever their status")
	})
}

// Requirement: RW-DEPLOY-ORDER, RW-DEPLOY-UNKNOWN
func TestDeploymentsAreSorted(t *testing.T) {
	node := func(id, status, created, meta string) string {
		return fmt.Sprintf(`{"node":{"id":%q,"status":%q,"createdAt":%q,"environmentId":"e","projectId":"p","serviceId":"s","canRollback":true,"canRedeploy":true,"deploymentStopped":false,"meta":%s,"instances":[]}}`, id, status, created, meta)
	}
	service := deployAnswering(t, `{"data":{"serviceInstance":{"serviceName":"api","source":null,"activeDeployments":[{"id":"b"}]},"deployments":{"edges":[`+strings.Join([]string{
		node("a", "REMOVED", "2026-08-01T10:00:00.000Z", `{"commitHash":"aa","commitMessage":"first line\nsecond"}`),
		node("c", "FAILED", "2026-08-03T10:00:00.000Z", `{"commitHash":17,"commitMessage":{"text":"an object"},"image":["no","text"]}`),
		node("b", "SUCCESS", "2026-08-02T10:00:00.000Z", `null`),
		node("d", "CANCELLED", "2026-08-04T10:00:00+10:00", `"text"`),
	}, ",")+`],"pageInfo":{"hasNextPage":false,"endCursor":null}}}}`)
	list, err := service.Deployments(t.Context(), 3)
	require.NoError(t, err)
	require.Len(t, list, 3)
	assert.Equal(t, "d", list[0].ID)
	assert.Equal(t, incident.DeploymentStatus("cancelled"), list[0].Status, "a status that is not in the schema")
	assert.False(t, list[0].Status.Settled())
	assert.Equal(t, []string{"c", "", ""}, []string{list[1].ID, list[1].Commit, list[1].Message})
	assert.Equal(t, "b", list[2].ID)
	assert.True(t, list[2].Current)
}

// Requirement: RW-G12, RW-DEPLOY-ORDER
func TestDeploymentsOfManyPages(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		for i := range 1200 {
			st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Commit: deployCommit2, Created: time.Now().Add(-time.Duration(1000+i) * time.Hour)})
		}
		before := len(st.server.Calls())
		list, err := st.service.Deployments(t.Context(), 1100)
		require.NoError(t, err)
		assert.Len(t, st.calls(before), 3)
		require.Len(t, list, 1100)
		seen := make(map[string]bool)
		for i, d := range list {
			require.False(t, seen[d.ID])
			seen[d.ID] = true
			require.False(t, i > 0 && d.Created.After(list[i-1].Created))
		}
		assert.Equal(t, st.current, list[0].ID)
	})
}

// Automatic deployments are switched off for this service in this environment, and
// nothing else.
//
// Requirement: RW-DEPLOY-FREEZE, RW-G6
func TestFreezeIsOfOneService(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		beta := st
		beta.environment = st.server.AddEnvironment(st.project, "beta")
		beta.id = st.server.AddService(beta.environment, railwaytest.Service{Name: "api", Repo: "acu/dc"})
		beta.service = beta.as(t, nil)

		state, err := st.service.SetDeployFreeze(t.Context(), true)
		require.NoError(t, err)
		assert.Equal(t, incident.FreezeState{Frozen: true}, state)
		state, err = beta.service.DeployFreeze(t.Context())
		require.NoError(t, err)
		assert.False(t, state.Frozen)

		st.server.Push(st.environment, st.id, deployOther, "a push")
		assert.Equal(t, st.current, st.server.Newest(st.environment, st.id), "a push deploys nothing")
		d, err := st.service.Redeploy(t.Context())
		require.NoError(t, err, "what is asked for is deployed all the same")
		assert.NotEqual(t, st.current, d.ID)
	})
}

// A deployment under way starts again what is stopped, and the state says so.
func TestStopWhileADeploymentIsUnderWay(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		st.server.Push(st.environment, st.id, deployOther, "a push")
		time.Sleep(2 * time.Second)
		s, err := st.service.Stop(t.Context())
		require.NoError(t, err)
		assert.Contains(t, s.Reason, "under way")
		assert.Equal(t, st.current, s.Deployment)
		s, err = st.service.Start(t.Context())
		require.NoError(t, err)
		assert.Contains(t, s.Reason, "under way")
		time.Sleep(time.Minute)
		s, err = st.service.Stopped(t.Context())
		require.NoError(t, err)
		assert.False(t, s.Stopped)
		assert.Equal(t, []string{"deploymentStop " + st.current}, st.server.Effects(), "it was not started twice")
	})
}

// What is stopped is not restarted: that is said before it is tried.
func TestRestartOfWhatIsStopped(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		_, err := st.service.Stop(t.Context())
		require.NoError(t, err)
		_, err = st.service.Restart(t.Context())
		require.ErrorIs(t, err, incident.ErrUnsupported)
		assert.NotContains(t, st.server.Calls(), "DeploymentRestart")
	})
}
