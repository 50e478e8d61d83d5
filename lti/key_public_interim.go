//go:build !jwxkeys

package lti

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
)

// Until go.mod has the dependencies of jwx/v3/jwk: key_public.go replaces this
// file.

// publicJWK returns the kid of a public key and the key as a JWK. It gets only
// the two public numbers, so that it cannot publish others.
func publicJWK(n *big.Int, e int) (kid string, text []byte, err error) {
	enc := base64.RawURLEncoding
	nn, ee := enc.EncodeToString(n.Bytes()), enc.EncodeToString(big.NewInt(int64(e)).Bytes())
	sum := sha256.Sum256(fmt.Appendf(nil, `{"e":%q,"kty":"RSA","n":%q}`, ee, nn))
	kid = enc.EncodeToString(sum[:])
	text, err = json.Marshal(map[string]string{"alg": "RS256", "e": ee, "kid": kid, "kty": "RSA", "n": nn, "use": "sig"})
	return kid, text, err
}
