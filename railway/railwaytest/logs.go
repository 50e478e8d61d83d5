package railwaytest

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"time"
)

// line is one of a log. Of HTTP logs request is what was requested.
type line struct {
	at         time.Time
	message    string
	severity   string
	attributes []object // values are JSON
	fields     map[string]any
	deployment *deployment
	instance   string
	request    *HTTPRequest
	id         string // of a request
}

// HTTPRequest is what [Server.Serve] adds to the HTTP logs.
type HTTPRequest struct {
	// Method, Path and Host are what was requested. Empty means GET, / and
	// app.example.com.
	Method, Path, Host string
	// Status is that of the answer. Zero means 200.
	Status int
	// Duration is how long it took.
	Duration time.Duration
	// At is when it came. Zero means now.
	At time.Time
	// Error is what the edge says of a service that did not answer.
	Error string
}

// maxLines is the largest limit of a query, logRetention how long logs are kept: that
// of the plan Pro, https://docs.railway.com/observability/logs.
const (
	maxLines     = 5000
	logRetention = 30 * 24 * time.Hour
)

// Print makes a deployment print a line now. The fields are names and values of
// attributes in turn, as a structured line has them; a value that is JSON is kept as
// it is. The attribute "level" decides the severity. It panics if there is no such
// deployment.
func (s *Server) Print(deployment, message string, fields ...string) {
	defer s.lock()()
	w := s.live(time.Now())
	d := must(w.deployments.get(deployment), "deployment", deployment)
	l := newLine(w.now, message, fields)
	l.deployment = d
	if len(d.replicas) > 0 {
		l.instance = d.replicas[len(d.logs)%len(d.replicas)].id
	}
	l.spread(d.logs)
	d.logs = append(d.logs, l)
}

// PrintBuild is Print of the build of a deployment.
func (s *Server) PrintBuild(deployment, message string, fields ...string) {
	defer s.lock()()
	w := s.live(time.Now())
	d := must(w.deployments.get(deployment), "deployment", deployment)
	l := newLine(w.now, message, fields)
	l.deployment = d
	l.spread(d.buildLogs)
	d.buildLogs = append(d.buildLogs, l)
}

// spread gives lines that are printed at the same moment times that are nearly the
// same: of each two, one has that of the other.
func (l *line) spread(before []*line) {
	n := 0
	for _, other := range slices.Backward(before) {
		if l.at.Sub(other.at) > time.Microsecond {
			break
		}
		n++
		if n == 2 {
			l.at = other.at.Add(time.Nanosecond)
			return
		}
	}
	if n > 0 {
		l.at = before[len(before)-1].at
	}
}

func newLine(now time.Time, message string, fields []string) *line {
	l := &line{at: now, message: message, severity: "info", fields: make(map[string]any)}
	for i := 0; i+1 < len(fields); i += 2 {
		var value any
		if json.Unmarshal([]byte(fields[i+1]), &value) != nil {
			value = fields[i+1]
		}
		l.fields[fields[i]] = value
	}
	if level, ok := l.fields["level"].(string); ok {
		l.severity = level
	} else {
		l.fields["level"] = l.severity
	}
	for name, value := range l.fields {
		b, _ := json.Marshal(value)
		l.attributes = append(l.attributes, object{"key": name, "value": string(b)})
	}
	slices.SortFunc(l.attributes, func(a, b object) int { return strings.Compare(a["key"].(string), b["key"].(string)) })
	return l
}

// Serve adds a request to the HTTP logs of a deployment, and to its metrics. It
// panics if there is no such deployment.
func (s *Server) Serve(deployment string, r HTTPRequest) {
	defer s.lock()()
	w := s.live(time.Now())
	d := must(w.deployments.get(deployment), "deployment", deployment)
	r.Method, r.Path, r.Host = cmp.Or(r.Method, "GET"), cmp.Or(r.Path, "/"), cmp.Or(r.Host, "app.example.com")
	r.Status = cmp.Or(r.Status, 200)
	if r.At.IsZero() {
		r.At = w.now
	}
	l := &line{at: r.At, deployment: d, request: &r, id: newID(), message: r.Method + " " + r.Path}
	if len(d.replicas) > 0 {
		l.instance = d.replicas[0].id
	}
	l.fields = map[string]any{
		"method": r.Method, "path": r.Path, "host": r.Host, "httpStatus": float64(r.Status),
		"totalDuration": float64(r.Duration.Milliseconds()), "requestId": l.id,
	}
	d.requests = append(d.requests, l)
	slices.SortStableFunc(d.requests, func(a, b *line) int { return a.at.Compare(b.at) })
}

const nanos = "2006-01-02T15:04:05.000000000Z07:00"

