package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alertmanager"
	"go.acu.edu.au/runbook/alert/pagerduty"
	"go.acu.edu.au/runbook/alert/slack"
	"go.acu.edu.au/runbook/railway"
)

// begin makes the receivers, when this replica has taken charge: they feed its engine and
// its router. Those that have no secret are not there.
func (w *web) begin(ctx context.Context) error {
	v, r := w.service, w.service.settings.Receivers
	mux := http.NewServeMux()
	var errs []error
	add := func(pattern string, h http.Handler, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("opsd: receivers: %w", err))
			return
		}
		mux.Handle(pattern, h)
	}
	if !r.Slack.IsZero() {
		h, err := slack.NewActionsHandler(slack.ActionsConfig{SigningSecret: r.Slack, OnAction: func(ctx context.Context, a slack.Action) error {
			return w.acknowledge(ctx, a.Alert, a.UserName, a.At)
		}})
		add("POST /hooks/slack", h, err)
	}
	if !r.PagerDuty.IsZero() {
		h, err := pagerduty.NewWebhook(pagerduty.WebhookConfig{Secrets: []runbook.Secret{r.PagerDuty}, OnEvent: func(ctx context.Context, e pagerduty.Event) error {
			if e.Type != pagerduty.Acknowledged || !e.Person {
				return nil
			}
			return v.host.Router().AcknowledgeConversation(ctx, e.Key, alert.Acknowledgement{By: e.By, At: e.At})
		}})
		add("POST /hooks/pagerduty", h, err)
	}
	if !r.Alertmanager.IsZero() {
		h, err := alertmanager.NewHandler(alertmanager.HandlerConfig{Out: v.host.Router(), Token: r.Alertmanager, Environment: "production", Logger: v.logger()})
		add("POST /hooks/alertmanager", h, err)
	}
	if !r.Heartbeats.IsZero() {
		h, err := alert.NewPushHandler(alert.PushConfig{Engine: v.host.Engine(), Token: r.Heartbeats, Environment: "production"})
		add("POST /hooks/push/", h, err)
	}
	for name, secret := range r.Railway {
		h, err := v.railwayHook(ctx, name, secret)
		add("POST /hooks/railway/"+name+"/", h, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	w.hooks.Store(mux)
	return nil
}

// railwayHook receives what Railway tells of an environment. It is a hint to look at once,
// and no more: Railway signs nothing.
func (v *service) railwayHook(ctx context.Context, name string, secret runbook.Secret) (http.Handler, error) {
	for _, c := range v.estate.connections {
		if c.Name != name {
			continue
		}
		client, err := railway.New(c.Railway)
		if err != nil {
			return nil, err
		}
		looking, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		e, err := client.Environment(looking, railway.Target{Project: c.Project, Environment: c.RailwayEnvironment})
		if err != nil {
			return nil, err
		}
		hook, err := railway.NewWebhook(railway.WebhookConfig{
			Environment: e, Secret: secret,
			Handle: func(ctx context.Context, e railway.Event) error {
				v.journal.write(line{Kind: "railway", Text: fmt.Sprintf("%s: Railway tells %s", name, e.Type)})
				_, err := v.host.Monitor().Check(ctx, name+"/application")
				return err
			},
			Failed: func(_ context.Context, e railway.Event, err error) {
				v.journal.write(line{Kind: "railway", Text: fmt.Sprintf("%s: %s of Railway was not handled: %v", name, e.Type, err)})
			},
		})
		if err != nil {
			return nil, err
		}
		go hook.Run(ctx)
		return hook, nil
	}
	return nil, fmt.Errorf("there is no environment %q", name)
}
