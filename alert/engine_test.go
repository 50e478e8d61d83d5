package alert_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// book keeps what an engine hands over.
type book struct {
	mu   sync.Mutex
	all  []alert.Alert
	said map[string]string // the last line of a key
	fail func(alert.Alert) error
}

func (b *book) Handle(_ context.Context, a alert.Alert) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.fail != nil {
		if err := b.fail(a); err != nil {
			return err
		}
	}
	b.all = append(b.all, a)
	return nil
}

// take returns what has come since, each as "rule/entity state", with the reason.
func (b *book) take() (lines []string) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.all {
		line := a.Rule + "/" + a.Entity + " " + string(a.State)
		if a.Reason != alert.Failing {
			line += " (" + string(a.Reason) + ")"
		}
		if a.Flapping {
			line += " flapping"
		}
		if b.said == nil {
			b.said = make(map[string]string)
		}
		if b.said[a.Key] != line { // else it is a new value only
			lines = append(lines, line)
		}
		b.said[a.Key] = line
	}
	b.all = nil
	return lines
}

// last returns the last alert of a rule.
func (b *book) last(rule string) (a alert.Alert) {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, got := range b.all {
		if got.Rule == rule {
			a = got
		}
	}
	return a
}

// engine makes an engine and starts it.
func engine(t *testing.T, cfg alert.EngineConfig) *alert.Engine {
	t.Helper()
	e, err := alert.NewEngine(cfg)
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	t.Cleanup(func() { assert.NoError(t, e.Stop(context.WithoutCancel(t.Context()))) })
	return e
}

// run makes an engine whose alerts are kept.
func run(t *testing.T, inputs []alert.Input, restored []alert.Alert, rules ...alert.Rule) (*alert.Engine, *book) {
	t.Helper()
	out := &book{}
	return engine(t, alert.EngineConfig{Inputs: inputs, Rules: rules, Restore: restored, Out: out, Logger: quiet}), out
}

func feed(t *testing.T, e *alert.Engine, input, entity string) *alert.Feed {
	t.Helper()
	f, err := e.Feed(alert.Source{Input: input, Environment: "production", Entity: entity}, map[string]string{"team": "ops"})
	require.NoError(t, err)
	return f
}

// inTime runs a test by a clock of its own.
func inTime(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

var gauge = []alert.Input{{Name: "g", Kind: alert.Gauge, Unit: health.Seconds, Every: 30 * time.Second}}

// observe puts values, one at each interval.
func observe(f *alert.Feed, values ...float64) {
	for _, v := range values {
		f.Observe(v)
		time.Sleep(30 * time.Second)
	}
}

// Requirement: AL-RULE-PLAYBOOK-LINK
func TestAlertSaysEverything(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{
			Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, Playbook: "performance-degradation",
			Summary: "{entity} in {environment} takes {value}, more than {limit}", Labels: map[string]string{"kind": "slow"},
		})
		observe(feed(t, e, "g", "app"), 7.25)
		a := out.last("slow")
		assert.Equal(t, "performance-degradation", a.Playbook)
		assert.Equal(t, "app in production takes 7.25 s, more than 5 s", a.Summary)
		assert.Equal(t, alert.Key("slow", "production", "app", alert.Failing), a.Key)
		assert.Equal(t, map[string]string{"team": "ops", "kind": "slow"}, a.Labels)
		assert.Equal(t, health.Seconds, a.Unit)
		assert.Equal(t, 7.25, a.Value)
		assert.Equal(t, 5.0, a.Limit)
		assert.False(t, a.Fired.IsZero())
	})
}

// Requirement: AL-RULE-FOR
func TestForStartsOverAfterOneGoodEvaluation(t *testing.T) {
	rule := alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, For: time.Minute}
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, rule)
		f := feed(t, e, "g", "app")
		observe(f, 6, 6, 1, 6, 6)
		assert.Equal(t, []string{"slow/app pending", "slow/app resolved", "slow/app pending"}, out.take())
		observe(f, 6)
		assert.Equal(t, []string{"slow/app firing"}, out.take())
	})
	rule.Tolerance = 1
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, rule)
		f := feed(t, e, "g", "app")
		observe(f, 6, 1, 6)
		assert.Equal(t, []string{"slow/app pending", "slow/app firing"}, out.take(), "one good evaluation is passed over")
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, rule)
		f := feed(t, e, "g", "app")
		observe(f, 6, 1, 1, 6)
		assert.Equal(t, []string{"slow/app pending", "slow/app resolved", "slow/app pending"}, out.take(), "two are not")
	})
}

