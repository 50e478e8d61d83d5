package httpprobe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
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
	r := httpcheck.Explain(ctx, a.line, err).Result()
	if expiry, ok := netcheck.ExpiryOfRefused(err); ok {
		r = netcheck.With(r, expiry.Measurement())
	}
	return a.measure(r)
}

// judge is the result when an answer came, with its whole body unless err says
// why not.
func (a *attempt) judge(ctx context.Context, resp *http.Response, body []byte, err error) health.Result {
	r, good := a.judgeStatus(resp, body)
	complete := err == nil
	if complete {
		r.Duration = a.line.Elapsed()
		r = netcheck.With(r, netcheck.Milliseconds("response_time", r.Duration))
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
	cfg := &a.p.cfg
	switch {
	case slices.Contains(cfg.Maintenance, code):
		return health.Result{Status: health.Maintenance, Cause: health.CauseMaintenance, Message: "answered " + httpcheck.Status(code) + ", which means maintenance"}, false
	case code == http.StatusForbidden && bytes.Contains(bytes.ToLower(body[:min(len(body), 4<<10)]), []byte(rateLimited)):
		return health.Result{Status: health.Degraded, Cause: health.CauseThrottled, Message: "answered " + httpcheck.Status(code) + " with the text of a rate limit"}, false
	case slices.Contains(cfg.Status, code), len(cfg.Status) == 0 && code >= 200 && code <= 299:
		return health.Result{Status: health.Healthy}, true
	}
	return httpcheck.Refusal(resp, !httpcheck.Auth(cfg.Auth).IsZero(), a.wantStatus()).Result(), false
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
		return r.Worsen(health.Unhealthy, health.CauseTooLarge, fmt.Sprintf("answered %s with a body of more than %d bytes", httpcheck.Status(a.code), a.p.cfg.MaxBody))
	}
	return httpcheck.Explain(ctx, a.line, err).Add(r)
}

// judgeBody judges a complete body.
func (a *attempt) judgeBody(r health.Result, resp *http.Response, body []byte, good bool) health.Result {
	if r.Cause == health.CauseThrottled {
		return r // the body is about the limit, not about the thing
	}
	if text := a.p.cfg.Contains; good && text != "" && !bytes.Contains(body, []byte(text)) {
		r = r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("answered %s without %s in its body", httpcheck.Status(a.code), netcheck.Quote(text)))
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
		return r.Worsen(health.Unhealthy, health.CauseNotJSON, fmt.Sprintf("answered %s with %s, want JSON", httpcheck.Status(a.code), notJSON(resp, body, err)))
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
