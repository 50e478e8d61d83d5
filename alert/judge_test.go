package alert_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// What a window counts is what a naive scan counts, within one part of the window: all
// that is younger than it, and nothing that is older by more than a part.
func TestWindowAgainstNaiveScan(t *testing.T) {
	type event struct {
		at        time.Time
		good, bad uint64
	}
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		window := time.Duration(1+random.IntN(7200)) * time.Second
		if seed%5 == 0 {
			window = time.Second + time.Duration(random.IntN(int(time.Hour)))
		}
		w, part := alert.NewWindow(window), window/alert.Cells
		now := time.Now()
		var events []event
		for range 400 {
			now = now.Add(time.Duration(random.Int64N(int64(window) / int64(1+random.IntN(200)))))
			switch random.IntN(20) {
			case 0:
				now = now.Add(time.Duration(random.Int64N(3 * int64(window))))
			case 1: // the time in which nothing was observed does not count
				gap := time.Duration(random.Int64N(int64(window)))
				w.Skip(gap)
				now = now.Add(gap)
				for i := range events {
					events[i].at = events[i].at.Add(gap)
				}
			}
			if random.IntN(3) > 0 {
				e := event{now, random.Uint64N(50), random.Uint64N(5)}
				events = append(events, e)
				w.Add(now, e.good, e.bad)
			}
			good, bad := w.Sum(now)
			var least, most event
			for _, e := range events {
				switch age := now.Sub(e.at); {
				case age <= window-alert.Cells*time.Nanosecond: // parts are whole nanoseconds
					least.good, least.bad = least.good+e.good, least.bad+e.bad
					fallthrough
				case age <= window+part:
					most.good, most.bad = most.good+e.good, most.bad+e.bad
				}
			}
			require.GreaterOrEqual(t, good, least.good, "seed %d", seed)
			require.LessOrEqual(t, good, most.good, "seed %d", seed)
			require.GreaterOrEqual(t, bad, least.bad, "seed %d", seed)
			require.LessOrEqual(t, bad, most.bad, "seed %d", seed)
		}
	}
}

func TestNofMAgainstNaiveCount(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2))
		m := 1 + random.IntN(64)
		if seed%10 == 0 {
			m = 64
		}
		n := 1 + random.IntN(m)
		result, holds := alert.Judge(alert.NofM{N: n, M: m})
		var results []bool
		for range 300 {
			failed := random.IntN(m+1) < n
			result(failed)
			if results = append(results, failed); len(results) > m {
				results = results[1:]
			}
			fails := 0
			for _, failed := range results {
				if failed {
					fails++
				}
			}
			require.Equal(t, fails >= n, holds(time.Now()), "seed %d: %d of %d", seed, n, m)
		}
	}
}

func counters(every time.Duration) []alert.Input {
	return []alert.Input{{Name: "c", Kind: alert.Counter, Every: every}}
}

// A probe every 30 s has 120 results in an hour. Of an objective of 99.9 %, two that fail
// are a burn rate of 16.7: without a minimum they would page.
//
// Requirement: AL-RULE-LOW-TRAFFIC
func TestLowTrafficPagesNobody(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, counters(30*time.Second), nil,
			alert.Rule{Name: "burn", Input: "c", When: alert.BurnRate{Objective: 0.999}, Severity: alert.Critical},
			alert.Rule{Name: "ratio", Input: "c", When: alert.Ratio{Limit: 0.05, Window: 5 * time.Minute}, Severity: alert.Critical})
		f := feed(t, e, "c", "probe")
		for i := range 240 {
			failed := uint64(0)
			if i == 130 || i == 131 {
				failed = 1
			}
			f.Count(1-failed, failed, "timeout")
			time.Sleep(30 * time.Second)
		}
		assert.Empty(t, out.take())
	})
	inTime(t, func(t *testing.T) {
		e, out := run(t, counters(time.Minute), nil,
			alert.Rule{Name: "ratio", Input: "c", When: alert.Ratio{Limit: 0.05, Window: 5 * time.Minute}, Severity: alert.Critical})
		f := feed(t, e, "c", "app")
		f.Count(2, 1, "")
		assert.Empty(t, out.take(), "one of three is no error rate")
		f.Count(90, 3, "")
		assert.Empty(t, out.take(), "four are none either")
		f.Count(0, 1, "status 502")
		assert.Equal(t, []string{"ratio/app firing"}, out.take())
		time.Sleep(6 * time.Minute)
		f.Count(0, 1, "status 502")
		assert.NotContains(t, out.take(), "ratio/app resolved", "an outage that drives callers away is not its end")
		for range 7 {
			f.Count(3, 0, "")
			time.Sleep(time.Minute)
		}
		assert.Contains(t, out.take(), "ratio/app resolved")
	})
}

