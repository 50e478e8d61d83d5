package railwaytest

import (
	"context"
	"time"
)

// A request is one operation that is executed. The lock of the server is held while
// its fields are resolved, so that an operation is one step.
type request struct {
	s     *Server
	token *token
	now   time.Time
}

// args are the arguments of a field by name, after variables and defaults were put
// in and their types checked. What was not given is absent; an explicit null is nil.
// Numbers are int64 or float64, lists []any, input objects args, scalars of Railway
// whatever JSON they are.
type args map[string]any

// object is a value of a type with fields. A field may be a resolver, which is
// called only if the field is asked for.
type object map[string]any

// A resolver makes the value of a field: an object, a []object, a scalar, nil. Its
// error is an *apiError, or else an internal one.
type resolver func(r *request, a args) (any, error)

// A stream feeds a subscription: it sends the value of its field again and again
// until ctx ends, or it returns, which completes the subscription. It is called
// without the lock of the server; within step it has it.
type stream func(ctx context.Context, s *Server, t *token, a args, send func(value any) error) error

// apiError is an error in the words of Railway.
type apiError struct {
	message string
	code    string         // INTERNAL_SERVER_ERROR if empty
	extra   map[string]any // further extensions
}

func (e *apiError) Error() string { return e.message }

var (
	errNotAuthorized = &apiError{message: "Not Authorized"}
)

// notFound is the error for what does not exist: "Deployment not found".
func notFound(what string) error { return &apiError{message: what + " not found"} }
