package health_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
)

// june returns a minute of 1 June 2026, UTC.
func june(hour, minute int) time.Time { return time.Date(2026, 6, 1, hour, minute, 0, 0, time.UTC) }

func TestSampleSpans(t *testing.T) {
	span := func(start time.Time, length time.Duration, s health.Status) health.Span {
		return health.Span{Start: start, Length: length, Status: s}
	}
	const m = time.Minute
	for _, test := range []struct {
		name   string
		sample health.Sample
		next   time.Time
		want   []health.Span
	}{
		{"valid all along", health.Sample{Time: june(9, 1), Status: degraded, Valid: 10 * m}, june(9, 6),
			[]health.Span{span(june(9, 1), 5*m, degraded)}},
		{"valid up to the next", health.Sample{Time: june(9, 1), Status: degraded, Valid: 5 * m}, june(9, 6),
			[]health.Span{span(june(9, 1), 5*m, degraded)}},
		{"validity ends", health.Sample{Time: june(9, 1), Status: unhealthy, Valid: 2 * m}, june(9, 6),
			[]health.Span{span(june(9, 1), 2*m, unhealthy), span(june(9, 3), 3*m, unknown)}},
		{"never valid", health.Sample{Time: june(9, 1), Status: healthy}, june(9, 6),
			[]health.Span{span(june(9, 1), 5*m, unknown)}},
		{"valid for a negative time", health.Sample{Time: june(9, 1), Status: healthy, Valid: -time.Hour}, june(9, 6),
			[]health.Span{span(june(9, 1), 5*m, unknown)}},
		{"cut at the quarter", health.Sample{Time: june(9, 14), Status: healthy, Valid: time.Hour}, june(9, 31),
			[]health.Span{span(june(9, 14), m, healthy), span(june(9, 15), 15*m, healthy), span(june(9, 30), m, healthy)}},
		{"from a quarter to a quarter", health.Sample{Time: june(9, 15), Status: healthy, Valid: time.Hour}, june(9, 30),
			[]health.Span{span(june(9, 15), 15*m, healthy)}},
		{"validity ends at a quarter", health.Sample{Time: june(9, 10), Status: healthy, Valid: 5 * m}, june(9, 20),
			[]health.Span{span(june(9, 10), 5*m, healthy), span(june(9, 15), 5*m, unknown)}},
		{"unknown is cut too", health.Sample{Time: june(9, 10), Status: healthy}, june(9, 20),
			[]health.Span{span(june(9, 10), 5*m, unknown), span(june(9, 15), 5*m, unknown)}},
		{"no time", health.Sample{Time: june(9, 1), Status: healthy, Valid: m}, june(9, 1), nil},
		{"backwards", health.Sample{Time: june(9, 1), Status: healthy, Valid: m}, june(9, 0), nil},
		{"a nanosecond", health.Sample{Time: june(9, 15).Add(-1), Status: healthy, Valid: m}, june(9, 15),
			[]health.Span{span(june(9, 15).Add(-1), 1, healthy)}},
		{"no state", health.Sample{Time: june(9, 1), Status: nonsense, Valid: m}, june(9, 2),
			[]health.Span{span(june(9, 1), m, unknown)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, slices.Collect(test.sample.Spans(test.next)))
		})
	}
	for range (health.Sample{Time: june(9, 0)}).Spans(june(9, 0).AddDate(200, 0, 0)) {
		break // can be left early
	}
}

// Spans have no holes, add up to the whole time, are valid as long as the
// sample is, and each lies in one hour UTC and in one day of every zone.
func TestSampleSpansAddUp(t *testing.T) {
	zones := []*time.Location{time.UTC, zone(t, "Australia/Sydney"), zone(t, "Asia/Kathmandu"), zone(t, "Australia/Lord_Howe"), zone(t, "Australia/Eucla")}
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		start := june(0, 0).AddDate(0, 0, r.IntN(365)).Add(time.Duration(r.Int64N(int64(24 * time.Hour))))
		next := start.Add(time.Duration(r.Int64N(int64(30 * time.Hour))))
		s := health.Sample{Time: start.In(zones[r.IntN(len(zones))]), Status: degraded, Valid: time.Duration(r.Int64N(int64(30 * time.Hour)))}
		at := start
		var valid, total time.Duration
		for span := range s.Spans(next) {
			require.True(t, span.Start.Equal(at), "no hole at %v", at)
			require.Positive(t, span.Length)
			at = at.Add(span.Length)
			total += span.Length
			if span.Status == degraded {
				valid += span.Length
			}
			last := at.Add(-1)
			require.True(t, span.Start.Truncate(time.Hour).Equal(last.Truncate(time.Hour)))
			for _, z := range zones {
				require.Equal(t, span.Start.In(z).YearDay(), last.In(z).YearDay())
			}
		}
		require.Equal(t, next.Sub(start), total)
		require.Equal(t, min(s.Valid, next.Sub(start)), valid)
	}
}

