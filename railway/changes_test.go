package railway_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
)

// stagedPatch changes a variable of the service, with a value that nothing may show.
func (h *varHost) stagedPatch() string {
	return fmt.Sprintf(`{"services":{%q:{"variables":{"A":{"value":%q},"B":null},"deploy":{"startCommand":"run"}}}}`, h.service, varCanary)
}

// Staged changes are read with their paths, and without their values. The document
// selects what it wants of them, contrary to the documentation.
//
// Requirement: RW-DOCS-STAGED, RW-G9
func TestStagedChangesAreShownByPath(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		empty, err := h.env.StagedChanges(t.Context())
		require.NoError(t, err)
		assert.True(t, empty.IsEmpty())
		var query string
		h.before = func(body string) { query = body }
		h.Stage(h.environment, h.stagedPatch())
		staged, err := h.env.StagedChanges(t.Context())
		require.NoError(t, err)
		at := "services." + h.service + "."
		assert.Equal(t, []string{at + "deploy.startCommand", at + "variables.A", at + "variables.B"}, staged.Paths)
		assert.Contains(t, query, "patch", "it has a selection")
		silent(t, varCanary, staged, &staged)
	})
}

// What was approved is committed, and followed to its end.
//
// Requirement: RW-G9, RW-G10
func TestCommitStaged(t *testing.T) {
	for name, skip := range map[string]bool{"deploys": false, "quiet": true} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				before := h.Newest(h.environment, h.service)
				h.Stage(h.environment, h.stagedPatch())
				staged, err := h.env.StagedChanges(t.Context())
				require.NoError(t, err)
				require.NoError(t, h.env.CommitStaged(t.Context(), staged, "why", skip))
				assert.Equal(t, varCanary, h.Variables(h.environment, h.service)["A"])
				assert.Equal(t, skip, before == h.Newest(h.environment, h.service))
				err = h.env.CommitStaged(t.Context(), staged, "why", skip)
				require.ErrorIs(t, err, incident.ErrStale, "it is committed already")
				assert.Len(t, h.did("environmentPatchCommitStaged"), 1)
			})
		})
	}
}

