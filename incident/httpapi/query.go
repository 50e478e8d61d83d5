package httpapi

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A query reads the parameters of a URL, and collects what is wrong with them.
type query struct {
	values url.Values
	errs   []FieldProblem
}

// query returns the parameters of the URL, which are those that the operation has.
func (c *call) query() *query {
	q := &query{}
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		q.fail("", "the query cannot be read")
		return q
	}
	q.values = values
	var known []string
	for _, p := range c.op.parameters {
		if p.in == "query" {
			known = append(known, p.name)
		}
	}
	for name, all := range values {
		switch {
		case !slices.Contains(known, name):
			q.fail(short(name), "there is no such parameter; there are %s", strings.Join(known, ", "))
		case len(all) > 1:
			q.fail(name, "it is there more than once")
		}
	}
	slices.SortFunc(q.errs, func(a, b FieldProblem) int { return strings.Compare(a.Parameter, b.Parameter) })
	return q
}

func (q *query) fail(name, format string, args ...any) {
	if len(q.errs) < maxNotes {
		q.errs = append(q.errs, FieldProblem{Parameter: name, Detail: fmt.Sprintf(format, args...)})
	}
}

// text returns a parameter of at most 200 characters.
func (q *query) text(name string) string {
	value := q.values.Get(name)
	if len([]rune(value)) > 200 {
		q.fail(name, "has at most 200 characters")
	}
	return value
}

// one returns a parameter that has one of a few values, or is left out.
func (q *query) one(name string, all []string) string {
	value := q.values.Get(name)
	if value != "" && !slices.Contains(all, value) {
		q.fail(name, "must be one of %s", strings.Join(all, ", "))
	}
	return value
}

// yes returns a parameter that is true or false.
func (q *query) yes(name string) bool { return q.one(name, []string{"true", "false"}) == "true" }

// number returns a parameter that is a whole number.
func (q *query) number(name string, otherwise, least, most int64) int64 {
	if !q.values.Has(name) {
		return otherwise
	}
	n, err := strconv.ParseInt(q.values.Get(name), 10, 64)
	if err != nil || n < least || n > most {
		q.fail(name, "must be a whole number from %d to %d", least, most)
		return otherwise
	}
	return n
}

// time returns a parameter that is a time; zero if it is left out.
func (q *query) time(name string) time.Time {
	value := q.values.Get(name)
	if value == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, value)
	if err != nil {
		q.fail(name, "must be a time such as 2026-03-01T09:30:00Z")
	}
	return at
}

// err returns everything that is wrong, or nil.
func (q *query) err() error {
	if len(q.errs) == 0 {
		return nil
	}
	return invalid(q.errs...)
}

// The parameters that several operations have.
var (
	limitParameter = parameter{
		name: "limit", in: "query", about: "How many at most.",
		schema: schema{Type: typeInteger, Minimum: new(int64(1)), Maximum: new(int64(1000)), Default: 100},
	}
	sinceParameter = parameter{name: "since", in: "query", about: "The earliest time.", schema: schema{Type: typeString, Format: formatTime}}
)

func textParameter(name, about string) parameter {
	return parameter{name: name, in: "query", about: about, schema: schema{Type: typeString, MaxLength: 200}}
}
