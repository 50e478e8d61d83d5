package lti

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"

	"go.acu.edu.au/runbook"
)

// Sizes of the tool's keys, in bits. RS256 needs 2048 (RFC 7518, section 3.3);
// above 8192 a signature takes longer than a platform should wait.
const (
	newKeyBits = 2048
	minKeyBits = 2048
	maxKeyBits = 8192
)

// A KeyProblem is what is wrong with a private key. It is an error, so that
// errors.Is(err, lti.BadKeyPublic) works on what [ParsePrivateKey] returns; its
// text is a stable word.
type KeyProblem string

// Error returns the word.
func (p KeyProblem) Error() string { return string(p) }

// Problems of a private key, in the order in which they are looked for.
const (
	BadKeyEmpty        KeyProblem = "empty"        // there is nothing
	BadKeyTooLong      KeyProblem = "too_long"     // no key is that long
	BadKeyForm         KeyProblem = "form"         // a key in another form: JWK, OpenSSH, PuTTY, several primes
	BadKeyEncoding     KeyProblem = "encoding"     // neither base64 nor PEM
	BadKeyTwice        KeyProblem = "twice"        // base64 of base64
	BadKeyDER          KeyProblem = "der"          // base64 of a key without the lines that make it a PEM
	BadKeyNotPEM       KeyProblem = "not_pem"      // base64 of something that is no PEM
	BadKeySeveral      KeyProblem = "several"      // more than one private key
	BadKeyPublic       KeyProblem = "public"       // a public key, or a certificate
	BadKeyEncrypted    KeyProblem = "encrypted"    // protected by a passphrase
	BadKeyDamaged      KeyProblem = "damaged"      // a PEM that was cut, or has bytes that do not belong there
	BadKeyNotRSA       KeyProblem = "not_rsa"      // an EC, Ed25519, DSA or RSA-PSS key
	BadKeySize         KeyProblem = "size"         // less than 2048 bits, or more than 8192
	BadKeyInconsistent KeyProblem = "inconsistent" // its numbers do not fit together
)

// keyAdvice says what each problem means, and what to do.
var keyAdvice = map[KeyProblem]string{
	BadKeyEmpty:        "it is empty: set the variable to the base64 of the PEM",
	BadKeyTooLong:      "it is too long to be a key: store one key only, as the base64 of its PEM",
	BadKeyForm:         "it is in a form that is not taken here: convert it with openssl pkcs8 -topk8 -nocrypt (an OpenSSH key with ssh-keygen -p -m PEM first)",
	BadKeyEncoding:     "it is neither base64 nor a PEM: encode the whole PEM file again with base64 -w0, and paste all of it",
	BadKeyTwice:        "it was encoded as base64 twice: decode it once",
	BadKeyDER:          "it is base64 of the bare key: the BEGIN and END lines are missing; encode the whole PEM file, with these lines",
	BadKeyNotPEM:       "it is base64, but not of a PEM: encode the file that begins with BEGIN PRIVATE KEY",
	BadKeySeveral:      "it has more than one private key: store one only",
	BadKeyPublic:       "it is a public key or a certificate: the tool needs the private key that belongs to it",
	BadKeyEncrypted:    "it is protected by a passphrase: remove that with openssl pkcs8 -topk8 -nocrypt",
	BadKeyDamaged:      "the PEM is damaged, perhaps cut off: copy it again, whole, from its BEGIN to its END line",
	BadKeyNotRSA:       "it is not an RSA key, and LTI signs with RS256: make one with openssl genrsa 2048",
	BadKeySize:         "it must have 2048 to 8192 bits: make a new one with openssl genrsa 2048, and publish it before it signs",
	BadKeyInconsistent: "its numbers do not fit together: it was changed or mixed from two keys; take it from its source again",
}

// A KeyError is a private key that cannot be used. Its text never has any part
// of the key.
type KeyError struct {
	// Problem is what is wrong.
	Problem KeyProblem
	// Bits is the size of an RSA key, if it came so far. Otherwise 0.
	Bits int
}

