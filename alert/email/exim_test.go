//go:build unix

package email_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/email"
	"go.acu.edu.au/runbook/internal/services"
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

// A real mail server: it takes what is sent, as it is meant.
//
// Requirement: AL-EMAIL-TLS
// Requirement: AL-EMAIL-THREAD
func TestExim(t *testing.T) {
	ca := newAuthority(t)
	certificate, key := ca.issue(t, "mail.example.edu", "127.0.0.1")
	server := services.StartExim(t, services.EximConfig{Certificate: certificate, Key: key, Username: "runbook", Password: "right"})
	notifier := func(change func(*email.Config)) *email.Notifier {
		cfg := email.Config{
			Host: "127.0.0.1", Port: server.Port(), TLS: ca.trusted(), Username: "runbook", Password: runbook.NewSecret("right"), Hello: "runbook.example.edu",
			From: "Operations <runbook@example.edu>", To: []string{"On call <on-call@example.edu>", "Ana Peña <ana@example.edu>"},
		}
		change(&cfg)
		n, err := email.New(cfg)
		require.NoError(t, err)
		return n
	}

	t.Run("delivered", func(t *testing.T) {
		var prior alert.Receipt
		for i, auth := range []email.Auth{email.AnyAuth, email.Plain, email.Login} {
			what := firing()
			what.Seq, what.Prior = i+1, prior
			what.Text += ".\n.. a line that begins with points\n"
			var err error
			prior, err = notifier(func(c *email.Config) { c.Auth = auth }).Notify(t.Context(), what)
			require.NoError(t, err)
		}
		var ids []string
		mails := server.Mails(3)
		require.Len(t, mails, 3)
		for _, data := range mails {
			m, err := mail.ReadMessage(bytes.NewReader(data))
			require.NoError(t, err)
			ids = append(ids, m.Header.Get("Message-ID"))
			assert.ElementsMatch(t, []string{"on-call@example.edu", "ana@example.edu"}, strings.Split(m.Header.Get("Envelope-to"), ", "))
			assert.Equal(t, "<runbook@example.edu>", m.Header.Get("Return-path"))
			assert.Equal(t, "auto-generated", m.Header.Get("Auto-Submitted"))
			assert.Contains(t, m.Header.Get("Received"), "esmtpsa", "it was encrypted and authenticated")
			plain, html := parts(t, m)
			assert.Contains(t, plain, "What is wrong:")
			assert.Contains(t, plain, "\n.\n.. a line that begins with points")
			assert.Contains(t, html, "<h1")
			if m.Header.Get("In-Reply-To") != "" {
				assert.Contains(t, m.Header.Get("References"), "<9f86d081.1@example.edu>")
			}
		}
		assert.ElementsMatch(t, []string{"<9f86d081.1@example.edu>", "<9f86d081.2@example.edu>", "<9f86d081.3@example.edu>"}, ids)
	})
	t.Run("one of two is not known", func(t *testing.T) {
		what := firing()
		what.Key = "partly"
		_, err := notifier(func(c *email.Config) { c.To[1] = "nobody@example.edu" }).Notify(t.Context(), what)
		require.NoError(t, err)
		mails := server.Mails(4)
		found := bytes.Index(bytes.Join(mails, nil), []byte("Not reached: nobody@example.edu (nobody of that name)"))
		assert.NotEqual(t, -1, found)
	})
	for name, c := range map[string]struct {
		change func(*email.Config)
		status int
		text   string
	}{
		"wrong password":        {func(c *email.Config) { c.Password = runbook.NewSecret("wrong") }, 535, "refused"},
		"wrong certificate":     {func(c *email.Config) { c.TLS = newAuthority(t).trusted() }, 0, "certificate signed by unknown authority"},
		"wrong name":            {func(c *email.Config) { c.TLS = ca.trusted(); c.TLS.ServerName = "smtp.example.com" }, 0, "certificate is valid for"},
		"no credentials":        {func(c *email.Config) { c.Username, c.Password = "", runbook.Secret{} }, 550, "relay not permitted"},
		"plain to implicit TLS": {func(c *email.Config) { c.Encryption = email.ImplicitTLS }, 0, "refused"},
		"nobody is known":       {func(c *email.Config) { c.To = []string{"nobody@example.edu"} }, 550, "nobody of that name"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := notifier(c.change).Notify(t.Context(), firing())
			require.ErrorIs(t, err, alert.ErrRefused)
			assert.ErrorContains(t, err, c.text)
			e, ok := errors.AsType[*alert.Error](err)
			require.True(t, ok)
			assert.Equal(t, c.status, e.Status)
		})
	}
	assert.Equal(t, 4, len(server.Mails(4)), "nothing of what was refused has arrived")
}
