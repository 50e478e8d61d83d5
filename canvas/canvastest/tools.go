package canvastest

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// placements are the places in Canvas where a tool can appear (documentation,
// page "External Tools", as published on 2026-02-15).
var placements = []string{
	"account_navigation", "analytics_hub", "assignment_edit", "assignment_group_menu", "assignment_index_menu", "assignment_menu", "assignment_selection", "assignment_view", "collaboration",
	"conference_selection", "course_assignments_menu", "course_home_sub_navigation", "course_navigation", "course_settings_sub_navigation", "discussion_topic_index_menu", "discussion_topic_menu",
	"editor_button", "file_index_menu", "file_menu", "global_navigation", "homework_submission", "link_selection", "migration_selection", "module_group_menu", "module_index_menu",
	"module_index_menu_modal", "module_menu_modal", "module_menu", "page_index_menu", "page_menu", "post_grades", "quiz_index_menu", "quiz_menu", "resource_selection", "similarity_detection",
	"student_context_card", "submission_type_selection", "tool_configuration", "top_navigation", "user_navigation", "wiki_index_menu", "wiki_page_menu", "ActivityAssetProcessor",
	"ActivityAssetProcessorContribution",
}

// toolFields: documentation, page "External Tools". A placement that is not
// configured is null.
func toolFields(now string) Object {
	o := Object{
		"name": "Tool", "description": nil, "url": nil, "domain": nil, "consumer_key": "N/A", "created_at": now, "updated_at": now, "privacy_level": "anonymous", "custom_fields": Object{},
		"workflow_state": "anonymous", "is_rce_favorite": false, "is_top_nav_favorite": false, "selection_width": nil, "selection_height": nil, "icon_url": nil, "not_selectable": false,
		"version": "1.3", "unified_tool_id": nil, "developer_key_id": nil, "lti_registration_id": nil, "deployment_id": nil, "prefer_sis_email": false, "estimated_duration": nil,
	}
	for _, p := range placements {
		o[p] = nil
	}
	return o
}

// completeTool fills what depends on the rest, and the defaults of placements.
func (s *Server) completeTool(r *row) {
	if r.obj["deployment_id"] == nil {
		r.obj["deployment_id"] = itoa(r.id) + ":" + s.hex40()
	}
	if r.obj["version"] == "1.1" && r.obj["consumer_key"] == "N/A" {
		r.obj["consumer_key"] = "key"
	}
	r.obj["workflow_state"] = r.obj["privacy_level"]
	for _, p := range placements {
		given := asObject(r.obj[p])
		if given == nil {
			continue
		}
		o := Object{"enabled": true, "message_type": defaultMessage(r.text("version"), p), "label": r.obj["name"], "text": nil, "url": nil, "target_link_uri": nil, "selection_width": r.obj["selection_width"], "selection_height": r.obj["selection_height"], "icon_url": nil}
		if p == "course_navigation" || p == "account_navigation" {
			o["default"], o["visibility"] = "enabled", nil
		}
		maps.Copy(o, given)
		r.obj[p] = o
	}
}

// defaultMessage is the message that a placement sends when it does not say.
func defaultMessage(version, placement string) string {
	selects := strings.HasSuffix(placement, "_selection") || placement == "editor_button" || placement == "homework_submission" || placement == "module_index_menu_modal"
	switch {
	case version == "1.1" && selects:
		return "ContentItemSelectionRequest"
	case version == "1.1":
		return "basic_lti_request"
	case selects:
		return "LtiDeepLinkingRequest"
	}
	return "LtiResourceLinkRequest"
}

func toolRoutes() []*route {
	write := "client_id name privacy_level consumer_key shared_secret description url domain icon_url text custom_fields* is_rce_favorite config_type config_xml config_url not_selectable " +
		"oauth_compliant unified_tool_id selection_width selection_height verify_uniqueness prefer_sis_email"
	for _, p := range placements {
		write += " " + p + "[*"
	}
	var routes []*route
	for _, base := range []string{"/api/v1/accounts/:account_id", "/api/v1/courses/:course_id"} {
		tools := base + "/external_tools"
		routes = append(routes,
			lists("GET "+tools, asUser, listTools, "search_term selectable include_parents placement include[]"),
			on("POST "+tools, asUser, createTool, write),
			on("GET "+tools+"/sessionless_launch", asUser, sessionlessLaunch, "id url assignment_id module_item_id launch_type resource_link_lookup_uuid"),
			on("GET "+tools+"/:external_tool_id", asUser, getTool, ""),
			on("PUT "+tools+"/:external_tool_id", asUser, putTool, write),
			on("DELETE "+tools+"/:external_tool_id", asUser, deleteTool, ""),
			lists("GET "+base+"/lti_apps/launch_definitions", asUser, launchDefinitions, "placements[] only_visible"),
		)
	}
	return routes
}

