package email_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/alerttest"
	"go.acu.edu.au/runbook/alert/email"
	"go.acu.edu.au/runbook/alert/internal/story"
)

const (
	host     = "mail.example.edu"
	username = "runbook"
	password = "correct-horse"
)

// newServer returns a server that asks for a password, with a change.
func newServer(change func(*alerttest.SMTP)) *alerttest.SMTP {
	s := &alerttest.SMTP{Host: host, Username: username, Password: password, AuthInClear: true, UTF8: true}
	if change != nil {
		change(s)
	}
	return s
}

// failing makes the next mails fail. SMTP has no way of saying how long to wait, and each of
// its replies proves what became of a mail.
func failing(s *alerttest.SMTP) func(next ...alerttest.Fault) bool {
	return func(next ...alerttest.Fault) bool {
		for _, f := range next {
			if f == alerttest.Limit || f == alerttest.ServerError || f == alerttest.LateError {
				return false
			}
		}
		s.Fail(next...)
		return true
	}
}

func notifier(t testing.TB, s *alerttest.SMTP, change ...func(*email.Config)) *email.Notifier {
	t.Helper()
	cfg := email.Config{
		Host: host, TLS: s.ClientTLS(), Username: username, Password: runbook.NewSecret(password), Hello: "runbook.example.edu",
		From: "Operations <runbook@example.edu>", To: []string{"On call <on-call@example.edu>"}, Playbooks: "https://runbook.example.edu/playbooks/", Dial: s.Dial,
	}
	for _, c := range change {
		c(&cfg)
	}
	n, err := email.New(cfg)
	require.NoError(t, err)
	return n
}

var at = time.Date(2026, time.October, 5, 3, 12, 0, 0, time.UTC)

func firing() alert.Notification {
	return alert.Notification{
		Key: "9f86d081", Seq: 1, Kind: alert.KindFiring, Severity: alert.Critical, Environment: "production", At: at,
		Title: "CRITICAL production: app has failed 3 checks in a row",
		Text: "CRITICAL production: app has failed 3 checks in a row\n\nWhat is wrong:\n- CRITICAL production app: app has failed 3 checks in a row\n" +
			"  since 03:10 UTC, for 1 min; now 3, limit 3\n  GET /health: status 503: {\"error\": \"no free connection\"} <b>&amp;</b>\n  fails because of it: grade sync, LTI launches\n\n" +
			"What to do: playbook application-down\nNobody has acknowledged it yet.\n",
		Alerts: []alert.Alert{{
			Rule: "failed_checks", Environment: "production", Entity: "app", Severity: alert.Critical, Playbook: "application-down", State: alert.Firing, Began: at.Add(-2 * time.Minute),
		}},
	}
}

// conversations counts threads as mail programs do: by the first message that is referred to.
func conversations(t testing.TB, s *alerttest.SMTP) int {
	var roots []string
	for _, r := range s.Mails() {
		m, _, _ := parse(t, r.Data)
		root, _, _ := strings.Cut(m.Header.Get("References"), " ")
		if root == "" {
			root = m.Header.Get("Message-Id")
		}
		if !slices.Contains(roots, root) {
			roots = append(roots, root)
		}
	}
	return len(roots)
}

// Requirement: AL-SEND-SECRET
func TestNotifier(t *testing.T) {
	for name, post := range map[string]bool{"for operators": false, "for everyone": true} {
		t.Run(name, func(t *testing.T) {
			alerttest.TestNotifier(t, alerttest.NotifierHarness{Run: synctest.Test, New: func(t testing.TB) alerttest.NotifierCase {
				s := newServer(nil)
				return alerttest.NotifierCase{
					Notifier: notifier(t, s), Post: post, Fail: failing(s), Secrets: []string{password}, Conversations: func() int { return conversations(t, s) },
					Messages: func() (texts []string) {
						for _, r := range s.Mails() {
							_, plain, _ := parse(t, r.Data)
							texts = append(texts, plain)
						}
						return texts
					},
					Hostile: "\r\nBcc: evil@example.com\r\n\r\n<script>", Escaped: "Bcc: evil@example.com <script>",
				}
			}})
		})
	}
}

