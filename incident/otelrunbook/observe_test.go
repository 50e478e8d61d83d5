package otelrunbook_test

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

func TestChecksAreReadWhenCollected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		m := watch(t, w, ill)
		require.NoError(t, w.Observe(otelrunbook.Sources{Monitor: m}))
		const check = "runbook.check=production/db,runbook.environment=production"
		assert.Equal(t, map[string]float64{
			check + ",runbook.status=unknown": 0, check + ",runbook.status=healthy": 0, check + ",runbook.status=degraded": 0,
			check + ",runbook.status=unhealthy": 1, check + ",runbook.status=maintenance": 0,
		}, w.values(t, "runbook.check.status"))
		assert.Equal(t, map[string]float64{check: 1}, w.values(t, "runbook.check.failures"))
		assert.Equal(t, map[string]float64{"": 1}, w.values(t, "runbook.monitor.probes"))
		assert.Equal(t, map[string]float64{"": 0}, w.values(t, "runbook.monitor.hung"))

		assert.ErrorContains(t, w.Observe(otelrunbook.Sources{Monitor: m}), "a monitor is observed already")
		require.NoError(t, w.Close())
		assert.Empty(t, w.values(t, "runbook.check.status"))
		require.NoError(t, w.Observe(otelrunbook.Sources{Monitor: m}), "after Close it can be observed again")
		assert.Len(t, w.values(t, "runbook.check.status"), 5)
		require.NoError(t, m.Stop(t.Context()))
	})
}

func TestAlertsAreCountedBySeverity(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		nobody := alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) { return "", nil })
		r, err := alert.NewRouter(alert.RouterConfig{Targets: []alert.Target{{Name: "x", Notifier: nobody}}, Routes: []alert.Route{{Name: "all", Targets: []string{"x"}}}})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		require.NoError(t, w.Observe(otelrunbook.Sources{Router: r}))
		for _, entity := range []string{"a", "b", "c"} {
			require.NoError(t, r.Handle(t.Context(), alert.Alert{
				Key: entity, Rule: "rule", Environment: "production", Entity: entity, Severity: alert.High, State: alert.Firing, Fired: time.Now(), Summary: secret,
			}))
		}
		require.NoError(t, r.Acknowledge(t.Context(), "a", alert.Acknowledgement{By: "Ana", At: time.Now()}))
		values := w.values(t, "runbook.alerts.firing")
		assert.Len(t, values, 8, "a severity that nothing has is 0 and not missing")
		assert.EqualValues(t, 2, values["runbook.acknowledged=false,runbook.severity=high"])
		assert.EqualValues(t, 1, values["runbook.acknowledged=true,runbook.severity=high"])
		assert.EqualValues(t, 0, values["runbook.acknowledged=false,runbook.severity=critical"])
		require.NoError(t, r.Stop(t.Context()))
	})
}

func TestIncidents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		m, err := incident.NewManager(incident.ManagerConfig{Store: new(incident.MemoryStore), SLAs: incident.DefaultSLAs(nil), Hooks: incident.ManagerHooks{OnChanged: w.OnIncident}})
		require.NoError(t, err)
		require.NoError(t, w.Observe(otelrunbook.Sources{Manager: m}))
		open := func(simulated bool) string {
			i, err := m.Open(t.Context(), incident.Opening{Title: secret, Severity: alert.High, Environment: "production", By: "Ana", Simulated: simulated})
			require.NoError(t, err)
			return i.ID
		}
		mitigated, resolved, exercise := open(false), open(false), open(true)
		assert.EqualValues(t, 2, w.values(t, "runbook.incidents.open")["runbook.severity=high"])
		time.Sleep(4 * time.Minute)
		for _, id := range []string{mitigated, resolved, exercise} {
			_, err := m.Acknowledge(t.Context(), id, incident.Ack{By: "Ana"})
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		_, err = m.Acknowledge(t.Context(), mitigated, incident.Ack{By: "Ben"})
		require.NoError(t, err)
		_, err = m.Mitigate(t.Context(), mitigated, "Ben", "")
		require.NoError(t, err)
		time.Sleep(time.Hour)
		for _, id := range []string{mitigated, resolved, exercise} {
			_, err := m.Resolve(t.Context(), id, incident.Resolution{By: "Ben"})
			require.NoError(t, err)
		}
		assert.Equal(t, map[string]float64{
			"runbook.severity=critical": 0, "runbook.severity=high": 0, "runbook.severity=medium": 0, "runbook.severity=low": 0,
		}, w.values(t, "runbook.incidents.open"))
		for name, sum := range map[string]time.Duration{
			"runbook.incident.acknowledge.duration": 8 * time.Minute, // the first one counts
			"runbook.incident.mitigate.duration":    5*time.Minute + 65*time.Minute,
			"runbook.incident.resolve.duration":     130 * time.Minute,
		} {
			assert.Equal(t, map[string]float64{"runbook.severity=high": 2}, w.values(t, name), name)
			assert.InDelta(t, sum.Seconds(), w.sum(t, name), 0.001, name)
		}
		assert.Equal(t, map[string]float64{"runbook.severity=high": 2}, w.values(t, "runbook.incident.opened"))
	})
}

