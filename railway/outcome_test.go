package railway_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
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

// Whatever is cut off of an answer, nothing is done twice, and what was done is
// known.
//
// Requirement: RW-G4, RW-ERROR-GATEWAY
func TestAnswerCutAtEveryByte(t *testing.T) {
	for name, do := range map[string]func(ctx context.Context, st deployStage) (incident.Deployment, error){
		"rollback": func(ctx context.Context, st deployStage) (incident.Deployment, error) {
			return st.service.Rollback(ctx, incident.Deployment{ID: st.target})
		},
		"restart": func(ctx context.Context, st deployStage) (incident.Deployment, error) { return st.service.Restart(ctx) },
		"redeploy": func(ctx context.Context, st deployStage) (incident.Deployment, error) {
			return st.service.Redeploy(ctx)
		},
		"deploy a commit": func(ctx context.Context, st deployStage) (incident.Deployment, error) {
			return st.service.DeploySource(ctx, incident.DeploymentSource{Commit: deployOther})
		},
	} {
		t.Run(name, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{}, nil)
				size := 0
				measured := st
				measured.service = st.as(t, func(cfg *railway.Config) { cfg.HTTP = deploySizing(cfg.HTTP.Transport, &size) })
				_, err := do(t.Context(), measured)
				require.NoError(t, err)
				require.NotZero(t, size)
				for n := range size + 1 {
					time.Sleep(time.Minute) // the last one has settled
					st.server.Fail(railwaytest.Fault{Kind: railwaytest.Cut, Bytes: n})
					before := len(st.server.Effects())
					d, err := do(t.Context(), st)
					require.NoError(t, err, "cut after %d bytes", n)
					require.Len(t, st.server.Effects(), before+1, "cut after %d bytes", n)
					require.Equal(t, st.server.Newest(st.environment, st.id), d.ID)
				}
			})
		})
	}
}

// deploySizing notes how large the answer to the last mutation was.
func deploySizing(next http.RoundTripper, size *int) *http.Client {
	return &http.Client{Transport: deployTransport(func(req *http.Request) (*http.Response, error) {
		mutation := bytes.Contains(deployBody(req), []byte("mutation "))
		resp, err := next.RoundTrip(req)
		if err != nil || !mutation {
			return resp, err
		}
		answer, err := io.ReadAll(resp.Body)
		*size = len(answer)
		resp.Body = io.NopCloser(bytes.NewReader(answer))
		return resp, err
	})}
}

// deployIs is the error, or one if the result is not what it should be.
func deployIs(st deployStage, err error, is bool) error {
	if err == nil && !is {
		return fmt.Errorf("the result is not what happened: %q", st.server.Effects())
	}
	return err
}

// deployChanges are all changes of a service, of which each has one effect.
var deployChanges = map[string]func(ctx context.Context, st deployStage) error{
	"rollback": func(ctx context.Context, st deployStage) error {
		d, err := st.service.Rollback(ctx, incident.Deployment{ID: st.target})
		return deployIs(st, err, d.Commit == deployCommit3)
	},
	"restart": func(ctx context.Context, st deployStage) error {
		d, err := st.service.Restart(ctx)
		return deployIs(st, err, d.ID == st.current)
	},
	"redeploy": func(ctx context.Context, st deployStage) error {
		d, err := st.service.Redeploy(ctx)
		return deployIs(st, err, d.ID != st.current && d.Commit == deployCommit4)
	},
	"deploy a commit": func(ctx context.Context, st deployStage) error {
		d, err := st.service.DeploySource(ctx, incident.DeploymentSource{Commit: deployOther})
		return deployIs(st, err, d.Commit == deployOther)
	},
	"deploy the newest": func(ctx context.Context, st deployStage) error {
		d, err := st.service.DeploySource(ctx, incident.DeploymentSource{})
		return deployIs(st, err, d.ID != st.current && d.Commit == deployCommit4)
	},
	"stop": func(ctx context.Context, st deployStage) error {
		s, err := st.service.Stop(ctx)
		return deployIs(st, err, s.Deployment == st.current)
	},
	"freeze": func(ctx context.Context, st deployStage) error {
		s, err := st.service.SetDeployFreeze(ctx, true)
		return deployIs(st, err, s.Frozen)
	},
	"cancel": func(ctx context.Context, st deployStage) error {
		id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: "BUILDING", Commit: deployOther})
		d, err := st.service.CancelDeployment(ctx, id)
		return deployIs(st, err, d.Status == incident.DeploymentRemoved || d.Status == incident.DeploymentRemoving)
	},
	"approve": func(ctx context.Context, st deployStage) error {
		id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: "NEEDS_APPROVAL", Commit: deployOther})
		d, err := st.service.ApproveDeployment(ctx, id)
		return deployIs(st, err, d.Status != incident.DeploymentNeedsApproval)
	},
}

