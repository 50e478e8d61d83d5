package lti

import (
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// publicJWK returns the kid of a public key and the key as a JWK. It gets only
// the two public numbers, so that it cannot publish others.
func publicJWK(n *big.Int, e int) (kid string, text []byte, err error) {
	key, err := jwk.Import(&rsa.PublicKey{N: n, E: e})
	if err != nil {
		return "", nil, fmt.Errorf("lti: make a JWK: %w", err)
	}
	sum, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", nil, fmt.Errorf("lti: make a thumbprint: %w", err)
	}
	kid = base64.RawURLEncoding.EncodeToString(sum)
	for name, value := range map[string]any{
		jwk.KeyIDKey: kid, jwk.AlgorithmKey: jwa.RS256(), jwk.KeyUsageKey: jwk.ForSignature,
	} {
		if err := key.Set(name, value); err != nil {
			return "", nil, fmt.Errorf("lti: make a JWK: %w", err)
		}
	}
	if text, err = json.Marshal(key); err != nil {
		return "", nil, fmt.Errorf("lti: write a JWK: %w", err)
	}
	return kid, text, nil
}
