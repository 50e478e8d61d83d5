package ltitest

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// A NonceStoreCase is a nonce store for one test.
type NonceStoreCase struct {
	// Store is the implementation, with nothing in it.
	Store lti.NonceStore
	// Replica returns another store that shares what Store remembers, as another
	// replica of a tool has it. Nil declines the cases with several.
	Replica func() lti.NonceStore
	// Pass lets so much time pass for what is remembered: by waiting, by setting
	// a clock, or by making everything that is stored older. Nil declines the
	// cases in which nonces expire.
	Pass func(d time.Duration)
	// KeepsLonger is for how much longer than it was asked to the store may
	// remember.
	KeepsLonger time.Duration
	// Break makes the store's server or file unreachable from now on. Nil
	// declines.
	Break func()
}

// A NonceStoreHarness is what [TestNonceStore] needs of an implementation.
type NonceStoreHarness struct {
	// New returns a fresh store.
	New func(t testing.TB) NonceStoreCase
	// Run runs a test: for a store that goes by [time.Now] it may be
	// synctest.Test. Nil means directly.
	Run func(t *testing.T, test func(t *testing.T))
	// Races is how many nonces are fought for, each by [Racers] calls at the same
	// time, made to two replicas where there are any. Zero means 500.
	Races int
}

func (h NonceStoreHarness) races() int {
	if h.Races == 0 {
		return 500
	}
	return h.Races
}

// Racers is how many calls at the same time [TestNonceStore] makes for a nonce.
const Racers = 4

// TestNonceStore checks what [lti.NonceStore] asks of an implementation.
func TestNonceStore(t *testing.T, h NonceStoreHarness) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, h NonceStoreHarness, c NonceStoreCase)
	}{
		{"once", testNonceOnce},
		{"ids are apart", testNoncesApart},
		{"one winner", testNonceRaces},
		{"one winner among replicas", testNonceReplicas},
		{"expired ones are forgotten", testNonceExpiry},
		{"live ones are kept", testNoncesLive},
		{"time that is over", testNonceOver},
		{"far future", testNonceFarFuture},
		{"ended context", testNonceContext},
		{"read-only context", testNonceReadOnly},
		{"down", testNonceDown},
	} {
		t.Run(test.name, func(t *testing.T) {
			run := h.Run
			if run == nil {
				run = func(t *testing.T, test func(t *testing.T)) { test(t) }
			}
			run(t, func(t *testing.T) { test.run(t, h, h.New(t)) })
		})
	}
}

// nonceIDs returns n different ids.
func nonceIDs(n int) []lti.NonceID {
	ids := make([]lti.NonceID, n)
	for i := range ids {
		ids[i] = lti.NewNonceID("https://platform.example.com", "client", strconv.Itoa(i))
	}
	return ids
}

func use(t testing.TB, s lti.NonceStore, id lti.NonceID, until time.Time) {
	t.Helper()
	if err := s.Use(t.Context(), id, until); err != nil {
		t.Fatalf("the first use: %v", err)
	}
}

func useAgain(t testing.TB, s lti.NonceStore, id lti.NonceID, until time.Time) {
	t.Helper()
	err := s.Use(t.Context(), id, until)
	if !errors.Is(err, lti.ErrNonceUsed) {
		t.Fatalf("another use: error %v; want one that is ErrNonceUsed", err)
	}
	if strings.Contains(err.Error(), id.String()) {
		t.Errorf("the error %q has the id", err)
	}
}

func purge(t testing.TB, s lti.NonceStore, want int) {
	t.Helper()
	got, err := s.PurgeExpired(t.Context())
	if err != nil {
		t.Fatalf("purge: %v", err)
	}
	if got > want { // fewer is right: a store may forget by itself
		t.Errorf("purged %d; only %d had expired", got, want)
	}
}

