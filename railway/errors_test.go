package railway_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
)

// The messages are those that Railway's documentation, its command line (railwayapp/cli
// src/client.rs, src/errors.rs) and recorded answers (alchemy-run/distilled) have.
// Their codes say nothing.
//
// Requirement: RW-ERROR-CODE, RW-ERROR-2FA, RW-ERROR-GATEWAY, RW-G1
func TestClassification(t *testing.T) {
	const internal = "INTERNAL_SERVER_ERROR"
	for _, test := range []struct {
		message, code string
		status        int
		kind          error
		refused       bool
		gateway       bool
	}{
		{"Not Authorized", internal, 200, railway.ErrNotAuthorized, true, false},
		{"not authorized", "", 200, railway.ErrNotAuthorized, true, false},
		{"Project Token not found", internal, 200, railway.ErrNotAuthorized, true, false},
		{"Project not found", internal, 200, incident.ErrNotFound, true, false},
		{"Deployment not found.", internal, 200, incident.ErrNotFound, true, false},
		{"Commit not found", internal, 200, incident.ErrNotFound, true, false},
		{"Two Factor Authentication Required", internal, 200, railway.ErrTwoFactor, true, false},
		{"Problem processing request", "", 200, nil, false, true},
		{`Cannot query field "canRollback" on type "Deployment".`, "GRAPHQL_VALIDATION_FAILED", 400, railway.ErrSchemaDrift, true, false},
		{`Unknown argument "startDate" on field "Query.httpLogs".`, "GRAPHQL_VALIDATION_FAILED", 400, railway.ErrSchemaDrift, true, false},
		{`Unknown type "WebhookCreateInput".`, "", 400, railway.ErrSchemaDrift, true, false},
		{"Syntax Error: Unexpected Name", "GRAPHQL_PARSE_FAILED", 400, railway.ErrSchemaDrift, true, false},
		{"Name is too long", "BAD_USER_INPUT", 200, nil, true, false},
		{"Bad Request", "", 400, nil, true, false},
		{"The host could not be found in the list", internal, 200, nil, false, false},
		{"Something went wrong", internal, 200, nil, false, false},
		{"", "", 200, nil, false, false},
		{"", "", 500, nil, false, false},
	} {
		refused, gateway, kind := railway.Classify(test.message, test.code, test.status)
		assert.Equal(t, test.kind, kind, test.message)
		assert.Equal(t, test.refused, refused, "refused: %s", test.message)
		assert.Equal(t, test.gateway, gateway, "gateway: %s", test.message)
	}
}

// Requirement: RW-ERROR-2FA
func TestNotPermitted(t *testing.T) {
	for message, kind := range map[string]error{"Not Authorized": railway.ErrNotAuthorized, "Two Factor Authentication Required": railway.ErrTwoFactor} {
		body := fmt.Sprintf(`{"data":null,"errors":[{"message":%q,"extensions":{"code":"INTERNAL_SERVER_ERROR","workspaceName":"ACU"}}]}`, message)
		_, err := coreSend(t.Context(), coreClient(t, coreAlways(http.StatusOK, body), nil), coreMutation)
		require.ErrorIs(t, err, kind)
		assert.ErrorIs(t, err, incident.ErrNotPermitted)
		assert.True(t, runbook.SafeToRetry(err))
	}
}

func TestErrorTexts(t *testing.T) {
	says := func(status int, body string, headers ...string) *coreTransport {
		return coreAlways(status, body, headers...)
	}
	const prefix = "railway: do something: "
	for want, answer := range map[string]*coreTransport{
		"status 502": says(502, `{}`),
		"status 503": says(503, `<html>`),
		"no data":    says(200, `{"data":null}`),
		"Problem processing request (trace 4711)": says(200, gatewayBody),
		"status 429: too many requests: the edge's limit of requests, which does not say for how long (wait 15m0s)": says(429, "error code: 1015"),
		"status 429: too many requests (wait 6h0m0s)":                                                               says(429, "{}", "Retry-After", "21600", "X-RateLimit-Limit", "1000"),
		`status 400: the API has changed: Cannot query field "x" on type "Y".`:                                      says(400, `{"errors":[{"message":"Cannot query field \"x\" on type \"Y\".","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`),
		"Name  [31m is taken":   says(200, `{"errors":[{"message":"Name \u001b[31m is taken"}],"data":null}`),
		"INTERNAL_SERVER_ERROR": says(200, `{"errors":[{"message":"","extensions":{"code":"INTERNAL_SERVER_ERROR"}}],"data":null}`),
		"a second factor is required: Two Factor Authentication Required":                                                                  says(200, `{"errors":[{"message":"Two Factor Authentication Required"}]}`),
		"not authorized; the token is not valid: it was deleted, or is mistyped; make a new one in the settings of the account (trace t9)": says(200, `{"errors":[{"message":"Not Authorized","traceId":"t9"}],"data":null}`),
	} {
		_, err := coreSend(t.Context(), coreClient(t, answer, nil), coreMutation)
		assert.EqualError(t, err, prefix+want)
	}
}

