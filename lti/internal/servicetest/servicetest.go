// Package servicetest is the smallest platform for tests of services: it grants
// every token, and answers as it is told. What a whole platform does is in
// package ltitest.
package servicetest

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"go.acu.edu.au/runbook"
	"go.acu.edu.au/runbook/lti"
)

// A Platform is the transport of a platform: its token endpoint, which grants what
// is asked for, and the services, which answer as told.
type Platform struct {
	// Answer answers the calls of services.
	Answer func(r *http.Request, body string) (status int, link, text string)

	// Scopes are those of the grants, Asked has method, URI, Accept and
	// Content-Type of the calls, and Bodies their bodies. Read them when no call is
	// under way.
	Scopes, Asked, Bodies []string

	mu sync.Mutex
}

// RoundTrip implements [http.RoundTripper].
func (p *Platform) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	status, link, text := 401, "", ""
	switch {
	case r.URL.Path == "/login/oauth2/token":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		p.Scopes = append(p.Scopes, form.Get("scope"))
		status, text = 200, `{"access_token":"t","token_type":"Bearer","expires_in":3600}`
	case r.Header.Get("Authorization") == "Bearer t":
		p.Asked = append(p.Asked, strings.Join(strings.Fields(r.Method+" "+r.URL.String()+" "+r.Header.Get("Accept")+" "+r.Header.Get("Content-Type")), " "))
		p.Bodies = append(p.Bodies, string(body))
		status, link, text = p.Answer(r, string(body))
	}
	h := http.Header{"Content-Type": {"application/json"}}
	if link != "" {
		h.Set("Link", link)
	}
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: r}, nil
}

// Ring returns the key with which the tool signs. It is made once.
func Ring() (*lti.KeyRing, error) { return ring() }

var ring = sync.OnceValues(func() (*lti.KeyRing, error) {
	key, err := lti.GenerateKey()
	if err != nil {
		return nil, err
	}
	return lti.NewKeyRing(context.Background() /* the ring has no store */, lti.KeyRingConfig{Keys: []runbook.Secret{key}})
})

// NewService returns a service of p.
func NewService(p *Platform) (*lti.Service, error) {
	keys, err := Ring()
	if err != nil {
		return nil, err
	}
	return lti.NewService(lti.ServiceConfig{
		Registration: lti.CanvasRegistration(lti.CanvasProduction, "10000000000042", "school.instructure.com"),
		Keys:         keys, HTTP: &http.Client{Transport: p},
	})
}