func testNonceOnce(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	id, until := lti.NewNonceID("https://platform.example.com", "client", "n-0S6_WzA2Mj"), time.Now().Add(time.Hour)
	use(t, c.Store, id, until)
	useAgain(t, c.Store, id, until)
	// Another token with the same nonce is a replay too, whenever it expires.
	useAgain(t, c.Store, id, until.Add(time.Hour))
	useAgain(t, c.Store, id, until.Add(-30*time.Minute))
	purge(t, c.Store, 0)
	useAgain(t, c.Store, id, until)
}

func testNoncesApart(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	until := time.Now().Add(time.Hour)
	use(t, c.Store, lti.NonceID{}, until)
	for i := range 128 { // ids that differ in one bit
		var id lti.NonceID
		id[i/8] = 1 << (i % 8)
		use(t, c.Store, id, until)
	}
	for _, parts := range [][3]string{{"a", "b", "c"}, {"a", "b", "d"}, {"a", "c", "c"}, {"b", "b", "c"}, {"ab", "", "c"}, {"", "ab", "c"}, {"a", "bc", ""}} {
		use(t, c.Store, lti.NewNonceID(parts[0], parts[1], parts[2]), until)
	}
	useAgain(t, c.Store, lti.NonceID{}, until)
}

func testNonceRaces(t *testing.T, h NonceStoreHarness, c NonceStoreCase) {
	stores := make([]lti.NonceStore, Racers)
	for i := range stores {
		stores[i] = c.Store
	}
	races := h.races()
	if c.Replica != nil { // which fight harder, in a case of their own
		races = min(races, 500)
	}
	race(t, races, stores)
}

func testNonceReplicas(t *testing.T, h NonceStoreHarness, c NonceStoreCase) {
	if c.Replica == nil {
		t.Skip("the store has no replicas")
	}
	first, second := c.Store, c.Replica()
	race(t, h.races(), []lti.NonceStore{first, second, first, second})
	id, until := nonceIDs(1_001)[1_000], time.Now().Add(time.Hour)
	use(t, first, id, until)
	useAgain(t, second, id, until)
	purge(t, second, 0)
	useAgain(t, first, id, until)
}

// race lets the stores fight for one nonce after another, in several lanes at a
// time, so that the calls of each nonce meet and other calls run beside them.
func race(t *testing.T, races int, stores []lti.NonceStore) {
	const lanes = 4
	until := time.Now().Add(time.Hour)
	var next, won atomic.Int64
	var lane sync.WaitGroup
	for range lanes {
		lane.Go(func() {
			for i := next.Add(1); i <= int64(races) && !t.Failed(); i = next.Add(1) {
				id := lti.NewNonceID("https://platform.example.com", "race", strconv.FormatInt(i, 10))
				if winners := raceFor(t, stores, id, until); winners != 1 {
					t.Errorf("nonce %d: %d calls succeeded; want one", i, winners)
				}
				won.Add(1)
			}
		})
	}
	lane.Wait()
	if !t.Failed() && won.Load() != int64(races) {
		t.Errorf("%d races were run; want %d", won.Load(), races)
	}
}

// raceFor returns how many of the stores took a nonce.
func raceFor(t *testing.T, stores []lti.NonceStore, id lti.NonceID, until time.Time) int64 {
	var winners atomic.Int64
	var racers sync.WaitGroup
	start := make(chan struct{})
	for _, s := range stores {
		racers.Go(func() {
			<-start
			switch err := s.Use(t.Context(), id, until); {
			case err == nil:
				winners.Add(1)
			case !errors.Is(err, lti.ErrNonceUsed):
				t.Errorf("a call that lost: %v; want ErrNonceUsed", err)
			}
		})
	}
	close(start)
	racers.Wait()
	return winners.Load()
}

