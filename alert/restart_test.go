package alert_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
)

// Requirement: AL-RULE-CLOCK
func TestJumpsAreRecognised(t *testing.T) {
	for _, c := range []struct {
		monotonic, wall time.Duration
		want            bool
	}{
		{time.Second, time.Second, false},
		{time.Second, 4 * time.Second, false},  // a correction
		{time.Second, time.Hour, true},         // suspended, or set
		{time.Second, -time.Hour, true},        // set back
		{time.Hour, time.Hour, false},          // the program was stopped: the monotonic clock says so
		{time.Second, -5 * time.Second, false}, // a correction
	} {
		assert.Equal(t, c.want, alert.Jumped(c.monotonic, c.wall), c)
	}
}

// What a jump of the clock is recognised by is what the engine acts on: what was pending
// begins anew, once, and what fires goes on. Silence is judged at every look.
//
// Requirement: AL-RULE-CLOCK
func TestClockIsSet(t *testing.T) {
	clocks := time.Now() // here, since in a bubble there is no monotonic clock
	for name, c := range map[string]struct {
		set   time.Duration // after 40 s
		fires int           // after as many seconds
	}{
		"not at all":   {0, 63},
		"a correction": {4 * time.Second, 63},
		"forward":      {time.Hour, 101},
		"back":         {-time.Hour, 101},
	} {
		t.Run(name, func(t *testing.T) {
			inTime(t, func(t *testing.T) {
				out := &book{}
				e := engine(t, alert.EngineConfig{
					Inputs: []alert.Input{{Name: "beat", Kind: alert.Heartbeat}}, Out: out, Logger: quiet, Tick: 1000 * time.Hour, // it is looked at by hand
					Rules: []alert.Rule{
						{Name: "lasts", Input: "beat", When: alert.Silent{Period: time.Second}, Severity: alert.High, For: time.Minute},
						{Name: "fires", Input: "beat", When: alert.Silent{Period: time.Second}, Severity: alert.High},
					},
				})
				start := time.Now()
				read := func(second int) time.Time { // both clocks
					wall := start.Add(time.Duration(second) * time.Second)
					if second > 40 {
						wall = wall.Add(c.set)
					}
					return alert.SetWall(clocks.Add(time.Duration(second)*time.Second), wall)
				}
				require.Equal(t, time.Second, read(41).Sub(read(40)), "the monotonic clock goes on")
				require.Equal(t, time.Second+c.set, read(41).Round(0).Sub(read(40).Round(0)), "the clock on the wall is set")

				feed(t, e, "beat", "app")
				want := map[int][]string{3: {"fires/app firing", "lasts/app pending"}, c.fires: {"lasts/app firing"}}
				for second := 1; second < 130; second++ {
					e.Look(read(second-1), read(second))
					require.ElementsMatch(t, want[second], out.take(), "after %d s", second)
				}
			})
		})
	}
}

