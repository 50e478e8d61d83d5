package usage

import (
	"iter"
	"net/netip"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/incident"
)

// An Event is what [Analyze] looks at: that somebody did something. It is
// personal data.
type Event struct {
	// Time is when it was.
	Time time.Time
	// User is who it was, by Canvas's id; empty means that it is not known, and
	// only rules about addresses apply.
	User string
	// Action is what was done: "login", "request", or the word of an audit log.
	Action string
	// Address is where it came from; empty means that it is not known.
	Address string
}

// FromAudit makes events of those of an audit log. Logouts are left out.
func FromAudit(events iter.Seq2[incident.AuditEvent, error]) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for e, err := range events {
			if err != nil {
				yield(Event{}, err)
				return
			}
			if e.Action == "logout" {
				continue
			}
			if !yield(Event{Time: e.Time, User: e.Actor, Action: e.Action, Address: e.Address}, nil) {
				return
			}
		}
	}
}

// FromPageViews makes events of page views. What somebody did while acting as
// another user is counted as theirs.
func FromPageViews(views iter.Seq2[canvas.PageView, error]) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for v, err := range views {
			if err != nil {
				yield(Event{}, err)
				return
			}
			at, ok := v.CreatedAt.Get()
			if !ok {
				continue
			}
			e := Event{Time: at.Time, User: actor(v.Links.RealUser.Or(v.Links.User)), Action: "request", Address: v.RemoteIP.Or("")}
			if !yield(e, nil) {
				return
			}
		}
	}
}

// network returns the network of an address, in which a user moves about without
// being somewhere else: 24 bits of an IPv4 address, 64 of an IPv6 one. What is no
// address stays as it is.
func network(address string) string {
	a, err := netip.ParseAddr(strings.TrimSpace(address))
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return address
	}
	return p.String()
}
