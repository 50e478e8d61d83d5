//go:build unix

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/internal/services"
)

// An authority makes certificates that this process trusts.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

var trusted authority

// TestMain makes the authority one of the system's: the routine has no way to
// be given another, and the system's are read once.
func TestMain(m *testing.M) {
	os.Exit(func() int {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			panic(err)
		}
		trusted.key = key
		if trusted.cert, err = x509.ParseCertificate(der); err != nil {
			panic(err)
		}
		folder, err := os.MkdirTemp("", "")
		if err != nil {
			panic(err)
		}
		defer os.RemoveAll(folder)
		file := filepath.Join(folder, "authority.pem")
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
			panic(err)
		}
		os.Setenv("SSL_CERT_FILE", file)
		return m.Run()
	}())
}

// certificate returns one for loopback that expires after a time.
func (a authority) certificate(t *testing.T, left time.Duration) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, a.cert, key.Public(), a.key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// world is the application on real PostgreSQL and Redis, behind a front that can
// be told to break the answers, and a Canvas that is well.
type world struct {
	t           *testing.T
	postgres    *services.Postgres
	redis       *services.Redis
	application *services.RunningApplication
	front       *httptest.Server
	breakage    atomic.Pointer[http.HandlerFunc]
	config      string
}

func newWorld(t *testing.T) *world {
	w := &world{t: t, postgres: services.StartPostgres(t), redis: services.StartRedis(t)}
	canvas := httptest.NewServer(&canvastest.Server{})
	t.Cleanup(canvas.Close)
	w.application = services.StartApplication(t, services.Application{Env: map[string]string{
		"DATABASE_URL": w.postgres.URL(), "REDIS_URL": w.redis.URL(),
		"CANVAS_URL_PROD": canvas.URL, "CANVAS_TOKEN_PROD": canvastest.AdminToken,
	}})
	target, err := url.Parse(w.application.URL())
	require.NoError(t, err)
	proxy := httputil.NewSingleHostReverseProxy(target)
	proxy.ErrorHandler = func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }
	w.front = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if broken := w.breakage.Load(); broken != nil && r.URL.Path == "/health" {
			(*broken)(rw, r)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.front.Close)
	w.config = w.configFor(w.front.URL, canvas.URL)
	return w
}

// configFor writes the sample configuration with other addresses, for production
// only, and shorter times.
func (w *world) configFor(application, canvas string) string {
	text := string(sample)
	from, to := strings.Index(text, "  - name: test\n"), strings.Index(text, "  - name: production\n")
	text = text[:from] + text[to:]
	text = strings.NewReplacer(
		"https://qa-automation.acu.edu.au", application,
		"https://aculeo.instructure.com", canvas,
		"timeout: 10s", "timeout: 3s",
		"status_page: https://status.instructure.com", "",
		"latency: {warn: 5s}", "latency: {warn: 1s}",
	).Replace(text)
	file := filepath.Join(w.t.TempDir(), "morning.yaml")
	require.NoError(w.t, os.WriteFile(file, []byte(text), 0o600))
	return file
}

// morning runs the routine and returns the exit code, the text and the checks.
func (w *world) morning(config string) (code int, text string, checks map[string]map[string]any) {
	w.t.Helper()
	getenv := func(name string) string {
		return map[string]string{"QA_AUTOMATION_PRODUCTION_TOKEN": services.OpsToken, "CANVAS_PRODUCTION_TOKEN": canvastest.AdminToken, "SLACK_BOT_TOKEN": "none", "SMTP_PASSWORD": "none", "TWILIO_ACCOUNT_SID": "AC" + strings.Repeat("0", 32), "TWILIO_AUTH_TOKEN": "none"}[name]
	}
	var plain, errs bytes.Buffer
	began := time.Now()
	code = run(w.t.Context(), []string{"-config", config}, &plain, &errs, getenv)
	assert.Less(w.t, time.Since(began), 20*time.Second, "it hangs past its timeouts")
	var out bytes.Buffer
	run(w.t.Context(), []string{"-config", config, "-json"}, &out, &errs, getenv)
	require.Empty(w.t, errs.String())
	var report struct {
		Environments []struct{ Checks []map[string]any }
	}
	require.NoError(w.t, json.Unmarshal(out.Bytes(), &report), out.String())
	require.Len(w.t, report.Environments, 1, out.String())
	checks = make(map[string]map[string]any)
	for _, c := range report.Environments[0].Checks {
		checks[c["name"].(string)] = c
	}
	return code, plain.String(), checks
}

// untilWell waits until the routine finds nothing wrong.
func (w *world) untilWell(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		code, _, _ := w.morning(w.config)
		return code == 0
	}, 30*time.Second, 200*time.Millisecond)
}

