package incident_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// notSent is an error of which it is proven that nothing happened.
type notSent struct{}

func (notSent) Error() string     { return "no connection" }
func (notSent) SafeToRetry() bool { return true }

// Requirement: INC-FEATURE-RETRY, INC-ASK-TIMEOUTS
func TestWhatIsTriedAgain(t *testing.T) {
	broken := errors.New("it is broken")
	attempts := func(n int, repeat incident.Repeat) func(*incident.Action, *incident.Step) {
		return func(a *incident.Action, s *incident.Step) {
			s.Attempts, s.OnFailure, a.Repeat = n, incident.Abort, repeat
			a.Done = func(context.Context, *incident.Scope) (any, bool, error) { return nil, false, nil }
		}
	}
	for name, c := range map[string]struct {
		errs   []error
		repeat incident.Repeat
		want   []string
		state  incident.RunState
	}{
		"proven unsent":                {[]error{notSent{}, notSent{}}, incident.AtMostOnce, []string{"act fails", "act fails", "act"}, incident.StateSucceeded},
		"not proven":                   {[]error{broken}, incident.AtMostOnce, []string{"act fails"}, incident.StateFailed},
		"idempotent":                   {[]error{broken, incident.ErrOutcomeUnknown}, incident.Idempotent, []string{"act fails", "act fails", "act"}, incident.StateSucceeded},
		"checked, and not done":        {[]error{incident.ErrOutcomeUnknown}, incident.CheckFirst, []string{"act fails", "act"}, incident.StateSucceeded},
		"final":                        {[]error{incident.Final(notSent{})}, incident.Idempotent, []string{"act fails"}, incident.StateFailed},
		"not permitted is final":       {[]error{incident.ErrNotPermitted}, incident.Idempotent, []string{"act fails"}, incident.StateFailed},
		"busy changed nothing":         {[]error{incident.ErrBusy}, incident.AtMostOnce, []string{"act fails", "act"}, incident.StateSucceeded},
		"its time was over: not known": {[]error{context.DeadlineExceeded}, incident.AtMostOnce, []string{"act fails"}, incident.StateWaiting},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(world)
			inBubble(t, func(b *bench) {
				id := b.start(incident.Request{})
				time.Sleep(time.Minute)
				assert.Equal(t, c.state, b.run(id).State, b.run(id).Text)
				assert.Equal(t, c.want, w.did())
			}, playbook(w.action("act", w.fails("act", c.errs...), attempts(3, c.repeat))))
		})
	}
}

func TestBackoffDoubles(t *testing.T) {
	var at []time.Duration
	var began time.Time
	look := incident.Step{ID: "look", Title: "Look", Attempts: 5, Backoff: time.Minute, OnFailure: incident.Abort, Do: incident.Check{
		Run: func(context.Context, *incident.Scope) (any, error) {
			at = append(at, time.Since(began))
			return nil, errors.New("no")
		},
	}}
	inBubble(t, func(b *bench) {
		began = time.Now()
		id := b.start(incident.Request{})
		time.Sleep(time.Hour)
		assert.Equal(t, incident.StateFailed, b.run(id).State)
		assert.Equal(t, []time.Duration{0, time.Minute, 3 * time.Minute, 7 * time.Minute, 12 * time.Minute}, at, "at most five minutes")
	}, playbook(look))
}

// Requirement: INC-ASK-TIMEOUTS
func TestAStepAndARunEndWhenTheirTimeIsOver(t *testing.T) {
	hangs := func(ctx context.Context, _ *incident.Scope) (any, error) { <-ctx.Done(); return nil, ctx.Err() }
	t.Run("a check", func(t *testing.T) {
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			time.Sleep(21 * time.Second)
			run := b.run(id)
			assert.Equal(t, incident.StateFailed, run.State)
			assert.Equal(t, "timeout", run.Step("look").Code)
		}, playbook(incident.Step{ID: "look", Title: "Look", Timeout: 20 * time.Second, Attempts: 1, OnFailure: incident.Abort, Do: incident.Check{Run: hangs}}))
	})
	t.Run("a run that waits", func(t *testing.T) {
		p := playbook(gate(func(a *incident.Approve, _ *incident.Step) { a.Within = 100 * time.Hour }))
		p.Timeout = time.Hour
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			time.Sleep(time.Hour + time.Second)
			assert.Equal(t, incident.StateFailed, b.run(id).State)
		}, p)
	})
	t.Run("a run that asks", func(t *testing.T) {
		w := new(world)
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			time.Sleep(24*time.Hour + time.Second)
			assert.Equal(t, "failed: it had not ended after 24h0m0s", b.run(id).Text)
		}, playbook(w.action("act", w.fails("act", errors.New("no")))))
	})
}

