package jira

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
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/internal/send"
)

// Edition is which Jira it is.
type Edition string

// The editions.
const (
	// Cloud is Jira Cloud: REST API version 3, texts as documents.
	Cloud Edition = "cloud"
	// DataCenter is Jira Data Center, or Server: REST API version 2, texts as wiki markup.
	DataCenter Edition = "data center"
)

// Config says where tickets are kept. See [New].
type Config struct {
	// BaseURL is the address of Jira, with the context path if there is one. Required.
	BaseURL string
	// Edition is which Jira it is. Empty means Cloud.
	Edition Edition
	// Email is the account of the API token. Empty means that Token is a bearer token.
	Email string
	// Token is an API token, an OAuth access token or a personal access token. Required.
	Token runbook.Secret

	// Project is the key of the project. Required.
	Project string
	// IssueType is the name of the type of issue. Empty means "Task".
	IssueType string
	// Labels are set beside our own. A label has no spaces.
	Labels []string
	// Priorities are the names of priorities by severity. None means that the project's
	// default is left.
	Priorities map[alert.Severity]string
	// Fields are further fields of a new ticket, as the REST API takes them:
	// {"components": [{"name": "QA"}]}. They go before what this package sets, except for
	// project, summary, description and labels, which cannot be set here.
	Fields map[string]any
	// DoneTransition is the name of the transition that closes a ticket, if several do.
	// Empty means the first that leads to a status of the category "done"; one that leads
	// to Done, Resolved or Closed is preferred.
	DoneTransition string
	// DoneFields are fields that this transition asks for: {"resolution": {"name": "Done"}}.
	DoneFields map[string]any

	// HTTP gives the transport, and a Timeout. Nil means one of our own.
	HTTP *http.Client
	// UserAgent is sent. Empty means that of the module.
	UserAgent string
	// Timeout limits one request. Zero means that of HTTP, or 15 s.
	Timeout time.Duration
}

// Notifier keeps tickets in Jira. Make one with [New]. It is safe for concurrent use.
type Notifier struct {
	cfg    Config
	base   *url.URL
	api    *url.URL
	header func() http.Header // in a closure, for whoever prints the Notifier
	send   *send.Client
}

var _ alert.Notifier = (*Notifier)(nil)

var projectKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,254}$`)

// New returns a Notifier, or all problems of cfg.
func New(cfg Config) (*Notifier, error) {
	var problems []error
	bad := func(when bool, text string) {
		if when {
			problems = append(problems, errors.New("jira: "+text))
		}
	}
	if cfg.Edition == "" {
		cfg.Edition = Cloud
	}
	if cfg.IssueType == "" {
		cfg.IssueType = "Task"
	}
	base, ok := send.Base(cfg.BaseURL)
	bad(!ok, "BaseURL must be an address with https")
	bad(cfg.Edition != Cloud && cfg.Edition != DataCenter, fmt.Sprintf("edition %q: must be %q or %q", cfg.Edition, Cloud, DataCenter))
	bad(cfg.Token.IsZero(), "Token is missing")
	bad(!projectKey.MatchString(cfg.Project), fmt.Sprintf("project %q: must be the key of a project", cfg.Project))
	for _, l := range cfg.Labels {
		bad(l == "" || len(strings.Fields(l)) != 1 || len(l) > 255, fmt.Sprintf("label %q: must have no spaces and at most 255 characters", l))
	}
	for _, name := range []string{"project", "summary", "description", "labels", "issuetype"} {
		_, set := cfg.Fields[name]
		bad(set, "Fields: "+name+" cannot be set here")
	}
	bad(cfg.Timeout < 0, "Timeout is negative")
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	cfg.Labels, cfg.Priorities = slices.Clone(cfg.Labels), maps.Clone(cfg.Priorities)
	cfg.Fields, cfg.DoneFields = maps.Clone(cfg.Fields), maps.Clone(cfg.DoneFields)
	version := "3"
	if cfg.Edition == DataCenter {
		version = "2"
	}
	authorization := "Bearer " + cfg.Token.Reveal()
	if cfg.Email != "" {
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(cfg.Email+":"+cfg.Token.Reveal()))
	}
	return &Notifier{
		cfg: cfg, base: base, api: base.JoinPath("rest", "api", version),
		header: func() http.Header {
			return http.Header{"Authorization": {authorization}, "Accept": {"application/json"}}
		},
		send: send.New("jira", send.Config{HTTP: cfg.HTTP, UserAgent: cfg.UserAgent, Timeout: cfg.Timeout}),
	}, nil
}

// Notify implements [alert.Notifier]. The receipt is the key of the ticket.
func (j *Notifier) Notify(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	if n.Prior != "" && !issueKey.MatchString(string(n.Prior)) {
		return "", j.send.Refuse("comment on ticket", "the receipt is not the key of a ticket")
	}
	key := string(n.Prior)
	if key == "" && (n.PossibleRepeat || n.Kind == alert.KindResolved) {
		found, err := j.find(ctx, label(n))
		if err != nil {
			return "", err
		}
		key = found
		if found != "" && n.Seq <= 1 && n.Kind != alert.KindResolved {
			return alert.Receipt(found), nil // it is what is being repeated
		}
	}
	switch {
	case key == "" && n.Kind == alert.KindResolved:
		return "", nil // there is no ticket to close
	case key == "":
		return j.create(ctx, n)
	case n.Kind == alert.KindResolved:
		return alert.Receipt(key), j.resolve(ctx, key, n)
	}
	return alert.Receipt(key), j.comment(ctx, key, send.Text(n))
}

var issueKey = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*-[0-9]+$`)

