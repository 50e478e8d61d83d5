package canvastest

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The token endpoint follows instructure/canvas-lms: oauth2_provider_controller.rb
// and lib/canvas/oauth; documentation, pages "OAuth2" and "OAuth2 Endpoints".

const (
	codeLife  = 10 * time.Minute
	tokenLife = time.Hour
)

// grant is an authorization code that was not used yet.
type grant struct {
	Consent
	until time.Time
}

// Consent is a person's consent that a client may act for them, which a browser
// would have brought about.
type Consent struct {
	// Key is the developer key.
	Key int64
	// User is who consents. Zero means the first administrator.
	User int64
	// Scopes are what the client asked for.
	Scopes []string
	// RedirectURI is where the code would have been sent.
	RedirectURI string
	// Purpose is shown to the person.
	Purpose string
	// Challenge is the code challenge of PKCE, of method S256. Public clients
	// must have one.
	Challenge string
}

// Authorize records a consent and returns the authorization code, which is good
// for 10 minutes and one use.
func (s *Server) Authorize(c Consent) (code string) {
	defer s.lock()()
	if c.User == 0 {
		c.User = s.firstAdmin()
	}
	c.Scopes = slices.Clone(c.Scopes)
	code = s.hex40() + s.hex40()
	s.world.grants[code] = &grant{Consent: c, until: s.now().Add(codeLife)}
	return code
}

func oauthRoutes() []*route {
	const query = "client_id response_type redirect_uri state scope scopes purpose force_login unique_id prompt code_challenge code_challenge_method"
	const form = "grant_type code redirect_uri client_id client_secret refresh_token replace_tokens client_assertion_type client_assertion scope scopes code_verifier"
	return []*route{
		on("GET /login/oauth2/auth", open, authPage, query),
		on("POST /login/oauth2/token", open, grantToken, form),
		on("DELETE /login/oauth2/token", open, dropToken, "expire_sessions"),
		on("GET /login/session_token", asUser, sessionToken, "return_to"),
	}
}

// oauthError is an error of the token endpoint, whose shape is another than the
// API's.
func oauthError(status int, code, description string) answer {
	a := Object{"error": code, "error_description": description}.as(status)
	if status == http.StatusUnauthorized {
		a.header = http.Header{"Www-Authenticate": {"Canvas OAuth 2.0"}}
	}
	return a
}

func unknownClient() answer { return oauthError(401, "invalid_client", "unknown client") }

func invalidScope(missing []string) answer {
	return oauthError(400, "invalid_scope", "A requested scope is invalid, unknown, malformed, or exceeds the scope granted by the resource owner. "+
		"The following scopes were requested, but not granted: "+sentence(missing))
}

// sentence joins as Rails' to_sentence does.
func sentence(words []string) string {
	switch n := len(words); n {
	case 0, 1:
		return strings.Join(words, "")
	case 2:
		return words[0] + " and " + words[1]
	default:
		return strings.Join(words[:n-1], ", ") + ", and " + words[n-1]
	}
}

// authPage is where a browser goes first. Nobody is logged in, so it leads to the
// login page, or back to the client with the error.
func authPage(c *call) answer {
	key := c.s.world.row(DeveloperKeys, keyID(c.param("client_id")))
	switch {
	case key == nil || !c.s.world.usable(key.id, c.s.TestCluster):
		return unknownClient()
	case !redirects(key, c.param("redirect_uri")):
		return oauthError(400, "invalid_request", "redirect_uri does not match client settings")
	}
	back := func(code, text string) answer {
		q := url.Values{"error": {code}, "error_description": {text}}
		if c.has("state") {
			q.Set("state", c.param("state"))
		}
		return redirect(c.param("redirect_uri") + "?" + q.Encode())
	}
	if missing := missingScopes(key, strings.Fields(orText(c.param("scope"), c.param("scopes")))); key.obj["require_scopes"] == true && missing != nil {
		return back("invalid_scope", sentence(missing))
	}
	switch {
	case !c.s.world.bound(key.id):
		return back("unauthorized_client", "Client does not have access to the specified Canvas account.")
	case c.param("response_type") != "code":
		return back("unsupported_response_type", "Only response_type=code is permitted")
	case c.param("prompt") == "none":
		return back("login_required", "prompt=none but there is no current session")
	}
	return redirect(c.host() + "/login")
}

