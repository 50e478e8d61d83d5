//go:build !jwxkeys

package lti

// Until go.mod has the dependencies of jwx/v3/jwk: keysets_parse.go replaces
// this file.

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

func parseKeySet(body []byte) (map[string]*rsa.PublicKey, []string, error) {
	var set struct {
		Keys []struct{ Kty, Kid, Use, Alg, N, E string } `json:"keys"`
	}
	if err := json.Unmarshal(body, &set); err != nil {
		return nil, nil, errors.New("the answer is not a key set")
	}
	keys := make(map[string]*rsa.PublicKey)
	var skipped []string
	for i, k := range set.Keys {
		n, err := base64.RawURLEncoding.DecodeString(k.N)
		e, err2 := base64.RawURLEncoding.DecodeString(k.E)
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if err != nil || err2 != nil || k.Kty != "RSA" || k.Kid == "" || k.Use == "enc" || key.N.BitLen() < minPlatformBits {
			skipped = append(skipped, fmt.Sprintf("entry %d", i+1))
			continue
		}
		keys[k.Kid] = key
	}
	return keys, skipped, nil
}
