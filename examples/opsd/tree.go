package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// A progress shows how a run goes on: as a tree that is drawn anew on a terminal, as a line
// for each thing that happens elsewhere, or as JSON.
type progress struct {
	p     *program
	paint painter
	json  bool
	zone  *time.Location
	drawn int                  // lines on the terminal that are to be drawn over
	last  map[string]stepShown // by step, what was said
	said  string               // the question that was said
	state incident.RunState
}

type stepShown struct {
	state   incident.StepState
	visits  int
	message string
}

// show shows a run as it is now.
func (g *progress) show(r incident.Run) {
	switch {
	case g.json:
		g.events(r)
	case g.p.terminal:
		g.draw(r)
	default:
		g.lines(r)
	}
}

// marks say how far a step is, beside the word.
var marks = map[incident.StepState]string{
	incident.StepPending: "·", incident.StepRunning: "»", incident.StepWaiting: "?", incident.StepDone: "✓", incident.StepFailed: "✗", incident.StepUnknown: "‽", incident.StepSkipped: "–",
}

// colours are those of steps.
var colours = map[incident.StepState]string{
	incident.StepPending: dim, incident.StepRunning: blue, incident.StepWaiting: yellow, incident.StepDone: green, incident.StepFailed: red, incident.StepUnknown: red, incident.StepSkipped: dim,
}

// tree is a run as lines.
func (g *progress) tree(r incident.Run) []string {
	lines := []string{g.head(r)}
	phase := ""
	for _, s := range r.Steps {
		if s.Phase != "" && s.Phase != phase {
			phase = s.Phase
			lines = append(lines, g.paint.in(bold, phase))
		}
		lines = append(lines, g.step(s))
		if s.State == incident.StepFailed || s.State == incident.StepUnknown {
			lines = append(lines, "      "+g.paint.bad(oneLine(s.Message)))
		}
	}
	if r.Question != nil {
		lines = append(lines, "")
		lines = append(lines, g.question(r)...)
	}
	return lines
}

func (g *progress) head(r incident.Run) string {
	took := time.Since(r.Started)
	if !r.Ended.IsZero() {
		took = r.Ended.Sub(r.Started)
	}
	text := fmt.Sprintf("%s %s  %s  %s", r.Environment, r.Playbook, g.paint.run(r.State), span(took))
	if r.Reason != "" {
		text += "  " + brief(oneLine(r.Reason), 300)
	}
	return text
}

func (g *progress) step(s incident.StepRun) string {
	depth := strings.Count(s.ID, "/")
	text := fmt.Sprintf("  %s%s %s", strings.Repeat("  ", depth), g.paint.in(colours[s.State], marks[s.State]), oneLine(s.Title))
	switch {
	case s.State == incident.StepPending:
		return text
	case !s.Ended.IsZero() && !s.Began.IsZero():
		text += g.paint.weak("  " + span(s.Ended.Sub(s.Began)))
	case !s.Began.IsZero():
		text += g.paint.weak("  " + span(time.Since(s.Began)))
	}
	if s.State == incident.StepSkipped && s.Message != "" {
		text += g.paint.weak("  left out: " + oneLine(s.Message))
	}
	if s.Tries > 1 {
		text += fmt.Sprintf("  (attempt %d)", s.Tries)
	}
	if s.Progress != "" {
		text += "  " + oneLine(s.Progress)
	}
	return text
}

// question says what a person is asked, and how to answer.
func (g *progress) question(r incident.Run) []string {
	q := r.Question
	lines := []string{g.paint.in(yellow, "? "+oneLine(q.Title))}
	for l := range strings.Lines(strings.TrimSpace(q.Text)) {
		lines = append(lines, "  "+oneLine(strings.TrimRight(l, "\n")))
	}
	for _, e := range q.Effects {
		lines = append(lines, "  would: "+oneLine(e.Call))
		for _, d := range e.Destroys {
			lines = append(lines, "    "+g.paint.bad("destroys "+oneLine(d)))
		}
	}
	if !q.Deadline.IsZero() {
		lines = append(lines, "  until "+q.Deadline.In(g.zone).Format("15:04:05")+", or it counts as denied")
	}
	if q.Kind == "approve" {
		who := "somebody else than " + q.Starter
		if len(q.Roles) > 0 {
			who += " with the role " + strings.Join(q.Roles, " or ")
		}
		return append(lines, "  opsd approve "+r.ID+"    or opsd deny "+r.ID+" -comment WHY    ("+who+")")
	}
	return append(lines, "  opsd answer "+r.ID+" "+strings.Join(q.Answers, "|"))
}

