package durable_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// A child is a process that carries out runs.
type child struct {
	t       testing.TB
	cmd     *exec.Cmd
	stdin   io.Closer
	name    string
	ready   chan string
	mu      sync.Mutex
	output  bytes.Buffer
	partial string
}

// Write takes what the child says.
func (c *child) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.output.Write(p)
	c.partial += string(p)
	for {
		line, rest, whole := strings.Cut(c.partial, "\n")
		if !whole {
			return len(p), nil
		}
		c.partial = rest
		if name, is := strings.CutPrefix(line, "ready "); is {
			c.ready <- name
		}
	}
}

func (c *child) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.output.String()
}

// begin begins a child, and does not wait until it is ready.
func (k task) begin(t testing.TB) *child {
	t.Helper()
	c := &child{t: t, ready: make(chan string, 1)}
	text, err := json.Marshal(k)
	require.NoError(t, err)
	c.cmd = exec.CommandContext(t.Context(), os.Args[0])
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(text))
	c.cmd.Stdout, c.cmd.Stderr = c, c
	c.stdin, err = c.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // unless it has ended
		_ = c.cmd.Wait()
		if t.Failed() {
			t.Logf("a child said:\n%s", c.said())
		}
	})
	return c
}

func (c *child) wait() *child {
	c.t.Helper()
	select {
	case c.name = <-c.ready:
	case <-time.After(2 * time.Minute):
		c.t.Fatalf("the program does not get ready: %s", c.said())
	}
	return c
}

// kill is a crash.
func (c *child) kill() {
	c.t.Helper()
	require.NoError(c.t, c.cmd.Process.Kill())
	c.died()
}

// died waits for the end.
func (c *child) died() {
	_ = c.cmd.Wait() // it was killed
	if said := c.said(); strings.Contains(said, "panic:") || strings.Contains(said, "DATA RACE") {
		c.t.Fatal(said)
	}
}

// close ends it in order.
func (c *child) close() {
	c.t.Helper()
	require.NoError(c.t, c.stdin.Close())
	require.NoError(c.t, c.cmd.Wait(), "%s", c.said())
}

// kills is how often the program is killed: 50 times, or as often as RUNBOOK_KILLS says.
func kills() int {
	if n, err := strconv.Atoi(os.Getenv("RUNBOOK_KILLS")); err == nil {
		return n
	}
	if testing.Short() {
		return 5
	}
	return 50
}

func (p place) task(t testing.TB) task {
	return task{File: p.file, URL: p.url, Effects: filepath.Join(t.TempDir(), "effects"), Steps: 40, Slow: 2 * time.Millisecond}
}

// A process that is killed at random moments, again and again, loses no step, never goes
// back to an earlier one, and repeats of each run at most the call, or the group of calls,
// that was under way; those with an intent look, and act once. Signals that were sent many times count once, in their
// order. Runs with one lock do not overlap, whatever dies.
//
// Requirement: INC-CRASH-KILL-LOOP, INC-CRASH-LOCK-ENVIRONMENT, INC-CRASH-APPROVAL, INC-TRAP-6
func TestKill(t *testing.T) {
	t.Parallel()
	places(t, func(t *testing.T, p place) {
		n := kills()
		if p.url != "" {
			n = max(5, n/5)
		}
		k := p.task(t)
		k.Steps, k.Slow = 60, 20*time.Millisecond
		more := func() {
			i := len(k.Start) / 2
			k.Start = append(k.Start, fmt.Sprintf("work-%d", i), fmt.Sprintf("work-%d-in-%d", i, i%2))
		}
		for range max(4, n/10) {
			more()
		}
		random := rand.New(rand.NewPCG(uint64(n), 42))
		for i := range n {
			if k.done() { // there is something to do until the last kill
				more()
			}
			c := k.begin(t).wait()
			if within := 150 * time.Millisecond; i%2 == 0 {
				require.Eventually(t, func() bool { return k.works(c) }, time.Minute, time.Millisecond)
				time.Sleep(time.Duration(random.IntN(int(within / 3))))
			} else { // it may have no run yet
				time.Sleep(time.Duration(random.IntN(int(within))))
			}
			c.kill()
		}
		c := k.begin(t).wait()
		if p.url != "" {
			k.finished(t, p.open(t))
			c.close()
		} else {
			require.Eventually(t, func() bool { return k.done() }, 2*time.Minute, 50*time.Millisecond, "all runs come to their end")
			c.close()
			k.finished(t, p.launch(t, map[string]incident.Program{"work": (&killed{task: k}).work}))
		}
		k.checkEffects(t, n, c.cmd.Process.Pid)
	})
}

