package railway_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/incident"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/internal/gql"
)

const gatewayBody = `{"errors":[{"message":"Problem processing request","traceId":"4711"}],"data":null}`

type coreFault struct {
	name   string
	answer func(req *http.Request) (*http.Response, error)
	query  int // how many requests a query makes
	change int // how many a mutation makes
	safe   bool
	kind   error
	after  time.Duration // what the error says of the wait
}

func coreFaults() []coreFault {
	says := func(status int, body string, headers ...string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) { return coreAnswer(status, body, headers...), nil }
	}
	return []coreFault{
		{"refused", coreRefused, 4, 4, true, nil, 0},
		{"railway's limit", says(429, `{"errors":[{"message":"Too many requests"}]}`, "Retry-After", "2", "X-RateLimit-Limit", "1000", "X-RateLimit-Remaining", "0"), 4, 4, true, railway.ErrRateLimited, 2 * time.Second},
		{"a long limit", says(429, `{}`, "Retry-After", "1800", "X-RateLimit-Limit", "1000"), 1, 1, true, railway.ErrRateLimited, 30 * time.Minute},
		{"edge's limit", says(429, "error code: 1015", "Content-Type", "text/plain"), 1, 1, true, railway.ErrRateLimited, 15 * time.Minute},
		{"edge's limit in HTML", says(429, "<html>Error 1015 You are being rate limited</html>", "Content-Type", "text/html"), 1, 1, true, railway.ErrRateLimited, 15 * time.Minute},
		{"500", says(500, "oops"), 4, 1, false, nil, 0},
		{"502", says(502, "<html>bad gateway</html>"), 4, 1, false, nil, 0},
		{"503", says(503, "", "Retry-After", "1"), 4, 1, false, nil, time.Second},
		{"504 with data", says(504, coreGood), 4, 1, false, nil, 0},
		{"gateway", says(200, gatewayBody), 3, 1, false, nil, 0},
		{"null data", says(200, `{"data":null}`), 1, 1, false, nil, 0},
		{"no data", says(200, `{}`), 1, 1, false, nil, 0},
		{"null", says(200, `null`), 1, 1, false, nil, 0},
		{"nothing", says(200, ``), 1, 1, false, nil, 0},
		{"a list", says(200, `[{"data":{"value":true}}]`), 1, 1, false, nil, 0},
		{"HTML", says(200, `<!doctype html><title>Railway</title>`), 1, 1, false, nil, 0},
		{"another type", says(200, `{"data":{"value":"yes"}}`), 1, 1, false, nil, 0},
		{"errors that are none", says(200, `{"data":{"value":true},"errors":"x"}`), 1, 1, false, nil, 0},
		{"204", says(204, ``), 1, 1, false, nil, 0},
		{"refused as bad", says(400, `{"errors":[{"message":"Cannot query field","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`), 1, 1, true, railway.ErrSchemaDrift, 0},
		{"no permission", says(200, `{"data":null,"errors":[{"message":"Not Authorized","path":["value"],"extensions":{"code":"INTERNAL_SERVER_ERROR"}}]}`), 1, 1, true, railway.ErrNotAuthorized, 0},
		{"not found", says(200, `{"data":null,"errors":[{"message":"Deployment not found","path":["value"]}]}`), 1, 1, true, incident.ErrNotFound, 0},
		{"404 of a proxy", says(404, `not found`), 1, 1, false, nil, 0},
		{"hang", coreSilent, 4, 1, false, nil, 0},
		{"reset", func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset by peer") }, 4, 1, false, nil, 0},
	}
}

// Queries are asked again after failures that may pass, mutations only when it is
// proven that they were not run; and whether that is proven, the error knows.
//
// Requirement: RW-RETRY-RULE, RW-G2, RW-ERROR-GATEWAY, RW-PEER-TF-TIMEOUT
func TestWhatIsSentAgain(t *testing.T) {
	for _, f := range coreFaults() {
		for _, mutation := range []bool{false, true} {
			name, op, want := f.name+"/query", coreQuery, f.query
			if mutation {
				name, op, want = f.name+"/mutation", coreMutation, f.change
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					transport := &coreTransport{answer: func(_ int, req *http.Request) (*http.Response, error) { return f.answer(req) }}
					c := coreClient(t, transport, func(cfg *railway.Config) { cfg.Kind = railway.WorkspaceToken })
					got, err := coreSend(t.Context(), c, op)
					require.Error(t, err)
					e, ok := errors.AsType[*railway.Error](err)
					require.True(t, ok)
					if f.kind == railway.ErrNotAuthorized {
						want += 3 // the diagnosis, as each kind of token
					}
					assert.Equal(t, want, transport.requests())
					assert.Equal(t, f.safe, runbook.SafeToRetry(err), err)
					for _, kind := range []error{railway.ErrRateLimited, railway.ErrSchemaDrift, railway.ErrNotAuthorized, railway.ErrTwoFactor, incident.ErrNotFound} {
						assert.Equal(t, kind == f.kind, errors.Is(err, kind), "%v: %v", kind, err)
					}
					assert.Equal(t, f.after, e.RetryAfter.Round(time.Second))
					assert.False(t, errors.Is(err, incident.ErrOutcomeUnknown), "that is for who has read the state")
					if f.name != "504 with data" && f.name != "errors that are none" {
						assert.Zero(t, got)
					}
				})
			})
		}
	}
}

