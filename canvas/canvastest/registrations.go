package canvastest

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
)

// registrationFields: documentation, page "LTI Registrations" (BETA there).
func (s *Server) registrationFields(now string, r *row) Object {
	return Object{
		"account_id": parentOrNil(r.parent), "name": "Tool " + itoa(r.id), "admin_nickname": nil, "vendor": nil, "description": nil, "icon_url": nil, "internal_service": false, "inherited": r.parent == 0,
		"lti_version": "1.3", "dynamic_registration": false, "workflow_state": "active", "created_at": now, "updated_at": now, "created_by": nil, "updated_by": nil,
		"root_account_id": RootAccount, "developer_key_id": nil, "ims_registration_id": nil, "manual_configuration_id": nil, "unified_tool_id": nil,
		"configuration": Object{
			"title": "Tool " + itoa(r.id), "description": nil, "custom_fields": Object{}, "target_link_uri": "https://tool.example.com/launch", "domain": "tool.example.com", "tool_id": nil,
			"privacy_level": "anonymous", "oidc_initiation_url": "https://tool.example.com/login", "oidc_initiation_urls": Object{}, "public_jwk": nil,
			"public_jwk_url": "https://tool.example.com/jwks", "scopes": []string{}, "redirect_uris": []string{"https://tool.example.com/launch"}, "launch_settings": Object{}, "placements": []any{},
		},
		"overlay": nil,
		// Not in Canvas' answers: the state of the registration in the root account.
		"state": "on",
	}
}

// completeRegistration makes the developer key that each registration has.
func (s *Server) completeRegistration(r *row) {
	config, _ := r.obj["configuration"].(Object)
	if r.obj["developer_key_id"] == nil {
		key := s.add(DeveloperKeys, r.parent, Object{"name": r.obj["name"], "is_lti_key": true, "state": r.obj["state"], "client_credentials_audience": "external"})
		r.obj["developer_key_id"] = key.id
	}
	id, _ := r.obj["developer_key_id"].(int64)
	key := s.world.row(DeveloperKeys, id)
	if key == nil {
		panic(fmt.Sprintf("canvastest: there is no developer key %d", id))
	}
	key.obj["tool_configuration"] = overlaid(config, r.overlay())
	key.obj["scopes"] = textList(overlaid(config, r.overlay())["scopes"])
	key.obj["public_jwk"], key.obj["public_jwk_url"] = config["public_jwk"], config["public_jwk_url"]
}

func registrationRoutes() []*route {
	const base = "/api/v1/accounts/:account_id/lti_registrations"
	const write = "name admin_nickname vendor description configuration* overlay* unified_tool_id workflow_state comment "
	const one = "include[]=account_binding,configuration,overlaid_configuration,overlaid_legacy_configuration,overlay,overlay_versions"
	return []*route{
		lists("GET "+base, asAdmin, listRegistrations, "sort dir query "+one),
		on("POST "+base, asAdmin, createRegistration, write),
		on("GET "+base+"/:id", asAdmin, getRegistration, one),
		on("PUT "+base+"/:id", asAdmin, updateRegistration, write),
		on("DELETE "+base+"/:id", asAdmin, deleteRegistration, ""),
		on("PUT "+base+"/:id/reset", asAdmin, resetRegistration, ""),
		on("POST "+base+"/:id/bind", asAdmin, bindRegistration, "workflow_state"),
		on("GET "+base+"/:id/overlay_history", asAdmin, overlayHistory, "limit"),
		lists("GET "+base+"/:id/history", asAdmin, registrationHistory, ""),
		on("GET /api/v1/accounts/:account_id/lti_registration_by_client_id/:client_id", asAdmin, registrationByClient, ""),
	}
}

// registrationView always has the binding; alone, also the configuration.
func (c *call) registrationView(r *row, alone bool) Object {
	o := plain(r, "configuration", "overlay", "state", "description", "unified_tool_id")
	o["account_binding"] = c.registrationBinding(r)
	config := asObject(r.obj["configuration"])
	if alone || c.include("configuration") {
		o["configuration"] = config
	}
	if c.include("overlaid_configuration") {
		o["overlaid_configuration"] = overlaid(config, r.overlay())
	}
	if c.include("overlay") {
		o["overlay"] = nil
		if r.overlay() != nil {
			o["overlay"] = Object{"id": r.hidden["overlay_id"], "account_id": RootAccount, "registration_id": r.id, "root_account_id": RootAccount, "data": r.overlay(), "created_at": r.obj["created_at"], "updated_at": r.obj["updated_at"], "updated_by": r.obj["updated_by"]}
		}
	}
	if alone && c.include("overlay_versions") {
		o["overlay_versions"] = r.versions("overlay_versions", 5)
	}
	return o
}

func (c *call) registrationBinding(r *row) Object {
	key, _ := r.obj["developer_key_id"].(int64)
	b := c.s.world.bindings[[2]int64{RootAccount, key}]
	return Object{
		"id": b.id, "account_id": RootAccount, "root_account_id": RootAccount, "registration_id": r.id, "workflow_state": b.state, "created_at": r.obj["created_at"],
		"updated_at": r.obj["updated_at"], "created_by": r.obj["created_by"], "updated_by": r.obj["updated_by"],
	}
}

