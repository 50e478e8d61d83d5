package railwaytest_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/railway/railwaytest"
)

// restart is a mutation whose effect can be counted.
const restart = `mutation Restart($id: String!) { deploymentRestart(id: $id) }`

// restart sends it.
func (c *school) restart() reply {
	c.t.Helper()
	return c.raw(restart, vars{"id": c.s.Newest(c.production, c.api)})
}

// TestLostAnswer shows the failures that leave a client in doubt, and that those
// that come before the effect have none.
//
// Requirement: RW-TEST-LOST-ANSWER
func TestLostAnswer(t *testing.T) {
	const gateway = `"message":"Problem processing request"`
	cases := map[string]struct {
		kind   railwaytest.FaultKind
		effect bool
		check  func(t *testing.T, got reply)
	}{
		"lost": {railwaytest.LoseAnswer, true, func(t *testing.T, got reply) { require.ErrorIs(t, got.err, syscall.ECONNRESET) }},
		"cut": {railwaytest.Cut, true, func(t *testing.T, got reply) {
			require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
			require.Equal(t, `{"dat`, got.body)
		}},
		"bad gateway after": {railwaytest.BadGatewayAfter, true, func(t *testing.T, got reply) { require.Equal(t, http.StatusBadGateway, got.status) }},
		"bad gateway":       {railwaytest.BadGateway, false, func(t *testing.T, got reply) { require.Equal(t, http.StatusBadGateway, got.status) }},
		"gateway after": {railwaytest.GatewayAfter, true, func(t *testing.T, got reply) {
			require.Equal(t, http.StatusOK, got.status)
			require.Contains(t, got.body, gateway)
		}},
		"gateway": {railwaytest.Gateway, false, func(t *testing.T, got reply) {
			require.Equal(t, http.StatusOK, got.status)
			require.Contains(t, got.body, gateway)
		}},
		"refused": {railwaytest.Refuse, false, func(t *testing.T, got reply) {
			p := got.problem(t)
			require.Equal(t, "Deployment is not restartable", p.Message)
			require.Equal(t, "SOME_CODE", p.Extensions.Code)
			require.Equal(t, []any{"deploymentRestart"}, p.Path)
		}},
		"not authorized": {railwaytest.NotAuthorized, false, func(t *testing.T, got reply) { require.Equal(t, "Not Authorized", got.problem(t).Message) }},
		"null data":      {railwaytest.NullData, false, func(t *testing.T, got reply) { require.JSONEq(t, `{"data":null}`, got.body) }},
		"partial": {railwaytest.Partial, true, func(t *testing.T, got reply) {
			require.Contains(t, got.body, `"data":{"deploymentRestart":true}`)
			require.Equal(t, "Deployment is not restartable", got.problem(t).Message)
		}},
		"unreachable": {railwaytest.Unreachable, false, func(t *testing.T, got reply) { require.ErrorIs(t, got.err, syscall.ECONNREFUSED) }},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				c.s.Fail(railwaytest.Fault{Op: "deploymentRestart", Kind: test.kind, Bytes: 5, Message: "Deployment is not restartable", Code: "SOME_CODE"})
				test.check(t, c.restart())
				effects := 0
				if test.effect {
					effects = 1
				}
				require.Len(t, c.s.Effects(), effects)
				require.JSONEq(t, `{"data":{"deploymentRestart":true}}`, c.restart().body, "a fault is once")
				require.Len(t, c.s.Effects(), effects+1)
			})
		})
	}
}

// TestCutAnywhere breaks the connection after every byte of an answer.
//
// Requirement: RW-TEST-LOST-ANSWER
func TestCutAnywhere(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		whole := c.restart().body
		for n := range len(whole) {
			c.s.Fail(railwaytest.Fault{Kind: railwaytest.Cut, Bytes: n})
			got := c.restart()
			require.ErrorIs(t, got.err, io.ErrUnexpectedEOF)
			require.Equal(t, whole[:n], got.body)
		}
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Cut, Bytes: len(whole)})
		got := c.restart()
		require.NoError(t, got.err, "nothing was missing")
		require.Equal(t, whole, got.body)
		require.Len(t, c.s.Effects(), len(whole)+2)
	})
}

// TestHang shows an operation that is done, and is not answered until the client
// gives up.
//
// Requirement: RW-TEST-LOST-ANSWER
func TestHang(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Hang})
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address,
			strings.NewReader(document(restart, vars{"id": c.s.Newest(c.production, c.api)})))
		require.NoError(t, err)
		req.Header = bearer(c.account)
		req.Header.Set("Content-Type", "application/json")
		start := time.Now()
		_, err = c.s.Client().Do(req)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 90*time.Second, time.Since(start))
		require.Len(t, c.s.Effects(), 1)
	})
}

