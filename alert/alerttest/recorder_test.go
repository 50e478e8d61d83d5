package alerttest_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
)

// faultErrors are the faults that a Recorder can have: it has no service that could hang.
func faultErrors() map[alerttest.Fault]error {
	return map[alerttest.Fault]error{
		0:                     nil,
		alerttest.Limit:       &alert.Error{Service: "recorder", Op: "record", Kind: alert.ErrLimited, RetryAfter: alerttest.RetryAfter},
		alerttest.Refuse:      &alert.Error{Service: "recorder", Op: "record", Kind: alert.ErrRefused},
		alerttest.Unreachable: &alert.Error{Service: "recorder", Op: "record", Unsent: true},
		alerttest.Lost:        &alert.Error{Service: "recorder", Op: "record"},
		alerttest.LateError:   errors.New("bad gateway"),
	}
}

func recorderCase(r *alerttest.Recorder) alerttest.NotifierCase {
	return alerttest.NotifierCase{
		Notifier: r,
		Messages: func() (texts []string) {
			for _, n := range r.Notifications() {
				text := n.Title + "\n" + n.Text
				if n.PossibleRepeat {
					text = "(possible repeat) " + text
				}
				texts = append(texts, text)
			}
			return texts
		},
		Conversations: func() int {
			keys := make(map[string]bool)
			for _, n := range r.Notifications() {
				keys[n.Key] = true
			}
			return len(keys)
		},
		Fail: func(next ...alerttest.Fault) bool {
			for _, f := range next {
				err, ok := faultErrors()[f]
				if !ok {
					return false
				}
				r.Fail(err)
			}
			return true
		},
		Hostile: "<b>@here</b>", Escaped: "<b>@here</b>",
	}
}

// TestRecorder runs the suite on a Recorder, which is right.
func TestRecorder(t *testing.T) {
	alerttest.TestNotifier(t, alerttest.NotifierHarness{New: func(testing.TB) alerttest.NotifierCase {
		return recorderCase(&alerttest.Recorder{})
	}})
	t.Run("for everyone", func(t *testing.T) {
		alerttest.TestNotifier(t, alerttest.NotifierHarness{
			New: func(testing.TB) alerttest.NotifierCase {
				c := recorderCase(&alerttest.Recorder{})
				c.Post = true
				return c
			},
			Run: func(t *testing.T, test func(t *testing.T)) { test(t) },
		})
	})
}

// What a Recorder was told it keeps, with what failed after it had arrived.
func TestRecorderKeeps(t *testing.T) {
	r := &alerttest.Recorder{}
	r.Fail(errors.New("lost"), &alert.Error{Unsent: true}, &alert.Error{Kind: alert.ErrRefused}, nil)
	n := alert.Notification{Key: "k", Kind: alert.KindFiring}
	for n.Seq = 1; n.Seq <= 5; n.Seq++ {
		_, err := r.Notify(t.Context(), n)
		assert.Equal(t, n.Seq <= 3, err != nil)
	}
	var kept []int
	for _, got := range r.Notifications() {
		kept = append(kept, got.Seq)
	}
	assert.Equal(t, []int{1, 4, 5}, kept)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Notify(ended, n)
	require.ErrorIs(t, err, context.Canceled)
}
