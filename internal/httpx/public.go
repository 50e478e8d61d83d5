package httpx

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"time"
)

// ErrPrivateAddress means that an address is not one of the public Internet, so
// that nothing was sent to it.
var ErrPrivateAddress = errors.New("the address is not public")

// PublicOnly returns a client that calls public addresses only, for addresses
// that come from outside (OWASP, Server-Side Request Forgery Prevention).
//
// The host of each request, also of one that follows a redirect, is looked at
// first; see [PublicHost]. What counts is the address that a connection goes
// to, after the name was resolved: it is looked at just before connecting, so
// that a name whose address changes in between gains nothing.
//
// The transport of base is copied if it is a [*http.Transport], with its TLS
// configuration; its proxy and its own ways to dial are dropped, because behind
// them nobody sees the address. Of any other transport only the host of the
// request can be looked at. A nil base, or one without a transport, means the
// transport of this package. Errors wrap [ErrPrivateAddress].
func PublicOnly(base *http.Client) *http.Client {
	out := new(http.Client)
	if base != nil {
		*out = *base
	}
	switch t := out.Transport.(type) {
	case nil:
		out.Transport = publicHosts{publicDials(defaultTransport())}
	case *http.Transport:
		out.Transport = publicHosts{publicDials(t.Clone())}
	default:
		out.Transport = publicHosts{t}
	}
	return out
}

// publicDials changes t to dial public addresses only.
func publicDials(t *http.Transport) *http.Transport {
	d := net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second, ControlContext: publicAddress}
	t.Proxy = nil
	t.DialContext, t.DialTLSContext = d.DialContext, nil // before this, Dial does not count
	//lint:ignore SA1019 it counts if it is set
	t.DialTLS = nil //nolint:staticcheck // as above
	if len(t.TLSNextProto) > 0 {
		// They may know connections that were dialled otherwise.
		t.TLSNextProto, t.ForceAttemptHTTP2 = nil, true
	}
	return t
}

// publicAddress refuses to connect to an address that is not public.
func publicAddress(_ context.Context, network, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" || !IsPublic(to.Addr()) {
		return private(address)
	}
	return nil
}

// publicHosts looks at the host of each request.
type publicHosts struct{ next http.RoundTripper }

func (p publicHosts) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := PublicHost(req.URL.Hostname()); err != nil {
		return nil, err
	}
	return p.next.RoundTrip(req)
}

// PublicHost returns nil if host, without port, may be one of the public
// Internet, or else an error that wraps [ErrPrivateAddress]. It asks nobody: of
// a name it says only whether it can be public at all. Names without a dot are
// not, nor those below localhost, local, internal, localdomain, home.arpa and
// the like, names that some resolvers read as a number (127.1, 0x7f.1), and
// names that are not ASCII, which are written otherwise on the wire.
func PublicHost(host string) error {
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(name); err == nil {
		if !IsPublic(ip) {
			return private(host)
		}
		return nil
	}
	top := name[strings.LastIndexByte(name, '.')+1:]
	if len(top) == len(name) || top == "" || top[0] >= '0' && top[0] <= '9' || slices.Contains(privateTops, top) ||
		strings.HasSuffix(name, ".home.arpa") || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return private(host)
	}
	return nil
}

// privateTops are last labels of names that networks give out for themselves
// (RFC 6761, section 6.3; RFC 6762, appendix G; "internal" by decision of ICANN).
var privateTops = []string{"localhost", "local", "internal", "localdomain", "intranet", "private", "corp", "home", "lan"} //nolint:gochecknoglobals // constant

// private returns an error that ends a call: asking again is no use.
func private(address string) error {
	const most = 80
	if len(address) > most {
		address = address[:most] + "…"
	}
	return &Refusal{Err: fmt.Errorf("%w: %q", ErrPrivateAddress, address), After: -1}
}

// IsPublic reports whether an address is one of the public Internet: globally
// reachable unicast by the registries of IANA for special purposes (RFC 6890).
// What embeds an IPv4 address counts as that address where everybody may do so
// (IPv4-mapped, RFC 4291; NAT64, RFC 6052), else as not public (6to4, Teredo).
func IsPublic(ip netip.Addr) bool {
	ip = ip.WithZone("").Unmap()
	if nat64.Contains(ip) {
		b := ip.As16()
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	if ip.Is6() && !globalUnicast.Contains(ip) {
		return false
	}
	return ip.IsValid() && !slices.ContainsFunc(special, func(p netip.Prefix) bool { return p.Contains(ip) })
}

var ( //nolint:gochecknoglobals // constants
	nat64         = netip.MustParsePrefix("64:ff9b::/96")
	globalUnicast = netip.MustParsePrefix("2000::/3")

	special = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),        // this network
		netip.MustParsePrefix("10.0.0.0/8"),       // private use
		netip.MustParsePrefix("100.64.0.0/10"),    // shared by customers of a provider (CGNAT)
		netip.MustParsePrefix("127.0.0.0/8"),      // loopback
		netip.MustParsePrefix("168.63.129.16/32"), // Azure's own services, inside its virtual machines
		netip.MustParsePrefix("169.254.0.0/16"),   // link-local; metadata of clouds
		netip.MustParsePrefix("172.16.0.0/12"),    // private use
		netip.MustParsePrefix("192.0.0.0/24"),     // IETF protocol assignments
		netip.MustParsePrefix("192.0.2.0/24"),     // documentation
		netip.MustParsePrefix("192.88.99.0/24"),   // 6to4 relays
		netip.MustParsePrefix("192.168.0.0/16"),   // private use
		netip.MustParsePrefix("198.18.0.0/15"),    // benchmarks
		netip.MustParsePrefix("198.51.100.0/24"),  // documentation
		netip.MustParsePrefix("203.0.113.0/24"),   // documentation
		netip.MustParsePrefix("224.0.0.0/4"),      // multicast
		netip.MustParsePrefix("240.0.0.0/4"),      // reserved, broadcast
		netip.MustParsePrefix("2001::/23"),        // IETF protocol assignments, Teredo
		netip.MustParsePrefix("2001:db8::/32"),    // documentation
		netip.MustParsePrefix("2002::/16"),        // 6to4
		netip.MustParsePrefix("3fff::/20"),        // documentation
	}
)
