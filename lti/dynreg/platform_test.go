package dynreg_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/dynreg"
)

const (
	toolSpec     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	platformSpec = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	canary       = "eyJhbGciOiJIUzI1NiJ9.canary-token.abc"

	moodle       = "https://learn.example.edu"
	moodleConfig = moodle + "/mod/lti/openid-configuration.php"
	canvasConfig = "https://canvas.instructure.com/api/lti/security/openid-configuration?registration_token=" + canary
)

// moodleDocument has what Moodle says (its mod/lti/openid-configuration.php has
// these names); every address is at its own host.
func moodleDocument() map[string]any {
	return map[string]any{
		"issuer":                                moodle,
		"authorization_endpoint":                moodle + "/mod/lti/auth.php",
		"jwks_uri":                              moodle + "/mod/lti/certs.php",
		"token_endpoint":                        moodle + "/mod/lti/token.php",
		"registration_endpoint":                 moodle + "/mod/lti/openid-registration.php",
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"response_types_supported":              []string{"id_token"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"claims_supported":                      []string{"sub", "iss", "name"},
		platformSpec: map[string]any{
			"product_family_code": "moodle", "version": "4.5",
			"messages_supported": []any{map[string]any{"type": "LtiResourceLinkRequest"}, map[string]any{"type": "LtiDeepLinkingRequest"}},
		},
	}
}

// canvasDocument has the names and the hosts of Instructure's documentation of
// dynamic registration (developerdocs.instructure.com, LTI, Registration; read
// 2026-11-27): sign-on at one host, the institution at another.
func canvasDocument() map[string]any {
	return map[string]any{
		"issuer":                                "https://canvas.instructure.com",
		"authorization_endpoint":                "https://sso.canvaslms.com/api/lti/authorize_redirect",
		"jwks_uri":                              "https://sso.canvaslms.com/api/lti/security/jwks",
		"token_endpoint":                        "https://sso.canvaslms.com/login/oauth2/token",
		"registration_endpoint":                 "https://school.instructure.com/api/lti/registrations",
		"authorization_server":                  "sso.canvaslms.com",
		"scopes_supported":                      []string{scopeScore},
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"},
		"response_types_supported":              []string{"id_token"},
		"id_token_signing_alg_values_supported": []string{"RS256"},
		platformSpec: map[string]any{
			"product_family_code": "canvas", "version": "vCloud",
			"messages_supported": []any{
				map[string]any{"type": "LtiResourceLinkRequest", "placements": []string{"course_navigation"}},
				map[string]any{"type": "LtiDeepLinkingRequest", "placements": []string{"assignment_selection"}},
			},
			"https://canvas.instructure.com/lti/account_name":     "Test University",
			"https://canvas.instructure.com/lti/account_lti_guid": "guid:canvas-lms",
		},
	}
}

const (
	scopeScore   = "https://purl.imsglobal.org/spec/lti-ags/scope/score"
	scopeMembers = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"
)

// with returns a document with changes; nil removes.
func with(document, changes map[string]any) map[string]any {
	document = maps.Clone(document)
	for name, value := range changes {
		if value == nil {
			delete(document, name)
			continue
		}
		document[name] = value
	}
	return document
}

// platform is a platform in memory, whatever its hosts. It refuses what it does not
// know, as platforms do.
type platform struct {
	document map[string]any
	// configure and register answer instead, if they are set.
	configure, register func(*http.Request) (*http.Response, error)
	// change is made to the answer to a registration.
	change map[string]any
	noAuth bool // calls may come without a token

	mu        sync.Mutex
	fetches   []*http.Request
	posts     []map[string]any
	elsewhere []string
}

func (p *platform) RoundTrip(req *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	if !p.noAuth && req.Header.Get("Authorization") != "Bearer "+canary {
		return answer(req, 401, `{"error":"invalid_token"}`), nil
	}
	if req.Header.Get("User-Agent") == "" {
		return answer(req, 403, ""), nil
	}
	switch endpoint, _ := p.document["registration_endpoint"].(string); {
	case req.Method == http.MethodGet && strings.Contains(req.URL.Path, "openid-configuration"):
		p.fetches = append(p.fetches, req)
		if p.configure != nil {
			return p.configure(req)
		}
		body, err := json.Marshal(p.document)
		return answer(req, 200, string(body)), err
	case req.Method == http.MethodPost && req.URL.String() == endpoint:
		var in map[string]any
		if err := json.NewDecoder(req.Body).Decode(&in); err != nil || req.Header.Get("Content-Type") != "application/json" {
			return answer(req, 400, ""), nil
		}
		p.posts = append(p.posts, in)
		if p.register != nil {
			return p.register(req)
		}
		out := with(in, map[string]any{"client_id": "10000000000042"})
		body, err := json.Marshal(with(out, p.change))
		return answer(req, 200, string(body)), err
	}
	p.elsewhere = append(p.elsewhere, req.Method+" "+req.URL.Host+req.URL.Path)
	return answer(req, 404, ""), nil
}

func (p *platform) counts() (fetches, posts int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.fetches), len(p.posts)
}

