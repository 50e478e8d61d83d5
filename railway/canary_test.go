package railway_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// canary is in every value of a variable here; no text may have it.
const canary = "canary-7c1f0e"

// A cage is a Railway with canaries in it, and all of the SDK that talks to it.
type cage struct {
	server               *railwaytest.Server
	token                string
	workspace, project   string
	environment, service string
	old, backup, domain  string
	plan                 incident.RestorePlan
	disposable           incident.Disposable
	staged               railway.StagedChanges
	client               *railway.Client
	receivers            []reflect.Value
	infos                []railway.CallInfo
	echo                 string // how the transport answers changes itself; "" not
}

func newCage(t testing.TB) *cage {
	c := &cage{server: &railwaytest.Server{Lag: -1, Building: -1, Deploying: -1, Working: -1}}
	s := c.server
	c.workspace = s.AddWorkspace("ACU")
	c.project = s.AddProject(c.workspace, "tools")
	c.environment = s.AddEnvironment(c.project, "production")
	c.service = s.AddService(c.environment, railwaytest.Service{
		Name: "api", Image: "ghcr.io/acu/api:2", HTTPPort: 8080,
		Variables: map[string]string{"API_KEY": canary + "-alpha", "PORT": "8080"}, Sealed: map[string]string{"SEALED": canary + "-sealed"},
	})
	s.SetVariable(c.environment, "", "SHARED", canary+"-shared", false)
	c.old = s.AddDeployment(c.environment, c.service, railwaytest.Deployment{
		Image: "ghcr.io/acu/api:1", Commit: "0123456789abcdef0123456789abcdef01234567", Created: time.Now().Add(-time.Hour), CanRollback: true,
		Variables: map[string]string{"API_KEY": canary + "-old"},
	})
	volume := s.AddVolume(c.environment, c.service, railwaytest.Volume{Name: "data", MountPath: "/data", SizeMB: 1000, UsedMB: 10})
	c.backup = s.AddBackup(volume, railwaytest.Backup{Name: "nightly", Created: time.Now().Add(-time.Hour), Expires: time.Now().Add(24 * time.Hour)})
	c.token = s.AddToken(railwaytest.Token{Kind: "workspace", Workspace: c.workspace})

	var err error
	c.client, err = railway.New(railway.Config{
		Kind: railway.WorkspaceToken, Token: runbook.NewSecret(c.token), Budget: &railway.Budget{PerSecond: 45}, Timeout: 5 * time.Second, Polling: true,
		HTTP:  &http.Client{Transport: echoing{c, s.Client().Transport}},
		Hooks: railway.Hooks{OnCall: func(_ context.Context, info railway.CallInfo) { c.infos = append(c.infos, info) }},
	})
	require.NoError(t, err)
	environment, service := c.find(t)
	domains, err := service.Domains(t.Context())
	require.NoError(t, err)
	c.domain = domains[0].ID
	c.plan, err = service.PlanRestore(t.Context(), c.backup)
	require.NoError(t, err)
	s.AddService(c.environment, railwaytest.Service{
		Name: "rehearsal", Image: "postgres:17", Variables: map[string]string{"RUNBOOK_MADE": "rehearsal/production/run-1 as rehearsal", "PASSWORD": canary + "-rehearsal"},
	})
	disposables, err := c.client.Disposables(t.Context(), c.project, c.environment)
	require.NoError(t, err)
	c.disposable = disposables[0]
	for _, r := range []any{
		c.client, environment, service, service.Volume("data"), environment.SharedVariables(), railway.NewCredentials(service),
		service.Migrator(railway.MigratorConfig{Command: []string{"migrate"}}),
	} {
		c.receivers = append(c.receivers, reflect.ValueOf(r))
	}
	return c
}

func (c *cage) find(t testing.TB) (*railway.Environment, *railway.Service) {
	service, err := c.client.Service(t.Context(), railway.Target{Project: c.project, Environment: c.environment, Service: c.service})
	require.NoError(t, err)
	return service.Environment(), service
}

