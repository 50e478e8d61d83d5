package inbound_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"go.acu.edu.au/runbook/alert/internal/inbound"
)

func TestMemory(t *testing.T) {
	var m inbound.Memory
	now := time.Date(2026, time.October, 5, 3, 0, 0, 0, time.UTC)
	assert.Equal(t, inbound.New, m.Begin("a", now))
	assert.Equal(t, inbound.Busy, m.Begin("a", now))
	m.End("a", true)
	assert.Equal(t, inbound.Done, m.Begin("a", now.Add(time.Hour)))
	assert.Equal(t, inbound.New, m.Begin("b", now))
	m.End("b", false)
	assert.Equal(t, inbound.New, m.Begin("b", now))
	m.End("never came", true)
}

func TestMemoryIsBounded(t *testing.T) {
	var m inbound.Memory
	now := time.Date(2026, time.October, 5, 3, 0, 0, 0, time.UTC)
	for i := range 10_000 {
		assert.Equal(t, inbound.New, m.Begin(fmt.Sprint(i), now))
	}
	assert.Equal(t, inbound.Full, m.Begin("more", now.Add(9*time.Minute)), "what is still fresh is not forgotten")
	assert.Equal(t, inbound.Busy, m.Begin("0", now))
	later := now.Add(11 * time.Minute)
	assert.Equal(t, inbound.New, m.Begin("more", later))
	assert.Equal(t, inbound.New, m.Begin("0", later), "the oldest makes room")
}

func TestFresh(t *testing.T) {
	now := time.Unix(1531420618, 0)
	for text, want := range map[string]bool{
		"1531420618": true, "1531420318": true, "1531420317": false, "1531420918": true, "1531420919": false,
		"": false, "-1": false, "+1531420618": false, "1.5": false, "99999999999999999999": false, "1531420618 ": false,
	} {
		_, got := inbound.Fresh(text, now)
		assert.Equal(t, want, got, "%q", text)
	}
}

func TestBody(t *testing.T) {
	for name, c := range map[string]struct {
		method, body string
		status       int
	}{
		"get":       {http.MethodGet, "", http.StatusMethodNotAllowed},
		"too large": {http.MethodPost, strings.Repeat("x", 11), http.StatusRequestEntityTooLarge},
		"fits":      {http.MethodPost, strings.Repeat("x", 10), http.StatusOK},
	} {
		w := httptest.NewRecorder()
		body, ok := inbound.Body(w, httptest.NewRequest(c.method, "/", strings.NewReader(c.body)), 10)
		assert.Equal(t, c.status == http.StatusOK, ok, name)
		assert.Equal(t, c.status, w.Code, name)
		if ok {
			assert.Equal(t, c.body, string(body))
		}
	}
}
