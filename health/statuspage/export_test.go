package statuspage

import "reflect"

// What tests look at from within.
var (
	ModelType = reflect.TypeFor[model]()
	Style     = style
	Percent   = percent
	Lasting   = lasting
	Answered  = answered
	Clean     = clean
	Shade     = shade
)

// Documents returns those of a page in which events show, if what is announced were
// these. It needs no page of its own for each.
func (p *Page) Documents(events Events) (map[string][]byte, error) {
	report := p.cfg.Monitor.Snapshot()
	m, problems := p.model(report, said[Events]{value: events}, said[*past]{})
	v := p.render.look(p, report, m, problems)
	all := make(map[string][]byte)
	writers := map[string]func() ([]byte, error){"front": v.front, "history": v.history, "feed": func() ([]byte, error) { return p.feed(m) }}
	for _, e := range m.Events {
		writers["event"] = func() ([]byte, error) { return v.event(e.ID) }
	}
	for name, write := range writers {
		text, err := write()
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, nil
}
