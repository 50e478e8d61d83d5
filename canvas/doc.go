// Package canvas is a client for the REST API of Canvas, Instructure's learning
// management system, that lives inside Canvas's rate limit: a bucket that every
// request fills by what it costs, and that rejects requests while it is full.
//
//	client, err := canvas.New(canvas.Config{
//		BaseURL:   "https://school.instructure.com",
//		Token:     token, // a runbook.Secret
//		UserAgent: "acu-ops/2.1 (ops@acu.edu.au)",
//	})
//	if err != nil {
//		return err
//	}
//	courses := canvas.Request{Op: "list courses", Path: "/api/v1/accounts/self/courses"}
//	for course, err := range canvas.Items[Course](ctx, client, courses, nil) {
//		if err != nil {
//			return err // errors.Is(err, canvas.ErrForbidden), ...
//		}
//		fmt.Println(course.Name)
//	}
//
// [Client.Do] makes any call, [Items] reads any list, [Client.GraphQL] runs any
// operation. Request by request nothing has to be configured: start as many
// goroutines as you like.
//
// # The throttle
//
// A [Throttle] follows the bucket from outside: it reserves what Canvas
// reserves, knows what leaks, and is corrected by the headers of each answer,
// which tell of other users of the token too. Requests start the moment there
// is room, in the order of their [Priority] and of their coming; one that would
// be rejected is not sent. It sits below everything that repeats a request, so
// that no retry slips past it. The bucket belongs to the token: clients that
// share a token share the Throttle. [Throttle.SetLimit] sets a budget below what
// the bucket allows, [Throttle.Stats] and [Hooks] tell what is going on.
//
// Where several processes use one token, each sees the others only in the
// headers. They share the bucket with few rejections, at some cost of speed;
// a process that starts while others are busy should assume little at first
// ([ThrottleConfig].Mark: 60).
//
// # What is repeated
//
// A request that the bucket rejected did not run, so it is sent again when
// there is room, as long as the context has time, but 20 times at most. Besides
// that, reads are
// repeated after network errors and server errors, and nothing else is unless
// it is proven that it never left. [runbook.SafeToRetry] tells of an error
// whether the whole call did nothing.
//
// # Errors
//
// Every error of a call is an [*Error]: Status is what Canvas said, or 0 if it
// could not be asked. The sentinels (ErrNotFound, ErrForbidden, ...) are for
// errors.Is. A token that Canvas does not accept is not the same as an action
// that it does not permit, though both may be status 401.
//
// # What it does not do
//
// It does not log, keep cookies, follow redirects to other hosts, or send the
// token to any host but that of BaseURL. It keeps no second token to get a
// second bucket. Calls without a deadline wait for the bucket as long as it
// takes; each attempt ends after a minute.
//
// Developer keys that enforce scopes ignore include[] in silence unless they
// allow includes: a field that is missing is then absent (see [Null]), and no
// error.
//
// All types are safe for concurrent use unless they say otherwise. For tests,
// package canvastest is a Canvas in memory.
//
// Importing it compiles the module's root, go-retryablehttp, x/oauth2 and
// x/time/rate.
package canvas
