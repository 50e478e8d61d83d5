package alerttest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/internal/memhttp"
)

// Press has a person press a button of a message, which Slack tells the app's handler, and
// returns what it answered. The request is the one that Slack publishes as an example
// (https://docs.slack.dev/reference/interaction-payloads/block_actions-payload), with the
// message, the button and the person in it.
func (s *Slack) Press(app http.Handler, m SlackMessage, b SlackButton, userID, userName string) int {
	resp, err := memhttp.Client(app, nil).Do(s.PressRequest(m, b, userID, userName))
	if err != nil {
		return 0
	}
	_ = resp.Body.Close() // nothing is read from it
	return resp.StatusCode
}

// PressRequest returns the request of [Slack.Press], for whoever wants to change it or to send
// it twice. Its body is in memory, and its GetBody gives it again.
func (s *Slack) PressRequest(m SlackMessage, b SlackButton, userID, userName string) *http.Request {
	s.state.Lock()
	s.presses++
	n := s.presses
	s.state.Unlock()
	now := time.Now()
	payload, err := json.Marshal(map[string]any{
		"type":       "block_actions",
		"team":       map[string]any{"id": "T9TK3CUKW", "domain": "example"},
		"user":       map[string]any{"id": userID, "username": userName, "name": userName, "team_id": "T9TK3CUKW"},
		"api_app_id": "AABA1ABCD", "token": "9s8d9as89d8as9d8as989",
		"container": map[string]any{
			"type": "message_attachment", "message_ts": m.TS, "attachment_id": 1, "channel_id": m.Channel,
			"is_ephemeral": false, "is_app_unfurl": false,
		},
		"trigger_id":   fmt.Sprintf("12321423423.333649436676.%032d", n),
		"channel":      map[string]any{"id": m.Channel, "name": "qa-automation-alerts"},
		"message":      map[string]any{"bot_id": "BAH5CA16Z", "type": "message", "text": m.Notice, "user": "UAJ2RU415", "ts": m.TS},
		"response_url": "https://hooks.slack.com/actions/AABA1ABCD/1232321423432/D09sSasdasdAS9091209",
		"actions": []any{map[string]any{
			"action_id": b.ActionID, "block_id": "=qXel", "text": map[string]any{"type": "plain_text", "text": b.Label, "emoji": true},
			"value": b.Value, "type": "button", "action_ts": fmt.Sprintf("%d.%06d", now.Unix(), n),
		}},
	})
	if err != nil {
		payload = nil // of texts and numbers: cannot be
	}
	return s.SignedRequest([]byte(url.Values{"payload": {string(payload)}}.Encode()), now)
}

// SignedRequest returns a request with a body as Slack signs it
// (https://docs.slack.dev/authentication/verifying-requests-from-slack).
func (s *Slack) SignedRequest(body []byte, at time.Time) *http.Request {
	stamp := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.SigningSecret))
	mac.Write([]byte("v0:" + stamp + ":"))
	mac.Write(body)
	return postRequest("/slack/actions", body, http.Header{
		"Content-Type":              {"application/x-www-form-urlencoded"},
		"X-Slack-Request-Timestamp": {stamp},
		"X-Slack-Signature":         {"v0=" + hex.EncodeToString(mac.Sum(nil))},
	})
}

// postRequest returns a request that a client can send and a handler can take.
func postRequest(path string, body []byte, header http.Header) *http.Request {
	content := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r := &http.Request{
		Method: http.MethodPost, URL: &url.URL{Scheme: "https", Host: "ops.example.com", Path: path}, Host: "ops.example.com",
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header, ContentLength: int64(len(body)), GetBody: content,
	}
	r.Body, _ = content() // never fails
	return r
}
