package canvas_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// Where nothing may be changed, every call that changes something is refused before
// anything is sent: not even a token is asked for.
func TestReadOnlyRefusesMutations(t *testing.T) {
	raw := map[string]func(context.Context, *canvas.Client) error{
		"any request": func(ctx context.Context, c *canvas.Client) error {
			_, err := c.Do(ctx, canvas.Request{Method: http.MethodPut, Path: "/api/v1/courses/1", Idempotent: true}, nil)
			return err
		},
		"GraphQL mutation": func(ctx context.Context, c *canvas.Client) error {
			return c.GraphQL(ctx, canvas.GraphQL{Document: `mutation { createModule(input: {courseId: "1", name: "m"}) { module { id } } }`}, nil)
		},
	}
	for _, m := range mutations {
		raw[m.name] = m.call
	}
	for name, call := range raw {
		t.Run(name, func(t *testing.T) {
			auth := new(countedTokens)
			c, err := canvas.New(canvas.Config{
				BaseURL: "https://canvas.test", Auth: auth,
				HTTP: &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
					t.Errorf("%s %s was sent", r.Method, r.URL.Path)
					return nil, http.ErrServerClosed
				})},
			})
			require.NoError(t, err)
			err = call(runbook.ReadOnly(t.Context()), c)
			require.ErrorIs(t, err, runbook.ErrReadOnly)
			assert.True(t, runbook.SafeToRetry(err), "%v", err)
			assert.Zero(t, auth.asked)
		})
	}
}

// countedTokens is a source of tokens that counts.
type countedTokens struct{ asked int }

func (c *countedTokens) Token(context.Context) (runbook.Secret, error) {
	c.asked++
	return runbook.NewSecret("token"), nil
}

func (c *countedTokens) Renew(ctx context.Context, _ runbook.Secret) (runbook.Secret, error) {
	return c.Token(ctx)
}

// What reads works where nothing may be changed, also a query that is a POST.
func TestReadOnlyReads(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, map[string]any{"name": "Anatomy"}))
	ctx := runbook.ReadOnly(t.Context())
	got, err := c.GetCourse(ctx, course)
	require.NoError(t, err)
	assert.Equal(t, "Anatomy", got.Name)
	var data struct {
		Course struct {
			Name string `json:"name"`
		} `json:"course"`
	}
	require.NoError(t, c.GraphQL(ctx, canvas.GraphQL{Document: `query Q($id: ID!) { course(id: $id) { name } }`, Variables: map[string]any{"id": string(course)}}, &data))
	assert.Equal(t, "Anatomy", data.Course.Name)
	_, err = c.CreatePage(ctx, course, canvas.PageChange{Title: canvas.Value("No")})
	require.ErrorIs(t, err, runbook.ErrReadOnly)
	assert.Empty(t, all(t, c.Pages(t.Context(), course)))
}

// A token by client credentials uses nothing up, so that a plan can have one. One by a
// refresh token is used until it has expired; then getting another one changes the store,
// and perhaps the refresh token.
func TestReadOnlyTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{}
		tool := newTool(fake)
		source, err := canvas.NewClientCredentials(canvas.ClientCredentialsConfig{
			BaseURL: "https://school.test", Scopes: []string{progressScope}, HTTP: fake.Client(),
			Assertion: func(_ context.Context, audience string) (runbook.Secret, error) { return sign(tool, audience), nil },
		})
		require.NoError(t, err)
		token, err := source.Token(runbook.ReadOnly(t.Context()))
		require.NoError(t, err)
		assert.False(t, token.IsZero())
	})
	for _, kind := range []string{"confidential", "public"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, cfg := consented(t, kind)
				only := runbook.ReadOnly(t.Context())
				stored := func() runbook.Version {
					got, err := cfg.Store.Get(t.Context(), cfg.Name)
					require.NoError(t, err)
					return got.Version
				}
				before, c := stored(), withAuth(t, fake, cfg)
				_, err := c.Do(only, self, nil)
				require.NoError(t, err, "the token of the store")
				time.Sleep(57 * time.Minute) // it would be replaced, and is still good
				_, err = c.Do(only, self, nil)
				require.NoError(t, err)
				time.Sleep(4 * time.Minute)
				_, err = c.Do(only, self, nil)
				require.ErrorIs(t, err, runbook.ErrReadOnly)
				require.ErrorContains(t, err, "make any other call first")
				assert.True(t, runbook.SafeToRetry(err))
				assert.Equal(t, before, stored())
				assert.Equal(t, 1, fake.Stats().Routes[tokenRoute], "the exchange")

				_, err = withAuth(t, fake, cfg).Do(t.Context(), self, nil)
				require.NoError(t, err)
				_, err = c.Do(only, self, nil)
				require.NoError(t, err, "what another replica got is used")
				fake.SetClockSkew(2 * time.Hour)
				_, err = c.Do(only, self, nil)
				require.ErrorIs(t, err, canvas.ErrUnauthenticated)
				require.ErrorIs(t, err, runbook.ErrReadOnly)
				assert.Equal(t, 2, fake.Stats().Routes[tokenRoute], "the exchange, and the other replica")
				o, err := canvas.NewOAuth(cfg)
				require.NoError(t, err)
				err = o.Exchange(only, "code", "")
				require.ErrorIs(t, err, runbook.ErrReadOnly)
				assert.True(t, runbook.SafeToRetry(err))
				assert.Equal(t, 2, fake.Stats().Routes[tokenRoute])
			})
		})
	}
}

// A plan that finds no token does not end the calls of others that wait for one.
func TestReadOnlySharesNoRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, cfg := consented(t, "public")
		c := withAuth(t, fake, cfg)
		time.Sleep(2 * time.Hour)
		done := make(chan error)
		go func() {
			_, err := c.Do(runbook.ReadOnly(t.Context()), self, nil)
			done <- err
		}()
		_, err := c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		if err := <-done; err != nil {
			require.ErrorIs(t, err, runbook.ErrReadOnly)
		}
	})
}
