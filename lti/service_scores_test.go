package lti_test

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

func TestScoreTime(t *testing.T) {
	serviceKeys(t)
	synctest.Test(t, func(t *testing.T) {
		s := newService(t, &serving{}, nil)
		var last time.Time
		next := func(user string, at time.Time) (time.Time, func(), error) {
			return s.ScoreTime("https://a.test/1", user, at)
		}
		for range 50 { // the clock stands still
			at, _, err := next("u", time.Time{})
			require.NoError(t, err)
			assert.True(t, at.After(last))
			assert.Equal(t, at, at.Truncate(time.Millisecond))
			last = at
		}
		for _, at := range []time.Time{last, last.Add(-time.Hour), last.Add(999 * time.Microsecond)} {
			_, _, err := next("u", at)
			require.ErrorIs(t, err, lti.ErrInvalid)
			assert.True(t, runbook.SafeToRetry(err))
		}
		later := last.Add(time.Hour)
		_, undo, err := next("u", later)
		require.NoError(t, err)
		_, _, err = next("v", later)
		require.NoError(t, err, "another user")
		undo()
		_, undo, err = next("u", later)
		require.NoError(t, err, "it was not sent")
		at, _, err := next("u", time.Time{})
		require.NoError(t, err)
		assert.Equal(t, later.Add(time.Millisecond), at, "after one in the future")
		undo()
		_, _, err = next("u", later)
		require.ErrorIs(t, err, lti.ErrInvalid, "one that came later counts")
		for i := range 50_000 {
			_, _, err := next("many"+strconv.Itoa(i), time.Time{})
			require.NoError(t, err)
		}
		assert.LessOrEqual(t, s.ScoreTimes(), 40_000, "memory is bounded")
	})
}
