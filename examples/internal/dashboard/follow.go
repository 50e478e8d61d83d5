package dashboard

import (
	"context"
	_ "embed"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.acu.edu.au/runbook/incident"
)

//go:embed templates/follow.js
var script []byte

// showScript serves the only script: it puts what server-sent events bring into the page.
func (c *request) showScript() {
	c.w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	c.w.Header().Set("Cache-Control", "private, max-age=300")
	_, _ = c.w.Write(script)
}

// writeWithin is how long an event may take to be written before a browser is given up.
const writeWithin = 10 * time.Second

// events writes server-sent events.
type events struct {
	w       http.ResponseWriter
	control *http.ResponseController
	err     error
}

// follow begins a stream of events, unless there are too many already. It returns nil then.
func (c *request) follow() (s *events, end func()) {
	select {
	case c.h.followers <- struct{}{}:
	default:
		c.w.Header().Set("Retry-After", "30")
		http.Error(c.w, "as many follow as this host serves at a time; load the page again by hand", http.StatusTooManyRequests)
		return nil, nil
	}
	s = &events{w: c.w, control: http.NewResponseController(c.w)}
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no") // proxies that gather answers do not gather this one
	c.w.WriteHeader(http.StatusOK)
	s.send("retry: 2000\n\n")
	return s, func() {
		_ = s.control.SetWriteDeadline(time.Time{})
		<-c.h.followers
	}
}

// send writes, and gives up a browser that does not read. The deadline that the server has
// for whole answers does not hold for this one: each event has its own.
func (s *events) send(text string) {
	if s.err != nil {
		return
	}
	_ = s.control.SetWriteDeadline(time.Now().Add(writeWithin))
	if _, err := s.w.Write([]byte(text)); err != nil {
		s.err = err
		return
	}
	if err := s.control.Flush(); err != nil {
		s.err = err
	}
}

// event sends an event, whose data may have several lines.
func (s *events) event(name, id, data string) {
	var b strings.Builder
	if id != "" {
		b.WriteString("id: " + id + "\n")
	}
	b.WriteString("event: " + name + "\n")
	for line := range strings.SplitSeq(strings.ReplaceAll(data, "\r", "\n"), "\n") {
		b.WriteString("data: " + line + "\n")
	}
	b.WriteString("\n")
	s.send(b.String())
}

// part writes a part of a page, for an event.
func (c *request) part(name string, data any) string {
	text, err := c.render(name, data)
	if err != nil {
		c.log("a part of a page cannot be written", err)
		return ""
	}
	return string(text)
}

// followRun sends a run as it is, and again after each change, until it has ended.
func (c *request) followRun() {
	if c.h.cfg.Runner == nil {
		c.lost("page")
		return
	}
	id := c.r.PathValue("id")
	run, err := c.h.cfg.Runner.Run(c.ctx, id)
	if errors.Is(err, incident.ErrNotFound) {
		c.lost("run")
		return
	}
	if err != nil {
		c.cannotRead("This run", err)
		return
	}
	if heard := c.r.Header.Get("Last-Event-ID"); heard == strconv.FormatInt(run.Revision, 10) && !run.Ended.IsZero() {
		c.w.WriteHeader(http.StatusNoContent) // they have heard all
		return
	}
	s, end := c.follow()
	if s == nil {
		return
	}
	defer end()
	ctx, cancel := context.WithTimeout(c.ctx, c.h.cfg.FollowFor)
	updates := c.updates(ctx, id)
	defer func() {
		cancel()
		for range updates { // until nobody follows any more
		}
	}()
	c.hear(ctx, s, updates)
}

// An update is a run as it is then, or why it is not known.
type update struct {
	run incident.Run
	err error
}

// updates returns what happens to a run. It is closed when that is all, or ctx has ended.
func (c *request) updates(ctx context.Context, id string) <-chan update {
	updates := make(chan update)
	go func() {
		defer close(updates)
		for run, err := range c.h.cfg.Runner.Follow(ctx, id) {
			select {
			case updates <- update{run, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return updates
}

// hear sends what happens until the run has ended, who follows has gone, or the time is
// over.
func (c *request) hear(ctx context.Context, s *events, updates <-chan update) {
	beat := time.NewTicker(c.h.cfg.Heartbeat)
	defer beat.Stop()
	for s.err == nil {
		select {
		case u, ok := <-updates:
			switch {
			case !ok && ctx.Err() == nil:
				s.event("end", "", "")
				return
			case !ok, ctx.Err() != nil:
				return
			case u.err != nil:
				reference := c.log("a run could not be followed", u.err)
				s.event("problem", "", "The run could not be followed any further. Load the page again. (Log: "+reference+")")
				return
			}
			p := c.h.progressOf(&u.run)
			p.Root = strings.TrimSuffix(c.root, "../") // the page is one above the events
			s.event("part", strconv.FormatInt(u.run.Revision, 10), c.part("live-run", p))
			beat.Reset(c.h.cfg.Heartbeat)
		case <-beat.C:
			s.send(": still here\n\n")
		case <-ctx.Done():
			return
		}
	}
}

// pulse keeps how the first page is for a moment, so that it is not read again for each who
// follows it.
type pulse struct {
	mu   sync.Mutex
	at   time.Time
	text string
}

// followNow sends what of the first page can change without anybody being asked: what is
// running, and the headline; and a key that says whether the rest has changed.
func (c *request) followNow() {
	s, end := c.follow()
	if s == nil {
		return
	}
	defer end()
	ctx, cancel := context.WithTimeout(c.ctx, c.h.cfg.FollowFor)
	defer cancel()
	c.ctx = context.WithoutCancel(ctx) // each source has its own time; that it is over says nothing about them
	look, beat := time.NewTicker(c.h.cfg.Every), time.NewTicker(c.h.cfg.Heartbeat)
	defer look.Stop()
	defer beat.Stop()
	last := ""
	for s.err == nil && ctx.Err() == nil {
		if changes := c.h.pulse.changes(c); changes != last {
			c.now, c.troubles = time.Now(), nil
			n := c.look()
			last = changes
			s.event("part", "", c.part("live-now", n))
			beat.Reset(c.h.cfg.Heartbeat)
		}
		select {
		case <-look.C:
		case <-beat.C:
			s.send(": still here\n\n")
		case <-ctx.Done():
			return
		}
	}
}

// changes names how things are, as they were looked at a moment ago by whoever follows.
func (p *pulse) changes(c *request) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) < c.h.cfg.Every/2 && p.text != "" {
		return p.text
	}
	one := *c
	one.now, one.troubles, one.actor.Name = time.Now(), nil, ""
	p.text, p.at = one.look().changes(), time.Now()
	return p.text
}
