package alerttest_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	stdsmtp "net/smtp"
	"net/textproto"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/email"
)

// dialogue is what a client says, and how the replies must begin.
type dialogue []struct{ says, reply string }

const (
	hello = "EHLO client.example.edu"
	from  = "MAIL FROM:<runbook@example.edu>"
	to    = "RCPT TO:<ana@example.edu>"
)

// hold holds the dialogue. A client who says nothing only listens; "TLS" is the handshake.
func hold(t *testing.T, s *alerttest.SMTP, d dialogue) {
	t.Helper()
	conn, err := s.Dial(t.Context(), "tcp", "mail.example.edu:587")
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	in := bufio.NewReader(conn)
	for _, step := range d {
		if step.says == "TLS" {
			config := s.ClientTLS()
			config.ServerName = "mail.example.edu"
			secure := tls.Client(conn, config)
			require.NoError(t, secure.HandshakeContext(t.Context()))
			conn, in = secure, bufio.NewReader(secure)
			continue
		}
		if step.says != "" {
			end := "\r\n"
			if strings.HasSuffix(step.says, "\n") {
				end = ""
			}
			_, err := io.WriteString(conn, step.says+end)
			require.NoError(t, err)
		}
		if step.reply == "" {
			continue
		}
		lines := ""
		for {
			line, err := in.ReadString('\n')
			require.NoError(t, err, "after %.80q", step.says)
			lines += line
			if len(line) < 4 || line[3] == ' ' {
				break
			}
		}
		require.Contains(t, lines, step.reply, "after %.80q", step.says)
		require.Equal(t, step.reply[:3], lines[:3], "after %.80q", step.says)
	}
}