// A pause in the data is no time in a state, even if it is too short to be missing data.
func TestForDoesNotCountPauses(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, For: time.Minute})
		f := feed(t, e, "g", "app")
		observe(f, 6)
		time.Sleep(50 * time.Second) // 80 s
		observe(f, 6)
		assert.Equal(t, []string{"slow/app pending"}, out.take())
		observe(f, 6, 6)
		assert.Equal(t, []string{"slow/app firing"}, out.take())
	})
}

// Requirement: AL-RULE-HYSTERESIS
func TestHysteresis(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5, Recover: 4}, Severity: alert.High, Recover: 2})
		f := feed(t, e, "g", "app")
		observe(f, 4.5)
		assert.Empty(t, out.take(), "the limit of recovering is none of beginning")
		observe(f, 6, 4.5, 4.5, 4.5)
		assert.Equal(t, []string{"slow/app firing"}, out.take())
		observe(f, 4, 4.5, 4)
		assert.Empty(t, out.take(), "two good ones in a row are asked for")
		observe(f, 4)
		a := out.last("slow")
		assert.Equal(t, alert.Resolved, a.State)
		assert.Equal(t, 6.0, a.Peak)
		assert.Equal(t, 4.0, a.Value)
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5, Recover: 4}, Severity: alert.High, For: time.Minute})
		observe(feed(t, e, "g", "app"), 6, 4.5, 4.5, 4.5)
		assert.Equal(t, []string{"slow/app pending", "slow/app resolved"}, out.take(), "what is pending is held by the limit itself")
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "q", Kind: alert.Gauge}}, nil,
			alert.Rule{Name: "quota", Input: "q", When: alert.Below{Limit: 20, Recover: 40}, Severity: alert.Low})
		f := feed(t, e, "q", "app")
		observe(f, 20, 19, 30, 12, 39)
		assert.Equal(t, 12.0, out.last("quota").Peak, "the worst is the lowest")
		assert.Equal(t, []string{"quota/app firing"}, out.take())
		observe(f, 40)
		assert.Equal(t, []string{"quota/app resolved"}, out.take())
	})
}

// An alert is held for a time, which ends by itself and counts no evaluations.
func TestHold(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "g", Kind: alert.Gauge}}, nil,
			alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, Hold: 2 * time.Minute, Recover: 2})
		f := feed(t, e, "g", "app")
		observe(f, 6, 1)
		time.Sleep(10 * time.Minute)
		assert.Equal(t, []string{"slow/app firing"}, out.take(), "one good evaluation is not two, however long ago it was")
		f.Observe(1)
		assert.Equal(t, []string{"slow/app resolved"}, out.take())
		observe(f, 6, 1, 1)
		assert.Equal(t, []string{"slow/app firing"}, out.take())
		time.Sleep(time.Minute + 2*time.Second)
		assert.Equal(t, []string{"slow/app resolved"}, out.take())
	})
}

// Requirement: AL-RULE-FLAP, AL-AM-FLAPPING
func TestFlapping(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		f := feed(t, e, "g", "app")
		observe(f, 6, 1, 6, 1)
		assert.Equal(t, []string{"slow/app firing", "slow/app resolved", "slow/app firing", "slow/app resolved"}, out.take())
		observe(f, 6, 1, 6, 1, 1, 6, 1)
		assert.Equal(t, []string{"slow/app firing", "slow/app firing flapping"}, out.take(), "it is said once, and it stays open")
		for range 56 { // with those before 29 min
			observe(f, 1)
		}
		assert.Empty(t, out.take())
		observe(f, 1, 1, 1)
		assert.Equal(t, []string{"slow/app resolved"}, out.take(), "quiet for half an hour")
		observe(f, 6, 1)
		assert.Equal(t, []string{"slow/app firing", "slow/app resolved"}, out.take(), "it begins anew")
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, Flap: alert.Flap{Changes: -1}})
		f := feed(t, e, "g", "app")
		for range 10 {
			observe(f, 6, 1)
		}
		assert.Len(t, out.take(), 20, "it can be switched off")
	})
}

// A source that is silent again and again does not send a message each time.
//
// Requirement: AL-RULE-FLAP
func TestMissingDataFlaps(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		f := feed(t, e, "g", "app")
		for range 12 {
			f.Observe(1)
			time.Sleep(2 * time.Minute)
		}
		lines := out.take()
		assert.Len(t, lines, 6)
		assert.Equal(t, "slow/app firing (no data) flapping", lines[5])
		for range 64 {
			observe(f, 1)
		}
		assert.Equal(t, []string{"slow/app resolved (no data)"}, out.take())
	})
}

