package health

import (
	"fmt"
	"strings"
)

// Status is the state of a check, or of several together.
//
// The zero value is Unknown: what has not been looked at is not healthy.
type Status uint8

// The states. [Worst] tells which of two counts.
const (
	// Unknown means that nothing can be said: no result yet, or the probe
	// itself could not be made. It is not a failure of the thing probed.
	Unknown Status = iota
	// Healthy means that everything asked for was found.
	Healthy
	// Degraded means that it works, but not as it should: slow, throttled,
	// near a limit, or without an optional part.
	Degraded
	// Unhealthy means that it does not work.
	Unhealthy
	// Maintenance means that it is, or may be, down on purpose.
	Maintenance

	statuses = iota
)

var statusNames = [statuses]string{"unknown", "healthy", "degraded", "unhealthy", "maintenance"}

// String returns the state in lower case: "healthy".
func (s Status) String() string {
	if int(s) >= len(statusNames) {
		return fmt.Sprintf("status(%d)", uint8(s))
	}
	return statusNames[s]
}

// MarshalText writes the state as String does.
func (s Status) MarshalText() ([]byte, error) {
	if int(s) >= len(statusNames) {
		return nil, fmt.Errorf("health: %v is not a status", s)
	}
	return []byte(statusNames[s]), nil
}

// UnmarshalText reads what MarshalText writes, in any letter case.
func (s *Status) UnmarshalText(text []byte) error {
	for i, name := range statusNames {
		if strings.EqualFold(string(text), name) {
			*s = Status(i)
			return nil
		}
	}
	return fmt.Errorf("health: %q is not a status (one of %s)", text, strings.Join(statusNames[:], ", "))
}

// OK reports whether the thing can be used: healthy, degraded, or in
// maintenance. Unhealthy and unknown are not.
func (s Status) OK() bool { return s == Healthy || s == Degraded || s == Maintenance }

// severity orders states: a higher one decides over a lower one. What is known
// to be down outranks what is not known, and maintenance never hides either.
var severity = [statuses]uint8{Healthy: 0, Maintenance: 1, Degraded: 2, Unknown: 3, Unhealthy: 4}

// orUnknown returns s, or Unknown if s is none of the states.
func (s Status) orUnknown() Status {
	if s >= statuses {
		return Unknown
	}
	return s
}

// Worst returns the state that decides when several are seen together:
// unhealthy, then unknown, degraded, maintenance, healthy. Of no states it is
// Healthy. A value that is none of the states counts as Unknown.
func Worst(states ...Status) Status {
	worst := Healthy
	for _, s := range states {
		s = s.orUnknown()
		if severity[s] > severity[worst] {
			worst = s
		}
	}
	return worst
}