// stage stages a change with a value in it, by somebody else.
func (c *cage) stage(t testing.TB) {
	c.server.Stage(c.environment, `{"services":{"`+c.service+`":{"variables":{"API_KEY":{"value":"`+canary+`-staged"}}}}}`)
	environment, _ := c.find(t)
	var err error
	c.staged, err = environment.StagedChanges(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, c.staged.Paths)
}

// echoing is a server, or something before it, that quotes what it was sent.
type echoing struct {
	c    *cage
	next http.RoundTripper
}

func (e echoing) RoundTrip(req *http.Request) (*http.Response, error) {
	if e.c.echo == "" {
		return e.next.RoundTrip(req)
	}
	var sent []byte
	if req.Body != nil {
		sent, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	if e.c.echo != "every" && bytes.Contains(sent, []byte(`"query":"\nquery`)) {
		req.Body = io.NopCloser(bytes.NewReader(sent))
		return e.next.RoundTrip(req)
	}
	_, variables, _ := bytes.Cut(sent, []byte(`"variables":`)) // first, since long texts are cut
	quoted := fmt.Sprintf("%q", string(variables)+fmt.Sprint(req.Header)+string(sent))
	switch e.c.echo {
	case "redirect":
		return coreAnswer(http.StatusTemporaryRedirect, quoted, "Location", "https://evil.example/?"+strings.Trim(quoted, `"`)), nil
	case "page":
		return coreAnswer(http.StatusInternalServerError, quoted, "X-Echo", quoted), nil
	case "broken":
		return coreAnswer(http.StatusOK, `{"data":`+quoted), nil
	case "wrong":
		return coreAnswer(http.StatusOK, `{"data":`+quoted+`}`), nil
	}
	body := fmt.Sprintf(`{"data":null,"errors":[{"message":%[1]s,"path":[%[1]s],"traceId":%[1]s,"extensions":{"code":%[1]s}},{"message":%[1]s}]}`, quoted)
	return coreAnswer(http.StatusOK, body), nil
}

// values are arguments, by their types.
func (c *cage) values() []any {
	secret := runbook.NewSecret(canary + "-new")
	return []any{
		5, true, time.Now().Add(-time.Minute), secret, runbook.Version(""), c.plan, c.staged, c.disposable,
		incident.VariableBatch{Set: map[string]runbook.Secret{"API_KEY": secret}}, incident.PendingVariables{Names: []string{"API_KEY"}},
		incident.Deployment{ID: c.old, CanRollback: true, Commit: "0123456789abcdef0123456789abcdef01234567", Image: "ghcr.io/acu/api:1"},
		incident.DeploymentSource{Image: "ghcr.io/acu/api:3"}, incident.Scale{Regions: []incident.RegionScale{{Region: "us-west2", Replicas: 2}}},
		incident.ProjectSpec{Name: "fresh", Owner: "ACU"}, incident.EnvironmentSpec{Project: c.project, Name: "fresh"}, incident.LogQuery{Tail: 5},
		incident.MetricQuery{Metrics: []incident.Metric{incident.MetricCPU, incident.MetricRequests}, From: time.Now().Add(-time.Hour), To: time.Now()},
		incident.ServiceSpec{Project: c.project, Environment: c.environment, Name: "fresh", Image: "redis:8", Variables: map[string]runbook.Secret{"PASSWORD": secret}},
		railway.Target{Project: "tools", Environment: "production", Service: "api"}, railway.Domain{Kind: railway.RailwayDomain, Port: 8081},
		railway.NotificationRule{Workspace: c.workspace, Project: c.project, Events: []string{"Deployment.failed"}, Webhooks: []runbook.Secret{runbook.NewSecret("https://hook.example/" + canary)}},
		railway.Settings{PreDeployCommand: []string{"migrate"}}, railway.Upload{Files: fstest.MapFS{"main.go": {Data: []byte(canary)}}},
		func(context.Context, runbook.Secret) error { return errors.New("it could not be stored") },
	}
}

// argument makes the nth argument of a method. Texts depend on which it is.
func (c *cage) argument(method string, n int, typ reflect.Type) reflect.Value {
	for _, value := range c.values() {
		if v := reflect.ValueOf(value); v.Type() == typ {
			return v
		}
	}
	switch typ {
	case reflect.TypeFor[io.Writer]():
		return reflect.ValueOf(io.Discard)
	case reflect.TypeFor[[]age.Recipient]():
		identity, err := age.GenerateX25519Identity()
		if err != nil {
			panic(err)
		}
		return reflect.ValueOf([]age.Recipient{identity.Recipient()})
	}
	if typ.Kind() != reflect.String {
		return reflect.Zero(typ)
	}
	texts := map[string]string{
		"Volume": c.backup, "Service.PlanRestore": c.backup, "Credentials": "API_KEY", "Environment.RotateToken#2": "", "Environment.RotateToken": "next", "Volume.RecoverTo": "copy",
		"Environment.Rename": "live", "Environment.Copy": "live", "Volume.CreateBackup": "before", "Service.CreateBackup": "before",
		"Client.NotificationRules": c.workspace, "Service.DeleteDomain": c.domain, "Service.IssueCertificate": c.domain,
		"Client.Disposables": c.project, "Client.Disposables#3": c.environment,
	}
	receiver, _, _ := strings.Cut(method, ".")
	for _, key := range []string{method + "#" + strconv.Itoa(n), method, receiver} {
		if text, ok := texts[key]; ok {
			return reflect.ValueOf(text).Convert(typ)
		}
	}
	return reflect.ValueOf(c.server.Newest(c.environment, c.service)).Convert(typ)
}

// call calls a method and looks at everything that comes out of it.
func (c *cage) call(t *testing.T, receiver reflect.Value, method reflect.Method) {
	limit := time.Hour
	if strings.HasPrefix(method.Name, "Follow") {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	args := []reflect.Value{receiver, reflect.ValueOf(ctx)}
	for i := 2; i < method.Type.NumIn(); i++ {
		args = append(args, c.argument(methodName(receiver, method), i, method.Type.In(i)))
	}
	call := method.Func.Call
	if method.Type.IsVariadic() {
		call = method.Func.CallSlice
	}
	for _, result := range call(args) {
		if result.Kind() != reflect.Func {
			c.look(t, result.Interface())
			continue
		}
		n := 0
		for value, err := range result.Seq2() {
			c.look(t, value.Interface())
			c.look(t, err.Interface())
			if n++; n == 3 {
				break
			}
		}
	}
	for _, info := range c.infos {
		c.look(t, info)
		c.look(t, info.Err)
	}
	c.infos = nil
}

func methodName(receiver reflect.Value, method reflect.Method) string {
	return receiver.Type().Elem().Name() + "." + method.Name
}

// look looks for canaries and the token in all forms in which a value is shown.
func (c *cage) look(t *testing.T, x any) {
	if err, ok := x.(error); ok {
		for next := errors.Unwrap(err); next != nil; next = errors.Unwrap(next) {
			c.look(t, next)
		}
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "x", x)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "x", x)
	for _, text := range []string{log.String(), fmt.Sprintf("%v", x), fmt.Sprintf("%+v", x), fmt.Sprintf("%#v", x), fmt.Sprintf("%q", x), fmt.Sprintf("%x", x)} {
		for _, secret := range []string{canary, fmt.Sprintf("%x", canary), c.token} {
			assert.NotContains(t, text, secret)
		}
	}
}

// ways are all ways to fail, and to be quoted, of what a method calls.
func (c *cage) ways(calls map[string]bool, changes bool) []func() {
	echo := "the value " + canary + " of " + c.token + " is not found"
	var ways []func()
	for _, f := range []railwaytest.Fault{
		{Kind: railwaytest.LoseAnswer}, {Kind: railwaytest.Cut, Bytes: 20}, {Kind: railwaytest.BadGateway}, {Kind: railwaytest.BadGatewayAfter}, {Kind: railwaytest.Hang},
		{Kind: railwaytest.Gateway}, {Kind: railwaytest.GatewayAfter}, {Kind: railwaytest.Limit, RetryAfter: 2 * time.Second}, {Kind: railwaytest.EdgeLimit},
		{Kind: railwaytest.NotAuthorized}, {Kind: railwaytest.Unreachable}, {Kind: railwaytest.NullData},
	} {
		if changes {
			ways = append(ways, func() { c.server.Fail(f) })
		}
		f.Op, f.Times = "query:*", -1
		ways = append(ways, func() { c.server.Fail(f) })
	}
	for _, op := range []string{"Variables", "RenderedVariables", "VariablesUpsert", "ServiceCreate", "StageChanges", "EnvironmentConfig", "NotificationRuleCreate"} {
		for _, kind := range []railwaytest.FaultKind{railwaytest.Refuse, railwaytest.Partial} {
			if calls[op] {
				ways = append(ways, func() { c.server.Fail(railwaytest.Fault{Op: op, Kind: kind, Message: echo}) })
			}
		}
	}
	for _, kind := range []string{"every", "errors", "redirect", "page", "broken", "wrong"} {
		ways = append(ways, func() { c.echo = kind })
	}
	return ways
}

// prepare makes what a method needs.
func (c *cage) prepare(t testing.TB, name string) {
	switch {
	case strings.HasSuffix(name, ".CancelDeployment"):
		c.server.AddDeployment(c.environment, c.service, railwaytest.Deployment{Status: "BUILDING"})
	case strings.HasSuffix(name, ".ApproveDeployment"):
		c.server.AddDeployment(c.environment, c.service, railwaytest.Deployment{Status: "NEEDS_APPROVAL"})
	case strings.HasSuffix(name, "Staged"), strings.HasSuffix(name, "StagedChanges"):
		c.stage(t)
	}
}

// methods returns the number of a receiver and of its method, by name, of all that
// ask Railway.
func methods(t *testing.T) map[string][2]int {
	all := make(map[string][2]int)
	synctest.Test(t, func(t *testing.T) {
		for r, receiver := range newCage(t).receivers {
			for m := range receiver.NumMethod() {
				method := receiver.Type().Method(m)
				if method.Type.NumIn() > 1 && method.Type.In(1) == reflect.TypeFor[context.Context]() {
					all[methodName(receiver, method)] = [2]int{r, m}
				}
			}
		}
	})
	return all
}

// No token and no value of a variable is in an error, a log or a report of a call,
// whatever is called, whatever fails, and whatever quotes it.
//
// Requirement: RW-G2
func TestCanaries(t *testing.T) {
	called := make(map[string]bool)
	all := methods(t)
	require.Greater(t, len(all), 50)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r, m := all[name][0], all[name][1]
		t.Run(name, func(t *testing.T) {
			calls, changes := make(map[string]bool), false
			for way, more := -1, true; more; way++ { // the first is that nothing fails
				synctest.Test(t, func(t *testing.T) {
					c := newCage(t)
					c.prepare(t, name)
					before, effects := len(c.server.Calls()), len(c.server.Effects())
					if way >= 0 {
						ways := c.ways(calls, changes)
						ways[way]()
						more = way+1 < len(ways)
					}
					c.call(t, c.receivers[r], c.receivers[r].Type().Method(m))
					for _, op := range c.server.Calls()[before:] {
						called[op] = true
						calls[op] = calls[op] || way < 0
					}
					changes = changes || way < 0 && len(c.server.Effects()) > effects
				})
			}
		})
	}
	assert.Greater(t, len(called), 60, "operations that were reached: %v", slices.Sorted(maps.Keys(called)))
}

// What holds a token or a value shows neither.
//
// Requirement: RW-G2
func TestCanariesInValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCage(t)
		cfg := railway.Config{Kind: railway.WorkspaceToken, Token: runbook.NewSecret(c.token)}
		c.look(t, cfg)
		c.look(t, &cfg)
		for _, r := range c.receivers {
			c.look(t, r.Interface())
		}
		c.stage(t)
		c.look(t, c.staged)
		c.look(t, &c.staged)
	})
}
