package runbook_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
)

func TestMemoryCredentialsRoundTrip(t *testing.T) {
	var store runbook.MemoryCredentials
	ctx := t.Context()

	_, err := store.Get(ctx, "canvas")
	require.ErrorIs(t, err, runbook.ErrNoCredential)
	assert.ErrorContains(t, err, `"canvas"`)

	before := time.Now()
	v1, err := store.Put(ctx, "canvas", runbook.NewSecret("one"), "")
	require.NoError(t, err)
	require.NotEmpty(t, v1)
	v2, err := store.Put(ctx, "canvas", runbook.NewSecret("two"), v1)
	require.NoError(t, err)
	require.NotEqual(t, v1, v2)

	got, err := store.Get(ctx, "canvas")
	require.NoError(t, err)
	assert.Equal(t, "two", got.Secret.Reveal())
	assert.Equal(t, v2, got.Version)
	assert.WithinRange(t, got.Written, before, time.Now())

	_, err = store.Get(ctx, "Canvas")
	assert.ErrorIs(t, err, runbook.ErrNoCredential, "names are taken as they are")
}

// A Put writes only if the version it is based on is the newest.
func TestMemoryCredentialsPut(t *testing.T) {
	for _, test := range []struct {
		name  string
		setup func(put func(text string, last runbook.Version) runbook.Version, remove func()) (last runbook.Version)
		want  string // what is there afterwards; empty: nothing
		wins  bool
	}{
		{"new", func(func(string, runbook.Version) runbook.Version, func()) runbook.Version { return "" }, "mine", true},
		{"unknown version", func(func(string, runbook.Version) runbook.Version, func()) runbook.Version { return "7" }, "", false},
		{"newest", func(put func(string, runbook.Version) runbook.Version, _ func()) runbook.Version {
			return put("two", put("one", ""))
		}, "mine", true},
		{"stale", func(put func(string, runbook.Version) runbook.Version, _ func()) runbook.Version {
			v1 := put("one", "")
			put("two", v1)
			return v1
		}, "two", false},
		{"create twice", func(put func(string, runbook.Version) runbook.Version, _ func()) runbook.Version {
			put("one", "")
			return ""
		}, "one", false},
		{"deleted", func(put func(string, runbook.Version) runbook.Version, remove func()) runbook.Version {
			v1 := put("one", "")
			remove()
			return v1
		}, "", false},
		{"created again after deletion", func(put func(string, runbook.Version) runbook.Version, remove func()) runbook.Version {
			put("one", "")
			remove()
			return ""
		}, "mine", true},
		{"version of the one deleted before", func(put func(string, runbook.Version) runbook.Version, remove func()) runbook.Version {
			v1 := put("one", "")
			remove()
			put("two", "")
			return v1
		}, "two", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			var store runbook.MemoryCredentials
			ctx := t.Context()
			last := test.setup(func(text string, last runbook.Version) runbook.Version {
				v, err := store.Put(ctx, "key", runbook.NewSecret(text), last)
				require.NoError(t, err)
				return v
			}, func() { require.NoError(t, store.Delete(ctx, "key")) })

			version, err := store.Put(ctx, "key", runbook.NewSecret("mine"), last)
			if test.wins {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, runbook.ErrConflict)
				assert.NotErrorIs(t, err, runbook.ErrNoCredential)
				assert.True(t, runbook.SafeToRetry(err), "nothing was written")
				assert.Empty(t, version)
			}
			got, err := store.Get(ctx, "key")
			if test.want == "" {
				require.ErrorIs(t, err, runbook.ErrNoCredential)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, test.want, got.Secret.Reveal())
			if test.wins {
				assert.Equal(t, version, got.Version)
			}
		})
	}
}

