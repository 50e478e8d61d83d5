package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// hostAPI is what only this program has: its own state, alerts, silences, maintenance, and
// what waits to be sent. Package httpapi has everything else. It speaks the same JSON and
// the same problems, and asks for the same roles.
type hostAPI struct {
	service *service
	auth    httpapi.Authenticator
	roles   map[string][]httpapi.Verb
}

// Bounds of a request.
const (
	maxCommand  = 64 << 10
	commandTime = 30 * time.Second
)

func newHostAPI(v *service, a httpapi.Authenticator) http.Handler {
	h := &hostAPI{service: v, auth: a, roles: httpapi.DefaultRoles()}
	mux := http.NewServeMux()
	on := func(pattern string, verb httpapi.Verb, do func(c *command) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { h.serve(w, r, verb, do) })
	}
	on("GET /api/host/status", httpapi.Read, h.status)
	on("GET /api/host/checks", httpapi.Read, func(*command) (any, error) { return report(v.host.Monitor().Snapshot()), nil })
	on("GET /api/host/alerts", httpapi.Read, h.alerts)
	on("GET /api/host/deployed/{environment}", httpapi.Read, h.deployed)
	on("GET /api/host/silences", httpapi.Read, func(*command) (any, error) { return v.host.Router().Silences(), nil })
	on("POST /api/host/silences", httpapi.Operate, h.silence)
	on("POST /api/host/silences/{id}/end", httpapi.Operate, func(c *command) (any, error) {
		return nil, h.charge(func() error { return v.host.Router().EndSilence(c.ctx, c.r.PathValue("id"), c.actor.Name) })
	})
	on("GET /api/host/maintenance", httpapi.Read, func(*command) (any, error) { return v.windows.list(), nil })
	on("POST /api/host/maintenance", httpapi.Operate, h.maintenance)
	on("POST /api/host/maintenance/{id}/end", httpapi.Operate, func(c *command) (any, error) {
		return nil, v.windows.end(c.ctx, c.r.PathValue("id"), c.actor.Name)
	})
	on("GET /api/host/holds", httpapi.Read, h.holds)
	on("POST /api/host/holds/{id}", httpapi.Operate, h.setHold)
	on("POST /api/host/holds/{id}/lift", httpapi.Approve, h.liftHold)
	on("GET /api/host/drafts", httpapi.Read, func(*command) (any, error) { return v.host.Router().Drafts(), nil })
	on("POST /api/host/drafts/{id}/send", httpapi.Approve, func(c *command) (any, error) {
		return nil, h.draft(c, v.host.Router().Approve)
	})
	on("POST /api/host/drafts/{id}/discard", httpapi.Approve, func(c *command) (any, error) {
		return nil, h.draft(c, v.host.Router().Discard)
	})
	on("POST /api/host/notify/{target}", httpapi.Operate, h.notify)
	mux.HandleFunc("/api/host/", func(w http.ResponseWriter, r *http.Request) {
		h.problem(w, &httpapi.Problem{Status: http.StatusNotFound, Code: "not-found", Title: "There is no such thing", Detail: "nothing of opsd is at this path, or not with " + r.Method})
	})
	return mux
}

// A command is one request.
type command struct {
	ctx   context.Context
	r     *http.Request
	body  []byte
	actor httpapi.Actor
}

// read reads the body, strictly.
func (c *command) read(v any) error {
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return &httpapi.Problem{Status: http.StatusBadRequest, Code: "malformed", Title: "Not understood", Detail: "the body is not the JSON that this takes"}
	}
	return nil
}

// serve lets do what who asks may, and answers.
func (h *hostAPI) serve(w http.ResponseWriter, r *http.Request, verb httpapi.Verb, do func(c *command) (any, error)) {
	actor, err := h.auth.Actor(r)
	if err != nil {
		w.Header().Set("WWW-Authenticate", "Bearer")
		h.problem(w, &httpapi.Problem{Status: http.StatusUnauthorized, Code: "unauthenticated", Title: "Who are you?", Detail: "the request does not say who makes it: give the token of a person as OPSD_TOKEN"})
		return
	}
	may := slices.ContainsFunc(actor.Roles, func(role string) bool { return slices.Contains(h.roles[role], verb) })
	if !may {
		h.problem(w, &httpapi.Problem{Status: http.StatusForbidden, Code: "not-permitted", Title: "Not permitted", Detail: fmt.Sprintf("%s may not %s here; access in the configuration says who may", actor.Name, verb)})
		return
	}
	// What was asked for is done also if whoever asked goes away.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), commandTime)
	defer cancel()
	c := &command{ctx: ctx, r: r, actor: actor}
	if r.Method == http.MethodPost {
		if t := r.Header.Get("Content-Type"); t != "application/json" {
			h.problem(w, &httpapi.Problem{Status: http.StatusUnsupportedMediaType, Code: "media-type", Title: "Not understood", Detail: "the body must be application/json"})
			return
		}
		if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand)); err != nil {
			h.problem(w, &httpapi.Problem{Status: http.StatusBadRequest, Code: "malformed", Title: "Not understood", Detail: "the body did not arrive, or is too large"})
			return
		}
	}
	result, err := do(c)
	if err != nil {
		h.problem(w, problemOf(err, r.Method == http.MethodPost))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if result == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(result) // whoever asked is gone
}

