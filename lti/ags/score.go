package ags

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"net/url"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// ActivityProgress is how far a user is with the work (AGS 2.0, section 3.4.7).
type ActivityProgress string

// Steps of the work.
const (
	Initialized ActivityProgress = "Initialized" // not begun, or reset
	Started     ActivityProgress = "Started"
	InProgress  ActivityProgress = "InProgress" // a draft that can be commented on
	Submitted   ActivityProgress = "Submitted"  // handed in, and can be handed in again
	Completed   ActivityProgress = "Completed"
)

// GradingProgress is how far the grading is (AGS 2.0, section 3.4.8). A platform
// may ignore scores that are not FullyGraded.
type GradingProgress string

// Steps of the grading.
const (
	FullyGraded   GradingProgress = "FullyGraded"   // the score is final
	Pending       GradingProgress = "Pending"       // the score may change by itself
	PendingManual GradingProgress = "PendingManual" // a person has to grade
	Failed        GradingProgress = "Failed"        // the grading could not be done
	NotReady      GradingProgress = "NotReady"      // nothing is being graded
)

// A Score is what the tool says of a user's work for a line item. It is personal
// data.
type Score struct {
	// UserID is the user: the Subject of a launch. Required.
	UserID string
	// ActivityProgress and GradingProgress are how far work and grading are.
	// Required.
	ActivityProgress ActivityProgress
	GradingProgress  GradingProgress
	// Given is the score, from 0; it may be more than Maximum. Nil means that
	// there is none, and clears the one that the platform has.
	Given *float64
	// Maximum is the score that means everything. Above 0 if there is a Given.
	Maximum float64
	// Comment is for student and teacher, plain text. Empty clears the one that
	// the tool gave before.
	Comment string
	// ScoringUserID is who graded. Empty means a machine.
	ScoringUserID string
	// StartedAt and SubmittedAt are when the work was begun and handed in. Zero
	// leaves it to the platform.
	StartedAt, SubmittedAt time.Time
	// Timestamp is when the score was changed. It goes out with milliseconds,
	// and must be later than that of the score before, for the same user and line
	// item. Zero means now, and later than any that this process sent.
	//
	// With several replicas, or where the order of changes matters more than that
	// of sending, give the time from the row that holds the score.
	Timestamp time.Time
	// Extra has extensions, by their names, which are addresses: Canvas has
	// "https://canvas.instructure.com/lti/submission".
	Extra map[string]stdjson.RawMessage
}

// Points returns a pointer to a score, for [Score].Given.
func Points(given float64) *float64 { return &given }

type wireScore struct {
	UserID           string                        `json:"userId"`
	ScoringUserID    string                        `json:"scoringUserId,omitzero"`
	ActivityProgress ActivityProgress              `json:"activityProgress"`
	GradingProgress  GradingProgress               `json:"gradingProgress"`
	Given            *float64                      `json:"scoreGiven,omitzero"`
	Maximum          float64                       `json:"scoreMaximum,omitzero"`
	Comment          string                        `json:"comment,omitzero"`
	Timestamp        string                        `json:"timestamp"`
	Submission       *wireSubmission               `json:"submission,omitzero"`
	Extra            map[string]stdjson.RawMessage `json:",embed"`
}

type wireSubmission struct {
	StartedAt   string `json:"startedAt,omitzero"`
	SubmittedAt string `json:"submittedAt,omitzero"`
}

// milliseconds is the form of times in a score, which must have a part of the
// second and a zone (AGS 2.0, section 3.4.9).
const milliseconds = "2006-01-02T15:04:05.000Z07:00"

func isoTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(milliseconds)
}

// PostScore sends a score for the line item at address, its ID. Empty means that
// of the launch. It needs the scope score.
//
// What is wrong with the score is found out before it is sent, all of it
// ([lti.ErrInvalid]), as is a Timestamp that is not later than that of the last
// score that was sent. It is not repeated unless it is proven that it was not run.
// After [lti.ErrUnknownOutcome], read the user's result; to send it again, give it
// another Timestamp: platforms may take the same one as a second submission.
//
// Scores of one user and line item that are posted at the same time may overtake
// each other on their way. The platform then refuses the older one, or ignores it.
func (c *Client) PostScore(ctx context.Context, address string, score Score) error {
	call := lti.ServiceCall{
		Op: "post a score", Method: http.MethodPost, URL: c.address(address),
		Scopes: c.cfg.Scopes, AnyOf: []string{ScopeScore}, ContentType: typeScore,
	}
	if err := located(&call); err != nil {
		return err
	}
	if err := score.check(); err != nil {
		return lti.NewError(call.Op, lti.ErrInvalid, err)
	}
	stamp, undo, err := c.cfg.Service.ScoreTime(call.URL, score.UserID, score.Timestamp)
	if err != nil {
		return err
	}
	call.URL = below(call.URL, "scores")
	if call.Body, err = score.body(stamp); err != nil {
		undo()
		return lti.NewError(call.Op, lti.ErrInvalid, err)
	}
	_, err = c.cfg.Service.Do(ctx, call)
	if runbook.SafeToRetry(err) {
		undo()
	}
	return err
}

