package canvastest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

func TestCourses(t *testing.T) {
	var fake canvastest.Server
	r := send(t, &fake, "POST", "/api/v1/accounts/self/courses", url.Values{"course[name]": {"Biology"}, "course[sis_course_id]": {"BIO 101/1"}, "course[start_at]": {"2027-02-01T09:00:00+10:00"}})
	course := r.json(t)
	assert.Equal(t, "unpublished", course["workflow_state"])
	assert.Equal(t, "2027-01-31T23:00:00Z", course["start_at"])
	for _, path := range []string{"sis_course_id:BIO%20101%2F1", "hex:sis_course_id:42494f203130312f31", fmt.Sprintf("1~%v", course["id"]), "uuid:" + course["uuid"].(string)} {
		assert.Equal(t, course["id"], get(t, &fake, "/api/v1/courses/"+path).json(t)["id"], path)
	}
	path := fmt.Sprintf("/api/v1/courses/%v", course["id"])
	sendJSON(t, &fake, "PUT", path, `{"course":{"event":"offer","name":"Biology I"}}`)
	assert.Equal(t, "available", get(t, &fake, path).json(t)["workflow_state"])
	dup := send(t, &fake, "POST", "/api/v1/accounts/1/courses", url.Values{"course[sis_course_id]": {"BIO 101/1"}})
	assert.Equal(t, http.StatusBadRequest, dup.StatusCode)

	student := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
	token := bearer(fake.AddToken(canvastest.Token{User: student}))
	assert.Equal(t, http.StatusUnauthorized, get(t, &fake, path, token...).StatusCode)
	fake.Enroll(int64(course["id"].(float64)), student)
	seen := get(t, &fake, path, token...).json(t)
	assert.NotContains(t, seen, "sis_course_id", "fields vanish by permission")
	assert.Len(t, get(t, &fake, "/api/v1/courses", token...).list(t), 1)
	assert.Equal(t, http.StatusUnauthorized, send(t, &fake, "DELETE", path, url.Values{"event": {"delete"}}, token...).StatusCode)
	assert.Equal(t, http.StatusOK, send(t, &fake, "DELETE", path+"?event=delete", nil).StatusCode)
	assert.Equal(t, http.StatusNotFound, get(t, &fake, path).StatusCode)
	assert.Empty(t, fake.Problems())
}

func TestPagesAssignmentsAndModules(t *testing.T) {
	var fake canvastest.Server
	course := fmt.Sprintf("/api/v1/courses/%d", fake.Add(canvastest.Courses, canvastest.RootAccount, nil))

	page := send(t, &fake, "POST", course+"/pages", url.Values{"wiki_page[title]": {"Week 1: Cells"}, "wiki_page[body]": {"<p>Hi</p>"}}).json(t)
	assert.Equal(t, "week-1-cells", page["url"])
	assert.NotContains(t, page, "id")
	assert.NotContains(t, get(t, &fake, course+"/pages").list(t)[0], "body")
	assert.Equal(t, "<p>Hi</p>", get(t, &fake, course+"/pages?include[]=body").list(t)[0]["body"])
	assert.Equal(t, "<p>Hi</p>", get(t, &fake, course+"/pages/week-1-cells").json(t)["body"])
	created := sendJSON(t, &fake, "PUT", course+"/pages/new-page", `{"wiki_page":{"body":"x","published":true}}`)
	assert.Equal(t, true, created.json(t)["published"], "a PUT creates")
	front := send(t, &fake, "PUT", course+"/pages/week-1-cells", url.Values{"wiki_page[front_page]": {"true"}})
	assert.Equal(t, http.StatusBadRequest, front.StatusCode)
	assert.Equal(t, http.StatusOK, send(t, &fake, "DELETE", course+"/pages/new-page", nil).StatusCode)

	a := sendJSON(t, &fake, "POST", course+"/assignments", `{"assignment":{"name":"Essay","points_possible":20,"submission_types":["online_upload"],"due_at":null,"published":true}}`)
	assert.Equal(t, http.StatusCreated, a.StatusCode)
	assignment := a.json(t)
	assert.Equal(t, "published", assignment["workflow_state"])
	path := fmt.Sprintf("%s/assignments/%v", course, assignment["id"])
	assert.Equal(t, 25.0, send(t, &fake, "PUT", path, url.Values{"assignment[points_possible]": {"25"}}).json(t)["points_possible"])
	assert.Equal(t, http.StatusBadRequest, send(t, &fake, "PUT", path, url.Values{"assignment[due_at]": {"tomorrow"}}).StatusCode)
	send(t, &fake, "DELETE", path, nil)
	assert.Equal(t, http.StatusNotFound, get(t, &fake, path).StatusCode, "deleted")

	module := send(t, &fake, "POST", course+"/modules", url.Values{"module[name]": {"Week 1"}, "module[prerequisite_module_ids][]": {"5", "6"}}).json(t)
	assert.Equal(t, []any{5.0, 6.0}, module["prerequisite_module_ids"])
	items := fmt.Sprintf("%s/modules/%v/items", course, module["id"])
	item := send(t, &fake, "POST", items, url.Values{"module_item[type]": {"ExternalTool"}, "module_item[external_url]": {"https://tool.example.com"}, "module_item[completion_requirement][type]": {"must_view"}}).json(t)
	assert.Equal(t, map[string]any{"type": "must_view"}, item["completion_requirement"])
	assert.Equal(t, http.StatusBadRequest, send(t, &fake, "POST", items, url.Values{"module_item[type]": {"Page"}}).StatusCode)
	send(t, &fake, "PUT", fmt.Sprintf("%s/%v", items, item["id"]), url.Values{"module_item[title]": {"Tool"}})
	assert.Equal(t, "Tool", get(t, &fake, items).list(t)[0]["title"])
	with := get(t, &fake, course+"/modules?include[]=items").list(t)[0]
	assert.Len(t, with["items"], 1)
	for range 1000 {
		fake.Add(canvastest.ModuleItems, int64(module["id"].(float64)), nil)
	}
	large := get(t, &fake, course+"/modules?include[]=items").list(t)[0]
	assert.NotContains(t, large, "items", "left out of large modules")
	assert.Equal(t, 1001.0, large["items_count"])
	assert.Empty(t, fake.Problems())
}

func TestJobsAdvanceInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := &canvastest.Server{ProgressTime: time.Minute}
		course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"workflow_state": "unpublished"})
		begin := func() string {
			r := send(t, fake, "PUT", "/api/v1/accounts/1/courses", url.Values{"course_ids[]": {fmt.Sprint(course)}, "event": {"offer"}})
			require.Equal(t, "queued", r.json(t)["workflow_state"])
			return r.json(t)["url"].(string)
		}
		job := begin()
		state := func() any { return get(t, fake, job).json(t)["workflow_state"] }
		time.Sleep(30 * time.Second)
		assert.Equal(t, 50.0, get(t, fake, job).json(t)["completion"])
		assert.Equal(t, "running", state())
		assert.Equal(t, "unpublished", get(t, fake, fmt.Sprintf("/api/v1/courses/%d", course)).json(t)["workflow_state"])
		time.Sleep(31 * time.Second)
		assert.Equal(t, "completed", state())
		assert.Equal(t, "available", get(t, fake, fmt.Sprintf("/api/v1/courses/%d", course)).json(t)["workflow_state"])
		assert.Equal(t, http.StatusBadRequest, send(t, fake, "POST", job+"/cancel", nil).StatusCode)

		fake.SetJobsFail(true)
		job = begin()
		time.Sleep(61 * time.Second)
		r := get(t, fake, job)
		assert.Equal(t, http.StatusOK, r.StatusCode, "a failed job is a 200")
		assert.Equal(t, "failed", r.json(t)["workflow_state"])
		job = begin()
		send(t, fake, "POST", job+"/cancel", url.Values{"message": {"enough"}})
		time.Sleep(2 * time.Minute)
		assert.Equal(t, "enough", get(t, fake, job).json(t)["message"])
		assert.Empty(t, fake.Problems())
	})
}

// An LTI tool asks for the progress of what it began.
func TestProgressForTools(t *testing.T) {
	fake := &canvastest.Server{Throttle: canvastest.Throttle{Disabled: true}}
	o := newTool(t)
	o.register(fake, 170000000000011)
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	job := fake.Add(canvastest.Progresses, 0, canvastest.Object{"context_type": "Course", "context_id": course, "workflow_state": "running", "completion": 30.0})
	path := fmt.Sprintf("/api/lti/courses/%d/progress/%d", course, job)
	assert.Equal(t, "running", get(t, fake, path, bearer(o.token(t, fake, progressScope))...).json(t)["workflow_state"])
	assert.Equal(t, http.StatusUnauthorized, get(t, fake, path).StatusCode, "not for people")
	assert.Equal(t, http.StatusUnauthorized, get(t, fake, self, bearer(o.token(t, fake, progressScope))...).StatusCode, "not for tools")
}

func TestModulesOneByOne(t *testing.T) {
	var fake canvastest.Server
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	module := fake.Add(canvastest.Modules, course, nil)
	item := fake.Add(canvastest.ModuleItems, module, canvastest.Object{"type": "Page", "page_url": "welcome"})
	one := fmt.Sprintf("/api/v1/courses/%d/modules/%d", course, module)
	assert.Equal(t, 1.0, get(t, &fake, one).json(t)["items_count"])
	assert.Equal(t, "Week 2", send(t, &fake, "PUT", one, url.Values{"module[name]": {"Week 2"}}).json(t)["name"])
	got := get(t, &fake, fmt.Sprintf("%s/items/%d", one, item)).json(t)
	assert.Equal(t, "welcome", got["page_url"])
	assert.NotContains(t, got, "content_id")
	send(t, &fake, "DELETE", fmt.Sprintf("%s/items/%d", one, item), nil)
	assert.Empty(t, get(t, &fake, one+"/items").list(t))
	send(t, &fake, "DELETE", one, nil)
	assert.Equal(t, http.StatusNotFound, get(t, &fake, one).StatusCode)
	fake.Add(canvastest.Assignments, course, canvastest.Object{"name": "Essay"})
	assert.Len(t, get(t, &fake, fmt.Sprintf("/api/v1/courses/%d/assignments?search_term=ess", course)).list(t), 1)
	assert.Empty(t, fake.Problems())
}
