package dynreg

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"go.acu.edu.au/runbook"
)

// A Reason is why there is no registration. It is an error, so that errors.Is(err,
// dynreg.ReasonUnknown) works; its text is a stable word for metrics.
type Reason string

// Error returns the word.
func (r Reason) Error() string { return string(r) }

// Reasons, in the order in which they are looked for. With those up to
// [ReasonUnsent] nothing was registered.
const (
	ReasonMethod        Reason = "method"             // neither GET nor POST
	ReasonRequest       Reason = "request"            // not a request of this kind, too large, or a parameter twice
	ReasonInvitation    Reason = "invitation"         // no invitation, a forged one, or one made with a key that is known no more
	ReasonExpired       Reason = "invitation_expired" // the time of the invitation is over
	ReasonAddress       Reason = "address"            // openid_configuration is not an address that may be called
	ReasonFetch         Reason = "fetch"              // the platform's configuration could not be had; Status tells whether it said no
	ReasonConfiguration Reason = "configuration"      // the platform's configuration is not one to work with
	ReasonIssuer        Reason = "issuer"             // an address is not of the issuer's host
	ReasonPlatform      Reason = "platform"           // the host program, or the invitation, does not want this platform
	ReasonConfirmation  Reason = "confirmation"       // what was confirmed is not this, or was too long ago
	ReasonUsed          Reason = "invitation_used"    // the invitation was used before
	ReasonNonces        Reason = "nonces"             // whether the invitation was used could not be asked
	ReasonUnsent        Reason = "unsent"             // the registration could not be sent; the invitation is used up
	ReasonRefused       Reason = "refused"            // the platform did not register the tool, and says so
	ReasonUnknown       Reason = "unknown_outcome"    // nobody knows whether the platform registered the tool
	ReasonAnswer        Reason = "answer"             // the platform registered the tool, but not as it was asked to
	ReasonStore         Reason = "store"              // the platform registered the tool, and the host program could not keep it
)

// An Error is a registration that did not come about.
type Error struct {
	// Reason is why.
	Reason Reason
	// Detail says what was expected and what came, for the operator. Foreign text
	// in it is quoted and shortened; it holds no token.
	Detail string
	// For is that of the invitation, if it is known.
	For string
	// Issuer is the platform, once its configuration was checked.
	Issuer string
	// ClientID is what the platform gave the tool. If it is set, the platform has a
	// registration that nobody here knows: it has to be entered by hand, or to be
	// deleted there.
	ClientID string
	// Status is the status of the platform's answer; 0 means that there was none.
	Status int
	// Code is the platform's name for the error, such as "invalid_redirect_uri"
	// (RFC 7591, section 3.2.2), and Message what it says about it, shortened. Both
	// are foreign text; Message is not in the text of the error.
	Code, Message string

	cause error
}

// Error returns the line for the operator.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "dynreg: not registered (%s)", e.Reason)
	if e.For != "" {
		fmt.Fprintf(&b, " for %s", quote(e.For))
	}
	if e.Issuer != "" {
		fmt.Fprintf(&b, " at %s", quote(e.Issuer))
	}
	if e.ClientID != "" {
		fmt.Fprintf(&b, ", client %s", quote(e.ClientID))
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Code != "" {
		fmt.Fprintf(&b, ", %s", quote(e.Code))
	}
	if e.Detail != "" {
		b.WriteString(": ")
		b.WriteString(e.Detail)
	}
	if e.cause != nil {
		b.WriteString(": ")
		b.WriteString(e.cause.Error())
	}
	return b.String()
}

// Is reports whether target is the reason.
func (e *Error) Is(target error) bool {
	reason, ok := target.(Reason)
	return ok && reason == e.Reason
}

// Unwrap returns what went wrong below, if anything did: the error of the network,
// of the nonce store, or of the host program.
func (e *Error) Unwrap() error { return e.cause }

// SafeToRetry reports whether it is proven that the platform registered nothing. The
// invitation may be used up all the same; see [ReasonUnsent].
func (e *Error) SafeToRetry() bool {
	switch e.Reason {
	case ReasonRefused, ReasonUnknown, ReasonAnswer, ReasonStore:
		return false
	}
	return true
}

// httpStatus is the status of the page.
func (e *Error) httpStatus() int {
	switch e.Reason {
	case ReasonMethod:
		return http.StatusMethodNotAllowed
	case ReasonInvitation, ReasonExpired, ReasonUsed, ReasonPlatform:
		return http.StatusForbidden
	case ReasonFetch, ReasonConfiguration, ReasonIssuer, ReasonUnsent, ReasonRefused, ReasonUnknown, ReasonAnswer:
		return http.StatusBadGateway
	case ReasonNonces:
		return http.StatusServiceUnavailable
	case ReasonStore:
		return http.StatusInternalServerError
	}
	return http.StatusBadRequest
}

func fail(reason Reason, format string, args ...any) *Error {
	return &Error{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// unanswered is the error of a registration that was not answered.
func unanswered(err error) *Error {
	if runbook.SafeToRetry(err) {
		return &Error{Reason: ReasonUnsent, cause: err}
	}
	return &Error{Reason: ReasonUnknown, cause: err}
}

// quote returns foreign text for an operator: quoted, and not long.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return fmt.Sprintf("%q…", s[:most])
	}
	return fmt.Sprintf("%q", s)
}

// printable returns the beginning of a foreign text, on one line.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, " "))
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return strings.TrimSpace(s)
}

// problems collects what is wrong with something.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

func (p *problems) join() error { return errors.Join(*p...) }

// line returns all of them on one line.
func (p problems) line() string {
	all := make([]string, len(p))
	for i, err := range p {
		all[i] = err.Error()
	}
	return strings.Join(all, "; ")
}
