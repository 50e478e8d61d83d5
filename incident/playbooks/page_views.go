package playbooks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

const (
	// mostViewers is of how many users page views are read, mostViews how many of each, the
	// newest: they are dear, and the application needs the same limit.
	mostViewers = 5
	mostViews   = 2000
)

// Views is what the page views of users say of a time. They are personal data, and are kept
// as numbers, addresses and paths only.
type Views struct {
	// Users are those whose views were read, Requests how many there were.
	Users    []string `json:"users"`
	Requests int      `json:"requests"`
	// Addresses, Programs and Paths are the most frequent ones: where requests came from,
	// whose token made them, and what they asked for.
	Addresses []Tally `json:"addresses,omitempty"`
	Programs  []Tally `json:"programs,omitempty"`
	Paths     []Tally `json:"paths,omitempty"`
	// Late are the addresses that appear only in the last quarter of the time, LatePaths
	// what was asked for from there.
	Late      []string `json:"late,omitempty"`
	LatePaths []Tally  `json:"late_paths,omitempty"`
	// Cut means that there were more than are counted here, Unread whose views could not be
	// read, and why.
	Cut    bool     `json:"cut,omitempty"`
	Unread []string `json:"unread,omitempty"`
}

// String says it in a line.
func (v Views) String() string {
	text := fmt.Sprintf("%d requests of %d users", v.Requests, len(v.Users))
	if v.Cut {
		text = fmt.Sprintf("the newest %s, and more", text)
	}
	if len(v.Late) > 0 {
		text += "; addresses that were not there before: " + strings.Join(v.Late, ", ")
		var asked []string
		for _, p := range v.LatePaths[:min(len(v.LatePaths), 5)] {
			asked = append(asked, fmt.Sprintf("%s (%d)", p.Name, p.Count))
		}
		text += ", which asked for " + strings.Join(asked, ", ")
	}
	if len(v.Unread) > 0 {
		text += "; not read: " + strings.Join(v.Unread, "; ")
	}
	return text
}

// pageViews is a step that reads the page views of the account that is named, and of those
// who acted from addresses that the audit log had not before: what a token does is in no
// log of logins.
func (e Environment) pageViews(id string) incident.Step {
	return incident.Step{
		ID: id, Title: "Read the page views of who may be concerned", Timeout: 10 * time.Minute, OnFailure: incident.GoOn,
		When: func(*incident.Scope) (bool, string) {
			return e.AuditLog != nil, "this environment cannot read the page views of Canvas"
		},
		Do: incident.Check{Run: func(ctx context.Context, s *incident.Scope) (any, error) {
			t, _ := incident.Result[Traces](s, "traces")
			var users []string
			for _, u := range append([]string{s.Text("account")}, t.Suspects...) {
				if u != "" && !slices.Contains(users, u) && len(users) < mostViewers {
					users = append(users, u)
				}
			}
			return e.views(ctx, users, s.Now.Add(-s.Duration("since")), s.Now)
		}},
	}
}

// views reads the page views of users. Those that cannot be read are named; it fails if none
// can.
func (e Environment) views(ctx context.Context, users []string, from, to time.Time) (Views, error) {
	v := Views{}
	early := to.Add(-to.Sub(from) / 4)
	addresses, programs, paths, known := make(map[string]int), make(map[string]int), make(map[string]int), make(map[string]bool)
	asked, seen := make(map[string]map[string]int), make(map[string]bool) // what, from an address; events
	var last error
	for _, user := range users {
		n := 0
		var failed error
		query := incident.AuditQuery{From: from, To: to, Kinds: []incident.AuditKind{incident.AuditRequest}, Actor: user}
		for event, err := range e.AuditLog.AuditEvents(ctx, query) {
			if failed = err; err != nil {
				break
			}
			if n == mostViews {
				v.Cut = true
				break
			}
			n++
			if event.ID != "" && seen[event.ID] {
				continue // two names of one user: "self" has an id too
			}
			seen[event.ID] = true
			v.Requests++
			address := cut(cmp.Or(event.Address, "unknown"), 80)
			count(addresses, address)
			count(programs, event.Source)
			count(paths, event.Object)
			known[address] = known[address] || event.Time.Before(early)
			if asked[address] == nil {
				asked[address] = make(map[string]int)
			}
			count(asked[address], event.Object)
		}
		if failed != nil {
			last = failed
			v.Unread = append(v.Unread, cut("user "+user+": "+failed.Error(), 200))
			continue
		}
		v.Users = append(v.Users, user)
	}
	if len(v.Users) == 0 && last != nil {
		return v, last
	}
	v.Addresses, v.Programs, v.Paths = tallies(addresses), tallies(programs), tallies(paths)
	if !v.Cut { // of what was cut nobody knows what was there before
		v.Late = lateOf(addresses, known)
	}
	late := make(map[string]int)
	for _, address := range v.Late {
		for path, n := range asked[address] {
			late[path] += n
		}
	}
	v.LatePaths = tallies(late)
	return v, nil
}

// lateOf returns the addresses that were not known before, the most frequent first, also those
// that are none of the most frequent of all.
func lateOf(addresses map[string]int, known map[string]bool) (late []string) {
	fresh := make(map[string]int)
	for address, n := range addresses {
		if !known[address] {
			fresh[address] = n
		}
	}
	for _, a := range tallies(fresh) {
		late = append(late, a.Name)
	}
	return late
}