// It refuses what RFC 5321 and its extensions refuse.
func TestSMTPRefuses(t *testing.T) {
	t.Parallel()
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	long := strings.Repeat("a", 1000)
	const needsPassword = "needs password"
	for name, d := range map[string]dialogue{
		"mail before EHLO":             {{from, "503"}},
		"nobody says hello":            {{"EHLO", "501"}, {"HELO  ", "501"}, {"EHLO a_b", "501"}, {"EHLO [127.0.0.1]", "250"}, {"EHLO [IPv6:::1]", "250"}, {"EHLO [::1]", "501"}},
		"recipient before sender":      {{hello, "250"}, {to, "503"}},
		"data before recipients":       {{hello, "250"}, {from, "250"}, {"DATA", "503"}},
		"data with nobody":             {{hello, "250"}, {from, "250"}, {"RCPT TO:<gone@example.edu>", "550 5.1.1"}, {"DATA", "554"}},
		"two mails at once":            {{hello, "250"}, {from, "250"}, {from, "503"}, {"RSET", "250"}, {from, "250"}},
		"EHLO forgets the mail":        {{hello, "250"}, {from, "250"}, {hello, "250"}, {to, "503"}},
		"unknown command":              {{"GET / HTTP/1.1", "500"}, {"NOOP", "250"}},
		"what is not done":             {{"VRFY ana", "252"}, {"EXPN all", "502"}, {"HELP", "214"}},
		"parameters where none are":    {{hello, "250"}, {"RSET now", "501"}, {"STARTTLS now", "501"}, {"QUIT now", "501"}, {"QUIT", "221"}},
		"line end":                     {{"NOOP\n", "500"}, {"NO\rOP", "500"}},
		"long line":                    {{hello, "250"}, {"NOOP " + long, "500"}, {"NOOP", "250"}},
		"not ASCII":                    {{hello, "250"}, {"MAIL FROM:<é@example.edu>", "500"}},
		"sender without brackets":      {{hello, "250"}, {"MAIL FROM:runbook@example.edu", "501"}, {"MAIL TO:<a@b.example>", "501"}, {"MAIL", "501"}},
		"space after the colon":        {{hello, "250"}, {"MAIL FROM: <runbook@example.edu>", "501"}},
		"sender is none":               {{hello, "250"}, {"MAIL FROM:<runbook>", "553 5.1.7"}, {"MAIL FROM:<>", "250"}},
		"recipient is none":            {{hello, "250"}, {from, "250"}, {"RCPT TO:<a..b@example.edu>", "553"}, {"RCPT TO:<a@-b>", "553"}, {"RCPT TO:<>", "553"}, {"RCPT TO:<postmaster>", "250"}, {`RCPT TO:<"a>b"@example.edu>`, "250"}, {"RCPT TO:<@relay.example:a@example.edu>", "452"}},
		"long address":                 {{hello, "250"}, {from, "250"}, {"RCPT TO:<" + long[:65] + "@example.edu>", "553"}, {"RCPT TO:<a@" + long[:255] + ".edu>", "501"}},
		"parameters that are unknown":  {{hello, "250"}, {from + " RET=FULL", "555"}, {from + " BODY=BINARYMIME", "501"}, {from + " SIZE=x", "501"}, {from + " SMTPUTF8", "555"}, {from + " BODY=8BITMIME", "250"}, {"RCPT TO:<ana@example.edu> NOTIFY=NEVER", "555"}},
		"too large, as is said":        {{hello, "250 AUTH PLAIN LOGIN"}, {from + " SIZE=2001", "552 5.3.4"}, {from + " SIZE=2000", "250"}},
		"too large":                    {{hello, "250-SIZE 2000"}, {from, "250"}, {to, "250"}, {"DATA", "354"}, {strings.Repeat(long[:900]+"\r\n", 3) + ".", "552 5.3.4"}, {from, "250"}},
		"too many recipients":          {{hello, "250"}, {from, "250"}, {to, "250"}, {to, "250"}, {to, "452 4.5.3"}},
		"content with a long line":     {{hello, "250"}, {from, "250"}, {to, "250"}, {"DATA", "354"}, {long + "\r\n.", "554 5.6.0"}},
		"content with a bare LF":       {{hello, "250"}, {from, "250"}, {to, "250"}, {"DATA", "354"}, {"a\n.\r\nMAIL FROM:<x@y.example>\r\n.", "554 5.6.0"}},
		"content with a bare CR":       {{hello, "250"}, {from, "250"}, {to, "250"}, {"DATA", "354"}, {"a\rb\r\n.", "554 5.6.0"}},
		"content with a NUL":           {{hello, "250"}, {from, "250"}, {to, "250"}, {"DATA", "354"}, {"a\x00\r\n.", "554 5.6.0"}},
		"content of eight bits":        {{hello, "250"}, {from, "250"}, {to, "250"}, {"DATA", "354"}, {"é\r\n.", "554 5.6.1"}},
		"AUTH is after STARTTLS":       {{hello, "250 STARTTLS"}, {"AUTH PLAIN " + encode("\x00u\x00p"), "530"}},
		"STARTTLS before EHLO":         {{"STARTTLS", "503"}},
		"STARTTLS twice":               {{hello, "250"}, {"STARTTLS", "220"}, {"TLS", ""}, {hello, "250"}, {"STARTTLS", "503"}},
		"STARTTLS forgets the name":    {{hello, "250"}, {"STARTTLS", "220"}, {"TLS", ""}, {from, "503"}},
		"commands before it encrypts":  {{hello, "250"}, {"STARTTLS\r\nNOOP", "501"}, {"", "250"}},
		"HELO has no extensions":       {{"HELO client.example.edu", "250 mail.example.edu"}},
		needsPassword:                  {{hello, "250"}, {"STARTTLS", "220"}, {"TLS", ""}, {hello, "250 AUTH PLAIN LOGIN"}, {from, "530"}, {"AUTH CRAM-MD5", "504"}, {"AUTH PLAIN !", "501"}, {"AUTH PLAIN =", "501"}, {"AUTH PLAIN", "334 "}, {"*", "501"}, {"AUTH PLAIN " + encode("x\x00runbook\x00right"), "535"}, {"AUTH PLAIN " + encode("\x00runbook\x00wrong"), "535 5.7.8"}, {"AUTH LOGIN", "334 VXNlcm5hbWU6"}, {encode("runbook"), "334 UGFzc3dvcmQ6"}, {encode("right"), "235"}, {"AUTH LOGIN", "503"}, {from, "250"}},
		"LOGIN only":                   {{hello, "250 AUTH LOGIN"}, {"AUTH PLAIN " + encode("\x00u\x00p"), "504"}, {"AUTH LOGIN =", "334"}, {"*", "501"}, {"AUTH LOGIN " + encode("u"), "334 UGFzc3dvcmQ6"}, {"?", "501"}},
		"no AUTH":                      {{hello, "250 STARTTLS"}, {"STARTTLS", "220"}, {"TLS", ""}, {hello, "250 ENHANCEDSTATUSCODES"}, {"AUTH PLAIN " + encode("\x00u\x00p"), "502"}},
		"no STARTTLS":                  {{hello, "250 ENHANCEDSTATUSCODES"}, {"STARTTLS", "502"}},
		"a mail, at once, with points": {{hello + "\r\n" + from + "\r\n" + to + "\r\nDATA", "250-PIPELINING"}, {"", "250"}, {"", "250"}, {"", "354"}, {"Subject: a\r\n\r\n..b\r\n.", "250"}, {"QUIT", "221"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &alerttest.SMTP{Size: 2000, Recipients: 2, AuthInClear: strings.HasPrefix(name, "too large, as"), Replies: map[string]string{"gone@example.edu": "550 5.1.1 no such user here"}}
			switch name {
			case needsPassword:
				s.Username, s.Password = "runbook", "right"
			case "LOGIN only":
				s.Auth, s.AuthInClear = []string{"LOGIN", "XOAUTH2"}, true
			case "no AUTH":
				s.Auth = []string{}
			case "no STARTTLS":
				s.NoTLS = true
			}
			hold(t, s, append(dialogue{{"", "220 mail.example.edu"}}, d...))
			if strings.HasPrefix(name, "a mail") {
				require.Len(t, s.Mails(), 1)
				assert.Equal(t, "Subject: a\r\n\r\n.b\r\n", string(s.Mails()[0].Data))
				return
			}
			assert.Empty(t, s.Mails())
		})
	}
}

