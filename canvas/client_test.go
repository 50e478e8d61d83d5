package canvas_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/canvas"
	"go.acu.edu.au/runbook/canvas/canvastest"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answering is a client whose every request gets the same answer.
func answering(status int, body string, header ...string) *http.Client {
	return &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "X-Request-Cost": {"0.1"}, "X-Rate-Limit-Remaining": {"599.9"}}
		for i := 0; i+1 < len(header); i += 2 {
			h.Set(header[i], header[i+1])
			if header[i+1] == "" {
				h.Del(header[i])
			}
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
	})}
}

func TestNewReportsAllProblems(t *testing.T) {
	for _, base := range []string{"", "school.test", "ftp://school.test", "https://", "https://school.test/api/v1", "https://school.test?x=1", "https://a:b@school.test", "http://school.test", "://"} {
		_, err := canvas.New(canvas.Config{BaseURL: base, Token: runbook.NewSecret("t")})
		require.Error(t, err, base)
		assert.NotContains(t, err.Error(), "a:b")
	}
	for _, base := range []string{"https://school.test", "https://school.test/", "http://localhost:3000", "http://127.0.0.1:1", "http://[::1]:80", "https://school.test:8443"} {
		_, err := canvas.New(canvas.Config{BaseURL: base, Token: runbook.NewSecret("t")})
		require.NoError(t, err, base)
	}
	_, err := canvas.New(canvas.Config{UserAgent: "bad\r\nagent", Priority: 9, AttemptTimeout: -1})
	for _, want := range []string{"base URL: is empty", "neither Token nor Auth", "user agent", "priority 9", "must not be negative"} {
		assert.ErrorContains(t, err, want)
	}
}

