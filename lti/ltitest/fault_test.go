package ltitest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// try makes a request that may fail.
func (w *world) try(ctx context.Context, address string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	require.NoError(w.t, err)
	resp, err := w.http.Do(req)
	if err != nil {
		return 0, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// TestFaults: what goes wrong, and for whom.
func TestFaults(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	keys := w.p.Endpoints().JWKSURL
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.TokenEndpoint, Times: -1, Status: 500})
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Skip: 1, Times: 2, Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"7"}}})
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Reset: true})
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Truncate: true})
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.KeySet, Status: http.StatusTeapot, Body: []byte("tea")})

	// While the first lets one pass, the next ones have their turn.
	_, _, err := w.try(t.Context(), keys)
	require.ErrorIs(t, err, syscall.ECONNRESET)
	for range 2 {
		status, _, err := w.try(t.Context(), keys)
		require.NoError(t, err)
		assert.Equal(t, http.StatusServiceUnavailable, status)
	}
	status, _, err := w.try(t.Context(), keys)
	assert.Equal(t, http.StatusOK, status)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	status, body, err := w.try(t.Context(), keys)
	require.NoError(t, err)
	assert.Equal(t, http.StatusTeapot, status)
	assert.Equal(t, "tea", string(body))
	status, _, err = w.try(t.Context(), keys)
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, 6, w.p.Count(ltitest.KeySet))

	assert.Equal(t, 500, w.grant(nil, nil, nil).status)
	w.p.ClearFaults()
	assert.Equal(t, 200, w.grant(nil, nil, nil).status)

	w.p.SetNetworkError(errors.New("no route"))
	_, _, err = w.try(t.Context(), keys)
	require.ErrorContains(t, err, "no route")
}

// TestFaultEffect: the answer can get lost after the effect, or before it.
func TestFaultEffect(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{})
	items := text(object(w.claims(ltitest.Message{}), agsClaim), "lineitems")
	auth := w.bearer()
	create := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, items, strings.NewReader(`{"label":"x","scoreMaximum":1}`))
		require.NoError(t, err)
		req.Header.Set("Authorization", auth)
		req.Header.Set("Content-Type", lineItemType)
		resp, err := w.http.Do(req)
		if err == nil {
			assert.Equal(t, http.StatusBadGateway, resp.StatusCode)
		}
		return err
	}
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.LineItems, Reset: true})
	require.Error(t, create())
	assert.Empty(t, w.p.LineItems(""))
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.LineItems, Reset: true, Effect: true})
	require.Error(t, create())
	assert.Len(t, w.p.LineItems(""), 1)
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.LineItems, Status: http.StatusBadGateway})
	require.NoError(t, create())
	assert.Len(t, w.p.LineItems(""), 1)
	w.p.Inject(ltitest.Fault{Endpoint: ltitest.LineItems, Status: http.StatusBadGateway, Effect: true})
	require.NoError(t, create())
	assert.Len(t, w.p.LineItems(""), 2)
}

// TestDelay: a client that gives up does not wait.
func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, &ltitest.Platform{})
		w.p.Inject(ltitest.Fault{Delay: time.Hour, Times: 2})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, _, err := w.try(ctx, w.p.Endpoints().JWKSURL)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(began))
		w.p.Wait()
		_, _, err = w.try(t.Context(), w.p.Endpoints().JWKSURL)
		require.NoError(t, err)
		assert.Equal(t, time.Hour+time.Second, time.Since(began))
		_, _, err = w.try(ctx, w.p.Endpoints().JWKSURL)
		require.Error(t, err)
		w.p.Wait()
	})
}

// TestLog has no secrets, and keeps as much as it should.
func TestLog(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{KeepRequests: 5})
	w.do(http.MethodGet, w.p.AuthRequest(w.p.Login(ltitest.Message{}), launchURL, "the-state", "n", nil), nil)
	for range 20 {
		w.do(http.MethodGet, "https://platform.example/nothing", nil)
	}
	w.do(http.MethodGet, w.p.AuthRequest(w.p.Login(ltitest.Message{}), launchURL, "the-state", "n", nil), nil)
	log := w.p.Requests()
	require.Len(t, log, 5)
	assert.Equal(t, http.StatusNotFound, log[0].Status)
	assert.Equal(t, ltitest.Authorization, log[4].Endpoint)
	assert.Equal(t, "[redacted]", log[4].Query.Get("state"))
	assert.Equal(t, "openid", log[4].Query.Get("scope"))
	assert.Equal(t, 2, w.p.Count(ltitest.Authorization))
	w.p.ResetLog()
	assert.Zero(t, w.p.Count(ltitest.Authorization))
	assert.Empty(t, w.p.Requests())
}

// TestClientHosts: there are no other hosts.
func TestClientHosts(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{Canvas: true})
	for _, address := range []string{w.p.Endpoints().JWKSURL, w.p.Endpoints().TokenURL, w.p.Endpoints().Configuration} {
		_, _, err := w.try(t.Context(), address)
		require.NoError(t, err, address)
	}
	_, _, err := w.try(t.Context(), "https://other.instructure.com/")
	require.ErrorContains(t, err, "no such host")
}

// TestClockSkew: the platform's clock is its own.
func TestClockSkew(t *testing.T) {
	w := newWorld(t, &ltitest.Platform{Canvas: true, ClockSkew: time.Hour})
	claims := w.claims(ltitest.Message{})
	assert.InDelta(t, time.Now().Add(time.Hour).Unix(), claims["iat"], 5)
	date, err := http.ParseTime(w.do(http.MethodGet, w.p.Endpoints().JWKSURL, nil).header.Get("Date"))
	require.NoError(t, err)
	assert.InDelta(t, time.Now().Add(time.Hour).Unix(), date.Unix(), 5)
	assert.Contains(t, string(w.grant(nil, nil, nil).body), "300 seconds old")
	w.p.SetClockSkew(0)
	assert.Equal(t, http.StatusOK, w.grant(nil, nil, nil).status)
}

// TestConcurrently is for the race detector: everything at once, over a port.
func TestConcurrently(t *testing.T) {
	p := &ltitest.Platform{}
	server := httptest.NewServer(p)
	defer server.Close()
	p.BaseURL = server.URL
	w := newWorld(t, p)
	w.http = server.Client()
	auth := w.bearer()
	item := p.AddLineItem("", "", ltitest.LineItem{Label: "x", ScoreMaximum: 1})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 10 {
				_, _, err := w.try(t.Context(), p.Endpoints().JWKSURL)
				assert.NoError(t, err)
				answer, err := p.Authorize(p.AuthRequest(p.Login(ltitest.Message{}), launchURL, "s", "n", nil))
				assert.NoError(t, err)
				assert.NotEmpty(t, answer.Form.Get("id_token"))
				w.do(http.MethodGet, item.ID, nil, "Authorization", auth, "Accept", lineItemType)
				p.Requests()
				p.LineItems("")
			}
		})
	}
	p.RotateKeys()
	all.Wait()
}
