package netprobe_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/healthtest"
	"go.acu.edu.au/runbook/health/netprobe"
)

// Record types, as in RFC 1035 and RFC 3596.
const (
	typeA     = 1
	typeCNAME = 5
	typeMX    = 15
	typeTXT   = 16
	typeAAAA  = 28
)

// wire returns a name in wire form.
func wire(name string) string {
	var b strings.Builder
	for label := range strings.SplitSeq(name, ".") {
		b.WriteByte(byte(len(label)))
		b.WriteString(label)
	}
	return b.String() + "\x00"
}

// rr returns a record. The name of the question is written as "\xc0\x0c", which
// points to it.
func rr(owner string, rtype uint16, data string) string {
	b := []byte(owner)
	b = binary.BigEndian.AppendUint16(b, rtype)
	b = append(b, 0, 1, 0, 0, 0, 60)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return string(b) + data
}

const asked = "\xc0\x0c"

// A zone maps the type of a question to the records of the answer.
type zone struct {
	rcode     map[uint16]byte
	records   map[uint16][]string
	truncated bool // over UDP
	before    func(query []byte) [][]byte
	silent    bool
	questions *atomic.Int64
}

// answer answers a query, whose type is the two bytes before its class.
func (z zone) answer(query []byte, udp bool) [][]byte {
	if z.questions != nil {
		z.questions.Add(1)
	}
	if z.silent {
		return nil
	}
	qtype := binary.BigEndian.Uint16(query[len(query)-4:])
	msg := append([]byte(nil), query...)
	msg[2], msg[3] = 0x81, 0x80|z.rcode[qtype]
	if z.truncated && udp {
		msg[2] |= 2
		return [][]byte{msg}
	}
	binary.BigEndian.PutUint16(msg[6:], uint16(len(z.records[qtype])))
	for _, record := range z.records[qtype] {
		msg = append(msg, record...)
	}
	if z.before != nil {
		return append(z.before(query), msg)
	}
	return [][]byte{msg}
}

// samePort listens on one port of loopback for UDP and for TCP. A port that is
// free for one may be taken for the other.
func samePort(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		require.NoError(t, err)
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			t.Cleanup(func() { _, _ = udp.Close(), tcp.Close() })
			return udp, tcp
		}
		require.NoError(t, udp.Close())
	}
	require.Fail(t, "no port is free for both UDP and TCP")
	return nil, nil
}

// serve answers over UDP and TCP on one port of loopback.
func (z zone) serve(t testing.TB) (address string) {
	t.Helper()
	udp, tcp := samePort(t)
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := udp.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, msg := range z.answer(buf[:n], true) {
				_, _ = udp.WriteTo(msg, from)
			}
		}
	}()
	go func() {
		for {
			conn, err := tcp.Accept()
			if err != nil {
				return
			}
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err == nil {
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(conn, query); err == nil {
					for _, msg := range z.answer(query, false) {
						_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
					}
				}
			}
			_ = conn.Close()
		}
	}()
	return udp.LocalAddr().String()
}

func dns(t testing.TB, cfg netprobe.DNSConfig) *netprobe.DNS {
	t.Helper()
	p, err := netprobe.NewDNS(cfg)
	require.NoError(t, err)
	return p
}

// Requirement: HL-PROBE-ONE-ATTEMPT
func TestDNS(t *testing.T) {
	var questions atomic.Int64
	good := map[uint16][]string{typeA: {rr(asked, typeA, "\xcb\x00\x71\x07")}}
	healthtest.TestProber(t, healthtest.ProberHarness{
		Healthy: func(t testing.TB) health.Prober {
			return dns(t, netprobe.DNSConfig{Host: "qa.example.com", Type: netprobe.A, Server: zone{records: good, questions: &questions}.serve(t)})
		},
		Down: func(t testing.TB) (health.Prober, health.Cause) {
			return dns(t, netprobe.DNSConfig{Host: "qa.example.com", Server: closed(t)}), health.CauseRefused
		},
		Hanging: func(t testing.TB) health.Prober {
			return dns(t, netprobe.DNSConfig{Host: "qa.example.com", Server: zone{silent: true, questions: new(atomic.Int64)}.serve(t)})
		},
	})
	assert.Equal(t, int64(1+8), questions.Load(), "questions for 9 probes")
}

