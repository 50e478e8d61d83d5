package wsprobe

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/httpprobe"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// Config is which endpoint a [Prober] looks at, and what it expects of it. Only
// URL is required.
type Config struct {
	// URL is the address: absolute, with the scheme wss or ws (https and http
	// mean the same), without a user name and a fragment. It is shown in
	// messages without its query, but nothing else keeps a query secret:
	// credentials belong in Auth where the server takes them there.
	URL string
	// Header is sent with the handshake. The fields of the handshake itself
	// cannot be set, Origin has a field of its own, and Authorization belongs in
	// Auth.
	Header http.Header
	// Auth is the credential, as for requests to the same service: the same
	// value will do. Zero means none.
	Auth httpprobe.Auth
	// Origin is the header field that browsers send, and by which servers refuse
	// foreign pages: "https://app.example.edu". Zero means that none is sent.
	Origin string
	// Subprotocols are offered to the server, the preferred one first. If there
	// are any, the server must choose one.
	Subprotocols []string

	// Send is a text message to send after the handshake. Zero means that none
	// is sent.
	Send string
	// Want is what the answer to Send, or without Send the first message, must
	// be. Nil means: the same text as Send, or without Send, that no message is
	// waited for.
	Want *Want
	// Skip is how many messages to pass over before the one that counts: a
	// greeting that comes before the answer, for example.
	Skip int
	// MaxMessage is the most bytes that a message may have. Zero means 65,536.
	MaxMessage int64

	// Latency is the time that the answer may take: from sending until the
	// message has arrived, without Send from the end of the handshake, and if no
	// message is waited for, the handshake. The result's Duration is that time.
	Latency health.Budget
	// CertificateWarn degrades from this time left on, until the certificate of
	// a wss address, or one that vouches for it, expires. Zero means 21 days,
	// negative never.
	CertificateWarn time.Duration
	// CertificateFail fails from this time left on. Zero means when expired.
	CertificateFail time.Duration

	// HTTP makes the connection; set it for a proxy, another certificate
	// authority, a client certificate or routing. Its Timeout, if any, limits
	// the handshake. Its redirect policy is not used, and it is not changed. Nil
	// means a transport of the prober's own: a new connection for every probe,
	// HTTP/1.1, no proxy, the system's certificate authorities.
	HTTP *http.Client
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

const defaultMaxMessage = 64 << 10

// validate adds everything that is wrong with c to p, and returns the URL.
func (c *Config) validate(p *netcheck.Problems) *url.URL {
	u := httpcheck.ParseURL(p, c.URL, "wss", "ws", "https", "http")
	if u != nil && u.Fragment != "" {
		p.Add("URL must not have a fragment (RFC 6455, section 3)")
	}
	httpcheck.ValidateHeader(p, c.Header, func(name string) string {
		if ofHandshake(name) {
			return "it belongs to the handshake"
		}
		return ""
	})
	httpcheck.Auth(c.Auth).Validate(p, c.Header, ofHandshake)
	if !httpcheck.IsValue(c.Origin) {
		p.Add("Origin holds a character that a header cannot carry, such as a line break")
	}
	for i, s := range c.Subprotocols {
		switch {
		case !httpcheck.IsToken(s):
			p.Add("Subprotocols[%d]: %q is not a token", i, s)
		case slices.Contains(c.Subprotocols[:i], s):
			p.Add("Subprotocols[%d]: %q is there twice", i, s)
		}
	}
	if c.Skip < 0 {
		p.Add("Skip must not be negative")
	}
	if c.Skip > 0 && !c.reads() {
		p.Add("Skip needs Send or Want: no message is waited for")
	}
	if c.MaxMessage < 0 {
		p.Add("MaxMessage must not be negative")
	}
	p.In("Latency", c.Latency.Validate())
	p.In("CertificateWarn", c.certificates().Validate())
	return u
}

func (c *Config) certificates() netcheck.Certificates {
	return netcheck.Certificates{Warn: c.CertificateWarn, Fail: c.CertificateFail}
}

// reads reports whether a message is waited for.
func (c *Config) reads() bool { return c.Send != "" || c.Want != nil }

// ofHandshake reports whether a header field is one of the handshake (RFC 6455,
// section 4.1).
func ofHandshake(name string) bool {
	return slices.Contains([]string{"Host", "Connection", "Upgrade", "Origin"}, name) || strings.HasPrefix(name, "Sec-Websocket-")
}

// header returns the header fields to send.
func (c *Config) header() http.Header {
	h := make(http.Header)
	for name, values := range c.Header {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	httpcheck.Auth(c.Auth).Set(h)
	if c.Origin != "" {
		h.Set("Origin", c.Origin)
	}
	return h
}

// check adds what is wrong with a message to r. What it contains is not shown.
func (w *Want) check(r health.Result, message string) health.Result {
	add := func(cause health.Cause, format string, args ...any) {
		r = r.Worsen(health.Unhealthy, cause, fmt.Sprintf("the message (%d bytes) ", len(message))+fmt.Sprintf(format, args...))
	}
	if w.JSON && !json.Valid([]byte(message)) {
		add(health.CauseNotJSON, "is not JSON")
	}
	if w.Equal != "" && message != w.Equal {
		add(health.CauseAssertion, "is not %s", netcheck.Quote(w.Equal))
	}
	if !strings.HasPrefix(message, w.Prefix) {
		add(health.CauseAssertion, "does not begin with %s", netcheck.Quote(w.Prefix))
	}
	if !strings.Contains(message, w.Contains) {
		add(health.CauseAssertion, "does not contain %s", netcheck.Quote(w.Contains))
	}
	return r
}
