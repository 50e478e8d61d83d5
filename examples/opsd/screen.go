package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// A screen is a terminal on which something is drawn over and over, in the rows above the
// cursor. What scrolled off cannot be drawn over, so a frame never has as many rows as the
// terminal; and what a terminal does with rows that do not fit when it is made smaller is
// different for each, so a frame after that begins on an empty screen, with what was there
// above it, where one scrolls back to. It may be used by several goroutines.
type screen struct {
	w    io.Writer
	size func() (columns, rows int) // as they are now

	mu            sync.Mutex
	frame         frame // what is on it; nil for nothing
	drawn         int   // rows of the frame
	width, height int   // when it was drawn
}

// A frame makes rows that are at most that wide, and at most that many.
type frame func(columns, rows int) []string

// draw shows a frame in place of the one before.
func (s *screen) draw(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frame = f
	s.paint("")
}

// finish draws the last frame, which may have more rows than the terminal: nothing is drawn
// over it any more.
func (s *screen) finish(f frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frame = f
	s.paint("")
	s.frame, s.drawn = nil, 0
}

// again draws what is there, as it is now.
func (s *screen) again() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frame != nil {
		s.paint("")
	}
}

// leave ends the drawing: what is there stays, and the next text comes below it. What was
// typed meanwhile, such as ctrl-C, is wiped off.
func (s *screen) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.frame != nil {
		_, _ = io.WriteString(s.w, "\r\x1b[J")
	}
	s.frame, s.drawn = nil, 0
}

// paint draws the frame over the one before. Rows that are wider than was thought, for
// terminals disagree about pictures, are cut by the terminal: it breaks no rows meanwhile.
func (s *screen) paint(above string) {
	var b strings.Builder
	columns, rows := s.size()
	b.WriteString("\x1b[?7l" + s.back(columns, rows))
	if above != "" {
		b.WriteString("\x1b[J\x1b[?7h" + strings.ReplaceAll(strings.TrimRight(above, "\n"), "\n", "\r\n") + "\x1b[?7l\r\n")
	}
	all := s.frame(max(columns-1, 1), max(rows-1, 1))
	for _, l := range all {
		b.WriteString("\x1b[2K" + l + "\r\n")
	}
	b.WriteString("\x1b[J\x1b[?7h")
	s.drawn, s.width, s.height = len(all), columns, rows
	_, _ = io.WriteString(s.w, b.String())
}

// back goes to where the frame begins.
func (s *screen) back(columns, rows int) string {
	switch {
	case s.drawn == 0:
		return "\r"
	case columns < s.width || rows < s.height:
		return fmt.Sprintf("\x1b[%d;1H%s\x1b[H", rows, strings.Repeat("\n", rows))
	}
	return fmt.Sprintf("\r\x1b[%dA", s.drawn)
}

// beside returns a writer for texts that are on the same terminal: they come above the frame.
func (s *screen) beside(w io.Writer) io.Writer { return &beside{s, w} }

type beside struct {
	s *screen
	w io.Writer
}

// Write implements [io.Writer].
func (b *beside) Write(text []byte) (int, error) {
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.frame == nil {
		return b.w.Write(text)
	}
	b.s.paint(string(text))
	return len(text), nil
}
