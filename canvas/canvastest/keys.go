package canvastest

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// binding is the state of a developer key in an account.
type binding struct {
	id    int64
	state string
}

// keyFields: documentation, page "Developer Keys".
func (s *Server) keyFields(now string, r *row) Object {
	return Object{
		"name": "Key " + itoa(r.id), "created_at": now, "updated_at": now, "workflow_state": "active", "is_lti_key": false, "email": nil, "icon_url": nil, "notes": nil, "vendor_code": nil,
		"account_name": nil, "visible": true, "scopes": []string{}, "redirect_uri": nil, "redirect_uris": "", "access_token_count": int64(0), "last_used_at": nil, "test_cluster_only": false,
		"allow_includes": false, "require_scopes": false, "client_credentials_audience": nil, "api_key": s.token40() + s.token40()[:24], "tool_configuration": nil, "public_jwk": nil,
		"public_jwk_url": nil, "lti_registration": nil, "is_lti_registration": false, "user_name": nil, "user_id": nil, "unified_tool_id": nil,
		// Not in Canvas' answers: whether the client is public, and the state of
		// the key in the root account.
		"client_type": "confidential", "state": "on",
	}
}

// completeKey moves what the API does not show.
func (s *Server) completeKey(r *row) {
	if r.hidden["public"] == nil || r.obj["client_type"] == "public" {
		r.hidden["public"] = r.obj["client_type"] == "public"
	}
	r.obj["client_type"] = "confidential"
	if r.hidden["public"] == true {
		r.obj["client_type"] = "public"
	}
	if account := s.world.row(Accounts, r.parent); account != nil {
		r.obj["account_name"] = account.obj["name"]
	}
	s.world.bind(r.id, r.text("state"))
}

// bind sets the state of a key in the root account, where all keys are switched.
func (w *world) bind(key int64, state string) *binding {
	at := [2]int64{RootAccount, key}
	b := w.bindings[at]
	if b == nil {
		b = &binding{id: w.nextID()}
		w.bindings[at] = b
	}
	b.state = state
	return b
}

// bound says that a key is on.
func (w *world) bound(key int64) bool {
	b := w.bindings[[2]int64{RootAccount, key}]
	return b != nil && b.state == "on"
}

// usable says that a key may be used on this instance.
func (w *world) usable(id int64, testCluster bool) bool {
	key := w.row(DeveloperKeys, id)
	return key != nil && key.text("workflow_state") == "active" && (key.obj["test_cluster_only"] != true || testCluster)
}

func (w *world) requiresScopes(id int64) bool {
	key := w.row(DeveloperKeys, id)
	return key != nil && key.obj["require_scopes"] == true
}

func (w *world) allowIncludes(id int64) bool {
	key := w.row(DeveloperKeys, id)
	return key != nil && key.obj["allow_includes"] == true
}

const keyParams = "name:s email:s icon_url:s notes:s redirect_uri:s redirect_uris:s vendor_code:s visible:b test_cluster_only:b client_credentials_audience:s scopes:l require_scopes:b allow_includes:b"

func keyRoutes() []*route {
	write := params("developer_key", keyParams) + "developer_key[auto_expire_tokens] developer_key[event]"
	return []*route{
		lists("GET /api/v1/accounts/:account_id/developer_keys", asAdmin, listKeys, "inherited"),
		on("POST /api/v1/accounts/:account_id/developer_keys", asAdmin, createKey, write),
		on("PUT /api/v1/developer_keys/:id", asAdmin, updateKey, write),
		on("DELETE /api/v1/developer_keys/:id", asAdmin, deleteKey, ""),
		on("POST /api/v1/developer_keys/:id/regenerate_secret", asAdmin, regenerateSecret, ""),
		on("POST /api/v1/accounts/:account_id/developer_keys/:developer_key_id/developer_key_account_bindings", asAdmin, bindKey,
			"workflow_state developer_key_account_binding[workflow_state]"),
		on("GET /api/lti/developer_keys/:developer_key_id/tool_configuration", asAdmin, getToolConfiguration, ""),
		on("PUT /api/lti/developer_keys/:developer_key_id/tool_configuration", asAdmin, putToolConfiguration, "tool_configuration[* developer_key[* account_id"),
	}
}

// keyView shows a key as Canvas does: those of LTI tools without a secret, those
// of Instructure without one either.
func (c *call) keyView(r *row) Object {
	o := plain(r, "client_type", "state")
	o["id"] = itoa(r.id) // a text: the id is a global one
	if r.obj["is_lti_key"] == true || r.parent == 0 {
		delete(o, "api_key")
	} else {
		delete(o, "tool_configuration")
	}
	count := 0
	for _, t := range c.s.world.tokens {
		if t.Key == r.id && !t.revoked && t.client == 0 {
			count++
		}
	}
	o["access_token_count"] = count
	b := c.s.world.bindings[[2]int64{RootAccount, r.id}]
	o["developer_key_account_binding"] = c.bindingView(r, b)
	return o
}

func (c *call) bindingView(key *row, b *binding) Object {
	return Object{"id": b.id, "account_id": RootAccount, "developer_key_id": itoa(key.id), "workflow_state": b.state, "account_owns_binding": true}
}

