package nrps

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/url"
	"strconv"
	"strings"

	"go.acu.edu.au/runbook/internal/httpx"
	"go.acu.edu.au/runbook/lti"
)

// Scope is the scope of the service.
const Scope = "https://purl.imsglobal.org/spec/lti-nrps/scope/contextmembership.readonly"

const mediaType = "application/vnd.ims.lti-nrps.v2.membershipcontainer+json"

// Config has the values of a launch's claim; see [lti.MembershipService].
type Config struct {
	// Service makes the calls. Required.
	Service *lti.Service
	// URL is the address of the memberships of the context. Required.
	URL string
}

// A Client reads the members of one context.
type Client struct{ cfg Config }

// New returns a Client, or all problems of cfg. It sends nothing.
func New(cfg Config) (*Client, error) {
	var problems []error
	if cfg.Service == nil {
		problems = append(problems, errors.New("nrps: Service is not set"))
	}
	if cfg.URL == "" {
		problems = append(problems, errors.New("nrps: URL is not set: the launch offers no members"))
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return &Client{cfg: cfg}, nil
}

// Status is whether a member takes part.
type Status string

// Statuses (NRPS 2.0, "Membership status").
const (
	Active   Status = "Active"
	Inactive Status = "Inactive"
	Deleted  Status = "Deleted" // in differences only: not a member any more
)

// A Member is a user in a context. It is personal data.
type Member struct {
	// UserID is the Subject of the user's launches.
	UserID string `json:"user_id"`
	// Roles are the user's roles in the context.
	Roles []string `json:"roles"`
	// Status is Active if the platform does not say.
	Status Status `json:"status"`
	// Name, GivenName, FamilyName and MiddleName are as people write them, Email
	// and Picture are addresses. Any may be empty.
	Name       string `json:"name"`
	GivenName  string `json:"given_name"`
	FamilyName string `json:"family_name"`
	MiddleName string `json:"middle_name"`
	Email      string `json:"email"`
	Picture    string `json:"picture"`
	// PersonSourcedID is the id in a student information system, and
	// LegacyUserID the user id of LTI 1.1.
	PersonSourcedID string `json:"lis_person_sourcedid"`
	LegacyUserID    string `json:"lti11_legacy_user_id"`
	// Messages have, for [Options].ResourceLinkID, the claims that a launch of
	// that link by this user would have: JSON objects.
	Messages []json.RawMessage `json:"message"`
}

// Options say which members are wanted. Nil means all of the context.
type Options struct {
	// Role is what members must have: "Learner", or the address of a role. Empty
	// means any.
	Role string
	// Limit is how many a page should have at most. Zero leaves it to the
	// platform.
	Limit int
	// ResourceLinkID asks for those who can use this link, and for what their
	// launches of it would say. Empty means all of the context.
	ResourceLinkID string
}

// Members reads the members, page by page, as far as the loop goes. An error
// comes once, with a zero member, and ends the list.
func (c *Client) Members(ctx context.Context, opts *Options) iter.Seq2[Member, error] {
	return c.List(opts).Members(ctx)
}

// List returns a list of members that has not been read yet.
func (c *Client) List(opts *Options) *Listing {
	var o Options
	if opts != nil {
		o = *opts
	}
	l := &Listing{call: c.call("list members", c.cfg.URL)}
	query := url.Values{}
	switch {
	case o.Limit < 0:
		l.err = lti.NewError(l.call.Op, lti.ErrInvalid, errors.New("a negative Limit"))
	case o.Limit > 0:
		query.Set("limit", strconv.Itoa(o.Limit))
	}
	if o.Role != "" {
		query.Set("role", o.Role)
	}
	if o.ResourceLinkID != "" {
		query.Set("rlid", o.ResourceLinkID)
	}
	if base, raw, _ := strings.Cut(l.call.URL, "?"); len(query) > 0 {
		l.call.URL = base + "?" + httpx.AddQuery(raw, query)
	}
	l.service = c.cfg.Service
	return l
}

// Differences returns the list of members that changed, came or went since
// address was got from [Listing.DifferencesURL]; those who went may be there as
// Deleted. Nothing is added to the address, and its host must be one of the
// registration, as ever: it may have been stored for long. The list has a
// DifferencesURL of its own, for the next time.
func (c *Client) Differences(address string) *Listing {
	return &Listing{service: c.cfg.Service, call: c.call("list differences of members", address)}
}

func (c *Client) call(op, address string) lti.ServiceCall {
	return lti.ServiceCall{Op: op, URL: address, Scopes: []string{Scope}, Accept: mediaType}
}

// A Listing is a list of members, with what the platform says beside it. It is
// for one goroutine at a time.
type Listing struct {
	service     *lti.Service
	call        lti.ServiceCall
	err         error
	context     lti.Context
	differences string
}

// container is one page.
type container struct {
	Context lti.Context `json:"context"`
	Members []Member    `json:"members"`
}

// Members reads the list, page by page, as far as the loop goes. An error comes
// once, with a zero member, and ends the list. Ranging again reads it again.
func (l *Listing) Members(ctx context.Context) iter.Seq2[Member, error] {
	return func(yield func(Member, error) bool) {
		if l.err != nil {
			yield(Member{}, l.err)
			return
		}
		l.context, l.differences = lti.Context{}, ""
		for resp, err := range l.service.Pages(ctx, l.call) {
			if err != nil {
				yield(Member{}, err)
				return
			}
			members, err := l.read(resp)
			if err != nil {
				yield(Member{}, err)
				return
			}
			for _, m := range members {
				if !yield(m, nil) {
					return
				}
			}
		}
	}
}

// read takes a page apart.
func (l *Listing) read(resp *lti.ServiceResponse) ([]Member, error) {
	var page container
	if err := resp.Decode(&page); err != nil {
		return nil, err
	}
	for i := range page.Members {
		m := &page.Members[i]
		if m.UserID == "" {
			return nil, resp.Unreadable(errors.New("a member has no user_id"))
		}
		if m.Status == "" {
			m.Status = Active
		}
	}
	if page.Context.ID != "" {
		l.context = page.Context
	}
	// The first page's link is kept: what changes while the rest is read must be
	// among the differences.
	if l.differences == "" {
		l.differences = resp.Link("differences")
	}
	return page.Members, nil
}

// Context returns the context that the members are in. It is zero until the first
// member came.
func (l *Listing) Context() lti.Context { return l.context }

// DifferencesURL returns the address at which the platform will tell what changed
// since this list was read (NRPS 2.0, "Membership differences"); empty if the
// platform offers none. Ask for it when the list was read to its end: it may be on
// any page.
func (l *Listing) DifferencesURL() string { return l.differences }
