package lti_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// fuzzKey is the beginning of a key, that does not change between runs.
const fuzzKey = `-----BEGIN PRIVATE KEY-----
MIIBVQIBADANBgkqhkiG9w0BAQEFAASCAT8wggE7AgEAAkEAq7BFUpkGp3+LQmlQ
-----END PRIVATE KEY-----
`

// What a variable may hold never panics, never gives a key that cannot sign
// safely, and is never quoted.
func FuzzParsePrivateKey(f *testing.F) {
	good := pkcs8(ringTestKeys()[0])
	for _, seed := range []string{
		"", good, pkcs1(ringTestKeys()[0]), b64(good), b64(b64(good)), strings.ReplaceAll(good, "\n", `\n`), fuzzKey, `"'` + b64(fuzzKey) + `'"`,
		"-----BEGIN PRIVATE KEY-----", "-----BEGIN -----END -----", "-----BEGIN -----BEGIN PUBLIC KEY----------END -----BEGIN PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n",
		`"`, `""`, "{", "MA", "MIID", "\ufeff", "-----BEGIN EC PRIVATE KEY-----\n-----END EC PRIVATE KEY-----",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		key, err := lti.ParsePrivateKey(runbook.NewSecret(text))
		if err != nil {
			var keyError *lti.KeyError
			if key != nil || !errors.As(err, &keyError) || !errors.Is(err, keyError.Problem) || keyError.Problem == "" {
				t.Fatalf("not a KeyError: %v", err)
			}
			if !strings.HasPrefix(err.Error(), "lti: private key: ") || len(err.Error()) < 40 || len(err.Error()) > 300 {
				t.Fatalf("no advice: %v", err)
			}
			return
		}
		if key.N.BitLen() < 2048 || key.Validate() != nil {
			t.Fatal("a key that must not be used")
		}
		again, err := lti.ParsePrivateKey(runbook.NewSecret(b64(pkcs8(key))))
		if err != nil || !again.Equal(key) {
			t.Fatalf("it does not survive: %v", err)
		}
	})
}

// What a store may hold never panics, and what is taken signs and publishes
// public keys only.
func FuzzStoredRing(f *testing.F) {
	text, err := json.Marshal(pkcs8(ringTestKeys()[0]))
	if err != nil {
		f.Fatal(err)
	}
	key := `{"pem":` + string(text) + `,"created":"2026-11-01T00:00:00Z"`
	for _, seed := range []string{
		"", "{", "{}", b64(fuzzKey), `{"version":1}`, `{"version":2}`, `{"version":1,"keys":[` + key + `}]}`, `{"version":1,"keys":[` + key + `,"signs_from":"9999-12-31T23:59:59Z"}]}`,
		`{"version":1,"keys":[` + key + `,"retires_at":"2026-11-01T00:00:00Z"}]}`, `{"version":1e0,"keys":[` + key + `}]}`, `{"version":1,"keys":[` + key + `,"signs_from":"0000-01-01T00:00:00+23:59"}]}`,
		`{"version":1,"version":2,"keys":[]}`, `{"version":1,"keys":[null]}`, "{\"version\":1,\"keys\":[{\"pem\":\"\xff\"}]}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if text == "" {
			return // the zero Secret
		}
		store := seeded(t, text)
		ring, err := lti.NewKeyRing(t.Context(), lti.KeyRingConfig{Store: store, Name: ringName})
		if contents(t, store) != text {
			t.Fatal("it was overwritten")
		}
		if err != nil {
			if ring != nil || len(err.Error()) > 300 {
				t.Fatalf("not an error: %v", err)
			}
			return
		}
		token, err := ring.Sign(map[string]any{"iss": "a"})
		if err != nil {
			t.Fatal(err)
		}
		if err := verifyNow(token, ring); err != nil {
			t.Fatal(err)
		}
		if set := string(ring.PublicSet()); strings.Contains(set, `"d"`) || strings.Contains(set, `"p"`) {
			t.Fatal("a private key is published")
		}
	})
}
