package canvas

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"path"
	"time"

	"go.acu.edu.au/runbook/internal/httpx"
)

// A PageView is one request that a user made (docs: Users). It is personal data:
// who looked at what, when and from where.
type PageView struct {
	// ID is the UUID of the view, and the request's id in Canvas's logs.
	ID string `json:"id"`
	// CreatedAt is when the request was made.
	CreatedAt Null[Time] `json:"created_at"`
	// AppName is the program whose token made it; null means a browser.
	AppName Null[string] `json:"app_name"`
	// URL is the address that was asked for.
	URL string `json:"url"`
	// Method is the HTTP method.
	Method string `json:"http_method"`
	// Controller is the part of Canvas that answered.
	Controller string `json:"controller"`
	// Action is what that part did: "index", "show".
	Action string `json:"action"`
	// ContextType is where it belongs: "Course", "Account", "User".
	ContextType Null[string] `json:"context_type"`
	// AssetType is what in there it was about: "Assignment".
	AssetType Null[string] `json:"asset_type"`
	// UserRequest tells what a person did from what a page did by itself.
	UserRequest Null[bool] `json:"user_request"`
	// Participated says that it counts as taking part, such as handing in.
	Participated Null[bool] `json:"participated"`
	// InteractionSeconds is about how long the user stayed.
	InteractionSeconds Null[float64] `json:"interaction_seconds"`
	// RenderSeconds is how long Canvas took to answer.
	RenderSeconds Null[float64] `json:"render_time"`
	// UserAgent is the browser or program.
	UserAgent Null[string] `json:"user_agent"`
	// RemoteIP is the address that it came from.
	RemoteIP Null[string] `json:"remote_ip"`
	// Links are whom and what it belongs to.
	Links struct {
		// User is who made it.
		User ID `json:"user"`
		// RealUser is who acted as that user.
		RealUser Null[ID] `json:"real_user"`
		// Context is the object of ContextType.
		Context Null[ID] `json:"context"`
		// Asset is the object of AssetType.
		Asset Null[ID] `json:"asset"`
		// Account is the account.
		Account Null[ID] `json:"account"`
	} `json:"links"`
}

// PageViews lists the page views of a user, newest first, between two times,
// either of which may be zero (docs: Users, "List user page views"). It is dear:
// a page of 100 costs 40 units of the 600 or 700 that the bucket has
// (canvas-lms, page_views_controller.rb). For whole months,
// [Client.StartPageViewQuery] is the better way.
func (c *Client) PageViews(ctx context.Context, user Ref, from, to time.Time) iter.Seq2[PageView, error] {
	query := url.Values{}
	setTime(query, "start_time", from)
	setTime(query, "end_time", to)
	return list[PageView](ctx, c, "list page views", Path("users", string(user), "page_views"), query)
}

// A PageViewQuery is a search for the page views of whole months that Canvas does
// in the background (docs: Users, which calls it BETA).
type PageViewQuery struct {
	// User is whose page views are searched.
	User Ref `json:"-"`
	// ID is the UUID of the query.
	ID string `json:"query_id"`
	// Status is "queued", "processing" or "running", "finished" or "failed".
	// It is empty in the answer of [Client.StartPageViewQuery].
	Status string `json:"status"`
	// ErrorCode is why it failed, in Canvas's words.
	ErrorCode Null[string] `json:"error_code"`
	// ResultsURL is where the results are, once it is finished.
	ResultsURL Null[string] `json:"results_url"`
}

// StartPageViewQuery begins a query for the page views of a user from one month
// to before another one; both are taken at their first day in UTC, and to may be
// the current month at most (docs: Users, "Initiate page views query"). It costs
// 150 units, and is not repeated after a failure. Keep the ID: with it,
// [Client.GetPageViewQuery] finds the query again after a restart.
func (c *Client) StartPageViewQuery(ctx context.Context, user Ref, from, to time.Time) (PageViewQuery, error) {
	const op = "start page view query"
	answer, err := change[struct {
		PollURL string `json:"poll_url"`
	}](ctx, c, op, http.MethodPost, Path("users", string(user), "page_views", "query"), map[string]any{
		"start_date": monthOf(from), "end_date": monthOf(to), "results_format": "jsonl",
	}, false)
	if err != nil {
		return PageViewQuery{}, err
	}
	u, err := url.Parse(answer.PollURL)
	if err != nil || path.Base(u.Path) == "." || path.Base(u.Path) == "/" {
		return PageViewQuery{}, &Error{Op: op, Status: http.StatusCreated, Code: "unreadable", cause: errors.New("the answer does not name the query")}
	}
	return PageViewQuery{User: user, ID: path.Base(u.Path)}, nil
}

