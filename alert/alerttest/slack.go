package alerttest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Slack is the part of Slack that messages are posted to: the methods chat.postMessage and
// chat.update of the Web API, and an incoming webhook. Set its fields before it is used; the
// zero value takes any token and any channel.
//
// It enforces what Slack documents: the arguments of each method, the sizes of texts, blocks
// and buttons, one message a second for each channel with short bursts, and 50 changes a
// minute. See https://docs.slack.dev/reference/methods/chat.postMessage, chat.update,
// https://docs.slack.dev/reference/block-kit and https://docs.slack.dev/apis/web-api/rate-limits.
type Slack struct {
	// Token is the one that is taken. Empty means any.
	Token string
	// Channels are the names of the channels that the bot is a member of: "#alerts". None
	// means any.
	Channels []string
	// Webhook is the path of the incoming webhook: "/services/T0/B0/xyz". Empty means that
	// there is none. It posts to the first of Channels.
	Webhook string
	// SigningSecret is that of the app, see [Slack.Press].
	SigningSecret string
	// Burst is how many messages a channel takes at once. Zero means 5.
	Burst int

	faults
	state    sync.Mutex
	codes    []string
	messages []SlackMessage
	buckets  map[string]*bucket
	presses  int
}

// SlackMessage is a message as people see it.
type SlackMessage struct {
	// Channel is the ID of the channel, TS the time stamp that names the message, and
	// ThreadTS that of the message to which it is a reply; empty for one that is in the
	// channel.
	Channel, TS, ThreadTS string
	// Broadcast means that a reply is shown in the channel as well.
	Broadcast bool
	// Header, Color and Body are what people see now; Body has a line for each block.
	Header, Color, Body string
	// Notice is the text that a phone shows of it.
	Notice string
	// Posted is the header and the body as they were when it was posted.
	Posted string
	// Edits is how often it was changed.
	Edits int
	// Mentions are the people, groups and channels that it mentions.
	Mentions []string
	// Buttons are its buttons.
	Buttons []SlackButton
}

// SlackButton is a button of a message.
type SlackButton struct {
	// Label is what people see, Style its colour: "primary".
	Label, Style string
	// ActionID and Value are what the app is told.
	ActionID, Value string
}

// Client returns a client that reaches s in memory, whatever the address.
func (s *Slack) Client() *http.Client { return s.client(s) }

// FailWith makes the next calls of the Web API be answered by 200 and ok: false, one with
// each code, without any effect. An empty code lets one pass.
func (s *Slack) FailWith(codes ...string) {
	s.state.Lock()
	defer s.state.Unlock()
	s.codes = append(s.codes, codes...)
}

// Messages returns all messages, in the order in which they were posted.
func (s *Slack) Messages() []SlackMessage {
	s.state.Lock()
	defer s.state.Unlock()
	return slices.Clone(s.messages)
}

// Delete deletes a message.
func (s *Slack) Delete(ts string) {
	s.state.Lock()
	defer s.state.Unlock()
	s.messages = slices.DeleteFunc(s.messages, func(m SlackMessage) bool { return m.TS == ts })
}

// ServeHTTP implements [http.Handler].
func (s *Slack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	handle, refuse := s.api, func(w http.ResponseWriter, _ *http.Request) { slackError(w, "channel_not_found") }
	if s.Webhook != "" && r.URL.Path == s.Webhook {
		handle, refuse = s.hook, func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "channel_is_archived", http.StatusGone)
		}
	}
	s.serve(w, r, handle, refuse)
}

func slackError(w http.ResponseWriter, code string) {
	slackAnswer(w, map[string]any{"ok": false, "error": code})
}

func slackAnswer(w http.ResponseWriter, answer map[string]any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(answer) // who does not read it is gone
}

// slackCall is the body of a call: the documented arguments that make sense for a bot.
type slackCall struct {
	Channel     string            `json:"channel"`
	TS          string            `json:"ts"`
	ThreadTS    string            `json:"thread_ts"`
	Broadcast   bool              `json:"reply_broadcast"`
	Text        string            `json:"text"`
	Blocks      []json.RawMessage `json:"blocks"`
	Attachments []json.RawMessage `json:"attachments"`
	Parse       string            `json:"parse"`
	LinkNames   bool              `json:"link_names"`
	UnfurlLinks *bool             `json:"unfurl_links"`
	UnfurlMedia *bool             `json:"unfurl_media"`
	Mrkdwn      *bool             `json:"mrkdwn"`
}

func (s *Slack) api(w http.ResponseWriter, r *http.Request) {
	method, ok := strings.CutPrefix(r.URL.Path, "/api/")
	if !ok || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	s.state.Lock()
	defer s.state.Unlock()
	if code := s.nextCode(); code != "" {
		slackError(w, code)
		return
	}
	var call slackCall
	code := s.authorize(r)
	if code == "" {
		code = decodeCall(r, &call)
	}
	if code == "" {
		switch method {
		case "chat.postMessage":
			s.post(w, &call)
			return
		case "chat.update":
			s.update(w, &call)
			return
		}
		code = "unknown_method"
	}
	slackError(w, code)
}

func (s *Slack) nextCode() (code string) {
	if len(s.codes) > 0 {
		code, s.codes = s.codes[0], s.codes[1:]
	}
	return code
}

func (s *Slack) authorize(r *http.Request) (code string) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case !ok || token == "":
		return "not_authed"
	case s.Token != "" && token != s.Token:
		return "invalid_auth"
	}
	return ""
}

