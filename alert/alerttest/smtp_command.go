package alerttest

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// do has the effect of a command, and returns the reply. An empty one breaks the connection.
func (c *smtpConn) do(verb, arg string) string {
	if c.refused && verb != "QUIT" {
		return "503 5.5.1 there is no service here"
	}
	switch verb {
	case "EHLO", "HELO":
		return c.greet(verb, arg)
	case "NOOP":
		return "250 2.0.0 ok"
	case "VRFY":
		return "252 2.5.2 whether it exists is not told"
	case "HELP":
		return "214 2.0.0 see RFC 5321"
	case "EXPN":
		return "502 5.5.1 EXPN is not implemented"
	case "QUIT", "RSET", "DATA", "STARTTLS":
		if arg != "" {
			return "501 5.5.4 " + verb + " has no parameters"
		}
	}
	switch verb {
	case "QUIT":
		return "221 2.0.0 " + c.s.host() + " closes the connection"
	case "RSET":
		c.mail = nil
		return "250 2.0.0 ok"
	case "STARTTLS":
		return c.startTLS()
	case "AUTH":
		return c.auth(arg)
	case "MAIL":
		return c.from(arg)
	case "RCPT":
		return c.to(arg)
	case "DATA":
		return c.begin()
	}
	return "500 5.5.1 the command is not known"
}

// domain is a name of RFC 5321, section 4.1.2: letters, digits and hyphens between points.
var domain = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)

func isDomain(text string) bool {
	if literal, ok := strings.CutPrefix(text, "["); ok {
		literal, ok = strings.CutSuffix(literal, "]")
		a, err := netip.ParseAddr(strings.TrimPrefix(literal, "IPv6:"))
		return ok && err == nil && a.Is6() == strings.HasPrefix(literal, "IPv6:")
	}
	return len(text) <= 255 && domain.MatchString(text)
}

// greet answers EHLO and HELO, which end a mail that is under way.
func (c *smtpConn) greet(verb, name string) string {
	if !isDomain(name) {
		return "501 5.5.4 " + verb + " needs the name of the client"
	}
	c.hello, c.mail = name, nil
	if verb == "HELO" {
		return "250 " + c.s.host()
	}
	lines := []string{c.s.host(), "PIPELINING", fmt.Sprintf("SIZE %d", c.s.size()), "8BITMIME", "ENHANCEDSTATUSCODES"}
	if c.s.UTF8 {
		lines = append(lines, "SMTPUTF8")
	}
	if !c.encrypted && !c.s.NoTLS {
		lines = append(lines, "STARTTLS")
	}
	if m := c.s.mechanisms(c.encrypted); len(m) > 0 {
		lines = append(lines, "AUTH "+strings.Join(m, " "))
	}
	last := len(lines) - 1
	return "250-" + strings.Join(lines[:last], "\n250-") + "\n250 " + lines[last]
}

func (c *smtpConn) startTLS() string {
	switch {
	case c.encrypted:
		return "503 5.5.1 the connection is encrypted already"
	case c.s.NoTLS:
		return "502 5.5.1 STARTTLS is not offered"
	case c.hello == "":
		return "503 5.5.1 EHLO comes first"
	case c.in.Buffered() > 0:
		return "501 5.5.4 nothing may follow STARTTLS before it is answered"
	}
	if _, err := c.s.serverTLS(); err != nil {
		return "454 4.7.0 TLS is not available: " + err.Error()
	}
	c.upgrade = true
	return "220 2.0.0 go ahead"
}

