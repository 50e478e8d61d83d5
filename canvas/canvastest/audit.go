package canvastest

import (
	"cmp"
	"slices"
	"time"
)

// auditLife is how long events are kept.
const auditLife = 365 * 24 * time.Hour

// auditRoutes: documentation, pages "Authentications Log", "Course Audit Log",
// "Grade Change Log".
func auditRoutes() []*route {
	const times = "start_time end_time"
	return []*route{
		lists("GET /api/v1/audit/authentication/logins/:login_id", asAdmin, authentication, times),
		lists("GET /api/v1/audit/authentication/accounts/:account_id", asAdmin, authentication, times),
		lists("GET /api/v1/audit/authentication/users/:user_id", asAdmin, authentication, times),
		lists("GET /api/v1/audit/course/courses/:course_id", asAdmin, courseAudit, times),
		lists("GET /api/v1/audit/course/accounts/:account_id", asAdmin, courseAudit, times),
		lists("GET /api/v1/audit/grade_change/assignments/:assignment_id", asAdmin, gradeChanges, times),
		lists("GET /api/v1/audit/grade_change/courses/:course_id", asAdmin, gradeChanges, times),
		lists("GET /api/v1/audit/grade_change/students/:student_id", asAdmin, gradeChanges, times),
		lists("GET /api/v1/audit/grade_change/graders/:grader_id", asAdmin, gradeChanges, times),
		lists("GET /api/v1/audit/grade_change", asAdmin, gradeChanges, times+" course_id assignment_id student_id grader_id"),
	}
}

// events answers with the events of a kind that match, newest first, as a
// compound document.
func (c *call) events(kind Kind, match func(links Object) bool, linked map[string]Kind) answer {
	from, given, good := c.when("start_time")
	to, until, good2 := c.when("end_time")
	if !good || !good2 {
		return invalid("start_time", "invalid", "is invalid")
	}
	var rows []*row
	for _, r := range c.s.world.all(kind) {
		at := r.at()
		if !match(asObject(r.obj["links"])) || c.now.Sub(at) > auditLife || given && at.Before(from) || until && at.After(to) {
			continue
		}
		rows = append(rows, r)
	}
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(b.eventKey(), a.eventKey()) })
	around := Object{"links": Object{}, "linked": c.linked(rows, linked)}
	for name, kind := range linked {
		around["links"].(Object)["events."+name] = c.host() + "/api/v1/" + plural(kind) + "/{events." + name + "}"
	}
	l := list{len: len(rows), at: func(i int) Object { return plain(rows[i]) }, key: func(i int) int64 { return rows[i].eventKey() }}
	return c.paged(l, paging{bookmarks: true, noLast: true, wrap: "events", around: around})
}

func plural(kind Kind) string { return string(kind) + "s" }

// at is when an event happened.
func (r *row) at() time.Time {
	t, err := time.Parse(time.RFC3339, r.text("created_at"))
	if err != nil {
		panic("canvastest: created_at is " + r.text("created_at") + ", not a time")
	}
	return t
}

// eventKey orders events by their time, and by their creation within a second.
func (r *row) eventKey() int64 { return r.at().Unix()*1_000_000 + r.seq%1_000_000 }

// linked are the resources that the events name.
func (c *call) linked(rows []*row, kinds map[string]Kind) Object {
	out := Object{"page_views": c.viewsOf(rows)}
	for name, kind := range kinds {
		list, seen := []Object{}, map[int64]bool{}
		for _, r := range rows {
			id, _ := asObject(r.obj["links"])[name].(int64)
			if other := c.s.world.row(kind, id); other != nil && !seen[id] {
				seen[id] = true
				list = append(list, plain(other))
			}
		}
		previous, _ := out[plural(kind)].([]Object)
		out[plural(kind)] = append(previous, list...)
	}
	return out
}

// viewsOf are the page views that events name as the requests by which they were made.
func (c *call) viewsOf(rows []*row) []Object {
	named := make(map[string]bool)
	for _, r := range rows {
		if id, ok := asObject(r.obj["links"])["page_view"].(string); ok {
			named[id] = true
		}
	}
	list := []Object{}
	if len(named) == 0 {
		return list
	}
	for _, v := range c.s.world.all(PageViews) {
		if named[v.text("id")] {
			list = append(list, plain(v))
		}
	}
	return list
}

func authentication(c *call) answer {
	if c.s.NoAudit {
		return notFound()
	}
	name, id := "account", int64(0)
	switch {
	case c.path["login_id"] != "":
		name, id = "login", atoi(c.path["login_id"])
	case c.path["user_id"] != "":
		r := c.find(Users, c.path["user_id"])
		if r == nil {
			return notFound()
		}
		name, id = "user", r.id
	default:
		r := c.account()
		if r == nil {
			return notFound()
		}
		id = r.id
	}
	a := c.events(AuthenticationEvents, func(l Object) bool { return l[name] == id }, map[string]Kind{"account": Accounts, "user": Users})
	if o := asObject(a.body); o != nil {
		o["linked"].(Object)["logins"] = []Object{}
	}
	return a
}

func courseAudit(c *call) answer {
	if c.s.NoAudit {
		return notFound()
	}
	name, r := "course", c.find(Courses, c.path["course_id"])
	if c.path["account_id"] != "" {
		name, r = "account", c.account()
	}
	if r == nil {
		return notFound()
	}
	return c.events(CourseEvents, func(l Object) bool { return l[name] == r.id }, map[string]Kind{"course": Courses, "user": Users})
}

func gradeChanges(c *call) answer {
	if c.s.NoAudit {
		return notFound()
	}
	wanted := map[string]int64{}
	for _, q := range []struct {
		param, link string
		kind        Kind
	}{{"assignment_id", "assignment", Assignments}, {"course_id", "course", Courses}, {"student_id", "student", Users}, {"grader_id", "grader", Users}} {
		text := orText(c.path[q.param], c.param(q.param))
		if text == "" {
			continue
		}
		r := c.find(q.kind, text)
		if r == nil {
			return notFound()
		}
		wanted[q.link] = r.id
	}
	if len(wanted) == 0 {
		return notFound() // there is no log of everything
	}
	match := func(links Object) bool {
		for name, id := range wanted {
			if links[name] != id {
				return false
			}
		}
		return true
	}
	return c.events(GradeChanges, match, map[string]Kind{"course": Courses, "assignment": Assignments, "student": Users, "grader": Users})
}