// draw draws the tree over the one from before. What does not fit on the terminal is left
// out at the top: what goes on is at the end.
func (g *progress) draw(r incident.Run) {
	lines := g.tree(r)
	if room := g.p.height - 2; room > 5 && len(lines) > room && r.Ended.IsZero() {
		left := len(lines) - room + 1
		lines = append([]string{lines[0], g.paint.weak(fmt.Sprintf("  … %d lines", left))}, lines[left+1:]...)
	}
	var b strings.Builder
	if g.drawn > 0 {
		fmt.Fprintf(&b, "\x1b[%dA\x1b[J", g.drawn)
	}
	for _, l := range lines {
		b.WriteString(g.p.fit(l) + "\n")
	}
	g.drawn = len(lines)
	_, _ = io.WriteString(g.p.stdout, b.String())
}

// fit cuts a line that would take two on the terminal.
func (p *program) fit(l string) string {
	if visible(l) < p.width {
		return l
	}
	n := 0
	var b strings.Builder
	code := false
	for _, r := range l {
		switch {
		case r == 0x1b:
			code = true
		case code:
			code = r != 'm'
		default:
			n++
		}
		if n >= p.width-1 && !code && r != 'm' {
			return b.String() + "…\x1b[0m"
		}
		b.WriteRune(r)
	}
	return b.String()
}

// changes calls say with each step that is not as it was said last.
func (g *progress) changes(r incident.Run, say func(s incident.StepRun)) {
	if g.last == nil {
		g.last = make(map[string]stepShown)
	}
	for _, s := range r.Steps {
		now := stepShown{s.State, s.Visits, s.Message}
		if g.last[s.ID] != now && s.State != incident.StepPending {
			say(s)
		}
		g.last[s.ID] = now
	}
}

// lines writes a line for each thing that happened.
func (g *progress) lines(r incident.Run) {
	if g.state == "" {
		g.p.printf("%s %s, run %s, started by %s\n", r.Environment, r.Playbook, r.ID, by(r))
	}
	g.changes(r, func(s incident.StepRun) {
		at := s.Ended
		if at.IsZero() {
			at = s.Began
		}
		if at.IsZero() {
			at = time.Now()
		}
		text := fmt.Sprintf("%s  %-8s %s", at.In(g.zone).Format("15:04:05"), s.State, oneLine(s.Title))
		if s.State == incident.StepDone && !s.Began.IsZero() && !s.Ended.IsZero() {
			text += "  " + span(s.Ended.Sub(s.Began))
		}
		if s.Message != "" && s.State != incident.StepDone {
			text += ": " + brief(oneLine(s.Message), 300)
		}
		g.p.printf("%s\n", text)
	})
	if r.Question != nil && r.Question.ID != g.said {
		g.said = r.Question.ID
		for _, l := range g.question(r) {
			g.p.printf("%s\n", l)
		}
	}
	if g.state != r.State && !r.Ended.IsZero() {
		g.p.printf("%s\n", g.head(r))
	}
	g.state = r.State
}

func by(r incident.Run) string {
	if r.Automatic {
		return "the automation"
	}
	return r.By
}

// events writes JSON, a line for each thing that happened: a step, a question, the end.
func (g *progress) events(r incident.Run) {
	out := json.NewEncoder(g.p.stdout)
	write := func(v map[string]any) {
		v["run"] = r.ID
		_ = out.Encode(v) // there is nobody to tell
	}
	if g.state == "" {
		write(map[string]any{"event": "run", "environment": r.Environment, "playbook": r.Playbook, "by": r.By, "state": r.State, "at": r.Started})
	}
	g.changes(r, func(s incident.StepRun) {
		v := map[string]any{"event": "step", "step": s.ID, "title": s.Title, "state": s.State}
		for name, t := range map[string]time.Time{"began": s.Began, "ended": s.Ended} {
			if !t.IsZero() {
				v[name] = t
			}
		}
		if s.Message != "" {
			v["message"], v["code"] = s.Message, s.Code
		}
		if len(s.Output) > 0 {
			v["output"] = s.Output
		}
		write(v)
	})
	if r.Question != nil && r.Question.ID != g.said {
		g.said = r.Question.ID
		write(map[string]any{"event": "question", "question": r.Question})
	}
	if !r.Ended.IsZero() && g.state != r.State {
		write(map[string]any{"event": "end", "state": r.State, "reason": r.Reason, "at": r.Ended})
	}
	g.state = r.State
}
