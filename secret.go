package runbook

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every printer of a Secret shows.
const redacted = "[redacted]"

// A Secret is a text that must not be printed: a token, a password, a private
// key. Only [Secret.Reveal] returns it. Every fmt verb, slog handler, JSON and
// XML encoder and value dumper shows "[redacted]" or, where it looks past
// methods into unexported fields, a code address. Encoding a Secret with
// encoding/gob is an error.
//
// The text lives in a closure and not in a field, because fmt and dumpers read
// unexported fields without asking a type's methods.
//
// There is deliberately no Unmarshal method: a file written with redacted
// secrets cannot be read back by accident as if "[redacted]" were a password.
// Secrets cannot be compared with ==; use [Secret.Equal].
//
// The zero Secret holds the empty text. A Secret may be copied and used
// concurrently.
type Secret struct {
	reveal func() string
}

// NewSecret returns a Secret that holds text. NewSecret("") is the zero Secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return text }}
}

// Reveal returns the text. Call it where the text goes on the wire, and keep
// the result out of variables that outlive the call.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsZero reports whether the Secret holds no text.
func (s Secret) IsZero() bool { return s.reveal == nil }

// Equal reports whether both hold the same text, in a time that depends on
// neither the texts nor where they differ.
func (s Secret) Equal(other Secret) bool {
	a, b := sha256.Sum256([]byte(s.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// Format prints "[redacted]" for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue makes log/slog print "[redacted]".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText makes text-based encoders (JSON, XML, most YAML and TOML
// packages) write "[redacted]".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
