package pns_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
	"go.acu.edu.au/runbook/lti/pns"
)

const handlers = "https://school.instructure.com/api/lti/notice-handlers/106"

// The answer of the documentation (canvas-lms, doc/api/pns.md).
const catalog = `{"client_id":10000000000068,"deployment_id":"106:8865aa05b4b79b64a91a86042e43af5ea8ae79eb","notice_handlers":[{"notice_type":"LtiContextCopyNotice","handler":"https://tool.test/notices"},{"notice_type":"LtiHelloWorldNotice","handler":""}]}`

func TestClient(t *testing.T) {
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return 200, "", catalog }}
	service, err := newService(p)
	require.NoError(t, err)
	c, err := pns.New(pns.Config{Service: service, URL: handlers})
	require.NoError(t, err)
	got, err := c.Handlers(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []pns.Handler{{pns.ContextCopy, "https://tool.test/notices"}, {pns.HelloWorld, ""}}, got)
	require.NoError(t, c.Register(t.Context(), pns.ContextCopy, "https://tool.test/notices"))
	require.NoError(t, c.Unregister(t.Context(), pns.ContextCopy))
	assert.Equal(t, []string{
		"GET " + handlers + " application/json",
		"PUT " + handlers + " application/json application/json",
		"PUT " + handlers + " application/json application/json",
	}, p.Asked)
	assert.JSONEq(t, `{"notice_type":"LtiContextCopyNotice","handler":"https://tool.test/notices"}`, p.Bodies[1])
	assert.JSONEq(t, `{"notice_type":"LtiContextCopyNotice","handler":""}`, p.Bodies[2])
	assert.Equal(t, []string{"https://purl.imsglobal.org/spec/lti/scope/noticehandlers"}, p.Scopes)

	for _, address := range []string{"", "http://tool.test/notices", "https:notices", "/notices", "ftp://tool.test"} {
		require.ErrorIs(t, c.Register(t.Context(), pns.ContextCopy, address), lti.ErrInvalid, address)
	}
	require.ErrorIs(t, c.Register(t.Context(), "", "https://tool.test"), lti.ErrInvalid)
	assert.Len(t, p.Asked, 3)
	_, err = pns.New(pns.Config{})
	require.ErrorContains(t, err, "Service is not set")
	require.ErrorContains(t, err, "URL is not set")
	elsewhere, err := pns.New(pns.Config{Service: service, URL: "https://evil.test/x"})
	require.NoError(t, err)
	_, err = elsewhere.Handlers(t.Context())
	require.ErrorIs(t, err, lti.ErrHost)
	assert.Len(t, p.Scopes, 1)
}

// verify takes "good:ID" for a token; "down" cannot be verified.
func verify(_ context.Context, token string) (lti.Notice, error) {
	id, ok := strings.CutPrefix(token, "good:")
	switch {
	case token == "down":
		return lti.Notice{}, &lti.Refusal{Reason: lti.ReasonKeySet}
	case token == "lost":
		return lti.Notice{}, errors.New("no database")
	case !ok:
		return lti.Notice{}, &lti.Refusal{Reason: lti.ReasonSignature}
	}
	id, _, _ = strings.Cut(id, "#")
	return lti.Notice{ID: id, Type: pns.HelloWorld, Issuer: "https://canvas.instructure.com", ClientID: "1"}, nil
}

func notices(tokens ...string) string {
	var all []string
	for _, token := range tokens {
		all = append(all, fmt.Sprintf(`{"jwt":%q,"other":1}`, token))
	}
	return `{"notices":[` + strings.Join(all, ",") + `]}`
}

