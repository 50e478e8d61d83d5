package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/email"
	"go.acu.edu.au/runbook/alert/slack"
	"go.acu.edu.au/runbook/alert/twilio"
	"go.acu.edu.au/runbook/examples/internal/config"
	"go.acu.edu.au/runbook/health"
)

// alerts says who is told of what is wrong; config.sample.yaml explains every key.
type alerts struct {
	Zone  string         `config:"zone"`
	Slack *slackSettings `config:"slack"`
	Email *emailSettings `config:"email"`
	SMS   *smsSettings   `config:"sms"`
}

type slackSettings struct {
	Channel string         `config:"channel,required"`
	Token   runbook.Secret `config:"token,required"`
}

type emailSettings struct {
	Host     string         `config:"host,required"`
	Port     int            `config:"port"`
	Username string         `config:"username"`
	Password runbook.Secret `config:"password"`
	From     string         `config:"from,required"`
	To       []string       `config:"to,required"`
}

type smsSettings struct {
	Account runbook.Secret `config:"account,required"`
	Token   runbook.Secret `config:"token,required"`
	From    string         `config:"from,required"`
	To      string         `config:"to,required"`
}

// alertReport is what an alert is, and who was told of it, or would be.
type alertReport struct {
	Environment string         `json:"environment"`
	Severity    alert.Severity `json:"severity"`
	Check       string         `json:"check"`
	Summary     string         `json:"summary"`
	Told        []tellReport   `json:"told"`
}

type tellReport struct {
	Target    string `json:"target"`
	Delivered bool   `json:"delivered"`       // false without -notify
	Error     string `json:"error,omitempty"` // why it was not
}

// targets makes the targets of the configuration. On the embedded estate a recorder
// stands for each: nothing real is told.
func (a *alerts) targets(file *config.File, embedded bool) (list []alert.Target, zone *time.Location) {
	zone = time.UTC
	if a == nil {
		return nil, zone
	}
	if a.Zone != "" {
		var err error
		if zone, err = health.LoadZone(a.Zone); err != nil {
			file.Problem("alerts.zone", "%s", err)
			zone = time.UTC
		}
	}
	add := func(path string, t alert.Target, n alert.Notifier, err error) {
		if err != nil {
			file.Problem(path, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
			return
		}
		if t.Notifier = n; embedded {
			t.Notifier = &alerttest.Recorder{}
		}
		list = append(list, t)
	}
	if s := a.Slack; s != nil && !s.Token.IsZero() { // what is missing was told
		n, err := slack.New(slack.Config{Channel: s.Channel, Token: s.Token, Zone: zone})
		add("alerts.slack", alert.Target{Name: "slack"}, n, err)
	}
	if s := a.Email; s != nil && (s.Username == "" || !s.Password.IsZero()) {
		n, err := email.New(email.Config{Host: s.Host, Port: s.Port, Username: s.Username, Password: s.Password, From: s.From, To: s.To, Zone: zone})
		add("alerts.email", alert.Target{Name: "email"}, n, err)
	}
	if s := a.SMS; s != nil && !s.Token.IsZero() && !s.Account.IsZero() {
		n, err := twilio.New(twilio.Config{AccountSID: s.Account, AuthToken: s.Token, From: s.From, To: s.To, Zone: zone})
		add("alerts.sms", alert.Target{Name: "sms", Pages: true}, n, err)
	}
	return list, zone
}

// severityOf is how bad it is that a check is not well: production is what users have.
func severityOf(environment string, c checkReport) alert.Severity {
	down := c.Status == health.Unhealthy && !c.Optional
	switch {
	case environment == "production" && down:
		return alert.Critical
	case environment == "production":
		return alert.High
	case down:
		return alert.Medium
	}
	return alert.Low
}

// alertsOf makes an alert of each check that fails and is not explained by another. If
// nothing was reached the fault is here, and there are none.
func alertsOf(r *report) (list []alert.Alert) {
	if r.nothingReached() {
		return nil
	}
	for _, env := range r.Environments {
		for _, c := range env.Checks {
			if c.Status == health.Healthy || c.Status == health.Maintenance || c.Status == health.Unknown || c.BlockedBy != "" {
				continue
			}
			detail := c.Message
			if c.Next != "" {
				detail += "\n" + c.Next
			}
			list = append(list, alert.Alert{
				Key: alert.Key("morning", env.Name, c.Name, alert.Failing), Rule: "morning", Environment: env.Name, Entity: c.Name,
				Severity: severityOf(env.Name, c), Summary: c.Title + ": " + string(c.Cause), Detail: detail,
				State: alert.Firing, Began: r.Time, Fired: r.Time,
			})
		}
	}
	return list
}

// tell finds out who is to be told, and tells them if notify is set. It waits for the
// deliveries until ctx ends, or for half a minute.
func tell(ctx context.Context, r *report, targets []alert.Target, zone *time.Location, notify bool) error {
	firing := alertsOf(r)
	for _, a := range firing {
		r.Alerts = append(r.Alerts, alertReport{Environment: a.Environment, Severity: a.Severity, Check: a.Entity, Summary: a.Summary, Told: []tellReport{}})
	}
	if len(targets) == 0 || len(firing) == 0 {
		return nil
	}
	var names []string
	for _, t := range targets {
		names = append(names, t.Name)
	}
	d := &deliveries{failed: make(map[string]error)}
	if !notify {
		for i := range targets {
			targets[i].Notifier = &alerttest.Recorder{}
		}
	}
	router, err := alert.NewRouter(alert.RouterConfig{
		Targets: targets, Zone: zone, Logger: slog.New(slog.DiscardHandler), Hooks: alert.RouterHooks{OnDelivery: d.note},
		Routes: []alert.Route{{Name: "all", Targets: names, GroupBy: []string{"environment"}, Wait: time.Millisecond}},
	})
	if err != nil {
		return fmt.Errorf("morning: alerts: %w", err)
	}
	if err := router.Start(ctx); err != nil {
		return fmt.Errorf("morning: alerts: %w", err)
	}
	for _, a := range firing {
		if err := router.Handle(ctx, a); err != nil {
			return fmt.Errorf("morning: alerts: %w", err)
		}
	}
	waitFor(ctx, router, names)
	statuses := router.Alerts()
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err = router.Stop(stopping)
	for i, a := range firing {
		r.Alerts[i].Told = d.told(a, statuses, names, notify)
	}
	return err
}

// deliveries takes note of what did not arrive.
type deliveries struct {
	mu     sync.Mutex
	failed map[string]error // by target
}

func (d *deliveries) note(a alert.Attempt) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed[a.Target] = a.Err; a.Err == nil {
		delete(d.failed, a.Target)
	}
}

