package incident

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
)

// A Binding says which alerts become an incident, how severe it is, and which playbook is
// for it. An alert becomes an incident by the first binding that matches it. One that no
// binding matches becomes none: see [Manager.Unbound].
type Binding struct {
	// Name names it: letters, digits, - and _, at most 60. Required. Changing it makes
	// what is open be opened again under the new one.
	Name string
	// Match chooses alerts. The zero value matches all. An alert about the measuring
	// itself has the rule of the one that it is about, and a reason: to leave those out,
	// match the label "reason" with "".
	Match alert.Matcher
	// Severity is that of the incident, whatever the alerts have. Zero means that of the
	// worst alert, and that the incident becomes more severe with its alerts.
	Severity alert.Severity
	// Title is that of the incident. Empty means what the alert says.
	Title string
	// Playbook is the name of the playbook that is for it. Empty means that there is none.
	Playbook string
	// Automatic means that the playbook may be begun without a person, if the policy of
	// the environment allows it.
	Automatic bool
	// GroupBy are the labels by which alerts are put together: those with the same values
	// are one incident. None means rule and environment.
	GroupBy []string
	// PagedElsewhere means that a service that is told of these alerts calls people until
	// one takes care, such as PagerDuty: then the incident has no escalation of ours.
	PagedElsewhere bool
	// Simulated means that the alerts are those of an exercise: see [Incident].
	Simulated bool
}

// Validate returns everything that is wrong with the binding, or nil.
func (b Binding) Validate() error {
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("incident: binding %q: "+format, append([]any{b.Name}, args...)...))
		}
	}
	bad(!isName.MatchString(b.Name), "the name must be of letters, digits, - and _, at most 60")
	bad(b.Severity != 0 && !isSeverity(b.Severity), "severity %d is not one from 1, critical, to 4, low", uint8(b.Severity))
	for _, s := range b.Match.Severities {
		bad(!isSeverity(s), "it matches severity %d, which is not one from 1, critical, to 4, low", uint8(s))
	}
	bad(b.Automatic && b.Playbook == "", "Automatic is set, and there is no playbook that could be begun")
	for _, label := range b.GroupBy {
		bad(label == "", "a label to group by is empty")
	}
	return errors.Join(problems...)
}

// checkBindings returns everything that is wrong with bindings.
func checkBindings(bindings []Binding) (problems []error) {
	names := make(map[string]bool)
	all := ""
	for _, b := range bindings {
		if err := b.Validate(); err != nil {
			problems = append(problems, err)
		}
		if names[b.Name] {
			problems = append(problems, fmt.Errorf("incident: binding %q: is there twice", b.Name))
		}
		names[b.Name] = true
		if all != "" {
			problems = append(problems, fmt.Errorf("incident: binding %q: no alert ever comes to it, since %q before it matches everything", b.Name, all))
		}
		if m := b.Match; len(m.Severities)+len(m.Environments)+len(m.Labels) == 0 {
			all = cmp.Or(all, b.Name)
		}
	}
	return problems
}

func cloneBindings(list []Binding) []Binding {
	list = slices.Clone(list)
	for i := range list {
		b := &list[i]
		b.GroupBy = slices.Clone(b.GroupBy)
		b.Match.Severities = slices.Clone(b.Match.Severities)
		b.Match.Environments = slices.Clone(b.Match.Environments)
		b.Match.Labels = maps.Clone(b.Match.Labels)
	}
	return list
}

// Validate returns an error that names each binding whose playbook is none of those that
// there are, or nil.
func (m *Manager) Validate(playbooks []string) error {
	var problems []error
	for _, b := range m.cfg.Bindings {
		if b.Playbook != "" && !slices.Contains(playbooks, b.Playbook) {
			problems = append(problems, fmt.Errorf("incident: binding %q: there is no playbook %q", b.Name, b.Playbook))
		}
	}
	return errors.Join(problems...)
}

// binding returns the binding of an alert.
func (m *Manager) binding(a alert.Alert) (*Binding, bool) {
	for i := range m.cfg.Bindings {
		if m.cfg.Bindings[i].Match.Matches(a) {
			return &m.cfg.Bindings[i], true
		}
	}
	return nil, false
}

// severity returns that of an incident with an alert.
func (b *Binding) severity(a alert.Alert) alert.Severity {
	if b.Severity != 0 {
		return b.Severity
	}
	return WorseSeverity(a.Severity)
}

// defaultGroup are the labels by which alerts are put together.
var defaultGroup = []string{"environment", "rule"}

// key returns the key of the incident to which an alert belongs. Different values make
// different keys.
func (b *Binding) key(a alert.Alert) string {
	labels := b.GroupBy
	if len(labels) == 0 {
		labels = defaultGroup
	}
	var key strings.Builder
	key.WriteString(b.Name)
	for _, label := range labels {
		key.WriteByte('|')
		key.WriteString(keyEscaper.Replace(a.Label(label)))
	}
	if key.Len() > maxIncidentKey || !isStoreText(key.String(), maxIncidentKey) {
		return fmt.Sprintf("%s|#%x", b.Name, sha256.Sum256([]byte(key.String())))
	}
	return key.String()
}

const maxIncidentKey = 200

var keyEscaper = strings.NewReplacer("%", "%25", "|", "%7C", "#", "%23")

// maxUnbound is how many alerts without a binding are kept.
const maxUnbound = 100

// noteUnbound keeps an alert that no binding matches.
func (m *Manager) noteUnbound(a alert.Alert, fired time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, old := range m.unbound {
		if old.Key == a.Key {
			m.unbound[i] = a
			if firedAt(old, time.Time{}).Equal(fired) {
				return // it was said already
			}
			m.warnUnbound(a)
			return
		}
	}
	if len(m.unbound) >= maxUnbound {
		m.unbound = slices.Delete(m.unbound, 0, 1)
	}
	m.unbound = append(m.unbound, a)
	m.warnUnbound(a)
}

func (m *Manager) warnUnbound(a alert.Alert) {
	m.cfg.Logger.Warn("incident: no binding matches an alert; it becomes no incident", "rule", a.Rule, "environment", a.Environment, "entity", a.Entity, "severity", a.Severity.String())
}

// Unbound returns the alerts that no binding matched, since the process began: the last
// hundred, the newest last, each as it was told last. There should be none; add a binding
// for them, or do not route them to the manager.
func (m *Manager) Unbound() []alert.Alert {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.unbound)
}

// firedAt returns when an alert fired; or is the time to take if it does not say.
func firedAt(a alert.Alert, or time.Time) time.Time {
	for _, t := range [...]time.Time{a.Fired, a.Began, or} {
		if !t.IsZero() {
			return t.UTC().Truncate(time.Microsecond)
		}
	}
	return time.Time{}
}
