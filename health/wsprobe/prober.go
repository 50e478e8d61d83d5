package wsprobe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"slices"
	"time"

	"github.com/coder/websocket"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// closeWait is how long the server may take to join in the closing handshake.
const closeWait = time.Second

// A Prober looks at one WebSocket endpoint. It is safe for concurrent use, and
// needs no closing: it holds no connection between probes.
type Prober struct {
	cfg    Config
	host   string
	target string          // for messages: the URL without its query
	client http.Client     // read-only
	own    *http.Transport // nil with Config.HTTP
}

var _ health.Prober = (*Prober)(nil)

// New returns a Prober, or everything that is wrong with cfg. It does not
// connect. No error shows the URL or a secret.
func New(cfg Config) (*Prober, error) {
	problems := netcheck.Problems{Package: "wsprobe"}
	u := cfg.validate(&problems)
	if err := problems.Err(); err != nil {
		return nil, err
	}
	if cfg.MaxMessage == 0 {
		cfg.MaxMessage = defaultMaxMessage
	}
	if cfg.Want != nil {
		cfg.Want = new(*cfg.Want)
	}
	cfg.Header, cfg.Subprotocols = cfg.Header.Clone(), slices.Clone(cfg.Subprotocols)
	p := &Prober{cfg: cfg, host: u.Hostname(), target: httpcheck.Place(u)}
	if cfg.HTTP == nil {
		p.own = httpcheck.NewTransport()
		p.own.DisableCompression = true // not offered, as for messages
		p.client.Transport = p.own
	} else {
		p.client = *cfg.HTTP
	}
	if p.client.Transport == nil {
		p.client.Transport = http.DefaultTransport // what nil means in a client
	}
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return p, nil
}

// String returns the URL without its query.
func (p *Prober) String() string { return p.target }

// Probe connects once, has the conversation, and closes the connection. It
// measures dns, connect, tls and first_byte (from the request sent to the first
// byte of the answer) as far as they apply, handshake (all of them),
// certificate_expiry for a wss address, and if a message is waited for,
// round_trip, the time until it had arrived.
//
// It ends soon after ctx does. When ctx is cancelled rather than timed out, the
// result is Unknown.
func (p *Prober) Probe(ctx context.Context) health.Result {
	a := attempt{p: p, line: netcheck.NewTimeline(p.host)}
	r := a.probe(ctx)
	r.Time, r.Duration = a.line.Started(), a.took
	r = p.cfg.Latency.Apply(r)
	if r.Message != "" {
		r.Message = p.target + ": " + r.Message
	}
	return httpcheck.Auth(p.cfg.Auth).Redact(r)
}

// An attempt is one probe under way.
type attempt struct {
	p    *Prober
	line *netcheck.Timeline
	took time.Duration // what the result's Duration will be
}

func (a *attempt) probe(ctx context.Context) health.Result {
	l, r := a.connect(ctx)
	if l.conn == nil {
		return r
	}
	if len(a.p.cfg.Subprotocols) > 0 && l.conn.Subprotocol() == "" {
		r = r.Worsen(health.Unhealthy, health.CauseAssertion, "the server chose none of the subprotocols offered")
	}
	if a.p.cfg.reads() {
		message, f := a.converse(ctx, l)
		if f != nil {
			l.drop()
			return f.Add(r)
		}
		r = a.judge(netcheck.With(r, netcheck.Milliseconds("round_trip", a.took)), message)
	}
	l.close(ctx)
	return r
}

// connect shakes hands. The link has no connection if that failed.
func (a *attempt) connect(ctx context.Context) (link, health.Result) {
	transport := &capture{base: a.p.client.Transport}
	client := a.p.client
	client.Transport = transport
	conn, answer, err := websocket.Dial(httptrace.WithClientTrace(ctx, a.line.Trace()), a.p.cfg.URL, &websocket.DialOptions{
		HTTPClient:   &client,
		HTTPHeader:   a.p.cfg.header(),
		Subprotocols: a.p.cfg.Subprotocols,
	})
	a.took = a.line.Elapsed()
	if err != nil {
		if a.p.own != nil {
			a.p.own.CloseIdleConnections()
		}
		return link{}, a.noHandshake(ctx, answer, err)
	}
	transport.body.accepted.Store(true)
	conn.SetReadLimit(a.p.cfg.MaxMessage)
	r := netcheck.With(health.Result{Status: health.Healthy}, a.line.Measurements()...)
	r = netcheck.With(r, netcheck.Milliseconds("handshake", a.took))
	return link{conn, transport.body}, a.judgeCertificate(r, answer)
}

