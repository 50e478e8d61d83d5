package httpx

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Errors of a call, for errors.Is.
var (
	// ErrTooLarge means that the answer is larger than the limit.
	ErrTooLarge = errors.New("the answer is too large")
	// ErrTransport means that the transport broke its own contract.
	ErrTransport = errors.New("the transport does not work")
)

// A Refusal is the error of an admission that did not let a request out.
type Refusal struct {
	// Err says why.
	Err error
	// After is how long to wait before the next attempt. A negative After ends
	// the call.
	After time.Duration
}

// Error returns the text of Err.
func (e *Refusal) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *Refusal) Unwrap() error { return e.Err }

// SafeToRetry reports that nothing was sent.
func (e *Refusal) SafeToRetry() bool { return true }

// An Error is a call that did not do what it should.
type Error struct {
	// Op is what was done.
	Op string
	// Status is the status of the answer. 0 means that there was no answer, or
	// only a part of one.
	Status int
	// Unrun is true if it is proven that no attempt was run by the server.
	Unrun bool
	// Attempts is how many attempts were made.
	Attempts int

	host  string
	text  string // of cause, without what must not be shown
	cause error
}

// Error says what failed, where and why, without the address's query.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.host != "" {
		b.WriteString(": ")
		b.WriteString(e.host)
	}
	switch {
	case e.Status != 0:
		fmt.Fprintf(&b, ": status %d", e.Status)
	case e.Unrun:
		b.WriteString(": not sent")
	default:
		b.WriteString(": no answer")
	}
	if e.Attempts > 1 {
		fmt.Fprintf(&b, " (%d attempts)", e.Attempts)
	}
	if e.text != "" {
		b.WriteString(": ")
		b.WriteString(e.text)
	}
	return b.String()
}

// Unwrap returns the cause: the error of the network, of the context, or of the
// admission.
func (e *Error) Unwrap() error { return e.cause }

// SafeToRetry reports whether it is proven that no attempt was run.
func (e *Error) SafeToRetry() bool { return e.Unrun }

// failed makes the error of a call that has no answer.
func (r *run) failed(call *Call, err error) error {
	// The error of http.Client says the whole address, with its query.
	for {
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			break
		}
		err = u.Err
	}
	if end := r.ctx.Err(); end != nil && !errors.Is(err, end) {
		// A transport may say the end of the context in other words.
		err = fmt.Errorf("%w: %w", end, err)
	}
	e := &Error{Op: call.Op, Unrun: !r.mayHaveRun.Load(), Attempts: max(r.attempts, 1), cause: err}
	e.text = redact(err.Error(), call)
	if call.URL != nil {
		e.host = call.URL.Host
	}
	return e
}

// redact removes from a text what may be a secret of the call, and what does
// not belong on one line of a log.
func redact(text string, call *Call) string {
	hide := func(s string) {
		if len(s) > 3 {
			text = strings.ReplaceAll(text, s, "[redacted]")
		}
	}
	if u := call.URL; u != nil {
		hide(u.RawQuery)
		if u.User != nil {
			hide(u.User.String())
		}
	}
	for _, name := range [...]string{"Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key", "Project-Access-Token"} {
		for _, value := range call.Header.Values(name) {
			hide(value)
			if _, credentials, ok := strings.Cut(value, " "); ok {
				hide(credentials)
			}
		}
	}
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
