package playbooks

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// A SecurityDesk is what the playbooks about security need of a host besides the
// environment.
type SecurityDesk struct {
	// Notify tells the contact, Defaults.Security, at once: what it is told is no draft.
	// Required.
	Notify func(ctx context.Context, contact string, m incident.Message) error
	// Preserve takes evidence with incident.Evidence.Collect: it adds the sources that only
	// the host has, such as the timeline, writes what is sealed where whoever broke in
	// cannot reach it, and returns the receipt. It may be called again after a failure,
	// which takes another bundle. Required by a suspected breach.
	Preserve func(ctx context.Context, e incident.Evidence) (incident.EvidenceReceipt, error)
	// Deadline sets a deadline of an incident: [incident.Manager.SetDeadline] is what does it,
	// once, however often it is called, and never later than it was. It returns the deadline as
	// it stands, and the incident that has it. Nil means that this host keeps none: people are
	// told the day then, and that no clock runs.
	Deadline func(ctx context.Context, id string, o incident.Obligation) (incident.Incident, incident.Deadline, error)
	// Unusual looks for unusual use of Canvas since a time, compared with the time before
	// it, as Analyze of package canvas/usage does of its audit log, and returns what it
	// found, a line each, with persons numbered and not named. It changes nothing. Nil
	// means that nobody looks for it.
	Unusual func(ctx context.Context, since time.Time) (found []string, err error)
}

// needs are what all playbooks about security cannot do without.
func (d SecurityDesk) needs(e Environment) []incident.Need {
	return []incident.Need{
		{Name: "Defaults.Security (the address of who answers for security)", Met: e.Defaults.Security != ""},
		incident.Needs("SecurityDesk.Notify", d.Notify),
	}
}

// notify is a notice for those who answer for security.
func (d SecurityDesk) notify(id string, e Environment, message func(s *incident.Scope) incident.Message) incident.Step {
	return incident.Step{
		ID: id, Title: "Tell those who answer for security", Attempts: 5, Backoff: 5 * time.Second, OnFailure: incident.GoOn,
		Do: incident.Notice{Message: message, Send: func(ctx context.Context, _ *incident.Scope, m incident.Message) error {
			return d.Notify(ctx, e.Defaults.Security, m)
		}},
	}
}

// Preserved is what is kept of a bundle of evidence: what proves that it is the one.
type Preserved struct {
	// From and To are the span of it.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// SHA256 is the hash of the bundle, SealedSHA256 that of what it became when it was
	// sealed; empty if it was not. Bytes is its size.
	SHA256       string `json:"sha256"`
	SealedSHA256 string `json:"sealed_sha256,omitempty"`
	Bytes        int64  `json:"bytes"`
	// Missing is what could not be had, a line each.
	Missing []string `json:"missing,omitempty"`
}

// String says it in a line.
func (p Preserved) String() string {
	text := fmt.Sprintf("%d bytes, sha256 %s", p.Bytes, cmp.Or(p.SealedSHA256, p.SHA256))
	if len(p.Missing) > 0 {
		text += fmt.Sprintf("; %d sources are missing in it, or a part of them: %s", len(p.Missing), strings.Join(p.Missing, "; "))
	}
	return text
}

// preserve is an action that takes evidence before anything is changed: of the time that
// the parameter "since" says, up to now. Its receipt is on the timeline.
func (d SecurityDesk) preserve(id string, e Environment) incident.Step {
	return incident.Step{
		ID: id, Title: "Preserve evidence before anything is changed", Needs: []incident.Need{incident.Needs("SecurityDesk.Preserve", d.Preserve)},
		Timeout: time.Hour, Attempts: 2,
		Do: incident.Action{
			Repeat: incident.Idempotent, // a second bundle harms nothing
			Run: func(ctx context.Context, s *incident.Scope) (any, error) {
				evidence := e.evidence(s)
				receipt, err := d.Preserve(ctx, evidence)
				if err != nil {
					return nil, err
				}
				kept := Preserved{From: evidence.From, To: evidence.To, SHA256: receipt.SHA256, SealedSHA256: receipt.SealedSHA256, Bytes: receipt.Bytes}
				for _, m := range receipt.Manifest.Missing() {
					kept.Missing = append(kept.Missing, cut(m, 200))
				}
				return kept, nil
			},
			Preview: func(_ context.Context, s *incident.Scope) (incident.Effect, error) {
				var names []string
				for _, source := range e.evidence(s).Sources {
					names = append(names, source.Name)
				}
				return incident.Effect{Call: fmt.Sprintf("take evidence of the last %s: %s", s.Text("since"), strings.Join(names, ", ")), Changes: []string{"there is one sealed bundle more"}}, nil
			},
		},
	}
}

// evidence says what is taken of what this environment has.
func (e Environment) evidence(s *incident.Scope) incident.Evidence {
	all := incident.Evidence{Incident: cmp.Or(s.Incident, s.Run), By: cmp.Or(by(s), "runbook"), Reason: s.Playbook, From: s.Now.Add(-s.Duration("since")), To: s.Now}
	if e.Logs != nil { // forgets first
		all.Sources = append(all.Sources,
			incident.LogEvidence("application-log", e.Logs, incident.LogQuery{}),
			incident.LogEvidence("requests", e.Logs, incident.LogQuery{Kind: incident.LogRequest}))
	}
	if e.AuditLog != nil {
		all.Sources = append(all.Sources, incident.AuditEvidence("canvas-audit", e.AuditLog, incident.AuditQuery{}))
	}
	if e.Deployer != nil {
		all.Sources = append(all.Sources, incident.DeploymentEvidence("deployments", e.Deployer, 50))
	}
	if e.Metrics != nil {
		all.Sources = append(all.Sources, incident.MetricEvidence("measurements", e.Metrics, incident.MetricRequests, incident.MetricErrors, incident.MetricNetworkOut))
	}
	return all
}

