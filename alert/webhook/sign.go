package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// The header fields of a request, as net/http writes them.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// minKey is how long a key is at least, in bytes, by the specification.
const minKey = 24

// key returns the key of a secret.
func key(secret runbook.Secret) ([]byte, error) {
	text := secret.Reveal()
	bytes := []byte(text)
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		var err error
		if bytes, err = base64.StdEncoding.DecodeString(encoded); err != nil {
			return nil, errors.New("a secret that begins with whsec_ must go on in base64")
		}
	}
	if len(bytes) < minKey {
		return nil, errors.New("a secret must have at least 24 bytes")
	}
	return bytes, nil
}

// sum signs an ID, the time of the attempt and a body.
func sum(key []byte, id, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// signature is the value of the header.
func signature(key []byte, id string, at time.Time, body []byte) (timestamp, value string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	return timestamp, "v1," + base64.StdEncoding.EncodeToString(sum(key, id, timestamp, body))
}

// verified reports whether one of the signatures of a header, divided by spaces, is right by
// one of the keys.
func verified(keys [][]byte, id, timestamp, header string, body []byte) bool {
	ok := false
	for i, one := range strings.Fields(header) {
		encoded, v1 := strings.CutPrefix(one, "v1,")
		given, err := base64.StdEncoding.DecodeString(encoded)
		if !v1 || err != nil || i >= maxSignatures {
			continue
		}
		for _, k := range keys {
			if hmac.Equal(given, sum(k, id, timestamp, body)) {
				ok = true
			}
		}
	}
	return ok
}

// maxSignatures is how many signatures of a request are looked at.
const maxSignatures = 4
