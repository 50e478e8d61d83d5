package canvastest

import (
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// sessionCookie is the cookie of Canvas' web sessions.
const sessionCookie = "canvas_session"

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.start()
	if host := s.StatusHost; r.Host == host || host == "" && r.Host == "status.instructure.com" {
		s.StatusPage.ServeHTTP(w, r)
		return
	}
	c := &call{s: s, r: r}
	_, c.memory = w.(*exchange)
	c.route, c.path = s.router.find(r)
	entry := &Request{Time: time.Now(), Method: r.Method, Path: r.URL.Path, Host: r.Host, query: r.URL.RawQuery, UserAgent: r.UserAgent()}
	if c.route != nil {
		entry.Route = c.route.name
	}
	s.mu.Lock()
	f := s.faultFor(c)
	closed := s.closed
	load := s.loadOf(c.route)
	s.stamp(w.Header())
	if f != nil {
		w.Header().Set("Date", s.now().Add(f.ClockSkew).UTC().Format(http.TimeFormat))
	}
	s.mu.Unlock()
	if f != nil && f.Latency > 0 {
		time.Sleep(f.Latency)
	}
	a, lost := c.answer(w.Header(), entry, f, closed, load)
	entry.Status, entry.Lost, entry.Duration = a.status, lost, time.Since(entry.Time)
	s.record(entry)
	if lost {
		panic(http.ErrAbortHandler)
	}
	a.write(w, r, f)
}

// answer finds out what the answer is; lost says that it never arrives.
func (c *call) answer(header http.Header, entry *Request, f *fault, closed bool, load running) (a answer, lost bool) {
	switch {
	case closed:
		return maintenance(), false
	case f != nil && f.Reset && !f.Effect:
		return answer{}, true
	case f != nil && f.before():
		return f.answer(), false
	case c.route != nil && c.route.edge:
		c.read()
		return c.run(f), false
	}
	c.read() // before the throttle: Canvas' web server takes the whole request
	ticket := c.s.admit(c.r)
	entry.Identifier = ticket.id
	if ticket.rejected = ticket.rejected || f != nil && f.Throttled; ticket.rejected {
		return c.s.turnAway(ticket, header, entry), false
	}
	if load.latency > 0 {
		time.Sleep(load.latency)
	}
	a = c.run(f)
	entry.User = c.who.user
	cost := load.cost + a.extra
	entry.Cost, entry.Remaining = cost, c.s.settle(ticket, cost, header)
	if f != nil && f.Reset {
		return a, true
	}
	if f != nil && f.Status != 0 && !f.inside() {
		a = f.answer()
		header.Del("X-Request-Cost")
		header.Del("X-Rate-Limit-Remaining")
	}
	return a, false
}

// turnAway rejects a request. It holds its reservation for as long as the
// rejection takes, so that its neighbours are rejected too.
func (s *Server) turnAway(ticket admission, header http.Header, entry *Request) answer {
	s.mu.Lock()
	t := s.Throttle
	s.mu.Unlock()
	latency := t.RejectLatency
	if latency == 0 {
		latency = 20 * time.Millisecond
	}
	if latency > 0 {
		time.Sleep(latency)
	}
	entry.Rejected = true
	entry.Remaining = s.settle(ticket, or(t.RejectCost, 0.005), header)
	return t.rejection()
}

// run is the application: who is it, may they, and what is the answer.
func (c *call) run(f *fault) (a answer) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.now = s.now()
	s.world.settle(c.now, s)
	a = c.decide(f)
	if c.route != nil && c.route.extra != nil {
		a.extra += c.route.extra(c)
	}
	if s.Translate != nil && a.status >= http.StatusBadRequest && strings.HasPrefix(c.r.URL.Path, "/api/") {
		a.body = translated("", a.body, s.Translate)
	}
	if err := a.encode(c.stringIDs()); err != nil {
		panic("canvastest: " + c.name() + ": " + err.Error()) // a value in an Object that JSON cannot carry
	}
	if c.who.cookie && c.r.Method == http.MethodGet && strings.HasPrefix(a.contentType, "application/json") {
		a.raw = append([]byte("while(1);"), a.raw...)
	}
	if a.header == nil {
		a.header = make(http.Header, 1)
	}
	if bearerToken(c.r) == "" && (c.route == nil || !c.route.edge) {
		if _, err := c.r.Cookie(sessionCookie); err != nil {
			a.header.Add("Set-Cookie", sessionCookie+"="+s.uuid()+"; path=/; HttpOnly")
		}
	}
	return a
}