// TestDNSFindings shows what is said of an answer, and what is measured.
//
// Requirement: HL-WANT-7
func TestDNSFindings(t *testing.T) {
	const v4, v6 = "\xcb\x00\x71\x07", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	both := map[uint16][]string{typeA: {rr(asked, typeA, v4), rr(asked, typeA, "\xcb\x00\x71\x08")}, typeAAAA: {rr(asked, typeAAAA, v6)}}
	alias := []string{
		rr(wire("other.example.com"), typeA, "\x7f\x00\x00\x01"), // answers something else
		rr(asked, typeCNAME, wire("a.cdn.test")),
		rr(wire("b.cdn.test"), typeA, v4),
		rr(wire("A.CDN.test"), typeCNAME, "\x01b\xc0\x4f"), // b and a pointer to cdn.test, at byte 79
	}
	mail := []string{rr(asked, typeMX, "\x00\x0a"+wire("mx1.example.com")), rr(asked, typeMX, "\x00\x14\x03mx2"+asked)}
	text := []string{rr(asked, typeTXT, "\x08v=spf1 a\x05 -all"), rr(asked, typeTXT, "\x01x")}
	for _, c := range []struct {
		name   string
		cfg    netprobe.DNSConfig
		zone   zone
		status health.Status
		cause  health.Cause
		want   string
		found  string
	}{
		{"both kinds", netprobe.DNSConfig{}, zone{records: both}, health.Healthy, "", "", "addresses 2001:db8::1, 203.0.113.7, 203.0.113.8"},
		{"wanted", netprobe.DNSConfig{Want: []string{"203.0.113.7", "2001:DB8:0::1"}, AtLeast: 3}, zone{records: both}, health.Healthy, "", "", "addresses 2001:db8::1, 203.0.113.7, 203.0.113.8"},
		{"one kind only", netprobe.DNSConfig{}, zone{records: map[uint16][]string{typeAAAA: both[typeAAAA]}}, health.Healthy, "", "", "addresses 2001:db8::1"},
		{"type A", netprobe.DNSConfig{Type: netprobe.A}, zone{records: both}, health.Healthy, "", "", "addresses 203.0.113.7, 203.0.113.8"},
		{"type AAAA", netprobe.DNSConfig{Type: netprobe.AAAA}, zone{records: both}, health.Healthy, "", "", "addresses 2001:db8::1"},
		{"aliases", netprobe.DNSConfig{Type: netprobe.A}, zone{records: map[uint16][]string{typeA: alias}}, health.Healthy, "", "", "addresses 203.0.113.7"},
		{"over TCP", netprobe.DNSConfig{Type: netprobe.A}, zone{records: both, truncated: true}, health.Healthy, "", "", "addresses 203.0.113.7, 203.0.113.8"},
		{"alias", netprobe.DNSConfig{Type: netprobe.CNAME, Want: []string{"App.Railway.Test."}}, zone{records: map[uint16][]string{typeCNAME: {rr(asked, typeCNAME, wire("app.railway.test"))}}}, health.Healthy, "", "", "records app.railway.test"},
		{"mail", netprobe.DNSConfig{Type: netprobe.MX, Want: []string{"10 mx1.example.com", "mx2.qa.example.com"}, Exact: true}, zone{records: map[uint16][]string{typeMX: mail}}, health.Healthy, "", "", "records 10 mx1.example.com, 20 mx2.qa.example.com"},
		{"text", netprobe.DNSConfig{Type: netprobe.TXT, Want: []string{"v=spf1 a -all"}}, zone{records: map[uint16][]string{typeTXT: text}}, health.Healthy, "", "", "records v=spf1 a -all, x"},

		{"another address", netprobe.DNSConfig{Type: netprobe.A, Want: []string{"203.0.113.9"}}, zone{records: both}, health.Unhealthy, health.CauseAssertion, `"203.0.113.9" is not among the addresses (203.0.113.7, 203.0.113.8)`, "addresses 203.0.113.7, 203.0.113.8"},
		{"one too many", netprobe.DNSConfig{Type: netprobe.A, Want: []string{"203.0.113.8"}, Exact: true}, zone{records: both}, health.Unhealthy, health.CauseAssertion, `"203.0.113.7" is among the addresses and should not be`, "addresses 203.0.113.7, 203.0.113.8"},
		{"too few", netprobe.DNSConfig{AtLeast: 4}, zone{records: both}, health.Unhealthy, health.CauseMissing, "has 3 addresses (2001:db8::1, 203.0.113.7, 203.0.113.8), want at least 4", "addresses 2001:db8::1, 203.0.113.7, 203.0.113.8"},
		{"none", netprobe.DNSConfig{Type: netprobe.TXT}, zone{}, health.Unhealthy, health.CauseDNS, "host name qa.example.com exists, but has no record of type TXT", ""},
		{"no such name", netprobe.DNSConfig{}, zone{rcode: map[uint16]byte{typeA: 3, typeAAAA: 3}}, health.Unhealthy, health.CauseDNS, "host name qa.example.com does not exist (NXDOMAIN)", ""},
		{"broken server", netprobe.DNSConfig{}, zone{rcode: map[uint16]byte{typeA: 2, typeAAAA: 2}}, health.Unhealthy, health.CauseDNS, "the server answered SERVFAIL", ""},
		{"refusing server", netprobe.DNSConfig{Type: netprobe.A}, zone{rcode: map[uint16]byte{typeA: 5}}, health.Unhealthy, health.CauseDNS, "the server answered REFUSED", ""},
		{"odd code", netprobe.DNSConfig{Type: netprobe.A}, zone{rcode: map[uint16]byte{typeA: 11}}, health.Unhealthy, health.CauseDNS, "the server answered error 11", ""},
		{"server broken for one kind", netprobe.DNSConfig{}, zone{records: both, rcode: map[uint16]byte{typeAAAA: 3}}, health.Degraded, health.CauseDNS, "the server answered NXDOMAIN for one kind of address", "addresses 203.0.113.7, 203.0.113.8"},
		{"cut off record", netprobe.DNSConfig{Type: netprobe.A}, zone{records: map[uint16][]string{typeA: {rr(asked, typeA, v4)[:10]}}}, health.Unhealthy, health.CauseProtocol, "the answer is not a valid DNS message", ""},
		{"pointer to itself", netprobe.DNSConfig{Type: netprobe.CNAME}, zone{records: map[uint16][]string{typeCNAME: {rr(asked, typeCNAME, "\xc0\x2c")}}}, health.Unhealthy, health.CauseProtocol, "the answer is not a valid DNS message", ""},
		{"address of a wrong length", netprobe.DNSConfig{Type: netprobe.A}, zone{records: map[uint16][]string{typeA: {rr(asked, typeA, v4+"\x01")}}}, health.Unhealthy, health.CauseProtocol, "the answer is not a valid DNS message", ""},
		{"foreign answers first", netprobe.DNSConfig{Type: netprobe.A}, zone{records: both, before: func(query []byte) [][]byte {
			forged := zone{records: map[uint16][]string{typeA: {rr(asked, typeA, "\x06\x06\x06\x06")}}}.answer(query, true)[0]
			forged[0]++ // another question's number
			other := append([]byte(nil), forged...)
			other[0]--
			other[13]++ // another name
			return [][]byte{forged, other, query, {}, {0}}
		}}, health.Healthy, "", "", "addresses 203.0.113.7, 203.0.113.8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Host, c.cfg.Server = "QA.example.com", c.zone.serve(t)
			p := dns(t, c.cfg)
			r := p.Probe(t.Context())
			assert.Equal(t, c.status, r.Status)
			assert.Equal(t, c.cause, r.Cause)
			message := strings.Replace(r.Message, "QA.example.com", "qa.example.com", 2)
			_, message, _ = strings.Cut(message, c.cfg.Server+": ")
			assert.Equal(t, c.want, message)
			var found string
			for _, m := range r.Measurements {
				if m.Text != "" {
					found = m.String()
				}
			}
			assert.Equal(t, c.found, found)
			_, timed := r.Measurement("response_time")
			assert.Equal(t, found != "", timed)
		})
	}
}

