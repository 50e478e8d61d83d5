package alert_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/slack"
	"go.acu.edu.au/runbook/health"
)

// Whatever mutes an alert after it was told, its end is told where it was told, and nowhere
// else.
//
// Requirement: AL-AM-RESOLVE
func TestEndIsToldWhateverIsMuted(t *testing.T) {
	for name, mute := range map[string]func(t *testing.T, r *alert.Router){
		"nothing": func(*testing.T, *alert.Router) {},
		"silence": func(t *testing.T, r *alert.Router) {
			_, err := r.Silence(t.Context(), alert.Silence{
				Match: alert.Matcher{Environments: []string{"production"}}, By: "ana", Comment: "known", Ends: time.Now().Add(24 * time.Hour),
			})
			require.NoError(t, err)
		},
		"inhibition": func(t *testing.T, r *alert.Router) {
			a := firing(alert.Critical, "production", "network")
			a.Rule, a.Key = "network", alert.Key("network", "production", "network", alert.Failing)
			handle(t, r, a)
		},
		"parent": func(t *testing.T, r *alert.Router) { handle(t, r, firing(alert.Critical, "production", "database")) },
		"quiet hours, maintenance": func(t *testing.T, r *alert.Router) {
			until(t, time.Date(2000, time.January, 1, 23, 0, 0, 0, time.UTC))
			assert.NotEmpty(t, r.Alerts())
		},
		"acknowledged": func(t *testing.T, r *alert.Router) {
			require.NoError(t, r.Acknowledge(t.Context(), firing(alert.High, "production", "app").Key, alert.Acknowledgement{By: "ana"}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in, never := &inbox{}, &inbox{}
				night := health.Window{Name: "night", From: health.At(22, 0), For: 8 * time.Hour, Zone: time.UTC}
				r := router(t, alert.RouterConfig{
					Targets: []alert.Target{
						{Name: "slack", Notifier: in, Quiet: []health.Window{night}, RemindAfter: -1},
						{Name: "sms", Notifier: never, Pages: true},
					},
					Routes:      []alert.Route{{Name: "app", Match: alert.Matcher{Labels: map[string]string{"entity": "app"}}, Targets: []string{"slack", "sms"}}, {Name: "rest", Match: alert.Matcher{Environments: []string{"none"}}, Targets: []string{"slack"}}},
					Maintenance: []alert.Maintenance{{Window: night}},
					Inhibitions: []alert.Inhibition{{By: alert.Matcher{Labels: map[string]string{"rule": "network"}}, What: alert.Matcher{Labels: map[string]string{"rule": "health_check"}}}},
				})
				pass(12 * time.Hour)
				a := firing(alert.High, "production", "app")
				a.Parents = []string{alert.Key("health_check", "production", "database", alert.Failing)}
				handle(t, r, a)
				pass(time.Minute)
				require.Equal(t, []alert.Kind{alert.KindFiring}, in.kinds())
				mute(t, r)
				pass(time.Minute)
				handle(t, r, over(a))
				pass(time.Second)
				got := in.told()
				assert.Equal(t, alert.KindResolved, got[len(got)-1].Kind)
				assert.Equal(t, 1, count(in.kinds(), alert.KindFiring))
				assert.Equal(t, 1, count(in.kinds(), alert.KindResolved))
				assert.Empty(t, never.told(), "who was not told that it began is not told that it ended")
			})
		})
	}
}

func count(kinds []alert.Kind, kind alert.Kind) (n int) {
	for _, k := range kinds {
		if k == kind {
			n++
		}
	}
	return n
}

// Retry-After is waited out, also by other messages to the target, and also when a message
// that was on its way arrives meanwhile.
//
// Requirement: AL-AM-RETRY-AFTER
func TestRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slowly := make(chan struct{})
		in := &inbox{}
		in.do = func(_ context.Context, n alert.Notification) error {
			if n.Alerts[0].Entity == "slow" {
				<-slowly
			}
			return nil
		}
		cfg := one(in)
		cfg.Routes[0].GroupBy = []string{"entity"}
		r := router(t, cfg)
		handle(t, r, firing(alert.Critical, "production", "slow"))
		pass(time.Second)
		in.errs = []error{&alert.Error{Service: "slack", Op: "post message", Status: 429, Kind: alert.ErrLimited, RetryAfter: 97 * time.Second}}
		began := time.Now()
		handle(t, r, firing(alert.Critical, "production", "a"))
		pass(time.Second)
		handle(t, r, firing(alert.Critical, "production", "b"))
		close(slowly)
		pass(95 * time.Second)
		assert.Len(t, in.told(), 1)
		assert.Len(t, in.attempts(), 2)
		require.Len(t, r.Deliveries(), 2)
		assert.Equal(t, began.Add(97*time.Second), r.Deliveries()[0].Next)
		pass(2 * time.Second)
		assert.Len(t, in.told(), 3)
		assert.False(t, in.told()[1].PossibleRepeat, "nothing was sent")
	})
}

