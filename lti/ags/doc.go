// Package ags calls the Assignment and Grade Services 2.0 of a platform: line
// items (columns of the gradebook), scores (what the tool gives) and results (what
// the platform makes of them).
//
//	grades, err := ags.New(ags.Config{
//		Service: service, // the *lti.Service of the registration
//		Scopes:  launch.AGS.Scopes, LineItems: launch.AGS.LineItems, LineItem: launch.AGS.LineItem,
//	})
//	if err != nil {
//		return err
//	}
//	err = grades.PostScore(ctx, "", ags.Score{
//		UserID: launch.Subject, Given: ags.Points(17), Maximum: 20,
//		ActivityProgress: ags.Completed, GradingProgress: ags.FullyGraded,
//	})
//
// The values of the launch may be stored, and a Client made of them days later:
// the hosts of all addresses are checked again for each call.
//
// # Scopes
//
// One token with all of the launch's scopes serves all calls. A call that needs a
// scope which the launch did not offer, or the platform did not grant, is not
// made: [lti.ErrScope].
//
// # What is repeated
//
// Reads, updates and deletions are repeated after failures. A line item is not
// created again, nor a score posted again, unless it is proven that it was not
// run: Canvas, for one, makes another submission of a score that comes twice with
// the same timestamp. Where nobody knows, the error is [lti.ErrUnknownOutcome].
//
// # Errors
//
// All errors are [*lti.Error], also of what is refused before it is sent.
//
// A Client is safe for concurrent use. Importing it compiles what package lti
// does.
package ags