func (c *call) decide(f *fault) answer {
	switch {
	case c.broken:
		return answer{status: http.StatusBadRequest} // Rails cannot parse it: a bare status
	case c.r.UserAgent() == "" && !c.s.AllowNoUserAgent && strings.HasPrefix(c.r.URL.Path, "/api/"):
		return noAgent()
	case f != nil && f.inside():
		return f.inner(c)
	}
	if bad, ok := c.identify(); !ok {
		return bad
	}
	if c.route == nil {
		c.s.problem("%s %s: no such route", c.r.Method, c.r.URL.Path)
		return notFound()
	}
	if bad, ok := c.permit(); !ok {
		return bad
	}
	c.check()
	return c.route.handle(c)
}

// stamp sets the headers that each answer of Canvas has.
func (s *Server) stamp(h http.Header) {
	h.Set("Date", s.now().UTC().Format(http.TimeFormat))
	h.Set("X-Request-Context-Id", s.uuid())
	h.Set("X-Session-Id", hex.EncodeToString(binary.BigEndian.AppendUint64(nil, s.rand.Uint64())))
	h.Set("X-Canvas-Meta", "q=none;b=301284;m=301284;u=0.04;y=0.01;d=0.02;")
	h.Set("Server", "Apache")
}

// uuid makes a version 4 UUID. Callers hold the lock.
func (s *Server) uuid() string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], s.rand.Uint64())
	binary.BigEndian.PutUint64(b[8:], s.rand.Uint64())
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// running is the load of one request.
type running struct {
	cost    float64
	latency time.Duration
}

// loadOf draws what a request costs and how long it takes.
func (s *Server) loadOf(rt *route) running {
	own := s.load[rt]
	pick := func(own, all, fallback float64) float64 {
		if own != 0 {
			return max(own, 0)
		}
		return or(all, fallback)
	}
	run := running{cost: pick(own.Cost, s.Load.Cost, 0.1), latency: time.Duration(pick(float64(own.Latency), float64(s.Load.Latency), 0))}
	if jitter := pick(own.Jitter, s.Load.Jitter, 0); jitter > 0 {
		run.latency = time.Duration(float64(run.latency) * (1 + jitter*(2*s.rand.Float64()-1)))
	}
	return run
}

// write sends the answer, or the part of it that a fault lets through.
func (a *answer) write(w http.ResponseWriter, r *http.Request, f *fault) {
	h := w.Header()
	for k, v := range a.header {
		h[k] = append(h[k], v...)
	}
	if a.contentType != "" {
		h.Set("Content-Type", a.contentType)
	}
	if f != nil {
		for k, v := range f.Header {
			h[http.CanonicalHeaderKey(k)] = v
		}
	}
	if f == nil || !f.Truncate {
		if a.status != http.StatusNoContent && a.status != http.StatusNotModified {
			h.Set("Content-Length", itoa(int64(len(a.raw))))
		}
		w.WriteHeader(a.status)
		if len(a.raw) > 0 && r.Method != http.MethodHead {
			_, _ = w.Write(a.raw) // the client has gone: nobody to tell
		}
		return
	}
	h.Set("Content-Length", itoa(int64(len(a.raw))))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.raw[:min(max(f.TruncateAt, 0), len(a.raw))]) // as above
	if flusher, ok := w.(http.Flusher); ok {
		flusher.Flush()
	}
	panic(http.ErrAbortHandler)
}
