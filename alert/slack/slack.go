package slack

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says who is told, and how. See [New].
type Config struct {
	// Token is that of a bot with the scope chat:write, which is a member of the channel.
	// Either it or Webhook is required.
	Token runbook.Secret
	// Channel is the ID of the channel, "C024BE91L", or its name, "#qa-automation-alerts".
	// Required with Token.
	Channel string
	// Webhook is the address of an incoming webhook, instead of Token. Its messages have no
	// threads and do not change.
	Webhook runbook.Secret
	// Buttons adds a button that acknowledges the alerts of a message. The app must have
	// interactivity turned on, with the address of a handler of [NewActionsHandler].
	Buttons bool
	// Zone is the zone of the times in posts. Nil means UTC.
	Zone *time.Location

	// BaseURL is that of the Web API. Empty means https://slack.com/api/.
	BaseURL string
	// HTTP gives the transport. Nil means one of the module's own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits each request, of which a message needs two at most, or three if the
	// thread is gone. Zero means the Timeout of HTTP, or 15 s.
	Timeout time.Duration
}

// A Notifier posts to a channel. Make one with [New].
type Notifier struct {
	cfg    Config
	client *send.Client
	post   *url.URL // chat.postMessage
	update *url.URL // chat.update

	// In closures, for whoever prints the Notifier.
	auth    func() http.Header
	webhook func() *url.URL // nil if there is none
}

var _ alert.Notifier = (*Notifier)(nil)

// New returns a Notifier, or all problems of cfg. It asks Slack nothing.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	bad := func(text string) { problems = append(problems, errors.New("slack: "+text)) }
	n := &Notifier{cfg: cfg}
	switch {
	case cfg.Token.IsZero() == cfg.Webhook.IsZero():
		bad("either Token or Webhook is required")
	case cfg.Webhook.IsZero():
		if name := strings.TrimPrefix(cfg.Channel, "#"); name == "" || len(name) > 80 || strings.ContainsAny(name, " \n<>&") {
			bad("Channel must be the ID or the name of a channel")
		}
	default:
		if cfg.Channel != "" {
			bad("Channel is that of the webhook and cannot be chosen")
		}
		u, err := secure(cfg.Webhook.Reveal())
		if err != nil {
			bad("Webhook must be an https address") // which is a secret
		}
		n.webhook = func() *url.URL { return u }
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = "https://slack.com/api/"
	}
	base, err := secure(cfg.BaseURL)
	if err != nil {
		bad("BaseURL must be an https address")
	} else {
		n.post, n.update = base.JoinPath("chat.postMessage"), base.JoinPath("chat.update")
	}
	if cfg.Timeout < 0 {
		bad("Timeout is negative")
	}
	if cfg.Zone == nil {
		n.cfg.Zone = time.UTC
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	n.client = send.New("slack", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout})
	n.auth = func() http.Header { return http.Header{"Authorization": {"Bearer " + cfg.Token.Reveal()}} }
	return n, nil
}

func secure(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("not an https address")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return u, nil
}

// receipt is what is kept of a conversation: where its first message is, and how bad what
// was told is.
type receipt struct {
	Channel  string         `json:"channel"`
	TS       string         `json:"ts"`
	Severity alert.Severity `json:"severity,omitempty"`
}

func readReceipt(r alert.Receipt) (receipt, bool) {
	var p receipt
	err := json.Unmarshal([]byte(r), &p)
	return p, err == nil && p.Channel != "" && p.TS != ""
}

func (r receipt) encode() alert.Receipt {
	text, err := json.Marshal(r)
	if err != nil {
		return "" // of two strings and a valid severity: cannot be
	}
	return alert.Receipt(text)
}

// Notify implements [alert.Notifier].
func (n *Notifier) Notify(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	if n.webhook != nil {
		return "", n.postWebhook(ctx, n.message(what, first))
	}
	prior, threaded := readReceipt(what.Prior)
	if !threaded {
		return n.begin(ctx, what)
	}
	// The first message is changed before the reply is posted. Changing it again does no
	// harm, so that an attempt that fails in between is repeated whole; the other way
	// round a failed change would either be forgotten, and a message stay red for ever, or
	// post the reply twice.
	switch err := n.change(ctx, prior, n.message(what, root)); {
	case err == nil:
	case hasCode(err, "message_not_found"):
		return n.begin(ctx, what) // somebody deleted it
	case errors.Is(err, alert.ErrRefused): // it can no longer be edited; the reply matters more
	default:
		return "", err
	}
	m := n.message(what, reply)
	m.Channel, m.ThreadTS = prior.Channel, prior.TS
	m.Broadcast = what.Kind == alert.KindReminder || what.Kind == alert.KindPost ||
		what.Kind != alert.KindResolved && what.Severity != 0 && what.Severity < prior.Severity
	_, err := n.call(ctx, "post reply", n.post, m)
	switch {
	case err == nil:
		if what.Severity != 0 && what.Kind != alert.KindResolved {
			prior.Severity = what.Severity
		}
		return prior.encode(), nil
	case hasCode(err, noThread...):
		return n.begin(ctx, what)
	}
	return "", err
}

// noThread are the codes which say that there can be no reply to the first message.
var noThread = []string{
	"thread_not_found", "message_not_found", "cannot_reply_to_message",
	"restricted_action_non_threadable_channel", "restricted_action_thread_locked",
}

func hasCode(err error, codes ...string) bool {
	e, ok := errors.AsType[*alert.Error](err)
	return ok && slices.Contains(codes, e.Code)
}

// begin posts the first message of a conversation.
func (n *Notifier) begin(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	m := n.message(what, first)
	m.Channel = n.cfg.Channel
	at, err := n.call(ctx, "post message", n.post, m)
	if err != nil {
		return "", err
	}
	if at.Channel == "" || at.TS == "" {
		return "", nil // it arrived, and cannot be found again
	}
	return receipt{Channel: at.Channel, TS: at.TS, Severity: what.Severity}.encode(), nil
}

// change makes the first message show how things are now.
func (n *Notifier) change(ctx context.Context, at receipt, m message) error {
	m.Channel, m.TS = at.Channel, at.TS
	_, err := n.call(ctx, "change message", n.update, m)
	if e, ok := errors.AsType[*alert.Error](err); ok && e.Kind == nil && !e.Unsent {
		// Whether it was changed is not known. That nothing was posted is, and changing
		// it again does no harm.
		e.Unsent = true
	}
	return err
}
