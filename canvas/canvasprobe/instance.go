package canvasprobe

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/internal/netcheck"
	"go.acu.edu.au/runbook/internal/netcheck/httpcheck"
)

// Environment names what an instance is for. Any other name is allowed too.
type Environment string

// The environments that Instructure gives a school.
const (
	Production Environment = "production"
	Beta       Environment = "beta" // overwritten from production every week
	Test       Environment = "test" // overwritten from production every month
)

// Causes that only this package gives.
const (
	// CauseKeyGone means that Canvas answers and does not know a token or key any
	// more that was there before the instance was overwritten from production:
	// what was made only in beta or test is lost then. Canvas is not down.
	CauseKeyGone health.Cause = "key_gone"
	// CausePermission means that the token is valid and that its user, or its
	// scopes, do not allow what was asked.
	CausePermission health.Cause = "permission"
	// CauseOff means that a tool or key is switched off.
	CauseOff health.Cause = "off"
	// CauseDrift means that a configuration is not the expected one.
	CauseDrift health.Cause = "drift"
	// CauseWrongTarget means that a tool of this environment has an address of
	// production, as after a refresh.
	CauseWrongTarget health.Cause = "wrong_target"
	// CauseRevoked means that tokens were refused in all environments.
	CauseRevoked health.Cause = "revoked_everywhere"
)

// Config says which instance is probed.
type Config struct {
	// Canvas is how the instance is called. The probers make their own client of
	// it, which makes one attempt and not several. Set Throttle to that of the
	// host's client if they use the same token. Its BaseURL is configuration: the
	// hosts of beta and test, and vanity names, follow no rule. Required.
	Canvas canvas.Config

	// Environment is what the instance is for, for messages and for keys that are
	// meant for test and beta only. Empty means Production.
	Environment Environment

	// Refresh is when the instance is overwritten from production, by the times
	// that Instructure publishes: beta on Saturdays, test on the third Saturday of
	// a month (Days Saturday with MonthDays 15 to 21). None means never.
	Refresh []health.Window

	// LastWorked is when the token is known to have worked, from the records of
	// the host. The Instance remembers by itself what happens while it runs. Zero
	// means that it is not known.
	LastWorked time.Time

	// Maintenance are the published windows of the instance, which account
	// settings show. Inside them an instance that is down is in maintenance.
	Maintenance []health.Window

	// StatusPage is a second source for maintenance; see [Instance.Up]. Nil means
	// none.
	StatusPage *StatusPage

	// Endpoints are the paths that tell that the instance is up, asked without a
	// token, until one of them is exposed: "/health_check", "/readiness", or "/"
	// for the front page. None means "/health_check". Hosted Canvas does not
	// promise to expose any.
	Endpoints []string

	// Read is a path that [Instance.Latency] reads with the token. Empty means
	// "/api/v1/users/self".
	Read string

	// Budget is how long the answer to Read may take. Zero means any time.
	Budget health.Budget

	// QuotaWarn is the share of the bucket, from 0 to 1, below which
	// [Instance.Quota] is degraded. Zero means 0.25.
	QuotaWarn float64
}

// An Instance is one Canvas that is probed. It is safe for concurrent use.
type Instance struct {
	cfg    Config
	client *canvas.Client
	base   *url.URL
	http   *http.Client
	own    *http.Transport // nil with Canvas.HTTP

	mu      sync.Mutex
	worked  time.Time // the token was accepted
	refused time.Time // the token was refused, and not accepted since
}

