//go:build linux

package drill_test

import (
	"context"
	"database/sql"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/examples/internal/drill"
	"go.acu.edu.au/runbook/incident"
)

// A realScenario is a scenario whose fault is made on real processes.
type realScenario struct {
	drill.Scenario
	// fault breaks something. Its kind is one of those of package world.
	kind  string
	fault func(t *testing.T, s *site)
	// ends is the kind of the act that removes the cause. With "mended" a person does, with
	// mend, when the playbook has said what it found.
	ends string
	mend func(s *site)
	// check looks at more than the oracle can.
	check func(t *testing.T, h *realHost, history *drill.History)
}

// Nothing here is said to take less than it may on a slow machine.
func realOracle(severity alert.Severity, required []drill.Rule, allowed ...drill.Rule) drill.Oracle {
	return drill.Oracle{
		Severity: severity, Required: required, Allowed: allowed,
		Detected: time.Minute, Acknowledged: time.Minute, Mitigated: 90 * time.Second, Resolved: 100 * time.Second,
		Order: []drill.Order{{First: drill.Rule{Kind: "approved"}, Then: drill.Rule{Kind: "restart-database"}, Why: "all connections are cut"}},
	}
}

var (
	once       = func(kind string) drill.Rule { return drill.Rule{Kind: kind, Max: 1} }
	toldStatus = drill.Rule{Kind: "slack", Detail: "#qa-automation-status", Min: 2, Why: "stakeholders are told that it is looked into, and that it is over"}
	toldAlerts = drill.Rule{Kind: "slack", Detail: "#qa-automation-alerts"}
)

func realScenarios() []realScenario {
	list := append(realOfApplication(), realOfDatabase()...)
	return append(list, realScenario{
		Scenario: drill.Scenario{Name: "redis-down", Oracle: realOracle(alert.High, []drill.Rule{toldAlerts})},
		kind:     "redis-down", fault: func(_ *testing.T, s *site) { s.redis.Stop() },
		ends: "mended", mend: func(s *site) { s.redis.Start() },
		check: func(t *testing.T, _ *realHost, h *drill.History) {
			assert.Contains(t, runText(h, "comprehensive-check"), "redis")
		},
	})
}

func realOfApplication() []realScenario {
	restarted := realOracle(alert.Critical, []drill.Rule{once("restart"), toldStatus, toldAlerts}, once("freeze"), once("unfreeze"))
	return []realScenario{
		{
			Scenario: drill.Scenario{Name: "killed", Oracle: restarted}, kind: "crash-loop", ends: "restart",
			fault: func(_ *testing.T, s *site) { s.application.Kill() },
			check: func(t *testing.T, h *realHost, history *drill.History) {
				assert.Contains(t, runText(history, "application-down"), "nothing was deployed lately, and platform and database work")
				state, err := h.site.app.DeployFreeze(t.Context())
				require.NoError(t, err)
				assert.False(t, state.Frozen, "the platform deploys by itself again")
			},
		},
		{
			Scenario: drill.Scenario{Name: "hangs", Oracle: restarted}, kind: "crash-loop", ends: "restart",
			fault: func(_ *testing.T, s *site) { s.freeze() },
		},
		{
			Scenario: drill.Scenario{Name: "bad-deploy", Oracle: realOracle(alert.Critical, []drill.Rule{
				once("rollback"), once("freeze"), toldStatus, {Kind: "slack", Text: "frozen", Why: "a push would bring it back"},
			})},
			kind: "bad-deploy", ends: "rollback",
			// A version of TLS is asked for that there is not: each look at the database is a 500.
			fault: func(_ *testing.T, s *site) {
				s.deploy("bad0bad", strings.Replace(s.postgres.URL(), "sslmode=disable", "sslmode=require&ssl_min_protocol_version=TLSv9", 1))
			},
			check: func(t *testing.T, h *realHost, history *drill.History) {
				assert.Contains(t, runText(history, "application-down"), "bad0bad was deployed less than")
				got, _ := h.site.app.Got("DATABASE_URL")
				assert.Equal(t, h.site.postgres.URL(), got, "it runs with the former variables")
			},
		},
		badAddress(),
	}
}