// missingScopes returns the scopes that a key does not have; asking for none
// misses all of them. Nil means that nothing is wrong.
func missingScopes(key *row, asked []string) []string {
	has, _ := key.obj["scopes"].([]string)
	if len(asked) == 0 {
		return []string{}
	}
	var missing []string
	for _, s := range asked {
		if !slices.Contains(has, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

func redirects(key *row, uri string) bool {
	for _, known := range strings.Fields(key.text("redirect_uris")) {
		if uri == known {
			return true
		}
	}
	return uri == "urn:ietf:wg:oauth:2.0:oob"
}

// keyID reads a client id: the id of a developer key, possibly global
// ("10000000000008" for 8 on the first shard).
func keyID(text string) int64 { return atoi(text) }

// grantToken answers POST /login/oauth2/token. Success costs 200 more.
func grantToken(c *call) answer {
	kind := c.param("grant_type")
	if kind == "" && c.has("code") {
		kind = "authorization_code"
	}
	var a answer
	switch kind {
	case "authorization_code":
		a = byCode(c)
	case "refresh_token":
		a = byRefresh(c)
	case "client_credentials":
		a = byAssertion(c)
	default:
		a = oauthError(400, "unsupported_grant_type", "The grant_type you requested is not currently supported")
	}
	if a.status == http.StatusOK {
		a.extra = 200
	}
	return a
}

// oauthClient finds the developer key and checks its secret; clients authenticate by
// parameters or by Basic.
func (c *call) oauthClient() (key *row, bad answer, ok bool) {
	id, secret := c.param("client_id"), c.param("client_secret")
	if user, password, basic := c.r.BasicAuth(); basic {
		id, secret = orText(id, user), orText(secret, password)
	}
	key = c.s.world.row(DeveloperKeys, keyID(id))
	if key == nil || !c.s.world.usable(key.id, c.s.TestCluster) {
		return nil, unknownClient(), false
	}
	if key.hidden["public"] != true && secret != key.text("api_key") {
		return nil, oauthError(401, "invalid_client", "invalid client"), false
	}
	return key, answer{}, true
}

func byCode(c *call) answer {
	key, bad, good := c.oauthClient()
	if !good {
		return bad
	}
	if c.param("code") == "" {
		return oauthError(400, "invalid_request", "You must provide the code parameter when using the authorization_code grant type")
	}
	g := c.s.world.grants[c.param("code")]
	switch {
	case g == nil || !c.now.Before(g.until):
		return oauthError(400, "invalid_grant", "authorization_code not found")
	case g.Key != key.id:
		return oauthError(400, "invalid_grant", "incorrect client")
	case g.RedirectURI != "" && c.has("redirect_uri") && c.param("redirect_uri") != g.RedirectURI:
		return oauthError(400, "invalid_request", "redirect_uri does not match client settings")
	case key.hidden["public"] == true && (g.Challenge == "" || challengeOf(c.param("code_verifier")) != g.Challenge):
		return oauthError(400, "invalid_grant", "incorrect client")
	}
	delete(c.s.world.grants, c.param("code"))
	if c.flag("replace_tokens") {
		for _, t := range c.s.world.tokens {
			if t.Key == key.id && t.User == g.User {
				t.revoked = true
			}
		}
	}
	t := c.s.addToken(Token{User: g.User, Key: key.id, Scopes: g.Scopes, Purpose: g.Purpose, ExpiresAt: c.now.Add(tokenLife)})
	t.refresh = "1~" + c.s.hex40()
	c.s.world.refresh[t.refresh] = t
	return ok(c.tokenReply(t, true))
}

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// byRefresh gives the access token a new text: the old one stops working at
// once. Confidential clients keep their refresh token and are not told it again.
func byRefresh(c *call) answer {
	key, bad, good := c.oauthClient()
	if !good {
		return bad
	}
	if c.param("refresh_token") == "" {
		return oauthError(400, "invalid_request", "You must provide the refresh_token parameter when using the refresh_token grant type")
	}
	t := c.s.world.refresh[c.param("refresh_token")]
	switch {
	case t == nil || t.revoked:
		return oauthError(400, "invalid_request", "refresh_token not found")
	case t.Key != key.id:
		return oauthError(400, "invalid_grant", "incorrect client")
	}
	delete(c.s.world.tokens, t.text)
	t.text = "1~" + strings.ReplaceAll(c.s.uuid()+c.s.uuid(), "-", "")
	t.ExpiresAt = c.now.Add(tokenLife)
	c.s.world.tokens[t.text] = t
	public := key.hidden["public"] == true
	if public {
		delete(c.s.world.refresh, t.refresh)
		t.refresh = "1~" + c.s.hex40()
		c.s.world.refresh[t.refresh] = t
	}
	return ok(c.tokenReply(t, public))
}

// tokenReply is the answer to a person's grant.
func (c *call) tokenReply(t *token, withRefresh bool) Object {
	user := c.s.world.row(Users, t.User)
	o := Object{
		"access_token": t.text, "token_type": "Bearer", "expires_in": int64(t.ExpiresAt.Sub(c.now) / time.Second), "canvas_region": "ap-southeast-2",
		"user": Object{"id": t.User, "name": user.text("name"), "global_id": itoa(10_000_000_000_000 + t.User), "effective_locale": user.obj["effective_locale"]},
	}
	if withRefresh {
		o["refresh_token"] = t.refresh
	}
	if slices.Equal(t.Scopes, []string{"/auth/userinfo"}) {
		o["access_token"] = nil // it says who the user is, and nothing else
	}
	return o
}

// dropToken revokes the token of the request.
func dropToken(c *call) answer {
	if c.who.token == nil {
		return Object{"message": "can't delete OAuth access token when not using an OAuth access token"}.as(http.StatusBadRequest)
	}
	c.who.token.revoked = true
	if c.flag("expire_sessions") {
		for id, user := range c.s.world.sessions {
			if user == c.who.user {
				delete(c.s.world.sessions, id)
			}
		}
	}
	return ok(Object{})
}

func sessionToken(c *call) answer {
	to := orText(c.param("return_to"), c.host()+"/")
	return ok(Object{"session_url": to + "?session_token=" + c.s.token40()})
}