// exact returns the q-quantile of durations that are sorted.
func exact(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(0, int(math.Ceil(q*float64(len(sorted))))-1)]
}

func TestLatenciesQuantile(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, draw := range map[string]func() time.Duration{
		"uniform":     func() time.Duration { return time.Millisecond + time.Duration(r.Int64N(int64(time.Second))) },
		"exponential": func() time.Duration { return time.Millisecond + time.Duration(r.ExpFloat64()*50e6) },
		"constant":    func() time.Duration { return 123 * time.Millisecond },
		"two humps": func() time.Duration {
			if r.IntN(10) == 0 {
				return 5*time.Second + time.Duration(r.Int64N(1e9))
			}
			return 20*time.Millisecond + time.Duration(r.Int64N(1e7))
		},
		"long": func() time.Duration { return 50*time.Second + time.Duration(r.Int64N(int64(5*time.Second))) },
	} {
		for _, n := range []int{1, 2, 3, 10, 99, 100, 5000} {
			t.Run(fmt.Sprint(name, " ", n), func(t *testing.T) {
				var l health.Latencies
				all := make([]time.Duration, n)
				for i := range all {
					all[i] = draw()
					l.Add(all[i])
				}
				slices.Sort(all)
				for _, q := range []float64{0, 0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1} {
					got, want := l.Quantile(q), exact(all, q)
					assert.GreaterOrEqual(t, got, want, "%v", q)
					assert.LessOrEqual(t, float64(got), 1.19*float64(want), "%v: %v instead of %v", q, got, want)
				}
			})
		}
	}
}

func TestLatenciesEdges(t *testing.T) {
	of := func(list ...time.Duration) *health.Latencies {
		var l health.Latencies
		for _, d := range list {
			l.Add(d)
		}
		return &l
	}
	const longest = 55109 * time.Millisecond
	for _, test := range []struct {
		name string
		of   *health.Latencies
		q    float64
		want time.Duration
	}{
		{"nothing", of(), 0.5, 0},
		{"not measured", of(0, -1, math.MinInt64), 0.5, 0},
		{"the shortest", of(1), 0.5, time.Millisecond},
		{"a millisecond", of(time.Millisecond), 0.5, time.Millisecond},
		{"a bound of a class", of(2 * time.Millisecond), 0.5, 2 * time.Millisecond},
		{"another", of(1024 * time.Millisecond), 0.5, 1024 * time.Millisecond},
		{"the longest that is told apart", of(55 * time.Second), 0.5, longest},
		{"longer", of(time.Hour), 0.5, longest},
		{"for ever", of(math.MaxInt64), 0.5, longest},
		{"less than 0", of(time.Millisecond, time.Second), -1, time.Millisecond},
		{"the minimum", of(time.Millisecond, 1024*time.Millisecond), 0, time.Millisecond},
		{"the maximum", of(time.Millisecond, 1024*time.Millisecond), 1, 1024 * time.Millisecond},
		{"more than 1", of(time.Millisecond, 1024*time.Millisecond), 7, 1024 * time.Millisecond},
		{"half of two", of(time.Millisecond, 1024*time.Millisecond), 0.5, time.Millisecond},
		{"a little more", of(time.Millisecond, 1024*time.Millisecond), 0.51, 1024 * time.Millisecond},
	} {
		t.Run(test.name, func(t *testing.T) {
			assert.Equal(t, test.want, test.of.Quantile(test.q).Round(time.Millisecond))
		})
	}
	of(time.Second).Quantile(math.NaN()) // must not panic
}

// Counts that would overflow are halved all together: whatever the number, one
// in ten stays one in ten.
func TestLatenciesOverflow(t *testing.T) {
	var l health.Latencies
	for i := range 1_000_000 {
		d := 10 * time.Millisecond
		if i%10 == 9 {
			d = time.Second
		}
		l.Add(d)
		if i == 65_534 || i == 65_535 || i == 65_536 || i == 131_071 || i%99_991 == 10 {
			requireTenth(t, &l)
		}
	}
	requireTenth(t, &l)
}

