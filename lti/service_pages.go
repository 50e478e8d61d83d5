package lti

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/url"
	"strings"

	"go.acu.edu.au/runbook/internal/httpx"
)

// maxServicePages ends a list that does not end.
const maxServicePages = 10_000

// Pages reads a list page by page, as far as the loop goes: a page is asked for
// when it is needed. The link to the next page is followed as it is, whatever is
// in it, but only within the origin of the page that has it, so that the token
// goes nowhere else. A list that comes back to a page it had, or has more than
// 10,000, is an error. An error comes once, with a nil response, and ends the
// list. Ranging again reads the list again.
func (s *Service) Pages(ctx context.Context, call ServiceCall) iter.Seq2[*ServiceResponse, error] {
	return func(yield func(*ServiceResponse, error) bool) {
		call := call
		seed, seen := maphash.MakeSeed(), make(map[uint64]struct{}, 4)
		for {
			resp, err := s.Do(ctx, call)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(resp, nil) {
				return
			}
			seen[maphash.String(seed, call.URL)] = struct{}{}
			next, err := resp.next()
			if err != nil {
				yield(nil, err)
				return
			}
			if next == "" {
				return
			}
			if _, again := seen[maphash.String(seed, next)]; again {
				yield(nil, resp.paging(nil, errors.New("the list comes back to a page that was read")))
				return
			}
			if len(seen) >= maxServicePages {
				yield(nil, resp.paging(nil, fmt.Errorf("the list has more than %d pages", maxServicePages)))
				return
			}
			call.URL = next
		}
	}
}

// next returns the address of the next page; empty at the end.
func (r *ServiceResponse) next() (string, error) {
	if httpx.Links(r.Header["Link"])["next"] == "" {
		return "", nil
	}
	to, err := url.Parse(r.Link("next"))
	if err != nil || to.Host == "" {
		return "", r.paging(nil, errors.New("the link to the next page is not a URL"))
	}
	from, err := url.Parse(r.URL)
	if err != nil || to.Scheme != from.Scheme || !strings.EqualFold(to.Host, from.Host) || to.User != nil {
		return "", r.paging(ErrHost, fmt.Errorf("the link to the next page leads to another origin (%s), where the token must not go", quote(to.Host)))
	}
	to.Fragment, to.RawFragment = "", ""
	return to.String(), nil
}

func (r *ServiceResponse) paging(kind, cause error) *Error {
	return &Error{Op: r.op, Host: r.host, Status: r.Status, Code: "paging", RequestID: requestID(r.Header), kind: kind, cause: cause}
}
