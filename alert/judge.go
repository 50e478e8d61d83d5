package alert

import (
	"math/bits"
	"time"
)

// judgement is what a judge says.
type judgement uint8

const (
	nothing judgement = iota // too little is known
	good
	bad
)

// A verdict is a judgement, and what it is based on.
type verdict struct {
	says   judgement
	reason Reason // why it says so, if not by the condition
	value  float64
	limit  float64
	text   string
}

// sample is what a source said.
type sample struct {
	at        time.Time
	value     float64
	failed    bool
	good, bad uint64
	moment    time.Time
	text      string
}

// A judge keeps what a condition needs of one source. It belongs to the lock of the
// feed. Times are compared by the monotonic clock, but for moments on a calendar.
type judge interface {
	// take takes a sample.
	take(s sample)
	// verdict judges as of now. fires is whether the alert fires: recovering has a limit
	// of its own.
	verdict(now time.Time, fires bool) verdict
	// skip forgives a time in which nothing could be observed.
	skip(gap time.Duration)
	// pace is how often time alone may change the verdict. Zero means never.
	pace() time.Duration
	// byClock says that time decides whether or not there are new samples.
	byClock() bool
	// recall is for how long it has to watch, having forgotten everything in a restart,
	// before what it calls good says that something is over.
	recall() time.Duration
}

// still is the part of judges to which time does nothing.
type still struct{}

func (still) skip(time.Duration)    {}
func (still) pace() time.Duration   { return 0 }
func (still) byClock() bool         { return false }
func (still) recall() time.Duration { return 0 }

func orLimit(recovered, limit float64) float64 {
	if recovered == 0 {
		return limit
	}
	return recovered
}

type levelJudge struct {
	still

	limit, recovered, sign float64 // sign is -1 for a limit from below
	value                  float64
	known                  bool
}

func (c Above) judge() judge {
	return &levelJudge{limit: c.Limit, recovered: orLimit(c.Recover, c.Limit), sign: 1}
}

func (c Below) judge() judge {
	return &levelJudge{limit: c.Limit, recovered: orLimit(c.Recover, c.Limit), sign: -1}
}

func (j *levelJudge) take(s sample) { j.value, j.known = s.value, true }

func (j *levelJudge) verdict(_ time.Time, fires bool) verdict {
	v := verdict{value: j.value, limit: j.limit}
	if !j.known {
		return v
	}
	limit := j.limit
	if fires {
		limit = j.recovered
	}
	v.says = good
	if j.sign*j.value > j.sign*limit {
		v.says = bad
	}
	return v
}

type rowJudge struct {
	still

	fail, pass int
	fails, ok  int
	text       string
}

func (c Failures) judge() judge {
	orDefault(&c.Fail, 3)
	orDefault(&c.Pass, 1)
	return &rowJudge{fail: c.Fail, pass: c.Pass}
}

func (j *rowJudge) take(s sample) {
	if s.failed {
		j.fails, j.ok, j.text = j.fails+1, 0, s.text
		return
	}
	j.fails, j.ok = 0, j.ok+1
}

func (j *rowJudge) verdict(_ time.Time, fires bool) verdict {
	v := verdict{value: float64(j.fails), limit: float64(j.fail), text: j.text}
	switch {
	case j.fails == 0 && j.ok == 0:
	case j.fails >= j.fail, fires && j.ok < j.pass:
		v.says = bad
	default:
		v.says = good
	}
	return v
}

type shareJudge struct {
	still

	n, m  int
	seen  int
	fails uint64 // the last results, a bit each
	text  string
}

func (c NofM) judge() judge { return &shareJudge{n: c.N, m: c.M} }

func (j *shareJudge) take(s sample) {
	j.seen = min(j.seen+1, j.m)
	j.fails <<= 1
	if s.failed {
		j.fails |= 1
		j.text = s.text
	}
	if j.m < 64 {
		j.fails &= 1<<j.m - 1
	}
}

