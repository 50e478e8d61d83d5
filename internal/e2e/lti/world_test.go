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
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
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
	other   other
	markers int
}

// other is the site of somebody else.
type other struct {
	mu   sync.Mutex
	page string
	told []string // what its page sent home, and what referrers told other hosts of the tool
}

func (o *other) show(page string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.page = "<!DOCTYPE html><title>other</title>" + page
}

// learned returns what others learned, and forgets it.
func (o *other) learned() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	told := o.told
	o.told = nil
	return told
}

func (o *other) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		o.told = append(o.told, string(body))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, o.page)
}

// watch notes what referrers tell other hosts of the tool's addresses.
func (o *other) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != toolHost && strings.HasPrefix(r.Referer(), "https://"+toolHost) {
			o.mu.Lock()
			o.told = append(o.told, r.Host+" by the referrer "+r.Referer())
			o.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
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
	mux.Handle(otherHost+"/", &w.other)
	mux.HandleFunc("/favicon.ico", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	server := httptest.NewUnstartedServer(w.other.watch(mux))
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
// lines that contain one of some texts, and nobody may have learned anything that
// is not his.
func (w *world) tab(t *testing.T, expected ...string) context.Context {
	w.tool.forget()
	w.lms.forget()
	ctx, cancel := chromedp.NewContext(w.browser)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx)) // the tab lives as long as this context
	_, err := chromedp.Call(ctx, network.ClearBrowserCookies, cdp.Empty{})
	require.NoError(t, err)
	t.Cleanup(func() {
		w.markers++ // what was written before is there when this is
		end := fmt.Sprintf("marker %d of the test", w.markers)
		do(t, ctx, chromedp.Evaluate[chromedp.Void](fmt.Sprintf("console.log(%q)", end)))
		eventually(t, "in the console: "+end, func() bool { return w.console.has(end) })
		assert.Empty(t, w.console.take(append(expected, end)...), "the console")
		assert.Empty(t, w.other.learned())
	})
	return ctx
}

// open shows the course page in a tab.
func (w *world) open(t *testing.T, tab context.Context, s scenario) {
	t.Helper()
	w.lms.plan(s)
	do(t, tab, chromedp.Navigate("https://"+courseHost+"/courses/1"))
}