func answer(req *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{
		StatusCode: status, Header: h, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: -1, Request: req,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
}

func key(c string) runbook.Secret { return runbook.NewSecret(strings.Repeat(c, 32)) }

func tool() dynreg.Tool {
	return dynreg.Tool{
		Name: "Q&A", LoginURL: "https://qa.example.edu/lti/login", TargetLinkURI: "https://qa.example.edu/lti/launch",
		JWKSURL: "https://qa.example.edu/.well-known/jwks.json", Scopes: []string{scopeScore, scopeMembers}, Claims: []string{"iss", "sub", "name"},
		CustomParameters: map[string]string{"course": "$Context.id"},
		Canvas:           &dynreg.CanvasTool{PrivacyLevel: "name_only", ToolID: "qa", Vendor: "ACU"},
		Messages: []dynreg.Message{
			{Type: lti.MessageResourceLink, Placements: []string{"course_navigation"}, Canvas: &dynreg.CanvasMessage{Hidden: true, Visibility: "members"}},
			{Type: lti.MessageDeepLinking, Label: "Add questions", TargetLinkURI: "https://qa.example.edu/lti/pick", Placements: []string{"assignment_selection"}},
			{Type: lti.MessageSubmissionReview},
		},
	}
}

// desk is a tool with its registrar, and what came of it.
type desk struct {
	t         testing.TB
	registrar *dynreg.Registrar
	platform  *platform

	mu     sync.Mutex
	stored []dynreg.Registered
	errs   []*dynreg.Error
	broken error // of Store
}

func newDesk(t testing.TB, p *platform, change func(*dynreg.Config)) *desk {
	d := &desk{t: t, platform: p}
	cfg := dynreg.Config{
		URL: "https://qa.example.edu/lti/register", Tool: tool(), Keys: []runbook.Secret{key("k")}, HTTP: &http.Client{Transport: p},
		Store: func(_ context.Context, r dynreg.Registered) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			if d.broken == nil {
				d.stored = append(d.stored, r)
			}
			return d.broken
		},
	}
	cfg.Hooks.OnError = func(_ context.Context, e *dynreg.Error) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.errs = append(d.errs, e)
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	d.registrar, err = dynreg.New(cfg)
	require.NoError(t, err)
	return d
}

// address is what the platform opens: the invitation with its own parameters.
func (d *desk) address(i dynreg.Invitation, configuration string) string {
	d.t.Helper()
	address, err := d.registrar.Invite(i)
	require.NoError(d.t, err)
	return address + "&" + url.Values{"openid_configuration": {configuration}, "registration_token": {canary}}.Encode()
}

func (d *desk) get(address string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	d.registrar.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, address, nil))
	return w
}

func (d *desk) post(address, confirm string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, address, strings.NewReader(url.Values{"confirm": {confirm}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	d.registrar.Handler().ServeHTTP(w, r)
	return w
}

var confirmField = regexp.MustCompile(`name="confirm" value="([^"]+)"`)

// seal is what the page put into its form.
func seal(t testing.TB, w *httptest.ResponseRecorder) string {
	t.Helper()
	m := confirmField.FindStringSubmatch(w.Body.String())
	require.NotNil(t, m, "no form: %s", w.Body.String())
	return html.UnescapeString(m[1])
}

// run opens the page and confirms.
func (d *desk) run(address string) *httptest.ResponseRecorder {
	d.t.Helper()
	w := d.get(address)
	if w.Code != http.StatusOK {
		return w
	}
	return d.post(address, seal(d.t, w))
}

// last is the error that the host program was told last.
func (d *desk) last() *dynreg.Error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.errs) == 0 {
		return &dynreg.Error{Reason: "none"}
	}
	return d.errs[len(d.errs)-1]
}

// leakless fails if what came out of the package has the token.
func (d *desk) leakless(w *httptest.ResponseRecorder) {
	d.t.Helper()
	out := w.Body.String()
	for _, values := range w.Header() {
		out += strings.Join(values, " ")
	}
	for _, e := range d.errs {
		out += e.Error() + e.Message + e.Code + e.Detail
	}
	require.NotContains(d.t, out, "canary")
}
