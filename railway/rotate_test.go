package railway_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

// rotation is an environment whose program uses a token.
type rotation struct {
	*opsHost
	old    railway.IssuedToken
	used   runbook.Secret // by the program
	stored int
}

func newRotation(t testing.TB) *rotation {
	t.Helper()
	h := newOps(t, railwaytest.Service{Image: "web:1"})
	r := &rotation{opsHost: h}
	old, err := h.env.RotateToken(t.Context(), "", "first", r.store(t))
	require.NoError(t, err)
	r.old, r.stored = old, 0
	return r
}

// store keeps a token as a host would, and makes sure that it works.
func (r *rotation) store(t testing.TB) func(ctx context.Context, token runbook.Secret) error {
	return func(ctx context.Context, token runbook.Secret) error {
		r.stored++
		if err := r.check(ctx, t, token); err != nil {
			return err
		}
		if !r.used.IsZero() {
			assert.NoError(t, r.check(ctx, t, r.used), "the old one is valid while the new one is stored")
		}
		r.used = token
		return nil
	}
}

func (r *rotation) check(ctx context.Context, t testing.TB, token runbook.Secret) error {
	t.Helper()
	c, err := railway.New(railway.Config{Kind: railway.ProjectToken, Token: token, HTTP: r.Client()})
	require.NoError(t, err)
	_, err = c.CheckToken(ctx)
	return err
}

// names are those of the tokens that exist.
func (r *rotation) names(t testing.TB) (names []string) {
	t.Helper()
	list, err := r.env.Tokens(t.Context())
	require.NoError(t, err)
	for _, token := range list {
		names = append(names, token.Name)
	}
	slices.Sort(names)
	return names
}

// Requirement: RW-TOKEN-ROTATION
func TestRotateToken(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		r := newRotation(t)
		time.Sleep(90 * 24 * time.Hour)
		list, err := r.env.Tokens(t.Context())
		require.NoError(t, err)
		require.Len(t, list, 1)
		assert.Equal(t, 90*24*time.Hour, time.Since(list[0].Created).Round(time.Hour), "the age of a token")

		was := r.used
		made, err := r.env.RotateToken(t.Context(), r.old.ID, "second", r.store(t))
		require.NoError(t, err)
		assert.Equal(t, "second", made.Name)
		assert.NotEmpty(t, made.ID)
		assert.Equal(t, []string{"second"}, r.names(t))
		assert.Equal(t, 1, r.stored)
		require.NoError(t, r.check(t.Context(), t, r.used))
		require.ErrorIs(t, r.check(t.Context(), t, was), railway.ErrNotAuthorized)
		effects := r.did("projectToken")
		assert.Len(t, effects, 3, "%v", effects)
	})
}

