package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"strings"
	"time"
	"unicode/utf8"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
)

// lasting says how long something lasts: "45 s", "12 min", "3 h 20 min", "2 d 4 h". The
// script of the pages says it the same way.
func lasting(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 24*time.Hour:
		return strings.TrimSuffix(fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60), " 0 min")
	}
	return strings.TrimSuffix(fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24), " 0 h")
}

// clock says when something was, as people read it at night: the day only if it is another
// one.
func (c *request) clock(t time.Time) string { return clock(t, c.now, c.h.cfg.Location) }

func clock(t, now time.Time, zone *time.Location) string {
	t, now = t.In(zone), now.In(zone)
	switch {
	case t.IsZero():
		return "never"
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		return t.Format("15:04")
	case t.Year() == now.Year():
		return t.Format("2 Jan 15:04")
	}
	return t.Format("2 Jan 2006 15:04")
}

// functions are those of the templates.
func functions(zone *time.Location) template.FuncMap {
	return template.FuncMap{
		"at": func(t time.Time) moment { return moment{Time: t, Text: clock(t, time.Now(), zone), Now: time.Now()} },
		"full": func(t time.Time) string {
			if t.IsZero() {
				return ""
			}
			return t.In(zone).Format("Mon 2 Jan 2006 15:04:05 MST")
		},
		"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"lasting": lasting,
		"since":   func(t time.Time) string { return lasting(time.Since(t)) },
		"until":   func(t time.Time) string { return lasting(time.Until(t)) },
		"past":    func(t time.Time) bool { return !time.Now().Before(t) },
		"took":    func(from, to time.Time) string { return took(to.Sub(from)) },
		"upper":   strings.ToUpper,
		"begin":   begin,
		"short":   func(text string) string { return text[:min(len(text), 12)] },
		"join":    strings.Join,
		"json":    pretty,
		"list":    func(all ...any) []any { return all },
		"severe":  func(s alert.Severity) string { return s.String() },
		"once":    newOnce,
		"words":   words,
	}
}

// A moment is a time as it is shown.
type moment struct {
	Time time.Time
	Text string
	Now  time.Time
}

// took says how long a step took: what is shorter than a second too.
func took(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("%d ms", max(d, 0).Milliseconds())
	}
	return lasting(d)
}

// begin makes a text begin with a capital letter.
func begin(text string) string {
	if text == "" {
		return ""
	}
	r, n := utf8.DecodeRuneInString(text)
	return strings.ToUpper(string(r)) + text[n:]
}

// most is how much of what a step returned is shown.
const most = 6000

// pretty shows JSON to people: a text as it is, an object of a few values a line each, the
// rest indented.
func pretty(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) != nil {
		text = flat(raw)
	}
	if text == "" {
		var b bytes.Buffer
		if json.Indent(&b, raw, "", "  ") != nil {
			b.Write(raw)
		}
		text = b.String()
	}
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "\n… (more is in the record)"
	}
	return text
}

// flat shows an object whose values are texts, numbers and the like, a line each. Of
// anything else it returns nothing.
func flat(raw json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	var lines []string
	for d.More() {
		name, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil || len(value) == 0 || value[0] == '{' || value[0] == '[' {
			return ""
		}
		var text string
		if json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		lines = append(lines, fmt.Sprintf("%v: %s", name, text))
	}
	return strings.Join(lines, "\n")
}

// words says what an answer to a question means, on its button.
func words(answer string) string {
	said := map[string]string{
		incident.AnswerApprove: "Approve", incident.AnswerDeny: "Deny", incident.AnswerRetry: "Try again", incident.AnswerSkip: "Leave it out",
		incident.AnswerDone: "It is done", incident.AnswerBack: "Go back", incident.AnswerUndo: "Take everything back", incident.AnswerAbort: "End the run",
	}[answer]
	if said == "" {
		return answer
	}
	return said
}

// plain leaves out the characters that change the direction in which others are shown.
func plain(page []byte) []byte {
	for _, c := range []rune{0x202a, 0x202b, 0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069, 0x200e, 0x200f, 0x061c} {
		page = bytes.ReplaceAll(page, []byte(string(c)), []byte("\ufffd"))
	}
	return page
}
