package railway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// deployWait redeploys, which takes ten minutes, waits, and returns what was asked
// for while it waited.
func deployWait(t *testing.T, st deployStage) (calls []string) {
	d, err := st.service.Redeploy(t.Context())
	require.NoError(t, err)
	before, began := len(st.server.Calls()), time.Now()
	var seen []incident.DeploymentStatus
	d, err = st.service.WaitDeployment(t.Context(), d.ID, func(d incident.Deployment) { seen = append(seen, d.Status) })
	require.NoError(t, err)
	assert.Equal(t, incident.DeploymentSucceeded, d.Status)
	assert.True(t, d.Current)
	if len(seen) > 0 && seen[0] == incident.DeploymentInitializing { // it passes quickly
		seen = seen[1:]
	}
	assert.Equal(t, []incident.DeploymentStatus{incident.DeploymentBuilding, incident.DeploymentDeploying, incident.DeploymentSucceeded}, seen)
	assert.GreaterOrEqual(t, time.Since(began), 9*time.Minute+50*time.Second)
	return st.calls(before)
}

// Requirement: RW-LIMIT-POLLING, RW-G18
func TestWaitingTenMinutes(t *testing.T) {
	slow := func() *railwaytest.Server {
		return &railwaytest.Server{Building: 8 * time.Minute, Deploying: 2 * time.Minute}
	}
	t.Run("by subscription it is one, beside the first look", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			calls := deployWait(t, newDeployStage(t, slow(), nil))
			assert.Equal(t, []string{"DeploymentAndNewest", "subscription:FollowDeployment"}, calls)
		})
	})
	t.Run("by polling at most 60", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			calls := deployWait(t, newDeployStage(t, slow(), deployPolling))
			assert.LessOrEqual(t, len(calls), 60)
			t.Logf("%d calls", len(calls))
		})
	})
	t.Run("without WebSockets at most 60", func(t *testing.T) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, slow(), nil)
			st.server.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.Unreachable, Times: -1})
			calls := deployWait(t, st)
			assert.LessOrEqual(t, len(calls), 60)
		})
	})
}

// A wait of an hour, on the plan that has 100 calls an hour, leaves half of them to
// others.
//
// Requirement: RW-LIMIT-POLLING
func TestWaitingSparesTheSmallestPlan(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{PerHour: 100}, deployPolling)
		id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: "QUEUED", Commit: deployOther})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		d, err := st.service.WaitDeployment(ctx, id, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, incident.DeploymentQueued, d.Status)
		assert.Contains(t, d.Reason, "waits for its turn")
		t.Logf("%d calls", len(st.server.Calls()))
		assert.LessOrEqual(t, len(st.server.Calls()), 60)
		assert.Greater(t, len(st.server.Calls()), 30, "it does look")
	})
}

// Each state that is an end ends the wait, with its meaning, and one that did not
// exist yesterday does not.
//
// Requirement: RW-G15, RW-DEPLOY-UNKNOWN
func TestStatesThatEndAWait(t *testing.T) {
	for status, want := range map[string]struct {
		status incident.DeploymentStatus
		reason string
	}{
		"SUCCESS":        {incident.DeploymentSucceeded, ""},
		"REMOVED":        {incident.DeploymentRemoved, ""},
		"SKIPPED":        {incident.DeploymentSkipped, "no changed file matches the watch patterns"},
		"SLEEPING":       {incident.DeploymentSleeping, "wakes with the next request"},
		"NEEDS_APPROVAL": {incident.DeploymentNeedsApproval, "has to approve it"},
		"FAILED":         {incident.DeploymentFailed, "failed"},
		"CRASHED":        {incident.DeploymentCrashed, ""},
	} {
		for name, change := range map[string]func(*railway.Config){"subscribed": nil, "polled": deployPolling} {
			t.Run(status+" "+name, func(t *testing.T) {
				deployBubble(t, func(t *testing.T) {
					st := newDeployStage(t, &railwaytest.Server{}, change)
					id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: "BUILDING", Commit: deployOther})
					go func() {
						for _, next := range []string{"BUILDING", "CANCELLING", "WAITING", status} {
							time.Sleep(20 * time.Second)
							st.server.SetStatus(id, next)
						}
					}()
					var seen []string
					d, err := st.service.WaitDeployment(t.Context(), id, func(d incident.Deployment) { seen = append(seen, string(d.Status)) })
					require.NoError(t, err)
					assert.Equal(t, want.status, d.Status)
					assert.Contains(t, d.Reason, want.reason)
					assert.Equal(t, []string{"building", "cancelling", "waiting", string(want.status)}, seen)
				})
			})
		}
	}
}

