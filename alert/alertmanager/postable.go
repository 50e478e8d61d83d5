package alertmanager

import (
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// postable is an alert as Alertmanager takes it: the postableAlert of
// https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml.
type postable struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt,omitzero"`
	EndsAt      time.Time         `json:"endsAt,omitzero"`
}

// identity is what Alertmanager knows an alert by.
func (p postable) identity() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(p.Labels)) {
		b.WriteString(name + "\x00" + p.Labels[name] + "\x00")
	}
	return b.String()
}

func (n *Notifier) postable(a alert.Alert) postable {
	labels := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) { // of two that become one, always the same
		labels[labelName(name)] = a.Labels[name]
	}
	maps.Copy(labels, n.cfg.Labels)
	maps.Copy(labels, map[string]string{
		"alertname": a.Rule, "environment": a.Environment, "entity": a.Entity, "severity": a.Severity.String(), "reason": string(a.Reason),
	})
	annotations := map[string]string{"summary": a.Summary, "description": a.Detail, "affected": strings.Join(a.Affected, ", ")}
	if isAddress(a.Playbook) {
		annotations["runbook_url"] = a.Playbook
	} else {
		annotations["playbook"] = a.Playbook
	}
	if a.Acknowledged != nil {
		annotations["acknowledged_by"] = a.Acknowledged.By
	}
	for _, set := range []map[string]string{labels, annotations} {
		for name, value := range set {
			// An empty label is none to Alertmanager, and what is not UTF-8 is refused.
			if set[name] = send.Cut(strings.ToValidUTF8(value, "�"), maxValue); value == "" {
				delete(set, name)
			}
		}
	}
	began := a.Fired
	if began.IsZero() {
		began = a.Began
	}
	return postable{Labels: labels, Annotations: annotations, StartsAt: began}
}

// maxValue is how long a value is at most: more is of no use in a label or an annotation.
const maxValue = 4000

func isAddress(s string) bool {
	return strings.HasPrefix(s, "https://") || strings.HasPrefix(s, "http://")
}

// labelName returns a name as Prometheus demands: letters, digits and _, and no digit first.
func labelName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if clean == "" || clean[0] >= '0' && clean[0] <= '9' {
		clean = "_" + clean
	}
	return clean
}

// test returns an alert that says that it is a test, and ends by itself.
func (n *Notifier) test(what alert.Notification, now time.Time) postable {
	p := n.postable(alert.Alert{Rule: "RunbookTest", Severity: alert.Low, Summary: what.Title, Detail: what.Text, Began: now})
	p.EndsAt = now.Add(time.Minute)
	return p
}
