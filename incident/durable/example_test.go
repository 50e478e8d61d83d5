package durable_test

import (
	"context"
	"errors"
	"fmt"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident/durable"
)

// The runs that put the database right must not be kept on the server of that database.
func ExampleOpen() {
	_, err := durable.Open(context.Background(), durable.Config{
		URL:     runbook.NewSecret("postgres://opsd:secret@db.example.com/opsd"),
		Watched: []string{"db.example.com"},
	})
	fmt.Println(errors.Is(err, durable.ErrWatched))
	fmt.Println(err)
	// Output:
	// true
	// durable: open: the runs would be kept on a server that is watched: db.example.com:5432; keep them in a file or on another server, or give ConfirmedBy
}
