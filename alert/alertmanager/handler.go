package alertmanager

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/inbound"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// HandlerConfig says who takes the alerts of Alertmanager. See [NewHandler].
type HandlerConfig struct {
	// Out takes the alerts: a router. Required.
	Out alert.Handler
	// Token is the bearer token that Alertmanager sends. Required: whoever can post here can
	// wake people, and can say that what is wrong is over.
	Token runbook.Secret
	// EnvironmentLabels and EntityLabels are the labels in which the environment and the thing
	// are, the first that an alert has. None means "environment" and "env"; and "entity",
	// "instance", "service" and "job".
	EnvironmentLabels, EntityLabels []string
	// Environment is that of alerts without such a label.
	Environment string
	// Severities is what the values of the label "severity" mean, besides the usual ones:
	// critical, page; high, error; medium, warning; low, info, none. Case does not matter.
	Severities map[string]alert.Severity
	// Severity is that of alerts that say none which is known. Zero means High.
	Severity alert.Severity
	// Logger is told of alerts that Alertmanager left out. Nil means slog.Default().
	Logger *slog.Logger
}

// maxWebhook is the largest request: some thousands of alerts.
const maxWebhook = 8 << 20

// usualSeverities are the words that people use.
func usualSeverities() map[string]alert.Severity {
	return map[string]alert.Severity{
		"critical": alert.Critical, "page": alert.Critical, "high": alert.High, "error": alert.High,
		"medium": alert.Medium, "warning": alert.Medium, "low": alert.Low, "info": alert.Low, "none": alert.Low,
	}
}

