package ltitest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// accessToken is an access token for services.
type accessToken struct {
	tool    *tool
	scopes  []string
	expires time.Time
}

// maxTokens is from how many on those that have expired are forgotten.
const maxTokens = 10_000

// RevokeTokens ends all access tokens before their time.
func (p *Platform) RevokeTokens() {
	defer p.lock()()
	clear(p.tokens)
}

func oauthError(status int, code, description string) answer {
	a := jsonAnswer(status, map[string]any{"error": code, "error_description": description})
	a.header = http.Header{"Cache-Control": {"no-store"}}
	if status == http.StatusUnauthorized {
		a.header.Set("WWW-Authenticate", `Bearer realm="lti"`)
	}
	return a
}

// badAssertion is the error for a client that did not prove who it is: RFC 6749,
// section 5.2, has invalid_client; Canvas says invalid_request for most.
func (p *Platform) badAssertion(description string) answer {
	if p.Canvas {
		return oauthError(http.StatusBadRequest, "invalid_request", description)
	}
	return oauthError(http.StatusUnauthorized, "invalid_client", description)
}

// serveToken is the client_credentials grant of the Security Framework 1.0,
// section 4.1.
func (p *Platform) serveToken(c *call) answer {
	form, err := url.ParseQuery(string(c.body))
	if err != nil || c.mediaType() != "application/x-www-form-urlencoded" {
		return oauthError(http.StatusBadRequest, "invalid_request", "the request is not a form")
	}
	for name, values := range form {
		if len(values) > 1 {
			return oauthError(http.StatusBadRequest, "invalid_request", name+" comes more than once")
		}
	}
	switch {
	case form.Get("grant_type") != "client_credentials":
		return oauthError(http.StatusBadRequest, "unsupported_grant_type", "The grant_type you requested is not currently supported: "+form.Get("grant_type"))
	case form.Get("client_assertion_type") != assertionType:
		return p.badAssertion("assertion method not supported for this grant_type")
	}
	a, err := readJWT(form.Get("client_assertion"))
	if err != nil {
		return p.badAssertion(badSignature)
	}
	t := p.tool(a.text("sub"))
	if problem := c.verify(t, a); problem != "" {
		return p.badAssertion(problem)
	}
	if problem := p.assertionProblems(c, a); problem != "" {
		return p.badAssertion(problem)
	}
	if t.Disabled {
		return oauthError(http.StatusUnauthorized, "invalid_client", "unknown client")
	}
	return p.grant(c, t, form.Get("scope"))
}

// grant gives an access token for what the tool may have.
func (p *Platform) grant(c *call, t *tool, scope string) answer {
	asked := strings.Fields(scope)
	if len(asked) == 0 {
		return oauthError(http.StatusBadRequest, "invalid_scope", "no scope is asked for")
	}
	var granted, missing []string
	for _, s := range asked {
		switch {
		case !slices.Contains(t.Scopes, s):
			missing = append(missing, s)
		case p.GrantOnly == nil || slices.Contains(p.GrantOnly, s):
			granted = append(granted, s)
		}
	}
	if len(missing) > 0 {
		return oauthError(http.StatusBadRequest, "invalid_scope", "A requested scope is invalid, unknown, malformed, or exceeds the scope granted by the resource owner. "+
			"The following scopes were requested, but not granted: "+strings.Join(missing, ", "))
	}
	life := p.TokenLife
	if life <= 0 {
		life = time.Hour
	}
	if len(p.tokens) >= maxTokens {
		maps.DeleteFunc(p.tokens, func(_ string, t *accessToken) bool { return !c.now.Before(t.expires) })
	}
	text := "lt-" + opaque("token", p.next())
	p.tokens[text] = &accessToken{tool: t, scopes: granted, expires: c.now.Add(life)}
	out := jsonAnswer(http.StatusOK, map[string]any{"access_token": text, "token_type": "Bearer", "expires_in": int(life / time.Second), "scope": strings.Join(granted, " ")})
	out.header = http.Header{"Cache-Control": {"no-store"}, "Pragma": {"no-cache"}}
	return out
}

// bearer returns the tool of a request to a service, or why there is none. One of
// the scopes is enough.
func (c *call) bearer(scopes ...string) (*tool, answer, bool) {
	scheme, text, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	token := c.p.tokens[text]
	deny := func(status int, code, message string) (*tool, answer, bool) {
		a := failure(status, message)
		challenge := `Bearer realm="lti"`
		if code != "" {
			challenge += `, error="` + code + `"`
		}
		a.header = http.Header{"Www-Authenticate": {challenge}}
		return nil, a, false
	}
	switch {
	case text == "" || !strings.EqualFold(scheme, "Bearer"):
		return deny(http.StatusUnauthorized, "", "Missing access token")
	case token == nil:
		return deny(http.StatusUnauthorized, "invalid_token", "Invalid access token")
	case !c.now.Before(token.expires):
		return deny(http.StatusUnauthorized, "invalid_token", "Access token expired")
	case token.tool.Disabled:
		return deny(http.StatusUnauthorized, "invalid_token", "Invalid Developer Key")
	case !slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(token.scopes, s) }):
		if c.p.Canvas {
			return deny(http.StatusUnauthorized, "", "Insufficient permissions")
		}
		return deny(http.StatusForbidden, "insufficient_scope", "Insufficient permissions")
	}
	return token.tool, answer{}, true
}
