package railwaytest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2/gqlerror"
)

// The codes that Railway's errors have. Most of them have the first, whatever they
// are.
const (
	codeInternal   = "INTERNAL_SERVER_ERROR"
	codeParse      = "GRAPHQL_PARSE_FAILED"
	codeValidation = "GRAPHQL_VALIDATION_FAILED"
	codeInput      = "BAD_USER_INPUT"
	codeRequest    = "BAD_REQUEST"
)

// problem is one error of an answer, as Railway writes it: traceId is not among the
// extensions.
type problem struct {
	Message    string              `json:"message"`
	Path       []any               `json:"path,omitempty"`
	Locations  []gqlerror.Location `json:"locations,omitempty"`
	Extensions map[string]any      `json:"extensions,omitempty"`
	TraceID    string              `json:"traceId"`
}

func newProblem(message, code string) problem {
	return problem{Message: message, Extensions: map[string]any{"code": code}, TraceID: newTrace()}
}

// newTrace makes a trace as Railway's are: digits without a form.
func newTrace() string { return strings.ReplaceAll(newID(), "-", "") }

// problemOf makes the problem of what a resolver returned.
func problemOf(err error) problem {
	api, ok := errors.AsType[*apiError](err)
	if !ok {
		return newProblem(err.Error(), codeInternal)
	}
	p := newProblem(api.message, codeInternal)
	if api.code != "" {
		p.Extensions["code"] = api.code
	}
	for key, value := range api.extra {
		p.Extensions[key] = value
	}
	return p
}

// problemsOf makes the problems of a document that is refused.
func problemsOf(list gqlerror.List, code string) []problem {
	var all []problem
	for _, e := range list {
		p := newProblem(e.Message, code)
		p.Locations = e.Locations
		all = append(all, p)
	}
	return all
}

// answer is what an operation is answered with.
type answer struct {
	status   int
	data     []byte // JSON; nil if the operation was not run
	problems []problem
}

// refusal is the answer to what was not run.
func refusal(status int, problems ...problem) answer {
	return answer{status: status, problems: problems}
}

// body writes the answer as JSON. Data is absent if the operation was not run.
func (a answer) body() []byte {
	var b bytes.Buffer
	b.WriteByte('{')
	if a.data != nil {
		b.WriteString(`"data":`)
		b.Write(a.data)
	}
	if len(a.problems) > 0 {
		if a.data != nil {
			b.WriteByte(',')
		}
		b.WriteString(`"errors":`)
		mustEncode(&b, a.problems)
	}
	b.WriteByte('}')
	return b.Bytes()
}

// encode writes a value as JSON, as JavaScript would: without escapes for HTML.
// What cannot be written writes nothing.
func encode(b *bytes.Buffer, v any) error {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	b.Truncate(b.Len() - 1) // the line end that the encoder adds
	return nil
}

// mustEncode is encode of what has no value that cannot be written.
func mustEncode(b *bytes.Buffer, v any) {
	if err := encode(b, v); err != nil {
		panic("railwaytest: " + err.Error())
	}
}

func writeJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever asked has gone
}
