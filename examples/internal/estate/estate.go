// Package estate is a small world to try the example hosts on: three
// environments of the QA automation application and their three Canvas
// instances, with the status page of Canvas's makers, in memory, behind real HTTPS
// on loopback.
//
//	e, err := estate.Start(estate.Config{Scenario: estate.DatabaseGone})
//	if err != nil { … }
//	defer e.Close()
//	resp, err := e.Client().Get("https://qa-automation.acu.edu.au/health/database") // 503
//
// The client resolves the real host names to loopback and trusts the estate's
// own authority, so the configuration for the real systems works here as it is.
// Everything else is real: names that do not exist, refused connections, TLS
// handshakes, certificates that expire, answers that never come. Answers have
// the form of the real ones: FastAPI's for the application, those of package
// canvastest for Canvas, and the platform's error page when the application is
// gone.
//
// A [Scenario] says what is wrong, with one environment; the others are well.
// The same scenario gives the same answers every time. An Estate is safe for
// concurrent use.
package estate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Environment is one of the three environments.
type Environment struct {
	// Name is "test", "beta" or "production".
	Name string
	// Application is the host name of the application.
	Application string
	// Canvas is the host name of its Canvas instance.
	Canvas string
	// Instance is what the application calls that instance: "test", "beta" or
	// "prod".
	Instance string
}

// Environments returns the three environments.
func Environments() []Environment {
	return []Environment{
		{"test", "qa-automation-test.railway.app", "aculeo.test.instructure.com", "test"},
		{"beta", "qa-automation-beta.railway.app", "aculeo.beta.instructure.com", "beta"},
		{"production", "qa-automation.acu.edu.au", "aculeo.instructure.com", "prod"},
	}
}

// Config is what an estate is like. The zero Config is a healthy one.
type Config struct {
	// Scenario is what is wrong. Empty means [Healthy].
	Scenario Scenario
	// Environment is where it is wrong. Empty means production.
	Environment string
	// Latency is how long every answer takes. Zero means no longer than it does.
	Latency time.Duration
	// Slow is how long an answer of the application takes in the scenario
	// [Slow]. Zero means 6 s, as 5 s is where the runbook's patience ends.
	Slow time.Duration
}

// Estate is a running estate.
type Estate struct {
	cfg       Config
	authority *authority
	addresses map[string]string // of loopback, by host name; refused and unknown hosts are absent
	refused   []string          // hosts that refuse connections
	servers   []*http.Server
	serving   sync.WaitGroup
	closing   chan struct{}
	transport *http.Transport
	close     func() error
}

// Start starts an estate, which runs until Close.
func Start(cfg Config) (*Estate, error) {
	if cfg.Scenario == "" {
		cfg.Scenario = Healthy
	}
	if cfg.Environment == "" {
		cfg.Environment = "production"
	}
	if cfg.Slow == 0 {
		cfg.Slow = 6 * time.Second
	}
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("estate: %w", err)
	}
	ca, err := newAuthority()
	if err != nil {
		return nil, fmt.Errorf("estate: %w", err)
	}
	e := &Estate{cfg: cfg, authority: ca, addresses: make(map[string]string), closing: make(chan struct{})}
	e.close = sync.OnceValue(e.shutdown)
	e.transport = &http.Transport{
		DialContext:       e.dial,
		TLSClientConfig:   &tls.Config{RootCAs: ca.pool(), MinVersion: tls.VersionTLS12},
		DisableKeepAlives: true,
	}
	if err := e.serve(statusPage, Healthy, newStatusPage(cfg.Scenario, time.Now())); err != nil {
		return nil, errors.Join(fmt.Errorf("estate: %w", err), e.Close())
	}
	for _, env := range Environments() {
		scenario := Healthy
		if env.Name == cfg.Environment {
			scenario = cfg.Scenario
		}
		app := &application{estate: e, env: env, scenario: scenario, slow: cfg.Slow}
		if err := errors.Join(
			e.serve(env.Application, scenario, app),
			e.serve(env.Canvas, scenario.ofCanvas(), newCanvas(env, scenario)),
		); err != nil {
			return nil, errors.Join(fmt.Errorf("estate: %w", err), e.Close())
		}
	}
	return e, nil
}

