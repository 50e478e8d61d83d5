package lti_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// ringTestKeys are RSA keys for all tests of keys: making one takes a while.
var ringTestKeys = sync.OnceValue(func() (keys [3]*rsa.PrivateKey) {
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// pemText returns DER as a PEM.
func pemText(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func pkcs1(key *rsa.PrivateKey) string {
	return pemText("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))
}

func pkcs8(key any) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return pemText("PRIVATE KEY", der)
}

func b64(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// wrap breaks a text into lines of 64, as base64 without -w0 does (at 76).
func wrap(text, end string) string {
	var b strings.Builder
	for ; len(text) > 64; text = text[64:] {
		b.WriteString(text[:64] + end)
	}
	return b.String() + text + end
}

// A private key is read in every form in which a variable may have it.
//
// Requirement: RB-LTI-SIGNATURE-ENCODING
func TestParsePrivateKeyForms(t *testing.T) {
	key := ringTestKeys()[0]
	for _, form := range []struct{ name, text string }{
		{"PKCS#1", pkcs1(key)}, {"PKCS#8", pkcs8(key)},
		{"PKCS#1 that says PRIVATE KEY", pemText("PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key))},
		{"PKCS#8 after a certificate", pemText("CERTIFICATE", []byte("x")) + pkcs8(key)},
		{"PKCS#8 after attributes", "Bag Attributes\n    friendlyName: tool\nKey Attributes: <No Attributes>\n" + pkcs8(key)},
	} {
		for _, test := range []struct{ name, text string }{
			{"as it is", form.text},
			{"white space around", "\n\t " + form.text + " \r\n"},
			{"byte order mark", "\ufeff" + form.text},
			{"CRLF", strings.ReplaceAll(form.text, "\n", "\r\n")},
			{"literal \\n", strings.ReplaceAll(form.text, "\n", `\n`)},
			{"literal \\r\\n", strings.ReplaceAll(form.text, "\n", `\r\n`)},
			{"escaped twice", strings.ReplaceAll(form.text, "\n", `\\n`)},
			{"literal \\n in quotes", `"` + strings.ReplaceAll(form.text, "\n", `\n`) + `"`},
			{"quotes", "'" + form.text + "'"},
			{"quotes in quotes", `'"` + form.text + `"'`},
			{"escaped quotes", `\"` + form.text + `\"`},
			{"spaces for line ends", strings.ReplaceAll(form.text, "\n", " ")},
			{"no line ends", strings.ReplaceAll(form.text, "\n", "")},
			{"base64", b64(form.text)},
			{"base64 in quotes", `"` + b64(form.text) + `"`},
			{"base64 in lines", wrap(b64(form.text), "\n")},
			{"base64 in CRLF lines", wrap(b64(form.text), "\r\n")},
			{"base64 with literal \\n", wrap(b64(form.text), `\n`)},
			{"base64 with spaces", wrap(b64(form.text), " ")},
			{"base64 without padding", strings.TrimRight(b64(form.text+"\n"), "=")},
			{"base64 of the URL alphabet", base64.URLEncoding.EncodeToString([]byte(form.text))},
			{"base64 of the URL alphabet without padding", base64.RawURLEncoding.EncodeToString([]byte(form.text + "\n"))},
			{"base64 of CRLF", b64(strings.ReplaceAll(form.text, "\n", "\r\n"))},
			{"base64 of literal \\n", b64(`"` + strings.ReplaceAll(form.text, "\n", `\n`) + `"`)},
		} {
			t.Run(form.name+"/"+test.name, func(t *testing.T) {
				got, err := lti.ParsePrivateKey(runbook.NewSecret(test.text))
				require.NoError(t, err)
				assert.True(t, key.Equal(got))
			})
		}
	}
}

// mixed is a PKCS#1 key with the numbers of two.
func mixed(a, b *rsa.PrivateKey) string {
	der, err := asn1.Marshal(struct {
		Version               int
		N                     *big.Int
		E                     int
		D, P, Q, Dp, Dq, Qinv *big.Int
	}{0, a.N, a.E, b.D, b.Primes[0], b.Primes[1], b.Precomputed.Dp, b.Precomputed.Dq, b.Precomputed.Qinv})
	if err != nil {
		panic(err)
	}
	return pemText("RSA PRIVATE KEY", der)
}

// A key that cannot be used is refused with what is wrong and what to do, and
// without a part of it.
//
// Requirement: RB-LTI-SIGNATURE-ENCODING
func TestParsePrivateKeyProblems(t *testing.T) {
	key, other := ringTestKeys()[0], ringTestKeys()[1]
	good := pkcs8(key)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	ecDER, err := x509.MarshalECPrivateKey(curve)
	require.NoError(t, err)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	der := x509.MarshalPKCS1PrivateKey(key)
	body := strings.ReplaceAll(good[strings.Index(good, "\n"):strings.Index(good, "-----END")], "\n", "")
	flipped := strings.Replace(good, body[200:204], "!!!!", 1)
	middle := len(der) / 2
	changed := append(append(append([]byte{}, der[:middle]...), der[middle]^1), der[middle+1:]...)

	for _, test := range []struct {
		name, text string
		want       lti.KeyProblem
	}{
		{"nothing", "", lti.BadKeyEmpty},
		{"white space", " \n\t", lti.BadKeyEmpty},
		{"empty quotes", `""`, lti.BadKeyEmpty},
		{"too long", strings.Repeat("A", 70_000), lti.BadKeyTooLong},
		{"a word", "change-me!", lti.BadKeyEncoding},
		{"a redacted secret", "[redacted]", lti.BadKeyEncoding},
		{"base64 with a character too many", b64(good) + "*", lti.BadKeyEncoding},
		{"base64 of text", b64("this is not a key at all, but a sentence"), lti.BadKeyNotPEM},
		{"base64 cut off", b64(good)[:400], lti.BadKeyDamaged},
		{"base64 twice", b64(b64(good)), lti.BadKeyTwice},
		{"base64 twice in lines", b64(wrap(b64(good), "\n")), lti.BadKeyTwice},
		{"base64 of DER", base64.StdEncoding.EncodeToString(der), lti.BadKeyDER},
		{"a PEM without its lines", body, lti.BadKeyDER},
		{"a JWK", `{"kty":"RSA","n":"AQAB"}`, lti.BadKeyForm},
		{"OpenSSH", pemText("OPENSSH PRIVATE KEY", []byte("openssh-key-v1")), lti.BadKeyForm},
		{"PuTTY", "PuTTY-User-Key-File-3: ssh-rsa", lti.BadKeyForm},
		{"parameters only", pemText("EC PARAMETERS", []byte{6, 1, 1}), lti.BadKeyForm},
		{"two keys", good + pkcs8(other), lti.BadKeySeveral},
		{"public key", pemText("PUBLIC KEY", public), lti.BadKeyPublic},
		{"public key as base64", b64(pemText("PUBLIC KEY", public)), lti.BadKeyPublic},
		{"PKCS#1 public key", pemText("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&key.PublicKey)), lti.BadKeyPublic},
		{"certificate", pemText("CERTIFICATE", []byte("x")), lti.BadKeyPublic},
		{"encrypted PKCS#8", pemText("ENCRYPTED PRIVATE KEY", []byte("x")), lti.BadKeyEncrypted},
		{"encrypted PKCS#1", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", lti.BadKeyEncrypted},
		{"no END line", good[:len(good)-30], lti.BadKeyDamaged},
		{"only a BEGIN line", "-----BEGIN PRIVATE KEY", lti.BadKeyDamaged},
		{"other END line", strings.Replace(good, "-----END PRIVATE", "-----END RSA PRIVATE", 1), lti.BadKeyDamaged},
		{"a line is missing", strings.Replace(good, good[93:158], "", 1), lti.BadKeyDamaged},
		{"no line left", "-----BEGIN PRIVATE KEY----------END PRIVATE KEY-----", lti.BadKeyDamaged},
		{"foreign characters", flipped, lti.BadKeyDamaged},
		{"more after the key", pemText("RSA PRIVATE KEY", append(append([]byte{}, der...), 0)), lti.BadKeyDamaged},
		{"EC", pkcs8(curve), lti.BadKeyNotRSA},
		{"EC in its own form", pemText("EC PRIVATE KEY", ecDER), lti.BadKeyNotRSA},
		{"Ed25519", b64(pkcs8(edwards)), lti.BadKeyNotRSA},
		{"DSA", pemText("DSA PRIVATE KEY", []byte("x")), lti.BadKeyNotRSA},
		{"1024 bits", pkcs8(small), lti.BadKeySize},
		{"two keys mixed", mixed(key, other), lti.BadKeyInconsistent},
		{"one bit changed", pemText("RSA PRIVATE KEY", changed), lti.BadKeyInconsistent},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := lti.ParsePrivateKey(runbook.NewSecret(test.text))
			require.ErrorIs(t, err, test.want)
			assert.Nil(t, got)
			var keyError *lti.KeyError
			require.ErrorAs(t, err, &keyError)
			assert.Equal(t, test.want, keyError.Problem)
			assert.Regexp(t, `^lti: private key: .{10,}: .{10,}`, err.Error(), "what it is, and what to do")
			noPartOf(t, err.Error(), test.text)
			noPartOf(t, fmt.Sprintf("%+v %#v", err, err), test.text)
		})
	}
}

// noPartOf fails if a message has nine characters in a row of a secret. Labels
// of PEMs are no secret.
func noPartOf(t testing.TB, message, secret string) {
	t.Helper()
	for line := range strings.FieldsFuncSeq(secret, func(r rune) bool { return r == '\n' || r == ' ' || r == '-' }) {
		for i := 0; i+9 <= len(line); i++ {
			if strings.Contains(message, line[i:i+9]) {
				t.Fatalf("a part of the secret is in the message: %q", line[i:i+9])
			}
		}
	}
}

// The size of a key that is too small is told.
func TestParsePrivateKeySize(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	_, err = lti.ParsePrivateKey(runbook.NewSecret(pkcs1(small)))
	assert.ErrorContains(t, err, "it has 1024")
}

// A new key has the form that runbooks store: one line, the base64 of a PKCS#8
// PEM; and is another one each time.
func TestGenerateKey(t *testing.T) {
	one, err := lti.GenerateKey()
	require.NoError(t, err)
	two, err := lti.GenerateKey()
	require.NoError(t, err)
	assert.False(t, one.Equal(two))

	text, err := base64.StdEncoding.DecodeString(one.Reveal())
	require.NoError(t, err, "one line of standard base64")
	block, rest := pem.Decode(text)
	require.NotNil(t, block)
	assert.Empty(t, rest)
	assert.Equal(t, "PRIVATE KEY", block.Type)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	require.NoError(t, err)
	parsed, err := lti.ParsePrivateKey(one)
	require.NoError(t, err)
	assert.True(t, parsed.Equal(key))
	assert.Equal(t, 2048, parsed.N.BitLen())
	assert.Equal(t, 65537, parsed.E)
}
