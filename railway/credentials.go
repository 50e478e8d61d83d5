package railway

import (
	"context"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// Credentials keep credentials in the variables of a service, each under the name of
// its variable. A version is one state of one variable, and is never used again.
//
// Every Put and Delete makes Railway deploy the service: it compares versions only
// in changes that deploy. So they suit what is rotated from time to time and read by
// the service itself, such as a key or a password. They do not suit what changes by
// itself, such as a refresh token of OAuth: each use would deploy. They do not wait
// for the deployment.
//
// A sealed variable is an incident.ErrSealed, since it can neither be read nor be
// compared. Variables that Railway makes itself are no credentials.
//
// They are safe for concurrent use, also from several processes.
type Credentials struct{ s *Service }

var _ runbook.CredentialStore = (*Credentials)(nil)

// NewCredentials returns the credentials in the variables of a service.
func NewCredentials(s *Service) *Credentials { return &Credentials{s: s} }

// Get implements [runbook.CredentialStore], in two calls.
func (c *Credentials) Get(ctx context.Context, name string) (runbook.Credential, error) {
	o := c.s.c.hiding("get credential %q of service %s", printable(name, 100), c.s)
	if isOwn(name) {
		return runbook.Credential{}, o.refuse(runbook.ErrNoCredential, "Railway makes this variable itself")
	}
	// The version is read before the value. The other way round, a value that is
	// old could have a new version, and a Put on it would undo a change unseen.
	row, err := c.s.variableRow(ctx, o, name)
	if err != nil {
		return runbook.Credential{}, err
	}
	if row.id == "" {
		return runbook.Credential{}, o.refuse(runbook.ErrNoCredential, "the service has no such variable")
	}
	value, exists, err := c.value(ctx, o, name)
	switch {
	case err != nil:
		return runbook.Credential{}, err
	case !exists:
		return runbook.Credential{}, o.refuse(runbook.ErrNoCredential, "it was deleted just now")
	case row.sealed || value == nil:
		return runbook.Credential{}, o.refuse(incident.ErrSealed, "nobody can read the variable")
	}
	return runbook.Credential{Secret: runbook.NewSecret(*value), Version: row.version(), Written: row.written}, nil
}

// Put implements [runbook.CredentialStore], in seven calls, and one for every second
// that Railway takes at most. Railway rejects the change if anything at all was
// changed in the environment meanwhile; it is then tried again while the credential
// itself still has the version last.
//
// After a lost answer the variable is read, and decides. If it has another version
// then, and not this value, the error is an incident.ErrOutcomeUnknown: it was
// changed by somebody else, before or after.
func (c *Credentials) Put(ctx context.Context, name string, secret runbook.Secret, last runbook.Version) (runbook.Version, error) {
	o := c.s.c.hiding("put credential %q of service %s", printable(name, 100), c.s)
	if err := checkCredential(o, name); err != nil {
		return "", err
	}
	row, same, err := c.look(ctx, o, name, secret)
	if err != nil {
		return "", err
	}
	if err := based(o, row, last); err != nil {
		return "", err
	}
	still := func(r variableRow) bool { return based(o, r, last) == nil }
	r, err := c.s.compareAndSet(ctx, o, name, still, setVariable(name, secret))
	switch {
	case err != nil:
		return "", err
	case r.applied || r.doubt != nil:
		return c.written(ctx, o, name, secret, last, same, r.doubt)
	case r.tried:
		// Railway said that it did not make the change. It says so in no certain
		// words, so that the value has the last one.
		row, ours, err := c.look(ctx, o, name, secret)
		if err != nil {
			return "", o.unknown(err, "get the credential, and decide again")
		}
		if ours && !same {
			return row.version(), nil
		}
	}
	return "", based(o, r.row, last)
}

// based returns why a Put cannot be based on a version; nil if it can.
func based(o op, row variableRow, last runbook.Version) error {
	switch {
	case row.version() != last:
		return o.refuse(runbook.ErrConflict, "the newest version is %q", string(row.version()))
	case row.sealed:
		return o.refuse(incident.ErrSealed, "nobody can read the variable")
	}
	return nil
}

// settling is how long a change goes on that Railway took before another one ended.
const settling = 5 * time.Second

// written returns the version of what was put, after it was put or may have been.
// same says that the variable had this value before: to Railway that may be no
// change, so that another one that is based on the same state can be made as well.
// That one then counts, and ours has changed nothing.
func (c *Credentials) written(ctx context.Context, o op, name string, secret runbook.Secret, last runbook.Version, same bool, doubt error) (runbook.Version, error) {
	const advice = "get the credential, and decide again"
	if same && pause(ctx, settling) != nil {
		return "", o.unknown(ctx.Err(), advice)
	}
	row, ours, err := c.look(ctx, o, name, secret)
	if err != nil || !ours {
		err = o.confirm(ctx, doubt, advice, func(ctx context.Context) (_ bool, err error) {
			row, ours, err = c.look(ctx, o, name, secret)
			return ours || row.version() != last, err
		})
	}
	switch {
	case err != nil:
		return "", err
	case ours:
		return row.version(), nil
	case same:
		return "", o.refuse(runbook.ErrConflict, "the newest version is %q", string(row.version()))
	}
	return "", o.unknown(doubt, "it has another version and another value by now; "+advice)
}

// look reads a variable, and whether its value is the one of secret.
func (c *Credentials) look(ctx context.Context, o op, name string, secret runbook.Secret) (row variableRow, ours bool, err error) {
	if row, err = c.s.variableRow(ctx, o, name); err != nil {
		return variableRow{}, false, err
	}
	value, exists, err := c.value(ctx, o, name)
	return row, exists && value != nil && *value == secret.Reveal(), err
}

// Delete implements [runbook.CredentialStore], by a change as that of Put.
func (c *Credentials) Delete(ctx context.Context, name string) error {
	o := c.s.c.hiding("delete credential %q of service %s", printable(name, 100), c.s)
	if err := checkCredential(o, name); err != nil {
		return err
	}
	exists := func(r variableRow) bool { return r.id != "" }
	r, err := c.s.compareAndSet(ctx, o, name, exists, deleteVariable(name))
	if err != nil || !r.applied {
		return err
	}
	return o.confirm(ctx, nil, "get the credential", func(ctx context.Context) (bool, error) {
		row, err := c.s.variableRow(ctx, o, name)
		return err == nil && row.id != r.row.id, err
	})
}

func checkCredential(o op, name string) error {
	switch {
	case name == "" || strings.ContainsAny(name, "= \t\r\n\x00"):
		return o.refuse(nil, "the name must be that of a variable: neither empty nor with spaces, = or zero bytes")
	case isOwn(name):
		return o.refuse(nil, "Railway makes this variable itself")
	}
	return nil
}

// value is nil if the variable is sealed.
func (c *Credentials) value(ctx context.Context, o op, name string) (value *string, exists bool, err error) {
	values, err := c.s.variableScope().read(ctx, o)
	value, exists = values[name]
	return value, exists, err
}
