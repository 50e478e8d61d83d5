package lti_test

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// noWriter is a ResponseWriter that costs nothing.
type noWriter struct{ header http.Header }

func (w noWriter) Header() http.Header         { return w.header }
func (w noWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w noWriter) WriteHeader(int)             {}

// A key set of two keys, served from memory. Target: less than a microsecond;
// nothing that RSA does is that fast.
func BenchmarkKeySet(b *testing.B) {
	ring := fixedRing(b, pkcs8(ringTestKeys()[0]), pkcs8(ringTestKeys()[1]))
	waiting := storedRing(b, seeded(b, pkcs8(ringTestKeys()[0])), nil)
	if _, err := waiting.Rotate(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, bench := range []struct {
		name    string
		handler http.Handler
		match   string
	}{
		{"fixed", ring.Handler(), ""},
		{"stored, with a change to come", waiting.Handler(), ""},
		{"not modified", ring.Handler(), "yes"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodGet, "/jwks", nil)
			w := noWriter{make(http.Header, 8)}
			bench.handler.ServeHTTP(w, r)
			if bench.match != "" {
				r.Header.Set("If-None-Match", w.header.Get("Etag"))
			}
			b.ReportAllocs()
			for b.Loop() {
				bench.handler.ServeHTTP(w, r)
			}
		})
	}
}

// An assertion for a token endpoint. Target: at most a tenth above the floor,
// which is the RSA signature alone.
func BenchmarkSign(b *testing.B) {
	key := ringTestKeys()[0]
	now := time.Now()
	claims := map[string]any{
		"iss": "10000000000042", "sub": "10000000000042", "aud": "https://sso.canvaslms.com/login/oauth2/token",
		"iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "jti": "JBSWY3DPEHPK3PXPJBSWY3DPEH",
	}
	b.Run("KeyRing", func(b *testing.B) {
		ring := fixedRing(b, pkcs8(key))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ring.Sign(claims); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		sum := sha256.Sum256([]byte("text"))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, sum[:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