// A program that is stopped for an hour, and goes on, observed nothing: that is no time in
// a state, no missing data, and empties no window.
//
// Requirement: AL-RULE-CLOCK
func TestStoppedProgram(t *testing.T) {
	inTime(t, func(t *testing.T) {
		out := &book{}
		inputs := append([]alert.Input{{Name: "beat", Kind: alert.Heartbeat}}, append(gauge, counters(time.Minute)...)...)
		inputs = append(inputs, alert.Input{Name: "rare", Kind: alert.Counter})
		e, err := alert.NewEngine(alert.EngineConfig{Inputs: inputs, Out: out, Logger: quiet, Rules: []alert.Rule{
			{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, For: 10 * time.Minute},
			{Name: "errors", Input: "c", When: alert.Ratio{Limit: 0.05, Window: 5 * time.Minute}, Severity: alert.High},
			{Name: "refused", Input: "rare", When: alert.Rate{Limit: 2, Window: 5 * time.Minute}, Severity: alert.High},
			{Name: "dead", Input: "beat", When: alert.Silent{Period: time.Minute}, Severity: alert.High},
		}})
		assert.NoError(t, err)
		g, c, rare, beat := feed(t, e, "g", "app"), feed(t, e, "c", "app"), feed(t, e, "rare", "app"), feed(t, e, "beat", "app")
		seconds := func(n int) {
			for i := range n {
				e.TickAt(time.Now(), false)
				if i%30 == 0 {
					g.Observe(6)
					c.Count(0, 50, "")
					beat.Beat()
				}
				time.Sleep(time.Second)
			}
		}
		rare.Count(0, 3, "")
		seconds(60)
		time.Sleep(time.Hour) // no ticks: the program is stopped
		g.Observe(6)          // before the first tick
		c.Count(100, 0, "")
		seconds(1)
		assert.NoError(t, e.Start(t.Context()))
		defer func() { assert.NoError(t, e.Stop(t.Context())) }()
		assert.ElementsMatch(t, []string{"slow/app pending", "errors/app firing", "refused/app firing"}, out.take(),
			"nothing has fired, nothing is over, and nothing is missed")
		for range 21 {
			observe(g, 6)
			c.Count(0, 50, "")
			beat.Beat()
		}
		got := out.take()
		assert.Contains(t, got, "slow/app firing", "after ten minutes that were observed")
		assert.Contains(t, got, "refused/app resolved")
		assert.NotContains(t, got, "errors/app resolved")
	})
}

// A clock that is set, or a machine that was suspended, lets what is pending begin anew,
// and nothing else.
//
// Requirement: AL-RULE-CLOCK
func TestJumpOfTheClock(t *testing.T) {
	inTime(t, func(t *testing.T) {
		out := &book{}
		e, err := alert.NewEngine(alert.EngineConfig{Inputs: gauge, Out: out, Logger: quiet, Rules: []alert.Rule{
			{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, For: time.Minute},
		}})
		assert.NoError(t, err)
		f := feed(t, e, "g", "app")
		observe := func(n int) {
			for range n {
				f.Observe(6)
				for range 30 {
					time.Sleep(time.Second)
					e.TickAt(time.Now(), false)
				}
			}
		}
		observe(2)
		e.TickAt(time.Now(), true)
		observe(2)
		assert.NoError(t, e.Start(t.Context()))
		defer func() { assert.NoError(t, e.Stop(t.Context())) }()
		assert.Equal(t, []string{"slow/app pending"}, out.take())
		f.Observe(6)
		assert.Equal(t, []string{"slow/app firing"}, out.take())
	})
}

// restored is an alert of a rule as it was before a restart.
func restored(rule, entity string, state alert.State, reason alert.Reason) alert.Alert {
	now := time.Now()
	a := alert.Alert{
		Key: alert.Key(rule, "production", entity, reason), Rule: rule, Environment: "production", Entity: entity, Severity: alert.Low,
		State: state, Reason: reason, Began: now.Add(-time.Hour).Round(0), Summary: "before",
	}
	if state == alert.Firing {
		a.Fired = a.Began
	}
	return a
}

