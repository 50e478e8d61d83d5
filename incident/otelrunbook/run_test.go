package otelrunbook_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/otelrunbook"
)

func TestARunIsOneTraceWithItsQuestion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		var inner trace.SpanContext
		h := newHouse(t, w, steps("roll-back",
			look("look", fine), approve("ask"),
			act("act", func(ctx context.Context, _ *incident.Scope) (any, error) {
				inner = trace.SpanContextFromContext(ctx)
				return secret, nil
			}),
		))
		began := time.Now()
		run := h.start(t, "roll-back")
		require.NotNil(t, run.Question)
		assert.ElementsMatch(t, []string{"step look"}, w.names(), "nothing is kept open for a run that waits")

		time.Sleep(20 * time.Minute) // within the 30 minutes of the question
		require.NoError(t, h.runner.Answer(t.Context(), run.ID, run.Question.ID, incident.Answer{Kind: incident.AnswerApprove, Actor: "Ben"}))
		synctest.Wait()
		run = h.follow(t, run.ID)
		require.Equal(t, incident.StateSucceeded, run.State, run.Reason)

		root := w.span(t, "run roll-back")
		assert.Equal(t, otelrunbook.TraceID(run.ID), root.SpanContext.TraceID())
		assert.False(t, root.Parent.IsValid(), "it is the root")
		assert.Equal(t, began, root.StartTime.Local())
		assert.Equal(t, 20*time.Minute, root.EndTime.Sub(root.StartTime))
		assert.Equal(t, map[string]string{
			"runbook.playbook": "roll-back", "runbook.environment": "production", "runbook.state": "succeeded",
			"runbook.run.id": "run-1", "runbook.run.automatic": "false", "runbook.incident.id": "INC-2026-0001",
		}, attributes(root))
		for _, name := range []string{"step look", "ask ask", "step act"} {
			s := w.span(t, name)
			assert.Equal(t, root.SpanContext.TraceID(), s.SpanContext.TraceID(), name)
			assert.Equal(t, root.SpanContext.SpanID(), s.Parent.SpanID(), name)
		}
		asked := w.span(t, "ask ask")
		assert.Equal(t, 20*time.Minute, asked.EndTime.Sub(asked.StartTime))
		assert.Equal(t, "approve", attributes(asked)["runbook.answer"])
		assert.Equal(t, w.span(t, "step act").SpanContext.SpanID(), inner.SpanID(), "what a step calls is its child")
		assert.Len(t, w.names(), 4)

		assert.Equal(t, map[string]float64{"runbook.environment=production,runbook.playbook=roll-back,runbook.state=succeeded": 1}, w.values(t, "runbook.run.duration"))
		assert.Equal(t, map[string]float64{"runbook.answer=approve,runbook.environment=production,runbook.kind=approve,runbook.playbook=roll-back": 1}, w.values(t, "runbook.question.duration"))
		assert.Equal(t, map[string]float64{
			"runbook.environment=production,runbook.kind=check,runbook.playbook=roll-back,runbook.result=done":  1,
			"runbook.environment=production,runbook.kind=action,runbook.playbook=roll-back,runbook.result=done": 1,
		}, w.values(t, "runbook.step.duration"))
		assertNoSecret(t, w)
	})
}

// assertNoSecret looks for what must not be told in everything that was.
func assertNoSecret(t *testing.T, w *world) {
	t.Helper()
	for _, s := range w.spans.GetSpans() {
		text, err := json.Marshal([]any{s.Name, s.Attributes, s.Events, s.Status, s.Links})
		require.NoError(t, err)
		for _, word := range []string{secret, "Ana", "Ben"} {
			assert.NotContains(t, string(text), word, s.Name)
		}
	}
}

func TestAttemptsLinkAndFailWithAClass(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		tries := 0
		again := look("again", func(context.Context, *incident.Scope) (any, error) {
			if tries++; tries < 3 {
				return nil, errors.New("the token " + secret + " was refused")
			}
			return nil, nil
		})
		last := act("last", broken)
		last.OnFailure = incident.UndoAll
		h := newHouse(t, w, steps("change", again, act("first", fine), last))
		run := h.start(t, "change")
		require.Equal(t, incident.StateUndone, run.State)

		attempts := w.named("step again")
		require.Len(t, attempts, 3)
		assert.Empty(t, attempts[0].Links)
		assert.Equal(t, codes.Error, attempts[0].Status.Code)
		assert.Equal(t, "failed", attributes(attempts[0])["error.type"])
		for i := 1; i < 3; i++ {
			require.Len(t, attempts[i].Links, 1)
			assert.Equal(t, attempts[i-1].SpanContext.SpanID(), attempts[i].Links[0].SpanContext.SpanID())
		}
		assert.Equal(t, codes.Unset, attempts[2].Status.Code)
		failed := w.span(t, "step last")
		assert.Equal(t, "final", failed.Status.Description)
		assert.Equal(t, "done", attributes(w.span(t, "undo first"))["runbook.result"])
		root := w.span(t, "run change")
		assert.Equal(t, codes.Error, root.Status.Code)
		assert.Equal(t, "undone", root.Status.Description)
		require.Len(t, root.Events, 1)
		assert.Equal(t, "began", root.Events[0].Name)
		assertNoSecret(t, w)

		forked, err := h.runner.Fork(t.Context(), run.ID, "again", "Ben", "try again")
		require.NoError(t, err)
		h.follow(t, forked.ID)
		synctest.Wait()
		fork := w.named("run change")[1]
		require.Len(t, fork.Links, 1)
		assert.Equal(t, root.SpanContext.SpanID(), fork.Links[0].SpanContext.SpanID(), "a fork links to the run that it was forked from")
		assert.NotEqual(t, root.SpanContext.TraceID(), fork.SpanContext.TraceID())
	})
}

func TestACancelledRunEndsAsOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		h := newHouse(t, w, steps("waits", approve("ask")))
		run := h.start(t, "waits")
		require.NoError(t, h.runner.Cancel(t.Context(), run.ID, "Ben", "not needed"))
		synctest.Wait()
		root := w.span(t, "run waits")
		assert.Equal(t, "cancelled", attributes(root)["runbook.state"])
		assert.Equal(t, codes.Unset, root.Status.Code)
		assert.Equal(t, map[string]float64{"runbook.environment=production,runbook.playbook=waits,runbook.state=cancelled": 1}, w.values(t, "runbook.run.duration"))
	})
}

func TestAQuestionThatNobodyAnswersHasExpired(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		h := newHouse(t, w, steps("waits", approve("ask")))
		h.start(t, "waits")
		time.Sleep(time.Hour)
		synctest.Wait()
		asked := w.span(t, "ask ask")
		assert.Equal(t, 30*time.Minute, asked.EndTime.Sub(asked.StartTime))
		assert.Equal(t, "expired", attributes(asked)["runbook.answer"])
		root := w.span(t, "run waits")
		assert.Equal(t, "failed", root.Status.Description)
		assertNoSecret(t, w)
	})
}

func TestARunThatGoesOnLaterHasNotEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		h := newHouse(t, w, steps("waits", approve("ask")))
		h.start(t, "waits")
		require.NoError(t, h.runs.Close(t.Context()))
		assert.Empty(t, w.names())
		assert.Empty(t, w.values(t, "runbook.run.duration"))
	})
}

func TestOfManyLooksFewAreSpans(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{})
		tries := 0
		h := newHouse(t, w, steps("waits", incident.Step{ID: "wait", Title: "Waits", Do: incident.Wait{
			Within: time.Hour,
			Until: func(context.Context, *incident.Scope) (any, bool, error) {
				tries++
				return nil, tries == 50, nil
			},
		}}))
		require.Equal(t, incident.StateSucceeded, h.start(t, "waits").State)
		found := w.named("step wait")
		require.Len(t, found, 11)
		assert.Equal(t, "not yet", attributes(found[0])["runbook.result"])
		assert.Equal(t, codes.Unset, found[0].Status.Code, "that it is not so yet is no error")
		assert.Equal(t, "50", attributes(found[10])["runbook.step.attempt"])
		assert.Equal(t, map[string]float64{
			"runbook.environment=production,runbook.kind=wait,runbook.playbook=waits,runbook.result=not yet": 49,
			"runbook.environment=production,runbook.kind=wait,runbook.playbook=waits,runbook.result=done":    1,
		}, w.values(t, "runbook.step.duration"))
	})
}

// notOurs makes ids as any provider does.
type notOurs struct{ otelrunbook.IDs }

func (n notOurs) NewIDs(context.Context) (trace.TraceID, trace.SpanID) {
	return n.IDs.NewIDs(context.Background())
}

func TestWithIDsOfAnotherTheRunIsInTheTraceOfItsSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, otelrunbook.Config{}, sdktrace.WithIDGenerator(notOurs{}))
		h := newHouse(t, w, steps("look", look("look", fine)))
		h.start(t, "look")
		root, step := w.span(t, "run look"), w.span(t, "step look")
		assert.Equal(t, otelrunbook.TraceID("run-1"), step.SpanContext.TraceID())
		assert.Equal(t, step.SpanContext.TraceID(), root.SpanContext.TraceID())
		assert.Equal(t, step.Parent.SpanID(), root.Parent.SpanID())
	})
}

func TestProgramsOfOthersPassUntold(t *testing.T) {
	t.Parallel()
	w := newWorld(t, otelrunbook.Config{})
	p := w.Program(func(context.Context, incident.Engine, incident.RunStart) (json.RawMessage, error) {
		return json.RawMessage(`{"state":"succeeded"}`), nil
	})
	_, err := p(t.Context(), nil, incident.RunStart{ID: "x", Program: incident.EscalationProgram})
	require.NoError(t, err)
	assert.Empty(t, w.names())
	_, err = p(t.Context(), nil, incident.RunStart{ID: "x", Program: incident.PlaybookProgram, Input: json.RawMessage(`no JSON`)})
	require.NoError(t, err)
	assert.Equal(t, []string{"run "}, w.names())
}

func TestAPanicOfACallEndsItsSpan(t *testing.T) {
	t.Parallel()
	w := newWorld(t, otelrunbook.Config{})
	input := json.RawMessage(`{"steps":[{"id":"act","kind":"action"}]}`)
	p := w.Program(func(ctx context.Context, e incident.Engine, _ incident.RunStart) (json.RawMessage, error) {
		_, err := e.Steps(ctx, []incident.Call{{ID: "act", Do: func(context.Context, []incident.Attempt) incident.Outcome { panic(secret) }}})
		return nil, err
	})
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{incident.PlaybookProgram: p}))
	_, err := runs.Start(t.Context(), incident.RunStart{ID: "x", Program: incident.PlaybookProgram, Input: input, By: "Ana", At: time.Now()})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(w.names()) == 1 }, 10*time.Second, time.Millisecond)
	assert.Equal(t, "panic", w.span(t, "step act").Status.Description)
	assertNoSecret(t, w)
	require.NoError(t, runs.Close(t.Context()))
}
