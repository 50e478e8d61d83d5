package canvastest

import (
	"strconv"
	"sync"
	"time"
)

// bucketTTL is how long Canvas remembers a bucket after its last change.
const bucketTTL = time.Hour

// Buckets hold the state of the throttle, one bucket for each client
// identifier, as the Redis of a Canvas cluster does. Each [Server] has its own
// unless several are given the same ones: schools on one cluster share the
// buckets of LTI services. The zero value is empty and ready. Buckets are safe
// for concurrent use.
type Buckets struct {
	mu sync.Mutex
	m  map[string]bucket
}

type bucket struct {
	count   float64
	touched float64   // the application server's clock, in seconds
	written time.Time // decides when the bucket is forgotten
}

// increment is the one atomic step of the throttle: it leaks, adds, clamps and
// stores, and returns the count. The order matters. The leak may take the count
// far below zero before the amount is added, and only the sum is clamped, at the
// maximum first and at zero then. So a bucket that rested with a little in it
// swallows the next reservation whole.
//
// The count is returned as Canvas' script returns it, with 14 significant
// digits, and kept with all of them.
func (b *Buckets) increment(id string, delta, now float64, set limits) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	wall := time.Now()
	k, ok := b.m[id]
	if !ok || !wall.Before(k.written.Add(bucketTTL)) {
		k = bucket{touched: now}
	}
	count := k.count
	if count > 0 && now > k.touched {
		count -= set.outflow * (now - k.touched)
	}
	count += delta
	if count > set.maximum {
		count = set.maximum
	}
	if count < 0 {
		count = 0
	}
	if b.m == nil {
		b.m = make(map[string]bucket)
	}
	b.m[id] = bucket{count: count, touched: now, written: wall}
	return digits14(count)
}

// peek returns what the bucket holds at a moment, without touching it. Unlike
// the arithmetic of increment it does not go below zero.
func (b *Buckets) peek(id string, now float64, set limits) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.m[id]
	if !ok || !time.Now().Before(k.written.Add(bucketTTL)) {
		return 0
	}
	return max(0, k.count-set.outflow*max(0, now-k.touched))
}

// digits14 rounds as Lua's tostring does, through which the count comes back.
func digits14(x float64) float64 {
	if x == 0 {
		return 0
	}
	y, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', 14, 64), 64)
	if err != nil {
		return x
	}
	return y
}

// rubyFloat writes a float as Ruby's Float#to_s does, which is how the two
// headers of the throttle carry it: always with a decimal point, and with an
// exponent below 0.0001.
func rubyFloat(x float64) string {
	abs := max(x, -x)
	if abs != 0 && (abs < 1e-4 || abs >= 1e16) {
		s := strconv.FormatFloat(x, 'e', -1, 64)
		for i := range s {
			if s[i] == '.' {
				return s
			}
			if s[i] == 'e' {
				return s[:i] + ".0" + s[i:]
			}
		}
		return s
	}
	s := strconv.FormatFloat(x, 'f', -1, 64)
	for i := range s {
		if s[i] == '.' {
			return s
		}
	}
	return s + ".0"
}

// seconds is a moment on the application server's clock as the throttle sees
// it: a float, with the precision that a float has.
func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }
