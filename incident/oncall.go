package incident

import (
	"context"
	"time"
)

// OnCall tells who is to be called when something is wrong: a rota, or a service in which
// people plan their shifts. [Rota] is one.
type OnCall interface {
	// OnCall returns who is on call for a team at a time, in the order in which they are
	// to be named. It is asked when a level of an escalation is reached, and not before,
	// with the time of that moment.
	//
	// That nobody is on call is no error: the list is empty. The error is ErrNotFound if
	// there is no such team. Any other error means that it is not known who is on call.
	// It may be called concurrently, returns soon after ctx ends, and does not keep what
	// it returned: the caller may change it.
	OnCall(ctx context.Context, team string, at time.Time) ([]Person, error)
}

// A Person is somebody who can be called.
type Person struct {
	// Name is who. Required.
	Name string
	// Contacts are the names of the channels through which they are told, all of them at
	// the same time: that a service took a message does not mean that it woke anybody. See
	// [EscalationsConfig].
	Contacts []string
	// Zone is where they live: times in what they are told are in it, and so are hours
	// that are those of the people, see [EscalationTarget]. Nil means the zone of the
	// policy.
	Zone *time.Location
}
