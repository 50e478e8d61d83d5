package slack

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
	"go.acu.edu.au/runbook/internal/httpx"
)

// answer is what the methods of the Web API answer
// (https://docs.slack.dev/reference/methods/chat.postMessage).
type answer struct {
	OK      bool   `json:"ok"`
	Error   string `json:"error"`
	Channel string `json:"channel"`
	TS      string `json:"ts"`
}

// call calls a method of the Web API.
func (n *Notifier) call(ctx context.Context, op string, method *url.URL, m message) (answer, error) {
	resp, err := n.client.Do(ctx, send.Call{Op: op, URL: method, Header: n.auth(), JSON: m})
	var a answer
	readable := resp != nil && json.Unmarshal(resp.Body, &a) == nil
	if err != nil {
		if e, ok := errors.AsType[*alert.Error](err); ok && readable {
			e.Code = code(a.Error)
		}
		return answer{}, err
	}
	if !readable {
		// Something between us and Slack may have answered, after Slack or instead of it.
		return answer{}, &alert.Error{Service: "slack", Op: op, Status: resp.Status, Err: errors.New("the answer is not Slack's")}
	}
	if !a.OK {
		return answer{}, refusal(op, a.Error, resp)
	}
	return a, nil
}

// refusal is the error of an answer that says ok: false: its code decides what is known.
// See the tables of errors of https://docs.slack.dev/reference/methods/chat.postMessage and
// chat.update, as of November 2026.
func refusal(op, slackCode string, resp *httpx.Response) *alert.Error {
	e := &alert.Error{Service: "slack", Op: op, Status: resp.Status, Code: code(slackCode)}
	switch e.Code {
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		e.Kind = alert.ErrLimited
		e.RetryAfter, _ = httpx.RetryAfter(resp.Header)
	case "internal_error", "fatal_error", "service_unavailable", "update_failed", "":
		// "It's possible some aspect of the operation succeeded."
	case "request_timeout", "team_added_to_org", "org_login_required", "external_channel_migrating":
		e.Unsent = true // the request came in pieces, or the workspace is being moved
	default:
		e.Kind = alert.ErrRefused
	}
	return e
}

// code returns a code of Slack's, if it looks like one.
func code(s string) string {
	if len(s) > 60 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return "unreadable_code"
	}
	return s
}

// postWebhook posts to an incoming webhook, which answers "ok", or a status and a word
// (https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks).
func (n *Notifier) postWebhook(ctx context.Context, m message) error {
	m.Parse, m.LinkNames = "", nil // arguments of the Web API only
	resp, err := n.client.Do(ctx, send.Call{Op: "post to webhook", URL: n.webhook(), JSON: m})
	if e, ok := errors.AsType[*alert.Error](err); ok && resp != nil {
		e.Code = code(strings.TrimSpace(string(resp.Body)))
	}
	return err
}
