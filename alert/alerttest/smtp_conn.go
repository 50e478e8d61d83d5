package alerttest

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// smtpConn is a connection of a client.
type smtpConn struct {
	s    *SMTP
	raw  net.Conn // as it was opened
	conn net.Conn // raw, or what is encrypted on it
	in   *bufio.Reader

	encrypted, refused, admitted, upgrade bool
	hello, user                           string

	mail *smtpDraft // the mail that is under way; nil means none
}

// smtpDraft is a mail that is under way.
type smtpDraft struct {
	SMTPMail
	fault    Fault
	eightBit bool
	named    bool // a recipient was named, taken or not
}

func (c *smtpConn) use(conn net.Conn) { c.conn, c.in = conn, bufio.NewReader(conn) }

// encrypt is the server's side of a handshake. What was said before is forgotten.
func (c *smtpConn) encrypt() bool {
	config, err := c.s.serverTLS()
	if err != nil {
		return false
	}
	conn := tls.Server(c.raw, config)
	c.wait()
	if conn.Handshake() != nil {
		return false
	}
	c.use(conn)
	c.encrypted, c.upgrade, c.hello, c.user, c.admitted, c.mail = true, false, "", "", false, nil
	return true
}

// patience is how long a client may say nothing: what RFC 5321 asks for at least, section
// 4.5.3.2.7.
const patience = 5 * time.Minute

func (c *smtpConn) wait() { _ = c.raw.SetReadDeadline(time.Now().Add(patience)) }

// silent reads until the client goes away.
func (c *smtpConn) silent() {
	_ = c.raw.SetReadDeadline(time.Time{})
	_, _ = io.Copy(io.Discard, c.in)
}

func (c *smtpConn) serve() {
	ok := c.step("CONNECT", func() string { return "220 " + c.s.host() + " ESMTP" })
	for ok {
		line, problem, err := c.line()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			c.reply("421 4.4.2 " + c.s.host() + " has waited for too long")
			c.leave()
			return
		case err != nil:
			return
		}
		verb, arg, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		ok = c.step(verb, func() string {
			if problem != "" {
				return problem
			}
			return c.do(verb, arg)
		})
	}
}

// step answers a step as the server is told to, or by what do says. An empty answer breaks
// the connection. It reports whether the connection goes on.
func (c *smtpConn) step(name string, do func() string) bool {
	told := c.s.answer(name)
	reply := told.reply
	switch {
	case told.fault == Hang:
		c.silent()
		return false
	case told.fault == Reset:
		return false
	case reply == "":
		reply = do()
	case reply[0] == '2' || reply[0] == '3':
		do()
	case name == "CONNECT":
		c.refused = true
	}
	if reply == "" || !c.reply(reply) {
		return false
	}
	switch {
	case strings.HasPrefix(reply, "421"), strings.HasPrefix(reply, "221"):
		c.leave()
		return false
	case c.upgrade:
		return c.encrypt()
	case name == "DATA" && strings.HasPrefix(reply, "354"):
		return c.data()
	}
	return true
}

// leave says farewell to TLS, and lets the client do so.
func (c *smtpConn) leave() {
	if secure, ok := c.conn.(*tls.Conn); ok && secure.CloseWrite() == nil {
		c.wait()
		_, _ = io.Copy(io.Discard, c.raw)
	}
}

func (c *smtpConn) reply(text string) bool {
	_, err := io.WriteString(c.conn, strings.ReplaceAll(text, "\n", "\r\n")+"\r\n")
	return err == nil
}

// maxCommand is how long a command may be, with its CRLF: 512, and what the parameters of
// MAIL may add. A response of AUTH may have 12288.
const (
	maxCommand  = 512 + 26 + 16 + 10
	maxResponse = 12288
	maxText     = 1000
)

// line reads a command. A problem is the reply to one that has no valid form.
func (c *smtpConn) line() (line, problem string, err error) {
	c.wait()
	raw, err := c.in.ReadBytes('\n')
	if err != nil {
		return "", "", err
	}
	text, ok := bytes.CutSuffix(raw, []byte("\r\n"))
	most := maxCommand
	if bytes.HasPrefix(bytes.ToUpper(raw), []byte("AUTH ")) {
		most = maxResponse
	}
	switch {
	case !ok || bytes.ContainsAny(text, "\r\x00"):
		return "", "500 5.5.2 a line must end with CRLF, and have no other CR or NUL", nil
	case len(raw) > most:
		return "", "500 5.5.2 line too long", nil
	case !c.s.UTF8 && slices.ContainsFunc(text, func(b byte) bool { return b >= 0x80 }):
		return "", "500 5.5.2 a command must be of ASCII", nil
	}
	return string(text), "", nil
}

