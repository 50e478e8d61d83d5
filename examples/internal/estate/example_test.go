package estate_test

import (
	"fmt"

	"go.acu.edu.au/runbook/examples/internal/estate"
)

func Example() {
	e, err := estate.Start(estate.Config{Scenario: estate.DatabaseGone})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	resp, err := e.Client().Get("https://qa-automation.acu.edu.au/health/database")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 503 Service Unavailable
}
