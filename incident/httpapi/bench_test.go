package httpapi_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/httpapi"
)

// longRun returns a host with a run of a playbook of so many steps, and a manual one at
// its end, where it waits.
func longRun(b *testing.B, steps int) (api http.Handler, runs *incident.MemoryRuns) {
	b.Helper()
	p := incident.Playbook{Name: "long", Environment: "production", Title: "Many steps", Severity: alert.Low}
	for i := range steps {
		p.Steps = append(p.Steps, incident.Step{ID: fmt.Sprint("step-", i), Title: "Look at it", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) {
			return map[string]string{"deployment": "7f3a", "status": "SUCCESS"}, nil
		}}})
	}
	p.Steps = append(p.Steps, tidy().Steps...)
	runs = incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	store := new(incident.MemoryStore)
	runner, err := incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p}, Runs: runs, Store: store})
	require.NoError(b, err)
	require.NoError(b, runs.Launch(b.Context(), map[string]incident.Program{incident.PlaybookProgram: runner.Program()}))
	api, err = httpapi.New(httpapi.Config{Authenticate: httpapi.AuthenticatorFunc(authenticate), Store: store, Runner: runner})
	require.NoError(b, err)
	_, err = runner.Start(b.Context(), incident.Request{ID: "run-1", Environment: "production", Playbook: "long", By: "Jane"})
	require.NoError(b, err)
	for run, err := range runner.Follow(b.Context(), "run-1") {
		require.NoError(b, err)
		if run.State == incident.StateWaiting {
			break
		}
	}
	return api, runs
}

// Target: under 2 ms for a run of 100 steps.
func BenchmarkGetRun(b *testing.B) {
	api, _ := longRun(b, 100)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/runs/run-1", nil)
	r.Header.Set("Authorization", "Bearer val")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}

// pipe is an answer that is read as it is written.
type pipe struct {
	*io.PipeWriter
	header http.Header
}

func (p pipe) Header() http.Header { return p.header }
func (pipe) WriteHeader(int)       {}
func (pipe) Flush()                {}

// From a change of a run to the client that follows it. Target: under 1 ms for a run of 20
// steps. Most of it is making what is looked at of the record.
func BenchmarkEvent(b *testing.B) {
	for _, steps := range []int{20, 100} {
		b.Run(fmt.Sprint(steps, " steps"), func(b *testing.B) { benchmarkEvent(b, steps) })
	}
}

func benchmarkEvent(b *testing.B, steps int) {
	api, runs := longRun(b, steps)
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/v1/runs/run-1/events", nil)
	r.Header.Set("Authorization", "Bearer val")
	out, in := io.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		api.ServeHTTP(pipe{in, make(http.Header)}, r)
	}()
	lines := bufio.NewReaderSize(out, 1<<20)
	event := func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				b.Fatal(err)
			}
			if strings.HasPrefix(line, "data: ") {
				return
			}
		}
	}
	event()
	held := false
	b.ReportAllocs()
	for b.Loop() {
		change := runs.Hold
		if held {
			change = runs.Release
		}
		held = !held
		if err := change(ctx, "run-1", incident.Control{By: "Jane", Reason: "x"}); err != nil {
			b.Fatal(err)
		}
		event()
	}
	cancel()
	require.NoError(b, out.Close())
	<-done
}

// What each request pays: who makes it, what they may, and a small answer.
func BenchmarkGetAutomation(b *testing.B) {
	store := new(incident.MemoryStore)
	automation, err := incident.NewAutomation(incident.AutomationConfig{Store: store})
	require.NoError(b, err)
	api, err := httpapi.New(httpapi.Config{Authenticate: httpapi.AuthenticatorFunc(authenticate), Store: store, Automation: automation})
	require.NoError(b, err)
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/v1/automation", nil)
	r.Header.Set("Authorization", "Bearer val")
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body)
		}
	}
}
