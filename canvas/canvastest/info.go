package canvastest

import (
	"net/http"
	"strings"
)

// infoRoutes: instructure/canvas-lms, info_controller.rb; no documentation page.
// The routes that only cost something are here too.
func infoRoutes() []*route {
	return []*route{
		on("GET /", asUser, func(*call) answer { return page(http.StatusOK, "Dashboard") }, ""),
		on("GET /login", open, func(*call) answer { return page(http.StatusOK, "Log In to Canvas") }, ""),
		on("GET /health_check", open, healthCheck, ""),
		on("GET /health_prognosis", open, func(*call) answer { return ok(Object{"status": "canvas will be ok, probably"}) }, ""),
		on("GET /readiness", open, readiness, ""),
		on("GET /internal/readiness", open, readiness, ""),
		on("GET /deep", open, deep, ""),
		on("POST /login/otp", open, func(c *call) answer { return redirect(c.host() + "/login") }, "otp_login[verification_code] otp_login[remember_me]").costs(150),
		on("POST /error_reports", open, errorReport, "error[subject] error[comments] error[email] error[url] error[guess] error[backtrace] error[http_env]*").costs(200),
		on("POST /api/v1/error_reports", asUser, errorReport, "error[subject] error[comments] error[email] error[url] error[http_env]*").costs(200),
		on("POST /api/v1/inst_access_tokens", asUser, instAccessToken, "workflows[] context_type context_uuid unencrypted").costs(200),
	}
}

func healthCheck(c *call) answer {
	if !strings.Contains(c.r.Header.Get("Accept"), "application/json") && !strings.HasSuffix(c.r.URL.Path, ".json") {
		return answer{status: http.StatusOK, contentType: "text/html; charset=utf-8", raw: []byte("canvas ok")}
	}
	return ok(Object{
		"status": "canvas ok", "asset_urls": Object{"common_css": "/dist/brandable_css/common.css", "common_js": "/dist/webpack-production/main.js", "revved_url": "/dist/images/apple-touch-icon.png"},
		"revision": "8a1c5e0f", "installation_uuid": "b7d1f3c2-90a4-4f6e-8e11-6c2d5a7b9e30",
	})
}

// SetComponent sets the state of a component that /readiness and /deep show:
// common_css, common_js, consul, filesystem, jobs, postgresql, ha_cache,
// rev_manifest or vault.
func (s *Server) SetComponent(name string, healthy bool) {
	defer s.lock()()
	if s.broken == nil {
		s.broken = make(map[string]bool)
	}
	s.broken[name] = !healthy
}

func (c *call) readiness() Object {
	status := http.StatusOK
	var components []Object
	for _, name := range []string{"common_css", "common_js", "consul", "filesystem", "jobs", "postgresql", "ha_cache", "rev_manifest", "vault"} {
		code := http.StatusOK
		if c.s.broken[name] {
			code, status = http.StatusServiceUnavailable, http.StatusServiceUnavailable
		}
		components = append(components, Object{"name": name, "status": code, "message": http.StatusText(code), "response_time_ms": 1.25})
	}
	return Object{"status": status, "components": components}
}

func readiness(c *call) answer {
	o := c.readiness()
	return o.as(o["status"].(int))
}

func deep(c *call) answer {
	o := c.readiness()
	return Object{"status": o["status"], "readiness": o, "critical": []Object{}, "secondary": []Object{}}.as(o["status"].(int))
}

func errorReport(c *call) answer {
	if !c.has("error[subject]") {
		return missing("error")
	}
	return ok(Object{"logged": true, "id": c.s.world.nextID()})
}

func instAccessToken(c *call) answer {
	return created(Object{"token": "eyJhbGciOiJSU0EtT0FFUCJ9." + c.s.token40()})
}
