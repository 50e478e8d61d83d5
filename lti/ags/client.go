package ags

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
)

// Scopes of the services (AGS 2.0, sections 3.2 to 3.4).
const (
	ScopeLineItem         = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem"          // read and change line items
	ScopeLineItemReadOnly = "https://purl.imsglobal.org/spec/lti-ags/scope/lineitem.readonly" // read line items
	ScopeResultReadOnly   = "https://purl.imsglobal.org/spec/lti-ags/scope/result.readonly"   // read results
	ScopeScore            = "https://purl.imsglobal.org/spec/lti-ags/scope/score"             // post scores
)

// Media types.
const (
	typeLineItem  = "application/vnd.ims.lis.v2.lineitem+json"
	typeLineItems = "application/vnd.ims.lis.v2.lineitemcontainer+json"
	typeResults   = "application/vnd.ims.lis.v2.resultcontainer+json"
	typeScore     = "application/vnd.ims.lis.v1.score+json"
)

// Config has the values of a launch's claim; see [lti.GradeService].
type Config struct {
	// Service makes the calls. Required.
	Service *lti.Service
	// Scopes are what the launch offers.
	Scopes []string
	// LineItems is the address of the line items of the context. Empty means
	// that the launch has none.
	LineItems string
	// LineItem is the address of the only line item of the link. Empty means
	// that the launch has none. LineItems or LineItem is required.
	LineItem string
}

// A Client calls the services of one context.
type Client struct{ cfg Config }

