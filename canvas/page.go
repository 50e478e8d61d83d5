package canvas

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/internal/httpx"
)

// ListOptions say how a list is read. Nil means all defaults.
type ListOptions struct {
	// PerPage is how many items a page is asked to have. Canvas gives fewer if
	// it likes. Zero means 100, the most that nearly all lists give.
	PerPage int
	// Items is the name of the array in answers that are objects: "events" in
	// the audit logs. Empty means that an answer is an array, or an object with
	// one array in it besides "links" and "linked".
	Items string
	// Parallel is how many pages may be read at the same time, where Canvas
	// numbers the pages and says which is the last. Zero means 1. The items keep
	// their order. A page that changes while it is read may show an item twice
	// or not at all, with Parallel as without.
	Parallel int
	// MaxPages ends a list that does not end. Zero means 10,000.
	MaxPages int
}

func (o *ListOptions) withDefaults() (ListOptions, error) {
	out := ListOptions{}
	if o != nil {
		out = *o
	}
	if out.PerPage < 0 || out.Parallel < 0 || out.MaxPages < 0 {
		return out, errors.New("list options must not be negative")
	}
	if out.PerPage == 0 {
		out.PerPage = 100
	}
	if out.MaxPages == 0 {
		out.MaxPages = 10_000
	}
	out.Parallel = min(max(out.Parallel, 1), 32)
	return out, nil
}

