package durable_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// A run that is forgotten has left nothing in the database, and its name is free again.
func TestForget(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		program := func(ctx context.Context, e incident.Engine, start incident.RunStart) (json.RawMessage, error) {
			if start.ID == "waits" {
				_, err := e.Await(ctx, "await", "never", time.Time{})
				return nil, err
			}
			_, err := e.Steps(ctx, []incident.Call{{ID: "look", Do: func(context.Context, []incident.Attempt) incident.Outcome {
				return incident.Outcome{Status: incident.Done, Output: json.RawMessage(`"canary"`)}
			}}})
			return json.RawMessage(`"canary"`), err
		}
		runs := p.launch(t, map[string]incident.Program{"p": program})
		start := func(id string) {
			_, err := runs.Start(t.Context(), incident.RunStart{ID: id, Program: "p", At: time.Now(), Labels: map[string]string{"incident": "INC-1"}, Input: json.RawMessage(`"canary"`)})
			require.NoError(t, err)
		}
		ended := func(id string) {
			require.Eventually(t, func() bool {
				record, err := runs.Record(t.Context(), id, -1)
				return err == nil && record.Status.Ended()
			}, 30*time.Second, 20*time.Millisecond)
		}
		start("over")
		start("stays")
		start("waits")
		ended("over")
		ended("stays")
		require.ErrorIs(t, runs.Forget(t.Context(), "waits"), incident.ErrBusy)
		require.ErrorIs(t, runs.Forget(runbook.ReadOnly(t.Context()), "over"), runbook.ErrReadOnly)
		for range 2 { // the second time there is nothing left
			require.NoError(t, runs.Forget(t.Context(), "over"))
		}
		_, err := runs.Record(t.Context(), "over", -1)
		require.ErrorIs(t, err, incident.ErrNotFound)
		_, err = runs.Record(t.Context(), "stays", -1)
		require.NoError(t, err)
		start("over")
		ended("over")
		for _, id := range []string{"over", "stays"} {
			require.NoError(t, runs.Forget(t.Context(), id))
		}
		for record, err := range runs.List(t.Context(), incident.RunQuery{}) {
			require.NoError(t, err)
			assert.Equal(t, "waits", record.ID)
		}
		if p.file != "" {
			leftNothing(t, p.file, runs)
		}
	})
}

// leftNothing looks through all tables of a file for what was forgotten.
func leftNothing(t *testing.T, file string, runs interface{ Close(context.Context) error }) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_ = runs.Close(ctx) // a run waits still
	db, err := sql.Open("sqlite", "file:"+file)
	require.NoError(t, err)
	defer func() { assert.NoError(t, db.Close()) }()
	var tables []string
	rows, err := db.QueryContext(ctx, "SELECT name FROM sqlite_master WHERE type = 'table'")
	require.NoError(t, err)
	for rows.Next() {
		var name string
		require.NoError(t, rows.Scan(&name))
		tables = append(tables, name)
	}
	require.NoError(t, rows.Err())
	require.NotEmpty(t, tables)
	for _, table := range tables {
		rows, err := db.QueryContext(ctx, `SELECT * FROM "`+table+`"`)
		require.NoError(t, err)
		columns, err := rows.Columns()
		require.NoError(t, err)
		for rows.Next() {
			values, to := make([]sql.NullString, len(columns)), make([]any, len(columns))
			for i := range values {
				to[i] = &values[i]
			}
			require.NoError(t, rows.Scan(to...))
			var line []string
			for _, v := range values {
				line = append(line, v.String)
			}
			text := strings.Join(line, " ")
			assert.False(t, strings.Contains(text, "over") || strings.Contains(text, "stays"), "%s: %s", table, text)
		}
		require.NoError(t, rows.Err())
	}
}
