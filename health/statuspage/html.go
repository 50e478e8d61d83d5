package statuspage

import (
	"bytes"
	"embed"
	"html/template"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

//go:embed templates/style.css
var style string

//go:embed templates/*.tmpl
var templates embed.FS

// parse returns the templates of a public or a private page. They differ in what
// stands where details are shown: on a public page there is nothing, and no value
// that it is given has them.
func parse(kind string) *template.Template {
	t := template.New("").Funcs(template.FuncMap{
		"iso":   func(t time.Time) string { return t.Format(time.RFC3339) },
		"stamp": func(t time.Time) string { return t.Format("2 Jan 2006, 15:04 MST") },
		"lower": strings.ToLower,
		"bar":   bar,
		"lasting": func(from, until time.Time) string {
			return lasting(until.Sub(from))
		},
	})
	return template.Must(t.ParseFS(templates, "templates/layout.tmpl", "templates/front.tmpl", "templates/pages.tmpl", "templates/"+kind+".tmpl"))
}

// A head is what all documents have.
type head struct {
	PageTitle, Title, Description string
	Root                          string // the way from the document to the page
	Zone                          string
	Style                         template.CSS
	Icon                          template.URL
	Links                         []Link
	AsOf                          time.Time
	EventsTrouble, PastTrouble    bool
	EventsOf, PastOf              time.Time
}

func headOf(cfg Config, m *model, root, title string, c Condition) head {
	h := head{
		PageTitle: title, Title: cfg.Title, Description: cfg.Description, Root: root, Zone: cfg.Location.String(),
		Style: template.CSS(style), Links: cfg.Links, Icon: template.URL("data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Ccircle cx='8' cy='8' r='8' fill='" + strings.Replace(shade(c), "#", "%23", 1) + "'/%3E%3C/svg%3E"), //nolint:gosec // both are constants of this package
	}
	if m != nil {
		h.AsOf, h.EventsTrouble, h.PastTrouble, h.EventsOf, h.PastOf = m.AsOf, m.EventsTrouble, m.PastTrouble, m.EventsOf, m.PastOf
	}
	return h
}

// A frontDoc is the page itself. C is a component as the kind of page shows it.
type frontDoc[C any] struct {
	head
	Overall  overall
	Troubled []component // what is not operational
	More     int         // and how many more are not
	Groups   []groupDoc[C]
	Open     []event
	Planned  []event
	Past     []event
	HasPast  bool
}

type groupDoc[C any] struct {
	Name       string
	Components []C
}

const troubledShown = 20

func front[C any](cfg Config, m *model, show func(component) C) frontDoc[C] {
	doc := frontDoc[C]{head: headOf(cfg, m, "", m.Overall.Words+" – "+cfg.Title+" status", m.Overall.Condition), Overall: m.Overall, HasPast: cfg.History != nil}
	for _, g := range m.Groups {
		out := groupDoc[C]{Name: g.Name}
		for _, i := range g.Components {
			out.Components = append(out.Components, show(m.Components[i]))
		}
		doc.Groups = append(doc.Groups, out)
	}
	for _, c := range m.Components {
		if c.Condition != Operational {
			doc.Troubled = append(doc.Troubled, c)
		}
	}
	slices.SortStableFunc(doc.Troubled, func(a, b component) int { return b.Condition.rank() - a.Condition.rank() })
	if len(doc.Troubled) > troubledShown {
		doc.Troubled, doc.More = doc.Troubled[:troubledShown], len(doc.Troubled)-troubledShown
	}
	begin := m.AsOf.AddDate(0, 0, -pastDays)
	for _, e := range m.Events {
		switch {
		case !e.open():
			if e.Ended.After(begin) {
				doc.Past = append(doc.Past, e)
			}
		case e.Planned:
			doc.Planned = append(doc.Planned, e)
		default:
			doc.Open = append(doc.Open, e)
		}
	}
	slices.Reverse(doc.Planned) // the next one first
	return doc
}

// A componentDoc is the document of a component.
type componentDoc[C any] struct {
	head
	C      C
	Events []event
	Table  []dayRow // newest first
	Charts []chart
}

type dayRow struct {
	Date      time.Time
	Words, Up string
}

func oneComponent[C any](cfg Config, m *model, id string, show func(component) C) (componentDoc[C], error) {
	i := slices.IndexFunc(m.Components, func(c component) bool { return c.ID == id })
	if i < 0 {
		return componentDoc[C]{}, nothing("component", id)
	}
	c := m.Components[i]
	doc := componentDoc[C]{head: headOf(cfg, m, "../", c.Name+": "+strings.ToLower(c.Condition.Words())+" – "+cfg.Title+" status", c.Condition), C: show(c)}
	for _, e := range m.Events {
		if slices.ContainsFunc(e.Components, func(a affected) bool { return a.ID == id }) {
			doc.Events = append(doc.Events, e)
		}
	}
	for _, d := range slices.Backward(c.Days) {
		row := dayRow{Date: d.Date, Words: d.Words(), Up: "–"}
		if share, ok := d.Uptime(); ok {
			row.Up = percent(share)
		}
		doc.Table = append(doc.Table, row)
	}
	if m.past != nil {
		doc.Charts = append(doc.Charts, hourly(m.past.hours[i], m.past.read.In(cfg.Location)), daily(m.past.days[i], c.Days))
		doc.Charts = slices.DeleteFunc(doc.Charts, func(c chart) bool { return len(c.Rows) == 0 })
	}
	return doc, nil
}

// A historyDoc is the list of events.
type historyDoc struct {
	head
	Months []month
}

type month struct {
	ID, Name string
	Events   []event
}

func allEvents(cfg Config, m *model) historyDoc {
	doc := historyDoc{head: headOf(cfg, m, "", "Incidents and maintenance – "+cfg.Title+" status", m.Overall.Condition)}
	for _, e := range m.Events {
		id := e.last().Format("2006-01")
		if n := len(doc.Months); n == 0 || doc.Months[n-1].ID != id {
			doc.Months = append(doc.Months, month{ID: id, Name: e.last().Format("January 2006")})
		}
		last := &doc.Months[len(doc.Months)-1]
		last.Events = append(last.Events, e)
	}
	return doc
}

// An eventDoc is the document of an event.
type eventDoc struct {
	head
	E event
}

func oneEvent(cfg Config, m *model, id string) (eventDoc, error) {
	i := slices.IndexFunc(m.Events, func(e event) bool { return e.ID == id })
	if i < 0 {
		return eventDoc{}, nothing("event", id)
	}
	e := m.Events[i]
	return eventDoc{head: headOf(cfg, m, "../", e.Title+" – "+cfg.Title+" status", m.Overall.Condition), E: e}, nil
}

// execute renders a template.
func execute(t *template.Template, name string, doc any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, name, doc); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// notFound returns the document for what there is not. It leads back by the whole
// address, since it does not know where it stands.
func notFound(t *template.Template, cfg Config) []byte {
	b, err := execute(t, "lost", struct{ head }{headOf(cfg, nil, cfg.URL, "Not found – "+cfg.Title+" status", Unknown)})
	if err != nil { // cannot be: nothing in it comes from a request
		return []byte("not found\n")
	}
	return b
}

// A publicRenderer renders the model and nothing else.
type publicRenderer struct {
	t   *template.Template
	cfg Config
}

func (r publicRenderer) look(_ *Page, _ *health.Report, m *model, _ []string) view {
	return publicView{r, m}
}

type publicView struct {
	publicRenderer
	m *model
}

func (v publicView) same(other view) bool {
	o, ok := other.(publicView)
	return ok && same(v.m, o.m)
}

func plain(c component) component { return c }

func (v publicView) front() ([]byte, error) { return execute(v.t, "front", front(v.cfg, v.m, plain)) }

func (v publicView) component(id string) ([]byte, error) {
	doc, err := oneComponent(v.cfg, v.m, id, plain)
	if err != nil {
		return nil, err
	}
	return execute(v.t, "component", doc)
}

func (v publicView) history() ([]byte, error) {
	return execute(v.t, "history", allEvents(v.cfg, v.m))
}

func (v publicView) event(id string) ([]byte, error) {
	doc, err := oneEvent(v.cfg, v.m, id)
	if err != nil {
		return nil, err
	}
	return execute(v.t, "one", doc)
}
