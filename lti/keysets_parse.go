package lti

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"maps"
	"math"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// parseKeySet returns the keys of a set that can be used, and of each other
// entry, why not.
func parseKeySet(body []byte) (map[string]*rsa.PublicKey, []string, error) {
	if err := checkKeySet(body); err != nil {
		return nil, nil, fmt.Errorf("the answer is not a key set: %w", err)
	}
	// What a host configures for all of the process counts for none of this.
	set, err := jwk.Parse(body, jwk.WithStrictKeySetParsing(false), jwk.WithRejectDuplicateKID(false), jwk.WithMaxKeys(maxKeySetEntries))
	if err != nil {
		return nil, nil, fmt.Errorf("the answer is not a key set: %s", quote(err.Error()))
	}
	keys := make(map[string]*rsa.PublicKey, set.Len())
	var skipped []string
	entries := make(map[string][]int) // by kid, those that can be used
	for i := range set.Len() {
		entry, _ := set.Key(i)
		kid, key, err := usableKey(entry)
		if err != nil {
			skipped = append(skipped, fmt.Sprintf("entry %d: %v", i+1, err))
			continue
		}
		entries[kid] = append(entries[kid], i+1)
		if first, ok := keys[kid]; !ok {
			keys[kid] = key
		} else if first != nil && !first.Equal(key) {
			keys[kid] = nil
		}
	}
	for kid, key := range keys {
		if key == nil {
			for _, i := range entries[kid] {
				skipped = append(skipped, fmt.Sprintf("entry %d: another key has the same kid %s", i, quote(kid)))
			}
		}
	}
	maps.DeleteFunc(keys, func(_ string, key *rsa.PublicKey) bool { return key == nil })
	return keys, skipped, nil
}

// checkKeySet checks that the set is an object with one member "keys". jwx takes
// any number of them, and counts the entries of each anew.
func checkKeySet(body []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(body), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if dec.PeekKind() != '{' {
		return errors.New("it is not a JSON object")
	}
	found := 0
	_, err := dec.ReadToken()
	for err == nil && dec.PeekKind() != '}' {
		var name jsontext.Token
		if name, err = dec.ReadToken(); err != nil {
			break
		}
		if name.String() == "keys" {
			found++
		}
		err = dec.SkipValue()
	}
	if err != nil {
		return fmt.Errorf("it is not JSON: %s", quote(err.Error()))
	}
	if found != 1 {
		return fmt.Errorf("it has %d members keys, and not one", found)
	}
	return nil
}

// usableKey returns the key of an entry and its name, or why it cannot be used.
func usableKey(entry jwk.Key) (kid string, key *rsa.PublicKey, err error) {
	if broken, ok := entry.(jwk.UnsupportedKey); ok {
		return "", nil, fmt.Errorf("it cannot be read: %s", quote(broken.Reason().Error()))
	}
	kid, _ = entry.KeyID()
	switch {
	case kid == "":
		return "", nil, errors.New("it has no kid")
	case len(kid) > maxKid:
		return "", nil, fmt.Errorf("its kid is %d bytes long, more than %d", len(kid), maxKid)
	case entry.KeyType() != jwa.RSA():
		return "", nil, fmt.Errorf("kid %s: it is of type %s, and not RSA", quote(kid), quote(entry.KeyType().String()))
	}
	if use, ok := entry.KeyUsage(); ok && use != "sig" {
		return "", nil, fmt.Errorf("kid %s: its use is %s, and not sig", quote(kid), quote(use))
	}
	if alg, ok := entry.Algorithm(); ok && alg != jwa.RS256() && alg != jwa.RS384() && alg != jwa.RS512() {
		return "", nil, fmt.Errorf("kid %s: its alg is %s, and none of RS256, RS384, RS512", quote(kid), quote(alg.String()))
	}
	for _, secret := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth"} {
		if entry.Has(secret) {
			return "", nil, fmt.Errorf("kid %s: it is a private key, which the platform should withdraw", quote(kid))
		}
	}
	key = new(rsa.PublicKey)
	if err := jwk.Export(entry, key); err != nil {
		return "", nil, fmt.Errorf("kid %s: it cannot be used: %s", quote(kid), quote(err.Error()))
	}
	if bits := key.N.BitLen(); bits < minPlatformBits || bits > maxPlatformBits {
		return "", nil, fmt.Errorf("kid %s: it has %d bits, and not %d to %d", quote(kid), bits, minPlatformBits, maxPlatformBits)
	}
	if key.N.Bit(0) == 0 || key.E < 3 || key.E > math.MaxInt32 || key.E%2 == 0 {
		return "", nil, fmt.Errorf("kid %s: its numbers are not those of an RSA key", quote(kid))
	}
	return kid, key, nil
}
