package alerttest

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/internal/memhttp"
)

// SMTP is a mail server to which mails are submitted. Set its fields before it is used; the
// zero value offers STARTTLS, and takes any mail from anybody. Its Dial method opens a
// connection in memory, whatever the address, so that the real notifier is used:
//
//	server := &alerttest.SMTP{Username: "runbook", Password: "right"}
//	mail, err := email.New(email.Config{Host: "mail.example.edu", Dial: server.Dial, TLS: server.ClientTLS(), ...})
//
// It refuses what RFC 5321 does: commands in a wrong order or a wrong form, lines, addresses
// and mails that are too long, line ends other than CRLF; and what the extensions that it
// offers do: SIZE (RFC 1870), 8BITMIME (RFC 6152), STARTTLS (RFC 3207), AUTH (RFC 4954),
// ENHANCEDSTATUSCODES (RFC 2034) and PIPELINING (RFC 2920).
//
// Fail makes the next mails fail, one with each [Fault], from the moment that a mail begins.
// SMTP cannot say how long to wait, and every reply proves what became of a mail:
//
//   - Limit: 421 4.3.2 to MAIL, and the connection ends.
//   - Refuse: 554 5.7.1 at the end of the mail.
//   - ServerError: 451 4.3.0 at the end of the mail, which is not taken.
//   - Lost: the mail is taken, and the connection breaks before the reply.
//   - LateError: the mail is taken, and the reply is 451 4.3.0.
//   - Hang: the mail is taken, and there is no reply until the client goes away.
//   - Reset: the connection breaks at the end of the mail, which is not taken.
//   - Unreachable: the next connection is refused.
type SMTP struct {
	// Host is its name, in its greeting and in its certificate. Empty means
	// "mail.example.edu".
	Host string
	// Implicit means that connections are encrypted from the first byte, as on port 465.
	Implicit bool
	// NoTLS means that it does not offer STARTTLS, or that somebody strips the offer.
	NoTLS bool
	// AuthInClear means that it offers AUTH also on a connection that is not encrypted.
	AuthInClear bool
	// TLS is its configuration, with a certificate of one's own. Nil means a certificate for
	// Host that ClientTLS trusts.
	TLS *tls.Config
	// Username and Password are those that it takes, and without which it takes no mail.
	// Both empty means any, and none.
	Username, Password string
	// Auth are the mechanisms that it offers. Nil means PLAIN and LOGIN, which are all that
	// it knows.
	Auth []string
	// UTF8 means that it offers SMTPUTF8 (RFC 6531).
	UTF8 bool
	// Size is how many bytes a mail may have. Zero means 10 MiB.
	Size int64
	// Recipients is how many recipients a mail may have. Zero means 100, which is the least
	// that RFC 5321 asks for.
	Recipients int
	// Replies is what RCPT is answered by for an address, instead of being taken:
	// {"gone@example.edu": "550 5.1.1 no such user here"}.
	Replies map[string]string

	faults
	state   sync.Mutex
	mails   []SMTPMail
	answers map[string][]smtpAnswer
	pair    *tls.Certificate
}

// smtpAnswer is how a step is answered: by a reply, or by a fault; neither lets it pass.
type smtpAnswer struct {
	reply string
	fault Fault
}

// Dial opens a connection in memory, whatever the address. It has the form that
// email.Config asks for.
func (s *SMTP) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.take(Unreachable) == Unreachable {
		return nil, memhttp.Refused()
	}
	near, far := net.Pipe()
	go s.ServeConn(newEager(far))
	return near, nil
}

// ServeConn speaks with the client at the other end of a connection until one of them ends
// it, and closes it. It is for connections that one accepts oneself, of a real port.
func (s *SMTP) ServeConn(conn net.Conn) {
	defer conn.Close()
	c := &smtpConn{s: s, raw: conn}
	c.use(conn)
	if s.Implicit && !c.encrypt() {
		return
	}
	c.serve()
}