// Requirement: AL-EMAIL-THREAD
// Requirement: AL-EMAIL-AUTO
func TestThread(t *testing.T) {
	s := newServer(nil)
	n := notifier(t, s)
	var prior alert.Receipt
	for seq, kind := range []alert.Kind{alert.KindFiring, alert.KindReminder, alert.KindResolved} {
		what := firing()
		what.Seq, what.Kind, what.Prior = seq+1, kind, prior
		var err error
		prior, err = n.Notify(t.Context(), what)
		require.NoError(t, err)
	}
	lost := firing() // the mail is sent again, since the answer was lost
	lost.Seq, lost.Kind, lost.Prior, lost.PossibleRepeat = 3, alert.KindResolved, "9f86d081.2@example.edu", true
	_, err := n.Notify(t.Context(), lost)
	require.NoError(t, err)

	type thread struct{ id, reply, references, importance string }
	var got []thread
	for _, r := range s.Mails() {
		m, _, _ := parse(t, r.Data)
		got = append(got, thread{m.Header.Get("Message-ID"), m.Header.Get("In-Reply-To"), m.Header.Get("References"), m.Header.Get("Importance")})
		assert.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
		assert.Equal(t, "All", m.Header.Get("X-Auto-Response-Suppress"))
		date, err := m.Header.Date()
		require.NoError(t, err)
		assert.True(t, date.Equal(at))
	}
	assert.Equal(t, []thread{
		{"<9f86d081.1@example.edu>", "", "", "high"},
		{"<9f86d081.2@example.edu>", "<9f86d081.1@example.edu>", "<9f86d081.1@example.edu>", "high"},
		{"<9f86d081.3@example.edu>", "<9f86d081.2@example.edu>", "<9f86d081.1@example.edu> <9f86d081.2@example.edu>", ""},
		{"<9f86d081.3@example.edu>", "<9f86d081.2@example.edu>", "<9f86d081.1@example.edu> <9f86d081.2@example.edu>", ""},
	}, got)
	_, plain, html := parse(t, s.Mails()[3].Data)
	assert.Contains(t, plain, "Possible repeat")
	assert.Contains(t, html, "Possible repeat")
}

// No text, key or receipt can add a header, a recipient or a part.
//
// Requirement: AL-EMAIL-HEADER
func TestHeadersCannotBeAdded(t *testing.T) {
	evil := "x\r\nBcc: evil@example.com\r\nContent-Type: text/html\r\n\r\n<script>alert(1)</script>\x00\u2028\nX-Evil: yes"
	s := newServer(nil)
	n := notifier(t, s)
	for _, post := range []bool{false, true} {
		what := alert.Notification{
			Key: evil, Seq: 2, Kind: alert.KindFiring, Severity: alert.High, Title: evil, Text: evil, Environment: evil, At: at, Prior: alert.Receipt(evil),
			Alerts: []alert.Alert{{Playbook: "https://x.example/" + evil, State: alert.Firing}, {Playbook: evil, State: alert.Firing}},
		}
		if post {
			what.Kind, what.Post = alert.KindPost, &alert.Post{ID: evil, Title: evil, Body: evil, Status: evil, By: evil, Components: map[string]string{evil: evil}}
		}
		_, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
	}
	for _, r := range s.Mails() {
		m, plain, html := parse(t, r.Data)
		assert.Equal(t, []string{"on-call@example.edu"}, r.To)
		for name := range m.Header {
			assert.Contains(t, []string{
				"From", "To", "Subject", "Date", "Message-Id", "In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress", "Mime-Version", "Content-Type",
			}, name)
		}
		assert.NotContains(t, subject(t, m), "\n")
		assert.Regexp(t, `^<[0-9a-f]{32}\.2@example\.edu>$`, m.Header.Get("Message-ID"))
		assert.Equal(t, m.Header.Get("In-Reply-To"), m.Header.Get("References"), "a receipt that is none is left out")
		assert.NotContains(t, html, "<script>")
		assert.NotContains(t, plain, "\x00")
		for line := range strings.Lines(string(r.Data)) {
			assert.LessOrEqual(t, len(line), 998)
		}
	}
}

