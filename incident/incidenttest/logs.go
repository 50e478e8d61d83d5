package incidenttest

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"
	"time"
	"unicode"

	"go.acu.edu.au/runbook/incident"
)

// LogsCase is a service that has printed something, for one test.
type LogsCase struct {
	// Logs is the implementation. If it implements LogFollower, that is tested too.
	Logs incident.Logs
	// Lines are what the current deployment printed from From on, the oldest first:
	// at least four, at different times, one of them with "Failed" in it.
	Lines []incident.LogLine
	From  time.Time
	// Older is the ID of an older deployment that printed other lines, and Missing
	// one that there is none of. Empty Older declines.
	Older, Missing string
	// Print makes the current deployment print a line. Nil declines following.
	Print func(message string)
	// Forbid makes the platform refuse everything from now on. Nil declines.
	Forbid func()
}

// LogsHarness is what [TestLogs] needs of an implementation.
type LogsHarness struct {
	// New returns a fresh service.
	New func(t testing.TB) LogsCase
	// Run runs each test; for what goes by package time it may be synctest.Test. Nil
	// means directly.
	Run Runner
}

// TestLogs checks what [incident.Logs] and [incident.LogFollower] ask of an
// implementation.
func TestLogs(t *testing.T, h LogsHarness) {
	h.Run.sub(t, "all", func(t *testing.T) {
		c := h.New(t)
		c.expect(t, incident.LogQuery{From: c.From}, c.Lines)
	})
	h.Run.sub(t, "tail", func(t *testing.T) {
		c := h.New(t)
		for _, n := range []int{1, 3, len(c.Lines)} {
			c.expect(t, incident.LogQuery{Tail: n, From: c.From}, c.Lines[len(c.Lines)-n:])
		}
		c.expect(t, incident.LogQuery{Tail: 2}, c.Lines[len(c.Lines)-2:])
	})
	h.Run.sub(t, "chosen", func(t *testing.T) {
		c := h.New(t)
		var some []incident.LogLine
		for _, l := range c.Lines {
			if strings.Contains(strings.ToLower(l.Message), "failed") {
				some = append(some, l)
			}
		}
		c.expect(t, incident.LogQuery{From: c.From, Any: []string{"no such words", "FAILED"}}, some)
		c.expect(t, incident.LogQuery{From: c.From, Any: []string{"no such words"}}, nil)
		c.expect(t, incident.LogQuery{From: c.Lines[1].Time, To: c.Lines[3].Time}, c.Lines[1:3])
	})
	h.Run.sub(t, "leaving and again", func(t *testing.T) {
		c := h.New(t)
		seq := c.Logs.Logs(t.Context(), incident.LogQuery{From: c.From})
		for range 2 {
			for l, err := range seq {
				if err != nil || l.Message != c.Lines[0].Message {
					t.Errorf("line %+v, error %v; want the first", l, err)
				}
				break
			}
		}
	})
	h.Run.sub(t, "another deployment", func(t *testing.T) {
		c := h.New(t)
		if c.Older == "" {
			t.Skip("declined")
		}
		n := 0
		for l, err := range c.Logs.Logs(t.Context(), incident.LogQuery{From: c.From, Deployment: c.Older}) {
			if n++; err != nil || l.Deployment != "" && l.Deployment != c.Older {
				t.Fatalf("line %+v, error %v; want one of %q", l, err, c.Older)
			}
		}
		if n == 0 {
			t.Error("it has no lines")
		}
		onlyError(t, c.Logs.Logs(t.Context(), incident.LogQuery{From: c.From, Deployment: c.Missing}), incident.ErrNotFound)
	})
	h.Run.sub(t, "refused", func(t *testing.T) {
		c := h.New(t)
		if c.Forbid == nil {
			t.Skip("declined")
		}
		c.Forbid()
		onlyError(t, c.Logs.Logs(t.Context(), incident.LogQuery{From: c.From}), incident.ErrNotPermitted)
	})
	h.Run.sub(t, "ended context", func(t *testing.T) {
		c := h.New(t)
		onlyError(t, c.Logs.Logs(ended(t), incident.LogQuery{From: c.From}), context.Canceled)
	})
	h.Run.sub(t, "invalid", func(t *testing.T) {
		c := h.New(t)
		for _, q := range []incident.LogQuery{{}, {Tail: -1}, {Tail: 1, Kind: "rumour"}, {From: c.From, To: c.From}, {Tail: 1, Any: []string{""}}} {
			n := 0
			for _, err := range c.Logs.Logs(t.Context(), q) {
				if n++; err == nil {
					t.Errorf("%+v has lines", q)
				}
			}
			if n != 1 {
				t.Errorf("%+v: %d results; want an error", q, n)
			}
		}
	})
	h.Run.sub(t, "follow", func(t *testing.T) { testFollow(t, h.New(t)) })
}

func (c LogsCase) expect(t testing.TB, q incident.LogQuery, want []incident.LogLine) {
	t.Helper()
	n := 0
	for l, err := range c.Logs.Logs(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		if n >= len(want) || l.Message != want[n].Message || !l.Time.Equal(want[n].Time) {
			t.Fatalf("line %d is %+v; want %d lines, the oldest first", n, l, len(want))
		}
		if strings.ContainsFunc(l.Message, unicode.IsControl) {
			t.Errorf("line %d has control characters: %q", n, l.Message)
		}
		n++
	}
	if n != len(want) {
		t.Errorf("%d lines; want %d", n, len(want))
	}
}

// onlyError checks that a sequence is one error.
func onlyError(t testing.TB, seq iter.Seq2[incident.LogLine, error], want error) {
	t.Helper()
	n := 0
	for l, err := range seq {
		if n++; !errors.Is(err, want) || l.Message != "" || n > 1 {
			t.Errorf("line %+v, error %v; want only %v", l, err, want)
		}
	}
	if n == 0 {
		t.Errorf("no error; want %v", want)
	}
}

func testFollow(t *testing.T, c LogsCase) {
	f, ok := c.Logs.(incident.LogFollower)
	if !ok || c.Print == nil {
		t.Skip("declined")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	want := []string{c.Lines[len(c.Lines)-1].Message, "line one", "line two", "line two"}
	var got []string
	for l, err := range f.FollowLogs(ctx, incident.LogQuery{Tail: 1}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) || len(got) != len(want) {
				t.Errorf("error %v after %q; want that of the context", err, got)
			}
			break
		}
		switch got = append(got, l.Message); len(got) {
		case 1, 2, 3:
			c.Print(want[len(got)])
		case len(want):
			cancel()
		default:
			t.Fatalf("lines %q; want %q", got, want)
		}
		if l.Message != want[len(got)-1] {
			t.Errorf("lines %q; want %q", got, want)
		}
	}
	if len(got) != len(want) {
		t.Errorf("lines %q; want %q", got, want)
	}
	onlyError(t, f.FollowLogs(ended(t), incident.LogQuery{Tail: 1}), context.Canceled)
	for _, err := range f.FollowLogs(t.Context(), incident.LogQuery{To: c.Lines[0].Time}) {
		if err == nil {
			t.Error("what has an end is followed")
		}
		break
	}
}
