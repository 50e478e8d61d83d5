package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/health/promhealth"
)

// handler serves what the monitor found, and what the application asks of the
// tool: everything under /ops/ but the probes is for who shows the token.
func (t *tool) handler() (http.Handler, error) {
	collector, err := promhealth.New(promhealth.Config{Monitor: t.monitor})
	if err != nil {
		return nil, err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector)
	info := health.Info{ServiceID: "qa-automation", Description: "Canvas QA Automation Tool, as seen from beside it"}
	probes := health.NewProbeHandler(t.monitor)

	ops := http.NewServeMux()
	ops.Handle("GET /ops/health", health.NewDetailHandler(t.monitor, info))
	ops.HandleFunc("GET /ops/alerts", t.alerts.list)
	ops.HandleFunc("GET /ops/canvas/budget", t.serveBudget)
	ops.HandleFunc("GET /ops/lti", t.serveConfiguration)
	ops.HandleFunc("POST /ops/lti/token", t.serveToken)
	ops.Handle("/ops/push/", t.alerts.push)

	mux := http.NewServeMux()
	for _, probe := range []string{"/ops/livez", "/ops/readyz", "/ops/startupz"} {
		mux.Handle(probe, probes)
		mux.Handle(probe+"/", probes)
	}
	mux.Handle("/ops/", inJSON(withToken(t.token, ops)))
	mux.Handle("/health", health.NewPublicHandler(t.monitor, info))
	mux.Handle("/metrics", withToken(t.token, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})))
	return mux, nil
}

// withToken lets pass who shows the token.
func withToken(token runbook.Secret, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, given, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") || !runbook.NewSecret(given).Equal(token) {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token is missing or wrong: send Authorization: Bearer with OPS_TOKEN", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// instance reads the name of a Canvas instance, and answers where it is none.
func instance(w http.ResponseWriter, name string) (string, bool) {
	if !slices.Contains(instances, name) {
		fail(w, http.StatusBadRequest, "instance must be one of "+strings.Join(instances, ", "))
		return "", false
	}
	return name, true
}

// fail answers with what is wrong.
func fail(w http.ResponseWriter, status int, text string) {
	reply(w, status, map[string]string{"error": text})
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // fails only if nobody reads it any more
}

// inJSON gives errors one form, {"error": "..."}, also those that come as plain
// text from net/http and from the library.
func inJSON(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e := &errorWriter{ResponseWriter: w}
		next.ServeHTTP(e, r)
		if e.status != 0 {
			w.Header().Del("Content-Length")
			fail(w, e.status, strings.TrimSpace(e.text.String()))
		}
	})
}

// errorWriter keeps back an error in plain text.
type errorWriter struct {
	http.ResponseWriter
	status int
	text   bytes.Buffer
}

func (w *errorWriter) WriteHeader(status int) {
	if status >= 400 && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
		w.status = status
		return
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *errorWriter) Write(p []byte) (int, error) {
	if w.status != 0 {
		return w.text.Write(p)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController find what is below.
func (w *errorWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