// Requirement: AL-EMAIL-TLS
func TestEncryption(t *testing.T) {
	for name, c := range map[string]struct {
		server     func(*alerttest.SMTP)
		change     func(*email.Config)
		encrypted  bool
		kind       error
		says       string
		authorised string
	}{
		"STARTTLS":             {nil, func(*email.Config) {}, true, nil, "", username},
		"stripped":             {func(s *alerttest.SMTP) { s.NoTLS = true }, func(*email.Config) {}, false, alert.ErrRefused, "does not support STARTTLS", ""},
		"implicit":             {func(s *alerttest.SMTP) { s.Implicit = true }, func(c *email.Config) { c.Encryption = email.ImplicitTLS }, true, nil, "", username},
		"opportunistic, there": {nil, func(c *email.Config) { c.Encryption = email.Opportunistic }, true, nil, "", username},
		"opportunistic, no password in the clear": {func(s *alerttest.SMTP) { s.NoTLS = true }, func(c *email.Config) { c.Encryption = email.Opportunistic }, false, alert.ErrRefused, "unencrypted", ""},
		"opportunistic, without password": {func(s *alerttest.SMTP) { s.NoTLS, s.Username, s.Password = true, "", "" }, func(c *email.Config) {
			c.Encryption, c.Username, c.Password = email.Opportunistic, "", runbook.Secret{}
		}, false, nil, "", ""},
		"opportunistic, wrong certificate": {nil, func(c *email.Config) { c.Encryption, c.TLS = email.Opportunistic, nil }, false, alert.ErrRefused, "certificate", ""},
		"wrong certificate":                {nil, func(c *email.Config) { c.TLS = nil }, false, alert.ErrRefused, "certificate", ""},
		"implicit, wrong certificate":      {func(s *alerttest.SMTP) { s.Implicit = true }, func(c *email.Config) { c.Encryption, c.TLS = email.ImplicitTLS, nil }, false, alert.ErrRefused, "certificate", ""},
		"another name":                     {nil, func(c *email.Config) { c.Host = "smtp.example.edu" }, false, alert.ErrRefused, "certificate", ""},
		"PLAIN":                            {nil, func(c *email.Config) { c.Auth = email.Plain }, true, nil, "", username},
		"LOGIN":                            {nil, func(c *email.Config) { c.Auth = email.Login }, true, nil, "", username},
		"wrong password":                   {nil, func(c *email.Config) { c.Password = runbook.NewSecret("wrong-horse") }, false, alert.ErrRefused, "status 535", ""},
		"wrong password by LOGIN":          {nil, func(c *email.Config) { c.Auth, c.Password = email.Login, runbook.NewSecret("wrong-horse") }, false, alert.ErrRefused, "status 535", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newServer(c.server)
			_, err := notifier(t, s, c.change).Notify(t.Context(), firing())
			if c.kind != nil {
				require.ErrorIs(t, err, c.kind)
				assert.ErrorContains(t, err, c.says)
				assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "horse")
				assert.Empty(t, s.Mails())
				return
			}
			require.NoError(t, err)
			require.Len(t, s.Mails(), 1)
			got := s.Mails()[0]
			assert.Equal(t, c.encrypted, got.Encrypted)
			assert.Equal(t, c.authorised, got.User)
		})
	}
}

// Who is not taken is named to the others; if nobody is, it is refused.
func TestRecipients(t *testing.T) {
	s := newServer(func(s *alerttest.SMTP) {
		s.Replies = map[string]string{"gone@example.edu": "550 5.1.1 no such user here", "left@example.edu": "550 5.1.1 no such user here"}
	})
	_, err := notifier(t, s, func(c *email.Config) {
		c.To = []string{"on-call@example.edu", "Gone <gone@example.edu>", "Ana Peña <ana@example.edu>"}
	}).Notify(t.Context(), firing())
	require.NoError(t, err)
	got := s.Mails()[0]
	assert.Equal(t, []string{"on-call@example.edu", "ana@example.edu"}, got.To)
	m, plain, html := parse(t, got.Data)
	to, err := m.Header.AddressList("To")
	require.NoError(t, err)
	assert.Len(t, to, 3, "everybody sees who else was told")
	assert.Equal(t, "Ana Peña", to[2].Name)
	for _, text := range []string{plain, html} {
		assert.Contains(t, text, "Not reached: gone@example.edu (5.1.1 no such user here)")
	}
	_, err = notifier(t, s, func(c *email.Config) { c.To = []string{"gone@example.edu", "left@example.edu"} }).Notify(t.Context(), firing())
	assert.ErrorIs(t, err, alert.ErrRefused)
	assert.Len(t, s.Mails(), 1)
}

