package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// tokens are who may make requests. A host asks its identity provider.
var tokens = map[string]httpapi.Actor{
	"Bearer token-of-jane": {Name: "Jane", Roles: []string{"operator"}},
	"Bearer token-of-kim":  {Name: "Kim", Roles: []string{"approver"}},
}

// A host mounts the API; Jane starts a run and follows it; Kim approves what it would do.
func Example() {
	playbook := incident.Playbook{
		Name: "restart", Environment: "production", Title: "Restart the application", Severity: alert.Critical,
		Steps: []incident.Step{
			{ID: "gate", Title: "May it be restarted?", Do: incident.Approve{Bound: true, Question: func(*incident.Scope) string { return "It hangs." }}},
			{ID: "restart", Title: "Restart it", Do: incident.Action{
				Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
					return incident.Effect{Call: "restart service web in production"}, nil
				},
				Run: func(context.Context, *incident.Scope) (any, error) { return nil, nil },
			}},
		},
	}
	ctx := context.Background()
	store, runs := new(incident.MemoryStore), incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	runner, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{playbook}, Runs: runs, Store: store})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := runs.Launch(ctx, map[string]incident.Program{incident.PlaybookProgram: runner.Program()}); err != nil {
		fmt.Println(err)
		return
	}
	api, err := httpapi.New(httpapi.Config{
		Store: store, Runner: runner,
		Authenticate: httpapi.AuthenticatorFunc(func(r *http.Request) (httpapi.Actor, error) {
			actor, ok := tokens[r.Header.Get("Authorization")]
			if !ok {
				return actor, httpapi.ErrUnauthenticated
			}
			return actor, nil
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/ops/", http.StripPrefix("/ops", api))
	server := httptest.NewServer(mux)
	defer server.Close()

	ask := func(who, method, path, body string) io.ReadCloser {
		r, err := http.NewRequestWithContext(ctx, method, server.URL+"/ops/v1"+path, strings.NewReader(body))
		if err != nil {
			return io.NopCloser(strings.NewReader(err.Error()))
		}
		r.Header.Set("Authorization", "Bearer token-of-"+who)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", "the button was pressed at 09:30")
		answer, err := server.Client().Do(r)
		if err != nil {
			return io.NopCloser(strings.NewReader(err.Error()))
		}
		fmt.Println(who, method, strings.Split(path, "/")[1], answer.StatusCode)
		return answer.Body
	}

	var run incident.Run
	for range 2 { // a button that is pressed twice
		if err := json.NewDecoder(ask("jane", "POST", "/runs", `{"environment":"production","playbook":"restart"}`)).Decode(&run); err != nil {
			fmt.Println(err)
			return
		}
	}
	events := ask("jane", "GET", "/runs/"+run.ID+"/events", "")
	defer events.Close()
	lines := bufio.NewScanner(events)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: {")
		if !ok || json.Unmarshal([]byte("{"+data), &run) != nil || run.State != incident.StateWaiting {
			continue
		}
		var list struct{ Approvals []incident.Approval }
		if err := json.NewDecoder(ask("kim", "GET", "/approvals", "")).Decode(&list); err != nil || len(list.Approvals) == 0 {
			continue
		}
		a := list.Approvals[0]
		fmt.Println(a.Question.Title, a.Question.Text, "It would:", a.Question.Effects[0].Call)
		ask("jane", "POST", "/approvals/"+a.ID+"/approve", `{"plan":"`+a.Question.Plan+`"}`).Close()
		ask("kim", "POST", "/approvals/"+a.ID+"/approve", `{"plan":"`+a.Question.Plan+`"}`).Close()
	}
	fmt.Println(run.Text)

	// Output:
	// jane POST runs 201
	// jane POST runs 201
	// jane GET runs 200
	// kim GET approvals 200
	// May it be restarted? It hangs. It would: restart service web in production
	// jane POST approvals 403
	// kim POST approvals 204
	// succeeded
}
