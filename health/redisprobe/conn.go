package redisprobe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"go.acu.edu.au/runbook/internal/netcheck"
)

// maxAnswers is how many bytes a server may send during one probe. INFO has
// about 7,000; a server that sends without end must not fill the memory.
const maxAnswers = 1 << 20

var (
	errNotRedis  = errors.New("the answer is not in Redis's protocol")
	errTooLarge  = fmt.Errorf("the answers are larger than %d bytes", maxAnswers)
	errOneDialed = errors.New("a probe connects only once")

	// What a host's own functions return may hold a secret, and is not shown.
	errNoCredentials = errors.New("the probe could not be made: the client's CredentialsProviderContext failed")
	errOnConnect     = errors.New("the client's OnConnect failed")
)

// oneAttempt returns a copy of opt for connections that do everything once, in
// the time that their context allows, and nothing behind the caller's back.
func oneAttempt(opt redis.Options) redis.Options {
	opt.MaxRetries = -1 // none
	opt.DialerRetries = 1
	opt.ContextTimeoutEnabled = true
	opt.ReadTimeout, opt.WriteTimeout = -1, -1 // the context decides
	opt.PoolSize, opt.MinIdleConns, opt.MaxIdleConns, opt.MaxActiveConns = 1, 0, 0, 0
	opt.PipelinePoolSize = -1 // none: pipelines use the one connection
	opt.ReadBufferSize, opt.WriteBufferSize = 8<<10, 1<<10
	opt.DisableIdentity = true
	opt.Limiter = nil
	opt.PushNotificationProcessor = nil
	opt.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	opt.ClientSideCache, opt.ClientSideCacheConfig = nil, nil
	opt.AutoPipelineOptions = nil
	if credentials := opt.CredentialsProviderContext; credentials != nil {
		opt.CredentialsProviderContext = func(ctx context.Context) (user, password string, err error) {
			if user, password, err = credentials(ctx); err != nil {
				err = fmt.Errorf("%w: %w", errNoCredentials, err)
			}
			return user, password, err
		}
	}
	return opt
}

// A link is one connection to the server, for one probe.
type link struct {
	*redis.Conn

	client *redis.Client
	line   *netcheck.Timeline
	wire   *wire
	stop   func() bool
	step   string // what is being done, for messages

	// ready is when the server had accepted the connection and the login. Zero
	// means that it has not.
	ready time.Time
	// hello is how the server answered the first command. go-redis takes any
	// refusal for a server that is too old for HELLO, and goes on.
	hello error
}

// connect dials once. The login happens with the first command on the link. The
// finding is nil if there is a connection.
func (p *Prober) connect(ctx context.Context, line *netcheck.Timeline) (*link, *netcheck.Finding) {
	line.Enter(netcheck.Connecting)
	conn, err := dial(ctx, &p.options)
	if err != nil {
		return nil, new(line.Explain(ctx, err))
	}
	l := &link{line: line, wire: &wire{Conn: conn}}
	l.begin("login")
	l.stop = context.AfterFunc(ctx, func() { _ = conn.Close() }) // go-redis does not notice a cancellation
	opt := p.options
	var dialed atomic.Bool
	opt.Dialer = func(context.Context, string, string) (net.Conn, error) {
		if dialed.Swap(true) {
			return nil, errOneDialed
		}
		return l.wire, nil
	}
	opt.OnConnect = func(ctx context.Context, cn *redis.Conn) error {
		if p.options.OnConnect != nil {
			if err := p.options.OnConnect(ctx, cn); err != nil {
				return fmt.Errorf("%w: %w", errOnConnect, err)
			}
		}
		l.ready = time.Now()
		l.begin("PING")
		return nil
	}
	l.client = redis.NewClient(&opt)
	l.client.AddHook(l)
	l.Conn = l.client.Conn()
	return l, nil
}

// close ends the connection. What it may fail with is of no interest any more.
func (l *link) close() {
	l.stop()
	_ = l.Conn.Close()
	_ = l.client.Close()
	_ = l.wire.Close()
}

// begin says what is done from now on.
func (l *link) begin(step string) {
	l.step = step
	l.line.Doing("during " + step)
}

// explainFirst is explain for the first command. A server that refuses a
// connection (too many clients, protected mode) says so and breaks it off; the
// refusal says more than the break.
func (l *link) explainFirst(ctx context.Context, err error) failure {
	f := l.explain(ctx, err)
	if m, ok := meanings[refusal(l.hello)]; ok && !f.reply && ctx.Err() == nil {
		return l.failed(m.cause, "%s", m.text)
	}
	return f
}

// DialHook, ProcessHook and ProcessPipelineHook implement [redis.Hook].
func (l *link) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *link) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if l.hello == nil && strings.EqualFold(cmd.Name(), "hello") {
			l.hello = err
		}
		return err
	}
}

func (l *link) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// dial calls the client's dialer, and returns when ctx ends even if the dialer
// does not: go-redis's own does not, while it shakes hands for TLS. A
// connection that is made too late is closed.
func dial(ctx context.Context, opt *redis.Options) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		conn, err := opt.Dialer(ctx, opt.Network, opt.Addr)
		select {
		case results <- result{conn, err}:
		case <-ctx.Done():
			if conn != nil && err == nil {
				_ = conn.Close()
			}
		}
	}()
	select {
	case r := <-results:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// A wire is a connection that gives up on a server that does not speak Redis's
// protocol, or that does not stop speaking.
type wire struct {
	net.Conn

	read int
	err  error // why no more is read; go-redis reads on after some errors
}

// respTypes are the bytes by which answers begin in versions 2 and 3 of the
// protocol (redis.io/docs/latest/develop/reference/protocol-spec).
const respTypes = "+-:$*_#,(!=%~>|"

func (w *wire) Read(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.Conn.Read(p)
	if w.read == 0 && n > 0 && strings.IndexByte(respTypes, p[0]) < 0 {
		w.err = errNotRedis
		return 0, w.err
	}
	if w.read += n; w.read > maxAnswers {
		w.err = errTooLarge
		return 0, w.err
	}
	return n, err
}
