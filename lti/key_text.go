package lti

import (
	"encoding/base64"
	"strings"
	"unicode"
)

// maxKeyText is more than the base64 of the PEM of the largest key, in bytes.
const maxKeyText = 64 << 10

const (
	pemBegin = "-----BEGIN "
	pemEnd   = "-----END "
	pemTail  = "-----"
)

// keyBlock finds the one private key in the text of a variable, and returns its
// label and DER.
func keyBlock(text string) (label string, der []byte, err error) {
	if len(text) > maxKeyText {
		return "", nil, badKey(BadKeyTooLong)
	}
	text = unwrapKey(text)
	switch {
	case text == "":
		return "", nil, badKey(BadKeyEmpty)
	case strings.Contains(text, pemBegin):
		return pemKey(text)
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "PuTTY-"):
		return "", nil, badKey(BadKeyForm)
	}
	decoded, ok := looseBase64(text)
	if !ok {
		return "", nil, badKey(BadKeyEncoding)
	}
	inner := unwrapKey(string(decoded))
	if strings.Contains(inner, pemBegin) {
		return pemKey(inner)
	}
	return "", nil, badKey(notPEM(inner, decoded))
}

// notPEM says what base64 of something else is the base64 of.
func notPEM(inner string, decoded []byte) KeyProblem {
	if again, ok := looseBase64(inner); ok && strings.Contains(string(again), pemBegin) {
		return BadKeyTwice
	}
	if len(decoded) > 100 && decoded[0] == 0x30 && decoded[1] >= 0x80 { // a long ASN.1 sequence
		return BadKeyDER
	}
	return BadKeyNotPEM
}

// unwrapKey removes what shells, files of variables and web forms put around and
// into a value: quotes, escaped line ends, a byte order mark.
func unwrapKey(text string) string {
	text = strings.NewReplacer(`\\n`, "\n", `\r`, "\r", `\n`, "\n", `\t`, "\t", `\"`, `"`, "\ufeff", "").Replace(text)
	for range 3 {
		text = strings.TrimSpace(text)
		if n := len(text); n >= 2 && text[0] == text[n-1] && strings.IndexByte(`"'`+"`", text[0]) >= 0 {
			text = text[1 : n-1]
		}
	}
	return strings.TrimSpace(text)
}

// looseBase64 decodes either alphabet, padded or not, with white space anywhere.
func looseBase64(text string) ([]byte, bool) {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return -1
		case r == '-':
			return '+'
		case r == '_':
			return '/'
		}
		return r
	}, text)
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	return decoded, err == nil && len(decoded) > 0
}

// pemKey finds the private key among the blocks of a text. Package encoding/pem
// wants line ends, which are what a variable loses.
func pemKey(text string) (label string, der []byte, err error) {
	var body string
	var public bool
	for {
		_, after, found := strings.Cut(text, pemBegin)
		if !found {
			break
		}
		name, rest, ok := strings.Cut(after, pemTail)
		content, rest, closed := strings.Cut(rest, pemEnd+name+pemTail)
		if !ok || !closed {
			return "", nil, badKey(BadKeyDamaged)
		}
		text = rest
		switch {
		case !strings.HasSuffix(name, "PRIVATE KEY"):
			public = public || strings.HasSuffix(name, "PUBLIC KEY") || strings.Contains(name, "CERTIFICATE")
		case label != "":
			return "", nil, badKey(BadKeySeveral)
		default:
			label, body = name, content
		}
	}
	switch {
	case label == "" && public:
		return "", nil, badKey(BadKeyPublic)
	case label == "":
		return "", nil, badKey(BadKeyForm)
	case label == "ENCRYPTED PRIVATE KEY", strings.Contains(body, "Proc-Type:"):
		return "", nil, badKey(BadKeyEncrypted) // the second is the old way: RFC 1421, section 4.6.1.1
	}
	der, ok := looseBase64(body)
	if !ok {
		return "", nil, badKey(BadKeyDamaged)
	}
	return label, der, nil
}
