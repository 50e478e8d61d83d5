package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"go.acu.edu.au/runbook"
)

// attempts is the innermost transport of ours. It makes one request, reads the
// whole answer, and notes what the attempt proves.
type attempts struct {
	c    *Client
	next http.RoundTripper
}

func (a *attempts) RoundTrip(req *http.Request) (*http.Response, error) {
	r, _ := req.Context().Value(runKey{}).(*run)
	if r == nil {
		return nil, errors.New("the admission dropped the context of the request")
	}
	if err := req.Context().Err(); err != nil {
		r.last = verdict{known: true, unrun: true}
		return nil, &unsent{err}
	}
	ctx, cancel := context.WithTimeout(req.Context(), a.c.cfg.AttemptTimeout)
	defer cancel()
	t := &tracer{stop: cancel}
	resp, err := a.next.RoundTrip(req.WithContext(httptrace.WithClientTrace(ctx, t.trace())))
	switch {
	case err == nil && resp == nil:
		err = fmt.Errorf("%w: neither answer nor error", ErrTransport)
	case err == nil:
		err = a.read(resp)
	}
	switch {
	case err == nil:
	case t.reset.Load():
		err = errReset
	case ctx.Err() != nil && req.Context().Err() == nil:
		err = &attemptTimeout{a.c.cfg.AttemptTimeout}
	}
	v := verdict{known: true}
	switch {
	case err != nil && resp == nil:
		// The host's transport may know more, but not against what was seen.
		v.unrun = t.unsent() || runbook.SafeToRetry(err) && !t.wrote.Load()
	case err == nil && a.c.cfg.Unrun != nil:
		v.wait, v.unrun = a.c.cfg.Unrun(resp, resp.Body.(*memory).all)
	}
	if !v.unrun {
		r.mayHaveRun.Store(true)
	}
	r.last = v
	switch {
	case err != nil && v.unrun && !runbook.SafeToRetry(err):
		return nil, &unsent{err} // for the admission
	case err != nil:
		return nil, err
	}
	// The request of the answer is the one that came in: http.Client follows
	// redirects from it, and this attempt's context has ended.
	resp.Request = req
	return resp, nil
}

// read replaces the body of resp by what it holds, or fails.
func (a *attempts) read(resp *http.Response) error {
	defer resp.Body.Close()
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		resp.Body = &memory{} // its Content-Length is that of a GET
		return nil
	}
	if location := resp.Header.Get("Location"); location != "" && resp.StatusCode/100 == 3 {
		if _, err := url.Parse(location); err != nil {
			// http.Client would say so too, and quote it.
			return fmt.Errorf("status %d, with a Location that is not a URL", resp.StatusCode)
		}
	}
	limit := a.c.cfg.MaxBody
	if resp.ContentLength > limit {
		return fmt.Errorf("%w: %d bytes, limit %d", ErrTooLarge, resp.ContentLength, limit)
	}
	var buf bytes.Buffer
	if resp.ContentLength > 0 {
		buf.Grow(int(min(resp.ContentLength, 1<<20)) + bytes.MinRead)
	}
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return fmt.Errorf("status %d, then the answer broke off after %d bytes: %w", resp.StatusCode, n, err)
	}
	if n > limit {
		return fmt.Errorf("%w: limit %d", ErrTooLarge, limit)
	}
	resp.Body = &memory{all: buf.Bytes()}
	return nil
}

// memory is a body that was read already.
type memory struct {
	all []byte
	off int
}

func (m *memory) Read(p []byte) (int, error) {
	if m.off >= len(m.all) {
		return 0, io.EOF
	}
	n := copy(p, m.all[m.off:])
	m.off += n
	return n, nil
}

func (m *memory) Close() error { return nil }

// tracer watches whether a request got as far as a connection. Only a
// transport that reports looking for one, and none found, proves that nothing
// was sent: one that reports nothing, such as one in memory, proves nothing.
//
// It also keeps net/http from sending a request again by itself, past the
// admission. Over HTTP/1 that does so once, and with a mutation only if nothing
// was written (or the request has an Idempotency-Key). Over HTTP/2 it goes on
// until the time is over, with mutations too, also after a reset with
// PROTOCOL_ERROR (golang.org/issue/42777), which proxies send when an answer is
// malformed, of a request that was run. The resets that prove the opposite, such
// as REFUSED_STREAM, cannot be told apart from here, and count as unknown.
type tracer struct {
	asked, got, http2, wrote, reset atomic.Bool

	stop context.CancelFunc
}

var errReset = errors.New("the HTTP/2 stream was reset after the request was sent")

func (t *tracer) gotConn(info httptrace.GotConnInfo) {
	t.got.Store(true)
	if t.http2.Load() && t.wrote.Load() {
		t.reset.Store(true)
		t.stop()
	}
	conn, ok := info.Conn.(interface{ ConnectionState() tls.ConnectionState })
	t.http2.Store(ok && conn.ConnectionState().NegotiatedProtocol == "h2")
}

func (t *tracer) wroteHeaders() {
	t.got.Store(true)
	t.wrote.Store(true)
}

func (t *tracer) unsent() bool { return t.asked.Load() && !t.got.Load() }

func (t *tracer) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn:              func(string) { t.asked.Store(true) },
		GotConn:              t.gotConn,
		WroteHeaders:         t.wroteHeaders,
		WroteRequest:         func(httptrace.WroteRequestInfo) { t.got.Store(true) },
		GotFirstResponseByte: func() { t.got.Store(true) },
	}
}

// unsent marks an error that came before anything was sent.
type unsent struct{ error }

func (e *unsent) Unwrap() error     { return e.error }
func (e *unsent) SafeToRetry() bool { return true }

// Body returns the body of an answer that an admission or Unrun got, without
// consuming it.
func Body(resp *http.Response) []byte {
	if m, ok := resp.Body.(*memory); ok {
		return m.all
	}
	return nil
}

// attemptTimeout is the end of the time for one attempt, which is not the end
// of the caller's context.
type attemptTimeout struct{ limit time.Duration }

func (e *attemptTimeout) Error() string { return "no complete answer within " + e.limit.String() }
func (e *attemptTimeout) Timeout() bool { return true }

// Temporary makes it a net.Error.
func (e *attemptTimeout) Temporary() bool { return true }
