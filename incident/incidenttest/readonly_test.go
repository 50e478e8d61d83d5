package incidenttest_test

import (
	"context"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

// reads are the methods of a Platform that change nothing.
var reads = []string{
	"Backups", "DeployFreeze", "Deployments", "Disposables", "Dump", "FollowLogs", "Logs", "Metrics", "PlanLoad", "PlanRestore", "ProveVariables",
	"Scale", "Stopped", "Variables", "WaitDeployment",
}

// changeable is a platform on which every change is possible, and the arguments of
// those.
func changeable(t *testing.T) (*incidenttest.Platform, map[string]any) {
	p := &incidenttest.Platform{}
	p.Configure(map[string]string{"WORKERS": "4"})
	old := p.Deploy(incident.Deployment{Commit: "a"})
	p.Deploy(incident.Deployment{Commit: "b"})
	p.StartAs(incident.DeploymentNeedsApproval)
	waits := p.Deploy(incident.Deployment{Commit: "c"})
	p.StartAs(incident.DeploymentBuilding)
	built := p.Deploy(incident.Deployment{Commit: "d"})
	p.Write("one\ntwo\n")
	p.SetTarget("spare", "")
	p.SetSessions(3)
	b, err := p.CreateBackup(t.Context(), "first")
	require.NoError(t, err)
	restore, err := p.PlanRestore(t.Context(), b.ID)
	require.NoError(t, err)
	var dump strings.Builder
	receipt, err := p.Dump(t.Context(), &dump)
	require.NoError(t, err)
	load, err := p.PlanLoad(t.Context(), receipt, "spare")
	require.NoError(t, err)
	project, err := p.EnsureProject(t.Context(), incident.ProjectSpec{Name: "p"})
	require.NoError(t, err)
	environment, err := p.EnsureEnvironment(t.Context(), incident.EnvironmentSpec{Project: project.ID, Name: "for rehearsals"})
	require.NoError(t, err)
	_, err = p.EnsureService(t.Context(), incident.ServiceSpec{Project: project.ID, Environment: environment.ID, Name: "rehearsal", Mark: "rehearsal/test/run-1"})
	require.NoError(t, err)
	disposables, err := p.Disposables(t.Context(), project.ID, environment.ID)
	require.NoError(t, err)
	return p, map[string]any{
		"Dispose":  disposables[0],
		"Rollback": old, "CancelDeployment": built.ID, "ApproveDeployment": waits.ID, "CreateBackup": "second", "RestoreBackup": restore, "Load": load,
		"SetScale":          incident.Scale{Regions: []incident.RegionScale{{Region: "sydney", Replicas: 2}}},
		"SetVariables":      incident.VariableBatch{Set: map[string]runbook.Secret{"WORKERS": runbook.NewSecret("8")}},
		"SetDeployFreeze":   true,
		"EnsureProject":     incident.ProjectSpec{Name: "q"},
		"EnsureEnvironment": incident.EnvironmentSpec{Project: project.ID, Name: "e"},
		"EnsureService":     incident.ServiceSpec{Project: project.ID, Environment: project.ID, Name: "s", Image: "redis:8"},
	}
}

// Each method of a Platform either reads, or changes something, and is then refused, and
// counted, where nothing may be changed.
func TestPlatformRefusesWhereNothingMayBeChanged(t *testing.T) {
	typ := reflect.TypeFor[*incidenttest.Platform]()
	for i := range typ.NumMethod() {
		method := typ.Method(i)
		if method.Type.NumIn() < 2 || method.Type.In(1) != reflect.TypeFor[context.Context]() || slices.Contains(reads, method.Name) {
			continue
		}
		t.Run(method.Name, func(t *testing.T) {
			call := func(ctx context.Context) (*incidenttest.Platform, error) {
				p, given := changeable(t)
				before := len(p.Effects())
				args := []reflect.Value{reflect.ValueOf(p), reflect.ValueOf(ctx)}
				for i := 2; i < method.Type.NumIn(); i++ {
					switch value := reflect.ValueOf(given[method.Name]); {
					case value.IsValid() && value.Type() == method.Type.In(i):
						args = append(args, value)
					case method.Type.In(i) == reflect.TypeFor[io.Reader]():
						args = append(args, reflect.ValueOf(strings.NewReader("dump\none\ntwo\n")))
					default:
						args = append(args, reflect.Zero(method.Type.In(i)))
					}
				}
				results := method.Func.Call(args)
				err, _ := results[len(results)-1].Interface().(error)
				assert.Equal(t, err == nil && method.Name != "Start", len(p.Effects()) > before, "%v, error %v", p.Effects()[before:], err)
				return p, err
			}
			p, err := call(t.Context())
			require.NoError(t, err, "it would work")
			assert.Empty(t, p.Refused())
			p, err = call(runbook.ReadOnly(t.Context()))
			require.ErrorIs(t, err, runbook.ErrReadOnly)
			assert.True(t, runbook.SafeToRetry(err))
			assert.Equal(t, []string{method.Name}, p.Refused())
		})
	}
}

// A playbook that changes something in its checks is caught by its plan, whether it says
// so or not.
func TestPlanOfAMistakenPlaybook(t *testing.T) {
	p := &incidenttest.Platform{}
	p.Deploy(incident.Deployment{Commit: "a"})
	mistaken := incident.Playbook{
		Name: "restart", Environment: "test", Title: "Restart", Severity: alert.High,
		Steps: []incident.Step{{ID: "look", Title: "Look", Do: incident.Check{Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			_, _ = p.Restart(ctx) // does not belong here
			list, err := p.Deployments(ctx, 1)
			return len(list), err
		}}}},
	}
	r, err := incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{mistaken}, Runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), Store: new(incident.MemoryStore),
	})
	require.NoError(t, err)
	plan, err := r.Plan(t.Context(), incident.Request{Playbook: "restart", Environment: "test", By: "jane"})
	require.NoError(t, err)
	assert.Empty(t, plan.Problems, "it hides the error")
	assert.Equal(t, []string{"Restart"}, p.Refused())
	assert.Empty(t, p.Effects())
}
