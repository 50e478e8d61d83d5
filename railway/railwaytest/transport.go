package railwaytest

import (
	"net/http"
	"slices"

	"go.acu.edu.au/runbook/internal/memhttp"
)

// Client returns a client that reaches the server in memory, whatever the host, with
// WebSockets too. It works inside testing/synctest if the server was made in the
// same bubble.
func (s *Server) Client() *http.Client {
	return memhttp.Client(s, func(r *http.Request, body []byte) error {
		if s.unreachable(r, body) {
			return memhttp.Refused()
		}
		return nil
	})
}

// unreachable reports whether there is no connection for a request, and takes the
// fault that says so.
func (s *Server) unreachable(r *http.Request, body []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	is := func(f *Fault) bool { return f.Kind == Unreachable }
	if s.broken || !slices.ContainsFunc(s.faults, is) {
		return s.broken
	}
	o := &operation{name: "up"}
	switch c, ok := readCall(body); {
	case r.Header.Get("Upgrade") != "":
		o.name = "socket"
	case ok:
		o = s.operationOf(c.Query, c.OperationName)
	}
	return s.faultOf(o, is) != nil
}
