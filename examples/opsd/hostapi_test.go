package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// "No", "could not" and "nobody knows" are three problems, and three exit codes.
func TestProblemsOfTheHost(t *testing.T) {
	t.Parallel()
	lost := errors.New("sqlstore: commit: connection reset")
	for name, c := range map[string]struct {
		err     error
		command bool
		status  int
		code    string
		exit    int
	}{
		"something is wrong":     {invalid(errors.New("it must end after it begins")), true, http.StatusUnprocessableEntity, "invalid", exitNot},
		"nothing is there":       {fmt.Errorf("hold: %w", incident.ErrNotFound), true, http.StatusNotFound, "not-found", exitNot},
		"nothing is there, read": {&unsent{incident.ErrNotFound}, true, http.StatusNotFound, "not-found", exitNot},
		"it changed":             {incident.ErrStale, true, http.StatusConflict, "stale", exitNot},
		"the other side":         {&alert.Error{Service: "slack", Op: "post", Kind: alert.ErrRefused}, true, http.StatusUnprocessableEntity, "refused", exitNot},
		"it was not sent":        {&alert.Error{Service: "slack", Op: "post", Unsent: true}, true, http.StatusServiceUnavailable, "could-not-ask", exitCouldNot},
		"it may have been sent":  {&alert.Error{Service: "slack", Op: "post", Status: 502}, true, http.StatusBadGateway, "outcome-unknown", exitUnknown},
		"outcome unknown":        {fmt.Errorf("x: %w", incident.ErrOutcomeUnknown), true, http.StatusBadGateway, "outcome-unknown", exitUnknown},
		"out of time":            {fmt.Errorf("accepted, and not known to be stored: %w", context.DeadlineExceeded), true, http.StatusBadGateway, "outcome-unknown", exitUnknown},
		"the state in a command": {lost, true, http.StatusBadGateway, "outcome-unknown", exitUnknown},
		"the state before it":    {&unsent{lost}, true, http.StatusServiceUnavailable, "could-not-ask", exitCouldNot},
		"the state in a look":    {lost, false, http.StatusServiceUnavailable, "could-not-ask", exitCouldNot},
		"it does not run":        {alert.ErrStopped, true, http.StatusServiceUnavailable, "could-not-ask", exitCouldNot},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := problemOf(c.err, c.command)
			assert.Equal(t, c.status, p.Status)
			assert.Equal(t, c.code, p.Code)
			assert.Contains(t, p.Detail, c.err.Error())
			assert.Equal(t, c.exit, codeOf(p))
		})
	}
}

// unlisted is a store whose documents cannot be listed.
type unlisted struct{ *incident.MemoryStore }

func (unlisted) Documents(context.Context, incident.DocumentQuery) iter.Seq2[incident.Document, error] {
	return func(yield func(incident.Document, error) bool) {
		yield(incident.Document{}, errors.New("connection reset"))
	}
}

// A maintenance that is on the record is planned, whether or not it can be read again.
func TestAMaintenanceThatIsRecordedIsPlanned(t *testing.T) {
	t.Parallel()
	monitor, err := health.New(health.Config{})
	require.NoError(t, err)
	var log lockedBuffer
	store := new(incident.MemoryStore)
	w := &windows{store: unlisted{store}, monitor: monitor, logger: slog.New(slog.NewTextHandler(&log, nil))}
	m, err := w.add(t.Context(), maintenance{Environment: "test", From: time.Now(), To: time.Now().Add(time.Hour), By: "Ana Silva", Comment: "an update"})
	require.NoError(t, err)
	_, err = store.Document(t.Context(), kindMaintenance, m.ID)
	require.NoError(t, err)
	assert.Contains(t, log.String(), "connection reset")
}
