package wsprobe

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
)

// Config says which endpoint to look at, and what to expect of it.
type Config struct {
	// URL is the address, with the scheme wss or ws (https and http mean the
	// same). It must have no user name and no fragment. Its query is sent, and
	// never shown.
	URL string

	// HTTP makes the connection; set it for proxies, own certificates or
	// routing. Its Timeout, if any, limits the handshake. Its redirect policy is
	// not used, and it is not changed. Nil means a client that keeps no idle
	// connections and uses no proxy.
	HTTP *http.Client

	// Bearer is sent as "Authorization: Bearer ..." unless it is zero.
	Bearer runbook.Secret
	// Secrets are further header fields whose values must not be shown, such as
	// X-API-Key or Cookie.
	Secrets map[string]runbook.Secret
	// Header are further header fields. Those of the handshake itself cannot be
	// set.
	Header http.Header
	// Origin is the header field that browsers send, and by which servers refuse
	// foreign pages: "https://app.example.edu". Empty means that none is sent.
	Origin string
	// Subprotocols are offered to the server, the preferred one first. If there
	// are any, the server must choose one.
	Subprotocols []string

	// Send is a text message to send after the handshake. Empty means that none
	// is sent.
	Send string
	// Want is what the answer to Send, or without Send the first message, must
	// be. Nil means: the same text as Send, or without Send, that no message is
	// waited for.
	Want *Want
	// Skip is how many messages to pass over before the one that counts: a
	// greeting that comes before the answer, for example.
	Skip int
	// MaxBytes is how large a message may be. Zero means 65,536.
	MaxBytes int64

	// Latency is how long the answer may take: from sending until the message
	// has arrived, without Send from the end of the handshake, and if no message
	// is waited for, the handshake. The result's Duration is that time.
	Latency health.Budget
}

// Want is what a message must be: everything that is set must be true. The zero
// Want is content with any message.
type Want struct {
	// Equal is the whole text.
	Equal string
	// Prefix is how the text begins.
	Prefix string
	// Contains is somewhere in the text.
	Contains string
	// JSON demands that the text is one valid JSON value.
	JSON bool
}

const defaultMaxBytes = 64 << 10

// check returns everything that is wrong with the config.
func (c *Config) check() error {
	var errs []error
	report := func(name string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("wsprobe: %s: %w", name, err))
		}
	}
	report("URL", checkURL(c.URL))
	report("Latency", c.Latency.Validate())
	c.checkFields(report)
	for i, s := range c.Subprotocols {
		if !isToken(s) || slices.Contains(c.Subprotocols[:i], s) {
			report("Subprotocols", fmt.Errorf("%q is not a token, or there twice", s))
		}
	}
	if c.Skip < 0 {
		report("Skip", fmt.Errorf("%d is negative", c.Skip))
	}
	if c.Skip > 0 && !c.reads() {
		report("Skip", errors.New("no message is waited for"))
	}
	if c.MaxBytes < 0 {
		report("MaxBytes", fmt.Errorf("%d is negative", c.MaxBytes))
	}
	return errors.Join(errs...)
}

// reads reports whether a message is waited for.
func (c *Config) reads() bool { return c.Send != "" || c.Want != nil }

// checkURL does not repeat the URL, whose query may hold a secret.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if e, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("cannot be read: %w", e.Err)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return fmt.Errorf("the scheme %q is neither wss nor ws", u.Scheme)
	}
	var errs []error
	if u.Hostname() == "" {
		errs = append(errs, errors.New("there is no host"))
	}
	if u.User != nil {
		errs = append(errs, errors.New("there is a user name; use Bearer or Secrets"))
	}
	if u.Fragment != "" {
		errs = append(errs, errors.New("a WebSocket's address has no fragment (RFC 6455 section 3)"))
	}
	return errors.Join(errs...)
}

// checkFields looks at everything that becomes a header field.
func (c *Config) checkFields(report func(source string, err error)) {
	seen := make(map[string]bool)
	check := func(source, name, value string) {
		report(source, checkField(name, value))
		if key := strings.ToLower(name); seen[key] {
			report(source, fmt.Errorf("%s is set elsewhere too", name))
		} else {
			seen[key] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Header)) {
		check("Header", name, strings.Join(c.Header[name], ""))
	}
	for _, name := range slices.Sorted(maps.Keys(c.Secrets)) {
		check("Secrets", name, c.Secrets[name].Reveal())
	}
	if !c.Bearer.IsZero() {
		check("Bearer", "Authorization", c.Bearer.Reveal())
	}
	if hasControls(c.Origin) {
		report("Origin", errors.New("there are control characters"))
	}
}

// checkField does not repeat the value, which may be a secret.
func checkField(name, value string) error {
	if !isToken(name) {
		return fmt.Errorf("%q is not a name of a header field", name)
	}
	switch lower := strings.ToLower(name); {
	case lower == "host", lower == "connection", lower == "upgrade", lower == "origin", strings.HasPrefix(lower, "sec-websocket-"):
		return fmt.Errorf("%s cannot be set", name)
	}
	if hasControls(value) {
		return fmt.Errorf("the value of %s has control characters", name)
	}
	return nil
}

func hasControls(value string) bool {
	return strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

// isToken reports whether s is a token (RFC 9110 section 5.6.2).
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

// header returns the header fields to send.
func (c *Config) header() http.Header {
	h := make(http.Header)
	for name, values := range c.Header {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	for name, secret := range c.Secrets {
		h.Set(name, secret.Reveal())
	}
	if !c.Bearer.IsZero() {
		h.Set("Authorization", "Bearer "+c.Bearer.Reveal())
	}
	if c.Origin != "" {
		h.Set("Origin", c.Origin)
	}
	return h
}

// check returns what is wrong with a message.
func (w *Want) check(message string) []failure {
	var wrong []failure
	add := func(cause health.Cause, format string, args ...any) {
		wrong = append(wrong, failure{cause, fmt.Sprintf("the message (%d bytes) ", len(message)) + fmt.Sprintf(format, args...)})
	}
	if w.JSON && !json.Valid([]byte(message)) {
		add(health.CauseNotJSON, "is not JSON")
	}
	if w.Equal != "" && message != w.Equal {
		add(health.CauseAssertion, "is not %.80q", w.Equal)
	}
	if !strings.HasPrefix(message, w.Prefix) {
		add(health.CauseAssertion, "does not begin with %.80q", w.Prefix)
	}
	if !strings.Contains(message, w.Contains) {
		add(health.CauseAssertion, "does not contain %.80q", w.Contains)
	}
	return wrong
}
