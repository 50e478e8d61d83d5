package alert

import (
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A Feed is where the samples of one source are put; see [Engine.Feed]. Its methods
// evaluate the rules of the input at once; they do not wait for whoever is told, and do
// not allocate unless an alert begins, changes or ends. A sample of another kind than the
// input's is ignored, and so is what comes after Close.
type Feed struct {
	e *Engine
	source
	mu     sync.Mutex
	states []*ruleState
	last   time.Time // of a sample, or of a failure to get one
	seen   time.Time // of the last tick or sample; zero before the first tick
	failed time.Time // since when it could not be measured
	reason string    // why not
	closed bool
	spoke  bool // something has come

	claimed bool // somebody has asked for it
}

type source struct {
	Source
	labels   map[string]string
	input    InputKind
	unit     health.Unit
	every    time.Duration
	parents  []thing  // those that explain this one
	affected []string // those that fail because of this one
}

// A thing is an entity of an environment. What is a check has the input of its results too.
type thing struct{ environment, entity, input string }

// Limits of texts from outside.
const (
	longestDetail = 300
	longestText   = 200
)

// Observe puts a value of a [Gauge]. What is no number, or infinite, could not be
// measured.
func (f *Feed) Observe(value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		f.fail("the value is not a number", Gauge)
		return
	}
	f.put(sample{value: value}, Gauge)
}

// Result puts a result of [Checks]; detail says why it failed, in at most 300 characters.
func (f *Feed) Result(failed bool, detail string) {
	f.put(sample{failed: failed, text: short(detail, longestDetail)}, Checks)
}

// Count puts events of a [Counter]; detail says what the bad ones were, in at most 300
// characters. A source that reports regularly reports 0 and 0 as well. More than 2^40 of
// either at once count as 2^40.
func (f *Feed) Count(good, bad uint64, detail string) {
	const most = 1 << 40 // or their sum could begin at 0 again
	f.put(sample{good: min(good, most), bad: min(bad, most), text: short(detail, longestDetail)}, Counter)
}

// Beat puts a beat of a [Heartbeat].
func (f *Feed) Beat() { f.put(sample{}, Heartbeat) }

// Moment puts the moment of a [Moment]. The zero time says that it could not be read.
func (f *Feed) Moment(t time.Time) {
	if t.IsZero() {
		f.fail("the moment is not known", Moment)
		return
	}
	f.put(sample{moment: t}, Moment)
}

// Say puts the text of a [Text], of at most 200 characters. The empty text says that it
// could not be read.
func (f *Feed) Say(text string) {
	if text == "" {
		f.fail("the text is empty", Text)
		return
	}
	f.put(sample{text: short(text, longestText)}, Text)
}

// Fail says that the source could not be measured, which is our failure and not its
// own. It lasts until the next sample.
func (f *Feed) Fail(reason string) { f.fail(reason, f.input) }

func short(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return cut(text, n)
}

// Explain says which other entities of the environment explain what goes wrong here:
// their alerts keep this one's from being told. None means that it fails by itself.
func (f *Feed) Explain(entities ...string) {
	var parents []thing
	for _, entity := range entities {
		parents = append(parents, thing{environment: f.Environment, entity: entity})
	}
	f.explain(parents)
}

func (f *Feed) explain(parents []thing) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && !slices.Equal(f.parents, parents) {
		f.parents = slices.Clone(parents)
		f.sendAll()
	}
}

// affects says which other things fail because of this one.
func (f *Feed) affects(entities []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && !slices.Equal(f.affected, entities) {
		f.affected = slices.Clone(entities)
		f.sendAll()
	}
}

func (f *Feed) sendAll() {
	for _, st := range f.states {
		if st.phase == phaseFiring {
			f.send(st)
		}
		for _, s := range [...]*side{&st.noData, &st.broken} {
			if s.fires {
				s.alert.Parents = f.sideParents(st, s.alert.Reason)
				f.e.out.put(s.alert)
			}
		}
	}
}

// Close ends the feed: the source is no longer watched, and its alerts are over. It may
// be called again.
func (f *Feed) Close() {
	f.end()
	f.e.forget(f)
}

func (f *Feed) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	now := time.Now()
	f.closed = true
	for _, st := range f.states {
		if st.phase != phaseFine {
			st.alert.Detail = "It is no longer watched."
			f.resolve(st, now)
		}
		f.resolveSide(&st.noData, now)
		f.resolveSide(&st.broken, now)
	}
}

// claim reports whether the feed is open, and takes note that somebody feeds it: the first one
// says its labels.
func (f *Feed) claim(labels map[string]string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && !f.claimed {
		f.claimed, f.labels = true, maps.Clone(labels)
	}
	return !f.closed
}

// isVacant reports whether nobody feeds it: it stands for an input only.
func (f *Feed) isVacant() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.claimed && !f.spoke
}

