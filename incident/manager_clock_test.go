package incident_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// times are promised times of all kinds.
var times = map[alert.Severity]incident.SLA{
	alert.Critical: {Acknowledge: 10 * time.Minute, Mitigate: time.Hour, Resolve: 4 * time.Hour, Update: 30 * time.Minute},
	alert.High:     {Acknowledge: 20 * time.Minute, Mitigate: 2 * time.Hour},
}

// Requirement: INC-SLA-BREACH
func TestClocksTellHowMuchHasPassed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told []string
		cfg := incident.ManagerConfig{SLAs: times, Hooks: incident.ManagerHooks{
			OnClock: func(_ context.Context, _ incident.Incident, c incident.Clock) {
				told = append(told, fmt.Sprintf("%d %s", c.Told, c.Kind))
			},
		}}
		c := newCase(t, cfg)
		inc := c.open(t, alert.Critical)
		began := time.Now().UTC()
		c.escalator.take()
		require.NoError(t, c.manager.Start(t.Context()))
		require.Error(t, c.manager.Start(t.Context()), "once")
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		assert.Equal(t, []string{"50 acknowledge", "80 acknowledge"}, told)
		require.NoError(t, c.manager.Stop(t.Context()))

		// Nobody looks for a while; another process then does.
		time.Sleep(51*time.Minute + time.Second)
		other := c.another(t)
		require.NoError(t, other.Tick(t.Context()))
		require.NoError(t, c.manager.Tick(t.Context()), "what was told is stored: it is not told again")
		assert.Equal(t, []string{
			"50 acknowledge", "80 acknowledge", "100 acknowledge", "50 mitigate", "80 mitigate", "100 mitigate", "50 update", "80 update", "100 update",
		}, told)
		var passed []time.Duration
		for _, e := range c.timeline(t, inc.ID) {
			if e.Kind == "clock" {
				passed = append(passed, e.At.Sub(began))
			}
		}
		m := time.Minute
		assert.Equal(t, []time.Duration{5 * m, 8 * m, 10 * m, 30 * m, 48 * m, 60 * m, 15 * m, 24 * m, 30 * m}, passed, "with the times at which they had passed")
		assert.Empty(t, c.escalator.take(), "apart from escalation")
		got := c.read(t, inc.ID)
		assert.True(t, clock(t, got, incident.ClockMitigate).Missed(time.Now()))
		assert.False(t, clock(t, got, incident.ClockResolve).Missed(time.Now()))
		assert.Equal(t, 3*time.Hour-time.Second, clock(t, got, incident.ClockResolve).Left(time.Now()))

		_, err := c.manager.Resolve(t.Context(), inc.ID, incident.Resolution{By: "ben"})
		require.NoError(t, err)
		told = nil
		time.Sleep(24 * time.Hour)
		require.NoError(t, c.manager.Tick(t.Context()))
		assert.Empty(t, told, "what has happened has no time any more")
		for _, k := range c.read(t, inc.ID).Clocks {
			assert.False(t, k.Stopped.IsZero(), k.Kind)
			assert.Zero(t, k.Left(time.Now()))
		}
	})
}

// What happens late is recorded as late, although nobody looked in between.
func TestBreachBeforeATick(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{SLAs: times})
		inc := c.open(t, alert.High)
		time.Sleep(21 * time.Minute)
		got, err := c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		assert.Equal(t, 100, clock(t, got, incident.ClockAcknowledge).Told)
		assert.True(t, clock(t, got, incident.ClockAcknowledge).Missed(time.Now()))
		contains(t, c.texts(t, inc.ID), "the time to acknowledge is over: it was due at Sat 1 Jan 2000 00:20 UTC")
	})
}

