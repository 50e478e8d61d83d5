package canvastest_test

import (
	"fmt"
	"io"
	"net/http"
	"strconv"

	"go.acu.edu.au/runbook/canvas/canvastest"
)

// A client meets a throttled Canvas, and a proxy that gives up.
func Example() {
	fake := &canvastest.Server{}
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"})
	fake.Add(canvastest.Pages, course, canvastest.Object{"title": "Welcome"})

	client := fake.Client() // leads every host to the fake; leave it out for the real one
	ask := func() {
		req, err := http.NewRequest(http.MethodGet, "https://school.example.com/api/v1/courses/"+strconv.FormatInt(course, 10)+"/pages", nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		req.Header.Set("Authorization", "Bearer "+canvastest.AdminToken)
		resp, err := client.Do(req)
		if err != nil {
			fmt.Println(err)
			return
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %.12q\n", resp.StatusCode, body)
	}
	ask()
	fake.Inject(canvastest.Fault{Status: http.StatusBadGateway})
	ask()
	fake.Spend(canvastest.TokenIdentifier(canvastest.AdminToken), 590) // someone else uses the token
	ask()

	for _, r := range fake.Requests() {
		fmt.Println(r.Route, r.Status, r.Rejected)
	}
	// Output:
	// 200 "[{\"created_a"
	// 502 "<!DOCTYPE ht"
	// 429 "429 Forbidde"
	// GET /api/v1/courses/:course_id/pages 200 false
	// GET /api/v1/courses/:course_id/pages 502 false
	// GET /api/v1/courses/:course_id/pages 429 true
}