// Requirement: INC-FEATURE-CONDITION
func TestAStepThatIsNotNeededIsRecordedWithItsReason(t *testing.T) {
	w := new(world)
	act := w.action("act", func(_ *incident.Action, s *incident.Step) {
		s.When = func(s *incident.Scope) (bool, string) {
			n, _ := incident.Result[int](s, "count")
			return n > 5, fmt.Sprintf("%d errors are not more than 5", n)
		}
	})
	for n, state := range map[int]incident.StepState{5: incident.StepSkipped, 6: incident.StepDone} {
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			s := b.run(id).Step("act")
			assert.Equal(t, state, s.State)
			if state == incident.StepSkipped {
				assert.Equal(t, "5 errors are not more than 5", s.Message)
				assert.Equal(t, []string{"Do act: left out: 5 errors are not more than 5"}, b.said(incident.EventSkipped))
			}
		}, playbook(check("count", n, nil), act))
	}
	assert.Equal(t, []string{"act"}, w.did())
}

// Requirement: INC-FEATURE-PARALLEL, INC-DET-5
func TestAGroupIsMadeAtTheSameTime(t *testing.T) {
	slow := func(id string, d time.Duration, err error) incident.Step {
		s := check(id, id, nil)
		s.Attempts = 1
		s.Do = incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { time.Sleep(d); return id, err }}
		return s
	}
	group := func(collect bool, onFailure incident.Failure, steps ...incident.Step) incident.Step {
		return incident.Step{ID: "group", Title: "Look at everything", OnFailure: onFailure, Do: incident.Parallel{Steps: steps, Collect: collect}}
	}
	t.Run("takes as long as its slowest", func(t *testing.T) {
		inBubble(t, func(b *bench) {
			began := time.Now()
			id := b.start(incident.Request{})
			time.Sleep(30 * time.Second)
			run := b.run(id)
			assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
			assert.Equal(t, 20*time.Second, run.Ended.Sub(began))
		}, playbook(group(false, "", slow("a", 20*time.Second, nil), slow("b", 5*time.Second, nil))))
	})
	t.Run("ends when one has failed", func(t *testing.T) {
		again := slow("b", time.Second, errors.New("no"))
		again.Attempts, again.Backoff = 5, time.Minute
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			time.Sleep(time.Hour)
			run := b.run(id)
			assert.Equal(t, "failed: step group (Look at everything): a: gone", run.Text)
			assert.Equal(t, incident.StepSkipped, run.Step("b").State)
			assert.Equal(t, 1, run.Step("b").Tries)
		}, playbook(group(false, incident.Abort, slow("a", time.Second, errors.New("gone")), again)))
	})
	t.Run("or collects", func(t *testing.T) {
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			time.Sleep(time.Hour)
			run := b.run(id)
			assert.Equal(t, "failed: step group (Look at everything): a: gone; c: gone", run.Text)
			assert.Equal(t, incident.StepDone, run.Step("b").State)
		}, playbook(group(true, incident.Abort, slow("a", time.Second, errors.New("gone")), slow("b", time.Minute, nil), slow("c", time.Second, errors.New("gone")))))
	})
	t.Run("and makes again only what has failed", func(t *testing.T) {
		w := new(world)
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			b.answer(id, incident.Answer{Kind: "retry"})
			assert.Equal(t, incident.StateSucceeded, b.run(id).State, b.run(id).Text)
			assert.ElementsMatch(t, []string{"a", "b fails", "b"}, w.did())
		}, playbook(group(true, "", w.action("a"), w.action("b", w.fails("b", errors.New("no"))))))
	})
	t.Run("and asks about what may have happened", func(t *testing.T) {
		w := new(world)
		inBubble(t, func(b *bench) {
			id := b.start(incident.Request{})
			assert.Equal(t, "needs a person: Do b: it is not known whether it was done", b.run(id).Text)
			b.answer(id, incident.Answer{Kind: "done"})
			assert.Equal(t, incident.StateSucceeded, b.run(id).State, b.run(id).Text)
			assert.ElementsMatch(t, []string{"a", "b fails"}, w.did())
		}, playbook(group(true, incident.Abort, w.action("a"), w.action("b", w.fails("b", incident.ErrOutcomeUnknown)))))
	})
}

