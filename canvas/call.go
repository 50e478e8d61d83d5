package canvas

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.acu.edu.au/runbook"
)

// call sends r and returns its answer, decoded.
func call[T any](ctx context.Context, c *Client, r Request) (T, error) {
	var out, none T
	if _, err := c.Do(ctx, r, &out); err != nil {
		return none, err
	}
	return out, nil
}

// get reads one object. What a token with scopes may not include is ignored by
// Canvas in silence, and then absent from the answer.
func get[T any](ctx context.Context, c *Client, op, path string, include []string) (T, error) {
	r := Request{Op: op, Path: path}
	if len(include) > 0 {
		r.Query = url.Values{"include[]": include}
	}
	return call[T](ctx, c, r)
}

// change sends body. Only what does the same when it is done twice may be sent
// as idempotent.
func change[T any](ctx context.Context, c *Client, op, method, path string, body any, idempotent bool) (T, error) {
	return call[T](ctx, c, Request{Op: op, Method: method, Path: path, JSON: body, Idempotent: idempotent})
}

// remove deletes an object. It is repeated after a failure: what is gone stays
// gone, although the second answer is then [ErrNotFound].
func remove(ctx context.Context, c *Client, op, path string, query url.Values) error {
	_, err := c.Do(ctx, Request{Op: op, Method: http.MethodDelete, Path: path, Query: query, Idempotent: true}, nil)
	return err
}

// list reads a list that is an array.
func list[T any](ctx context.Context, c *Client, op, path string, query url.Values) iter.Seq2[T, error] {
	return Items[T](ctx, c, Request{Op: op, Path: path, Query: query}, nil)
}

// pages reads a list page by page, each decoded as a whole.
func pages[P any](ctx context.Context, c *Client, r Request) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		var none P
		p, err := newPager(c, r, nil)
		if err != nil {
			yield(none, err)
			return
		}
		for {
			resp, err := p.next(ctx)
			if err != nil {
				yield(none, err)
				return
			}
			if resp == nil {
				return
			}
			var page P
			if err := json.Unmarshal(resp.Body, &page); err != nil {
				yield(none, p.fail(resp, fmt.Errorf("the page cannot be read: %w", err)))
				return
			}
			if !yield(page, nil) {
				return
			}
		}
	}
}

// whole reads a list that Canvas gives in one piece, and whose route does not
// know per_page.
func whole[T any](ctx context.Context, c *Client, r Request) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		items, err := call[[]T](ctx, c, r)
		if err != nil {
			var none T
			yield(none, err)
			return
		}
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
		}
	}
}

// failed is a sequence of one error.
func failed[T any](op, why string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, refused(op, why))
	}
}

// refused is a call that was not made because it is wrong as it is.
func refused(op, why string) error { return &Error{Op: op, cause: errors.New(why), unrun: true} }

func setText(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

func setList(q url.Values, name string, values []string) {
	if len(values) > 0 {
		q[name] = append([]string(nil), values...)
	}
}

func setFlag(q url.Values, name string, on bool) {
	if on {
		q.Set(name, "true")
	}
}

func setID(q url.Values, name string, id ID) {
	if id != 0 {
		q.Set(name, id.String())
	}
}

func setTime(q url.Values, name string, t time.Time) {
	if !t.IsZero() {
		q.Set(name, t.UTC().Format(time.RFC3339Nano))
	}
}

// A looseText is a text that Canvas sometimes writes as a number.
type looseText string

func (t *looseText) UnmarshalJSON(data []byte) error {
	var s string
	switch {
	case string(data) == "null":
	case data[0] != '"':
		*t = looseText(data)
	default:
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*t = looseText(s)
	}
	return nil
}

// lines is a list of texts, which some answers have as one text with line ends.
type lines []string

func (l *lines) UnmarshalJSON(data []byte) error {
	if data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*l = strings.Fields(s)
		return nil
	}
	return json.Unmarshal(data, (*[]string)(l))
}

// A hidden is a text that is secret from the moment it is decoded.
type hidden struct{ text runbook.Secret }

func (h *hidden) UnmarshalJSON(data []byte) error {
	var s string
	if json.Unmarshal(data, &s) != nil {
		return errors.New("a secret that is no text") // without the value
	}
	h.text = runbook.NewSecret(s)
	return nil
}

// An Author is who made or changed something. It is personal data.
type Author struct {
	// ID is that of the user; 0 if Canvas names Instructure instead, which it
	// does for what no user of the school has done.
	ID ID
	// Name is the name of the user, or "Instructure".
	Name string
}

// UnmarshalJSON reads a user, or the text that stands for one.
func (a *Author) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		*a = Author{}
		return json.Unmarshal(data, &a.Name)
	}
	var in struct {
		ID      ID     `json:"id"`
		Name    string `json:"name"`
		Display string `json:"display_name"`
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	if in.Name == "" {
		in.Name = in.Display
	}
	*a = Author{ID: in.ID, Name: in.Name}
	return nil
}

// A Place is where something is installed: an account or a course, of which one
// must be set. No call accepts another Place.
type Place struct {
	// Account is the account.
	Account Ref
	// Course is the course.
	Course Ref
}

// names returns what the place is called in paths; nothing if it is none, which
// makes a path that is refused.
func (p Place) names() (kind string, ref Ref) {
	switch {
	case p.Account != "" && p.Course == "":
		return "accounts", p.Account
	case p.Course != "" && p.Account == "":
		return "courses", p.Course
	}
	return "", ""
}

// path returns the path of something in the place.
func (p Place) path(segments ...string) string {
	kind, ref := p.names()
	return Path(append([]string{kind, string(ref)}, segments...)...)
}

func digitsOf(n int64) string { return strconv.FormatInt(n, 10) }
