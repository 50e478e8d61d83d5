package incident_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// Whatever a crash, a hang or a person has left a run in, it is said in a sentence that
// stands for itself.
func TestEveryStateIsSaidInWords(t *testing.T) {
	w := new(world)
	_, start := started(t, playbook(check("look", nil, nil), w.action("act"), gate()))
	start.At = start.At.Truncate(time.Second)
	at := func(d time.Duration) time.Time { return start.At.Add(d) }
	done := func(id incident.StepID) incident.RunEntry {
		return incident.RunEntry{ID: id, Outcome: &incident.Outcome{Status: incident.Done, Began: start.At, Ended: start.At}}
	}
	looked := []incident.RunEntry{done("run/begin"), done("look")}
	asked := append(append([]incident.RunEntry{}, looked...), done("act"), incident.RunEntry{ID: "gate/ask", Outcome: &incident.Outcome{
		Status: incident.Done, Began: start.At, Ended: start.At,
		Output: []byte(fmt.Sprintf(`{"id":"gate/ask","kind":"approve","title":"May it go on?","deadline":%q}`, at(30*time.Minute).Format(time.RFC3339))),
	}})
	open := []incident.Attempt{{Step: "act", Process: "a-1", At: at(time.Second)}}
	kim := &incident.Control{By: "kim", Reason: "let me look"}
	for name, c := range map[string]struct {
		record incident.RunRecord
		now    time.Duration
		text   string
	}{
		"queued":             {incident.RunRecord{Status: incident.RunQueued}, 0, "waits for its turn: another run works on production, or no process has taken it yet"},
		"about to begin":     {incident.RunRecord{Status: incident.RunRunning}, 0, "is under way"},
		"in a step":          {incident.RunRecord{Status: incident.RunRunning, Entries: looked, Open: open}, 31 * time.Second, "Do act, for 30s"},
		"its process died":   {incident.RunRecord{Status: incident.RunRunning, Entries: looked, Open: open, Attention: "process a-1 is dead; another process takes it"}, 31 * time.Second, "Do act, for 30s; process a-1 is dead; another process takes it"},
		"its process hangs":  {incident.RunRecord{Status: incident.RunRunning, Entries: looked, Open: open, Attention: "process a-1 has not been heard from for 30 s"}, 31 * time.Second, "Do act, for 30s; process a-1 has not been heard from for 30 s"},
		"of another version": {incident.RunRecord{Status: incident.RunStranded, Entries: looked, Attention: "it is of version runbook-interp-0, and no process of that version lives"}, 0, "nothing goes on with it; it is of version runbook-interp-0, and no process of that version lives"},
		"needs a person":     {incident.RunRecord{Status: incident.RunRunning, Entries: asked}, time.Minute, "needs a person: May it go on? (within 29m0s)"},
		"nobody answered":    {incident.RunRecord{Status: incident.RunRunning, Entries: asked}, time.Hour, "needs a person: May it go on? (the time is over)"},
		"paused":             {incident.RunRecord{Status: incident.RunRunning, Entries: looked, Held: kim}, 0, "was paused by kim (let me look); nothing new is begun"},
		"cancelled in a step": {
			incident.RunRecord{Status: incident.RunCancelled, Entries: looked, Open: open, Cancelled: kim}, 0,
			"was cancelled by kim (let me look); what was done stays; look at Do act: it is not known whether it was done",
		},
		"cancelled between steps": {incident.RunRecord{Status: incident.RunCancelled, Entries: looked, Cancelled: kim}, 0, "was cancelled by kim (let me look); what was done stays"},
		"its program failed": {
			incident.RunRecord{Status: incident.RunFailed, Entries: looked, Open: open, Error: "the calls are others than were recorded"}, 0,
			"failed: the program failed: the calls are others than were recorded; look at Do act: it is not known whether it was done",
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.record.RunStart = start
			run, err := incident.ViewRun(t.Context(), c.record, at(c.now))
			require.NoError(t, err)
			assert.Equal(t, c.text, run.Text)
		})
	}
}

// Of an action that was interrupted by a crash it is said, on the timeline and to the
// person who decides, that it may have happened.
func TestAnInterruptedActionIsSaidInWords(t *testing.T) {
	w := new(world)
	p := playbook(w.action("act"))
	var said []string
	r, err := incident.NewRunner(incident.RunnerConfig{
		Playbooks: []incident.Playbook{p}, Runs: incident.NewMemoryRuns(incident.MemoryRunsConfig{}), Store: new(incident.MemoryStore),
		OnEvent: func(_ context.Context, e incident.Event) {
			if e.Kind == incident.EventTwice {
				said = append(said, e.Text)
			}
		},
	})
	require.NoError(t, err)
	_, start := started(t, p)
	tape := carryOut(t, r, start, 1, true) // killed after its effect
	q := tape.question("act/ask")
	assert.Equal(t, "Do act: it is not known whether it was done", q.Title)
	assert.Contains(t, q.Text, "a process that ended in the middle of it had begun it; whether it was done is not known")
	assert.Contains(t, q.Text, "Look whether it was done before you answer: if it was, retry may do it twice.")
	require.Len(t, said, 1)
	assert.Regexp(t, `^Do act: it was begun at [-0-9]{10} [:0-9]{8} by a process that did not say how it ended; it may have happened$`, said[0])
	assert.Equal(t, []string{"act"}, w.did())
}
