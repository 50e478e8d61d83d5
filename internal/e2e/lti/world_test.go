package lti_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Hosts of these tests. The browser finds all of them on loopback: the names are
// those that a hosted Canvas has, with a domain for the school and another for
// signing in, because it is names that decide about cookies and frames.
const (
	courseHost = "school.test.instructure.com"
	ssoHost    = "sso.test.canvaslms.com"
	toolHost   = "qa.example.edu"
	otherHost  = "evil.example.org"
)

// A world is a platform, a tool and a browser.
type world struct {
	lms     *lms
	tool    *host
	browser context.Context
	console *console
}

// newWorld starts one. All of it ends with the test.
func newWorld(t *testing.T, p policy) *world {
	certificate, spki := certify(t)
	mux := http.NewServeMux()
	w := &world{lms: newLMS(mux), tool: newHost(mux)}
	w.lms.install(w.tool)
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that the browser gives up
	server.StartTLS()
	t.Cleanup(server.Close)
	w.browser, w.console = openBrowser(t, p, server.Listener.Addr().String(), spki)
	return w
}

// certify makes a certificate for all hosts, and the hash by which the browser
// trusts it.
func certify(t *testing.T) (tls.Certificate, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{courseHost, ssoHost, toolHost, otherHost},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	require.NoError(t, err)
	sum := sha256.Sum256(public)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.StdEncoding.EncodeToString(sum[:])
}

// tab opens a tab in a browser without cookies and without history of this
// world. When the test ends, no page may have written to the console, but for
// lines that contain one of some texts.
func (w *world) tab(t *testing.T, expected ...string) context.Context {
	w.console.take()
	w.tool.forget()
	w.lms.forget()
	ctx, cancel := chromedp.NewContext(w.browser)
	t.Cleanup(cancel)
	do(t, ctx)
	_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
	require.NoError(t, err)
	t.Cleanup(func() {
		assert.Empty(t, w.console.take(expected...), "the console")
	})
	return ctx
}

// open shows the course page in a tab.
func (w *world) open(t *testing.T, tab context.Context, s scenario) {
	t.Helper()
	w.lms.plan(s)
	do(t, tab, chromedp.Navigate("https://"+courseHost+"/courses/1"))
}