// Requirement: AL-RULE-NO-DATA, AL-RULE-NO-DATA-RESOLVE, AL-RULE-KEEP-LAST
func TestNoData(t *testing.T) {
	silence := func(t *testing.T, r alert.Rule, before float64) (*alert.Feed, *book) {
		r.Name, r.Input, r.When, r.Severity = "slow", "g", alert.Above{Limit: 5}, alert.High
		e, out := run(t, gauge, nil, r)
		f := feed(t, e, "g", "app")
		observe(f, 1, before, before)
		time.Sleep(5 * time.Minute)
		return f, out
	}
	t.Run("an alert of its own", func(t *testing.T) {
		inTime(t, func(t *testing.T) {
			f, out := silence(t, alert.Rule{}, 6)
			a := out.last("slow")
			assert.Equal(t, alert.Medium, a.Severity, "one less than the real one")
			assert.Equal(t, "No data: nothing has been measured of g of app for 1 min", a.Summary)
			assert.Equal(t, []string{"slow/app firing", "slow/app firing (no data)"}, out.take(), "and the real one stays")
			observe(f, 6)
			assert.Equal(t, []string{"slow/app resolved (no data)"}, out.take(), "the return of data does not resolve the real one")
			observe(f, 1)
			assert.Equal(t, []string{"slow/app resolved"}, out.take())
		})
	})
	t.Run("keep", func(t *testing.T) {
		inTime(t, func(t *testing.T) {
			f, out := silence(t, alert.Rule{NoData: alert.Keep}, 6)
			assert.Equal(t, []string{"slow/app firing"}, out.take())
			observe(f, 1)
			assert.Equal(t, []string{"slow/app resolved"}, out.take())
		})
	})
	t.Run("taken for bad", func(t *testing.T) {
		inTime(t, func(t *testing.T) {
			f, out := silence(t, alert.Rule{NoData: alert.AsBad, For: time.Minute}, 1)
			a := out.last("slow")
			assert.Equal(t, []string{"slow/app pending (no data)", "slow/app firing (no data)"}, out.take())
			assert.Equal(t, alert.High, a.Severity, "it is the real one")
			assert.Equal(t, alert.Key("slow", "production", "app", alert.Failing), a.Key)
			assert.Contains(t, a.Summary, "No data: nothing has been measured of g of app for", "and says why")
			observe(f, 6)
			assert.Equal(t, []string{"slow/app firing"}, out.take())
			observe(f, 1)
			assert.Equal(t, []string{"slow/app resolved"}, out.take())
		})
	})
	t.Run("taken for well", func(t *testing.T) {
		inTime(t, func(t *testing.T) {
			_, out := silence(t, alert.Rule{NoData: alert.AsGood, Recover: 3}, 6)
			assert.Equal(t, []string{"slow/app firing", "slow/app resolved"}, out.take())
		})
	})
	t.Run("an input that reports when it likes", func(t *testing.T) {
		inTime(t, func(t *testing.T) {
			e, out := run(t, []alert.Input{{Name: "g", Kind: alert.Gauge}}, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
			observe(feed(t, e, "g", "app"), 6)
			time.Sleep(48 * time.Hour)
			assert.Equal(t, []string{"slow/app firing"}, out.take())
		})
	})
}

// A report that is late is not a report that all is well: a window that runs empty
// meanwhile resolves nothing.
//
// Requirement: AL-RULE-NO-DATA-RESOLVE
func TestWindowThatRunsEmptyWithoutDataResolvesNothing(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "c", Kind: alert.Counter, Every: time.Minute}}, nil,
			alert.Rule{Name: "errors", Input: "c", When: alert.Rate{Limit: 10, Window: time.Minute}, Severity: alert.High})
		f := feed(t, e, "c", "app")
		f.Count(0, 11, "status 502")
		time.Sleep(10 * time.Minute)
		assert.Equal(t, []string{"errors/app firing", "errors/app firing (no data)"}, out.take())
		f.Count(5, 0, "")
		assert.ElementsMatch(t, []string{"errors/app resolved (no data)", "errors/app resolved"}, out.take())
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "c", Kind: alert.Counter}}, nil,
			alert.Rule{Name: "errors", Input: "c", When: alert.Rate{Limit: 10, Window: time.Minute}, Severity: alert.High})
		f := feed(t, e, "c", "app")
		f.Count(0, 11, "status 502")
		time.Sleep(2 * time.Minute)
		assert.Equal(t, []string{"errors/app firing", "errors/app resolved"}, out.take(), "of events that come as they like, none is a good sign")
	})
}