// The shapes of canvas-lms, app/controllers/application_controller.rb,
// lib/authentication_methods.rb and lib/api/errors.rb.
var shapes = []struct {
	name   string
	status int
	body   string
	header []string
	kind   error
	code   string
	want   []canvas.Problem
}{
	{"invalid token", 401, `{"errors":[{"message":"Invalid access token."}]}`, []string{"WWW-Authenticate", `Bearer realm="canvas-lms"`}, canvas.ErrUnauthenticated, "", []canvas.Problem{{Message: "Invalid access token."}}},
	{"expired token", 401, `{"errors":[{"message":"Expired access token.","expired_at":"2026-01-01T00:00:00Z"}]}`, []string{"WWW-Authenticate", `Bearer realm="canvas-lms"`}, canvas.ErrUnauthenticated, "", []canvas.Problem{{Message: "Expired access token."}}},
	{"no token", 401, `{"status":"unauthenticated","errors":[{"message":"user authorization required"}]}`, []string{"WWW-Authenticate", `Bearer realm="canvas-lms"`}, canvas.ErrUnauthenticated, "", []canvas.Problem{{Message: "user authorization required"}}},
	{"permission, 401", 401, `{"status":"unauthorized","errors":[{"message":"user not authorized to perform that action"}]}`, nil, canvas.ErrForbidden, "", []canvas.Problem{{Message: "user not authorized to perform that action"}}},
	{"permission, 403, translated", 403, `{"status":"nicht autorisiert","errors":[{"message":"nicht erlaubt"}]}`, nil, canvas.ErrForbidden, "", []canvas.Problem{{Message: "nicht erlaubt"}}},
	{"scope, 401", 401, `{"errors":[{"message":"Insufficient scopes on access token."}]}`, nil, canvas.ErrScope, "", []canvas.Problem{{Message: "Insufficient scopes on access token."}}},
	{"scope, 403, translated", 403, `{"errors":[{"message":"Zu wenig"}]}`, nil, canvas.ErrScope, "", []canvas.Problem{{Message: "Zu wenig"}}},
	{"masquerade", 401, `{"errors":"Invalid as_user_id"}`, nil, canvas.ErrForbidden, "", []canvas.Problem{{Message: "Invalid as_user_id"}}},
	{"401 in HTML", 401, `<html>no</html>`, []string{"Content-Type", "text/html"}, canvas.ErrForbidden, "", nil},
	{"validation as object", 400, `{"errors":{"name":[{"attribute":"name","type":"too_long","message":"is too long"}],"base":[{"message":"no"}]}}`, nil, canvas.ErrInvalid, "", []canvas.Problem{{Field: "base", Message: "no"}, {Field: "name", Code: "too_long", Message: "is too long"}}},
	{"validation as array", 400, `{"errors":[{"field":"name","message":"is blank","error_code":"blank"}]}`, nil, canvas.ErrInvalid, "blank", []canvas.Problem{{Field: "name", Code: "blank", Message: "is blank"}}},
	{"strings", 400, `{"errors":["one","two"]}`, nil, canvas.ErrInvalid, "", []canvas.Problem{{Message: "one"}, {Message: "two"}}},
	{"parameter missing", 400, `{"errors":[{"message":"name is missing"}]}`, nil, canvas.ErrInvalid, "", []canvas.Problem{{Message: "name is missing"}}},
	{"not found", 404, `{"errors":[{"message":"The specified resource does not exist."}]}`, nil, canvas.ErrNotFound, "", []canvas.Problem{{Message: "The specified resource does not exist."}}},
	{"conflict", 409, `{"error":"taken"}`, nil, canvas.ErrInvalid, "", []canvas.Problem{{Message: "taken"}}},
	{"unprocessable", 422, `{"message":"no"}`, nil, canvas.ErrInvalid, "", []canvas.Problem{{Message: "no"}}},
	{"user agent", 403, `{"error":"Forbidden","message":"you have not provided a valid user agent."}`, []string{"X-Request-Cost", ""}, canvas.ErrUserAgent, "", []canvas.Problem{{Message: "Forbidden"}, {Message: "you have not provided a valid user agent."}}},
	{"page view service", 429, `{"error":"Page Views rate limit exceeded. Please wait and try again."}`, nil, nil, "", []canvas.Problem{{Message: "Page Views rate limit exceeded. Please wait and try again."}}},
	{"internal", 500, `{"errors":[{"message":"An error occurred.","error_code":"internal_server_error"}],"error_report_id":42}`, nil, nil, "internal_server_error", []canvas.Problem{{Code: "internal_server_error", Message: "An error occurred."}}},
	{"gateway", 502, `<html>bad gateway</html>`, []string{"Content-Type", "text/html", "X-Request-Cost", "", "X-Rate-Limit-Remaining", ""}, nil, "", nil},
	{"maintenance", 503, `<html>scheduled</html>`, []string{"Content-Type", "text/html", "X-Request-Cost", "", "X-Rate-Limit-Remaining", ""}, canvas.ErrMaintenance, "", nil},
	{"maintenance, empty", 503, ``, []string{"X-Request-Cost", ""}, canvas.ErrMaintenance, "", nil},
	{"service without data", 503, `{"error":"Page Views data is not available at this time."}`, nil, nil, "", []canvas.Problem{{Message: "Page Views data is not available at this time."}}},
	{"login", 302, `<html>`, []string{"Location", "https://school.test/login"}, canvas.ErrUnauthenticated, "redirect", nil},
	{"elsewhere", 301, ``, []string{"Location", "https://other.test/"}, nil, "redirect", nil},
	{"empty", 418, ``, nil, nil, "", nil},
}

