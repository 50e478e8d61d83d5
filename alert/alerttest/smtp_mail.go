package alerttest

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"strings"
)

// SMTPMail is a mail that was taken.
type SMTPMail struct {
	// Hello is the name by which the client introduced itself.
	Hello string
	// User is who authenticated; empty means that nobody did.
	User string
	// Encrypted says whether the connection was, when the mail began.
	Encrypted bool
	// UTF8 says that the mail was sent with SMTPUTF8.
	UTF8 bool
	// From and To are the envelope: the addresses of the sender, which is empty for a
	// bounce, and of those recipients who were taken.
	From string
	To   []string
	// Data is the mail as it was sent, without the points that SMTP adds.
	Data []byte

	// Header is the header. Nil means that Data is not a mail.
	Header mail.Header
	// Subject is the subject as people read it.
	Subject string
	// Text and HTML are the first parts of these types as people read them, with lines that
	// end with "\n". Empty means that there is none.
	Text, HTML string
}

// read returns the mail with its content.
func (d *smtpDraft) read(content []byte) SMTPMail {
	m := d.SMTPMail
	m.Data = content
	parsed, err := mail.ReadMessage(bytes.NewReader(content))
	if err != nil {
		return m
	}
	m.Header = parsed.Header
	m.Subject = parsed.Header.Get("Subject")
	if text, err := new(mime.WordDecoder).DecodeHeader(m.Subject); err == nil {
		m.Subject = text
	}
	m.part(textproto.MIMEHeader(parsed.Header), parsed.Body, 0)
	return m
}

// maxDepth is how deep parts within parts are read.
const maxDepth = 5

// part reads a part, and the parts within it.
func (m *SMTPMail) part(header textproto.MIMEHeader, body io.Reader, depth int) {
	kind, parameters, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		kind = "text/plain"
	}
	if strings.HasPrefix(kind, "multipart/") && depth < maxDepth {
		reader := multipart.NewReader(body, parameters["boundary"])
		for {
			part, err := reader.NextRawPart()
			if err != nil {
				return
			}
			m.part(part.Header, part, depth+1)
		}
	}
	switch strings.ToLower(header.Get("Content-Transfer-Encoding")) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return
	}
	text := strings.ReplaceAll(string(data), "\r\n", "\n")
	switch {
	case kind == "text/plain" && m.Text == "":
		m.Text = text
	case kind == "text/html" && m.HTML == "":
		m.HTML = text
	}
}
