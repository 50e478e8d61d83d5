package incidenttest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// CredentialStoreCase is a store with nothing in it, for one test.
type CredentialStoreCase struct {
	// Store is the implementation.
	Store runbook.CredentialStore
	// Replica returns another store of the same credentials, as another process has
	// it. Nil declines.
	Replica func() runbook.CredentialStore
	// Seal puts a credential of that name into the store that nobody can read. Nil
	// declines.
	Seal func(name string)
	// LoseAnswer makes the store carry out the next change and lose the answer. Nil
	// declines.
	LoseAnswer func()
	// Break makes the store unreachable from now on. Nil declines.
	Break func()
}

// CredentialStoreHarness is what [TestCredentialStore] needs of an implementation.
type CredentialStoreHarness struct {
	// New returns a fresh store.
	New func(t testing.TB) CredentialStoreCase
	// Races is how many versions are fought for. Zero means 20.
	Races int
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestCredentialStore checks what [runbook.CredentialStore] asks of an
// implementation.
func TestCredentialStore(t *testing.T, h CredentialStoreHarness) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c CredentialStoreCase)
	}{
		{"round trip", testCredentialRoundTrip},
		{"what is based on an old version is refused", testCredentialConflict},
		{"delete", testCredentialDelete},
		{"versions are never used again", testCredentialVersions},
		{"ended context", testCredentialContext},
		{"read-only context", testCredentialReadOnly},
		{"lost answer", testCredentialLostAnswer},
		{"unreachable", testCredentialDown},
		{"sealed", testCredentialSealed},
		{"one winner", func(t *testing.T, c CredentialStoreCase) { testCredentialRace(t, c, h.Races) }},
	} {
		h.Run.sub(t, test.name, func(t *testing.T) { test.run(t, h.New(t)) })
	}
}

const credential = "RUNBOOK_TEST_KEY"

// put writes a text that must be written.
func (c CredentialStoreCase) put(t testing.TB, name, text string, last runbook.Version) runbook.Version {
	t.Helper()
	v, err := c.Store.Put(t.Context(), name, runbook.NewSecret(text), last)
	if err != nil || v == "" || v == last {
		t.Fatalf("version %q on %q, error %v; want a new one", v, last, err)
	}
	return v
}

// holds checks what is in the store; the empty text means that nothing is.
func (c CredentialStoreCase) holds(t testing.TB, name, text string) runbook.Version {
	t.Helper()
	got, err := c.Store.Get(t.Context(), name)
	switch {
	case text == "":
		wants(t, err, runbook.ErrNoCredential)
	case err != nil || got.Secret.Reveal() != text || got.Version == "":
		t.Errorf("version %q, error %v; want %q", got.Version, err, text)
	}
	return got.Version
}

// silent checks that an error shows nothing.
func silent(t testing.TB, err error) {
	t.Helper()
	if err != nil && strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), canary) {
		t.Error("the error has the secret in it")
	}
}

// refusedPut writes what must not be written.
func (c CredentialStoreCase) refusedPut(t testing.TB, name string, last runbook.Version) {
	t.Helper()
	v, err := c.Store.Put(t.Context(), name, runbook.NewSecret(canary), last)
	if !errors.Is(err, runbook.ErrConflict) || errors.Is(err, runbook.ErrNoCredential) || v != "" {
		t.Errorf("version %q on %q, error %v; want one that is ErrConflict", v, last, err)
	}
	silent(t, err)
}

func testCredentialRoundTrip(t *testing.T, c CredentialStoreCase) {
	c.holds(t, credential, "")
	v1 := c.put(t, credential, "one", "")
	if v := c.holds(t, credential, "one"); v != v1 {
		t.Errorf("version %q was written and %q is read", v1, v)
	}
	v2 := c.put(t, credential, "two\nlines, \"quoted\" ${{not.a.reference}} é", v1)
	if v := c.holds(t, credential, "two\nlines, \"quoted\" ${{not.a.reference}} é"); v != v2 {
		t.Errorf("version %q was written and %q is read", v2, v)
	}
	c.put(t, credential+"_2", "another", "")
	c.holds(t, credential, "two\nlines, \"quoted\" ${{not.a.reference}} é")
	c.holds(t, "runbook_test_key", "") // names are taken as they are
	if c.Replica != nil {
		CredentialStoreCase{Store: c.Replica()}.holds(t, credential+"_2", "another")
	}
}

func testCredentialConflict(t *testing.T, c CredentialStoreCase) {
	c.refusedPut(t, credential, "no such version")
	v1 := c.put(t, credential, "one", "")
	c.refusedPut(t, credential, "")
	v2 := c.put(t, credential, "two", v1)
	c.refusedPut(t, credential, v1)
	c.refusedPut(t, credential, "")
	c.holds(t, credential, "two")
	c.put(t, credential, "three", v2)
}

func testCredentialDelete(t *testing.T, c CredentialStoreCase) {
	remove := func(name string) {
		t.Helper()
		if err := c.Store.Delete(t.Context(), name); err != nil {
			t.Error(err)
		}
	}
	remove(credential) // there is none
	v := c.put(t, credential, "one", "")
	c.put(t, credential+"_2", "stays", "")
	remove(credential)
	remove(credential)
	c.holds(t, credential, "")
	c.holds(t, credential+"_2", "stays")
	c.refusedPut(t, credential, v)
	c.put(t, credential, "again", "")
	c.refusedPut(t, credential, v)
	c.holds(t, credential, "again")
}

