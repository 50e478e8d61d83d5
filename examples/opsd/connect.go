package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/email"
	"go.acu.edu.au/runbook/alert/jira"
	"go.acu.edu.au/runbook/alert/servicenow"
	"go.acu.edu.au/runbook/alert/slack"
	"go.acu.edu.au/runbook/alert/twilio"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvasprobe"
	"go.acu.edu.au/runbook/examples/internal/host"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/redisprobe"
	"go.acu.edu.au/runbook/health/sqlprobe"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/playbooks"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/doctor"
	"go.acu.edu.au/runbook/railway"
)

// An estate is what opsd looks after, and how it tells people: real systems, or those in
// memory.
type estate struct {
	connections []host.Connection
	channels    host.Channels
	watched     []string // servers of databases that are watched
	close       func() error
	rehearsal   *rehearsal // nil for real systems
}

// connect makes the connections that the settings describe. Nothing is asked yet.
func connect(s *settings) (*estate, error) {
	e := &estate{close: func() error { return nil }}
	var errs []error
	page, err := canvasprobe.NewStatusPage(canvasprobe.StatusPageConfig{Components: []string{"Canvas"}})
	errs = append(errs, err)
	budgets := make(map[string]*railway.Budget)
	open := &pools{}
	for _, env := range s.Environments {
		c := host.Connection{
			Name: env.Name, Application: strings.TrimSuffix(env.Application, "/"), Token: env.Token, WebSocket: env.WebSocket, Instance: env.Instance,
			StatusPage: page, Rotate: env.Rotate,
		}
		env.railway(&c, budgets)
		env.canvas(&c)
		if env.Database != nil {
			server, err := env.databaseServer(&c, open)
			errs = append(errs, err)
			e.watched = append(e.watched, server)
		}
		errs = append(errs, env.cache(&c), env.copies(&c, open))
		c.Task = env.task()
		if len(env.Migrate) > 0 {
			c.Migrate = &railway.MigratorConfig{Command: env.Migrate}
		}
		env.rebuild(&c, open) // with all that is known of it by now
		e.connections = append(e.connections, c)
	}
	e.channels, err = s.Channels.make(s.zone)
	errs = append(errs, err)
	e.close = open.close
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(fmt.Errorf("opsd: %w", err), e.close())
	}
	return e, nil
}

// railway says how the platform is reached. Environments with one token share what it may
// ask in an hour.
func (e environment) railway(c *host.Connection, budgets map[string]*railway.Budget) {
	if e.Railway == nil {
		return
	}
	r := e.Railway
	token := r.Token.Reveal()
	if budgets[token] == nil {
		budgets[token] = new(railway.Budget)
	}
	kind := railway.ProjectToken
	switch r.Kind {
	case "workspace":
		kind = railway.WorkspaceToken
	case "account":
		kind = railway.AccountToken
	}
	c.Railway = railway.Config{Kind: kind, Token: r.Token, Budget: budgets[token], Source: "opsd"}
	c.Project, c.RailwayEnvironment, c.Service, c.Database = r.Project, r.Environment, r.Service, r.Database
}

// canvas says how Canvas is reached, and what is known of the tool there.
func (e environment) canvas(c *host.Connection) {
	if e.Canvas != nil {
		c.Canvas = canvas.Config{BaseURL: e.Canvas.URL, Token: e.Canvas.Token, UserAgent: "opsd (go.acu.edu.au/runbook)"}
		c.Account, c.Key = canvas.Ref(e.Canvas.Account), e.Canvas.Key
		c.Compromise = playbooks.CanvasCredentials{ClientID: e.Canvas.ClientID, Rotations: e.Canvas.Rotations}
	}
	if e.LTI == nil {
		return
	}
	account := e.LTI.Account
	if u, err := url.Parse(c.Canvas.BaseURL); account == "" && err == nil {
		account = u.Host
	}
	at := func(path, otherwise string) string {
		if path == "" {
			path = otherwise
		}
		return c.Application + path
	}
	c.LTI = &doctor.Config{
		Registration: lti.CanvasRegistration(e.Name, e.LTI.ClientID, account), PrivateKey: e.LTI.PrivateKey,
		JWKSURL: at(e.LTI.JWKS, "/.well-known/jwks.json"), LoginURL: at(e.LTI.Login, "/lti/login"), LaunchURL: at(e.LTI.Launch, "/lti/launch"),
	}
}

// databaseServer makes what asks the server of the database, and says which server that is.
func (e environment) databaseServer(c *host.Connection, open *pools) (string, error) {
	u, err := url.Parse(e.Database.URL.Reveal())
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("environment %s: database.url is no address of the form postgres://user:password@host:port/database", e.Name)
	}
	db, err := open.open(e.Database.URL)
	if err != nil {
		return "", fmt.Errorf("environment %s: database.url: %w", e.Name, err)
	}
	prober, err := sqlprobe.New(sqlprobe.Config{DB: db, Postgres: sqlprobe.Everything()})
	if err != nil {
		return "", fmt.Errorf("environment %s: %w", e.Name, err)
	}
	c.DatabaseServer = prober
	port := u.Port()
	if port == "" {
		port = "5432"
	}
	return net.JoinHostPort(u.Hostname(), port), nil
}

