package httpapi

import (
	"iter"
	"strconv"

	"go.acu.edu.au/runbook/incident"
)

// A chainPage is a part of a chain of entries.
type chainPage struct {
	Entries []incident.Entry `json:"entries" api:"never null" about:"In the order in which they were recorded."`
	// Record is about all that was read to find them.
	Record incident.ReportRecord `json:"record" about:"Whether the record is as it was written. Without after it is about the whole record, and with it about these entries and the one before. Who keeps head can prove later that nothing before it was changed, but for what was redacted."`
	More   bool                  `json:"more" about:"There are more after them: ask again with after."`
}

var chainParameters = []parameter{
	{name: "after", in: "query", about: "The number of the entry after which to begin. Left out, the last entries are returned.", schema: schema{Type: typeInteger, Minimum: new(int64(0))}},
	limitParameter,
}

// chain returns a part of a chain, and whether it is as it was written.
func (c *call) chain(name string) (chainPage, error) {
	q := c.query()
	after, limit := q.number("after", -1, 0, 1<<53), int(q.number("limit", 100, 1, 1000))
	if err := q.err(); err != nil {
		return chainPage{}, err
	}
	p := &pager{limit: limit, from: max(after, 0), tail: after < 0}
	// The entry before those that are asked for is what they must follow.
	err := p.read(c.a.cfg.Store.Entries(c.ctx, name, max(p.from-1, 0)))
	if err != nil {
		return chainPage{}, err
	}
	page := chainPage{Entries: p.entries[max(0, len(p.entries)-limit):], More: p.more, Record: incident.ReportRecord{Entries: p.last.Seq, Head: p.last.Hash, Verified: p.problem == "", Problem: p.problem}}
	if page.Entries == nil {
		page.Entries = []incident.Entry{}
	}
	return page, nil
}

// A pager reads a part of a chain.
type pager struct {
	limit   int
	from    int64 // the number of the entry before the first; 0 is the beginning
	tail    bool  // the last ones are wanted
	entries []incident.Entry
	last    incident.Entry // that is as it was written
	more    bool
	problem string
}

// read reads entries. What is not as it was written ends it, and is not in it.
func (p *pager) read(entries iter.Seq2[incident.Entry, error]) error {
	for e, err := range entries {
		if err != nil {
			return err
		}
		if p.from > 0 && e.Seq <= p.from {
			p.last = e // it is taken as it is: it was verified when it was read
			continue
		}
		if p.problem = broken(e, p.last); p.problem != "" {
			return nil
		}
		if len(p.entries) == p.limit && !p.tail {
			p.more = true
			return nil
		}
		p.last = e
		if p.entries = append(p.entries, e); len(p.entries) > 2*p.limit {
			p.entries = append([]incident.Entry{}, p.entries[len(p.entries)-p.limit:]...)
		}
	}
	return nil
}

// broken says what is wrong with an entry that stands after another one, or nothing.
func broken(e, last incident.Entry) string {
	if !e.Follows(last) {
		return incident.ErrBroken.Error() + " at the entry after " + strconv.FormatInt(last.Seq, 10)
	}
	return ""
}
