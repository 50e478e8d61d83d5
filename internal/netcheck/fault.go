package netcheck

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A Finding is what an error means for a result.
type Finding struct {
	// Status is Unhealthy, or Unknown if nothing was learnt.
	Status health.Status
	// Cause says why in one word.
	Cause health.Cause
	// Message says why to an operator.
	Message string
}

// Result returns the finding as a result.
func (f Finding) Result() health.Result {
	return health.Result{Status: f.Status, Cause: f.Cause, Message: f.Message}
}

// Add returns r with the finding.
func (f Finding) Add(r health.Result) health.Result { return r.Worsen(f.Status, f.Cause, f.Message) }

// Down returns the finding that what was probed is not well.
func Down(cause health.Cause, format string, args ...any) Finding {
	return Finding{health.Unhealthy, cause, fmt.Sprintf(format, args...)}
}

// Ended returns what it means for a probe that took so long that ctx has ended,
// if it has. Where says what the probe was doing. A probe that was cancelled has
// learnt nothing about the other side.
func Ended(ctx context.Context, took time.Duration, where string) (Finding, bool) {
	switch end := ctx.Err(); {
	case end == nil:
		return Finding{}, false
	case errors.Is(end, context.Canceled):
		return Finding{health.Unknown, health.CauseNotAsked, "the probe was cancelled " + where}, true
	}
	return timedOut(took, where), true
}

func timedOut(took time.Duration, where string) Finding {
	return Down(health.CauseTimeout, "timed out after %v %s", Round(took), where)
}

// Explain says what an error of resolving, connecting, securing, writing or
// reading means, in the words of an operator. It decides between the end of
// ctx and a fault of the other side, and shows no text of the other side but
// names in certificates.
func (t *Timeline) Explain(ctx context.Context, err error) Finding {
	t.mu.Lock()
	phase, host, address, doing := t.phase, t.host, t.address, t.doing
	t.mu.Unlock()
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Addr != nil && phase <= Connecting {
		address = e.Addr.String() // of several tried, the one whose error counts
	}
	if address == "" {
		address = host
	}
	where := where(phase, host, address, doing)
	if f, ok := Ended(ctx, t.Elapsed(), where); ok && !definite(err) {
		return f
	}
	if word, ok := localFault(err); ok {
		return Finding{health.Unknown, health.CauseNotAsked, "the probe could not be made: this machine has " + word}
	}
	cause := causeOf(err, phase)
	switch cause {
	case health.CauseTimeout:
		return timedOut(t.Elapsed(), where)
	case health.CauseDNS:
		return Down(cause, "%s", explainDNS(err, host))
	case health.CauseRefused:
		return Down(cause, "%s refused the connection", address)
	case health.CauseUnreachable:
		return Down(cause, "%s is unreachable: no route to it", address)
	case health.CauseTLS:
		return Down(cause, "%s", ExplainTLS(err, host))
	case health.CauseConnection:
		return Down(cause, "the connection broke %s", where)
	}
	return Down(cause, "failed %s: %s", where, Clean(err.Error()))
}

// definite reports whether err is an answer of the network or the other side,
// which stays what it is if ctx ends just then. The end of ctx itself shows as
// several errors: its own, a custom one given as its cause, a closed connection,
// a name that was not resolved.
func definite(err error) bool {
	if e, ok := errors.AsType[*net.DNSError](err); ok {
		return e.IsNotFound
	}
	_, alert := alertOf(err)
	cause := health.CauseOf(err)
	return alert || cause == health.CauseRefused || cause == health.CauseUnreachable || cause == health.CauseTLS
}

// causeOf is health.CauseOf, but also knows an error that can only come from
// crypto/tls, which has no type for most of its errors.
func causeOf(err error, phase Phase) health.Cause {
	cause := health.CauseOf(err)
	if _, alert := alertOf(err); cause == health.CauseFailed && (alert || phase == Securing) {
		return health.CauseTLS
	}
	return cause
}

