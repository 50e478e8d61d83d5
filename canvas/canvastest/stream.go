package canvastest

import (
	"io"
	"sync"
)

// streamBuffer is how much of an answer may wait to be read.
const streamBuffer = 64 << 10

// stream is the body of an answer on its way from the handler to the client: a
// pipe with a buffer, so that short answers never wait for their reader.
type stream struct {
	mu      sync.Mutex
	changed *sync.Cond
	buf     []byte
	read    int
	end     error // set when the handler is done: io.EOF, or why it broke off
	gone    error // set when the client went away
}

func newStream() *stream {
	s := &stream{}
	s.changed = sync.NewCond(&s.mu)
	return s
}

// Write appends to the body. It waits while the buffer is full and fails once
// the client has gone.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for len(p) > 0 {
		for len(s.buf)-s.read >= streamBuffer && s.gone == nil {
			s.changed.Wait()
		}
		if s.gone != nil {
			return written, io.ErrClosedPipe
		}
		n := min(len(p), streamBuffer-(len(s.buf)-s.read))
		s.buf = append(s.buf[s.read:], p[:n]...)
		s.read = 0
		p, written = p[n:], written+n
		s.changed.Broadcast()
	}
	return written, nil
}

// finish ends the body, with io.EOF or the reason why it is not whole.
func (s *stream) finish(err error) {
	s.mu.Lock()
	s.end = err
	s.changed.Broadcast()
	s.mu.Unlock()
}

// abandon ends the reading side.
func (s *stream) abandon(err error) {
	s.mu.Lock()
	if s.gone == nil {
		s.gone = err
	}
	s.changed.Broadcast()
	s.mu.Unlock()
}

// Read waits for the next bytes.
func (s *stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.gone != nil:
			return 0, s.gone
		case s.read < len(s.buf):
			n := copy(p, s.buf[s.read:])
			s.read += n
			s.changed.Broadcast()
			return n, nil
		case s.end != nil:
			return 0, s.end
		case len(p) == 0:
			return 0, nil
		}
		s.changed.Wait()
	}
}
