package health

import (
	"context"
	"math"
	"strconv"
	"time"
)

// A Result is what one probe found. It is a value: once returned it is not
// changed, by the prober or by anyone it is given to.
type Result struct {
	// Status is the finding.
	Status Status
	// Cause says in one machine-readable word why Status is not Healthy. It is
	// empty when Status is Healthy.
	Cause Cause
	// Message says the same to an operator, in one line: what happened, to
	// which thing, and what was expected. It never contains a secret. It may
	// name hosts and other details, and is not shown by the public views.
	Message string
	// Measurements are the numbers (and names) that the probe read, also when
	// the probe failed after reading them.
	Measurements []Measurement
	// Time is when the probe began. A [Monitor] sets it if it is zero.
	Time time.Time
	// Duration is how long the probed thing took to answer. A [Monitor] sets it
	// to the time of the whole probe if it is zero.
	Duration time.Duration
}

// A Measurement is one value that a probe read.
type Measurement struct {
	// Name is what was measured, in the form of a metric name:
	// "memory_usage", "active_sessions", "certificate_expiry".
	Name string
	// Value is the number, in Unit. It is zero if Text is set.
	Value float64
	// Unit is the unit of Value.
	Unit Unit
	// Text is a value that is not a number, such as a version or a commit.
	Text string
}

// String returns the measurement for people, rounded: "memory_usage 94.01 %".
func (m Measurement) String() string {
	if m.Text != "" {
		return m.Name + " " + m.Text
	}
	s := m.Name + " " + rounded(m.Value)
	if m.Unit != "" {
		s += " " + string(m.Unit)
	}
	return s
}

// rounded returns a number with two decimals at most, and with three digits at
// least where it is small.
func rounded(v float64) string {
	if math.Abs(v) >= 1 {
		v = math.Round(v*100) / 100
	} else if v != 0 && !math.IsNaN(v) {
		scale := math.Pow(10, 2-math.Floor(math.Log10(math.Abs(v))))
		v = math.Round(v*scale) / scale
	}
	return strconv.FormatFloat(v, 'f', -1, 64)
}

// Unit is the unit of a [Measurement]. The constants are the common ones; any
// other text is allowed.
type Unit string

// Common units.
const (
	Count        Unit = ""      // a number of things
	Seconds      Unit = "s"     // a time span
	Milliseconds Unit = "ms"    // a time span
	Days         Unit = "days"  // a time span of 24 hours each
	Bytes        Unit = "bytes" // a size
	Megabytes    Unit = "MB"    // a size of 1,048,576 bytes each
	Percent      Unit = "%"     // a share of 100
	PerMinute    Unit = "/min"  // a rate
)

// Measurement returns the first measurement of that name.
func (r Result) Measurement(name string) (Measurement, bool) {
	for _, m := range r.Measurements {
		if m.Name == name {
			return m, true
		}
	}
	return Measurement{}, false
}

// Worsen returns r with a further finding: if status is worse than r.Status, it
// becomes the status and cause becomes the cause. The message is added to those
// already there, the deciding one first. A finding that is Healthy changes
// nothing.
func (r Result) Worsen(status Status, cause Cause, message string) Result {
	status, r.Status = status.orUnknown(), r.Status.orUnknown()
	switch {
	case status == Healthy:
	case severity[status] > severity[r.Status]:
		r.Status, r.Cause, r.Message = status, cause, joinMessages(message, r.Message)
	default:
		r.Message = joinMessages(r.Message, message)
	}
	return r
}

func joinMessages(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

// Cause is one machine-readable word for why a result is not healthy. The
// constants are those that this module's probers give; a prober may have
// others.
type Cause string

// Causes. The first group says that no answer came, the second that an answer
// came and was not the wanted one, the third that no probe was made or counted.
const (
	CauseDNS         Cause = "dns"         // the host name could not be resolved
	CauseUnreachable Cause = "unreachable" // no route to the host or network
	CauseRefused     Cause = "refused"     // the host refused the connection
	CauseTLS         Cause = "tls"         // the TLS handshake or certificate was not acceptable
	CauseTimeout     Cause = "timeout"     // no (complete) answer within the time allowed
	CauseConnection  Cause = "connection"  // the connection broke before the answer was complete

	CauseStatus       Cause = "status"       // another status code than wanted
	CauseUnauthorized Cause = "unauthorized" // the credential was not accepted
	CauseProtocol     Cause = "protocol"     // the answer breaks the protocol
	CauseNotJSON      Cause = "not_json"     // the answer should be JSON and is not
	CauseTooLarge     Cause = "too_large"    // the answer exceeds the size limit
	CauseAssertion    Cause = "assertion"    // a value is not the one demanded
	CauseMissing      Cause = "missing"      // a value that should be there is not
	CauseThreshold    Cause = "threshold"    // a measurement is past its limit
	CauseSlow         Cause = "slow"         // the answer took longer than its budget
	CauseCertificate  Cause = "certificate"  // a certificate expires soon or has expired
	CauseThrottled    Cause = "throttled"    // the server refused because of a rate limit
	CauseMaintenance  Cause = "maintenance"  // the server says maintenance
	CauseFailed       Cause = "failed"       // it failed, and no closer word is known

	CausePending  Cause = "pending"   // no probe has finished yet
	CausePanic    Cause = "panic"     // the prober panicked
	CauseHung     Cause = "hung"      // the prober ignores its context and is still running
	CauseNotAsked Cause = "not_asked" // the probe could not be made (a bad setting, a local fault)
)

// A Prober looks at one thing once and says how it is.
//
// Probe makes exactly one attempt: repeating is the business of a schedule and
// of thresholds, not of a prober. It must return soon after ctx ends, with the
// most exact cause it knows; a [Monitor] survives one that does not (see
// [CauseHung]). It must not change what it looks at. Probe may be called
// concurrently. A panic is turned into an Unhealthy result by the Monitor.
//
// ctx always has a deadline when a Monitor calls, and its end is never the
// wish of somebody who asked for the result and went away: a finding therefore
// is about the thing probed. When ctx was cancelled rather than timed out, the
// result is not recorded.
type Prober interface {
	Probe(ctx context.Context) Result
}

// ProberFunc makes a function a [Prober].
type ProberFunc func(ctx context.Context) Result

// Probe calls f.
func (f ProberFunc) Probe(ctx context.Context) Result { return f(ctx) }

// ErrorFunc makes a Prober of a function that returns an error, such as the
// PingContext method of a *sql.DB: nil is Healthy, an error is Unhealthy with
// the cause that [CauseOf] finds. The text of the error becomes the message, so
// it must not contain a secret.
type ErrorFunc func(ctx context.Context) error

// Probe calls f.
func (f ErrorFunc) Probe(ctx context.Context) Result {
	if err := f(ctx); err != nil {
		return Result{Status: Unhealthy, Cause: CauseOf(err), Message: err.Error()}
	}
	return Result{Status: Healthy}
}
