package httpcheck

import (
	"encoding/base64"
	"net/http"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// Auth is a credential: at most one of three kinds. It has the fields of
// httpprobe.Auth, which says what they mean, and is converted from it.
type Auth struct {
	Bearer   runbook.Secret
	Username string
	Password runbook.Secret
	Header   string
	Value    runbook.Secret
}

// IsZero reports whether there is no credential.
func (a Auth) IsZero() bool { return a.Bearer.IsZero() && !a.basic() && a.Header == "" }

func (a Auth) basic() bool { return a.Username != "" || !a.Password.IsZero() }

// Validate adds what is wrong with the credential, beside which header is sent.
// Reserved reports header names that may not be set; nil reserves none.
func (a Auth) Validate(p *netcheck.Problems, header http.Header, reserved func(canonical string) bool) {
	kinds := 0
	if !a.Bearer.IsZero() {
		kinds++
	}
	if a.basic() {
		kinds++
	}
	if a.Header != "" || !a.Value.IsZero() {
		kinds++
		a.validateHeader(p, header, reserved)
	}
	if kinds > 1 {
		p.Add("Auth: only one of Bearer, Username with Password, and Header with Value may be set")
	}
	if !IsValue(a.Bearer.Reveal()) || !IsValue(a.Value.Reveal()) {
		p.Add("Auth: the secret holds a character that a header cannot carry, such as a line break")
	}
	if strings.ContainsFunc(a.Username, func(r rune) bool { return r == ':' || r < ' ' || r == 0x7f }) {
		p.Add("Auth: Username must not hold a colon or a control character")
	}
}

func (a Auth) validateHeader(p *netcheck.Problems, header http.Header, reserved func(string) bool) {
	name := http.CanonicalHeaderKey(a.Header)
	switch {
	case a.Header == "" || a.Value.IsZero():
		p.Add("Auth: Header and Value belong together")
	case !IsToken(a.Header):
		p.Add("Auth: Header %q is not a header name", a.Header)
	case name == "Host" || reserved != nil && reserved(name):
		p.Add("Auth: Header must not be %s", name)
	case len(header.Values(a.Header)) > 0:
		p.Add("Auth: Header %s is set in Header too", a.Header)
	}
}

// Set puts the credential into the header of a request.
func (a Auth) Set(header http.Header) {
	switch {
	case !a.Bearer.IsZero():
		header.Set("Authorization", "Bearer "+a.Bearer.Reveal())
	case a.basic():
		header.Set("Authorization", "Basic "+a.pair())
	case a.Header != "":
		header.Set(a.Header, a.Value.Reveal())
	}
}

// pair returns user name and password as they are sent (RFC 7617, section 2).
func (a Auth) pair() string {
	return base64.StdEncoding.EncodeToString([]byte(a.Username + ":" + a.Password.Reveal()))
}

// least is the length of the shortest text that is taken for a secret.
const least = 4

// Redact takes the credential out of a result: a server can put into its answer
// what it was sent. It is also found where a message shows only its beginning.
// Secrets of less than four characters are not looked for.
func (a Auth) Redact(r health.Result) health.Result {
	secrets := []string{a.Bearer.Reveal(), a.Password.Reveal(), a.Value.Reveal()}
	if a.basic() {
		secrets = append(secrets, a.pair())
	}
	for _, secret := range secrets {
		if len(secret) < least {
			continue
		}
		r.Message = redact(r.Message, secret)
		for i := range r.Measurements {
			r.Measurements[i].Text = redact(r.Measurements[i].Text, secret)
		}
	}
	return r
}

const redacted = "[redacted]"

func redact(text, secret string) string {
	if text == "" {
		return ""
	}
	text = strings.ReplaceAll(text, secret, redacted)
	clean := netcheck.Shorten(secret, len(secret)) // as messages show it
	if len(clean) < least {
		return text
	}
	text = strings.ReplaceAll(text, clean, redacted)
	for n := len(clean) - 1; n >= least && strings.Contains(text, "…"); n-- {
		text = strings.ReplaceAll(text, clean[:n]+"…", redacted+"…")
	}
	return text
}