// Requirement: RB-SCRIPT-HEALTH-CHECK, RB-URL-HEALTH, RB-URL-HEALTH-DATABASE, RB-URL-HEALTH-METRICS, RB-URL-HEALTH-CANVAS
func TestTheRoutineNamesRealFaults(t *testing.T) {
	w := newWorld(t)
	goroutines := runtime.NumGoroutine()

	t.Run("well", func(t *testing.T) {
		w.untilWell(t) // the application makes its tables when it starts
		code, text, checks := w.morning(w.config)
		assert.Equal(t, 0, code, text)
		for name, c := range checks {
			assert.Equal(t, "healthy", c["status"], "%s: %v", name, c)
		}
	})
	t.Run("redis stopped", func(t *testing.T) {
		w.redis.Stop()
		defer w.redis.Start()
		code, text, checks := w.morning(w.config)
		assert.Equal(t, 1, code, text)
		assert.Equal(t, "degraded", checks["application"]["status"])
		assert.Equal(t, "healthy", checks["database"]["status"])
	})
	t.Run("postgres stopped and back", func(t *testing.T) {
		w.postgres.Stop()
		code, text, checks := w.morning(w.config)
		assert.Equal(t, 2, code, text)
		assert.Equal(t, "unhealthy", checks["database"]["status"])
		assert.Contains(t, text, "railway status")
		w.postgres.Start()
		w.untilWell(t)
	})
	t.Run("postgres hangs", func(t *testing.T) {
		w.postgres.Freeze()
		defer w.postgres.Thaw()
		code, text, checks := w.morning(w.config)
		assert.Equal(t, 2, code, text)
		assert.Equal(t, "unhealthy", checks["database"]["status"])
	})
	t.Run("a lock makes queries wait", func(t *testing.T) {
		db, err := pgx.Connect(t.Context(), w.postgres.URL())
		require.NoError(t, err)
		defer db.Close(context.WithoutCancel(t.Context()))
		_, err = db.Exec(t.Context(), "BEGIN; LOCK TABLE qa_tasks IN ACCESS EXCLUSIVE MODE")
		require.NoError(t, err)
		code, text, checks := w.morning(w.config)
		assert.Equal(t, 2, code, text)
		assert.Equal(t, "unhealthy", checks["database"]["status"], "%v", checks["database"])
	})
	for _, fault := range []struct {
		name, cause string
		answer      http.HandlerFunc
	}{
		{"a page of HTML", "not_json", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "text/html")
			fmt.Fprint(rw, "<!doctype html><title>Sign in</title>")
		}},
		{"100 MB", "too_large", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			chunk := bytes.Repeat([]byte(" "), 1<<20)
			for range 100 {
				if _, err := rw.Write(chunk); err != nil {
					return
				}
			}
		}},
		{"a body that never ends", "timeout", func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			for r.Context().Err() == nil {
				fmt.Fprint(rw, " ")
				_ = http.NewResponseController(rw).Flush()
				select {
				case <-r.Context().Done():
				case <-time.After(50 * time.Millisecond):
				}
			}
		}},
		{"a cut connection", "connection", func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "100")
			fmt.Fprint(rw, `{"status":`)
			_ = http.NewResponseController(rw).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"a bad gateway", "status", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) }},
	} {
		t.Run(fault.name, func(t *testing.T) {
			w.breakage.Store(&fault.answer)
			defer w.breakage.Store(nil)
			code, text, checks := w.morning(w.config)
			assert.Equal(t, 2, code, text)
			assert.Equal(t, fault.cause, checks["application"]["cause"], "%v", checks["application"])
		})
	}
	t.Run("a certificate that soon expires", func(t *testing.T) {
		secure := httptest.NewUnstartedServer(w.front.Config.Handler)
		secure.TLS = &tls.Config{Certificates: []tls.Certificate{trusted.certificate(t, 48*time.Hour)}}
		secure.StartTLS()
		defer secure.Close()
		code, text, checks := w.morning(w.configFor(secure.URL, secure.URL))
		assert.Equal(t, "degraded", checks["application"]["status"], "%v", checks["application"])
		assert.Equal(t, "certificate", checks["application"]["cause"], "%v", checks["application"])
		assert.NotZero(t, code, text)
	})
	t.Run("a certificate that nobody vouches for", func(t *testing.T) {
		secure := httptest.NewUnstartedServer(w.front.Config.Handler)
		secure.Config.ErrorLog = log.New(io.Discard, "", 0)
		secure.StartTLS()
		defer secure.Close()
		code, text, checks := w.morning(w.configFor(secure.URL, secure.URL))
		assert.Equal(t, 2, code, text)
		assert.Equal(t, "tls", checks["application"]["cause"], "%v", checks["application"])
	})
	t.Run("the application is killed", func(t *testing.T) {
		w.application.Kill()
		code, text, checks := w.morning(w.configFor(w.application.URL(), w.front.URL))
		assert.Equal(t, 2, code, text)
		assert.Equal(t, "refused", checks["application"]["cause"], "%v", checks["application"])
	})
	w.front.CloseClientConnections()
	assert.EventuallyWithT(t, func(c *assert.CollectT) {
		assert.LessOrEqual(c, runtime.NumGoroutine(), goroutines+2, "goroutines leak")
	}, 10*time.Second, 100*time.Millisecond)
}
