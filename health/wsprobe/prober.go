package wsprobe

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook/health"
)

// closeWait is how long the server may take to join in the closing handshake.
const closeWait = time.Second

// A Prober looks at one WebSocket endpoint. Make one with [New]. It is safe for
// concurrent use, and needs no closing: it holds no connection between probes.
type Prober struct {
	config  Config
	client  http.Client // read-only
	address string      // the URL without its query, for people
}

var _ health.Prober = (*Prober)(nil)

// New returns a prober, or everything that is wrong with cfg. It does not
// connect.
func New(cfg Config) (*Prober, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	p := &Prober{address: withoutQuery(cfg.URL)}
	p.client = http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	if cfg.HTTP != nil {
		p.client = *cfg.HTTP
	}
	if p.client.Transport == nil {
		p.client.Transport = http.DefaultTransport // what nil means in a client
	}
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Want != nil {
		cfg.Want = new(*cfg.Want)
	}
	cfg.Header, cfg.Secrets, cfg.Subprotocols = cfg.Header.Clone(), maps.Clone(cfg.Secrets), slices.Clone(cfg.Subprotocols)
	p.config = cfg
	return p, nil
}

// withoutQuery returns a URL that was checked, for people.
func withoutQuery(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Probe implements [health.Prober]. Its measurements are "handshake" (ms), the
// time to connect and shake hands, and if a message is waited for,
// "round_trip" (ms), the time until it had arrived.
func (p *Prober) Probe(ctx context.Context) health.Result {
	return p.config.Latency.Apply(p.probe(ctx, health.Result{Status: health.Healthy, Time: time.Now()}))
}

func (p *Prober) probe(ctx context.Context, r health.Result) health.Result {
	l, f := p.connect(ctx)
	r.Duration = time.Since(r.Time)
	if f != nil {
		return p.add(r, *f)
	}
	r = measure(r, "handshake", r.Duration)
	if len(p.config.Subprotocols) > 0 && l.conn.Subprotocol() == "" {
		r = p.add(r, failure{health.CauseAssertion, "the server chose none of the subprotocols offered"})
	}
	if p.config.reads() {
		message, took, f := p.converse(ctx, l)
		if r.Duration = took; f != nil {
			l.drop()
			return p.add(r, *f)
		}
		r = p.judge(measure(r, "round_trip", took), message)
	}
	l.close(ctx)
	return r
}

// A link is a WebSocket connection and what carries it.
type link struct {
	conn    *websocket.Conn
	carrier io.Closer
}

// connect shakes hands.
func (p *Prober) connect(ctx context.Context) (link, *failure) {
	var connected atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { connected.Store(true) }})
	transport := &capture{base: p.client.Transport}
	client := p.client
	client.Transport = transport
	conn, answer, err := websocket.Dial(traced, p.config.URL, &websocket.DialOptions{
		HTTPClient:   &client,
		HTTPHeader:   p.config.header(),
		Subprotocols: p.config.Subprotocols,
	})
	if err != nil {
		f := explainHandshake(ctx, answer, err, connected.Load())
		return link{}, &f
	}
	transport.body.accepted.Store(true)
	conn.SetReadLimit(p.config.MaxBytes)
	return link{conn, transport.body}, nil
}

// converse sends what is to be sent and returns the message that counts. Took
// is how long it took, also when it failed.
func (p *Prober) converse(ctx context.Context, l link) (message string, took time.Duration, _ *failure) {
	start := time.Now()
	if p.config.Send != "" {
		if err := l.conn.Write(ctx, websocket.MessageText, []byte(p.config.Send)); err != nil {
			f := explainMessage(ctx, "the message could not be sent", err, p.config.MaxBytes)
			return "", time.Since(start), &f
		}
	}
	for range p.config.Skip + 1 {
		_, b, err := l.conn.Read(ctx)
		if err != nil {
			f := explainMessage(ctx, "no message came", err, p.config.MaxBytes)
			return "", time.Since(start), &f
		}
		message = string(b)
	}
	return message, time.Since(start), nil
}

// judge adds what is wrong with the message that counts.
func (p *Prober) judge(r health.Result, message string) health.Result {
	if p.config.Want != nil {
		for _, f := range p.config.Want.check(message) {
			r = p.add(r, f)
		}
		return r
	}
	if message != p.config.Send {
		r = p.add(r, failure{health.CauseAssertion, fmt.Sprintf("the message (%d bytes) is not an echo of the %d bytes sent", len(message), len(p.config.Send))})
	}
	return r
}

// close ends a connection politely, if the server joins in while there is time.
func (l link) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, closeWait)
	defer cancel()
	// Close has limits of its own, of 5 s, that cannot be changed.
	defer context.AfterFunc(ctx, func() { _ = l.carrier.Close() })()
	_ = l.conn.Close(websocket.StatusNormalClosure, "")
}

// drop ends a connection that is of no more use.
func (l link) drop() { _ = l.conn.CloseNow() }

// capture is the transport of one handshake. It keeps what carries the
// connection afterwards.
//
// It also hides what follows the header of an answer until the handshake has
// succeeded: [websocket.Dial] reads it if the answer is wrong, for up to 3 s and
// without regard to the context.
type capture struct {
	base http.RoundTripper
	body *carrier
}

func (c *capture) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		_ = resp.Body.Close()
		resp.Body = http.NoBody
		return resp, nil
	}
	c.body = &carrier{ReadWriteCloser: conn}
	resp.Body = c.body
	return resp, nil
}

// A carrier is a connection that seems to have ended until it is accepted.
type carrier struct {
	io.ReadWriteCloser

	accepted atomic.Bool
}

func (c *carrier) Read(p []byte) (int, error) {
	if !c.accepted.Load() {
		return 0, io.EOF
	}
	return c.ReadWriteCloser.Read(p)
}

func measure(r health.Result, name string, took time.Duration) health.Result {
	return health.Limit{}.Apply(r, health.Measurement{Name: name, Value: float64(took.Microseconds()) / 1000, Unit: health.Milliseconds})
}

func (p *Prober) add(r health.Result, f failure) health.Result {
	return r.Worsen(health.Unhealthy, f.cause, p.address+": "+f.text)
}
