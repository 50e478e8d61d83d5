package railway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// holed is a service on a Railway of which answers can be changed.
type holed struct {
	deployStage
	client         *railway.Client
	volume, backup string
	expiring       string // another backup
	// change changes an answer, if it is not nil.
	change func(body string) string
}

func newHoled(t testing.TB) *holed {
	h := &holed{}
	h.deployStage = newDeployStage(t, &railwaytest.Server{}, nil)
	h.volume = h.server.AddVolume(h.environment, h.id, railwaytest.Volume{Name: "data", MountPath: "/data", SizeMB: 5000})
	h.backup = h.server.AddBackup(h.volume, railwaytest.Backup{Name: "one"})
	h.expiring = h.server.AddBackup(h.volume, railwaytest.Backup{Name: "old", Expires: time.Now().Add(time.Hour)})
	h.client = h.deployStage.client(t, func(cfg *railway.Config) {
		cfg.Polling = true
		next := h.server.Client().Transport
		cfg.HTTP = &http.Client{Transport: deployTransport(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err != nil || h.change == nil {
				return resp, err
			}
			body, err := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			changed := h.change(string(body))
			resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(changed)), int64(len(changed))
			return resp, err
		})}
	})
	var err error
	h.service, err = h.client.Service(t.Context(), railway.Target{Project: h.project, Environment: h.environment, Service: h.id})
	require.NoError(t, err)
	return h
}

// reads are calls that change nothing.
var reads = map[string]func(ctx context.Context, h *holed) (any, error){
	"status":      func(ctx context.Context, h *holed) (any, error) { return h.service.Environment().Status(ctx) },
	"deployments": func(ctx context.Context, h *holed) (any, error) { return h.service.Deployments(ctx, 5) },
	"plan a rollback": func(ctx context.Context, h *holed) (any, error) {
		return h.service.PlanRollback(ctx, incident.Deployment{ID: h.target})
	},
	"wait":      func(ctx context.Context, h *holed) (any, error) { return h.service.WaitDeployment(ctx, h.current, nil) },
	"stopped":   func(ctx context.Context, h *holed) (any, error) { return h.service.Stopped(ctx) },
	"freeze":    func(ctx context.Context, h *holed) (any, error) { return h.service.DeployFreeze(ctx) },
	"scale":     func(ctx context.Context, h *holed) (any, error) { return h.service.Scale(ctx) },
	"variables": func(ctx context.Context, h *holed) (any, error) { return h.service.Variables(ctx) },
	"proof": func(ctx context.Context, h *holed) (any, error) {
		return h.service.ProveVariables(ctx, incident.PendingVariables{})
	},
	"backups":           func(ctx context.Context, h *holed) (any, error) { return h.service.Backups(ctx) },
	"plan of a restore": func(ctx context.Context, h *holed) (any, error) { return h.service.PlanRestore(ctx, h.backup) },
	"schedules":         func(ctx context.Context, h *holed) (any, error) { return h.service.Volume("").Schedules(ctx) },
	"domains":           func(ctx context.Context, h *holed) (any, error) { return h.service.Domains(ctx) },
	"settings":          func(ctx context.Context, h *holed) (any, error) { return h.service.Settings(ctx) },
	"staged":            func(ctx context.Context, h *holed) (any, error) { return h.service.Environment().StagedChanges(ctx) },
	"tokens":            func(ctx context.Context, h *holed) (any, error) { return h.service.Environment().Tokens(ctx) },
	"token":             func(ctx context.Context, h *holed) (any, error) { return h.client.CheckToken(ctx) },
	"metrics": func(ctx context.Context, h *holed) (any, error) {
		return h.service.Metrics(ctx, incident.MetricQuery{From: time.Now().Add(-time.Hour), Metrics: []incident.Metric{incident.MetricCPU, incident.MetricRequests, incident.MetricLatencyP95}})
	},
	"logs": func(ctx context.Context, h *holed) (any, error) {
		for _, err := range h.service.Logs(ctx, incident.LogQuery{Tail: 10}) {
			if err != nil {
				return nil, err
			}
		}
		return nil, nil
	},
}