func (j *shareJudge) verdict(_ time.Time, fires bool) verdict {
	fails := bits.OnesCount64(j.fails)
	v := verdict{value: float64(fails), limit: float64(j.n), text: j.text}
	switch {
	case fails >= j.n:
		v.says = bad
	case fires && fails+j.m-j.seen >= j.n: // results from before a restart may have failed
	case j.seen > 0:
		v.says = good
	}
	return v
}

type silentJudge struct {
	limit time.Duration
	since time.Time // of the last beat, or the first moment
	beat  bool
}

func (c Silent) judge() judge { return &silentJudge{limit: c.Period + c.Grace} }

func (j *silentJudge) take(s sample) { j.since, j.beat = s.at, true }

func (j *silentJudge) verdict(now time.Time, fires bool) verdict {
	if j.since.IsZero() {
		j.since = now
	}
	silence := now.Sub(j.since)
	v := verdict{value: silence.Seconds(), limit: j.limit.Seconds()}
	switch {
	case silence > j.limit && j.beat:
		v.says, v.text = bad, "The last beat came at "+instant(j.since)+"."
	case silence > j.limit:
		v.says, v.text = bad, "No beat has come since "+instant(j.since)+", when waiting for it began."
	case j.beat:
		v.says = good
	}
	return v
}

func (j *silentJudge) skip(gap time.Duration) {
	if !j.since.IsZero() {
		j.since = j.since.Add(gap)
	}
}
func (*silentJudge) pace() time.Duration   { return time.Second }
func (*silentJudge) byClock() bool         { return true }
func (*silentJudge) recall() time.Duration { return 0 }

func instant(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

type momentJudge struct {
	still

	within time.Duration // before the moment; negative after it
	moment time.Time
}

func (c Due) judge() judge  { return &momentJudge{within: c.Within} }
func (c Aged) judge() judge { return &momentJudge{within: -c.Over} }

func (j *momentJudge) take(s sample) { j.moment = s.moment.Round(0) } // the clock on the wall counts

func (j *momentJudge) verdict(now time.Time, _ bool) verdict {
	if j.moment.IsZero() {
		return verdict{}
	}
	left := j.moment.Sub(now)
	v := verdict{says: good, value: left.Hours() / 24, limit: j.within.Hours() / 24}
	if j.within < 0 {
		v.value, v.limit = -v.value, -v.limit
	}
	if left < j.within {
		v.says, v.text = bad, "It is about "+instant(j.moment)+"."
	}
	return v
}

func (*momentJudge) pace() time.Duration { return slowPace }
func (*momentJudge) byClock() bool       { return true }

// slowPace is how often to look at what takes minutes or days.
const slowPace = 15 * time.Second

type changedJudge struct {
	still

	hold    time.Duration
	text    string
	before  string
	changed time.Time
	known   bool
}

func (c Changed) judge() judge {
	orDefault(&c.For, 15*time.Minute)
	return &changedJudge{hold: c.For}
}

func (j *changedJudge) take(s sample) {
	if j.known && s.text != j.text {
		j.before, j.changed = j.text, s.at
	}
	j.text, j.known = s.text, true
}

func (j *changedJudge) verdict(now time.Time, _ bool) verdict {
	switch {
	case !j.known:
		return verdict{}
	case !j.changed.IsZero() && now.Sub(j.changed) < j.hold:
		return verdict{says: bad, text: j.before + " → " + j.text}
	}
	return verdict{says: good, text: j.text}
}

func (j *changedJudge) skip(gap time.Duration) {
	if !j.changed.IsZero() {
		j.changed = j.changed.Add(gap)
	}
}
func (*changedJudge) pace() time.Duration     { return slowPace }
func (j *changedJudge) recall() time.Duration { return j.hold }

// textJudge keeps the text of a source for Unequal, which the engine judges over all of
// them; Combined is judged by the engine too.
type textJudge struct {
	still

	text  string
	known bool
	wait  time.Duration
}

func (Unequal) judge() judge  { return &textJudge{wait: 5 * time.Minute} } // until all have spoken
func (Combined) judge() judge { return &textJudge{} }

func (j *textJudge) take(s sample)                 { j.text, j.known = s.text, true }
func (*textJudge) verdict(time.Time, bool) verdict { return verdict{} }
func (j *textJudge) recall() time.Duration         { return j.wait }