// What Railway says of a call that carries values of variables may quote them, so it
// is shown only where it is one of the texts that are always the same.
//
// Requirement: RW-G2
func TestMessagesOfCallsWithValues(t *testing.T) {
	for message, want := range map[string]string{
		"Environment not found":                                    ": not found: Environment not found",
		"hunter2 not found":                                        ": not found",
		"Problem processing request":                               ": Problem processing request",
		"invalid value hunter2":                                    "",
		`Cannot query field "hunter2" on type "Value"`:             ": the API has changed",
		"Two Factor Authentication Required":                       ": a second factor is required: Two Factor Authentication Required",
		"Two Factor Authentication Required to write hunter2 here": ": a second factor is required",
	} {
		body, err := json.Marshal(map[string]any{"errors": []any{
			map[string]any{"message": message, "path": []any{"hunter2"}, "traceId": "the hunter2", "extensions": map[string]any{"code": "hunter2"}},
			map[string]any{"message": "hunter2"},
		}})
		require.NoError(t, err)
		var got coreValue
		err = railway.SendQuery(t.Context(), coreClient(t, coreAlways(200, string(body)), nil), true, coreMutation, nil, &got)
		assert.EqualError(t, err, "railway: do something"+want)
		assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), "hunter2")
	}
}

func TestManyErrors(t *testing.T) {
	var list []string
	for n := range 60 {
		list = append(list, fmt.Sprintf(`{"message":"%d%s"}`, n, strings.Repeat("x", 2000)))
	}
	_, err := coreSend(t.Context(), coreClient(t, coreAlways(200, `{"errors":[`+strings.Join(list, ",")+`]}`), nil), coreQuery)
	e, ok := errors.AsType[*railway.Error](err)
	require.True(t, ok)
	assert.Len(t, e.Others, 20)
	assert.Less(t, len(fmt.Sprintf("%+v", *e)), 12_000)
}

// Whatever answers, there is no panic, an error says what it may, and a mutation is
// never said to be safe to repeat by an answer that is not one.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{
		coreGood, gatewayBody, `{"data":null,"errors":[{"message":"Not found","path":["value",1]}]}`, `{"errors":[]}`, `{}`, `null`, `[]`, ``,
		`{"data":{"value":1}}`, `{"errors":[{"message":1}]}`, `{"errors":[{"extensions":7,"path":[{},null,-1.5e300]}],"data":{}}`, `error code: 1015`,
	} {
		for _, status := range []int{200, 400, 401, 429, 502} {
			f.Add(status, seed)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 || strings.Contains(strings.ToLower(body), "authorized") || strings.Contains(strings.ToLower(body), "token") {
			return // a diagnosis asks further
		}
		c := coreClient(t, coreAlways(status, body), func(cfg *railway.Config) { cfg.Budget.MaxWait = time.Nanosecond })
		_, err := coreSend(t.Context(), c, coreMutation)
		if err == nil {
			assert.True(t, json.Valid([]byte(body)))
			assert.Equal(t, 200, status)
			return
		}
		text := err.Error()
		assert.True(t, utf8.ValidString(text))
		assert.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
		if runbook.SafeToRetry(err) && status != http.StatusTooManyRequests {
			assert.True(t, json.Valid([]byte(body)), "only an answer that is one proves anything")
		}
	})
}

// Requirement: RW-ERROR-CODE
func FuzzClassify(f *testing.F) {
	f.Add("Not Authorized", "INTERNAL_SERVER_ERROR", 200)
	f.Add("Problem processing request", "", 200)
	f.Add("x not found", "BAD_USER_INPUT", 400)
	f.Fuzz(func(t *testing.T, message, code string, status int) {
		refused, gateway, kind := railway.Classify(message, code, status)
		if kind != nil {
			assert.True(t, refused, "what has a name was refused")
		}
		assert.False(t, refused && gateway)
		_, _, lower := railway.Classify(strings.ToLower(message), code, status)
		assert.Equal(t, kind, lower, "case says nothing")
	})
}