// writes are calls that change something.
var writes = map[string]func(ctx context.Context, h *holed) error{
	"rollback": func(ctx context.Context, h *holed) error {
		_, err := h.service.Rollback(ctx, incident.Deployment{ID: h.target})
		return err
	},
	"restart":  func(ctx context.Context, h *holed) error { _, err := h.service.Restart(ctx); return err },
	"redeploy": func(ctx context.Context, h *holed) error { _, err := h.service.Redeploy(ctx); return err },
	"deploy a commit": func(ctx context.Context, h *holed) error {
		_, err := h.service.DeploySource(ctx, incident.DeploymentSource{Commit: deployOther})
		return err
	},
	"deploy the newest": func(ctx context.Context, h *holed) error {
		_, err := h.service.DeploySource(ctx, incident.DeploymentSource{})
		return err
	},
	"stop":   func(ctx context.Context, h *holed) error { _, err := h.service.Stop(ctx); return err },
	"freeze": func(ctx context.Context, h *holed) error { _, err := h.service.SetDeployFreeze(ctx, true); return err },
	"scale": func(ctx context.Context, h *holed) error {
		_, err := h.service.SetScale(ctx, incident.Scale{CPU: 3})
		return err
	},
	"set a variable": func(ctx context.Context, h *holed) error {
		_, err := h.service.SetVariables(ctx, incident.VariableBatch{Set: map[string]runbook.Secret{"LOG_LEVEL": runbook.NewSecret("warn")}})
		return err
	},
	"delete a variable": func(ctx context.Context, h *holed) error {
		_, err := h.service.SetVariables(ctx, incident.VariableBatch{Delete: []string{"LOG_LEVEL"}})
		return err
	},
	"back up":       func(ctx context.Context, h *holed) error { _, err := h.service.CreateBackup(ctx, "two"); return err },
	"delete backup": func(ctx context.Context, h *holed) error { return h.service.Volume("").DeleteBackup(ctx, h.backup) },
	"lock backup": func(ctx context.Context, h *holed) error {
		_, err := h.service.Volume("").LockBackup(ctx, h.expiring)
		return err
	},
	"schedules": func(ctx context.Context, h *holed) error {
		return h.service.Volume("").SetSchedules(ctx, railway.BackupDaily)
	},
	"settings": func(ctx context.Context, h *holed) error {
		path := "/healthz"
		_, err := h.service.UpdateSettings(ctx, railway.Settings{HealthcheckPath: &path})
		return err
	},
	"domain": func(ctx context.Context, h *holed) error {
		_, err := h.service.CreateDomain(ctx, railway.Domain{Kind: railway.RailwayDomain})
		return err
	},
	"delete the environment": func(ctx context.Context, h *holed) error { return h.service.Environment().Delete(ctx) },
	"rename":                 func(ctx context.Context, h *holed) error { return h.service.Environment().Rename(ctx, "prod") },
	"service": func(ctx context.Context, h *holed) error {
		_, err := h.client.EnsureService(ctx, incident.ServiceSpec{Project: h.project, Environment: h.environment, Name: "cache", Image: "redis:8"})
		return err
	},
	"environment": func(ctx context.Context, h *holed) error {
		_, err := h.client.EnsureEnvironment(ctx, incident.EnvironmentSpec{Project: h.project, Name: "beta"})
		return err
	},
}

// guarded returns the panic of a call as an error of the test.
func guarded(t *testing.T, what string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			t.Errorf("%s: panic: %v\n%s", what, v, debug.Stack())
		}
	}()
	f()
}

// Whatever is null in an answer, nothing panics.
//
// Requirement: RW-G2
func TestAnswersWithHoles(t *testing.T) {
	for name, read := range reads {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHoled(t)
				var answers []string
				h.change = func(body string) string { answers = append(answers, body); return body }
				_, err := read(t.Context(), h)
				require.NoError(t, err)
				for i, answer := range answers {
					for _, holed := range holes(t, answer) {
						n := 0
						h.change = func(body string) string {
							if n++; n == i+1 {
								return holed
							}
							return body
						}
						guarded(t, holed, func() {
							ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
							defer cancel()
							_, _ = read(ctx, h)
						})
					}
				}
			})
		})
	}
}

