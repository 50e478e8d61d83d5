package alertmanager

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says which Alertmanager is told, and how. See [New].
type Config struct {
	// URL is the address of Alertmanager, with its path prefix if it has one:
	// "http://alertmanager:9093". Required.
	URL string
	// Token is sent as a bearer token, or Username and Password by basic authentication, if
	// they are set. They need https, unless the host is this one.
	Token    runbook.Secret
	Username string
	Password runbook.Secret
	// Labels are added to each alert: {"source": "runbook"}. Those of the alert's own rule,
	// environment, entity, severity and reason cannot be replaced.
	Labels map[string]string
	// Hold is for how long an alert goes on firing when Alertmanager is not told of it again.
	// Zero means 24 h; the least is 2 minutes.
	Hold time.Duration
	// Every is how often [Notifier.Run] tells again. Zero means 1 minute; the most is half of
	// Hold.
	Every time.Duration

	// HTTP gives the transport. Nil means one of the module's own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits the request. Zero means the Timeout of HTTP, or 15 s.
	Timeout time.Duration
	// Logger is told by [Notifier.Run] of what could not be told again. Nil means
	// slog.Default().
	Logger *slog.Logger
}

// A Notifier tells an Alertmanager. Make one with [New].
type Notifier struct {
	cfg    Config
	client *send.Client
	url    *url.URL
	auth   func() http.Header // in a closure, for whoever prints the Notifier

	mu    sync.Mutex
	ended map[string]ended // by labels; those told lately
}

// ended is an end that was told.
type ended struct {
	alert postable
	told  time.Time
}

var _ alert.Notifier = (*Notifier)(nil)

// New returns a Notifier, or all problems of cfg. It asks Alertmanager nothing.
func New(cfg Config) (*Notifier, error) {
	u, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	n := &Notifier{
		cfg: cfg, url: u.JoinPath("api", "v2", "alerts"), auth: func() http.Header { return nil }, ended: make(map[string]ended),
		client: send.New("alertmanager", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
	}
	switch {
	case !cfg.Token.IsZero():
		n.auth = func() http.Header { return http.Header{"Authorization": {"Bearer " + cfg.Token.Reveal()}} }
	case cfg.Username != "":
		n.auth = func() http.Header {
			credentials := base64.StdEncoding.EncodeToString([]byte(cfg.Username + ":" + cfg.Password.Reveal()))
			return http.Header{"Authorization": {"Basic " + credentials}}
		}
	}
	return n, nil
}

// complete sets defaults, and returns the address, or all problems.
func (cfg *Config) complete() (*url.URL, error) {
	var problems []error
	bad := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("alertmanager: "+format, args...))
	}
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		bad("URL must be an http or https address, without a user and a query")
		u = &url.URL{}
	}
	if u.Path == "" {
		u.Path = "/"
	}
	secret := !cfg.Token.IsZero() || !cfg.Password.IsZero()
	if local := slices.Contains([]string{"localhost", "127.0.0.1", "::1"}, u.Hostname()); secret && u.Scheme == "http" && !local {
		bad("a token or password needs https")
	}
	if !cfg.Token.IsZero() && (cfg.Username != "" || !cfg.Password.IsZero()) {
		bad("either Token or Username and Password")
	}
	if (cfg.Username == "") != cfg.Password.IsZero() {
		bad("Username and Password go together")
	}
	for name := range cfg.Labels {
		if labelName(name) != name {
			bad("label %q: must be of letters, digits and _, and begin with no digit", name)
		}
	}
	if cfg.Hold == 0 {
		cfg.Hold = 24 * time.Hour
	}
	if cfg.Every == 0 {
		cfg.Every = min(time.Minute, cfg.Hold/2)
	}
	if cfg.Hold < 2*time.Minute || cfg.Every < 0 || cfg.Every > cfg.Hold/2 || cfg.Timeout < 0 {
		bad("Hold must be at least 2 minutes, Every at most half of it, and no time negative")
	}
	cfg.Labels = maps.Clone(cfg.Labels)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	return u, errors.Join(problems...)
}

// receipt is what is kept of a conversation: the severities with which its alerts were told,
// since they are part of what Alertmanager knows them by.
type receipt struct {
	Told map[string]alert.Severity `json:"told,omitempty"` // by key
}

