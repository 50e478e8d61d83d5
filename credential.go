package runbook

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"
)

// Errors of a [CredentialStore], for errors.Is.
var (
	// ErrNoCredential means that the store answered, and has no credential of
	// that name.
	ErrNoCredential = errors.New("no such credential")

	// ErrConflict means that the credential was changed by someone else since
	// the version that a Put was based on. Nothing was written. Get the newest
	// version and decide again.
	ErrConflict = errors.New("credential was changed meanwhile")
)

// A Version names one state of one credential. It is opaque: stores choose its
// form, callers only hand it back. The zero Version means "does not exist".
type Version string

// A Credential is a secret as a [CredentialStore] holds it.
type Credential struct {
	// Secret is the credential itself.
	Secret Secret
	// Version names this state of the credential, for the next Put.
	Version Version
	// Written is when this version was written, which gives a credential its
	// age. Zero means that the store does not know.
	Written time.Time
}

// A CredentialStore keeps named credentials: OAuth tokens that are refreshed,
// private keys that are rotated. One store serves Canvas, LTI and Railway
// clients and the playbooks that rotate secrets.
//
// Implementations must be safe for concurrent use, and should honour the
// context. An error other than the two sentinels named below means that the
// store could not be asked, or that it is unknown whether a write happened;
// if it is proven that nothing was written, the error should have a method
// SafeToRetry() bool that returns true (see [SafeToRetry]). No error may
// contain the secret. Put and Delete refuse a context that is read only (see
// [ReadOnly]).
type CredentialStore interface {
	// Get returns the newest version, or an error that wraps ErrNoCredential.
	Get(ctx context.Context, name string) (Credential, error)

	// Put writes secret under name if the newest version is still last, and
	// returns the version written. The zero Version as last means that the
	// credential must not exist yet. When last is not the newest, Put writes
	// nothing and returns an error that wraps ErrConflict. Of several Puts on
	// the same version, exactly one succeeds.
	Put(ctx context.Context, name string, secret Secret, last Version) (Version, error)

	// Delete removes the credential, whatever its version. Deleting what does
	// not exist is not an error. A version is never used again for a name, so
	// that a Put based on a deleted credential fails.
	Delete(ctx context.Context, name string) error
}

// MemoryCredentials is a [CredentialStore] in memory, for tests and for hosts
// that get their credentials anew at each start. The zero value is empty and
// ready to use. It must not be copied after first use.
type MemoryCredentials struct {
	mu    sync.Mutex
	byKey map[string]Credential
	last  uint64 // the number of the last version given out
}

var _ CredentialStore = (*MemoryCredentials)(nil)

// Get implements [CredentialStore].
func (m *MemoryCredentials) Get(ctx context.Context, name string) (Credential, error) {
	if err := ctx.Err(); err != nil {
		return Credential{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.byKey[name]
	if !ok {
		return Credential{}, fmt.Errorf("credential %q: %w", name, ErrNoCredential)
	}
	return c, nil
}

// Put implements [CredentialStore].
func (m *MemoryCredentials) Put(ctx context.Context, name string, secret Secret, last Version) (Version, error) {
	if IsReadOnly(ctx) {
		return "", fmt.Errorf("put credential %q: %w", name, ErrReadOnly)
	}
	if err := ctx.Err(); err != nil {
		return "", &notDone{err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if newest := m.byKey[name].Version; newest != last {
		return "", &notDone{fmt.Errorf("credential %q: put on version %q, the newest is %q: %w", name, last, newest, ErrConflict)}
	}
	m.last++
	c := Credential{Secret: secret, Version: Version(strconv.FormatUint(m.last, 10)), Written: time.Now()}
	if m.byKey == nil {
		m.byKey = make(map[string]Credential)
	}
	m.byKey[name] = c
	return c.Version, nil
}

// Delete implements [CredentialStore].
func (m *MemoryCredentials) Delete(ctx context.Context, name string) error {
	if IsReadOnly(ctx) {
		return fmt.Errorf("delete credential %q: %w", name, ErrReadOnly)
	}
	if err := ctx.Err(); err != nil {
		return &notDone{err}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.byKey, name)
	return nil
}
