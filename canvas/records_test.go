package canvas_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

var moment1, moment2 = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)

// Requirement: CV-PAGE-COMPOUND, CV-PAGE-BOOKMARK
func TestAuthenticationEvents(t *testing.T) {
	c, fake := campus(t)
	user := fake.Add(canvastest.Users, canvastest.RootAccount, canvastest.Object{"name": "Ada Byron"})
	now := time.Now().UTC().Truncate(time.Second)
	for i := range 230 {
		fake.Add(canvastest.AuthenticationEvents, user, canvastest.Object{"created_at": now.Add(-time.Duration(i) * time.Minute)})
	}
	events := all(t, c.AuthenticationEvents(t.Context(), canvas.AuditQuery{User: ref(user)}))
	require.Len(t, events, 230)
	for i, e := range events {
		assert.True(t, e.CreatedAt.Equal(now.Add(-time.Duration(i)*time.Minute)), "newest first")
		assert.Equal(t, "Ada Byron", e.UserName)
		assert.Equal(t, canvas.ID(user), e.UserID)
		assert.Equal(t, canvas.ID(1), e.AccountID)
	}
	some := all(t, c.AuthenticationEvents(t.Context(), canvas.AuditQuery{Account: canvas.Self, From: now.Add(-10 * time.Minute), To: now.Add(-5 * time.Minute)}))
	assert.Len(t, some, 6)
	for range c.AuthenticationEvents(t.Context(), canvas.AuditQuery{Account: canvas.Self}) {
		break
	}
	for _, wrong := range []canvas.AuditQuery{{}, {User: "1", Account: "1"}, {Course: "1"}, {User: "1", Grader: "2"}} {
		for _, err := range c.AuthenticationEvents(t.Context(), wrong) {
			require.Error(t, err)
		}
	}
	fake.NoAudit = true
	for _, err := range c.AuthenticationEvents(t.Context(), canvas.AuditQuery{Login: 5}) {
		require.ErrorIs(t, err, canvas.ErrNotFound)
	}
}

func TestCourseEvents(t *testing.T) {
	c, fake := campus(t)
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	fake.Add(canvastest.CourseEvents, course, canvastest.Object{
		"event_type": "updated", "event_source": "api", "event_data": canvastest.Object{"name": []any{"Old", "New"}},
		"links": canvastest.Object{"course": course, "user": int64(2), "page_view": nil, "account": canvastest.RootAccount},
	})
	for _, q := range []canvas.AuditQuery{{Course: ref(course)}, {Account: canvas.Self}} {
		events := all(t, c.CourseEvents(t.Context(), q))
		require.Len(t, events, 1)
		e := events[0]
		assert.Equal(t, canvas.ID(course), e.CourseID)
		assert.Equal(t, "QA Administrator", e.UserName)
		assert.Equal(t, "api", e.Source)
		assert.JSONEq(t, `["Old","New"]`, string(e.Data["name"]))
	}
	for _, wrong := range []canvas.AuditQuery{{}, {Course: "1", Account: "1"}, {User: "1"}} {
		for _, err := range c.CourseEvents(t.Context(), wrong) {
			require.Error(t, err)
		}
	}
}

func TestGradeChanges(t *testing.T) {
	c, fake := campus(t)
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	assignment := fake.Add(canvastest.Assignments, course, nil)
	student := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
	fake.Add(canvastest.GradeChanges, course, canvastest.Object{
		"grade_before": nil, "grade_after": "8", "graded_anonymously": nil,
		"links": canvastest.Object{"assignment": assignment, "course": course, "student": student, "grader": int64(2), "page_view": "e2b76430-27a5-0131-3ca1-48e0eb13f29b"},
	})
	for _, q := range []canvas.AuditQuery{{Course: ref(course)}, {Student: ref(student), Grader: canvas.Self}, {Assignment: ref(assignment), From: time.Now().Add(-time.Hour)}} {
		changes := all(t, c.GradeChanges(t.Context(), q))
		require.Len(t, changes, 1)
		assert.Equal(t, canvas.ID(student), changes[0].StudentID)
		assert.True(t, changes[0].GradeBefore.IsNull())
		is(t, "8", changes[0].GradeAfter, "grade")
		assert.Equal(t, "1", changes[0].Version)
		assert.True(t, changes[0].GradedAnonymously.IsNull())
	}
	assert.Empty(t, all(t, c.GradeChanges(t.Context(), canvas.AuditQuery{Course: ref(course), Student: canvas.Self})))
	for _, wrong := range []canvas.AuditQuery{{}, {Course: "1", Account: "1"}, {User: "1"}} {
		for _, err := range c.GradeChanges(t.Context(), wrong) {
			require.Error(t, err)
		}
	}
}

