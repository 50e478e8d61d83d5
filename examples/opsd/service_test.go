package main

import (
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// What leaves the host late does not keep the host from being stopped, and its error is not
// lost.
func TestTheHostDoesNotWaitForTelemetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release, late := make(chan struct{}), errors.New("too late")
		left := begun(func() error { <-release; return late }, leaveWithin)
		select {
		case err := <-left:
			assert.Fail(t, "it has not left", "%v", err)
		default:
		}
		close(release)
		assert.Equal(t, late, <-left)
		assert.NoError(t, <-begun(func() error { return nil }, leaveWithin))
	})
}

// What was cancelled is said, unless it is because opsd is being stopped.
func TestTheJournalDropsOnlyWhatItsEndCancels(t *testing.T) {
	t.Parallel()
	var log lockedBuffer
	ends := false
	j := &journal{w: &log, ends: func() bool { return ends }}
	logger := slog.New(j).With("check", "production/application")
	logger.Warn("the first look was cut off: context canceled")
	ends = true
	logger.Warn("the second look was cut off: context canceled")
	logger.Warn("the disk is full")
	assert.Contains(t, log.String(), "the first look")
	assert.NotContains(t, log.String(), "the second look")
	assert.Contains(t, log.String(), "the disk is full")
}