// Of every failure of a change the caller learns what is true, or that it is not
// known, and nothing is done twice. A call that hangs ends after 90 s, and a limit is
// waited out.
//
// Requirement: RW-G4, RW-ERROR-GATEWAY, RW-ASK-ROLLBACK, RW-PEER-TF-TIMEOUT
func TestFailuresOfChanges(t *testing.T) {
	kinds := []struct {
		name string
		kind railwaytest.FaultKind
		took bool  // it took effect in the end
		want error // nil: none
	}{
		{"lost answer", railwaytest.LoseAnswer, true, nil},
		{"502 after", railwaytest.BadGatewayAfter, true, nil},
		{"502", railwaytest.BadGateway, false, incident.ErrOutcomeUnknown},
		{"gateway after", railwaytest.GatewayAfter, true, nil},
		{"gateway", railwaytest.Gateway, false, incident.ErrOutcomeUnknown},
		{"hang", railwaytest.Hang, true, nil},
		{"no data", railwaytest.NullData, false, incident.ErrOutcomeUnknown},
		{"refused with a message", railwaytest.Refuse, false, incident.ErrOutcomeUnknown},
		{"errors beside the data", railwaytest.Partial, true, nil},
		{"not authorized", railwaytest.NotAuthorized, false, incident.ErrNotPermitted},
		{"limit", railwaytest.Limit, true, nil},
		{"no connection", railwaytest.Unreachable, true, nil},
	}
	for name, change := range deployChanges {
		for _, k := range kinds {
			t.Run(name+"/"+k.name, func(t *testing.T) {
				deployBubble(t, func(t *testing.T) {
					st := newDeployStage(t, &railwaytest.Server{}, nil)
					st.server.Fail(railwaytest.Fault{Kind: k.kind})
					err := change(t.Context(), st)
					if k.want == nil {
						require.NoError(t, err)
					} else {
						require.ErrorIs(t, err, k.want)
					}
					assert.Equal(t, k.want == incident.ErrNotPermitted, err != nil && runbook.SafeToRetry(err))
					assert.Equal(t, k.took, len(st.server.Effects()) == 1, "effects: %q", st.server.Effects())
					assert.LessOrEqual(t, len(st.server.Effects()), 1)
				})
			})
		}
	}
}

// The caller goes away while the answer is on its way. It is told what happened all
// the same, within seconds.
//
// Requirement: RW-G4
func TestCallerGoesAway(t *testing.T) {
	for name, change := range deployChanges {
		t.Run(name, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{}, nil)
				st.server.Fail(railwaytest.Fault{Kind: railwaytest.Hang})
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				began := time.Now()
				require.NoError(t, change(ctx, st))
				assert.Len(t, st.server.Effects(), 1)
				assert.Less(t, time.Since(began), 16*time.Second)
			})
		})
	}
}

// Nothing can be read after the change. It is not known then what happened, and the
// error says so.
//
// Requirement: RW-G4
func TestNothingCanBeReadAfterwards(t *testing.T) {
	for name, change := range deployChanges {
		t.Run(name, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{}, nil)
				st.service = st.between(t, "mutation ", func() string {
					st.server.Fail(railwaytest.Fault{Op: "query:*", Kind: railwaytest.LoseAnswer, Times: -1})
					return ""
				})
				st.server.Fail(railwaytest.Fault{Kind: railwaytest.BadGatewayAfter})
				began := time.Now()
				err := change(t.Context(), st)
				require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
				assert.False(t, runbook.SafeToRetry(err))
				assert.Len(t, st.server.Effects(), 1)
				assert.LessOrEqual(t, time.Since(began), time.Minute)
			})
		})
	}
}

// What Railway answers with false did not happen, or at least nobody can see it.
//
// Requirement: RW-ASK-ROLLBACK
func TestFalseIsNoSuccess(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		for field, do := range map[string]func(*railway.Service) error{
			"deploymentRollback": func(s *railway.Service) error {
				_, err := s.Rollback(t.Context(), incident.Deployment{ID: st.target})
				return err
			},
			"deploymentRestart": func(s *railway.Service) error { _, err := s.Restart(t.Context()); return err },
			"deploymentStop":    func(s *railway.Service) error { _, err := s.Stop(t.Context()); return err },
			"serviceInstanceDeploy": func(s *railway.Service) error {
				_, err := s.DeploySource(t.Context(), incident.DeploymentSource{})
				return err
			},
		} {
			err := do(st.between(t, "mutation ", func() string { return `{"data":{"` + field + `":false}}` }))
			require.ErrorIs(t, err, incident.ErrOutcomeUnknown, field)
			require.ErrorContains(t, err, "answered that it did not do it", field)
		}
		assert.Empty(t, st.server.Effects())
	})
}
