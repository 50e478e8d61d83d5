package health

import (
	"context"
	"iter"
	"math"
	"time"
)

// A Sample is one result as a [History] records it.
type Sample struct {
	// Check is the name of the check.
	Check string
	// Time is when the result was found.
	Time time.Time
	// Status is the state of the check from then on: after thresholds and
	// maintenance windows.
	Status Status
	// Latency is how long the probed thing took to answer. Zero means that it
	// was not measured.
	Latency time.Duration
	// Valid is for how long the sample speaks. Time between the end of Valid
	// and the next sample counts as Unknown.
	Valid time.Duration
}

// History keeps what checks found, for 90 days: how long each was in which
// state, how fast it answered, and when it was down. [MemoryHistory] keeps it
// in memory; package sqlhealth keeps it in a database.
//
// Implementations must be safe for concurrent use and honour the context.
type History interface {
	// Append records samples, in order of time for each check. A sample that is
	// not newer than the newest already held for its check is ignored, so that
	// appending again after an unknown outcome does no harm. On an error, all
	// samples, some, or none were recorded.
	Append(ctx context.Context, samples []Sample) error

	// Buckets returns what is known of a check between from and to, oldest
	// first: the buckets that overlap that time and are not empty. A check that
	// is not known has none.
	Buckets(ctx context.Context, check string, r Resolution, from, to time.Time) ([]Bucket, error)

	// Spells returns when the check was Unhealthy between from and to, oldest
	// first: each that overlaps that time, whole. One goes on if the newest
	// sample is of it, and valid up to to.
	Spells(ctx context.Context, check string, from, to time.Time) ([]Spell, error)
}

// Resolution is how long a [Bucket] of history is.
type Resolution uint8

// Resolutions of history.
const (
	// Hourly buckets begin at full hours UTC.
	Hourly Resolution = iota
	// Daily buckets are calendar days in the zone of the history: 23 or 25
	// hours long when clocks change.
	Daily
)

// A Spell is a time in which a check was Unhealthy without interruption.
type Spell struct {
	// Start is the first sample that was Unhealthy.
	Start time.Time
	// End is the first sample that was not, or the end of validity of the last
	// that was. Zero means that it goes on.
	End time.Time
}

// A Bucket sums up a check over a time. The zero Bucket is empty.
type Bucket struct {
	// Start is where the bucket begins.
	Start time.Time
	// In is how long the check was in each state, indexed by [Status]. The sum
	// is less than the bucket's length where no sample fell, at its edges.
	In [statuses]time.Duration
	// Latencies counts answers by how long they took.
	Latencies Latencies
}

// Uptime is the share (0 to 1) of the time that the check was Healthy or
// Degraded, of the time that it was Healthy, Degraded or Unhealthy. Time in
// Maintenance and Unknown time count on neither side. It is false when nothing
// counted.
func (b *Bucket) Uptime() (share float64, ok bool) {
	up := b.In[Healthy] + b.In[Degraded]
	all := up + b.In[Unhealthy]
	if all <= 0 {
		return 0, false
	}
	return float64(up) / float64(all), true
}

// empty reports whether the bucket holds nothing.
func (b *Bucket) empty() bool { return b.In == Bucket{}.In && b.Latencies == Latencies{} }

// Merge adds what other holds to b, and leaves b.Start.
func (b *Bucket) Merge(other *Bucket) {
	for i := range b.In {
		b.In[i] += other.In[i]
	}
	b.Latencies.Merge(&other.Latencies)
}

// A Span is a stretch of time in one state.
type Span struct {
	// Start and Length say when.
	Start  time.Time
	Length time.Duration
	// Status is the state.
	Status Status
}

// Spans divides the time from s to the next sample of the same check into
// stretches of one state: first s.Status for as long as s is valid, then
// Unknown. They are cut at every quarter of an hour, so that each lies in one
// hour and one day in every zone. It is how a [History] turns samples into
// buckets.
func (s Sample) Spans(next time.Time) iter.Seq[Span] {
	return func(yield func(Span) bool) {
		at, expires := s.Time, s.Time.Add(s.Valid)
		for at.Before(next) {
			span := Span{Start: at, Status: s.Status.orUnknown()}
			end := at.Truncate(15 * time.Minute).Add(15 * time.Minute)
			if at.Before(expires) {
				end = earlier(end, expires)
			} else {
				span.Status = Unknown
			}
			end = earlier(end, next)
			span.Length = end.Sub(at)
			if !yield(span) {
				return
			}
			at = end
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// Latencies counts durations in 64 classes, each 2^(1/4) times as wide as the
// one before, from 1 ms to 55 s: a quantile is at most 19 % too high, or 1 ms.
// Counts that would overflow are halved, all together, which keeps the
// quantiles; what is added later then weighs more. The zero value is empty.
type Latencies [64]uint16

// Add counts d. Zero and less is not counted.
func (l *Latencies) Add(d time.Duration) {
	if d <= 0 {
		return
	}
	class := latencyClass(d)
	if l[class] == math.MaxUint16 {
		for i, n := range l {
			l[i] = n - n/2
		}
	}
	l[class]++
}

// Merge adds the counts of other.
func (l *Latencies) Merge(other *Latencies) {
	var sums [len(l)]uint32
	most := uint32(0)
	for i := range sums {
		sums[i] = uint32(l[i]) + uint32(other[i])
		most = max(most, sums[i])
	}
	for i, n := range sums {
		if most > math.MaxUint16 {
			n -= n / 2
		}
		l[i] = uint16(n)
	}
}

// Quantile returns the time within which a share q of the durations counted
// lay: 0.95 for the 95th percentile, 0 or less for the shortest, 1 or more for
// the longest. It is zero when nothing was counted. Durations over 55 s are
// reported as 55 s.
func (l *Latencies) Quantile(q float64) time.Duration {
	var total uint64
	for _, n := range l {
		total += uint64(n)
	}
	if total == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(min(max(q, 0), 1)*float64(total))))
	var seen uint64
	for i, n := range l {
		if seen += uint64(n); seen >= rank {
			return latencyBound(i)
		}
	}
	return latencyBound(len(l) - 1)
}

// latencyClass returns the class of d: the first whose bound is not below d.
func latencyClass(d time.Duration) int {
	if d <= time.Millisecond {
		return 0
	}
	class := int(math.Ceil(4 * math.Log2(float64(d)/float64(time.Millisecond))))
	return min(class, len(Latencies{})-1)
}

// latencyBound returns the longest duration of a class.
func latencyBound(class int) time.Duration {
	return time.Duration(float64(time.Millisecond) * math.Exp2(float64(class)/4))
}
