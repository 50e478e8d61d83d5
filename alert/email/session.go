package email

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/textproto"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"go.acu.edu.au/runbook/alert"
)

const service = "email"

// A session is a connection on which one may send.
type session struct {
	n      *Notifier
	ctx    context.Context
	client *smtp.Client
	conn   net.Conn
	unwind []func()
}

// connect opens a connection, encrypts it and authenticates. Until the end of a mail is
// sent, every error proves that nothing was.
func (n *Notifier) connect(ctx context.Context) (*session, error) {
	s := &session{n: n, ctx: ctx}
	policy := gomail.TLSMandatory
	switch n.cfg.Encryption {
	case ImplicitTLS:
		policy = gomail.NoTLS // since it is encrypted already
	case Opportunistic:
		policy = gomail.TLSOpportunistic
	}
	options := []gomail.Option{
		gomail.WithPort(n.cfg.Port), gomail.WithTLSPolicy(policy), gomail.WithTLSConfig(n.cfg.TLS.Clone()),
		gomail.WithTimeout(n.cfg.Timeout + time.Minute),              // the context ends it
		gomail.WithDialContextFunc(s.dial), gomail.WithoutSMTPUTF8(), // addresses are ASCII, and the next server may not know it
	}
	if n.cfg.Hello != "" {
		options = append(options, gomail.WithHELO(n.cfg.Hello))
	}
	if n.cfg.Username != "" {
		options = append(options, gomail.WithUsername(n.cfg.Username), gomail.WithPassword(n.cfg.Password.Reveal()))
		switch n.cfg.Auth {
		case Plain:
			options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthPlain))
		case Login:
			options = append(options, gomail.WithSMTPAuth(gomail.SMTPAuthLogin))
		default:
			options = append(options, gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthPlain, gomail.SMTPAuthLogin))
		}
	}
	client, err := gomail.NewClient(n.cfg.Host, options...)
	if err == nil {
		s.client, err = client.DialToSMTPClientWithContext(ctx)
	}
	if err != nil {
		s.hangUp()
		return nil, s.failed("connect", err, false)
	}
	return s, nil
}

// dial opens the connection, and closes it when the context ends, which ends whatever waits
// for it.
func (s *session) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := s.n.cfg.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	s.conn = conn
	stop := context.AfterFunc(s.ctx, func() { _ = conn.Close() })
	s.unwind = append(s.unwind, func() { stop(); _ = conn.Close() })
	if s.n.cfg.Encryption != ImplicitTLS {
		return conn, nil
	}
	secure := tls.Client(conn, s.n.cfg.TLS.Clone())
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return secure, nil
}

func (s *session) hangUp() {
	for _, undo := range s.unwind {
		undo()
	}
	s.unwind = nil
}

// farewell is how long the answer to a farewell is waited for.
const farewell = 2 * time.Second

// close says farewell. What became of the mail is known by then.
func (s *session) close() {
	if s.client != nil {
		defer time.AfterFunc(farewell, func() { _ = s.conn.Close() }).Stop()
		_ = s.client.Quit()
	}
	s.hangUp()
}

// missed is somebody whom the server does not take, and why.
type missed struct{ address, why string }

// envelope says who the mail is from and for. Those who are not taken are returned, unless
// there is nobody else.
func (s *session) envelope() (list []missed, err error) {
	if err := s.client.Mail("<" + s.n.from.Address + ">"); err != nil {
		return nil, s.failed("sender", err, false)
	}
	var worst error
	for _, to := range s.n.to {
		err := s.client.Rcpt("<" + to.Address + ">")
		if err == nil {
			continue
		}
		e := s.failed("recipient", err, false)
		if e.Status == 0 {
			return nil, e // the connection is gone
		}
		list = append(list, missed{to.Address, e.Code})
		if worst == nil || !errors.Is(e, alert.ErrRefused) {
			worst = e // what may be tried again counts
		}
	}
	if len(list) == len(s.n.to) {
		return nil, worst
	}
	return list, nil
}

// data sends the mail.
func (s *session) data(mail []byte) error {
	w, err := s.client.Data()
	if err != nil {
		return s.failed("data", err, false)
	}
	if _, err := io.Copy(w, bytes.NewReader(mail)); err != nil {
		return s.failed("content", err, false) // nothing can be written any more, so the mail cannot end
	}
	if err := w.Close(); err != nil {
		return s.failed("send", err, true)
	}
	return nil
}

// failed is the error of a step. ended means that the end of the mail was sent, after which
// only a reply proves anything.
func (s *session) failed(op string, err error, ended bool) *alert.Error {
	e := &alert.Error{Service: service, Op: op}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		e.Status, e.Code = reply.Code, s.line(reply.Msg)
		switch {
		case reply.Code/100 == 5:
			e.Kind = alert.ErrRefused
		case reply.Code/100 == 4 && isLimit(reply):
			e.Kind = alert.ErrLimited
		default:
			e.Unsent = reply.Code/100 == 4 || !ended
		}
		return e
	}
	e.Err, e.Unsent = err, !ended
	switch {
	case s.ctx.Err() != nil:
		e.Err = s.ctx.Err()
	case !ended && !isNetwork(err):
		// The certificate is not valid, or the server cannot do what is asked for.
		e.Kind, e.Unsent = alert.ErrRefused, false
	}
	return e
}

// isLimit reports whether a reply asks to come back later: the server takes no mail now
// (421, 4.3.2), has no room (452), or is congested (4.4.5). See RFC 5321, section 4.2.3, and
// RFC 3463.
func isLimit(reply *textproto.Error) bool {
	enhanced, _, _ := strings.Cut(reply.Msg, " ")
	return reply.Code == 421 || reply.Code == 452 || enhanced == "4.3.2" || enhanced == "4.4.5"
}

func isNetwork(err error) bool {
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}

// line makes a reply one short line without the password.
func (s *session) line(text string) string {
	if p := s.n.cfg.Password.Reveal(); p != "" {
		text = strings.ReplaceAll(text, p, "…")
	}
	return cut(oneLine(text), 200)
}

func oneLine(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

func cut(text string, n int) string {
	runes := []rune(text)
	if len(runes) <= n {
		return text
	}
	return string(runes[:n-1]) + "…"
}
