// Package canvastest is Canvas in memory: an [http.Handler] that behaves as the
// REST API of Instructure's learning management system does where a client can
// notice, with its rate limit to the last bit of the arithmetic. It is for the
// tests and the rehearsals of programs that use Canvas.
//
//	fake := &canvastest.Server{Load: canvastest.Load{Cost: 0.3, Latency: 200 * time.Millisecond}}
//	course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"})
//	fake.Add(canvastest.Pages, course, canvastest.Object{"title": "Welcome"})
//
//	client := fake.Client() // answers in memory, whatever the host
//	req, err := http.NewRequest("GET", "https://school.example.com/api/v1/courses/"+strconv.FormatInt(course, 10)+"/pages", nil)
//	...
//	req.Header.Set("Authorization", "Bearer "+canvastest.AdminToken)
//	resp, err := client.Do(req)
//	...
//	fake.Inject(canvastest.Fault{Status: 502, Times: 3})         // the next three requests
//	fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 540) // someone else uses the token
//	if p := fake.Problems(); len(p) > 0 { ... }                  // parameters that Canvas would ignore in silence
//
// The clock is [time.Now], so that a test in a bubble of testing/synctest runs
// hours of throttling in no time, and the same code serves other programs with
// [net/http/httptest.NewServer] or on a port.
//
// # What is there
//
// The throttle: reservation, leak, clamping, refund, the extra costs of some
// operations, buckets by token, address, session and LTI client, approve and
// block lists, settings by client, both kinds of rejection, and the headers with
// their traps. Paging by numbers and by bookmarks, without a last link where
// Canvas has none, in compound documents, with Link headers that lose links
// when they grow too long. Every shape of error. OAuth2 with codes, refresh
// tokens and signed assertions. With state: users, tokens, accounts, courses,
// pages, assignments, modules, files with their upload in three steps, external
// tools, developer keys, LTI registrations, account notifications, audit logs,
// page views, jobs that take time, a part of GraphQL, and the status page of
// Instructure. Maintenance, the refresh of a test instance, and faults of the
// network.
//
// A request for something that is not there is answered with 404, as by Canvas,
// and listed in [Server.Problems]. Fields that Canvas' documentation does not
// have cannot be added. Where Canvas is stricter or less convenient than one
// would like, so is this: a request that was begun is carried out though its
// client has gone away; a list may end before it is full; ids of one kind never
// pass for those of another.
//
// # What is not there
//
// Rendering, sign-in by browser ([Server.Authorize] and [Server.LogIn] stand in
// for the person), fine-grained roles (a user is an administrator, enrolled in a
// course, or neither), the services of LTI (see package lti/ltitest for a
// platform), and everything else of Canvas' more than a thousand operations.
//
// # Sources
//
// The forms of messages come from Instructure's documentation
// (developerdocs.instructure.com, "Canvas LMS API", as published on 2026-02-15;
// the comments name the pages) and the behaviour from the source of
// instructure/canvas-lms, which the comments name by file. What neither of them
// says is marked so.
//
// # Concurrency and cost
//
// All of it is safe for concurrent use. The package starts one goroutine for
// each request of [Server.Client] and none besides; [Server.Wait] waits for
// them. Importing it compiles the standard library only.
package canvastest