// badAddress is a deployment that looks for the database where there is none. The application
// itself works, so that it is taken for a fault of the database; but its server works too, and
// what was just deployed is rolled back. Nobody is asked to restart the server.
func badAddress() realScenario {
	return realScenario{
		Scenario: drill.Scenario{Name: "bad-deploy-database", Oracle: realOracle(alert.High, []drill.Rule{
			once("rollback"), once("freeze"), toldStatus, {Kind: "slack", Text: "frozen", Why: "a push would bring it back"},
			{Kind: "slack", Detail: "#qa-automation-alerts", Text: "bad0bad was deployed less than"},
		})},
		kind: "bad-deploy", ends: "rollback",
		fault: func(_ *testing.T, s *site) {
			s.deploy("bad0bad", strings.Replace(s.postgres.URL(), "/runbook?", "/elsewhere?", 1))
		},
		check: func(t *testing.T, h *realHost, history *drill.History) {
			text := runText(history, "database-issues")
			assert.Contains(t, text, "the server works, and the application does not get through to it")
			assert.Contains(t, text, "approve-restart: it was decided to roll back")
			got, _ := h.site.app.Got("DATABASE_URL")
			assert.Equal(t, h.site.postgres.URL(), got, "it runs with the former variables")
		},
	}
}

func realOfDatabase() []realScenario {
	// Others hold what the application waits for, so that its own restart, which comes first,
	// does not help.
	held := realOracle(alert.High, []drill.Rule{once("restart"), {Kind: "approved"}, once("restart-database"), toldStatus, toldAlerts})
	return []realScenario{
		{
			Scenario: drill.Scenario{Name: "blocked-queries", Oracle: held}, kind: "blocked-queries", ends: "restart-database",
			fault: forgottenTransaction,
			check: func(t *testing.T, h *realHost, history *drill.History) {
				assert.Contains(t, runText(history, "database-issues"), "the application does not get through to it")
				assert.Positive(t, h.blocked.Load(), "the server was seen to have queries that wait")
			},
		},
		{
			Scenario: drill.Scenario{Name: "connection-storm", Oracle: held}, kind: "connection-storm", ends: "restart-database",
			fault: allConnections,
			check: func(t *testing.T, h *realHost, history *drill.History) {
				assert.Regexp(t, `connections of the server are in use|accepts no more connections`, runText(history, "database-issues"))
				assert.Greater(t, h.used.Load(), int64(full))
			},
		},
		{
			Scenario: drill.Scenario{Name: "database-down", Oracle: realOracle(alert.High, []drill.Rule{
				once("restart-database"), {Kind: "approved"}, toldStatus, toldAlerts,
			})},
			kind: "database-down", ends: "restart-database",
			fault: func(_ *testing.T, s *site) { s.setDown(true); s.postgres.Stop() },
			check: func(t *testing.T, _ *realHost, history *drill.History) {
				assert.Contains(t, runText(history, "database-issues"), "the service of the database does not run")
				assert.NotContains(t, runText(history, "application-down"), "decide", "nobody took the application for the cause")
			},
		},
	}
}

// forgottenTransaction locks the tasks in a session that does nothing more.
func forgottenTransaction(t *testing.T, s *site) {
	db, err := pgx.Connect(t.Context(), s.postgres.URL())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) }) // which the restart has ended
	_, err = db.Exec(t.Context(), "BEGIN; LOCK TABLE qa_tasks IN ACCESS EXCLUSIVE MODE")
	require.NoError(t, err)
}

// allConnections takes all connections that PostgreSQL still has.
func allConnections(t *testing.T, s *site) {
	for range 100 {
		db, err := pgx.Connect(t.Context(), s.postgres.URL())
		if err != nil {
			return
		}
		t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })
	}
	require.Fail(t, "PostgreSQL takes any number of connections")
}

// runText is all that the runs of a playbook found and said.
func runText(h *drill.History, playbook string) string {
	var all []string
	for _, r := range h.Runs {
		for _, s := range r.Done {
			if r.Playbook == playbook {
				all = append(all, s.ID+": "+s.Text)
			}
		}
	}
	return strings.Join(all, "\n")
}

// The drill with the real application, PostgreSQL and Redis, for what can be broken there:
// found, handled and told by itself, but for the people's yes, and with nothing that is
// forbidden. What is real is also the user: somebody signs in and hands in a draft.
//
// Requirement: RB-PLAYBOOK-1, RB-PLAYBOOK-4
func TestRealDrill(t *testing.T) {
	for _, sc := range realScenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			s := newSite(t)
			t.Parallel()
			sc.People.Ack, sc.People.Answer = 500*time.Millisecond, 500*time.Millisecond
			h, users := newRealHost(t, s), &user{url: s.application.URL()}
			live, end := context.WithCancel(t.Context())
			lived := make(chan struct{})
			go func() { defer close(lived); users.live(live) }()
			t.Cleanup(func() { end(); <-lived })
			require.Eventually(t, func() bool { served, _ := users.seen(); return served }, 30*time.Second, 50*time.Millisecond, "the users are never served")
			require.NoError(t, h.monitor.Start(t.Context()))
			require.Eventually(t, func() bool { return h.monitor.Status().OK() }, 30*time.Second, 50*time.Millisecond, "it is not well before anything is broken")

			began := time.Now()
			s.mu.Lock()
			s.fault, s.ends = drill.Span{From: began, What: sc.kind}, sc.ends
			s.mu.Unlock()
			sc.fault(t, s)
			h.play(t, sc, users)
			history := h.history(t, users, began)
			findings := drill.Judge(sc.Scenario, history)
			assert.Empty(t, texts(findings))
			for _, i := range history.Incidents {
				assert.True(t, i.Resolved.After(history.Faults[0].To), "%s is over before its cause is", i.Title)
			}
			if sc.check != nil {
				sc.check(t, h, history)
			}
			if t.Failed() {
				t.Log(strings.Join(history.Transcript(), "\n"))
			}
		})
	}
}

