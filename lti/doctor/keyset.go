package doctor

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A keySet is a published key set (RFC 7517, section 5), as it was published.
type keySet struct {
	keys []publishedKey
}

// A publishedKey is one member of a key set.
type publishedKey struct {
	place              int // from 1
	kid, kty, use, alg string
	private            []string // names of private numbers that are in it
	missing            []string // names of fields that Canvas demands and that are not in it
	bits               int      // of an RSA key
	thumbprint         string   // of an RSA key
	problem            string   // why it cannot be used
}

// name says which key it is.
func (k *publishedKey) name() string {
	if k.kid == "" {
		return fmt.Sprintf("key %d", k.place)
	}
	return fmt.Sprintf("key %d, kid %s", k.place, quote(k.kid))
}

// signs reports whether a platform can verify signatures with it.
func (k *publishedKey) signs() bool {
	return k.kty == "RSA" && k.problem == "" && (k.use == "" || k.use == "sig")
}

const maxKeys = 1000

var (
	errNotJSON  = errors.New("it is not JSON")
	errNoKeys   = errors.New(`it has no list "keys"`)
	errManyKeys = fmt.Errorf("it has more than %d keys", maxKeys)

	// What matters here is what readers may see, strict or not.
	lax = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) //nolint:gochecknoglobals // constant
)

// privatePEM reports whether a text has a private key in it as a PEM.
func privatePEM(body []byte) bool { return bytes.Contains(body, []byte("PRIVATE KEY-----")) }

// readKeySet takes a published set apart.
func readKeySet(body []byte) (*keySet, error) {
	var in map[string]jsontext.Value
	if json.Unmarshal(body, &in, lax) != nil {
		return nil, errNotJSON
	}
	var raw []jsontext.Value
	if in["keys"] == nil || json.Unmarshal(in["keys"], &raw, lax) != nil || raw == nil {
		return nil, errNoKeys
	}
	if len(raw) > maxKeys {
		return nil, errManyKeys
	}
	set := new(keySet)
	for i, r := range raw {
		set.keys = append(set.keys, readJWK(i+1, r))
	}
	return set, nil
}

// privateMembers are the names of numbers that must not be published, and the
// secret of a symmetric key (RFC 7518, sections 6.2.2, 6.3.2 and 6.4).
var privateMembers = []string{"d", "p", "q", "dp", "dq", "qi", "oth", "k"} //nolint:gochecknoglobals // constant

// readJWK takes one member of a set apart. No value but the public ones leaves it.
func readJWK(place int, raw []byte) publishedKey {
	k := publishedKey{place: place}
	var in map[string]jsontext.Value
	if json.Unmarshal(raw, &in, lax) != nil {
		k.problem = "it is not a JSON object"
		return k
	}
	text := func(name string) string {
		var s string
		if v := in[name]; v == nil || json.Unmarshal(v, &s, lax) != nil {
			return ""
		}
		return s
	}
	k.kid, k.kty, k.use, k.alg = text("kid"), text("kty"), text("use"), text("alg")
	for _, name := range privateMembers {
		if v := in[name]; v != nil && v.Kind() != 'n' && !(v.Kind() == '"' && len(v) == 2) {
			k.private = append(k.private, name)
		}
	}
	for _, name := range []string{"kid", "alg", "use", "kty", "e", "n"} {
		if text(name) == "" && (k.kty == "RSA" || k.kty == "" || name != "e" && name != "n") {
			k.missing = append(k.missing, name)
		}
	}
	if k.kty != "RSA" {
		k.problem = "it is of type " + quote(k.kty) + ", and not RSA"
		return k
	}
	k.readRSA(text("n"), text("e"))
	return k
}

func (k *publishedKey) readRSA(modulus, exponent string) {
	n, errN := number(modulus)
	e, errE := number(exponent)
	switch {
	case errN != nil || errE != nil:
		k.problem = "n or e is not a base64url number"
		return
	case !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0:
		k.problem = "its exponent is none of RSA"
		return
	}
	k.bits, k.thumbprint = n.BitLen(), thumbprint(n, int(e.Int64()))
	if k.bits < 2048 {
		k.problem = fmt.Sprintf("it has %d bits, and RS256 needs 2048", k.bits)
	}
}

// number reads a number of a JWK (RFC 7518, section 2). Padding and the other
// alphabet of base64 are not taken: not all platforms do.
func number(s string) (*big.Int, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil && (len(b) == 0 || len(b) > 2048) {
		err = errors.New("its length is wrong")
	}
	return new(big.Int).SetBytes(b), err
}

// usable returns the keys with which signatures can be verified.
func (s *keySet) usable() []publishedKey {
	return slices.DeleteFunc(slices.Clone(s.keys), func(k publishedKey) bool { return !k.signs() })
}

// Thumbprints returns the RSA keys of a published key set: kid to RFC 7638
// thumbprint. Keep them, and give them to a later diagnosis as
// [Config].KnownKeys.
func Thumbprints(set []byte) (map[string]string, error) {
	s, err := readKeySet(set)
	if err != nil {
		return nil, fmt.Errorf("doctor: key set: %w", err)
	}
	out := make(map[string]string, len(s.keys))
	for _, k := range s.keys {
		if k.kid != "" && k.thumbprint != "" {
			out[strings.Clone(k.kid)] = k.thumbprint
		}
	}
	return out, nil
}
