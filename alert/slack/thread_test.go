package slack_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
)

// Requirement: AL-SLACK-THREAD, AL-AM-THREADS
func TestThread(t *testing.T) {
	s, n := newSlack(t, buttons)
	first, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "CRITICAL: app", "", firing()))
	require.NoError(t, err)
	require.JSONEq(t, `{"channel":"CQAAUTOMATIONALERTS","ts":"`+s.Messages()[0].TS+`","severity":"critical"}`, string(first))
	require.Equal(t, "#B3261E", s.Messages()[0].Color)

	acked := firing()
	acked.Acknowledged = &alert.Acknowledgement{By: "ana", At: at}
	what := note(alert.KindUpdate, 2, "CRITICAL, update: app", "", acked)
	what.Prior = first
	second, err := n.Notify(t.Context(), what)
	require.NoError(t, err)
	assert.Equal(t, first, second, "the first message goes on being the one to find")
	root := s.Messages()[0]
	assert.Equal(t, "#1D6FA5", root.Color)
	assert.Contains(t, root.Body, "acknowledged by ana")
	assert.Empty(t, root.Buttons)

	over := firing()
	over.State = alert.Resolved
	what = note(alert.KindResolved, 3, "RESOLVED after 12 min: app", "", over)
	what.Prior = second
	_, err = n.Notify(t.Context(), what)
	require.NoError(t, err)
	all := s.Messages()
	require.Len(t, all, 3)
	assert.Equal(t, "#2E7D32", all[0].Color)
	assert.Equal(t, "RESOLVED after 12 min: app", all[0].Header)
	assert.Equal(t, 2, all[0].Edits)
	for _, reply := range all[1:] {
		assert.Equal(t, all[0].TS, reply.ThreadTS)
		assert.Zero(t, reply.Edits)
		assert.Empty(t, reply.Buttons)
	}
}

// What must not be missed is shown in the channel as well as in the thread.
func TestBroadcast(t *testing.T) {
	for name, c := range map[string]struct {
		was, is alert.Severity
		kind    alert.Kind
		want    bool
	}{
		"reminder": {alert.High, alert.High, alert.KindReminder, true},
		"worse":    {alert.High, alert.Critical, alert.KindUpdate, true},
		"the same": {alert.High, alert.High, alert.KindUpdate, false},
		"better":   {alert.High, alert.Low, alert.KindUpdate, false},
		"resolved": {alert.High, alert.Critical, alert.KindResolved, false},
	} {
		s, n := newSlack(t, nil)
		what := note(alert.KindFiring, 1, "app", "", firing())
		what.Severity = c.was
		prior, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		what = note(c.kind, 2, "app", "", firing())
		what.Severity, what.Prior = c.is, prior
		_, err = n.Notify(t.Context(), what)
		require.NoError(t, err)
		assert.Equal(t, c.want, s.Messages()[1].Broadcast, name)
	}
}

// A failed change of the first message neither posts twice nor loses the reply.
func TestChangeFails(t *testing.T) {
	begin := func(t *testing.T) (*alerttest.Slack, *slack.Notifier, alert.Notification) {
		s, n := newSlack(t, nil)
		prior, err := n.Notify(t.Context(), note(alert.KindFiring, 1, "app", "", firing()))
		require.NoError(t, err)
		what := note(alert.KindResolved, 2, "RESOLVED", "", firing())
		what.Prior = prior
		return s, n, what
	}
	for name, faults := range map[string][]alerttest.Fault{
		"limited": {alerttest.Limit}, "lost": {alerttest.Lost}, "server error": {alerttest.ServerError}, "unreachable": {alerttest.Unreachable},
		"the reply": {0, alerttest.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			s, n, what := begin(t)
			s.Fail(faults...)
			_, err := n.Notify(t.Context(), what)
			require.Error(t, err)
			assert.True(t, runbook.SafeToRetry(err), "nothing was posted: %v", err)
			require.Len(t, s.Messages(), 1)
			_, err = n.Notify(t.Context(), what)
			require.NoError(t, err)
			require.Len(t, s.Messages(), 2)
			assert.NotContains(t, s.Messages()[1].Header, "repeat")
			assert.Equal(t, "#2E7D32", s.Messages()[0].Color)
		})
	}
	t.Run("reply lost", func(t *testing.T) {
		s, n, what := begin(t)
		s.Fail(0, alerttest.Lost)
		_, err := n.Notify(t.Context(), what)
		require.Error(t, err)
		assert.False(t, runbook.SafeToRetry(err))
		what.PossibleRepeat = true
		_, err = n.Notify(t.Context(), what)
		require.NoError(t, err)
		require.Len(t, s.Messages(), 3)
		assert.Contains(t, s.Messages()[2].Header, "(possible repeat)")
		assert.NotContains(t, s.Messages()[0].Header, "repeat", "the first message is no repetition")
	})
	for _, code := range []string{"cant_update_message", "edit_window_closed"} {
		t.Run(code, func(t *testing.T) {
			s, n, what := begin(t)
			s.FailWith(code)
			_, err := n.Notify(t.Context(), what)
			require.NoError(t, err)
			assert.Equal(t, s.Messages()[0].TS, s.Messages()[1].ThreadTS, "the reply matters more")
		})
	}
	t.Run("deleted", func(t *testing.T) {
		s, n, what := begin(t)
		s.Delete(s.Messages()[0].TS)
		receipt, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		require.Len(t, s.Messages(), 1)
		assert.Empty(t, s.Messages()[0].ThreadTS, "a new conversation begins")
		assert.Contains(t, string(receipt), s.Messages()[0].TS)
	})
	t.Run("locked thread", func(t *testing.T) {
		s, n, what := begin(t)
		s.FailWith("", "restricted_action_thread_locked")
		_, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		assert.Empty(t, s.Messages()[1].ThreadTS)
	})
	t.Run("receipt of somebody else", func(t *testing.T) {
		s, n, what := begin(t)
		what.Prior = "message-1"
		_, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		assert.Empty(t, s.Messages()[1].ThreadTS)
	})
}
