package canvas_test

import (
	"fmt"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// campus is a client of a Canvas of its own. The test fails if the client asked
// for something that Canvas does not know.
func campus(t testing.TB) (*canvas.Client, *canvastest.Server) {
	t.Helper()
	fake := &canvastest.Server{}
	c, err := canvas.New(canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client()})
	require.NoError(t, err)
	t.Cleanup(func() { assert.Empty(t, fake.Problems()) })
	return c, fake
}

// all reads a list that must have no error.
func all[T any](t testing.TB, seq iter.Seq2[T, error]) []T {
	t.Helper()
	var out []T
	for v, err := range seq {
		require.NoError(t, err)
		out = append(out, v)
	}
	return out
}

func ref(id int64) canvas.Ref { return canvas.ID(id).Ref() }

func TestUsers(t *testing.T) {
	c, fake := campus(t)
	u, err := c.GetUser(t.Context(), canvas.Self, "email", "last_login")
	require.NoError(t, err)
	assert.Equal(t, "QA Administrator", u.Name)
	is(t, "qa-admin", u.LoginID, "login")
	p, err := c.GetProfile(t.Context(), canvas.Self)
	require.NoError(t, err)
	is(t, "qa-admin@example.edu", p.PrimaryEmail, "address")
	assert.False(t, p.LTIUserID.IsZero())
	other := fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Ada Byron", "sis_user_id": "s/1"})
	u, err = c.GetUser(t.Context(), canvas.SIS("sis_user_id", "s/1"))
	require.NoError(t, err)
	assert.Equal(t, canvas.ID(other), u.ID)
	_, err = c.GetUser(t.Context(), "99999")
	require.ErrorIs(t, err, canvas.ErrNotFound)
	_, err = c.GetUser(t.Context(), "")
	require.Error(t, err, "a missing id never names a list")
}

// Requirement: CV-OAUTH-PURPOSE
func TestAccessTokens(t *testing.T) {
	c, _ := campus(t)
	_, err := c.CreateAccessToken(t.Context(), canvas.Self, canvas.TokenOptions{})
	require.ErrorContains(t, err, "purpose")
	assert.True(t, runbook.SafeToRetry(err))
	end := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	made, err := c.CreateAccessToken(t.Context(), canvas.Self, canvas.TokenOptions{Purpose: "reports", ExpiresAt: canvas.Value(canvas.Time{Time: end}), Scopes: []string{"url:GET|/api/v1/courses"}})
	require.NoError(t, err)
	require.False(t, made.Token.IsZero())
	isAt(t, "2030-01-02T03:04:05Z", made.ExpiresAt, "end")
	assert.NotContains(t, fmt.Sprintf("%v %+v %#v", made, made, made), made.Token.Reveal())

	again, err := c.RegenerateAccessToken(t.Context(), canvas.Self, made.ID.Ref(), canvas.Null[canvas.Time]{})
	require.NoError(t, err)
	assert.False(t, again.Token.IsZero())
	assert.False(t, again.Token.Equal(made.Token))
	isAt(t, "2030-01-02T03:04:05Z", again.ExpiresAt, "the end stays")

	found, err := c.GetAccessToken(t.Context(), canvas.Self, canvas.Ref(again.Hint))
	require.NoError(t, err)
	assert.True(t, found.Token.IsZero(), "shown once")
	require.NoError(t, c.DeleteAccessToken(t.Context(), canvas.Self, made.ID.Ref()))
	for _, left := range all(t, c.AccessTokens(t.Context(), canvas.Self)) {
		assert.NotEqual(t, made.ID, left.ID)
	}
	require.ErrorIs(t, c.DeleteAccessToken(t.Context(), canvas.Self, made.ID.Ref()), canvas.ErrNotFound)
}

// Requirement: CV-GOTCHA-12
func TestRegeneratingWithoutEffectIsAnError(t *testing.T) {
	c := newClient(t, answering(http.StatusOK, `{"id":1,"token_hint":"1~abc","purpose":"p"}`))
	_, err := c.RegenerateAccessToken(t.Context(), canvas.Self, "1", canvas.Null[canvas.Time]{})
	require.ErrorContains(t, err, "no new token")
	assert.False(t, runbook.SafeToRetry(err))
}

