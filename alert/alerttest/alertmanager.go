package alerttest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Alertmanager is Prometheus Alertmanager, as far as it is told of alerts, API version 2, and
// tells of them by its webhook, version 4. The zero value takes alerts without a token. See
// https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml and
// https://prometheus.io/docs/alerting/latest/alerts_api/.
//
// An alert is its labels. It fires until its end, or until ResolveTimeout after it was last
// told of without one.
type Alertmanager struct {
	// Token is the bearer token that is taken. Empty means that none is needed.
	Token string
	// Prefix is the path before /api/v2: "/alertmanager".
	Prefix string
	// ResolveTimeout is after how long an alert without an end is over. Zero means 5 minutes.
	ResolveTimeout time.Duration

	faults
	state  sync.Mutex
	alerts []AlertmanagerAlert
	posts  int
}

// AlertmanagerAlert is an alert that Alertmanager was told of.
type AlertmanagerAlert struct {
	// Labels are what it is known by, Annotations what it says.
	Labels, Annotations map[string]string
	// StartsAt and EndsAt are when it began, and when it is over, which may be in the future.
	StartsAt, EndsAt time.Time
	// UpdatedAt is when Alertmanager was last told of it.
	UpdatedAt time.Time
}

// Firing reports whether it fires at a moment.
func (a AlertmanagerAlert) Firing(at time.Time) bool { return a.EndsAt.After(at) }

// Client returns a client that reaches m in memory, whatever the address.
func (m *Alertmanager) Client() *http.Client { return m.client(m) }

// Alerts returns all alerts, also those that are over, in the order in which it was first told.
func (m *Alertmanager) Alerts() []AlertmanagerAlert {
	m.state.Lock()
	defer m.state.Unlock()
	return slices.Clone(m.alerts)
}

// Firing returns those that fire now.
func (m *Alertmanager) Firing() (list []AlertmanagerAlert) {
	now := time.Now()
	for _, a := range m.Alerts() {
		if a.Firing(now) {
			list = append(list, a)
		}
	}
	return list
}

// Posts returns how often it was told.
func (m *Alertmanager) Posts() int {
	m.state.Lock()
	defer m.state.Unlock()
	return m.posts
}

// Restart makes it forget all alerts, as Alertmanager does.
func (m *Alertmanager) Restart() {
	m.state.Lock()
	defer m.state.Unlock()
	m.alerts = nil
}

// ServeHTTP implements [http.Handler].
func (m *Alertmanager) ServeHTTP(w http.ResponseWriter, r *http.Request) { m.serve(w, r, m.take, nil) }

func (m *Alertmanager) take(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != m.Prefix+"/api/v2/alerts":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost:
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	case m.Token != "" && r.Header.Get("Authorization") != "Bearer "+m.Token:
		http.Error(w, "Unauthorized", http.StatusUnauthorized)
		return
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		http.Error(w, "unsupported media type", http.StatusUnsupportedMediaType)
		return
	}
	var list []struct {
		Labels       map[string]string `json:"labels"`
		Annotations  map[string]string `json:"annotations"`
		StartsAt     time.Time         `json:"startsAt"`
		EndsAt       time.Time         `json:"endsAt"`
		GeneratorURL string            `json:"generatorURL"`
	}
	data, ok := body(r, 16<<20)
	if !ok || strict(data, &list) != nil {
		http.Error(w, "bad request", http.StatusBadRequest)
		return
	}
	m.state.Lock()
	defer m.state.Unlock()
	m.posts++
	now := time.Now()
	invalid := 0
	for _, p := range list {
		a := AlertmanagerAlert{Labels: p.Labels, Annotations: p.Annotations, StartsAt: p.StartsAt, EndsAt: p.EndsAt, UpdatedAt: now}
		if !m.complete(&a, now) {
			invalid++ // those that are valid are taken nevertheless
			continue
		}
		i := slices.IndexFunc(m.alerts, func(known AlertmanagerAlert) bool { return maps.Equal(known.Labels, a.Labels) })
		if i < 0 {
			m.alerts = append(m.alerts, a)
			continue
		}
		if known := m.alerts[i]; known.EndsAt.After(a.StartsAt) && known.StartsAt.Before(a.StartsAt) {
			a.StartsAt = known.StartsAt // it goes on
		}
		m.alerts[i] = a
	}
	if invalid > 0 {
		http.Error(w, fmt.Sprintf("%d alerts are not valid", invalid), http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusOK)
}

var promName = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)

// complete adds what was left out, and reports whether an alert is valid.
func (m *Alertmanager) complete(a *AlertmanagerAlert, now time.Time) bool {
	maps.DeleteFunc(a.Labels, func(_, value string) bool { return value == "" })
	if a.StartsAt.IsZero() {
		a.StartsAt = now
		if !a.EndsAt.IsZero() {
			a.StartsAt = a.EndsAt
		}
	}
	if a.EndsAt.IsZero() {
		a.EndsAt = now.Add(5 * time.Minute)
		if m.ResolveTimeout > 0 {
			a.EndsAt = now.Add(m.ResolveTimeout)
		}
	}
	for name := range a.Labels {
		if !promName.MatchString(name) {
			return false
		}
	}
	for name := range a.Annotations {
		if !promName.MatchString(name) {
			return false
		}
	}
	return len(a.Labels) > 0 && !a.EndsAt.Before(a.StartsAt)
}

// WebhookRequest returns the request by which it tells a receiver of all its alerts. The token
// is that of the receiver.
func (m *Alertmanager) WebhookRequest(token string) *http.Request {
	now := time.Now()
	status := "resolved"
	var alerts []map[string]any
	for _, a := range m.Alerts() {
		is, ends := "resolved", a.EndsAt
		if a.Firing(now) {
			is, status, ends = "firing", "firing", time.Time{}
		}
		print := fnv.New64a()
		for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
			_, _ = print.Write([]byte(name + "\xff" + a.Labels[name] + "\xff"))
		}
		alerts = append(alerts, map[string]any{
			"status": is, "labels": a.Labels, "annotations": a.Annotations, "startsAt": a.StartsAt, "endsAt": ends,
			"generatorURL": "", "fingerprint": fmt.Sprintf("%016x", print.Sum64()),
		})
	}
	var data bytes.Buffer
	_ = json.NewEncoder(&data).Encode(map[string]any{ // of texts and times: cannot fail
		"version": "4", "groupKey": "{}:{}", "truncatedAlerts": 0, "status": status, "receiver": "runbook", "groupLabels": map[string]string{},
		"commonLabels": map[string]string{}, "commonAnnotations": map[string]string{}, "externalURL": "http://alertmanager:9093", "alerts": alerts,
	})
	return postRequest("/hooks/alertmanager", data.Bytes(), http.Header{
		"Content-Type": {"application/json"}, "User-Agent": {"Alertmanager/0.34.2"}, "Authorization": {"Bearer " + token},
	})
}