// cache makes what asks Redis.
func (e environment) cache(c *host.Connection) error {
	if e.Redis.IsZero() {
		return nil
	}
	options, err := redis.ParseURL(e.Redis.Reveal())
	if err != nil {
		return fmt.Errorf("environment %s: redis is no address of the form redis://user:password@host:port/0", e.Name)
	}
	client := redis.NewClient(options)
	prober, err := redisprobe.New(redisprobe.Config{Client: client})
	if err != nil {
		return errors.Join(fmt.Errorf("environment %s: %w", e.Name, err), client.Close())
	}
	c.Redis = prober
	return client.Close() // only its options are needed
}

// make makes the ways to tell people.
func (c channels) make(zone *time.Location) (host.Channels, error) {
	tickets, err := c.Tickets.ticketer()
	return host.Channels{
		Tickets: tickets,
		Chat: func(channel string) (alert.Notifier, error) {
			return slack.New(slack.Config{Token: c.Slack.Token, Channel: channel, Buttons: true, Zone: zone})
		},
		Mail: func(address string) (alert.Notifier, error) {
			return email.New(email.Config{Host: c.Mail.Host, Port: c.Mail.Port, Username: c.Mail.Username, Password: c.Mail.Password, From: c.Mail.From, To: []string{address}, Zone: zone})
		},
		Phone: func(number string) (alert.Notifier, error) {
			return twilio.New(twilio.Config{AccountSID: c.Phone.Account, AuthToken: c.Phone.Token, From: c.Phone.From, To: strings.ReplaceAll(number, " ", ""), Voice: true, Zone: zone})
		},
	}, err
}

// ticketer is where incidents have a ticket; nil without.
func (t *ticketSettings) ticketer() (incident.Ticketer, error) {
	switch {
	case t == nil:
		return nil, nil
	case t.Jira != nil:
		edition := jira.Cloud
		if t.Jira.DataCenter {
			edition = jira.DataCenter
		}
		return orNone(jira.New(jira.Config{
			BaseURL: t.Jira.URL, Edition: edition, Email: t.Jira.Email, Token: t.Jira.Token, Project: t.Jira.Project, IssueType: t.Jira.IssueType,
		}))
	default:
		return orNone(servicenow.New(servicenow.Config{
			BaseURL: t.ServiceNow.URL, Username: t.ServiceNow.Username, Password: t.ServiceNow.Password, CloseCode: t.ServiceNow.CloseCode, Fields: t.ServiceNow.Fields,
		}))
	}
}

// orNone is a ticketer, or none at all with an error.
func orNone[T incident.Ticketer](t T, err error) (incident.Ticketer, error) {
	if err != nil {
		return nil, fmt.Errorf("channels.tickets: %w", err)
	}
	return t, nil
}

// silent are channels that tell nobody, for commands that only look. They are made as those
// that do, so that what is wrong with them is found.
func silent(c host.Channels) host.Channels {
	nobody := func(real func(string) (alert.Notifier, error)) func(string) (alert.Notifier, error) {
		return func(to string) (alert.Notifier, error) {
			if _, err := real(to); err != nil {
				return nil, err
			}
			return alert.NotifierFunc(func(context.Context, alert.Notification) (alert.Receipt, error) { return "", nil }), nil
		}
	}
	return host.Channels{Chat: nobody(c.Chat), Mail: nobody(c.Mail), Phone: nobody(c.Phone)}
}

// defaults are the limits of the procedures.
func (s *settings) defaults() playbooks.Defaults {
	l := s.Limits
	return playbooks.Defaults{
		Security: s.Security, ResponseTime: l.ResponseTime, ErrorRate: l.ErrorRate, MemoryWarning: l.MemoryWarning, Memory: l.Memory,
		RecentErrors: l.RecentErrors, SlowTask: l.SlowTask, BackupAge: l.BackupAge, CredentialAge: l.CredentialAge, DumpAge: l.DumpAge, Approvers: l.Approvers,
		Acknowledge: playbooks.ResponseTimes{Critical: s.Acknowledge.Critical, High: s.Acknowledge.High, Medium: s.Acknowledge.Medium, Low: s.Acknowledge.Low},
		Channels: playbooks.Channels{
			AlertsChat: s.Addresses.AlertsChat, AlertsMail: s.Addresses.AlertsMail, StatusChat: s.Addresses.StatusChat, StatusMail: s.Addresses.StatusMail,
		},
		Escalation: s.matrix(), Reports: s.Reports.times(),
	}
}

// beat returns what tells a dead man's switch elsewhere that opsd is alive, by a request to
// its address; nil without one.
func beat(address runbook.Secret, client *http.Client) func(context.Context, health.Self) error {
	if address.IsZero() {
		return nil
	}
	return func(ctx context.Context, _ health.Self) error {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address.Reveal(), nil)
		if err != nil {
			return errors.New("opsd: the heartbeat has no address that can be asked")
		}
		resp, err := client.Do(r)
		if err != nil {
			return errors.New("opsd: the heartbeat did not arrive") // the address is a secret
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			return fmt.Errorf("opsd: the heartbeat was answered with status %d", resp.StatusCode)
		}
		return nil
	}
}
