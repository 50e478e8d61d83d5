package incidenttest

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// RunsHarness is what [TestRuns] needs of an implementation.
type RunsHarness struct {
	// New returns an engine that carries out these programs. Each test gives its runs,
	// locks and labels names of their own, so that it may be one for all tests. It has to
	// live until the test has ended. It is called by one test at a time.
	New func(t testing.TB, programs map[string]incident.Program) incident.Runs
	// Records returns records with nothing in them, that of a database of its own, and
	// processes that carry out these programs by them. Nil if runs do not survive their
	// process; the cases that need it then have to be in Declines.
	Records func(t testing.TB, programs map[string]incident.Program) RunsRecords
	// Declines says why the engine does not pass a case, by the name of the case. The
	// reason is logged, and the case is left out.
	Declines map[string]string
	// Quiet is how long to wait to see that nothing happens, and for how long runs sleep.
	// Zero means a second. It has to be longer than an engine takes to notice something.
	Quiet time.Duration
	// Parallel is how many tests run at the same time. They wait most of the time, so that
	// for a database it may well be more than there are processors. Zero means one.
	Parallel int
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// RunsRecords are records of runs that survive the processes.
type RunsRecords struct {
	// Start begins a process that carries out runs.
	Start func(t testing.TB) RunsProcess
	// Client returns what reads and writes the records, and carries out nothing, as
	// another program does. There may be no process at the time.
	Client func(t testing.TB) incident.Runs
}

// A RunsProcess is a process that carries out runs, or what stands for one.
type RunsProcess struct {
	incident.Runs
	// Stop ends it in order: it waits for the calls that are under way. It returns when
	// another one can have the runs.
	Stop func()
	// Kill ends it at once, as a crash does. The calls that are under way hang; what they
	// return later must not count.
	Kill func()
}

// runsCase is a case of [TestRuns].
type runsCase struct {
	name string
	test func(x *runsTest)
	// survives says that it needs records that survive their process.
	survives bool
}

// TestRuns checks what [incident.Runs] and [incident.Engine] ask of an implementation.
func TestRuns(t *testing.T, h RunsHarness) {
	cases := slices.Concat(
		engineCases(), awaitCases(), startCases(), recordCases(), listCases(), controlCases(), replaceCases(), forkCases(), lockCases(),
		survivalCases(), crashCases(), processCases(),
	)
	names := make(map[string]bool)
	for _, c := range cases {
		if names[c.name] {
			t.Errorf("there are two cases %q", c.name)
		}
		names[c.name] = true
	}
	for name := range h.Declines {
		if !names[name] {
			t.Errorf("the harness declines %q, and there is no such case", name)
		}
	}
	s := &runsSuite{RunsHarness: h}
	queue := make(chan runsCase, len(cases))
	for _, c := range cases {
		queue <- c
	}
	close(queue)
	each(max(h.Parallel, 1), func(int) {
		for c := range queue {
			t.Run(c.name, func(t *testing.T) { s.run(t, c) })
		}
	})
}

// runsSuite finds the program of a run by the test that started it, so that all tests
// can have one engine.
type runsSuite struct {
	RunsHarness
	tests  sync.Map   // of *runsTest, by key
	making sync.Mutex // lets one test at a time have its engine made
}

// The names of the programs of the suite, which do the same.
const (
	runsProgram      = "conformance"
	otherRunsProgram = "conformance-other"
)

func (s *runsSuite) run(t *testing.T, c runsCase) {
	if why, declined := s.Declines[c.name]; declined {
		t.Logf("declined: %s", why)
		return
	}
	if c.survives && s.Records == nil {
		t.Fatal("the harness has no records that survive, and does not decline this case")
	}
	test := func(t *testing.T) { c.test(s.test(t, c.survives)) }
	if s.Run == nil {
		test(t)
		return
	}
	s.Run(t, test)
}

// test returns the surroundings of one test.
func (s *runsSuite) test(t *testing.T, survives bool) *runsTest {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	end := make(chan struct{})
	x := &runsTest{
		t: t, ctx: ctx, key: strings.ToLower(rand.Text()[:10]), quiet: s.Quiet, end: end,
		gates: make(map[incident.StepID]chan struct{}),
	}
	if x.quiet == 0 {
		x.quiet = time.Second
	}
	programs := map[string]incident.Program{runsProgram: s.program, otherRunsProgram: s.program}
	s.tests.Store(x.key, x)
	if survives {
		x.records = s.Records(t, programs)
	} else {
		s.making.Lock()
		x.runs = s.New(t, programs)
		s.making.Unlock()
	}
	x.finish = sync.OnceFunc(func() {
		close(end)
		cancel()
	})
	t.Cleanup(x.finish) // before the engine is closed, for what hangs
	return x
}

// program is that of each run.
func (s *runsSuite) program(ctx context.Context, e incident.Engine, run incident.RunStart) (json.RawMessage, error) {
	found, ok := s.tests.Load(run.Labels[caseLabel])
	if !ok {
		return nil, fmt.Errorf("run %q is of no test", run.ID)
	}
	x := found.(*runsTest)
	x.mu.Lock()
	program := x.program
	x.mu.Unlock()
	if program == nil {
		return nil, errors.New("the test has no program")
	}
	return program(ctx, e, run)
}

// caseLabel is a label of each run: which test started it.
const caseLabel = "conformance"