// Requirement: AL-RULE-RESTART
func TestRestartDoesNotPageAgain(t *testing.T) {
	rule := alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5, Recover: 4}, Severity: alert.High, Playbook: "new", Hold: 70 * time.Second}
	inTime(t, func(t *testing.T) {
		before := restored("slow", "app", alert.Firing, alert.Failing)
		e, out := run(t, gauge, []alert.Alert{before}, rule)
		f := feed(t, e, "g", "app")
		observe(f, 6)
		observe(f, 6, 6)
		a := out.last("slow")
		assert.Equal(t, alert.High, a.Severity, "as the rule is now")
		assert.Equal(t, "new", a.Playbook)
		assert.True(t, a.Fired.Equal(before.Fired), "it is the same alert")
		assert.True(t, a.Began.Equal(before.Began))
		observe(f, 3, 4.5)
		got := out.take()
		assert.Equal(t, []string{"slow/app firing"}, got)
		observe(f, 3, 3)
		assert.Equal(t, []string{"slow/app resolved"}, out.take())
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, gauge, []alert.Alert{restored("slow", "app", alert.Firing, alert.Failing)},
			alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		f := feed(t, e, "g", "app")
		time.Sleep(time.Second)
		f.Observe(1)
		assert.Empty(t, out.take(), "one look is not enough")
		time.Sleep(30 * time.Second)
		f.Observe(1)
		assert.Equal(t, []string{"slow/app resolved"}, out.take())
	})
	inTime(t, func(t *testing.T) {
		pending := restored("slow", "app", alert.Pending, alert.Failing)
		e, out := run(t, gauge, []alert.Alert{pending}, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, For: 10 * time.Minute})
		f := feed(t, e, "g", "app")
		f.Observe(6)
		assert.Empty(t, out.take(), "it does not begin anew")
		time.Sleep(30 * time.Second)
		f.Observe(6)
		assert.Equal(t, []string{"slow/app firing"}, out.take(), "and goes on, if it was found twice")
	})
}

// What a judge forgot in the restart does not look like an end.
//
// Requirement: AL-RULE-RESTART
func TestRestartDoesNotResolveFalsely(t *testing.T) {
	inTime(t, func(t *testing.T) {
		inputs := []alert.Input{
			{Name: "c", Kind: alert.Counter}, {Name: "h", Kind: alert.Checks, Every: time.Minute}, {Name: "beat", Kind: alert.Heartbeat},
			{Name: "v", Kind: alert.Text}, {Name: "t", Kind: alert.Gauge, Every: time.Minute},
		}
		names := []string{"rate", "ratio", "burn", "share", "row", "dead", "mixed", "both"}
		var before []alert.Alert
		for _, name := range names {
			entity := "app"
			if name == "mixed" {
				entity = ""
			}
			before = append(before, restored(name, entity, alert.Firing, alert.Failing))
		}
		before = append(before, restored("gone", "app", alert.Firing, alert.NoData))
		e, out := run(t, inputs, before,
			alert.Rule{Name: "rate", Input: "c", When: alert.Rate{Limit: 2, Window: time.Minute}, Severity: alert.High},
			alert.Rule{Name: "ratio", Input: "c", When: alert.Ratio{Limit: 0.05, Window: 2 * time.Minute}, Severity: alert.High},
			alert.Rule{Name: "burn", Input: "c", When: alert.BurnRate{Objective: 0.99}, Severity: alert.High},
			alert.Rule{Name: "share", Input: "h", When: alert.NofM{N: 3, M: 5}, Severity: alert.High},
			alert.Rule{Name: "row", Input: "h", When: alert.Failures{Fail: 3, Pass: 2}, Severity: alert.High},
			alert.Rule{Name: "dead", Input: "beat", When: alert.Silent{Period: time.Minute}, Severity: alert.High},
			alert.Rule{Name: "mixed", Input: "v", When: alert.Unequal{}, Severity: alert.High},
			alert.Rule{Name: "both", When: alert.Combined{All: []string{"share", "row"}}, Severity: alert.High},
			alert.Rule{Name: "gone", Input: "t", When: alert.Above{Limit: 5}, Severity: alert.High})
		c, h := feed(t, e, "c", "app"), feed(t, e, "h", "app")
		feed(t, e, "v", "a").Say("1.0")
		c.Count(100, 0, "")
		h.Result(false, "")
		time.Sleep(50 * time.Second)
		over := func() (lines []string) {
			for _, line := range out.take() {
				if strings.Contains(line, "resolved") {
					lines = append(lines, line)
				}
			}
			return lines
		}
		assert.Empty(t, over(), "nothing is over")
		time.Sleep(15 * time.Second)
		c.Count(100, 0, "")
		h.Result(false, "")
		time.Sleep(2 * time.Second) // until the rules over others were evaluated as well
		assert.ElementsMatch(t, []string{"rate/app resolved", "row/app resolved", "both/app resolved"}, over(), "windows were watched, and results seen")
		time.Sleep(time.Minute)
		c.Count(100, 0, "")
		h.Result(false, "")
		time.Sleep(50 * time.Second)
		h.Result(false, "")
		time.Sleep(3 * time.Second)
		assert.ElementsMatch(t, []string{"ratio/app resolved", "share/app resolved"}, over(), "three good of five leave at most two")
		feed(t, e, "v", "b").Say("1.1")
		for range 6 {
			time.Sleep(time.Minute)
			h.Result(false, "")
		}
		assert.Empty(t, over(), "the short windows were not watched, the others have not spoken alike, and no beat has come")
		time.Sleep(3 * time.Hour)
		got := over()
		assert.Contains(t, got, "burn/app resolved")
		assert.NotContains(t, got, "gone/app resolved (no data)", "silence does not end what is about silence")
		feed(t, e, "beat", "app").Beat()
		feed(t, e, "t", "app").Observe(1)
		time.Sleep(3 * time.Second)
		got = over()
		assert.Contains(t, got, "dead/app resolved")
		assert.Contains(t, got, "gone/app resolved (no data)")
	})
}

