package ltitest_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// keySet fetches the platform's keys.
func (w *world) keySet() (set map[string]*rsa.PublicKey, kids []string, r *reply) {
	w.t.Helper()
	r = w.do(http.MethodGet, w.p.Endpoints().JWKSURL, nil)
	set = make(map[string]*rsa.PublicKey)
	keys, _ := r.json(w.t)["keys"].([]any)
	for _, k := range keys {
		o, _ := k.(map[string]any)
		kids = append(kids, text(o, "kid"))
		if o["kty"] != "RSA" {
			continue
		}
		n, err := base64.RawURLEncoding.DecodeString(text(o, "n"))
		require.NoError(w.t, err)
		set[text(o, "kid")] = &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: 65537}
	}
	return set, kids, r
}

func verifies(t testing.TB, token string, set map[string]*rsa.PublicKey) bool {
	t.Helper()
	parts := strings.Split(token, ".")
	require.Len(t, parts, 3)
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	require.NoError(t, err)
	var header map[string]any
	require.NoError(t, json.Unmarshal(raw, &header))
	key := set[text(header, "kid")]
	signature, err := base64.RawURLEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return key != nil && rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], signature) == nil
}

// TestKeys: the past, the present and the future key are published; the present
// one signs; a rotation takes each a step further.
func TestKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		before := w.p.KeyIDs()
		set, kids, r := w.keySet()
		assert.Equal(t, before[:], kids)
		if w.p.Canvas {
			assert.Contains(t, r.header.Get("Cache-Control"), "max-age=864000")
		}
		old := w.p.SignIDToken(map[string]any{"iss": "x"}, ltitest.Signing{})
		assert.True(t, verifies(t, old, set))
		w.p.RotateKeys()
		after := w.p.KeyIDs()
		assert.Equal(t, before[1:], after[:2])
		assert.NotContains(t, before, after[2])
		fresh := w.p.SignIDToken(map[string]any{"iss": "x"}, ltitest.Signing{})
		assert.True(t, verifies(t, fresh, set), "the key was published before")
		set, _, _ = w.keySet()
		assert.True(t, verifies(t, old, set), "the past key is still there")
		w.p.RotateKeys()
		set, _, _ = w.keySet()
		assert.False(t, verifies(t, old, set))
		w.p.ReplaceKeys()
		assert.False(t, verifies(t, w.p.SignIDToken(map[string]any{}, ltitest.Signing{}), set))
	})
}

// TestKeySetOverride: what else may be published.
func TestKeySetOverride(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{OddKeys: true})
	_, kids, _ := w.keySet()
	assert.Len(t, kids, 8)
	double := w.p.PresentJWK()
	double["n"] = ltitest.PublicJWK(&ltitest.AttackerKey().PublicKey, "")["n"]
	w.p.OverrideKeySet(&ltitest.KeySetOverride{Keys: []any{"garbage", double}, MaxAge: -1, Pad: 1000})
	r := w.do(http.MethodGet, w.p.Endpoints().JWKSURL, nil)
	assert.Empty(t, r.header.Get("Cache-Control"))
	assert.Greater(t, len(r.body), 1000)
	assert.Equal(t, "garbage", r.json(t)["keys"].([]any)[0])
	w.p.OverrideKeySet(&ltitest.KeySetOverride{Body: []byte("<html>")})
	assert.Equal(t, "<html>", string(w.do(http.MethodGet, w.p.Endpoints().JWKSURL, nil).body))
	w.p.OverrideKeySet(&ltitest.KeySetOverride{Redirect: "https://evil.example/jwks"})
	req, err := http.NewRequest(http.MethodGet, w.p.Endpoints().JWKSURL, nil)
	require.NoError(t, err)
	_, err = w.http.Do(req)
	require.ErrorContains(t, err, "no such host")
	assert.Equal(t, 1, w.p.Count(ltitest.Elsewhere), "who follows is seen")
	w.p.OverrideKeySet(nil)
	_, kids, _ = w.keySet()
	assert.Len(t, kids, 8)
}

// TestSigning: what a forgery is made of.
func TestSigning(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	header := func(token string) string {
		raw, err := base64.RawURLEncoding.DecodeString(strings.SplitN(token, ".", 2)[0])
		require.NoError(t, err)
		return string(raw)
	}
	kid := w.p.KeyIDs()[1]
	for want, how := range map[string]ltitest.Signing{
		`{"alg":"RS256","kid":"` + kid + `","typ":"JWT"}`:          {},
		`{"alg":"RS512","kid":"` + kid + `","typ":"JWT"}`:          {Alg: "RS512"},
		`{"alg":"PS256","kid":"` + kid + `","typ":"JWT"}`:          {Alg: "PS256"},
		`{"alg":"HS256","kid":"x","typ":"JWT"}`:                    {Key: []byte("secret"), KID: "x"},
		`{"alg":"RS384","typ":"JWT"}`:                              {Alg: "RS384", Header: map[string]any{"kid": nil}},
		`{"alg":"none","jku":"u","kid":"` + kid + `","typ":"JWT"}`: {Alg: "none", Header: map[string]any{"jku": "u"}},
	} {
		assert.Equal(t, want, header(w.p.SignIDToken(map[string]any{}, how)))
	}
	assert.Panics(t, func() { w.p.SignIDToken(map[string]any{}, ltitest.Signing{Key: "no key"}) })
	assert.Panics(t, func() { w.p.SignIDToken(map[string]any{}, ltitest.Signing{Alg: "RS1"}) })
	assert.Panics(t, func() { w.p.SignIDToken(map[string]any{"f": func() {}}, ltitest.Signing{}) })
	assert.NotEqual(t, ltitest.ToolKey(0).N, ltitest.ToolKey(1).N)
}
