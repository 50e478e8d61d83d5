package lti_test

import (
	"context"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// The key of RFC 7638, section 3.1, gets the name that the RFC gives it.
//
// Requirement: LTI-GOTCHA-22
func TestThumbprint(t *testing.T) {
	const n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W" +
		"-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdk" +
		"t-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
	number, err := base64.RawURLEncoding.DecodeString(n)
	require.NoError(t, err)
	kid, text, err := lti.PublicJWK(new(big.Int).SetBytes(number), 65537)
	require.NoError(t, err)
	assert.Equal(t, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", kid)
	assert.Equal(t, kid, thumbprint(n, "AQAB"))
	assert.JSONEq(t, `{"kty":"RSA","use":"sig","alg":"RS256","e":"AQAB","kid":"`+kid+`","n":"`+n+`"}`, string(text))
}

// A published key has what Canvas demands and nothing else: no private number.
//
// Requirement: LTI-GOTCHA-22, LTI-CANVAS-KEY-FIELDS
func TestKeySetFields(t *testing.T) {
	keys := ringTestKeys()
	stored := storedRing(t, seeded(t, pkcs1(keys[0])), nil)
	_, err := stored.Rotate(t.Context())
	require.NoError(t, err)
	for name, ring := range map[string]*lti.KeyRing{"fixed": fixedRing(t, pkcs1(keys[0]), pkcs8(keys[1])), "stored": stored} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			ring.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
			assert.Equal(t, w.Body.String(), string(ring.PublicSet()))
			var set map[string][]map[string]any
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &set))
			require.Equal(t, []string{"keys"}, slices.Collect(maps.Keys(set)))
			require.Len(t, set["keys"], 2)
			for i, key := range set["keys"] {
				assert.Equal(t, []string{"alg", "e", "kid", "kty", "n", "use"}, slices.Sorted(maps.Keys(key)))
				assert.Equal(t, "RS256", key["alg"])
				assert.Equal(t, "sig", key["use"])
				assert.Equal(t, "RSA", key["kty"])
				assert.Equal(t, "AQAB", key["e"])
				n, _ := key["n"].(string)
				assert.Equal(t, thumbprint(n, "AQAB"), key["kid"])
				assert.Equal(t, ring.Keys()[i].Kid, key["kid"])
			}
			assert.Equal(t, base64.RawURLEncoding.EncodeToString(keys[0].N.Bytes()), set["keys"][0]["n"], "the one that signs is first")
			for _, private := range keys {
				for _, number := range [][]byte{private.D.Bytes(), private.Primes[0].Bytes(), private.Primes[1].Bytes(), private.Precomputed.Dp.Bytes()} {
					assert.NotContains(t, w.Body.String(), base64.RawURLEncoding.EncodeToString(number))
				}
			}
		})
	}
}

// The set that is returned is the caller's own.
func TestPublicSetIsACopy(t *testing.T) {
	ring := fixedRing(t, pkcs8(ringTestKeys()[0]))
	before := string(ring.PublicSet())
	clear(ring.PublicSet())
	ring.Keys()[0].Kid = "another"
	assert.Equal(t, before, string(ring.PublicSet()))
	assert.Equal(t, ring.KeyID(), ring.Keys()[0].Kid)
}