// Requirement: CV-ERROR-401-TOKEN, CV-ERROR-401-NONE, CV-ERROR-401-PERMISSION, CV-ERROR-SCOPE, CV-ERROR-MASQUERADE, CV-ERROR-400-OBJECT
// Requirement: CV-ERROR-400-ARRAY, CV-ERROR-400-STRINGS, CV-ERROR-404, CV-ERROR-409, CV-ERROR-403-AGENT, CV-ERROR-500-REPORT, CV-ERROR-5XX-HTML
// Requirement: CV-ERROR-LOGIN-REDIRECT, CV-ERROR-LOCALISED, CV-ERROR-EMPTY, CV-GOTCHA-8, CV-PEER-CANVASAPI-HTML, CV-PEER-CANVASAPI-404, CV-PEER-ATOMICJOLT-403, CV-ASK-PERMISSION
func TestErrorShapes(t *testing.T) {
	sentinels := []error{canvas.ErrUnauthenticated, canvas.ErrForbidden, canvas.ErrScope, canvas.ErrNotFound, canvas.ErrInvalid, canvas.ErrThrottled, canvas.ErrMaintenance, canvas.ErrUserAgent}
	for _, tc := range shapes {
		t.Run(tc.name, func(t *testing.T) {
			c := newClient(t, answering(tc.status, tc.body, append(tc.header, "X-Request-Context-Id", "abc-1")...))
			_, err := c.Do(t.Context(), canvas.Request{Op: "do it", Method: "POST", Path: "/api/v1/x"}, nil)
			e, ok := errors.AsType[*canvas.Error](err)
			require.True(t, ok)
			assert.Equal(t, tc.status, e.Status)
			for _, s := range sentinels {
				assert.Equal(t, s == tc.kind, errors.Is(err, s), "%v", s)
			}
			assert.Equal(t, tc.code, e.Code)
			assert.Empty(t, cmp.Diff(tc.want, e.Problems))
			assert.Equal(t, "abc-1", e.RequestID)
			assert.False(t, runbook.SafeToRetry(err))
			assert.Contains(t, err.Error(), "canvas: do it: status ")
			assert.Equal(t, tc.name == "internal", e.ReportID == "42")
			if len(tc.body) > 0 {
				assert.NotEmpty(t, e.Body)
			}
		})
	}
}

// What counts as a rejection by the bucket; the remaining value says nothing.
//
// Requirement: CV-THROTTLE-DETECT, CV-PEER-CANVASAPI-429, CV-PEER-JJUANRIVVERA-403, CV-PEER-DAVIDWENG-ZERO, CV-PEER-KTH-429
func TestThrottledIsRecognised(t *testing.T) {
	const text = "403 Forbidden (Rate Limit Exceeded)\n"
	for _, tc := range []struct {
		status    int
		body      string
		remaining string
	}{{429, text, "18.49"}, {403, text, "13.68"}, {429, "", "0.0"}, {429, "<html>slow down</html>", ""}, {403, text, "-49.8"}, {403, text, "600"}} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		c := newClient(t, answering(tc.status, tc.body, "Content-Type", "text/plain; charset=utf-8", "X-Request-Cost", "", "X-Rate-Limit-Remaining", tc.remaining))
		_, err := c.Do(ctx, canvas.Request{Method: "POST", Path: "/api/v1/x"}, nil)
		require.ErrorIs(t, err, canvas.ErrThrottled)
		assert.NotErrorIs(t, err, canvas.ErrForbidden)
		assert.True(t, runbook.SafeToRetry(err))
	}
}

// Requirement: CV-GOTCHA-11
func TestErrorsKeepNoSecrets(t *testing.T) {
	body := `{"api_key":"canary-1","developer_key":{"client_secret": "can\"ary-2"},"x":"access_token=canary-3&y","note":"` + canvastest.AdminToken + `","refresh_token":"canary-4` + strings.Repeat("x", 9000)
	c := newClient(t, answering(400, body))
	_, err := c.Do(t.Context(), canvas.Request{Path: "/api/v1/x", Query: url.Values{"search_term": {"canary-5"}}}, nil)
	e, ok := errors.AsType[*canvas.Error](err)
	require.True(t, ok)
	for _, shown := range []string{e.Body, err.Error()} {
		assert.NotContains(t, shown, "canary")
		assert.NotContains(t, shown, "ary-2")
		assert.NotContains(t, shown, canvastest.AdminToken)
	}
	assert.LessOrEqual(t, len(e.Body), 2<<10)
	_, err = newClient(t, answering(400, `{"errors":[{"message":"no such token: `+canvastest.AdminToken+`"}]}`)).Do(t.Context(), self, nil)
	e, ok = errors.AsType[*canvas.Error](err)
	require.True(t, ok)
	assert.NotContains(t, fmt.Sprintf("%+v", *e), canvastest.AdminToken, "nor does a message")
}

