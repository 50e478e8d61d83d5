package httpsms

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
	"go.acu.edu.au/runbook/alert/internal/sms"
)

// Config describes the gateway, and says who is told. See [New].
type Config struct {
	// Service names the gateway in errors: "clicksend". Empty means "httpsms".
	Service string
	// URL is where messages are sent. It must have https. Required.
	URL string
	// Method is GET, which sends Form as the query, POST or PUT. Empty means POST.
	Method string
	// JSON is a document to send, whose strings may have names in braces. Either it or Form
	// is required.
	JSON string
	// Form are fields to send, whose values may have names in braces.
	Form map[string]string
	// Header are further headers. Values may have the names of secrets in braces.
	Header map[string]string
	// Username and Password are for basic authentication. Empty means none.
	Username string
	Password runbook.Secret
	// Secrets are values for names in braces, of lower-case letters and _.
	Secrets map[string]runbook.Secret
	// Answer says which answers mean that the message was taken. The zero value means all
	// with a status of 2xx.
	Answer Answer

	// From is the number or the name that the message is from, for {from}. Optional.
	From string
	// To is the number that is told, in the form +61400111222. A placeholder is an error.
	// Required.
	To string
	// Segments is how many parts a message may have at most, up to 10. Zero means 2.
	Segments int
	// Unicode keeps characters that GSM-7 does not have, though a part then holds 67
	// instead of 153.
	Unicode bool
	// Zone is the zone of times in messages. Nil means UTC.
	Zone *time.Location

	// HTTP gives the transport, and a Timeout. Nil means one of the module's own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits one attempt. Zero means that of HTTP, or 15 s.
	Timeout time.Duration
}

// Notifier writes to one phone. Make one with [New]. It is safe for concurrent use.
type Notifier struct {
	cfg    Config
	style  sms.Style
	client *send.Client
	url    *url.URL
	json   any // the parsed template
	answer judge
}

var _ alert.Notifier = (*Notifier)(nil)

const op = "send message"

// Notify implements [alert.Notifier]. The receipt is the ID that Config.Answer finds, or
// empty.
func (n *Notifier) Notify(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	text := n.style.Text(what)
	values := n.values(what, text)
	call := send.Call{Op: op, Method: n.cfg.Method, URL: n.url, Header: n.headers(values)}
	switch {
	case n.json != nil:
		call.JSON = fill(n.json, values)
	default:
		form := make(url.Values, len(n.cfg.Form))
		for name, template := range n.cfg.Form {
			form.Set(name, expand(template, values))
		}
		if n.cfg.Method == http.MethodGet {
			address := *n.url
			query := address.Query()
			for name := range form {
				query.Set(name, form.Get(name))
			}
			address.RawQuery = query.Encode()
			call.URL = &address
			break
		}
		call.Form = form
	}
	resp, err := n.client.Do(ctx, call)
	if resp == nil {
		return "", err
	}
	return n.judge(resp.Status, resp.Body, err)
}

func (n *Notifier) headers(values map[string]string) http.Header {
	header := make(http.Header, len(n.cfg.Header)+1)
	for name, template := range n.cfg.Header {
		header.Set(name, expand(template, values))
	}
	if n.cfg.Username != "" {
		header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(n.cfg.Username+":"+n.cfg.Password.Reveal())))
	}
	return header
}
