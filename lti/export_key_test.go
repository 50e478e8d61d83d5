package lti

import "math/big"

// PublicJWK is what makes the published form of a key, and its name.
func PublicJWK(n *big.Int, e int) (kid string, text []byte, err error) { return publicJWK(n, e) }
