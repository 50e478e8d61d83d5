package canvas_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

// A list is read page by page, as far as the loop goes.
func ExampleItems() {
	fake := &canvastest.Server{} // a real program leaves out HTTP and has its own URL and token
	for i := range 250 {
		fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": fmt.Sprintf("Course %d", i+1)})
	}
	client, err := canvas.New(canvas.Config{
		BaseURL:   "https://school.instructure.com",
		Token:     runbook.NewSecret(canvastest.AdminToken),
		UserAgent: "acu-ops/2.1 (ops@acu.edu.au)",
		HTTP:      fake.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	type course struct {
		ID   canvas.ID           `json:"id"`
		Name string              `json:"name"`
		SIS  canvas.Null[string] `json:"sis_course_id"`
	}
	n := 0
	list := canvas.Request{Op: "list courses", Path: canvas.Path("accounts", "self", "courses")}
	for c, err := range canvas.Items[course](context.Background(), client, list, nil) {
		if err != nil {
			fmt.Println(err)
			return
		}
		if n++; n == 250 {
			fmt.Println(c.Name)
		}
	}
	fmt.Println(n, "courses in", fake.Stats().Requests, "requests")
	// Output:
	// Course 250
	// 250 courses in 3 requests
}

// Errors are told apart by errors.Is; an Error has the details.
func ExampleError() {
	fake := &canvastest.Server{}
	client, err := canvas.New(canvas.Config{BaseURL: "https://school.instructure.com", Token: runbook.NewSecret("revoked"), HTTP: fake.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.Do(context.Background(), canvas.Request{Op: "get self", Path: "/api/v1/users/self"}, nil)
	if e, ok := errors.AsType[*canvas.Error](err); ok {
		fmt.Println(e.Status, e.Problems[0].Message)
	}
	fmt.Println(errors.Is(err, canvas.ErrUnauthenticated), errors.Is(err, canvas.ErrForbidden))
	// Output:
	// 401 Invalid access token.
	// true false
}

// Clients with the same token share a Throttle; a budget can be set at any time.
func ExampleThrottle_SetLimit() {
	throttle, err := canvas.NewThrottle(canvas.ThrottleConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fake := &canvastest.Server{Throttle: canvastest.Throttle{HighWater: 700}}
	client, err := canvas.New(canvas.Config{
		BaseURL: "https://school.instructure.com", Token: runbook.NewSecret(canvastest.AdminToken), HTTP: fake.Client(), Throttle: throttle,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := throttle.SetLimit(canvas.Limit{Requests: 1200}); err != nil { // a minute
		fmt.Println(err)
		return
	}
	start := time.Now()
	for range 4 {
		if _, err := client.Do(context.Background(), canvas.Request{Path: "/api/v1/users/self"}, nil); err != nil {
			fmt.Println(err)
			return
		}
	}
	stats := throttle.Stats()
	fmt.Println(stats.Requests, "requests, mark", int(stats.Mark+0.5), "learnt:", stats.Learnt)
	fmt.Println("spread over 150 ms:", time.Since(start) >= 150*time.Millisecond)
	// Output:
	// 4 requests, mark 700 learnt: true
	// spread over 150 ms: true
}
