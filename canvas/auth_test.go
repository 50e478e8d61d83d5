package canvas_test

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

const tokenRoute = "POST /login/oauth2/token"

// consented is a Canvas with a developer key to which a user has consented, and
// what a host needs to use it.
func consented(t testing.TB, clientType string) (*canvastest.Server, canvas.OAuthConfig) {
	t.Helper()
	fake := &canvastest.Server{}
	key := fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"client_type": clientType, "redirect_uris": "https://ops.test/back"})
	secret, _ := fake.Get(canvastest.DeveloperKeys, key)["api_key"].(string)
	cfg := canvas.OAuthConfig{
		BaseURL: "https://school.test", ClientID: canvas.ID(key).String(), HTTP: fake.Client(),
		Store: &runbook.MemoryCredentials{}, Name: "canvas", RedirectURL: "https://ops.test/back", Scopes: []string{"url:GET|/api/v1/users/self", "url:GET|/api/v1/courses"},
	}
	consent := canvastest.Consent{Key: key, RedirectURI: cfg.RedirectURL}
	const verifier = "a-verifier-of-at-least-forty-three-characters-"
	v := ""
	if clientType == "public" {
		sum := sha256.Sum256([]byte(verifier))
		v, consent.Challenge = verifier, base64.RawURLEncoding.EncodeToString(sum[:])
	} else {
		cfg.ClientSecret = runbook.NewSecret(secret)
	}
	o, err := canvas.NewOAuth(cfg)
	require.NoError(t, err)
	address, err := url.Parse(o.AuthCodeURL("state", v))
	require.NoError(t, err)
	assert.Equal(t, "/login/oauth2/auth", address.Path)
	assert.Equal(t, "url:GET|/api/v1/users/self url:GET|/api/v1/courses", address.Query().Get("scope"), "one parameter")
	require.NoError(t, o.Exchange(t.Context(), fake.Authorize(consent), v))
	return fake, cfg
}

func withAuth(t testing.TB, fake *canvastest.Server, cfg canvas.OAuthConfig) *canvas.Client {
	t.Helper()
	o, err := canvas.NewOAuth(cfg)
	require.NoError(t, err)
	return newClient(t, fake.Client(), func(c *canvas.Config) { c.Token, c.Auth = runbook.Secret{}, o })
}

// Requirement: CV-OAUTH-REFRESH-KEPT, CV-OAUTH-REFRESH-ONCE, CV-OAUTH-SCOPES, CV-THROTTLE-GRANTS
func TestOAuth(t *testing.T) {
	for _, kind := range []string{"confidential", "public"} {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake, cfg := consented(t, kind)
				replicas := []*canvas.Client{withAuth(t, fake, cfg), withAuth(t, fake, cfg)}
				all := func() {
					var wg sync.WaitGroup
					for _, c := range replicas {
						for range 20 {
							wg.Go(func() {
								_, err := c.Do(t.Context(), self, nil)
								assert.NoError(t, err)
							})
						}
					}
					wg.Wait()
				}
				all()
				assert.Equal(t, 1, fake.Stats().Routes[tokenRoute], "the token of the exchange is used")
				for hour := range 3 {
					time.Sleep(59 * time.Minute)
					all()
					assert.Equal(t, 2+hour, fake.Stats().Routes[tokenRoute], "one replica refreshes")
				}
				got, err := cfg.Store.Get(t.Context(), "canvas")
				require.NoError(t, err)
				assert.Contains(t, got.Secret.Reveal(), "refresh_token")
			})
		})
	}
}

// A host begins with a refresh token as plain text.
func TestOAuthFromARefreshToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, cfg := consented(t, "confidential")
		got, err := cfg.Store.Get(t.Context(), "canvas")
		require.NoError(t, err)
		var s struct {
			Refresh string `json:"refresh_token"`
		}
		require.NoError(t, json.Unmarshal([]byte(got.Secret.Reveal()), &s))
		_, err = cfg.Store.Put(t.Context(), "canvas", runbook.NewSecret(s.Refresh), got.Version)
		require.NoError(t, err)
		_, err = withAuth(t, fake, cfg).Do(t.Context(), self, nil)
		require.NoError(t, err)
		assert.Equal(t, 2, fake.Stats().Routes[tokenRoute])
	})
}

func TestExpiredTokenIsRenewedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, cfg := consented(t, "confidential")
		c := withAuth(t, fake, cfg)
		_, err := c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		fake.SetClockSkew(2 * time.Hour) // Canvas sees it expire before we do
		before := fake.Stats().Routes[tokenRoute]
		_, err = c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		assert.Equal(t, before+1, fake.Stats().Routes[tokenRoute])
		// Missing permission is no reason for another token, and a token that
		// was taken away is not replaced for ever.
		_, err = c.Do(t.Context(), canvas.Request{Path: canvas.Path("accounts", "1", "admins")}, nil)
		require.Error(t, err)
		assert.Equal(t, before+1, fake.Stats().Routes[tokenRoute])
	})
}

// moody is a store that can refuse to write.
type moody struct {
	runbook.MemoryCredentials
	broken bool
	claims int // breaks after that many writes
}

