package healthtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/health"
)

// TestLease checks what [health.Lease] asks of an implementation: one holder at
// a time, also when many ask at once; results shared by the holder alone; a
// check of a replica that died or left goes to another. open makes a place for
// leases that is empty; the func that it returns gives the lease of a holder in
// that place, and is called with a different name for each. Several holders
// share the place.
//
// The lease may use any clock that does not stand still: the suite waits for
// leases of a few milliseconds to end, but not for an exact time.
func TestLease(t *testing.T, open func(t testing.TB) func(holder string) health.Lease) {
	for name, test := range map[string]func(*lease){
		"one holder":      (*lease).testOneHolder,
		"checks":          (*lease).testChecks,
		"takeover":        (*lease).testTakeover,
		"extended":        (*lease).testExtended,
		"released":        (*lease).testReleased,
		"results":         (*lease).testResults,
		"result survives": (*lease).testResultSurvives,
		"whole result":    (*lease).testWholeResult,
		"race":            (*lease).testRace,
		"race to succeed": (*lease).testRaceToSucceed,
		"cancelled":       (*lease).testCancelled,
	} {
		t.Run(name, func(t *testing.T) {
			holder := open(t)
			test(&lease{TB: t, a: holder("a"), b: holder("b"), holder: holder})
		})
	}
}

// A lease is the place that is looked at, with two holders.
type lease struct {
	testing.TB
	a, b   health.Lease
	holder func(name string) health.Lease
}

// Long is longer than any test, short ends while the test waits.
const (
	long  = time.Hour
	short = 20 * time.Millisecond
)

func (l *lease) acquire(from health.Lease, check string, ttl time.Duration) health.Grant {
	l.Helper()
	grant, err := from.Acquire(l.Context(), check, ttl)
	if err != nil {
		l.Fatalf("acquire: %v", err)
	}
	return grant
}

// granted demands that the lease is given, or not, and to whom.
func (l *lease) granted(g health.Grant, held bool, holder string) {
	l.Helper()
	if g.Held != held || g.Holder != holder {
		l.Errorf("held %v by %q, want %v by %q", g.Held, g.Holder, held, holder)
	}
}

// await asks until the lease is given.
func (l *lease) await(from health.Lease, check string) health.Grant {
	l.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(short / 4) {
		if grant := l.acquire(from, check, long); grant.Held {
			return grant
		}
	}
	l.Fatal("a lease that should end does not")
	return health.Grant{}
}

func (l *lease) publish(from health.Lease, check, message string) error {
	return from.Publish(l.Context(), check, health.Result{
		Status: health.Degraded, Cause: health.CauseSlow, Message: message,
		Time: time.Date(2026, 3, 10, 9, 0, 0, 123456789, time.UTC), Duration: time.Second,
	})
}

func (l *lease) lost(err error) {
	l.Helper()
	if !errors.Is(err, health.ErrLeaseLost) {
		l.Errorf("error %v, want ErrLeaseLost", err)
	}
}