// Requirement: AL-RULE-BURN-WINDOWS
func TestBurnWindows(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, counters(time.Minute), nil, alert.Rule{
			Name: "burn", Input: "c", When: alert.BurnRate{Objective: 0.99, Windows: []alert.BurnWindow{{Long: time.Hour, Short: 5 * time.Minute, Factor: 14.4}}},
			Severity: alert.Critical, Summary: "{entity} burns {value}", Flap: alert.Flap{Changes: -1},
		})
		f := feed(t, e, "c", "app")
		minutes := func(n int, good, bad uint64) {
			for range n {
				f.Count(good, bad, "status 500")
				time.Sleep(time.Minute)
			}
		}
		minutes(60, 100, 0)
		minutes(8, 0, 100)
		assert.Empty(t, out.take(), "the short window is over its limit, the long one is not: 8/60 is less than 14.4 %")
		minutes(1, 0, 100)
		a := out.last("burn")
		assert.Equal(t, "app burns 14.75 times the error budget", a.Summary)
		assert.Equal(t, []string{"burn/app firing"}, out.take())
		minutes(5, 100, 0)
		assert.Empty(t, out.take())
		minutes(1, 100, 0)
		assert.Equal(t, []string{"burn/app resolved"}, out.take(), "the short window is not: it is over, while the long one still is")
		minutes(1, 0, 100)
		assert.Equal(t, []string{"burn/app firing"}, out.take(), "both are again")
	})
}

// A window with a thousand events a second needs one good evaluation as any other: a
// second, and not an event.
func TestEventsOfASecondAreOneEvaluation(t *testing.T) {
	inTime(t, func(t *testing.T) {
		e, out := run(t, counters(0), nil, alert.Rule{
			Name: "errors", Input: "c", When: alert.Rate{Limit: 3, Window: 10 * time.Second}, Severity: alert.High, Recover: 5,
		})
		f := feed(t, e, "c", "app")
		for range 4 {
			f.Count(0, 1, "")
		}
		time.Sleep(10500 * time.Millisecond)
		for range 1000 {
			f.Count(1, 0, "")
			time.Sleep(time.Millisecond)
		}
		assert.Equal(t, []string{"errors/app firing"}, out.take())
		time.Sleep(6 * time.Second)
		assert.Equal(t, []string{"errors/app resolved"}, out.take())
	})
}

