package railway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/railway"
	"go.acu.edu.au/runbook/railway/internal/gql"
	"go.acu.edu.au/runbook/railway/railwaytest"
)

const subToken = "canary-1b7e-subscriptions"

// A subPeer is the other end of WebSockets in memory, which does what a test says.
type subPeer struct {
	// each is what it does on connection n, from 1.
	each func(ctx context.Context, n int, c *websocket.Conn)

	mu    sync.Mutex
	opens []time.Time
	sent  []*http.Request
}

// RoundTrip takes over a request for a WebSocket.
func (p *subPeer) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.opens, p.sent = append(p.opens, time.Now()), append(p.sent, r)
	n := len(p.opens)
	p.mu.Unlock()
	ours, theirs := net.Pipe()
	w := &subWriter{ResponseRecorder: httptest.NewRecorder(), conn: theirs}
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"graphql-transport-ws"}})
	if err != nil {
		return nil, err
	}
	go func() {
		p.each(r.Context(), n, c)
		_ = c.CloseNow()
	}()
	resp := w.Result()
	resp.Body, resp.Request = ours, r
	return resp, nil
}

func (p *subPeer) times() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opens
}

// subWriter is a response that can be taken over.
type subWriter struct {
	*httptest.ResponseRecorder
	conn net.Conn
}

func (w *subWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.conn, bufio.NewReadWriter(bufio.NewReader(w.conn), bufio.NewWriter(w.conn)), nil
}

// client makes a client whose WebSockets end at the peer.
func (p *subPeer) client(t testing.TB, change func(*railway.Config)) *railway.Client {
	t.Helper()
	cfg := railway.Config{Kind: railway.ProjectToken, Token: runbook.NewSecret(subToken), HTTP: &http.Client{Transport: p}}
	if change != nil {
		change(&cfg)
	}
	c, err := railway.New(cfg)
	require.NoError(t, err)
	return c
}

// subGreet answers the greeting of a client and returns what it subscribes to.
func subGreet(ctx context.Context, c *websocket.Conn) (subscribe string) {
	for {
		_, text, err := c.Read(ctx)
		if err != nil {
			return ""
		}
		var m struct{ Type string }
		_ = json.Unmarshal(text, &m)
		switch m.Type {
		case "connection_init":
			subSend(ctx, c, `{"type":"connection_ack"}`)
		case "subscribe":
			return string(text)
		}
	}
}

func subSend(ctx context.Context, c *websocket.Conn, text string) {
	_ = c.Write(ctx, websocket.MessageText, []byte(text)) // the client may have gone
}

func subNext(status string) string {
	return `{"id":"1","type":"next","payload":{"data":{"deployment":{"id":"d1","status":"` + status + `","instances":[]}}}}`
}

// subAll reads what a subscription tells, until it ends, or n things.
func subAll(t testing.TB, c *railway.Client, n int) (told []string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for text, err := range railway.SubscribeAgain(ctx, c, "d1") {
		if err != nil {
			return told, err
		}
		if told = append(told, text); len(told) == n {
			break
		}
	}
	return told, nil
}

// Requirement: RW-SUB-CLOSE
func TestSubscriptionCloseCodes(t *testing.T) {
	const broken = 1006 // no code: the connection just ends
	for code, opens := range map[int]int{
		1000: 1, 4004: 1, 4005: 1, 4400: 1, 4401: 1, 4403: 1, 4406: 1, 4409: 1, 4429: 1,
		broken: 3, 1001: 3, 1011: 3, 1012: 3, 4408: 3, 4500: 3,
	} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &subPeer{each: func(ctx context.Context, _ int, c *websocket.Conn) {
					subGreet(ctx, c)
					subSend(ctx, c, subNext("BUILDING"))
					if code != broken {
						_ = c.Close(websocket.StatusCode(code), "")
					}
				}}
				told, err := subAll(t, p.client(t, nil), 5)
				assert.Len(t, p.times(), opens)
				switch {
				case code == 1000:
					assert.NoError(t, err)
					assert.Equal(t, []string{"open", "BUILDING"}, told)
				case opens == 1:
					assert.ErrorIs(t, err, railway.ErrCannotSubscribe)
				default:
					assert.NoError(t, err)
					assert.Equal(t, []string{"open", "BUILDING", "open", "BUILDING", "open"}, told)
				}
				assert.Equal(t, opens == 1 && code != 1000, railway.IsFinal(code))
			})
		})
	}
}

