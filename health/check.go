package health

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Defaults of a [Check].
const (
	DefaultInterval = 30 * time.Second // of Check.Interval
	DefaultTimeout  = 10 * time.Second // of Check.Timeout

	minInterval = 10 * time.Millisecond // less is a mistake, such as 30 for 30 * time.Second
	maxInterval = 366 * 24 * time.Hour
)

// Group says which questions a check helps to answer, in the words of
// Kubernetes. Groups combine: Readiness | Startup.
type Group uint8

// The groups.
const (
	// Liveness: is the process itself sound, or should it be restarted? A check
	// of something outside the process does not belong here: were it down, a
	// restart of every replica would help nobody.
	Liveness Group = 1 << iota
	// Readiness: can the process serve now?
	Readiness
	// Startup: has the process finished starting? Once it has, the answer stays.
	Startup

	groups = 3
)

// String returns the names joined by "|".
func (g Group) String() string {
	var names []string
	for i, name := range [groups]string{"liveness", "readiness", "startup"} {
		if g&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// A Check is a [Prober] and what a [Monitor] is to do with it.
type Check struct {
	// Name identifies the check. Required, unique in its Monitor, and shown to
	// the public: "production/database".
	Name string
	// Prober looks at the thing. Required.
	Prober Prober
	// Interval is the time from one probe to the next. Zero means
	// [DefaultInterval]; less than 10 ms is refused. A probe that takes longer than the interval makes the
	// next one wait for the interval after.
	Interval time.Duration
	// Timeout is the longest that a probe may take. Zero means [DefaultTimeout],
	// or Interval if that is shorter.
	Timeout time.Duration
	// Optional makes a failure of this check a degradation of the whole. The
	// default is critical: the whole fails with it.
	Optional bool
	// Groups are the questions that the check helps to answer. Zero means
	// Readiness.
	Groups Group
	// DependsOn names checks without which this one cannot succeed. While one
	// of them fails, or is found to be down on purpose, a failure here is shown
	// as blocked by it, so that one alarm names the cause and not ten the
	// consequences.
	DependsOn []string
	// FailureThreshold is how many results in a row must fail (Unhealthy or
	// Unknown) before the check's state fails. Zero means 1.
	FailureThreshold int
	// SuccessThreshold is how many results in a row must not fail before a
	// failed state is left. Zero means 1.
	SuccessThreshold int
	// Latency is the time that an answer may take.
	Latency Budget
	// Maintenance are the times in which the check is down on purpose. It is
	// still probed, and its state is Maintenance whatever is found. That holds
	// for this check alone: what depends on it needs windows of its own to be in
	// Maintenance too. Without them it fails, blocked by this check if this one is
	// found to be down.
	Maintenance []Window
	// Labels are the host's own words about the check, such as
	// {"environment": "production"}. The map must not be changed afterwards.
	Labels map[string]string
}

// withDefaults returns c with zero values replaced.
func (c Check) withDefaults() Check {
	if c.Interval == 0 {
		c.Interval = DefaultInterval
	}
	if c.Timeout == 0 {
		c.Timeout = min(DefaultTimeout, c.Interval)
	}
	if c.Groups == 0 {
		c.Groups = Readiness
	}
	c.FailureThreshold = max(c.FailureThreshold, 1)
	c.SuccessThreshold = max(c.SuccessThreshold, 1)
	c.DependsOn = slices.Clone(c.DependsOn)
	c.Maintenance = slices.Clone(c.Maintenance)
	return c
}

// validate returns everything that is wrong with the check by itself.
func (c Check) validate() error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("check %q: "+format, append([]any{c.Name}, args...)...))
	}
	switch {
	case c.Name == "":
		fail("a name is required")
	case !utf8.ValidString(c.Name):
		fail("a name must be valid UTF-8")
	case strings.TrimSpace(c.Name) != c.Name || strings.ContainsFunc(c.Name, func(r rune) bool { return r < ' ' }):
		fail("a name must not begin or end with a space or contain control characters")
	}
	if c.Prober == nil {
		fail("a prober is required")
	}
	if c.Interval != 0 && (c.Interval < minInterval || c.Interval > maxInterval) {
		fail("interval %v is not between %v and %v", c.Interval, minInterval, maxInterval)
	}
	if c.Timeout < 0 || c.Timeout > maxInterval {
		fail("timeout %v is not between 0 and %v", c.Timeout, maxInterval)
	}
	if c.FailureThreshold < 0 || c.SuccessThreshold < 0 {
		fail("thresholds must not be negative")
	}
	if c.Groups >= 1<<groups {
		fail("groups %#b are not among liveness, readiness, startup", uint8(c.Groups))
	}
	if c.Groups&Liveness != 0 && len(c.DependsOn) > 0 {
		fail("a liveness check must not depend on another: when that fails, restarting this process does not help")
	}
	if err := c.Latency.Validate(); err != nil {
		fail("%w", err)
	}
	for _, w := range c.Maintenance {
		if err := w.Validate(); err != nil {
			fail("maintenance: %w", err)
		}
	}
	return errors.Join(errs...)
}
