package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Severity is how bad something is, in the four levels of an operations runbook. A
// smaller number is worse.
type Severity uint8

// The severities.
const (
	// Critical means that the service is down or in danger. It wakes people, in
	// production only.
	Critical Severity = iota + 1
	// High means that it works badly for many.
	High
	// Medium means that a part of it does not work, or not for everybody.
	Medium
	// Low can wait for the next business day.
	Low
)

var severityNames = [...]string{Critical: "critical", High: "high", Medium: "medium", Low: "low"}

// String returns the name: "critical".
func (s Severity) String() string {
	if s < Critical || s > Low {
		return fmt.Sprintf("severity %d", uint8(s))
	}
	return severityNames[s]
}

// MarshalText returns the name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), s.validate() }

// UnmarshalText reads a name in whatever case, or a number from 1 to 4.
func (s *Severity) UnmarshalText(text []byte) error {
	for i := Critical; i <= Low; i++ {
		if t := string(text); strings.EqualFold(t, i.String()) || t == fmt.Sprint(uint8(i)) {
			*s = i
			return nil
		}
	}
	return errors.New("alert: severity: must be critical, high, medium or low, or 1 to 4")
}

func (s Severity) validate() error {
	if s < Critical || s > Low {
		return fmt.Errorf("alert: severity %d: must be from 1, critical, to 4, low", uint8(s))
	}
	return nil
}

// State is how far an alert is.
type State string

// The states.
const (
	// Pending means that the condition holds, and not yet for as long as the rule
	// asks. Nobody is told.
	Pending State = "pending"
	// Firing means that it is wrong.
	Firing State = "firing"
	// Resolved means that it is over.
	Resolved State = "resolved"
)

// An Alert is one thing that is wrong, or was, as it is at one moment. It is a
// value: it and its maps and slices are not changed by anybody once it was handed
// over.
type Alert struct {
	// Key names the alert from its first to its last moment, and every time it
	// comes again: it is made of rule, environment and entity, and never of values.
	// See [Key].
	Key string `json:"key"`
	// Rule is the name of the rule, Environment that of the environment
	// ("production"), Entity that of the thing: a check, a service, a certificate.
	Rule        string `json:"rule"`
	Environment string `json:"environment,omitempty"`
	Entity      string `json:"entity,omitempty"`
	// Severity is how bad it is.
	Severity Severity `json:"severity"`
	// Labels are for routing and silences.
	Labels map[string]string `json:"labels,omitempty"`

	// Summary says in a line what is wrong, to somebody who was asleep a minute ago.
	// Detail says what was found. Neither has a secret in it; both may have text
	// from outside, which notifiers escape.
	Summary string `json:"summary"`
	Detail  string `json:"detail,omitempty"`
	// Playbook names what to do: the name of a playbook, or an address.
	Playbook string `json:"playbook,omitempty"`
	// Affected are the things that fail because of this one.
	Affected []string `json:"affected,omitempty"`
	// Parents are the keys of alerts that explain this one. While one of them fires,
	// nobody is told that this one began; its evaluation, and the end of what was
	// told, go on.
	Parents []string `json:"parents,omitempty"`

	// State is how far it is.
	State State `json:"state"`
	// Reason is why it fires, if it is not that the condition holds: missing data,
	// or an evaluation that failed.
	Reason Reason `json:"reason,omitempty"`
	// Flapping means that it came and went too often; it is held open until it is
	// quiet.
	Flapping bool `json:"flapping,omitempty"`
	// Value is what was measured last, Limit what it is compared with, Peak the
	// worst value since it began, all in Unit.
	Value float64     `json:"value"`
	Limit float64     `json:"limit"`
	Peak  float64     `json:"peak"`
	Unit  health.Unit `json:"unit,omitempty"`

	// Began is when the condition first held, Fired when it had for long enough,
	// and Ended when it was over; zero if not yet.
	Began time.Time `json:"began"`
	Fired time.Time `json:"fired,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Acknowledged says who takes care of it, if somebody does.
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"`
}

// Reason is why an alert fires.
type Reason string

// The reasons.
const (
	// Failing means that the condition holds.
	Failing Reason = ""
	// NoData means that nothing was measured for too long.
	NoData Reason = "no data"
	// Broken means that the rule could not be evaluated: the fault is ours.
	Broken Reason = "evaluation error"
)

// An Acknowledgement says that somebody takes care of an alert.
type Acknowledgement struct {
	// By is who, by name.
	By string `json:"by"`
	// At is when.
	At time.Time `json:"at"`
	// Comment is what they said about it; optional.
	Comment string `json:"comment,omitempty"`
}

// Key returns the key of an alert: a hash, 32 characters long, of the rule, the
// environment and the entity. Missing data and failing evaluations are alerts of
// their own, with keys of their own.
func Key(rule, environment, entity string, reason Reason) string {
	h := sha256.New()
	for _, part := range [...]string{rule, environment, entity, string(reason)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Label returns a label by name. The names "rule", "environment", "entity",
// "severity" and "reason" are always there.
func (a Alert) Label(name string) string { return a.label(name) }

// label is Label without a copy of the alert.
func (a *Alert) label(name string) string {
	switch name {
	case "rule":
		return a.Rule
	case "environment":
		return a.Environment
	case "entity":
		return a.Entity
	case "severity":
		return a.Severity.String()
	case "reason":
		return string(a.Reason)
	}
	return a.Labels[name]
}

// Duration returns how long it lasted, or has lasted at a moment.
func (a Alert) Duration(now time.Time) time.Duration {
	if !a.Ended.IsZero() {
		now = a.Ended
	}
	return max(0, now.Sub(a.Began))
}

// clone returns a copy that shares nothing.
func (a *Alert) clone() Alert {
	b := *a
	b.Labels = maps.Clone(a.Labels)
	b.Affected = slices.Clone(a.Affected)
	b.Parents = slices.Clone(a.Parents)
	if a.Acknowledged != nil {
		ack := *a.Acknowledged
		b.Acknowledged = &ack
	}
	return b
}
