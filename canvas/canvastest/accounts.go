package canvastest

import (
	"maps"
	"net/http"
	"slices"
)

// accountRoutes: documentation, pages "Accounts", "API Token Scopes".
func accountRoutes() []*route {
	return []*route{
		lists("GET /api/v1/accounts", asUser, listAccounts, "include[]=lti_guid,registration_settings,services"),
		on("GET /api/v1/accounts/:id", asUser, getAccount, ""),
		on("PUT /api/v1/accounts/:id", asAdmin, updateAccount, params("account", accountFields)+"account[settings]*"),
		lists("GET /api/v1/accounts/:account_id/sub_accounts", asAdmin, listSubAccounts, "recursive order include[]=course_count,sub_account_count"),
		on("GET /api/v1/accounts/:account_id/settings", asAdmin, getSettings, ""),
		on("GET /api/v1/settings/environment", asUser, getEnvironment, ""),
		on("GET /api/v1/accounts/:account_id/permissions", asUser, getPermissions, "permissions[]"),
		lists("GET /api/v1/accounts/:account_id/scopes", asUser, listScopes, "group_by"),
	}
}

const accountFields = "name:s sis_account_id:s default_time_zone:s default_storage_quota_mb:i default_user_storage_quota_mb:i default_group_storage_quota_mb:i course_template_id:i"

func (c *call) accountView(r *row) Object {
	o := plain(r, "lti_guid", "default_storage_quota_mb", "default_user_storage_quota_mb", "default_group_storage_quota_mb", "integration_id", "sis_account_id", "sis_import_id")
	if c.admin() {
		for _, name := range []string{"default_storage_quota_mb", "default_user_storage_quota_mb", "default_group_storage_quota_mb", "integration_id", "sis_account_id", "sis_import_id"} {
			o[name] = r.obj[name]
		}
	}
	if c.include("lti_guid") || c.route.method != http.MethodGet {
		o["lti_guid"] = r.obj["lti_guid"]
	}
	return o
}

// listAccounts lists those that the caller administers.
func listAccounts(c *call) answer {
	var rows []*row
	if c.admin() {
		rows = c.s.world.all(Accounts)
	}
	return c.paged(listOf(rows, c.accountView), paging{})
}

func getAccount(c *call) answer {
	r := c.find(Accounts, c.path["id"])
	if r == nil {
		return notFound()
	}
	return ok(c.accountView(r))
}

func updateAccount(c *call) answer {
	r := c.find(Accounts, c.path["id"])
	if r == nil {
		return notFound()
	}
	if wrong := c.change(r.obj, "account", accountFields); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	return ok(c.accountView(r))
}

func listSubAccounts(c *call) answer {
	r := c.account()
	if r == nil {
		return notFound()
	}
	rows := c.s.world.in(Accounts, r.id)
	if c.flag("recursive") {
		rows = slices.Clone(rows)
		for i := 0; i < len(rows); i++ {
			rows = append(rows, c.s.world.in(Accounts, rows[i].id)...)
		}
	}
	return c.paged(listOf(rows, c.accountView), paging{})
}

// SetAccountSettings replaces some settings of an account, as its settings page
// shows them.
func (s *Server) SetAccountSettings(account int64, settings Object) {
	defer s.lock()()
	set := s.world.settings[account]
	if set == nil {
		set = make(Object)
		s.world.settings[account] = set
	}
	maps.Copy(set, settings)
}

func getSettings(c *call) answer {
	r := c.account()
	if r == nil {
		return notFound()
	}
	out := Object{
		"microsoft_sync_enabled": false, "microsoft_sync_login_attribute_suffix": false,
		"restrict_student_past_view": Object{"value": false, "locked": false, "inherited": false}, "sis_source_of_truth": nil,
	}
	maps.Copy(out, c.s.world.settings[r.id])
	return ok(out)
}

func getEnvironment(c *call) answer {
	return ok(Object{
		"calendar_contexts_limit": 20, "open_registration": false, "collapse_global_nav": false, "release_notes_badge_disabled": false, "can_add_pronouns": true, "show_sections_in_course_tray": true,
	})
}

func getPermissions(c *call) answer {
	if c.account() == nil {
		return notFound()
	}
	if !c.has("permissions[]") {
		return missing("permissions")
	}
	out := make(Object)
	for _, name := range c.params["permissions[]"] {
		out[name] = c.admin()
	}
	return ok(out)
}

// listScopes lists the scopes of the operations that this server has.
func listScopes(c *call) answer {
	if c.account() == nil {
		return notFound()
	}
	if !c.admin() {
		return c.unauthorized()
	}
	names := slices.Sorted(maps.Keys(c.s.router.named))
	var out []Object
	for _, name := range names {
		rt := c.s.router.named[name]
		if rt.access == open || rt.access == asTool {
			continue
		}
		out = append(out, Object{"resource": rt.segments[len(rt.segments)-1], "resource_name": rt.resource(), "controller": rt.resource(), "action": rt.action(), "verb": rt.method, "path": "/" + joinPath(rt.segments), "scope": rt.scope()})
	}
	return c.paged(listOfObjects(out), paging{})
}