// alertOf returns the text of the TLS alert with which the other side ended a
// connection. With TLS 1.3 it may come after the handshake: a client does not
// wait to hear whether its certificate is accepted.
func alertOf(err error) (string, bool) {
	if e, ok := errors.AsType[*net.OpError](err); ok && e.Op == "remote error" && e.Err != nil {
		return e.Err.Error(), true
	}
	return "", false
}

// where says what the probe was doing.
func where(phase Phase, host, address, doing string) string {
	switch phase {
	case Starting:
		return "before connecting"
	case Resolving:
		return "while resolving " + host
	case Connecting:
		return "while connecting to " + address
	case Securing:
		return "in the TLS handshake"
	case Sending:
		return "while sending the request"
	case Waiting:
		return "while waiting for the answer"
	case Head:
		return "while reading the header of the answer"
	case own:
		return doing
	}
	return "while reading the body of the answer"
}

func explainDNS(err error, host string) string {
	e, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return fmt.Sprintf("host name %s cannot be resolved", host)
	case e.IsNotFound:
		return fmt.Sprintf("host name %s has no address, or does not exist", Clean(e.Name))
	}
	return fmt.Sprintf("host name %s cannot be resolved: %s", Clean(e.Name), Clean(e.Err))
}

// localFault names a lack of this machine, which says nothing about the other.
func localFault(err error) (string, bool) {
	for _, fault := range [...]struct {
		errno syscall.Errno
		word  string
	}{
		{syscall.EMFILE, "too many open files"},
		{syscall.ENFILE, "too many open files"},
		{syscall.ENOMEM, "no memory left"},
		{syscall.ENOBUFS, "no buffer space left"},
	} {
		if errors.Is(err, fault.errno) {
			return fault.word, true
		}
		// The resolver keeps only the text of the error beneath it.
		if e, ok := errors.AsType[*net.DNSError](err); ok && strings.Contains(e.Err, fault.errno.Error()) {
			return fault.word, true
		}
	}
	return "", false
}

// ExplainTLS says why a TLS handshake with host failed.
func ExplainTLS(err error, host string) string {
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return explainInvalid(e)
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("TLS: the certificate is for %s, not for %s", names(e.Certificate), Clean(e.Host))
	}
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if e.Cert == nil {
			return "TLS: the certificate is signed by an unknown authority"
		}
		return fmt.Sprintf("TLS: the certificate of %s is signed by an unknown authority (%s)", names(e.Cert), Quote(e.Cert.Issuer.String()))
	}
	if alert, ok := alertOf(err); ok {
		return fmt.Sprintf("TLS: %s ended the handshake: %s", host, Clean(strings.TrimPrefix(alert, "tls: ")))
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return fmt.Sprintf("TLS: %s does not speak TLS on this port", host)
	}
	return "TLS: " + Clean(strings.TrimPrefix(err.Error(), "tls: "))
}

func explainInvalid(e x509.CertificateInvalidError) string {
	if e.Reason != x509.Expired || e.Cert == nil {
		return "TLS: the certificate is not valid: " + Clean(strings.TrimPrefix(e.Error(), "x509: "))
	}
	if now := time.Now(); now.Before(e.Cert.NotBefore) {
		return fmt.Sprintf("TLS: the certificate of %s is not valid before %s", names(e.Cert), day(e.Cert.NotBefore))
	}
	return fmt.Sprintf("TLS: the certificate of %s expired on %s", names(e.Cert), day(e.Cert.NotAfter))
}

// names returns what a certificate is for: its host names and addresses, or
// else its subject.
func names(c *x509.Certificate) string {
	list := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	if len(list) == 0 {
		return Quote(c.Subject.String())
	}
	if len(list) > 3 {
		list = append(list[:3], fmt.Sprintf("%d more", len(list)-3))
	}
	return Clean(strings.Join(list, ", "))
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// Round makes a time span short enough for a message.
func Round(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(10 * time.Millisecond)
}
