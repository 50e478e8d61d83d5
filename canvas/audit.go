package canvas

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/url"
	"time"
)

// An AuditQuery chooses events of a log. Which of the fields a log knows, its
// method says; others must be empty. Logs are kept for a year.
type AuditQuery struct {
	// Account, Course and User are whose events are wanted.
	Account, Course, User Ref
	// Login is one login of a user, by its id.
	Login ID
	// Assignment, Student and Grader are whose grades were changed, of what and
	// by whom.
	Assignment, Student, Grader Ref
	// From and To bound the time of the events. Zero means no bound.
	From, To time.Time
}

func (q AuditQuery) times() url.Values {
	query := url.Values{}
	setTime(query, "start_time", q.From)
	setTime(query, "end_time", q.To)
	return query
}

// An AuthenticationEvent is a login or a logout (docs: Authentications Log). It
// is personal data.
type AuthenticationEvent struct {
	// ID is the UUID of the event.
	ID string
	// CreatedAt is when it happened.
	CreatedAt time.Time
	// Type is "login" or "logout".
	Type string
	// LoginID, UserID and AccountID are whose login it is.
	LoginID, UserID, AccountID ID
	// LoginName is what the user logs in with, where Canvas says.
	LoginName string
	// UserName is the name of the user, where Canvas says.
	UserName string
	// PageView is the request of the event, with its address and browser, where
	// Canvas says.
	PageView Null[PageView]
}

// A CourseEvent is a change of a course (docs: Course Audit Log). It is personal
// data.
type CourseEvent struct {
	// ID is the UUID of the event.
	ID string
	// CreatedAt is when it happened.
	CreatedAt time.Time
	// Type is "created", "updated", "concluded", "unconcluded", "published",
	// "deleted", "restored", "copied_from", "copied_to", "reset_from",
	// "reset_to" or "corrupted".
	Type string
	// Source is how it was done: "manual", "sis" or "api".
	Source string
	// CourseID is the course, UserID who did it; 0 means Canvas itself.
	CourseID, UserID ID
	// UserName is the name of that user, where Canvas says.
	UserName string
	// Data is what changed, by the name of the attribute; a change is a list of
	// the old value and the new one.
	Data map[string]json.RawMessage
	// PageView is the request of the event, where Canvas says.
	PageView Null[PageView]
}

// A GradeChange is a change of a grade (docs: Grade Change Log). It is personal
// data.
type GradeChange struct {
	// ID is the UUID of the event.
	ID string
	// CreatedAt is when it happened.
	CreatedAt time.Time
	// Type is "grade_change".
	Type string
	// CourseID and AssignmentID are what was graded, StudentID is whose grade it
	// is, and GraderID who gave it; 0 means nobody, as for what is graded
	// automatically.
	CourseID, AssignmentID, StudentID, GraderID ID
	// GradeBefore and GradeAfter are the grades as people see them.
	GradeBefore, GradeAfter Null[string]
	// ExcusedBefore and ExcusedAfter say whether the student was excused.
	ExcusedBefore, ExcusedAfter bool
	// GradedAnonymously says whether the grader saw no names.
	GradedAnonymously Null[bool]
	// Version counts the versions of the submission, and RequestID is the
	// request's id in Canvas's logs.
	Version, RequestID string
	// PageView is the request of the event, where Canvas says.
	PageView Null[PageView]
}

// auditEvent is an event of any log as it comes.
type auditEvent struct {
	ID        string                     `json:"id"`
	CreatedAt Time                       `json:"created_at"`
	Type      string                     `json:"event_type"`
	Source    string                     `json:"event_source"`
	Data      map[string]json.RawMessage `json:"event_data"`

	GradeBefore       Null[looseText] `json:"grade_before"`
	GradeAfter        Null[looseText] `json:"grade_after"`
	ExcusedBefore     bool            `json:"excused_before"`
	ExcusedAfter      bool            `json:"excused_after"`
	GradedAnonymously Null[bool]      `json:"graded_anonymously"`
	Version           looseText       `json:"version_number"`
	RequestID         string          `json:"request_id"`

	Links struct {
		Login      ID     `json:"login"`
		Account    ID     `json:"account"`
		User       ID     `json:"user"`
		Course     ID     `json:"course"`
		Assignment ID     `json:"assignment"`
		Student    ID     `json:"student"`
		Grader     ID     `json:"grader"`
		PageView   string `json:"page_view"`
	} `json:"links"`
}

// auditPage is a page of a log: the events, and beside them what they refer to.
type auditPage struct {
	Events *[]auditEvent `json:"events"`
	Linked struct {
		Users  []Author `json:"users"`
		Logins []struct {
			ID   ID     `json:"id"`
			Name string `json:"unique_id"`
		} `json:"logins"`
		PageViews []PageView `json:"page_views"`
	} `json:"linked"`
}

// names finds what the events of a page refer to.
type names struct {
	users, logins map[ID]string
	views         map[string]PageView
}

func (p *auditPage) names() names {
	n := names{make(map[ID]string), make(map[ID]string), make(map[string]PageView)}
	for _, u := range p.Linked.Users {
		n.users[u.ID] = u.Name
	}
	for _, l := range p.Linked.Logins {
		n.logins[l.ID] = l.Name
	}
	for _, v := range p.Linked.PageViews {
		n.views[v.ID] = v
	}
	return n
}

func (n names) view(id string) Null[PageView] {
	v, ok := n.views[id]
	if !ok {
		return Null[PageView]{}
	}
	return Value(v)
}