// check returns everything that is wrong with a score.
func (s *Score) check() error {
	var problems []error
	add := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if s.UserID == "" {
		add("UserID is empty")
	}
	switch s.ActivityProgress {
	case Initialized, Started, InProgress, Submitted, Completed:
	default:
		add("ActivityProgress %q is not one of the constants", s.ActivityProgress)
	}
	switch s.GradingProgress {
	case FullyGraded, Pending, PendingManual, Failed, NotReady:
	default:
		add("GradingProgress %q is not one of the constants", s.GradingProgress)
	}
	switch {
	case !(s.Maximum >= 0) || math.IsInf(s.Maximum, 1):
		add("Maximum is %v", s.Maximum)
	case s.Given != nil && s.Maximum == 0:
		add("Maximum is 0, and must be above it where there is a Given")
	}
	if s.Given != nil && (!(*s.Given >= 0) || math.IsInf(*s.Given, 1)) {
		add("Given is %v, and must be 0 or more", *s.Given)
	}
	if !s.StartedAt.IsZero() && !s.SubmittedAt.IsZero() && s.SubmittedAt.Before(s.StartedAt) {
		add("SubmittedAt is before StartedAt")
	}
	return errors.Join(problems...)
}

func (s *Score) body(stamp time.Time) ([]byte, error) {
	out := wireScore{
		UserID: s.UserID, ScoringUserID: s.ScoringUserID, ActivityProgress: s.ActivityProgress, GradingProgress: s.GradingProgress,
		Given: s.Given, Maximum: s.Maximum, Comment: s.Comment, Timestamp: isoTime(stamp), Extra: maps.Clone(s.Extra),
	}
	if !s.StartedAt.IsZero() || !s.SubmittedAt.IsZero() {
		out.Submission = &wireSubmission{StartedAt: isoTime(s.StartedAt), SubmittedAt: isoTime(s.SubmittedAt)}
	}
	for _, name := range [...]string{"userId", "scoringUserId", "activityProgress", "gradingProgress", "scoreGiven", "scoreMaximum", "comment", "timestamp", "submission"} {
		delete(out.Extra, name) // what has a field is there once
	}
	return encode(out)
}

// A Result is the grade that the platform has for a user, which people there may
// have changed (AGS 2.0, section 3.3). It is personal data.
type Result struct {
	// ID is its address, and LineItem that of the line item.
	ID       string `json:"id"`
	LineItem string `json:"scoreOf"`
	// UserID is whose grade it is.
	UserID string `json:"userId"`
	// Score is the grade. Nil means none.
	Score *float64 `json:"resultScore"`
	// Maximum is the grade that means everything. Zero means that the platform
	// did not say, which counts as 1 (section 3.3.4.6).
	Maximum float64 `json:"resultMaximum"`
	// Comment is the comment.
	Comment string `json:"comment"`
	// ScoringUserID is who graded. Empty means nobody in particular.
	ScoringUserID string `json:"scoringUserId"`
}

// ResultsOptions filter results. Nil means all.
type ResultsOptions struct {
	// UserID is whose result is wanted. Empty means those of all.
	UserID string
	// Limit is how many a page should have at most. Zero leaves it to the
	// platform.
	Limit int
}

// Results reads the results of the line item at address, its ID, page by page, as
// far as the loop goes. Empty means that of the launch. An error comes once, with
// a zero result, and ends the list. It needs the scope result.readonly.
func (c *Client) Results(ctx context.Context, address string, opts *ResultsOptions) iter.Seq2[Result, error] {
	var o ResultsOptions
	if opts != nil {
		o = *opts
	}
	query := url.Values{}
	set(query, "user_id", o.UserID)
	return list[Result](ctx, c, lti.ServiceCall{
		Op: "list results", URL: below(c.address(address), "results"), Scopes: c.cfg.Scopes,
		AnyOf: []string{ScopeResultReadOnly}, Accept: typeResults,
	}, query, o.Limit)
}
