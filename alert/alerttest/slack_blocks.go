package alerttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
)

// strict decodes JSON that has no fields but those that are documented, and nothing after it.
func strict(data []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON")
	}
	return nil
}

// slackText is a text object
// (https://docs.slack.dev/reference/block-kit/composition-objects/text-object).
type slackText struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	Emoji    *bool  `json:"emoji"`
	Verbatim *bool  `json:"verbatim"`
}

func (t *slackText) valid(most int, types ...string) bool {
	n := length(t.Text)
	return slices.Contains(types, t.Type) && n > 0 && n <= most &&
		(t.Emoji == nil || t.Type == "plain_text") && (t.Verbatim == nil || t.Type == "mrkdwn")
}

// length counts as the strictest of the ways to count does.
func length(s string) int { return len(utf16.Encode([]rune(s))) }

var entities = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&amp;", "&")

// mention is what Slack reads as the mention of a person, a group or a channel, see
// https://docs.slack.dev/messaging/formatting-message-text.
var mention = regexp.MustCompile(`<(?:@[UW]|#C|!)[^>]*>`)

// looseMention is what it reads as one if names are looked up.
var looseMention = regexp.MustCompile(`@(?:here|channel|everyone)|[@#][a-z0-9._-]+`)

// reader gathers what people see of a message.
type reader struct {
	m     SlackMessage
	lines []string
}

// read checks the content of a call, and returns what people see of it.
func read(call *slackCall) (m SlackMessage, code string) {
	r := &reader{}
	switch {
	case call.Text == "" && len(call.Blocks) == 0 && len(call.Attachments) == 0:
		return m, "no_text"
	case length(call.Text) > 40_000:
		return m, "msg_too_long"
	case len(call.Attachments) > 100:
		return m, "too_many_attachments"
	case call.Parse != "" && call.Parse != "none" && call.Parse != "full":
		return m, "invalid_arguments"
	}
	r.sees(call.Text)
	if call.LinkNames || call.Parse == "full" {
		r.m.Mentions = append(r.m.Mentions, looseMention.FindAllString(call.Text, -1)...)
	}
	if !r.blocks(call.Blocks) {
		return m, "invalid_blocks"
	}
	for _, raw := range call.Attachments {
		var a struct {
			Color    string            `json:"color"`
			Fallback string            `json:"fallback"`
			Blocks   []json.RawMessage `json:"blocks"`
		}
		if strict(raw, &a) != nil || !color.MatchString(a.Color) || !r.blocks(a.Blocks) {
			return m, "invalid_attachments"
		}
		r.m.Color = a.Color
	}
	r.m.Notice = entities.Replace(call.Text)
	if len(call.Blocks) == 0 && len(call.Attachments) == 0 {
		r.lines = append(r.lines, r.m.Notice)
	}
	r.m.Body = strings.Join(r.lines, "\n")
	return r.m, ""
}

var color = regexp.MustCompile(`^#[0-9A-Fa-f]{6}$`)

// sees takes note of a text, and returns what people see of it. What is not escaped counts as
// a mention in plain text too: text objects of every type are to be escaped.
func (r *reader) sees(text string) string {
	r.m.Mentions = append(r.m.Mentions, mention.FindAllString(text, -1)...)
	return entities.Replace(text)
}

func (r *reader) blocks(raw []json.RawMessage) bool {
	if len(raw) > 50 {
		return false
	}
	for _, b := range raw {
		var kind struct {
			Type string `json:"type"`
		}
		if json.Unmarshal(b, &kind) != nil || !r.block(kind.Type, b) {
			return false
		}
	}
	return true
}

func (r *reader) block(kind string, raw []byte) bool {
	switch kind {
	case "header", "section":
		var b struct {
			Type string    `json:"type"`
			Text slackText `json:"text"`
		}
		if strict(raw, &b) != nil {
			return false
		}
		if kind == "header" {
			r.m.Header = r.sees(b.Text.Text)
			return b.Text.valid(150, "plain_text")
		}
		r.lines = append(r.lines, r.sees(b.Text.Text))
		return b.Text.valid(3000, "plain_text", "mrkdwn")
	case "context":
		var b struct {
			Type     string      `json:"type"`
			Elements []slackText `json:"elements"`
		}
		if strict(raw, &b) != nil || len(b.Elements) == 0 || len(b.Elements) > 10 {
			return false
		}
		for i := range b.Elements {
			t := &b.Elements[i]
			r.lines = append(r.lines, r.sees(t.Text))
			if !t.valid(3000, "plain_text", "mrkdwn") {
				return false
			}
		}
		return true
	case "divider":
		return strict(raw, &struct {
			Type string `json:"type"`
		}{}) == nil
	case "actions":
		return r.actions(raw)
	}
	return false
}

// actions reads buttons
// (https://docs.slack.dev/reference/block-kit/block-elements/button-element).
func (r *reader) actions(raw []byte) bool {
	var b struct {
		Type     string `json:"type"`
		Elements []struct {
			Type     string    `json:"type"`
			Text     slackText `json:"text"`
			ActionID string    `json:"action_id"`
			URL      string    `json:"url"`
			Value    string    `json:"value"`
			Style    string    `json:"style"`
		} `json:"elements"`
	}
	if strict(raw, &b) != nil || len(b.Elements) == 0 || len(b.Elements) > 25 {
		return false
	}
	for _, e := range b.Elements {
		if e.Type != "button" || !e.Text.valid(75, "plain_text") || length(e.ActionID) > 255 || length(e.Value) > 2000 ||
			length(e.URL) > 3000 || !slices.Contains([]string{"", "primary", "danger"}, e.Style) {
			return false
		}
		r.m.Buttons = append(r.m.Buttons, SlackButton{Label: r.sees(e.Text.Text), Style: e.Style, ActionID: e.ActionID, Value: e.Value})
	}
	return true
}
