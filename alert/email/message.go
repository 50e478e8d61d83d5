package email

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html/template"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"

	"go.acu.edu.au/runbook/alert"
)

// maxText is how much text a mail has, in bytes; more is cut off.
const maxText = 256 << 10

var keyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// id is the Message-ID of a message, without its angle brackets.
func (n *Notifier) id(key string, seq int) string {
	if !keyForm.MatchString(key) {
		sum := sha256.Sum256([]byte(key))
		key = hex.EncodeToString(sum[:16])
	}
	return fmt.Sprintf("%s.%d@%s", key, seq, n.cfg.Domain)
}

var idForm = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}@[!-;=?-~]{1,255}$`)

// compose writes the mail as it is sent.
func (n *Notifier) compose(what alert.Notification, notReached []missed) ([]byte, error) {
	c := n.content(what, notReached)
	m := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	m.FromMailAddress(n.from)
	m.ToMailAddress(n.to...)
	if n.cfg.ReplyTo != "" {
		if err := m.ReplyTo(n.cfg.ReplyTo); err != nil {
			return nil, err
		}
	}
	m.Subject(c.Title)
	at := what.At
	if at.IsZero() {
		at = time.Now()
	}
	m.SetDateWithValue(at.In(n.cfg.Zone))
	m.SetMessageIDWithValue(n.id(what.Key, what.Seq))
	if prior, first := string(what.Prior), n.id(what.Key, 1); what.Seq > 1 || prior != "" {
		if !idForm.MatchString(prior) {
			prior = first
		}
		m.SetGenHeader(gomail.HeaderInReplyTo, "<"+prior+">")
		references := "<" + first + ">"
		if prior != first {
			references += " <" + prior + ">"
		}
		m.SetGenHeader(gomail.HeaderReferences, references)
	}
	m.SetGenHeader("Auto-Submitted", "auto-generated")
	m.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All") // for Exchange, which does not read the other
	if what.Severity == alert.Critical && what.Kind != alert.KindResolved {
		m.SetImportance(gomail.ImportanceHigh)
	}
	var html bytes.Buffer
	if err := n.template.Execute(&html, c); err != nil {
		return nil, err
	}
	m.SetBodyString(gomail.TypeTextPlain, c.plain())
	m.AddAlternativeString(gomail.TypeTextHTML, html.String())
	var out bytes.Buffer
	_, err := m.WriteTo(&out)
	return out.Bytes(), err
}

// content is what a mail says.
type content struct {
	Title  string
	State  string       // how things are, in a word or two
	Color  template.CSS // the same for the eye
	Repeat string
	Body   string // without the title
	Links  []link
	Notes  []string
}

type link struct{ Name, URL string }

const repeated = "Possible repeat: the answer to an earlier attempt was lost, so that this may have come before."

func (n *Notifier) content(what alert.Notification, notReached []missed) content {
	title, body := what.Title, what.Text
	if p := what.Post; p != nil {
		title, body = p.Title, p.Body
	}
	c := content{Title: oneLine(title), Links: n.links(what)}
	if rest, ok := strings.CutPrefix(body, what.Title); ok && what.Title != "" {
		body = rest
	}
	if c.Title == "" {
		c.Title = "(no title)"
	}
	c.Title = cut(c.Title, 250)
	if body = strings.ToValidUTF8(body, "\uFFFD"); len(body) > maxText {
		body = strings.ToValidUTF8(body[:maxText], "") + "\n… the rest is too long."
	}
	c.Body = strings.TrimSpace(strings.Map(printable, body))
	c.State, c.Color = state(what)
	if what.PossibleRepeat {
		c.Repeat = repeated
	}
	if p := what.Post; p != nil {
		c.Notes = n.about(p)
	}
	for _, m := range notReached {
		c.Notes = append(c.Notes, fmt.Sprintf("Not reached: %s (%s)", m.address, m.why))
	}
	return c
}

// printable drops control characters, but for the ends of lines and tabs.
func printable(r rune) rune {
	if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
		return -1
	}
	return r
}

// plain is the text for those who do not show HTML.
func (c content) plain() string {
	parts := []string{c.Title}
	if c.Repeat != "" {
		parts = append(parts, c.Repeat)
	}
	if c.Body != "" {
		parts = append(parts, c.Body)
	}
	var links []string
	for _, l := range c.Links {
		if l.Name == l.URL {
			links = append(links, "Playbook: "+l.URL)
			continue
		}
		links = append(links, "Playbook "+l.Name+": "+l.URL)
	}
	for _, lines := range [][]string{links, c.Notes} {
		if len(lines) > 0 {
			parts = append(parts, strings.Join(lines, "\n"))
		}
	}
	return strings.Join(parts, "\n\n") + "\n"
}

// about says what a post says besides its text.
func (n *Notifier) about(p *alert.Post) (notes []string) {
	if p.Status != "" {
		notes = append(notes, "Status: "+words(p.Status))
	}
	if !p.From.IsZero() {
		line := "Planned: from " + n.clock(p.From)
		if !p.To.IsZero() {
			line += " to " + n.clock(p.To)
		}
		notes = append(notes, line)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Components)) {
		notes = append(notes, oneLine(name)+": "+words(p.Components[name]))
	}
	if p.By != "" {
		notes = append(notes, "Posted by "+oneLine(p.By))
	}
	return notes
}

func words(s string) string { return oneLine(strings.ReplaceAll(s, "_", " ")) }

func (n *Notifier) clock(t time.Time) string {
	return t.In(n.cfg.Zone).Format("Mon 2 Jan 2006 15:04 MST")
}

// links are the playbooks of what fires, at most ten.
func (n *Notifier) links(what alert.Notification) (links []link) {
	for _, a := range what.Alerts {
		l := link{oneLine(a.Playbook), a.Playbook}
		if !isAddress(l.URL) {
			l.URL = strings.TrimSuffix(n.cfg.Playbooks, "/") + "/" + url.PathEscape(a.Playbook)
		}
		if a.Playbook == "" || a.State == alert.Resolved || !isAddress(l.URL) || strings.ContainsFunc(l.URL, unprintable) || len(links) == 10 || slices.Contains(links, l) {
			continue
		}
		links = append(links, l)
	}
	return links
}

// state is how things are. Whoever cannot tell the colours apart reads the words.
func state(what alert.Notification) (string, template.CSS) {
	const (
		red, orange, yellow, grey, blue, green = "#B3261E", "#B54708", "#8A6100", "#5A6472", "#1D6FA5", "#2E7D32" // 4.5 to 1 and more on white
	)
	switch what.Kind {
	case alert.KindResolved:
		return "Resolved", green
	case alert.KindTest:
		return "Test. Nothing is wrong.", grey
	case alert.KindNotice:
		return "About the alerting itself", grey
	case alert.KindPost:
		if what.Post == nil || what.Post.Status == "" {
			return "Update", blue
		}
		if s := what.Post.Status; s == "resolved" || s == "completed" {
			return words(s), green
		}
		return words(what.Post.Status), blue
	}
	names, all := what.TakenBy()
	by := strings.Join(names, ", ")
	if all {
		return "Acknowledged by " + by + ", and still firing", blue
	}
	text := "Firing"
	if what.Severity != 0 {
		text += ", " + what.Severity.String()
	}
	if by != "" {
		text += ", partly acknowledged by " + by
	}
	switch what.Severity {
	case alert.Critical:
		return text, red
	case alert.High:
		return text, orange
	case alert.Medium:
		return text, yellow
	}
	return text, grey
}

// page is the mail in HTML: no pictures and nothing to fetch.
const page = `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{{.Title}}</title></head>
<body style="margin:0;padding:16px;background:#ffffff;color:#1b1f24;font:15px/1.5 -apple-system,'Segoe UI',Roboto,Arial,sans-serif">
<div style="border-left:6px solid {{.Color}};padding:2px 0 2px 14px">
<p style="margin:0;font-weight:bold;text-transform:uppercase;color:{{.Color}}">{{.State}}</p>
<h1 style="margin:4px 0 0;font-size:19px;line-height:1.35">{{.Title}}</h1>
</div>
{{with .Repeat}}<p style="margin:14px 0 0;font-weight:bold">{{.}}</p>
{{end}}{{with .Body}}<div style="margin:14px 0 0;white-space:pre-wrap">{{.}}</div>
{{end}}{{range .Links}}<p style="margin:14px 0 0"><a href="{{.URL}}" style="color:#0b57d0">Playbook {{.Name}}</a></p>
{{end}}{{with .Notes}}<p style="margin:14px 0 0">{{range $i, $note := .}}{{if $i}}<br>{{end}}{{$note}}{{end}}</p>
{{end}}</body></html>
`
