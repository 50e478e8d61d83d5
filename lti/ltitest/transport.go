package ltitest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"sync"
	"syscall"
	"time"
)

// Client returns a client whose requests to the platform's hosts are answered in
// memory. Other hosts do not exist for it, but those of tools that have a
// Handler. Redirects are followed and cookies are not kept. It works inside and
// outside of testing/synctest.
func (p *Platform) Client() *http.Client { return &http.Client{Transport: (*network)(p)} }

// network is a Platform as a transport.
type network Platform

// flight counts what runs, for Wait.
type flight struct {
	running int
	idle    []chan struct{}
}

// Wait returns when no request of [Platform.Client] runs any more. A test in a
// synctest bubble whose clients give up on requests calls it last.
func (p *Platform) Wait() {
	p.mu.Lock()
	if p.flight.running == 0 {
		p.mu.Unlock()
		return
	}
	done := make(chan struct{})
	p.flight.idle = append(p.flight.idle, done)
	p.mu.Unlock()
	<-done
}

func (p *Platform) track(by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flight.running += by; p.flight.running > 0 {
		return
	}
	for _, c := range p.flight.idle {
		close(c)
	}
	p.flight.idle = nil
}

// RoundTrip implements [http.RoundTripper].
func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	p := (*Platform)(n)
	if r.Body != nil {
		defer func() { _ = r.Body.Close() }() // it was read, or the answer does not depend on it
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	handler, err := p.reach(r.URL)
	if err != nil {
		return nil, err
	}
	in, err := incoming(r)
	if err != nil {
		return nil, err
	}
	x := &exchange{header: make(http.Header), done: make(chan struct{})}
	p.track(1)
	go func() {
		defer p.track(-1)
		x.serve(handler, in)
	}()
	select {
	case <-x.done:
		return x.response(r)
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// reach finds what answers for a host.
func (p *Platform) reach(u *url.URL) (http.Handler, error) {
	defer p.lock()()
	if p.dial != nil {
		return nil, p.dial
	}
	if p.serves(u.Host) {
		return p, nil
	}
	for _, t := range p.tools {
		if t.Handler != nil && t.owns(u.Host) {
			return t.Handler, nil
		}
	}
	p.recordLocked(Request{Time: time.Now(), Endpoint: Elsewhere, Method: "CONNECT", Host: u.Host}, 0, true)
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: u.Hostname(), IsNotFound: true}}
}

// owns reports whether a host is one of the tool's.
func (t *tool) owns(host string) bool {
	for _, address := range append([]string{t.LoginURL, t.JWKSURL, t.TargetLinkURI}, t.RedirectURIs...) {
		if host != "" && hostOf(address) == host {
			return true
		}
	}
	return false
}

// incoming makes the request as the other side sees it, whole.
func incoming(r *http.Request) (*http.Request, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	header := r.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if agent, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", "Go-http-client/1.1")
	} else if len(agent) == 0 || agent[0] == "" {
		delete(header, "User-Agent")
	}
	in := &http.Request{
		Method: r.Method, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		URL:    &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Header: header, Host: r.Host, RemoteAddr: "192.0.2.1:49152", RequestURI: r.URL.RequestURI(),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
	if in.Method == "" {
		in.Method = http.MethodGet
	}
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	if in.URL.Path == "" {
		in.URL.Path = "/"
	}
	if r.URL.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: r.URL.Hostname()}
	}
	return in.WithContext(r.Context()), nil
}

// exchange is the answer to a request, kept whole.
type exchange struct {
	mu      sync.Mutex // a handler may leave goroutines behind that write
	header  http.Header
	sent    http.Header
	status  int
	body    bytes.Buffer
	aborted bool
	over    bool
	done    chan struct{}
}

// serve runs the handler. One that panics with [http.ErrAbortHandler] breaks the
// connection, as on a real server.
func (x *exchange) serve(h http.Handler, in *http.Request) {
	defer close(x.done)
	defer func() {
		v := recover()
		x.mu.Lock()
		defer x.mu.Unlock()
		x.over = true
		if v == nil {
			return
		}
		if v != http.ErrAbortHandler { //nolint:errorlint // the value that net/http looks for
			panic(v)
		}
		x.aborted = true
	}()
	h.ServeHTTP(x, in)
	x.WriteHeader(http.StatusOK)
}

// Header implements [http.ResponseWriter].
func (x *exchange) Header() http.Header { return x.header }

// WriteHeader implements [http.ResponseWriter].
func (x *exchange) WriteHeader(status int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.begin(status)
}

func (x *exchange) begin(status int) {
	if x.status == 0 && !x.over {
		x.status, x.sent = status, x.header.Clone()
	}
}

// Write implements [http.ResponseWriter].
func (x *exchange) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over {
		return 0, http.ErrHandlerTimeout
	}
	x.begin(http.StatusOK)
	return x.body.Write(b)
}

func (x *exchange) response(r *http.Request) (*http.Response, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.aborted && x.body.Len() == 0 {
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	}
	var body io.Reader = bytes.NewReader(x.body.Bytes())
	length := int64(x.body.Len())
	if x.aborted {
		body, length = io.MultiReader(body, broken{}), -1
	}
	return &http.Response{
		StatusCode: x.status, Status: itoa(x.status) + " " + http.StatusText(x.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.sent, Request: r, ContentLength: length, Body: &responseBody{Reader: body, ctx: r.Context()},
	}, nil
}

// broken is a connection that ends too early.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// responseBody ends when the caller's context does.
type responseBody struct {
	io.Reader
	ctx context.Context
}

func (b *responseBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.Reader.Read(p)
}

// Close implements [io.Closer].
func (b *responseBody) Close() error { return nil }
