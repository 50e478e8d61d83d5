package canvas

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

// A Page is one page of a course (docs: Pages).
type Page struct {
	// ID is Canvas's number for the page.
	ID ID `json:"page_id"`
	// URL is its name in addresses, made from the title: "my-page-title". It
	// changes with the title.
	URL string `json:"url"`
	// Title is its title.
	Title string `json:"title"`
	// Body is its text, in HTML. A list has it only with include[] "body", and
	// it is null for a page that is locked for the user.
	Body Null[string] `json:"body"`
	// Published says whether students see it.
	Published bool `json:"published"`
	// FrontPage says whether it is the front page of the course.
	FrontPage bool `json:"front_page"`
	// EditingRoles are who may edit it, with commas: "teachers,students".
	EditingRoles string `json:"editing_roles"`
	// PublishAt is when it will be published.
	PublishAt Null[Time] `json:"publish_at"`
	// CreatedAt is when it was made.
	CreatedAt Null[Time] `json:"created_at"`
	// UpdatedAt is when it was last changed.
	UpdatedAt Null[Time] `json:"updated_at"`
	// LastEditedBy is who changed it last.
	LastEditedBy Null[Author] `json:"last_edited_by"`
	// HTMLURL is where people see it.
	HTMLURL string `json:"html_url"`
}

// Ref refers to the page by its ID. Unlike by URL, that stays the same page when
// the title changes (docs: Pages).
func (p Page) Ref() Ref { return Ref("page_id:" + p.ID.String()) }

// A PageChange is what a page is to be like. Absent fields stay as they are.
type PageChange struct {
	// Title is the title. A new title is a new [Page].URL.
	Title Null[string] `json:"title,omitzero"`
	// Body is the text, in HTML.
	Body Null[string] `json:"body,omitzero"`
	// EditingRoles are who may edit it, with commas.
	EditingRoles Null[string] `json:"editing_roles,omitzero"`
	// Published says whether students see it.
	Published Null[bool] `json:"published,omitzero"`
	// FrontPage makes it the front page, which must be published.
	FrontPage Null[bool] `json:"front_page,omitzero"`
}

// Pages lists the pages of a course (docs: Pages, "List pages"). include may
// have "body".
func (c *Client) Pages(ctx context.Context, course Ref, include ...string) iter.Seq2[Page, error] {
	query := url.Values{}
	setList(query, "include[]", include)
	return list[Page](ctx, c, "list pages", Path("courses", string(course), "pages"), query)
}

// GetPage returns a page. page is its URL or its [Page.Ref] (docs: Pages,
// "Show page").
func (c *Client) GetPage(ctx context.Context, course, page Ref) (Page, error) {
	return get[Page](ctx, c, "get page", Path("courses", string(course), "pages", string(page)), nil)
}

// CreatePage makes a page, which needs a title (docs: Pages, "Create page"). It
// is not repeated after a failure: a second one would be another page.
func (c *Client) CreatePage(ctx context.Context, course Ref, page PageChange) (Page, error) {
	return change[Page](ctx, c, "create page", http.MethodPost, Path("courses", string(course), "pages"), map[string]any{"wiki_page": page}, false)
}

// UpdatePage changes a page (docs: Pages, "Update/create page"). It is repeated
// after a failure, unless it changes the title of a page that is named by its
// URL. Canvas makes a page of that name if there is none; [Page.Ref] excludes
// that.
func (c *Client) UpdatePage(ctx context.Context, course, page Ref, to PageChange) (Page, error) {
	path := Path("courses", string(course), "pages", string(page))
	same := to.Title.IsZero() || strings.HasPrefix(string(page), "page_id:")
	return change[Page](ctx, c, "update page", http.MethodPut, path, map[string]any{"wiki_page": to}, same)
}

// DeletePage deletes a page (docs: Pages, "Delete page"). It is repeated after a
// failure, so that [ErrNotFound] may mean that the first attempt did it.
func (c *Client) DeletePage(ctx context.Context, course, page Ref) error {
	return remove(ctx, c, "delete page", Path("courses", string(course), "pages", string(page)), nil)
}
