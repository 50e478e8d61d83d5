package canvastest

import (
	"net/http"
	"time"
)

// Fault is something that goes wrong, for some requests. The zero Fault changes
// nothing; combine the fields as needed.
type Fault struct {
	// Route is the operation, as "GET /api/v1/courses/:id". Empty means all of
	// them, unknown ones included.
	Route string
	// Skip lets that many matching requests pass first.
	Skip int
	// Times is for how many matching requests the fault happens. Zero means one,
	// negative means for ever.
	Times int
	// Chance is the probability, from 0 to 1, with which it happens to a matching
	// request; a request that escapes is not counted. Zero means always.
	Chance float64

	// Latency is added before the request reaches Canvas.
	Latency time.Duration
	// Status is answered instead: 500 by the application, at the cost of a
	// request, with an error_report_id; 502, 503, 504 and others by what stands
	// before Canvas, with HTML and without the headers of the throttle; 401, 403,
	// 404, 409, 422, 429 by the application, in JSON.
	Status int
	// HTML makes a 500 an HTML page.
	HTML bool
	// Empty leaves out the body of the answer for Status.
	Empty bool
	// Body is sent instead of the usual text for Status; Header says its type.
	Body string
	// Throttled rejects the request as the throttle does, whatever the bucket
	// holds, as if the reservations of others had been in the way.
	Throttled bool
	// Reset breaks the connection instead of answering.
	Reset bool
	// Effect carries the request out before Status or Reset: the answer is what
	// is lost. Without it, nothing happened.
	Effect bool
	// Truncate breaks the connection after TruncateAt bytes of the body. The
	// request was carried out.
	Truncate   bool
	TruncateAt int
	// Header is added to the answer, as something between may do.
	Header http.Header
	// ClockSkew is added to the Date header.
	ClockSkew time.Duration
}

type fault struct {
	Fault
	left int
}

// Inject adds a fault. Faults are tried in the order of their injection, and the
// first that matches a request happens to it. It panics if there is no such
// route.
func (s *Server) Inject(f Fault) {
	defer s.lock()()
	if f.Route != "" {
		s.mustRoute(f.Route)
	}
	f.Header = f.Header.Clone()
	left := f.Times
	if left == 0 {
		left = 1
	}
	s.faults = append(s.faults, &fault{Fault: f, left: left})
}

// ClearFaults takes all faults back.
func (s *Server) ClearFaults() {
	defer s.lock()()
	s.faults = nil
}

// faultFor returns what goes wrong with a request. Callers hold the lock.
func (s *Server) faultFor(c *call) *fault {
	for i, f := range s.faults {
		if f.Route != "" && (c.route == nil || c.route.name != f.Route) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if f.Chance > 0 && s.rand.Float64() >= f.Chance {
			continue
		}
		if f.left > 0 {
			if f.left--; f.left == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

// inside says that the application itself gives the answer of the fault.
func (f *fault) inside() bool {
	if f.Effect {
		return false
	}
	switch f.Status {
	case 500, 400, 401, 403, 404, 409, 422, 429:
		return true
	}
	return false
}

// before says that the request does not get as far as Canvas.
func (f *fault) before() bool { return f.Status != 0 && !f.Effect && !f.inside() }

// answer is that of what stands before Canvas.
func (f *fault) answer() answer {
	a := page(f.Status, statusLine(f.Status))
	if f.Body != "" {
		a.raw = []byte(f.Body)
	}
	if f.Empty {
		a.raw, a.contentType = nil, ""
	}
	return a
}

// inner is the answer of the application.
func (f *fault) inner(c *call) answer {
	switch {
	case f.Body != "":
		return answer{status: f.Status, raw: []byte(f.Body), contentType: "application/json; charset=utf-8"}
	case f.Empty:
		return answer{status: f.Status}
	}
	switch f.Status {
	case http.StatusInternalServerError:
		return c.s.crash(f.HTML)
	case http.StatusUnauthorized, http.StatusForbidden:
		a := c.unauthorized()
		a.status = f.Status
		return a
	case http.StatusNotFound:
		return notFound()
	case http.StatusTooManyRequests:
		// The page view service has a limit of its own (canvas-lms,
		// page_views_controller.rb). The bucket's rejection comes from the throttle.
		return failure(f.Status, "Page Views rate limit exceeded. Please wait and try again.")
	case http.StatusBadRequest:
		return invalid("base", "invalid", "is invalid")
	}
	return Object{"message": "the change conflicts with another"}.as(f.Status)
}

func (o Object) as(status int) answer { return answer{status: status, body: o} }