func TestDNSTimeouts(t *testing.T) {
	pipe := dialer(func(context.Context) (net.Conn, error) {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		return near, nil
	})
	synctest.Test(t, func(t *testing.T) {
		p := dns(t, netprobe.DNSConfig{Host: "a.test", Server: "192.0.2.53:53", Dialer: pipe})
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		r := p.Probe(ctx)
		assert.Equal(t, health.CauseTimeout, r.Cause)
		assert.Equal(t, "DNS IP a.test at 192.0.2.53:53: timed out after 2s while waiting for the answer", r.Message)

		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		r = p.Probe(ctx)
		assert.Equal(t, health.Unknown, r.Status)
		assert.Equal(t, "DNS IP a.test at 192.0.2.53:53: the probe was cancelled while waiting for the answer", r.Message)
	})
}

// TestDNSOfThisMachine asks the resolver of this machine for what is in every
// hosts file.
func TestDNSOfThisMachine(t *testing.T) {
	r := dns(t, netprobe.DNSConfig{Host: "localhost", Type: netprobe.A, Want: []string{"127.0.0.1"}}).Probe(t.Context())
	assert.Equal(t, health.Healthy, r.Status, r.Message)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, recordType := range []netprobe.RecordType{netprobe.IP, netprobe.CNAME, netprobe.TXT, netprobe.MX} {
		r = dns(t, netprobe.DNSConfig{Host: "qa.example.com", Type: recordType}).Probe(ctx)
		assert.Equal(t, health.Unknown, r.Status, r.Message)
		assert.Equal(t, "DNS "+string(recordType)+" qa.example.com: the probe was cancelled while resolving qa.example.com", r.Message)
	}
}

