package canvas

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// An Assignment is a task of a course (docs: Assignments).
type Assignment struct {
	// ID is Canvas's number for the assignment, CourseID that of its course.
	ID       ID `json:"id"`
	CourseID ID `json:"course_id"`
	// Name is its name, Description its text, in HTML.
	Name        string       `json:"name"`
	Description Null[string] `json:"description"`
	// DueAt is when it is due, UnlockAt and LockAt bound when it can be handed
	// in. They are those of the user of the token.
	DueAt    Null[Time] `json:"due_at"`
	UnlockAt Null[Time] `json:"unlock_at"`
	LockAt   Null[Time] `json:"lock_at"`
	// PointsPossible is the most that one can get.
	PointsPossible Null[float64] `json:"points_possible"`
	// GradingType is "points", "percent", "pass_fail", "letter_grade",
	// "gpa_scale" or "not_graded".
	GradingType string `json:"grading_type"`
	// SubmissionTypes are how it can be handed in: "online_upload",
	// "external_tool", "none" and others.
	SubmissionTypes []string `json:"submission_types"`
	// GroupID is the assignment group.
	GroupID ID `json:"assignment_group_id"`
	// State is "published", "unpublished" or "deleted"; Published says the same.
	State     string `json:"workflow_state"`
	Published bool   `json:"published"`
	// HasSubmissions says whether something was handed in.
	HasSubmissions Null[bool] `json:"has_submitted_submissions"`
	// CreatedAt and UpdatedAt are when it was made and changed.
	CreatedAt Null[Time] `json:"created_at"`
	UpdatedAt Null[Time] `json:"updated_at"`
	// HTMLURL is where people see it.
	HTMLURL string `json:"html_url"`
}

// An AssignmentChange is what an assignment is to be like. Absent fields stay as
// they are; null takes a date or the points away.
type AssignmentChange struct {
	// Name is the name, Description the text, in HTML.
	Name        Null[string] `json:"name,omitzero"`
	Description Null[string] `json:"description,omitzero"`
	// DueAt is when it is due, UnlockAt and LockAt bound when it can be handed
	// in.
	DueAt    Null[Time] `json:"due_at,omitzero"`
	UnlockAt Null[Time] `json:"unlock_at,omitzero"`
	LockAt   Null[Time] `json:"lock_at,omitzero"`
	// PointsPossible is the most that one can get.
	PointsPossible Null[float64] `json:"points_possible,omitzero"`
	// GradingType and SubmissionTypes are as in [Assignment]; nil leaves the
	// types as they are.
	GradingType     Null[string] `json:"grading_type,omitzero"`
	SubmissionTypes []string     `json:"submission_types,omitempty"`
	// Published says whether students see it.
	Published Null[bool] `json:"published,omitzero"`
}

// Assignments lists the assignments of a course (docs: Assignments, "List
// assignments"). search is a part of the name; empty means all.
func (c *Client) Assignments(ctx context.Context, course Ref, search string) iter.Seq2[Assignment, error] {
	query := url.Values{}
	setText(query, "search_term", search)
	return list[Assignment](ctx, c, "list assignments", Path("courses", string(course), "assignments"), query)
}

// GetAssignment returns an assignment (docs: Assignments, "Get a single
// assignment").
func (c *Client) GetAssignment(ctx context.Context, course, assignment Ref) (Assignment, error) {
	return get[Assignment](ctx, c, "get assignment", Path("courses", string(course), "assignments", string(assignment)), nil)
}

// CreateAssignment makes an assignment, which needs a name (docs: Assignments,
// "Create an assignment"). It is not repeated after a failure: a second one
// would be another assignment.
func (c *Client) CreateAssignment(ctx context.Context, course Ref, assignment AssignmentChange) (Assignment, error) {
	path := Path("courses", string(course), "assignments")
	return change[Assignment](ctx, c, "create assignment", http.MethodPost, path, map[string]any{"assignment": assignment}, false)
}

// UpdateAssignment changes an assignment. It sets values, and is repeated after
// a failure (docs: Assignments, "Edit an assignment").
func (c *Client) UpdateAssignment(ctx context.Context, course, assignment Ref, to AssignmentChange) (Assignment, error) {
	path := Path("courses", string(course), "assignments", string(assignment))
	return change[Assignment](ctx, c, "update assignment", http.MethodPut, path, map[string]any{"assignment": to}, true)
}

// DeleteAssignment deletes an assignment (docs: Assignments, "Delete an
// assignment"). It is repeated after a failure, so that [ErrNotFound] may mean
// that the first attempt did it.
func (c *Client) DeleteAssignment(ctx context.Context, course, assignment Ref) error {
	return remove(ctx, c, "delete assignment", Path("courses", string(course), "assignments", string(assignment)), nil)
}