// After each failure the error says which tokens exist, and it is true.
//
// Requirement: RW-TOKEN-ROTATION
func TestRotateTokenFailures(t *testing.T) {
	for name, c := range map[string]struct {
		fault   railwaytest.Fault
		store   error
		want    []string // the names of the tokens that exist
		says    string
		unknown bool
	}{
		"creation refused": {
			fault: railwaytest.Fault{Op: "projectTokenCreate", Kind: railwaytest.Refuse, Message: "No", Code: "BAD_USER_INPUT"},
			want:  []string{"first"},
		},
		"creation not permitted": {
			fault: railwaytest.Fault{Op: "projectTokenCreate", Kind: railwaytest.NotAuthorized},
			want:  []string{"first"}, says: "not authorized",
		},
		"creation unreachable": {
			fault: railwaytest.Fault{Op: "projectTokenCreate", Kind: railwaytest.Unreachable, Times: -1},
			want:  []string{"first"},
		},
		"answer of the creation lost": {
			fault: railwaytest.Fault{Op: "projectTokenCreate", Kind: railwaytest.LoseAnswer},
			want:  []string{"first"}, says: `"second" was made, its text was lost with the answer, and it was deleted again; the old one is valid`,
		},
		"answer of the creation cut off": {
			fault: railwaytest.Fault{Op: "projectTokenCreate", Kind: railwaytest.Cut, Bytes: 50},
			want:  []string{"first"}, says: "deleted again",
		},
		"creation at the gateway": {
			fault: railwaytest.Fault{Op: "projectTokenCreate", Kind: railwaytest.Gateway},
			want:  []string{"first"}, says: `"second" does not show`, unknown: true,
		},
		"not stored": {
			store: errors.New("the vault said no"),
			want:  []string{"first", "second"}, says: `token "second" was made and not stored for sure: it and the old one are both valid`,
		},
		"deletion refused": {
			fault: railwaytest.Fault{Op: "projectTokenDelete", Kind: railwaytest.NotAuthorized},
			want:  []string{"first", "second"}, says: `"second" is stored and valid, and the old one could not be deleted`,
		},
		"deletion at the gateway": {
			fault: railwaytest.Fault{Op: "projectTokenDelete", Kind: railwaytest.Gateway},
			want:  []string{"first", "second"}, says: `"second" is stored and valid, and the old one may still exist`, unknown: true,
		},
		"answer of the deletion lost": {
			fault: railwaytest.Fault{Op: "projectTokenDelete", Kind: railwaytest.LoseAnswer},
			want:  []string{"second"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			opsBubble(t, func(t *testing.T) {
				r := newRotation(t)
				if c.fault.Op != "" {
					r.Fail(c.fault)
				}
				var token string
				made, err := r.env.RotateToken(t.Context(), r.old.ID, "second", func(ctx context.Context, s runbook.Secret) error {
					token = s.Reveal()
					if c.store != nil {
						return fmt.Errorf("%w (%s)", c.store, token)
					}
					return r.store(t)(ctx, s)
				})
				assert.Equal(t, c.want, r.names(t))
				if len(c.want) == 1 && c.want[0] == "second" {
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				require.ErrorContains(t, err, c.says)
				assert.Equal(t, c.unknown, errors.Is(err, incident.ErrOutcomeUnknown), "%v", err)
				if slices.Contains(c.want, "second") {
					assert.NotEmpty(t, made.ID)
					assert.False(t, runbook.SafeToRetry(err))
					assert.NotContains(t, fmt.Sprintf("%v %+v", err, err), token)
				}
				if c.store != nil {
					require.ErrorIs(t, err, c.store)
				}
				// Whatever happened, the program has a token that works.
				assert.NoError(t, r.check(t.Context(), t, r.used))
			})
		})
	}
}

// Requirement: RW-TOKEN-ROTATION, RW-ASK-TOKENS
func TestRotateTokenRefusals(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		r := newRotation(t)
		effects := len(r.Effects())
		never := func(context.Context, runbook.Secret) error { t.Error("stored"); return nil }
		_, err := r.env.RotateToken(t.Context(), nobodyDeployed, "second", never)
		require.ErrorIs(t, err, incident.ErrNotFound)
		_, err = r.env.RotateToken(t.Context(), r.old.ID, "first", never)
		require.ErrorIs(t, err, incident.ErrBusy)
		_, err = r.env.RotateToken(t.Context(), r.old.ID, "", never)
		require.Error(t, err)

		r.connect(t, "project")
		calls := len(r.Calls())
		_, err = r.env.RotateToken(t.Context(), r.old.ID, "second", never)
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		_, err = r.env.Tokens(t.Context())
		require.ErrorIs(t, err, incident.ErrNotPermitted)
		assert.Len(t, r.Calls(), calls, "it is told before it is tried")
		assert.Len(t, r.Effects(), effects)
	})
}

// Tokens of other environments are not listed, and not deleted.
func TestTokensOfTheEnvironment(t *testing.T) {
	opsBubble(t, func(t *testing.T) {
		r := newRotation(t)
		beta, err := r.client.Environment(t.Context(), railway.Target{Project: r.project, Environment: r.other})
		require.NoError(t, err)
		list, err := beta.Tokens(t.Context())
		require.NoError(t, err)
		assert.Empty(t, list)
		_, err = beta.RotateToken(t.Context(), r.old.ID, "second", func(context.Context, runbook.Secret) error { return nil })
		require.ErrorIs(t, err, incident.ErrNotFound)
		assert.Equal(t, []string{"first"}, r.names(t))
	})
}