func TestNewDNS(t *testing.T) {
	long := strings.Repeat("a", 64)
	for _, c := range []struct {
		name string
		cfg  netprobe.DNSConfig
		want []string
	}{
		{"nothing", netprobe.DNSConfig{}, []string{"1 to 253 characters"}},
		{"address", netprobe.DNSConfig{Host: "192.0.2.1"}, []string{"is an address"}},
		{"final dot", netprobe.DNSConfig{Host: "a.test."}, []string{"each part"}},
		{"long part", netprobe.DNSConfig{Host: long + ".test"}, []string{"each part"}},
		{"long name", netprobe.DNSConfig{Host: strings.Repeat("a.", 127)}, []string{"1 to 253"}},
		{"URL", netprobe.DNSConfig{Host: "https://me:canary-1@a.test/"}, []string{"a character that a name cannot have"}},
		{"not ASCII", netprobe.DNSConfig{Host: "bücher.test"}, []string{"a character that a name cannot have"}},
		{"several", netprobe.DNSConfig{Host: "a.test", Type: "SRV", Exact: true, AtLeast: -1, Server: "192.0.2.53", Latency: health.Budget{Warn: -1}},
			[]string{`Type "SRV"`, "Exact needs Want", "AtLeast", `Server: must be host:port`, "latency budget"}},
		{"wanted name for an address", netprobe.DNSConfig{Host: "a.test", Want: []string{"b.test"}}, []string{"is not an address of type IP"}},
		{"wanted address of another kind", netprobe.DNSConfig{Host: "a.test", Type: netprobe.AAAA, Want: []string{"192.0.2.1"}}, []string{"is not an address of type AAAA"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := netprobe.NewDNS(c.cfg)
			assert.Nil(t, p)
			for _, want := range c.want {
				assert.ErrorContains(t, err, want)
			}
			assert.Len(t, strings.Split(err.Error(), "\n"), len(c.want))
			assert.NotContains(t, err.Error(), "canary")
		})
	}
}

// FuzzParse reads messages that may say anything.
func FuzzParse(f *testing.F) {
	for _, qtype := range []uint16{typeA, typeAAAA, typeCNAME, typeMX, typeTXT} {
		w := netprobe.NewWire(7, "qa.example.com", qtype)
		for _, records := range [][]string{
			{rr(asked, typeA, "\x7f\x00\x00\x01")},
			{rr(asked, typeCNAME, "\x01b"+asked), rr("\x01b"+asked, typeMX, "\x00\x01"+asked)},
			{rr(asked, typeTXT, "\x01a\x02bc")},
		} {
			z := zone{records: map[uint16][]string{qtype: records}}
			f.Add(qtype, z.answer(w.Pack(), true)[0])
		}
	}
	f.Fuzz(func(t *testing.T, qtype uint16, msg []byte) {
		w := netprobe.NewWire(7, "qa.example.com", qtype)
		found, err := w.Parse(msg)
		if err != nil {
			require.Empty(t, found)
		}
		for _, text := range found {
			if qtype == typeCNAME {
				require.LessOrEqual(t, len(text), 4*255)
			}
		}
		// Whatever is read was asked for.
		if err == nil {
			require.Equal(t, w.Pack()[:2], msg[:2])
		}
	})
}
