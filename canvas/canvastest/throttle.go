package canvastest

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Throttle is the configuration of the throttle, with Canvas' names and
// defaults (instructure/canvas-lms, app/middleware/request_throttle.rb). A zero
// field means its default.
type Throttle struct {
	// Maximum is the top of the bucket, in units. Zero means 800.
	Maximum float64
	// HighWater is the count from which requests are rejected. Zero means 600;
	// hosted Canvas has been seen with 700.
	HighWater float64
	// Outflow is how much leaks out, in units a second. Zero means 10.
	Outflow float64
	// UpFront is what each request reserves while it runs. Zero means 50,
	// negative means nothing.
	UpFront float64
	// UpFrontByPath changes UpFront for the paths that match; the first match
	// wins.
	UpFrontByPath []UpFrontCost
	// Custom overrides Maximum, HighWater, Outflow and UpFront for single
	// client identifiers. Its other fields are ignored.
	Custom map[string]Throttle
	// Disabled counts and sends the headers, but rejects nobody who is not on
	// the block list.
	Disabled bool
	// Approved clients never touch their bucket; Blocked ones are always
	// rejected. A client is on a list if any of its identifiers is, not only
	// the one that names its bucket.
	Approved, Blocked []string
	// Status is that of a rejection: 429, which zero means and hosted Canvas
	// sends since October 2025, or 403, as before and on older installations.
	Status int
	// RejectCost is what a rejection costs. Zero means 0.005, negative nothing.
	RejectCost float64
	// RejectLatency is how long a rejection takes, during which it holds a
	// reservation too. Zero means 20ms, negative no time.
	RejectLatency time.Duration
}

// UpFrontCost is the reservation for the paths that a pattern matches.
type UpFrontCost struct {
	// Path matches the path of a request.
	Path *regexp.Regexp
	// Cost is the reservation, in units.
	Cost float64
}

// limits are the numbers that hold for one client.
type limits struct{ maximum, highWater, outflow, upFront float64 }

func or(x, fallback float64) float64 {
	switch {
	case x == 0:
		return fallback
	case x < 0:
		return 0
	}
	return x
}

func (t *Throttle) limits(identifier, path string) limits {
	set := limits{or(t.Maximum, 800), or(t.HighWater, 600), or(t.Outflow, 10), or(t.UpFront, 50)}
	if own, ok := t.Custom[identifier]; ok {
		set = limits{or(own.Maximum, set.maximum), or(own.HighWater, set.highWater), or(own.Outflow, set.outflow), or(own.UpFront, set.upFront)}
	}
	for _, by := range t.UpFrontByPath {
		if by.Path.MatchString(path) {
			set.upFront = by.Cost
			break
		}
	}
	return set
}

func (t *Throttle) lists(identifiers []string) (approved, blocked bool) {
	on := func(list []string) bool {
		return slices.ContainsFunc(identifiers, func(id string) bool { return slices.Contains(list, id) })
	}
	// Canvas looks at the approve list first.
	if len(t.Approved) > 0 && on(t.Approved) {
		return true, false
	}
	return false, len(t.Blocked) > 0 && on(t.Blocked)
}

// TokenIdentifier is the client identifier of requests with an access token: the
// key of their bucket, for [Throttle] and [Server.Bucket]. It does not reveal
// the token.
func TokenIdentifier(token string) string {
	sum := sha256.Sum256([]byte(token))
	return "token:" + hex.EncodeToString(sum[:8])
}

