package memhttp

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"syscall"
	"time"
)

// exchange is one request and its answer.
type exchange struct {
	out    *http.Request
	ctx    context.Context // of the server's side: ends when the client goes away
	cancel context.CancelFunc

	ready chan struct{} // closed when header and status, or err, are there
	once  sync.Once

	header http.Header
	status int
	wrote  bool
	sent   http.Header // the header as it was when the answer began
	body   *pipe
	queued int // bytes written before the answer was sent on its way
	length int64
	err    error
	client *conn // the client's end, if the connection was taken over
}

func newExchange(ctx context.Context, r *http.Request) *exchange {
	x := &exchange{out: r, ready: make(chan struct{}), header: make(http.Header, 8), body: newPipe(), length: -1}
	x.ctx, x.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return x
}

// serve runs the handler. A handler that panics with [http.ErrAbortHandler] breaks
// the connection, as on a real server.
func (x *exchange) serve(h http.Handler, in *http.Request) {
	defer x.cancel()
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			x.abort()
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(x, in)
	if x.client == nil {
		x.complete()
	}
}

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements [http.ResponseWriter].
func (x *exchange) WriteHeader(status int) {
	if x.wrote {
		return
	}
	x.wrote, x.status, x.sent = true, status, x.header.Clone()
}

// Write implements [http.ResponseWriter]. More than the buffer holds is sent on its
// way.
func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	if x.queued += len(p); x.queued > pipeBuffer {
		x.Flush()
	}
	return x.body.Write(p)
}

// Flush implements [http.Flusher]: the client gets what there is.
func (x *exchange) Flush() {
	x.WriteHeader(http.StatusOK)
	x.once.Do(func() { close(x.ready) })
}

// Hijack implements [http.Hijacker]: the connection is the handler's.
func (x *exchange) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if x.client != nil {
		return nil, nil, http.ErrHijacked
	}
	up, down := newPipe(), newPipe()
	server := &conn{in: up, out: down}
	x.client = &conn{in: down, out: up}
	x.Flush()
	return server, bufio.NewReadWriter(bufio.NewReader(server), bufio.NewWriter(server)), nil
}

func (x *exchange) complete() {
	x.WriteHeader(http.StatusOK)
	x.body.finish(io.EOF)
	x.once.Do(func() {
		x.length = int64(x.queued)
		close(x.ready)
	})
}

func (x *exchange) abort() {
	x.body.finish(io.ErrUnexpectedEOF)
	x.once.Do(func() {
		x.err = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
		close(x.ready)
	})
}

// abandon is the client going away.
func (x *exchange) abandon(err error) {
	x.body.abandon(err)
	x.cancel()
}

// conn is one end of a connection that was taken over.
type conn struct{ in, out *pipe }

func (c *conn) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c *conn) Write(p []byte) (int, error) { return c.out.Write(p) }

// Close ends both directions: what was written before can still be read.
func (c *conn) Close() error {
	c.out.finish(io.EOF)
	c.in.abandon(net.ErrClosed)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return address{} }
func (c *conn) RemoteAddr() net.Addr { return address{} }

// The deadlines are not used: whoever waits for too long closes the connection.

func (c *conn) SetDeadline(time.Time) error      { return nil }
func (c *conn) SetReadDeadline(time.Time) error  { return nil }
func (c *conn) SetWriteDeadline(time.Time) error { return nil }

type address struct{}

func (address) Network() string { return "memory" }
func (address) String() string  { return "memhttp" }

// pipeBuffer is how much may wait to be read.
const pipeBuffer = 64 << 10

// pipe is one direction of a connection: a pipe with a buffer, so that who writes
// little never waits for who reads.
type pipe struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	end     error // set when the writer is done: io.EOF, or why it broke off
	gone    error // set when the reader went away
}

func newPipe() *pipe {
	p := &pipe{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

// Write waits while the buffer is full and fails once an end is closed.
func (p *pipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	written := 0
	for len(b) > 0 {
		for len(p.buf) >= pipeBuffer && p.gone == nil && p.end == nil {
			p.changed.Wait()
		}
		if p.gone != nil || p.end != nil {
			return written, errors.Join(io.ErrClosedPipe, p.gone)
		}
		n := min(len(b), pipeBuffer-len(p.buf))
		p.buf = append(p.buf, b[:n]...)
		b, written = b[n:], written+n
		p.changed.Broadcast()
	}
	return written, nil
}

// finish ends the writing side, with io.EOF or the reason why it broke off.
func (p *pipe) finish(err error) {
	p.mu.Lock()
	if p.end == nil {
		p.end = err
	}
	p.changed.Broadcast()
	p.mu.Unlock()
}

// abandon ends the reading side.
func (p *pipe) abandon(err error) {
	p.mu.Lock()
	if p.gone == nil {
		p.gone = err
	}
	p.changed.Broadcast()
	p.mu.Unlock()
}

// Read waits for the next bytes.
func (p *pipe) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.gone != nil:
			return 0, p.gone
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = append(p.buf[:0], p.buf[n:]...)
			p.changed.Broadcast()
			return n, nil
		case p.end != nil:
			return 0, p.end
		case len(b) == 0:
			return 0, nil
		}
		p.changed.Wait()
	}
}