func (l *lease) ok(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

func (l *lease) testOneHolder() {
	grant := l.acquire(l.a, "c", long)
	l.granted(grant, true, "a")
	if !grant.Result.Time.IsZero() {
		l.Errorf("there is a result before any was shared: %+v", grant.Result)
	}
	l.granted(l.acquire(l.b, "c", long), false, "a")
	l.granted(l.acquire(l.a, "c", long), true, "a")
	l.lost(l.publish(l.b, "c", "not mine"))
	l.lost(l.publish(l.a, "never acquired", "not mine"))
}

func (l *lease) testChecks() {
	l.granted(l.acquire(l.a, "c", long), true, "a")
	l.granted(l.acquire(l.b, "d", long), true, "b")
	l.granted(l.acquire(l.a, "d", long), false, "b")
}

// A replica dies without a word; its late result is refused.
func (l *lease) testTakeover() {
	l.granted(l.acquire(l.a, "c", short), true, "a")
	l.granted(l.await(l.b, "c"), true, "b")
	l.granted(l.acquire(l.a, "c", long), false, "b")
	l.lost(l.publish(l.a, "c", "late"))
	l.ok(l.publish(l.b, "c", "mine"))
}

// The last time to live counts, not the first, and not the longest.
func (l *lease) testExtended() {
	l.acquire(l.a, "c", short)
	l.granted(l.await(l.a, "c"), true, "a")
	l.granted(l.acquire(l.b, "c", long), false, "a")
	l.acquire(l.a, "c", short)
	l.granted(l.await(l.b, "c"), true, "b")
}

func (l *lease) testReleased() {
	for _, check := range []string{"c", "d"} {
		l.acquire(l.a, check, long)
	}
	l.acquire(l.b, "e", long)
	l.ok(l.publish(l.a, "c", "before"))
	l.ok(l.a.Release(l.Context()))
	l.lost(l.publish(l.a, "c", "after"))
	grant := l.acquire(l.b, "c", long)
	l.granted(grant, true, "b")
	if grant.Result.Message != "before" {
		l.Errorf("the result is %+v, want the one shared before", grant.Result)
	}
	l.granted(l.acquire(l.b, "d", long), true, "b")
	l.granted(l.acquire(l.a, "e", long), false, "b")
	l.ok(l.a.Release(l.Context())) // nothing is held
	l.granted(l.acquire(l.a, "e", long), false, "b")
}

func (l *lease) testResults() {
	l.acquire(l.a, "c", long)
	for _, message := range []string{"first", "second"} {
		l.ok(l.publish(l.a, "c", message))
		for _, from := range []health.Lease{l.a, l.b} {
			if got := l.acquire(from, "c", long).Result.Message; got != message {
				l.Errorf("the result says %q, want %q", got, message)
			}
		}
	}
}

func (l *lease) testResultSurvives() {
	l.acquire(l.a, "c", long)
	l.ok(l.publish(l.a, "c", "of a"))
	l.acquire(l.a, "c", short)
	if got := l.await(l.b, "c").Result.Message; got != "of a" {
		l.Errorf("the result says %q, want the one of the last holder", got)
	}
}

// A result arrives as it was, whatever its texts and numbers are.
func (l *lease) testWholeResult() {
	want := health.Result{
		Status: health.Unhealthy, Cause: "own_cause", Message: "line\none, \"two\" é 'x'",
		Measurements: []health.Measurement{
			{Name: "load", Value: 0.1 + 0.2, Unit: health.Percent},
			{Name: "version", Text: "1.2.3"},
			{Name: "endless", Value: math.Inf(-1)},
			{Name: "large", Value: math.MaxFloat64},
		},
		Time: time.Date(2026, 3, 10, 9, 0, 0, 123456789, time.UTC), Duration: 1234567 * time.Nanosecond,
	}
	l.acquire(l.a, "c", long)
	l.ok(l.a.Publish(l.Context(), "c", want))
	got := l.acquire(l.b, "c", long).Result
	if !got.Time.Equal(want.Time) {
		l.Errorf("time %v, want %v", got.Time, want.Time)
	}
	got.Time = want.Time
	if !reflect.DeepEqual(got, want) {
		l.Errorf("result\n%+v, want\n%+v", got, want)
	}
}

// contenders is how many ask at the same time.
const contenders = 16

// race lets all contenders ask at once, and returns who got it.
func (l *lease) race(check string) (winners []string) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range contenders {
		name := fmt.Sprint("contender ", i)
		from := l.holder(name)
		wg.Go(func() {
			<-start
			grant, err := from.Acquire(l.Context(), check, long)
			if err != nil {
				l.Errorf("acquire: %v", err)
			}
			if grant.Held {
				mu.Lock()
				defer mu.Unlock()
				winners = append(winners, name)
			}
		})
	}
	close(start)
	wg.Wait()
	return winners
}

func (l *lease) testRace() {
	winners := l.race("c")
	if len(winners) != 1 {
		l.Fatalf("%d of %d hold the lease: %v", len(winners), contenders, winners)
	}
	l.granted(l.acquire(l.a, "c", long), false, winners[0])
}

// The same for the place of one that has left.
func (l *lease) testRaceToSucceed() {
	l.acquire(l.a, "c", long)
	l.ok(l.a.Release(l.Context()))
	if winners := l.race("c"); len(winners) != 1 {
		l.Fatalf("%d of %d hold the lease: %v", len(winners), contenders, winners)
	}
}

func (l *lease) testCancelled() {
	ctx, cancel := context.WithCancel(l.Context())
	cancel()
	if grant, err := l.a.Acquire(ctx, "c", long); err == nil || grant.Held {
		l.Errorf("acquire does not honour its context: %+v, %v", grant, err)
	}
	if err := l.publish(l.a, "c", ""); err == nil {
		l.Error("a lease that was refused can publish")
	}
	if err := l.a.Release(ctx); err == nil {
		l.Error("release does not honour its context")
	}
}