func listKeys(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	parent := account.id
	if c.flag("inherited") {
		parent = 0
	}
	// Newest first, with bookmarks and no last link.
	rows := slices.Clone(c.s.world.in(DeveloperKeys, parent))
	slices.Reverse(rows)
	return c.paged(listOf(rows, c.keyView), paging{bookmarks: true})
}

func createKey(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	if account.id != RootAccount {
		return wrongDomain()
	}
	r := c.s.add(DeveloperKeys, account.id, Object{"state": "off"})
	if wrong := c.change(r.obj, "developer_key", keyParams); wrong != "" {
		r.deleted = true
		return invalid(wrong, "invalid", "is invalid")
	}
	if r.obj["require_scopes"] == true && len(r.obj["scopes"].([]string)) == 0 {
		r.deleted = true
		return invalid("scopes", "must_be_present", "must be present if require_scopes is true")
	}
	return ok(c.keyView(r))
}

func wrongDomain() answer {
	return answer{status: http.StatusForbidden, body: messages("Developer keys may only be managed from their account's domain")}
}

// ownKey finds a key that is managed here.
func (c *call) ownKey(param string) (r *row, bad answer, ok bool) {
	r = c.s.world.row(DeveloperKeys, keyID(c.path[param]))
	if r == nil {
		return nil, notFound(), false
	}
	if r.parent != RootAccount {
		return nil, wrongDomain(), false
	}
	return r, answer{}, true
}

func updateKey(c *call) answer {
	r, bad, good := c.ownKey("id")
	if !good {
		return bad
	}
	if wrong := c.change(r.obj, "developer_key", keyParams); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	switch c.param("developer_key[event]") {
	case "activate":
		r.obj["workflow_state"] = "active"
	case "deactivate":
		r.obj["workflow_state"] = "inactive"
	}
	return ok(c.keyView(r))
}

func deleteKey(c *call) answer {
	r, bad, good := c.ownKey("id")
	if !good {
		return bad
	}
	r.obj["workflow_state"] = "deleted"
	r.deleted = true
	return ok(c.keyView(r))
}

// regenerateSecret is refused to tokens that were made by hand.
func regenerateSecret(c *call) answer {
	r, bad, good := c.ownKey("id")
	if !good {
		return bad
	}
	if r.obj["is_lti_key"] == true || c.who.token == nil || c.who.token.Key == 0 {
		return c.unauthorized()
	}
	r.obj["api_key"] = c.s.token40() + c.s.token40()[:24]
	return ok(c.keyView(r))
}

// bindKey switches a key on or off. The state comes by itself in JSON, or within
// developer_key_account_binding.
func bindKey(c *call) answer {
	account := c.account()
	key := c.s.world.row(DeveloperKeys, keyID(c.path["developer_key_id"]))
	if account == nil || key == nil || key.parent != 0 && key.parent != account.id {
		return notFound()
	}
	state := orText(c.param("developer_key_account_binding[workflow_state]"), c.param("workflow_state"))
	switch {
	case state == "":
		return missing("developer_key_account_binding")
	case !slices.Contains([]string{"on", "off", "allow"}, state):
		return recordInvalid("workflow_state", "is not included in the list", "inclusion")
	}
	b := c.s.world.bind(key.id, state)
	key.obj["state"] = state
	return ok(c.bindingView(key, b))
}

func getToolConfiguration(c *call) answer {
	key := c.s.world.row(DeveloperKeys, keyID(c.path["developer_key_id"]))
	if key == nil || key.obj["is_lti_key"] != true {
		return notFound()
	}
	return ok(Object{"developer_key": c.keyView(key), "tool_configuration": Object{"developer_key_id": itoa(key.id), "settings": key.obj["tool_configuration"], "privacy_level": "public", "disabled_placements": []string{}}})
}

func putToolConfiguration(c *call) answer {
	key := c.s.world.row(DeveloperKeys, keyID(c.path["developer_key_id"]))
	if key == nil || key.obj["is_lti_key"] != true {
		return notFound()
	}
	settings, _ := c.object("tool_configuration")["settings"].(Object)
	if len(settings) == 0 {
		return missing("tool_configuration")
	}
	old, _ := key.obj["tool_configuration"].(Object)
	merged := maps.Clone(old)
	if merged == nil {
		merged = Object{}
	}
	maps.Copy(merged, settings)
	key.obj["tool_configuration"] = merged
	return getToolConfiguration(c)
}

// nested collects parameters such as "a[b][c]" into an object. Lists are of
// texts; what looks like a boolean or a number becomes one.
func nested(values map[string][]string, prefix string) Object {
	out := Object{}
	for name, v := range values {
		rest, ok := strings.CutPrefix(name, prefix+"[")
		if !ok || len(v) == 0 {
			continue
		}
		keys := strings.Split(strings.TrimSuffix(rest, "]"), "][")
		at := out
		for len(keys) > 1 && keys[1] != "" {
			next, _ := at[keys[0]].(Object)
			if next == nil {
				next = Object{}
				at[keys[0]] = next
			}
			at, keys = next, keys[1:]
		}
		if len(keys) > 1 {
			at[keys[0]] = slices.Clone(v)
			continue
		}
		at[keys[0]] = scalar(v[len(v)-1])
	}
	return out
}

func scalar(text string) any {
	switch text {
	case "true":
		return true
	case "false":
		return false
	}
	if n := atoi(text); n != 0 && itoa(n) == text {
		return n
	}
	return text
}
