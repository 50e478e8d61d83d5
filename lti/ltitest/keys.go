package ltitest

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// platformKey is a key of the platform and its name.
type platformKey struct {
	kid     string
	private *rsa.PrivateKey
}

// A keyRing has three keys, past, present and future, all of which are published
// (canvas-lms, lib/lti/key_storage.rb). The future one is known to tools before
// anything is signed with it.
type keyRing struct {
	ring [3]platformKey
	made int // keys so far
	// override is served instead of the key set.
	override *KeySetOverride
}

func (k *keyRing) present() platformKey { return k.ring[1] }

// embeddedKeys are those that need not be made.
const embeddedKeys = 8

func (p *Platform) newKey(at time.Time) platformKey {
	k := &p.keys
	k.made++
	kid := "key-" + strconv.Itoa(k.made)
	if p.Canvas {
		kid = at.UTC().Format(time.RFC3339) + "_" + p.uuid()
	}
	if k.made <= embeddedKeys {
		return platformKey{kid, testRSA("platform-" + strconv.Itoa(k.made))}
	}
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("ltitest: " + err.Error())
	}
	return platformKey{kid, private}
}

// RotateKeys makes the future key the present one, as Canvas does each month: the
// present becomes the past, the past is published no more, and a new future key
// is. The first five times cost nothing; then a key has to be made.
func (p *Platform) RotateKeys() {
	defer p.lock()()
	r := &p.keys.ring
	r[0], r[1], r[2] = r[1], r[2], p.newKey(p.now())
}

// ReplaceKeys makes three new keys at once, as after a leak: no key that tools
// know is published any more, and the next message names one they have not seen.
func (p *Platform) ReplaceKeys() {
	defer p.lock()()
	for i := range p.keys.ring {
		p.keys.ring[i] = p.newKey(p.now())
	}
}

// KeyIDs returns the kids of the past, the present and the future key.
func (p *Platform) KeyIDs() [3]string {
	defer p.lock()()
	var out [3]string
	for i, k := range p.keys.ring {
		out[i] = k.kid
	}
	return out
}

// Kids of the keys that [Platform].OddKeys publishes.
const (
	oddEC    = "odd-ec"
	oddSmall = "odd-small"
	oddUse   = "odd-encryption"
)

// keySet is the document that the platform publishes.
func (p *Platform) keySet() map[string]any {
	keys := make([]any, 0, 8)
	for _, k := range p.keys.ring {
		keys = append(keys, rsaJWK(&k.private.PublicKey, k.kid))
	}
	if p.OddKeys {
		encryption := rsaJWK(&AttackerKey().PublicKey, oddUse)
		encryption["use"] = "enc"
		keys = append([]any{
			map[string]any{"kty": "OKP", "crv": "no-such-curve", "kid": "odd-curve", "x": "AA"},
			map[string]any{"kid": "odd-nothing"},
			ecJWK(testEC(), oddEC), rsaJWK(&testRSA("small").PublicKey, oddSmall), encryption,
		}, keys...)
	}
	return map[string]any{"keys": keys}
}

func rsaJWK(key *rsa.PublicKey, kid string) map[string]any {
	return map[string]any{
		"kty": "RSA", "use": "sig", "alg": "RS256", "kid": kid,
		"n": base64.RawURLEncoding.EncodeToString(key.N.Bytes()), "e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}
}

func ecJWK(key *ecdsa.PrivateKey, kid string) map[string]any {
	point, err := key.PublicKey.Bytes()
	if err != nil || len(point) != 65 {
		panic("ltitest: the EC test key is not on P-256")
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid, "x": encode(point[1:33]), "y": encode(point[33:])}
}

// A KeySetOverride changes what the platform publishes as its key set.
type KeySetOverride struct {
	// Body is sent instead of the key set; nil leaves it.
	Body []byte
	// Keys are put before the platform's own, such as garbage, or a key whose kid
	// exists already; see [Platform.PresentJWK] and [PublicJWK].
	Keys []any
	// Pad is how many bytes of white space come first.
	Pad int
	// Redirect is an address to which the endpoint redirects instead.
	Redirect string
	// MaxAge is the max-age of the answer in seconds. Zero means the platform's
	// usual one, negative none.
	MaxAge int
}

// OverrideKeySet changes what is published from now on; nil ends that. Faults
// of the network are [Platform.Inject]'s.
func (p *Platform) OverrideKeySet(o *KeySetOverride) {
	defer p.lock()()
	p.keys.override = o
}

// PresentJWK returns the public half of the present key as it is published, to be
// changed for [KeySetOverride].
func (p *Platform) PresentJWK() map[string]any {
	defer p.lock()()
	k := p.keys.present()
	return rsaJWK(&k.private.PublicKey, k.kid)
}

// PublicJWK returns a public RSA key as a JWK with kid, alg and use, as Canvas
// demands it of tools.
func PublicJWK(key *rsa.PublicKey, kid string) map[string]any { return rsaJWK(key, kid) }

// canvasMaxAge is how long Canvas allows its key set to be cached: ten days
// (canvas-lms, app/controllers/security_controller.rb).
const canvasMaxAge = 864000

func (p *Platform) serveKeySet(*call) answer {
	o := p.keys.override
	if o == nil {
		o = &KeySetOverride{}
	}
	if o.Redirect != "" {
		return answer{status: http.StatusFound, header: http.Header{"Location": {o.Redirect}}}
	}
	set := p.keySet()
	if own, ok := set["keys"].([]any); ok && len(o.Keys) > 0 {
		set["keys"] = append(append([]any{}, o.Keys...), own...)
	}
	a := jsonAnswer(http.StatusOK, set)
	if o.Body != nil {
		a.body = o.Body
	}
	if o.Pad > 0 {
		a.body = append([]byte(strings.Repeat(" ", o.Pad)), a.body...)
	}
	age := o.MaxAge
	if age == 0 {
		if age = 3600; p.Canvas {
			age = canvasMaxAge
		}
	}
	if age > 0 {
		a.header = http.Header{"Cache-Control": {"max-age=" + strconv.Itoa(age) + ", public"}}
	}
	return a
}

// A toolKey is a public key of a tool, as it publishes it.
type toolKey struct {
	Kty string `json:"kty"`
	Kid string `json:"kid"`
	Alg string `json:"alg"`
	Use string `json:"use"`
	N   string `json:"n"`
	E   string `json:"e"`
	D   string `json:"d"`
	P   string `json:"p"`
}

// public returns the key, if it has the fields that Canvas demands (canvas-lms,
// app/models/developer_key.rb) and no private ones.
func (k toolKey) public() (*rsa.PublicKey, error) {
	n, err1 := base64.RawURLEncoding.DecodeString(k.N)
	e, err2 := base64.RawURLEncoding.DecodeString(k.E)
	exponent := new(big.Int).SetBytes(e)
	switch {
	case k.D != "" || k.P != "":
		return nil, errors.New("the key is a private one")
	case k.Kty != "RSA" || k.Alg != "RS256" || k.Use != "sig" || k.Kid == "":
		return nil, errors.New("the key must have kid, kty RSA, alg RS256 and use sig")
	case err1 != nil || err2 != nil || len(n) == 0 || len(n) > 1024 || !exponent.IsInt64() || exponent.Int64() < 3 || exponent.Int64() > 1<<31-1:
		return nil, errors.New("n or e is not a number")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}
