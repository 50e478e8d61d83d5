package canvastest

import (
	"maps"
	"slices"
)

// snapshot is a registration as its history shows it. The shape is that which
// Canvas' own web pages read (instructure/canvas-lms, ui/features/
// lti_registrations); the documentation does not have it.
func (c *call) snapshot(r *row) Object {
	key := c.s.world.row(DeveloperKeys, r.obj["developer_key_id"].(int64))
	config := asObject(r.obj["configuration"])
	pick := func(from Object, names ...string) Object {
		out := make(Object, len(names))
		for _, name := range names {
			out[name] = from[name]
		}
		return out
	}
	registration := pick(r.obj, "admin_nickname", "name", "vendor", "description")
	registration["workflow_state"] = r.obj["state"]
	return Object{
		"internal_config": config, "overlaid_internal_config": overlaid(config, r.overlay()), "overlay": maps.Clone(r.overlay()), "registration": registration,
		"developer_key": pick(key.obj, "email", "user_name", "name", "redirect_uri", "redirect_uris", "icon_url", "vendor_code", "public_jwk", "public_jwk_url", "scopes"),
	}
}

// changed notes a change in the history, and what follows from it.
func (c *call) changed(r *row, before Object) {
	r.obj["updated_at"], r.obj["updated_by"] = stamp(c.now), c.author()
	c.s.completeRegistration(r)
	after := c.snapshot(r)
	diff := Object{}
	for name, field := range map[string]string{"registration": "registration", "internal_lti_configuration": "internal_config", "developer_key": "developer_key", "overlay": "overlay"} {
		if d := diffOf("", before[field], after[field]); len(d) > 0 {
			diff[name] = d
		}
	}
	if len(diff) == 0 {
		return
	}
	entry := Object{
		"id": c.s.world.nextID(), "root_account_id": RootAccount, "lti_registration_id": r.id, "created_at": stamp(c.now), "updated_at": stamp(c.now), "diff": diff,
		"update_type": "manual_edit", "comment": nil, "created_by": c.author(), "old_configuration": before, "new_configuration": after,
	}
	if c.has("comment") {
		entry["comment"] = c.param("comment")
	}
	r.note("history", entry)
}

func (r *row) note(list string, entry Object) {
	entries, _ := r.hidden[list].([]Object)
	r.hidden[list] = append([]Object{entry}, entries...)
}

func (r *row) versions(list string, most int) []Object {
	entries, _ := r.hidden[list].([]Object)
	return slices.Clone(entries[:min(len(entries), most)])
}

func (c *call) setOverlay(r *row, overlay Object, reset bool) {
	if r.hidden["overlay_id"] == nil {
		r.hidden["overlay_id"] = c.s.world.nextID()
	}
	diff := diffOf("", r.overlay(), overlay)
	r.obj["overlay"] = overlay
	if overlay == nil {
		r.obj["overlay"] = nil
	}
	r.note("overlay_versions", Object{
		"root_account_id": RootAccount, "created_at": stamp(c.now), "updated_at": stamp(c.now), "caused_by_reset": reset, "created_by": c.author(), "diff": diff,
		"lti_overlay_id": r.hidden["overlay_id"], "account_id": RootAccount,
	})
}

func overlayHistory(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	limit := 10
	if n := atoi(c.param("limit")); n > 0 {
		limit = int(min(n, 100))
	}
	return ok(r.versions("overlay_versions", limit))
}

func registrationHistory(c *call) answer {
	r, bad, good := c.registration()
	if !good {
		return bad
	}
	return c.paged(listOfObjects(r.versions("history", 1<<20)), paging{bookmarks: true})
}
