package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"go.acu.edu.au/runbook"
)

// Config says how a [Client] calls. The zero value is usable.
type Config struct {
	// HTTP gives the transport, with which a host adds tracing, a proxy or
	// client certificates, and the Timeout, which limits each attempt. Its
	// cookie jar and its redirect policy are not used. Nil means a transport of
	// this package, which reads no environment.
	HTTP *http.Client

	// UserAgent is sent with calls that have none. Empty means "runbook".
	UserAgent string

	// AttemptTimeout limits one attempt, from connecting to the last byte of
	// the answer. Waiting for admission is not counted. Zero means the Timeout
	// of HTTP, or else a minute.
	AttemptTimeout time.Duration

	// MaxBody limits the size of an answer in bytes. Zero means 16 MiB.
	MaxBody int64

	// Retries is how often a call is repeated after failures, besides
	// rejections that Unrun recognises. Zero means 3, a negative number none.
	Retries int

	// MaxRejections is how often a call is repeated after answers that Unrun
	// recognises. Zero means 20.
	MaxRejections int

	// MinWait and MaxWait bound the back-off: before repetition n the wait is
	// random between zero and MinWait·2ⁿ, at most MaxWait. A Retry-After is
	// honoured if it is not longer than MaxWait. Zero means 500 ms and 30 s.
	MinWait, MaxWait time.Duration

	// Admit wraps the transport: the admission of the host, which sees every
	// attempt just before it goes out, and may hold it back, or refuse it with
	// a [*Refusal]. Nil admits all.
	Admit func(next http.RoundTripper) http.RoundTripper

	// Unrun reports whether an answer proves that the server did not run the
	// request, and how long to wait before the next attempt; a negative wait ends
	// the call. It must not keep the body. Nil means that no answer proves it.
	Unrun func(resp *http.Response, body []byte) (wait time.Duration, unrun bool)

	// Follow can forbid a redirect that would be followed. Nil forbids none.
	Follow func(to *url.URL) bool
}

// A Client calls providers. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
}

// New returns a Client. Negative values of cfg but for Retries mean the default.
func New(cfg Config) *Client {
	base := http.RoundTripper(nil)
	if cfg.HTTP != nil {
		base = cfg.HTTP.Transport
		if cfg.AttemptTimeout <= 0 {
			cfg.AttemptTimeout = cfg.HTTP.Timeout
		}
	}
	if base == nil {
		base = defaultTransport()
	}
	setDefault(&cfg.UserAgent, "runbook")
	setDefault(&cfg.AttemptTimeout, time.Minute)
	setDefault(&cfg.MaxBody, 16<<20)
	setDefault(&cfg.MaxRejections, 20)
	setDefault(&cfg.MinWait, 500*time.Millisecond)
	setDefault(&cfg.MaxWait, 30*time.Second)
	if cfg.Retries == 0 {
		cfg.Retries = 3
	}
	c := &Client{cfg: cfg}
	var top http.RoundTripper = &attempts{c: c, next: base}
	if cfg.Admit != nil {
		top = cfg.Admit(top)
	}
	// The type hides CloseIdleConnections: go-retryablehttp calls it after each
	// failure, which would close the connections of everyone else.
	c.http = &http.Client{Transport: only{top}, CheckRedirect: c.checkRedirect}
	return c
}

func setDefault[T int | int64 | time.Duration | string](field *T, value T) {
	var zero T
	if *field <= zero {
		*field = value
	}
}

type only struct{ http.RoundTripper }

// defaultTransport keeps as many connections to its one host as a throttle
// may use at the same time; net/http would keep two.
func defaultTransport() *http.Transport {
	return &http.Transport{
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          128,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ExpectContinueTimeout: time.Second,
	}
}

// A Call is one call of a provider, to be sent by [Client.Do].
type Call struct {
	// Op says what is done, for errors: "canvas: get course".
	Op string
	// Method and URL are those of the request. An empty Method means GET.
	Method string
	URL    *url.URL
	// Header is sent as it is; it is not changed.
	Header http.Header
	// Body is sent with every attempt. It must not change until Do returns.
	Body []byte
	// Stream, if not nil, is sent instead of Body, in a single attempt. Size is
	// its length; -1 means unknown.
	Stream io.Reader
	Size   int64
	// Idempotent says that running the call twice does what running it once
	// does, so that it is repeated as if it were a read.
	Idempotent bool
	// Reads says that the call changes nothing, although its Method is not GET or
	// HEAD: a GraphQL query. It may then be sent where nothing may be changed, see
	// runbook.ReadOnly; every other call is refused there.
	Reads bool
}

// Refused returns the error with which [Client.Do] refuses the call because ctx is
// read only, or nil. Those who do something else before Do, such as getting a token,
// ask it first.
func (c Call) Refused(ctx context.Context) error {
	reads := c.Reads || c.Method == "" || c.Method == http.MethodGet || c.Method == http.MethodHead
	if reads || !runbook.IsReadOnly(ctx) {
		return nil
	}
	e := &Error{Op: c.Op, Unrun: true, text: runbook.ErrReadOnly.Error(), cause: runbook.ErrReadOnly}
	if c.URL != nil {
		e.host = c.URL.Host
	}
	return e
}