// Requirement: RW-SUB-EMPTY
//
// Railway completes a subscription at once when it sheds load, or does not know the
// deployment yet.
func TestSubscriptionThatCompletesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &subPeer{each: func(ctx context.Context, n int, c *websocket.Conn) {
			subGreet(ctx, c)
			if n == 4 {
				subSend(ctx, c, subNext("SUCCESS"))
			}
			subSend(ctx, c, `{"id":"1","type":"complete"}`)
			_, _, _ = c.Read(ctx) // until the client has gone
		}}
		told, err := subAll(t, p.client(t, nil), 0)
		assert.NoError(t, err, "with data it is the end")
		assert.Equal(t, []string{"open", "open", "open", "open", "SUCCESS"}, told)
		subGrow(t, p.times(), 500*time.Millisecond)
	})
	synctest.Test(t, func(t *testing.T) {
		p := &subPeer{each: func(ctx context.Context, _ int, c *websocket.Conn) {
			subGreet(ctx, c)
			subSend(ctx, c, `{"id":"1","type":"complete"}`)
			_, _, _ = c.Read(ctx)
		}}
		_, err := subAll(t, p.client(t, nil), 0)
		assert.ErrorIs(t, err, railway.ErrCannotSubscribe)
		assert.Len(t, p.times(), 6)
		subGrow(t, p.times(), 500*time.Millisecond)
	})
}

// subGrow checks that waits grow, from between half and all of the first one.
func subGrow(t testing.TB, times []time.Time, wait time.Duration) {
	t.Helper()
	for i := range len(times) - 1 {
		got := times[i+1].Sub(times[i])
		assert.GreaterOrEqual(t, got, wait/2, "wait %d", i)
		assert.LessOrEqual(t, got, wait, "wait %d", i)
		wait *= 2
	}
}

// Requirement: RW-G18
//
// The handshake has 10 s, wherever it stops.
func TestSubscriptionHandshakeLimit(t *testing.T) {
	for name, each := range map[string]func(ctx context.Context, n int, c *websocket.Conn){
		"no acknowledgement": func(ctx context.Context, _ int, c *websocket.Conn) {
			for {
				if _, _, err := c.Read(ctx); err != nil {
					return
				}
			}
		},
		"nothing is read": func(ctx context.Context, _ int, _ *websocket.Conn) { <-ctx.Done() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &subPeer{each: each}
				began := time.Now()
				_, err := subAll(t, p.client(t, nil), 0)
				assert.ErrorIs(t, err, railway.ErrCannotSubscribe)
				assert.ErrorContains(t, err, "within 10s")
				assert.Len(t, p.times(), 6)
				waited := time.Since(began)
				assert.Greater(t, waited, 60*time.Second)
				assert.Less(t, waited, 80*time.Second)
			})
		})
	}
	t.Run("no answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			st := newLogStage(t)
			st.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.Hang, Times: -1})
			_, err := subAll(t, st.client, 0)
			assert.ErrorIs(t, err, railway.ErrCannotSubscribe)
		})
	})
}

// A ping of the protocol is answered, ours keep the connection open, and one that is
// dead is noticed.
func TestSubscriptionPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan string, 1)
		p := &subPeer{each: func(ctx context.Context, n int, c *websocket.Conn) {
			subGreet(ctx, c)
			subSend(ctx, c, `{"type":"ping"}`)
			_, text, _ := c.Read(ctx)
			if n == 1 {
				answers <- string(text)
				ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
				defer cancel()
				go func() { // reading is what answers our pings
					time.Sleep(9 * time.Minute)
					subSend(ctx, c, subNext("BUILDING"))
				}()
				_, _, _ = c.Read(ctx)
				return
			}
			<-ctx.Done() // and never answers
		}}
		began := time.Now()
		told, err := subAll(t, p.client(t, nil), 3)
		assert.NoError(t, err)
		assert.Equal(t, []string{"open", "BUILDING", "open"}, told, "a quiet connection that lives is kept")
		assert.JSONEq(t, `{"type":"pong"}`, <-answers)
		assert.InDelta(t, 10, time.Since(began).Minutes(), 0.2)
	})
	synctest.Test(t, func(t *testing.T) {
		p := &subPeer{each: func(ctx context.Context, n int, c *websocket.Conn) {
			subGreet(ctx, c)
			if n == 1 {
				<-ctx.Done()
				return
			}
			_, _, _ = c.Read(ctx)
		}}
		began := time.Now()
		told, err := subAll(t, p.client(t, nil), 2)
		assert.NoError(t, err)
		assert.Equal(t, []string{"open", "open"}, told)
		assert.Less(t, time.Since(began), 2*time.Minute, "a dead one is not")
	})
}