func testNonceExpiry(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	if c.Pass == nil {
		t.Skip("the harness lets no time pass")
	}
	const n = 40
	until := time.Now().Add(time.Hour)
	ids := nonceIDs(n)
	for _, id := range ids {
		use(t, c.Store, id, until)
	}
	c.Pass(time.Hour + time.Second + c.KeepsLonger)
	later := time.Now().Add(2 * time.Hour)
	use(t, c.Store, ids[0], later) // also one that nobody has removed yet
	useAgain(t, c.Store, ids[0], later)
	purge(t, c.Store, n-1)
	for _, id := range ids[1:] {
		use(t, c.Store, id, later)
	}
	useAgain(t, c.Store, ids[0], later)
	purge(t, c.Store, 0)
}

func testNoncesLive(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	if c.Pass == nil {
		t.Skip("the harness lets no time pass")
	}
	now := time.Now()
	ids := nonceIDs(40)
	until := func(i int) time.Time { return now.Add(time.Duration(1+i%2) * time.Hour) }
	for i, id := range ids {
		use(t, c.Store, id, until(i))
	}
	c.Pass(59 * time.Minute)
	purge(t, c.Store, 0)
	for i, id := range ids {
		useAgain(t, c.Store, id, until(i))
	}
	c.Pass(2*time.Minute + c.KeepsLonger)
	purge(t, c.Store, len(ids)/2)
	for i, id := range ids {
		if i%2 == 1 {
			useAgain(t, c.Store, id, until(i))
		}
	}
}

func testNonceOver(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	id := nonceIDs(1)[0]
	for _, until := range []time.Time{{}, time.Unix(0, 0), time.Now().Add(-time.Hour), time.Now()} {
		err := c.Store.Use(t.Context(), id, until)
		if !errors.Is(err, lti.ErrNonceExpired) || errors.Is(err, lti.ErrNonceUsed) {
			t.Errorf("until %v: error %v; want ErrNonceExpired", until, err)
		}
	}
}

func testNonceFarFuture(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	ids := nonceIDs(4)
	ends := []time.Time{
		time.Now().AddDate(60, 0, 0), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC),
		time.Unix(1<<55, 999_999_999), time.Unix(1<<62, 0),
	}
	for i, until := range ends {
		use(t, c.Store, ids[i], until)
	}
	purge(t, c.Store, 0)
	for i, until := range ends {
		useAgain(t, c.Store, ids[i], until)
	}
}

func testNonceContext(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id, until := nonceIDs(1)[0], time.Now().Add(time.Hour)
	err := c.Store.Use(ctx, id, until)
	if !errors.Is(err, context.Canceled) || errors.Is(err, lti.ErrNonceUsed) {
		t.Errorf("error %v; want context.Canceled", err)
	}
	use(t, c.Store, id, until) // nothing was recorded
	if err := c.Store.Use(ctx, id, until); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v of a second use; want context.Canceled", err)
	}
}

func testNonceReadOnly(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	id, until := nonceIDs(1)[0], time.Now().Add(time.Hour)
	err := c.Store.Use(runbook.ReadOnly(t.Context()), id, until)
	if !errors.Is(err, runbook.ErrReadOnly) || !runbook.SafeToRetry(err) {
		t.Errorf("error %v; want one that is runbook.ErrReadOnly, and says that nothing was done", err)
	}
	use(t, c.Store, id, until) // nothing was recorded
}

func testNonceDown(t *testing.T, _ NonceStoreHarness, c NonceStoreCase) {
	if c.Break == nil {
		t.Skip("the store cannot break")
	}
	ids, until := nonceIDs(2), time.Now().Add(time.Hour)
	use(t, c.Store, ids[0], until)
	c.Break()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, id := range ids {
		err := c.Store.Use(ctx, id, until)
		if err == nil || errors.Is(err, lti.ErrNonceUsed) {
			t.Errorf("error %v of a store that is down; want another one", err)
			continue
		}
		if strings.Contains(err.Error(), id.String()) {
			t.Errorf("the error %q has the id", err)
		}
	}
}