// Two clients that others have written submit mails to it, encrypted and with a password.
func TestSMTPServesOthers(t *testing.T) {
	t.Parallel()
	s := &alerttest.SMTP{Username: "runbook", Password: "right", UTF8: true}
	config := s.ClientTLS()
	config.ServerName = "mail.example.edu"
	dial := func() net.Conn {
		conn, err := s.Dial(t.Context(), "tcp", "mail.example.edu:587")
		require.NoError(t, err)
		return conn
	}
	const text = "Subject: =?utf-8?q?f=C3=BCr?= all\r\n\r\n.a line\r\n"

	first, err := smtp.NewClientStartTLS(dial(), config)
	require.NoError(t, err)
	require.NoError(t, first.Auth(sasl.NewLoginClient("runbook", "right")))
	require.NoError(t, first.SendMail("runbook@example.edu", []string{"ana@example.edu", "ben@example.edu"}, strings.NewReader(text)))
	require.NoError(t, first.Quit())

	second, err := stdsmtp.NewClient(dial(), "mail.example.edu")
	require.NoError(t, err)
	require.NoError(t, second.StartTLS(config))
	require.NoError(t, second.Auth(stdsmtp.PlainAuth("", "runbook", "right", "mail.example.edu")))
	require.NoError(t, second.Mail("runbook@example.edu"))
	require.NoError(t, second.Rcpt("ana@example.edu"))
	w, err := second.Data()
	require.NoError(t, err)
	_, err = io.WriteString(w, text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, second.Quit())

	mails := s.Mails()
	require.Len(t, mails, 2)
	for _, m := range mails {
		assert.Equal(t, text, string(m.Data))
		assert.Equal(t, "für all", m.Subject)
		assert.Equal(t, ".a line\n", m.Text)
		assert.Equal(t, "runbook", m.User)
		assert.Equal(t, "runbook@example.edu", m.From)
		assert.True(t, m.Encrypted)
	}
	assert.Equal(t, []string{"ana@example.edu", "ben@example.edu"}, mails[0].To)
	assert.True(t, mails[1].UTF8, "package net/smtp asks for it where it is offered")
}

// It serves a real port too.
func TestSMTPOnAPort(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := &alerttest.SMTP{NoTLS: true}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if conn, err := l.Accept(); err == nil {
			s.ServeConn(conn)
		}
	}()
	require.NoError(t, stdsmtp.SendMail(l.Addr().String(), nil, "runbook@example.edu", []string{"ana@example.edu"}, []byte("Subject: a\r\n\r\nb\r\n")))
	<-ended
	require.Len(t, s.Mails(), 1)
	assert.False(t, s.Mails()[0].Encrypted)
}