func TestAPlaybookWithinAPlaybook(t *testing.T) {
	w := new(world)
	inner := playbook(
		incident.Step{ID: "say", Title: "Say", Do: incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) { return s.Text("word"), nil }}},
		w.action("act", func(_ *incident.Action, s *incident.Step) {
			s.OnFailure = incident.UndoAll
			s.When = func(s *incident.Scope) (bool, string) {
				word, _ := incident.Result[string](s, "say")
				return word == "go", "the word is " + word
			}
		}, w.fails("act", errors.New("no"))),
	)
	inner.Parameters = []incident.Parameter{{Name: "word", Default: "stop"}}
	sub := func(word string) incident.Step {
		return incident.Step{ID: "sub", Title: "The other one", OnFailure: incident.Abort, Do: incident.Sub{Playbook: inner, With: func(*incident.Scope) map[string]string { return map[string]string{"word": word} }}}
	}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		run := b.run(id)
		assert.Equal(t, "failed: step sub (The other one): step sub.act (Do act): no; what it did was taken back", run.Text)
		assert.Equal(t, []string{"first", "act fails"}, w.did(), "what was before it is not taken back")
	}, playbook(w.action("first"), sub("go")))
	inBubble(t, func(b *bench) {
		run := b.run(b.start(incident.Request{}))
		assert.Equal(t, incident.StateSucceeded, run.State)
		assert.Equal(t, "the word is halt", run.Step("sub.act").Message)
	}, playbook(sub("halt")))
}

func TestPhasesThatTakeTooLongAreToldInTime(t *testing.T) {
	p := playbook(
		incident.Step{ID: "look", Title: "Look", Phase: "assess", Timeout: time.Hour, OnFailure: incident.Abort, Do: incident.Check{
			Run: func(context.Context, *incident.Scope) (any, error) { time.Sleep(10 * time.Minute); return nil, nil },
		}},
		gate(func(_ *incident.Approve, s *incident.Step) { s.Phase = "act" }),
	)
	p.Phases = []incident.Phase{{Name: "assess", Budget: 5 * time.Minute}, {Name: "act", Budget: 10 * time.Minute}}
	inBubble(t, func(b *bench) {
		b.start(incident.Request{})
		time.Sleep(5*time.Minute - time.Second)
		assert.Empty(t, b.said(incident.EventOverrun))
		time.Sleep(2 * time.Second)
		assert.Equal(t, []string{"assess has taken longer than its 5m0s"}, b.said(incident.EventOverrun), "while the step is under way")
		time.Sleep(15 * time.Minute)
		assert.Contains(t, b.said(incident.EventOverrun), "act has taken longer than its 10m0s", "while people are asked")
	}, p)
}

func TestParametersAreChecked(t *testing.T) {
	p := playbook(check("look", nil, nil))
	p.Parameters = []incident.Parameter{
		{Name: "workers", Type: incident.Whole, Default: "8", Min: "1", Max: "16"},
		{Name: "wait", Type: incident.Duration, Default: "5m", Max: "1h"},
		{Name: "why"},
		{Name: "force", Type: incident.YesNo, Default: "no"},
		{Name: "color", Choices: []string{"red", "green"}, Optional: true},
	}
	inBubble(t, func(b *bench) {
		_, err := b.Start(b.t.Context(), incident.Request{Playbook: p.Name, Environment: p.Environment, Parameters: map[string]string{
			"workers": "17", "wait": "2h", "force": "perhaps", "color": "blue", "speed": "9",
		}})
		for _, want := range []string{
			"parameter workers: 17 is more than 16", "parameter wait: 2h is more than 1h", "parameter why: a value is required",
			`parameter force: "perhaps" is neither yes nor no`, `parameter color: "blue" is none of red, green`, `there is no parameter "speed"`,
			"who wants it is required",
		} {
			assert.ErrorContains(t, err, want)
		}
		run := b.run(b.start(incident.Request{Parameters: map[string]string{"why": "because", "workers": "4"}}))
		assert.Equal(t, map[string]string{"workers": "4", "wait": "5m", "why": "because", "force": "no", "color": ""}, run.Parameters)
	}, p)
}

// Requirement: INC-ASK-ONE-STEP
func TestOneStepIsRunByHand(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		run := b.run(b.start(incident.Request{Only: []string{"b"}}))
		assert.Equal(t, incident.StateSucceeded, run.State)
		assert.Equal(t, []string{"b"}, w.did())
		assert.Equal(t, "it was not asked for", run.Step("a").Message)
	}, playbook(w.action("a"), w.action("b"), w.action("c")))
}

// Requirement: INC-ASK-RESUME, INC-FEATURE-RESUME
func TestAFailedRunGoesOnFromTheStepThatFailed(t *testing.T) {
	w := new(world)
	act := w.action("b", w.fails("b", errors.New("no")), func(_ *incident.Action, s *incident.Step) { s.OnFailure = incident.Abort })
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		assert.Equal(t, incident.StateFailed, b.run(id).State)
		_, err := b.Fork(b.t.Context(), id, "b", "", "")
		require.ErrorContains(t, err, "who wants it, and why")
		_, err = b.Fork(b.t.Context(), id, "c", "kim", "fixed")
		require.ErrorIs(t, err, incident.ErrNotFound, "it never came to that step")
		fork, err := b.Fork(b.t.Context(), id, "b", "kim", "fixed")
		require.NoError(t, err)
		run := b.run(fork.ID)
		assert.Equal(t, incident.StateSucceeded, run.State, run.Text)
		assert.Equal(t, []string{"a", "b fails", "b", "c"}, w.did())
		assert.Equal(t, id, run.Fork)
	}, playbook(w.action("a"), act, w.action("c")))
}