// Requirement: RW-TOKEN-KINDS, RW-PEER-LOCOMOTIVE-TOKEN
func TestSubscriptionRequest(t *testing.T) {
	for kind, want := range map[railway.TokenKind][2]string{
		railway.AccountToken:   {"Authorization", "Bearer " + subToken},
		railway.WorkspaceToken: {"Authorization", "Bearer " + subToken},
		railway.ProjectToken:   {"Project-Access-Token", subToken},
	} {
		synctest.Test(t, func(t *testing.T) {
			subscribed := make(chan string, 1)
			p := &subPeer{each: func(ctx context.Context, _ int, c *websocket.Conn) {
				subscribed <- subGreet(ctx, c)
				subSend(ctx, c, subNext("SUCCESS"))
				_, _, _ = c.Read(ctx)
			}}
			c := p.client(t, func(cfg *railway.Config) { cfg.Kind = kind })
			_, err := subAll(t, c, 2)
			require.NoError(t, err)
			r := p.sent[0]
			assert.Equal(t, "https://backboard.railway.com/graphql/v2?source=runbook", r.URL.String())
			assert.Equal(t, want[1], r.Header.Get(want[0]))
			assert.Equal(t, "graphql-transport-ws", r.Header.Get("Sec-Websocket-Protocol"))
			assert.Equal(t, railway.DefaultUserAgent, r.Header.Get("User-Agent"))
			assert.EqualValues(t, 1, c.Budget().Stats().Calls)
			text := <-subscribed
			assert.NotContains(t, text, subToken)
			assert.Contains(t, text, `"operationName":"FollowDeployment"`)
			assert.Contains(t, text, `"variables":{"id":"d1"}`)
		})
	}
}

// What the handshake answers decides: a limit is kept, a token does not follow a
// redirect, and nothing shows the token.
func TestSubscriptionHandshakeAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header http.Header
		opens  int
		is     error
	}{
		"no such address":   {status: 404, opens: 1},
		"not upgraded":      {status: 200, opens: 1},
		"redirect":          {status: 307, header: http.Header{"Location": {"https://elsewhere.example/"}}, opens: 1},
		"not authorized":    {status: 401, opens: 1, is: railway.ErrNotAuthorized},
		"too many requests": {status: 429, header: http.Header{"Retry-After": {"20"}, "X-Ratelimit-Limit": {"1000"}}, opens: 1, is: railway.ErrRateLimited},
		"bad gateway":       {status: 502, opens: 6},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var hosts []string
				cfg := railway.Config{Kind: railway.ProjectToken, Token: runbook.NewSecret(subToken), HTTP: &http.Client{
					Transport: logTransport(func(r *http.Request) (*http.Response, error) {
						hosts = append(hosts, r.URL.Host)
						h := c.header.Clone()
						if h == nil {
							h = http.Header{}
						}
						return &http.Response{StatusCode: c.status, Header: h, Body: http.NoBody, Request: r}, nil
					}),
				}}
				var calls []railway.CallInfo
				cfg.Hooks.OnCall = func(_ context.Context, i railway.CallInfo) { calls = append(calls, i) }
				client, err := railway.New(cfg)
				require.NoError(t, err)
				_, err = subAll(t, client, 0)
				require.ErrorIs(t, err, railway.ErrCannotSubscribe)
				assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, calls), subToken)
				assert.Len(t, hosts, c.opens)
				assert.Len(t, calls, c.opens)
				for _, host := range hosts {
					assert.Equal(t, "backboard.railway.com", host)
				}
				if c.is != nil {
					assert.ErrorIs(t, err, c.is)
				}
				if c.status == 429 {
					assert.InDelta(t, 20, time.Until(client.Budget().Stats().Blocked).Seconds(), 1)
				}
			})
		})
	}
	t.Run("a transport that quotes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p := &subPeer{}
			client := p.client(t, func(cfg *railway.Config) {
				cfg.HTTP.Transport = logTransport(func(r *http.Request) (*http.Response, error) {
					return nil, fmt.Errorf("dial with %s: %w", r.Header.Get("Project-Access-Token"), errors.New("no route to host"))
				})
			})
			_, err := subAll(t, client, 0)
			assert.ErrorContains(t, err, "no route to host")
			assert.NotContains(t, err.Error(), subToken)
		})
	})
}

