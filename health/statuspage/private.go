package statuspage

import (
	"fmt"
	"html/template"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A privateRenderer renders the model and what is behind it.
type privateRenderer struct {
	t   *template.Template
	cfg Config
}

// look takes from a report what only operators may see.
func (r privateRenderer) look(_ *Page, report *health.Report, m *model, problems []string) view {
	v := privateView{privateRenderer: r, m: m, checks: make(map[string]checkDoc, len(report.Checks)), Problems: problems, Self: selfFacts(r.cfg)}
	named := make(map[string]bool)
	for _, c := range r.cfg.Components {
		for _, name := range c.Checks {
			named[name] = true
		}
	}
	for i := range report.Checks {
		s := &report.Checks[i]
		d := checkOf(s, r.cfg.Location)
		v.checks[s.Name] = d
		if !named[s.Name] {
			v.Others = append(v.Others, d)
		}
	}
	return v
}

// A privateView is a model with details.
type privateView struct {
	privateRenderer
	m        *model
	checks   map[string]checkDoc // by name
	Others   []checkDoc          // those of no component
	Problems []string
	Self     []fact
}

// A checkDoc is a check as operators see it.
type checkDoc struct {
	Name, State, Cause, Message, BlockedBy string
	Fails                                  bool
	Since                                  time.Time
	Facts                                  []fact
}

type fact struct{ Name, Text string }

// A privateComponent is a component with its checks.
type privateComponent struct {
	component
	Checks []checkDoc
}

// A privateFront is the page with what concerns operators.
type privateFront struct {
	frontDoc[privateComponent]
	Others   []checkDoc
	Problems []string
	Self     []fact
}

func (v privateView) same(other view) bool {
	o, ok := other.(privateView)
	return ok && same(v.m, o.m) && reflect.DeepEqual(v.checks, o.checks) && slices.Equal(v.Problems, o.Problems) && slices.Equal(v.Self, o.Self)
}

// show returns a component with its checks.
func (v privateView) show(c component) privateComponent {
	out := privateComponent{component: c}
	i := slices.IndexFunc(v.cfg.Components, func(o Component) bool { return o.ID == c.ID })
	for _, name := range v.cfg.Components[i].Checks {
		d, ok := v.checks[name]
		if !ok {
			d = checkDoc{Name: line(name), State: "there is no such check", Fails: true}
		}
		out.Checks = append(out.Checks, d)
	}
	return out
}

func (v privateView) front() ([]byte, error) {
	return execute(v.t, "front", privateFront{front(v.cfg, v.m, v.show), v.Others, v.Problems, v.Self})
}

func (v privateView) component(id string) ([]byte, error) {
	doc, err := oneComponent(v.cfg, v.m, id, v.show)
	if err != nil {
		return nil, err
	}
	return execute(v.t, "component", doc)
}

func (v privateView) history() ([]byte, error) {
	return execute(v.t, "history", allEvents(v.cfg, v.m))
}

func (v privateView) event(id string) ([]byte, error) {
	doc, err := oneEvent(v.cfg, v.m, id)
	if err != nil {
		return nil, err
	}
	return execute(v.t, "one", doc)
}

// checkOf returns everything that is known of a check.
func checkOf(s *health.State, zone *time.Location) checkDoc {
	d := checkDoc{
		Name: line(s.Name), State: s.Status.String(), Cause: line(string(s.Last.Cause)), Message: clean(s.Last.Message), BlockedBy: line(s.BlockedBy),
		Fails: s.Status != health.Healthy,
	}
	if !s.Since.IsZero() {
		d.Since = s.Since.In(zone)
	}
	add := func(name, text string) {
		if text != "" {
			d.Facts = append(d.Facts, fact{name, text})
		}
	}
	when := func(name string, t time.Time) {
		if !t.IsZero() {
			add(name, t.In(zone).Format("2 Jan 2006, 15:04:05 MST"))
		}
	}
	add("State", d.State)
	when("Since", s.Since)
	add("Cause", d.Cause)
	add("Message", d.Message)
	add("Because of", d.BlockedBy)
	if s.Last.Status != s.Status && !s.Last.Time.IsZero() {
		add("Latest result", s.Last.Status.String())
	}
	when("Checked", s.Last.Time)
	add("Answered in", answered(s.Last.Duration))
	add("Every", s.Interval.String())
	if s.Failures > 0 {
		add("Failures in a row", fmt.Sprint(s.Failures))
	}
	when("Maintenance until", s.Until)
	if s.Optional {
		add("Optional", "yes")
	}
	if s.Borrowed {
		add("Checked by", "another replica")
	}
	add("Depends on", line(strings.Join(s.DependsOn, ", ")))
	for _, m := range s.Last.Measurements {
		add(line(m.Name), line(strings.TrimPrefix(m.String(), m.Name+" ")))
	}
	for _, key := range slices.Sorted(maps.Keys(s.Labels)) {
		add(line(key), line(s.Labels[key]))
	}
	return d
}

// selfFacts says how the Monitor is doing.
func selfFacts(cfg Config) []fact {
	self := cfg.Monitor.Self()
	facts := []fact{
		{"Checks", fmt.Sprintf("%d, %d of them hung", self.Checks, self.Hung)},
		{"Late by", self.Lag.Round(time.Second).String()},
	}
	if self.HistoryError != nil {
		facts = append(facts, fact{"History", clean(self.HistoryError.Error())})
	}
	if self.LeaseError != nil {
		facts = append(facts, fact{"Leases", clean(self.LeaseError.Error())})
	}
	if self.HeartbeatError != nil {
		facts = append(facts, fact{"Heartbeat", clean(self.HeartbeatError.Error())})
	}
	if self.SamplesLost > 0 {
		facts = append(facts, fact{"Samples lost", fmt.Sprint(self.SamplesLost)})
	}
	if self.EventsLost > 0 {
		facts = append(facts, fact{"Events lost", fmt.Sprint(self.EventsLost)})
	}
	return facts
}
