package lti_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// A ring in a store: the first key is made, published and used; a new one is
// published before it signs.
func ExampleKeyRing() {
	ctx := context.Background()
	ring, err := lti.NewKeyRing(ctx, lti.KeyRingConfig{
		Store: new(runbook.MemoryCredentials), // of the host: its secrets manager
		Name:  "lti/keys",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/.well-known/jwks.json", ring.Handler())

	if _, err := ring.Rotate(ctx); err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range ring.Keys() {
		fmt.Println(key.State, key.Kid == ring.KeyID(), key.SignsFrom.Sub(key.Created))
	}

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	fmt.Println(w.Code, w.Header().Get("Cache-Control"), strings.Count(w.Body.String(), `"kid"`))
	// Output:
	// signing true 0s
	// waiting false 1h2m0s
	// 200 public, max-age=300 2
}

// What is wrong with the key in a variable, said without the key.
func ExampleParsePrivateKey() {
	_, err := lti.ParsePrivateKey(runbook.NewSecret("LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KQUFBQQotLS0tLUVORCBQVUJMSUMgS0VZLS0tLS0K"))
	fmt.Println(errors.Is(err, lti.BadKeyPublic))
	fmt.Println(err)
	// Output:
	// true
	// lti: private key: it is a public key or a certificate: the tool needs the private key that belongs to it
}