// The key set is served from memory, to be kept for a while and asked for again
// by its tag.
//
// Requirement: LTI-CANVAS-JWKS-UP, LTI-GOTCHA-22
func TestKeySetHandler(t *testing.T) {
	down := &faultyStore{MemoryCredentials: seeded(t, pkcs8(ringTestKeys()[0]))}
	ring := storedRing(t, down, nil)
	down.get = func() error { return errors.New("the store is down") }
	handler := ring.Handler()
	tag := func() string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
		return w.Header().Get("Etag")
	}
	etag := tag()
	assert.Regexp(t, `^"[\w-]{16}"$`, etag, "strong")
	for _, test := range []struct {
		name, method, match string
		status              int
		body                bool
	}{
		{"GET", "GET", "", 200, true},
		{"HEAD", "HEAD", "", 200, false},
		{"same", "GET", etag, 304, false},
		{"same by HEAD", "HEAD", etag, 304, false},
		{"same, made weak by a proxy", "GET", "W/" + etag, 304, false},
		{"one of several", "GET", `"a", ` + etag, 304, false},
		{"any", "GET", "*", 304, false},
		{"another", "GET", `"another"`, 200, true},
		{"nonsense", "GET", `",,"W/`, 200, true},
		{"POST", "POST", "", 405, true},
		{"PUT", "PUT", etag, 405, true},
		{"OPTIONS", "OPTIONS", "", 405, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequest(test.method, "/jwks", nil)
			if test.match != "" {
				r.Header.Set("If-None-Match", test.match)
			}
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, r)
			h := w.Header()
			assert.Equal(t, test.status, w.Code)
			assert.Equal(t, test.body, w.Body.Len() > 0)
			assert.Equal(t, "nosniff", h.Get("X-Content-Type-Options"))
			switch test.status {
			case 405:
				assert.Equal(t, "GET, HEAD", h.Get("Allow"))
				assert.Empty(t, h.Get("Etag"))
				return
			case 200:
				assert.Equal(t, "application/json", h.Get("Content-Type"))
				assert.Equal(t, fmt.Sprint(len(ring.PublicSet())), h.Get("Content-Length"))
			}
			assert.Equal(t, etag, h.Get("Etag"))
			assert.Equal(t, "public, max-age=300", h.Get("Cache-Control"))
		})
	}
	down.get = nil
	_, err := ring.Rotate(t.Context())
	require.NoError(t, err)
	assert.NotEqual(t, etag, tag(), "another set has another tag")
}

// MaxAge is for caches, and never longer than a new key waits.
func TestKeySetMaxAge(t *testing.T) {
	for _, test := range []struct {
		lead, age time.Duration
		want      string
	}{
		{0, 0, "public, max-age=300"}, {0, time.Minute, "public, max-age=60"}, {time.Minute, 0, "public, max-age=60"},
		{-1, 0, "public, max-age=300"}, {-1, time.Hour, "public, max-age=3600"}, {0, -1, "no-cache"},
	} {
		ring := storedRing(t, seeded(t, pkcs8(ringTestKeys()[0])), func(c *lti.KeyRingConfig) { c.Lead, c.MaxAge = test.lead, test.age })
		w := httptest.NewRecorder()
		ring.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/jwks", nil))
		assert.Equal(t, test.want, w.Header().Get("Cache-Control"), "%v", test)
	}
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

// Signing, publishing and rotating at the same time: each signature verifies with
// the set that is fetched after it.
func TestKeyRingConcurrently(t *testing.T) {
	store := seeded(t, pkcs8(ringTestKeys()[0]))
	ring := storedRing(t, store, func(c *lti.KeyRingConfig) { c.Lead = -1 })
	other := storedRing(t, store, nil)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for ctx.Err() == nil {
				token, err := ring.Sign(map[string]any{"iss": "a"})
				if err == nil {
					err = verifyNow(token, ring)
				}
				if err != nil {
					t.Error(err)
					return
				}
				_, _, _ = ring.Keys(), ring.KeyID(), ring.PublicSet()
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := errors.Join(ring.Reload(ctx), other.Reload(ctx)); err != nil && ctx.Err() == nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[string]bool{ring.KeyID(): true}
	for range 4 {
		info, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Equal(t, lti.KeySigning, info.State)
		assert.False(t, seen[info.Kid], "never a kid twice")
		seen[info.Kid] = true
	}
	stop()
	wg.Wait()
	require.NoError(t, other.Reload(t.Context()))
	assert.Empty(t, cmp.Diff(ring.Keys(), other.Keys()))
}

// Tools that share keys and rotate them: no signature is refused, neither by a
// platform that fetches the set each time nor by one that keeps it for an hour.
// The set comes from another replica than the signature.
//
// Requirement: LTI-GOTCHA-22
func TestRotationRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := seeded(t, pkcs8(ringTestKeys()[0]))
		replicas := []*lti.KeyRing{storedRing(t, store, nil), storedRing(t, store, nil)}
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, ring := range replicas {
			time.Sleep(time.Duration(i) * 17 * time.Second)
			wg.Go(func() { assert.ErrorIs(t, ring.Run(ctx), context.Canceled) })
		}
		signedBy := map[string]int{}
		var cached map[string]*rsa.PublicKey
		var cachedAt time.Time
		type sent struct {
			token string
			at    time.Time
		}
		var late []sent // tokens that are verified an hour after they were signed
		for minute := range 60 * 60 / 2 {
			time.Sleep(2*time.Minute - 7*time.Second)
			if minute%450 == 100 { // every 15 hours, on either
				_, err := replicas[minute/450%2].Rotate(ctx)
				require.NoError(t, err)
			}
			time.Sleep(7 * time.Second)
			signer, server := replicas[minute%2], replicas[(minute+1)%2]
			if minute%450 == 101 {
				signer, server = server, signer
			}
			if time.Since(cachedAt) >= time.Hour {
				_, cached = fetchSet(server)
				cachedAt = time.Now()
			}
			token, err := signer.Sign(map[string]any{"iss": "a"})
			require.NoError(t, err)
			require.NoError(t, verify(token, cached), "kept for an hour, minute %d", minute)
			require.NoError(t, verifyNow(token, server), "fetched each time, minute %d", minute)
			signedBy[signer.KeyID()]++
			late = append(late, sent{token, time.Now()})
			for len(late) > 0 && time.Since(late[0].at) >= time.Hour {
				require.NoError(t, verifyNow(late[0].token, server), "late")
				late = late[1:]
			}
		}
		assert.Len(t, signedBy, 5, "it did rotate")
		assert.LessOrEqual(t, len(kids(replicas[0])), 3, "old keys did leave")
		stop()
		wg.Wait()
	})
}

