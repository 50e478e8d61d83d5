package lti_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

func post(op string) lti.ServiceCall {
	return lti.ServiceCall{Op: op, Method: http.MethodPost, URL: account, Scopes: []string{"a"}, ContentType: "x/y", Body: []byte("canary")}
}

// 401 proves that a call was not run: it is made once more with another token. A
// token that is new, and refused all the same, is not replaced each time.
func TestServiceRenews(t *testing.T) {
	serviceKeys(t)
	synctest.Test(t, func(t *testing.T) {
		p := &serving{}
		s := newService(t, p, nil)
		_, err := s.Do(t.Context(), post("first"))
		require.NoError(t, err)
		p.revoke()
		_, err = s.Do(t.Context(), post("second"))
		require.NoError(t, err)
		assert.Len(t, p.grants, 2)
		assert.Len(t, p.calls, 3)

		p.token = func(url.Values) (int, string) { // tokens that are never accepted
			return 200, `{"access_token":"bad` + strconv.Itoa(len(p.grants)) + `","token_type":"Bearer","expires_in":3600}`
		}
		p.revoke()
		for range 5 {
			_, err = s.Do(t.Context(), post("third"))
			require.ErrorIs(t, err, lti.ErrUnauthenticated)
			assert.True(t, runbook.SafeToRetry(err))
			e, _ := errors.AsType[*lti.Error](err)
			assert.Equal(t, "401 unauthorized canary", fmt.Sprint(e.Status, " ", e.Code, " ", e.Message))
		}
		assert.Len(t, p.grants, 3, "no grant for each call")
		assert.Len(t, p.calls, 3+2+4)
		time.Sleep(2 * time.Minute)
		_, err = s.Do(t.Context(), post("fourth"))
		require.ErrorIs(t, err, lti.ErrUnauthenticated)
		assert.Len(t, p.grants, 4, "after a while it may help")
	})
}

func TestServiceErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		h      http.Header
		body   string
		want   error // of a read
		change error // of a change
		code   string
	}{
		"forbidden":     {403, nil, `{"errors":{"type":"forbidden","message":"canary"}}`, lti.ErrForbidden, lti.ErrForbidden, "forbidden"},
		"scope":         {403, http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope"`}}, ``, lti.ErrScope, lti.ErrScope, ""},
		"not found":     {404, nil, `<html>canary`, lti.ErrNotFound, lti.ErrNotFound, ""},
		"gone":          {410, nil, ``, lti.ErrNotFound, lti.ErrNotFound, ""},
		"invalid":       {400, nil, `{"error":"bad","error_description":"canary"}`, lti.ErrInvalid, lti.ErrInvalid, "bad"},
		"unprocessable": {422, nil, `{"errors":["canary"]}`, lti.ErrInvalid, lti.ErrInvalid, ""},
		"too many":      {429, nil, ``, lti.ErrUnavailable, lti.ErrUnavailable, ""},
		"server error":  {501, nil, `{"error":{"x":1},"errors":7}`, lti.ErrUnavailable, lti.ErrUnknownOutcome, ""},
		"sentence":      {400, nil, `{"error":"canary was here"}`, lti.ErrInvalid, lti.ErrInvalid, ""},
		"redirect":      {302, http.Header{"Location": {"https://evil.test/x"}}, ``, nil, nil, "redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, method := range []string{http.MethodGet, http.MethodPost} {
				p := &serving{service: func(*http.Request, string) (int, http.Header, string) {
					h := tc.h.Clone()
					if h == nil {
						h = http.Header{}
					}
					h.Set("X-Request-Context-Id", "abc\n1")
					return tc.status, h, tc.body
				}}
				call := post("do it")
				call.Method = method
				_, err := newService(t, p, nil).Do(t.Context(), call)
				e, ok := errors.AsType[*lti.Error](err)
				require.True(t, ok, "%v", err)
				assert.Equal(t, tc.status, e.Status)
				assert.Equal(t, tc.code, e.Code)
				assert.Equal(t, "abc 1", e.RequestID)
				assert.NotContains(t, err.Error(), "canary")
				assert.NotContains(t, err.Error(), "secret1")
				assert.Contains(t, err.Error(), "lti: do it: school.instructure.com: status "+strconv.Itoa(tc.status))
				want := tc.want
				if method == http.MethodPost {
					want = tc.change
				}
				for _, kind := range []error{lti.ErrForbidden, lti.ErrScope, lti.ErrNotFound, lti.ErrInvalid, lti.ErrUnavailable, lti.ErrUnknownOutcome, lti.ErrUnauthenticated, lti.ErrHost} {
					assert.Equal(t, kind == want, errors.Is(err, kind), "%s: %v", method, kind)
				}
				assert.False(t, runbook.SafeToRetry(err), "an answer proves nothing")
				require.Len(t, p.calls, 1)
				assert.Equal(t, "school.instructure.com", p.calls[0].URL.Host)
			}
		})
	}
}