// Each fault, by what the client sees, and by what the server has taken.
func TestSMTPFails(t *testing.T) {
	t.Parallel()
	const broken, late = -1, -2
	for name, c := range map[string]struct {
		tell  func(s *alerttest.SMTP)
		want  int // the code of the reply
		taken int
	}{
		"nothing":                 {func(*alerttest.SMTP) {}, 0, 1},
		"limit":                   {func(s *alerttest.SMTP) { s.Fail(alerttest.Limit) }, 421, 0},
		"refuse":                  {func(s *alerttest.SMTP) { s.Fail(alerttest.Refuse) }, 554, 0},
		"server error":            {func(s *alerttest.SMTP) { s.Fail(alerttest.ServerError) }, 451, 0},
		"late error":              {func(s *alerttest.SMTP) { s.Fail(alerttest.LateError) }, 451, 1},
		"lost":                    {func(s *alerttest.SMTP) { s.Fail(alerttest.Lost) }, broken, 1},
		"reset":                   {func(s *alerttest.SMTP) { s.Fail(alerttest.Reset) }, broken, 0},
		"unreachable":             {func(s *alerttest.SMTP) { s.Fail(alerttest.Unreachable) }, broken, 0},
		"hang":                    {func(s *alerttest.SMTP) { s.Fail(alerttest.Hang) }, late, 1},
		"one passes":              {func(s *alerttest.SMTP) { s.Fail(0, alerttest.Refuse) }, 0, 1},
		"reply to a command":      {func(s *alerttest.SMTP) { s.Answer("RCPT", "450 4.2.0 greylisted") }, 450, 0},
		"reply that accepts":      {func(s *alerttest.SMTP) { s.Answer(".", "250 2.0.0 as you like") }, 0, 1},
		"reply that passes":       {func(s *alerttest.SMTP) { s.Answer("RCPT", "", "550 5.1.1 the second is refused") }, 0, 1},
		"greeting":                {func(s *alerttest.SMTP) { s.Answer("CONNECT", "554 5.3.2 no service") }, 554, 0},
		"breaks at a command":     {func(s *alerttest.SMTP) { s.FailAt("DATA", alerttest.Reset) }, broken, 0},
		"breaks in the middle":    {func(s *alerttest.SMTP) { s.FailAt("content", alerttest.Reset) }, broken, 0},
		"hangs at a command":      {func(s *alerttest.SMTP) { s.FailAt("MAIL", alerttest.Hang) }, late, 0},
		"hangs in the middle":     {func(s *alerttest.SMTP) { s.FailAt("content", alerttest.Hang) }, late, 0},
		"what it cannot do at it": {func(s *alerttest.SMTP) { s.FailAt("MAIL", alerttest.Limit) }, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &alerttest.SMTP{}
				c.tell(s)
				err := submit(t.Context(), s)
				got := 0
				reply, isReply := errors.AsType[*smtp.SMTPError](err)
				switch {
				case isReply:
					got = reply.Code
				case errors.Is(err, context.DeadlineExceeded):
					got = late
				case err != nil:
					got = broken
				}
				assert.Equal(t, c.want, got, "%v", err)
				assert.Len(t, s.Mails(), c.taken)
				if err != nil {
					require.NoError(t, submit(t.Context(), s), "it fails once")
				}
				synctest.Wait()
			})
		})
	}
}

// submit sends a mail within a minute, by a client that others have written.
func submit(ctx context.Context, s *alerttest.SMTP) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := s.Dial(ctx, "tcp", "mail.example.edu:587")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	client := smtp.NewClient(conn)
	defer func() { _ = client.Close() }()
	err = client.SendMail("runbook@example.edu", []string{"ana@example.edu"}, strings.NewReader("Subject: a\r\n\r\nb\r\n"))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// Who says nothing for five minutes is told so, and the connection ends.
func TestSMTPWaitsFiveMinutes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &alerttest.SMTP{}
		conn, err := s.Dial(t.Context(), "tcp", "mail.example.edu:25")
		require.NoError(t, err)
		in := textproto.NewConn(conn)
		_, _, err = in.ReadResponse(220)
		require.NoError(t, err)
		began := time.Now()
		code, _, _ := in.ReadResponse(0)
		assert.Equal(t, 421, code)
		assert.Equal(t, 5*time.Minute, time.Since(began))
		_, err = in.ReadLine()
		assert.ErrorIs(t, err, io.EOF)
		_ = conn.Close()
	})
}

