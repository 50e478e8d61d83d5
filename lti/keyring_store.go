package lti

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
)

const (
	reloadTime = 30 * time.Second // for one reading by Run
	rereadTime = 10 * time.Second // to learn what became of a write
)

// A ringError is what went wrong with the stored ring.
type ringError struct {
	op    string
	name  string
	cause error
	unrun bool
}

func (e *ringError) Error() string {
	return fmt.Sprintf("lti: key ring %q: %s: %v", e.name, e.op, e.cause)
}
func (e *ringError) Unwrap() error     { return e.cause }
func (e *ringError) SafeToRetry() bool { return e.unrun }

// fail returns an error of a stored ring. Nothing was changed unless cause is
// about an unknown outcome.
func (k *KeyRing) fail(op string, cause error) error {
	return &ringError{op: op, name: k.cfg.Name, cause: cause, unrun: !errors.Is(cause, ErrUnknownOutcome)}
}

// lock waits for the turn to change the ring.
func (k *KeyRing) lock(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-k.turn:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (k *KeyRing) unlock() { k.turn <- struct{}{} }

// install makes a ring the one that is used.
func (k *KeyRing) install(ring heldRing) {
	k.held = ring
	k.now.Store(newView(ring.keys, k.fixed, time.Now()))
}

// read reads the store. On failure the ring stays as it is.
func (k *KeyRing) read(ctx context.Context) error {
	c, err := k.cfg.Store.Get(ctx, k.cfg.Name)
	switch {
	case errors.Is(err, runbook.ErrNoCredential):
		return fmt.Errorf("the store has no ring: %w", err)
	case err != nil:
		return fmt.Errorf("the store could not be read: %w", err)
	case len(k.held.keys) > 0 && c.Version == k.held.version:
		return nil
	}
	keys, err := decodeRing(c)
	if err != nil {
		return err
	}
	k.install(heldRing{keys, c.Version})
	return nil
}

// begin makes the first key of a ring, or takes that of another replica.
func (k *KeyRing) begin(ctx context.Context) error {
	first, err := freshKey()
	if err != nil {
		return err
	}
	_, err = k.put(ctx, rotated(nil, first, time.Now(), 0, 0))
	return err
}

func freshKey() (ringKey, error) {
	key, pem, err := generateKey()
	if err != nil {
		return ringKey{}, err
	}
	return ringKeyOf(key, pem)
}

// put writes a ring that was made out of the one that is held. Afterwards the
// held ring is what the store has: this one (won), or one to look at. An error
// means that nothing was written, or wraps [ErrUnknownOutcome].
func (k *KeyRing) put(ctx context.Context, keys []ringKey) (won bool, err error) {
	if runbook.IsReadOnly(ctx) {
		return false, runbook.ErrReadOnly
	}
	text, err := encodeRing(keys)
	if err != nil {
		return false, err
	}
	before := k.held.version
	version, err := k.cfg.Store.Put(ctx, k.cfg.Name, text, before)
	if err == nil {
		k.install(heldRing{keys, version})
		return true, nil
	}
	conflict := errors.Is(err, runbook.ErrConflict)
	if !conflict && runbook.SafeToRetry(err) {
		return false, fmt.Errorf("the store did not take it: %w", err)
	}
	// Only the store knows what is true. A conflict is looked at too: a store that
	// repeats a write by itself can conflict with its own.
	reread, cancel := context.WithTimeout(context.WithoutCancel(ctx), rereadTime)
	defer cancel()
	if readErr := k.read(reread); readErr != nil {
		if conflict {
			return false, fmt.Errorf("somebody else has changed the ring, and it could not be read: %w", readErr)
		}
		return false, fmt.Errorf("%w: %w; reading it back: %w; call Reload before trying again", ErrUnknownOutcome, err, readErr)
	}
	switch {
	case k.held.version != before: // by this write or another: the caller looks at what is there
		return false, nil
	case conflict:
		return false, fmt.Errorf("the store shows an old version of the ring, try again later: %w", err)
	}
	return false, fmt.Errorf("%w: the ring is not in the store so far: %w; call Reload before trying again", ErrUnknownOutcome, err)
}

// Reload reads the store. On failure the ring stays as it is. A ring of fixed
// keys has nothing to read.
func (k *KeyRing) Reload(ctx context.Context) error {
	if k.fixed {
		return nil
	}
	if err := k.lock(ctx); err != nil {
		return k.fail("reload", err)
	}
	defer k.unlock()
	if err := k.read(ctx); err != nil {
		return k.fail("reload", err)
	}
	return nil
}

// Run reads the store every Reload until ctx ends, and returns the error of ctx.
// Replicas that share a store need it, to publish and use the keys that others
// make. What fails is logged once, until it succeeds again.
func (k *KeyRing) Run(ctx context.Context) error {
	tick := time.NewTicker(k.cfg.Reload)
	defer tick.Stop()
	failing := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		once, cancel := context.WithTimeout(ctx, reloadTime)
		err := k.Reload(once)
		cancel()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !failing:
			k.cfg.Logger.WarnContext(ctx, "the key ring cannot be read; the keys in memory stay in use", "error", err)
		case err == nil && failing:
			k.cfg.Logger.InfoContext(ctx, "the key ring is read again")
		}
		failing = err != nil
	}
}