// requireTenth demands that about nine of ten are about 10 ms, and one is about
// a second.
func requireTenth(t *testing.T, l *health.Latencies) {
	t.Helper()
	require.Less(t, l.Quantile(0.89), 12*time.Millisecond)
	require.Greater(t, l.Quantile(0.91), 900*time.Millisecond)
}

// The very moment at which a class is full, with nothing else counted.
func TestLatenciesOverflowOfOneClass(t *testing.T) {
	var l health.Latencies
	l.Add(time.Second) // a rare one must not be lost by halving
	for range 5 * math.MaxUint16 {
		l.Add(10 * time.Millisecond)
		if l.Quantile(0.5) > 12*time.Millisecond {
			t.Fatalf("what was counted most is lost: %v", l)
		}
	}
	assert.Greater(t, l.Quantile(1), 900*time.Millisecond)
	assert.Less(t, l.Quantile(0.999), 12*time.Millisecond)
}

func TestLatenciesMerge(t *testing.T) {
	fill := func(d time.Duration, n int) *health.Latencies {
		var l health.Latencies
		for range n {
			l.Add(d)
		}
		return &l
	}
	t.Run("adds", func(t *testing.T) {
		got, both := fill(10*time.Millisecond, 3), fill(10*time.Millisecond, 5)
		got.Merge(fill(10*time.Millisecond, 2))
		got.Merge(new(health.Latencies))
		assert.Equal(t, both, got)
	})
	t.Run("itself", func(t *testing.T) {
		l := fill(10*time.Millisecond, 2)
		l.Merge(l)
		assert.Equal(t, fill(10*time.Millisecond, 4), l)
	})
	t.Run("full ones", func(t *testing.T) {
		l := fill(10*time.Millisecond, math.MaxUint16)
		for range 10 {
			l.Merge(fill(10*time.Millisecond, math.MaxUint16))
			require.Less(t, l.Quantile(0.5), 12*time.Millisecond)
		}
	})
	t.Run("full and nearly full", func(t *testing.T) { // two classes, of which one overflows
		l := fill(10*time.Millisecond, 60_000)
		other := fill(10*time.Millisecond, 60_000)
		for range 13_333 {
			other.Add(time.Second)
		}
		l.Merge(other)
		requireTenth(t, l)
		other.Merge(fill(10*time.Millisecond, 60_000)) // the other way round
		requireTenth(t, other)
	})
}

func TestBucketUptime(t *testing.T) {
	type times = [5]time.Duration
	for _, test := range []struct {
		name string
		in   times
		want float64
		ok   bool
	}{
		{"nothing", times{}, 0, false},
		{"unknown and maintenance alone", times{unknown: 1, maintenance: 5}, 0, false},
		{"up", times{healthy: 5}, 1, true},
		{"degraded is up", times{healthy: 1, degraded: 2, unhealthy: 1}, 0.75, true},
		{"down", times{unhealthy: 1}, 0, true},
		{"maintenance counts on neither side", times{healthy: 3, unhealthy: 1, maintenance: 100}, 0.75, true},
		{"unknown counts on neither side", times{healthy: 3, unhealthy: 1, unknown: 100}, 0.75, true},
	} {
		b := health.Bucket{In: test.in}
		share, ok := b.Uptime()
		assert.Equal(t, test.ok, ok, test.name)
		assert.InDelta(t, test.want, share, 1e-12, test.name)
	}
}

func TestBucketMerge(t *testing.T) {
	a := health.Bucket{Start: june(1, 0), In: [5]time.Duration{1, 2, 3, 4, 5}}
	b := health.Bucket{Start: june(2, 0), In: [5]time.Duration{10, 20, 30, 40, 50}}
	a.Latencies.Add(time.Second)
	b.Latencies.Add(time.Second)
	b.Latencies.Add(time.Minute)
	unchanged := b
	a.Merge(&b)
	assert.Equal(t, june(1, 0), a.Start)
	assert.Equal(t, [5]time.Duration{11, 22, 33, 44, 55}, a.In)
	want := health.Latencies{}
	want.Add(time.Second)
	want.Add(time.Second)
	want.Add(time.Minute)
	assert.Equal(t, want, a.Latencies)
	assert.Equal(t, unchanged, b)
}
