package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says where messages go. See [New].
type Config struct {
	// URL is where to post, by https. It may be a secret, and is treated as one. Required.
	URL runbook.Secret
	// Secret signs: at least 24 bytes, or as Standard Webhooks write it, "whsec_" and
	// base64. Each receiver has one of its own. Required.
	Secret runbook.Secret

	// HTTP gives the transport. Nil means one of the module's own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits the request. Zero means the Timeout of HTTP, or 15 s.
	Timeout time.Duration
}

// A Notifier posts messages. Make one with [New].
type Notifier struct {
	client *send.Client

	// In closures, for whoever prints the Notifier.
	url func() *url.URL
	key func() []byte
}

var _ alert.Notifier = (*Notifier)(nil)

// New returns a Notifier, or all problems of cfg.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	u, err := url.Parse(cfg.URL.Reveal())
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		problems = append(problems, errors.New("webhook: URL must be an https address without a user")) // it is a secret
	}
	k, err := key(cfg.Secret)
	if err != nil {
		problems = append(problems, fmt.Errorf("webhook: Secret: %w", err))
	}
	if cfg.Timeout < 0 {
		problems = append(problems, errors.New("webhook: Timeout is negative"))
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return &Notifier{
		client: send.New("webhook", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
		url:    func() *url.URL { return u }, key: func() []byte { return k },
	}, nil
}

// Notify implements [alert.Notifier]. Its receipt is empty: the conversation is in each
// message.
func (n *Notifier) Notify(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	id := fmt.Sprintf("%s-%d", what.Key, what.Seq)
	body, err := json.Marshal(Message{
		Version: Version, ID: id, Conversation: what.Key, Seq: what.Seq, Kind: what.Kind, Severity: what.Severity,
		Environment: what.Environment, Title: what.Title, Text: what.Text, Alerts: what.Alerts, Post: what.Post, At: what.At,
		PossibleRepeat: what.PossibleRepeat,
	})
	if err != nil {
		// A number that JSON does not have, for example.
		return "", &alert.Error{Service: "webhook", Op: "post", Kind: alert.ErrRefused, Err: errors.New("the message cannot be encoded")}
	}
	timestamp, signed := signature(n.key(), id, time.Now(), body)
	_, err = n.client.Do(ctx, send.Call{Op: "post", URL: n.url(), Body: body, Header: http.Header{
		"Content-Type": {"application/json"}, headerID: {id}, headerTimestamp: {timestamp}, headerSignature: {signed},
	}})
	return "", err
}