// A ring follows the clock by itself: a new key waits, signs, and what it
// replaces retires.
//
// Requirement: LTI-GOTCHA-22
func TestRingFollowsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		ring := storedRing(t, new(runbook.MemoryCredentials), nil)
		first := ring.KeyID()
		assert.Empty(t, cmp.Diff([]lti.KeyInfo{{Kid: first, State: lti.KeySigning, Created: began, SignsFrom: began}}, ring.Keys()))
		assert.Equal(t, []string{first}, kids(ring))

		time.Sleep(10 * time.Minute)
		second, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		rotated := time.Now().UTC()
		signs := rotated.Add(time.Hour + 2*time.Minute) // Lead, and two readings of the others
		retires := signs.Add(24 * time.Hour)
		assert.Empty(t, cmp.Diff(lti.KeyInfo{Kid: second.Kid, State: lti.KeyWaiting, Created: rotated, SignsFrom: signs}, second))
		assert.Equal(t, first, ring.KeyID(), "published before it signs")
		assert.Equal(t, []string{first, second.Kid}, kids(ring))
		again, err := ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Empty(t, cmp.Diff(second, again), "a key that waits is enough")

		time.Sleep(time.Until(signs) - 1)
		assert.Equal(t, first, ring.KeyID())
		time.Sleep(1)
		assert.Equal(t, second.Kid, ring.KeyID())
		assert.Equal(t, []string{second.Kid, first}, kids(ring))
		assert.Empty(t, cmp.Diff([]lti.KeyInfo{
			{Kid: second.Kid, State: lti.KeySigning, Created: rotated, SignsFrom: signs},
			{Kid: first, State: lti.KeyReplaced, Created: began, SignsFrom: began, RetiresAt: retires},
		}, ring.Keys()))

		time.Sleep(time.Until(retires) - 1)
		assert.Equal(t, []string{second.Kid, first}, kids(ring))
		time.Sleep(1)
		assert.Equal(t, []string{second.Kid}, kids(ring))
		assert.Equal(t, []string{"signing"}, states(ring))
	})
}

// With Lead less than zero a new key signs at once; the number of keys is
// limited.
func TestRotateAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ring := storedRing(t, seeded(t, pkcs8(ringTestKeys()[0])), func(c *lti.KeyRingConfig) { c.Lead = -1 })
		for i := range 15 {
			info, err := ring.Rotate(t.Context())
			require.NoError(t, err)
			require.Equal(t, lti.KeySigning, info.State)
			require.Equal(t, info.Kid, ring.KeyID())
			require.Len(t, kids(ring), i+2)
		}
		_, err := ring.Rotate(t.Context())
		assert.ErrorContains(t, err, "wait until the first of them retires")
		time.Sleep(24 * time.Hour)
		_, err = ring.Rotate(t.Context())
		require.NoError(t, err)
		assert.Len(t, kids(ring), 2)
	})
}
