package ltitest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	_ "embed" // for the test keys
	"encoding/pem"
	"sync"
)

// Making an RSA key takes a tenth of a second or more, so the keys of tests are
// made already. Everybody has them.
//
//go:embed testkeys.pem
var testKeysPEM []byte

// testKeys are the keys by name.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := make(map[string]crypto.Signer)
	for rest := testKeysPEM; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return keys
		}
		key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if err != nil {
			panic("ltitest: test key " + block.Headers["Test-Key"] + ": " + err.Error())
		}
		keys[block.Headers["Test-Key"]], _ = key.(crypto.Signer)
	}
})

func testRSA(name string) *rsa.PrivateKey {
	key, ok := testKeys()[name].(*rsa.PrivateKey)
	if !ok {
		panic("ltitest: there is no RSA test key " + name)
	}
	return key
}

func testEC() *ecdsa.PrivateKey {
	key, ok := testKeys()["ec"].(*ecdsa.PrivateKey)
	if !ok {
		panic("ltitest: there is no EC test key")
	}
	return key
}

// ToolKey returns an RSA key of 2048 bits for a tool under test, without the
// time that making one takes; i is 0 or 1. The keys are published with this
// package: never use them outside of tests.
func ToolKey(i int) *rsa.PrivateKey {
	if i == 0 {
		return testRSA("tool-1")
	}
	return testRSA("tool-2")
}

// AttackerKey returns an RSA key of 2048 bits that belongs to nobody who is
// trusted, for tokens that must be refused.
func AttackerKey() *rsa.PrivateKey { return testRSA("attacker") }
