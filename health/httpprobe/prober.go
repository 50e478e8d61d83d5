package httpprobe

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// A Prober asks one URL. It is safe for concurrent use.
type Prober struct {
	cfg    Config
	url    *url.URL
	target string // for messages: the method and the URL without its query
	client *http.Client
	own    *http.Transport // nil with Config.HTTP
	rules  rules
}

var _ health.Prober = (*Prober)(nil)

// New returns a Prober, or everything that is wrong with cfg. No error shows
// the URL or a secret.
func New(cfg Config) (*Prober, error) {
	cfg = cfg.withDefaults()
	p := netcheck.Problems{Package: "httpprobe"}
	u := cfg.validate(&p)
	rules := compile(cfg, &p)
	if err := p.Err(); err != nil {
		return nil, err
	}
	prober := &Prober{cfg: cfg, url: u, target: cfg.Method + " " + httpcheck.Place(u), client: cfg.HTTP, rules: rules}
	if prober.client == nil {
		prober.own = httpcheck.NewTransport()
		prober.client = &http.Client{Transport: prober.own}
	}
	return prober, nil
}

// String returns the method and the URL without its query.
func (p *Prober) String() string { return p.target }

// Probe makes one request, and follows as many redirects as configured. It ends
// soon after ctx does. Without a deadline in ctx and a Timeout in Config.HTTP,
// it waits as long as the server does.
//
// When ctx is cancelled rather than timed out, the result is Unknown.
func (p *Prober) Probe(ctx context.Context) health.Result {
	a := attempt{p: p, line: netcheck.NewTimeline(p.url.Hostname())}
	r := a.probe(ctx)
	r.Time = a.line.Started()
	if r.Duration == 0 {
		r.Duration = a.line.Elapsed()
	}
	if r.Message != "" {
		r.Message = p.target + a.redirected() + ": " + r.Message
	}
	return httpcheck.Auth(p.cfg.Auth).Redact(r)
}

// An attempt is one probe under way.
type attempt struct {
	p      *Prober
	line   *netcheck.Timeline
	expiry netcheck.Expiry // the earliest seen
	last   *url.URL        // the last redirect followed
	code   int             // of the answer
}

func (a *attempt) probe(ctx context.Context) health.Result {
	resp, err := a.send(ctx)
	if err != nil {
		return a.noAnswer(ctx, err)
	}
	a.note(resp)
	a.code = resp.StatusCode
	a.line.Enter(netcheck.Body)
	body, err := a.read(resp)
	// Closing an answer that was not read to its end closes its connection.
	_ = resp.Body.Close()
	if err == nil {
		a.line.Finish()
	} else if errors.Is(ctx.Err(), context.Canceled) {
		return a.measure(httpcheck.Explain(ctx, a.line, err).Result())
	}
	return a.judge(ctx, resp, body, err)
}

// send makes the request and returns the answer as soon as its header is there.
func (a *attempt) send(ctx context.Context) (*http.Response, error) {
	cfg := &a.p.cfg
	ctx = httptrace.WithClientTrace(ctx, a.line.Trace())
	var body io.Reader
	if cfg.Body != "" {
		body = strings.NewReader(cfg.Body)
	}
	req, err := http.NewRequestWithContext(ctx, cfg.Method, cfg.URL, body)
	if err != nil {
		return nil, errors.New("the request cannot be made") // err shows the URL
	}
	req.Header = cfg.Header.Clone()
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host
		req.Header.Del("Host")
	}
	httpcheck.Auth(cfg.Auth).Set(req.Header)
	client := *a.p.client
	client.CheckRedirect = a.redirect
	resp, err := client.Do(req)
	if err != nil && a.p.own != nil {
		a.p.own.CloseIdleConnections()
	}
	return resp, err
}

// note remembers the certificates of an answer, also of one that redirects.
func (a *attempt) note(resp *http.Response) {
	if e, ok := netcheck.ExpiryOf(resp.TLS); ok && (a.expiry.Certificate == nil || e.At.Before(a.expiry.At)) {
		a.expiry = e
	}
}

// measure adds what was measured to a result that is not about a complete
// answer.
func (a *attempt) measure(r health.Result) health.Result {
	if a.code != 0 {
		r = netcheck.With(r, health.Measurement{Name: "status_code", Value: float64(a.code)})
	}
	return netcheck.With(r, a.line.Measurements()...)
}