func TestAccounts(t *testing.T) {
	c, fake := campus(t)
	part := fake.Add(canvastest.Accounts, canvastest.RootAccount, canvastest.Object{"name": "Science"})
	deep := fake.Add(canvastest.Accounts, part, canvastest.Object{"name": "Biology"})
	root, err := c.GetAccount(t.Context(), canvas.Self)
	require.NoError(t, err)
	assert.True(t, root.ParentAccountID.IsNull())
	is(t, 500, root.DefaultStorageQuotaMB, "quota")
	assert.Len(t, all(t, c.Accounts(t.Context(), "lti_guid")), 3)
	assert.Len(t, all(t, c.SubAccounts(t.Context(), canvas.Self, false)), 1)
	sub := all(t, c.SubAccounts(t.Context(), canvas.Self, true))
	require.Len(t, sub, 2)
	assert.Equal(t, canvas.ID(deep), sub[1].ID)
	is(t, canvas.ID(part), sub[1].ParentAccountID, "parent")

	fake.SetAccountSettings(canvastest.RootAccount, canvastest.Object{"sis_source_of_truth": "x"})
	settings, err := c.GetAccountSettings(t.Context(), canvas.Self)
	require.NoError(t, err)
	assert.JSONEq(t, `"x"`, string(settings["sis_source_of_truth"]))
	environment, err := c.GetEnvironmentSettings(t.Context())
	require.NoError(t, err)
	assert.NotEmpty(t, environment)
	may, err := c.GetPermissions(t.Context(), canvas.Self, "manage_developer_keys", "view_audit_trail")
	require.NoError(t, err)
	assert.Equal(t, map[string]bool{"manage_developer_keys": true, "view_audit_trail": true}, may)
	_, err = c.GetPermissions(t.Context(), canvas.Self)
	require.Error(t, err)
	scopes := all(t, c.Scopes(t.Context(), canvas.Self))
	assert.Greater(t, len(scopes), 100)
	assert.Contains(t, scopes, "url:GET|/api/v1/courses/:id")
}

// Requirement: CV-GOTCHA-3, CV-GOTCHA-5
func TestCourses(t *testing.T) {
	c, fake := campus(t)
	for i := range 250 {
		fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": fmt.Sprintf("Course %03d", i), "sis_course_id": nil})
	}
	draft := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Draft", "workflow_state": "unpublished"})
	opts := &canvas.CoursesOptions{ListOptions: canvas.ListOptions{Parallel: 3}, Include: []string{"total_students", "term"}}
	seq := c.Courses(t.Context(), canvas.Self, opts)
	opts.Include[0], opts.Search = "nonsense", "zz"
	courses := all(t, seq)
	require.Len(t, courses, 251)
	assert.Equal(t, "Course 000", courses[0].Name)
	assert.Equal(t, "Course 249", courses[249].Name)
	assert.True(t, courses[0].SISCourseID.IsNull())
	is(t, 0, courses[0].TotalStudents, "a zero that was said")
	only := all(t, c.Courses(t.Context(), canvas.Self, &canvas.CoursesOptions{Published: canvas.Value(false), States: []string{"unpublished", "available"}}))
	require.Len(t, only, 1)
	assert.Equal(t, canvas.ID(draft), only[0].ID)
	assert.Len(t, all(t, c.Courses(t.Context(), canvas.Self, &canvas.CoursesOptions{Search: "course 24"})), 10)
	for _, err := range c.Courses(t.Context(), canvas.Self, &canvas.CoursesOptions{Search: "x"}) {
		require.ErrorIs(t, err, canvas.ErrInvalid)
	}
	assert.Empty(t, all(t, c.OwnCourses(t.Context())))
	me, err := c.GetUser(t.Context(), canvas.Self)
	require.NoError(t, err)
	fake.Enroll(draft, int64(me.ID))
	assert.Len(t, all(t, c.OwnCourses(t.Context(), "unpublished")), 1)
	one, err := c.GetCourse(t.Context(), ref(draft))
	require.NoError(t, err)
	assert.True(t, one.TotalStudents.IsZero(), "absent is not zero")
}

// A key with scopes that does not allow includes loses them in silence; the
// field is then absent, and not zero.
//
// Requirement: CV-OAUTH-INCLUDES
func TestIncludesThatAreIgnoredShowAsAbsent(t *testing.T) {
	fake := &canvastest.Server{}
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"})
	token := fake.AddToken(canvastest.Token{Scopes: []string{"url:GET|/api/v1/courses/:id"}})
	c, err := canvas.New(canvas.Config{BaseURL: "https://school.example.com", Token: runbook.NewSecret(token), HTTP: fake.Client()})
	require.NoError(t, err)
	got, err := c.GetCourse(t.Context(), ref(course), "total_students")
	require.NoError(t, err)
	assert.True(t, got.TotalStudents.IsZero())
}

func TestPages(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	page, err := c.CreatePage(t.Context(), course, canvas.PageChange{Title: canvas.Value("Week one"), Body: canvas.Value("<p>a/b</p>"), Published: canvas.Value(true)})
	require.NoError(t, err)
	assert.Equal(t, "week-one", page.URL)
	author, _ := page.LastEditedBy.Get()
	assert.Equal(t, "QA Administrator", author.Name)
	assert.True(t, all(t, c.Pages(t.Context(), course))[0].Body.IsZero())
	is(t, "<p>a/b</p>", all(t, c.Pages(t.Context(), course, "body"))[0].Body, "body")

	page, err = c.UpdatePage(t.Context(), course, page.Ref(), canvas.PageChange{Title: canvas.Value("Week 1")})
	require.NoError(t, err)
	assert.Equal(t, "week-1", page.URL)
	assert.True(t, page.Published, "what was not said stays")
	got, err := c.GetPage(t.Context(), course, "week-1")
	require.NoError(t, err)
	is(t, "<p>a/b</p>", got.Body, "body")
	require.NoError(t, c.DeletePage(t.Context(), course, page.Ref()))
	_, err = c.GetPage(t.Context(), course, "week-1")
	require.ErrorIs(t, err, canvas.ErrNotFound)
	_, err = c.CreatePage(t.Context(), course, canvas.PageChange{})
	require.ErrorIs(t, err, canvas.ErrInvalid)
}