// Requirement: INC-SLA-RECOMPUTE
func TestSeverityChangeRecomputes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{SLAs: times})
		trigger := time.Now().UTC()
		time.Sleep(time.Minute)
		inc, err := c.manager.Open(t.Context(), incident.Opening{By: "ana", Title: "slow", Severity: alert.High, Triggered: trigger})
		require.NoError(t, err)
		time.Sleep(8 * time.Minute)
		got, err := c.manager.SetSeverity(t.Context(), inc.ID, alert.Critical, "ben", "it hurts everybody")
		require.NoError(t, err)
		assert.Equal(t, trigger.Add(10*time.Minute), clock(t, got, incident.ClockAcknowledge).Due, "from the first trigger")
		assert.Equal(t, trigger.Add(time.Hour), clock(t, got, incident.ClockMitigate).Due)
		assert.Equal(t, trigger.Add(30*time.Minute), clock(t, got, incident.ClockUpdate).Due)
		var change incident.Entry
		for _, e := range c.timeline(t, inc.ID) {
			if e.Kind == "severity" {
				change = e
			}
		}
		data := dataOf(t, change)
		assert.Equal(t, []any{"critical", "high"}, []any{data["severity"], data["was_severity"]})
		dues := func(name string) (list []string) {
			for _, k := range data[name].([]any) {
				list = append(list, k.(map[string]any)["due"].(string))
			}
			return list
		}
		assert.Equal(t, []string{"2000-01-01T00:10:00Z", "2000-01-01T01:00:00Z", "2000-01-01T04:00:00Z", "2000-01-01T00:30:00Z"}, dues("clocks"))
		assert.Equal(t, []string{"2000-01-01T00:20:00Z", "2000-01-01T02:00:00Z"}, dues("was_clocks"), "the old ones are recorded too")
		contains(t, c.texts(t, inc.ID), "80 % of the time to acknowledge has passed; it is due at Sat 1 Jan 2000 00:10 UTC")

		// What has happened stays so.
		got, err = c.manager.Acknowledge(t.Context(), inc.ID, incident.Ack{By: "ben"})
		require.NoError(t, err)
		acknowledged := clock(t, got, incident.ClockAcknowledge).Stopped
		got, err = c.manager.SetSeverity(t.Context(), inc.ID, alert.High, "ben", "not everybody")
		require.NoError(t, err)
		assert.Equal(t, acknowledged, clock(t, got, incident.ClockAcknowledge).Stopped)
		assert.Equal(t, trigger.Add(20*time.Minute), clock(t, got, incident.ClockAcknowledge).Due)
		assert.Len(t, got.Clocks, 2, "high has no more")

		// And for one that was low, whose times are those of working hours.
		_, err = c.manager.SetSeverity(t.Context(), inc.ID, alert.Low, "ben", "")
		require.NoError(t, err)
		last := c.timeline(t, inc.ID)
		assert.Equal(t, "the severity is low, and was high", last[len(last)-1].Text)
	})
}

func TestUpdatesRestartTheirClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		poster := &fakePoster{}
		c := newCase(t, incident.ManagerConfig{SLAs: times, Poster: poster})
		inc := c.open(t, alert.Critical)
		time.Sleep(20 * time.Minute)
		got, err := c.manager.Update(t.Context(), inc.ID, incident.StatusUpdate{
			By: "eve", Text: "We look into it.", Components: map[string]string{"app": "major_outage"}, Targets: []string{"status"},
		})
		require.NoError(t, err)
		assert.Equal(t, time.Now().UTC(), got.Updated)
		assert.Equal(t, time.Now().Add(30*time.Minute).UTC(), clock(t, got, incident.ClockUpdate).Due)
		assert.Equal(t, []alert.Post{{
			ID: inc.ID, Title: "the application is slow", Body: "We look into it.", Status: "investigating", By: "eve",
			Components: map[string]string{"app": "major_outage"},
		}}, poster.posts)
		assert.Equal(t, [][]string{{"status"}}, poster.targets)

		// One that could not be told does not count.
		due := clock(t, got, incident.ClockUpdate).Due
		time.Sleep(10 * time.Minute)
		poster.err = errDown
		got, err = c.manager.Update(t.Context(), inc.ID, incident.StatusUpdate{By: "eve", Text: "Still."})
		require.ErrorIs(t, err, errDown)
		assert.Equal(t, due, clock(t, got, incident.ClockUpdate).Due)
		kinds := c.kinds(t, inc.ID)
		assert.Equal(t, []string{"update", "update not posted"}, kinds[len(kinds)-2:])

		poster.err = nil
		for _, step := range []struct{ command, status string }{{"mitigate", "monitoring"}, {"resolve", "resolved"}} {
			_, err = commands[step.command](t.Context(), c.manager, inc.ID, "")
			require.NoError(t, err)
			_, err = c.manager.Update(t.Context(), inc.ID, incident.StatusUpdate{By: "eve", Text: "Better.", Title: "Good news"})
			require.NoError(t, err)
			post := poster.posts[len(poster.posts)-1]
			assert.Equal(t, step.status, post.Status)
			assert.Equal(t, step.status == "resolved", post.Last, "nothing follows when it is over")
			assert.Equal(t, "Good news", post.Title)
		}

		// An exercise is told to nobody.
		told := len(poster.posts)
		drill, err := c.manager.Open(t.Context(), incident.Opening{By: "ana", Title: "a drill", Severity: alert.Critical, Simulated: true})
		require.NoError(t, err)
		got, err = c.manager.Update(t.Context(), drill.ID, incident.StatusUpdate{By: "eve", Text: "All is down."})
		require.NoError(t, err)
		assert.Equal(t, time.Now().UTC(), got.Updated, "the clock is that of an exercise too")
		assert.Len(t, poster.posts, told)
	})
}

// fakePoster keeps posts.
type fakePoster struct {
	posts   []alert.Post
	targets [][]string
	err     error
}

func (f *fakePoster) Post(_ context.Context, p alert.Post, targets ...string) error {
	if f.err != nil {
		return f.err
	}
	f.posts, f.targets = append(f.posts, p), append(f.targets, targets)
	return nil
}

func TestHooksThatPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newCase(t, incident.ManagerConfig{Escalator: panicking{}, Hooks: incident.ManagerHooks{
			OnOpened:  func(context.Context, incident.Incident, incident.Binding) { panic("opened") },
			OnChanged: func(context.Context, incident.Incident, []incident.Entry) { panic("changed") },
			OnClock:   func(context.Context, incident.Incident, incident.Clock) { panic("clock") },
		}})
		talk := conversation{key: "c1"}
		talk.say(t, c.manager, alert.KindFiring, firing("health_check", alert.Critical, time.Now()))
		require.NoError(t, c.manager.Start(t.Context()))
		time.Sleep(time.Hour)
		synctest.Wait()
		got := c.read(t, string(talk.prior))
		assert.Equal(t, 100, clock(t, got, incident.ClockAcknowledge).Told)
		require.NoError(t, c.manager.Stop(t.Context()))
	})
}

// panicking panics.
type panicking struct{ incident.IncidentEscalator }

func TestOnChangedSeesEachEntryOnce(t *testing.T) {
	t.Parallel()
	var seen []string
	c := newCase(t, incident.ManagerConfig{Hooks: incident.ManagerHooks{
		OnChanged: func(_ context.Context, _ incident.Incident, entries []incident.Entry) {
			for _, e := range entries {
				seen = append(seen, fmt.Sprint(e.Chain, e.Seq, e.Kind))
			}
		},
	}})
	inc, other := c.open(t, alert.High), c.open(t, alert.High)
	_, err := c.manager.Merge(t.Context(), inc.ID, other.ID, "ben", "")
	require.NoError(t, err)
	_, err = c.manager.Note(t.Context(), other.ID, "ben", "a note")
	require.NoError(t, err)
	var want []string
	for _, id := range []string{inc.ID, other.ID} {
		for _, e := range c.timeline(t, id) {
			want = append(want, fmt.Sprint(e.Chain, e.Seq, e.Kind))
		}
	}
	slices.Sort(seen)
	slices.Sort(want)
	assert.Equal(t, want, seen)
}
