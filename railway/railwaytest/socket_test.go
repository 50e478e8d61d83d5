package railwaytest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

const (
	socketAddress = "wss://backboard.railway.com/graphql/v2?source=test"
	followLogs    = `subscription Logs($id: String!) { deploymentLogs(deploymentId: $id) { message } }`
)

// dial opens a WebSocket without saying anything on it.
func (c *school) dial(header http.Header, protocols ...string) (*follower, *http.Response, error) {
	c.t.Helper()
	conn, resp, err := websocket.Dial(c.t.Context(), socketAddress, &websocket.DialOptions{
		HTTPClient: c.s.Client(), HTTPHeader: header, Subprotocols: protocols,
	})
	return &follower{c, conn}, resp, err
}

func (c *school) open(header http.Header) *follower {
	c.t.Helper()
	f, _, err := c.dial(header, "graphql-transport-ws")
	require.NoError(c.t, err)
	return f
}

// code waits for the end of a socket, whatever comes before, and returns its code.
func (f *follower) code() websocket.StatusCode {
	f.c.t.Helper()
	for {
		if _, _, err := f.conn.Read(f.c.t.Context()); err != nil {
			return websocket.CloseStatus(err)
		}
	}
}

// logs returns the messages of the log lines of a message.
func logs(t *testing.T, m socketMessage) (lines []string) {
	t.Helper()
	require.Equal(t, "next", m.Type)
	var payload struct {
		Data struct {
			DeploymentLogs []struct{ Message string }
		}
	}
	require.NoError(t, json.Unmarshal(m.Payload, &payload))
	for _, l := range payload.Data.DeploymentLogs {
		lines = append(lines, l.Message)
	}
	return lines
}

// TestSubscription follows a log as Railway's command line does.
func TestSubscription(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		settle()
		c.s.Print(id, "one")
		f := c.follow(followLogs, vars{"id": id})
		defer f.close()
		require.Equal(t, []string{"one"}, logs(t, f.read()))
		c.s.Print(id, "two")
		require.Equal(t, []string{"two"}, logs(t, f.read()))
		f.send("", "ping", vars{"n": 1})
		pong := f.read()
		require.Equal(t, "pong", pong.Type)
		require.JSONEq(t, `{"n":1}`, string(pong.Payload))

		// Two at a time, and one of them ends.
		f.send("2", "subscribe", vars{"query": `subscription D($id: String!) { deployment(id: $id) { id } }`, "variables": vars{"id": id}})
		m := f.read()
		require.Equal(t, "2", m.ID)
		require.JSONEq(t, `{"data":{"deployment":{"id":"`+id+`"}}}`, string(m.Payload))
		f.send("1", "complete", nil)
		synctest.Wait()
		c.s.Print(id, "three")
		f.send("1", "subscribe", vars{"query": followLogs, "variables": vars{"id": id}})
		require.Equal(t, []string{"one", "two", "three"}, logs(t, f.read()), "an ID can be used again")
		require.Equal(t, []string{"subscription:Logs", "subscription:D", "subscription:Logs"}, c.s.Calls())
	})
}

// TestSocketCodes covers the ends that the protocol has.
func TestSocketCodes(t *testing.T) {
	subscribe := func(c *school) vars {
		return vars{"query": followLogs, "variables": vars{"id": c.s.Newest(c.production, c.api)}}
	}
	start := func(c *school) *follower {
		f := c.open(bearer(c.account))
		f.send("", "connection_init", nil)
		require.Equal(c.t, "connection_ack", f.read().Type)
		return f
	}
	cases := map[string]struct {
		want websocket.StatusCode
		do   func(c *school) *follower
	}{
		"no JSON": {4400, func(c *school) *follower {
			f := c.open(bearer(c.account))
			require.NoError(c.t, f.conn.Write(c.t.Context(), websocket.MessageText, []byte("hello")))
			return f
		}},
		"unknown message": {4400, func(c *school) *follower { f := start(c); f.send("", "stop", nil); return f }},
		"no query":        {4400, func(c *school) *follower { f := start(c); f.send("1", "subscribe", vars{}); return f }},
		"too early": {4401, func(c *school) *follower {
			f := c.open(bearer(c.account))
			f.send("1", "subscribe", subscribe(c))
			return f
		}},
		"dead token": {4403, func(c *school) *follower { f := c.open(bearer("dead")); f.send("", "connection_init", nil); return f }},
		"no token":   {4403, func(c *school) *follower { f := c.open(nil); f.send("", "connection_init", vars{}); return f }},
		"other protocol": {4406, func(c *school) *follower {
			f, _, err := c.dial(bearer(c.account), "graphql-ws")
			require.NoError(c.t, err)
			return f
		}},
		"silence": {4408, func(c *school) *follower { return c.open(bearer(c.account)) }},
		"same ID": {4409, func(c *school) *follower {
			f := start(c)
			f.send("1", "subscribe", subscribe(c))
			f.send("1", "subscribe", subscribe(c))
			return f
		}},
		"two greetings": {4429, func(c *school) *follower { f := start(c); f.send("", "connection_init", nil); return f }},
		"nothing there": {4500, func(c *school) *follower {
			f := start(c)
			f.send("1", "subscribe", vars{"query": followLogs, "variables": vars{"id": "x"}})
			return f
		}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				f := test.do(c)
				defer f.close()
				require.Equal(t, test.want, f.code())
			})
		})
	}
}