func TestRunsAndApprovalsAreReadWhenCollected(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		h := newHouse(t, w, steps("waits", approve("ask")))
		require.NoError(t, w.Observe(otelrunbook.Sources{Runner: h.runner}))
		assert.Empty(t, w.values(t, "runbook.runs.active"))
		assert.Equal(t, map[string]float64{"runbook.environment=production": 0}, w.values(t, "runbook.approvals.waiting"))
		run := h.start(t, "waits")
		time.Sleep(7 * time.Minute)
		assert.Equal(t, map[string]float64{"runbook.environment=production,runbook.playbook=waits,runbook.state=waiting": 1}, w.values(t, "runbook.runs.active"))
		assert.Equal(t, map[string]float64{"runbook.environment=production": 1}, w.values(t, "runbook.approvals.waiting"))
		assert.Equal(t, map[string]float64{"": 420}, w.values(t, "runbook.approvals.oldest"))
		require.NoError(t, h.runner.Answer(t.Context(), run.ID, run.Question.ID, incident.Answer{Kind: incident.AnswerDeny, Actor: "Ben", Comment: "no"}))
		synctest.Wait()
		assert.Empty(t, w.values(t, "runbook.runs.active"))
	})
}

func TestAStoreThatIsAwayCostsItsOwnMetricsOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		w := newWorld(t, otelrunbook.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		store := new(incidenttest.FailingStore)
		m, err := incident.NewManager(incident.ManagerConfig{Store: store, SLAs: incident.DefaultSLAs(nil)})
		require.NoError(t, err)
		monitor := watch(t, w, well)
		require.NoError(t, w.Observe(otelrunbook.Sources{Manager: m, Monitor: monitor}))
		away := errors.New("the store is away")
		store.Fail("Documents", away, away)
		for range 3 {
			assert.Len(t, w.values(t, "runbook.check.status"), 5, "the rest is there, and the collection has no error")
		}
		assert.Len(t, w.values(t, "runbook.incidents.open"), 4)
		assert.Equal(t, 1, strings.Count(log.String(), "the store is away"), log.String())
		assert.Equal(t, 1, strings.Count(log.String(), "it can be read again"), log.String())
		require.NoError(t, monitor.Stop(t.Context()))
	})
}

// slowStore answers when whoever asks gives up.
type slowStore struct{ incident.MemoryStore }

// Documents implements [incident.Store].
func (*slowStore) Documents(ctx context.Context, _ incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return func(yield func(incident.Document, error) bool) {
		<-ctx.Done()
		yield(incident.Document{}, ctx.Err())
	}
}

func TestACollectionDoesNotWaitForAStoreForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{Timeout: 2 * time.Second, Logger: slog.New(slog.DiscardHandler)})
		m, err := incident.NewManager(incident.ManagerConfig{Store: new(slowStore), SLAs: incident.DefaultSLAs(nil)})
		require.NoError(t, err)
		require.NoError(t, w.Observe(otelrunbook.Sources{Manager: m}))
		began := time.Now()
		assert.Empty(t, w.values(t, "runbook.incidents.open"))
		assert.Equal(t, 2*time.Second, time.Since(began))
	})
}

func TestNewReportsEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := otelrunbook.New(otelrunbook.Config{Timeout: -1, Checks: 9})
	for _, want := range []string{"timeout -1ns is negative", "checks: 9 is none of"} {
		assert.ErrorContains(t, err, want)
	}
}

// Without providers nothing is put in the way.
func TestWithoutProvidersEverythingIsAsItWas(t *testing.T) {
	t.Parallel()
	tel, err := otelrunbook.New(otelrunbook.Config{})
	require.NoError(t, err)
	assert.Equal(t, health.Hooks{}, tel.HealthHooks())
	n := &pager{}
	assert.Same(t, n, tel.Notifier("x", n))
	assert.Nil(t, tel.Program(nil))
	tel.OnIncident(t.Context(), incident.Incident{}, []incident.Entry{{Kind: "opened"}})
	m, err := health.New(health.Config{})
	require.NoError(t, err)
	require.NoError(t, tel.Observe(otelrunbook.Sources{Monitor: m}))
	require.NoError(t, tel.Close())
}