func (c *smtpConn) auth(arg string) string {
	mechanism, initial, hasInitial := strings.Cut(arg, " ")
	mechanism = strings.ToUpper(mechanism)
	switch {
	case c.hello == "":
		return "503 5.5.1 EHLO comes first"
	case c.admitted || c.mail != nil:
		return "503 5.5.1 AUTH comes once, and before MAIL"
	case !c.encrypted && !c.s.AuthInClear && !c.s.NoTLS:
		return "530 5.7.0 STARTTLS comes first"
	case len(c.s.mechanisms(c.encrypted)) == 0:
		return "502 5.5.1 AUTH is not offered"
	case !slices.Contains(c.s.mechanisms(c.encrypted), mechanism):
		return "504 5.5.4 the mechanism is not offered"
	case mechanism == "LOGIN":
		return c.login(initial, hasInitial)
	}
	response, problem := c.response("", initial, hasInitial)
	if problem != "" {
		return problem
	}
	parts := strings.Split(response, "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return "501 5.5.2 PLAIN needs a name and a password"
	}
	if parts[0] != "" && parts[0] != parts[1] {
		return "535 5.7.8 one cannot act for another"
	}
	return c.admit(parts[1], parts[2])
}

// login is LOGIN, which asks for the name and for the password.
func (c *smtpConn) login(initial string, hasInitial bool) string {
	user, problem := c.response("Username:", initial, hasInitial)
	if problem != "" {
		return problem
	}
	password, problem := c.response("Password:", "", false)
	if problem != "" {
		return problem
	}
	return c.admit(user, password)
}

func (c *smtpConn) admit(user, password string) string {
	if !c.s.admits(user, password) {
		return "535 5.7.8 the name or the password is not right"
	}
	c.user, c.admitted = user, true
	return "235 2.7.0 welcome"
}

// response decodes what came with AUTH, or what the client answers to a challenge.
func (c *smtpConn) response(challenge, text string, given bool) (response, problem string) {
	if !given {
		if !c.reply("334 " + base64.StdEncoding.EncodeToString([]byte(challenge))) {
			return "", "421 4.4.2 the connection is gone"
		}
		c.wait()
		raw, err := c.in.ReadString('\n')
		if err != nil {
			return "", "421 4.4.2 the connection is gone"
		}
		if text = strings.TrimSuffix(raw, "\r\n"); len(text) > maxResponse {
			return "", "500 5.5.6 line too long"
		}
	}
	switch {
	case text == "*":
		return "", "501 5.7.0 cancelled"
	case given && text == "=":
		return "", ""
	}
	decoded, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return "", "501 5.5.2 not base64"
	}
	return string(decoded), ""
}

// from answers MAIL, with which a mail begins.
func (c *smtpConn) from(arg string) string {
	switch {
	case c.hello == "":
		return "503 5.5.1 EHLO comes first"
	case c.mail != nil:
		return "503 5.5.1 a mail is under way already"
	case c.s.Username != "" && !c.admitted:
		return "530 5.7.0 authentication required"
	}
	address, parameters, ok := path(arg, "FROM:")
	m := &smtpDraft{SMTPMail: SMTPMail{Hello: c.hello, User: c.user, Encrypted: c.encrypted, From: address}}
	if !ok {
		return "501 5.5.4 MAIL must be of the form FROM:<address>"
	}
	for _, p := range parameters {
		if problem := c.parameter(m, p); problem != "" {
			return problem
		}
	}
	if problem := mailbox(address, m.UTF8); problem != "" && address != "" {
		return strings.Replace(problem, "5.1.3", "5.1.7", 1) // of the sender
	}
	if m.fault = c.s.take(); m.fault == Limit {
		return "421 4.3.2 too many mails; come back later"
	}
	c.mail = m
	return "250 2.1.0 ok"
}