// waitFor waits until everybody was told who is to be told, or refused it.
func waitFor(ctx context.Context, router *alert.Router, names []string) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for !settled(router, names) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// settled reports whether each target was told of each alert, is not to be told, or
// refused it.
func settled(router *alert.Router, names []string) bool {
	refused := make(map[string]bool)
	for _, d := range router.Deliveries() {
		refused[d.Target] = refused[d.Target] || d.Refused
	}
	for _, s := range router.Alerts() {
		for _, name := range names {
			if !slices.Contains(s.Told, name) && s.Muted[name] == "" && !refused[name] {
				return false
			}
		}
	}
	return true
}

// told says of an alert who was told.
func (d *deliveries) told(a alert.Alert, statuses []alert.Status, names []string, notify bool) (list []tellReport) {
	d.mu.Lock()
	defer d.mu.Unlock()
	list = []tellReport{}
	for _, s := range statuses {
		if s.Key != a.Key {
			continue
		}
		for _, name := range names {
			switch err := d.failed[name]; {
			case slices.Contains(s.Told, name):
				list = append(list, tellReport{Target: name, Delivered: notify})
			case s.Muted[name] == "" && err != nil:
				list = append(list, tellReport{Target: name, Error: reason(err)})
			}
		}
	}
	return list
}

// reason is why a message did not arrive, in a line.
func reason(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer in time"
	}
	return strings.TrimPrefix(err.Error(), "alert: ")
}

// alerts writes who was told, or would be.
func (t *table) alerts(r *report, notify bool) {
	if len(r.Alerts) == 0 {
		return
	}
	t.out.WriteString("\n" + t.in(bold, "Alerts"))
	if notify {
		t.out.WriteString("\n")
	} else {
		t.out.WriteString("  nobody was told: -notify tells them\n")
	}
	for _, a := range r.Alerts {
		var to []string
		for _, tell := range a.Told {
			switch {
			case tell.Error != "":
				to = append(to, tell.Target+" NOT TOLD ("+tell.Error+")")
			default:
				to = append(to, tell.Target)
			}
		}
		if len(to) == 0 {
			to = []string{"nobody"}
		}
		t.line(fmt.Sprintf("  %-9s", a.Severity), fmt.Sprintf("  %-9s", a.Severity), a.Environment+": "+a.Summary+" → "+strings.Join(to, ", "))
	}
}