// Whatever goes wrong at first, a query has its answer in the end.
//
// Requirement: RW-RETRY-RULE, RW-PEER-TF-TIMEOUT
func TestQueriesGetTheirAnswer(t *testing.T) {
	for _, f := range coreFaults() {
		if f.query == 1 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &coreTransport{answer: func(n int, req *http.Request) (*http.Response, error) {
					if n < f.query {
						return f.answer(req)
					}
					return coreAnswer(http.StatusOK, coreGood), nil
				}}
				got, err := coreSend(t.Context(), coreClient(t, transport, nil), coreQuery)
				require.NoError(t, err)
				assert.True(t, got.Value)
				assert.Equal(t, f.query, transport.requests())
			})
		})
	}
}

// A mutation that a limit rejected, or that found no connection, is sent again and
// then run once.
//
// Requirement: RW-RETRY-RULE, RW-LIMIT-HEADERS
func TestMutationsThatWereNotRun(t *testing.T) {
	for _, f := range coreFaults() {
		if f.change == 1 {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport := &coreTransport{answer: func(n int, req *http.Request) (*http.Response, error) {
					if n == 1 {
						return f.answer(req)
					}
					return coreAnswer(http.StatusOK, coreGood), nil
				}}
				began := time.Now()
				got, err := coreSend(t.Context(), coreClient(t, transport, nil), coreMutation)
				require.NoError(t, err)
				assert.True(t, got.Value)
				assert.Equal(t, 2, transport.requests())
				assert.GreaterOrEqual(t, time.Since(began), f.after)
			})
		})
	}
}

// A later attempt that fails otherwise leaves it open whether a mutation was run.
func TestSafetyIsThatOfAllAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &coreTransport{answer: func(n int, req *http.Request) (*http.Response, error) {
			if n == 1 {
				return coreRefused(req)
			}
			return coreAnswer(http.StatusBadGateway, ""), nil
		}}
		_, err := coreSend(t.Context(), coreClient(t, transport, nil), coreMutation)
		require.Error(t, err)
		assert.Equal(t, 2, transport.requests())
		assert.False(t, runbook.SafeToRetry(err))
	})
}

// The answer breaks off after each number of bytes, noticed or not: nothing is
// believed, and a mutation is not sent again.
//
// Requirement: RW-RETRY-RULE, RW-G4
func TestAnswersThatBreakOff(t *testing.T) {
	for n := range len(coreGood) {
		for name, answer := range map[string]func() *http.Response{
			"reset":     func() *http.Response { return corePart(coreGood, n) },
			"unnoticed": func() *http.Response { return coreAnswer(http.StatusOK, coreGood[:n]) },
		} {
			synctest.Test(t, func(t *testing.T) {
				transport := &coreTransport{answer: func(int, *http.Request) (*http.Response, error) { return answer(), nil }}
				got, err := coreSend(t.Context(), coreClient(t, transport, nil), coreMutation)
				require.Error(t, err, "%s after %d", name, n)
				assert.False(t, runbook.SafeToRetry(err), "%s after %d", name, n)
				assert.Equal(t, 1, transport.requests(), "%s after %d", name, n)
				assert.Zero(t, got)
			})
		}
	}
}

// A refused connection of a real network, and not of a transport that plays one.
func TestRefusedConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := listener.Addr().String()
	require.NoError(t, listener.Close())
	c := coreClient(t, nil, func(cfg *railway.Config) { cfg.HTTP, cfg.Endpoint = nil, "http://"+address+"/graphql/v2" })
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // not for the repetitions
	defer cancel()
	_, err = coreSend(ctx, c, coreMutation)
	require.Error(t, err)
	assert.True(t, runbook.SafeToRetry(err), err)
	e, ok := errors.AsType[*railway.Error](err)
	require.True(t, ok)
	assert.Zero(t, e.Status, "we could not ask")
}

