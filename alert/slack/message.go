package slack

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// message is the body of chat.postMessage, chat.update and an incoming webhook.
type message struct {
	Channel     string       `json:"channel,omitempty"`
	TS          string       `json:"ts,omitempty"`
	ThreadTS    string       `json:"thread_ts,omitempty"`
	Broadcast   bool         `json:"reply_broadcast,omitempty"`
	Text        string       `json:"text"` // for notifications on phones, and screen readers
	Blocks      []block      `json:"blocks"`
	Attachments []attachment `json:"attachments"` // what has a colour
	Parse       string       `json:"parse,omitempty"`
	LinkNames   *bool        `json:"link_names,omitempty"`
	UnfurlLinks *bool        `json:"unfurl_links,omitempty"`
	UnfurlMedia *bool        `json:"unfurl_media,omitempty"`
}

type attachment struct {
	Color  string  `json:"color"`
	Blocks []block `json:"blocks"`
}

type block struct {
	Type     string    `json:"type"`
	Text     *text     `json:"text,omitempty"`
	Elements []element `json:"elements,omitempty"`
}

type text struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji,omitempty"`    // of plain_text
	Verbatim bool   `json:"verbatim,omitempty"` // of mrkdwn
}

// element is a text of a context block, or a button.
type element struct {
	Type     string `json:"type"`
	Text     any    `json:"text"` // a string, or the text of a button
	Emoji    *bool  `json:"emoji,omitempty"`
	ActionID string `json:"action_id,omitempty"`
	Value    string `json:"value,omitempty"`
	Style    string `json:"style,omitempty"`
}

func plainText(s string) *text { return &text{Type: "plain_text", Text: s, Emoji: new(false)} }

func contextBlock(s string) block {
	return block{Type: "context", Elements: []element{{Type: "plain_text", Text: s, Emoji: new(false)}}}
}

// place is where a message stands.
type place uint8

const (
	first place = iota // it begins a conversation
	root               // it begins one, and is changed
	reply              // it is in the thread
)

// message makes what people see of a notification.
func (n *Notifier) message(what alert.Notification, where place) message {
	title, body := what.Title, what.Text
	if p := what.Post; p != nil {
		title, body = p.Title, p.Body
	}
	if title = strings.Join(strings.Fields(title), " "); title == "" {
		title = "(no title)" // which Slack would refuse
	}
	repeat := what.PossibleRepeat && where != root
	heading := title
	if repeat {
		heading = "(possible repeat) " + title
	}
	header := fit(heading, maxHeader)
	// The text says its title again; that is left out unless it did not fit.
	if rest, ok := strings.CutPrefix(body, what.Title); ok && !strings.HasSuffix(header, "…") {
		body = rest
	}
	s := stateOf(what)
	blocks := make([]block, 0, 8)
	for _, part := range sections(body) {
		blocks = append(blocks, block{Type: "section", Text: plainText(part)})
	}
	if links := playbooks(what); links != "" {
		blocks = append(blocks, block{Type: "section", Text: &text{Type: "mrkdwn", Text: links, Verbatim: true}})
	}
	if p := what.Post; p != nil {
		if about := n.about(p); about != "" {
			blocks = append(blocks, block{Type: "section", Text: plainText(fit(about, maxSection))})
		}
	}
	blocks = append(blocks, contextBlock(fit(s.words, 300)))
	if repeat {
		blocks = append(blocks, contextBlock(send.Repeated))
	}
	if n.cfg.Buttons && where != reply {
		if b, ok := acknowledge(what); ok {
			blocks = append(blocks, b)
		}
	}
	m := message{
		Text: fit(heading+"\n"+strings.TrimSpace(body), maxText), Blocks: []block{{Type: "header", Text: plainText(header)}},
		Attachments: []attachment{{Color: s.color, Blocks: blocks}}, Parse: "none", LinkNames: new(false),
	}
	if where != root {
		m.UnfurlLinks, m.UnfurlMedia = new(false), new(false)
	}
	return m
}

// state is how things are, as a colour and in words.
type state struct{ color, words string }