// Requirement: AL-RULE-ERROR, AL-RULE-UNKNOWN
func TestEvaluationErrors(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		f := feed(t, e, "g", "app")
		observe(f, 6)
		f.Fail("the metric endpoint answered 500")
		time.Sleep(30 * time.Second)
		observe(f, 6)
		assert.Equal(t, []string{"slow/app firing"}, out.take(), "one failure to measure is none")
		for range 4 {
			f.Fail("the metric endpoint answered 500")
			time.Sleep(30 * time.Second)
		}
		a := out.last("slow")
		assert.Equal(t, []string{"slow/app firing (evaluation error)"}, out.take(), "neither failing nor without data")
		assert.Equal(t, alert.Medium, a.Severity)
		assert.Contains(t, a.Detail, "the metric endpoint answered 500")
		observe(f, 6)
		assert.Equal(t, []string{"slow/app resolved (evaluation error)"}, out.take())
	})
	for policy, want := range map[alert.Policy][]string{
		alert.Keep: nil, alert.AsBad: {"slow/app firing (evaluation error)"}, alert.AsGood: nil,
	} {
		inTime(t, func(t *testing.T) {
			e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, OnError: policy})
			f := feed(t, e, "g", "app")
			observe(f, 1)
			for range 4 {
				f.Fail("no")
				time.Sleep(30 * time.Second)
			}
			assert.Equal(t, want, out.take(), policy)
		})
	}
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		f := feed(t, e, "g", "app")
		nan, inf := 0.0, 1e308
		observe(f, nan/nan, inf*10, nan/nan)
		assert.Equal(t, []string{"slow/app firing (evaluation error)"}, out.take(), "what is no number is no measurement")
	})
}

// Requirement: AL-RULE-DEPENDENCY
func TestParentsExplain(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, append([]alert.Input{{Name: "h", Kind: alert.Checks, Every: 30 * time.Second}}, gauge...), nil,
			alert.Rule{Name: "down", Input: "h", When: alert.Failures{Fail: 1}, Severity: alert.Critical},
			alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, Parents: []string{"down"}})
		db, app, g := feed(t, e, "h", "db"), feed(t, e, "h", "app"), feed(t, e, "g", "app")
		key := func(rule, entity string, reason alert.Reason) string {
			return alert.Key(rule, "production", entity, reason)
		}
		app.Result(true, "no answer")
		g.Observe(6)
		assert.Empty(t, out.last("down").Parents, "it fails by itself")
		assert.Equal(t, []string{key("down", "app", alert.Failing)}, out.last("slow").Parents)
		db.Result(true, "refused")
		app.Explain("db")
		assert.Equal(t, alert.Firing, out.last("down").State, "the evaluation goes on")
		parents := make(map[string][]string) // the order of different alerts is open
		out.mu.Lock()
		for _, a := range out.all {
			if a.Rule == "down" {
				parents[a.Entity] = a.Parents
			}
		}
		out.mu.Unlock()
		assert.Equal(t, []string{key("down", "db", alert.Failing)}, parents["app"], "it is told that another explains it")
		time.Sleep(5 * time.Minute)
		a := out.last("slow")
		assert.Equal(t, alert.NoData, a.Reason)
		assert.Contains(t, a.Parents, key("down", "app", alert.Failing), "missing data is explained as well")
		assert.Contains(t, a.Parents, key("down", "app", alert.NoData))
		out.take()
		app.Result(false, "")
		assert.Contains(t, out.take(), "down/app resolved", "and the end is told whatever the parent does")
	})
}

// Of several rules on one source that has no data, the worst one's alert explains the others.
func TestOneSilenceIsExplainedOnce(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil,
			alert.Rule{Name: "warning", Input: "g", When: alert.Above{Limit: 80}, Severity: alert.Medium},
			alert.Rule{Name: "full", Input: "g", When: alert.Above{Limit: 90}, Severity: alert.High})
		feed(t, e, "g", "app").Observe(1)
		time.Sleep(5 * time.Minute)
		assert.Equal(t, []string{alert.Key("full", "production", "app", alert.NoData)}, out.last("warning").Parents)
		assert.Empty(t, out.last("full").Parents)
	})
}

