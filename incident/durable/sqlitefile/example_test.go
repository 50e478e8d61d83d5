package sqlitefile_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
	"go.acu.edu.au/runbook/incident/durable/sqlitefile"
)

// A run waits for a person. Its process ends meanwhile; the next one, with the same file,
// goes on with the run.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "runs")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	programs := map[string]incident.Program{"restart": restart}

	for process := range 2 {
		db, err := sqlitefile.Open(ctx, filepath.Join(folder, "runs.db"))
		if err != nil {
			fmt.Println(err)
			return
		}
		runs, err := durable.Open(ctx, durable.Config{DB: db, Host: "opsd"})
		if err != nil {
			fmt.Println(err)
			return
		}
		if err := runs.Launch(ctx, programs); err != nil {
			fmt.Println(err)
			return
		}
		if process == 0 {
			firstProcess(ctx, runs)
		} else {
			secondProcess(ctx, runs)
		}
		if err := runs.Close(ctx); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// the first process looks at the service
	// the run waits for approval
	// the second process restarts the service
	// the run is finished
}

// restart is the program of the run.
func restart(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
	look := incident.Call{ID: "look", Do: func(context.Context, []incident.Attempt) incident.Outcome {
		fmt.Println("the first process looks at the service")
		return incident.Outcome{Status: incident.Done}
	}}
	if _, err := e.Steps(ctx, []incident.Call{look}); err != nil {
		return nil, err
	}
	if _, err := e.Await(ctx, "approve", "approval", run.At.AddDate(0, 0, 7)); err != nil {
		return nil, err
	}
	act := incident.Call{ID: "act", Intent: true, Do: func(_ context.Context, interrupted []incident.Attempt) incident.Outcome {
		if len(interrupted) > 0 {
			return incident.Outcome{Status: incident.Unknown, Message: "a process died while it restarted the service"}
		}
		fmt.Println("the second process restarts the service")
		return incident.Outcome{Status: incident.Done}
	}}
	_, err := e.Steps(ctx, []incident.Call{act})
	return json.RawMessage(`"restarted"`), err
}

func firstProcess(ctx context.Context, runs incident.Runs) {
	r, err := runs.Start(ctx, incident.RunStart{ID: "run-1", Program: "restart", Lock: "production", By: "alice"})
	for err == nil && len(r.Waits) == 0 {
		r, err = runs.Record(ctx, r.ID, r.Revision)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the run waits for", r.Waits[0].Topic)
}

func secondProcess(ctx context.Context, runs incident.Runs) {
	err := runs.Signal(ctx, "run-1", "approval", incident.Signal{ID: "1", Kind: "approve", Actor: "bob"})
	var r incident.RunRecord
	for err == nil && !r.Status.Ended() {
		r, err = runs.Record(ctx, "run-1", r.Revision)
	}
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("the run is", r.Status)
}
