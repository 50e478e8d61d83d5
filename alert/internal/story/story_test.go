package story_test

import (
	"context"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/internal/story"
)

// TestNightIsTheRouters has a router live through the night: the messages are its own, to the
// letter.
func TestNightIsTheRouters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)
		time.Sleep(time.Until(began))
		told := &alerttest.Recorder{}
		r, err := alert.NewRouter(alert.RouterConfig{
			Targets: []alert.Target{{Name: "told", Notifier: told}}, Logger: slog.New(slog.DiscardHandler),
			Routes: []alert.Route{{Name: "all", Targets: []string{"told"}, GroupBy: []string{"environment"}}},
		})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
		defer func() { assert.NoError(t, r.Stop(context.WithoutCancel(t.Context()))) }()
		slow, down := story.Slow(began), story.Down(began.Add(time.Minute))
		for _, event := range []struct {
			after time.Duration
			do    func() error
		}{
			{0, func() error { return r.Handle(t.Context(), slow) }},
			{time.Minute, func() error { return r.Handle(t.Context(), down) }},
			{66 * time.Minute, func() error {
				const comment = "I roll back the release of 02:55"
				return r.AcknowledgeConversation(t.Context(), told.Notifications()[0].Key, alert.Acknowledgement{By: "Ana Silva", Comment: comment})
			}},
			{68 * time.Minute, func() error { return r.Handle(t.Context(), over(slow)) }},
			{69 * time.Minute, func() error { return r.Handle(t.Context(), over(down)) }},
			{70 * time.Minute, func() error { return nil }},
		} {
			time.Sleep(time.Until(began.Add(event.after)))
			require.NoError(t, event.do())
			synctest.Wait()
		}
		got, steps := told.Notifications(), story.Steps()
		require.Len(t, got, len(steps))
		for i, n := range got {
			n.Key, n.Prior = steps[i].Key, ""
			if diff := cmp.Diff(steps[i].Notification, n); diff != "" {
				t.Errorf("%s: (-story +router)\n%s\n%s", steps[i].Name, diff, n.Text)
			}
		}
	})
}

func over(a alert.Alert) alert.Alert {
	a.State, a.Ended = alert.Resolved, time.Now()
	return a
}