func (cfg Config) validate() error {
	var errs []error
	if !slices.ContainsFunc(Scenarios(), func(d Description) bool { return d.Scenario == cfg.Scenario }) {
		errs = append(errs, fmt.Errorf("there is no scenario %q", cfg.Scenario))
	}
	if !slices.ContainsFunc(Environments(), func(e Environment) bool { return e.Name == cfg.Environment }) {
		errs = append(errs, fmt.Errorf("there is no environment %q", cfg.Environment))
	}
	if cfg.Latency < 0 || cfg.Slow < 0 {
		errs = append(errs, errors.New("latency and slow must not be negative"))
	}
	return errors.Join(errs...)
}

// serve starts the server of one host, unless the scenario is that there is none.
func (e *Estate) serve(host string, scenario Scenario, handler http.Handler) error {
	switch scenario {
	case NameUnknown:
		return nil
	case Unreachable:
		e.refused = append(e.refused, host)
		return nil
	}
	cert, err := e.authority.issue(host, scenario)
	if err != nil {
		return fmt.Errorf("certificate of %s: %w", host, err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listener of %s: %w", host, err)
	}
	srv := &http.Server{
		Handler:           e.delayed(handler),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // handshakes that fail are what some scenarios are about
	}
	e.addresses[host] = listener.Addr().String()
	e.servers = append(e.servers, srv)
	e.serving.Go(func() { _ = srv.ServeTLS(listener, "", "") })
	return nil
}

// delayed answers no sooner than the latency.
func (e *Estate) delayed(h http.Handler) http.Handler {
	if e.cfg.Latency == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !wait(r.Context(), e.closing, e.cfg.Latency) {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, r)
	})
}

// wait waits for d, or until the client or the estate has gone: then false.
func wait(ctx context.Context, closing <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	case <-closing:
		return false
	}
}

// dial connects to the loopback address of a host of the estate. Its errors name
// the host, as they would if it were not on loopback.
func (e *Estate) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	target, known := e.addresses[host]
	switch {
	case slices.Contains(e.refused, host):
		target = "127.0.0.1:1" // tcpmux, where nothing has listened for decades
	case !known:
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, target)
	if op, ok := errors.AsType[*net.OpError](err); ok {
		op.Addr = hostAddr(address)
	}
	return conn, err
}

// hostAddr is a net.Addr that shows a host name.
type hostAddr string

func (hostAddr) Network() string  { return "tcp" }
func (a hostAddr) String() string { return string(a) }

// Client returns a client that reaches the estate, and nothing else, under the
// real names: another host is one that does not exist. Like a probe of real
// systems, it makes a new connection for every request.
func (e *Estate) Client() *http.Client { return &http.Client{Transport: e.transport} }

// Address returns the loopback address and port of a host, and false if nothing
// listens for it.
func (e *Estate) Address(host string) (string, bool) {
	address, ok := e.addresses[host]
	return address, ok
}

// Authority returns the certificate that the estate's certificates are signed
// with, as PEM, for clients other than Client.
func (e *Estate) Authority() []byte { return e.authority.pem() }

// Getenv returns the tokens that the estate accepts, under the names of the
// variables that the sample configuration refers to: QA_AUTOMATION_TEST_TOKEN,
// CANVAS_TEST_TOKEN, and the same with BETA and PRODUCTION; and stand-ins for those of
// the services that notify people. Any other name is not set: "".
func (e *Estate) Getenv(name string) string { return tokens()[name] }

// Close ends all servers and connections, and waits for them. Answers that are
// still delayed are not given.
func (e *Estate) Close() error { return e.close() }

func (e *Estate) shutdown() error {
	close(e.closing)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var errs []error
	for _, srv := range e.servers {
		_ = srv.Shutdown(ctx) // lets answers end that are being written; a connection that stays open is not waited for
		errs = append(errs, srv.Close())
	}
	e.serving.Wait()
	return errors.Join(errs...)
}
