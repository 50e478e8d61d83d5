package ltitest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
)

// A Signing says how a token is signed. The zero value signs as the platform
// does: RS256, with its present key and that key's kid.
type Signing struct {
	// Alg is the algorithm: "RS256", "RS384", "RS512", "PS256", "ES256", "HS256",
	// or "none". Empty means the one that fits Key, and that is RS256 without one.
	Alg string
	// Key is an *rsa.PrivateKey, an *ecdsa.PrivateKey, or the []byte of an HMAC.
	// Nil means the platform's present key; for HS256 the PEM text of its public
	// half, which is how that algorithm is confused.
	Key any
	// KID is the key id in the header. Empty means that of the present key.
	KID string
	// Header is merged into the header; a nil value takes a parameter away, such as
	// kid.
	Header map[string]any
	// Payload is signed instead of the claims, if it is not nil: for JSON that an
	// encoder does not write.
	Payload []byte
	// Tamper changes the payload after it was signed.
	Tamper func(payload []byte) []byte
}

// SignIDToken signs claims with the platform's key, whatever they say: for
// messages that [Platform.Login] does not make, and for forgeries. It panics if
// the claims cannot be JSON, or the key does not fit the algorithm.
func (p *Platform) SignIDToken(claims map[string]any, how Signing) string {
	defer p.lock()()
	return p.sign(claims, how)
}

func (p *Platform) sign(claims map[string]any, how Signing) string {
	present := p.keys.present()
	if how.KID == "" {
		how.KID = present.kid
	}
	if how.Key == nil {
		how.Key = present.private
		if how.Alg == "HS256" {
			how.Key = publicPEM(&present.private.PublicKey)
		}
	}
	return signJWT(claims, how)
}

func signJWT(claims map[string]any, how Signing) string {
	if how.Alg == "" {
		switch how.Key.(type) {
		case *ecdsa.PrivateKey:
			how.Alg = "ES256"
		case []byte:
			how.Alg = "HS256"
		default:
			how.Alg = "RS256"
		}
	}
	header := map[string]any{"typ": "JWT", "alg": how.Alg}
	if how.KID != "" {
		header["kid"] = how.KID
	}
	maps.Copy(header, how.Header)
	maps.DeleteFunc(header, func(_ string, v any) bool { return v == nil })
	payload := how.Payload
	if payload == nil {
		payload = mustJSON(claims)
	}
	encode := base64.RawURLEncoding.EncodeToString
	signed := encode(mustJSON(header)) + "." + encode(payload)
	signature := encode(signature(how.Alg, how.Key, []byte(signed)))
	if how.Tamper != nil {
		signed = encode(mustJSON(header)) + "." + encode(how.Tamper(bytes.Clone(payload)))
	}
	return signed + "." + signature
}

// mustJSON encodes without the escapes of HTML, as platforms do.
func mustJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic("ltitest: " + err.Error())
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func signature(alg string, key any, signed []byte) []byte {
	sum := sha256.Sum256(signed)
	var out []byte
	var err error
	switch k := key.(type) {
	case *rsa.PrivateKey:
		out, err = rsaSignature(alg, k, signed)
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, k, sum[:])
		if err = e; err == nil {
			out = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write(signed)
		out = mac.Sum(nil)
	default:
		err = fmt.Errorf("a key of type %T does not sign by %s", key, alg)
	}
	if err != nil {
		panic("ltitest: sign: " + err.Error())
	}
	return out
}

func rsaSignature(alg string, k *rsa.PrivateKey, signed []byte) ([]byte, error) {
	sum := sha256.Sum256(signed)
	switch alg {
	case "RS256":
		return rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
	case "RS384":
		sum := sha512.Sum384(signed)
		return rsa.SignPKCS1v15(nil, k, crypto.SHA384, sum[:])
	case "RS512":
		sum := sha512.Sum512(signed)
		return rsa.SignPKCS1v15(nil, k, crypto.SHA512, sum[:])
	case "PS256":
		return rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	case "none":
		return nil, nil
	}
	return nil, fmt.Errorf("an RSA key does not sign by %s", alg)
}

// publicPEM is the text of a public key.
func publicPEM(key *rsa.PublicKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		panic("ltitest: " + err.Error())
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// A foreign is a token of a tool that was taken apart, and is not yet believed.
type foreign struct {
	header    map[string]any
	claims    map[string]any
	signed    string
	signature []byte
}

var errNotJWT = errors.New("not a signed JWT")

const maxForeign = 256 << 10 // of a token of a tool

func readJWT(text string) (*foreign, error) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 || len(text) > maxForeign {
		return nil, errNotJWT
	}
	var raw [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return nil, errNotJWT
		}
		raw[i] = b
	}
	f := &foreign{signed: parts[0] + "." + parts[1], signature: raw[2]}
	if json.Unmarshal(raw[0], &f.header) != nil || json.Unmarshal(raw[1], &f.claims) != nil || f.header == nil || f.claims == nil {
		return nil, errNotJWT
	}
	return f, nil
}

func (f *foreign) text(claim string) string {
	s, _ := f.claims[claim].(string)
	return s
}

// verified reports whether the signature is that of a key: RS256, and nothing
// else.
func (f *foreign) verified(key *rsa.PublicKey) bool {
	if f.header["alg"] != "RS256" || key.N.BitLen() < 2048 {
		return false
	}
	sum := sha256.Sum256([]byte(f.signed))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], f.signature) == nil
}

// jsonNumber writes digits as a number.
func jsonNumber(digits string) json.Number { return json.Number(digits) }
