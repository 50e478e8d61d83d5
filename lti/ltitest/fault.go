package ltitest

import (
	"net/http"
	"time"
)

// A Fault is something that goes wrong, for some requests. The zero Fault changes
// nothing; combine the fields as needed.
type Fault struct {
	// Endpoint is where it happens. Empty means everywhere.
	Endpoint Endpoint
	// Skip lets that many matching requests pass first.
	Skip int
	// Times is for how many matching requests it happens. Zero means one, negative
	// means until [Platform.ClearFaults].
	Times int

	// Delay is how long the request waits before anything else.
	Delay time.Duration
	// Status is answered instead, by what stands before the platform: nothing
	// happens, unless Effect is set.
	Status int
	// Body is sent with Status; Header says its type. Nil means an HTML page.
	Body []byte
	// Header is added to the answer.
	Header http.Header
	// Reset breaks the connection instead of answering.
	Reset bool
	// Truncate breaks the connection in the middle of the body. The request was
	// carried out.
	Truncate bool
	// Effect carries the request out before Status or Reset: the answer is what is
	// lost.
	Effect bool
}

type fault struct {
	Fault
	left int
}

// Inject adds a fault. Faults are tried in the order of their injection, and the
// first that matches a request happens to it.
func (p *Platform) Inject(f Fault) {
	defer p.lock()()
	f.Header = f.Header.Clone()
	left := f.Times
	if left == 0 {
		left = 1
	}
	p.faults = append(p.faults, &fault{Fault: f, left: left})
}

// ClearFaults takes all faults back.
func (p *Platform) ClearFaults() {
	defer p.lock()()
	p.faults = nil
}

// SetNetworkError makes the clients of [Platform.Client] fail before they reach
// the platform, as when a name does not resolve. Nil makes the network whole.
func (p *Platform) SetNetworkError(err error) {
	defer p.lock()()
	p.dial = err
}

// faultFor returns what goes wrong with a request. Callers hold the lock.
func (p *Platform) faultFor(e Endpoint) *fault {
	for i, f := range p.faults {
		if f.Endpoint != "" && f.Endpoint != e {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.left > 0 {
			if f.left--; f.left == 0 {
				p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

// happens reports whether the request is carried out.
func (f *fault) happens() bool {
	return f == nil || f.Effect || f.Status == 0 && !f.Reset
}

func (f *fault) answer() answer {
	if f.Body != nil {
		return answer{status: f.Status, body: f.Body}
	}
	return htmlAnswer(f.Status, http.StatusText(f.Status))
}