// holes returns an answer with each of its parts replaced by null once, the first of
// each list only.
func holes(t *testing.T, answer string) (all []string) {
	var tree any
	require.NoError(t, json.Unmarshal([]byte(answer), &tree))
	emit := func() {
		body, err := json.Marshal(tree)
		require.NoError(t, err)
		all = append(all, string(body))
	}
	var walk func(node any)
	walk = func(node any) {
		switch node := node.(type) {
		case map[string]any:
			for key, child := range node {
				walk(child)
				node[key] = nil
				emit()
				delete(node, key)
				emit()
				node[key] = child
			}
		case []any:
			if len(node) > 0 {
				child := node[0]
				walk(child)
				node[0] = nil
				emit()
				node[0] = child
			}
		}
	}
	walk(tree)
	return all
}

// An answer that is empty says nothing of what happened: whichever of a call's
// answers it is, an error that says that nothing was done is right.
//
// Requirement: RW-G2, RW-G4
func TestEmptyAnswers(t *testing.T) {
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			for _, empty := range []string{`{"data":{}}`, `{"data":{"FIELD":null}}`, `{"data":null}`, `{}`, `null`, `[]`, `{"data":[]}`, `{"data":{"FIELD":{}}}`, `{"data":{"FIELD":[]}}`} {
				for i := 0; ; i++ {
					answers := 0
					synctest.Test(t, func(t *testing.T) {
						h := newHoled(t)
						before := len(h.server.Effects())
						h.change = func(body string) string {
							if answers++; answers-1 != i {
								return body
							}
							var got struct{ Data map[string]any }
							_ = json.Unmarshal([]byte(body), &got)
							for field := range got.Data {
								return strings.ReplaceAll(empty, "FIELD", field)
							}
							return empty
						}
						guarded(t, fmt.Sprintf("%s, answer %d", empty, i), func() {
							err := write(t.Context(), h)
							done := len(h.server.Effects()) - before
							assert.LessOrEqual(t, done, 2, "%s, answer %d: %v", empty, i, h.server.Effects()[before:])
							if err != nil && done > 0 {
								assert.False(t, runbook.SafeToRetry(err), "%s, answer %d: %v; %v", empty, i, err, h.server.Effects()[before:])
							}
							if err == nil && !strings.Contains(empty, "{}}") {
								assert.NotZero(t, done, "%s, answer %d", empty, i)
							}
						})
					})
					if answers <= i || t.Failed() {
						break
					}
				}
			}
		})
	}
}

// refusedYesterday is an answer with staged changes that Railway refused yesterday.
const refusedYesterday = `{"data":{"environmentStagedChanges":{"id":"p1","status":"STAGED","createdAt":"2026-08-01T10:00:00Z","updatedAt":"2026-08-01T10:00:00Z","lastAppliedError":"a region that there is not","patch":{"services":{"x":{"deploy":{"numReplicas":2}}}}}}}`

// That an earlier commit was rejected does not say that this one was, whose answer
// was lost.
//
// Requirement: RW-G4, RW-G9
func TestCommitAfterARejectedOne(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		service := st.between(t, "environmentStagedChanges", func() string { return refusedYesterday })
		env := service.Environment()
		staged, err := env.StagedChanges(t.Context())
		require.NoError(t, err)
		assert.NotContains(t, fmt.Sprintf("%#v %+v", staged, staged), "a region", "it may have values")
		st.server.Stage(st.environment, `{"services":{"`+st.id+`":{"deploy":{"numReplicas":2}}}}`)
		st.server.Fail(railwaytest.Fault{Op: "environmentPatchCommitStaged", Kind: railwaytest.LoseAnswer})
		err = env.CommitStaged(t.Context(), staged, "", true)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.False(t, runbook.SafeToRetry(err))
		assert.NotEmpty(t, st.server.Effects(), "it was committed")
	})
}

// Staged changes of a form or a status that is not known are still somebody's.
//
// Requirement: RW-G9, RW-G1
func TestStagedChangesOfAnotherForm(t *testing.T) {
	const answer = `{"data":{"environmentStagedChanges":{"id":"p1","status":%q,"createdAt":"2026-08-01T10:00:00Z","updatedAt":"2026-08-01T10:00:00Z","patch":%s}}}`
	for _, c := range []struct{ status, patch string }{
		{"STAGED", `[{"op":"add","path":"/services"}]`}, {"STAGED", `"services"`}, {"PENDING_REVIEW", `{"services":{"x":{"deploy":{"numReplicas":2}}}}`},
	} {
		deployBubble(t, func(t *testing.T) {
			st := newDeployStage(t, &railwaytest.Server{}, nil)
			service := st.between(t, "environmentStagedChanges", func() string { return fmt.Sprintf(answer, c.status, c.patch) })
			before := len(st.server.Effects())
			_, err := service.SetVariables(t.Context(), incident.VariableBatch{Delete: []string{"LOG_LEVEL"}})
			require.ErrorIs(t, err, incident.ErrBusy, c.patch)
			assert.Len(t, st.server.Effects(), before)
		})
	}
}

