package canvastest

import (
	"net/http"
	"strings"
)

// userRoutes: documentation, pages "Users" and "Polls".
func userRoutes() []*route {
	return []*route{
		on("GET /api/v1/users/:id", asUser, getUser, "include[]=uuid,last_login,avatar_url,email"),
		on("GET /api/v1/users/:user_id/profile", asUser, getProfile, ""),
		on("DELETE /api/v1/users/:id/sessions", asUser, endSessions, ""),
		lists("GET /api/v1/polls", asUser, listPolls, ""),
		lists("GET /api/v1/accounts/:account_id/users", asAdmin, listUsers, "search_term sort order enrollment_type include[]=avatar_url,email,last_login,time_zone,uuid"),
	}
}

func getUser(c *call) answer {
	r := c.find(Users, c.path["id"])
	if r == nil {
		return notFound()
	}
	if r.id != c.who.user && !c.admin() {
		return c.unauthorized()
	}
	o := c.userView(r)
	if c.path["id"] == "self" {
		o["permissions"] = Object{"can_update_name": true, "can_update_avatar": true, "limit_parent_app_web_access": false}
	}
	return ok(o)
}

// userView hides what the caller may not see: fields vanish, they are not null.
func (c *call) userView(r *row) Object {
	o := plain(r, "bio", "pronouns", "uuid")
	if c.include("uuid") {
		o["uuid"] = r.obj["uuid"]
	}
	if !c.admin() {
		for _, name := range []string{"sis_user_id", "sis_import_id", "integration_id", "login_id"} {
			delete(o, name)
		}
		if r.id != c.who.user {
			delete(o, "email")
		}
	}
	return o
}

func getProfile(c *call) answer {
	r := c.find(Users, c.path["user_id"])
	if r == nil {
		return notFound()
	}
	if r.id != c.who.user && !c.admin() {
		return c.unauthorized()
	}
	o := Object{"primary_email": r.obj["email"], "title": nil, "calendar": Object{"ics": c.host() + "/feeds/calendars/user.ics"}, "lti_user_id": r.obj["uuid"], "k5_user": false}
	for _, name := range []string{"id", "name", "short_name", "sortable_name", "sis_user_id", "integration_id", "login_id", "avatar_url", "bio", "pronouns", "time_zone", "locale", "effective_locale"} {
		o[name] = r.obj[name]
	}
	return ok(o)
}

func listUsers(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	term := strings.ToLower(c.param("search_term"))
	if term != "" && len(term) < 2 {
		return failure(http.StatusBadRequest, "3 or more characters is required")
	}
	keep := func(r *row) bool {
		return strings.Contains(strings.ToLower(r.text("name")), term) || strings.Contains(strings.ToLower(r.text("login_id")), term) || itoa(r.id) == term
	}
	return c.paged(c.rows(Users, account.id, keep, c.userView), paging{})
}

// endSessions logs a user out everywhere. The answer is called JSON and is none.
func endSessions(c *call) answer {
	r := c.find(Users, c.path["id"])
	if r == nil {
		return notFound()
	}
	if r.id != c.who.user && !c.admin() {
		return c.unauthorized()
	}
	for id, user := range c.s.world.sessions {
		if user == r.id {
			delete(c.s.world.sessions, id)
		}
	}
	return answer{status: http.StatusOK, raw: []byte("ok"), contentType: "application/json; charset=utf-8"}
}

// listPolls answers with a compound document, whose meta says what the Link
// header says.
func listPolls(c *call) answer {
	view := func(r *row) Object { return asObject(textIDs("", plain(r))) }
	return c.paged(c.rows(Polls, c.who.user, nil, view), paging{wrap: "polls", meta: true})
}
