// Package flight lets one call serve all who want its result at the same time.
package flight

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// limit is how long a call may take, whoever waits for it.
const limit = 2 * time.Minute

// A Flight is a call that is made once at a time. The zero Flight is ready to
// use, and safe for concurrent use.
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
	l := f.join(ctx, fn)
	select {
	case <-l.done:
		return l.value, l.err
	case <-ctx.Done():
		var zero T
		return zero, fmt.Errorf("waiting for a call that is shared: %w", context.Cause(ctx))
	}
}

// Start begins a call of fn unless one is under way, as Do does, and does not
// wait for it.
func (f *Flight[T]) Start(ctx context.Context, fn func(context.Context) (T, error)) {
	f.join(ctx, fn)
}

func (f *Flight[T]) join(ctx context.Context, fn func(context.Context) (T, error)) *landing[T] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.now == nil {
		f.now = &landing[T]{done: make(chan struct{})}
		go f.fly(context.WithoutCancel(ctx), f.now, fn)
	}
	return f.now
}

func (f *Flight[T]) fly(ctx context.Context, l *landing[T], fn func(context.Context) (T, error)) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			// Of the host's functions: one that signs, stores or listens.
			l.err = fmt.Errorf("panic in a call that is shared: %v", p)
		}
		f.mu.Lock()
		f.now = nil
		f.mu.Unlock()
		close(l.done)
	}()
	l.value, l.err = fn(ctx)
}
