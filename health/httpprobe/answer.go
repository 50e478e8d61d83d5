package httpprobe

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// errTooLarge means that a body exceeds MaxBody.
var errTooLarge = errors.New("body too large")

// read reads the body, or the part of it that is allowed.
func (a *attempt) read(resp *http.Response) ([]byte, error) {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil, nil // what follows is not a body, and does not end with ctx
	}
	most := min(a.p.cfg.MaxBody, math.MaxInt64-1)
	if a.p.cfg.Method != http.MethodHead && resp.ContentLength > most {
		return nil, errTooLarge
	}
	limited := io.LimitReader(resp.Body, most+1)
	var body bytes.Buffer
	var n int64
	var err error
	if a.p.rules.empty() && a.p.cfg.Contains == "" && resp.StatusCode != http.StatusForbidden {
		n, err = io.Copy(io.Discard, limited)
	} else {
		if resp.ContentLength > 0 {
			body.Grow(int(min(resp.ContentLength, defaultMaxBody)) + bytes.MinRead)
		}
		n, err = body.ReadFrom(limited)
	}
	if err == nil && n > most {
		err = errTooLarge
	}
	return body.Bytes(), err
}

// noAnswer is the result when no answer came.
func (a *attempt) noAnswer(ctx context.Context, err error) health.Result {
	r := health.Result{}
	if expiry, ok := netcheck.ExpiryOfRefused(err); ok {
		a.expiry = expiry
		r.Measurements = append(r.Measurements, expiry.Measurement())
	}
	f := a.explain(ctx, err)
	r.Status, r.Cause, r.Message = f.Status, f.Cause, f.Message
	return a.measure(r)
}

// explain says what an error of net/http means. What the library says about
// bytes that break the protocol is not shown, since it quotes them.
func (a *attempt) explain(ctx context.Context, err error) netcheck.Finding {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // its text shows the URL with its query
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return netcheck.Finding{Status: health.Unhealthy, Cause: health.CauseTLS, Message: "TLS: the server speaks plain HTTP on this port"}
	}
	f := a.line.Explain(ctx, err)
	if f.Cause != health.CauseFailed {
		return f
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "server response headers exceeded"):
		return netcheck.Finding{Status: health.Unhealthy, Cause: health.CauseTooLarge, Message: "the header of the answer is too large"}
	case strings.Contains(text, "parse Location header"):
		return netcheck.Finding{Status: health.Unhealthy, Cause: health.CauseProtocol, Message: "redirects to an address that cannot be parsed"}
	case breaksProtocol(err):
		return netcheck.Finding{Status: health.Unhealthy, Cause: health.CauseProtocol, Message: "the answer is not valid HTTP"}
	}
	return f
}

// breaksProtocol reports whether err says that the server's bytes are not HTTP,
// or its body not what its header says. net/http has no types for most of it.
func breaksProtocol(err error) bool {
	if _, ok := errors.AsType[textproto.ProtocolError](err); ok {
		return true
	}
	if _, ok := errors.AsType[flate.CorruptInputError](err); ok {
		return true
	}
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, http.ErrLineTooLong) {
		return true
	}
	text := err.Error()
	return slices.ContainsFunc([]string{
		"malformed ", "invalid byte in chunk length", "chunk length too large", "unsupported transfer encoding",
		"too many transfer encodings", "bad Content-Length", "multiple Content-Length", "HTTP/1.x transport connection broken",
		"chunked encoding contains too much non-data", "invalid empty Content-Length",
	}, func(s string) bool { return strings.Contains(text, s) })
}

// judge is the result when an answer came, with its whole body unless err says
// why not.
func (a *attempt) judge(ctx context.Context, resp *http.Response, body []byte, err error) health.Result {
	r, good := a.judgeStatus(resp, body)
	complete := err == nil
	if complete {
		r.Duration = a.line.Elapsed()
		r.Measurements = append(r.Measurements, netcheck.Milliseconds("response_time", r.Duration))
	}
	r = a.measure(r)
	switch {
	case complete:
		r = a.judgeBody(r, resp, body, good)
	case good:
		// With a status that is a finding itself, the body would only have
		// told more.
		r = a.judgeBroken(ctx, r, err)
	}
	if a.expiry.Certificate != nil {
		r = a.p.cfg.certificates().Apply(r, a.expiry)
	}
	if complete {
		r = a.p.cfg.Latency.Apply(r)
	}
	return r
}

// rateLimited is what Canvas answers with status 403, and newer versions with
// 429, to a client that used up its quota.
const rateLimited = "rate limit exceeded"