func decodeCall(r *http.Request, call *slackCall) (code string) {
	if kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "invalid_post_type"
	} else if c := params["charset"]; c != "" && !strings.EqualFold(c, "utf-8") {
		return "invalid_charset"
	}
	data, ok := body(r, 1<<20)
	if !ok {
		return "request_timeout"
	}
	if strict(data, call) != nil {
		return "invalid_arguments"
	}
	return ""
}

func (s *Slack) post(w http.ResponseWriter, call *slackCall) {
	channel, ok := s.channel(call.Channel)
	if call.TS != "" {
		slackError(w, "invalid_arguments")
		return
	}
	if !ok {
		slackError(w, "channel_not_found")
		return
	}
	if call.ThreadTS != "" && !slices.ContainsFunc(s.messages, func(m SlackMessage) bool {
		return m.Channel == channel && m.TS == call.ThreadTS && m.ThreadTS == ""
	}) {
		slackError(w, "thread_not_found")
		return
	}
	if !s.pace(w, "post "+channel, 1, cmp.Or(s.Burst, 5)) {
		return
	}
	m, code := read(call)
	if code != "" {
		slackError(w, code)
		return
	}
	m.Channel, m.ThreadTS, m.Broadcast = channel, call.ThreadTS, call.Broadcast
	s.keep(&m)
	slackAnswer(w, map[string]any{
		"ok": true, "channel": channel, "ts": m.TS,
		"message": map[string]any{"type": "message", "subtype": "bot_message", "text": call.Text, "ts": m.TS, "bot_id": "B19LU7CSY"},
	})
}

// keep names a message by the time, and by its number, as Slack does.
func (s *Slack) keep(m *SlackMessage) {
	m.TS = fmt.Sprintf("%d.%06d", time.Now().Unix(), len(s.messages)+1)
	m.Posted = m.Header + "\n" + m.Body
	s.messages = append(s.messages, *m)
}

func (s *Slack) update(w http.ResponseWriter, call *slackCall) {
	if call.ThreadTS != "" || call.UnfurlLinks != nil || call.UnfurlMedia != nil || call.Mrkdwn != nil {
		slackError(w, "invalid_arguments")
		return
	}
	if !s.pace(w, "update", 50.0/60, 50) {
		return
	}
	i := slices.IndexFunc(s.messages, func(m SlackMessage) bool { return m.Channel == call.Channel && m.TS == call.TS })
	if i < 0 {
		slackError(w, "message_not_found")
		return
	}
	now, code := read(call)
	if code != "" {
		slackError(w, code)
		return
	}
	old := s.messages[i]
	now.Channel, now.TS, now.ThreadTS, now.Broadcast = old.Channel, old.TS, old.ThreadTS, old.Broadcast
	now.Posted, now.Edits = old.Posted, old.Edits+1
	s.messages[i] = now
	slackAnswer(w, map[string]any{"ok": true, "channel": old.Channel, "ts": old.TS, "text": call.Text})
}

// hook is the incoming webhook: it answers in words, see
// https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks.
func (s *Slack) hook(w http.ResponseWriter, r *http.Request) {
	s.state.Lock()
	defer s.state.Unlock()
	var call slackCall
	if r.Method != http.MethodPost || decodeCall(r, &call) != "" || call.Channel != "" || call.TS != "" || call.ThreadTS != "" {
		http.Error(w, "invalid_payload", http.StatusBadRequest)
		return
	}
	name := "#webhook"
	if len(s.Channels) > 0 {
		name = s.Channels[0]
	}
	channel, _ := s.channel(name)
	if !s.pace(w, "post "+channel, 1, cmp.Or(s.Burst, 5)) {
		return
	}
	m, code := read(&call)
	if code != "" {
		http.Error(w, code, http.StatusBadRequest)
		return
	}
	m.Channel = channel
	s.keep(&m)
	_, _ = w.Write([]byte("ok"))
}

// channel returns the ID of a channel, by its ID or its name.
func (s *Slack) channel(name string) (id string, ok bool) {
	of := func(name string) string {
		return "C" + strings.ToUpper(strings.Map(func(r rune) rune {
			if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' {
				return r
			}
			return -1
		}, name))
	}
	if len(s.Channels) == 0 {
		if strings.HasPrefix(name, "C") {
			return name, true
		}
		return of(name), name != ""
	}
	for _, known := range s.Channels {
		if name != "" && (strings.TrimPrefix(name, "#") == strings.TrimPrefix(known, "#") || name == of(known)) {
			return of(known), true
		}
	}
	return "", false
}

// bucket is how much a channel takes at present.
type bucket struct {
	tokens float64
	at     time.Time
}

// pace takes a token, or answers 429.
func (s *Slack) pace(w http.ResponseWriter, what string, perSecond float64, burst int) bool {
	if s.buckets == nil {
		s.buckets = make(map[string]*bucket)
	}
	now := time.Now()
	b := s.buckets[what]
	if b == nil {
		b = &bucket{tokens: float64(burst), at: now}
		s.buckets[what] = b
	}
	b.tokens = min(float64(burst), b.tokens+now.Sub(b.at).Seconds()*perSecond)
	b.at = now
	// A thousandth is forgiven: it is less than clocks differ.
	if b.tokens < 0.999 {
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		slackError(w, "ratelimited")
		return false
	}
	b.tokens = max(0, b.tokens-1)
	return true
}
