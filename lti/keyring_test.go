package lti_test

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/davecgh/go-spew/spew"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

const ringName = "lti/keys"

// fixedRing is a ring of fixed keys.
func fixedRing(t testing.TB, texts ...string) *lti.KeyRing {
	t.Helper()
	var cfg lti.KeyRingConfig
	for _, text := range texts {
		cfg.Keys = append(cfg.Keys, runbook.NewSecret(text))
	}
	ring, err := lti.NewKeyRing(t.Context(), cfg)
	require.NoError(t, err)
	return ring
}

// storedRing is a ring in a store.
func storedRing(t testing.TB, store runbook.CredentialStore, change func(*lti.KeyRingConfig)) *lti.KeyRing {
	t.Helper()
	cfg := lti.KeyRingConfig{Store: store, Name: ringName, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	ring, err := lti.NewKeyRing(t.Context(), cfg)
	require.NoError(t, err)
	return ring
}

// seeded is a store that has one key, as a variable has it.
func seeded(t testing.TB, text string) *runbook.MemoryCredentials {
	t.Helper()
	store := new(runbook.MemoryCredentials)
	_, err := store.Put(t.Context(), ringName, runbook.NewSecret(text), "")
	require.NoError(t, err)
	return store
}

// contents is what a store has under the ring's name.
func contents(t testing.TB, store runbook.CredentialStore) string {
	t.Helper()
	c, err := store.Get(t.Context(), ringName)
	require.NoError(t, err)
	return c.Secret.Reveal()
}

// fetchSet gets the key set as a platform does, without our libraries.
func fetchSet(ring *lti.KeyRing) (ids []string, set map[string]*rsa.PublicKey) {
	w := httptest.NewRecorder()
	ring.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
	var wire struct {
		Keys []struct{ Kid, N, E string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &wire); err != nil {
		panic(err)
	}
	set = make(map[string]*rsa.PublicKey)
	for _, key := range wire.Keys {
		n, _ := base64.RawURLEncoding.DecodeString(key.N)
		e, _ := base64.RawURLEncoding.DecodeString(key.E)
		ids = append(ids, key.Kid)
		set[key.Kid] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	}
	return ids, set
}

// kids are the ids in a ring's key set, in its order.
func kids(ring *lti.KeyRing) []string {
	ids, _ := fetchSet(ring)
	return ids
}

// verify checks a token with a key set, as a platform does.
func verify(token string, set map[string]*rsa.PublicKey) error {
	_, err := jwt.Parse(token, func(t *jwt.Token) (any, error) {
		kid, _ := t.Header["kid"].(string)
		key, ok := set[kid]
		if !ok {
			return nil, fmt.Errorf("no key %q", kid)
		}
		return key, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	return err
}

// verifyNow checks a token with the set that a ring publishes now.
func verifyNow(token string, ring *lti.KeyRing) error {
	_, set := fetchSet(ring)
	return verify(token, set)
}

func states(ring *lti.KeyRing) (all []string) {
	for _, key := range ring.Keys() {
		all = append(all, string(key.State))
	}
	return all
}

// thumbprint computes an RFC 7638 thumbprint by hand.
func thumbprint(n, e string) string {
	sum := sha256.Sum256([]byte(`{"e":"` + e + `","kty":"RSA","n":"` + n + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// All problems of a configuration are reported, without a part of a key.
func TestNewKeyRingConfig(t *testing.T) {
	good := pkcs8(ringTestKeys()[0])
	store := new(runbook.MemoryCredentials)
	secret := runbook.NewSecret
	for _, test := range []struct {
		name string
		cfg  lti.KeyRingConfig
		want []string
	}{
		{"nothing", lti.KeyRingConfig{}, []string{"neither Keys nor Store"}},
		{"both", lti.KeyRingConfig{Keys: []runbook.Secret{secret(good)}, Store: store, Name: "a"}, []string{"both set"}},
		{"several", lti.KeyRingConfig{Store: store, Overlap: -1, Reload: -1, MaxAge: 2 * time.Hour}, []string{"Name", "Overlap", "Reload", "MaxAge (2h0m0s) is longer than Lead (1h0m0s)"}},
		{"bad keys", lti.KeyRingConfig{Keys: []runbook.Secret{secret(good), secret("what"), {}}}, []string{"Keys[1]", "base64", "Keys[2]", "empty"}},
		{"one key twice", lti.KeyRingConfig{Keys: []runbook.Secret{secret(good), secret(b64(pkcs1(ringTestKeys()[0])))}}, []string{"Keys[1]", "twice"}},
		{"too many", lti.KeyRingConfig{Keys: make([]runbook.Secret, 17)}, []string{"17 keys"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			ring, err := lti.NewKeyRing(t.Context(), test.cfg)
			require.Error(t, err)
			assert.Nil(t, ring)
			for _, want := range test.want {
				assert.ErrorContains(t, err, want)
			}
			noPartOf(t, err.Error(), good)
		})
	}
	_, err := store.Get(t.Context(), "a")
	assert.ErrorIs(t, err, runbook.ErrNoCredential, "nothing is stored for a configuration that is wrong")
}

// Fixed keys: the first signs, the others are published, and only the host
// changes them.
func TestFixedKeys(t *testing.T) {
	keys := ringTestKeys()
	ring := fixedRing(t, b64(pkcs8(keys[0])), pkcs1(keys[1]), pkcs8(keys[2]))
	assert.Equal(t, []string{"signing", "published", "published"}, states(ring))
	assert.Equal(t, ring.KeyID(), kids(ring)[0])
	for i, key := range keys {
		assert.Equal(t, thumbprint(base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "AQAB"), ring.Keys()[i].Kid)
	}
	token, err := ring.Sign(map[string]any{"iss": "a"})
	require.NoError(t, err)
	assert.NoError(t, verifyNow(token, ring))

	_, err = ring.Rotate(t.Context())
	assert.ErrorIs(t, err, lti.ErrFixedKeys)
	assert.ErrorContains(t, err, "second of Keys")
	assert.ErrorIs(t, ring.Revoke(t.Context(), ring.KeyID()), lti.ErrFixedKeys)
	assert.NoError(t, ring.Reload(t.Context()))
	assert.Len(t, kids(ring), 3)
}

// What is signed says by which key, and has the claims as they are.
func TestSign(t *testing.T) {
	ring := fixedRing(t, pkcs8(ringTestKeys()[0]))
	claims := map[string]any{"iss": "10000000000042", "aud": "https://a.example/<token>?a&b", "iat": 1_700_000_000, "items": []any{}}
	text, err := ring.Sign(claims)
	require.NoError(t, err)
	assert.Len(t, claims, 4, "unchanged")
	require.NoError(t, verifyNow(text, ring))
	parts := strings.Split(text, ".")
	var header, payload map[string]any
	for i, into := range []*map[string]any{&header, &payload} {
		b, err := base64.RawURLEncoding.DecodeString(parts[i])
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, into))
	}
	assert.Empty(t, cmp.Diff(map[string]any{"alg": "RS256", "typ": "JWT", "kid": ring.KeyID()}, header))
	assert.Empty(t, cmp.Diff(map[string]any{"iss": "10000000000042", "aud": "https://a.example/<token>?a&b", "iat": 1.7e9, "items": []any{}}, payload))

	_, err = ring.Sign(map[string]any{"what": make(chan int)})
	assert.ErrorContains(t, err, "lti: key ring: sign")
}

// No printer finds a private key in a ring.
func TestKeyRingIsNotPrinted(t *testing.T) {
	key := ringTestKeys()[0]
	ring := storedRing(t, seeded(t, pkcs8(key)), nil)
	out := fmt.Sprintf("%v %+v %#v", ring, ring, ring) + spew.Sdump(ring)
	assert.NotContains(t, out, key.D.String())
	assert.NotContains(t, out, key.Primes[0].String())
	noPartOf(t, out, pkcs8(key)[28:])
	for _, word := range key.D.Bits()[:4] {
		assert.NotContains(t, out, fmt.Sprint(uint(word)))
		assert.NotContains(t, strings.ToLower(out), fmt.Sprintf("%x", uint(word)))
	}
}

// Rings in one store do not touch each other.
func TestKeyRingsAreApart(t *testing.T) {
	store := new(runbook.MemoryCredentials)
	one := storedRing(t, store, nil)
	two := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Name = "other" })
	before := two.Keys()
	_, err := one.Rotate(t.Context())
	require.NoError(t, err)
	require.NoError(t, two.Reload(t.Context()))
	assert.Empty(t, cmp.Diff(before, two.Keys()))
	assert.NotEqual(t, one.KeyID(), two.KeyID())
}