// What was not approved is neither committed nor discarded, also if only a value is
// another one.
//
// Requirement: RW-G9
func TestWhatWasNotApprovedIsNotCommitted(t *testing.T) {
	for name, more := range map[string]string{
		"another path":  `{"sharedVariables":{"THEIRS":{"value":"x"}}}`,
		"another value": `{"services":{"%s":{"variables":{"A":{"value":"else"}}}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				h.Stage(h.environment, h.stagedPatch())
				staged, err := h.env.StagedChanges(t.Context())
				require.NoError(t, err)
				h.Stage(h.environment, strings.ReplaceAll(more, "%s", h.service))
				for _, err := range []error{h.env.CommitStaged(t.Context(), staged, "why", true), h.env.DiscardStaged(t.Context(), staged)} {
					require.ErrorIs(t, err, incident.ErrStale)
					assert.True(t, runbook.SafeToRetry(err))
					silent(t, varCanary, err)
				}
				assert.Empty(t, h.Effects())
			})
		})
	}
}

// A commit and a discard are made once, whatever becomes of their answers.
//
// Requirement: RW-G4, RW-G10
func TestStagedChangesAreCommittedAndDiscardedOnce(t *testing.T) {
	for op, do := range map[string]func(ctx context.Context, e *railway.Environment, s railway.StagedChanges) error{
		"environmentPatchCommitStaged": func(ctx context.Context, e *railway.Environment, s railway.StagedChanges) error {
			return e.CommitStaged(ctx, s, "why", true)
		},
		"environmentStageChanges": func(ctx context.Context, e *railway.Environment, s railway.StagedChanges) error {
			return e.DiscardStaged(ctx, s)
		},
	} {
		for name, f := range varUnclear(op) {
			t.Run(op+"/"+name, func(t *testing.T) {
				varBubble(t, func(t *testing.T) {
					h := newVars(t)
					h.Stage(h.environment, h.stagedPatch())
					staged, err := h.env.StagedChanges(t.Context())
					require.NoError(t, err)
					h.Fail(f)
					err = do(t.Context(), h.env, staged)
					silent(t, varCanary, err)
					if strings.HasSuffix(name, "instead") {
						require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
						assert.Empty(t, h.Effects())
						return
					}
					require.NoError(t, err)
					assert.Len(t, h.Effects(), 1)
					assert.JSONEq(t, "{}", h.Staged(h.environment))
				})
			})
		}
	}
}

// A workflow is followed through what Railway says of it: it is not found at first,
// its states are written in whatever case, and its end is told.
//
// Requirement: RW-G10, RW-COMMIT-ASYNC
func TestAWorkflowIsFollowedToItsEnd(t *testing.T) {
	const running, complete, missing = `{"status":"Running"}`, `{"status":"Complete"}`, `{"status":"NotFound"}`
	gone := `{"errors":[{"message":"Workflow not found","extensions":{"code":"INTERNAL_SERVER_ERROR"}}],"data":null}`
	for name, test := range map[string]struct {
		states  []string
		err     error
		code    string
		refused bool
	}{
		"not found at first":     {states: []string{missing, missing, gone, running, complete}},
		"lower case":             {states: []string{`{"status":"running"}`, `{"status":"complete"}`}},
		"upper case":             {states: []string{`{"status":"RUNNING"}`, `{"status":"COMPLETE"}`}},
		"a state that is new":    {states: []string{`{"status":"Waiting"}`, complete}},
		"it fails":               {states: []string{running, `{"status":"Error","error":"no: ` + varCanary + `"}`}, code: "workflow", refused: true},
		"it fails in lower case": {states: []string{`{"status":"error"}`}, code: "workflow", refused: true},
		"never found":            {states: []string{missing}, err: incident.ErrOutcomeUnknown},
		"never ends":             {states: []string{running}, err: incident.ErrOutcomeUnknown},
		"cannot be seen":         {states: []string{running, `{"errors":[{"message":"Not Authorized"}],"data":null}`}, err: incident.ErrOutcomeUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			varBubble(t, func(t *testing.T) {
				h := newVars(t)
				h.Stage(h.environment, h.stagedPatch())
				looks := 0
				h.answer = func(body string) string {
					if !strings.Contains(body, "workflowStatus") {
						return ""
					}
					state := test.states[min(looks, len(test.states)-1)]
					looks++
					if strings.Contains(state, "errors") {
						return state
					}
					return `{"data":{"workflowStatus":` + state + `}}`
				}
				staged, err := h.env.StagedChanges(t.Context())
				require.NoError(t, err)
				start := time.Now()
				err = h.env.CommitStaged(t.Context(), staged, "why", true)
				silent(t, varCanary, err)
				var e *railway.Error
				switch {
				case test.code != "":
					require.ErrorAs(t, err, &e)
					assert.Equal(t, test.code, e.Code)
					assert.NotErrorIs(t, err, incident.ErrOutcomeUnknown)
				case test.err != nil:
					require.ErrorIs(t, err, test.err)
				default:
					require.NoError(t, err)
					assert.Equal(t, len(test.states), looks)
				}
				assert.Equal(t, test.refused, runbook.SafeToRetry(err))
				assert.LessOrEqual(t, time.Since(start), 6*time.Minute)
				if name == "never found" {
					assert.LessOrEqual(t, time.Since(start), 90*time.Second)
				}
			})
		})
	}
}

// A context that ends stops the waiting, not the job, which the error says.
//
// Requirement: RW-G10
func TestAWorkflowGoesOnWithoutTheContext(t *testing.T) {
	varBubble(t, func(t *testing.T) {
		h := newVars(t)
		h.Working = time.Minute
		h.Stage(h.environment, h.stagedPatch())
		staged, err := h.env.StagedChanges(t.Context())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err = h.env.CommitStaged(ctx, staged, "why", true)
		require.ErrorIs(t, err, incident.ErrOutcomeUnknown)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, runbook.SafeToRetry(err))
		time.Sleep(time.Minute)
		assert.Equal(t, varCanary, h.Variables(h.environment, h.service)["A"])
	})
}

// answered is an answer with a body of JSON.
func answered(body string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body))}
}
