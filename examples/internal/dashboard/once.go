package dashboard

import (
	"slices"
	"sync"
	"time"
)

// How long it is remembered that a form was sent, and of how many.
const (
	onceFor  = 30 * time.Minute
	onceMost = 2000
)

// onces remembers which forms were sent, so that a button that is pressed twice does
// nothing twice. What else may be sent twice, through another process, is told by the state
// that forms carry; see [action].
type onces struct {
	mu   sync.Mutex
	done map[string]*once
}

// A once is one form that was sent.
type once struct {
	ended chan struct{}
	at    time.Time
	to    string // where it led
	good  bool
}

// do carries out what a form asks for, unless it was sent before: then it waits for how that
// ended, and returns where it led. What was refused can be sent again. Without a key it is
// carried out.
func (o *onces) do(key string, act func() (to string, good bool)) (to string, good bool) {
	if key == "" {
		return act()
	}
	for {
		o.mu.Lock()
		before := o.done[key]
		if before == nil {
			break
		}
		o.mu.Unlock()
		<-before.ended
		if before.good {
			return before.to, true
		}
	}
	mine := &once{ended: make(chan struct{}), at: time.Now()}
	o.forget(mine.at)
	o.done[key] = mine
	o.mu.Unlock()
	defer func() {
		o.mu.Lock()
		mine.to, mine.good = to, good
		if !good {
			delete(o.done, key)
		}
		o.mu.Unlock()
		close(mine.ended)
	}()
	return act()
}

// forget forgets what was long ago, and the oldest if there is too much.
func (o *onces) forget(now time.Time) {
	for key, one := range o.done {
		if now.Sub(one.at) > onceFor {
			delete(o.done, key)
		}
	}
	if len(o.done) < onceMost {
		return
	}
	keys := make([]string, 0, len(o.done))
	for key := range o.done {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return o.done[a].at.Compare(o.done[b].at) })
	for _, key := range keys[:len(keys)-onceMost/2] {
		delete(o.done, key)
	}
}