// Requirement: INC-CRASH-CANCEL
func TestARunIsPausedResumedAndCancelled(t *testing.T) {
	w := new(world)
	long := incident.Step{ID: "long", Title: "Do something long", Timeout: time.Hour, Do: incident.Action{
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) { return incident.Effect{}, nil },
		Run: func(ctx context.Context, _ *incident.Scope) (any, error) {
			select {
			case <-time.After(10 * time.Minute):
				w.do("long")
			case <-ctx.Done():
				w.do("long was told to end")
			}
			return nil, ctx.Err()
		},
	}}
	inBubble(t, func(b *bench) {
		ctx := b.t.Context()
		id := b.start(incident.Request{})
		require.ErrorContains(t, b.Pause(ctx, id, "", ""), "who wants it to be paused, and why")
		require.NoError(t, b.Pause(ctx, id, "kim", "let me look"))
		assert.Equal(t, "was paused by kim (let me look); nothing new is begun", b.run(id).Text)
		time.Sleep(11 * time.Minute)
		assert.Equal(t, []string{"long"}, w.did(), "what was under way comes to its end, and nothing new is begun")
		require.NoError(t, b.Resume(ctx, id, "kim", "fine"))
		assert.Equal(t, incident.StateSucceeded, b.run(id).State)

		id = b.start(incident.Request{})
		require.NoError(t, b.Cancel(ctx, id, "kim", "wrong one"))
		run := b.run(id)
		assert.Equal(t, "was cancelled by kim (wrong one); what was done stays; look at Do something long: it is not known whether it was done", run.Text)
		assert.Equal(t, incident.StepUnknown, run.Step("long").State, "of what was under way nobody knows")
		assert.Contains(t, w.did(), "long was told to end")
		require.ErrorIs(t, b.Pause(ctx, id, "kim", "x"), incident.ErrStale)
	}, playbook(long, w.action("after")))
}

// Requirement: INC-FEATURE-LOCK, INC-CRASH-LOCK-ENVIRONMENT
func TestOneRunPerEnvironment(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		first := b.start(incident.Request{})
		second := b.start(incident.Request{})
		assert.Equal(t, "waits for its turn: another run works on production, or no process has taken it yet", b.run(second).Text)
		_, err := b.Start(b.t.Context(), incident.Request{Playbook: "restart", Environment: "production", By: "lee", Refuse: true})
		require.ErrorIs(t, err, incident.ErrBusy)
		b.answer(first, incident.Answer{Kind: "approve"})
		assert.Equal(t, incident.StateWaiting, b.run(second).State)
	}, playbook(gate(), w.action("act")))
}

// Requirement: INC-FEATURE-PROGRESS
func TestARunIsFollowedLive(t *testing.T) {
	slow := incident.Step{ID: "slow", Title: "Do something slow", Do: incident.Check{Run: func(_ context.Context, s *incident.Scope) (any, error) {
		time.Sleep(10 * time.Second)
		s.Progress("%d of %d", 1, 2)
		time.Sleep(10 * time.Second)
		return nil, nil
	}}}
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		var seen []string
		for run, err := range b.Follow(b.t.Context(), id) {
			require.NoError(t, err)
			step := run.Step("slow")
			if step.State == incident.StepDone && run.State == incident.StateRunning {
				continue // it is seen, or not, between the end of the step and that of the run
			}
			text := string(run.State) + " " + step.Progress
			if len(seen) == 0 || seen[len(seen)-1] != text {
				seen = append(seen, text)
			}
		}
		assert.Equal(t, []string{"running ", "running 1 of 2", "succeeded "}, seen)
	}, playbook(slow))
}

func TestAPanicIsAnOutcome(t *testing.T) {
	w := new(world)
	inBubble(t, func(b *bench) {
		id := b.start(incident.Request{})
		run := b.run(id)
		assert.Equal(t, incident.StepFailed, run.Step("look").State)
		assert.Equal(t, incident.StepUnknown, run.Step("act").State)
		assert.Equal(t, "the playbook panicked: at the disco", run.Step("act").Message)
	}, playbook(
		incident.Step{ID: "look", Title: "Look", Attempts: 1, OnFailure: incident.GoOn, Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) { panic("x") }}},
		w.action("act", func(a *incident.Action, _ *incident.Step) {
			a.Run = func(context.Context, *incident.Scope) (any, error) { panic("at the disco") }
		}),
	))
}