// scripted is a server, without encryption, that answers each command as a test says: with a
// reply, or with "close", which breaks the connection, or "hang".
func scripted(replies map[string]string) *alerttest.SMTP {
	s := &alerttest.SMTP{NoTLS: true}
	for command, reply := range replies {
		switch reply {
		case "close":
			s.FailAt(command, alerttest.Reset)
		case "hang":
			s.FailAt(command, alerttest.Hang)
		default:
			s.Answer(command, reply)
		}
	}
	return s
}

// What is known of a mail after each way of failing at each step.
func TestEveryStep(t *testing.T) {
	const (
		unsent, limited, refused, unknown, sent = "unsent", "limited", "refused", "unknown", "sent"
	)
	for name, c := range map[string]struct {
		replies map[string]string
		want    string
		status  int
	}{
		"all is well":             {nil, sent, 0},
		"no greeting":             {map[string]string{"CONNECT": "close"}, unsent, 0},
		"no answer":               {map[string]string{"CONNECT": "hang"}, unsent, 0},
		"busy greeting":           {map[string]string{"CONNECT": "421 4.3.2 too many connections"}, limited, 421},
		"greeting that refuses":   {map[string]string{"CONNECT": "554 no SMTP service here"}, refused, 554},
		"not a mail server":       {map[string]string{"CONNECT": "HTTP/1.1 400 Bad Request"}, refused, 0},
		"EHLO breaks":             {map[string]string{"EHLO": "close"}, unsent, 0},
		"EHLO and HELO refused":   {map[string]string{"EHLO": "502 no", "HELO": "550 go away"}, refused, 502},
		"sender, temporarily":     {map[string]string{"MAIL": "451 4.3.0 try again"}, unsent, 451},
		"sender, too many":        {map[string]string{"MAIL": "452 4.3.1 insufficient storage"}, limited, 452},
		"sender refused":          {map[string]string{"MAIL": "550 5.7.1 not allowed"}, refused, 550},
		"sender breaks":           {map[string]string{"MAIL": "close"}, unsent, 0},
		"sender gets no answer":   {map[string]string{"MAIL": "hang"}, unsent, 0},
		"recipient, greylisted":   {map[string]string{"RCPT": "450 4.2.0 greylisted"}, unsent, 450},
		"recipient, congested":    {map[string]string{"RCPT": "451 4.4.5 congested"}, limited, 451},
		"recipient refused":       {map[string]string{"RCPT": "550 5.1.1 nobody"}, refused, 550},
		"recipient breaks":        {map[string]string{"RCPT": "close"}, unsent, 0},
		"data, temporarily":       {map[string]string{"DATA": "451 not now"}, unsent, 451},
		"data refused":            {map[string]string{"DATA": "554 no valid recipients"}, refused, 554},
		"data breaks":             {map[string]string{"DATA": "close"}, unsent, 0},
		"content breaks":          {map[string]string{"content": "close"}, unsent, 0},
		"end, temporarily":        {map[string]string{".": "451 4.3.0 scanner is down"}, unsent, 451},
		"end refused":             {map[string]string{".": "554 5.7.1 looks like spam"}, refused, 554},
		"end breaks":              {map[string]string{".": "close"}, unknown, 0},
		"end gets no answer":      {map[string]string{".": "hang"}, unknown, 0},
		"end gets nonsense":       {map[string]string{".": "hello?"}, unknown, 0},
		"farewell breaks":         {map[string]string{"QUIT": "close"}, sent, 0},
		"farewell gets no answer": {map[string]string{"QUIT": "hang"}, sent, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, err := email.New(email.Config{
					Host: host, Encryption: email.Opportunistic, Hello: "x", Timeout: 20 * time.Second, Dial: scripted(c.replies).Dial,
					From: "runbook@example.edu", To: []string{"on-call@example.edu"},
				})
				require.NoError(t, err)
				what := firing()
				what.Text += strings.Repeat("more text so that it does not fit into a buffer\n", 500)
				_, err = n.Notify(t.Context(), what)
				got := sent
				switch {
				case err == nil:
				case errors.Is(err, alert.ErrRefused):
					got = refused
				case errors.Is(err, alert.ErrLimited):
					got = limited
				case runbook.SafeToRetry(err):
					got = unsent
				default:
					got = unknown
				}
				assert.Equal(t, c.want, got, "%v", err)
				if e, ok := errors.AsType[*alert.Error](err); ok {
					assert.Equal(t, c.status, e.Status, "%v", err)
				}
				synctest.Wait()
			})
		})
	}
}

