package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.acu.edu.au/runbook/incident"
)

// An Authenticator says who makes a request. It is what the host already has: a session,
// a token of its identity provider, a header that its proxy sets and removes from what
// comes from outside.
type Authenticator interface {
	// Actor returns who makes a request, by name. The error wraps [ErrUnauthenticated] if
	// the request does not say who, or not credibly; any other error means that it could
	// not be found out, and the caller is asked to come back. It may be called
	// concurrently, reads nothing of the body, and writes no answer. What its error says
	// is logged, and shown to nobody.
	Actor(r *http.Request) (Actor, error)
}

// AuthenticatorFunc is a func as an [Authenticator].
type AuthenticatorFunc func(r *http.Request) (Actor, error)

// Actor calls the func.
func (f AuthenticatorFunc) Actor(r *http.Request) (Actor, error) { return f(r) }

// ErrUnauthenticated means that a request does not say credibly who makes it.
var ErrUnauthenticated = errors.New("not authenticated")

// An Actor is who makes a request.
type Actor struct {
	// Name is the name of the person, as it will stand in the audit record: always the
	// same for the same person, since nobody approves what they started, and nobody counts
	// twice. Required: at most 100 characters, all of which can be seen, as package incident
	// has it. The names that the program has for itself are nobody's, in whatever case:
	// "runbook", "file", "unauthenticated", "others".
	Name string
	// Roles are what the person is, for [Config].Roles. Without a role that is known
	// nothing is permitted, not even reading.
	Roles []string
	// Cookie says that the browser sent by itself what says who it is: a cookie, a client
	// certificate, basic authentication. A command then has to prove that it comes from a
	// page of this host, by Sec-Fetch-Site or Origin. Programs that send a token set
	// neither, and need not.
	Cookie bool
}

// problem says why an actor cannot be one, or nothing.
func (a Actor) problem() string {
	switch {
	case strings.TrimSpace(a.Name) == "":
		return "the actor has no name"
	case slices.Contains([]string{"runbook", "file", unauthenticated, others}, strings.ToLower(strings.TrimSpace(a.Name))):
		return "the actor has a name that the program has for itself"
	case !utf8.ValidString(a.Name) || utf8.RuneCountInString(a.Name) > 100 || strings.ContainsFunc(a.Name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return "the name of the actor does not have at most 100 characters, all of which can be seen"
	case strings.Join(strings.Fields(a.Name), " ") != a.Name:
		return "the name of the actor has more white space than single spaces between words"
	}
	return ""
}

// A Verb is what somebody may do.
type Verb string

// The verbs. Each of the others contains Read.
const (
	// Read sees everything: runs, incidents, the audit record.
	Read Verb = "read"
	// Operate plans, starts and interferes with runs, works on incidents, and stops
	// automation.
	Operate Verb = "operate"
	// Approve decides about what waits for approval.
	Approve Verb = "approve"
	// Administer allows automation again, and takes over the runs of a process that hangs.
	Administer Verb = "administer"
)

// DefaultRoles returns what roles may do if [Config].Roles is nil:
//
//	viewer         read
//	operator       read, operate
//	approver       read, approve
//	administrator  read, operate, approve, administer
//
// Nobody approves what they started, whatever roles they have: [incident.Runner] sees to
// that.
func DefaultRoles() map[string][]Verb {
	return map[string][]Verb{
		"viewer":        {Read},
		"operator":      {Read, Operate},
		"approver":      {Read, Approve},
		"administrator": {Read, Operate, Approve, Administer},
	}
}

// may reports whether an actor may do something.
func (a *api) may(actor Actor, verb Verb) bool {
	for _, role := range actor.Roles {
		verbs := a.cfg.Roles[role]
		if slices.Contains(verbs, verb) || verb == Read && len(verbs) > 0 {
			return true
		}
	}
	return false
}

type actorKey struct{}

// ActorFrom returns who made the request in whose context something is called, for ports
// of the host that are called because of it: [incident.Approvals] above all.
func ActorFrom(ctx context.Context) (Actor, bool) {
	actor, ok := ctx.Value(actorKey{}).(Actor)
	return actor, ok
}

// ApproveByRole lets those approve who have one of the roles that the step names, see
// [incident.Approve], by the roles of the [Actor] who makes the request; and everybody
// where the step names none. It is an [incident.Approvals] for
// [incident.RunnerConfig].
type ApproveByRole struct{}

var _ incident.Approvals = ApproveByRole{}

// MayApprove implements [incident.Approvals].
func (ApproveByRole) MayApprove(ctx context.Context, name string, a incident.Approval) error {
	roles := a.Question.Roles
	if len(roles) == 0 {
		return nil
	}
	actor, ok := ActorFrom(ctx)
	if ok && actor.Name == name && slices.ContainsFunc(roles, func(r string) bool { return slices.Contains(actor.Roles, r) }) {
		return nil
	}
	return fmt.Errorf("it is for %s: %w", strings.Join(roles, ", "), incident.ErrNotPermitted)
}
