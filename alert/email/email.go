package email

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html/template"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
)

// Encryption is how the connection to the server is protected.
type Encryption string

// The ways.
const (
	// StartTLS asks for encryption first, and goes no further without it.
	StartTLS Encryption = ""
	// ImplicitTLS is encrypted from the first byte.
	ImplicitTLS Encryption = "implicit"
	// Opportunistic encrypts if the server offers to.
	Opportunistic Encryption = "opportunistic"
)

// Auth is the mechanism by which one authenticates.
type Auth string

// The mechanisms.
const (
	AnyAuth Auth = "" // PLAIN if the server offers it, else LOGIN, else what it offers
	Plain   Auth = "PLAIN"
	Login   Auth = "LOGIN"
)

// Config says which server sends, and who is told. See [New].
type Config struct {
	// Host is the server. Required.
	Host string
	// Port is its port. Zero means 465 for ImplicitTLS, and 587 otherwise.
	Port int
	// Encryption is StartTLS unless told otherwise.
	Encryption Encryption
	// TLS is for certificates of one's own. It must verify the server. Nil means the
	// system's authorities.
	TLS *tls.Config
	// Username and Password authenticate. Empty means that the server asks for none.
	Username string
	Password runbook.Secret
	// Auth is the mechanism. Empty means AnyAuth.
	Auth Auth
	// Hello is what the server is told of who connects. Empty means the name of the machine.
	Hello string

	// From is who it is from: "Operations <runbook@example.edu>". Required.
	From string
	// To are those who are told, and see each other. At least one is required, and at most
	// 100.
	To []string
	// ReplyTo is where answers go. Empty means From.
	ReplyTo string
	// Domain is that of the Message-IDs. Empty means that of From. It must not change while
	// conversations are under way.
	Domain string
	// Playbooks is the address of the playbooks, to which their names are appended for
	// links. Empty means that only playbooks which are addresses are linked.
	Playbooks string
	// Zone is the zone of the planned times of posts. Nil means UTC.
	Zone *time.Location

	// Timeout limits one attempt. Zero means 30 s.
	Timeout time.Duration
	// Dial opens connections. Nil means those of package net.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Notifier sends mails. Make one with [New]. It is safe for concurrent use.
type Notifier struct {
	cfg      Config
	from     *mail.Address
	to       []*mail.Address
	template *template.Template
}

var _ alert.Notifier = (*Notifier)(nil)

// New returns a Notifier, or all problems of cfg. It connects to nothing.
func New(cfg Config) (*Notifier, error) {
	n := &Notifier{}
	var problems []error
	bad := func(when bool, format string, args ...any) {
		if when {
			problems = append(problems, fmt.Errorf("email: "+format, args...))
		}
	}
	bad(cfg.Host == "" || strings.ContainsFunc(cfg.Host, unprintable), "Host is missing, or is none")
	bad(cfg.Port < 0 || cfg.Port > 65535, "Port %d is none", cfg.Port)
	bad(cfg.Encryption != StartTLS && cfg.Encryption != ImplicitTLS && cfg.Encryption != Opportunistic, "Encryption %q is none of StartTLS, ImplicitTLS and Opportunistic", cfg.Encryption)
	bad(cfg.TLS != nil && cfg.TLS.InsecureSkipVerify, "TLS does not verify the server")
	bad((cfg.Username == "") != cfg.Password.IsZero(), "Username and Password belong together")
	bad(cfg.Auth != AnyAuth && cfg.Auth != Plain && cfg.Auth != Login, "Auth %q is none of PLAIN and LOGIN", cfg.Auth)
	bad(strings.ContainsFunc(cfg.Hello, unprintable), "Hello is not a name")
	address := func(name, text string) *mail.Address {
		a, err := parse(text)
		bad(err != nil, "%s %q %w", name, text, err)
		return a
	}
	n.from = address("From", cfg.From)
	bad(len(cfg.To) == 0 || len(cfg.To) > 100, "To must have 1 to 100 addresses")
	for _, text := range cfg.To {
		n.to = append(n.to, address("To", text))
	}
	if cfg.ReplyTo != "" {
		address("ReplyTo", cfg.ReplyTo)
	}
	if cfg.Domain == "" {
		_, cfg.Domain, _ = strings.Cut(n.from.Address, "@")
	}
	bad(strings.ContainsFunc(cfg.Domain, unprintable) || strings.ContainsAny(cfg.Domain, "<>@"), "Domain %q is none", cfg.Domain)
	bad(cfg.Playbooks != "" && !isAddress(cfg.Playbooks), "Playbooks must be an address with http or https")
	bad(cfg.Timeout < 0, "Timeout is negative")
	n.cfg = defaults(cfg)
	var err error
	n.template, err = template.New("mail").Parse(page)
	bad(err != nil, "%w", err)
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return n, nil
}

func defaults(cfg Config) Config {
	if cfg.Port == 0 {
		cfg.Port = 587
		if cfg.Encryption == ImplicitTLS {
			cfg.Port = 465
		}
	}
	if cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	cfg.TLS = cfg.TLS.Clone()
	if cfg.TLS.ServerName == "" {
		cfg.TLS.ServerName = cfg.Host
	}
	if cfg.Zone == nil {
		cfg.Zone = time.UTC
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Dial == nil {
		cfg.Dial = (&net.Dialer{}).DialContext
	}
	return cfg
}

// parse reads an address that every server takes: of ASCII, without control characters. It
// returns an address also with an error.
func parse(text string) (*mail.Address, error) {
	a, err := mail.ParseAddress(text)
	if err != nil {
		return &mail.Address{}, errors.New("is no mail address")
	}
	if strings.ContainsFunc(a.Address, unprintable) || strings.ContainsAny(a.Address, `<>"`) || strings.ContainsFunc(a.Name, func(r rune) bool { return r < ' ' }) {
		return &mail.Address{}, errors.New("is not an address of letters, digits and signs")
	}
	return a, nil
}

func unprintable(r rune) bool { return r <= ' ' || r >= 0x7f }

func isAddress(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Host != "" && u.User == nil && (u.Scheme == "https" || u.Scheme == "http")
}

// Notify implements [alert.Notifier]. The receipt is the Message-ID.
func (n *Notifier) Notify(ctx context.Context, what alert.Notification) (alert.Receipt, error) {
	if runbook.IsReadOnly(ctx) {
		return "", &alert.Error{Service: service, Op: "send", Unsent: true, Err: runbook.ErrReadOnly}
	}
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	s, err := n.connect(ctx)
	if err != nil {
		return "", err
	}
	defer s.close()
	missed, err := s.envelope()
	if err != nil {
		return "", err
	}
	m, err := n.compose(what, missed)
	if err != nil {
		return "", &alert.Error{Service: service, Op: "compose", Kind: alert.ErrRefused, Err: err}
	}
	if err := s.data(m); err != nil {
		return "", err
	}
	return alert.Receipt(n.id(what.Key, what.Seq)), nil
}
