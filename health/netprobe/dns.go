package netprobe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// RecordType is a type of DNS records.
type RecordType string

// The types that a [DNS] prober can ask for.
const (
	// IP are addresses of both kinds; one is enough.
	IP RecordType = "IP"
	// A are IPv4 addresses.
	A RecordType = "A"
	// AAAA are IPv6 addresses.
	AAAA RecordType = "AAAA"
	// CNAME is the name that an alias stands for.
	CNAME RecordType = "CNAME"
	// TXT are texts.
	TXT RecordType = "TXT"
	// MX are mail servers: "10 mail.example.com".
	MX RecordType = "MX"
)

// DNSConfig is what a [DNS] prober asks for. Only Host is required.
type DNSConfig struct {
	// Host is the name to resolve, without a final dot: "qa.example.com". A
	// name with other characters than ASCII is given in its xn-- form.
	Host string
	// Type is the type of the records. Zero means [IP].
	Type RecordType
	// Want are records that must be there, whichever others are. Addresses and
	// names are compared by meaning, texts byte by byte, and a mail server may
	// be given with or without its preference. Zero demands none.
	Want []string
	// Exact demands that there are no records but Want.
	Exact bool
	// AtLeast is how many records there must be. Zero means 1.
	AtLeast int
	// Server is the DNS server to ask, as host:port. It is asked directly, for
	// Host as it is written. Zero means the resolver of this machine, which
	// looks into its hosts file and search domains, repeats lost questions and
	// may answer from memory: what a program on this machine would be told.
	Server string
	// Latency is the time that the answer may take.
	Latency health.Budget
	// Dialer makes the connections to Server. Nil means a plain net.Dialer.
	Dialer Dialer
}

// wireTypes are the records to ask a server for.
var wireTypes = map[RecordType][]uint16{
	IP: {typeA, typeAAAA}, A: {typeA}, AAAA: {typeAAAA}, CNAME: {typeCNAME}, TXT: {typeTXT}, MX: {typeMX},
}

// DNS is a prober that resolves one name. It is safe for concurrent use.
type DNS struct {
	cfg  DNSConfig
	name string // Host in lower case
}

var _ health.Prober = (*DNS)(nil)

// NewDNS returns a prober, or everything that is wrong with cfg. No error shows
// Host or Server.
func NewDNS(cfg DNSConfig) (*DNS, error) {
	problems := netcheck.Problems{Package: "netprobe"}
	cfg.Type = cmp.Or(cfg.Type, IP)
	problems.In("Host", validName(cfg.Host))
	if _, ok := wireTypes[cfg.Type]; !ok {
		problems.Add("Type %q is not one of IP, A, AAAA, CNAME, TXT and MX", cfg.Type)
	}
	want := make([]string, 0, len(cfg.Want))
	for _, text := range cfg.Want {
		normal, err := cfg.Type.normal(text)
		problems.In(fmt.Sprintf("Want %q", text), err)
		want = append(want, normal)
	}
	cfg.Want = want
	if cfg.Exact && len(want) == 0 {
		problems.Add("Exact needs Want")
	}
	if cfg.AtLeast < 0 {
		problems.Add("AtLeast must not be negative")
	}
	if cfg.Server != "" {
		_, err := splitAddress(cfg.Server)
		problems.In("Server", err)
	}
	problems.In("Latency", cfg.Latency.Validate())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	cfg.AtLeast = max(cfg.AtLeast, 1)
	if cfg.Dialer == nil {
		cfg.Dialer = &net.Dialer{}
	}
	return &DNS{cfg: cfg, name: strings.ToLower(cfg.Host)}, nil
}

// validName returns what is wrong with a host name as a DNS name.
func validName(name string) error {
	if _, err := netip.ParseAddr(name); err == nil {
		return errors.New("is an address, not a name")
	}
	if name == "" || len(name) > maxName-2 {
		return errors.New("must have 1 to 253 characters")
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 {
			return errors.New("each part between dots must have 1 to 63 characters")
		}
		if strings.ContainsFunc(label, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`\"/:@`, r) }) {
			return errors.New("holds a character that a name cannot have")
		}
	}
	return nil
}

// normal returns the form in which records of the type are compared.
func (t RecordType) normal(text string) (string, error) {
	switch t {
	case IP, A, AAAA:
		addr, err := netip.ParseAddr(text)
		if addr = addr.Unmap(); err != nil || t == A && !addr.Is4() || t == AAAA && !addr.Is6() {
			return text, fmt.Errorf("is not an address of type %s", t)
		}
		return addr.String(), nil
	case TXT:
		return text, nil
	}
	return strings.ToLower(strings.TrimSuffix(text, ".")), nil
}

// matches reports whether a record is one that is wanted.
func (t RecordType) matches(record, want string) bool {
	if t == MX && !strings.Contains(want, " ") {
		_, record, _ = strings.Cut(record, " ")
	}
	return record == want
}

// String returns the question: "DNS MX example.com at 192.0.2.53:53".
func (p *DNS) String() string {
	s := fmt.Sprintf("DNS %s %s", p.cfg.Type, p.cfg.Host)
	if p.cfg.Server != "" {
		s += " at " + p.cfg.Server
	}
	return s
}