func TestClosedFeedsAreSilent(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		other := feed(t, e, "g", "other")
		f := feed(t, e, "g", "app")
		f.Observe(6)
		f.Close()
		a := out.last("slow")
		assert.Equal(t, alert.Resolved, a.State)
		assert.Equal(t, "It is no longer watched.", a.Detail)
		out.take()
		f.Observe(6)
		f.Fail("no")
		f.Explain("x")
		for range 20 {
			observe(other, 1)
		}
		assert.Empty(t, out.take())
		again := feed(t, e, "g", "app")
		assert.NotSame(t, f, again)
		f.Close() // the old one: it does not end the new one
		again.Observe(6)
		assert.Same(t, again, feed(t, e, "g", "app"))
		assert.Equal(t, []string{"slow/app firing"}, out.take())
	})
}

// Inputs that are declared and never fed are missed.
//
// Requirement: AL-AM-DEAD-MAN, HL-WANT-8
func TestInputsThatAreNeverFedAreMissed(t *testing.T) {
	inTime(t, func(t *testing.T) {
		inputs := append([]alert.Input{{Name: "beat", Kind: alert.Heartbeat}, {Name: "rare", Kind: alert.Gauge}}, gauge...)
		e, out := run(t, inputs, nil,
			alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, Summary: "{entity}"},
			alert.Rule{Name: "odd", Input: "rare", When: alert.Above{Limit: 5}, Severity: alert.High},
			alert.Rule{Name: "dead", Input: "beat", When: alert.Silent{Period: time.Minute, Grace: time.Minute}, Severity: alert.Critical, Summary: "{entity} is silent"})
		time.Sleep(95 * time.Second)
		assert.Equal(t, "No data: nothing has ever reported g", out.last("slow").Summary)
		assert.Equal(t, []string{"slow/ firing (no data)"}, out.take())
		time.Sleep(time.Minute)
		assert.Equal(t, "beat is silent", out.last("dead").Summary)
		assert.Contains(t, out.last("dead").Detail, "No beat has come since 2000-01-01 00:00:0")
		assert.Equal(t, []string{"dead/ firing"}, out.take())
		feed(t, e, "beat", "worker").Beat()
		observe(feed(t, e, "g", "app"), 1)
		assert.ElementsMatch(t, []string{"dead/ resolved", "slow/ resolved (no data)"}, out.take())
	})
}

// Requirement: AL-AM-DEAD-MAN, HL-WANT-8
func TestDeadMan(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "beat", Kind: alert.Heartbeat}}, nil,
			alert.Rule{Name: "dead", Input: "beat", When: alert.Silent{Period: time.Minute, Grace: 30 * time.Second}, Severity: alert.Critical, Summary: "{entity} has said nothing for {value}"})
		worker := feed(t, e, "beat", "worker")
		for range 5 {
			worker.Beat()
			time.Sleep(time.Minute)
		}
		time.Sleep(29 * time.Second)
		assert.Empty(t, out.take())
		time.Sleep(3 * time.Second)
		a := out.last("dead")
		assert.Contains(t, a.Summary, "worker has said nothing for 9")
		assert.Contains(t, a.Detail, "The last beat came at 2000-01-01 00:04:00 UTC.")
		assert.Equal(t, []string{"dead/worker firing"}, out.take())
		worker.Fail("the push was not understood")
		time.Sleep(time.Hour)
		assert.Subset(t, []string{"dead/worker firing", "dead/worker firing (evaluation error)"}, out.take(), "a failure to read a beat is no beat")
		worker.Beat()
		assert.Contains(t, out.take(), "dead/worker resolved")
	})
}

