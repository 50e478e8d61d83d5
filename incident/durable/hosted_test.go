package durable_test

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/durable"
)

// hosts are what a host has: playbooks, and escalations. Both leave their effects.
func (k *killed) hosts(onEvent func(ctx context.Context, e incident.Event)) (*incident.Runner, *incident.Escalations, error) {
	runner, err := incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{k.playbook()}, Runs: k.runs, Store: new(incident.MemoryStore), OnEvent: onEvent,
	})
	if err != nil {
		return nil, nil, err
	}
	policy := incident.EscalationPolicy{Name: "three"}
	channels := make(map[string]alert.Notifier)
	for i, name := range []string{"first", "second", "third"} {
		policy.Levels = append(policy.Levels, incident.EscalationLevel{
			Name: name, After: time.Duration(i) * 200 * time.Millisecond, Targets: []incident.EscalationTarget{{Channel: name}},
		})
		channels[name] = alert.NotifierFunc(func(_ context.Context, n alert.Notification) (alert.Receipt, error) {
			k.tells(name, n)
			return "", nil
		})
	}
	escalations, err := incident.NewEscalations(incident.EscalationsConfig{
		Runs: k.runs, Policies: []incident.EscalationPolicy{policy}, Channels: channels, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Hooks: incident.EscalationHooks{OnLevel: func(_ context.Context, e incident.EscalationEvent) error {
			if k.Point == "between-levels" && e.Kind == incident.EscalationCalled && e.Level == 1 {
				die()
			}
			return nil
		}},
	})
	return runner, escalations, err
}

// tells is what a channel does: it tells somebody. That it may be a repetition is in the
// effect.
func (k *killed) tells(channel string, n alert.Notification) {
	at := channel == "second" && n.Kind == alert.KindFiring
	if at && k.Point == "before-message" {
		die()
	}
	repeat := 0
	if n.PossibleRepeat {
		repeat = 1
	}
	k.effect("escalation", incident.StepID(channel+"/"+string(n.Kind)), repeat)
	if at && k.Point == "after-message" {
		die()
	}
}

// playbook looks, restarts something, which is where it may be killed, and tells people.
func (k *killed) playbook() incident.Playbook {
	looks := func(context.Context, *incident.Scope) (any, error) { return "it is down", nil }
	restart := incident.Action{
		Repeat: k.Repeat,
		Preview: func(context.Context, *incident.Scope) (incident.Effect, error) {
			return incident.Effect{Call: "restart"}, nil
		},
		Run: func(_ context.Context, s *incident.Scope) (any, error) {
			if k.Point == "before-effect" {
				die()
			}
			k.effect(s.Run, "restart", 0)
			if k.Point == "after-effect" {
				die()
			}
			return nil, nil
		},
	}
	if k.Repeat == incident.CheckFirst {
		restart.Done = func(_ context.Context, s *incident.Scope) (any, bool, error) {
			return nil, k.did(s.Run, "restart"), nil
		}
	}
	return incident.Playbook{
		Name: "restart", Title: "Restart the application", Environment: "production", Severity: alert.Critical,
		Steps: []incident.Step{
			{ID: "look", Title: "Look at it", Do: incident.Check{Run: looks}},
			{ID: "restart", Title: "Restart it", Do: restart},
			{ID: "tell", Title: "Tell people", Do: incident.Notice{
				Message: func(*incident.Scope) incident.Message {
					return incident.Message{Title: "Restarted", Text: "It runs again."}
				},
				Send: func(_ context.Context, s *incident.Scope, _ incident.Message) error {
					k.effect(s.Run, "tell", 0)
					return nil
				},
			}},
		},
	}
}

// outage is the incident of the escalation.
func outage() incident.Incident {
	return incident.Incident{
		ID: "INC-1", Title: "The application does not answer", Environment: "production", Severity: alert.Critical, State: incident.Triggered,
		Triggered: time.Now(), Opened: time.Now(),
	}
}

// takesOver lets a child die, and goes on with its runs in this process, as a host does.
func (p place) takesOver(t *testing.T, k task, onEvent func(context.Context, incident.Event)) (*durable.Runs, *incident.Runner, *incident.Escalations) {
	t.Helper()
	k.begin(t).died()
	k.Point = ""
	runs := p.open(t)
	runner, escalations, err := (&killed{task: k, runs: runs}).hosts(onEvent)
	require.NoError(t, err)
	require.NoError(t, runs.Launch(t.Context(), map[string]incident.Program{
		incident.PlaybookProgram: runner.Program(), incident.EscalationProgram: escalations.Program(),
	}))
	return runs, runner, escalations
}

// steps returns what was done, in its order.
func (k task) steps() (list []string) {
	for _, e := range effects(k.Effects) {
		list = append(list, e.step)
	}
	return list
}

