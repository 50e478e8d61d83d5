package host_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/sqloutbox"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/examples/internal/world"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
	"go.acu.edu.au/runbook/incident/sqlstore"
)

// onFiles makes a host whose runs, incidents and messages are in files of a folder.
func onFiles(t *testing.T, w *world.World, folder string) (h *host.Host, stop func()) {
	t.Helper()
	file, err := sqlitefile.Open(t.Context(), filepath.Join(folder, "runs.db"))
	require.NoError(t, err)
	runs, err := durable.Open(t.Context(), durable.Config{DB: file, Host: "test"})
	require.NoError(t, err)
	db, err := sql.Open("sqlite", "file:"+filepath.Join(folder, "host.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	store, err := sqlstore.New(t.Context(), sqlstore.Config{DB: db})
	require.NoError(t, err)
	alerts, err := sqloutbox.New(t.Context(), sqloutbox.Config{DB: db, Name: "host"})
	require.NoError(t, err)
	s := &stage{T: t, world: w}
	cfg := s.config()
	cfg.Store, cfg.Alerts, cfg.Runs = store, alerts, runs
	h, err = host.New(t.Context(), cfg)
	require.NoError(t, err)
	require.NoError(t, h.Start(t.Context()))
	return h, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 30*time.Second)
		defer cancel()
		assert.NoError(t, h.Stop(ctx))
		assert.NoError(t, db.Close())
	}
}

// On files the same host goes on after a restart: with the incident, the alert and what was
// told; and the playbook of an alert is carried out.
func TestAHostGoesOnFromItsFiles(t *testing.T) {
	t.Parallel()
	w, err := world.New(world.Config{Seed: 7})
	require.NoError(t, err)
	defer func() { assert.NoError(t, w.Close()) }()
	folder := t.TempDir()
	h, stop := onFiles(t, w, folder)
	f, err := h.Engine().Feed(alert.Source{Input: "canvas_token", Environment: "production", Entity: "production/extra"}, nil)
	require.NoError(t, err)
	for range 3 {
		f.Result(true, "status 401")
	}
	var inc incident.Incident
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		for i, err := range h.Manager().Incidents(t.Context(), incident.IncidentQuery{Open: true}) {
			require.NoError(c, err)
			inc = i
		}
		assert.Equal(c, "validate-canvas-integration", inc.Playbook)
		require.Len(c, inc.Runs, 1)
		run, err := h.Runner().Run(t.Context(), inc.Runs[0])
		require.NoError(c, err)
		assert.Equal(c, incident.StateSucceeded, run.State, run.Text)
	}, 30*time.Second, 100*time.Millisecond)
	stop()

	h, stop = onFiles(t, w, folder)
	defer stop()
	again, err := h.Manager().Incident(t.Context(), inc.ID)
	require.NoError(t, err)
	assert.Equal(t, inc.Title, again.Title)
	require.Len(t, h.Router().Alerts(), 1)
	assert.Contains(t, h.Router().Alerts()[0].Told, "incidents")
	_, err = h.Manager().Acknowledge(t.Context(), inc.ID, incident.Ack{By: "Ben Okafor"})
	require.NoError(t, err)
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		require.NotNil(c, h.Router().Alerts()[0].Acknowledged)
		assert.Equal(c, "Ben Okafor", h.Router().Alerts()[0].Acknowledged.By)
	}, 30*time.Second, 100*time.Millisecond)
	run, err := h.Runner().Run(t.Context(), inc.Runs[0])
	require.NoError(t, err)
	assert.Equal(t, incident.StateSucceeded, run.State)
}
