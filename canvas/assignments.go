package canvas

import (
	"context"
	"iter"
	"net/http"
	"net/url"
)

// An Assignment is a task of a course (docs: Assignments).
type Assignment struct {
	// ID is Canvas's number for the assignment.
	ID ID `json:"id"`
	// CourseID is the course.
	CourseID ID `json:"course_id"`
	// Name is its name.
	Name string `json:"name"`
	// Description is its text, in HTML.
	Description Null[string] `json:"description"`
	// DueAt is when it is due, for the user of the token.
	DueAt Null[Time] `json:"due_at"`
	// UnlockAt is from when it can be handed in, for the user of the token.
	UnlockAt Null[Time] `json:"unlock_at"`
	// LockAt is until when it can be handed in, for the user of the token.
	LockAt Null[Time] `json:"lock_at"`
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
	// State is "published", "unpublished" or "deleted".
	State string `json:"workflow_state"`
	// Published says whether students see it.
	Published bool `json:"published"`
	// HasSubmissions says whether something was handed in.
	HasSubmissions Null[bool] `json:"has_submitted_submissions"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
	// HTMLURL is where people see it.
	HTMLURL string `json:"html_url"`
}

// An AssignmentChange is what an assignment is to be like. Absent fields stay as
// they are; null takes a date or the points away.
type AssignmentChange struct {
	// Name is the name.
	Name Null[string] `json:"name,omitzero"`
	// Description is the text, in HTML.
	Description Null[string] `json:"description,omitzero"`
	// DueAt is when it is due.
	DueAt Null[Time] `json:"due_at,omitzero"`
	// UnlockAt is from when it can be handed in.
	UnlockAt Null[Time] `json:"unlock_at,omitzero"`
	// LockAt is until when it can be handed in.
	LockAt Null[Time] `json:"lock_at,omitzero"`
	// PointsPossible is the most that one can get.
	PointsPossible Null[float64] `json:"points_possible,omitzero"`
	// GradingType is as in [Assignment].
	GradingType Null[string] `json:"grading_type,omitzero"`
	// SubmissionTypes are as in [Assignment]; nil leaves them as they are.
	SubmissionTypes []string `json:"submission_types,omitempty"`
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
