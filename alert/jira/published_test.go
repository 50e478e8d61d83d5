package jira_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/alert"
	"go.acu.edu.au/runbook/alert/jira"
)

// canned answers a request with a published example.
type canned map[string]string

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	name, status := c[r.Method+" "+r.URL.Path], http.StatusOK
	body, err := os.ReadFile("testdata/" + name)
	if name == "" {
		body, err, status = nil, nil, http.StatusNoContent
	}
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(body))), Request: r}, err
}

func TestPublishedExamples(t *testing.T) {
	var closed string
	http := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/transitions") {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			closed = string(body)
		}
		if strings.HasSuffix(r.URL.RawQuery, "fields=status") {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"key":"ED-24"}`)), Request: r}, nil
		}
		return canned{"POST /rest/api/3/issue": "created.json", "GET /rest/api/3/issue/ED-24/transitions": "transitions.json"}.RoundTrip(r)
	})}
	n, err := jira.New(jira.Config{BaseURL: "https://your-domain.atlassian.net/", Project: "ED", Token: runbook.NewSecret(token), HTTP: http})
	require.NoError(t, err)
	receipt, err := n.Notify(t.Context(), note(alert.KindFiring, 1, ""))
	require.NoError(t, err)
	assert.Equal(t, alert.Receipt("ED-24"), receipt)
	_, err = n.Notify(t.Context(), note(alert.KindResolved, 2, receipt))
	require.NoError(t, err)
	assert.JSONEq(t, `{"transition":{"id":"711"}}`, closed)
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