// Requirement: AL-RULE-CLOCK
func TestDeadlinesGoByTheCalendar(t *testing.T) {
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		when    alert.Condition
		moment  time.Duration // from now
		summary string        // as it fires, in a day
		renewed time.Duration // the moment after that is done, from then
	}{
		"certificate": {alert.Due{Within: 14 * day}, 15 * day, "tool: 14 days, limit 14 days", 90 * day},
		"key":         {alert.Aged{Over: 90 * day}, -89 * day, "tool: 90 days, limit 90 days", 0},
		"credential":  {alert.Aged{Over: 180 * day}, -179 * day, "tool: 180 days, limit 180 days", -time.Hour},
		"token":       {alert.Due{Within: 7 * day}, 8 * day, "tool: 7 days, limit 7 days", 120 * day},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				e, out := run(t, []alert.Input{{Name: "moment", Kind: alert.Moment}}, nil,
					alert.Rule{Name: "deadline", Input: "moment", When: c.when, Severity: alert.Medium, Summary: "{entity}: {value}, limit {limit}"})
				f := feed(t, e, "moment", "tool")
				f.Moment(time.Now().Add(c.moment))
				time.Sleep(day - time.Minute)
				assert.Empty(t, out.take(), "a minute before")
				time.Sleep(2 * time.Minute)
				assert.Equal(t, c.summary, out.last("deadline").Summary)
				assert.Equal(t, []string{"deadline/tool firing"}, out.take(), "time alone made it so")
				f.Moment(time.Now().Add(c.renewed))
				assert.Equal(t, []string{"deadline/tool resolved"}, out.take())
			})
		})
	}
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "certificate", Kind: alert.Moment, Every: time.Hour}, {Name: "backup", Kind: alert.Moment}}, nil,
			alert.Rule{Name: "expires", Input: "certificate", When: alert.Due{Within: 14 * 24 * time.Hour}, Severity: alert.Medium, Summary: "{entity} ends in {value}"},
			alert.Rule{Name: "old", Input: "backup", When: alert.Aged{Over: 26 * time.Hour}, Severity: alert.High, Summary: "backup of {entity} is {value} old"})
		now := time.Now()
		feed(t, e, "certificate", "site").Moment(now.Add(15 * 24 * time.Hour))
		backup := feed(t, e, "backup", "db")
		backup.Moment(now)
		time.Sleep(23 * time.Hour)
		assert.Equal(t, []string{"expires/site firing (no data)"}, out.take())
		time.Sleep(time.Hour + time.Minute)
		assert.Equal(t, "site ends in 14 days", out.last("expires").Summary)
		assert.Equal(t, []string{"expires/site firing"}, out.take(), "what is known to end is told, though nothing could be measured since")
		time.Sleep(2 * time.Hour)
		assert.Equal(t, "backup of db is 1.08 days old", out.last("old").Summary)
		out.take()
		backup.Moment(time.Now())
		assert.Equal(t, []string{"old/db resolved"}, out.take())
		backup.Moment(time.Time{})
		assert.Equal(t, []string{"old/db firing (evaluation error)"}, out.take(), "no moment is no measurement")
	})
}

// Requirement: HL-WANT-3
func TestChanged(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "version", Kind: alert.Text}}, nil,
			alert.Rule{Name: "drift", Input: "version", When: alert.Changed{For: 10 * time.Minute}, Severity: alert.Low, Summary: "{entity}: {text}"},
			alert.Rule{Name: "mixed", Input: "version", When: alert.Unequal{}, Severity: alert.Medium, Summary: "{text}", For: time.Minute})
		a, b := feed(t, e, "version", "a"), feed(t, e, "version", "b")
		a.Say("1.0")
		b.Say("1.0")
		time.Sleep(5 * time.Minute)
		assert.Empty(t, out.take())
		a.Say("1.1")
		assert.Equal(t, "a: 1.0 → 1.1", out.last("drift").Summary)
		time.Sleep(2 * time.Minute)
		assert.Equal(t, "a: 1.1; b: 1.0", out.last("mixed").Summary)
		out.take()
		b.Say("1.1")
		time.Sleep(11 * time.Minute)
		assert.ElementsMatch(t, []string{"drift/b firing", "mixed/ resolved", "drift/a resolved", "drift/b resolved"}, out.take())
		a.Say("1.2")
		time.Sleep(2 * time.Minute)
		assert.Contains(t, out.take(), "mixed/ firing")
		a.Close()
		b.Close()
		time.Sleep(2 * time.Second)
		assert.Contains(t, out.take(), "mixed/ resolved", "with nobody left to compare")
	})
}

// A replica that has gone without a word is no other version for ever.
func TestSilentReplicasAreNotCompared(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, []alert.Input{{Name: "version", Kind: alert.Text, Every: time.Minute}}, nil,
			alert.Rule{Name: "mixed", Input: "version", When: alert.Unequal{}, Severity: alert.Medium, NoData: alert.Keep})
		a, b := feed(t, e, "version", "a"), feed(t, e, "version", "b")
		b.Say("1.0")
		for range 5 {
			a.Say("1.1")
			time.Sleep(time.Minute)
		}
		assert.Equal(t, []string{"mixed/ firing", "mixed/ resolved"}, out.take())
	})
}

