package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/health"
	"go.acu.edu.au/runbook/incident"
)

// A journal is what opsd says while it runs: a line for each thing that matters, or JSON. It
// is a [slog.Handler] too, for what the parts of opsd warn of.
type journal struct {
	w     io.Writer
	json  bool
	zone  *time.Location
	quiet bool                               // only what goes wrong, and incidents
	kind  func(incident.Event) incident.Kind // of the step of an event; nil if that is not known
	ends  func() bool                        // whether opsd is being stopped; nil if that is not known
	mu    sync.Mutex
	attrs []slog.Attr
	same  *journal // the one whose lock counts; nil for itself
}

// line is what is written.
type line struct {
	At   time.Time      `json:"at"`
	Kind string         `json:"kind"`
	Text string         `json:"text"`
	More map[string]any `json:"more,omitempty"`
}

func (j *journal) write(l line) {
	if l.At.IsZero() {
		l.At = time.Now()
	}
	root := j
	if j.same != nil {
		root = j.same
	}
	if root.quiet && l.Kind != "log" && l.Kind != "incident" && l.Kind != "delivery" {
		return
	}
	root.mu.Lock()
	defer root.mu.Unlock()
	if root.json {
		_ = json.NewEncoder(root.w).Encode(l) // there is nobody to tell
		return
	}
	zone := root.zone
	if zone == nil {
		zone = time.Local
	}
	fmt.Fprintf(root.w, "%s  %s\n", l.At.In(zone).Format("15:04:05"), brief(oneLine(l.Text), 240))
}

// oneLine makes one line of a text, without what a terminal would take for commands.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 || unicode.Is(unicode.Bidi_Control, r):
			return -1
		}
		return r
	}, s)
}

// lines is a text of several lines, without what a terminal would take for commands.
func lines(s string) string {
	all := strings.Split(s, "\n")
	for i := range all {
		all[i] = oneLine(all[i])
	}
	return strings.Join(all, "\n")
}

// brief is the beginning of a text that is too long to be read at night. All of it is in the
// record.
func brief(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// say says something about opsd itself.
func (j *journal) say(format string, args ...any) {
	j.write(line{Kind: "opsd", Text: "opsd: " + fmt.Sprintf(format, args...)})
}

// run says what happens in runs.
func (j *journal) run(_ context.Context, e incident.Event) {
	switch e.Kind {
	case incident.EventProgress, incident.EventStep, incident.EventSkipped:
		return
	case incident.EventStepEnded: // looking is no news
		if !j.json && (j.kind == nil || j.kind(e) != incident.KindAction) {
			return
		}
	}
	text := fmt.Sprintf("%s %s: %s", e.Environment, e.Playbook, e.Text)
	if e.Question != nil && e.Kind == incident.EventAsked {
		text = fmt.Sprintf("%s %s waits for a person: %s  (opsd approvals)", e.Environment, e.Playbook, e.Question.Title)
	}
	j.write(line{At: e.At, Kind: "run", Text: text, More: map[string]any{"event": e.Kind, "run": e.Run, "step": e.Step, "incident": e.Incident, "actor": e.Actor}})
}

// incident says how incidents change.
func (j *journal) incident(_ context.Context, i incident.Incident, entries []incident.Entry) {
	for _, e := range entries {
		j.write(line{At: e.At, Kind: "incident", Text: fmt.Sprintf("%s %s: %s", i.ID, i.Severity, e.Text), More: map[string]any{"incident": i.ID, "entry": e.Kind, "actor": e.Actor, "state": i.State}})
	}
}

// transition says when a check changes.
func (j *journal) transition(_ context.Context, t health.Transition) {
	to := t.State.Status
	if t.FromSince.IsZero() && to.OK() || t.From == to || t.State.BlockedBy != "" {
		return // the first look, or what something else explains
	}
	text := fmt.Sprintf("%s is %s", t.State.Name, to)
	if !to.OK() && t.State.Last.Message != "" {
		text += ": " + t.State.Last.Message
	}
	j.write(line{Kind: "check", Text: text, More: map[string]any{"check": t.State.Name, "from": t.From, "to": to}})
}

// delivery says whom a message did not reach.
func (j *journal) delivery(a alert.Attempt) {
	if a.Err != nil {
		j.write(line{Kind: "delivery", Text: fmt.Sprintf("%s was not told: %v", a.Target, a.Err), More: map[string]any{"target": a.Target}})
	}
}

// Enabled implements [slog.Handler].
func (j *journal) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements [slog.Handler].
func (j *journal) Handle(_ context.Context, r slog.Record) error {
	root := j
	if j.same != nil {
		root = j.same
	}
	var b strings.Builder
	b.WriteString(r.Level.String() + ": " + r.Message)
	add := func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	}
	for _, a := range j.attrs {
		add(a)
	}
	r.Attrs(add)
	if strings.Contains(b.String(), context.Canceled.Error()) && root.ends != nil && root.ends() {
		return nil // it is stopped meanwhile
	}
	j.write(line{At: r.Time, Kind: "log", Text: b.String()})
	return nil
}

// WithAttrs implements [slog.Handler].
func (j *journal) WithAttrs(attrs []slog.Attr) slog.Handler {
	root := j
	if j.same != nil {
		root = j.same
	}
	return &journal{same: root, attrs: append(append([]slog.Attr(nil), j.attrs...), attrs...)}
}

// WithGroup implements [slog.Handler].
func (j *journal) WithGroup(string) slog.Handler { return j }