// Probe resolves the name once. It measures response_time, record_count, and as
// text the addresses, or for other types the records. With both kinds of
// addresses and a Server, response_time covers two questions, one after the
// other.
//
// It ends soon after ctx does. When ctx is cancelled rather than timed out, the
// result is Unknown.
func (p *DNS) Probe(ctx context.Context) health.Result {
	line := netcheck.NewTimeline(p.cfg.Host)
	r := health.Result{Status: health.Healthy}
	var found []string
	if p.cfg.Server != "" {
		r, found = p.askServer(ctx, line, r)
	} else {
		r, found = p.askSystem(ctx, line, r)
	}
	r.Time = line.Started()
	r.Duration = line.Elapsed()
	if r.Status.OK() {
		r = netcheck.With(r, netcheck.Milliseconds("response_time", r.Duration))
		r = p.cfg.Latency.Apply(p.judge(r, found))
	}
	if r.Message != "" {
		r.Message = p.String() + ": " + r.Message
	}
	return r
}

// judge judges the records, of which there is at least one.
func (p *DNS) judge(r health.Result, found []string) health.Result {
	slices.Sort(found)
	found = slices.Compact(found)
	name := "records"
	if slices.Contains([]RecordType{IP, A, AAAA}, p.cfg.Type) {
		name = "addresses"
	}
	list := netcheck.Clean(strings.Join(found, ", "))
	r = netcheck.With(r, health.Measurement{Name: "record_count", Value: float64(len(found))})
	if list != "" {
		r = netcheck.With(r, health.Measurement{Name: name, Text: list})
	}
	if len(found) < p.cfg.AtLeast {
		r = r.Worsen(health.Unhealthy, health.CauseMissing, fmt.Sprintf("has %d %s (%s), want at least %d", len(found), name, list, p.cfg.AtLeast))
	}
	for _, want := range p.cfg.Want {
		if !slices.ContainsFunc(found, func(text string) bool { return p.cfg.Type.matches(text, want) }) {
			r = r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("%s is not among the %s (%s)", netcheck.Quote(want), name, list))
		}
	}
	for _, text := range found {
		if p.cfg.Exact && !slices.ContainsFunc(p.cfg.Want, func(want string) bool { return p.cfg.Type.matches(text, want) }) {
			r = r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("%s is among the %s and should not be", netcheck.Quote(text), name))
		}
	}
	return r
}

// askSystem asks the resolver of this machine.
func (p *DNS) askSystem(ctx context.Context, line *netcheck.Timeline, r health.Result) (health.Result, []string) {
	line.Enter(netcheck.Resolving)
	found, err := p.lookup(ctx)
	if err != nil {
		return line.Explain(ctx, err).Add(r), nil
	}
	if len(found) == 0 {
		return r.Worsen(health.Unhealthy, health.CauseDNS, fmt.Sprintf("host name %s has no record of type %s", p.cfg.Host, p.cfg.Type)), nil
	}
	return r, found
}

func (p *DNS) lookup(ctx context.Context) (found []string, err error) {
	resolver := &net.Resolver{}
	switch p.cfg.Type {
	case CNAME:
		name, err := resolver.LookupCNAME(ctx, p.cfg.Host)
		name, _ = CNAME.normal(name)
		if err != nil || name == p.name {
			return nil, err // a name that is no alias stands for itself
		}
		return []string{name}, nil
	case TXT:
		return resolver.LookupTXT(ctx, p.cfg.Host)
	case MX:
		servers, err := resolver.LookupMX(ctx, p.cfg.Host)
		for _, s := range servers {
			host, _ := MX.normal(s.Host)
			found = append(found, fmt.Sprintf("%d %s", s.Pref, host))
		}
		return found, err
	}
	network := map[RecordType]string{IP: "ip", A: "ip4", AAAA: "ip6"}[p.cfg.Type]
	addrs, err := resolver.LookupNetIP(ctx, network, p.cfg.Host)
	for _, addr := range addrs {
		found = append(found, addr.Unmap().String())
	}
	return found, err
}

// nxdomain is the code of RFC 1035, section 4.1.1, for a name that does not
// exist. A server that gives it for one type only is broken (RFC 4074).
const nxdomain = 3

// rcodes are the other refusals, as operators know them.
var rcodes = map[uint8]string{1: "FORMERR", 2: "SERVFAIL", nxdomain: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

// askServer asks the configured server.
func (p *DNS) askServer(ctx context.Context, line *netcheck.Timeline, r health.Result) (health.Result, []string) {
	var found []string
	var refused string
	for _, qtype := range wireTypes[p.cfg.Type] {
		rep, q, err := exchange(ctx, line, p.cfg.Dialer, p.cfg.Server, p.name, qtype)
		switch {
		case errors.Is(err, errMalformed), errors.Is(err, errForeign):
			return r.Worsen(health.Unhealthy, health.CauseProtocol, "the answer is not a valid DNS message"), nil
		case err != nil:
			return line.Explain(ctx, err).Add(r), nil
		case rep.rcode == nxdomain && len(found) == 0:
			return r.Worsen(health.Unhealthy, health.CauseDNS, fmt.Sprintf("host name %s does not exist (NXDOMAIN)", p.cfg.Host)), nil
		case rep.rcode != 0:
			refused = "the server answered " + cmp.Or(rcodes[rep.rcode], fmt.Sprintf("error %d", rep.rcode))
		default:
			found = append(found, rep.find(q)...)
		}
	}
	switch {
	case len(found) > 0 && refused != "":
		return r.Worsen(health.Degraded, health.CauseDNS, refused+" for one kind of address"), found
	case refused != "":
		return r.Worsen(health.Unhealthy, health.CauseDNS, refused), nil
	case len(found) == 0:
		return r.Worsen(health.Unhealthy, health.CauseDNS, fmt.Sprintf("host name %s exists, but has no record of type %s", p.cfg.Host, p.cfg.Type)), nil
	}
	return r, found
}
