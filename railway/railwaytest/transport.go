package railwaytest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"slices"
	"strconv"
	"syscall"
)

// Client returns a client that reaches the server in memory, whatever the host, with
// WebSockets too. It works inside testing/synctest if the server was made in the
// same bubble.
func (s *Server) Client() *http.Client { return &http.Client{Transport: &transport{s: s}} }

// transport is the network between a client and the server, without sockets. It does
// what net/http's transport and server do on the wire where a client can notice: the
// default User-Agent, the framing of bodies, the traces of net/http/httptrace,
// connections that break, and those that are taken over for a WebSocket.
type transport struct{ s *Server }

// RoundTrip implements [http.RoundTripper].
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
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	if t.s.unreachable(r, body) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	x := newExchange(ctx, r)
	if trace != nil {
		connected(trace)
	}
	go x.serve(t.s, x.incoming(body))
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
	return x.response(ctx), nil
}

// readBody reads the body of a request whole: it is short.
func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer closeBody(r)
	return io.ReadAll(r.Body)
}

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close() // nothing more is read from it, nothing depends on it
	}
}

// unreachable reports whether there is no connection for a request, and takes the
// fault that says so.
func (s *Server) unreachable(r *http.Request, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	is := func(f *Fault) bool { return f.Kind == Unreachable }
	if s.broken || !slices.ContainsFunc(s.faults, is) {
		return s.broken
	}
	o := &operation{name: "up"}
	switch c, ok := readCall(body); {
	case r.Header.Get("Upgrade") != "":
		o.name = "socket"
	case ok:
		o = s.operationOf(c.Query, c.OperationName)
	}
	return s.faultOf(o, is) != nil
}

// connected tells a trace what happens between dialing and the answer. The order is
// that of net/http for a request that goes out whole at once.
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

// incoming makes the request as the server's side sees it.
func (x *exchange) incoming(body []byte) *http.Request {
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
	method := r.Method
	if method == "" {
		method = http.MethodGet
	}
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	in := &http.Request{
		Method: method, URL: &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Host: host, RemoteAddr: "192.0.2.1:50000", RequestURI: r.URL.RequestURI(),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	return in.WithContext(x.ctx)
}

// response makes what the client gets.
func (x *exchange) response(ctx context.Context) *http.Response {
	resp := &http.Response{
		StatusCode: x.status, Status: strconv.Itoa(x.status) + " " + http.StatusText(x.status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.sent, Request: x.out, ContentLength: x.length,
	}
	if x.client != nil {
		resp.Body = x.client // of which the end of ctx is no concern any more
		return resp
	}
	if n, err := strconv.ParseInt(x.sent.Get("Content-Length"), 10, 64); err == nil {
		resp.ContentLength = n
	} else if x.length >= 0 {
		x.sent.Set("Content-Length", strconv.FormatInt(x.length, 10))
	}
	body := &responseBody{x: x}
	body.stop = context.AfterFunc(ctx, func() { x.abandon(ctx.Err()) })
	resp.Body = body
	return resp
}

// responseBody is the client's end of an answer.
type responseBody struct {
	x    *exchange
	stop func() bool
}

func (b *responseBody) Read(p []byte) (int, error) { return b.x.body.Read(p) }

func (b *responseBody) Close() error {
	b.stop()
	b.x.abandon(http.ErrBodyReadAfterClose)
	return nil
}