// A Response is an answer, whatever its status.
type Response struct {
	// Status is the status code.
	Status int
	// Header has the header fields of the answer.
	Header http.Header
	// Body is the whole body.
	Body []byte
	// URL is what answered, which after a redirect is not what was called.
	URL *url.URL
	// Unrun is true if it is proven that no attempt of the call was run.
	Unrun bool
	// Attempts is how many requests were made, redirects not counted.
	Attempts int
}

// Err returns nil for a status from 200 to 299, else an [*Error] with the
// status, for a provider that needs no error type of its own.
func (r *Response) Err(op string) error {
	if r.Status >= 200 && r.Status <= 299 {
		return nil
	}
	return &Error{Op: op, Status: r.Status, Unrun: r.Unrun, Attempts: r.Attempts}
}

// Do sends the call and returns the answer to the last attempt, whatever its
// status, or an [*Error] if there is none. If ctx is read only, a call that is no read
// is not sent: the error wraps runbook.ErrReadOnly.
func (c *Client) Do(ctx context.Context, call Call) (*Response, error) {
	if err := call.Refused(ctx); err != nil {
		return nil, err
	}
	r := &run{c: c, ctx: ctx, method: call.Method, idempotent: call.Idempotent, once: call.Stream != nil}
	if r.method == "" {
		r.method = http.MethodGet
	}
	resp, err := r.send(&call)
	if err != nil {
		return nil, r.failed(&call, err)
	}
	// Nothing can fail here: the attempt has read the body into memory.
	body, _ := resp.Body.(*memory)
	out := &Response{Status: resp.StatusCode, Header: resp.Header, URL: call.URL, Unrun: !r.mayHaveRun.Load(), Attempts: r.attempts}
	if body != nil {
		out.Body = body.all
	}
	if resp.Request != nil && resp.Request.URL != nil {
		out.URL = resp.Request.URL
	}
	return out, nil
}

func (r *run) send(call *Call) (*http.Response, error) {
	if call.URL == nil {
		return nil, &Refusal{Err: errors.New("the call has no address"), After: -1}
	}
	ctx := context.WithValue(r.ctx, runKey{}, r)
	req := (&http.Request{
		Method: r.method, URL: call.URL, Host: call.URL.Host, Header: call.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if req.Header == nil {
		req.Header = make(http.Header, 1)
	}
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", r.c.cfg.UserAgent)
	}
	retryable := &retryablehttp.Request{Request: req}
	switch {
	case call.Stream != nil:
		req.Body, req.ContentLength = io.NopCloser(call.Stream), call.Size
	case len(call.Body) > 0:
		if err := retryable.SetBody(call.Body); err != nil {
			return nil, err
		}
	}
	// The client of go-retryablehttp is a few fields around ours. One for each
	// call lets its callbacks, which see no request, know what they decide on.
	client := retryablehttp.Client{
		HTTPClient: r.c.http, RetryMax: r.c.cfg.MaxRejections + max(r.c.cfg.Retries, 0),
		CheckRetry: r.check, Backoff: r.backoff, ErrorHandler: retryablehttp.PassthroughErrorHandler,
	}
	return client.Do(retryable)
}

// checkRedirect lets a read follow a redirect within its origin, where the
// same credentials belong. Every other redirect is the answer.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	from := via[len(via)-1]
	switch {
	case len(via) > 5,
		from.Method != http.MethodGet && from.Method != http.MethodHead,
		req.URL.Scheme != from.URL.Scheme, req.URL.Host != from.URL.Host, req.URL.User != nil,
		c.cfg.Follow != nil && !c.cfg.Follow(req.URL):
		return http.ErrUseLastResponse
	}
	return nil
}

// RoundTrip makes the Client the transport of a library that wants one, such as
// golang.org/x/oauth2. Redirects that the policy follows are followed here.
func (c *Client) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.roundTrip(req, false)
}

// Reading returns the Client as a transport whose calls all count as reads (see
// [Call].Reads), for what gets access tokens by a grant that changes nothing.
func (c *Client) Reading() http.RoundTripper { return reading{c} }

type reading struct{ c *Client }

func (r reading) RoundTrip(req *http.Request) (*http.Response, error) {
	return r.c.roundTrip(req, true)
}

func (c *Client) roundTrip(req *http.Request, reads bool) (*http.Response, error) {
	call := Call{Op: "http", Method: req.Method, URL: req.URL, Header: req.Header, Reads: reads}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		_ = req.Body.Close()
		if err != nil {
			return nil, &Error{Op: call.Op, Unrun: true, cause: err}
		}
		call.Body = body
	}
	resp, err := c.Do(req.Context(), call)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprint(resp.Status, " ", http.StatusText(resp.Status)), StatusCode: resp.Status, Header: resp.Header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: &memory{all: resp.Body}, ContentLength: int64(len(resp.Body)), Request: req,
	}, nil
}

// jitter returns a random duration below d.
func jitter(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return rand.N(d)
}
