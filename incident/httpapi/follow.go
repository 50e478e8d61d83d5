package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"go.acu.edu.au/runbook/incident"
)

// An update is a step of following: the run as it is then, or why it does not go on.
type update struct {
	run incident.Run
	err error
}

// writeWithin is how long an event may take to be written before a client is given up.
const writeWithin = 10 * time.Second

// follow sends a run as it is, and again after each change, until it has ended.
func (c *call) follow() error {
	last, err := c.heard()
	if err != nil {
		return err
	}
	leave, err := c.enter(c.a.followers, "runs are followed")
	if err != nil {
		return err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(c.ctx, c.a.cfg.FollowFor)
	updates := c.updates(ctx)
	defer func() {
		cancel()
		for range updates { // until nobody follows any more
		}
	}()
	first, ok := <-updates
	if ok && first.err == nil && first.run.Revision == last && ended(first.run) {
		if first, ok = <-updates; !ok && ctx.Err() == nil {
			c.w.WriteHeader(http.StatusNoContent) // they have heard all
			return nil
		}
	}
	if !ok {
		return ctx.Err()
	}
	if first.err != nil {
		return first.err
	}
	s := &events{w: c.w, control: http.NewResponseController(c.w)}
	s.begin()
	defer s.finish()
	if c.r.Method == http.MethodHead {
		return nil
	}
	if first.run.Revision == last {
		s.comment("nothing new")
	} else {
		s.update(first.run)
	}
	c.hear(ctx, s, updates)
	return nil
}

// heard returns the revision that the client has heard last, -1 if it has heard none.
func (c *call) heard() (int64, error) {
	q := c.query()
	last := q.number("revision", -1, 0, 1<<62)
	if id := c.r.Header.Get("Last-Event-ID"); id != "" {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil || n < 0 {
			q.fail("Last-Event-ID", "must be the id of an event")
		}
		last = n
	}
	return last, q.err()
}

// updates returns what happens to the run. It is closed when that is all, or ctx has
// ended. A run that is not asked for any more holds nothing: what comes next is how it is
// when it is asked for again.
func (c *call) updates(ctx context.Context) <-chan update {
	updates := make(chan update)
	go func() {
		defer close(updates)
		for run, err := range c.a.cfg.Runner.Follow(ctx, c.r.PathValue("run")) {
			select {
			case updates <- update{run, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return updates
}

// hear sends what happens until the run has ended, the client has gone away, or the time
// is over.
func (c *call) hear(ctx context.Context, s *events, updates <-chan update) {
	beat := time.NewTicker(c.a.cfg.Heartbeat)
	defer beat.Stop()
	for s.err == nil && !s.over {
		select {
		case u, ok := <-updates:
			switch {
			case !ok && ctx.Err() == nil:
				s.end()
			case !ok:
				return
			case u.err != nil && ctx.Err() != nil: // the time is over, or nobody is there
			case u.err != nil:
				s.problem(c.problem(u.err))
			default:
				s.update(u.run)
				beat.Reset(c.a.cfg.Heartbeat)
			}
		case <-beat.C:
			s.comment("still here")
		case <-ctx.Done():
			return
		}
	}
}

// ended reports whether nothing more will happen to a run.
func ended(run incident.Run) bool {
	switch run.State {
	case incident.StateSucceeded, incident.StateFailed, incident.StateUndone, incident.StateCancelled:
		return true
	}
	return false
}

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	state   incident.RunState // that was sent last
	err     error
	over    bool
}

// begin sends the header. The deadline that the server has for whole answers does not hold
// for this one: each event has its own.
func (s *events) begin() {
	s.w.Header().Set("Content-Type", mediaEvents)
	s.w.Header().Set("X-Accel-Buffering", "no") // proxies that gather answers do not gather this one
	s.w.WriteHeader(http.StatusOK)
	s.send("retry: 2000\n\n")
}

// finish leaves the connection without a deadline of ours.
func (s *events) finish() { _ = s.control.SetWriteDeadline(time.Time{}) }

// update sends a run.
func (s *events) update(run incident.Run) {
	data, err := json.Marshal(run)
	if err != nil {
		s.problem(newProblem(codeInternal, "the run cannot be written"))
		return
	}
	s.state = run.State
	s.send("id: " + strconv.FormatInt(run.Revision, 10) + "\nevent: run\ndata: " + string(data) + "\n\n")
}

// end says that the run has ended.
func (s *events) end() {
	s.over = true
	s.send("event: end\ndata: " + strconv.Quote(string(s.state)) + "\n\n")
}

// problem sends why it does not go on.
func (s *events) problem(p *Problem) {
	data, err := json.Marshal(p)
	if err != nil { // it is texts and numbers
		data = []byte("{}")
	}
	s.over = true
	s.send("event: problem\ndata: " + string(data) + "\n\n")
}

// comment sends something that no client shows.
func (s *events) comment(text string) { s.send(": " + text + "\n\n") }

// send writes, and gives up a client that does not read.
func (s *events) send(text string) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, err := s.w.Write([]byte(text)); err != nil {
		s.err = err
		return
	}
	s.err = s.control.Flush()
}