// What the events of a page refer to comes beside them (docs: Grade Change Log,
// Authentications Log, as published on 2026-02-15).
func TestAuditEventsFindWhatTheyReferTo(t *testing.T) {
	const view = "e2b76430-27a5-0131-3ca1-48e0eb13f29b"
	body := `{"links":{"events.user":"https://school.test/api/v1/users/{events.user}"},
		"events":[{"id":"` + view + `","created_at":"2012-07-19T15:00:00-06:00","event_type":"login","links":{"login":"9478","account":2319,"user":362,"page_view":"` + view + `"}}],
		"linked":{"logins":[{"id":9478,"account_id":2319,"unique_id":"ada@school.example","user_id":362}],"accounts":[{"id":2319}],"users":[{"id":362,"name":"Ada"}],
		"page_views":[{"id":"` + view + `","url":"https://school.test/login","remote_ip":"192.0.2.1","user_agent":"curl"}]}}`
	c := newClient(t, answering(http.StatusOK, body))
	events := all(t, c.AuthenticationEvents(t.Context(), canvas.AuditQuery{Account: "2319"}))
	require.Len(t, events, 1)
	assert.Equal(t, "ada@school.example", events[0].LoginName)
	assert.Equal(t, "Ada", events[0].UserName)
	assert.True(t, events[0].CreatedAt.Equal(time.Date(2012, 7, 19, 21, 0, 0, 0, time.UTC)))
	seen, ok := events[0].PageView.Get()
	require.True(t, ok)
	is(t, "192.0.2.1", seen.RemoteIP, "address")

	for _, odd := range []string{`{"linked":{}}`, `[]`, `{"events":{}}`} {
		for _, err := range newClient(t, answering(http.StatusOK, odd)).AuthenticationEvents(t.Context(), canvas.AuditQuery{Account: "1"}) {
			require.Error(t, err, "a log that cannot be read is not an empty one")
		}
	}
}

// Requirement: CV-GOTCHA-17
func TestPageViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fake := campus(t)
		user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
		for i := range 150 {
			fake.Add(canvastest.PageViews, user, canvastest.Object{"created_at": time.Now().Add(-time.Duration(i+1) * time.Hour), "remote_ip": fmt.Sprintf("192.0.2.%d", i)})
		}
		views := all(t, c.PageViews(t.Context(), ref(user), time.Time{}, time.Time{}))
		require.Len(t, views, 150)
		is(t, "192.0.2.0", views[0].RemoteIP, "the newest first")
		assert.Equal(t, canvas.ID(user), views[0].Links.User)
		assert.Len(t, all(t, c.PageViews(t.Context(), ref(user), time.Now().Add(-10*time.Hour), time.Now().Add(-5*time.Hour))), 6)
		assert.Greater(t, fake.Stats().Cost, 120.0, "three pages of 40 units")
		for _, err := range c.PageViews(t.Context(), ref(user), time.Now().Add(time.Hour), time.Time{}) {
			require.ErrorIs(t, err, canvas.ErrInvalid)
		}
	})
}

// The 429 of the page view service is not the bucket's.
//
// Requirement: CV-REJECT-OTHER
func TestPageViewServiceHasItsOwnLimit(t *testing.T) {
	c := newClient(t, answering(http.StatusTooManyRequests, `{"error":"Page Views rate limit exceeded. Please wait and try again."}`))
	for _, err := range c.PageViews(t.Context(), canvas.Self, time.Time{}, time.Time{}) {
		require.Error(t, err)
		require.NotErrorIs(t, err, canvas.ErrThrottled)
	}
}