// A refused connection is tried again, through the notifier for Slack as it is.
//
// Requirement: AL-AM-REFUSED
func TestRefusedConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := &alerttest.Slack{Token: "xoxb-1"}
		n, err := slack.New(slack.Config{Token: runbook.NewSecret("xoxb-1"), Channel: "#alerts", HTTP: s.Client()})
		require.NoError(t, err)
		r := router(t, one(n))
		s.Fail(alerttest.Unreachable, alerttest.Unreachable, alerttest.Unreachable, alerttest.Unreachable)
		handle(t, r, firing(alert.Critical, "production", "app"))
		pass(2 * time.Minute)
		require.Len(t, s.Messages(), 1)
		assert.NotContains(t, s.Messages()[0].Header, "repeat", "it is proven that nothing was sent")
		assert.Empty(t, r.Deliveries())
	})
}

// Reminders come when they are due, however often a group has news.
//
// Requirement: AL-AM-REPEAT
func TestRemindersDoNotDependOnGrouping(t *testing.T) {
	for _, update := range []time.Duration{time.Minute, 7 * time.Minute, 24 * time.Hour} {
		t.Run(update.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				in := &inbox{}
				cfg := one(in)
				cfg.Targets[0].RemindAfter, cfg.Targets[0].RemindMost = 40*time.Minute, 40*time.Minute
				cfg.Routes[0].Update = update
				r := router(t, cfg)
				handle(t, r, firing(alert.High, "production", "app"))
				pass(30 * time.Second)
				began := time.Now()
				for i := range 12 { // news every ten minutes
					pass(10 * time.Minute)
					handle(t, r, firing(alert.High, "production", fmt.Sprint(i)))
				}
				pass(time.Second)
				var reminders []time.Duration
				for _, n := range in.told() {
					if n.Kind == alert.KindReminder {
						reminders = append(reminders, n.At.Sub(began))
					}
				}
				require.Len(t, reminders, 3)
				for i, at := range reminders {
					assert.InDelta(t, float64(i+1)*40, at.Minutes(), 0.1)
				}
			})
		})
	}
}

// The end of all is told at once, the end of a part no later than a first message would be.
//
// Requirement: AL-AM-RESOLVE-DELAY
func TestEndDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Routes[0].Update = time.Hour
		r := router(t, cfg)
		a, b := firing(alert.High, "production", "a"), firing(alert.High, "production", "b")
		handle(t, r, a, b)
		pass(31 * time.Second)
		require.Len(t, in.told(), 1)
		handle(t, r, over(a))
		pass(30 * time.Second)
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindUpdate}, in.kinds())
		assert.Contains(t, in.told()[1].Text, "Over:\n- HIGH production a")
		handle(t, r, over(b))
		synctest.Wait()
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindUpdate, alert.KindResolved}, in.kinds())
	})
}

// A restart with another configuration goes on where the program was: what waits waits no
// longer, and reminders come when they were due.
//
// Requirement: AL-AM-RELOAD
func TestAChangedConfigurationStartsNoTimerAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		r := start(t, cfg)
		handle(t, r, firing(alert.High, "production", "app"))
		reload := func() {
			stop(t, r)
			cfg.Targets[0].Burst++
			cfg.Routes[0].Update += time.Minute
			r = start(t, cfg)
		}
		for range 3 { // every ten seconds
			pass(10 * time.Second)
			reload()
		}
		pass(100 * time.Millisecond)
		require.Equal(t, []alert.Kind{alert.KindFiring}, in.kinds(), "30 s have passed")
		for range 6 {
			pass(10 * time.Minute)
			reload()
		}
		pass(100 * time.Millisecond)
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindReminder}, in.kinds(), "an hour has passed")
		for range 11 {
			pass(10 * time.Minute)
			reload()
		}
		assert.Len(t, in.told(), 2, "two hours have not")
		pass(11 * time.Minute)
		assert.Len(t, in.told(), 3)
		stop(t, r)
	})
}

