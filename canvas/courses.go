package canvas

import (
	"context"
	"iter"
	"net/url"
	"strconv"
)

// A Course is one course (docs: Courses).
type Course struct {
	// ID is Canvas's number for the course.
	ID ID `json:"id"`
	// Name is its name; a student may see one that they chose themselves.
	Name string `json:"name"`
	// CourseCode is the short form of the name.
	CourseCode string `json:"course_code"`
	// UUID is its id for other systems.
	UUID string `json:"uuid"`
	// State is "unpublished", "available", "completed" or "deleted".
	State string `json:"workflow_state"`
	// AccountID is the account that the course is in.
	AccountID ID `json:"account_id"`
	// RootAccountID is the uppermost account.
	RootAccountID ID `json:"root_account_id"`
	// TermID is its term.
	TermID ID `json:"enrollment_term_id"`
	// StartAt is when it begins; null means with its term.
	StartAt Null[Time] `json:"start_at"`
	// EndAt is when it ends; null means with its term.
	EndAt Null[Time] `json:"end_at"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// TimeZone is the IANA name of its zone.
	TimeZone string `json:"time_zone"`
	// SISCourseID is its id in the student system. It is absent if the token may
	// not see it.
	SISCourseID Null[string] `json:"sis_course_id"`
	// IntegrationID is its id in another system, under the same condition.
	IntegrationID Null[string] `json:"integration_id"`
	// Blueprint says whether other courses follow this one.
	Blueprint Null[bool] `json:"blueprint"`
	// StorageQuotaMB is how much it may store, in megabytes.
	StorageQuotaMB Null[int64] `json:"storage_quota_mb"`
	// TotalStudents is how many students there are. It needs include[]
	// "total_students", which costs Canvas much.
	TotalStudents Null[int] `json:"total_students"`
	// AccessRestricted is true if the course lies outside its dates and only its
	// ID is shown.
	AccessRestricted bool `json:"access_restricted_by_date"`
}

// CoursesOptions choose from the courses of an account. Nil means all.
type CoursesOptions struct {
	// ListOptions say how the list is read.
	ListOptions
	// Search is a part of name or code, or an id; two characters at least.
	Search string
	// States are those that a course may have; see [Course].State. None means
	// all but deleted ones.
	States []string
	// Published chooses published or unpublished courses.
	Published Null[bool]
	// Term is the term that courses must be in.
	Term ID
	// Include adds to each course: "total_students", "term", "concluded".
	Include []string
}

// Courses lists the courses of an account and of all below it (docs: Accounts,
// "List active courses in an account").
func (c *Client) Courses(ctx context.Context, account Ref, opts *CoursesOptions) iter.Seq2[Course, error] {
	var o CoursesOptions
	if opts != nil {
		o = *opts
	}
	query := url.Values{}
	setText(query, "search_term", o.Search)
	setList(query, "state[]", o.States)
	if published, ok := o.Published.Get(); ok {
		query.Set("published", strconv.FormatBool(published))
	}
	setID(query, "enrollment_term_id", o.Term)
	setList(query, "include[]", o.Include)
	r := Request{Op: "list courses", Path: Path("accounts", string(account), "courses"), Query: query}
	return Items[Course](ctx, c, r, &o.ListOptions)
}

// OwnCourses lists the courses that the user of the token is enrolled in, in the
// given states or in all. For an administrator it is not the list of all courses
// (docs: Courses, "List your courses").
func (c *Client) OwnCourses(ctx context.Context, states ...string) iter.Seq2[Course, error] {
	query := url.Values{}
	setList(query, "state[]", states)
	return list[Course](ctx, c, "list own courses", Path("courses"), query)
}

// GetCourse returns a course (docs: Courses, "Get a single course"). include may
// have "total_students", "term", "concluded" and others.
func (c *Client) GetCourse(ctx context.Context, course Ref, include ...string) (Course, error) {
	return get[Course](ctx, c, "get course", Path("courses", string(course)), include)
}
