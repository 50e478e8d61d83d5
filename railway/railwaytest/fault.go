package railwaytest

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A FaultKind is a way to fail.
type FaultKind int

// The ways to fail. Those that are said to run the operation do, and their change is
// in [Server.Effects]; the others do not.
const (
	// LoseAnswer runs the operation, and breaks the connection before the answer.
	LoseAnswer FaultKind = iota
	// Cut runs the operation, and breaks the connection after Bytes bytes of the
	// body of the answer.
	Cut
	// BadGateway answers 502 with a page.
	BadGateway
	// BadGatewayAfter runs the operation, and answers 502 with a page.
	BadGatewayAfter
	// Hang runs the operation, and does not answer until the client goes away. A
	// subscription gets no message.
	Hang
	// Gateway answers "Problem processing request".
	Gateway
	// GatewayAfter runs the operation, and answers "Problem processing request".
	GatewayAfter
	// Limit is Railway's own 429: JSON, with a Retry-After of RetryAfter.
	Limit
	// EdgeLimit is the 429 of the edge before Railway: "error code: 1015", and no
	// header says how long.
	EdgeLimit
	// Refuse answers with an error of GraphQL: Message and Code.
	Refuse
	// NotAuthorized answers "Not Authorized". As with everything that cannot be said
	// over a WebSocket, that of a subscription is closed with 4500, and the opening
	// of one is answered with 401.
	NotAuthorized
	// Unreachable is a connection that is refused. On a port it breaks before
	// anything is run.
	Unreachable
	// NullData answers that there is no data, and no error either.
	NullData
	// Partial runs the operation, and adds an error of Message and Code to its data.
	Partial
	// DropSocket breaks the WebSocket after Bytes messages of the subscription.
	DropSocket
	// Duplicate begins a subscription with the last messages, at most 10, that the
	// same subscription got before.
	Duplicate
	// Complete completes a subscription without any message, as Railway does when
	// it sheds load.
	Complete
)

// A Fault is something that goes wrong.
type Fault struct {
	// Op says with what: the name of an operation, or of one of the fields that it
	// asks for, as "deploymentRestart". Empty means any mutation, or for DropSocket,
	// Duplicate and Complete any subscription. "query:*", "mutation:*" and
	// "subscription:*" are any of these. Fields that queries and subscriptions both
	// have are meant of the former, unless written as "subscription:deploymentLogs".
	// "up" is the upload, "socket" the opening of a WebSocket.
	Op string
	// Kind is what goes wrong.
	Kind FaultKind
	// Times is how often. Zero means once, negative always.
	Times int
	// RetryAfter is how long Limit says to wait. Zero means 1 s.
	RetryAfter time.Duration
	// Bytes is what Cut lets through, in bytes, and DropSocket, in messages.
	Bytes int
	// Message and Code are those of Refuse and Partial. Empty means "Problem with
	// the request" and INTERNAL_SERVER_ERROR.
	Message, Code string
}

// Fail makes the next operations that f is about fail. Of several faults about the
// same operation the one that was given first comes first.
func (s *Server) Fail(f Fault) {
	defer s.lock()()
	if f.Times == 0 {
		f.Times = 1
	}
	s.faults = append(s.faults, &f)
}

// fault takes the next fault that is about an operation, nil if there is none. The
// lock is held.
func (s *Server) fault(o *operation) *Fault {
	return s.faultOf(o, func(*Fault) bool { return true })
}

// faultOf is fault of the kinds that are wanted, if the next one is of those.
func (s *Server) faultOf(o *operation, wanted func(f *Fault) bool) *Fault {
	for i, f := range s.faults {
		if !f.about(o) {
			continue
		}
		if !wanted(f) {
			return nil
		}
		if f.Times > 0 {
			if f.Times--; f.Times == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
			}
		}
		return f
	}
	return nil
}

// about reports whether a fault is about an operation.
func (f *Fault) about(o *operation) bool {
	kind := o.kind()
	streaming := f.Kind == DropSocket || f.Kind == Duplicate || f.Kind == Complete
	if streaming && kind != "subscription" {
		return false
	}
	if f.Op == "" {
		return kind == "mutation" || streaming
	}
	if of, name, ok := strings.Cut(f.Op, ":"); ok {
		return of == kind && (name == "*" || o.is(name))
	}
	if kind == "subscription" && !streaming {
		return f.Op == o.name && o.definition.Name != ""
	}
	return o.is(f.Op)
}

// runs reports whether the operation is run all the same.
func (f *Fault) runs() bool {
	switch f.Kind {
	case LoseAnswer, Cut, BadGatewayAfter, Hang, GatewayAfter, Partial:
		return true
	}
	return false
}

// problem makes the error that a fault adds.
func (f *Fault) problem(path []any) problem {
	message, code := f.Message, f.Code
	if f.Kind == NotAuthorized {
		message, code = errNotAuthorized.message, ""
	}
	if message == "" {
		message = "Problem with the request"
	}
	if code == "" {
		code = codeInternal
	}
	p := newProblem(message, code)
	p.Path = path
	return p
}

// answer writes what a fault makes of an answer: of that of the operation, if it was
// run, or else of the error that the fault is.
func (f *Fault) answer(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	switch f.Kind {
	case LoseAnswer, Unreachable:
		panic(http.ErrAbortHandler)
	case Cut:
		cut(w, status, body, f.Bytes)
	case BadGateway, BadGatewayAfter:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = w.Write([]byte("<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>\n"))
	case Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case Gateway, GatewayAfter:
		writeJSON(w, http.StatusOK, []byte(`{"errors":[{"message":"Problem processing request","traceId":"`+newTrace()+`"}],"data":null}`))
	case Limit:
		wait := f.RetryAfter
		if wait <= 0 {
			wait = time.Second
		}
		w.Header().Set("X-RateLimit-Remaining", "0")
		writeLimit(w, wait)
	case EdgeLimit:
		writeEdgeLimit(w)
	case NullData:
		writeJSON(w, http.StatusOK, []byte(`{"data":null}`))
	default:
		writeJSON(w, status, body)
	}
}

// cut sends the beginning of an answer that says how long it would be.
func cut(w http.ResponseWriter, status int, body []byte, bytes int) {
	if bytes >= len(body) {
		writeJSON(w, status, body)
		return
	}
	w.Header().Set("Content-Length", itoa(len(body)))
	writeJSON(w, status, body[:max(bytes, 0)])
	_ = http.NewResponseController(w).Flush() // the connection breaks next, whatever came of it
	panic(http.ErrAbortHandler)
}