// toolContext finds the account or course in the path.
func (c *call) toolContext(manage bool) (r *row, bad answer, ok bool) {
	if c.path["course_id"] != "" {
		return c.course("course_id", manage)
	}
	if r = c.account(); r == nil {
		return nil, notFound(), false
	}
	if !c.admin() {
		return nil, c.unauthorized(), false
	}
	return r, answer{}, true
}

// toolsIn lists the tools of a context and, with parents, of what is above it.
func (c *call) toolsIn(context *row, parents bool) []*row {
	rows := c.s.world.in(ExternalTools, context.id)
	if !parents {
		return rows
	}
	rows = slices.Clone(rows)
	for id := context.parent; id != 0; {
		rows = append(rows, c.s.world.in(ExternalTools, id)...)
		up := c.s.world.row(Accounts, id)
		if up == nil {
			break
		}
		id = up.parent
	}
	return rows
}

func listTools(c *call) answer {
	context, bad, good := c.toolContext(false)
	if !good {
		return bad
	}
	term, placement := strings.ToLower(c.param("search_term")), c.param("placement")
	rows := slices.DeleteFunc(slices.Clone(c.toolsIn(context, c.flag("include_parents"))), func(r *row) bool {
		return !strings.Contains(strings.ToLower(r.text("name")), term) || placement != "" && asObject(r.obj[placement]) == nil ||
			c.flag("selectable") && r.obj["not_selectable"] == true
	})
	return c.paged(listOf(rows, func(r *row) Object { return plain(r) }), paging{})
}

// tool finds the tool in the path, in its own context only.
func (c *call) tool(manage bool) (r *row, bad answer, ok bool) {
	context, bad, ok := c.toolContext(manage)
	if !ok {
		return nil, bad, false
	}
	r = c.s.world.row(ExternalTools, atoi(c.path["external_tool_id"]))
	if r == nil || r.parent != context.id {
		return nil, notFound(), false
	}
	return r, answer{}, true
}

func getTool(c *call) answer {
	r, bad, good := c.tool(false)
	if !good {
		return bad
	}
	return ok(plain(r))
}

func createTool(c *call) answer {
	context, bad, good := c.toolContext(true)
	if !good {
		return bad
	}
	if c.has("client_id") {
		return c.installByKey(context)
	}
	for _, name := range []string{"name", "consumer_key", "shared_secret"} {
		if c.param(name) == "" {
			return invalid(name, "blank", "can't be blank")
		}
	}
	if c.param("url") == "" && c.param("domain") == "" {
		return invalid("url", "Either the url or domain should be set.", "Either the url or domain should be set.")
	}
	r := c.s.add(ExternalTools, context.id, Object{"version": "1.1", "privacy_level": orText(c.param("privacy_level"), "anonymous"), "consumer_key": c.param("consumer_key")})
	return c.changeTool(r)
}

// installByKey makes a deployment of an LTI 1.3 tool.
func (c *call) installByKey(context *row) answer {
	key := c.s.world.row(DeveloperKeys, keyID(c.param("client_id")))
	if key == nil || key.obj["is_lti_key"] != true || !c.s.world.bound(key.id) {
		return notFound()
	}
	config := asObject(key.obj["tool_configuration"])
	fields := Object{"developer_key_id": key.id, "name": orText(textOf(config["title"]), key.text("name")), "url": config["target_link_uri"], "domain": config["domain"], "privacy_level": orText(textOf(config["privacy_level"]), "anonymous")}
	for _, r := range c.s.world.all(Registrations) {
		if r.obj["developer_key_id"] == key.id {
			fields["lti_registration_id"] = r.id
		}
	}
	list, _ := config["placements"].([]any)
	for _, p := range list {
		o := maps.Clone(asObject(p))
		name := textOf(o["placement"])
		delete(o, "placement")
		if slices.Contains(placements, name) {
			fields[name] = o
		}
	}
	return ok(plain(c.s.add(ExternalTools, context.id, fields)))
}

func textOf(v any) string { s, _ := v.(string); return s }

func (c *call) changeTool(r *row) answer {
	const simple = "name:s description:s url:s domain:s icon_url:s privacy_level:s not_selectable:b is_rce_favorite:b selection_width:i selection_height:i unified_tool_id:s prefer_sis_email:b"
	if wrong := c.change(r.obj, "", simple); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	if custom := c.object("custom_fields"); len(custom) > 0 {
		r.obj["custom_fields"] = custom
	}
	for _, p := range placements {
		if given := c.object(p); len(given) > 0 {
			o := maps.Clone(asObject(r.obj[p]))
			if o == nil {
				o = Object{}
			}
			maps.Copy(o, given)
			r.obj[p] = o
		}
	}
	c.s.completeTool(r)
	return ok(plain(r))
}