// Requirement: RW-ERROR-PARTIAL, RW-ERROR-TRACE
func TestPartialData(t *testing.T) {
	c := coreClient(t, coreAlways(http.StatusOK, `{"data":{"value":true,"other":null},"errors":[
		{"message":"Service not found","path":["other",0,"service"],"traceId":"abc-1","extensions":{"code":"INTERNAL_SERVER_ERROR"}},
		{"message":"Volume is busy"},{"message":"Three"}]}`), nil)
	got, err := coreSend(t.Context(), c, coreQuery)
	assert.True(t, got.Value, "data is kept")
	e, ok := errors.AsType[*railway.Error](err)
	require.True(t, ok)
	assert.True(t, e.Partial)
	assert.Equal(t, "Service not found", e.Message)
	assert.Equal(t, []string{"Volume is busy", "Three"}, e.Others)
	assert.Equal(t, "other.0.service", e.Path)
	assert.Equal(t, "abc-1", e.TraceID)
	assert.Equal(t, "INTERNAL_SERVER_ERROR", e.Code)
	assert.ErrorIs(t, err, incident.ErrNotFound)
	assert.EqualError(t, err, "railway: do something: not found: Service not found (trace abc-1)")
	assert.False(t, runbook.SafeToRetry(err), "what one field says is no proof for the others")
}

// An error below the field of a mutation says nothing of the mutation: it was run
// before.
//
// Requirement: RW-RETRY-RULE
func TestErrorsAfterAMutation(t *testing.T) {
	for body, safe := range map[string]bool{
		`{"data":null,"errors":[{"message":"Not found","path":["value"]}]}`:                                          true,
		`{"errors":[{"message":"Unknown argument","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`:              true,
		`{"data":null,"errors":[{"message":"Service not found","path":["value","service"]}]}`:                        false,
		`{"data":null,"errors":[{"message":"Deployment not found"},{"message":"Problem processing request"}]}`:       false,
		`{"data":null,"errors":[{"message":"Deployment not found"},{"message":"Instances","path":["value","i",0]}]}`: false,
		`{"data":{"value":null},"errors":[{"message":"Deployment not found","path":["value"]}]}`:                     false,
	} {
		_, err := coreSend(t.Context(), coreClient(t, coreAlways(http.StatusOK, body), nil), coreMutation)
		require.Error(t, err)
		assert.Equal(t, safe, runbook.SafeToRetry(err), body)
	}
}

func TestContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport := &coreTransport{answer: func(_ int, req *http.Request) (*http.Response, error) { return coreSilent(req) }}
		c := coreClient(t, transport, nil)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := coreSend(ctx, c, coreMutation)
		require.ErrorIs(t, err, context.Canceled)
		assert.True(t, runbook.SafeToRetry(err), "it was not sent")
		assert.Zero(t, transport.requests())

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err = coreSend(ctx, c, coreQuery)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		assert.Equal(t, 1, transport.requests())

		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = coreSend(ctx, c, coreMutation)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.False(t, runbook.SafeToRetry(err), "it was sent")
	})
}

// An answer that is too large ends the call, and is not kept.
func TestHugeAnswers(t *testing.T) {
	transport := &coreTransport{answer: func(int, *http.Request) (*http.Response, error) {
		resp := coreAnswer(http.StatusOK, "")
		resp.ContentLength = 65 << 20
		return resp, nil
	}}
	_, err := coreSend(t.Context(), coreClient(t, transport, nil), coreQuery)
	require.ErrorContains(t, err, "too large")
	assert.Equal(t, 1, transport.requests())
}

// What the API has gained since is no problem: keys that nobody asked for, and values
// of enums that did not exist.
//
// Requirement: RW-G1
func TestWhatIsNewIsTolerated(t *testing.T) {
	var got gql.DeploymentResponse
	c := coreClient(t, coreAlways(http.StatusOK, `{"data":{"deployment":{"id":"d","status":"CANCELLED","canRollback":true,"meta":{"new":[1]},"new":{"x":null},
		"instances":[{"id":"i","status":"FROZEN"}]},"other":1},"extensions":{"cost":7}}`), nil)
	require.NoError(t, railway.SendQuery(t.Context(), c, false, coreQuery, nil, &got))
	assert.Equal(t, gql.DeploymentStatus("CANCELLED"), got.Deployment.Status)
	assert.Equal(t, gql.DeploymentInstanceStatus("FROZEN"), got.Deployment.Instances[0].Status)
	assert.JSONEq(t, `{"new":[1]}`, string(*got.Deployment.Meta))
}

// A number of a decoding problem could be a secret.
func TestDecodingProblems(t *testing.T) {
	c := coreClient(t, coreAlways(http.StatusOK, `{"data":{"value":4711123}}`), nil)
	_, err := coreSend(t.Context(), c, coreQuery)
	require.EqualError(t, err, `railway: do something: unreadable: the answer is not what was asked for: field "data.value" has another type, number`)
	_, err = coreSend(t.Context(), coreClient(t, coreAlways(http.StatusOK, strings.Repeat(" ", 9)+"<"), nil), coreQuery)
	require.EqualError(t, err, `railway: do something: unreadable: the answer is not what was asked for: no JSON at byte 10`)
}
