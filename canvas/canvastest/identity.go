package canvastest

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Token is an access token, for [Server.AddToken].
type Token struct {
	// Text is the token itself. Empty means that the server makes one.
	Text string
	// User is whose token it is. Zero means the first administrator.
	User int64
	// Purpose is what a person wrote when they made it.
	Purpose string
	// Scopes limit the token to some operations, named as in "url:GET|/api/v1/courses".
	// None means that it is not limited.
	Scopes []string
	// ExpiresAt is when it stops working. Zero means never.
	ExpiresAt time.Time
	// Key is the developer key it was issued for. Zero means none: the token was
	// made by hand.
	Key int64
	// SiteAdmin marks a token of Instructure's own services, which have a bucket
	// by their name if their User-Agent is of the form "inst-name/id".
	SiteAdmin bool
}

// token is what the server knows about an access token.
type token struct {
	Token
	id      int64
	text    string
	client  int64 // of an LTI service; its Scopes are those of LTI
	created time.Time
	used    time.Time
	revoked bool
	refresh string
}

// AddToken makes an access token valid and returns its text.
func (s *Server) AddToken(t Token) string {
	defer s.lock()()
	if t.User == 0 {
		t.User = s.firstAdmin()
	}
	return s.addToken(t).text
}

func (s *Server) addToken(t Token) *token {
	if t.Text == "" {
		t.Text = "1~" + strings.ReplaceAll(s.uuid()+s.uuid(), "-", "")
	}
	tok := &token{Token: t, id: s.world.nextID(), text: t.Text, created: s.now()}
	tok.Scopes = slices.Clone(t.Scopes)
	s.world.tokens[t.Text] = tok
	return tok
}

func (s *Server) firstAdmin() int64 {
	first := int64(0)
	for id, is := range s.world.admins {
		if is && (first == 0 || id < first) {
			first = id
		}
	}
	return first
}

// LogIn gives a user a web session and returns the value of the cookie
// "canvas_session".
func (s *Server) LogIn(user int64) string {
	defer s.lock()()
	id := s.uuid()
	s.world.sessions[id] = user
	return id
}

// identify finds out who makes the request. An invalid token is an error even
// where none is needed.
func (c *call) identify() (answer, bool) {
	w := c.s.world
	text := bearerToken(c.r)
	if text == "" {
		if text = c.param("access_token"); text != "" {
			if c.r.URL.Query().Has("access_token") {
				c.s.problem("%s: access token in the query, where logs keep it and Link headers lose it", c.name())
			}
		}
	}
	if text == "" {
		if cookie, err := c.r.Cookie(sessionCookie); err == nil {
			c.who.user = w.sessions[cookie.Value]
			c.who.cookie = c.who.user != 0
		}
		return answer{}, true
	}
	if c.route != nil && c.route.edge {
		c.s.problem("%s: access token sent to a service that must not see it", c.name())
		return answer{}, true
	}
	tok := w.tokens[text]
	switch {
	case tok == nil:
		return badToken("Invalid access token.", nil), false
	case tok.Key != 0 && !w.bound(tok.Key): // not authorized for this account
		return badToken("Invalid access token.", nil), false
	case tok.revoked || tok.Key != 0 && !w.usable(tok.Key, c.s.TestCluster):
		return badToken("Revoked access token.", nil), false
	case !tok.ExpiresAt.IsZero() && !c.now.Before(tok.ExpiresAt):
		return badToken("Expired access token.", &tok.ExpiresAt), false
	}
	tok.used = c.now
	c.who = identity{user: tok.User, token: tok}
	return c.masquerade()
}

// masquerade carries out as_user_id.
func (c *call) masquerade() (answer, bool) {
	as := c.param("as_user_id")
	if as == "" || c.who.user == 0 {
		return answer{}, true
	}
	r := c.find(Users, as)
	if r == nil || !c.admin() {
		return answer{status: 401, body: Object{"errors": "Invalid as_user_id"}}, false
	}
	c.who.user = r.id
	return answer{}, true
}

// permit asks whether this caller may use the route at all.
func (c *call) permit() (answer, bool) {
	tool := c.who.token != nil && c.who.token.client != 0
	switch {
	case c.route.access == open:
		return answer{}, true
	case c.route.access == asTool:
		if !tool {
			return unauthenticated(), false
		}
		return answer{}, true
	case c.who.user == 0 && wantsHTML(c):
		return redirect(c.host() + "/login"), false
	case c.who.user == 0:
		return unauthenticated(), false
	case !c.route.anyScope && !c.scoped():
		return c.insufficientScopes(), false
	case c.route.access == asAdmin && !c.admin():
		return c.unauthorized(), false
	}
	return answer{}, true
}

// wantsHTML says that the client looks like a browser.
func wantsHTML(c *call) bool {
	accept := c.r.Header.Get("Accept")
	return strings.Contains(accept, "text/html") && !strings.Contains(accept, "application/json") && !strings.HasSuffix(c.r.URL.Path, ".json")
}

// scoped says that the scopes of the token allow the route.
func (c *call) scoped() bool {
	t := c.who.token
	if t == nil || t.Key == 0 && len(t.Scopes) == 0 || t.Key != 0 && !c.s.world.requiresScopes(t.Key) {
		return true
	}
	return slices.Contains(t.Scopes, c.route.scope())
}

// scope is the name of the route as a scope: "url:GET|/api/v1/courses/:id".
func (rt *route) scope() string {
	method, path, _ := strings.Cut(rt.name, " ")
	return "url:" + method + "|" + path
}

