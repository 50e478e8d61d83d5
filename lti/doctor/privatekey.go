package doctor

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/lti"
)

// A publicKey is what may be known of a key.
type publicKey struct {
	thumbprint string
	bits       int
}

func publicOf(key *rsa.PublicKey) *publicKey {
	return &publicKey{thumbprint: thumbprint(key.N, key.E), bits: key.N.BitLen()}
}

// thumbprint returns that of an RSA key (RFC 7638, section 3).
func thumbprint(n *big.Int, e int) string {
	enc := base64.RawURLEncoding.EncodeToString
	sum := sha256.Sum256(fmt.Appendf(nil, `{"e":%q,"kty":"RSA","n":%q}`, enc(big.NewInt(int64(e)).Bytes()), enc(n.Bytes())))
	return enc(sum[:])
}

// privateKey looks at the keys as they are stored.
func (x *exam) privateKey() {
	if x.cfg.PrivateKey.IsZero() {
		x.skip("the private key", "it was not given")
	} else if key, err := lti.ParsePrivateKey(x.cfg.PrivateKey); err != nil {
		x.badKey("private_key", incident.Certain, "The private key cannot be used", x.cfg.PrivateKey, err)
	} else {
		x.signer = publicOf(&key.PublicKey)
		x.right("private key: RSA, %d bits, thumbprint %s", x.signer.bits, x.signer.thumbprint)
	}
	for i, text := range x.cfg.PreviousKeys {
		if _, err := lti.ParsePrivateKey(text); err != nil {
			x.badKey("previous_key", incident.Possible, fmt.Sprintf("Previous key %d cannot be used", i+1), text, err)
		}
	}
}

// badKey says what is wrong with a key as it is stored. Of the key nothing is
// shown but its length.
func (x *exam) badKey(id string, l incident.Likelihood, title string, text runbook.Secret, err error) {
	evidence := []string{fmt.Sprintf("what is stored has %d characters", utf8.RuneCountInString(text.Reveal()))}
	what, remedy := "it is damaged", "Store the base64 of the whole PEM file again."
	if e, ok := errors.AsType[*lti.KeyError](err); ok {
		id += "_" + string(e.Problem)
		advice := strings.TrimPrefix(e.Error(), "lti: private key: ")
		if found, do, ok := strings.Cut(advice, ": "); ok {
			what, remedy = found, sentence(do)
		} else {
			what = advice
		}
		if e.Bits > 0 {
			evidence = append(evidence, fmt.Sprintf("it is an RSA key of %d bits", e.Bits))
		}
	}
	x.finding(id, l, title+": "+what, remedy, evidence...)
}

// sentence makes a clause a sentence.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + strings.TrimSuffix(s[n:], ".") + "."
}

// signingKid returns the kid with which the tool signs, as far as is known.
func (x *exam) signingKid() string {
	switch {
	case x.cfg.KeyID != "":
		return x.cfg.KeyID
	case x.signer == nil:
		return ""
	}
	if x.set != nil {
		for _, k := range x.set.keys {
			if k.thumbprint == x.signer.thumbprint && k.kid != "" {
				return k.kid
			}
		}
	}
	return x.signer.thumbprint
}

// previousThumbprints returns those of PreviousKeys; empty where one cannot be
// read.
func (cfg *Config) previousThumbprints() []string {
	out := make([]string, len(cfg.PreviousKeys))
	for i, text := range cfg.PreviousKeys {
		if key, err := lti.ParsePrivateKey(text); err == nil {
			out[i] = publicOf(&key.PublicKey).thumbprint
		}
	}
	return out
}
