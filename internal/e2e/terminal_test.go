//go:build linux

package e2e_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/incident"
)

// A run is a tree that is drawn over itself: at the end it is there once, and so is what was
// on the terminal before.
func TestATreeOnATerminal(t *testing.T) {
	t.Parallel()
	s := tell(t, "Look at what is deployed", "Restart the application", "See that it is well")
	m := s.follow(t, 80, 24, nil, "-color", "never")
	s.step(1, incident.StepRunning, "")
	s.goesOn(t)
	m.shows(`
$ ls
notes
$ opsd
test restart  running  TIME
  » Look at what is deployed  TIME
  · Restart the application
  · See that it is well`)
	s.step(1, incident.StepDone, "")
	s.step(2, incident.StepFailed, "the platform refused: "+strings.Repeat("deployment not found ", 6))
	s.goesOn(t)
	m.shows(`
$ ls
notes
$ opsd
test restart  running  TIME
  ✓ Look at what is deployed  TIME
  ✗ Restart the application  TIME
      the platform refused: deployment not found deployment not found deployme…
  · See that it is well`)
	s.step(2, incident.StepDone, "")
	s.step(3, incident.StepDone, "")
	s.end(incident.StateSucceeded, "")
	s.goesOn(t)
	m.exits(0)
	m.shows(`
$ ls
notes
$ opsd
test restart  succeeded  TIME
  ✓ Look at what is deployed  TIME
  ✓ Restart the application  TIME
  ✓ See that it is well  TIME`)
	assert.Empty(t, m.above())
}

// However narrow it is, a step takes one row while the run goes on, and its time stays; at the
// end everything is there, and no row is longer than the terminal.
func TestTreesOnNarrowTerminals(t *testing.T) {
	t.Parallel()
	const title = "Take the application out of the load balancer, and wait until nobody is served by it any more"
	for columns, want := range map[int][2]string{
		80: {`
test restart  running  TIME
  ✓ Take the application out of the load balancer, and wait until nobod…  TIME
  ✗ Take the application out of the load balancer, and wait until nobod…  TIME
      no such thing no such thing no such thing no such thing no such thing no…
  · Take the application out of the load balancer, and wait until nobody is se…`, `
test restart  failed  TIME
  ✓ Take the application out of the load balancer, and wait until nobody is
    served by it any more  TIME
  ✗ Take the application out of the load balancer, and wait until nobody is
    served by it any more  TIME
      no such thing no such thing no such thing no such thing no such thing no
        such thing no such thing no such thing
  · Take the application out of the load balancer, and wait until nobody is
    served by it any more`},
		40: {`
test restart  running  TIME
  ✓ Take the application out of…  TIME
  ✗ Take the application out of…  TIME
      no such thing no such thing no s…
  · Take the application out of the lo…`, ``},
		20: {`
test restart  runn…
  ✓ Take th…  TIME
  ✗ Take th…  TIME
      no such thin…
  · Take the appli…`, ``},
	} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			s := tell(t, title, title, title)
			m := s.follow(t, columns, 40, nil, "-color", "always")
			s.step(1, incident.StepRunning, "")
			s.goesOn(t)
			s.step(1, incident.StepDone, "")
			s.step(2, incident.StepFailed, strings.Repeat("no such thing ", 8))
			s.goesOn(t)
			m.shows("$ ls\nnotes\n$ opsd" + want[0])
			s.end(incident.StateFailed, "")
			s.goesOn(t)
			m.exits(1)
			if want[1] != "" {
				m.shows("$ ls\nnotes\n$ opsd" + want[1])
			}
			assert.Equal(t, 3, strings.Count(strings.Join(strings.Fields(m.show()), " "), "wait until nobody is served by it any more"), "%s", m.show())
			assert.Equal(t, 8, strings.Count(strings.Join(strings.Fields(m.show()), " "), "no such thing"), "%s", m.show())
			assert.Empty(t, m.above())
		})
	}
}

