package alert_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
)

// mortal is a store whose owner can be killed: from then on it takes no writes.
type mortal struct {
	*alert.MemoryStore
	mu   sync.Mutex
	dead bool
}

func (m *mortal) kill() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.dead = true
}

func (m *mortal) Open(ctx context.Context) iter.Seq2[alert.Record, error] {
	return m.MemoryStore.Open(ctx)
}

func (m *mortal) Write(ctx context.Context, changes []alert.Record) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.dead {
		return alert.ErrNotOwner
	}
	return m.MemoryStore.Write(ctx, changes)
}

// witness is a target that outlives the routers. It checks, message by message, what a
// target may be told.
type witness struct {
	mu     sync.Mutex
	rand   *rand.Rand
	down   bool
	alive  func() bool
	firing map[string]bool // as the target believes
	seen   map[string]alert.Notification
	wrong  []string
}

func (w *witness) Notify(_ context.Context, n alert.Notification) (alert.Receipt, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.alive() {
		return "", errors.New("the process is dead")
	}
	if w.down {
		return "", &alert.Error{Service: "witness", Op: "tell", Unsent: true}
	}
	id := fmt.Sprintf("%s %d", n.Key, n.Seq)
	if before, again := w.seen[id]; again && !n.PossibleRepeat {
		w.wrong = append(w.wrong, fmt.Sprintf("%s came again, as %s after %s, and is not marked", id, n.Kind, before.Kind))
	}
	w.seen[id] = n
	for _, a := range n.Alerts {
		if a.State == alert.Firing {
			w.firing[a.Key] = true
		} else {
			delete(w.firing, a.Key)
		}
	}
	if w.rand.IntN(4) == 0 {
		return "", errors.New("the answer was lost")
	}
	return alert.Receipt(n.Key), nil
}

// The router is killed at random moments, with a target that is down at times and loses
// answers. In the end every target was told of everything that fired long enough, and of
// its end, and what came twice was marked.
//
// Requirement: AL-AM-RESOLVE, AL-GATUS-RESOLVE, AL-GATUS-OUTBOX
func TestKilledAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { killedAtRandom(t, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func killedAtRandom(t *testing.T, random *rand.Rand) {
	memory := &alert.MemoryStore{}
	w := &witness{rand: rand.New(rand.NewPCG(random.Uint64(), 1)), firing: make(map[string]bool), seen: make(map[string]alert.Notification)}
	var r *alert.Router
	var store *mortal
	start := func() {
		store = &mortal{MemoryStore: memory}
		mine := store
		w.mu.Lock()
		w.alive = func() bool { mine.mu.Lock(); defer mine.mu.Unlock(); return !mine.dead }
		w.mu.Unlock()
		var err error
		r, err = alert.NewRouter(alert.RouterConfig{
			Store: store, Logger: quiet, Targets: []alert.Target{{Name: "w", Notifier: w, RemindAfter: 20 * time.Minute, PerSecond: 100, Burst: 100}},
			Routes: []alert.Route{{Name: "all", Targets: []string{"w"}, GroupBy: []string{"rule"}}},
		})
		require.NoError(t, err)
		require.NoError(t, r.Start(t.Context()))
	}
	start()
	alerts := make(map[string]alert.Alert)
	for range 120 {
		switch random.IntN(8) {
		case 0:
			store.kill()
			_ = r.Stop(t.Context())
			start()
		case 1:
			w.mu.Lock()
			w.down = !w.down
			w.mu.Unlock()
		default:
			a := slow(alert.Firing)
			a.Entity = fmt.Sprint(random.IntN(6))
			a.Rule = fmt.Sprintf("rule-%d", random.IntN(3))
			a.Key = alert.Key(a.Rule, a.Environment, a.Entity, alert.Failing)
			if _, on := alerts[a.Key]; on && random.IntN(2) == 0 {
				a.State, a.Ended = alert.Resolved, time.Now()
				delete(alerts, a.Key)
			} else {
				alerts[a.Key] = a
			}
			require.NoError(t, r.Handle(t.Context(), a))
		}
		time.Sleep(time.Duration(random.IntN(int(90 * time.Second))))
	}
	w.mu.Lock()
	w.down = false
	w.mu.Unlock()
	time.Sleep(time.Hour)
	synctest.Wait()
	w.mu.Lock()
	for key := range alerts {
		assert.True(t, w.firing[key], "an alert that fires was not told: %s", alerts[key].Rule)
	}
	w.mu.Unlock()
	for _, a := range alerts {
		a.State, a.Ended = alert.Resolved, time.Now()
		require.NoError(t, r.Handle(t.Context(), a))
	}
	time.Sleep(2 * time.Hour)
	synctest.Wait()
	assert.Empty(t, r.Alerts())
	assert.Empty(t, r.Deliveries())
	assert.Empty(t, w.firing, "the end of what was told was not told")
	assert.Empty(t, w.wrong)
	require.NoError(t, r.Stop(t.Context()))
}