// The deadline is that of the context, if it comes first.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := scripted(map[string]string{"RCPT": "hang"})
		s.FailAt("RCPT", alerttest.Hang)
		n, err := email.New(email.Config{
			Host: host, Encryption: email.Opportunistic, Hello: "x", Dial: s.Dial, From: "runbook@example.edu", To: []string{"on-call@example.edu"},
		})
		require.NoError(t, err)
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = n.Notify(ctx, firing())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(began))
		_, err = n.Notify(t.Context(), firing())
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 33*time.Second, time.Since(began), "by default 30 s")
		synctest.Wait()
	})
}

// A password that a server repeats is in no error.
func TestPasswordIsHidden(t *testing.T) {
	s := scripted(map[string]string{"AUTH": "535 5.7.8 wrong: " + password})
	s.AuthInClear = true
	n := notifier(t, s, func(c *email.Config) {
		c.Encryption, c.Host = email.Opportunistic, "localhost" // where it may be sent in the clear
	})
	_, err := n.Notify(t.Context(), firing())
	require.ErrorIs(t, err, alert.ErrRefused)
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), password)
	assert.ErrorContains(t, err, "535")
}

// FuzzReply: whatever a server says, only 250 after the end means that it was sent.
func FuzzReply(f *testing.F) {
	f.Add("220 mail", "250-mail\n250 8BITMIME", "250 ok", "354 go", "250 ok")
	f.Add("220-a\n220 b", "502 x", "\x00", "999 x", "25")
	f.Fuzz(func(t *testing.T, greeting, ehlo, rcpt, data, end string) {
		for _, reply := range []string{greeting, ehlo, rcpt, data, end} {
			if reply == "" || reply == "hang" || len(reply) > 500 {
				t.Skip()
			}
		}
		n, err := email.New(email.Config{
			Host: host, Encryption: email.Opportunistic, Hello: "x", Timeout: 50 * time.Millisecond, From: "runbook@example.edu", To: []string{"on-call@example.edu"},
			Dial: scripted(map[string]string{"CONNECT": greeting, "EHLO": ehlo, "RCPT": rcpt, "DATA": data, ".": end, "QUIT": "close"}).Dial,
		})
		require.NoError(t, err)
		if _, err = n.Notify(t.Context(), firing()); err == nil && !strings.Contains(end+data+rcpt+ehlo+greeting, "250") {
			t.Errorf("%q is taken for success", end)
		}
	})
}