// A patch that Railway rejects is not left among the staged changes.
//
// Requirement: RW-G9
func TestRejectedDomainIsNotLeftStaged(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		service := st.between(t, "query Workflow", func() string {
			st.server.Stage(st.environment, `{"services":{"`+st.id+`":{"networking":{"tcpProxies":{"5432":{}}}}}}`)
			return `{"data":{"workflowStatus":{"status":"Error","error":"no more ports"}}}`
		})
		// As with the real one, what is rejected goes back to what is staged.
		_, err := service.CreateDomain(t.Context(), railway.Domain{Kind: railway.TCPProxy, Port: 5432})
		require.ErrorContains(t, err, "no more ports")
		staged, err := service.Environment().StagedChanges(t.Context())
		require.NoError(t, err)
		assert.Empty(t, staged.Paths)
	})
}

// An ID is the same in capitals: what exists is found, and not taken for absent.
//
// Requirement: RW-G13
func TestIDsInCapitals(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		s, err := st.client(t, nil).Service(t.Context(), railway.Target{
			Project: strings.ToUpper(st.project), Environment: strings.ToUpper(st.environment), Service: strings.ToUpper(st.id),
		})
		require.NoError(t, err)
		assert.Equal(t, []string{st.project, st.environment, st.id}, []string{s.Environment().ProjectID(), s.Environment().ID(), s.ID()})
		_, err = railway.NewCredentials(s).Put(t.Context(), "LOG_LEVEL", runbook.NewSecret("new"), "")
		require.ErrorIs(t, err, runbook.ErrConflict)
		assert.Equal(t, "info", st.server.Variables(st.environment, st.id)["LOG_LEVEL"])
	})
}

// The logs of a deployment in another environment are not those of this service.
func TestLogsOfAnotherEnvironment(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		staging := st.server.AddEnvironment(st.project, "staging")
		require.Equal(t, st.id, st.server.AddService(staging, railwaytest.Service{Name: "api", Image: "api:2"}))
		there := st.server.Newest(staging, st.id)
		st.server.Print(there, "from staging")
		for line, err := range st.service.Logs(t.Context(), incident.LogQuery{Deployment: there, Tail: 5}) {
			require.ErrorIs(t, err, incident.ErrNotFound, "%v", line)
		}
	})
}

// A list without an end is neither read for ever nor taken for complete: something
// could be made again that is on it.
//
// Requirement: RW-G12
func TestEndlessLists(t *testing.T) {
	for name, cursor := range map[string]func(n int) string{
		"the same page": func(int) string { return "x" },
		"two pages":     func(n int) string { return fmt.Sprint(n % 2) },
		"ever new ones": func(n int) string { return fmt.Sprint(n) },
	} {
		t.Run(name, func(t *testing.T) {
			transport := &coreTransport{answer: func(n int, _ *http.Request) (*http.Response, error) {
				if n > 5000 {
					panic("it is read for ever")
				}
				return coreAnswer(200, `{"data":{"project":{"services":{"edges":[],"pageInfo":{"hasNextPage":true,"endCursor":"`+cursor(n)+`"}}}}}`), nil
			}}
			c := coreClient(t, transport, func(cfg *railway.Config) { cfg.Budget = &railway.Budget{PerSecond: 1e9} })
			_, err := c.Service(t.Context(), railway.Target{Project: projectID, Environment: environmentID, Service: "api"})
			require.Error(t, err)
			assert.NotErrorIs(t, err, incident.ErrNotFound)
			assert.ErrorContains(t, err, "no end")
		})
	}
}

