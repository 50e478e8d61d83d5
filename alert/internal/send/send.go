// Package send is what the notifiers that speak HTTP have in common: one attempt on
// the module's HTTP path, and errors in the words of package alert.
package send

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/internal/httpx"
)

// Config is the part of a notifier's configuration that is the same for all.
type Config struct {
	// HTTP gives the transport, and a Timeout; nil means one of our own.
	HTTP *http.Client
	// UserAgent is sent; empty means that of the module.
	UserAgent string
	// Timeout limits the attempt; zero means the Timeout of HTTP, or 15 s.
	Timeout time.Duration
}

// A Client calls one service. It is safe for concurrent use.
type Client struct {
	service string
	http    *httpx.Client
}

// New returns a Client of a service: "slack".
func New(service string, cfg Config) *Client {
	if cfg.UserAgent == "" {
		cfg.UserAgent = "runbook (go.acu.edu.au/runbook)"
	}
	timeout := cfg.Timeout
	if timeout == 0 && (cfg.HTTP == nil || cfg.HTTP.Timeout == 0) {
		timeout = 15 * time.Second
	}
	// The router repeats, by its rules and over restarts; here is one attempt.
	return &Client{service: service, http: httpx.New(httpx.Config{
		HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, AttemptTimeout: timeout, MaxBody: 4 << 20, Retries: -1,
	})}
}

// A Call is one call.
type Call struct {
	// Op is what is done, for errors: "post message".
	Op string
	// Method and URL are those of the request; an empty Method means POST.
	Method string
	URL    *url.URL
	// Header is sent beside the type of the content.
	Header http.Header
	// JSON is sent as JSON, Form as a form, Body with the type of Header. At most one.
	JSON any
	Form url.Values
	Body []byte

	reads bool // it sends no message
}

// Do makes one attempt. An answer of 2xx is returned, anything else is an
// *alert.Error, with the answer if there is one, so that the caller can read the
// service's own code from its body. Where nothing may be changed, no message is sent,
// by whatever method: the error wraps runbook.ErrReadOnly.
func (c *Client) Do(ctx context.Context, call Call) (*httpx.Response, error) {
	if !call.reads && runbook.IsReadOnly(ctx) {
		return nil, &alert.Error{Service: c.service, Op: call.Op, Unsent: true, Err: runbook.ErrReadOnly}
	}
	header := call.Header.Clone()
	if header == nil {
		header = make(http.Header, 2)
	}
	body := call.Body
	switch {
	case call.JSON != nil:
		var err error
		if body, err = json.Marshal(call.JSON); err != nil {
			return nil, &alert.Error{Service: c.service, Op: call.Op, Kind: alert.ErrRefused, Err: errors.New("the message cannot be encoded")}
		}
		header.Set("Content-Type", "application/json; charset=utf-8")
	case call.Form != nil:
		body = []byte(call.Form.Encode())
		header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	method := call.Method
	if method == "" {
		method = http.MethodPost
	}
	resp, err := c.http.Do(ctx, httpx.Call{Op: call.Op, Method: method, URL: call.URL, Header: header, Body: body, Reads: call.reads})
	if err != nil {
		return nil, &alert.Error{Service: c.service, Op: call.Op, Unsent: runbook.SafeToRetry(err), Err: cause(err)}
	}
	if resp.Status/100 == 2 {
		return resp, nil
	}
	return resp, c.statusError(call.Op, resp)
}

// cause is why there is no answer, without the host, which may be a secret: the
// address of a webhook is one.
func cause(err error) error {
	if e, ok := errors.AsType[*httpx.Error](err); ok && e.Unwrap() != nil {
		return &plain{e.Unwrap()}
	}
	return err
}

// plain is an error whose text has no address in it.
type plain struct{ err error }

func (p *plain) Error() string {
	switch {
	case errors.Is(p.err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(p.err, context.Canceled):
		return "cancelled"
	case errors.Is(p.err, syscall.ECONNREFUSED):
		return "the connection was refused"
	case errors.Is(p.err, httpx.ErrTooLarge):
		return "the answer is too large"
	}
	if _, ok := errors.AsType[*net.DNSError](p.err); ok {
		return "the name of the host is not found"
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](p.err); ok {
		return "the certificate of the service is not valid"
	}
	return "no answer"
}

func (p *plain) Unwrap() error { return p.err }

// statusError reads a status. A 429, or the 420 of some services, proves that
// nothing was sent. Of a 5xx, 408 or 425 it is not known. Any other 4xx, and a
// redirect, is a refusal.
func (c *Client) statusError(op string, resp *httpx.Response) *alert.Error {
	e := &alert.Error{Service: c.service, Op: op, Status: resp.Status}
	e.RetryAfter, _ = httpx.RetryAfter(resp.Header)
	switch {
	case resp.Status == http.StatusTooManyRequests, resp.Status == 420:
		e.Kind = alert.ErrLimited
	case resp.Status == http.StatusRequestTimeout, resp.Status == http.StatusTooEarly, resp.Status >= 500:
	default:
		e.Kind = alert.ErrRefused
	}
	return e
}

// Cut shortens a text to at most n characters, and says so by an ellipsis.
func Cut(text string, n int) string {
	if utf8.RuneCountInString(text) <= n {
		return text
	}
	runes := []rune(text)
	return strings.TrimRight(string(runes[:max(0, n-1)]), " \n") + "…"
}

// CutBytes shortens a text to at most n bytes.
func CutBytes(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:max(0, n-3)], "") + "…"
}