// The process is killed in an action of a playbook that is made at most once, before its
// effect or after it. The process that takes the run over does not make it, and does not
// go on: it asks a person, in words, who looks and says that it is done.
//
// Requirement: INC-CRASH-KILL-POINTS, INC-TRAP-6
func TestKilledInAtMostOnce(t *testing.T) {
	t.Parallel()
	for point, did := range map[string][]string{"before-effect": nil, "after-effect": {"restart"}} {
		t.Run(point, func(t *testing.T) {
			places(t, func(t *testing.T, p place) {
				k := p.task(t)
				k.Start, k.Point, k.Repeat = []string{"playbook-0"}, point, incident.AtMostOnce
				said := make(chan string, 10)
				runs, runner, _ := p.takesOver(t, k, func(_ context.Context, e incident.Event) {
					if e.Kind == incident.EventTwice {
						said <- e.Text
					}
				})
				until(t, runs, "playbook-0", waiting)
				run, err := runner.Run(t.Context(), "playbook-0")
				require.NoError(t, err)
				assert.Equal(t, incident.StateWaiting, run.State)
				assert.Equal(t, "needs a person: Restart it: it is not known whether it was done", run.Text)
				assert.Equal(t, incident.StepUnknown, run.Step("restart").State)
				assert.Equal(t, incident.StepPending, run.Step("tell").State)
				require.NotNil(t, run.Question)
				assert.Equal(t, `a process that ended in the middle of it had begun it; whether it was done is not known

Look whether it was done before you answer: if it was, retry may do it twice.

retry: make it again
skip: leave it out, and go on
done: it is done, by hand or as it was meant; go on
back: go on from an earlier step
undo: end the run; there is nothing to take back
abort: end the run, and leave things as they are`, run.Question.Text)
				assert.Regexp(t, `^Restart it: it was begun at [-0-9]{10} [:0-9]{8} by a process that did not say how it ended; it may have happened$`, <-said)
				assert.Equal(t, did, k.steps(), "it is not made again, and nothing is made after it")

				require.NoError(t, runner.Answer(t.Context(), "playbook-0", run.Question.ID, incident.Answer{Kind: incident.AnswerDone, Actor: "grace"}))
				ends(t, runs, "playbook-0")
				run, err = runner.Run(t.Context(), "playbook-0")
				require.NoError(t, err)
				assert.Equal(t, "succeeded", run.Text)
				assert.Equal(t, "grace", run.Step("restart").By)
				assert.Equal(t, append(did[:len(did):len(did)], "tell"), k.steps())
			})
		})
	}
}

// The process is killed in an action of a playbook that can tell whether it was done. The
// one that takes the run over looks, and makes it only if it was not; nobody is asked.
//
// Requirement: INC-CRASH-KILL-POINTS, INC-TRAP-6
func TestKilledInCheckFirst(t *testing.T) {
	t.Parallel()
	for point, message := range map[string]string{"before-effect": "", "after-effect": "it was done already"} {
		t.Run(point, func(t *testing.T) {
			places(t, func(t *testing.T, p place) {
				k := p.task(t)
				k.Start, k.Point, k.Repeat = []string{"playbook-0"}, point, incident.CheckFirst
				runs, runner, _ := p.takesOver(t, k, nil)
				ends(t, runs, "playbook-0")
				run, err := runner.Run(t.Context(), "playbook-0")
				require.NoError(t, err)
				assert.Equal(t, "succeeded", run.Text)
				assert.Equal(t, incident.StepDone, run.Step("restart").State)
				assert.Equal(t, message, run.Step("restart").Message)
				assert.Equal(t, runs.Process(), run.Step("restart").Process)
				assert.Equal(t, []string{"restart", "tell"}, k.steps(), "one effect, and it goes on")
			})
		})
	}
}

// The process is killed in an escalation: between two levels, and before and after a
// message of the second one is sent. Each level is called, in their order, and once; only
// a message of which nobody can know whether it was sent is sent again, and says so.
//
// Requirement: INC-ESC-DURABLE
func TestKilledInEscalation(t *testing.T) {
	t.Parallel()
	type message struct {
		step   string
		repeat int
	}
	for point, want := range map[string][]message{
		"between-levels": {{"first/firing", 0}, {"second/firing", 0}, {"third/firing", 0}},
		"before-message": {{"first/firing", 0}, {"second/firing", 1}, {"third/firing", 0}},
		"after-message":  {{"first/firing", 0}, {"second/firing", 0}, {"second/firing", 1}, {"third/firing", 0}},
	} {
		t.Run(point, func(t *testing.T) {
			places(t, func(t *testing.T, p place) {
				k := p.task(t)
				k.Start, k.Point = []string{"escalation"}, point
				runs, _, escalations := p.takesOver(t, k, nil)
				id := escalations.RunOf(outage())
				until(t, runs, id, func(incident.RunRecord) bool {
					steps := k.steps()
					return len(steps) > 0 && steps[len(steps)-1] == "third/firing"
				})
				require.NoError(t, escalations.Ended(t.Context(), id))
				r := ends(t, runs, id)
				require.Equal(t, incident.RunFinished, r.Status, r.Error)
				assert.JSONEq(t, `{"calls":3,"level":3}`, string(r.Result))
				var fired, over []message
				for _, e := range effects(k.Effects) {
					if m := (message{e.step, e.interrupted}); e.step[len(e.step)-len("firing"):] == "firing" {
						fired = append(fired, m)
					} else {
						over = append(over, m)
					}
				}
				assert.Equal(t, want, fired)
				assert.ElementsMatch(t, []message{{"first/resolved", 0}, {"second/resolved", 0}, {"third/resolved", 0}}, over, "all who were called are told")
			})
		})
	}
}
