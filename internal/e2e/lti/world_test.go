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
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/internal/services"
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
	console console
	other   atomic.Value // string: the page of somebody else
}

// worlds are those that the tests share, one for each policy: a browser takes a
// second to start.
var worlds = struct {
	sync.Mutex
	all map[policy]*world
	end []func()
}{all: make(map[policy]*world)}

// TestMain ends what the tests share.
func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(worlds.end) {
		end()
	}
	os.Exit(code)
}

// in returns the world with a browser of that policy.
func in(t *testing.T, p policy) *world {
	t.Helper()
	program := services.Need(t, services.Chromium)
	worlds.Lock()
	defer worlds.Unlock()
	if w := worlds.all[p]; w != nil {
		return w
	}
	certificate, spki := certify(t)
	mux := http.NewServeMux()
	w := &world{lms: newLMS(mux), tool: newHost(mux)}
	w.lms.install(w.tool)
	mux.HandleFunc(otherHost+"/", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, w.other.Load().(string))
	})
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewUnstartedServer(mux)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that the browser gives up
	server.StartTLS()
	profile, err := os.MkdirTemp("", "runbook-e2e-")
	require.NoError(t, err)
	worlds.end = append(worlds.end, func() { _ = os.RemoveAll(profile) }, server.Close)
	b := browser{program: program, profile: profile, policy: p, address: server.Listener.Addr().String(), spki: spki}
	ctx, stop := b.start(t, &w.console)
	worlds.end = append(worlds.end, stop)
	w.browser = ctx
	worlds.all[p] = w
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
	require.NoError(t, chromedp.Do(ctx)) // the tab lives as long as this context
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
