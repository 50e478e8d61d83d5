package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

// CauseOf names the cause in an error of the standard library's network, HTTP,
// TLS and context packages, however deeply it is wrapped. An error that it
// does not know has [CauseFailed]; nil has the empty cause.
func CauseOf(err error) Cause {
	switch {
	case err == nil:
		return ""
	case isTimeout(err):
		return CauseTimeout
	case isTLS(err):
		return CauseTLS
	case errors.Is(err, syscall.ECONNREFUSED):
		return CauseRefused
	case isAny(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN, syscall.EADDRNOTAVAIL):
		return CauseUnreachable
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE, syscall.ECONNABORTED, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed):
		return CauseConnection
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return CauseDNS
	}
	return CauseFailed
}

// isTimeout reports whether time ran out, wherever: also while resolving a
// name, since a resolver that does not answer is not a name that is missing.
func isTimeout(err error) bool {
	if isAny(err, context.DeadlineExceeded, os.ErrDeadlineExceeded, syscall.ETIMEDOUT) {
		return true
	}
	// A net.Error tells of the error right inside it only: ask each.
	for {
		e, ok := errors.AsType[net.Error](err)
		if !ok || e.Timeout() {
			return ok
		}
		err = errors.Unwrap(e)
	}
}

func isTLS(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) { // plain HTTP where TLS was expected
		return true
	}
	// An alert in a connection over TCP is a net.OpError of crypto/tls around a
	// value of an unexported type.
	if e, ok := errors.AsType[*net.OpError](err); ok && (e.Op == "remote error" || e.Op == "local error") {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return true
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.CertificateInvalidError](err)
	return ok
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