// Requirement: CV-GOTCHA-4
func TestAssignments(t *testing.T) {
	c, fake := campus(t)
	course := ref(fake.Add(canvastest.Courses, canvastest.RootAccount, nil))
	due := canvas.Time{Time: time.Date(2026, 5, 4, 23, 59, 0, 0, time.FixedZone("", 10*3600))}
	a, err := c.CreateAssignment(t.Context(), course, canvas.AssignmentChange{
		Name: canvas.Value("Essay"), DueAt: canvas.Value(due), PointsPossible: canvas.Value(12.5), SubmissionTypes: []string{"online_upload", "online_url"},
	})
	require.NoError(t, err)
	isAt(t, "2026-05-04T13:59:00Z", a.DueAt, "due")
	is(t, 12.5, a.PointsPossible, "points")
	assert.Equal(t, []string{"online_upload", "online_url"}, a.SubmissionTypes)
	a, err = c.UpdateAssignment(t.Context(), course, a.ID.Ref(), canvas.AssignmentChange{DueAt: canvas.NullValue[canvas.Time](), Published: canvas.Value(true)})
	require.NoError(t, err)
	assert.True(t, a.DueAt.IsNull(), "taken away")
	assert.True(t, a.Published)
	is(t, 12.5, a.PointsPossible, "what was not said stays")
	assert.Len(t, all(t, c.Assignments(t.Context(), course, "ess")), 1)
	assert.Empty(t, all(t, c.Assignments(t.Context(), course, "zzz")))
	require.NoError(t, c.DeleteAssignment(t.Context(), course, a.ID.Ref()))
	_, err = c.GetAssignment(t.Context(), course, a.ID.Ref())
	require.ErrorIs(t, err, canvas.ErrNotFound)
}

func TestModules(t *testing.T) {
	c, fake := campus(t)
	id := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	course := ref(id)
	page := fake.Add(canvastest.Pages, id, canvastest.Object{"title": "Welcome"})
	m, err := c.CreateModule(t.Context(), course, canvas.ModuleChange{Name: canvas.Value("Start")})
	require.NoError(t, err)
	m, err = c.UpdateModule(t.Context(), course, m.ID.Ref(), canvas.ModuleChange{Published: canvas.Value(true)})
	require.NoError(t, err)
	is(t, true, m.Published, "published")
	item, err := c.CreateModuleItem(t.Context(), course, m.ID.Ref(), canvas.ModuleItemChange{Type: canvas.Value("Page"), PageURL: canvas.Value("welcome"), Title: canvas.Value("Hello")})
	require.NoError(t, err)
	is(t, "welcome", item.PageURL, "page")
	assert.True(t, item.ContentID.IsZero(), "a page has none")
	item, err = c.UpdateModuleItem(t.Context(), course, m.ID.Ref(), item.ID.Ref(), canvas.ModuleItemChange{Position: canvas.Value(1), Title: canvas.Value("Hi")})
	require.NoError(t, err)
	assert.Equal(t, "Hi", item.Title)
	got, err := c.GetModuleItem(t.Context(), course, m.ID.Ref(), item.ID.Ref())
	require.NoError(t, err)
	assert.Equal(t, item.ID, got.ID)
	modules := all(t, c.Modules(t.Context(), course))
	require.Len(t, modules, 1)
	items, ok := modules[0].Items.Get()
	require.True(t, ok)
	assert.Equal(t, "Hi", items[0].Title)
	assert.Equal(t, 1, modules[0].ItemsCount)

	for i := range 1000 { // Canvas leaves that many out
		fake.Add(canvastest.ModuleItems, int64(m.ID), canvastest.Object{"title": fmt.Sprint(i)})
	}
	_, ok = all(t, c.Modules(t.Context(), course))[0].Items.Get()
	assert.False(t, ok)
	assert.Len(t, all(t, c.ModuleItems(t.Context(), course, m.ID.Ref())), 1001)
	require.NoError(t, c.DeleteModuleItem(t.Context(), course, m.ID.Ref(), item.ID.Ref()))
	require.NoError(t, c.DeleteModule(t.Context(), course, m.ID.Ref()))
	_, err = c.GetModule(t.Context(), course, m.ID.Ref())
	require.ErrorIs(t, err, canvas.ErrNotFound)
	assert.NotNil(t, fake.Get(canvastest.Pages, page), "what an item leads to stays")
}
