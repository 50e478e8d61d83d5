package incident_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// Requirement: INC-ABSENT-CAPABILITY
func TestAPlaybookSaysEverythingThatIsWrongWithItAtOnce(t *testing.T) {
	var deployer incident.Deployer
	p := incident.Playbook{
		Name: "a b", Severity: 9, Timeout: -1,
		Needs:      []incident.Need{incident.Needs("Deployer", deployer), incident.Needs("Sessions", incident.SessionsFunc(nil)), incident.Needs("Logs", "x")},
		Parameters: []incident.Parameter{{Name: "n", Type: incident.Whole, Default: "x", Min: "y"}, {Name: "n"}},
		Phases:     []incident.Phase{{Name: "one"}, {Name: "one", Budget: -1}},
		Steps: []incident.Step{
			{ID: "x y"}, {ID: "a", Title: "A", Phase: "two", Timeout: -1, Do: incident.Check{}},
			{ID: "a", Title: "A", Needs: []incident.Need{{Name: "Scaler"}}, OnFailure: "dance", Do: incident.Action{Repeat: incident.CheckFirst}},
			{ID: "b", Title: "B", OnFailure: incident.GoTo("nowhere"), Do: incident.Verify{Times: -1}},
			{ID: "c", Title: "C", OnFailure: incident.GoTo("c"), Do: incident.Approve{Min: 99}},
			{ID: "d", Title: "D", Do: incident.Wait{}}, {ID: "e", Title: "E", Do: incident.Sleep{}}, {ID: "f", Title: "F", Do: incident.Notice{}},
			{ID: "g", Title: "G", Do: incident.Manual{}}, {ID: "h", Title: "H", Do: incident.Parallel{}}, {ID: "i", Title: "I", Do: incident.Sub{}},
			{ID: "j", Title: "J", Do: incident.Parallel{Steps: []incident.Step{{ID: "k", Title: "K", Do: incident.Sleep{For: 1}}}}},
		},
	}
	err := p.Validate()
	require.Error(t, err)
	for _, want := range []string{
		`its name "a b"`, "an environment is required", "a title is required", "severity 9", "timeout -1ns is negative",
		"it needs a Deployer, which this environment does not have", "it needs a Sessions,", `its bound "y" is not a whole number`,
		`its default: parameter n: "x" is not a whole number`, `parameter "n": a name that no other`, `phase "one": a name that no other`,
		`step "x y": its id`, "step x y: a title is required", "step x y: it does nothing", `step a: there is no phase "two"`, "step a: its timeout",
		"step a: a check needs Run", "step a: there is another one with this id", "step a needs a Scaler, which this environment does not have",
		`step a: "dance" is nothing that can happen`, "step a: an action needs Run and Preview", "step a: an action that checks first needs Done",
		`step b: on failure it goes to "nowhere"`, "step b: a verify needs Run", `step c: on failure it goes to "c"`, "step c: an approval needs a Question",
		"step c: Min must be", "step d: a wait needs Until", "step e: a sleep needs how long", "step f: a notice needs", "step g: a manual step needs",
		"step h: a group needs steps", "step i: a playbook within needs steps", "step k: a sleep cannot be one of a group",
	} {
		assert.ErrorContains(t, err, want)
	}
	assert.NotContains(t, err.Error(), "needs a Logs")
	_, err = incident.NewRunner(incident.RunnerConfig{Playbooks: []incident.Playbook{p, p}})
	for _, want := range []string{"there are two playbooks a b of", "runs are required", "a store is required", "step d: a wait needs Until"} {
		assert.ErrorContains(t, err, want)
	}
}

// Requirement: INC-TRAP-4, INC-CRASH-INSERTED-STEP, INC-DET-7
func TestAPlaybookThatWasEditedWhileARunIsUnderWay(t *testing.T) {
	w := new(world)
	old := playbook(w.action("a"), gate(), w.action("b"), w.action("c"))
	_, start := started(t, old)
	edited := func(steps ...incident.Step) *incident.Runner { r, _ := started(t, playbook(steps...)); return r }
	t.Run("a step was put in", func(t *testing.T) {
		r := edited(w.action("a"), w.action("new"), gate(), w.action("b"), w.action("c"))
		run := view(t, carryOut(t, r, start, 3, false))
		assert.Equal(t, incident.StateSucceeded, run.State)
		assert.Nil(t, run.Step("new"), "the run keeps the playbook that it was started with")
	})
	t.Run("a step was taken out", func(t *testing.T) {
		r := edited(w.action("a"), gate(), w.action("c"))
		e := carryOut(t, r, start, -1, false)
		run := view(t, e)
		assert.Equal(t, incident.StateSucceeded, run.State, "a person said that it is done")
		assert.Equal(t, "kim", run.Step("b").By)
		assert.Contains(t, e.question("b/ask").Text, "this program has no step b of that kind any more")
	})
	t.Run("the playbook is gone", func(t *testing.T) {
		other := playbook(w.action("a"))
		other.Name = "other"
		r, _ := started(t, other)
		e := carryOut(t, r, start, -1, false)
		assert.Equal(t, "kim", view(t, e).Step("a").By, "a person said that it is done")
		assert.Equal(t, []string{"retry", "back", "undo", "abort"}, e.question("gate/ask#2").Answers, "but nobody says instead of others that they approved")
		assert.Equal(t, incident.StateFailed, view(t, e).State)
	})
}

