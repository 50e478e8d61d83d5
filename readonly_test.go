package runbook_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
)

func TestReadOnly(t *testing.T) {
	t.Parallel()
	only := runbook.ReadOnly(t.Context())
	assert.False(t, runbook.IsReadOnly(t.Context()))
	assert.True(t, runbook.IsReadOnly(only))
	inner, cancel := context.WithCancel(only)
	defer cancel()
	assert.True(t, runbook.IsReadOnly(inner))
	assert.True(t, runbook.IsReadOnly(context.WithoutCancel(inner)), "there is no way back")
	assert.True(t, runbook.IsReadOnly(runbook.ReadOnly(only)))
}

// The sentinel proves that nothing was done, unless what wraps it knows otherwise.
func TestErrReadOnlyIsSafeToRetry(t *testing.T) {
	t.Parallel()
	assert.True(t, runbook.SafeToRetry(runbook.ErrReadOnly))
	assert.True(t, runbook.SafeToRetry(fmt.Errorf("end all sessions: %w", runbook.ErrReadOnly)))
	assert.False(t, runbook.SafeToRetry(errors.Join(runbook.ErrReadOnly, errors.New("and something was sent"))))
}

func TestMemoryCredentialsReadOnly(t *testing.T) {
	t.Parallel()
	var store runbook.MemoryCredentials
	only := runbook.ReadOnly(t.Context())
	version, err := store.Put(t.Context(), "token", runbook.NewSecret("one"), "")
	require.NoError(t, err)
	_, err = store.Put(only, "token", runbook.NewSecret("two"), version)
	require.ErrorIs(t, err, runbook.ErrReadOnly)
	assert.True(t, runbook.SafeToRetry(err))
	err = store.Delete(only, "token")
	require.ErrorIs(t, err, runbook.ErrReadOnly)
	assert.True(t, runbook.SafeToRetry(err))
	got, err := store.Get(only, "token")
	require.NoError(t, err)
	assert.Equal(t, "one", got.Secret.Reveal())
}

// A func of a host that changes something refuses to do so in a plan.
func ExampleReadOnly() {
	endSessions := func(ctx context.Context) error {
		if runbook.IsReadOnly(ctx) {
			return fmt.Errorf("end all sessions: %w", runbook.ErrReadOnly)
		}
		fmt.Println("everybody is signed out")
		return nil
	}
	ctx := context.Background()
	fmt.Println(endSessions(runbook.ReadOnly(ctx)))
	fmt.Println(endSessions(ctx))
	// Output:
	// end all sessions: read only: nothing may be changed here
	// everybody is signed out
	// <nil>
}