// tokenRoutes are a person's own tokens (documentation, page "Access Tokens").
func tokenRoutes() []*route {
	const params = "token[purpose] token[expires_at] token[scopes][] token[regenerate]"
	return []*route{
		lists("GET /api/v1/users/:user_id/user_generated_tokens", asUser, listTokens, ""),
		lists("GET /api/v1/users/:user_id/tokens", asUser, listTokens, ""),
		on("GET /api/v1/users/:user_id/tokens/:id", asUser, getToken, ""),
		on("POST /api/v1/users/:user_id/tokens", asUser, createToken, params),
		on("PUT /api/v1/users/:user_id/tokens/:id", asUser, updateToken, params),
		on("DELETE /api/v1/users/:user_id/tokens/:id", asUser, deleteToken, ""),
	}
}

// tokensOf finds the user in the path, whom the caller must be or administer.
func (c *call) tokensOf() (user int64, bad answer, ok bool) {
	r := c.find(Users, c.path["user_id"])
	if r == nil {
		return 0, notFound(), false
	}
	if r.id != c.who.user && !c.admin() {
		return 0, c.unauthorized(), false
	}
	return r.id, answer{}, true
}

func listTokens(c *call) answer {
	user, bad, ok := c.tokensOf()
	if !ok {
		return bad
	}
	var mine []*token
	for _, t := range c.s.world.tokens {
		if t.User == user && t.Key == 0 && t.client == 0 && !t.revoked {
			mine = append(mine, t)
		}
	}
	slices.SortFunc(mine, func(a, b *token) int { return cmp.Compare(a.id, b.id) })
	objects := make([]Object, len(mine))
	for i, t := range mine {
		objects[i] = c.tokenView(t, false)
	}
	return c.paged(listOfObjects(objects), paging{})
}

// tokenHint is the beginning of a token, by which people know it.
func tokenHint(text string) string { return text[:min(len(text), 5)] }

// tokenView shows a token. Those of a developer key have its name, and cannot be made anew by
// a person.
func (c *call) tokenView(t *token, reveal bool) Object {
	o := Object{
		"id": t.id, "created_at": stamp(t.created), "expires_at": nil, "workflow_state": "active", "remember_access": nil, "scopes": slices.Clone(t.Scopes), "real_user_id": nil,
		"token": nil, "token_hint": tokenHint(t.text), "user_id": t.User, "purpose": t.Purpose, "app_name": "User-Generated", "can_manually_regenerate": true, "last_used_at": nil,
		"updated_at": stamp(t.created),
	}
	if key := c.s.world.row(DeveloperKeys, t.Key); key != nil {
		o["app_name"], o["can_manually_regenerate"] = key.obj["name"], false
	}
	if !t.ExpiresAt.IsZero() {
		o["expires_at"] = stamp(t.ExpiresAt)
	}
	if !t.used.IsZero() {
		o["last_used_at"] = stamp(t.used)
	}
	if reveal {
		o["token"] = t.text
	} else {
		delete(o, "token")
	}
	return o
}

// namedToken finds a token by its id or its hint.
func (c *call) namedToken(user int64) *token {
	name := c.path["id"]
	for _, t := range c.s.world.tokens {
		if t.User == user && !t.revoked && (itoa(t.id) == name || tokenHint(t.text) == name) {
			return t
		}
	}
	return nil
}

func getToken(c *call) answer {
	user, bad, ok1 := c.tokensOf()
	if !ok1 {
		return bad
	}
	t := c.namedToken(user)
	if t == nil {
		return notFound()
	}
	return ok(c.tokenView(t, false))
}

func createToken(c *call) answer {
	user, bad, ok := c.tokensOf()
	if !ok {
		return bad
	}
	if c.param("token[purpose]") == "" { // required since 2025-10-08
		return invalid("purpose", "blank", "can't be blank")
	}
	until, _, ok := c.when("token[expires_at]")
	if !ok {
		return invalid("expires_at", "invalid", "is invalid")
	}
	t := c.s.addToken(Token{User: user, Purpose: c.param("token[purpose]"), Scopes: c.params["token[scopes][]"], ExpiresAt: until})
	return answer{status: 200, body: c.tokenView(t, true)}
}

func updateToken(c *call) answer {
	user, bad, ok1 := c.tokensOf()
	if !ok1 {
		return bad
	}
	t := c.namedToken(user)
	if t == nil {
		return notFound()
	}
	until, given, valid := c.when("token[expires_at]")
	switch {
	case !valid:
		return invalid("expires_at", "invalid", "is invalid")
	case given:
		t.ExpiresAt = until
	}
	if c.has("token[purpose]") {
		t.Purpose = c.param("token[purpose]")
	}
	if !c.flag("token[regenerate]") || t.Key != 0 { // ignored for tokens that no person made
		return ok(c.tokenView(t, false))
	}
	delete(c.s.world.tokens, t.text)
	t.text = "1~" + strings.ReplaceAll(c.s.uuid()+c.s.uuid(), "-", "")
	c.s.world.tokens[t.text] = t
	return ok(c.tokenView(t, true))
}

func deleteToken(c *call) answer {
	user, bad, ok1 := c.tokensOf()
	if !ok1 {
		return bad
	}
	t := c.namedToken(user)
	if t == nil {
		return notFound()
	}
	t.revoked = true
	return ok(c.tokenView(t, false))
}
