package world

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/email"
	"go.acu.edu.au/runbook/alert/slack"
	"go.acu.edu.au/runbook/alert/twilio"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/internal/memhttp"
)

const slackToken = "xoxb-of-the-world"

// Channels returns the ways to tell people: real notifiers on counterparts of the services.
// What they take is among [World.Acts].
func (w *World) Channels() host.Channels {
	return host.Channels{Chat: w.chat, Mail: w.mail, Phone: w.phone}
}

// noted makes a notifier write down what its service has taken. taken returns the texts of
// everything that it took so far.
func (w *World) noted(n alert.Notifier, kind, detail string, taken func() []string) alert.Notifier {
	var mu sync.Mutex
	known := 0
	return alert.NotifierFunc(func(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
		receipt, err := n.Notify(ctx, what)
		all := taken()
		mu.Lock()
		fresh := all[min(known, len(all)):]
		known = max(known, len(all))
		mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, text := range fresh {
			w.acts = append(w.acts, Act{At: time.Now(), Kind: kind, Detail: detail, Text: text})
			if name := w.secretIn(text); name != "" {
				w.acts = append(w.acts, Act{At: time.Now(), Kind: "secret-told", Detail: detail + " " + name})
			}
		}
		return receipt, err
	})
}

// secretIn returns the name of a secret that is in a text; empty if there is none.
func (w *World) secretIn(text string) string {
	for _, e := range w.envs {
		for _, variables := range []map[string]string{e.configured, e.app.run.variables} {
			for name, value := range variables {
				if shown(name, value) != value && len(value) > 8 && !strings.HasPrefix(value, "https://") && strings.Contains(text, value) {
					return name
				}
			}
		}
		for name, value := range map[string]string{"canvas token": e.canvasToken(), "platform token": e.token} {
			if strings.Contains(text, value) {
				return name
			}
		}
	}
	return ""
}

// broken reports whether a channel does not work.
func (w *World) broken(kind string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.advance(time.Now())
	return w.closed || w.active(kind) != nil
}

func (w *World) chat(channel string) (alert.Notifier, error) {
	service := &alerttest.Slack{Token: slackToken}
	way := service.Client().Transport
	n, err := slack.New(slack.Config{Token: runbook.NewSecret(slackToken), Channel: channel, Zone: w.cfg.Zone, HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if w.broken(SlackDown) {
			return nil, memhttp.Refused()
		}
		return way.RoundTrip(r)
	})}})
	if err != nil {
		return nil, err
	}
	return w.noted(n, "slack", channel, func() (all []string) {
		for _, m := range service.Messages() {
			all = append(all, m.Posted)
		}
		return all
	}), nil
}

func (w *World) mail(address string) (alert.Notifier, error) {
	service := &alerttest.SMTP{NoTLS: true}
	n, err := email.New(email.Config{
		Host: "mail.acu.edu.au", Encryption: email.Opportunistic, Hello: "runbook.acu.edu.au", From: "Operations <runbook@acu.edu.au>", To: []string{address}, Zone: w.cfg.Zone,
		Dial: func(ctx context.Context, network, to string) (net.Conn, error) {
			if w.broken(MailDown) {
				return nil, memhttp.Refused()
			}
			return service.Dial(ctx, network, to)
		},
	})
	if err != nil {
		return nil, err
	}
	return w.noted(n, "mail", address, func() (all []string) {
		for _, m := range service.Mails() {
			all = append(all, m.Subject+"\n"+m.Text)
		}
		return all
	}), nil
}

const twilioAccount = "AC00000000000000000000000000000000"

func (w *World) phone(number string) (alert.Notifier, error) {
	service := &alerttest.Twilio{AccountSID: twilioAccount, AuthToken: "phones"}
	n, err := twilio.New(twilio.Config{
		AccountSID: runbook.NewSecret(twilioAccount), AuthToken: runbook.NewSecret("phones"), From: "+61400111333", To: strings.ReplaceAll(number, " ", ""), Zone: w.cfg.Zone, HTTP: service.Client(),
	})
	if err != nil {
		return nil, err
	}
	return w.noted(n, "page", number, func() (all []string) {
		for _, m := range service.Told() {
			all = append(all, m.Body+strings.Join(m.Say, "\n"))
		}
		return all
	}), nil
}