func FuzzErrorBody(f *testing.F) {
	for _, s := range shapes {
		f.Add(s.status, s.body)
	}
	f.Add(400, `{"errors":[[[[[["deep"]]]]]]}`)
	f.Add(401, `{"errors":{"a":{"b":{"c":1}}}}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 300 || status > 599 {
			status = 400
		}
		c := newClient(t, answering(status, body))
		_, err := c.Do(t.Context(), canvas.Request{Method: "POST", Path: "/api/v1/x"}, nil)
		e, ok := errors.AsType[*canvas.Error](err)
		require.True(t, ok)
		assert.Equal(t, status, e.Status)
		assert.LessOrEqual(t, len(e.Problems), 60)
		assert.NotContains(t, err.Error(), "\n")
	})
}

// Requirement: CV-GOTCHA-5, CV-GOTCHA-6, CV-GOTCHA-15, CV-ASK-AGENT, CV-ASK-SESSION, CV-THROTTLE-NO-COOKIES
func TestWhatIsSent(t *testing.T) {
	var got *http.Request
	var body []byte
	host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r
		if r.Body != nil {
			body, _ = io.ReadAll(r.Body)
		}
		resp, err := answering(200, `{"id":1}`, "Set-Cookie", "a=b").Transport.RoundTrip(r)
		return resp, err
	})}
	c := newClient(t, host, func(cfg *canvas.Config) { cfg.UserAgent = "acu-ops/1" })
	_, err := c.Do(t.Context(), canvas.Request{
		Method: "PUT", Path: canvas.Path("courses", string(canvas.SIS("sis_course_id", "BIO/1 ü"))),
		Query: url.Values{"include[]": {"term", "teachers"}}, Form: url.Values{"course[name]": {"B & C"}}, AsUser: "7",
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, "https://school.test/api/v1/courses/hex:sis_course_id:42494f2f3120c3bc?as_user_id=7&include%5B%5D=term&include%5B%5D=teachers", got.URL.String())
	assert.Equal(t, "acu-ops/1", got.Header.Get("User-Agent"))
	assert.Equal(t, "application/json", got.Header.Get("Accept"))
	assert.Equal(t, "Bearer "+canvastest.AdminToken, got.Header.Get("Authorization"))
	assert.Equal(t, "course%5Bname%5D=B+%26+C", string(body))
	_, err = c.Do(t.Context(), canvas.Request{Method: "POST", Path: "/api/v1/a%2Fb", JSON: map[string]int{"a": 1}}, nil)
	require.NoError(t, err)
	assert.Equal(t, "/api/v1/a%2Fb", got.URL.EscapedPath())
	assert.Empty(t, got.URL.Query(), "nobody is masqueraded as unless asked for")
	assert.Empty(t, got.Header["Cookie"])
	assert.JSONEq(t, `{"a":1}`, string(body))
}

func TestRequestsThatAreNotSent(t *testing.T) {
	c := newClient(t, &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("it was sent")
		return nil, errors.New("no")
	})})
	for name, r := range map[string]canvas.Request{
		"relative":        {Path: "api/v1/x"},
		"another host":    {Path: "//evil.test/x"},
		"query":           {Path: "/api/v1/x?access_token=1"},
		"dots":            {Path: "/api/v1/courses/../accounts"},
		"escaped dots":    {Path: "/api/v1/courses/%2e%2e/accounts"},
		"empty segment":   {Path: canvas.Path("courses", "", "pages")},
		"bad escape":      {Path: "/api/v1/%zz"},
		"token in query":  {Path: "/api/v1/x", Query: url.Values{"access_token": {"t"}}},
		"two bodies":      {Method: "POST", Path: "/api/v1/x", Form: url.Values{}, JSON: 1},
		"cannot be coded": {Method: "POST", Path: "/api/v1/x", JSON: func() {}},
	} {
		_, err := c.Do(t.Context(), r, nil)
		require.Error(t, err, name)
		assert.True(t, runbook.SafeToRetry(err), name)
	}
}

func TestAnswersThatCannotBeRead(t *testing.T) {
	var out struct{ ID canvas.ID }
	for name, c := range map[string]*http.Client{
		"HTML":       answering(200, "<html>", "Content-Type", "text/html"),
		"truncated":  answering(200, `{"id":`),
		"wrong type": answering(200, `{"id":true}`),
		"nothing":    answering(204, ``),
	} {
		_, err := newClient(t, c).Do(t.Context(), canvas.Request{Method: "POST", Path: "/api/v1/x"}, &out)
		e, ok := errors.AsType[*canvas.Error](err)
		require.True(t, ok, name)
		assert.Equal(t, "unreadable", e.Code)
		assert.NotZero(t, e.Status)
		assert.False(t, runbook.SafeToRetry(err), "it was run")
	}
}

// A mutation whose answer is lost is sent once; a read is repeated.
//
// Requirement: CV-GOTCHA-9, CV-PEER-JJUANRIVVERA-POST, CV-PEER-JJUANRIVVERA-BODY, CV-THROTTLE-RETRY
func TestMutationsAreSentOnce(t *testing.T) {
	for name, fault := range map[string]canvastest.Fault{
		"answer lost": {Route: "POST /api/v1/accounts/:account_id/courses", Reset: true, Effect: true},
		"502 after":   {Route: "POST /api/v1/accounts/:account_id/courses", Status: 502, Effect: true},
		"truncated":   {Route: "POST /api/v1/accounts/:account_id/courses", Truncate: true, TruncateAt: 5},
	} {
		t.Run(name, func(t *testing.T) {
			fake := &canvastest.Server{}
			fake.Inject(fault)
			c := newClient(t, fake.Client())
			_, err := c.Do(t.Context(), canvas.Request{Method: "POST", Path: canvas.Path("accounts", "self", "courses"), Form: url.Values{"course[name]": {"once"}}}, nil)
			require.Error(t, err)
			assert.False(t, runbook.SafeToRetry(err))
			assert.Equal(t, 1, fake.Stats().Routes["POST /api/v1/accounts/:account_id/courses"])
		})
	}
	t.Run("rejected, then whole", func(t *testing.T) {
		var bodies []string
		n := 0
		host := &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			bodies = append(bodies, string(body))
			if n++; n == 1 {
				return answering(429, "429", "Content-Type", "text/plain", "X-Request-Cost", "", "X-Rate-Limit-Remaining", "500").Transport.RoundTrip(r)
			}
			return answering(201, `{}`).Transport.RoundTrip(r)
		})}
		_, err := newClient(t, host).Do(t.Context(), canvas.Request{Method: "POST", Path: "/api/v1/x", JSON: "all"}, nil)
		require.NoError(t, err)
		assert.Equal(t, []string{`"all"`, `"all"`}, bodies)
	})
}

// Requirement: CV-GRAPHQL-ERRORS
func TestGraphQL(t *testing.T) {
	fake := &canvastest.Server{}
	course := fake.Add(canvastest.Courses, canvastest.RootAccount, canvastest.Object{"name": "Biology"})
	c := newClient(t, fake.Client())
	var out struct {
		Course struct {
			ID   canvas.ID `json:"_id"`
			Name string
		}
	}
	err := c.GraphQL(t.Context(), canvas.GraphQL{
		Document: `query($id: ID!) { course(id: $id) { _id name } }`, Variables: map[string]any{"id": canvas.ID(course).String()},
	}, &out)
	require.NoError(t, err)
	assert.Equal(t, "Biology", out.Course.Name)
	assert.Equal(t, canvas.ID(course), out.Course.ID)
	err = c.GraphQL(t.Context(), canvas.GraphQL{Document: `{ nonsense }`}, &out)
	e, ok := errors.AsType[*canvas.Error](err)
	require.True(t, ok)
	assert.Equal(t, "graphql", e.Code)
	assert.Equal(t, 200, e.Status)
	assert.NotEmpty(t, e.Problems)
	require.Error(t, newClient(t, answering(200, `{}`)).GraphQL(t.Context(), canvas.GraphQL{Document: "{a}"}, nil))
}

// Requirement: CV-GOTCHA-13, CV-GOTCHA-3, CV-GOTCHA-4, CV-GOTCHA-1
func TestFields(t *testing.T) {
	type course struct {
		ID    canvas.ID                `json:"id"`
		SIS   canvas.Null[string]      `json:"sis_course_id,omitzero"`
		End   canvas.Null[canvas.Time] `json:"end_at,omitzero"`
		Start canvas.Null[canvas.Time] `json:"start_at,omitzero"`
		Count canvas.Null[int]         `json:"count,omitzero"`
	}
	var c course
	require.NoError(t, json.Unmarshal([]byte(`{"id":"10000000000000001","end_at":null,"start_at":"2026-02-03T04:05:06-06:00","count":0,"brand_new":[1]}`), &c))
	assert.Equal(t, canvas.ID(10000000000000001), c.ID)
	assert.True(t, c.SIS.IsZero())
	assert.True(t, c.End.IsNull())
	start, ok := c.Start.Get()
	assert.True(t, ok)
	assert.Equal(t, "2026-02-03T10:05:06Z", start.UTC().Format(time.RFC3339))
	count, ok := c.Count.Get()
	assert.True(t, ok)
	assert.Zero(t, count)
	assert.Equal(t, "none", c.SIS.Or("none"))
	out, err := json.Marshal(course{ID: 5, End: canvas.NullValue[canvas.Time](), Count: canvas.Value(3)})
	require.NoError(t, err)
	assert.JSONEq(t, `{"id":5,"end_at":null,"count":3}`, string(out))
}

func TestIDs(t *testing.T) {
	for text, want := range map[string]canvas.ID{"0": 0, "1": 1, "9223372036854775807": 9223372036854775807, "1~234": 10000000000234, "12~1": 120000000000001} {
		id, err := canvas.ParseID(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, id)
	}
	for _, text := range []string{"", "-1", "1.0", "1e3", "9223372036854775808", "1~", "~1", "1~2~3", "1~10000000000000", "922338~1", " 1", "0x1", "١"} {
		_, err := canvas.ParseID(text)
		require.Error(t, err, text)
	}
}

func FuzzID(f *testing.F) {
	f.Add(`"1~234"`)
	f.Add(`10000000000000001`)
	f.Fuzz(func(t *testing.T, text string) {
		var id canvas.ID
		if json.Unmarshal([]byte(text), &id) == nil {
			out, err := json.Marshal(id)
			require.NoError(t, err)
			var again canvas.ID
			require.NoError(t, json.Unmarshal(out, &again))
			assert.Equal(t, id, again)
			assert.GreaterOrEqual(t, id, canvas.ID(0))
		}
	})
}

func FuzzTime(f *testing.F) {
	for _, s := range []string{`"2026-02-03T04:05:06Z"`, `"2026-02-03T04:05:06.789-06:00"`, `"2026-02-03"`, `null`, `""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var at canvas.Time
		if json.Unmarshal([]byte(text), &at) == nil && at.UTC().Year() > 0 && at.UTC().Year() < 9999 {
			out, err := json.Marshal(at)
			require.NoError(t, err)
			var again canvas.Time
			require.NoError(t, json.Unmarshal(out, &again))
			assert.True(t, at.Equal(again.Time))
		}
	})
}

// Requirement: CV-GOTCHA-2
func TestPath(t *testing.T) {
	assert.Equal(t, "/api/v1/courses/sis_course_id:BIO-1/pages/a%2Fb%20c", canvas.Path("courses", string(canvas.SIS("sis_course_id", "BIO-1")), "pages", "a/b c"))
	assert.Equal(t, "/api/v1/users/self", canvas.Path("users", string(canvas.Self)))
	assert.Equal(t, canvas.Ref("hex:sis_user_id:6a2e64"), canvas.SIS("sis_user_id", "j.d"))
	assert.Equal(t, canvas.Ref("7"), canvas.ID(7).Ref())
}