// unusual is a step that looks for unusual use of Canvas.
func (d SecurityDesk) unusual(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Look for unusual use of Canvas", Timeout: 10 * time.Minute, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return d.Unusual != nil, "this host has nothing that looks for unusual use of Canvas"
		},
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			found, err := d.Unusual(ctx, s.Now.Add(-s.Duration("since")))
			if err != nil {
				return nil, err
			}
			return reportOf(found), nil
		}},
	}
}

// sinceWhen is the parameter that says how far back to look.
func sinceWhen() incident.Parameter {
	return incident.Parameter{Name: "since", About: "How far back to look", Type: incident.Duration, Default: "72h", Min: "1h", Max: "2160h"}
}

// endSessions is an action that ends all sessions of the application.
func (e Environment) endSessions(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "End all sessions", Needs: []incident.Need{incident.Needs("Sessions", e.Sessions)}, Attempts: 3,
		Replaces: []string{`curl -X POST "https://qa-automation.acu.edu.au/admin/force-logout-all"`},
		Do: incident.Action{
			Repeat: incident.Idempotent,
			Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
				n, err := e.Sessions.EndSessions(ctx)
				return map[string]int{"ended": n}, err
			},
			Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
				return incident.Effect{Call: "end all sessions of " + e.name(), Changes: []string{"everybody has to sign in again"}, Destroys: []string{"what users have entered and not saved"}}, nil
			},
		},
	}
}

// A Tally is how often something was there.
type Tally struct {
	// Name is what, Count how often.
	Name  string `json:"name"`
	Count int    `json:"count"`
}

// Traces is what the audit log of Canvas says of a time. Addresses and ids are personal
// data: they are in the record of the run, since without them it tells nothing.
type Traces struct {
	// From and To are the time, Events how many there were in it.
	From   time.Time `json:"from"`
	To     time.Time `json:"to"`
	Events int       `json:"events"`
	// Actions, Actors and Addresses are the most frequent ones.
	Actions   []Tally `json:"actions,omitempty"`
	Actors    []Tally `json:"actors,omitempty"`
	Addresses []Tally `json:"addresses,omitempty"`
	// Late are the addresses that appear only in the last quarter of the time, Suspects who
	// acted from them.
	Late     []string `json:"late,omitempty"`
	Suspects []string `json:"suspects,omitempty"`
	// Cut means that there were more than are counted here.
	Cut bool `json:"cut,omitempty"`
}

// String says it in a line.
func (t Traces) String() string {
	if t.Events == 0 {
		return "nothing is noted there"
	}
	text := fmt.Sprintf("%d events", t.Events)
	if len(t.Actions) > 0 {
		text += fmt.Sprintf(", most often %s (%d)", t.Actions[0].Name, t.Actions[0].Count)
	}
	if len(t.Late) > 0 {
		text += "; addresses that were not there before: " + strings.Join(t.Late, ", ")
	}
	return text
}

// mostEvents is how many events are counted: logs are long.
const mostEvents = 20_000

// traces is a step that reads the audit log of Canvas. The addresses in it come from the
// views of pages.
func (e Environment) traces(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Read the audit log of Canvas, with the addresses of its page views", Timeout: 10 * time.Minute, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.AuditLog != nil, "this environment cannot read the audit log of Canvas"
		},
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			t := Traces{From: s.Now.Add(-s.Duration("since")), To: s.Now}
			early := t.To.Add(-s.Duration("since") / 4)
			actions, actors, addresses, known := make(map[string]int), make(map[string]int), make(map[string]int), make(map[string]bool)
			from := make(map[string][]string) // address: who acted from it
			for event, err := range e.AuditLog.AuditEvents(ctx, incident.AuditQuery{From: t.From, To: t.To}) {
				if err != nil {
					return nil, err
				}
				if t.Cut = t.Events == mostEvents; t.Cut {
					break
				}
				t.Events++
				count(actions, string(event.Kind)+" "+event.Action)
				count(actors, event.Actor)
				count(addresses, event.Address)
				address := cut(event.Address, 80)
				known[address] = known[address] || event.Time.Before(early)
				if event.Actor != "" && !slices.Contains(from[address], event.Actor) {
					from[address] = append(from[address], event.Actor)
				}
			}
			t.Actions, t.Actors, t.Addresses = tallies(actions), tallies(actors), tallies(addresses)
			if !t.Cut { // of what was cut nobody knows what was there before
				t.Late = lateOf(addresses, known)
			}
			for _, address := range t.Late {
				t.Suspects = append(t.Suspects, from[address]...)
			}
			slices.Sort(t.Suspects)
			t.Suspects = slices.Compact(t.Suspects)
			return t, nil
		}},
	}
}

func count(all map[string]int, name string) {
	if name != "" {
		all[cut(name, 80)]++
	}
}

// tallies returns the most frequent, by name where they are equal.
func tallies(all map[string]int) (list []Tally) {
	for name, n := range all {
		list = append(list, Tally{name, n})
	}
	slices.SortFunc(list, func(a, b Tally) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Name, b.Name))
	})
	return list[:min(len(list), 20)]
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
