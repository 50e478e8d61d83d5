package lti

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

// FuzzKeySet parses what a platform may answer. Whatever it is, it takes no
// longer than it is long, and what comes out can be used to verify.
func FuzzKeySet(f *testing.F) {
	odd := new(big.Int).Lsh(big.NewInt(1), 2047)
	n := base64.RawURLEncoding.EncodeToString(odd.Add(odd, big.NewInt(1)).Bytes())
	key := fmt.Sprintf(`{"kty":"RSA","kid":"a","use":"sig","alg":"RS256","e":"AQAB","n":%q}`, n)
	for _, seed := range []string{
		`{"keys":[` + key + `]}`, `{"keys":[` + key + `,` + strings.Replace(key, "AQAB", "Aw", 1) + `,null,7,{}]}`, key,
		`{"keys":[{"kty":"EC","kid":"x","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"RSA","d":"AQAB","n":"` + n + `"}]}`,
		`{"keys":[{"kty":"RSA","kid":"k","n":"` + n + `","e":"AQAB","x5c":["MIIB"],"x5t":"AA","key_ops":["verify"]}]}`,
		`{"keys":[],"keys":[` + key + `]}`, `{"keys":{"keys":[]}}`, `[]`, `{`, "", "null", `{"keys":[[[[`, "\xff{\"keys\":[]}", `{"keys":[{"kty":"oct","k":"AA"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, skipped, err := parseKeySet(body)
		if err != nil && (keys != nil || skipped != nil) {
			t.Errorf("an error, and a set")
		}
		for kid, key := range keys {
			if kid == "" || len(kid) > maxKid {
				t.Errorf("kid of %d bytes", len(kid))
			}
			if key == nil || key.N.BitLen() < 2048 || key.N.BitLen() > 8192 || key.E < 3 || key.E%2 == 0 {
				t.Errorf("key %q cannot be used", kid)
			}
		}
		for _, reason := range skipped {
			if len(reason) > 800 || strings.ContainsFunc(reason, func(r rune) bool { return r < ' ' }) {
				t.Errorf("not for a log: %q", reason)
			}
		}
	})
}
