package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/incident"
)

// What is written while something is drawn comes above it, and what is drawn is drawn anew. The
// tests of internal/e2e show the same on a terminal.
func TestTextsBesideAFrame(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	columns, rows := 20, 10
	s := &screen{w: &out, size: func() (int, int) { return columns, rows }}
	w := s.beside(&out)
	write := func(text string) {
		n, err := w.Write([]byte(text))
		assert.NoError(t, err)
		assert.Equal(t, len(text), n)
	}
	took := func() string { defer out.Reset(); return out.String() }
	write("before\n")
	assert.Equal(t, "before\n", took())
	s.again()
	assert.Empty(t, took(), "nothing is drawn yet")
	s.draw(func(columns, rows int) []string { return []string{fmt.Sprint(columns), fmt.Sprint(rows)} })
	assert.Equal(t, "\x1b[?7l\r\x1b[2K19\r\n\x1b[2K9\r\n\x1b[J\x1b[?7h", took())
	write("one\ntwo\n")
	assert.Equal(t, "\x1b[?7l\r\x1b[2A\x1b[J\x1b[?7hone\r\ntwo\x1b[?7l\r\n\x1b[2K19\r\n\x1b[2K9\r\n\x1b[J\x1b[?7h", took())
	columns = 10
	s.again()
	assert.Equal(t, "\x1b[?7l\x1b[10;1H"+strings.Repeat("\n", 10)+"\x1b[H\x1b[2K9\r\n\x1b[2K9\r\n\x1b[J\x1b[?7h", took())
	s.leave()
	assert.Equal(t, "\r\x1b[J", took())
	write("after\n")
	s.again()
	s.leave()
	assert.Equal(t, "after\n", took())
}

// A tree is drawn each second, so that time is seen to pass, until nobody follows any more.
func TestTimePasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out lockedBuffer
		g := &progress{p: &program{stdout: &out, terminal: true, screen: &screen{w: &out, size: func() (int, int) { return 80, 24 }}}}
		end := g.begin()
		step := incident.StepRun{State: incident.StepRunning, Began: time.Now()}
		step.Title = "Restart"
		g.show(incident.Run{Started: time.Now(), Steps: []incident.StepRun{step}})
		time.Sleep(3*time.Second + time.Millisecond)
		synctest.Wait()
		end()
		for _, want := range []string{"Restart  0ms", "Restart  1.0s", "Restart  2.0s", "Restart  3.0s"} {
			assert.Equal(t, 1, strings.Count(out.String(), want), want)
		}
		before := out.String()
		time.Sleep(time.Minute)
		assert.Equal(t, before, out.String())
	})
}

func TestColumns(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text string
		want int
	}{
		"empty":             {"", 0},
		"ascii":             {"abc", 3},
		"coloured":          {"\x1b[31mabc\x1b[0m", 3},
		"no colour":         {"\x1b[2Jabc", 6}, // the escape itself never gets there
		"wide":              {"再起動", 6},
		"half":              {"ｱ", 1},
		"full":              {"Ａ", 2},
		"combining":         {"e\u0301", 1},
		"a mark first":      {"\u0301", 0},
		"korean":            {"\u1112\u1161\u11ab", 2},
		"picture":           {"👍", 2},
		"sign as a picture": {"⚠\ufe0f", 2},
		"joined":            {"👩\u200d🔧", 4}, // 2 where they are drawn as one
		"soft hyphen":       {"a\u00adb", 3},
		"turned round":      {"\u202eabc\u202c", 3},
		"no UTF-8":          {"\xff\xfe", 2},
		"C1":                {"\u009b2J", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, visible(tt.text))
		})
	}
	assert.Less(t, len(join(cells("a"+strings.Repeat("\u0301", 10_000)))), 100, "a tower of marks")
}

// Whatever a title is, and however small the terminal, no row is wider than it, there are not
// more rows than it has, and nothing in them is a command to it but colours.
func FuzzFrames(f *testing.F) {
	f.Add("Restart the application", "it failed", "Really?", uint8(20), uint8(5), true)
	f.Add("再起動\u0301\u202e", "\x1b[2J", "", uint8(1), uint8(1), false)
	f.Add("a\xffb", strings.Repeat("word ", 100), strings.Repeat("x", 300)+"\n\n\tb", uint8(40), uint8(10), true)
	f.Fuzz(func(t *testing.T, title, text, question string, columns, rows uint8, colour bool) {
		width, height := max(int(columns), 1), max(int(rows), 1)
		g := &progress{p: &program{}, paint: painter(colour), zone: time.UTC}
		r := incident.Run{Environment: title, Playbook: "p", State: incident.StateRunning, Reason: text}
		for i, state := range []incident.StepState{incident.StepDone, incident.StepFailed, incident.StepSkipped, incident.StepRunning, incident.StepUndone, incident.StepPending} {
			step := incident.StepRun{State: state, Message: text, Progress: text, Tries: i, Began: time.Unix(1, 0), Ended: time.Unix(5, 0)}
			step.Title, step.Phase = title, question
			r.Steps = append(r.Steps, step)
		}
		if question != "" {
			r.Question = &incident.Question{Title: title, Text: question, Answers: []string{"retry"}, Effects: []incident.Effect{{Call: text, Destroys: []string{title}}}}
		}
		tree := g.tree(r)
		all := tree.fit(width, height)
		if len(all) > height {
			t.Errorf("%d rows, and there is room for %d", len(all), height)
		}
		for _, row := range append(all, tree.whole(width)...) {
			if n := visible(row); n > max(width, 8) {
				t.Errorf("%d columns, and there is room for %d: %q", n, width, row)
			}
			if !utf8.ValidString(row) {
				t.Errorf("no UTF-8: %q", row)
			}
			for _, c := range cells(row) {
				if strings.ContainsAny(c.text, "\x1b\r\n\t\u009b\u202e") {
					t.Errorf("a command: %q", row)
				}
			}
		}
		for _, row := range all {
			if n := visible(row); n > width {
				t.Errorf("%d columns, and there is room for %d: %q", n, width, row)
			}
		}
	})
}