// works reports whether a child has done something.
func (k task) works(c *child) bool {
	text, _ := os.ReadFile(k.Effects) // there may be none yet
	return bytes.Contains(text, fmt.Appendf(nil, " %d\n", c.cmd.Process.Pid))
}

// done reports whether the last call of each run was made.
func (k task) done() bool {
	last := make(map[string]bool)
	for _, e := range effects(k.Effects) {
		if strings.HasPrefix(e.step, fmt.Sprintf("%03d", k.Steps-1)) {
			last[e.run] = true
		}
	}
	return len(last) == len(k.Start)
}

// finished waits for the runs, and checks their records.
func (k task) finished(t *testing.T, runs incident.Runs) {
	t.Helper()
	for _, id := range k.Start {
		r := ends(t, runs, id)
		require.Equal(t, incident.RunFinished, r.Status, "run %s: %s", id, r.Error)
		assert.JSONEq(t, `["first","second"]`, string(r.Result), "run %s", id)
		assert.Empty(t, r.Open)
		var before incident.StepID
		for _, e := range r.Entries {
			assert.Less(t, before, e.ID, "run %s: the records are in the order of the program", id)
			before = e.ID
		}
		assert.Len(t, r.Entries, k.Steps+2*(k.Steps/10)+k.Steps/10, "run %s", id)
	}
}

// checkEffects checks what was done to the world. The process that was ended in order may have
// cancelled the calls that it still made; nobody else may have.
func (k task) checkEffects(t *testing.T, kills, ended int) {
	t.Helper()
	times := make(map[string]int)
	last, lockHad := make(map[string]string), make(map[string]string)
	over := make(map[string]bool)
	repeated := 0
	type life struct { // of a run in one process
		run string
		pid int
	}
	first, processes := make(map[life]string), make(map[int]bool)
	for _, e := range effects(k.Effects) {
		if e.pid == ended && strings.HasSuffix(e.step, "/cancelled") {
			continue
		}
		key := e.run + " " + e.step
		l := life{e.run, e.pid}
		processes[e.pid] = true
		if first[l] == "" {
			first[l] = e.step[:3]
		}
		if times[key]++; times[key] > 1 {
			repeated++
			// The first call that a process makes, or the calls of that group, were under way
			// when the last one was killed.
			assert.Equal(t, first[l], e.step[:3], "%s is repeated, and was not under way", key)
			if i, _ := strconv.Atoi(e.step[:3]); i%10 == 9 && !strings.HasSuffix(e.step, "b") || i%10 != 9 && i%10 != 5 && i%2 == 0 {
				t.Errorf("%s has an intent, and was done twice", key)
			}
		}
		if e.step[:3] < last[e.run] {
			t.Errorf("run %s went back from %s to %s", e.run, last[e.run], e.step)
		}
		last[e.run] = e.step[:3]
		if lock := lockOf(e.run); lock != "" && lockHad[lock] != e.run {
			if over[e.run] {
				t.Errorf("run %s overlaps with %s", e.run, lockHad[lock])
			}
			over[lockHad[lock]] = true
			lockHad[lock] = e.run
		}
	}
	want := k.Steps - 2 + 2*(k.Steps/10)
	for _, run := range k.Start {
		n := 0
		for key := range times {
			if strings.HasPrefix(key, run+" ") {
				n++
			}
		}
		assert.Equal(t, want, n, "run %s: no call is missing", run)
	}
	assert.GreaterOrEqual(t, len(processes), kills/2, "processes that were killed had something to do")
	t.Logf("%d kills, %d processes at work, %d runs, %d calls, of which %d were repeated", kills, len(processes), len(k.Start), len(times), repeated)
}

// ends waits for the end of a run.
func ends(t testing.TB, runs incident.Runs, id string) incident.RunRecord {
	t.Helper()
	return until(t, runs, id, func(r incident.RunRecord) bool { return r.Status.Ended() })
}

// until waits until a run is as it should be.
func until(t testing.TB, runs incident.Runs, id string, is func(incident.RunRecord) bool) incident.RunRecord {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for {
		r, err := runs.Record(t.Context(), id, -1)
		require.NoError(t, err)
		if is(r) {
			return r
		}
		if time.Now().After(deadline) {
			text, _ := json.Marshal(r)
			t.Fatalf("run %s does not come to be as it should: %s", id, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
