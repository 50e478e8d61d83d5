package playbooks_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/incident/incidenttest"
	"go.acu.edu.au/runbook/incident/playbooks"
)

// made are the steps that were made in a run of a case that came to its end: those at which
// the suite of playbooks kills, and which it makes fail. TestMain looks at them when all
// tests have ended.
var made stepsMade

// stepsMade collects steps, by playbook and id.
type stepsMade struct {
	mu    sync.Mutex
	steps map[string]bool
}

func (m *stepsMade) note(run incident.Run) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.steps == nil {
		m.steps = make(map[string]bool)
	}
	for _, s := range run.Steps {
		if s.Visits > 0 {
			m.steps[stepName(run.Playbook, s.ID)] = true
		}
	}
}

// testPlaybook carries the suite of playbooks out, and notes which steps it tried. All tests
// of this package use it.
func testPlaybook(t *testing.T, h incidenttest.PlaybookHarness) {
	t.Helper()
	h.Whole = made.note
	incidenttest.TestPlaybook(t, h)
}

// rotated are the steps of one credential of many: what it is called makes no difference.
var rotated = regexp.MustCompile(`rotate-[A-Z_]+`)

func stepName(playbook, id string) string {
	return playbook + ": " + rotated.ReplaceAllString(id, "rotate-NAME")
}

// neverMade says of each step that no case makes why that is so.
var neverMade = map[string]string{}

// allSteps are the steps of all playbooks, also of a host that makes no databases for
// rehearsals.
func allSteps() []string {
	all := make(map[string]bool)
	e, here := production()
	without := here
	without.Dumps.Rehearsals = playbooks.Rehearsals{}
	for _, p := range slices.Concat(playbooks.All(e, here), playbooks.All(e, without), []incident.Playbook{playbooks.RotateCredential(e)}) {
		var add func(list []incident.StepSpec)
		add = func(list []incident.StepSpec) {
			for _, s := range list {
				all[stepName(p.Name, s.ID)] = true
				add(s.Steps)
			}
		}
		add(p.Specs())
	}
	return slices.Sorted(maps.Keys(all))
}

// lacking says what is wrong with what was made: steps that never were, and reasons for ones
// that were, or that there are none of.
func (m *stepsMade) lacking(all []string, never map[string]string) (lacks []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range all {
		if !m.steps[name] && never[name] == "" {
			lacks = append(lacks, name+": no case ever makes this step, so that it was never killed at and never failed: tell a story in which it is needed")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(never)) {
		if m.steps[name] || !slices.Contains(all, name) {
			lacks = append(lacks, name+": it is made, or there is no such step: take it out of neverMade")
		}
	}
	return lacks
}

// selected reports whether only some tests are carried out, which cannot make all steps.
func selected() bool {
	value := func(name string) string {
		f := flag.Lookup(name)
		if f == nil {
			return ""
		}
		return f.Value.String()
	}
	return cmp.Or(value("test.run"), value("test.skip"), value("test.list"), value("test.fuzz")) != "" || testing.Short()
}

// TestMain fails if a step of a playbook was made in no case of the package.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !selected() {
		lacks := made.lacking(allSteps(), neverMade)
		if len(lacks) > 0 {
			fmt.Fprintf(os.Stderr, "FAIL: steps of playbooks that no test shows:\n\t%s\n", strings.Join(lacks, "\n\t"))
			code = 1
		}
	}
	os.Exit(code)
}

// What TestMain says when a step is not made.
func TestStepsMade(t *testing.T) {
	t.Parallel()
	var m stepsMade
	m.note(incident.Run{Playbook: "p", Steps: []incident.StepRun{
		{StepSpec: incident.StepSpec{ID: "a"}, Visits: 1}, {StepSpec: incident.StepSpec{ID: "rotate-OURS.begin"}, Visits: 2}, {StepSpec: incident.StepSpec{ID: "c"}},
	}})
	all := []string{stepName("p", "a"), stepName("p", "rotate-THEIRS.begin"), stepName("p", "c"), stepName("p", "d")}
	lacks := m.lacking(all, map[string]string{"p: d": "nobody can", "p: a": "it is made", "p: gone": "it was"})
	require.Len(t, lacks, 3)
	for i, begin := range []string{"p: c: no case", "p: a: it is made", "p: gone: it is made, or there is no such step"} {
		assert.True(t, strings.HasPrefix(lacks[i], begin), lacks[i])
	}
	assert.Greater(t, len(allSteps()), 700)
}

// A test that calls the suite itself would not be counted.
func TestStepsAreCounted(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("*_test.go")
	require.NoError(t, err)
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		if name != "steps_made_test.go" {
			assert.NotContains(t, string(text), "incidenttest.TestPlaybook(", name+": call testPlaybook")
		}
	}
}