// identifiers are the names under which the throttle knows a client, the first
// of which names its bucket. Callers hold the lock.
func (s *Server) identifiers(r *http.Request) []string {
	var ids []string
	bearer := bearerToken(r)
	if bearer == "" && strings.Contains(r.URL.RawQuery, "access_token=") {
		bearer = r.URL.Query().Get("access_token")
	}
	if bearer != "" {
		tok := s.world.tokens[bearer]
		if tok != nil && tok.client != 0 && strings.HasPrefix(r.URL.Path, "/api/lti/") {
			ids = append(ids, "lti_advantage:"+itoa(tok.client)+"-"+s.cluster())
		}
		if tok != nil && tok.SiteAdmin {
			if name := serviceName(r.UserAgent()); name != "" {
				ids = append(ids, "service_user_key:"+name)
			}
		}
		ids = append(ids, s.tokenID(bearer))
	}
	if cookie, err := r.Cookie(sessionCookie); err == nil {
		if user, ok := s.world.sessions[cookie.Value]; ok {
			ids = append(ids, "user:"+itoa(user))
		} else {
			ids = append(ids, "session:"+cookie.Value)
		}
	}
	if domain := s.passbackDomain(r); domain != "" {
		ids = append(ids, "tool:"+domain)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return append(ids, "ip:"+host)
}

// tokenID is TokenIdentifier, computed once for each token.
func (s *Server) tokenID(token string) string {
	if id, ok := s.tokenIDs[token]; ok {
		return id
	}
	id := TokenIdentifier(token)
	if s.tokenIDs == nil {
		s.tokenIDs = make(map[string]string)
	}
	if len(s.tokenIDs) < 10_000 { // a guesser of tokens must not fill the memory
		s.tokenIDs[token] = id
	}
	return id
}

var serviceAgent = regexp.MustCompile(`^inst-([a-z0-9_-]+)/[A-Za-z0-9_.-]+`)

func serviceName(agent string) string {
	if m := serviceAgent.FindStringSubmatch(agent); m != nil {
		return m[1]
	}
	return ""
}

var passback = regexp.MustCompile(`^/api/lti/v1/tools/(\d+)/(?:ext_)?grade_passback$`)

// passbackDomain is the domain of the tool that sends a grade by LTI 1.1.
func (s *Server) passbackDomain(r *http.Request) string {
	if r.Method != http.MethodPost {
		return ""
	}
	m := passback.FindStringSubmatch(r.URL.Path)
	if m == nil {
		return ""
	}
	row := s.world.row(ExternalTools, atoi(m[1]))
	if row == nil {
		return ""
	}
	domain, _ := row.obj["domain"].(string)
	return domain
}

func bearerToken(r *http.Request) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// admission is what the throttle decided about a request, and what it has to
// settle when the request is over.
type admission struct {
	id       string
	set      limits
	prejudge bool
	rejected bool
	blocked  bool
	silent   bool // sends no headers
}

// admit makes the reservation.
func (s *Server) admit(r *http.Request) admission {
	s.mu.Lock()
	ids := s.identifiers(r)
	t := &s.Throttle
	a := admission{id: ids[0], set: t.limits(ids[0], r.URL.Path), silent: strings.HasPrefix(ids[0], "session:")}
	approved, blocked := t.lists(ids)
	disabled := t.Disabled
	now := s.now()
	s.mu.Unlock()
	if a.prejudge = approved || blocked; a.prejudge {
		a.rejected, a.blocked = blocked, blocked
		return a
	}
	count := s.buckets().increment(a.id, a.set.upFront, seconds(now), a.set)
	// The test comes after the request's own reservation was added.
	a.rejected = count >= a.set.highWater && !disabled
	return a
}

// settle adds the cost and takes the reservation back, and writes the headers.
// A rejection has no X-Request-Cost, and its remaining value is rarely 0: Canvas
// writes 0.0 and then overwrites it with the count after the refund.
func (s *Server) settle(a admission, cost float64, header http.Header) (remaining float64) {
	remaining = a.set.highWater
	switch {
	case a.blocked:
		remaining = 0
	case !a.prejudge:
		remaining -= s.buckets().increment(a.id, cost-a.set.upFront, seconds(s.clock()), a.set)
	}
	if a.silent {
		return remaining
	}
	if !a.rejected {
		header.Set("X-Request-Cost", rubyFloat(cost))
	}
	header.Set("X-Rate-Limit-Remaining", rubyFloat(remaining))
	return remaining
}

// rejection is the answer to a request that found the bucket full. Canvas' source
// has the text for 403; the documentation (page "Throttling", read on
// 2026-02-15) has the one for 429. There is no Retry-After.
func (t *Throttle) rejection() answer {
	status := t.Status
	if status == 0 {
		status = http.StatusTooManyRequests
	}
	return answer{status: status, contentType: "text/plain; charset=utf-8", raw: []byte(itoa(int64(status)) + " Forbidden (Rate Limit Exceeded)\n")}
}

// Bucket returns how many units the bucket of a client identifier holds now.
func (s *Server) Bucket(identifier string) float64 {
	s.mu.Lock()
	set, now := s.Throttle.limits(identifier, ""), s.now()
	s.mu.Unlock()
	return s.buckets().peek(identifier, seconds(now), set)
}

// Spend adds units to the bucket of a client identifier, as another user of the
// same token would, and returns what it holds then. A negative amount takes
// them out.
func (s *Server) Spend(identifier string, units float64) float64 {
	s.mu.Lock()
	set, now := s.Throttle.limits(identifier, ""), s.now()
	s.mu.Unlock()
	return s.buckets().increment(identifier, units, seconds(now), set)
}