// play lets people act and carries out what is to be done to the processes, until all is
// over, or two minutes are.
func (h *realHost) play(t *testing.T, sc realScenario, users *user) {
	crew := drill.NewCrew(sc.Scenario, h.manager, h.runner, []string{"Ana Silva", "Ben Okafor"}, h.site.happened)
	began, tick := time.Now(), time.NewTicker(200*time.Millisecond)
	defer tick.Stop()
	defer func() {
		for _, a := range crew.Acts {
			h.site.mu.Lock()
			h.site.acts = append(h.site.acts, a)
			h.site.mu.Unlock()
		}
	}()
	for time.Since(began) < 2*time.Minute {
		select {
		case o := <-h.site.orders:
			o.do()
			close(o.done)
		case <-tick.C:
			require.NoError(t, crew.Turn(t.Context()))
			ended, active := h.ended(t)
			if sc.mend != nil && ended > 0 {
				sc.mend(h.site)
				sc.mend = nil
				h.site.note("mended", sc.kind, "")
				h.site.mended("mended")
			}
			served, _ := users.seen()
			h.site.mu.Lock()
			over := !h.site.fault.To.IsZero()
			h.site.mu.Unlock()
			if over && served && active == 0 && h.monitor.Status().OK() && !h.open(t) {
				return
			}
		}
	}
}

// ended counts the runs that have ended, and those that have not.
func (h *realHost) ended(t *testing.T) (ended, active int) {
	for run, err := range h.runner.Runs(t.Context(), incident.RunQuery{Program: incident.PlaybookProgram}) {
		require.NoError(t, err)
		if run.Ended.IsZero() {
			active++
		} else {
			ended++
		}
	}
	return ended, active
}

// open reports whether an incident is.
func (h *realHost) open(t *testing.T) bool {
	for _, err := range h.manager.Incidents(t.Context(), incident.IncidentQuery{Open: true, Limit: 1}) {
		require.NoError(t, err)
		return true
	}
	return false
}

// history is what happened, for the oracle.
func (h *realHost) history(t *testing.T, users *user, began time.Time) *drill.History {
	out := &drill.History{Began: began, Ended: time.Now(), Whole: h.whole(t)}
	_, out.Unserved = users.seen()
	state, err := h.site.app.DeployFreeze(t.Context())
	require.NoError(t, err)
	h.site.mu.Lock()
	out.Frozen, out.Faults, out.Acts = state.Frozen, []drill.Span{h.site.fault}, slices.Clone(h.site.acts)
	h.site.mu.Unlock()
	for i, err := range h.manager.Incidents(t.Context(), incident.IncidentQuery{}) {
		require.NoError(t, err)
		out.Incidents = append(out.Incidents, drill.Opened{
			ID: i.ID, Title: i.Title, Playbook: i.Playbook, By: i.OpenedBy, Severity: i.Severity,
			Opened: i.Opened, Acknowledged: i.Acknowledged, Mitigated: i.Mitigated, Resolved: i.Resolved,
		})
		for e, err := range h.manager.Timeline(t.Context(), i.ID, 0) {
			require.NoError(t, err)
			if slices.Contains([]string{"opened", "acknowledged", "mitigated", "resolved", "reopened"}, string(e.Kind)) {
				out.Acts = append(out.Acts, drill.Act{At: e.At, Environment: i.Environment, Kind: "incident-" + string(e.Kind), Detail: i.ID + " " + i.Title, Text: e.Text})
			}
		}
	}
	slices.SortFunc(out.Incidents, func(a, b drill.Opened) int { return a.Opened.Compare(b.Opened) })
	require.NoError(t, drill.CollectRuns(t.Context(), h.runner, out))
	slices.SortStableFunc(out.Acts, func(a, b drill.Act) int { return a.At.Compare(b.At) })
	return out
}

// whole reports whether the tasks of users are still there: the first of them is as old as
// the exercise.
func (h *realHost) whole(t *testing.T) bool {
	db, err := sql.Open("pgx", h.site.postgres.URL())
	require.NoError(t, err)
	defer db.Close()
	var tasks int
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM qa_tasks WHERE created_at < $1", h.site.fault.From).Scan(&tasks))
	return tasks > 0
}
