package send

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/internal/httpx"
)

// Look makes one attempt at a call that only reads, before anything was sent: if it
// fails, it is proven that nothing was. The answer is decoded into v. An empty Method
// means GET.
func (c *Client) Look(ctx context.Context, call Call, v any) (*httpx.Response, error) {
	if call.Method == "" {
		call.Method = http.MethodGet
	}
	call.reads = true
	resp, err := c.Do(ctx, call)
	if err == nil {
		err = c.Decode(call.Op, resp, v)
	}
	if e, ok := errors.AsType[*alert.Error](err); ok && e.Kind == nil {
		e.Unsent = true
	}
	return resp, err
}

// Decode reads the JSON of an answer. That it cannot be read leaves open what happened.
func (c *Client) Decode(op string, resp *httpx.Response, v any) error {
	if json.Unmarshal(resp.Body, v) != nil {
		return &alert.Error{Service: c.service, Op: op, Status: resp.Status, Err: errors.New("the answer cannot be read")}
	}
	return nil
}

// Refuse is the error of a message that is not sent at all, and why.
func (c *Client) Refuse(op, why string) error {
	return &alert.Error{Service: c.service, Op: op, Kind: alert.ErrRefused, Err: errors.New(why)}
}

// Explain adds what a service says about an error: a line of at most 200 characters.
func Explain(err error, code string) error {
	if e, ok := errors.AsType[*alert.Error](err); ok {
		e.Code = Cut(Line(code), 200)
	}
	return err
}

// Line makes a text one line without control characters.
func Line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
}

// Base reads the address of a service, to which paths are joined. It must have https:
// credentials are sent to it.
func Base(address string) (*url.URL, bool) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return &url.URL{}, false
	}
	if u.Path == "" {
		u.Path = "/" // or what is joined has no leading slash
	}
	return u, true
}