func TestCombined(t *testing.T) {
	inTime(t, func(t *testing.T) {
		inputs := append([]alert.Input{{Name: "h", Kind: alert.Checks}}, gauge...)
		e, out := run(t, inputs, nil,
			alert.Rule{Name: "down", Input: "h", When: alert.Failures{Fail: 1}, Severity: alert.High},
			alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High},
			alert.Rule{Name: "both", When: alert.Combined{All: []string{"down", "slow"}}, Severity: alert.Critical, Summary: "{entity}: {text}"},
			alert.Rule{Name: "only", When: alert.Combined{Any: []string{"down", "slow"}, None: []string{"both"}}, Severity: alert.Medium, For: 10 * time.Second})
		h, g := feed(t, e, "h", "app"), feed(t, e, "g", "app")
		observe(feed(t, e, "g", "other"), 1)
		h.Result(true, "no")
		observe(g, 1)
		assert.ElementsMatch(t, []string{"down/app firing", "only/app pending", "only/app firing"}, out.take())
		g.Observe(6)
		time.Sleep(3 * time.Second)
		assert.Equal(t, "app: down, slow", out.last("both").Summary)
		assert.ElementsMatch(t, []string{"slow/app firing", "both/app firing", "only/app resolved"}, out.take())
		h.Close()
		g.Close()
		time.Sleep(3 * time.Second)
		assert.ElementsMatch(t, []string{"slow/app resolved", "down/app resolved", "both/app resolved"}, out.take())
	})
}

func TestStopDrains(t *testing.T) {
	inTime(t, func(t *testing.T) {
		out := &book{}
		failing := true
		out.fail = func(alert.Alert) error {
			if failing {
				panic("the store is gone")
			}
			return nil
		}
		e, err := alert.NewEngine(alert.EngineConfig{Inputs: gauge, Out: out, Logger: quiet, Rules: []alert.Rule{
			{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High},
		}})
		require.NoError(t, err)
		require.NoError(t, e.Stop(t.Context()), "it was not started")
		require.NoError(t, e.Start(t.Context()))
		require.Error(t, e.Start(t.Context()))
		f := feed(t, e, "g", "app")
		f.Observe(6)
		time.Sleep(5 * time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error)
		go func() { done <- e.Stop(short) }()
		time.Sleep(10 * time.Second)
		out.mu.Lock()
		failing = false
		out.mu.Unlock()
		require.NoError(t, <-done, "what was found is handed over before it ends")
		assert.Equal(t, []string{"slow/app firing"}, out.take())
		f.Observe(1)
		require.NoError(t, e.Stop(t.Context()))
		assert.Empty(t, out.take())
	})
	inTime(t, func(t *testing.T) {
		out := &book{fail: func(alert.Alert) error { return errors.New("never") }}
		e, err := alert.NewEngine(alert.EngineConfig{Inputs: gauge, Out: out, Logger: quiet, Rules: []alert.Rule{
			{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High},
		}})
		require.NoError(t, err)
		require.NoError(t, e.Start(t.Context()))
		feed(t, e, "g", "app").Observe(6)
		short, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		require.ErrorIs(t, e.Stop(short), context.DeadlineExceeded)
	})
}

// While a handler is out of order, no more than the newest of each state is kept.
func TestHandlerOutage(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, nil, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, For: time.Minute, NoData: alert.Keep})
		out.fail = func(alert.Alert) error { return errors.New("the disk is full") }
		f := feed(t, e, "g", "app")
		for i := range 200 {
			observe(f, 6+float64(i))
		}
		observe(f, 1)
		out.mu.Lock()
		out.fail = nil
		out.mu.Unlock()
		time.Sleep(2 * time.Minute)
		out.mu.Lock()
		n := len(out.all)
		out.mu.Unlock()
		assert.Equal(t, []string{"slow/app pending", "slow/app firing", "slow/app resolved"}, out.take())
		assert.Equal(t, 3, n)
	})
}

