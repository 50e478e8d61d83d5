package usage

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.acu.edu.au/runbook/health"
)

// Rules say what is unusual. The zero value of each limit means the default that
// is stated; a negative one turns the rule off.
type Rules struct {
	// From is where the time begins that is judged. What is before is the baseline,
	// with which it is compared: take a month of it. Required.
	From time.Time
	// To is the end of the time that is judged. Zero means now.
	To time.Time
	// NewAddresses is how many logins from networks in which a user was never seen
	// in the baseline are a finding. A user without a baseline has none. Zero
	// means 1. (IPv4 networks of 24 bits, IPv6 networks of 64.)
	NewAddresses int
	// SharedAddress is how many users who log in from one network that the
	// baseline does not have are a finding: somebody tries stolen passwords. Zero
	// means 10.
	SharedAddress int
	// Burst is how many logins of one user within BurstTime are a finding. Zero
	// means 20, in 10 minutes.
	Burst     int
	BurstTime time.Duration
	// Hours are the working hours of the school. Without them there is no rule for
	// off-hours.
	Hours []health.Window
	// OffHours is how many events of one user outside of Hours are a finding,
	// unless the user works then in the baseline too: 10 % of it or more. Zero
	// means 10.
	OffHours int
	// Volume is how many times as many events a day as in the baseline are a
	// finding, if there are VolumeLeast at least. Zero means 5 times, and 100.
	Volume      float64
	VolumeLeast int
	// ShowPersons puts the ids of users and the addresses into the findings.
	// Otherwise they are numbered, in the order in which they are found.
	ShowPersons bool
	// MaxEvents bounds what is kept in memory, about 50 bytes each. Zero means
	// 2,000,000.
	MaxEvents int
}

// The names of the rules.
const (
	RuleNewAddress    = "new_address"
	RuleSharedAddress = "shared_address"
	RuleBurst         = "burst"
	RuleOffHours      = "off_hours"
	RuleVolume        = "volume"
)

// A Finding is something unusual.
type Finding struct {
	// Rule is the rule that was met.
	Rule string `json:"rule"`
	// Subject is whom or what it is about: "user 1", "network 2".
	Subject string `json:"subject"`
	// Count is how many events met the rule, Limit from how many on it is a
	// finding.
	Count int `json:"count"`
	Limit int `json:"limit"`
	// First and Last bound these events.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Evidence says what was seen and with what it was compared.
	Evidence string `json:"evidence"`
}

// String returns the finding for people, in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s (%s to %s)", f.Rule, f.Subject, f.Evidence, f.First.UTC().Format("2006-01-02 15:04"), f.Last.UTC().Format("2006-01-02 15:04 MST"))
}

// Findings is the result of an analysis.
type Findings struct {
	// Findings are what was found, in the order of rule and then of time.
	Findings []Finding `json:"findings"`
	// Judged and Baseline count the events, Users the persons in them.
	Judged   int `json:"judged"`
	Baseline int `json:"baseline"`
	Users    int `json:"users"`
	// Truncated says that MaxEvents was reached: the rest was not looked at.
	Truncated bool `json:"truncated"`
}

// Validate returns everything that is wrong with the rules, or nil.
func (r Rules) Validate() error {
	var problems []error
	if r.From.IsZero() {
		problems = append(problems, errors.New("usage: rules: From is required"))
	}
	if !r.To.IsZero() && !r.From.Before(r.To) {
		problems = append(problems, errors.New("usage: rules: From must be before To"))
	}
	if r.BurstTime < 0 {
		problems = append(problems, errors.New("usage: rules: BurstTime must not be negative"))
	}
	for _, w := range r.Hours {
		if err := w.Validate(); err != nil {
			problems = append(problems, fmt.Errorf("usage: rules: %w", err))
		}
	}
	return errors.Join(problems...)
}

func (r Rules) withDefaults() Rules {
	set := func(n *int, value int) {
		if *n == 0 {
			*n = value
		}
	}
	set(&r.NewAddresses, 1)
	set(&r.SharedAddress, 10)
	set(&r.Burst, 20)
	set(&r.OffHours, 10)
	set(&r.VolumeLeast, 100)
	set(&r.MaxEvents, 2_000_000)
	if r.BurstTime == 0 {
		r.BurstTime = 10 * time.Minute
	}
	if r.Volume == 0 {
		r.Volume = 5
	}
	if r.To.IsZero() {
		r.To = time.Now()
	}
	return r
}

// Analyze reads the events, in any order, and applies the rules. The error is that
// of a sequence, beside what was found in the events before it.
func Analyze(rules Rules, events ...iter.Seq2[Event, error]) (Findings, error) {
	if err := rules.Validate(); err != nil {
		return Findings{}, err
	}
	a := newAnalysis(rules.withDefaults())
	var failed []error
reading:
	for _, seq := range events {
		for e, err := range seq {
			if err != nil {
				failed = append(failed, err)
				break
			}
			if a.kept >= a.rules.MaxEvents {
				a.out.Truncated = true
				break reading
			}
			a.add(e)
		}
	}
	a.judge()
	return a.out, errors.Join(failed...)
}

// An analysis gathers what the rules need.
type analysis struct {
	rules    Rules
	out      Findings
	kept     int
	first    time.Time // of the baseline
	users    map[string]*person
	networks map[string]*place
	numbers  map[string]int
	counts   map[string]int
}

// A person is what is known of a user.
type person struct {
	networks map[string]bool // of the baseline
	before   int             // events in the baseline
	offHours int             // of them outside of hours
	judged   []seen
}

// A place is what is known of a network.
type place struct {
	before bool // it is in the baseline
	users  map[string]bool
	judged []time.Time
}

// seen is an event that is judged.
type seen struct {
	at      time.Time
	network string
	login   bool
}

func newAnalysis(r Rules) *analysis {
	return &analysis{rules: r, users: map[string]*person{}, networks: map[string]*place{}, numbers: map[string]int{}, counts: map[string]int{}, out: Findings{Findings: []Finding{}}}
}

func (a *analysis) add(e Event) {
	if !e.Time.Before(a.rules.To) {
		return
	}
	a.kept++
	before := e.Time.Before(a.rules.From)
	net := ""
	if e.Address != "" {
		net = network(e.Address)
	}
	login := e.Action == "login"
	if before {
		a.out.Baseline++
		if a.first.IsZero() || e.Time.Before(a.first) {
			a.first = e.Time
		}
	} else {
		a.out.Judged++
	}
	if net != "" && (login || before) {
		a.addPlace(net, e, before)
	}
	if e.User == "" {
		return
	}
	p := a.users[e.User]
	if p == nil {
		p = &person{networks: map[string]bool{}}
		a.users[e.User] = p
	}
	if !before {
		p.judged = append(p.judged, seen{e.Time, net, login})
		return
	}
	p.before++
	if net != "" {
		p.networks[net] = true
	}
	if a.offHours(e.Time) {
		p.offHours++
	}
}

func (a *analysis) addPlace(net string, e Event, before bool) {
	n := a.networks[net]
	if n == nil {
		n = &place{users: map[string]bool{}}
		a.networks[net] = n
	}
	if before {
		n.before = true
		return
	}
	if e.User != "" {
		n.users[e.User] = true
	}
	n.judged = append(n.judged, e.Time)
}

func (a *analysis) offHours(t time.Time) bool {
	return len(a.rules.Hours) > 0 && !slices.ContainsFunc(a.rules.Hours, func(w health.Window) bool { return w.Contains(t) })
}