func TestGolden(t *testing.T) {
	s := newServer(nil)
	n := notifier(t, s, func(c *email.Config) { c.ReplyTo = "operations@example.edu" })
	repeat, resolved, reminder := firing(), firing(), firing()
	repeat.PossibleRepeat = true
	resolved.Seq, resolved.Kind, resolved.Prior = 3, alert.KindResolved, "9f86d081.1@example.edu"
	resolved.Title = "RESOLVED after 1 h 4 min, production: app has failed 3 checks in a row"
	resolved.Text = resolved.Title + "\n\nIt was:\n- CRITICAL production app: app has failed 3 checks in a row\n  from 03:10 UTC to 04:14 UTC, for 1 h 4 min; at worst 7, limit 3\n"
	resolved.Alerts[0].State = alert.Resolved
	reminder.Seq, reminder.Kind, reminder.Severity = 2, alert.KindReminder, alert.Medium
	reminder.Title, reminder.Text = "STILL MEDIUM after 2 h, test: “grade sync” ist zu früh fällig", "STILL MEDIUM after 2 h, test: “grade sync” ist zu früh fällig\n\nWhat is wrong: …\n"
	reminder.Alerts[0].Playbook = "https://runbook.example.edu/grade-sync?a=1&b=2"
	post := alert.Notification{Key: "post", Seq: 1, Kind: alert.KindPost, At: at, Post: &alert.Post{
		ID: "1", Title: "QA automation is not available", Body: "Checks of courses do not start since 13:10. Nothing is lost: they will run later.\n\nNext update at 14:30.",
		Status: "identified", Components: map[string]string{"Course checks": "major_outage", "Reports": "operational"}, By: "Ana Silva",
	}}
	plan := alert.Notification{Key: "plan", Seq: 1, Kind: alert.KindPost, At: at, Post: &alert.Post{
		ID: "2", Title: "Maintenance on Sunday", Body: "The tool is not available.", Status: "scheduled", From: at.AddDate(0, 0, 6), To: at.AddDate(0, 0, 6).Add(2 * time.Hour),
	}}
	test := alert.Notification{Key: "test", Seq: 1, Kind: alert.KindTest, Severity: alert.Low, At: at, Title: "TEST, nothing is wrong: a message to mail", Text: "TEST, nothing is wrong: a message to mail\n\nAna Silva sent it at 03:12 UTC, to see whether messages arrive.\nThis one did. Nothing is to be done.\n"}
	for name, what := range map[string]alert.Notification{
		"firing": firing(), "possible_repeat": repeat, "reminder": reminder, "resolved": resolved, "post": post, "maintenance": plan, "test": test,
	} {
		before := len(s.Mails())
		_, err := n.Notify(t.Context(), what)
		require.NoError(t, err)
		m, plain, html := parse(t, s.Mails()[before].Data)
		var b strings.Builder
		for _, header := range []string{"From", "To", "Reply-To", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "Importance"} {
			if v := m.Header.Get(header); v != "" {
				fmt.Fprintf(&b, "%s: %s\n", header, v)
			}
		}
		fmt.Fprintf(&b, "Subject, decoded: %s\n\n%s", subject(t, m), plain)
		golden(t, name+".txt", b.String())
		golden(t, name+".html", html)
	}
}

// TestNight is what people read of a night as the router tells it: what a program shows that
// does not show HTML, below the state that the HTML begins with.
func TestNight(t *testing.T) {
	s := newServer(nil)
	state := regexp.MustCompile(`uppercase[^>]*>([^<]*)<`)
	var b strings.Builder
	story.Night(t, notifier(t, s), func(step string) {
		all := s.Mails()
		m, plain, html := parse(t, all[len(all)-1].Data)
		fmt.Fprintf(&b, "=== %s: %s\nSubject, decoded: %s\n\n%s", step, state.FindStringSubmatch(html)[1], subject(t, m), plain)
	})
	golden(t, "night.txt", b.String())
}

// golden compares a text with a file, which it writes if UPDATE_GOLDEN is set.
func golden(t testing.TB, name, text string) {
	t.Helper()
	file := "testdata/" + name
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, string(want), text, name)
}

func TestNewSaysAllProblems(t *testing.T) {
	s := newServer(nil)
	insecure := s.ClientTLS()
	insecure.InsecureSkipVerify = true
	_, err := email.New(email.Config{
		Host: "mail\r\nhost", Port: 70000, Encryption: "none", TLS: insecure, Username: "u", Auth: "NTLM", Hello: "a b", From: "Operations", To: []string{"ana@exämple.edu", "a@b.example\r\nRCPT TO:<x@y.example>"},
		ReplyTo: "x", Domain: "<x>", Playbooks: "ftp://x", Timeout: -1,
	})
	for _, want := range []string{
		"Host is", "Port 70000", `Encryption "none"`, "does not verify", "Username and Password", `Auth "NTLM"`, "Hello", `From "Operations"`, "ana@exämple.edu", `RCPT TO`, `ReplyTo "x"`, "Domain", "Playbooks", "Timeout",
	} {
		assert.ErrorContains(t, err, want)
	}
	_, err = email.New(email.Config{Host: host, From: "a@b.example"})
	assert.ErrorContains(t, err, "To must have")
}

// BenchmarkNotify sends a mail to a server in memory, with STARTTLS: under 20 ms, which is
// little beside a network.
func BenchmarkNotify(b *testing.B) {
	s := newServer(nil)
	n := notifier(b, s)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := n.Notify(b.Context(), firing()); err != nil {
			b.Fatal(err)
		}
	}
}