// Error says what is wrong and what to do.
func (e *KeyError) Error() string {
	text := "lti: private key: " + keyAdvice[e.Problem]
	if e.Problem == BadKeySize {
		text += fmt.Sprintf(" (it has %d)", e.Bits)
	}
	return text
}

// Is reports whether target is the problem.
func (e *KeyError) Is(target error) bool {
	problem, ok := target.(KeyProblem)
	return ok && problem == e.Problem
}

func badKey(p KeyProblem) error { return &KeyError{Problem: p} }

// ParsePrivateKey returns the RSA key that a variable holds: the base64 of a PEM
// (either alphabet, with or without padding, white space and line ends), or the
// PEM itself, also where its line ends became \n or spaces, and with quotes
// around it. PKCS#1 and PKCS#8 are taken. The error is a [*KeyError].
func ParsePrivateKey(secret runbook.Secret) (*rsa.PrivateKey, error) {
	label, der, err := keyBlock(secret.Reveal())
	if err != nil {
		return nil, err
	}
	switch label {
	case "EC PRIVATE KEY", "DSA PRIVATE KEY":
		return nil, badKey(BadKeyNotRSA)
	case "RSA PRIVATE KEY", "PRIVATE KEY":
		return parseDER(der)
	}
	return nil, badKey(BadKeyForm)
}

// wirePKCS8 and wirePKCS1 are read before package x509 reads them, to say what
// is wrong: RFC 5208, section 5, and RFC 8017, appendix A.1.2.
type (
	wirePKCS8 struct {
		Version    int
		Algorithm  pkix.AlgorithmIdentifier
		PrivateKey []byte
	}
	wirePKCS1 struct {
		Version          int
		N                *big.Int
		E                int
		D, P, Q          *big.Int
		Dp, Dq, Qinv     *big.Int        `asn1:"optional"`
		AdditionalPrimes []asn1.RawValue `asn1:"optional,omitempty"`
	}
)

var oidRSA = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}

// parseDER reads PKCS#8 or PKCS#1, whatever the label of the PEM says.
func parseDER(der []byte) (*rsa.PrivateKey, error) {
	var outer wirePKCS8
	if _, err := asn1.Unmarshal(der, &outer); err == nil {
		if !outer.Algorithm.Algorithm.Equal(oidRSA) {
			return nil, badKey(BadKeyNotRSA)
		}
		der = outer.PrivateKey
	}
	var inner wirePKCS1
	if rest, err := asn1.Unmarshal(der, &inner); err != nil || len(rest) > 0 {
		return nil, badKey(BadKeyDamaged)
	}
	if inner.Version != 0 {
		return nil, badKey(BadKeyForm) // several primes: rare, slow, and not checked by package rsa
	}
	bits := inner.N.BitLen()
	if bits < minKeyBits || bits > maxKeyBits {
		return nil, &KeyError{Problem: BadKeySize, Bits: bits}
	}
	key, err := x509.ParsePKCS1PrivateKey(der) // with rsa's Validate
	if err != nil {
		return nil, &KeyError{Problem: BadKeyInconsistent, Bits: bits}
	}
	return key, nil
}

// GenerateKey returns a new RSA key of 2048 bits, in the form in which operators
// keep it in a variable: the base64 of a PKCS#8 PEM, in one line. It takes some
// tenths of a second.
func GenerateKey() (runbook.Secret, error) {
	_, text, err := generateKey()
	if err != nil {
		return runbook.Secret{}, err
	}
	return runbook.NewSecret(base64.StdEncoding.EncodeToString([]byte(text.Reveal()))), nil
}

// generateKey returns a new key, and its PEM.
func generateKey() (*rsa.PrivateKey, runbook.Secret, error) {
	key, err := rsa.GenerateKey(rand.Reader, newKeyBits)
	if err != nil {
		return nil, runbook.Secret{}, fmt.Errorf("lti: generate a key: %w", err)
	}
	text, err := keyPEM(key)
	return key, text, err
}

// keyPEM returns a key as a PKCS#8 PEM.
func keyPEM(key *rsa.PrivateKey) (runbook.Secret, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return runbook.Secret{}, fmt.Errorf("lti: encode a key: %w", err)
	}
	return runbook.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))), nil
}
