package httpx

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// A run is one call on its way. It belongs to the goroutine of Do, but for
// mayHaveRun, which a transport may set from another.
type run struct {
	c          *Client
	ctx        context.Context
	method     string
	idempotent bool
	once       bool

	mayHaveRun atomic.Bool // some attempt may have been run by the server
	attempts   int
	failures   int // attempts that failed, but for those not run
	rejections int // attempts that the server or the admission rejected
	wait       time.Duration
	last       verdict // of the attempt that just ended
}

// A verdict is what one attempt proves.
type verdict struct {
	known bool // the attempt reached the transport
	unrun bool // the server did not run it
	wait  time.Duration
}

type runKey struct{}

// check decides whether the call is tried again, and how long to wait before.
func (r *run) check(_ context.Context, resp *http.Response, err error) (bool, error) {
	last := r.last
	r.last = verdict{}
	r.attempts++
	refusal, refused := errors.AsType[*Refusal](err)
	if refused {
		last = verdict{known: true, unrun: true}
	}
	if !last.known && err != nil {
		// It failed before or beside the transport: nothing is proven.
		r.mayHaveRun.Store(true)
	}
	switch {
	case r.once, r.ctx.Err() != nil, refused && refusal.After < 0:
		return false, nil
	case refused:
		r.rejections++
		r.wait = refusal.After
		return r.rejections <= r.c.cfg.MaxRejections && r.inTime(), nil
	case resp != nil && last.unrun && last.wait < 0:
		return false, nil
	case resp != nil && last.unrun:
		r.rejections++
		r.wait = last.wait
		return r.rejections <= r.c.cfg.MaxRejections && r.inTime(), nil
	}
	if !r.isRead() && !last.unrun {
		return false, nil
	}
	if err != nil && isPermanent(err) || err == nil && !isTemporary(resp) {
		return false, nil
	}
	r.wait = jitter(min(r.c.cfg.MaxWait, r.c.cfg.MinWait<<min(r.failures, 16)))
	if resp != nil {
		if after, ok := RetryAfter(resp.Header); ok {
			if after > r.c.cfg.MaxWait {
				return false, nil
			}
			r.wait = after + jitter(r.c.cfg.MinWait)
		}
	}
	r.failures++
	return r.failures <= r.c.cfg.Retries && r.inTime(), nil
}

func (r *run) backoff(time.Duration, time.Duration, int, *http.Response) time.Duration {
	return r.wait
}

func (r *run) isRead() bool {
	return r.idempotent || r.method == http.MethodGet || r.method == http.MethodHead
}

// inTime reports whether the wait ends before the caller's deadline. An answer
// that says no is worth more than a deadline that passed while waiting.
func (r *run) inTime() bool {
	deadline, ok := r.ctx.Deadline()
	return !ok || time.Until(deadline) > r.wait
}

// isTemporary reports whether an answer is worth asking again for. 501 and 505
// will not change; 429 without Retry-After may have any meaning.
func isTemporary(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	case http.StatusTooManyRequests:
		_, ok := RetryAfter(resp.Header)
		return ok
	}
	return false
}

// isPermanent reports whether an error will be the same next time.
func isPermanent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return errors.Is(err, ErrTooLarge) || errors.Is(err, ErrTransport)
}

// RetryAfter reads a Retry-After field in both its forms, seconds and a date
// (RFC 9110, section 10.2.3). A date that has passed means at once. What is
// neither counts as absent.
func RetryAfter(h http.Header) (time.Duration, bool) {
	value := h.Get("Retry-After")
	if value == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseUint(value, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0, false
	}
	return max(0, time.Until(at)), true
}