func (m *moody) Put(ctx context.Context, name string, s runbook.Secret, last runbook.Version) (runbook.Version, error) {
	if m.broken {
		return "", errors.New("disk full")
	}
	m.claims--
	m.broken = m.claims == 0
	return m.MemoryCredentials.Put(ctx, name, s, last)
}

// A refresh token that rotates is worth more than the call that was to be made:
// it is written before anything else happens.
func TestRotatedTokenIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, cfg := consented(t, "public")
		store := &moody{}
		got, err := cfg.Store.Get(t.Context(), "canvas")
		require.NoError(t, err)
		_, err = store.Put(t.Context(), "canvas", got.Secret, "")
		require.NoError(t, err)
		cfg.Store = store
		c := withAuth(t, fake, cfg)
		time.Sleep(time.Hour)
		store.broken, store.claims = true, 0
		_, err = c.Do(t.Context(), self, nil)
		require.ErrorContains(t, err, "disk full")
		assert.True(t, runbook.SafeToRetry(err), "the call itself was not sent")
		assert.Equal(t, 1, fake.Stats().Routes[tokenRoute], "what cannot be written is not asked for")
		// It breaks in between: the claim is written, the new token is not.
		store.broken, store.claims = false, 1
		_, err = c.Do(t.Context(), self, nil)
		require.ErrorContains(t, err, "disk full")
		store.broken = false
		_, err = c.Do(t.Context(), self, nil)
		require.NoError(t, err)
		assert.Equal(t, 2, fake.Stats().Routes[tokenRoute], "the exchange and one refresh")
		time.Sleep(time.Hour)
		_, err = withAuth(t, fake, cfg).Do(t.Context(), self, nil)
		require.NoError(t, err, "another process goes on from what was written")
	})
}

// What could not be written does not take the place of what somebody has
// authorized in the meantime.
func TestUnsavedTokensYieldToANewAuthorization(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, cfg := consented(t, "confidential")
		store := &moody{}
		got, err := cfg.Store.Get(t.Context(), "canvas")
		require.NoError(t, err)
		_, err = store.Put(t.Context(), "canvas", got.Secret, "")
		require.NoError(t, err)
		cfg.Store = store
		c := withAuth(t, fake, cfg)
		time.Sleep(time.Hour)
		store.claims = 1
		_, err = c.Do(t.Context(), self, nil)
		require.ErrorContains(t, err, "disk full")
		store.broken = false
		got, err = store.Get(t.Context(), "canvas")
		require.NoError(t, err)
		_, err = store.Put(t.Context(), "canvas", runbook.NewSecret("authorized anew"), got.Version)
		require.NoError(t, err)
		_, err = c.Do(t.Context(), self, nil)
		require.ErrorIs(t, err, canvas.ErrUnauthenticated, "the made-up token is the one that is used")
		got, err = store.Get(t.Context(), "canvas")
		require.NoError(t, err)
		assert.Contains(t, got.Secret.Reveal(), "authorized anew")
	})
}

// A code can be used once. If what it gave cannot be written, not even a store
// that is empty loses it.
func TestExchangeIntoAStoreThatCannotWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			return answering(200, `{"access_token":"a","refresh_token":"r","token_type":"Bearer","expires_in":3600}`).Transport.RoundTrip(r)
		})}
		store := &moody{broken: true}
		o, err := canvas.NewOAuth(canvas.OAuthConfig{BaseURL: "https://school.test", ClientID: "1", Store: store, Name: "canvas", HTTP: host})
		require.NoError(t, err)
		require.ErrorContains(t, o.Exchange(t.Context(), "code", ""), "disk full")
		store.broken = false
		token, err := o.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "a", token.Reveal())
	})
}

// A replica that is held up gives up before another takes over its claim. Two
// that go on side by side would use a refresh token that rotates twice, and lose
// both.
func TestReplicaThatIsHeldUpGivesUpItsClaim(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start, used := time.Now(), 0
		host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			if time.Since(start) < 65*time.Second {
				return answering(429, "slow down", "Content-Type", "text/plain", "X-Request-Cost", "", "X-Rate-Limit-Remaining", "", "Retry-After", "25").Transport.RoundTrip(r)
			}
			if used++; used > 1 {
				return answering(400, `{"error":"invalid_grant","error_description":"gone"}`).Transport.RoundTrip(r)
			}
			return answering(200, `{"access_token":"a2","refresh_token":"r2","token_type":"Bearer","expires_in":3600}`).Transport.RoundTrip(r)
		})}
		store := &runbook.MemoryCredentials{}
		_, err := store.Put(t.Context(), "canvas", runbook.NewSecret("r1"), "")
		require.NoError(t, err)
		replica := func() *canvas.OAuth {
			o, err := canvas.NewOAuth(canvas.OAuthConfig{BaseURL: "https://school.test", ClientID: "1", Store: store, Name: "canvas", HTTP: host})
			require.NoError(t, err)
			return o
		}
		first, second := replica(), replica()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := first.Token(t.Context())
			assert.ErrorIs(t, err, canvas.ErrThrottled)
			assert.True(t, runbook.SafeToRetry(err))
		})
		time.Sleep(time.Second)
		token, err := second.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "a2", token.Reveal())
		wg.Wait()
		token, err = first.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "a2", token.Reveal())
		assert.Equal(t, 1, used)
	})
}

