package canvastest

import (
	"slices"
	"strings"
)

const (
	moduleFields = "name:s unlock_at:t position:i require_sequential_progress:b prerequisite_module_ids:n publish_final_grade:b published:b"
	itemFields   = "title:s type:s content_id:i position:i indent:i page_url:s external_url:s new_tab:b published:b"

	// manyItems is from how many items on Canvas leaves them out of a module,
	// also when they were asked for.
	manyItems = 1000
)

// moduleRoutes: documentation, page "Modules".
func moduleRoutes() []*route {
	const modules = "/api/v1/courses/:course_id/modules"
	const items = modules + "/:module_id/items"
	read := "search_term student_id include[]=items,content_details,estimated_durations"
	item := params("module_item", itemFields) + "module_item[completion_requirement][* module_item[iframe][* module_item[module_id]"
	return []*route{
		lists("GET "+modules, asUser, listModules, read),
		on("POST "+modules, asUser, createModule, params("module", moduleFields)),
		on("GET "+modules+"/:id", asUser, getModule, read),
		on("PUT "+modules+"/:id", asUser, putModule, params("module", moduleFields)),
		on("DELETE "+modules+"/:id", asUser, deleteModule, ""),
		lists("GET "+items, asUser, listItems, "search_term student_id include[]=content_details,estimated_durations"),
		on("POST "+items, asUser, createItem, item),
		on("GET "+items+"/:id", asUser, getItem, "student_id include[]=content_details"),
		on("PUT "+items+"/:id", asUser, putItem, item),
		on("DELETE "+items+"/:id", asUser, deleteItem, ""),
	}
}

func (c *call) moduleView(r *row) Object {
	o := plain(r)
	items := c.s.world.in(ModuleItems, r.id)
	o["items_count"] = len(items)
	o["items_url"] = c.host() + "/api/v1/courses/" + itoa(r.parent) + "/modules/" + itoa(r.id) + "/items"
	if c.include("items") && len(items) < manyItems {
		list := make([]Object, len(items))
		for i, item := range items {
			list[i] = c.itemView(item)
		}
		o["items"] = list
	}
	return o
}

func listModules(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	term := strings.ToLower(c.param("search_term"))
	keep := func(r *row) bool { return strings.Contains(strings.ToLower(r.text("name")), term) }
	return c.paged(c.rows(Modules, course.id, keep, c.moduleView), paging{})
}

// module finds the module in the path.
func (c *call) module(param string, manage bool) (r *row, bad answer, ok bool) {
	course, bad, ok := c.course("course_id", manage)
	if !ok {
		return nil, bad, false
	}
	if r = c.inCourse(Modules, course, c.path[param]); r == nil {
		return nil, notFound(), false
	}
	return r, answer{}, true
}

func getModule(c *call) answer {
	r, bad, good := c.module("id", false)
	if !good {
		return bad
	}
	return ok(c.moduleView(r))
}

func createModule(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	if c.param("module[name]") == "" {
		return missing("module[name]")
	}
	r := c.s.add(Modules, course.id, Object{"position": int64(len(c.s.world.in(Modules, course.id)) + 1), "published": false})
	if wrong := c.change(r.obj, "module", moduleFields); wrong != "" {
		r.deleted = true
		return invalid(wrong, "invalid", "is invalid")
	}
	return ok(c.moduleView(r))
}

func putModule(c *call) answer {
	r, bad, good := c.module("id", true)
	if !good {
		return bad
	}
	if wrong := c.change(r.obj, "module", moduleFields); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	return ok(c.moduleView(r))
}

func deleteModule(c *call) answer {
	r, bad, good := c.module("id", true)
	if !good {
		return bad
	}
	r.deleted = true
	return ok(c.moduleView(r))
}

// itemView leaves out what an item of its type does not have.
func (c *call) itemView(r *row) Object {
	o := plain(r)
	module := c.s.world.table(Modules).rows[r.parent]
	o["html_url"] = c.host() + "/courses/" + itoa(module.parent) + "/modules/items/" + itoa(r.id)
	drop := map[string][]string{
		"SubHeader": {"content_id", "page_url", "external_url", "new_tab", "url", "html_url", "iframe"}, "Page": {"content_id", "external_url", "new_tab", "iframe"},
		"ExternalUrl": {"content_id", "page_url", "url", "iframe"}, "ExternalTool": {"page_url"},
	}
	gone, ok := drop[r.text("type")]
	if !ok {
		gone = []string{"page_url", "external_url", "new_tab", "iframe"}
	}
	for _, name := range gone {
		delete(o, name)
	}
	if o["completion_requirement"] == nil {
		delete(o, "completion_requirement")
	}
	if c.include("content_details") {
		o["content_details"] = Object{"locked_for_user": false}
	}
	return o
}

func listItems(c *call) answer {
	r, bad, good := c.module("module_id", false)
	if !good {
		return bad
	}
	term := strings.ToLower(c.param("search_term"))
	keep := func(r *row) bool { return strings.Contains(strings.ToLower(r.text("title")), term) }
	return c.paged(c.rows(ModuleItems, r.id, keep, c.itemView), paging{})
}

func (c *call) item(manage bool) (r *row, bad answer, ok bool) {
	module, bad, ok := c.module("module_id", manage)
	if !ok {
		return nil, bad, false
	}
	if r = c.find(ModuleItems, c.path["id"]); r == nil || r.parent != module.id {
		return nil, notFound(), false
	}
	return r, answer{}, true
}

func getItem(c *call) answer {
	r, bad, good := c.item(false)
	if !good {
		return bad
	}
	return ok(c.itemView(r))
}

func createItem(c *call) answer {
	module, bad, good := c.module("module_id", true)
	if !good {
		return bad
	}
	kind := c.param("module_item[type]")
	kinds := []string{"File", "Page", "Discussion", "Assignment", "Quiz", "SubHeader", "ExternalUrl", "ExternalTool"}
	switch {
	case kind == "":
		return missing("module_item[type]")
	case !slices.Contains(kinds, kind):
		return failure(400, "Invalid type")
	case kind == "Page" && c.param("module_item[page_url]") == "":
		return missing("module_item[page_url]")
	case strings.HasPrefix(kind, "External") && c.param("module_item[external_url]") == "":
		return missing("module_item[external_url]")
	}
	r := c.s.add(ModuleItems, module.id, Object{"position": int64(len(c.s.world.in(ModuleItems, module.id)) + 1), "published": false})
	return c.changeItem(r)
}

func (c *call) changeItem(r *row) answer {
	if wrong := c.change(r.obj, "module_item", itemFields); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	if requirement := c.object("module_item[completion_requirement]"); len(requirement) > 0 {
		r.obj["completion_requirement"] = requirement
	}
	return ok(c.itemView(r))
}

func putItem(c *call) answer {
	r, bad, good := c.item(true)
	if !good {
		return bad
	}
	return c.changeItem(r)
}

func deleteItem(c *call) answer {
	r, bad, good := c.item(true)
	if !good {
		return bad
	}
	r.deleted = true
	return ok(c.itemView(r))
}