func TestPageViewQuery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(time.Date(2000, 3, 20, 12, 0, 0, 0, time.UTC)))
		c, fake := campus(t)
		user := fake.Add(canvastest.Users, canvastest.RootAccount, nil)
		for i := range 300 {
			fake.Add(canvastest.PageViews, user, canvastest.Object{"created_at": time.Date(2000, 2, 1, 0, i, 0, 0, time.UTC)})
		}
		from, to := time.Date(2000, 2, 14, 0, 0, 0, 0, time.UTC), time.Date(2000, 3, 1, 0, 0, 0, 0, time.UTC)
		started, err := c.StartPageViewQuery(t.Context(), ref(user), from, to)
		require.NoError(t, err)
		for _, err := range c.PageViewResults(t.Context(), started) {
			require.ErrorContains(t, err, "no results yet")
		}
		var seen []string
		q, err := c.WaitForPageViewQuery(t.Context(), ref(user), started.ID, func(q canvas.PageViewQuery) { seen = append(seen, q.Status) })
		require.NoError(t, err)
		assert.Equal(t, "finished", q.Status)
		assert.Contains(t, seen, "queued")
		assert.Contains(t, seen, "processing")
		views := all(t, c.PageViewResults(t.Context(), q))
		require.Len(t, views, 300)
		isAt(t, "2000-02-01T00:00:00Z", views[0].CreatedAt, "time")

		empty, err := c.StartPageViewQuery(t.Context(), canvas.Self, from, to)
		require.NoError(t, err)
		empty, err = c.WaitForPageViewQuery(t.Context(), canvas.Self, empty.ID, nil)
		require.NoError(t, err)
		assert.Empty(t, all(t, c.PageViewResults(t.Context(), empty)))

		_, err = c.StartPageViewQuery(t.Context(), canvas.Self, to, from)
		require.ErrorIs(t, err, canvas.ErrInvalid)
		fake.SetJobsFail(true)
		failing, err := c.StartPageViewQuery(t.Context(), canvas.Self, from, to)
		require.NoError(t, err)
		_, err = c.WaitForPageViewQuery(t.Context(), canvas.Self, failing.ID, nil)
		e, ok := errors.AsType[*canvas.Error](err)
		require.True(t, ok)
		assert.Equal(t, "failed", e.Code)
		assert.Equal(t, []canvas.Problem{{Code: "INTERNAL_ERROR"}}, e.Problems)
	})
}

// packed is text as gzip, without its last bytes.
func packed(t testing.TB, text string, without int) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return string(b.Bytes()[:b.Len()-without])
}

func TestPageViewResultsThatCannotBeRead(t *testing.T) {
	const row = `{"id":"a","links":{"user":1}}` + "\n"
	for name, test := range map[string]struct {
		body, want string
		rows       int
	}{
		"plain":     {row + "\n" + row, "", 2},
		"packed":    {packed(t, row+row, 0), "", 2},
		"truncated": {packed(t, row+row, 6), "unexpected EOF", 2},
		"not JSON":  {row + "id,url\n", "row 2", 1},
		"not gzip":  {"\x1f\x8bxx", "unpacked", 0},
		"long row":  {row + strings.Repeat("x", 2<<20), "token too long", 1},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, answering(http.StatusOK, test.body, "Content-Type", "application/jsonl", "Content-Encoding", "gzip"))
			q := canvas.PageViewQuery{ResultsURL: canvas.Value("/api/v1/users/1/page_views/query/x/results")}
			rows, failure := 0, error(nil)
			for _, err := range c.PageViewResults(t.Context(), q) {
				if failure = err; err == nil {
					rows++
				}
			}
			assert.Equal(t, test.rows, rows)
			if test.want == "" {
				require.NoError(t, failure)
			} else {
				require.ErrorContains(t, failure, test.want)
			}
		})
	}
}

// Requirement: CV-GOTCHA-7
func TestPageViewResultsElsewhereAreReadWithoutTheToken(t *testing.T) {
	c := newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		assert.Equal(t, "results.test", r.URL.Host)
		assert.Empty(t, r.Header.Get("Authorization"))
		return answering(http.StatusOK, `{"id":"a"}`).Transport.RoundTrip(r)
	})})
	assert.Len(t, all(t, c.PageViewResults(t.Context(), canvas.PageViewQuery{ResultsURL: canvas.Value("https://results.test/x?signature=hush")})), 1)
	for _, err := range c.PageViewResults(t.Context(), canvas.PageViewQuery{ResultsURL: canvas.Value("http://results.test/x")}) {
		require.ErrorContains(t, err, "not https")
	}
	gone := newClient(t, answering(http.StatusForbidden, `expired`))
	for _, err := range gone.PageViewResults(t.Context(), canvas.PageViewQuery{ResultsURL: canvas.Value("https://results.test/x?signature=hush")}) {
		require.ErrorContains(t, err, "status 403")
		assert.NotContains(t, err.Error(), "hush")
		require.NotErrorIs(t, err, canvas.ErrForbidden)
	}
}