// conditions are all that have a judge of their own, with a sample for each.
func conditions() map[string]struct {
	when   alert.Condition
	kind   alert.InputKind
	sample func(f *alert.Feed)
} {
	now := time.Now()
	type c = struct {
		when   alert.Condition
		kind   alert.InputKind
		sample func(f *alert.Feed)
	}
	count := func(f *alert.Feed) { f.Count(100, 1, "") }
	return map[string]c{
		"above":    {alert.Above{Limit: 5}, alert.Gauge, func(f *alert.Feed) { f.Observe(3) }},
		"below":    {alert.Below{Limit: 1}, alert.Gauge, func(f *alert.Feed) { f.Observe(3) }},
		"failures": {alert.Failures{}, alert.Checks, func(f *alert.Feed) { f.Result(false, "") }},
		"n of m":   {alert.NofM{N: 6, M: 10}, alert.Checks, func(f *alert.Feed) { f.Result(false, "") }},
		"rate":     {alert.Rate{Limit: 1e18, Window: 5 * time.Minute}, alert.Counter, count},
		"ratio":    {alert.Ratio{Limit: 0.05, Window: 5 * time.Minute}, alert.Counter, count},
		"burn":     {alert.BurnRate{Objective: 0.99}, alert.Counter, count},
		"silent":   {alert.Silent{Period: time.Hour}, alert.Heartbeat, func(f *alert.Feed) { f.Beat() }},
		"due":      {alert.Due{Within: time.Hour}, alert.Moment, func(f *alert.Feed) { f.Moment(now.Add(1000 * time.Hour)) }},
		"aged":     {alert.Aged{Over: 1000 * time.Hour}, alert.Moment, func(f *alert.Feed) { f.Moment(now) }},
		"changed":  {alert.Changed{}, alert.Text, func(f *alert.Feed) { f.Say("1.0") }},
		"unequal":  {alert.Unequal{}, alert.Text, func(f *alert.Feed) { f.Say("1.0") }},
	}
}

func unstarted(t testing.TB, in alert.Input, rules ...alert.Rule) *alert.Engine {
	t.Helper()
	e, err := alert.NewEngine(alert.EngineConfig{Inputs: []alert.Input{in}, Rules: rules, Out: &book{}, Logger: quiet})
	require.NoError(t, err)
	return e
}

// A sample of each kind, judged. Target: under 1 µs and no allocation.
func BenchmarkJudge(b *testing.B) {
	for name, c := range conditions() {
		b.Run(name, func(b *testing.B) {
			e := unstarted(b, alert.Input{Name: "x", Kind: c.kind}, alert.Rule{Name: "r", Input: "x", When: c.when, Severity: alert.High})
			f, err := e.Feed(alert.Source{Input: "x"}, nil)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				c.sample(f)
			}
		})
	}
}

// A sample that an engine with 100 rules judges, all of them on one input, or 10. Target:
// under 1 µs for each rule touched, and no allocation.
func BenchmarkSample(b *testing.B) {
	for _, touched := range []int{10, 100} {
		b.Run(fmt.Sprintf("%d of 100 rules", touched), func(b *testing.B) {
			var rules []alert.Rule
			for i := range 100 {
				input := "x"
				if i >= touched {
					input = "y"
				}
				rules = append(rules, alert.Rule{Name: fmt.Sprintf("r%d", i), Input: input, When: alert.Above{Limit: 5, Recover: 4}, Severity: alert.High, For: time.Minute})
			}
			e, err := alert.NewEngine(alert.EngineConfig{
				Inputs: []alert.Input{{Name: "x", Kind: alert.Gauge, Every: time.Second}, {Name: "y", Kind: alert.Gauge}}, Rules: rules, Out: &book{}, Logger: quiet,
			})
			require.NoError(b, err)
			f, err := e.Feed(alert.Source{Input: "x"}, nil)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				f.Observe(3)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(touched), "ns/rule")
		})
	}
}

// An evaluation by time of 10,000 sources. Target: under 1 µs for each source, so that a
// tick a second takes less than 1 % of a core.
func BenchmarkTick(b *testing.B) {
	for name, c := range conditions() {
		switch name {
		case "above", "rate", "silent", "due", "unequal":
		default:
			continue
		}
		b.Run(name, func(b *testing.B) {
			in := alert.Input{Name: "x", Kind: c.kind, Every: 10000 * time.Hour}
			if c.kind == alert.Counter {
				in.Every = 0
			}
			e := unstarted(b, in, alert.Rule{Name: "r", Input: "x", When: c.when, Severity: alert.High})
			for i := range 10_000 {
				f, err := e.Feed(alert.Source{Input: "x", Entity: fmt.Sprint(i)}, nil)
				require.NoError(b, err)
				c.sample(f)
			}
			now := time.Now()
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Second)
				e.TickAt(now, false)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/source")
		})
	}
}
