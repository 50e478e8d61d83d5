package servicenow

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Config says where incidents are kept. See [New].
type Config struct {
	// BaseURL is the address of the instance. Required.
	BaseURL string
	// Table is the table. Empty means "incident"; another one must have its fields.
	Table string
	// Username and Password are those of basic authentication, Token is an OAuth access
	// token. Either the former two or the latter.
	Username string
	Password runbook.Secret
	Token    runbook.Secret

	// CloseCode is the resolution code, as the instance has it; which there are differs.
	// Required.
	CloseCode string
	// ResolvedState is the number of the state that means resolved. Empty means "6".
	ResolvedState string
	// ClosedStates are the numbers of further states in which nobody works on an incident.
	// None means "7", closed, and "8", canceled.
	ClosedStates []string
	// Priorities are impact and urgency by severity. A severity that is not there has those
	// by which the usual rules give the priorities 1, 2, 3 and 5: 1 and 1, 1 and 2, 2 and 2,
	// 3 and 3.
	Priorities map[alert.Severity]Priority
	// Fields are further fields of a new incident: {"category": "software"}. What this
	// package sets cannot be set here.
	Fields map[string]string

	// HTTP gives the transport, and a Timeout. Nil means one of our own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits one request. Zero means that of HTTP, or 15 s.
	Timeout time.Duration
}

// Priority is what ServiceNow computes a priority of, each from 1, high, to 3, low.
type Priority struct {
	// Impact is how much is affected.
	Impact int
	// Urgency is how soon it must be resolved.
	Urgency int
}

// Notifier keeps incidents in ServiceNow. Make one with [New]. It is safe for concurrent
// use.
type Notifier struct {
	cfg    Config
	base   *url.URL
	table  *url.URL
	header func() http.Header // in a closure, for whoever prints the Notifier
	send   *send.Client
}

var _ alert.Notifier = (*Notifier)(nil)

var (
	tableName = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
	sysID     = regexp.MustCompile(`^[0-9a-f]{32}$`)
)

// ours are the fields that Config.Fields cannot set.
var ours = []string{"short_description", "description", "correlation_id", "correlation_display", "impact", "urgency", "work_notes", "state", "close_code", "close_notes"}

// New returns a Notifier, or all problems of cfg.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, errors.New("servicenow: "+text))
		}
	}
	if cfg.Table == "" {
		cfg.Table = "incident"
	}
	if cfg.ResolvedState == "" {
		cfg.ResolvedState = "6"
	}
	if cfg.ClosedStates == nil {
		cfg.ClosedStates = []string{"7", "8"}
	}
	base, ok := send.Base(cfg.BaseURL)
	bad(!ok, "BaseURL must be an address with https")
	bad(!tableName.MatchString(cfg.Table), fmt.Sprintf("table %q: is no name of a table", cfg.Table))
	basic := cfg.Username != "" && !cfg.Password.IsZero()
	bad(basic == !cfg.Token.IsZero(), "either Username and Password or Token must be set")
	bad(cfg.CloseCode == "", "CloseCode is missing")
	for _, name := range ours {
		_, set := cfg.Fields[name]
		bad(set, "Fields: "+name+" cannot be set here")
	}
	for severity, p := range cfg.Priorities {
		bad(min(p.Impact, p.Urgency) < 1 || max(p.Impact, p.Urgency) > 3, fmt.Sprintf("priority of %s: impact and urgency must be from 1 to 3", severity))
	}
	bad(cfg.Timeout < 0, "Timeout is negative")
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	cfg.ClosedStates, cfg.Priorities, cfg.Fields = slices.Clone(cfg.ClosedStates), maps.Clone(cfg.Priorities), maps.Clone(cfg.Fields)
	authorization := "Bearer " + cfg.Token.Reveal()
	if basic {
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Username+":"+cfg.Password.Reveal()))
	}
	return &Notifier{
		cfg: cfg, base: base, table: base.JoinPath("api", "now", "table", cfg.Table),
		header: func() http.Header {
			return http.Header{"Authorization": {authorization}, "Accept": {"application/json"}}
		},
		send: send.New("servicenow", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
	}, nil
}