// NewHandler returns a receiver of Alertmanager's webhook, version 4
// (https://prometheus.io/docs/alerting/latest/configuration/#webhook_config).
//
// An alert has the same key for as long as it has the same labels, so that what Alertmanager
// repeats is recognised. It answers 204; 401 for a wrong token, 400 for what it does not
// understand, and 413 for more than 8 MiB, all of which Alertmanager takes for final; and 503 if
// an alert was not taken, upon which Alertmanager sends all of them again.
//
// It is told of an end only if send_resolved is on, as it is by default, and if Alertmanager
// lives: an alert whose Alertmanager is gone goes on firing, and is reminded of.
//
// The handler is safe for concurrent use.
func NewHandler(cfg HandlerConfig) (http.Handler, error) {
	var problems []error
	bad := func(text string) { problems = append(problems, errors.New("alertmanager: handler: "+text)) }
	if cfg.Out == nil {
		bad("Out is missing")
	}
	if cfg.Token.IsZero() {
		bad("Token is missing")
	}
	if cfg.Severity == 0 {
		cfg.Severity = alert.High
	}
	severities := usualSeverities()
	for word, s := range cfg.Severities {
		severities[strings.ToLower(word)] = s
	}
	for _, s := range append(slices.Collect(maps.Values(severities)), cfg.Severity) {
		if s < alert.Critical || s > alert.Low {
			bad(fmt.Sprintf("severity %d is not known", s))
		}
	}
	cfg.Severities = severities
	cfg.EnvironmentLabels, cfg.EntityLabels = slices.Clone(cfg.EnvironmentLabels), slices.Clone(cfg.EntityLabels)
	if len(cfg.EnvironmentLabels) == 0 {
		cfg.EnvironmentLabels = []string{"environment", "env"}
	}
	if len(cfg.EntityLabels) == 0 {
		cfg.EntityLabels = []string{"entity", "instance", "service", "job"}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &handler{cfg}, nil
}

type handler struct{ cfg HandlerConfig }

// webhook is what is read of a request.
type webhook struct {
	Version         string `json:"version"`
	TruncatedAlerts uint64 `json:"truncatedAlerts"`
	ExternalURL     string `json:"externalURL"`
	Alerts          []struct {
		Status      string            `json:"status"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
		StartsAt    time.Time         `json:"startsAt"`
		EndsAt      time.Time         `json:"endsAt"`
	} `json:"alerts"`
}

// ServeHTTP implements [http.Handler].
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(given)), sha256.Sum256([]byte(h.cfg.Token.Reveal()))
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 || !strings.EqualFold(scheme, "Bearer") {
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "the token is not right", http.StatusUnauthorized)
		return
	}
	body, ok := inbound.Body(w, r, maxWebhook)
	if !ok {
		return
	}
	alerts, truncated, err := h.parse(body, time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if truncated > 0 {
		h.cfg.Logger.WarnContext(r.Context(), "alertmanager: alerts were left out: set max_alerts of the webhook to 0", "left_out", truncated)
	}
	failed := 0
	for _, a := range alerts {
		if err := h.cfg.Out.Handle(r.Context(), a); err != nil {
			failed++
			h.cfg.Logger.WarnContext(r.Context(), "alertmanager: an alert was not taken", "rule", a.Rule, "entity", a.Entity, "error", err)
		}
	}
	if failed > 0 {
		http.Error(w, fmt.Sprintf("%d of %d alerts were not taken", failed, len(alerts)), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// parse reads a request.
func (h *handler) parse(body []byte, now time.Time) (alerts []alert.Alert, truncated uint64, err error) {
	var in webhook
	if json.Unmarshal(body, &in) != nil {
		return nil, 0, errors.New("the body is no JSON of Alertmanager's webhook")
	}
	if in.Version != "4" {
		return nil, 0, errors.New("only version 4 of Alertmanager's webhook is understood")
	}
	for _, a := range in.Alerts {
		if a.Status != "firing" && a.Status != "resolved" || len(a.Labels) == 0 {
			return nil, 0, errors.New("an alert has no status or no labels")
		}
		out := h.alert(a.Labels, a.Annotations)
		out.Began, out.Fired, out.State = a.StartsAt, a.StartsAt, alert.Firing
		if out.Began.IsZero() {
			out.Began, out.Fired = now, now
		}
		if a.Status == "resolved" {
			out.State, out.Ended = alert.Resolved, a.EndsAt
			if out.Ended.Before(out.Began) {
				out.Ended = now
			}
		}
		alerts = append(alerts, out)
	}
	return alerts, in.TruncatedAlerts, nil
}

// alert makes an alert of labels and annotations.
func (h *handler) alert(labels, annotations map[string]string) alert.Alert {
	a := alert.Alert{
		Rule: short(labels["alertname"]), Environment: short(first(labels, h.cfg.EnvironmentLabels)), Entity: short(first(labels, h.cfg.EntityLabels)),
		Summary:  send.Cut(first(annotations, []string{"summary", "message", "title"}), 300),
		Detail:   send.Cut(first(annotations, []string{"description"}), 4000),
		Playbook: send.Cut(first(annotations, []string{"runbook_url", "runbook", "playbook"}), 500),
		Severity: h.cfg.Severity, Labels: make(map[string]string, len(labels)),
	}
	if a.Rule == "" {
		a.Rule = "alertmanager"
	}
	if a.Environment == "" {
		a.Environment = h.cfg.Environment
	}
	if a.Summary == "" {
		a.Summary = strings.TrimSuffix(a.Rule+": "+a.Entity, ": ")
	}
	if s, ok := h.cfg.Severities[strings.ToLower(labels["severity"])]; ok {
		a.Severity = s
	}
	// The key is made of all labels: that is what an alert is to Alertmanager.
	var id strings.Builder
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		fmt.Fprintf(&id, "%d:%s%d:%s", len(name), name, len(labels[name]), labels[name])
		if len(a.Labels) < maxLabels {
			a.Labels[short(name)] = short(labels[name])
		}
	}
	a.Key = alert.Key("alertmanager", a.Environment, id.String(), alert.Failing)
	return a
}

// maxLabels is how many labels of an alert are kept.
const maxLabels = 64

// short cuts what names something.
func short(s string) string { return send.Cut(s, 200) }

// first returns the first value that is there.
func first(values map[string]string, names []string) string {
	for _, name := range names {
		if v := strings.TrimSpace(values[name]); v != "" {
			return v
		}
	}
	return ""
}
