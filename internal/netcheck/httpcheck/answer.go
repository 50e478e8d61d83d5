package httpcheck

import (
	"compress/flate"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Status returns a status code with its standard name, if it has one.
func Status(code int) string {
	if name := http.StatusText(code); name != "" {
		return fmt.Sprintf("%d (%s)", code, name)
	}
	return fmt.Sprint(code)
}

// Refusal says what an answer means whose status is not the one wanted. A rate
// limit says something about the prober and little about the service.
// Credential tells whether the request had one.
func Refusal(resp *http.Response, credential bool, want string) netcheck.Finding {
	code := resp.StatusCode
	finding := func(s health.Status, c health.Cause, format string, args ...any) netcheck.Finding {
		return netcheck.Finding{Status: s, Cause: c, Message: "answered " + Status(code) + fmt.Sprintf(format, args...)}
	}
	switch code {
	case http.StatusTooManyRequests:
		if after := netcheck.Clean(resp.Header.Get("Retry-After")); after != "" {
			return finding(health.Degraded, health.CauseThrottled, ": a rate limit, to be tried again after %s", after)
		}
		return finding(health.Degraded, health.CauseThrottled, ": a rate limit")
	case http.StatusUnauthorized, http.StatusForbidden:
		if !credential {
			return finding(health.Unhealthy, health.CauseUnauthorized, " to a request without a credential, want %s", want)
		}
		return finding(health.Unhealthy, health.CauseUnauthorized, ": the credential was not accepted, want %s", want)
	}
	if to, err := resp.Location(); err == nil && code >= 300 && code <= 399 {
		return finding(health.Unhealthy, health.CauseStatus, ", a redirect to %s that is not followed, want %s", Place(to), want)
	}
	return finding(health.Unhealthy, health.CauseStatus, ", want %s", want)
}

// Explain says what an error of net/http means. What the library says about
// bytes that break the protocol is not shown, since it quotes them.
func Explain(ctx context.Context, line *netcheck.Timeline, err error) netcheck.Finding {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err // its text shows the URL with its query
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return netcheck.Down(health.CauseTLS, "TLS: the server speaks plain HTTP on this port")
	}
	f := line.Explain(ctx, err)
	if f.Cause != health.CauseFailed {
		return f
	}
	text := err.Error()
	switch {
	case strings.Contains(text, "server response headers exceeded"):
		return netcheck.Down(health.CauseTooLarge, "the header of the answer is too large")
	case strings.Contains(text, "parse Location header"):
		return netcheck.Down(health.CauseProtocol, "redirects to an address that cannot be parsed")
	case breaksProtocol(err):
		return netcheck.Down(health.CauseProtocol, "the answer is not valid HTTP")
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
