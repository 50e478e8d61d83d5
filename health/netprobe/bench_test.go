package netprobe_test

import (
	"net"
	"testing"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/netprobe"
)

// BenchmarkTCP compares a probe with a bare connection to the same listener on
// loopback. The target is less than 30 µs more. Measured on two shared cores:
// dial 35 to 47 µs and 25 allocations, probe 42 to 43 µs and 58.
func BenchmarkTCP(b *testing.B) {
	address := listen(b, func(net.Conn) {})
	b.Run("dial", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			conn, err := new(net.Dialer).DialContext(b.Context(), "tcp", address)
			if err != nil {
				b.Fatal(err)
			}
			if err := conn.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("probe", func(b *testing.B) {
		p := tcp(b, netprobe.TCPConfig{Address: address})
		b.ReportAllocs()
		for b.Loop() {
			if r := p.Probe(b.Context()); r.Status != health.Healthy {
				b.Fatal(r.Message)
			}
		}
	})
}

// BenchmarkDNS is one question and its answer over loopback. The target is
// less than 50 µs. Measured with the server's part: 15 µs and 65 allocations.
func BenchmarkDNS(b *testing.B) {
	z := zone{records: map[uint16][]string{typeA: {rr(asked, typeA, "\xcb\x00\x71\x07")}}}
	p := dns(b, netprobe.DNSConfig{Host: "qa.example.com", Type: netprobe.A, Server: z.serve(b)})
	b.ReportAllocs()
	for b.Loop() {
		if r := p.Probe(b.Context()); r.Status != health.Healthy {
			b.Fatal(r.Message)
		}
	}
}