// Notify implements [alert.Notifier].
func (n *Notifier) Notify(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	now := time.Now()
	var r receipt
	if json.Unmarshal([]byte(what.Prior), &r) != nil || r.Told == nil {
		r = receipt{Told: make(map[string]alert.Severity)}
	}
	var list []postable
	switch {
	case what.Kind == alert.KindTest:
		list = append(list, n.test(what, now))
	case what.Kind == alert.KindPost, what.Kind == alert.KindNotice, len(what.Alerts) == 0:
		return "", &alert.Error{
			Service: "alertmanager", Op: "post alerts", Kind: alert.ErrRefused, Err: errors.New("only alerts can be told, and not a " + string(what.Kind)),
		}
	}
	for _, a := range what.Alerts {
		if was := r.Told[a.Key]; was != 0 && was != a.Severity {
			list = append(list, n.end(withSeverity(a, was), now))
		}
		if a.State == alert.Resolved {
			delete(r.Told, a.Key)
			list = append(list, n.end(a, now))
			continue
		}
		r.Told[a.Key] = a.Severity
		list = append(list, n.begin(a, now))
	}
	if err := n.post(ctx, list); err != nil {
		return "", err
	}
	if len(r.Told) == 0 {
		return "", nil
	}
	text, err := json.Marshal(r)
	if err != nil {
		return "", nil // of severities that were valid: they were told, and that counts
	}
	return alert.Receipt(text), nil
}

func withSeverity(a alert.Alert, s alert.Severity) alert.Alert {
	a.Severity = s
	return a
}

// post posts alerts. Alertmanager takes those that it understands, also when it refuses
// others (https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml).
func (n *Notifier) post(ctx context.Context, list []postable) error {
	_, err := n.client.Do(ctx, send.Call{Op: "post alerts", URL: n.url, Header: n.auth(), JSON: list})
	return err
}

// begin returns a firing alert, and forgets that it was over.
func (n *Notifier) begin(a alert.Alert, now time.Time) postable {
	p := n.postable(a)
	p.EndsAt = now.Add(n.cfg.Hold)
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.ended, p.identity())
	return p
}

// end returns an alert that is over, and takes note of it, to tell it again.
func (n *Notifier) end(a alert.Alert, now time.Time) postable {
	p := n.postable(a)
	p.EndsAt = now
	if !a.Ended.IsZero() && a.Ended.Before(now) {
		p.EndsAt = a.Ended
	}
	if p.StartsAt.After(p.EndsAt) {
		p.StartsAt = p.EndsAt // what ends before it starts is refused
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended[p.identity()] = ended{p, now}
	return p
}

// endsFor is for how long ends are told again.
const endsFor = 5 * time.Minute

// Resend tells again of alerts that fire, and of what ended within the last 5 minutes. It is
// what [Notifier.Run] does. Alerts that do not fire are left out.
func (n *Notifier) Resend(ctx context.Context, alerts []alert.Alert) error {
	now := time.Now()
	list := make([]postable, 0, len(alerts))
	for _, a := range alerts {
		if a.State == alert.Firing {
			p := n.postable(a)
			p.EndsAt = now.Add(n.cfg.Hold)
			list = append(list, p)
		}
	}
	var err error
	if len(list) > 0 {
		err = n.post(ctx, list)
	}
	// After the alerts: what was over by the time that they were told ends once more.
	if ends := n.lately(now); len(ends) > 0 {
		err = errors.Join(err, n.post(ctx, ends))
	}
	return err
}

// lately returns what ended lately, and forgets the rest.
func (n *Notifier) lately(now time.Time) (list []postable) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, e := range n.ended {
		if now.Sub(e.told) > endsFor {
			delete(n.ended, id)
			continue
		}
		list = append(list, e.alert)
	}
	slices.SortFunc(list, func(a, b postable) int { return strings.Compare(a.identity(), b.identity()) })
	return list
}

// Run tells again of all alerts that fire, every minute or as Config.Every says, until ctx
// ends, whose error it returns. See [Told] for firing. What cannot be told is logged, and
// told the next time.
func (n *Notifier) Run(ctx context.Context, firing func() []alert.Alert) error {
	ticker := time.NewTicker(n.cfg.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		if err := n.Resend(ctx, firing()); err != nil && ctx.Err() == nil {
			n.cfg.Logger.Warn("alertmanager: alerts could not be told again", "error", err)
		}
	}
}

// Told returns the alerts of which a target of a router was told, and which still fire.
func Told(r *alert.Router, target string) (firing []alert.Alert) {
	for _, s := range r.Alerts() {
		if s.State == alert.Firing && slices.Contains(s.Told, target) {
			firing = append(firing, s.Alert)
		}
	}
	return firing
}
