package statuspage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// patience is how long a call of the host may take.
const patience = 5 * time.Second

// errHung means that a call has not returned in time, whatever its context said.
var errHung = errors.New("it does not return, though its time is over")

// A source is something of the host that is asked from time to time: never twice at
// once, and with a time limit. Between, and while it fails or hangs, there is what
// it said last.
type source[T any] struct {
	what  string        // for the log
	every time.Duration // between two calls
	old   time.Duration // a value of that age is worth waiting for a better one
	ask   func(ctx context.Context, last T) (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	value   T
	got     time.Time // when value came; zero if none has
	asked   time.Time
	err     error // of the latest call
	serial  uint64
	running chan struct{} // closed when the call that runs now has returned
}

// A said is what a source said last.
type said[T any] struct {
	value  T
	got    time.Time
	err    error
	serial uint64 // changes with value and err
}

// get asks the source if it is time to, waits for a little while, or for longer if
// there is nothing recent to show instead and the last call went well, and returns
// what it said last.
func (s *source[T]) get(ctx context.Context) said[T] {
	now := time.Now()
	s.mu.Lock()
	if s.running == nil && (s.asked.IsZero() || now.Sub(s.asked) >= s.every) {
		s.asked, s.running = now, make(chan struct{})
		go s.call(context.WithoutCancel(ctx), s.value)
	}
	running := s.running
	wait := 100 * time.Millisecond
	if s.err == nil && now.Sub(s.got) > s.old { // nothing speaks against an answer
		wait = patience - now.Sub(s.asked)
	}
	s.mu.Unlock()
	if running != nil && wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-running:
		case <-timer.C:
		}
	}
	return s.last()
}

func (s *source[T]) last() said[T] {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil && s.err == nil && time.Since(s.asked) >= patience {
		s.failed(errHung)
	}
	return said[T]{s.value, s.got, s.err, s.serial}
}

// call asks once. It outlives whoever wanted to know, but not its time limit.
func (s *source[T]) call(ctx context.Context, last T) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	value, err := s.safely(ctx, last)
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.running)
	s.running = nil
	if err != nil {
		s.failed(err)
		return
	}
	if s.err != nil {
		s.log.InfoContext(ctx, "status page: it works again", "what", s.what)
	}
	s.value, s.got, s.err = value, time.Now(), nil
	s.serial++
}

// failed notes an error. s.mu is held.
func (s *source[T]) failed(err error) {
	if s.err == nil {
		s.log.Warn("status page: what was known last is shown", "what", s.what, "error", err)
	}
	s.err = err
	s.serial++
}

func (s *source[T]) safely(ctx context.Context, last T) (value T, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("it panicked: %v", v)
		}
	}()
	return s.ask(ctx, last)
}