// Requirement: CV-OAUTH-SHAPE
func TestOAuthErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake, cfg := consented(t, "confidential")
		time.Sleep(time.Hour)
		wrong := cfg
		wrong.ClientSecret = runbook.NewSecret("wrong-canary")
		_, err := withAuth(t, fake, wrong).Do(t.Context(), self, nil)
		require.ErrorIs(t, err, canvas.ErrUnauthenticated)
		assert.ErrorContains(t, err, "invalid_client")
		assert.NotContains(t, err.Error(), "canary")
		wrong = cfg
		wrong.Store = &runbook.MemoryCredentials{}
		_, err = withAuth(t, fake, wrong).Do(t.Context(), self, nil)
		require.ErrorIs(t, err, runbook.ErrNoCredential)
		_, err = wrong.Store.Put(t.Context(), "canvas", runbook.NewSecret("gone-canary"), "")
		require.NoError(t, err)
		_, err = withAuth(t, fake, wrong).Do(t.Context(), self, nil)
		require.ErrorIs(t, err, canvas.ErrUnauthenticated)
		assert.NotContains(t, err.Error(), "canary")
		fake.SetMaintenance(true)
		_, err = withAuth(t, fake, cfg).Do(t.Context(), self, nil)
		require.ErrorIs(t, err, canvas.ErrMaintenance)
	})
	_, err := canvas.NewOAuth(canvas.OAuthConfig{BaseURL: "http://school.test"})
	for _, want := range []string{"must be https", "ClientID", "Store and Name"} {
		assert.ErrorContains(t, err, want)
	}
}

const progressScope = "https://canvas.instructure.com/lti/progress/scope/show"

var toolKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// sign returns the assertion of a tool, as a host makes it with its JWT library.
func sign(client canvas.ID, audience string) runbook.Secret {
	part := func(v any) string {
		raw, _ := json.Marshal(v) // strings and numbers only
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	now := time.Now()
	text := part(map[string]any{"alg": "RS256", "typ": "JWT", "kid": "key-1"}) + "." + part(map[string]any{
		"iss": client.String(), "sub": client.String(), "aud": audience, "jti": rand.Text(),
		"iat": now.Add(-10 * time.Second).Unix(), "exp": now.Add(4 * time.Minute).Unix(),
	})
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(nil, toolKey(), crypto.SHA256, sum[:])
	if err != nil {
		panic(err)
	}
	return runbook.NewSecret(text + "." + base64.RawURLEncoding.EncodeToString(signature))
}

func newTool(fake *canvastest.Server) canvas.ID {
	n, e := toolKey().N.Bytes(), big.NewInt(int64(toolKey().E)).Bytes()
	return canvas.ID(fake.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{
		"is_lti_key": true, "scopes": []string{progressScope}, "public_jwk": map[string]any{
			"kty": "RSA", "kid": "key-1", "alg": "RS256", "use": "sig",
			"n": base64.RawURLEncoding.EncodeToString(n), "e": base64.RawURLEncoding.EncodeToString(e),
		},
	}))
}

// Requirement: CV-OAUTH-ASSERTION, CV-GOTCHA-16
func TestClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{ClockSkew: -5 * time.Second}
		client := newTool(fake)
		signed := 0
		cfg := canvas.ClientCredentialsConfig{
			BaseURL: "https://school.test", Scopes: []string{progressScope}, HTTP: fake.Client(),
			Assertion: func(_ context.Context, audience string) (runbook.Secret, error) {
				signed++
				return sign(client, audience), nil
			},
		}
		source, err := canvas.NewClientCredentials(cfg)
		require.NoError(t, err)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				token, err := source.Token(t.Context())
				assert.NoError(t, err)
				assert.False(t, token.IsZero())
			})
		}
		wg.Wait()
		assert.Equal(t, 1, signed)
		first, err := source.Token(t.Context())
		require.NoError(t, err)
		second, err := source.Renew(t.Context(), first)
		require.NoError(t, err)
		assert.False(t, second.Equal(first))
		third, err := source.Renew(t.Context(), first)
		require.NoError(t, err)
		assert.True(t, third.Equal(second), "it was renewed already")
		time.Sleep(56 * time.Minute)
		_, err = source.Token(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 3, signed, "replaced before it expires")
		// A key that was switched off.
		fake.Remove(canvastest.DeveloperKeys, int64(client))
		time.Sleep(time.Hour)
		_, err = source.Token(t.Context())
		require.ErrorIs(t, err, canvas.ErrUnauthenticated)
		assert.Zero(t, fake.Stats().Rejected)
	})
	_, err := canvas.NewClientCredentials(canvas.ClientCredentialsConfig{BaseURL: "https://school.test", TokenURL: "http://sso.test/x"})
	for _, want := range []string{"token URL: must be https", "Assertion", "Scopes"} {
		assert.ErrorContains(t, err, want)
	}
}
