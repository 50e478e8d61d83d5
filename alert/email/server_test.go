package email_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert/alerttest"
)

// An authority signs certificates.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	cert, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{cert, key}
}

// issue returns a certificate for names and addresses, and its key.
func (a *authority) issue(t testing.TB, names ...string) (certificate, private []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: names[0]}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// trusted is the configuration of a client that trusts the authority.
func (a *authority) trusted() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

// A received mail.
type received struct {
	from string
	to   []string
	data []byte
	tls  bool
	user string
}

// A server takes mail, and fails as it is told.
type server struct {
	ca       *authority
	implicit bool
	noTLS    bool     // it does not offer STARTTLS
	unknown  []string // addresses that it does not take

	address string
	mu      sync.Mutex
	faults  []alerttest.Fault
	mails   []received
}

const (
	host     = "mail.example.edu"
	username = "runbook"
	password = "correct-horse"
)

func newServer(t testing.TB, change func(*server)) *server {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{ca: newAuthority(t), address: l.Addr().String()}
	if change != nil {
		change(s)
	}
	certificate, key := s.ca.issue(t, host)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	config := &tls.Config{Certificates: []tls.Certificate{pair}}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{s: s, conn: c}, nil }))
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8, server.ErrorLog = host, true, true, quiet{}
	switch {
	case s.implicit:
		l = tls.NewListener(l, config)
	case !s.noTLS:
		server.TLSConfig = config
	}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close()
		_ = server.Close()
		<-done
	})
	return s
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

// dial reaches the server, whatever the address.
func (s *server) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if s.take(alerttest.Unreachable) != 0 {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp4", s.address)
}

// fail makes the next mails fail. SMTP has no way of saying how long to wait, and none of a
// failure of which nothing is known but that the connection breaks.
func (s *server) fail(next ...alerttest.Fault) bool {
	for _, f := range next {
		if f == alerttest.Limit || f == alerttest.ServerError || f == alerttest.LateError {
			return false
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, next...)
	return true
}

// take returns the next fault, if it is one of those.
func (s *server) take(only ...alerttest.Fault) alerttest.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 || !slices.Contains(only, s.faults[0]) {
		return 0
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f
}

func (s *server) received() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// session is a connection to the server.
type session struct {
	s    *server
	conn *smtp.Conn
	mail received
}

func (s *session) AuthMechanisms() []string { return []string{"PLAIN", "LOGIN"} }

func (s *session) check(user, pass string) error {
	if user != username || pass != password {
		return smtp.ErrAuthFailed
	}
	s.mail.user = user
	return nil
}

func (s *session) Auth(mech string) (sasl.Server, error) {
	if mech == "LOGIN" {
		return &login{check: s.check}, nil
	}
	return sasl.NewPlainServer(func(_, user, pass string) error { return s.check(user, pass) }), nil
}

// login is the server's side of LOGIN.
type login struct {
	check func(user, pass string) error
	step  int
	user  string
}

func (l *login) Next(response []byte) (challenge []byte, done bool, err error) {
	l.step++
	switch l.step {
	case 1:
		return []byte("Username:"), false, nil
	case 2:
		l.user = string(response)
		return []byte("Password:"), false, nil
	}
	return nil, true, l.check(l.user, string(response))
}

func (s *session) Mail(from string, o *smtp.MailOptions) error {
	if o != nil && o.UTF8 {
		return &smtp.SMTPError{Code: 553, Message: "the next server does not know SMTPUTF8"}
	}
	s.mail.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.s.take(alerttest.Refuse) != 0 || slices.Contains(s.s.unknown, to) {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user here"}
	}
	s.mail.to = append(s.mail.to, to)
	return nil
}

var errGone = errors.New("the connection is gone")

func (s *session) Data(r io.Reader) (err error) {
	if s.mail.data, err = io.ReadAll(r); err != nil {
		return err
	}
	_, s.mail.tls = s.conn.TLSConnectionState()
	fault := s.s.take(alerttest.Lost, alerttest.Hang, alerttest.Reset)
	if fault != alerttest.Reset {
		s.s.mu.Lock()
		s.s.mails = append(s.s.mails, s.mail)
		s.s.mu.Unlock()
	}
	switch fault {
	case alerttest.Hang:
		_, _ = s.conn.Conn().Read(make([]byte, 1)) // until the client goes away
		return errGone
	case alerttest.Lost, alerttest.Reset:
		_ = s.conn.Conn().Close()
		return errGone
	}
	return nil
}

func (s *session) Reset()        { s.mail.from, s.mail.to, s.mail.data = "", nil, nil }
func (s *session) Logout() error { return nil }

// parse reads a mail and its two parts.
func parse(t testing.TB, data []byte) (m *mail.Message, plain, html string) {
	t.Helper()
	m, err := mail.ReadMessage(bytes.NewReader(data))
	require.NoError(t, err)
	plain, html = parts(t, m)
	return m, plain, html
}

func parts(t testing.TB, m *mail.Message) (plain, html string) {
	t.Helper()
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	reader := multipart.NewReader(m.Body, params["boundary"])
	var texts []string
	for _, want := range []string{"text/plain; charset=UTF-8", "text/html; charset=UTF-8"} {
		part, err := reader.NextRawPart()
		require.NoError(t, err)
		require.Equal(t, want, part.Header.Get("Content-Type"))
		require.Equal(t, "quoted-printable", part.Header.Get("Content-Transfer-Encoding"))
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		texts = append(texts, strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
	_, err = reader.NextPart()
	require.ErrorIs(t, err, io.EOF)
	return texts[0], texts[1]
}

// subject returns a header as people read it.
func subject(t testing.TB, m *mail.Message) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
	require.NoError(t, err)
	return text
}