// What an answer says of limits, or a clock that is wrong, holds nothing back for
// ever.
//
// Requirement: RW-LIMIT-HEADERS
func TestLimitsOfForever(t *testing.T) {
	for header, most := range map[string]time.Duration{"Retry-After": 24 * time.Hour, "X-RateLimit-Reset": time.Hour} {
		t.Run(header, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &coreTransport{answer: func(n int, _ *http.Request) (*http.Response, error) {
					if n == 1 {
						return coreAnswer(429, `{"errors":[{"message":"Rate limit exceeded"}]}`, "X-RateLimit-Limit", "100", "X-RateLimit-Remaining", "0", header, "2000000000"), nil
					}
					return coreAnswer(200, coreGood), nil
				}}
				c := coreClient(t, transport, nil)
				_, err := coreSend(t.Context(), c, coreQuery)
				require.ErrorIs(t, err, railway.ErrRateLimited)
				assert.LessOrEqual(t, time.Until(c.Budget().Stats().Reset), time.Hour)
				time.Sleep(most + time.Second)
				_, err = coreSend(t.Context(), c, coreQuery)
				require.NoError(t, err)
			})
		})
	}
}

// A wait that ends with its context says what was waited for.
func TestWaitSaysWhatFor(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, deployPolling)
		id := st.server.AddDeployment(st.environment, st.id, railwaytest.Deployment{Commit: deployOther, Status: "BUILDING"})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		d, err := st.service.WaitDeployment(ctx, id, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.ErrorContains(t, err, "railway: wait for deployment "+id)
		assert.Equal(t, incident.DeploymentBuilding, d.Status)
	})
}

// A job of Railway that takes long is followed past failures that pass: the restore
// of a backup would be left half done.
//
// Requirement: RW-G10
func TestJobIsFollowedPastFailures(t *testing.T) {
	for name, kind := range map[string]railwaytest.Fault{
		"502": {Kind: railwaytest.BadGateway}, "gateway": {Kind: railwaytest.Gateway}, "limit": {Kind: railwaytest.Limit, RetryAfter: 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHoled(t)
				plan, err := h.service.PlanRestore(t.Context(), h.backup)
				require.NoError(t, err)
				kind.Op, kind.Times = "workflowStatus", 4
				if kind.Kind == railwaytest.Limit {
					kind.Times = 1
				}
				h.server.Fail(kind)
				_, err = h.service.RestoreBackup(t.Context(), plan)
				require.NoError(t, err)
			})
		})
	}
}

// That nothing is staged any more does not say that it was committed: here the
// commit did not get through, and somebody discards what is staged.
//
// Requirement: RW-G4, RW-G9
func TestDiscardedIsNotCommitted(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		env := st.service.Environment()
		st.server.Stage(st.environment, `{"services":{"`+st.id+`":{"deploy":{"startCommand":"serve"}}}}`)
		staged, err := env.StagedChanges(t.Context())
		require.NoError(t, err)
		st.server.Fail(railwaytest.Fault{Op: "environmentPatchCommitStaged", Kind: railwaytest.BadGateway})
		time.AfterFunc(100*time.Millisecond, func() { assert.NoError(t, env.DiscardStaged(context.Background(), staged)) })
		err = env.CommitStaged(t.Context(), staged, "", true)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.NotContains(t, strings.Join(st.server.Effects(), " "), "environmentPatchCommitStaged")
	})
}

// A refusal that is no GraphQL says what to do too.
//
// Requirement: RW-G14
func TestRefusedByStatus(t *testing.T) {
	for _, status := range []int{http.StatusUnauthorized, http.StatusForbidden} {
		c := coreClient(t, coreAlways(status, "<html>no</html>"), nil)
		_, err := coreSend(t.Context(), c, coreMutation)
		require.ErrorIs(t, err, railway.ErrNotAuthorized)
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		assert.ErrorContains(t, err, "the token is not valid")
		assert.False(t, runbook.SafeToRetry(err), "who said so is not known")
	}
}

// Railway answers that it did not write the variables. Reading them decides: it did not.
//
// Requirement: RW-G2, RW-G4
func TestVariablesThatWereNotWritten(t *testing.T) {
	deployBubble(t, func(t *testing.T) {
		st := newDeployStage(t, &railwaytest.Server{}, nil)
		service := st.between(t, "variableCollectionUpsert", func() string { return `{"data":{"variableCollectionUpsert":false}}` })
		_, err := service.SetVariables(t.Context(), incident.VariableBatch{Set: map[string]runbook.Secret{"LOG_LEVEL": runbook.NewSecret("debug")}})
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.Equal(t, "info", st.server.Variables(st.environment, st.id)["LOG_LEVEL"])
	})
}
