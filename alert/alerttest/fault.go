package alerttest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.acu.edu.au/runbook/internal/memhttp"
)

// Fault is a way in which a service fails.
type Fault uint8

// The faults.
const (
	Limit       Fault = iota + 1 // 429, to be tried again after RetryAfter; nothing was done
	Refuse                       // an answer that refuses the message for good
	ServerError                  // 500; nothing was done, which nobody can know
	Lost                         // the message is taken, and the connection breaks
	LateError                    // the message is taken, and the answer is 502
	Hang                         // the message is taken, and there is no answer until the client goes away
	Reset                        // the connection breaks; nothing was done, which nobody can know
	Unreachable                  // there is no connection
)

// RetryAfter is what [Limit] asks to wait.
const RetryAfter = 7 * time.Second

// faults is what the counterparts have in common: they fail as they are told, and are
// reached in memory.
type faults struct {
	mu   sync.Mutex
	next []Fault
}

// Fail makes the next requests fail, one with each fault; zero lets one pass.
func (f *faults) Fail(next ...Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next = append(f.next, next...)
}

func (f *faults) take(only ...Fault) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.next) == 0 {
		return 0
	}
	fault := f.next[0]
	if (fault == Unreachable) != (len(only) > 0) {
		return 0
	}
	f.next = f.next[1:]
	return fault
}

// client returns a client that reaches h in memory.
func (f *faults) client(h http.Handler) *http.Client {
	return memhttp.Client(h, func(*http.Request, []byte) error {
		if f.take(Unreachable) == Unreachable {
			return memhttp.Refused()
		}
		return nil
	})
}

// serve answers a request by handle, or as a fault says. refuse writes the answer by which
// the service refuses a message for good; nil means 400.
func (f *faults) serve(w http.ResponseWriter, r *http.Request, handle, refuse http.HandlerFunc) {
	switch f.take() {
	case Limit:
		w.Header().Set("Retry-After", strconv.Itoa(int(RetryAfter.Seconds())))
		http.Error(w, "too many requests", http.StatusTooManyRequests)
	case Refuse:
		if refuse == nil {
			http.Error(w, "refused", http.StatusBadRequest)
			return
		}
		refuse(w, r)
	case ServerError:
		http.Error(w, "internal error", http.StatusInternalServerError)
	case Reset:
		panic(http.ErrAbortHandler)
	case Lost:
		handle(&discard{}, r)
		panic(http.ErrAbortHandler)
	case LateError:
		handle(&discard{}, r)
		http.Error(w, "bad gateway", http.StatusBadGateway)
	case Hang:
		handle(&discard{}, r)
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	default:
		handle(w, r)
	}
}

// discard is where an answer goes that is lost.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header {
	if d.header == nil {
		d.header = make(http.Header)
	}
	return d.header
}

func (*discard) Write(p []byte) (int, error) { return len(p), nil }
func (*discard) WriteHeader(int)             {}

// body reads the body of a request, of at most most bytes, and says whether it was longer.
func body(r *http.Request, most int64) (data []byte, ok bool) {
	data, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	return bytes.Clone(data), err == nil && int64(len(data)) <= most
}
