//go:build linux

package drill_test

import (
	"context"
	"database/sql"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/health/redisprobe"
	"go.acu.edu.au/runbook/health/sqlprobe"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/internal/services"
)

// full is how many percent of the connections of PostgreSQL may be in use.
const full = 90.0

// A realHost is the SDK put together as package host does it, with the environment that this
// makes of a connection, and with shorter times: the host's own are those of the runbook, and
// an exercise of it would take an hour.
type realHost struct {
	site       *site
	monitor    *health.Monitor
	engine     *alert.Engine
	router     *alert.Router
	runs       *incident.MemoryRuns
	automation *incident.Automation
	runner     *incident.Runner
	manager    *incident.Manager
	blocked    atomic.Int64 // the most queries that the server was seen to have waiting
	used       atomic.Int64 // the most of its connections that were in use, in percent
}

// within returns a prober that has a time of its own.
func within(p health.Prober, limit time.Duration) health.Prober {
	if p == nil {
		return nil
	}
	return health.ProberFunc(func(ctx context.Context) health.Result {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		return p.Probe(ctx)
	})
}

// newRealHost makes a host of the site, and starts it. It ends with the test.
func newRealHost(t *testing.T, s *site) *realHost {
	h := &realHost{site: s, runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{})}
	environment := h.environment(t)
	logger := slog.New(slog.DiscardHandler)
	store := new(incident.MemoryStore)
	var err error
	h.automation, err = incident.NewAutomation(incident.AutomationConfig{Store: store, Policies: []incident.AutomationPolicy{
		{Environment: "production", Mode: incident.Act, PerHour: 5},
	}})
	require.NoError(t, err)
	h.runner, err = incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{playbooks.ApplicationDown(environment), playbooks.DatabaseIssues(environment), playbooks.ComprehensiveCheck(environment)},
		Runs:      h.runs, Store: store, Permit: h.automation.Permit, Logger: logger,
	})
	require.NoError(t, err)
	var bindings []incident.Binding
	for playbook, severity := range map[string]alert.Severity{"application-down": alert.Critical, "database-issues": alert.High, "comprehensive-check": alert.High} {
		bindings = append(bindings, incident.Binding{
			Name: playbook, Severity: severity, GroupBy: []string{"environment"}, Playbook: playbook, Automatic: true,
			Match: alert.Matcher{Labels: map[string]string{"procedure": playbook}},
		})
	}
	h.manager, err = incident.NewManager(incident.ManagerConfig{
		Store: store, Bindings: bindings, AutoResolve: true, ReopenWithin: time.Hour, Logger: logger,
		Hooks: incident.ManagerHooks{OnOpened: func(ctx context.Context, i incident.Incident, b incident.Binding) {
			_, err := h.automation.Consider(ctx, h.runner, i, b.Automatic)
			assert.NoError(t, err, "begin the playbook of %s", i.Title)
		}},
	})
	require.NoError(t, err)
	h.router, err = alert.NewRouter(alert.RouterConfig{
		Targets: []alert.Target{
			{Name: "incidents", Notifier: h.manager, RemindAfter: -1},
			{Name: "chat", Notifier: h.chat("#qa-automation-alerts")},
			{Name: "operators", Audience: alert.Everyone, Notifier: h.chat("#qa-automation-alerts")},
			{Name: "status", Audience: alert.Everyone, Notifier: h.chat("#qa-automation-status")},
		},
		Routes: []alert.Route{{Name: "all", Targets: []string{"incidents", "chat"}, Wait: -1}}, Logger: logger,
	})
	require.NoError(t, err)
	h.engine, err = alert.NewEngine(realRules(h.router, logger))
	require.NoError(t, err)
	h.monitor, err = health.New(health.Config{Checks: h.checks(t, environment), Hooks: health.Hooks{OnResult: h.feed}, Logger: logger})
	require.NoError(t, err)
	ctx := t.Context()
	t.Cleanup(func() {
		ctx := context.WithoutCancel(ctx)
		assert.NoError(t, h.monitor.Stop(ctx))
		assert.NoError(t, h.engine.Stop(ctx))
		assert.NoError(t, h.manager.Stop(ctx))
		assert.NoError(t, h.runs.Close(ctx))
		assert.NoError(t, h.router.Stop(ctx))
	})
	require.NoError(t, h.router.Start(ctx))
	require.NoError(t, h.engine.Start(ctx))
	require.NoError(t, h.runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: h.runner.Program()}))
	require.NoError(t, h.manager.Start(ctx))
	return h
}

