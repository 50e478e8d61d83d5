package lti_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

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
