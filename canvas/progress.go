package canvas

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// A ProgressState is how far a job of Canvas has come. Canvas may have others
// than those here; a job in one of them has not ended.
type ProgressState string

// The states of a job (docs: Progress).
const (
	ProgressQueued    ProgressState = "queued"
	ProgressRunning   ProgressState = "running"
	ProgressCompleted ProgressState = "completed"
	ProgressFailed    ProgressState = "failed" // or was cancelled
)

// A Progress is a job that Canvas does in the background (docs: Progress).
type Progress struct {
	// ID is Canvas's number for the job.
	ID ID `json:"id"`
	// ContextID is what it is about.
	ContextID ID `json:"context_id"`
	// ContextType is what that is: "Account", "Course".
	ContextType string `json:"context_type"`
	// UserID is who began it.
	UserID Null[ID] `json:"user_id"`
	// Tag is what kind of job it is: "course_batch_update".
	Tag string `json:"tag"`
	// Completion is how much is done, from 0 to 100; null means not known.
	Completion Null[float64] `json:"completion"`
	// State is how far it has come.
	State ProgressState `json:"workflow_state"`
	// Message is what Canvas says about it, for people.
	Message Null[string] `json:"message"`
	// Results are what came out, in a form that depends on the job.
	Results json.RawMessage `json:"results"`
	// CreatedAt is when it was begun.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it last came on.
	UpdatedAt Null[Time] `json:"updated_at"`
}

// GetProgress returns how far a job has come. A job that failed is no error here:
// see its State (docs: Progress, "Query progress").
func (c *Client) GetProgress(ctx context.Context, job ID) (Progress, error) {
	return get[Progress](ctx, c, "get progress", Path("progress", job.String()), nil)
}

// WaitForProgress asks for a job until it has ended, more and more seldom, up to
// every 15 seconds. A job that failed or was cancelled is an [*Error] with the
// code "failed" and Canvas's message in its Problems, although the answer is 200.
// report is told of every answer, one after the other; nil means nobody. It
// waits as long as ctx allows. The Progress is the last one that was seen, also
// beside an error: the job goes on whether or not somebody waits.
func (c *Client) WaitForProgress(ctx context.Context, job ID, report func(Progress)) (Progress, error) {
	const op = "wait for job"
	var p Progress
	err := poll(ctx, op, time.Second, 15*time.Second, func() (bool, error) {
		next, err := c.GetProgress(ctx, job)
		if err != nil {
			return false, err
		}
		if p = next; report != nil {
			report(p)
		}
		if p.State == ProgressFailed {
			e := &Error{Op: op, Route: "GET /api/v1/progress/:id", Status: http.StatusOK, Code: codeFailed}
			if text := printable(p.Message.Or(""), 500); text != "" {
				e.Problems = []Problem{{Message: text}}
			}
			return false, e
		}
		return p.State == ProgressCompleted, nil
	})
	return p, err
}

// CancelProgress ends a job that has not ended yet; what it has done stays done.
// It is not repeated after a failure, because a job that has ended is an error
// (docs: Progress, "Cancel progress").
func (c *Client) CancelProgress(ctx context.Context, job ID) (Progress, error) {
	return change[Progress](ctx, c, "cancel job", http.MethodPost, Path("progress", job.String(), "cancel"), nil, false)
}

// poll calls ask until it is done or fails, first at once and then after waits
// that grow by a half.
func poll(ctx context.Context, op string, wait, most time.Duration, ask func() (bool, error)) error {
	for {
		done, err := ask()
		if done || err != nil {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return &Error{Op: op, cause: fmt.Errorf("it has not ended yet: %w", ctx.Err())}
		case <-timer.C:
		}
		wait = min(wait+wait/2, most)
	}
}