// environment is what playbooks act on: what package host makes of a connection, and the
// platform of the site.
func (h *realHost) environment(t *testing.T) playbooks.Environment {
	db, err := sql.Open("pgx", h.site.postgres.URL())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	limit := full
	postgres := sqlprobe.Everything()
	postgres.Connections.Limit = health.Limit{Warn: &limit}
	server, err := sqlprobe.New(sqlprobe.Config{DB: db, Postgres: postgres})
	require.NoError(t, err)
	options, err := redis.ParseURL(h.site.redis.URL())
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { assert.NoError(t, client.Close()) })
	cache, err := redisprobe.New(redisprobe.Config{Client: client})
	require.NoError(t, err)
	e, err := host.Connection{
		Name: "production", Application: h.site.application.URL(), Token: runbook.NewSecret(services.OpsToken), WebSocket: "/ws/echo",
		DatabaseServer: server, Redis: cache,
	}.Environment(t.Context())
	require.NoError(t, err)
	for _, p := range []*health.Prober{
		&e.Probes.Application, &e.Probes.Performance, &e.Probes.Activity, &e.Probes.Database, &e.Probes.DatabaseServer, &e.Probes.Redis,
		&e.Probes.Canvas, &e.Probes.RateLimits, &e.Probes.LTI, &e.Probes.WebSocket, &e.Probes.Security,
	} {
		*p = within(*p, 3*time.Second)
	}
	e.Probes.LTI = nil // the application was given no keys
	e.Deployer, e.Freezer, e.Database = h.site.app, h.site.app, h.site.database
	e.Defaults = playbooks.Defaults{Settle: 500 * time.Millisecond, Recover: 4 * time.Second, Times: 1, Approve: time.Minute, Security: "security@acu.edu.au"}
	e.Tell = func(ctx context.Context, p alert.Post) error { return h.router.Post(ctx, p, "status") }
	e.Inform = func(ctx context.Context, m incident.Message) error {
		return h.router.Post(ctx, alert.Post{ID: alert.Key("inform", "production", m.Title, ""), Title: m.Title, Body: m.Text, By: "runbook", Last: true}, "operators")
	}
	return e
}

// chat returns a notifier that writes down what is said in a channel.
func (h *realHost) chat(channel string) alert.Notifier {
	return alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
		h.site.note("slack", channel, n.Title+"\n"+n.Text)
		return "", nil
	})
}

// checks are what is watched, once a second.
func (h *realHost) checks(t *testing.T, e playbooks.Environment) []health.Check {
	well := map[string]health.Status{"healthy": health.Healthy, "degraded": health.Degraded}
	// That the database or the cache is away is no fault of the application itself.
	itself, err := httpprobe.New(httpprobe.Config{URL: h.site.application.URL() + "/health", Status: []int{200, 503}, Assert: []httpprobe.Assertion{
		{Path: ".status", Want: map[string]health.Status{"healthy": health.Healthy, "degraded": health.Degraded, "unhealthy": health.Degraded}},
		{Path: ".checks.workers.status", Want: well},
	}})
	require.NoError(t, err)
	check := func(name string, p health.Prober, on ...string) health.Check {
		return health.Check{Name: name, Prober: p, Interval: time.Second, Timeout: 3 * time.Second, DependsOn: on, Labels: map[string]string{"environment": "production"}}
	}
	return []health.Check{
		check("application", itself), check("database", e.Probes.Database, "application"),
		check("database-server", e.Probes.DatabaseServer), check("redis", e.Probes.Redis),
	}
}

// realRules are the rules of package host for what can go wrong here.
func realRules(out alert.Handler, logger *slog.Logger) alert.EngineConfig {
	cfg := alert.EngineConfig{Out: out, Logger: logger, Inputs: []alert.Input{{Name: "connections_used", Kind: alert.Gauge, Unit: health.Percent}}}
	for _, r := range []struct {
		input, summary, playbook string
		severity                 alert.Severity
	}{
		{"application", "the application does not answer", "application-down", alert.Critical},
		{"database", "the application does not get through to its database", "database-issues", alert.High},
		{"database-server", "the server of the database does not work", "database-issues", alert.High},
		{"redis", "Redis does not work: nobody can sign in", "comprehensive-check", alert.High},
	} {
		cfg.Inputs = append(cfg.Inputs, alert.Input{Name: r.input, Kind: alert.Checks})
		cfg.Rules = append(cfg.Rules, alert.Rule{
			Name: r.input, Input: r.input, Severity: r.severity, When: alert.Failures{Fail: 3, Pass: 2}, Summary: r.summary,
			Playbook: r.playbook, Labels: map[string]string{"procedure": r.playbook},
		})
	}
	cfg.Rules = append(cfg.Rules, alert.Rule{
		Name: "connections", Input: "connections_used", Severity: alert.High, When: alert.Above{Limit: full},
		Summary: "{value} of the connections of the database are in use", Playbook: "database-issues", Labels: map[string]string{"procedure": "database-issues"},
	})
	return cfg
}

// feed feeds the rules with what the checks find. What fails because something else does
// says nothing of itself.
func (h *realHost) feed(ctx context.Context, s health.State) {
	h.engine.HealthHooks("").OnResult(ctx, s)
	for name, most := range map[string]*atomic.Int64{"blocked_queries": &h.blocked, "connections_used": &h.used} {
		if m, ok := s.Last.Measurement(name); ok {
			most.Store(max(most.Load(), int64(m.Value)))
		}
	}
	if s.BlockedBy != "" || s.Last.Status == health.Unknown {
		return
	}
	to, err := h.engine.Feed(alert.Source{Input: s.Name, Environment: "production", Entity: s.Name}, s.Labels)
	if err == nil {
		to.Result(!s.Last.Status.OK(), s.Last.Message)
	}
}
