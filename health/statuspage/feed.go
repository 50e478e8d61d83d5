package statuspage

import (
	"encoding/xml"
	"html"
	"strings"
	"time"
)

// The types of this file are those of Atom, RFC 4287.

type atomFeed struct {
	XMLName  xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	Lang     string      `xml:"xml:lang,attr"`
	Title    string      `xml:"title"`
	Subtitle string      `xml:"subtitle,omitempty"`
	ID       string      `xml:"id"`
	Links    []atomLink  `xml:"link"`
	Updated  string      `xml:"updated"`
	Author   string      `xml:"author>name"`
	Entries  []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr,omitempty"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID        string   `xml:"id"`
	Title     string   `xml:"title"`
	Published string   `xml:"published"`
	Updated   string   `xml:"updated"`
	Link      atomLink `xml:"link"`
	Category  struct {
		Term string `xml:"term,attr"`
	} `xml:"category"`
	Content struct {
		Type string `xml:"type,attr"`
		Text string `xml:",chardata"`
	} `xml:"content"`
}

// feed returns the events as an Atom feed: an entry for each, which changes with
// its updates.
func (p *Page) feed(m *model) ([]byte, error) {
	f := atomFeed{
		Lang: "en", Title: p.cfg.Title + " status", Subtitle: p.cfg.Description, ID: p.cfg.URL, Author: p.cfg.Title,
		Links: []atomLink{{"self", "application/atom+xml", p.cfg.URL + "feed.atom"}, {"alternate", "text/html", p.cfg.URL}},
	}
	updated := p.born
	for i, e := range m.Events {
		if i == 0 || e.Changed.After(updated) {
			updated = e.Changed
		}
		var entry atomEntry
		entry.ID = p.cfg.URL + "incidents/" + e.ID
		entry.Title, entry.Link = e.Title, atomLink{"alternate", "text/html", entry.ID}
		entry.Published, entry.Updated = e.Changed.Format(time.RFC3339), e.Changed.Format(time.RFC3339)
		if len(e.Updates) > 0 {
			entry.Published = e.Updates[len(e.Updates)-1].Time.Format(time.RFC3339)
		}
		entry.Category.Term = "incident"
		if e.Planned {
			entry.Category.Term = "maintenance"
		}
		entry.Content.Type, entry.Content.Text = "html", contentOf(e)
		f.Entries = append(f.Entries, entry)
	}
	f.Updated = updated.In(p.cfg.Location).Format(time.RFC3339)
	text, err := xml.MarshalIndent(f, "", "  ")
	if err != nil {
		return nil, err
	}
	return append([]byte(xml.Header), append(text, '\n')...), nil
}

// contentOf returns what was said about an event, the newest first, as HTML.
func contentOf(e event) string {
	var b strings.Builder
	paragraph := func(strong, text string) {
		b.WriteString("<p><strong>" + html.EscapeString(strong) + "</strong>")
		if text != "" {
			b.WriteString("<br>" + strings.ReplaceAll(html.EscapeString(text), "\n", "<br>"))
		}
		b.WriteString("</p>")
	}
	if e.Planned {
		paragraph("Planned for "+stamp(e.From)+" to "+stamp(e.Until), "")
	}
	if len(e.Components) > 0 {
		names := make([]string, len(e.Components))
		for i, a := range e.Components {
			names[i] = a.Name
		}
		paragraph("Affected: "+strings.Join(names, ", "), "")
	}
	for _, u := range e.Updates {
		paragraph(u.Phase.Words()+", "+stamp(u.Time), u.Text)
	}
	return b.String()
}

// stamp returns a time for people, with its zone.
func stamp(t time.Time) string { return t.Format("2 January 2006, 15:04 MST") }