// Of a run with more steps than the terminal has rows what goes on is seen, and what is left
// out is counted. At the end each step is there once, for who scrolls back.
func TestATreeThatIsHigherThanTheTerminal(t *testing.T) {
	t.Parallel()
	var titles []string
	for i := range 30 {
		titles = append(titles, fmt.Sprintf("Step %d.", i+1))
	}
	s := tell(t, titles...)
	m := s.follow(t, 60, 10, nil, "-color", "never")
	s.step(1, incident.StepRunning, "")
	s.goesOn(t)
	m.shows(`
test restart  running  TIME
  » Step 1.  TIME
  · Step 2.
  · Step 3.
  · Step 4.
  · Step 5.
  · Step 6.
  · Step 7.
  … 23 below`)
	for i := range 30 {
		s.step(i+1, incident.StepDone, "")
		if i < 29 {
			s.step(i+2, incident.StepRunning, "")
		}
		s.goesOn(t)
		if i == 14 {
			m.shows(`
test restart  running  TIME
  … 11 above
  ✓ Step 12.  TIME
  ✓ Step 13.  TIME
  ✓ Step 14.  TIME
  ✓ Step 15.  TIME
  » Step 16.  TIME
  · Step 17.
  … 13 below`)
		}
	}
	m.shows(`
test restart  running  TIME
  … 23 above
  ✓ Step 24.  TIME
  ✓ Step 25.  TIME
  ✓ Step 26.  TIME
  ✓ Step 27.  TIME
  ✓ Step 28.  TIME
  ✓ Step 29.  TIME
  ✓ Step 30.  TIME`)
	s.end(incident.StateSucceeded, "")
	s.goesOn(t)
	m.exits(0)
	all := m.above() + "\n" + m.show() + "\n"
	for _, title := range titles {
		assert.Equal(t, 1, strings.Count(all, title+"  TIME\n"), "%s: %s", title, all)
	}
	assert.Equal(t, 1, strings.Count(all, "test restart"), "%s", all)
	assert.NotContains(t, all, "…")
}

// A terminal that is made smaller does with its rows what it likes. So the tree is drawn on an
// empty screen then, and what was there is above it; a larger one has the tree where it was.
func TestATerminalThatIsResized(t *testing.T) {
	t.Parallel()
	s := tell(t, "Take the application out of the load balancer", "Restart the application", "See that it is well")
	m := s.follow(t, 80, 24, nil, "-color", "never")
	s.step(1, incident.StepDone, "")
	s.step(2, incident.StepRunning, "")
	s.goesOn(t)
	const wide = `
test restart  running  TIME
  ✓ Take the application out of the load balancer  TIME
  » Restart the application  TIME
  · See that it is well`
	m.shows("$ ls\nnotes\n$ opsd" + wide)
	m.resize(100, 30)
	m.shows("$ ls\nnotes\n$ opsd" + wide)
	m.resize(30, 30)
	m.shows(`
test restart  running  TIME
  ✓ Take the applicat…  TIME
  » Restart the appli…  TIME
  · See that it is well`)
	assert.Equal(t, 1, strings.Count(m.above(), "$ ls"), "nothing is lost")
	m.resize(30, 4)
	m.shows(`
test restart  running  TIME
  » Restart the appli…  TIME`)
	m.resize(100, 30)
	m.shows(wide)
	m.resize(1, 1)
	time.Sleep(1500 * time.Millisecond) // it draws what it can
	m.resize(100, 30)
	m.shows(wide)
	s.step(2, incident.StepDone, "")
	s.step(3, incident.StepDone, "")
	s.end(incident.StateSucceeded, "")
	s.goesOn(t)
	m.exits(0)
	m.shows(`
test restart  succeeded  TIME
  ✓ Take the application out of the load balancer  TIME
  ✓ Restart the application  TIME
  ✓ See that it is well  TIME`)
}

// Characters that take two columns, or none, are counted as the terminal counts them, and what
// turns the order of characters round does not get there.
func TestWideAndCombiningCharacters(t *testing.T) {
	t.Parallel()
	s := tell(t, "アプリケーションを再起動して様子を見る", "Cafe\u0301 Zu\u0308rich wird neu gestartet", "👩‍🔧 repairs it 🇦🇺", "\u202edaolnwod\u202c it", "\x1b[2J\x07bell")
	m := s.follow(t, 30, 24, nil, "-color", "never")
	s.step(1, incident.StepDone, "")
	s.step(2, incident.StepDone, "")
	s.step(3, incident.StepRunning, "")
	s.goesOn(t)
	m.shows(`
$ ls
notes
$ opsd
test restart  running  TIME
  ✓ アプリケーション…  TIME
  ✓ Café Zürich wird …  TIME
  » 👩‍🔧 repairs it 🇦🇺  TIME
  · daolnwod it
  · [2Jbell`)
	s.step(3, incident.StepDone, "")
	s.end(incident.StateSucceeded, "")
	s.goesOn(t)
	m.exits(0)
	m.shows(`
$ ls
notes
$ opsd
test restart  succeeded
  TIME
  ✓ アプリケーションを再起動
    して様子を見る  TIME
  ✓ Café Zürich wird neu
    gestartet  TIME
  ✓ 👩‍🔧 repairs it 🇦🇺  TIME
  · daolnwod it
  · [2Jbell`)
}