// data reads the content of a mail, and answers its end.
func (c *smtpConn) data() bool {
	content, problem, ok := c.content()
	return ok && c.step(".", func() string { return c.end(content, problem) })
}

// content reads up to the line that is a point. A problem is the reply to content that has no
// valid form.
func (c *smtpConn) content() (content []byte, problem string, ok bool) {
	say := func(when bool, reply string) {
		if when && problem == "" {
			problem = reply
		}
	}
	eightBit := c.mail != nil && c.mail.eightBit
	told := c.s.answer("content")
	whole := true // the line before ended with CRLF
	for {
		c.wait()
		raw, err := c.in.ReadBytes('\n')
		switch {
		case err != nil:
			return nil, "", false
		case told.fault == Hang:
			c.silent()
			return nil, "", false
		case told.fault == Reset:
			return nil, "", false
		case whole && string(raw) == ".\r\n":
			say(int64(len(content)) > c.s.size(), "552 5.3.4 the mail is larger than "+fmt.Sprint(c.s.size())+" bytes")
			return content, problem, true
		}
		if whole {
			raw = bytes.TrimPrefix(raw, []byte("."))
		}
		text, crlf := bytes.CutSuffix(raw, []byte("\r\n"))
		whole = crlf
		say(!crlf || bytes.ContainsRune(text, '\r'), "554 5.6.0 a line must end with CRLF, and have no other CR or LF")
		say(bytes.ContainsRune(text, 0), "554 5.6.0 the content has a NUL")
		say(len(raw) > maxText, "554 5.6.0 a line has more than 1000 bytes")
		say(!eightBit && slices.ContainsFunc(text, func(b byte) bool { return b >= 0x80 }), "554 5.6.1 bytes of eight bits without BODY=8BITMIME")
		if int64(len(content)) <= c.s.size() { // more is read, and not kept
			content = append(content, raw...)
		}
	}
}

// end takes a mail, or fails as the server is told to.
func (c *smtpConn) end(content []byte, problem string) string {
	m := c.mail
	c.mail = nil
	switch {
	case m == nil || len(m.To) == 0:
		return "554 5.5.1 no valid recipients"
	case problem != "":
		return problem
	case m.fault == Refuse:
		return "554 5.7.1 the message is refused"
	case m.fault == ServerError:
		return "451 4.3.0 internal error"
	case m.fault == Reset:
		return ""
	}
	c.s.keep(m.read(content))
	switch m.fault {
	case LateError:
		return "451 4.3.0 internal error"
	case Hang:
		c.silent()
		return ""
	case Lost:
		return ""
	}
	return fmt.Sprintf("250 2.0.0 queued as %d", len(c.s.Mails()))
}

// eager is an end of a connection in memory that does not wait until what it writes is read,
// as that of a socket does not: both sides of TLS may write at once.
type eager struct {
	net.Conn
	mu      sync.Mutex
	changed *sync.Cond
	waiting []byte
	closed  bool
}

func newEager(conn net.Conn) *eager {
	e := &eager{Conn: conn}
	e.changed = sync.NewCond(&e.mu)
	go e.pump()
	return e
}

// pump writes what waits, and closes the connection after all of it.
func (e *eager) pump() {
	defer e.Conn.Close()
	for {
		e.mu.Lock()
		for len(e.waiting) == 0 && !e.closed {
			e.changed.Wait()
		}
		out := e.waiting
		e.waiting = nil
		e.mu.Unlock()
		if len(out) == 0 {
			return
		}
		if _, err := e.Conn.Write(out); err != nil {
			_ = e.Close()
			return
		}
	}
}

// Write implements [net.Conn].
func (e *eager) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return 0, net.ErrClosed
	}
	e.waiting = append(e.waiting, p...)
	e.changed.Signal()
	return len(p), nil
}

// Close implements [net.Conn].
func (e *eager) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	e.changed.Signal()
	return nil
}

// SetDeadline implements [net.Conn].
func (e *eager) SetDeadline(t time.Time) error { return e.SetReadDeadline(t) }

// SetWriteDeadline implements [net.Conn]. Writes do not wait, so that there is none.
func (e *eager) SetWriteDeadline(time.Time) error { return nil }