func (l *line) object() object {
	if l.request == nil {
		tags := object{"deploymentId": l.deployment.id, "serviceId": l.deployment.of.service.id}
		if l.instance != "" {
			tags["deploymentInstanceId"] = l.instance
		}
		return object{"timestamp": l.at.UTC().Format(nanos), "message": l.message, "severity": l.severity, "attributes": l.attributes, "tags": tags}
	}
	r := l.request
	took := int(r.Duration.Milliseconds())
	return object{
		"timestamp": l.at.UTC().Format(nanos), "requestId": l.id, "method": r.Method, "path": r.Path, "host": r.Host, "httpStatus": r.Status,
		"totalDuration": took, "upstreamRqDuration": took, "upstreamErrors": r.Error, "responseDetails": "", "srcIp": "192.0.2.7",
		"clientUa": "example/1.0", "edgeRegion": "us-west2", "rxBytes": 120, "txBytes": 640, "deploymentId": l.deployment.id,
		"deploymentInstanceId": l.instance, "downstreamProto": "HTTP/2.0", "upstreamProto": "HTTP/1.1", "upstreamAddress": "http://[fd12::7]:8080",
	}
}

func shown(lines []*line) []object {
	list := make([]object, 0, len(lines))
	for _, l := range lines {
		list = append(list, l.object())
	}
	return list
}

// chosen returns the lines that a filter takes and that are still kept.
func (w *world) chosen(lines []*line, filter string) ([]*line, error) {
	takes, err := parseFilter(filter)
	if err != nil {
		return nil, err
	}
	var out []*line
	for _, l := range lines {
		if l.at.After(w.now.Add(-logRetention)) && takes(l) {
			out = append(out, l)
		}
	}
	return out, nil
}

func deploymentLogs(r *request, a args) (any, error) {
	return r.logs(a, func(d *deployment) []*line { return d.logs })
}

func buildLogs(r *request, a args) (any, error) {
	return r.logs(a, func(d *deployment) []*line { return d.buildLogs })
}

// logs returns the last lines of a deployment, the oldest first: one more than the
// limit (https://github.com/railwayapp/cli/blob/master/src/controllers/deployment.rs).
func (r *request) logs(a args, of func(d *deployment) []*line) (any, error) {
	w, d, err := r.deployment(a.text("deploymentId"))
	if err != nil {
		return nil, err
	}
	limit := a.number("limit", 100)
	if limit < 1 || limit > maxLines {
		return nil, badInput("limit must be between 1 and 5000")
	}
	lines, err := w.chosen(of(d), a.text("filter"))
	if err != nil {
		return nil, err
	}
	from, to, err := a.span("startDate", "endDate")
	if err != nil {
		return nil, err
	}
	lines = slices.DeleteFunc(lines, func(l *line) bool {
		return !from.IsZero() && l.at.Before(from) || !to.IsZero() && !l.at.Before(to)
	})
	return shown(lines[max(0, len(lines)-limit-1):]), nil
}

// span reads two times; one that is not given is zero.
func (a args) span(from, to string) (start, end time.Time, err error) {
	for name, t := range map[string]*time.Time{from: &start, to: &end} {
		if !a.has(name) {
			continue
		}
		if *t, err = time.Parse(time.RFC3339Nano, a.text(name)); err != nil {
			return start, end, badInput(name + " must be a time")
		}
	}
	return start, end, nil
}

func environmentLogs(r *request, a args) (any, error) {
	w, e, err := r.env(a.text("environmentId"))
	if err != nil {
		return nil, err
	}
	lines, err := w.around(e.lines(), a)
	return shown(lines), err
}

// lines are what all services of an environment printed, in order; builds are not
// among it.
func (e *environment) lines() (all []*line) {
	for _, i := range e.instances.all {
		for _, d := range i.deployments {
			all = append(all, d.logs...)
		}
	}
	slices.SortStableFunc(all, func(a, b *line) int { return a.at.Compare(b.at) })
	return all
}

func httpLogs(r *request, a args) (any, error) {
	w, d, err := r.deployment(a.text("deploymentId"))
	if err != nil {
		return nil, err
	}
	if a.has("limit") && !a.has("beforeLimit") && !a.has("afterLimit") {
		a["beforeLimit"] = a["limit"]
	}
	lines, err := w.around(d.requests, a)
	return shown(lines), err
}

// around returns the lines around a moment, which is now if none is given: the last
// ones up to it that are after beforeDate, and the first ones after it that are
// before afterDate. Of each it returns one more than the limit.
func (w *world) around(lines []*line, a args) ([]*line, error) {
	lines, err := w.chosen(lines, a.text("filter"))
	if err != nil {
		return nil, err
	}
	from, to, err := a.span("beforeDate", "afterDate")
	if err != nil {
		return nil, err
	}
	anchor, _, err := a.span("anchorDate", "")
	if err != nil {
		return nil, err
	}
	if anchor.IsZero() {
		anchor = w.now.Add(time.Second) // nothing is later
		if a.has("afterLimit") && !a.has("beforeLimit") {
			anchor = from
		}
	}
	var before, after []*line
	for _, l := range lines {
		switch {
		case !l.at.After(from) || !to.IsZero() && !l.at.Before(to):
		case l.at.After(anchor):
			after = append(after, l)
		default:
			before = append(before, l)
		}
	}
	most, rest := a.number("beforeLimit", 100), a.number("afterLimit", 0)
	if most < 0 || most > maxLines || rest < 0 || rest > maxLines {
		return nil, badInput("a limit must be at most 5000")
	}
	before = before[max(0, len(before)-most-1):]
	if rest == 0 {
		return before, nil
	}
	return append(before, after[:min(len(after), rest+1)]...), nil
}
