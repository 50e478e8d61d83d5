package canvastest

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
)

// transport is the network between a client and a handler, without sockets. It
// does what net/http's transport and server do on the wire where a client can
// notice: the default User-Agent, transparent gzip, the framing of bodies, the
// traces of net/http/httptrace, and connections that break.
type transport struct {
	handler http.Handler
	address string       // of the client
	dial    func() error // why there is no connection, if there is none
	track   func() func()
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	if err := ctx.Err(); err != nil {
		closeBody(r)
		return nil, err
	}
	trace := httptrace.ContextClientTrace(ctx)
	if trace != nil && trace.GetConn != nil {
		trace.GetConn(hostPort(r.URL))
	}
	if t.dial != nil {
		if err := t.dial(); err != nil {
			closeBody(r)
			return nil, err
		}
	}
	x := newExchange(r)
	in, unzip := x.incoming(t.address)
	if trace != nil {
		connected(trace)
	}
	done := func() {}
	if t.track != nil {
		done = t.track()
	}
	go func() {
		defer done()
		x.serve(t.handler, in)
	}()
	select {
	case <-x.ready:
	case <-ctx.Done():
		x.abandon(ctx.Err())
		return nil, ctx.Err()
	}
	if x.err != nil {
		return nil, x.err
	}
	if trace != nil && trace.GotFirstResponseByte != nil {
		trace.GotFirstResponseByte()
	}
	return x.response(ctx, unzip)
}

// connected tells a trace what happens between dialing and the answer. The
// order is that of net/http for a request that goes out whole at once.
func connected(t *httptrace.ClientTrace) {
	if t.GotConn != nil {
		t.GotConn(httptrace.GotConnInfo{})
	}
	if t.WroteHeaders != nil {
		t.WroteHeaders()
	}
	if t.WroteRequest != nil {
		t.WroteRequest(httptrace.WroteRequestInfo{})
	}
}

func hostPort(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Host
	case u.Scheme == "https":
		return net.JoinHostPort(u.Hostname(), "443")
	}
	return net.JoinHostPort(u.Hostname(), "80")
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing was read from it, nothing depends on it
	}
}

// exchange is one request and its answer.
type exchange struct {
	out  *http.Request
	body *requestBody

	ready chan struct{} // closed when header and status, or err, are there
	once  sync.Once

	header http.Header
	status int
	wrote  bool
	sent   http.Header // the header as it was when the answer began
	stream *stream
	queued int // bytes written before the answer was sent on its way
	length int64
	err    error
}

func newExchange(r *http.Request) *exchange {
	return &exchange{out: r, ready: make(chan struct{}), header: make(http.Header, 8), stream: newStream(), length: -1}
}

// incoming makes the request as the server's side sees it. unzip says that the
// answer is to be decompressed on the way back, as net/http's transport does
// when the caller did not ask for an encoding.
func (x *exchange) incoming(address string) (in *http.Request, unzip bool) {
	r := x.out
	header := r.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if agent, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", "Go-http-client/1.1")
	} else if len(agent) == 0 || agent[0] == "" {
		delete(header, "User-Agent")
	}
	if header.Get("Accept-Encoding") == "" && header.Get("Range") == "" && r.Method != http.MethodHead {
		header.Set("Accept-Encoding", "gzip")
		unzip = true
	}
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	in = &http.Request{
		Method: method,
		URL:    &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Host: host, RemoteAddr: address, RequestURI: r.URL.RequestURI(),
		Body: http.NoBody, ContentLength: r.ContentLength,
	}
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	if r.Body == nil || r.Body == http.NoBody {
		in.ContentLength = 0
		return in, unzip
	}
	if in.ContentLength == 0 {
		in.ContentLength = -1
	}
	x.body = &requestBody{body: r.Body}
	in.Body = x.body
	return in, unzip
}

// serve runs the handler. A handler that panics with [http.ErrAbortHandler]
// breaks the connection, as on a real server.
func (x *exchange) serve(h http.Handler, in *http.Request) {
	defer func() {
		if x.body != nil {
			_ = x.body.Close() // the caller's body; the answer does not depend on it
		}
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			x.abort()
		default:
			panic(p)
		}
	}()
	h.ServeHTTP(x, in)
	x.complete()
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

// Write implements [http.ResponseWriter]. More than the buffer holds is sent on
// its way.
func (x *exchange) Write(p []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	if x.status == http.StatusNoContent || x.status == http.StatusNotModified {
		return 0, http.ErrBodyNotAllowed
	}
	if x.out.Method == http.MethodHead {
		return len(p), nil
	}
	if x.queued += len(p); x.queued > streamBuffer {
		x.Flush()
	}
	return x.stream.Write(p)
}

// Flush implements [http.Flusher]: the client gets what there is.
func (x *exchange) Flush() {
	x.WriteHeader(http.StatusOK)
	x.once.Do(func() { close(x.ready) })
}

func (x *exchange) complete() {
	x.WriteHeader(http.StatusOK)
	x.stream.finish(io.EOF)
	x.once.Do(func() {
		x.length = int64(x.queued)
		close(x.ready)
	})
}

func (x *exchange) abort() {
	x.stream.finish(io.ErrUnexpectedEOF)
	x.once.Do(func() {
		x.err = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
		close(x.ready)
	})
}

// abandon is the client going away. The handler goes on: Canvas does not notice.
func (x *exchange) abandon(err error) {
	x.stream.abandon(err)
	if x.body != nil {
		_ = x.body.Close() // only to stop the handler's reading
	}
}

// response makes what the client gets.
func (x *exchange) response(ctx context.Context, unzip bool) (*http.Response, error) {
	resp := &http.Response{
		StatusCode: x.status, Status: statusLine(x.status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.sent, Request: x.out, ContentLength: x.length,
	}
	if n, ok := contentLength(x.sent); ok {
		resp.ContentLength = n
	} else if x.length >= 0 && x.out.Method != http.MethodHead && x.status != http.StatusNoContent {
		x.sent.Set("Content-Length", itoa(x.length))
	}
	body := &responseBody{stream: x.stream}
	body.stop = context.AfterFunc(ctx, func() { x.abandon(ctx.Err()) })
	resp.Body = body
	if unzip && strings.EqualFold(x.sent.Get("Content-Encoding"), "gzip") && resp.ContentLength != 0 {
		resp.Header.Del("Content-Encoding")
		resp.Header.Del("Content-Length")
		resp.ContentLength, resp.Uncompressed = -1, true
		resp.Body = &gunzipped{body: body}
	}
	return resp, nil
}

// gunzipped decompresses from the first Read on, so that a broken stream is an
// error of the body and not of the exchange.
type gunzipped struct {
	body io.ReadCloser
	z    *gzip.Reader
	err  error
}

func (g *gunzipped) Read(p []byte) (int, error) {
	if g.z == nil && g.err == nil {
		g.z, g.err = gzip.NewReader(g.body)
	}
	if g.err != nil {
		return 0, g.err
	}
	return g.z.Read(p)
}

func (g *gunzipped) Close() error { return g.body.Close() }

// responseBody is the client's end of a stream.
type responseBody struct {
	*stream
	stop func() bool
}

func (b *responseBody) Close() error {
	b.stop()
	b.abandon(http.ErrBodyReadAfterClose)
	return nil
}

// requestBody lets both ends close the caller's body once.
type requestBody struct {
	body io.ReadCloser
	once sync.Once
	err  error
}

func (b *requestBody) Read(p []byte) (int, error) { return b.body.Read(p) }

func (b *requestBody) Close() error {
	b.once.Do(func() { b.err = b.body.Close() })
	return b.err
}