func TestMemoryCredentialsDelete(t *testing.T) {
	var store runbook.MemoryCredentials
	ctx := t.Context()
	require.NoError(t, store.Delete(ctx, "key"), "of what does not exist")
	_, err := store.Put(ctx, "key", runbook.NewSecret("one"), "")
	require.NoError(t, err)
	_, err = store.Put(ctx, "other", runbook.NewSecret("two"), "")
	require.NoError(t, err)
	require.NoError(t, store.Delete(ctx, "key"))
	require.NoError(t, store.Delete(ctx, "key"), "twice")
	_, err = store.Get(ctx, "key")
	require.ErrorIs(t, err, runbook.ErrNoCredential)
	_, err = store.Get(ctx, "other")
	require.NoError(t, err)
}

// However often a credential is deleted and made again, no version comes back.
func TestMemoryCredentialsVersionsAreNew(t *testing.T) {
	var store runbook.MemoryCredentials
	seen := map[runbook.Version]bool{}
	for range 100 {
		v, err := store.Put(t.Context(), "key", runbook.NewSecret("same"), "")
		require.NoError(t, err)
		require.False(t, seen[v], "version %q was used before", v)
		seen[v] = true
		require.NoError(t, store.Delete(t.Context(), "key"))
	}
}

// Of 64 that refresh the same token at once, one writes, and the others know
// that they did not.
func TestMemoryCredentialsRace(t *testing.T) {
	var store runbook.MemoryCredentials
	ctx := t.Context()
	last := runbook.Version("")
	for round := range 20 {
		var (
			start   = make(chan struct{})
			wg      sync.WaitGroup
			mu      sync.Mutex
			winners []string
			version runbook.Version
		)
		for i := range 64 {
			wg.Go(func() {
				<-start
				mine := fmt.Sprintf("round %d, %d", round, i)
				v, err := store.Put(ctx, "token", runbook.NewSecret(mine), last)
				if err != nil {
					if !errors.Is(err, runbook.ErrConflict) || !runbook.SafeToRetry(err) {
						t.Errorf("a loser got %v", err)
					}
					return
				}
				mu.Lock()
				defer mu.Unlock()
				winners, version = append(winners, mine), v
			})
		}
		close(start)
		wg.Wait()
		require.Len(t, winners, 1)
		got, err := store.Get(ctx, "token")
		require.NoError(t, err)
		require.Equal(t, winners[0], got.Secret.Reveal())
		require.Equal(t, version, got.Version)
		last = version
	}
}

func TestMemoryCredentialsCancelled(t *testing.T) {
	var store runbook.MemoryCredentials
	version, err := store.Put(t.Context(), "key", runbook.NewSecret("one"), "")
	require.NoError(t, err)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer cancel()

	for want, ctx := range map[error]context.Context{context.Canceled: cancelled, context.DeadlineExceeded: late} {
		_, err = store.Get(ctx, "key")
		require.ErrorIs(t, err, want)
		_, err = store.Put(ctx, "key", runbook.NewSecret("two"), version)
		require.ErrorIs(t, err, want)
		assert.True(t, runbook.SafeToRetry(err), "nothing was written")
		err = store.Delete(ctx, "key")
		require.ErrorIs(t, err, want)
		assert.True(t, runbook.SafeToRetry(err), "nothing was deleted")
	}
	got, err := store.Get(t.Context(), "key")
	require.NoError(t, err)
	assert.Equal(t, "one", got.Secret.Reveal())
}

func TestMemoryCredentialsErrorsHideSecrets(t *testing.T) {
	var store runbook.MemoryCredentials
	ctx := t.Context()
	_, err := store.Put(ctx, "key", runbook.NewSecret(canary), "")
	require.NoError(t, err)
	_, conflict := store.Put(ctx, "key", runbook.NewSecret(canary), "stale")
	_, missing := store.Get(ctx, "other")
	for _, err := range []error{conflict, missing} {
		require.Error(t, err)
		assert.False(t, shows(err.Error(), canary), "%v", err)
		assert.False(t, shows(fmt.Sprintf("%+v %#v", err, err), canary))
	}
	got, err := store.Get(ctx, "key")
	require.NoError(t, err)
	assert.False(t, shows(fmt.Sprintf("%+v %#v", got, got), canary), "nor does a Credential print it")
	assert.False(t, shows(fmt.Sprintf("%+v %#v", &store, &store), canary), "nor the store")
}
