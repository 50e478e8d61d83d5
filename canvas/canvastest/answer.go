package canvastest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// Object is a resource as Canvas sends it: the fields of its JSON. Ids are
// int64, times are [time.Time] or text, and nil is null.
type Object map[string]any

// answer is what a route says.
type answer struct {
	status      int
	body        any    // sent as JSON, unless raw is set
	raw         []byte // sent as it is
	contentType string // of raw
	header      http.Header
	extra       float64 // added to the cost
}

func ok(body any) answer      { return answer{status: http.StatusOK, body: body} }
func created(body any) answer { return answer{status: http.StatusCreated, body: body} }
func noContent() answer       { return answer{status: http.StatusNoContent} }

func messages(texts ...string) Object {
	errs := make([]Object, len(texts))
	for i, text := range texts {
		errs[i] = Object{"message": text}
	}
	return Object{"errors": errs}
}

// The shapes of errors follow instructure/canvas-lms: application_controller.rb,
// lib/authentication_methods.rb, lib/api/errors.rb. They are many, and not one.

func notFound() answer {
	return answer{status: http.StatusNotFound, body: messages("The specified resource does not exist.")}
}

// challenge is the header that tells a token problem from a missing permission.
func challenge() http.Header {
	return http.Header{"Www-Authenticate": {`Bearer realm="canvas-lms"`}}
}

func badToken(text string, expired *time.Time) answer {
	body := messages(text)
	if expired != nil {
		body["errors"] = []Object{{"message": text, "expired_at": stamp(*expired)}}
	}
	return answer{status: http.StatusUnauthorized, body: body, header: challenge()}
}

func unauthenticated() answer {
	body := messages("user authorization required")
	body["status"] = "unauthenticated"
	return answer{status: http.StatusUnauthorized, body: body, header: challenge()}
}

func (s *Server) refusal() int {
	if s.AuthErrorUpdates {
		return http.StatusForbidden
	}
	return http.StatusUnauthorized
}

func (c *call) unauthorized() answer {
	body := messages("user not authorized to perform that action")
	body["status"] = "unauthorized"
	return answer{status: c.s.refusal(), body: body}
}

func (c *call) insufficientScopes() answer {
	return answer{status: c.s.refusal(), body: messages("Insufficient scopes on access token.")}
}

// missing is the validation error for a parameter that is not there.
func missing(param string) answer {
	return answer{status: http.StatusBadRequest, body: messages(param + " is missing")}
}

// invalid is the validation error given as an object by attribute.
func invalid(attribute, kind, message string) answer {
	return answer{status: http.StatusBadRequest, body: Object{"errors": Object{
		attribute: []Object{{"attribute": attribute, "type": kind, "message": message}},
	}}}
}

// recordInvalid is the validation error given as a list.
func recordInvalid(field, message, code string) answer {
	return answer{status: http.StatusBadRequest, body: Object{"errors": []Object{{"field": field, "message": message, "error_code": code}}}}
}

// invalidStrings is the validation error given as a list of plain texts.
func invalidStrings(texts ...string) answer {
	return answer{status: http.StatusBadRequest, body: Object{"errors": texts}}
}

func failure(status int, text string) answer {
	return answer{status: status, body: Object{"error": text}}
}

func noAgent() answer {
	return answer{status: http.StatusForbidden, body: Object{
		"error": "Forbidden", "message": "The request has been blocked because you have not provided a valid user agent.",
	}}
}

// crash is a 500 of the application, which says under which id it was recorded.
func (s *Server) crash(html bool) answer {
	if html {
		return page(http.StatusInternalServerError, "Page Error")
	}
	body := Object{"errors": []Object{{"message": "An error occurred.", "error_code": "internal_server_error"}}, "error_report_id": s.world.nextID()}
	return answer{status: http.StatusInternalServerError, body: body}
}

// page is an answer of what stands before Canvas, or of its web pages.
func page(status int, title string) answer {
	return answer{status: status, contentType: "text/html; charset=utf-8", raw: []byte("<!DOCTYPE html>\n<html><head><title>" + title + "</title></head><body><h1>" + title + "</h1></body></html>\n")}
}

func redirect(to string) answer {
	a := page(http.StatusFound, "Redirecting")
	a.header = http.Header{"Location": {to}}
	return a
}

// maintenance is the page that the load balancer shows.
func maintenance() answer {
	return page(http.StatusServiceUnavailable, "Canvas is currently unavailable for scheduled maintenance")
}

// stamp writes a time as Canvas does: RFC 3339, UTC, whole seconds.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// encode makes the body of an answer. It is called with the lock held, because
// objects are shared.
func (a *answer) encode(stringIDs bool) error {
	if a.raw != nil || a.body == nil {
		return nil
	}
	if stringIDs {
		a.body = textIDs("", a.body)
	}
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(a.body); err != nil {
		return err
	}
	a.raw, a.contentType = bytes.TrimSuffix(b.Bytes(), []byte("\n")), "application/json; charset=utf-8"
	return nil
}

// textIDs turns the numbers of ids into texts, as Canvas does for clients that
// accept application/json+canvas-string-ids: "id" and names that end in "_id" or
// "_ids".
func textIDs(name string, v any) any {
	switch v := v.(type) {
	case Object:
		return textIDsOf(v)
	case map[string]any:
		return textIDsOf(v)
	case []Object:
		out := make([]any, len(v))
		for i := range v {
			out[i] = textIDs(name, v[i])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = textIDs(name, v[i])
		}
		return out
	case []int64:
		if !strings.HasSuffix(name, "_ids") {
			return v
		}
		out := make([]string, len(v))
		for i := range v {
			out[i] = itoa(v[i])
		}
		return out
	case int64:
		if name == "id" || strings.HasSuffix(name, "_id") {
			return itoa(v)
		}
	}
	return v
}

func textIDsOf(m map[string]any) Object {
	out := make(Object, len(m))
	for k, v := range m {
		out[k] = textIDs(k, v)
	}
	return out
}

// translated changes the texts that Canvas translates: messages, and the status
// beside them.
func translated(name string, v any, translate func(string) string) any {
	switch v := v.(type) {
	case Object:
		out := make(Object, len(v))
		for k, v := range v {
			out[k] = translated(k, v, translate)
		}
		return out
	case []Object:
		out := make([]any, len(v))
		for i := range v {
			out[i] = translated(name, v[i], translate)
		}
		return out
	case []string:
		out := make([]string, len(v))
		for i := range v {
			out[i] = translate(v[i])
		}
		return out
	case string:
		if name == "message" || name == "status" || name == "error" {
			return translate(v)
		}
	}
	return v
}