// Colours are there when a person wants them, and never the only thing that says something.
// On a terminal that can do nothing a run is lines, as in a file.
func TestColoursAndDumbTerminals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		env             []string
		args            []string
		colours, cursor bool
	}{
		"as it is":              {nil, nil, true, true},
		"NO_COLOR":              {[]string{"NO_COLOR=1"}, nil, false, true},
		"NO_COLOR that is void": {[]string{"NO_COLOR="}, nil, true, true},
		"-color outranks it":    {[]string{"NO_COLOR=1"}, []string{"-color", "always"}, true, true},
		"never":                 {nil, []string{"-color", "never"}, false, true},
		"dumb":                  {[]string{"TERM=dumb"}, nil, false, false},
		"json":                  {nil, []string{"-json"}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := tell(t, "Restart the application")
			m := s.follow(t, 60, 12, tt.env, tt.args...)
			s.step(1, incident.StepRunning, "")
			s.goesOn(t)
			s.step(1, incident.StepDone, "")
			s.end(incident.StateSucceeded, "")
			s.goesOn(t)
			m.exits(0)
			raw := m.wrote()
			assert.Equal(t, tt.colours, strings.Contains(raw, "\x1b[32m"), "%q", raw)
			assert.Equal(t, tt.cursor, strings.Contains(raw, "\x1b[2K"), "%q", raw)
			if !tt.cursor {
				assert.NotContains(t, raw, "\x1b")
			}
			assert.Contains(t, raw, "Restart the application")
		})
	}
}

// Ctrl-C stops following, which is not the end of the run: the tree stays as it was last, how
// to go on is below it, and the terminal is as before.
func TestCtrlC(t *testing.T) {
	t.Parallel()
	s := tell(t, "Restart the application", "See that it is well")
	m := s.follow(t, 60, 12, nil)
	s.step(1, incident.StepRunning, "")
	s.goesOn(t)
	const tree = `
$ ls
notes
$ opsd
test restart  running  TIME
  » Restart the application  TIME
  · See that it is well`
	m.shows(tree)
	_, err := m.pty.Write([]byte{3})
	require.NoError(t, err)
	m.exits(4)
	m.shows(tree + `
opsd: run run-1 goes on; opsd runs run-1 follows it again, o
psd cancel run-1 ends it`)
}

// What is asked is below the tree, with how to answer, on any terminal.
func TestAQuestionBelowTheTree(t *testing.T) {
	t.Parallel()
	for size, want := range map[[2]int]string{
		{80, 24}: `
test restart  waiting  TIME
  ✓ Step 1.  TIME
  ? Step 2.  TIME
  · Step 3.
  · Step 4.

? Restart the application?
  Everybody is signed out.
  It takes a minute.
  would: restart the service
    destroys the sessions of everybody
  opsd approve run-1    or opsd deny run-1 -comment WHY    (somebody else than
    Ana Silva with the role operator)`,
		{40, 10}: `
test restart  waiting  TIME
  ✓ Step 1.  TIME
  ? Step 2.  TIME
  … 2 below
? Restart the application?
  … 3 above
    destroys the sessions of everybody
  opsd approve run-1    or opsd deny
  … 3 below`,
		{80, 3}: `
test restart  waiting  TIME
  opsd approve run-1    or opsd deny run-1 -comment WHY    (somebody else than`,
	} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			s := tell(t, "Step 1.", "Step 2.", "Step 3.", "Step 4.")
			m := s.follow(t, size[0], size[1], nil)
			s.step(1, incident.StepDone, "")
			s.step(2, incident.StepRunning, "")
			s.goesOn(t)
			s.step(2, incident.StepWaiting, "")
			s.run.State = incident.StateWaiting
			s.run.Question = &incident.Question{
				ID: "q", Kind: "approve", Title: "Restart the application?", Text: "Everybody is signed out.\nIt takes a minute.", Starter: "Ana Silva", Roles: []string{"operator"},
				Effects: []incident.Effect{{Call: "restart the service", Destroys: []string{"the sessions of everybody"}}},
			}
			s.goesOn(t)
			if size[1] == 24 {
				want = "$ ls\nnotes\n$ opsd" + want
			}
			m.shows(want)
			s.step(2, incident.StepDone, "")
			s.step(3, incident.StepDone, "")
			s.step(4, incident.StepDone, "")
			s.end(incident.StateSucceeded, "")
			s.goesOn(t)
			m.exits(0)
			all := m.above() + "\n" + m.show()
			assert.NotContains(t, all, "approve")
			assert.NotContains(t, all, "…")
			assert.Equal(t, 1, strings.Count(all, "Step 4."), "%s", all)
		})
	}
}

// With -here the service is in the same process, and writes to the same terminal.
func TestATreeOfARunInTheSameProcess(t *testing.T) {
	t.Parallel()
	m := terminal(t, 120, 40, nil, "run", "-here", "restart", "-e", "test")
	m.exits(0)
	assert.Regexp(t, `^\$ ls\nnotes\n\$ opsd
opsd: embedded estate, in this process: nothing real is changed. It can be asked at http://127.0.0.1:\d+
test restart  succeeded  TIME
  ✓ Look at what is deployed  TIME
  ✓ Restart the application  TIME
  ✓ See that the application is well  TIME(  \(attempt \d+\))?$`, m.show())
}
