package netprobe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptrace"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
)

// TCPConfig is what a [TCP] prober connects to. Only Address is required.
type TCPConfig struct {
	// Address is the host and port: "db.example.com:5432", "[::1]:6379".
	Address string
	// TLS makes it a TLS connection with this configuration, whose ServerName
	// is the host of Address if it has none. Nil means plain TCP. It is copied.
	TLS *tls.Config
	// CertificateWarn degrades from this time left on, until the server's
	// certificate, or one that vouches for it, expires. Zero means 21 days,
	// negative never. It counts with TLS only.
	CertificateWarn time.Duration
	// CertificateFail fails from this time left on. Zero means when expired.
	CertificateFail time.Duration
	// Want is how what the server says first must begin: "220 ", "SSH-2.0-". Zero
	// means that nothing is read.
	Want string
	// Latency is the time that all of it may take.
	Latency health.Budget
	// Dialer makes the connection. Nil means a plain net.Dialer.
	Dialer Dialer
}

// A Dialer makes connections. *net.Dialer is one, and so are the dialers of
// proxies and tunnels.
type Dialer interface {
	// DialContext connects to address. It must honour ctx until the connection
	// stands, and may be called concurrently.
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
}

// maxWant bounds what is read of a server's first words.
const maxWant = 4 << 10

// TCP is a prober that connects to one address. It is safe for concurrent use.
type TCP struct {
	cfg  TCPConfig
	host string
}

var _ health.Prober = (*TCP)(nil)

// NewTCP returns a prober, or everything that is wrong with cfg. No error shows
// Address, which may be a URL with a password by mistake.
func NewTCP(cfg TCPConfig) (*TCP, error) {
	problems := netcheck.Problems{Package: "netprobe"}
	host, err := splitAddress(cfg.Address)
	problems.In("Address", err)
	if len(cfg.Want) > maxWant {
		problems.Add("Want must not be longer than %d bytes", maxWant)
	}
	problems.In("Latency", cfg.Latency.Validate())
	problems.In("CertificateWarn", cfg.certificates().Validate())
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if cfg.TLS != nil {
		cfg.TLS = cfg.TLS.Clone()
		if cfg.TLS.ServerName == "" {
			cfg.TLS.ServerName = host
		}
	}
	if cfg.Dialer == nil {
		cfg.Dialer = &net.Dialer{}
	}
	return &TCP{cfg: cfg, host: host}, nil
}

func (c TCPConfig) certificates() netcheck.Certificates {
	return netcheck.Certificates{Warn: c.CertificateWarn, Fail: c.CertificateFail}
}

// splitAddress returns the host of an address that has a host and a port.
func splitAddress(address string) (host string, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || host == "" {
		return "", errors.New("must be host:port")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", errors.New("the port must be a number from 1 to 65535")
	}
	return host, nil
}

// String returns "TCP" or "TLS" and the address.
func (p *TCP) String() string {
	if p.cfg.TLS != nil {
		return "TLS " + p.cfg.Address
	}
	return "TCP " + p.cfg.Address
}

// Probe connects once, and closes the connection. It measures dns, connect, tls
// and first_byte (until Want was read) as far as they apply, response_time
// (all of it), the address that was connected to, and certificate_expiry.
//
// It ends soon after ctx does. When ctx is cancelled rather than timed out, the
// result is Unknown.
func (p *TCP) Probe(ctx context.Context) health.Result {
	line := netcheck.NewTimeline(p.host)
	r := p.connect(ctx, line)
	r.Time = line.Started()
	r.Duration = line.Elapsed()
	r.Measurements = append(line.Measurements(), r.Measurements...)
	if r.Status.OK() {
		r = netcheck.With(r, netcheck.Milliseconds("response_time", r.Duration))
		r = p.cfg.Latency.Apply(r)
	}
	if r.Message != "" {
		r.Message = p.String() + ": " + r.Message
	}
	return r
}

func (p *TCP) connect(ctx context.Context, line *netcheck.Timeline) health.Result {
	conn, err := p.cfg.Dialer.DialContext(httptrace.WithClientTrace(ctx, line.Trace()), "tcp", p.cfg.Address)
	if err != nil {
		return failed(ctx, line, err)
	}
	release := bind(ctx, conn)
	defer release()
	r := health.Result{Status: health.Healthy}
	if p.cfg.TLS != nil {
		line.Enter(netcheck.Securing)
		secure := tls.Client(conn, p.cfg.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			return failed(ctx, line, err)
		}
		conn = secure
		state := secure.ConnectionState()
		if expiry, ok := netcheck.ExpiryOf(&state); ok {
			r = p.cfg.certificates().Apply(r, expiry)
		}
	}
	line.Connected(conn)
	r = netcheck.With(r, health.Measurement{Name: "address", Text: conn.RemoteAddr().String()})
	if p.cfg.Want == "" {
		return r
	}
	return p.listen(ctx, line, conn, r)
}

// listen reads as much as should be there, and compares.
func (p *TCP) listen(ctx context.Context, line *netcheck.Timeline, conn io.Reader, r health.Result) health.Result {
	line.Enter(netcheck.Waiting)
	want := p.cfg.Want
	found := make([]byte, len(want))
	for n := 0; n < len(found); {
		more, err := conn.Read(found[n:])
		n += more
		switch {
		case string(found[:n]) != want[:n]:
			line.Enter(netcheck.Head)
			return r.Worsen(health.Unhealthy, health.CauseAssertion, fmt.Sprintf("said %s, want %s", netcheck.Quote(string(found[:n])), netcheck.Quote(want)))
		case err != nil && n < len(found):
			return line.Explain(ctx, err).Add(r)
		}
	}
	line.Enter(netcheck.Head)
	return r
}

// failed is the result of a connection that could not be made.
func failed(ctx context.Context, line *netcheck.Timeline, err error) health.Result {
	r := line.Explain(ctx, err).Result()
	if expiry, ok := netcheck.ExpiryOfRefused(err); ok {
		r = netcheck.With(r, expiry.Measurement())
	}
	return r
}

// bind makes reading and writing end with ctx. The func that it returns closes
// the connection.
func bind(ctx context.Context, conn net.Conn) (release func()) {
	if deadline, ok := ctx.Deadline(); ok {
		// A connection that takes no deadline is ended below.
		_ = conn.SetDeadline(deadline)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	return func() {
		stop()
		_ = conn.Close()
	}
}