// New returns an Instance, or everything that is wrong with cfg. It sends
// nothing.
func New(cfg Config) (*Instance, error) {
	p := netcheck.Problems{Package: "canvasprobe"}
	cfg.Environment = cmp.Or(cfg.Environment, Production)
	cfg.Read = cmp.Or(cfg.Read, "/api/v1/users/self")
	cfg.QuotaWarn = cmp.Or(cfg.QuotaWarn, 0.25)
	cfg.Endpoints = slices.Clone(cfg.Endpoints)
	if len(cfg.Endpoints) == 0 {
		cfg.Endpoints = []string{"/health_check"}
	}
	cfg.Refresh, cfg.Maintenance = slices.Clone(cfg.Refresh), slices.Clone(cfg.Maintenance)
	i := &Instance{worked: cfg.LastWorked}
	host := cfg.Canvas.Hooks.OnAttempt
	cfg.Canvas.Hooks.OnAttempt = func(ctx context.Context, a canvas.Attempt) {
		if t, ok := ctx.Value(trialKey{}).(*trial); ok {
			t.saw(a)
		}
		if host != nil {
			host(ctx, a)
		}
	}
	var err error
	if i.client, err = canvas.New(cfg.Canvas); err != nil {
		p.In("Canvas", err)
	}
	for _, path := range append(slices.Clone(cfg.Endpoints), cfg.Read) {
		if u, err := url.Parse(path); err != nil || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || u.RawQuery != "" || u.Fragment != "" {
			p.Add("a path to be asked must begin with one slash and have no query")
		}
	}
	for _, w := range slices.Concat(cfg.Refresh, cfg.Maintenance) {
		p.In("windows", w.Validate())
	}
	p.In("Budget", cfg.Budget.Validate())
	if !(cfg.QuotaWarn > 0 && cfg.QuotaWarn <= 1) {
		p.Add("QuotaWarn: must be from 0 to 1")
	}
	if err := p.Err(); err != nil {
		return nil, err
	}
	i.cfg = cfg
	if i.base, err = url.Parse(i.client.BaseURL()); err != nil {
		return nil, errors.New("canvasprobe: the base URL cannot be read")
	}
	i.http = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	if cfg.Canvas.HTTP != nil && cfg.Canvas.HTTP.Transport != nil {
		i.http.Transport = cfg.Canvas.HTTP.Transport
	} else {
		i.own = httpcheck.NewTransport()
		i.http.Transport = i.own
	}
	return i, nil
}

// Client returns the client of the probers, which shares its throttle with those
// that Config named.
func (i *Instance) Client() *canvas.Client { return i.client }

// String returns the environment and the host: "test (school.test.instructure.com)".
func (i *Instance) String() string { return string(i.cfg.Environment) + " (" + i.base.Host + ")" }

// A trial is one probe on its way through the client. It ends the call with the
// first attempt that fails, so that nothing is repeated.
type trial struct {
	ctx  context.Context // of the caller
	line *netcheck.Timeline
	end  context.CancelFunc

	mu   sync.Mutex
	last canvas.Attempt
	made int
}

type trialKey struct{}

// try returns a context for calls of which each makes one attempt.
func (i *Instance) try(ctx context.Context) (context.Context, *trial) {
	t := &trial{ctx: ctx, line: netcheck.NewTimeline(i.base.Hostname())}
	inner, end := context.WithCancel(context.WithValue(traced(ctx, t.line), trialKey{}, t))
	t.end = end
	return inner, t
}

func (t *trial) saw(a canvas.Attempt) {
	t.mu.Lock()
	t.last = a
	t.made++
	t.mu.Unlock()
	if a.Err != nil || a.Throttled || a.Status >= 500 || a.Status == http.StatusTooManyRequests {
		t.end()
	}
}

func (t *trial) attempt() (last canvas.Attempt, made int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last, t.made
}

// traced returns a context whose requests feed the timeline. A transport in memory
// may report a connection that is none.
func traced(ctx context.Context, line *netcheck.Timeline) context.Context {
	trace := line.Trace()
	got := trace.GotConn
	trace.GotConn = func(info httptrace.GotConnInfo) {
		if info.Conn == nil {
			line.Enter(netcheck.Sending)
			return
		}
		got(info)
	}
	return httptrace.WithClientTrace(ctx, trace)
}