// Requirement: LTI-SERVICE-NOTICE-ONCE, LTI-GOTCHA-29
func TestReceiver(t *testing.T) {
	for name, tc := range map[string]struct {
		body    string
		fail    string // the id that cannot be handled
		status  int
		answer  string
		handled []string
		errors  int
	}{
		"one":                     {notices("good:a"), "", 200, `{"handled":1,"refused":0,"failed":0}`, []string{"a"}, 0},
		"none":                    {notices(), "", 200, `{"handled":0,"refused":0,"failed":0}`, nil, 0},
		"several, in their order": {notices("good:b", "good:a"), "", 200, `{"handled":2,"refused":0,"failed":0}`, []string{"b", "a"}, 0},
		"the same token twice":    {notices("good:a", "good:a"), "", 200, `{"handled":1,"refused":0,"failed":0}`, []string{"a"}, 0},
		"the same id twice":       {notices("good:a#1", "good:a#2"), "", 200, `{"handled":2,"refused":0,"failed":0}`, []string{"a"}, 0},
		"a bad one among good":    {notices("good:a", "bad", "good:b"), "", 400, `{"handled":2,"refused":1,"failed":0}`, []string{"a", "b"}, 1},
		"only bad ones":           {notices("bad", "worse", ""), "", 401, `{"handled":0,"refused":3,"failed":0}`, nil, 3},
		"one cannot be stored":    {notices("good:a", "good:b", "good:c"), "b", 500, `{"handled":2,"refused":0,"failed":1}`, []string{"a", "b", "c"}, 1},
		"panic":                   {notices("good:panic", "good:c"), "", 500, `{"handled":1,"refused":0,"failed":1}`, []string{"panic", "c"}, 1},
		"nobody can be asked":     {notices("down", "good:b"), "", 503, `{"handled":1,"refused":0,"failed":1}`, []string{"b"}, 1},
		"another error of Verify": {notices("lost"), "", 503, `{"handled":0,"refused":0,"failed":1}`, nil, 1},
		"not JSON":                {`<html>`, "", 400, "", nil, 0},
		"not a list":              {`{"notices":{"jwt":"good:a"}}`, "", 400, "", nil, 0},
		"not a text":              {`{"notices":[{"jwt":7}]}`, "", 400, "", nil, 0},
		"twice the same name":     {`{"notices":[{"jwt":"good:a","jwt":"good:b"}]}`, "", 400, "", nil, 0},
		"too many":                {notices(make([]string, 201)...), "", 400, "", nil, 0},
		"too large":               {notices(strings.Repeat("x", 1<<20)), "", 413, "", nil, 0},
		"nothing":                 {"", "", 400, "", nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			var handled []string
			failures := 0
			r, err := pns.NewReceiver(pns.ReceiverConfig{
				Verify: verify,
				Handle: func(_ context.Context, n lti.Notice) error {
					handled = append(handled, n.ID)
					switch n.ID {
					case "panic":
						panic("oops")
					case tc.fail:
						return errors.New("disk full")
					}
					return nil
				},
				OnError: func(_ context.Context, err error) { failures++; assert.Error(t, err) },
			})
			require.NoError(t, err)
			w := httptest.NewRecorder()
			r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/lti/notices", strings.NewReader(tc.body)))
			assert.Equal(t, tc.status, w.Code, w.Body)
			assert.Equal(t, tc.handled, handled)
			assert.Equal(t, tc.errors, failures)
			if tc.answer != "" {
				assert.Equal(t, tc.answer, w.Body.String())
			}
		})
	}
}

// The platform hangs up: what is being stored is stored.
//
// Requirement: LTI-SERVICE-NOTICE-ONCE
func TestReceiverFinishes(t *testing.T) {
	var left time.Duration
	r, err := pns.NewReceiver(pns.ReceiverConfig{Verify: verify, Timeout: time.Minute, Handle: func(ctx context.Context, _ lti.Notice) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return ctx.Err()
	}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(notices("good:a"))))
	assert.Equal(t, 200, w.Code)
	assert.InDelta(t, 60, left.Seconds(), 5)
}

func TestReceiverConfig(t *testing.T) {
	_, err := pns.NewReceiver(pns.ReceiverConfig{MaxBody: -1})
	for _, text := range []string{"Verify is not set", "Handle is not set", "must not be negative"} {
		require.ErrorContains(t, err, text)
	}
	r, err := pns.NewReceiver(pns.ReceiverConfig{Verify: verify, Handle: func(context.Context, lti.Notice) error { return nil }})
	require.NoError(t, err)
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, 405, w.Code)
	assert.Equal(t, "POST", w.Header().Get("Allow"))
	var tool *lti.Tool
	_ = pns.ReceiverConfig{Verify: tool.VerifyNotice} // it fits
}

func FuzzReceiver(f *testing.F) {
	f.Add(notices("good:a", "bad"))
	f.Add(`{"notices":[null,{"jwt":null}]}`)
	f.Fuzz(func(t *testing.T, body string) {
		n := 0
		r, err := pns.NewReceiver(pns.ReceiverConfig{Verify: verify, Handle: func(context.Context, lti.Notice) error { n++; return nil }})
		require.NoError(t, err)
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)))
		assert.Contains(t, []int{200, 400, 401, 413, 503}, w.Code)
		assert.LessOrEqual(t, n, 200)
	})
}

// A tool asks to be told of copies of courses, and stores what it is told.
func Example() {
	p := &platform{Answer: func(*http.Request, string) (int, string, string) { return http.StatusOK, "", catalog }}
	service, err := newService(p) // a real program makes one with lti.NewService
	if err != nil {
		fmt.Println(err)
		return
	}
	launch := lti.Launch{PNS: &lti.NoticeService{URL: handlers}}
	client, err := pns.New(pns.Config{Service: service, URL: launch.PNS.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(client.Register(context.Background(), pns.ContextCopy, "https://tool.test/lti/notices"))

	receiver, err := pns.NewReceiver(pns.ReceiverConfig{
		Verify: verify, // a real program has tool.VerifyNotice
		Handle: func(_ context.Context, n lti.Notice) error {
			fmt.Println("stored", n.Type, n.ID)
			return nil
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	receiver.ServeHTTP(answer, httptest.NewRequest(http.MethodPost, "/lti/notices", strings.NewReader(`{"notices":[{"jwt":"good:1258e850"}]}`)))
	fmt.Println(answer.Code, answer.Body)
	// Output:
	// <nil>
	// stored LtiHelloWorldNotice 1258e850
	// 200 {"handled":1,"refused":0,"failed":0}
}
