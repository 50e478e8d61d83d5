package lti_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"go.acu.edu.au/runbook/lti"
)

// instant answers everything from memory: what is measured is ours.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{}`
	if r.Method == http.MethodPost {
		body = `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
	}
	return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)), Request: r}, nil
}

func benchService(b *testing.B) *lti.Service {
	b.Helper()
	service, err := lti.NewService(lti.ServiceConfig{Registration: canvasServices(), Keys: serviceKeys(b), HTTP: &http.Client{Transport: instant{}}})
	require.NoError(b, err)
	return service
}

// A token from memory: below 5 µs.
func BenchmarkServiceToken(b *testing.B) {
	s := benchService(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Token(b.Context(), account, "a", "b"); err != nil {
			b.Fatal(err)
		}
	}
}

// A call with a token from memory, without a network: below 20 µs. A platform
// takes a thousand times as long to answer.
func BenchmarkServiceDo(b *testing.B) {
	s := benchService(b)
	call := lti.ServiceCall{Op: "read", URL: account, Scopes: []string{"a", "b"}, Accept: "application/json"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Do(b.Context(), call); err != nil {
			b.Fatal(err)
		}
	}
}

// An address of another host is refused: below 5 µs.
func BenchmarkServiceRefusal(b *testing.B) {
	s := benchService(b)
	call := lti.ServiceCall{Op: "read", URL: "https://evil.test/x", Scopes: []string{"a"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Do(b.Context(), call); err == nil {
			b.Fatal("not refused")
		}
	}
}
