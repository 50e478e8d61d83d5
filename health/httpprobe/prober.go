package httpprobe

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
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
	var p problems
	cfg.validate(&p)
	rules := compile(cfg, &p)
	if err := p.err(); err != nil {
		return nil, err
	}
	u, err := url.Parse(cfg.URL)
	if err != nil {
		return nil, errors.New("httpprobe: URL cannot be parsed")
	}
	prober := &Prober{cfg: cfg, url: u, target: cfg.Method + " " + place(u), client: cfg.HTTP, rules: rules}
	if prober.client == nil {
		prober.own = ownTransport()
		prober.client = &http.Client{Transport: prober.own}
	}
	return prober, nil
}

// maxHeader bounds the header of an answer, which MaxBody does not.
const maxHeader = 256 << 10

// ownTransport keeps no connection, so that each probe finds out whether one
// can be made, nothing stays open between probes, and net/http has no reason to
// send a request twice.
func ownTransport() *http.Transport {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader, Protocols: protocols}
}

// place returns a URL without user name, query and fragment, not too long for a
// message.
func place(u *url.URL) string {
	const most = 200
	s := u.Scheme + "://" + u.Host + u.EscapedPath()
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
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
	return p.scrub(r)
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
		return a.measure(result(a.explain(ctx, err)))
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
	cfg.Auth.set(req)
	client := *a.p.client
	client.CheckRedirect = a.redirect
	resp, err := client.Do(req)
	if err != nil && a.p.own != nil {
		// net/http goes on connecting after a request has ended, for the next
		// one to use, and without end if the other side is silent. This ends
		// such attempts, and leaves alone those of other probes under way.
		a.p.own.CloseIdleConnections()
	}
	return resp, err
}

// set puts the credential into the request.
func (a Auth) set(req *http.Request) {
	switch {
	case !a.Bearer.IsZero():
		req.Header.Set("Authorization", "Bearer "+a.Bearer.Reveal())
	case a.basic():
		req.SetBasicAuth(a.Username, a.Password.Reveal())
	case a.Header != "":
		req.Header.Set(a.Header, a.Value.Reveal())
	}
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
		r.Measurements = append(r.Measurements, health.Measurement{Name: "status_code", Value: float64(a.code)})
	}
	r.Measurements = append(r.Measurements, a.line.Measurements()...)
	return r
}

func result(f netcheck.Finding) health.Result {
	return health.Result{Status: f.Status, Cause: f.Cause, Message: f.Message}
}

// scrub takes secrets out of a result: a server can put into its answer what it
// was sent. Secrets of less than four characters are not looked for.
func (p *Prober) scrub(r health.Result) health.Result {
	auth := p.cfg.Auth
	secrets := []string{auth.Bearer.Reveal(), auth.Password.Reveal(), auth.Value.Reveal()}
	if auth.basic() {
		secrets = append(secrets, base64.StdEncoding.EncodeToString([]byte(auth.Username+":"+auth.Password.Reveal())))
	}
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		r.Message = strings.ReplaceAll(r.Message, secret, "[redacted]")
		for i := range r.Measurements {
			m := &r.Measurements[i]
			m.Text = strings.ReplaceAll(m.Text, secret, "[redacted]")
		}
	}
	return r
}