// judgeStatus judges the status code, and reports whether it is a good one.
func (a *attempt) judgeStatus(resp *http.Response, body []byte) (r health.Result, good bool) {
	code := resp.StatusCode
	finding := func(s health.Status, c health.Cause, format string, args ...any) (health.Result, bool) {
		return health.Result{Status: s, Cause: c, Message: "answered " + status(code) + fmt.Sprintf(format, args...)}, false
	}
	cfg := &a.p.cfg
	switch {
	case slices.Contains(cfg.Maintenance, code):
		return finding(health.Maintenance, health.CauseMaintenance, ", which means maintenance")
	case code == http.StatusForbidden && bytes.Contains(bytes.ToLower(body[:min(len(body), 4<<10)]), []byte(rateLimited)):
		return finding(health.Degraded, health.CauseThrottled, " with the text of a rate limit")
	case slices.Contains(cfg.Status, code), len(cfg.Status) == 0 && code >= 200 && code <= 299:
		return health.Result{Status: health.Healthy}, true
	case code == http.StatusTooManyRequests:
		if after := netcheck.Clean(resp.Header.Get("Retry-After")); after != "" {
			return finding(health.Degraded, health.CauseThrottled, ": a rate limit, to be tried again after %s", after)
		}
		return finding(health.Degraded, health.CauseThrottled, ": a rate limit")
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		if !cfg.Auth.any() {
			return finding(health.Unhealthy, health.CauseUnauthorized, " to a request without a credential, want %s", a.wantStatus())
		}
		return finding(health.Unhealthy, health.CauseUnauthorized, ": the credential was not accepted, want %s", a.wantStatus())
	}
	if to, err := resp.Location(); err == nil && code >= 300 && code <= 399 {
		return finding(health.Unhealthy, health.CauseStatus, ", a redirect to %s that is not followed, want %s", place(to), a.wantStatus())
	}
	return finding(health.Unhealthy, health.CauseStatus, ", want %s", a.wantStatus())
}

// status returns a status code with its standard name, if it has one.
func status(code int) string {
	if name := http.StatusText(code); name != "" {
		return fmt.Sprintf("%d (%s)", code, name)
	}
	return fmt.Sprint(code)
}

func (a *attempt) wantStatus() string {
	if len(a.p.cfg.Status) == 0 {
		return "200 to 299"
	}
	codes := make([]string, len(a.p.cfg.Status))
	for i, code := range a.p.cfg.Status {
		codes[i] = fmt.Sprint(code)
	}
	return strings.Join(codes, " or ")
}

// judgeBroken judges an answer whose body did not come to its end.
func (a *attempt) judgeBroken(ctx context.Context, r health.Result, err error) health.Result {
	if errors.Is(err, errTooLarge) {
		return r.Worsen(health.Unhealthy, health.CauseTooLarge, fmt.Sprintf("answered %s with a body of more than %d bytes", status(a.code), a.p.cfg.MaxBody))
	}
	f := a.explain(ctx, err)
	return r.Worsen(f.Status, f.Cause, f.Message)
}

// judgeBody judges a complete body.
func (a *attempt) judgeBody(r health.Result, resp *http.Response, body []byte, good bool) health.Result {
	if r.Cause == health.CauseThrottled {
		return r // the body is about the limit, not about the thing
	}
	if text := a.p.cfg.Contains; good && text != "" && !bytes.Contains(body, []byte(text)) {
		r = r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("answered %s without %s in its body", status(a.code), netcheck.Quote(text)))
	}
	if a.p.rules.empty() {
		return r
	}
	doc, err := a.p.rules.tree.read(body)
	switch {
	case err == nil && good:
		return a.p.rules.apply(r, doc, all)
	case err == nil && r.Status == health.Maintenance:
		return a.p.rules.apply(r, doc, record)
	case err == nil:
		return a.p.rules.apply(r, doc, known)
	case good:
		return r.Worsen(health.Unhealthy, health.CauseNotJSON, fmt.Sprintf("answered %s with %s, want JSON", status(a.code), notJSON(resp, body, err)))
	}
	return r
}

// notJSON says what a body is that is not JSON.
func notJSON(resp *http.Response, body []byte, err error) string {
	kind := netcheck.Clean(resp.Header.Get("Content-Type"))
	start := bytes.ToLower(bytes.TrimSpace(body[:min(len(body), 512)]))
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case len(bytes.TrimSpace(body)) == 0:
		return "an empty body"
	case encoding != "":
		return "a body in the encoding " + netcheck.Quote(encoding)
	case bytes.HasPrefix(start, []byte("<!doctype html")), bytes.HasPrefix(start, []byte("<html")), strings.HasPrefix(kind, "text/html"):
		return "an HTML page"
	case kind != "" && !strings.Contains(kind, "json"):
		return "a body of type " + netcheck.Quote(kind) + " that " + err.Error()
	}
	return "a body that " + err.Error()
}
