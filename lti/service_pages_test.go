package lti_test

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

func TestServicePages(t *testing.T) {
	const first = "/api/lti/courses/1?x=1"
	next := func(address string) string { return "<" + address + `>; rel="next"` }
	for name, tc := range map[string]struct {
		links map[string]string // by request URI
		want  int               // pages
		err   string
		kind  error
	}{
		"one":                 {map[string]string{first: ""}, 1, "", nil},
		"followed as it is":   {map[string]string{first: next("https://school.instructure.com/z?b=%7e&a"), "/z?b=%7e&a": ""}, 2, "", nil},
		"relative":            {map[string]string{first: next("/z"), "/z": ""}, 2, "", nil},
		"other case, no rest": {map[string]string{first: next("HTTPS://School.Instructure.COM/z#f"), "/z": ""}, 2, "", nil},
		"other host":          {map[string]string{first: next("https://other.instructure.com/z")}, 1, "another origin", lti.ErrHost},
		"foreign host":        {map[string]string{first: next("//evil.test/z")}, 1, "another origin", lti.ErrHost},
		"plain http":          {map[string]string{first: next("http://school.instructure.com/z")}, 1, "another origin", lti.ErrHost},
		"other port":          {map[string]string{first: next("https://school.instructure.com:8443/z")}, 1, "another origin", lti.ErrHost},
		"with a user":         {map[string]string{first: next("https://a@school.instructure.com/z")}, 1, "another origin", lti.ErrHost},
		"opaque":              {map[string]string{first: next("https:z")}, 1, "not a URL", nil},
		"not a URL":           {map[string]string{first: next("https://school.instructure.com/%zz")}, 1, "not a URL", nil},
		"itself":              {map[string]string{first: next("https://school.instructure.com" + first)}, 1, "comes back", nil},
		"a loop":              {map[string]string{first: next("/a"), "/a": next("/b"), "/b": next("/a")}, 3, "comes back", nil},
		"gone":                {map[string]string{first: next("/gone")}, 1, "not found", lti.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			p := &serving{service: func(r *http.Request, _ string) (int, http.Header, string) {
				link, ok := tc.links[r.URL.RequestURI()]
				if !ok {
					return 404, nil, ""
				}
				return 200, http.Header{"Link": {link}}, "[]"
			}}
			s := newService(t, p, nil)
			pages := 0
			var last error
			for resp, err := range s.Pages(t.Context(), lti.ServiceCall{Op: "list", URL: account + "?x=1", Scopes: []string{"a"}}) {
				if last = err; err != nil {
					assert.Nil(t, resp)
					continue
				}
				pages++
			}
			assert.Equal(t, tc.want, pages)
			for _, r := range p.calls {
				assert.Equal(t, "https://school.instructure.com", r.URL.Scheme+"://"+strings.ToLower(r.URL.Host))
			}
			if tc.err == "" {
				require.NoError(t, last)
				return
			}
			require.ErrorContains(t, last, tc.err)
			if tc.kind != nil {
				require.ErrorIs(t, last, tc.kind)
			}
		})
	}
}

func TestServicePagesStop(t *testing.T) {
	p := &serving{service: func(r *http.Request, _ string) (int, http.Header, string) {
		n, _ := strconv.Atoi(r.URL.Query().Get("p"))
		return 200, http.Header{"Link": {fmt.Sprintf(`<?p=%d>; rel=next`, n+1)}}, "[]"
	}}
	s := newService(t, p, nil)
	list := s.Pages(t.Context(), lti.ServiceCall{Op: "list", URL: account, Scopes: []string{"a"}})
	for range 2 {
		p.calls = nil
		n := 0
		for range list {
			if n++; n == 3 {
				break
			}
		}
		assert.Len(t, p.calls, 3)
		assert.Equal(t, account, p.calls[0].URL.String(), "ranging again begins anew")
	}
}

func FuzzServiceAnswer(f *testing.F) {
	f.Add(200, `<https://school.instructure.com/a>; rel=next`, `{"errors":{"type":"x"}}`)
	f.Add(400, `<//evil.test>;rel="next"`, `{"error":"x","error_description":7}`)
	f.Add(302, `<\\evil.test>;rel="next"`, `[[[`)
	f.Fuzz(func(t *testing.T, status int, link, body string) {
		p := &serving{latest: map[string]string{}}
		n := 0
		p.service = func(r *http.Request, _ string) (int, http.Header, string) {
			if n++; n > 1 || status < 200 || status > 499 || status == 401 || status == 429 || strings.Contains(body, "Rate Limit") { // no waits
				return 200, nil, body
			}
			return status, http.Header{"Link": {link}}, body
		}
		for resp, err := range newService(t, p, nil).Pages(t.Context(), lti.ServiceCall{Op: "list", URL: account, Scopes: []string{"a"}}) {
			if err == nil {
				var out any
				_ = resp.Decode(&out)
				_ = resp.Link("differences")
				continue
			}
			e, ok := errors.AsType[*lti.Error](err)
			require.True(t, ok)
			assert.LessOrEqual(t, len(e.Code), 60)
			assert.NotContains(t, err.Error(), "\n")
		}
		for _, r := range p.calls {
			assert.Equal(t, "https school.instructure.com", r.URL.Scheme+" "+strings.ToLower(r.URL.Host))
		}
	})
}