// parameter notes a parameter of MAIL.
func (c *smtpConn) parameter(m *smtpDraft, text string) (problem string) {
	name, value, _ := strings.Cut(text, "=")
	switch name = strings.ToUpper(name); {
	case name == "SIZE":
		n, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			return "501 5.5.4 SIZE needs a number"
		}
		if int64(n) > c.s.size() {
			return fmt.Sprintf("552 5.3.4 the mail is larger than %d bytes", c.s.size())
		}
	case name == "BODY":
		if value = strings.ToUpper(value); value != "7BIT" && value != "8BITMIME" {
			return "501 5.5.4 BODY must be 7BIT or 8BITMIME"
		}
		m.eightBit = value == "8BITMIME"
	case name == "AUTH" && len(c.s.mechanisms(c.encrypted)) > 0 && value != "":
	case name == "SMTPUTF8" && c.s.UTF8 && text == name:
		m.UTF8 = true
	default:
		return "555 5.5.4 the parameter " + name + " is not known"
	}
	return ""
}

// to answers RCPT, which names somebody whom the mail is for.
func (c *smtpConn) to(arg string) string {
	if c.mail == nil {
		return "503 5.5.1 MAIL comes first"
	}
	address, parameters, ok := path(arg, "TO:")
	if !ok {
		return "501 5.5.4 RCPT must be of the form TO:<address>"
	}
	if len(parameters) > 0 {
		return "555 5.5.4 the parameters are not known"
	}
	c.mail.named = true
	if problem := mailbox(address, c.mail.UTF8); problem != "" && !strings.EqualFold(address, "postmaster") {
		return problem
	}
	if reply, ok := c.s.Replies[address]; ok && !strings.HasPrefix(reply, "2") {
		return reply
	}
	most := c.s.Recipients
	if most == 0 {
		most = 100
	}
	if len(c.mail.To) >= most {
		return "452 4.5.3 too many recipients"
	}
	c.mail.To = append(c.mail.To, address)
	return "250 2.1.5 ok"
}

// begin answers DATA.
func (c *smtpConn) begin() string {
	switch {
	case c.mail == nil || !c.mail.named:
		return "503 5.5.1 MAIL and RCPT come first"
	case len(c.mail.To) == 0:
		return "554 5.5.1 no valid recipients"
	}
	return "354 end with a line that is a point"
}

// path reads an address in angle brackets, and the parameters after it. A route before the
// address is left out, as RFC 5321 says.
func path(arg, prefix string) (address string, parameters []string, ok bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", nil, false
	}
	arg = arg[len(prefix):]
	end := closing(arg)
	if end < 0 || len(arg[:end+1]) > 256 {
		return "", nil, false
	}
	address, rest := arg[1:end], arg[end+1:]
	if strings.HasPrefix(address, "@") {
		if _, address, ok = strings.Cut(address, ":"); !ok {
			return "", nil, false
		}
	}
	if rest != "" && rest[0] != ' ' {
		return "", nil, false
	}
	return address, strings.Fields(rest), true
}

// closing returns where the bracket closes that text begins with, or -1. One may be within
// quotes.
func closing(text string) int {
	if !strings.HasPrefix(text, "<") {
		return -1
	}
	quoted := false
	for i := 1; i < len(text); i++ {
		switch {
		case quoted && text[i] == '\\':
			i++
		case text[i] == '"':
			quoted = !quoted
		case text[i] == '>' && !quoted:
			return i
		}
	}
	return -1
}

// The forms of what is before the @.
var (
	dotAtom  = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	quotedly = regexp.MustCompile(`^"([ !#-\[\]-~]|\\[ -~])*"$`)
)

// mailbox says what is wrong with an address, as a reply.
func mailbox(address string, utf8 bool) (problem string) {
	ascii := strings.Map(func(r rune) rune {
		if r >= 0x80 {
			return 'x'
		}
		return r
	}, address)
	if ascii != address && !utf8 {
		return "553 5.6.7 the address is not of ASCII"
	}
	at := strings.LastIndexByte(ascii, '@')
	if at < 0 {
		return "553 5.1.3 the address has no domain"
	}
	local, host := ascii[:at], ascii[at+1:]
	if len(local) > 64 || !dotAtom.MatchString(local) && !quotedly.MatchString(local) || !isDomain(host) {
		return "553 5.1.3 the address has no valid form"
	}
	return ""
}
