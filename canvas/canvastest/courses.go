package canvastest

import (
	"slices"
	"strings"
)

const courseFields = "name:s course_code:s start_at:t end_at:t license:s is_public:b is_public_to_auth_users:b public_syllabus:b public_syllabus_to_auth:b " +
	"restrict_enrollments_to_course_dates:b term_id:i sis_course_id:s integration_id:s hide_final_grades:b time_zone:s default_view:s syllabus_body:s grading_standard_id:i " +
	"grade_passback_setting:s course_format:s storage_quota_mb:i blueprint:b template:b account_id:i"

const courseIncludes = "include[]=needs_grading_count,syllabus_body,public_description,total_scores,current_grading_period_scores,grading_periods,term,account,course_progress,sections," +
	"storage_quota_used_mb,total_students,passback_status,favorites,teachers,observed_users,course_image,banner_image,concluded,permissions,tabs,all_courses,post_manually"

// courseRoutes: documentation, page "Courses".
func courseRoutes() []*route {
	search := "search_term state[] published completed blueprint blueprint_associated by_teachers[] by_subaccounts[] hide_enrollmentless_courses enrollment_type[] enrollment_workflow_state[] " +
		"enrollment_term_id sort order search_by starts_before ends_after homeroom with_enrollments public "
	return []*route{
		lists("GET /api/v1/courses", asUser, listCourses, "enrollment_type enrollment_role enrollment_role_id enrollment_state exclude_blueprint_courses homeroom account_id state[] "+courseIncludes),
		lists("GET /api/v1/accounts/:account_id/courses", asAdmin, listAccountCourses, search+courseIncludes),
		on("POST /api/v1/accounts/:account_id/courses", asAdmin, createCourse, params("course", courseFields)+"offer enroll_me enable_sis_reactivation"),
		on("GET /api/v1/courses/:id", asUser, getCourse, "teacher_limit "+courseIncludes),
		on("PUT /api/v1/courses/:id", asUser, updateCourse, params("course", courseFields)+"course[event] offer override_sis_stickiness"),
		on("DELETE /api/v1/courses/:id", asUser, deleteCourse, "event"),
	}
}

func (c *call) courseView(r *row) Object {
	o := plain(r, "syllabus_body")
	if !c.admin() {
		delete(o, "sis_course_id")
		delete(o, "sis_import_id")
		delete(o, "integration_id")
	}
	if c.include("syllabus_body") {
		o["syllabus_body"] = r.obj["syllabus_body"]
	}
	if c.include("total_students") {
		o["total_students"] = len(c.s.world.enrolled[r.id])
	}
	if c.include("term") {
		o["term"] = Object{"id": r.obj["enrollment_term_id"], "name": "Default Term", "start_at": nil, "end_at": nil}
	}
	if c.include("concluded") {
		o["concluded"] = r.text("workflow_state") == "completed"
	}
	return o
}

// listCourses lists those that the caller is enrolled in. Canvas does not list
// the others to an administrator here.
func listCourses(c *call) answer {
	var rows []*row
	for _, r := range c.s.world.all(Courses) {
		if c.s.world.enrolled[r.id][c.who.user] && r.inState(c.params["state[]"]) {
			rows = append(rows, r)
		}
	}
	return c.paged(listOf(rows, c.courseView), paging{})
}

func (r *row) inState(states []string) bool {
	return len(states) == 0 || slices.Contains(states, r.text("workflow_state"))
}

func listAccountCourses(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	term := strings.ToLower(c.param("search_term"))
	if term != "" && len(term) < 2 {
		return invalidStrings("search_term must be at least 2 characters")
	}
	keep := func(r *row) bool {
		published := r.text("workflow_state") != "unpublished"
		return r.inState(c.params["state[]"]) && (!c.has("published") || c.flag("published") == published) &&
			(term == "" || strings.Contains(strings.ToLower(r.text("name")+" "+r.text("course_code")), term) || itoa(r.id) == term)
	}
	return c.paged(c.rows(Courses, account.id, keep, c.courseView), paging{})
}

func createCourse(c *call) answer {
	account := c.account()
	if account == nil {
		return notFound()
	}
	r := c.s.add(Courses, account.id, Object{"workflow_state": "unpublished"})
	if wrong := c.changeCourse(r); wrong != "" {
		r.deleted = true
		return invalid(wrong, "invalid", "is invalid")
	}
	if c.flag("offer") {
		r.obj["workflow_state"] = "available"
	}
	return ok(c.courseView(r))
}

// changeCourse reads the parameters of a course. The name of the term is another
// one on the way in than on the way out.
func (c *call) changeCourse(r *row) (wrong string) {
	changed := Object{}
	if wrong := c.change(changed, "course", courseFields); wrong != "" {
		return wrong
	}
	if id, ok := changed["sis_course_id"].(string); ok && id != "" {
		if other := c.findBy(Courses, "sis_course_id", id); other != nil && other != r {
			return "sis_source_id"
		}
	}
	for name, v := range changed {
		switch name {
		case "term_id":
			r.obj["enrollment_term_id"] = v
		case "account_id":
			r.obj["account_id"] = v
		default:
			r.obj[name] = v
		}
	}
	return ""
}

func getCourse(c *call) answer {
	r, bad, good := c.course("id", false)
	if !good {
		return bad
	}
	return ok(c.courseView(r))
}

func updateCourse(c *call) answer {
	r, bad, good := c.course("id", true)
	if !good {
		return bad
	}
	if wrong := c.changeCourse(r); wrong != "" {
		return invalid(wrong, "invalid", "is invalid")
	}
	if state := map[string]string{"claim": "unpublished", "offer": "available", "conclude": "completed", "undelete": "unpublished"}[c.param("course[event]")]; state != "" {
		r.obj["workflow_state"] = state
	}
	if c.param("course[event]") == "delete" {
		r.deleted = true
	}
	if c.flag("offer") {
		r.obj["workflow_state"] = "available"
	}
	return ok(c.courseView(r))
}

func deleteCourse(c *call) answer {
	r, bad, good := c.course("id", true)
	if !good {
		return bad
	}
	switch c.param("event") {
	case "delete":
		r.deleted = true
		return ok(Object{"delete": true})
	case "conclude":
		r.obj["workflow_state"] = "completed"
		return ok(Object{"conclude": true})
	}
	return missing("event")
}