// A record of another version of the interpreter is refused in words.
func TestARecordThatCannotBeRead(t *testing.T) {
	_, start := started(t, playbook(gate()))
	start.Input = []byte(strings.Replace(string(start.Input), `"interpreter":1`, `"interpreter":7`, 1))
	_, err := incident.ViewRun(t.Context(), incident.RunRecord{RunStart: start}, time.Now())
	require.ErrorContains(t, err, "it is of version 7 of the interpreter, and this program has 1")
}

// FuzzViewRun looks whether any record can be shown: records come from a database that
// an older program wrote.
func FuzzViewRun(f *testing.F) {
	f.Add([]byte(`{"interpreter":1,"steps":[{"id":"a","kind":"check"}]}`), "run/begin", []byte(`{"status":"done"}`))
	f.Add([]byte(`{"interpreter":1,"steps":[{"id":"a","kind":"parallel","steps":[{"id":"b","kind":"wait"}]}]}`), "b", []byte(`{"status":"failed"}`))
	f.Fuzz(func(t *testing.T, input []byte, id string, output []byte) {
		o := incident.Outcome{Status: incident.Done, Output: output}
		record := incident.RunRecord{
			RunStart: incident.RunStart{ID: "r", Input: input}, Status: incident.RunRunning,
			Entries: []incident.RunEntry{{ID: "run/begin", Outcome: &incident.Outcome{Status: incident.Done}}, {ID: incident.StepID(id), Outcome: &o}},
		}
		run, err := incident.ViewRun(t.Context(), record, time.Now())
		if err == nil {
			assert.NotEmpty(t, run.Text)
		}
	})
}

// BenchmarkStep is one step of a playbook in memory, from the beginning of one to that of
// the next: ns/step. The target is 5 µs. What is reported for each operation is a run of a
// thousand steps, with its start and its end.
func BenchmarkStep(b *testing.B) {
	const steps = 1000
	var list []incident.Step
	var began time.Time
	var took time.Duration
	for i := range steps {
		list = append(list, incident.Step{ID: fmt.Sprintf("s%d", i), Title: "Check", Do: incident.Check{Run: func(context.Context, *incident.Scope) (any, error) {
			switch i {
			case 0:
				began = time.Now()
			case steps - 1:
				took += time.Since(began)
			}
			return nil, nil
		}}})
	}
	p := playbook(list...)
	runs := incident.NewMemoryRuns(incident.MemoryRunsConfig{})
	ended := make(chan struct{})
	r, err := incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{p}, Runs: runs, Store: new(incident.MemoryStore), OnEvent: func(_ context.Context, e incident.Event) {
			if e.Kind == incident.EventEnded {
				ended <- struct{}{}
			}
		},
	})
	require.NoError(b, err)
	require.NoError(b, runs.Launch(b.Context(), map[string]incident.Program{incident.PlaybookProgram: r.Program()}))
	b.ReportAllocs()
	for b.Loop() {
		_, err := r.Start(b.Context(), incident.Request{Environment: "production", Playbook: "restart", By: "jane"})
		require.NoError(b, err)
		<-ended
	}
	b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*(steps-1)), "ns/step")
	require.NoError(b, runs.Close(context.WithoutCancel(b.Context())))
}

// BenchmarkView makes of the record of a run of a hundred steps what people see. The
// target is 1 ms: it is done at each change that somebody follows.
func BenchmarkView(b *testing.B) {
	start, entries := incident.RunStart{ID: "r"}, []incident.RunEntry{{ID: "run/begin", Outcome: &incident.Outcome{Status: incident.Done}}}
	input := `{"interpreter":1,"timeout":"24h","steps":[`
	for i := range 100 {
		input += fmt.Sprintf(`{"id":"s%d","title":"t","kind":"check","attempts":1},`, i)
		entries = append(entries, incident.RunEntry{ID: incident.StepID(fmt.Sprintf("s%d", i)), Outcome: &incident.Outcome{Status: incident.Done}})
	}
	start.Input, start.At = []byte(strings.TrimSuffix(input, ",")+"]}"), time.Now()
	record := incident.RunRecord{RunStart: start, Status: incident.RunRunning, Entries: entries}
	b.ReportAllocs()
	for b.Loop() {
		run, err := incident.ViewRun(b.Context(), record, start.At)
		require.NoError(b, err)
		require.Equal(b, incident.StepDone, run.Steps[99].State)
	}
}