// charge does something that only the replica in charge can.
func (h *hostAPI) charge(do func() error) error {
	if !h.service.leading.Load() {
		return &httpapi.Problem{Status: http.StatusServiceUnavailable, Code: "could-not-ask", Title: "Not here", Detail: "this replica is not in charge, so that nothing was changed: ask again, or another one"}
	}
	return do()
}

func (h *hostAPI) problem(w http.ResponseWriter, p *httpapi.Problem) {
	p.Type = "tag:acu.edu.au,2026:runbook:" + p.Code
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // whoever asked is gone
}

// wrong marks the error of a request in which something is wrong: nothing was done.
type wrong struct{ error }

func (e *wrong) Unwrap() error { return e.error }

// invalid marks an error, if there is one, as that of a request in which something is wrong.
func invalid(err error) error {
	if err == nil {
		return nil
	}
	return &wrong{err}
}

// unsent marks an error of something that a command read before it did anything.
type unsent struct{ error }

func (e *unsent) Unwrap() error { return e.error }

// SafeToRetry says that nothing was done.
func (e *unsent) SafeToRetry() bool { return true }

// problemOf says what went wrong. An error of a command that says neither that it was refused
// nor that it is safe to repeat it leaves open whether it happened.
func problemOf(err error, command bool) *httpapi.Problem {
	if p, ok := errors.AsType[*httpapi.Problem](err); ok {
		return p
	}
	p := &httpapi.Problem{Status: http.StatusServiceUnavailable, Code: "could-not-ask", Title: "It could not be asked", Detail: "nothing was changed, try again in a moment: " + err.Error()}
	_, isWrong := errors.AsType[*wrong](err)
	switch {
	case isWrong:
		p.Status, p.Code, p.Title, p.Detail = http.StatusUnprocessableEntity, "invalid", "That is not possible", err.Error()
		return p
	case errors.Is(err, incident.ErrNotFound), errors.Is(err, alert.ErrNoSilence), errors.Is(err, alert.ErrNoDraft), errors.Is(err, alert.ErrNoAlert):
		p.Status, p.Code, p.Title = http.StatusNotFound, "not-found", "There is no such thing"
	case errors.Is(err, incident.ErrStale):
		p.Status, p.Code, p.Title = http.StatusConflict, "stale", "It has changed meanwhile"
	case errors.Is(err, alert.ErrRefused):
		p.Status, p.Code, p.Title = http.StatusUnprocessableEntity, "refused", "The other side said no"
	case errors.Is(err, alert.ErrStopped), errors.Is(err, runbook.ErrReadOnly):
		return p
	case command && !runbook.SafeToRetry(err):
		p.Status, p.Code, p.Title = http.StatusBadGateway, "outcome-unknown", "It is not known whether it happened"
		p.Detail = "it is not known whether it happened, look before doing it again: " + err.Error()
		return p
	default:
		return p
	}
	p.Detail = err.Error()
	return p
}

// draft does something with a draft. One that is still there was left as it is.
func (h *hostAPI) draft(c *command, do func(ctx context.Context, id, by string) error) error {
	id := c.r.PathValue("id")
	return h.charge(func() error {
		err := do(c.ctx, id, c.actor.Name)
		if err != nil && !errors.Is(err, alert.ErrStopped) && slices.ContainsFunc(h.service.host.Router().Drafts(), func(d alert.Draft) bool { return d.ID == id }) {
			return invalid(err)
		}
		return err
	})
}

// notify sends a message to try a target. An error of the channel says what is known of it;
// any other is of the request.
func (h *hostAPI) notify(c *command) (any, error) {
	return nil, h.charge(func() error {
		err := h.service.host.Router().Test(c.ctx, c.r.PathValue("target"), c.actor.Name)
		if _, ok := errors.AsType[*alert.Error](err); ok || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
			return err
		}
		return invalid(err)
	})
}

// hostStatus says how opsd itself is.
type hostStatus struct {
	Rehearsal  bool          `json:"rehearsal"`
	Faults     []string      `json:"faults,omitempty"`
	Process    string        `json:"process"`
	InCharge   bool          `json:"in_charge"`
	Since      time.Time     `json:"since"`
	State      string        `json:"state"`
	Status     health.Status `json:"status"`
	Checks     int           `json:"checks"`
	Probes     uint64        `json:"probes"`
	LagMS      int64         `json:"lag_ms"`
	Problems   []string      `json:"problems,omitempty"`
	Automation string        `json:"automation"`
	Lacks      []string      `json:"lacks,omitempty"`
}