// aJob begins one and returns its id.
func aJob(t testing.TB, c *canvas.Client, fake *canvastest.Server) canvas.ID {
	t.Helper()
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, nil)
	var p canvas.Progress
	_, err := c.Do(t.Context(), canvas.Request{Method: http.MethodPut, Path: "/api/v1/accounts/1/courses", JSON: map[string]any{"course_ids": []int64{course}, "event": "conclude"}}, &p)
	require.NoError(t, err)
	return p.ID
}

func TestWaitForProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fake := campus(t)
		job := aJob(t, c, fake)
		var seen []canvas.ProgressState
		start := time.Now()
		p, err := c.WaitForProgress(t.Context(), job, func(p canvas.Progress) { seen = append(seen, p.State) })
		require.NoError(t, err)
		is(t, 100.0, p.Completion, "completion")
		assert.Equal(t, canvas.ProgressQueued, seen[0])
		assert.Contains(t, seen, canvas.ProgressRunning)
		assert.Equal(t, canvas.ProgressCompleted, seen[len(seen)-1])
		assert.Less(t, time.Since(start), 20*time.Second)
		assert.LessOrEqual(t, len(seen), 7, "it asks more and more seldom")
	})
}

// Requirement: CV-GOTCHA-12
func TestAFailedJobIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fake := campus(t)
		fake.SetJobsFail(true)
		job := aJob(t, c, fake)
		p, err := c.WaitForProgress(t.Context(), job, nil)
		e, ok := errors.AsType[*canvas.Error](err)
		require.True(t, ok)
		assert.Equal(t, http.StatusOK, e.Status)
		assert.Equal(t, "failed", e.Code)
		assert.Equal(t, "The job failed.", e.Problems[0].Message)
		assert.Equal(t, canvas.ProgressFailed, p.State)

		fake.SetJobsFail(false)
		job = aJob(t, c, fake)
		p, err = c.CancelProgress(t.Context(), job)
		require.NoError(t, err)
		assert.Equal(t, canvas.ProgressFailed, p.State)
		_, err = c.CancelProgress(t.Context(), job)
		require.ErrorIs(t, err, canvas.ErrInvalid)
		p, err = c.GetProgress(t.Context(), job)
		require.NoError(t, err, "asking is no failure")
		assert.Equal(t, canvas.ProgressFailed, p.State)
	})
}

func TestWaitingForAJobEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, fake := campus(t)
		job := aJob(t, c, fake)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		p, err := c.WaitForProgress(ctx, job, nil)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, job, p.ID, "what was seen last")
		assert.Equal(t, canvas.ProgressRunning, p.State)
	})
}

// A state that Canvas adds one day is no end.
//
// Requirement: CV-GOTCHA-13
func TestWaitingGoesOnInAStateThatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		states := []string{"queued", "simmering", "running", "completed"}
		asked := 0
		c := newClient(t, &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			asked++
			return answering(http.StatusOK, `{"id":1,"workflow_state":"`+states[asked-1]+`"}`).Transport.RoundTrip(r)
		})})
		p, err := c.WaitForProgress(t.Context(), 1, nil)
		require.NoError(t, err)
		assert.Equal(t, canvas.ProgressCompleted, p.State)
	})
}

func FuzzPageViewResults(f *testing.F) {
	f.Add([]byte(`{"id":"a"}` + "\n{}"))
	f.Add([]byte(packed(f, `{"id":"a"}`, 0)))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := newClient(t, answering(http.StatusOK, string(body), "Content-Type", "application/jsonl"))
		failures := 0
		for _, err := range c.PageViewResults(t.Context(), canvas.PageViewQuery{ResultsURL: canvas.Value("/x")}) {
			require.Zero(t, failures, "an error ends it")
			if err != nil {
				failures++
			}
		}
	})
}
