package canvasprobe_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
)

const notices = "/api/v1/accounts/:account_id/account_notifications"

// subjects returns what somebody without rights sees in Canvas.
func subjects(t testing.TB, fake *canvastest.Server) func() []string {
	user := fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Student"})
	c := client(t, fake, fake.AddToken(canvastest.Token{User: user}))
	return func() (out []string) {
		for n, err := range c.OwnNotifications(context.Background(), canvas.Self, false) {
			require.NoError(t, err)
			out = append(out, n.Subject)
		}
		return out
	}
}

func TestAnnouncer(t *testing.T) {
	incidenttest.TestAnnouncer(t, incidenttest.AnnouncerHarness{New: func(t testing.TB) incidenttest.AnnouncerCase {
		fake := &canvastest.Server{}
		n, err := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: client(t, fake, canvastest.AdminToken)})
		require.NoError(t, err)
		return incidenttest.AnnouncerCase{
			Announcer: n, Shown: subjects(t, fake),
			LoseAnswer: func() {
				fake.ClearFaults()
				for _, route := range []string{"POST " + notices, "DELETE " + notices + "/:id"} {
					fake.Inject(canvastest.Fault{Route: route, Reset: true, Effect: true})
				}
			},
			Forbid: func() { fake.Inject(canvastest.Fault{Status: 403, Times: -1}) },
		}
	}})
}

// When the answer is lost and Canvas cannot be read afterwards, nobody knows;
// and nobody claims that it may be sent again without looking.
func TestAnnouncementUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		n, err := canvasprobe.NewAnnouncer(canvasprobe.AnnouncerConfig{Client: client(t, fake, canvastest.AdminToken), Roles: []string{"TeacherEnrollment"}})
		require.NoError(t, err)
		fake.Inject(canvastest.Fault{Route: "POST " + notices, Reset: true, Effect: true})
		fake.Inject(canvastest.Fault{Route: "GET " + notices, Skip: 1, Times: -1, Status: 502})
		a := incident.Announcement{Key: "k", Subject: "S", Message: "M", Start: time.Now(), End: time.Now().Add(time.Hour)}
		_, err = n.Announce(t.Context(), a)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		assert.False(t, runbook.SafeToRetry(err))
		fake.ClearFaults()
		got, err := n.Announce(t.Context(), a)
		require.NoError(t, err)
		assert.False(t, got.Created, "it was there")
		// A change keeps the roles: Canvas would take them away otherwise.
		a.Subject = "S2"
		_, err = n.Announce(t.Context(), a)
		require.NoError(t, err)
		id, err := canvas.ParseID(got.ID)
		require.NoError(t, err)
		assert.Equal(t, []string{"TeacherEnrollment"}, fake.Get(canvastest.AccountNotifications, int64(id))["roles"])
		fake.Wait()
		clean(t, fake)
	})
}

func TestKeys(t *testing.T) {
	const bind = "POST /api/v1/accounts/:account_id/developer_keys/:developer_key_id/developer_key_account_bindings"
	incidenttest.TestPlatformKeys(t, incidenttest.PlatformKeysHarness{New: func(t testing.TB) incidenttest.PlatformKeysCase {
		fake := &canvastest.Server{}
		key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "QA"})
		k, err := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: client(t, fake, canvastest.AdminToken)})
		require.NoError(t, err)
		return incidenttest.PlatformKeysCase{
			Keys: k, ID: fmt.Sprint(key), Missing: "424242",
			LoseAnswer: func() { fake.Inject(canvastest.Fault{Route: bind, Reset: true, Effect: true, Times: 1}) },
			Forbid:     func() { fake.Inject(canvastest.Fault{Status: 403, Times: -1}) },
		}
	}})
	fake := &canvastest.Server{}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"name": "QA", "test_cluster_only": true})
	k, err := canvasprobe.NewKeys(canvasprobe.KeysConfig{Client: client(t, fake, canvastest.AdminToken), Production: true})
	require.NoError(t, err)
	got, err := k.PlatformKey(t.Context(), fmt.Sprint(key))
	require.NoError(t, err)
	assert.False(t, got.On)
	assert.Equal(t, "is for test and beta only", got.Reason)
	_, err = k.PlatformKey(t.Context(), "abc")
	require.ErrorIs(t, err, incident.ErrNotFound)
}