// The colours. Whoever cannot tell them apart reads the words.
const (
	red    = "#B3261E"
	orange = "#E8590C"
	yellow = "#F2A900"
	grey   = "#8D99AE"
	blue   = "#1D6FA5"
	green  = "#2E7D32"
)

func stateOf(what alert.Notification) state {
	switch what.Kind {
	case alert.KindResolved:
		return state{green, "State: resolved."}
	case alert.KindTest:
		return state{grey, "State: this is a test. Nothing is wrong."}
	case alert.KindNotice:
		return state{grey, "State: this is about the alerting itself."}
	case alert.KindPost:
		return stateOfPost(what.Post)
	}
	by, all := what.TakenBy()
	if all {
		return state{blue, "State: acknowledged by " + strings.Join(by, ", ") + ", and still firing."}
	}
	words := "State: firing"
	if what.Severity != 0 {
		words += ", " + what.Severity.String()
	}
	if len(by) > 0 {
		words += ", partly acknowledged by " + strings.Join(by, ", ")
	}
	return state{severityColor(what.Severity), words + "."}
}

func severityColor(s alert.Severity) string {
	switch s {
	case alert.Critical:
		return red
	case alert.High:
		return orange
	case alert.Medium:
		return yellow
	}
	return grey
}

func stateOfPost(p *alert.Post) state {
	if p == nil || p.Status == "" {
		return state{grey, "Posted by " + postedBy(p) + "."}
	}
	color := orange
	switch p.Status {
	case "investigating":
		color = red
	case "monitoring", "scheduled", "in_progress":
		color = blue
	case "resolved", "completed":
		color = green
	}
	return state{color, "Status: " + words(p.Status) + ". Posted by " + postedBy(p) + "."}
}

func postedBy(p *alert.Post) string {
	if p == nil || p.By == "" {
		return "the operators"
	}
	return p.By
}

func words(s string) string { return strings.ReplaceAll(s, "_", " ") }

// about says what a post says besides its text.
func (n *Notifier) about(p *alert.Post) string {
	var lines []string
	if !p.From.IsZero() {
		line := "Planned: from " + n.clock(p.From)
		if !p.To.IsZero() {
			line += " to " + n.clock(p.To)
		}
		lines = append(lines, line)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Components)) {
		lines = append(lines, name+": "+words(p.Components[name]))
	}
	return strings.Join(lines, "\n")
}

func (n *Notifier) clock(t time.Time) string {
	return t.In(n.cfg.Zone).Format("Mon 2 Jan 2006 15:04 MST")
}

// playbooks links those playbooks of firing alerts that are addresses.
func playbooks(what alert.Notification) string {
	var links []string
	for _, a := range what.Alerts {
		if a.State == alert.Resolved {
			continue
		}
		if link := address(a.Playbook); link != "" && len(links) < 3 && !slices.Contains(links, link) {
			links = append(links, link)
		}
	}
	if len(links) == 0 {
		return ""
	}
	return "Playbook: " + strings.Join(links, " ")
}

// acknowledgeID names the button.
const acknowledgeID = "runbook_acknowledge"

// acknowledge is the button for the alerts that nobody has acknowledged yet.
func acknowledge(what alert.Notification) (block, bool) {
	var keys []string
	size := 2
	for _, a := range what.Alerts {
		if a.State != alert.Firing || a.Acknowledged != nil || slices.Contains(keys, a.Key) {
			continue
		}
		quoted, err := json.Marshal(a.Key)
		if size += len(quoted) + 1; err != nil || size > maxValue {
			break
		}
		keys = append(keys, a.Key)
	}
	if len(keys) == 0 {
		return block{}, false
	}
	value, err := json.Marshal(keys)
	if err != nil {
		return block{}, false
	}
	label := "Acknowledge"
	if len(keys) > 1 {
		label = fmt.Sprintf("Acknowledge %d alerts", len(keys))
	}
	return block{Type: "actions", Elements: []element{{
		Type: "button", Text: plainText(label), ActionID: acknowledgeID, Value: string(value), Style: "primary",
	}}}, true
}
