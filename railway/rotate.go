package railway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

// IssuedToken is a project token that exists. Its text is shown once only, to
// whoever makes it.
type IssuedToken struct {
	// ID is what Railway calls it, Name what people do.
	ID, Name string
	// Created is when it was made. Railway's tokens do not expire.
	Created time.Time
}

// Tokens returns the project tokens of the environment. It takes a token of an
// account or a workspace; with a project token the error is an
// incident.ErrNotPermitted, before anything is tried.
func (e *Environment) Tokens(ctx context.Context) ([]IssuedToken, error) {
	o := e.c.op("list the tokens of environment %s", e)
	if err := o.needsMember(); err != nil {
		return nil, err
	}
	return e.tokens(ctx, o)
}

func (e *Environment) tokens(ctx context.Context, o op) (list []IssuedToken, err error) {
	all := pages(o, func(after *string) (list []IssuedToken, _ *string, _ error) {
		got, err := gql.ProjectTokens(ctx, o, e.project, pageSize, after)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range got.ProjectTokens.Edges {
			if t.Node.EnvironmentId == e.id {
				list = append(list, IssuedToken{t.Node.Id, t.Node.Name, t.Node.CreatedAt})
			}
		}
		return list, next(got.ProjectTokens.PageInfo.HasNextPage, got.ProjectTokens.PageInfo.EndCursor), nil
	})
	for t, err := range all {
		if err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, nil
}

// RotateToken replaces the project token old, an ID, by a new one of another name:
// it makes the new one, gives its text to store, and deletes the old one last. So
// there is a valid token at any time. store keeps the text where it is used, makes
// sure that it works, and returns then; it is called once. old may be empty, and
// nothing is deleted then. It takes a token of an account or a workspace.
//
// The new token is returned as soon as there is one, also with an error. An error
// says which tokens exist, and is an incident.ErrOutcomeUnknown if that is not known.
// If store fails, both are left: the new one may be in use already.
func (e *Environment) RotateToken(ctx context.Context, old, name string, store func(ctx context.Context, token runbook.Secret) error) (IssuedToken, error) {
	o := e.c.hiding("rotate a token of environment %s", e)
	if err := o.needsMember(); err != nil {
		return IssuedToken{}, err
	}
	before, err := e.rotatable(ctx, o, old, name)
	if err != nil {
		return IssuedToken{}, err
	}
	got, err := gql.ProjectTokenCreate(ctx, o, e.project, e.id, name)
	if err == nil && got.ProjectTokenCreate == "" {
		err = &Error{Op: o.name, Code: "no data"}
	}
	if maybeRun(err) {
		return e.orphaned(ctx, o, before, name, err)
	}
	if err != nil {
		return IssuedToken{}, err
	}
	token := runbook.NewSecret(got.ProjectTokenCreate)
	storeErr := store(ctx, token) // first: nobody else has the text
	var made IssuedToken
	watch(ctx, showLimit, func(ctx context.Context) (bool, error) {
		made, err = e.newToken(ctx, o, before, name)
		return made.ID != "", err
	})
	if storeErr != nil {
		storeErr = &retold{printable(strings.ReplaceAll(storeErr.Error(), token.Reveal(), "[redacted]"), maxText), storeErr}
		return made, o.after(storeErr, "token %q was made and not stored for sure: it and the old one are both valid; delete the one that is not used", name)
	}
	return made, e.retire(ctx, o, old, name)
}

// rotatable reads the tokens and refuses what could not be told apart afterwards.
func (e *Environment) rotatable(ctx context.Context, o op, old, name string) ([]IssuedToken, error) {
	if name == "" {
		return nil, o.refuse(nil, "the new token has no name")
	}
	before, err := e.tokens(ctx, o)
	switch {
	case err != nil:
		return nil, err
	case old != "" && !slices.ContainsFunc(before, func(t IssuedToken) bool { return t.ID == old }):
		return nil, o.refuse(incident.ErrNotFound, "the environment has no token %s", printable(old, 60))
	case slices.ContainsFunc(before, func(t IssuedToken) bool { return t.Name == name }):
		return nil, o.refuse(incident.ErrBusy, "there is a token of the name %q already, perhaps of a rotation that was not finished", name)
	}
	return before, nil
}

// newToken returns the token of a name that was not there before, if there is one.
func (e *Environment) newToken(ctx context.Context, o op, before []IssuedToken, name string) (IssuedToken, error) {
	now, err := e.tokens(ctx, o)
	for _, t := range now {
		if t.Name == name && !slices.ContainsFunc(before, func(b IssuedToken) bool { return b.ID == t.ID }) {
			return t, nil
		}
	}
	return IssuedToken{Name: name}, err
}

// orphaned deletes a token whose text was lost with the answer: nobody can use it.
func (e *Environment) orphaned(ctx context.Context, o op, before []IssuedToken, name string, cause error) (IssuedToken, error) {
	var made IssuedToken
	found := watch(ctx, showLimit, func(ctx context.Context) (_ bool, err error) {
		made, err = e.newToken(ctx, o, before, name)
		return made.ID != "", err
	})
	if !found {
		return IssuedToken{}, o.unknown(cause, fmt.Sprintf("a token %q does not show: delete it if it does later; the old one is valid", name))
	}
	within, cancel := watching(ctx, showLimit)
	defer cancel()
	if err := e.deleteToken(within, o, made.ID); err != nil {
		return made, o.unknown(cause, fmt.Sprintf("token %q was made, its text is lost, and whether it could be deleted is not known: delete it; the old one is valid", name))
	}
	return IssuedToken{}, o.after(cause, "token %q was made, its text was lost with the answer, and it was deleted again; the old one is valid", name)
}

// retire deletes the old token, after the new one was stored.
func (e *Environment) retire(ctx context.Context, o op, old, name string) error {
	if old == "" {
		return nil
	}
	err := e.deleteToken(ctx, o, old)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, incident.ErrOutcomeUnknown):
		return o.unknown(err, fmt.Sprintf("token %q is stored and valid, and the old one may still exist: look, and delete it", name))
	}
	return o.after(err, "token %q is stored and valid, and the old one could not be deleted and is valid too: delete it", name)
}

// deleteToken deletes a token. That it is gone already is no error.
func (e *Environment) deleteToken(ctx context.Context, o op, id string) error {
	got, err := gql.ProjectTokenDelete(ctx, o, id)
	err = o.answered(got.ProjectTokenDelete, err)
	if errors.Is(err, incident.ErrNotFound) {
		return nil
	}
	if err != nil && !maybeRun(err) {
		return err
	}
	return o.confirm(ctx, err, "look at the tokens of the environment", func(ctx context.Context) (bool, error) {
		now, err := e.tokens(ctx, o)
		return !slices.ContainsFunc(now, func(t IssuedToken) bool { return t.ID == id }), err
	})
}

// after makes the error of what failed when a part was done already. It never says
// that nothing was done.
func (o op) after(cause error, format string, args ...any) *Error {
	text := strings.TrimPrefix(cause.Error(), "railway: "+o.name+": ")
	return &Error{Op: o.name, Message: fmt.Sprintf(format, args...), cause: &retold{text, cause}}
}

// retold is an error in other words.
type retold struct {
	text  string
	cause error
}

func (r *retold) Error() string        { return r.text }
func (r *retold) Is(target error) bool { return errors.Is(r.cause, target) }