// registration finds the one in the path: of the account, or inherited.
func (c *call) registration() (r *row, bad answer, ok bool) {
	account := c.account()
	if account == nil {
		return nil, notFound(), false
	}
	r = c.s.world.row(Registrations, atoi(c.path["id"]))
	if r == nil || r.parent != 0 && r.parent != account.id {
		return nil, notFound(), false
	}
	return r, answer{}, true
}

func listRegistrations(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	rows := slices.Concat(c.s.world.in(Registrations, account.id), c.s.world.in(Registrations, 0))
	by := func(r *row) string {
		switch c.param("sort") {
		case "name":
			return r.text("name")
		case "nickname":
			return r.text("admin_nickname")
		case "lti_version":
			return r.text("lti_version")
		case "updated":
			return r.text("updated_at")
		}
		return fmt.Sprintf("%020d", r.seq)
	}
	slices.SortStableFunc(rows, func(a, b *row) int {
		if c.param("dir") == "asc" {
			return cmp.Compare(by(a), by(b))
		}
		return cmp.Compare(by(b), by(a))
	})
	return c.paged(listOf(rows, func(r *row) Object { return c.registrationView(r, false) }), paging{usual: 15, wrap: "data", total: true})
}

func getRegistration(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	return ok(c.registrationView(r, true))
}

func registrationByClient(c *call) answer {
	for _, r := range c.s.world.all(Registrations) {
		if r.obj["developer_key_id"] == keyID(c.path["client_id"]) {
			return ok(c.registrationView(r, true))
		}
	}
	return notFound()
}

func createRegistration(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	config := c.object("configuration")
	if len(config) == 0 {
		return answer{status: http.StatusBadRequest, body: Object{"errors": []string{"param is missing or the value is empty: configuration"}}}
	}
	for _, name := range []string{"title", "target_link_uri", "oidc_initiation_url"} {
		if config[name] == nil {
			return answer{status: http.StatusUnprocessableEntity, body: Object{"errors": []string{"object at root is missing required properties: " + name}}}
		}
	}
	fields := Object{"name": config["title"], "configuration": config, "state": orText(c.param("workflow_state"), "off"), "created_by": c.author(), "updated_by": c.author()}
	for _, name := range []string{"name", "admin_nickname", "vendor", "description", "unified_tool_id"} {
		if c.has(name) {
			fields[name] = c.param(name)
		}
	}
	if overlay := c.object("overlay"); len(overlay) > 0 {
		fields["overlay"] = overlay
	}
	return answer{status: http.StatusCreated, body: c.registrationView(c.s.add(Registrations, account.id, fields), true)}
}

// author is the user as registrations show them.
func (c *call) author() Object {
	r := c.s.world.row(Users, c.who.user)
	return Object{"id": r.id, "created_at": r.obj["created_at"], "integration_id": r.obj["integration_id"], "name": r.obj["name"], "short_name": r.obj["short_name"], "sis_import_id": nil, "sis_user_id": r.obj["sis_user_id"], "sortable_name": r.obj["sortable_name"]}
}

func updateRegistration(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	config := c.object("configuration")
	if len(config) > 0 && r.obj["dynamic_registration"] == true {
		return answer{status: http.StatusUnprocessableEntity, body: Object{"errors": []string{"Dynamic Registration configurations cannot be updated"}}}
	}
	before := c.snapshot(r)
	for _, name := range []string{"name", "admin_nickname", "vendor", "description"} {
		if c.has(name) {
			r.obj[name] = c.param(name)
		}
	}
	if len(config) > 0 {
		r.obj["configuration"] = config
	}
	if overlay := c.object("overlay"); len(overlay) > 0 {
		c.setOverlay(r, overlay, false)
	}
	if state := c.param("workflow_state"); state != "" {
		c.s.world.bind(r.obj["developer_key_id"].(int64), state)
		r.obj["state"] = state
	}
	c.changed(r, before)
	return ok(c.registrationView(r, true))
}

func resetRegistration(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	before := c.snapshot(r)
	c.setOverlay(r, nil, true)
	c.changed(r, before)
	return ok(c.registrationView(r, true))
}

func deleteRegistration(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	if r.parent == 0 {
		return c.unauthorized()
	}
	r.obj["workflow_state"] = "deleted"
	o := c.registrationView(r, true)
	r.deleted = true
	if key := c.s.world.row(DeveloperKeys, r.obj["developer_key_id"].(int64)); key != nil {
		key.deleted = true
	}
	return ok(o)
}

func bindRegistration(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	state := c.param("workflow_state")
	if !slices.Contains([]string{"on", "off", "allow"}, state) || state == "allow" && r.parent != 0 {
		return invalidStrings("workflow_state is invalid")
	}
	c.s.world.bind(r.obj["developer_key_id"].(int64), state)
	r.obj["state"], r.obj["updated_at"], r.obj["updated_by"] = state, stamp(c.now), c.author()
	return ok(c.registrationBinding(r))
}
