package railwaytest

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// limits count requests: Railway's by token, those of the edge by address.
type limits struct {
	tokens map[string]*allowance
	edge   map[string]*allowance
}

// allowance is what somebody has used of his limits.
type allowance struct {
	hour, second     time.Time // when they began
	inHour, inSecond int
	blocked          time.Time // until then, by the edge
}

const (
	edgePerSecond = 10
	// edgeBlock is how long the edge blocks those who exceed its limit. It can be up
	// to a day (https://github.com/terraform-community-providers/terraform-provider-railway/pull/55).
	edgeBlock = 10 * time.Minute
)

// admit counts a request and reports whether it may pass. It sets the headers that
// say how much is left, and answers if nothing is. The lock is not held.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) bool {
	now := time.Now()
	if r.URL.RawQuery == "" && !s.admitEdge(r, now) {
		writeEdgeLimit(w)
		return false
	}
	wait := s.admitToken(w.Header(), r, now)
	if wait > 0 {
		writeLimit(w, wait)
		return false
	}
	return true
}

// admitEdge counts a request without a query, which Cloudflare limits by itself.
func (s *Server) admitEdge(r *http.Request, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	a := of(&s.limits.edge, host, now)
	if now.Before(a.blocked) {
		return false
	}
	if a.inSecond++; a.inSecond > edgePerSecond {
		a.blocked = now.Add(edgeBlock)
		return false
	}
	return true
}

// admitToken counts a request of a token. It returns how long to wait, 0 if the
// request may pass.
func (s *Server) admitToken(h http.Header, r *http.Request, now time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	perHour, perSecond := s.PerHour, s.PerSecond
	if perHour == 0 {
		perHour = 10_000
	}
	if perSecond == 0 {
		perSecond = 50
	}
	who := r.Header.Get("Project-Access-Token")
	if who == "" {
		who = r.Header.Get("Authorization")
	}
	a := of(&s.limits.tokens, who, now)
	var wait time.Duration
	switch {
	case a.inHour >= perHour:
		wait = a.hour.Add(time.Hour).Sub(now)
	case a.inSecond >= perSecond:
		wait = a.second.Add(time.Second).Sub(now)
	default:
		a.inHour++
		a.inSecond++
	}
	h.Set("RateLimit-Policy", fmt.Sprintf(`"hour";q=%d;w=3600, "second";q=%d;w=1`, perHour, perSecond))
	h.Set("X-RateLimit-Limit", itoa(perHour))
	h.Set("X-RateLimit-Remaining", itoa(perHour-a.inHour))
	h.Set("X-RateLimit-Reset", strconv.FormatInt(a.hour.Add(time.Hour).Unix(), 10))
	return wait
}

// of returns the allowance of somebody, with what has passed taken off.
func of(all *map[string]*allowance, who string, now time.Time) *allowance {
	if *all == nil {
		*all = map[string]*allowance{}
	}
	a := (*all)[who]
	if a == nil {
		a = &allowance{}
		(*all)[who] = a
	}
	if now.Sub(a.hour) >= time.Hour {
		a.hour, a.inHour = now, 0
	}
	if now.Sub(a.second) >= time.Second {
		a.second, a.inSecond = now, 0
	}
	return a
}

// writeLimit is Railway's own 429.
func writeLimit(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", itoa(int((wait+time.Second-1)/time.Second)))
	a := refusal(http.StatusTooManyRequests, newProblem("Rate limit exceeded", "RATE_LIMITED"))
	writeJSON(w, a.status, a.body())
}

// writeEdgeLimit is the 429 of Cloudflare, which stands before Railway.
func writeEdgeLimit(w http.ResponseWriter) {
	for _, name := range []string{"RateLimit-Policy", "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"} {
		w.Header().Del(name)
	}
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte("error code: 1015"))
}

func itoa(n int) string { return strconv.Itoa(n) }