// Everything that is wrong is said at once.
func TestConfigurationErrors(t *testing.T) {
	nan := 0.0
	nan /= nan
	_, err := alert.NewEngine(alert.EngineConfig{
		Tick: -1,
		Inputs: []alert.Input{
			{Name: "g", Kind: alert.Gauge}, {Name: "g", Kind: alert.Gauge}, {Name: "a/b", Kind: alert.Gauge}, {Name: "k", Kind: "weather", Every: -1},
			{Name: "c", Kind: alert.Counter},
		},
		Rules: []alert.Rule{
			{Name: "a rule", Input: "nowhere", When: alert.Above{Limit: 1}, Severity: 9, For: -1, NoData: "perhaps", Flap: alert.Flap{Changes: 2}},
			{Name: "kind", Input: "g", When: alert.Failures{}, Severity: alert.Low, Summary: "{entty} is slow"},
			{Name: "kind", Input: "g", When: alert.Above{Limit: 1, Recover: 2}, Severity: alert.Low},
			{Name: "nil", Input: "g", Severity: alert.Low},
			{Name: "pointer", Input: "g", When: &alert.Above{Limit: 1}, Severity: alert.Low},
			{Name: "nan", Input: "g", When: alert.Below{Limit: nan}, Severity: alert.Low},
			{Name: "burn", Input: "c", When: alert.BurnRate{Objective: 0.9}, Severity: alert.Low},
			{Name: "ratio", Input: "c", When: alert.Ratio{Limit: 5, Window: time.Minute}, Severity: alert.Low},
			{Name: "p1", Input: "g", When: alert.Above{Limit: 1}, Severity: alert.Low, Parents: []string{"p2", "who"}},
			{Name: "p2", Input: "g", When: alert.Above{Limit: 1}, Severity: alert.Low, Parents: []string{"p1"}},
			{Name: "c1", When: alert.Combined{All: []string{"c2"}}, Severity: alert.Low},
			{Name: "c2", When: alert.Combined{Any: []string{"c1", "who"}}, Severity: alert.Low},
			{Name: "empty", When: alert.Combined{}, Severity: alert.Low},
		},
	})
	require.Error(t, err)
	for _, want := range []string{
		"Out is missing", "Tick is negative", `input "g": is there twice`, `input "a/b": the name`, `kind "weather": is not known`, `input "k": Every is negative`,
		`rule "a rule": the name must be`, "severity 9", `rule "a rule": For, Tolerance`, "a policy is not known", "Changes must be at least 3",
		`nothing feeds its input "nowhere": wire it, or leave the rule out`,
		`judges an input of kind checks, and "g" is of kind gauge`, "{entty} is not known", `rule "kind": is there twice`, "Recover not above Limit",
		`rule "nil": has no condition`, `rule "pointer": its condition is a *alert.Above; give it by value`, `rule "nan": below: Limit and Recover must be numbers`,
		"factor 14.4 can never be reached with objective 0.9", `rule "ratio": ratio:`, `the parent "who" is no other rule`,
		`rule "p1": its parents lead back to it`, `rule "p2": its parents lead back`, `rule "c1": combined: it is made of itself`, `combined: "who" is no other rule`,
		"All and Any are empty",
	} {
		assert.Contains(t, err.Error(), want)
	}
	t.Log(strings.ReplaceAll(err.Error(), "\n", "\n  "))
}

// Feeds, ends of feeds, evaluation by time and an end of the engine, all at once.
func TestAllAtOnce(t *testing.T) {
	out := &book{}
	e, err := alert.NewEngine(alert.EngineConfig{
		Tick: time.Millisecond, Out: out, Logger: quiet,
		Inputs: []alert.Input{{Name: "g", Kind: alert.Gauge, Every: time.Second}, {Name: "t", Kind: alert.Text}},
		Rules: []alert.Rule{
			{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High},
			{Name: "mixed", Input: "t", When: alert.Unequal{}, Severity: alert.High},
			{Name: "both", When: alert.Combined{All: []string{"slow"}}, Severity: alert.High},
		},
	})
	require.NoError(t, err)
	require.NoError(t, e.Start(t.Context()))
	var work sync.WaitGroup
	for i := range 8 {
		work.Go(func() {
			for n := range 400 {
				f, err := e.Feed(alert.Source{Input: "g", Entity: fmt.Sprint(i % 4)}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				f.Observe(float64(n % 11))
				text, _ := e.Feed(alert.Source{Input: "t", Entity: fmt.Sprint(i % 4)}, nil)
				text.Say(fmt.Sprint(n % 3))
				switch n % 7 {
				case 3:
					f.Close()
				case 4:
					f.Fail("no")
				case 5:
					f.Explain("other")
				case 6:
					text.Close()
				}
			}
		})
	}
	work.Wait()
	for i := range 4 { // what is left is closed, and everything has to be over
		f, err := e.Feed(alert.Source{Input: "g", Entity: fmt.Sprint(i)}, nil)
		require.NoError(t, err)
		f.Close()
	}
	require.NoError(t, e.Stop(t.Context()))
	open := make(map[string]alert.State)
	for _, a := range out.all {
		if a.Rule == "slow" {
			open[a.Entity] = a.State
		}
	}
	for entity, state := range open {
		assert.Equal(t, alert.Resolved, state, entity)
	}
}