// auditLog reads a log. Each page is an object, with what its events refer to.
func auditLog[T any](ctx context.Context, c *Client, r Request, convert func(*auditEvent, names) T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages[auditPage](ctx, c, r) {
			var none T
			switch {
			case err != nil:
				yield(none, err)
				return
			case page.Events == nil:
				yield(none, &Error{Op: r.Op, Code: "paging", cause: fmt.Errorf("the page has no field %q", "events")})
				return
			}
			n := page.names()
			for i := range *page.Events {
				if !yield(convert(&(*page.Events)[i], n), nil) {
					return
				}
			}
		}
	}
}

// AuthenticationEvents lists logins and logouts, newest first, of one of
// Account, User and Login (docs: Authentications Log). It needs the permission
// to view them. [ErrNotFound] may mean that the instance keeps no such log.
func (c *Client) AuthenticationEvents(ctx context.Context, q AuditQuery) iter.Seq2[AuthenticationEvent, error] {
	const op = "list authentication events"
	of, id := "", ""
	for _, s := range []struct{ of, id string }{
		{"accounts", string(q.Account)}, {"users", string(q.User)}, {"logins", loginText(q.Login)},
	} {
		switch {
		case s.id != "" && of != "":
			return failed[AuthenticationEvent](op, "more than one of Account, User and Login is set")
		case s.id != "":
			of, id = s.of, s.id
		}
	}
	if of == "" || q.Course != "" || q.Assignment != "" || q.Student != "" || q.Grader != "" {
		return failed[AuthenticationEvent](op, "one of Account, User and Login must be set, and nothing else but the times")
	}
	r := Request{Op: op, Path: Path("audit", "authentication", of, id), Query: q.times()}
	return auditLog(ctx, c, r, func(e *auditEvent, n names) AuthenticationEvent {
		return AuthenticationEvent{
			ID: e.ID, CreatedAt: e.CreatedAt.Time, Type: e.Type, LoginID: e.Links.Login, UserID: e.Links.User, AccountID: e.Links.Account,
			LoginName: n.logins[e.Links.Login], UserName: n.users[e.Links.User], PageView: n.view(e.Links.PageView),
		}
	})
}

func loginText(id ID) string {
	if id == 0 {
		return ""
	}
	return id.String()
}

// CourseEvents lists changes of courses, newest first, of one of Account and
// Course (docs: Course Audit Log). It needs the permission to view them.
// [ErrNotFound] may mean that the instance keeps no such log.
func (c *Client) CourseEvents(ctx context.Context, q AuditQuery) iter.Seq2[CourseEvent, error] {
	const op = "list course events"
	if (q.Account == "") == (q.Course == "") || q.User != "" || q.Login != 0 || q.Assignment != "" || q.Student != "" || q.Grader != "" {
		return failed[CourseEvent](op, "one of Account and Course must be set, and nothing else but the times")
	}
	kind, ref := Place{Account: q.Account, Course: q.Course}.names()
	r := Request{Op: op, Path: Path("audit", "course", kind, string(ref)), Query: q.times()}
	return auditLog(ctx, c, r, func(e *auditEvent, n names) CourseEvent {
		return CourseEvent{
			ID: e.ID, CreatedAt: e.CreatedAt.Time, Type: e.Type, Source: e.Source, CourseID: e.Links.Course, UserID: e.Links.User,
			UserName: n.users[e.Links.User], Data: e.Data, PageView: n.view(e.Links.PageView),
		}
	})
}

// GradeChanges lists changes of grades, newest first, that match all of Course,
// Assignment, Student and Grader that are set, which must be one at least (docs:
// Grade Change Log). Without Course or Assignment it needs an administrator.
// [ErrNotFound] may mean that the instance keeps no such log.
func (c *Client) GradeChanges(ctx context.Context, q AuditQuery) iter.Seq2[GradeChange, error] {
	const op = "list grade changes"
	query := q.times()
	given := 0
	for name, ref := range map[string]Ref{"course_id": q.Course, "assignment_id": q.Assignment, "student_id": q.Student, "grader_id": q.Grader} {
		if ref != "" {
			given++
			query.Set(name, string(ref))
		}
	}
	if given == 0 || q.Account != "" || q.User != "" || q.Login != 0 {
		return failed[GradeChange](op, "Course, Assignment, Student or Grader must be set, and nothing else but the times")
	}
	r := Request{Op: op, Path: Path("audit", "grade_change"), Query: query}
	return auditLog(ctx, c, r, func(e *auditEvent, n names) GradeChange {
		return GradeChange{
			ID: e.ID, CreatedAt: e.CreatedAt.Time, Type: e.Type, CourseID: e.Links.Course, AssignmentID: e.Links.Assignment,
			StudentID: e.Links.Student, GraderID: e.Links.Grader, GradeBefore: plainText(e.GradeBefore), GradeAfter: plainText(e.GradeAfter),
			ExcusedBefore: e.ExcusedBefore, ExcusedAfter: e.ExcusedAfter, GradedAnonymously: e.GradedAnonymously,
			Version: string(e.Version), RequestID: e.RequestID, PageView: n.view(e.Links.PageView),
		}
	})
}

func plainText(t Null[looseText]) Null[string] {
	switch v, ok := t.Get(); {
	case ok:
		return Value(string(v))
	case t.IsNull():
		return NullValue[string]()
	}
	return Null[string]{}
}