// noHandshake is the result when there is no WebSocket. Answer is what the
// server answered, if it did.
func (a *attempt) noHandshake(ctx context.Context, answer *http.Response, err error) health.Result {
	var f netcheck.Finding
	switch {
	case answer == nil:
		f = httpcheck.Explain(ctx, a.line, err)
	case answer.StatusCode == http.StatusSwitchingProtocols:
		f = netcheck.Down(health.CauseProtocol, "answered %s, but not as a WebSocket does (RFC 6455, section 4.2.2)", httpcheck.Status(answer.StatusCode))
	default:
		f = httpcheck.Refusal(answer, !httpcheck.Auth(a.p.cfg.Auth).IsZero(), "101")
	}
	r := netcheck.With(f.Result(), a.line.Measurements()...)
	if expiry, ok := netcheck.ExpiryOfRefused(err); ok {
		return netcheck.With(r, expiry.Measurement())
	}
	return a.judgeCertificate(r, answer)
}

func (a *attempt) judgeCertificate(r health.Result, answer *http.Response) health.Result {
	if answer == nil {
		return r
	}
	if expiry, ok := netcheck.ExpiryOf(answer.TLS); ok {
		return a.p.cfg.certificates().Apply(r, expiry)
	}
	return r
}

// converse sends what is to be sent and returns the message that counts.
func (a *attempt) converse(ctx context.Context, l link) (message string, _ *netcheck.Finding) {
	start := time.Now()
	defer func() { a.took = time.Since(start) }()
	if a.p.cfg.Send != "" {
		a.line.Doing("while sending the message")
		if err := l.conn.Write(ctx, websocket.MessageText, []byte(a.p.cfg.Send)); err != nil {
			return "", new(a.explain(ctx, err))
		}
	}
	a.line.Doing("while waiting for the message")
	for range a.p.cfg.Skip + 1 {
		_, b, err := l.conn.Read(ctx)
		if err != nil {
			return "", new(a.explain(ctx, err))
		}
		message = string(b)
	}
	return message, nil
}

// explain finds out why a message was not sent or did not come.
func (a *attempt) explain(ctx context.Context, err error) netcheck.Finding {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok {
		text := fmt.Sprintf("the server closed the connection with code %d", closed.Code)
		if closed.Code == websocket.StatusNoStatusRcvd {
			text = "the server closed the connection without a code"
		}
		if closed.Reason != "" {
			text += ", reason " + netcheck.Quote(closed.Reason)
		}
		return netcheck.Down(health.CauseConnection, "%s, before the message came", text)
	}
	if errors.Is(err, websocket.ErrMessageTooBig) {
		return netcheck.Down(health.CauseTooLarge, "the message has more than %d bytes", a.p.cfg.MaxMessage)
	}
	f := a.line.Explain(ctx, err)
	if f.Cause == health.CauseFailed {
		return netcheck.Down(health.CauseProtocol, "what came is not a WebSocket message (RFC 6455, section 5.2)")
	}
	return f
}

// judge adds what is wrong with the message that counts.
func (a *attempt) judge(r health.Result, message string) health.Result {
	cfg := &a.p.cfg
	switch {
	case cfg.Want != nil:
		return cfg.Want.check(r, message)
	case message != cfg.Send:
		return r.Worsen(health.Unhealthy, health.CauseAssertion,
			fmt.Sprintf("the message (%d bytes) is not an echo of the %d bytes sent", len(message), len(cfg.Send)))
	}
	return r
}