// A certificate of somebody else is not trusted; one of one's own is used.
func TestSMTPCertificate(t *testing.T) {
	t.Parallel()
	given := httptest.NewTLSServer(nil) // for its certificate, which is for example.com
	trusted := given.Client().Transport.(*http.Transport).TLSClientConfig
	given.Close()
	plain, other := &alerttest.SMTP{}, &alerttest.SMTP{}
	numbered := &alerttest.SMTP{Host: "192.0.2.1", Implicit: true}
	own := &alerttest.SMTP{Host: "example.com", TLS: given.TLS}
	for name, c := range map[string]struct {
		s    *alerttest.SMTP
		tls  *tls.Config
		host string
		says string
	}{
		"its own":      {plain, plain.ClientTLS(), "mail.example.edu", ""},
		"of an IP":     {numbered, numbered.ClientTLS(), "192.0.2.1", ""},
		"one's own":    {own, trusted, "example.com", ""},
		"another name": {other, other.ClientTLS(), "smtp.example.com", "not smtp.example.com"},
		"another one":  {other, plain.ClientTLS(), "mail.example.edu", "unknown authority"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := email.Config{Host: c.host, Dial: c.s.Dial, TLS: c.tls, From: "a@example.edu", To: []string{"b@example.edu"}}
			if c.s.Implicit {
				cfg.Encryption = email.ImplicitTLS
			}
			n, err := email.New(cfg)
			require.NoError(t, err)
			_, err = n.Notify(t.Context(), alert.Notification{Key: "k", Seq: 1, Kind: alert.KindTest, Title: "a test"})
			if c.says == "" {
				assert.NoError(t, err)
				assert.Len(t, c.s.Mails(), 1)
				return
			}
			assert.ErrorContains(t, err, c.says)
			assert.Empty(t, c.s.Mails())
		})
	}
}

// FuzzSMTP: whatever a client says, a mail is taken from a sender to a recipient, after DATA.
func FuzzSMTP(f *testing.F) {
	f.Add([]byte(hello + "\r\n" + from + "\r\n" + to + "\r\nDATA\r\nSubject: a\r\n\r\nb\r\n.\r\nQUIT\r\n"))
	f.Add([]byte(hello + "\r\nAUTH PLAIN\r\nAHUAcA==\r\nMAIL FROM:<> SIZE=1 BODY=8BITMIME\r\nRCPT TO:<\"a\\\">\"@[192.0.2.1]>\r\nDATA\r\n..\r\n.\r\n"))
	f.Add([]byte("STARTTLS\n\x16\x03\x01"))
	f.Add([]byte(hello + "\r\n" + from + "\r\n" + to + "\r\nDATA\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n--x--\r\n.\r\n"))
	f.Fuzz(func(t *testing.T, said []byte) {
		s := &alerttest.SMTP{AuthInClear: true}
		conn, err := s.Dial(t.Context(), "tcp", "mail.example.edu:25")
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, _ = io.Copy(io.Discard, conn)
		}()
		_, _ = conn.Write(said)
		_ = conn.Close()
		<-done
		for _, m := range s.Mails() {
			assert.NotEmpty(t, m.To)
			assert.NotEmpty(t, m.Hello)
			assert.NotContains(t, strings.ReplaceAll(string(m.Data), "\r\n", ""), "\n")
			assert.Contains(t, strings.ToUpper(string(said)), "DATA\r\n")
		}
	})
}

// A router's mail, whose answer is lost, is sent again, and says so.
func ExampleSMTP() {
	server := &alerttest.SMTP{Username: "runbook", Password: "right"}
	server.Fail(alerttest.Lost)
	mail, err := email.New(email.Config{
		Host: "mail.example.edu", Username: "runbook", Password: runbook.NewSecret("right"),
		From: "runbook@example.edu", To: []string{"on-call@example.edu"},
		Dial: server.Dial, TLS: server.ClientTLS(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	down := alert.Notification{Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Title: "app is down"}
	_, err = mail.Notify(context.Background(), down)
	fmt.Println("proven that nothing was sent:", runbook.SafeToRetry(err))
	down.PossibleRepeat = true
	_, err = mail.Notify(context.Background(), down)
	fmt.Println(err)
	for _, m := range server.Mails() {
		fmt.Println(m.Header.Get("Message-ID"), m.To, m.Subject, strings.Contains(m.Text, "Possible repeat"))
	}
	// Output:
	// proven that nothing was sent: false
	// <nil>
	// <9f86d081.1@example.edu> [on-call@example.edu] app is down false
	// <9f86d081.1@example.edu> [on-call@example.edu] app is down true
}
