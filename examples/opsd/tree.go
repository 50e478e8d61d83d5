package main

import (
	"encoding/json"
	"fmt"
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
	last  map[string]stepShown // by step, what was said
	said  string               // the question that was said
	state incident.RunState
}

type stepShown struct {
	state   incident.StepState
	visits  int
	message string
}

// begin lets time be seen to pass on a terminal: the tree is drawn every second until the
// function is called that it returns. What is said after that comes below the tree.
func (g *progress) begin() (end func()) {
	if g.p.screen == nil || g.json {
		return func() {}
	}
	done, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				g.p.screen.again()
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-stopped
		g.p.screen.leave()
	}
}

// show shows a run as it is now.
func (g *progress) show(r incident.Run) {
	switch {
	case g.json:
		g.events(r)
	case g.p.screen == nil:
		g.lines(r)
	case r.Ended.IsZero():
		g.p.screen.draw(func(columns, rows int) []string { return g.tree(r).fit(columns, rows) })
	default:
		g.p.screen.finish(func(columns, _ int) []string { return g.tree(r).whole(columns) })
	}
}

// marks say how far a step is, beside the word.
var marks = map[incident.StepState]string{
	incident.StepPending: "·", incident.StepRunning: "»", incident.StepWaiting: "?", incident.StepDone: "✓", incident.StepFailed: "✗", incident.StepUnknown: "‽", incident.StepSkipped: "–", incident.StepUndone: "‹",
}

// colours are those of steps.
var colours = map[incident.StepState]string{
	incident.StepPending: dim, incident.StepRunning: blue, incident.StepWaiting: yellow, incident.StepDone: green, incident.StepFailed: red, incident.StepUnknown: red, incident.StepSkipped: dim, incident.StepUndone: yellow,
}

// A tree is a run as lines.
type tree struct {
	head     string
	steps    []treeLine
	at       int // the last line of what goes on, or went on last
	question []string
}

// A treeLine is a line of the tree. Its end, which says how long it took, stays when the
// title is too long.
type treeLine struct{ text, end string }

// tree is a run as it is now.
func (g *progress) tree(r incident.Run) tree {
	t := tree{head: g.head(r)}
	phase := ""
	for _, s := range r.Steps {
		if s.Phase != "" && s.Phase != phase {
			phase = s.Phase
			t.steps = append(t.steps, treeLine{text: g.paint.in(bold, oneLine(phase))})
		}
		t.steps = append(t.steps, g.step(s))
		if s.State == incident.StepFailed || s.State == incident.StepUnknown {
			t.steps = append(t.steps, treeLine{text: "      " + g.paint.bad(brief(oneLine(s.Message), 300))})
		}
		if s.State != incident.StepPending {
			t.at = len(t.steps) - 1
		}
	}
	if r.Question != nil {
		t.question = g.question(r)
	}
	return t
}

// fit makes rows of a tree that goes on: a row a step, with what goes on and what is asked in
// any case. What has no room is counted.
func (t tree) fit(columns, rows int) []string {
	asked := wrapAll(t.question, columns)
	if len(asked) > 0 && 1+len(t.steps)+1+len(asked) <= rows {
		asked = append([]string{""}, asked...)
	}
	how := 0 // the row that says how to answer
	if n := len(t.question); n > 0 {
		how = len(asked) - len(wrap(t.question[n-1], columns))
	}
	asked = most(asked, how, 1, max(rows-1-min(len(t.steps), 3), 1))
	all := []string{shorten(t.head, columns)}
	if rows <= 1+len(asked) {
		return shortenAll(append(all, asked...)[max(0, 1+len(asked)-rows):], columns)
	}
	steps := make([]string, 0, len(t.steps))
	for _, l := range t.steps {
		steps = append(steps, l.in(columns))
	}
	return shortenAll(append(append(all, most(steps, t.at, 0, rows-1-len(asked))...), asked...), columns)
}

// whole makes rows of a tree that has ended, with all that is to be said.
func (t tree) whole(columns int) []string {
	rows := wrap(t.head, columns)
	for _, l := range t.steps {
		rows = append(rows, wrap(l.text+l.end, columns)...)
	}
	return append(rows, wrapAll(t.question, columns)...)
}

// in makes one row of a line.
func (l treeLine) in(columns int) string {
	end := shorten(l.end, max(columns/2, 1))
	return shorten(shorten(l.text, max(columns-visible(end), 1))+end, columns)
}

func shortenAll(rows []string, columns int) []string {
	for i := range rows {
		rows[i] = shorten(rows[i], columns)
	}
	return rows
}

func wrapAll(lines []string, columns int) (rows []string) {
	for _, l := range lines {
		rows = append(rows, wrap(l, columns)...)
	}
	return rows
}

// most leaves rows out if there are more than have room: neither the first ones, as many as
// are to be kept, nor the one that matters, nor what is around that.
func most(rows []string, matters, keep, room int) []string {
	if len(rows) <= room || room < 1 {
		return rows[:min(len(rows), max(room, 0))]
	}
	if room < keep+3 {
		return rows[matters : matters+1]
	}
	head, rest := rows[:keep], rows[keep:]
	room -= keep
	from := min(max(matters-keep-min(room*2/3, room-2), 0), len(rest)-room)
	to := from + room
	shown := append(append([]string(nil), head...), rest[from:to]...)
	if from > 0 {
		shown[keep] = fmt.Sprintf("  … %d above", from+1)
	}
	if left := len(rest) - to; left > 0 {
		shown[len(shown)-1] = fmt.Sprintf("  … %d below", left+1)
	}
	return shown
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

func (g *progress) step(s incident.StepRun) treeLine {
	depth := strings.Count(s.ID, "/")
	text := fmt.Sprintf("  %s%s %s", strings.Repeat("  ", depth), g.paint.in(colours[s.State], marks[s.State]), oneLine(s.Title))
	end := ""
	switch {
	case s.State == incident.StepPending:
		return treeLine{text: text}
	case !s.Ended.IsZero() && !s.Began.IsZero():
		end += g.paint.weak("  " + span(s.Ended.Sub(s.Began)))
	case !s.Began.IsZero():
		end += g.paint.weak("  " + span(time.Since(s.Began)))
	}
	if s.Tries > 1 {
		end += fmt.Sprintf("  (attempt %d)", s.Tries)
	}
	if s.State == incident.StepSkipped && s.Message != "" {
		end += g.paint.weak("  left out: " + brief(oneLine(s.Message), 300))
	}
	if s.Undone != "" && s.Undone != "done" {
		end += "  taken back: " + brief(oneLine(s.Undone), 300)
	}
	if s.Progress != "" {
		end += "  " + brief(oneLine(s.Progress), 300)
	}
	return treeLine{text, end}
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
