package usage

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// judge applies the rules to what was gathered. Users and networks come in the
// order of their names, so that the result does not depend on that of the events.
func (a *analysis) judge() {
	a.out.Users = len(a.users)
	for _, id := range slices.Sorted(maps.Keys(a.users)) {
		p := a.users[id]
		slices.SortFunc(p.judged, func(x, y seen) int { return x.at.Compare(y.at) })
		a.newAddress(id, p)
		a.burst(id, p)
		a.offHoursOf(id, p)
		a.volume(id, p)
	}
	for _, net := range slices.Sorted(maps.Keys(a.networks)) {
		a.shared(net, a.networks[net])
	}
	slices.SortStableFunc(a.out.Findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Rule, y.Rule), x.First.Compare(y.First))
	})
}

func (a *analysis) found(f Finding) { a.out.Findings = append(a.out.Findings, f) }

// called returns what a finding calls a user or a network.
func (a *analysis) called(kind, name string) string {
	if a.rules.ShowPersons {
		return kind + " " + name
	}
	key := kind + "\x00" + name
	if a.numbers[key] == 0 {
		a.counts[kind]++
		a.numbers[key] = a.counts[kind]
	}
	return fmt.Sprintf("%s %d", kind, a.numbers[key])
}

func (a *analysis) newAddress(id string, p *person) {
	if a.rules.NewAddresses < 0 || len(p.networks) == 0 {
		return
	}
	var from []string
	var times []time.Time
	for _, e := range p.judged {
		if !e.login || e.network == "" || p.networks[e.network] {
			continue
		}
		times = append(times, e.at)
		if !slices.Contains(from, e.network) {
			from = append(from, e.network)
		}
	}
	if len(times) < a.rules.NewAddresses || len(times) == 0 {
		return
	}
	names := ""
	for i, net := range from[:min(3, len(from))] {
		if i > 0 {
			names += ", "
		}
		names += a.called("network", net)
	}
	if len(from) > 3 {
		names += fmt.Sprintf(" and %d more", len(from)-3)
	}
	a.found(Finding{
		Rule: RuleNewAddress, Subject: a.called("user", id), Count: len(times), Limit: a.rules.NewAddresses, First: times[0], Last: times[len(times)-1],
		Evidence: fmt.Sprintf("%d logins from %s, where the user was never seen in the baseline (%d networks, %d events)", len(times), names, len(p.networks), p.before),
	})
}

func (a *analysis) burst(id string, p *person) {
	if a.rules.Burst < 0 {
		return
	}
	var logins []time.Time
	for _, e := range p.judged {
		if e.login {
			logins = append(logins, e.at)
		}
	}
	most, at := 0, 0
	for from, to := 0, 0; to < len(logins); to++ {
		for logins[to].Sub(logins[from]) >= a.rules.BurstTime {
			from++
		}
		if n := to - from + 1; n > most {
			most, at = n, from
		}
	}
	if most < a.rules.Burst {
		return
	}
	a.found(Finding{
		Rule: RuleBurst, Subject: a.called("user", id), Count: most, Limit: a.rules.Burst, First: logins[at], Last: logins[at+most-1],
		Evidence: fmt.Sprintf("%d logins within %v", most, a.rules.BurstTime),
	})
}

func (a *analysis) offHoursOf(id string, p *person) {
	if a.rules.OffHours < 0 || len(a.rules.Hours) == 0 || p.before > 0 && p.offHours*10 >= p.before {
		return
	}
	var times []time.Time
	for _, e := range p.judged {
		if a.offHours(e.at) {
			times = append(times, e.at)
		}
	}
	if len(times) < a.rules.OffHours || len(times) == 0 {
		return
	}
	a.found(Finding{
		Rule: RuleOffHours, Subject: a.called("user", id), Count: len(times), Limit: a.rules.OffHours, First: times[0], Last: times[len(times)-1],
		Evidence: fmt.Sprintf("%d of %d events are outside of working hours; in the baseline %d of %d", len(times), len(p.judged), p.offHours, p.before),
	})
}

const day = 24 * time.Hour

func (a *analysis) volume(id string, p *person) {
	if a.rules.Volume < 0 || p.before == 0 || len(p.judged) < max(1, a.rules.VolumeLeast) {
		return
	}
	// The baseline is as long for everybody: it ends where judging begins.
	usual := float64(p.before) / max(1, float64(a.rules.From.Sub(a.first))/float64(day))
	days := max(1, float64(a.rules.To.Sub(a.rules.From))/float64(day))
	now := float64(len(p.judged)) / days
	if now < usual*a.rules.Volume {
		return
	}
	a.found(Finding{
		Rule: RuleVolume, Subject: a.called("user", id), Count: len(p.judged), Limit: int(usual * a.rules.Volume * days), First: p.judged[0].at, Last: p.judged[len(p.judged)-1].at,
		Evidence: fmt.Sprintf("%.0f events a day, %.1f times the %.1f of the baseline", now, now/usual, usual),
	})
}

func (a *analysis) shared(net string, n *place) {
	if a.rules.SharedAddress < 0 || n.before || len(n.users) < max(1, a.rules.SharedAddress) {
		return
	}
	slices.SortFunc(n.judged, time.Time.Compare)
	a.found(Finding{
		Rule: RuleSharedAddress, Subject: a.called("network", net), Count: len(n.users), Limit: a.rules.SharedAddress, First: n.judged[0], Last: n.judged[len(n.judged)-1],
		Evidence: fmt.Sprintf("%d users logged in from one network that the baseline does not have, %d times", len(n.users), len(n.judged)),
	})
}
