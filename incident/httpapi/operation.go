package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"go.acu.edu.au/runbook/incident"
)

// An operation is one thing that the API does: a row of the table that registers the
// routes, and of which the description is made.
type operation struct {
	method, path string // below /v1
	id           string
	tag          string
	summary      string // one line that begins with a verb
	about        string
	verb         Verb
	part         part
	parameters   []parameter // of the URL and headers; those of the path are known
	example      string      // of the body
	dry          bool        // it changes nothing, though it is no GET
	codes        []string    // of problems, beside those that all have
	endpoint
}

// command reports whether it changes something.
func (o *operation) command() bool { return o.method != http.MethodGet && !o.dry }

// names returns the parameters of the path.
func (o *operation) names() (names []string) {
	for segment := range strings.SplitSeq(o.path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	return names
}

// A part is what of the host an operation needs.
type part string

// The parts.
const (
	partNone        part = ""
	partRunner      part = "playbooks and runs"
	partManager     part = "incidents"
	partAutomation  part = "automation"
	partReplicas    part = "replicas"
	partEscalations part = "escalations"
)

// has reports whether the host has a part.
func (a *api) has(p part) bool {
	switch p {
	case partRunner:
		return a.cfg.Runner != nil
	case partManager:
		return a.cfg.Manager != nil
	case partAutomation:
		return a.cfg.Automation != nil
	case partReplicas:
		return a.cfg.Replicas != nil
	case partEscalations:
		return a.cfg.Escalations != nil
	}
	return true
}

// A parameter is one of the URL, or a header.
type parameter struct {
	name, in, about string
	schema          schema
}

// An endpoint does what an operation does.
type endpoint struct {
	body    reflect.Type            // of the request; nil if it has none
	bodies  *schema                 // made of body
	results map[string]reflect.Type // by media type; nil if there is no content
	status  int
	serve   func(c *call) error
	err     error // of making bodies
}

const (
	mediaJSON     = "application/json"
	mediaProblem  = "application/problem+json"
	mediaMarkdown = "text/markdown; charset=utf-8"
	mediaEvents   = "text/event-stream"
)

// show is an endpoint that returns something.
func show[R any](do func(c *call) (R, error)) endpoint {
	return endpoint{
		results: map[string]reflect.Type{mediaJSON: reflect.TypeFor[R]()}, status: http.StatusOK,
		serve: func(c *call) error {
			result, err := do(c)
			if err != nil {
				return err
			}
			return c.write(http.StatusOK, result)
		},
	}
}

// document is an endpoint that returns a document in Markdown.
func document(do func(c *call) (string, error)) endpoint {
	return endpoint{
		results: map[string]reflect.Type{mediaMarkdown: reflect.TypeFor[string]()}, status: http.StatusOK,
		serve: func(c *call) error {
			text, err := do(c)
			if err != nil {
				return err
			}
			c.send(http.StatusOK, mediaMarkdown, []byte(text))
			return nil
		},
	}
}

// take is an endpoint that takes a body and returns something.
func take[B, R any](status int, do func(c *call, b B) (R, error)) endpoint {
	bodies, err := body(reflect.TypeFor[B]())
	return endpoint{
		body: reflect.TypeFor[B](), bodies: bodies, err: err, status: status,
		results: map[string]reflect.Type{mediaJSON: reflect.TypeFor[R]()},
		serve: func(c *call) error {
			b, err := read[B](c)
			if err != nil {
				return err
			}
			result, err := do(c, b)
			if err != nil {
				return err
			}
			return c.write(status, result)
		},
	}
}

// tell is an endpoint that takes a body and returns nothing.
func tell[B any](do func(c *call, b B) error) endpoint {
	bodies, err := body(reflect.TypeFor[B]())
	return endpoint{
		body: reflect.TypeFor[B](), bodies: bodies, err: err, status: http.StatusNoContent,
		serve: func(c *call) error {
			b, err := read[B](c)
			if err != nil {
				return err
			}
			if err := do(c, b); err != nil {
				return err
			}
			c.send(http.StatusNoContent, "", nil)
			return nil
		},
	}
}

// read reads the body of a request.
func read[B any](c *call) (b B, err error) {
	raw, problem := c.readBody()
	if problem == nil {
		problem = decode(raw, c.op.bodies, &b)
	}
	if problem != nil {
		return b, problem
	}
	c.limit()
	return b, nil
}

// table is everything that the API does.
func (a *api) table() []*operation {
	return slices.Concat(
		a.playbookOperations(), a.runOperations(), a.watchOperations(), a.interfereOperations(), a.approvalOperations(),
		a.incidentOperations(), a.courseOperations(), a.tellingOperations(), a.deadlineOperations(), a.attachmentOperations(), a.reportOperations(), a.hostOperations(),
	)
}

// route registers the routes, and makes the description.
func (a *api) route() error {
	a.mux = http.NewServeMux()
	allowed := make(map[string][]string)
	var served []*operation
	var problems []error
	for _, o := range a.table() {
		problems = append(problems, o.err)
		allowed[o.path] = append(allowed[o.path], o.method)
		a.mux.HandleFunc(o.method+" /v1"+o.path, func(w http.ResponseWriter, r *http.Request) { a.serve(w, r, o) })
		if a.has(o.part) {
			served = append(served, o)
		}
	}
	for path, methods := range allowed {
		if slices.Contains(methods, http.MethodGet) {
			methods = append(methods, http.MethodHead)
		}
		slices.Sort(methods)
		allow := strings.Join(methods, ", ")
		a.mux.HandleFunc("/v1"+path, func(w http.ResponseWriter, r *http.Request) {
			a.refuse(w, r, nil, func(c *call) *Problem {
				c.w.Header().Set("Allow", allow)
				return newProblem(codeMethod, "this can be asked by %s", allow)
			})
		})
	}
	a.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, r, nil, func(*call) *Problem {
			return newProblem(codeNotFound, "there is nothing at this path; /v1/openapi.json lists what there is")
		})
	})
	var err error
	a.document, err = json.Marshal(describe(served))
	return errors.Join(append(problems, err)...)
}

// ifAny returns a list that is not nil.
func ifAny[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// withoutSteps returns a run for a list.
func withoutSteps(run incident.Run) incident.Run {
	run.Steps = []incident.StepRun{}
	return run
}