// engineAndRouter starts an engine with some inputs, and the router that it feeds.
func engineAndRouter(t *testing.T, cfg alert.RouterConfig, rules ...alert.Rule) (*alert.Engine, *alert.Router) {
	t.Helper()
	r := router(t, cfg)
	e := engine(t, alert.EngineConfig{
		Inputs: []alert.Input{{Name: "health", Kind: alert.Checks}, {Name: "worker", Kind: alert.Heartbeat}}, Rules: rules, Out: r, Logger: quiet,
	})
	return e, r
}

// While an alert comes and goes it is one conversation, with one message that says so, and
// its end when it is quiet.
//
// Requirement: AL-AM-FLAPPING
func TestFlappingIsOneConversation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		cfg.Targets[0].RemindAfter = -1
		e, r := engineAndRouter(t, cfg, alert.Rule{
			Name: "check", Input: "health", Severity: alert.Critical, When: alert.Failures{Fail: 1},
			Flap: alert.Flap{Changes: 4, Within: time.Hour, Quiet: 20 * time.Minute},
		})
		f, err := e.Feed(alert.Source{Input: "health", Environment: "production", Entity: "app"}, nil)
		require.NoError(t, err)
		for i := range 60 {
			f.Result(i%2 == 0, "status 503")
			pass(time.Minute)
		}
		flapping := count(in.kinds(), alert.KindFlapping)
		assert.Equal(t, 1, flapping)
		before := len(in.told())
		for range 25 {
			f.Result(false, "")
			pass(time.Minute)
		}
		got := in.told()
		require.Len(t, got, before+1)
		assert.Equal(t, alert.KindResolved, got[before].Kind)
		assert.Equal(t, 1, count(in.kinds()[2:], alert.KindFiring), "after it was told to flap it began no conversation")
		assert.Empty(t, r.Alerts())
	})
}

// Requirement: AL-AM-ACKNOWLEDGE
func TestAcknowledge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		cfg := one(in)
		r := start(t, cfg)
		a := firing(alert.Critical, "production", "app")
		assert.ErrorIs(t, r.Acknowledge(t.Context(), a.Key, alert.Acknowledgement{By: "ana"}), alert.ErrNoAlert)
		handle(t, r, a)
		pass(time.Minute)
		assert.ErrorContains(t, r.Acknowledge(t.Context(), a.Key, alert.Acknowledgement{}), "who acknowledges")
		require.NoError(t, r.Acknowledge(t.Context(), a.Key, alert.Acknowledgement{By: "Ana Silva", Comment: "I look"}))
		pass(time.Second)
		require.Equal(t, []alert.Kind{alert.KindFiring, alert.KindUpdate}, in.kinds())
		assert.Contains(t, in.told()[1].Title, "TAKEN by Ana Silva, CRITICAL production: ")
		assert.Contains(t, in.told()[1].Text, "Ana Silva takes care of it since 00:01 UTC: I look")
		pass(24 * time.Hour)
		assert.Len(t, in.told(), 2, "nobody is reminded")

		stop(t, r)
		r = router(t, cfg)
		pass(24 * time.Hour)
		assert.Len(t, in.told(), 2)
		a.Value = 9 // the engine hands it over again
		a.Summary = "app has failed 9 checks in a row"
		handle(t, r, a)
		require.Equal(t, "Ana Silva", r.Alerts()[0].Acknowledged.By)
		handle(t, r, over(a))
		pass(time.Second)
		assert.Contains(t, in.told()[2].Text, "Ana Silva took care of it: I look")

		// It is not acknowledged when it comes again.
		a.Fired = time.Now()
		handle(t, r, a)
		pass(2 * time.Hour)
		assert.Nil(t, r.Alerts()[0].Acknowledged)
		assert.Equal(t, alert.KindReminder, in.told()[4].Kind)
	})
}