// The wait tells maintenance, outage and our own network apart, and ends when
// Canvas is back for good.
//
// Requirement: CV-HOST-MAINTENANCE, RB-URL-CANVAS-HOST
func TestWaitUntilAvailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		start := time.Now()
		cfg := base(fake)
		cfg.Endpoints = []string{"/"} // the front page, as people see it
		cfg.StatusPage = page(t, fake, "Canvas")
		cfg.Maintenance = []health.Window{{Start: start.Add(10 * time.Minute), End: start.Add(time.Hour)}}
		elsewhere := &healthtest.Prober{}
		cut := errors.New("cut")
		at := func(after time.Duration, do func()) { time.AfterFunc(after-time.Second, do) }
		fake.SetMaintenance(true) // before the window: an outage
		at(5*time.Minute, func() { fake.StatusPage.Add(canvastest.Incident{Name: "Trouble", Components: []string{"Canvas"}}) })
		at(70*time.Minute, func() { // the window has ended, the page says more
			fake.StatusPage.Add(canvastest.Incident{Name: "Longer", Status: "in_progress", ScheduledFor: start, ScheduledUntil: start.Add(2 * time.Hour)})
		})
		at(80*time.Minute, func() { fake.SetNetworkError(cut) })
		at(85*time.Minute, func() { fake.SetNetworkError(nil); fake.SetMaintenance(false) })
		at(86*time.Minute, func() { fake.SetMaintenance(true) }) // only for a moment
		at(90*time.Minute, func() { fake.SetMaintenance(false) })
		unreachable := health.ProberFunc(func(context.Context) health.Result {
			if m := time.Since(start); m >= 80*time.Minute-time.Second && m < 85*time.Minute-time.Second {
				return health.Result{Status: health.Unhealthy, Cause: health.CauseUnreachable, Message: "x"}
			}
			return elsewhere.Probe(context.Background())
		})
		var states []string
		last, err := instance(t, cfg).WaitUntilAvailable(t.Context(), canvasprobe.WaitOptions{
			Every: time.Minute, Network: []health.Prober{unreachable},
			Report: func(l canvasprobe.Look) {
				s := fmt.Sprintf("%v %s", l.Elapsed.Round(time.Minute), l.State)
				if len(states) == 0 || !strings.HasSuffix(states[len(states)-1], string(l.State)) {
					states = append(states, s)
				}
				assert.NotEmpty(t, l.Reason)
			},
		})
		require.NoError(t, err)
		assert.True(t, last.Confirmed)
		assert.Equal(t, []string{
			"0s outage", "10m0s maintenance", "1h0m0s outage", "1h10m0s maintenance", "1h20m0s our network", "1h25m0s available", "1h26m0s maintenance", "1h30m0s available",
		}, states)
		assert.Equal(t, 91*time.Minute, time.Since(start))
	})
}

func TestWaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		fake.SetNetworkError(errors.New("cut"))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute-time.Second)
		defer cancel()
		last, err := instance(t, base(fake)).WaitUntilAvailable(ctx, canvasprobe.WaitOptions{})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "last found: outage")
		assert.Contains(t, last.Reason, "nothing else was asked, so that it may be our network")
		assert.Equal(t, 20, last.Number)
	})
}

// If something else answers, it is not our network.
func TestWaitWithAWitness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		fake.SetNetworkError(errors.New("cut"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		last, err := instance(t, base(fake)).WaitUntilAvailable(ctx, canvasprobe.WaitOptions{Network: []health.Prober{&healthtest.Prober{}}})
		require.Error(t, err)
		assert.Equal(t, canvasprobe.Outage, last.State)
		assert.NotContains(t, last.Reason, "our network")
		down := &healthtest.Prober{Results: []health.Result{{Status: health.Unhealthy, Cause: health.CauseDNS, Message: "x"}}}
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		last, err = instance(t, base(fake)).WaitUntilAvailable(ctx, canvasprobe.WaitOptions{Network: []health.Prober{down}})
		require.Error(t, err)
		assert.Equal(t, canvasprobe.OurNetwork, last.State)
	})
}

// Canvas is in maintenance; the program waits, and says what it waits for.
func ExampleInstance_WaitUntilAvailable() {
	fake := &canvastest.Server{}
	fake.SetMaintenance(true)
	end := time.Date(2100, 1, 1, 4, 0, 0, 0, time.UTC)
	school, err := canvasprobe.New(canvasprobe.Config{
		Canvas: canvas.Config{
			BaseURL: "https://school.instructure.com", Token: runbook.NewSecret(canvastest.AdminToken),
			HTTP: fake.Client(), // a real program leaves this out
		},
		Maintenance: []health.Window{{Start: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), End: end}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = school.WaitUntilAvailable(context.Background(), canvasprobe.WaitOptions{
		Every: time.Millisecond, // a real program leaves this out as well
		Report: func(l canvasprobe.Look) {
			fmt.Println(l.State, l.Confirmed)
			if l.State == canvasprobe.InMaintenance {
				fmt.Println(l.Reason)
				fake.SetMaintenance(false)
			}
		},
	})
	fmt.Println(err)
	// Output:
	// maintenance true
	// maintenance, as published, until 2100-01-01 04:00 UTC; production (school.instructure.com): GET /health_check: answered 503 (Service Unavailable): maintenance, as published, until 2100-01-01 04:00 UTC
	// available false
	// available true
	// <nil>
}