func testCredentialVersions(t *testing.T, c CredentialStoreCase) {
	seen := make(map[runbook.Version]bool)
	for range 10 {
		v := c.put(t, credential, "same", "")
		if seen[v] {
			t.Fatalf("version %q was used before", v)
		}
		seen[v] = true
		if err := c.Store.Delete(t.Context(), credential); err != nil {
			t.Fatal(err)
		}
	}
}

func testCredentialContext(t *testing.T, c CredentialStoreCase) {
	v := c.put(t, credential, "one", "")
	_, get := c.Store.Get(ended(t), credential)
	_, put := c.Store.Put(ended(t), credential, runbook.NewSecret(canary), v)
	for _, err := range []error{get, put, c.Store.Delete(ended(t), credential)} {
		wants(t, err, context.Canceled)
		silent(t, err)
	}
	if now := c.holds(t, credential, "one"); now != v {
		t.Error("the version changed, and nothing was written")
	}
}

func testCredentialReadOnly(t *testing.T, c CredentialStoreCase) {
	v := c.put(t, credential, "one", "")
	only := runbook.ReadOnly(t.Context())
	if got, err := c.Store.Get(only, credential); err != nil || got.Version != v {
		t.Errorf("version %q, error %v; want %q", got.Version, err, v)
	}
	_, put := c.Store.Put(only, credential, runbook.NewSecret(canary), v)
	for _, err := range []error{put, c.Store.Delete(only, credential)} {
		isReadOnly(t, err)
		silent(t, err)
	}
	if now := c.holds(t, credential, "one"); now != v {
		t.Error("the version changed, and nothing may be written")
	}
}

func testCredentialLostAnswer(t *testing.T, c CredentialStoreCase) {
	if c.LoseAnswer == nil {
		t.Skip("declined")
	}
	c.LoseAnswer()
	v, err := c.Store.Put(t.Context(), credential, runbook.NewSecret(canary), "")
	if runbook.SafeToRetry(err) || errors.Is(err, runbook.ErrConflict) {
		t.Errorf("error %v claims that nothing was written", err)
	}
	silent(t, err)
	if now := c.holds(t, credential, canary); err == nil && now != v {
		t.Errorf("version %q was written and %q is read", v, now)
	}
	c.LoseAnswer()
	if err := c.Store.Delete(t.Context(), credential); runbook.SafeToRetry(err) {
		t.Errorf("error %v claims that nothing was deleted", err)
	}
	c.holds(t, credential, "")
}

func testCredentialDown(t *testing.T, c CredentialStoreCase) {
	if c.Break == nil {
		t.Skip("declined")
	}
	v := c.put(t, credential, "one", "")
	c.Break()
	_, get := c.Store.Get(t.Context(), credential)
	_, put := c.Store.Put(t.Context(), credential, runbook.NewSecret(canary), v)
	for _, err := range []error{get, put, c.Store.Delete(t.Context(), credential)} {
		if err == nil || errors.Is(err, runbook.ErrNoCredential) || errors.Is(err, runbook.ErrConflict) {
			t.Errorf("error %v of a store that did not answer", err)
		}
		silent(t, err)
	}
}

func testCredentialSealed(t *testing.T, c CredentialStoreCase) {
	if c.Seal == nil {
		t.Skip("declined")
	}
	c.Seal(credential)
	got, err := c.Store.Get(t.Context(), credential)
	if !errors.Is(err, incident.ErrSealed) || errors.Is(err, runbook.ErrNoCredential) || !got.Secret.IsZero() {
		t.Errorf("error %v; want one that is ErrSealed", err)
	}
	c.refusedPut(t, credential, "") // it is there
}

func testCredentialRace(t *testing.T, c CredentialStoreCase, races int) {
	if races == 0 {
		races = 20
	}
	stores := []runbook.CredentialStore{c.Store, c.Store, c.Store, c.Store}
	if c.Replica != nil {
		stores[1], stores[3] = c.Replica(), c.Replica()
	}
	last := runbook.Version("")
	for round := range races {
		var winner atomic.Int64
		var won atomic.Value
		each(len(stores), func(i int) {
			v, err := stores[i].Put(t.Context(), credential, runbook.NewSecret(fmt.Sprint(i)), last)
			switch {
			case err == nil:
				winner.Add(1)
				won.Store([2]string{string(v), fmt.Sprint(i)})
			case !errors.Is(err, runbook.ErrConflict):
				t.Errorf("error %v; want ErrConflict", err)
			}
		})
		if winner.Load() != 1 {
			t.Fatalf("round %d: %d of %d wrote on version %q; want one", round, winner.Load(), len(stores), last)
		}
		written := won.Load().([2]string)
		if last = c.holds(t, credential, written[1]); string(last) != written[0] {
			t.Fatalf("version %q was written and %q is read", written[0], last)
		}
	}
}
