package canvastest

import (
	"net/url"
	"slices"
	"sync"
	"time"
)

// Request is one request as the server saw it, without its secrets.
type Request struct {
	// Time is when it arrived.
	Time time.Time
	// Duration is how long it took.
	Duration time.Duration
	// Method, Host and Path are those of the request; Query holds its query,
	// with the values of access_token, code and the like replaced by
	// "[redacted]".
	Method, Host, Path string
	Query              url.Values
	// Route is the operation, as "GET /api/v1/courses/:id"; empty if there is
	// none.
	Route string
	// UserAgent is the header of that name.
	UserAgent string
	// Identifier names the bucket; empty if the request did not reach the
	// throttle.
	Identifier string
	// User is who made it; 0 if nobody is known.
	User int64
	// Status is that of the answer.
	Status int
	// Lost says that the answer never reached the client.
	Lost bool
	// Rejected says that the throttle turned it away.
	Rejected bool
	// Cost is what it cost, and Remaining what the header said then; both are 0
	// if the request did not reach the throttle.
	Cost, Remaining float64

	query string
}

// Stats are counts since the server began.
type Stats struct {
	// Requests is how many requests came, to Canvas and to what stands before it.
	Requests int
	// Rejected is how many the throttle turned away.
	Rejected int
	// Cost is what all of them cost, in units.
	Cost float64
	// Routes is how many came for each operation; unknown ones count as "".
	Routes map[string]int
	// LastRejected is when the last rejection was sent.
	LastRejected time.Time
}

// requestLog keeps the last requests in a ring.
type requestLog struct {
	ring []*Request
	next int
}

func (s *Server) record(r *Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Requests++
	s.stats.Cost += r.Cost
	if r.Rejected {
		s.stats.Rejected++
		s.stats.LastRejected = time.Now()
	}
	if s.stats.Routes == nil {
		s.stats.Routes = make(map[string]int)
	}
	s.stats.Routes[r.Route]++
	keep := s.KeepRequests
	if keep == 0 {
		keep = 10_000
	}
	switch {
	case keep < 0:
	case len(s.log.ring) < keep:
		s.log.ring = append(s.log.ring, r)
	default:
		s.log.ring[s.log.next] = r
		s.log.next = (s.log.next + 1) % keep
	}
}

// Requests returns the last requests that were answered, oldest first, without
// secrets.
func (s *Server) Requests() []Request {
	defer s.lock()()
	out := make([]Request, 0, len(s.log.ring))
	for i := range s.log.ring {
		r := *s.log.ring[(s.log.next+i)%len(s.log.ring)]
		r.Query = redact(r.query)
		r.query = ""
		out = append(out, r)
	}
	return out
}

// Stats returns the counts.
func (s *Server) Stats() Stats {
	defer s.lock()()
	out := s.stats
	out.Routes = make(map[string]int, len(s.stats.Routes))
	for k, v := range s.stats.Routes {
		out.Routes[k] = v
	}
	return out
}

// ResetLog forgets requests, counts and problems.
func (s *Server) ResetLog() {
	defer s.lock()()
	s.log, s.stats = requestLog{}, Stats{}
	s.gripe.clear()
}

var secretParams = []string{"access_token", "api_key", "code", "client_secret", "client_assertion", "refresh_token", "session_token", "signature"}

func redact(query string) url.Values {
	values, err := url.ParseQuery(query)
	if err != nil {
		return url.Values{"[unreadable]": nil}
	}
	for k := range values {
		if slices.Contains(secretParams, k) {
			values[k] = []string{"[redacted]"}
		}
	}
	return values
}

// gripes is the list behind [Server.Problems].
type gripes struct {
	mu   sync.Mutex
	list []string
	seen map[string]bool
}

func (g *gripes) add(text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen[text] || len(g.list) >= 1000 {
		return
	}
	if g.seen == nil {
		g.seen = make(map[string]bool)
	}
	g.seen[text] = true
	g.list = append(g.list, text)
}

func (g *gripes) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.list)
}

func (g *gripes) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.list, g.seen = nil, nil
}
