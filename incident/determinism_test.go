package incident_test

import (
	"context"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
)

// The methods of the interpreter do nothing that would come out differently when a run
// goes on: outside of the funcs that they give to the engine they read no clock, draw no
// random numbers and touch no system, and they go over no map.
//
// Requirement: INC-DET-2
func TestTheInterpreterDependsOnNothingButTheRecord(t *testing.T) {
	forbidden := map[string]bool{"time.Now": true, "time.Since": true, "time.Until": true, "time.Sleep": true, "time.After": true, "wallTime": true}
	looked := 0
	for _, name := range []string{"interpret.go", "phase.go", "leaf.go", "within.go", "ask.go"} {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		require.NoError(t, err)
		for _, imported := range file.Imports {
			assert.NotContains(t, []string{`"math/rand/v2"`, `"crypto/rand"`, `"os"`, `"net/http"`, `"sync"`}, imported.Path.Value, name)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv == nil || !strings.Contains(exprText(f.Recv.List[0].Type), "interpreter") {
				continue
			}
			looked++
			ast.Inspect(f.Body, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncLit:
					return false // what the engine makes, once
				case *ast.CallExpr:
					assert.False(t, forbidden[exprText(n.Fun)], "%s: %s calls %s", name, f.Name.Name, exprText(n.Fun))
				case *ast.RangeStmt:
					assert.NotContains(t, []string{"x.visits", "x.come", "x.names", "x.ordered", "x.index", "x.steps", "x.scope.outcomes", "x.scope.parameters"}, exprText(n.X), "%s: %s goes over a map", name, f.Name.Name)
				case *ast.GoStmt, *ast.SelectStmt:
					assert.Fail(t, "a goroutine or a select", "%s: %s", name, f.Name.Name)
				}
				return true
			})
		}
	}
	assert.Greater(t, looked, 30)
}

func exprText(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return exprText(e.X) + "." + e.Sel.Name
	case *ast.StarExpr:
		return exprText(e.X)
	}
	return ""
}

// Requirement: INC-DET-6
func TestWhatIsKeptIsSmallAndHasNoSecrets(t *testing.T) {
	secret := incident.Step{ID: "secret", Title: "Read a secret", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) {
		return map[string]any{"token": runbook.NewSecret("hunter2")}, nil
	}}}
	large := incident.Step{ID: "large", Title: "Read too much", OnFailure: incident.GoOn, Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) {
		return strings.Repeat("x", 70_000), nil
	}}}
	w := new(world)
	act := w.action("act", func(a *incident.Action, _ *incident.Step) {
		run := a.Run
		a.Run = func(ctx context.Context, s *incident.Scope) (any, error) {
			_, err := run(ctx, s)
			return strings.Repeat("x", 70_000), err
		}
	})
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		run := b.run(id)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		assert.JSONEq(t, `{"token":"[redacted]"}`, string(run.Step("secret").Output))
		assert.Equal(t, incident.StepFailed, run.Step("large").State)
		assert.Equal(t, "too large", run.Step("large").Code)
		assert.Equal(t, incident.StepDone, run.Step("act").State, "what was done is done, though its output cannot be kept")
		record, err := b.runs.Record(b.t.Context(), id, -1)
		require.NoError(t, err)
		data, err := json.Marshal(record)
		require.NoError(t, err)
		assert.NotContains(t, string(data), "hunter2")
		assert.Less(t, len(data), 64<<10)
	}, playbook(secret, large, act))
}

// Requirement: INC-DET-8
func TestADeadlineIsARecordedInstant(t *testing.T) {
	r, start := started(t, playbook(gate()))
	e := carryOut(t, r, start, 2, false) // killed while it waits
	var q incident.Question
	for _, entry := range e.record.Entries {
		if entry.ID == "gate/ask" {
			require.NoError(t, json.Unmarshal(entry.Outcome.Output, &q))
		}
	}
	assert.Equal(t, 30*time.Minute, q.Deadline.Sub(q.Asked))
	assert.Equal(t, q.Deadline, e.awaited["gate/ask"], "the run that goes on waits until the instant that was recorded")
}