// monthOf returns the first day of the month of t.
func monthOf(t time.Time) string {
	y, m, _ := t.UTC().Date()
	return time.Date(y, m, 1, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

// GetPageViewQuery returns how far a query has come (docs: Users, "Poll query
// status"). It costs 5 units.
func (c *Client) GetPageViewQuery(ctx context.Context, user Ref, id string) (PageViewQuery, error) {
	q, err := get[PageViewQuery](ctx, c, "poll page view query", Path("users", string(user), "page_views", "query", id), nil)
	if err != nil {
		return PageViewQuery{}, err
	}
	q.User, q.ID = user, id
	return q, nil
}

// WaitForPageViewQuery asks for a query until it has ended, more and more
// seldom, up to every 30 seconds. A query that failed is an [*Error] with the
// code "failed". report is told of every answer; nil means nobody. It waits as
// long as ctx allows.
func (c *Client) WaitForPageViewQuery(ctx context.Context, user Ref, id string, report func(PageViewQuery)) (PageViewQuery, error) {
	const op = "wait for page view query"
	var q PageViewQuery
	err := poll(ctx, op, 2*time.Second, 30*time.Second, func() (bool, error) {
		next, err := c.GetPageViewQuery(ctx, user, id)
		if err != nil {
			return false, err
		}
		if q = next; report != nil {
			report(q)
		}
		if q.Status == "failed" {
			return false, &Error{Op: op, Status: http.StatusOK, Code: codeFailed, Problems: []Problem{{Code: printable(q.ErrorCode.Or(""), 60)}}}
		}
		return q.Status == "finished", nil
	})
	return q, err
}

// PageViewResults reads the results of a query that has finished, in the order
// in which Canvas has them (docs: Users, "Get query results"). It costs 50
// units, again for each loop. The answer is read as a whole, as it comes over
// the wire, so that none is ever cut short unnoticed; it is unpacked row by row.
func (c *Client) PageViewResults(ctx context.Context, q PageViewQuery) iter.Seq2[PageView, error] {
	return func(yield func(PageView, error) bool) {
		body, err := c.pageViewResults(ctx, q)
		if err != nil {
			yield(PageView{}, err)
			return
		}
		for view, err := range rows(body) {
			if err != nil {
				err = &Error{Op: "read page view results", Status: http.StatusOK, Code: "unreadable", cause: err}
			}
			if !yield(view, err) || err != nil {
				return
			}
		}
	}
}

// pageViewResults gets the results, packed or not.
func (c *Client) pageViewResults(ctx context.Context, q PageViewQuery) ([]byte, error) {
	const op = "get page view results"
	text, ok := q.ResultsURL.Get()
	if !ok {
		return nil, refused(op, "the query has no results yet")
	}
	u, err := c.base.Parse(text)
	if err != nil || u.User != nil {
		return nil, refused(op, "the address of the results is not a URL")
	}
	if c.ours(u) == nil {
		resp, err := c.Do(ctx, Request{Op: op, Path: u.EscapedPath(), Query: u.Query()}, nil)
		if err != nil {
			return nil, err
		}
		return resp.Body, nil
	}
	if u.Scheme != "https" && u.Scheme != c.base.Scheme {
		return nil, refused(op, "the address of the results is not https")
	}
	u.Fragment = ""
	resp, err := c.outside(ctx, httpx.Call{Op: "canvas: " + op, URL: u})
	route := http.MethodGet + " " + printable(u.Host, 100)
	switch {
	case err != nil:
		return nil, &Error{Op: op, Route: route, cause: err}
	case resp.Status < 200 || resp.Status > 299:
		e := newError(op, route, resp, hidden{}.text)
		e.kind = nil // the other host knows nothing of the token
		return nil, e
	}
	return resp.Body, nil
}

// maxRow is the longest row of results that is read.
const maxRow = 1 << 20

// rows reads JSON objects, one a line, packed with gzip or not.
func rows(body []byte) iter.Seq2[PageView, error] {
	return func(yield func(PageView, error) bool) {
		var r io.Reader = bytes.NewReader(body)
		if bytes.HasPrefix(body, []byte{0x1f, 0x8b}) { // a transport may have unpacked it already
			z, err := gzip.NewReader(r)
			if err != nil {
				yield(PageView{}, fmt.Errorf("the results cannot be unpacked: %w", err))
				return
			}
			r = z
		}
		lines := bufio.NewScanner(r)
		lines.Buffer(nil, maxRow)
		for n := 1; lines.Scan(); n++ {
			line := bytes.TrimSpace(lines.Bytes())
			if len(line) == 0 {
				continue
			}
			var view PageView
			if err := json.Unmarshal(line, &view); err != nil {
				yield(PageView{}, fmt.Errorf("row %d cannot be read: %w", n, err))
				return
			}
			if !yield(view, nil) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(PageView{}, fmt.Errorf("the results cannot be read: %w", err))
		}
	}
}
