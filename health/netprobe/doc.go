// Package netprobe asks whether a port accepts connections and whether a name
// resolves: what has to work before anything above it can.
//
//	database, err := netprobe.NewTCP(netprobe.TCPConfig{
//		Address: "db.example.com:5432",
//		Latency: health.Budget{Warn: 200 * time.Millisecond},
//	})
//	mail, err := netprobe.NewTCP(netprobe.TCPConfig{
//		Address: "smtp.example.com:465",
//		TLS:     &tls.Config{},
//		Want:    "220 ",
//	})
//	name, err := netprobe.NewDNS(netprobe.DNSConfig{
//		Host:   "qa.example.com",
//		Want:   []string{"203.0.113.7"},
//		Server: "192.0.2.53:53",
//	})
//
// Whatever goes wrong has its own [health.Cause] and a message for an operator.
// Times are measured in milliseconds, also when the probe failed after them.
//
// What it does not do: it makes one attempt and never repeats it; it sends
// nothing over a TCP connection (a service that waits for the client to speak
// shows only that it accepts connections); it does not validate DNSSEC, does
// not walk from the root of the DNS, and does not start TLS within another
// protocol (STARTTLS).
//
// Probers are safe for concurrent use. Importing this package compiles health
// and the standard library.
package netprobe