// Requirement: AL-RULE-RESTART
func TestRestartWithoutRulesAndSources(t *testing.T) {
	inTime(t, func(t *testing.T) {
		foreign := restored("foreign", "x", alert.Firing, alert.Failing)
		foreign.Key = "made-by-somebody-else"
		_, out := run(t, append([]alert.Input{{Name: "rare", Kind: alert.Gauge}, {Name: "daily", Kind: alert.Gauge, Every: 24 * time.Hour}}, gauge...), []alert.Alert{
			restored("deleted", "app", alert.Firing, alert.Failing),
			restored("slow", "removed", alert.Firing, alert.Failing),
			restored("odd", "removed", alert.Firing, alert.Failing),
			restored("size", "removed", alert.Firing, alert.Failing),
			restored("slow", "over", alert.Resolved, alert.Failing),
			foreign,
		},
			alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High, NoData: alert.Keep},
			alert.Rule{Name: "odd", Input: "rare", When: alert.Above{Limit: 5}, Severity: alert.High},
			alert.Rule{Name: "size", Input: "daily", When: alert.Above{Limit: 5}, Severity: alert.High, NoData: alert.Keep})
		time.Sleep(30 * time.Second)
		assert.Equal(t, "There is no rule for it any more.", out.last("deleted").Detail)
		assert.Equal(t, []string{"deleted/app resolved"}, out.take(), "and an alert of somebody else is left alone")
		time.Sleep(time.Hour)
		assert.Contains(t, out.last("slow").Detail, "no longer watched")
		assert.Equal(t, []string{"slow/removed resolved"}, out.take())
		time.Sleep(24 * time.Hour)
		assert.Equal(t, []string{"odd/removed resolved"}, out.take())
		time.Sleep(48 * time.Hour)
		assert.Equal(t, []string{"size/removed resolved"}, out.take(), "three of its intervals")
	})
}

// A restart in the middle of flapping goes on holding.
//
// Requirement: AL-RULE-RESTART, AL-RULE-FLAP
func TestRestartWhileFlapping(t *testing.T) {
	inTime(t, func(t *testing.T) {
		before := restored("slow", "app", alert.Firing, alert.Failing)
		before.Flapping, before.Unit = true, health.Seconds
		e, out := run(t, gauge, []alert.Alert{before}, alert.Rule{Name: "slow", Input: "g", When: alert.Above{Limit: 5}, Severity: alert.High})
		f := feed(t, e, "g", "app")
		for range 50 {
			observe(f, 1)
		}
		assert.Empty(t, out.take())
		for range 15 {
			observe(f, 1)
		}
		assert.Equal(t, []string{"slow/app resolved"}, out.take())
	})
}