func (f *Feed) put(s sample, kind InputKind) {
	if f.input != kind {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	now := f.come()
	f.failed, f.reason = time.Time{}, ""
	s.at = now
	for _, st := range f.states {
		f.endSide(&st.noData, st.rule, now)
		f.endSide(&st.broken, st.rule, now)
		st.judge.take(s)
		f.step(st, st.judge.verdict(now, st.phase == phaseFiring), now)
	}
}

func (f *Feed) fail(reason string, kind InputKind) {
	if f.input != kind {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	now := f.come()
	if f.failed.IsZero() {
		f.failed = now
	}
	f.reason = short(reason, longestDetail)
	for _, st := range f.states {
		f.endSide(&st.noData, st.rule, now)
		f.brokenStep(st, now)
	}
}

// pause says that nothing is to be known of the source now, and that this is as it
// should be: everything stays as it is.
func (f *Feed) pause() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	now := f.come()
	f.failed, f.reason = time.Time{}, ""
	for _, st := range f.states {
		f.endSide(&st.noData, st.rule, now)
		f.endSide(&st.broken, st.rule, now)
	}
}

// come takes note that something has come from the source.
func (f *Feed) come() (now time.Time) {
	now = time.Now()
	f.catchUp(now)
	f.last, f.spoke = now, true
	return now
}

// catchUp takes note of a time in which nothing could be observed, as the program was
// stopped: it is missing data, and no time in a state. Before the engine runs there is no
// such time.
func (f *Feed) catchUp(now time.Time) {
	gap := now.Sub(f.seen) - f.e.cfg.Tick
	if f.seen.IsZero() {
		return
	}
	if f.seen = now; gap <= patience {
		return
	}
	f.last = f.last.Add(gap)
	if !f.failed.IsZero() {
		f.failed = f.failed.Add(gap)
	}
	for _, st := range f.states {
		st.skip(gap, now)
	}
}

// tick evaluates what time alone changes.
func (f *Feed) tick(now time.Time, jumped bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	if f.seen.IsZero() {
		f.seen = now
	}
	f.catchUp(now)
	for _, st := range f.states {
		if jumped {
			st.rearm(now)
		}
		f.tickState(st, now)
	}
}

func (f *Feed) tickState(st *ruleState, now time.Time) {
	unmeasured := true
	switch {
	case !f.failed.IsZero():
		f.endSide(&st.noData, st.rule, now)
		f.brokenStep(st, now)
	case st.after > 0 && now.Sub(f.last) > st.after:
		f.noDataStep(st, now)
	default:
		unmeasured = false
		if f.spoke { // else they are from before a restart
			f.endSide(&st.noData, st.rule, now)
			f.endSide(&st.broken, st.rule, now)
		}
	}
	// What the clock decides is judged without data as well.
	if st.pace > 0 && now.Sub(st.evaluated) >= st.pace && (!unmeasured || st.judge.byClock()) {
		f.step(st, st.judge.verdict(now, st.phase == phaseFiring), now)
	} else if !unmeasured {
		f.settle(st, now)
	}
}

// noDataAfter is after how long without a sample its absence is missing data.
func (f *Feed) noDataAfter(r *Rule) time.Duration {
	switch {
	case isSilent(r):
		return 0 // that is what it judges
	case r.NoDataAfter > 0:
		return r.NoDataAfter
	}
	return 3 * f.every
}

// alertOf makes the alert of a rule for this source.
func (f *Feed) alertOf(r *Rule, reason Reason) Alert {
	a := Alert{
		Key: Key(r.Name, f.Environment, f.Entity, reason), Rule: r.Name, Environment: f.Environment, Entity: f.Entity,
		Severity: r.Severity, Playbook: r.Playbook, Unit: r.When.unit(f.unit), Reason: reason,
	}
	if reason != Failing {
		a.Severity = min(a.Severity+1, Low) // it is about the measuring
	}
	if len(f.labels)+len(r.Labels) > 0 {
		a.Labels = make(map[string]string, len(f.labels)+len(r.Labels))
		maps.Copy(a.Labels, f.labels)
		maps.Copy(a.Labels, r.Labels)
	}
	return a
}

// parentKeys are the keys of the alerts that explain one of a rule, for a reason.
func (f *Feed) parentKeys(r *Rule, reason Reason) (keys []string) {
	add := func(rule string, of thing) {
		if key := Key(rule, of.environment, of.entity, reason); !slices.Contains(keys, key) {
			keys = append(keys, key)
		}
	}
	for _, p := range f.parents {
		add(r.Name, p)
	}
	for _, rule := range r.Parents {
		add(rule, thing{environment: f.Environment, entity: f.Entity})
		for _, p := range f.parents {
			add(rule, p)
		}
	}
	for _, p := range f.parents {
		for _, rule := range f.e.byInput[p.input] {
			add(rule.Name, p)
		}
	}
	return keys
}
