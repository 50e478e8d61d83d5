package estate

import (
	"io"
	"net/http"
	"strings"
)

// canvas is the Canvas instance of one environment. The forms of its answers are
// those of instructure/canvas-lms: info_controller.rb, request_throttle.rb,
// authentication_methods.rb.
type canvas struct {
	env      Environment
	scenario Scenario
}

// ServeHTTP answers as Canvas does.
func (c *canvas) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Request-Context-Id", "0f3a7c1e-5d2b-4e8a-9c64-2b7d1a90e5f3")
	switch {
	case c.scenario == CanvasMaintenance:
		page(w, http.StatusServiceUnavailable, "Canvas is currently unavailable for scheduled maintenance")
	case c.scenario == CanvasDown:
		page(w, http.StatusInternalServerError, "Page Error")
	case r.UserAgent() == "":
		writeJSON(w, http.StatusForbidden, object{"error": "Forbidden", "message": "you have not provided a valid user agent"})
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		notFound(w)
	case r.URL.Path == "/health_check":
		healthCheck(w, r)
	case r.URL.Path == "/api/v1/users/self":
		c.self(w, r)
	default:
		notFound(w)
	}
}

// page writes an HTML page, which is what a load balancer and Rails send.
func page(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, "<!DOCTYPE html>\n<html><head><title>"+text+"</title></head><body><h1>"+text+"</h1></body></html>\n")
}

func notFound(w http.ResponseWriter) {
	writeJSON(w, http.StatusNotFound, object{"errors": []object{{"message": "The specified resource does not exist."}}})
}

func healthCheck(w http.ResponseWriter, r *http.Request) {
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, http.StatusOK, object{
			"status": "canvas ok", "asset_urls": object{}, "revision": "8a1c5e0f", "installation_uuid": "b7d1f3c2-90a4-4f6e-8e11-6c2d5a7b9e30",
		})
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, "canvas ok")
}

// self answers for the user of the token, and counts against its rate limit. A
// refusal has no cost, and what remains is near zero, not zero.
func (c *canvas) self(w http.ResponseWriter, r *http.Request) {
	switch c.scenario {
	case CanvasThrottled:
		throttled(w, http.StatusTooManyRequests, "429 Forbidden (Rate Limit Exceeded)\n")
		return
	case CanvasThrottled403:
		throttled(w, http.StatusForbidden, "403 Forbidden (Rate Limit Exceeded)\n")
		return
	}
	w.Header().Set("X-Rate-Limit-Remaining", "599.8714")
	w.Header().Set("X-Request-Cost", "0.0426")
	switch {
	case r.Header.Get("Authorization") == "":
		w.Header().Set("WWW-Authenticate", `Bearer realm="canvas-lms"`)
		writeJSON(w, http.StatusUnauthorized, object{"status": "unauthenticated", "errors": []object{{"message": "user authorization required"}}})
	case !bearer(r, c.env.canvasToken()):
		w.Header().Set("WWW-Authenticate", `Bearer realm="canvas-lms"`)
		writeJSON(w, http.StatusUnauthorized, object{"errors": []object{{"message": "Invalid access token."}}})
	default:
		writeJSON(w, http.StatusOK, object{"id": 1207, "name": "QA Automation", "short_name": "QA Automation", "sortable_name": "Automation, QA", "effective_locale": "en-AU"})
	}
}

func throttled(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Rate-Limit-Remaining", "18.4902")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}