// ClientTLS returns a configuration for clients that trusts the server's own certificate.
// Its ServerName is empty; email.Config fills it in.
func (s *SMTP) ClientTLS() *tls.Config {
	pool := x509.NewCertPool()
	if pair, err := s.certificate(); err == nil {
		pool.AddCert(pair.Leaf)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// Answer makes the next commands of a name be answered by replies, one by each: "RCPT",
// "451 4.3.0 try again". A command has its effect if the reply accepts it (2xx, 3xx), and
// none otherwise. An empty reply lets one pass; lines of a reply are separated by "\n". The
// names of what is no command are "CONNECT" for the greeting, and "." for the end of a mail.
func (s *SMTP) Answer(command string, replies ...string) {
	for _, reply := range replies {
		s.next(command, smtpAnswer{reply: reply})
	}
}

// FailAt makes the next command of a name fail without any effect: by Reset, which breaks the
// connection, or Hang, which never answers; other faults let it pass. See [SMTP.Answer] for
// the names; "content" is the middle of the content of a mail.
func (s *SMTP) FailAt(command string, fault Fault) {
	if fault != Reset && fault != Hang {
		fault = 0
	}
	s.next(command, smtpAnswer{fault: fault})
}

func (s *SMTP) next(command string, a smtpAnswer) {
	s.state.Lock()
	defer s.state.Unlock()
	if s.answers == nil {
		s.answers = make(map[string][]smtpAnswer)
	}
	s.answers[command] = append(s.answers[command], a)
}

// answer takes how the next command of a name is answered.
func (s *SMTP) answer(command string) (a smtpAnswer) {
	s.state.Lock()
	defer s.state.Unlock()
	if list := s.answers[command]; len(list) > 0 {
		a, s.answers[command] = list[0], list[1:]
	}
	return a
}

// Mails returns the mails that were taken, in order.
func (s *SMTP) Mails() []SMTPMail {
	s.state.Lock()
	defer s.state.Unlock()
	return slices.Clone(s.mails)
}

func (s *SMTP) keep(m SMTPMail) {
	s.state.Lock()
	defer s.state.Unlock()
	s.mails = append(s.mails, m)
}

func (s *SMTP) host() string { return cmp.Or(s.Host, "mail.example.edu") }
func (s *SMTP) size() int64  { return cmp.Or(s.Size, 10<<20) }

// mechanisms are those that are offered on a connection.
func (s *SMTP) mechanisms(encrypted bool) []string {
	if !encrypted && !s.AuthInClear {
		return nil
	}
	if s.Auth == nil {
		return []string{"PLAIN", "LOGIN"}
	}
	return slices.DeleteFunc(slices.Clone(s.Auth), func(m string) bool { return m != "PLAIN" && m != "LOGIN" })
}

// admits reports whether somebody may send.
func (s *SMTP) admits(user, password string) bool {
	return s.Username == "" && s.Password == "" || user == s.Username && password == s.Password
}

// serverTLS is the configuration of the server's side.
func (s *SMTP) serverTLS() (*tls.Config, error) {
	if s.TLS != nil {
		return s.TLS.Clone(), nil
	}
	pair, err := s.certificate()
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{*pair}, MinVersion: tls.VersionTLS12}, nil
}

// certificate returns a certificate for Host, which is made once. It is valid for so long
// that it is in testing/synctest, where it is the year 2000, as well.
func (s *SMTP) certificate() (*tls.Certificate, error) {
	s.state.Lock()
	defer s.state.Unlock()
	if s.pair != nil {
		return s.pair, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: s.host()}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		NotBefore:   time.Date(1999, time.January, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, time.January, 1, 0, 0, 0, 0, time.UTC),
	}
	if ip := net.ParseIP(strings.Trim(s.host(), "[]")); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{s.host()}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	s.pair = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
	return s.pair, nil
}