// New returns a Client, or all problems of cfg. It sends nothing.
func New(cfg Config) (*Client, error) {
	var problems []error
	if cfg.Service == nil {
		problems = append(problems, errors.New("ags: Service is not set"))
	}
	if cfg.LineItems == "" && cfg.LineItem == "" {
		problems = append(problems, errors.New("ags: neither LineItems nor LineItem is set: the launch offers no grades"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	// Only scopes of these services: the token is for nothing else.
	cfg.Scopes = slices.DeleteFunc(slices.Clone(cfg.Scopes), func(scope string) bool {
		return scope != ScopeLineItem && scope != ScopeLineItemReadOnly && scope != ScopeResultReadOnly && scope != ScopeScore
	})
	return &Client{cfg: cfg}, nil
}

// LineItemsOptions filter line items. Nil means all.
type LineItemsOptions struct {
	// ResourceLinkID, ResourceID and Tag are what line items must have. Empty
	// means any.
	ResourceLinkID, ResourceID, Tag string
	// Limit is how many a page should have at most; the platform may give
	// fewer. Zero leaves it to the platform.
	Limit int
}

// LineItems reads the line items of the context, page by page, as far as the
// loop goes. An error comes once, with a zero item, and ends the list. It needs
// the scope lineitem or lineitem.readonly.
func (c *Client) LineItems(ctx context.Context, opts *LineItemsOptions) iter.Seq2[LineItem, error] {
	var o LineItemsOptions
	if opts != nil {
		o = *opts
	}
	query := url.Values{}
	set(query, "resource_link_id", o.ResourceLinkID)
	set(query, "resource_id", o.ResourceID)
	set(query, "tag", o.Tag)
	return list[LineItem](ctx, c, lti.ServiceCall{
		Op: "list line items", URL: c.cfg.LineItems, Scopes: c.cfg.Scopes,
		AnyOf: []string{ScopeLineItem, ScopeLineItemReadOnly}, Accept: typeLineItems,
	}, query, o.Limit)
}

// GetLineItem reads the line item at address, its ID. Empty means that of the
// launch. It needs the scope lineitem or lineitem.readonly.
func (c *Client) GetLineItem(ctx context.Context, address string) (LineItem, error) {
	return c.lineItem(ctx, lti.ServiceCall{
		Op: "get a line item", URL: c.address(address),
		AnyOf: []string{ScopeLineItem, ScopeLineItemReadOnly}, Accept: typeLineItem,
	}, nil)
}

// CreateLineItem makes a line item and returns it as the platform has it, with
// its ID. It needs the scope lineitem. It is not repeated: after
// [lti.ErrUnknownOutcome], look for an item with this ResourceID and Tag before
// making another one.
func (c *Client) CreateLineItem(ctx context.Context, item LineItem) (LineItem, error) {
	const op = "create a line item"
	if item.ID != "" {
		return LineItem{}, lti.NewError(op, lti.ErrInvalid, errors.New("it has an ID already: update it instead"))
	}
	return c.lineItem(ctx, lti.ServiceCall{
		Op: op, Method: http.MethodPost, URL: c.cfg.LineItems,
		AnyOf: []string{ScopeLineItem}, Accept: typeLineItem, ContentType: typeLineItem,
	}, &item)
}

// UpdateLineItem replaces the line item whose ID item has, and returns it as the
// platform has it now. The platform replaces all of it, so change an item that
// was read just before: what this package does not know of it is in Extra. It
// needs the scope lineitem.
func (c *Client) UpdateLineItem(ctx context.Context, item LineItem) (LineItem, error) {
	return c.lineItem(ctx, lti.ServiceCall{
		Op: "update a line item", Method: http.MethodPut, URL: c.address(item.ID), Idempotent: true,
		AnyOf: []string{ScopeLineItem}, Accept: typeLineItem, ContentType: typeLineItem,
	}, &item)
}

// DeleteLineItem deletes the line item at address, its ID, with the scores of
// all. Empty means that of the launch. It needs the scope lineitem. As it is
// repeated after a failure, [lti.ErrNotFound] may mean that it was deleted just
// now.
func (c *Client) DeleteLineItem(ctx context.Context, address string) error {
	_, err := c.cfg.Service.Do(ctx, lti.ServiceCall{
		Op: "delete a line item", Method: http.MethodDelete, URL: c.address(address), Idempotent: true,
		Scopes: c.cfg.Scopes, AnyOf: []string{ScopeLineItem},
	})
	return err
}

// lineItem makes a call that sends a line item, or none, and returns one.
func (c *Client) lineItem(ctx context.Context, call lti.ServiceCall, send *LineItem) (LineItem, error) {
	call.Scopes = c.cfg.Scopes
	if err := located(&call); err != nil {
		return LineItem{}, err
	}
	if send != nil {
		if err := send.check(); err != nil {
			return LineItem{}, lti.NewError(call.Op, lti.ErrInvalid, err)
		}
		body, err := send.body()
		if err != nil {
			return LineItem{}, lti.NewError(call.Op, lti.ErrInvalid, err)
		}
		call.Body = body
	}
	resp, err := c.cfg.Service.Do(ctx, call)
	if err != nil {
		return LineItem{}, err
	}
	if len(resp.Body) == 0 && send != nil && send.ID != "" {
		return *send, nil // some platforms answer an update with nothing
	}
	var out LineItem
	if err := resp.Decode(&out); err != nil {
		return LineItem{}, err
	}
	if out.ID == "" {
		return LineItem{}, resp.Unreadable(errors.New("the line item has no id"))
	}
	return out, nil
}

// address returns the address of a line item.
func (c *Client) address(given string) string {
	if given == "" {
		return c.cfg.LineItem
	}
	return given
}

func located(call *lti.ServiceCall) error {
	if call.URL == "" {
		return lti.NewError(call.Op, lti.ErrInvalid, errors.New("there is no address: the launch has none"))
	}
	return nil
}

// below returns the address with a segment added to its path. Its query stays
// (AGS 2.0, sections 3.3.1 and 3.4.1). What is not a URL stays as it is, and is
// refused when it is called.
func below(address, segment string) string {
	u, err := url.Parse(address)
	if err != nil || address == "" {
		return address
	}
	path := strings.TrimRight(u.EscapedPath(), "/") + "/" + segment
	if u.Path, err = url.PathUnescape(path); err != nil {
		return address
	}
	u.RawPath = path
	return u.String()
}

// list reads a list that is an array.
func list[T any](ctx context.Context, c *Client, call lti.ServiceCall, query url.Values, limit int) iter.Seq2[T, error] {
	wrong := located(&call)
	switch {
	case limit < 0:
		wrong = lti.NewError(call.Op, lti.ErrInvalid, errors.New("a negative Limit"))
	case limit > 0:
		query.Set("limit", strconv.Itoa(limit))
	}
	if base, raw, _ := strings.Cut(call.URL, "?"); len(query) > 0 {
		call.URL = base + "?" + httpx.AddQuery(raw, query)
	}
	return func(yield func(T, error) bool) {
		var none T
		if wrong != nil {
			yield(none, wrong)
			return
		}
		for resp, err := range c.cfg.Service.Pages(ctx, call) {
			if err != nil {
				yield(none, err)
				return
			}
			var items []T
			if err := resp.Decode(&items); err != nil {
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
}

func set(query url.Values, name, value string) {
	if value != "" {
		query.Set(name, value)
	}
}

func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return nil, errors.New("it cannot be written as JSON: look at Extra and for texts that are not valid UTF-8")
	}
	return body, nil
}