// TestWhatFaultsAreAbout covers the names that a fault can have.
func TestWhatFaultsAreAbout(t *testing.T) {
	const query = `query Look { platformStatus { isStable } }`
	cases := map[string]struct{ query, mutation bool }{
		"":                  {false, true},
		"query:*":           {true, false},
		"mutation:*":        {false, true},
		"subscription:*":    {false, false},
		"Look":              {true, false},
		"platformStatus":    {true, false},
		"Restart":           {false, true},
		"deploymentRestart": {false, true},
		"up":                {false, false},
	}
	for op, want := range cases {
		t.Run(fmt.Sprintf("%q", op), func(t *testing.T) {
			inSchool(t, func(t *testing.T, c *school) {
				c.s.Fail(railwaytest.Fault{Op: op, Kind: railwaytest.BadGateway, Times: -1})
				for range 2 {
					assert.Equal(t, want.query, c.raw(query, nil).status == http.StatusBadGateway)
					assert.Equal(t, want.mutation, c.restart().status == http.StatusBadGateway)
				}
				assert.Equal(t, []string{"Look", "Restart", "Look", "Restart"}, c.s.Calls(), "they were received all the same")
			})
		})
	}
}

// TestFaultsInOrder shows that faults come in the order in which they were given.
func TestFaultsInOrder(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.BadGateway, Times: 2})
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.Unreachable})
		c.s.Fail(railwaytest.Fault{Kind: railwaytest.NullData})
		assert.Equal(t, http.StatusBadGateway, c.restart().status)
		assert.Equal(t, http.StatusBadGateway, c.restart().status)
		require.ErrorIs(t, c.restart().err, syscall.ECONNREFUSED)
		assert.JSONEq(t, `{"data":null}`, c.restart().body)
		assert.JSONEq(t, `{"data":{"deploymentRestart":true}}`, c.restart().body)
		assert.Len(t, c.s.Calls(), 4, "what does not get there is not received")
	})
}

// TestUploadFaults covers the one thing that is not GraphQL.
func TestUploadFaults(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		url := "https://backboard.railway.com/project/" + c.project + "/environment/" + c.production + "/up?serviceId=" + c.api
		h := bearer(c.account)
		var b strings.Builder
		z := gzip.NewWriter(&b)
		require.NoError(t, z.Close())
		code := b.String()
		assert.Equal(t, http.StatusBadRequest, c.post(url, code, h).status, "the Content-Type is another")
		h.Set("Content-Type", "application/gzip")
		c.s.Fail(railwaytest.Fault{Op: "up", Kind: railwaytest.BadGateway})
		assert.Equal(t, http.StatusBadGateway, c.post(url, code, h).status)
		c.s.Fail(railwaytest.Fault{Op: "up", Kind: railwaytest.Refuse, Message: "No space"})
		got := c.post(url, code, h)
		assert.Equal(t, http.StatusBadRequest, got.status)
		assert.JSONEq(t, `{"message":"No space"}`, got.body)
		assert.Empty(t, c.s.Effects())
		before := c.s.Newest(c.production, c.api)
		c.s.Fail(railwaytest.Fault{Op: "up", Kind: railwaytest.LoseAnswer})
		assert.ErrorIs(t, c.post(url, code, h).err, syscall.ECONNRESET)
		assert.Len(t, c.s.Effects(), 1)
		settle()
		assert.NotEqual(t, before, c.s.Newest(c.production, c.api))
		assert.Equal(t, []string{"up", "up", "up", "up"}, c.s.Calls())
	})
}

// TestBreak takes the server from the network.
func TestBreak(t *testing.T) {
	inSchool(t, func(t *testing.T, c *school) {
		f := c.follow(`subscription S($id: String!) { deployment(id: $id) { status } }`, vars{"id": c.s.Newest(c.production, c.api)})
		defer f.close()
		require.NotNil(t, f.next())
		c.s.Break(true)
		_, _, err := f.conn.Read(t.Context())
		require.True(t, errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF), err)
		require.ErrorIs(t, c.restart().err, syscall.ECONNREFUSED)
		c.s.Break(false)
		require.Equal(t, http.StatusOK, c.restart().status)
		require.Len(t, c.s.Effects(), 1)
	})
}