// TestSocketTokens shows the ways to say who one is.
func TestSocketTokens(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		project := c.s.AddToken(railwaytest.Token{Kind: "project", Project: c.project, Environment: c.beta})
		greet := func(header http.Header, payload any) *follower {
			f := c.open(header)
			f.send("", "connection_init", payload)
			return f
		}
		for _, f := range []*follower{
			greet(bearer(c.account), nil),
			greet(http.Header{"Project-Access-Token": {project}}, vars{}),
			greet(nil, vars{"Authorization": "Bearer " + c.account}),
		} {
			require.Equal(t, "connection_ack", f.read().Type)
			f.close()
		}
		f := greet(nil, vars{"Authorization": "Bearer " + project})
		require.Equal(t, websocket.StatusCode(4403), f.code(), "that is the wrong header")
		f = greet(http.Header{"Project-Access-Token": {project}}, nil)
		require.Equal(t, "connection_ack", f.read().Type)
		f.send("1", "subscribe", vars{"query": followLogs, "variables": vars{"id": c.s.Newest(c.production, c.api)}})
		require.Equal(t, websocket.StatusCode(4500), f.code(), "that is another environment")
	})
}

// TestSubscriptionRefused covers documents that are no subscription.
//
// Requirement: RW-TEST-UNKNOWN-FIELD
func TestSubscriptionRefused(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		for query, want := range map[string]string{
			`subscription { deploymentLogs(deploymentId: "x") { colour } }`:                  `Cannot query field "colour" on type "Log".`,
			`subscription S($id: String!) { deploymentLogs(deploymentId: $id) { message } }`: `Variable "$id" of required type "String!" was not provided.`,
			`query { me { id } }`: "Only subscriptions",
		} {
			f := c.follow(query, nil)
			m := f.read()
			require.Equal(t, "error", m.Type)
			require.Equal(t, "1", m.ID)
			require.Contains(t, string(m.Payload), `"traceId"`)
			var list []problem
			require.NoError(t, json.Unmarshal(m.Payload, &list))
			require.Contains(t, list[0].Message, want)
			f.close()
		}
	})
}

// TestSocketFaults covers what goes wrong with subscriptions.
func TestSocketFaults(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		id := c.s.Newest(c.production, c.api)
		settle()
		follow := func() *follower { return c.follow(followLogs, vars{"id": id}) }
		c.s.Print(id, "one")

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.DropSocket, Bytes: 2})
		f := follow()
		require.Equal(t, []string{"one"}, logs(t, f.read()))
		c.s.Print(id, "two")
		require.Equal(t, []string{"two"}, logs(t, f.read()))
		require.Equal(t, websocket.StatusCode(-1), f.code(), "it breaks without a word")

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Duplicate, Op: "deploymentLogs"})
		c.must(`query Q($id: String!) { deploymentLogs(deploymentId: $id) { message } }`, vars{"id": id}) // which the fault is not about
		f = follow()
		require.Equal(t, []string{"one"}, logs(t, f.read()), "again")
		require.Equal(t, []string{"two"}, logs(t, f.read()), "again")
		require.Equal(t, []string{"one", "two"}, logs(t, f.read()))
		f.close()

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.DropSocket, Op: "subscription:deploymentLogs"})
		f = follow()
		require.Equal(t, websocket.StatusCode(-1), f.code())

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Complete})
		f = follow()
		require.Equal(t, "complete", f.read().Type)
		f.close()

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Refuse, Op: "Logs", Message: "No logs today"})
		f = follow()
		m := f.read()
		require.Equal(t, "error", m.Type)
		require.Contains(t, string(m.Payload), "No logs today")
		f.close()

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.NotAuthorized, Op: "subscription:*"})
		f = follow()
		require.Equal(t, websocket.StatusCode(4500), f.code())

		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Hang, Op: "Logs"})
		f = follow()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, _, err := f.conn.Read(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
	})
}

// TestOpeningFails covers what goes wrong before there is a WebSocket.
func TestOpeningFails(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		for kind, status := range map[railwaytest.FaultKind]int{
			railwaytest.BadGateway: http.StatusBadGateway, railwaytest.Limit: http.StatusTooManyRequests,
			railwaytest.EdgeLimit: http.StatusTooManyRequests, railwaytest.NotAuthorized: http.StatusUnauthorized,
		} {
			c.s.Fail(railwaytest.Fault{Op: "socket", Kind: kind})
			_, resp, err := c.dial(bearer(c.account), "graphql-transport-ws")
			require.Error(t, err)
			require.Equal(t, status, resp.StatusCode)
		}
		c.s.Fail(railwaytest.Fault{Op: "socket", Kind: railwaytest.Unreachable})
		_, _, err := c.dial(bearer(c.account), "graphql-transport-ws")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		c.open(bearer(c.account)).close()

		// Opening one counts as a request, what comes over it does not.
		got := c.raw(ask, nil)
		require.Equal(t, "9998", got.header.Get("X-RateLimit-Remaining"))
	})
}

// TestSocketOnPort follows over a real connection.
func TestSocketOnPort(t *testing.T) {
	c := newSchool(t)
	server := httptest.NewServer(c.s)
	defer server.Close()
	conn, _, err := websocket.Dial(t.Context(), server.URL+"/graphql/v2?source=cli", &websocket.DialOptions{
		HTTPHeader: bearer(c.account), Subprotocols: []string{"graphql-transport-ws"},
	})
	require.NoError(t, err)
	f := &follower{c, conn}
	defer f.close()
	f.send("", "connection_init", nil)
	require.Equal(t, "connection_ack", f.read().Type)
	id := c.s.Newest(c.production, c.api)
	f.send("1", "subscribe", vars{"query": `subscription D($id: String!) { deployment(id: $id) { id status } }`, "variables": vars{"id": id}})
	assert.Equal(t, vars{"deployment": map[string]any{"id": id, "status": "SUCCESS"}}, f.next())
}