// Notify implements [alert.Notifier]. The receipt is the sys_id of the incident.
func (s *Notifier) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	id := string(n.Prior)
	if id != "" && !sysID.MatchString(id) {
		return "", s.send.Refuse("update incident", "the receipt is not the sys_id of an incident")
	}
	if id == "" {
		found, err := s.find(ctx, n.Key)
		if err != nil {
			return "", err
		}
		id = found.ID
		if id != "" && n.Seq <= 1 && n.Kind != alert.KindResolved {
			return alert.Receipt(id), nil // it is what is being repeated
		}
	}
	switch {
	case id == "" && n.Kind == alert.KindResolved:
		return "", nil // there is no incident to resolve
	case id == "":
		return s.create(ctx, n)
	case n.Kind == alert.KindResolved:
		return alert.Receipt(id), s.resolve(ctx, id, n)
	}
	_, err := s.change(ctx, "update incident", id, map[string]string{"work_notes": journal(n)})
	return alert.Receipt(id), err
}

// create opens an incident.
func (s *Notifier) create(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	const op = "create incident"
	fields := maps.Clone(s.cfg.Fields)
	if fields == nil {
		fields = make(map[string]string, 6)
	}
	p := s.priority(n.Severity)
	fields["short_description"] = send.Cut(send.Line(n.Title), maxShort)
	fields["description"] = send.Cut(clean(n.Text), maxLong)
	fields["correlation_id"], fields["correlation_display"] = n.Key, "runbook"
	fields["impact"], fields["urgency"] = fmt.Sprint(p.Impact), fmt.Sprint(p.Urgency)
	made, err := s.write(ctx, op, http.MethodPost, s.table, fields)
	if err != nil {
		return "", err
	}
	if !sysID.MatchString(made.ID) {
		return "", &alert.Error{Service: "servicenow", Op: op, Err: errors.New("the answer names no incident")}
	}
	return alert.Receipt(made.ID), nil
}

func (s *Notifier) priority(severity alert.Severity) Priority {
	if p, ok := s.cfg.Priorities[severity]; ok {
		return p
	}
	switch severity {
	case alert.Critical:
		return Priority{1, 1}
	case alert.High:
		return Priority{1, 2}
	case alert.Medium:
		return Priority{2, 2}
	}
	return Priority{3, 3}
}

// resolve resolves an incident, unless somebody did.
func (s *Notifier) resolve(ctx context.Context, id string, n alert.Notification) error {
	const op = "resolve incident"
	now, err := s.read(ctx, id)
	if err != nil {
		return err
	}
	if s.done(now) {
		_, err = s.change(ctx, op, id, map[string]string{"work_notes": journal(n)})
		return err
	}
	now, err = s.change(ctx, op, id, map[string]string{
		"state": s.cfg.ResolvedState, "close_code": s.cfg.CloseCode, "close_notes": send.Cut(clean(n.Text), maxLong), "work_notes": journal(n),
	})
	if err == nil && !s.done(now) {
		// A rule of the instance undid it: people are to be told in another way.
		return s.send.Refuse(op, "the incident is not resolved afterwards: its state is "+send.Cut(send.Line(now.State), 40))
	}
	return err
}

// State reads back how far the incident of a receipt is. The error wraps alert.ErrRefused
// if there is no such incident.
func (s *Notifier) State(ctx context.Context, receipt alert.Receipt) (alert.Ticket, error) {
	if !sysID.MatchString(string(receipt)) {
		return alert.Ticket{}, s.send.Refuse("read incident", "the receipt is not the sys_id of an incident")
	}
	now, err := s.read(ctx, string(receipt))
	if err != nil {
		return alert.Ticket{}, err
	}
	at := s.base.JoinPath(s.cfg.Table + ".do")
	at.RawQuery = url.Values{"sys_id": {now.ID}}.Encode()
	return alert.Ticket{ID: now.Number, URL: at.String(), State: now.State, Done: s.done(now)}, nil
}