func (h *hostAPI) status(*command) (any, error) {
	v := h.service
	self := v.host.Monitor().Self()
	s := hostStatus{
		Rehearsal: v.settings.Estate != nil, Process: v.holder, InCharge: v.leading.Load(), Since: v.began, State: v.state.where,
		Status: v.host.Monitor().Snapshot().Status, Checks: self.Checks, Probes: self.Runs, LagMS: self.Lag.Milliseconds(), Automation: v.automation(),
	}
	if s.Rehearsal {
		s.Faults = v.settings.Estate.Faults
	}
	for _, err := range []error{self.HistoryError, self.LeaseError, self.HeartbeatError} {
		if err != nil {
			s.Problems = append(s.Problems, err.Error())
		}
	}
	s.Lacks = lacking(v.host.Lacks())
	return s, nil
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// alertView is an alert that fires.
type alertView struct {
	Key         string            `json:"key"`
	Rule        string            `json:"rule"`
	Environment string            `json:"environment"`
	Entity      string            `json:"entity"`
	Severity    alert.Severity    `json:"severity"`
	State       alert.State       `json:"state"`
	Summary     string            `json:"summary"`
	Told        []string          `json:"told"`
	Muted       map[string]string `json:"muted,omitempty"`
}

func (h *hostAPI) alerts(*command) (any, error) {
	all := []alertView{}
	for _, s := range h.service.host.Router().Alerts() {
		all = append(all, alertView{s.Key, s.Rule, s.Environment, s.Entity, s.Severity, s.State, s.Summary, s.Told, s.Muted})
	}
	return all, nil
}

// silenceBody is what is asked for.
type silenceBody struct {
	Environment   string    `json:"environment,omitempty"`
	Rule          string    `json:"rule,omitempty"`
	Entity        string    `json:"entity,omitempty"`
	Until         time.Time `json:"until"`
	Comment       string    `json:"comment"`
	UntilResolved bool      `json:"until_resolved,omitempty"`
}

func (h *hostAPI) silence(c *command) (any, error) {
	var b silenceBody
	if err := c.read(&b); err != nil {
		return nil, err
	}
	s := alert.Silence{By: c.actor.Name, Comment: b.Comment, Ends: b.Until, UntilResolved: b.UntilResolved, Match: alert.Matcher{Labels: make(map[string]string)}}
	if b.Environment != "" {
		s.Match.Environments = []string{b.Environment}
	}
	for label, value := range map[string]string{"rule": b.Rule, "entity": b.Entity} {
		if value != "" {
			s.Match.Labels[label] = value
		}
	}
	err := h.charge(func() (err error) {
		s, err = h.service.host.Router().Silence(c.ctx, s)
		if s.ID == "" && !errors.Is(err, alert.ErrStopped) { // it was not taken
			return invalid(err)
		}
		return err
	})
	return s, err
}

func (h *hostAPI) maintenance(c *command) (any, error) {
	var m maintenance
	if err := c.read(&m); err != nil {
		return nil, err
	}
	m.By = c.actor.Name
	if m.From.IsZero() {
		m.From = time.Now()
	}
	if err := m.validate(h.service.host.Monitor()); err != nil {
		return nil, invalid(err)
	}
	return h.service.windows.add(c.ctx, m)
}

// checkView is a check, for people and programs.
type checkView struct {
	Name         string         `json:"name"`
	Environment  string         `json:"environment,omitempty"`
	Status       health.Status  `json:"status"`
	Since        time.Time      `json:"since,omitzero"`
	Looked       time.Time      `json:"looked,omitzero"`
	DurationMS   float64        `json:"duration_ms"`
	IntervalMS   int64          `json:"interval_ms"`
	Cause        health.Cause   `json:"cause,omitempty"`
	Message      string         `json:"message,omitempty"`
	BlockedBy    string         `json:"blocked_by,omitempty"`
	Optional     bool           `json:"optional,omitempty"`
	Borrowed     bool           `json:"borrowed,omitempty"`
	Measurements map[string]any `json:"measurements,omitempty"`
}

// reportView are all of them.
type reportView struct {
	Status health.Status `json:"status"`
	Time   time.Time     `json:"time"`
	Checks []checkView   `json:"checks"`
}

func report(r *health.Report) reportView {
	v := reportView{Status: r.Status, Time: r.Time, Checks: []checkView{}}
	for _, s := range r.Checks {
		c := checkView{
			Name: s.Name, Environment: s.Labels["environment"], Status: s.Status, Since: s.Since, Looked: s.Last.Time, Optional: s.Optional, Borrowed: s.Borrowed, IntervalMS: s.Interval.Milliseconds(),
			DurationMS: float64(s.Last.Duration.Microseconds()) / 1000, Cause: s.Last.Cause, Message: s.Last.Message, BlockedBy: s.BlockedBy,
		}
		for _, m := range s.Last.Measurements {
			if c.Measurements == nil {
				c.Measurements = make(map[string]any)
			}
			if c.Measurements[m.Name] = m.Value; m.Text != "" {
				c.Measurements[m.Name] = m.Text
			}
		}
		v.Checks = append(v.Checks, c)
	}
	return v
}
