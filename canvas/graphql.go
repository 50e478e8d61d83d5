package canvas

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// A GraphQL is a query or mutation for Canvas's GraphQL endpoint (docs: GraphQL).
type GraphQL struct {
	// Op says what is done, for errors. Empty means "graphql".
	Op string
	// Document is the text of the operation. Required.
	Document string
	// Variables are its variables.
	Variables map[string]any
}

// GraphQL runs an operation and decodes its data into out unless that is nil.
// Canvas answers 200 also when an operation failed: the error is then an
// [*Error] with status 200 and the code "graphql", and out has what data there
// is. A document without the word "mutation" is repeated after failures as a
// GET is. A token whose developer key enforces scopes may query and not mutate.
func (c *Client) GraphQL(ctx context.Context, q GraphQL, out any) error {
	reads := !strings.Contains(q.Document, "mutation")
	r := Request{Op: q.Op, Method: http.MethodPost, Path: "/api/graphql", Idempotent: reads, reads: reads}
	if r.Op == "" {
		r.Op = "graphql"
	}
	if strings.TrimSpace(q.Document) == "" {
		return &Error{Op: r.Op, cause: errors.New("the document is empty"), unrun: true}
	}
	r.JSON = struct {
		Query     string         `json:"query"`
		Variables map[string]any `json:"variables,omitempty"`
	}{q.Document, q.Variables}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors json.RawMessage `json:"errors"`
	}
	resp, err := c.Do(ctx, r, &answer)
	if err != nil {
		return err
	}
	e := &Error{
		Op: r.Op, Route: "POST /api/graphql", Status: resp.Status, Code: "graphql",
		RequestID: requestID(resp.Header),
	}
	hasData := len(answer.Data) > 0 && string(answer.Data) != "null"
	if hasData && out != nil {
		if err := json.Unmarshal(answer.Data, out); err != nil {
			e.Code, e.cause = "unreadable", err
			return e
		}
	}
	failed := len(answer.Errors) > 0 && string(answer.Errors) != "null" && string(answer.Errors) != "[]"
	switch {
	case failed:
		body := reply{Errors: answer.Errors}
		e.Problems = body.problems()
		return e
	case !hasData:
		e.cause = errors.New("the answer has neither data nor errors")
		return e
	}
	return nil
}
