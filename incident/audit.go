package incident

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// AuditLog reads what a platform noted of who did what.
type AuditLog interface {
	// AuditEvents returns the events of a time span, newest first. It is lazy:
	// leaving the loop ends the requests, and ranging again asks again. An error
	// comes once, with a zero event, and ends the sequence. Sequences may be
	// ranged concurrently.
	//
	// The error is ErrNotFound if the platform keeps no such log, and
	// ErrNotPermitted if we may not read it. The end of ctx ends the sequence
	// with the error of ctx: a sequence that ends without an error is complete.
	AuditEvents(ctx context.Context, q AuditQuery) iter.Seq2[AuditEvent, error]
}

// AuditQuery chooses events.
type AuditQuery struct {
	// From is the first moment, To the first one after the span. To zero means
	// now. From is required: logs are long.
	From, To time.Time
	// Kinds are the kinds of events. None means all that the platform has but
	// AuditRequest, which is read only if it is named, and of one user: platforms
	// keep requests by user, there are very many, and to read them is dear.
	Kinds []AuditKind
	// Actor limits the events to those of one user, by the platform's id. Empty
	// means everybody. "self" is the user as whom the log is read.
	Actor string
}

// AuditKind is what sort of thing happened.
type AuditKind string

// The kinds of events.
const (
	AuditAuthentication AuditKind = "authentication" // somebody logged in or out
	AuditChange         AuditKind = "change"         // somebody changed something
	AuditRequest        AuditKind = "request"        // somebody, or a program in their name, asked for something
)

// AuditEvent is one thing that happened. It is personal data.
type AuditEvent struct {
	// ID is what the platform calls the event.
	ID string
	// Time is when it happened.
	Time time.Time
	// Kind is its sort, Action what was done in the platform's word: "login",
	// "updated", "deleted".
	Kind   AuditKind
	Action string
	// Actor is the platform's id of who did it; empty means the platform itself,
	// or that it is not known.
	Actor string
	// Object is what it was done to: "course 42". Empty for authentication.
	Object string
	// Source is the way it was done, in the platform's word: "api", "manual"; of a
	// request the program whose token was used.
	Source string
	// Address is the network address that it came from, Agent the browser or
	// program; empty if the platform does not say.
	Address, Agent string
}

// Validate returns everything that is wrong with the query, or nil.
func (q AuditQuery) Validate() error {
	var problems []error
	if q.From.IsZero() {
		problems = append(problems, errors.New("incident: audit query: From is missing"))
	}
	if !q.To.IsZero() && !q.From.Before(q.To) {
		problems = append(problems, errors.New("incident: audit query: From must be before To"))
	}
	for _, k := range q.Kinds {
		switch k {
		case AuditAuthentication, AuditChange:
		case AuditRequest:
			if q.Actor == "" {
				problems = append(problems, errors.New("incident: audit query: requests are read of one user: Actor is missing"))
			}
		default:
			problems = append(problems, fmt.Errorf("incident: audit query: kind %q: is not known", string(k)))
		}
	}
	return errors.Join(problems...)
}

// Wants reports whether the query asks for a kind.
func (q AuditQuery) Wants(kind AuditKind) bool {
	for _, k := range q.Kinds {
		if k == kind {
			return true
		}
	}
	return len(q.Kinds) == 0 && kind != AuditRequest
}
