package httpprobe

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// rules are the assertions and fields of a probe, ready to use.
type rules struct {
	tree   *tree
	assert []assertion
	fields []field
}

type assertion struct {
	at   *node
	want map[string]health.Status
	list string // what is wanted, for messages
}

type field struct {
	Field
	at, of  *node // of is nil without Of
	numeric bool  // text will not do
}

func (r rules) empty() bool { return len(r.assert) == 0 && len(r.fields) == 0 }

// compile reads the paths of cfg and adds what is wrong with its assertions and
// fields to p.
func compile(cfg Config, p *netcheck.Problems) rules {
	r := rules{tree: newTree()}
	for i, a := range cfg.Assert {
		field := fmt.Sprintf("Assert[%d]", i)
		steps, err := parsePath(a.Path)
		p.In(field, err)
		if len(a.Want) == 0 {
			p.Add("%s: Want is required", field)
		}
		for _, text := range slices.Sorted(maps.Keys(a.Want)) {
			if _, err := a.Want[text].MarshalText(); err != nil {
				p.Add("%s: Want %q: %v is not a status", field, text, a.Want[text])
			}
		}
		r.assert = append(r.assert, assertion{at: r.tree.add(steps), want: maps.Clone(a.Want), list: listWant(a.Want)})
	}
	names := slices.Clone(ownNames[:])
	for i, f := range cfg.Extract {
		compiled := r.compileField(f, fmt.Sprintf("Extract[%d]", i), p)
		if slices.Contains(names, compiled.Name) {
			p.Add("Extract[%d]: Name %q is taken", i, compiled.Name)
		}
		names = append(names, compiled.Name)
		r.fields = append(r.fields, compiled)
	}
	return r
}

func (r rules) compileField(f Field, name string, p *netcheck.Problems) field {
	steps, err := parsePath(f.Path)
	p.In(name, err)
	c := field{Field: f, at: r.tree.add(steps)}
	if c.Name = cmp.Or(f.Name, lastKey(steps)); c.Name == "" && err == nil {
		p.Add("%s: Name is required, since %s has no key", name, f.Path)
	}
	c.numeric = f.Unit != "" || f.Scale != 0 || f.Of != "" || f.Limit.Warn != nil || f.Limit.Fail != nil
	if math.IsNaN(f.Scale) || math.IsInf(f.Scale, 0) {
		p.Add("%s: Scale must be a finite number", name)
	}
	p.In(name, f.Limit.Validate())
	if f.Of != "" {
		steps, err := parsePath(f.Of)
		p.In(name+": Of", err)
		c.of = r.tree.add(steps)
		if f.Scale != 0 || f.Unit != "" && f.Unit != health.Percent {
			p.Add("%s: with Of, the measurement is in percent: Scale and Unit must not be set", name)
		}
		c.Unit = health.Percent
	}
	c.Scale = cmp.Or(f.Scale, 1)
	return c
}

// listWant lists the values that are wanted: those that mean Healthy, or if
// there are none, all.
func listWant(want map[string]health.Status) string {
	var good, all []string
	for _, text := range slices.Sorted(maps.Keys(want)) {
		all = append(all, netcheck.Quote(text))
		if want[text] == health.Healthy {
			good = append(good, netcheck.Quote(text))
		}
	}
	if len(good) == 0 {
		good = all
	}
	return strings.Join(good, " or ")
}

// A strictness is how much of an answer is judged by its body.
type strictness uint8

const (
	record strictness = iota // the body is only measured
	known                    // what is there is judged
	all                      // what is missing is judged too
)

// apply returns res with what the document says about it.
func (r rules) apply(res health.Result, d document, s strictness) health.Result {
	if s != record {
		for _, a := range r.assert {
			res = a.apply(res, d, s)
		}
	}
	for _, f := range r.fields {
		res = f.apply(res, d, s)
	}
	return res
}

func (a assertion) apply(r health.Result, d document, s strictness) health.Result {
	v := d.at(a.at)
	text, shown := v.text, ""
	switch v.kind {
	case absent, ambiguous:
		if s != all && v.kind == absent {
			return r
		}
		return r.Worsen(health.Unhealthy, missing(v.kind), fmt.Sprintf("%s, want %s", d.why(a.at), a.list))
	case list, object:
		return r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("%v is %v, want %s", a.at, v.kind, a.list))
	case null:
		text, shown = "null", "null"
	case boolean, number:
		shown = netcheck.Clean(text)
	default:
		shown = netcheck.Quote(text)
	}
	status, ok := a.want[text]
	if !ok {
		return r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("%v is %s, want %s", a.at, shown, a.list))
	}
	cause, message := health.CauseAssertion, fmt.Sprintf("%v is %s", a.at, shown)
	if status == health.Maintenance {
		cause = health.CauseMaintenance
	}
	if text != status.String() {
		message += ", which means " + status.String()
	}
	return r.Worsen(status, cause, message)
}

// missing returns the cause for a value that is not there, or there twice.
func missing(k kind) health.Cause {
	if k == ambiguous {
		return health.CauseAssertion
	}
	return health.CauseMissing
}

func (f field) apply(r health.Result, d document, s strictness) health.Result {
	m, problem, cause := f.measure(d)
	switch {
	case problem == "" && s == record:
		return netcheck.With(r, m)
	case problem == "":
		return f.Limit.Apply(r, m)
	case cause == health.CauseMissing && (f.Optional || s != all), s == record:
		return r
	}
	return r.Worsen(health.Unhealthy, cause, problem)
}

// measure returns the measurement, or why there is none.
func (f field) measure(d document) (m health.Measurement, problem string, cause health.Cause) {
	m = health.Measurement{Name: f.Name, Unit: f.Unit}
	v := d.at(f.at)
	switch v.kind {
	case absent, null, ambiguous:
		return m, d.why(f.at), missing(v.kind)
	case text, boolean:
		if f.numeric {
			break
		}
		if m.Text = netcheck.Clean(v.text); m.Text == "" {
			return m, fmt.Sprintf("%v is empty", f.at), health.CauseMissing
		}
		return m, "", ""
	}
	n, problem, cause := f.number(d, f.at)
	if problem != "" {
		return m, problem, cause
	}
	m.Value = n * f.Scale
	if f.of != nil {
		of, problem, cause := f.number(d, f.of)
		switch {
		case problem != "":
			return m, problem, cause
		case of == 0:
			return m, fmt.Sprintf("%v is 0, so that %v has no share of it", f.of, f.at), health.CauseMissing
		}
		m.Value = n / of * 100
	}
	if math.IsInf(m.Value, 0) {
		return m, fmt.Sprintf("%v is too large a number", f.at), health.CauseAssertion
	}
	return m, "", ""
}

// number returns the number at a node, or why there is none.
func (f field) number(d document, at *node) (n float64, problem string, cause health.Cause) {
	v := d.at(at)
	switch v.kind {
	case absent, null, ambiguous:
		return 0, d.why(at), missing(v.kind)
	case number:
	default:
		want := "a number"
		if !f.numeric {
			want = "a number or text"
		}
		return 0, fmt.Sprintf("%v is %v, want %s", at, v.kind, want), health.CauseAssertion
	}
	n, err := strconv.ParseFloat(v.text, 64)
	if err != nil {
		return 0, fmt.Sprintf("%v is too large a number: %s", at, netcheck.Clean(v.text)), health.CauseAssertion
	}
	return n, "", ""
}