// Requirement: AL-AM-SILENCE-NOTICE
func TestSilenceNotices(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in, sms := &inbox{}, &inbox{}
		cfg := one(in)
		cfg.Targets = append(cfg.Targets, alert.Target{Name: "sms", Notifier: sms, Pages: true})
		cfg.Notices = []string{"sms"}
		_, err := alert.NewRouter(cfg)
		require.ErrorContains(t, err, `"sms" is no target of operators that does not page`)
		cfg.Notices = []string{"slack"}
		r := start(t, cfg)
		began := time.Now()
		silence := alert.Silence{
			Match: alert.Matcher{Environments: []string{"production"}, Labels: map[string]string{"entity": "app"}},
			By:    "Ana Silva", Comment: "load test", Begins: began.Add(time.Hour), Ends: began.Add(3 * time.Hour),
		}
		_, err = r.Silence(t.Context(), silence)
		require.NoError(t, err)
		pass(59 * time.Minute)
		assert.Empty(t, in.told())
		pass(time.Minute)
		a := firing(alert.Critical, "production", "app")
		handle(t, r, a)
		pass(109 * time.Minute)
		require.Equal(t, []string{"SILENCED until 03:00 UTC: production entity=app"}, in.titles())
		assert.Equal(t, "silenced by Ana Silva until 03:00 UTC: load test", r.Alerts()[0].Muted["slack"])
		stop(t, r)
		r = router(t, cfg) // no notice comes twice
		pass(2 * time.Minute)
		require.Len(t, in.told(), 2)
		assert.Equal(t, "SILENCE ENDS at 03:00 UTC: production entity=app", in.told()[1].Title)
		assert.Contains(t, in.told()[1].Text, "- CRITICAL production app: app has failed 3 checks in a row")
		pass(10 * time.Minute)
		require.Len(t, in.told(), 4)
		assert.ElementsMatch(t, []string{
			"SILENCE OVER: production entity=app", "CRITICAL production: app has failed 3 checks in a row",
		}, in.titles()[2:])
		keys := make(map[string]int)
		for _, n := range in.told() {
			if n.Kind == alert.KindNotice {
				keys[n.Key]++
			}
		}
		assert.Len(t, keys, 1, "what is said of a silence is one conversation")
		assert.Empty(t, r.Silences())

		s, err := r.Silence(t.Context(), alert.Silence{Match: silence.Match, By: "Ana Silva", Comment: "short", Ends: time.Now().Add(15 * time.Minute)})
		require.NoError(t, err)
		pass(10 * time.Minute)
		require.NoError(t, r.EndSilence(t.Context(), s.ID, "Ben"))
		pass(time.Second)
		require.Len(t, in.told(), 6, "a short silence has no notice before its end")
		assert.Contains(t, in.told()[5].Text, "Ben ended it.")
		assert.ErrorIs(t, r.EndSilence(t.Context(), s.ID, "Ben"), alert.ErrNoSilence)
		assert.Empty(t, sms.told(), "nobody is paged for a notice")
	})
}

// The absence of a signal is an alert, also of one that was never there.
//
// Requirement: AL-AM-DEAD-MAN
func TestAbsenceOfASignal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &inbox{}
		e, _ := engineAndRouter(t, one(in), alert.Rule{
			Name: "worker_silent", Input: "worker", Severity: alert.Critical, When: alert.Silent{Period: time.Minute, Grace: 30 * time.Second},
			Summary: "worker {entity} does not report",
		})
		f, err := e.Feed(alert.Source{Input: "worker", Environment: "production", Entity: "sync"}, nil)
		require.NoError(t, err)
		for range 10 {
			f.Beat()
			pass(time.Minute)
		}
		assert.Empty(t, in.told())
		pass(time.Minute)
		require.Equal(t, []string{"CRITICAL production: worker sync does not report"}, in.titles())
		f.Beat()
		pass(2 * time.Second)
		assert.Equal(t, []alert.Kind{alert.KindFiring, alert.KindResolved}, in.kinds())
	})
}

// Ten thousand groups take less than 50 MB, and no goroutine each.
//
// Requirement: AL-AM-MEMORY
func TestMemoryOfTenThousandGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		in := &forgetful{}
		cfg := one(in)
		cfg.Store = nil
		cfg.Routes[0].GroupBy = []string{"entity"}
		cfg.Targets[0].Storm, cfg.Targets[0].PerSecond, cfg.Targets[0].Burst = 1<<30, 1e6, 1<<20
		r := router(t, cfg)
		before, goroutines := heap(), runtime.NumGoroutine()
		for i := range 10_000 {
			handle(t, r, firing(alert.Critical, "production", fmt.Sprintf("service-%d", i)))
		}
		pass(time.Minute)
		assert.EqualValues(t, 10_000, in.n.Load())
		used := heap() - before
		t.Logf("%.1f MB", float64(used)/1e6)
		assert.Less(t, used, int64(50e6))
		assert.LessOrEqual(t, runtime.NumGoroutine(), goroutines)
		assert.Len(t, r.Alerts(), 10_000)
	})
}

// forgetful is a target that only counts.
type forgetful struct{ n atomic.Int64 }

func (f *forgetful) Notify(context.Context, alert.Notification) (alert.Receipt, error) {
	return alert.Receipt(fmt.Sprint(f.n.Add(1))), nil
}

// heap returns how much memory is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
