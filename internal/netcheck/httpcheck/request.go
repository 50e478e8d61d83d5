package httpcheck

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/internal/netcheck"
)

// ParseURL returns the URL of a configuration, or nil, having added what is
// wrong with it. No problem shows any of it, since it may hold a password or a
// token. The schemes are those allowed, of which the problem names the first
// two.
func ParseURL(p *netcheck.Problems, raw string, schemes ...string) *url.URL {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		p.Add("URL is required")
	case err != nil:
		p.Add("URL cannot be parsed") // the error quotes pieces of it
	case !slices.Contains(schemes, u.Scheme) || u.Hostname() == "":
		p.Add("URL must be absolute, with %s or %s and a host", schemes[0], schemes[1])
	case u.User != nil:
		p.Add("URL must not hold a user name or password: use Auth")
	case !validPort(u.Port()) || strings.HasSuffix(u.Host, ":"):
		p.Add("URL: the port must be a number from 1 to 65535")
	default:
		return u
	}
	return nil
}

func validPort(port string) bool {
	n, err := strconv.ParseUint(port, 10, 16)
	return port == "" || err == nil && n > 0
}

// ValidateHeader adds what is wrong with a header. Reserved returns why a name
// may not be set, or "".
func ValidateHeader(p *netcheck.Problems, header http.Header, reserved func(canonical string) (why string)) {
	for _, name := range slices.Sorted(maps.Keys(header)) {
		canonical := http.CanonicalHeaderKey(name)
		why := reserved(canonical)
		if canonical == "Authorization" || canonical == "Proxy-Authorization" {
			why = "use Auth"
		}
		switch {
		case why != "":
			p.Add("Header must not set %s: %s", canonical, why)
		case !IsToken(name) || slices.ContainsFunc(header[name], func(v string) bool { return !IsValue(v) }):
			p.Add("Header %q has a name or value that HTTP does not allow", name)
		}
	}
}

// IsToken reports whether s is a token (RFC 9110, section 5.6.2), as the names
// of headers and WebSocket protocols are.
func IsToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// IsValue reports whether a header can carry s (RFC 9110, section 5.5).
func IsValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Place returns a URL without user name, query and fragment, not too long for a
// message.
func Place(u *url.URL) string {
	return netcheck.Shorten(u.Scheme+"://"+u.Host+u.EscapedPath(), 200)
}

// maxHeader bounds the header of an answer.
const maxHeader = 256 << 10

// NewTransport returns a transport that keeps no connection, so that each probe
// finds out whether one can be made, nothing stays open between probes, and
// net/http has no reason to send a request twice.
//
// net/http goes on connecting after a request has ended, for the next one to
// use, and without end if the other side is silent. After a request that failed,
// call CloseIdleConnections: it ends such attempts, and leaves alone those of
// other requests under way.
func NewTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, Protocols: protocols}
}