// label is by what a ticket can be found.
func label(n alert.Notification) string { return "runbook-" + n.Key }

// maxSummary is the length that Jira takes, in characters.
const maxSummary = 255

// create opens a ticket.
func (j *Notifier) create(ctx context.Context, n alert.Notification) (alert.Receipt, error) {
	const op = "create ticket"
	fields := maps.Clone(j.cfg.Fields)
	if fields == nil {
		fields = make(map[string]any, 6)
	}
	if p := j.cfg.Priorities[n.Severity]; p != "" {
		fields["priority"] = map[string]string{"name": p}
	}
	fields["project"] = map[string]string{"key": j.cfg.Project}
	fields["issuetype"] = map[string]string{"name": j.cfg.IssueType}
	fields["summary"] = send.Cut(send.Line(n.Title), maxSummary)
	fields["description"] = j.document(send.Text(n))
	fields["labels"] = append([]string{label(n)}, j.cfg.Labels...)
	resp, err := j.do(ctx, op, http.MethodPost, j.api.JoinPath("issue"), map[string]any{"fields": fields})
	if err != nil {
		return "", err
	}
	var made struct {
		Key string `json:"key"`
	}
	if err := j.send.Decode(op, resp, &made); err != nil {
		return "", err
	}
	if !issueKey.MatchString(made.Key) {
		return "", &alert.Error{Service: "jira", Op: op, Status: resp.Status, Err: errors.New("the answer names no ticket")}
	}
	return alert.Receipt(made.Key), nil
}

func (j *Notifier) comment(ctx context.Context, key, text string) error {
	_, err := j.do(ctx, "comment on ticket", http.MethodPost, j.issue(key).JoinPath("comment"), map[string]any{"body": j.document(text)})
	return err
}

// resolve closes a ticket, and then says so: if it is repeated after the first half, it
// goes on with the second.
func (j *Notifier) resolve(ctx context.Context, key string, n alert.Notification) error {
	now, err := j.read(ctx, key)
	if err != nil {
		return err
	}
	said := send.Text(n)
	if !now.Done {
		why, err := j.close(ctx, key)
		if err != nil {
			return err
		}
		if why != "" {
			said += "\nThe ticket could not be closed: " + why + ". Close it by hand.\n"
		}
	}
	return j.comment(ctx, key, said)
}

// close moves a ticket to done, or says why Jira does not let it.
func (j *Notifier) close(ctx context.Context, key string) (why string, err error) {
	at := j.issue(key).JoinPath("transitions")
	var offered struct {
		Transitions []transition `json:"transitions"`
	}
	if _, err := j.look(ctx, send.Call{Op: "list transitions", URL: at}, &offered); err != nil {
		return "", err
	}
	t, ok := j.choose(offered.Transitions)
	if !ok {
		return "Jira offers no transition that leads to a status of the category done", nil
	}
	change := map[string]any{"transition": map[string]string{"id": t.ID}}
	if len(j.cfg.DoneFields) > 0 {
		change["fields"] = j.cfg.DoneFields
	}
	_, err = j.do(ctx, "close ticket", http.MethodPost, at, change)
	if e, refused := errors.AsType[*alert.Error](err); refused && errors.Is(err, alert.ErrRefused) {
		why = fmt.Sprintf("Jira refuses the transition %q", send.Cut(send.Line(t.Name), 80))
		if e.Code != "" {
			why += ": " + strings.TrimSuffix(e.Code, ".")
		}
		return why, nil
	}
	return "", err
}

// transition is a way from one status to another.
type transition struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	To   status `json:"to"`
}

type status struct {
	Name     string `json:"name"`
	Category struct {
		Key string `json:"key"`
	} `json:"statusCategory"`
}

// done reports whether nobody works on a ticket of this status any more. Jira's key is
// "done"; examples in its documentation have "completed".
func (s status) done() bool { return s.Category.Key == "done" || s.Category.Key == "completed" }

// choose picks the transition that closes a ticket.
func (j *Notifier) choose(offered []transition) (transition, bool) {
	closing := slices.DeleteFunc(slices.Clone(offered), func(t transition) bool {
		if j.cfg.DoneTransition != "" {
			return !strings.EqualFold(t.Name, j.cfg.DoneTransition)
		}
		return !t.To.done()
	})
	for _, t := range closing {
		if slices.Contains([]string{"done", "resolved", "closed"}, strings.ToLower(t.To.Name)) {
			return t, true
		}
	}
	if len(closing) == 0 {
		return transition{}, false
	}
	return closing[0], true
}

// State reads back how far the ticket of a receipt is. The error wraps alert.ErrRefused if
// there is no such ticket.
func (j *Notifier) State(ctx context.Context, receipt alert.Receipt) (alert.Ticket, error) {
	if !issueKey.MatchString(string(receipt)) {
		return alert.Ticket{}, j.send.Refuse("read ticket", "the receipt is not the key of a ticket")
	}
	return j.read(ctx, string(receipt))
}

func (j *Notifier) read(ctx context.Context, key string) (alert.Ticket, error) {
	at := j.issue(key)
	at.RawQuery = "fields=status"
	var issue struct {
		Key    string `json:"key"`
		Fields struct {
			Status status `json:"status"`
		} `json:"fields"`
	}
	if _, err := j.look(ctx, send.Call{Op: "read ticket", URL: at}, &issue); err != nil {
		return alert.Ticket{}, err
	}
	return alert.Ticket{
		ID: issue.Key, URL: j.base.JoinPath("browse", issue.Key).String(),
		State: issue.Fields.Status.Name, Done: issue.Fields.Status.done(),
	}, nil
}