func putTool(c *call) answer {
	r, bad, good := c.tool(true)
	if !good {
		return bad
	}
	return c.changeTool(r)
}

func deleteTool(c *call) answer {
	r, bad, good := c.tool(true)
	if !good {
		return bad
	}
	r.obj["workflow_state"] = "deleted"
	r.deleted = true
	return ok(plain(r))
}

// sessionlessLaunch gives an address that launches a tool without a session in
// the browser.
func sessionlessLaunch(c *call) answer {
	context, bad, good := c.toolContext(false)
	if !good {
		return bad
	}
	if !c.has("id") && !c.has("url") && !c.has("resource_link_lookup_uuid") && c.param("launch_type") != "assessment" && c.param("launch_type") != "module_item" {
		return invalid("id", "A tool id, tool url, module item id, or resource link lookup uuid must be provided", "A tool id, tool url, module item id, or resource link lookup uuid must be provided")
	}
	r := c.launched(context)
	if r == nil {
		return Object{"errors": Object{"external_tool": "Unable to find a matching external tool"}}.as(http.StatusNotFound)
	}
	where := "/accounts/"
	if c.path["course_id"] != "" {
		where = "/courses/"
	}
	address := c.host() + where + itoa(context.id) + "/external_tools/sessionless_launch?verifier=" + c.s.hex40()
	if r.obj["version"] == "1.3" {
		address = c.host() + where + itoa(context.id) + "/external_tools/" + itoa(r.id) + "?display=borderless&session_token=" + c.s.token40()
	}
	return ok(Object{"id": r.id, "name": r.obj["name"], "url": address})
}

// launched finds the tool of a launch, by id, address, assignment or item.
func (c *call) launched(context *row) *row {
	tools := c.toolsIn(context, true)
	byURL := func(address string) *row {
		u, err := url.Parse(address)
		for _, r := range tools {
			if err == nil && address != "" && (r.text("url") == address || r.text("domain") != "" && strings.HasSuffix(u.Host, r.text("domain"))) {
				return r
			}
		}
		return nil
	}
	switch c.param("launch_type") {
	case "assessment":
		a := c.find(Assignments, c.param("assignment_id"))
		if a == nil || a.parent != context.id {
			return nil
		}
		return byURL(textOf(asObject(a.obj["external_tool_tag_attributes"])["url"]))
	case "module_item":
		item := c.find(ModuleItems, c.param("module_item_id"))
		if item == nil || item.text("type") != "ExternalTool" {
			return nil
		}
		return byURL(item.text("external_url"))
	}
	for _, r := range tools {
		if itoa(r.id) == c.param("id") {
			if p := c.param("launch_type"); p != "" && asObject(r.obj[p]) == nil {
				return nil
			}
			return r
		}
	}
	return byURL(c.param("url"))
}

// definitions is what launch_definitions said last; Canvas keeps it for 10
// minutes.
type definitions struct {
	list  []Object
	until time.Time
}

func launchDefinitions(c *call) answer {
	context, bad, good := c.toolContext(false)
	if !good {
		return bad
	}
	at := itoa(context.id) + "?" + strings.Join(c.params["placements[]"], ",")
	kept := c.s.world.definitions[at]
	if !c.now.Before(kept.until) {
		kept = definitions{until: c.now.Add(10 * time.Minute)}
		for _, r := range c.toolsIn(context, true) {
			if o := definition(r, c.params["placements[]"]); o != nil {
				kept.list = append(kept.list, o)
			}
		}
		c.s.world.definitions[at] = kept
	}
	return c.paged(listOfObjects(kept.list), paging{})
}

func definition(r *row, wanted []string) Object {
	where := Object{}
	for _, p := range placements {
		o := asObject(r.obj[p])
		if o == nil || o["enabled"] == false || len(wanted) > 0 && !slices.Contains(wanted, p) {
			continue
		}
		where[p] = Object{"message_type": o["message_type"], "url": orText(textOf(o["target_link_uri"]), orText(textOf(o["url"]), r.text("url"))), "title": o["label"]}
	}
	if len(where) == 0 {
		return nil
	}
	return Object{"definition_type": "ContextExternalTool", "definition_id": r.id, "url": r.obj["url"], "name": r.obj["name"], "description": r.obj["description"], "domain": r.obj["domain"], "placements": where}
}
