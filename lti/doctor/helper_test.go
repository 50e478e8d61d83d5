package doctor_test

import (
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/lti/ltitest"
)

func mustJWK(k map[string]any) []byte {
	b, err := json.Marshal(k)
	if err != nil {
		panic(err)
	}
	return b
}

func mustSet(keys ...map[string]any) []byte { return mustJWK(map[string]any{"keys": keys}) }

func thumbprintOf(t testing.TB, key *rsa.PublicKey) string {
	t.Helper()
	all, err := doctor.Thumbprints(mustSet(ltitest.PublicJWK(key, "x")))
	require.NoError(t, err)
	return all["x"]
}

// smallNumber is a number of 1024 bits.
func smallNumber() *big.Int {
	n := new(big.Int).Lsh(big.NewInt(1), 1023)
	return n.Add(n, big.NewInt(643))
}

func smallPublic() *rsa.PublicKey { return &rsa.PublicKey{N: smallNumber(), E: 65537} }

// smallKey is the PEM of what looks like an RSA key of 1024 bits.
func smallKey() []byte {
	small, one := smallNumber(), big.NewInt(1)
	k := struct {
		Version                       int
		N                             *big.Int
		E                             int
		D, P, Q, DP, DQ, Coefficients *big.Int
	}{0, small, 65537, one, one, one, one, one, one}
	der, err := asn1.Marshal(k)
	if err != nil {
		panic(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: der})
}
