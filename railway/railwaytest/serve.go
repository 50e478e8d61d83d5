package railwaytest

import (
	"bytes"
	"encoding/json"
	"io"
	"mime"
	"net/http"
)

// maxBody is the longest request that is read, maxUpload the longest upload.
const (
	maxBody   = 4 << 20
	maxUpload = 200 << 20
)

// call is the body of a request.
type call struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

// readCall reads the body of a request. Numbers are json.Number.
func readCall(body []byte) (c call, ok bool) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&c); err != nil || c.Query == "" {
		return c, false
	}
	_, err := d.Token()
	return c, err == io.EOF
}

// serveOperation answers a query or a mutation.
func (s *Server) serveOperation(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		a := refusal(http.StatusMethodNotAllowed, newProblem("Only POST is played.", codeRequest))
		writeJSON(w, a.status, a.body())
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		a := refusal(http.StatusRequestEntityTooLarge, newProblem("request entity too large", codeRequest))
		writeJSON(w, a.status, a.body())
		return
	}
	c, ok := readCall(body)
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		ok = false
	}
	o, fault := s.receive(c, ok)
	if fault != nil && fault.Kind == Unreachable {
		panic(http.ErrAbortHandler)
	}
	if !s.admit(w, r) {
		return
	}
	if !ok {
		a := refusal(http.StatusBadRequest, newProblem("POST body missing, invalid Content-Type, or JSON object has no keys.", codeRequest))
		writeJSON(w, a.status, a.body())
		return
	}
	a := s.run(o, c, r.Header, fault)
	if fault != nil {
		fault.answer(w, r, a.status, a.body())
		return
	}
	writeJSON(w, a.status, a.body())
}

// receive finds the operation of a call, notes it, and takes the fault that it has
// coming.
func (s *Server) receive(c call, ok bool) (*operation, *Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if !ok {
		return nil, nil
	}
	o := s.operationOf(c.Query, c.OperationName)
	fault := s.fault(o)
	if o.definition != nil && (fault == nil || fault.Kind != Unreachable) {
		s.calls = append(s.calls, o.name)
	}
	return o, fault
}

// run runs an operation, unless it is refused or its fault keeps it from that. All
// of it is one step.
func (s *Server) run(o *operation, c call, h http.Header, fault *Fault) answer {
	defer s.lock()()
	switch {
	case o.refused != nil:
		return *o.refused
	case o.kind() == "subscription":
		return refusal(http.StatusBadRequest, newProblem("Subscriptions are served over WebSockets only.", codeRequest))
	}
	vars, wrong := s.variables(o.definition, c.Variables)
	switch {
	case wrong != nil:
		return refusal(http.StatusBadRequest, *wrong)
	case fault != nil && !fault.runs():
		return answer{status: http.StatusOK, data: []byte("null"), problems: []problem{fault.problem(o.path())}}
	}
	a := s.execute(o, vars, s.authenticate(h))
	if fault != nil && fault.Kind == Partial {
		a.problems = append(a.problems, fault.problem(o.path()))
	}
	return a
}

// path is that of the first field.
func (o *operation) path() []any {
	if len(o.root) == 0 {
		return nil
	}
	return []any{o.root[0].Alias}
}

// serveUpload takes the code of a service and deploys it.
func (s *Server) serveUpload(w http.ResponseWriter, r *http.Request) {
	o := &operation{name: "up"}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxUpload))
	if err != nil {
		writeJSON(w, http.StatusRequestEntityTooLarge, []byte(`{"message":"Payload too large"}`))
		return
	}
	status, answer, fault := s.takeUpload(o, r, body)
	var b bytes.Buffer
	mustEncode(&b, answer)
	if fault != nil {
		if !fault.runs() {
			status = http.StatusBadRequest
			if fault.Kind == NotAuthorized {
				status = http.StatusUnauthorized
			}
			b.Reset()
			mustEncode(&b, map[string]any{"message": fault.problem(nil).Message})
		}
		fault.answer(w, r, status, b.Bytes())
		return
	}
	writeJSON(w, status, b.Bytes())
}

// takeUpload is an upload as one step.
func (s *Server) takeUpload(o *operation, r *http.Request, body []byte) (status int, answer any, fault *Fault) {
	defer s.lock()()
	fault = s.fault(o)
	if fault == nil || fault.Kind != Unreachable {
		s.calls = append(s.calls, o.name)
	}
	if fault != nil && !fault.runs() {
		return 0, nil, fault
	}
	if r.Header.Get("Content-Type") != "application/gzip" {
		return http.StatusBadRequest, map[string]any{"message": "The Content-Type must be application/gzip"}, fault
	}
	q := r.URL.Query()
	status, answer = s.upload(s.authenticate(r.Header), r.PathValue("project"), r.PathValue("environment"),
		q.Get("serviceId"), q.Get("message"), body)
	return status, answer, fault
}