// Requirement: RW-DEPLOY-WHY
func TestWhyADeploymentFailed(t *testing.T) {
	for outcome, want := range map[string]string{
		"FAILED:HEALTHCHECK":        "healthcheck failed after 3 of 3 attempts: 1/1 replicas never became healthy!; service unavailable",
		"FAILED:BUILD_IMAGE":        "build image failed: failed to build: exit code 1; RUN pip install -r requirements.txt",
		"FAILED:PRE_DEPLOY_COMMAND": "pre deploy command failed: the pre-deploy command exited with code 1",
	} {
		t.Run(outcome, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{}, nil)
				st.server.NextDeployments(outcome)
				d, err := st.service.DeploySource(t.Context(), incident.DeploymentSource{Commit: deployOther})
				require.NoError(t, err)
				var last incident.Deployment
				d, err = st.service.WaitDeployment(t.Context(), d.ID, func(d incident.Deployment) { last = d })
				require.NoError(t, err)
				assert.Equal(t, incident.DeploymentFailed, d.Status)
				assert.Equal(t, want, d.Reason)
				assert.Equal(t, d, last, "progress is told the reason too")
				assert.False(t, d.Current)
			})
		})
	}
}

// What is in the events of a deployment is Railway's; whatever it is, the reason is
// one line.
//
// Requirement: RW-DEPLOY-WHY
func TestReasonOfForeignEvents(t *testing.T) {
	event := func(step, payload, created string) string {
		return fmt.Sprintf(`{"node":{"id":"e","step":%q,"createdAt":%q,"completedAt":null,"payload":%s}}`, step, created, payload)
	}
	events := func(list ...string) string {
		return `{"data":{"deploymentEvents":{"edges":[` + strings.Join(list, ",") + `],"pageInfo":{"hasNextPage":false,"endCursor":null}}}}`
	}
	const at, later = "2026-08-01T10:00:00Z", "2026-08-01T10:00:02Z"
	for _, c := range []struct{ body, want string }{
		{events(event("HEALTHCHECK", `null`, at), event("BUILD_IMAGE", `{"durationMs":3}`, at)), ""},
		{events(event("SOME_NEW_STEP", `{"error":"red \u001b[31m and \u0007 bell"}`, at)), "some new step failed: red  [31m and   bell"},
		{
			events(event("HEALTHCHECK", `{"error":"not healthy","attempt":8,"maxAttempts":8,"reason":"not healthy"}`, later), event("CREATE_CONTAINER", `{"error":"earlier"}`, at)),
			"healthcheck failed after 8 of 8 attempts: not healthy",
		},
		{events(event("BUILD_IMAGE", `{"error":"`+strings.Repeat("x", 5000)+`"}`, at)), "build image failed: " + strings.Repeat("x", 280) + "…"},
		{`{"data":null,"errors":[{"message":"Problem processing request"}]}`, ""},
	} {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			service := st.between(t, "query DeploymentEvents", func() string { return c.body })
			d, err := service.WaitDeployment(t.Context(), st.failed, nil)
			require.NoError(t, err)
			assert.Equal(t, incident.DeploymentFailed, d.Status)
			assert.Equal(t, c.want, d.Reason)
		})
	}
}

