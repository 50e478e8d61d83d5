package world

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook/canvas/canvastest"
	"go.acu.edu.au/runbook/internal/memhttp"
	"go.acu.edu.au/runbook/lti/ltitest"
)

// statusHost is where the makers of Canvas say how it is.
const statusHost = "status.instructure.com"

// developerKey is the id of the tool's key in each Canvas.
const developerKey int64 = 10000000000042

// canvasToken is the one token with which the application and its operators ask Canvas:
// they share what Canvas allows it.
func (e *environment) canvasToken() string { return "1~" + e.secret(4) }

// newCanvas makes the Canvas of an environment: the tool's key and registration, the user
// of the token, a course for tests.
func (e *environment) newCanvas() error {
	s := &canvastest.Server{TestCluster: e.name != "production", Seed: e.w.cfg.Seed + 1, Load: canvastest.Load{Latency: 80 * time.Millisecond, Jitter: 0.3}, KeepRequests: -1, KeySet: e.fetchKeySet}
	e.canvas = s
	user := s.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "QA Automation"})
	s.MakeAdmin(user)
	e.tokenUser = user
	s.AddToken(canvastest.Token{Text: e.canvasToken(), User: user, Purpose: "QA automation"})
	base := "https://" + e.application
	s.Add(canvastest.DeveloperKeys, canvastest.RootAccount, canvastest.Object{"id": developerKey, "name": "QA Automation", "is_lti_key": true, "last_used_at": time.Now().Add(-time.Minute), "public_jwk_url": base + "/.well-known/jwks.json", "scopes": []string{ltitest.ScopeMembership}})
	s.Add(canvastest.Registrations, canvastest.RootAccount, canvastest.Object{"name": "QA Automation", "developer_key_id": developerKey, "configuration": canvastest.Object{
		"title": "QA Automation", "description": nil, "custom_fields": canvastest.Object{}, "target_link_uri": base + "/lti/launch", "domain": e.application, "tool_id": nil,
		"privacy_level": "public", "oidc_initiation_url": base + "/lti/login", "oidc_initiation_urls": canvastest.Object{}, "public_jwk": nil,
		"public_jwk_url": base + "/.well-known/jwks.json", "scopes": []string{ltitest.ScopeMembership}, "redirect_uris": []string{base + "/lti/launch"}, "launch_settings": canvastest.Object{}, "placements": []any{},
	}})
	e.testCourse = s.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "QA automation: tests"})
	e.clientID, e.keyIsOn = strconv.FormatInt(developerKey, 10), true
	instance := e.instance
	e.platform = &ltitest.Platform{Canvas: true, Environment: instance, Account: e.canvasAt, KeepRequests: -1}
	e.platform.AddTool(ltitest.Tool{
		ClientID: e.clientID, LoginURL: base + "/lti/login", RedirectURIs: []string{base + "/lti/launch"}, TargetLinkURI: base + "/lti/launch",
		JWKSURL: base + "/.well-known/jwks.json", Handler: http.HandlerFunc(e.serve),
	})
	return nil
}

// pageClient reaches the status page of the makers of Canvas, which there is once.
func (w *World) pageClient() *http.Client {
	s := &w.envs[len(w.envs)-1].canvas.StatusPage
	return handlerClient(s)
}

// askCanvas is a request to Canvas. What the application has used of the limit is used.
func (e *environment) askCanvas(way http.RoundTripper, r *http.Request) (*http.Response, error) {
	e.w.mu.Lock()
	id := canvastest.TokenIdentifier(e.canvasToken())
	e.canvas.Spend(id, e.app.bucket-e.canvas.Bucket(id))
	e.w.mu.Unlock()
	resp, err := way.RoundTrip(r)
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return resp, err
	}
	on := e.askKey()
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	switch path := r.URL.Path; {
	case on != e.keyIsOn && on:
		e.w.act(e.name, "key-on", e.clientID)
	case on != e.keyIsOn:
		e.w.act(e.name, "key-off", e.clientID)
	case resp == nil || resp.StatusCode >= 300 || strings.Contains(path, "developer_key_account_bindings"):
	case r.Method == http.MethodPost && strings.HasSuffix(path, "/account_notifications"):
		e.w.act(e.name, "announce", "")
	case r.Method == http.MethodDelete && strings.Contains(path, "/account_notifications/"):
		e.w.act(e.name, "withdraw", "")
	default:
		e.w.act(e.name, "canvas", r.Method+" "+path)
	}
	e.setKey(on)
	return resp, err
}

// askKey asks Canvas whether the key is on.
func (e *environment) askKey() bool {
	r := httptest.NewRequest(http.MethodGet, "https://"+e.canvasAt+"/api/v1/accounts/1/developer_keys", nil)
	r.Header.Set("Authorization", "Bearer "+canvastest.AdminToken)
	r.Header.Set("User-Agent", "world")
	answer := httptest.NewRecorder()
	e.canvas.ServeHTTP(answer, r)
	return keyState(answer.Body.Bytes(), e.clientID)
}

// switchKey switches the key in Canvas, as an administrator does there.
func (e *environment) switchKey(on bool) {
	state := "off"
	if on {
		state = "on"
	}
	e.canvas.Set(canvastest.DeveloperKeys, developerKey, canvastest.Object{"state": state})
	e.setKey(on)
}

// setKey lets the issuer of launches know whether the key is on.
func (e *environment) setKey(on bool) {
	e.keyIsOn = on
	e.platform.EnableTool(e.clientID, on)
}

func (e *environment) keyOn() bool { return e.keyIsOn }

// canvasError is why the issuer of launches does not answer; nil if it does.
func (e *environment) canvasError() error {
	e.w.mu.Lock()
	defer e.w.mu.Unlock()
	if e.fault(CanvasDown) != nil {
		return memhttp.Refused()
	}
	return nil
}
