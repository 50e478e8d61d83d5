package railwaytest

import (
	"context"
	"time"
)

// A request is one operation that is executed. The lock of the server is held while
// its fields are resolved, so that an operation is one step.
type request struct {
	s     *Server
	token *token // nil: none, or one that does not exist
	now   time.Time
}

// args are the arguments of a field by name, after variables and defaults were put
// in and their types checked. What was not given is absent; an explicit null is nil.
// Int is int64, Float is float64, ID, enums and DateTime are string, lists are []any
// and input objects args. The other scalars of Railway are whatever encoding/json
// makes of them: map[string]any, []any, string, float64, bool.
type args map[string]any

// has reports whether an argument was given and is not null.
func (a args) has(name string) bool { return a[name] != nil }

// text returns an argument of type String, ID or an enum; "" if there is none.
func (a args) text(name string) string { s, _ := a[name].(string); return s }

// number returns an argument of type Int, or otherwise if there is none.
func (a args) number(name string, otherwise int) int {
	if n, ok := a[name].(int64); ok {
		return int(n)
	}
	return otherwise
}

// flag returns an argument of type Boolean; false if there is none.
func (a args) flag(name string) bool { b, _ := a[name].(bool); return b }

// object returns an argument that is an input object; nil if there is none.
func (a args) object(name string) args { o, _ := a[name].(args); return o }

// object is a value of a type with fields. What is absent is null. A field may be a
// resolver, which is called only if the field is asked for; its plain form is
// func(r *request, a args) (any, error).
type object map[string]any

// A resolver makes the value of a field: an object, a []object, a []any or []string,
// a scalar, nil. A time.Time becomes a DateTime, and null if it is zero; what a
// pointer points at is its value, and a nil one null; a json.RawMessage is written
// as it is. Its error is an *apiError, or else an internal one.
type resolver func(r *request, a args) (any, error)

// A stream feeds a subscription: it sends the value of its field again and again
// until ctx ends, or it returns, which completes the subscription. It is called
// without the lock of the server and sends without it: it gets what it needs of the
// world by [Server.step], and waits by [Server.wait].
type stream func(ctx context.Context, s *Server, t *token, a args, send func(value any) error) error

// apiError is an error in the words of Railway.
type apiError struct {
	message string
	code    string         // INTERNAL_SERVER_ERROR if empty
	extra   map[string]any // further extensions
}

func (e *apiError) Error() string { return e.message }

var errNotAuthorized = &apiError{message: "Not Authorized"}

// notFound is the error for what does not exist: "Deployment not found".
func notFound(what string) error { return &apiError{message: what + " not found"} }

// badInput is the error for an argument that cannot be.
func badInput(message string) error { return &apiError{message: message, code: "BAD_USER_INPUT"} }