// What Railway says in the protocol is an error as that of a call.
func TestSubscriptionErrors(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		opens   int
		is      error
	}{
		"not authorized": {`{"id":"1","type":"error","payload":[{"message":"Not Authorized"}]}`, 1, railway.ErrNotAuthorized},
		"drift":          {`{"id":"1","type":"error","payload":[{"message":"Cannot query field \"x\" on type \"Y\".","extensions":{"code":"GRAPHQL_VALIDATION_FAILED"}}]}`, 1, railway.ErrSchemaDrift},
		"internal":       {`{"id":"1","type":"error","payload":[{"message":"Oh no ` + subToken + `"}]}`, 6, nil},
		"no data":        {`{"id":"1","type":"next","payload":{"errors":[{"message":"Problem processing request"}],"data":null}}`, 6, nil},
		"nothing":        {`{"id":"1","type":"next","payload":{}}`, 6, nil},
		"another form":   {`{"id":"1","type":"next","payload":{"data":{"deployment":"` + subToken + `"}}}`, 1, nil},
		"no JSON":        {`<html>` + subToken, 6, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &subPeer{each: func(ctx context.Context, _ int, conn *websocket.Conn) {
					subGreet(ctx, conn)
					subSend(ctx, conn, c.message)
					_, _, _ = conn.Read(ctx)
				}}
				_, err := subAll(t, p.client(t, nil), 0)
				require.ErrorIs(t, err, railway.ErrCannotSubscribe)
				assert.NotContains(t, err.Error(), subToken)
				assert.Len(t, p.times(), c.opens)
				if c.is != nil {
					assert.ErrorIs(t, err, c.is)
				}
			})
		})
	}
}

// A subscription that is not opened again ends when it breaks, because what happened
// meanwhile would not be told.
func TestSubscriptionEndsWhenItBreaks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &subPeer{each: func(ctx context.Context, n int, c *websocket.Conn) {
			if n < 3 {
				return // before it is open it is tried again
			}
			subGreet(ctx, c)
			subSend(ctx, c, subNext("BUILDING"))
		}}
		var told []string
		var last error
		for status, err := range railway.Subscribe(t.Context(), p.client(t, nil), "d1") {
			if last = err; err == nil {
				told = append(told, status)
			}
		}
		assert.Equal(t, []string{"BUILDING"}, told)
		assert.ErrorIs(t, last, railway.ErrCannotSubscribe)
		assert.Len(t, p.times(), 3)
	})
}

// Leaving the loop and the end of ctx end everything that a subscription began.
func TestSubscriptionIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := make(chan string, 1)
		p := &subPeer{each: func(ctx context.Context, _ int, c *websocket.Conn) {
			subGreet(ctx, c)
			subSend(ctx, c, subNext("BUILDING"))
			_, text, _ := c.Read(context.WithoutCancel(ctx)) // what was said before it ended
			said <- string(text)
		}}
		c := p.client(t, nil)
		told, err := subAll(t, c, 2)
		assert.NoError(t, err)
		assert.Equal(t, []string{"open", "BUILDING"}, told)
		assert.JSONEq(t, `{"id":"1","type":"complete"}`, <-said)

		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		var last error
		for _, err := range railway.SubscribeAgain(ctx, c, "d1") {
			last = err
		}
		assert.ErrorIs(t, last, context.Canceled)
		assert.NotErrorIs(t, last, railway.ErrCannotSubscribe)
		assert.Empty(t, <-said)
	})
}

// Requirement: RW-G1
//
// The text of each subscription is complete, and valid against the schema.
func TestSubscriptionTexts(t *testing.T) {
	schema, err := gqlparser.LoadSchema(&ast.Source{Input: gql.Schema})
	require.NoError(t, err)
	all, err := gql.Documents()
	require.NoError(t, err)
	names := regexp.MustCompile(`(?m)^subscription (\w+)`).FindAllStringSubmatch(all, -1)
	assert.GreaterOrEqual(t, len(names), 4)
	for _, name := range names {
		text, err := gql.Subscription(name[1])
		require.NoError(t, err)
		_, problems := gqlparser.LoadQueryWithRules(schema, text, rules.NewDefaultRules())
		assert.Empty(t, problems, "%s", name[1])
	}
	_, err = gql.Subscription("FollowNothing")
	assert.Error(t, err)
}
