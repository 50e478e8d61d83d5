package ltitest

import (
	"crypto/rand"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// invitation is a registration token.
type invitation struct {
	expires time.Time
	used    bool
}

const (
	toolConfiguration     = "https://purl.imsglobal.org/spec/lti-tool-configuration"
	platformConfiguration = "https://purl.imsglobal.org/spec/lti-platform-configuration"
	inviteLife            = time.Hour
)

// RegistrationURL invites a tool: it returns the address that an administrator's
// browser opens at the tool, which is the tool's own with openid_configuration
// and registration_token added (Dynamic Registration 1.0, section 3). The token
// serves once, within an hour.
func (p *Platform) RegistrationURL(tool string) (string, error) {
	u, err := url.Parse(tool)
	if err != nil {
		return "", fmt.Errorf("ltitest: the registration address of the tool: %w", err)
	}
	defer p.lock()()
	token := "rt-" + rand.Text()
	p.invites[token] = &invitation{expires: p.now().Add(inviteLife)}
	q := u.Query()
	q.Set("openid_configuration", p.endpoints().Configuration)
	q.Set("registration_token", token)
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// serveConfiguration is the OpenID configuration (Dynamic Registration 1.0,
// section 3.1; canvas-lms, doc/api/registration.md).
func (p *Platform) serveConfiguration(c *call) answer {
	if token, given := bearerText(c.r); given && p.invitation(token, c.now) == nil {
		return failure(http.StatusUnauthorized, "Invalid registration token")
	}
	e := p.endpoints()
	family, version := "ltitest", "1.0"
	if p.Canvas {
		family, version = "canvas", "OpenSource"
	}
	platform := map[string]any{
		"product_family_code": family, "version": version,
		"messages_supported": []any{
			map[string]any{"type": ResourceLinkRequest, "placements": []string{"course_navigation", "account_navigation"}},
			map[string]any{"type": DeepLinkingRequest, "placements": []string{"assignment_selection", "link_selection"}},
		},
		"variables": []string{"CourseSection.sourcedId", "User.id"},
	}
	if p.Canvas {
		platform["https://canvas.instructure.com/lti/account_name"] = "Example School"
		platform["https://canvas.instructure.com/lti/account_lti_guid"] = opaque("guid") + ":canvas-lms"
	}
	return jsonAnswer(http.StatusOK, map[string]any{
		"issuer": e.Issuer, "authorization_endpoint": e.AuthURL, "jwks_uri": e.JWKSURL, "token_endpoint": e.TokenURL, "authorization_server": e.TokenURL,
		"registration_endpoint":                 p.issuerHost() + pathRegistration,
		"token_endpoint_auth_methods_supported": []string{"private_key_jwt"}, "token_endpoint_auth_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported": append([]string{"openid"}, Scopes()...), "response_types_supported": []string{"id_token"},
		"id_token_signing_alg_values_supported": []string{"RS256"}, "subject_types_supported": []string{"public"},
		"claims_supported":    []string{"sub", "picture", "email", "name", "given_name", "family_name", "locale"},
		platformConfiguration: platform,
	})
}

func bearerText(r *http.Request) (text string, given bool) {
	scheme, text, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return text, strings.EqualFold(scheme, "Bearer")
}

func (p *Platform) invitation(token string, now time.Time) *invitation {
	i := p.invites[token]
	if i == nil || i.used || now.After(i.expires) {
		return nil
	}
	return i
}

// registerTool is the registration endpoint. In Canvas a tool stays switched off
// until an administrator has confirmed it; see [Platform.EnableTool].
func (p *Platform) registerTool(c *call) answer {
	token, _ := bearerText(c.r)
	invite := p.invitation(token, c.now)
	if invite == nil {
		return failure(http.StatusUnauthorized, "Invalid registration token")
	}
	if c.mediaType() != "application/json" {
		return unsupported("application/json")
	}
	obj, err := c.object()
	if err != nil {
		return jsonAnswer(http.StatusBadRequest, map[string]any{"error": "invalid_client_metadata", "error_description": "the body is not a JSON object"})
	}
	if problems := metadataProblems(obj); len(problems) > 0 {
		return jsonAnswer(http.StatusUnprocessableEntity, map[string]any{
			"error": "invalid_client_metadata", "error_description": strings.Join(problems, " | "), "errors": []any{map[string]any{"message": strings.Join(problems, " | ")}},
		})
	}
	invite.used = true
	config, _ := obj[toolConfiguration].(map[string]any)
	scope, _ := obj["scope"].(string)
	t := Tool{
		LoginURL: text(obj, "initiate_login_uri"), RedirectURIs: texts(obj["redirect_uris"]), JWKSURL: text(obj, "jwks_uri"),
		TargetLinkURI: text(config, "target_link_uri"), Scopes: slices.DeleteFunc(strings.Fields(scope), func(s string) bool { return s == "openid" }),
		Disabled: p.Canvas,
	}
	if custom, ok := config["custom_parameters"].(map[string]any); ok {
		t.Custom = custom
	}
	if t.Scopes == nil {
		t.Scopes = []string{}
	}
	t = p.addTool(t)
	out := maps.Clone(obj)
	config = maps.Clone(config)
	out["client_id"], out[toolConfiguration] = t.ClientID, config
	if !p.Canvas {
		config["deployment_id"] = t.Deployments[0]
	}
	return jsonAnswer(http.StatusOK, out)
}

func text(o map[string]any, name string) string {
	s, _ := o[name].(string)
	return s
}

func texts(v any) []string {
	list, _ := v.([]any)
	var out []string
	for _, v := range list {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// metadataProblems checks what a tool says of itself (Dynamic Registration 1.0,
// section 3.5; canvas-lms, doc/api/registration.md).
func metadataProblems(o map[string]any) []string {
	var problems []string
	want := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	secure := func(address string) bool {
		u, err := url.Parse(address)
		return err == nil && u.Host != "" && (u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost"))
	}
	grants := texts(o["grant_types"])
	want(o["application_type"] == "web", "application_type must be web")
	want(slices.Contains(grants, "client_credentials") && slices.Contains(grants, "implicit"), "grant_types must have client_credentials and implicit")
	want(slices.Contains(texts(o["response_types"]), "id_token"), "response_types must have id_token")
	want(secure(text(o, "initiate_login_uri")), "initiate_login_uri must be an https address")
	redirects := texts(o["redirect_uris"])
	want(len(redirects) > 0 && !slices.ContainsFunc(redirects, func(s string) bool { return !secure(s) }), "redirect_uris must be https addresses")
	want(text(o, "client_name") != "", "client_name is missing")
	want(secure(text(o, "jwks_uri")), "jwks_uri must be an https address")
	want(o["token_endpoint_auth_method"] == "private_key_jwt", "token_endpoint_auth_method must be private_key_jwt")
	for _, s := range strings.Fields(text(o, "scope")) {
		want(s == "openid" || slices.Contains(Scopes(), s), "scope "+s+" is not supported")
	}
	config, ok := o[toolConfiguration].(map[string]any)
	want(ok, toolConfiguration+" is missing")
	want(text(config, "domain") != "" && !strings.Contains(text(config, "domain"), "/"), "domain must be a host")
	want(secure(text(config, "target_link_uri")), "target_link_uri must be an https address")
	_, hasClaims := config["claims"].([]any)
	want(hasClaims, "claims must be a list")
	messages, ok := config["messages"].([]any)
	want(ok, "messages must be a list")
	for _, m := range messages {
		message, _ := m.(map[string]any)
		want(slices.Contains([]string{ResourceLinkRequest, DeepLinkingRequest}, text(message, "type")), "a message has a type that is not supported")
	}
	return problems
}
