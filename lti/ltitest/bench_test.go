package ltitest_test

import (
	"testing"

	"go.acu.edu.au/runbook/lti/ltitest"
)

// Target: not more than twice the signature, which an RSA key of 2048 bits makes
// in about a millisecond, so that a load test of a tool is not one of its platform.
func BenchmarkAuthorize(b *testing.B) {
	p := &ltitest.Platform{Canvas: true}
	p.AddTool(ltitest.Tool{RedirectURIs: []string{launchURL}})
	b.ReportAllocs()
	for b.Loop() {
		answer, err := p.Authorize(p.AuthRequest(p.Login(ltitest.Message{}), launchURL, "state", "nonce", nil))
		if err != nil || answer.Form.Get("id_token") == "" {
			b.Fatal(answer, err)
		}
	}
}

// Target: under 200 µs, memory and all: the key set is what a load test asks for
// most.
func BenchmarkKeySet(b *testing.B) {
	p := &ltitest.Platform{KeepRequests: -1}
	w := newWorld(b, p)
	address := p.Endpoints().JWKSURL
	b.ReportAllocs()
	for b.Loop() {
		if status, _, err := w.try(b.Context(), address); status != 200 {
			b.Fatal(status, err)
		}
	}
}

// BenchmarkSignature is the part of BenchmarkAuthorize that cannot be saved.
func BenchmarkSignature(b *testing.B) {
	p := &ltitest.Platform{}
	b.ReportAllocs()
	for b.Loop() {
		p.SignIDToken(map[string]any{"iss": "x"}, ltitest.Signing{})
	}
}