// Items reads a list to its end, page by page, as far as the loop goes: a page
// is asked for when its first item is needed (or, with Parallel, a little
// earlier), and leaving the loop ends the requests. An error comes once, with
// a zero item, and ends the list. Ranging again reads the list again.
//
// The end is where Canvas names no next page; the length of a page says
// nothing. The address of a next page is followed as it is, whether it has a
// number or a bookmark in it, but only on the host of the client. A list that
// comes back to a page it had, or that has more than MaxPages, is an error.
//
//	for course, err := range canvas.Items[Course](ctx, client, canvas.Request{Path: "/api/v1/courses"}, nil) {
func Items[T any](ctx context.Context, c *Client, r Request, opts *ListOptions) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		p, err := newPager(c, r, opts)
		if err != nil {
			yield(zero, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer p.wait() // after the cancel: no goroutine outlives the loop
		defer cancel()
		for {
			body, err := p.next(ctx)
			if err != nil {
				yield(zero, err)
				return
			}
			if body == nil {
				return
			}
			items, err := decodePage[T](p, body)
			if err != nil {
				yield(zero, err)
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

func decodePage[T any](p *pager, body *httpx.Response) ([]T, error) {
	raw, err := itemsOf(body.Body, p.opts.Items)
	if err != nil {
		return nil, p.fail(body, err)
	}
	var items []T
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, p.fail(body, fmt.Errorf("the page cannot be read: %w", err))
	}
	return items, nil
}

// itemsOf returns the array of a page, which may be the whole body or a field.
func itemsOf(body []byte, name string) (json.RawMessage, error) {
	trimmed := bytes.TrimSpace(body)
	if len(trimmed) > 0 && trimmed[0] == '[' && name == "" {
		return trimmed, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(trimmed, &fields); err != nil {
		return nil, errors.New("the page is neither an array nor an object")
	}
	if name != "" {
		if raw, ok := fields[name]; ok {
			return raw, nil
		}
		return nil, fmt.Errorf("the page has no field %q", name)
	}
	var found json.RawMessage
	for key, raw := range fields {
		if key == "links" || key == "linked" || key == "meta" || len(raw) == 0 || raw[0] != '[' {
			continue
		}
		if found != nil {
			return nil, errors.New("the page has several arrays: ListOptions.Items must say which one")
		}
		found = raw
	}
	if found == nil {
		return nil, errors.New("the page has no array")
	}
	return found, nil
}

// A pager reads the pages of one list.
type pager struct {
	c     *Client
	r     Request
	opts  ListOptions
	url   *url.URL // of the next page to ask for; nil at the end
	pages int
	seed  maphash.Seed
	seen  map[uint64]struct{} // hashes of the addresses that were asked for
	ahead *prefetch
}

func newPager(c *Client, r Request, opts *ListOptions) (*pager, error) {
	r.Query = cloneValues(r.Query)
	o, err := opts.withDefaults()
	if err == nil && r.Method != "" && r.Method != http.MethodGet {
		err = errors.New("only a GET can be read page by page")
	}
	if !r.Query.Has("per_page") {
		r.Query.Set("per_page", strconv.Itoa(o.PerPage))
	}
	u, resolveErr := c.resolve(&r)
	if err != nil {
		return nil, &Error{Op: r.Op, cause: err, unrun: true}
	}
	if resolveErr != nil {
		return nil, resolveErr
	}
	return &pager{c: c, r: r, opts: o, url: u, seed: maphash.MakeSeed(), seen: make(map[uint64]struct{})}, nil
}

// next returns the next page, or nil at the end.
func (p *pager) next(ctx context.Context) (*httpx.Response, error) {
	if p.ahead != nil {
		return p.nextAhead()
	}
	if p.url == nil {
		return nil, nil
	}
	resp, err := p.fetch(ctx, p.url)
	if err != nil {
		return nil, err
	}
	links := pageLinks(resp)
	next, err := p.follow(p.url, links)
	if err != nil {
		return nil, p.fail(resp, err)
	}
	if p.pages == 1 && next != nil && p.opts.Parallel > 1 {
		p.startAhead(ctx, next, links["last"])
	}
	p.url = next
	return resp, nil
}

func (p *pager) fetch(ctx context.Context, u *url.URL) (*httpx.Response, error) {
	if p.pages++; p.pages > p.opts.MaxPages {
		return nil, &Error{Op: p.r.Op, Code: "paging", cause: fmt.Errorf("the list has more than %d pages", p.opts.MaxPages)}
	}
	if !p.isNew(u) {
		return nil, &Error{Op: p.r.Op, Code: "paging", cause: errors.New("the list comes back to a page that was read")}
	}
	return p.c.send(ctx, &p.r, u)
}

// isNew notes an address, and reports whether it was not there before. Eight
// bytes a page are kept, so that long lists take no memory to speak of.
func (p *pager) isNew(u *url.URL) bool {
	hash := maphash.String(p.seed, u.EscapedPath()+"?"+u.Query().Encode())
	_, again := p.seen[hash]
	p.seen[hash] = struct{}{}
	return !again
}

// follow returns the address of the next page, or nil if there is none.
func (p *pager) follow(from *url.URL, links map[string]string) (*url.URL, error) {
	text := links["next"]
	if text == "" {
		// Canvas drops links that make the field longer than 6 KB, so that the
		// end and a lost next look the same if the address is very long
		// (canvas-lms, lib/api.rb).
		if len(from.String()) > 5<<10 && links["current"] == "" {
			return nil, errors.New("the address is so long that Canvas may have left out the next page: ask for less at a time")
		}
		return nil, nil
	}
	next, err := from.Parse(text)
	if err != nil {
		return nil, errors.New("the link to the next page is not a URL")
	}
	return next, p.c.ours(next)
}

// ours refuses an address to which the token must not go. One that is accepted
// has the host as it is configured.
func (c *Client) ours(u *url.URL) error {
	if u.Scheme != c.base.Scheme || !equalHost(u, &c.base) || u.User != nil {
		return fmt.Errorf("the link to the next page leads to another host (%s), where the token must not go", printable(u.Host, 100))
	}
	u.Host, u.Fragment = c.base.Host, "" // in the words of the configuration
	return nil
}

func equalHost(a, b *url.URL) bool { return hostPort(a) == hostPort(b) }

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Hostname()) + ":" + port
}

func (p *pager) fail(resp *httpx.Response, err error) error {
	return &Error{
		Op: p.r.Op, Route: routeOf(http.MethodGet, resp.URL.EscapedPath()), Status: resp.Status, Code: "paging",
		RequestID: requestID(resp.Header), cause: err,
	}
}

// pageLinks returns the links of a page: those of the Link field, or those that
// a compound answer has in its body instead. What Canvas means by the relations
// is in docs: Pagination.
func pageLinks(resp *httpx.Response) map[string]string {
	links := httpx.Links(resp.Header["Link"])
	if len(links) > 0 || len(resp.Body) == 0 || resp.Body[0] != '{' {
		return links
	}
	var body struct {
		Meta struct {
			Pagination struct {
				Next    json.RawMessage `json:"next"`
				Current json.RawMessage `json:"current"`
				Last    json.RawMessage `json:"last"`
			} `json:"pagination"`
		} `json:"meta"`
	}
	if json.Unmarshal(resp.Body, &body) != nil {
		return links
	}
	r := reply{}
	for rel, raw := range map[string]json.RawMessage{
		"next": body.Meta.Pagination.Next, "current": body.Meta.Pagination.Current, "last": body.Meta.Pagination.Last,
	} {
		if text := r.text(raw); text != "" {
			links[rel] = text
		}
	}
	return links
}
