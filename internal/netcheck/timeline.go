package netcheck

import (
	"crypto/tls"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"go.acu.edu.au/runbook/health"
)

// A Phase is what a connection is doing.
type Phase uint8

// The phases, in the order in which they happen.
const (
	Starting   Phase = iota // before anything, or waiting for a free connection
	Resolving               // asking for the addresses of the host
	Connecting              // until the TCP connection stands
	Securing                // the TLS handshake
	Sending                 // until all of the request is written
	Waiting                 // until the first byte of the answer
	Head                    // until the end of the answer's header
	Body                    // until the end of the answer
	own                     // what a prober does besides: see [Timeline.Doing]
)

// A Timeline records when one probe went through which phase. It follows a
// client trace ([Timeline.Trace]); probers that do a phase themselves call
// [Timeline.Enter]. Where a probe goes through the phases again, because of a
// redirect, times are summed. A Timeline is safe for concurrent use, since
// addresses are tried in parallel.
type Timeline struct {
	mu      sync.Mutex
	host    string // for messages: the host being resolved or greeted
	started time.Time
	phase   Phase
	since   time.Time // when phase began
	address string    // the address tried last
	doing   string    // for messages: what is done in the phase own
	spent   [own + 1]time.Duration
	passed  [own + 1]bool
}

// NewTimeline starts a timeline of a connection to host.
func NewTimeline(host string) *Timeline {
	now := time.Now()
	return &Timeline{host: host, started: now, since: now}
}

// Started returns when the timeline was started.
func (t *Timeline) Started() time.Time { return t.started }

// Elapsed returns the time since the start.
func (t *Timeline) Elapsed() time.Duration { return time.Since(t.started) }

// Enter ends the present phase and begins another. Entering the present phase
// changes nothing.
func (t *Timeline) Enter(p Phase) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(p)
}

// Doing ends the present phase, and begins something of the prober's own that is
// not measured. Where says what it is, for messages: "during PING".
func (t *Timeline) Doing(where string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(own)
	t.doing = where
}

func (t *Timeline) enter(p Phase) {
	if p == t.phase {
		return
	}
	now := time.Now()
	t.spent[t.phase] += now.Sub(t.since)
	t.passed[t.phase] = true
	t.phase, t.since = p, now
}

// Again tells that the phases begin anew, with another host.
func (t *Timeline) Again(host string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(Starting)
	t.host, t.address = host, ""
}

// Finish ends the last phase: the answer is complete.
func (t *Timeline) Finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spent[t.phase] += time.Since(t.since)
	t.passed[t.phase] = true
}

// Connected tells that a connection stands, new or used before: what did not
// have to be done took no time.
func (t *Timeline) Connected(conn net.Conn) {
	_, secure := conn.(*tls.Conn)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(Sending)
	if conn != nil { // a transport in memory has none
		t.address = conn.RemoteAddr().String()
	}
	t.passed[Resolving], t.passed[Connecting] = true, true
	t.passed[Securing] = t.passed[Securing] || secure
}

// Measurements returns how long each finished phase took, in milliseconds:
// dns, connect, tls, first_byte (from the request sent to the first byte of the
// answer) and transfer (from there to its end).
func (t *Timeline) Measurements() []health.Measurement {
	t.mu.Lock()
	defer t.mu.Unlock()
	ms := make([]health.Measurement, 0, 10)
	for _, phase := range [...]struct {
		name string
		end  Phase
		time time.Duration
	}{
		{"dns", Resolving, t.spent[Resolving]},
		{"connect", Connecting, t.spent[Connecting]},
		{"tls", Securing, t.spent[Securing]},
		{"first_byte", Waiting, t.spent[Waiting]},
		{"transfer", Body, t.spent[Head] + t.spent[Body]},
	} {
		if t.passed[phase.end] {
			ms = append(ms, Milliseconds(phase.name, phase.time))
		}
	}
	return ms
}

// Trace returns hooks that feed the timeline. They come from net and
// net/http, and are also called for connections that lost a race, so that a
// hook counts only in the phase to which it belongs.
func (t *Timeline) Trace() *httptrace.ClientTrace {
	between := func(from, to Phase, do func()) {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.phase >= from && t.phase <= to {
			do()
		}
	}
	return &httptrace.ClientTrace{
		GetConn: func(string) { t.Enter(Starting) },
		DNSStart: func(httptrace.DNSStartInfo) {
			between(Starting, Resolving, func() { t.enter(Resolving) })
		},
		DNSDone: func(info httptrace.DNSDoneInfo) {
			between(Resolving, Resolving, func() {
				if info.Err == nil {
					t.enter(Connecting)
				}
			})
		},
		ConnectStart: func(_, address string) {
			between(Starting, Connecting, func() { t.enter(Connecting); t.address = address })
		},
		ConnectDone: func(_, address string, err error) {
			between(Connecting, Connecting, func() {
				t.address = address
				if err == nil {
					t.passed[Connecting] = true
				}
			})
		},
		TLSHandshakeStart: func() {
			between(Starting, Securing, func() { t.enter(Securing) })
		},
		GotConn: func(info httptrace.GotConnInfo) { t.Connected(info.Conn) },
		WroteRequest: func(httptrace.WroteRequestInfo) {
			between(Sending, Sending, func() { t.enter(Waiting) })
		},
		GotFirstResponseByte: func() {
			between(Sending, Waiting, func() { t.enter(Waiting); t.enter(Head) })
		},
	}
}
