package canvastest

import (
	"net/http"
	"slices"
	"strings"
)

const (
	pageFields       = "title:s body:s editing_roles:s published:b front_page:b publish_at:t"
	assignmentFields = "name:s position:i submission_types:l points_possible:f due_at:t unlock_at:t lock_at:t description:s assignment_group_id:i published:b grading_type:s " +
		"omit_from_final_grade:b allowed_attempts:i peer_reviews:b anonymous_grading:b grading_standard_id:i integration_id:s sis_assignment_id:s only_visible_to_overrides:b"
)

// pageRoutes: documentation, page "Pages".
func pageRoutes() []*route {
	const pages = "/api/v1/courses/:course_id/pages"
	write := params("wiki_page", pageFields) + "wiki_page[notify_of_update]"
	return []*route{
		lists("GET "+pages, asUser, listPages, "sort order search_term published include[]=body"),
		on("POST "+pages, asUser, createPage, write),
		on("GET "+pages+"/:url_or_id", asUser, getPage, ""),
		on("PUT "+pages+"/:url_or_id", asUser, putPage, write),
		on("DELETE "+pages+"/:url_or_id", asUser, deletePage, ""),
	}
}

// pageView leaves the id out: pages have page_id.
func (c *call) pageView(r *row, body bool) Object {
	o := plain(r, "id")
	o["html_url"] = c.host() + "/courses/" + itoa(r.parent) + "/pages/" + r.text("url")
	if !body && !c.include("body") {
		delete(o, "body")
	}
	return o
}

func listPages(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	term := strings.ToLower(c.param("search_term"))
	keep := func(r *row) bool {
		return strings.Contains(strings.ToLower(r.text("title")), term) && (!c.has("published") || c.flag("published") == (r.obj["published"] == true))
	}
	return c.paged(c.rows(Pages, course.id, keep, func(r *row) Object { return c.pageView(r, false) }), paging{})
}

// coursePage finds a page by its url, by its id, or by "page_id:" and its id.
func (c *call) coursePage(course *row) *row {
	name := c.path["url_or_id"]
	for _, r := range c.s.world.in(Pages, course.id) {
		if r.text("url") == name || itoa(r.id) == strings.TrimPrefix(name, "page_id:") {
			return r
		}
	}
	return nil
}

func getPage(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	r := c.coursePage(course)
	if r == nil {
		return notFound()
	}
	return ok(c.pageView(r, true))
}

func createPage(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	if c.param("wiki_page[title]") == "" {
		return invalid("title", "blank", "can't be blank")
	}
	r := c.s.add(Pages, course.id, Object{"title": c.param("wiki_page[title]"), "published": false})
	return c.changePage(r)
}

func (c *call) changePage(r *row) answer {
	if wrong := c.change(r.obj, "wiki_page", pageFields); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	if r.obj["front_page"] == true && r.obj["published"] != true {
		r.obj["front_page"] = false
		return invalid("front_page", "invalid", "The front page must be published")
	}
	if c.has("wiki_page[title]") {
		r.obj["url"] = slug(r.text("title"))
	}
	author := c.s.world.row(Users, c.who.user)
	r.obj["last_edited_by"] = Object{"id": author.id, "display_name": author.obj["name"]}
	return ok(c.pageView(r, true))
}

// putPage changes a page, or creates it if there is none of that name.
func putPage(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	r := c.coursePage(course)
	if r == nil {
		name := c.path["url_or_id"]
		r = c.s.add(Pages, course.id, Object{"title": name, "url": slug(name), "published": false})
	}
	return c.changePage(r)
}

func deletePage(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	r := c.coursePage(course)
	if r == nil {
		return notFound()
	}
	if r.obj["front_page"] == true {
		return invalid("front_page", "invalid", "The front page cannot be deleted")
	}
	r.deleted = true
	return ok(c.pageView(r, true))
}

// assignmentRoutes: documentation, page "Assignments".
func assignmentRoutes() []*route {
	const assignments = "/api/v1/courses/:course_id/assignments"
	write := params("assignment", assignmentFields) + "assignment[external_tool_tag_attributes][*"
	read := "override_assignment_dates needs_grading_count_by_section all_dates include[]=submission,assignment_visibility,overrides,observed_users,can_edit,score_statistics,all_dates,ab_guid"
	return []*route{
		lists("GET "+assignments, asUser, listAssignments, "search_term bucket assignment_ids[] order_by post_to_sis new_quizzes "+read),
		on("POST "+assignments, asUser, createAssignment, write),
		on("GET "+assignments+"/:id", asUser, getAssignment, read),
		on("PUT "+assignments+"/:id", asUser, putAssignment, write),
		on("DELETE "+assignments+"/:id", asUser, deleteAssignment, ""),
	}
}

func (c *call) assignmentView(r *row) Object {
	o := plain(r)
	o["html_url"] = c.host() + "/courses/" + itoa(r.parent) + "/assignments/" + itoa(r.id)
	if r.obj["external_tool_tag_attributes"] == nil {
		delete(o, "external_tool_tag_attributes")
	}
	return o
}

func listAssignments(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	term := strings.ToLower(c.param("search_term"))
	keep := func(r *row) bool {
		return strings.Contains(strings.ToLower(r.text("name")), term) && (!c.has("assignment_ids[]") || slices.Contains(c.params["assignment_ids[]"], itoa(r.id)))
	}
	return c.paged(c.rows(Assignments, course.id, keep, c.assignmentView), paging{})
}

func getAssignment(c *call) answer {
	course, bad, good := c.course("course_id", false)
	if !good {
		return bad
	}
	r := c.inCourse(Assignments, course, c.path["id"])
	if r == nil {
		return notFound()
	}
	return ok(c.assignmentView(r))
}

func createAssignment(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	if c.param("assignment[name]") == "" {
		return invalid("name", "blank", "can't be blank")
	}
	r := c.s.add(Assignments, course.id, Object{"published": false, "workflow_state": "unpublished", "submission_types": []string{"none"}})
	return c.changeAssignment(r, http.StatusCreated)
}

func (c *call) changeAssignment(r *row, status int) answer {
	if wrong := c.change(r.obj, "assignment", assignmentFields); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	if tag := c.object("assignment[external_tool_tag_attributes]"); len(tag) > 0 {
		r.obj["external_tool_tag_attributes"] = tag
	}
	r.obj["workflow_state"] = "unpublished"
	if r.obj["published"] == true {
		r.obj["workflow_state"] = "published"
	}
	return answer{status: status, body: c.assignmentView(r)}
}

func putAssignment(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	r := c.inCourse(Assignments, course, c.path["id"])
	if r == nil {
		return notFound()
	}
	return c.changeAssignment(r, http.StatusOK)
}

func deleteAssignment(c *call) answer {
	course, bad, good := c.course("course_id", true)
	if !good {
		return bad
	}
	r := c.inCourse(Assignments, course, c.path["id"])
	if r == nil {
		return notFound()
	}
	r.deleted = true
	r.obj["workflow_state"] = "deleted"
	return ok(c.assignmentView(r))
}