// What changes something is sent once, unless it is proven that it was not run.
func TestServiceRepeats(t *testing.T) {
	serviceKeys(t)
	broken := errors.New("connection reset")
	for name, tc := range map[string]struct {
		call   func(*lti.ServiceCall)
		status int
		body   string
		err    error
		calls  int
		want   error
		safe   bool
	}{
		"a read, 503":              {func(c *lti.ServiceCall) { c.Method = "" }, 503, "", nil, 4, lti.ErrUnavailable, false},
		"a read, no answer":        {func(c *lti.ServiceCall) { c.Method = "GET" }, 0, "", broken, 4, lti.ErrUnavailable, false},
		"a change, 503":            {func(*lti.ServiceCall) {}, 503, "", nil, 1, lti.ErrUnknownOutcome, false},
		"a change, no answer":      {func(*lti.ServiceCall) {}, 0, "", broken, 1, lti.ErrUnknownOutcome, false},
		"idempotent, 503":          {func(c *lti.ServiceCall) { c.Method, c.Idempotent = "PUT", true }, 503, "", nil, 4, lti.ErrUnavailable, false},
		"a change, Canvas is full": {func(*lti.ServiceCall) {}, 403, "403 Forbidden (Rate Limit Exceeded)", nil, 6, lti.ErrUnavailable, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &serving{err: tc.err, service: func(*http.Request, string) (int, http.Header, string) { return tc.status, nil, tc.body }}
				call := post("do it")
				tc.call(&call)
				_, err := newService(t, p, nil).Do(t.Context(), call)
				require.ErrorIs(t, err, tc.want)
				assert.Len(t, p.calls, tc.calls)
				assert.Equal(t, tc.safe, runbook.SafeToRetry(err))
				e, _ := errors.AsType[*lti.Error](err)
				assert.Equal(t, tc.status, e.Status)
				if tc.err != nil {
					assert.ErrorIs(t, err, broken)
				}
			})
		})
	}
}

// Without a token the call was certainly not made.
func TestServiceWithoutToken(t *testing.T) {
	for name, tc := range map[string]struct {
		status int
		body   string
		want   error
		text   string
	}{
		"client":      {400, `{"error":"invalid_client","error_description":"canary"}`, lti.ErrUnauthenticated, "status 400: not authenticated: invalid_client: from the token endpoint"},
		"scope":       {400, `{"error":"invalid_scope"}`, lti.ErrScope, "invalid_scope"},
		"HTML":        {403, `<html>canary`, lti.ErrUnauthenticated, "status 403"},
		"down":        {503, `canary`, lti.ErrUnavailable, "status 503"},
		"not a token": {200, `{"canary":1}`, lti.ErrUnavailable, "the answer is not a token"},
		"redirect":    {307, `x`, nil, "redirect"},
	} {
		t.Run(name, func(t *testing.T) {
			p := &serving{token: func(url.Values) (int, string) { return tc.status, tc.body }}
			s := newService(t, p, nil)
			_, err := s.Do(t.Context(), post("do it"))
			require.Error(t, err)
			if tc.want != nil {
				require.ErrorIs(t, err, tc.want)
			}
			require.ErrorContains(t, err, "lti: do it: school.instructure.com")
			require.ErrorContains(t, err, tc.text)
			assert.NotContains(t, err.Error(), "canary")
			assert.True(t, runbook.SafeToRetry(err))
			assert.Empty(t, p.calls)
			assert.Len(t, p.grants, 1, "a grant is not repeated blindly")
			_, err = s.Token(t.Context(), account, "a")
			require.Error(t, err)
			assert.False(t, runbook.SafeToRetry(err), "a token may have been made")
		})
	}
	t.Run("gives up", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newService(t, &serving{}, nil).Do(ctx, post("do it"))
		require.ErrorIs(t, err, context.Canceled)
		assert.NotErrorIs(t, err, lti.ErrUnavailable)
	})
}

func TestServiceDecode(t *testing.T) {
	p := &serving{service: func(*http.Request, string) (int, http.Header, string) {
		return 200, nil, `{"a":1,"a":2,"b":"` + "\xff" + `","c":"canary"}`
	}}
	resp, err := newService(t, p, nil).Do(t.Context(), lti.ServiceCall{Op: "read", URL: account, Scopes: []string{"a"}})
	require.NoError(t, err)
	var out struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	require.NoError(t, resp.Decode(&out), "what does no harm is read")
	var wrong struct {
		C int `json:"c"`
	}
	err = resp.Decode(&wrong)
	require.ErrorContains(t, err, `lti: read: school.instructure.com: status 200: unreadable: the answer has something else than expected at "/c"`)
	assert.NotContains(t, err.Error(), "canary")
	assert.False(t, runbook.SafeToRetry(err))
}
