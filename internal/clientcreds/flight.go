package clientcreds

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// flightTime is how long a flight may take, whoever waits for it.
const flightTime = 2 * time.Minute

// A Flight lets one call serve all who ask for the same at the same time. The
// zero Flight is ready to use.
type Flight[T any] struct {
	mu  sync.Mutex
	now *landing[T]
}

type landing[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// Do returns what fn returns, or what the call of fn that is under way will.
// The call goes on if the one who began it gives up, because others may wait
// for it, and because a refresh that is given up half way can lose a token: fn
// gets a context without the caller's end, and with a limit of two minutes.
func (f *Flight[T]) Do(ctx context.Context, fn func(context.Context) (T, error)) (T, error) {
	f.mu.Lock()
	l := f.now
	if l == nil {
		l = &landing[T]{done: make(chan struct{})}
		f.now = l
		go f.fly(context.WithoutCancel(ctx), l, fn)
	}
	f.mu.Unlock()
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
		var zero T
		return zero, fmt.Errorf("waiting for a token: %w", context.Cause(ctx))
	}
}

func (f *Flight[T]) fly(ctx context.Context, l *landing[T], fn func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, flightTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			// Of the host's function that signs or stores.
			l.err = fmt.Errorf("panic while getting a token: %v", p)
		}
		f.mu.Lock()
		f.now = nil
		f.mu.Unlock()
		close(l.done)
	}()
	l.value, l.err = fn(ctx)
}