// A WebSocket that breaks, says nothing or is ended by Railway does not end the wait.
//
// Requirement: RW-G18
func TestWaitingSurvivesTheWebSocket(t *testing.T) {
	for name, fault := range map[string]railwaytest.Fault{
		"breaks":     {Op: "subscription:deployment", Kind: railwaytest.DropSocket, Bytes: 1, Times: 2},
		"breaks on":  {Op: "subscription:deployment", Kind: railwaytest.DropSocket, Times: -1},
		"is silent":  {Op: "subscription:deployment", Kind: railwaytest.Hang, Times: -1},
		"completes":  {Op: "subscription:deployment", Kind: railwaytest.Complete, Times: -1},
		"is refused": {Op: "subscription:deployment", Kind: railwaytest.Refuse, Times: -1},
		"no socket":  {Op: "socket", Kind: railwaytest.BadGateway, Times: -1},
	} {
		t.Run(name, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{Building: 3 * time.Minute}, nil)
				st.server.Fail(fault)
				d, err := st.service.Redeploy(t.Context())
				require.NoError(t, err)
				began := time.Now()
				d, err = st.service.WaitDeployment(t.Context(), d.ID, nil)
				require.NoError(t, err)
				assert.Equal(t, incident.DeploymentSucceeded, d.Status)
				assert.Less(t, time.Since(began), 15*time.Minute)
			})
		})
	}
}

// Looks that fail for a while do not end the wait; one that is refused does.
//
// Requirement: RW-LIMIT-POLLING
func TestWaitingSurvivesFailures(t *testing.T) {
	run := func(t *testing.T, kind railwaytest.FaultKind, times int) (err error) {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, deployPolling)
			id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: "BUILDING", Commit: deployOther})
			go func() {
				time.Sleep(time.Second)
				st.server.Fail(railwaytest.Fault{Op: "query:*", Kind: kind, Times: times, RetryAfter: 2 * time.Minute})
				time.Sleep(5 * time.Minute)
				st.server.SetStatus(id, "SUCCESS")
			}()
			var d incident.Deployment
			d, err = st.service.WaitDeployment(t.Context(), id, nil)
			assert.Equal(t, id, d.ID, "what was seen last")
			if err == nil {
				assert.Equal(t, incident.DeploymentSucceeded, d.Status)
			}
			time.Sleep(10 * time.Minute)
		})
		return err
	}
	require.NoError(t, run(t, railwaytest.Gateway, 4))
	require.NoError(t, run(t, railwaytest.Limit, 1))
	require.NoError(t, run(t, railwaytest.LoseAnswer, 8))
	require.ErrorIs(t, run(t, railwaytest.NotAuthorized, 1), incident.ErrNotPermitted)
	err := run(t, railwaytest.BadGateway, -1)
	require.Error(t, err)
	require.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
	e, ok := errors.AsType[*railway.Error](err)
	require.True(t, ok)
	assert.Equal(t, http.StatusBadGateway, e.Status)
}

// A deployment that is over before the subscription is open is seen all the same,
// also if the subscription does not tell how it is when it begins.
func TestWaitingMissesNothingBeforeTheSubscription(t *testing.T) {
	for name, fail := range map[string]func(*railwaytest.Server){
		"it tells": func(*railwaytest.Server) {},
		"it does not tell": func(s *railwaytest.Server) {
			s.Fail(railwaytest.Fault{Op: "subscription:deployment", Kind: railwaytest.Hang, Times: -1})
		},
	} {
		t.Run(name, func(t *testing.T) {
			deployBubble(t, func(t *testing.T) {
				st := newDeployStage(t, &railwaytest.Server{}, nil)
				fail(st.server)
				id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Status: "BUILDING", Commit: deployOther})
				began := time.Now()
				d, err := st.service.WaitDeployment(t.Context(), id, func(d incident.Deployment) {
					if d.Status == incident.DeploymentBuilding {
						st.server.SetStatus(id, "SUCCESS")
					}
				})
				require.NoError(t, err)
				assert.Equal(t, incident.DeploymentSucceeded, d.Status)
				assert.LessOrEqual(t, time.Since(began), 6*time.Second)
			})
		})
	}
}

// The pace of asking: quick at first, 12 s later, and slower when little is left.
//
// Requirement: RW-LIMIT-POLLING
func TestPace(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		reset := time.Now().Add(time.Hour)
		for _, c := range []struct {
			n     int
			stats railway.BudgetStats
			want  time.Duration
		}{
			{0, railway.BudgetStats{}, 2 * time.Second},
			{1, railway.BudgetStats{}, 3 * time.Second},
			{99, railway.BudgetStats{}, 12 * time.Second},
			{99, railway.BudgetStats{Limit: 10000, Remaining: 9000, Reset: reset}, 12 * time.Second},
			{99, railway.BudgetStats{Limit: 1000, Remaining: 900, Reset: reset}, 12 * time.Second},
			{0, railway.BudgetStats{Limit: 100, Remaining: 90, Reset: reset}, 2 * time.Second},
			{9, railway.BudgetStats{Limit: 100, Remaining: 90, Reset: reset}, 90 * time.Second},
			{0, railway.BudgetStats{Limit: 100, Remaining: 20, Reset: reset}, 30 * time.Minute},
			{0, railway.BudgetStats{Limit: 100, Remaining: 0, Reset: reset}, time.Hour},
			{5, railway.BudgetStats{Limit: 100, Remaining: 0, Reset: time.Now().Add(-time.Second)}, 12 * time.Second},
		} {
			assert.Equal(t, c.want, railway.Pace(c.n, c.stats), "look %d, %+v", c.n, c.stats)
		}
	})
}

// BenchmarkWaitLook is one look of a wait; a wait of 10 minutes has at most 60, and
// each should take less than 1 ms beside the network. The server is in it.
func BenchmarkWaitLook(b *testing.B) {
	st := newDeployStage(b, &railwaytest.Server{Lag: -1, PerHour: 1 << 30, PerSecond: 1 << 30}, func(cfg *railway.Config) {
		cfg.Polling, cfg.Budget = true, &railway.Budget{PerSecond: 1e6}
	})
	b.ReportAllocs()
	for b.Loop() {
		d, err := st.service.WaitDeployment(b.Context(), st.current, nil)
		if err != nil || d.Status != incident.DeploymentSucceeded {
			b.Fatal(d, err)
		}
	}
	looks := 1
	for total := time.Duration(0); total < 10*time.Minute; looks++ {
		total += railway.Pace(looks-1, railway.BudgetStats{})
	}
	b.ReportMetric(float64(looks), "looks/10min")
}

// A rollback: choose by what can be rolled back to, roll back, wait for the verdict.
func ExampleService_Rollback() {
	fake := &railwaytest.Server{Building: -1, Deploying: -1, Lag: -1}
	project := fake.AddProject(fake.AddWorkspace("ACU"), "discovery")
	environment := fake.AddEnvironment(project, "production")
	api := fake.AddService(environment, railwaytest.Service{Name: "api", Repo: "acu/discovery", Commit: "bad0bad0"})
	fake.AddDeployment(environment, api, railwaytest.Deployment{Commit: "600d600d", CanRollback: true, Created: time.Now().Add(-time.Hour)})

	client, err := railway.New(railway.Config{
		Kind: railway.AccountToken, Token: runbook.NewSecret(fake.AddToken(railwaytest.Token{Kind: "account"})), HTTP: fake.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	service, err := client.Service(ctx, railway.Target{Project: "discovery", Environment: "production", Service: "api"})
	if err != nil {
		fmt.Println(err)
		return
	}
	list, err := service.Deployments(ctx, 20)
	if err != nil {
		fmt.Println(err)
		return
	}
	target, ok := incident.RollbackTarget(list)
	if !ok {
		fmt.Println("nothing to roll back to")
		return
	}
	now, err := service.Rollback(ctx, target)
	if err == nil {
		now, err = service.WaitDeployment(ctx, now.ID, nil)
	}
	fmt.Println(now.Status, now.Commit, now.ID != target.ID, err)
	// Output: succeeded 600d600d true <nil>
}
