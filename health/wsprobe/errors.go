package wsprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook/health"
)

// A failure says what is wrong, without the address.
type failure struct {
	cause health.Cause
	text  string
}

// ended returns the failure of a probe whose time is over.
func ended(ctx context.Context, what string) (failure, bool) {
	switch {
	case ctx.Err() == nil:
		return failure{}, false
	case errors.Is(ctx.Err(), context.Canceled):
		return failure{health.CauseFailed, "the probe was cancelled"}, true
	}
	return failure{health.CauseTimeout, what + " within the time allowed"}, true
}

// explainHandshake finds out why there is no WebSocket. Answer is what the
// server answered, if it did, and connected whether there was a connection. The
// text of err is not used where it holds the URL or what the server sent.
func explainHandshake(ctx context.Context, answer *http.Response, err error, connected bool) failure {
	switch {
	case answer != nil && answer.StatusCode == http.StatusSwitchingProtocols:
		return failure{health.CauseProtocol, "the server switched protocols, but not as a WebSocket does (RFC 6455 section 4.2.2)"}
	case answer != nil:
		return explainStatus(answer.StatusCode)
	}
	const noAnswer = "no answer to the handshake"
	if f, ok := ended(ctx, noAnswer); ok {
		return f
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return failure{health.CauseTLS, "the server does not speak TLS"}
	}
	cause := health.CauseOf(err)
	switch _, network := errors.AsType[net.Error](err); {
	case cause == health.CauseTimeout:
		return failure{cause, noAnswer + " within the time allowed"}
	case cause == health.CauseConnection:
		return failure{cause, "the connection broke during the handshake"}
	case cause == health.CauseFailed && connected && !network:
		return failure{health.CauseProtocol, "the answer to the handshake is not HTTP"}
	}
	return failure{cause, "handshake: " + err.Error()}
}

func explainStatus(code int) failure {
	f := failure{health.CauseStatus, fmt.Sprintf("the server answered the handshake with status %d %s, not with 101", code, http.StatusText(code))}
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.cause = health.CauseUnauthorized
	case code == http.StatusTooManyRequests:
		f.cause = health.CauseThrottled
	case code >= 300 && code < 400:
		f.text += " (redirects are not followed)"
	}
	return f
}

// explainMessage finds out why a message was not sent or did not come, which is
// what.
func explainMessage(ctx context.Context, what string, err error, maxBytes int64) failure {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		text := fmt.Sprintf("%s: the server closed the connection with code %d", what, closed.Code)
		if closed.Code == websocket.StatusNoStatusRcvd {
			text = what + ": the server closed the connection without a code"
		}
		if closed.Reason != "" {
			text += fmt.Sprintf(", reason %+.80q", closed.Reason)
		}
		return failure{health.CauseConnection, text}
	}
	if f, ok := ended(ctx, what); ok {
		return f
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return failure{health.CauseTooLarge, fmt.Sprintf("the message is larger than %d bytes", maxBytes)}
	}
	switch cause := health.CauseOf(err); cause {
	case health.CauseTimeout:
		return failure{cause, what + " within the time allowed"}
	case health.CauseConnection:
		return failure{cause, what + ": the connection broke"}
	case health.CauseFailed:
		return failure{health.CauseProtocol, what + ": the server breaks the WebSocket protocol"}
	default:
		return failure{cause, what + ": " + err.Error()}
	}
}
