package ltitest

import (
	"net/url"
	"slices"
	"time"
)

// A Request is one that the platform got, or made, without its secrets.
type Request struct {
	// Time is when it came, by the clock of the test.
	Time time.Time
	// Endpoint is what it was for; empty if there is nothing at its path.
	Endpoint Endpoint
	// Method, Host and Path are those of the request, and Query its query without
	// secrets.
	Method, Host, Path string
	Query              url.Values
	// UserAgent, Accept and ContentType are headers.
	UserAgent, Accept, ContentType string
	// Status is that of the answer; 0 if there was none.
	Status int
	// Lost says that the answer did not reach the client.
	Lost bool
}

type requestLog struct {
	list   []Request
	counts map[Endpoint]int
}

func (p *Platform) record(r Request, status int, lost bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recordLocked(r, status, lost)
}

func (p *Platform) recordLocked(r Request, status int, lost bool) {
	r.Status, r.Lost = status, lost
	if p.log.counts == nil {
		p.log.counts = make(map[Endpoint]int)
	}
	p.log.counts[r.Endpoint]++
	keep := p.KeepRequests
	if keep == 0 {
		keep = 10_000
	}
	if keep < 0 {
		return
	}
	if len(p.log.list) >= 2*keep { // rarely, so that it costs little
		p.log.list = slices.Delete(p.log.list, 0, len(p.log.list)-keep+1)
	}
	p.log.list = append(p.log.list, r)
}

// Requests returns the last requests, oldest first.
func (p *Platform) Requests() []Request {
	defer p.lock()()
	keep := p.KeepRequests
	if keep == 0 {
		keep = 10_000
	}
	return slices.Clone(p.log.list[max(0, len(p.log.list)-max(keep, 0)):])
}

// Count returns how many requests came for an endpoint since the beginning or the
// last [Platform.ResetLog].
func (p *Platform) Count(e Endpoint) int {
	defer p.lock()()
	return p.log.counts[e]
}

// ResetLog forgets requests and counts.
func (p *Platform) ResetLog() {
	defer p.lock()()
	p.log = requestLog{}
}

// redacted takes the secrets out of a query.
func redacted(q url.Values) url.Values {
	for name := range q {
		switch name {
		case "data", "login_hint", "lti_message_hint", "nonce", "state", "registration_token", "access_token", "client_assertion":
			q[name] = []string{"[redacted]"}
		}
	}
	return q
}
