package host

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// The names of the targets of the router. Those of vendors are the names of their contacts
// in the escalation matrix.
const (
	targetIncidents = "incidents"
	targetChat      = "chat-alerts"
	targetMail      = "mail-on-call"
	targetPhone     = "phone-operations"
	targetDesk      = "chat-operators"
	targetDeskMail  = "mail-operators" // if the chat is away
	targetStatus    = "chat-status"
	targetUpdates   = "mail-updates"
	targetPage      = "status-page"
	targetSecurity  = "security"
	targetDevelop   = "mail-development"
)

// A vendor is somebody who is written to only when a person has approved it.
type vendor struct{ target, mail string }

// vendors are those there are, by the names by which playbooks call them.
func (h *Host) vendors() map[string]vendor {
	m := h.cfg.Defaults.Escalation.Mail
	return map[string]vendor{
		"Canvas support":               {"canvas-support", m.CanvasSupport},
		"Railway support":              {"railway-support", m.RailwaySupport},
		"the administrators of Canvas": {"canvas-admin-draft", m.CanvasAdministrators},
	}
}

// newRouter makes the router: alerts go to the manager of incidents and to the operators,
// those of environments without users to their chat alone; what is written for people to the stakeholders. If the manager cannot take a critical
// alert of production, the phone of the operations team rings instead: somebody is told
// also when the store is away.
func (h *Host) newRouter() (*alert.Router, error) {
	cfg, to := h.cfg, h.cfg.Defaults.Channels
	var errs []error
	var targets []alert.Target
	add := func(t alert.Target, n alert.Notifier, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("target %s: %w", t.Name, err))
			return
		}
		t.Notifier = n
		targets = append(targets, t)
	}
	chat, err := cfg.Channels.chat(to.AlertsChat)
	add(alert.Target{Name: targetChat, Fallback: targetMail}, chat, err)
	add(alert.Target{Name: targetDesk, Audience: alert.Everyone, Fallback: targetDeskMail}, chat, err)
	mail, err := cfg.Channels.mail(to.AlertsMail)
	add(alert.Target{Name: targetDeskMail, Audience: alert.Everyone}, mail, err)
	add(alert.Target{Name: targetMail}, without(mail, alert.KindUpdate), err)
	develop, err := cfg.Channels.mail(cfg.Defaults.Escalation.Mail.Development)
	add(alert.Target{Name: targetDevelop, Audience: alert.Everyone}, develop, err)
	phone, err := cfg.Channels.phone(cfg.Defaults.Escalation.Operations)
	add(alert.Target{Name: targetPhone, Pages: true}, phone, err)
	add(alert.Target{Name: targetIncidents, RemindAfter: -1, Fallback: targetPhone, PerSecond: 100, Burst: 100}, alert.NotifierFunc(h.toManager), nil)
	status, err := cfg.Channels.chat(to.StatusChat)
	add(alert.Target{Name: targetStatus, Audience: alert.Everyone}, status, err)
	updates, err := cfg.Channels.mail(to.StatusMail)
	add(alert.Target{Name: targetUpdates, Audience: alert.Everyone}, updates, err)
	if cfg.Channels.StatusPage != nil {
		add(alert.Target{Name: targetPage, Audience: alert.Everyone}, cfg.Channels.StatusPage, nil)
	}
	if cfg.Defaults.Security != "" {
		security, err := cfg.Channels.mail(cfg.Defaults.Security)
		add(alert.Target{Name: targetSecurity, Audience: alert.Everyone}, security, err)
	}
	for _, v := range h.vendors() {
		n, err := cfg.Channels.mail(v.mail)
		add(alert.Target{Name: v.target, Audience: alert.Everyone, NeedsApproval: true}, n, err)
	}
	router, err := alert.NewRouter(alert.RouterConfig{
		Targets: targets, Store: cfg.Alerts, Inhibitions: inhibitions(h.others()), Notices: []string{targetChat}, Zone: cfg.Zone, Logger: cfg.Logger,
		Routes: []alert.Route{
			{Name: "incidents", Targets: []string{targetIncidents}, Wait: -1, Continue: true},
			{Name: "chat", Targets: []string{targetChat}, GroupBy: []string{"environment"}, Update: 15 * time.Minute, Continue: true},
			{Name: "mail", Match: alert.Matcher{Environments: []string{h.users.Name, ""}}, Targets: []string{targetMail}, GroupBy: []string{"environment", labelProcedure}},
		},
		// Both write to one channel.
		Limits: []alert.Limit{{Targets: []string{targetChat, targetDesk}, Most: mostMessages}},
		Hooks:  alert.RouterHooks{OnDelivery: cfg.Hooks.OnDelivery},
	})
	return router, errors.Join(append(errs, err)...)
}

// mostMessages is how many messages the operators read in an hour at one address. What is
// over it and can wait becomes fewer messages; see [alert.Limit].
const mostMessages = 20

// others are the names of the environments without users.
func (h *Host) others() (names []string) {
	for _, r := range h.environments {
		if !r.users {
			names = append(names, r.Name)
		}
	}
	return names
}

// toManager hands alerts to the manager of incidents, which is made after the router.
func (h *Host) toManager(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	return h.manager.Notify(ctx, n)
}

// without returns a notifier that leaves out a kind of messages: those who are on call get a
// mail about what is wrong, and one that it is over; what happens in between is in the chat.
func without(n alert.Notifier, kind alert.Kind) alert.Notifier {
	return alert.NotifierFunc(func(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
		if what.Kind == kind {
			return what.Prior, nil
		}
		return n.Notify(ctx, what)
	})
}

// everyone are the targets of what is written for the stakeholders.
func (h *Host) everyone() []string {
	names := []string{targetStatus, targetUpdates}
	if h.cfg.Channels.StatusPage != nil {
		names = append(names, targetPage)
	}
	return names
}

// Post tells the stakeholders, unless targets are named. It implements [incident.Poster].
func (h *Host) Post(ctx context.Context, p alert.Post, targets ...string) error {
	if len(targets) == 0 {
		targets = h.everyone()
	}
	return h.router.Post(ctx, p, targets...)
}

// inform tells the operators something that is no alert: what was done, what a report found.
// What is not urgent may wait while there is much to tell. What is said again under one title
// is one thread.
func (h *Host) inform(ctx context.Context, about string, m incident.Message) error {
	return h.router.Post(ctx, alert.Post{ID: alert.Key("inform", about, m.Title, ""), Title: m.Title, Body: m.Text, By: "runbook", Last: true, Urgent: m.Urgent}, targetDesk)
}

// defect tells the development team of what nobody else can mend.
func (h *Host) defect(ctx context.Context, about string, m incident.Message) error {
	return h.router.Post(ctx, alert.Post{ID: alert.Key("defect", about, m.Title, ""), Title: m.Title, Body: m.Text, By: "runbook", Last: true}, targetDevelop)
}

// draft drafts a mail to a vendor, and tells the operators that it waits for one of them.
func (h *Host) draft(ctx context.Context, to string, m incident.Message) error {
	v, ok := h.vendors()[to]
	if !ok {
		return fmt.Errorf("host: there is no address of %q: add it to the vendors", to)
	}
	id := alert.Key("draft", to, m.Title, "")
	if err := h.router.Post(ctx, alert.Post{ID: id, Title: m.Title, Body: m.Text, By: "runbook", Last: true}, v.target); err != nil {
		return err
	}
	return h.inform(ctx, "draft", incident.Message{Title: "A mail to " + to + " waits for approval: " + m.Title, Text: m.Text, Urgent: true})
}
